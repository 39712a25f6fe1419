r"""Random forest: many deep trees, each with its own sample of rows and random features, take a vote.

    prediction = (1 / B) sum_b tree_b(x)        tree b: a bootstrap sample, a few features drawn in each node

A tree grown to the end has little bias and much variance. The mean of B trees with variance v and correlation
rho between any two has the variance

    rho v + (1 - rho) v / B

so more trees never harm, but only less correlation gets below rho v. That is what the two kinds of chance are
for: rows drawn with replacement, and in each node only the best of a few features.

A sample of N rows out of N leaves out a given row with probability (1 - 1 / N)^N, about 1 / e: for every row
about 37 % of the trees have not seen it, and their vote on it is an honest test that costs no data.

Shapes   X (N, D), y (N,), B trees, V classes; counts (N,): how often each row is in a sample.
Source   Breiman 2001, "Random forests", Machine Learning 45, sec. 2-4 and 11; Breiman 1996, "Bagging
         predictors", sec. 4; Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning,
         sec. 15.2 (the variance) and 15.3.1 (out-of-bag).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.classification.decision_tree import (
    DecisionTree,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
)
from classical_ml.estimator import Classifier, Estimator, Regressor
from utils import metrics
from utils.seeding import spawn


def bootstrap_counts(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n times from n rows, with replacement: how often each row came, ints (n,) whose sum is n."""
    raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 1 of 9, bootstrap_counts")


def soft_vote(trees: Sequence[DecisionTree], X: np.ndarray) -> np.ndarray:
    """The mean of what the trees say of each row of X (N, D): shares of classes (N, V), or numbers (N, 1)."""
    raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 2 of 9, soft_vote")


def out_of_bag(trees: Sequence[DecisionTree], counts: np.ndarray, X: np.ndarray) -> np.ndarray:
    """The same mean, for each row over the trees that have not seen it.

    Args:
        trees: B of them.
        counts: (B, N), how often each row was in each tree's sample.
        X: (N, D), what they were grown on.

    Returns:
        (N, V) or (N, 1); NaN for a row that every tree has seen.
    """
    raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 3 of 9, out_of_bag")


class RandomForest(Estimator):
    """What the two forests share; see `RandomForestClassifier` for the parameters."""

    kind: type[DecisionTree]  # of the trees
    estimators_: list[DecisionTree]
    max_features: int | float | str | None

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "gini",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        min_impurity_decrease: float = 0.0,
        max_features: int | float | str | None = "sqrt",
        ccp_alpha: float = 0.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        rng: np.random.Generator | None = None,
    ):
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.min_impurity_decrease = min_impurity_decrease
        self.max_features = max_features
        self.ccp_alpha = ccp_alpha
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.rng = rng

    def check_parameters(self) -> None:
        """Refuse parameters that are not as `RandomForestClassifier` says.

        Raises:
            InvalidParameterError: as `Estimator.check_number`, `check_option` and `check_rng`; for those that
                the trees have too, the message names the tree's class.
            ValueError: ``oob_score`` without ``bootstrap``; the message names both.
        """
        raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 4 of 9, RandomForest.check_parameters")

    def make_tree(self, rng: np.random.Generator | None) -> DecisionTree:
        """A tree with the forest's settings that draws its features from ``rng``, not fitted."""
        own = set(self.get_params()) - {"n_estimators", "bootstrap", "oob_score", "rng"}
        return self.kind(**{name: getattr(self, name) for name in own}, rng=rng)

    def learn(self, X: np.ndarray, y: np.ndarray) -> None:
        """Grow the trees; set ``estimators_``, ``counts_`` and ``feature_importances_``.

        Tree b takes its sample, with `bootstrap_counts`, and then its features from child b of ``rng``
        (`utils.seeding.spawn`), and so does not depend on how many trees come after it. From ``rng`` itself
        nothing is drawn. What an earlier fit has said out of bag is forgotten: there are no ``oob_...``
        attributes until `fit` sets them.

        Args:
            X: (N, D).
            y: (N,), what the trees learn.
        """
        raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 5 of 9, RandomForest.learn")


class RandomForestClassifier(RandomForest, Classifier):
    """Trees that vote with the shares of the classes in their leaves.

    Args:
        n_estimators: B, the number of trees, an int in [1, inf).
        criterion, max_depth, min_samples_split, min_samples_leaf, min_impurity_decrease, max_features,
            ccp_alpha: of each tree, see `DecisionTreeClassifier`; the two limits on samples count different
            rows, however often they are in the sample.
        bootstrap: a sample with replacement for each tree; otherwise all rows for all of them.
        oob_score: judge the forest on the rows that its trees have not seen.
        rng: always needed, without bootstrap too. A second ``fit`` grows other trees from it.

    Attributes:
        estimators_: the B trees; they know the classes by their place in ``classes_``.
        counts_: (B, N) ints, how often each row was in each tree's sample.
        classes_: (V,), sorted; n_classes_: V.
        feature_importances_: (D,), the mean of the trees', scaled to the sum 1 even if some trees have no
            split; zeros where none has.
        oob_decision_function_: (N, V), for each row the mean shares over the trees that have not seen it, NaN
            where all have; with ``oob_score`` only.
        oob_score_: the accuracy of its largest share on the rows that are not NaN, NaN if none is; with
            ``oob_score`` only.
        n_features_in_: D.
    """

    kind = DecisionTreeClassifier

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Grow the forest for X (N, D) and classes y (N,). Returns the estimator.

        Raises:
            InvalidParameterError, ValueError: as `RandomForest.check_parameters`, which comes first.
            ValueError: as `Classifier.check_X_y`.
        """
        raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 6 of 9, RandomForestClassifier.fit")

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The mean over the trees of the shares of the classes, for each row of X (N, D): (N, V).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 7 of 9, RandomForestClassifier.predict_proba")


class RandomForestRegressor(RandomForest, Regressor):
    """Trees whose answers are averaged.

    Args:
        criterion: "squared_error".
        max_features: as there, but by default 1.0: all features, bagging alone.
        Others: as `RandomForestClassifier`.

    Attributes:
        estimators_, counts_, feature_importances_, n_features_in_: as `RandomForestClassifier`.
        oob_prediction_: (N,), for each row the mean over the trees that have not seen it, NaN where all have;
            with ``oob_score`` only.
        oob_score_: its R^2 on the rows that are not NaN, NaN if there are fewer than two; with ``oob_score``
            only.
    """

    kind = DecisionTreeRegressor

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str = "squared_error",
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        min_impurity_decrease: float = 0.0,
        max_features: int | float | str | None = 1.0,
        ccp_alpha: float = 0.0,
        bootstrap: bool = True,
        oob_score: bool = False,
        rng: np.random.Generator | None = None,
    ):
        super().__init__(
            n_estimators,
            criterion=criterion,
            max_depth=max_depth,
            min_samples_split=min_samples_split,
            min_samples_leaf=min_samples_leaf,
            min_impurity_decrease=min_impurity_decrease,
            max_features=max_features,
            ccp_alpha=ccp_alpha,
            bootstrap=bootstrap,
            oob_score=oob_score,
            rng=rng,
        )

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Grow the forest for X (N, D) and numbers y (N,). Returns the estimator.

        Raises:
            InvalidParameterError, ValueError: as `RandomForest.check_parameters`, which comes first.
            ValueError: as `Regressor.check_X_y`.
        """
        raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 8 of 9, RandomForestRegressor.fit")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The mean of the trees' answers for each row of X (N, D): (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.ensemble.random_forest: TODO 9 of 9, RandomForestRegressor.predict")
