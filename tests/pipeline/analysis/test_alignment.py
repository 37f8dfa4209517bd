"""A geometry planted on purpose: clusters, of which some members change sides under the second encoder."""

import numpy as np
import pytest

from pipeline.analysis.neighbours import neighbour_table, neighbours_kept
from pipeline.analysis.projection import displacement, project_aligned

N, GROUPS, D = 480, 6, 40


@pytest.fixture(scope="module")
def planted():
    """Two spaces and who moves: the second is the first turned at random, with an eighth of the points in the next
    group's place."""
    generator = np.random.default_rng(7)
    centres = generator.normal(size=(GROUPS, D))
    group = np.arange(N) % GROUPS
    noise = 0.35 * generator.normal(size=(N, D))
    movers = np.zeros(N, dtype=bool)
    movers[generator.permutation(N)[: N // 8]] = True
    turned, _ = np.linalg.qr(generator.normal(size=(D, D)))
    before = centres[group] + noise
    after = (centres[np.where(movers, (group + 1) % GROUPS, group)] + noise) @ turned
    return before.astype(np.float32), after.astype(np.float32), movers


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_movers_come_first_in_the_share_of_neighbours_kept(planted):
    before, after, movers = planted
    kept = neighbours_kept(*(neighbour_table(unit(space), count=10) for space in (before, after)))
    first = np.argsort(kept, kind="stable")[: movers.sum()]
    assert movers[first].mean() == 1.0


def test_on_the_aligned_map_only_movers_move(planted):
    before, after, movers = planted
    first, second = project_aligned([before, after], seed=3)
    assert first.shape == second.shape == (N, 2)
    moved = displacement(first, second)
    assert np.median(moved[~movers]) <= 0.1 * np.median(moved[movers])
    assert moved[~movers].mean() <= 0.1 * moved[movers].mean()


def test_wrong_input_is_said(planted):
    before, after, _ = planted
    with pytest.raises(ValueError, match="one length"):
        project_aligned([before, after[:-1]], seed=0)
    with pytest.raises(ValueError, match="at least 30"):
        project_aligned([before[:9], after[:9]], seed=0)


def test_displacement_by_hand():
    before = np.array([[1.0, 0], [-1, 0]])
    np.testing.assert_allclose(displacement(before, before + np.array([[0, 2], [0, 0]])), [2, 0])
