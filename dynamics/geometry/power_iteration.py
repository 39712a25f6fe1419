r"""Power iteration: multiply, normalise, repeat; what is left is the direction in which a matrix is largest.

    v <- A v / |A v|        rho = v^T A v        residual |A v - rho v|

After k products the parts of the start along the eigenvectors are a_i^k c_i: the largest |a_i| wins. The
error of the vector shrinks by |a_2 / a_1| a step, that of the Rayleigh quotient rho by its square.

The largest by magnitude ("LM") is not the largest by value ("LA"). With eigenvalues -10 and 7 the iteration
finds -10, which is no sharpness: 7 is. All eigenvalues of A + c I with c = 10 are >= 0, in the order of A's,
so that its largest by magnitude is A's largest by value, plus c.

Further eigenvectors are found among the vectors orthogonal to the ones before. Taking those out of the start
alone is not enough: rounding brings them back, and a product multiplies them faster than anything else.

Shapes   A (n, n), symmetric, known only by the product mv: (n,) -> (n,); k eigenpairs.
Source   Golub & Van Loan 2013, "Matrix computations", 4th ed., sec. 8.2.1 (the power method); Parlett 1998,
         "The symmetric eigenvalue problem", sec. 4.2 (its convergence), 4.5 (the residual bound), 5.1-5.2
         (deflation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Array: TypeAlias = np.ndarray
Product: TypeAlias = Callable[[Array], Array]

MIX = 0.01  # of a warm start is random: a start that lacks a direction never finds it


class Eigenpair(NamedTuple):
    """An estimate of an eigenvalue and its vector, which has length 1, and what it cost."""

    value: float
    vector: Array  # (n,)
    residual: float  # |A v - value v|: an eigenvalue is no further than that from value
    products: int  # calls of mv
    converged: bool


class Eigenpairs(NamedTuple):
    """Several of them, in the order of `which`."""

    values: Array  # (k,)
    vectors: Array  # (n, k), orthonormal columns
    products: int  # calls of mv
    converged: bool  # all of them


def power_iteration(
    mv: Product, start: ArrayLike, *, tol: float = 1e-8, max_iter: int = 1000, scale: float = 0.0
) -> Eigenpair:
    """Find the eigenvalue of largest magnitude that the start has a part along.

    From v = start / |start|: one product A v, the Rayleigh quotient of v and its residual; end if

        residual <= tol * max(|A v|, scale)

    and go on with A v / |A v|. What is returned is the v of the last product with its own quotient, so
    that after m products v is along A^(m-1) start.

    With eigenvalues s and -s of the same magnitude v never settles: it alternates between two vectors. Then
    v_before + v is an eigenvector of s = |A v_before|, since A v = s v_before. If its residual is within the
    tolerance it is returned, with +s: the tie goes to the positive one.

    Args:
        mv: v (n,) -> A v (n,), A symmetric; gets an array of its own.
        start: (n,), finite, not 0; only read.
        tol: > 0, relative.
        max_iter: products, >= 1.
        scale: >= 0, of a larger matrix of which this one is a part: below tol * scale all is rounding.

    Returns:
        The pair; ``converged`` tells whether the residual, or the tie's, is within the tolerance.

    Raises:
        ValueError: start is not a vector (its shape is named), is 0 or not finite; tol is not positive or
            max_iter below 1 (named); or mv returned another shape (both are named) or something that is
            not finite.
    """
    raise NotImplementedError("dynamics.geometry.power_iteration: TODO 1 of 3, power_iteration")


def deflate(mv: Product, vectors: Array) -> Product:
    """Hide the eigenvectors that are known: v -> P A P v, with P = I - Q Q^T.

    The rest of the spectrum stays as it is, and what was found has eigenvalue 0. P stands on both sides: what
    rounding puts into v along Q is taken out before the product as well as after it.

    Args:
        mv: v (n,) -> A v (n,).
        vectors: Q (n, k), orthonormal columns; k = 0 hides nothing.

    Returns:
        A function of v, which it only reads.
    """
    raise NotImplementedError("dynamics.geometry.power_iteration: TODO 2 of 3, deflate")


def top_eigenpairs(
    mv: Product,
    n: int,
    k: int = 1,
    *,
    which: str = "LA",
    rng: np.random.Generator,
    start: ArrayLike | None = None,
    tol: float = 1e-8,
    max_iter: int = 1000,
) -> Eigenpairs:
    """Find the k largest eigenvalues, by value or by magnitude, one after another.

    Each starts from a random direction orthogonal to those found. By value: where the iteration comes to a
    negative eigenvalue -c, it starts again on A + c I (on P (A + c I) P, so that what was found stays at 0,
    below the rest), and c is kept for the next.

    Args:
        mv: v (n,) -> A v (n,), A symmetric.
        n: the length of the vectors.
        k: how many, in [1, n].
        which: "LA", largest by value ("largest algebraic"), or "LM", largest by magnitude.
        rng: for the starts.
        start: (n,), a guess of the first eigenvector, of any length, as from the step of training before.
            Made of length 1, `MIX` of it is replaced by a random direction, lest it be orthogonal to what it
            should find.
        tol, max_iter: of each iteration, see `power_iteration`; ``scale`` is the largest |eigenvalue| and
            shift so far.

    Returns:
        The values in falling order, of the values or of their magnitudes, and their vectors. Values closer
        to each other than tol may change places.

    Raises:
        ValueError: which is another word, or k is not in [1, n], or start is not (n,); the message names the
            word, k and n, or both shapes. Or start is 0 or not finite; or as `power_iteration`.
    """
    raise NotImplementedError("dynamics.geometry.power_iteration: TODO 3 of 3, top_eigenpairs")


def _unit(v: Array) -> Array:
    """V, made of length 1; a 0 is left alone."""
    return v / (np.linalg.norm(v) or 1.0)


def _checked(u: ArrayLike, v: Array) -> Array:
    """What mv returned, as a finite array of the shape of v."""
    u = np.asarray(u, np.float64)
    if u.shape != v.shape:
        raise ValueError(f"mv returned shape {u.shape} for a vector of shape {v.shape}: expected the same")
    if not np.isfinite(u).all():
        at = int(np.argmin(np.isfinite(u)))
        raise ValueError(f"mv returned {u[at]} at index {at}, expected finite numbers")
    return u
