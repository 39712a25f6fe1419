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
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 1 of 10, nearest_neighbors")


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
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 2 of 10, neighbor_probabilities")


def attraction(pairs: Pairs, Y: np.ndarray) -> np.ndarray:
    """sum_j p_ij w_ij (y_i - y_j), over the pairs only.

    Args:
        pairs: E of them.
        Y: (N, 2).

    Returns:
        (N, 2), float64.
    """
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 3 of 10, attraction")


def interleave(numbers: np.ndarray) -> np.ndarray:
    """Put a 0 between all bits: 0b111 becomes 0b10101, bit b moves to bit 2b.

    Args:
        numbers: ints in [0, 2^30), any shape.

    Returns:
        int64, the same shape.
    """
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 4 of 10, interleave")


def build_quadtree(Y: np.ndarray) -> Quadtree:
    """Divide the square around all points into quarters, and these again, down to single points.

    Args:
        Y: (N, 2), N >= 1, not modified.

    Returns:
        A cell with more than one point has its quarters as children, those that hold points. After 30
        levels the points left in a cell count as being in one place, and it is a leaf.
    """
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 5 of 10, build_quadtree")


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
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 6 of 10, repulsion")


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
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 7 of 10, gradient")


def kl_divergence(pairs: Pairs, Y: np.ndarray, *, angle: float = 0.5) -> float:
    """sum p_ij log(p_ij / q_ij) over the pairs, in nats, with Z as `repulsion` finds it."""
    raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 8 of 10, kl_divergence")


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
        raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 9 of 10, BarnesHutTSNE.check_parameters")

    def objective(self, X: np.ndarray) -> tuple[Callable[..., np.ndarray], Callable[[np.ndarray], float]]:
        """For X (N, D) and the angle: `gradient`, of Y and ``exaggeration``, and `kl_divergence`, of Y."""
        raise NotImplementedError("classical_ml.reduction.barnes_hut: TODO 10 of 10, BarnesHutTSNE.objective")
