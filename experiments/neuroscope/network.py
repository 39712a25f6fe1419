r"""A multi-layer perceptron with the derivatives of its outputs by its inputs, and one backward pass for all.

    forward     z = h W^T + b      z_d = h_d W^T                z_L = h_L W^T
                h' = phi(z)        h'_d = phi'(z) z_d           h'_L = phi'(z) z_L + phi''(z) q
                q = sum_d c_d z_d^2,  h_d = dh/dx_d,  h_L = sum_d c_d d^2h/dx_d^2

    backward    for cotangents g, g_d, g_L of h', h'_d, h'_L
                of z        phi' g + phi'' sum_d z_d g_d + (phi'' z_L + phi''' q) g_L
                of z_d      phi' g_d + 2 c_d phi'' z_d g_L
                of z_L      phi' g_L

So a loss may ask for u, grad u and a second derivative, as a differential equation does, and its gradient by
theta costs one pass back. The second derivative of everything by theta comes from `dual`.

The derivatives travel as streams beside the value: nothing here is anything but products and sums of arrays,
written with NumPy's functions, which hand arrays of other libraries on to these.

Shapes   N points, D inputs, K outputs; value (N, K), gradient (D, N, K), second (N, K); theta (P,).
Source   Li et al. 2023, "Forward Laplacian", arXiv:2307.08214, sec. 3 (forward); the backward pass: own
         derivation, the chain rule on the three lines above.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import pi, sqrt
from typing import NamedTuple, TypeAlias

import numpy as np

from dynamics.credit.mlp_backprop import ACTIVATIONS, Spec, unflatten
from experiments.neuroscope.dual import Dual, concatenate, value
from nn_core.activations.gelu import normal_cdf

Array: TypeAlias = np.ndarray
Number: TypeAlias = Dual | Array


def _tanh(z: Array, order: int) -> list[Array]:
    y = np.tanh(z)
    p = 1 - y * y
    found = [y, p]
    if order > 1:
        found.append(-2 * y * p)
    if order > 2:
        found.append(p * (6 * y * y - 2))
    if order > 3:
        found.append(y * p * (16 - 24 * y * y))
    return found[: order + 1]


def _relu(z: Array, order: int) -> list[Array]:
    on = np.where(z > 0, 1.0, 0.0)
    return [z * on, on, *[np.zeros_like(z)] * (order - 1)][: order + 1]


def _sine(z: Array, order: int) -> list[Array]:
    s, c = np.sin(z), np.cos(z)
    return [s, c, -s, -c, s][: order + 1]


def _logistic(z: Array, order: int) -> list[Array]:
    """The derivatives of softplus from the first on: those of 1 / (1 + e^-z)."""
    s = (1 + np.tanh(z / 2)) / 2
    p = s * (1 - s)
    q = p * (1 - 2 * s)
    return [s, p, q, q * (1 - 2 * s) - 2 * p * p, p * (1 - 2 * s) * (1 - 12 * p)][: order + 1]


def _softplus(z: Array, order: int) -> list[Array]:
    return [np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))), *_logistic(z, order - 1)][: order + 1]


def _gelu(z: Array, order: int) -> list[Array]:
    cdf, square = normal_cdf(z), z * z
    density = np.exp(-square / 2) / sqrt(2 * pi)
    found = [z * cdf, cdf + z * density]
    if order > 1:
        found.append(density * (2 - square))
    if order > 2:
        found.append(density * z * (square - 4))
    if order > 3:
        found.append(density * (square * (7 - square) - 4))
    return found[: order + 1]


# name: from z, the activation and its derivatives up to an order of at most 4
DERIVATIVES: dict[str, Callable[[Array, int], list[Array]]] = {
    "tanh": _tanh,
    "relu": _relu,
    "gelu": _gelu,
    "sin": _sine,
    "softplus": _softplus,
    "sigmoid": _logistic,
}
for _name, _rule in DERIVATIVES.items():  # the course's networks take these names, too
    ACTIVATIONS.setdefault(_name, (lambda z, rule=_rule: rule(z, 0)[0], lambda z, rule=_rule: rule(z, 1)[1]))


class Jet(NamedTuple):
    """A function at N points, and its derivatives there as far as they were asked for."""

    value: Number  # (N, K)
    gradient: Number | None = None  # (D, N, K)
    second: Number | None = None  # (N, K)


class Layer(NamedTuple):
    """What a layer leaves for the backward pass: its inputs, and z with its activation's derivatives."""

    inputs: Jet
    z: Jet | None  # None at the output, which has no activation
    phi: list[Number]


