"""classical_ml.reduction.lda: no direction separates better, and Bayes' rule for Gaussians of one shape."""

import math

import numpy as np
import pytest
from hypothesis import given

from classical_ml.estimator import InvalidParameterError, NotFittedError
from classical_ml.reduction.lda import (
    LinearDiscriminantAnalysis,
    class_means,
    discriminants,
    scores_of_classes,
    within_whitening,
)
from curriculum.testing import expect, strategies

# Two squares of side 2 around (0, 0) and (4, 4): S_w = I
SQUARE = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
X2, Y2 = np.concatenate([SQUARE, SQUARE + 4.0]), np.repeat([0, 1], 4)


def classes(v, d, n=60, seed=0, apart=2.0):
    """Samples (n, d) of v Gaussians of one oblique shape, and which one each is from."""
    rng = np.random.default_rng(seed)
    y = np.r_[np.arange(v), np.arange(v), rng.integers(0, v, n - 2 * v)]
    shape = rng.standard_normal((d, d)) + 2 * np.eye(d)
    return rng.standard_normal((n, d)) @ shape + apart * rng.standard_normal((v, d))[y], y


def scatters(X, y, priors=None):
    """The class means, S_w, S_b and the priors, from their definitions."""
    names = np.unique(y)
    priors = np.array([np.mean(y == c) for c in names]) if priors is None else priors
    means = np.array([X[y == c].mean(axis=0) for c in names])
    away = X - means[np.searchsorted(names, y)]
    between = means - priors @ means
    return means, away.T @ away / len(X), (between.T * priors) @ between, priors


def posteriors(new, means, S_w, priors):
    """Bayes' rule for Gaussians with the covariance S_w, as it is written."""
    inverse = np.linalg.inv(S_w)
    density = [
        p * np.exp(-0.5 * np.einsum("nd,nd->n", (new - m) @ inverse, new - m))
        for m, p in zip(means, priors, strict=True)
    ]
    return np.transpose(density) / np.sum(density, axis=0)[:, None]


def ratio(w, S_w, S_b):
    return float((w @ S_b @ w) / (w @ S_w @ w))


# The parts


def test_means_of_the_classes():
    X, indices = np.array([[1.0, 2.0], [5.0, 6.0], [3.0, 4.0]]), np.array([1, 0, 1])
    with expect.unchanged(X, indices):
        means = class_means(X, indices, 2)
    expect.close(means, np.array([[5.0, 6.0], [2.0, 3.0]]), "means of the classes 0 and 1")
    single = class_means(X.astype(np.float32), indices, 2)
    expect.close(single, np.array([[5.0, 6.0], [2.0, 3.0]]), "means in float32", dtype=np.float32)


@pytest.mark.parametrize(("n", "d"), [(30, 4), (6, 5), (10, 1), (4, 9)])
def test_whitening_makes_the_scatter_the_identity(n, d):
    rng = np.random.default_rng(0)
    residuals = rng.standard_normal((n, d)) * np.geomspace(1e-6, 1e3, d)
    residuals -= residuals.mean(axis=0)
    with expect.unchanged(residuals):
        W = within_whitening(residuals, 1e-4)
    rank = min(n - 1, d)
    expect.equal(W.shape, (d, rank), f"shape of W for residuals {residuals.shape}")
    expect.close(W.T @ (residuals.T @ residuals / n) @ W, np.eye(rank), "W^T S_w W", atol=1e-9)


