"""Power iteration: what it holds after each product, which end it finds, and what comes after the first."""

import math
from itertools import combinations_with_replacement

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.geometry.power_iteration import deflate, power_iteration, top_eigenpairs


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rotated(values, seed=0):
    """A symmetric matrix with these eigenvalues, and its eigenvectors as columns."""
    values = np.array(values, float)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))[0]
    return q * values @ q.T, q


class Counted:
    """The product with a matrix, and how often it was asked for."""

    def __init__(self, matrix):
        self.matrix, self.calls = np.asarray(matrix, float), 0

    def __call__(self, v):
        self.calls += 1
        return self.matrix @ v


def alignment(u, v):
    """|cos| of the angle between two vectors."""
    return abs(float(u @ v)) / math.sqrt(float(u @ u) * float(v @ v))


# One iteration


def test_each_product_brings_the_powers_of_the_eigenvalues():
    """After m products v is along A^(m-1) start: the quotient is a sum of powers, to every digit."""
    a, c = np.array([3.0, -2.0, 0.5]), np.array([1.0, 2.0, -3.0])
    A, q = rotated(a)
    start = 7 * q @ c
    for m in (1, 2, 3, 6):
        with expect.unchanged(start):
            pair = power_iteration(Counted(A), start, max_iter=m)
        parts = a ** (m - 1) * c
        want = float((a * parts**2).sum() / (parts**2).sum())
        expect.close(pair.value, want, f"Rayleigh quotient after {m} products", rtol=1e-12)
        along = q @ parts / np.linalg.norm(parts)
        expect.close(alignment(pair.vector, along), 1.0, f"|cos| to A^{m - 1} start", rtol=1e-12)
        expect.close(float(np.linalg.norm(pair.vector)), 1.0, "length of the vector", rtol=1e-12)
        off = float(np.linalg.norm(A @ along - want * along))
        expect.close(pair.residual, off, f"residual after {m} products", rtol=1e-11)
        expect.equal((pair.products, pair.converged), (m, False), "products and converged")


def test_the_error_of_the_quotient_falls_by_the_squared_ratio():
    A, q = rotated([5.0, 4.0, 1.0])
    start = q @ np.ones(3)
    errors = [5 - power_iteration(Counted(A), start, max_iter=m, tol=1e-30).value for m in (20, 30)]
    expect.close(errors[1] / errors[0], 0.8**20, "error after 10 more products, (4/5)^20", rtol=0.02)


def test_it_finds_the_largest_by_magnitude_whatever_its_sign():
    for values, want in (([7.0, -10.0], -10.0), ([10.0, -7.0, 3.0], 10.0), ([-4.0], -4.0)):
        A, q = rotated(values)
        mv = Counted(A)
        pair = power_iteration(mv, np.ones(len(values)) + 0.1 * q[:, 0], tol=1e-9)
        expect.close(pair.value, want, f"eigenvalue of largest magnitude of {values}", rtol=1e-12)
        vector = q[:, values.index(want)]
        expect.close(alignment(pair.vector, vector), 1.0, "|cos| to its eigenvector", rtol=1e-9)
        expect.equal(pair.converged, True, "converged")
        expect.equal(pair.products, mv.calls, "products, against calls of mv")


def test_it_ends_at_the_first_residual_within_the_tolerance():
    A, _ = rotated([5.0, 4.0, -1.0])
    start = np.array([1.0, 1.0, 1.0])
    for tol in (1e-2, 1e-5):
        m = power_iteration(Counted(A), start, tol=tol).products
        before = power_iteration(Counted(A), start, tol=1e-30, max_iter=m - 1)
        after = power_iteration(Counted(A), start, tol=1e-30, max_iter=m)
        sizes = [np.linalg.norm(A @ p.vector) for p in (before, after)]
        expect.true(
            after.residual <= tol * sizes[1] and before.residual > tol * sizes[0],
            f"ended after {m} products with a residual of {after.residual:.3g}, before "
            f"{before.residual:.3g}; expected the first below {tol:g} |A v|",
        )
        expect.close(after.value, 5.0, "the eigenvalue", rtol=tol)


