"""Exponentials and logarithms that are right wherever the answer is a number, however large the input.

    logsumexp(x) = log sum_i exp(x_i) = m + log sum_i exp(x_i - m)        for every m: take m = max(x)
    softmax(x)_i = exp(x_i) / sum_j exp(x_j) = exp(x_i - m) / sum_j exp(x_j - m)

Unshifted, one entry above 709 (88 in float32) overflows, and entries that all lie below -745 give log(0) and
0/0. With m = max(x) the largest term is exp(0) = 1: nothing overflows, and a term that underflows to 0 is too
small to change the sum.

Infinities are limits. An entry -inf (a masked position) weighs nothing. Where all entries are -inf, nothing
has weight: logsumexp is -inf, log_softmax is -inf and softmax is 0 throughout, so that a fully masked row of
attention adds 0 and not NaN. Entries +inf share the whole weight equally. One NaN makes its row NaN.

Every function takes arrays, nested lists or numbers, keeps float32 and float64 as they are, turns integers
into float64, never modifies its input and warns about nothing.

Source   Blanchard, Higham & Higham 2021, "Accurately computing the log-sum-exp and softmax functions",
         arXiv:1909.03469, section 4; Maechler 2012, "Accurately computing log(1 - exp(-|a|))", eq. 7 and 10.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

Axis = int | tuple[int, ...] | None

# Overflow to inf, underflow to 0, log(0) = -inf: limits that are the right answer here, so nothing warns.
limits_are_answers = np.errstate(all="ignore")


def _as_float(x: ArrayLike) -> np.ndarray:
    """Return ``x`` as an array of floats: itself if it is one, float64 for lists, numbers and integers."""
    array: np.ndarray = x if hasattr(x, "__array_function__") else np.asarray(x)  # type: ignore[assignment]
    if array.dtype.kind not in "fiub":
        raise TypeError(f"expected real numbers, got {type(x).__name__} of dtype {array.dtype}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _shift(x: ArrayLike, axis: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Return ``x - peak`` as a new array, and ``peak``, the maximum of ``x`` along ``axis`` (kept, size 1).

    Where the peak is infinite, the difference is a limit and never ``inf - inf``: under +inf it is 0 at the
    entries +inf and -inf at all others; under -inf it is -inf. The peak of no entries at all is -inf.
    """
    x = _as_float(x)
    peak = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    shifted = np.subtract(x, np.where(peak == -np.inf, 0.0, peak), out=np.empty_like(x))
    if not np.isfinite(peak).all():
        # inf - inf is NaN, to which fmin prefers 0. A NaN of the input must survive: there the ceiling is it.
        np.fmin(shifted, np.where(np.isnan(peak), peak, 0.0), out=shifted)
    return shifted, peak


def _total(weights: np.ndarray, axis: Axis) -> np.ndarray:
    """Their sum along ``axis``, kept; along the last axis by BLAS, five times as fast for short rows."""
    if weights.size == 0 or weights.ndim == 0 or axis not in (-1, weights.ndim - 1):
        return np.sum(weights, axis=axis, keepdims=True)
    return weights @ np.ones_like(weights, shape=(weights.shape[-1], 1))


@limits_are_answers
def logsumexp(x: ArrayLike, axis: Axis = -1, keepdims: bool = False) -> np.ndarray:
    """Return ``log(sum(exp(x)))`` along ``axis``: between ``max(x)`` and ``max(x) + log n``, without corners.

    Args:
        x: (...), real numbers, infinities included.
        axis: what to sum over: an int, a tuple of ints, or None for everything.
        keepdims: keep the summed axes, with size 1.

    Returns:
        The shape of ``x`` without ``axis``. -inf where every entry is -inf or there is none (log 0),
        +inf where an entry is +inf.
    """
    shifted, peak = _shift(x, axis)
    total = np.sum(np.exp(shifted, out=shifted), axis=axis, keepdims=keepdims)
    return np.log(total) + (peak if keepdims else np.squeeze(peak, axis=axis))


