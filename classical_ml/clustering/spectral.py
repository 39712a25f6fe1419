r"""Spectral clustering: samples are vertices of a graph, clusters what falls apart when few edges are cut.

    W      affinities, w_ij = w_ji >= 0      D    degrees, d_i = sum_j w_ij
    L    = I - D^-1/2 W D^-1/2               the symmetric normalised Laplacian

    f^T L f = 1/2 sum_ij w_ij (f_i / sqrt(d_i) - f_j / sqrt(d_j))^2

That is 0 exactly for f = D^1/2 g with g constant on each connected component: L has as many eigenvalues 0 as
the graph has components. Where it is nearly falling apart it has as many small ones, and their eigenvectors
are nearly such indicators. The normalised cut looks for indicators that minimise f^T L f; if f may be any
vector, eigenvectors do (Rayleigh and Ritz). So take the first K as columns, scale each row to length 1, which
removes d_i, and let k-means find the K directions. Shape does not matter, only connection: two rings, one in
the other, are two clusters.

`numpy.linalg.eigh` costs O(N^3) and N^2 numbers: for some thousands of samples.

Shapes   X (N, D), W and L (N, N), embedding (N, K).
Source   Ng, Jordan & Weiss 2002, "On spectral clustering: analysis and an algorithm", sec. 2; von Luxburg
         2007, "A tutorial on spectral clustering", arXiv:0711.0189, sec. 2.2, 3.2 (propositions 3 and 4), 4
         and 5.3.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.clustering.kmeans import KMeans, squared_distances
from classical_ml.estimator import Clusterer


def rbf_affinity(X: np.ndarray, gamma: float) -> np.ndarray:
    """exp(-gamma |x_i - x_j|^2), for X (N, D) and gamma > 0: (N, N), symmetric, 1 on the diagonal."""
    raise NotImplementedError("classical_ml.clustering.spectral: TODO 1 of 6, rbf_affinity")


def knn_affinity(X: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Half the number of ways in which i and j are neighbours: 1 if each is one of the other, 1/2 if one is.

    Args:
        X: (N, D).
        n_neighbors: how many neighbours a sample has, in [1, N]. The sample itself is the first of them, as
            in scikit-learn; of others that are equally near, those in earlier rows come first.

    Returns:
        (N, N), symmetric, of 0, 1/2 and 1, with 1 on the diagonal.
    """
    raise NotImplementedError("classical_ml.clustering.spectral: TODO 2 of 6, knn_affinity")


def normalized_laplacian(W: np.ndarray) -> np.ndarray:
    """I - D^-1/2 W D^-1/2.

    Args:
        W: (N, N), symmetric, >= 0; not modified. Its diagonal, edges from a vertex to itself, is not used.

    Returns:
        (N, N), symmetric, with eigenvalues in [0, 2]; 1 on the diagonal, but row and column 0 for a vertex
        without edges: a component of its own, which counts as one more eigenvalue 0.
    """
    raise NotImplementedError("classical_ml.clustering.spectral: TODO 3 of 6, normalized_laplacian")


def count_components(W: np.ndarray) -> int:
    """The number of connected components of the graph W (N, N): of eigenvalues of its Laplacian up to N eps.

    eps is that of the dtype. Components that edges as weak as rounding errors connect count as separate.
    """
    raise NotImplementedError("classical_ml.clustering.spectral: TODO 4 of 6, count_components")


def spectral_embedding(W: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples in the coordinates in which connection is nearness.

    Args:
        W: (N, N), symmetric, >= 0.
        n_components: K, in [1, N].

    Returns:
        The eigenvectors (N, K) of the K smallest eigenvalues of the Laplacian, each *row* scaled to length 1
        (a row of zeros stays); and the eigenvalues (K,), smallest first.
    """
    raise NotImplementedError("classical_ml.clustering.spectral: TODO 5 of 6, spectral_embedding")


class SpectralClustering(Clusterer):
    """Clusters of the graph of affinities: normalised cuts by K eigenvectors and k-means on their rows.

    scikit-learn divides the rows by sqrt(d_i) where this divides them by their length (Ng, Jordan & Weiss).

    Args:
        n_clusters: K, an int in [1, inf), at most the number of samples.
        affinity: "rbf", "nearest_neighbors" or "precomputed": X is W itself.
        gamma: of `rbf_affinity`, a float in (0, inf): 1 / (2 sigma^2) for neighbourhoods of size sigma.
        n_neighbors: of `knn_affinity`, an int in [1, inf); more than N count as N.
        n_init: starts of k-means, an int in [1, inf).
        rng: source of randomness, for k-means.

    Attributes:
        labels_: (N,), ints in [0, K).
        affinity_matrix_: W (N, N).
        embedding_: (N, K), as `spectral_embedding`.
        eigenvalues_: (K,), those of the embedding: how well the graph can be cut.
        n_features_in_: the number of columns of X.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        affinity: str = "rbf",
        gamma: float = 1.0,
        n_neighbors: int = 10,
        n_init: int = 10,
        rng: np.random.Generator | None = None,
    ):
        self.n_clusters = n_clusters
        self.affinity = affinity
        self.gamma = gamma
        self.n_neighbors = n_neighbors
        self.n_init = n_init
        self.rng = rng

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Cluster the rows of X (N, D), or the vertices of W (N, N); ``y`` is ignored. Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above, ``rng`` included.
            ValueError: as `Estimator.check_X`; fewer samples than clusters (the message names both numbers);
                or a precomputed W is not square (its shape), has a negative entry (the least) or is not
                symmetric up to rounding (an entry and its mirror image).
        """
        raise NotImplementedError("classical_ml.clustering.spectral: TODO 6 of 6, SpectralClustering.fit")


def require_affinities(W: np.ndarray) -> None:
    """Refuse a matrix that is not square, symmetric and >= 0."""
    if W.shape[0] != W.shape[1]:
        raise ValueError(f"a precomputed affinity must be square, got shape {W.shape}")
    if W.min() < 0:
        raise ValueError(f"affinities must be >= 0, got {W.min()}: distances d become so by exp(-gamma d^2)")
    apart = np.abs(W - W.T)
    if apart.max() > 1e3 * np.finfo(W.dtype).eps * W.max():
        i, j = np.unravel_index(apart.argmax(), W.shape)
        raise ValueError(
            f"affinities must be symmetric, got {W[i, j]} at ({i}, {j}), {W[j, i]} at ({j}, {i})"
        )
