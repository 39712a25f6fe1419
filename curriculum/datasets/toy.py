"""Labelled points in the plane, made rather than measured: each set is hard for a different method.

Shapes: N points; every function returns (points, labels) as (N, 2) float64 and (N,) int64, in random order,
classes as equal in number as N allows (the first get the rest).
"""

from __future__ import annotations

import math

import numpy as np

Labelled = tuple[np.ndarray, np.ndarray]


def two_moons(n: int, *, noise: float = 0.1, rng: np.random.Generator) -> Labelled:
    """Two half circles of radius 1 that reach into each other: no straight line separates them.

    Args:
        n: number of points.
        noise: standard deviation of the Gaussian added to each coordinate; the half circles are 0.5 apart.
        rng: source of randomness.

    Returns:
        points (N, 2), labels (N,): 0 on the upper half circle around (0, 0), 1 on the lower around (1, 0.5).

    Raises:
        ValueError: n is not positive, or noise is negative.
    """
    labels = _labels(n, 2, noise)
    angle = rng.uniform(0.0, math.pi, n)
    side = 1.0 - 2.0 * labels  # 1 for the upper moon, -1 for the lower
    points = np.stack([side * np.cos(angle) + labels, side * np.sin(angle) + 0.5 * labels], axis=1)  # (N, 2)
    return _finish(points, labels, noise, rng)


def circles(n: int, *, noise: float = 0.1, ratio: float = 0.5, rng: np.random.Generator) -> Labelled:
    """Two circles around the origin, one in the other: only the distance from the origin tells them apart.

    Args:
        n: number of points.
        noise: standard deviation of the Gaussian added to each coordinate.
        ratio: radius of the inner circle, that of the outer is 1; in (0, 1).
        rng: source of randomness.

    Returns:
        points (N, 2), labels (N,): 0 outer, 1 inner.

    Raises:
        ValueError: n is not positive, noise is negative, or ratio is not in (0, 1).
    """
    labels = _labels(n, 2, noise)
    if not 0.0 < ratio < 1.0:
        raise ValueError(f"ratio must be in (0, 1), got {ratio}")
    angle = rng.uniform(0.0, 2.0 * math.pi, n)
    radius = np.where(labels == 1, ratio, 1.0)
    return _finish(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), labels, noise, rng)


def spirals(
    n: int, *, arms: int = 3, turns: float = 0.75, noise: float = 0.02, rng: np.random.Generator
) -> Labelled:
    """Interleaved spirals, one a class: a network has to bend its boundary all the way round.

    Args:
        n: number of points.
        arms: number of spirals and classes, K.
        turns: how often an arm goes round on its way from radius 0 to radius 1.
        noise: standard deviation of the Gaussian added to each coordinate.
        rng: source of randomness.

    Returns:
        points (N, 2), labels (N,) in [0, K).

    Raises:
        ValueError: n or arms is not positive, or noise is negative.
    """
    labels = _labels(n, arms, noise)
    radius = np.sqrt(rng.uniform(0.0, 1.0, n))  # the root keeps the density even along an arm
    angle = 2.0 * math.pi * (turns * radius + labels / arms)
    return _finish(radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), labels, noise, rng)


def blobs(n: int, *, centers: int = 3, spread: float = 0.1, rng: np.random.Generator) -> Labelled:
    """Round Gaussian clouds whose centers are evenly spaced on the unit circle.

    Args:
        n: number of points.
        centers: number of clouds and classes, K.
        spread: standard deviation of a cloud.
        rng: source of randomness.

    Returns:
        points (N, 2), labels (N,) in [0, K): cloud k is around the angle 2 pi k / K.

    Raises:
        ValueError: n or centers is not positive, or spread is negative.
    """
    labels = _labels(n, centers, spread)
    angle = 2.0 * math.pi * labels / centers
    return _finish(np.stack([np.cos(angle), np.sin(angle)], axis=1), labels, spread, rng)


def _labels(n: int, classes: int, noise: float) -> np.ndarray:
    """(N,) labels 0, 1, ..., K-1, 0, 1, ...: classes differ by one point at most."""
    if n < 1 or classes < 1:
        raise ValueError(f"a data set needs at least one point and one class, got {n} and {classes}")
    if noise < 0.0:
        raise ValueError(f"a standard deviation cannot be negative, got {noise}")
    return np.arange(n) % classes


def _finish(points: np.ndarray, labels: np.ndarray, noise: float, rng: np.random.Generator) -> Labelled:
    """Blur the points and put them in random order."""
    points = points + noise * rng.standard_normal(points.shape)
    order = rng.permutation(len(labels))
    return points[order], labels[order].astype(np.int64)
