r"""k-means: K centres with a small sum of squared distances from each sample to its nearest centre.

    inertia(C) = sum_i min_k |x_i - c_k|^2

Lloyd's algorithm repeats two steps, neither of which can raise it:

    assign   each sample goes to its nearest centre, the first of several that are equally near
    move     each centre goes to the mean of its samples, the point with the least sum of squares to them

There are finitely many ways to share out the samples, so it ends, at a fixed point: a local minimum, which
the start decides. k-means++ draws the start from the samples, each with probability in proportion to its
squared distance from the centres drawn so far; the expected inertia is then at most 8 (ln K + 2) times the
best. A centre that lost all its samples is moved to where it helps (`fill_empty`), and inertia falls by it.

The distances need one matrix product, |x - c|^2 = |x|^2 - 2 x.c + |c|^2, where |x|^2 does not matter for
which centre is nearest; the sums that the means need are another, of X with the one-hot matrix of the
assignment. Both run in blocks of rows whose scratch stays in the cache. Far from the origin the formula
subtracts numbers that agree in most digits: data around 1e6 would lose 12 of them, so `KMeans` subtracts the
mean first.

Shapes   X (N, D), centers (K, D), labels (N,).
Source   Lloyd 1982, "Least squares quantization in PCM", sec. 2 (the two steps); Arthur & Vassilvitskii 2007,
         "k-means++: the advantages of careful seeding", sec. 2.2 and theorem 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Clusterer, Transformer

BLOCK = 1 << 19  # bytes: a block of distances that stays in the second-level cache


def squared_distances(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """|x_i - c_k|^2 by subtraction, right to the last digits wherever the origin is.

    Args:
        X: (N, D).
        centers: (K, D).

    Returns:
        (N, K), >= 0, exactly 0 where a sample is the centre.
    """
    distances = np.empty((len(X), len(centers)), np.result_type(X, centers))
    for k, center in enumerate(centers):
        difference = X - center  # (N, D)
        np.einsum("nd,nd->n", difference, difference, out=distances[:, k])
    return distances


def kmeans_plusplus(
    X: np.ndarray, n_clusters: int, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw K samples as centres: the first uniformly, each further one with probability D^2 / sum D^2.

    D^2 is a sample's squared distance to the nearest centre drawn so far. Where all samples lie on centres
    already (fewer different samples than K), the draw is uniform. One candidate a draw, as in the paper:
    scikit-learn's variant draws several and keeps the best.

    Args:
        X: (N, D), N >= 1.
        n_clusters: K >= 1.
        rng: source of randomness.

    Returns:
        centers (K, D), and the rows of X that they are, ints (K,).
    """
    indices = np.empty(n_clusters, np.intp)
    nearest = np.ones(len(X))  # before the first draw all samples are equally far
    for k in range(n_clusters):
        total = nearest.sum()
        indices[k] = rng.choice(len(X), p=nearest / total if total > 0 else None)
        distances = squared_distances(X, X[indices[k], None])[:, 0].astype(np.float64)
        nearest = distances if k == 0 else np.minimum(nearest, distances)
    return X[indices], indices