@limits_are_answers
def softmax(x: ArrayLike, axis: Axis = -1) -> np.ndarray:
    """Return ``exp(x) / sum(exp(x))`` along ``axis``: weights that are never negative and sum to 1.

    Args:
        x: (...), logits, infinities included.
        axis: the axis along which the weights sum to 1: an int, a tuple of ints, or None for all entries.

    Returns:
        The shape of ``x``. All 0 where every entry is -inf; k entries +inf get 1/k each, the others 0.
    """
    shifted, _ = _shift(x, axis)
    weights = np.exp(shifted, out=shifted)
    total = _total(weights, axis)
    weights /= total + (total == 0)  # where nothing has weight: 0/1 = 0, not 0/0
    return weights


@limits_are_answers
def log_softmax(x: ArrayLike, axis: Axis = -1) -> np.ndarray:
    """Return ``log(softmax(x))`` along ``axis``, finite where softmax itself underflows to 0.

    Args:
        x: (...), logits, infinities included.
        axis: as in `softmax`.

    Returns:
        The shape of ``x``: ``log_softmax([0, 2000])`` is ``[-2000, 0]``. All -inf where every entry is -inf;
        with k entries +inf these get ``-log(k)``, the others -inf.
    """
    shifted, _ = _shift(x, axis)
    total = np.sum(np.exp(shifted), axis=axis, keepdims=True)
    shifted -= np.log(total + (total == 0))  # where nothing has weight: -inf - 0, not -inf - -inf
    return shifted


@limits_are_answers
def sigmoid(x: ArrayLike) -> np.ndarray:
    """Return ``1 / (1 + exp(-x))``, elementwise, to full relative accuracy in both tails.

    Args:
        x: (...), logits. ``sigmoid(-inf)`` is 0, ``sigmoid(inf)`` is 1.

    Returns:
        The shape of ``x``, in [0, 1]: ``sigmoid(-740)`` is ``exp(-740)``, about 4.2e-322.
    """
    x = _as_float(x)
    # exp(x) / (1 + exp(x)) left of 0, 1 / (1 + exp(-x)) right of it: exp(-x) alone is inf for x < -709.
    return np.exp(np.minimum(x, 0.0)) / (1.0 + np.exp(-np.abs(x)))


@limits_are_answers
def softplus(x: ArrayLike) -> np.ndarray:
    """Return ``log(1 + exp(x))``, elementwise: close to ``exp(x)`` far left and to ``x`` far right.

    Args:
        x: (...), real numbers. ``softplus(-inf)`` is 0, ``softplus(inf)`` is inf.

    Returns:
        The shape of ``x``, nowhere negative, to full relative accuracy: ``softplus(-50)`` is ``exp(-50)``.
    """
    x = _as_float(x)
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))  # 1 + exp(-50) is 1, and its log would be 0


@limits_are_answers
def log_sigmoid(x: ArrayLike) -> np.ndarray:
    """Return ``log(sigmoid(x))``, elementwise: close to ``x`` far left and to ``-exp(-x)`` far right.

    Args:
        x: (...), logits. ``log_sigmoid(-inf)`` is -inf, ``log_sigmoid(inf)`` is 0.

    Returns:
        The shape of ``x``, nowhere positive, to full relative accuracy: ``log_sigmoid(50)`` is ``-exp(-50)``.
    """
    x = _as_float(x)
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


@limits_are_answers
def log1mexp(x: ArrayLike) -> np.ndarray:
    """Return ``log(1 - exp(x))`` for ``x <= 0``, elementwise.

    If ``x`` is the log-probability of an event, this is the log-probability of its opposite.

    Args:
        x: (...), not positive. ``log1mexp(0)`` is -inf, ``log1mexp(-inf)`` is 0.

    Returns:
        The shape of ``x``, nowhere positive, NaN where ``x > 0``. To full relative accuracy at both ends:
        ``log1mexp(-1e-20)`` is ``log(1e-20)``, ``log1mexp(-50)`` is ``-exp(-50)``.
    """
    x = _as_float(x)
    # Near 0, 1 - exp(x) cancels and expm1 does not; far from 0, log(1 - tiny) is 0 and log1p is not.
    return np.where(x > -math.log(2.0), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
