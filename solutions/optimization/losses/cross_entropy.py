r"""How surprised? The loss of classifiers: the negative logarithm of the probability given to what happened.

    loss_i = -sum_c q_ic w_c log p_ic,        p = softmax(logits),        dloss_i/dlogits = p_i sum_c(q_ic w_c) - q_i w

with q the target distribution and w a weight for each class. For a class index q is one-hot and the loss is
-log p of that class; the gradient is then p - q: what the model said minus what was true. Label smoothing mixes q
with the uniform distribution, (1 - eps) q + eps / C, so that no logit is pushed to infinity.

Logits go in, not probabilities: softmax and logarithm together are stable (log p = logits - logsumexp), apart they
take the logarithm of a probability that has underflowed to 0. The fused rule needs one pass and no intermediate graph.

Shapes   logits (C,), (N, C) or (N, C, *): classes on axis 1; targets (), (N,) or (N, *) of integers, or the shape of
         the logits for probabilities. The loss is a scalar, or the targets' shape with reduction "none".
Source   Bishop 2006, Pattern Recognition and Machine Learning, eq. 4.108-4.109; Szegedy et al. 2016,
         arXiv:1512.00567, sec. 7 (label smoothing).
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array, as_tensor
from foundations.shaping import reshape, transpose, unsqueeze
from nn_core.activations.sigmoid import log_sigmoid
from nn_core.activations.softmax import softmax
from nn_core.module import Module
from optimization.losses.mse import reduce
from utils.math_utils import log_softmax


class CrossEntropy(Function):
    """Rows of logits (M, C) -> losses (M,): -sum_c coefficients_c log softmax(logits)_c.

    Args:
        coefficients: (M, C), q * w of the formula; constant. Where one is 0 its logarithm is not looked at, so a
            logit of -inf (an impossible class) costs nothing unless it is the target.
    """

    def __init__(self, coefficients: Array):
        self.coefficients = coefficients

    def forward(self, logits: Array) -> Array:
        log_p = log_softmax(logits, axis=1)
        terms = np.multiply(self.coefficients, log_p, where=self.coefficients != 0, out=np.zeros_like(log_p))
        return -terms.sum(axis=1)

    def backward(self, grad):
        (logits,) = self.operands
        total = self.coefficients.sum(axis=1, keepdims=True)  # (M, 1)
        return (softmax(logits, axis=1) * total - self.coefficients) * unsqueeze(grad, 1)


def cross_entropy(
    logits: Operand,
    target: Operand,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy between softmax(logits) and the target.

    Args:
        logits: (C,), (N, C) or (N, C, *), unnormalised log-probabilities.
        target: class indices (integers) of shape (), (N,) or (N, *); or probabilities (floating point) of the
            shape of the logits. Constant: no gradient flows into it.
        weight: (C,), a factor for each class; default 1.
        ignore_index: positions with this index cost nothing and do not count. Indices only.
        reduction: "none"; "sum"; or "mean": for indices the sum over the targets' total weight (w of each target's
            class, ignored ones left out), for probabilities the sum over the number of positions.
        label_smoothing: eps of the formula, in [0, 1]. With indices and weights, each class's share eps / C carries
            that class's own weight.

    Raises:
        ValueError: shapes that do not fit (both named), an index outside [0, C) that is not ``ignore_index`` (named,
            with C), a smoothing outside [0, 1], or a mean over no target because all are ignored.
    """
    logits, labels = as_tensor(logits), as_array(target)
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in [0, 1], got {label_smoothing}")
    axis = 0 if logits.ndim == 1 else 1
    classes, positions = logits.shape[axis], (*logits.shape[:axis], *logits.shape[axis + 1 :])
    by_index = labels.dtype.kind in "iu"
    if labels.shape != (positions if by_index else logits.shape):
        kind = "indices" if by_index else "probabilities"
        raise ValueError(
            f"logits {logits.shape} need target {kind} of shape {positions if by_index else logits.shape}, "
            f"got {labels.shape}"
        )
    w = np.ones(classes, logits.dtype) if weight is None else as_array(weight).astype(logits.dtype)
    if w.shape != (classes,):
        raise ValueError(f"weight has shape {w.shape}, logits {logits.shape} have {classes} classes")
    rows = reshape(transpose(logits, _classes_last(logits.ndim, axis)), (-1, classes))  # (M, C)
    if by_index:
        q, counted = _one_hot(labels.reshape(-1), classes, ignore_index, logits.dtype)  # (M, C), (M,)
        divisor = (q @ w).sum()
    else:
        q = labels.transpose(_classes_last(logits.ndim, axis)).reshape(-1, classes).astype(logits.dtype)
        counted, divisor = np.ones((len(q), 1), logits.dtype), len(q)
    smoothed = (1 - label_smoothing) * q + label_smoothing / classes * counted
    losses = CrossEntropy.apply(rows, coefficients=smoothed * w)  # (M,)
    if reduction == "mean":
        if divisor == 0:
            raise ValueError(f"the mean of no losses: all {labels.size} targets are {ignore_index} or have weight 0")
        return losses.sum() * (1.0 / float(divisor))
    return reduce(reshape(losses, positions), reduction)


