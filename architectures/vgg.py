r"""Small filters, many layers: a network that is a list of numbers.

    64  M  128  M  256 256  M  512 512  M  512 512  M          configuration A: VGG-11

A number is a 3x3 convolution to that many channels, padded to keep the size, and a ReLU (with a batch
normalization between them if asked for); M is 2x2 max pooling. Networks differ in nothing but the list.

Why 3x3 only: two in a row see 5x5 pixels, three 7x7. Three layers of 3x3 have 27 C^2 weights where one of 7x7
has 49 C^2, and three ReLUs instead of one.

The head of the paper is three linear layers behind 7x7 places: 124 of the 138 million parameters of VGG-16.
The head for small images is the average over all places and one linear layer.

Convolutions start with Kaiming weights (fan_out) and zero biases, linear layers like those of `MLP` (fan_in),
so that every width starts well. (torchvision draws the latter with a standard deviation of 0.01.)

Shapes   x (N, in_channels, H, W), H and W at least 2^(number of M) -> logits (N, num_classes).
Source   Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition",
         arXiv:1409.1556, table 1 (A, B, D, E) and sec. 2.3 (why 3x3);
         He et al. 2015, arXiv:1502.01852, eq. 14 (initialization).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Required, TypedDict, Unpack

import numpy as np

from architectures.mlp import initialized_linear
from foundations.computational_graph import Operand, Tensor
from foundations.shaping import reshape
from nn_core.activations.relu import ReLU
from nn_core.conv.conv2d import Conv2d
from nn_core.initialization import kaiming_normal
from nn_core.module import Module, Parameter, Sequential
from nn_core.normalization.batchnorm import BatchNorm2d
from nn_core.pooling.avgpool import AdaptiveAvgPool2d, GlobalAvgPool2d
from nn_core.pooling.maxpool import MaxPool2d
from nn_core.regularization.dropout import Dropout

Configuration = Sequence[int | str]
DType = type | np.dtype

A: Configuration = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
B: Configuration = (64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")
D: Configuration = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, "M"),
    *(512, 512, 512, "M", 512, 512, 512, "M"),
)
E: Configuration = (
    *(64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M"),
    *(512, 512, 512, 512, "M", 512, 512, 512, 512, "M"),
)
SIDE = 7  # places down and across that the ImageNet head sees
HEADS = ("imagenet", "cifar")


def scaled(config: Configuration, width: int) -> Configuration:
    """The configuration with ``width`` channels in place of each 64; "M" stays.

    Args:
        config: channels, multiples of 64, and "M".
        width: >= 1.

    Raises:
        ValueError: width is below 1; the message names it.

    >>> scaled((64, "M", 128), 4)
    (4, 'M', 8)
    """
    raise NotImplementedError("architectures.vgg: TODO 1 of 11, scaled")


def receptive_field(config: Configuration) -> int:
    """How many pixels, down and across, a place behind all layers of ``config`` sees of a large image.

    A layer whose kernel has R weights adds R - 1 steps, and a step is as many pixels as the strides before it
    multiply to: 2 steps for a convolution, 1 for a pooling, which then doubles the step.

    >>> receptive_field((64, 64, "M", 128))
    10
    """
    raise NotImplementedError("architectures.vgg: TODO 2 of 11, receptive_field")


def parameter_count(
    config: Configuration,
    num_classes: int = 1000,
    batch_norm: bool = False,
    in_channels: int = 3,
    head: str = "imagenet",
    hidden: int = 4096,
) -> int:
    """How many parameters the `VGG` of these arguments has, without making any.

    A convolution of C to K channels has 9 C K weights and K biases, a normalization 2 K, a linear layer of D
    to K features (D + 1) K.

    >>> parameter_count((2, "M"), 10, head="cifar")
    86
    """
    raise NotImplementedError("architectures.vgg: TODO 3 of 11, parameter_count")


def extractor(
    config: Configuration,
    batch_norm: bool = False,
    in_channels: int = 3,
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Sequential:
    """The layers that ``config`` lists, in order.

    Args:
        config: a number K stands for a 3x3 `Conv2d` to K channels with padding 1 and bias, a `BatchNorm2d` if
            ``batch_norm``, and a `ReLU`; "M" for a `MaxPool2d` of 2x2 pixels with stride 2.
        batch_norm: normalize between convolution and ReLU.
        in_channels: of the first convolution.
        rng: where the weights come from.
        dtype: of the parameters.

    Returns:
        All layers in one `Sequential`, ReLUs and pooling counted: in (64, "M", 128) the second convolution is
        "3". Weights of convolutions are normal with mean 0 and variance 2 / fan_out, fan_out = 9 K
        (`kaiming_normal`); biases are 0.
    """
    raise NotImplementedError("architectures.vgg: TODO 4 of 11, extractor")


def classifier(
    channels: int,
    num_classes: int,
    dropout: float = 0.5,
    head: str = "imagenet",
    hidden: int = 4096,
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Sequential:
    """The linear layers behind the features, each an `initialized_linear` of `architectures.mlp`.

    Args:
        channels: C, of the features.
        num_classes: V.
        dropout: the probability of being dropped; the CIFAR head has none.
        head: "imagenet": C 49 -> hidden -> hidden -> V, with `ReLU` and `Dropout`, in this order, behind each
            but the last: "0", "3" and "6" are linear. "cifar": C -> V, called "0".
        hidden: features of the first two layers of the ImageNet head.
        rng: where the weights, and later the dropped units, come from: each `Dropout` keeps this very object.
        dtype: of the parameters.
    """
    raise NotImplementedError("architectures.vgg: TODO 5 of 11, classifier")


class VGG(Module):
    """Convolutions as listed, an average over places, linear layers.

    Args:
        config: channels and "M", as `A`, `B`, `D` and `E` have them.
        num_classes: V.
        batch_norm: normalize behind every convolution.
        dropout: in the ImageNet head, in [0, 1].
        in_channels: of the images.
        head: "imagenet": the average over 7x7 windows of any size, three linear layers. "cifar": the average
            over all places, one linear layer.
        hidden: features of the first two layers of the ImageNet head.
        rng: where the weights and the dropped units come from.
        dtype: of the parameters.

    Attributes:
        features: the `extractor`.
        avgpool: `AdaptiveAvgPool2d` to 7x7, or `GlobalAvgPool2d`.
        classifier: the `classifier`.

    Raises:
        ValueError: config has no convolution, a number below 1, or a string other than "M" (the message names
            config); num_classes, in_channels or hidden is below 1 (it names the three); head is unknown (it
            names that and the two); dropout is outside [0, 1] or NaN (it names it). All with either head.
    """

    def __init__(
        self,
        config: Configuration,
        num_classes: int = 1000,
        batch_norm: bool = False,
        dropout: float = 0.5,
        in_channels: int = 3,
        head: str = "imagenet",
        hidden: int = 4096,
        *,
        rng: np.random.Generator,
        dtype: DType = np.float32,
    ):
        raise NotImplementedError("architectures.vgg: TODO 6 of 11, VGG.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, H, W) -> logits (N, num_classes), for images of any size that pooling leaves."""
        raise NotImplementedError("architectures.vgg: TODO 7 of 11, VGG.forward")


