r"""Backpropagation by hand: the gradient of a multi-layer perceptron, a product of Jacobians from the left.

    forward     z_l = h_(l-1) W_l^T + b_l      h_l = phi_l(z_l)                        h_0 = X, Y = h_L
    Jacobian    dY/dX = J_L ... J_2 J_1        J_l = diag(phi_l'(z_l)) W_l             for each sample
    backward    delta_l = dL/dh_l * phi_l'(z_l)         dL/dh_(l-1) = delta_l W_l
                dL/dW_l = delta_l^T h_(l-1)             dL/db_l = sum over the samples of delta_l

For the gradient the product is never formed: beginning at the loss, which is one number, each factor meets a
vector per sample, and a layer costs two products of matrices where the forward pass costs one.

All parameters live in one flat vector theta, W_1 by rows, b_1, W_2, b_2, ..., W_L, b_L: what works on vectors
(an optimizer, a differential equation, a Hessian) works on networks.

Shapes   sizes N_0 ... N_L; X (N, N_0), h_l and z_l (N, N_l), W_l (N_l, N_(l-1)), b_l (N_l,), theta (P,).
Source   Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors", Nature 323;
         Goodfellow, Bengio & Courville 2016, Deep Learning, algorithms 6.3 and 6.4, sec. 6.1 (XOR);
         Glorot & Bengio 2010, eq. 12; He et al. 2015, arXiv:1502.01852, eq. 10 (initialization).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from nn_core.initialization import orthogonal, xavier_normal

Array = np.ndarray
Function = Callable[[Array], Array]


def sigmoid(z: Array) -> Array:
    """1 / (1 + e^-z)."""
    e = np.exp(-np.abs(z))  # e^-z overflows below -709
    return np.where(z < 0, e, 1.0) / (1 + e)


# name: the function and its slope, both of the pre-activation z
ACTIVATIONS: dict[str, tuple[Function, Function]] = {
    "linear": (lambda z: z, np.ones_like),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * sigmoid(-z)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
}
SCHEMES = ("xavier", "kaiming", "orthogonal", "normal")


@dataclass(frozen=True)
class Spec:
    """What an MLP is, its parameters aside.

    Attributes:
        sizes: N_0, N_1, ..., N_L, each at least 1.
        hidden: activation of layers 1 ... L - 1, a name of ``ACTIVATIONS``.
        output: activation of layer L.
        bias: whether the layers have biases; without, they have no place in theta.

    Raises:
        ValueError: fewer than two sizes, one below 1, or an activation that is not in ``ACTIVATIONS``.
    """

    sizes: tuple[int, ...]
    hidden: str = "tanh"
    output: str = "linear"
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        if len(self.sizes) < 2 or min(self.sizes) < 1:
            raise ValueError(f"sizes must hold an input and an output, each at least 1, got {self.sizes}")
        for name in (self.hidden, self.output):
            if name not in ACTIVATIONS:
                raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {name!r}")

    @property
    def parameters(self) -> int:
        """P, the length of theta."""
        return sum(fan_out * (fan_in + self.bias) for fan_in, fan_out in pairwise(self.sizes))

    @property
    def activations(self) -> list[tuple[Function, Function]]:
        """Function and slope of each layer, L pairs."""
        return [ACTIVATIONS[self.hidden]] * (len(self.sizes) - 2) + [ACTIVATIONS[self.output]]


class Cache(NamedTuple):
    """What a forward pass leaves for the backward pass."""

    signals: list[Array]  # h_0 ... h_L
    pre: list[Array]  # z_1 ... z_L


def flatten(weights: Sequence[Array], biases: Sequence[Array] = ()) -> Array:
    """Lay parameters, or gradients of them, in one new vector: W_1 by rows, b_1, W_2, b_2, ..., W_L, b_L.

    Args:
        weights: L matrices.
        biases: L vectors, or none for a network without biases.

    Returns:
        (P,), float64.

    Raises:
        ValueError: the numbers of weights and of biases differ and there are biases; the message names both.
    """
    if len(biases) not in (0, len(weights)):
        raise ValueError(f"got {len(weights)} weights and {len(biases)} biases: one bias each, or none")
    parts: list[Array] = []
    for i, W in enumerate(weights):
        parts += [np.ravel(W), *([np.ravel(biases[i])] if len(biases) else [])]
    return np.concatenate(parts).astype(np.float64)


def unflatten(theta: Array, spec: Spec) -> tuple[list[Array], list[Array]]:
    """Find the weights and biases in theta: the inverse of `flatten`.

    Args:
        theta: (P,).
        spec: the network.

    Returns:
        L weights (N_l, N_(l-1)) and L biases (N_l,), or no biases if the network has none: views of theta.

    Raises:
        ValueError: theta has another shape than (P,); the message names its shape and P.
    """
    if theta.shape != (spec.parameters,):
        raise ValueError(
            f"theta has shape {theta.shape}, expected ({spec.parameters},) for sizes {spec.sizes}"
        )
    weights, biases, at = [], [], 0
    for fan_in, fan_out in pairwise(spec.sizes):
        weights.append(theta[at : at + fan_out * fan_in].reshape(fan_out, fan_in))
        at += fan_out * fan_in
        if spec.bias:
            biases.append(theta[at : at + fan_out])
            at += fan_out
    return weights, biases


def init(spec: Spec, scheme: str = "xavier", gain: float = 1.0, *, rng: np.random.Generator) -> Array:
    """Draw parameters: random weights of mean 0, and biases of 0.

    Args:
        spec: the network.
        scheme: the standard deviation of independent normal weights, "xavier": gain sqrt(2 / (fan_in +
            fan_out)), "kaiming": gain / sqrt(fan_in), "normal": gain; or "orthogonal": a random matrix with
            orthonormal rows or columns, whichever are fewer, times gain. `nn_core.initialization` has two of
            them, in float32 unless told ``dtype=np.float64``.
        gain: factor; sqrt(2) fits ReLU under "kaiming".
        rng: where the numbers come from.

    Returns:
        theta (P,), float64, with all its digits.

    Raises:
        ValueError: the scheme is unknown; the message names it and the four.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"scheme must be one of {', '.join(SCHEMES)}, got {scheme!r}")
    theta = np.zeros(spec.parameters)
    for W in unflatten(theta, spec)[0]:
        if scheme == "xavier":
            W[:] = xavier_normal(W.shape, gain, rng=rng, dtype=np.float64)
        elif scheme == "orthogonal":
            W[:] = orthogonal(W.shape, gain, rng=rng, dtype=np.float64)
        else:
            W[:] = rng.normal(0.0, gain / sqrt(W.shape[1]) if scheme == "kaiming" else gain, W.shape)
    return theta


