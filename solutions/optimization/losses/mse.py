r"""How far off? Losses for regression, each a function of the difference d = prediction - target.

    squared     d^2                        slope 2 d             the best constant guess is the mean
    absolute    |d|                        slope sign(d)         the median: an outlier pulls like any other
    Huber       d^2 / 2                    slope d               where |d| <= delta
                delta (|d| - delta / 2)    slope delta sign(d)   elsewhere

With c = d clipped to [-delta, delta], Huber is c (d - c / 2) on both branches, and its derivative is c: the
gradient of a squared error, clipped.

Shapes   prediction and target alike, any shape (*); the loss is a scalar, or (*) with reduction "none".
Source   Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, 2nd ed., sec. 2.4 (mean and
         median) and eq. 10.23 (Huber);
         Huber 1964, "Robust estimation of a location parameter", Ann. Math. Stat. 35(1), sec. 1.
"""

from __future__ import annotations

from foundations.computational_graph import Operand, Tensor, as_tensor
from foundations.elementwise import abs, clip
from nn_core.module import Module

REDUCTIONS = ("mean", "sum", "none")


def reduce(losses: Tensor, reduction: str) -> Tensor:
    """Turn many losses into one number: their mean or their sum; for "none", return them as they are.

    Args:
        losses: (*).
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, (), or for "none" the losses, (*).

    Raises:
        ValueError: another ``reduction`` (the message names it and the three), or the mean of no losses.
    """
    if reduction == "mean":
        return losses.mean()
    if reduction == "sum":
        return losses.sum()
    if reduction == "none":
        return losses
    raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")


def difference(prediction: Operand, target: Operand) -> Tensor:
    """Return prediction - target, both of one shape, as a Tensor (also where both are arrays).

    Args:
        prediction: (*).
        target: (*).

    Raises:
        ValueError: the shapes differ; the message names both. (N, 1) - (N,) would broadcast to (N, N): every
            prediction against every target, a loss that runs and never learns.
    """
    prediction, target = as_tensor(prediction), as_tensor(target)
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction has shape {prediction.shape}, target {target.shape}: reshape one to the other"
        )
    return prediction - target


def mse_loss(prediction: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """Squared error, (prediction - target)^2, reduced over all elements.

    Args:
        prediction: (*).
        target: (*).
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or (*) for "none". Differentiable with respect to both arguments. Of two float32 arguments
        the loss is float32; of a float32 and a float64 one it is float64, as their difference.

    Raises:
        ValueError: as `difference` and `reduce`.
    """
    d = difference(prediction, target)
    return reduce(d * d, reduction)


def l1_loss(prediction: Operand, target: Operand, reduction: str = "mean") -> Tensor:
    """Absolute error, |prediction - target|, reduced over all elements; with the mean it is called MAE.

    The gradient at a difference of 0 is 0. Arguments, result and errors as `mse_loss`.
    """
    return reduce(abs(difference(prediction, target)), reduction)


def huber_loss(prediction: Operand, target: Operand, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Half the squared error up to ``delta``, absolute beyond; value and slope agree where they meet.

    d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = prediction - target.

    Args:
        prediction: (*).
        target: (*).
        reduction: "mean", "sum" or "none".
        delta: where the squared part ends, in units of the target, > 0; infinite, there is no other part. Its
            dtype does not count.

    Returns:
        As `mse_loss`.

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
        """(*), (*) -> a scalar, or (*) for "none"."""
        return mse_loss(prediction, target, self.reduction)

    def extra_repr(self) -> str:
        return f"reduction='{self.reduction}'"


class L1Loss(Module):
    """`l1_loss` as a module: the mean absolute error."""

    def __init__(self, reduction: str = "mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: Operand, target: Operand) -> Tensor:
        """(*), (*) -> a scalar, or (*) for "none"."""
        return l1_loss(prediction, target, self.reduction)

    def extra_repr(self) -> str:
        return f"reduction='{self.reduction}'"


class HuberLoss(Module):
    """`huber_loss` as a module."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__()
        self.reduction, self.delta = reduction, delta

    def forward(self, prediction: Operand, target: Operand) -> Tensor:
        """(*), (*) -> a scalar, or (*) for "none"."""
        return huber_loss(prediction, target, self.reduction, self.delta)

    def extra_repr(self) -> str:
        return f"reduction='{self.reduction}', delta={self.delta}"
