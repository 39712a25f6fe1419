"""classical_ml.regression.elastic_net: a lasso on more rows, and relatives that stay together."""

import numpy as np
import pytest

from classical_ml.estimator import InvalidParameterError, NotFittedError
from classical_ml.regression.elastic_net import ElasticNet, augment, penalty_grid
from curriculum.testing import expect


def problem(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), 3 * rng.standard_normal(n)


def test_rows_that_say_zero_are_a_squared_penalty():
    X, y = problem(5, 3)
    with expect.unchanged(X, y):
        rows, values = augment(X, y, 4.0)
    expect.close(rows, np.r_[X, 2 * np.eye(3)], "X with three rows that say zero, l2 = 4")
    expect.close(values, np.r_[y, 0, 0, 0], "y with three zeros")
    w = np.array([1.0, -2.0, 0.5])
    penalised = ((X @ w - y) ** 2).sum() + 4.0 * (w @ w)
    expect.close(float(((rows @ w - values) ** 2).sum()), penalised, "squared error of w on all rows")
    rows, values = augment(X.astype(np.float32), y.astype(np.float32), 2.0)
    expect.close(values, np.r_[y, 0, 0, 0], "y in float32", dtype=np.float32, rtol=1e-6)
    expect.close(rows[5:], np.sqrt(2) * np.eye(3), "rows in float32", dtype=np.float32, rtol=1e-6)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.25])
def test_the_grid_begins_where_the_first_coefficient_appears(l1_ratio):
    X, y = problem(20, 5)
    X, y = X - X.mean(axis=0), y - y.mean()
    grid = penalty_grid(X, y, l1_ratio, 5, 1e-2)
    first = np.abs(X.T @ y).max() / (20 * l1_ratio)
    want = first * np.array([1.0, 10**-0.5, 0.1, 10**-1.5, 0.01])
    expect.close(grid, want, f"five penalties over two decades, l1_ratio {l1_ratio}", rtol=1e-9)
    expect.close(
        float(penalty_grid(X, y, l1_ratio, 3)[-1]), 1e-3 * first, "last of three by default", rtol=1e-9
    )
    counts = [
        np.count_nonzero(ElasticNet(c * grid[0], l1_ratio=l1_ratio, tol=1e-12).fit(X, y).coef_)
        for c in (1.0001, 0.99)
    ]
    expect.equal(counts, [0, 1], "coefficients just above and just below the first penalty")


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n", "d"), [(20, 6), (5, 12), (1, 3)])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5, 0.05])
def test_the_conditions_of_the_minimum_hold(n, d, l1_ratio, fit_intercept):
    X, y = problem(n, d)
    X, y = X + 2.0, y + 5.0
    alpha = 0.3
    model = ElasticNet(alpha, l1_ratio=l1_ratio, fit_intercept=fit_intercept, tol=1e-12, max_iter=5000)
    with expect.unchanged(X, y):
        expect.true(model.fit(X, y) is model, "fit should return the estimator")
    r, w = y - X @ model.coef_ - model.intercept_, model.coef_
    if fit_intercept:
        expect.close(float(r.sum()), 0.0, "sum of the residuals", atol=1e-8)
        X = X - X.mean(axis=0)
    pull = X.T @ r / n - alpha * (1 - l1_ratio) * w
    off = np.where(
        w == 0, np.maximum(np.abs(pull) - alpha * l1_ratio, 0), pull - alpha * l1_ratio * np.sign(w)
    )
    what = "X^T r / N - alpha (1 - l1_ratio) w, less alpha l1_ratio sign(w), or beyond it at 0"
    expect.close(off, np.zeros(d), what, atol=1e-4)
    expect.close(model.predict(X), X @ w + model.intercept_, "predictions", rtol=1e-9)


def test_a_small_example():
    """Centred: x = -1, 0, 1 and y = -2, 0, 2: w = (4 - 3 alpha l1) / (2 + 3 alpha (1 - l1))."""
    X, y = [[4.0], [5.0], [6.0]], [1.0, 3.0, 5.0]
    for alpha, l1_ratio, w in (
        (1.0, 1.0, 0.5),
        (1.0, 0.5, 2.5 / 3.5),
        (2.0, 0.25, 2.5 / 6.5),
        (4.0, 0.5, 0.0),
    ):
        model = ElasticNet(alpha, l1_ratio=l1_ratio, tol=1e-12).fit(X, y)
        what = f"alpha {alpha:g}, l1_ratio {l1_ratio:g}"
        expect.close(model.coef_, np.array([w]), f"coef_ for {what}", rtol=1e-6)
        expect.close(model.intercept_, 3.0 - 5.0 * w, f"intercept_ for {what}", rtol=1e-6)
    expect.close(
        ElasticNet(1.0, tol=1e-12).fit(X, y).coef_, np.array([2.5 / 3.5]), "coef_ by default", rtol=1e-6
    )


