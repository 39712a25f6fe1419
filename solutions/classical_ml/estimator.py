r"""What every estimator shares: made from parameters, it learns in ``fit``, and says what it cannot use.

    estimator = Class(parameters)        stores them, and does nothing else
    estimator.fit(X, y)                  checks parameters, then data; learns; returns the estimator
    estimator.predict(X)                 checks that fit has run and that X has the features it was fitted on

Because the constructor only stores, an estimator can be read (`get_params`), changed (`set_params`) and
copied unfitted (`clone`) without knowing its class: all that a search over parameters needs. What was learned
ends in an underscore (``coef_``), so that it cannot be mistaken for a parameter. ``fit`` sets
``n_features_in_`` last: an estimator whose fit failed is not fitted.

Data that would make an answer meaningless is refused where it enters: one NaN in a million rows would
otherwise come back as a NaN in every coefficient, with no word of where it came from.

Shapes   X (N, D): N samples in rows, D features in columns. y (N,).
Source   Buitinck et al. 2013, "API design for machine learning software: experiences from the scikit-learn
         project", arXiv:1309.0238, sec. 2; the messages follow those that users of scikit-learn know.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from utils import metrics


class InvalidParameterError(ValueError, TypeError):
    """A parameter of an estimator is of the wrong type or out of its range."""


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked for what it has not learned yet."""


