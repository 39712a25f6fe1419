r"""Ridge regression: least squares that pays for long coefficients, so that it need not believe the noise.

    minimise |X w + b - y|^2 + alpha |w|^2           b is not paid for: where zero lies is nobody's merit

With the thin SVD of the centred X = U S V^T the solution for every alpha at once is

    w = V F U^T y / S,        f_i = s_i^2 / (s_i^2 + alpha)       the share of direction i that is kept

so one decomposition gives a whole path of penalties: a direction in which the data vary much (s_i^2 >> alpha)
is fitted as before, one in which they hardly vary is given up. The sum of the f_i is the effective number of
parameters. What the training targets do to their own predictions is the diagonal of

    H = U F U^T + 1 1^T / N               (the second term is the mean, which b follows)

and it gives what one would get by leaving each sample out and fitting again, N times, without doing so:

    y_n - prediction without n  =  (y_n - prediction) / (1 - H_nn)

Shapes   X (N, D), y (N,) or (N, K), A penalties, R = rank of X.
Source   Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, eq. 3.44-3.50 (shrinkage,
         degrees of freedom), 7.64 (leave-one-out); Golub, Heath & Wahba 1979, Technometrics 21(2), sec. 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Regressor
from classical_ml.regression.linear import center, centring_noise, numerical_rank, shaped_like


class Spectrum(NamedTuple):
    """The thin SVD of a matrix (N, D), cut at its rank R: U diag(s) Vt."""

    U: np.ndarray  # (N, R), orthonormal columns
    s: np.ndarray  # (R,), largest first, all above zero
    Vt: np.ndarray  # (R, D), orthonormal rows


def spectrum(X: np.ndarray, noise: float = 0.0) -> Spectrum:
    """Decompose X (N, D), leaving out the singular values beyond its `numerical_rank`, given ``noise``."""
    raise NotImplementedError("classical_ml.regression.ridge: TODO 1 of 8, spectrum")


def shrinkage(s: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """The share s^2 / (s^2 + alpha) of each direction that each penalty keeps: (R,), (A,) -> (A, R)."""
    raise NotImplementedError("classical_ml.regression.ridge: TODO 2 of 8, shrinkage")


def degrees_of_freedom(s: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """The effective number of parameters under each penalty, the intercept not counted: (A,)."""
    raise NotImplementedError("classical_ml.regression.ridge: TODO 3 of 8, degrees_of_freedom")


def ridge_path(X: Spectrum, y: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """The coefficients for each of many penalties.

    Args:
        X: of the centred features.
        y: (N, K), centred.
        alphas: (A,), >= 0; for 0, the shortest of the least-squares solutions.

    Returns:
        (A, D, K).
    """
    raise NotImplementedError("classical_ml.regression.ridge: TODO 4 of 8, ridge_path")


def leave_one_out(X: Spectrum, y: np.ndarray, alphas: np.ndarray, fit_intercept: bool) -> np.ndarray:
    """The error that each sample would have if it were left out of the fit.

    Args:
        X: of the features, centred if ``fit_intercept``.
        y: (N, K), centred likewise.
        alphas: (A,), > 0.
        fit_intercept: the fits without a sample would find their own intercept.

    Returns:
        y_n less its prediction by a fit to the other N - 1 samples, (A, N, K).
    """
    raise NotImplementedError("classical_ml.regression.ridge: TODO 5 of 8, leave_one_out")


class Ridge(Regressor):
    """Least squares with an L2 penalty.

    Args:
        alpha: the penalty, a float in [0, inf); 0 gives the shortest least-squares solution. It is weighed
            against the sum of the squared errors, so twice the data halve its effect.
        fit_intercept: learn b, unpenalised.

    Attributes:
        coef_: (D,), or (K, D) for y (N, K).
        intercept_: a float, or (K,); 0.0 without ``fit_intercept``.
        degrees_of_freedom_: the effective number of parameters, a float.
        n_features_in_: D.
    """

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True):
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and y (N,) or (N, K). Returns the estimator.

        Singular values that the rounding errors of the centring explain (`centring_noise`) count as zero.

        Raises:
            ValueError: as `Regressor.check_X_y`.
            InvalidParameterError: ``alpha`` or ``fit_intercept`` is not as above.
        """
        raise NotImplementedError("classical_ml.regression.ridge: TODO 6 of 8, Ridge.fit")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """X w + b: (N,), or (N, K) if y had K columns.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.regression.ridge: TODO 7 of 8, Ridge.predict")


class RidgeCV(Ridge):
    """Ridge regression with the penalty under which samples that are left out are predicted best.

    Args:
        alphas: the penalties to try, a list, tuple or array of at least one, in any order: ints or floats in
            (0, inf). True is none.
        fit_intercept: learn b, unpenalised.

    Attributes:
        alpha_: the penalty with the smallest error, a float; the first of several that tie.
        errors_: the mean, over samples and targets, of the squared leave-one-out errors under each penalty,
            (A,), in the order of ``alphas``.
        coef_, intercept_, degrees_of_freedom_, n_features_in_: as of `Ridge` with that penalty.
    """

    def __init__(self, alphas: Sequence[float] = (0.1, 1.0, 10.0), *, fit_intercept: bool = True):
        self.alphas = alphas
        self.fit_intercept = fit_intercept

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D), N >= 2, and y (N,) or (N, K). Returns the estimator.

        Rounding errors of the centring count as in `Ridge.fit`. ``alphas`` itself is left as it was given.

        Raises:
            ValueError: as `Regressor.check_X_y`, with at least 2 samples.
            InvalidParameterError: ``alphas`` is empty or has an entry that is not in (0, inf); the message
                names "alphas", the class and the value. Or ``fit_intercept`` is no bool.
        """
        raise NotImplementedError("classical_ml.regression.ridge: TODO 8 of 8, RidgeCV.fit")
