"""Data in order: who is in the test set, who is in which batch, and on what scale.

Three promises hold everywhere. Rows stay together: one array of indices is drawn and applied to every array.
Every item is used exactly once. Nothing about the test set reaches training: a scaler learns its numbers in
`fit`, from training data, and `transform` only applies them.

Shapes   N items, D features. Arrays of items have N as their first axis and any other axes behind it.
Source   Hastie, Tibshirani & Friedman 2009, "The Elements of Statistical Learning", sec. 7.10;
         Kohavi 1995, "A study of cross-validation and bootstrap", sec. 2 (stratification).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

Folds = list[tuple[np.ndarray, np.ndarray]]


def apportion(total: int, sizes: ArrayLike) -> np.ndarray:
    """Divide ``total`` among groups in proportion to their sizes, in whole numbers (largest remainder).

    The share of group c is ``q_c = total * sizes[c] / sum(sizes)``. Each group gets ``floor(q_c)``; what is
    then left goes, one each, to the groups with the largest ``q_c - floor(q_c)``. Ties: any of them.

    Args:
        total: how many to divide, in [0, sum(sizes)].
        sizes: size of each group, (C,), ints >= 0, of which one at least is > 0.

    Returns:
        Number for each group, int64 (C,): their sum is ``total``, none exceeds its group.

    Raises:
        ValueError: ``total`` is outside its range. The message names it and sum(sizes).
    """
    raise NotImplementedError("utils.data_utils: TODO 1 of 11, apportion")


def train_test_split(
    *arrays: ArrayLike, test_size: float, stratify: ArrayLike | None = None, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Split arrays into a training and a test part at random, the same rows of each.

    Args:
        arrays: at least one, each (N, ...).
        test_size: an int counts the test items; a float in (0, 1) is their fraction, and N * test_size is
            rounded to the nearest whole number.
        stratify: labels (N,), of any type. The test items of each class are then counted by `apportion`,
            from the class sizes, and drawn at random within the class.
        rng: where the chance comes from.

    Returns:
        ``(train, test)`` of the first array, then of the second, and so on. Copies, in any order of rows.

    Raises:
        ValueError: no arrays, or lengths that differ (the message names them all); a part that would be
            empty, or ``test_size`` outside its range (the message names N and ``test_size``).
    """
    raise NotImplementedError("utils.data_utils: TODO 2 of 11, train_test_split")


def k_fold(n: int, k: int, *, rng: np.random.Generator | None = None) -> Folds:
    """Divide the items 0 ... n-1 into ``k`` folds, each of which is the test set once.

    The first ``n % k`` folds have ``n // k + 1`` items, the others ``n // k``.

    Args:
        n: number of items.
        k: number of folds, in [2, n].
        rng: shuffles the items first. Without it the folds are consecutive: 0, 1, 2, ...

    Returns:
        A list of ``k`` pairs ``(train, test)`` of index arrays, (n - m,) and (m,). Without ``rng`` in
        ascending order, with it in any.

    Raises:
        ValueError: ``k`` is outside [2, n]. The message names both.
    """
    raise NotImplementedError("utils.data_utils: TODO 3 of 11, k_fold")


def stratified_k_fold(labels: ArrayLike, k: int, *, rng: np.random.Generator | None = None) -> Folds:
    """Divide items into ``k`` folds that all have the class balance of the whole.

    With m items of a class, every fold gets ``m // k`` or ``m // k + 1`` of them; the sizes of the folds
    differ by at most 1. (Sort the items by class and deal them out like cards.)

    Args:
        labels: class of each item, (N,), of any type.
        k: number of folds, in [2, N].
        rng: which items of a class go together is then random. Without it the folds are the same each time.

    Returns:
        A list of ``k`` pairs ``(train, test)`` of index arrays, in any order.

    Raises:
        ValueError: ``k`` is outside [2, N]. The message names both.
    """
    raise NotImplementedError("utils.data_utils: TODO 4 of 11, stratified_k_fold")


def batches(
    *arrays: ArrayLike, batch_size: int, rng: np.random.Generator | None = None, drop_last: bool = False
) -> Iterator[tuple[np.ndarray, ...]]:
    """Iterate once over all items, ``batch_size`` at a time, the same rows of each array.

    Args:
        arrays: at least one, each (N, ...). N may be 0: then there is no batch.
        batch_size: items in a batch, >= 1. The last batch has what is left.
        rng: shuffles the items, anew in each call. Without it they come in order.
        drop_last: leave out a last batch that is smaller than ``batch_size``.

    Returns:
        An iterator over tuples with one array (batch_size, ...) for each of ``arrays``, also when there is
        only one. A batch is made when it is asked for, and is a copy: changing it leaves the data as it is.

    Raises:
        ValueError: no arrays, lengths that differ, ``batch_size`` < 1 (the message names the values). Raised
            by the call itself, not by the first batch.
    """
    raise NotImplementedError("utils.data_utils: TODO 5 of 11, batches")


