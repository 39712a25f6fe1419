r"""t-SNE: a map on which neighbours stay neighbours, and the rest goes where there is room.

    p_j|i = exp(-beta_i |x_i - x_j|^2) / sum_{k != i} exp(-beta_i |x_i - x_k|^2),  p_ij = (p_j|i + p_i|j) / 2N
    q_ij  = w_ij / Z,     w_ij = 1 / (1 + |y_i - y_j|^2),      Z = sum_{k != l} w_kl
    minimise  C = KL(P || Q) = sum_{i != j} p_ij log(p_ij / q_ij)   over the positions y_i on the map

beta_i = 1 / (2 sigma_i^2) is chosen for each sample so that the entropy of p_.|i is log(perplexity): then a
sample has about as many neighbours where the data are dense as where they are sparse. The heavy tail of w
lets samples that are moderately far apart move much farther apart on the map, which has not room enough for
all the neighbours that a space of many dimensions offers. The gradient is a balance of springs,

    dC / dy_i = 4 [ sum_j p_ij w_ij (y_i - y_j)  -  (1 / Z) sum_j w_ij^2 (y_i - y_j) ]
                    neighbours attract               everybody repels

Written this way Z is needed only at the end: one pass over the pairs, in blocks of rows that stay in the
cache, makes both sums and Z. Early exaggeration multiplies the attraction, so that groups form while they
can still pass through each other. C is not convex: maps from different starts differ.

Shapes   X (N, D), P and squared distances (N, N), Y (N, K) with K = n_components.
Source   van der Maaten & Hinton 2008, "Visualizing data using t-SNE", JMLR 9, sec. 2, eq. 4 and 5, sec. 3.4
         (momentum, gains, exaggeration); van der Maaten 2014, "Accelerating t-SNE using tree-based
         algorithms", JMLR 15, eq. 8 (attraction and repulsion); Kobak & Berens 2019 (start by PCA) and
         Belkina et al. 2019 (learning rate), both in Nature Communications 10.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Estimator
from classical_ml.reduction.pca import PCA

BLOCK = 1 << 19  # bytes: two blocks of rows that stay in the second-level cache
EXPLORATION = 250  # iterations with early exaggeration
CHECK = 50  # iterations from one look at the norm of the gradient to the next
TOLERANCE = 1e-10  # of an entropy, in nats
START = 1e-4  # standard deviation of the first positions
WIDEST = 1e15  # of given positions: beyond 1e19 squares overflow float32, and maps grow


def squared_distances(X: np.ndarray) -> np.ndarray:
    """|x_i - x_j|^2 for all pairs of rows, from one matrix product.

    Args:
        X: (N, D).

    Returns:
        (N, N), float64, symmetric, >= 0, 0 on the diagonal. Entries up to eps * D * (|x_i|^2 + |x_j|^2), with
        X less its mean and eps = 2^-52, may be rounding errors, as between copies of a sample: they, and no
        others, become 0.
    """
    X = X - X.mean(axis=0, dtype=np.float64)  # |x|^2 + |y|^2 - 2 x.y loses digits far from the origin
    gram = X @ X.T
    squares = np.diagonal(gram)
    total = squares[:, None] + squares
    distances = total - 2 * gram
    distances[distances <= np.finfo(np.float64).eps * X.shape[1] * total] = 0.0
    return distances


def match_entropy(distances: np.ndarray, target: float) -> np.ndarray:
    """Search the log(beta) of all rows at once, for `conditional_probabilities`.

    The entropy falls as beta grows. A trial narrows the bracket from one side; the next is Newton's, where
    that is inside the bracket, and its middle elsewhere.

    Args:
        distances: (B, M), not modified.
        target: the entropy, in nats.

    Returns:
        (B, M), the rows exp(-beta d), divided by their sums.
    """
    d = distances - distances.min(axis=1, keepdims=True)  # no row of exps underflows to zeros
    mean = d.mean(axis=1, keepdims=True)
    d /= np.where(mean > 0, mean, 1.0)
    low, high = np.full(len(d), -20.0), np.full(len(d), 90.0)  # of log(beta), at a mean distance of 1
    log_beta, ones = np.zeros(len(d)), np.ones(d.shape[1])
    p, weighted = np.empty_like(d), np.empty_like(d)
    for _ in range(100):  # halving the bracket alone would take 50
        beta = np.exp(log_beta)
        np.multiply(d, -beta[:, None], out=p)
        np.exp(p, out=p)
        total = p @ ones
        np.multiply(p, d, out=weighted)
        first = beta * (weighted @ ones) / total  # mean of beta d
        second = beta**2 * np.einsum("nm,nm->n", weighted, d) / total  # mean of (beta d)^2
        excess = np.log(total) + first - target
        low, high = np.where(excess > 0, log_beta, low), np.where(excess > 0, high, log_beta)
        done = (np.abs(excess) <= TOLERANCE) | (high - low <= TOLERANCE)
        if done.all():
            break
        slope = np.maximum(second - first**2, 1e-300)  # -dH / dlog(beta), the variance of beta d
        newton = log_beta + excess / slope
        trial = np.where((low < newton) & (newton < high), newton, (low + high) / 2)
        log_beta = np.where(done, log_beta, trial)
    return p / total[:, None]


def conditional_probabilities(distances: np.ndarray, perplexity: float) -> np.ndarray:
    """p_j|i in proportion to exp(-beta_i d_ij), where beta_i makes the entropy of row i log(perplexity).

    Args:
        distances: (N, M), the squared distances of each sample to M others, not modified.
        perplexity: in [1, M + 1).

    Returns:
        (N, M), float64; rows sum to 1, entropies are right to 1e-10 nats. Where no beta has the entropy, the
        nearest: a row with m > perplexity equal smallest distances is 1 / m on these and 0 elsewhere, and
        with perplexity >= M rows are uniform.

    Raises:
        ValueError: perplexity is not in [1, M + 1); the message names it and the number of samples, M + 1.
    """
    n_samples = distances.shape[1] + 1
    if not 1 <= perplexity < n_samples:
        raise ValueError(f"perplexity must be in [1, n_samples), got {perplexity} with n_samples={n_samples}")
    rows = max(1, BLOCK // (8 * n_samples))
    blocks = [distances[start : start + rows] for start in range(0, len(distances), rows)]
    return np.concatenate([match_entropy(block, math.log(perplexity)) for block in blocks])


def joint_probabilities(distances: np.ndarray, perplexity: float) -> np.ndarray:
    """p_ij = (p_j|i + p_i|j) / 2N: symmetric, so that no outlier is without attraction.

    Args:
        distances: (N, N), squared, symmetric.
        perplexity: in [1, N).

    Returns:
        (N, N), float64: symmetric, sums to 1, 0 on the diagonal.

    Raises:
        ValueError: as `conditional_probabilities`.
    """
    n = len(distances)
    others = ~np.eye(n, dtype=bool)
    P = np.zeros((n, n))
    P[others] = conditional_probabilities(distances[others].reshape(n, n - 1), perplexity).reshape(-1)
    return (P + P.T) / (2 * n)


def kl_divergence(P: np.ndarray, Y: np.ndarray) -> float:
    """sum_{i != j} p_ij log(p_ij / q_ij), where 0 log 0 = 0.

    Args:
        P: (N, N), 0 on the diagonal.
        Y: (N, K).

    Returns:
        In nats, in float64 whatever the dtypes. -log(q) is log(1 + d) + log(Z), right however small q is.
        Take the distances d by subtraction: those of `squared_distances` lose near pairs beside far ones.
    """
    spread = 1 + sum((column[:, None] - column) ** 2 for column in Y.T.astype(np.float64))
    w = 1 / spread
    np.fill_diagonal(w, 0)  # taking N from the sum with w_ii instead: a small Z may drown
    P = P.astype(np.float64)
    log_p = np.log(P, out=np.zeros_like(P), where=P > 0)
    return float((P * (log_p + np.log(spread) + np.log(w.sum()))).sum())


def gradient(P: np.ndarray, Y: np.ndarray, exaggeration: float = 1.0) -> np.ndarray:
    """dC / dY = 4 sum_j (p_ij - q_ij) w_ij (y_i - y_j), with ``exaggeration`` times P in place of P.

    Args:
        P: (N, N), symmetric.
        Y: (N, K), not modified; anywhere, since only differences count.
        exaggeration: multiplies the attraction, not q.

    Returns:
        (N, K), in the dtype of Y; 0 for a single sample. Errors are of the order of eps |y|^2 relative to the
        forces, with y from the middle of the map: in float32 about 1e-4 for a map 30 units wide.
    """
    Y = Y - Y.mean(axis=0)
    n, k = Y.shape
    squares, ones = np.einsum("nk,nk->n", Y, Y), np.ones(n, Y.dtype)
    left = np.column_stack([-2 * Y, squares + 1, ones])  # (N, K+2): left_i . right_j = 1 + |y_i - y_j|^2
    right = np.vstack([Y.T, ones, squares])  # (K+2, N)
    wide = np.finfo(Y.dtype).eps * squares.max() > 0.01  # then rounding could leave w <= 0 in place of 1
    sums, Z = np.empty((2, k + 1, n), Y.dtype), 0.0  # of p w and w^2, times each coordinate of y_j and 1
    rows = max(1, BLOCK // (n * Y.itemsize))
    scratch = np.empty((2, min(rows, n), n), Y.dtype)
    for start in range(0, n, rows):
        block = slice(start, start + rows)
        w, weights = scratch[:, : len(Y[block])]  # (B, N)
        np.matmul(left[block], right, out=w)
        if wide:
            np.maximum(w, 1, out=w)
        np.reciprocal(w, out=w)
        w.reshape(-1)[start :: n + 1] = 0  # w_ii
        Z += float((w @ ones).sum(dtype=np.float64))
        for part, factor in enumerate((P[block], w)):
            np.multiply(factor, w, out=weights)
            for c, column in enumerate(right[: k + 1]):  # one by one: a product of k + 1 columns is slower
                sums[part, c, block] = weights @ column
    attraction, repulsion = [(s[k] * Y.T - s[:k]).T for s in sums]  # (N, K): sum_j a_ij (y_i - y_j)
    return 4 * float(exaggeration) * attraction - (4 / Z if Z > 0 else 0.0) * repulsion


def descend(
    slope: Callable[[np.ndarray], np.ndarray],
    Y: np.ndarray,
    steps: int,
    *,
    learning_rate: float,
    momentum: float,
    min_grad_norm: float = 0.0,
    check_every: int = 1,
) -> tuple[np.ndarray, int]:
    """Gradient descent with momentum and a gain for each coordinate, which starts at 1. A step is

        g = slope(Y);   gain = gain + 0.2 where update * g < 0, 0.8 gain elsewhere, but at least 0.01
        update = momentum * update - learning_rate * gain * g;          Y = Y + update

    with update = 0 at first: where a coordinate keeps moving downhill its gain grows, where it has just
    overshot the gain shrinks.

    Args:
        slope: Y (N, K) -> the gradient (N, K).
        Y: (N, K), not modified.
        steps: how many, >= 0.
        learning_rate: > 0.
        momentum: in [0, 1).
        min_grad_norm: the step for which |gain * g| (all entries) is at most this is the last,
        check_every: if the norm is looked at: after this many steps, and as many again, and so forth.

    Returns:
        The last positions, a new array in the dtype of Y, and how many steps were made.
    """
    Y = Y.copy()
    update, gains = np.zeros_like(Y), np.ones_like(Y)
    for step in range(1, steps + 1):
        g = slope(Y)
        gains = np.maximum(np.where(update * g < 0, gains + 0.2, gains * 0.8), 0.01)
        g = gains * g
        update = momentum * update - learning_rate * g
        Y += update
        if step % check_every == 0 and np.linalg.norm(g) <= min_grad_norm:
            return Y, step
    return Y, steps


class TSNE(Estimator):
    """A map of the samples in a few dimensions. It has no ``transform``: new samples need a new map.

    Args:
        n_components: K, an int in [1, inf).
        perplexity: about how many neighbours each sample has; a float in [1, N).
        early_exaggeration: what multiplies P for the first 250 iterations; a float in [1, inf).
        learning_rate: a float in (0, inf), or "auto": max(N / early_exaggeration / 4, 50).
        max_iter: iterations, those with exaggeration included; an int in [1, inf).
        min_grad_norm: each of the two descents ends with the 50th, 100th, ... step if that gets there; a
            float in [0, inf).
        init: "pca" (the first K components, all times one factor, so that the first has a standard deviation
            of 1e-4, divisor N; K can be at most min(N, D)), "random" (normal, of standard deviation 1e-4), or
            positions (N, K), none beyond 1e15 in magnitude.
        rng: source of randomness, needed for "random".

    Attributes:
        embedding_: (N, K), float32, in which the map is computed; P is made in float64.
        kl_divergence_: KL(P || Q) of the map, without exaggeration.
        n_iter_: how many iterations were made, the last included (scikit-learn's is the last one's index).
        learning_rate_: the learning rate that was used.
        n_features_in_: D.

    As in scikit-learn there are two descents, each of which starts at rest with gains of 1: 250 iterations
    with exaggeration and momentum 0.5, then as many with momentum 0.8 as are left of max_iter, more of them
    where the first descent ended early. The gradient's norm is looked at every 50 iterations only: a map
    begins within 1e-4, where gradients are small, and exaggeration may draw it together before it unfolds.
    Two differences: w is eq. 4's for every K (scikit-learn's tail is lighter for K > 2), and nothing ends a
    descent but min_grad_norm.
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        min_grad_norm: float = 1e-7,
        init: str | ArrayLike = "pca",
        rng: np.random.Generator | None = None,
    ):
        self.n_components = n_components
        self.perplexity = perplexity
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.min_grad_norm = min_grad_norm
        self.init = init
        self.rng = rng

    def check_parameters(self) -> None:
        """Refuse parameters that are not as the class says, whatever the data.

        Raises:
            InvalidParameterError: as `Estimator.check_number` and `Estimator.check_option`.
        """
        self.check_number("n_components", int, 1)
        self.check_number("perplexity", float, 1)
        self.check_number("early_exaggeration", float, 1)
        if isinstance(self.learning_rate, str):
            self.check_option("learning_rate", ("auto",))
        else:
            self.check_number("learning_rate", float, 0, low_open=True)
        self.check_number("max_iter", int, 1)
        self.check_number("min_grad_norm", float, 0)
        if isinstance(self.init, str):
            self.check_option("init", ("pca", "random"))

    def start(self, X: np.ndarray) -> np.ndarray:
        """The first positions (N, K), float32, as ``init`` says, for X (N, D).

        Data without any variance start, with "pca", at 0.

        Raises:
            InvalidParameterError: "random" without an rng; or K > min(N, D) with "pca".
            ValueError: given positions are not of shape (N, K) (the message names both shapes), not finite
                (the first one's row and column, as `Estimator.check_X`), or beyond 1e15 (the largest).
        """
        shape = (len(X), int(self.n_components))
        if not isinstance(self.init, str):
            Y = self.check_X(self.init)
            if Y.shape != shape:
                raise ValueError(f"init has shape {Y.shape}, expected (n_samples, n_components) {shape}")
            if (largest := np.abs(Y).max()) > WIDEST:
                raise ValueError(f"init holds a position of magnitude {largest}, expected at most {WIDEST}")
        elif self.init == "random":
            Y = START * self.check_rng().standard_normal(shape)
        else:
            pca = PCA(self.n_components)
            Y = pca.fit_transform(X)
            Y *= START / Y[:, 0].std() if pca.explained_variance_[0] > 0 else 0.0
        return Y.astype(np.float32)

    def objective(self, X: np.ndarray) -> tuple[Callable[..., np.ndarray], Callable[[np.ndarray], float]]:
        """What `fit` minimises for X (N, D): its gradient, of Y and ``exaggeration``, and its value, of Y."""
        P = joint_probabilities(squared_distances(X), self.perplexity)
        return partial(gradient, P.astype(np.float32)), partial(kl_divergence, P)

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Make the map of X (N, D): minimise `objective` from `start`; ``y`` is ignored. Returns self.

        Raises:
            InvalidParameterError: as `check_parameters` and `start`.
            ValueError: as `Estimator.check_X`, `conditional_probabilities` (perplexity >= N) and `start`.
        """
        self.check_parameters()
        X = self.check_X(X)
        (slope, divergence), Y = self.objective(X), self.start(X)
        rate = self.learning_rate
        if isinstance(rate, str):
            rate = max(len(X) / self.early_exaggeration / 4, 50.0)
        walk = partial(
            descend, learning_rate=float(rate), min_grad_norm=self.min_grad_norm, check_every=CHECK
        )
        exaggerated = partial(slope, exaggeration=self.early_exaggeration)
        early = min(EXPLORATION, self.max_iter)
        Y, first = walk(exaggerated, Y, early, momentum=0.5)
        Y, second = walk(slope, Y, self.max_iter - first, momentum=0.8)

        self.embedding_, self.kl_divergence_ = Y, divergence(Y)
        self.n_iter_, self.learning_rate_ = first + second, float(rate)
        self.n_features_in_ = X.shape[1]
        return self

    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """Fit, and return the map, (N, K)."""
        return self.fit(X).embedding_
