r"""Principal components: the orthonormal directions along which the data vary most, one after the other.

    X - mean = U S V^T            rows of V^T: the components;    s_j^2 / (N - 1): the variance along the j-th

Of all projections to k dimensions, the one on the first k components loses least (Eckart & Young): the sum
of squared distances of the samples to their images is s_{k+1}^2 + s_{k+2}^2 + ..., and no other k directions
do better. The coordinates along the components are uncorrelated; divided by their standard deviations they
are white (`whiten`). The components are the eigenvectors of the covariance X^T X / (N - 1) too, but forming
it squares the singular values: those under 1e-8 of the largest drown in its rounding errors.

For wide data a few components cost less than all of them. A random combination of the columns of X leans
towards the directions of large s; k + p of them, orthonormalised to Q, span those directions nearly, and
what is left is the SVD of the small matrix Q^T X. Each of q power iterations multiplies by X X^T and so
sharpens the contrast s_i / s_j to its (2 q + 1)-th power. In expectation, for p >= 2,

    |X - Q Q^T X| <= [(1 + sqrt(k / (p-1))) s_{k+1}^r + (e sqrt(k+p) / p) sqrt(sum_{j>k} s_j^2r)]^(1/r)

with r = 2 q + 1 and the spectral norm: for large q the best possible, s_{k+1}.

Adding noise of equal variance in the D - k directions that were dropped makes a density of it: a Gaussian
with covariance V_k^T diag(variances) V_k + noise_variance (I - V_k^T V_k), probabilistic PCA.

Shapes   X (N, D), components (k, D), images (N, k).
Source   Eckart & Young 1936; Halko, Martinsson & Tropp 2011, "Finding structure with randomness",
         arXiv:0909.4061, algorithms 4.4 and 5.1, corollary 10.10 (the bound); Tipping & Bishop 1999,
         "Probabilistic principal component analysis", sec. 3.2 (the noise variance), also Bishop 2006,
         Pattern Recognition and Machine Learning, eq. 12.43-12.46.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from classical_ml.estimator import NotFittedError, Transformer


def flip_signs(components: np.ndarray) -> np.ndarray:
    """Choose the sign of each row so that its entry of largest magnitude is positive.

    v and -v are the same direction, and which of them a decomposition returns is chance. Magnitudes of at
    least (1 - sqrt(eps)) times the row's largest, eps of the dtype, are as large up to rounding: the first of
    them decides.

    Args:
        components: (K, D), not modified.

    Returns:
        A new array (K, D). A row of zeros stays.
    """
    magnitude = np.abs(components)
    near = (1.0 - math.sqrt(np.finfo(components.dtype).eps)) * magnitude.max(axis=1, keepdims=True)
    leading = (magnitude >= near).argmax(axis=1)  # (K,)
    negative = components[np.arange(len(components)), leading] < 0
    return np.where(negative[:, None], -components, components)


def right_svd(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All singular values of X, and the directions in the space of the features that belong to them.

    Args:
        X: (N, D), any rank.

    Returns:
        s (R,), largest first, and Vt (R, D) with orthonormal rows, R = min(N, D). U is not needed: for N > D
        the R of X = Q R has the same s and V, and is only D x D.
    """
    small = np.linalg.qr(X, mode="r") if len(X) > X.shape[1] else X
    _, s, Vt = np.linalg.svd(small, full_matrices=False)
    return s, Vt


def enough_components(ratios: np.ndarray, share: float) -> int:
    """The fewest components whose shares of the variance add up to more than ``share``.

    Args:
        ratios: (K,), each component's share, largest first.
        share: in (0, 1).

    Returns:
        In [1, K]; K where even all of them do not suffice.
    """
    return min(int(np.searchsorted(np.cumsum(ratios), share, side="right")) + 1, len(ratios))


def range_finder(X: np.ndarray, size: int, n_iter: int, *, rng: np.random.Generator) -> np.ndarray:
    """An orthonormal basis of most of what X reaches (algorithm 4.4, randomized subspace iteration).

    Args:
        X: (N, D).
        size: columns of the basis, in [1, min(N, D)].
        n_iter: power iterations q >= 0. Each product is orthonormalised: in (X X^T)^q, computed as it
            stands, all columns would turn into the first direction up to rounding.
        rng: source of the Gaussian test matrix (D, size).

    Returns:
        Q (N, size), Q^T Q = I, in the dtype of X.
    """
    Q = np.linalg.qr(X @ rng.standard_normal((X.shape[1], size)).astype(X.dtype))[0]  # (N, size)
    for _ in range(n_iter):
        Q = np.linalg.qr(X.T @ Q)[0]  # (D, size)
        Q = np.linalg.qr(X @ Q)[0]  # (N, size)
    return Q


