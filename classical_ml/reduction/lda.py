r"""Linear discriminants: the directions along which classes are far apart, measured by how far each spreads.

    maximise  J(w) = (w^T S_b w) / (w^T S_w w)                 Fisher's criterion
    S_w = 1/N sum_n (x_n - mean of its class)(...)^T           scatter within the classes
    S_b = sum_c prior_c (mean_c - mean)(mean_c - mean)^T       scatter between their means

The best directions solve S_b w = lambda S_w w. No more than V - 1 of V classes' have lambda > 0, because V
means less their own mean span no more. Neither scatter is formed here, which would square the condition
number: an SVD of the data less their class means gives a map W that makes S_w the identity; in those
coordinates the problem is to find the principal components of the V means, one more SVD, of a V-row matrix.

The same directions make a classifier. If each class is Gaussian with its own mean and all share the
covariance S_w, Bayes' rule is linear in x, because the quadratic term is the same for all:

    log p(c | x) = -1/2 |W^T (x - mean_c)|^2 + log prior_c + const

and distances need only the coordinates along the discriminants. Where S_w is singular (features that depend
on each other, more features than samples) the directions without scatter have no scale to measure by, and W
leaves them out, also where they would separate the classes.

Shapes   X (N, D), V classes, scalings (D, R) with R <= min(V - 1, D), images (N, R).
Source   Fisher 1936, "The use of multiple measurements in taxonomic problems"; Hastie, Tibshirani & Friedman
         2009, The Elements of Statistical Learning, sec. 4.3, exercise 4.2 (two classes by least squares).
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Classifier, Transformer
from classical_ml.reduction.pca import flip_signs, right_svd
from utils.math_utils import softmax


def class_means(X: np.ndarray, indices: np.ndarray, n_classes: int) -> np.ndarray:
    """The mean of the rows of each class.

    Args:
        X: (N, D).
        indices: (N,), ints in [0, V): the class of each row. Every class has a row.
        n_classes: V.

    Returns:
        (V, D), in the dtype of X; summed in float64.
    """
    raise NotImplementedError("classical_ml.reduction.lda: TODO 1 of 8, class_means")


def within_whitening(residuals: np.ndarray, tol: float, noise: np.ndarray | float = 0.0) -> np.ndarray:
    """The map W with W^T S_w W = I, S_w = residuals^T residuals / N, on the directions where S_w is not 0.

    Each feature is divided by its deviation sqrt(S_w[d, d]) first, so that ``tol`` does not depend on units.

    Args:
        residuals: (N, D), samples less the means of their classes.
        tol: singular values of the scaled residuals / sqrt(N) up to this count as zero; also those up to
            eps * max(N, D) times the largest.
        noise: a number, or one a feature, (D,): features whose deviation is at most this count as constant.

    Returns:
        W (D, R), R the rank, in the dtype of the residuals.
    """
    raise NotImplementedError("classical_ml.reduction.lda: TODO 2 of 8, within_whitening")


def discriminants(
    means: np.ndarray, priors: np.ndarray, W: np.ndarray, tol: float
) -> tuple[np.ndarray, np.ndarray]:
    """The directions with S_b w = lambda S_w w, lambda > 0: principal components of the means seen through W.

    Args:
        means: (V, D), of the classes, less their mean with weights ``priors``.
        priors: (V,), > 0, sum 1.
        W: (D, R) from `within_whitening`.
        tol: singular values of sqrt(priors) means W up to this times the largest count as zero.

    Returns:
        Directions (D, K), w^T S_w w = 1, with the signs that `pca.flip_signs` gives to each; and the lambdas
        (K,), largest first: the squares of those singular values. K <= V - 1, and 0 if all means are equal.
    """
    raise NotImplementedError("classical_ml.reduction.lda: TODO 3 of 8, discriminants")


def scores_of_classes(Z: np.ndarray, images: np.ndarray, priors: np.ndarray) -> np.ndarray:
    """log p(c | x) up to a number that is the same for all classes: without the square of z.

    Args:
        Z: (N, K), coordinates in which the covariance within the classes is I.
        images: (V, K), the class means in these coordinates.
        priors: (V,), > 0.

    Returns:
        log prior_c - 1/2 |image_c|^2 + z . image_c, (N, V).
    """
    raise NotImplementedError("classical_ml.reduction.lda: TODO 4 of 8, scores_of_classes")


class LinearDiscriminantAnalysis(Classifier, Transformer):
    """Linear discriminant analysis, by SVD (scikit-learn's default solver; it has no shrinkage).

    Args:
        priors: the probability of each class, in the order of ``classes_``, (V,), each > 0, sum 1; by default
            their shares of the samples.
        n_components: coordinates that `transform` returns, an int in [1, min(V - 1, D)]; None for all. The
            classifier uses all in any case.
        tol: what counts as zero in `within_whitening` and `discriminants`, a float in [0, 1).

    Attributes:
        classes_: (V,), sorted.
        priors_: (V,).
        means_: (V, D), of the classes.
        xbar_: (D,), their mean with weights ``priors_``: the origin of the coordinates.
        scalings_: (D, K), the directions (`discriminants`).
        explained_variance_ratio_: each direction's share of the scatter between the classes, lambda_j / sum
            lambda, for as many as `transform` returns.
        coef_, intercept_: `decision_function` is x . coef_ + intercept_: (V, D) and (V,); for two classes
            (1, D) and (1,), the second less the first.
        n_features_in_: D.

    All but ``classes_`` are in the dtype of X, whatever that of ``priors`` is.
    """

    def __init__(
        self, *, priors: ArrayLike | None = None, n_components: int | None = None, tol: float = 1e-4
    ):
        self.priors = priors
        self.n_components = n_components
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from X (N, D) and the classes y (N,) of its rows. Returns the estimator.

        A feature whose deviation within the classes is no more than rounding errors, of the data or of the
        means, counts as constant: its ``coef_`` is 0, also if its values differ between the classes. These
        are 4 eps max |x| + N 2^-52 max |x - mean|, over the feature's values, with the eps of X's dtype.

        Raises:
            InvalidParameterError: ``tol`` or ``n_components`` is not as above.
            ValueError: as `Classifier.check_X_y`; fewer than two classes; ``priors`` of another shape than
                (V,) (both), not > 0 or not of sum 1 up to 1e-5 (the value); or no class varies: then nothing
                tells which distance is large, as with one sample a class. The message names N and V.
        """
        raise NotImplementedError("classical_ml.reduction.lda: TODO 5 of 8, LinearDiscriminantAnalysis.fit")

    def _priors(self, indices: np.ndarray, n_classes: int) -> np.ndarray:
        """The parameter ``priors``, checked, or the classes' shares: float64 (V,)."""
        if self.priors is None:
            return np.bincount(indices, minlength=n_classes) / len(indices)
        priors = np.asarray(self.priors, dtype=np.float64)
        if priors.shape != (n_classes,):
            raise ValueError(f"priors has shape {priors.shape}, expected one for each class, ({n_classes},)")
        if not (priors > 0).all():
            raise ValueError(f"priors must be > 0, got {priors[~(priors > 0)][0]} in {priors.tolist()}")
        if not abs(priors.sum() - 1.0) <= 1e-5:
            raise ValueError(f"priors must sum to 1, got the sum {priors.sum():.6g} of {priors.tolist()}")
        return priors

    def transform(self, X: ArrayLike) -> np.ndarray:
        """The coordinates (x - xbar_) . scalings_ of each row of X, (N, K), at most ``n_components``.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.reduction.lda: TODO 6 of 8, LinearDiscriminantAnalysis.transform")

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """log p(c | x) of each class, up to a number that is the same for all classes, (N, V).

        Returns:
            x . coef_c + intercept_c, with coef_c = S_w^-1 (mean_c - xbar) and intercept_c = log prior_c
            - 1/2 (mean_c - xbar)^T S_w^-1 (mean_c - xbar) - xbar . coef_c; S_w^-1 is W W^T where S_w is
            singular. For two classes (N,): the second class's less the first's, the log of their odds.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.reduction.lda: TODO 7 of 8, LinearDiscriminantAnalysis.decision_function")

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """p(c | x) for each row of X, (N, V); rows sum to 1.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.reduction.lda: TODO 8 of 8, LinearDiscriminantAnalysis.predict_proba")

    def _scores(self, X: ArrayLike) -> np.ndarray:
        """`scores_of_classes` of each row of X; about xbar_, where no digits are lost."""
        Z = (self.check_new_X(X) - self.xbar_) @ self.scalings_
        return scores_of_classes(Z, (self.means_ - self.xbar_) @ self.scalings_, self.priors_)
