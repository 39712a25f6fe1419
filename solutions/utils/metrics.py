"""How good are the predictions? One number for each way of asking.

Classes are counted once, in a confusion matrix, and precision, recall and F1 are ratios of its sums:

    precision = TP / (TP + FP)     recall = TP / (TP + FN)     F1 = 2 TP / (2 TP + FP + FN)

Scores are judged by their order (ROC AUC = P(a positive outscores a negative)), probabilities by their
logarithm, numbers by their distance. What can silently be wrong is refused: two shapes that would broadcast,
empty input, logits where probabilities belong.

Shapes   N items, V classes. A class is an int in [0, V). The truth always comes first.
Source   Fawcett 2006, "An introduction to ROC analysis", secs. 2, 5, 7; Hanley & McNeil 1982 (AUC as a
         probability); Sokolova & Lapalme 2009, "A systematic analysis of performance measures", table 3.
"""

import numpy as np
from numpy.typing import ArrayLike

AVERAGES = ("macro", "micro", "weighted", None)


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Fraction of predictions that equal the truth.

    Args:
        y_true, y_pred: labels of any type, (N,).

    Raises:
        ValueError: the shapes differ or are not (N,) (the message names both), or N = 0.
    """
    y_true, y_pred = _pair(y_true, y_pred, ndim=1)
    return float(np.mean(y_true == y_pred))


def top_k_accuracy(y_true: ArrayLike, scores: ArrayLike, *, k: int) -> float:
    """Fraction of items whose true class is among the ``k`` with the highest scores.

    A tie counts against you: the true class is in if fewer than ``k`` other classes score as much or more.
    A dead model, whose scores are all equal, is never right for k < V.

    Args:
        y_true: true classes, ints (N,).
        scores: one score a class, (N, V): logits or probabilities.
        k: in [1, V].

    Raises:
        ValueError: the lengths differ, N = 0, ``k`` outside [1, V], a class outside [0, V), a score is nan.
            The message names the values (both shapes, k and V, the class and V).
        TypeError: ``y_true`` does not hold integers. The message names its dtype.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[:1] != np.shape(y_true):
        raise ValueError(f"expected y_true (N,) and scores (N, V), got {np.shape(y_true)} and {scores.shape}")
    n, v = scores.shape
    if not 1 <= k <= v:
        raise ValueError(f"k must be in [1, {v}], the number of classes, got {k}")
    y_true = _classes(y_true, v)
    if np.isnan(scores).any():
        raise ValueError(f"scores hold nan, first in row {np.isnan(scores).any(axis=1).argmax()}")
    own = scores[np.arange(n), y_true, None]  # (N, 1)
    return float(np.mean((scores >= own).sum(axis=1) <= k))  # the count includes the class itself


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, *, n_classes: int | None = None) -> np.ndarray:
    """Count every pair of true and predicted class.

    Args:
        y_true, y_pred: classes, ints (N,); False and True are 0 and 1.
        n_classes: V. By default 1 + the largest class in either.

    Returns:
        int64 (V, V): entry (i, j) counts the items of true class i that were predicted as j.

    Raises:
        ValueError: the shapes differ or are not (N,) (the message names both), N = 0, or a class lies outside
            [0, V) (the message names the class, and V where it is given).
        TypeError: the classes are no integers. The message names the dtype.
    """
    y_true, y_pred = (_classes(y, n_classes) for y in _pair(y_true, y_pred, ndim=1))
    v = 1 + int(max(y_true.max(), y_pred.max())) if n_classes is None else n_classes
    return np.bincount(y_true * v + y_pred, minlength=v * v).reshape(v, v)


def average_ratio(
    hits: ArrayLike, totals: ArrayLike, support: ArrayLike, *, average: str | None, zero_division: float = 0.0
) -> float | np.ndarray:
    """Average the ratios ``hits / totals`` of the V classes.

    "macro" is their mean: every class weighs the same. "weighted" is their mean with the weights ``support``.
    "micro" is one ratio, the sum of the hits by the sum of the totals: every item weighs the same. None is no
    average, the V ratios themselves.

    A ratio 0 / 0 is ``zero_division``. When that is nan, "macro" and "weighted" leave such classes out, and
    are nan when no weight is left.

    Args:
        hits, totals: (V,), 0 <= hits <= totals.
        support: number of items that truly are of each class, (V,).
        average: one of None, "macro", "micro", "weighted".
        zero_division: 0, 1 or nan.

    Returns:
        A float; with ``average=None`` float64 (V,).

    Raises:
        ValueError: ``average`` is something else. The message names it, and what it can be.
    """
    if average not in AVERAGES:
        raise ValueError(f"average must be one of {AVERAGES}, got {average!r}")
    hits, totals, weights = (np.asarray(a, dtype=np.float64) for a in (hits, totals, support))
    if average == "micro":
        hits, totals, weights = (np.atleast_1d(a.sum()) for a in (hits, totals, weights))
    ratios = np.divide(hits, totals, out=np.full(len(hits), float(zero_division)), where=totals != 0)
    if average is None:
        return ratios
    if average != "weighted":
        weights = np.ones(len(ratios))
    defined = ~np.isnan(ratios)
    mass = weights[defined].sum()
    return float(ratios[defined] @ weights[defined] / mass) if mass else float("nan")


