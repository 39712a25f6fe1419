r"""The Hopfield network: memories are the valleys of an energy, and to remember is to roll down.

    E(x) = -1/2 x^T W x        x_i <- sign(h_i),  h = W x        x_i = +1 or -1,  W symmetric, W_ii = 0

Turning one unit i to the sign of its field h_i changes the energy by -|h_i| times 2, or by 0: one at a time
(async) the energy can only fall, and there are finitely many states. All units at once (sync) it may rise;
then -x(t)^T W x(t-1) can only fall, and the network ends in a fixed point or in a cycle of two states.

The Hebbian rule W = (1/D) sum_p x_p x_p^T (without its diagonal) writes each pattern by itself. At a stored
pattern the field of a unit is its own bit plus noise from the P - 1 others, of variance load = P / D: that
gives the errors of the first step, and their feedback gives the capacity. The projection rule
W = X^+ X, the matrix that projects on the span of the patterns, takes the noise away.

A field that is 0 (a tie) changes nothing. By rounding it may be 1e-17: what is below a relative 1e-12 of the
sum over j of |W_ij|, unit by unit, is 0.

Shapes   X (P, D) patterns, x (D,) or (..., D) states, all of -1 and +1; W (D, D).
Source   Hopfield 1982, PNAS 79, 2554 (energy, async); Goles, Fogelman & Pellegrin 1985, Discrete Appl. Math.
         12, 261 (sync); Amit, Gutfreund & Sompolinsky 1985, PRL 55, 1530, eq. 7-9 at T = 0 (capacity);
         Personnaz, Guyon & Dreyfus 1985, J. Physique Lett. 46, L359 (projection).
"""

from __future__ import annotations

from math import erf, erfc, exp, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
ROUNDING = 1e-12  # relative: a field that small is a tie
RULES = ("hebbian", "projection")
MODES = ("async", "sync")


class Recall(NamedTuple):
    """The states passed, (sweeps + 1, D), the start first, and where they end.

    period: 1 a fixed point (the last two states are equal), 2 a cycle of two (the last state is that of two
    sweeps before, and not the one before), 0 neither within the sweeps allowed.
    """

    states: Array
    period: int


def store(X: ArrayLike, rule: str = "hebbian") -> Array:
    """Make the weights that remember the patterns.

        hebbian      X^T X / D        projection   X^+ X, X^+ the pseudo-inverse        both with diagonal 0

    A unit that feeds itself holds on to whatever it is: hence no diagonal.

    Args:
        X: (P, D) of -1 and +1. A repeated pattern counts twice by "hebbian", once by "projection".
        rule: "hebbian" or "projection".

    Returns:
        (D, D), float64, symmetric.

    Raises:
        ValueError: X is not a matrix (the message names its shape), has an entry that is not -1 or +1 (it
            names the entry), or the rule is another word (it names the word).
    """
    raise NotImplementedError("dynamics.energy.hopfield: TODO 1 of 6, store")


def energy(W: ArrayLike, x: ArrayLike) -> Array:
    """Compute -1/2 x^T W x.

    Args:
        W: (D, D), symmetric.
        x: (D,) or a batch (..., D); any real numbers.

    Returns:
        (...), a float64 for one state.

    Raises:
        ValueError: W is not square and symmetric (the message names its shape), or the last axis of x not D
            (it names both shapes).
    """
    raise NotImplementedError("dynamics.energy.hopfield: TODO 2 of 6, energy")


def overlap(X: ArrayLike, x: ArrayLike) -> Array:
    """Compare a state with each pattern: (x_p . x) / D, which is 1 - 2 (fraction of bits that differ).

    Args:
        X: (P, D).
        x: (D,) or a batch (..., D).

    Returns:
        (..., P) in [-1, 1]: -1 is the negative of the pattern.
    """
    raise NotImplementedError("dynamics.energy.hopfield: TODO 3 of 6, overlap")


