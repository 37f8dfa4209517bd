"""Calibration of judges: a monotone curve from raw values to 0..5, fitted on gold pairs, with its provenance."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.sts import StsTask, find_tasks, read_task
from pipeline.records import InputError
from pipeline.statistics import spearman

LOWEST, HIGHEST = 0.0, 5.0
MIN_PAIRS = 20
SAME, OTHER = 5.0, 0.0
"""Gold score of a pair that a decision confirms as equal in meaning, and of one that it confirms as different."""

_KNOTS = 8
_HELD_OUT_SHARE = 0.2
_FILE = "calibrations.json"
_BY_REASON = {"positive not entailed": ("a", OTHER), "negative not contradicted": ("b", SAME)}
"""Reason -> which pair it is about (a: premise and positive, b: premise and hard negative) and its gold."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone piecewise linear curve from a judge's raw value to 0..5."""

    judge_id: str
    version: str
    """Hash of the knots: judgements made with another curve have another version."""
    raw: tuple[float, ...]
    """Knots, strictly rising."""
    score: tuple[float, ...]
    """Scores at the knots, never falling, within 0..5."""
    spearman: float
    """Of raw values and gold, on held-out pairs."""
    mean_absolute_error: float
    """Of the calibrated scores (0..5), on held-out pairs."""
    fitted_on: str
    """Name of the gold pairs."""
    pairs_fit: int
    pairs_held_out: int

    def __post_init__(self) -> None:
        rises = all(x < y for x, y in zip(self.raw, self.raw[1:], strict=False))
        never_falls = all(x <= y for x, y in zip(self.score, self.score[1:], strict=False))
        inside = all(LOWEST <= value <= HIGHEST for value in self.score)
        if not (len(self.raw) == len(self.score) >= 1 and rises and never_falls and inside):
            raise InputError(f"The calibration of {self.judge_id} is not a monotone curve to 0..5; fit it again.")

    @property
    def is_worse_than_chance(self) -> bool:
        """Whether the raw values rank pairs no better than chance, or in reverse."""
        return not self.spearman > 0

    def apply(self, raw: np.ndarray) -> np.ndarray:
        """Map raw values to scores, float64 in 0..5 of the same shape; constant outside the knots, NaN stays NaN."""
        return np.interp(np.asarray(raw, dtype=np.float64), self.raw, self.score)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads."""
        return asdict(self) | {"raw": list(self.raw), "score": list(self.score)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Calibration":
        """Build a calibration from `to_json`'s values; InputError if fields are missing or it is not monotone."""
        try:
            return cls(**(fields | {"raw": tuple(fields["raw"]), "score": tuple(fields["score"])}))
        except (KeyError, TypeError) as error:
            raise InputError(f"A stored calibration lacks or has too many fields ({error}); fit it again.") from error


def fit_calibration(
    judge_id: str,
    raw: np.ndarray,
    gold: np.ndarray,
    *,
    fitted_on: str,
    seed: int,
) -> Calibration:
    """Fit a calibration by isotonic regression, thinned to a few knots.

    A fifth of the pairs is held out of the fit and gives the reported Spearman and mean absolute error.

    Args:
        judge_id: the judge whose raw values these are.
        raw: float (n,); pairs whose raw value or gold is not finite are left out.
        gold: float (n,), human scores on the scale 0..5 (see `gold_pairs`).
        fitted_on: name of the gold pairs, kept as provenance.
        seed: for the split.

    Raises:
        InputError: for fewer than MIN_PAIRS usable pairs or raw values that are all the same.
    """
    raw, gold = usable_pairs(judge_id, raw, gold)
    fitted, held_out = split(len(raw), seed)
    knots, scores = _knots(raw[fitted], gold[fitted])
    predicted = np.interp(raw[held_out], knots, scores)
    return Calibration(
        judge_id=judge_id,
        version=_version(judge_id, knots, scores),
        raw=tuple(knots.tolist()),
        score=tuple(scores.tolist()),
        spearman=round(spearman(raw[held_out], gold[held_out]), 4),
        mean_absolute_error=round(float(np.mean(np.abs(predicted - gold[held_out]))), 4),
        fitted_on=fitted_on,
        pairs_fit=len(fitted),
        pairs_held_out=len(held_out),
    )


def split(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the pairs to fit on and of the held-out fifth, int64 each."""
    order = np.random.default_rng(seed).permutation(count)
    held_out, fitted = np.split(order, [int(count * _HELD_OUT_SHARE)])
    return fitted, held_out


def default_calibration(judge_id: str, folder: Path) -> Calibration | None:
    """Return a judge's calibration from `folder`/calibrations.json; None if it has none."""
    return next((c for c in read_calibrations(folder) if c.judge_id == judge_id), None)


def read_calibrations(folder: Path) -> list[Calibration]:
    """Read `folder`/calibrations.json; empty without the file, InputError if it is damaged."""
    path = folder / _FILE
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["calibrations"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}); restore it from the repository.") from error
    return [Calibration.from_json(entry) for entry in entries]


