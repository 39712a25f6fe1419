"""Gradient descent on a quadratic: the walk by loops, the solution by the walk, words by multipliers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect
from dynamics.discrete.gd_quadratic import (
    best_lr,
    classify,
    closed_form,
    critical_lr,
    rate,
    steps_to,
    trajectory,
)


def rotated(curvatures, seed=0):
    """A symmetric matrix with these eigenvalues, in random directions, and two vectors."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(len(curvatures),) * 2))[0]
    A = Q * np.array(curvatures, float) @ Q.T
    return (A + A.T) / 2, *rng.normal(size=(2, len(curvatures)))


def walk(A, b, x0, lr, steps):
    """Step by step and entry by entry."""
    path = [list(map(float, x0))]
    for _ in range(steps):
        x = path[-1]
        gradient = [sum(A[i][j] * x[j] for j in range(len(x))) - b[i] for i in range(len(x))]
        path.append([x[i] - lr * gradient[i] for i in range(len(x))])
    return np.array(path)


SPECTRA = {
    "bowl": [1.0, 3.0, 10.0],
    "saddle": [-2.0, 1.0, 5.0],
    "valley with a flat floor": [0.0, 1.0, 4.0],
    "one number": [3.0],
    "round": [2.0, 2.0, 2.0, 2.0],
}

# The walk


@pytest.mark.parametrize("lr", [0.05, 0.25, -0.1])
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA.keys())
def test_the_trajectory_is_the_walk_along_the_negative_gradient(spectrum, lr):
    A, b, x0 = rotated(spectrum)
    with expect.unchanged(A, b, x0):
        path = trajectory(A, b, x0, lr, 12)
    expect.close(path, walk(A, b, x0, lr, 12), f"trajectory with eigenvalues {spectrum}, lr {lr}", rtol=1e-11)


def test_a_trajectory_of_no_steps_is_the_start():
    A, b, x0 = rotated([1.0, 2.0])
    expect.close(trajectory(A, b, x0, 0.1, 0), x0[None], "trajectory of 0 steps", dtype=np.float64)


def test_whole_numbers_and_lists_make_a_float_trajectory():
    path = trajectory([[2, 0], [0, 4]], [2, 4], [0, 3], 0.25, 2)
    expect.close(path, [[0.0, 3.0], [0.5, 1.0], [0.75, 1.0]], "trajectory from lists", dtype=np.float64)


# The solution


@pytest.mark.parametrize("lr", [0.05, 0.25, 0.45, -0.1])
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA.keys())
def test_the_closed_form_is_where_the_walk_arrives(spectrum, lr):
    A, b, x0 = rotated(spectrum)
    path = walk(A, b, x0, lr, 20)
    for k in (0, 1, 2, 7, 20):
        what = f"closed form after {k} steps, eigenvalues {spectrum}, lr {lr}"
        expect.close(closed_form(A, b, x0, lr, k), path[k], what, rtol=1e-9)


def test_the_closed_form_of_several_step_counts_is_a_row_for_each():
    A, b, x0 = rotated([1.0, 3.0, 10.0])
    k = np.array([5, 0, 3, 3])
    with expect.unchanged(A, b, x0, k):
        points = closed_form(A, b, x0, 0.15, k)
    expect.close(points, walk(A, b, x0, 0.15, 5)[k], "closed form after 5, 0, 3 and 3 steps", rtol=1e-10)


def test_each_eigenvector_has_its_own_multiplier():
    """x(k) - x* = Q diag((1 - lr a)^k) Q^T (x0 - x*), whose parts along the eigenvectors are powers."""
    spectrum, lr = np.array([1.0, 3.0, 10.0]), 0.18
    A, b, x0 = rotated(spectrum)
    Q, minimum = np.linalg.eigh(A)[1], np.linalg.solve(A, b)
    parts = (closed_form(A, b, x0, lr, 9) - minimum) @ Q
    want = (1 - lr * spectrum) ** 9 * ((x0 - minimum) @ Q)
    expect.close(parts, want, "error after 9 steps along each eigenvector", rtol=1e-9)


