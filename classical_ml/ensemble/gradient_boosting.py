r"""Gradient boosting: each tree is a step downhill, in the space of functions, on what is left of the loss.

    F <- F + learning_rate * tree(g, h),        g = dL/dF, h = d2L/dF2 at each training row

    squared error  L = (y - F)^2 / 2            g = F - y           h = 1
    log loss       L = - log p(own class)       g = p - [own]       h = p (1 - p)

A tree is fitted not to the targets but to the derivatives of the loss: with -G / (H + lambda) in its leaves
it is the Newton step that is constant in each of them. For the squared error -g is the residual, and a tree
is fitted to what the others have left over; for any other loss only g and h change. Two classes need one
function F, the log-odds of the second; more need one for each class, whose softmax is p.

A small learning rate takes the steps in part, so that many trees have a say everywhere: it fits more slowly,
and overfits later. Each tree may also see a random share of the rows only.

Shapes   X (N, D), y (N,); F, target, g and h (N, C): C = 1 for numbers and for two classes, else their
         number.
Source   Friedman 2001, "Greedy function approximation: a gradient boosting machine", Ann. Statist. 29, alg.
         1, sec. 4 and 5; Friedman 2002, "Stochastic gradient boosting", Comput. Stat. Data Anal. 38, sec. 3;
         Chen & Guestrin 2016, arXiv:1603.02754, sec. 2 (second order).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.ensemble.histogram_tree import Tree, find_thresholds, grow, to_bins
from classical_ml.estimator import Classifier, Estimator, Regressor
from utils.math_utils import log_sigmoid, log_softmax, sigmoid, softmax


class Loss(NamedTuple):
    """A loss at F (N, C), and its derivatives with respect to F."""

    value: np.ndarray  # (N,)
    gradient: np.ndarray  # (N, C)
    hessian: np.ndarray  # (N, C), the second derivative by each entry of F alone


LossFunction = Callable[[np.ndarray, np.ndarray], Loss]  # of target and F


def squared_error(target: np.ndarray, F: np.ndarray) -> Loss:
    """(y - F)^2 / 2 for target and F (N, 1)."""
    raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 1 of 18, squared_error")


def binary_log_loss(target: np.ndarray, F: np.ndarray) -> Loss:
    """- log p of the row's class, where p = sigmoid(F) is that of class 1; target 0 or 1, F (N, 1)."""
    raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 2 of 18, binary_log_loss")


def multinomial_log_loss(target: np.ndarray, F: np.ndarray) -> Loss:
    """- log p of the row's class, where p = softmax(F); target one-hot, F (N, C)."""
    raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 3 of 18, multinomial_log_loss")


