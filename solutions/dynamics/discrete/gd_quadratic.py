r"""Gradient descent on a quadratic, solved: each eigenvector of the Hessian has a multiplier of its own.

    f(x) = 1/2 x^T A x - b^T x        x <- x - lr (A x - b)        A = Q diag(a) Q^T

In the coordinates z = Q^T x the directions do not know of each other, and with mu_i = 1 - lr a_i

    z_i <- mu_i z_i + lr (Q^T b)_i          z_i(k) = mu_i^k z_i(0) + s_i(k) (Q^T b)_i
    s_i(k) = lr (1 + mu_i + ... + mu_i^(k-1)) = (1 - mu_i^k) / a_i,  or k lr where a_i = 0

Written by s_i, and not as x* + Q diag(mu^k) Q^T (x0 - x*), the solution needs no minimum x*: it also holds
on flat directions and on saddles. All that descent does follows from mu: it converges if |mu_i| < 1 for all
i, so 0 < lr < 2 / max a; the slowest direction sets the rate; a negative mu_i is a zigzag.

Shapes   A (D, D) symmetric; b and x (D,); a path (steps + 1, D), from the start on.
Source   Nesterov 2004, "Introductory lectures on convex optimization", sec. 1.2.3 and 2.1.5; Goh 2017, "Why
         momentum really works", Distill, section "First steps: gradient descent".
"""

from __future__ import annotations

from math import ceil, inf, log

import numpy as np
from numpy.typing import ArrayLike

ROUNDING = 1e-12  # relative: what differs by less may be equal but for rounding


def trajectory(A: ArrayLike, b: ArrayLike, x0: ArrayLike, lr: float, steps: int) -> np.ndarray:
    """Walk down f(x) = 1/2 x^T A x - b^T x with the gradient A x - b.

    Args:
        A: (D, D), symmetric; any signs of the eigenvalues.
        b, x0: (D,).
        lr: learning rate.
        steps: >= 0.

    Returns:
        (steps + 1, D): x0 first, then the point after each step; a new array of float64.

    Raises:
        ValueError: A is not a square matrix, or b or x0 does not fit it: the message names its shape and A's.
            Or A is not symmetric, but for a relative 1e-12 of rounding: it names two entries that differ.
    """
    A, b, x = _problem(A, b, x0)
    path = np.empty((steps + 1, x.size))
    path[0] = x
    for k in range(steps):
        path[k + 1] = path[k] - lr * (A @ path[k] - b)
    return path


def closed_form(A: ArrayLike, b: ArrayLike, x0: ArrayLike, lr: float, k: ArrayLike) -> np.ndarray:
    """Give the point after k steps without walking there; the formula of this file.

    It holds for eigenvalues of any sign and for 0. An eigenvalue of 1e-17 that should be 0 must do no harm:
    1 - mu^k would be 0 by rounding, and is to be computed as -expm1(k log1p(-lr a)) where |lr a| is small.

    Args:
        A, b, x0, lr: as for `trajectory`.
        k: a number of steps >= 0, or several, (T,).

    Returns:
        (D,), or (T, D) for several.

    Raises:
        ValueError: as `trajectory`.
    """
    A, b, x0 = _problem(A, b, x0)
    curvature, Q = np.linalg.eigh(A)
    k = np.asarray(k)[..., None]  # (..., 1)
    turn = lr * curvature
    power = (1 - turn) ** k  # (..., D)
    small = np.abs(turn) < 0.5
    lost = np.where(small, -np.expm1(k * np.log1p(-np.where(small, turn, 0.0))), 1 - power)  # 1 - mu^k
    flat = curvature == 0
    pushed = np.where(flat, k * lr, lost / np.where(flat, 1.0, curvature))
    return (power * (x0 @ Q) + pushed * (b @ Q)) @ Q.T


def classify(lr: float, curvature: float) -> str:
    """Tell in a word what descent does along a direction, by its multiplier 1 - lr * curvature.

        lr * curvature    < 0        0, or 2      in (0, 1)    1            in (1, 2)       > 2
                          "ascent"   "marginal"   "monotone"   "one_step"   "oscillating"   "divergent"

    Marginal is neither nearer nor farther: it stands still, or jumps from side to side for ever. Products
    that differ from 1 or 2 by less than a relative 1e-12 count as equal: (1 / 49) * 49 is not 1 in floats.

    Raises:
        ValueError: the product is NaN; the message names both.
    """
    turn = lr * curvature
    if turn != turn:
        raise ValueError(f"lr * curvature must be a number, got lr {lr} and curvature {curvature}")
    if turn == 0 or abs(turn - 2) <= 2 * ROUNDING:
        return "marginal"
    if abs(turn - 1) <= ROUNDING:
        return "one_step"
    if turn < 0:
        return "ascent"
    return "monotone" if turn < 1 else "oscillating" if turn < 2 else "divergent"


