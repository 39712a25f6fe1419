r"""How surprised? The loss of classifiers: minus the logarithm of the probability given to what happened.

    loss_n = -sum_c a_nc log p_nc,    p_n = softmax(logits_n)      dloss_n/dlogits_n = (sum_c a_nc) p_n - a_n

with coefficients a = q w: q the target distribution, w a weight for each class. For a class index q is
one-hot, the loss -log p of that class and the gradient p - q: what the model said minus what was true.
Label smoothing mixes q with the uniform distribution, (1 - eps) q + eps / C: no logit is pushed to infinity.

Logits go in, not probabilities. Softmax and logarithm together are stable, log p = x - logsumexp(x); apart,
the logarithm meets a probability that has underflowed to 0. Fused they are one node with a simple rule.

For yes or no one logit x is enough: log p = log sigmoid(x), and for no log(1 - p) = log sigmoid(-x).

Shapes   logits (C,), (N, C) or (N, C, *): classes on axis 1, or 0 if it is the only one. Targets: integers of
         shape (), (N,) or (N, *), or probabilities of the shape of the logits. The loss is a scalar, or with
         reduction "none" (), (N,) or (N, *).
Source   Bishop 2006, Pattern Recognition and Machine Learning, eq. 4.90-4.91 and 4.108-4.109;
         Szegedy et al. 2016, arXiv:1512.00567, sec. 7 (label smoothing).
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array, as_tensor
from foundations.shaping import unsqueeze
from nn_core.activations.sigmoid import log_sigmoid
from nn_core.activations.softmax import softmax
from nn_core.module import Module
from optimization.losses.mse import reduce
from utils.math_utils import log_softmax
from utils.tensor_utils import broadcast_shapes


class CrossEntropy(Function):
    """Logits (N, C, *) -> losses (N, *): -sum_c a_c log softmax(logits)_c along ``axis``.

    Args:
        coefficients: a of the formula, of the shape of the logits, none negative; constant.
        axis: where the classes are.
    """

    def __init__(self, coefficients: Array, axis: int):
        self.coefficients, self.axis = coefficients, axis

    def forward(self, logits: Array) -> Array:
        """Return -sum_c a_c log p_c, with log p from `utils.math_utils.log_softmax`.

        Where a coefficient is 0 its logarithm is not looked at: a logit of -inf, an impossible class, costs
        nothing unless it is the target (0 * inf would be NaN). A NaN elsewhere is not hidden.
        """
        raise NotImplementedError("optimization.losses.cross_entropy: TODO 2 of 5, CrossEntropy.forward")

    def backward(self, grad):
        """Map dL/dlosses (N, *) to dL/dlogits: (p * the sum of a along the axis - a) * grad.

        Read the logits from ``self.operands`` and use `nn_core.activations.softmax.softmax`, so that this
        gradient can be differentiated again. ``grad`` lacks the class axis: `unsqueeze` it.
        """
        raise NotImplementedError("optimization.losses.cross_entropy: TODO 3 of 5, CrossEntropy.backward")


def target_distribution(
    target: Array, shape: tuple[int, ...], ignore_index: int = -100
) -> tuple[Array, Array]:
    """What the targets say about each class, whichever way they say it.

    Args:
        target: class indices (any integer dtype), of ``shape`` without its class axis; or probabilities (any
            other dtype: booleans are 0 and 1), of ``shape``.
        shape: of the logits: (C,), (N, C) or (N, C, *). The class axis is 1, or 0 if there is only one.
        ignore_index: positions with this index do not count; it may be a class or not. Indices only.

    Returns:
        q, of ``shape``: booleans, True at the target class of each position that counts, False everywhere
            else; or the probabilities themselves, in their dtype.
        counted, booleans, of ``shape`` with 1 for the number of classes: False at ignored positions. All True
            for probabilities.

    Raises:
        ValueError: ``shape`` is () or has no class (the message names it); the target has another shape (it
            names that, the one expected and that of the logits); or an index is neither a class nor ignored
            (it names the index and the shape of the logits). A negative index does not count from the end.
    """
    raise NotImplementedError("optimization.losses.cross_entropy: TODO 1 of 5, target_distribution")


def cross_entropy(
    logits: Operand,
    target: Operand,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy between the target and softmax(logits): -sum_c ((1 - eps) q_c + eps / C) w_c log p_c.

    Args:
        logits: (C,), (N, C) or (N, C, *): unnormalised log-probabilities.
        target: class indices (integers) of shape (), (N,) or (N, *); or probabilities (any other dtype) of
            the shape of the logits. Constant: no gradient flows into it.
        weight: w, (C,), a factor for each class; default 1. Constant.
        ignore_index: positions with this index cost nothing and do not count, smoothing included.
        reduction: "none"; "sum"; or "mean": for indices the sum over the total weight of the target classes
            that count (without weights, their number); for probabilities the sum over the number of losses.
        label_smoothing: eps of the formula, in [0, 1].

    Returns:
        A scalar, or for "none" the losses, of the logits' shape without the class axis. float32 logits give a
        float32 loss, whatever the dtypes of target and weight.

    Raises:
        ValueError: as `target_distribution`; a weight that is not (C,) (the message names its shape and C); a
            smoothing outside [0, 1] or NaN (it names it); an unknown reduction (as `reduce`); or the mean of
            nothing: for indices where no target counts or all that count have weight 0, for probabilities
            where N or * is 0. A class of weight 0 beside others that count is no error.
    """
    raise NotImplementedError("optimization.losses.cross_entropy: TODO 4 of 5, cross_entropy")


