"""What a lower precision costs: next tokens, replies, judges and a trained encoder against float32.

    python -m benchmarks.precisions PREMISES.txt [NUMBER] [STS_DIR] [FOLDER]

The embedded LLM writes for the same premises in float32 and in bfloat16, by the engine in torch. Printed are the
divergence of next-token probabilities KL(float32 || bfloat16) behind the prompts and replies of float32, the share of
equal replies (300 premises at most), the likelihood judge's scores of the same pairs in both formats, and, with an
STS folder, a study that trains static-minilm on the triplets of either. What is written is kept in the folder.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from benchmarks.forms import CONFIG, called, interval, show, triplets_of, written
from pipeline.curation.calibration import default_calibration
from pipeline.curation.judges import LIKELIHOOD
from pipeline.curation.likelihood import EngineCosts, LikelihoodJudge
from pipeline.generation.engines.fastest import ENGINES, TORCH, TORCH_BF16
from pipeline.generation.llms.gguf import GgufLLM
from pipeline.generation.prompt_sets import prompt_set
from pipeline.records import Premise, Side, Triplet
from pipeline.studies.spec_file import read_study
from pipeline.studies.wording import as_markdown
from workbench.paths import ASSETS
from workbench.study_runs import run_in

PRECISIONS = {"fp32": TORCH, "bf16": TORCH_BF16}
COMPARED = 300
STUDY = """
study: precision
title: Triplets written in fp32 against bf16
arms:
- {{name: fp32, triplets: {folder}/fp32.csv}}
- {{name: bf16, triplets: {folder}/bf16.csv}}
baseline: fp32
seeds: 10
train: {{encoder: static-minilm, batch_size: 64, steps: 100, mask_rule: none}}
contrasts:
- {{name: bf16, plus: [bf16], minus: [fp32]}}
"""


def main(path: Path, number: int, sts_dir: Path | None, folder: Path) -> None:
    """Print every comparison, one after the other."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    premises = [Premise.from_text(text) for text in lines[:: max(1, len(lines) // number)][:number]]
    texts, made = {}, {}
    for name in PRECISIONS:
        texts[name] = written(folder / f"{name}.jsonl", premises, partial(opened, name))
        made[name] = triplets_of(texts[name], name)
        pd.DataFrame(made[name]).to_csv(folder / f"{name}.csv", index=False)
    replies = [
        {(line["premise"], side): line[side]["raw"] for line in lines[:COMPARED] for side in map(str, Side)}
        for lines in texts.values()
    ]
    equal = np.mean([replies[1].get(key) == reply for key, reply in replies[0].items()])
    show(f"equal replies: {equal:.1%} of {len(replies[0])}")
    divergence, same = diverging(premises[:100], replies[0])
    high = np.quantile(divergence, 0.99)
    show(f"KL(float32 || bfloat16) of the next token, nats: mean {divergence.mean():.6f}, 99th percentile {high:.5f}")
    show(f"same best token: {same:.2%} of {len(divergence)} places")
    scores = [judged(name, made["fp32"][:COMPARED]) for name in PRECISIONS]
    tau = kendalltau(*scores).statistic
    show(f"likelihood judge, {len(scores[0])} pairs: {interval(np.abs(scores[1] - scores[0]))} apart, tau {tau:.3f}")
    if sts_dir is not None:
        file = folder / "precision.yaml"
        file.write_text(STUDY.format(folder=folder), encoding="utf-8")
        study = read_study(file, sts_dir=sts_dir)
        show(as_markdown(run_in(folder, study, snapshot=lambda _name: [], progress=lambda *_: None)))


def opened(name: str) -> GgufLLM:
    """Load the embedded LLM in a precision."""
    return GgufLLM(ENGINES[PRECISIONS[name]](name, None))


def diverging(premises: Sequence[Premise], replies: dict[tuple[str, str], str]) -> tuple[np.ndarray, float]:
    """Return KL in nats at every place of the replies, (n,), and the share of places with the same best token."""
    prompts, found = prompt_set(CONFIG.prompt_set), []
    for name in PRECISIONS:
        with opened(name) as llm:
            rows = []
            for premise in premises:
                for side in Side:
                    asked = llm.prompt_tokens(prompts.own(side).few_shot, premise.text)
                    rows.append(llm.next_log_probabilities(asked, llm.tokenize(replies[premise.text, str(side)])))
            found.append(np.concatenate(rows).astype(np.float64))
    plain, rounded = found
    return (np.exp(plain) * (plain - rounded)).sum(axis=1), float((plain.argmax(1) == rounded.argmax(1)).mean())


def judged(name: str, triplets: Sequence[Triplet]) -> np.ndarray:
    """Return the scores of both sides on 0 to 5, float64 (2 n,)."""
    pairs = [(triplet.premise, text) for triplet in triplets for text in (triplet.positive, triplet.hard_negative)]
    with opened(name) as llm:
        raw = LikelihoodJudge(EngineCosts(llm.llama, llm.form), name=name).scores(pairs)
    calibration = default_calibration(LIKELIHOOD, ASSETS)
    return raw if calibration is None else calibration.apply(raw)


if __name__ == "__main__":
    called(main)
