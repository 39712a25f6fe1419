r"""A decision tree as eight arrays: what each node knows, the leaf a row falls in, what the splits removed.

    a row goes left where x[feature] <= threshold, until it is in a leaf; the answer is the value of the leaf

A node holds rows of weight w. Its value is their weighted mean target m, its impurity their distance from it:

    numbers  E(y - m)^2          classes  gini 1 - sum p_k^2  or  entropy - sum p_k log2 p_k

With one-hot targets m is the share p_k of each class, and the Gini impurity is their mean square distance
from m, as for numbers. A node's risk is its impurity times its share of all weight: risks of nodes can be
compared, and those of the leaves add up to the impurity that is left.

Objects that point to objects would be walked row by row. Arrays send all rows down a level in one step, and
make of pruning and of importances a few sums.

Shapes   X (N, D), targets (N, V), one-hot or V = 1. M rows in the K nodes of a level, J nodes in all.
Source   Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, ch. 4 (impurities), sec.
         5.3.4 (importances), ch. 8 (least squares).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

TIE = (
    1e-10  # what differs by less may be equal: shares of an impurity absolutely, alphas and limits relatively
)


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
        raise NotImplementedError("classical_ml.classification.tree: TODO 2 of 4, Tree.apply")

    def get_depth(self) -> int:
        """The most questions that a row is asked; 0 where the root is a leaf."""
        raise NotImplementedError("classical_ml.classification.tree: TODO 3 of 4, Tree.get_depth")


class Nodes(NamedTuple):
    """What `describe` returns: an entry for each of the K nodes of a level."""

    size: np.ndarray  # (K,) ints: rows
    weight: np.ndarray  # (K,): the sum of their weights
    value: np.ndarray  # (K, V): the weighted mean of their targets
    impurity: np.ndarray  # (K,)


def p_log_p(p: np.ndarray) -> np.ndarray:
    """p log2 p, and 0 at p = 0, for p of any shape in [0, 1] or beside it by rounding."""
    return p * np.log2(np.maximum(p, np.finfo(float).tiny))


def describe(target: np.ndarray, weight: np.ndarray, node: np.ndarray, n_nodes: int, criterion: str) -> Nodes:
    """Size, weight, value and impurity of the nodes of a level, from the rows in them.

    Args:
        target: (M, V), one-hot for "gini" and "entropy".
        weight: (M,), > 0.
        node: (M,), the node of each row, in [0, n_nodes); every node has a row.
        criterion: "gini", "entropy" (in bits) or "squared_error" (summed over the V targets).

    Returns:
        `Nodes`; the impurity is never below 0, and exactly 0 where all targets of a node are equal.
    """
    raise NotImplementedError("classical_ml.classification.tree: TODO 1 of 4, describe")


def feature_importances(tree: Tree, n_features: int) -> np.ndarray:
    """What the splits of each feature remove: the risk of a node less those of its two children.

    Returns:
        (D,), scaled to the sum 1; zeros where nothing is removed.
    """
    raise NotImplementedError("classical_ml.classification.tree: TODO 4 of 4, feature_importances")
