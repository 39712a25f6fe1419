"""Momentum as motion: closed forms, energy balances, and iterates that approach them at equal times."""

import math
from functools import partial

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.momentum_ode import (
    heavy_ball_flow,
    heavy_ball_gap,
    heavy_ball_limit,
    heavy_ball_time,
    nesterov,
    nesterov_exact,
    nesterov_flow,
    nesterov_gap,
    oscillator,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def bowl(x):
    """A convex function that is no quadratic, with its minimum 0 at 0."""
    return float(np.sum(np.log(np.cosh(x)) + x**4 / 4))


def bowl_grad(x):
    return np.tanh(x) + x**3


def exponential(A, t):
    """exp(A t) by its series, for |A t| / 2^10 small, and squaring."""
    B, term, total = A * t / 1024, np.eye(2), np.eye(2)
    for k in range(1, 16):
        term = term @ B / k
        total = total + term
    for _ in range(10):
        total = total @ total
    return total


def bessel(t, curvature):
    """2 J1(z) / z by its power series: sum of (-z^2 / 4)^k / (k! (k + 1)!), right up to z = 8 or so."""
    q, term, total = -curvature * t * t / 4, 1.0, 1.0
    for k in range(1, 60):
        term *= q / (k * (k + 1))
        total += term
    return total


# Settings


def test_the_limit_of_a_heavy_ball():
    expect.close(np.array(heavy_ball_limit(2.0, 0.1)), np.array([0.01, 0.8]), "lr and momentum", rtol=1e-12)
    expect.close(np.array(heavy_ball_time(0.01, 0.8)), np.array([2.0, 0.1]), "friction and h", rtol=1e-12)
    for friction, h in ((0.0, 0.3), (4.0, 0.25), (0.7, 0.01)):
        back = np.array(heavy_ball_time(*heavy_ball_limit(friction, h)))
        expect.close(back, np.array([friction, h]), "friction and h, there and back", rtol=1e-11, atol=1e-12)


# The damped spring


@pytest.mark.parametrize(
    ("curvature", "friction"),
    [(4.0, 0.0), (4.0, 0.5), (4.0, 4.0), (4.0, 3.9999999), (0.3, 5.0), (-1.0, 0.7), (-2.0, 0.0), (0.0, 1.5)],
)
def test_the_oscillator_is_a_matrix_exponential(curvature, friction):
    ts = np.array([[0.0, 0.4], [1.3, 3.0]])
    A = np.array([[0.0, 1.0], [-curvature, -friction]])
    want = np.array([[exponential(A, t) @ [0.8, -0.5] for t in row] for row in ts])
    x, v = oscillator(ts, curvature, friction, 0.8, -0.5)
    name = f"of curvature {curvature} with friction {friction}"
    expect.close(x, want[..., 0], f"positions {name}", rtol=1e-9, atol=1e-12)
    expect.close(v, want[..., 1], f"velocities {name}", rtol=1e-9, atol=1e-12)


def test_three_kinds_of_damping():
    t = np.array([0.0, 1.0, 2.5])
    x, v = oscillator(t, 1.0, 2.0)
    expect.close(x, (1 + t) * np.exp(-t), "critical damping", rtol=1e-11)
    expect.close(v, -t * np.exp(-t), "the velocity of critical damping", rtol=1e-11, atol=1e-14)
    x, v = oscillator(t, 9.0, 0.0)
    expect.close(x, np.cos(3 * t), "no damping", rtol=1e-11)
    x, v = oscillator(t, 2.0, 3.0)
    expect.close(x, 2 * np.exp(-t) - np.exp(-2 * t), "overdamped", rtol=1e-11)
    x, v = oscillator(t, 0.0, 0.0, 1.0, 2.0)
    expect.close(x, 1 + 2 * t, "free motion", rtol=1e-12)


def test_overdamped_motion_for_a_long_time():
    """The slow rate is g - sqrt(g^2 - curvature) = curvature / 2g (1 + curvature / 4g^2 ...)."""
    with expect.quiet("oscillator"):
        x, v = oscillator(1e8, 1e-6, 100.0)
        rate = 1e-8 * (1 + 1e-10)
        expect.close(x, np.array(math.exp(-1e8 * rate)), "the position at time 1e8", rtol=1e-9)
        expect.close(v, np.array(-rate * math.exp(-1e8 * rate)), "the velocity at time 1e8", rtol=1e-6)
        x, _ = oscillator(1e3, 1e-14, 2.0)
        expect.close(x, np.array(1 - 5e-12), "the position at time 1000, curvature 1e-14", rtol=1e-13)


# Flows


def test_the_flow_is_the_oscillator():
    ts = np.array([1.0, 1.3, 3.0])
    for friction in (0.0, 0.6, 5.0):
        got = heavy_ball_flow(lambda x: 4 * x, [0.8], ts, friction, [-0.5], rtol=1e-10, atol=1e-12)
        A = np.array([[0.0, 1.0], [-4.0, -friction]])
        want = np.array([exponential(A, t) @ [0.8, -0.5] for t in ts - 1])
        name = f"of a spring, friction {friction}"
        expect.close(got.x[:, 0], want[:, 0], f"positions {name}", rtol=1e-7, atol=1e-9)
        expect.close(got.v[:, 0], want[:, 1], f"velocities {name}", rtol=1e-7, atol=1e-9)


def test_energy_goes_into_friction_and_nowhere_else(rng):
    x0, v0, ts = rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), np.array([0.0, 0.5, 4.0])
    for friction in (0.0, 0.8):
        with expect.unchanged(x0, v0, ts):
            got = heavy_ball_flow(bowl_grad, x0, ts, friction, v0, rtol=1e-10, atol=1e-12)
        expect.close(got.x[0], x0, "the position at the start")
        expect.close(got.v[0], v0, "the velocity at the start")
        energy = np.array([bowl(x) + np.sum(v * v) / 2 for x, v in zip(got.x, got.v, strict=True)])
        expect.close(
            got.lost, energy[0] - energy, f"the energy lost, friction {friction}", rtol=1e-6, atol=1e-7
        )


