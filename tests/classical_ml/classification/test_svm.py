"""classical_ml.classification.svm: optima that prove themselves, by duality gap and KKT conditions."""

from itertools import combinations

import numpy as np
import pytest

from classical_ml.classification.svm import (
    SVC,
    Dual,
    LinearSVC,
    dual_coordinate_descent,
    duality_gap,
    intercept,
    kernel_matrix,
    kernel_rows,
    smo,
    votes,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.datasets.toy import circles
from curriculum.testing import expect

KERNELS = [
    pytest.param({"kernel": "linear"}, id="linear"),
    pytest.param({"kernel": "poly", "gamma": 0.5, "coef0": 1.0, "degree": 3}, id="poly"),
    pytest.param({"kernel": "poly", "gamma": 0.3, "coef0": 0.0, "degree": 2}, id="poly without coef0"),
    pytest.param({"kernel": "rbf", "gamma": 0.7}, id="rbf"),
]
LOSSES = [pytest.param(False, id="hinge"), pytest.param(True, id="squared hinge")]


def problem(n=24, d=3, seed=0, noise=0.7):
    """Points and labels -1.0, +1.0 that a line nearly separates."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    y = np.where(X[:, 0] + noise * rng.standard_normal(n) > 0.2, 1.0, -1.0)
    y[:2] = -1.0, 1.0
    return X, y


def three_classes(n=36, seed=0, names=("ash", "elm", "oak")):
    rng = np.random.default_rng(seed)
    k = np.arange(n) % 3
    X = rng.standard_normal((n, 2)) + 1.5 * np.array([[0.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])[k]
    return X, np.array(names)[k]


def solve(K, y, C, **settings):
    """`smo` with a limit, far above what it takes: an endless loop would say nothing."""
    return smo(K.__getitem__, np.diagonal(K).copy(), y, C, **{"max_iter": 20_000, **settings})


def svc(**settings):
    return SVC(**{"max_iter": 20_000, **settings})


def bounds(y, C):
    return np.minimum(C * y, 0.0), np.maximum(C * y, 0.0)


def kernel_by_hand(a, b, kernel, gamma=1.0, coef0=0.0, degree=3):
    if kernel == "linear":
        return float(a @ b)
    if kernel == "poly":
        return float((gamma * (a @ b) + coef0) ** degree)
    return float(np.exp(-gamma * ((a - b) ** 2).sum()))


def dual_objective(K, beta, y, C=1.0, squared=False):
    return y @ beta - beta @ K @ beta / 2 - (beta @ beta / (4 * C) if squared else 0.0)


def primal_objective(K, beta, b, y, C, squared=False):
    short = np.maximum(0.0, 1.0 - y * (K @ beta + b))
    return beta @ K @ beta / 2 + C * (short**2 if squared else short).sum()


# Kernels


@pytest.mark.parametrize("settings", KERNELS)
def test_kernels_follow_their_formula(settings):
    rng = np.random.default_rng(1)
    A, B = rng.standard_normal((150, 3)), rng.standard_normal((4, 3))
    with expect.unchanged(A, B):
        K = kernel_matrix(A, B, **settings)
    want = np.array([[kernel_by_hand(a, b, **settings) for b in B] for a in A])
    expect.close(K, want, f"{settings['kernel']} kernel of 150 and 4 points", rtol=1e-10)


@pytest.mark.parametrize("settings", KERNELS)
def test_kernel_matrices_are_symmetric_and_positive_semidefinite(settings):
    X = np.random.default_rng(2).standard_normal((20, 2))
    K = kernel_matrix(X, X, **settings)
    expect.close(K, K.T, f"{settings['kernel']} kernel matrix, against its transpose", rtol=1e-10)
    least = np.linalg.eigvalsh((K + K.T) / 2).min() / np.trace(K)
    expect.true(least > -1e-12, f"eigenvalues should not be negative, the least is {least:.3g} of their sum")
    want = [kernel_by_hand(x, x, **settings) for x in X]
    expect.close(np.diagonal(K).copy(), np.array(want), "the kernel of each point with itself", rtol=1e-10)


def test_special_cases_of_the_polynomial_kernel():
    A, B = np.random.default_rng(3).standard_normal((2, 4, 2))
    expect.close(kernel_matrix(A, B, "poly", gamma=1.0, degree=1), A @ B.T, "polynomial of degree 1")
    expect.close(kernel_matrix(A, B, "poly", degree=0), np.ones((4, 4)), "polynomial of degree 0")


def test_rbf_far_from_the_origin():
    near = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, -1.0]])
    K = kernel_matrix(near + 1e8, near + 1e8, "rbf", gamma=0.1)
    want = [[kernel_by_hand(a, b, "rbf", 0.1) for b in near] for a in near]
    expect.close(K, np.array(want), "rbf kernel of points around (1e8, 1e8)", rtol=1e-6)


def test_rbf_is_at_most_one_and_one_for_equal_points():
    X = np.random.default_rng(4).standard_normal((80, 7))
    K = kernel_matrix(X, X, "rbf", gamma=1.3)
    expect.true(bool((K <= 1.0).all()), f"no kernel should be above 1, the largest is {K.max()!r}")
    expect.close(np.diagonal(K).copy(), np.ones(80), "rbf kernel of each point with itself")


def test_an_unknown_kernel_is_named():
    with expect.raises(ValueError, "cosine"):
        kernel_matrix(np.ones((2, 2)), np.ones((2, 2)), "cosine")


def counting(X):
    """A kernel that writes down the rows of A it is asked for."""
    made = []

    def kernel(A, B):
        made.extend(A.tolist())
        return A @ B.T + (A**2).sum(axis=1)[:, None] * (B**2).sum(axis=1)

    return kernel, made, kernel(X, X)


@pytest.mark.parametrize("size", [10.0, 1e-9], ids=["all rows fit", "two rows are kept"])
def test_rows_are_those_of_the_kernel_matrix(size):
    X = np.random.default_rng(5).standard_normal((6, 2))
    kernel, _, K = counting(X)
    rows, diagonal = kernel_rows(X, kernel, size)
    expect.close(np.asarray(diagonal), np.diagonal(K).copy(), "diagonal of K")
    for i in (3, 0, 3, 5, 1, 2, 4, 0):
        expect.close(rows(i), K[i], f"row {i}")


def test_rows_that_fit_are_made_once():
    X = np.arange(1.0, 13.0).reshape(6, 2)
    kernel, made, K = counting(X)
    rows, _ = kernel_rows(X, kernel, 1.0)
    made.clear()
    for _ in range(3):
        for i in range(6):
            expect.close(rows(i), K[i], f"row {i}")
    expect.true(len(made) <= 6, f"6 rows were asked for 3 times each and fit: {len(made)} were made")


def test_the_rows_used_last_are_kept_and_others_forgotten():
    X = np.arange(1.0, 13.0).reshape(6, 2)
    kernel, made, K = counting(X)
    rows, _ = kernel_rows(X, kernel, 3.5 * 6 * 8 / 2**20)  # room for three rows
    made.clear()
    for i in (0, 1, 2, 0, 3, 0):
        expect.close(rows(i), K[i], f"row {i}")
    expect.equal(len(made), 4, "rows made for 0, 1, 2, 0, 3, 0 with room for three")
    rows(1)
    expect.equal(len(made), 5, "rows made when 1 follows, which was not used for longest when 3 came")


# SMO


def test_two_points_are_separated_by_their_bisector():
    """x = 0 and x = 4: w = 2 / distance = 1/2 = 4 beta, so beta = 1/8, and f = x / 2 - 1."""
    K, y = np.array([[0.0, 0.0], [0.0, 16.0]]), np.array([-1.0, 1.0])
    dual = solve(K, y, 10.0)
    expect.close(dual.beta, np.array([-0.125, 0.125]), "beta of two points 4 apart")
    expect.close(dual.gradient, np.array([-1.0, -1.0]), "g = y - K beta of two points")
    expect.close(intercept(dual, y, 10.0), -1.0, "b of two points 4 apart")
    expect.equal(int(dual.n_iter), 1, "steps for two points")
    expect.true(dual.converged, "two points are solved by one step: converged should be True")


def test_three_points_whose_solution_is_known():
    """(0, 0) against (1, 1) and (1, -1): w = (2, 0), so beta is -2, 1, 1."""
    X, y = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, -1.0]]), np.array([-1.0, 1.0, 1.0])
    dual = solve(X @ X.T, y, 10.0, tol=1e-9)
    expect.close(dual.beta, np.array([-2.0, 1.0, 1.0]), "beta of a corner", rtol=1e-6)
    expect.close(intercept(dual, y, 10.0), -1.0, "b of a corner", rtol=1e-6)


def test_a_point_behind_its_plane_has_beta_zero_exactly():
    x, y = np.array([0.0, 2.0, 5.0]), np.array([-1.0, 1.0, 1.0])
    dual = solve(np.outer(x, x), y, 10.0, tol=1e-9)
    expect.close(dual.beta, np.array([-0.5, 0.5, 0.0]), "beta of -, + and + at 0, 2 and 5", rtol=1e-8, atol=0)


def test_a_small_C_puts_the_points_on_their_bounds():
    """Free, the two would get 1/8. At C = 1/10: w = 0.4, and b = -0.8 makes both miss by the same."""
    K, y = np.array([[0.0, 0.0], [0.0, 16.0]]), np.array([-1.0, 1.0])
    dual = solve(K, y, 0.1)
    expect.equal(dual.beta, np.array([-0.1, 0.1]), "beta at the bounds, exactly")
    expect.close(intercept(dual, y, 0.1), -0.8, "b if no beta is between its bounds")


def test_rounding_leaves_no_beta_beside_its_bound():
    """The first eight points end with every beta at a bound; of those that can rise the largest g is 0.7, of
    those that can fall the smallest is 1.

    Sums of 0.3 or 0.7 end some 1e-17 to 1e-16 beside a bound; such a beta is not free.
    """
    X = np.array([[1, 1], [0, 1], [-2, -1], [3, 2], [-3, -2], [-3, 0], [-1, 1], [0, 0]], dtype=float)
    y = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
    dual = solve(X @ X.T, y, 0.3, tol=1e-6)
    expect.close(intercept(dual, y, 0.3), 0.85, "b, halfway, as no beta is free", rtol=1e-9)
    problems = [(X, y, 0.3)]
    for seed in (566, 99, 282, 597, 14, 122, 205, 244):
        rng = np.random.default_rng(seed)
        X, y = rng.integers(-3, 4, (8, 2)).astype(float), np.where(rng.random(8) > 0.5, 1.0, -1.0)
        y[:2] = 1.0, -1.0
        problems += [(X, y, 0.3), (X, y, 0.7)]
    problems += [(s * X, y, C / s**2) for s in (2.0**10, 2.0**-10) for X, y, C in problems]
    for X, y, C in problems:
        dual = solve(X @ X.T, y, C, tol=1e-6)
        expect.true(dual.converged, f"smo should converge on 8 points, C = {C:.3g}")
        size = np.abs(dual.beta)
        left = np.minimum(size, np.abs(C - size))
        expect.true(
            bool(((left == 0) | (left > 1e-12 * C)).all()),
            f"some beta is {left[left > 0].min(initial=C):.3g} beside a bound, C = {C:.3g}: rounding, "
            f"put it on the bound: {size.tolist()}",
        )


@pytest.mark.parametrize("settings", KERNELS)
@pytest.mark.parametrize("C", [0.05, 0.85, 20.0])
def test_the_kkt_conditions_hold(settings, C):
    X, y = problem(seed=8)
    K = kernel_matrix(X, X, **settings)
    with expect.unchanged(K, y):
        dual = solve(K, y, C, tol=1e-4)
    low, high = bounds(y, C)
    beta, g = dual.beta, y - K @ dual.beta
    expect.true(dual.converged, f"smo without limit should converge, C = {C}")
    expect.close(dual.gradient, g, "g, against y - K beta", rtol=1e-8, atol=1e-8)
    expect.true(bool(((beta >= low) & (beta <= high)).all()), f"beta should obey 0 <= y beta <= {C}: {beta}")
    expect.true(abs(beta.sum()) < 1e-10 * C * len(y), f"sum of beta should be 0, is {beta.sum():.3g}")
    violation = g[beta < high].max() - g[beta > low].min()
    expect.true(
        violation < 1.01e-4, f"no pair should have g_i - g_j >= tol = 1e-4, the worst has {violation:.3g}"
    )
    expect.true(bool((beta != 0).any()), "some beta should be other than 0")


@pytest.mark.parametrize("settings", KERNELS)
def test_the_duality_gap_closes(settings):
    X, y = problem(seed=1)
    K, C = kernel_matrix(X, X, **settings), 2.0
    dual = solve(K, y, C, tol=1e-7)
    b = intercept(dual, y, C)
    high, low = primal_objective(K, dual.beta, b, y, C), dual_objective(K, dual.beta, y)
    expect.close(high, low, "primal objective at (w, b), against the dual objective", rtol=1e-5)
    gap = duality_gap(dual.beta, dual.gradient - b, y, C, squared=False)
    expect.close(gap, high - low, "duality gap", atol=1e-9 * high)
    f = K @ dual.beta + b
    expect.true(
        bool((y * f > 1 - 1e-5)[dual.beta == 0].all()),
        "points with beta 0 should be on or behind their plane, y f >= 1",
    )


def smo_by_hand(K, y, C, steps):
    """The rule of the docstring, each g and q from its definition."""
    (low, high), beta = bounds(y, C), np.zeros(len(y))
    for _ in range(steps):
        g = y - K @ beta
        i = max(np.flatnonzero(beta < high), key=lambda t: (round(g[t], 9), -t))
        best = (0.0, 0, 0.0)
        for t in np.flatnonzero(beta > low):
            if g[i] - g[t] > 0:
                q = K[i, i] + K[t, t] - 2 * K[i, t]
                best = max(best, ((g[i] - g[t]) ** 2 / q, -t, (g[i] - g[t]) / q))
        j, d = -best[1], min(best[2], high[i] - beta[i], beta[-best[1]] - low[-best[1]])
        beta[i] += d
        beta[j] -= d
    return beta


@pytest.mark.parametrize("settings", KERNELS)
@pytest.mark.parametrize("C", [0.3, 5.0])
def test_each_step_takes_the_pair_with_the_largest_rise(settings, C):
    X, y = problem(12, 2, seed=3)
    K = kernel_matrix(X, X, **settings)
    for steps in range(1, 4):
        dual = solve(K, y, C, max_iter=steps)
        expect.close(dual.beta, smo_by_hand(K, y, C, steps), f"beta after {steps} step(s)", rtol=1e-6)


def test_the_second_of_a_pair_is_chosen_by_what_it_gains():
    """The negatives all have g = -1; the nearest to the positive has the smallest q, so the largest rise."""
    x, y = np.array([9.0, 0.0, 8.0, 5.0]), np.array([1.0, -1.0, -1.0, -1.0])
    dual = solve(np.outer(x, x), y, 100.0, max_iter=1)
    expect.close(dual.beta, np.array([2.0, 0.0, -2.0, 0.0]), "beta after one step: + at 9, - at 0, 8 and 5")


def test_every_step_raises_the_dual_objective():
    X, y = problem(seed=5)
    K = kernel_matrix(X, X, "rbf", gamma=0.7)
    values = [dual_objective(K, solve(K, y, 3.0, max_iter=n).beta, y) for n in range(8)]
    rises = np.diff(values)
    expect.true(bool((rises > 0).all()), f"the dual should rise in each of 7 steps, it rises by {rises}")


def test_max_iter_ends_it_before_it_converged():
    X, y = problem(seed=5)
    K = kernel_matrix(X, X, "rbf", gamma=0.7)
    dual = solve(K, y, 3.0, max_iter=5)
    expect.equal(int(dual.n_iter), 5, "steps with max_iter=5")
    expect.true(not dual.converged, "five steps do not suffice: converged should be False")
    expect.close(dual.gradient, y - K @ dual.beta, "g after five steps", rtol=1e-9)


def test_a_step_reads_two_rows():
    X, y = problem(40, seed=6)
    K, asked = kernel_matrix(X, X, "rbf", gamma=0.7), []

    def rows(i):
        asked.append(i)
        return K[i]

    dual = smo(rows, np.diagonal(K).copy(), y, 3.0)
    expect.true(dual.converged, "without max_iter, smo should go on until it has converged")
    expect.close(dual.gradient, y - K @ dual.beta, "g", rtol=1e-9)
    limit = 2 * (dual.n_iter + 1)
    expect.true(
        len(asked) <= limit, f"{dual.n_iter} steps should read at most {limit} rows, not {len(asked)}"
    )


def test_equal_points_of_both_classes_end_at_their_bounds():
    y = np.array([1.0, -1.0, 1.0, -1.0])
    with expect.quiet("smo on four equal points"):
        dual = solve(np.ones((4, 4)), y, 2.0)
    expect.equal(
        dual.beta, np.array([2.0, -2.0, 2.0, -2.0]), "beta of equal points, two of each class, C = 2"
    )
    expect.close(intercept(dual, y, 2.0), 0.0, "b of equal points", atol=1e-12)


def test_a_tol_below_rounding_still_ends():
    X, y = problem(20, seed=3)
    K = kernel_matrix(X, X, "rbf", gamma=0.7)
    dual = solve(K, y, 2.0, tol=1e-300)
    expect.true(dual.converged, "with tol=1e-300, what is left is rounding after far less than 20,000 steps")
    expect.close(
        dual_objective(K, dual.beta, y),
        primal_objective(K, dual.beta, intercept(dual, y, 2.0), y, 2.0),
        "dual objective, against the primal",
        rtol=1e-9,
    )


def test_the_intercept_is_the_mean_where_beta_is_free():
    y = np.array([1.0, 1.0, -1.0, -1.0])
    dual = Dual(np.array([0.5, 1.0, -0.7, 0.0]), np.array([0.3, 0.9, 0.5, -0.6]), 4, True)
    expect.close(intercept(dual, y, 1.0), 0.4, "mean of g where 0 < y beta < 1")


def test_the_intercept_without_free_beta_is_halfway():
    """Rising: the + at 0 and the - at -1. Falling: the + at 1 and the - at 0."""
    y = np.array([1.0, 1.0, -1.0, -1.0])
    dual = Dual(np.array([0.0, 1.0, -1.0, 0.0]), np.array([-0.5, 0.9, 0.1, 0.4]), 4, True)
    expect.close(
        intercept(dual, y, 1.0), 0.25, "b between the largest rising g, 0.1, and the smallest falling, 0.4"
    )


@pytest.mark.parametrize("squared", LOSSES)
def test_the_duality_gap_is_primal_less_dual(squared):
    X, y = problem(15, seed=8)
    rng, C, K = np.random.default_rng(8), 0.8, X @ X.T
    beta = y * rng.uniform(0, C, 15)
    want = primal_objective(K, beta, 0.0, y, C, squared) - dual_objective(K, beta, y, C, squared)
    errors = y - K @ beta
    with expect.unchanged(beta, errors, y):
        gap = duality_gap(beta, errors, y, C, squared=squared)
    expect.close(gap, want, "duality gap of a random beta", rtol=1e-9)


# Coordinate descent


def descend(X, y, C, squared, seed=0, tol=1e-6, max_iter=5000):
    rng = np.random.default_rng(seed)
    return dual_coordinate_descent(X, y, C, squared=squared, tol=tol, max_iter=max_iter, rng=rng)


def test_one_point_is_solved_by_one_step():
    """x = 2: the hinge wants w = 1/2, so beta = 1/4; the squared hinge beta = 1 / (4 + 1 / (2C))."""
    X, y = np.array([[2.0]]), np.array([-1.0])
    for squared, C, want in ((False, 1.0, 0.25), (False, 0.1, 0.1), (True, 1.0, 1 / 4.5), (True, 0.1, 1 / 9)):
        dual = descend(X, y, C, squared)
        loss = "squared hinge" if squared else "hinge"
        expect.close(dual.beta, np.array([-want]), f"beta of x = 2, y = -1 with the {loss}, C = {C}")
        expect.equal(int(dual.n_iter), 1, f"passes over one point with the {loss}, C = {C}")


@pytest.mark.parametrize("squared", LOSSES)
@pytest.mark.parametrize("C", [0.05, 2.0])
def test_coordinate_descent_meets_the_kkt_conditions(squared, C):
    X, y = problem(seed=9)
    with expect.unchanged(X, y):
        dual = descend(X, y, C, squared)
    r, (low, high) = (0.5 / C, bounds(y, 1e300)) if squared else (0.0, bounds(y, C))
    beta = dual.beta
    g = y - X @ (beta @ X) - r * beta
    expect.true(dual.converged, "5,000 passes over 24 points should do")
    expect.close(dual.gradient, g, "g of the dual", rtol=1e-8, atol=1e-10)
    expect.true(bool(((beta >= low) & (beta <= high)).all()), f"beta should stay in its bounds: {beta}")
    left = np.abs(np.where(g > 0, g * (beta < high), g * (beta > low))).max()
    expect.true(left <= 1.01e-6, f"the projected gradient should be at most tol = 1e-6, is {left:.3g}")
    expect.true(bool((beta != 0).any()), "some beta should be other than 0")
    high_value = primal_objective(X @ X.T, beta, 0.0, y, C, squared)
    expect.close(
        dual_objective(X @ X.T, beta, y, C, squared),
        high_value,
        "dual objective, against the primal",
        rtol=1e-5,
    )


@pytest.mark.parametrize("squared", LOSSES)
def test_the_order_does_not_change_the_optimum(squared):
    X, y = problem(seed=10)
    w = [descend(X, y, 0.7, squared, seed, tol=1e-9).beta @ X for seed in (1, 2)]
    expect.close(w[1], w[0], "w of two random orders", rtol=1e-5)
    K = X @ X.T
    dual = descend(X, y, 0.7, squared, 1, tol=1e-9)
    expect.close(
        dual_objective(K, dual.beta, y, 0.7, squared),
        primal_objective(K, dual.beta, 0.0, y, 0.7, squared),
        "dual objective, against the primal",
        rtol=1e-6,
    )


def test_a_pass_visits_every_point_once():
    """Where the points are orthogonal, each has its optimum after one visit."""
    X, y = np.diag([1.0, 2.0, 0.5, 4.0, 1.0, 3.0]), np.array([1.0, -1.0, 1.0, -1.0, -1.0, 1.0])
    dual = descend(X, y, 1.5, False)
    want = y * np.minimum(1 / np.diagonal(X) ** 2, 1.5)
    expect.close(dual.beta, want, "beta of orthogonal points")
    expect.equal(int(dual.n_iter), 1, "passes over orthogonal points")


def test_the_order_is_random_and_comes_from_rng():
    X, y = problem(8, 2, seed=11)
    first = [descend(X, y, 0.7, False, seed, max_iter=1).beta for seed in (1, 2, 3, 4, 1)]
    expect.equal(first[4], first[0], "beta after a pass, with a generator of the same seed")
    different = len({beta.tobytes() for beta in first})
    expect.true(
        different > 1, "four seeds give one and the same beta after a pass: the order should be random"
    )
    expect.true(bool((first[0] != 0).any()), "a pass should move some beta")


def test_each_pass_has_an_order_of_its_own():
    """Two passes over two points: 0101, 010, 101 or 1010, as a second visit in a row changes nothing."""
    X, y = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1.0, -1.0])
    ends = [descend(X, y, 10.0, True, seed, tol=1e-12, max_iter=2).beta for seed in range(24)]
    different = len({tuple(np.round(beta, 9).tolist()) for beta in ends})
    expect.true(
        different > 2,
        f"24 seeds end in {different} betas after two passes over two points. One order for both has "
        "2 outcomes, two orders have 4: draw a permutation for each pass",
    )
    expect.true(bool((np.array(ends)[:, 0] > 0).all()), "beta of the positive point should be positive")


def test_max_iter_limits_the_passes():
    X, y = problem(seed=9)
    dual = descend(X, y, 2.0, False, tol=1e-9, max_iter=2)
    expect.equal(int(dual.n_iter), 2, "passes with max_iter=2")
    expect.true(not dual.converged, "two passes do not suffice: converged should be False")
    expect.close(dual.gradient, y - X @ (dual.beta @ X), "g after two passes", rtol=1e-9, atol=1e-10)


def test_a_row_of_zeros_goes_to_its_bound():
    X, y = np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([-1.0, 1.0])
    with expect.quiet("coordinate descent on a row of zeros"):
        dual, soft = descend(X, y, 2.0, False), descend(X, y, 2.0, True)
    expect.close(dual.beta, np.array([-2.0, 0.5]), "beta of x = (0, 0) and (1, 1), hinge, C = 2")
    expect.close(soft.beta, np.array([-4.0, 1 / 2.25]), "beta of x = (0, 0) and (1, 1), squared hinge, C = 2")


# The linear classifier


def linear(**settings):
    return LinearSVC(**{"tol": 1e-5, "max_iter": 5000, "rng": np.random.default_rng(0), **settings})


@pytest.mark.parametrize(
    ("loss", "s"), [("hinge", 1.0), ("squared_hinge", 1.0), ("hinge", 4.0), ("squared_hinge", 4.0)]
)
def test_linear_svc_minimises_its_objective(loss, s):
    X, y = problem(seed=12)
    C = 0.6

    def objective(w, b):
        short = np.maximum(0.0, 1.0 - y * (X @ w + b))
        return w @ w / 2 + (b / s) ** 2 / 2 + C * (short if loss == "hinge" else short**2).sum()

    model = linear(loss=loss, C=C, intercept_scaling=s).fit(X, y)
    expect.equal(model.coef_.shape, (1, 3), "shape of coef_ for two classes")
    expect.equal(np.shape(model.intercept_), (1,), "shape of intercept_ for two classes")
    expect.equal(np.shape(model.dual_gap_), (1,), "shape of dual_gap_ for two classes")
    w, b = model.coef_[0], float(model.intercept_[0])
    at, rng = objective(w, b), np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(20):
            step = size * rng.standard_normal(4)
            other = objective(w + step[:3], b + step[3])
            expect.true(at <= other + 1e-6, f"the objective is {at:.8f} at (w, b) and {other:.8f} nearby")
    gap = float(model.dual_gap_[0])
    expect.true(-1e-9 < gap < 1e-4, f"dual_gap_ should be 0 within tol, is {gap:.3g}")
    expect.true(model.converged_, f"converged_ should be True, is {model.converged_!r}")


def test_an_early_end_shows_in_the_gap():
    X, y = problem(seed=12)
    model = linear(loss="hinge", max_iter=1).fit(X, y)
    w, b = model.coef_[0], float(model.intercept_[0])
    at = (w @ w + b * b) / 2 + np.maximum(0.0, 1 - y * (X @ w + b)).sum()
    done = linear(loss="hinge", tol=1e-8).fit(X, y)
    v, c = done.coef_[0], float(done.intercept_[0])
    best = (v @ v + c * c) / 2 + np.maximum(0.0, 1 - y * (X @ v + c)).sum()
    gap = float(model.dual_gap_[0])
    expect.true(not model.converged_, f"converged_ after one pass should be False, is {model.converged_!r}")
    expect.equal(int(model.n_iter_), 1, "n_iter_ with max_iter=1")
    expect.true(
        0 < at - best <= gap, f"the objective is {at - best:.4g} above the minimum, dual_gap_ {gap:.4g}"
    )


def test_the_intercept_of_linear_svc_is_penalised():
    """0 and 4, s = 1, C large: the least w^2 + b^2 with b <= -1 and 4w + b >= 1 has w = 1/2, b = -1.

    10 and 14: free, b would be -6. Penalised, it stays nearer to 0, unless s is large.
    """
    model = linear(loss="hinge", C=1e3, tol=1e-9).fit([[0.0], [4.0]], [0, 1])
    expect.close(model.coef_, np.array([[0.5]]), "w of 0 against 4", rtol=1e-5)
    expect.close(model.intercept_, np.array([-1.0]), "b of 0 against 4", rtol=1e-5)
    X, y, settings = [[10.0], [14.0]], [0, 1], {"loss": "hinge", "C": 0.2, "tol": 1e-9}
    free = svc(kernel="linear", C=0.2, tol=1e-9).fit(X, y)
    near, wide = linear(**settings).fit(X, y), linear(**settings, intercept_scaling=25.0).fit(X, y)
    expect.close(free.intercept_, np.array([-6.0]), "b of SVC, 10 against 14", rtol=1e-6)
    expect.close(wide.intercept_, np.array([-6.0]), "b with intercept_scaling=25", rtol=0.02)
    b = float(near.intercept_[0])
    expect.true(
        -5.5 < b < 0, f"with intercept_scaling=1 b is penalised: {b:.4g} should be nearer to 0 than -6"
    )


def test_without_intercept_the_boundary_passes_through_the_origin():
    X, y = problem(seed=13)
    model = linear(loss="hinge", fit_intercept=False).fit(X, y)
    want = descend(X, y, 1.0, False, tol=1e-6).beta @ X
    expect.close(model.coef_[0], want, "w without intercept", rtol=1e-3)
    expect.close(model.intercept_, np.array([0.0]), "intercept_ without fit_intercept")
    expect.close(model.decision_function(np.zeros((1, 3))), np.array([0.0]), "f at the origin")
    expect.true(float(np.linalg.norm(want)) > 0.1, "w should not be 0")


def test_linear_svc_sets_each_class_against_the_rest():
    X, y = three_classes()
    model = linear(C=0.5).fit(X, y)
    expect.equal(model.classes_.tolist(), ["ash", "elm", "oak"], "classes_")
    expect.equal(model.coef_.shape, (3, 2), "shape of coef_ for three classes, two features")
    expect.equal(np.shape(model.dual_gap_), (3,), "shape of dual_gap_ for three classes")
    f = model.decision_function(X)
    for k, name in enumerate(model.classes_):
        alone = linear(C=0.5).fit(X, y == name)
        expect.close(f[:, k], alone.decision_function(X), f"f of {name}, against {name} or not", rtol=1e-3)
    expect.close(f, X @ model.coef_.T + model.intercept_, "decision_function, against w . x + b")
    expect.equal(model.predict(X).tolist(), model.classes_[f.argmax(axis=1)].tolist(), "classes predicted")
    share = float(model.score(X, y))
    expect.true(share > 0.85, f"three clouds should be told apart, score is {share:.2f}")


def test_linear_svc_predicts_two_classes_by_the_sign():
    X, y = problem(seed=14, noise=0.1)
    y[:2] = np.where(X[:2, 0] > 0.2, 1.0, -1.0)
    model = linear().fit(X, np.where(y > 0, "yes", "no"))
    f = model.decision_function(X)
    expect.close(f, X @ model.coef_[0] + model.intercept_[0], "decision_function of two classes")
    expect.equal(model.predict(X).tolist(), ["yes" if v > 0 else "no" for v in f], "classes predicted")
    expect.true(model.score(X, np.where(y > 0, "yes", "no")) > 0.9, "nearly separable data should be learned")


def test_linear_svc_where_the_decision_is_zero():
    model = linear(fit_intercept=False).fit([[-1.0], [1.0]], [7, 9])
    expect.equal(
        model.predict([[0.0], [0.5], [-0.5]]).tolist(), [7, 9, 7], "classes where f is 0, above and below"
    )


def uneven(names):
    """Two clouds that overlap, the first and second name, and a third far away."""
    rng = np.random.default_rng(0)
    X, k = rng.standard_normal((36, 2)), np.arange(36) % 3
    X[k == 2] += [0.0, 6.0]
    return X, np.array(names)[k]


@pytest.mark.parametrize("names", [("oak", "ash", "elm"), ("ash", "oak", "elm")])
def test_all_classes_have_to_converge(names):
    """Over 4 orders the second of the names takes 31 to 54 passes, the others 180 to 800."""
    X, y = uneven(names)
    for loss in ("hinge", "squared_hinge"):
        settings = {"loss": loss, "C": 0.5, "tol": 1e-4, "max_iter": 100}
        alone = linear(**settings).fit(X, y == names[1])
        expect.true(alone.converged_, f"{names[1]} or not should converge within 100 passes, {loss}")
        model = linear(**settings).fit(X, y)
        expect.equal(int(model.n_iter_), 100, f"n_iter_, the most passes that any class took, {loss}")
        expect.true(
            not model.converged_, f"two of three classes did not converge, {loss}: converged_ should be False"
        )


# The kernel classifier


def by_definition(model, X):
    """sum_i beta_i K(x_i, x) + b, for two classes."""
    settings = {"kernel": model.kernel, "gamma": model.gamma_, "coef0": model.coef0, "degree": model.degree}
    pairs = list(zip(model.dual_coef_[0], model.support_vectors_, strict=True))
    return (
        np.array([sum(c * kernel_by_hand(v, x, **settings) for c, v in pairs) for x in X])
        + model.intercept_[0]
    )


@pytest.mark.parametrize("settings", KERNELS)
def test_svc_of_two_classes(settings):
    X, y = problem(30, seed=15)
    names, C = np.where(y > 0, "yes", "no"), 1.5
    model = svc(C=C, tol=1e-6, **settings).fit(X, names)
    beta, support = model.dual_coef_, model.support_
    expect.equal(beta.shape, (1, len(support)), "shape of dual_coef_")
    expect.equal(np.shape(model.intercept_), (1,), "shape of intercept_")
    order = sorted(support.tolist(), key=lambda i: (names[i], i))
    expect.equal(support.tolist(), order, "support_, by class and then by row")
    expect.equal(
        np.asarray(model.n_support_).tolist(),
        [int((names[support] == c).sum()) for c in ("no", "yes")],
        "n_support_",
    )
    expect.equal(model.support_vectors_, X[support], "support_vectors_, against X[support_]")
    t = y[support]
    expect.true(
        bool(((t * beta[0] > 0) & (t * beta[0] <= C)).all()), f"0 < y beta <= {C} should hold: {beta}"
    )
    expect.close(float(beta.sum()), 0.0, "sum of dual_coef_", atol=1e-10)
    f = model.decision_function(X)
    expect.close(f, by_definition(model, X), "decision_function, against its definition", rtol=1e-8)
    free = support[t * beta[0] < C]
    expect.close(f[free], y[free], "f of the support vectors between their bounds, against y", atol=1e-4)
    expect.equal(model.predict(X).tolist(), ["yes" if v >= 0 else "no" for v in f], "classes predicted")
    K = kernel_matrix(model.support_vectors_, model.support_vectors_, **settings)
    high = beta[0] @ K @ beta[0] / 2 + C * np.maximum(0.0, 1 - y * f).sum()
    expect.close(
        high, np.abs(beta).sum() - beta[0] @ K @ beta[0] / 2, "primal, against dual objective", rtol=1e-5
    )
    gap = float(model.dual_gap_[0])
    expect.true(np.shape(model.dual_gap_) == (1,) and -1e-9 < gap < 1e-4 * high, f"dual_gap_ is {gap:.3g}")
    expect.true(model.converged_, f"converged_ should be True, is {model.converged_!r}")


def test_svc_where_the_decision_is_zero():
    model = SVC(kernel="linear", C=10.0).fit([[-1.0], [1.0]], [7, 9])
    got = model.predict([[0.0], [0.5], [-0.5]]).tolist()
    expect.equal(got, [9, 9, 7], "classes where f is 0, above and below")


def test_the_margin_is_the_distance_of_two_points():
    """(1, 1) and (4, 5) are 5 apart: |w| = 2/5, and f is 0 halfway."""
    X = np.array([[1.0, 1.0], [4.0, 5.0], [6.0, 8.0], [-2.0, -2.0]])
    model = svc(kernel="linear", C=1e3, tol=1e-8).fit(X, [0, 1, 1, 0])
    w = model.dual_coef_[0] @ model.support_vectors_
    expect.close(2 / float(np.linalg.norm(w)), 5.0, "margin 2 / |w|", rtol=1e-6)
    expect.equal(model.support_.tolist(), [0, 1], "support_: the two nearest points")
    f = model.decision_function([[1.0, 1.0], [2.5, 3.0], [4.0, 5.0]])
    expect.close(f, np.array([-1.0, 0.0, 1.0]), "f at a point, halfway, and at the other", atol=1e-6)


def test_a_symmetric_problem_has_a_symmetric_solution():
    X, y = problem(12, 2, seed=16)
    X, y = np.concatenate([X, -X]), np.concatenate([y, -y])
    model = svc(tol=1e-8).fit(X, y)
    expect.close(model.intercept_, np.array([0.0]), "intercept_ if x and -x have opposite labels", atol=1e-6)
    f = model.decision_function(X)
    expect.close(f[12:], -f[:12], "f(-x), against -f(x)", rtol=1e-5)
    expect.close(f, by_definition(model, X), "f, against its definition", rtol=1e-8)


def test_exchanging_the_classes_changes_the_sign():
    X, y = problem(seed=17)
    f, other = (svc(tol=1e-7).fit(X, labels).decision_function(X) for labels in (y, -y))
    expect.close(other, -f, "f with the classes exchanged", rtol=1e-4, atol=1e-5)
    expect.true(float(np.mean((f > 0) == (y > 0))) > 0.7, "f should be positive for the second class")


def test_svc_of_three_classes_is_a_tournament():
    X, y = three_classes()
    model = svc(tol=1e-7, C=2.0, gamma=0.5, decision_function_shape="ovo").fit(X, y)
    f = model.decision_function(X)
    expect.equal(f.shape, (36, 3), "shape of decision_function, three pairs")
    everyone = {}
    for p, (a, b) in enumerate(combinations(range(3), 2)):
        first, second = model.classes_[[a, b]]
        rows = np.flatnonzero((y == first) | (y == second))
        alone = svc(tol=1e-7, C=2.0, gamma=0.5).fit(X[rows], y[rows] == first)
        want = alone.decision_function(X)
        expect.close(f[:, p], want, f"f of {first} against {second}", rtol=1e-4, atol=1e-4)
        expect.close(
            model.intercept_[p],
            float(alone.intercept_[0]),
            f"intercept_ of {first}, {second}",
            rtol=1e-4,
            atol=1e-4,
        )
        for i, c in zip(rows[alone.support_], alone.dual_coef_[0], strict=True):
            everyone.setdefault(int(i), np.zeros(2))[b - 1 if y[i] == first else a] = c
    order = sorted(everyone, key=lambda i: (y[i], i))
    expect.equal(model.support_.tolist(), order, "support_: every vector of a pair, by class")
    want = np.array([everyone[i] for i in order]).T
    expect.close(model.dual_coef_, want, "dual_coef_: beta against each other class, in order", atol=1e-4)
    expect.equal(
        np.asarray(model.n_support_).tolist(),
        [int((y[order] == c).sum()) for c in model.classes_],
        "n_support_",
    )
    expect.equal(np.shape(model.n_iter_), (3,), "shape of n_iter_, three pairs")
    expect.equal(np.shape(model.dual_gap_), (3,), "shape of dual_gap_, three pairs")
    ranks = votes(f, 3)
    expect.equal(
        model.predict(X).tolist(), model.classes_[np.rint(ranks).argmax(axis=1)].tolist(), "classes predicted"
    )
    other = svc(tol=1e-7, C=2.0, gamma=0.5).fit(X, y)
    expect.close(other.decision_function(X), ranks, 'decision_function with "ovr", against votes', rtol=1e-6)
    expect.equal(
        other.predict(X).tolist(), model.predict(X).tolist(), 'classes predicted with "ovr" and "ovo"'
    )


@pytest.mark.parametrize("names", [("ash", "elm", "oak"), ("elm", "oak", "ash")])
def test_all_pairs_have_to_converge(names):
    """The clouds that overlap take 28 steps, the other pairs 9 and 3."""
    X, y = uneven(names)
    model = SVC(kernel="linear", tol=1e-6, max_iter=16).fit(X, y)
    pairs = list(combinations(sorted(names), 2))
    done = [set(pair) != set(names[:2]) for pair in pairs]
    steps = np.asarray(model.n_iter_).tolist()
    expect.equal([n < 16 for n in steps], done, f"which of {pairs} took less than 16 steps")
    expect.true(not model.converged_, "one of three pairs did not converge: converged_ should be False")
    expect.true(svc(kernel="linear", tol=1e-6).fit(X, y).converged_, "without limit all pairs converge")


def test_a_tiny_C_still_has_support_vectors():
    X, y = problem(12, seed=20)
    y = np.where(np.arange(12) % 2 == 0, 1.0, -1.0)
    model = svc(kernel="linear", C=1e-9).fit(X, y)
    expect.equal(
        sorted(model.support_.tolist()), list(range(12)), "support_ for C = 1e-9: betas other than 0"
    )
    expect.close(np.abs(model.dual_coef_), np.full((1, 12), 1e-9), "betas, all at C", rtol=1e-9, atol=0)


def test_votes_are_counted_pair_by_pair():
    decisions = np.random.default_rng(18).standard_normal((9, 6))
    decisions[0, :3] = 0.0
    with expect.unchanged(decisions):
        got = votes(decisions, 4)
    won, total = np.zeros((9, 4)), np.zeros((9, 4))
    for n in range(9):
        for p, (a, b) in enumerate([(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]):
            won[n, a if decisions[n, p] > 0 else b] += 1
            total[n, a] += decisions[n, p]
            total[n, b] -= decisions[n, p]
    expect.close(got, won + total / (3 * (np.abs(total) + 1)), "votes of 6 pairs of 4 classes", rtol=1e-10)


def test_equal_votes_go_to_the_first_class_whatever_the_sums():
    """Far from all points, rbf decisions are the intercepts; a circle of wins gives each class one vote."""
    model = svc(gamma=1.0).fit([[0.0], [4.0], [8.0]], ["a", "b", "c"])
    model.intercept_ = np.array([0.1, -3.0, 0.2])  # a beats b, c beats a, b beats c
    expect.close(
        model.decision_function([[100.0]]),
        np.array([[1 - 2.9 / 11.7, 1 + 0.1 / 3.3, 1 + 2.8 / 11.4]]),
        "one vote each, and the sums -2.9, 0.1 and 2.8",
    )
    expect.equal(model.predict([[100.0]]).tolist(), ["a"], "class where all have one vote")


def test_a_kernel_separates_what_no_line_does():
    X, y = circles(60, noise=0.05, rng=np.random.default_rng(19))
    curved, straight = svc(C=10.0).fit(X, y).score(X, y), svc(kernel="linear").fit(X, y).score(X, y)
    expect.close(float(curved), 1.0, "share of two circles that the rbf kernel gets right")
    expect.true(straight < 0.8, f"a line cannot tell a circle from one around it: {straight:.2f}")


def test_gamma_by_name():
    X, y = problem(seed=20)
    X = X * [1.0, 5.0, 0.2] + 3
    for gamma, want in (("scale", 1 / (3 * X.var())), ("auto", 1 / 3), (0.25, 0.25), (0, 0.0)):
        expect.close(float(svc(gamma=gamma).fit(X, y).gamma_), want, f"gamma_ of {gamma!r}", rtol=1e-9)
    expect.close(
        float(svc().fit(np.ones((2, 3)), [0, 1]).gamma_), 1.0, "gamma_ by default, all entries equal"
    )
    X = np.full((30, 2), 0.1)
    expect.close(
        float(svc().fit(X, np.arange(30) % 2).gamma_),
        1.0,
        f"gamma_ by default, all entries 0.1, though rounding makes their variance {X.var():.1g}",
    )


def test_the_linear_svms_agree_where_b_costs_nothing():
    X, y = problem(14, 2, seed=21)
    free = svc(kernel="linear", C=0.5, tol=1e-8).fit(X, y)
    model = linear(loss="hinge", C=0.5, tol=1e-5, intercept_scaling=10.0)
    w = free.dual_coef_[0] @ free.support_vectors_
    expect.close(model.fit(X, y).coef_[0], w, "w of LinearSVC with a large constant, against SVC", rtol=0.02)
    expect.close(model.intercept_, free.intercept_, "b of LinearSVC, against SVC", rtol=0.02, atol=0.01)
    K = free.support_vectors_ @ w
    high = w @ w / 2 + 0.5 * np.maximum(0.0, 1 - y * free.decision_function(X)).sum()
    expect.close(
        high, np.abs(free.dual_coef_).sum() - free.dual_coef_[0] @ K / 2, "primal, against dual", rtol=1e-5
    )


def test_a_small_cache_finds_the_same():
    X, y = problem(seed=22)
    small, large = (svc(tol=1e-6, cache_size=size).fit(X, y) for size in (1e-4, 200))
    expect.close(
        small.decision_function(X), large.decision_function(X), "f with room for two rows", rtol=1e-4
    )
    expect.close(small.decision_function(X), by_definition(small, X), "f, against its definition", rtol=1e-8)


def test_the_ends_of_the_ranges_are_allowed():
    """A polynomial of degree 0 and an rbf with gamma = 0 see all points as one: f is b everywhere."""
    X, y = problem(9, seed=22)
    for settings in ({"kernel": "poly", "degree": 0}, {"gamma": 0}):
        model = SVC(max_iter=-1, **settings).fit(X, y)
        expect.close(model.decision_function(X), by_definition(model, X), f"f with {settings}", rtol=1e-9)
        more = 1.0 if y.sum() > 0 else -1.0
        expect.close(model.intercept_, np.array([more]), f"b of the larger class with {settings}", rtol=1e-9)


def test_max_iter_of_svc():
    X, y = problem(seed=22)
    model = svc(max_iter=3, C=5.0).fit(X, y)
    expect.equal(np.asarray(model.n_iter_).tolist(), [3], "n_iter_ with max_iter=3")
    expect.true(not model.converged_, f"converged_ should be False, is {model.converged_!r}")
    gap = float(model.dual_gap_[0])
    expect.true(gap > 0.01, f"three steps do not suffice: dual_gap_ should be far from 0, is {gap:.3g}")


# Inputs

MAKE = {"LinearSVC": linear, "SVC": svc}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_float32_and_lists_give_what_float64_gives(make):
    X, y = problem(seed=23)
    X = X.astype(np.float32)
    want = make(C=0.5).fit(X.astype(float), y).decision_function(X.astype(float))
    with expect.unchanged(X, y):
        single = make(C=0.5).fit(X, y).decision_function(X)
    listed = make(C=0.5).fit(X.tolist(), y.tolist()).decision_function(X.tolist())
    expect.close(single.astype(float), want, "f of float32, computed in float64", rtol=1e-4, atol=1e-4)
    expect.close(listed, want, "f of lists", rtol=1e-6)
    expect.true(float(np.mean((want > 0) == (y > 0))) > 0.7, "f should tell the classes apart")


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_a_constant_feature_and_repeated_rows_do_no_harm(make):
    X, y = problem(seed=24, noise=0.1)
    X = np.column_stack([X, np.full(24, 2.0)])
    X, y = np.concatenate([X, X]), np.concatenate([y, y])
    with expect.quiet(f"{make().__class__.__name__} on repeated rows"):
        share = float(make().fit(X, y).score(X, y))
    expect.true(share > 0.85, f"score should be near 1, is {share:.2f}")


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_a_second_fit_forgets_the_first(make):
    X, y = problem(seed=25)
    Z, t = three_classes()
    model = make().fit(Z, t).fit(X, y)
    want = make().fit(X, y).decision_function(X)
    expect.close(model.decision_function(X), want, "f after a second fit", rtol=1e-3, atol=1e-3)
    expect.equal(int(model.n_features_in_), 3, "n_features_in_ after a second fit")
    expect.true(float(np.mean((want > 0) == (y > 0))) > 0.7, "f should tell the classes apart")


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE.keys())
def test_data_that_cannot_be_used_is_refused(make):
    X, y = problem(seed=26)
    for answer in ("decision_function", "predict"):
        with expect.raises(NotFittedError, type(make()).__name__):
            getattr(make(), answer)(X)
        with expect.raises(ValueError, "2", "3"):
            getattr(make().fit(X, y), answer)(X[:, :2])
    with expect.raises(ValueError, "2", "1"):
        make().fit(X, np.ones(24))
    with expect.raises(ValueError, "NaN"):
        make().fit(np.where(X > 1, np.nan, X), y)
    with expect.raises(ValueError, "24", "23"):
        make().fit(X, y[:23])


BOTH = [("C", 0), ("C", -1.0), ("C", float("nan")), ("tol", 0.0), ("max_iter", 1.5), ("max_iter", -2)]
WRONG = {
    "LinearSVC": [
        *BOTH,
        ("loss", "log"),
        ("fit_intercept", "no"),
        ("intercept_scaling", 0),
        ("max_iter", 0),
        ("rng", 5),
    ],
    "SVC": [
        *BOTH,
        *[
            ("kernel", "cosine"),
            ("gamma", "large"),
            ("gamma", -0.5),
            ("gamma", None),
            ("degree", -1),
            ("degree", 2.5),
        ],
        *[("coef0", "one"), ("cache_size", 0), ("decision_function_shape", "ovx")],
    ],
}


@pytest.mark.parametrize(
    ("owner", "name", "value"), [(owner, *pair) for owner in WRONG for pair in WRONG[owner]]
)
def test_parameters_out_of_range_are_named(owner, name, value):
    X, y = problem(8, seed=27)
    with expect.raises(InvalidParameterError, name, owner, repr(value)):
        MAKE[owner](**{name: value}).fit(X, y)


def test_linear_svc_needs_a_generator():
    X, y = problem(8, seed=27)
    with expect.raises(InvalidParameterError, "rng", "LinearSVC", "None"):
        LinearSVC().fit(X, y)
