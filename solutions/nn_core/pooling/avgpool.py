r"""Average pooling: of all that a window sees, the mean.

    y[n, c, i, j] = 1/D[i, j] sum over u, v of x[n, c, s i + u - p, s j + v - p]

with stride s and p zeros around the image. The divisor D is the number of pixels of the window, those of
the padding included or not (``count_include_pad``). The map is linear, and a window a product of two
intervals, so it comes apart into one matrix for each axis:

    y = A x B^T,        dL/dx = A^T G B

with A[i, h] = 1/D[i] where window i sees row h, and 0 elsewhere: D[i, j] is a product too, of D[i] pixels
down and D[j] across. A holds at most R numbers a row, so it is applied as R sums of whole strips, for rows
and then for columns: R + S additions in place of R S. The map and its transpose are each other's derivative,
to any order. Adaptive pooling is the same with intervals of different lengths.

Shapes   x (N, C, H, W), window (R, S), y (N, C, I, J), I = pooled_size(H, R, ...). Results lie in memory as
         x does: channels last stays channels last.
Source   LeCun et al. 1998, "Gradient-based learning applied to document recognition", sec. II.A;
         Lin, Chen & Yan 2014, "Network in network", arXiv:1312.4400, sec. 3.2 (global average pooling).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.reductions import mean
from nn_core.module import Module
from nn_core.pooling.maxpool import (
    Axis,
    Size,
    adaptive_axis,
    adaptive_places,
    along,
    batches,
    image_bytes,
    image_size,
    window_axis,
    window_pairs,
)


def window_divisors(
    places: int, size: int, kernel: int, stride: int, padding: int, count_include_pad: bool
) -> list[int]:
    """What the sum of each window along an axis is divided by.

    Window i covers the ``kernel`` pixels from stride i - padding on. Counted are those in the image, and
    those in its padding if ``count_include_pad``; never what lies beyond, where the last window may reach.

    Args:
        places: the number of windows.
        size: of the image, in pixels.
        kernel, stride, padding: as `nn_core.pooling.maxpool.pooled_size`.
    """
    low, high = (-padding, size + padding) if count_include_pad else (0, size)
    starts = [stride * i - padding for i in range(places)]
    return [min(start + kernel, high) - max(start, low) for start in starts]


def adaptive_divisors(size: int, places: int) -> list[int]:
    """The lengths of the windows of `adaptive_axis`."""
    return [-(-(i + 1) * size // places) - i * size // places for i in range(places)]


def sums(x: Array, axis: int, plan: Axis, out: Array) -> None:
    """Add up each window along one axis, strip by strip.

    Args:
        x: any shape, ``plan.size`` pixels along ``axis``.
        axis: not negative.
        out: the same shape but ``plan.places`` along ``axis``; overwritten.
    """
    out[...] = 0.0
    for _, places, pixels, _ in plan.strips:
        target = out[along(axis, places)]
        target += x[along(axis, pixels)]


def shares(grad: Array, axis: int, plan: Axis, out: Array) -> None:
    """Give each window's number to all its pixels along one axis: the transpose of `sums`.

    Args:
        grad: any shape, ``plan.places`` along ``axis``.
        out: the same shape but ``plan.size`` along ``axis``; overwritten.
    """
    if not plan.covered:
        out[...] = 0.0
    for _, places, pixels, new in plan.strips:
        given, target = grad[along(axis, places)], out[along(axis, pixels)]
        if new:
            target[...] = given
        else:
            target += given


class Windows(NamedTuple):
    """The windows on both axes of an image, and what each sum is divided by: down[i] * across[j]."""

    rows: Axis
    columns: Axis
    down: list[int]
    across: list[int]

    def weights(self, like: Array) -> Array:
        """1 / D, (I, J) in the dtype of ``like``; an axis whose windows count the same may have length 1."""
        down, across = (d if len(set(d)) > 1 else d[:1] for d in (self.down, self.across))
        return np.array([[1.0 / (r * s) for s in across] for r in down], dtype=like.dtype, like=like)


class AvgPool(Function):
    """x (N, C, H, W) -> (N, C, I, J): the mean of each window, A x B^T."""

    fresh = True

    def __init__(self, windows: Windows):
        self.windows = windows

    def forward(self, x: Array) -> Array:
        """Return `sums` along axis 2, and of these along axis 3, times the weights; some images at a time."""
        rows, columns, *_ = self.windows
        y = np.empty_like(x, shape=(*x.shape[:2], rows.places, columns.places))  # in memory in the order of x
        for images in batches(len(x), image_bytes(x)):
            part = x[images]
            low = np.empty_like(part, shape=(*part.shape[:2], rows.places, columns.size))  # (n, C, I, W)
            sums(part, 2, rows, out=low)
            sums(low, 3, columns, out=y[images])
        y *= self.windows.weights(x)
        return y

    def backward(self, grad):
        """Map G (N, C, I, J) to `Share` of it, ``like`` x's array: (N, C, H, W)."""
        return Share.apply(grad, windows=self.windows, like=as_array(self.operands[0]))


