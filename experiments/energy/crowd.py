r"""Many small networks that learn XOR side by side, so that how often they succeed can be counted.

One run shows what can happen, never how often. Networks of one architecture are stacked: each parameter is
one Tensor with a leading axis of networks, so that a step of a hundred costs little more than that of one.

Shapes   M networks, 4 samples, 2 inputs, 1 output.
Source   Wilson 1927, JASA 22, 209 (the interval).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import sqrt

import numpy as np

from dynamics.credit.mlp_backprop import Spec, init, unflatten
from foundations.computational_graph import Tensor
from foundations.elementwise import exp, maximum, tanh
from optimization.optimizers.momentum import HeavyBall

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [0.0]])
LR, MOMENTUM = 0.05, 0.9
LEFT = 0.2  # an energy below: off the plateau
SOLVED = 0.05  # an energy below, and every sample on its side of 1/2: XOR is solved
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": tanh,
    "sigmoid": lambda z: 1.0 / (1.0 + exp(-z)),
    "relu": lambda z: maximum(z, 0.0),
}
Array = np.ndarray


class Networks:
    """Many networks of one architecture, trained side by side, each parameter one stacked Tensor.

    Attributes:
        energies: (records, M), the mean squared error on all samples; the start first.
        lengths: the same of the output layer's weights.
    """

    def __init__(self, spec: Spec, starts: Array):
        parts = [unflatten(theta, spec) for theta in starts]
        self.functions = [FUNCTIONS[spec.hidden]] * (len(spec.sizes) - 2) + [FUNCTIONS[spec.output]]
        self.parameters = []
        for layer in range(len(spec.sizes) - 1):
            weights = np.stack([w[layer].T for w, _ in parts])  # (M, in, out)
            biases = np.stack([b[layer] for _, b in parts])[:, None]  # (M, 1, out)
            self.parameters += [Tensor(weights, True), Tensor(biases, True)]
        self.energies = self.lengths = np.empty((0, len(starts)))

    def outputs(self) -> Tensor:
        """What each says about the four samples, (M, 4, 1)."""
        x: Array | Tensor = INPUTS
        layers = zip(self.parameters[::2], self.parameters[1::2], self.functions, strict=True)
        for weight, bias, function in layers:
            x = function(x @ weight + bias)
        return x

    def energy(self, weights: Array | float = 0.25) -> Tensor:
        """Of each network, (M,), its samples weighted: (M, 4, 1), or all alike."""
        error = self.outputs() - TARGETS
        return (error * error * weights).sum((1, 2))

    def train(
        self,
        weights: Iterable[Array | float],
        steps: int,
        every: int = 100,
        lr: float = LR,
        momentum: float = MOMENTUM,
    ) -> Networks:
        """Descend on all energies at once, until `steps` are done or, if all are recorded, 60 % have left.

        Args:
            weights: of the samples, step by step: `all_samples` or `minibatches`.
            steps: at most so many.
            every: steps between two records.
            lr: learning rate.
            momentum: the part of the velocity that friction leaves, in [0, 1).
        """
        optimizer, energies, lengths = HeavyBall(self.parameters, lr=lr, momentum=momentum), [], []
        for k, weight in zip(range(steps + 1), weights, strict=False):
            if k % every == 0:
                energies.append(self.energy().data)
                lengths.append(np.linalg.norm(self.parameters[-2].data, axis=(1, 2)))
                if every == 1 and np.mean(energies[-1] < LEFT) > 0.6:
                    break
            optimizer.zero_grad()
            self.energy(weight).sum().backward()
            optimizer.step()
        self.energies, self.lengths = np.array(energies), np.array(lengths)
        return self

    @property
    def stuck(self) -> Array:
        """Which networks are on the plateau, by the mean energy of the last twentieth, (M,)."""
        return self.energies[-len(self.energies) // 20 :].mean(axis=0) > LEFT

    @property
    def solved(self) -> Array:
        """Which have all four samples on their side of 1/2 and an energy below `SOLVED`, (M,)."""
        right = ((self.outputs().data > 0.5) == (TARGETS > 0.5)).all(axis=(1, 2))
        return right & (self.energy().data < SOLVED)


def all_samples() -> Iterator[float]:
    """The weight of each sample, step by step."""
    while True:
        yield 0.25


def minibatches(noisy: Array, rng: np.random.Generator, size: int = 2) -> Iterator[Array]:
    """The same where a network is noisy, (M,): `size` of the samples in a step, in an order of its own."""
    while True:
        rank = rng.permuted(np.tile(np.arange(4), (len(noisy), 1)), axis=1)[:, :, None]
        for at in range(0, 4, size):
            chosen = (rank >= at) & (rank < at + size)
            yield np.where(noisy[:, None, None], chosen / min(size, 4 - at), 0.25)


def draw_starts(spec: Spec, size: str, count: int, rng: np.random.Generator) -> Array:
    """Parameters (count, P): all normal with a standard deviation, or Xavier's weights and no biases."""
    if size.lower() == "xavier":
        return np.stack([init(spec, "xavier", rng=rng) for _ in range(count)])
    return rng.normal(0.0, float(size), (count, spec.parameters))


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The interval in which a share lies with which ``hits`` of ``n`` agree, at z standard deviations."""
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * sqrt(share * (1 - share) / n + spread / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def label(sizes: Sequence[int]) -> str:
    """ "2-3-1"."""
    return "-".join(map(str, sizes))
