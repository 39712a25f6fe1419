"""Flows: volumes against exact solutions, order on a line, the best increasing function by its definition."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.credit.mlp_backprop import Spec
from dynamics.neural.augmented_flows import (
    augment,
    best_increasing,
    crossing,
    divergence,
    flow,
    lift,
    turn,
)
from dynamics.neural.neural_ode import mlp_field
from foundations.computational_graph import Tensor


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def affine(t, Y, theta):
    """theta is (D, D + 1): a matrix and a shift."""
    D = Y.shape[1]
    return Y @ theta[:, :D].transpose() + theta[:, D]


def logistic(t, Y, theta):
    return theta * Y * (1.0 - Y)


def bent(t, Y, theta):
    """Each row mixes both coordinates and the time."""
    return Y * Y[:, ::-1] * theta[0] + Y * Y * Y * theta[1] + t * Y


def wanted_crossing(x, y):
    n = range(len(x))
    return any((x[i] < x[j] and y[i] >= y[j]) or (x[i] == x[j] and y[i] != y[j]) for i in n for j in n)


def min_max(x, y):
    """The isotonic regression: max over left ends of the min over right ends of means, x by x."""
    values = sorted(set(x.tolist()))
    groups = [y[x == v] for v in values]
    fit = {}
    for i, v in enumerate(values):
        fit[v] = max(
            min(float(np.mean(np.concatenate(groups[j : k + 1]))) for k in range(i, len(values)))
            for j in range(i + 1)
        )
    return np.array([fit[v] for v in x.tolist()])


# Volumes


def test_the_divergence_is_the_sum_of_the_diagonal_slopes(rng):
    Y, theta, t = rng.standard_normal((5, 2)), np.array([0.7, -0.4]), 0.3
    with expect.unchanged(Y, theta):
        slope, div = divergence(bent, t, Y, theta)
    want = 0.7 * Y * Y[:, ::-1] - 0.4 * Y**3 + 0.3 * Y
    expect.close(slope, want, "the field at five points")
    want = 0.7 * (Y[:, 1] + Y[:, 0]) - 1.2 * (Y[:, 0] ** 2 + Y[:, 1] ** 2) + 0.6
    expect.close(div, want, "the divergence at five points", dtype=np.float64)


@pytest.mark.parametrize("D", [1, 2, 4])
def test_the_divergence_of_a_linear_field_is_its_trace(D, rng):
    theta = rng.standard_normal((D, D + 1))
    _, div = divergence(affine, 0.0, rng.standard_normal((3, D)), theta)
    expect.close(div, np.full(3, np.trace(theta[:, :D])), f"the divergence of a linear field, D = {D}")


def test_the_volume_around_each_point_grows_as_the_exact_flow_says():
    """y' = c y (1 - y): phi = y e^ct / (1 - y + y e^ct), phi' = e^ct / (1 - y + y e^ct)^2."""
    Y, ts, c = np.array([[0.1], [0.5], [0.9], [1.3]]), np.array([0.0, 0.4, 1.0]), 1.7
    with expect.unchanged(Y, ts):
        ys, log_det = flow(logistic, [c], Y, ts, substeps=20)
    e = np.exp(c * ts)[:, None]
    below = 1 - Y[:, 0] + Y[:, 0] * e
    expect.close(ys, (Y[:, 0] * e / below)[:, :, None], "the points", rtol=1e-6, dtype=np.float64)
    expect.close(log_det, np.log(e / below**2), "log det", rtol=1e-5, atol=1e-7, dtype=np.float64)
    expect.close(np.asarray(log_det)[0], np.zeros(4), "log det at the beginning")


def test_the_volume_is_the_determinant_of_the_map(rng):
    """In the plane, with a field that depends on the time: finite differences of the flow."""
    theta, Y, ts, d = np.array([0.7, -0.4]), rng.uniform(-1, 1, (4, 2)), [0.2, 0.6, 1.3], 1e-5
    ys, log_det = flow(bent, theta, Y, ts, substeps=30)
    columns = []
    for e in np.eye(2):
        ahead = flow(bent, theta, Y + d * e, ts, substeps=30).ys
        back = flow(bent, theta, Y - d * e, ts, substeps=30).ys
        columns.append((np.asarray(ahead) - back) / (2 * d))
    det = np.linalg.det(np.stack(columns, axis=-1))
    expect.close(np.exp(log_det), det, "the determinant of the map", rtol=1e-5)
    expect.close(np.asarray(ys)[0], Y, "the first points")


@pytest.mark.parametrize("method", ["euler", "heun", "dopri5"])
def test_the_flow_is_solved_by_the_method_that_is_asked_for(method):
    """y' = y: Euler multiplies by 1 + h, Heun by 1 + h + h^2 / 2; log det is t by all of them."""
    factor = {"euler": 1.25, "heun": 1.28125, "dopri5": math.exp(0.25)}[method]
    ys, log_det = flow(lambda t, Y, p: Y * 1.0, [0.0], [[2.0], [-1.0]], [0.0, 0.5, 1.0], method, substeps=2)
    want = np.array([[[2.0], [-1.0]]]) * factor ** np.array([0, 2, 4])[:, None, None]
    expect.close(ys, want, f"the points by {method}", rtol=1e-5)
    expect.close(log_det, np.array([[0.0] * 2, [0.5] * 2, [1.0] * 2]), f"log det by {method}", rtol=1e-9)
    default = flow(lambda t, Y, p: Y * 1.0, [0.0], [[2.0]], [0, 1]).ys
    expect.close(default[-1], np.array([[2 * (1 + 1 + 1 / 2 + 1 / 6 + 1 / 24)]]), "one step of rk4")


