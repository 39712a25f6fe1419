r"""Every output sees every input: a matrix, an offset, and both derivatives as two matrix products.

    y = x W^T + b          y_nk = sum_d x_nd W_kd + b_k

With G = dL/dy of y's shape, reading the indices off that sum gives

    dL/dx = G W            dL/dW = G^T x            dL/db = sum_n G_n = 1^T G

One fused operation instead of transpose, product and sum: one node and no copy of W. The three products above
are operations themselves, so the layer can be differentiated to every order.

Shapes   x (*, D), W (K, D), b (K,), y (*, K); `*` any leading axes, (N,) or (N, T) or none.
Source   Giles 2008, "Collected matrix derivative results for forward and reverse mode algorithmic
         differentiation", sec. 2.2.2 (the product);
         Goodfellow, Bengio & Courville 2016, Deep Learning, sec. 6.5.6 (back-propagation).
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from nn_core.initialization import kaiming_uniform
from nn_core.module import Module, Parameter


class LinearFunction(Function):
    """x (*, D), weight (K, D) and possibly bias (K,) -> x W^T + b, (*, K)."""

    fresh = True

    def forward(self, x: Array, weight: Array, bias: Array | None = None) -> Array:
        """Return x W^T + b. Leading axes are flattened: one large product is faster than many small ones."""
        raise NotImplementedError("nn_core.layers.linear: TODO 1 of 5, LinearFunction.forward")

    def backward(self, grad):
        """Map G (*, K) to (G W, G^T x) or, with a bias, (G W, G^T x, 1^T G); None for what nobody needs."""
        raise NotImplementedError("nn_core.layers.linear: TODO 2 of 5, LinearFunction.backward")


def linear(x: Operand, weight: Operand, bias: Operand | None = None) -> Tensor:
    """Return x W^T + b: one row of ``weight`` for each output.

    Args:
        x: (*, D); with D alone, one example.
        weight: (K, D).
        bias: (K,), or None for no offset.

    Returns:
        (*, K).

    Raises:
        ValueError: the shapes do not fit; the message names all of them.
    """
    raise NotImplementedError("nn_core.layers.linear: TODO 3 of 5, linear")


class Linear(Module):
    """``out_features`` weighted sums of ``in_features`` numbers: (*, in_features) -> (*, out_features).

    Weight and bias begin uniform on [-1/sqrt(in_features), 1/sqrt(in_features)], PyTorch's choice: for the
    weight it is `kaiming_uniform` with a = sqrt(5), a variance of 1 / (3 in_features).

    Args:
        in_features: D >= 1.
        out_features: K >= 1.
        bias: learn an offset for each output.
        rng: where the initial numbers come from, first those of the weight.
        dtype: of the parameters.

    Attributes:
        weight: Parameter (out_features, in_features).
        bias: Parameter (out_features,), or None.

    Raises:
        ValueError: a size below 1; the message names both sizes.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: np.random.Generator,
        dtype: type | np.dtype = np.float32,
    ):
        raise NotImplementedError("nn_core.layers.linear: TODO 4 of 5, Linear.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (*, in_features) -> (*, out_features)."""
        raise NotImplementedError("nn_core.layers.linear: TODO 5 of 5, Linear.forward")

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )
