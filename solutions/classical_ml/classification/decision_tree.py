r"""CART as estimators: a tree that asks about one feature at a time, for classes and for numbers.

    fit = check, grow, prune        predict = the value of the leaf that a row falls in

The classifier's targets are one-hot vectors, so that the values of its leaves are shares of the classes; the
regressor's are the numbers themselves. All else is the same.

Shapes   X (N, D), y (N,), targets (N, V), one-hot or V = 1; J nodes.
Source   Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees; Hastie, Tibshirani &
         Friedman 2009, The Elements of Statistical Learning, sec. 9.2.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.classification.growing import grow
from classical_ml.classification.pruning import PruningPath, prune, pruning_path
from classical_ml.classification.tree import Tree, feature_importances
from classical_ml.estimator import Classifier, Estimator, Regressor


def check_weight(sample_weight: ArrayLike | None, n_samples: int) -> np.ndarray:
    """Weights (N,) as they are, as float64; ones for None.

    Raises:
        ValueError: they are not (N,) (the message names both shapes); one is negative, infinite or NaN (its
            value); all are 0. Every message names sample_weight.
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

        NumPy's numbers are numbers, also for ``max_features``: np.int64(3) is a number of features, and
        np.float64(0.5) a share.

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
        """How many of ``n_features`` are drawn for a node: a whole number in [1, n_features].

        sqrt(n_features), log2(n_features) and a share of n_features are rounded down, and at least 1.
        """
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
    whose removed shares of the node's impurity are at most 1e-10 below the largest. (scikit-learn draws one.)
    X stays as precise as it is (scikit-learn rounds it to float32).

    Args:
        criterion: "gini" or "entropy" (bits).
        max_depth: questions a row is asked at most, an int in [1, inf); None for no limit.
        min_samples_split: a node with fewer rows is a leaf; an int in [2, inf).
        min_samples_leaf: a split must leave as many rows on both sides; an int in [1, inf).
        min_impurity_decrease: a split must remove as much, measured as the node's share of all weight times
            the decrease of its impurity; a float in [0, inf).
        max_features: how many features are drawn for each node out of those that are not constant in it: an
            int in [1, inf), a share in (0.0, 1.0], "sqrt", "log2", or None for all; rounded down.
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
