r"""The plane of a path: principal directions of a training run, and what a random walk would show.

    centred path  Z = path - mean = U S V^T          directions: rows of V^T, explained: s_k^2 / sum of s_j^2

Two numbers a step, and the whole run is on one picture; often two directions explain 80 % of its variance.
But a walk of independent steps in a high dimension does so too, without any structure in it. Its steps are
nearly orthogonal and of one length, and that alone fixes the Gram matrix of the path, hence everything:

    explained(k)  =  3 / (2 (T^2 - 1) sin^2(pi k / 2T))  ->  6 / (pi k)^2        61 %, 15 %, 6.8 %, ...
    coordinates   ~  cos(pi k (t + 1/2) / T)                                     so that planes show parabolas

What is a discovery is the difference to that.

Shapes   path (T, P), a row for each point of parameters; k directions (k, P); coordinates (T, k).
Source   Antognini & Sohl-Dickstein 2018, "PCA of high dimensional random walks with comparison to neural
         network training", arXiv:1806.08805, sec. 2-3; Li et al. 2018, "Visualizing the loss landscape of
         neural nets", arXiv:1712.09913, sec. 7; Hess 2000, "Similarities between principal components of
         protein dynamics and random diffusion", Physical Review E 62, 8438 (cosine content).
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Array: TypeAlias = np.ndarray


class PathPlane(NamedTuple):
    """The directions along which a path varies most."""

    mean: Array  # (P,), of the points
    directions: Array  # (k, P), orthonormal rows
    explained: Array  # (k,), fractions of the variance, falling


class Projection(NamedTuple):
    """Points as seen in a plane, and how far off it they are."""

    coordinates: Array  # (T, k)
    distance: Array  # (T,), Euclidean, from each point to the plane


def explained(path: ArrayLike) -> Array:
    """Give the fraction of a path's variance along each principal direction.

    The squared singular values of the path less its mean, over their sum.

    Args:
        path: (T, P), T >= 2; only read.

    Returns:
        (min(T - 1, P),), falling, of sum 1.

    Raises:
        ValueError: path is not (T, P) with T >= 2 (its shape is named), is not finite (the first point that
            is not, counted from 0), or never moves.
    """
    return _svd(path)[2]


def plane_from_path(path: ArrayLike, k: int = 2) -> PathPlane:
    """Find the k orthonormal directions along which the path varies most: its principal components.

    Args:
        path: (T, P); only read.
        k: directions, in [1, min(T - 1, P)].

    Returns:
        The mean of the points; the directions, each with the sign that makes its entry of largest magnitude
        positive; and the fractions of the variance. Where a fraction is 0 the direction is any that is
        orthogonal to those before.

    Raises:
        ValueError: as `explained`; or k is out of range (the message names it and the largest).
    """
    mean, directions, fractions = _svd(path)
    if not 1 <= k <= len(fractions):
        raise ValueError(f"k must be in [1, min(T - 1, P)] = [1, {len(fractions)}], got {k}")
    directions = directions[:k]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], axis=1)  # (k, 1)
    return PathPlane(mean, np.where(largest < 0, -directions, directions), fractions[:k])


def project(points: ArrayLike, origin: ArrayLike, directions: ArrayLike) -> Projection:
    """Find the point of a plane nearest to each of several points: least squares.

        coordinates c minimise |points - origin - c @ directions|; the minimum is the distance

    Inner products with the directions would do for orthonormal ones. Those of a landscape are neither
    orthogonal nor of length 1.

    Args:
        points: (T, P); only read.
        origin: (P,), of coordinates 0.
        directions: (k, P), linearly independent.

    Returns:
        Coordinates (T, k) and distances (T,).

    Raises:
        ValueError: the directions are dependent (the message names their rank and k), or the shapes do not
            fit (all three are named).
    """
    points, origin, directions = (np.asarray(x, np.float64) for x in (points, origin, directions))
    if (
        points.ndim != 2
        or directions.ndim != 2
        or not points.shape[1:] == origin.shape == directions.shape[1:]
    ):
        raise ValueError(
            "expected points (T, P), origin (P,) and directions (k, P), "
            f"got {points.shape}, {origin.shape} and {directions.shape}"
        )
    offsets = points - origin
    coordinates, _, rank, _ = np.linalg.lstsq(directions.T, offsets.T, rcond=None)  # (k, T)
    if rank < len(directions):
        raise ValueError(f"directions must be independent, got {len(directions)} of rank {rank}")
    distance = np.linalg.norm(offsets - coordinates.T @ directions, axis=1)
    return Projection(coordinates.T, distance)


def random_walk_null(k: ArrayLike, points: int | None = None) -> Array:
    """Give the fraction of variance that component k of a random walk in many dimensions explains.

        6 / (pi k)^2                             of infinitely many points
        3 / (2 (T^2 - 1) sin^2(pi k / 2T))       of T points, k = 1 ... T - 1

    Both hold in the limit of infinitely many dimensions, where the steps are orthogonal.

    Args:
        k: component or components, from 1; any shape.
        points: T >= 2, or None for infinitely many.

    Returns:
        The fractions, in the shape of k; over all k they add up to 1.

    Raises:
        ValueError: points is below 2, or a k is below 1 or above T - 1; the message names it.
    """
    k = np.asarray(k)
    if points is not None and points < 2:
        raise ValueError(f"points must be at least 2, got {points}")
    if np.any(k < 1) or (points is not None and np.any(k >= points)):
        raise ValueError(f"k must be in [1, {'inf' if points is None else points - 1}], got {k}")
    if points is None:
        return 6 / (np.pi * k) ** 2
    return 1.5 / ((points**2 - 1) * np.sin(np.pi * k / (2 * points)) ** 2)


def random_walk_mode(k: int, points: int) -> Array:
    """Draw what component k of a random walk looks like: k half-waves of a cosine, of length 1.

    Args:
        k: component, in [1, T - 1].
        points: T.

    Returns:
        (T,): sqrt(2 / T) cos(pi k (t + 1/2) / T) for t = 0 ... T - 1; positive at the start.

    Raises:
        ValueError: k is not in [1, T - 1]; the message names it and T - 1.
    """
    if not 1 <= k < points:
        raise ValueError(f"k must be in [1, {points - 1}] for {points} points, got {k}")
    return np.sqrt(2 / points) * np.cos(np.pi * k * (np.arange(points) + 0.5) / points)


def cosine_content(coordinates: ArrayLike) -> Array:
    """Measure how much of each coordinate of a path is the cosine of a random walk.

        (m_k . c_k)^2 / |c_k|^2          c_k: column k less its mean, m_k: `random_walk_mode`, k = 1, 2, ...

    Args:
        coordinates: (T, k), k <= T - 1, along the principal directions in their order.

    Returns:
        (k,), in [0, 1]: near 1 a column cannot be told from a random walk's; 0 for a constant column.

    Raises:
        ValueError: coordinates is not (T, k) with k <= T - 1; the message names its shape.
    """
    c = np.asarray(coordinates, np.float64)
    if c.ndim != 2 or c.shape[1] >= c.shape[0]:
        raise ValueError(f"coordinates must be (T, k) with k <= T - 1, got shape {c.shape}")
    c = c - c.mean(axis=0)
    modes = np.stack([random_walk_mode(k + 1, len(c)) for k in range(c.shape[1])], axis=1)  # (T, k)
    size = np.sum(c * c, axis=0)
    return np.sum(modes * c, axis=0) ** 2 / np.where(size == 0, 1.0, size)


def _svd(path: ArrayLike) -> tuple[Array, Array, Array]:
    """Mean, principal directions (rows) and fractions of the variance of a path that moves."""
    x = np.asarray(path, np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"path must be (T, P) with T of at least 2, got shape {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"path must be finite, point {np.isfinite(x).all(axis=1).argmin()} is not")
    if (x == x[0]).all():
        raise ValueError(f"the path never moves: all {len(x)} points are the same")
    mean = x.mean(axis=0)
    _, s, directions = np.linalg.svd(x - mean, full_matrices=False)
    kept = min(len(x) - 1, x.shape[1])  # centred, T points span T - 1 dimensions
    variance = (s / s[0]) ** 2
    return mean, directions[:kept], variance[:kept] / variance[:kept].sum()
