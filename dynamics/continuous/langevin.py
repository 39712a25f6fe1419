r"""Noise as temperature: descent that is kicked at random forgets its start and samples exp(-V / T).

    overdamped    x <- x - h grad V(x) + sqrt(2 h T) xi            xi standard normal, new in every step
    with inertia  q' = p,  p' = -grad V(q) - friction p + noise    at equilibrium p has variance T

As h -> 0 the density of x tends to exp(-V(x) / T) / Z: in a valley of curvature a, variance T / a, energy
T / 2. A finite step is hotter. It multiplies the variance by (1 - h a)^2 and adds 2 h T, and rests where

    variance = 2 h T / (1 - (1 - h a)^2) = (T / a) / (1 - h a / 2)

SGD is the same chain with noise that the batches choose: x <- x - lr (A x + noise), noise of covariance C.
With M = I - lr A its covariance S solves S = M S M^T + lr^2 C. Isotropic noise c is a temperature lr c / 2.

Free energy decides which of two valleys holds the chain, F = -T log of the integral of exp(-V / T)
= U - T S: a wide valley can win against a deep one. The barrier decides how long it takes to cross, as
exp(barrier / T) (Kramers): cool slowly, or stay where you froze.

Shapes   x, q, p any shape S, of which one axis may be chains; paths (steps + 1, *S); A and C (D, D).
Source   Welling & Teh 2011, "Bayesian learning via stochastic gradient Langevin dynamics", sec. 3; Mandt,
         Hoffman & Blei 2017, arXiv:1704.04289, sec. 3; Liu, Ziyin & Ueda 2021, "Noise and fluctuation of
         finite learning rate SGD", arXiv:2012.03636, theorem 1; Leimkuhler & Matthews 2013, "Rational
         construction of stochastic numerical methods for molecular sampling", arXiv:1203.5428, sec. 2;
         Hanggi, Talkner & Borkovec 1990, "Reaction-rate theory", sec. II.C (Kramers).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from math import exp, expm1, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.gradient_flow import Gradient
from dynamics.continuous.symplectic import Path

Array = np.ndarray
Potential = Callable[[Array], Array]  # V of many positions (P,) on a line: (P,)

NODES = 200  # of the quadrature of `free_energy`


class Ensemble(NamedTuple):
    """A system at a temperature T: free = energy - T entropy."""

    free: float  # F = -T log integral exp(-V / T)
    energy: float  # U, the mean of V
    entropy: float  # S = -integral of p log p


def langevin(
    grad: Gradient, x0: ArrayLike, h: float, temperature: ArrayLike, steps: int, *, rng: np.random.Generator
) -> Array:
    """Run the overdamped chain x <- x - h grad(x) + sqrt(2 h T) xi, and keep it all.

    Args:
        grad: gradient of V.
        x0: any shape S; not changed. Every element has noise of its own.
        h: length of a step, > 0.
        temperature: T >= 0, a number, or (steps,): one for each step. At 0 it is gradient descent.
        steps: >= 0.
        rng: draws the noise.

    Returns:
        (steps + 1, *S), float64, the start first.

    Raises:
        ValueError: h is not positive, a temperature or steps negative (the message names the value), or
            temperature is neither a number nor (steps,) (the message names its shape and steps).
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 1 of 8, langevin")


def anneal(
    grad: Gradient,
    x0: ArrayLike,
    h: float,
    hot: float,
    cold: float,
    steps: int,
    *,
    rng: np.random.Generator,
) -> Array:
    """Run the overdamped chain while it cools by the same factor each step, from T_0 = hot to the last, cold.

    Args:
        grad, x0, h, rng: as `langevin`.
        hot, cold: temperatures, hot >= cold > 0.
        steps: >= 2.

    Returns:
        As `langevin`.

    Raises:
        ValueError: not hot >= cold > 0, the message names both; steps is below 2; or as `langevin`.
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 2 of 8, anneal")


def stationary_variance(curvature: ArrayLike, h: float, temperature: float) -> Array:
    """Give the variance in which the overdamped chain settles on curvature x^2 / 2: (T / a) / (1 - h a / 2).

    Exact for a finite step; T / a is the limit of small ones.

    Args:
        curvature: a, numbers > 0 of any shape.
        h: > 0.
        temperature: T >= 0.

    Raises:
        ValueError: h a is not in (0, 2) everywhere: the chain does not settle. The message names h and
            the first a outside.
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 3 of 8, stationary_variance")


