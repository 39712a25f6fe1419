r"""CART: ask the question about one feature that leaves the least doubt, and ask on in both halves.

    a node holds rows of weight w; its value is their mean target m, its impurity I how far they are from it
    split x_f <= c:   removes  I - (share_L I_L + share_R I_R),   never less than 0: take the split with most

Numbers: I = E(y - m)^2. Classes: with one-hot targets m is the share p_k of each class, and that same mean
square is the Gini impurity 1 - sum p_k^2; the entropy is - sum p_k log2 p_k. For a mean square, all that is
needed of a split is s, the sum of share * (target - m) over its left side, as the right side has -s: it
removes s^2 / (share_L share_R).

Sorting the rows of every node again would cost a logarithm more. Here each feature is sorted once and the
tree grows by levels: one running sum along each feature gives the s of all splits of a level's nodes, and the
rows are divided among the children in such a way that they stay sorted.

A tree grown to the end remembers the noise. Pruning cuts off the subtree that removes least impurity for each
of its leaves (the weakest link), again and again: a nested sequence, in which there is for every alpha the
smallest subtree with the least  (impurity of its leaves) + alpha * (number of leaves).

Shapes   X (N, D), y (N,), targets (N, V), one-hot or V = 1. M rows in the K nodes of a level, J nodes in all.
Source   Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, ch. 3 (pruning), 4
         (impurities), 8 (least squares); Mehta, Agrawal & Rissanen 1996, "SLIQ: a fast scalable classifier
         for data mining", sec. 4 (sort once, grow by levels).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import reduce
from itertools import takewhile
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Classifier, Estimator, Regressor

TIE = 1e-10  # splits whose removed shares of the impurity are this close count as equally good


@dataclass(frozen=True)
class Tree:
    """A binary tree as arrays over its J nodes, numbered depth first: the left child of j is j + 1.

    A row with x[feature] <= threshold goes left. In a leaf the children are -1, feature and threshold -2.
    """

    children_left: np.ndarray  # (J,) ints
    children_right: np.ndarray  # (J,) ints
    feature: np.ndarray  # (J,) ints
    threshold: np.ndarray  # (J,)
    value: np.ndarray  # (J, V): shares of the classes, or the mean (V = 1)
    impurity: np.ndarray  # (J,)
    n_node_samples: np.ndarray  # (J,) ints: rows of positive weight
    weighted_n_node_samples: np.ndarray  # (J,): sum of their weights

    @property
    def node_count(self) -> int:
        """J."""
        return len(self.feature)

    @property
    def risk(self) -> np.ndarray:
        """(J,): impurity times share of all weight."""
        return self.impurity * self.weighted_n_node_samples / self.weighted_n_node_samples[0]

    @property
    def is_leaf(self) -> np.ndarray:
        """(J,) bools."""
        return self.children_left < 0

    def apply(self, X: np.ndarray) -> np.ndarray:
        """The leaf of each row of X (N, D): ints (N,). All rows take a step at once, level by level."""
        node, rows = np.zeros(len(X), np.intp), np.arange(len(X))
        while len(rows := rows[~self.is_leaf[node[rows]]]):
            at = node[rows]
            left = X[rows, self.feature[at]] <= self.threshold[at]
            node[rows] = np.where(left, self.children_left[at], self.children_right[at])
        return node

    def get_depth(self) -> int:
        """The most questions that a row is asked; 0 where the root is a leaf."""
        depth, level = 0, np.zeros(1, np.intp)
        while len(level := level[~self.is_leaf[level]]):
            depth, level = depth + 1, np.concatenate([self.children_left[level], self.children_right[level]])
        return depth


class Nodes(NamedTuple):
    """What `describe` returns: an entry for each of the K nodes of a level."""

    size: np.ndarray  # (K,) ints: rows
    weight: np.ndarray  # (K,): the sum of their weights
    value: np.ndarray  # (K, V): the weighted mean of their targets
    impurity: np.ndarray  # (K,)


class PruningPath(NamedTuple):
    """What `pruning_path` returns: two arrays of one length."""

    ccp_alphas: np.ndarray
    impurities: np.ndarray


def p_log_p(p: np.ndarray) -> np.ndarray:
    """p log2 p, and 0 at p = 0, for p of any shape in [0, 1] or beside it by rounding."""
    return p * np.log2(np.maximum(p, np.finfo(float).tiny))


def describe(target: np.ndarray, weight: np.ndarray, node: np.ndarray, n_nodes: int, criterion: str) -> Nodes:
    """What there is to say of the nodes of a level, from the rows in them.

    Args:
        target: (M, V), one-hot for "gini" and "entropy".
        weight: (M,), > 0.
        node: (M,), the node of each row, in [0, n_nodes); every node has a row.
        criterion: "gini", "entropy" (in bits) or "squared_error" (summed over the V targets).

    Returns:
        `Nodes`; where all targets of a node are equal, the impurity is exactly 0.
    """
    total = np.bincount(node, weight, n_nodes)
    origin = np.zeros((n_nodes, target.shape[1]))
    if criterion == "squared_error":
        origin[node] = target  # measured from one of its rows, a node of equal targets has exactly their mean
    sums = [np.bincount(node, weight * column, n_nodes) for column in (target - origin[node]).T]
    value = origin + np.stack(sums, axis=1) / total[:, None]  # (K, V)
    if criterion == "gini":
        impurity = 1.0 - (value * value).sum(axis=1)
    elif criterion == "entropy":
        impurity = -p_log_p(value).sum(axis=1)
    else:
        squares = ((target - value[node]) ** 2).sum(axis=1)
        impurity = np.bincount(node, weight * squares, n_nodes) / total
    return Nodes(np.bincount(node, minlength=n_nodes), total, value, np.maximum(impurity, 0.0))


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
        Feature (K,), -1 where no cut between two different values leaves enough rows on both sides; threshold
        (K,), halfway between the two values; and the removed share (K,) of the node's impurity. Of the splits
        within TIE of the best, those of the lowest feature, and of these the one of the lowest threshold.
    """
    starts, place = np.cumsum(nodes.size) - nodes.size, np.arange(order.shape[1])
    segment = np.repeat(np.arange(len(starts)), nodes.size)  # (M,)
    node = np.zeros(len(weight), np.intp)
    node[order[0]] = segment
    share = weight / nodes.weight[node]  # (N,)
    unit = share if criterion == "entropy" else share / np.sqrt(nodes.impurity)[node]
    away = ((target - nodes.value[node]) * unit[:, None]).T.copy()  # (V, N)

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
    max_depth: float,
    min_samples_split: int,
    min_samples_leaf: int,
    min_impurity_decrease: float,
    max_features: int,
    rng: np.random.Generator | None,
) -> Tree:
    """Grow a tree level by level: every node is split that is not pure and that no limit forbids to split.

    A split that removes nothing is a split too. `depth_first` makes the tree of the levels.

    Args:
        X: (N, D), finite.
        target: (N, V), one-hot for "gini" and "entropy".
        weight: (N,), >= 0, not all 0; rows of weight 0 are left out.
        criterion: as in `describe`.
        max_depth, min_samples_split, min_samples_leaf, min_impurity_decrease: see `DecisionTreeClassifier`.
        max_features: how many features a node may ask about, drawn with ``rng``; without one, all.
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


def feature_importances(tree: Tree, n_features: int) -> np.ndarray:
    """What the splits of each feature remove: the risk of a node less those of its two children.

    Returns:
        (D,), scaled to the sum 1; zeros where nothing is removed.
    """
    risk, split = tree.risk, np.flatnonzero(~tree.is_leaf)
    removed = risk[split] - risk[tree.children_left[split]] - risk[tree.children_right[split]]
    total = np.bincount(tree.feature[split], np.maximum(removed, 0.0), n_features)
    return total / total.sum() if total.sum() > 0.0 else np.zeros(n_features)


def weakest_links(tree: Tree) -> Iterator[tuple[float, int, float]]:
    """Cut the tree back to its root, each time at the node where a leaf saved costs least.

    Cutting off what is below j adds risk(j) less the risks of the leaves below j, and saves all of these
    leaves but one. The quotient is the alpha of j.

    Yields:
        The least alpha of the nodes that still have children, but never less than the one before; its node j;
        and the sum of the risks of the leaves that there are once j is one.
    """
    risk, inner = tree.risk, np.flatnonzero(~tree.is_leaf)
    parent = np.full(tree.node_count, -1)
    end = np.arange(tree.node_count) + 1  # j and all below it are j ... end[j] - 1
    leaves, below = np.ones(tree.node_count, np.intp), risk.copy()  # number and risk of the leaves under j
    for j in reversed(inner.tolist()):
        children = [tree.children_left[j], tree.children_right[j]]
        parent[children], end[j] = j, end[children[1]]
        leaves[j], below[j] = leaves[children].sum(), below[children].sum()
    link = np.full(tree.node_count, np.inf)
    link[inner] = (risk[inner] - below[inner]) / (leaves[inner] - 1)
    alpha = 0.0
    while leaves[0] > 1:
        weakest = above = int(link.argmin())
        alpha = max(alpha, float(link[weakest]))
        link[weakest : end[weakest]] = np.inf
        saved, added = leaves[weakest] - 1, risk[weakest] - below[weakest]
        while above >= 0:
            leaves[above] -= saved
            below[above] += added
            if leaves[above] > 1:
                link[above] = (risk[above] - below[above]) / (leaves[above] - 1)
            above = int(parent[above])
        yield alpha, weakest, float(below[0])


def pruning_path(tree: Tree) -> PruningPath:
    """The alphas at which another part of the tree goes, and what is left then.

    Returns:
        ccp_alphas: rising, from 0 for the whole tree to that of the root alone. Links that are equally weak,
            up to rounding, go together.
        impurities: of the tree that `prune` leaves for each alpha, the sum of the risks of its leaves.
    """
    risk = tree.risk
    alphas, impurities = [0.0], [float(risk[tree.is_leaf].sum())]
    for alpha, _, impurity in weakest_links(tree):
        if alpha > alphas[-1] * (1.0 + TIE) + np.finfo(float).eps * risk[0]:
            alphas.append(alpha)
            impurities.append(impurity)
        else:
            alphas[-1], impurities[-1] = (alpha if len(alphas) > 1 else 0.0), impurity
    return PruningPath(np.array(alphas), np.array(impurities))


def prune(tree: Tree, alpha: float) -> Tree:
    """The tree without the links up to alpha: the smallest of its subtrees with the least cost.

    The cost is the risk of the leaves plus alpha times their number. With alpha = 0 nothing is cut.
    """
    leaf = tree.is_leaf
    if alpha > 0.0:
        links = takewhile(lambda link: link[0] <= alpha * (1.0 + TIE), weakest_links(tree))
        leaf[[j for _, j, _ in links]] = True
    kept, level = np.zeros(len(leaf), bool), np.zeros(1, np.intp)
    while len(level):
        kept[level] = True
        level = level[~leaf[level]]
        level = np.concatenate([tree.children_left[level], tree.children_right[level]])
    number = np.cumsum(kept) - 1
    cut = replace(
        tree,
        children_left=np.where(leaf, -1, number[tree.children_left]),
        children_right=np.where(leaf, -1, number[tree.children_right]),
        feature=np.where(leaf, -2, tree.feature),
        threshold=np.where(leaf, -2.0, tree.threshold),
    )
    return Tree(*(getattr(cut, field.name)[kept] for field in fields(Tree)))


def check_weight(sample_weight: ArrayLike | None, n_samples: int) -> np.ndarray:
    """Weights (N,) as float64, ones for None.

    Raises:
        ValueError: they are not (N,) (the message names both shapes); one is negative, infinite or NaN (its
            value); all are 0.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n_samples,):
        raise ValueError(f"sample_weight has shape {weight.shape}, expected {(n_samples,)}: one a row of X")
    if (odd := ~(np.isfinite(weight) & (weight >= 0.0))).any():
        raise ValueError(f"sample_weight must be finite and at least 0, got {weight[odd][0]}")
    if not weight.any():
        raise ValueError(f"sample_weight is 0 for all {n_samples} rows: nothing is left to learn from")
    return weight