def _classes_last(ndim: int, axis: int) -> tuple[int, ...]:
    return (*(i for i in range(ndim) if i != axis), axis)


def _one_hot(labels: Array, classes: int, ignore_index: int, dtype: np.dtype) -> tuple[Array, Array]:
    """One-hot rows (M, C) with zeros for ignored labels, and (M, 1): 1 where a label counts, 0 where ignored."""
    counts = labels != ignore_index
    wrong = counts & ((labels < 0) | (labels >= classes))
    if wrong.any():
        raise ValueError(f"target {int(labels[wrong][0])} is not a class: expected 0 to {classes - 1} or {ignore_index}")
    q = np.zeros((len(labels), classes), dtype)
    q[np.flatnonzero(counts), labels[counts]] = 1
    return q, counts.astype(dtype)[:, None]


def binary_cross_entropy_with_logits(
    logits: Operand,
    target: Operand,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Tensor:
    """Yes or no, element by element: -[pos_weight * y log s + (1 - y) log(1 - s)] with s = sigmoid(logits).

    Written with log(1 - s) = log s - logits, so that neither logarithm ever sees a rounded 0:
    (1 - y) * logits - (1 + (pos_weight - 1) * y) * log_sigmoid(logits).

    Args:
        logits: (*).
        target: (*), probabilities of yes in [0, 1]; constant.
        weight: a factor for each element, broadcast to (*).
        reduction: "mean", "sum" or "none".
        pos_weight: a factor for the yes part, broadcast to (*): above 1 it trades precision for recall.

    Raises:
        ValueError: the shapes of logits and target differ; the message names both.
    """
    logits, y = as_tensor(logits), as_array(target)
    y = (y if hasattr(y, "dtype") else np.asarray(y)).astype(logits.dtype)
    if logits.shape != y.shape:
        raise ValueError(f"logits have shape {logits.shape}, target {y.shape}: reshape one to the other")
    scale = 1 if pos_weight is None else 1 + (as_array(pos_weight) - 1) * y
    losses = (1 - y) * logits - log_sigmoid(logits) * _cast(scale, logits)
    return reduce(losses if weight is None else losses * _cast(weight, logits), reduction)


def _cast(factor: Operand, like: Tensor) -> Operand:
    """A constant factor in the logits' dtype, so that float32 stays float32."""
    factor = as_array(factor)
    return factor.astype(like.dtype) if hasattr(factor, "dtype") else factor


class CrossEntropyLoss(Module):
    """`cross_entropy` as a module."""

    def __init__(
        self,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ):
        super().__init__()
        self.weight, self.ignore_index = weight, ignore_index
        self.reduction, self.label_smoothing = reduction, label_smoothing

    def forward(self, logits: Operand, target: Operand) -> Tensor:
        return cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class BCEWithLogitsLoss(Module):
    """`binary_cross_entropy_with_logits` as a module."""

    def __init__(self, weight: Array | None = None, reduction: str = "mean", pos_weight: Array | None = None):
        super().__init__()
        self.weight, self.reduction, self.pos_weight = weight, reduction, pos_weight

    def forward(self, logits: Operand, target: Operand) -> Tensor:
        return binary_cross_entropy_with_logits(logits, target, self.weight, self.reduction, self.pos_weight)
