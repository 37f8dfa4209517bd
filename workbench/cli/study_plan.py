"""`study --dry-run`: what a study would do, and every part of it tried on small stand-ins."""

from typing import TYPE_CHECKING

from pipeline.studies.plan import curation_text, mask_text, source_text
from workbench.cli.output import print_line, print_table
from workbench.paths import SAMPLE_PREMISES

if TYPE_CHECKING:
    from pipeline.studies.spec import Study


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
    if study.search_on:
        needs = "" if where else " It needs an STS folder: give --sts-dir FOLDER."
        print_line(f"A search: the arm that is best on {', '.join(study.search_on)} meets the test tasks.{needs}")
        return
    tasks = ", ".join(study.evaluation.tasks) or "every test task of the folder"
    print_line(f"Scored on {tasks} in {where}." if where else "Scored on held-out triplets: no STS folder is named.")


def try_parts(study: "Study") -> None:
    """Try every part on stand-ins and print what was tried."""
    from pipeline.studies.dry_run import dry_run

    print_table("Tried", ("part", "result"), [(check.part, check.told) for check in dry_run(study, SAMPLE_PREMISES)])
