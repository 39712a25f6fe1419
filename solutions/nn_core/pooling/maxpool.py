r"""Max pooling: of all that a window sees, keep the largest.

    y[n, c, i, j] = max over u, v of x[n, c, s i + d u - p, s j + d v - p]

with stride s, dilation d and p pixels of -inf around the image, which never win. The maximum is a choice and
a copy. Once the winner of each window is known the map is linear: a matrix of zeros with a single one in each
row. Backward is its transpose. The choice itself has no derivative, so the second order is that of a copy:

    pick(x, winner) = y            each window takes its winner's number
    award(G, winner) = dL/dx       each winner takes its window's gradient; one that won twice, the sum

Each one's derivative is the other. Ties go to the first in reading order: one winner, never a share for each.

A window is a product of two intervals, so its maximum is one of maxima: first across each row, then down. No
window is ever cut out. Along an axis the pixels at offset u of all windows are one slice with a step, a
*strip*, and R strips hold a tournament: R + S whole slices find all maxima, where R S numbers are in each
window. A slice leaves out what lies in the padding. Some images at a time, so that the cache holds them.

Shapes   x (N, C, H, W), window (R, S), y (N, C, I, J), I = pooled_size(H, R, ...). Results lie in memory as
         x does: channels last stays channels last.
Source   LeCun et al. 1998, "Gradient-based learning applied to document recognition", sec. II.A;
         Scherer, Mueller & Behnke 2010, "Evaluation of pooling operations", sec. 3 (overlapping maxima).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from nn_core.conv.conv2d import Pair, pair
from nn_core.module import Module

PIECE = 1 << 20  # bytes of image worked on at once
Size = int | Sequence[int]


class Strip(NamedTuple):
    """What the windows ``places`` of an axis see at one offset: the pixels ``pixels``, one each."""

    offset: int
    places: slice
    pixels: slice
    new: bool  # True only if no strip before it has one of these pixels


class Axis(NamedTuple):
    """How windows lie on an axis."""

    size: int  # pixels
    places: int  # windows
    strips: list[Strip]  # of each window in the order of its pixels

    @property
    def offset_type(self) -> np.dtype:
        """The smallest type for offsets: one byte up to 255."""
        return np.min_scalar_type(max([strip.offset for strip in self.strips], default=0))

    @property
    def first(self) -> list[int]:
        """The offset of the first pixel that each window sees; 0 if it sees none."""
        found = [0] * self.places
        for strip in reversed(self.strips):
            for i in range(strip.places.start, strip.places.stop):
                found[i] = strip.offset
        return found

    @property
    def sighted(self) -> bool:
        """Whether every window sees its first pixel, at offset 0."""
        first = [strip.places for strip in self.strips if strip.offset == 0]
        return sum(places.stop - places.start for places in first) == self.places

    @property
    def covered(self) -> bool:
        """Whether the strips that are new have all pixels between them."""
        new = [strip.places for strip in self.strips if strip.new]
        return sum(places.stop - places.start for places in new) == self.size


def pooled_size(
    size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> int:
    """Number of windows along an axis: (size + 2 padding - dilation (kernel - 1) - 1) / stride + 1.

    The quotient is rounded down, or up in ``ceil_mode``: then the last window may reach over the end, but
    must begin inside the image or the padding before it. One with stride * (number - 1) >= size + padding,
    counted from 1, is left out.

    Args:
        size: of the image, in pixels.
        kernel: pixels in a window.
        stride: pixels from window to window.
        padding: pixels added at each end.
        dilation: pixels from one pixel of a window to the next.
        ceil_mode: round up.

    Raises:
        ValueError: the number would be below 1: a window covers more pixels, dilation (kernel - 1) + 1, than
            there are, size + 2 padding, in ``ceil_mode`` by ``stride`` or more. The message names both.

    >>> pooled_size(6, 3, 2), pooled_size(6, 3, 2, ceil_mode=True)
    (2, 3)
    >>> pooled_size(4, 5, 2, ceil_mode=True)  # one pixel too large, less than a stride
    1
    """
    padded, extent = size + 2 * padding, dilation * (kernel - 1) + 1
    up = stride - 1 if ceil_mode else 0
    count = (padded - extent + up) // stride + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    if count < 1:
        raise ValueError(f"a window over {extent} pixels does not fit {size} + 2 * {padding} = {padded}")
    return count


def window_axis(
    size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> Axis:
    """Windows at equal distances: window i has the pixels stride i + dilation u - padding, u < kernel.

    Args:
        size, kernel, stride, padding, dilation, ceil_mode: as `pooled_size`, which gives the number of
            windows.

    Returns:
        The axis with a strip for each offset u = 0, 1, ... that any window sees inside the image: the windows
        that do, and their pixels, one each: a slice with the step ``stride`` that ends behind the last of
        them. It is ``new`` if no u' before u has dilation (u - u') divisible by stride.

    Raises:
        ValueError: as `pooled_size`.
    """
    count, strips = pooled_size(size, kernel, stride, padding, dilation, ceil_mode), []
    for u in range(kernel):
        shift = dilation * u - padding  # where window 0 has its pixel
        first = max(0, -(shift // stride))  # the first window that has it at 0 or after
        stop = min(count, (size - 1 - shift) // stride + 1)
        if first < stop:
            start, last = first * stride + shift, (stop - 1) * stride + shift
            new = all(dilation * (u - before) % stride for before in range(u))
            strips.append(Strip(u, slice(first, stop), slice(start, last + 1, stride), new))
    return Axis(size, count, strips)


def adaptive_axis(size: int, count: int) -> Axis:
    """Windows that share an axis: i sees from floor(i size / count) up to ceil((i + 1) size / count).

    Where ``count`` divides ``size`` they lie side by side, as in `window_axis`. Otherwise their lengths
    differ and some overlap: each pixel of each window is a strip of its own, window by window. Its offset is
    the number of pixels of the window before it; it is ``new`` if no window before has the pixel.
    """
    if size % count == 0:
        return window_axis(size, size // count, size // count)
    strips, seen = [], 0
    for i in range(count):
        start, stop = i * size // count, -(-(i + 1) * size // count)
        for pixel in range(start, stop):
            one = (slice(i, i + 1), slice(pixel, pixel + 1))
            strips.append(Strip(pixel - start, *one, new=pixel >= seen))
        seen = stop
    return Axis(size, count, strips)


def along(axis: int, part: slice) -> tuple[slice, ...]:
    """The key of ``part`` of an axis, of all of those before it and all behind."""
    return (*[slice(None)] * axis, part)


def tournament(x: Array, axis: int, plan: Axis, best: Array, winner: Array) -> None:
    """Find the maximum of each window along one axis of x, and the offset at which it lies.

    Begin with -inf, and with the first offset that each window sees inside the image. Then let each strip
    challenge the best so far. Who beats it strictly takes its place: so the first of equals wins, and a
    window of nothing but -inf has a winner too. NaN spreads: `np.maximum` keeps it.

    Args:
        x: any shape, ``plan.size`` pixels along ``axis``.
        axis: not negative.
        best: the same shape but ``plan.places`` along ``axis``; overwritten by the maxima.
        winner: the shape of best, integers; overwritten by the offsets.
    """
    if plan.sighted:  # then the strip of offset 0 fills best
        winner[...] = 0
    else:
        best[...] = -np.inf
        behind = (1,) * (len(x.shape) - axis - 1)
        winner[...] = np.array(plan.first, winner.dtype, like=winner).reshape((-1, *behind))
    for offset, places, pixels, _ in plan.strips:
        leader, challenger = best[along(axis, places)], x[along(axis, pixels)]
        if offset == 0:
            leader[...] = challenger  # -inf is no match
            continue
        stronger = challenger > leader
        np.maximum(leader, challenger, out=leader)
        chosen = winner[along(axis, places)]  # offsets grow: the last to take the lead has the largest
        np.maximum(chosen, stronger * winner.dtype.type(offset), out=chosen)


def award(grad: Array, winner: Array, axis: int, plan: Axis, out: Array) -> None:
    """Give each window's gradient to its winner along one axis; who won several windows gets the sum.

    Gradients are multiplied by 1 or 0. Winners lie at random, so to choose them (`np.where`) is several times
    as slow. The price: an infinite gradient leaves NaN with the pixels that lost its window.

    Args:
        grad: any shape, ``plan.places`` along ``axis``.
        winner: the same shape, offsets.
        out: the same shape but ``plan.size`` along ``axis``; overwritten.
    """
    if not plan.covered:
        out[...] = 0.0
    for offset, places, pixels, new in plan.strips:
        won = winner[along(axis, places)] == winner.dtype.type(offset)
        given, target = grad[along(axis, places)], out[along(axis, pixels)]
        if new:
            np.multiply(given, won, out=target)
        else:
            target += given * won


def pick(x: Array, winner: Array, axis: int, plan: Axis, out: Array) -> None:
    """Take from each window along one axis what its winner holds: the transpose of `award`.

    Args:
        x: any shape, ``plan.size`` along ``axis``; finite, as the gradients of `award`.
        winner: the same shape but ``plan.places`` along ``axis``, offsets.
        out: the shape of winner; overwritten. Zero for windows that see nothing.
    """
    out[...] = 0.0
    for offset, places, pixels, _ in plan.strips:
        target = out[along(axis, places)]
        target += x[along(axis, pixels)] * (winner[along(axis, places)] == winner.dtype.type(offset))


def batches(count: int, size: int) -> Iterator[slice]:
    """Cut ``count`` images of ``size`` bytes into parts of about `PIECE` bytes."""
    step = max(1, PIECE // max(1, size))
    for first in range(0, count, step):
        yield slice(first, min(count, first + step))


def image_bytes(x: Array) -> int:
    """Bytes of one image of x, (N, ...)."""
    return prod(x.shape[1:]) * x.dtype.itemsize


class MaxPool(Function):
    """x (N, C, H, W) -> y (N, C, I, J), the largest pixel of each window."""

    fresh = True

    def __init__(self, rows: Axis, columns: Axis):
        self.rows, self.columns = rows, columns

    def forward(self, x: Array) -> Array:
        """Return y: the `tournament` along axis 3, and of its maxima along axis 2; some images at a time.

        In this order the first of equals in reading order wins. Keep what `backward` needs: the offsets that
        won, ``self.across`` (N, C, H, J) and ``self.down`` (N, C, I, J).
        """
        wide, places = (*x.shape[:3], self.columns.places), (self.rows.places, self.columns.places)
        y = np.empty_like(x, shape=(*x.shape[:2], *places))  # in memory in the order of x
        self.across = np.empty_like(x, shape=wide, dtype=self.columns.offset_type)
        self.down = np.empty_like(y, dtype=self.rows.offset_type)
        for images in batches(len(x), image_bytes(x)):
            best = np.empty_like(self.across[images], dtype=x.dtype)  # (n, C, H, J)
            tournament(x[images], 3, self.columns, best, self.across[images])
            tournament(best, 2, self.rows, y[images], self.down[images])  # (n, C, I, J)
        return y

    def backward(self, grad):
        """Map G (N, C, I, J) to `Award` of it: (N, C, H, W)."""
        return Award.apply(grad, across=self.across, down=self.down, rows=self.rows, columns=self.columns)


class Award(Function):
    """G (N, C, I, J) -> (N, C, H, W): each window's number to its winner, zero to who never won.

    The winners ``across`` and ``down`` are those of `MaxPool`, and constants. The result lies in memory as
    they do, whatever the order of G.
    """

    fresh = True

    def __init__(self, across: Array, down: Array, rows: Axis, columns: Axis):
        self.across, self.down, self.rows, self.columns = across, down, rows, columns

    def forward(self, grad: Array) -> Array:
        """Return the image: `award` along axis 2, and of its result along axis 3; some images at a time."""
        shape = (*grad.shape[:2], self.rows.size, self.columns.size)
        image = np.empty_like(self.across, shape=shape, dtype=grad.dtype)  # in memory as x was
        for images in batches(len(grad), image_bytes(image)):
            wide = np.empty_like(self.across[images], dtype=grad.dtype)  # (n, C, H, J)
            award(grad[images], self.down[images], 2, self.rows, out=wide)
            award(wide, self.across[images], 3, self.columns, out=image[images])
        return image

    def backward(self, u):
        """Map U (N, C, H, W) to `Pick` of it: (N, C, I, J)."""
        return Pick.apply(u, across=self.across, down=self.down, rows=self.rows, columns=self.columns)


class Pick(Function):
    """x (N, C, H, W) -> (N, C, I, J): of each window the pixel that won. The adjoint of `Award`.

    The result lies in memory as the winners do.
    """

    fresh = True

    def __init__(self, across: Array, down: Array, rows: Axis, columns: Axis):
        self.across, self.down, self.rows, self.columns = across, down, rows, columns

    def forward(self, x: Array) -> Array:
        """Return what the winners hold: `pick` along axis 3, and of its result along axis 2."""
        y = np.empty_like(self.down, dtype=x.dtype)
        for images in batches(len(x), image_bytes(x)):
            wide = np.empty_like(self.across[images], dtype=x.dtype)  # (n, C, H, J)
            pick(x[images], self.across[images], 3, self.columns, out=wide)
            pick(wide, self.down[images], 2, self.rows, out=y[images])
        return y

    def backward(self, grad):
        """Map G (N, C, I, J) to `Award` of it: (N, C, H, W)."""
        return Award.apply(grad, across=self.across, down=self.down, rows=self.rows, columns=self.columns)


def image_size(x: Operand, what: str) -> Pair:
    """(H, W) of a batch of images.

    Raises:
        ValueError: x is not (N, C, H, W) with C, H and W at least 1; the message names its shape.
        TypeError: x is not of floating point; the message names its dtype.
    """
    array = as_array(x)
    if len(array.shape) != 4 or min(array.shape[1:]) < 1:
        raise ValueError(f"{what} expects x (N, C, H, W) with C, H and W at least 1, got x {array.shape}")
    if array.dtype.kind != "f":
        raise TypeError(f"{what} expects x of floating point, got {array.dtype}")
    return array.shape[2], array.shape[3]


def window_pairs(kernel_size: Size, stride: Size | None, padding: Size) -> tuple[Pair, Pair, Pair]:
    """Kernel, stride and padding as (down, across); a stride of None is the kernel.

    Raises:
        ValueError: one is out of its range (its name and value), or the padding is more than half of the
            kernel (both values, as given or as pairs): a window could lie in it and see nothing.
    """
    kernel = pair(kernel_size, "kernel_size", 1)
    step = kernel if stride is None else pair(stride, "stride", 1)
    frame = pair(padding, "padding", 0)
    if any(2 * p > k for p, k in zip(frame, kernel, strict=True)):
        raise ValueError(
            f"padding must be at most half of kernel_size, got padding={padding}, kernel_size={kernel_size}"
        )
    return kernel, step, frame


def max_pool2d(
    x: Operand,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest pixel in each window, channel by channel.

    Args:
        x: images, (N, C, H, W), floating point.
        kernel_size: (R, S) of the window, or an int for both, >= 1.
        stride: pixels from window to window, an int or (down, across), >= 1; None for kernel_size.
        padding: pixels of -inf at each end of both axes, >= 0 and at most half of kernel_size.
        dilation: pixels from one pixel of a window to the next, >= 1.
        ceil_mode: let the last window reach over the end, as `pooled_size` says.

    Returns:
        (N, C, I, J), I = pooled_size(H, R, ...), J likewise: a new array in the dtype and the memory order of
        x, as the gradient is. NaN in a window gives NaN; a window that sees nothing of the image, as with a
        dilation it may, gives -inf and passes no gradient on. The whole gradient of a window, a finite
        number, goes to its largest pixel, of several to the first in reading order, never to the padding:
        also of a window of nothing but -inf to its first pixel inside the image. Which pixel of a window with
        NaN gets it is left open.

    Raises:
        ValueError: x is not (N, C, H, W) with C, H and W at least 1 (the message names its shape); a setting
            is out of its range (its name and value), padding more than half of kernel_size (both names and
            values, as given or as pairs); no window fits, as `pooled_size`.
        TypeError: x is not of floating point; the message names its dtype.
    """
    kernel, step, frame = window_pairs(kernel_size, stride, padding)
    spread, size = pair(dilation, "dilation", 1), image_size(x, "max_pool2d")
    settings = zip(size, kernel, step, frame, spread, strict=True)
    rows, columns = (window_axis(*axis, ceil_mode) for axis in settings)
    return MaxPool.apply(x, rows=rows, columns=columns)


