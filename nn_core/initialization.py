r"""Start where signals survive: random weights whose scale keeps variances alike from layer to layer.

For y_k = sum_i w_ki x_i with independent weights of mean 0,

    forward     Var[y]     = fan_in  * Var[w] * E[x^2]
    backward    Var[dL/dx] = fan_out * Var[w] * Var[dL/dy]

so L layers multiply the signal by (fan * Var[w])^L: a factor of 0.5 a layer is 1e-15 after 50. Keep it at 1:

    Xavier        Var[w] = gain^2 * 2 / (fan_in + fan_out)    a compromise between both directions
    Kaiming       Var[w] = gain^2 / fan                       one direction exactly; gain^2 = 2 makes up for
                                                              ReLU, which lets half of E[x^2] through
    orthogonal    W W^T = gain^2 I, or W^T W                  keeps every length, not only the average one

A uniform distribution on [-b, b] has variance b^2 / 3.

Shapes   weights (K, D) of a linear layer, (K, C, *kernel) of a convolution: outputs first.
Source   Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
         eq. 12 and 16; He et al. 2015, arXiv:1502.01852, eq. 10 and 14; Saxe, McClelland & Ganguli 2014,
         arXiv:1312.6120, sec. 3; Mezzadri 2007, arXiv:math-ph/0609050, sec. 5 (the signs of QR).
"""

from __future__ import annotations

from math import prod, sqrt

import numpy as np

from foundations.computational_graph import Array

Shape = tuple[int, ...]
DType = type | np.dtype


def fans(shape: Shape) -> tuple[int, int]:
    """How many inputs reach an output (fan_in), and how many outputs an input reaches (fan_out).

    Args:
        shape: of the weight: (K, D), or (K, C, *kernel), whose kernel's size multiplies both.

    Returns:
        (fan_in, fan_out): (D, K), or (C * size, K * size).

    Raises:
        ValueError: fewer than two axes, or an axis of length 0; the message names the shape.

    >>> fans((16, 3, 5, 5))
    (75, 400)
    """
    raise NotImplementedError("nn_core.initialization: TODO 1 of 9, fans")


def gain(nonlinearity: str, a: float = 0.0) -> float:
    """By how much to enlarge the standard deviation of weights whose results pass through ``nonlinearity``.

    Args:
        nonlinearity: "linear" or "sigmoid": 1; "tanh": 5/3, by experience; "relu": sqrt(2);
            "leaky_relu": sqrt(2 / (1 + a^2)).
        a: the negative slope of a leaky ReLU; the others ignore it.

    Raises:
        ValueError: any other name; the message names it and the five.

    >>> gain("tanh")
    1.6666666666666667
    """
    raise NotImplementedError("nn_core.initialization: TODO 2 of 9, gain")


def xavier_uniform(
    shape: Shape, gain: float = 1.0, *, rng: np.random.Generator, dtype: DType = np.float32
) -> Array:
    """Uniform on [-b, b] with b = gain * sqrt(6 / (fan_in + fan_out)).

    Args:
        shape: of the weight, outputs first.
        gain: as `gain` tells.
        rng: where the numbers come from.
        dtype: of the result.

    Raises:
        ValueError: as `fans`.
    """
    raise NotImplementedError("nn_core.initialization: TODO 5 of 9, xavier_uniform")


def xavier_normal(
    shape: Shape, gain: float = 1.0, *, rng: np.random.Generator, dtype: DType = np.float32
) -> Array:
    """Normal with mean 0 and variance gain^2 * 2 / (fan_in + fan_out); arguments as `xavier_uniform`."""
    raise NotImplementedError("nn_core.initialization: TODO 6 of 9, xavier_normal")


def kaiming_uniform(
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Array:
    """Uniform on [-b, b] with b = gain(nonlinearity, a) * sqrt(3 / fan).

    Args:
        shape: of the weight, outputs first.
        a: the negative slope of a leaky ReLU; 0 is ReLU.
        mode: "fan_in" keeps the variance of the signal, "fan_out" that of its gradient.
        nonlinearity: what follows the layer, as `gain` takes it.
        rng: where the numbers come from.
        dtype: of the result.

    Raises:
        ValueError: as `fans` and `gain`, or another mode; the message names it and the two.
    """
    raise NotImplementedError("nn_core.initialization: TODO 7 of 9, kaiming_uniform")


def kaiming_normal(
    shape: Shape,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: np.random.Generator,
    dtype: DType = np.float32,
) -> Array:
    """Normal with mean 0 and variance gain(nonlinearity, a)^2 / fan; the rest as `kaiming_uniform`."""
    raise NotImplementedError("nn_core.initialization: TODO 8 of 9, kaiming_normal")


def orthogonal(
    shape: Shape, gain: float = 1.0, *, rng: np.random.Generator, dtype: DType = np.float32
) -> Array:
    """A random orthogonal matrix times ``gain``, every one equally likely.

    The weight is read as a matrix (K, rest). Its rows are orthonormal if it is wide, its columns if it is
    tall, both if it is square. The Q of a normal matrix's QR decomposition is not uniform by itself: its
    signs follow the algorithm's convention. Multiply each column of Q by the sign of R's diagonal entry.

    Args:
        shape: of the weight, outputs first.
        gain: factor; the singular values of the result are all ``gain``.
        rng: where the numbers come from.
        dtype: of the result.

    Raises:
        ValueError: as `fans`.
    """
    raise NotImplementedError("nn_core.initialization: TODO 9 of 9, orthogonal")


def _uniform(shape: Shape, sd: float, rng: np.random.Generator, dtype: DType) -> Array:
    """Uniform numbers of mean 0 and standard deviation ``sd``: the half-width is sqrt(3) times that."""
    raise NotImplementedError("nn_core.initialization: TODO 3 of 9, _uniform")


def _normal(shape: Shape, sd: float, rng: np.random.Generator, dtype: DType) -> Array:
    """Normal numbers of mean 0 and standard deviation ``sd``."""
    raise NotImplementedError("nn_core.initialization: TODO 4 of 9, _normal")


def _fan(shape: Shape, mode: str) -> int:
    """The fan that ``mode`` names."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got '{mode}'")
    return fans(shape)[mode == "fan_out"]