def recall(
    W: ArrayLike,
    x: ArrayLike,
    mode: str = "async",
    *,
    max_sweeps: int = 100,
    rng: np.random.Generator | None = None,
) -> Recall:
    """Let a state run until it repeats.

    A sweep of "async" visits each unit once and sets it to the sign of its field, made of the units as they
    are at that moment: in the order 0, 1, ..., D - 1, or, given an rng, in a new random order each sweep. A
    sweep of "sync" sets all units from the same state. A tie (see above) leaves the unit as it is, in both.

    Args:
        W: (D, D), symmetric. With a negative diagonal the energy may rise.
        x: (D,) of -1 and +1; not changed.
        mode: "async" or "sync".
        max_sweeps: >= 1.
        rng: for the orders of "async".

    Returns:
        The states up to the first sweep that shows the period: one that changes nothing (1), or, by "sync"
        alone, one that leads back to the state of two sweeps before (2).

    Raises:
        ValueError: as `energy`; an entry of x is not -1 or +1 (the message names it), x is not one state, the
            mode is another word, or max_sweeps is below 1 (it names the value).
    """
    raise NotImplementedError("dynamics.energy.hopfield: TODO 4 of 6, recall")


def bit_error(load: float) -> float:
    """Predict the fraction of bits that the first sync step from a stored pattern turns over.

    "hebbian", many units, random patterns: the field times the bit is normal, mean 1, variance load.

        P(1 + sqrt(load) u < 0) = 1/2 erfc(1 / sqrt(2 load))

    Args:
        load: P / D, >= 0; at 0 the answer is 0.

    Raises:
        ValueError: load is negative or NaN; the message names it.
    """
    raise NotImplementedError("dynamics.energy.hopfield: TODO 5 of 6, bit_error")


def retrieval_overlap(load: float) -> float:
    """Predict the overlap of the fixed point next to a stored pattern: mean-field theory, no noise.

    Bits that turned over disturb the others. With y = m / sqrt(2 load r), r the noise of the other patterns
    as amplified by that feedback, the equations for the overlap m and for r become one:

        m = erf(y)        g(y) = erf(y) / y - 2 exp(-y^2) / sqrt(pi) = sqrt(2 load)

    g rises from 0 to its only maximum 0.5252 at y = 1.511 and falls to 0. The memory is the solution right of
    the maximum. There is none above load 0.1379, the capacity, where m jumps from 0.967 to 0.

    Args:
        load: P / D, >= 0.

    Returns:
        m: 1 at load 0, 0 above the capacity; right to 1e-9, but for loads within 1e-9 of the capacity.

    Raises:
        ValueError: load is negative or NaN; the message names it.
    """
    raise NotImplementedError("dynamics.energy.hopfield: TODO 6 of 6, retrieval_overlap")


def _g(y: float) -> float:
    return erf(y) / y - 2 * exp(-y * y) / sqrt(pi)


def _bisect(f, left: float, right: float) -> float:
    """The zero of an f that is positive at left and negative at right, to the last bits."""
    for _ in range(80):
        middle = (left + right) / 2
        left, right = (middle, right) if f(middle) > 0 else (left, middle)
    return left


def _together(W: Array, x: Array, tie: Array) -> Array:
    field = W @ x
    return np.where(np.abs(field) <= tie, x, np.sign(field))


def _in_turn(W: Array, x: Array, tie: Array, rng: np.random.Generator | None) -> Array:
    x, field = x.copy(), W @ x
    for i in range(x.size) if rng is None else rng.permutation(x.size):
        if abs(field[i]) > tie[i] and field[i] * x[i] < 0:
            x[i] = -x[i]
            field += 2 * x[i] * W[:, i]  # D operations a flip: W @ x again would take D^2
    return x


def _signs(x: ArrayLike, name: str) -> Array:
    x = np.asarray(x, np.float64)
    wrong = x[np.abs(x) != 1]
    if wrong.size:
        raise ValueError(f"{name} must hold -1 and +1 only, got {wrong[0]:g}; bits 0 and 1 become 2 bit - 1")
    return x


def _symmetric(W: ArrayLike) -> Array:
    W = np.asarray(W, np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"W must be a square matrix, got shape {W.shape}")
    if np.abs(W - W.T).max(initial=0) > ROUNDING * np.abs(W).max(initial=0):
        raise ValueError(f"W of shape {W.shape} must be symmetric: without that there is no energy")
    return W


def _fits(W: Array, x: Array) -> None:
    if x.shape[-1:] != W.shape[:1]:
        raise ValueError(f"a state has {W.shape[0]} units for W of shape {W.shape}, got shape {x.shape}")