def adaptive_places(output_size: Size | Sequence[int | None] | None, size: Pair) -> Pair:
    """The numbers of windows that ``output_size`` asks for: an int, two of them, None for the image's own.

    Raises:
        ValueError: it is something else, or below 1; the message names output_size and the value.
    """
    wanted = output_size if isinstance(output_size, Sequence) else (output_size, output_size)
    if len(wanted) != 2:
        raise ValueError(f"output_size must be an int, or two of them or None, got {output_size!r}")
    own = [side if n is None else n for n, side in zip(wanted, size, strict=True)]
    return pair(own, "output_size", 1)


def adaptive_max_pool2d(x: Operand, output_size: Size | Sequence[int | None] | None) -> Tensor:
    """The largest pixel in each of a given number of windows, whatever the size of the image.

    Args:
        x: images, (N, C, H, W), floating point.
        output_size: (I, J), or an int for both, >= 1; None in place of a number is the image's own.

    Returns:
        (N, C, I, J). Window i sees the rows from i H / I, rounded down, up to (i + 1) H / I, rounded up; the
        last is not among them. With I > H some rows are seen by several windows. The rest as in `max_pool2d`.

    Raises:
        ValueError: output_size is something else (its name and value), x as in `max_pool2d`.
        TypeError: as `max_pool2d`.
    """
    size = image_size(x, "adaptive_max_pool2d")
    places = adaptive_places(output_size, size)
    rows, columns = (adaptive_axis(*axis) for axis in zip(size, places, strict=True))
    return MaxPool.apply(x, rows=rows, columns=columns)


