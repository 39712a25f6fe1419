r"""A loss of many thousand weights, seen along two directions, and a path in the plane that it uses most.

    surface(a, b) = L(w + a u + b v)

A random direction means nothing by itself: in a ReLU network the weights of one layer can be multiplied by
ten and those of the next divided by ten, and the same function looks ten times flatter. *Filter
normalisation* gives each row of u the length of the row of w it is added to, which undoes that.

For the path of a training run the two directions are the principal components of its points. They show more
variance than any others, and that proves little: a random walk in many dimensions shows 61 % of its variance
in its first component and 15 % in its second.

Shapes   P points of a path, D weights in all; a list of arrays is a network's parameters, in their order.
Source   Li et al. 2018, "Visualizing the loss landscape of neural nets", arXiv:1712.09913, sec. 4 and 7;
         Antognini & Sohl-Dickstein 2018, "PCA of high dimensional random walks with comparison to neural
         network training", arXiv:1806.08805, sec. 2 (the shares are 6 / (pi k)^2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Weights = list[np.ndarray]


def random_direction(weights: Sequence[np.ndarray], rng: np.random.Generator, *, normalised: bool) -> Weights:
    """A Gaussian direction in the space of ``weights``, zero for biases.

    Args:
        weights: matrices (K, D), one row a unit, and vectors, which are taken for biases.
        rng: source of randomness.
        normalised: give each row the length of the row in ``weights``; else each array that of its array.
    """
    directions = []
    for w in weights:
        d = rng.standard_normal(w.shape)
        axes = tuple(range(1, w.ndim)) if normalised else None
        length = np.sqrt((w * w).sum(axis=axes, keepdims=True) / (d * d).sum(axis=axes, keepdims=True))
        directions.append(d * length if w.ndim > 1 else np.zeros(w.shape))
    return directions


def surface(
    loss: Callable[[Weights], float],
    center: Sequence[np.ndarray],
    u: Sequence[np.ndarray],
    v: Sequence[np.ndarray],
    a: np.ndarray,
    b: np.ndarray,
) -> np.ndarray:
    """The loss at ``center + a u + b v`` for all pairs: (len(b), len(a)), as contour plots want it."""
    values = np.empty((len(b), len(a)))
    for i, j in np.ndindex(*values.shape):
        values[i, j] = loss([w + a[j] * p + b[i] * q for w, p, q in zip(center, u, v, strict=True)])
    return values


def principal_plane(path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The plane in which a path shows most of its variance.

    Args:
        path: (P, D), P >= 3.

    Returns:
        two orthonormal directions (2, D), the path's last point being the origin; its coordinates (P, 2);
        and the shares of the variance that the two directions explain, (2,).
    """
    middle = path.mean(axis=0)
    _, s, directions = np.linalg.svd(path - middle, full_matrices=False)  # (P,), (P, D)
    axes = directions[:2]
    axes = axes * np.where((path[-1] - path[0]) @ axes.T < 0, -1.0, 1.0)[:, None]  # the end lies right and up
    return axes, (path - path[-1]) @ axes.T, s[:2] ** 2 / (s**2).sum()


def flat(weights: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers of ``weights`` in a row, (D,), float64."""
    return np.concatenate([w.ravel() for w in weights]).astype(np.float64)


def shaped(vector: np.ndarray, weights: Sequence[np.ndarray]) -> Weights:
    """The inverse of `flat`, in the shapes of ``weights``."""
    ends = np.cumsum([w.size for w in weights])
    parts = np.split(vector, ends[:-1])
    return [part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)]
