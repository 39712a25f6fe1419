r"""Squash around zero: tanh, and the straight line with two stops that imitates it.

    tanh(x) = (e^x - e^-x) / (e^x + e^-x) = 2 sigmoid(2x) - 1       tanh'(x) = 1 - tanh(x)^2
    hardtanh(x) = min(max(x, low), high)                            hardtanh'(x) = 1 if low < x < high, else 0

Both pass small numbers nearly unchanged and keep the mean near 0, which the sigmoid does not. hardtanh has a
kink at each stop, where this file takes the subgradient 0, as PyTorch does.

Shapes   any.
Source   LeCun et al. 1998, "Efficient BackProp", sec. 4.4 (why around zero);
         Collobert et al. 2011, "Natural Language Processing (Almost) from Scratch", sec. 3.3.1.
"""

from __future__ import annotations

from foundations.computational_graph import Array, Function, Operand, Tensor
from foundations.elementwise import tanh
from nn_core.module import Module


class HardtanhFunction(Function):
    """x limited to [low, high]."""

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        """Return min(max(x, low), high), NaN for NaN, and keep where x is strictly between the limits."""
        raise NotImplementedError("nn_core.activations.tanh: TODO 1 of 6, HardtanhFunction.forward")

    def backward(self, grad):
        """Pass the gradient where x is strictly between the limits, 0 elsewhere."""
        raise NotImplementedError("nn_core.activations.tanh: TODO 2 of 6, HardtanhFunction.backward")


def hardtanh(x: Operand, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val], element by element; the gradient at a limit is 0.

    Args:
        x: any shape.
        min_val: the lower limit.
        max_val: the upper limit, above ``min_val``.

    Raises:
        ValueError: min_val is not below max_val (a NaN never is); the message names both.
    """
    raise NotImplementedError("nn_core.activations.tanh: TODO 3 of 6, hardtanh")


class Tanh(Module):
    """`foundations.elementwise.tanh` as a layer."""

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> tanh(x)."""
        raise NotImplementedError("nn_core.activations.tanh: TODO 4 of 6, Tanh.forward")


class Hardtanh(Module):
    """`hardtanh` as a layer.

    Args:
        min_val: the lower limit.
        max_val: the upper limit, above ``min_val``.

    Raises:
        ValueError: min_val is not below max_val (a NaN never is); the message names both.
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0):
        raise NotImplementedError("nn_core.activations.tanh: TODO 5 of 6, Hardtanh.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> x limited to [min_val, max_val]."""
        raise NotImplementedError("nn_core.activations.tanh: TODO 6 of 6, Hardtanh.forward")

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


def _check(min_val: float, max_val: float) -> None:
    """Refuse limits between which there is nothing."""
    if not min_val < max_val:
        raise ValueError(f"hardtanh needs min_val < max_val, got min_val={min_val}, max_val={max_val}")
