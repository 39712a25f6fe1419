r"""The lasso: least squares that sets coefficients to exactly zero, one coordinate at a time, with a receipt.

    minimise P(w) = |X w - y|^2 / 2 + l1 |w|_1

With all coordinates but one fixed, that one has a closed form: the least-squares step, moved towards zero by
l1 and stopped there,

    w_j <- S(x_j . r_j, l1) / |x_j|^2,    S(z, t) = sign(z) max(|z| - t, 0)

with r_j the residual y - X w without feature j. Cycling through the coordinates converges, because the term
that is not smooth is a sum over coordinates.

When to stop? Every vector of residuals, scaled down until no feature correlates with it by more than l1,
gives a lower bound of the minimum:

    D(s) = |y|^2 / 2 - |y - s r|^2 / 2,    s = min(1, l1 / max_j |x_j . r|)

P(w) - D(s) bounds what is still to be gained, whatever the minimum is: an answer that comes with its error.
With y = X w + r it is a sum of terms none of which is negative, because s |x_j . r| <= l1:

    P(w) - D(s) = (1 - s)^2 |r|^2 / 2 + sum_j (l1 |w_j| - s w_j x_j . r)

Shapes   X (N, D), y (N,), w (D,), A penalties.
Source   Tibshirani 1996, J. R. Statist. Soc. B 58(1), sec. 2; Friedman, Hastie & Tibshirani 2010, J. Stat.
         Software 33(1), eq. 5-6 (coordinate descent), sec. 2.5 (warm starts); Kim, Koh, Lustig, Boyd &
         Gorinevsky 2007, IEEE J. Sel. Top. Signal Process. 1(4), sec. III.A (the dual bound).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Regressor
from classical_ml.regression.linear import center, shaped_like


def soft_threshold(z: np.ndarray, t: float) -> np.ndarray:
    """Move each number towards zero by ``t`` >= 0, and stop there: sign(z) max(|z| - t, 0)."""
    raise NotImplementedError("classical_ml.regression.lasso: TODO 1 of 7, soft_threshold")


def largest_penalty(X: np.ndarray, y: np.ndarray) -> float:
    """The smallest l1 at which w = 0 is the minimum: max_j |x_j . y|."""
    raise NotImplementedError("classical_ml.regression.lasso: TODO 2 of 7, largest_penalty")


def duality_gap(X: np.ndarray, y: np.ndarray, w: np.ndarray, l1: float) -> float:
    """How far P(w) can be above the minimum at most; 0 at the minimum.

    Args:
        X: (N, D).
        y: (N,).
        w: (D,), any.
        l1: the penalty, > 0.

    Returns:
        P(w) - D(s) of the formulas at the top of this file, >= 0 up to rounding.
    """
    raise NotImplementedError("classical_ml.regression.lasso: TODO 3 of 7, duality_gap")


def coordinate_descent(
    X: np.ndarray, y: np.ndarray, l1: float, start: np.ndarray, *, max_iter: int, tol: float
) -> tuple[np.ndarray, float, int]:
    """Minimise P, a coordinate at a time, in the order of the features.

    Args:
        X: (N, D). A feature that is zero throughout gets the coefficient 0, whatever ``start`` has there.
        y: (N,).
        l1: the penalty, > 0.
        start: (D,), where to begin; not modified.
        max_iter: sweeps through all coordinates at most.
        tol: begin no further sweep once the duality gap is at most tol * |y|^2, at the start included.

    Returns:
        w (D,), its duality gap, and the number of sweeps.
    """
    raise NotImplementedError("classical_ml.regression.lasso: TODO 4 of 7, coordinate_descent")


def lasso_path(
    X: np.ndarray, y: np.ndarray, penalties: np.ndarray, *, max_iter: int = 1000, tol: float = 1e-8
) -> np.ndarray:
    """The minima for many penalties, each found from the one before.

    Args:
        X: (N, D).
        y: (N,).
        penalties: (A,), > 0, in any order; the largest is solved first, as its solution is nearest to 0.
        max_iter, tol: of each `coordinate_descent`.

    Returns:
        (A, D), a row for each penalty, in the order of ``penalties``.
    """
    raise NotImplementedError("classical_ml.regression.lasso: TODO 5 of 7, lasso_path")


class Lasso(Regressor):
    """Least squares with an L1 penalty: minimise |X w + b - y|^2 / (2 N) + alpha |w|_1.

    Args:
        alpha: the penalty, a float in (0, inf), weighed against half of the mean squared error: l1 = N alpha.
        fit_intercept: learn b, unpenalised.
        max_iter: sweeps at most, an int in [1, inf).
        tol: stop at a duality gap of at most tol times the sum of the squared (centred) targets.

    Attributes:
        coef_: (D,), most of them exactly 0 if alpha is large.
        intercept_: a float; 0.0 without ``fit_intercept``.
        dual_gap_: the bound on what is left to gain, in the units of the objective, a float: gap / N.
        n_iter_: sweeps.
        converged_: whether the gap is small enough.
        n_features_in_: D.
    """

    def __init__(
        self, alpha: float = 1.0, *, fit_intercept: bool = True, max_iter: int = 1000, tol: float = 1e-6
    ):
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and y (N,). Returns the estimator.

        Raises:
            ValueError: as `Regressor.check_X_y`.
            InvalidParameterError: a parameter is not as above (``tol`` is a float in [0, inf)).
        """
        raise NotImplementedError("classical_ml.regression.lasso: TODO 6 of 7, Lasso.fit")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """X w + b, (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.regression.lasso: TODO 7 of 7, Lasso.predict")
