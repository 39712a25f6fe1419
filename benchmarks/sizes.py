"""What all stacks compute on: the same shapes, the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Workload = Callable[[], object]  # a number that it returns stands in for the time that it took

ROUNDS = 25  # of four operations each
OPERATIONS = 4 * ROUNDS + 1
LAYERS = (784, 256, 128, 10)
CRITIC = (784, 256, 128, 1)
BATCH = 128
IMAGES = 64  # in a batch
CLASSES = 10


@dataclass(frozen=True)
class Convolution:
    """3x3, padded by 1, without bias, on square images."""

    channels: int
    kernels: int
    side: int  # pixels
    stride: int = 1
    first: bool = False  # of a network: nobody asks for the gradient in the image

    def flops(self) -> float:
        """Of one batch: a multiplication and an addition, forward, for dL/dW and, unless first, dL/dx."""
        places = IMAGES * (self.side // self.stride) ** 2
        return (2 if self.first else 3) * 2.0 * places * 9 * self.channels * self.kernels


CONVOLUTIONS = {
    "conv_64": Convolution(64, 64, 32),
    "conv_128": Convolution(128, 128, 16),
    "conv_stride": Convolution(64, 128, 32, stride=2),
    "conv_16": Convolution(16, 16, 32),
    "conv_32": Convolution(32, 32, 16),
    "conv_stem": Convolution(3, 64, 32, first=True),
}
RESNETS = {"resnet_64": 64, "resnet_16": 16}  # width: channels of the first stage


def small_matrices() -> list[np.ndarray]:
    """Four (4, 4) float32 matrices."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((4, 4), np.float32) / 2 for _ in range(4)]


def images() -> tuple[np.ndarray, np.ndarray]:
    """A batch of (N, 784) float32 pixels and (N,) int64 labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, LAYERS[0]), np.float32), rng.integers(0, LAYERS[-1], BATCH)


def features() -> np.ndarray:
    """(32, 64, 128) float32: a batch of 32 sequences of 64 vectors, as a small transformer has them."""
    return np.random.default_rng(0).standard_normal((32, 64, 128), np.float32)


def maps() -> np.ndarray:
    """(64, 64, 32, 32) float32: 64 images of 64 channels, as an early layer of a ResNet has them."""
    return np.random.default_rng(0).standard_normal((64, 64, 32, 32), np.float32)


def channels_last(channels: int, side: int) -> np.ndarray:
    """(64, C, side, side) float32 over memory (64, side, side, C), as convolutions like it best."""
    x = np.random.default_rng(0).standard_normal((IMAGES, side, side, channels), np.float32)
    return x.transpose(0, 3, 1, 2)


def colours() -> tuple[np.ndarray, np.ndarray]:
    """A batch of (64, 3, 32, 32) float32 images, channels last in memory, and (64,) int64 labels."""
    return channels_last(3, 32), np.random.default_rng(0).integers(0, CLASSES, IMAGES)


def blobs(n: int, d: int, groups: int, spread: float) -> np.ndarray:
    """(n, d) float64: clouds of standard deviation ``spread`` around centres uniform in [-10, 10]."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(-10.0, 10.0, (groups, d))
    return centers[rng.integers(groups, size=n)] + spread * rng.standard_normal((n, d))


def mixture() -> tuple[np.ndarray, dict[str, object]]:
    """(10,000, 10) float64, and where both sides begin and end: 5 full covariances, 20 iterations of EM."""
    X = blobs(10_000, 10, 5, 3.0)
    start = {
        "weights_init": np.full(5, 0.2),
        "means_init": X[:5],
        "precisions_init": np.tile(np.eye(10) / 9, (5, 1, 1)),
    }
    return X, {"n_components": 5, **start, "max_iter": 20, "tol": 0.0}


def two_classes(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) float64 and (n,) int64: a curved boundary in half of the features, and 5 % wrong labels."""
    rng = np.random.default_rng(0)
    X, useful = rng.standard_normal((n, d)), d // 2
    score = X[:, :useful] @ rng.standard_normal(useful) + 0.5 * (X[:, :useful] ** 2 - 1).sum(axis=1)
    return X, ((score > 0) ^ (rng.random(n) < 0.05)).astype(np.int64)


def flops(name: str) -> float:
    """Floating-point operations of the matrix products of one run: 2 each for forward, dL/dW and dL/dx.

    Those of the definition, whatever a faster way saves. The first layer needs no dL/dx. Zero for workloads
    whose time is not in the products.
    """
    if name == "sgemm":
        return 2.0 * 1024**3
    if name in CONVOLUTIONS:
        return CONVOLUTIONS[name].flops()
    if name in RESNETS:
        return _resnet_flops(RESNETS[name])
    if name not in ("mlp_pass", "mlp_step"):
        return 0.0
    products = [2.0 * BATCH * d * k for d, k in pairwise(LAYERS)]
    return 3 * sum(products) - products[0]


def _resnet_flops(width: int) -> float:
    """Of a step of ResNet-18 with the CIFAR stem on images of 32x32 pixels."""
    total, c, side = Convolution(3, width, 32, first=True).flops(), width, 32
    for k, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
        first = Convolution(c, k, side, stride).flops()
        side //= stride
        total += first + 3 * Convolution(k, k, side).flops()
        if stride > 1:
            total += first / 9  # the 1x1 convolution of the shortcut
        c = k
    return total + 3 * 2.0 * IMAGES * c * CLASSES
