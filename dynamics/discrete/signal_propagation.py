r"""How far a signal gets: the variance of activations and the length of gradients, layer after layer.

    z_l = W_l h_(l-1) + b_l        h_l = phi(z_l)        J_l = dh_l / dh_(l-1) = diag(phi'(z_l)) W_l

Backpropagation is the product J_1^T ... J_L^T, and a product of L matrices grows or dies as something to the
L. For wide random layers, W ~ N(0, sigma_w^2 / fan_in) and b ~ N(0, sigma_b^2), two integrals over a standard
normal u tell what: for q, the mean of z^2 over a layer, and for chi, the mean growth of the squared length of
a gradient (or of a small difference of two inputs):

    q_l = sigma_w^2 E[phi(sqrt(q_(l-1)) u)^2] + sigma_b^2        chi = sigma_w^2 E[phi'(sqrt(q) u)^2]

chi < 1: gradients vanish, as chi^(L/2); chi > 1: they explode; chi = 1 is critical. There the scale is right
on average only: the product's singular values still spread, unless each J_l is orthogonal.

Shapes   N_l units in layer l; W_l (N_l, N_(l-1)); b_l, z_l, h_l (N_l,); h_0 the input (N_0,).
Source   Poole et al. 2016, arXiv:1606.05340, eq. 3 and 5; Schoenholz et al. 2017, arXiv:1611.01232, sec. 3-4;
         Saxe, McClelland & Ganguli 2014, arXiv:1312.6120, sec. 3; Pennington, Schoenholz & Ganguli 2017,
         arXiv:1711.04735 (dynamical isometry).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nn_core.initialization import orthogonal

Array = np.ndarray


class Activation(NamedTuple):
    """A nonlinearity and its derivative, both elementwise functions of the pre-activation z."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


LINEAR = Activation(lambda z: z, np.ones_like)
RELU = Activation(lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0))
TANH = Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2)

# The midpoint rule on [-12, 12], beyond which 1e-32 is left: for smooth functions it converges faster than
# any power of the spacing, and its symmetry makes it exact for the half of the normal that ReLU sees.
# Gauss-Hermite with 100 nodes is off by 2% for tanh's slope at a variance of 10.
NODES = np.linspace(-12.0, 12.0, 4801)[:-1] + 0.0025
WEIGHTS = 0.005 * np.exp(-(NODES**2) / 2) / sqrt(2 * pi)


def random_network(
    widths: Sequence[int],
    sigma_w: float,
    sigma_b: float = 0.0,
    kind: str = "gaussian",
    *,
    rng: np.random.Generator,
) -> tuple[list[Array], list[Array]]:
    """Draw the weights and biases of a random network.

    Args:
        widths: N_0, N_1, ..., N_L.
        sigma_w: "gaussian": weights are independent with variance sigma_w^2 / fan_in. "orthogonal": a random
            matrix with orthonormal rows or columns, whichever are fewer, times sigma_w.
        sigma_b: standard deviation of the biases, which are independent and normal.
        kind: "gaussian" or "orthogonal".
        rng: where the numbers come from.

    Returns:
        L weights, (N_l, N_(l-1)), and L biases, (N_l,), float64.

    Raises:
        ValueError: kind is unknown; the message names it.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 1 of 8, random_network")


def forward(
    x: ArrayLike, weights: Sequence[Array], biases: Sequence[Array], phi: Activation = TANH
) -> tuple[list[Array], list[Array]]:
    """Send an input through the layers, each with the activation.

    Args:
        x: (N_0,).
        weights: L matrices (N_l, N_(l-1)).
        biases: L vectors (N_l,).
        phi: of every layer, the last too.

    Returns:
        The L pre-activations z_1 ... z_L, and the L + 1 signals h_0 = x, h_1 ... h_L.

    Raises:
        ValueError: a weight does not fit the signal that reaches it: the message names the weight's shape and
            the signal's.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 2 of 8, forward")


def layer_jacobians(weights: Sequence[Array], pre: Sequence[Array], phi: Activation = TANH) -> list[Array]:
    """Give the Jacobian of each layer, diag(phi'(z_l)) W_l.

    Args:
        weights: L matrices (N_l, N_(l-1)).
        pre: the pre-activations z_l, (N_l,), of `forward`: the slope is taken there, not at phi(z_l).
        phi: of every layer.

    Returns:
        L matrices (N_l, N_(l-1)), new.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 3 of 8, layer_jacobians")


def gradient_norms(jacobians: Sequence[Array], cotangent: ArrayLike) -> Array:
    """Give the length of the gradient of a loss with respect to the signal of each layer, backpropagated.

    Args:
        jacobians: of `layer_jacobians`.
        cotangent: (N_L,), the gradient with respect to h_L.

    Returns:
        (L + 1,): |dloss / dh_l| for l = 0 ... L, so that the last is the cotangent's length.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 4 of 8, gradient_norms")


def gaussian_mean(function: Callable[[Array], Array], variance: float) -> float:
    """Integrate a function over a normal distribution of mean 0: E[function(sqrt(variance) u)], u ~ N(0, 1).

    To a relative 1e-6 for tanh, ReLU, their slopes, the squares of these, and powers to the fourth, up to a
    variance of 10. A jump at 0, as ReLU's slope has it, needs nodes that lie symmetrically around 0 and not
    on it; a tanh that looks like a step needs them closer together than Gauss-Hermite puts them.

    Args:
        function: elementwise.
        variance: >= 0.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 5 of 8, gaussian_mean")


def variance_map(q: float, sigma_w: float, sigma_b: float = 0.0, phi: Activation = TANH) -> float:
    """Give the variance of the next layer's pre-activations: sigma_w^2 E[phi(sqrt(q) u)^2] + sigma_b^2.

    Args:
        q: variance of this layer's pre-activations, >= 0.
        sigma_w, sigma_b: standard deviations as in `random_network`.
        phi: the activation between the two layers.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 6 of 8, variance_map")


def chi(q: float, sigma_w: float, phi: Activation = TANH) -> float:
    """Give the mean growth of a gradient's squared length in one layer: sigma_w^2 E[phi'(sqrt(q) u)^2].

    Args: as `variance_map`.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 7 of 8, chi")


def critical_point(q: float, phi: Activation = TANH) -> tuple[float, float]:
    """Give the initialization that keeps both: the variance q of the signal, and the length of gradients.

    Solve chi = 1 for sigma_w, and then the fixed point q = variance_map(q) for sigma_b: as q goes from 0 up,
    the pairs run along the critical line. What is negative under the last root by less than 1e-6 q is 0.

    Args:
        q: variance of the pre-activations, > 0.
        phi: the activation.

    Returns:
        (sigma_w, sigma_b).

    Raises:
        ValueError: q is not positive, or no bias can keep it, since sigma_w alone makes more; the message
            names q.
    """
    raise NotImplementedError("dynamics.discrete.signal_propagation: TODO 8 of 8, critical_point")
