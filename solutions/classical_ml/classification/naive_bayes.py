r"""Naive Bayes: a model of what each class looks like, feature by feature, turned round by Bayes' rule.

    p(k | x) = p(k) prod_d p(x_d | k) / sum_j p(j) prod_d p(x_d | j)

Naive is the product: within a class the features count as independent. Then nothing needs to be optimised;
every factor is fitted by itself, by counting:

    Gaussian       p(x_d | k) = N(x_d; theta_kd, var_kd)       mean and variance of feature d within class k
    multinomial    p(x | k) ~ prod_d q_kd^x_d                  q_kd = (count_kd + alpha) / (count_k + alpha D)
    Bernoulli      p(x_d | k) = q_kd if x_d else 1 - q_kd      q_kd = (count_kd + alpha) / (N_k + 2 alpha)

alpha imaginary observations of every outcome keep a feature that a class has not shown yet from ruling the
class out, whatever the others say. A product of 1000 factors underflows to 0 for every class, and 0 / 0 is no
probability: sum the logarithms, and normalise by log-sum-exp.

The moments of two batches give those of both together (`merge`), without the samples and without the
cancellation of E[x^2] - E[x]^2: so the Gaussian model learns from a stream.

Shapes   X (N, D); V classes; labels (N,) ints in [0, V); n (V,); mean, var and counts of features (V, D).
Source   Bishop 2006, "Pattern Recognition and Machine Learning", sec. 4.2.3; Manning, Raghavan & Schuetze
         2008, "Introduction to Information Retrieval", ch. 13 (eq. 13.7, 13.3); Chan, Golub & LeVeque 1979,
         "Updating formulae and a pairwise algorithm for computing sample variances", eq. 2.1.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Classifier
from utils.math_utils import log_softmax, softmax


class Moments(NamedTuple):
    """What a Gaussian model keeps, all floats: samples n (V,), means and variances (V, D) of each class."""

    n: np.ndarray
    mean: np.ndarray
    var: np.ndarray


def moments(X: np.ndarray, labels: np.ndarray, classes: int) -> Moments:
    """The moments of each class, in float64; the variance is the mean of (x - mean)^2, divided by n.

    Args:
        X: (N, D).
        labels: (N,) ints in [0, ``classes``).
        classes: V. One without samples has n, means and variances 0.
    """
    count = np.bincount(labels, minlength=classes).astype(np.float64)
    mean, var = np.zeros((2, classes, X.shape[1]))
    for k in np.flatnonzero(count):
        members = X[labels == k]
        mean[k] = members.mean(axis=0, dtype=np.float64)
        var[k] = np.mean((members - mean[k]) ** 2, axis=0)
    return Moments(count, mean, var)


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of the samples of both, class by class.

        mean = mean_a + delta n_b / n,      var = (n_a var_a + n_b var_b + delta^2 n_a n_b / n) / n

    with delta = mean_b - mean_a and n = n_a + n_b. A class that neither has seen keeps zeros. The inputs are
    not modified.
    """
    n = a.n + b.n
    safe = np.maximum(n, 1.0)  # 0 / 0 where nothing was seen
    share_a, share_b = (a.n / safe)[:, None], (b.n / safe)[:, None]
    delta = b.mean - a.mean
    var = share_a * a.var + share_b * b.var + share_a * share_b * delta**2
    return Moments(n, a.mean + share_b * delta, var)


def class_prior(count: np.ndarray, given: ArrayLike | None = None) -> np.ndarray:
    """The probability of each class before a sample is seen, (V,).

    Args:
        count: (V,), samples of each class.
        given: (V,), probabilities to take instead of the shares of the samples.

    Raises:
        ValueError: ``given`` has another shape than (V,) (both), a negative entry (the first), or a sum
            that differs from 1 by more than 1e-5 (the sum).
    """
    if given is None:
        return count / count.sum()
    prior = np.asarray(given, dtype=np.float64)
    if prior.shape != count.shape:
        raise ValueError(f"priors have shape {prior.shape}, but the data contain {len(count)} classes")
    if (prior < 0).any():
        raise ValueError(f"priors must not be negative, got {prior[prior < 0][0]}")
    if not abs(prior.sum() - 1.0) <= 1e-5:
        raise ValueError(f"priors must sum to 1, they sum to {prior.sum()}")
    return prior


