"""The curation rule of stage 2: which triplets it keeps, and how many each condition removes."""

from dataclasses import dataclass

import numpy as np

from pipeline.config import CurationRule
from pipeline.records import InputError
from pipeline.statistics import Interval, multinomial_counts, spearman

MIN_DECISIONS = 20
MAX_DECISIONS = 2_000
"""Most decisions used, by sampling: the search holds one row per rule and one column per decision."""
_GRID = np.arange(0, 5.01, 0.25)
_GAPS = np.arange(-1, 3.01, 0.25)


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts of one rule over judged triplets; the three losses overlap, as each condition is counted separately."""

    judged: int
    kept: int
    lost_by_alpha: int
    """a below alpha: the positive is too far away."""
    lost_by_beta: int
    """b above beta: the hard negative is too close."""
    lost_by_gamma: int
    """a - b below gamma: the gap is too small."""
    unjudged: int
    """A score is missing (NaN): counted as neither kept nor lost."""


def keeps(rule: CurationRule, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Decide triplets: a >= alpha and b <= beta and a >= b + gamma (MultiCSR, arXiv 2310.10962, stage 2).

    Args:
        rule: the thresholds, on the scale 0..5.
        a: float (n,), scores of (premise, positive).
        b: float (n,), scores of (premise, hard negative).

    Returns:
        bool (n,); False where a score is NaN.
    """
    a, b = _scores(a, b)
    # Comparisons with NaN are False, so an unjudged triplet is never kept.
    return (a >= rule.alpha) & (b <= rule.beta) & _gap_holds(rule, a, b)


def funnel(rule: CurationRule, a: np.ndarray, b: np.ndarray) -> Funnel:
    """Count what a rule keeps and what each condition alone would lose; a, b as in `keeps`."""
    a, b = _scores(a, b)
    judged = np.isfinite(a) & np.isfinite(b)
    return Funnel(
        judged=int(judged.sum()),
        kept=int(keeps(rule, a, b).sum()),
        lost_by_alpha=int((judged & (a < rule.alpha)).sum()),
        lost_by_beta=int((judged & (b > rule.beta)).sum()),
        lost_by_gamma=int((judged & ~_gap_holds(rule, a, b)).sum()),
        unjudged=int((~judged).sum()),
    )


