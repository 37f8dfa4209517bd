"""Masking is right: of candidates that are known duplicates much is masked, of others little, by the real guide."""

import numpy as np
import pytest

from benchmarks.masking import masking_table
from pipeline.encoders import load_encoder
from pipeline.training.losses import LossSettings

GROUPS = [
    line.split(" | ")
    for line in (
        "A dog runs along the beach. | A dog is running on the beach. | Along the beach runs a dog.",
        "A woman is slicing an onion. | An onion is being sliced by a woman. | A lady cuts an onion into slices.",
        "The train to the coast is late. | The coast train is late. | There is a delay of the coast train.",
        "Two boys play football in the park. | Two boys kick a football in a park. | Two boys play soccer there.",
        "The price of oil fell on Monday. | Oil prices dropped on Monday. | On Monday oil became cheaper.",
    )
]


@pytest.fixture(scope="module")
def groups():
    guide = load_encoder("all-MiniLM-L6-v2")
    return [guide.encode(texts, normalize_embeddings=True) for texts in GROUPS]


def naive(groups, phi):
    """Every ordered pair of groups, every anchor, every candidate, one by one."""
    counts = {"duplicates": [0, 0], "others": [0, 0]}
    for own in groups:
        for other in groups:
            if own is other:
                continue
            for i, anchor in enumerate(own):
                for j, candidate in enumerate(own):
                    if j not in (i, (i + 1) % len(own)):
                        counts["duplicates"][0] += float(anchor @ candidate) > phi
                        counts["duplicates"][1] += 1
                for candidate in other:
                    counts["others"][0] += float(anchor @ candidate) > phi
                    counts["others"][1] += 1
    return [masked / all_ for masked, all_ in counts.values()]


def test_shares_over_phi_separate_duplicates_from_others(groups):
    phis = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    table = masking_table(groups, LossSettings(), phis, batches=400, seed=0)
    duplicates, others = ([getattr(row, name) for row in table] for name in ("duplicates", "others"))
    assert duplicates == sorted(duplicates, reverse=True) and duplicates[0] > 0.95
    assert max(others) == 0.0, "no text of another group comes near"
    assert duplicates[-1] < 0.5, "a high phi leaves most of them in"
    for row in table:
        assert [row.duplicates, row.others] == pytest.approx(naive(groups, row.threshold), abs=0.06)


def test_other_rules_are_measured_the_same_way(groups):
    gist = masking_table(groups, LossSettings(mask_rule="gist_absolute"), (0.0, 0.1, 0.3), batches=100, seed=0)
    assert [row.duplicates for row in gist] == sorted(row.duplicates for row in gist), "a wider margin masks more"
    assert 0 < gist[0].duplicates < gist[2].duplicates
    off = masking_table(groups, LossSettings(mask_rule="none"), (0.5,), batches=20, seed=0)
    assert (off[0].duplicates, off[0].others) == (0.0, 0.0)


def test_a_group_of_two_has_no_duplicate_beside_anchor_and_positive():
    with pytest.raises(ValueError, match="three texts"):
        masking_table([np.eye(2), np.eye(2)], LossSettings(), (0.5,), batches=1, seed=0)