def test_directions_without_scatter_are_left_out():
    a, b = np.array([1.0, -1.0, 1.0, -1.0]), np.array([1.0, 1.0, -1.0, -1.0])
    doubled = np.c_[a, b, a, np.zeros(4)]
    with expect.quiet("whitening with a constant feature"):
        W = within_whitening(doubled, 1e-4)
    expect.equal(W.shape, (4, 2), "shape of W for 4 features of rank 2")
    expect.close(
        W @ W.T, np.diag([0, 1, 0, 0]) + np.outer([1, 0, 1, 0], [1, 0, 1, 0]) / 4, "W W^T", atol=1e-9
    )
    for spread, tol, rank in ((1e-3, 1e-4, 2), (1e-3, 1e-2, 1), (1e-9, 1e-4, 1), (1e-9, 0.0, 2), (0, 0.0, 1)):
        found = within_whitening(np.c_[a, a + spread * b], tol).shape[1]
        expect.equal(found, rank, f"rank of a and a + {spread:g} b with tol {tol:g}")
    dependent = np.random.default_rng(0).standard_normal((30, 2)) @ [[1.0, 0.3, 2.0], [0.5, -1.0, 0.1]]
    expect.equal(within_whitening(dependent, 0.0).shape, (3, 2), "shape of W for rank 2 and tol 0")
    for noise, rank in ((0.0, 2), (0.1, 1), (np.array([0.1, 2e-8]), 1), (np.array([0.1, 5e-9]), 2)):
        found = within_whitening(np.c_[a, 1e-8 * b], 1e-4, noise)
        expect.equal(found.shape[1], rank, f"rank of deviations 1 and 1e-8 with noise {noise}")
        expect.close(found[0] @ found[0], 1.0, "square of the row of a in W", rtol=1e-9)
    expect.equal(within_whitening(np.zeros((4, 2)), 1e-4).shape, (2, 0), "shape of W for zeros")


def test_discriminants_are_principal_components_of_the_means():
    priors = np.array([0.5, 0.25, 0.25])
    means = np.array([[-1.0, 0.0, 0.0], [1.0, 2.0, 0.0], [1.0, -2.0, 0.0]])  # weighted mean 0
    directions, values = discriminants(means, priors, np.eye(3), 1e-4)
    expect.close(values, np.array([2.0, 1.0]), "lambdas of diag(1, 2, 0)")
    expect.close(directions, np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]), "directions", atol=1e-12)
    W = np.diag([2.0, 1.0, 1.0])
    directions, values = discriminants(means, priors, W, 1e-4)
    expect.close(values, np.array([4.0, 2.0]), "lambdas if S_w is 1/4 along the first feature")
    expect.close(directions, np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), "directions", atol=1e-12)
    for tol, k in ((0.6, 2), (0.8, 1)):
        found = discriminants(means, priors, np.eye(3), tol)[1]
        expect.equal(len(found), k, f"lambdas 2 and 1 with tol {tol}, of square roots")
    none, values = discriminants(np.zeros((3, 2)), priors, np.eye(2), 1e-4)
    expect.equal((none.shape, values.shape), ((2, 0), (0,)), "directions between equal means")


def test_as_many_discriminants_as_classes_less_one():
    X, y = classes(3, 5)
    means, S_w, S_b, priors = scatters(X, y)
    W = np.linalg.inv(np.linalg.cholesky(S_w)).T
    for tol in (1e-4, 0.0):
        directions, values = discriminants(means - priors @ means, priors, W, tol)
        expect.equal(directions.shape, (5, 2), f"shape of the directions of 3 classes with tol {tol}")
        expect.close(
            float(values.sum()), float(np.trace(np.linalg.solve(S_w, S_b))), "sum of lambda", rtol=1e-8
        )


def test_scores_of_classes():
    Z, images = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    priors = np.array([0.5, 0.25, 0.25])
    want = np.array([[1 - 0.5, 11 - 12.5, 0.0], [-0.5, -12.5, 0.0]]) + np.log(priors)
    with expect.unchanged(Z, images, priors):
        scores = scores_of_classes(Z, images, priors)
    expect.close(scores, want, "log prior - |image|^2 / 2 + z . image")


# The estimator, by its definition


