"""A search: every arm is scored on dev tasks, one is chosen, and only that one meets the test tasks, once."""

from dataclasses import replace

import numpy as np

from pipeline.errors import InputError
from pipeline.statistics import plain_score
from pipeline.studies.data import DataSource
from pipeline.studies.run import Candidate, StudyRun, Watch, run_study
from pipeline.studies.shelf import Progress, Shelf
from pipeline.studies.spec import Study


def run_search(study: Study, source: DataSource, shelf: Shelf, *, progress: Progress, watch: Watch) -> StudyRun:
    """Choose the arm with the best mean dev score and return the study of it and the baseline on the test tasks.

    The baseline is not a candidate. `watch` follows the dev scores. Raises InputError without an STS folder.
    """
    if study.evaluation.sts_dir is None:
        raise InputError(f"Study {study.name} searches on {', '.join(study.search_on)}; name an STS folder.")
    on_dev = replace(study, evaluation=replace(study.evaluation, tasks=study.search_on), search_on=())
    ranked = ranking(run_study(on_dev, source, shelf, progress=progress, watch=watch))
    chosen = next(candidate.arm for candidate in ranked if candidate.arm != study.baseline)
    kept = (study.arm(study.baseline), study.arm(chosen))
    on_test = replace(study, arms=kept, search_on=())
    run = run_study(on_test, source, shelf, progress=progress)
    run.candidates = ranked
    return run


def ranking(run: StudyRun) -> tuple[Candidate, ...]:
    """Return the arms with their dev scores, best mean first; the first named wins a tie."""
    found = []
    for arm, cells in run.cells.items():
        scores = [
            100
            * float(np.mean([plain_score(cell.predictions[name], run.tasks.gold(name)) for name in run.tasks.names]))
            for cell in cells
        ]
        found.append(Candidate(arm, float(np.mean(scores)), tuple(scores)))
    return tuple(sorted(found, key=lambda candidate: -candidate.mean))