def critical_lr(A: ArrayLike) -> float:
    """Give the learning rate at which descent stops being stable: 2 / (largest eigenvalue); inf for A = 0.

    Args:
        A: (D, D), symmetric, no negative eigenvalue, but for a relative 1e-12 of rounding.

    Raises:
        ValueError: as `trajectory` about A; or an eigenvalue is negative, so that no rate is stable: the
            message names it.
    """
    smallest, largest = _extremes(A)
    if smallest < -ROUNDING * max(largest, -smallest):
        raise ValueError(f"A has the eigenvalue {smallest:g}: along it every lr > 0 ascends, expected >= 0")
    return 2 / largest if largest > 0 else inf


def best_lr(A: ArrayLike) -> float:
    """Give the learning rate of the fastest worst direction: 2 / (smallest + largest eigenvalue).

    The multipliers of the two ends are then (c - 1) / (c + 1) and its negative, c = largest / smallest.

    Args:
        A: (D, D), symmetric, positive definite.

    Raises:
        ValueError: as `trajectory` about A; or the smallest eigenvalue is not above 1e-12 of the largest, so
            that it may be 0 but for rounding: the message names it.
    """
    smallest, largest = _extremes(A)
    if not smallest > ROUNDING * abs(largest):
        raise ValueError(f"A must be positive definite, its smallest eigenvalue is {smallest:g}")
    return 2 / (smallest + largest)


def rate(A: ArrayLike, lr: float) -> float:
    """Give the factor by which a step shrinks the error in the long run: max |1 - lr a|, a the eigenvalues.

    Above 1 the error grows. Raises: as `trajectory` about A.
    """
    return max(abs(1 - lr * a) for a in _extremes(A))  # |1 - lr a| is convex in a: largest at an end


def steps_to(eps: float, rate: float) -> int:
    """Count the steps after which an error that shrinks by ``rate`` is at most eps of what it was.

    Args:
        eps: > 0; from 1 on the answer is 0.
        rate: in [0, 1), or anything where eps >= 1.

    Returns:
        The smallest k >= 0 with rate^k <= eps. Try it: a quotient of logarithms is rounded, and ceil makes
        a whole step of that.

    Raises:
        ValueError: eps is not positive, or rate is not in [0, 1); the message names the value.

    >>> steps_to(0.125, 0.5)
    3
    """
    if not eps > 0:
        raise ValueError(f"eps must be above 0, got {eps}")
    if eps >= 1:
        return 0
    if not 0 <= rate < 1:
        raise ValueError(f"the error never shrinks to {eps}: rate must be in [0, 1), got {rate}")
    if rate == 0:
        return 1
    k = ceil(log(eps) / log(rate))
    near = (k - 1, k, k + 1)  # the quotient may be rounded, up as well: 29.000000000000004
    return next((n for n in near if rate**n <= eps), k)


def _problem(A: ArrayLike, b: ArrayLike, x0: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The three as float64 arrays that fit each other."""
    A = _symmetric(A)
    b, x0 = np.asarray(b, np.float64), np.asarray(x0, np.float64)
    for name, vector in (("b", b), ("x0", x0)):
        if vector.shape != A.shape[:1]:
            raise ValueError(f"{name} has shape {vector.shape} but A {A.shape}: expected {A.shape[:1]}")
    return A, b, x0


def _symmetric(A: ArrayLike) -> np.ndarray:
    """A as a float64 array, if it is a symmetric matrix."""
    A = np.asarray(A, np.float64)
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be a square matrix, got shape {A.shape}")
    gap = np.abs(A - A.T)
    if gap.size and gap.max() > ROUNDING * np.abs(A).max():
        i, j = (int(n) for n in np.unravel_index(gap.argmax(), gap.shape))
        raise ValueError(
            f"A must be symmetric, but A[{i}, {j}] is {A[i, j]:g} and A[{j}, {i}] is {A[j, i]:g}: "
            "take (A + A.T) / 2, which has the same x^T A x"
        )
    return A


def _extremes(A: ArrayLike) -> tuple[float, float]:
    """The smallest and the largest eigenvalue."""
    values = np.linalg.eigvalsh(_symmetric(A))
    return float(values[0]), float(values[-1])
