"""classical_ml.regression.ridge: the penalised optimum, its limits, and samples left out by doing it."""

import numpy as np
import pytest

from classical_ml.estimator import InvalidParameterError, NotFittedError
from classical_ml.regression.ridge import (
    Ridge,
    RidgeCV,
    Spectrum,
    degrees_of_freedom,
    leave_one_out,
    ridge_path,
    shrinkage,
    spectrum,
)
from curriculum.testing import expect

SHAPES = [(6, 2), (4, 4), (3, 7), (20, 3)]
ALPHAS = np.array([0.01, 1.0, 50.0])


def problem(n, d, k=1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, k))


def svd(X):
    """The decomposition that the functions take, by definition: for X of full rank."""
    return Spectrum(*np.linalg.svd(X, full_matrices=False))


def by_hand(X, y, alpha):
    """(X^T X + alpha) w = X^T y, solved as it stands: right for these sizes."""
    return np.linalg.solve(X.T @ X + alpha * np.eye(X.shape[1]), X.T @ y)


# The functions


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_matrix_is_its_spectrum(n, d):
    X, _ = problem(n, d)
    with expect.unchanged(X):
        U, s, Vt = spectrum(X)
    rank = min(n, d)
    expect.close((U * s) @ Vt, X, f"U diag(s) Vt for X {X.shape}", atol=1e-12)
    expect.close(U.T @ U, np.eye(rank), "U^T U", atol=1e-12)
    expect.close(Vt @ Vt.T, np.eye(rank), "Vt Vt^T", atol=1e-12)
    expect.true(bool((np.diff(s) <= 0).all()), f"singular values should fall: {s}")


def test_directions_made_of_rounding_errors_are_left_out():
    X, _ = problem(8, 2)
    doubled = np.c_[X, X[:, 0]]
    U, s, Vt = spectrum(doubled)
    expect.equal((U.shape, s.shape, Vt.shape), ((8, 2), (2,), (2, 3)), "shapes for a doubled column")
    expect.close((U * s) @ Vt, doubled, "U diag(s) Vt", atol=1e-12)
    limit = float(np.linalg.svd(X, compute_uv=False).mean())  # between the two singular values
    expect.equal(spectrum(X, limit).s.shape, (1,), "singular values above noise that hides the second")


def test_each_direction_keeps_its_share():
    s, alphas = np.array([3.0, 1.0, 0.1]), np.array([0.0, 1.0, 9.0])
    want = np.array([[1.0, 1.0, 1.0], [0.9, 0.5, 0.01 / 1.01], [0.5, 0.1, 0.01 / 9.01]])
    expect.close(shrinkage(s, alphas), want, "s^2 / (s^2 + alpha), a row a penalty")
    expect.close(degrees_of_freedom(s, alphas), want.sum(axis=1), "effective number of parameters")


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_a_path_solves_every_penalty(n, d):
    X, y = problem(n, d, 2)
    with expect.unchanged(X, y, ALPHAS):
        path = ridge_path(svd(X), y, ALPHAS)
    expect.equal(path.shape, (3, d, 2), "shape of the path: penalties, features, targets")
    for w, alpha in zip(path, ALPHAS, strict=True):
        expect.close(w, by_hand(X, y, alpha), f"coefficients for X {X.shape}, alpha {alpha:g}", rtol=1e-8)


def test_no_penalty_is_the_shortest_least_squares():
    X = np.array([[1.0, 1.0]])
    found = spectrum(X)
    expect.close(
        ridge_path(found, np.array([[2.0]]), np.zeros(1))[0], np.ones((2, 1)), "w1 + w2 = 2, alpha 0"
    )


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n", "d"), [(6, 2), (5, 5), (4, 7)])
def test_a_sample_left_out_is_predicted_by_the_others(n, d, fit_intercept):
    X, y = problem(n, d, 2)
    if fit_intercept:
        X, y = X - X.mean(axis=0), y - y.mean(axis=0)
    with expect.unchanged(X, y):
        errors = leave_one_out(spectrum(X), y, ALPHAS, fit_intercept)
    for a, alpha in enumerate(ALPHAS):
        for i in range(n):
            others = np.arange(n) != i
            shift = X[others].mean(axis=0) if fit_intercept else np.zeros(d)
            level = y[others].mean(axis=0) if fit_intercept else np.zeros(2)
            w = by_hand(X[others] - shift, y[others] - level, alpha)
            want = y[i] - (level + (X[i] - shift) @ w)
            what = f"error of sample {i} of {n} with {d} features, alpha {alpha:g}"
            expect.close(errors[a, i], want, what, rtol=1e-8, atol=1e-12)