class MaxPool2d(Module):
    """`max_pool2d` as a layer: (N, C, H, W) -> (N, C, I, J).

    Args:
        kernel_size, stride, padding, dilation, ceil_mode: as `max_pool2d`.

    Attributes:
        kernel_size, stride, padding, dilation: (down, across).
        ceil_mode: as it was given.

    Raises:
        ValueError: a setting is out of its range, as `max_pool2d`.
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride, self.padding = window_pairs(kernel_size, stride, padding)
        self.dilation, self.ceil_mode = pair(dilation, "dilation", 1), ceil_mode

    def forward(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> (N, C, I, J)."""
        return max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        settings = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{settings}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class AdaptiveMaxPool2d(Module):
    """`adaptive_max_pool2d` as a layer: (N, C, H, W) -> (N, C, *output_size).

    Args:
        output_size: as `adaptive_max_pool2d`.

    Attributes:
        output_size: as it was given.

    Raises:
        ValueError: output_size is not what it should be, as `adaptive_max_pool2d`.
    """

    def __init__(self, output_size: Size | Sequence[int | None] | None):
        super().__init__()
        adaptive_places(output_size, (1, 1))  # raises where it is wrong
        self.output_size = output_size

    def forward(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> (N, C, I, J)."""
        return adaptive_max_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"
