"""The workloads on the reference stack."""

from __future__ import annotations

import numpy as np

from architectures.mlp import MLP
from benchmarks import sizes
from foundations.autograd import grad
from foundations.computational_graph import Tensor
from foundations.elementwise import tanh
from optimization.losses.cross_entropy import CrossEntropyLoss
from optimization.optimizers.adam import Adam


def version() -> str:
    return f"NumPy {np.__version__}"


def graph() -> sizes.Workload:
    """A chain of operations so small that only the graph costs anything."""
    x, w, b, c = (Tensor(a, requires_grad=True) for a in sizes.small_matrices())

    def run() -> None:
        y = x
        for _ in range(sizes.ROUNDS):
            y = tanh(y @ w + b) * c
        y.sum().backward()
        x.grad = w.grad = b.grad = c.grad = None

    return run


def mlp_pass() -> sizes.Workload:
    """Forward and backward through the network and its loss."""
    network, loss_of = MLP(sizes.LAYERS, rng=np.random.default_rng(0)), CrossEntropyLoss()
    pixels, labels = sizes.images()
    parameters = list(network.parameters())

    def run() -> None:
        loss_of(network(Tensor(pixels)), labels).backward()
        for parameter in parameters:
            parameter.grad = None

    return run


def mlp_step() -> sizes.Workload:
    """A training step: forward, backward and Adam."""
    network, loss_of = MLP(sizes.LAYERS, rng=np.random.default_rng(0)), CrossEntropyLoss()
    pixels, labels = sizes.images()
    optimizer = Adam(network.parameters(), lr=1e-3)

    def run() -> None:
        optimizer.zero_grad()
        loss_of(network(Tensor(pixels)), labels).backward()
        optimizer.step()

    return run


def double_backward() -> sizes.Workload:
    """The gradient of a gradient penalty: of the mean squared norm of dy/dx, with respect to all weights."""
    critic = MLP(sizes.CRITIC, activation="tanh", rng=np.random.default_rng(0))
    pixels, _ = sizes.images()
    parameters = list(critic.parameters())

    def run() -> None:
        x = Tensor(pixels, requires_grad=True)
        (slope,) = grad(critic(x).sum(), [x], create_graph=True)
        (slope * slope).sum(axis=1).mean().backward()
        for parameter in parameters:
            parameter.grad = None

    return run
