"""Momentum on quadratics: the methods by loops, the roots by their recurrence, the edges by walking."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.discrete.momentum_edge import (
    characteristic,
    companion,
    critical_momentum,
    edge,
    optimal,
    rate,
    regime,
    trajectory,
)

KINDS = ("heavy_ball", "nesterov", "ema")
kinds = pytest.mark.parametrize("kind", KINDS)


def bowl(x):
    """The gradient of a function that is no quadratic: x^4 / 4 + x^2 / 2 - x, and a coupling."""
    return x**3 + x - 1 + 0.25 * x[::-1]


def two_term(gradient, x0, lr, beta, steps, kind):
    """The methods without a velocity: the last step is remembered as a difference of two points."""
    before = now = np.array(x0, float)
    path = [now]
    for _ in range(steps):
        step = beta * (now - before)
        if kind == "heavy_ball":
            after = now + step - lr * gradient(now)
        elif kind == "nesterov":
            after = now + step - lr * gradient(now + step)
        else:
            after = now + step - lr * (1 - beta) * gradient(now)
        before, now = now, after
        path.append(now)
    return np.array(path)


def errors(kind, s, beta, steps):
    """How an error of 1 goes on, by the two-term form at curvature s and rate 1."""
    return two_term(lambda x: s * x, [1.0], 1.0, beta, steps, kind)[:, 0]


# The methods


@kinds
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_the_trajectory_is_the_two_term_recurrence(kind, beta):
    x0 = np.array([1.5, -0.5])
    with expect.unchanged(x0):
        path = trajectory(bowl, x0, 0.1, beta, 15, kind)
    want = two_term(bowl, x0, 0.1, beta, 15, kind)
    expect.close(path, want, f"trajectory of {kind} at momentum {beta}", rtol=1e-10)


def test_the_first_steps_by_hand():
    """Curvature 1, rate 1/2, momentum 1/2, from 1: the velocity is 1 after a step, or 1/2 as an average."""
    want = {
        "heavy_ball": [[1.0], [0.5], [0.0], [-0.25]],
        "nesterov": [[1.0], [0.5], [0.125], [-0.03125]],
        "ema": [[1.0], [0.75], [0.4375], [0.171875]],
    }
    for kind, path in want.items():
        expect.close(trajectory(lambda x: x, [1.0], 0.5, 0.5, 3, kind), path, f"first steps of {kind}")


@kinds
def test_without_momentum_every_method_is_gradient_descent(kind):
    path = trajectory(bowl, [1.5, -0.5], 0.1, 0.0, 10, kind)
    want = two_term(bowl, [1.5, -0.5], 0.1, 0.0, 10, "heavy_ball")
    expect.close(path, want, f"trajectory of {kind} at momentum 0", rtol=1e-12)


def test_the_heavy_ball_is_the_kind_by_default():
    want = two_term(bowl, [1.0, 2.0], 0.05, 0.8, 5, "heavy_ball")
    expect.close(trajectory(bowl, [1.0, 2.0], 0.05, 0.8, 5), want, "trajectory by default", rtol=1e-11)
    expect.close(np.array(characteristic(0.5, 0.5, 1.0)), [1.0, 0.5], "p and q by default")
    expect.close(companion(0.5, 0.5, 1.0), [[1.0, -0.5], [1.0, 0.0]], "companion by default")
    expect.close(rate(0.5, 0.25, np.ones(1)), [0.5], "rate by default")
    expect.equal(np.shape(rate(0.5, 0.25, 1.0)), (), "shape of the rate of a single curvature")
    expect.close(edge(0.5, 0.5), 6.0, "edge by default")
    expect.close(critical_momentum(0.25, 1.0), 0.25, "critical momentum by default")
    expect.equal(regime(1.0, 0.5, 2.5), "underdamped", "regime by default")
    expect.close(np.array(optimal(1.0, 9.0)), [0.25, 0.25, 0.5], "optimum by default")


@kinds
def test_a_step_asks_for_one_gradient(kind):
    asked = []
    path = trajectory(lambda x: asked.append(1) or 1.0 * x, [1.0], 0.5, 0.5, 7, kind)
    expect.equal(len(asked), 7, f"gradients that {kind} asks for in 7 steps")
    expect.close(path[1:2], [[0.75]] if kind == "ema" else [[0.5]], "the first step")


@kinds
def test_no_steps_leave_the_start(kind):
    expect.close(trajectory(bowl, [3, 4], 0.1, 0.5, 0, kind), [[3.0, 4.0]], f"0 steps of {kind}")


# The roots


@kinds
def test_the_errors_obey_the_characteristic_recurrence(kind):
    rng = np.random.default_rng(0)
    for s, beta in zip(rng.uniform(-1, 5, 12), rng.uniform(0, 0.99, 12), strict=True):
        curvature = math.copysign(rng.choice([0.01, 1.0, 40.0]), s)
        p, q = characteristic(s / curvature, beta, curvature, kind)
        e = errors(kind, s, beta, 4)
        what = f"the errors by p = {p:.6g}, q = {q:.6g}, {kind}, lr * curvature {s:.4g}, momentum {beta:.4g}"
        expect.close(p * e[1:-1] - q * e[:-2], e[2:], what, rtol=1e-9, atol=1e-9)


def test_p_and_q_are_those_of_the_table():
    want = {"heavy_ball": [0.75, 0.75], "nesterov": [0.0, 0.0], "ema": [1.5, 0.75]}
    for kind, pair in want.items():
        actual = np.array(characteristic(0.25, 0.75, 4.0, kind), float)
        expect.close(actual, pair, f"p and q of {kind} at lr 1/4, momentum 3/4, curvature 4")
    actual = np.array(characteristic(0.25, 0.5, -4.0, "nesterov"), float)
    expect.close(actual, [3.0, 1.0], "p and q of nesterov at curvature -4")


@kinds
@pytest.mark.parametrize(("s", "beta"), [(0.3, 0.9), (1.7, 0.5), (0.01, 0.2), (-0.5, 0.6)])
def test_powers_of_the_companion_matrix_are_steps(kind, s, beta):
    e = errors(kind, s, beta, 9)
    M = companion(s / 2, beta, 2.0, kind)
    after = np.linalg.matrix_power(M, 8) @ e[1::-1] if M.shape == (2, 2) else M
    expect.close(after, e[9:7:-1], f"M^8 (e_1, e_0) of {kind}, lr * curvature {s}", rtol=1e-9)


@kinds
def test_the_rate_is_the_largest_root(kind):
    rng = np.random.default_rng(0)
    for _ in range(5):
        lr, beta, curvature = rng.uniform(0.05, 1), rng.uniform(0, 0.98), rng.uniform(-2, 8, (2, 3))
        want = np.empty((2, 3))
        for at, a in np.ndenumerate(curvature):
            s = lr * a
            p, q = {
                "heavy_ball": (1 + beta - s, beta),
                "nesterov": ((1 + beta) * (1 - s), beta * (1 - s)),
                "ema": (1 + beta - (1 - beta) * s, beta),
            }[kind]
            want[at] = np.abs(np.roots([1, -p, q])).max()
        with expect.unchanged(curvature), expect.quiet("rate"):
            actual = rate(lr, beta, curvature, kind)
        expect.close(actual, want, f"rates of {kind} at lr {lr:.3g}, momentum {beta:.3g}", rtol=1e-6)


@kinds
def test_the_late_steps_of_a_walk_shrink_by_the_rate(kind):
    curvature = np.array([0.2, 1.0, 2.5])
    path = trajectory(lambda x: curvature * x, np.ones(3), 0.3, 0.7, 400, kind)
    early, late = (np.abs(path[k : k + 40]).max(axis=0) for k in (60, 300))
    measured = (late / early) ** (1 / 240)
    expect.close(measured, rate(0.3, 0.7, curvature, kind), f"contraction of {kind}", rtol=0.01)


def test_where_the_heavy_ball_swings_its_rate_forgets_the_curvature():
    curvature = np.linspace((1 - 0.9) ** 2 + 1e-6, (1 + 0.9) ** 2 - 1e-6, 50)
    want = np.full(50, 0.9)
    expect.close(rate(1.0, 0.81, curvature), want, "rates between (1 - 0.9)^2 and (1 + 0.9)^2", rtol=1e-9)


# The edge


@kinds
@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 0.9, 0.99])
def test_the_edge_in_closed_form(kind, beta):
    top = {"heavy_ball": 1.0, "nesterov": 1 / (1 + 2 * beta), "ema": 1 / (1 - beta)}[kind]
    for lr in (0.1, 3.0):
        want = 2 * (1 + beta) * top / lr
        expect.close(edge(lr, beta, kind), want, f"edge of {kind} at lr {lr}, momentum {beta}", rtol=1e-11)


@kinds
@pytest.mark.parametrize("beta", [0.0, 0.4, 0.9])
def test_a_walk_stays_below_the_edge_and_leaves_above_it(kind, beta):
    limit = edge(0.5, beta, kind)
    for share, stays in ((0.95, True), (1.05, False)):
        path = np.abs(trajectory(lambda x: share * limit * x, [1.0], 0.5, beta, 500, kind)[:, 0])  # noqa: B023
        end = path[-5:].max()
        expect.true(
            end < 1e-3 if stays else end > 1e3,
            f"{kind} at momentum {beta} and {share} of the edge {limit:.4g}: the error after 500 steps is"
            f" {end:.3g}, expected {'below 1e-3' if stays else 'above 1e3'}",
        )


@kinds
def test_a_bisection_of_the_walk_finds_the_edge(kind):
    beta, low, high = 0.5, 0.1, 20.0
    for _ in range(22):
        middle = (low + high) / 2
        e = np.abs(errors(kind, middle, beta, 200))
        low, high = (middle, high) if e[-2:].max() < e[120:122].max() else (low, middle)
    expect.close(edge(1.0, beta, kind), low, f"edge of {kind} against a bisection", rtol=1e-4)


@kinds
def test_the_edge_is_its_own_inverse(kind):
    lr = 0.037
    there = edge(lr, 0.6, kind)
    expect.close(edge(there, 0.6, kind), lr, f"largest stable lr of {kind} at curvature {there:.4g}")
    expect.close(rate(lr, 0.6, np.array([there]), kind), [1.0], f"rate of {kind} at the edge", rtol=1e-9)


# Damping


@kinds
@pytest.mark.parametrize("s", [0.001, 0.1, 0.5, 0.9])
def test_critical_damping_has_two_equal_roots_and_decays_fastest(kind, s):
    beta = critical_momentum(s / 4, 4.0, kind)
    expect.true(0 < beta < 1, f"critical momentum of {kind}, lr * curvature {s}: {beta}, expected in (0, 1)")
    p, q = {
        "heavy_ball": (1 + beta - s, beta),
        "nesterov": ((1 + beta) * (1 - s), beta * (1 - s)),
        "ema": (1 + beta - (1 - beta) * s, beta),
    }[kind]
    what = f"p^2 of {kind} against 4 q at its critical momentum {beta:.6g}, lr * curvature {s}"
    expect.close(p * p, 4 * q, what, rtol=1e-10)
    root = p / 2
    expect.true(root > 0, f"the double root of {kind} is {root:.4g}, expected above 0")
    for other in (0.0, beta / 2, beta + (1 - beta) / 4, beta + (1 - beta) / 2, 0.995):
        there = {
            "heavy_ball": (1, -(1 + other - s), other),
            "nesterov": (1, -(1 + other) * (1 - s), other * (1 - s)),
            "ema": (1, -(1 + other - (1 - other) * s), other),
        }[kind]
        fastest = np.abs(np.roots(there)).max()
        expect.true(fastest > root - 1e-6, f"{kind} decays by {fastest:.6g} at momentum {other:.3g}: faster")


@kinds
def test_critical_damping_at_a_perfect_step_needs_no_momentum(kind):
    expect.close(critical_momentum(0.5, 2.0, kind), 0.0, f"critical momentum of {kind} at lr * curvature 1")
    expect.close(
        critical_momentum(0.25, 1.0, kind),
        {"heavy_ball": 1 / 4, "nesterov": 1 / 3, "ema": 9 / 25}[kind],
        f"critical momentum of {kind} at lr * curvature 1/4",
    )


@pytest.mark.parametrize(
    ("kind", "s", "beta", "word"),
    [
        ("heavy_ball", 0.1, 0.3, "overdamped"),
        ("heavy_ball", 0.1, 0.8, "underdamped"),
        ("heavy_ball", 2.5, 0.5, "underdamped"),
        ("heavy_ball", 2.95, 0.5, "alternating"),
        ("heavy_ball", 3.05, 0.5, "divergent"),
        ("heavy_ball", 0.25, 0.25, "critical"),
        ("heavy_ball", 2.25, 0.25, "critical"),
        ("heavy_ball", 3.0, 0.5, "marginal"),
        ("nesterov", 0.1, 0.3, "overdamped"),
        ("nesterov", 0.1, 0.8, "underdamped"),
        ("nesterov", 0.25, 1 / 3, "critical"),
        ("nesterov", 1.0, 0.5, "critical"),
        ("nesterov", 1.2, 0.5, "alternating"),
        ("nesterov", 1.55, 0.5, "divergent"),
        ("nesterov", 1.5, 0.5, "marginal"),
        ("ema", 0.1, 0.3, "overdamped"),
        ("ema", 0.1, 0.8, "underdamped"),
        ("ema", 0.25, 0.36, "critical"),
        ("ema", 5.0, 0.5, "underdamped"),
        ("ema", 5.95, 0.5, "alternating"),
        ("ema", 6.05, 0.5, "divergent"),
        ("ema", 6.0, 0.5, "marginal"),
        ("heavy_ball", 0.5, 0.0, "overdamped"),
        ("heavy_ball", 1.0, 0.0, "critical"),
        ("heavy_ball", 1.5, 0.0, "alternating"),
        ("heavy_ball", 2.0, 0.0, "marginal"),
        ("heavy_ball", 3.0 - 1e-10, 0.5, "alternating"),
        ("heavy_ball", 3.0 + 1e-10, 0.5, "divergent"),
        ("heavy_ball", 0.25 - 1e-10, 0.25, "overdamped"),
        ("heavy_ball", 0.25 + 1e-10, 0.25, "underdamped"),
        ("nesterov", 0.25 - 1e-10, 1 / 3, "overdamped"),
        ("ema", 0.25 + 1e-10, 0.36, "underdamped"),
    ],
)
def test_the_word_for_a_direction(kind, s, beta, word):
    for curvature in (1.0, 32.0, 0.125, 2.0**-40):
        what = f"regime of {kind} at lr * curvature {s}, momentum {beta:.4g}"
        expect.equal(regime(s / curvature, beta, curvature, kind), word, what)


@kinds
def test_the_words_for_hills_and_plains(kind):
    expect.equal(regime(0.1, 0.5, -2.0, kind), "ascent", f"regime of {kind} at curvature -2")
    expect.equal(regime(0.1, 0.5, -200.0, kind), "ascent", f"regime of {kind} at curvature -200")
    expect.equal(regime(0.1, 0.5, 0.0, kind), "marginal", f"regime of {kind} at curvature 0")


@kinds
def test_the_words_at_the_edge_and_at_critical_damping_hold_however_they_are_rounded(kind):
    for n in range(3, 50):
        beta = 1 / n
        at = 2 * (1 + beta) * {"heavy_ball": 1, "nesterov": 1 / (1 + 2 * beta), "ema": 1 / (1 - beta)}[kind]
        expect.equal(regime(1 / 49, beta, 49 * at, kind), "marginal", f"regime of {kind} at its edge")
        t = math.sqrt(1 / n)
        beta = {"heavy_ball": (1 - t) ** 2, "nesterov": (1 - t) / (1 + t)}.get(kind, ((n - 1) / (n + 1)) ** 2)
        expect.equal(regime(1 / 49, beta, 49 / n, kind), "critical", f"regime of {kind} at its critical")


@kinds
def test_what_swings_swings_and_what_creeps_creeps(kind):
    """Sign changes of the error in 60 steps, by the word."""
    for s, beta in ((0.05, 0.3), (0.05, 0.9), (0.2, 0.8), (1.3, 0.2)):
        changes = int(np.sum(np.diff(np.sign(errors(kind, s, beta, 60)[20:])) != 0))
        word = "overdamped" if changes == 0 else "alternating" if changes == 40 else "underdamped"
        what = f"regime of {kind} at lr * curvature {s}, momentum {beta}: {changes} sign changes in 40 steps"
        expect.equal(regime(s, beta, 1.0, kind), word, what)


# The optimum


@kinds
@pytest.mark.parametrize(("low", "high"), [(1.0, 100.0), (0.5, 2.0), (1e-3, 10.0)])
def test_the_optimum_contracts_both_ends_by_its_rate(kind, low, high):
    lr, beta, best = optimal(low, high, kind)
    c = high / low
    want = 1 - 2 / math.sqrt(3 * c + 1) if kind == "nesterov" else (c**0.5 - 1) / (c**0.5 + 1)
    expect.close(best, want, f"best rate of {kind} for curvatures from {low} to {high}", rtol=1e-9)
    ends = np.linspace(low, high, 11)
    weight = 1 - beta if kind == "ema" else 1.0
    s = lr * weight * ends
    p, q = (1 + beta) * (1 - s) if kind == "nesterov" else 1 + beta - s, beta + 0 * s
    if kind == "nesterov":
        q = beta * (1 - s)
    largest = max(np.abs(np.roots([1, -a, b])).max() for a, b in zip(p, q, strict=True))
    what = f"contraction of {kind} at its optimum lr {lr:.5g}, momentum {beta:.5g}"
    expect.close(float(largest), best, what, rtol=1e-6)


@kinds
def test_no_other_setting_is_faster(kind):
    lr, beta, best = map(float, optimal(1.0, 20.0, kind))
    r, other, a = np.meshgrid(np.linspace(0.02, 4, 100) * lr, np.linspace(0, 0.95, 60), [1.0, 20.0])
    s = r * a * (1 - other if kind == "ema" else 1)
    p = (1 + other) * (1 - s) if kind == "nesterov" else 1 + other - s
    q = other * (1 - s) if kind == "nesterov" else other
    gap = p * p - 4 * q
    roots = np.where(gap >= 0, (np.abs(p) + np.sqrt(np.maximum(gap, 0))) / 2, np.sqrt(np.maximum(q, 0)))
    fastest = float(roots.max(axis=-1).min())
    expect.true(
        best - 1e-9 < fastest < best + 0.05,
        f"{kind} with curvatures 1 and 20: the fastest of 6000 settings contracts by {fastest:.6g}, yours,"
        f" lr {lr:.4g} and momentum {beta:.4g}, by {best:.6g}",
    )


def test_the_optimum_of_a_round_bowl_is_one_perfect_step():
    for kind in KINDS:
        actual = np.array(optimal(4.0, 4.0, kind), float)
        expect.close(actual, [0.25, 0.0, 0.0], f"optimum of {kind} at curvature 4", atol=1e-12)


# Errors


def calls(momentum, kind):
    return [
        lambda: trajectory(bowl, [1.0], 0.1, momentum, 1, kind),
        lambda: characteristic(0.1, momentum, 1.0, kind),
        lambda: companion(0.1, momentum, 1.0, kind),
        lambda: rate(0.1, momentum, np.ones(1), kind),
        lambda: edge(0.1, momentum, kind),
        lambda: regime(0.1, momentum, 1.0, kind),
    ]


@pytest.mark.parametrize("momentum", [1.0, -0.1, 1.5, math.nan])
def test_a_momentum_out_of_range_is_refused(momentum):
    for call in calls(momentum, "heavy_ball"):
        with expect.raises(ValueError, str(momentum)):
            call()


def test_an_unknown_kind_is_refused():
    others = [lambda: critical_momentum(0.1, 1.0, "adam"), lambda: optimal(1.0, 2.0, "adam")]
    for call in [*calls(0.5, "adam"), *others]:
        with expect.raises(ValueError, "adam"):
            call()


@pytest.mark.parametrize("lr", [0.0, -0.25, math.nan])
def test_a_rate_that_is_not_positive_has_no_edge(lr):
    with expect.raises(ValueError, str(lr)):
        edge(lr, 0.5)
    with expect.raises(ValueError, str(lr)):
        regime(lr, 0.5, 1.0)


def test_no_momentum_damps_a_hill_or_a_step_beyond_the_perfect_one():
    for s in (-0.5, 0.0, 1.5, math.nan):
        with expect.raises(ValueError, str(s)):
            critical_momentum(1.0, s)


def test_curvatures_that_are_no_range_are_refused():
    for kind in KINDS:
        for low, high in ((2.0, 1.0), (0.0, 1.0), (-1.0, 3.0)):
            with expect.raises(ValueError, str(low), str(high)):
                optimal(low, high, kind)
