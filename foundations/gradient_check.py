r"""Trust, but verify: compare the gradient you derived with one that needs no derivation.

    df/dx_j  =  (f(x + h e_j) - f(x - h e_j)) / 2h  +  O(h^2)

Two errors pull at h: truncation grows as h^2, rounding as eps / h. Their sum is least near h = eps^(1/3),
where two thirds of the digits remain: 1e-10 in float64 and 1e-5 in float32, so checks run in float64. The
step itself is rounded too when it is added to x, so the quotient divides by the difference that was made.

A function with many outputs is checked through <u, f(x)> with a random u: with u = 1 the gradient of a
softmax is zero, and every rule would pass.

Shapes   x any.
Source   Press, Teukolsky, Vetterling & Flannery 2007, Numerical Recipes, 3rd ed., sec. 5.7, eq. 5.7.5-5.7.8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from foundations.autograd import grad
from foundations.computational_graph import Array, Tensor


@dataclass(frozen=True)
class Check:
    """One input's verdict.

    Attributes:
        name: of the input.
        analytic: the gradient by backpropagation, of the input's shape.
        numeric: the gradient by finite differences.
        error: their `relative_error`.
        passed: whether the error is within the tolerance.
    """

    name: str
    analytic: Array
    numeric: Array
    error: float
    passed: bool


def step_size(x: Array) -> Array:
    """The step that balances truncation against rounding: eps^(1/3) * max(1, |x|), for each element.

    Args:
        x: floating point, any shape; eps is the spacing of its dtype at 1.

    Returns:
        Positive steps, of x's shape and dtype.
    """
    raise NotImplementedError("foundations.gradient_check: TODO 1 of 5, step_size")


def numerical_gradient(f: Callable[[Array], float], x: Array) -> Array:
    """The gradient of a number-valued function by central differences, two evaluations an element.

    Args:
        f: takes an array like x; returns a number. It is given copies: whatever it does to them, x stays.
        x: where, floating point, any shape.

    Returns:
        df/dx, of x's shape and dtype.

    Raises:
        TypeError: x is not floating point; the message names its dtype.
    """
    raise NotImplementedError("foundations.gradient_check: TODO 2 of 5, numerical_gradient")


def relative_error(a: Array, b: Array, floor: float = 0.0) -> float:
    """The largest difference, relative to the largest magnitude in either array.

    Relative to each element it would be large wherever a gradient happens to be near zero.

    Args:
        a, b: arrays of one shape.
        floor: least magnitude to divide by, >= 0: below it a difference counts as rounding, not as a ratio.

    Returns:
        max|a - b| / max(max|a|, max|b|, floor); 0 where both are zero or empty, NaN where either holds a NaN.

    Raises:
        ValueError: the shapes differ; the message names both.
    """
    raise NotImplementedError("foundations.gradient_check: TODO 3 of 5, relative_error")


def gradient_check(
    f: Callable[..., Tensor],
    inputs: Sequence[Array],
    *,
    names: Sequence[str] | None = None,
    tolerance: float = 1e-7,
    rng: np.random.Generator,
) -> list[Check]:
    """Check the gradient of <u, f> with respect to every input, for a random cotangent u.

    Args:
        f: Tensors in, one Tensor of any shape out; deterministic.
        inputs: float64 arrays at which to check.
        names: of the inputs, for the report; default "input 0", "input 1", ...
        tolerance: largest `relative_error` that passes, with a floor of 1e-3.
        rng: draws the cotangent, standard normal.

    Returns:
        One `Check` for each input, in order. Where f's result does not require a gradient, because it does
        not depend on the inputs or left the graph, the analytic gradients are 0.
    """
    raise NotImplementedError("foundations.gradient_check: TODO 4 of 5, gradient_check")


def second_order_check(
    f: Callable[..., Tensor],
    inputs: Sequence[Array],
    *,
    names: Sequence[str] | None = None,
    tolerance: float = 1e-7,
    rng: np.random.Generator,
) -> list[Check]:
    """Check the derivative of the gradient: `gradient_check` of x -> sum_i <v_i, d<u, f>/dx_i>; u, v random.

    A rule that leaves the graph (reads ``.data``) passes the first order and fails here, with an analytic
    derivative of 0.

    Args, returns: as `gradient_check`; v_i is standard normal, of the shape of input i.
    """
    raise NotImplementedError("foundations.gradient_check: TODO 5 of 5, second_order_check")