# Order


@pytest.mark.parametrize("seed", range(6))
def test_on_a_line_every_flow_keeps_the_order(seed):
    """Random networks, also with time as an input, and strong enough to bend."""
    rng = np.random.default_rng(seed)
    spec = Spec((1 + seed % 2, 6, 1))
    theta, x = 1.5 * rng.standard_normal(spec.parameters), rng.permutation(np.linspace(-2, 2, 9))
    ys, log_det = flow(mlp_field(spec), theta, x[:, None], [0.0, 1.0], substeps=20)
    expect.equal(crossing(x, np.asarray(ys)[-1, :, 0]), None, "two points that a flow exchanged")
    expect.true(crossing(x, -np.asarray(ys)[-1, :, 0]) is not None, "-phi(x) decreases: that is a crossing")
    moved = np.asarray(ys)[-1][np.argsort(x), 0]
    bound = np.log(np.diff(moved) / 0.5)  # a mean slope lies between the slopes
    found = np.asarray(log_det)[-1]
    expect.true(
        bool(np.min(found) < np.max(bound) and np.max(found) > np.min(bound)),
        f"log slopes from {np.min(found):.3g} to {np.max(found):.3g}, mean ones {np.round(bound, 3)}",
    )


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([1, 2, 3], [1, 3, 2]),
        ([3, 1, 2], [0.5, 2, 4]),
        ([1, 2], [5, 5]),
        ([1, 1, 2], [0, 1, 2]),
        ([2, 1, 1], [2, 0.5, 0.0]),
        ([0, 1, 2, 3, 4], [0, 1, 2, 3, 2.5]),
        ([5, 4, 3], [0, 1, 2]),
        ([1, 0, 2], [1, 1, 1]),
    ],
)
def test_two_points_that_cross_are_found(x, y):
    found = crossing(x, y)
    expect.true(found is not None, f"x {x} to y {y} is no increasing map, expected a pair of indices")
    i, j = found
    good = (x[i] < x[j] and y[i] >= y[j]) or (x[i] == x[j] and y[i] != y[j])
    expect.true(
        good,
        f"points {i} and {j} of x {x}, y {y}: expected x_i < x_j and y_i >= y_j, or equal x, different y",
    )


def test_an_increasing_map_has_no_crossing(rng):
    for x, y in [([], []), ([1], [2]), ([1, 2, 3], [-5, 0, 0.1]), ([3, 1, 2], [9, 7, 8]), ([1, 1], [4, 4])]:
        expect.equal(crossing(x, y), None, f"a crossing of x {x}, y {y}")
    for _ in range(60):
        x, y = rng.integers(0, 6, 4).astype(float), rng.integers(0, 6, 4).astype(float)
        with expect.unchanged(x, y):
            found = crossing(x, y)
        expect.equal(found is not None, wanted_crossing(x, y), f"whether x {x}, y {y} cross")


def test_the_best_increasing_function_is_the_min_max_of_means(rng):
    for n in (1, 2, 3, 5, 8, 12):
        for _ in range(6):
            x, y = rng.permutation(n).astype(float), rng.standard_normal(n)
            with expect.unchanged(x, y):
                fit = best_increasing(x, y)
            expect.close(fit, min_max(x, y), f"the best increasing fit of {n} points", atol=1e-12)


