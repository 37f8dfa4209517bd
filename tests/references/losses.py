"""The losses of stage 3 written as double loops over plain float64 numbers, straight from their definitions."""

import math


def cosine(x: list[float], y: list[float]) -> float:
    dot = sum(a * b for a, b in zip(x, y, strict=True))
    return dot / (math.sqrt(sum(a * a for a in x)) * math.sqrt(sum(b * b for b in y)))


def is_masked(rule, threshold, protect, guide, i, k, owners=None) -> bool:
    """owners: the row of every hard negative, one after the other; None for one each."""
    n = len(guide)
    is_own = k >= n and (owners or range(n))[k - n] == i
    if rule == "none" or k == i or (protect and is_own):
        return False
    own = guide[i][i]
    limit = {
        "phi": threshold,
        "released": threshold,
        "gist_absolute": own - threshold,
        "gist_relative": own - abs(own) * threshold,
    }[rule]
    return guide[i][k] > limit


def info_nce(
    anchors, positives, hard_negatives, guide, *, temperature, rule, threshold, protect=False, owners=None
) -> float:
    """Sum over candidates that are not masked; the largest exponent is taken out so that nothing overflows."""
    candidates = list(positives) + list(hard_negatives)
    total = 0.0
    for i, anchor in enumerate(anchors):
        logits = [cosine(anchor, c) / temperature for c in candidates]
        kept = [s for k, s in enumerate(logits) if not is_masked(rule, threshold, protect, guide, i, k, owners)]
        top = max(kept)
        total -= logits[i] - top - math.log(sum(math.exp(s - top) for s in kept))
    return total / len(anchors)


def cosent(firsts, seconds, scores, *, temperature) -> float:
    """log(1 + sum of exp(difference of cosines / temperature) over pairs of pairs whose scores differ)."""
    cosines = [cosine(x, y) for x, y in zip(firsts, seconds, strict=True)]
    wrong = [
        (cosines[low] - cosines[high]) / temperature
        for high in range(len(scores))
        for low in range(len(scores))
        if scores[high] > scores[low]
    ]
    return math.log(1 + sum(math.exp(difference) for difference in wrong))


def released(anchors, positives, hard_negatives, guide, *, temperature, threshold, protect=False) -> float:
    """Binary cross entropy over all N x 2N cells of a softmax in which a masked logit is 0 (not removed)."""
    candidates = list(positives) + list(hard_negatives)
    cells = 0.0
    for i, anchor in enumerate(anchors):
        logits = [
            0.0 if is_masked("released", threshold, protect, guide, i, k) else cosine(anchor, c) / temperature
            for k, c in enumerate(candidates)
        ]
        for k, logit in enumerate(logits):
            if k == i:
                cells -= logit - log_sum_exp(logits)
            else:
                # log(1 - p_k) = log of the sum without k, less log of the whole sum.
                cells -= log_sum_exp(logits[:k] + logits[k + 1 :]) - log_sum_exp(logits)
    return cells / (len(anchors) * len(candidates))


def log_sum_exp(values) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values))
