r"""Nearest neighbours: a new sample is like the samples around it.

    predict(q) = majority, or mean, of the y_i of the k samples with the smallest |q - x_i|

There is nothing to learn but where to look, and two ways of looking find the same neighbours to the bit:

    BruteForce   |q - x|^2 = |q|^2 - 2 q.x + |x|^2: one matrix product for a block of queries and all samples
    KDTree       halves the samples at the median of their widest feature, again and again; a part whose box
                 is farther from q than the k-th best so far cannot hold a neighbour, and is never looked at

The product formula subtracts numbers that may agree in most digits. So the mean is subtracted first, and the
formula only nominates: whatever is within its rounding error of the k-th best is measured again by
subtraction, which is right to the last digits and gives equal distances where points are equally far. The
tree needs no tolerance at all: rounding is monotone, so the distance to a box, computed with the same
operations, never exceeds the computed distance to a sample in it.

Ties   Of equally distant samples the one with the lower index is nearer; of classes with equal votes the
       first in ``classes_`` wins.
Shapes X (N, D) samples, Q (M, D) queries, neighbours (M, k), nearest first.
Source Cover & Hart 1967, "Nearest neighbor pattern classification"; Friedman, Bentley & Finkel 1977, "An
       algorithm for finding best matches in logarithmic expected time", sec. 3 (the tree) and 4 (the search).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Classifier, Estimator, Regressor

BLOCK = 1 << 21  # numbers in the largest scratch array
AUTO_DIMENSIONS = 5  # up to so many features "auto" takes the tree

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def squared_lengths(V: np.ndarray) -> np.ndarray:
    """The sum of squares of each vector in V (..., D), of the shape (...)."""
    return np.einsum("...d,...d->...", V, V)


def blocks(count: int, width: int) -> Iterator[slice]:
    """Slices that cover range(count), each of at least one row and at most BLOCK / width rows."""
    rows = max(1, BLOCK // max(1, width))
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))


class BruteForce:
    """Look at every sample.

    Args:
        X: (N, D), finite floats; kept, not copied.

    Attributes:
        evaluations: distances from a query to a sample asked for so far, an int: N for each query.
    """

    def __init__(self, X: np.ndarray):
        self.X = X
        self.mean = X.mean(axis=0)
        self.centred = X - self.mean
        self.squares = squared_lengths(self.centred)  # (N,)
        self.evaluations = 0

    def approximate(self, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """|q|^2 - 2 q.x + |x|^2 around the mean of the samples.

        Args:
            Q: (M, D).

        Returns:
            Squared distances up to rounding (M, N); and by how much two of a row may be out together, (M, 1):
            a sample that is nearer than another by subtraction is less than that farther here.
        """
        centred = (Q - self.mean).astype(np.result_type(Q, self.X), copy=False)
        sizes = squared_lengths(centred)[:, None]  # (M, 1)
        squared = (-2 * centred) @ self.centred.T  # (M, N)
        squared += self.squares
        squared += sizes
        self.evaluations += squared.size
        # each is out by at most (2 D + 8) eps (|q|^2 + |x|^2)
        error = 4 * (Q.shape[1] + 4) * np.finfo(squared.dtype).eps * (sizes + self.squares.max())
        return squared, error

    def measure(self, Q: np.ndarray, chosen: np.ndarray) -> Pairs:
        """|q - x|^2 by subtraction for the pairs marked in ``chosen``, bools (M, N).

        All of them may be marked, so the differences are made for a block of pairs at a time.

        Returns:
            Queries (P,), ascending; samples (P,), ascending for each query; and |q - x|^2 (P,).
        """
        rows, samples = np.nonzero(chosen)
        squared = np.empty(len(rows), np.result_type(Q, self.X))
        for part in blocks(len(rows), Q.shape[1]):
            squared[part] = squared_lengths(Q[rows[part]] - self.X[samples[part]])
        return rows, samples, squared

    def nearest(self, Q: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest samples of each query, nearest first, the lower index first where equally near.

        Args:
            Q: (M, D).
            k: 1 <= k <= N.

        Returns:
            Distances (M, k) in the wider dtype of Q and X, and the rows of X, ints (M, k).
        """
        distances = np.empty((len(Q), k), np.result_type(Q, self.X))
        indices = np.empty((len(Q), k), np.intp)
        for block in blocks(len(Q), len(self.X)):
            approximate, error = self.approximate(Q[block])
            kth = np.partition(approximate, k - 1, axis=1)[:, k - 1 : k]  # (B, 1)
            rows, samples, squared = self.measure(Q[block], approximate <= kth + error)
            order = np.lexsort((squared, rows))  # stable: equal distances stay in the order of the samples
            starts = np.searchsorted(rows, np.arange(block.stop - block.start))
            best = order[starts[:, None] + np.arange(k)]  # (B, k)
            distances[block], indices[block] = np.sqrt(squared[best]), samples[best]
        return distances, indices

    def within(self, Q: np.ndarray, radius: float) -> Pairs:
        """All samples at a distance <= ``radius`` of each query.

        Distances are compared, not their squares: |(1, 1, 1)| is sqrt(3) to the last digit, but the square of
        that number comes out below 3.

        Args:
            Q: (M, D).
            radius: >= 0.

        Returns:
            Queries (P,), rows of Q; samples (P,), rows of X; and distances (P,). Ordered by query, then
            distance, then sample.
        """
        found = []
        for block in blocks(len(Q), len(self.X)):
            approximate, error = self.approximate(Q[block])
            rows, samples, squared = self.measure(Q[block], approximate <= radius * radius + error)
            found.append((rows + block.start, samples, squared))
        return closest_first(found, radius)


