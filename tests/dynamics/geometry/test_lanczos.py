"""Lanczos: the decomposition it promises, quadrature to the degree it promises, and random probes."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.geometry.lanczos import Density, hutchinson, lanczos, ritz, smooth, spectral_density


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rotated(values, seed=0):
    """A symmetric matrix with these eigenvalues, and its eigenvectors as columns."""
    values = np.array(values, float)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))[0]
    return q * values @ q.T, q


class Recorded:
    """The product with a matrix, and the vectors it was asked for."""

    def __init__(self, matrix):
        self.matrix, self.seen = np.asarray(matrix, float), []

    def __call__(self, v):
        self.seen.append(v.copy())
        return self.matrix @ v


def tridiagonal(krylov):
    """T, entry by entry."""
    T = np.diag(krylov.alpha)
    for j, b in enumerate(krylov.beta):
        T[j, j + 1] = T[j + 1, j] = b
    return T


# The tridiagonal matrix


@pytest.mark.parametrize("reorthogonalize", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_decomposition(rng, steps, reorthogonalize):
    """A Q - Q T is 0 but for its last column, which is orthogonal to Q and of length residual."""
    A, _ = rotated(rng.standard_normal(8))
    start = 3 * rng.standard_normal(8)
    mv = Recorded(A)
    with expect.unchanged(start):
        got = lanczos(mv, start, steps, reorthogonalize=reorthogonalize)
    expect.equal(len(mv.seen), steps, "products")
    expect.equal((got.alpha.shape, got.beta.shape), ((steps,), (steps - 1,)), "shapes of alpha and beta")
    expect.close(got.basis[:, 0], start / np.linalg.norm(start), "the first vector", rtol=1e-12)
    expect.close(got.basis.T @ got.basis, np.eye(steps), "inner products of the basis", atol=1e-10)
    expect.true(bool(np.all(got.beta > 0)), f"beta is {got.beta}, expected positive numbers")
    left = A @ got.basis - got.basis @ tridiagonal(got)
    expect.close(left[:, :-1], np.zeros((8, steps - 1)), "A Q - Q T, but for its last column", atol=1e-10)
    expect.close(float(np.linalg.norm(left[:, -1])), got.residual, "its last column's length", rtol=1e-9)
    expect.close(got.basis.T @ left[:, -1], np.zeros(steps), "Q^T times the last column", atol=1e-10)


def test_two_steps_by_hand():
    """From e_1 on [[2, 3, 4], [3, 1, 0], [4, 0, 5]]: A e_1 = 2 e_1 + 5 q_2 with q_2 = (0, 0.6, 0.8)."""
    got = lanczos(Recorded([[2, 3, 4], [3, 1, 0], [4, 0, 5]]), np.array([2.0, 0, 0]), 2)
    expect.close(got.basis, np.array([[1, 0], [0, 0.6], [0, 0.8]]), "the basis", atol=1e-14)
    expect.close(got.alpha, np.array([2.0, 0.36 + 3.2]), "alpha", rtol=1e-12)
    expect.close(got.beta, np.array([5.0]), "beta", rtol=1e-12)
    expect.close(got.residual, 0.48 * 4, "the residual", rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e9, 1e-9])
def test_it_ends_after_as_many_steps_as_there_are_distinct_eigenvalues(rng, scale):
    A, q = rotated(scale * np.array([4.0, 4.0, 4.0, 1.0, 1.0, -2.0, -2.0, -2.0]))
    got = lanczos(Recorded(A), rng.standard_normal(8), 8)
    expect.equal(
        (len(got.alpha), got.residual), (3, 0.0), "steps and residual for three distinct eigenvalues"
    )
    expect.close(ritz(got).values / scale, np.array([-2.0, 1.0, 4.0]), "the Ritz values", rtol=1e-9)
    got = lanczos(Recorded(A), q[:, 3] - q[:, 0], 8)
    expect.close(
        ritz(got).values / scale, np.array([1.0, 4.0]), "Ritz values from two eigenvectors", rtol=1e-9
    )


def test_all_steps_give_all_eigenvalues(rng):
    a = np.sort(rng.standard_normal(12))
    A, _ = rotated(a)
    got = lanczos(Recorded(A), rng.standard_normal(12), 12)
    expect.close(ritz(got).values, a, "12 Ritz values of a (12, 12) matrix", rtol=1e-8, atol=1e-9)
    expect.equal(got.residual, 0.0, "the residual, where no direction is left")


@pytest.mark.parametrize(
    ("A", "steps"),
    [
        ([[1.0, 1e-10], [1e-10, 2.0]], 2),
        ([[1.0, 1e-14], [1e-14, 2.0]], 1),
        ([[1e6, 1.0, 0.0], [1.0, 0.0, 1e-7], [0.0, 1e-7, 0.0]], 2),
    ],
    ids=["1e-10 of |A q|", "1e-14 of |A q|", "1e-13 of the largest |A q|"],
)
def test_it_ends_below_1e_12_of_the_largest_product_yet(A, steps):
    got = lanczos(Recorded(A), np.eye(len(A))[0], len(A))
    expect.equal(len(got.alpha), steps, f"steps from e_1 on {A}")
    expect.close(got.alpha, np.diag(A)[:steps], f"alpha from e_1 on {A}", atol=1e-12)


def test_zero_and_one_by_one():
    with expect.quiet("lanczos on a matrix of zeros"):
        got = lanczos(Recorded(np.zeros((3, 3))), np.array([0.0, 3.0, 4.0]), 3)
    expect.equal((len(got.alpha), got.residual), (1, 0.0), "steps and residual on zeros")
    expect.close(got.basis, np.array([[0.0], [0.6], [0.8]]), "the basis on zeros")
    got = lanczos(Recorded([[-7.0]]), np.array([2.0]), 1)
    expect.close(got.alpha, np.array([-7.0]), "alpha of a (1, 1) matrix")


def ghosts(reorthogonalize):
    """How often 60 steps find the eigenvalue 10, which is there once, above 199 in [0, 1]."""
    a = np.r_[np.linspace(0, 1, 199), 10.0]
    got = lanczos(lambda v: a * v, np.ones(200), 60, reorthogonalize=reorthogonalize)
    return int(np.sum(np.abs(ritz(got).values - 10) < 1e-6)), got.basis


def test_an_orthogonal_basis_finds_an_eigenvalue_once():
    count, basis = ghosts(True)
    expect.equal(count, 1, "Ritz values at 10")
    expect.close(basis.T @ basis, np.eye(60), "inner products of the basis", atol=1e-13)


def test_three_terms_alone_find_ghosts():
    count, _ = ghosts(False)
    expect.true(count > 1, f"{count} Ritz values at 10 without reorthogonalisation, expected copies of it")


def test_a_product_that_works_in_place_does_no_harm():
    def doubled(v):
        v *= np.array([1.0, 2.0])
        return v

    got = ritz(lanczos(doubled, np.array([1.0, 1.0]), 2))
    expect.close(got.values, np.array([1.0, 2.0]), "Ritz values of diag(1, 2), whose product works in place")


# Ritz pairs


def test_ritz_pairs_and_their_residuals(rng):
    A, _ = rotated(rng.standard_normal(30))
    got = ritz(lanczos(Recorded(A), rng.standard_normal(30), 6))
    x = got.vectors
    expect.equal((got.values.shape, x.shape), ((6,), (30, 6)), "shapes of values and vectors")
    expect.true(bool(np.all(np.diff(got.values) > 0)), f"the values are {got.values}, expected rising")
    expect.close(x.T @ x, np.eye(6), "inner products of the Ritz vectors", atol=1e-12)
    expect.close(x.T @ A @ x, np.diag(got.values), "X^T A X", atol=1e-12)
    off = np.linalg.norm(A @ x - x * got.values, axis=0)
    expect.close(got.residuals, off, "|A x - value x| without a product", rtol=1e-8)


def test_both_ends_converge_first():
    a = np.r_[-5.0, np.linspace(-1, 1, 98), 5.0]
    got = ritz(lanczos(lambda v: a * v, np.ones(100), 20))
    expect.close(got.values[[0, -1]], np.array([-5.0, 5.0]), "the ends after 20 of 100 steps", rtol=1e-9)
    expect.true(
        float(got.residuals[[0, -1]].max()) < 1e-6 < float(got.residuals[10]),
        f"residuals {got.residuals}: expected below 1e-6 at the ends, above it in the middle",
    )


# The spectrum as a density


def test_a_single_probe_integrates_polynomials_of_degree_2m_minus_1():
    """With v the probe, made of length 1, and a diagonal A: v^T A^p v is the sum of v_i^2 a_i^p."""
    a = np.array([-2.0, -1.0, 0.5, 1.0, 1.5, 3.0])
    mv = Recorded(np.diag(a))
    got = spectral_density(mv, 6, steps=3, probes=1, rng=np.random.default_rng(3))
    v = mv.seen[0] / np.linalg.norm(mv.seen[0])
    for p in range(6):
        want = float(np.sum(v * v * a**p))
        expect.close(float(got.weights @ got.values**p), want, f"v^T A^{p} v by 3 points", rtol=1e-9)
    expect.true(
        float(np.ptp(np.abs(v))) > 1e-3, f"the probe is {v}: signs, expected a vector of normal numbers"
    )
    expect.equal((got.values.shape, got.weights.shape), ((3,), (3,)), "shapes of one probe of 3 steps")


def test_points_and_weights_of_several_probes(rng):
    A, _ = rotated(rng.standard_normal(10))
    got = spectral_density(Recorded(A), 10, steps=4, probes=7, rng=rng)
    expect.equal((got.values.shape, got.weights.shape), ((28,), (28,)), "shapes of 7 probes of 4 steps")
    expect.close(float(got.weights.sum()), 1.0, "the sum of the weights", rtol=1e-12)
    expect.true(bool(np.all(np.diff(got.values) >= 0)), "the values should rise")
    expect.true(bool(np.all(got.weights >= 0)), "the weights should not be negative")


def test_the_moments_are_traces(rng):
    """v^T B v over directions v has mean tr B / n and variance 2 (tr B^2 - (tr B)^2 / n) / n (n + 2)."""
    a = np.linspace(-1, 2, 20)
    A, _ = rotated(a)
    got = spectral_density(Recorded(A), 20, steps=4, probes=200, rng=rng)
    for p in (1, 2, 4):
        b = a**p
        sd = math.sqrt(2 * (np.sum(b * b) - b.sum() ** 2 / 20) / (20 * 22) / 200)
        moment = float(got.weights @ got.values**p)
        expect.true(
            abs(moment - b.mean()) < 5 * sd,
            f"moment {p} is {moment:.4f}, expected tr A^{p} / n = {b.mean():.4f} within 5 sd of {sd:.4f}",
        )


def test_a_multiple_of_one_is_a_single_point(rng):
    got = spectral_density(lambda v: 3 * v, 5, steps=9, probes=2, rng=rng)
    expect.close(got.values, np.array([3.0, 3.0]), "the points of 3 I")
    expect.close(got.weights, np.array([0.5, 0.5]), "their weights")


def test_more_steps_than_dimensions_are_all_there_is(rng):
    got = spectral_density(Recorded(np.diag([1.0, 4.0])), 2, steps=50, probes=3, rng=rng)
    expect.close(got.values, np.array([1.0, 1, 1, 4, 4, 4]), "the points of diag(1, 4)", rtol=1e-10)


def test_the_curve_is_a_bell_for_each_point():
    density = Density(np.array([-1.0, 2.0]), np.array([0.25, 0.75]))
    grid = np.array([-1.0, 0.0, 2.0, 2.5])
    want = [
        sum(
            w * math.exp(-((x - t) ** 2) / (2 * 0.25)) / (0.5 * math.sqrt(2 * math.pi))
            for t, w in zip(*density, strict=True)
        )
        for x in grid
    ]
    with expect.unchanged(grid, *density):
        got = smooth(density, grid, 0.5)
    expect.close(got, np.array(want), "the curve of two points, width 0.5", rtol=1e-12)
    fine = np.linspace(-6, 7, 2001)
    area = float(smooth(density, fine, 0.5).sum() * (fine[1] - fine[0]))
    expect.close(area, 1.0, "the area below the curve", rtol=1e-6)


# Traces


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_the_estimate_is_the_mean_over_the_probes_with_its_error(rng, kind):
    A, _ = rotated(rng.standard_normal(6))
    mv = Recorded(A)
    got = hutchinson(mv, 6, probes=9, rng=rng, kind=kind)
    seen = np.array([z @ A @ z for z in mv.seen])
    expect.equal(len(seen), 9, "products")
    expect.close(got.mean, float(seen.sum() / 9), "mean of z^T A z", rtol=1e-11)
    error = math.sqrt(float(((seen - seen.mean()) ** 2).sum()) / 8 / 9)
    expect.close(got.error, error, "standard error of the mean", rtol=1e-9)
    signs = bool(np.all(np.abs(mv.seen) == 1))
    expect.equal(signs, kind == "rademacher", f"all entries of the probes are +1 or -1, {kind}")


def test_signs_see_a_diagonal_exactly(rng):
    got = hutchinson(Recorded(np.diag([1.0, -2.0, 4.0])), 3, probes=2, rng=rng)
    expect.close(got.mean, 3.0, "trace of diag(1, -2, 4)")
    expect.close(got.error, 0.0, "its error", atol=1e-14)


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_mean_and_variance_of_the_probes(kind):
    """4000 probes: the mean within 5 errors; the variance within 20 %, 5 sd for a kurtosis up to 7."""
    A, _ = rotated([5.0, 3.0, -1.0, 0.5, 2.0, 1.0, 1.0, -2.0], seed=4)
    got = hutchinson(lambda z: A @ z, 8, probes=4000, rng=np.random.default_rng(1), kind=kind)
    expect.true(
        abs(got.mean - 9.5) < 5 * got.error, f"the trace is 9.5, estimated {got.mean:.3f} +- {got.error:.3f}"
    )
    variance = 2 * float(np.sum(A * A)) - (2 * float(np.sum(np.diag(A) ** 2)) if kind == "rademacher" else 0)
    expect.close(got.error**2 * 4000, variance, f"variance of a {kind} probe", rtol=0.2)


# Errors


def test_steps_and_starts_out_of_range_are_refused():
    mv = Recorded(np.eye(3))
    for steps in (0, 4, -2):
        with expect.raises(ValueError, str(steps), "3"):
            lanczos(mv, np.ones(3), steps)
    with expect.raises(ValueError, "(3, 1)"):
        lanczos(mv, np.ones((3, 1)), 2)
    for bad in (0.0, math.nan, math.inf):
        with expect.raises(ValueError, str(bad)):
            lanczos(mv, np.array([bad, 0.0, 0.0]), 2)


def test_products_of_another_shape_or_without_a_value_are_refused():
    with expect.raises(ValueError, "(1, 2)", "(2,)"):
        lanczos(lambda v: v[None], np.ones(2), 2)
    with expect.raises(ValueError):
        lanczos(lambda v: v * [1.0, math.nan], np.ones(2), 2)


def test_settings_of_the_probes_are_named(rng):
    mv = Recorded(np.eye(3))
    for probes in (0, -4):
        with expect.raises(ValueError, str(probes)):
            spectral_density(mv, 3, steps=2, probes=probes, rng=rng)
    with expect.raises(ValueError, "0"):
        spectral_density(mv, 3, steps=0, probes=2, rng=rng)
    for probes in (1, 0):
        with expect.raises(ValueError, str(probes)):
            hutchinson(mv, 3, probes=probes, rng=rng)
    with expect.raises(ValueError, "normal"):
        hutchinson(mv, 3, probes=4, rng=rng, kind="normal")
    for width in (0.0, -0.5, math.nan):
        with expect.raises(ValueError, str(width)):
            smooth(Density(np.zeros(1), np.ones(1)), np.zeros(2), width)
