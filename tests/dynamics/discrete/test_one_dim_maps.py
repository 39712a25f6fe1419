"""Maps in one dimension: orbits by loops, the cycles of the double well and logistic chaos in closed form."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.discrete.one_dim_maps import (
    bifurcation,
    cobweb,
    fixed_points,
    gd_map,
    lyapunov,
    multiplier,
    orbit,
    period,
)


def well(x):
    """The gradient of the double well (x^2 - 1)^2 / 4."""
    return x**3 - x


def descend(lr):
    return lambda x: x - lr * (x**3 - x)


def slope(lr):
    """The derivative of the same step."""
    return lambda x: 1 - lr * (3 * x**2 - 1)


def logistic(r):
    return lambda x: r * x * (1 - x)


def logistic_slope(r):
    return lambda x: r * (1 - 2 * x)


def two_cycle(lr):
    """The 2-cycle around the minimum 1: p q = 1 / lr and p^2 + q^2 = 1 + 1 / lr."""
    total, product = math.sqrt(1 + 3 / lr), 1 / lr
    gap = math.sqrt(total**2 - 4 * product)
    return np.array([(total + gap) / 2, (total - gap) / 2])


# Orbits


def test_the_map_is_a_step_of_gradient_descent():
    x = np.array([-1.5, 0.0, 0.25, 2.0])
    with expect.unchanged(x):
        after = gd_map(well, 0.1)(x)
    expect.close(after, [-1.3125, 0.0, 0.2734375, 1.4], "a step of rate 0.1 in the double well", rtol=1e-11)
    expect.close(gd_map(well, 0.5)(2.0), -1.0, "a step of rate 0.5 from 2")


def test_an_orbit_begins_at_the_start_and_goes_on():
    want = [0.3]
    for _ in range(20):
        want.append(want[-1] - 0.5 * (want[-1] ** 3 - want[-1]))
    expect.close(orbit(descend(0.5), 0.3, 20), np.array(want), "orbit from 0.3 at rate 0.5", rtol=1e-9)
    expect.close(orbit(descend(0.5), 2, 1), np.array([2.0, -1.0]), "orbit from 2", dtype=np.float64)
    expect.close(orbit(descend(0.5), 0.3, 0), np.array([0.3]), "orbit of no steps")


def test_several_orbits_run_side_by_side():
    starts = np.array([[0.3, -0.2, 1.5], [0.0, 1.0, -1.1]])
    with expect.unchanged(starts):
        path = orbit(descend(0.4), starts, 5)
    want = np.empty((6, 2, 3))
    want[0] = starts
    for k in range(5):
        want[k + 1] = want[k] - 0.4 * (want[k] ** 3 - want[k])
    expect.close(path, want, "orbits from 6 starts", rtol=1e-10)


def test_an_orbit_that_overflows_does_so_quietly():
    with expect.quiet("orbit"):
        path = orbit(descend(0.5), 3.0, 20)
    expect.close(path[:2], [3.0, -9.0], "orbit from 3, its first points")
    expect.true(not np.isfinite(path[-1]), f"20 steps from 3 the orbit is at {path[-1]}, expected no number")


def test_the_cobweb_goes_to_the_graph_and_across_to_the_diagonal():
    corners = cobweb(lambda x: 2 * x, 1.0, 3)
    want = [[1.0, 1], [1, 2], [2, 2], [2, 4], [4, 4], [4, 8], [8, 8]]
    expect.close(corners, want, "cobweb of x -> 2 x from 1, 3 steps")
    expect.close(cobweb(lambda x: 2 * x, 3.0, 0), [[3.0, 3.0]], "cobweb of no steps")
    x = [0.3, descend(0.9)(0.3), descend(0.9)(descend(0.9)(0.3))]
    want = [[x[0], x[0]], [x[0], x[1]], [x[1], x[1]], [x[1], x[2]], [x[2], x[2]]]
    expect.close(cobweb(descend(0.9), 0.3, 2), np.array(want), "cobweb of the double well", rtol=1e-11)


# Fixed points


@pytest.mark.parametrize("lr", [0.1, 0.7, 1.9])
@pytest.mark.parametrize("points", [50, 51, 7])
def test_the_fixed_points_are_the_critical_points_whatever_the_rate(lr, points):
    found = fixed_points(descend(lr), np.linspace(-2, 2.3, points))
    what = f"fixed points of the double well at rate {lr}, on {points} points"
    expect.close(found, [-1.0, 0.0, 1.0], what, rtol=1e-12, atol=1e-12)


def test_a_fixed_point_on_the_grid_is_found_once():
    grid = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
    with expect.unchanged(grid):
        found = fixed_points(descend(0.5), grid)
    expect.close(found, [-1.0, 0.0, 1.0], "fixed points that are points of the grid", atol=1e-12)
    found = fixed_points(descend(0.5), [-1.0, -0.4, 0.3, 1.0])
    expect.close(found, [-1.0, 0.0, 1.0], "fixed points at both ends of the grid", atol=1e-12)


def test_fixed_points_of_other_maps():
    found = fixed_points(np.cos, np.linspace(0, 2, 5))
    expect.close(found, [0.7390851332151607], "fixed point of the cosine", rtol=1e-12)
    found = fixed_points(logistic(3.2), np.linspace(-0.5, 1.2, 10))
    expect.close(found, [0.0, 1 - 1 / 3.2], "fixed points of the logistic map", rtol=1e-12, atol=1e-12)
    found = fixed_points(lambda x: x + np.sin(x), np.linspace(-10, 10, 200))
    expect.close(found, np.pi * np.arange(-3, 4), "zeros of the sine", rtol=1e-12, atol=1e-12)


def test_a_map_that_leaves_everything_has_no_fixed_point():
    expect.close(fixed_points(lambda x: x + 1, np.linspace(-2, 2, 9)), np.empty(0), "fixed points of x + 1")
    found = fixed_points(lambda x: x / 2, np.array([-1.0, 2.0]))
    expect.close(found, np.array([0.0]), "fixed points of x / 2", atol=1e-12)


# Multipliers


def test_the_multiplier_of_a_fixed_point_is_its_slope():
    for lr in (0.3, 1.0, 1.4):
        for at, want in ((1.0, 1 - 2 * lr), (-1.0, 1 - 2 * lr), (0.0, 1 + lr)):
            actual = multiplier(slope(lr), np.array([at]))
            expect.close(actual, want, f"multiplier of the fixed point {at} at rate {lr}", rtol=1e-11)
    expect.close(multiplier(slope(0.3), [1.0]), 0.4, "multiplier of a list", rtol=1e-11)


def test_the_multiplier_of_the_two_cycle_in_closed_form():
    for lr in (1.05, 1.1, math.sqrt(5) - 1, 1.3):
        actual = multiplier(slope(lr), two_cycle(lr))
        want = 9 - 2 * (1 + lr) ** 2
        expect.close(actual, want, f"multiplier of the 2-cycle at rate {lr:.5g}", rtol=1e-9)


def test_an_error_grows_by_the_multiplier_once_around():
    start = two_cycle(1.2)[0]
    after = orbit(descend(1.2), np.array([start - 1e-6, start + 1e-6]), 2)[2]
    growth = float(after[1] - after[0]) / 2e-6
    actual = multiplier(slope(1.2), orbit(descend(1.2), start, 1))
    expect.close(actual, growth, "multiplier of the 2-cycle at rate 1.2 against two neighbours", rtol=1e-6)


# Periods


@pytest.mark.parametrize(
    ("lr", "want"),
    [(0.5, 1), (0.9, 1), (0.98, 1), (1.02, 2), (1.1, 2), (1.22, 2), (1.25, 4), (1.27, 4), (1.29, 8)],
)
def test_the_period_doubles_on_the_way(lr, want):
    expect.equal(period(descend(lr), 0.3), want, f"period in the double well at rate {lr}")


def test_the_periods_of_the_logistic_map():
    for r, want in ((2.8, 1), (3.2, 2), (3.5, 4), (3.55, 8), (3.83, 3), (3.74, 5)):
        expect.equal(period(logistic(r), 0.4), want, f"period of the logistic map at r = {r}")


def test_chaos_has_no_period():
    for lr in (1.31, 1.5, 1.99):
        expect.equal(period(descend(lr), 0.3), None, f"period in the double well at rate {lr}")
    expect.equal(period(descend(1.1), 0.3), 2, "period in the double well at rate 1.1")


def test_only_periods_up_to_the_longest_are_looked_for():
    for longest, want in ((1, None), (3, None), (4, 4), (5, 4), (100, 4)):
        actual = period(descend(1.25), 0.3, longest=longest)
        expect.equal(actual, want, f"period of a 4-cycle, looked for up to {longest}")
    for length, want in ((64, 64), (65, None)):
        actual = period(lambda x: (x + 1) % length, 0.0)  # noqa: B023
        expect.equal(actual, want, f"period of a {length}-cycle, looked for up to 64 by default")


def test_a_slow_orbit_needs_a_longer_transient():
    expect.equal(period(descend(0.999), 0.3, transient=10), None, "period at rate 0.999 after 10 steps")
    expect.equal(period(descend(0.999), 0.3, transient=12_000), 1, "period at rate 0.999 after 12000 steps")
    for transient, want in ((4, None), (5, 1)):
        actual = period(lambda x: np.maximum(x - 1, 0.0), 5.0, transient=transient)
        expect.equal(actual, want, f"period of 5, 4, 3, 2, 1, 0, 0, 0, ... without its first {transient}")


def test_the_tolerance_decides_what_is_equal():
    expect.equal(period(lambda x: 0.99 * x, 1.0, transient=0), None, "period of a slow decay")
    expect.equal(period(lambda x: 0.99 * x, 1.0, transient=0, tol=0.5), 1, "period of a slow decay, tol 0.5")
    actual = period(lambda x: 0.99 * x, 1e-6, transient=0)
    expect.equal(actual, 1, "period of a slow decay from 1e-6: each step is at most the default tol, 1e-8")
    expect.equal(period(lambda x: -x, 0.5, tol=0.0), 2, "period of x -> -x with tol 0: at most, not below")


def test_one_near_return_is_no_period():
    """A start at 1e-12 of an unstable fixed point: the next point is close by, and the orbit leaves."""
    actual = period(logistic(4.0), 0.75 + 1e-12, transient=0)
    expect.equal(actual, None, "period of an orbit that leaves an unstable fixed point")
    expect.equal(period(logistic(4.0), 0.75, transient=0), 1, "period at the fixed point itself")


# Lyapunov exponents


@pytest.mark.parametrize("lr", [0.1, 0.3, 0.7, 0.95])
def test_the_exponent_at_a_minimum_is_the_logarithm_of_its_multiplier(lr):
    actual = lyapunov(descend(lr), slope(lr), 0.3)
    expect.close(actual, math.log(abs(1 - 2 * lr)), f"Lyapunov exponent at rate {lr}", rtol=1e-6)


@pytest.mark.parametrize("lr", [1.05, 1.1, 1.2])
def test_the_exponent_on_the_two_cycle_is_half_the_logarithm_of_its_multiplier(lr):
    actual = lyapunov(descend(lr), slope(lr), 0.3)
    want = math.log(abs(9 - 2 * (1 + lr) ** 2)) / 2
    expect.close(actual, want, f"Lyapunov exponent at rate {lr}", rtol=1e-6)


def test_the_exponent_of_the_logistic_map_is_the_logarithm_of_two():
    """Over 20 starts it varies by 0.001 around ln 2 = 0.693."""
    actual = lyapunov(logistic(4.0), logistic_slope(4.0), 0.3)
    expect.close(actual, math.log(2), "Lyapunov exponent of 4 x (1 - x)", rtol=0.02)


def test_the_exponent_changes_its_sign_where_chaos_begins():
    for lr, chaotic in ((1.27, False), (1.295, False), (1.31, True), (1.5, True), (1.99, True)):
        actual = lyapunov(descend(lr), slope(lr), 0.3)
        word = "above 0.03" if chaotic else "below -0.03"
        right = actual > 0.03 if chaotic else -1 < actual < -0.03
        expect.true(right, f"the Lyapunov exponent at rate {lr} is {actual:.4g}, expected {word}")


def test_the_exponent_averages_the_points_after_the_transient():
    """Slope e^x along 0, 1, 2, ...: the mean of the points themselves."""
    actual = lyapunov(lambda x: x + 1, np.exp, 0.0, transient=10, steps=5)
    expect.close(actual, 12.0, "mean of 10, 11, 12, 13, 14")
    actual = lyapunov(lambda x: x + 1, lambda x: -np.exp(x), 3.0, transient=0, steps=1)
    expect.close(actual, 3.0, "the first point alone, slope -e^3")
    actual = lyapunov(lambda x: x + 1, lambda x: np.exp(x / 1000), 0.0)
    expect.close(actual, 5.9995, "mean of 1.000, 1.001, ..., 10.999, by default", rtol=1e-9)


def test_a_point_of_slope_zero_makes_the_exponent_minus_infinity():
    with expect.quiet("lyapunov"):
        actual = lyapunov(logistic(2.0), logistic_slope(2.0), 0.5, transient=5, steps=10)
    expect.close(actual, -math.inf, "Lyapunov exponent at the top of 2 x (1 - x)")
    actual = lyapunov(logistic(2.5), logistic_slope(2.5), 0.5)
    expect.close(actual, -math.log(2), "Lyapunov exponent of 2.5 x (1 - x)", rtol=1e-6)


# The diagram


def test_the_diagram_has_the_orbits_end_for_each_rate():
    lrs = np.array([0.5, 1.1, 1.2, 0.8])
    with expect.unchanged(lrs):
        points = bifurcation(well, lrs, 0.3, transient=500, keep=6)
    want = np.array([orbit_by_hand(lr, 505)[500:] for lr in lrs])
    expect.close(points, want, "points 500 to 505 for four rates", rtol=1e-7)
    expect.close(np.sort(points[1, :2]), np.sort(two_cycle(1.1)), "the 2-cycle at rate 1.1", rtol=1e-9)


def orbit_by_hand(lr, steps):
    path = [0.3]
    for _ in range(steps):
        path.append(path[-1] - lr * (path[-1] ** 3 - path[-1]))
    return path


def test_the_diagram_by_default_keeps_64_points_after_1000():
    points = bifurcation(well, [0.999], 0.3)
    want = np.array([orbit_by_hand(0.999, 1063)[1000:]])
    expect.close(points, want, "points of a slow orbit", rtol=1e-9)


def test_a_rate_that_diverges_is_a_row_of_nan_without_warnings():
    with expect.quiet("bifurcation"):
        points = bifurcation(well, [0.5, 2.1, 1.1, 5.0], 0.3, transient=200, keep=3)
    want = np.array([orbit_by_hand(lr, 202)[200:] for lr in (0.5, 1.1)])
    expect.close(points[[0, 2]], want, "rows of 0.5 and 1.1, beside two that diverge", rtol=1e-7)
    expect.close(points[[1, 3]], np.full((2, 3), np.nan), "rows of 2.1 and 5, which diverge")


def test_a_row_that_escapes_while_points_are_kept_is_nan_too():
    points = bifurcation(lambda x: x, [0.5, 3.0], 1.0, transient=2, keep=30)
    want = np.stack([0.5 ** np.arange(2, 32), np.full(30, np.nan)])
    expect.close(points, want, "rows of (1 - lr)^k, which passes 1e6 at lr 3", rtol=1e-9, atol=0)


@pytest.mark.parametrize(("far", "end"), [(9e5, 0.0), (1.1e6, math.nan)])
def test_a_row_that_has_been_beyond_a_million_is_nan_even_if_it_came_back(far, end):
    points = bifurcation(lambda x: np.where(x == 1, -far, x), [1.0], 1.0, transient=5, keep=2)
    expect.close(points, np.full((1, 2), end), f"points 5 and 6 of the orbit 1, {1 + far:g}, 0, 0, 0, ...")


# Divergence is not an oscillation


@pytest.mark.parametrize("lr", [2.1, 4.0, 50.0])
def test_an_orbit_that_escapes_is_an_error(lr):
    with expect.raises(OverflowError, "0.3"), expect.quiet("period"):
        period(descend(lr), 0.3)
    with expect.raises(OverflowError, "0.3"), expect.quiet("lyapunov"):
        lyapunov(descend(lr), slope(lr), 0.3)


def test_an_orbit_that_grows_slowly_escapes_too():
    with expect.raises(OverflowError, "0.25"):
        period(lambda x: -1.01 * x, 0.25)
    expect.equal(period(lambda x: -1.0 * x, 0.25), 2, "period of x -> -x, which neither grows nor shrinks")
