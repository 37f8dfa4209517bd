"""Several judges as one: their raw values, standardised and added with weights fitted on gold pairs.

    raw(a, b) = sum_m w_m (raw_m(a, b) - mean_m) / std_m,   w_m >= 0

The weights minimise the squared distance of raw, up to a constant, to the gold scores. None is negative: a judge that
contradicts people is left out and not believed the other way round.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from pipeline.curation.calibration import MIN_PAIRS, split
from pipeline.errors import InputError

KIND = "ensemble"


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Judges with their weights; its id begins with `ensemble:`."""

    judge_id: str
    members: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    weight: tuple[float, ...]

    def raw(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the raw value float64 (n,) of pairs whose members' raw values, float (n,) each, are given.

        NaN where one of them is missing. Raises InputError for a judge that is not given at all.
        """
        missing = [member for member in self.members if member not in values]
        if missing:
            raise InputError(f"{self.judge_id} needs the scores of {', '.join(missing)}: judge with them first.")
        columns = np.stack([np.asarray(values[member], dtype=np.float64) for member in self.members], axis=1)
        return ((columns - self.mean) / self.std) @ np.asarray(self.weight)

    @property
    def version(self) -> str:
        """Hash of what it is: another fit has another version."""
        return blake2b(json.dumps(asdict(self)).encode(), digest_size=6).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return JSON values that `from_json` reads."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Ensemble":
        """Build an ensemble from `to_json`'s values; InputError when they are not one."""
        try:
            mean, std, weight = (tuple(float(value) for value in fields[name]) for name in ("mean", "std", "weight"))
            return cls(str(fields["judge_id"]), tuple(map(str, fields["members"])), mean, std, weight)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"A stored ensemble cannot be read ({error}); fit it again.") from error


def fit_ensemble(name: str, values: Mapping[str, np.ndarray], gold: np.ndarray, *, seed: int) -> Ensemble:
    """Fit the weights on the pairs that a calibration with the same seed is fitted on; the others stay held out.

    Args:
        name: what comes after `ensemble:`.
        values: raw values by judge, float (n,) each, of the same pairs.
        gold: float (n,).
        seed: of the split.

    Raises:
        InputError: for fewer than two judges, too few pairs with all values, or when no judge agrees with gold.
    """
    from scipy.optimize import nnls

    members = tuple(sorted(values))
    if len(members) < 2:
        raise InputError("An ensemble needs at least two judges.")
    columns = np.stack([np.asarray(values[member], dtype=np.float64) for member in members], axis=1)
    gold = np.asarray(gold, dtype=np.float64)
    usable = np.isfinite(columns).all(axis=1) & np.isfinite(gold)
    columns, gold = columns[usable], gold[usable]
    if len(gold) < MIN_PAIRS:
        raise InputError(f"{len(gold)} pairs have the values of all judges; an ensemble needs at least {MIN_PAIRS}.")
    fitted, _ = split(len(gold), seed)
    columns, gold = columns[fitted], gold[fitted]
    mean, std = columns.mean(axis=0), columns.std(axis=0)
    if not (std > 0).all():
        raise InputError("A judge of the ensemble gives the same value to every pair: leave it out.")
    weight, _ = nnls((columns - mean) / std, gold - gold.mean())
    if not weight.any():
        raise InputError("None of these judges agrees with the gold pairs: an ensemble of them would say nothing.")
    return Ensemble(f"{KIND}:{name}", members, *(tuple(part.round(6).tolist()) for part in (mean, std, weight)))


def members_first(judge_ids: Sequence[str], ensembles: Mapping[str, Ensemble]) -> list[str]:
    """Return the judges with every member of an ensemble before it, each once."""
    ordered: dict[str, None] = {}
    for judge_id in judge_ids:
        if judge_id in ensembles:
            ordered.update(dict.fromkeys(ensembles[judge_id].members))
    plain = [judge_id for judge_id in judge_ids if judge_id not in ensembles]
    ordered.update(dict.fromkeys(plain))
    ordered.update(dict.fromkeys(judge_id for judge_id in judge_ids if judge_id in ensembles))
    return list(ordered)
