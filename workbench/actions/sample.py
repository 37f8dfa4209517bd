"""Opening the shipped sample corpus: premises, triplets at omega 0 and 0.6, scores of the likelihood judge."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.records import text_id
from workbench.ids import new_id, now
from workbench.journal import Row
from workbench.paths import SAMPLE_CORPUS
from workbench.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

NAME = "sample corpus"
JUDGE, LLM = "likelihood:smollm2-135m", "smollm2-135m"


def open_sample(workspace: Workspace) -> dict[str, Any]:
    """Bring the sample corpus in, without any LLM; a workspace that has it already answers with that one."""
    for corpus in workspace.store.premises.corpora():
        if corpus.name == NAME:
            return _answer(workspace, corpus.corpus_id)
    import pandas as pd

    frame = pd.read_parquet(SAMPLE_CORPUS)
    corpus_id = new_id("corpus")
    header = {"kind": "corpus", "name": NAME, "origin": SAMPLE_CORPUS.name, "duplicates": 0, "rejected": {}}
    workspace.store.imports.add(corpus_id, lambda: header, _rows(corpus_id, frame))
    return _answer(workspace, corpus_id)


def attempt_of(corpus_id: str, omega: float) -> str:
    """Return the attempt that holds the sample's triplets at this omega."""
    return f"{corpus_id}-omega-{omega:g}"


def _answer(workspace: Workspace, corpus_id: str) -> dict[str, Any]:
    corpus = workspace.store.premises.corpus(corpus_id)
    attempts = [attempt_of(corpus_id, omega) for omega in (0.0, 0.6)]
    return {"corpus_id": corpus_id, "name": corpus.name, "premises": corpus.premises, "attempt_ids": attempts}


def _rows(corpus_id: str, frame: "pd.DataFrame") -> Iterator[Row]:
    for position, text in enumerate(frame["premise"].drop_duplicates()):
        place = {"corpus_id": corpus_id, "position": position}
        yield {"table": "premises", "premise_id": text_id(text), "text": text} | place
    for omega, part in frame.groupby("omega", sort=True):
        attempt_id = attempt_of(corpus_id, omega)
        yield {"table": "imports", "import_id": attempt_id, "kind": "triplets", "created_at": now()} | {
            "name": f"sample, omega {omega:g}",
            "origin": SAMPLE_CORPUS.name,
            "duplicates": 0,
            "rejected": {},
        }
        for row in part.to_dict("records"):
            yield from _triplet(attempt_id, row)


def _triplet(attempt_id: str, row: dict[str, Any]) -> Iterator[Row]:
    premise_id = text_id(row["premise"])
    triplet_id = f"{attempt_id}-{premise_id}"
    texts = ("premise", "positive", "hard_negative", "positive_outcome", "hard_negative_outcome", "contrast")
    yield {name: row[name] for name in texts} | {
        "table": "triplets",
        "triplet_id": triplet_id,
        "attempt_id": attempt_id,
        "premise_id": premise_id,
        "positive_raw": row["positive"],
        "hard_negative_raw": row["hard_negative"],
        "llm": LLM,
        "prompt_set": "default",
        "origin": "sample",
        "omega": float(row["omega"]),
        "seed": 0,
        "tokens": int(row["tokens"]),
    }
    if row["a"] == row["a"] and row["b"] == row["b"]:  # a triplet that nobody judged holds NaN
        scores = {name: float(row[name]) for name in ("a_raw", "b_raw", "a", "b")}
        yield {"table": "judgements", "judgement_id": f"{triplet_id}|{JUDGE}", "triplet_id": triplet_id} | {
            "judge_id": JUDGE,
            "calibration": row["calibration"],
            **scores,
        }