def test_two_squares():
    lda = LinearDiscriminantAnalysis()
    expect.true(lda.fit(X2, Y2) is lda, "fit should return the estimator, so that fit(X, y).predict works")
    expect.close(lda.means_, np.array([[0.0, 0.0], [4.0, 4.0]]), "means_", atol=1e-12)
    expect.close(lda.xbar_, np.array([2.0, 2.0]), "xbar_")
    expect.close(lda.priors_, np.array([0.5, 0.5]), "priors_")
    expect.close(lda.scalings_, np.full((2, 1), math.sqrt(0.5)), "scalings_, of length 1 in S_w = I")
    expect.close(lda.explained_variance_ratio_, np.array([1.0]), "explained_variance_ratio_")
    expect.close(lda.coef_, np.array([[4.0, 4.0]]), "coef_, S_w^-1 (mean_1 - mean_0)")
    expect.close(lda.intercept_, np.array([-16.0]), "intercept_")
    expect.close(lda.transform([[4.0, 4.0]]), np.array([[math.sqrt(8)]]), "image of (4, 4)")
    expect.close(lda.decision_function([[2.0, 2.25]]), np.array([1.0]), "log odds at (2, 2.25)", rtol=1e-9)
    half = 1 / (1 + math.e)
    proba = lda.predict_proba([[2.0, 2.25]])
    expect.close(proba, np.array([[half, 1 - half]]), "probabilities at (2, 2.25)", rtol=1e-9)
    expect.equal(lda.predict([[1.0, 2.0], [3.0, 2.0]]), np.array([0, 1]), "predictions")
    expect.close(lda.score(X2, Y2), 1.0, "score")
    expect.equal((lda.n_features_in_, lda.classes_.tolist()), (2, [0, 1]), "n_features_in_ and classes_")


@pytest.mark.parametrize("priors", [None, [0.5, 0.2, 0.3]], ids=["shares", "given"])
@pytest.mark.parametrize(("v", "d"), [(3, 4), (3, 2), (3, 1), (3, 6)])
def test_scalings_solve_the_generalised_eigenproblem(v, d, priors):
    X, y = classes(v, d)
    with expect.unchanged(X, y):
        lda = LinearDiscriminantAnalysis(priors=priors).fit(X, y)
    means, S_w, S_b, shares = scatters(X, y, None if priors is None else np.array(priors))
    W, k = lda.scalings_, min(v - 1, d)
    expect.equal(W.shape, (d, k), f"shape of scalings_ for {v} classes in {d} dimensions")
    expect.close(lda.priors_, shares, "priors_")
    expect.close(lda.means_, means, "means_", rtol=1e-10)
    expect.close(lda.xbar_, shares @ means, "xbar_", rtol=1e-9)
    expect.close(W.T @ S_w @ W, np.eye(k), "W^T S_w W", atol=1e-9)
    lambdas = np.diag(W.T @ S_b @ W)
    expect.close(S_b @ W, S_w @ W * lambdas, "S_b W against S_w W lambda", rtol=1e-8)
    expect.true(np.all(np.diff(lambdas) <= 0), f"lambdas, largest first, are {lambdas}")
    expect.close(lda.explained_variance_ratio_, lambdas / lambdas.sum(), "shares of lambda", rtol=1e-8)
    largest = W[np.abs(W).argmax(axis=0), np.arange(k)]
    expect.true(np.all(largest > 0), f"entries of largest magnitude are positive; yours {largest}")
    new = X[:5] + 0.5
    expect.close(lda.transform(new), (new - shares @ means) @ W, "coordinates of new rows", rtol=1e-8)


@given(seed=strategies.seeds())
def test_no_direction_separates_better(seed):
    rng = np.random.default_rng(seed)
    X, y = classes(int(rng.integers(2, 5)), int(rng.integers(1, 5)), 30, seed)
    W = LinearDiscriminantAnalysis().fit(X, y).scalings_
    _, S_w, S_b, _ = scatters(X, y)
    best = ratio(W[:, 0], S_w, S_b)
    expect.close(best, float(np.linalg.eigvals(np.linalg.solve(S_w, S_b)).real.max()), "J(w)", rtol=1e-7)
    for w in (rng.standard_normal(len(W)), W[:, 0] + 0.1 * rng.standard_normal(len(W))):
        other = ratio(w, S_w, S_b)
        expect.true(
            other <= best * (1 + 1e-9), f"J of another direction is {other:.6g}, of the first {best:.6g}"
        )