def usable_pairs(judge_id: str, raw: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs with both values finite, gold clipped to 0..5.

    raw, gold: float (n,); returns float64 (pairs,) each. InputError for too few pairs or constant raw values.
    """
    raw, gold = np.asarray(raw, dtype=np.float64), np.asarray(gold, dtype=np.float64)
    if raw.shape != gold.shape or raw.ndim != 1:
        raise ValueError(f"expected raw and gold of one length, got shapes {raw.shape} and {gold.shape}")
    finite = np.isfinite(raw) & np.isfinite(gold)
    raw, gold = raw[finite], gold[finite]
    if len(raw) < MIN_PAIRS:
        raise InputError(
            f"{judge_id} has {len(raw)} usable gold pairs; at least {MIN_PAIRS} are needed to calibrate."
        )
    if np.ptp(raw) == 0:
        raise InputError(f"{judge_id} gives the same value to every gold pair; it cannot be calibrated.")
    return raw, np.clip(gold, LOWEST, HIGHEST)


def _knots(raw: np.ndarray, gold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit isotonic steps and reduce them to means over groups of equal size: float64 (knots,), (knots,)."""
    from sklearn.isotonic import IsotonicRegression

    curve = IsotonicRegression(y_min=LOWEST, y_max=HIGHEST, out_of_bounds="clip").fit(raw, gold)
    groups = np.array_split(np.sort(raw), min(_KNOTS, len(raw) // 5))
    centres = np.array([group.mean() for group in groups])
    scores = np.array([curve.predict(group).mean() for group in groups])
    # Group means do not reach the extremes; the end knots keep the best and worst pairs apart.
    centres = np.concatenate([[raw.min()], centres, [raw.max()]])
    scores = np.concatenate([curve.predict([raw.min()]), scores, curve.predict([raw.max()])])
    centres, first = np.unique(centres.round(4), return_index=True)
    return centres, np.maximum.accumulate(np.clip(scores[first], LOWEST, HIGHEST)).round(4)


def _version(judge_id: str, knots: np.ndarray, scores: np.ndarray) -> str:
    content = json.dumps([judge_id, knots.tolist(), scores.tolist()])
    return blake2b(content.encode(), digest_size=6).hexdigest()


def decision_targets(
    actions: Sequence[str], reasons: Sequence[str | None], a_raw: np.ndarray, b_raw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Turn decisions into gold pairs: raw values and gold, float64 (pairs,) each.

    Args:
        actions: accept, reject, swap or edit per triplet, (n,).
        reasons: reason of each rejection, (n,).
        a_raw: float (n,), the judge's raw values of (premise, positive).
        b_raw: float (n,), those of (premise, hard negative).
    """
    raw: list[float] = []
    gold: list[float] = []
    for action, reason, a, b in zip(actions, reasons, a_raw, b_raw, strict=True):
        if action == "accept":
            raw += [a, b]
            gold += [SAME, OTHER]
        elif action == "swap":
            raw += [a, b]
            gold += [OTHER, SAME]
        elif action == "reject" and reason in _BY_REASON:
            side, target = _BY_REASON[reason]
            raw.append(a if side == "a" else b)
            gold.append(target)
    return np.array(raw, dtype=np.float64), np.array(gold, dtype=np.float64)


GOLD_PAIRS = 500
"""Gold pairs scored for a calibration: enough for an isotonic curve, and seconds of work for the embedded LLM."""
_SCALES = ((0.0, 1.0), (1.0, 5.0), (0.0, 4.0), (0.0, 5.0))
"""Scales of published similarity scores; the first that holds every score of a file is its scale."""


@dataclass(frozen=True, slots=True)
class GoldPairs:
    """Pairs of sentences that people scored."""

    name: str
    pairs: list[tuple[str, str]]
    gold: np.ndarray
    """float64 (pairs,), converted to the scale 0..5."""


def tuning_tasks(folder: Path) -> dict[str, Path]:
    """Return the files of this folder meant for tuning: STSB-dev, other -dev files, then -train files.

    Raises InputError when there is none.
    """
    tasks = {
        name: path for name, path in find_tasks(folder, for_tuning=True).items() if name.endswith(("-dev", "-train"))
    }
    if not tasks:
        raise InputError(
            f"{folder} holds no -dev or -train file to calibrate a judge on: add one, or leave the folder out."
        )
    order = sorted(tasks, key=lambda task: (not task.endswith("-dev"), not task.startswith("STSB"), task))
    return {name: tasks[name] for name in order}


def gold_pairs(folder: Path, *, task: str = "", count: int = GOLD_PAIRS) -> GoldPairs:
    """Return a fixed sample of pairs of one of the folder's tasks, by default the first.

    Raises InputError for a task that does not exist, and for scores on an unknown scale.
    """
    tasks = tuning_tasks(folder)
    name = task or next(iter(tasks))
    if name not in tasks:
        raise InputError(f"{folder} has no task {name} to calibrate on; it has {', '.join(tasks)}.")
    read = read_task(name, tasks[name])
    low, high = gold_scale(read)
    chosen = np.random.default_rng(0).permutation(len(read))[:count]
    gold = (read.gold[chosen] - low) / (high - low) * 5.0
    return GoldPairs(name, [(read.sentence1[i], read.sentence2[i]) for i in chosen], gold)


def gold_scale(task: StsTask) -> tuple[float, float]:
    """Return the ends of the task's scale: the first of 0..1, 1..5, 0..4 and 0..5 that contains all of its scores.

    SemEval's tasks (STS12 to STS16, STSB) use 0..5 even if no pair is below 1 or above 4. Raises InputError for
    scores on another scale.
    """
    lowest, highest = float(task.gold.min()), float(task.gold.max())
    fitting = [(low, high) for low, high in _SCALES if low <= lowest and highest <= high]
    if not fitting:
        raise InputError(
            f"{task.name} has gold scores from {lowest:g} to {highest:g}; a judge is calibrated on scores of 0 to 1, "
            "0 to 4, 0 to 5 or 1 to 5: convert them."
        )
    return _SCALES[-1] if task.name.startswith("STS") and highest > 1 else fitting[0]
