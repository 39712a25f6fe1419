r"""Convolution: the same small linear map at every place of an image.

    y[n, k, i, j] = b[k] + sum_{c, u, v} w[k, c, u, v] x[n, c, s i + d u - p, s j + d v - p]

with stride s, dilation d and zeros of width p around the image. (Strictly a correlation: nothing is flipped.)
Multiply by G = dL/dy and sum, and one trilinear form of x, w and G is left. Hold two of the three, and it is
a linear map of the third:

    correlate(x, w) = y          what the layer computes
    spread(G, w)    = dL/dx      every output gives back to the places that it saw
    gather(x, G)    = dL/dw      every weight collects over the places where it stood

Each one's derivatives are the other two, so these three are closed under differentiation, to any order.

All three are matrix products once the receptive fields lie in rows, R S C numbers each. A whole batch of rows
needs R S times the memory of the images. So they are made for a few images at a time, about as much as the
cache holds, used and forgotten; channels lie last in memory, so that a row is R pieces of S C numbers.

Shapes   x (N, C, H, W), w (K, C/G, R, S) with G groups, b (K,), y (N, K, I, J), I = output_size(H, R, ...).
         Arrays inside are channels-last, (N, H, W, C); results have the shape (N, C, H, W) over that memory.
Source   LeCun et al. 1998, "Gradient-based learning applied to document recognition", sec. II.A; Dumoulin &
         Visin 2016, arXiv:1603.07285, relationships 6 (size), 13 and 14 (transposed), sec. 5.1 (dilation).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod, sqrt
from numbers import Integral
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.shaping import reshape, transpose
from nn_core.initialization import kaiming_uniform
from nn_core.module import Module, Parameter

PIECE = 1 << 21  # bytes of rows made at once
Pair = tuple[int, int]


class Geometry(NamedTuple):
    """How a kernel moves over an image: each (down, across), in pixels; groups of channels apart."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Places of a kernel along an axis: (size + 2 padding - dilation (kernel - 1) - 1) // stride + 1.

    Args:
        size: of the image, in pixels.
        kernel: its number of weights along the axis.
        stride: pixels from place to place.
        padding: zeros at each end.
        dilation: pixels from weight to weight.

    Raises:
        ValueError: the kernel covers more pixels than there are; the message names both numbers, its
            dilation (kernel - 1) + 1 and size + 2 padding.

    >>> output_size(32, 3, stride=2, padding=1)
    16
    """
    raise NotImplementedError("nn_core.conv.conv2d: TODO 1 of 15, output_size")


def framed(x: Array, frame: Pair) -> Array:
    """(N, C, H, W) -> channels last, with zeros around it: (N, H + 2 frame[0], W + 2 frame[1], C), C order.

    A negative frame cuts off as many pixels instead.
    """
    raise NotImplementedError("nn_core.conv.conv2d: TODO 2 of 15, framed")


def windows(image: Array, kernel: Pair, geometry: Geometry) -> Array:
    """What the kernel sees at each place, as a view: (N, H, W, C), padded -> (N, I, J, R, S, C).

    Of the stride (s, t) and the dilation (d, e), [n, i, j, u, v] is ``image[n, s i + d u, t j + e v]``.
    """
    raise NotImplementedError("nn_core.conv.conv2d: TODO 3 of 15, windows")


def parts(shape: Sequence[int], itemsize: int) -> Iterator[tuple[slice, slice]]:
    """Cut the places so that what is seen there, ``shape`` (N, I, J, ...), fills about `PIECE` bytes a part.

    Yields:
        (images, lines of places): some images with all their lines, or of one image some lines.
    """
    n, i, *line = shape
    size = max(1, prod(line) * itemsize)  # bytes
    images, lines = max(1, PIECE // (size * i)), min(i, max(1, PIECE // size))
    for first in range(0, n, images):
        for top in range(0, i, lines):
            yield slice(first, min(n, first + images)), slice(top, min(i, top + lines))


def correlate(image: Array, weight: Array, geometry: Geometry) -> Array:
    """image (N, H, W, C), padded, weight (R, S, C, K) -> (N, I, J, K): windows times weight, part by part."""
    raise NotImplementedError("nn_core.conv.conv2d: TODO 4 of 15, correlate")


def gather(image: Array, grad: Array, kernel: Pair, geometry: Geometry) -> Array:
    """image (N, H, W, C), padded, grad (N, I, J, K) -> (R, S, C, K): the adjoint in the weight."""
    raise NotImplementedError("nn_core.conv.conv2d: TODO 7 of 15, gather")


def spread(grad: Array, weight: Array, size: Pair, geometry: Geometry) -> Array:
    """grad (N, I, J, K), weight (R, S, C, K) -> (N, *size, C), the padded image: the adjoint in the image."""
    raise NotImplementedError("nn_core.conv.conv2d: TODO 9 of 15, spread")


class Method(NamedTuple):
    """A way to compute `correlate` and `gather` that is faster for some shapes."""

    fits: Callable[[Sequence[int], Sequence[int], Geometry], bool]  # image (N, H, W, C), weight (R, S, C, K)
    correlate: Callable[[Array, Array, Geometry], Array]
    gather: Callable[[Array, Array, Pair, Geometry], Array]


methods: list[Method] = []  # those in `use`, asked in turn: `nn_core.conv.winograd` has one


def use(method: Method, on: bool = True) -> None:
    """Ask this method too from now on, or no more: in the whole process.

    Raises:
        ValueError: it does not give what `correlate` and `gather` give, tried on a small image.
        NotImplementedError: it is not written yet.
    """
    methods[:] = [other for other in methods if other is not method]
    if not on:
        return
    image, grad = np.cos(np.arange(50.0)).reshape((1, 5, 5, 2)), np.sin(np.arange(27.0)).reshape((1, 3, 3, 3))
    weight = gather(image, grad, (3, 3), Geometry())
    same = np.allclose(method.gather(image, grad, (3, 3), Geometry()), weight)
    same = same and np.allclose(
        method.correlate(image, weight, Geometry()), correlate(image, weight, Geometry())
    )
    if not same or not isinstance(method.fits(image.shape, weight.shape, Geometry()), bool):
        raise ValueError("the method does not give what correlate and gather give")
    methods.append(method)


def quickest(image: Sequence[int], weight: Sequence[int], geometry: Geometry) -> Method:
    """The first of `methods` that fits arrays of these shapes; `correlate` and `gather` if none does."""
    plain = Method(lambda *_: True, correlate, gather)
    return next(method for method in (*methods, plain) if method.fits(image, weight, geometry))


def correlated(image: Array, weight: Array, geometry: Geometry) -> Array:
    """`correlate` by the `quickest` method."""
    return quickest(image.shape, weight.shape, geometry).correlate(image, weight, geometry)


def gathered(image: Array, grad: Array, kernel: Pair, geometry: Geometry) -> Array:
    """`gather` by the `quickest` method."""
    shape = (*kernel, image.shape[3], grad.shape[3])
    return quickest(image.shape, shape, geometry).gather(image, grad, kernel, geometry)


def turned(grad: Array, weight: Array, geometry: Geometry) -> Array:
    """What `spread` gives at stride 1, faster: grad, framed, seen by the kernel turned by 180 degrees."""
    return correlated(grad, weight[::-1, ::-1].transpose((0, 1, 3, 2)), geometry)


def by_group(rule: Callable[..., Array], groups: int, a: Array, b: Array, *settings: object) -> Array:
    """``rule(a, b, *settings)`` for each of ``groups`` equal cuts of the last axes, side by side."""
    if groups == 1:
        return rule(a, b, *settings)
    c, k = a.shape[-1] // groups, b.shape[-1] // groups
    cuts = [(a[..., g * c : (g + 1) * c], b[..., g * k : (g + 1) * k]) for g in range(groups)]
    return np.concatenate([rule(*cut, *settings) for cut in cuts], axis=-1)


class Correlate(Function):
    """x (N, C, H, W), weight (K, C/G, R, S) and possibly bias (K,) -> y (N, K, I, J)."""

    fresh = True

    def __init__(self, geometry: Geometry):
        self.geometry = geometry

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Return y: `correlate` of the framed x, for each group, plus the bias. Weights as (R, S, C/G, K)."""
        raise NotImplementedError("nn_core.conv.conv2d: TODO 5 of 15, Correlate.forward")

    def backward(self, grad):
        """Map G (N, K, I, J) to (spread(G, w), gather(x, G)) or, with a bias, also the sum of G over places.

        None for what nobody needs.
        """
        raise NotImplementedError("nn_core.conv.conv2d: TODO 11 of 15, Correlate.backward")


