"""The central flow: its force and its width by definition, and descent on a loss whose swing is known."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.geometry.central_flow import (
    center,
    central_flow,
    mean_loss,
    sharpness_gradient,
    swing,
    swing_variance,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Toy:
    """L = y (s - 1) - c y with s = sqrt(1 + x^2), and all its derivatives up to the third by hand."""

    def __init__(self, c):
        self.c = c

    def gradient(self, theta):
        x, y = theta
        s = math.sqrt(1 + x * x)
        return np.array([y * x / s, s - 1 - self.c])

    def hessian(self, theta):
        x, y = theta
        s = math.sqrt(1 + x * x)
        return np.array([[y / s**3, x / s], [x / s, 0.0]])

    def hvp(self, theta, v):
        return self.hessian(theta) @ v

    def third(self, theta, v):
        """T(v, v)."""
        x, y = theta
        s = math.sqrt(1 + x * x)
        return np.array([-3 * x * y / s**5 * v[0] ** 2 + 2 * v[0] * v[1] / s**3, v[0] ** 2 / s**3])

    def descend(self, theta, lr, steps):
        path = [np.array(theta, float)]
        for _ in range(steps):
            path.append(path[-1] - lr * self.gradient(path[-1]))
        return np.stack(path)


# The force


def test_the_gradient_of_the_sharpness_is_the_third_derivative(rng):
    toy = Toy(0.1)
    for _ in range(4):
        theta, v = rng.standard_normal(2) + np.array([0.0, 3.0]), rng.standard_normal(2)
        v /= np.linalg.norm(v)
        with expect.unchanged(theta, v):
            got = sharpness_gradient(toy.hvp, theta, v)
        expect.close(got, toy.third(theta, v), f"T(v, v) of the toy at {theta}, v = {v}", rtol=1e-6)


def test_it_is_how_the_largest_eigenvalue_changes():
    toy, theta, h = Toy(0.1), np.array([0.4, 3.0]), 1e-5
    values, vectors = np.linalg.eigh(toy.hessian(theta))
    want = np.empty(2)
    for i in range(2):
        e = np.eye(2)[i]
        ahead, behind = (np.linalg.eigvalsh(toy.hessian(theta + a * e))[-1] for a in (h, -h))
        want[i] = (ahead - behind) / (2 * h)
    for sign in (1, -1):
        got = sharpness_gradient(toy.hvp, theta, sign * vectors[:, -1])
        expect.close(got, want, f"grad S by differences of S = {values[-1]:.3f}", rtol=1e-6)


def test_theta_of_any_shape():
    """L = sum theta^3 / 6 has H = diag(theta), and T(v, v) = v^2."""
    theta, v = np.arange(6.0).reshape(2, 3), np.array([0.1, -0.2, 0.3, 0.4, -0.5, 0.6])
    got = sharpness_gradient(lambda theta, v: theta * v, theta, v)
    expect.close(got, (v * v).reshape(2, 3), "T(v, v) of sum theta^3 / 6, theta (2, 3)", rtol=1e-6)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
def test_the_difference_fits_the_size_of_theta(size):
    """L = sum theta^3 / 6 + theta^4 / 24 at theta = size: T(v, v) = (1 + theta) v^2."""
    v = np.array([0.6, -0.8])
    got = sharpness_gradient(lambda theta, v: (theta + theta**2 / 2) * v, np.full(2, size), v)
    expect.close(got, (1 + size) * v * v, f"T(v, v) at theta of the size {size}", rtol=1e-7)


def test_the_swing_holds_the_sharpness(rng):
    """<up, -g - sigma^2 / 2 up> + excess = 0: that is what sigma^2 is for."""
    for _ in range(6):
        g, up = rng.standard_normal((2, 2, 3))
        for excess in (0.0, 5.0, -0.3):
            rate = excess - float(np.sum(up * g))
            got = swing_variance(g, up, excess)
            want = 2 * rate / float(np.sum(up**2)) if rate > 0 else 0.0
            expect.close(got, want, f"sigma^2 for a rate of {rate:.4f}")
    for size in (1.0, 1e-9):
        got = swing_variance([-3 * size, 0.0], [2 * size, 0.0])
        expect.close(got, 3.0, f"sigma^2 for g = (-3, 0), grad S = (2, 0), both times {size}")


def test_no_swing_where_none_is_needed_or_none_would_help():
    with expect.quiet("sigma^2 without a gradient of the sharpness"):
        expect.equal(swing_variance([1.0, 2.0], [0.0, 0.0], 5.0), 0.0, "sigma^2 where grad S is 0")
    expect.equal(swing_variance([3.0], [2.0]), 0.0, "sigma^2 where the sharpness falls by itself")
    expect.close(swing_variance([3.0], [2.0], 8.0), 1.0, "sigma^2 where it does not fall fast enough")


# The flow


def test_the_flow_by_a_slow_loop():
    toy, lr, steps, substeps = Toy(0.2), 0.5, 14, 3
    w, dt = np.array([0.5, 2.5]), 0.5 / 3
    path, sharpness, variance = [], [], []
    for i in range(steps * substeps + 1):
        values, vectors = np.linalg.eigh(toy.hessian(w))
        g, up = toy.gradient(w), toy.third(w, vectors[:, -1])
        sigma2 = max(0.0, 2 * (-(up @ g) + (values[-1] - 2 / lr) / dt) / (up @ up))
        if i % substeps == 0:
            path.append(w)
            sharpness.append(values[-1])
            variance.append(sigma2)
        w = w - dt * (g + sigma2 / 2 * up)
    start = np.array([0.5, 2.5])
    with expect.unchanged(start):
        got = central_flow(
            toy.gradient, toy.hvp, start, lr, steps, rng=np.random.default_rng(1), substeps=substeps
        )
    expect.close(got.path, np.array(path), "the path of 14 steps of 3 substeps", rtol=1e-6)
    expect.close(got.sharpness, np.array(sharpness), "the sharpness along it", rtol=1e-6)
    expect.close(got.variance, np.array(variance), "sigma^2 along it", rtol=1e-5, atol=1e-6)


def test_it_rises_to_the_edge_and_stays(rng):
    """On x = 0 the toy has sharpness y, gradient (0, -c): y = y0 + c t up to 2 / lr, then sigma^2 = 2 c."""
    c, lr = 0.25, 0.5
    got = central_flow(Toy(c).gradient, Toy(c).hvp, np.array([0.0, 3.5]), lr, 12, rng=rng)
    y = np.minimum(3.5 + c * lr * np.arange(13), 2 / lr)
    expect.close(
        got.path, np.stack([np.zeros(13), y], axis=1), "the path from (0, 3.5)", rtol=1e-6, atol=1e-7
    )
    expect.close(got.sharpness, y, "the sharpness, y", rtol=1e-6)
    want = np.where(np.arange(13) < 4, 0.0, 2 * c)
    expect.close(got.variance, want, "sigma^2: 0 before the edge, 2 c at it", rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("c", [0.02, 0.1])
def test_descent_swings_around_it(rng, c):
    """The exact 2-cycle has y = 2 (1 + c) / lr and x^2 = 2 c + c^2: the theory is off by the order of c."""
    toy, lr = Toy(c), 0.5
    descent = toy.descend([0.3, 3.7], lr, 4000)
    expect.close(descent[-1, 1], 2 * (1 + c) / lr, "y of descent in the end, tried first", rtol=1e-6)
    got = central_flow(toy.gradient, toy.hvp, np.array([0.05, 3.99]), lr, 60, rng=rng)
    middle, width = center(descent)[-1], swing(descent)[-1]
    expect.close(middle, np.array([0.0, 2 * (1 + c) / lr]), "the center of descent", rtol=1e-6, atol=1e-6)
    expect.close(width, 2 * c + c * c, "the swing of descent", rtol=1e-6)
    expect.close(float(got.path[-1, 1]), 2 / lr, "y of the central flow in the end", rtol=1e-6)
    expect.close(float(got.variance[-1]), 2 * c, "sigma^2 of the central flow in the end", rtol=1e-5)
    loss = mean_loss(-c * got.path[-1, 1], got.sharpness[-1], got.variance[-1])
    expect.close(float(loss), 0.0, "the mean loss it predicts, against y (s - 1 - c) = 0", atol=1e-4 * c)


def test_below_the_edge_it_is_gradient_flow(rng):
    """On a quadratic Euler's steps multiply by 1 - a dt; theta is (2, 2)."""
    a = np.array([[3.0, 1.0], [-0.2, 0.5]])
    start = rng.standard_normal((2, 2))
    for substeps in (2, 5):
        got = central_flow(lambda w: a * w, lambda w, v: a * v, start, 0.4, 6, rng=rng, substeps=substeps)
        factor = 1 - a * 0.4 / substeps
        want = start * factor ** (substeps * np.arange(7))[:, None, None]
        expect.close(got.path, want, f"6 steps of {substeps} substeps on a quadratic", rtol=1e-8)
        expect.close(got.sharpness, np.full(7, 3.0), "the sharpness", rtol=1e-9)
        expect.equal(got.variance, np.zeros(7), "sigma^2, below the edge of 5")


