"""The embedded LLM asked with one text and in its chat template: outcomes, judges, a trained encoder's score.

    python -m benchmarks.forms PREMISES.txt [NUMBER] [STS_DIR] [FOLDER]

Premises are taken evenly from the file. What is written and trained is kept in the folder, where another call goes
on. Scores are those of the shipped judges with their shipped calibrations, over triplets whose two sides are ok;
intervals are 95 % Student intervals of the mean over these triplets. With an STS folder a study trains static-minilm
on the triplets of each form, at equal steps, and scores it on all test tasks.
"""

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import sem, t

from pipeline.config import CurationRule, GenerationConfig
from pipeline.curation.calibration import default_calibration
from pipeline.curation.judges import EMBEDDED_JUDGES, load_judge, score_triplets
from pipeline.curation.rules import keeps
from pipeline.generation.llms.loading import open_llm
from pipeline.generation.llms.protocol import LLM
from pipeline.generation.llms.registry import EMBEDDED_ENTRY
from pipeline.generation.triplets import generate
from pipeline.records import Outcome, Premise, Side, Triplet
from pipeline.studies.spec_file import read_study
from pipeline.studies.wording import as_markdown
from workbench.paths import ASSETS
from workbench.study_runs import run_in

CONFIG = GenerationConfig(omega=0.6)
FORMS, SIDES = ("completion", "chat"), tuple(map(str, Side))
STUDY = """
study: forms
title: Completion against chat form
arms:
- {{name: completion, triplets: {folder}/completion.csv}}
- {{name: chat, triplets: {folder}/chat.csv}}
baseline: completion
seeds: 10
train: {{encoder: static-minilm, batch_size: 64, steps: 100, mask_rule: none}}
contrasts:
- {{name: chat form, plus: [chat], minus: [completion]}}
"""


def main(path: Path, number: int, sts_dir: Path | None, folder: Path) -> None:
    """Print both forms, one after the other."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    premises = [Premise.from_text(text) for text in lines[:: max(1, len(lines) // number)][:number]]
    made = {}
    for form in FORMS:
        opened = partial(open_llm, replace(EMBEDDED_ENTRY, form=form), for_many=True)  # type: ignore[arg-type]
        made[form] = triplets_of(written(folder / f"{form}.jsonl", premises, opened), form)
    for form, triplets in made.items():
        pd.DataFrame(triplets).to_csv(folder / f"{form}.csv", index=False)
    for judge_id in EMBEDDED_JUDGES:
        for form, triplets in made.items():
            a, b = judged(folder / f"{judge_id.replace(':', '-')}-{form}.npy", judge_id, triplets)
            kept = keeps(CurationRule(), a, b).mean()
            gap = f"{interval(a)}, {interval(b)}, gap {interval(a - b)}, kept {kept:.1%}"
            show(f"{judge_id} on {form}: {len(triplets)} triplets, a and b {gap}")
    if sts_dir is not None:
        file = folder / "forms.yaml"
        file.write_text(STUDY.format(folder=folder), encoding="utf-8")
        study = read_study(file, sts_dir=sts_dir)
        show(as_markdown(run_in(folder, study, snapshot=lambda _name: [], progress=lambda *_: None)))


def written(file: Path, premises: Sequence[Premise], opened: Callable[[], LLM]) -> list[dict[str, Any]]:
    """Return a line per premise, with both sides and their outcomes; what the file lacks is written first."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []
    done = {line["premise"] for line in lines}
    if rest := [premise for premise in premises if premise.text not in done]:
        with closing(opened()) as llm, file.open("a", encoding="utf-8") as out:
            for item in generate(rest, CONFIG, llm):
                lines.append({"premise": item.premise.text} | {side: asdict(getattr(item, side)) for side in SIDES})
                out.write(json.dumps(lines[-1], ensure_ascii=False) + "\n")
                out.flush()
    return lines


def triplets_of(lines: Sequence[dict[str, Any]], form: str) -> list[Triplet]:
    """Show the outcomes of a form (or whatever tells runs apart), return its whole triplets."""
    for side in SIDES:
        outcomes = Counter(str(line[side]["outcome"]) for line in lines)
        show(f"{form}, {side}: {dict(outcomes.most_common())}")
    show(f"{form}: {sum(line[side]['tokens'] for line in lines for side in SIDES)} tokens of replies")
    whole = [line for line in lines if all(line[side]["outcome"] == Outcome.OK for side in SIDES)]
    return [Triplet(line["premise"], *(line[side]["text"] for side in SIDES)) for line in whole]


def judged(file: Path, judge_id: str, triplets: Sequence[Triplet]) -> np.ndarray:
    """Return the scores of both sides, float64 (2, n), from the file or by the judge."""
    if not file.is_file():
        scores = score_triplets(load_judge(judge_id), triplets, default_calibration(judge_id, ASSETS))
        np.save(file, np.stack(scores))
    return np.load(file)


def interval(values: np.ndarray) -> str:
    """Return the mean with Student's 95 % interval."""
    low, high = t.interval(0.95, len(values) - 1, loc=values.mean(), scale=sem(values))
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def show(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def called(run: Callable[[Path, int, Path | None, Path], None]) -> None:
    """Run with the command line: file of premises, how many, STS folder, and where results are kept."""
    given = sys.argv[1:]
    with tempfile.TemporaryDirectory() as temporary:
        run(
            Path(given[0]),
            int(given[1]) if len(given) > 1 else 300,
            Path(given[2]) if len(given) > 2 else None,
            Path(given[3]) if len(given) > 3 else Path(temporary),
        )


if __name__ == "__main__":
    called(main)
