r"""Logistic regression: logits that are linear in x, probabilities that fit the labels best.

    p(y = 1 | x) = sigmoid(w.x + b)                                     two classes: one row of logits, K = 1
    p(y = k | x) = exp(z_k) / sum_j exp(z_j),   z = W x + b             V > 2 classes: K = V rows

    minimise  C sum_n -log p(y_n | x_n) + |W|^2 / 2                     b is not penalised

Divided by C N this is a mean loss plus alpha |W|^2 / 2 with alpha = 1 / (C N), which is what is minimised
here: a tolerance on its gradient then means the same for 10 samples and for a million. With a column of ones
for b in A and theta = [W b], sigmoid and softmax have the same derivatives:

    gradient, row k         mean_n (p_nk - [y_n = k]) a_n                           + alpha theta_k
    Hessian, block (k, j)   mean_n p_nk ([k = j] - p_nj) a_n a_n^T                  + [k = j] diag(alpha)

The Hessian is never negative, so there are no false minima, but there may be flat directions: adding one
vector to all the rows of theta changes no probability. The Newton step is the least-squares solution of
H s = g, which does not move along them. Far from the minimum, where p (1 - p) is next to 0, a full step is
far too long; halving it until the loss falls makes the method converge from everywhere.

Without penalty, data that a hyperplane separates have no minimum: a longer theta always fits better.

Shapes   X (N, D); A (N, P), P = D or D + 1; theta (K, P); logits Z (N, K); y (N,) ints in [0, V); alpha (P,).
Source   Hastie, Tibshirani & Friedman 2009, "The Elements of Statistical Learning", sec. 4.4.1 (Newton as
         IRLS); Bishop 2006, sec. 4.3.3 and 4.3.4 (eq. 4.109, 4.110); Albert & Anderson 1984, "On the
         existence of maximum likelihood estimates in logistic regression models" (separation).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Classifier
from optimization.optimizers.lbfgs import minimize
from utils.math_utils import log_sigmoid, log_softmax

HALVINGS = 50  # 2**-50 of a step moves nothing any more
ROUNDING = 16 * np.finfo(np.float64).eps  # by how much, relatively, equal losses may differ


def log_probabilities(Z: np.ndarray) -> np.ndarray:
    """The log-probability of each class.

    Args:
        Z: (N, K) logits. K = 1: log(p / (1 - p)) of the second of two classes. K > 1: one for each class.

    Returns:
        (N, V), V = 2 if K = 1, else V = K. Finite for finite logits: at Z = [[-1000]] they are 0 and -1000.
        With K = 1 to full relative accuracy on both sides.
    """
    return np.hstack([log_sigmoid(-Z), log_sigmoid(Z)]) if Z.shape[1] == 1 else log_softmax(Z)


def objective(theta: np.ndarray, A: np.ndarray, y: np.ndarray, alpha: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean of -log p(y_n) plus sum_kp alpha_p theta_kp^2 / 2, and its gradient.

    Args:
        theta: (K, P); the logits are A theta^T.
        A: (N, P).
        y: (N,) ints in [0, V).
        alpha: (P,), >= 0, the penalty on each column of theta.

    Returns:
        The value, and the gradient (K, P).
    """
    log_p = log_probabilities(A @ theta.T)  # (N, V)
    samples = np.arange(len(y))
    value = -log_p[samples, y].mean() + 0.5 * (theta**2 @ alpha).sum()
    residual = np.exp(log_p)
    residual[samples, y] = np.expm1(log_p[samples, y])  # p - 1 is 0 at a logit of 37, this is not
    residual = residual[:, -len(theta) :]  # (N, K): with K = 1, that of the second class
    return float(value), residual.T @ A / len(y) + alpha * theta


