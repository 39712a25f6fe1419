"""A network and the points it is fitted to: its loss, its gradient and its curvature, as functions of theta.

Full-batch training of a tanh network on a few points is the smallest system that shows what training at large
does: it sharpens, it reaches an edge, it leaves the flow. A step takes 0.1 ms and the largest curvature 2 ms.

    L(theta) = mean of (Y(theta) - target)^2     g its gradient, H its Hessian, S the largest eigenvalue of H
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dynamics.credit.mlp_backprop import Spec, flatten, forward, init, unflatten, value_and_gradient
from dynamics.geometry.hessian_vector import hvp_rop
from dynamics.geometry.lanczos import lanczos, ritz

Array = np.ndarray
NOISE = 0.05  # standard deviation, of every weight at the start


class Sharpest(NamedTuple):
    """The largest eigenvalue of the Hessian and its vector, of length 1."""

    value: float
    vector: Array


@dataclass(frozen=True)
class Fit:
    """A tanh network with a linear output, and N points; the loss is their mean squared error."""

    spec: Spec
    X: Array  # (N, D)
    target: Array  # (N, K)

    def start(self, seed: int, gain: float = 0.7) -> tuple[Array, Array]:
        """Weights to begin with (Xavier, times the gain), and a direction to look for curvature from.

        All of them, biases too, get some noise. A tanh network without biases is an odd function; on an odd
        target descent would keep it one, until rounding errors of 1e-17 have grown in the sharpest direction.
        """
        rng = np.random.default_rng(seed)
        theta = init(self.spec, gain=gain, rng=rng) + NOISE * rng.standard_normal(self.spec.parameters)
        return theta, rng.standard_normal(self.spec.parameters)

    def outputs(self, theta: Array, X: Array | None = None) -> Array:
        """Y (N, K), at the points or at others."""
        return forward(theta, self.spec, self.X if X is None else X)[0]

    def loss(self, theta: Array) -> float:
        """L."""
        return float(np.mean((self.outputs(theta) - self.target) ** 2))

    def value_and_gradient(self, theta: Array) -> tuple[float, Array]:
        """L and g (P,)."""
        return value_and_gradient(theta, self.spec, self.X, self.target)

    def gradient(self, theta: Array) -> Array:
        """g (P,)."""
        return self.value_and_gradient(theta)[1]

    def product(self, theta: Array, v: Array) -> Array:
        """H v (P,)."""
        columns = hvp_rop(self._layers(theta), self._layers(v), self.X, self.target)
        return flatten([W.T for W, _ in columns], [b for _, b in columns])

    def hessian(self, theta: Array) -> Array:
        """H (P, P), a product for each column."""
        H = np.stack([self.product(theta, e) for e in np.eye(theta.size)])
        return (H + H.T) / 2

    def sharpness(self, theta: Array, near: Array, steps: int = 12) -> Sharpest:
        """S and its vector, by Lanczos from the direction ``near``: that of the last time is close by."""
        found = ritz(lanczos(lambda v: self.product(theta, v), near, steps))
        return Sharpest(float(found.values[-1]), found.vectors[:, -1])

    def _layers(self, theta: Array) -> list[tuple[Array, Array]]:
        """Weight (C, K) and bias of each layer."""
        weights, biases = unflatten(theta, self.spec)
        return [(W.T, b) for W, b in zip(weights, biases, strict=True)]


def chebyshev(units: int = 32, points: int = 20) -> Fit:
    """The cubic Chebyshev polynomial 4 x^3 - 3 x at equally spaced points, and a network 1-units-units-1."""
    x = np.linspace(-1.0, 1.0, points)[:, None]
    return Fit(Spec((1, units, units, 1)), x, 4 * x * x * x - 3 * x)
