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
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 8 of 21, Tree.apply")

    def get_depth(self) -> int:
        """The most questions that a row is asked; 0 where the root is a leaf."""
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 9 of 21, Tree.get_depth")


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
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 1 of 21, describe")


def halfway(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Thresholds c with low <= c < high, as float64: the midpoints, or low where rounding makes that high.

    Args:
        low, high: of one shape, finite, low < high.
    """
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 2 of 21, halfway")


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
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 3 of 21, removed_shares")


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
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 4 of 21, best_splits")


def partition(order: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Divide the rows of a level among the children; in each child every feature's order stays as it was.

    Args:
        order: (D, M), as in `best_splits`.
        side: (N,), where each row goes: 0 left, 1 right, -1 nowhere.

    Returns:
        (D, M'): all rows that go left, then all that go right, and so the children node after node.
    """
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 5 of 21, partition")


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
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 6 of 21, draw_features")


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
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 7 of 21, grow")


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
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 18 of 21, feature_importances")


def weakest_links(tree: Tree) -> Iterator[tuple[float, int, float]]:
    """Cut the tree back to its root, each time at the node where a leaf saved costs least.

    Cutting off what is below j adds risk(j) less the risks of the leaves below j, and saves all of these
    leaves but one. The quotient is the alpha of j.

    Yields:
        The least alpha of the nodes that still have children, but never less than the one before; its node j;
        and the sum of the risks of the leaves that there are once j is one.
    """
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 19 of 21, weakest_links")


def pruning_path(tree: Tree) -> PruningPath:
    """The alphas at which another part of the tree goes, and what is left then.

    Returns:
        ccp_alphas: rising, from 0 for the whole tree to that of the root alone. Links that are equally weak,
            up to rounding, go together.
        impurities: of the tree that `prune` leaves for each alpha, the sum of the risks of its leaves.
    """
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 20 of 21, pruning_path")


def prune(tree: Tree, alpha: float) -> Tree:
    """The tree without the links up to alpha: the smallest of its subtrees with the least cost.

    The cost is the risk of the leaves plus alpha times their number. With alpha = 0 nothing is cut.
    """
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 21 of 21, prune")


def check_weight(sample_weight: ArrayLike | None, n_samples: int) -> np.ndarray:
    """Weights (N,) as float64, ones for None.

    Raises:
        ValueError: they are not (N,) (the message names both shapes); one is negative, infinite or NaN (its
            value); all are 0.
    """
    raise NotImplementedError("classical_ml.classification.decision_tree: TODO 12 of 21, check_weight")


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
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 10 of 21, DecisionTree.check_parameters")

    def count_features(self, n_features: int) -> int:
        """How many of ``n_features`` are drawn for a node: a whole number in [1, n_features]."""
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 11 of 21, DecisionTree.count_features")

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
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 13 of 21, DecisionTree.learn")

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
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 14 of 21, DecisionTreeClassifier.fit")

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The shares of the classes in the leaf of each row of X (N, D): (N, V).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 15 of 21, DecisionTreeClassifier.predict_proba")


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
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 16 of 21, DecisionTreeRegressor.fit")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The mean of the leaf of each row of X (N, D): (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.classification.decision_tree: TODO 17 of 21, DecisionTreeRegressor.predict")
