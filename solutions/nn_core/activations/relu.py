r"""A kink is enough: max(x, 0) makes a network nonlinear, and its relatives keep the left side alive.

    ReLU        max(x, 0)                                     slope 1 or 0
    LeakyReLU   x, or a x left of 0, a fixed                  slope 1 or a
    PReLU       x, or w x left of 0, w learned                slope 1 or w;  dL/dw sums g x over all x <= 0
    ELU         x, or alpha (e^x - 1) left of 0               slope 1 or alpha e^x = y + alpha
    SiLU        x sigmoid(x)                                  smooth: the product rule

At 0, where the first four have a kink (ELU only if alpha is not 1), this file takes the derivative from the
left: 0, a, w and alpha. That is PyTorch's choice too.

Shapes   any; PReLU with several weights: (N, C, *), one weight a channel.
Source   Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines", sec. 2;
         Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models", eq. 2;
         He et al. 2015, arXiv:1502.01852, sec. 2.1; Clevert et al. 2016, arXiv:1511.07289, sec. 3;
         Elfwing et al. 2018, arXiv:1702.03118, sec. 2.1.
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.shaping import reshape
from nn_core.activations.sigmoid import sigmoid
from nn_core.module import Module, Parameter


class ReLUFunction(Function):
    """max(x, 0)."""

    def forward(self, x: Array) -> Array:
        """Return max(x, 0)."""
        return np.clip(x, 0, np.inf)  # np.maximum(x, 0) takes twice as long: no SIMD with a single number

    def backward(self, grad):
        """Pass the gradient where the output is positive, 0 elsewhere."""
        return grad * (self.output > 0).astype(grad.dtype)  # as numbers: a product converts slower


class LeakyReLUFunction(Function):
    """x, or ``slope`` * x where x <= 0."""

    def __init__(self, slope: float):
        self.slope = slope

    def forward(self, x: Array) -> Array:
        """Return max(x, 0) + slope * min(x, 0), and keep on which side of 0 each number lies."""
        self.right = x > 0
        self.left = ~self.right
        return np.maximum(x, 0) + self.slope * np.minimum(x, 0)

    def backward(self, grad):
        """Return grad where x > 0 and slope * grad elsewhere."""
        return grad * self.right + self.slope * (grad * self.left)


class PReLUFunction(Function):
    """x, or weight * x where x <= 0; the weight broadcasts against x."""

    broadcasts = True

    def forward(self, x: Array, weight: Array) -> Array:
        """Return max(x, 0) + weight * min(x, 0), and keep on which side of 0 each number lies."""
        self.right = x > 0
        self.left = ~self.right
        return np.maximum(x, 0) + weight * np.minimum(x, 0)

    def backward(self, grad):
        """Return (grad times the slope, grad * x where x <= 0); the engine sums the latter over x."""
        x, weight = self.operands
        by_x = grad * (self.right + self.left * weight) if self.needs(0) else None
        return by_x, (grad * (self.left * x) if self.needs(1) else None)


class ELUFunction(Function):
    """x, or alpha * (e^x - 1) where x <= 0."""

    def __init__(self, alpha: float):
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        """Return max(x, 0) + alpha * (e^min(x, 0) - 1), and keep on which side of 0 each number lies."""
        self.right = x > 0
        self.left = ~self.right
        return np.maximum(x, 0) + self.alpha * np.expm1(np.minimum(x, 0))  # e^x would overflow on the right

    def backward(self, grad):
        """Return grad where x > 0 and grad * alpha e^x = grad * (y + alpha) elsewhere, with y the output."""
        return grad * (self.right + self.left * (self.output + self.alpha))


def relu(x: Operand) -> Tensor:
    """max(x, 0), element by element; x of any shape. The gradient at 0 is 0."""
    return ReLUFunction.apply(x)


def leaky_relu(x: Operand, negative_slope: float = 0.01) -> Tensor:
    """x, or ``negative_slope`` * x where x <= 0; x of any shape. The gradient at 0 is ``negative_slope``."""
    return LeakyReLUFunction.apply(x, slope=negative_slope)


def prelu(x: Operand, weight: Operand) -> Tensor:
    """x, or weight * x where x <= 0. The gradient at 0 is the weight.

    Args:
        x: any shape; with several weights (N, C, *).
        weight: (1,), or (C,): one for each channel, axis 1 of x.

    Returns:
        The shape of x.

    Raises:
        ValueError: the weight is not a vector, or has several numbers where x has not as many channels; the
            message names both shapes.
    """
    shape, slopes = as_array(x).shape, as_array(weight).shape
    if len(slopes) != 1 or (slopes != (1,) and slopes != shape[1:2]):
        raise ValueError(
            f"prelu needs one weight, or one for each channel (axis 1): x {shape}, weight {slopes}"
        )
    if slopes != (1,):
        weight = reshape(weight, (*slopes, *[1] * (len(shape) - 2)))  # (C, 1, ..., 1)
    return PReLUFunction.apply(x, weight)


def elu(x: Operand, alpha: float = 1.0) -> Tensor:
    """x, or ``alpha`` * (e^x - 1) where x <= 0; x of any shape. The gradient at 0 is ``alpha``."""
    return ELUFunction.apply(x, alpha=alpha)


def silu(x: Operand) -> Tensor:
    """x * sigmoid(x), element by element; x of any shape. Also called swish."""
    return sigmoid(x) * x


class ReLU(Module):
    """`relu` as a layer."""

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> max(x, 0)."""
        return relu(x)


class LeakyReLU(Module):
    """`leaky_relu` as a layer.

    Args:
        negative_slope: the slope left of 0.
    """

    def __init__(self, negative_slope: float = 0.01):
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> leaky_relu(x)."""
        return leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """`prelu` as a layer that learns its slopes.

    Args:
        num_parameters: 1, or the number of channels C: one slope for each.
        init: where each slope begins.
        dtype: of the weight.

    Attributes:
        weight: Parameter (num_parameters,).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: type | np.dtype = np.float32):
        super().__init__()
        self.weight = Parameter(np.full(num_parameters, init), dtype=dtype)

    def forward(self, x: Operand) -> Tensor:
        """x of any shape, or (N, C, *) with C slopes -> prelu(x)."""
        return prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.weight.size}"


class ELU(Module):
    """`elu` as a layer.

    Args:
        alpha: minus the limit at -inf.
    """

    def __init__(self, alpha: float = 1.0):
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> elu(x)."""
        return elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class SiLU(Module):
    """`silu` as a layer."""

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> x * sigmoid(x)."""
        return silu(x)
