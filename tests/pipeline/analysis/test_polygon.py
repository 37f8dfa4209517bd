import numpy as np
import pytest

from pipeline.analysis.projection import inside


def plain_loop(points, polygon):
    """One point and one edge at a time, counting crossings of the ray to the right."""
    found = []
    for x, y in points:
        crossings = 0
        for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
            if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)):
                crossings += 1
        found.append(crossings % 2 == 1)
    return np.array(found)


def star(corners, seed):
    generator = np.random.default_rng(seed)
    angles = np.sort(generator.uniform(0, 2 * np.pi, corners))
    radii = generator.uniform(0.2, 1.0, corners)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


@pytest.mark.parametrize("corners", [3, 4, 7, 60])
def test_equals_the_plain_loop(corners):
    points = np.random.default_rng(corners).uniform(-1.2, 1.2, (3000, 2))
    polygon = star(corners, seed=corners)
    expected = plain_loop(points.tolist(), polygon.tolist())
    assert 0 < expected.sum() < len(points)
    np.testing.assert_array_equal(inside(points, polygon), expected)


def test_a_line_that_crosses_itself_leaves_its_doubled_middle_out():
    five = np.array([[np.sin(4 * np.pi * k / 5), np.cos(4 * np.pi * k / 5)] for k in range(5)])
    points = np.random.default_rng(1).uniform(-1, 1, (2000, 2))
    np.testing.assert_array_equal(inside(points, five), plain_loop(points.tolist(), five.tolist()))
    assert not inside(np.zeros((1, 2)), five)[0]
    assert inside(np.array([[0.0, 0.7]]), five)[0]


def test_points_on_a_grid_belong_to_exactly_one_of_two_touching_squares():
    """Points exactly on edges and corners, where rounding and ties happen."""
    grid = np.stack(np.meshgrid(np.arange(5.0), np.arange(5.0)), axis=-1).reshape(-1, 2)
    left = np.array([[0, 0], [2, 0], [2, 4], [0, 4]], dtype=float)
    right = np.array([[2, 0], [4, 0], [4, 4], [2, 4]], dtype=float)
    both = inside(grid, left).astype(int) + inside(grid, right)
    assert both.max() == 1
    np.testing.assert_array_equal(both == 1, (grid < 4).all(axis=1))


def test_direction_of_drawing_does_not_matter():
    points, polygon = np.random.default_rng(2).uniform(-1, 1, (500, 2)), star(9, seed=2)
    np.testing.assert_array_equal(inside(points, polygon), inside(points, polygon[::-1]))


def test_nothing_lies_in_less_than_a_triangle_and_wrong_shapes_are_said():
    assert not inside(np.zeros((3, 2)), np.array([[0.0, 0], [1, 1]])).any()
    assert inside(np.zeros((0, 2)), star(5, seed=0)).shape == (0,)
    with pytest.raises(ValueError, match="shapes"):
        inside(np.zeros((3, 3)), star(5, seed=0))
    with pytest.raises(ValueError, match="finite"):
        inside(np.zeros((3, 2)), np.array([[0, 0], [1, np.nan], [2, 2]]))
