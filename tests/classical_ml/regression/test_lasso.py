"""classical_ml.regression.lasso: conditions of the minimum, exact zeros, and a gap that never lies."""

import numpy as np
import pytest

from classical_ml.estimator import InvalidParameterError, NotFittedError
from classical_ml.regression.lasso import (
    Lasso,
    coordinate_descent,
    duality_gap,
    largest_penalty,
    lasso_path,
    soft_threshold,
)
from curriculum.testing import expect

SHAPES = [(12, 4), (5, 5), (4, 9), (1, 3)]


def problem(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), 3 * rng.standard_normal(n)


def objective(X, y, w, l1):
    return ((X @ w - y) ** 2).sum() / 2 + l1 * np.abs(w).sum()


def solve(X, y, l1, start=None, max_iter=5000, tol=1e-14):
    start = np.zeros(X.shape[1]) if start is None else start
    return coordinate_descent(X, y, l1, start, max_iter=max_iter, tol=tol)


def worst_violation(X, y, w, l1):
    """How far the conditions of the minimum are from holding: x_j . r = l1 sign(w_j), or within l1 at 0."""
    correlation = X.T @ (y - X @ w)
    at_zero = np.maximum(np.abs(correlation) - l1, 0.0)
    return float(np.where(w == 0, at_zero, np.abs(correlation - l1 * np.sign(w))).max())


# The pieces


def test_soft_thresholding():
    z = np.array([3.0, 1.0, 0.5, 0.0, -0.5, -1.0, -3.0])
    with expect.unchanged(z):
        moved = soft_threshold(z, 1.0)
    expect.close(moved, np.array([2.0, 0, 0, 0, 0, 0, -2]), "numbers moved towards zero by 1")
    expect.close(soft_threshold(z, 0.0), z, "numbers moved by 0")
    expect.close(soft_threshold(np.array([[0.25, -9.0]]), 0.5), np.array([[0.0, -8.5]]), "moved by 0.5")


def test_the_largest_penalty_that_matters():
    X, y = problem(12, 4)
    top = largest_penalty(X, y)
    expect.close(top, max(abs(float(x @ y)) for x in X.T), "max_j |x_j . y|")
    expect.equal(np.count_nonzero(solve(X, y, top)[0]), 0, "coefficients at the largest penalty")
    expect.true(np.count_nonzero(solve(X, y, 0.99 * top)[0]) == 1, "just below it exactly one should appear")


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_the_gap_bounds_what_is_left(n, d):
    """Against the minimum, found by proximal gradient steps in the test."""
    X, y = problem(n, d)
    l1 = 0.3 * np.abs(X.T @ y).max()
    L, best = np.linalg.norm(X, 2) ** 2, np.zeros(d)
    for _ in range(3000):
        step = best - X.T @ (X @ best - y) / L
        best = np.sign(step) * np.maximum(np.abs(step) - l1 / L, 0)
    lowest = objective(X, y, best, l1)
    rng = np.random.default_rng(1)
    for w in (np.zeros(d), best + 0.01 * rng.standard_normal(d), rng.standard_normal(d)):
        with expect.unchanged(X, y, w):
            gap = duality_gap(X, y, w, l1)
        left = objective(X, y, w, l1) - lowest
        expect.true(gap >= left - 1e-9, f"the gap {gap:.6g} should bound what is left to gain, {left:.6g}")
    close = duality_gap(X, y, best, l1)
    expect.close(close, 0.0, "gap at the minimum", atol=1e-9)


def test_the_gap_by_its_definition():
    X, y = problem(6, 3)
    for w, l1 in ((np.array([0.5, -1.0, 0.0]), 0.7), (np.zeros(3), 2.0), (np.array([0.1, 0.0, 0.1]), 100.0)):
        r = y - X @ w
        s = min(1.0, l1 / np.abs(X.T @ r).max())
        dual = (y @ y) / 2 - ((y - s * r) ** 2).sum() / 2
        what = f"objective less dual for w {w}, l1 {l1:g}"
        expect.close(duality_gap(X, y, w, l1), objective(X, y, w, l1) - dual, what, rtol=1e-9)
    perfect = np.array([1.0, 2.0, -1.0])
    expect.close(duality_gap(X, X @ perfect, perfect, 2.0), 8.0, "gap where the residual is zero: l1 |w|_1")


# Coordinate descent


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("share", [0.9, 0.3, 0.01])
def test_the_conditions_of_the_minimum_hold(n, d, share):
    X, y = problem(n, d)
    l1 = share * np.abs(X.T @ y).max()
    start = np.ones(d)
    with expect.unchanged(X, y, start):
        w, gap, _ = solve(X, y, l1, start, max_iter=20_000)
    violation = worst_violation(X, y, w, l1)
    expect.true(
        violation < 1e-4 * l1,
        f"x_j . r should be l1 sign(w_j), or within l1 where w_j = 0: off by {violation:.2g}, l1 {l1:.3g}",
    )
    expect.close(gap, duality_gap(X, y, w, l1), "the gap that is returned", rtol=1e-6, atol=1e-12)


