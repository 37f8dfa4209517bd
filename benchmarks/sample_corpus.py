"""The shipped sample corpus, made anew: premises from scratch, triplets at omega 0 and 0.6, scores, one Parquet file.

    python -m benchmarks.sample_corpus FOLDER

Every stage appends JSON lines to a file of the folder and goes on where it ends, so that a stopped run loses nothing.
The last stage writes FOLDER/sample_corpus.parquet. On two idle cores the whole takes about an hour.
"""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.config import GenerationConfig, ScratchConfig
from pipeline.curation.calibration import default_calibration
from pipeline.curation.likelihood import EngineCosts, LikelihoodJudge
from pipeline.generation.engines.torch_llama import TorchLlama
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.premise_prompts import Length
from pipeline.generation.triplets import generate
from pipeline.generation.written_premises import Attempt, Cell, PremiseOutcome, write_premises
from pipeline.records import Premise
from pipeline.weights import embedded_gguf

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SCRATCH = ScratchConfig(batch_size=96)
RUNS = (GenerationConfig(omega=0.0, batch_size=96), GenerationConfig(omega=0.6, batch_size=64))
JUDGE = "likelihood:smollm2-135m"
_CHUNK = 64


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a file."""
    if not path.exists():
        return []
    return [
        json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"
    ]


def append(path: Path, made: Iterator[dict[str, Any]]) -> None:
    """Append rows as they come."""
    whole = rows(path)
    path.write_text("".join(json.dumps(row) + "\n" for row in whole), encoding="utf-8")  # without a torn last line
    with path.open("a", encoding="utf-8") as file:
        for row in made:
            file.write(json.dumps(row) + "\n")
            file.flush()


def premises(folder: Path, engine: TorchLlama) -> list[dict[str, Any]]:
    """Fill the cells; return the attempts that are ok, in an order in which a part is a fair sample."""
    path = folder / "premises.jsonl"
    known = [
        Attempt(
            Cell(row["topic"], row["genre"], Length(row["asked"])),
            row["number"],
            row["text"],
            Length(row["length"]),
            PremiseOutcome(row["outcome"]),
        )
        for row in rows(path)
    ]
    append(path, (_attempt_row(attempt) for attempt in write_premises(SCRATCH, GgufLLM(engine), known=known)))
    kept = [row for row in rows(path) if row["outcome"] == PremiseOutcome.OK]
    random.Random(0).shuffle(kept)
    return kept


def triplets(folder: Path, engine: TorchLlama, kept: list[dict[str, Any]], config: GenerationConfig) -> Path:
    """Write the triplets of one omega; return their file."""
    path = folder / f"tri-{config.omega:g}.jsonl"
    known = {row["premise"] for row in rows(path)}
    waiting = [Premise.from_text(row["text"]) for row in kept if row["text"] not in known]
    made = (
        {
            "premise": item.premise.text,
            "positive": item.positive.text,
            "hard_negative": item.hard_negative.text,
            "positive_outcome": str(item.positive.outcome),
            "hard_negative_outcome": str(item.hard_negative.outcome),
            "contrast": str(item.contrast),
            "tokens": item.positive.tokens + item.hard_negative.tokens,
        }
        for item in generate(waiting, config, GgufLLM(engine))
    )
    append(path, made)
    return path


def judge(folder: Path, engine: TorchLlama, config: GenerationConfig) -> None:
    """Score the triplets whose two sides are ok."""
    path = folder / f"judge-{config.omega:g}.jsonl"
    known = {row["premise"] for row in rows(path)}
    ok = [row for row in rows(folder / f"tri-{config.omega:g}.jsonl") if is_ok(row) and row["premise"] not in known]

    def scored() -> Iterator[dict[str, Any]]:
        likelihood = LikelihoodJudge(EngineCosts(engine), name=engine.name)
        for start in range(0, len(ok), _CHUNK):
            chunk = ok[start : start + _CHUNK]
            a, b = (
                likelihood.scores([(row["premise"], row[side]) for row in chunk])
                for side in ("positive", "hard_negative")
            )
            for row, a_raw, b_raw in zip(chunk, a, b, strict=True):
                yield {"premise": row["premise"], "a_raw": float(a_raw), "b_raw": float(b_raw)}

    append(path, scored())


def is_ok(row: dict[str, Any]) -> bool:
    """Whether both sides ended well."""
    return row["positive_outcome"] == row["hard_negative_outcome"] == "ok"


def pack(folder: Path) -> Path:
    """Join what the stages wrote into one Parquet file; a triplet that was not judged has no scores."""
    import pandas as pd

    cells = {row["text"]: row for row in rows(folder / "premises.jsonl") if row["outcome"] == PremiseOutcome.OK}
    calibration = default_calibration(JUDGE, ASSETS)
    assert calibration is not None
    table = []
    for config in RUNS:
        scores = {row["premise"]: row for row in rows(folder / f"judge-{config.omega:g}.jsonl")}
        for row in rows(folder / f"tri-{config.omega:g}.jsonl"):
            cell = cells[row["premise"]]
            labels = {name: cell[name] for name in ("topic", "genre", "length")}
            score = scores.get(row["premise"], {"a_raw": None, "b_raw": None})
            row = {name: value for name, value in row.items() if not name.endswith("_raw")}
            table.append(labels | row | {"omega": config.omega, "a_raw": score["a_raw"], "b_raw": score["b_raw"]})
    frame = pd.DataFrame(table)
    for name in ("a", "b"):
        judged = frame[f"{name}_raw"].notna()
        frame.loc[judged, name] = calibration.apply(frame.loc[judged, f"{name}_raw"].to_numpy(dtype=float))
    frame["calibration"] = calibration.version
    target = folder / "sample_corpus.parquet"
    frame.to_parquet(target, index=False, compression="zstd")
    return target


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    asked = attempt.asked
    return {"topic": asked.topic, "genre": asked.genre, "asked": str(asked.length), "number": attempt.number} | {
        "text": attempt.text,
        "length": str(attempt.length),
        "outcome": str(attempt.outcome),
    }


def main() -> None:
    """Run all stages and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pack-only", action="store_true", help="join what is there already")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if not options.pack_only:
        with TorchLlama(embedded_gguf(), name="smollm2-135m") as engine:
            kept = premises(options.folder, engine)
            for config in RUNS:
                triplets(options.folder, engine, kept, config)
                judge(options.folder, engine, config)
    target = pack(options.folder)
    print(f"{target}: {target.stat().st_size:,} bytes; settings {asdict(SCRATCH)}")


if __name__ == "__main__":
    main()
