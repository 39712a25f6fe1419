"""The chain of small operations on HIPS autograd."""

from __future__ import annotations

from importlib.metadata import version as version_of

import autograd.numpy as np
from autograd import grad

from benchmarks import sizes


def version() -> str:
    return f"autograd {version_of('autograd')}"


def graph() -> sizes.Workload:
    def result(x, w, b, c):
        y = x
        for _ in range(sizes.ROUNDS):
            y = np.tanh(y @ w + b) * c
        return np.sum(y)

    gradient = grad(result, (0, 1, 2, 3))
    matrices = sizes.small_matrices()

    def run() -> None:
        gradient(*matrices)

    return run