def test_the_scale_of_a_larger_matrix_ends_it_sooner():
    A, _ = rotated([5e-9, 4e-9, -1e-9])
    start = np.array([1.0, 1.0, 1.0])
    fine = power_iteration(Counted(A), start, tol=1e-8)
    expect.close(fine.value, 5e-9, "a tiny eigenvalue, its own scale", rtol=1e-9)
    expect.true(
        fine.products > 5, f"{fine.products} products, expected more than 5 for 8 digits at ratio 0.8"
    )
    coarse = power_iteration(Counted(A), start, tol=1e-8, scale=1.0)
    expect.equal((coarse.products, coarse.converged), (1, True), "products and converged at scale 1")


def test_plus_and_minus_the_same_is_a_tie_for_plus():
    A, q = rotated([3.0, -3.0, 1.0])
    pair = power_iteration(Counted(A), q @ [1.0, 2.0, 0.7])
    expect.close(pair.value, 3.0, "eigenvalue of the tie 3, -3", rtol=1e-7)
    expect.close(alignment(pair.vector, q[:, 0]), 1.0, "|cos| to the eigenvector of +3", rtol=1e-9)
    expect.close(float(np.linalg.norm(pair.vector)), 1.0, "its length", rtol=1e-9)
    expect.equal(pair.converged, True, "converged")
    expect.true(pair.residual < 1e-7, f"the residual is {pair.residual:.3g}, expected below 1e-7")
    expect.true(
        pair.products <= 30,
        f"{pair.products} products for the tie; a ratio of 1/3 takes about 18",
    )


def test_zero_and_multiples_of_one_need_a_single_product():
    for a in (0.0, 2.5, -2.5):
        with expect.quiet("power_iteration on a multiple of I"):
            pair = power_iteration(Counted(a * np.eye(3)), np.array([1.0, 2.0, 2.0]))
        expect.close(pair.value, a, f"eigenvalue of {a} I")
        expect.close(
            pair.vector, np.array([1.0, 2.0, 2.0]) / 3, f"eigenvector of {a} I: the start, of length 1"
        )
        expect.equal((pair.products, pair.converged), (1, True), "products and converged")


def test_a_product_that_uses_its_argument_again_does_no_harm():
    def doubled(v):
        v *= 2
        return v

    pair = power_iteration(doubled, np.array([3.0, 4.0]))
    expect.close(pair.value, 2.0, "eigenvalue of 2 I, whose product works in place")
    expect.close(pair.vector, np.array([0.6, 0.8]), "eigenvector")


# What was found


def test_deflation_hides_what_was_found_and_keeps_the_rest():
    a = np.array([5.0, -4.0, 3.0, 2.0])
    A, q = rotated(a)
    hidden = deflate(Counted(A), q[:, :2])
    v = q @ np.array([1.0, 10.0, 100.0, 1000.0])
    with expect.unchanged(v, q):
        got = hidden(v)
    expect.close(got, q @ np.array([0.0, 0.0, 300.0, 2000.0]), "P A P v", rtol=1e-11)
    expect.close(deflate(Counted(A), np.empty((4, 0)))(v), A @ v, "a product with nothing hidden", rtol=1e-12)


def test_the_projection_stands_on_both_sides():
    """With vectors that are no eigenvectors P A P is still symmetric; P A and A P are not."""
    A, _ = rotated([5.0, -4.0, 3.0])
    e = np.eye(3)[:, :1]
    P = np.eye(3) - e @ e.T
    got = np.column_stack([deflate(Counted(A), e)(v) for v in np.eye(3)])
    expect.close(got, P @ A @ P, "P A P, column by column", rtol=1e-12)


# The largest of them


