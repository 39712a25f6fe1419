r"""Every channel gets mean 0 and variance 1 over the batch, and remembers both for when there is no batch.

    xhat = (x - mean) / sqrt(var + eps)          y = weight * xhat + bias

In training, mean and the biased variance (divided by M) are those of the channel's M numbers in this batch,
and depend on x. With r = 1 / sqrt(var + eps) and g = dL/dy, two sums a channel are the whole rule:

    dL/dbias = sum(g)        dL/dweight = sum(g xhat)
    dL/dx = weight r (g - dL/dbias / M - xhat dL/dweight / M)

In evaluation running averages take their place. They are constants, so there dL/dx is weight r g only. They
follow the batches, and ``momentum`` is the weight of the newest, as in PyTorch (other texts call that 1 - m):

    running = (1 - momentum) running + momentum batch

for the mean and for the *unbiased* variance (divided by M - 1), an estimate of the variance of all data.

Shapes   x (N, C), (N, C, L) or (N, C, H, W); weight, bias and statistics (C,); M = N, N L or N H W.
         The rule sees (N, C, L). Images whose channels lie last in memory come to it as (N H W, C, 1): a
         position is as good as an example, and nothing is copied.
Source   Ioffe & Szegedy 2015, "Batch Normalization", arXiv:1502.03167, sec. 3, algorithms 1 and 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import ClassVar

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.reductions import mean, var
from foundations.shaping import reshape, transpose
from nn_core.module import Module, Parameter

PIECE = 1 << 18  # bytes of x worked on at once: a core's cache holds them from one step to the next


def channel_sum(x):
    """Sum over all but the channels: (N, C, L) -> (C,), an array of an array and a Tensor of a Tensor."""
    n, c, length = x.shape
    if length == 1:  # either way a product with ones: a sum by BLAS
        return np.ones_like(as_array(x), shape=n) @ x.reshape((n, c))
    return (x.reshape((n * c, length)) @ np.ones_like(as_array(x), shape=length)).reshape((n, c)).sum(axis=0)


def pieces(x: Array, *vectors: Array) -> Iterator[tuple]:
    """Cut x (N, C, L) along its first axis, about `PIECE` bytes a cut.

    Yields:
        (cut, *repeated): a slice, and each of the ``vectors`` (C,) repeated to the shape of ``x[cut]``. One
        loop then runs over all its numbers, where broadcasting would start anew for every L of them.
    """
    n, c, length = x.shape
    rows = min(n, max(1, PIECE // (x.dtype.itemsize * c * length)))
    repeated = [np.empty_like(vector, shape=(rows, c, length)) for vector in vectors]
    for whole, vector in zip(repeated, vectors, strict=True):
        whole[...] = vector[:, None]
    for start in range(0, n, rows):
        cut = slice(start, min(n, start + rows))
        yield cut, *[whole[: cut.stop - start] for whole in repeated]


def follow(running: Array, batch: Array, momentum: float) -> None:
    """Move a running statistic, in place: (1 - momentum) running + momentum batch.

    Args:
        running: (C,), changed in place and in its own dtype: whoever holds the array sees it.
        batch: (C,), the same statistic of one batch.
        momentum: the weight of this batch, in [0, 1].
    """
    raise NotImplementedError("nn_core.normalization.batchnorm: TODO 1 of 6, follow")


class BatchNormFunction(Function):
    """x (N, C, L), weight (C,), bias (C,) -> weight * xhat + bias.

    Args:
        eps: added to the variance.
        running: (mean, variance), two arrays (C,); or None. In training they `follow` those of the batch;
            otherwise they are used in their place, as constants.
        momentum: the weight of this batch.
        training: normalise with the statistics of this batch.
    """

    fresh = True

    def __init__(
        self,
        eps: float,
        running: tuple[Array, Array] | None = None,
        momentum: float = 0.1,
        training: bool = True,
    ):
        self.eps = float(eps)  # a NumPy float64 would widen float32
        self.running, self.momentum, self.training = running, momentum, training

    def forward(self, x: Array, weight: Array, bias: Array) -> Array:
        """Return weight * (x - mean) / sqrt(var + eps) + bias, with mean and biased variance of each channel.

        Deviations first, then their squares: mean(x^2) - mean(x)^2 loses all digits where the mean is large.
        Keep the mean and 1 / sqrt(var + eps), (C,), for `backward`; deviations, as large as x, are made anew
        there. `follow` with the mean and the unbiased variance, M / (M - 1) times the biased one, if there
        are ``running`` statistics. Outside training the running statistics stand in for the batch's: keep
        copies, since the next batch in training changes them in place, perhaps before `backward`.
        """
        raise NotImplementedError("nn_core.normalization.batchnorm: TODO 2 of 6, BatchNormFunction.forward")

    def backward(self, grad):
        """Return the gradients with respect to x, weight and bias, as the file's first lines have them.

        None may stand for that of x where nobody ``needs`` it. While a graph of the gradient is built,
        ``grad`` is a Tensor, and in training the mean and 1 / sqrt(var + eps) must be too, made of
        ``self.operands`` with operations (`foundations.reductions`): they depend on x.

        Change neither ``grad`` nor what `forward` kept: a second pass through the graph reads them again.
        """
        raise NotImplementedError("nn_core.normalization.batchnorm: TODO 3 of 6, BatchNormFunction.backward")


def batch_norm(
    x: Operand,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    weight: Operand | None = None,
    bias: Operand | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of x, axis 1; then multiply by weight and add bias.

    Args:
        x: (N, C, *).
        running_mean, running_var: (C,), or both None. In training they follow the batch, in place; otherwise
            they are what x is normalised with.
        weight, bias: (C,), or None for ones and for zeros, each by itself; either may be frozen.
        training: normalise with the statistics of x.
        momentum: the weight of this batch in the running statistics; with 0.0 they stay.
        eps: added to the variance, > 0: a channel of equal numbers becomes 0, not NaN. A NumPy float64
            leaves float32 as it is.

    Returns:
        The shape of x. It lies in memory as x does: channels first, or last, as convolutions leave them.

    Raises:
        ValueError: x has less than two axes (the message names its shape); one of the others is not (C,) (it
            names that shape and x's); in training, less than two numbers a channel, whose variance says
            nothing (it names the shape of x); one running statistic is None and the other is not, or outside
            training both are (it names None).
    """
    raise NotImplementedError("nn_core.normalization.batchnorm: TODO 4 of 6, batch_norm")


