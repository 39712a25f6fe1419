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
        y = x.reshape(-1, x.shape[-1]) @ weight.T  # (N, K)
        if bias is not None:
            y += bias
        return y.reshape((*x.shape[:-1], weight.shape[0]))

    def backward(self, grad):
        """Map G (*, K) to (G W, G^T x) or, with a bias, (G W, G^T x, 1^T G); None for what nobody needs."""
        x, weight, *bias = self.operands
        rows = grad.reshape((-1, weight.shape[0]))  # (N, K)
        by_x = (rows @ weight).reshape(x.shape) if self.needs(0) else None
        by_weight = rows.T @ x.reshape((-1, x.shape[-1])) if self.needs(1) else None  # (K, D)
        if not bias:
            return by_x, by_weight
        ones = np.ones_like(as_array(grad), shape=len(rows))  # 1^T G by BLAS: faster than a sum over rows
        return by_x, by_weight, (ones @ rows if self.needs(2) else None)


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
    x_shape, weight_shape = as_array(x).shape, as_array(weight).shape
    bias_shape = None if bias is None else as_array(bias).shape
    fits = len(weight_shape) == 2 and x_shape[-1:] == weight_shape[1:]
    if not fits or bias_shape not in (None, weight_shape[:1]):
        raise ValueError(
            "linear expects x (*, D), weight (K, D) and bias (K,) or None, "
            f"got x {x_shape}, weight {weight_shape} and bias {bias_shape}"
        )
    return LinearFunction.apply(x, weight) if bias is None else LinearFunction.apply(x, weight, bias)


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
        super().__init__()
        if in_features < 1 or out_features < 1:
            sizes = f"in_features={in_features}, out_features={out_features}"
            raise ValueError(f"Linear needs sizes of at least 1, got {sizes}")
        self.in_features, self.out_features = in_features, out_features
        bound = 1.0 / sqrt(in_features)
        self.weight = Parameter(
            kaiming_uniform((out_features, in_features), a=sqrt(5.0), rng=rng, dtype=dtype)
        )
        self.bias = Parameter(rng.uniform(-bound, bound, out_features), dtype=dtype) if bias else None

    def forward(self, x: Operand) -> Tensor:
        """x (*, in_features) -> (*, out_features)."""
        return linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )
