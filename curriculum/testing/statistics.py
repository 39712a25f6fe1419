"""Tests of randomness that state how often they would refuse a right answer.

Each takes ``alpha``, the probability of a false alarm for an ideal generator; with a fixed seed the outcome
is the same in every run, so alpha is the chance that a different but right implementation is refused once.

Source   Wilks 2011, Statistical Methods in the Atmospheric Sciences, 3rd ed., sec. 5.2 (mean, variance);
         Pearson 1900 (chi-square), with the Wilson-Hilferty 1931 approximation to its quantile.
"""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

import numpy as np


def mean_is(samples: np.ndarray, mean: float, sd: float, what: str, alpha: float = 1e-6) -> None:
    """Check that independent samples of standard deviation ``sd`` have this mean (normal approximation)."""
    __tracebackhide__ = True
    n = samples.size
    allowed = NormalDist().inv_cdf(1 - alpha / 2) * sd / sqrt(n)
    got = float(np.mean(samples))
    if not abs(got - mean) <= allowed:
        raise AssertionError(
            f"the mean of {what} is wrong\n  {got:.5g} over {n} samples, expected {mean:.5g} ± {allowed:.2g}"
        )


def variance_is(
    samples: np.ndarray, variance: float, what: str, alpha: float = 1e-6, kurtosis: float = 3.0
) -> None:
    """Check the variance of independent samples around their own mean.

    Args:
        kurtosis: fourth standardised moment of the distribution: 3 normal, 1.8 uniform.
    """
    __tracebackhide__ = True
    n = samples.size
    allowed = NormalDist().inv_cdf(1 - alpha / 2) * variance * sqrt((kurtosis - 1) / n)
    got = float(np.var(samples))
    if not abs(got - variance) <= allowed:
        raise AssertionError(
            f"the variance of {what} is wrong\n"
            f"  {got:.5g} over {n} samples, expected {variance:.5g} ± {allowed:.2g}"
        )


def uniform_counts(counts: np.ndarray, what: str, alpha: float = 1e-6) -> None:
    """Check that counts come from equally likely categories (chi-square, upper tail)."""
    __tracebackhide__ = True
    counts = np.asarray(counts, float)
    k, expected = counts.size - 1, counts.mean()
    score = float(((counts - expected) ** 2 / expected).sum())
    limit = k * (1 - 2 / (9 * k) + NormalDist().inv_cdf(1 - alpha) * sqrt(2 / (9 * k))) ** 3
    if not score <= limit:
        raise AssertionError(
            f"{what} is not uniform\n"
            f"  counts {counts.astype(int).tolist()[:10]}: "
            f"chi-square {score:.1f}, expected at most {limit:.1f}"
        )