def test_by_default_the_ball_starts_at_rest():
    got = heavy_ball_flow(lambda x: x, [1.0, 2.0], [0.0, 1.0], 0.0)
    expect.close(got.x[-1], math.cos(1) * np.array([1.0, 2.0]), "the positions at time 1", rtol=1e-6)
    expect.close(got.v[-1], -math.sin(1) * np.array([1.0, 2.0]), "the velocities at time 1", rtol=1e-6)


def test_gradients_see_x_in_its_shape():
    def grad(x):
        expect.true(np.shape(x) == (2, 1, 2), f"grad was called with shape {np.shape(x)}, not (2, 1, 2)")
        return x

    start = np.arange(4.0).reshape(2, 1, 2)
    got = heavy_ball_flow(grad, start, [0, 1], 0.0)
    expect.close(got.x[-1], math.cos(1) * start, "the heavy ball on |x|^2 / 2", rtol=1e-6)
    got = nesterov_flow(grad, start, [0, 1])
    expect.close(got.x[-1], bessel(1.0, 1.0) * start, "Nesterov's flow on |x|^2 / 2", rtol=1e-6)
    want = 14**0.5 * abs(0.99 - bessel(0.1, 1))
    expect.close(float(nesterov_gap(grad, start, 0.01, 1)[1]), want, "the gap after a step", rtol=1e-6)


# Nesterov


def test_nesterovs_steps(rng):
    x0 = rng.standard_normal((2, 2))
    xs, y = [x0], x0
    for k in range(1, 8):
        xs.append(y - 0.1 * bowl_grad(y))
        y = xs[k] + (k - 1) / (k + 2) * (xs[k] - xs[k - 1])
    with expect.unchanged(x0):
        got = nesterov(bowl_grad, x0, 0.1, 7)
    expect.close(got, np.stack(xs), "seven steps of Nesterov's method", rtol=1e-12)
    expect.close(nesterov(bowl_grad, [1, 2], 0.1, 0), np.array([[1.0, 2.0]]), "the path of 0 steps")


def test_nesterovs_bound_on_a_hard_quadratic():
    """The chain of springs on which no method of first order is much faster."""
    n = 60
    A = (2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)) / 4
    b = np.zeros(n)
    b[0] = 0.25
    lowest = np.linalg.solve(A, b)
    f = lambda x: 0.5 * x @ A @ x - b @ x  # noqa: E731
    path = nesterov(lambda x: A @ x - b, np.zeros(n), 1.0, 60)
    k = np.arange(1, 61)
    excess = np.array([f(x) for x in path[1:]]) - f(lowest)
    worst = float(np.max(excess * (k + 1) ** 2 / (2 * lowest @ lowest)))
    expect.true(0 < worst <= 1, f"f(x_k) - min f is {worst:.3g} times the bound at worst, expected at most 1")
    descent = np.zeros(n)
    for _ in range(60):
        descent = descent - (A @ descent - b)
    slow = float(f(descent) - f(lowest))
    expect.true(
        excess[-1] < 0.5 * slow, f"after 60 steps f - min f is {excess[-1]:.3g}, of descent {slow:.3g}"
    )