def derivatives(name: str, z: Number, order: int) -> list[Number]:
    """Give phi(z) and its derivatives up to ``order``, at most 3 for a Dual, with their tangents."""
    if not isinstance(z, Dual):
        return list(DERIVATIVES[name](z, order))
    found = DERIVATIVES[name](z.value, order + 1)
    return [Dual(f, slope * z.tangent) for f, slope in pairwise(found)]


def forward(theta: Number, spec: Spec, inputs: Jet, operator: Array | None = None) -> tuple[Jet, list[Layer]]:
    """Send points, and their derivatives, through the network.

    Args:
        theta: (P,).
        spec: the network; linear outputs, biases.
        inputs: of the coordinates themselves, see `coordinates`.
        operator: (D, 1, 1), c; needed where second derivatives are.

    Returns:
        The jet of the outputs, with the streams that ``inputs`` has, and what `backward` needs.
    """
    weights, biases = unflatten(theta, spec)  # type: ignore[arg-type]
    h, tape = inputs, []
    for i, (W, b) in enumerate(zip(weights, biases, strict=True)):
        into = W.T
        z = Jet(h.value @ into + b, *(None if stream is None else stream @ into for stream in h[1:]))
        if i == len(weights) - 1:
            tape.append(Layer(h, None, []))
            return z, tape
        phi = derivatives(spec.hidden, z.value, 1 + (z.gradient is not None) + (z.second is not None))
        tape.append(Layer(h, z, phi))
        gradient = None if z.gradient is None else phi[1] * z.gradient
        second = None if z.second is None else phi[1] * z.second + phi[2] * _squares(z, operator)
        h = Jet(phi[0], gradient, second)
    raise AssertionError("a network has a layer")


def backward(
    theta: Number, spec: Spec, tape: list[Layer], cotangent: Jet, operator: Array | None = None
) -> Number:
    """Send the gradient of a loss by the outputs, and by their derivatives, back to theta.

    Args:
        theta, spec, operator: as in the forward pass.
        tape: of that pass.
        cotangent: dL/d of each stream, in its shape; None for a stream that the loss has not.

    Returns:
        dL/dtheta, (P,).
    """
    weights, _ = unflatten(theta, spec)  # type: ignore[arg-type]
    parts: list[Number] = []
    g = cotangent
    for i, (inputs, z, phi) in reversed(list(enumerate(tape))):
        if z is not None:
            g = _through(z, phi, g, operator)
        by_weight = [
            into.T @ stream
            for into, stream in zip(_rows(g), _rows(inputs), strict=True)
            if into is not None and stream is not None
        ]
        parts += [g.value.sum(0), sum(by_weight[1:], start=by_weight[0])]
        if i:
            g = Jet(*(None if stream is None else stream @ weights[i] for stream in g))
    return concatenate(parts[::-1])


def coordinates(X: Array, order: int) -> Jet:
    """Begin: the jet of the coordinates of points X (N, D), with derivatives up to ``order``, 0 to 2."""
    if order == 0:
        return Jet(X)
    n, d = X.shape
    gradient = np.zeros_like(X, shape=(d, n, d))
    for i in range(d):
        gradient[i, :, i] = 1.0
    return Jet(X, gradient, np.zeros_like(X) if order > 1 else None)


def _through(z: Jet, phi: list[Number], g: Jet, operator: Array | None) -> Jet:
    """The cotangents of z from those of phi(z): the last three lines of this file's formulas."""
    of_value = phi[1] * g.value
    of_gradient = None
    if g.gradient is not None:
        of_gradient = phi[1] * g.gradient
        of_value = of_value + phi[2] * (z.gradient * g.gradient).sum(0)  # type: ignore[operator]
    if g.second is None:
        return Jet(of_value, of_gradient)
    of_value = of_value + (phi[2] * z.second + phi[3] * _squares(z, operator)) * g.second
    bent = operator * (z.gradient * (2 * phi[2] * g.second))  # type: ignore[operator]
    return Jet(of_value, bent if of_gradient is None else of_gradient + bent, phi[1] * g.second)


def _squares(z: Jet, operator: Array | None) -> Number:
    """The q of this file, (N, K): the sum over d of c_d z_d^2."""
    return (operator * (z.gradient * z.gradient)).sum(0)  # type: ignore[operator]


def _rows(jet: Jet) -> list[Number | None]:
    """The streams of a jet as matrices of equal width, those by each coordinate below each other."""
    gradient = jet.gradient
    if gradient is not None:
        gradient = gradient.reshape(-1, gradient.shape[-1])
    return [jet.value, gradient, jet.second]


def output(theta: Array, spec: Spec, X: Array) -> Array:
    """The network's outputs (N, K) at X (N, D)."""
    return value(forward(theta, spec, Jet(X))[0].value)
