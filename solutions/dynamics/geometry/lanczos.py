r"""Lanczos: a matrix of millions, seen from one vector, is a small tridiagonal one.

    A Q_m = Q_m T_m + beta_m q_{m+1} e_m^T      Q_m^T Q_m = I, T_m tridiagonal: alpha on it, beta beside it
    beta_j q_{j+1} = A q_j - alpha_j q_j - beta_{j-1} q_{j-1}               alpha_j = q_j^T A q_j

Power iteration throws A v, A^2 v, ... away but for the last; Lanczos keeps an orthonormal basis of them all,
and the eigenvalues of T_m (Ritz values) are the best that can be made of m products, at both ends of the
spectrum. In exact arithmetic three terms keep q_{j+1} orthogonal to all before it. In floating point that is
lost as soon as a Ritz value has converged, and the eigenvalue is found again, as a ghost; so the basis is
orthogonalised in full.

The same T_m is a Gauss quadrature. With (t_i, y_i) its eigenpairs and v of length 1,

    v^T f(A) v ~ sum_i (e_1^T y_i)^2 f(t_i)          exact for polynomials of degree up to 2m - 1

and over random v the mean of v^T f(A) v is tr f(A) / n: the whole spectrum as a density, from a few products.

Shapes   A (n, n), symmetric, known only by the product mv: (n,) -> (n,); m steps; P probes.
Source   Golub & Van Loan 2013, "Matrix computations", 4th ed., sec. 10.1 and 10.3; Golub & Meurant 1994,
         "Matrices, moments and quadrature", sec. 3; Ubaru, Chen & Saad 2017, "Fast estimation of tr(f(A)) via
         stochastic Lanczos quadrature", sec. 3; Hutchinson 1990, "A stochastic estimator of the trace of the
         influence matrix"; Avron & Toledo 2011, "Randomized algorithms for estimating the trace", table 1.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Array: TypeAlias = np.ndarray
Product: TypeAlias = Callable[[Array], Array]


class Krylov(NamedTuple):
    """What m steps of Lanczos leave: A Q = Q T + residual e_m^T, T of alpha and beta."""

    alpha: Array  # (m,), the diagonal of T
    beta: Array  # (m - 1,), beside it; positive
    basis: Array  # (n, m), q_1 ... q_m
    residual: float  # beta_m: 0 where the basis is invariant, and the Ritz values are eigenvalues


class Ritz(NamedTuple):
    """Eigenvalues of T, rising, and what belongs to each."""

    values: Array  # (m,)
    vectors: Array  # (n, m), Q y
    residuals: Array  # (m,), |A x - value x| = beta_m |last entry of y|


class Density(NamedTuple):
    """A spectrum as points with weights that sum to 1."""

    values: Array  # (points,)
    weights: Array  # (points,)


class Estimate(NamedTuple):
    """A mean over random probes, and its standard error."""

    mean: float
    error: float


def lanczos(mv: Product, start: ArrayLike, steps: int, *, reorthogonalize: bool = True) -> Krylov:
    """Build the tridiagonal matrix by products, one a step; the recurrence of this file.

    Ends early where A q_j is a combination of the vectors so far: beta_j <= 1e-12 times the largest |A q|
    yet. The basis is then invariant, and to divide by beta_j would go on with noise.

    Args:
        mv: v (n,) -> A v (n,), A symmetric.
        start: (n,), not 0; q_1 = start / |start|. Only read.
        steps: m in [1, n].
        reorthogonalize: take the parts along all q so far out of each new vector, twice (the first pass
            leaves what it rounds). Without it, the three terms alone.

    Returns:
        alpha, beta, basis and residual, of m steps or fewer; the residual is 0 where it ended early.

    Raises:
        ValueError: start is not a vector (its shape), or 0 or not finite (its length); steps is not in
            [1, n]; mv returned another shape (both) or numbers that are not finite.
    """
    q = np.array(start, np.float64)
    if q.ndim != 1:
        raise ValueError(f"start must be a vector (n,), got shape {q.shape}")
    length = float(np.linalg.norm(q))
    if not 0 < length < np.inf:
        raise ValueError(f"start must be finite and not 0, its length is {length}")
    if not 1 <= steps <= q.size:
        raise ValueError(f"steps must be in [1, n] = [1, {q.size}], got {steps}")
    basis = np.empty((steps, q.size))  # a row for each q: contiguous
    basis[0] = q / length
    alpha, beta, scale = np.empty(steps), np.empty(steps), 0.0
    for j in range(steps):
        u = np.array(mv(basis[j].copy()), np.float64)
        if u.shape != q.shape or not np.isfinite(u).all():
            raise ValueError(f"mv must return finite numbers of shape {q.shape}, got shape {u.shape}: {u}")
        scale = max(scale, float(np.linalg.norm(u)))
        alpha[j] = basis[j] @ u
        u -= alpha[j] * basis[j]
        if j:
            u -= beta[j - 1] * basis[j - 1]
        if reorthogonalize:
            known = basis[: j + 1]
            for _ in range(2):
                u -= known.T @ (known @ u)
        beta[j] = np.linalg.norm(u)
        if beta[j] <= 1e-12 * scale:
            return Krylov(alpha[: j + 1], beta[:j], basis[: j + 1].T, 0.0)
        if j + 1 < steps:
            basis[j + 1] = u / beta[j]
    return Krylov(alpha, beta[:-1], basis.T, float(beta[-1]))


def ritz(krylov: Krylov) -> Ritz:
    """Diagonalise T = Y diag(values) Y^T: the eigenpairs of A as far as the basis sees them.

    |A x - value x| of x = Q y is beta_m |e_m^T y|, with no further product. Each eigenvector of T is a
    COLUMN of Y.

    Returns:
        Values in rising order, vectors, and the residuals.
    """
    T = np.diag(krylov.alpha) + np.diag(krylov.beta, 1) + np.diag(krylov.beta, -1)
    values, Y = np.linalg.eigh(T)
    return Ritz(values, krylov.basis @ Y, krylov.residual * np.abs(Y[-1]))


def spectral_density(mv: Product, n: int, *, steps: int, probes: int, rng: np.random.Generator) -> Density:
    """Estimate the distribution of all n eigenvalues by stochastic Lanczos quadrature.

    For each probe, a random direction (a vector of standard normal numbers), `lanczos` of ``steps`` steps;
    its points are the Ritz values, its weights (e_1^T y_i)^2, the squares of the FIRST row of Y, over the
    number of probes. sum weights * f(values) then estimates tr f(A) / n.

    Args:
        mv: v (n,) -> A v (n,), A symmetric.
        n: the length of the vectors.
        steps: m >= 1 for each probe; no more than n are made.
        probes: >= 1.
        rng: for the probes.

    Returns:
        Points and weights of all probes, in rising order of the values.

    Raises:
        ValueError: probes or steps is below 1 (named); or as `lanczos`.
    """
    if probes < 1:
        raise ValueError(f"probes must be at least 1, got {probes}")
    values, weights = [], []
    for _ in range(probes):
        krylov = lanczos(mv, rng.standard_normal(n), min(steps, n))
        T = np.diag(krylov.alpha) + np.diag(krylov.beta, 1) + np.diag(krylov.beta, -1)
        t, Y = np.linalg.eigh(T)
        values.append(t)
        weights.append(Y[0] ** 2 / probes)
    order = np.argsort(np.concatenate(values), kind="stable")
    return Density(np.concatenate(values)[order], np.concatenate(weights)[order])


def smooth(density: Density, grid: ArrayLike, width: float) -> Array:
    """Draw the points as a curve: each a Gaussian bell of area ``weight`` and standard deviation ``width``.

    Args:
        density: points and weights.
        grid: (G,), where to draw.
        width: > 0, in the unit of the eigenvalues.

    Returns:
        (G,), a density whose integral is 1.

    Raises:
        ValueError: width is not positive; the message names it.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    z = (np.asarray(grid, np.float64)[:, None] - density.values) / width  # (G, points)
    return np.exp(-0.5 * z * z) @ density.weights / (width * sqrt(2 * pi))


