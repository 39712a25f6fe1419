r"""Least squares: the linear map whose predictions have the smallest sum of squared errors.

    minimise |X w + b - y|^2

Centring removes b: subtract the means of X and y, solve for w, and set b = mean(y) - mean(X) . w. What is
left is a projection. With the thin SVD of the centred X = U S V^T

    w = V S^+ U^T y                 S^+ inverts what is above rounding errors, and is 0 elsewhere

and of all the w that fit equally well (more features than samples, or columns that depend on each other) this
is the shortest. A QR decomposition costs less, and suffices where the columns are independent: X = Q R,
R w = Q^T y. The normal equations X^T X w = X^T y cost less still and lose half of the digits, because the
condition number of X^T X is that of X squared.

Gradient descent on f(w) = |X w - y|^2 / (2 N) needs no decomposition. Its curvatures are the s_i^2 / N, the
largest of them L; with the step 1 / L the error along direction i shrinks by (1 - s_i^2 / s_max^2) a step, so

    |w_t - w*| <= (1 - 1 / kappa^2)^t |w_0 - w*|,         kappa = s_max / s_min over the s_i > 0

and from w_0 = 0 it tends to the shortest solution too, because no step leaves the row space of X.

Shapes   X (N, D), y (N,) or (N, K), coef (D,) or (K, D), intercept a number or (K,).
Source   Golub & Van Loan 2013, Matrix Computations, 4th ed., sec. 5.3 (least squares by QR, and why not by
         the normal equations) and 5.5 (rank deficiency); Nesterov 2018, Lectures on Convex Optimization,
         sec. 2.1.5 (the rate of gradient descent).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Regressor


def numerical_rank(s: np.ndarray, shape: tuple[int, ...], noise: float = 0.0) -> int:
    """The number of singular values that rounding errors cannot explain.

    Args:
        s: (R,), largest first, R >= 1.
        shape: (N, D), of the matrix that they belong to.
        noise: the length of the rounding errors that the matrix came with.

    Returns:
        How many are above eps * max(N, D) * s[0] + noise, with the machine epsilon eps of the dtype of s.
    """
    raise NotImplementedError("classical_ml.regression.linear: TODO 1 of 8, numerical_rank")


def solve_svd(X: np.ndarray, y: np.ndarray, noise: float = 0.0) -> tuple[np.ndarray, int, np.ndarray]:
    """The shortest of the w that minimise |X w - y|^2.

    Args:
        X: (N, D), any rank.
        y: (N, K).
        noise: of X, as `numerical_rank` takes it. Singular values beyond the rank count as zero.

    Returns:
        w (D, K); the rank; and the min(N, D) singular values, largest first.
    """
    raise NotImplementedError("classical_ml.regression.linear: TODO 2 of 8, solve_svd")


def solve_qr(X: np.ndarray, y: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """The w that minimises |X w - y|^2, for columns that are independent.

    Args:
        X: (N, D), N >= D.
        y: (N, K).
        noise: as in `solve_svd`.

    Returns:
        w (D, K), by back substitution in R w = Q^T y.

    Raises:
        ValueError: N < D, or an entry of R's diagonal is zero up to rounding, at most eps * N times the
            largest plus ``noise``: there is no single minimum. The message names the shape of X and the
            solver that copes, "svd".
    """
    raise NotImplementedError("classical_ml.regression.linear: TODO 3 of 8, solve_qr")


def convergence_rate(X: np.ndarray) -> float:
    """The factor 1 - 1 / kappa^2 by which a step of `gradient_descent` shrinks the error at least.

    Args:
        X: (N, D), not all zero; singular values beyond the `numerical_rank` count as zero.

    Returns:
        In [0, 1): 0 if all the nonzero singular values are equal.
    """
    raise NotImplementedError("classical_ml.regression.linear: TODO 4 of 8, convergence_rate")


def gradient_descent(X: np.ndarray, y: np.ndarray, steps: int, start: np.ndarray | None = None) -> np.ndarray:
    """The w after ``steps`` steps w <- w - (1 / L) grad f(w) on f(w) = |X w - y|^2 / (2 N).

    Args:
        X: (N, D).
        y: (N, K).
        steps: >= 0.
        start: (D, K), not modified; zeros by default.

    Returns:
        w (D, K). L = s_max^2 / N is the largest curvature, so that no step overshoots; where X is all zero
        the gradient is too, and w = start.
    """
    raise NotImplementedError("classical_ml.regression.linear: TODO 5 of 8, gradient_descent")


class LinearRegression(Regressor):
    """Ordinary least squares.

    Args:
        fit_intercept: learn b; without it, the prediction at x = 0 is 0.
        solver: "svd" (any data), "qr" (independent columns, about twice as fast) or "gd" (gradient descent).
        max_iter: steps of "gd", an int in [0, inf).

    Attributes:
        coef_: (D,), or (K, D) for y (N, K).
        intercept_: a float, or (K,); 0.0 without ``fit_intercept``.
        rank_, singular_: rank and singular values of the centred X; with "svd" only, and deleted by a later
            fit with another solver.
        n_features_in_: D.
    """

    def __init__(self, *, fit_intercept: bool = True, solver: str = "svd", max_iter: int = 1000):
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and y (N,) or (N, K). Returns the estimator.

        Raises:
            ValueError: as `Regressor.check_X_y`; and with "qr", as `solve_qr`.
            InvalidParameterError: ``fit_intercept`` is no bool, ``solver`` or ``max_iter`` is not as above.
        """
        raise NotImplementedError("classical_ml.regression.linear: TODO 7 of 8, LinearRegression.fit")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """X w + b: (N,), or (N, K) if y had K columns.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.regression.linear: TODO 8 of 8, LinearRegression.predict")


def center(
    X: np.ndarray, Y: np.ndarray, fit_intercept: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X (N, D) and Y (N, K) less their column means, and the means (D,) and (K,); all zero means without.

    Returns:
        New arrays in the wider dtype of the two; the inputs are not modified.
    """
    raise NotImplementedError("classical_ml.regression.linear: TODO 6 of 8, center")


def centring_noise(X: np.ndarray, X_mean: np.ndarray) -> float:
    """The length of the rounding errors in X - X_mean: each entry of N rows is off by about eps * mean."""
    return float(np.finfo(X.dtype).eps * np.sqrt(len(X)) * np.linalg.norm(X_mean))


def shaped_like(y: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray | float]:
    """``coef_`` and ``intercept_`` of w (D, K), b (K,): (D,) and a float for y (N,), else (K, D) and (K,)."""
    return (w[:, 0], float(b[0])) if y.ndim == 1 else (w.T, b)