@pytest.mark.parametrize("priors", [None, [0.6, 0.1, 0.3]], ids=["shares", "given"])
def test_probabilities_are_those_of_gaussians_of_one_shape(priors):
    X, y = classes(3, 4, apart=1.0)
    new = X[:20] * 0.7
    lda = LinearDiscriminantAnalysis(priors=priors).fit(X, y)
    means, S_w, _, shares = scatters(X, y, None if priors is None else np.array(priors))
    want = posteriors(new, means, S_w, shares)
    expect.close(lda.predict_proba(new), want, "probabilities", rtol=1e-8)
    scores = lda.decision_function(new)
    expect.equal(scores.shape, (20, 3), "shape of decision_function for 3 classes")
    expect.close(np.log(want[:, 1:] / want[:, :1]), scores[:, 1:] - scores[:, :1], "log odds", rtol=1e-8)
    expect.close(new @ lda.coef_.T + lda.intercept_, scores, "x . coef_ + intercept_", rtol=1e-8)
    slopes = np.linalg.solve(S_w, (means - shares @ means).T).T
    expect.close(lda.coef_, slopes, "coef_, S_w^-1 (mean_c - xbar)", rtol=1e-8)
    expect.equal(lda.predict(new), want.argmax(axis=1), "predictions")


@pytest.mark.parametrize("priors", [None, [0.9, 0.1]], ids=["shares", "given"])
def test_two_gaussians_in_closed_form(priors):
    X, y = classes(2, 3)
    lda = LinearDiscriminantAnalysis(priors=priors).fit(X, y)
    (m0, m1), S_w, _, shares = scatters(X, y, None if priors is None else np.array(priors))
    w = np.linalg.solve(S_w, m1 - m0)
    b = float(np.log(shares[1] / shares[0]) - w @ (m0 + m1) / 2)
    expect.close(lda.coef_, w[None], "coef_", rtol=1e-8)
    expect.close(lda.intercept_, np.array([b]), "intercept_", rtol=1e-8)
    odds = lda.decision_function(X)
    expect.close(odds, X @ w + b, "log odds, one a row", rtol=1e-8)
    expect.close(lda.predict_proba(X)[:, 1], 1 / (1 + np.exp(-odds)), "probability of class 1", rtol=1e-8)


def test_two_classes_are_least_squares():
    """With targets -1 and 1 (or any two), least squares has the same direction."""
    X, y = classes(2, 4, n=25)
    spread = X - X.mean(axis=0)
    slope = np.linalg.lstsq(spread, np.where(y == 1, 1.0, -1.0), rcond=None)[0]
    coef = LinearDiscriminantAnalysis().fit(X, y).coef_[0]
    unit = coef / np.linalg.norm(coef)
    expect.close(unit, slope / np.linalg.norm(slope), "direction of coef_", rtol=1e-8)


@given(seed=strategies.seeds())
def test_units_and_axes_do_not_matter(seed):
    """x -> A x + b moves no probability and no coordinate, up to signs."""
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    X, y = classes(3, d, 40, seed)
    A = np.linalg.qr(rng.standard_normal((d, d)))[0] * rng.uniform(0.5, 2.0, d) * 10.0 ** rng.integers(-3, 4)
    moved = X @ A + rng.standard_normal(d)
    plain, other = LinearDiscriminantAnalysis().fit(X, y), LinearDiscriminantAnalysis().fit(moved, y)
    expect.close(other.predict_proba(moved), plain.predict_proba(X), "probabilities", rtol=1e-6, atol=1e-9)
    expect.close(other.explained_variance_ratio_, plain.explained_variance_ratio_, "shares", rtol=1e-7)
    Z, wanted = other.transform(moved), plain.transform(X)
    signs = np.where((Z * wanted).sum(axis=0) < 0, -1.0, 1.0)
    expect.close(Z * signs, wanted, "coordinates", rtol=1e-6, atol=1e-6)
    _, S_w, _, _ = scatters(Z, y)
    expect.close(S_w, np.eye(Z.shape[1]), "scatter within the classes of the coordinates", atol=1e-7)


def test_fewer_components_for_the_map_only():
    X, y = classes(4, 5)
    full, one = LinearDiscriminantAnalysis().fit(X, y), LinearDiscriminantAnalysis(n_components=1).fit(X, y)
    Z = full.transform(X)
    expect.equal(Z.shape, (60, 3), "shape of the map of 4 classes")
    expect.close(one.transform(X), Z[:, :1], "map to one component", rtol=1e-9)
    expect.close(one.explained_variance_ratio_, full.explained_variance_ratio_[:1], "its share", rtol=1e-9)
    expect.close(one.predict_proba(X), full.predict_proba(X), "probabilities", rtol=1e-9)
    expect.close(LinearDiscriminantAnalysis().fit_transform(X, y), Z, "fit_transform", rtol=1e-9)