class Spread(Function):
    """grad (N, K, I, J), weight (K, C/G, R, S) -> (N, C, *size): the adjoint of `Correlate` in x.

    ``size`` (H, W) is the image's: with a stride, several sizes have the same number of places.
    """

    fresh = True

    def __init__(self, size: Pair, geometry: Geometry):
        self.size, self.geometry = (size[0], size[1]), geometry

    def forward(self, grad: Array, weight: Array) -> Array:
        """Return dL/dx: `spread` for each group, without the padding; at stride 1 by `turned`."""
        raise NotImplementedError("nn_core.conv.conv2d: TODO 10 of 15, Spread.forward")

    def backward(self, u):
        """Map U (N, C, *size) to (correlate(U, w), gather(U, G)); None for what nobody needs."""
        raise NotImplementedError("nn_core.conv.conv2d: TODO 12 of 15, Spread.backward")


class Gather(Function):
    """x (N, C, H, W), grad (N, K, I, J) -> (K, C/G, *kernel): the adjoint of `Correlate` in the weight.

    ``kernel`` is (R, S): with a stride, several have the same number of places.
    """

    fresh = True

    def __init__(self, kernel: Pair, geometry: Geometry):
        self.kernel, self.geometry = (kernel[0], kernel[1]), geometry

    def forward(self, x: Array, grad: Array) -> Array:
        """Return dL/dw: `gather` for each group."""
        raise NotImplementedError("nn_core.conv.conv2d: TODO 8 of 15, Gather.forward")

    def backward(self, v):
        """Map V, of the weight's shape, to (spread(G, V), correlate(x, V)); None for what nobody needs."""
        raise NotImplementedError("nn_core.conv.conv2d: TODO 13 of 15, Gather.backward")