# Ridge


@pytest.mark.parametrize(("n", "d"), SHAPES)
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
def test_the_gradient_of_the_penalised_error_vanishes(n, d, alpha):
    X, Y = problem(n, d, 2)
    X += 5.0
    model = Ridge(alpha)
    expect.true(model.fit(X, Y) is model, "fit should return the estimator")
    residual = X @ model.coef_.T + model.intercept_ - Y
    expect.close(residual.sum(axis=0), np.zeros(2), "derivative by the intercept", atol=1e-8)
    slope = X.T @ residual + alpha * model.coef_.T
    expect.close(slope, np.zeros((d, 2)), f"derivative by the coefficients, alpha {alpha:g}", atol=1e-8)
    expect.close(model.predict(X), residual + Y, "predictions", rtol=1e-10)


def test_a_small_example():
    """Centred: x = -1, 0, 1 and y = -2, 0, 2, so w = 4 / (2 + alpha)."""
    for alpha, w in ((0.0, 2.0), (2.0, 1.0), (6.0, 0.5)):
        model = Ridge(alpha).fit([[4.0], [5.0], [6.0]], [1.0, 3.0, 5.0])
        expect.close(model.coef_, np.array([w]), f"coef_ for alpha {alpha:g}", rtol=1e-10)
        expect.close(
            model.intercept_, 3.0 - 5.0 * w, f"intercept_ for alpha {alpha:g}", rtol=1e-10, atol=1e-12
        )
        expect.close(model.degrees_of_freedom_, 2 / (2 + alpha), f"degrees_of_freedom_ for alpha {alpha:g}")
    model = Ridge(2.0, fit_intercept=False).fit([[1.0], [2.0]], [3.0, 4.0])
    expect.close(model.coef_, np.array([11 / 7]), "coef_ without an intercept")
    expect.close(model.intercept_, 0.0, "intercept_ without one")


def test_the_penalty_shortens_and_never_flips_the_fit():
    X, y = problem(20, 3)
    lengths = [np.linalg.norm(Ridge(a).fit(X, y[:, 0]).coef_) for a in (0.0, 0.1, 1.0, 10.0, 1e3, 1e8)]
    expect.true(bool((np.diff(lengths) < 0).all()), f"lengths of coef_ should fall as alpha grows: {lengths}")
    flat = Ridge(1e12).fit(X, y[:, 0])
    expect.close(flat.predict(X), np.full(20, y.mean()), "predictions under a huge penalty", rtol=1e-6)


def test_the_penalty_does_not_touch_the_level():
    X, y = problem(20, 3)
    low, high = Ridge(10.0).fit(X, y[:, 0]), Ridge(10.0).fit(X, y[:, 0] + 1e3)
    expect.close(high.coef_, low.coef_, "coef_ after 1000 was added to y", rtol=1e-8)
    expect.close(high.intercept_, low.intercept_ + 1e3, "intercept_ after 1000 was added to y", rtol=1e-10)
    far = Ridge(10.0).fit(X + 1e3, y[:, 0])
    expect.close(far.coef_, low.coef_, "coef_ after 1000 was added to X", rtol=1e-6)


def test_without_a_penalty_it_is_least_squares_whatever_the_rank():
    X, y = problem(9, 2)
    model = Ridge(0.0).fit(1e3 + np.c_[X, X[:, 1]], y[:, 0])
    alone = Ridge(0.0).fit(X, y[:, 0]).coef_
    want = np.linalg.lstsq(X - X.mean(axis=0), y[:, 0] - y.mean(), rcond=None)[0]
    expect.close(alone, want, "coef_ for alpha 0", rtol=1e-8)
    expect.close(
        model.coef_, np.array([want[0], want[1] / 2, want[1] / 2]), "with a doubled column", rtol=1e-5
    )