def draw(n: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a share of n rows without replacement, max(1, int(share * n)) of them: ints in rising order."""
    raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 4 of 18, draw")


def step(trees: list[Tree], binned: np.ndarray) -> np.ndarray:
    """What the C trees of a round add to F for ``binned`` (D, N): (N, C)."""
    raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 5 of 18, step")


class GradientBoosting(Estimator):
    """What the two estimators share; see `GradientBoostingRegressor` for the parameters."""

    def __init__(
        self,
        *,
        learning_rate: float = 0.1,
        n_estimators: int = 100,
        subsample: float = 1.0,
        max_depth: int | None = 3,
        max_leaf_nodes: int | None = None,
        min_samples_leaf: int = 1,
        l2_regularization: float = 0.0,
        max_bins: int = 255,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = None,
        tol: float = 1e-4,
        rng: np.random.Generator | None = None,
    ):
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.subsample = subsample
        self.max_depth = max_depth
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_bins = max_bins
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.rng = rng

    def check_parameters(self) -> None:
        """Refuse parameters that are not as `GradientBoostingRegressor` says.

        Raises:
            InvalidParameterError: as `Estimator.check_number`; `Estimator.check_rng` where rng is needed.
        """
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 6 of 18, GradientBoosting.check_parameters")

    def learn(self, X: np.ndarray, target: np.ndarray, start: np.ndarray, loss: LossFunction) -> None:
        """Boost: set what `GradientBoostingRegressor` lists, ``n_features_in_`` last.

        Rows that are held out only judge: no cut is made of them, and no tree. Each tree is `grow_one`'s.

        Args:
            X: (N, D).
            target: (N, C).
            start: (C,), F before the first tree.
            loss: one of the three above.
        """
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 8 of 18, GradientBoosting.learn")

    def grow_one(self, binned: np.ndarray, rows: np.ndarray, g: np.ndarray, h: np.ndarray) -> Tree:
        """The tree of these derivatives (N,), its values times the learning rate; see `grow`."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 7 of 18, GradientBoosting.grow_one")

    def stages(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """F for X (N, D), checked, after each round: yields arrays (N, C), each a new one."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 9 of 18, GradientBoosting.stages")

    def raw(self, X: ArrayLike) -> np.ndarray:
        """F for X (N, D) after the last round: (N, C). Raises as `Estimator.check_new_X`."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 10 of 18, GradientBoosting.raw")

    def answers(self, F: np.ndarray) -> np.ndarray:
        """What is predicted where F is (N, C): (N,)."""
        raise TypeError(f"{type(self).__name__} does not define answers")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The answers for X (N, D) after the last round: (N,). Raises as `raw`."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 11 of 18, GradientBoosting.predict")

    def staged_predict(self, X: ArrayLike) -> Iterator[np.ndarray]:
        """What `predict` would say after 1, 2, ... rounds: yields arrays (N,). Raises as `raw`, at once."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 12 of 18, GradientBoosting.staged_predict")


class GradientBoostingRegressor(GradientBoosting, Regressor):
    """Boosted trees for numbers, by the squared error.

    Args:
        learning_rate: the share of each Newton step that is taken, a float in (0, inf).
        n_estimators: rounds, an int in [1, inf).
        subsample: the share of the training rows (those not held out) that a round's trees are grown on, all
            of them on the same rows, see `draw`; in (0, 1].
        max_depth, max_leaf_nodes: limits of each tree, ints in [1, inf) and [2, inf), or None for no limit.
        min_samples_leaf: the least number of rows on either side of a split, an int in [1, inf).
        l2_regularization: lambda, a float in [0, inf).
        max_bins: of each feature, an int in [2, 255].
        validation_fraction: the share of rows, see `draw`, that is held out if ``n_iter_no_change`` is given;
            a float in (0, 1).
        n_iter_no_change: stop after that many rounds in a row that were no better. A round is better if it
            leaves the rows held out a loss more than ``tol`` below the one after the last better round, at
            first that of the start. An int in [1, inf), or None to hold out none and never stop.
        tol: a float in [0, inf).
        rng: needed for ``subsample`` < 1 and for ``n_iter_no_change``.

    Attributes:
        init_: (C,), F before the first tree: the constant with the least loss, the mean of y. It is taken
            over all rows, also those held out: they may be all that a class has.
        estimators_: for each round a list of C trees, their values times the learning rate.
        n_estimators_: how many rounds there were.
        train_score_: (n_estimators_,), the mean loss of the training rows after each round, drawn or not.
        validation_score_: the same for the rows held out; empty if there are none.
        bin_thresholds_: for each feature, see `find_thresholds`; cut on the training rows only.
        n_features_in_: D.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and y (N,), N >= 2 if rows are held out. Returns the estimator.

        Raises:
            ValueError: as `Regressor.check_X_y`.
            InvalidParameterError: a parameter is not as above.
        """
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 13 of 18, GradientBoostingRegressor.fit")

    def answers(self, F: np.ndarray) -> np.ndarray:
        """F itself."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 14 of 18, GradientBoostingRegressor.answers")


class GradientBoostingClassifier(GradientBoosting, Classifier):
    """Boosted trees for classes, by the log loss: one tree a round for two classes, else one for each class.

    The parameters are those of `GradientBoostingRegressor`.

    Attributes:
        classes_: (V,), sorted; n_classes_: V.
        init_: the log-odds of the second of two classes, (1,); else the logarithms of the classes' shares
            less their mean, (V,).
        Others: as `GradientBoostingRegressor`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and classes y (N,), two at least. Returns the estimator.

        Raises:
            ValueError: as `Classifier.check_X_y`.
            InvalidParameterError: a parameter is not as above.
        """
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 15 of 18, GradientBoostingClassifier.fit")

    def answers(self, F: np.ndarray) -> np.ndarray:
        """The most probable class, the first of several that tie."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 16 of 18, GradientBoostingClassifier.answers")

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """F for each row of X (N, D): (N,) for two classes, else (N, V). Raises as `raw`."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 17 of 18, GradientBoostingClassifier.decision_function")

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The probability of each class for each row of X (N, D): (N, V). Raises as `raw`."""
        raise NotImplementedError("classical_ml.ensemble.gradient_boosting: TODO 18 of 18, GradientBoostingClassifier.predict_proba")
