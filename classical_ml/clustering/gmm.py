r"""A Gaussian mixture by expectation maximization: which component made a sample is averaged over.

    p(x) = sum_k pi_k N(x | mu_k, Sigma_k)

    E   r_nk = pi_k N(x_n | mu_k, Sigma_k) / p(x_n)       the responsibilities: P(component k made x_n)
    M   N_k = sum_n r_nk     pi_k = N_k / N     mu_k = sum_n r_nk x_n / N_k
        Sigma_k = sum_n r_nk (x_n - mu_k)(x_n - mu_k)^T / N_k + reg_covar I

With reg_covar = 0 the log-likelihood never falls: the E-step makes a lower bound of it that touches at the
present parameters, and the M-step goes to the maximum of that bound. What reg_covar = r adds takes Sigma_k
off that maximum, so that an iteration may lower the mean log-likelihood, but by no more than

    sum_k pi_k/2 sum_j [log(1 + r/s_kj) - r/(s_kj + r)],    about sum_k pi_k/4 sum_j (r/s_kj)^2

with the new pi_k and the eigenvalues s_kj of the new Sigma_k before r is added: nothing, where variances are
far above r. Without r a component that shrinks to one sample has a density without bound, and the likelihood
has no maximum.

Densities go through the inverse Cholesky factor: with Sigma = L L^T and U = L^-T, Sigma^-1 = U U^T, so that
(x-mu)^T Sigma^-1 (x-mu) = |(x-mu)^T U|^2, and log det Sigma^-1/2 = sum_j log U_jj. Far from all components
every density underflows: they stay logarithms, and sums over components are log-sum-exp. Means are subtracted
before anything is squared, in blocks of rows that stay in the cache.

    covariance_type   "full"      "tied", one for all   "diag"    "spherical"
    covariances       (K, D, D)   (D, D)                (K, D)    (K,)           variances where not matrices

Shapes   X (N, D), responsibilities (N, K), weights (K,), means (K, D).
Source   Dempster, Laird & Rubin 1977, "Maximum likelihood from incomplete data via the EM algorithm", theorem
         1; Bishop 2006, Pattern Recognition and Machine Learning, sec. 9.2.2 (eq. 9.23-9.28) and 9.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import log, pi
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.clustering.kmeans import KMeans
from classical_ml.estimator import Clusterer, NotFittedError
from utils.math_utils import logsumexp, softmax

TYPES = ("full", "tied", "diag", "spherical")
BLOCK = 1 << 18  # bytes of a block of rows: it and what is made of it stay in the second-level cache


@dataclass(frozen=True)
class Mixture:
    """The state of EM: `m_step` makes it, `e_step` reads it.

    Attributes:
        weights: (K,), sum 1.
        means: (K, D).
        covariances: shaped by ``covariance_type``, as at the top of this file.
        precisions_cholesky: of the same shape, as `precisions_cholesky` makes them.
        covariance_type: "full", "tied", "diag" or "spherical".
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    precisions_cholesky: np.ndarray
    covariance_type: str


def precisions_cholesky(covariances: np.ndarray, covariance_type: str) -> np.ndarray:
    """The factors U of the inverses: U U^T = Sigma^-1, U upper triangular; 1 / sqrt(variance) for variances.

    Args:
        covariances: (K, D, D), (D, D), (K, D) or (K,), as ``covariance_type`` says.
        covariance_type: "full", "tied", "diag" or "spherical".

    Raises:
        ValueError: a covariance is singular: it is not positive definite, or a squared diagonal entry of its
            Cholesky factor is at most eps D times that of the covariance (a feature that depends on the
            others up to rounding); a variance is not positive. The message names the component's number (0
            if tied) and what helps, "reg_covar". Or the type is unknown: the message names it.
    """
    raise NotImplementedError("classical_ml.clustering.gmm: TODO 1 of 13, precisions_cholesky")


def log_joint(X: np.ndarray, mixture: Mixture) -> np.ndarray:
    """log(pi_k N(x_n | mu_k, Sigma_k)) for X (N, D): (N, K), -inf for a component of weight 0."""
    raise NotImplementedError("classical_ml.clustering.gmm: TODO 2 of 13, log_joint")


def e_step(X: np.ndarray, mixture: Mixture) -> tuple[float, np.ndarray]:
    """What the mixture says of the data.

    Args:
        X: (N, D).
        mixture: K components.

    Returns:
        The mean log-likelihood, sum_n log p(x_n) / N; and the responsibilities (N, K), whose rows sum to 1,
        also for samples so far away that every density underflows.
    """
    raise NotImplementedError("classical_ml.clustering.gmm: TODO 3 of 13, e_step")


