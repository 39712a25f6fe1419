r"""Memories with an energy: a Boltzmann machine that dreams, and Hopfield networks that recall.

    rbm               learns the probability of a pattern, exp(-F) / Z, and dreams new ones by Gibbs sampling
    hopfield          patterns are valleys of -1/2 x^T W x; a damaged one rolls into the nearest
    modern_hopfield   the same for real numbers, with an energy whose valleys are narrow: a step is attention

A machine is watched by three numbers: how well a picture is told back after one sweep (the reconstruction,
which training does not follow), the pseudo-likelihood, each pixel predicted from all others, and the exact
likelihood where one layer has at most 16 units, so that Z is a sum over 65,536 states.

XOR separates the three. Its four rows (a, b, a xor b) have no pairwise correlation: the weights of a Hopfield
network that stores them are 0, and a machine without hidden units is left at log p = -3 log 2. With hidden
units, or with a valley for each pattern, they are remembered: log p = -2 log 2, the best there is.

Shapes   bits V (N, D), 0 and 1; patterns (P, D), -1 and +1 or real; W (D, D).
Source   Hinton 2002, Neural Comput. 14, 1771; Tieleman 2008, ICML (persistent chains); Besag 1975,
         "Statistical analysis of non-lattice data", J. R. Stat. Soc. D 24, 179 (pseudo-likelihood); Hopfield
         1982, PNAS 79, 2554; Ramsauer et al. 2021, arXiv:2008.02217.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curriculum.datasets import images
from dynamics.energy import hopfield, modern_hopfield
from dynamics.energy.boltzmann import RBM, gibbs, hidden_mean, log_likelihood, moments, train
from dynamics.energy.energy_network import batches
from experiments.energy.data import shrink
from utils.math_utils import softplus

Array = np.ndarray
MODELS = ("rbm", "hopfield", "modern_hopfield")
COUNTED = 16  # units of a layer whose states are gone through for the exact likelihood
SIDE = 14  # pixels of a picture
INK = 0.4  # a pixel with more is 1
WATCHED = 200  # rows by which a machine is watched
SHARPNESS = 64.0  # of attention: finds 1,000 of 1,000 half-covered digits, ten at a time; 32 finds 998
XOR = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])  # a, b, a xor b


class Pictures(NamedTuple):
    """Real handwritten digits in black and white, 14 x 14 pixels: what a memory can hold."""

    bits: Array  # (4000, 196), 0 and 1
    labels: Array  # (4000,)
    unseen: Array  # (1000, 196), by which a machine is watched

    def one_of_each(self, rng: np.random.Generator) -> Array:
        """A digit of each class, drawn at random: (10, 196), of -1 and +1."""
        chosen = [rng.choice(np.flatnonzero(self.labels == label)) for label in range(10)]
        return 2.0 * self.bits[chosen] - 1.0


@dataclass(frozen=True)
class Dreaming:
    """How a restricted Boltzmann machine learns.

    Attributes:
        hidden: units, >= 1.
        lr: learning rate, > 0.
        epochs: passes over the rows, >= 0.
        batch_size: rows of a step, >= 1.
        sweeps: of the chains in a step, >= 1.
        persistent: whether chains go on (PCD), or start at the rows of the batch each time (CD).
        record_every: epochs, >= 1.

    Raises:
        ValueError: a number is outside its range; the message names it.
    """

    hidden: int = 100
    lr: float = 0.1
    epochs: int = 40
    batch_size: int = 50
    sweeps: int = 5
    persistent: bool = False  # few lasting chains chase one digit: with 1 sweep 82 of 100 dreams were 0
    record_every: int = 1

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"lr must be positive, got {self.lr}")
        least = {"hidden": 1, "epochs": 0, "batch_size": 1, "sweeps": 1, "record_every": 1}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, got {getattr(self, name)}")


class Dreams(NamedTuple):
    """What a machine became, and how: R records, the first before learning."""

    machine: RBM
    epoch: Array  # (R,)
    reconstruction: Array  # (R,), mean squared error of the means after one sweep
    pseudo_likelihood: Array  # (R,), nats a row
    likelihood: Array  # (R,), nats a row; NaN where Z is too long a sum


class Recalls(NamedTuple):
    """Damaged patterns on their way: S + 1 sweeps or steps, all cues side by side."""

    patterns: Array  # (P, D)
    states: Array  # (S + 1, P, D), the cues first; one that has come to rest stays
    energy: Array  # (S + 1, P); never rises
    overlap: Array  # (S + 1, P), with its own pattern: 1 where they are equal


def pictures() -> Pictures:
    """Read the digits that ship with the course."""
    shipped = images.digits()
    bits, unseen = ((shrink(p, SIDE) > INK) * 1.0 for p in (shipped.train_images, shipped.test_images))
    return Pictures(bits, shipped.train_labels, unseen)


def machines(V: Array, options: Dreaming, rng: np.random.Generator) -> Iterator[RBM]:
    """Yield a machine before learning and after each epoch: epochs + 1 of them.

    Weights start normal, 0.01 wide; the visible biases with the log-odds of the pixels, which is already the
    best machine without hidden units.

    Args:
        V: (N, D) of 0 and 1.
        options: see there.
        rng: draws weights, batches and chains.

    Raises:
        ValueError: V is not (N, D) of 0 and 1; the message names its shape or the number.
    """
    wrong = V[(V != 0) & (V != 1)]
    if V.ndim != 2 or len(V) == 0 or wrong.size:
        got = f"{wrong[0]:g} in it" if wrong.size else f"shape {V.shape}"
        raise ValueError(f"expected rows of 0 and 1 only, (N, D) with N at least 1, got {got}")
    N, D = V.shape
    on = (V.sum(axis=0) + 0.5) / (N + 1)  # a pixel that is never on has finite odds, too
    machine = RBM(rng.normal(0.0, 0.01, (D, options.hidden)), np.log(on / (1 - on)), np.zeros(options.hidden))
    chains = V[rng.integers(N, size=min(N, options.batch_size))]
    yield machine
    for _ in range(options.epochs):
        for batch in batches(N, options.batch_size, rng):
            chains = gibbs(machine, chains if options.persistent else V[batch], options.sweeps, rng=rng)
            pairs = zip(machine, moments(machine, V[batch]), moments(machine, chains), strict=True)
            machine = RBM(*(x + options.lr * (wake - dream) for x, wake, dream in pairs))
        yield machine


def dream(V: Array, options: Dreaming, rng: np.random.Generator, watched: Array | None = None) -> Dreams:
    """Let a machine learn the rows of V, and watch it on others.

    Args:
        V, options, rng: as `machines`.
        watched: (M, D) of 0 and 1, by which it is watched; None: the first 200 rows of V.

    Raises:
        ValueError: as `machines`.
    """
    seen = V[:WATCHED] if watched is None else watched
    rows, machine = [], None
    for epoch, machine in enumerate(machines(V, options, rng)):
        if epoch % options.record_every == 0 or epoch == options.epochs:
            countable = min(machine.W.shape) <= COUNTED
            likelihood = log_likelihood(machine, seen) if countable else np.nan
            rows.append((epoch, reconstruction(machine, seen), pseudo_likelihood(machine, seen), likelihood))
    return Dreams(machine, *(np.array(column) for column in zip(*rows, strict=True)))


def remember_xor(hidden: int, rng: np.random.Generator, epochs: int = 1000) -> Dreams:
    """Let a machine learn the four rows of XOR by the exact gradient, watched on them.

    Weights start normal, 1 wide: at 0 the gradient of all weights is 0, since no two bits are correlated.

    Args:
        hidden: units, >= 1.
        rng: draws the start.
        epochs: steps of length 0.5; recorded every 10th.
    """
    start = RBM(rng.normal(0.0, 1.0, (3, hidden)), np.zeros(3), np.zeros(hidden))
    path = train(start, XOR, 0.5, epochs, method="exact")
    at = np.arange(0, epochs + 1, 10)
    seen = [(reconstruction(m, XOR), pseudo_likelihood(m, XOR), log_likelihood(m, XOR)) for m in path[::10]]
    return Dreams(path[-1], at, *(np.array(column) for column in zip(*seen, strict=True)))


def reconstruction(machine: RBM, V: Array) -> float:
    """Give the mean squared difference between V (N, D) and what means, up and down again, make of it."""
    return float(np.mean((hidden_mean(machine.flipped, hidden_mean(machine, V)) - V) ** 2))


def pseudo_likelihood(machine: RBM, V: Array) -> float:
    """Give the mean over rows (N, D) of the sum over pixels of log p(v_i | all other pixels), in nats.

        log p(v_i | rest) = -softplus(F(v) - F(v with pixel i turned over))

    Exact, without Z, which cancels. It is a sum of D terms where log p is one: the two do not compare.
    """
    field = V @ machine.W + machine.c  # (N, K)
    total = np.zeros(len(V))
    for i in range(V.shape[1]):
        turn = 1 - 2 * V[:, i]  # what turning pixel i over adds to it
        gain = softplus(field + turn[:, None] * machine.W[i]) - softplus(field)  # (N, K)
        total -= softplus(turn * machine.b[i] + gain.sum(axis=1))
    return float(total.mean())


def samples(machine: RBM, count: int, sweeps: int, rng: np.random.Generator) -> Array:
    """Dream: run chains from random bits, and give the probabilities from which the last bits are drawn.

    Returns:
        (count, D), in [0, 1].
    """
    start = rng.integers(2, size=(count, machine.b.size)).astype(np.float64)
    bits = gibbs(machine, start, sweeps, rng=rng)
    return hidden_mean(machine.flipped, hidden_mean(machine, bits))


def looks_like(dreams: Array, known: Pictures) -> Array:
    """Name the digit that each dream (M, 196) is nearest to, of all pictures learned: (M,), labels."""
    apart = (dreams**2).sum(axis=1)[:, None] - 2 * dreams @ known.bits.T + known.bits.sum(axis=1)  # (M, 4000)
    return known.labels[apart.argmin(axis=1)]


def damage(patterns: Array, share: float, rng: np.random.Generator) -> Array:
    """Turn over a share of the entries of each pattern (P, D), chosen at random: a new array.

    Raises:
        ValueError: share is not in [0, 1]; the message names it.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the damaged share must be in [0, 1], got {share}")
    P, D = patterns.shape
    chosen = rng.permuted(np.tile(np.arange(D), (P, 1)), axis=1) < round(share * D)
    return np.where(chosen, -patterns, patterns)