def randomized_svd(
    X: np.ndarray, n_components: int, *, n_oversamples: int = 10, n_iter: int = 7, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first k singular triplets of X, nearly: X projected on a random basis, then decomposed.

    Args:
        X: (N, D).
        n_components: k in [1, min(N, D)].
        n_oversamples: p >= 0 columns of the basis beyond k, as far as min(N, D) allows.
        n_iter: power iterations, >= 0.
        rng: source of randomness.

    Returns:
        U (N, k), s (k,) with the largest first, Vt (k, D); U and V have orthonormal columns. No s_j is above
        that of X, up to rounding: a projection only shortens. A basis of min(N, D) columns is exact.
    """
    Q = range_finder(X, min(n_components + n_oversamples, *X.shape), n_iter, rng=rng)
    U, s, Vt = np.linalg.svd(Q.T @ X, full_matrices=False)
    return Q @ U[:, :n_components], s[:n_components], Vt[:n_components]


class PCA(Transformer):
    """Principal component analysis.

    Args:
        n_components: how many to keep: an int in [1, min(N, D)]; a float in (0, 1), the share of the variance
            that they must exceed together (`enough_components`), with "full" only; or None, min(N, D).
        whiten: divide the coordinates by their standard deviations, sqrt(explained_variance_). A direction
            in which the data do not vary has none, and its coordinate becomes 0.
        svd_solver: "full", or "randomized" for a few components of large data.
        n_oversamples, iterated_power: p and q of "randomized", ints in [0, inf); see `randomized_svd`.
        rng: source of randomness, needed for "randomized".

    Attributes:
        components_: (k, D), orthonormal rows, signs as `flip_signs` chooses them.
        explained_variance_: (k,), variances along them with N - 1 as divisor, largest first. Exactly 0 where
            the singular value is at most eps (max(N, D) s_max + sqrt(N) |mean|): a rounding error.
        explained_variance_ratio_: (k,), the same as shares of the total variance of X; 0 if that is 0.
        singular_values_: (k,), of X less its mean: sqrt((N - 1) explained_variance_), 0 where that is.
        mean_: (D,).
        noise_variance_: a float: the variance that was dropped, by D - k; exactly 0.0 for k = D, and where
            what was dropped is a rounding error. With D - k the total variance of `get_covariance` is that of
            the data; scikit-learn divides by min(N, D) - k, which is the same for N >= D only.
        n_components_: k.
        n_features_in_: D.
    """

    def __init__(
        self,
        n_components: int | float | None = None,
        *,
        whiten: bool = False,
        svd_solver: str = "full",
        n_oversamples: int = 10,
        iterated_power: int = 7,
        rng: np.random.Generator | None = None,
    ):
        self.n_components = n_components
        self.whiten = whiten
        self.svd_solver = svd_solver
        self.n_oversamples = n_oversamples
        self.iterated_power = iterated_power
        self.rng = rng

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the components from X (N, D), N >= 2; ``y`` is ignored. Returns the estimator.

        Raises:
            InvalidParameterError: a parameter is not as above.
            ValueError: as `Estimator.check_X`; or X is a single sample.
        """
        self.check_option("whiten", (True, False))
        self.check_option("svd_solver", ("full", "randomized"))
        self.check_number("n_oversamples", int, 0)
        self.check_number("iterated_power", int, 0)
        if self.svd_solver == "randomized":
            self.check_rng()
        X = self.check_X(X, min_samples=2)
        (n, d), size = X.shape, self._size(X)
        mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)  # float32 would add up 1e6s badly
        centred = X - mean
        if self.svd_solver == "randomized":
            settings = {"n_oversamples": self.n_oversamples, "n_iter": self.iterated_power}
            _, s, Vt = randomized_svd(centred, int(size), **settings, rng=self.check_rng())
        else:
            s, Vt = right_svd(centred)
        rounding = float(np.finfo(X.dtype).eps * (max(n, d) * s[0] + math.sqrt(n) * np.linalg.norm(mean)))
        s = np.where(s > rounding, s, 0)  # (size,), or (min(N, D),) with "full"
        total = float(np.linalg.norm(centred)) ** 2
        ratios = s**2 / total if total > 0 else np.zeros_like(s)
        k = enough_components(ratios, size) if isinstance(size, float) else size
        components = flip_signs(Vt[:k])
        dropped = float(np.square(s[k:]).sum())
        if self.svd_solver == "randomized":  # s has no more than k entries: measure what they leave
            left = float(np.linalg.norm(centred - (centred @ components.T) @ components))
            dropped = left**2 if left > rounding else 0.0

        self.components_, self.mean_, self.n_components_ = components, mean, k
        self.singular_values_, self.explained_variance_ratio_ = s[:k], ratios[:k]
        self.explained_variance_ = s[:k] ** 2 / (n - 1)
        self.noise_variance_ = dropped / (n - 1) / (d - k) if k < d else 0.0
        self.n_features_in_ = d
        return self

    def _size(self, X: np.ndarray) -> int | float:
        """The parameter ``n_components``, checked: k, or a share in (0, 1)."""
        if self.n_components is None:
            return min(X.shape)
        if isinstance(self.n_components, (float, np.floating)) and self.svd_solver == "full":
            self.check_number("n_components", float, 0, 1, low_open=True, high_open=True)
            return float(self.n_components)
        self.check_number("n_components", int, 1, min(X.shape))
        return int(self.n_components)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """The coordinates of each row of X along the components, (N, k), white with ``whiten``.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
        """
        Z = (self.check_new_X(X) - self.mean_) @ self.components_.T  # mean first: no digits lost
        if self.whiten:
            scale = np.sqrt(self.explained_variance_)
            Z = np.divide(Z, scale, out=np.zeros_like(Z), where=scale > 0)
        return Z

    def inverse_transform(self, Z: ArrayLike) -> np.ndarray:
        """The point (N, D) that has the coordinates Z (N, k) and lies in the plane of the components.

        Raises:
            NotFittedError: ``fit`` has not run; the message names the class.
            ValueError: Z is not a finite (N, k); the message names the number of columns and k.
        """
        self._require_fitted()
        Z = self.check_X(Z)
        if Z.shape[1] != self.n_components_:
            raise ValueError(f"Z has {Z.shape[1]} columns, but PCA has {self.n_components_} components")
        if self.whiten:
            Z = Z * np.sqrt(self.explained_variance_)
        return Z @ self.components_ + self.mean_

    def get_covariance(self) -> np.ndarray:
        """The model's covariance (D, D): V_k^T diag(variances) V_k + noise_variance_ (I - V_k^T V_k).

        It has the dtype of the data of ``fit``, and is about X, with and without ``whiten`` (where
        scikit-learn scales the components once more).

        Raises:
            NotFittedError: ``fit`` has not run; the message names the class.
        """
        self._require_fitted()
        V, noise = self.components_, self.noise_variance_
        covariance = (V.T * (self.explained_variance_ - noise)) @ V
        covariance.flat[:: len(covariance) + 1] += noise
        return covariance

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """The log density of each row of X, (N,), under the Gaussian with ``mean_`` and `get_covariance`.

        Returns:
            -1/2 [D log 2 pi + log|C| + (x - mean)^T C^-1 (x - mean)]; with z the coordinates along the
            components and rest the squared distance to their plane, the last term is
            sum_j z_j^2 / variance_j + rest / noise_variance_.

        Raises:
            NotFittedError, ValueError: as `Estimator.check_new_X`.
            ValueError: a variance is 0, or ``noise_variance_`` is and k < D: then all data lie in a plane and
                there is no density. The message names k and D.
        """
        centred = self.check_new_X(X) - self.mean_
        k, d = self.components_.shape
        variances, noise = self.explained_variance_, self.noise_variance_
        if variances[-1] == 0 or (k < d and noise == 0):
            raise ValueError(
                f"The data do not fill their {d} dimensions: with {k} components the covariance is singular "
                "and there is no density. Keep fewer components, so that the variance left over is noise."
            )
        Z = centred @ self.components_.T  # (N, k)
        log_p = (Z**2 / variances).sum(axis=1) + np.log(variances).sum() + d * math.log(2 * math.pi)
        if k < d:
            outside = centred - Z @ self.components_  # subtracting |z|^2 from |x|^2 could fall below 0
            log_p += np.einsum("nd,nd->n", outside, outside) / noise + (d - k) * math.log(noise)
        return -0.5 * log_p

    def score(self, X: ArrayLike, y: ArrayLike | None = None) -> float:
        """The mean of `score_samples` over the rows of X; ``y`` is ignored. Raises as that does."""
        return float(self.score_samples(X).mean())

    def _require_fitted(self) -> None:
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError("This PCA instance is not fitted yet. Call 'fit' with data first.")