class KDTree:
    """Look at the parts of space that are in reach.

    The tree is complete and stored in arrays: the children of node j are 2 j + 1 and 2 j + 2, the leaves are
    the last nodes, and node j holds the samples ``order[starts[j] : stops[j]]``. The left child of a node
    gets the lower half of its samples (rounded down) along its widest feature, whether or not values repeat.

    Args:
        X: (N, D), finite floats; kept, not copied.
        leaf_size: >= 1. Nodes are halved while all have more samples, so that a leaf has 1 to leaf_size + 1.

    Attributes:
        order: the samples, ints (N,), those of a leaf side by side.
        starts, stops: (J,), ints, for the J nodes.
        lower, upper: (J, D), the box: the smallest and the largest value of each feature in the node.
        evaluations: distances from a query to a sample computed so far, an int.
    """

    def __init__(self, X: np.ndarray, leaf_size: int = 30):
        self.X = X
        depth = 0
        while len(X) // 2**depth > leaf_size:
            depth += 1
        self.first_leaf = 2**depth - 1
        nodes = 2 * self.first_leaf + 1
        self.order = np.arange(len(X))
        self.starts, self.stops = np.zeros(nodes, np.intp), np.full(nodes, len(X))
        self.lower, self.upper = np.empty((2, nodes, X.shape[1]), X.dtype)
        self.axes, self.cuts = np.zeros(nodes, np.intp), np.zeros(nodes, X.dtype)
        for j in range(nodes):
            start, stop = self.starts[j], self.stops[j]
            inside = self.order[start:stop]
            self.lower[j], self.upper[j] = X[inside].min(axis=0), X[inside].max(axis=0)
            if j < self.first_leaf:
                axis = (self.upper[j] - self.lower[j]).argmax()
                half = len(inside) // 2
                inside = inside[X[inside, axis].argpartition(half)]
                self.order[start:stop] = inside
                self.axes[j], self.cuts[j] = axis, X[inside[half], axis]
                self.starts[2 * j + 1 : 2 * j + 3] = start, start + half
                self.stops[2 * j + 1 : 2 * j + 3] = start + half, stop
        self.evaluations = 0

    def box_distances(self, Q: np.ndarray, node: int) -> np.ndarray:
        """The squared distance from each query in Q (M, D) to the box of ``node``, (M,); 0 inside of it."""
        outside = np.maximum(self.lower[node] - Q, Q - self.upper[node])
        return squared_lengths(np.maximum(outside, 0, out=outside))

    def leaves(self, Q: np.ndarray, reach: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Walk the tree with all queries at once: each goes to its own half first, then to the other.

        Args:
            Q: (M, D).
            reach: (M,), squared distances. It is read anew at every node: the caller lowers it in between.

        Yields:
            The samples of a leaf (L,), and the queries (R,), R >= 1, whose reach is at least their distance
            from its box. Every query comes to a leaf at most once.
        """
        waiting = [(0, np.arange(len(Q)))]
        while waiting:
            node, rows = waiting.pop()
            rows = rows[self.box_distances(Q[rows], node) <= reach[rows]]
            if len(rows) == 0:
                continue
            if node >= self.first_leaf:
                yield self.order[self.starts[node] : self.stops[node]], rows
                continue
            left, right = 2 * node + 1, 2 * node + 2
            is_left = Q[rows, self.axes[node]] < self.cuts[node]
            waiting += [(left, rows[~is_left]), (right, rows), (left, rows[is_left])]  # the last goes first

    def measure(self, Q: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """|q - x|^2 of all queries Q (R, D) and the given samples (L,), (R, L)."""
        self.evaluations += len(Q) * len(samples)
        return squared_lengths(Q[:, None] - self.X[samples])

    def nearest(self, Q: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `BruteForce.nearest`, with the same result."""
        distances = np.full((len(Q), k), np.inf, np.result_type(Q, self.X))
        indices = np.full((len(Q), k), len(self.X))
        for block in self._blocks(Q):
            best, names = distances[block], indices[block]  # views: squared distances, ascending, so far
            for samples, rows in self.leaves(Q[block], best[:, -1]):
                squared = np.hstack([best[rows], self.measure(Q[block][rows], samples)])  # (R, k + L)
                named = np.hstack([names[rows], np.broadcast_to(samples, (len(rows), len(samples)))])
                order = np.lexsort((named, squared))[:, :k]
                best[rows] = np.take_along_axis(squared, order, axis=1)
                names[rows] = np.take_along_axis(named, order, axis=1)
        return np.sqrt(distances, out=distances), indices

    def within(self, Q: np.ndarray, radius: float) -> Pairs:
        """As `BruteForce.within`, with the same result: the reach is radius^2 and a few roundings more."""
        found = []
        slightly_more = radius * radius * (1 + 8 * np.finfo(self.X.dtype).eps)  # the square was rounded
        for block in self._blocks(Q):
            for samples, rows in self.leaves(Q[block], np.full(block.stop - block.start, slightly_more)):
                queries, columns = np.repeat(rows + block.start, len(samples)), np.tile(samples, len(rows))
                found.append((queries, columns, self.measure(Q[block][rows], samples).ravel()))
        return closest_first(found, radius)

    def _blocks(self, Q: np.ndarray) -> Iterator[slice]:
        return blocks(len(Q), int(self.stops[-1] - self.starts[-1]) * self.X.shape[1])


def closest_first(found: list[Pairs], radius: float) -> Pairs:
    """The pairs whose distance, the root, is <= ``radius``, as `BruteForce.within` returns them.

    Args:
        found: queries (P,), samples (P,) and squared distances (P,), any number of times.
        radius: >= 0.
    """
    kept = []
    for queries, samples, squared in found:
        inside = np.sqrt(squared) <= radius
        kept.append((queries[inside], samples[inside], np.sqrt(squared[inside])))
    none = np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
    queries, samples, distances = map(np.concatenate, zip(*(kept or [none]), strict=True))
    order = np.lexsort((samples, distances, queries))
    return queries[order], samples[order], distances[order]


def closeness(distances: np.ndarray) -> np.ndarray:
    """Weights in proportion to 1 / distance, the nearest neighbour's 1.

    Args:
        distances: (M, k), ascending, >= 0.

    Returns:
        (M, k): distances[:, 0] / distances, which cannot overflow. Where a row has distances of 0, their
        weights are 1 and all others 0.
    """
    return np.divide(distances[:, :1], distances, out=np.ones_like(distances), where=distances > 0)


class NeighborSearch(Estimator):
    """What the estimators of this file share. Each has the parameters

    n_neighbors: k, an int in [1, inf).
    algorithm: "brute" (`BruteForce`), "kd_tree" (`KDTree`) or "auto": the tree for up to 5 features. The
        neighbours are the same.
    leaf_size: of the tree, an int in [1, inf).

    and the attributes ``index_``, one of the two, and ``n_samples_fit_``, N.
    """

    n_neighbors: int
    algorithm: str
    leaf_size: int

    def check_parameters(self) -> None:
        """Refuse parameters that are not as above, with an InvalidParameterError."""
        self.check_number("n_neighbors", int, 1)
        self.check_option("algorithm", ("auto", "brute", "kd_tree"))
        self.check_number("leaf_size", int, 1)

    def build(self, X: np.ndarray) -> None:
        """Set ``index_`` over a copy of the samples X (N, D), ``n_samples_fit_`` and ``n_features_in_``."""
        tree = self.algorithm == "kd_tree" or (self.algorithm == "auto" and X.shape[1] <= AUTO_DIMENSIONS)
        X = X.copy()  # whoever changes their array afterwards does not change the neighbours
        self.index_ = KDTree(X, self.leaf_size) if tree else BruteForce(X)
        self.n_samples_fit_, self.n_features_in_ = X.shape

    def kneighbors(
        self, X: ArrayLike | None = None, n_neighbors: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest samples of each row of X (M, D), nearest first; in ties the lower index comes first.

        Args:
            X: queries; None takes the samples of ``fit``, none of which is its own neighbour.
            n_neighbors: k; None takes the parameter.

        Returns:
            Distances (M, k) and indices of the samples, ints (M, k).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`; or fewer than k samples are there, not
                counting the query itself, or k < 1: the message names k and their number.
        """
        own = X is None
        if X is None:
            X = self.index_.X if hasattr(self, "index_") else np.empty((0, 0))  # the latter is refused next
        queries = self.check_new_X(X)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        available = self.n_samples_fit_ - own
        if not 1 <= k <= available:
            raise ValueError(f"Expected 1 <= n_neighbors <= {available} samples, got n_neighbors = {k}")
        if not own:
            return self.index_.nearest(queries, k)
        distances, indices = self.index_.nearest(queries, k + 1)
        others = indices != np.arange(len(indices))[:, None]
        others[others.all(axis=1), -1] = False  # k + 1 duplicates with lower indices: the last is too many
        return distances[others].reshape(-1, k), indices[others].reshape(-1, k)


class NearestNeighbors(NeighborSearch):
    """Find neighbours, and predict nothing.

    Args:
        n_neighbors: k of `kneighbors`, an int in [1, inf).
        radius: of `radius_neighbors`, a float in [0, inf).
        algorithm, leaf_size: see `NeighborSearch`.
    """

    def __init__(
        self, n_neighbors: int = 5, radius: float = 1.0, *, algorithm: str = "auto", leaf_size: int = 30
    ):
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.algorithm = algorithm
        self.leaf_size = leaf_size

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Remember the samples X (N, D); ``y`` is ignored. Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Estimator.check_X`.
        """
        self.check_parameters()
        self.check_number("radius", float, 0.0)
        self.build(self.check_X(X))
        return self

    def radius_neighbors(self, X: ArrayLike) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The samples at a distance <= ``radius`` of each row of X (M, D), in the order of `kneighbors`.

        Returns:
            Two lists of M arrays: the distances, and the indices of the samples, ints; as many as there are.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        queries = self.check_new_X(X)
        rows, samples, distances = self.index_.within(queries, float(self.radius))
        ends = np.cumsum(np.bincount(rows, minlength=len(queries)))[:-1]
        return np.split(distances, ends), np.split(samples, ends)


class KNeighborsClassifier(NeighborSearch, Classifier):
    """The vote of the k nearest samples.

    Args:
        n_neighbors, algorithm, leaf_size: see `NeighborSearch`.
        weights: "uniform", or "distance": a vote counts 1 / distance, and samples at distance 0, if there
            are any, decide alone.

    Attributes:
        classes_: (V,), sorted.
        n_features_in_: D.
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: str = "uniform",
        algorithm: str = "auto",
        leaf_size: int = 30,
    ):
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.algorithm = algorithm
        self.leaf_size = leaf_size

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Remember the samples X (N, D) and their classes y (N,). Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Classifier.check_X_y`.
        """
        self.check_parameters()
        self.check_option("weights", ("uniform", "distance"))
        X, self.classes_, self.places_ = self.check_X_y(X, y)
        self.build(X)
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The share of each class in the votes, (M, V), for X (M, D).

        Raises:
            NotFittedError, ValueError: as `kneighbors`.
        """
        distances, indices = self.kneighbors(self.check_new_X(X))
        votes = closeness(distances) if self.weights == "distance" else np.ones_like(distances)
        shape = len(indices), len(self.classes_)
        ballots = np.arange(shape[0])[:, None] * shape[1] + self.places_[indices]  # (M, k)
        sums = np.bincount(ballots.ravel(), votes.ravel(), shape[0] * shape[1]).reshape(shape)
        return sums / sums.sum(axis=1, keepdims=True)


class KNeighborsRegressor(NeighborSearch, Regressor):
    """The mean of the k nearest samples' targets.

    Args:
        n_neighbors, algorithm, leaf_size: see `NeighborSearch`.
        weights: "uniform", or "distance": a mean weighted by 1 / distance; samples at distance 0, if there
            are any, decide alone.

    Attributes:
        n_features_in_: D.
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: str = "uniform",
        algorithm: str = "auto",
        leaf_size: int = 30,
    ):
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.algorithm = algorithm
        self.leaf_size = leaf_size

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Remember the samples X (N, D) and their targets y (N,) or (N, K). Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Regressor.check_X_y`.
        """
        self.check_parameters()
        self.check_option("weights", ("uniform", "distance"))
        X, y = self.check_X_y(X, y, multi_output=True)
        self.targets_ = y.copy()
        self.build(X)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The mean of the neighbours' targets, (M,), or (M, K) if y had K columns, for X (M, D).

        Raises:
            NotFittedError, ValueError: as `kneighbors`.
        """
        distances, indices = self.kneighbors(self.check_new_X(X))
        if self.weights == "uniform":
            return self.targets_[indices].mean(axis=1)
        votes = closeness(distances)
        votes = votes / votes.sum(axis=1, keepdims=True)  # (M, k)
        return np.einsum("mk,mk...->m...", votes, self.targets_[indices])