def recall(patterns: Array, cues: Array, rule: str, rng: np.random.Generator) -> Recalls:
    """Let cues roll down in a Hopfield network that stores the patterns.

    Args:
        patterns, cues: (P, D), of -1 and +1.
        rule: "hebbian" or "projection", as `hopfield.store`. Ten digits are too much alike for the first: it
            recalls none of them; the second finds 998 of 1,000 with 15 % of the pixels turned over, ten at a
            time, and 959 with 25 %.
        rng: draws the order in which the units are visited.

    Raises:
        ValueError: as `hopfield.store` and `hopfield.recall`.
    """
    W = hopfield.store(patterns, rule)
    paths = [hopfield.recall(W, cue, rng=rng).states for cue in cues]
    states = _side_by_side(paths)
    return Recalls(patterns, states, hopfield.energy(W, states), _overlap(states, patterns))


def attend(patterns: Array, cues: Array, sharpness: float = SHARPNESS) -> Recalls:
    """Let cues roll down in a modern Hopfield network: each step is attention to the patterns.

    Args:
        patterns, cues: (P, D), real; 0 for what is covered.
        sharpness: beta D, > 0: how much the nearest pattern is preferred.

    Raises:
        ValueError: as `modern_hopfield.retrieve`.
    """
    beta = sharpness / patterns.shape[1]
    paths = [modern_hopfield.retrieve(patterns, cue, beta).path for cue in cues]
    states = _side_by_side(paths)
    return Recalls(
        patterns, states, modern_hopfield.energy(patterns, states, beta), _overlap(states, patterns)
    )


def _side_by_side(paths: list[Array]) -> Array:
    """(S + 1, P, D) of paths that end at different times: each stays at its end."""
    longest = max(len(path) for path in paths)
    return np.stack([path[np.minimum(np.arange(longest), len(path) - 1)] for path in paths], axis=1)


def _overlap(states: Array, patterns: Array) -> Array:
    """The cosine of each state (S, P, D) with its own pattern (P, D)."""
    lengths = np.linalg.norm(states, axis=2) * np.linalg.norm(patterns, axis=1)
    return (states * patterns).sum(axis=2) / lengths
