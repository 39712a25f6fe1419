r"""Solvers for dy/dt = f(t, y): every one of them is a Runge-Kutta method, a table of numbers and one loop.

    Y_i = y + h sum_j a_ij k_j,     k_i = f(t + c_i h, Y_i),     y(t + h) ~ y + h sum_i b_i k_i

A step samples the slope field in s places, each found with the slopes before it, and goes along their mean.
Order p: the error at a fixed time falls as h^p, because y + h sum b_i k_i agrees with the Taylor series of
the solution up to h^p. Stability is another matter. On y' = lambda y a step multiplies y by R(h lambda), and
where |R| > 1 a solution that should decay explodes, however high the order. An explicit method has a
polynomial R, which leaves the unit disc; where a_ii is not 0 the stage is an equation to solve, R is a
rational function, and it need not. `backward_euler` and `trapezoid` are stable for every decay and every h.

An adaptive method computes two answers of different order from the same slopes. Their difference is an
estimate of the error, and the next step is as long as that error, which grows as h^p, may be.

Shapes   y any shape S, D its number of elements; ts (T,); a path (T, *S); s stages.
Source   Hairer, Norsett & Wanner 1993, "Solving ordinary differential equations I", sec. II.1 (methods),
         II.4 (error control, first step), table II.5.2 (Dormand-Prince); Hairer & Wanner 1996, part II,
         sec. IV.3 (R), IV.8 (Newton for the stages).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
Field = Callable[[float, Array], Array]  # f(t, y): the slope, of y's shape

NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-10  # of the last update; convergence is quadratic, so that the error is far smaller
SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0  # of an adaptive step: aim below the tolerance, change by no more


@dataclass(frozen=True)
class Tableau:
    """A Runge-Kutta method: stage i stands at t + c[i] h and uses the slopes 0 ... i with weights a[i].

    Attributes:
        c: (s,) where in the step each stage stands.
        a: row i has i + 1 weights. The last belongs to the stage itself: where it is not 0, it is implicit.
        b: (s,) the weights of the step.
        order: the power of h with which the error at a fixed time falls.
        error: (s,) b minus the weights of a method of order - 1: an estimate of the error. None: no estimate.
    """

    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int
    error: tuple[float, ...] | None = None


METHODS = {
    "euler": Tableau((0,), ((0,),), (1,), 1),
    "midpoint": Tableau((0, 1 / 2), ((0,), (1 / 2, 0)), (0, 1), 2),
    "heun": Tableau((0, 1), ((0,), (1, 0)), (1 / 2, 1 / 2), 2),
    "rk4": Tableau(
        (0, 1 / 2, 1 / 2, 1),
        ((0,), (1 / 2, 0), (0, 1 / 2, 0), (0, 0, 1, 0)),
        (1 / 6, 1 / 3, 1 / 3, 1 / 6),
        4,
    ),
    "rk4_38": Tableau(
        (0, 1 / 3, 2 / 3, 1),
        ((0,), (1 / 3, 0), (-1 / 3, 1, 0), (1, -1, 1, 0)),
        (1 / 8, 3 / 8, 3 / 8, 1 / 8),
        4,
    ),
    "backward_euler": Tableau((1,), ((1,),), (1,), 1),
    "trapezoid": Tableau((0, 1), ((0,), (1 / 2, 1 / 2)), (1 / 2, 1 / 2), 2),
    "dopri5": Tableau(
        (0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1),
        (
            (0,),
            (1 / 5, 0),
            (3 / 40, 9 / 40, 0),
            (44 / 45, -56 / 15, 32 / 9, 0),
            (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0),
            (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0),
            (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0),
        ),
        (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0),
        5,
        (71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),
    ),
}


class Solution(NamedTuple):
    """The path (T, *S), its first entry y0, and the number of calls of f that it cost."""

    ys: Array
    nfe: int


def solve_stage(f: Field, t: float, base: Array, weight: float, guess: Array) -> Array:
    """Solve Y = base + weight f(t, Y) by Newton's method: (I - weight J) dY = base + weight f(t, Y) - Y.

    Iterating the equation itself would diverge just where an implicit method is wanted, |weight J| > 1. Each
    Newton step takes its own J, df_i/dY_j, by one-sided differences: Y_j is moved by 1.5e-8 max(1, |Y_j|),
    the root of the machine's precision.

    Args:
        f: slope at (t, Y).
        base, guess: any shape S; the iteration begins at ``guess``.
        weight: h a_ii.

    Returns:
        Y, of shape S, after the first update whose largest entry is at most 1e-10 times the largest of Y.

    Raises:
        RuntimeError: not reached in 50 steps, or no unique step (a singular matrix); the message names t.
    """
    y = np.array(guess, np.float64)
    eye = np.eye(y.size)
    for _ in range(NEWTON_STEPS):
        slope = f(t, y)
        jacobian = np.empty((y.size, y.size))
        for j, step in enumerate(2.0**-26 * np.maximum(1, np.abs(y.reshape(-1)))):
            moved = y + (step * eye[j]).reshape(y.shape)
            jacobian[:, j] = (f(t, moved) - slope).reshape(-1) / step
        residual = (base + weight * slope - y).reshape(-1)
        try:
            update = np.linalg.solve(eye - weight * jacobian, residual).reshape(y.shape)
        except np.linalg.LinAlgError:
            break
        y = y + update
        if np.max(np.abs(update), initial=0) <= NEWTON_TOLERANCE * np.max(np.abs(y), initial=0):
            return y
    raise RuntimeError(f"Newton's method did not solve the stage at t = {t}: take a smaller step")


def rk_step(
    f: Field, t: float, y: Array, h: float, tableau: Tableau, first: Array | None = None
) -> tuple[Array, list[Array]]:
    """One step of length h with any method of `METHODS`.

    Args:
        f: called once for each explicit stage, in order.
        t, y: where the step begins; y of any shape S.
        h: its length; negative goes back in time.
        tableau: the method.
        first: f(t, y) where it is known already: stage 0 then costs nothing. For methods whose stage 0
            is explicit and stands at c = 0.

    An implicit stage begins Newton's method at y, and its slope is (Y - base) / (h a_ii): f(Y) would multiply
    what Newton left over by the stiffness.

    Returns:
        (y at t + h, the s slopes k_i).
    """
    slopes: list[Array] = []
    for i, (c, row) in enumerate(zip(tableau.c, tableau.a, strict=True)):
        if i == 0 and first is not None:
            slopes.append(first)
            continue
        base = y + h * _mix(row, slopes)
        if row[-1]:
            stage = solve_stage(f, t + c * h, base, h * row[-1], y)
            slopes.append((stage - base) / (h * row[-1]))
        else:
            slopes.append(f(t + c * h, base))
    return y + h * _mix(tableau.b, slopes), slopes


def error_norm(error: Array, y: Array, y_new: Array, rtol: float, atol: float) -> float:
    """The error in units of what is tolerated: root mean square of error / (atol + rtol max(|y|, |y_new|)).

    At most 1 means good enough. Not finite where any argument is not.

    Args:
        error, y, y_new: of one shape S, elementwise.
        rtol, atol: relative and absolute tolerance of each element.
    """
    scale = atol + rtol * np.maximum(np.abs(y), np.abs(y_new))
    if not np.isfinite(scale).all():  # an error divided by inf would be 0: perfect
        return inf
    return sqrt(np.mean(np.square(error / scale)))


def odeint(
    f: Field,
    y0: ArrayLike,
    ts: ArrayLike,
    method: str = "dopri5",
    *,
    substeps: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    max_steps: int = 100_000,
) -> Solution:
    """Solve y' = f(t, y), y(ts[0]) = y0, and return y at all ts.

    A method with a fixed step cuts every interval of ``ts`` into ``substeps`` equal steps, and computes the
    time of each from the ends, t_k + j h, so that nothing is lost by adding h over and over.

    `dopri5` chooses its own steps. It accepts one whose `error_norm` e is at most 1, and multiplies the
    length, after an acceptance or a refusal, by 0.9 e^(-1/5), at least 0.2 and at most 10. A step is cut to
    end at the next of ``ts``. An error that is not finite counts as a step too long.

    Args:
        f: (t, y) -> the slope, of y's shape. It must not change y.
        y0: numbers of any shape S; taken as float64 and not changed.
        ts: (T,), at least two, all increasing or all decreasing.
        method: a key of `METHODS`.
        substeps: steps in each interval, at least 1. Not used by dopri5.
        rtol, atol: tolerances of dopri5, see `error_norm`; of each step, not of the whole path.
        max_steps: of dopri5, accepted or refused, over all intervals together.

    Returns:
        (ys, nfe): ys (T, *S) with ys[0] = y0, and how often f was called.

    Raises:
        ValueError: the method is unknown (the message names it and those known), ts has another shape (named)
            or is not finite or not strictly monotone, substeps is below 1 (named), or f returns another
            shape than y0's (both named).
        RuntimeError: dopri5 would need more than max_steps (the message names that number), or a step that no
            longer moves t, as before a singularity; the message names t.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}, expected one of {', '.join(METHODS)}")
    times, y = np.array(ts, np.float64), np.array(y0, np.float64)
    if times.ndim != 1 or times.size < 2:
        raise ValueError(f"ts must be at least two times in one row, got shape {times.shape}")
    gaps = np.diff(times)
    if not np.all(np.isfinite(gaps)) or not (np.all(gaps > 0) or np.all(gaps < 0)):
        raise ValueError(f"ts must be finite, and all increasing or all decreasing, got {times}")
    if substeps < 1:
        raise ValueError(f"substeps must be at least 1, got {substeps}")
    nfe = 0

    def counted(t: float, y: Array) -> Array:
        nonlocal nfe
        nfe += 1
        slope = np.asarray(f(t, y))
        if slope.shape != y.shape:
            raise ValueError(f"f returned shape {slope.shape} for y of shape {y.shape}")
        return slope

    tableau = METHODS[method]
    if tableau.error is not None:
        return Solution(adaptive_path(counted, y, times, tableau, rtol, atol, max_steps), nfe)
    path = [y]
    for t, gap in zip(times.tolist(), gaps.tolist(), strict=False):
        for j in range(substeps):
            y, _ = rk_step(counted, t + j * gap / substeps, y, gap / substeps, tableau)
        path.append(y)
    return Solution(np.stack(path), nfe)