def m_step(
    X: np.ndarray, responsibilities: np.ndarray, covariance_type: str = "full", reg_covar: float = 1e-6
) -> Mixture:
    """The mixture that fits best if the responsibilities are right: the formulas at the top of this file.

    "tied" is the mean of the full covariances, weighted by pi_k; "diag" their diagonals; "spherical" the mean
    over the features of these. ``reg_covar`` is added to every variance. Each N_k is raised by 10 eps, and
    the sums for the means are of x_n - m, with m, the mean of the data, added afterwards: a component that no
    sample belongs to gets mu_k = m, and not 0 / 0.

    Args:
        X: (N, D).
        responsibilities: (N, K), >= 0, rows sum to 1; of either float type.
        covariance_type: "full", "tied", "diag" or "spherical".
        reg_covar: >= 0.

    Returns:
        A new mixture, in the dtype of X.

    Raises:
        ValueError: as `precisions_cholesky`; also where reg_covar is 0 and a variance is not above
            (4 eps max |x|)^2, the maximum over the samples of its feature (if spherical, over all features):
            rounding errors, of a component that collapsed onto a point. With "tied" as with the others.
    """
    raise NotImplementedError("classical_ml.clustering.gmm: TODO 4 of 13, m_step")


def parameter_count(n_components: int, n_features: int, covariance_type: str) -> int:
    """How many numbers a mixture is free to choose: K - 1 weights, K D means, and its covariances.

    A symmetric matrix has D (D + 1) / 2: K of them if full, one if tied; K D variances, or K if spherical.

    >>> [parameter_count(2, 3, kind) for kind in ("full", "tied", "diag", "spherical")]
    [19, 13, 13, 9]
    """
    raise NotImplementedError("classical_ml.clustering.gmm: TODO 5 of 13, parameter_count")


