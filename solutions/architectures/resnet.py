r"""Learn only the difference: a block adds to its input instead of replacing it, and depth stops hurting.

    y = relu(F(x) + S(x))

F is two or three convolutions with batch normalization, S the *shortcut*: x itself, or, where the shape
changes, a 1 x 1 convolution with batch normalization (option B). A block that has nothing to add learns
F = 0, which is easier than learning the identity. Backwards, the sum hands its gradient to both sides: over
the shortcuts it reaches every block without passing the weights of those behind.

    basic         3x3, 3x3                   C channels              ResNet-18 (2, 2, 2, 2), 34 (3, 4, 6, 3)
    bottleneck    1x1 narrow, 3x3, 1x1 wide  C, then 4 C channels    ResNet-50 (3, 4, 6, 3)

Four stages of blocks have C = width, 2 width, 4 width and 8 width; the first block of the second, third and
fourth halves the image with stride 2. A bottleneck has it in the 3x3 convolution. (The paper has it in the
first 1x1, which never looks at three pixels of four; the later form is known as v1.5.) The ImageNet stem
shrinks the image by 4 before the first block, the CIFAR stem leaves it as it is.

No convolution has a bias: the normalization behind it would subtract it again.

Shapes   x (N, in_channels, H, W) -> logits (N, num_classes); a block (N, C, H, W) -> (N, K, H / s, W / s),
         rounded up, with K = expansion * channels.
Source   He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition", arXiv:1512.03385, eq. 1
         and 2, sec. 3.3 and 4.1, table 1, fig. 5; He et al. 2015, arXiv:1502.01852, eq. 14 (initialization);
         Goyal et al. 2017, arXiv:1706.02677, sec. 5.1 (the last weight starts at zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Required, TypedDict, Unpack

import numpy as np

from foundations.computational_graph import Operand, Tensor
from nn_core.activations.relu import relu
from nn_core.conv.conv2d import Conv2d
from nn_core.initialization import kaiming_normal
from nn_core.layers.linear import Linear
from nn_core.module import Module, Parameter, Sequential
from nn_core.normalization.batchnorm import BatchNorm2d
from nn_core.pooling.avgpool import global_avg_pool2d
from nn_core.pooling.maxpool import MaxPool2d

DType = type | np.dtype
STEMS = ("imagenet", "cifar")


def convolution(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Conv2d:
    """A convolution as residual networks use it: no bias, padded to keep the size, Kaiming weights.

    Args:
        in_channels: C.
        out_channels: K.
        kernel_size: R, odd; the padding is R // 2, so that an image of H pixels becomes ceil(H / stride).
        stride: pixels from place to place.
        rng: where the weights come from.
        dtype: of the weight.

    Returns:
        A layer whose weight (K, C, R, R) is normal with mean 0 and variance 2 / fan_out, fan_out = K R^2
        (`kaiming_normal`): what keeps the variance of gradients through ReLUs.
    """
    layer = Conv2d(
        in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False, rng=rng, dtype=dtype
    )
    shape = layer.weight.shape
    layer.weight = Parameter(kaiming_normal(shape, mode="fan_out", nonlinearity="relu", rng=rng, dtype=dtype))
    return layer


def projection(
    in_channels: int,
    out_channels: int,
    stride: int = 1,
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Sequential | None:
    """What a shortcut needs so that its result can be added: nothing, or a change of shape.

    Args:
        in_channels, out_channels, stride: of the block.
        rng, dtype: as in `convolution`.

    Returns:
        None where the shape stays (as many channels, stride 1); else a `Sequential` of a 1x1 `convolution`
        with that stride, and a `BatchNorm2d`.
    """
    if in_channels == out_channels and stride == 1:
        return None
    return Sequential(
        convolution(in_channels, out_channels, 1, stride, rng=rng, dtype=dtype),
        BatchNorm2d(out_channels, dtype=dtype),
    )


class Residual(Module):
    """A block: relu(F(x) + S(x)). Subclasses say what the branch F is.

    Their arguments: in_channels, C; channels of the inner convolutions, so that the block gives out
    K = channels * expansion; stride, where 2 halves the image; rng and dtype as in `convolution`.

    Attributes:
        expansion: 1 or 4.
        downsample: the `projection` of the shortcut, or None where the shortcut is x itself.
    """

    expansion: ClassVar[int]
    downsample: Sequential | None

    def branch(self, x: Operand) -> Tensor:
        """F(x), what the block adds: up to its last normalization, before the last ReLU."""
        raise TypeError(f"{type(self).__name__} does not define branch")

    def forward(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> relu(F(x) + S(x)), (N, K, H', W'); S is ``downsample``, or the identity."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return relu(self.branch(x) + shortcut)


class BasicBlock(Residual):
    """Two 3x3 convolutions: F(x) = bn2(conv2(relu(bn1(conv1(x))))). The first has the stride.

    Attributes:
        conv1, bn1, conv2, bn2: `convolution` and `BatchNorm2d`.
        downsample: `projection`.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        rng: np.random.Generator,
        dtype: DType = np.float32,
    ):
        super().__init__()
        self.conv1 = convolution(in_channels, channels, 3, stride, rng=rng, dtype=dtype)
        self.bn1 = BatchNorm2d(channels, dtype=dtype)
        self.conv2 = convolution(channels, channels, 3, rng=rng, dtype=dtype)
        self.bn2 = BatchNorm2d(channels, dtype=dtype)
        self.downsample = projection(in_channels, channels, stride, rng=rng, dtype=dtype)

    def branch(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> F(x), (N, K, H', W')."""
        h = relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(h))


class Bottleneck(Residual):
    """Make narrow, look around, make wide: F(x) = bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))).

    Three by three pixels at a quarter of the channels cost a sixteenth; conv1 and conv3 are 1x1, conv2 is 3x3
    and has the stride.

    Attributes:
        conv1, bn1, conv2, bn2, conv3, bn3: `convolution` and `BatchNorm2d`.
        downsample: `projection`.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int = 1,
        *,
        rng: np.random.Generator,
        dtype: DType = np.float32,
    ):
        super().__init__()
        wide = channels * self.expansion
        self.conv1 = convolution(in_channels, channels, 1, rng=rng, dtype=dtype)
        self.bn1 = BatchNorm2d(channels, dtype=dtype)
        self.conv2 = convolution(channels, channels, 3, stride, rng=rng, dtype=dtype)
        self.bn2 = BatchNorm2d(channels, dtype=dtype)
        self.conv3 = convolution(channels, wide, 1, rng=rng, dtype=dtype)
        self.bn3 = BatchNorm2d(wide, dtype=dtype)
        self.downsample = projection(in_channels, wide, stride, rng=rng, dtype=dtype)

    def branch(self, x: Operand) -> Tensor:
        """x (N, C, H, W) -> F(x), (N, K, H', W')."""
        h = relu(self.bn1(self.conv1(x)))
        h = relu(self.bn2(self.conv2(h)))
        return self.bn3(self.conv3(h))