def test_the_bessel_function():
    t = np.array([[0.0, 1e-9, 0.1], [1.0, 2.0, 4.0]])
    want = np.array([[bessel(x, 3.0) for x in row] for row in t])
    expect.close(nesterov_exact(t, 3.0), want, "2 J1(z) / z with z = t sqrt(3)", rtol=1e-10, atol=1e-12)
    zeros = np.array([3.8317059702075123, 7.015586669815619, 10.173468135062722])  # of J1
    expect.close(nesterov_exact(zeros / 2, 4.0), np.zeros(3), "at the zeros of J1", atol=1e-12)
    expect.close(nesterov_exact(5.0, 0.0), np.array(1.0), "without curvature")
    expect.close(nesterov_exact(100.0, 1.0), np.array(-0.001542907040282246), "at z = 100", atol=1e-12)


def test_nesterovs_flow_is_the_bessel_function():
    ts = np.array([0.0, 0.5, 2.0, 6.0])
    got = nesterov_flow(lambda x: np.array([1.0, 2.0]) * x, [1.0, 3.0], ts, rtol=1e-9, atol=1e-11)
    want = np.array([[bessel(t, 1.0), 3 * bessel(t, 2.0)] for t in ts])
    expect.close(got.x, want, "Nesterov's flow on two springs", rtol=1e-6, atol=1e-7)


def test_nesterovs_flow_falls_at_a_quarter_of_free_fall():
    got = nesterov_flow(lambda x: np.full_like(x, 8.0), [5.0], [0.0, 0.5, 2.0])
    t = np.array([0.0, 0.5, 2.0])
    expect.close(got.x[:, 0], 5 - t**2, "positions under a constant gradient of 8", rtol=1e-6, atol=1e-7)
    expect.close(got.v[:, 0], -2 * t, "velocities under a constant gradient of 8", rtol=1e-6, atol=1e-7)


def test_the_energy_of_nesterovs_flow(rng):
    x0, ts = rng.standard_normal(3), np.array([0.0, 0.2, 1.0, 3.0, 8.0])
    got = nesterov_flow(bowl_grad, x0, ts, rtol=1e-9, atol=1e-11)
    energy = np.array([bowl(x) + v @ v / 2 for x, v in zip(got.x, got.v, strict=True)])
    expect.close(got.lost, energy[0] - energy, "the energy lost", rtol=1e-6, atol=1e-7)
    certificate = [
        t * t * bowl(x) + 2 * np.sum((x + t / 2 * v) ** 2) for t, x, v in zip(ts, got.x, got.v, strict=True)
    ]
    rise = float(np.max(np.diff(certificate)))
    expect.close(certificate[0], 2 * float(x0 @ x0), "2 |x_0 - x*|^2, the certificate at time 0")
    expect.true(
        rise < 1e-6, f"t^2 (f - min f) + 2 |x + t x' / 2 - x*|^2 rises by {rise:.3g}, expected to fall"
    )


def test_tolerances_are_those_of_the_solver():
    for flow in (partial(heavy_ball_flow, friction=0.1), nesterov_flow):
        cost = []
        for rtol, atol in ((1e-11, 1e-11), (1e-3, 1e-11), (1e-11, 1e-3)):
            calls = []
            grad = lambda x, calls=calls: calls.append(1) or x  # noqa: E731
            x = flow(grad, [1.0], [0.0, 20.0], rtol=rtol, atol=atol).x
            expect.close(x[0], np.ones(1), "the start")
            cost.append(len(calls))
        expect.true(
            cost[0] > 2 * cost[1] and cost[0] > 2 * cost[2],
            f"calls of grad with (rtol, atol) of (1e-11, 1e-11), (1e-3, 1e-11), (1e-11, 1e-3): {cost}",
        )


# Iterates and equations


