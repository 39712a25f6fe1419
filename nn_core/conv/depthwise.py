r"""Depthwise convolution: every channel is looked at for itself, by M kernels of its own.

    y[n, c M + m, i, j] = b[c M + m] + sum_{u, v} w[c M + m, 0, u, v] x[n, c, s i + d u - p, s j + d v - p]

A convolution does two things at once: it looks around, and it mixes channels. This one only looks around, and
a 1 x 1 convolution after it mixes: together they are a *separable* convolution. It is not the same function,
but for K outputs and R x S kernels it takes M (1/K + 1/(R S)) of the multiplications, about a ninth at 3 x 3.

It is `conv2d` with as many groups as channels, and as matrix products those have a single column each. So the
three maps of the trilinear form are computed in another way. With the channels last in memory a line of the
image is one row of J C numbers, and one weight for each channel, repeated J times, is another. A line of the
result is the sum of R S products of rows, element by element:

    correlate   y[n, i, :]     = sum_{u, v} w[u, v, :] * image[n, s i + d u, what weight v sees, :]
    gather      dL/dw[u, v, :] = sum_{n, i} G[n, i, :] * the same, then the sum over columns
    spread      dL/dx: at stride 1 the first, of G and the kernel turned by 180 degrees

Shapes   x (N, C, H, W), w (C M, 1, R, S), b (C M,), y (N, C M, I, J). Arrays inside are channels-last.
Source   Howard et al. 2017, "MobileNets", arXiv:1704.04861, sec. 3.1, eq. 3 to 5; Chollet 2017, "Xception",
         arXiv:1610.02357, sec. 1; Sifre 2014, "Rigid-motion scattering for image classification", sec. 6.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.shaping import reshape, transpose
from nn_core.conv.conv2d import Conv2d, Geometry, Pair, framed, output_size, pair, parts, windows
from nn_core.initialization import kaiming_uniform
from nn_core.module import Module, Parameter


def cost_ratio(out_channels: int, kernel_size: int | Sequence[int], multiplier: int = 1) -> float:
    """Multiplications of a separable convolution over those of a full one, with the same channels and places.

    Each place of the full one costs R S C K, of the separable one R S C M + C M K: M (1/K + 1/(R S)).

    Args:
        out_channels: K >= 1.
        kernel_size: (R, S), or an int for both.
        multiplier: M >= 1.

    >>> cost_ratio(9, 3), cost_ratio(100, (1, 4), multiplier=2)
    (0.2222222222222222, 0.52)
    """
    raise NotImplementedError("nn_core.conv.depthwise: TODO 1 of 13, cost_ratio")


def rows(image: Array, kernel: Pair, geometry: Geometry) -> Array:
    """What each weight sees of each line, as a view: (N, H, W, C), padded -> (N, I, R, S, J, C)."""
    return windows(image, kernel, geometry).transpose((0, 1, 3, 4, 2, 5))


def flat(seen: Array) -> Array:
    """(..., J, C) -> (..., J C): a view of neighbours at stride 1, a copy where a stride leaves some out."""
    return seen.reshape((*seen.shape[:-2], seen.shape[-2] * seen.shape[-1]))


def correlate(image: Array, weight: Array, geometry: Geometry) -> Array:
    """image (N, H, W, C), padded, weight (R, S, C) -> (N, I, J, C): each channel with its own kernel.

    Of the wider dtype of the two, as `gather` and `spread`.
    """
    raise NotImplementedError("nn_core.conv.depthwise: TODO 2 of 13, correlate")


def gather(image: Array, grad: Array, kernel: Pair, geometry: Geometry) -> Array:
    """image (N, H, W, C), padded, grad (N, I, J, C) -> (R, S, C): the adjoint in the weight."""
    raise NotImplementedError("nn_core.conv.depthwise: TODO 5 of 13, gather")


def spread(grad: Array, weight: Array, size: Pair, geometry: Geometry) -> Array:
    """grad (N, I, J, C), weight (R, S, C) -> (N, *size, C), the padded image: the adjoint in the image."""
    raise NotImplementedError("nn_core.conv.depthwise: TODO 7 of 13, spread")


def last(weight: Array) -> Array:
    """(C M, 1, R, S) -> channels last, (R, S, C M), a view."""
    return weight[:, 0].transpose((1, 2, 0))


def repeated(image: Array, times: int) -> Array:
    """(N, H, W, C) -> (N, H, W, C ``times``): each channel ``times`` in a row, once a kernel."""
    return image if times == 1 else np.repeat(image, times, axis=3)


def collected(image: Array, times: int) -> Array:
    """The adjoint of `repeated`: (N, H, W, C ``times``) -> (N, H, W, C), the sum over a channel's copies."""
    n, h, w, c = image.shape
    return image if times == 1 else image.reshape((n, h, w, c // times, times)).sum(4)


class Correlate(Function):
    """x (N, C, H, W), weight (C M, 1, R, S) and possibly bias (C M,) -> y (N, C M, I, J)."""

    fresh = True

    def __init__(self, geometry: Geometry):
        self.geometry = geometry

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Return y: `correlate` of the framed x, `repeated` M times, plus the bias."""
        raise NotImplementedError("nn_core.conv.depthwise: TODO 3 of 13, Correlate.forward")

    def backward(self, grad):
        """Map G (N, C M, I, J) to (spread(G, w), gather(x, G)) or, with a bias, also the sum of G.

        The sum is over images and places. None for what nobody needs.
        """
        raise NotImplementedError("nn_core.conv.depthwise: TODO 9 of 13, Correlate.backward")


class Spread(Function):
    """grad (N, C M, I, J), weight (C M, 1, R, S) -> (N, *shape): the adjoint of `Correlate` in x.

    ``shape`` is (C, H, W): with a stride, several sizes have the same number of places.
    """

    fresh = True

    def __init__(self, shape: tuple[int, int, int], geometry: Geometry):
        self.shape, self.geometry = shape, geometry

    def forward(self, grad: Array, weight: Array) -> Array:
        """Return dL/dx without the padding: by `correlate` at stride 1, else `spread`; then `collected`."""
        raise NotImplementedError("nn_core.conv.depthwise: TODO 8 of 13, Spread.forward")

    def backward(self, u):
        """Map U (N, *shape) to (correlate(U, w), gather(U, G)); None for what nobody needs."""
        grad, weight = self.operands
        by_grad = by_weight = None
        if self.needs(0):
            by_grad = Correlate.apply(u, weight, geometry=self.geometry)
        if self.needs(1):
            by_weight = Gather.apply(u, grad, kernel=weight.shape[2:], geometry=self.geometry)
        return by_grad, by_weight


class Gather(Function):
    """x (N, C, H, W), grad (N, C M, I, J) -> (C M, 1, *kernel): the adjoint of `Correlate` in the weight.

    ``kernel`` is (R, S): with a stride, several have the same number of places.
    """

    fresh = True

    def __init__(self, kernel: Pair, geometry: Geometry):
        self.kernel, self.geometry = kernel, geometry

    def forward(self, x: Array, grad: Array) -> Array:
        """Return dL/dw: `gather` of the framed x, `repeated` M times, and G."""
        raise NotImplementedError("nn_core.conv.depthwise: TODO 6 of 13, Gather.forward")

    def backward(self, v):
        """Map V, of the weight's shape, to (spread(G, V), correlate(x, V)); None for what nobody needs."""
        x, grad = self.operands
        by_x = by_grad = None
        if self.needs(0):
            by_x = Spread.apply(grad, v, shape=x.shape[1:], geometry=self.geometry)
        if self.needs(1):
            by_grad = Correlate.apply(x, v, geometry=self.geometry)
        return by_x, by_grad


def depthwise_conv2d(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """Let each channel of a batch of images be seen by kernels of its own: conv2d with groups = C.

    Args:
        x: images, (N, C, H, W).
        weight: kernels, (C M, 1, R, S): the first M for channel 0, the next M for channel 1.
        bias: an offset for each kernel, (C M,), or None.
        stride, padding, dilation: as `conv2d`.

    Returns:
        (N, C M, I, J), I = output_size(H, R, stride, padding, dilation), J likewise.

    Raises:
        ValueError: the shapes do not fit (the message names those of x, weight and bias); a kernel does not
            fit the padded image, as `output_size`; a setting is out of its range (its name and value).
    """
    raise NotImplementedError("nn_core.conv.depthwise: TODO 4 of 13, depthwise_conv2d")


class DepthwiseConv2d(Module):
    """A layer of ``multiplier`` kernels a channel: (N, in_channels, H, W) -> (N, in_channels M, I, J).

    Weight and bias begin uniform on [-1/sqrt(R S), 1/sqrt(R S)]: R S is the number of inputs of each output.

    Args:
        in_channels: C >= 1.
        kernel_size: (R, S), or an int for both, >= 1.
        stride, padding, dilation: as `conv2d`.
        multiplier: M >= 1.
        bias: learn an offset for each kernel.
        rng: where the initial numbers come from, first those of the weight.
        dtype: of the parameters.

    Attributes:
        weight: Parameter (C M, 1, R, S).
        bias: Parameter (C M,), or None.
        kernel_size, stride, padding, dilation: (down, across), as `pair` makes them.
        multiplier: as it was given.

    Raises:
        ValueError: channels or multiplier below 1 (the message names both numbers); another setting is out of
            its range (its name and value).
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        multiplier: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        raise NotImplementedError("nn_core.conv.depthwise: TODO 10 of 13, DepthwiseConv2d.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, H, W) -> (N, in_channels * multiplier, I, J)."""
        raise NotImplementedError("nn_core.conv.depthwise: TODO 11 of 13, DepthwiseConv2d.forward")

    def extra_repr(self) -> str:
        c, settings = len(self.weight) // self.multiplier, f"kernel_size={self.kernel_size}"
        settings += f", stride={self.stride}, padding={self.padding}, dilation={self.dilation}"
        return f"{c}, {settings}, multiplier={self.multiplier}, bias={self.bias is not None}"


class SeparableConv2d(Module):
    """Look around, then mix: a depthwise convolution and a 1 x 1 `Conv2d` of its result.

    Nothing stands between them, so the depthwise layer has no bias: the pointwise one's makes up for it.

    Args:
        in_channels: C >= 1.
        out_channels: K >= 1.
        kernel_size, stride, padding, dilation, multiplier: of the depthwise layer.
        bias: of the pointwise layer.
        rng: where the initial numbers come from, first those of the depthwise layer.
        dtype: of the parameters.

    Attributes:
        depthwise: DepthwiseConv2d, C -> C M.
        pointwise: Conv2d, C M -> K.

    Raises:
        ValueError: as the two layers.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        multiplier: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        raise NotImplementedError("nn_core.conv.depthwise: TODO 12 of 13, SeparableConv2d.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, H, W) -> (N, out_channels, I, J)."""
        raise NotImplementedError("nn_core.conv.depthwise: TODO 13 of 13, SeparableConv2d.forward")
