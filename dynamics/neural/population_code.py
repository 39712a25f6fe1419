r"""Population codes: what noisy, broadly tuned units know together about a stimulus, and how to read it.

    tuning      f_k(s) = baseline + peak * bump(s - s_k)             expected spikes of unit k
    noise       n_k ~ Poisson(f_k), independent;   or r ~ normal(f, Sigma)
    knowledge   I(s) = sum_k f_k'^2 / f_k;         or f'^T Sigma^-1 f'              (Fisher information)
    bound       var(estimate) >= 1 / I             for every decoder without bias (Cramer-Rao)

Independent units add up their information, so that it grows with K. Correlations along f', which look as if
the stimulus itself had moved, cannot be averaged away: Sigma + strength f' f'^T has the information
I / (1 + strength I), less than 1 / strength however many units there are.

Decoders: maximum likelihood, and with a prior maximum a posteriori, know everything; the centre of mass and
the population vector know the preferred stimuli only, and are maximum likelihood where gaussian or von Mises
tuning covers the stimuli densely and evenly; the optimal linear estimator is the best of what is linear.

Likelihoods are computed from log f, so that a rate that underflows to 0 is still very small, not impossible.

Shapes   preferred stimuli s_k (K,); s (...) stimuli; rates, slopes and counts (..., K); Sigma (K, K).
Source   Dayan & Abbott 2001, Theoretical Neuroscience, sec. 3.3 and exercise 3.3; Georgopoulos, Schwartz &
         Kettner 1986, Science 233, 1416 (population vector); Salinas & Abbott 1994, J. Comput. Neurosci. 1,
         89, eq. 8-10 (optimal linear); Moreno-Bote et al. 2014, Nat. Neurosci. 17, 1410, eq. 4
         (differential correlations).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
KINDS = ("gaussian", "von_mises", "cosine")
ROUNDS, POINTS = 10, 9  # of the refinement of a maximum: each round is 4 times finer


@dataclass(frozen=True, eq=False)
class Population:
    """K units that differ in the stimulus they prefer.

    Attributes:
        preferred: s_k, (K,), K at least 1; radians for the circular kinds.
        kind: the bump, for a stimulus x away from the preferred one: "gaussian" exp(-x^2 / (2 width^2)), on a
            line; or, on the circle, "von_mises" exp((cos x - 1) / width^2), "cosine" (1 + cos x) / 2.
        peak: spikes expected above the baseline at the preferred stimulus, > 0.
        width: of the bump, > 0; "cosine" does not use it.
        baseline: spikes expected without the bump, >= 0.

    Raises:
        ValueError: a value outside its range, or another kind; the message names it.
    """

    preferred: Array
    kind: str = "gaussian"
    peak: float = 10.0
    width: float = 1.0
    baseline: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "preferred", np.array(self.preferred, np.float64))
        if self.preferred.ndim != 1 or not self.preferred.size:
            raise ValueError(f"preferred has shape {self.preferred.shape}, expected (K,) with K at least 1")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        for name in ("peak", "width"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not self.baseline >= 0:
            raise ValueError(f"baseline must be at least 0, got {self.baseline}")

    @property
    def circular(self) -> bool:
        """Whether s and s + 2 pi are the same stimulus."""
        return self.kind != "gaussian"


def rates(population: Population, s: ArrayLike) -> Array:
    """Compute the expected spike counts f_k(s) = baseline + peak * bump(s - s_k).

    "cosine" is computed as it stands, (1 + cos x) / 2: exactly 0 where cos x rounds to -1, as at math.pi.

    Args:
        population: K units.
        s: stimuli, (...).

    Returns:
        (..., K).
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 1 of 15, rates")


def slopes(population: Population, s: ArrayLike) -> Array:
    """Compute df_k/ds; arguments and shapes as `rates`."""
    raise NotImplementedError("dynamics.neural.population_code: TODO 2 of 15, slopes")


def poisson_response(expected: ArrayLike, trials: int, *, rng: np.random.Generator) -> Array:
    """Draw spike counts, independent from unit to unit and from trial to trial.

    Args:
        expected: rates (..., K), none negative.
        trials: number of draws, >= 1.
        rng: where the counts come from.

    Returns:
        (trials, ..., K), integers.

    Raises:
        ValueError: a rate is negative or NaN (the message names it), or trials is below 1 (it names trials).
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 3 of 15, poisson_response")


def gaussian_response(
    expected: ArrayLike, covariance: ArrayLike, trials: int, *, rng: np.random.Generator
) -> Array:
    """Draw normal responses whose noise is shared between units.

    Args:
        expected: mean response, (K,).
        covariance: Sigma, (K, K), symmetric, positive definite.
        trials: number of draws, >= 1.
        rng: where the noise comes from.

    Returns:
        (trials, K).

    Raises:
        ValueError: the covariance does not fit, as `linear_information`; or trials as `poisson_response`.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 4 of 15, gaussian_response")