def test_a_billion_steps_arrive_at_the_minimum():
    A, b, x0 = rotated([1.0, 3.0, 10.0])
    with expect.quiet("closed_form of 10^9 steps"):
        arrived = closed_form(A, b, x0, 0.19, 10**9)
    expect.close(arrived, np.linalg.solve(A, b), "closed form after 10^9 steps", rtol=1e-9)


def test_a_direction_that_is_flat_but_for_rounding_is_pushed_by_b_for_ever():
    A, b, x0 = np.diag([1e-18, 1.0]), np.array([2.0, 0.0]), np.array([1.0, 1.0])
    for flat in (1e-18, 0.0, -1e-18):
        A[0, 0] = flat
        want = np.array([1 + 0.5 * 1000 * 2, 0.5**1000])
        what = f"closed form after 1000 steps, curvature {flat}"
        expect.close(closed_form(A, b, x0, 0.5, 1000), want, what, rtol=1e-9)
    pushed = closed_form([[1e-10]], [1.0], [0.0], 1.0, 10**10)
    want = np.array([-1e10 * math.expm1(-1)])
    expect.close(pushed, want, "closed form after 10^10 steps, curvature 1e-10", rtol=1e-8)


def test_at_the_critical_rate_the_steepest_direction_jumps_from_side_to_side_for_ever():
    A, b, x0 = rotated([1.0, 4.0])
    steepest = np.linalg.eigh(A)[1][:, 1]
    error = (trajectory(A, b, x0, critical_lr(A), 200) - np.linalg.solve(A, b)) @ steepest
    want = error[0] * (-1.0) ** np.arange(201)
    expect.close(error, want, "error along the steepest eigenvector at the critical rate", rtol=1e-10)


# The words


@pytest.mark.parametrize(
    ("turn", "word"),
    [
        (-3.0, "ascent"),
        (-1e-14, "ascent"),
        (1e-14, "monotone"),
        (0.5, "monotone"),
        (1 - 1e-11, "monotone"),
        (1.0, "one_step"),
        (1 + 1e-11, "oscillating"),
        (1.5, "oscillating"),
        (2 - 1e-11, "oscillating"),
        (2.0, "marginal"),
        (2 + 1e-11, "divergent"),
        (2.5, "divergent"),
        (100.0, "divergent"),
    ],
)
def test_the_word_for_a_direction(turn, word):
    for curvature in (1.0, 49.0, 0.02):
        what = f"what descent does at lr * curvature = {turn!r}, curvature {curvature}"
        expect.equal(classify(turn / curvature, curvature), word, what)


def test_without_curvature_or_rate_nothing_moves():
    expect.equal(classify(0.1, 0.0), "marginal", "what descent does on a flat direction")
    expect.equal(classify(0.0, 7.0), "marginal", "what descent does at lr 0")


def test_a_hill_is_climbed_down_and_a_negative_rate_climbs_up():
    expect.equal(classify(0.1, -2.0), "ascent", "what descent does at curvature -2: the error grows")
    expect.equal(classify(-0.1, 2.0), "ascent", "what descent does at lr -0.1")
    expect.equal(classify(-0.1, -2.0), "monotone", "what ascent does on a hill")


def test_the_words_hold_however_the_product_is_rounded():
    for n in range(1, 200):
        expect.equal(classify(2 / n, n), "marginal", f"what descent does at lr 2/{n}, curvature {n}")
        expect.equal(classify(1 / n, n), "one_step", f"what descent does at lr 1/{n}, curvature {n}")


# The rates