def forward(theta: Array, spec: Spec, X: ArrayLike) -> tuple[Array, Cache]:
    """Send samples through the network.

    Args:
        theta: (P,).
        spec: the network.
        X: (N, N_0).

    Returns:
        Y (N, N_L), and the signals h_0 ... h_L and pre-activations z_1 ... z_L of this pass.

    Raises:
        ValueError: theta as for `unflatten`; X is not (N, N_0): the message names its shape and N_0.
    """
    h = np.asarray(X, np.float64)
    if h.ndim != 2 or h.shape[1] != spec.sizes[0]:
        raise ValueError(f"X has shape {h.shape}, expected (N, {spec.sizes[0]})")
    weights, biases = unflatten(theta, spec)
    signals, pre = [h], []
    for i, (phi, _) in enumerate(spec.activations):
        z = signals[-1] @ weights[i].T  # (N, N_l)
        pre.append(z + biases[i] if spec.bias else z)
        signals.append(phi(pre[-1]))
    return signals[-1], Cache(signals, pre)


def backward(theta: Array, spec: Spec, cache: Cache, dY: ArrayLike) -> tuple[Array, Array]:
    """Send the gradient of a loss back from the outputs to the parameters and the inputs.

    Args:
        theta: (P,), as in the forward pass.
        spec: the network.
        cache: of `forward`; it is left as it is, so that it serves any number of backward passes.
        dY: dL/dY, (N, N_L), of a loss that may mix the samples in any way. A loss that is a mean over the
            samples has its 1 / N in here: the backward pass only adds.

    Returns:
        dL/dtheta (P,), in the order of theta, and dL/dX (N, N_0).

    Raises:
        ValueError: dY has another shape than Y; the message names both.
    """
    g = np.asarray(dY, np.float64)
    if g.shape != cache.signals[-1].shape:
        raise ValueError(f"dY has shape {g.shape}, but the outputs have {cache.signals[-1].shape}")
    weights, _ = unflatten(theta, spec)
    by_weights, by_biases = [], []
    for i in reversed(range(len(weights))):
        delta = g * spec.activations[i][1](cache.pre[i])  # (N, N_l)
        by_weights.append(delta.T @ cache.signals[i])  # (N_l, N_(l-1))
        by_biases.append(delta.sum(0))
        g = delta @ weights[i]  # (N, N_(l-1))
    return flatten(by_weights[::-1], by_biases[::-1] if spec.bias else ()), g


def input_jacobian(theta: Array, spec: Spec, cache: Cache) -> Array:
    """Multiply the Jacobians of the layers, J_L ... J_1 with J_l = diag(phi_l'(z_l)) W_l, for each sample.

    Args:
        theta: (P,), as in the forward pass.
        spec: the network.
        cache: of `forward` of N samples.

    Returns:
        dY/dX, (N, N_L, N_0): [n, k, d] is the derivative of output k of sample n by its input d.
    """
    weights, _ = unflatten(theta, spec)
    layers = zip(spec.activations, weights, cache.pre, strict=True)
    product, *rest = [slope(z)[:, :, None] * W for (_, slope), W, z in layers]  # each (N, N_l, N_(l-1))
    for J in rest:
        product = J @ product  # (N, N_l, N_0)
    return product


def mean_squared_error(Y: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Give the mean of (Y - target)^2 over all samples and outputs, without 1/2, and its gradient by Y.

    Args:
        Y, target: (N, N_L).

    Returns:
        The mean, and (N, N_L): 2 (Y - target) / (N N_L).

    Raises:
        ValueError: the shapes differ; the message names both.
    """
    Y, target = np.asarray(Y, np.float64), np.asarray(target, np.float64)
    if Y.shape != target.shape:
        raise ValueError(f"outputs {Y.shape} and target {target.shape} must have the same shape")
    error = Y - target
    return float(np.mean(error**2)), 2 * error / error.size


def value_and_gradient(theta: Array, spec: Spec, X: ArrayLike, target: ArrayLike) -> tuple[float, Array]:
    """Give the mean squared error of the network's outputs and its gradient by theta, (P,)."""
    Y, cache = forward(theta, spec, X)
    value, dY = mean_squared_error(Y, target)
    return value, backward(theta, spec, cache, dY)[0]
