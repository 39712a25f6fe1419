r"""DBSCAN: a cluster is a crowd, whatever its shape, and who stands alone belongs to none.

    N(x) = {samples at a distance <= eps of x}, x itself included
    core sample     |N(x)| >= min_samples
    cluster         core samples linked by steps of at most eps from core to core, and all samples near them
    border sample   not core, but in N(x) of a core sample x
    noise           everybody else, labelled -1

Clusters are thus the connected components of a graph: which core samples belong together, who is a border
sample and who is noise depends on nothing but the data. Two things are conventions. Clusters are numbered in
the order of their first core sample. And a border sample near several clusters goes to the first of these:
"near" does not pass through it, or two crowds with one stranger between them would be one.

Finding the neighbourhoods is nearly all of the work: N log N with a k-d tree in few dimensions, N^2 at worst.
All are held in memory at once, and there may be N^2 pairs of neighbours.

Shapes   X (N, D), labels (N,).
Source   Ester, Kriegel, Sander & Xu 1996, "A density-based algorithm for discovering clusters in large
         spatial databases with noise", sec. 3 (definitions 1-6) and 4.1 (the algorithm).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.classification.knn import NearestNeighbors
from classical_ml.estimator import Clusterer


def neighborhoods(
    X: np.ndarray, eps: float, algorithm: str = "auto", leaf_size: int = 30
) -> list[np.ndarray]:
    """The rows of X at a distance <= eps of each row, itself included.

    Args:
        X: (N, D).
        eps: > 0.
        algorithm, leaf_size: how they are found, as in `NearestNeighbors`.

    Returns:
        N arrays of ints, in any order.
    """
    search = NearestNeighbors(radius=eps, algorithm=algorithm, leaf_size=leaf_size)
    return search.fit(X).radius_neighbors(X)[1]


def grow(neighbors: list[np.ndarray], core: np.ndarray) -> np.ndarray:
    """Clusters from their first core sample outwards: a ring of neighbours at a time, as long as it has any.

    A cluster may be as many rings deep as it has samples, far beyond the limit of recursion.

    Args:
        neighbors: N arrays of ints, the neighbourhood of each sample; j is in that of i if i is in that of j.
        core: bools (N,), who passes membership on to the neighbours.

    Returns:
        labels (N,), ints: 0, 1, ... in the order of the clusters' first core samples; for samples that are
        not core, the first cluster with a core sample in their neighbourhood, or -1.
    """
    labels = np.full(len(core), -1)
    cluster = 0
    for seed in np.flatnonzero(core):
        if labels[seed] >= 0:
            continue
        labels[seed] = cluster
        ring = np.array([seed])
        while len(ring):
            near = np.concatenate([neighbors[i] for i in ring])
            new = np.unique(near[labels[near] < 0])
            labels[new] = cluster
            ring = new[core[new]]
        cluster += 1
    return labels


class DBSCAN(Clusterer):
    """Group samples by density. The number of clusters is found, not given.

    Args:
        eps: the radius of a neighbourhood, a float in (0, inf); a sample at exactly eps is inside.
        min_samples: how many samples make a neighbourhood dense, its centre included. An int in [1, inf);
            with 1 every sample is core, and with 2 noise is who has no neighbour.
        algorithm: how neighbours are found, "auto", "brute" or "kd_tree"; the result is the same.
        leaf_size: of the tree, an int in [1, inf).

    Attributes:
        labels_: (N,), ints: clusters 0, 1, ..., noise -1.
        core_sample_indices_: (C,), ints, ascending.
        components_: (C, D), a copy of the core samples, in the dtype of X.
        n_features_in_: D.
    """

    def __init__(
        self, eps: float = 0.5, *, min_samples: int = 5, algorithm: str = "auto", leaf_size: int = 30
    ):
        self.eps = eps
        self.min_samples = min_samples
        self.algorithm = algorithm
        self.leaf_size = leaf_size

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Find the clusters of X (N, D), in its own dtype; ``y`` is ignored. Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Estimator.check_X`.
        """
        self.check_number("eps", float, 0.0, low_open=True)
        self.check_number("min_samples", int, 1)
        self.check_option("algorithm", ("auto", "brute", "kd_tree"))
        self.check_number("leaf_size", int, 1)
        X = self.check_X(X)
        neighbors = neighborhoods(X, self.eps, self.algorithm, self.leaf_size)
        core = np.array([len(near) for near in neighbors]) >= self.min_samples
        self.labels_ = grow(neighbors, core)
        self.core_sample_indices_ = np.flatnonzero(core)
        self.components_ = X[core]
        self.n_features_in_ = X.shape[1]
        return self
