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
    r, s = pair(kernel_size, "kernel_size", 1)
    return multiplier * (1.0 / out_channels + 1.0 / (r * s))


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
    seen = rows(image, weight.shape[:2], geometry)  # (N, I, R, S, J, C)
    n, i, _, _, j, c = seen.shape
    dtype = np.result_type(image.dtype, weight.dtype)
    y = np.empty_like(image, shape=(n, i, j * c), dtype=dtype, order="C")
    across = np.tile(weight, j)  # (R, S, J C)
    for part in parts(seen.shape, image.dtype.itemsize):
        np.einsum("niuvk,uvk->nik", flat(seen[part]), across, out=y[part])
    return y.reshape((n, i, j, c))


def gather(image: Array, grad: Array, kernel: Pair, geometry: Geometry) -> Array:
    """image (N, H, W, C), padded, grad (N, I, J, C) -> (R, S, C): the adjoint in the weight."""
    seen, given = rows(image, kernel, geometry), flat(grad)  # (N, I, R, S, J, C), (N, I, J C)
    dtype = np.result_type(image.dtype, grad.dtype)
    total = np.zeros_like(grad, shape=(*kernel, given.shape[2]), dtype=dtype, order="C")
    for part in parts(seen.shape, image.dtype.itemsize):
        total += np.einsum("niuvk,nik->uvk", flat(seen[part]), given[part])
    return total.reshape((*kernel, *grad.shape[2:])).sum(2)


def spread(grad: Array, weight: Array, size: Pair, geometry: Geometry) -> Array:
    """grad (N, I, J, C), weight (R, S, C) -> (N, *size, C), the padded image: the adjoint in the image."""
    (r, s, c), (n, i, j, _) = weight.shape, grad.shape
    (down, right), (d, e) = geometry.stride, geometry.dilation
    dtype = np.result_type(grad.dtype, weight.dtype)
    image = np.zeros_like(grad, shape=(n, *size, c), dtype=dtype, order="C")
    across = np.tile(weight, j).reshape((r, s, j, c))
    for images, lines in parts((n, i, r, s, j, c), grad.dtype.itemsize):
        for u in range(r):
            for v in range(s):
                below = slice(lines.start * down + d * u, lines.stop * down + d * u, down)
                image[images, below, e * v : e * v + right * j : right] += grad[images, lines] * across[u, v]
    return image


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
        image = repeated(framed(x, self.geometry.padding), len(weight) // x.shape[1])
        y = correlate(image, last(weight), self.geometry)
        if bias is not None:
            y += bias
        return y.transpose((0, 3, 1, 2))  # (N, C M, I, J), channels last in memory

    def backward(self, grad):
        """Map G (N, C M, I, J) to (spread(G, w), gather(x, G)) or, with a bias, also the sum of G.

        The sum is over images and places. None for what nobody needs.
        """
        x, weight, *bias = self.operands
        by_x = by_weight = None
        if self.needs(0):
            by_x = Spread.apply(grad, weight, shape=x.shape[1:], geometry=self.geometry)
        if self.needs(1):
            by_weight = Gather.apply(x, grad, kernel=weight.shape[2:], geometry=self.geometry)
        if not bias:
            return by_x, by_weight
        if not self.needs(2):
            return by_x, by_weight, None
        places = reshape(transpose(grad, (0, 2, 3, 1)), (-1, grad.shape[1]))  # (N I J, C M)
        ones = np.ones_like(as_array(grad), shape=places.shape[0])  # 1^T G by BLAS, as in Linear
        return by_x, by_weight, ones @ places


class Spread(Function):
    """grad (N, C M, I, J), weight (C M, 1, R, S) -> (N, *shape): the adjoint of `Correlate` in x.

    ``shape`` is (C, H, W): with a stride, several sizes have the same number of places.
    """

    fresh = True

    def __init__(self, shape: tuple[int, int, int], geometry: Geometry):
        self.shape, self.geometry = shape, geometry

    def forward(self, grad: Array, weight: Array) -> Array:
        """Return dL/dx without the padding: by `correlate` at stride 1, else `spread`; then `collected`."""
        stride, (p, q), (d, e), _ = self.geometry
        c, h, w = self.shape
        kernels = last(weight)  # (R, S, C M)
        if stride == (1, 1):  # G sees the kernel turned by 180 degrees
            frame = (d * (len(kernels) - 1) - p, e * (kernels.shape[1] - 1) - q)
            image = correlate(framed(grad, frame), kernels[::-1, ::-1], self.geometry)
        else:
            image = spread(framed(grad, (0, 0)), kernels, (h + 2 * p, w + 2 * q), self.geometry)
            image = image[:, p : p + h, q : q + w]
        return collected(image, len(weight) // c).transpose((0, 3, 1, 2))  # (N, C, H, W)

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
        image = repeated(framed(x, self.geometry.padding), grad.shape[1] // x.shape[1])
        weight = gather(image, framed(grad, (0, 0)), self.kernel, self.geometry)
        return weight.transpose((2, 0, 1))[:, None]  # (C M, 1, R, S)

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
    s, p, d = pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    x_shape, w_shape = as_array(x).shape, as_array(weight).shape
    b_shape = None if bias is None else as_array(bias).shape
    fits = len(x_shape) == len(w_shape) == 4 and b_shape in (None, w_shape[:1])
    if not (fits and min(x_shape[1], w_shape[0]) >= 1 and w_shape[0] % x_shape[1] == 0 and w_shape[1] == 1):
        raise ValueError(
            "depthwise_conv2d expects x (N, C, H, W), weight (C * multiplier, 1, R, S) and bias "
            f"(C * multiplier,) or None, got x {x_shape}, weight {w_shape}, bias {b_shape}"
        )
    for axis in (0, 1):  # raises where the kernel does not fit
        output_size(x_shape[2 + axis], w_shape[2 + axis], s[axis], p[axis], d[axis])
    operands = (x, weight) if bias is None else (x, weight, bias)
    return Correlate.apply(*operands, geometry=Geometry(s, p, d))


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
        super().__init__()
        if min(in_channels, multiplier) < 1:
            sizes = f"in_channels={in_channels}, multiplier={multiplier}"
            raise ValueError(f"DepthwiseConv2d needs at least 1 channel and 1 kernel for each, got {sizes}")
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)
        self.dilation, self.multiplier = pair(dilation, "dilation", 1), multiplier
        shape = (in_channels * multiplier, 1, *self.kernel_size)
        bound = 1.0 / sqrt(shape[2] * shape[3])
        self.weight = Parameter(kaiming_uniform(shape, a=sqrt(5.0), rng=rng, dtype=dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, shape[0]), dtype=dtype) if bias else None

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, H, W) -> (N, in_channels * multiplier, I, J)."""
        return depthwise_conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation)

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
        super().__init__()
        settings = (kernel_size, stride, padding, dilation, multiplier)
        self.depthwise = DepthwiseConv2d(in_channels, *settings, bias=False, rng=rng, dtype=dtype)
        self.pointwise = Conv2d(in_channels * multiplier, out_channels, 1, bias=bias, rng=rng, dtype=dtype)

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, H, W) -> (N, out_channels, I, J)."""
        return self.pointwise(self.depthwise(x))