class Standardizer:
    """Shift and scale each feature to mean 0 and standard deviation 1 on the training data.

        z = (x - mean_) / scale_

    Attributes, set by `fit`, float64 (D,): ``mean_``, and ``scale_``, the standard deviation with 1/N. A
    constant feature (maximum = minimum) has ``scale_`` 1, so that it becomes 0 and not 0/0.
    """

    mean_: np.ndarray
    scale_: np.ndarray

    def fit(self, x: ArrayLike) -> Standardizer:
        """Learn ``mean_`` and ``scale_`` from the training data ``x`` (N, D) in float64; return self.

        Raises:
            ValueError: ``x`` is not (N, D) with N >= 1 (the message names its shape), or a feature holds nan
                or inf (the message names the feature's index).
        """
        raise NotImplementedError("utils.data_utils: TODO 6 of 11, Standardizer.fit")

    def transform(self, x: ArrayLike) -> np.ndarray:
        """Scale ``x`` (N, D) with what `fit` learned: a new array, of x's dtype if float, else float64.

        Raises:
            RuntimeError: `fit` was not called (the message says "fit").
            ValueError: ``x`` is not (N, D) with the D of `fit`. The message names its shape and D.
        """
        raise NotImplementedError("utils.data_utils: TODO 7 of 11, Standardizer.transform")

    def inverse_transform(self, z: ArrayLike) -> np.ndarray:
        """Undo `transform`: ``x = z * scale_ + mean_``. Shapes, dtypes and errors as there."""
        raise NotImplementedError("utils.data_utils: TODO 8 of 11, Standardizer.inverse_transform")

    def fit_transform(self, x: ArrayLike) -> np.ndarray:
        """``fit(x).transform(x)``: for training data only."""
        return self.fit(x).transform(x)


class MinMaxScaler:
    """Shift and scale each feature so that the training data fill ``feature_range`` = (low, high).

        z = low + (x - data_min_) / (data_max_ - data_min_) * (high - low)

    Other data may fall outside the range; they are not clipped. For a constant feature the divisor is 1, so
    that it becomes ``low``. Attributes, set by `fit`, float64 (D,): ``data_min_``, ``data_max_``.

    Raises:
        ValueError: low >= high. The message names both.
    """

    data_min_: np.ndarray
    data_max_: np.ndarray

    def __init__(self, feature_range: tuple[float, float] = (0.0, 1.0)):
        if not feature_range[0] < feature_range[1]:
            raise ValueError(f"feature_range must be (low, high) with low < high, got {feature_range}")
        self.feature_range = feature_range

    def fit(self, x: ArrayLike) -> MinMaxScaler:
        """Learn ``data_min_`` and ``data_max_`` from the training data ``x`` (N, D); return self.

        Raises:
            ValueError: as `Standardizer.fit`.
        """
        raise NotImplementedError("utils.data_utils: TODO 9 of 11, MinMaxScaler.fit")

    def transform(self, x: ArrayLike) -> np.ndarray:
        """Scale ``x`` (N, D) with what `fit` learned. Dtypes and errors as `Standardizer.transform`."""
        raise NotImplementedError("utils.data_utils: TODO 10 of 11, MinMaxScaler.transform")

    def inverse_transform(self, z: ArrayLike) -> np.ndarray:
        """Undo `transform`. Shapes, dtypes and errors as there."""
        raise NotImplementedError("utils.data_utils: TODO 11 of 11, MinMaxScaler.inverse_transform")

    def fit_transform(self, x: ArrayLike) -> np.ndarray:
        """``fit(x).transform(x)``: for training data only."""
        return self.fit(x).transform(x)

    def _extent(self) -> np.ndarray:
        """Maximum - minimum of each feature (D,), 1 where they are equal."""
        return np.where(self.data_max_ == self.data_min_, 1.0, self.data_max_ - self.data_min_)


def _aligned(arrays: tuple[ArrayLike, ...]) -> tuple[np.ndarray, ...]:
    """The arguments as arrays, once it is sure that there are some and that all have one length."""
    if not arrays:
        raise ValueError("expected at least one array, got none")
    aligned = tuple(np.asarray(a) for a in arrays)
    if len({a.shape[:1] for a in aligned}) > 1 or not aligned[0].shape:
        shapes = ", ".join(str(a.shape) for a in aligned)
        raise ValueError(f"arrays must have the same length, got the shapes {shapes}")
    return aligned


def _check_folds(n: int, k: int) -> None:
    if not 2 <= k <= n:
        raise ValueError(f"k={k} folds of n={n} items: expected 2 <= k <= n")


def _training_data(x: ArrayLike) -> np.ndarray:
    """``x`` as float64 (N, D), N >= 1, finite."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"expected training data (N, D) with N >= 1, got shape {x.shape}")
    bad = ~np.isfinite(x).all(axis=0)
    if bad.any():
        raise ValueError(f"feature {bad.argmax()} of the training data holds nan or inf")
    return x


def _same_features(x: ArrayLike, learned: np.ndarray | None) -> tuple[np.ndarray, np.dtype]:
    """``x`` (N, D) and the dtype of the answer, once it is sure that D is the one of `fit`."""
    if learned is None:
        raise RuntimeError("nothing is learned yet: call fit with the training data first")
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != len(learned):
        raise ValueError(f"expected (N, {len(learned)}), the features that fit saw, got shape {x.shape}")
    return x, x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