def test_by_value_is_not_by_magnitude(rng):
    A, q = rotated([7.0, -10.0, 1.0])
    for which, want, i in (("LA", 7.0, 0), ("LM", -10.0, 1)):
        mv = Counted(A)
        found = top_eigenpairs(mv, 3, which=which, rng=rng)
        expect.close(found.values, np.array([want]), f"{which} of 7, -10 and 1", rtol=1e-9)
        expect.equal(found.vectors.shape, (3, 1), "shape of the vectors")
        expect.close(alignment(found.vectors[:, 0], q[:, i]), 1.0, "|cos| to its eigenvector", rtol=1e-9)
        expect.equal((found.converged, found.products), (True, mv.calls), "converged, and calls of mv")
    expect.close(top_eigenpairs(Counted(A), 3, rng=rng).values, np.array([7.0]), "by default", rtol=1e-9)


def test_where_all_curvature_is_negative_the_largest_is_the_least_negative(rng):
    A, _ = rotated([-1.0, -2.0, -5.0])
    got = top_eigenpairs(Counted(A), 3, 3, rng=rng)
    expect.close(got.values, np.array([-1.0, -2.0, -5.0]), "LA of -1, -2 and -5: no 0 among them", rtol=1e-7)
    close, _ = rotated([-1.0, -4.0, -4.05, -5.0])
    got = top_eigenpairs(Counted(close), 4, 2, rng=rng)
    expect.close(got.values, np.array([-1.0, -4.0]), "LA of -1, -4, -4.05 and -5: no 0 even late", rtol=1e-7)
    got = top_eigenpairs(Counted(A), 3, 2, which="LM", rng=rng)
    expect.close(got.values, np.array([-5.0, -2.0]), "LM of -1, -2 and -5", rtol=1e-7)


SPECTRA = [
    [6.0, 4.0, 2.5, 1.0, 0.0],
    [6.0, -8.0, 2.5, -1.0, 0.0],
    [3.0, 3.0, 3.0, -1.0, 1.0],
    [0.0, 0.0, 0.0],
    [-2.0, -2.0],
    [4.0],
    [5.0, -5.0, 1.0],
    [6e9, 4e9, -1e9, 2e9],
    [3e-12, -2e-12, 1e-12],
]


@pytest.mark.parametrize("which", ["LA", "LM"])
@pytest.mark.parametrize("spectrum", SPECTRA, ids=str)
def test_all_eigenpairs_of_small_matrices(rng, spectrum, which):
    A, _ = rotated(spectrum)
    n, size = len(spectrum), max(map(abs, spectrum))
    found = top_eigenpairs(Counted(A), n, n, which=which, rng=rng)
    want = sorted(spectrum, reverse=True)
    got = np.sort(found.values)[::-1]
    expect.close(got, np.array(want), f"all eigenvalues of {spectrum}", rtol=1e-7, atol=1e-7 * size)
    key = found.values if which == "LA" else np.abs(found.values)
    expect.true(bool(np.all(np.diff(key) <= 1e-7 * size)), f"{which} values {found.values}, expected falling")
    q = found.vectors
    expect.close(q.T @ q, np.eye(n), "inner products of the vectors", atol=1e-9)
    off = float(np.max(np.abs(A @ q - q * found.values)))
    expect.true(off <= 1e-6 * size, f"A q - q value is up to {off:.3g}, expected below {1e-6 * size:.3g}")
    expect.equal(found.converged, True, "converged")


@pytest.mark.parametrize("spectrum", combinations_with_replacement((-6.0, -4.0, 0.0, 1.5, 5.0), 3), ids=str)
def test_two_largest_by_value(rng, spectrum):
    A, _ = rotated(spectrum, seed=1)
    got = top_eigenpairs(Counted(A), 3, 2, rng=rng).values
    want = np.array(sorted(spectrum, reverse=True)[:2])
    expect.close(got, want, f"two largest of {spectrum}", rtol=1e-6, atol=1e-6)


