r"""Channels in groups, and every group of every example gets mean 0 and variance 1.

    xhat = (x - mean) / sqrt(var + eps)          y = weight * xhat + bias

with mean and biased variance over the C / G channels of a group and all positions, for each example: one
group is `LayerNorm` over (C, *), a group for each channel is `InstanceNorm`. Weight and bias belong to the
channels, not to the groups. The batch plays no part, so it works where batches are too small for BatchNorm.

A group is contiguous in memory: reshaped to rows (N G, D) with D = C / G times the positions, it is
`NormalizeFunction`, derivatives included.

Shapes   x (N, C, *); G groups; weight and bias (C,).
Source   Wu & He 2018, "Group Normalization", arXiv:1803.08494, sec. 3, eq. 1 and 7.
"""

from __future__ import annotations

from math import prod

import numpy as np

from foundations.computational_graph import Operand, Tensor, as_array
from foundations.shaping import reshape
from nn_core.module import Module, Parameter
from nn_core.normalization.layernorm import NormalizeFunction


def group_norm(
    x: Operand,
    num_groups: int,
    weight: Operand | None = None,
    bias: Operand | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each group of channels of each example; then multiply by weight and add bias, by channel.

    Args:
        x: (N, C, *), channels on axis 1.
        num_groups: G, which divides C; group k has the channels from k C / G to (k + 1) C / G - 1.
        weight, bias: (C,), or None for ones and for zeros, each by itself; either may be frozen.
        eps: added to the variance, > 0: numbers that are all equal, or alone in a group, become 0, not NaN. A
            NumPy float64 leaves float32 as it is.

    Returns:
        The shape of x.

    Raises:
        ValueError: x has less than two axes (the message names its shape); G is below 1 or does not divide C
            (it names G and x's shape); weight or bias is not (C,) (it names that shape and x's); there are
            no channels or no positions (it names the shape of x).
    """
    shape = as_array(x).shape
    if len(shape) < 2:
        raise ValueError(f"group_norm needs x (N, C, *), got x {shape}")
    channels, positions = shape[1], prod(shape[2:])
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"{num_groups} groups do not divide {channels} channels (axis 1) of x {shape}")
    size = channels // num_groups * positions  # D
    if size < 1:
        raise ValueError(f"group_norm of x {shape}: there is nothing to normalise")
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and as_array(vector).shape != (channels,):
            raise ValueError(
                f"{name} {as_array(vector).shape} does not fit x {shape}: expected ({channels},)"
            )
    y = NormalizeFunction.apply(reshape(x, (shape[0] * num_groups, size)), eps=eps)  # (N G, D)
    y = reshape(y, shape)
    along = (channels, *[1] * (len(shape) - 2))  # lines a (C,) up with axis 1
    if weight is not None:
        y = y * reshape(weight, along)
    return y if bias is None else y + reshape(bias, along)


class GroupNorm(Module):
    """`group_norm` with a weight and a bias for each channel. Training and evaluation are the same.

    Args:
        num_groups: G >= 1, which divides C.
        num_channels: C >= 1.
        eps: added to the variance.
        affine: learn a weight and a bias.
        dtype: of the parameters.

    Attributes:
        weight, bias: Parameters (C,), ones and zeros at first; or None.

    Raises:
        ValueError: a size is below 1 or G does not divide C; the message names both.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: type | np.dtype = np.float32,
    ):
        super().__init__()
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm needs num_groups to divide num_channels, both at least 1: "
                             f"got {num_groups} and {num_channels}")  # fmt: skip
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = Parameter(np.ones(num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(num_channels, dtype)) if affine else None

    def forward(self, x: Operand) -> Tensor:
        """x (N, num_channels, *) -> the same shape.

        Raises:
            ValueError: x has another number of channels; the message names it and x's shape.
        """
        shape = as_array(x).shape
        if len(shape) < 2 or shape[1] != self.num_channels:
            raise ValueError(f"GroupNorm needs {self.num_channels} channels (axis 1), got x {shape}")
        return group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = self.weight is not None
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={affine}"
