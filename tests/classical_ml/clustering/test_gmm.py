"""Gaussian mixtures: both steps of EM against their definitions, a likelihood that never falls."""

from math import log, pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classical_ml.clustering.gmm import (
    GaussianMixture,
    Mixture,
    e_step,
    log_joint,
    m_step,
    parameter_count,
    precisions_cholesky,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect, statistics, strategies

TYPES = ("full", "tied", "diag", "spherical")


def dense(covariances, covariance_type, n_components, d):
    """Every component's covariance as a matrix: (K, D, D)."""
    spread = {
        "full": lambda k: covariances[k],
        "tied": lambda k: covariances,
        "diag": lambda k: np.diag(covariances[k]),
        "spherical": lambda k: covariances[k] * np.eye(d),
    }[covariance_type]
    return np.array([spread(k) for k in range(n_components)])


def joint_by_hand(X, weights, means, sigmas):
    """log pi_k + log N(x_n | mu_k, Sigma_k) from the determinant and the inverse."""
    columns = []
    for weight, mean, sigma in zip(weights, means, sigmas, strict=True):
        difference = X - mean
        squares = (difference @ np.linalg.inv(sigma) * difference).sum(axis=1)
        columns.append(log(weight) - 0.5 * (squares + len(mean) * log(2 * pi) + np.linalg.slogdet(sigma)[1]))
    return np.array(columns).T


def maximum_by_hand(X, responsibilities, covariance_type, reg_covar):
    """Weights, means and dense covariances of the M-step, a sample at a time."""
    (n, d), n_components = X.shape, responsibilities.shape[1]
    counts = responsibilities.sum(axis=0)
    means = responsibilities.T @ X / counts[:, None]
    scatters = np.zeros((n_components, d, d))
    for k in range(n_components):
        for i in range(n):
            scatters[k] += responsibilities[i, k] * np.outer(X[i] - means[k], X[i] - means[k]) / counts[k]
    if covariance_type == "tied":
        scatters = np.repeat((counts[:, None, None] / n * scatters).sum(axis=0)[None], n_components, axis=0)
    elif covariance_type == "diag":
        scatters = np.array([np.diag(np.diag(s)) for s in scatters])
    elif covariance_type == "spherical":
        scatters = np.array([np.trace(s) / d * np.eye(d) for s in scatters])
    return counts / n, means, scatters + reg_covar * np.eye(d)


def problem(seed, n=40, d=2, n_components=3):
    """Overlapping clouds, and responsibilities to start from."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % n_components
    X = 2 * generator.standard_normal((n_components, d))[labels]
    X = X + generator.standard_normal((n, d)) @ generator.standard_normal((d, d))
    start = generator.random((n, n_components)) + 3 * np.eye(n_components)[labels]
    return X, start / start.sum(axis=1, keepdims=True)


def some_mixture(covariance_type, generator, n_components=3, d=2):
    """A mixture with random parameters; its factors are computed by inverting."""
    A = generator.standard_normal((n_components, d, d))
    full = A @ A.transpose(0, 2, 1) + 0.5 * np.eye(d)
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": np.diagonal(full, axis1=1, axis2=2).copy(),
        "spherical": full[:, 0, 0].copy(),
    }[covariance_type]
    weights = generator.dirichlet(np.full(n_components, 5.0))
    means = 2 * generator.standard_normal((n_components, d))
    if covariance_type in ("full", "tied"):
        factors = np.linalg.inv(np.linalg.cholesky(covariances)).swapaxes(-1, -2).copy()
    else:
        factors = 1 / np.sqrt(covariances)
    return Mixture(weights, means, covariances, factors, covariance_type)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind", TYPES)
def test_factors_of_the_inverse(rng, kind):
    covariances = some_mixture(kind, rng, d=3).covariances
    with expect.unchanged(covariances):
        U = precisions_cholesky(covariances, kind)
    if kind in ("full", "tied"):
        expect.close(
            U @ U.swapaxes(-1, -2) @ covariances, np.eye(3) + 0 * covariances, "U U^T Sigma", rtol=1e-9
        )
        expect.close(np.tril(U, -1), 0 * covariances, "U below its diagonal", atol=1e-12)
        diagonal = np.diagonal(U, axis1=-2, axis2=-1)
        expect.true(
            diagonal.min() > 0, f"the diagonal of U should be positive, its least entry is {diagonal.min()}"
        )
    else:
        expect.close(U, 1 / np.sqrt(covariances), "1 / sqrt(variance)")


SINGULAR = [
    ("full", [np.eye(2), [[1.0, 1.0], [1.0, 1.0]]], "1"),
    ("full", [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]], "1"),
    ("full", [np.eye(2), [[1.0, 1.0], [1.0, 1.0 + 2**-52]]], "1"),
    ("full", [[[1e-8, 0.0], [0.0, 0.0]], np.eye(2)], "0"),
    ("tied", [[1.0, -1.0], [-1.0, 1.0]], "0"),
    ("diag", [[1.0, 1.0], [1.0, 0.0]], "1"),
    ("spherical", [1.0, 2.0, 0.0], "2"),
]


@pytest.mark.parametrize(
    ("kind", "covariances", "component"), SINGULAR, ids=[f"{k} {n}" for k, _, n in SINGULAR]
)
def test_singular_covariances_are_named(kind, covariances, component):
    with expect.raises(ValueError, component, "reg_covar"):
        precisions_cholesky(np.array(covariances), kind)


def test_an_unknown_type_is_named(rng):
    X, responsibilities = problem(0)
    with expect.raises(ValueError, "round"):
        precisions_cholesky(np.ones((2, 2)), "round")
    with expect.raises(ValueError, "round"):
        m_step(X, responsibilities, "round")


def test_tiny_and_huge_scales_are_not_singular():
    sigma = np.array([[[1e-20, 0.0], [0.0, 1e20]]])
    U = precisions_cholesky(sigma, "full")
    expect.close(U, np.array([[[1e10, 0.0], [0.0, 1e-10]]]), "U of diag(1e-20, 1e20)", rtol=1e-9, atol=0)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("n", "d"), [(5, 2), (3000, 20), (1, 1)])
def test_log_joint_by_definition(rng, kind, n, d):
    mixture, X = some_mixture(kind, rng, d=d), 3 * rng.standard_normal((n, d))
    sigmas = dense(mixture.covariances, kind, 3, d)
    want = joint_by_hand(X, mixture.weights, mixture.means, sigmas)
    with expect.unchanged(X):
        got = log_joint(X, mixture)
    expect.close(got, want, f"log(pi_k N(x | mu_k, Sigma_k)), {kind}, X ({n}, {d})", rtol=1e-8)


@pytest.mark.parametrize("kind", TYPES)
def test_e_step_by_definition(rng, kind):
    mixture, X = some_mixture(kind, rng), 3 * rng.standard_normal((6, 2))
    bound, responsibilities = e_step(X, mixture)
    p = np.exp(joint_by_hand(X, mixture.weights, mixture.means, dense(mixture.covariances, kind, 3, 2)))
    expect.close(responsibilities, p / p.sum(axis=1, keepdims=True), f"responsibilities, {kind}", rtol=1e-9)
    expect.close(bound, float(np.log(p.sum(axis=1)).mean()), f"mean log-likelihood, {kind}", rtol=1e-9)


def test_e_step_where_every_density_underflows():
    X = np.array([[1e3], [-1e4], [0.5]])
    mixture = Mixture(np.array([0.5, 0.5]), np.array([[0.0], [1.0]]), np.ones(2), np.ones(2), "spherical")
    with expect.quiet("an E-step far from every component"):
        bound, responsibilities = e_step(X, mixture)
    expect.close(responsibilities, np.array([[0.0, 1], [1, 0], [0.5, 0.5]]), "responsibilities", rtol=1e-9)
    want = np.mean([-(999.0**2), -(1e4**2), -0.25 + 2 * log(2)]) / 2 - log(2) + log(2 * pi) * -0.5
    expect.close(bound, float(want), "mean log-likelihood", rtol=1e-9)


def test_a_component_of_weight_zero_takes_nothing():
    mixture = Mixture(np.array([0.0, 1.0]), np.array([[0.0], [5.0]]), np.ones(2), np.ones(2), "spherical")
    with expect.quiet("a weight of 0"):
        bound, responsibilities = e_step(np.zeros((1, 1)), mixture)
    expect.close(responsibilities, np.array([[0.0, 1.0]]), "responsibilities with the weights 0 and 1")
    expect.close(bound, -0.5 * (25 + log(2 * pi)), "log-likelihood", rtol=1e-9)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("reg_covar", [0.0, 0.3])
def test_m_step_by_definition(kind, reg_covar):
    X, responsibilities = problem(1, n=30, d=3)
    with expect.unchanged(X, responsibilities):
        mixture = m_step(X, responsibilities, kind, reg_covar)
    weights, means, sigmas = maximum_by_hand(X, responsibilities, kind, reg_covar)
    expect.close(mixture.weights, weights, f"weights, {kind}", rtol=1e-9)
    expect.close(mixture.means, means, f"means, {kind}", rtol=1e-9)
    got = dense(mixture.covariances, kind, 3, 3)
    expect.close(got, sigmas, f"covariances, {kind}, reg_covar {reg_covar}", rtol=1e-9)
    expect.equal(mixture.covariance_type, kind, "covariance_type")
    factors = precisions_cholesky(mixture.covariances, kind)
    expect.close(mixture.precisions_cholesky, factors, "precisions_cholesky", rtol=1e-9)


def test_m_step_of_more_rows_than_a_block(rng):
    X, responsibilities = problem(2, n=9000, d=16)
    mixture = m_step(X, responsibilities, "full", 0.0)
    counts = responsibilities.sum(axis=0)
    means = responsibilities.T @ X / counts[:, None]
    expect.close(mixture.means, means, "means of 9000 rows", rtol=1e-9)
    first = (responsibilities[:, :1] * (X - means[0])).T @ (X - means[0]) / counts[0]
    expect.close(mixture.covariances[0], first, "covariance of component 0", rtol=1e-9)


def test_the_defaults_of_the_m_step():
    X, responsibilities = problem(3)
    _, _, sigmas = maximum_by_hand(X, responsibilities, "full", 1e-6)
    got = m_step(X, responsibilities).covariances
    expect.close(got, sigmas, "covariances by default: full, reg_covar 1e-6", rtol=1e-9)


def test_a_component_without_samples(rng):
    X = rng.standard_normal((20, 2)) + 7
    responsibilities = np.zeros((20, 2))
    responsibilities[:, 0] = 1.0
    with expect.quiet("an M-step with a component that no sample belongs to"):
        mixture = m_step(X, responsibilities)
    means = np.array([X.mean(axis=0), X.mean(axis=0)])
    expect.close(mixture.means, means, "means, of which the second has no samples", rtol=1e-9)
    expect.close(mixture.weights, np.array([1.0, 0.0]), "weights", atol=1e-12)


@pytest.mark.parametrize("kind", TYPES)
def test_a_variance_of_rounding_errors_needs_reg_covar(kind):
    """1 and the next number after it: a variance of (eps / 2)^2, which a Cholesky factor takes for real."""
    X, all_of_it = np.array([[1.0], [1.0 + 2**-52]] * 4), np.ones((8, 1))
    with expect.raises(ValueError, "0", "reg_covar"):
        m_step(X, all_of_it, kind, 0.0)
    single = np.ones((8, 1), np.float32)  # here (4 eps max |x|)^2 = 2.3e-13 is above reg_covar
    variance = m_step(single, all_of_it.astype(np.float32), kind, 2e-13).covariances.reshape(1)
    expect.close(variance, np.array([2e-13]), "variance of a constant with reg_covar 2e-13", rtol=0.3)


@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
def test_a_small_feature_beside_a_large_one_is_no_rounding_error(kind):
    """Each variance is compared with the noise of its own feature: 1e-22 is nothing beside 1e6, but real."""
    X, responsibilities = problem(19)
    units = np.array([1e6, 1e-11])
    mixture = m_step(X * units, responsibilities, kind, 0.0)
    sigmas = maximum_by_hand(X, responsibilities, kind, 0.0)[2]
    got = dense(mixture.covariances, kind, 3, 2) / np.outer(units, units)
    expect.close(got, sigmas, f"covariances ({kind}) in units of 1e6 and 1e-11, in units of 1", rtol=1e-8)
    got = dense(m_step(1 + 1e-10 * X, responsibilities, kind, 0.0).covariances, kind, 3, 2) * 1e20
    expect.close(got, sigmas, f"covariances ({kind}) of 1 + 1e-10 X, times 1e20", rtol=1e-4)


def test_an_m_step_is_in_the_dtype_of_the_data():
    X, responsibilities = problem(3)
    for kind in TYPES:
        mixture = m_step(X.astype(np.float32), responsibilities, kind)
        want = m_step(X, responsibilities, kind)
        for name in ("weights", "means", "covariances", "precisions_cholesky"):
            what = f"{name} ({kind}) of float32 data with float64 responsibilities"
            expect.close(getattr(mixture, name), getattr(want, name), what, dtype=np.float32, rtol=1e-3)


@given(strategies.seeds(), st.sampled_from(TYPES), st.integers(1, 3))
def test_the_likelihood_never_falls(seed, kind, d):
    X, responsibilities = problem(seed, d=d)
    mixture, history = m_step(X, responsibilities, kind, 0.0), []
    for _ in range(10):
        sigmas = dense(mixture.covariances, kind, 3, d)
        joint = joint_by_hand(X, mixture.weights, mixture.means, sigmas)
        history.append(float(np.logaddexp.reduce(joint, axis=1).mean()))
        bound, responsibilities = e_step(X, mixture)
        expect.close(
            bound, history[-1], "mean log-likelihood by the E-step, against its definition", rtol=1e-8
        )
        mixture = m_step(X, responsibilities, kind, 0.0)
    falls = -np.diff(history)
    expect.true(
        falls.max() <= 1e-10,
        f"the log-likelihood must not fall ({kind}): by {falls.max():.3g} in iteration {falls.argmax() + 1}, "
        f"expected at most rounding",
    )


@given(strategies.seeds(), st.sampled_from(TYPES), st.sampled_from([1e-3, 0.1, 2.0]))
def test_what_reg_covar_may_cost(seed, kind, r):
    """An iteration lowers the mean log-likelihood by no more than the bound at the top of the solution."""
    X, responsibilities = problem(seed)
    mixture = m_step(X, responsibilities, kind, r)
    before = e_step(X, mixture)[0]
    for _ in range(6):
        mixture = m_step(X, e_step(X, mixture)[1], kind, r)
        s = np.linalg.eigvalsh(dense(mixture.covariances, kind, 3, 2)) - r  # (K, D)
        allowed = 0.5 * float(mixture.weights @ (np.log1p(r / s) - r / (s + r)).sum(axis=1))
        after = e_step(X, mixture)[0]
        expect.true(
            after >= before - allowed - 1e-10,
            f"with reg_covar {r} ({kind}) the mean log-likelihood fell by {before - after:.4g}, "
            f"expected at most {allowed:.4g}",
        )
        before = after
    want = joint_by_hand(X, mixture.weights, mixture.means, dense(mixture.covariances, kind, 3, 2))
    expect.close(after, float(np.logaddexp.reduce(want, axis=1).mean()), "mean log-likelihood", rtol=1e-8)


@pytest.mark.parametrize("kind", TYPES)
def test_an_m_step_keeps_the_moments_of_the_data(kind):
    """The mixture's mean is the data's; its variance too: all of it, its diagonal, or its trace."""
    X, responsibilities = problem(4)
    mixture = m_step(X, responsibilities, kind, 0.0)
    expect.close(mixture.weights @ mixture.means, X.mean(axis=0), "mean of the mixture", rtol=1e-9)
    away = mixture.means - X.mean(axis=0)
    within = dense(mixture.covariances, kind, 3, 2)
    spread = np.einsum("k,kij->ij", mixture.weights, within + away[:, :, None] * away[:, None])
    want = np.cov(X.T, bias=True)
    if kind == "diag":
        spread, want = np.diagonal(spread), np.diagonal(want)
    elif kind == "spherical":
        spread, want = np.trace(spread), float(np.trace(want))
    expect.close(spread, want, f"(co)variance of the mixture, {kind}", rtol=1e-9)


@pytest.mark.parametrize("kind", TYPES)
def test_fit_is_em_from_the_given_responsibilities(kind):
    X, start = problem(5)
    for tol, max_iter in ((1e-3, 100), (1e-2, 100), (0.0, 4)):
        model = GaussianMixture(3, covariance_type=kind, tol=tol, max_iter=max_iter, init_params=start)
        with expect.unchanged(X, start):
            same = model.fit(X)
        expect.true(same is model, "fit should return the estimator")
        mixture, bounds, converged = m_step(X, start, kind), [], False
        while len(bounds) < max_iter and not converged:
            bound, responsibilities = e_step(X, mixture)
            mixture = m_step(X, responsibilities, kind)
            converged = bool(bounds) and abs(bound - bounds[-1]) < tol
            bounds.append(bound)
        what = f"with tol {tol}, max_iter {max_iter}, {kind}"
        expect.equal(model.n_iter_, len(bounds), f"n_iter_ {what}")
        expect.equal(model.converged_, converged, f"converged_ {what}")
        expect.close(np.array(model.lower_bounds_), np.array(bounds), f"lower_bounds_ {what}", rtol=1e-9)
        expect.close(model.lower_bound_, bounds[-1], f"lower_bound_ {what}", rtol=1e-9)
        expect.close(model.weights_, mixture.weights, f"weights_ {what}", rtol=1e-8)
        expect.close(model.means_, mixture.means, f"means_ {what}", rtol=1e-8)
        expect.close(model.covariances_, mixture.covariances, f"covariances_ {what}", rtol=1e-8)
        factors = model.precisions_cholesky_
        expect.close(factors, mixture.precisions_cholesky, f"precisions_cholesky_ {what}", rtol=1e-8)
        expect.close(
            e_step(X, model.mixture_)[0], model.score(X), "e_step of mixture_, against score", rtol=1e-9
        )


@pytest.mark.parametrize("kind", TYPES)
def test_fit_from_given_weights_means_and_precisions(rng, kind):
    X, start = problem(6)[0], some_mixture(kind, rng)
    inverse = np.linalg.inv if kind in ("full", "tied") else np.reciprocal
    model = GaussianMixture(
        3,
        covariance_type=kind,
        max_iter=2,
        tol=0,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=inverse(start.covariances),
    ).fit(X)
    second = m_step(X, e_step(X, start)[1], kind)
    want = np.array([e_step(X, start)[0], e_step(X, second)[0]])
    expect.close(np.array(model.lower_bounds_), want, f"lower_bounds_ from a given start, {kind}", rtol=1e-8)


def test_given_means_take_the_place_of_the_starts():
    X, start = problem(7)
    means = X[:3]
    model = GaussianMixture(3, max_iter=1, init_params=start, means_init=means).fit(X)
    first = m_step(X, start)
    begun = joint_by_hand(X, first.weights, means, first.covariances)
    want = float(np.logaddexp.reduce(begun, axis=1).mean())
    expect.close(model.lower_bounds_[0], want, "log-likelihood of the start with given means", rtol=1e-9)


def test_one_component_is_the_mean_and_the_covariance(rng):
    X = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 3)) + 5
    model = GaussianMixture(reg_covar=0, rng=rng).fit(X)
    expect.close(model.means_, X.mean(axis=0)[None], "means_", rtol=1e-9)
    expect.close(model.covariances_, np.cov(X.T, bias=True)[None], "covariances_", rtol=1e-9)
    expect.close(model.weights_, np.ones(1), "weights_", rtol=1e-9)
    expect.equal((model.n_iter_, model.converged_), (2, True), "n_iter_ and converged_")
    model = GaussianMixture(tol=0, max_iter=5, rng=rng).fit(X)
    expect.equal((model.n_iter_, model.converged_), (5, False), "n_iter_ and converged_ with tol 0: never")


def test_in_one_dimension_three_types_are_one():
    X, start = problem(8, d=1)
    bounds = [GaussianMixture(3, covariance_type=k, init_params=start).fit(X).score(X) for k in TYPES]
    want = GaussianMixture(3, covariance_type="full", init_params=start).fit(X)
    joint = joint_by_hand(X, want.weights_, want.means_, want.covariances_)
    expect.close(bounds[0], float(np.logaddexp.reduce(joint, axis=1).mean()), "score of full", rtol=1e-9)
    expect.close(bounds[2], bounds[0], "score of diag in one dimension, against full", rtol=1e-9)
    expect.close(bounds[3], bounds[0], "score of spherical in one dimension, against full", rtol=1e-9)


@pytest.mark.parametrize("init_params", ["kmeans", "random"])
def test_it_finds_a_mixture_from_its_samples(init_params):
    """1000 samples of two long clouds that cross at their ends: 5 standard errors of mean and covariance."""
    generator = np.random.default_rng(9)
    labels = (np.arange(1000) < 700).astype(int)
    roots = np.array([[[2.0, 0.0], [0.0, 0.3]], [[0.3, 0.0], [0.0, 1.0]]])
    X = np.einsum("nij,nj->ni", roots[labels], generator.standard_normal((1000, 2))) + 4.0 * labels[:, None]
    model = GaussianMixture(2, init_params=init_params, tol=1e-6, max_iter=500, n_init=3, rng=generator).fit(
        X
    )
    order = np.argsort(model.means_[:, 0])
    truth = np.array([[0.0, 0.0], [4.0, 4.0]])
    expect.close(model.weights_[order], np.array([0.3, 0.7]), "weights_", atol=0.01, rtol=0)
    expect.close(model.means_[order], truth, "means_", atol=0.6, rtol=0)
    expect.close(model.covariances_[order], roots @ roots, "covariances_", atol=1.7, rtol=0)
    expect.true((model.labels_ == order[labels]).mean() > 0.98, "labels_ should be the clouds, up to 2%")
    expect.equal(model.predict(X), model.labels_, "predict on the data of fit, against labels_")


def test_the_start_with_the_largest_likelihood_counts():
    """A k-means++ start finds the 14 groups in 61% of 200 runs: all of 20 miss them once in 10^8."""
    for seed in range(5):
        generator = np.random.default_rng(seed)
        labels = generator.permutation(np.repeat(np.arange(14), 12))
        X = np.stack([labels, labels % 2], axis=1) + 0.1 * generator.standard_normal((168, 2))
        best = e_step(X, m_step(X, np.eye(14)[labels], "spherical"))[0]
        model = GaussianMixture(14, covariance_type="spherical", n_init=20, rng=generator).fit(X)
        what = f"the best of 20 starts has likelihood {model.lower_bound_:.4f}, expected at least {best:.4f}"
        expect.true(model.lower_bound_ >= best - 1e-3, what)
        expect.true(
            model.score(X) >= best - 1e-3, f"score {model.score(X):.4f}, expected at least {best:.4f}"
        )


def test_everything_is_of_the_start_that_counts():
    """Four points that k-means cuts in two ways. 2 + 2 begins better, and reg_covar makes it fall for 40
    iterations; 3 + 1 (two starts in three) ends better, after 9. All of 20 starts miss it once in 10^9.
    """
    X, settings = np.array([[4.0, 3.0], [1.0, 3.0], [1.0, 4.0], [5.0, 0.0]]), ("spherical", 1.0)
    runs = []
    for cut in ([0, 1, 1, 0], [1, 1, 1, 0]):
        mixture, bounds = m_step(X, np.eye(2)[cut], *settings), []
        while len(bounds) < 20 and (len(bounds) < 2 or abs(bounds[-1] - bounds[-2]) >= 1e-4):
            bound, responsibilities = e_step(X, mixture)
            mixture = m_step(X, responsibilities, *settings)
            bounds.append(bound)
        runs.append((bounds, mixture))
    want, mixture = runs[1]
    for seed in range(5):
        model = GaussianMixture(2, covariance_type="spherical", reg_covar=1.0, tol=1e-4, max_iter=20)
        model.set_params(n_init=20, rng=np.random.default_rng(seed)).fit(X)
        what = f"of the best of 20 starts (seed {seed}: the largest last bound is {want[-1]:.4f})"
        expect.close(model.lower_bound_, want[-1], f"lower_bound_ {what}", rtol=1e-9)
        expect.close(np.array(model.lower_bounds_), np.array(want), f"lower_bounds_ {what}", rtol=1e-9)
        expect.equal((model.n_iter_, model.converged_), (9, True), f"n_iter_ and converged_ {what}")
        got = np.sort(model.weights_)
        expect.close(got, np.sort(mixture.weights), f"weights_, sorted, {what}", rtol=1e-7)
        model.set_params(tol=10.0).fit(X)
        expect.equal(
            (model.n_iter_, model.converged_),
            (2, True),
            "n_iter_ and converged_ with tol 10: the first E-step of a start has none before it",
        )


def test_a_falling_bound_is_a_change_too():
    """From the halves 2 + 2 of these points reg_covar 1 lowers the bound in each iteration."""
    X, start = np.array([[4.0, 3.0], [1.0, 3.0], [1.0, 4.0], [5.0, 0.0]]), np.eye(2)[[0, 1, 1, 0]]
    model = GaussianMixture(2, covariance_type="spherical", reg_covar=1.0, tol=1e-4, init_params=start)
    model.set_params(max_iter=20).fit(X)
    expect.equal((model.n_iter_, model.converged_), (20, False), "n_iter_ and converged_ while it falls")
    falls = -np.diff(model.lower_bounds_)
    expect.true(falls.min() > 1e-4, f"lower_bounds_ should fall by more than 1e-4 each, by {falls}")


def test_a_rare_component_needs_a_larger_density():
    """30 samples on one side, 3 on the other: the boundary is nearer to the rare ones."""
    X = np.r_[np.linspace(-2, 2, 30), 2.0, 3.0, 4.0][:, None]
    start = np.repeat(np.eye(2), [30, 3], axis=0)
    model = GaussianMixture(2, covariance_type="tied", max_iter=1, tol=0, init_params=start).fit(X)
    joint = joint_by_hand(X, model.weights_, model.means_, dense(model.covariances_, "tied", 2, 1))
    want = joint.argmax(axis=1)
    densities = (joint - np.log(model.weights_)).argmax(axis=1)
    expect.true((want != densities).any(), "the weights should decide about some of the samples")
    expect.equal(model.labels_, want, "labels_: the largest weight times density")
    expect.equal(model.predict(X), want, "predict: the largest weight times density")


def test_score_samples_is_a_density(rng):
    X, _ = problem(10, d=1)
    model = GaussianMixture(3, rng=rng).fit(X)
    grid = np.linspace(X.min() - 30, X.max() + 30, 20001)
    density = np.exp(model.score_samples(grid[:, None]))
    expect.close(float(density.sum() * (grid[1] - grid[0])), 1.0, "integral of the density", rtol=1e-6)


@pytest.mark.parametrize("kind", TYPES)
def test_predictions_on_new_data(rng, kind):
    X, start = problem(11)
    model = GaussianMixture(3, covariance_type=kind, init_params=start).fit(X)
    new = 3 * rng.standard_normal((9, 2))
    joint = joint_by_hand(new, model.weights_, model.means_, dense(model.covariances_, kind, 3, 2))
    total = np.logaddexp.reduce(joint, axis=1)
    expect.close(model.score_samples(new), total, "score_samples", rtol=1e-9)
    expect.close(model.score(new), float(total.mean()), "score", rtol=1e-9)
    expect.close(model.predict_proba(new), np.exp(joint - total[:, None]), "predict_proba", rtol=1e-8)
    expect.equal(model.predict(new), joint.argmax(axis=1), "predict")
    p = {"full": 2 + 6 + 9, "tied": 2 + 6 + 3, "diag": 2 + 6 + 6, "spherical": 2 + 6 + 3}[kind]
    expect.close(model.bic(new), float(-2 * total.sum() + p * log(9)), f"bic of {p} parameters", rtol=1e-9)
    expect.close(model.aic(new), float(-2 * total.sum() + 2 * p), f"aic of {p} parameters", rtol=1e-9)


def test_parameters_are_counted():
    counts = [[parameter_count(k, d, kind) for kind in TYPES] for k, d in ((1, 1), (2, 3), (5, 4))]
    want = [[2, 2, 2, 2], [19, 13, 13, 9], [74, 34, 44, 29]]
    expect.equal(counts, want, "free parameters of full, tied, diag, spherical; K, D = 1, 1; 2, 3; 5, 4")


@pytest.mark.parametrize("kind", TYPES)
def test_samples_have_the_moments_of_the_mixture(kind):
    """Clouds 100 apart, so that each sample's cloud is known; 12 checks a type, false alarms 1e-6 each."""
    X = problem(12, n=60)[0] + 100 * np.repeat([[0, 1], [1, 0]], 30, axis=0)
    start = np.repeat(np.eye(2), 30, axis=0) * 0.6 + 0.2
    model = GaussianMixture(2, covariance_type=kind, init_params=start).fit(X)
    sigmas = dense(model.covariances_, kind, 2, 2)
    drawn, labels = model.sample(4000, rng=np.random.default_rng(13))
    expect.equal((drawn.shape, labels.shape), ((4000, 2), (4000,)), "shapes of 4000 samples and their labels")
    expect.equal(labels, model.predict(drawn), "labels of the samples, against predict")
    p = float(model.weights_[0])
    statistics.mean_is((labels == 0).astype(float), p, (p * (1 - p)) ** 0.5, "share of component 0")
    for k in range(2):
        white = np.linalg.solve(np.linalg.cholesky(sigmas[k]), (drawn[labels == k] - model.means_[k]).T)
        for j in range(2):
            statistics.mean_is(white[j], 0.0, 1.0, f"whitened samples of component {k}, axis {j}")
            statistics.variance_is(white[j], 1.0, f"whitened samples of component {k}, axis {j}")
        statistics.mean_is(white[0] * white[1], 0.0, 1.0, f"product of the whitened axes of component {k}")


def test_samples_are_independent_and_follow_the_weights():
    """600 samples of ten rows from weights 0.8 and 0.2, far apart; false alarms 1e-6 each."""
    X = np.r_[np.linspace(0, 1, 8), 100.0, 101.0][:, None]
    model = GaussianMixture(2, init_params=np.repeat(np.eye(2), [8, 2], axis=0)).fit(X)
    generator, q = np.random.default_rng(20), 0.16  # the variance of a label
    drawn, labels = zip(*(model.sample(10, rng=generator) for _ in range(600)), strict=True)
    rare = np.array(labels, float)
    expect.equal(np.array(drawn)[:, :, 0] > 50, rare == 1, "which rows are in the second cloud")
    statistics.mean_is(rare, 0.2, q**0.5, "how often the component of weight 0.2 is drawn")
    statistics.variance_is(
        rare.sum(axis=1), 10 * q, "how many of ten rows it makes", kurtosis=3 + (1 - 6 * q) / (10 * q)
    )
    together = rare[:, ::2] * rare[:, 1::2]
    statistics.mean_is(together, 0.04, (0.04 * 0.96) ** 0.5, "how often it makes two neighbouring rows")


def test_a_sample_can_be_repeated(rng):
    X, start = problem(14)
    model = GaussianMixture(3, init_params=start).fit(X)
    first, second = (model.sample(5, rng=np.random.default_rng(1)) for _ in range(2))
    expect.equal(first[0], second[0], "two samples with default_rng(1)")
    expect.equal(model.predict(model.means_ + 0 * first[0][:3]).shape, (3,), "shape of predict")
    expect.equal(model.sample(rng=rng)[0].shape, (1, 2), "shape of sample()")


@pytest.mark.parametrize("kind", TYPES)
def test_data_far_from_the_origin(kind):
    X, start = problem(15)
    near = GaussianMixture(3, covariance_type=kind, init_params=start, tol=0, max_iter=5).fit(X)
    far = GaussianMixture(3, covariance_type=kind, init_params=start, tol=0, max_iter=5).fit(X + 1e6)
    expect.close(far.means_ - 1e6, near.means_, "means_ of data moved by 1e6, moved back", rtol=1e-6)
    expect.close(far.covariances_, near.covariances_, "covariances_ of data moved by 1e6", rtol=1e-6)
    expect.close(far.score(X + 1e6), near.score(X), "score of data moved by 1e6", rtol=1e-6)
    joint = joint_by_hand(X, near.weights_, near.means_, dense(near.covariances_, kind, 3, 2))
    expect.close(near.score(X), float(np.logaddexp.reduce(joint, axis=1).mean()), "score", rtol=1e-9)


@pytest.mark.parametrize("kind", TYPES)
def test_float32_stays_float32(kind):
    X, start = problem(16)
    double = GaussianMixture(3, covariance_type=kind, init_params=start, tol=0, max_iter=5).fit(X)
    single = double.clone().fit(X.astype(np.float32))
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        want = getattr(double, name)
        expect.close(getattr(single, name), want, f"{name} in float32", dtype=np.float32, rtol=2e-3)
    proba = single.predict_proba(X.astype(np.float32))
    expect.close(proba, double.predict_proba(X), "predict_proba", dtype=np.float32, rtol=2e-3)
    drawn, _ = single.sample(3, rng=np.random.default_rng(0))
    expect.equal(str(drawn.dtype), "float32", "dtype of a sample")


@pytest.mark.parametrize("kind", TYPES)
def test_a_component_on_one_point_is_refused_without_reg_covar(kind):
    """Half of the rows are one point: its component has no width, and a density without bound."""
    generator = np.random.default_rng(17)
    X = np.concatenate([np.full((10, 2), 0.1), 50 + generator.standard_normal((10, 2))])
    X = np.full((20, 2), 0.1) if kind == "tied" else X
    start = np.repeat(np.eye(2), 10, axis=0)
    with expect.raises(ValueError, "reg_covar", "0"):
        GaussianMixture(2, covariance_type=kind, reg_covar=0, init_params=start).fit(X)
    model = GaussianMixture(2, covariance_type=kind, reg_covar=1e-4, init_params=start).fit(X)
    sigma = dense(model.covariances_, kind, 2, 2)[0]
    expect.close(sigma, 1e-4 * np.eye(2), "covariance of one point with reg_covar 1e-4", rtol=1e-6)


def test_a_constant_feature(rng):
    X = np.stack([rng.standard_normal(30), np.full(30, 0.1)], axis=1)
    with expect.raises(ValueError, "reg_covar"):
        GaussianMixture(1, reg_covar=0, rng=rng).fit(X)
    model = GaussianMixture(1, rng=rng).fit(X)
    want = np.diag([X[:, 0].var() + 1e-6, 1e-6])[None]
    expect.close(model.covariances_, want, "covariances_ with a constant feature", rtol=1e-6)


def test_lists_and_as_many_components_as_samples(rng):
    model = GaussianMixture(2, rng=rng).fit([[0, 0], [3, 4]])
    defaults = {"covariance_type": "full", "tol": 1e-3, "reg_covar": 1e-6, "max_iter": 100, "n_init": 1}
    stored = {name: model.get_params()[name] for name in defaults}
    expect.equal(stored, defaults, "parameters by default, after fit")
    expect.close(model.covariances_, 1e-6 * np.eye(2)[None].repeat(2, axis=0), "covariances_", rtol=1e-6)
    expect.close(model.weights_, np.array([0.5, 0.5]), "weights_", rtol=1e-9)
    expect.equal(sorted(model.fit_predict([[0, 0], [3, 4]]).tolist()), [0, 1], "fit_predict of two rows")


WRONG = [
    ({"n_components": 0}, ("n_components", "GaussianMixture", "0")),
    ({"covariance_type": "round"}, ("covariance_type", "round", "spherical")),
    ({"tol": -1.0}, ("tol", "-1.0")),
    ({"reg_covar": -1e-6}, ("reg_covar", "-1e-06")),
    ({"max_iter": 0}, ("max_iter", "0")),
    ({"n_init": 0}, ("n_init", "0")),
    ({"init_params": "best"}, ("init_params", "best", "kmeans")),
    ({"rng": None}, ("rng", "None")),
]


@pytest.mark.parametrize(("settings", "named"), WRONG, ids=[str(settings) for settings, _ in WRONG])
def test_parameters_out_of_range_are_named(settings, named):
    model = GaussianMixture(**{"n_components": 2, "rng": np.random.default_rng(0), **settings})
    with expect.raises(InvalidParameterError, *named):
        model.fit(np.arange(8.0).reshape(4, 2))


def test_data_and_starts_that_do_not_fit_are_refused(rng):
    X = rng.standard_normal((5, 2))
    for init_params in ("kmeans", "random"):
        with expect.raises(ValueError, "5", "6"):
            GaussianMixture(6, init_params=init_params, rng=rng).fit(X)
    with expect.raises(ValueError, "nan"):
        GaussianMixture(2, rng=rng).fit([[0.0], [np.nan], [1.0]])
    for name, value, shapes in (
        ("means_init", np.zeros((2, 3)), ("(2, 3)", "(2, 2)")),
        ("weights_init", np.ones(3) / 3, ("(3,)", "(2,)")),
        ("precisions_init", np.eye(2), ("(2, 2)", "(2, 2, 2)")),
        ("init_params", np.ones((4, 2)) / 2, ("(4, 2)", "(5, 2)")),
    ):
        with expect.raises(ValueError, name, *shapes):
            GaussianMixture(2, **{"rng": rng, name: value}).fit(X)
    for name, value in (
        ("means_init", [[0.0, np.nan], [1, 1]]),
        ("weights_init", [0.5, 0.6]),
        ("weights_init", [1.5, -0.5]),
        ("init_params", np.ones((5, 2))),
    ):
        with expect.raises(ValueError, name):
            GaussianMixture(2, **{"rng": rng, name: value}).fit(X)


def test_new_data_must_fit_the_model():
    X, start = problem(18)
    model = GaussianMixture(3, init_params=start).fit(X)
    for method in ("predict", "predict_proba", "score_samples", "score", "bic", "aic"):
        with expect.raises(NotFittedError, "GaussianMixture"):
            getattr(GaussianMixture(2), method)(X)
        with expect.raises(ValueError, "3", "2"):
            getattr(model, method)(np.zeros((3, 3)))
    with expect.raises(NotFittedError, "GaussianMixture"):
        GaussianMixture(2).sample(3, rng=np.random.default_rng(0))
