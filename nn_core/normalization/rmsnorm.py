r"""LayerNorm without the mean: every example gets root mean square 1, and keeps its direction.

    xhat = x / sqrt(mean(x^2) + eps)          y = weight * xhat

One statistic instead of two, and no bias. With r = 1 / sqrt(mean(x^2) + eps) and g = dL/dxhat,

    dL/dx = r (g - xhat mean(g xhat))

which is the rule of `LayerNorm` without the term of the mean: a stretch of x changes nothing, a shift does.

Shapes   rows (R, D), one root mean square a row; x (*, *normalized_shape), weight normalized_shape.
Source   Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", arXiv:1910.07467, sec. 4, eq. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.shaping import reshape
from nn_core.module import Module, Parameter
from nn_core.normalization.layernorm import ScaleFunction, averaging


class RMSNormFunction(Function):
    """Rows (R, D) -> rows (R, D), each divided by sqrt(mean of its squares + eps)."""

    fresh = True

    def __init__(self, eps: float):
        self.eps = float(eps)  # a NumPy float64 would widen float32

    def forward(self, x: Array) -> Array:
        """Return x / sqrt(mean(x^2) + eps), the mean over each row; keep 1 / sqrt(...), (R, 1)."""
        raise NotImplementedError("nn_core.normalization.rmsnorm: TODO 1 of 5, RMSNormFunction.forward")

    def backward(self, grad):
        """Return inv_rms * (grad - xhat * mean(grad * xhat)), the mean over each row.

        xhat is ``self.output``. While a graph of the gradient is built, ``grad`` is a Tensor and inv_rms must
        be one too, made of ``self.operands``: it depends on x.

        Change neither ``grad`` nor what `forward` kept: a second pass through the graph reads them again.
        """
        raise NotImplementedError("nn_core.normalization.rmsnorm: TODO 2 of 5, RMSNormFunction.backward")


def rms_norm(
    x: Operand, normalized_shape: Sequence[int], weight: Operand | None = None, eps: float | None = None
) -> Tensor:
    """Divide the last axes of x, ``normalized_shape``, by their root mean square; then multiply by weight.

    Args:
        x: (*, *normalized_shape), floating point.
        normalized_shape: what one example is, a tuple or list: (D,) or (C, H, W); at least one axis.
        weight: ``normalized_shape``, or None for ones.
        eps: added to the mean square: zeros stay 0. None for the distance from 1 to the next number in the
            dtype of x (not that of the weight), ``np.finfo(x.dtype).eps``; 0.0 is 0. A NumPy float64
            leaves float32 as it is.

    Returns:
        The shape of x.

    Raises:
        ValueError: ``normalized_shape`` is empty or has a 0, or the last sides of x are not just these (the
            message names it and the shape of x); the weight has another shape (it names
            ``normalized_shape`` and that shape).
    """
    raise NotImplementedError("nn_core.normalization.rmsnorm: TODO 3 of 5, rms_norm")


class RMSNorm(Module):
    """`rms_norm` with a weight to learn. Training and evaluation are the same.

    Args:
        normalized_shape: the last axes of x, a tuple or list; an int D stands for (D,).
        eps: added to the mean square; None as in `rms_norm`.
        elementwise_affine: learn a weight.
        dtype: of the weight.

    Attributes:
        normalized_shape: a tuple.
        weight: Parameter of ``normalized_shape``, ones at first; or None.

    Raises:
        ValueError: ``normalized_shape`` is empty or has a side below 1; the message names it.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: type | np.dtype = np.float32,
    ):
        raise NotImplementedError("nn_core.normalization.rmsnorm: TODO 4 of 5, RMSNorm.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (*, *normalized_shape) -> the same shape."""
        raise NotImplementedError("nn_core.normalization.rmsnorm: TODO 5 of 5, RMSNorm.forward")

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
