r"""Support vector machines: of all boundaries between two classes, the one with the widest margin.

    minimise   |w|^2 / 2 + C sum_i max(0, 1 - y_i f(x_i))          f(x) = w . phi(x) + b,   y_i = -1 or +1

The planes f = -1 and f = +1 are 2 / |w| apart, and C is the price of standing on the wrong side of one's own.
At the minimum w = sum_i beta_i phi(x_i), and beta solves the dual problem, which sees no more of the points
than their products K_ij = phi(x_i) . phi(x_j), so that any positive semidefinite K will do:

    maximise   sum_i y_i beta_i - beta^T K beta / 2                0 <= y_i beta_i <= C

beta_i is the y_i alpha_i of the textbooks: with the sign inside, the gradient is the error g = y - K beta.
The squared hinge, C sum_i max(0, 1 - y_i f(x_i))^2, adds 1 / (2C) to K's diagonal and lifts the bound C.

- Coordinate descent (`LinearSVC`) makes b the weight of one more feature, a constant. Then each beta_i can be
  set to its own optimum, at a cost of O(D) as long as w is at hand. The price: b is penalised with w.
- SMO (`SVC`) leaves b free, which asks for sum_i beta_i = 0, so that two must move at once. Move i up and j
  down by d: the dual rises by d (g_i - g_j) - d^2 q / 2 with q = K_ii + K_jj - 2 K_ij. i has the largest g of
  those that can still rise; j, of those that can fall, the largest possible rise (g_i - g_j)^2 / (2 q).

The duality gap, primal less dual, bounds what is left to gain, whoever found beta and however.

Shapes   X (N, D), y (N,) of -1.0 and +1.0, beta (N,), K (N, M); V classes, P = V (V - 1) / 2 pairs of them,
         S support vectors.
Source   Hsieh et al. 2008, "A dual coordinate descent method for large-scale linear SVM", algorithm 1; Fan,
         Chen & Lin 2005, "Working set selection using second order information", JMLR 6, WSS 2; Chang & Lin
         2011, "LIBSVM", sec. 4.1 (SMO, without its shrinking), 4.1.5 (intercept), 7 (one against one).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import combinations
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import Classifier

NEAR = 1e-12  # of the largest |beta|, from a bound: what is left is rounding, and would pass for a free beta
BLOCK = 64  # rows of a kernel matrix made at once, so that they are in the cache from the product to exp


class Dual(NamedTuple):
    """What a solver found."""

    beta: np.ndarray  # (N,), within its bounds
    gradient: np.ndarray  # (N,), of the dual at beta
    n_iter: int
    converged: bool


def kernel_matrix(
    A: np.ndarray, B: np.ndarray, kernel: str, *, gamma: float = 1.0, coef0: float = 0.0, degree: int = 3
) -> np.ndarray:
    """The kernel of each row of A (N, D) with each row of B (M, D), which are not modified: K (N, M).

    "linear": a . b. "poly": (gamma a . b + coef0)^degree. "rbf": exp(-gamma |a - b|^2), never above 1, and as
    exact for points far from the origin as for their differences.

    Raises:
        ValueError: another kernel; the message names it.
    """
    raise NotImplementedError("classical_ml.classification.svm: TODO 1 of 13, kernel_matrix")


def kernel_rows(
    X: np.ndarray, kernel: Callable[[np.ndarray, np.ndarray], np.ndarray], cache_size: float
) -> tuple[Callable[[int], np.ndarray], np.ndarray]:
    """K = kernel(X, X), for a solver that asks for some of its rows, and for some often.

    Args:
        X: (N, D).
        kernel: makes K (N, M) of A (N, D) and B (M, D).
        cache_size: memory for rows of float64, in MiB. If all fit, they are made at once; if not, each when
            it is asked for, and those not used for longest make room (two are always kept).

    Returns:
        A function from i to row i (N,), which is not to be modified; and the diagonal of K (N,).
    """
    raise NotImplementedError("classical_ml.classification.svm: TODO 2 of 13, kernel_rows")


def smo(
    rows: Callable[[int], np.ndarray],
    diagonal: np.ndarray,
    y: np.ndarray,
    C: float,
    *,
    tol: float = 1e-3,
    max_iter: int = -1,
) -> Dual:
    """Maximise the dual of the hinge loss with sum_i beta_i = 0, from beta = 0, by steps of pairs.

    Each step takes the pair (i, j) that the module's docstring defines, the first of equals, and the d that
    gains most or that reaches a bound. If that leaves beta_i or beta_j no farther from the bound ahead than
    1e-12 times the largest |beta| so far, it becomes that bound, exactly. A step reads row i and row j, never
    all of K: it changes g by -d (K_i - K_j).

    Args:
        rows, diagonal: of K (N, N), as `kernel_rows` returns them.
        y: (N,), both -1.0 and +1.0.
        C: > 0.
        tol: converged when g_i - g_j < tol for all i that can rise and all j that can fall, or all that is
            left of these differences is rounding.
        max_iter: the most steps; -1 for no limit.

    Returns:
        beta; g = y - K beta; the number of steps; False if max_iter ended it.
    """
    raise NotImplementedError("classical_ml.classification.svm: TODO 3 of 13, smo")


def intercept(dual: Dual, y: np.ndarray, C: float) -> float:
    """The b that belongs to what `smo` found.

    Where 0 < y_i beta_i < C, the point is on its plane: y_i = f(x_i), so that b = g_i. Returns the mean of
    these g; or, if there are none, the middle between the largest g of the beta that can rise and the
    smallest of those that can fall.
    """
    raise NotImplementedError("classical_ml.classification.svm: TODO 4 of 13, intercept")


def duality_gap(beta: np.ndarray, errors: np.ndarray, y: np.ndarray, C: float, *, squared: bool) -> float:
    """The primal objective at w = sum_i beta_i phi(x_i), less the dual objective at beta.

    It is a sum over the points, of C max(0, y e) - beta e for the hinge and, if ``squared``,
    C max(0, y e)^2 + beta^2 / (4C) - beta e. No term is negative, and at the optimum all are 0.

    Args:
        beta: (N,), within its bounds; with sum 0 if b is not penalised.
        errors: e = y - f(x) (N,), with f of this w and, if b is not penalised, any b.
        y, C: as in `smo`.
        squared: the loss is the squared hinge.
    """
    raise NotImplementedError("classical_ml.classification.svm: TODO 5 of 13, duality_gap")


def dual_coordinate_descent(
    X: np.ndarray,
    y: np.ndarray,
    C: float,
    *,
    squared: bool,
    tol: float,
    max_iter: int,
    rng: np.random.Generator,
) -> Dual:
    """Maximise the dual of the linear kernel without a free b: one beta at a time, in random order.

    A step adds g_i / q to beta_i, cuts it to its bounds and moves w = sum_i beta_i x_i along. Here
    g_i = y_i - w . x_i - r beta_i and q = |x_i|^2 + r. With the hinge r = 0 and 0 <= y_i beta_i <= C; if
    ``squared``, r = 1 / (2C) and there is no upper bound. A row of zeros goes to its bound.

    Args:
        X: (N, D).
        y, C: as in `smo`; one class suffices.
        squared: the loss is the squared hinge.
        tol: converged when, after a pass, the projected gradient is at most tol in each place: |g_i|, or 0
            where beta_i is at a bound and g_i points beyond.
        max_iter: the most passes, each in an order of its own.
        rng: source of the orders.

    Returns:
        beta, g, the number of passes, and whether it converged.
    """
    raise NotImplementedError("classical_ml.classification.svm: TODO 6 of 13, dual_coordinate_descent")


def votes(decisions: np.ndarray, n_classes: int) -> np.ndarray:
    """What each class gets in a tournament of all pairs.

    Args:
        decisions: (N, P), of the pairs (0, 1), (0, 2), ..., (1, 2), ...: where it is positive, the vote goes
            to the first of the pair, else to the second.
        n_classes: V.

    Returns:
        (N, V): the number of votes, plus c / (3 (|c| + 1)), less than a third of a vote, where c is the sum
        of the class's decisions, those of pairs in which it is second with the sign changed.
    """
    raise NotImplementedError("classical_ml.classification.svm: TODO 7 of 13, votes")


class LinearSVC(Classifier):
    """A linear SVM by dual coordinate descent; of several classes, each against the rest.

    With ``fit_intercept`` each x gets one more feature, the constant ``intercept_scaling`` = s, and b is s
    times its weight. So |w|^2 / 2 + b^2 / (2 s^2) + C sum of losses is minimised, as by LIBLINEAR: the
    boundary is drawn towards the origin, the less the larger s. `SVC` does not penalise b; with the hinge and
    a large s, both find the same boundary.

    Args:
        loss: "squared_hinge" or "hinge".
        C: the price of errors, in (0, inf).
        tol: as in `dual_coordinate_descent`, in (0, inf).
        fit_intercept: learn b; if not, the boundary passes through the origin.
        intercept_scaling: s, in (0, inf).
        max_iter: the most passes over the data, an int in [1, inf).
        rng: source of the order of the steps; `fit` needs one.

    Attributes:
        classes_: (V,).
        coef_, intercept_: (1, D) and (1,) for two classes, positive towards the second; else (V, D) and (V,).
        n_iter_, converged_: the most passes that any class took, and whether all converged.
        dual_gap_: (1,) or (V,), the most by which the objective exceeds its minimum.
        n_features_in_: D.
    """

    def __init__(
        self,
        *,
        loss: str = "squared_hinge",
        C: float = 1.0,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        intercept_scaling: float = 1.0,
        max_iter: int = 1000,
        rng: np.random.Generator | None = None,
    ):
        self.loss = loss
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.max_iter = max_iter
        self.rng = rng

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D), in float64, and y (N,). Returns the estimator.

        Raises:
            ValueError: as `Classifier.check_X_y`, with two classes as the minimum.
            InvalidParameterError: a parameter is not as above.
        """
        raise NotImplementedError("classical_ml.classification.svm: TODO 8 of 13, LinearSVC.fit")

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """w . x + b of each row: (N,) for two classes, else (N, V).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.classification.svm: TODO 9 of 13, LinearSVC.decision_function")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class of the largest decision (N,), the first of equals; of two, the second where it is > 0."""
        raise NotImplementedError("classical_ml.classification.svm: TODO 10 of 13, LinearSVC.predict")


