"""Agreement of annotators beyond chance."""

from collections import Counter
from collections.abc import Hashable, Sequence


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Agreement of two annotators beyond chance, (p_o - p_e) / (1 - p_e) (Cohen 1960).

    Args:
        first: label per item by one annotator, (n,).
        second: label per item by the other, (n,).

    Returns:
        At most 1; 0 is chance. NaN without items, or if both gave the same single label to every item.
    """
    if len(first) != len(second):
        raise ValueError(f"both annotators need the same number of labels, got {len(first)} and {len(second)}")
    n = len(first)
    if not n:
        return float("nan")
    observed = sum(x == y for x, y in zip(first, second, strict=True)) / n
    counts, others = Counter(first), Counter(second)
    expected = sum(counts[label] * others[label] for label in counts) / n**2
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")


def krippendorff_alpha(items: Sequence[Sequence[Hashable]]) -> float:
    """Agreement of any number of annotators, 1 - D_o / D_e for nominal labels (Krippendorff 2011, section C).

    Args:
        items: per item its labels, one per annotator who saw it; items with one label do not count.

    Returns:
        At most 1; 0 is chance. NaN if nothing can be compared or only one label occurs.
    """
    rated = [Counter(labels) for labels in items if len(labels) > 1]
    totals: Counter[Hashable] = sum(rated, Counter())
    n = totals.total()
    # Pairs of different labels within items, each item weighted by 1 / (labels - 1), against pairs over all labels.
    apart = sum((c.total() ** 2 - sum(k * k for k in c.values())) / (c.total() - 1) for c in rated)
    possible = n * n - sum(k * k for k in totals.values())
    return 1 - (n - 1) * apart / possible if possible else float("nan")