def precision(
    y_true: ArrayLike, y_pred: ArrayLike, *, average: str | None = "macro", zero_division: float = 0.0
) -> float | np.ndarray:
    """Of what was predicted as a class, the fraction that is: TP / (TP + FP), averaged by `average_ratio`.

    All classes up to the largest in ``y_true`` or ``y_pred`` take part; one that never occurs is 0 / 0.
    Of a problem with classes 0 and 1, ``average=None`` gives the usual precision as element 1.
    Arguments and errors as `confusion_matrix` and `average_ratio`.
    """
    matrix = confusion_matrix(y_true, y_pred)
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    return average_ratio(matrix.diagonal(), predicted, true, average=average, zero_division=zero_division)


def recall(
    y_true: ArrayLike, y_pred: ArrayLike, *, average: str | None = "macro", zero_division: float = 0.0
) -> float | np.ndarray:
    """Of what is a class, the fraction that was predicted so: TP / (TP + FN). All else as `precision`."""
    matrix = confusion_matrix(y_true, y_pred)
    true = matrix.sum(axis=1)
    return average_ratio(matrix.diagonal(), true, true, average=average, zero_division=zero_division)


def f1(
    y_true: ArrayLike, y_pred: ArrayLike, *, average: str | None = "macro", zero_division: float = 0.0
) -> float | np.ndarray:
    """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN). All else as `precision`.

    The averages are over the F1 of the classes ("macro" is not the F1 of macro precision and macro recall).
    """
    matrix = confusion_matrix(y_true, y_pred)
    true, predicted = matrix.sum(axis=1), matrix.sum(axis=0)
    tp = matrix.diagonal()
    return average_ratio(2 * tp, predicted + true, true, average=average, zero_division=zero_division)


def roc_curve(y_true: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rates of false and true positives for every threshold that makes a difference.

    With the threshold t, items with a score >= t are predicted positive. Thresholds are inf (nothing is
    positive) and then the distinct scores from high to low, M of them: tied scores share one point.

    Args:
        y_true: 0 or 1 (or bool), (N,), both of them present.
        scores: the higher, the more likely 1, (N,). Not nan.

    Returns:
        ``(fpr, tpr, thresholds)``, each float64 (M + 1,): fpr and tpr rise from 0 to 1.

    Raises:
        ValueError: the shapes differ (the message names both), N = 0, ``y_true`` holds something else than 0
            and 1 (the message names it), a class is missing, a score is nan.
    """
    y_true, scores = _pair(y_true, scores, ndim=1)
    positive, scores = y_true == 1, scores.astype(np.float64)
    if (strange := y_true[~positive & (y_true != 0)]).size:
        raise ValueError(f"y_true must hold 0 and 1 only, got {strange[0]}")
    if np.isnan(scores).any():
        raise ValueError(f"scores hold nan, first at index {np.isnan(scores).argmax()}")
    if positive.all() or not positive.any():
        raise ValueError(f"need items of both classes, got {positive.sum()} positive of {len(positive)}")
    order = np.argsort(-scores)
    scores, positive = scores[order], positive[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))  # (M,), where each run of ties ends
    tp = np.append(0, np.cumsum(positive)[last])
    fp = np.append(0, last + 1) - tp
    return fp / fp[-1], tp / tp[-1], np.append(np.inf, scores[last])


def roc_auc(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a random positive scores higher than a random negative, a tie counting one half.

    It is the area under `roc_curve`, and the Mann-Whitney statistic divided by the number of pairs. Memory
    grows with N, not with the number of pairs. Arguments and errors as `roc_curve`.
    """
    fpr, tpr, _ = roc_curve(y_true, scores)
    return float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1])) / 2)  # a tie is a slope: half of its rectangle


