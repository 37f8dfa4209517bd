"""`demo`: the main job on the embedded models, from the sample corpus to a table of arms.

A few triplets are written and judged live; the arms train on those of the sample corpus, made the same way before.
The arms add one stage after the other and are trained at equal steps, several seeds each. With an STS folder the
score is the STS average; without one it is the share of held-out triplets whose positive is nearer than the hard
negative.
"""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from pipeline.config import CurationRule
from pipeline.curation.judges import EMBEDDED_JUDGES, LIKELIHOOD
from pipeline.statistics import mean_interval
from pipeline.train_config import TrainConfig
from workbench.cli.main import Answer, Call, access, print_line, print_table, watch, write_json
from workbench.workspace import workspace_root

ENCODER = "static-minilm"
OMEGA = 0.6
RULE = CurationRule(alpha=0.0, beta=4.5, gamma=-1.0)
MASK_THRESHOLD = 0.9
"""Chosen on STSB-dev for this corpus and encoder, as in the study `stages`: see docs/stage-ablation.md."""
STEPS, BATCH_SIZE = 100, 128
LIVE = 12
"""Number of premises that triplets are generated for live."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One row of the table: its name, the snapshot it trains on, whether false negatives are masked."""

    name: str
    snapshot_id: str
    triplets: int
    masked: bool


def run(options: argparse.Namespace) -> None:
    """Run every stage as jobs of the workspace and print the table."""
    sts_dir = str(options.sts_dir.resolve()) if options.sts_dir else None
    if sts_dir is None:
        print_line("No folder of STS tasks was named (STS_DIR=folder): encoders are compared on held-out triplets.")
    with access(options.workspace) as call:
        arms = prepare(call, options.limit)
        # Held-out triplets come from stage 1, uncurated; every arm leaves their premises out of training.
        goal = {"sts_dir": sts_dir} if sts_dir else {"held_out": arms[1].snapshot_id}
        rows = [untrained(call, goal)]
        for arm in arms:
            rows.append(train_arm(call, arm, options.seeds, goal))
        call("start_projection", encoder=rows[-1]["encoders"][0], snapshot_id=arms[1].snapshot_id)
    metric = "STS average, Spearman x100" if sts_dir else "held-out triplets with the positive nearer, %"
    answer = {"metric": metric, "steps": STEPS, "batch_size": BATCH_SIZE, "arms": rows}
    print_result(answer)
    for note in notes(sts_dir, seeds=options.seeds, workspace=workspace_root(options.workspace)):
        print_line(note)
    write_json(options.json, answer)


def prepare(call: Call, limit: int | None) -> list[Arm]:
    """Open the sample corpus, write and judge a few triplets live, and freeze the triplets of each arm."""
    sample = call("open_sample")
    plain, refined = sample["attempt_ids"]
    live = generate(call, sample["corpus_id"], omega=OMEGA, limit=limit or LIVE)
    judging = call("start_judge", attempt_ids=[live], judges=list(EMBEDDED_JUDGES))
    watch(call, judging["job_id"], label="Stage 2: judging what was just written")
    first = call("curate", attempt_ids=[plain], name="plain")
    second = call("curate", attempt_ids=[refined], name="stage 1")
    third = call("curate", attempt_ids=[refined], name="stages 1 and 2", judge_id=LIKELIHOOD, rule=asdict(RULE))
    return [
        Arm("plain generation", first["snapshot_id"], first["triplets"], masked=False),
        Arm("+ stage 1 (contrastive generation)", second["snapshot_id"], second["triplets"], masked=False),
        Arm("+ stage 2 (self-curation)", third["snapshot_id"], third["triplets"], masked=False),
        Arm("+ stage 3 (false negatives masked)", third["snapshot_id"], third["triplets"], masked=True),
        Arm("stages 1 and 3, without curation", second["snapshot_id"], second["triplets"], masked=True),
    ]


def generate(call: Call, corpus_id: str, *, omega: float, limit: int | None) -> str:
    """Run one generation job to its end and return the id of its run."""
    name = "plain" if omega == 0 else f"omega {omega:g}"
    started = call(
        "start_generate", corpus_id=corpus_id, config={"omega": omega}, limit=limit, title=f"sample, {name}"
    )
    view = watch(call, started["job_id"], label=f"Stage 1: generating, omega {omega:g}")
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(view["details"]["outcomes"].items()))
    print_line(f"Written just now for {started['premises']} premises: {outcomes}.")
    return started["attempt_id"]


def untrained(call: Call, goal: dict[str, Any]) -> Answer:
    """Score the encoder before any training."""
    started = call("start_evaluate", encoder=ENCODER, **goal)
    watch(call, started["job_id"], label=f"Evaluating {ENCODER}, untrained")
    value = score(call, started["encoder_id"])
    return {"arm": "untrained", "triplets": None, "scores": [value], "encoders": [started["encoder_id"]]}


def train_arm(call: Call, arm: Arm, seeds: int, goal: dict[str, Any]) -> Answer:
    """Train and score one arm once per seed, at the same number of steps as every other arm."""
    encoders = []
    for seed in range(seeds):
        config = TrainConfig(
            encoder=ENCODER,
            steps=STEPS,
            batch_size=BATCH_SIZE,
            mask_rule="phi" if arm.masked else "none",
            mask_threshold=MASK_THRESHOLD,
            seed=seed,
        )
        title = f"{arm.name}, seed {seed}"
        started = call("start_train", snapshot_id=arm.snapshot_id, config=asdict(config), title=title, **goal)
        watch(call, started["job_id"], label=title)
        encoders.append(started["run_id"])
    scores = [score(call, encoder) for encoder in encoders]
    return {"arm": arm.name, "triplets": arm.triplets, "scores": scores, "encoders": encoders}


def score(call: Call, encoder_id: str) -> float:
    """Return an encoder's mean over the tasks, or its share of held-out triplets, x100."""
    answer = call("scores")
    tasks = [row["spearman"] for row in answer["scores"] if row["encoder_id"] == encoder_id]
    held_out = [row["accuracy"] for row in answer["held_out"] if row["encoder_id"] == encoder_id]
    return 100 * mean(tasks or held_out)


def print_result(answer: Answer) -> None:
    """Print the table of arms."""
    rows = [
        (row["arm"], row["triplets"], *gain(row["scores"], answer["arms"][0]["scores"][0])) for row in answer["arms"]
    ]
    title = f"{ENCODER}, {STEPS} steps of {BATCH_SIZE}: {answer['metric']}"
    print_table(title, ("arm", "triplets", "score", "95 % interval", "gain"), rows)


def notes(sts_dir: str | None, *, seeds: int, workspace: Path) -> list[str]:
    """Explain what the table compares, what it cannot show, and where to look further."""
    lines = [f"The gain is that over the untrained encoder; intervals are Student t's over {seeds} seeds."]
    if sts_dir is None:
        lines.append(
            "The held-out triplets come from stage 1, as do the training triplets of the arms from stage 1 on: plain "
            "generation is at a disadvantage. The value of curation and masking shows only on human scores "
            "(STS_DIR=folder)."
        )
    lines.append(f"Triplets, runs and scores: python -m workbench serve --workspace {shlex.quote(str(workspace))}")
    return lines


def gain(scores: Sequence[float], base: float) -> tuple[str, str, str]:
    """Return mean, interval over seeds and gain over the base as text."""
    low, high = mean_interval(scores)
    interval = f"{low:.2f}–{high:.2f}" if len(scores) > 1 else "-"
    return f"{mean(scores):.2f}", interval, f"{mean(scores) - base:+.2f}"
