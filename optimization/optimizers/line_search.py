r"""A line search: how far to go down a line, so that the value falls enough and the slope has flattened out.

    f(t) <= f(0) + c1 t f'(0)        |f'(t)| <= c2 |f'(0)|        0 < c1 < c2 < 1: the strong Wolfe conditions

With the first alone a step of a millionth would do, with the second alone the value may be higher than at 0.
A method that learns from the change of the gradient, as L-BFGS does, also lives on f'(t) > f'(0): the second.

The search keeps two points. low is the lowest that fulfilled the first condition; high is the other end, on
the side to which low goes down, and between the two there is an answer. The next trial is the minimum of the
cubic that has their values and slopes. A trial that is not finite is a step too long, no more, so that a
function may overflow or end.

Shapes   All are floats: f is a function of one number, the step t >= 0.
Source   Nocedal & Wright 2006, "Numerical optimization", algorithms 3.5 (bracketing) and 3.6 (zoom), eq. 3.59
         (cubic); More & Thuente 1994, "Line search algorithms with guaranteed sufficient decrease", sec. 4
         and 5; Hager & Zhang 2005, "A new conjugate gradient method with guaranteed descent", sec. 4 (values
         that only differ by rounding).
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign, inf, isfinite, nan, sqrt
from typing import NamedTuple

ULPS = 256  # values that differ by less, relatively, may differ by rounding alone


class Point(NamedTuple):
    """A point on the line x + step * direction: the value there and its derivative by the step."""

    step: float
    value: float
    slope: float


def cubic_minimum(a: Point, b: Point) -> float:
    """Find the minimum of the cubic that has the values and the slopes of two points with different steps.

    Returns:
        The step at the minimum, wherever it lies; NaN if the cubic has none or a value is not finite. Where
        the cubic only levels out, between falling and falling or rising and rising: that step, or NaN.
    """
    raise NotImplementedError("optimization.optimizers.line_search: TODO 1 of 2, cubic_minimum")


def strong_wolfe(
    line: Callable[[float], tuple[float, float]],
    value: float,
    slope: float,
    step: float = 1.0,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    max_evaluations: int = 50,
    rounding: float = ULPS * 2.0**-52,
) -> Point:
    """Find a step t > 0 along a line that descends at 0, by bracketing and zooming, such that

        f(t) <= f(0) + c1 t f'(0) + rounding |f(0)|        enough decrease for so long a step
        |f'(t)| <= c2 |f'(0)|                              flat enough: neither too short nor too long

    A trial whose value or slope is not finite counts as too long a step. "Higher than low" has the same slack
    as the first condition: higher by more than rounding |f(0)|. If the first trial fulfils both
    conditions it is the answer, with no other evaluation; while all trials go down, each is 2 to 10 times as
    long as the one before.

    Args:
        line: step -> (f, f').
        value, slope: f(0), and f'(0) < 0.
        step: the first trial, > 0.
        c1, c2: 0 < c1 < c2 < 1.
        max_evaluations: of ``line``.
        rounding: relative error of the values: close to a minimum they go up and down by that much.

    Returns:
        (t, f(t), f'(t)). If no trial fulfilled both conditions: low, the lowest, up to rounding, that
        fulfilled the first, or (0, value, slope) if none did.

    Raises:
        ValueError: the slope is not negative, or the step not positive and finite; the message names it.
    """
    raise NotImplementedError("optimization.optimizers.line_search: TODO 2 of 2, strong_wolfe")
