r"""Agglomerative clustering: every sample begins alone, and the two nearest clusters merge until one is left.

    single     d(A, B) = min |a - b|                         complete   d(A, B) = max |a - b|
    average    d(A, B) = mean |a - b|                        over all a in A, b in B
    ward       d(A, B) = sqrt(2 |A| |B| / (|A| + |B|)) |mean(A) - mean(B)|

Ward's d^2 / 2 is what the merger adds to the sum of squared distances of the samples to the means of their
clusters. After a merger the samples are not needed again: for each of these linkages d(A u B, C) follows from
d(A, C), d(B, C), d(A, B) and the sizes (Lance and Williams). So the N x N matrix of distances is enough.

Which two are nearest? Searching the matrix each time costs N^3. A chain of nearest neighbours costs N^2: from
any cluster go to its nearest, from there to its nearest, until two are each other's nearest, and merge these.
For these linkages a union is never nearer to C than the nearer of its parts was, so the rest of the chain
stays valid, and the pairs found, sorted by their distance, are those that the search would have found. For
the same reason the heights of the mergers never fall.

Memory: the matrix, 8 N^2 bytes (800 MB for 10,000 samples).
Ties     The chain begins, and begins again when it is empty, at the cluster of sample 0. It stays where it
         came from if nobody is nearer, and else goes to the lowest of the nearest, each known by its first
         sample. Mergers of equal height keep the order in which the chain found them.
Shapes   X (N, D), distances (N, N), tree Z (N - 1, 4), labels (N,).
Source   Lance & Williams 1967, "A general theory of classificatory sorting strategies: 1. Hierarchical
         systems"; Muellner 2011, "Modern hierarchical, agglomerative clustering algorithms",
         arXiv:1109.2378, sec. 2 and 3.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Clusterer

LINKAGES = ("ward", "complete", "average", "single")


def pairwise_distances(X: np.ndarray) -> np.ndarray:
    """|x_i - x_j| by subtraction, right to the last digits wherever the origin is.

    Args:
        X: (N, D).

    Returns:
        (N, N) in float64, symmetric, 0 on the diagonal.
    """
    X = X.astype(np.float64)
    distances = np.zeros((len(X), len(X)))
    for i, x in enumerate(X):
        difference = X[i + 1 :] - x
        distances[i, i + 1 :] = np.sqrt(np.einsum("nd,nd->n", difference, difference))
    return distances + distances.T


def merged_distances(
    method: str,
    to_a: np.ndarray,
    to_b: np.ndarray,
    between: float,
    size_a: float,
    size_b: float,
    sizes: np.ndarray,
) -> np.ndarray:
    """The distances of A u B to other clusters C, from those of A and of B.

    Args:
        method: a linkage. For "ward" all distances, given and returned, are squared.
        to_a, to_b: d(A, C) and d(B, C), (M,); infinite where a cluster does not exist.
        between: d(A, B).
        size_a, size_b: the numbers of samples in A and B.
        sizes: those in the C, (M,).

    Returns:
        (M,), infinite where ``to_a`` and ``to_b`` are.
    """
    if method == "single":
        return np.minimum(to_a, to_b)
    if method == "complete":
        return np.maximum(to_a, to_b)
    if method == "average":
        return (size_a * to_a + size_b * to_b) / (size_a + size_b)
    total = size_a + size_b + sizes
    return ((size_a + sizes) * to_a + (size_b + sizes) * to_b - sizes * between) / total


def agglomerate(distances: np.ndarray, method: str) -> np.ndarray:
    """Merge the nearest clusters until one is left.

    Args:
        distances: (N, N), symmetric, >= 0; not modified. For "ward" they have to be Euclidean.
        method: "single", "complete", "average" or "ward".

    Returns:
        The tree Z (N - 1, 4), float64, in the format of SciPy: row i merges the clusters Z[i, 0] < Z[i, 1] at
        the height Z[i, 2] into the cluster N + i of Z[i, 3] samples; clusters 0 to N - 1 are the samples.
        Heights never fall.
    """
    n = len(distances)
    D = np.square(distances) if method == "ward" else distances.astype(np.float64)
    np.fill_diagonal(D, np.inf)
    sizes = np.ones(n)  # a cluster lives in the row of its first sample
    heights = np.zeros(n)
    mergers: list[tuple[int, int, float]] = []
    chain: list[int] = []
    while len(mergers) < n - 1:
        if not chain:
            chain.append(0)  # the cluster of sample 0 lives in row 0 to the end
        here = chain[-1]
        there = int(D[here].argmin())
        if len(chain) == 1 or D[here, there] < D[here, chain[-2]]:
            chain.append(there)
            continue
        a, b = sorted(chain[-2:])
        del chain[-2:]
        # rounding may put a merger an ulp below those inside it, which would then be sorted after it
        heights[a] = max(D[a, b], heights[a], heights[b])
        mergers.append((a, b, heights[a]))
        row = merged_distances(method, D[a], D[b], D[a, b], sizes[a], sizes[b], sizes)
        row[[a, b]] = np.inf
        D[b] = D[:, b] = np.inf
        D[a] = D[:, a] = row
        sizes[a] += sizes[b]
    tree = number(mergers)
    if method == "ward":
        tree[:, 2] = np.sqrt(tree[:, 2])
    return tree


def number(mergers: list[tuple[int, int, float]]) -> np.ndarray:
    """Sort mergers by height and name the clusters.

    Args:
        mergers: N - 1 of (first sample of A, first sample of B, height); every cluster after its parts, and
            not below them. The first sample of the union is the lower of the two.

    Returns:
        Z (N - 1, 4), as `agglomerate` returns it; mergers of equal height stay in their order.
    """
    n = len(mergers) + 1
    names, sizes = list(range(n)), [1] * n  # of the cluster in the row of its first sample
    tree = np.empty((n - 1, 4))
    for i, (a, b, height) in enumerate(sorted(mergers, key=lambda merger: merger[2])):
        sizes[a] += sizes[b]
        tree[i] = *sorted((names[a], names[b])), height, sizes[a]
        names[a] = n + i
    return tree


def linkage(X: np.ndarray, method: str = "ward") -> np.ndarray:
    """The tree Z (N - 1, 4) of the samples X (N, D), as `agglomerate` returns it.

    Raises:
        ValueError: ``method`` is none of the four linkages; the message names it and them.
    """
    if method not in LINKAGES:
        raise ValueError(f"method must be one of {', '.join(LINKAGES)}, got {method!r}")
    return agglomerate(pairwise_distances(X), method)


def cut(tree: np.ndarray, n_clusters: int) -> np.ndarray:
    """The clusters after the first N - n_clusters mergers.

    Args:
        tree: Z (N - 1, 4).
        n_clusters: 1 to N.

    Returns:
        labels (N,), ints: clusters 0, 1, ... in the order of their first samples.
    """
    n = len(tree) + 1
    owner = np.arange(2 * n - 1)
    for i in reversed(range(n - n_clusters)):  # from the top: the parts belong to whom the whole belongs to
        owner[tree[i, :2].astype(np.intp)] = owner[n + i]
    _, first, place = np.unique(owner[:n], return_index=True, return_inverse=True)
    return first.argsort().argsort()[place]


class AgglomerativeClustering(Clusterer):
    """Merge the two nearest clusters, again and again, and stop at a number of clusters or at a distance.

    Args:
        n_clusters: how many to find, an int in [1, inf), at most N; None if ``distance_threshold`` is given.
        linkage: "ward", "complete", "average" or "single".
        distance_threshold: clusters at this distance or farther apart do not merge, a float in [0, inf); None
            if ``n_clusters`` is given.

    Attributes:
        labels_: (N,), ints, numbered in the order of the clusters' first samples.
        n_clusters_: how many there are.
        n_leaves_: N.
        children_: (N - 1, 2), ints, and
        distances_: (N - 1,), the first two columns and the third of the full tree, see `agglomerate`.
        n_features_in_: D.
    """

    def __init__(
        self,
        n_clusters: int | None = 2,
        *,
        linkage: str = "ward",
        distance_threshold: float | None = None,
    ):
        self.n_clusters = n_clusters
        self.linkage = linkage
        self.distance_threshold = distance_threshold

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Build the tree of X (N, D) and cut it; ``y`` is ignored. Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Estimator.check_X`; both or none of ``n_clusters`` and ``distance_threshold`` are
                given (the message names both); or fewer samples than clusters (both numbers).
        """
        if (self.n_clusters is None) == (self.distance_threshold is None):
            raise ValueError(
                "Exactly one of n_clusters and distance_threshold has to be set, the other to None: got "
                f"{self.n_clusters} and {self.distance_threshold}"
            )
        self.check_option("linkage", LINKAGES)
        if self.n_clusters is None:
            self.check_number("distance_threshold", float, 0.0)
        else:
            self.check_number("n_clusters", int, 1)
        X = self.check_X(X)
        if self.n_clusters is not None and self.n_clusters > len(X):
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={self.n_clusters}")
        tree = linkage(X, self.linkage)
        self.children_, self.distances_ = tree[:, :2].astype(np.intp), tree[:, 2]
        if self.n_clusters is None:
            self.n_clusters_ = 1 + int(np.count_nonzero(self.distances_ >= self.distance_threshold))
        else:
            self.n_clusters_ = self.n_clusters
        self.labels_, self.n_leaves_ = cut(tree, self.n_clusters_), len(X)
        self.n_features_in_ = X.shape[1]
        return self
