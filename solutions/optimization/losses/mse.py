r"""How far off? Losses for regression, of the difference d = prediction - target.

    squared    d^2                                        the mean is the best constant guess
    absolute   |d|                                        the median is; an outlier pulls no harder than any other
    Huber      d^2 / 2             where |d| <= delta     squared near 0, absolute beyond
               delta (|d| - delta / 2)       elsewhere

With c = d clipped to [-delta, delta], Huber is c (d - c / 2) on both branches, and its derivative is c: the gradient
of a squared error, clipped.

Shapes   prediction and target alike, any shape (*); the loss is a scalar, or (*) with reduction "none".
Source   Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, 2nd ed., sec. 2.4 and eq. 10.23;
         Huber 1964, "Robust estimation of a location parameter", Ann. Math. Stat. 35(1).
"""

from __future__ import annotations

from foundations.computational_graph import Operand, Tensor, as_tensor
from foundations.elementwise import abs, clip
from nn_core.module import Module

REDUCTIONS = ("mean", "sum", "none")


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """Many losses into one number: their mean, their sum, or, for "none", left as they are.

    Raises:
        ValueError: another ``reduction``; the message names it and the three that exist.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}")
    return {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[reduction]()


def difference(prediction: Operand, target: Operand) -> Tensor:
    """prediction - target, both of one shape.

    Raises:
        ValueError: the shapes differ; the message names both. (N, 1) - (N,) would broadcast to (N, N): every
            prediction against every target, a loss that runs and never learns.
    """
    prediction, target = as_tensor(prediction), as_tensor(target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}: reshape one to the other")
    return prediction - target


def mse_loss(prediction: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """Squared error, (prediction - target)^2, reduced over all elements.

    Args:
        prediction: (*).
        target: (*).
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: the shapes differ, or the reduction is unknown.
    """
    d = difference(prediction, target)
    return reduce(d * d, reduction)


def l1_loss(prediction: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """Absolute error, |prediction - target|, reduced over all elements; the gradient at 0 is 0. With the mean: MAE.

    Args, raises: as `mse_loss`.
    """
    return reduce(abs(difference(prediction, target)), reduction)


def huber_loss(prediction: Operand, target: Operand, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Squared error up to ``delta``, absolute error beyond; value and slope agree where they meet.

    Args:
        delta: where the squared part ends, in units of the target, > 0.
        Others as `mse_loss`.

    Raises:
        ValueError: delta is not positive (the message names it), or as `mse_loss`.
    """
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    d = difference(prediction, target)
    c = clip(d, -delta, delta)
    return reduce(c * (d - c * 0.5), reduction)


class MSELoss(Module):
    """`mse_loss` as a module."""

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: Operand, target: Operand) -> Tensor:
        return mse_loss(prediction, target, self.reduction)


class L1Loss(Module):
    """`l1_loss` as a module: the mean absolute error."""

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: Operand, target: Operand) -> Tensor:
        return l1_loss(prediction, target, self.reduction)


class HuberLoss(Module):
    """`huber_loss` as a module."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__()
        self.reduction, self.delta = reduction, delta

    def forward(self, prediction: Operand, target: Operand) -> Tensor:
        return huber_loss(prediction, target, self.reduction, self.delta)