def test_the_critical_rate_is_two_over_the_largest_eigenvalue():
    for spectrum in ([1.0, 3.0, 10.0], [0.0, 1.0, 4.0], [3.0], [2.0, 2.0], [0.25, 0.5], [1e-9, 3e-9]):
        A = rotated(spectrum)[0]
        expect.close(critical_lr(A), 2 / max(spectrum), f"critical lr of eigenvalues {spectrum}", rtol=1e-10)
    expect.close(critical_lr(np.ones((3, 3))), 2 / 3, "critical lr of a matrix of ones", rtol=1e-10)
    expect.close(critical_lr(np.zeros((2, 2))), math.inf, "critical lr of a flat function")


def test_the_critical_rate_parts_convergence_from_divergence():
    A, b, x0 = rotated([1.0, 3.0, 10.0])
    minimum, edge = np.linalg.solve(A, b), critical_lr(A)
    start = np.linalg.norm(x0 - minimum)
    for share, what in ((0.99, "below"), (1.01, "above")):
        end = np.linalg.norm(trajectory(A, b, x0, share * edge, 1500)[-1] - minimum)
        right = end < 1e-3 * start if share < 1 else end > 1e3 * start
        expect.true(right, f"1% {what} the critical rate the error went from {start:.3g} to {end:.3g}")


def test_the_best_rate_balances_both_ends():
    for spectrum in ([1.0, 3.0, 10.0], [50.0, 1.0], [3.0], [1e-3, 1e3]):
        A, low, high = rotated(spectrum)[0], min(spectrum), max(spectrum)
        lr = best_lr(A)
        expect.close(lr, 2 / (low + high), f"best lr of eigenvalues {spectrum}", rtol=1e-9)
        want = (high - low) / (high + low)
        expect.close(rate(A, lr), want, f"rate at the best lr, {spectrum}", rtol=1e-7, atol=1e-12)


def test_no_other_rate_is_faster_than_the_best():
    A = rotated([1.0, 2.0, 12.0])[0]
    best = rate(A, best_lr(A))
    for lr in np.linspace(0.01, 0.17, 60):
        expect.true(
            rate(A, float(lr)) >= best - 1e-12, f"lr {lr:.4g} has a lower rate than the best: {best:.4g}"
        )
    expect.close(best, 11 / 13, "rate at the best lr", rtol=1e-10)


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=5),
    st.floats(-1, 1),
    st.integers(0, 1000),
)
def test_the_rate_is_the_largest_multiplier(spectrum, lr, seed):
    A = rotated(spectrum, seed)[0]
    want = max(abs(1 - lr * a) for a in spectrum)
    expect.close(rate(A, lr), want, f"rate of eigenvalues {spectrum} at lr {lr}", rtol=1e-9, atol=1e-9)


def test_the_late_steps_of_a_walk_shrink_by_the_rate():
    A, b, x0 = rotated([1.0, 3.0, 10.0])
    for lr in (0.03, 0.19):
        error = np.linalg.norm(trajectory(A, b, x0, lr, 300) - np.linalg.solve(A, b), axis=1)
        measured = float(error[150] / error[100]) ** (1 / 50)
        expect.close(measured, rate(A, lr), f"contraction of a step measured at lr {lr}", rtol=1e-6)


# How many steps


@given(st.floats(1e-12, 0.99), st.floats(0.01, 0.99))
def test_the_steps_to_a_tolerance_are_the_fewest(eps, factor):
    want = 0
    error = 1.0
    while error > eps:
        want, error = want + 1, error * factor
    if min(abs(error - eps), abs(error / factor - eps)) > 1e-9 * eps:  # neither on the edge by rounding
        expect.equal(steps_to(eps, factor), want, f"steps to {eps} at rate {factor}")
    expect.equal(steps_to(1e-3, 0.9), 66, "steps to 1e-3 at rate 0.9")


def test_a_tolerance_that_is_met_exactly_is_met():
    for n in range(1, 11):
        expect.equal(steps_to(0.5**n, 0.5), n, f"steps to 2^-{n} at rate 1/2")
    for n in range(1, 31):  # powers of 3/4 are exact up to here
        expect.equal(steps_to(0.75**n, 0.75), n, f"steps to (3/4)^{n} at rate 3/4: one less if that will do")


