r"""Convolution run backwards: every pixel of a small image paints a scaled kernel into a larger one.

    y[n, c, s i + d u - p, s j + d v - p] += sum_k w[k, c, u, v] x[n, k, i, j]        and b[c] once a pixel

Convolution with stride s makes about 1/s as many pixels of an image, and as a linear map it has an adjoint,
which goes the other way: <conv(z), x> = <z, convT(x)> for all z and x. That is what the gradient of `conv2d`
by its input computes, `Spread`; here it is the layer, and the roles turn round:

    y     = spread(x, w)         what is the backward pass of conv2d
    dL/dx = correlate(G, w)      what is its forward pass, G = dL/dy
    dL/dw = gather(G, x)         with G in the place of the image

It is the transpose of the matrix, not its inverse: there and back again keeps the size, not the values. And
images of s different sizes have the same number of places for the kernel: `output_padding` chooses one.

Shapes   x (N, K, I, J), w (K, C/G, R, S) with G groups, b (C,), y (N, C, H, W).
         H = transposed_size(I, R, ...). K in and C out: the letters of the conv2d that is transposed.
Source   Dumoulin & Visin 2016, arXiv:1603.07285, ch. 4, relationship 14 (the size); Zeiler, Krishnan,
         Taylor & Fergus 2010, "Deconvolutional networks", sec. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt

import numpy as np

from foundations.computational_graph import Array, Operand, Tensor, as_array
from foundations.shaping import pad, reshape, transpose
from nn_core.conv.conv2d import Correlate, Gather, Geometry, Spread, pair
from nn_core.initialization import kaiming_uniform
from nn_core.module import Module, Parameter


def transposed_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, output_padding: int = 0
) -> int:
    """Pixels along an axis: (size - 1) stride + dilation (kernel - 1) + 1 + output_padding - 2 padding.

    With ``output_padding`` below the stride, `output_size` of the result is ``size``.

    Args:
        size: of the small image, in pixels, >= 1.
        kernel: its number of weights along the axis.
        stride: pixels of the large image from kernel to kernel.
        padding: pixels that are cut off at each end: the frame of zeros of the convolution.
        dilation: pixels from weight to weight.
        output_padding: pixels more at the end.

    Raises:
        ValueError: ``size`` is below 1 (the message names it); ``output_padding`` is below neither the stride
            nor the dilation (it names the three); nothing is left (it names ``size``, the pixels before the
            cut and ``padding``).

    >>> transposed_size(16, 3, stride=2, padding=1), transposed_size(16, 3, 2, 1, output_padding=1)
    (31, 32)
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    if output_padding >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be smaller than the stride or the dilation, got {output_padding} with "
            f"stride {stride} and dilation {dilation}"
        )
    painted = (size - 1) * stride + dilation * (kernel - 1) + 1 + output_padding
    if painted <= 2 * padding:
        raise ValueError(f"{size} pixels paint {painted}, of which padding {padding} at each end leaves none")
    return painted - 2 * padding


