import math

import numpy as np
import pytest

from pipeline.analysis.projection import project, quality


def clusters(n=120, d=40, seed=0):
    """Three tight groups of directions and the group of each vector."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(3, d))
    group = np.arange(n) % 3
    return (centres[group] + 0.15 * generator.normal(size=(n, d))).astype(np.float32), group


@pytest.mark.parametrize("method", ["umap", "pca"])
def test_groups_stay_apart_and_the_seed_decides_the_drawing(method):
    vectors, group = clusters()
    plane = project(vectors, method=method, seed=4)
    assert plane.shape == (120, 2)
    assert plane.dtype == np.float32
    centres = np.stack([plane[group == g].mean(0) for g in range(3)])
    nearest = np.argmin(((plane[:, None] - centres) ** 2).sum(-1), axis=1)
    assert np.mean(nearest == group) > 0.95
    np.testing.assert_array_equal(project(vectors, method=method, seed=4), plane)


def test_pca_equals_the_singular_vectors_of_the_centred_unit_vectors():
    vectors, _ = clusters()
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    u, s, _ = np.linalg.svd(unit - unit.mean(0), full_matrices=False)
    plane = project(vectors, method="pca", seed=0)
    np.testing.assert_allclose(np.abs(plane), np.abs(u[:, :2] * s[:2]), atol=1e-4)


def test_length_of_a_vector_does_not_matter():
    vectors, _ = clusters()
    lengths = np.random.default_rng(1).uniform(0.1, 10, size=(120, 1)).astype(np.float32)
    np.testing.assert_allclose(
        project(vectors * lengths, method="pca", seed=0), project(vectors, method="pca", seed=0), atol=1e-4
    )


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6, 16])
@pytest.mark.parametrize("method", ["umap", "pca"])
def test_few_points_are_drawn_without_a_fuss(method, n):
    plane = project(clusters(n)[0], method=method, seed=0)
    assert plane.shape == (n, 2)
    assert np.isfinite(plane).all()


def test_equal_points_and_narrow_vectors():
    assert np.isfinite(project(np.ones((30, 8)), method="umap", seed=0)).all()
    assert project(np.ones((4, 1)), method="pca", seed=0).shape == (4, 2)


def test_copies_of_a_sentence_are_one_point_and_leave_the_others_where_they_were():
    # UMAP drew 20 copies as a cloud of 3 by 3, and they pulled the others about.
    vectors, _ = clusters(60)
    alone = project(vectors, seed=4)
    plane = project(np.concatenate([vectors, np.repeat(vectors[:1], 20, axis=0)]), seed=4)
    assert (plane[60:] == plane[0]).all()
    np.testing.assert_allclose(plane[:60], alone, atol=1e-6)
    assert len(np.unique(project(np.repeat(vectors[:3], 10, axis=0), seed=0), axis=0)) == 3


def test_wrong_input_is_said():
    with pytest.raises(ValueError, match="finite"):
        project(np.full((5, 3), np.nan), seed=0)
    with pytest.raises(ValueError, match="tsne"):
        project(np.ones((5, 3)), method="tsne", seed=0)


def test_quality_of_a_perfect_and_of_a_shuffled_drawing():
    # Points on a circle: their angle drawing is perfect for cosine neighbours, a shuffle of it is worthless.
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    perfect = quality(circle, circle, seed=0)
    assert perfect.trustworthiness == pytest.approx(1.0)
    assert perfect.neighbour_recall == pytest.approx(1.0)
    assert perfect.points == 200
    shuffled = quality(circle, np.random.default_rng(0).permutation(circle), seed=0)
    assert shuffled.trustworthiness < 0.65
    assert shuffled.neighbour_recall < 0.15


def test_neighbour_recall_by_hand():
    # Directions at 0, 10, 30, 70 and 150 degrees; in the drawing the last two change places with the first two.
    angles = np.radians([0, 10, 30, 70, 150])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    plane = np.stack([[0.0, 1.0, 3.0, 3.5, 9.0], np.zeros(5)], axis=1)
    # Nearest by angle: 1, 0, 1, 2, 3; nearest in the drawing: 1, 0, 3, 2, 3.
    assert quality(vectors, plane, seed=0, neighbours=1).neighbour_recall == pytest.approx(4 / 5)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_quality_of_too_few_points_is_not_defined(n):
    vectors, _ = clusters(n)
    measured = quality(vectors, np.zeros((n, 2)), seed=0)
    assert math.isnan(measured.trustworthiness)
    assert measured.points == n


def test_quality_measures_a_sample():
    vectors, _ = clusters(300)
    assert quality(vectors, project(vectors, method="pca", seed=0), seed=0, sample=50).points == 50