def fisher_information(population: Population, s: ArrayLike) -> Array:
    """Measure what independent Poisson counts tell about the stimulus: I(s) = sum_k f_k'^2 / f_k.

    A unit whose rate is 0 adds 0, without a warning of NumPy's.

    Args:
        population: K units.
        s: (...).

    Returns:
        (...), in 1 / (units of s)^2.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 5 of 15, fisher_information")


def linear_information(slope: ArrayLike, covariance: ArrayLike) -> float:
    """Measure what normal responses tell through their mean: f'^T Sigma^-1 f'.

    Args:
        slope: f', (K,).
        covariance: Sigma, (K, K), symmetric, positive definite.

    Raises:
        ValueError: the shapes do not fit (the message names both), or Sigma is not symmetric and positive
            definite (it names its shape).
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 6 of 15, linear_information")


def differential_correlations(covariance: ArrayLike, slope: ArrayLike, strength: float) -> Array:
    """Add noise that moves the responses as a change of the stimulus would: Sigma + strength f' f'^T.

    Args:
        covariance: Sigma, (K, K).
        slope: f', (K,).
        strength: variance of that change of the stimulus, >= 0.

    Returns:
        (K, K), new.

    Raises:
        ValueError: the shapes do not fit (the message names both), or the strength is negative or NaN (it).
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 7 of 15, differential_correlations")


def local_weights(slope: ArrayLike, covariance: ArrayLike) -> Array:
    """Find the best weights for telling small changes: estimate = s0 + w . (r - f(s0)).

        w = Sigma^-1 f' / (f'^T Sigma^-1 f')        w . f' = 1: no bias;  w^T Sigma w = 1 / information

    Args:
        slope: f' at s0, (K,), not all 0.
        covariance: Sigma, (K, K), symmetric, positive definite.

    Returns:
        (K,).

    Raises:
        ValueError: as `linear_information`; or the slope is 0 in all units, so that nothing can be told.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 8 of 15, local_weights")


def log_likelihood(population: Population, counts: ArrayLike, s: ArrayLike) -> Array:
    """Compute sum_k n_k log f_k(s) - f_k(s): the log of the probability of the counts, less sum_k log n_k!.

    A unit without spikes adds -f_k, also where f_k is 0. The log of a rate without baseline is taken before
    the rate underflows: log peak - x^2 / (2 width^2), for example. A unit with spikes whose rate is exactly
    0, as `rates` computes the cosine, makes the result -1e30 or less. Nothing here makes NumPy warn.

    Args:
        population: K units.
        counts: n, (..., K), >= 0.
        s: stimuli, broadcast against the axes of the counts before the last: to try G stimuli on N counts
            give counts (N, 1, K) and s (G,).

    Returns:
        (...), the broadcast shape.

    Raises:
        ValueError: the last axis of the counts is not K; the message names their shape and K.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 9 of 15, log_likelihood")


def maximum_posterior(
    population: Population,
    counts: ArrayLike,
    grid: ArrayLike,
    log_prior: Callable[[Array], Array] | None = None,
) -> Array:
    """Find the stimulus that the counts, and a prior, make most probable.

    The best point of the grid, and then, within one spacing of it on both sides, the maximum, to an accuracy
    of 1e-6 spacings or what rounding of the likelihood allows. On a line the result stays inside the grid;
    on the circle it may pass its ends, and is given in [0, 2 pi].

    Args:
        population: K units.
        counts: (..., K).
        grid: stimuli to try, (G,), G at least 2, evenly spaced and rising; finer than the tuning. A circle
            should be covered, as by 2 pi k / G.
        log_prior: of an array of stimuli, elementwise, up to a constant; None is a flat prior, for which this
            is maximum likelihood.

    Returns:
        (...).

    Raises:
        ValueError: the grid is not (G,) with G >= 2 (the message names its shape), or counts as
            `log_likelihood`.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 10 of 15, maximum_posterior")


