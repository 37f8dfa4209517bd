"""`study --dry-run`: what a study would do, and every part of it tried on small stand-ins."""

from typing import TYPE_CHECKING

from workbench.cli.output import print_line, print_table
from workbench.paths import SAMPLE_PREMISES

if TYPE_CHECKING:
    from pipeline.studies.spec import Arm, Study


def print_plan(study: "Study") -> None:
    """Print the arms and the size of the study."""
    rows = [
        (arm.name, source_text(arm), curation_text(arm), mask_text(arm), arm.train.batch_size) for arm in study.arms
    ]
    print_table(study.title, ("arm", "triplets", "curation", "mask", "batch"), rows)
    cells = len(study.arms) * len(study.seeds)
    batch = max(arm.train.batch_size for arm in study.arms)
    print_line(
        f"{len(study.arms)} arms x {len(study.seeds)} seeds = {cells} training runs of {study.steps:,} steps; "
        f"up to {2 * batch - 1} negatives per premise; encoder {study.arm(study.baseline).train.encoder}; "
        f"baseline {study.baseline}."
    )
    where = study.evaluation.sts_dir
    tasks = ", ".join(study.evaluation.tasks) or "every test task of the folder"
    print_line(f"Scored on {tasks} in {where}." if where else "Scored on held-out triplets: no STS folder is named.")


def try_parts(study: "Study") -> None:
    """Try every part on stand-ins and print what was tried."""
    from pipeline.studies.dry_run import dry_run

    print_table("Tried", ("part", "result"), [(check.part, check.told) for check in dry_run(study, SAMPLE_PREMISES)])


def source_text(arm: "Arm") -> str:
    """Say where an arm's triplets come from."""
    size = f", {arm.size:,} at random" if arm.size else ""
    if arm.generation is not None:
        return f"{arm.generation.llm}, omega {arm.generation.omega:g}{size}"
    return (f"snapshot {arm.snapshot}" if arm.snapshot else f"file {arm.file.name if arm.file else ''}") + size


def curation_text(arm: "Arm") -> str:
    """Say how an arm is curated."""
    if arm.curation is None:
        return "-"
    rule = arm.curation.rule
    return f"{arm.curation.judge}: {rule.alpha:g}, {rule.beta:g}, {rule.gamma:g}"


def mask_text(arm: "Arm") -> str:
    """Say what an arm masks."""
    if arm.train.mask_rule == "none":
        return "-"
    own = ", own kept" if arm.train.protect_own_hard_negative else ""
    return f"{arm.train.mask_rule} {arm.train.mask_threshold:g}{own}"
