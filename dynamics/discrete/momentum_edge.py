r"""Momentum on a quadratic: two roots instead of one multiplier, and an edge of stability that they move.

    heavy_ball    v <- beta v + g(x)                          x <- x - lr v        (PyTorch, Polyak)
    nesterov      v <- beta v + g(x - lr beta v)              x <- x - lr v
    ema           v <- beta v + (1 - beta) g(x)               x <- x - lr v        (Adam's first moment)

Along a direction of curvature a, with s = lr a, the error obeys e_(k+1) = p e_k - q e_(k-1): its solutions
are powers of the roots of z^2 - p z + q, the eigenvalues of the companion matrix [[p, -q], [1, 0]].

                  p                         q                edge: the largest stable s
    heavy_ball    1 + beta - s              beta             2 (1 + beta)
    nesterov      (1 + beta) (1 - s)        beta (1 - s)     2 (1 + beta) / (1 + 2 beta)
    ema           1 + beta - (1 - beta) s   beta             2 (1 + beta) / (1 - beta)

Both roots lie inside the unit circle if and only if |q| < 1 and |p| < 1 + q. For a > 0 the first to fail is
p > -(1 + q), which is the edge. beta = 0 is gradient descent: root 1 - s, edge 2. So "sharpness against
2 / lr" is right for gradient descent alone; three optimizers that all say "momentum 0.9" leave stability at a
sharpness of 3.8 / lr, 1.36 / lr and 38 / lr.

Shapes   x and v (D,); a path (steps + 1, D), from the start on.
Source   Polyak 1964, "Some methods of speeding up the convergence of iteration methods", sec. 3; Lessard,
         Recht & Packard 2016, arXiv:1408.3595, Prop. 1; O'Donoghue & Candes 2015, arXiv:1204.3982, sec. 4;
         Cohen et al. 2021, arXiv:2103.00065, app. B; Cohen et al. 2022, arXiv:2207.14484, sec. 2.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from optimization.optimizers.momentum import contraction, polyak_optimum

KINDS = ("heavy_ball", "nesterov", "ema")
ROUNDING = 1e-12  # relative: what differs by less may be equal but for rounding


def trajectory(
    gradient: Callable[[np.ndarray], np.ndarray],
    x0: ArrayLike,
    lr: float,
    momentum: float,
    steps: int,
    kind: str = "heavy_ball",
) -> np.ndarray:
    """Follow one of the three methods of this file from rest, v = 0.

    Args:
        gradient: from a point (D,) to the gradient there, (D,).
        x0: (D,), the start.
        lr: learning rate.
        momentum: beta, in [0, 1).
        steps: >= 0; each asks for one gradient.
        kind: "heavy_ball", "nesterov" or "ema".

    Returns:
        (steps + 1, D): x0 first, then x after each step (for nesterov x, not the look-ahead point where the
        gradient was taken); a new array of float64.

    Raises:
        ValueError: momentum is not in [0, 1), or kind unknown; the message names the value.
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 1 of 8, trajectory")


def characteristic(
    lr: float, momentum: float, curvature: float, kind: str = "heavy_ball"
) -> tuple[float, float]:
    """Give p and q of the recurrence e_(k+1) = p e_k - q e_(k-1) along a direction; the table of this file.

    Args:
        lr: learning rate.
        momentum: beta, in [0, 1).
        curvature: eigenvalue of the Hessian, of any sign.
        kind: as in `trajectory`.

    Raises:
        ValueError: as `trajectory`.
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 2 of 8, characteristic")


def companion(lr: float, momentum: float, curvature: float, kind: str = "heavy_ball") -> np.ndarray:
    """Give the matrix that takes two errors in a row to the next two: (e_k, e_(k-1)) to (e_(k+1), e_k).

    Args, raises: as `characteristic`.

    Returns:
        (2, 2), float64.
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 3 of 8, companion")