def binary_cross_entropy_with_logits(
    logits: Operand,
    target: Operand,
    weight: Array | None = None,
    reduction: str = "mean",
    pos_weight: Array | None = None,
) -> Tensor:
    """Yes or no, element by element: -weight * (pos_weight * y * log s + (1 - y) * log(1 - s)).

    s = sigmoid(logits) is the probability of yes; log(1 - s) is log sigmoid(-logits), right in both tails.

    Args:
        logits: (*).
        target: y, (*): probabilities of yes in [0, 1]. Constant.
        weight: a factor for each element, broadcast to (*); default 1. Constant.
        reduction: "mean" (over the number of elements), "sum" or "none".
        pos_weight: a factor for the yes part, broadcast to (*), default 1: above 1 it trades precision for
            recall. Constant.

    Returns:
        A scalar, or (*) for "none". float32 logits give a float32 loss, whatever the dtypes of the others.

    Raises:
        ValueError: logits and target differ in shape, or a factor does not broadcast to that shape (the
            message names both shapes); or as `reduce`.
    """
    raise NotImplementedError("optimization.losses.cross_entropy: TODO 5 of 5, binary_cross_entropy_with_logits")


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
        """(N, C, *) and (N, *) or (N, C, *) -> a scalar, or (N, *) for "none"."""
        return cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )

    def extra_repr(self) -> str:
        return f"reduction='{self.reduction}', label_smoothing={self.label_smoothing}"


class BCEWithLogitsLoss(Module):
    """`binary_cross_entropy_with_logits` as a module."""

    def __init__(self, weight: Array | None = None, reduction: str = "mean", pos_weight: Array | None = None):
        super().__init__()
        self.weight, self.reduction, self.pos_weight = weight, reduction, pos_weight

    def forward(self, logits: Operand, target: Operand) -> Tensor:
        """(*), (*) -> a scalar, or (*) for "none"."""
        return binary_cross_entropy_with_logits(logits, target, self.weight, self.reduction, self.pos_weight)

    def extra_repr(self) -> str:
        return f"reduction='{self.reduction}'"


def _class_axis(shape: tuple[int, ...]) -> int:
    """Where the classes are in logits of ``shape``: 1, or 0 if that is the only axis."""
    axis = 0 if len(shape) == 1 else 1
    if not shape or shape[axis] == 0:
        raise ValueError(f"logits need an axis with at least one class, got shape {shape}")
    return axis


def _along(classes: Array, shape: tuple[int, ...]) -> Array:
    """One number a class, (C,), reshaped to broadcast along the class axis of ``shape``."""
    return classes.reshape(-1, *[1] * (len(shape) - 1 - _class_axis(shape)))


def _constant(x: Operand) -> Array:
    """The array of a Tensor, an array as it is, what `np.asarray` makes of anything else."""
    x = as_array(x)
    return x if hasattr(x, "dtype") else np.asarray(x)


def _float(logits: Tensor) -> np.dtype:
    """The dtype to compute in: that of the logits; floating point if they are integers."""
    return np.result_type(logits.dtype, np.float32)


def _factor(factor: Operand, name: str, logits: Tensor) -> Array:
    """A constant factor in the dtype of the logits, which it must not stretch."""
    array = _constant(factor).astype(_float(logits))
    if broadcast_shapes(array.shape, logits.shape) != logits.shape:
        raise ValueError(f"{name} {array.shape} does not broadcast to the logits' shape {logits.shape}")
    return array