class Estimator:
    """The base class: a subclass lists its parameters in ``__init__`` and stores each under its own name."""

    def get_params(self) -> dict[str, object]:
        """The constructor's parameters with their present values, in the order of its signature."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **parameters: object) -> Self:
        """Change parameters; what was learned stays until the next ``fit``. Returns the estimator.

        Raises:
            ValueError: a name is not one of the parameters; the message names it and those that exist, and
                nothing has changed.
        """
        names = list(self.get_params())
        for name in parameters:
            if name not in names:
                raise ValueError(f"{type(self).__name__} has no parameter '{name}': it has {names}")
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def clone(self) -> Self:
        """A new estimator of the same class with the same parameters, not fitted."""
        return type(self)(**self.get_params())

    def check_number(
        self,
        name: str,
        kind: type[int] | type[float],
        low: float = -math.inf,
        high: float = math.inf,
        *,
        low_open: bool = False,
        high_open: bool = False,
    ) -> None:
        """Refuse the parameter ``name`` unless it is a number of the kind, between ``low`` and ``high``.

        NumPy's numbers are numbers, True and False are none, NaN is in no range, an int serves as a float.

        Args:
            name: an attribute of this estimator.
            kind: int or float.
            low, high: the range.
            low_open, high_open: the end itself is outside; an infinite end always is.

        Raises:
            InvalidParameterError: "The 'n_clusters' parameter of KMeans must be an int in [1, inf). Got 0
                instead." The message names the parameter, the class, the range and the value as its repr.
        """
        value = getattr(self, name)
        kinds = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
        low_open, high_open = low_open or low == -math.inf, high_open or high == math.inf
        if isinstance(value, kinds) and not isinstance(value, bool):
            above = value > low if low_open else value >= low
            below = value < high if high_open else value <= high
            if above and below:
                return
        if kind is float:
            low, high = float(low), float(high)  # in words that say so: (0.0, 1.0]
        article = "an int" if kind is int else "a float"
        allowed = f"{article} in {'(' if low_open else '['}{low}, {high}{')' if high_open else ']'}"
        raise self._invalid(name, allowed)

    def check_option(self, name: str, options: Sequence[object]) -> None:
        """Refuse the parameter ``name`` unless it equals one of ``options``: strings, None, bools.

        Raises:
            InvalidParameterError: the message names the parameter, the class, every option and the value.
        """
        value = getattr(self, name)
        if not any(type(value) is type(option) and value == option for option in options):
            raise self._invalid(name, f"one of {', '.join(map(repr, options))}")

    def _invalid(self, name: str, allowed: str) -> InvalidParameterError:
        owner, value = type(self).__name__, getattr(self, name, None)
        return InvalidParameterError(
            f"The '{name}' parameter of {owner} must be {allowed}. Got {value!r} instead."
        )

    def check_rng(self) -> np.random.Generator:
        """The parameter ``rng``.

        Raises:
            InvalidParameterError: it is no Generator; the message names the class, "rng" and its value.
        """
        rng = getattr(self, "rng", None)
        if not isinstance(rng, np.random.Generator):
            raise self._invalid("rng", "a np.random.Generator, such as np.random.default_rng(0)")
        return rng

    def check_X(self, X: ArrayLike, *, min_samples: int = 1) -> np.ndarray:
        """``X`` as a finite array of floats (N, D), N >= ``min_samples``, D >= 1.

        float32 and float64 stay as they are, without a copy; lists, integers and bools become float64.

        Raises:
            ValueError: X is not numeric; is complex; has not two axes (the message names its shape, and what
                reshape would help); has too few samples or no features (the shape, the number needed and
                the class); or has a NaN or an infinity (the first one's row and column).
        """
        X = _floats(X, "X")
        if X.ndim != 2:
            raise ValueError(
                f"Expected a 2D array X (samples, features), got shape {X.shape} instead. Use "
                "X.reshape(-1, 1) for a single feature, X.reshape(1, -1) for a single sample."
            )
        for size, need, what in ((X.shape[0], min_samples, "sample(s)"), (X.shape[1], 1, "feature(s)")):
            if size < need:
                raise ValueError(
                    f"Found array with {size} {what} (shape={X.shape}) while a minimum of {need} is "
                    f"required by {type(self).__name__}."
                )
        _require_finite(X, "X")
        return X

    def check_new_X(self, X: ArrayLike) -> np.ndarray:
        """``X`` as `check_X` returns it, for an estimator that is fitted on as many features.

        Raises:
            NotFittedError: ``fit`` has not run, that is, there is no ``n_features_in_``; the message names
                the class.
            ValueError: as `check_X`; or another number of features than at fit: the message names both and
                the class.
        """
        owner = type(self).__name__
        if not hasattr(self, "n_features_in_"):
            raise NotFittedError(f"This {owner} instance is not fitted yet. Call 'fit' with data first.")
        X = self.check_X(X)
        if X.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X has {X.shape[1]} features, but {owner} is expecting {self.n_features_in_} features as "
                "input."
            )
        return X

    def __repr__(self) -> str:
        """The class with the parameters that are not at their default: ``KMeans(n_clusters=3)``."""
        defaults = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        shown = {name: (repr(value), repr(defaults[name])) for name, value in self.get_params().items()}
        changed = [f"{name}={value}" for name, (value, default) in shown.items() if value != default]
        return f"{type(self).__name__}({', '.join(changed)})"


class Regressor(Estimator):
    """An estimator that predicts numbers."""

    def check_X_y(
        self, X: ArrayLike, y: ArrayLike, *, min_samples: int = 1, multi_output: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """``X`` as `check_X` returns it, and ``y`` as finite floats (N,), or (N, K) with ``multi_output``.

        Raises:
            ValueError: as `check_X`; or y is not numeric, has another shape (the message names it), a NaN or
                an infinity (its index), or another number of samples than X (both numbers).
        """
        X, y = self.check_X(X, min_samples=min_samples), _floats(y, "y")
        if y.ndim not in ((1, 2) if multi_output else (1,)) or 0 in y.shape[1:]:
            wanted = "(N,) or (N, K)" if multi_output else "(N,)"
            raise ValueError(f"y should be an array {wanted}, got an array of shape {y.shape} instead.")
        _require_as_many(X, y)
        _require_finite(y, "y")
        return X, y

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Predict a number for each row of X; every subclass defines its own."""
        raise TypeError(f"{type(self).__name__} does not define predict")

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """R^2 of the predictions, the share of the variance of ``y`` explained; 1 is perfect.

        For y (N, K), the mean of the K columns' R^2.
        """
        y, predicted = np.asarray(y), self.predict(X)
        if y.ndim == 1:
            return metrics.r2(y, predicted)
        columns = [metrics.r2(*pair) for pair in zip(y.T, predicted.T, strict=True)]
        return float(np.mean(columns))


class Classifier(Estimator):
    """An estimator that predicts classes, whatever their names: ints, strings, bools.

    ``fit`` sets ``classes_``, the sorted names; column k of ``predict_proba`` belongs to ``classes_[k]``.
    """

    classes_: np.ndarray

    def check_X_y(
        self, X: ArrayLike, y: ArrayLike, *, min_samples: int = 1, min_classes: int = 1
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Check the data for ``fit``.

        Returns:
            ``X`` as `check_X` returns it; the sorted classes (V,), of the type in ``y``; and the place of
            each label in them, ints (N,).

        Raises:
            ValueError: as `check_X`; or y is not (N,) (the message names its shape), has another number of
                samples than X (both numbers), holds floats that are not whole, NaN and infinity among them,
                which are no names of classes (the first of them), or has fewer than ``min_classes`` classes
                (both numbers and the class names).
        """
        X, y = self.check_X(X, min_samples=min_samples), np.asarray(y)
        _require_row(y)
        _require_as_many(X, y)
        for label in dict.fromkeys(y.tolist()) if y.dtype.kind in "fO" else ():
            if isinstance(label, float) and not label.is_integer():  # NaN and infinity are not whole either
                raise ValueError(f"y holds {label}, which is not a class: for numbers use a regressor.")
        classes, indices = np.unique(y, return_inverse=True)
        if len(classes) < min_classes:
            raise ValueError(
                f"{type(self).__name__} needs at least {min_classes} classes, "
                f"but the data contains only {len(classes)}: {classes.tolist()}"
            )
        return X, classes, indices

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """The probability of each class for each row of X, (N, V); a subclass may define it."""
        raise TypeError(f"{type(self).__name__} does not define predict_proba")

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The most probable class of each row of X, (N,); the first of several that tie.

        What `predict_proba` refuses is refused in its words: it runs before ``classes_`` is looked at.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """The share of rows whose class is predicted.

        Raises:
            ValueError: y is not (N,); the message names its shape. Or X and y differ in their number of
                samples; it names both.
        """
        y, predicted = np.asarray(y), self.predict(X)
        _require_row(y)
        _require_as_many(predicted, y)
        return float(np.mean(predicted == y))


class Clusterer(Estimator):
    """An estimator that finds groups: ``fit`` sets ``labels_``, ints (N,)."""

    labels_: np.ndarray

    def fit(self, X: ArrayLike) -> Self:
        """Learn from X (N, D); every subclass defines its own."""
        raise TypeError(f"{type(self).__name__} does not define fit")

    def fit_predict(self, X: ArrayLike) -> np.ndarray:
        """Fit, and return the group of each row of X, (N,)."""
        return self.fit(X).labels_


class Transformer(Estimator):
    """An estimator that maps data to other data."""

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn from X (N, D) and possibly y (N,); every subclass defines its own."""
        raise TypeError(f"{type(self).__name__} does not define fit")

    def transform(self, X: ArrayLike) -> np.ndarray:
        """The image of each row of X; every subclass defines its own."""
        raise TypeError(f"{type(self).__name__} does not define transform")

    def fit_transform(self, X: ArrayLike, y: ArrayLike | None = None) -> np.ndarray:
        """Fit on X, and y where it is given, and return the image of X."""
        return (self.fit(X) if y is None else self.fit(X, y)).transform(X)


def _floats(values: ArrayLike, name: str) -> np.ndarray:
    """``values`` as an array of float32 or float64."""
    array = np.asarray(values)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: {name} has dtype {array.dtype}")
    if array.dtype in (np.float32, np.float64):
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}: {error}") from None


def _require_finite(array: np.ndarray, name: str) -> None:
    """Refuse NaN and infinities. The sum is finite if all entries are and it does not overflow: one pass."""
    with np.errstate(all="ignore"):
        if math.isfinite(array.sum()):
            return
    wrong = np.argwhere(~np.isfinite(array))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        what = "NaN" if np.isnan(array[place]) else "infinity"
        where = f"row {place[0]}" + (f", column {place[1]}" if array.ndim == 2 else "")
        raise ValueError(f"Input {name} contains {what}: {name} is {array[place]} in {where}.")


def _require_row(y: np.ndarray) -> None:
    if y.ndim != 1:
        raise ValueError(f"y should be a 1d array, got an array of shape {y.shape} instead.")


def _require_as_many(X: np.ndarray, y: np.ndarray) -> None:
    if len(X) != len(y):
        raise ValueError(f"Found inputs with inconsistent numbers of samples: X {len(X)} and y {len(y)}.")