def test_orthogonal_features_are_thresholded_once():
    rng = np.random.default_rng(0)
    X, _ = np.linalg.qr(rng.standard_normal((10, 4)))
    X, y = X * [1.0, 2.0, 3.0, 4.0], 3 * rng.standard_normal(10)
    z = X.T @ y
    want = np.sign(z) * np.maximum(np.abs(z) - 0.5, 0) / [1.0, 4.0, 9.0, 16.0]
    expect.close(
        solve(X, y, 0.5, max_iter=1)[0], want, "w after one sweep over orthogonal features", rtol=1e-9
    )


def test_one_sweep_by_hand():
    X, y = problem(5, 3)
    w = start = np.array([0.5, 0.0, -0.5])
    w = w.copy()
    for j in range(3):
        r = y - X @ w + X[:, j] * w[j]
        z = X[:, j] @ r
        w[j] = np.sign(z) * max(abs(z) - 0.4, 0) / (X[:, j] @ X[:, j])
    got, gap, sweeps = solve(X, y, 0.4, start, max_iter=1, tol=0.0)
    expect.close(got, w, "w after one sweep, each coordinate seeing those before it", rtol=1e-9)
    expect.equal(int(sweeps), 1, "sweeps")
    expect.close(gap, duality_gap(X, y, w, 0.4), "gap after one sweep", rtol=1e-9)


def test_no_sweep_is_made_at_the_minimum():
    X, y = problem(12, 4)
    w, _, _ = solve(X, y, 3.0)
    again, gap, sweeps = solve(X, y, 3.0, w, tol=1e-10)
    expect.equal(int(sweeps), 0, "sweeps from the minimum")
    expect.close(again, w, "w from the minimum")
    expect.true(gap <= 1e-10 * (y @ y), f"the gap should be at most tol |y|^2, it is {gap:g}")


def test_sweeping_stops_at_the_tolerance():
    X, y = problem(30, 10)
    l1 = 0.05 * np.abs(X.T @ y).max()
    counts = []
    for tol in (1e-2, 1e-5, 1e-10):
        _, gap, sweeps = solve(X, y, l1, tol=tol)
        counts.append(int(sweeps))
        expect.true(gap <= tol * (y @ y), f"the gap {gap:g} should be at most tol |y|^2 = {tol * (y @ y):g}")
        before = solve(X, y, l1, max_iter=sweeps - 1, tol=tol)[1]
        expect.true(before > tol * (y @ y), f"with tol {tol:g} a sweep fewer would have been enough")
    expect.true(counts[0] < counts[1] < counts[2], f"sweeps for falling tolerances: {counts}")


def test_a_feature_of_zeros_has_no_coefficient():
    X, y = problem(8, 3)
    X[:, 1] = 0.0
    with expect.quiet("coordinate descent with a feature of zeros"):
        w, _, _ = solve(X, y, 1.0, np.ones(3))
    rest = solve(X[:, [0, 2]], y, 1.0)[0]
    expect.close(w, np.array([rest[0], 0.0, rest[1]]), "w with a feature of zeros", rtol=1e-6)


def test_a_path_has_a_row_for_each_penalty():
    X, y = problem(12, 4)
    top = np.abs(X.T @ y).max()
    penalties = np.array([0.2, 1.0, 0.5, 0.01]) * top
    with expect.unchanged(penalties):
        path = lasso_path(X, y, penalties, max_iter=5000, tol=1e-14)
    for w, l1 in zip(path, penalties, strict=True):
        expect.close(w, solve(X, y, l1)[0], f"row for l1 = {l1:.3g}", rtol=1e-5, atol=1e-7)
    expect.equal(np.count_nonzero(path[1]), 0, "coefficients at the largest penalty")


def test_the_path_is_a_chain_of_straight_lines():
    X, y = problem(12, 4)
    low, high = 0.01, 0.02  # of the largest: all features are in, and stay in
    ends = lasso_path(X, y, np.array([low, (low + high) / 2, high]), max_iter=5000, tol=1e-15)
    for w, l1 in zip(ends[::2], (low, high), strict=True):
        violation = worst_violation(X, y, w, l1)
        expect.true(violation < 1e-3 * l1, f"row for l1 = {l1}: the conditions are off by {violation:.2g}")
    expect.close(ends[1], (ends[0] + ends[2]) / 2, "w half-way between two penalties", rtol=1e-4)


# Lasso


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_estimator_minimises_its_objective(fit_intercept):
    X, y = problem(20, 6)
    X, y = X + 5.0, y + 7.0
    model = Lasso(0.4, fit_intercept=fit_intercept, tol=1e-12, max_iter=20_000)
    expect.true(model.fit(X, y) is model, "fit should return the estimator")
    r = y - X @ model.coef_ - model.intercept_
    if fit_intercept:
        expect.close(float(r.sum()), 0.0, "sum of the residuals", atol=1e-8)
        X = X - X.mean(axis=0)
    correlation = X.T @ r / 20
    off = np.where(
        model.coef_ == 0, np.maximum(abs(correlation) - 0.4, 0), correlation - 0.4 * np.sign(model.coef_)
    )
    expect.close(off, np.zeros(6), "X^T r / N less alpha sign(coef), or beyond alpha at 0", atol=1e-4)
    expect.equal(bool(model.converged_), True, "converged_")
    expect.equal(model.n_features_in_, 6, "n_features_in_")