class GaussianMixture(Clusterer):
    """A mixture of K Gaussians, fitted by EM.

    Args:
        n_components: K, an int in [1, inf), at most the number of samples.
        covariance_type: "full", "tied", "diag" or "spherical".
        tol: EM ends when the mean log-likelihood changes, up or down, by less than this from one E-step to
            the next: in a start's second iteration at the earliest. A float in [0, inf). 0: never.
        reg_covar: what is added to every variance, a float in [0, inf), in squared units of the data.
        max_iter: iterations a start, an int in [1, inf).
        n_init: how many starts; the one with the largest ``lower_bound_`` counts, and all attributes are of
            that one. An int in [1, inf).
        init_params: where to start, as responsibilities that an M-step turns into a mixture: "kmeans" (1 for
            the cluster of `KMeans`), "random" (uniform numbers over their sum) or an array (N, K).
        weights_init, means_init, precisions_init: take the place of what that start has: (K,), (K, D), and
            inverse covariances shaped by ``covariance_type``. All three given, ``init_params`` is not used.
        rng: source of randomness, needed unless responsibilities or all of weights, means and precisions
            are given.

    Attributes:
        weights_, means_, covariances_, precisions_cholesky_: as in `Mixture`, after the last M-step.
        mixture_: all of these, as the `Mixture` that `e_step` takes.
        labels_: (N,), the component with the largest responsibility for each row, as `predict` finds it.
        lower_bounds_: the mean log-likelihood that each E-step found, a list of floats.
        lower_bound_: the last of them; it belongs to the mixture before the last M-step.
        n_iter_: iterations of the start that counts. An iteration is an E-step and an M-step.
        converged_: whether ``tol`` ended it.
        n_features_in_: D.
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str | ArrayLike = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.rng = rng

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from X (N, D); ``y`` is ignored. Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Estimator.check_X`; fewer samples than components (the message names both
                numbers); a start that is given has another shape than expected (its name and both shapes),
                a NaN or an infinity, or probabilities that do not sum to 1 (its name); or a covariance is
                singular, as in `m_step`.
        """
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 6 of 13, GaussianMixture.fit")

    def _starts(self, X: np.ndarray) -> Iterator[Mixture]:
        """The mixtures to start from: those that ``init_params`` makes, with what is given in its place."""
        k, d, kind = self.n_components, X.shape[1], self.covariance_type
        shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[kind]
        given: dict[str, np.ndarray] = {}
        for name, expected in (("weights", (k,)), ("means", (k, d)), ("precisions", shape)):
            if (value := self._given(f"{name}_init", expected, X)) is not None:
                given[name] = value
        if "precisions" in given:
            precisions = given.pop("precisions")
            given["covariances"] = np.linalg.inv(precisions) if kind in ("full", "tied") else 1 / precisions
            given["precisions_cholesky"] = precisions_cholesky(given["covariances"], kind)
        if len(given) == 4:
            yield Mixture(covariance_type=kind, **given)
            return
        for _ in range(self.n_init if isinstance(self.init_params, str) else 1):
            start = m_step(X, self._responsibilities(X), kind, self.reg_covar)
            yield replace(start, covariance_type=kind, **given)

    def _responsibilities(self, X: np.ndarray) -> np.ndarray:
        """Those that ``init_params`` says to start from, (N, K)."""
        shape = (len(X), self.n_components)
        if not isinstance(self.init_params, str):
            return np.asarray(self._given("init_params", shape, X))
        rng = self.check_rng()
        if self.init_params == "kmeans":
            return np.eye(shape[1], dtype=X.dtype)[KMeans(shape[1], rng=rng).fit_predict(X)]
        uniform = rng.random(shape, X.dtype)
        return uniform / uniform.sum(axis=1, keepdims=True)

    def _given(self, name: str, shape: tuple[int, ...], X: np.ndarray) -> np.ndarray | None:
        """The parameter ``name`` in the dtype of X, if it is not None. Refuses what cannot be a start."""
        if (value := getattr(self, name)) is None:
            return None
        array = np.asarray(value, X.dtype)
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
        if name in ("weights_init", "init_params") and not (
            array.min() >= 0 and np.allclose(array.sum(axis=-1), 1)
        ):
            raise ValueError(
                f"{name} must be >= 0 with sums of 1, got {array.min()} and {array.sum(axis=-1)}"
            )
        return array

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """log p(x) of each row of X, (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 7 of 13, GaussianMixture.score_samples")

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """The mean of log p(x) over the rows of X; ``y`` is ignored. Raises as `score_samples`."""
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 8 of 13, GaussianMixture.score")

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The responsibilities for the rows of X, (N, K). Raises as `score_samples`."""
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 9 of 13, GaussianMixture.predict_proba")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The component with the largest responsibility for each row of X, weight included: ints (N,).

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 10 of 13, GaussianMixture.predict")

    def sample(self, n_samples: int = 1, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw independent samples from the mixture, for each its component first.

        Returns:
            X (n_samples, D), rows in no order, in the dtype of the data of ``fit``; and the components that
            made them, ints (n_samples,), each drawn by the weights whatever the others are.

        Raises:
            NotFittedError: ``fit`` has not run; the message names the class.
        """
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 11 of 13, GaussianMixture.sample")

    def bic(self, X: ArrayLike) -> float:
        """-2 log-likelihood of X + p log N, with p free parameters: smaller is better.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 12 of 13, GaussianMixture.bic")

    def aic(self, X: ArrayLike) -> float:
        """-2 log-likelihood of X + 2 p, with p free parameters: smaller is better. Raises as `bic`."""
        raise NotImplementedError("classical_ml.clustering.gmm: TODO 13 of 13, GaussianMixture.aic")

    def _deviance(self, X: ArrayLike) -> float:
        return -2 * float(self.score_samples(X).sum(dtype=np.float64))

    def _parameters(self) -> int:
        k, d = self.mixture_.means.shape
        return parameter_count(k, d, self.mixture_.covariance_type)


def blocks(X: np.ndarray) -> Iterator[slice]:
    """The rows of X in slices of about `BLOCK` bytes."""
    size = max(1, BLOCK // (X.shape[1] * X.itemsize))
    return (slice(start, start + size) for start in range(0, len(X), size))


def singular(k: int, covariance_type: str) -> ValueError:
    """The error for a covariance that has no inverse."""
    return ValueError(
        f"The covariance of component {k} ({covariance_type}) is singular: its samples are one point, or lie "
        "in a plane. Raise reg_covar, use fewer components or a covariance_type with fewer parameters."
    )


def require_type(covariance_type: str) -> None:
    """Refuse an unknown covariance type."""
    if covariance_type not in TYPES:
        raise ValueError(f"covariance_type must be one of {TYPES}, got {covariance_type!r}")