def rate(lr: float, momentum: float, curvature: ArrayLike, kind: str = "heavy_ball") -> np.ndarray:
    """Give the factor by which a step shrinks the error in the long run: the larger |z| of the two roots.

    Only in the long run: where the roots are equal, z, the error goes as k z^k at first.

    Args:
        curvature: (D,) or of any shape, any signs.
        lr, momentum, kind, raises: as `characteristic`.

    Returns:
        Of the curvature's shape; above 1 the error grows.
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 4 of 8, rate")


def edge(lr: float, momentum: float, kind: str = "heavy_ball") -> float:
    """Give the largest curvature at which the method is stable: the edge of this file's table over lr.

    The formula is its own inverse: given a curvature for ``lr``, it is the largest stable learning rate.

    Args:
        lr: learning rate, > 0.
        momentum: beta, in [0, 1).
        kind: as in `trajectory`.

    Raises:
        ValueError: as `trajectory`, or lr is not positive; the message names it.

    >>> edge(0.1, 0.0), edge(0.1, 0.5), edge(0.1, 0.5, "nesterov"), edge(0.1, 0.5, "ema")
    (20.0, 30.0, 15.0, 60.0)
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 5 of 8, edge")


def critical_momentum(lr: float, curvature: float, kind: str = "heavy_ball") -> float:
    """Give the momentum of critical damping: where the two roots are equal and positive, the fastest decay.

    With t = sqrt(lr curvature): (1 - t)^2 for heavy_ball, (1 - t) / (1 + t) for nesterov; for ema, whose
    gradients weigh 1 - beta, ((1 - s) / (1 + s))^2 with s = lr curvature. Less momentum is overdamped, more
    is underdamped.

    Args:
        lr, curvature: their product in (0, 1].
        kind: as in `trajectory`.

    Raises:
        ValueError: kind is unknown, or the product outside (0, 1]: the message names it.
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 6 of 8, critical_momentum")


def regime(lr: float, momentum: float, curvature: float, kind: str = "heavy_ball") -> str:
    """Tell in a word what the error does along a direction, by the two roots z.

        "ascent"       the curvature is negative: a root above 1
        "marginal"     at the edge, or the curvature is 0: a root of -1 or 1
        "divergent"    beyond the edge: a root below -1
        "critical"     inside the edge, p^2 = 4 q: two equal roots
        "underdamped"  p^2 < 4 q: two complex roots, it swings with a period of its own
        "overdamped"   p^2 > 4 q, p > 0: two real ones, the larger positive: it creeps
        "alternating"  p^2 > 4 q, p < 0: two real ones, the larger negative: each step it changes sides

    p and q are rounded: p^2 and 4 q that differ by less than 1e-12 (p^2 + 4 |q|) count as equal, and so does
    a curvature that differs from the edge by a relative 1e-12.

    Args, raises: as `characteristic`; and lr must be positive, the message names it.
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 7 of 8, regime")


def optimal(smallest: float, largest: float, kind: str = "heavy_ball") -> tuple[float, float, float]:
    """Give the fastest setting on quadratics with curvatures in [smallest, largest], and how fast it is.

    With c = largest / smallest:

        heavy_ball   lr = 4 / (sqrt(largest) + sqrt(smallest))^2    momentum = rate^2
                     rate = (sqrt(c) - 1) / (sqrt(c) + 1)
        nesterov     lr = 4 / (3 largest + smallest)                rate = 1 - 2 / sqrt(3 c + 1)
                     momentum = (sqrt(3 c + 1) - 2) / (sqrt(3 c + 1) + 2)
        ema          as heavy_ball, but lr / (1 - momentum)

    Returns:
        (lr, momentum, rate).

    Raises:
        ValueError: not 0 < smallest <= largest: the message names both; or kind is unknown.
    """
    raise NotImplementedError("dynamics.discrete.momentum_edge: TODO 8 of 8, optimal")


def _check(momentum: float, kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}")