def test_copies_share_and_relatives_agree():
    """Theorem 1: the coefficients of two features differ by no more than the features do."""
    X, y = problem(20, 4)
    y = y + 3 * X[:, 0]
    X[:, 1] = X[:, 0]
    X[:, 2] = X[:, 0] + 0.05 * X[:, 2]
    model = ElasticNet(0.5, l1_ratio=0.5, tol=1e-13, max_iter=5000).fit(X, y)
    w = model.coef_
    expect.true(w[0] > 0.1, f"the feature that y was made from should have a coefficient, it has {w[0]:.3g}")
    expect.close(w[1], w[0], "coefficient of a copy against that of the original", rtol=1e-4)
    centred = X - X.mean(axis=0)
    apart = np.linalg.norm(centred[:, 0] - centred[:, 2]) * np.linalg.norm(y - y.mean()) / (20 * 0.25)
    expect.true(
        abs(w[0] - w[2]) <= apart,
        f"features of correlation 0.998 should have coefficients at most {apart:.3g} apart: {w[[0, 2]]}",
    )


def test_what_is_reported_about_the_run():
    X, y = problem(30, 10)
    short = ElasticNet(0.01, max_iter=1, tol=1e-12).fit(X, y)
    long = ElasticNet(0.01, max_iter=5000, tol=1e-10).fit(X, y)
    state = (bool(short.converged_), int(short.n_iter_), bool(long.converged_))
    expect.equal(state, (False, 1, True), "converged_ and n_iter_ after a sweep, converged_ after many")

    def value(model):
        r, w = y - model.predict(X), model.coef_
        return (r @ r) / 60 + 0.01 * (0.5 * np.abs(w).sum() + 0.25 * (w @ w))

    left = value(short) - value(long)
    expect.true(
        short.dual_gap_ >= left > 0 and short.dual_gap_ < 100 * left,
        f"dual_gap_ should bound what is left to gain, and not idly: {short.dual_gap_:.3g}, left {left:.3g}",
    )
    expect.true(
        0 <= long.dual_gap_ <= 1e-8, f"dual_gap_ of a long run should be near 0: {long.dual_gap_:.3g}"
    )
    expect.equal(long.n_features_in_, 10, "n_features_in_")


def test_dtypes_and_lists():
    X, y = problem(20, 4)
    want = ElasticNet(0.2, tol=1e-10).fit(X, y)
    single = ElasticNet(0.2).fit(X.astype(np.float32), y.astype(np.float32))
    expect.close(single.coef_, want.coef_, "coef_ in float32", dtype=np.float32, rtol=2e-3, atol=2e-3)
    listed = ElasticNet(0.2, tol=1e-10).fit(X.tolist(), y.tolist())
    expect.close(listed.predict(X.tolist()), want.predict(X), "predictions from lists", rtol=1e-6)


def test_what_cannot_be_used_is_refused():
    X, y = problem(5, 2)
    for settings, named in (
        ({"alpha": 0.0}, ("alpha", "0.0")),
        ({"l1_ratio": 0.0}, ("l1_ratio", "0", "1")),
        ({"l1_ratio": 1.5}, ("l1_ratio", "0", "1", "1.5")),
        ({"max_iter": 0}, ("max_iter", "1", "0")),
        ({"tol": -1e-3}, ("tol", "-0.001")),
        ({"fit_intercept": 1}, ("fit_intercept", "1")),
    ):
        with expect.raises(InvalidParameterError, "ElasticNet", *named):
            ElasticNet(**settings).fit(X, y)
    with expect.raises(ValueError, "nan", "0", "1"):
        ElasticNet().fit([[1.0, float("nan")]], [1.0])
    with expect.raises(NotFittedError, "ElasticNet"):
        ElasticNet().predict(X)
    with expect.raises(ValueError, "3", "2"):
        ElasticNet().fit(X, y).predict(np.ones((1, 3)))


def test_a_fit_that_fails_leaves_nothing_fitted():
    X, y = problem(5, 2)
    for wrong, named in ((y[:4], "4"), (np.full(5, np.nan), "nan")):
        model = ElasticNet()
        with expect.raises(ValueError, named):
            model.fit(X, wrong)
        with expect.raises(NotFittedError, "ElasticNet"):
            model.predict(X)
