"""Slices of a loss: the points they are taken at, what keeps the picture the same, ridges and basins."""

import math

import numpy as np
import pytest

from curriculum.testing import expect, statistics
from dynamics.geometry.landscape import (
    axis,
    barrier,
    basins,
    interpolate,
    line,
    normalize,
    plane,
    random_direction,
)

SHAPES = [(3, 2), (3,), (2, 3), (2,)]  # a network 2-3-2 with biases
BARE = [(6, 4), (5, 6), (2, 5)]  # 4-6-5-2 without


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Seen:
    """A loss that remembers where it was asked, and spoils what it was given."""

    def __init__(self, f):
        self.f, self.points = f, []

    def __call__(self, x):
        self.points.append(x.copy())
        value = self.f(x)
        x[:] = math.nan
        return value


def bowl(n, seed=0):
    """A quadratic loss x'Ax/2 + g'x + 3 of n numbers, and its A and g."""
    draw = np.random.default_rng(seed)
    A = draw.standard_normal((n, n))
    A, g = A @ A.T, draw.standard_normal(n)
    return lambda x: float(x @ A @ x / 2 + g @ x + 3), A, g


def cut(theta, shapes):
    """The parameter arrays that theta consists of."""
    arrays, at = [], 0
    for shape in shapes:
        size = math.prod(shape)
        arrays.append(theta[at : at + size].reshape(shape))
        at += size
    return arrays


def relu_loss(shapes, seed=3):
    """Mean squared error of a network of ReLUs on 30 random samples: arrays of two axes are its weights."""
    draw = np.random.default_rng(seed)
    X, y = draw.standard_normal((30, shapes[0][1])), draw.standard_normal((30, shapes[-1][0]))

    def loss(theta):
        h, arrays = X, cut(theta, shapes)
        weights = [i for i, s in enumerate(shapes) if len(s) == 2]
        for i in weights:
            h = h @ arrays[i].T
            if i + 1 < len(shapes) and len(shapes[i + 1]) == 1:
                h = h + arrays[i + 1]
            if i != weights[-1]:
                h = np.maximum(h, 0)
        return float(np.mean((h - y[:, : h.shape[1]]) ** 2))

    return loss


# Coordinates


