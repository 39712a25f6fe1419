"""The plane of a path: principal directions, projection along oblique ones, and the random walk beside it."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.geometry.trajectory_pca import (
    cosine_content,
    explained,
    plane_from_path,
    project,
    random_walk_mode,
    random_walk_null,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def made(scales, dimension, points=12, seed=0):
    """A path with these standard deviations along orthonormal directions, which are returned as rows."""
    draw = np.random.default_rng(seed)
    k = len(scales)
    u = draw.standard_normal((points, k))
    u = np.linalg.qr(u - u.mean(axis=0))[0] * math.sqrt(points)  # centred, orthogonal, of variance 1
    v = np.linalg.qr(draw.standard_normal((dimension, k)))[0].T
    mean = 10 * draw.standard_normal(dimension)
    return mean + u * np.array(scales) @ v, v, mean


def walk(points):
    """An ideal random walk: each step of length 1 along an axis of its own."""
    return np.tril(np.ones((points, points - 1)), -1)


# Principal directions


@pytest.mark.parametrize("dimension", [3, 5, 40])
def test_fractions_of_the_variance_are_found(dimension):
    path, _, _ = made([3.0, 2.0, 1.0], dimension)
    want = np.zeros(min(11, dimension))
    want[:3] = np.array([9.0, 4.0, 1.0]) / 14
    with expect.unchanged(path):
        got = explained(path)
    expect.close(got, want, f"fractions of a path in {dimension} dimensions", rtol=1e-10, atol=1e-12)
    expect.close(explained(1e-6 * path + 5), want, "the same, small and moved", rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dimension", [3, 40])
def test_directions_of_a_path_are_found(dimension):
    path, v, mean = made([3.0, 2.0, 1.0], dimension)
    with expect.unchanged(path):
        found = plane_from_path(path, 3)
    expect.close(found.mean, mean, "mean of the path", rtol=1e-10)
    expect.close(found.explained, np.array([9.0, 4.0, 1.0]) / 14, "its fractions", rtol=1e-10)
    for i in range(3):
        sign = math.copysign(1.0, v[i][np.abs(v[i]).argmax()])
        expect.close(
            found.directions[i], sign * v[i], f"direction {i}, its largest entry positive", atol=1e-9
        )
    two = plane_from_path(path)
    expect.equal((two.directions.shape, two.explained.shape), ((2, dimension), (2,)), "shapes for k left out")
    expect.close(two.directions, found.directions[:2], "two of the three", atol=1e-12)


@pytest.mark.parametrize("step", [[3.0, -2.0, -2.0], [1.0, 1.0, -2.0]], ids=str)
def test_the_entry_of_largest_magnitude_is_positive(step):
    step = np.array(step)
    want = step * np.sign(step[np.abs(step).argmax()]) / np.linalg.norm(step)
    for way in (1, -1):
        found = plane_from_path(np.outer(np.arange(5.0), way * step), 1)
        expect.close(found.directions[0], want, f"direction of a path along {way * step}", atol=1e-12)


def test_no_other_plane_is_closer(rng):
    path = np.cumsum(rng.standard_normal((15, 8)), axis=0)
    found = plane_from_path(path)
    total = float(((path - path.mean(axis=0)) ** 2).sum())
    missed = float((project(path, found.mean, found.directions).distance ** 2).sum())
    expect.close(1 - missed / total, float(found.explained.sum()), "1 - (distances)^2 / variance", rtol=1e-10)
    for _ in range(20):
        other = found.directions + 0.1 * rng.standard_normal((2, 8))
        worse = float((project(path, found.mean, other).distance ** 2).sum())
        expect.true(
            worse >= missed, f"a tilted plane misses {worse}, the principal one {missed}: expected less"
        )


def test_directions_stay_orthonormal_where_nothing_is_left():
    path = np.outer(np.arange(5.0), [3.0, 4.0, 0.0])
    with expect.quiet("a path on a line"):
        found = plane_from_path(path, 3)
    expect.close(found.explained, np.array([1.0, 0.0, 0.0]), "fractions of a path on a line", atol=1e-12)
    expect.close(found.directions[0], np.array([0.6, 0.8, 0.0]), "its direction", atol=1e-12)
    expect.close(
        found.directions @ found.directions.T, np.eye(3), "inner products of the directions", atol=1e-12
    )
    expect.close(explained([[0.0, 1.0], [2.0, 1.0]]), np.array([1.0]), "fractions of two points")


# Projection


def test_the_nearest_point_of_an_oblique_plane(rng):
    directions = np.array([[2.0, 0, 0, 0], [1.0, 3.0, 0, 0]])
    origin = np.array([1.0, 1.0, 1.0, 1.0])
    c, off = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    points = origin + c @ directions + np.c_[np.zeros((6, 2)), off]
    with expect.unchanged(points, origin, directions):
        got = project(points, origin, directions)
    expect.close(got.coordinates, c, "coordinates along (2, 0, 0, 0) and (1, 3, 0, 0)", rtol=1e-11)
    want = np.array([math.hypot(*x) for x in off])
    expect.close(got.distance, want, "distances from their plane", rtol=1e-11)


def test_no_point_of_the_plane_is_nearer(rng):
    directions, origin, points = (
        rng.standard_normal((3, 7)),
        rng.standard_normal(7),
        rng.standard_normal((5, 7)),
    )
    got = project(points, origin, directions)
    rest = points - origin - got.coordinates @ directions
    expect.close(rest @ directions.T, np.zeros((5, 3)), "what is left, along the directions", atol=1e-11)
    expect.close(got.distance, np.sqrt((rest**2).sum(axis=1)), "distances", rtol=1e-11)
    one = project(points[:1], origin, directions[:1])
    d, x = directions[0], points[0] - origin
    expect.close(one.coordinates, np.array([[d @ x / (d @ d)]]), "one point, one direction", rtol=1e-11)


def test_another_path_may_be_far_from_the_plane():
    """In its own plane a path is near; what does not lie there is reported, and not hidden."""
    path, v, mean = made([3.0, 2.0], 6)
    aside = np.linalg.svd(v)[2][-1]  # orthogonal to both
    found = plane_from_path(path)
    expect.close(
        project(path, mean, found.directions).distance, np.zeros(12), "distances of the path", atol=1e-9
    )
    got = project(path + 7 * aside, mean, found.directions)
    expect.close(got.distance, np.full(12, 7.0), "distances of the path moved aside by 7", rtol=1e-9)


# A random walk


def test_the_null_of_infinitely_many_points():
    k = np.array([1, 2, 3])
    expect.close(random_walk_null(k), 6 / (math.pi**2 * np.array([1.0, 4, 9])), "null of components 1, 2, 3")
    expect.close(random_walk_null(2), 6 / (4 * math.pi**2), "null of component 2")
    first = float(random_walk_null(np.arange(1, 200001)).sum())
    expect.close(first, 1 - 6 / math.pi**2 / 200000, "sum of the first 200000", rtol=1e-9)


@pytest.mark.parametrize("points", [2, 3, 4, 11, 30])
def test_the_null_of_an_ideal_walk_is_exact(points):
    """Orthogonal steps of length 1: the Gram matrix of a walk in infinitely many dimensions, in T - 1."""
    k = np.arange(1, points)
    x = walk(points) - walk(points).mean(axis=0)
    values = np.linalg.eigvalsh(x @ x.T)[::-1][: points - 1]
    null = random_walk_null(k, points)
    expect.close(null, values / values.sum(), f"fractions of a walk of {points} points", rtol=1e-10)
    expect.close(explained(walk(points)), null, "explained by the walk and the null", rtol=1e-10)
    expect.close(float(null.sum()), 1.0, "sum of the null", rtol=1e-12)
    for i in k:
        one = random_walk_null(int(i), points)
        expect.close(one, float(values[i - 1] / values.sum()), f"component {i}", rtol=1e-10)


def test_the_two_nulls_meet():
    got, want = random_walk_null(np.array([1, 2, 5]), 10**6), 6 / (math.pi * np.array([1.0, 2.0, 5.0])) ** 2
    expect.close(got, want, "the null of a million points", rtol=1e-10)
    expect.close(random_walk_null(np.array([1, 2, 5])), want, "the null of infinitely many", rtol=1e-12)
    expect.equal(random_walk_null(np.ones((2, 3), int), 5).shape, (2, 3), "shape of the null for k of (2, 3)")


def test_modes_are_half_waves_of_a_cosine():
    for points in (2, 5, 12):
        modes = np.stack([random_walk_mode(k, points) for k in range(1, points)])
        want = [
            [math.sqrt(2 / points) * math.cos(math.pi * k * (t + 0.5) / points) for t in range(points)]
            for k in range(1, points)
        ]
        expect.close(modes, np.array(want), f"modes of {points} points", rtol=1e-11, dtype=float)
        expect.close(modes @ modes.T, np.eye(points - 1), "their inner products", atol=1e-12)


def test_coordinates_of_an_ideal_walk_are_its_modes():
    found = plane_from_path(walk(9), 4)
    c = project(walk(9), found.mean, found.directions).coordinates
    for k in range(4):
        mode = random_walk_mode(k + 1, 9)
        got = c[:, k] / np.linalg.norm(c[:, k]) * math.copysign(1.0, c[0, k])
        expect.close(got, mode, f"coordinate {k}, of length 1 and positive at the start", atol=1e-10)
    expect.close(cosine_content(c), np.ones(4), "cosine content of the coordinates", rtol=1e-10)


def test_cosine_content_is_a_squared_correlation(rng):
    c = rng.standard_normal((10, 3)) + 4
    want = []
    for k in range(3):
        x = c[:, k] - c[:, k].mean()
        m = np.array([math.cos(math.pi * (k + 1) * (t + 0.5) / 10) for t in range(10)])
        want.append((m @ x) ** 2 / (m @ m) / (x @ x))
    with expect.unchanged(c):
        got = cosine_content(c)
    expect.close(got, np.array(want), "cosine content", rtol=1e-11)
    expect.close(cosine_content(-7 * c + 2), got, "the same of other units and signs", rtol=1e-10)
    swapped = np.stack([random_walk_mode(2, 10), random_walk_mode(1, 10)], axis=1)
    expect.close(cosine_content(swapped), np.zeros(2), "content of two modes in the wrong order", atol=1e-12)
    with expect.quiet("a constant column"):
        flat = cosine_content(np.stack([random_walk_mode(1, 10), np.zeros(10)], axis=1))
    expect.close(flat, np.array([1.0, 0.0]), "content of a mode and of a constant", atol=1e-12)


def test_a_real_walk_is_near_the_null_and_a_decay_is_not(rng):
    """In 400 dimensions the fractions are off by 0.016, sd 0.009, over 50 seeds: 0.06 is 5 sd above."""
    path = np.cumsum(rng.standard_normal((60, 400)), axis=0)
    found = plane_from_path(path)
    null = random_walk_null(np.array([1, 2]), 60)
    off = float(np.max(np.abs(found.explained - null)))
    expect.true(off < 0.06, f"a random walk explains {found.explained}, {off:.3f} off the null {null}")
    content = cosine_content(project(path, found.mean, found.directions).coordinates)
    expect.true(bool((content > 0.9).all()), f"cosine content {content} of a random walk, expected above 0.9")
    settling = rng.standard_normal((3000, 5)) @ np.diag([2.0, 1, 1, 1, 1])
    seen = plane_from_path(settling)
    noise = cosine_content(project(settling, seen.mean, seen.directions).coordinates)
    expect.true(bool((noise < 0.05).all()), f"cosine content {noise} of noise around a minimum, expected ~ 0")


# Errors


def test_paths_without_a_plane_are_refused():
    for bad in (np.ones(3), np.ones((1, 3))):
        for f in (explained, plane_from_path):
            with expect.raises(ValueError, str(bad.shape)):
                f(bad)
    for f in (explained, plane_from_path):
        with expect.raises(ValueError):
            f(np.full((4, 3), 0.1))
        for bad in (math.nan, math.inf):
            with expect.raises(ValueError, "7"):
                f(np.r_[np.arange(14.0), bad, 1.0, bad, 2.0].reshape(9, 2))
    path = made([2.0, 1.0], 4, points=4)[0]
    expect.equal(plane_from_path(path, 1).directions.shape, (1, 4), "shape of one direction")
    for k in (0, 4, -1):
        with expect.raises(ValueError, str(k), "3"):
            plane_from_path(path, k)
    expect.close(
        plane_from_path(path, 3).explained[:2], np.array([0.8, 0.2]), "with the largest k", rtol=1e-9
    )


def test_planes_that_do_not_fit_are_named():
    for shape in ((4,), (1,), (), (1, 3)):
        with expect.raises(ValueError, "(2, 3)", str(shape)):
            project(np.ones((2, 3)), np.ones(shape), np.eye(3)[:2])
    with expect.raises(ValueError, "(3,)"):
        project(np.ones(3), np.ones(3), np.eye(3)[:2])
    with expect.raises(ValueError, "(1, 4)"):
        project(np.ones((2, 3)), np.ones(3), np.ones((1, 4)))
    with expect.raises(ValueError, "(3,)"):
        project(np.ones((2, 3)), np.ones(3), np.ones(3))
    with expect.raises(ValueError, "1", "2"):
        project(np.ones((2, 3)), np.zeros(3), [[1.0, 2, 3], [2.0, 4, 6]])


def test_components_that_do_not_exist_are_named():
    for k, points, named in ((0, None, "0"), (-2, 9, "-2"), (9, 9, "9"), (1, 1, "1"), (1, -5, "-5")):
        with expect.raises(ValueError, named):
            random_walk_null(k, points)
    with expect.raises(ValueError, "0"):
        random_walk_null(np.array([1, 0]))
    for k in (0, 5, 6):
        with expect.raises(ValueError, str(k), "4"):
            random_walk_mode(k, 5)
    for bad in (np.ones(4), np.ones((3, 3))):
        with expect.raises(ValueError, str(bad.shape)):
            cosine_content(bad)
