r"""Look for small things everywhere, forget a little where they were, and look again: LeNet-5.

    image     1 x 32 x 32    a digit of 28 x 28 with 2 pixels of zeros around it
    c1        6 x 28 x 28    convolution 5 x 5         156 parameters
    s2        6 x 14 x 14    pooling 2 x 2
    c3       16 x 10 x 10    convolution 5 x 5       2,416
    s4       16 x  5 x  5    pooling 2 x 2
    c5      120 x  1 x  1    convolution 5 x 5      48,120    it sees all of s4: one place is left
    f6       84              linear                 10,164
    output   10              linear                    850    61,706 in all

An activation f follows c1, c3, c5 and f6. On the way down places become fewer and channels more: where a
stroke lies is traded for what it is.

Sizes are those of the paper. Three things are simpler, as everywhere today: pooling learns nothing (in 1998
each channel had a factor and an offset of its own); every channel of c3 sees all six of s2 (then a table gave
it three, four or all); the outputs are logits (then distances to drawings of the characters). ReLU and max
pooling, in place of tanh and the average, came later.

Shapes   x (N, in_channels, 28, 28) or (N, in_channels, 32, 32) -> logits (N, num_classes).
Source   LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition",
         Proceedings of the IEEE 86, sec. II.B, fig. 2.
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Operand, Tensor, as_array
from foundations.shaping import reshape
from nn_core.activations.relu import ReLU
from nn_core.activations.tanh import Tanh
from nn_core.conv.conv2d import Conv2d, conv2d
from nn_core.layers.linear import Linear
from nn_core.module import Module
from nn_core.pooling.avgpool import AvgPool2d
from nn_core.pooling.maxpool import MaxPool2d

ACTIVATIONS: dict[str, type[Module]] = {"tanh": Tanh, "relu": ReLU}
POOLINGS: dict[str, type[AvgPool2d] | type[MaxPool2d]] = {"avg": AvgPool2d, "max": MaxPool2d}


class LeNet5(Module):
    """Three convolutions with two poolings between them, and two linear layers.

    Args:
        num_classes: V >= 1.
        in_channels: C >= 1: 1 for digits, 3 for colour.
        activation: "tanh" or "relu", behind c1, c3, c5 and f6.
        pooling: "avg" or "max", of windows of 2 x 2 that do not overlap.
        rng: where the initial weights come from.
        dtype: of the parameters.

    Attributes:
        c1, c3, c5: `Conv2d` of 5 x 5 without padding, to 6, 16 and 120 channels.
        s2, s4: the pooling layers.
        f6, output: `Linear`, to 84 and num_classes features.
        activation: the layer that stands behind c1, c3, c5 and f6.

    All layers start as they do by themselves, and are made in the order c1, c3, c5, f6, output: each takes
    the numbers that come next from ``rng``.

    Raises:
        ValueError: num_classes or in_channels below 1 (the message names both); an unknown activation or
            pooling (it names that and the two).
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        activation: str = "tanh",
        pooling: str = "avg",
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        super().__init__()
        if min(num_classes, in_channels) < 1:
            raise ValueError(
                "LeNet5 needs at least one class and one channel, got "
                f"num_classes={num_classes}, in_channels={in_channels}"
            )
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got '{activation}'")
        if pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got '{pooling}'")
        self.c1 = Conv2d(in_channels, 6, 5, rng=rng, dtype=dtype)
        self.s2 = POOLINGS[pooling](2)
        self.c3 = Conv2d(6, 16, 5, rng=rng, dtype=dtype)
        self.s4 = POOLINGS[pooling](2)
        self.c5 = Conv2d(16, 120, 5, rng=rng, dtype=dtype)
        self.f6 = Linear(120, 84, rng=rng, dtype=dtype)
        self.output = Linear(84, num_classes, rng=rng, dtype=dtype)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Operand) -> Tensor:
        """Return the logits of the images.

        Args:
            x: (N, in_channels, 32, 32), or (N, in_channels, 28, 28), around which 2 pixels of zeros are put.

        Returns:
            (N, num_classes).

        Raises:
            ValueError: x has another size, number of channels or number of axes; the message names its shape.
        """
        shape, f = as_array(x).shape, self.activation
        if len(shape) != 4 or shape[2:] not in ((28, 28), (32, 32)):
            raise ValueError(f"LeNet5 needs x (N, C, 28, 28) or (N, C, 32, 32), got x {shape}")
        c1 = conv2d(x, self.c1.weight, self.c1.bias, padding=(32 - shape[2]) // 2)
        s2 = self.s2(f(c1))  # (N, 6, 14, 14)
        s4 = self.s4(f(self.c3(s2)))  # (N, 16, 5, 5)
        c5 = f(self.c5(s4))  # (N, 120, 1, 1)
        f6 = f(self.f6(reshape(c5, (-1, 120))))  # (N, 84)
        return self.output(f6)
