r"""From scores to a distribution: softmax, its logarithm, and their Jacobians that are never formed.

    y_i = e^(x_i) / sum_j e^(x_j)             dy_i/dx_j = y_i (1[i = j] - y_j)
    z_i = log y_i                             dz_i/dx_j = 1[i = j] - y_j

Each result depends on every score, so the Jacobians are full matrices, V x V for each row. Multiplied by a
gradient g (dL/dy, dL/dz) they collapse to one sum a row:

    dL/dx_j = y_j (g_j - sum_i g_i y_i)       dL/dx_j = g_j - y_j sum_i g_i

Shapes   x (*, V), or any shape with the distribution along ``axis``.
Source   Goodfellow, Bengio & Courville 2016, Deep Learning, sec. 6.2.2.3 (softmax units);
         Martins & Astudillo 2016, arXiv:1602.02068, sec. 2.5 (the Jacobian and its product with a vector).
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.elementwise import exp
from foundations.reductions import Axis, kept_shape
from nn_core.module import Module
from utils import math_utils


def total(values, axis: Axis):
    """values.sum(axis, keepdims=True); along the last axis by BLAS, five times as fast for short rows."""
    shape = as_array(values).shape
    if not shape or axis not in (-1, len(shape) - 1):
        return values.sum(axis=axis, keepdims=True)
    return values @ np.ones_like(as_array(values), shape=(shape[-1], 1))


class SoftmaxFunction(Function):
    """e^x / sum(e^x) along ``axis``."""

    def __init__(self, axis: Axis):
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Return the weights, as `utils.math_utils` computes them."""
        return math_utils.softmax(x, self.axis)

    def backward(self, grad):
        """Return y * (grad - the sum of grad * y along the axis), with y the output."""
        y = self.output
        return y * (grad - total(grad * y, self.axis))


class LogSoftmaxFunction(Function):
    """log(e^x / sum(e^x)) along ``axis``, finite where the weight itself underflows."""

    def __init__(self, axis: Axis):
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Return the logarithms, as `utils.math_utils` computes them."""
        return math_utils.log_softmax(x, self.axis)

    def backward(self, grad):
        """Return grad - e^z * the sum of grad along the axis, with z the output."""
        return grad - exp(self.output) * total(grad, self.axis)


def softmax(x: Operand, axis: Axis = -1) -> Tensor:
    """Weights e^x / sum(e^x), nowhere negative, that sum to 1 along ``axis``.

    Args:
        x: scores (logits), any shape with at least one axis; -inf gives the weight 0, also where a whole row
            is -inf.
        axis: where the weights sum to 1: an int, a tuple of ints, or None for all entries.

    Returns:
        The shape of x.

    Raises:
        ValueError: x has no such axis; the message names the axis and the shape.
    """
    kept_shape(as_array(x).shape, axis)  # raises where the axis does not fit
    return SoftmaxFunction.apply(x, axis=axis)


def log_softmax(x: Operand, axis: Axis = -1) -> Tensor:
    """The logarithms of `softmax`, nowhere positive; arguments and errors are the same."""
    kept_shape(as_array(x).shape, axis)
    return LogSoftmaxFunction.apply(x, axis=axis)


class Softmax(Module):
    """`softmax` as a layer.

    Args:
        axis: where the weights sum to 1.
    """

    def __init__(self, axis: Axis = -1):
        super().__init__()
        self.axis = axis

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> softmax(x) along ``axis``."""
        return softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Module):
    """`log_softmax` as a layer.

    Args:
        axis: where the weights sum to 1.
    """

    def __init__(self, axis: Axis = -1):
        super().__init__()
        self.axis = axis

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> log softmax(x) along ``axis``."""
        return log_softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"