class Options(TypedDict, total=False):
    """What the factories hand on to `VGG` by name."""

    dropout: float
    in_channels: int
    head: str
    rng: Required[np.random.Generator]
    dtype: DType


def vgg11(
    num_classes: int = 1000, batch_norm: bool = False, width: int = 64, **options: Unpack[Options]
) -> VGG:
    """VGG-11: configuration `A`, `scaled`, with 64 width hidden features; the rest as `VGG`."""
    raise NotImplementedError("architectures.vgg: TODO 8 of 11, vgg11")


def vgg13(
    num_classes: int = 1000, batch_norm: bool = False, width: int = 64, **options: Unpack[Options]
) -> VGG:
    """VGG-13: configuration `B`; the rest as `vgg11`."""
    raise NotImplementedError("architectures.vgg: TODO 9 of 11, vgg13")


def vgg16(
    num_classes: int = 1000, batch_norm: bool = False, width: int = 64, **options: Unpack[Options]
) -> VGG:
    """VGG-16: configuration `D`; the rest as `vgg11`."""
    raise NotImplementedError("architectures.vgg: TODO 10 of 11, vgg16")


def vgg19(
    num_classes: int = 1000, batch_norm: bool = False, width: int = 64, **options: Unpack[Options]
) -> VGG:
    """VGG-19: configuration `E`; the rest as `vgg11`."""
    raise NotImplementedError("architectures.vgg: TODO 11 of 11, vgg19")
