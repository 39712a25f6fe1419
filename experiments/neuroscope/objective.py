r"""The loss: samples, a penalty, an equation and its boundary, with its gradient and Hessian by theta.

    L = w_d mean c(u(x_i) - y_i)  +  w_2 |theta|^2  +  w_r mean |N[u] - g|^2  +  w_b mean |B[u] - h|^2

    poisson    Laplacian u                     dirichlet   u
    helmholtz  Laplacian u + k^2 u             neumann     du/dn
    heat       u_t - k u_xx                    robin       k u + du/dn
                                               periodic    u and du/dx, differences of opposite points

Every N and B is linear in u, its slopes and a sum of second derivatives: so each is a row of coefficients,
and its cotangents are these times that of the residual.

Shapes   N points, D inputs; theta (P,); streams as in `network`.
Source   Raissi, Perdikaris & Karniadakis 2019, "Physics-informed neural networks", J. Comp. Phys. 378,
         sec. 3; Huber 1964, "Robust estimation of a location parameter", Ann. Math. Statist. 35, 73.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np

from dynamics.approximation.pinn import collocation
from dynamics.credit.mlp_backprop import Spec
from experiments.neuroscope.config import Config, ConfigError
from experiments.neuroscope.devices import Device
from experiments.neuroscope.dual import Dual, piecewise, value
from experiments.neuroscope.expression import parse
from experiments.neuroscope.network import Jet, Number, backward, coordinates, forward
from experiments.neuroscope.targets import Data, call

Array: TypeAlias = np.ndarray
SIDE = 40  # points along each side of a box, for its condition


class Term(NamedTuple):
    """Points, and what u and its derivatives shall add up to there; all on the device."""

    name: str  # the part of the loss: "residual" or "boundary"
    weight: float
    inputs: Jet  # the coordinates, with as many derivatives as are needed
    operator: Array | None  # (D, 1, 1), of the second derivative
    of_value: float
    of_gradient: Array | None  # (D, N, 1)
    of_second: float
    wanted: Array  # (N, 1)
    differ: Array | None = None  # (N / 2, N): what has to be 0 are differences of opposite points


class Objective:
    """The loss of a run as a function of theta.

    Args:
        config: of the run.
        spec: the network.
        data: the samples.
        device: where it is computed.

    Raises:
        ConfigError: the equation's or the boundary's values are not finite.
    """

    def __init__(self, config: Config, spec: Spec, data: Data, device: Device):
        self.config, self.spec, self.device = config, spec, device
        self.X, self.y = device.put(data.X), device.put(data.y[:, None])
        host = ([_equation(config, data)] if config.pde else []) + _conditions(config, data)
        self.terms = [self._put(term) for term in host]

    def parts(self, theta: Array, batch: Array | None = None) -> dict[str, float]:
        """The loss and its parts, weights included: "loss", and of "data", "penalty", ... what it has."""
        return self.value_and_gradient(theta, batch)[0]

    def gradient(self, theta: Array) -> Array:
        """The gradient of the loss of all samples by theta, (P,)."""
        return self.value_and_gradient(theta)[1]

    def value_and_gradient(self, theta: Array, batch: Array | None = None) -> tuple[dict[str, float], Array]:
        """The parts of the loss, and its gradient (P,).

        Args:
            theta: (P,), an array of NumPy's.
            batch: (B,), which samples; None: all.
        """
        parts, gradient = self._evaluate(self.device.put(theta), batch)
        return {"loss": sum(parts.values()), **parts}, self.device.get(gradient)  # type: ignore[arg-type]

    def product(self, theta: Array, v: Array) -> Array:
        """The Hessian of the loss of all samples at theta, times v: (P,)."""
        _, gradient = self._evaluate(Dual(self.device.put(theta), self.device.put(v)), None)
        return self.device.get(gradient.tangent)  # type: ignore[union-attr]

    def _evaluate(self, theta: Number, batch: Array | None) -> tuple[dict[str, float], Number]:
        config, parts = self.config, {}
        total: Number = 0.0 * theta
        if config.data_weight:
            X, y = (self.X, self.y) if batch is None else (self.X[batch], self.y[batch])
            u, tape = forward(theta, self.spec, Jet(X))
            mean, by_u = criterion(config.criterion_name, u.value - y, config.huber_delta)
            parts["data"] = config.data_weight * mean
            total = total + backward(theta, self.spec, tape, Jet(config.data_weight * by_u))
        if config.l2_weight:
            parts["penalty"] = config.l2_weight * float((value(theta) ** 2).sum())
            total = total + 2 * config.l2_weight * theta
        for term in self.terms:
            square, gradient = self._square(theta, term)
            parts[term.name] = parts.get(term.name, 0.0) + square
            total = total + gradient
        return parts, total

    def _square(self, theta: Number, term: Term) -> tuple[float, Number]:
        """The weighted mean square of what a term leaves, and its gradient."""
        u, tape = forward(theta, self.spec, term.inputs, term.operator)
        r: Number = term.of_value * u.value - term.wanted
        if term.of_gradient is not None:
            r = r + (term.of_gradient * u.gradient).sum(0)  # type: ignore[operator]
        if term.of_second:
            r = r + term.of_second * u.second  # type: ignore[operator]
        if term.differ is not None:
            r = term.differ @ r
        n = r.shape[0]
        g = (2 * term.weight / n) * r
        if term.differ is not None:
            g = term.differ.T @ g
        cotangent = Jet(
            term.of_value * g,
            None if term.of_gradient is None else term.of_gradient * g,
            None if not term.of_second else term.of_second * g,
        )
        square = term.weight / n * float((value(r) ** 2).sum())
        return square, backward(theta, self.spec, tape, cotangent, term.operator)

    def _put(self, term: Term) -> Term:
        put = self.device.put
        there = {k: None if getattr(term, k) is None else put(getattr(term, k))
                 for k in ("operator", "of_gradient", "wanted", "differ")}  # fmt: skip
        return term._replace(inputs=Jet(*(None if s is None else put(s) for s in term.inputs)), **there)


def criterion(name: str, r: Number, delta: float) -> tuple[float, Number]:
    """The mean of a function of the errors, and its gradient by them.

    mse r^2; l1 |r|; huber r^2 / 2 up to |r| = delta, and delta (|r| - delta / 2) from there.

    Args:
        name: "mse", "l1" or "huber".
        r: (N, 1).
        delta: of huber.

    Returns:
        The mean over all N, and (N, 1).
    """
    errors, n = value(r), r.shape[0]
    if name == "mse":
        return float((errors * errors).sum()) / n, (2 / n) * r
    size = np.abs(errors)
    if name == "l1":
        return float(size.sum()) / n, (1 / n) * piecewise(r, np.sign, np.zeros_like)
    bent = np.where(size <= delta, errors * errors / 2, delta * (size - delta / 2))
    slope = piecewise(
        r,
        lambda e: np.minimum(np.maximum(e, -delta), delta),
        lambda e: np.where(np.abs(e) <= delta, 1.0, 0.0),
    )
    return float(bent.sum()) / n, (1 / n) * slope


def _equation(config: Config, data: Data) -> Term:
    """The residual of the equation at points inside."""
    inputs = config.input_dim
    low, high = data.box[:, 0].copy(), data.box[:, 1].copy()
    if config.colloc_min is not None:
        low[:], high[:] = config.colloc_min, config.colloc_max
    count = config.n_collocation or (200 if inputs == 1 else 20)
    if config.collocation == "uniform" and count < 2:
        raise ConfigError(f"n_collocation must be at least 2 for uniform points, got {count}")
    rng = np.random.default_rng([config.seed, 1])
    total = count**inputs if config.collocation == "random" else count
    X = collocation(config.collocation, total, low, high, rng=rng)
    operator, of_gradient, of_value, of_second = np.ones((inputs, 1, 1)), None, 0.0, 1.0
    if config.pde == "helmholtz":
        of_value = config.helmholtz_k**2
    elif config.pde == "heat":  # u_t - k u_xx
        operator = np.array([1.0, 0.0])[:, None, None]
        of_gradient = np.broadcast_to(np.array([0.0, 1.0])[:, None, None], (2, len(X), 1))
        of_second = -config.diffusivity
    wanted = _values(config.rhs, X, "rhs")
    return Term(
        "residual", config.pde_weight, coordinates(X, 2), operator, of_value, of_gradient, of_second, wanted
    )


def _conditions(config: Config, data: Data) -> list[Term]:
    """What is prescribed at the boundary of the box; for heat at the ends of x, and u at the first time."""
    if not config.bc:
        return []
    sides = _sides(config, data.box)
    terms = [term for X, normal in sides for term in _condition(config, config.bc, X, normal, data)]
    if config.pde == "heat":
        (low, high), time = data.box[0], data.box[1, 0]
        X = np.column_stack([np.linspace(low, high, SIDE), np.full(SIDE, time)])
        first = config.bc_values if config.bc == "dirichlet" else "target"  # theirs is a slope, not a state
        terms += _condition(config, "dirichlet", X, np.zeros_like(X), data, first)
    share = config.bc_weight / len(terms)  # the mean over all sides
    return [term._replace(weight=share) for term in terms]


def _sides(config: Config, box: Array) -> list[tuple[Array, Array]]:
    """For each input that has a condition: points (2 n, D) at its two ends, and the normals outward."""
    if len(box) == 1:
        return [(box.T.copy(), np.array([[-1.0], [1.0]]))]
    found = []
    for d in [0] if config.pde == "heat" else [0, 1]:
        along = np.linspace(*box[1 - d], SIDE)
        X, normal = np.empty((2 * SIDE, 2)), np.zeros((2 * SIDE, 2))
        X[:, d] = np.repeat(box[d], SIDE)
        X[:, 1 - d] = np.tile(along, 2)
        normal[:, d] = np.repeat([-1.0, 1.0], SIDE)
        found.append((X, normal))
    return found


def _condition(
    config: Config, kind: str, X: Array, normal: Array, data: Data, values: str = ""
) -> list[Term]:
    """One condition at points X with normals, as terms of weight 1."""
    of_gradient, values = normal.T[:, :, None], values or config.bc_values
    if kind == "periodic":
        half = np.eye(len(X) // 2)
        blank, differ = np.zeros((len(X), 1)), np.concatenate([half, -half], axis=1)
        slopes = np.abs(of_gradient)  # in the same direction at both ends
        return [
            Term("boundary", 1.0, Jet(X), None, 1.0, None, 0.0, blank, differ),
            Term("boundary", 1.0, coordinates(X, 1), None, 0.0, slopes, 0.0, blank, differ),
        ]
    if values == "target":
        if data.function is None:
            raise ConfigError(
                "bc_values: the points of a file say nothing about the boundary: give a formula"
            )
        wanted = call(data.function, X, data.label)[:, None]
    else:
        wanted = _values(values, X, "bc_values")
    if not np.isfinite(wanted).all():
        raise ConfigError(f"bc_values: the target {data.label} is not finite at the boundary: give a formula")
    if kind == "dirichlet":
        return [Term("boundary", 1.0, Jet(X), None, 1.0, None, 0.0, wanted)]
    of_value = config.robin_k if kind == "robin" else 0.0
    return [Term("boundary", 1.0, coordinates(X, 1), None, of_value, of_gradient, 0.0, wanted)]


def _values(text: str, X: Array, key: str) -> Array:
    """A formula, or "zero", at points: (N, 1)."""
    if text == "zero":
        return np.zeros((len(X), 1))
    found = parse(text, X.shape[1])(X)[:, None]
    if not np.isfinite(found).all():
        raise ConfigError(f"{key}: {text} is not finite everywhere in the range")
    return found