def test_a_small_example():
    """Centred: x = -1, 0, 1 and y = -2, 0, 2, so w = (4 - 3 alpha) / 2 as long as that is positive."""
    for alpha, w in ((0.5, 1.25), (1.0, 0.5), (2.0, 0.0)):
        model = Lasso(alpha, tol=1e-12).fit([[4.0], [5.0], [6.0]], [1.0, 3.0, 5.0])
        expect.close(model.coef_, np.array([w]), f"coef_ for alpha {alpha:g}", rtol=1e-6)
        expect.close(model.intercept_, 3.0 - 5.0 * w, f"intercept_ for alpha {alpha:g}", rtol=1e-6)
        expect.close(model.predict([[7.0]]), np.array([3.0 + 2.0 * w]), f"prediction at 7, alpha {alpha:g}")


def test_it_finds_the_few_features_that_count():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 100))
    y = 3 * X[:, 7] - 2 * X[:, 42] + 0.1 * rng.standard_normal(40)
    model = Lasso(0.5).fit(X, y)
    expect.equal(np.flatnonzero(model.coef_).tolist(), [7, 42], "features with a coefficient, of 100")
    expect.true(
        1.5 < model.coef_[7] < 3 and -2 < model.coef_[42] < -0.5,
        f"both coefficients should be shrunk, not flipped: {model.coef_[[7, 42]]}",
    )


def test_a_run_that_was_cut_short_says_so():
    X, y = problem(30, 10)
    short = Lasso(0.01, max_iter=1, tol=1e-12).fit(X, y)
    long = Lasso(0.01, max_iter=5000, tol=1e-9).fit(X, y)
    expect.equal(
        (bool(short.converged_), int(short.n_iter_)), (False, 1), "converged_ and n_iter_ of one sweep"
    )
    expect.equal(bool(long.converged_), True, "converged_ of as many sweeps as are needed")

    def value(model):
        r = y - model.predict(X)
        return (r @ r) / 60 + 0.01 * np.abs(model.coef_).sum()

    left = value(short) - value(long)
    expect.true(
        short.dual_gap_ >= left > 0,
        f"dual_gap_ should bound what is left to gain: {short.dual_gap_:.3g}, left {left:.3g}",
    )
    centred, target = X - X.mean(axis=0), y - y.mean()
    gap = duality_gap(centred, target, short.coef_, 0.3) / 30
    expect.close(short.dual_gap_, gap, "dual_gap_: the gap over N", rtol=1e-6)


def test_edges_and_dtypes():
    model = Lasso().fit([[1.0, 2.0]], [7.0])
    expect.close(model.predict([[5.0, 5.0]]), np.array([7.0]), "prediction after one sample")
    model = Lasso(0.1).fit([[1.0, 3.0], [2.0, 3.0], [3.0, 3.0]], [5.0, 5.0, 5.0])
    expect.close(model.coef_, np.zeros(2), "coef_ for a constant target")
    expect.close(model.intercept_, 5.0, "intercept_ for a constant target")
    X, y = problem(20, 4)
    want = Lasso(0.2, tol=1e-10).fit(X, y).coef_
    single = Lasso(0.2).fit(X.astype(np.float32), y.astype(np.float32))
    expect.close(single.coef_, want, "coef_ in float32", dtype=np.float32, rtol=2e-3, atol=2e-3)
    listed = Lasso(0.2, tol=1e-10).fit(X.tolist(), y.tolist())
    expect.close(listed.coef_, want, "coef_ from lists", rtol=1e-6)


def test_what_cannot_be_used_is_refused():
    X, y = problem(5, 2)
    for settings, named in (
        ({"alpha": 0.0}, ("alpha", "0.0")),
        ({"alpha": -1}, ("alpha", "-1")),
        ({"max_iter": 0}, ("max_iter", "1", "0")),
        ({"tol": -1e-3}, ("tol", "-0.001")),
        ({"fit_intercept": 1}, ("fit_intercept", "1")),
    ):
        with expect.raises(InvalidParameterError, "Lasso", *named):
            Lasso(**settings).fit(X, y)
    with expect.raises(ValueError, "(5, 1)"):
        Lasso().fit(X, y[:, None])
    with expect.raises(ValueError, "nan", "0", "1"):
        Lasso().fit([[1.0, float("nan")]], [1.0])
    with expect.raises(NotFittedError, "Lasso"):
        Lasso().predict(X)
    with expect.raises(ValueError, "3", "2"):
        Lasso().fit(X, y).predict(np.ones((1, 3)))


def test_a_fit_that_fails_leaves_nothing_fitted():
    X, y = problem(5, 2)
    for wrong, named in ((y[:4], "4"), (np.full(5, np.nan), "nan")):
        model = Lasso()
        with expect.raises(ValueError, named):
            model.fit(X, wrong)
        with expect.raises(NotFittedError, "Lasso"):
            model.predict(X)
