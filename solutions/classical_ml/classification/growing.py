r"""Growing a tree (CART): ask the question that leaves the least doubt, and ask on in both halves.

    split x_f <= c:   removes  I - (share_L I_L + share_R I_R),   never less than 0: take the split with most

For a mean square (numbers, and Gini) all that is needed of a split is s, the sum of share * (target - mean)
over its left side, as the right side has -s: it removes s^2 / (share_L share_R).

Sorting the rows of every node again would cost a logarithm more. Here each feature is sorted once and the
tree grows by levels: one running sum along each feature gives the s of all splits of a level's nodes, and the
rows are divided among the children in such a way that they stay sorted.

Shapes   X (N, D), targets (N, V), one-hot or V = 1. M rows in the K nodes of a level, F features asked about.
Source   Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, ch. 2, 4 and 8; Mehta,
         Agrawal & Rissanen 1996, "SLIQ: a fast scalable classifier for data mining", sec. 4 (sort once, grow
         by levels).
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from classical_ml.classification.tree import TIE, Nodes, Tree, describe, p_log_p


def halfway(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Thresholds c with low <= c < high, as float64: the midpoints, or low where rounding makes that high.

    Args:
        low, high: of one shape, finite, low < high.
    """
    low, high = low.astype(np.float64), high.astype(np.float64)
    middle = low / 2 + high / 2  # (low + high) / 2 overflows at 1e308
    return np.where(middle < high, middle, low)


def removed_shares(
    rows: np.ndarray,
    segment: np.ndarray,
    left: np.ndarray,
    away: np.ndarray,
    value: np.ndarray,
    criterion: str,
) -> np.ndarray:
    """How much a cut after each place removes of its node's impurity: 1 is all of it.

    Args:
        rows: (F, M), a line for each feature: node after node, the node's rows sorted by the feature.
        segment: (M,), the node at each place, in every line the same; ints in [0, K).
        left: (M,) or (F, M), the share of its node's weight up to each place, its own included; in (0, 1].
        away: (V, N), for each row its target less its node's value, times its share of the node's weight;
            for mean squares in units of the node's standard deviation, the root of its impurity.
        value: (K, V) of the nodes.
        criterion: as in `describe`.

    Returns:
        (F, M). After the last place of a node, where no row is left for the right, anything finite.
    """
    right = np.maximum(1.0 - left, np.finfo(float).eps)
    n_sums = max(len(away) - 1, 1)  # shares of classes add up to 1: the last class's sum is minus the others'
    sums = [np.cumsum(column[rows], axis=1) for column in away[:n_sums]]
    if len(away) > 1:
        sums.append(-reduce(np.add, sums))
    if criterion != "entropy":
        return reduce(np.add, (s * s for s in sums)) / (left * right)
    shares = value[segment].T[:, None]  # (V, 1, M)
    before = p_log_p(shares).sum(axis=0)
    after = np.zeros(rows.shape)
    for s, p in zip(sums, shares, strict=True):
        after += left * p_log_p(p + s / left) + right * p_log_p(p - s / right)
    return 1.0 - after / before