def feature_counts(X: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """The sum of the rows of each class, (V, D), in float64: float32 stops counting at 2^24."""
    return (labels == np.arange(classes)[:, None]).astype(np.float64) @ X


def log_frequencies(count: np.ndarray, total: np.ndarray, alpha: float, outcomes: int) -> np.ndarray:
    """log((count + alpha) / (total + alpha * outcomes)), smoothed relative frequencies.

    Args:
        count: (V, D), how often each outcome was seen in each class.
        total: (V,), how many observations were made in each class.
        alpha: > 0, imaginary observations of each outcome.
        outcomes: how many different outcomes an observation has.

    Returns:
        (V, D).
    """
    return np.log(count + alpha) - np.log(total + alpha * outcomes)[:, None]


class NaiveBayes(Classifier):
    """What the three share: Bayes' rule on log p(k) + log p(x | k), which a subclass defines."""

    def predict_joint_log_proba(self, X: ArrayLike) -> np.ndarray:
        """log p(k) + log p(x | k) for each row and class, (N, V); every subclass defines its own."""
        raise TypeError(f"{type(self).__name__} does not define predict_joint_log_proba")

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """log p(k | x), (N, V), finite also where the probability underflows to 0."""
        return log_softmax(self.predict_joint_log_proba(X))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """p(k | x), (N, V); the columns are those of ``classes_``."""
        return softmax(self.predict_joint_log_proba(X))


class GaussianNB(NaiveBayes):
    """Features that are normal within each class.

    Args:
        priors: (V,) probabilities of the sorted classes; by default their shares of the samples.
        var_smoothing: a float in [0, inf); this share of the largest variance of a feature over all samples
            is added to every variance, so that a feature which is constant within a class has a density.

    Attributes:
        theta_, var_: (V, D), means and smoothed variances; float64 for float32 data too.
        epsilon_: what was added; ``var_smoothing`` itself where all the features are constant.
        moments_: `Moments` without smoothing, what `partial_fit` goes on from.
        class_count_, class_prior_: (V,), floats.
        classes_: (V,), sorted.
        n_features_in_: D.
    """

    def __init__(self, *, priors: ArrayLike | None = None, var_smoothing: float = 1e-9):
        self.priors = priors
        self.var_smoothing = var_smoothing

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and the classes y (N,), and nothing else. Returns the estimator.

        Raises:
            ValueError: as `Classifier.check_X_y`; as `class_prior`; or a feature is constant within a class
                and nothing is added: the message names its column, the class and "var_smoothing".
            InvalidParameterError: ``var_smoothing`` is not as above.
        """
        X, classes, labels = self.check_X_y(X, y)
        return self.learn_moments(classes, moments(X, labels, len(classes)))

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> Self:
        """Learn from one more batch; after any batches the estimator is what `fit` makes of all together.

        Args:
            X: (N, D).
            y: (N,).
            classes: every class that will come, in any order; needed by the first call. A later call goes on
                with those of the first, whether they are given again or not. A class that has not come yet
                has the prior 0.

        Raises:
            ValueError: as `fit`, of all batches together; the first call has no ``classes`` (the message
                names them); or y has a class that is not one of them (it names the class). A batch that is
                refused leaves the estimator as it was.
        """
        X, found, labels = self.check_X_y(X, y)
        fitted = hasattr(self, "n_features_in_")
        if fitted:
            X = self.check_new_X(X)
        elif classes is None:
            raise ValueError("the first call of partial_fit needs classes: all that will come")
        names = self.classes_ if fitted else np.unique(np.asarray(classes))
        unknown = found[~np.isin(found, names)]
        if len(unknown):
            raise ValueError(
                f"y holds {unknown.tolist()[0]!r}, which is not one of the classes {names.tolist()}"
            )
        batch = moments(X, np.searchsorted(names, found)[labels], len(names))
        return self.learn_moments(names, merge(self.moments_, batch) if fitted else batch)

    def learn_moments(self, classes: np.ndarray, seen: Moments) -> Self:
        """Check the parameters, then set all the attributes from the moments, those of all samples included.

        The variance of a feature over all samples is the mean over the classes, weighted with n, of
        var + (mean - overall mean)^2.

        Raises:
            ValueError, InvalidParameterError: as `fit`, of the parameters and of constant features.
        """
        self.check_number("var_smoothing", float, 0)
        prior = class_prior(seen.n, self.priors)
        share = seen.n / seen.n.sum()
        overall = share @ (seen.var + (seen.mean - share @ seen.mean) ** 2)  # (D,), within plus between
        epsilon = self.var_smoothing * float(overall.max() or 1.0)
        var = seen.var + epsilon
        point = np.argwhere((var == 0) & (seen.n > 0)[:, None])
        if len(point):
            k, column = point[0]
            raise ValueError(
                f"feature {column} is constant within class {classes.tolist()[k]!r}, and a density needs a "
                f"variance: raise var_smoothing, got {self.var_smoothing}"
            )
        self.moments_, self.epsilon_, self.classes_ = seen, epsilon, classes
        self.theta_, self.var_ = seen.mean, np.where(var > 0, var, 1.0)
        self.class_count_, self.class_prior_ = seen.n, prior
        self.n_features_in_ = seen.mean.shape[1]
        return self

    def predict_joint_log_proba(self, X: ArrayLike) -> np.ndarray:
        """log p(k) + sum_d log N(x_d; theta_kd, var_kd), (N, V).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        X = self.check_new_X(X)
        joint = np.empty((len(X), len(self.classes_)))
        with np.errstate(divide="ignore"):  # log 0 = -inf is right for a prior of 0
            joint[:] = np.log(self.class_prior_) - 0.5 * np.log(2 * np.pi * self.var_).sum(axis=1)
        for k, (mean, var) in enumerate(zip(self.theta_, self.var_, strict=True)):
            joint[:, k] -= 0.5 * ((X - mean) ** 2 / var).sum(axis=1)
        return joint


class CountingNB(NaiveBayes):
    """What MultinomialNB and BernoulliNB share: parameters, their checks and the prior.

    Args:
        alpha: imaginary observations of each outcome, a float in (0, inf).
        fit_prior: learn the prior from the samples; otherwise all classes are equally probable.
        class_prior: (V,) probabilities of the sorted classes, in place of either.

    Attributes:
        feature_count_: (V, D), the sum of each feature over the samples of each class.
        feature_log_prob_: (V, D), the logarithm of q.
        class_count_, class_log_prior_: (V,), floats.
        classes_: (V,), sorted.
        n_features_in_: D.
    """

    def __init__(self, *, alpha: float = 1.0, fit_prior: bool = True, class_prior: ArrayLike | None = None):
        self.alpha = alpha
        self.fit_prior = fit_prior
        self.class_prior = class_prior

    def counts_of(self, X: np.ndarray) -> np.ndarray:
        """X (N, D) as what is counted; a subclass refuses or converts what is not."""
        return X

    def learn_counts(self) -> None:
        """Set ``feature_log_prob_`` from ``feature_count_`` and ``class_count_``; a subclass defines it."""
        raise TypeError(f"{type(self).__name__} does not define learn_counts")

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and the classes y (N,), and nothing else. Returns the estimator.

        Raises:
            ValueError: as `Classifier.check_X_y`, as `class_prior`, or as ``counts_of``.
            InvalidParameterError: ``alpha`` or ``fit_prior`` is not as above.
        """
        self.check_number("alpha", float, 0, low_open=True)
        self.check_option("fit_prior", (True, False))
        X, classes, labels = self.check_X_y(X, y)
        X, V = self.counts_of(X), len(classes)
        count = np.bincount(labels, minlength=V).astype(np.float64)
        given = self.class_prior if self.fit_prior or self.class_prior is not None else np.full(V, 1 / V)
        with np.errstate(divide="ignore"):  # log 0 = -inf is right for a prior of 0
            self.class_log_prior_ = np.log(class_prior(count, given))
        self.classes_, self.class_count_ = classes, count
        self.feature_count_ = feature_counts(X, labels, V)
        self.learn_counts()
        self.n_features_in_ = X.shape[1]
        return self


class MultinomialNB(CountingNB):
    """Features that are counts, such as of each word in a text: a row is a bag drawn from q.

    Parameters and attributes are those of `CountingNB`; X may hold fractions (tf-idf), but nothing negative.
    """

    def counts_of(self, X: np.ndarray) -> np.ndarray:
        """X itself.

        Raises:
            ValueError: an entry is negative; the message names the class of the estimator and the entry.
        """
        if X.min() < 0:
            raise ValueError(f"Negative values in data passed to {type(self).__name__}: X holds {X.min()}")
        return X

    def learn_counts(self) -> None:
        """Set ``feature_log_prob_``: of all that was counted in a class, the share of each feature."""
        count = self.feature_count_
        self.feature_log_prob_ = log_frequencies(count, count.sum(axis=1), self.alpha, count.shape[1])

    def predict_joint_log_proba(self, X: ArrayLike) -> np.ndarray:
        """log p(k) + sum_d x_d log q_kd, (N, V); what the order of the words would add is the same for all k.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X` and ``counts_of``.
        """
        X = self.counts_of(self.check_new_X(X))
        return X @ self.feature_log_prob_.T + self.class_log_prior_


class BernoulliNB(CountingNB):
    """Features that are there or not: what is missing counts too.

    Parameters and attributes are those of `CountingNB`, and

    Args:
        binarize: a feature is there if it is above this number; None if X holds zeros and ones already.

    Attributes:
        feature_log_absent_: (V, D), the logarithm of 1 - q.
    """

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        binarize: float | None = 0.0,
        fit_prior: bool = True,
        class_prior: ArrayLike | None = None,
    ):
        super().__init__(alpha=alpha, fit_prior=fit_prior, class_prior=class_prior)
        self.binarize = binarize

    def counts_of(self, X: np.ndarray) -> np.ndarray:
        """X (N, D) as zeros and ones.

        Raises:
            InvalidParameterError: ``binarize`` is neither None nor a number.
            ValueError: ``binarize`` is None and an entry neither 0 nor 1; the message names the first such
                entry and "binarize".
        """
        if self.binarize is not None:
            self.check_number("binarize", float)
            return (X > self.binarize).astype(X.dtype)
        odd = X[(X != 0) & (X != 1)]
        if len(odd):
            raise ValueError(f"X holds {odd[0]}, expected 0 or 1: set binarize to a threshold")
        return X

    def learn_counts(self) -> None:
        """Set ``feature_log_prob_`` and ``feature_log_absent_``: the shares of samples with and without."""
        with_it, samples = self.feature_count_, self.class_count_
        self.feature_log_prob_ = log_frequencies(with_it, samples, self.alpha, 2)
        self.feature_log_absent_ = log_frequencies(samples[:, None] - with_it, samples, self.alpha, 2)

    def predict_joint_log_proba(self, X: ArrayLike) -> np.ndarray:
        """log p(k) + sum_d of log q_kd where feature d is there, log(1 - q_kd) where not; (N, V).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X` and ``counts_of``.
        """
        X = self.counts_of(self.check_new_X(X))
        absent = self.feature_log_absent_
        return X @ (self.feature_log_prob_ - absent).T + absent.sum(axis=1) + self.class_log_prior_