def test_points_of_equal_x_go_to_one_place(rng):
    for _ in range(20):
        x, y = rng.integers(0, 4, 8), rng.integers(-3, 4, 8)
        want = min_max(x, y)
        expect.close(best_increasing(x.tolist(), y.tolist()), want, f"the fit of x {x}, y {y}", atol=1e-12)
    fit = best_increasing([1, 1, 2], [0, 6, 2])
    expect.close(fit, np.full(3, 8 / 3), "the fit of (1, 0), (1, 6), (2, 2)")


def test_the_best_increasing_fit_of_a_reflection_is_its_mean(rng):
    x = rng.standard_normal(15)
    expect.close(best_increasing(x, -x), np.full(15, -x.mean()), "the best increasing fit of -x")
    expect.close(best_increasing(x, x**3), x**3, "the best increasing fit of an increasing function")
    found = best_increasing([], [])
    expect.true(np.shape(found) == (0,), f"the fit of no points has shape {np.shape(found)}, expected (0,)")


# One more dimension


@pytest.mark.parametrize("k", [0, 1, 3])
def test_coordinates_of_zero_are_appended(k):
    Y = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    want = np.array([[*row, *[0.0] * k] for row in Y.tolist()])
    wide = augment(Y, k)
    expect.close(wide, want, f"points with {k} more coordinates", dtype=np.float64)
    wide[0, 0] = 9
    expect.close(Y[0, 0], 1.0, "the points that were given")
    whole = augment([[1, 2]], k)
    expect.close(whole, want[:1], f"whole numbers with {k} more coordinates", dtype=np.float64)


def test_the_field_of_a_turn_is_at_right_angles():
    z, theta = np.array([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 0.0, 2.0]]), np.array([2.0, 10.0])
    got = turn(0.3, Tensor(z), Tensor(theta))
    want = np.array([[-6.0, -40.0, 2.0, 20.0], [0.0, -20.0, -2.0, 5.0]])
    expect.tensor(got, want, "the field of two turns")
    one = turn(0.3, Tensor(z), Tensor(np.array(2.0)))
    want = 2 * np.concatenate([-z[:, 2:], z[:, :2]], axis=1)
    expect.tensor(one, want, "the field of a turn, one angle for all")


@pytest.mark.parametrize("D", [1, 2, 3])
def test_half_a_turn_reflects_and_keeps_the_volume(D, rng):
    X = rng.standard_normal((6, D))
    ys, log_det = flow(turn, [math.pi], augment(X, D), [0.0, 0.5, 1.0], substeps=30)
    zero = np.zeros_like(X)
    want = np.stack([np.hstack([X, zero]), np.hstack([zero, X]), np.hstack([-X, zero])])
    expect.close(ys, want, f"half a turn of points in {D} dimensions", atol=1e-4)
    expect.close(log_det, np.zeros((3, 6)), "log det of a turn", atol=1e-12)


def test_any_function_can_be_written_beside_x(rng):
    """Circles: |x|^2, scaled, in the third coordinate; then with two results and a function of time."""
    X = rng.standard_normal((7, 2))
    ring = lift(lambda t, x, theta: theta * (x * x).sum(axis=1, keepdims=True), 2)
    ys, log_det = flow(ring, [0.5], augment(X, 1), [0.0, 0.5, 1.0])
    square = 0.5 * np.sum(X * X, axis=1, keepdims=True)
    want = np.stack([np.hstack([X, s * square]) for s in (0.0, 0.5, 1.0)])
    expect.close(ys, want, "points with half their squared radius beside them")
    expect.close(log_det, np.zeros((3, 7)), "log det of a lift")
    rate = lift(lambda t, x, theta: 2 * t * x, 2)
    ys, _ = flow(rate, [0.0], augment(X, 2), [0.0, 3.0])
    expect.close(np.asarray(ys)[-1], np.hstack([X, 9 * X]), "x with 2 t x, added up until t = 3")


# Errors


def test_what_is_no_set_of_points_is_refused():
    with expect.raises(ValueError, "(3,)"):
        divergence(logistic, 0.0, [1.0, 2.0, 3.0], [1.0])
    with expect.raises(ValueError, "(3,)"):
        flow(logistic, [1.0], [1.0, 2.0, 3.0], [0, 1])
    with expect.raises(ValueError, "(2, 1, 1)"):
        augment(np.ones((2, 1, 1)), 1)
    with expect.raises(ValueError, "-1"):
        augment([[1.0]], -1)


def test_rows_that_do_not_fit_are_refused():
    for function in (crossing, best_increasing):
        with expect.raises(ValueError, "(3,)", "(2,)"):
            function([1, 2, 3], [1, 2])
        with expect.raises(ValueError, "(2, 1)"):
            function([[1], [2]], [[1], [2]])
