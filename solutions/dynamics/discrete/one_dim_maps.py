r"""From convergence to chaos: gradient descent in one dimension as a map, iterated.

    x <- F(x) = x - lr V'(x)        fixed points F(x) = x: where V' = 0, whatever lr
    multiplier of a cycle x_1 ... x_p:   F'(x_1) ... F'(x_p);   the cycle attracts if it is inside (-1, 1)
    Lyapunov exponent l:   mean of ln |F'(x_k)| along an orbit; neighbours part as exp(l k)

A multiplier that leaves through -1 doubles the period. On V = (x^2 - 1)^2 / 4, F(x) = (1 + lr) x - lr x^3:
the minima lose stability at lr = 1, their 2-cycle at sqrt(5) - 1, then come 4, 8, ... and chaos; beyond
lr = 2 the orbit escapes. To overshoot, to oscillate for ever and to diverge are three different things.

Shapes   x a float or an array of independent orbits; an orbit (steps + 1, *x.shape), from the start on.
Source   Strogatz 2015, "Nonlinear dynamics and chaos", 2nd ed., sec. 10.1-10.5; Van den Doel & Ascher 2012,
         "The chaotic nature of faster gradient descent methods".
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from numpy.typing import ArrayLike

Map = Callable[[np.ndarray], np.ndarray]  # elementwise: it takes floats and arrays alike

ESCAPED = 1e6  # an orbit that gets farther from 0 diverges, as far as this file is concerned
HALVINGS = 64  # of an interval: to the last bit of its ends


def gd_map(gradient: Map, lr: float | np.ndarray) -> Map:
    """Make the map of a step of gradient descent: x -> x - lr gradient(x).

    Args:
        gradient: V', elementwise.
        lr: learning rate, or one for each element of x.
    """
    return lambda x: x - lr * gradient(x)


def orbit(step: Map, x0: ArrayLike, steps: int) -> np.ndarray:
    """Iterate a map.

    Args:
        step: the map F, elementwise.
        x0: where it begins: a float, or an array of several starts.
        steps: >= 0.

    Returns:
        (steps + 1, *x0.shape): x0, F(x0), F(F(x0)), ...; float64. What overflows is inf or NaN, without a
        warning.
    """
    x = np.asarray(x0, np.float64)
    path = np.empty((steps + 1, *x.shape))
    path[0] = x
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(steps):
            path[k + 1] = step(path[k])
    return path


def cobweb(step: Map, x0: float, steps: int) -> np.ndarray:
    """Give the corners of the cobweb: up or down to the graph of F, then across to the diagonal.

    Args:
        step, steps: as for `orbit`.
        x0: a float.

    Returns:
        (2 steps + 1, 2): (x0, x0), (x0, x1), (x1, x1), (x1, x2), ..., (xn, xn).
    """
    x = np.repeat(orbit(step, x0, steps), 2)  # x0 x0 x1 x1 ... xn xn
    return np.stack([x[:-1], x[1:]], axis=1)


def fixed_points(step: Map, grid: ArrayLike) -> np.ndarray:
    """Find the fixed points of a map in an interval: zeros of F(x) - x, by bisection.

    Args:
        step: F, continuous, elementwise.
        grid: (G,), increasing, G >= 2. Where F(x) - x changes its sign between two neighbours there is a
            zero; where it is 0 at a point of the grid that point is one; where it only touches 0 in between
            none is found.

    Returns:
        (P,), increasing, each once, exact to rounding.
    """
    grid = np.asarray(grid, np.float64)
    side = np.sign(step(grid) - grid)
    change = side[:-1] * side[1:] < 0
    low, high, left = grid[:-1][change], grid[1:][change], side[:-1][change]
    for _ in range(HALVINGS if low.size else 0):
        middle = (low + high) / 2
        right = np.sign(step(middle) - middle) == left  # the zero is to the right of the middle
        low, high = np.where(right, middle, low), np.where(right, high, middle)
    return np.sort(np.concatenate([grid[side == 0], (low + high) / 2]))


def multiplier(slope: Map, cycle: ArrayLike) -> float:
    """Give by how much a small error has grown after once around a cycle: the product of F' over its points.

    Args:
        slope: F', elementwise: 1 - lr V'' for gradient descent.
        cycle: (P,), the points; a fixed point is a cycle of one.

    Returns:
        Inside (-1, 1) the cycle attracts; at -1 its period doubles.
    """
    return float(prod(np.asarray(slope(np.asarray(cycle, np.float64)), np.float64).ravel().tolist()))


def period(
    step: Map, x0: float, *, transient: int = 2000, longest: int = 64, tol: float = 1e-8
) -> int | None:
    """Find the period that an orbit settles into.

    Args:
        step: F.
        x0: start.
        transient: steps to forget first. Near a doubling orbits settle slowly: give it thousands.
        longest: the longest period to look for.
        tol: x_k and x_(k+p) count as equal if they differ by at most this.

    Returns:
        The smallest p in 1 ... longest with |x_(k+p) - x_k| <= tol at each of the first ``longest`` points
        x_k after the transient; None if there is none: a longer period, or chaos.

    Raises:
        OverflowError: the orbit escapes, farther than 1e6 from 0 or to NaN; the message names x0. Divergence
            is not an oscillation.
    """
    x = _bounded(step, x0, transient + 2 * longest)[transient:]
    for p in range(1, longest + 1):
        if np.all(np.abs(x[p : p + longest] - x[:longest]) <= tol):
            return p
    return None


def lyapunov(step: Map, slope: Map, x0: float, *, transient: int = 1000, steps: int = 10_000) -> float:
    """Estimate the Lyapunov exponent: the mean of ln |F'(x)| over ``steps`` points after the transient.

    Args:
        step, slope: F and F', elementwise.
        x0: start.
        transient, steps: how many points to forget, and to average over.

    Returns:
        Below 0: neighbours come together, the orbit is periodic. Above 0: chaos. -inf if F' is 0 at a point.

    Raises:
        OverflowError: as `period`.
    """
    x = _bounded(step, x0, transient + steps - 1)[transient:]
    with np.errstate(divide="ignore"):  # ln 0 = -inf: a cycle through a point of slope 0 attracts at once
        return float(np.mean(np.log(np.abs(slope(x)))))


def bifurcation(
    gradient: Map, lrs: ArrayLike, x0: float, *, transient: int = 1000, keep: int = 64
) -> np.ndarray:
    """Give where gradient descent ends up for each learning rate: the points of a bifurcation diagram.

    Args:
        gradient: V', elementwise.
        lrs: (M,), the rates; their orbits run side by side.
        x0: the start of all.
        transient: steps to forget.
        keep: points to keep, >= 1.

    Returns:
        (M, keep): the points after ``transient``, ``transient`` + 1, ... steps; NaN in all of a row whose
        orbit has ever been farther than 1e6 from 0, or NaN. No warnings.
    """
    lrs = np.asarray(lrs, np.float64)
    path = orbit(gd_map(gradient, lrs), np.full(lrs.shape, float(x0)), transient + keep - 1)
    escaped = ~np.all(np.abs(path) <= ESCAPED, axis=0)  # NaN compares false
    return np.where(escaped, np.nan, path[transient:]).T.copy()


def _bounded(step: Map, x0: float, steps: int) -> np.ndarray:
    """The orbit, (steps + 1,), if it does not escape."""
    x = orbit(step, x0, steps)
    inside = np.abs(x) <= ESCAPED
    if not np.all(inside):
        k = int(np.argmin(inside))
        raise OverflowError(
            f"the orbit from {x0} is at {x[k]} after {k} steps: it diverges, expected below {ESCAPED:g}"
        )
    return x