@pytest.mark.parametrize("fit", [lambda: Ridge(0.0), lambda: RidgeCV([1e-30])], ids=["Ridge", "RidgeCV"])
def test_columns_that_depend_on_each_other_do_so_far_from_zero_too(fit):
    """Centring 1000 leaves errors of 1e-13: a singular value of that size is not one of the data."""
    X, y = problem(12, 2)
    near = np.c_[X, X.sum(axis=1)]
    want = np.linalg.pinv(near - near.mean(axis=0), rcond=1e-9) @ (y[:, 0] - y.mean())
    model = fit().fit(near + 1e3, y[:, 0])
    what = "coef_ for a, b and a + b around 1000, no penalty: leave out what `centring_noise` explains"
    expect.close(model.coef_, want, what, rtol=1e-6)
    if isinstance(model, RidgeCV):
        same = fit().fit(X, y[:, 0])
        expect.close(model.errors_, same.errors_, "errors_ for a, b and a + b against a and b", rtol=1e-6)


def test_edges_shapes_and_dtypes():
    one = Ridge().fit([[1.0, 2.0]], [7.0])
    expect.close(one.predict([[5.0, 5.0]]), np.array([7.0]), "prediction after one sample")
    constant = Ridge().fit([[1.0, 3.0], [2.0, 3.0]], [0.0, 1.0])
    expect.close(constant.coef_, np.array([1 / 3, 0.0]), "coef_ with a constant feature", atol=1e-12)
    X, Y = problem(8, 3, 2)
    two, first = Ridge(2.0).fit(X, Y), Ridge(2.0).fit(X, Y[:, 0])
    expect.equal((two.coef_.shape, two.intercept_.shape), ((2, 3), (2,)), "coef_ and intercept_ for y (8, 2)")
    expect.close(two.coef_[0], first.coef_, "first row of coef_ against y[:, 0] alone", rtol=1e-9)
    single = Ridge(2.0).fit(X.astype(np.float32), Y.astype(np.float32))
    expect.close(single.coef_, two.coef_, "coef_ in float32", dtype=np.float32, rtol=1e-4)


def test_what_cannot_be_used_is_refused():
    X, y = problem(5, 2)
    for settings, named in (
        ({"alpha": -1.0}, ("alpha", "0", "-1")),
        ({"alpha": float("nan")}, ("alpha", "nan")),
        ({"fit_intercept": "yes"}, ("fit_intercept", "yes")),
    ):
        with expect.raises(InvalidParameterError, "Ridge", *named):
            Ridge(**settings).fit(X, y[:, 0])
    with expect.raises(ValueError, "nan", "0", "1"):
        Ridge().fit([[1.0, float("nan")]], [1.0])
    with expect.raises(NotFittedError, "Ridge"):
        Ridge().predict(X)
    with expect.raises(ValueError, "3", "2"):
        Ridge().fit(X, y[:, 0]).predict(np.ones((1, 3)))


@pytest.mark.parametrize("kind", [Ridge, RidgeCV])
def test_a_fit_that_fails_leaves_nothing_fitted(kind):
    X, y = problem(5, 2)
    for wrong, named in ((y[:4, 0], "4"), (np.full(5, np.nan), "nan")):
        model = kind()
        with expect.raises(ValueError, named):
            model.fit(X, wrong)
        with expect.raises(NotFittedError, kind.__name__):
            model.predict(X)


# RidgeCV


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_penalty_that_predicts_best_is_chosen(fit_intercept):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((15, 6)) + 2.0
    y = X @ [1.0, 0, 0, -1, 0, 0] + 2.0 * rng.standard_normal(15)
    alphas = [0.01, 1.0, 8.0, 100.0]
    model = RidgeCV(alphas, fit_intercept=fit_intercept)
    expect.true(model.fit(X, y) is model, "fit should return the estimator")
    want = []
    for alpha in alphas:
        errors = []
        for i in range(15):
            others = np.arange(15) != i
            left = Ridge(alpha, fit_intercept=fit_intercept).fit(X[others], y[others])
            errors.append(y[i] - left.predict(X[i : i + 1])[0])
        want.append(np.mean(np.square(errors)))
    expect.close(model.errors_, np.array(want), "errors_, a penalty each", rtol=1e-8)
    expect.close(float(model.alpha_), alphas[int(np.argmin(want))], "alpha_")
    same = Ridge(model.alpha_, fit_intercept=fit_intercept).fit(X, y)
    expect.close(model.coef_, same.coef_, "coef_ against Ridge with alpha_", rtol=1e-9)
    expect.close(model.predict(X), same.predict(X), "predictions against Ridge with alpha_", rtol=1e-9)
    expect.close(model.degrees_of_freedom_, same.degrees_of_freedom_, "degrees_of_freedom_", rtol=1e-9)
    expect.equal(model.n_features_in_, 6, "n_features_in_")


