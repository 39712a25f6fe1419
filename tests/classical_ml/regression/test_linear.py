"""classical_ml.regression.linear: residuals orthogonal to X, the shortest solution, and a known speed."""

import numpy as np
import pytest

from classical_ml.estimator import InvalidParameterError, NotFittedError
from classical_ml.regression.linear import (
    LinearRegression,
    center,
    convergence_rate,
    gradient_descent,
    numerical_rank,
    solve_qr,
    solve_svd,
)
from curriculum.testing import expect

SHAPES = [(5, 2), (3, 3), (2, 5), (1, 1), (1, 4), (30, 4)]


def problem(n, d, k=1, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return scale * rng.standard_normal((n, d)), rng.standard_normal((n, k))


def with_singular_values(values, n, seed=0):
    """A matrix (n, len(values)) that has them."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.standard_normal((n, len(values))))
    V, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return (U * values) @ V.T


def orthogonal(X, w, y):
    """X^T (X w - y), relative to the size of its terms: 0 where w minimises |X w - y|."""
    return X.T @ (X @ w - y) / max(1.0, np.abs(X).max() ** 2 * len(X))


# The solvers


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_svd_leaves_a_residual_orthogonal_to_every_column(n, d):
    X, y = problem(n, d, 2)
    with expect.unchanged(X, y):
        w, rank, s = solve_svd(X, y)
    expect.close(orthogonal(X, w, y), np.zeros((d, 2)), f"X^T (X w - y) for X {X.shape}", atol=1e-12)
    expect.equal(int(rank), min(n, d), f"rank of a random {X.shape}")
    want = np.sqrt(np.maximum(np.linalg.eigvalsh(X @ X.T if n < d else X.T @ X)[::-1], 0.0))
    expect.close(s, want, f"singular values of X {X.shape}", rtol=1e-6)


def test_svd_finds_the_shortest_of_many_solutions():
    """x1 + x2 = 2 and nothing else: (1, 1) is the point nearest to 0."""
    w, rank, _ = solve_svd(np.array([[1.0, 1.0]]), np.array([[2.0]]))
    expect.close(w, np.array([[1.0], [1.0]]), "shortest solution of w1 + w2 = 2")
    expect.equal(int(rank), 1, "rank of one row")
    X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])  # w1 + 2 w2 = 5
    w, rank, _ = solve_svd(X, 5 * X[:, :1])
    expect.close(w, np.array([[1.0], [2.0]]), "shortest solution where the second column is twice the first")
    expect.equal(int(rank), 1, "rank of two columns that depend on each other")


def test_the_rank_is_counted_above_rounding_errors():
    for size, rank in ((1e-10, 3), (1e-17, 2), (0.0, 2)):
        X = with_singular_values([2.0, 1.0, size], 8)
        w, found, _ = solve_svd(X, np.ones((8, 1)))
        expect.equal(int(found), rank, f"rank with singular values 2, 1 and {size:g}")
        if rank == 2:
            expect.true(
                np.abs(w).max() < 10,
                f"a singular value of {size:g} should not be inverted: w is {np.abs(w).max():g}",
            )
    X = with_singular_values([2.0, 1.0, 1e-6], 8)
    for noise, rank in ((1e-7, 3), (1e-5, 2), (1.5, 1)):
        expect.equal(
            int(solve_svd(X, np.ones((8, 1)), noise)[1]), rank, f"rank of (2, 1, 1e-6) with noise {noise:g}"
        )
    single = with_singular_values([2.0, 1.0, 1e-9], 8).astype(np.float32)
    expect.equal(int(solve_svd(single, np.ones((8, 1), np.float32))[1]), 2, "rank of (2, 1, 1e-9) in float32")


def test_singular_values_within_rounding_of_zero_do_not_count():
    for dtype, size, rank in ((np.float64, 1e-14, 2), (np.float64, 1e-16, 1), (np.float32, 1e-6, 1)):
        s = np.array([1.0, size], dtype)
        expect.equal(
            numerical_rank(s, (30, 2)), rank, f"rank of singular values 1 and {size:g} in {dtype.__name__}"
        )
    s = np.array([3.0, 2.0, 1.0])
    ranks = [numerical_rank(s, (4, 3), noise) for noise in (0.0, 1.5, 2.5, 9.0)]
    expect.equal(ranks, [3, 2, 1, 0], "ranks of singular values 3, 2, 1 with noise 0, 1.5, 2.5 and 9")
    wide = np.array([1.0, 1e-13])
    ranks = [numerical_rank(wide, shape) for shape in ((2, 2), (2, 1000), (1000, 2))]
    expect.equal(ranks, [2, 1, 1], "ranks of 1 and 1e-13 for matrices (2, 2), (2, 1000) and (1000, 2)")


def test_svd_of_zeros():
    w, rank, s = solve_svd(np.zeros((3, 2)), np.ones((3, 1)))
    expect.close(w, np.zeros((2, 1)), "solution for X of zeros")
    expect.equal((int(rank), s.tolist()), (0, [0.0, 0.0]), "rank and singular values of zeros")


@pytest.mark.parametrize(("n", "d"), [(5, 2), (3, 3), (1, 1), (30, 4)])
def test_qr_solves_independent_columns(n, d):
    X, y = problem(n, d, 2)
    with expect.unchanged(X, y):
        w = solve_qr(X, y)
    expect.close(orthogonal(X, w, y), np.zeros((d, 2)), f"X^T (X w - y) for X {X.shape}", atol=1e-12)
    expect.close(w, solve_svd(X, y)[0], f"QR against SVD for X {X.shape}", rtol=1e-8)


def test_qr_refuses_what_has_no_single_solution():
    X = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    for wrong in (X, X.T, np.zeros((3, 2)), with_singular_values([1.0, 1.0, 1e-17], 6)):
        with expect.raises(ValueError, str(wrong.shape), "svd"):
            solve_qr(wrong, np.ones((len(wrong), 1)))
    with expect.raises(ValueError, "(6, 3)", "svd"):
        solve_qr(with_singular_values([1.0, 1.0, 1e-9], 6), np.ones((6, 1)), 1e-6)
    for seed in range(5):  # a first feature in small units is no measure of what is zero
        a, b = problem(8, 2, seed=seed)[0].T
        with expect.raises(ValueError, "(8, 4)", "svd"):
            solve_qr(np.c_[1e-6 * a, b, a + b, 3.0 * b - a], np.ones((8, 1)))


@pytest.mark.parametrize("solve", [lambda X, y: solve_svd(X, y)[0], solve_qr], ids=["svd", "qr"])
def test_ill_conditioned_columns_keep_their_digits(solve):
    """Condition 1e7: the normal equations, of condition 1e14, would leave two digits of w."""
    X = with_singular_values([1.0, 1e-3, 1e-7], 20)
    w = np.array([[1.0], [-2.0], [3.0]])
    expect.close(solve(X, X @ w), w, "solution of consistent equations of condition 1e7", rtol=1e-7)


# Gradient descent


def test_a_step_of_gradient_descent():
    X, y = problem(6, 3, 2)
    L = np.linalg.eigvalsh(X.T @ X / 6)[-1]
    first = X.T @ y / 6 / L
    second = first - X.T @ (X @ first - y) / 6 / L
    expect.close(gradient_descent(X, y, 1), first, "w after one step from 0", rtol=1e-9)
    expect.close(gradient_descent(X, y, 2), second, "w after two steps from 0", rtol=1e-9)
    start = np.ones((3, 2))
    with expect.unchanged(start, X, y):
        moved = gradient_descent(X, y, 1, start)
    expect.close(moved, start - X.T @ (X @ start - y) / 6 / L, "w after one step from ones", rtol=1e-9)
    expect.close(gradient_descent(X, y, 0, start), start, "w after no step")


def test_zeros_leave_gradient_descent_where_it_is():
    start = np.array([[1.0], [2.0]])
    with expect.quiet("gradient descent on X of zeros"):
        w = gradient_descent(np.zeros((3, 2)), np.ones((3, 1)), 5, start)
    expect.close(w, start, "w after five steps without a gradient")


@pytest.mark.parametrize("values", [[3.0, 2.0, 1.0], [1.0, 0.3], [5.0], [2.0, 2.0]], ids=str)
def test_the_rate_of_gradient_descent(values):
    X = with_singular_values(values, 7)
    rate = 1 - (values[-1] / values[0]) ** 2
    expect.close(convergence_rate(X), rate, f"1 - 1 / kappa^2 for singular values {values}", atol=1e-12)
    y = problem(7, 1)[1]
    best = solve_svd(X, y)[0]
    start = best + np.linalg.svd(X)[2][-1][:, None]  # one away, along the slowest direction
    error = np.linalg.norm(gradient_descent(X, y, 9, start) - best)
    expect.close(float(error), rate**9, f"distance after 9 steps for singular values {values}", atol=1e-12)


def test_the_rate_ignores_what_no_step_can_change():
    X = with_singular_values([2.0, 1.0, 0.0], 7)
    expect.close(convergence_rate(X), 0.75, "rate for singular values 2, 1, 0", rtol=1e-9)


def test_gradient_descent_from_zero_tends_to_the_shortest_solution():
    X, y = problem(2, 4)
    w = gradient_descent(X, y, 2000)
    expect.close(w, solve_svd(X, y)[0], "w after 2000 steps on 2 samples of 4 features", rtol=1e-6)


# Centring


def test_centring():
    X, Y = np.array([[1, 10], [3, 30]], np.float32), np.array([[1.0], [2.0]])
    with expect.unchanged(X, Y):
        centred, targets, X_mean, Y_mean = center(X, Y, True)
    expect.close(centred, np.array([[-1.0, -10], [1, 10]]), "X less its means", dtype=np.float64)
    expect.close(targets, np.array([[-0.5], [0.5]]), "Y less its means")
    expect.close(X_mean, np.array([2.0, 20.0]), "means of X")
    expect.close(Y_mean, np.array([1.5]), "means of Y")
    centred, targets, X_mean, Y_mean = center(X, Y, False)
    expect.close(centred, np.array([[1.0, 10], [3, 30]]), "X without an intercept")
    expect.close(X_mean, np.zeros(2), "means without an intercept")
    expect.close(targets - Y_mean, np.array([[1.0], [2.0]]), "Y without an intercept")


# The estimator


@pytest.mark.parametrize("solver", ["svd", "qr", "gd"])
def test_a_line_is_found(solver):
    X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [4.0, 1.0]])
    y = X @ [2.0, -1.0] + 5.0
    line = LinearRegression(solver=solver)
    expect.true(line.fit(X, y) is line, "fit should return the estimator, so that fit(X, y).predict works")
    expect.close(line.coef_, np.array([2.0, -1.0]), "coef_", rtol=1e-7)
    expect.close(line.intercept_, 5.0, "intercept_", rtol=1e-7)
    expect.equal(line.n_features_in_, 2, "n_features_in_")
    expect.close(line.predict([[10.0, 10.0]]), np.array([15.0]), "prediction at (10, 10)", rtol=1e-7)
    expect.close(line.score(X, y), 1.0, "R^2 on a line", rtol=1e-9)


@pytest.mark.parametrize("solver", ["svd", "qr", "gd"])
def test_without_intercept_the_line_goes_through_zero(solver):
    X, y = np.array([[1.0], [2.0]]), np.array([3.0, 4.0])
    line = LinearRegression(fit_intercept=False, solver=solver).fit(X, y)
    expect.close(line.coef_, np.array([11 / 5]), "slope through (1, 3) and (2, 4) from 0", rtol=1e-9)
    expect.close(line.intercept_, 0.0, "intercept_")
    expect.close(line.predict([[0.0], [5.0]]), np.array([0.0, 11.0]), "predictions at 0 and 5", rtol=1e-9)


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_residuals_sum_to_zero_and_are_orthogonal(n, d, offset):
    X, Y = problem(n, d, 2)
    X += offset
    line = LinearRegression().fit(X, Y)
    residual = Y - line.predict(X)
    expect.close(residual.sum(axis=0), np.zeros(2), "sums of the residuals", atol=1e-8)
    spread = X - X.mean(axis=0)
    expect.close(spread.T @ residual, np.zeros((d, 2)), "residuals against each feature", atol=1e-8)
    shortest = np.linalg.pinv(spread, rcond=1e-9) @ (Y - Y.mean(axis=0))
    expect.close(line.coef_, shortest.T, f"coef_ for X {X.shape} around {offset:g}", rtol=1e-6, atol=1e-9)
    expect.close(line.intercept_, Y.mean(axis=0) - X.mean(axis=0) @ shortest, "intercept_", rtol=1e-6)
    expect.equal(int(line.rank_), min(n - 1, d), f"rank of X {X.shape} around {offset:g}, centred")
    s = np.linalg.svd(spread, compute_uv=False)
    expect.close(line.singular_, s, f"singular_ of X {X.shape} around {offset:g}, centred", atol=1e-8)


def test_a_constant_feature_has_no_weight():
    X, y = problem(10, 2)
    for constant in (3.0, 0.1, 1e6):
        line = LinearRegression().fit(np.c_[X, np.full(10, constant)], y[:, 0])
        alone = LinearRegression().fit(X, y[:, 0])
        expect.close(line.coef_, np.r_[alone.coef_, 0.0], f"coef_ with a constant {constant:g}", atol=1e-8)


def test_a_duplicated_feature_shares_its_weight():
    X, y = problem(10, 2)
    line = LinearRegression().fit(np.c_[X, X[:, 1]], y[:, 0])
    alone = LinearRegression().fit(X, y[:, 0]).coef_
    expect.close(line.coef_, np.array([alone[0], alone[1] / 2, alone[1] / 2]), "coef_", rtol=1e-8)


def test_one_sample_is_predicted_by_its_own_target():
    line = LinearRegression().fit([[1.0, 2.0]], [7.0])
    expect.close(line.coef_, np.zeros(2), "coef_ of one sample")
    expect.close(line.predict([[5.0, 5.0]]), np.array([7.0]), "prediction anywhere")


def test_shapes_and_dtypes():
    X, Y = problem(8, 3, 2)
    one, two = LinearRegression().fit(X, Y[:, 0]), LinearRegression().fit(X, Y)
    expect.equal((one.coef_.shape, np.ndim(one.intercept_)), ((3,), 0), "coef_ and intercept_ for y (8,)")
    expect.equal((two.coef_.shape, two.intercept_.shape), ((2, 3), (2,)), "coef_, intercept_ for y (8, 2)")
    expect.close(two.coef_[0], one.coef_, "first row of coef_ against y[:, 0] alone", rtol=1e-8)
    expect.close(two.predict(X)[:, 0], one.predict(X), "first column of the predictions", rtol=1e-8)
    single = LinearRegression().fit(X.astype(np.float32), Y.astype(np.float32))
    expect.close(single.coef_, two.coef_, "coef_ in float32", dtype=np.float32, rtol=1e-4)
    expect.close(
        LinearRegression().fit(X.tolist(), Y[:, 0].tolist()).coef_, one.coef_, "coef_ from lists", rtol=1e-9
    )


def test_inputs_are_not_modified():
    X, Y = problem(8, 3)
    want = LinearRegression().fit(X.copy(), Y.copy()).coef_
    for solver in ("svd", "qr", "gd"):
        with expect.unchanged(X, Y):
            line = LinearRegression(solver=solver).fit(X, Y)
            line.predict(X)
        expect.close(line.coef_, want, f"coef_ by {solver}", rtol=1e-5)


def test_more_steps_come_closer():
    X, y = problem(20, 3)
    X *= [1.0, 3.0, 9.0]
    want = LinearRegression().fit(X, y[:, 0]).coef_
    errors = [
        np.abs(LinearRegression(solver="gd", max_iter=n).fit(X, y[:, 0]).coef_ - want).max()
        for n in (0, 50, 3000)
    ]
    expect.true(errors[2] < 1e-6 < errors[1] < errors[0], f"errors after 0, 50 and 3000 steps: {errors}")


def test_what_cannot_be_used_is_refused():
    X, y = problem(5, 2)
    for settings, named in (
        ({"solver": "cholesky"}, ("solver", "svd", "qr", "gd", "cholesky")),
        ({"max_iter": -1}, ("max_iter", "0", "-1")),
        ({"max_iter": 2.5}, ("max_iter", "2.5")),
        ({"fit_intercept": 1}, ("fit_intercept", "1")),
    ):
        with expect.raises(InvalidParameterError, "LinearRegression", *named):
            LinearRegression(**settings).fit(X, y)
    with expect.raises(ValueError, "nan", "1", "0"):
        LinearRegression().fit([[1.0], [float("nan")]], [1.0, 2.0])
    with expect.raises(ValueError, "5", "4"):
        LinearRegression().fit(X, y[:4])
    with expect.raises(NotFittedError, "LinearRegression"):
        LinearRegression().predict(X)
    with expect.raises(ValueError, "3", "2", "LinearRegression"):
        LinearRegression().fit(X, y).predict(np.ones((1, 3)))
    for n in (2, 3):  # three points in the plane, less their mean, lie on a line's worth of dimensions
        with expect.raises(ValueError, "svd"):
            LinearRegression(solver="qr").fit(1000.0 + problem(n, 3)[0], np.ones(n))


def test_rank_and_singular_values_go_when_another_solver_is_used():
    X, y = problem(8, 3)
    line = LinearRegression().fit(X, y[:, 0])
    want = line.coef_.copy()
    for solver in ("qr", "gd"):
        line.set_params(solver="svd").fit(X[:4], y[:4, 0])
        line.set_params(solver=solver).fit(X, y[:, 0])
        expect.close(line.coef_, want, f"coef_ of a second fit, by {solver}", rtol=1e-4)
        stale = [name for name in ("rank_", "singular_") if hasattr(line, name)]
        expect.true(not stale, f"after a fit by {solver}, delete {stale}: an earlier fit by svd left them")


def test_a_fit_that_fails_leaves_nothing_fitted():
    X = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    for solver, y, named in (
        ("qr", [1.0, 2.0, 3.0], "svd"),
        ("svd", [1.0, 2.0], "2"),
        ("svd", [1.0, 2.0, float("nan")], "nan"),
    ):
        line = LinearRegression(solver=solver)
        with expect.raises(ValueError, named):
            line.fit(X, y)
        with expect.raises(NotFittedError, "LinearRegression"):
            line.predict([[1.0, 1.0]])