def test_the_steps_at_the_ends_of_the_range():
    expect.equal(steps_to(1e-9, 0.0), 1, "steps to 1e-9 at rate 0")
    expect.equal(steps_to(1.0, 0.5), 0, "steps to 1")
    expect.equal(steps_to(3.0, 1.5), 0, "steps to 3, at a rate of 1.5")
    expect.equal(steps_to(1e-6, 1 - 1e-6), 13815504, "steps to 1e-6 at rate 1 - 1e-6")


# Errors


@pytest.mark.parametrize(
    ("A", "named"),
    [(np.ones((2, 3)), ["(2, 3)"]), (np.ones(2), ["(2,)"]), ([[1.0, 5.0], [3.0, 1.0]], ["5", "3"])],
)
def test_a_matrix_that_is_not_square_and_symmetric_is_refused(A, named):
    x = np.zeros(2)
    calls = {
        "trajectory": lambda: trajectory(A, x, x, 0.1, 1),
        "closed_form": lambda: closed_form(A, x, x, 0.1, 1),
        "critical_lr": lambda: critical_lr(A),
        "best_lr": lambda: best_lr(A),
        "rate": lambda: rate(A, 0.1),
    }
    for call in calls.values():
        with expect.raises(ValueError, *named):
            call()


def test_rounding_does_not_make_a_matrix_asymmetric_whatever_its_size():
    for size in (1e-15, 1.0, 1e15):
        A = size * np.array([[2.0, 1.0], [1.0 + 1e-15, 2.0]])
        expect.close(critical_lr(A), 2 / (3 * size), f"critical lr of a matrix of size {size:g}", rtol=1e-9)
        with expect.raises(ValueError):
            critical_lr(A + np.array([[0.0, size], [0.0, 0.0]]) * 1e-3)


def test_vectors_that_do_not_fit_are_refused():
    A, short = np.eye(3), np.zeros(2)
    for solve in (trajectory, closed_form):
        for b, x0 in ((short, np.zeros(3)), (np.zeros(3), short)):
            with expect.raises(ValueError, "(2,)", "(3, 3)"):
                solve(A, b, x0, 0.1, 1)


def test_rates_of_a_saddle_or_a_flat_floor_are_refused():
    with expect.raises(ValueError, "-2"):
        critical_lr(np.diag([-2.0, 5.0]))
    with expect.raises(ValueError, "-2"):
        best_lr(np.diag([-2.0, 5.0]))
    with expect.raises(ValueError, "0"):
        best_lr(np.diag([0.0, 5.0]))
    with expect.raises(ValueError, "-3"):
        critical_lr([[-3.0]])
    with expect.raises(ValueError, "-3"):
        best_lr([[-3.0]])
    for size in (1e-13, 1.0, 1e6):
        for flat in (np.ones((3, 3)), np.diag([1e-14, 1.0])):  # two and one that are 0 but for rounding
            with expect.raises(ValueError):
                best_lr(size * flat)
        expect.close(best_lr(size * np.eye(2)), 1 / size, f"best lr of {size:g} I", rtol=1e-10)
        with expect.raises(ValueError):
            critical_lr(-size * np.eye(2))


@pytest.mark.parametrize(
    ("eps", "factor", "named"),
    [
        (0.0, 0.5, "0"),
        (-0.25, 0.5, "-0.25"),
        (math.nan, 0.5, "nan"),
        (0.1, 1.0, "1.0"),
        (0.1, -0.5, "-0.5"),
        (0.1, math.nan, "nan"),
        (0.1, 1.25, "1.25"),
    ],
)
def test_steps_that_never_come_are_refused(eps, factor, named):
    with expect.raises(ValueError, named):
        steps_to(eps, factor)


def test_a_direction_of_no_number_is_refused():
    with expect.raises(ValueError, "nan", "0.5"):
        classify(0.5, math.nan)
