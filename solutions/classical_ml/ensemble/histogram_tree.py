r"""A tree over bins: a byte for each value, one histogram for all splits of a node, half of them free.

    a leaf with the sums G and H over its rows takes the value  v = - G / (H + lambda)
    gain of a split = 1/2 (G_L^2 / (H_L + lambda) + G_R^2 / (H_R + lambda) - G^2 / (H + lambda))

G and H are sums of g and h, the first and second derivatives of any loss at each row. Up to second order the
loss of a leaf changes by G v + 1/2 (H + lambda) v^2, with a price lambda on long steps: v minimises that, and
the gain is how much more it falls with two leaves than with one. With h = 1, g = -y and lambda = 0 the values
are means and the gains half the squared error that is removed: a regression tree.

A split need not look at each value of a feature. Cut once into at most 255 bins, a feature is one byte a
row; the sums of a node by bin, its histogram, score all splits of all features; and the histogram of a child
is its parent's less its sibling's, so that only the smaller child is ever counted. The leaf with the largest
gain is split first: under a limit on their number, leaves are where they are worth most.

Shapes   X (N, D), binned (D, N), g and h (N,), histograms (3, D, B): sums of g, h and 1 in B bins; J nodes.
Source   Chen & Guestrin 2016, "XGBoost: a scalable tree boosting system", arXiv:1603.02754, eq. 5-7; Ke et
         al. 2017, "LightGBM: a highly efficient gradient boosting decision tree", NeurIPS, alg. 1, sec. 2.1.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

MIN_HESSIAN = 1e-3  # a side of a split with less curvature would take a step without bound
TIE = 1e-10  # gains closer than this share of them are equal; one this much smaller than its terms is 0


class Split(NamedTuple):
    """The best split of a node: rows whose bin of the feature is at most ``bin`` go left."""

    gain: float
    feature: int
    bin: int
    left: np.ndarray  # (3,), the sums of G, H and 1 on the left


class Tree(NamedTuple):
    """A tree over bins, as arrays over its J nodes, the root first; in a leaf the feature is -1."""

    feature: np.ndarray  # (J,) ints
    bin: np.ndarray  # (J,) ints
    left: np.ndarray  # (J,) ints, the child for bins up to and including ``bin``
    right: np.ndarray  # (J,) ints
    value: np.ndarray  # (J,)

    def predict(self, binned: np.ndarray) -> np.ndarray:
        """The value of the leaf of each row of ``binned`` (D, N): (N,). All rows take a step at once."""
        node, rows = np.zeros(binned.shape[1], np.intp), np.arange(binned.shape[1])
        while len(rows := rows[self.feature[node[rows]] >= 0]):
            at = node[rows]
            goes_left = binned[self.feature[at], rows] <= self.bin[at]
            node[rows] = np.where(goes_left, self.left[at], self.right[at])
        return self.value[node]


def find_thresholds(x: np.ndarray, max_bins: int) -> np.ndarray:
    """Where to cut a feature into at most ``max_bins`` bins; a value falls in the bin of the first cut >= it.

    Args:
        x: (N,), finite, of any float type.
        max_bins: in [2, 255].

    Returns:
        Rising cuts, float64: with at most ``max_bins`` distinct values, halfway between neighbours; with
        more, the quantiles 1 / max_bins, 2 / max_bins, ... (where a quantile falls between two values, their
        mean), each once.
    """
    distinct = np.unique(x)
    if len(distinct) <= max_bins:
        low, high = distinct[:-1].astype(np.float64), distinct[1:].astype(np.float64)
        middle = low / 2.0 + high / 2.0  # (low + high) / 2 overflows at 1e308
        return np.where(middle < high, middle, low)
    percent = np.linspace(0.0, 100.0, max_bins + 1)[1:-1]
    return np.unique(np.percentile(x.astype(np.float64), percent, method="averaged_inverted_cdf"))


def to_bins(X: np.ndarray, thresholds: list[np.ndarray]) -> np.ndarray:
    """The bin of each value: X (N, D) and the cuts of each feature to (D, N), bytes."""
    columns = zip(X.T, thresholds, strict=True)
    return np.array([np.searchsorted(cuts, x, side="left") for x, cuts in columns]).astype(np.uint8)


def histogram(
    binned: np.ndarray, rows: np.ndarray, gradient: np.ndarray, hessian: np.ndarray, n_bins: int
) -> np.ndarray:
    """Sum gradient, hessian and 1 over the rows of a node, by feature and bin.

    Args:
        binned: (D, N), in [0, n_bins).
        rows: those of the node.
        gradient, hessian: (N,).

    Returns:
        (3, D, n_bins).
    """
    sums = np.empty((3, len(binned), n_bins))
    g, h = gradient[rows], hessian[rows]
    for feature, column in enumerate(binned):
        bins = column[rows].astype(np.intp)  # once, and not in each bincount
        sums[0, feature] = np.bincount(bins, g, n_bins)
        sums[1, feature] = np.bincount(bins, h, n_bins)
        sums[2, feature] = np.bincount(bins, minlength=n_bins)
    return sums


def best_split(hist: np.ndarray, min_samples_leaf: int, l2: float) -> Split | None:
    """The split of a node with the largest gain; of equal ones the lowest feature, then its lowest bin.

    Gains are rounded: those that fall short of the largest by at most TIE times it are equal to it, and one
    of at most TIE times the terms of the two children, 1/2 (G_L^2 / .. + G_R^2 / ..), is none.

    Args:
        hist: (3, D, B), its histogram.
        min_samples_leaf: the least number of rows on either side.
        l2: lambda >= 0.

    Returns:
        None where no split has a gain and leaves, on both sides, ``min_samples_leaf`` rows and an H of
        MIN_HESSIAN (H alone, without lambda).
    """

    def score(g: np.ndarray, h: np.ndarray) -> np.ndarray:
        return 0.5 * g * g / np.maximum(h + l2, MIN_HESSIAN)  # an empty side is refused, not divided by

    left = hist[:, :, :-1].cumsum(axis=2)  # (3, D, B - 1)
    total = hist[:, 0].sum(axis=1)  # (3,)
    right = total[:, None, None] - left
    both = score(left[0], left[1]) + score(right[0], right[1])
    gain = both - score(total[0], total[1])
    least = np.minimum(left, right)
    allowed = (least[2] >= min_samples_leaf) & (least[1] >= MIN_HESSIAN) & (gain > TIE * both)
    gain = np.where(allowed, gain, 0.0)
    best = gain.max(initial=0.0)
    if best <= 0.0:
        return None
    feature, cut = np.unravel_index((gain >= best * (1.0 - TIE)).argmax(), gain.shape)
    return Split(float(gain[feature, cut]), int(feature), int(cut), left[:, feature, cut])


def leaf_value(sums: np.ndarray, l2: float) -> float:
    """The Newton step -G / (H + lambda) of a leaf with the sums of G, H and 1 (3,); 0 where H + lambda is."""
    return float(-sums[0] / (sums[1] + l2)) if sums[1] + l2 > 0.0 else 0.0


def grow(
    binned: np.ndarray,
    rows: np.ndarray,
    gradient: np.ndarray,
    hessian: np.ndarray,
    *,
    max_depth: float,
    max_leaf_nodes: float,
    min_samples_leaf: int,
    l2: float,
) -> Tree:
    """Grow a tree: again and again, split the leaf whose best split has the largest gain, any of equal ones.

    Args:
        binned: (D, N), bytes, of any value up to 255.
        rows: those to grow it on.
        gradient, hessian: (N,), g and h.
        max_depth, max_leaf_nodes: limits from 0 and 1, where the root is a leaf, to infinity.
        min_samples_leaf, l2: see `best_split`.
    """
    n_bins = int(binned.max()) + 1
    feature, cut, children = [], [], []
    value: list[float] = []
    queue: list[tuple] = []

    def add(rows: np.ndarray, sums: np.ndarray, hist: np.ndarray | None, depth: int) -> None:
        """Make a leaf, and put it in the queue if it can be split."""
        split = best_split(hist, min_samples_leaf, l2) if hist is not None else None
        if split is not None:
            heappush(queue, (-split.gain, len(value), split, rows, sums, hist, depth))
        feature.append(-1)
        cut.append(0)
        children.append((-1, -1))
        value.append(leaf_value(sums, l2))

    root = histogram(binned, rows, gradient, hessian, n_bins)
    add(rows, root[:, 0].sum(axis=1), root if max_depth > 0 else None, 0)
    while queue and len(value) < 2 * max_leaf_nodes - 1:  # a tree of L leaves has 2 L - 1 nodes
        _, node, split, rows, sums, hist, depth = heappop(queue)
        feature[node], cut[node], children[node] = split.feature, split.bin, (len(value), len(value) + 1)
        goes_left = binned[split.feature, rows] <= split.bin
        sides = [rows[goes_left], rows[~goes_left]]
        hists: list[np.ndarray | None] = [None, None]
        if depth + 1 < max_depth:
            small = int(len(sides[1]) < len(sides[0]))
            counted = histogram(binned, sides[small], gradient, hessian, n_bins)
            hists[small], hists[1 - small] = counted, hist - counted  # no need to count the larger one
        for side, total, own in zip(sides, (split.left, sums - split.left), hists, strict=True):
            add(side, total, own, depth + 1)
    left, right = np.array(children).T
    return Tree(np.array(feature), np.array(cut), left, right, np.array(value))
