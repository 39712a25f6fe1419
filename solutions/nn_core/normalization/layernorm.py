r"""Every example gets mean 0 and variance 1, whatever the others in its batch look like.

    xhat = (x - mean) / sqrt(var + eps)          y = weight * xhat + bias

with the mean and the biased variance (divided by D, not D - 1) of the example's own D features. Both depend
on x, so every feature moves all the others. With r = 1 / sqrt(var + eps) and g = dL/dxhat the D x D Jacobian
collapses to two means:

    dL/dx = r (g - mean(g) - xhat mean(g xhat))

Shifting or stretching x leaves xhat as it was, so what g says about shift and stretch is taken out of it.
`NormalizeFunction` is this rule for rows; `GroupNorm` and `InstanceNorm` only choose other rows.

Shapes   rows (R, D), one mean and variance a row; x (*, *normalized_shape), weight and bias normalized_shape.
Source   Ba, Kiros & Hinton 2016, "Layer Normalization", arXiv:1607.06450, sec. 3, eq. 3;
         Chan, Golub & LeVeque 1983, "Algorithms for Computing the Sample Variance", The American
         Statistician 37(3), sec. 1-2 (two passes, and why).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.reductions import var
from foundations.shaping import reshape
from nn_core.module import Module, Parameter


def averaging(rows: Array) -> Array:
    """The column (D, 1) of 1 / D: rows @ column are the means, faster than a sum over a short axis."""
    size = rows.shape[1]
    return np.full_like(rows, 1.0 / size, shape=(size, 1), dtype=np.result_type(rows, 1.0))


class NormalizeFunction(Function):
    """Rows (R, D) -> rows (R, D), each with mean 0 and variance var / (var + eps)."""

    fresh = True

    def __init__(self, eps: float):
        self.eps = float(eps)  # a NumPy float64 would widen float32

    def forward(self, x: Array) -> Array:
        """Return (x - mean) / sqrt(var + eps), with the mean and the biased variance of each row.

        Deviations first, then their squares: mean(x^2) - mean(x)^2 subtracts two large numbers where the mean
        is large. Keep 1 / sqrt(var + eps), (R, 1), for `backward`.
        """
        average = averaging(x)
        xhat = x - x @ average
        xhat -= xhat @ average  # what rounding left of a large mean
        variance = np.einsum("ij,ij->i", xhat, xhat)[:, None] / x.shape[1]  # (R, 1)
        self.inv_std = 1.0 / np.sqrt(variance + self.eps)
        xhat *= self.inv_std
        return xhat

    def backward(self, grad):
        """Return inv_std * (grad - mean(grad) - xhat * mean(grad * xhat)), the means over each row.

        xhat is ``self.output``. While a graph of the gradient is built, ``grad`` is a Tensor and inv_std must
        be one too, made of ``self.operands`` (`foundations.reductions.var`): it depends on x.

        Change neither ``grad`` nor what `forward` kept: a second pass through the graph reads them again.
        """
        (x,), xhat = self.operands, self.output
        differentiable = isinstance(grad, Tensor)
        inv_std = (var(x, axis=1, keepdims=True) + self.eps) ** -0.5 if differentiable else self.inv_std
        average = averaging(as_array(grad))
        by_x = grad - grad @ average
        by_x -= xhat * ((grad * xhat) @ average)  # in place for arrays; Tensors make a new one
        by_x *= inv_std
        return by_x


class ScaleFunction(Function):
    """Rows (R, D) times a weight (D,), plus a bias (D,) if there is one."""

    fresh = True

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Return x * weight, or x * weight + bias."""
        y = x * weight
        if bias is not None:
            y += bias
        return y

    def backward(self, grad):
        """Return (grad * weight, the sum over rows of grad * x), and with a bias the sum over rows of grad.

        None stands for what nobody ``needs``: the weight may be frozen and the bias not, or the reverse.
        ``grad`` and the operands stay as they are.
        """
        x, weight, *bias = self.operands
        ones = np.ones_like(as_array(grad), shape=len(grad))  # ones @ rows: a sum over rows by BLAS
        by_x = grad * weight if self.needs(0) else None
        by_weight = ones @ (grad * x) if self.needs(1) else None
        if not bias:
            return by_x, by_weight
        return by_x, by_weight, (ones @ grad if self.needs(2) else None)


def layer_norm(
    x: Operand,
    normalized_shape: Sequence[int],
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise the last axes of x, those of ``normalized_shape``; then multiply by weight and add bias.

    Args:
        x: (*, *normalized_shape).
        normalized_shape: what one example is, a tuple or list: (D,) or (C, H, W); at least one axis.
        weight: ``normalized_shape``, or None for ones.
        bias: ``normalized_shape``, or None for zeros.
        eps: added to the variance, > 0: features that are all equal become 0, not NaN. A NumPy float64
            leaves float32 as it is.

    Returns:
        The shape of x.

    Raises:
        ValueError: ``normalized_shape`` is empty or has a 0, or the last sides of x are not just these (the
            message names it and the shape of x); weight or bias has another shape (it names
            ``normalized_shape`` and that shape).
    """
    shape, own = as_array(x).shape, tuple(normalized_shape)
    if not own or 0 in own or shape[-len(own) :] != own:
        raise ValueError(
            f"layer_norm(x {shape}, normalized_shape={own}): x must end in a normalized_shape without 0"
        )
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and as_array(p).shape != own:
            raise ValueError(f"layer_norm over {own} needs a {name} of that shape, got {as_array(p).shape}")
    y = NormalizeFunction.apply(reshape(x, (prod(shape[: -len(own)]), prod(own))), eps=eps)  # (R, D)
    if weight is None and bias is not None:
        weight = np.ones_like(as_array(bias))
    if weight is not None:
        y = ScaleFunction.apply(y, *[reshape(p, prod(own)) for p in (weight, bias) if p is not None])
    return reshape(y, shape)


class LayerNorm(Module):
    """`layer_norm` with a weight and a bias to learn. Training and evaluation are the same.

    Args:
        normalized_shape: the last axes of x, a tuple or list; an int D stands for (D,).
        eps: added to the variance.
        elementwise_affine: learn a weight, and a bias too if ``bias``.
        bias: learn a bias; without effect if not ``elementwise_affine``.
        dtype: of the parameters.

    Attributes:
        normalized_shape: a tuple.
        weight: Parameter of ``normalized_shape``, ones at first; or None.
        bias: Parameter of ``normalized_shape``, zeros at first; or None.

    Raises:
        ValueError: ``normalized_shape`` is empty or has a side below 1; the message names it.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: type | np.dtype = np.float32,
    ):
        super().__init__()
        sides = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
        if not sides or min(sides) < 1:
            raise ValueError(f"LayerNorm needs a normalized_shape of sides of at least 1, got {sides}")
        self.normalized_shape, self.eps = sides, eps
        self.weight = Parameter(np.ones(sides, dtype)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(sides, dtype)) if elementwise_affine and bias else None

    def forward(self, x: Operand) -> Tensor:
        """x (*, *normalized_shape) -> the same shape."""
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine, bias = self.weight is not None, self.bias is not None
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}, bias={bias}"
