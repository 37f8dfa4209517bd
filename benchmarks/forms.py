"""The embedded LLM asked with one text and in its chat template: outcomes, judges, a trained encoder's score.

    python -m benchmarks.forms PREMISES.txt [NUMBER] [STS_DIR]

Premises are taken evenly from the file. Scores are those of the shipped judges with their shipped calibrations, over
triplets whose two sides are ok; intervals are 95 % Student intervals of the mean over these triplets. With an STS
folder a study trains static-minilm on the triplets of each form, at equal steps, and scores it on all test tasks.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import sem, t

from pipeline.config import CurationRule, GenerationConfig
from pipeline.curation.calibration import default_calibration
from pipeline.curation.judges import EMBEDDED_JUDGES, load_judge, score_triplets
from pipeline.curation.rules import keeps
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.registry import EMBEDDED_ENTRY
from pipeline.generation.triplets import generate
from pipeline.records import GeneratedTriplet, Outcome, Premise, Triplet
from pipeline.studies.spec_file import read_study
from pipeline.studies.wording import as_markdown
from workbench.paths import ASSETS
from workbench.study_runs import run_in

CONFIG = GenerationConfig(omega=0.6)


STUDY = """
name: forms
title: Completion against chat form
arms:
- {{name: completion, file: {folder}/completion.csv}}
- {{name: chat, file: {folder}/chat.csv}}
baseline: completion
seeds: 10
train: {{encoder: static-minilm, batch_size: 64, steps: 100, mask_rule: none}}
contrasts:
- {{name: chat form, plus: [chat], minus: [completion]}}
"""


def main(path: Path, number: int, sts_dir: Path | None = None) -> None:
    """Print both forms, one after the other."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    premises = [Premise.from_text(text) for text in lines[:: max(1, len(lines) // number)][:number]]
    made = {form: written(form, premises) for form in ("completion", "chat")}
    for judge_id in EMBEDDED_JUDGES:
        judge, calibration = load_judge(judge_id), default_calibration(judge_id, ASSETS)
        for form, triplets in made.items():
            a, b = score_triplets(judge, triplets, calibration)
            kept = keeps(CurationRule(), a, b).mean()
            gap = f"{interval(a)}, {interval(b)}, gap {interval(a - b)}, kept {kept:.1%}"
            show(f"{judge_id} on {form}: {len(triplets)} triplets, a and b {gap}")
    if sts_dir is not None:
        with tempfile.TemporaryDirectory() as folder:
            show(trained(Path(folder), made, sts_dir))


def trained(folder: Path, made: dict[str, list[Triplet]], sts_dir: Path) -> str:
    """Return the report of a study of both forms."""
    for form, triplets in made.items():
        pd.DataFrame(triplets).to_csv(folder / f"{form}.csv", index=False)
    file = folder / "forms.yaml"
    file.write_text(STUDY.format(folder=folder), encoding="utf-8")
    study = read_study(file, sts_dir=sts_dir)
    return as_markdown(run_in(folder, study, snapshot=lambda _name: [], progress=lambda *_: None))


def written(form: str, premises: Sequence[Premise]) -> list[Triplet]:
    """Write the triplets in one form, show their outcomes, return those that are whole."""
    since, items = time.monotonic(), list[GeneratedTriplet]()
    with closing(open_llm(replace(EMBEDDED_ENTRY, form=form), for_many=True)) as llm:  # type: ignore[arg-type]
        for item in generate(premises, CONFIG, llm):
            items.append(item)
    for side in ("positive", "hard_negative"):
        outcomes = Counter(str(getattr(item, side).outcome) for item in items)
        show(f"{form}, {side}: {dict(outcomes.most_common())}")
    tokens = sum(item.positive.tokens + item.hard_negative.tokens for item in items)
    show(f"{form}: {tokens} tokens of replies, {time.monotonic() - since:.0f} s")
    return [
        Triplet(item.premise.text, item.positive.text, item.hard_negative.text)
        for item in items
        if item.positive.outcome is Outcome.OK and item.hard_negative.outcome is Outcome.OK
    ]


def interval(values: np.ndarray) -> str:
    """Return the mean with Student's 95 % interval."""
    low, high = t.interval(0.95, len(values) - 1, loc=values.mean(), scale=sem(values))
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def show(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0]), int(given[1]) if len(given) > 1 else 300, Path(given[2]) if len(given) > 2 else None)
