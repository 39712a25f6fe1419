"""Plain NumPy: the pass with derivatives by hand, which no graph can beat, and one matrix product."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from benchmarks import sizes


def version() -> str:
    return f"NumPy {np.__version__}, by hand"


def sgemm() -> sizes.Workload:
    """The product of two (1024, 1024) matrices: what the processor can do."""
    a, b = np.random.default_rng(0).standard_normal((2, 1024, 1024), np.float32)
    out = np.empty_like(a)

    def run() -> None:
        np.matmul(a, b, out=out)

    return run


def mlp_pass() -> sizes.Workload:
    """Forward and backward through the network and its loss, all gradients kept."""
    rng = np.random.default_rng(0)
    pairs = list(pairwise(sizes.LAYERS))
    weights = [
        rng.standard_normal((k, d), np.float32) * np.float32(np.sqrt(2 / d)) for d, k in pairs
    ]  # (K, D)
    biases = [np.zeros(k, np.float32) for _, k in pairs]
    pixels, labels = sizes.images()
    rows, ones = np.arange(len(labels)), np.ones(len(labels), np.float32)

    def run() -> None:
        inputs = [pixels]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            hidden = inputs[-1] @ weight.T  # (N, K)
            hidden += bias
            inputs.append(np.maximum(hidden, 0))
        logits = inputs[-1] @ weights[-1].T + biases[-1]  # (N, V)
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        total = p.sum(axis=1, keepdims=True)
        _loss = (np.log(total[:, 0]) - logits[rows, labels]).mean()
        p /= total
        p[rows, labels] -= 1
        p /= len(labels)
        gradients = []
        for i in reversed(range(len(weights))):
            gradients.append((p.T @ inputs[i], ones @ p))
            if i > 0:
                p = p @ weights[i]
                p *= inputs[i] > 0

    return run


def conv_memory() -> sizes.Workload:
    """Bytes of the input and the output of the layer of 64 channels: what nobody can do without."""
    c = sizes.CONVOLUTIONS["conv_64"]
    places = sizes.IMAGES * c.side**2
    return lambda: 4.0 * places * (c.channels + c.kernels)
