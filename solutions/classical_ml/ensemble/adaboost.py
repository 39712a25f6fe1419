r"""AdaBoost: each learner sees most of what its predecessors got wrong, and its vote counts by its error.

    e = sum of the weights of the rows it gets wrong                      weights w add up to 1
    alpha = log((1 - e) / e) + log(K - 1)                                 its vote: 0 at e = 1 - 1 / K, chance
    w <- w exp(alpha [wrong]), scaled to the sum 1                        now it is as good as chance
    answer = the class with the largest sum of alpha

With K = 2 classes this is the AdaBoost of Freund & Schapire; log(K - 1) makes it work for more, where a
learner need not be right half of the time, only better than a guess.

The rule for the weights is a descent. With y = -1, 1 and F(x) = 1/2 sum alpha h(x) the weights are
exp(-y F(x)), scaled, and of all steps along its learner a round takes the one that lowers the mean of
exp(-y F) most: by the factor 2 sqrt(e (1 - e)). That mean is at least the share of wrong training rows, and
is the product of these factors: it falls exponentially as long as every learner beats chance by a little.

Shapes   X (N, D), y (N,), weights (N,), K classes, B learners.
Source   Freund & Schapire 1997, "A decision-theoretic generalization of on-line learning and an application
         to boosting", J. Comput. Syst. Sci. 55, fig. 2 and thm. 6; Zhu, Zou, Rosset & Hastie 2009,
         "Multi-class AdaBoost", Statistics and Its Interface 2, alg. 2 (SAMME) and eq. 15; Friedman, Hastie &
         Tibshirani 2000, "Additive logistic regression", Ann. Statist. 28, sec. 4.1 (exponential loss).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from inspect import signature
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.classification.decision_tree import DecisionTreeClassifier, check_weight
from classical_ml.estimator import Classifier
from utils.math_utils import softmax

ROUNDING = 1e-10  # an error this close to chance is no better than chance


def vote_weight(error: float, n_classes: int) -> float:
    """What the vote of a learner counts: log((1 - error) / error) + log(n_classes - 1).

    Args:
        error: its weighted share of wrong rows, in (0, 1).
        n_classes: K >= 2.

    Returns:
        Positive where the error is below 1 - 1 / K, that of a guess.

    >>> round(vote_weight(0.25, 2), 6)  # log 3
    1.098612
    """
    return math.log((1.0 - error) / error) + math.log(n_classes - 1)


def reweight(weight: np.ndarray, wrong: np.ndarray, alpha: float) -> np.ndarray:
    """The weights for the next learner: those of wrong rows grow by the factor exp(alpha), before scaling.

    Args:
        weight: (N,), >= 0, the present ones.
        wrong: (N,) bools, the rows that the present learner gets wrong; one of them has weight.
        alpha: > 0, what its vote counts; of any size.

    Returns:
        (N,), a new array whose sum is 1. A weight that was positive stays positive, at least 2.2e-16, as it
        could not recover from 0; one that was 0 stays 0.
    """
    new = weight * np.exp(alpha * (wrong - 1.0))  # the others shrink instead: exp(710) would overflow
    new /= new.sum()
    return np.where(weight > 0.0, np.maximum(new, np.finfo(float).eps), 0.0)


def code(predicted: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Answers as votes that add up to 0: 1 for the class that is named, -1 / (K - 1) for each other.

    Args:
        predicted: (N,), each one of the classes.
        classes: (K,), K >= 2.

    Returns:
        (N, K) floats.
    """
    return np.where(predicted[:, None] == classes, 1.0, -1.0 / (len(classes) - 1))


