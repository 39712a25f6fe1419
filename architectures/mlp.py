r"""Layers upon layers: the multi-layer perceptron.

    h_0 = x,    h_l = f(h_{l-1} W_l^T + b_l)  for l = 1 ... L - 1,    y = h_{L-1} W_L^T + b_L

Linear maps alone compose to one linear map; the activation f between them is what makes depth count. The last
layer has none: its outputs are logits, or values to regress.

Weights start normal with variance gain^2 / fan_in, where the gain is that of the activation that follows
(sqrt(2) for ReLU, 1 after the last layer), so that signals keep their size from layer to layer. Biases start
at 0.

Shapes   x (*, sizes[0]) -> (*, sizes[-1]); parameters: the sum over layers of (fan_in + 1) fan_out numbers.
Source   Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors", Nature 323;
         He et al. 2015, arXiv:1502.01852, eq. 10;
         Goodfellow, Bengio & Courville 2016, Deep Learning, sec. 6.1 (XOR) and 6.4 (architecture).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from foundations.computational_graph import Operand, Tensor
from nn_core.activations.gelu import GELU
from nn_core.activations.relu import ReLU, SiLU
from nn_core.activations.sigmoid import Sigmoid
from nn_core.activations.tanh import Tanh
from nn_core.initialization import kaiming_normal
from nn_core.layers.linear import Linear
from nn_core.module import Module, Parameter, Sequential

# name: the layer, and the nonlinearity whose gain the weights before it need
ACTIVATIONS: dict[str, tuple[type[Module], str]] = {
    "relu": (ReLU, "relu"),
    "gelu": (GELU, "relu"),
    "silu": (SiLU, "relu"),
    "tanh": (Tanh, "tanh"),
    "sigmoid": (Sigmoid, "sigmoid"),
}


def initialized_linear(
    inputs: int,
    outputs: int,
    nonlinearity: str,
    *,
    rng: np.random.Generator,
    dtype: type | np.dtype = np.float32,
) -> Linear:
    """A `Linear` layer that is ready for what follows it: Kaiming weights, zero bias.

    Args:
        inputs: features in.
        outputs: features out.
        nonlinearity: what the outputs pass through, as `nn_core.initialization.gain` names it; "linear" if
            nothing follows.
        rng: where the weights come from.
        dtype: of both parameters.

    Returns:
        A layer with weight (outputs, inputs), normal with mean 0 and variance gain(nonlinearity)^2 / inputs
        (`kaiming_normal`), and bias (outputs,), all 0.
    """
    raise NotImplementedError("architectures.mlp: TODO 1 of 3, initialized_linear")


class MLP(Module):
    """Linear layers with an activation between each two.

    Args:
        sizes: features of the input, of each hidden layer and of the output, each >= 1: (784, 256, 128, 10).
        activation: "relu", "gelu", "silu", "tanh" or "sigmoid".
        rng: where the initial weights come from.
        dtype: of the parameters.

    Attributes:
        layers: a `Sequential` of the len(sizes) - 1 linear layers and the activations between them, in order:
            the first weight is called "layers.0.weight", the second "layers.2.weight".

    Raises:
        ValueError: fewer than two sizes, or one below 1 (the message names the sizes); or an unknown
            activation (it names that and the five).
    """

    layers: Sequential

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        """Build the layers: the hidden ones initialized for the activation, the last for none."""
        raise NotImplementedError("architectures.mlp: TODO 2 of 3, MLP.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (*, sizes[0]) -> (*, sizes[-1])."""
        raise NotImplementedError("architectures.mlp: TODO 3 of 3, MLP.forward")
