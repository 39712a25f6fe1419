r"""The smooth kink of transformers: pass each number on with the probability that noise lies below it.

    GELU(x) = x P(Z <= x) = x Phi(x),  Z normal            GELU'(x) = Phi(x) + x phi(x)
    Phi(x) = (1 + erf(x / sqrt(2))) / 2                    Phi'(x) = phi(x) = e^(-x^2 / 2) / sqrt(2 pi)

So GELU is a product, and the only new operation is Phi, whose derivative is a bell. An older form replaces
Phi by a sigmoid of nearly the same shape (the two GELUs differ by at most 5e-4):

    Phi(x) ~ (1 + tanh u) / 2,   u = sqrt(2 / pi) (x + 0.044715 x^3)

NumPy has no erf. For z >= 0 write 1 - Phi(z) = phi(z) m(z), where Mills' ratio m falls slowly, from
sqrt(pi / 2) towards 1 / z. Then (1 + z) m(z) stays between 1 and 1.32, and in t = (z - 5) / (z + 5), which
maps [0, inf] to [-1, 1], one polynomial gives it everywhere, and the left tail is no difference 1 - 1.

Shapes   any.
Source   Hendrycks & Gimpel 2016, arXiv:1606.08415, sec. 2 (both forms); Shepherd & Laframboise 1981,
         "Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < inf", Math. Comp. 36(153), 249-253.
"""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor
from foundations.elementwise import exp
from nn_core.module import Module

# (1 + z) m(z) as a polynomial in t, highest power first: Chebyshev series of 24 and 12 terms, rearranged
DOUBLE = (  # leaves 2e-17
    -9.564832934712551e-10, -7.073898575561589e-10, 1.1032071151574336e-08, 9.092476134019147e-09,
    -7.758520236786343e-08, -6.588974491108954e-08, 4.91996233147834e-07, 3.2054316652589574e-07,
    -3.277287633208865e-06, -1.7633239265736746e-07, 2.270961270923768e-05, -2.480583845192319e-05,
    -0.0001343742785571135, 0.00045704392357953655, 1.9530638370790786e-05, -0.004201290329187307,
    0.01634823128102938, -0.03802659218584139, 0.0615050458401865, -0.0661776007790963,
    0.0250721793016388, 0.07778159886873769, -0.22948753825211315, 1.1568486282918946,
)  # fmt: skip
SINGLE = (  # leaves 2e-8
    -7.78268085e-05, 0.000383765462, -4.47401566e-05, -0.00411961492, 0.016384998, -0.0380686986,
    0.0614946224, -0.0661677703, 0.025073458, 0.0777807586, -0.229487583, 1.15684864,
)  # fmt: skip
BLOCK = 1 << 14  # numbers at a time: the working arrays stay in the cache


def normal_cdf(x: Array) -> Array:
    """Phi(x) of an array: 1 - tail right of 0 and tail left of it, with tail = phi(z) m(z) and z = |x|.

    Args:
        x: any shape, float32 or float64, infinities included.

    Returns:
        The shape and dtype of x. In float64 the relative error is below 1e-13 for x > -8 and below 1e-12 for
        x > -37; in float32 it is below 2e-6 for x > -5. Below -39 (-14 in float32) the result may be 0.
    """
    raise NotImplementedError("nn_core.activations.gelu: TODO 1 of 5, normal_cdf")


class NormalCDF(Function):
    """Phi(x), the probability that a standard normal variable is at most x."""

    def forward(self, x: Array) -> Array:
        """Return `normal_cdf` of x, block by block."""
        flat = x.reshape(-1).astype(np.result_type(x.dtype, 0.0), copy=False)  # integers become floats
        out = np.empty_like(flat)
        for i in range(0, x.size, BLOCK):
            out[i : i + BLOCK] = normal_cdf(flat[i : i + BLOCK])
        return out.reshape(x.shape)

    def backward(self, grad):
        """Return grad * phi(x)."""
        raise NotImplementedError("nn_core.activations.gelu: TODO 2 of 5, NormalCDF.backward")


class TanhCDF(Function):
    """(1 + tanh u) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3): nearly Phi(x)."""

    def forward(self, x: Array) -> Array:
        """Return (1 + tanh u) / 2."""
        raise NotImplementedError("nn_core.activations.gelu: TODO 3 of 5, TanhCDF.forward")

    def backward(self, grad):
        """Return grad * 2 y (1 - y) du/dx, with y the output: (1 + tanh u) / 2 is sigmoid(2 u)."""
        raise NotImplementedError("nn_core.activations.gelu: TODO 4 of 5, TanhCDF.backward")


CDF: dict[str, type[Function]] = {"none": NormalCDF, "tanh": TanhCDF}


def gelu(x: Operand, approximate: str = "none") -> Tensor:
    """x Phi(x), element by element; x of any shape.

    Args:
        x: any shape; of integers the result is float64.
        approximate: "none" for the exact Phi, "tanh" for (1 + tanh u) / 2.

    Raises:
        ValueError: another form; the message names it and the two.
    """
    raise NotImplementedError("nn_core.activations.gelu: TODO 5 of 5, gelu")


class GELU(Module):
    """`gelu` as a layer.

    Args:
        approximate: "none" or "tanh".

    Raises:
        ValueError: another form; the message names it and the two.
    """

    def __init__(self, approximate: str = "none"):
        super().__init__()
        _cdf(approximate)
        self.approximate = approximate

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> gelu(x)."""
        return gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate='{self.approximate}'"


def _cdf(approximate: str) -> type[Function]:
    """The operation that ``approximate`` names."""
    if approximate not in CDF:
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return CDF[approximate]
