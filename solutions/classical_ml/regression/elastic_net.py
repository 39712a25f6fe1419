r"""The elastic net: a price on the absolute value and one on the square, so that relatives stay together.

    minimise |X w + b - y|^2 / (2 N) + alpha (l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2)

Of two features that say the same, the lasso keeps whichever comes first. A square makes them share: 0.5^2 +
0.5^2 is half of 1^2. With a little of it, and however the data are, there is exactly one minimum, and in it
features that resemble each other have coefficients that do: if w_i and w_j have the same sign,

    |w_i - w_j| <= |x_i - x_j| |y| / l2                l2 = N alpha (1 - l1_ratio), X and y centred

No new algorithm is needed. A squared penalty is the squared error of D further samples that say "zero",

    |X w - y|^2 + l2 |w|^2 = |X* w - y*|^2,            X* = [X; sqrt(l2) I],  y* = [y; 0]

so the elastic net is a lasso on more rows.

Shapes   X (N, D), y (N,), X* (N + D, D), y* (N + D,), A penalties.
Source   Zou & Hastie 2005, J. R. Statist. Soc. B 67(2), lemma 1 (rows that say zero), theorem 1 (grouping).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Regressor
from classical_ml.regression.lasso import coordinate_descent, largest_penalty
from classical_ml.regression.linear import center, shaped_like


def augment(X: np.ndarray, y: np.ndarray, l2: float) -> tuple[np.ndarray, np.ndarray]:
    """X* (N + D, D) and y* (N + D,), whose squared error is |X w - y|^2 + l2 |w|^2; new arrays, X's dtype."""
    d = X.shape[1]
    zero_sayers = np.sqrt(l2) * np.eye(d, dtype=X.dtype)
    return np.concatenate([X, zero_sayers.astype(X.dtype)]), np.concatenate([y, np.zeros(d, y.dtype)])


def penalty_grid(X: np.ndarray, y: np.ndarray, l1_ratio: float, n: int, eps: float = 1e-3) -> np.ndarray:
    """Penalties worth trying: evenly spaced in the logarithm, from that at which all coefficients vanish.

    Args:
        X: (N, D), centred.
        y: (N,), centred, not orthogonal to every feature.
        l1_ratio: in (0, 1].
        n: how many, >= 2.
        eps: the last over the first, in (0, 1).

    Returns:
        (n,), values of alpha, falling: the first is max_j |x_j . y| / (N l1_ratio).
    """
    first = largest_penalty(X, y) / (len(X) * l1_ratio)
    return np.geomspace(first, eps * first, n)


class ElasticNet(Regressor):
    """Least squares with an L1 and an L2 penalty; the objective at the top of this file.

    Args:
        alpha: the penalty, a float in (0, inf).
        l1_ratio: the share of it that is L1, a float in (0, 1]; 1 is the lasso. For 0 there is `Ridge`.
        fit_intercept: learn b, unpenalised.
        max_iter: sweeps at most, an int in [1, inf).
        tol: stop at a duality gap of at most tol times the sum of the squared (centred) targets.

    Attributes:
        coef_: (D,).
        intercept_: a float; 0.0 without ``fit_intercept``.
        dual_gap_: the bound on what is left to gain, in the units of the objective, a float: gap / N.
        n_iter_: sweeps.
        converged_: whether the gap is small enough.
        n_features_in_: D.
    """

    def __init__(
        self,
        alpha: float = 1.0,
        *,
        l1_ratio: float = 0.5,
        fit_intercept: bool = True,
        max_iter: int = 1000,
        tol: float = 1e-6,
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and y (N,). Returns the estimator.

        Raises:
            ValueError: as `Regressor.check_X_y`.
            InvalidParameterError: a parameter is not as above (``tol`` is a float in [0, inf)).
        """
        self.check_number("alpha", float, 0.0, low_open=True)
        self.check_number("l1_ratio", float, 0.0, 1.0, low_open=True)
        self.check_option("fit_intercept", (True, False))
        self.check_number("max_iter", int, 1)
        self.check_number("tol", float, 0.0)
        X, y = self.check_X_y(X, y)
        centred, targets, X_mean, y_mean = center(X, y[:, None], self.fit_intercept)
        l1, l2 = (share * self.alpha * len(X) for share in (self.l1_ratio, 1.0 - self.l1_ratio))
        rows, values = augment(centred, targets[:, 0], l2)
        start = np.zeros(X.shape[1], rows.dtype)
        w, gap, self.n_iter_ = coordinate_descent(
            rows, values, l1, start, max_iter=self.max_iter, tol=self.tol
        )
        self.coef_, self.intercept_ = shaped_like(y, w[:, None], y_mean - X_mean @ w)
        self.dual_gap_ = gap / len(X)
        self.converged_ = bool(gap <= self.tol * (values @ values))
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: ArrayLike) -> np.ndarray:
        """X w + b, (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        return self.check_new_X(X) @ self.coef_ + self.intercept_
