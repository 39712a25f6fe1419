r"""The modern Hopfield network: an energy with a narrow valley at each pattern, and attention as its descent.

    E(q) = 1/2 |q|^2 - lse(beta X q) / beta + log(P) / beta + M^2 / 2         lse(s) = log sum_p exp(s_p)
    f(q) = X^T softmax(beta X q) = q - grad E(q)                              M = max_p |x_p|

lse(beta s) / beta is a smooth maximum of the scores s = X q: E is a bowl from which the nearest pattern, and
no average of all of them, digs its valley. It is a convex function less a convex one; the update f is the
minimum of the first with the tangent of the second in its place, so E never rises, without any step size.

Softmax of scaled scores, times the patterns: f is attention with keys and values X, queries q and
beta = 1 / sqrt(D). A small beta answers with the mean of all patterns, a large one with the pattern itself;
how large it must be is told by the separation of the patterns. Scores are subtracted from their maximum
before exp, which would overflow from 710 on.

Shapes   X (P, D) patterns, real; q (..., D) states; keys K (P, D), values V (P, C).
Source   Ramsauer et al. 2021, "Hopfield networks is all you need", arXiv:2008.02217, eq. 2-5 and 10, theorems
         1-3; Yuille & Rangarajan 2003, "The concave-convex procedure", Neural Computation 15, 915.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from utils.math_utils import logsumexp, softmax

Array = np.ndarray


class Retrieval(NamedTuple):
    """The states passed, (steps + 1, D), the start first; and whether the last step was at most tol long."""

    path: Array
    converged: bool


def lookup(K: ArrayLike, V: ArrayLike, q: ArrayLike, beta: float) -> Array:
    """Answer each query with a mean of the values, weighted by how well their keys match it.

        softmax(beta q K^T) V

    Args:
        K: (P, D), a key a row.
        V: (P, C), its value.
        q: (D,) or a batch (..., D).
        beta: inverse temperature, > 0 and finite.

    Returns:
        (C,) or (..., C), float64; finite for scores of any size.

    Raises:
        ValueError: K or V is not a matrix, they differ in length, or the last axis of q is not D: the message
            names the shapes. Or beta is not positive and finite: it names the value.
    """
    K, q = _problem(K, q, beta)
    V = np.asarray(V, np.float64)
    if V.ndim != 2 or len(V) != len(K):
        raise ValueError(f"V must have a row for each row of K, of shape {K.shape}, got shape {V.shape}")
    return softmax(beta * (q @ K.T)) @ V  # (..., P) @ (P, C)


def update(X: ArrayLike, q: ArrayLike, beta: float) -> Array:
    """Take one step: the patterns are their own values, X^T softmax(beta X q).

    Args:
        X: (P, D).
        q: (D,) or a batch (..., D); not changed.
        beta: inverse temperature, > 0 and finite.

    Returns:
        The shape of q: a point between the patterns, in their convex hull.

    Raises:
        ValueError: as `lookup`.
    """
    return lookup(X, X, q, beta)


def energy(X: ArrayLike, q: ArrayLike, beta: float) -> Array:
    """Compute 1/2 |q|^2 - lse(beta X q) / beta + log(P) / beta + M^2 / 2, which is never negative,
    but for rounding.

    Args:
        X: (P, D).
        q: (D,) or a batch (..., D).
        beta: inverse temperature, > 0 and finite.

    Returns:
        (...), a float64 for one state.

    Raises:
        ValueError: as `lookup`.
    """
    X, q = _problem(X, q, beta)
    deepest = logsumexp(beta * (q @ X.T)) / beta  # (...)
    largest = np.max(np.sum(X * X, axis=1))  # M^2
    return 0.5 * np.sum(q * q, axis=-1) - deepest + np.log(len(X)) / beta + 0.5 * largest


def jacobian(X: ArrayLike, q: ArrayLike, beta: float) -> Array:
    """Differentiate the update: df/dq = beta times the covariance of the patterns under the weights.

        p = softmax(beta X q)        beta sum_p p_p (x_p - f(q)) (x_p - f(q))^T

    Positive semidefinite. A fixed point is a valley if its largest eigenvalue is below 1, which is then the
    factor by which a step shrinks a small error. The Hessian of the energy is the identity less this.

    Args:
        X: (P, D).
        q: (D,).
        beta: inverse temperature, > 0 and finite.

    Returns:
        (D, D), symmetric.

    Raises:
        ValueError: as `lookup`; or q is not one state, the message names its shape.
    """
    X, q = _problem(X, q, beta)
    _one(q)
    weights = softmax(beta * (X @ q))  # (P,)
    apart = X - weights @ X  # centred first: X^T diag(p) X - f f^T loses the digits where p is nearly one-hot
    return beta * (apart.T * weights) @ apart


def retrieve(
    X: ArrayLike, q: ArrayLike, beta: float, *, tol: float = 1e-10, max_steps: int = 1000
) -> Retrieval:
    """Repeat the update until a step is at most tol long (Euclidean norm), that step included.

    Args:
        X: (P, D).
        q: (D,), the start; not changed.
        beta: inverse temperature, > 0 and finite.
        tol: >= 0.
        max_steps: >= 1.

    Returns:
        The path, from q on, and whether it converged within max_steps.

    Raises:
        ValueError: as `jacobian`; or max_steps is below 1, the message names it.
    """
    X, q = _problem(X, q, beta)
    _one(q)
    if max_steps < 1:
        raise ValueError(f"max_steps must be at least 1, got {max_steps}")
    path = [q]
    while len(path) <= max_steps:
        path.append(update(X, path[-1], beta))
        if np.linalg.norm(path[-1] - path[-2]) <= tol:
            return Retrieval(np.stack(path), True)
    return Retrieval(np.stack(path), False)


def separation(X: ArrayLike) -> Array:
    """Measure by how much each pattern's score with itself exceeds its largest with another.

        Delta_p = x_p . x_p - max_(r != p) x_p . x_r

    Args:
        X: (P, D).

    Returns:
        (P,): negative where another pattern wins, 0 for a repeated one, inf for a single pattern.

    Raises:
        ValueError: X is not a matrix with at least one row; the message names its shape.
    """
    scores = _patterns(X) @ _patterns(X).T
    own = np.diag(scores).copy()
    np.fill_diagonal(scores, -np.inf)
    return own - scores.max(axis=1)


def retrieval_bound(X: ArrayLike, beta: float) -> Array:
    """Bound the error |f(x_p) - x_p| of one step from each pattern, by the separation.

        |f(x_p) - x_p| <= (1 - p_p) 2 M        1 - p_p <= min(1, (P - 1) exp(-beta Delta_p))

    with p_p the weight of pattern p in its own update, and M the largest norm.

    Args:
        X: (P, D).
        beta: inverse temperature, > 0 and finite.

    Returns:
        (P,): 2 M min(1, (P - 1) exp(-beta Delta)), 0 for a single pattern; without overflow.

    Raises:
        ValueError: as `separation`; or beta is not positive and finite, the message names it.
    """
    X = _patterns(X)
    _warm(beta)
    if len(X) == 1:
        return np.zeros(1)
    others = np.exp(np.minimum(0.0, np.log(len(X) - 1) - beta * separation(X)))  # cut before exp overflows
    return 2 * np.max(np.linalg.norm(X, axis=1)) * others


def _problem(X: ArrayLike, q: ArrayLike, beta: float) -> tuple[Array, Array]:
    X, q = _patterns(X), np.asarray(q, np.float64)
    if q.shape[-1:] != X.shape[1:]:
        raise ValueError(f"q has shape {q.shape}, expected (..., {X.shape[1]}) for patterns of {X.shape}")
    _warm(beta)
    return X, q


def _patterns(X: ArrayLike) -> Array:
    X = np.asarray(X, np.float64)
    if X.ndim != 2 or len(X) == 0:
        raise ValueError(f"patterns must be the rows of a matrix, at least one, got shape {X.shape}")
    return X


def _one(q: Array) -> None:
    if q.ndim != 1:
        raise ValueError(f"q must be one state, got shape {q.shape}")


def _warm(beta: float) -> None:
    if not 0 < beta < np.inf:
        raise ValueError(f"beta must be positive and finite, got {beta}")
