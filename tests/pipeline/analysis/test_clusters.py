import numpy as np
import pytest

from pipeline.analysis.projection import cluster, distinguishing_words


def test_planted_groups_come_out_largest_first():
    generator = np.random.default_rng(0)
    planted = np.repeat([0, 1, 2], [30, 120, 60])
    vectors = generator.normal(size=(3, 20))[planted] + 0.1 * generator.normal(size=(210, 20))
    groups = cluster(vectors, seed=0, count=3)
    assert [len(set(groups[planted == g])) for g in range(3)] == [1, 1, 1]
    assert groups[planted == 1][0] == 0
    assert np.bincount(groups).tolist() == [120, 60, 30]
    np.testing.assert_array_equal(cluster(vectors, seed=0, count=3), groups)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_few_points(n):
    assert len(cluster(np.eye(4)[:n], seed=0)) == n


def test_names_are_words_of_their_own_group():
    texts = ["the cat sleeps", "the cat eats", "the dog runs", "the dog barks at the dog"]
    names = distinguishing_words(texts, np.array([0, 0, 1, 1]))
    assert names == ["cat", "dog"], "'the' is everywhere; a word seen once names nothing"
    assert distinguishing_words(["a b"], np.array([0])) == [""]
    with pytest.raises(ValueError, match="as many"):
        distinguishing_words(["x"], np.array([0, 1]))