class SVC(Classifier):
    """A kernel SVM by SMO; of several classes, each against each other one.

    Args:
        C: the price of errors, in (0, inf).
        kernel: "linear", "poly" or "rbf", see `kernel_matrix`.
        degree: of "poly", an int in [0, inf).
        gamma: "scale" for 1 / (D * variance of the entries of X), or 1 if all entries are equal, whatever
            rounding makes of their variance; "auto" for 1 / D; or a float in [0, inf).
        coef0: of "poly"; below 0, its matrices need not be positive semidefinite.
        tol: as in `smo`, in (0, inf).
        cache_size: memory for the rows of K in MiB, in (0, inf), see `kernel_rows`.
        max_iter: the most steps for a pair of classes, an int in [-1, inf); -1 for no limit.
        decision_function_shape: for several classes, see `decision_function`: "ovr" or "ovo".

    Attributes:
        classes_: (V,).
        support_: (S,), the rows of X that have a beta other than 0, however small: those of the first class,
            then those of the second ..., each in rising order.
        support_vectors_: (S, D), these rows.
        n_support_: (V,), how many of them each class has.
        dual_coef_: (V - 1, S), a support vector's beta against each other class, in the order of the classes.
        intercept_, n_iter_, dual_gap_: (P,), the b, the steps and the most by which the objective exceeds its
            minimum, of the pairs (0, 1), (0, 2), ..., (1, 2), ...
        converged_: whether all pairs did.
        gamma_: gamma as a number.
        n_features_in_: D.

    The first class of a pair is its positive one, as in LIBSVM, except if there are two classes in all: then,
    as everywhere, it is the second.
    """

    def __init__(
        self,
        *,
        C: float = 1.0,
        kernel: str = "rbf",
        degree: int = 3,
        gamma: float | str = "scale",
        coef0: float = 0.0,
        tol: float = 1e-3,
        cache_size: float = 200.0,
        max_iter: int = -1,
        decision_function_shape: str = "ovr",
    ):
        self.C = C
        self.kernel = kernel
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.tol = tol
        self.cache_size = cache_size
        self.max_iter = max_iter
        self.decision_function_shape = decision_function_shape

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from X (N, D), in float64, and y (N,). Returns the estimator.

        Raises:
            ValueError: as `Classifier.check_X_y`, with two classes as the minimum.
            InvalidParameterError: a parameter is not as above.
        """
        raise NotImplementedError("classical_ml.classification.svm: TODO 11 of 13, SVC.fit")

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """f(x) = sum_i beta_i K(x_i, x) + b of each row.

        Returns:
            (N,) for two classes. Of more, f of all pairs (N, P) with "ovo"; their `votes` (N, V) with "ovr".

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.classification.svm: TODO 12 of 13, SVC.decision_function")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class that wins most pairs (N,), the first of equals; of two, the second where f(x) >= 0.

        The sums of decisions, which `votes` adds, break no ties, as in LIBSVM.
        """
        raise NotImplementedError("classical_ml.classification.svm: TODO 13 of 13, SVC.predict")

    def _kernel(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        return partial(
            kernel_matrix, kernel=self.kernel, gamma=self.gamma_, coef0=self.coef0, degree=self.degree
        )

    def _check_parameters(self) -> None:
        for name in ("C", "tol", "cache_size"):
            self.check_number(name, float, 0, low_open=True)
        self.check_option("kernel", ("linear", "poly", "rbf"))
        self.check_option("decision_function_shape", ("ovr", "ovo"))
        self.check_number("degree", int, 0)
        self.check_number("max_iter", int, -1)
        self.check_number("coef0", float)
        if isinstance(self.gamma, str):
            self.check_option("gamma", ("scale", "auto"))
        else:
            self.check_number("gamma", float, 0)
