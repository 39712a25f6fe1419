"""What all stacks compute on: the same shapes, the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

Workload = Callable[[], None]

ROUNDS = 25  # of four operations each
OPERATIONS = 4 * ROUNDS + 1
LAYERS = (784, 256, 128, 10)
CRITIC = (784, 256, 128, 1)
BATCH = 128


def small_matrices() -> list[np.ndarray]:
    """Four (4, 4) float32 matrices."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((4, 4), np.float32) / 2 for _ in range(4)]


def images() -> tuple[np.ndarray, np.ndarray]:
    """A batch of (N, 784) float32 pixels and (N,) int64 labels."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((BATCH, LAYERS[0]), np.float32), rng.integers(0, LAYERS[-1], BATCH)


def flops(name: str) -> float:
    """Floating-point operations of the matrix products of one run: 2 each for forward, dL/dW and dL/dx.

    The first layer needs no dL/dx. Zero for workloads whose time is not in the products.
    """
    if name == "sgemm":
        return 2.0 * 1024**3
    if name not in ("mlp_pass", "mlp_step"):
        return 0.0
    products = [2.0 * BATCH * d * k for d, k in pairwise(LAYERS)]
    return 3 * sum(products) - products[0]