def pair(value: object, name: str, low: int) -> Pair:
    """An int, or two, as (down, across).

    Raises:
        ValueError: it is neither, or below ``low``; the message names what it is for and the value.
    """
    both = (value, value) if isinstance(value, Integral) else value
    fits = isinstance(both, Sequence) and all(isinstance(n, Integral) and int(n) >= low for n in both)
    if not isinstance(both, Sequence) or not fits or len(both) != 2:
        raise ValueError(f"{name} must be an int of at least {low}, or two of them, got {value!r}")
    return int(both[0]), int(both[1])


def conv2d(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """Let a bank of kernels look at every place of a batch of images.

    Args:
        x: images, (N, C, H, W).
        weight: kernels, (K, C/G, R, S).
        bias: an offset for each kernel, (K,), or None.
        stride: pixels from place to place, an int or (down, across), >= 1.
        padding: zeros at each end of both axes, in pixels, >= 0.
        dilation: pixels from weight to weight, >= 1.
        groups: G >= 1; channels and kernels are cut into G parts that do not see each other.

    Returns:
        (N, K, I, J), I = output_size(H, R, stride, padding, dilation), J likewise.

    Raises:
        ValueError: the shapes do not fit (the message names those of x, weight and bias, and groups); a
            kernel does not fit the padded image, as `output_size`; a setting is out of its range (its name
            and value).
    """
    raise NotImplementedError("nn_core.conv.conv2d: TODO 6 of 15, conv2d")


class Conv2d(Module):
    """A layer of ``out_channels`` kernels: (N, in_channels, H, W) -> (N, out_channels, I, J).

    Weight and bias begin uniform on [-1/sqrt(F), 1/sqrt(F)] with F = in_channels / groups * R * S, the number
    of inputs of each output: PyTorch's choice.

    Args:
        in_channels: C >= 1.
        out_channels: K >= 1.
        kernel_size: (R, S), or an int for both, >= 1.
        stride, padding, dilation, groups: as `conv2d`.
        bias: learn an offset for each kernel.
        rng: where the initial numbers come from, first those of the weight.
        dtype: of the parameters.

    Attributes:
        weight: Parameter (K, C/G, R, S).
        bias: Parameter (K,), or None.
        kernel_size, stride, padding, dilation: (down, across), as `pair` makes them.
        groups: as it was given.

    Raises:
        ValueError: channels or groups below 1, or groups does not divide both channel counts (the message
            names the three numbers); another setting is out of its range (its name and value).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        raise NotImplementedError("nn_core.conv.conv2d: TODO 14 of 15, Conv2d.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, H, W) -> (N, out_channels, I, J)."""
        raise NotImplementedError("nn_core.conv.conv2d: TODO 15 of 15, Conv2d.forward")

    def extra_repr(self) -> str:
        k, c = self.weight.shape[0], self.weight.shape[1] * self.groups
        settings = f"{c}, {k}, kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return f"{settings}, dilation={self.dilation}, groups={self.groups}, bias={self.bias is not None}"
