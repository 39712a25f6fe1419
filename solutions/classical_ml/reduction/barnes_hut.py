r"""t-SNE by Barnes-Hut: from far away a crowd repels like one point, so N log N forces stand for N^2.

    sum_j w_ij^2 (y_i - y_j)  ~  sum_c n_c w_ic^2 (y_i - m_c),      w_ic = 1 / (1 + |y_i - m_c|^2)

over cells c of a quadtree that cover all the other points once: n_c points in a square of width s_c, with
their mean m_c. A cell stands for its points where it looks small, s_c < angle * |y_i - m_c|, and does not
hold y_i; otherwise its children are asked. The mean makes the errors of first order cancel, so what is left
falls with angle^2: for angle < 1 / sqrt(2)

    |Z_approximate - Z| <= 6 angle^2 / (1 - sqrt(2) angle)^4 * Z_approximate        angle = 0: exact

The attraction needs no tree: beyond about 3 perplexity neighbours p_j|i is next to 0, and is left out.

No node is an object. Interleaving the bits of a point's two coordinates gives its Morton code: with the
points sorted by it, the points of every cell at every level are neighbours in memory, and a level of the
tree is where the leading bits change. The walk down goes level by level too, for many points at once.

Shapes   X (N, D), Y (N, 2), E pairs of neighbours, M cells.
Source   van der Maaten 2014, "Accelerating t-SNE using tree-based algorithms", JMLR 15, sec. 4; Barnes & Hut
         1986, "A hierarchical O(N log N) force-calculation algorithm", Nature 324; Morton 1966.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.reduction.tsne import TSNE, conditional_probabilities

DEPTH = 30  # levels at most: two coordinates of 30 bits make a code of 60
BLOCK = 1 << 22  # bytes: of distances in the search for neighbours
WALK = 2048  # points that walk down the tree together


class Pairs(NamedTuple):
    """p_ij of the pairs that have one, each in both directions, sorted by i, then j. They sum to 1."""

    i: np.ndarray  # (E,), ints
    j: np.ndarray  # (E,), ints
    p: np.ndarray  # (E,)


class Quadtree(NamedTuple):
    """M cells, the root first, each level after the one above, the children of a cell side by side."""

    order: np.ndarray  # (N,): the points sorted by their codes; the points of a cell are order[start:stop]
    start: np.ndarray  # (M,)
    stop: np.ndarray  # (M,)
    center: np.ndarray  # (M, 2): the mean of the points
    width: np.ndarray  # (M,): the side of the square
    first_child: np.ndarray  # (M,): the children of c are the cells first_child[c] + 0, 1, ...
    n_children: np.ndarray  # (M,): in [0, 4], empty quarters are no cells; 0 for a leaf


def nearest_neighbors(X: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """The nearest other samples of each sample, by comparing all pairs, in blocks of rows.

    One matrix product ranks the pairs, up to its rounding errors, which a far outlier makes as large as the
    distances in a crowd. So all that could be among the nearest are measured again, by subtraction.

    Args:
        X: (N, D).
        n_neighbors: K in [1, N - 1].

    Returns:
        indices (N, K), ints, in any order, any of those equally far; and the squared distances (N, K) to
        them, float64, by subtraction.
    """
    X = X.astype(np.float64)
    n, d = X.shape
    C = X - X.mean(axis=0)
    squares = np.einsum("nd,nd->n", C, C)
    error = (2 * d + 8) * np.finfo(np.float64).eps * squares  # of a score, for each of the two samples
    indices, distances = np.empty((n, n_neighbors), np.intp), np.empty((n, n_neighbors))
    rows, at_once = max(1, BLOCK // (8 * n)), max(1, BLOCK // (8 * d))
    for start in range(0, n, rows):
        block = slice(start, start + rows)
        scores = squares - 2 * C[block] @ C.T  # (B, N): |x_i - x_j|^2 less |x_i|^2
        scores.reshape(-1)[start :: n + 1] = np.inf  # nobody is a neighbour of its own
        worst = np.partition(scores + error, n_neighbors - 1, axis=1)[:, n_neighbors - 1] + 2 * error[block]
        i, j = np.nonzero(scores - error <= worst[:, None])  # (A,): all that could be among the nearest
        squared = np.empty(len(i))
        for first in range(0, len(i), at_once):
            part = slice(first, first + at_once)
            apart = X[start + i[part]] - X[j[part]]  # (A, D), in parts: all pairs may be candidates
            squared[part] = np.einsum("ad,ad->a", apart, apart)
        order = np.lexsort((squared, i))
        firsts = np.searchsorted(i, np.arange(len(scores)))  # (B,): where the candidates of a row begin
        nearest = order[firsts[:, None] + np.arange(n_neighbors)]  # (B, K)
        indices[block], distances[block] = j[nearest], squared[nearest]
    return indices, distances


def neighbor_probabilities(X: np.ndarray, perplexity: float) -> Pairs:
    """p_ij = (p_j|i + p_i|j) / 2N, where p_j|i is 0 beyond the min(N - 1, int(3 perplexity + 1)) nearest.

    Args:
        X: (N, D).
        perplexity: in [1, N).

    Returns:
        The pairs of which one is a neighbour of the other; those whose p underflows to 0 may be left out.

    Raises:
        ValueError: perplexity is not in [1, N); the message names it and N.
    """
    n = len(X)
    if not 1 <= perplexity < n:
        raise ValueError(f"perplexity must be in [1, n_samples), got {perplexity} with n_samples={n}")
    indices, distances = nearest_neighbors(X, min(n - 1, int(3 * perplexity + 1)))
    p = conditional_probabilities(distances, perplexity).reshape(-1) / (2 * n)
    i, j = np.repeat(np.arange(n), indices.shape[1]), indices.reshape(-1)
    keys, place = np.unique(np.concatenate([i * n + j, j * n + i]), return_inverse=True)
    return Pairs(keys // n, keys % n, np.bincount(place, np.concatenate([p, p])))


def attraction(pairs: Pairs, Y: np.ndarray) -> np.ndarray:
    """sum_j p_ij w_ij (y_i - y_j), over the pairs only.

    Args:
        pairs: E of them.
        Y: (N, 2).

    Returns:
        (N, 2), float64.
    """
    apart = Y[pairs.i] - Y[pairs.j]  # (E, 2)
    weights = pairs.p / (1 + np.einsum("ek,ek->e", apart, apart))
    return np.column_stack([np.bincount(pairs.i, weights * a, minlength=len(Y)) for a in apart.T])


def interleave(numbers: np.ndarray) -> np.ndarray:
    """Put a 0 between all bits: 0b111 becomes 0b10101, bit b moves to bit 2b.

    Args:
        numbers: ints in [0, 2^30), any shape.

    Returns:
        int64, the same shape.
    """
    spread = np.asarray(numbers, np.int64)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << shift)) & mask
    return spread


def build_quadtree(Y: np.ndarray) -> Quadtree:
    """Divide the square around all points into quarters, and these again, down to single points.

    Args:
        Y: (N, 2), N >= 1, not modified.

    Returns:
        A cell with more than one point has its quarters as children, those that hold points. After 30
        levels the points left in a cell count as being in one place, and it is a leaf.
    """
    low = Y.min(axis=0)
    side = float((Y.max(axis=0) - low).max()) or 1.0
    grid = np.minimum((Y - low) / side * 2**DEPTH, 2**DEPTH - 1).astype(np.int64)  # (N, 2)
    codes = interleave(grid[:, 0]) | interleave(grid[:, 1]) << 1
    order = np.argsort(codes, kind="stable")
    codes, sorted_Y = codes[order], np.vstack([Y[order], np.zeros(2)])  # one more row, so that stop is one

    levels = []
    start, stop, cells = np.array([0]), np.array([len(Y)]), 1
    for level in range(DEPTH + 1):
        bounds = np.column_stack([start, stop]).reshape(-1)
        count = stop - start
        center = np.add.reduceat(sorted_Y, bounds)[::2] / count[:, None]  # sums of start:stop; not the gaps
        inner = np.flatnonzero(count > 1) if level < DEPTH else np.empty(0, np.intp)
        leading = codes >> 2 * (DEPTH - level - 1) if len(inner) else codes
        child_start = np.flatnonzero(np.diff(leading, prepend=-1))  # where a cell of the next level begins
        child_stop = np.append(child_start[1:], len(Y))
        parent = np.searchsorted(start, child_start, side="right") - 1
        kept = np.isin(parent, inner) & (child_start < stop[parent])
        n_children = np.bincount(parent[kept], minlength=len(start))
        first_child = cells + np.cumsum(n_children) - n_children
        levels.append((start, stop, center, np.full(len(start), side / 2**level), first_child, n_children))
        if not len(inner):
            break
        start, stop, cells = child_start[kept], child_stop[kept], cells + int(kept.sum())
    return Quadtree(order, *map(np.concatenate, zip(*levels, strict=True)))


def repulsion(Y: np.ndarray, angle: float) -> tuple[np.ndarray, float, int]:
    """sum_j w_ij^2 (y_i - y_j) and Z = sum_{i != j} w_ij, with cells in place of distant points.

    Args:
        Y: (N, 2), not modified.
        angle: in [0, 1]. A cell stands for its points where width < angle * |y_i - center| and y_i is not
            one of them; leaves always do, y_i itself not counted. 0 asks every leaf, and is exact.

    Returns:
        The forces (N, 2), float64, in the order of Y; Z; and the number of pairs of a point and a cell that
        were summed (those of a point with itself alone are not).
    """
    Y = Y.astype(np.float64)
    tree = build_quadtree(Y)
    points, sizes, limits = Y[tree.order], tree.stop - tree.start, tree.width**2
    forces, Z, interactions = np.zeros_like(Y), 0.0, 0
    for start in range(0, len(Y), WALK):
        point = np.arange(start, min(start + WALK, len(Y)))  # places in the order of the codes
        cell = np.zeros(len(point), np.intp)
        while len(point):
            apart = points[point] - tree.center[cell]  # (A, 2): A pairs of a point and a cell
            squared = np.einsum("ak,ak->a", apart, apart)
            inside = (tree.start[cell] <= point) & (point < tree.stop[cell])
            leaf = tree.n_children[cell] == 0
            summed = leaf | (~inside & (limits[cell] < angle**2 * squared))
            others = (sizes[cell] - inside)[summed]
            w = 1 / (1 + squared[summed])
            Z += float(others @ w)
            interactions += int(np.count_nonzero(others))
            for k in range(2):
                pushes = others * w * w * apart[summed, k]
                forces[:, k] += np.bincount(point[summed], pushes, minlength=len(Y))
            point, cell = point[~summed], cell[~summed]
            children = tree.n_children[cell]
            skipped = np.cumsum(children) - children
            point, first = np.repeat(point, children), np.repeat(tree.first_child[cell] - skipped, children)
            cell = first + np.arange(len(first))
    unsorted = np.empty_like(forces)
    unsorted[tree.order] = forces
    return unsorted, Z, interactions


def gradient(pairs: Pairs, Y: np.ndarray, exaggeration: float = 1.0, *, angle: float = 0.5) -> np.ndarray:
    """dC / dY = 4 (exaggeration * attraction - repulsion / Z).

    Args:
        pairs: of N samples.
        Y: (N, 2), not modified.
        exaggeration: multiplies the attraction.
        angle: in [0, 1], see `repulsion`.

    Returns:
        (N, 2), in the dtype of Y; 0 for a single sample.
    """
    forces, Z, _ = repulsion(Y, angle)
    pull, push = attraction(pairs, Y.astype(np.float64)), forces / Z if Z > 0 else forces
    return (4 * (exaggeration * pull - push)).astype(Y.dtype)


def kl_divergence(pairs: Pairs, Y: np.ndarray, *, angle: float = 0.5) -> float:
    """sum p_ij log(p_ij / q_ij) over the pairs, in nats, with Z as `repulsion` finds it."""
    Y = Y.astype(np.float64)
    apart = Y[pairs.i] - Y[pairs.j]
    log_spread = np.log1p(np.einsum("ek,ek->e", apart, apart))
    log_p = np.log(pairs.p, out=np.zeros_like(pairs.p), where=pairs.p > 0)
    return float(pairs.p @ (log_p + log_spread + np.log(repulsion(Y, angle)[1])))


class BarnesHutTSNE(TSNE):
    """`TSNE` for many samples, in two dimensions: memory of the order of N perplexity, time of N log N.

    Args:
        angle: the precision of the forces, a float in [0, 1]: 0 is exact and slow, 0.5 usual.
        n_components, ...: as `TSNE`; n_components must be 2.

    Attributes:
        kl_divergence_: over the pairs of neighbours, with the Z of the tree.
        embedding_, n_iter_, learning_rate_, n_features_in_: as `TSNE`.
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        angle: float = 0.5,
        perplexity: float = 30.0,
        early_exaggeration: float = 12.0,
        learning_rate: float | str = "auto",
        max_iter: int = 1000,
        min_grad_norm: float = 1e-7,
        init: str | ArrayLike = "pca",
        rng: np.random.Generator | None = None,
    ):
        super().__init__(
            n_components,
            perplexity=perplexity,
            early_exaggeration=early_exaggeration,
            learning_rate=learning_rate,
            max_iter=max_iter,
            min_grad_norm=min_grad_norm,
            init=init,
            rng=rng,
        )
        self.angle = angle

    def check_parameters(self) -> None:
        """Refuse what `TSNE` refuses, ``n_components`` other than 2, and ``angle`` outside [0, 1].

        Raises:
            InvalidParameterError: the message names the parameter, the range and the value.
        """
        super().check_parameters()
        self.check_number("n_components", int, 2, 2)
        self.check_number("angle", float, 0, 1)

    def objective(self, X: np.ndarray) -> tuple[Callable[..., np.ndarray], Callable[[np.ndarray], float]]:
        """For X (N, D) and the angle: `gradient`, of Y and ``exaggeration``, and `kl_divergence`, of Y."""
        pairs = neighbor_probabilities(X, self.perplexity)
        return partial(gradient, pairs, angle=self.angle), partial(kl_divergence, pairs, angle=self.angle)