# Where S_w is singular


def test_repeated_and_constant_features_change_nothing():
    X, y = classes(3, 3)
    plain = LinearDiscriminantAnalysis().fit(X, y)
    more = np.c_[X, X[:, 0], np.full(60, 0.1), X[:, 1] - X[:, 2]]
    with expect.quiet("fit with features that depend on each other"):
        singular = LinearDiscriminantAnalysis().fit(more, y)
    expect.close(singular.predict_proba(more), plain.predict_proba(X), "probabilities", rtol=1e-7)
    Z, wanted = singular.transform(more), plain.transform(X)
    signs = np.where((Z * wanted).sum(axis=0) < 0, -1.0, 1.0)
    expect.close(Z * signs, wanted, "coordinates", rtol=1e-7, atol=1e-9)
    expect.close(singular.coef_[:, 4], np.zeros(3), "coef_ of a constant feature", atol=1e-12)
    for level in (0.1, 0.7, 1e6 / 3):  # the rounding errors of its class means are all that varies
        for shift in (-2, 1):
            apart = np.c_[X, level * (y + shift)]
            found = LinearDiscriminantAnalysis().fit(apart, y)
            what = f"coef_ with a feature that is {level:g} times the class, constant within each"
            expect.close(found.coef_, np.c_[plain.coef_, np.zeros(3)], what, rtol=1e-7)
    for constant in (1e6, 1 / 3):
        far = LinearDiscriminantAnalysis().fit(np.c_[X, np.full(60, constant)], y)
        expect.close(
            far.coef_, np.c_[plain.coef_, np.zeros(3)], f"coef_ with a constant {constant}", rtol=1e-7
        )


def test_more_features_than_samples():
    X, y = classes(3, 30, n=12, apart=5.0)
    lda = LinearDiscriminantAnalysis().fit(X, y)
    expect.equal(lda.scalings_.shape, (30, 2), "shape of scalings_")
    Z = lda.transform(X)
    _, S_w, S_b, _ = scatters(Z, y)
    expect.close(S_w, np.eye(2), "scatter within the classes", atol=1e-8)
    expect.close(S_b, np.diag(np.diag(S_b)), "scatter between the classes is diagonal", rtol=1e-8)


def test_equal_means_leave_the_priors():
    X = np.concatenate([SQUARE, 2 * SQUARE, SQUARE])
    y = np.repeat(["a", "b"], [8, 4])
    lda = LinearDiscriminantAnalysis().fit(X, y)
    expect.close(lda.predict_proba([[5.0, 7.0]]), np.array([[2 / 3, 1 / 3]]), "probabilities", rtol=1e-9)
    expect.close(lda.coef_, np.zeros((1, 2)), "coef_", atol=1e-9)
    expect.equal(lda.predict([[5.0, 7.0]]).tolist(), ["a"], "prediction")


def test_data_far_from_zero():
    X, y = classes(3, 3)
    near, far = LinearDiscriminantAnalysis().fit(X, y), LinearDiscriminantAnalysis().fit(X + 1e6, y)
    expect.close(far.predict_proba(X + 1e6), near.predict_proba(X), "around 1e6", rtol=1e-5, atol=1e-6)
    expect.close(far.coef_, near.coef_, "coef_ around 1e6", rtol=1e-6)
    single = LinearDiscriminantAnalysis().fit((X + 1e3).astype(np.float32), y)
    proba = single.predict_proba((X + 1e3).astype(np.float32))
    expect.close(proba, near.predict_proba(X), "float32 around 1e3", rtol=0, atol=0.02)


# dtype, names, errors


def test_a_sample_far_away_does_not_overflow():
    lda = LinearDiscriminantAnalysis().fit(X2, Y2)
    with expect.quiet("predict_proba far away"):
        proba = lda.predict_proba([[1e4, 1e4], [-1e4, -1e4]])
    expect.close(proba, np.array([[0.0, 1.0], [1.0, 0.0]]), "probabilities far away", atol=1e-12)