class AdaBoostClassifier(Classifier):
    """A weighted vote of learners, each fitted to weights that its predecessors' mistakes have raised.

    It ends before ``n_estimators`` rounds with a learner that gets no row of positive weight wrong, whose
    vote counts 1 whatever the learning rate; or with one whose error is not below 1 - 1 / K by more than
    ROUNDING, which is left out.

    Args:
        estimator: what to boost: a `Classifier` whose ``fit`` takes ``sample_weight``; cloned for each round.
            None for a stump, a decision tree of one question.
        n_estimators: rounds at most, an int in [1, inf).
        learning_rate: a factor on every alpha, in the vote and in the weights; a float in (0, inf).

    Attributes:
        estimators_: the B fitted learners; they answer with the classes by name.
        estimator_weights_: (B,), their alphas. (scikit-learn fills this and the next up to n_estimators.)
        estimator_errors_: (B,), their errors under the weights that each was fitted to.
        classes_: (K,), those of y, sorted, even where all rows of one have the weight 0; n_classes_: K.
        n_features_in_: D; set last, so that an estimator whose `fit` failed is not fitted.
    """

    def __init__(
        self,
        estimator: Classifier | None = None,
        *,
        n_estimators: int = 50,
        learning_rate: float = 1.0,
    ):
        self.estimator = estimator
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate

    def make_learner(self) -> Classifier:
        """A new learner, not fitted.

        Raises:
            InvalidParameterError: ``estimator`` is no Classifier, or its ``fit`` takes no ``sample_weight``;
                the message names "estimator", "sample_weight" and what arrived.
        """
        if self.estimator is None:
            return DecisionTreeClassifier(max_depth=1)
        fit = getattr(self.estimator, "fit", None)
        weighs = fit is not None and "sample_weight" in signature(fit).parameters
        if not isinstance(self.estimator, Classifier) or not weighs:
            raise self._invalid("estimator", "a Classifier whose fit takes sample_weight, or None")
        return self.estimator.clone()

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from X (N, D), classes y (N,) and weights (N,) >= 0, whose scale does not matter.

        The weights that a learner is fitted to add up to 1; those given may be so large that their sum is
        infinite.

        Returns:
            The estimator.

        Raises:
            ValueError: as `Classifier.check_X_y` with at least 2 classes; ``sample_weight``, see
                `check_weight`; or already the first learner is no better than chance: the message names the
                class of the learner, its error and 1 - 1 / K.
            InvalidParameterError: a parameter is not as above.
        """
        self.check_number("n_estimators", int, 1)
        self.check_number("learning_rate", float, 0.0, low_open=True)
        self.make_learner()  # refuses before the data are looked at
        X, self.classes_, indices = self.check_X_y(X, y, min_classes=2)
        self.n_classes_ = len(self.classes_)
        weight = check_weight(sample_weight, len(X))
        weight = weight / weight.max()  # the sum of weights near 1e308 is infinite
        weight /= weight.sum()
        labels, chance = self.classes_[indices], 1.0 - 1.0 / self.n_classes_
        self.estimators_: list[Classifier] = []
        alphas, errors = [], []
        while len(self.estimators_) < self.n_estimators:
            learner = self.make_learner().fit(X, labels, sample_weight=weight)  # type: ignore[attr-defined]
            wrong = learner.predict(X) != labels
            error = float(weight @ wrong / weight.sum())
            if error >= chance - ROUNDING:
                break
            alpha = self.learning_rate * vote_weight(error, self.n_classes_) if error > 0.0 else 1.0
            self.estimators_.append(learner)
            alphas.append(alpha)
            errors.append(error)
            if error == 0.0:
                break
            weight = reweight(weight, wrong, alpha)
        if not self.estimators_:
            raise ValueError(
                f"the first {type(learner).__name__} gets a share {error:.4g} of the weight wrong, no better "
                f"than chance, {chance:.4g} with {self.n_classes_} classes: boost a stronger learner"
            )
        self.estimator_weights_, self.estimator_errors_ = np.array(alphas), np.array(errors)
        self.n_features_in_ = X.shape[1]
        return self

    def staged_scores(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """After each learner: the mean of the `code` of the answers so far, weighted by alpha.

        Yields:
            Arrays (N, K), each a new one.
        """
        total, scale = np.zeros((len(X), self.n_classes_)), 0.0
        for learner, alpha in zip(self.estimators_, self.estimator_weights_, strict=True):
            total, scale = total + alpha * code(learner.predict(X), self.classes_), scale + alpha
            yield total / scale

    def scores(self, X: ArrayLike) -> np.ndarray:
        """The last of the `staged_scores` of X (N, D), checked.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        *_, last = self.staged_scores(self.check_new_X(X))
        return last

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """The `scores` of X (N, D), (N, K); for 2 classes the second's less the first's, (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        scores = self.scores(X)
        return scores[:, 1] - scores[:, 0] if self.n_classes_ == 2 else scores

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The softmax of scores / (K - 1) for each row of X (N, D): (N, K).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        scores = self.scores(X)
        return softmax(scores / (self.n_classes_ - 1), axis=1)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class with the largest score for each row of X (N, D), the first of several that tie: (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        scores = self.scores(X)
        return self.classes_[scores.argmax(axis=1)]

    def staged_predict(self, X: ArrayLike) -> Iterator[np.ndarray]:
        """What `predict` would say after 1, 2, ..., B learners: yields B arrays (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`; at once, not with the first array.
        """
        X = self.check_new_X(X)
        return (self.classes_[scores.argmax(axis=1)] for scores in self.staged_scores(X))