class Share(Function):
    """G (N, C, I, J) -> (N, C, H, W): A^T G B, the adjoint of `AvgPool`.

    The result lies in memory as the array ``like`` does, of the same shape, whatever the order of G.
    """

    fresh = True

    def __init__(self, windows: Windows, like: Array):
        self.windows, self.like = windows, like

    def forward(self, grad: Array) -> Array:
        """Return `shares` along axis 3 of G times the weights, and of these along axis 2; images in parts."""
        rows, columns, *_ = self.windows
        given = grad * self.windows.weights(grad)
        image = np.empty_like(self.like, dtype=grad.dtype)
        for images in batches(len(grad), image_bytes(image)):
            part = image[images]
            low = np.empty_like(part, shape=(*part.shape[:2], rows.places, columns.size))  # (n, C, I, W)
            shares(given[images], 3, columns, out=low)
            shares(low, 2, rows, out=part)
        return image

    def backward(self, u):
        """Map U (N, C, H, W) to `AvgPool` of it: (N, C, I, J)."""
        return AvgPool.apply(u, windows=self.windows)


def avg_pool2d(
    x: Operand,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window, channel by channel.

    Args:
        x: images, (N, C, H, W), floating point.
        kernel_size: (R, S) of the window, or an int for both, >= 1.
        stride: pixels from window to window, an int or (down, across), >= 1; None for kernel_size.
        padding: zeros at each end of both axes, >= 0 and at most half of kernel_size.
        ceil_mode: let the last window reach over the end, as `pooled_size` says. What lies beyond the padding
            is never counted.
        count_include_pad: count the zeros of the padding; otherwise divide by the pixels inside the image.

    Returns:
        (N, C, I, J), I = pooled_size(H, R, ...), J likewise: a new array in the dtype and the memory order of
        x, as the gradient is. The sum of a window is held in this dtype too: in float16 below 65520.

    Raises:
        ValueError, TypeError: as `nn_core.pooling.maxpool.max_pool2d`.
    """
    kernel, step, frame = window_pairs(kernel_size, stride, padding)
    axes = list(zip(image_size(x, "avg_pool2d"), kernel, step, frame, strict=True))
    rows, columns = (window_axis(*axis, 1, ceil_mode) for axis in axes)
    down, across = (
        window_divisors(plan.places, *axis, count_include_pad)
        for plan, axis in zip((rows, columns), axes, strict=True)
    )
    return AvgPool.apply(x, windows=Windows(rows, columns, down, across))


def adaptive_avg_pool2d(x: Operand, output_size: Size | Sequence[int | None] | None) -> Tensor:
    """The mean of each of a given number of windows, whatever the size of the image.

    Args:
        x: images, (N, C, H, W), floating point.
        output_size: (I, J), or an int for both, >= 1; None in place of a number is the image's own.

    Returns:
        (N, C, I, J). Window i sees the rows from i H / I, rounded down, up to (i + 1) H / I, rounded up; the
        last is not among them. With I > H some rows are seen by several windows. The rest as in `avg_pool2d`.

    Raises:
        ValueError, TypeError: as `nn_core.pooling.maxpool.adaptive_max_pool2d`.
    """
    size = image_size(x, "adaptive_avg_pool2d")
    axes = list(zip(size, adaptive_places(output_size, size), strict=True))
    rows, columns = (adaptive_axis(*axis) for axis in axes)
    down, across = (adaptive_divisors(*axis) for axis in axes)
    return AvgPool.apply(x, windows=Windows(rows, columns, down, across))


def global_avg_pool2d(x: Operand) -> Tensor:
    """The mean of each channel over the image: (N, C, H, W) -> (N, C), in the dtype of x.

    Raises:
        ValueError, TypeError: x, as `nn_core.pooling.maxpool.max_pool2d`.
    """
    image_size(x, "global_avg_pool2d")
    return mean(x, axis=(2, 3))


class AvgPool2d(Module):
    """`avg_pool2d` as a layer: (N, C, H, W) -> (N, C, I, J).

    Args:
        kernel_size, stride, padding, ceil_mode, count_include_pad: as `avg_pool2d`.

    Attributes:
        kernel_size, stride, padding: (down, across).
        ceil_mode, count_include_pad: as they were given.

    Raises:
        ValueError: a setting is out of its range, as `avg_pool2d`.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__()
        self.kernel_size, self.stride, self.padding = window_pairs(kernel_size, stride, padding)
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> (N, C, I, J)."""
        window = (self.kernel_size, self.stride, self.padding)
        return avg_pool2d(x, *window, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        settings = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{settings}, ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad}"


class AdaptiveAvgPool2d(Module):
    """`adaptive_avg_pool2d` as a layer: (N, C, H, W) -> (N, C, *output_size).

    Args:
        output_size: as `adaptive_avg_pool2d`.

    Attributes:
        output_size: as it was given.

    Raises:
        ValueError: output_size is not what it should be, as `adaptive_avg_pool2d`.
    """

    def __init__(self, output_size: Size | Sequence[int | None] | None):
        super().__init__()
        adaptive_places(output_size, (1, 1))  # raises where it is wrong
        self.output_size = output_size

    def forward(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> (N, C, I, J)."""
        return adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class GlobalAvgPool2d(Module):
    """`global_avg_pool2d` as a layer: (N, C, H, W) -> (N, C)."""

    def forward(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> (N, C)."""
        return global_avg_pool2d(x)