def test_an_axis_has_both_ends_and_its_centre():
    expect.close(axis(2.0, 5), np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), "axis(2, 5)", rtol=1e-15, dtype=float)
    for radius, n in ((0.9, 7), (0.9, 15), (0.1, 3), (1 / 3, 31), (1e-9, 101), (3e5, 21)):
        x = axis(radius, n)
        ends = (float(x[0]), float(x[n // 2]), float(x[-1]))
        expect.equal(ends, (-radius, 0.0, radius), f"first, middle and last of axis({radius}, {n})")
        expect.close(
            np.diff(x), np.full(n - 1, 2 * radius / (n - 1)), f"steps of axis({radius}, {n})", rtol=1e-9
        )
    expect.equal(axis(1.0).shape, (21,), "shape of axis(1)")


# Directions


def test_each_filter_gets_the_length_of_its_weights(rng):
    theta, d = rng.standard_normal(17), rng.standard_normal(17)
    with expect.unchanged(theta, d):
        got = normalize(d, theta, SHAPES)
    want = []
    for part, weights in zip(cut(d, SHAPES), cut(theta, SHAPES), strict=True):
        if part.ndim == 1:
            want += [0.0] * part.size
        else:
            for row, w in zip(part, weights, strict=True):
                want += list(row * math.sqrt(sum(w * w)) / math.sqrt(sum(row * row)))
    expect.close(got, np.array(want), "a direction, filter by filter", rtol=1e-9, dtype=float)
    expect.close(normalize(d, theta, SHAPES, "filter"), np.array(want), "with norm='filter'", rtol=1e-9)
    expect.close(
        normalize(1e-12 * d, theta, SHAPES), np.array(want), "of a direction 1e-12 as long", rtol=1e-9
    )


def test_a_filter_of_a_convolution_is_a_whole_block(rng):
    shapes = [(2, 3, 2, 2), (2,), (), (1, 4)]
    theta, d = rng.standard_normal(31), rng.standard_normal(31)
    got = cut(normalize(d, theta, shapes), shapes)
    for i in range(2):
        w, part = cut(theta, shapes)[0][i], cut(d, shapes)[0][i]
        want = part * math.sqrt((w**2).sum() / (part**2).sum())
        expect.close(got[0][i], want, f"filter {i} of a weight of shape (2, 3, 2, 2)", rtol=1e-9)
    expect.close(got[1], np.zeros(2), "the part of the bias")
    expect.close(float(got[2]), 0.0, "the part of an array without axes")


def test_by_layer_an_array_is_one_part(rng):
    theta, d = rng.standard_normal(17), rng.standard_normal(17)
    want = []
    for part, weights in zip(cut(d, SHAPES), cut(theta, SHAPES), strict=True):
        factor = 0.0 if part.ndim == 1 else math.sqrt((weights**2).sum() / (part**2).sum())
        want += list(factor * part.ravel())
    expect.close(
        normalize(d, theta, SHAPES, "layer"), np.array(want), "a direction, layer by layer", rtol=1e-9
    )


def test_without_norm_a_direction_is_copied(rng):
    theta, d = rng.standard_normal(17), rng.standard_normal(17)
    got = normalize(d, theta, SHAPES, "none")
    expect.close(got, d, "a direction with norm='none'", rtol=0, atol=0)
    expect.true(
        not np.shares_memory(got, d), "the result shares memory with the direction: expected a new array"
    )


@pytest.mark.parametrize("norm", ["filter", "layer"])
def test_parts_of_length_zero_are_zero(norm):
    shapes = [(2, 2), (2, 2)]
    theta = np.array([0.0, 0, 0, 0, 3, 4, 3, 4])
    with expect.quiet("parts of length 0"):
        none = normalize(np.ones(8), theta, shapes, norm)
        still = normalize(np.r_[np.ones(4), np.zeros(4)], theta, shapes, norm)
        whole = normalize(np.ones(8), theta[::-1], shapes, norm)
    each = 5 / math.sqrt(2)
    expect.close(none, np.r_[np.zeros(4), np.full(4, each)], "the first layer's weights are 0", rtol=1e-9)
    expect.close(whole, np.r_[np.full(4, each), np.zeros(4)], "the second layer's weights are 0", rtol=1e-9)
    expect.close(still + whole, whole, "both parts have something of length 0", rtol=1e-9)


def test_random_numbers_are_normal_and_the_same_for_every_theta(rng):
    n = 20000
    d = random_direction(np.zeros(n), [(n,)], rng=rng, norm="none")
    statistics.mean_is(d, 0.0, 1.0, "a random direction")
    statistics.variance_is(d, 1.0, "a random direction")
    inside = float(np.mean(np.abs(d) < 1))  # 0.6827, sd 0.0033: 5 sd
    expect.true(abs(inside - 0.6827) < 0.0165, f"{inside:.4f} of the numbers are within 1, expected 0.6827")
    theta = rng.standard_normal(17)
    raw = random_direction(theta, SHAPES, rng=np.random.default_rng(5), norm="none")
    other = random_direction(9 * theta, SHAPES, rng=np.random.default_rng(5), norm="none")
    expect.close(other, raw, "the numbers for another theta, from the same seed", rtol=0, atol=0)
    for norm in ("filter", "layer"):
        got = random_direction(theta, SHAPES, rng=np.random.default_rng(5), norm=norm)
        expect.close(got, normalize(raw, theta, SHAPES, norm), f"a random direction, norm={norm!r}")
    again = random_direction(theta, SHAPES, rng=np.random.default_rng(5))
    expect.close(again, normalize(raw, theta, SHAPES, "filter"), "a random direction by default")


# Lines and planes


def test_a_line_through_a_bowl_is_a_parabola(rng):
    f, A, g = bowl(4)
    theta, d, ts = rng.standard_normal(4), rng.standard_normal(4), np.array([2.0, 0.0, -1.0, 0.25])
    seen = Seen(f)
    with expect.unchanged(theta, d, ts):
        got = line(seen, theta, d, ts)
    want = f(theta) + ts * float(d @ (A @ theta + g)) + ts**2 * float(d @ A @ d) / 2
    expect.close(got, want, "the loss at theta + t d for t = 2, 0, -1, 1/4", rtol=1e-11, dtype=float)
    expect.equal(float(got[1]), f(theta), "the value at t = 0, to every digit")
    expect.equal(len(seen.points), 4, "calls of the loss")


def test_a_plane_through_a_bowl_is_the_bowl_of_two_directions(rng):
    f, A, g = bowl(5)
    theta, d1, d2 = rng.standard_normal((3, 5))
    a, b = np.array([-1.0, 0.0, 0.5, 2.0]), axis(0.3, 3)
    with expect.unchanged(theta, d1, d2, a, b):
        got = plane(Seen(f), theta, d1, d2, a, b)
    D = np.stack([d1, d2])
    slope, curvature = D @ (A @ theta + g), D @ A @ D.T
    want = np.empty((3, 4))
    for i in range(3):
        for j in range(4):
            x = np.array([a[j], b[i]])
            want[i, j] = f(theta) + slope @ x + x @ curvature @ x / 2
    expect.close(got, want, "[i, j] the loss at theta + a[j] d1 + b[i] d2", rtol=1e-11, dtype=float)


@pytest.mark.parametrize(("radius", "n"), [(1.0, 3), (0.9, 7), (1.7, 11)])
def test_the_centre_of_a_plane_is_the_point_itself(rng, radius, n):
    f, _, _ = bowl(6)
    theta, d1, d2 = rng.standard_normal((3, 6))
    seen = Seen(f)
    got = plane(seen, theta, d1, d2, axis(radius, n))
    expect.equal(got.shape, (n, n), "shape of the plane with b left out")
    expect.equal(float(got[n // 2, n // 2]), f(theta), "its middle and the loss at theta, to every digit")
    exact = any(np.array_equal(p, theta) for p in seen.points)
    expect.true(exact, "theta itself is not among the points at which the loss was asked")
    expect.close(
        got[:, n // 2], line(f, theta, d2, axis(radius, n)), "the middle column and the line along d2"
    )
    expect.close(got[n // 2], line(f, theta, d1, axis(radius, n)), "the middle row and the line along d1")


def test_losses_that_are_not_finite_are_kept():
    with expect.quiet("a loss that is inf or nan"):
        got = line(lambda x: math.inf if x[0] > 1 else float(x[0]), [1.0], [1.0], [-1.0, 0.0, 1.0])
    expect.equal(got.tolist(), [0.0, 1.0, math.inf], "a line that ends in infinity")
    got = plane(lambda x: math.nan if x[0] > 1 else float(x[1]), [1.0, 2.0], [1.0, 0], [0, 1.0], [0.0, 1.0])
    expect.close(got[:, 0], np.array([2.0, 3.0]), "the finite column of a plane")
    expect.true(
        bool(np.isnan(got[:, 1]).all()), f"the other column is {got[:, 1]}, expected nan, as the loss says"
    )


# What changes the picture, and what does not


def pictures(theta, shapes, norm, seed=1):
    """A line and a plane of the ReLU network's loss along directions of one seed."""
    draw, f = np.random.default_rng(seed), relu_loss(shapes)
    d1, d2 = (random_direction(theta, shapes, rng=draw, norm=norm) for _ in range(2))
    return line(f, theta, d1, axis(1.0, 11)), plane(f, theta, d1, d2, axis(1.0, 5))


@pytest.mark.parametrize("norm", ["filter", "layer"])
def test_scaling_layers_does_not_change_the_picture(rng, norm):
    """W1 a and W2 / a make the same function of ReLUs, and the same slices."""
    theta = rng.standard_normal(64)
    W1, W2, W3 = cut(theta, BARE)
    same = np.concatenate([7 * W1.ravel(), W2.ravel() / 7 / 3, 3 * W3.ravel()])
    for got, want, what in zip(
        pictures(same, BARE, norm), pictures(theta, BARE, norm), ("line", "plane"), strict=True
    ):
        expect.close(got, want, f"the {what} after W1 * 7, W2 / 21, W3 * 3", rtol=1e-10)
    raw, other = pictures(theta, BARE, "none")[0], pictures(same, BARE, "none")[0]
    apart = float(np.max(np.abs(other - raw)) / np.max(raw))
    expect.true(
        apart > 0.5, f"without norm the line changes by {apart:.3g} of its height, expected more than 0.5"
    )


def test_biases_move_with_their_layer(rng):
    theta = rng.standard_normal(17)
    W1, b1, W2, b2 = cut(theta, SHAPES)
    same = np.concatenate([7 * W1.ravel(), 7 * b1, W2.ravel() / 7, b2])
    got, want = pictures(same, SHAPES, "filter"), pictures(theta, SHAPES, "filter")
    expect.close(got[0], want[0], "the line after W1 * 7, b1 * 7, W2 / 7", rtol=1e-10)
    expect.close(got[1], want[1], "the plane after W1 * 7, b1 * 7, W2 / 7", rtol=1e-10)
    for picture, middle in ((got[0], 5), (got[1], (2, 2))):
        expect.close(picture[middle], relu_loss(SHAPES)(theta), "the loss in the middle", rtol=1e-10)


def test_scaling_single_neurons_does_change_it(rng):
    """Each neuron by its own factor: the same function, but one length cannot follow a mixed row."""
    theta = rng.standard_normal(64)
    W1, W2, W3 = cut(theta, BARE)
    a = np.array([8.0, 1 / 8, 8.0, 1 / 8, 8.0, 1 / 8])
    same = np.concatenate([(W1 * a[:, None]).ravel(), (W2 / a).ravel(), W3.ravel()])
    f, seed = relu_loss(BARE), np.random.default_rng
    got = line(f, same, random_direction(same, BARE, rng=seed(1)), axis(1.0, 11))
    want = line(f, theta, random_direction(theta, BARE, rng=seed(1)), axis(1.0, 11))
    expect.close(got[5], want[5], "the loss itself", rtol=1e-10)
    apart = float(np.max(np.abs(got - want)) / np.max(want))
    expect.true(apart > 0.01, f"the line changes by {apart:.3g} of its height, expected more than 0.01")
    first = normalize(np.r_[a[0] * W1[0], np.ones(60)], same, BARE)[:4]
    expect.close(first, same[:4], "the direction of a filter along its own weights", rtol=1e-9)


# Between two points


def test_interpolation_has_both_ends(rng):
    f, _, _ = bowl(5)
    for _ in range(20):
        start, end = rng.standard_normal((2, 5)) * rng.uniform(0.1, 100, (2, 1))
        with expect.unchanged(start, end):
            got = interpolate(Seen(f), start, end, 7)
        expect.equal((float(got[0]), float(got[-1])), (f(start), f(end)), "first and last, to every digit")
        want = np.array([f(start + i / 6 * (end - start)) for i in range(7)])
        expect.close(
            got, want, "the loss at (1 - t) start + t end for t = 0, 1/6 ... 1", rtol=1e-9, dtype=float
        )
    expect.equal(interpolate(f, start, end).shape, (21,), "shape with n left out")
    expect.equal(interpolate(f, start, end, 2).tolist(), [f(start), f(end)], "with n = 2")


def test_a_barrier_is_measured_from_the_chord():
    for values, want in (
        ([0.0, 3.0, 1.0], 2.5),  # 3 - 1/2
        ([1.0, 0.0, 0.0, 7.0], 0.0),  # below the chord
        ([4.0, 4.0, 1.0], 1.5),  # 4 - 5/2
        ([5.0, 2.0], 0.0),
        ([4.0, 3.0, 2.0, 1.0, 0.0], 0.0),  # on the chord all the way down
        ([0.0, 5.0, 0.0, 0.0, 4.0], 4.0),  # 5 - 1, beside the middle
        ([6.0, 6.0, 6.0, 0.0], 4.0),  # 6 - 2
        ([0.0, math.inf, 0.0], math.inf),
        ([0.0, math.nan, 3.0, 0.0], math.nan),
    ):
        expect.close(barrier(values), want, f"barrier of {values}", atol=1e-14)
    well = interpolate(lambda x: float((x[0] ** 2 - 1) ** 2), [-1.0], [1.0], 5)
    expect.close(barrier(well), 1.0, "barrier between the wells of (x^2 - 1)^2")


# Basins


def test_two_wells_are_two_basins():
    values = np.array([[3.0, 2.0, 5.0, 4.0, 2.0], [2.0, 1.0, 6.0, 2.0, 0.0], [3.0, 2.0, 5.0, 3.0, 1.0]])
    with expect.unchanged(values):
        found = basins(values)
    labels = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]])
    labels[1, 2] = labels[0, 2] = labels[2, 2] = 1
    expect.equal(
        found.labels.tolist(), labels.tolist(), "labels: column 2 drains to the 1 beside it, not to 2"
    )
    expect.equal(
        found.bottoms.tolist(), [[1, 4], [1, 1]], "rows and columns of the bottoms, the lowest first"
    )


def test_basins_follow_the_lowest_neighbour_step_by_step(rng):
    for shape in ((6, 9), (1, 12), (8, 1), (7, 7)):
        values = rng.integers(0, 12, shape).astype(float)
        found = basins(values)
        goals = {}
        for i in range(shape[0]):
            for j in range(shape[1]):
                at = (i, j)
                while True:
                    near = [
                        (k, m)
                        for k in range(max(0, at[0] - 1), min(shape[0], at[0] + 2))
                        for m in range(max(0, at[1] - 1), min(shape[1], at[1] + 2))
                    ]
                    lowest = min(near, key=lambda c: values[c])  # the first in row order
                    if values[lowest] >= values[at]:
                        break
                    at = lowest
                goals[i, j] = at
        bottoms = sorted(set(goals.values()), key=lambda c: (values[c], c))
        expect.equal(found.bottoms.tolist(), [list(c) for c in bottoms], f"bottoms of {values.tolist()}")
        want = [[bottoms.index(goals[i, j]) for j in range(shape[1])] for i in range(shape[0])]
        expect.equal(found.labels.tolist(), want, f"labels of {values.tolist()}")


def test_a_long_valley_and_infinite_walls_are_no_trouble():
    valley = np.full((3, 40), np.inf)
    valley[1] = np.arange(40.0)[::-1]
    found = basins(valley)
    expect.equal(found.labels.tolist(), [[0] * 40] * 3, "labels around a valley that falls to the right")
    expect.equal(found.bottoms.tolist(), [[1, 39]], "its bottom")
    level = basins(np.zeros((2, 2)))
    expect.equal(level.labels.tolist(), [[0, 1], [2, 3]], "labels of a level patch, each cell its own bottom")


# Errors


def test_axes_without_a_centre_are_refused():
    for n in (4, 2, 1, 0, -3):
        with expect.raises(ValueError, str(n)):
            axis(1.0, n)
    for radius in (0.0, -2.0, math.inf, math.nan):
        with expect.raises(ValueError, str(radius)):
            axis(radius)
    f = bowl(2)[0]
    for bad in (np.linspace(-1, 1, 4), np.array([]), np.zeros((2, 2)), 0.0):
        with expect.raises(ValueError):
            line(f, np.zeros(2), np.ones(2), bad)
        with expect.raises(ValueError):
            plane(f, np.zeros(2), np.ones(2), np.ones(2), bad)
        with expect.raises(ValueError):
            plane(f, np.zeros(2), np.ones(2), np.ones(2), axis(1.0, 3), bad)


def test_shapes_that_do_not_fit_are_named(rng):
    f = bowl(3)[0]
    with expect.raises(ValueError, "weight"):
        normalize(np.ones(17), np.ones(17), SHAPES, "weight")
    with expect.raises(ValueError, "(16,)", "17"):
        normalize(np.ones(16), np.ones(16), SHAPES)
    with expect.raises(ValueError, "(1, 17)", "17"):
        normalize(np.ones((1, 17)), np.ones((1, 17)), SHAPES)
    with expect.raises(ValueError, "(1,)", "(17,)"):
        normalize(np.ones(1), np.ones(17), SHAPES, "none")
    with expect.raises(ValueError, "(16,)", "17"):
        random_direction(np.ones(16), SHAPES, rng=rng)
    with expect.raises(ValueError, "(1,)", "(3,)"):
        line(f, np.ones(3), np.ones(1), [0.0])
    with expect.raises(ValueError, "(1,)", "(3,)"):
        plane(f, np.ones(3), np.ones(1), np.ones(3), [0.0])
    with expect.raises(ValueError, "(1,)", "(3,)"):
        plane(f, np.ones(3), np.ones(3), np.ones(1), [0.0])
    with expect.raises(ValueError, "(3,)", "(1,)"):
        interpolate(f, np.ones(3), np.ones(1))


def test_too_few_points_and_values_without_order_are_refused():
    with expect.raises(ValueError, "1"):
        interpolate(bowl(2)[0], np.zeros(2), np.ones(2), 1)
    with expect.raises(ValueError, "(1,)"):
        barrier([1.0])
    with expect.raises(ValueError, "(2, 2)"):
        barrier(np.ones((2, 2)))
    with expect.raises(ValueError, "(4,)"):
        basins(np.ones(4))
    with expect.raises(ValueError, "nan"):
        basins([[0.0, math.nan], [1.0, 2.0]])