def center_of_mass(population: Population, counts: ArrayLike) -> Array:
    """Average the preferred stimuli, each with the weight of its unit's spikes: sum n_k s_k / sum n_k.

    Args:
        population: on a line; on the circle 0.1 and 2 pi - 0.1 would average to pi.
        counts: (..., K).

    Returns:
        (...); NaN, without a warning, where there is no spike.

    Raises:
        ValueError: the population is circular (the message names its kind), or counts as `log_likelihood`.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 11 of 15, center_of_mass")


def population_vector(population: Population, counts: ArrayLike) -> Array:
    """Add up arrows that point to the preferred stimuli, as long as the counts; give the sum's direction.

    Args:
        population: circular.
        counts: (..., K).

    Returns:
        (...), in [0, 2 pi]: the angle of (sum n_k cos s_k, sum n_k sin s_k); NaN where there is no spike,
        and only there: where the arrows cancel, any angle.

    Raises:
        ValueError: the population is on a line (the message names its kind), or counts as `log_likelihood`.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 12 of 15, population_vector")


def linear_weights(population: Population, stimuli: ArrayLike) -> Array:
    """Find the linear readout of Poisson counts whose squared error, averaged over stimuli, is least.

    With u = (n_1, ..., n_K, 1) and the target v = s on a line, v = (cos s, sin s) on the circle:

        weights = E[u u^T]^-1 E[u v^T]      E[n_i n_j] = mean over s of f_i f_j, and f_i more if i = j

    Nothing is drawn at random: the moments of Poisson counts are known. Where units hardly ever respond the
    matrix is singular up to rounding: take the solution of least norm.

    Args:
        population: K units.
        stimuli: (M,), equally likely.

    Returns:
        (K + 1, 1) on a line, (K + 1, 2) on the circle; the last row is the constant.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 13 of 15, linear_weights")


def decode_linear(population: Population, counts: ArrayLike, weights: ArrayLike) -> Array:
    """Read a stimulus out of counts with the weights of `linear_weights`.

    Args:
        population: K units.
        counts: (..., K).
        weights: (K + 1, 1), or (K + 1, 2) on the circle.

    Returns:
        (...): n . w + constant; on the circle the direction of that vector, in [0, 2 pi].

    Raises:
        ValueError: the weights have another shape (the message names it and the right one), or counts as
            `log_likelihood`.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 14 of 15, decode_linear")


def circular_difference(a: ArrayLike, b: ArrayLike) -> Array:
    """Compute a - b on the circle: what is left after whole turns, in [-pi, pi] up to rounding.

    Args:
        a, b: radians, any shapes that broadcast.
    """
    raise NotImplementedError("dynamics.neural.population_code: TODO 15 of 15, circular_difference")


def offsets(population: Population, s: ArrayLike) -> Array:
    """s - s_k, (..., K)."""
    return np.asarray(s, np.float64)[..., None] - population.preferred


def exponent(population: Population, x: Array) -> Array:
    """The log of the bump of the gaussian and von Mises kinds."""
    if population.kind == "gaussian":
        return -0.5 * (x / population.width) ** 2
    return -2 * np.sin(x / 2) ** 2 / population.width**2  # cos x - 1, without cancellation


def cholesky(covariance: ArrayLike, vector: Array) -> Array:
    """The lower triangular L with L L^T = Sigma; refuses what is no covariance of the vector."""
    Sigma = np.asarray(covariance, np.float64)
    check_shapes(Sigma, vector)
    if np.abs(Sigma - Sigma.T).max() > 1e-10 * np.abs(Sigma).max():
        raise ValueError(f"the covariance, of shape {Sigma.shape}, must be symmetric")
    try:
        return np.linalg.cholesky(Sigma)
    except np.linalg.LinAlgError:
        raise ValueError(f"the covariance, of shape {Sigma.shape}, is not positive definite") from None


def check_shapes(Sigma: Array, vector: Array) -> None:
    """Refuse a vector that is not (K,) or a matrix that is not (K, K)."""
    if vector.ndim != 1 or Sigma.shape != (vector.size, vector.size):
        raise ValueError(f"covariance {Sigma.shape} and vector {vector.shape}: expected (K, K) and (K,)")


def check_counts(population: Population, counts: ArrayLike) -> Array:
    """Give the counts as float64; refuse another number of units."""
    n, units = np.asarray(counts, np.float64), population.preferred.size
    if n.shape[-1:] != (units,):
        raise ValueError(f"counts have shape {n.shape}, expected {units} units on the last axis")
    return n


def check_trials(trials: int) -> None:
    """Refuse fewer than one trial."""
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
