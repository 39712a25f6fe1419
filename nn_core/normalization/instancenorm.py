r"""Every channel of every image gets mean 0 and variance 1: contrast and brightness are gone, shapes stay.

    xhat = (x - mean) / sqrt(var + eps)          y = weight * xhat + bias

with mean and biased variance over the positions of one channel of one example. It is `GroupNorm` with a group
for each channel, and BatchNorm of a batch of one: what an image looks like does not depend on its company.
By default nothing is learned.

Shapes   x (N, C, L) or (N, C, H, W); weight and bias (C,).
Source   Ulyanov, Vedaldi & Lempitsky 2016, "Instance Normalization: The Missing Ingredient for Fast
         Stylization", arXiv:1607.08022, sec. 2.
"""

from __future__ import annotations

from math import prod
from typing import ClassVar

import numpy as np

from foundations.computational_graph import Operand, Tensor, as_array
from nn_core.module import Module, Parameter
from nn_core.normalization.groupnorm import group_norm


def instance_norm(
    x: Operand, weight: Operand | None = None, bias: Operand | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each channel of each example over its positions; then multiply by weight and add bias.

    Args:
        x: (N, C, *), with at least one axis of positions.
        weight, bias: (C,), or None for ones and for zeros, each by itself; either may be frozen.
        eps: added to the variance, > 0: a channel of equal numbers becomes 0, not NaN. A NumPy float64
            leaves float32 as it is.

    Returns:
        The shape of x.

    Raises:
        ValueError: x has less than three axes, no channel, or less than two positions, whose variance says
            nothing (the message names its shape); weight or bias is not (C,) (it names that shape and x's).
    """
    raise NotImplementedError("nn_core.normalization.instancenorm: TODO 1 of 3, instance_norm")


class InstanceNorm(Module):
    """`instance_norm` as a layer: what `InstanceNorm1d` and `InstanceNorm2d` share.

    Training and evaluation are the same: no running statistics are kept.

    Args:
        num_features: C >= 1.
        eps: added to the variance.
        affine: learn a weight and a bias.
        dtype: of the parameters.

    Attributes:
        weight, bias: Parameters (C,), ones and zeros at first; or None, the default.

    Raises:
        ValueError: num_features is below 1; the message names it.
    """

    dimensions: ClassVar[int] = 0  # how many axes x has

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        *,
        affine: bool = False,
        dtype: type | np.dtype = np.float32,
    ):
        raise NotImplementedError("nn_core.normalization.instancenorm: TODO 2 of 3, InstanceNorm.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (N, num_features, *) -> the same shape.

        Raises:
            ValueError: x has other than the layer's ``dimensions`` or channels; the message names its shape
                and num_features. Or as `instance_norm`.
        """
        raise NotImplementedError("nn_core.normalization.instancenorm: TODO 3 of 3, InstanceNorm.forward")

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class InstanceNorm1d(InstanceNorm):
    """`InstanceNorm` of x (N, C, L)."""

    dimensions = 3


class InstanceNorm2d(InstanceNorm):
    """`InstanceNorm` of x (N, C, H, W)."""

    dimensions = 4
