"""The workloads on the reference stack."""

from __future__ import annotations

import tempfile
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np

from architectures.mlp import MLP
from architectures.resnet import resnet18
from benchmarks import sizes
from classical_ml.classification.decision_tree import DecisionTreeClassifier
from classical_ml.classification.svm import SVC
from classical_ml.clustering.gmm import GaussianMixture
from classical_ml.clustering.kmeans import KMeans
from classical_ml.reduction.tsne import TSNE
from experiments.neuroscope.config import Config
from experiments.neuroscope.engine import Trainer
from experiments.neuroscope.recorder import Recorder
from foundations.autograd import grad
from foundations.computational_graph import Tensor
from foundations.elementwise import tanh
from nn_core.activations.gelu import GELU
from nn_core.activations.relu import ReLU
from nn_core.activations.softmax import Softmax
from nn_core.conv import narrow, winograd
from nn_core.conv.conv2d import Conv2d
from nn_core.module import Module, Sequential
from nn_core.normalization.batchnorm import BatchNorm2d
from nn_core.normalization.layernorm import LayerNorm
from nn_core.pooling.avgpool import AvgPool2d
from nn_core.pooling.maxpool import MaxPool2d
from optimization.losses.cross_entropy import CrossEntropyLoss
from optimization.optimizers.adam import Adam
from optimization.optimizers.sgd import SGD

winograd.enable()  # as a program that trains convolutional networks does
narrow.enable()


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


def neuroscope() -> sizes.Workload:
    """A hundred steps of NeuroScope's default, with both eigenvalues every twenty; what it draws left out."""
    keys = {"total_steps": 100, "steps_per_frame": 100, "ntk_stride": 0}
    trainer = Trainer(Config(**keys))
    start = trainer.method.theta

    def run() -> None:
        trainer.method.theta = start
        with tempfile.TemporaryDirectory() as folder:
            with Recorder(Path(folder), trainer.history, trainer.columns) as recorder:
                for _ in trainer.train(recorder):
                    pass

    return run


def gelu() -> sizes.Workload:
    x = np.concatenate([sizes.features()] * 4, axis=2)  # (32, 64, 512): the hidden layer of a transformer
    return _both_ways(GELU("tanh"), x)


def norm_relu() -> sizes.Workload:
    return _both_ways(Sequential(BatchNorm2d(64), ReLU()), sizes.maps())


def norm_relu_last() -> sizes.Workload:
    return _both_ways(Sequential(BatchNorm2d(64), ReLU()), sizes.channels_last(64, 32))


def max_pool() -> sizes.Workload:
    return _both_ways(MaxPool2d(2), sizes.channels_last(64, 32))


def avg_pool() -> sizes.Workload:
    return _both_ways(AvgPool2d(2), sizes.channels_last(64, 32))


def _convolution(name: str) -> sizes.Workload:
    c = sizes.CONVOLUTIONS[name]
    layer = _conv2d(c)
    return _both_ways(layer, sizes.channels_last(c.channels, c.side), to_input=not c.first)


def _conv2d(c: sizes.Convolution) -> Conv2d:
    rng = np.random.default_rng(0)
    return Conv2d(c.channels, c.kernels, 3, c.stride, 1, bias=False, rng=rng)


conv_64 = partial(_convolution, "conv_64")
conv_128 = partial(_convolution, "conv_128")
conv_stride = partial(_convolution, "conv_stride")
conv_16 = partial(_convolution, "conv_16")
conv_32 = partial(_convolution, "conv_32")
conv_stem = partial(_convolution, "conv_stem")


def conv_memory() -> sizes.Workload:
    """Bytes of all arrays that are there after the forward pass and were not before, the input included."""
    c = sizes.CONVOLUTIONS["conv_64"]
    layer = _conv2d(c)

    def run() -> float:
        tracemalloc.start()
        y = layer(Tensor(sizes.channels_last(c.channels, c.side), requires_grad=True))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del y
        return float(held)

    return run


def _resnet(name: str) -> sizes.Workload:
    """A training step of ResNet-18 with the CIFAR stem: forward, backward, SGD with momentum."""
    rng = np.random.default_rng(0)
    network = resnet18(sizes.CLASSES, width=sizes.RESNETS[name], stem="cifar", rng=rng)
    loss_of, optimizer = CrossEntropyLoss(), SGD(network.parameters(), lr=0.01, momentum=0.9)
    pixels, labels = sizes.colours()

    def run() -> None:
        optimizer.zero_grad()
        loss_of(network(Tensor(pixels)), labels).backward()
        optimizer.step()

    return run


resnet_64 = partial(_resnet, "resnet_64")
resnet_16 = partial(_resnet, "resnet_16")


def softmax() -> sizes.Workload:
    return _both_ways(Softmax(-1), sizes.features())


def layernorm() -> sizes.Workload:
    return _both_ways(LayerNorm(128), sizes.features())


def _both_ways(layer: Module, x: np.ndarray, *, to_input: bool = True) -> sizes.Workload:
    """Forward, and backward to the input, unless nobody asks for that, and the parameters."""
    cotangent = np.ones_like(layer(Tensor(x)).data)
    parameters = list(layer.parameters())

    def run() -> None:
        layer(Tensor(x, requires_grad=to_input)).backward(cotangent)
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
