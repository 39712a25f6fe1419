"""utils.math_utils against its definitions in 400 digits, in both tails, at infinity and along every axis."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect, strategies
from utils.math_utils import log1mexp, log_sigmoid, log_softmax, logsumexp, sigmoid, softmax, softplus

INF, HUGE = np.inf, np.finfo(np.float64).max
X = np.array([[0.5, -1.0, 2.0, 0.0], [3.0, 3.0, -4.0, 1.5], [-0.25, 0.75, 0.125, -2.5]])

DEFINITIONS = {  # of one number, in exact arithmetic
    sigmoid: lambda x: 1 / (1 + (-x).exp()),
    softplus: lambda x: (1 + x.exp()).ln(),
    log_sigmoid: lambda x: (1 / (1 + (-x).exp())).ln(),
    log1mexp: lambda x: (1 - x.exp()).ln(),
}
ELEMENTWISE = pytest.mark.parametrize("f", DEFINITIONS, ids=lambda f: f.__name__)
ROWWISE = pytest.mark.parametrize("f", [logsumexp, softmax, log_softmax], ids=lambda f: f.__name__)


def exact(f, points: list[float]) -> np.ndarray:
    """The definition of ``f`` at each point, in 400 digits: enough for 1 - exp(-700)."""
    with localcontext(prec=400):
        return np.array([float(DEFINITIONS[f](Decimal(x))) for x in points])


def naive(f, x: np.ndarray, axis=-1, keepdims: bool = False) -> np.ndarray:
    """The definition of ``f``, good enough where nothing overflows."""
    total = np.sum(np.exp(x), axis=axis, keepdims=True)
    if f is logsumexp:
        return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))
    return np.exp(x) / total if f is softmax else x - np.log(total)


@contextmanager
def silent(what: str) -> Iterator[None]:
    """Turn a floating-point warning into a failure that says what to do."""
    with np.errstate(all="raise"):
        try:
            yield
        except FloatingPointError as error:
            message = (
                f"{what} warns\n  {error}: the limit is the answer here, compute it without inf - inf or 0/0"
            )
            raise AssertionError(message) from None


@ROWWISE
def test_each_row_follows_the_definition(f):
    expect.close(f(X), naive(f, X), f"{f.__name__} of rows of numbers between -4 and 3")


@ELEMENTWISE
def test_both_tails_are_right_to_full_relative_accuracy(f):
    points = [-1e-8, -1e-6, -0.1, -0.5, -0.7, -2.0, -20.0, -37.0, -50.0, -700.0, -740.0]
    points += [-1e-20, -1e-300] if f is log1mexp else [0.0, 1e-8, 0.1, 2.0, 20.0, 37.0, 50.0, 700.0, 800.0]
    points.sort(key=abs)  # the first to fail is then the least extreme
    for x, expected in zip(points, exact(f, points), strict=True):
        expect.close(f(np.array([x])), np.array([expected]), f"{f.__name__}([{x}])", rtol=1e-12, atol=1e-322)


def test_the_gradient_of_logsumexp_is_softmax():
    h = 1e-5
    slopes = np.zeros_like(X)
    for j in range(X.shape[1]):
        step = h * (np.arange(X.shape[1]) == j)
        slopes[:, j] = (logsumexp(X + step) - logsumexp(X - step)) / (2 * h)
    expect.close(slopes, naive(softmax, X), "the slope of logsumexp", rtol=1e-7)
    expect.close(softmax(X), slopes, "softmax, compared with the slope of logsumexp", rtol=1e-7)


def test_the_derivative_of_softplus_is_sigmoid():
    x, h = np.array([-3.0, -0.5, 0.0, 0.5, 3.0]), 1e-5
    slope = (softplus(x + h) - softplus(x - h)) / (2 * h)
    expect.close(slope, exact(sigmoid, x.tolist()), "the slope of softplus", rtol=1e-7)
    expect.close(sigmoid(x), slope, "sigmoid, compared with the slope of softplus", rtol=1e-7)


@ROWWISE
@given(drawn=st.data())
def test_any_axis_is_summed(f, drawn):
    x = drawn.draw(strategies.arrays(strategies.shapes(1, 3)))
    axis = drawn.draw(strategies.axes(x.ndim))
    expect.close(
        f(x, axis=axis), naive(f, x, axis), f"{f.__name__} of {x.shape} along axis={axis}", atol=1e-13
    )


@pytest.mark.parametrize("axis", [-1, 0, (0, -1), None], ids=str)
def test_logsumexp_keeps_the_summed_axes_on_request(axis):
    x = np.stack([X, -X])  # (2, 3, 4)
    expected = naive(logsumexp, x, axis, keepdims=True)
    result = logsumexp(x, axis=axis, keepdims=True)
    expect.close(result, expected, f"logsumexp of (2, 3, 4), axis={axis}, keepdims=True")


@ROWWISE
@pytest.mark.parametrize("c", [1000.0, -1000.0])
def test_adding_a_constant_to_a_row_shifts_logsumexp_and_leaves_softmax_alone(f, c):
    expected = naive(f, X) + (c if f is logsumexp else 0.0)
    expect.close(f(X + c), expected, f"{f.__name__} of logits around {c:g}", rtol=1e-10)


def test_the_opposite_of_an_event_has_the_rest_of_the_probability():
    x = np.array([-30.0, -5.0, -0.5, 0.5, 5.0, 30.0])
    with localcontext(prec=400):
        expected = np.array([float((1 + Decimal(v).exp()).ln()) for v in x.tolist()]) * -1
    expect.close(log1mexp(log_sigmoid(x)), expected, "log1mexp(log_sigmoid(x)) = log_sigmoid(-x)", atol=0.0)


def test_rows_of_very_different_size_do_not_disturb_each_other():
    x = np.array([[1000.0, 1001.0], [0.0, 1.0], [-1000.0, -999.0]])
    log_p = naive(log_softmax, np.array([0.0, 1.0]))
    expect.close(logsumexp(x), x[:, 1] - log_p[1], "logsumexp of rows around 1000, 0 and -1000")
    expect.close(softmax(x), np.tile(np.exp(log_p), (3, 1)), "softmax of rows around 1000, 0 and -1000")
    expect.close(log_softmax(x), np.tile(log_p, (3, 1)), "log_softmax of rows around 1000, 0 and -1000")


def test_log_softmax_is_finite_where_softmax_underflows():
    expect.close(log_softmax(np.array([0.0, 2000.0])), np.array([-2000.0, 0.0]), "log_softmax([0, 2000])")


@pytest.mark.parametrize("f", [logsumexp, softmax, log_softmax, *DEFINITIONS], ids=lambda f: f.__name__)
def test_float32_stays_float32(f):
    x = np.array([-0.5, -80.0, -2.0], np.float32)
    expected = exact(f, x.tolist()) if f in DEFINITIONS else naive(f, x.astype(np.float64))
    expect.close(f(x), expected, f"{f.__name__} of float32", rtol=1e-5, dtype=np.float32)
    expect.close(f(x.astype(np.float64)), expected, f"{f.__name__} of float64", dtype=np.float64)


@ROWWISE
def test_float32_does_not_overflow(f):
    x = np.array([100.0, 100.0, -100.0], np.float32)
    expected = {
        logsumexp: 100 + np.log(2),
        softmax: [0.5, 0.5, 0.0],
        log_softmax: [-np.log(2)] * 2 + [-200.0 - np.log(2)],
    }
    expect.close(
        f(x),
        np.array(expected[f]),
        f"{f.__name__} of [100, 100, -100] in float32",
        rtol=1e-5,
        dtype=np.float32,
    )


@pytest.mark.parametrize("f", [logsumexp, softmax, log_softmax, *DEFINITIONS], ids=lambda f: f.__name__)
def test_lists_and_integers_become_float64(f):
    row = [-1, -2, -3]
    expected = exact(f, row) if f in DEFINITIONS else naive(f, np.array(row, float))
    expect.close(f(row), expected, f"{f.__name__} of a list of integers", dtype=np.float64)
    expect.close(f(np.array(row, np.int8)), expected, f"{f.__name__} of int8", dtype=np.float64)


@pytest.mark.parametrize("f", [logsumexp, softmax, log_softmax, *DEFINITIONS], ids=lambda f: f.__name__)
def test_a_single_number_is_a_row_of_one(f):
    pair = [-2.0, -0.5]
    one = {logsumexp: -2.0, softmax: 1.0, log_softmax: 0.0}.get(f)
    expect.close(f(-2.0), float(exact(f, pair)[0]) if one is None else one, f"{f.__name__}(-2.0)")
    expected = exact(f, pair) if f in DEFINITIONS else naive(f, np.array(pair))
    expect.close(f(pair), expected, f"{f.__name__}({pair})")


@pytest.mark.parametrize("f", [logsumexp, softmax, log_softmax, *DEFINITIONS], ids=lambda f: f.__name__)
def test_the_input_is_left_alone(f):
    x = np.minimum(X, -0.25)
    with expect.unchanged(x):
        result = f(x)
    expected = exact(f, x.ravel().tolist()).reshape(x.shape) if f in DEFINITIONS else naive(f, x)
    expect.close(result, expected, f"{f.__name__} of an array that is used again afterwards")


def test_an_entry_of_minus_infinity_weighs_nothing():
    x = np.array([1.0, -INF, 3.0])
    kept = np.array([1.0, 3.0])
    p, log_p = naive(softmax, kept), naive(log_softmax, kept)
    expect.close(logsumexp(x), naive(logsumexp, kept), "logsumexp([1, -inf, 3])")
    expect.close(softmax(x), np.array([p[0], 0.0, p[1]]), "softmax([1, -inf, 3])")
    expect.close(log_softmax(x), np.array([log_p[0], -INF, log_p[1]]), "log_softmax([1, -inf, 3])")


@ROWWISE
def test_a_fully_masked_row_has_no_weight_and_is_not_nan(f):
    x = np.array([[-INF, -INF], [0.0, np.log(3.0)]])
    expected = {logsumexp: [-INF, np.log(4)], softmax: [[0, 0], [0.25, 0.75]],
                log_softmax: [[-INF, -INF], [np.log(0.25), np.log(0.75)]]}  # fmt: skip
    expect.close(f(x), np.array(expected[f], float), f"{f.__name__} of [[-inf, -inf], [0, log 3]]")


@ROWWISE
def test_entries_of_plus_infinity_share_the_weight(f):
    x = np.array([[INF, 5.0, INF], [INF, HUGE, -INF], [0.0, np.log(2.0), 0.0]])
    half, quarter = np.log(0.5), np.log(0.25)
    expected = {logsumexp: [INF, INF, np.log(4)], softmax: [[0.5, 0, 0.5], [1, 0, 0], [0.25, 0.5, 0.25]],
                log_softmax: [[half, -INF, half], [0, -INF, -INF], [quarter, half, quarter]]}  # fmt: skip
    expect.close(f(x), np.array(expected[f], float), f"{f.__name__} of rows with +inf")


@ELEMENTWISE
def test_the_limits_at_infinity_are_exact(f):
    points = np.array([-INF, 0.0, INF])
    expected = {sigmoid: [0, 0.5, 1], softplus: [0, np.log(2), INF], log_sigmoid: [-INF, -np.log(2), 0],
                log1mexp: [0, -INF, np.nan]}  # fmt: skip
    expect.close(f(points), np.array(expected[f], float), f"{f.__name__} at -inf, 0 and inf")


@ROWWISE
def test_nan_makes_its_own_row_nan(f):
    x = np.array([[1.0, np.nan, INF], [1.0, 2.0, 3.0]])
    expected = naive(f, np.where(np.isnan(x) | np.isinf(x), 0.0, x))
    expected[0] = np.nan
    expect.close(f(x), expected, f"{f.__name__} of [[1, nan, inf], [1, 2, 3]]")


@ELEMENTWISE
def test_nan_stays_nan(f):
    expected = np.array([np.nan, exact(f, [-1.0])[0]])
    expect.close(f(np.array([np.nan, -1.0])), expected, f"{f.__name__}([nan, -1])")


def test_log1mexp_of_a_positive_number_is_nan():
    expected = np.append(exact(log1mexp, [-1.0]), [np.nan, np.nan])
    expect.close(log1mexp(np.array([-1.0, 0.5, 800.0])), expected, "log1mexp([-1, 0.5, 800])")


def test_no_entries_at_all_have_no_weight():
    expect.close(logsumexp(np.zeros((2, 0))), np.array([-INF, -INF]), "logsumexp of two rows without entries")
    for f in (softmax, log_softmax):
        expect.close(f(np.zeros((2, 0))), np.zeros((2, 0)), f"{f.__name__} of two rows without entries")
        expect.close(f(np.zeros((0, 2))), np.zeros((0, 2)), f"{f.__name__} of no rows")


@ROWWISE
def test_no_row_warns_however_extreme(f):
    x = np.array([[HUGE, -HUGE], [-INF, -INF], [INF, -INF], [INF, INF], [0.0, -800.0], [5e-324, 0.0]])
    log_half = np.log(0.5)
    expected = {
        logsumexp: [HUGE, -INF, INF, INF, 0, -log_half],
        softmax: [[1, 0], [0, 0], [1, 0], [0.5, 0.5], [1, 0], [0.5, 0.5]],
        log_softmax: [[0, -INF], [-INF, -INF], [0, -INF], [log_half] * 2, [0, -800], [log_half] * 2],
    }
    with silent(f"{f.__name__} of huge, tiny and infinite entries"):
        result = f(x)
    expect.close(result, np.array(expected[f], float), f"{f.__name__} of huge, tiny and infinite entries")


@ELEMENTWISE
def test_no_number_warns_however_extreme(f):
    x = np.array(
        [-INF, -HUGE, -800.0, -740.0, -1e-300, 0.0] + [1e-300, 800.0, HUGE, INF] * (f is not log1mexp)
    )
    small = np.exp(-740.0)
    expected = {
        sigmoid: [0, 0, 0, small, 0.5, 0.5, 0.5, 1, 1, 1],
        softplus: [0, 0, 0, small, np.log(2), np.log(2), np.log(2), 800, HUGE, INF],
        log_sigmoid: [-INF, -HUGE, -800, -740, -np.log(2), -np.log(2), -np.log(2), 0, 0, 0],
        log1mexp: [0, 0, 0, -small, np.log(1e-300), -INF],
    }
    with silent(f"{f.__name__} of huge, tiny and infinite numbers"):
        result = f(x)
    what = f"{f.__name__} of huge, tiny and infinite numbers"
    expect.close(result, np.array(expected[f], float), what, rtol=1e-12, atol=1e-322)