def log_loss(y_true: ArrayLike, probabilities: ArrayLike, *, eps: float = 1e-15) -> float:
    """Mean of -log(probability of the true class), in nats.

    A probability of the true class below ``eps`` counts as ``eps``, so that one certain mistake costs 34.5
    and not infinity.

    Args:
        y_true: true classes, ints (N,).
        probabilities: (N, V), rows that sum to 1 (within 1e-3); or (N,), the probability of class 1 of two.
        eps: in (0, 1).

    Raises:
        ValueError: the lengths differ (the message names both shapes), N = 0, a class is outside [0, V) (it
            names both), a probability is outside [0, 1] or nan (it names the value), a row does not sum to 1
            (it names the row's index and the sum).
        TypeError: ``y_true`` does not hold integers. The message names its dtype.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim not in (1, 2) or p.shape[:1] != np.shape(y_true):
        raise ValueError(f"expected classes (N,) and (N, V) or (N,), got {np.shape(y_true)} and {p.shape}")
    if (wrong := ~((p >= 0) & (p <= 1))).any():
        raise ValueError(f"{p[wrong][0]} is not in [0, 1]: turn logits into probabilities with softmax")
    p = p if p.ndim == 2 else np.stack([1 - p, p], axis=1)  # (N, V)
    y_true = _classes(y_true, p.shape[1])
    sums = p.sum(axis=1)
    if (wrong := np.abs(sums - 1) > 1e-3).any():
        raise ValueError(f"row {wrong.argmax()} of the probabilities sums to {sums[wrong][0]}, expected 1")
    return float(-np.log(np.maximum(p[np.arange(len(p)), y_true], eps)).mean())


def mse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean squared error, in the squared unit of y, computed in float64.

    Args:
        y_true, y_pred: numbers, of one shape, whichever it is.

    Raises:
        ValueError: the shapes differ, even if they would broadcast (the message names both), or are empty.
    """
    return float(np.mean(_residuals(y_true, y_pred) ** 2))


def rmse(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Root of the mean squared error, in the unit of y. Arguments and errors as `mse`."""
    return float(np.sqrt(mse(y_true, y_pred)))


def mae(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Mean absolute error, in the unit of y. Arguments and errors as `mse`."""
    return float(np.mean(np.abs(_residuals(y_true, y_pred))))


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Fraction of the variance explained: ``1 - sum((y - prediction)^2) / sum((y - mean(y))^2)``.

    1 is perfect, 0 is as good as predicting the mean, and there is no lower bound. A constant ``y_true``
    (maximum = minimum) has no variance to explain: 1 if every prediction equals it, else 0.

    Args:
        y_true, y_pred: numbers, (N,).

    Raises:
        ValueError: the shapes differ or are not (N,) (the message names both), or N = 0.
    """
    residuals, y_true = _residuals(y_true, y_pred, ndim=1), np.asarray(y_true, dtype=np.float64)
    if y_true.max() == y_true.min():  # not "sum of squares == 0": the mean of 0.1, 0.1, 0.1 is not quite 0.1
        return 0.0 if residuals.any() else 1.0
    return float(1 - np.sum(residuals**2) / np.sum((y_true - y_true.mean()) ** 2))


def _pair(y_true: ArrayLike, y_pred: ArrayLike, ndim: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays, of one shape, which has ``ndim`` axes if given, and not empty."""
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    if y_true.shape != y_pred.shape or ndim not in (None, y_true.ndim):
        wanted = "one shape (N,)" if ndim else "one shape"
        raise ValueError(f"expected {wanted}, got {y_true.shape} and {y_pred.shape}")
    if y_true.size == 0:
        raise ValueError(f"need at least one item, got empty arrays of shape {y_true.shape}")
    return y_true, y_pred


def _residuals(y_true: ArrayLike, y_pred: ArrayLike, ndim: int | None = None) -> np.ndarray:
    """Predictions minus truth in float64: a difference of uint8 images would wrap around at 0."""
    y_true, y_pred = _pair(y_true, y_pred, ndim)
    return y_pred.astype(np.float64) - y_true.astype(np.float64)


def _classes(y: ArrayLike, n_classes: int | None) -> np.ndarray:
    """``y`` as int64 (N,), N >= 1, with every class in [0, n_classes)."""
    y = np.asarray(y)
    if y.size == 0:
        raise ValueError(f"need at least one item, got an empty array of shape {y.shape}")
    if y.dtype.kind not in "iub":
        raise TypeError(f"classes must be integers, got dtype {y.dtype}")
    y = y.astype(np.int64)
    worst = y.min() if y.min() < 0 else y.max()
    if worst < 0 or (n_classes is not None and worst >= n_classes):
        raise ValueError(f"class {worst} is outside [0, {n_classes if n_classes is not None else 'V'})")
    return y