def test_errors_of_several_targets_are_averaged():
    X, Y = problem(10, 3, 2)
    both = RidgeCV([0.1, 10.0]).fit(X, Y)
    each = [RidgeCV([0.1, 10.0]).fit(X, y).errors_ for y in Y.T]
    expect.close(both.errors_, np.mean(each, axis=0), "errors_ of two targets", rtol=1e-9)


def test_targets_that_disagree_are_weighed_against_each_other():
    """A line, best fitted without a penalty, and noise, best not fitted; ten times as large, it decides."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((8, 5))
    Y = np.c_[X[:, 0], 10.0 * rng.standard_normal(8)]
    alphas = [0.01, 1e4]
    first, second = (RidgeCV(alphas).fit(X, y).alpha_ for y in Y.T)
    expect.equal((float(first), float(second)), (0.01, 1e4), "alpha_ for a line, and for noise")
    for order in ((0, 1), (1, 0)):
        model = RidgeCV(alphas).fit(X, Y[:, order])
        expect.close(float(model.alpha_), 1e4, f"alpha_ for both targets, columns {order}")


def test_penalties_may_come_in_any_order_and_kind():
    X, y = problem(10, 3)
    want = RidgeCV([0.1, 1.0, 10.0]).fit(X, y[:, 0])
    for alphas in ([10.0, 0.1, 1.0], (10, 0.1, 1), np.array([10.0, 0.1, 1.0])):
        model = RidgeCV(alphas)
        model.fit(X, y[:, 0])
        expect.close(model.errors_, want.errors_[[2, 0, 1]], f"errors_ in the order of {alphas}", rtol=1e-9)
        expect.close(float(model.alpha_), float(want.alpha_), f"alpha_ of {alphas}")
        expect.true(model.alphas is alphas, f"fit should leave the parameter alphas as given, {alphas!r}")
    whole, floats = (RidgeCV(alphas).fit(X, y[:, 0]) for alphas in ([1, 10], [1.0, 10.0]))
    expect.close(whole.errors_, floats.errors_, "errors_ of the ints 1 and 10", rtol=1e-9)


def test_the_defaults_and_the_fewest_samples():
    X, y = problem(10, 3)
    want = RidgeCV([0.1, 1.0, 10.0], fit_intercept=True).fit(X + 1.0, y[:, 0])
    default = RidgeCV().fit(X + 1.0, y[:, 0])
    expect.close(
        default.errors_, want.errors_, "errors_ by default: alphas 0.1, 1, 10, an intercept", rtol=1e-9
    )
    two = RidgeCV([2.0]).fit([[1.0], [3.0]], [0.0, 4.0])
    expect.close(
        two.errors_, np.array([16.0]), "errors_ of two samples: each is predicted by the other's target"
    )
    expect.close(two.coef_, np.array([1.0]), "coef_ of two samples, 4 / (2 + alpha)")


def test_of_penalties_that_tie_the_first_is_taken():
    X, _ = problem(6, 2)
    for alphas in ([10.0, 0.1, 1.0], [0.1, 10.0]):
        model = RidgeCV(alphas).fit(X, np.zeros(6))
        expect.close(model.errors_, np.zeros(len(alphas)), "errors_ where y is 0: all penalties tie")
        expect.close(float(model.alpha_), alphas[0], f"alpha_, the first of {alphas} where all tie")


def test_penalties_that_cannot_be_used_are_refused():
    X, y = problem(5, 2)
    for alphas, value in (([], ""), ([1.0, 0.0], "0.0"), ([1.0, -2.0], "-2.0"), (3.0, "3.0"), (["a"], "a"),
                          ([float("inf")], "inf"), ([float("nan")], "nan"),
                          ([True], "True"), ([2.0, True], "True")):  # fmt: skip
        with expect.raises(InvalidParameterError, "alphas", "RidgeCV", value):
            RidgeCV(alphas).fit(X, y[:, 0])
    with expect.raises(InvalidParameterError, "fit_intercept", "RidgeCV"):
        RidgeCV(fit_intercept=None).fit(X, y[:, 0])
    with expect.raises(ValueError, "(1, 2)", "2", "RidgeCV"):
        RidgeCV().fit(X[:1], y[:1, 0])