def hutchinson(
    mv: Product, n: int, *, probes: int, rng: np.random.Generator, kind: str = "rademacher"
) -> Estimate:
    """Estimate the trace of a matrix as the mean of z^T A z over random z with E z z^T = I.

    One probe has the variance 2 (|A|_F^2 - sum a_ii^2) with signs ("rademacher"), which see the diagonal
    exactly, and 2 |A|_F^2 with normal numbers ("gaussian"), for a symmetric A.

    Args:
        mv: v (n,) -> A v (n,).
        n: the length of the vectors.
        probes: >= 2.
        rng: for the probes.
        kind: "rademacher", each entry +1 or -1, or "gaussian".

    Returns:
        The mean, and its standard error: the standard deviation of the probes (divisor probes - 1) over
        sqrt(probes).

    Raises:
        ValueError: kind is another word, or probes is below 2; the message names it.
    """
    if kind not in ("rademacher", "gaussian"):
        raise ValueError(f'kind must be "rademacher" or "gaussian", got {kind!r}')
    if probes < 2:
        raise ValueError(f"probes must be at least 2, to estimate the error, got {probes}")
    seen = np.empty(probes)
    for i in range(probes):
        z = rng.choice((-1.0, 1.0), size=n) if kind == "rademacher" else rng.standard_normal(n)
        seen[i] = z @ mv(z.copy())
    return Estimate(float(seen.mean()), float(seen.std(ddof=1) / sqrt(probes)))
