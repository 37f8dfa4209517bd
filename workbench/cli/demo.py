"""`demo`: the main job on the embedded models, from a few triplets written live to the table of the study `stages`.

The study trains on the triplets of the sample corpus, made the same way before; one run of its last arm is kept with
its encoder, for the pages that look into one.
"""

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path

from pipeline.curation.judges import EMBEDDED_JUDGES
from pipeline.studies.spec import Arm
from pipeline.studies.spec_file import read_study
from workbench.cli import train
from workbench.cli.main import Call, access, print_line, watch
from workbench.paths import SAMPLE_CORPUS
from workbench.study_runs import study_file
from workbench.workspace import workspace_root

HELD_OUT_FROM = "stage 1"
"""Snapshot whose held-out premises the kept encoder is scored on without STS tasks."""
LIVE = 12
"""Number of premises that triplets are generated for live."""


def run(options: argparse.Namespace) -> None:
    """Write and judge a few triplets, keep one encoder and its map, run the study and print its tables."""
    if options.sts_dir is None:
        print_line("No folder of STS tasks was named (STS_DIR=folder): encoders are compared on held-out triplets.")
    with access(options) as call:
        corpus_id, refined = open_sample(call)
        write_live(call, corpus_id, limit=options.limit or LIVE)
        study = read_study(study_file(options.file), sample=SAMPLE_CORPUS)
        keep_one(call, study.arms[-1], refined, options.sts_dir)
    train.run_study(options)
    if options.sts_dir is None:
        print_line(
            "The held-out triplets come from stage 1, as do the training triplets of the arms with it: the arms "
            "without it are at a disadvantage. The value of curation and masking shows only on human scores "
            "(STS_DIR=folder)."
        )
    root = shlex.quote(str(workspace_root(options.workspace)))
    print_line(f"Triplets, study, run and map: python -m workbench serve --workspace {root}")


def open_sample(call: Call) -> tuple[str, str]:
    """Import the sample corpus; return its id and that of its triplets of stage 1."""
    sample = call("open_sample")
    return sample["corpus_id"], sample["attempt_ids"][-1]


def write_live(call: Call, corpus_id: str, *, limit: int) -> None:
    """Write triplets for a few premises and judge them."""
    started = call("start_generate", corpus_id=corpus_id, config={}, limit=limit, title="sample, written live")
    view = watch(call, started["job_id"], label="Stage 1: writing triplets")
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(view["details"]["outcomes"].items()))
    print_line(f"Written just now for {started['premises']} premises: {outcomes}.")
    judging = call("start_judge", attempt_ids=[started["attempt_id"]], judges=list(EMBEDDED_JUDGES))
    watch(call, judging["job_id"], label="Stage 2: judging what was just written")


def keep_one(call: Call, arm: Arm, attempt_id: str, sts_dir: Path | None) -> None:
    """Train the study's last arm once as a run of the workspace, score it and the encoder before, draw its map."""
    before = call("curate", attempt_ids=[attempt_id], name=HELD_OUT_FROM)
    rule = {"judge_id": arm.curation.judge, "rule": asdict(arm.curation.rule)} if arm.curation else {}
    curated = call("curate", attempt_ids=[attempt_id], name=f"stages {arm.name}", **rule)
    goal = {"sts_dir": str(sts_dir.resolve())} if sts_dir else {"held_out": before["snapshot_id"]}
    scored = call("start_evaluate", encoder=arm.train.encoder, **goal)
    watch(call, scored["job_id"], label=f"Scoring {arm.train.encoder}, untrained")
    title = f"{arm.train.encoder}, stages {arm.name}"
    started = call("start_train", snapshot_id=curated["snapshot_id"], config=asdict(arm.train), title=title, **goal)
    watch(call, started["job_id"], label="Stage 3: training one encoder that is kept")
    call("start_projection", encoder=started["run_id"], snapshot_id=before["snapshot_id"])
