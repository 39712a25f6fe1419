r"""Many numbers in, fewer out: sums, means, variances and extremes over any axes.

A sum's derivative with respect to each term is 1, so its gradient is the incoming one, repeated along the
axes that were summed: summing and broadcasting are each other's adjoint. Mean and variance are written with
sums and need no rule of their own. An extreme passes the gradient to the elements that attain it, in equal
shares: the subgradient of least norm.

Shapes   x any; ``axis`` None (all axes), an int or a tuple of ints, negative ones counted from the end. With
         ``keepdims`` the reduced axes stay, with length 1.
Source   Griewank & Walther 2008, Evaluating Derivatives, 2nd ed., sec. 3.2;
         Boyd & Vandenberghe 2008, "Subgradients" (notes for EE364b), sec. 3.4 (pointwise maximum).
"""

from __future__ import annotations

from math import prod

import numpy as np

from foundations import shaping
from foundations.computational_graph import Array, BroadcastTo, Function, Operand, Tensor, as_array

Axis = int | tuple[int, ...] | None


def kept_shape(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The shape with every reduced axis set to 1.

    >>> kept_shape((2, 3, 4), (0, -1))
    (1, 3, 1)

    Args:
        shape: of what is reduced.
        axis: None for all axes, an int, or a tuple of ints; negative ones count from the end, () is no axis.

    Raises:
        ValueError: an axis is out of range or occurs twice; the message names ``axis`` and ``shape``.
    """
    n = len(shape)
    axes = range(n) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(not -n <= a < n for a in axes) or len({a % n for a in axes}) < len(axes):
        raise ValueError(
            f"axis {axis} does not fit a Tensor of shape {shape}: each axis once, in [{-n}, {n})"
        )
    kept = list(shape)
    for a in axes:
        kept[a] = 1
    return tuple(kept)


def count(shape: tuple[int, ...], axis: Axis) -> int:
    """How many elements each result of a reduction over ``axis`` sees: 8 for (2, 3, 4) over (0, -1).

    It does not ask how many results there are: 3 for (0, 3) over 1, which has none, and 0 for (0, 0) over 1.

    Raises:
        ValueError: as `kept_shape`.
    """
    kept = kept_shape(shape, axis)
    return prod(side for side, k in zip(shape, kept, strict=True) if k != side)


class Sum(Function):
    """The sum over ``axis``."""

    def __init__(self, axis: Axis, keepdims: bool):
        self.axis, self.keepdims = axis, keepdims

    def forward(self, x: Array) -> Array:
        """Sum x over ``self.axis``, keeping the axes if ``self.keepdims``; remember x's shape."""
        self.was = x.shape
        return x.sum(axis=self.axis, keepdims=self.keepdims)

    def backward(self, grad: Operand) -> Operand:
        """Every term has derivative 1: repeat the gradient along the axes that were summed.

        `shaping.reshape` it to `kept_shape` first, so that it lines up, then stretch it with `BroadcastTo`.
        """
        return BroadcastTo.apply(shaping.reshape(grad, kept_shape(self.was, self.axis)), shape=self.was)


class Max(Function):
    """The maximum over ``axis``."""

    def __init__(self, axis: Axis, keepdims: bool):
        self.axis, self.keepdims = axis, keepdims

    def forward(self, x: Array) -> Array:
        """Return the maximum of x over ``self.axis``, keeping the axes if ``self.keepdims``."""
        return x.max(axis=self.axis, keepdims=self.keepdims)

    def backward(self, grad: Operand) -> Operand:
        """The elements that attain the extreme share the gradient equally, the others get 0.

        The shares are constant: an array, made of ``self.inputs[0].data`` and the extreme, in x's dtype.
        """
        x = self.inputs[0].data
        kept = kept_shape(x.shape, self.axis)
        attains = x == as_array(self.output).reshape(kept)
        share = np.divide(attains, attains.sum(axis=self.axis, keepdims=True), dtype=x.dtype)
        return shaping.reshape(grad, kept) * share


class Min(Max):
    """The minimum over ``axis``. Its rule is `Max`'s: whoever attains the extreme shares the gradient."""

    def forward(self, x: Array) -> Array:
        """Return the minimum of x over ``self.axis``, keeping the axes if ``self.keepdims``."""
        return x.min(axis=self.axis, keepdims=self.keepdims)


def sum(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over ``axis``; the sum of nothing is 0.

    Raises:
        ValueError: an axis is out of range or occurs twice; the message names ``axis`` and the shape.
    """
    kept_shape(as_array(x).shape, axis)
    return Sum.apply(x, axis=axis, keepdims=keepdims)


def mean(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean over ``axis``: the `sum` over the number of terms, for which there is `count`.

    Raises:
        ValueError: as `sum`, or `count` is 0, nothing to average; the message names ``axis`` and the shape.
    """
    shape = as_array(x).shape
    terms = count(shape, axis)
    if terms == 0:
        raise ValueError(f"mean over axis {axis} of shape {shape}: there is nothing to average")
    return sum(x, axis, keepdims) * (1.0 / terms)


def var(x: Operand, axis: Axis = None, keepdims: bool = False, correction: int = 0) -> Tensor:
    """Variance over ``axis``: the sum of squared deviations from the `mean` over (count - correction).

    Deviations first: mean(x**2) - mean(x)**2 subtracts two large numbers when the mean is large, and is left
    with their rounding errors.

    Args:
        correction: 0 for the variance of these numbers, 1 for the unbiased estimate from a sample (Bessel).

    Raises:
        ValueError: as `sum`, or count <= correction; the message names the shape and both numbers.
    """
    shape = as_array(x).shape
    terms = count(shape, axis)
    if terms <= correction:
        raise ValueError(
            f"var over axis {axis} of shape {shape}: correction {correction} needs more terms than {terms}"
        )
    deviation = x - mean(x, axis, keepdims=True)
    return sum(deviation * deviation, axis, keepdims) * (1.0 / (terms - correction))


def max(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Maximum over ``axis``; ties share the gradient equally.

    Raises:
        ValueError: as `sum`, or `count` is 0, nothing to compare; the message names ``axis`` and the shape.
    """
    return _extreme(Max, x, axis, keepdims)


def min(x: Operand, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Minimum over ``axis``; ties share the gradient equally.

    Raises:
        ValueError: as `max`.
    """
    return _extreme(Min, x, axis, keepdims)


def _extreme(operation: type[Max], x: Operand, axis: Axis, keepdims: bool) -> Tensor:
    shape = as_array(x).shape
    if count(shape, axis) == 0:
        raise ValueError(f"an extreme over axis {axis} of shape {shape}: there is nothing to compare")
    return operation.apply(x, axis=axis, keepdims=keepdims)