def test_names_of_classes_and_dtypes():
    X, y = classes(3, 4)
    names = np.array(["pear", "apple", "fig"])[y]
    plain, named = LinearDiscriminantAnalysis().fit(X, y), LinearDiscriminantAnalysis().fit(X, names)
    expect.equal(named.classes_.tolist(), ["apple", "fig", "pear"], "classes_, sorted")
    proba = named.predict_proba(X)
    expect.close(proba, plain.predict_proba(X)[:, [1, 2, 0]], "columns by classes_", rtol=1e-7)
    expect.equal(named.predict(X).tolist(), named.classes_[proba.argmax(axis=1)].tolist(), "predicted names")
    lists = LinearDiscriminantAnalysis().fit(X.tolist(), names.tolist())
    expect.close(lists.predict_proba(X.tolist()), proba, "probabilities from lists", rtol=1e-7)
    single = LinearDiscriminantAnalysis(priors=[0.25, 0.5, 0.25]).fit(X.astype(np.float32), y)
    double = LinearDiscriminantAnalysis(priors=[0.25, 0.5, 0.25]).fit(X, y)
    for name in ("coef_", "scalings_", "means_", "intercept_"):
        want = getattr(double, name)
        expect.close(
            getattr(single, name), want, f"{name} in float32", dtype=np.float32, rtol=1e-3, atol=1e-3
        )
    for ask in ("transform", "predict_proba", "decision_function"):
        got, want = getattr(single, ask)(X.astype(np.float32)), getattr(double, ask)(X)
        expect.close(got, want, f"{ask} in float32", dtype=np.float32, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_used_is_refused():
    X, y = classes(3, 4)
    for settings, named in (
        ({"n_components": 3}, ("n_components", "2", "3")),
        ({"n_components": 0}, ("n_components", "0")),
        ({"n_components": 1.0}, ("n_components", "1.0")),
        ({"tol": -0.5}, ("tol", "-0.5")),
        ({"tol": 1.0}, ("tol", "1.0")),
    ):
        with expect.raises(InvalidParameterError, "LinearDiscriminantAnalysis", *named):
            LinearDiscriminantAnalysis(**settings).fit(X, y)
    with expect.raises(InvalidParameterError, "n_components", "1", "2"):
        LinearDiscriminantAnalysis(n_components=2).fit(X[:, :1], y)
    for priors, named in (
        ([0.5, 0.5], ("(2,)", "(3,)")),
        ([0.5, 0.75, -0.25], ("-0.25",)),
        ([0.5, 0.5, 0.0], ("0.0",)),
        ([0.5, 0.5, 0.5], ("1.5",)),
        ([0.5, 0.5, float("nan")], ("nan",)),
    ):
        with expect.raises(ValueError, "priors", *named):
            LinearDiscriminantAnalysis(priors=priors).fit(X, y)
    with expect.raises(ValueError, "nan", "1", "0"):
        LinearDiscriminantAnalysis().fit([[1.0], [float("nan")]], [0, 1])
    with expect.raises(ValueError, "2", "1", "LinearDiscriminantAnalysis"):
        LinearDiscriminantAnalysis().fit(X, np.zeros(60, int))
    with expect.raises(ValueError, "y"):
        LinearDiscriminantAnalysis().fit(X)
    lda = LinearDiscriminantAnalysis().fit(X, y)
    for ask in (lda.transform, lda.predict, lda.predict_proba, lda.decision_function):
        with expect.raises(ValueError, "3", "4", "LinearDiscriminantAnalysis"):
            ask(np.ones((1, 3)))


def test_classes_that_do_not_vary_are_refused():
    lda = LinearDiscriminantAnalysis()
    with expect.raises(ValueError, "3"):
        lda.fit(np.eye(3), [0, 1, 2])
    with expect.raises(ValueError, "6", "2"):
        lda.fit(np.repeat([[0.1, 1 / 3], [0.2, 0.3]], 3, axis=0), [0, 0, 0, 1, 1, 1])
    for ask in (lda.transform, lda.predict_proba, lda.decision_function):
        with expect.raises(NotFittedError, "LinearDiscriminantAnalysis"):
            ask(np.eye(3))
