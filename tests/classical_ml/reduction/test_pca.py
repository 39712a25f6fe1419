"""classical_ml.reduction.pca: no other directions lose less, and a random basis loses hardly more."""

import math

import numpy as np
import pytest
from hypothesis import given

from classical_ml.estimator import InvalidParameterError, NotFittedError
from classical_ml.reduction.pca import (
    PCA,
    enough_components,
    flip_signs,
    randomized_svd,
    range_finder,
    right_svd,
)
from curriculum.testing import expect, statistics, strategies

SHAPES = [(20, 3), (5, 5), (4, 9), (6, 1), (2, 4)]
CROSS = np.array([[5.0, 4.0], [1.0, 4.0], [3.0, 5.0], [3.0, 3.0]])  # (3, 4) +- (2, 0) and +- (0, 1)


def with_singular_values(values, n, d, seed=0):
    """A matrix (n, d) that has them, and the directions (len(values), d) of its rows."""
    rng = np.random.default_rng(seed)
    U, _ = np.linalg.qr(rng.standard_normal((n, len(values))))
    V, _ = np.linalg.qr(rng.standard_normal((d, len(values))))
    return (U * values) @ V.T, V.T


def cloud(n, d, seed=0):
    """Samples (n, d) that vary by a different amount along each of d oblique directions."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * np.geomspace(3.0, 0.5, d) @ rng.standard_normal((d, d)) + 1.0


def covariance(X):
    spread = X - X.mean(axis=0)
    return spread.T @ spread / (len(X) - 1)


def same_directions(actual, wanted, what, rtol=1e-8):
    """Rows that agree up to their signs."""
    expect.equal(actual.shape, wanted.shape, f"shape of {what}")
    signs = np.where((actual * wanted).sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    expect.close(actual * signs, wanted, what, rtol=rtol, atol=rtol)


def orthonormal_columns(Q, what, atol=1e-10):
    expect.close(Q.T @ Q, np.eye(Q.shape[1]), f"Q^T Q for {what}", atol=atol)


# The parts


def test_the_entry_of_largest_magnitude_becomes_positive():
    V = np.array([[0.6, -0.8], [0.8, 0.6], [-1.0, 0.0], [0.5, -0.5], [-0.5, 0.5], [0.0, 0.0]])
    with expect.unchanged(V):
        flipped = flip_signs(V)
    want = np.array([[-0.6, 0.8], [0.8, 0.6], [1.0, 0.0], [0.5, -0.5], [0.5, -0.5], [0.0, 0.0]])
    expect.close(flipped, want, "rows with the sign chosen")
    expect.close(flip_signs(-V), want, "rows with the sign chosen, from the opposite ones")
    expect.close(flip_signs(V.astype(np.float32)), want, "rows in float32", dtype=np.float32)


@pytest.mark.parametrize(("dtype", "inside", "outside"), [(np.float64, 1e-9, 1e-7), (np.float32, 1e-4, 1e-3)])
def test_the_first_of_entries_that_are_equal_up_to_rounding_decides(dtype, inside, outside):
    """The boundary is a relative sqrt(eps): 1.5e-8 in float64, 3.5e-4 in float32."""
    for scale in (1.0, 1e-6):
        V = scale * np.array([[-0.5, 0.5 * (1 + inside)], [-0.5, 0.5 * (1 + outside)]], dtype)
        want = V * np.array([[-1], [1]], dtype)
        expect.close(flip_signs(V), want, f"signs of the rows {V.tolist()}", dtype=dtype)
    V = np.array([[-0.7071067811865475, 0.7071067811865476]])
    expect.close(flip_signs(V), -V, "signs of (-1, 1) / sqrt(2), whose last digits differ")


def test_the_fewest_components_that_exceed_a_share():
    ratios = np.array([0.5, 0.25, 0.125, 0.125])
    for share, k in ((0.1, 1), (0.49, 1), (0.5, 2), (0.6, 2), (0.75, 3), (0.8, 3), (0.9, 4), (0.999, 4)):
        expect.equal(enough_components(ratios, share), k, f"components for more than {share} of {ratios}")
    expect.equal(enough_components(np.array([0.6, 0.3]), 0.95), 2, "components where all are not enough")


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_right_singular_vectors(n, d):
    X = cloud(n, d)
    with expect.unchanged(X):
        s, Vt = right_svd(X)
    r = min(n, d)
    expect.equal((s.shape, Vt.shape), ((r,), (r, d)), f"shapes of s and Vt for X {X.shape}")
    orthonormal_columns(Vt.T, f"V of X {X.shape}")
    expect.close((Vt.T * s**2) @ Vt, X.T @ X, f"V S^2 V^T against X^T X for X {X.shape}", rtol=1e-9)
    expect.true(np.all(np.diff(s) <= 0), f"singular values, largest first, are {s}")


@pytest.mark.parametrize(("n", "d"), [(30, 4), (4, 30)])
def test_small_singular_values_keep_their_digits(n, d):
    values = np.array([1.0, 1e-4, 1e-9, 1e-11])
    X, V = with_singular_values(values, n, d)
    s, Vt = right_svd(X)
    expect.close(s, values, "singular values: squares of 1e-22 would drown in X^T X", rtol=1e-3, atol=0)
    same_directions(Vt[:3], V[:3], "directions of 1, 1e-4 and 1e-9", rtol=1e-5)


# The randomised decomposition


@pytest.mark.parametrize("n_iter", [0, 3])
@pytest.mark.parametrize(("n", "d"), [(30, 8), (8, 30)])
def test_a_random_basis_of_a_low_rank_is_complete(n, d, n_iter):
    X, _ = with_singular_values([3.0, 2.0, 1.0], n, d)
    with expect.unchanged(X):
        Q = range_finder(X, 4, n_iter, rng=np.random.default_rng(1))
    expect.equal(Q.shape, (n, 4), "shape of the basis")
    orthonormal_columns(Q, f"a basis after {n_iter} iterations")
    expect.close(Q @ (Q.T @ X), X, "X of rank 3, projected on 4 random directions", atol=1e-9)


def test_the_test_matrix_is_gaussian():
    """Then a basis of one column of the identity is a direction drawn uniformly: E[q0 q1] = 0, variance 1/15.

    Numbers from [0, 1) would all lean towards (1, 1, 1), and miss what is orthogonal to it.
    """
    bases = [range_finder(np.eye(3), 1, 0, rng=np.random.default_rng(i)) for i in range(300)]
    products = np.array([Q[0, 0] * Q[1, 0] for Q in bases])
    statistics.mean_is(products, 0.0, (1 / 15) ** 0.5, "q0 q1 over random directions q in 3 dimensions")
    squares = np.array([Q[0, 0] ** 2 for Q in bases])
    statistics.mean_is(squares, 1 / 3, (4 / 45) ** 0.5, "q0^2 over random directions q in 3 dimensions")
    statistics.variance_is(squares, 4 / 45, "q0^2 over random directions q in 3 dimensions")


def test_power_iterations_keep_the_small_directions():
    """After 5 iterations the columns of (X X^T)^5 X Omega agree to 1e-33: only products in turn keep 1e-3."""
    X, _ = with_singular_values([1.0, 1e-3, 1e-6], 30, 20)
    Q = range_finder(X, 3, 5, rng=np.random.default_rng(0))
    orthonormal_columns(Q, "a basis after 5 iterations")
    expect.close(Q @ (Q.T @ X), X, "X with singular values 1, 1e-3 and 1e-6, projected", rtol=0, atol=1e-12)


@pytest.mark.parametrize("q", [0, 1, 4])
def test_the_error_of_a_random_basis_keeps_to_its_bound(q):
    """Corollary 10.10 of Halko, Martinsson & Tropp bounds the expected error: the mean of 10 draws here."""
    s, k, p, r = np.arange(1, 61) ** -0.5, 5, 5, 2 * q + 1
    X, _ = with_singular_values(s, 60, 150)
    errors = []
    for seed in range(10):
        Q = range_finder(X, k + p, q, rng=np.random.default_rng(seed))
        orthonormal_columns(Q, f"a basis after {q} iterations")
        errors.append(np.linalg.norm(X - Q @ (Q.T @ X), 2))
    tail = math.e * math.sqrt(k + p) / p * math.sqrt(np.sum(s[k:] ** (2 * r)))
    bound = ((1 + math.sqrt(k / (p - 1))) * s[k] ** r + tail) ** (1 / r)
    mean = float(np.mean(errors))
    expect.true(mean <= bound, f"the mean error of {q} power iterations is {mean:.4f}, the bound {bound:.4f}")


@pytest.mark.parametrize(("n", "d"), [(40, 12), (12, 40), (9, 9)])
def test_a_full_basis_is_exact(n, d):
    X = cloud(n, d)
    with expect.unchanged(X):
        U, s, Vt = randomized_svd(X, 9, n_oversamples=50, n_iter=2, rng=np.random.default_rng(0))
    expect.equal((U.shape, s.shape, Vt.shape), ((n, 9), (9,), (9, d)), "shapes of U, s and Vt")
    orthonormal_columns(U, "U")
    orthonormal_columns(Vt.T, "V")
    want, directions = right_svd(X)
    expect.close(s, want[:9], "the first 9 singular values", rtol=1e-8)
    same_directions(Vt, directions[:9], "the first 9 directions", rtol=1e-6)
    expect.close(U * s, X @ Vt.T, "U S against X V", rtol=1e-8)


def test_singular_values_of_a_projection_fall_short_at_most():
    s = np.arange(1, 41) ** -0.5
    X, _ = with_singular_values(s, 40, 80)
    few, many = (
        np.mean(
            [
                randomized_svd(X, 4, n_oversamples=p, n_iter=q, rng=np.random.default_rng(i))[1]
                for i in range(10)
            ],
            axis=0,
        )
        for p, q in ((0, 0), (10, 3))
    )
    expect.close(many, s[:4], "s with 10 oversamples and 3 iterations", rtol=5e-3)
    expect.true(
        np.all(many <= s[:4] + 1e-9), f"projected singular values {many} are above those of X {s[:4]}"
    )
    expect.true(np.all(few < many), f"s without oversamples and iterations is {few}, with them {many}")


def test_the_generator_decides():
    X = cloud(20, 15)

    def values(seed):
        return randomized_svd(X, 2, n_oversamples=1, n_iter=0, rng=np.random.default_rng(seed))[1]

    expect.close(values(3), values(3), "s from one seed twice")
    expect.true(
        bool(np.all(values(3) != values(4)) and np.all(values(3) > 0)),
        f"s with another seed is another: {values(3)}",
    )


# The estimator, by its definition


def test_four_points_on_a_cross():
    pca = PCA()
    expect.true(pca.fit(CROSS) is pca, "fit should return the estimator, so that fit(X).transform works")
    expect.close(pca.mean_, np.array([3.0, 4.0]), "mean_")
    expect.close(pca.components_, np.eye(2), "components_", atol=1e-12)
    expect.close(pca.explained_variance_, np.array([8 / 3, 2 / 3]), "explained_variance_, by N - 1")
    expect.close(pca.explained_variance_ratio_, np.array([0.8, 0.2]), "explained_variance_ratio_")
    expect.close(pca.singular_values_, np.sqrt([8.0, 2.0]), "singular_values_")
    expect.close(pca.noise_variance_, 0.0, "noise_variance_ with all components")
    expect.equal((pca.n_components_, pca.n_features_in_), (2, 2), "n_components_ and n_features_in_")
    expect.close(pca.transform([[6.0, 2.0]]), np.array([[3.0, -2.0]]), "coordinates of (6, 2)")
    one = PCA(1).fit(CROSS)
    expect.close(one.transform([[6.0, 2.0]]), np.array([[3.0]]), "coordinate of (6, 2), one component")
    expect.close(one.inverse_transform([[3.0]]), np.array([[6.0, 4.0]]), "the point at coordinate 3")
    expect.close(one.noise_variance_, 2 / 3, "noise_variance_ with one component")
    expect.close(one.explained_variance_ratio_, np.array([0.8]), "share of one component")


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_components_are_eigenvectors_of_the_covariance(n, d):
    X = cloud(n, d)
    with expect.unchanged(X):
        pca = PCA().fit(X)
    V, variances, k = pca.components_, pca.explained_variance_, min(n, d)
    expect.equal(V.shape, (k, d), "shape of components_")
    orthonormal_columns(V.T, f"the components of X {X.shape}")
    expect.close(covariance(X) @ V.T, V.T * variances, "covariance times components", rtol=1e-8)
    expect.close(
        np.sort(variances)[::-1], np.linalg.eigvalsh(covariance(X))[::-1][:k], "variances", rtol=1e-8
    )
    total = np.trace(covariance(X))
    expect.close(variances, pca.explained_variance_ratio_ * total, "shares times total", rtol=1e-10)
    expect.close(pca.singular_values_**2, variances * (n - 1), "squares of singular_values_", rtol=1e-10)
    expect.true(np.all(np.diff(variances) <= 0), f"variances, largest first, are {variances}")
    largest = V[np.arange(k), np.abs(V).argmax(axis=1)]
    expect.true(np.all(largest > 0), f"entries of largest magnitude are positive; yours {largest}")


@given(seed=strategies.seeds())
def test_no_other_projection_loses_less(seed):
    """Eckart & Young: what k components lose is the sum of the squares of the singular values after them."""
    rng = np.random.default_rng(seed)
    n, d = rng.integers(3, 12), rng.integers(2, 7)
    X, k = cloud(n, d, seed), int(rng.integers(1, min(n, d) + 1))
    pca, spread = PCA(k).fit(X), X - X.mean(axis=0)
    lost = float(np.sum((X - pca.inverse_transform(pca.transform(X))) ** 2))
    total = float(np.sum(spread**2))
    s = np.linalg.svd(spread, compute_uv=False)
    expect.close(lost, float(np.sum(s[k:] ** 2)), f"loss of {k} components", rtol=1e-8, atol=1e-9 * total)
    expect.close(pca.noise_variance_ * (n - 1) * (d - k), lost, "dropped variance", atol=1e-9 * total)
    others = [np.linalg.qr(rng.standard_normal((d, k)))[0]]
    others.append(np.linalg.qr(pca.components_.T + 0.1 * rng.standard_normal((d, k)))[0])
    for Q in others:
        loss = float(np.sum((spread - spread @ Q @ Q.T) ** 2))
        expect.true(
            lost <= loss + 1e-9 * total, f"other directions lose {loss:.6g}, the components {lost:.6g}"
        )


@given(seed=strategies.seeds())
def test_coordinates_are_uncorrelated_and_white_if_asked(seed):
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 6))
    X, k = cloud(int(rng.integers(d + 2, 15)), d, seed), int(rng.integers(1, d + 1))
    pca, white = PCA(k).fit(X), PCA(k, whiten=True).fit(X)
    Z = pca.transform(X)
    expect.close(Z.mean(axis=0), np.zeros(k), "means of the coordinates", atol=1e-9)
    scale = float(pca.explained_variance_[0])
    expect.close(covariance(Z), np.diag(pca.explained_variance_), "covariance", atol=1e-9 * scale)
    expect.close(covariance(white.transform(X)), np.eye(k), "covariance of the white ones", atol=1e-9)
    expect.close(
        white.inverse_transform(white.transform(X)), pca.inverse_transform(Z), "both ways back", rtol=1e-8
    )


def test_rotating_the_data_rotates_the_components():
    X = cloud(15, 4)
    R, _ = np.linalg.qr(np.random.default_rng(5).standard_normal((4, 4)))
    pca, turned = PCA(3).fit(X), PCA(3).fit(X @ R + 7.0)
    expect.close(turned.explained_variance_, pca.explained_variance_, "variances of rotated data", rtol=1e-9)
    same_directions(turned.components_, pca.components_ @ R, "components of rotated data")
    same_directions(turned.transform(X @ R + 7.0).T, pca.transform(X).T, "coordinates of rotated data")


def test_fit_transform_is_both():
    X = cloud(12, 3)
    pca = PCA(2)
    expect.close(pca.fit_transform(X), (X - X.mean(axis=0)) @ pca.components_.T, "fit_transform", rtol=1e-9)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95, 0.9999999, np.float32(0.7)])
def test_a_share_of_the_variance(share):
    X = cloud(30, 6)
    eigenvalues = np.linalg.eigvalsh(covariance(X))[::-1]
    shares = np.cumsum(eigenvalues) / eigenvalues.sum()
    k = int(np.sum(shares <= share)) + 1
    pca = PCA(share).fit(X)
    expect.equal((pca.n_components_, len(pca.components_)), (k, k), f"components for a share of {share}")
    expect.close(pca.explained_variance_, eigenvalues[:k], "variances kept", rtol=1e-9)
    rest = eigenvalues[k:].mean() if k < 6 else 0.0
    expect.close(pca.noise_variance_, float(rest), "noise_variance_", rtol=1e-8)


# Where rounding errors could pass for variance


def test_data_far_from_zero():
    X = cloud(20, 3)
    near, far = PCA().fit(X), PCA().fit(X + 1e8)
    expect.close(far.explained_variance_, near.explained_variance_, "variances around 1e8", rtol=1e-6)
    same_directions(far.components_, near.components_, "components around 1e8", rtol=1e-6)
    expect.close(far.transform(X + 1e8), near.transform(X), "coordinates around 1e8", rtol=1e-5, atol=1e-6)
    single = PCA().fit((X + 1e4).astype(np.float32))
    expect.close(single.explained_variance_, near.explained_variance_, "variances, float32", rtol=1e-2)


@pytest.mark.parametrize("solver", ["full", "randomized"])
def test_variances_that_are_rounding_errors_are_zero(solver):
    X = cloud(10, 2)
    rng = np.random.default_rng(0)
    for offset in (0.1, 1e6):
        tripled = np.c_[X, X[:, 0] - X[:, 1], np.full(10, 0.1)] + offset  # rank 2 in 4 dimensions
        pca = PCA(3, svd_solver=solver, rng=rng, whiten=True).fit(tripled)
        expect.equal(float(pca.explained_variance_[2]), 0.0, f"third variance of two around {offset}")
        expect.equal(float(pca.singular_values_[2]), 0.0, f"third singular value of two around {offset}")
        expect.true(bool(pca.explained_variance_[1] > 0.01), f"second variance {pca.explained_variance_[1]}")
        expect.equal(float(pca.noise_variance_), 0.0, f"variance left by all directions around {offset}")
        orthonormal_columns(pca.components_.T, "components, also those without variance")
        Z = pca.transform(tripled)
        expect.close(covariance(Z), np.diag([1.0, 1.0, 0.0]), "covariance of the white", atol=1e-6)
        expect.equal(Z[:, 2], np.zeros(10), "the white coordinate of a direction without variance")
        back = pca.inverse_transform(Z)
        expect.close(back, tripled, "data of rank 2 from their white coordinates", rtol=1e-8)


def test_the_boundary_of_a_rounding_error():
    """64 rows of mean 0, orthogonal columns of +-1 and +-c: s = 8 and 8 c, against eps max(64, 2) 8."""
    signs = np.stack([np.tile([1.0, 1.0, -1.0, -1.0], 16), np.tile([1.0, -1.0], 32)], axis=1)
    dropped = PCA().fit(signs * [1.0, 16 * 2.0**-52])
    expect.equal(float(dropped.explained_variance_[1]), 0.0, "second variance where c is 16 eps, below")
    kept = PCA().fit(signs * [1.0, 200 * 2.0**-52])
    want = np.array([8.0, 8 * 200 * 2.0**-52])
    expect.close(kept.singular_values_, want, "singular_values_ where c is 200 eps, above", rtol=0.1, atol=0)


def test_small_variances_that_are_real_stay():
    X = np.random.default_rng(0).standard_normal((50, 2)) * [1.0, 1e-8]
    pca = PCA().fit(X)
    want = np.var(X[:, 1] - X[:, 0] * (covariance(X)[0, 1] / covariance(X)[0, 0]), ddof=1)
    expect.close(float(pca.explained_variance_[1]), float(want), "a variance of 1e-16", rtol=1e-5)
    tiny = PCA().fit(1e-9 * (CROSS - 3.0))
    expect.close(
        tiny.explained_variance_ratio_, np.array([0.8, 0.2]), "shares of data of size 1e-9", rtol=1e-6
    )


def test_data_that_do_not_vary():
    with expect.quiet("fit on equal rows"):
        pca = PCA().fit(np.full((5, 3), 0.1))
        share = PCA(0.5, whiten=True).fit(np.full((5, 3), 0.1))
        Z = share.transform([[0.1, 0.1, 0.1]])
    expect.close(pca.mean_, np.full(3, 0.1), "mean_ of equal rows")
    expect.equal(pca.explained_variance_, np.zeros(3), "explained_variance_ of equal rows")
    expect.equal(pca.explained_variance_ratio_, np.zeros(3), "explained_variance_ratio_ of equal rows")
    orthonormal_columns(pca.components_.T, "the components of equal rows")
    expect.close(Z, np.zeros_like(Z), "white coordinates of equal rows")
    expect.close(share.inverse_transform(Z), np.full((1, 3), 0.1), "the way back")


def test_two_samples_have_one_direction():
    pca = PCA().fit([[0.0, 0.0, 0.0], [3.0, 0.0, -4.0]])
    expect.equal(pca.components_.shape, (2, 3), "shape of components_, min(N, D) of them")
    expect.close(pca.components_[0], np.array([-0.6, 0.0, 0.8]), "first component", atol=1e-12)
    expect.close(pca.explained_variance_, np.array([12.5, 0.0]), "explained_variance_", atol=1e-12)


# The Gaussian


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("k", [1, 3, 4])
def test_the_density_is_a_gaussian(k, whiten):
    X, new = cloud(30, 4), cloud(6, 4, seed=1)
    pca = PCA(k, whiten=whiten).fit(X)
    eigenvalues, V = np.linalg.eigh(covariance(X))
    eigenvalues[: 4 - k] = eigenvalues[: 4 - k].mean() if k < 4 else 0.0
    C = (V * eigenvalues) @ V.T
    expect.close(pca.get_covariance(), C, f"covariance with {k} components and noise", rtol=1e-9)
    away = new - X.mean(axis=0)
    distances = np.einsum("nd,nd->n", away @ np.linalg.inv(C), away)
    want = -0.5 * (4 * math.log(2 * math.pi) + np.linalg.slogdet(C)[1] + distances)
    with expect.unchanged(new):
        log_p = pca.score_samples(new)
    expect.close(log_p, want, "log density of new rows", rtol=1e-8)
    expect.close(pca.score(new), float(want.mean()), "score, the mean log density", rtol=1e-8)


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_the_model_has_the_total_variance_of_the_data(n, d):
    X = cloud(n, d)
    C = PCA(1).fit(X).get_covariance()
    expect.close(
        float(np.trace(C)), float(np.trace(covariance(X))), f"total variance, X {X.shape}", rtol=1e-9
    )
    top = np.linalg.eigvalsh(covariance(X))[-1]
    expect.close(float(np.linalg.eigvalsh(C)[-1]), float(top), "largest variance of the model", rtol=1e-9)


def test_there_is_no_density_in_a_plane():
    X = cloud(20, 2)
    flat = np.c_[X, X.sum(axis=1)]
    for k in (2, 3):
        pca = PCA(k).fit(flat)
        with expect.raises(ValueError, str(k), "3"):
            pca.score_samples(flat)
    with expect.raises(ValueError, "4", "9"):
        PCA().fit(cloud(4, 9)).score(cloud(4, 9))
    one = PCA(1).fit(flat)
    expect.true(math.isfinite(one.score(flat)), "one component leaves noise: the density is finite")
    sums = covariance(flat)
    expect.close(one.noise_variance_, np.linalg.eigvalsh(sums)[1] / 2, "noise_variance_", rtol=1e-9)


# The randomised solver


@pytest.mark.parametrize(("n", "d"), [(30, 80), (80, 30)])
def test_the_randomised_solver_finds_the_same(n, d):
    X, _ = with_singular_values(0.6 ** np.arange(25) * 10, n, d)
    X = X + 3.0
    full = PCA(3).fit(X)
    with expect.unchanged(X):
        fast = PCA(3, svd_solver="randomized", rng=np.random.default_rng(0)).fit(X)
    expect.close(fast.components_, full.components_, "components_, signs included", atol=1e-6)
    for name in ("mean_", "explained_variance_", "explained_variance_ratio_", "singular_values_"):
        expect.close(getattr(fast, name), getattr(full, name), f"{name} of the randomised", rtol=1e-8)
    expect.close(fast.noise_variance_, full.noise_variance_, "noise_variance_ of the randomised", rtol=1e-6)
    orthonormal_columns(fast.components_.T, "the components of the randomised solver")


def test_the_settings_reach_the_randomised_solver():
    X, _ = with_singular_values(np.arange(1, 41) ** -0.25, 40, 60)

    def kept(p, q):
        settings = {"svd_solver": "randomized", "n_oversamples": p, "iterated_power": q}
        rngs = [np.random.default_rng(i) for i in range(5)]
        return np.mean([PCA(3, **settings, rng=rng).fit(X).explained_variance_.sum() for rng in rngs])

    rough, wide, patient = kept(0, 0), kept(30, 0), kept(0, 8)
    best = PCA(3).fit(X).explained_variance_.sum()
    expect.true(
        rough < 0.75 * best and 0.9 * best < wide <= best + 1e-9 and 0.9 * best < patient <= best + 1e-9,
        f"variance of 3 components: {best:.4f} at best, {rough:.4f} without oversamples and iterations, "
        f"{wide:.4f} with 30 oversamples, {patient:.4f} with 8 iterations",
    )


# dtype, errors


def test_float32_stays_float32():
    X = cloud(20, 5)
    want, loose = PCA(2).fit(X), {"dtype": np.float32, "rtol": 1e-3, "atol": 1e-3}
    for solver in ("full", "randomized"):
        pca = PCA(2, svd_solver=solver, rng=np.random.default_rng(0)).fit(X.astype(np.float32))
        for name in ("components_", "explained_variance_", "mean_", "singular_values_"):
            what = f"{name} in float32, {solver}"
            expect.close(getattr(pca, name), getattr(want, name), what, **loose)
        Z = pca.transform(X.astype(np.float32))
        expect.close(Z, want.transform(X), "coordinates in float32", **loose)
        expect.close(pca.inverse_transform(Z), want.inverse_transform(Z), "the way back", **loose)
        expect.close(pca.get_covariance(), want.get_covariance(), "covariance in float32", **loose)
        log_p = pca.score_samples(X.astype(np.float32))
        expect.close(log_p, want.score_samples(X), "log density in float32", **loose)
    lists = PCA(2).fit(X.tolist())
    expect.close(lists.components_, want.components_, "components_ from lists", rtol=1e-9)


def test_what_cannot_be_used_is_refused():
    X = cloud(6, 4)
    for settings, named in (
        ({"n_components": 0}, ("n_components", "0")),
        ({"n_components": 5}, ("n_components", "4", "5")),
        ({"n_components": 1.5}, ("n_components", "1.5")),
        ({"n_components": 0.0}, ("n_components", "0.0")),
        ({"n_components": 1.0}, ("n_components", "1.0")),
        ({"n_components": "mle"}, ("n_components", "mle")),
        ({"n_components": True}, ("n_components", "True")),
        ({"whiten": "yes"}, ("whiten", "yes")),
        ({"svd_solver": "arpack"}, ("svd_solver", "full", "randomized", "arpack")),
        ({"n_oversamples": -1}, ("n_oversamples", "-1")),
        ({"iterated_power": -1}, ("iterated_power", "-1")),
        ({"svd_solver": "randomized", "n_components": 2}, ("rng", "None")),
        (
            {"svd_solver": "randomized", "n_components": 0.5, "rng": np.random.default_rng(0)},
            ("n_components", "0.5"),
        ),
    ):
        with expect.raises(InvalidParameterError, "PCA", *named):
            PCA(**settings).fit(X)
    with expect.raises(ValueError, "nan", "1", "0"):
        PCA().fit([[1.0], [float("nan")]])
    with expect.raises(ValueError, "(1, 3)", "PCA", "2"):
        PCA().fit([[1.0, 2.0, 3.0]])
    pca = PCA(2).fit(X)
    with expect.raises(ValueError, "3", "4", "PCA"):
        pca.transform(np.ones((1, 3)))
    with expect.raises(ValueError, "3", "4", "PCA"):
        pca.score_samples(np.ones((1, 3)))
    with expect.raises(ValueError, "3", "2"):
        pca.inverse_transform(np.ones((1, 3)))
    with expect.raises(ValueError, "1", "2"):
        PCA(2, whiten=True).fit(X).inverse_transform(np.ones((5, 1)))


def test_nothing_is_known_before_fit():
    failed = PCA(9)
    with expect.raises(InvalidParameterError, "9"):
        failed.fit(CROSS)
    for ask in (failed.transform, failed.inverse_transform, failed.score_samples, failed.score):
        with expect.raises(NotFittedError, "PCA"):
            ask(CROSS)
    with expect.raises(NotFittedError, "PCA"):
        failed.get_covariance()