def test_the_steepest_direction_is_sought_from_the_one_before():
    """50 curvatures in [0, 1]: each search but the first begins near the last result, and tol ends it."""
    a, seen, firsts, counts = np.linspace(0, 1, 50), [], [], []

    def hvp(theta, v):
        seen.append(v / np.linalg.norm(v))
        return a * v

    for seed, tol in ((0, 1e-6), (1, 1e-6), (0, 0.1)):
        seen.clear()
        got = central_flow(
            lambda w: a * w, hvp, np.ones(50), 0.4, 2, rng=np.random.default_rng(seed), tol=tol
        )
        expect.close(got.path[2], (1 - 0.2 * a) ** 4, "two steps on a quadratic", rtol=1e-9)
        firsts.append(seen[0])
        counts.append(len(seen))
        if tol < 0.1:
            warm = sum(
                0.98 < abs(v[-1]) < 0.9999 for v in seen
            )  # 0.994: 0.9 of v and 0.1 of a random direction
            expect.true(warm >= 4, f"{warm} of 5 searches begin near the direction before, expected 4")
    expect.true(
        counts[2] < counts[0], f"{counts[2]} products for tol 0.1, {counts[0]} for 1e-6: expected fewer"
    )
    same = float(abs(firsts[0] @ firsts[1]))
    expect.true(
        same < 0.9, f"the starts from two generators have the |cosine| {same:.3f}: expected a draw of rng"
    )


