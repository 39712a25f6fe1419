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
    raise NotImplementedError("architectures.unet: TODO 1 of 4, double_convolution")


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
    raise NotImplementedError("architectures.unet: TODO 2 of 4, nearest_sizes")


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
        raise NotImplementedError("architectures.unet: TODO 3 of 4, UNet.__init__")

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
        raise NotImplementedError("architectures.unet: TODO 4 of 4, UNet.forward")