def assign(X: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share the samples out to their nearest centres.

    Args:
        X: (N, D), around the origin: distances are right to about eps |x|^2.
        centers: (K, D), of the dtype of X.

    Returns:
        labels (N,), ints: the nearest centre, the first of equally near ones;
        sums (K, D), float64: the sum of the samples of each centre;
        counts (K,), ints: how many these are.
    """
    n_clusters = len(centers)
    labels = np.empty(len(X), np.intp)
    sums, counts = np.zeros(centers.shape), np.zeros(n_clusters)
    doubled, squares = -2 * centers, np.einsum("kd,kd->k", centers, centers)[:, None]  # (K, D), (K, 1)
    numbers = np.arange(n_clusters, dtype=X.dtype)
    rows = max(1, BLOCK // (64 * n_clusters * X.itemsize)) * 64
    ones = np.ones(rows, X.dtype)
    for start in range(0, len(X), rows):
        block = X[start : start + rows]
        scores = doubled @ block.T  # (K, B)
        scores += squares
        one_hot = (scores == scores.min(axis=0)).astype(X.dtype)
        inside = one_hot @ ones[: len(block)]
        if inside.sum() != len(block):  # a sample between two centres counts once, for the first
            one_hot = (numbers[:, None] == scores.argmin(axis=0)).astype(X.dtype)
            inside = one_hot @ ones[: len(block)]
        labels[start : start + rows] = numbers @ one_hot
        sums += one_hot @ block
        counts += inside
    return labels, sums, counts.astype(np.intp)


def fill_empty(X: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each centre without samples the one sample that is farthest from its own centre.

    In the order of the centres: the farthest sample (the first of several) leaves its cluster, whose centre
    becomes the mean of the rest, and the empty centre moves onto it. Where the farthest sample's cluster
    holds copies of one sample only, there is nothing to split: the centres that are still empty stay.

    Args:
        X: (N, D).
        labels: (N,), ints in [0, K).
        centers: (K, D), each the mean of its samples, if it has any.

    Returns:
        New labels and new centres; the inputs are not modified.
    """
    labels, centers = labels.copy(), centers.copy()
    for empty in np.flatnonzero(np.bincount(labels, minlength=len(centers)) == 0):
        difference = X - centers[labels]
        farthest = np.einsum("nd,nd->n", difference, difference).argmax()
        donor = labels[farthest]
        if (X[labels == donor] == X[farthest]).all():
            break
        labels[farthest] = empty
        centers[empty] = X[farthest]
        centers[donor] = X[labels == donor].mean(axis=0)
    return labels, centers


def lloyd_step(X: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One iteration: assign, then move. The inertia of the new centres is not above that of ``centers``.

    Args:
        X: (N, D), around the origin.
        centers: (K, D), of the dtype of X; not modified.

    Returns:
        labels (N,), the nearest of the given ``centers``; and the next centres (K, D), means of their
        samples, in the dtype of X. Centres without samples are moved by `fill_empty`.
    """
    labels, sums, counts = assign(X, centers)
    moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centers).astype(X.dtype)
    if not counts.all():
        _, moved = fill_empty(X, labels, moved)
    return labels, moved


def lloyd(X: np.ndarray, centers: np.ndarray, max_iter: int, limit: float) -> tuple[np.ndarray, int]:
    """Repeat `lloyd_step` until it moves the centres by |C_new - C_old|^2 <= limit, or max_iter times.

    Returns:
        The last centres (K, D), and how many steps were made, the last included.
    """
    n_iter, shift = 0, np.inf
    while n_iter < max_iter and shift > limit:
        _, moved = lloyd_step(X, centers)
        shift = float(np.square(moved - centers).sum(dtype=np.float64))
        centers, n_iter = moved, n_iter + 1
    return centers, n_iter


def nearest(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """The nearest of the ``centers`` (K, D) for each row of X (N, D), ints (N,), wherever the origin is."""
    middle = centers.mean(axis=0)
    dtype = np.result_type(X, centers)
    return assign((X - middle).astype(dtype, copy=False), (centers - middle).astype(dtype, copy=False))[0]


def inertia(X: np.ndarray, centers: np.ndarray, labels: np.ndarray) -> float:
    """sum_i |x_i - centers[labels_i]|^2, by subtraction, for X (N, D), centers (K, D), labels (N,)."""
    difference = X - centers[labels]
    return float(np.einsum("nd,nd->n", difference, difference).sum(dtype=np.float64))


class KMeans(Clusterer, Transformer):
    """Group samples around K centres.

    Args:
        n_clusters: K, an int in [1, inf), at most the number of samples.
        init: "k-means++", "random" (K different rows of X, all equally likely), or the centres, (K, D).
        n_init: how many starts; the one with the least inertia counts. An int in [1, inf), or "auto": 10 for
            "random", otherwise 1. Given centres are one start, whatever this says.
        max_iter: iterations of `lloyd_step` a start, an int in [1, inf).
        tol: a start ends after an iteration that moved the centres by |C_new - C_old|^2 <= tol times the
            mean of the features' variances. A float in [0, inf); 0 goes on until nothing moves.
        rng: source of randomness, needed unless ``init`` is an array.

    Attributes:
        cluster_centers_: (K, D), in the dtype of X. With tol 0 and enough iterations each is the mean of its
            samples. If X has fewer than K different rows, some have no samples.
        labels_: (N,), the nearest centre of each row, as `predict` finds it.
        inertia_: the sum of squared distances to it, a float.
        n_iter_: the iterations of the start that counts, the last included, which may have moved nothing.
        n_features_in_: D.
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike = "k-means++",
        n_init: int | str = "auto",
        max_iter: int = 300,
        tol: float = 1e-4,
        rng: np.random.Generator | None = None,
    ):
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.rng = rng

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the centres from X (N, D); ``y`` is ignored. Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Estimator.check_X`; fewer samples than clusters (the message names both numbers);
                or ``init`` has another shape than (K, D) (both shapes) or holds a NaN or an infinity.
        """
        self.check_number("n_clusters", int, 1)
        self.check_number("max_iter", int, 1)
        self.check_number("tol", float, 0.0)
        if isinstance(self.n_init, str):
            self.check_option("n_init", ("auto",))
        else:
            self.check_number("n_init", int, 1)
        if isinstance(self.init, str):
            self.check_option("init", ("k-means++", "random"))
            self.check_rng()
        X = self.check_X(X)
        if len(X) < self.n_clusters:
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={self.n_clusters}")
        mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)  # float32 would add up 1e6s badly
        centred = X - mean
        limit = self.tol * float(np.einsum("nd,nd->d", centred, centred).mean()) / len(X)
        best: float | None = None
        for start in self._starts(centred, mean):
            centers, n_iter = lloyd(centred, start, self.max_iter, limit)
            centers = centers + mean
            labels = nearest(X, centers)
            found = inertia(X, centers, labels)
            if best is None or found < best:
                best = self.inertia_ = found
                self.cluster_centers_, self.labels_, self.n_iter_ = centers, labels, n_iter
        self.n_features_in_ = X.shape[1]
        return self

    def _starts(self, centred: np.ndarray, mean: np.ndarray) -> Iterator[np.ndarray]:
        """The centres to start from, (K, D), in the coordinates of the centred data."""
        if not isinstance(self.init, str):
            given = self.check_X(self.init)
            if given.shape != (expected := (self.n_clusters, centred.shape[1])):
                raise ValueError(f"init has shape {given.shape}, expected (n_clusters, features) {expected}")
            yield (given - mean).astype(centred.dtype)
            return
        rng = self.check_rng()
        automatic = 10 if self.init == "random" else 1
        for _ in range(automatic if isinstance(self.n_init, str) else self.n_init):
            if self.init == "random":
                yield centred[rng.choice(len(centred), self.n_clusters, replace=False)]
            else:
                yield kmeans_plusplus(centred, self.n_clusters, rng=rng)[0]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The nearest centre of each row of X, ints (N,); the first of several that are equally near.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        return nearest(self.check_new_X(X), self.cluster_centers_)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """The distance, not squared, of each row of X to each centre, (N, K).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        return np.sqrt(squared_distances(self.check_new_X(X), self.cluster_centers_))

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """Minus the sum of squared distances of the rows of X to their nearest centres; ``y`` is ignored.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        X = self.check_new_X(X)
        return -inertia(X, self.cluster_centers_, nearest(X, self.cluster_centers_))
