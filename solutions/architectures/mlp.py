r"""Layers upon layers: the multi-layer perceptron.

    h_0 = x,    h_l = f(h_{l-1} W_l^T + b_l)  for l = 1 ... L - 1,    y = h_{L-1} W_L^T + b_L

Linear maps alone compose to one linear map; the activation f between them is what makes depth count. The last
layer has none: its outputs are logits, or values to regress.

Weights start normal with variance gain^2 / fan_in, the gain of the activation that follows (sqrt(2) for ReLU), so
that signals keep their size from layer to layer; biases start at 0.

Shapes   x (*, sizes[0]) -> (*, sizes[-1]).
Source   Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors", Nature 323;
         Goodfellow, Bengio & Courville 2016, Deep Learning, ch. 6; He et al. 2015, arXiv:1502.01852, eq. 10.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundations.computational_graph import Operand, Tensor
from nn_core.activations.gelu import GELU
from nn_core.activations.relu import ReLU, SiLU
from nn_core.activations.sigmoid import Sigmoid
from nn_core.activations.tanh import Tanh
from nn_core.initialization import kaiming_normal
from nn_core.layers.linear import Linear
from nn_core.module import Module, Sequential

ACTIVATIONS = {  # name: the module, and the nonlinearity whose gain its weights start with
    "relu": (ReLU, "relu"),
    "gelu": (GELU, "relu"),
    "silu": (SiLU, "relu"),
    "tanh": (Tanh, "tanh"),
    "sigmoid": (Sigmoid, "sigmoid"),
}


class MLP(Module):
    """Linear layers with an activation between each two.

    Args:
        sizes: features of the input, of each hidden layer and of the output, each >= 1: (784, 256, 128, 10).
        activation: "relu", "gelu", "silu", "tanh" or "sigmoid".
        rng: where the initial weights come from, layer by layer.
        dtype: of the parameters.

    Attributes:
        layers: a `Sequential` of len(sizes) - 1 `Linear` layers and the activations between them, in order, so that
            the first weight is called "layers.0.weight" and the second "layers.2.weight".

    Raises:
        ValueError: fewer than two sizes, a size below 1, or an unknown activation; the message names what arrived.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        super().__init__()
        sizes = tuple(sizes)
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes must be at least an input and an output, each at least 1, got {sizes}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got '{activation}'")
        between, nonlinearity = ACTIVATIONS[activation]
        self.layers = Sequential()
        for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            last = i == len(sizes) - 2
            follows = "linear" if last else nonlinearity
            layer = Linear(inputs, outputs, rng=rng, dtype=dtype)
            layer.weight.data[...] = kaiming_normal(
                layer.weight.shape, nonlinearity=follows, rng=rng, dtype=dtype
            )
            layer.bias.data[...] = 0
            self.layers.append(layer)
            if not last:
                self.layers.append(between())

    def forward(self, x: Operand) -> Tensor:
        """x (*, sizes[0]) -> (*, sizes[-1])."""
        return self.layers(x)