def stage(
    block: type[BasicBlock] | type[Bottleneck],
    in_channels: int,
    channels: int,
    count: int,
    stride: int = 1,
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Sequential:
    """Blocks in a row: the first takes ``in_channels`` and has the stride, the others neither change shape.

    Args:
        block, in_channels: `BasicBlock` or `Bottleneck`, and what the first one takes.
        channels: of every block; the stage gives out ``channels * block.expansion``.
        count: how many blocks, >= 1.
        stride: of the first block.
        rng, dtype: as in `convolution`.
    """
    blocks = Sequential(block(in_channels, channels, stride, rng=rng, dtype=dtype))
    for _ in range(count - 1):
        blocks.append(block(channels * block.expansion, channels, rng=rng, dtype=dtype))
    return blocks


class ResNet(Module):
    """A stem, four stages of residual blocks, the average over all places, and a linear layer.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: how many blocks each of the four stages has: (2, 2, 2, 2).
        num_classes: V.
        width: channels of the stem and of the first stage's blocks; every stage has twice those before.
        stem: "imagenet": a 7x7 convolution with stride 2, batch normalization, ReLU, and 3x3 max pooling with
            stride 2 and padding 1. "cifar": a 3x3 convolution with stride 1, batch normalization, ReLU.
        in_channels: of the images.
        zero_init_residual: start the weight of every block's last normalization at 0 instead of 1: F(x) = 0,
            and every block is relu of its shortcut.
        rng: where the weights come from.
        dtype: of the parameters, all of them.

    Attributes:
        conv1, bn1: of the stem, a `convolution` and a `BatchNorm2d`.
        maxpool: a `MaxPool2d`; with the CIFAR stem None.
        layer1, layer2, layer3, layer4: `stage` by stage.
        fc: `Linear`, as it starts by itself.

    Raises:
        ValueError: not four stages, or one without blocks (the message names ``layers``); num_classes, width
            or in_channels below 1 (it names the three); an unknown stem (it names that and the two).
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        width: int = 64,
        stem: str = "imagenet",
        in_channels: int = 3,
        zero_init_residual: bool = False,
        *,
        rng: np.random.Generator,
        dtype: DType = np.float32,
    ):
        super().__init__()
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError(f"layers must be four numbers of blocks, each at least 1, got {layers}")
        if min(num_classes, width, in_channels) < 1:
            raise ValueError(
                "ResNet needs at least one class and one channel, got "
                f"num_classes={num_classes}, width={width}, in_channels={in_channels}"
            )
        if stem not in STEMS:
            raise ValueError(f"stem must be one of {', '.join(STEMS)}, got '{stem}'")
        large = stem == "imagenet"
        kernel_size, stride = (7, 2) if large else (3, 1)
        self.conv1 = convolution(in_channels, width, kernel_size, stride, rng=rng, dtype=dtype)
        self.bn1 = BatchNorm2d(width, dtype=dtype)
        self.maxpool = MaxPool2d(3, 2, 1) if large else None
        wide = block.expansion
        self.layer1 = stage(block, width, width, layers[0], rng=rng, dtype=dtype)
        self.layer2 = stage(block, wide * width, 2 * width, layers[1], 2, rng=rng, dtype=dtype)
        self.layer3 = stage(block, wide * 2 * width, 4 * width, layers[2], 2, rng=rng, dtype=dtype)
        self.layer4 = stage(block, wide * 4 * width, 8 * width, layers[3], 2, rng=rng, dtype=dtype)
        self.fc = Linear(wide * 8 * width, num_classes, rng=rng, dtype=dtype)
        if zero_init_residual:
            last = "bn3" if issubclass(block, Bottleneck) else "bn2"
            for name, module in self.named_modules():
                if name.endswith(last) and isinstance(module, BatchNorm2d):
                    module.weight = Parameter(np.zeros(module.num_features), dtype=dtype)

    def forward(self, x: Operand) -> Tensor:
        """x (N, in_channels, H, W) -> logits (N, num_classes), for images of any size."""
        x = relu(self.bn1(self.conv1(x)))  # (N, width, H, W); imagenet: H / 2
        if self.maxpool is not None:
            x = self.maxpool(x)  # H / 4
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # H / 8 of that
        return self.fc(global_avg_pool2d(x))


class Options(TypedDict, total=False):
    """What the factories hand on to `ResNet` by name."""

    in_channels: int
    zero_init_residual: bool
    rng: Required[np.random.Generator]
    dtype: DType


def resnet18(
    num_classes: int = 1000, width: int = 64, stem: str = "imagenet", **options: Unpack[Options]
) -> ResNet:
    """ResNet-18: (2, 2, 2, 2) basic blocks, 11,689,512 parameters; arguments as `ResNet`."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, width, stem, **options)


def resnet34(
    num_classes: int = 1000, width: int = 64, stem: str = "imagenet", **options: Unpack[Options]
) -> ResNet:
    """ResNet-34: (3, 4, 6, 3) basic blocks, 21,797,672 parameters; arguments as `ResNet`."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, width, stem, **options)


def resnet50(
    num_classes: int = 1000, width: int = 64, stem: str = "imagenet", **options: Unpack[Options]
) -> ResNet:
    """ResNet-50: (3, 4, 6, 3) bottlenecks, 25,557,032 parameters; arguments as `ResNet`."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, width, stem, **options)
