"""The triplets of an arm: written, judged and drawn; each premise and pair is worked on once for all arms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config import GenerationConfig
from pipeline.curation.calibration import Calibration, fit_calibration
from pipeline.curation.rules import keeps
from pipeline.errors import InputError
from pipeline.evaluation.gold import gold_pairs
from pipeline.exchange import read_triplets
from pipeline.premises import read_premises
from pipeline.records import Premise, Triplet
from pipeline.studies.hub import Hub
from pipeline.studies.judged import judged_lines
from pipeline.studies.ready import Ready, pair_id, read_ready
from pipeline.studies.shelf import Progress, Shelf
from pipeline.studies.spec import SAMPLE, Arm, Curation, Study
from pipeline.studies.written import left_to_write, written_lines


@dataclass(frozen=True, slots=True)
class ArmData:
    """What an arm trains on, and what making it cost (counted whole for every arm that uses it)."""

    triplets: list[Triplet]
    generation_s: float = 0.0
    judging_s: float = 0.0

    def drawn(self, size: int | None, seed: int) -> list[Triplet]:
        """Return the triplets of one cell: all, or `size` of them drawn without replacement by this seed."""
        if size is None or size >= len(self.triplets):
            return self.triplets
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.triplets), size, replace=False))
        return [self.triplets[row] for row in chosen]


@dataclass(slots=True)
class DataSource:
    """Makes the data of a study's arms; models are loaded only when something is missing."""

    study: Study
    shelf: Shelf
    calibrations: Sequence[Calibration] = ()
    """Curves shipped for known judges."""
    snapshot: Callable[[str], list[Triplet]] | None = None
    """Reads a snapshot of a workspace by name; None where there is no workspace."""
    hub: Hub | None = None
    """Finds models named on the hub; None where only built-in names and folders are used."""
    progress: Progress = lambda what, done, total: None
    _ready: Ready | None = None

    def before_curation(self, arm: Arm) -> ArmData:
        """Return the arm's triplets as stage 1 or a file gave them."""
        if arm.generation is not None:
            return self._generated(arm.generation)
        if arm.file is not None:
            return ArmData(read_triplets(arm.file).triplets)
        if self.snapshot is None:
            raise InputError(f"Arm {arm.name!r} names a snapshot, but there is no workspace; name its triplets file.")
        return ArmData(self.snapshot(arm.snapshot or ""))

    def of(self, arm: Arm) -> ArmData:
        """Return the arm's triplets after curation. Raises InputError when none is left."""
        data = self.before_curation(arm)
        if arm.curation is not None:
            data = self._curated(data, arm.curation)
        if not data.triplets:
            raise InputError(f"Arm {arm.name!r} has no triplet left; loosen its rule or give it more premises.")
        return data

    def premises(self) -> list[Premise]:
        """Return the study's premises."""
        if self.study.premises is None:
            raise InputError(f"Study {self.study.name} names no premises.")
        read = read_premises(self.study.premises, column=self.study.column)
        return read.premises[: self.study.limit]

    def missing(self, config: GenerationConfig) -> int:
        """Return how many premises are still to be written with these settings."""
        return len(left_to_write(self.premises(), config, self.ready(), self.shelf, hub=self.hub))

    def ready(self) -> Ready:
        """Return what the study's corpus brings along."""
        if self._ready is None:
            corpus = self.study.premises if self.study.premises_name == SAMPLE else None
            self._ready = Ready() if corpus is None else read_ready(corpus)
        return self._ready

    def _generated(self, config: GenerationConfig) -> ArmData:
        premises = self.premises()
        lines = written_lines(premises, config, self.ready(), self.shelf, hub=self.hub, progress=self.progress)
        found = [(premise, lines[premise.premise_id]) for premise in premises]
        triplets = [Triplet(p.text, line["positive"], line["hard_negative"]) for p, line in found if line["ok"]]
        return ArmData(triplets, generation_s=sum(line["s"] for _, line in found))

    def _curated(self, data: ArmData, curation: Curation) -> ArmData:
        positives = [(t.premise, t.positive) for t in data.triplets]
        negatives = [(t.premise, t.hard_negative) for t in data.triplets]
        raw, seconds = self._judged([*positives, *negatives], curation.judge)
        scores = self.calibration(curation).apply(raw)
        kept = keeps(curation.rule, scores[: len(positives)], scores[len(positives) :])
        triplets = [triplet for triplet, keep in zip(data.triplets, kept, strict=True) if keep]
        return ArmData(triplets, generation_s=data.generation_s, judging_s=seconds)

    def _judged(self, pairs: list[tuple[str, str]], judge_id: str) -> tuple[np.ndarray, float]:
        """Return raw values, float64 (pairs,), and the seconds they cost when they were made."""
        lines = judged_lines(pairs, judge_id, self.ready(), self.shelf, hub=self.hub, progress=self.progress)
        found = [lines[pair_id(pair)] for pair in pairs]
        return np.array([line["raw"] for line in found]), sum(line["s"] for line in found)

    def calibration(self, curation: Curation) -> Calibration:
        """Return the judge's curve to 0..5: fitted on the arm's gold folder, else the shipped one."""
        if curation.gold_dir is not None:
            return self._fitted(curation.judge, curation.gold_dir)
        found = next((curve for curve in self.calibrations if curve.judge_id == curation.judge), None)
        if found is None and curation.judge.startswith("digit:"):
            return Calibration(
                curation.judge, "as-answered", (0.0, 5.0), (0.0, 5.0), 0, 0, "the judge's own scale", 0, 0
            )
        if found is None:
            raise InputError(
                f"No calibration is shipped for judge {curation.judge}; "
                "name a folder with gold pairs (STSB-dev.tsv, SICKR-train.tsv) as gold_dir under curation."
            )
        return found

    def _fitted(self, judge_id: str, folder: Path) -> Calibration:
        gold = gold_pairs(folder)
        raw, _ = self._judged(gold.pairs, judge_id)
        return fit_calibration(judge_id, raw, gold.gold, fitted_on=gold.name, seed=0)