class Transposed(Spread):
    """x (N, K, I, J), weight (K, C/G, R, S) and possibly bias (C,) -> y (N, C, *size).

    ``Transposed.apply(x, weight, bias, size=(H, W), geometry=...)`` for a size that has I times J places.
    """

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Return y: what `Spread.forward` makes of x and weight, plus the bias."""
        y = super().forward(x, weight)
        return y if bias is None else y + bias.reshape((-1, 1, 1))

    def backward(self, grad):
        """Map G (N, C, *size) to (correlate(G, w), gather(G, x)) or, with a bias, also the sum of G.

        The sum is over images and pixels. None for what nobody needs.
        """
        x, weight, *bias = self.operands
        settings = {"geometry": self.geometry}
        by_x = Correlate.apply(grad, weight, **settings) if self.needs(0) else None
        by_weight = Gather.apply(grad, x, kernel=weight.shape[2:], **settings) if self.needs(1) else None
        if not bias:
            return by_x, by_weight
        if not self.needs(2):
            return by_x, by_weight, None
        rows = reshape(transpose(grad, (0, 2, 3, 1)), (-1, grad.shape[1]))  # (N H W, C)
        ones = np.ones_like(as_array(grad), shape=rows.shape[0])  # 1^T G by BLAS, as in Linear
        return by_x, by_weight, ones @ rows


def conv_transpose2d(
    x: Operand,
    weight: Operand,
    bias: Operand | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """Apply the adjoint of ``conv2d(., weight, None, stride, padding, dilation, groups)``, and add the bias.

    An output padding of at least the stride (dilation allows it) adds places of the kernel, too: one for each
    stride in it. They are pixels of x that do not exist: zeros after its last row and column.

    Args:
        x: small images, (N, K, I, J).
        weight: kernels, (K, C/G, R, S): inputs first, as that convolution has K outputs.
        bias: an offset for each output channel, (C,), or None.
        stride: pixels of the result from kernel to kernel, an int or (down, across), >= 1.
        padding: pixels cut off at each end of both axes, >= 0.
        output_padding: pixels more at the lower and the right end, >= 0.
        groups: G >= 1; channels on both sides are cut into G parts that do not see each other.
        dilation: pixels from weight to weight, >= 1.

    Returns:
        (N, C, H, W), H = transposed_size(I, R, stride, padding, dilation, output_padding), W likewise.

    Raises:
        ValueError: the shapes do not fit (the message names those of x, weight and bias, and groups); a size
            is not possible, as `transposed_size`; a setting is out of its range (its name and value).
    """
    s, p, d = pair(stride, "stride", 1), pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    more = pair(output_padding, "output_padding", 0)
    x_shape, w_shape = as_array(x).shape, as_array(weight).shape
    b_shape = None if bias is None else as_array(bias).shape
    fits = len(x_shape) == len(w_shape) == 4 and b_shape in (None, (groups * w_shape[1],))
    if not (fits and groups >= 1 and w_shape[0] % groups == 0 and x_shape[1] == w_shape[0]):
        raise ValueError(
            "conv_transpose2d expects x (N, K, I, J), weight (K, C / groups, R, S) and bias (C,) or None, "
            f"got x {x_shape}, weight {w_shape}, bias {b_shape} and groups {groups}"
        )
    axes = zip(x_shape[2:], w_shape[2:], s, p, d, more, strict=True)
    h, w = (transposed_size(*axis) for axis in axes)
    if more[0] >= s[0] or more[1] >= s[1]:
        x = pad(x, ((0, 0), (0, 0), (0, more[0] // s[0]), (0, more[1] // s[1])))
    operands = (x, weight) if bias is None else (x, weight, bias)
    return Transposed.apply(*operands, size=(h, w), geometry=Geometry(s, p, d, groups))


class ConvTranspose2d(Module):
    """A layer that enlarges images: (N, in_channels, I, J) -> (N, out_channels, H, W).

    Weight and bias begin uniform on [-1/sqrt(F), 1/sqrt(F)] with F = out_channels / groups * R * S: PyTorch's
    choice, which reads the shape of the weight as `Conv2d` does. (The inputs of an output are in fact about
    in_channels / groups * R * S / stride^2.)

    Args:
        in_channels: K >= 1.
        out_channels: C >= 1.
        kernel_size: (R, S), or an int for both, >= 1.
        stride, padding, output_padding, groups, dilation: as `conv_transpose2d`.
        bias: learn an offset for each output channel.
        rng: where the initial numbers come from, first those of the weight.
        dtype: of the parameters.

    Attributes:
        weight: Parameter (K, C/G, R, S).
        bias: Parameter (C,), or None.
        kernel_size, stride, padding, output_padding, dilation: (down, across), as `pair` makes them.
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
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        super().__init__()
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                "ConvTranspose2d needs at least 1 channel on each side, both divisible by groups, got "
                f"in_channels={in_channels}, out_channels={out_channels}, groups={groups}"
            )
        self.kernel_size = pair(kernel_size, "kernel_size", 1)
        self.stride, self.padding = pair(stride, "stride", 1), pair(padding, "padding", 0)
        self.output_padding = pair(output_padding, "output_padding", 0)
        self.dilation, self.groups = pair(dilation, "dilation", 1), groups
        shape = (in_channels, out_channels // groups, *self.kernel_size)
        bound = 1.0 / sqrt(prod(shape[1:]))
        self.weight = Parameter(kaiming_uniform(shape, a=sqrt(5.0), rng=rng, dtype=dtype))
        self.bias = Parameter(rng.uniform(-bound, bound, out_channels), dtype=dtype) if bias else None

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, I, J) -> (N, out_channels, H, W)."""
        settings = (self.stride, self.padding, self.output_padding, self.groups, self.dilation)
        return conv_transpose2d(x, self.weight, self.bias, *settings)

    def extra_repr(self) -> str:
        k, c = self.weight.shape[0], self.weight.shape[1] * self.groups
        settings = f"{k}, {c}, kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        settings += f", output_padding={self.output_padding}, groups={self.groups}"
        return f"{settings}, bias={self.bias is not None}, dilation={self.dilation}"