def best_splits(
    columns: np.ndarray,
    order: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    nodes: Nodes,
    criterion: str,
    min_samples_leaf: int,
    features: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The best split of each of the K nodes of a level.

    Args:
        columns: (D, N), X transposed.
        order: (D, M), for each feature the rows of the level: node after node, the node's rows sorted.
        target: (N, V).
        weight: (N,).
        nodes: of the level, none of them pure; their counts add up to M.
        criterion: as in `describe`.
        min_samples_leaf: the least number of rows on either side.
        features: (F, K), those that each node may ask about, in rising order.

    Returns:
        Feature (K,), threshold (K,), halfway between two values, and removed share (K,) of the node's
        impurity. Where no cut between two different values leaves enough rows on both sides, the feature is
        -1, the share 0, the threshold anything. Splits are equally good whose removed shares are at most TIE
        below the largest (absolutely, not relative to it): of these the lowest feature is taken, then the
        lowest threshold.
    """
    starts, place = np.cumsum(nodes.size) - nodes.size, np.arange(order.shape[1])
    segment = np.repeat(np.arange(len(starts)), nodes.size)  # (M,)
    node = np.zeros(len(weight), np.intp)
    node[order[0]] = segment
    share = weight / nodes.weight[node]  # (N,)
    unit = share if criterion == "entropy" else share / np.sqrt(nodes.impurity)[node]
    away = target - nodes.value[node]  # (N, V)
    if criterion == "squared_error":  # far from 0 the values are rounded: what that leaves is taken out
        for column in away.T:
            column -= np.bincount(segment, (share * column)[order[0]])[node]
    away = (away * unit[:, None]).T.copy()  # (V, N)

    rows = order if len(features) == len(order) else order[features[:, segment], place]  # (F, M)
    x = columns.ravel().take(features[:, segment] * columns.shape[1] + rows)  # (F, M)
    count = place - starts[segment] + 1
    equal = weight.min() == weight.max()  # a share is then a number of rows, the same for every feature
    left = count / nodes.size[segment] if equal else np.cumsum(share[rows], axis=1) - segment
    left = np.maximum(left, np.finfo(float).eps)
    removed = removed_shares(rows, segment, left, away, nodes.value, criterion)
    enough = np.minimum(count, nodes.size[segment] - count) >= min_samples_leaf
    allowed = np.zeros(removed.shape, bool)
    allowed[:, :-1] = enough[:-1] & (x[:, 1:] > x[:, :-1])
    removed = np.where(allowed, removed, -np.inf)

    best = np.maximum.reduceat(removed, starts, axis=1)  # (F, K)
    found, floor = np.isfinite(best).any(axis=0), best.max(axis=0) - TIE
    line = (best >= floor).argmax(axis=0)  # the first feature that is good enough
    hits = np.flatnonzero(removed[line[segment], place] >= floor[segment])
    at = hits[np.searchsorted(hits, starts)]  # and its first place in each node
    threshold = halfway(x[line, at], x[line, np.minimum(at + 1, len(place) - 1)])
    feature = np.where(found, features[line, np.arange(len(starts))], -1)
    return feature, threshold, np.where(found, np.maximum(removed[line, at], 0.0), 0.0)


def partition(order: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Divide the rows of a level among the children; in each child every feature's order stays as it was.

    Args:
        order: (D, M), as in `best_splits`.
        side: (N,), where each row goes: 0 left, 1 right, -1 nowhere.

    Returns:
        (D, M'): all rows that go left, then all that go right, and so the children node after node.
    """
    went, flat = side[order].ravel(), order.ravel()
    return np.hstack([flat[np.flatnonzero(went == s)].reshape(len(order), -1) for s in (0, 1)])


def draw_features(
    columns: np.ndarray, order: np.ndarray, count: np.ndarray, max_features: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw for each node ``max_features`` of the features that vary in it; where fewer do, others fill up.

    Every node has a draw of its own, and those that vary in it are equally likely. A feature varies where two
    of the node's values differ, by however little.

    Args:
        columns, order: as in `best_splits`.
        count: (K,), rows in each node.

    Returns:
        (max_features, K), in rising order.
    """
    ends = np.cumsum(count)
    low = np.take_along_axis(columns, order[:, ends - count], axis=1)  # (D, K)
    high = np.take_along_axis(columns, order[:, ends - 1], axis=1)
    key = rng.random(low.shape) + (low == high)  # those that are constant come last
    return np.sort(np.argsort(key, axis=0)[:max_features], axis=0)


def grow(
    X: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    criterion: str,
    *,
    max_depth: float = math.inf,
    min_samples_split: int = 2,
    min_samples_leaf: int = 1,
    min_impurity_decrease: float = 0.0,
    max_features: int = 1,
    rng: np.random.Generator | None = None,
) -> Tree:
    """Grow a tree level by level: every node is split that is not pure and that no limit forbids to split.

    A split that removes nothing is a split too. The limits count rows, whatever they weigh. `depth_first`
    makes the tree of the levels.

    Args:
        X: (N, D), finite.
        target: (N, V), one-hot for "gini" and "entropy".
        weight: (N,), >= 0, not all 0; rows of weight 0 are left out, and no others.
        criterion: as in `describe`.
        max_depth: questions a row is asked at most, >= 1.
        min_samples_split: a node with fewer rows is a leaf.
        min_samples_leaf: a split leaves as many rows on both sides.
        min_impurity_decrease: a split removes as much: the node's share of all weight (not of the rows) times
            the decrease of its impurity; up to rounding: times 1 - TIE at least.
        max_features: how many features, in [1, D], are drawn for each node.
        rng: draws them; None to draw none, and ask about all.
    """
    kept = np.flatnonzero(weight)
    columns, target, weight = np.ascontiguousarray(X[kept].T), target[kept], weight[kept]
    order = columns.argsort(axis=1)  # (D, N), the only sort
    rows, node = np.arange(len(kept)), np.zeros(len(kept), np.intp)  # the node of each row, within its level
    everything, levels, n_nodes = weight.sum(), [], 1
    while n_nodes:
        nodes = describe(target[rows], weight[rows], node[rows], n_nodes, criterion)
        feature, threshold = np.full(n_nodes, -2), np.full(n_nodes, -2.0)
        levels.append((feature, threshold, nodes))
        enough = nodes.size >= max(min_samples_split, 2 * min_samples_leaf)
        asks = (nodes.impurity > 0.0) & enough & (len(levels) <= max_depth)
        if not asks.any():
            break
        rows = rows[asks[node[rows]]]
        side = np.full(len(kept), -1, np.int8)
        side[rows] = node[rows] >= n_nodes // 2  # left children have the first numbers
        order = partition(order, side)
        nodes = Nodes(*(field[asks] for field in nodes))
        features = np.repeat(np.arange(len(columns))[:, None], len(nodes.size), axis=1)
        if rng is not None:
            features = draw_features(columns, order, nodes.size, max_features, rng)
        best, cut, removed = best_splits(
            columns, order, target, weight, nodes, criterion, min_samples_leaf, features
        )
        decrease = removed * nodes.impurity * nodes.weight / everything
        good = (best >= 0) & (decrease >= min_impurity_decrease * (1.0 - TIE))
        split = np.flatnonzero(asks)[good]
        feature[split], threshold[split] = best[good], cut[good]
        rows = rows[feature[node[rows]] >= 0]
        at = node[rows]
        right = columns[feature[at], rows] > threshold[at]
        node[rows] = np.searchsorted(split, at) + right * len(split)
        n_nodes = 2 * len(split)
    return depth_first(levels)


def depth_first(levels: list[tuple[np.ndarray, np.ndarray, Nodes]]) -> Tree:
    """The tree of its levels, each as feature and threshold (-2 for leaves) and `Nodes`.

    The nodes of a level are the left children of the splits above, in their order, and then the right ones.
    """
    feature, threshold = (np.concatenate([level[i] for level in levels]) for i in (0, 1))
    count, weight, value, impurity = (
        np.concatenate(field) for field in zip(*(n for *_, n in levels), strict=True)
    )
    starts = np.cumsum([0] + [len(level[0]) for level in levels])
    splits = [start + np.flatnonzero(level[0] >= 0) for start, level in zip(starts, levels, strict=False)]
    left, right = np.full(len(feature), -1), np.full(len(feature), -1)
    size = np.ones(len(feature), np.intp)  # of the subtree
    for s, below in reversed(list(zip(splits, starts[1:], strict=True))):
        left[s] = below + np.arange(len(s))
        right[s] = left[s] + len(s)
        size[s] += size[left[s]] + size[right[s]]
    number = np.zeros(len(feature), np.intp)
    for s in splits:
        number[left[s]] = number[s] + 1
        number[right[s]] = number[s] + 1 + size[left[s]]
    children = (np.where(feature < 0, -1, number[child]) for child in (left, right))
    by_number = np.argsort(number)
    return Tree(*(a[by_number] for a in (*children, feature, threshold, value, impurity, count, weight)))
