r"""How well two groupings agree, and how much of a space a map keeps: numbers for figures.

    adjusted Rand       (pairs together in both - expected) / (most possible - expected)
    nearest neighbour   share of the samples whose nearest other sample has their label
    trustworthiness     1 - 2 / (N k (2N - 3k - 1)) * sum_i sum_{j in U_i} (r(i, j) - k), where U_i are those
                        of the k neighbours of i on the map that are not among its k neighbours in the space,
                        and r(i, j) says the how-many-th neighbour j is there

Shapes   N samples, D features, K coordinates on a map.
Source   Hubert & Arabie 1985, "Comparing partitions", J. Classification 2, eq. 5; Venna & Kaski 2001,
         "Neighborhood preservation in nonlinear projection methods", ICANN, eq. 1.
"""

from __future__ import annotations

import numpy as np


def adjusted_rand(labels: np.ndarray, others: np.ndarray) -> float:
    """How much two groupings of the same samples agree, whatever the groups are called.

    Args:
        labels: (N,), ints; a label of its own for noise makes a group of it.
        others: (N,), ints.

    Returns:
        1 for the same grouping, 0 on average for groups of the same sizes drawn at random, below 0 for worse.
        Two groupings into one group, or into N, are the same.
    """
    if labels.shape != others.shape or labels.ndim != 1:
        raise ValueError(
            f"two groupings of the same samples have equal shapes (N,), got {labels.shape}, {others.shape}"
        )
    rows, columns = (np.unique(groups, return_inverse=True)[1] for groups in (labels, others))
    counts = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(counts, (rows, columns), 1)

    def pairs(sizes: np.ndarray) -> float:
        return float((sizes * (sizes - 1)).sum() / 2)

    one, two, all_ = pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0)), pairs(np.array([len(labels)]))
    expected, most = one * two / all_ if all_ else 0.0, (one + two) / 2
    return 1.0 if most == expected else (pairs(counts) - expected) / (most - expected)


def renamed(found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """``found`` with names that fit ``labels``: groups that overlap most are called the same, -1 stays.

    Args:
        found: (N,), ints, -1 for noise.
        labels: (N,), ints in [0, K).

    Returns:
        (N,), the same grouping: names are 0, 1, ... without gaps as far as ``labels`` has partners.
    """
    groups, classes = [int(g) for g in np.unique(found) if g >= 0], np.unique(labels)
    overlaps = sorted(
        ((int(((found == g) & (labels == c)).sum()), g, int(c)) for g in groups for c in classes),
        key=lambda overlap: (-overlap[0], overlap[1:]),
    )
    names: dict[int, int] = {}
    for _, g, c in overlaps:
        if g not in names and c not in names.values():
            names[g] = c
    free = (name for name in range(len(groups) + len(classes)) if name not in names.values())
    names |= {g: next(free) for g in groups if g not in names}
    return np.array([names.get(int(g), -1) for g in found])


def squared_distances(X: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, N), float64; infinite on the diagonal: nobody is a neighbour of itself."""
    X = X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)
    squares = (X**2).sum(axis=1)
    distances = squares[:, None] + squares - 2.0 * X @ X.T
    np.fill_diagonal(distances, np.inf)
    return distances


def nearest_neighbor_accuracy(X: np.ndarray, labels: np.ndarray) -> float:
    """The share of samples whose nearest other sample has their label: 1-nearest-neighbour, leaving one out.

    Args:
        X: (N, D).
        labels: (N,).
    """
    return float((labels[squared_distances(X).argmin(axis=1)] == labels).mean())


def neighbors(X: np.ndarray, k: int) -> np.ndarray:
    """(N, D) -> (N, k): the k nearest other samples of each, the nearest first."""
    return squared_distances(X).argsort(axis=1, kind="stable")[:, :k]


def kept_neighbors(X: np.ndarray, Y: np.ndarray, k: int) -> float:
    """The mean share of the k nearest neighbours in X that are among the k nearest in Y, in [0, 1]."""
    one, two = neighbors(X, k), neighbors(Y, k)
    return float((one[:, :, None] == two[:, None, :]).any(axis=2).mean())


def trustworthiness(X: np.ndarray, Y: np.ndarray, k: int) -> float:
    """Whether neighbours on the map Y are neighbours in the space X, too.

    Args:
        X: (N, D).
        Y: (N, K).
        k: how many neighbours, in [1, N / 2).

    Returns:
        In [0, 1]: 1 if no stranger is among the k nearest on the map; about 0.5 for a map drawn at random.
    """
    n = len(X)
    if not 1 <= k < n / 2:
        raise ValueError(f"k must be in [1, N / 2), got {k} with N = {n}")
    order = squared_distances(X).argsort(axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(1, n + 1)[None, :], axis=1)  # 1 for the nearest
    strangers = np.maximum(np.take_along_axis(rank, neighbors(Y, k), axis=1) - k, 0).sum()
    return float(1.0 - 2.0 * strangers / (n * k * (2 * n - 3 * k - 1)))