def test_two_substeps_unless_told_otherwise(rng):
    got = central_flow(lambda w: w, lambda w, v: v, np.ones(3), 0.4, 1, rng=rng)
    expect.close(got.path[-1], np.full(3, 0.8**2), "one step of lr 0.4 on |w|^2 / 2, two substeps", rtol=1e-9)


def test_a_start_beyond_the_edge_is_pulled_to_it(rng):
    c, lr = 0.25, 0.5
    got = central_flow(Toy(c).gradient, Toy(c).hvp, np.array([0.0, 5.0]), lr, 2, rng=rng)
    expect.close(got.path, np.array([[0.0, 5.0], [0.0, 4.0], [0.0, 4.0]]), "y from beyond 4", rtol=1e-6)
    expect.close(got.sharpness, np.array([5.0, 4.0, 4.0]), "the sharpness, y", rtol=1e-6)
    want = np.array([2 * (c + (5 - 4) / 0.25), 2 * c, 2 * c])
    expect.close(got.variance, want, "sigma^2", rtol=1e-5)


def test_no_step_is_the_start(rng):
    got = central_flow(Toy(0.5).gradient, Toy(0.5).hvp, [0, 4], 0.5, 0, rng=rng)
    expect.close(got.path, np.array([[0.0, 4.0]]), "the path of no steps")
    expect.close(got.sharpness, np.array([4.0]), "its sharpness")
    expect.close(got.variance, np.array([1.0]), "its sigma^2", rtol=1e-5)


# What descent does


def test_the_mean_loss():
    losses, S, sigma2 = np.array([1.0, 2.0]), np.array([3.0, 20.0]), np.array([0.0, 0.1])
    with expect.unchanged(losses, S, sigma2):
        expect.close(mean_loss(losses, S, sigma2), np.array([1.0, 3.0]), "L + S sigma^2 / 2")


def test_a_center_loses_what_alternates_and_keeps_what_drifts(rng):
    k = np.arange(9.0)[:, None, None]
    drift, kick, start = rng.standard_normal((3, 2, 2))
    path = start + drift * k + kick * (-1) ** k
    with expect.unchanged(path):
        middle, width = center(path), swing(path)
    expect.close(middle, (start + drift * k)[1:-1], "centers of a drift with a swing", rtol=1e-11)
    expect.close(width, np.full(7, float(np.sum(kick**2))), "the swing, |kick|^2", rtol=1e-10)


def test_center_and_swing_by_loops(rng):
    expect.close(center([1.0, 5.0, 2.0]), np.array([3.25]), "the center of 1, 5, 2")
    path = rng.standard_normal((6, 3))
    middle = np.empty((4, 3))
    for k in range(4):
        for i in range(3):
            middle[k, i] = 0.25 * path[k, i] + 0.5 * path[k + 1, i] + 0.25 * path[k + 2, i]
    expect.close(center(path), middle, "centers of random points")
    want = np.array([sum((path[k + 1, i] - middle[k, i]) ** 2 for i in range(3)) for k in range(4)])
    expect.close(swing(path), want, "|theta - center|^2 of random points")
    expect.close(swing(path[:, 0]), (path[1:-1, 0] - middle[:, 0]) ** 2, "swing of a path of numbers")


# Errors


def test_shapes_that_do_not_fit_are_named():
    with expect.raises(ValueError, "(3,)", "(2,)"):
        sharpness_gradient(lambda theta, v: v, np.ones(2), np.ones(3))
    with expect.raises(ValueError, "(3,)", "(2,)"):
        swing_variance(np.ones(3), np.ones(2))
    for shape in ((2, 3), (3, 1)):
        with expect.raises(ValueError, "(3,)", str(shape)):
            swing_variance(np.ones(3), np.ones(shape))
    for few in (1, 2):
        for f in (center, swing):
            with expect.raises(ValueError, str(few)):
                f(np.ones((few, 4)))


def test_settings_out_of_range_are_named(rng):
    toy = Toy(0.1)
    for lr, steps, substeps, bad in ((0.0, 3, 2, 0.0), (0.1, -1, 2, -1), (0.1, 3, 1, 1), (0.1, 3, 0, 0)):
        with expect.raises(ValueError, str(bad)):
            central_flow(toy.gradient, toy.hvp, np.ones(2), lr, steps, rng=rng, substeps=substeps)