def _gap_holds(rule: CurationRule, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # b + gamma as in the paper: SQL and this function must agree to the last bit.
    return a >= b + rule.gamma


def _scores(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"expected a and b of the same shape, got {a.shape} and {b.shape}")
    return a, b


@dataclass(frozen=True, slots=True)
class RuleFit:
    """How well a rule agrees with people's decisions."""

    rule: CurationRule
    precision: Interval
    """Share of the kept triplets that people accepted."""
    recall: Interval
    """Share of the accepted triplets that the rule keeps."""
    f1: Interval
    """Harmonic mean of both."""
    decisions: int
    accepted: int


@dataclass(frozen=True, slots=True)
class BestRule:
    """The rule with the highest F1 on the grid, and a bootstrap interval for each threshold."""

    fit: RuleFit
    alpha: Interval
    beta: Interval
    gamma: Interval


def measure_rule(
    rule: CurationRule, a: np.ndarray, b: np.ndarray, accepted: np.ndarray, *, seed: int = 0, draws: int = 200
) -> RuleFit:
    """Compare a rule with decisions: a, b float (n,), scores as in `keeps`; accepted bool (n,)."""
    a, b, accepted = _sampled(a, b, accepted, seed)
    return _fit(rule, a, b, accepted, _weights(len(a), seed, draws))


def best_rule(a: np.ndarray, b: np.ndarray, accepted: np.ndarray, *, seed: int = 0, draws: int = 200) -> BestRule:
    """Search the grid of thresholds (steps of 0.25) for the highest F1; arguments as in `measure_rule`.

    The interval of a threshold is the middle 95 % of its best values over bootstrap draws of the decisions. Ties go
    to the loosest rule.

    Raises:
        InputError: for fewer than MIN_DECISIONS decisions, or when all or none were accepted.
    """
    a, b, accepted = _sampled(a, b, accepted, seed)
    if len(a) < MIN_DECISIONS or accepted.all() or not accepted.any():
        raise InputError(
            f"{len(a)} decided and judged triplets, {int(accepted.sum())} of them accepted: the best rule needs at "
            f"least {MIN_DECISIONS} with both kinds; decide more in the queue."
        )
    grid = np.stack(np.meshgrid(_GRID, _GRID[::-1], _GAPS, indexing="ij"), axis=-1).reshape(-1, 3)
    kept_rn = np.concatenate([_kept(block, a, b) for block in np.array_split(grid, 20)]).astype(np.float32)
    weights = _weights(len(a), seed, draws)
    f1_rd = _f1(kept_rn, accepted, np.concatenate([np.ones((len(a), 1)), weights], axis=1))
    best = grid[f1_rd.argmax(axis=0)]
    rule = CurationRule(*(float(value) for value in best[0]))
    intervals = [Interval.of(best[0, axis], best[1:, axis]) for axis in range(3)]
    return BestRule(_fit(rule, a, b, accepted, weights), *intervals)


def _kept(rules_r3: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether each rule (alpha, beta, gamma) keeps each decided triplet, bool (rules, n)."""
    alpha, beta, gamma = (rules_r3[:, axis, None] for axis in range(3))
    return (a >= alpha) & (b <= beta) & (a >= b + gamma)


def _f1(kept_rn: np.ndarray, accepted: np.ndarray, weights_nd: np.ndarray) -> np.ndarray:
    """F1 of each rule in each draw, float32 (rules, draws)."""
    weights_nd = weights_nd.astype(np.float32)
    hits = kept_rn @ (weights_nd * accepted[:, None])
    return 2 * hits / np.maximum(kept_rn @ weights_nd + (weights_nd * accepted[:, None]).sum(axis=0), 1e-9)


def _fit(rule: CurationRule, a: np.ndarray, b: np.ndarray, accepted: np.ndarray, weights_nd: np.ndarray) -> RuleFit:
    kept = keeps(rule, a, b)
    every = np.concatenate([np.ones((len(a), 1)), weights_nd], axis=1)
    hits, kept_d, accepted_d = ((flags @ every) for flags in (kept & accepted, kept, accepted))
    with np.errstate(invalid="ignore"):
        precision, recall = hits / kept_d, hits / accepted_d
        f1 = 2 * hits / (kept_d + accepted_d)
    of_precision, of_recall, of_f1 = (Interval.of(values[0], values[1:]) for values in (precision, recall, f1))
    return RuleFit(rule, of_precision, of_recall, of_f1, decisions=len(a), accepted=int(accepted.sum()))


@dataclass(frozen=True, slots=True)
class JudgeFit:
    """How well the scores of one judge agree with people's decisions."""

    decisions: int
    tau: float
    """Kendall's tau-b of the slack and acceptance, at most 1; NaN where people or the judge make no difference."""
    spearman: float
    """Spearman's correlation of the two, as `tau`."""
    error: Interval
    """Share of the decided triplets that the rule, by these scores, treats otherwise than people."""


def slack(rule: CurationRule, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return how far each triplet is inside the rule, float (n,): its smallest slack, negative where it is lost."""
    a, b = _scores(a, b)
    return np.minimum(np.minimum(a - rule.alpha, rule.beta - b), a - b - rule.gamma)


def measure_judge(
    rule: CurationRule, a: np.ndarray, b: np.ndarray, accepted: np.ndarray, *, seed: int = 0, draws: int = 200
) -> JudgeFit:
    """Compare one judge's scores with decisions; arguments as in `measure_rule`."""
    from scipy.stats import kendalltau

    a, b, accepted = _sampled(a, b, accepted, seed)
    inside = slack(rule, a, b)
    differs = len(a) > 1 and np.ptp(inside) > 0 and 0 < accepted.sum() < len(a)
    wrong = (keeps(rule, a, b) != accepted).astype(float)
    if not len(a):
        return JudgeFit(0, float("nan"), float("nan"), Interval(float("nan"), float("nan"), float("nan")))
    return JudgeFit(
        decisions=len(a),
        tau=float(kendalltau(inside, accepted).statistic) if differs else float("nan"),
        spearman=spearman(inside, accepted.astype(float)),
        error=Interval.of(float(wrong.mean()), wrong @ _weights(len(a), seed, draws) / len(a)),
    )


def _weights(n: int, seed: int, draws: int) -> np.ndarray:
    """How often each decision is drawn, float (n, draws)."""
    return multinomial_counts(np.random.default_rng(seed), n, draws).T.astype(np.float64)


def _sampled(
    a: np.ndarray, b: np.ndarray, accepted: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a, b, accepted = np.asarray(a, np.float64), np.asarray(b, np.float64), np.asarray(accepted, bool)
    usable = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    if len(usable) > MAX_DECISIONS:
        usable = np.sort(np.random.default_rng(seed).choice(usable, MAX_DECISIONS, replace=False))
    return a[usable], b[usable], accepted[usable]