def adaptive_path(
    f: Field, y: Array, ts: Array, tableau: Tableau, rtol: float, atol: float, max_steps: int
) -> Array:
    """The path of a method with an estimate of its error; see `odeint` for the rule and what is raised.

    The last stage of Dormand and Prince is the first of the next step, and a refused step keeps its first
    slope: f costs 6 calls a step. The first trial changes y by about a percent, 0.01 |y| / |slope|, or takes
    1e-6 where one of the two is nearly 0; the rule does the rest. After a step that was cut, which may have
    been far too short, the next may be as long as before the cut.

    Args:
        f: slope, of y's shape.
        y: the start, of any shape S.
        ts: (T,) strictly monotone.
        tableau: with ``error`` weights, its last stage at (t + h, new y).
        rtol, atol, max_steps: as `odeint`.

    Returns:
        (T, *S).
    """
    t, sign = float(ts[0]), float(np.sign(ts[1] - ts[0]))
    slope, path, tried = f(t, y), [y], 0
    with np.errstate(over="ignore", invalid="ignore"):
        size, steep = error_norm(y, y, y, rtol, atol), error_norm(slope, y, y, rtol, atol)
        length = 0.01 * size / steep if size > 1e-5 and 1e-5 < steep < inf else 1e-6
        for end in ts[1:].tolist():
            while t != end:
                tried += 1
                last = length >= abs(end - t)
                h = end - t if last else sign * length
                if tried > max_steps:
                    raise RuntimeError(f"max_steps = {max_steps} steps did not get beyond t = {t}")
                if t + h == t:
                    raise RuntimeError(f"at t = {t} the step no longer moves t: a singularity, or f is NaN")
                y_new, slopes = rk_step(f, t, y, h, tableau, slope)
                e = error_norm(np.asarray(h * _mix(tableau.error or (), slopes)), y, y_new, rtol, atol)
                factor = SHRINK if not e < inf else min(GROW, SAFETY * max(e, 1e-10) ** (-1 / tableau.order))
                trial = abs(h) * max(SHRINK, factor)
                if e <= 1:
                    t, y, slope = end if last else t + h, y_new, slopes[-1]
                    # a step that was cut may have been far below the tolerance: never shorter for that
                    length = max(length, trial) if last else trial
                else:
                    length = trial
            path.append(y)
    return np.stack(path)


