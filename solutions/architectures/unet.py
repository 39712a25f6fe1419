r"""Down to see what it is, up to say where: a class for every pixel.

    level 0    x -> e0 ------------------------------> [e0, up d1] -> d0 -> head
    level 1         pool -> e1 ---------> [e1, up d2] -> d1
    level 2                 pool -> e2 = d2                                       (depth 2)

On the way down pooling halves the image and the channels double: a number sees more and more, and knows less
and less where. On the way up a transposed convolution doubles the image again; what was lost comes over the
bridge. At every level the result of the way down is put beside what comes from below, and two convolutions
make one of both.

Each arrow to an e or a d is 3 x 3 convolution and ReLU, twice. Here the convolutions are padded: the result
is as large as the image, and nothing needs cropping. In the paper they are not, and 572 pixels give 388.
Between convolution and ReLU stands a batch normalization, which the paper does not have.

Shapes   x (N, in_channels, H, W) -> logits (N, num_classes, H, W), H and W multiples of 2^depth; on level i
         there are width 2^i channels of H / 2^i by W / 2^i pixels.
Source   Ronneberger, Fischer & Brox 2015, "U-Net: convolutional networks for biomedical image segmentation",
         arXiv:1505.04597, sec. 2 and fig. 1, sec. 3 (initialization).
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Operand, Tensor, as_array
from foundations.shaping import concatenate
from nn_core.activations.relu import ReLU
from nn_core.conv.conv2d import Conv2d
from nn_core.conv.transposed_conv import ConvTranspose2d
from nn_core.initialization import kaiming_normal
from nn_core.module import Module, ModuleList, Parameter, Sequential
from nn_core.normalization.batchnorm import BatchNorm2d
from nn_core.pooling.maxpool import MaxPool2d

DType = type | np.dtype


def double_convolution(
    in_channels: int,
    out_channels: int,
    batch_norm: bool = True,
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Sequential:
    """Convolution, normalization, ReLU, and the same again; the size of the image stays.

    Args:
        in_channels: C of the first convolution; the second has K.
        out_channels: K of both.
        batch_norm: with normalizations, and then without biases, which they would subtract again; or without
            normalizations, and with biases, which start at 0.
        rng: where the weights come from.
        dtype: of the parameters.

    Returns:
        A `Sequential` of Conv2d, BatchNorm2d, ReLU, Conv2d, BatchNorm2d, ReLU, or of Conv2d, ReLU, Conv2d,
        ReLU. The convolutions are 3 x 3 with padding 1, their weights normal with mean 0 and variance
        2 / fan_in (`kaiming_normal`); the normalizations have the eps and momentum of `BatchNorm2d`.
    """
    layers = Sequential()
    for channels in (in_channels, out_channels):
        conv = Conv2d(channels, out_channels, 3, padding=1, bias=not batch_norm, rng=rng, dtype=dtype)
        shape = conv.weight.shape
        conv.weight = Parameter(kaiming_normal(shape, nonlinearity="relu", rng=rng, dtype=dtype))
        layers.append(conv)
        if batch_norm:
            layers.append(BatchNorm2d(out_channels, dtype=dtype))
        else:
            conv.bias = Parameter(np.zeros(out_channels), dtype=dtype)
        layers.append(ReLU())
    return layers


def nearest_sizes(size: int, depth: int) -> tuple[int, int]:
    """The next sizes below and above that can be halved ``depth`` times, at least one pixel is left.

    Args:
        size: in pixels, >= 1.
        depth: how often, >= 0.

    Returns:
        (below, above): multiples of 2^depth, >= 2^depth. Both are ``size`` if it is one; both are 2^depth if
        it is smaller than that.

    >>> nearest_sizes(572, 4), nearest_sizes(32, 4), nearest_sizes(5, 4)
    ((560, 576), (32, 32), (16, 16))
    """
    step = 2**depth
    return max(1, size // step) * step, max(1, -(-size // step)) * step


class UNet(Module):
    """An encoder, a decoder, and a bridge at every level but the deepest.

    Args:
        in_channels: of the images.
        num_classes: logits for each pixel.
        width: channels of level 0; every level has twice those of the one above.
        depth: how often the image is halved.
        batch_norm: as `double_convolution`.
        rng: where the initial weights come from.
        dtype: of the parameters.

    Attributes:
        encoder: `ModuleList` of the depth + 1 double convolutions of the way down, level 0 first.
        pool: `MaxPool2d` of 2 x 2.
        up: `ModuleList` of depth `ConvTranspose2d` of 2 x 2 with stride 2, the deepest first: twice as many
            channels in as out. They start as they do by themselves.
        decoder: `ModuleList` of the depth double convolutions of the way up, the deepest first.
        head: `Conv2d` of 1 x 1, as it starts by itself.

    Raises:
        ValueError: in_channels, num_classes, width or depth is below 1; the message names the four.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        width: int = 64,
        depth: int = 4,
        batch_norm: bool = True,
        *,
        rng: np.random.Generator,
        dtype: DType = np.float32,
    ):
        super().__init__()
        if min(in_channels, num_classes, width, depth) < 1:
            raise ValueError(
                "UNet needs at least one channel, one class and one level below the first, got "
                f"in_channels={in_channels}, num_classes={num_classes}, width={width}, depth={depth}"
            )
        self.encoder, self.up, self.decoder = ModuleList(), ModuleList(), ModuleList()
        channels = [width * 2**level for level in range(depth + 1)]
        for c, k in zip([in_channels, *channels], channels, strict=False):
            self.encoder.append(double_convolution(c, k, batch_norm, rng=rng, dtype=dtype))
        self.pool = MaxPool2d(2)
        for c in channels[-2::-1]:
            self.up.append(ConvTranspose2d(2 * c, c, 2, 2, rng=rng, dtype=dtype))
            self.decoder.append(double_convolution(2 * c, c, batch_norm, rng=rng, dtype=dtype))
        self.head = Conv2d(width, num_classes, 1, rng=rng, dtype=dtype)

    def forward(self, x: Operand) -> Tensor:
        """Return logits for every pixel.

        Beside each other means: the channels of the bridge first, then those from below.

        Args:
            x: (N, in_channels, H, W), H and W multiples of 2^depth.

        Returns:
            (N, num_classes, H, W).

        Raises:
            ValueError: H or W is no multiple of 2^depth, or 0 (the message names the shape of x, the depth
                and the `nearest_sizes` of both), or x has other than four axes (it names the shape); or as
                `conv2d`.
        """
        shape, depth = as_array(x).shape, len(self.up)
        if len(shape) != 4:
            raise ValueError(f"UNet needs x (N, C, H, W), got x {shape}")
        nearest = [nearest_sizes(size, depth) for size in shape[2:]]
        if nearest != [(size, size) for size in shape[2:]]:
            raise ValueError(
                f"a UNet of depth {depth} needs H and W divisible by {2**depth}, got x {shape}; the nearest "
                f"are H = {nearest[0][0]} or {nearest[0][1]} and W = {nearest[1][0]} or {nearest[1][1]}"
            )
        bridges = []
        for level in range(depth):
            x = self.encoder[level](x)
            bridges.append(x)
            x = self.pool(x)
        x = self.encoder[depth](x)
        for up, decode in zip(self.up, self.decoder, strict=True):
            x = decode(concatenate([bridges.pop(), up(x)], axis=1))
        return self.head(x)