class DecisionTree(Estimator):
    """What the classifier and the regressor share; see `DecisionTreeClassifier` for the parameters."""

    criteria: tuple[str, ...]
    tree_: Tree

    def __init__(
        self,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        min_impurity_decrease: float = 0.0,
        max_features: int | float | str | None = None,
        ccp_alpha: float = 0.0,
        rng: np.random.Generator | None = None,
    ):
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_impurity_decrease = min_impurity_decrease
        self.max_features = max_features
        self.ccp_alpha = ccp_alpha
        self.rng = rng

    def check_parameters(self) -> None:
        """Refuse parameters that are not as `DecisionTreeClassifier` says.

        Raises:
            InvalidParameterError: as `Estimator.check_number` and `check_option`.
        """
        self.check_option("criterion", self.criteria)
        if self.max_depth is not None:
            self.check_number("max_depth", int, 1)
        self.check_number("min_samples_split", int, 2)
        self.check_number("min_samples_leaf", int, 1)
        self.check_number("min_impurity_decrease", float, 0.0)
        self.check_number("ccp_alpha", float, 0.0)
        if isinstance(self.max_features, float | np.floating):
            self.check_number("max_features", float, 0.0, 1.0, low_open=True)
        elif self.max_features is None or isinstance(self.max_features, str):
            self.check_option("max_features", ("sqrt", "log2", None))
        else:
            self.check_number("max_features", int, 1)

    def count_features(self, n_features: int) -> int:
        """How many of ``n_features`` are drawn for a node: a whole number in [1, n_features]."""
        wanted = self.max_features
        if wanted is None:
            return n_features
        if isinstance(wanted, str):
            return max(1, int(math.sqrt(n_features) if wanted == "sqrt" else math.log2(n_features)))
        if isinstance(wanted, float | np.floating):
            return max(1, int(wanted * n_features))
        return min(int(wanted), n_features)

    def learn(self, X: np.ndarray, target: np.ndarray, sample_weight: ArrayLike | None) -> None:
        """Set ``tree_``, ``feature_importances_``, ``max_features_`` and, last, ``n_features_in_``.

        Args:
            X: (N, D).
            target: (N, V), one-hot or V = 1.
            sample_weight: (N,), or None for ones.

        Raises:
            ValueError: as `check_weight`.
            InvalidParameterError: fewer than all features are drawn, and ``rng`` is no Generator.
        """
        weight = check_weight(sample_weight, len(X))
        self.max_features_ = self.count_features(X.shape[1])
        tree = grow(
            X,
            target,
            weight,
            self.criterion,
            max_depth=math.inf if self.max_depth is None else self.max_depth,
            min_samples_split=self.min_samples_split,
            min_samples_leaf=self.min_samples_leaf,
            min_impurity_decrease=self.min_impurity_decrease,
            max_features=self.max_features_,
            rng=self.check_rng() if self.max_features_ < X.shape[1] else None,
        )
        self.tree_ = prune(tree, self.ccp_alpha)
        self.feature_importances_ = feature_importances(self.tree_, X.shape[1])
        self.n_features_in_ = X.shape[1]

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the tree; each of the two classes defines its own."""
        raise TypeError(f"{type(self).__name__} does not define fit")

    def apply(self, X: ArrayLike) -> np.ndarray:
        """The number of the leaf of ``tree_`` that each row of X (N, D) falls in: ints (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        X = self.check_new_X(X)
        return self.tree_.apply(X)

    def get_depth(self) -> int:
        """The most questions that a row is asked; 0 for a tree that is one leaf."""
        return self.tree_.get_depth()

    def get_n_leaves(self) -> int:
        """The number of leaves."""
        return int(self.tree_.is_leaf.sum())

    def cost_complexity_pruning_path(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> PruningPath:
        """The `pruning_path` of the tree that these data give without pruning; this estimator stays as it is.

        Fitting with ``ccp_alpha`` at one of its alphas gives the tree whose impurity stands beside it, unless
        features are drawn at random, which makes another tree of every fit.
        """
        return pruning_path(self.clone().set_params(ccp_alpha=0.0).fit(X, y, sample_weight).tree_)


class DecisionTreeClassifier(DecisionTree, Classifier):
    """A tree that asks about one feature at a time and answers with the shares of the classes in a leaf.

    Of equally good splits it takes the lowest feature, then the lowest threshold; equally good are splits
    whose removed shares of the node's impurity differ by less than 1e-10. (scikit-learn draws one.) X stays
    as precise as it is (scikit-learn rounds it to float32).

    Args:
        criterion: "gini" or "entropy" (bits).
        max_depth: questions a row is asked at most, an int in [1, inf); None for no limit.
        min_samples_split: a node with fewer rows is a leaf; an int in [2, inf).
        min_samples_leaf: a split must leave as many rows on both sides; an int in [1, inf).
        min_impurity_decrease: a split must remove as much, measured as the node's share of all weight times
            the decrease of its impurity; a float in [0, inf).
        max_features: how many features are drawn for each node out of those that are not constant in it: an
            int in [1, inf), a share in (0.0, 1.0], "sqrt", "log2", or None for all.
        ccp_alpha: what a leaf must be worth to stay, see `prune`; a float in [0, inf), 0 for no pruning.
        rng: needed where fewer than all features are drawn.

    The two limits on samples count rows, whatever they weigh. Apart from these, a whole number as weight does
    what repeating the row would do; a row of weight 0 is not there, but its class is.

    Attributes:
        classes_: (V,), sorted; n_classes_: V.
        tree_: the `Tree`; its value holds the weighted shares of the classes.
        feature_importances_: (D,), the impurity removed by each feature's splits, scaled to the sum 1; zeros
            if there are none.
        max_features_: how many features a node may ask about.
        n_features_in_: D.
    """

    criteria = ("gini", "entropy")

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the tree for X (N, D), classes y (N,) and weights (N,) >= 0. Returns the estimator.

        Raises:
            ValueError: as `Classifier.check_X_y`; or ``sample_weight``, see `check_weight`.
            InvalidParameterError: a parameter is not as above; ``rng`` is needed and no Generator.
        """
        self.check_parameters()
        X, self.classes_, indices = self.check_X_y(X, y)
        self.n_classes_ = len(self.classes_)
        self.learn(X, np.eye(self.n_classes_)[indices], sample_weight)
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The shares of the classes in the leaf of each row of X (N, D): (N, V).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        leaf = self.apply(X)
        return self.tree_.value[leaf]


class DecisionTreeRegressor(DecisionTree, Regressor):
    """A tree that answers with the mean of the numbers in a leaf.

    Args:
        criterion: "squared_error".
        Others: as `DecisionTreeClassifier`, ties between splits too.

    Attributes:
        tree_, feature_importances_, max_features_, n_features_in_: as `DecisionTreeClassifier`; the value of
            ``tree_`` is the weighted mean, (J, 1).
    """

    criteria = ("squared_error",)

    def __init__(
        self,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        min_impurity_decrease: float = 0.0,
        max_features: int | float | str | None = None,
        ccp_alpha: float = 0.0,
        rng: np.random.Generator | None = None,
    ):
        super().__init__(
            criterion=criterion,
            max_depth=max_depth,
            min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf,
            min_impurity_decrease=min_impurity_decrease,
            max_features=max_features,
            ccp_alpha=ccp_alpha,
            rng=rng,
        )

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Grow the tree for X (N, D), numbers y (N,) and weights (N,) >= 0. Returns the estimator.

        Raises:
            ValueError, InvalidParameterError: as `DecisionTreeClassifier.fit`.
        """
        self.check_parameters()
        X, y = self.check_X_y(X, y)
        self.learn(X, y.astype(np.float64)[:, None], sample_weight)
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The mean of the leaf of each row of X (N, D): (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        leaf = self.apply(X)
        return self.tree_.value[leaf, 0]