def hessian(theta: np.ndarray, A: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The second derivatives of `objective`, which do not depend on the labels.

    Args:
        theta, A, alpha: as in `objective`.

    Returns:
        (K P, K P), symmetric; row and column k P + p belong to theta[k, p].
    """
    K, P = theta.shape
    probability = np.exp(log_probabilities(A @ theta.T))[:, -K:]  # (N, K)
    blocks = np.empty((K, P, K, P))
    for k in range(K):
        for j in range(k + 1):
            weight = probability[:, k] * ((k == j) - probability[:, j]) / len(A)
            blocks[k, :, j] = blocks[j, :, k] = (A.T * weight) @ A
        blocks[k, :, k] += np.diag(alpha)
    return blocks.reshape(K * P, K * P)


def newton_step(H: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """The solution s of H s = gradient, also where H is singular and the gradient lies in its range.

    H is scaled to a diagonal of ones first, d_i = sqrt(H_ii) (1 where H_ii is 0): whether a direction counts
    as flat must not depend on the units of the features. Flat are singular values of at most M eps times the
    largest, no more: features that nearly repeat each other still count. Of the solutions the shortest d * s
    is taken.

    Args:
        H: (M, M), symmetric, no negative eigenvalue.
        gradient: (M,).

    Returns:
        (M,).
    """
    d = np.sqrt(np.diagonal(H))
    d = np.where(d > 0, d, 1.0)
    return np.linalg.lstsq(H / d / d[:, None], gradient / d, rcond=None)[0] / d


def newton(
    start: np.ndarray,
    A: np.ndarray,
    y: np.ndarray,
    alpha: np.ndarray,
    *,
    tol: float = 1e-4,
    max_iter: int = 100,
) -> tuple[np.ndarray, int, bool]:
    """Minimise `objective` by Newton's method (for this loss: iteratively reweighted least squares).

    Each iteration tries theta - t s with t = 1, 1/2, 1/4, ... until the value has fallen by t g.s / 10000 at
    least, up to rounding. It ends when max |gradient| <= tol, after max_iter steps, or when no t helps.

    Args:
        start: (K, P), not modified.
        A, y, alpha: as in `objective`.
        tol: >= 0.
        max_iter: >= 0.

    Returns:
        theta (K, P), the number of steps, and whether max |gradient| <= tol there.
    """
    theta = start.copy()
    value, gradient = objective(theta, A, y, alpha)
    for n_iter in range(max_iter):
        if np.abs(gradient).max() <= tol:
            return theta, n_iter, True
        step = newton_step(hessian(theta, A, alpha), gradient.ravel()).reshape(theta.shape)
        slope = float((gradient * step).sum())
        for t in 0.5 ** np.arange(HALVINGS):
            new_value, new_gradient = objective(theta - t * step, A, y, alpha)
            if new_value <= value - 1e-4 * t * slope + ROUNDING * abs(value):
                break
        else:
            return theta, n_iter, False
        theta, value, gradient = theta - t * step, new_value, new_gradient
    return theta, max_iter, bool(np.abs(gradient).max() <= tol)


def minimum_is_far(theta: np.ndarray, A: np.ndarray, y: np.ndarray) -> bool:
    """Whether the loss without penalty has no minimum, or a remote one, seen from a theta of small gradient.

    Yes if every sample's own class is strictly the most probable: then c theta fits better the larger c is.
    Yes if the next Newton step would still change a difference of two logits of one sample (with K = 1, its
    logit) by more than 1/2: near a minimum the steps vanish, but down an endless slope like exp(-z) each has
    the length 1, however small the gradient (so it is where a hyperplane cuts off one class of three, or
    samples of both classes lie on the hyperplane).

    Args:
        theta, A, y: as in `objective`.
    """
    samples, others = np.arange(len(y)), log_probabilities(A @ theta.T)
    own = others[samples, y]
    others[samples, y] = -np.inf
    if (own > others.max(axis=1)).all():
        return True
    free = np.zeros(A.shape[1])
    step = newton_step(hessian(theta, A, free), objective(theta, A, y, free)[1].ravel())
    moved = A @ step.reshape(theta.shape).T  # (N, K)
    change = np.abs(moved) if len(theta) == 1 else np.ptp(moved, axis=1)
    return bool(change.max() > 0.5)


class LogisticRegression(Classifier):
    """Logistic regression: binary for two classes, multinomial (softmax) for more.

    A softmax over two classes would have twice the weights, W_0 = -W_1 = -w / 2 and half of the penalty:
    binary at C is multinomial at C / 2.

    Args:
        C: weight of the log losses against the penalty, a float in (0, inf); ignored without penalty.
        penalty: "l2" or None.
        fit_intercept: learn b.
        solver: "lbfgs" (cost per step as the data's size) or "newton" (few steps, each with (K P)^3).
        tol: the largest entry of the gradient to end at, a float in [0, inf); of the mean loss with penalty
            1 / (C N), by the weights of the centred features and b.
        max_iter: steps at most, an int in [0, inf).

    Attributes:
        coef_: (1, D) for two classes, where a positive logit means ``classes_[1]``, else (V, D).
        intercept_: (1,) or (V,); zeros without ``fit_intercept``. The V rows of [coef_ intercept_] sum to 0.
        classes_: (V,), sorted.
        n_iter_: steps taken, an int.
        converged_: whether tol was reached, and without penalty, that `minimum_is_far` does not hold.
        n_features_in_: D.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        penalty: str | None = "l2",
        fit_intercept: bool = True,
        solver: str = "lbfgs",
        tol: float = 1e-4,
        max_iter: int = 100,
    ):
        self.C = C
        self.penalty = penalty
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D) and the classes y (N,), from theta = 0. Returns the estimator.

        Computes in float64; ``coef_`` and ``intercept_`` have the dtype of X.

        Raises:
            ValueError: as `Classifier.check_X_y` with at least 2 classes.
            InvalidParameterError: a parameter is not as above.
        """
        self.check_number("C", float, 0, low_open=True)
        self.check_option("penalty", ("l2", None))
        self.check_option("fit_intercept", (True, False))
        self.check_option("solver", ("newton", "lbfgs"))
        self.check_number("tol", float, 0)
        self.check_number("max_iter", int, 0)
        X, classes, labels = self.check_X_y(X, y, min_classes=2)
        N, D = X.shape
        # b is free, so moving the features changes only b; a mean of 1e4 would square the condition of H
        mean = X.mean(axis=0, dtype=np.float64) if self.fit_intercept else np.zeros(D)
        A = np.hstack([X - mean, np.ones((N, 1))]) if self.fit_intercept else X.astype(np.float64)
        alpha = np.zeros(A.shape[1])
        if self.penalty == "l2":
            alpha[:D] = 1.0 / (self.C * N)
        start = np.zeros((1 if len(classes) == 2 else len(classes), A.shape[1]))
        if self.solver == "newton":
            theta, n_iter, small = newton(start, A, labels, alpha, tol=self.tol, max_iter=self.max_iter)
        else:

            def flat(x: np.ndarray) -> tuple[float, np.ndarray]:
                value, gradient = objective(x.reshape(start.shape), A, labels, alpha)
                return value, gradient.ravel()

            found = minimize(flat, start.ravel(), max_iter=self.max_iter, tolerance=self.tol)
            theta, n_iter, small = found.x.reshape(start.shape), found.iterations, found.converged
        if len(theta) > 1:
            theta = theta - theta.mean(axis=0)  # of the equivalent theta, the shortest
        coef = theta[:, :D]
        intercept = theta[:, D] - coef @ mean if self.fit_intercept else np.zeros(len(theta))
        self.coef_, self.intercept_ = coef.astype(X.dtype), intercept.astype(X.dtype)
        self.classes_, self.n_iter_ = classes, n_iter
        self.converged_ = small and not (self.penalty is None and minimum_is_far(theta, A, labels))
        self.n_features_in_ = D
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """The logits: (N,) for two classes, else (N, V).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        Z = self.check_new_X(X) @ self.coef_.T + self.intercept_
        return Z[:, 0] if len(self.coef_) == 1 else Z

    def predict_log_proba(self, X: ArrayLike) -> np.ndarray:
        """The log-probability of each class, (N, V), finite where the probability underflows to 0."""
        return log_probabilities(self.decision_function(X).reshape(-1, len(self.coef_)))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The probability of each class, (N, V); the columns are those of ``classes_``."""
        return np.exp(self.predict_log_proba(X))