class BatchNorm(Module):
    """`batch_norm` as a layer: what `BatchNorm1d` and `BatchNorm2d` share.

    In training, or without running statistics, it normalises with the statistics of the batch. In training
    the running statistics follow, and count the batches. In evaluation they are used and do not change.

    Args:
        num_features: C >= 1.
        eps: added to the variance.
        momentum: the weight of the newest batch in the running statistics, 0.0 to leave them; None for the
            average of all batches so far, the n-th of which has the weight 1 / n.
        affine: learn a weight and a bias.
        track_running_stats: keep running statistics.
        dtype: of the parameters and the running statistics.

    Attributes:
        weight, bias: Parameters (C,), ones and zeros at first; or None.
        running_mean, running_var: buffers (C,), zeros and ones at first; or None.
        num_batches_tracked: buffer (), an int64, 0 at first; or None.

    Raises:
        ValueError: num_features is below 1; the message names it.
    """

    dimensions: ClassVar[tuple[int, ...]] = (2, 3, 4)  # how many axes x may have
    running_mean: Array | None
    running_var: Array | None
    num_batches_tracked: Array | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: type | np.dtype = np.float32,
    ):
        raise NotImplementedError("nn_core.normalization.batchnorm: TODO 5 of 6, BatchNorm.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (N, num_features, *) -> the same shape.

        Raises:
            ValueError: x has other than the layer's ``dimensions`` or channels; the message names its shape
                and num_features. Or as `batch_norm`. The running statistics are then as they were.
        """
        raise NotImplementedError("nn_core.normalization.batchnorm: TODO 6 of 6, BatchNorm.forward")

    def extra_repr(self) -> str:
        affine, tracking = self.weight is not None, self.running_mean is not None
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={affine}, "
            f"track_running_stats={tracking}"
        )


class BatchNorm1d(BatchNorm):
    """`BatchNorm` of x (N, C) or (N, C, L)."""

    dimensions = (2, 3)


class BatchNorm2d(BatchNorm):
    """`BatchNorm` of x (N, C, H, W)."""

    dimensions = (4,)
