import numpy as np
import pytest

from pipeline.analysis.masks import masked_pairs
from pipeline.analysis.neighbours import nearest, neighbour_table, neighbours_kept


def units(n, d=8, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_nearest_is_the_top_of_all_cosines():
    unit, query = units(200), units(1, seed=1)[0]
    rows, cosines = nearest(unit, query, count=7)
    expected = sorted(range(200), key=lambda row: -float(unit[row] @ query))[:7]
    assert rows.tolist() == expected
    np.testing.assert_allclose(cosines, unit[expected] @ query, rtol=1e-6)
    assert len(nearest(unit[:3], query, count=7)[0]) == 3
    assert len(nearest(unit[:0], query, count=7)[0]) == 0


def test_table_equals_sorting_each_row_and_never_holds_the_row_itself(monkeypatch):
    monkeypatch.setattr("pipeline.analysis.neighbours._BLOCK_CELLS", 700)  # several blocks
    unit, told = units(90), []
    table = neighbour_table(unit, count=5, on_block=told.append)
    for row in range(90):
        cosines = unit @ unit[row]
        cosines[row] = -2
        assert set(table[row]) == set(np.argsort(-cosines)[:5])
    assert told[-1] == 90
    assert len(told) > 1


def test_share_kept_by_hand():
    before = np.array([[1, 2], [0, 2], [0, 1]])
    after = np.array([[2, 1], [0, 3], [4, 5]])
    assert neighbours_kept(before, after).tolist() == [1.0, 0.5, 0.0]
    assert neighbours_kept(np.zeros((1, 0)), np.zeros((1, 0))).tolist() == [1.0]
    with pytest.raises(ValueError, match="one shape"):
        neighbours_kept(before, after[:2])


def plain_pairs(premise, positive, hard_negative, floor):
    """Every pair by a double loop: (premise's triplet, candidate's triplet, is hard negative)."""
    n = len(premise)
    found = {}
    for i in range(n):
        for j in range(n):
            if i != j and premise[i] @ positive[j] > floor:
                found[i, j, False] = float(premise[i] @ positive[j])
            if premise[i] @ hard_negative[j] > floor:
                found[i, j, True] = float(premise[i] @ hard_negative[j])
    return found


@pytest.mark.parametrize("cells", [1 << 23, 100])
def test_masked_pairs_equal_a_double_loop(monkeypatch, cells):
    monkeypatch.setattr("pipeline.analysis.masks._PAIR_CELLS", cells)
    sides = [units(30, seed=seed) for seed in range(3)]
    expected = plain_pairs(*sides, 0.4)
    found = masked_pairs(*sides, floor=0.4)
    triples = zip(found.premise, found.candidate, found.is_hard_negative, strict=True)
    assert {(int(i), int(j), bool(side)) for i, j, side in triples} == set(expected)
    assert len(found.cosine) == len(expected) > 50
    assert (np.diff(found.cosine) <= 0).all()
    assert found.candidates == 30 * 59


def test_a_raised_floor_still_counts_exactly():
    sides = [units(40, seed=seed) for seed in range(3)]
    found = masked_pairs(*sides, floor=0.0, most=100)
    assert 0 < len(found.cosine) <= 100
    # Single dot products and the matrix product differ in their last bits.
    assert len(plain_pairs(*sides, found.floor + 1e-6)) == len(found.cosine)


def test_without_triplets_there_are_no_pairs():
    assert len(masked_pairs(*[units(0)] * 3).cosine) == 0
