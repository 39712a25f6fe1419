r"""From a number to a probability: the sigmoid turns a log-odds into p, and its log keeps the tiny ones.

    sigmoid(x) = 1 / (1 + e^-x)            sigmoid'(x) = s (1 - s)              with s = sigmoid(x)
    log sigmoid(x) = -log(1 + e^-x)        (log sigmoid)'(x) = 1 - s = sigmoid(-x)

The derivative of the first is a function of its result, so the rule reads the output. The second is not the
logarithm of the first: sigmoid(-800) is 0 in float64, its logarithm is -800.

Shapes   any.
Source   Goodfellow, Bengio & Courville 2016, Deep Learning, sec. 3.10 (properties) and
         6.2.2.2 (saturation).
"""

from __future__ import annotations

from foundations.computational_graph import Array, Function, Operand, Tensor
from nn_core.module import Module
from utils import math_utils


class SigmoidFunction(Function):
    """1 / (1 + e^-x), stable in both tails."""

    def forward(self, x: Array) -> Array:
        """Return sigmoid(x), as `utils.math_utils` computes it."""
        raise NotImplementedError("nn_core.activations.sigmoid: TODO 1 of 6, SigmoidFunction.forward")

    def backward(self, grad):
        """Return grad * s (1 - s), with s the output."""
        raise NotImplementedError("nn_core.activations.sigmoid: TODO 2 of 6, SigmoidFunction.backward")


class LogSigmoidFunction(Function):
    """log(1 / (1 + e^-x)), finite where the sigmoid itself underflows."""

    def forward(self, x: Array) -> Array:
        """Return log(sigmoid(x)), as `utils.math_utils` computes it."""
        raise NotImplementedError("nn_core.activations.sigmoid: TODO 3 of 6, LogSigmoidFunction.forward")

    def backward(self, grad):
        """Return grad * sigmoid(-x): 1 - sigmoid(x) would cancel to 0 for x above 37."""
        raise NotImplementedError("nn_core.activations.sigmoid: TODO 4 of 6, LogSigmoidFunction.backward")


def sigmoid(x: Operand) -> Tensor:
    """1 / (1 + e^-x), element by element; x of any shape, the result in [0, 1]."""
    return SigmoidFunction.apply(x)


def log_sigmoid(x: Operand) -> Tensor:
    """log(1 / (1 + e^-x)), element by element; x of any shape, the result nowhere positive."""
    return LogSigmoidFunction.apply(x)


class Sigmoid(Module):
    """`sigmoid` as a layer."""

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> sigmoid(x)."""
        raise NotImplementedError("nn_core.activations.sigmoid: TODO 5 of 6, Sigmoid.forward")


class LogSigmoid(Module):
    """`log_sigmoid` as a layer."""

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> log sigmoid(x)."""
        raise NotImplementedError("nn_core.activations.sigmoid: TODO 6 of 6, LogSigmoid.forward")
