"""How far a study is: arms x seeds as a small file that is replaced after every cell, for whoever watches."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.durable import write_json
from pipeline.statistics import plain_score
from pipeline.studies.cells import Cell, CellResult
from pipeline.studies.spec import Study
from pipeline.studies.tasks import StudyTasks

GRID_FILE = "grid.json"


@dataclass(slots=True)
class StudyGrid:
    """Keeps `grid.json` of a study's folder: which cells are done, with what score, and which one is at work."""

    study: Study
    folder: Path
    origin: dict[str, Any] = field(default_factory=dict)
    """Where the study came from, kept in the file as it is."""
    _cells: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)

    def begin(self) -> None:
        """Write the empty grid, before any data is made."""
        for seed in self.study.seeds:
            for arm in self.study.arms:
                self._cells[arm.name, seed] = {"arm": arm.name, "seed": seed, "state": "waiting"}
        self._write()

    def __call__(self, cell: Cell, result: CellResult | None, tasks: StudyTasks) -> None:
        """Take note of a cell that begins (no result yet) or is done."""
        if cell.is_untrained:
            return
        kept = self._cells[cell.arm, cell.seed]
        kept["state"] = "running" if result is None else "done"
        if result is not None:
            kept |= {"score": cell_score(result, tasks), "train_s": result.train_s, "triplets": result.triplets}
        self._write()

    def _write(self) -> None:
        record = {
            "study": self.study.name,
            "title": self.study.title,
            "arms": [arm.name for arm in self.study.arms],
            "seeds": list(self.study.seeds),
            "baseline": self.study.baseline,
            "cells": list(self._cells.values()),
            **self.origin,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / GRID_FILE, record)


def cell_score(result: CellResult, tasks: StudyTasks) -> float:
    """Return the mean of a cell's scores over the tasks, x100."""
    return 100 * float(np.mean([plain_score(result.predictions[name], tasks.gold(name)) for name in tasks.names]))