def test_a_good_start_saves_products(rng):
    A, q = rotated(np.r_[5.0, np.linspace(-1, 4.5, 30)])
    cold, warm = Counted(A), Counted(A)
    top_eigenpairs(cold, 31, rng=rng)
    start = 40 * q[:, 0]
    with expect.unchanged(start):
        got = top_eigenpairs(warm, 31, start=start, rng=rng)
    expect.close(got.values, np.array([5.0]), "the eigenvalue from a warm start", rtol=1e-9)
    expect.true(
        warm.calls < cold.calls, f"{warm.calls} products from a warm start, {cold.calls} from a cold one"
    )


def test_a_start_that_is_another_eigenvector_is_left(rng):
    A, q = rotated([5.0, 3.0, 1.0])
    for length in (1.0, 1e12):
        got = top_eigenpairs(Counted(A), 3, start=length * q[:, 1], rng=rng)
        what = f"LA from a start along the second eigenvector, of length {length:g}"
        expect.close(got.values, np.array([5.0]), what, rtol=1e-9)


def test_too_few_products_are_admitted(rng):
    A, _ = rotated([5.0, 4.9, 1.0])
    got = top_eigenpairs(Counted(A), 3, rng=rng, max_iter=2)
    expect.equal((got.converged, got.products), (False, 2), "converged and products with max_iter=2")
    got = top_eigenpairs(Counted(np.diag([1.0, 0.999])), 2, 2, rng=rng, max_iter=5)
    expect.equal(got.converged, False, "converged, where the first of two did not and the second did")


def test_what_is_rounding_beside_the_first_is_not_iterated_on(rng):
    """3e-12 and 2.9e-12, alone, would take hundreds of products; beside 1 both are within tol of 0."""
    got = top_eigenpairs(Counted(np.diag([1.0, 3e-12, 2.9e-12])), 3, 3, rng=rng, max_iter=50)
    expect.close(got.values, np.array([1.0, 0.0, 0.0]), "eigenvalues of diag(1, 3e-12, 2.9e-12)", atol=1e-8)
    expect.equal(got.converged, True, "converged within 50 products each, by the scale of the first")


# Errors


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tol": 0.0}, "0.0"),
        ({"tol": -0.5}, "-0.5"),
        ({"tol": math.nan}, "nan"),
        ({"max_iter": 0}, "0"),
        ({"max_iter": -3}, "-3"),
    ],
    ids=str,
)
def test_settings_out_of_range_are_named(rng, settings, named):
    with expect.raises(ValueError, named):
        power_iteration(Counted(np.eye(2)), np.ones(2), **settings)
    with expect.raises(ValueError, named):
        top_eigenpairs(Counted(np.eye(2)), 2, rng=rng, **settings)


def test_starts_that_lead_nowhere_are_refused(rng):
    with expect.raises(ValueError, "(2, 1)"):
        power_iteration(Counted(np.eye(2)), np.ones((2, 1)))
    for bad in (np.zeros(2), np.array([1.0, math.nan]), np.array([math.inf, 1.0])):
        with expect.raises(ValueError):
            power_iteration(Counted(np.eye(2)), bad)
        with expect.raises(ValueError):
            top_eigenpairs(Counted(np.eye(2)), 2, start=bad, rng=rng)
    with expect.raises(ValueError, "(1,)", "(3,)"):
        top_eigenpairs(Counted(np.eye(3)), 3, start=np.ones(1), rng=rng)


def test_products_of_another_shape_or_without_a_value_are_refused():
    with expect.raises(ValueError, "(1, 2)", "(2,)"):
        power_iteration(lambda v: v[None], np.ones(2))
    with expect.raises(ValueError, "nan"):
        power_iteration(lambda v: v * math.nan, np.ones(2))
    with expect.raises(ValueError, "inf", "1"):
        power_iteration(lambda v: v * [1.0, math.inf], np.ones(2))


def test_another_end_or_too_many_are_refused(rng):
    with expect.raises(ValueError, "SA"):
        top_eigenpairs(Counted(np.eye(2)), 2, which="SA", rng=rng)
    for k in (0, 3):
        with expect.raises(ValueError, str(k), "2"):
            top_eigenpairs(Counted(np.eye(2)), 2, k, rng=rng)
