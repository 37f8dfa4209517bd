"""Jobs of every kind share one folder of vectors: what one has embedded, no other embeds again."""

import pandas as pd
import pytest
from sentence_transformers import SentenceTransformer

from workbench.jobs import kinds
from workbench.jobs.context import JobContext
from workbench.jobs.folder import JobFolder, JobRecord, Status
from workbench.jobs.handlers.curation import opened_judge
from workbench.jobs.worker import handler_of

TRIPLETS = pd.DataFrame(
    {
        "triplet_id": [f"t{number}" for number in range(40)],
        "premise": [f"Dog {number} runs." for number in range(40)],
        "positive": [f"Dog {number} is running." for number in range(40)],
        "hard_negative": [f"Dog {number} sleeps." for number in range(40)],
        "split": "train",
    }
)
NAME = "static-minilm"
SPECS = {
    "margins": kinds.MarginsSpec(NAME, NAME, "current"),
    "preview": kinds.PreviewSpec(NAME, "key"),
    "hygiene": kinds.HygieneSpec((), None, NAME, 0.8),
    "project": kinds.ProjectSpec((kinds.MapEncoder(NAME, NAME),), "pca", "current", guide=NAME),
    "evaluate": kinds.EvaluateSpec(NAME, NAME),
}
JUDGE = kinds.JudgeSpec((f"guide:{NAME}",), ())


@pytest.fixture
def asked(monkeypatch):
    """Texts that any encoder was asked to encode."""
    seen = []
    encode = SentenceTransformer.encode

    def counting(self, texts, **options):
        seen.extend(texts)
        return encode(self, texts, **options)

    monkeypatch.setattr(SentenceTransformer, "encode", counting)
    return seen


def begun(root, spec, frame=TRIPLETS):
    """A job that has begun in this process."""
    folder = JobFolder(root / "jobs" / f"job-{len(list(root.glob('jobs/*')))}")
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    folder.create(JobRecord(folder.path.name, "", "2026-01-01", spec), Status(), frame)
    context = JobContext(folder.path)
    context.begin()
    return context


@pytest.mark.parametrize("first", ["margins", "project"])
def test_no_kind_of_job_embeds_what_another_has_embedded(first, tmp_path, asked):
    handler_of(first)(begun(tmp_path, SPECS[first]))
    assert sorted(asked) == sorted(pd.concat([TRIPLETS[name] for name in ("premise", "positive", "hard_negative")]))
    asked.clear()
    for kind, spec in SPECS.items():
        context = begun(tmp_path, spec, TRIPLETS.assign(split="held_out") if kind == "evaluate" else TRIPLETS)
        handler_of(kind)(context)
        assert list(context.out.iterdir()) or context.folder.journal.stat().st_size, f"{kind} has done its work"
        assert asked == [], kind
    judge = opened_judge(begun(tmp_path, JUDGE), JUDGE.judges[0])
    assert judge.scores([("Dog 1 runs.", "Dog 1 sleeps.")]).shape == (1,)
    assert asked == []