@pytest.mark.parametrize("friction", [0.5, 3.0])
def test_the_heavy_ball_approaches_its_equation(friction):
    gaps = []
    for n in (50, 100):
        found = heavy_ball_gap(bowl_grad, [1.0, -0.5], friction, 2.0 / n, n)
        expect.equal(np.shape(found), (n + 1,), "the shape of the gaps")
        gaps.append(float(found[-1]))
    order = math.log2(gaps[0] / gaps[1])
    expect.true(abs(order - 1) < 0.15, f"the gap at time 2 falls as h^{order:.2f}, expected h^1: {gaps}")


def test_the_gap_of_a_heavy_ball_on_a_spring():
    friction, h, x = 0.8, 0.1, [1.0, 1 - 0.01 * 4]
    for _ in range(4):
        x.append(x[-1] + (1 - friction * h) * (x[-1] - x[-2]) - 0.04 * x[-1])
    A = np.array([[0.0, 1.0], [-4.0, -friction]])
    want = np.abs([x[k] - exponential(A, k * h)[0, 0] for k in range(6)])
    got = heavy_ball_gap(lambda x: 4 * x, [1.0], friction, h, 5)
    expect.close(got, want, "the gap after each of 5 steps", rtol=1e-6, atol=1e-9)
    one = heavy_ball_gap(lambda x: 4 * x, [1.0], friction, h, 1)
    expect.close(one, want[:2], "the gap after a single step", rtol=1e-6, atol=1e-9)


def test_nesterovs_method_approaches_its_equation():
    gaps = [float(nesterov_gap(bowl_grad, [1.0, -0.5], (2.0 / n) ** 2, n)[-1]) for n in (50, 100)]
    order = math.log2(gaps[0] / gaps[1])
    expect.true(abs(order - 1) < 0.15, f"the gap falls as sqrt(lr)^{order:.2f}, expected sqrt(lr)^1: {gaps}")


def test_the_gap_of_nesterovs_method_on_a_spring():
    xs = nesterov_by_hand(0.01, 6)
    want = np.abs([x - bessel(0.1 * k, 4.0) for k, x in enumerate(xs)])
    got = nesterov_gap(lambda x: 4 * x, [1.0], 0.01, 6)
    expect.close(got, want, "the gap after each of 6 steps", rtol=1e-6, atol=1e-9)


def nesterov_by_hand(lr, steps):
    xs, y = [1.0], 1.0
    for k in range(1, steps + 1):
        xs.append(y - lr * 4 * y)
        y = xs[k] + (k - 1) / (k + 2) * (xs[k] - xs[k - 1])
    return xs


# Errors


@pytest.mark.parametrize(
    ("friction", "h"), [(1.0, 0.0), (1.0, -0.5), (5.0, 0.25), (-1.5, 0.125), (1.0, math.nan)]
)
def test_settings_without_a_heavy_ball_are_refused(friction, h):
    with expect.raises(ValueError, str(friction), str(h)):
        heavy_ball_limit(friction, h)


@pytest.mark.parametrize(
    ("lr", "momentum"), [(0.0, 0.5), (-0.25, 0.5), (0.25, 1.5), (0.25, -0.5), (math.nan, 0.5)]
)
def test_settings_without_a_time_are_refused(lr, momentum):
    with expect.raises(ValueError, str(lr), str(momentum)):
        heavy_ball_time(lr, momentum)


def test_counts_and_rates_out_of_range_are_refused():
    for lr in (0.0, -0.5, math.nan):
        with expect.raises(ValueError, str(lr)):
            nesterov(bowl_grad, [1.0], lr, 3)
    with expect.raises(ValueError, "-2"):
        nesterov(bowl_grad, [1.0], 0.5, -2)
    for steps in (0, -3):
        with expect.raises(ValueError, str(steps)):
            nesterov_gap(bowl_grad, [1.0], 0.5, steps)
        with expect.raises(ValueError, str(steps)):
            heavy_ball_gap(bowl_grad, [1.0], 0.5, 0.25, steps)


def test_motion_that_is_not_defined_is_refused():
    with expect.raises(ValueError, "(2,)", "(3,)"):
        heavy_ball_flow(bowl_grad, np.zeros(3), [0, 1], 0.5, np.zeros(2))
    with expect.raises(ValueError, "(1, 3)", "(3,)"):
        heavy_ball_flow(bowl_grad, np.zeros(3), [0, 1], 0.5, np.zeros((1, 3)))
    for start in (0.5, -0.5):
        with expect.raises(ValueError, str(start)):
            nesterov_flow(bowl_grad, [1.0], [start, 1.0])
    with expect.raises(ValueError, "-2.5"):
        nesterov_exact(1.0, -2.5)
