"""The workloads on the reference stack."""

from __future__ import annotations

import numpy as np

from architectures.mlp import MLP
from benchmarks import sizes
from classical_ml.classification.decision_tree import DecisionTreeClassifier
from classical_ml.classification.svm import SVC
from classical_ml.clustering.gmm import GaussianMixture
from classical_ml.clustering.kmeans import KMeans
from classical_ml.reduction.tsne import TSNE
from foundations.autograd import grad
from foundations.computational_graph import Tensor
from foundations.elementwise import tanh
from nn_core.activations.gelu import GELU
from nn_core.activations.relu import ReLU
from nn_core.activations.softmax import Softmax
from nn_core.module import Module, Sequential
from nn_core.normalization.batchnorm import BatchNorm2d
from nn_core.normalization.layernorm import LayerNorm
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


def gelu() -> sizes.Workload:
    x = np.concatenate([sizes.features()] * 4, axis=2)  # (32, 64, 512): the hidden layer of a transformer
    return _both_ways(GELU("tanh"), x)


def norm_relu() -> sizes.Workload:
    return _both_ways(Sequential(BatchNorm2d(64), ReLU()), sizes.maps())


def softmax() -> sizes.Workload:
    return _both_ways(Softmax(-1), sizes.features())


def layernorm() -> sizes.Workload:
    return _both_ways(LayerNorm(128), sizes.features())


def _both_ways(layer: Module, x: np.ndarray) -> sizes.Workload:
    """Forward, and backward to the input and the parameters."""
    cotangent = np.ones_like(x)
    parameters = list(layer.parameters())

    def run() -> None:
        layer(Tensor(x, requires_grad=True)).backward(cotangent)
        for parameter in parameters:
            parameter.grad = None

    return run


def kmeans() -> sizes.Workload:
    X = sizes.blobs(10_000, 20, 10, 6.0).astype(np.float32)
    return lambda: KMeans(10, init=X[:10], n_init=1, max_iter=50, tol=0.0).fit(X)


def gmm() -> sizes.Workload:
    X, settings = sizes.mixture()
    return lambda: GaussianMixture(**settings).fit(X)


def cart() -> sizes.Workload:
    X, y = sizes.two_classes(5_000, 20)
    X = X.astype(np.float32)
    return lambda: DecisionTreeClassifier().fit(X, y)


def smo() -> sizes.Workload:
    X, y = sizes.two_classes(1_000, 20)
    return lambda: SVC(C=1.0, gamma=1 / 20).fit(X, y)


def tsne() -> sizes.Workload:
    X = sizes.blobs(1_000, 20, 10, 1.0)
    model = {"init": "random", "learning_rate": 50.0, "max_iter": 250}
    return lambda: TSNE(**model, rng=np.random.default_rng(0)).fit(X)
