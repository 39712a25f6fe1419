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
        square = np.einsum("ij,ij->i", x, x)[:, None] / x.shape[1]  # (R, 1)
        self.inv_rms = 1.0 / np.sqrt(square + self.eps)
        return x * self.inv_rms

    def backward(self, grad):
        """Return inv_rms * (grad - xhat * mean(grad * xhat)), the mean over each row.

        xhat is ``self.output``. While a graph of the gradient is built, ``grad`` is a Tensor and inv_rms must
        be one too, made of ``self.operands``: it depends on x.

        Change neither ``grad`` nor what `forward` kept: a second pass through the graph reads them again.
        """
        (x,), xhat = self.operands, self.output
        average = averaging(as_array(grad))
        inv_rms = ((x * x) @ average + self.eps) ** -0.5 if isinstance(grad, Tensor) else self.inv_rms
        by_x = grad - xhat * ((grad * xhat) @ average)
        by_x *= inv_rms  # in place for arrays; Tensors make a new one
        return by_x


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
    shape, own = as_array(x).shape, tuple(normalized_shape)
    if not own or 0 in own or shape[-len(own) :] != own:
        raise ValueError(
            f"rms_norm(x {shape}, normalized_shape={own}): x must end in a normalized_shape without 0"
        )
    if weight is not None and as_array(weight).shape != own:
        raise ValueError(f"rms_norm over {own} needs a weight of that shape, got {as_array(weight).shape}")
    if eps is None:
        eps = float(np.finfo(as_array(x).dtype).eps)
    y = RMSNormFunction.apply(reshape(x, (prod(shape[: -len(own)]), prod(own))), eps=eps)  # (R, D)
    if weight is not None:
        y = ScaleFunction.apply(y, reshape(weight, prod(own)))
    return reshape(y, shape)


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
        super().__init__()
        sides = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        if not sides or min(sides) < 1:
            raise ValueError(f"RMSNorm needs a normalized_shape of sides of at least 1, got {sides}")
        self.normalized_shape, self.eps = sides, eps
        self.weight = Parameter(np.ones(sides, dtype)) if elementwise_affine else None

    def forward(self, x: Operand) -> Tensor:
        """x (*, *normalized_shape) -> the same shape."""
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