def stability_function(method: str, z: ArrayLike) -> Array:
    """R(z): what one step multiplies y by on y' = lambda y, with z = h lambda.

    The stages in order, with y = 1 and h = 1: k_i = z (1 + sum_(j<i) a_ij k_j) / (1 - z a_ii), and
    R = 1 + sum_i b_i k_i. Explicit methods of s = p stages give the Taylor polynomial of exp(z) up to z^p.

    Args:
        method: a key of `METHODS`.
        z: real or complex, any shape.

    Returns:
        R(z), of z's shape, real for real z. Not finite at a pole.

    Raises:
        ValueError: the method is unknown; the message names it.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}, expected one of {', '.join(METHODS)}")
    tableau = METHODS[method]
    z = np.asarray(z) * 1.0  # integers become floats
    slopes: list[Array] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        for row in tableau.a:
            slopes.append(z * (1 + _mix(row, slopes)) / (1 - z * row[-1]))
    return np.asarray(1 + _mix(tableau.b, slopes))


def real_interval(method: str) -> float:
    """The largest x such that |R(-s)| <= 1 for all s from 0 to x: with decay lambda, steps up to x / lambda.

    2 for Euler: the edge of gradient descent. inf where |R| never leaves the unit disc.

    Args:
        method: a key of `METHODS`; for explicit methods of the list x is below 10.

    Returns:
        x, to a relative error of 1e-9, by bisection of where |R| first exceeds 1.

    Raises:
        ValueError: as `stability_function`.
    """

    def leaves(s: Array) -> Array:
        return np.abs(stability_function(method, -s)) > 1 + 1e-12

    grid = np.concatenate([np.arange(0, 10, 0.01), np.geomspace(10, 1e6, 1000)])
    outside = np.flatnonzero(leaves(grid))
    if outside.size == 0:
        return inf
    low, high = float(grid[outside[0] - 1]), float(grid[outside[0]])
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if leaves(np.asarray(middle)) else (middle, high)
    return low


def observed_order(step_sizes: ArrayLike, errors: ArrayLike) -> float:
    """The slope p of log(error) against log(h) by least squares: error = C h^p.

    Args:
        step_sizes: (M,) positive, at least two different ones.
        errors: (M,) positive. Leave out what is rounding (errors near 1e-15) and steps too long to be in the
            asymptotic regime: there the slope says nothing.

    Raises:
        ValueError: the shapes differ, fewer than two steps (the message names the shapes), or an entry is not
            positive and finite (it names the entry).
    """
    h, e = np.asarray(step_sizes, np.float64), np.asarray(errors, np.float64)
    if h.shape != e.shape or h.ndim != 1 or h.size < 2:
        raise ValueError(f"expected as many errors as steps, two or more: got shapes {h.shape} and {e.shape}")
    for value in (*h.tolist(), *e.tolist()):
        if not 0 < value < inf:
            raise ValueError(f"steps and errors must be positive and finite, got {value}")
    x, y = np.log(h), np.log(e)
    x = x - x.mean()
    return float(x @ (y - y.mean()) / (x @ x))


def _mix(weights: tuple[float, ...], slopes: list[Array]) -> Array | float:
    """The sum of weight times slope, as far as there are slopes; 0 for none."""
    return sum(w * k for w, k in zip(weights, slopes, strict=False) if w)