def sgd_covariance(A: ArrayLike, C: ArrayLike, lr: float) -> Array:
    """Give the covariance in which x <- x - lr (A x + noise) settles, where the noise has covariance C.

    In the eigenbasis of A = Q diag(a) Q^T, S = M S M^T + lr^2 C falls apart into D^2 equations:

        S_ij = lr C_ij / (a_i + a_j - lr a_i a_j),        for 1 - (1 - lr a_i)(1 - lr a_j) = lr (a_i + ...)

    The noise of batches of B out of many examples has C = covariance of the gradients of single ones / B.

    Args:
        A: (D, D), symmetric, the Hessian.
        C: (D, D), covariance of the gradient noise.
        lr: learning rate, > 0.

    Returns:
        (D, D).

    Raises:
        ValueError: A and C are not square of one size (the message names both shapes), A is not symmetric but
            for a relative 1e-12, or an lr a_i is not in (0, 2): nothing settles; the message names lr.
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 4 of 8, sgd_covariance")


def underdamped(
    grad: Gradient,
    q: ArrayLike,
    p: ArrayLike,
    h: float,
    friction: float,
    temperature: float,
    steps: int,
    *,
    rng: np.random.Generator,
) -> Path:
    """Run Langevin dynamics with inertia by the splitting BAOAB: kick, drift, heat, drift, kick.

        p <- p - h/2 grad(q)      q <- q + h/2 p      p <- c p + sqrt((1 - c^2) T) xi
        q <- q + h/2 p            p <- p - h/2 grad(q)

    with c = exp(-friction h): the heating is exact, for any friction. On a quadratic of curvature a the
    positions have the variance T / a exactly, whatever h, and the momenta T (1 - h^2 a / 4).

    Args:
        grad: gradient of V, called once a step and once more.
        q, p: position and momentum, of one shape S, mass 1; not changed.
        h: length of a step, > 0.
        friction: rate, >= 0; without any this is leapfrog in parts, and keeps energy.
        temperature: T >= 0.
        steps: >= 0.
        rng: draws the noise.

    Returns:
        q and p, (steps + 1, *S) each, the start first.

    Raises:
        ValueError: q and p differ in shape (the message names both), h is not positive, or friction,
            temperature or steps negative (the message names the value).
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 5 of 8, underdamped")


def free_energy(potential: Potential, low: float, high: float, temperature: float) -> Ensemble:
    """Give free energy, mean energy and entropy of a particle between two places on a line.

    By Gauss and Legendre's quadrature with 200 nodes, relative to the lowest V among them: exp(-V / T) itself
    is 0 in floats where V is 1000 T. All nodes are inside the interval: V may jump at its ends.

    Args:
        potential: V, of an array (P,).
        low, high: ends of the interval, low < high.
        temperature: T > 0.

    Returns:
        F, U and S; F and U to a relative error of 1e-6 if exp(-V / T) is smooth over (high - low) / 20.

    Raises:
        ValueError: not low < high (the message names both), or T is not positive (named).
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 6 of 8, free_energy")


def occupancy(potential: Potential, edges: ArrayLike, temperature: float) -> Array:
    """Give the probabilities at equilibrium of the intervals between ``edges``: softmax of -F_i / T.

    Args:
        potential: V, of an array (P,).
        edges: (n + 1,), increasing; the particle is between the first and the last.
        temperature: T > 0.

    Returns:
        (n,), of sum 1.

    Raises:
        ValueError: as `free_energy`.
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 7 of 8, occupancy")


def kramers_rate(well: float, saddle: float, barrier: float, temperature: float) -> float:
    """Give the rate of escape over a barrier, overdamped: sqrt(well |saddle|) / (2 pi) exp(-barrier / T).

    The law for barrier >> T. A higher well curvature tries more often; the height counts exponentially.

    Args:
        well: V'' at the minimum, > 0.
        saddle: V'' at the top, < 0.
        barrier: V(top) - V(minimum), >= 0.
        temperature: T > 0.

    Returns:
        Escapes per unit of time, h times the number of steps.

    Raises:
        ValueError: not well > 0 > saddle, the message names both; or T is not positive (named).
    """
    raise NotImplementedError("dynamics.continuous.langevin: TODO 8 of 8, kramers_rate")


@cache
def _rule() -> tuple[Array, Array]:
    """Nodes in (-1, 1) and their weights, found once: they are eigenvalues of a 200 x 200 matrix."""
    return np.polynomial.legendre.leggauss(NODES)
