"""optimization.gradient_utils.clipping: norms that survive any scale, and three limits for gradients."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect, strategies
from foundations.computational_graph import Tensor
from optimization.gradient_utils.clipping import (
    adaptive_clip_grad_,
    clip_grad_norm_,
    clip_grad_value_,
    gradients,
    norm,
)

SHAPES = [(2, 3), (4,), (), (3, 2, 2, 2)]


def parameter(grad, data=None, dtype=np.float64):
    """A Tensor with this gradient (a copy); its data the given ones, or ones."""
    grad = None if grad is None else np.array(grad, dtype)
    shape = np.shape(data) if grad is None else grad.shape
    p = Tensor(np.ones(shape, dtype) if data is None else np.array(data, dtype), requires_grad=True)
    p.grad = grad
    return p


def model(seed=0, scale=1.0, dtype=np.float64):
    """Parameters of several shapes with gradients, and copies of the gradients."""
    rng = np.random.default_rng(seed)
    params = [parameter(scale * rng.standard_normal(s), rng.standard_normal(s), dtype) for s in SHAPES]
    return params, [p.grad.copy() for p in params]


def definition(grads, p=2.0):
    """The norm of all numbers of all gradients, one at a time."""
    numbers = [abs(float(g)) for grad in grads for g in np.ravel(grad)]
    return max(numbers) if p == inf else sum(n**p for n in numbers) ** (1 / p)


def check(params, grads, factor, what, **tolerance):
    for p, g in zip(params, grads, strict=True):
        expect.close(p.grad, np.asarray(factor * g), f"{what}: the gradient of shape {g.shape}", **tolerance)


# The norm.


@pytest.mark.parametrize("p", [0.5, 1, 2, 2.0, 3, inf])
def test_a_norm_is_that_of_its_definition(p):
    x = np.random.default_rng(1).standard_normal((3, 4, 2))
    with expect.unchanged(x):
        whole, rows = norm(x, p), norm(x, p, (1, 2))
    expect.close(whole, np.full((1, 1, 1), definition([x], p)), f"norm of x (3, 4, 2) for p = {p}")
    want = np.array([definition([row], p) for row in x]).reshape(3, 1, 1)
    expect.close(rows, want, f"norm of x (3, 4, 2) over the axes (1, 2) for p = {p}")
    expect.close(norm(x[0, 0]), np.array([definition([x[0, 0]])]), "norm of a vector by default")


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float32, 1e-30), (np.float64, 1e200)])
def test_a_norm_neither_overflows_nor_underflows(dtype, size):
    x = (np.array([[3.0, 4.0], [0.0, 0.0]]) * size).astype(dtype)
    with expect.quiet(f"norm of {size:g}"):
        whole, rows, cubes = norm(x), norm(x, axis=(1,)), norm(x, 3)
    expect.close(whole, np.array([[5.0]]) * size, f"norm of (3, 4, 0, 0) * {size:g}", rtol=1e-6)
    expect.close(rows, np.array([[5.0], [0.0]]) * size, f"norm of each row of size {size:g}", rtol=1e-6)
    want = np.array([[91 ** (1 / 3)]]) * size
    expect.close(cubes, want, f"norm for p = 3 of (3, 4, 0, 0) * {size:g}", rtol=1e-6)


def test_sums_are_taken_in_float64():
    ones = np.ones(100_000, np.float16)
    expect.close(norm(ones), np.array([np.sqrt(1e5)]), "norm of 100,000 ones in float16", rtol=1e-6)
    expect.close(
        norm(ones[:5000], 1), np.array([5000.0]), "norm for p = 1 of 5,000 ones in float16", rtol=1e-6
    )
    column = np.full((100_000, 1), 0.1, np.float32)
    column[0] = 1.0
    want = np.array([[float(np.sum(column, dtype=np.float64))]])
    what = "norm for p = 1 of 100,000 numbers in float32: added up one by one, they need float64"
    expect.close(norm(np.c_[column, column], 1, (0,)), np.c_[want, want], what, rtol=1e-6, dtype=np.float64)


def test_a_norm_is_infinite_or_nan_where_a_number_is():
    x = np.array([[1.0, inf], [nan, 1.0], [3.0, -4.0]])
    for dtype in (np.float64, np.float32):
        with expect.quiet("norm of an infinity"):
            rows = norm(x.astype(dtype), axis=(1,))
            huge = norm(np.array([1e30, -inf]).astype(dtype))
        expect.close(rows, np.array([[inf], [nan], [5.0]]), "norms of (1, inf), (nan, 1), (3, -4)", rtol=1e-6)
        expect.close(huge, np.array([inf]), "norm of (1e30, -inf)")
    expect.close(norm(np.zeros((0, 3)), axis=(1,)), np.zeros((0, 1)), "norms of no rows")
    expect.close(norm(np.zeros(0)), np.zeros(1), "norm of no numbers")
    expect.close(norm(x[2]), np.array([5.0]), "norm of (3, -4)")


def test_parameters_without_gradient_are_passed_over():
    a, b, c = parameter([1.0]), parameter(None, [2.0]), parameter([3.0])
    for given_, want in (([a, b, c], [a, c]), ((p for p in (c, b, a)), [c, a]), ([a, c, a, b, b], [a, c])):
        got = [(id(p), id(g)) for p, g in gradients(given_)]
        expect.equal(
            got, [(id(p), id(p.grad)) for p in want], "ids of the parameters and gradients, each once"
        )
    whole = parameter(np.ones((3, 2)))
    got = [(id(p), id(g)) for p, g in gradients(whole)]
    expect.equal(got, [(id(whole), id(whole.grad))], "ids of the one Tensor (3, 2) and its gradient")


# By value.


def test_every_number_is_limited_in_place():
    params = [parameter([[-3.0, 0.5], [2.0, -0.25]]), parameter(None, [1.0]), parameter([7.0, -0.1])]
    arrays = [p.grad for p in params]
    clip_grad_value_((p for p in params), 1.5)
    expect.close(params[0].grad, np.array([[-1.5, 0.5], [1.5, -0.25]]), "gradient limited to 1.5")
    expect.close(params[2].grad, np.array([1.5, -0.1]), "the third gradient limited to 1.5")
    expect.true(params[1].grad is None, "a parameter without gradient should stay so")
    expect.true(all(p.grad is a for p, a in zip(params, arrays, strict=True)), "clip in place: yours is new")
    expect.close(params[0].data, np.ones((2, 2)), "the weights")


def test_the_limit_of_values_may_be_zero_or_infinite_and_nan_stays():
    p = parameter([5.0, -inf, nan])
    clip_grad_value_(p, inf)
    expect.close(p.grad, np.array([5.0, -inf, nan]), "gradient limited to infinity")
    clip_grad_value_(p, 2)
    expect.close(p.grad, np.array([2.0, -2.0, nan]), "gradient (5, -inf, nan) limited to 2")
    clip_grad_value_(p, 0.0)
    expect.close(p.grad, np.array([0.0, 0.0, nan]), "gradient limited to 0")


# By norm.


@pytest.mark.parametrize("p", [1, 2.0, 3.0, inf])
def test_all_gradients_are_scaled_by_one_factor(p):
    params, grads = model()
    arrays, weights = [q.grad for q in params], [q.data.copy() for q in params]
    total = definition(grads, p)
    got = clip_grad_norm_(params, 0.5, p)
    expect.close(got, total, f"returned norm for p = {p}, before clipping", rtol=1e-10)
    check(params, grads, 0.5 / (total + 1e-6), f"clipped to 0.5 for p = {p}", rtol=1e-10)
    expect.true(all(q.grad is a for q, a in zip(params, arrays, strict=True)), "clip in place: yours is new")
    for q, w in zip(params, weights, strict=True):
        expect.equal(q.data, w, f"the weights of shape {w.shape}")


def test_the_norm_is_of_all_parameters_together():
    a, b = parameter([3.0, 0.0]), parameter([[4.0]])
    expect.close(clip_grad_norm_([a, b], 1.0), 5.0, "norm of (3, 0) and (4)")
    expect.close(a.grad, np.array([0.6, 0.0]), "(3, 0), clipped together with (4) to 1", rtol=1e-6)
    expect.close(b.grad, np.array([[0.8]]), "(4), clipped together with (3, 0) to 1", rtol=1e-6)


def test_the_denominator_has_1e_6_more_than_the_norm():
    for size in (1e-6, 1e-3):
        p = parameter([3 * size, 4 * size])
        clip_grad_norm_(p, 1e-6)
        want = np.array([3.0, 4.0]) * size * 1e-6 / (5 * size + 1e-6)
        expect.close(p.grad, want, f"gradient of norm {5 * size:g} clipped to 1e-6", rtol=1e-9)


@given(strategies.seeds(), st.floats(-3, 3), st.floats(-3, 3), st.sampled_from([1.0, 2.0, 4.0, inf]))
def test_the_clipped_norm_is_at_most_the_limit_and_the_direction_stays(seed, exponent, limit, p):
    params, grads = model(seed, scale=10**exponent)
    total, limit = definition(grads, p), 10**limit
    expect.close(clip_grad_norm_(params, limit, p), total, "returned norm", rtol=1e-10)
    after = definition([q.grad for q in params], p)
    expect.true(after <= limit * (1 + 1e-9), f"the norm after clipping should be at most {limit}, is {after}")
    check(params, grads, min(1.0, limit / (total + 1e-6)), f"norm {total:g} clipped to {limit:g}", rtol=1e-9)


@pytest.mark.parametrize("limit", [6.0, 1e9, inf])
def test_gradients_within_the_limit_stay_as_they_are(limit):
    p = parameter([0.1, 4.9, 0.7])
    expect.close(clip_grad_norm_([p], limit), np.sqrt(0.01 + 24.01 + 0.49).item(), "returned norm", rtol=1e-9)
    expect.equal(p.grad, np.array([0.1, 4.9, 0.7]), f"a gradient of norm 4.95 with max_norm {limit}")


def test_a_limit_of_zero_gives_zeros():
    p = parameter([3.0, 4.0])
    expect.close(clip_grad_norm_([p], 0.0), 5.0, "returned norm with max_norm 0")
    expect.close(p.grad, np.zeros(2), "gradient with max_norm 0")


def test_one_tensor_a_generator_and_a_parameter_given_twice():
    p = parameter([[3.0], [4.0]])
    expect.close(clip_grad_norm_(p, 2.5), 5.0, "norm of one Tensor")
    expect.close(p.grad, np.array([[1.5], [2.0]]), "gradient of one Tensor, clipped to 2.5", rtol=1e-6)
    params, grads = model()
    total = definition(grads)
    expect.close(clip_grad_norm_((q for q in params), 1.0), total, "norm of a generator", rtol=1e-10)
    check(params, grads, 1 / (total + 1e-6), "parameters from a generator", rtol=1e-9)
    a, b = parameter([3.0]), parameter([4.0])
    expect.close(clip_grad_norm_([a, b, a], 1.0), 5.0, "norm of a, b, a")
    expect.close(a.grad, np.array([0.6]), "the gradient of a, given twice", rtol=1e-6)


def test_no_gradients_have_norm_zero():
    a, b = parameter(None, [1.0]), parameter([0.0, 0.0])
    expect.close(clip_grad_norm_([a], 1.0), 0.0, "norm of no gradients")
    expect.close(clip_grad_norm_([], 1.0), 0.0, "norm of no parameters")
    expect.true(a.grad is None, "a parameter without gradient should stay so")
    expect.close(clip_grad_norm_([a, b], 1.0), 0.0, "norm of zeros")
    expect.close(b.grad, np.zeros(2), "a gradient of zeros")
    c = parameter([3.0])
    expect.close(clip_grad_norm_([a, c], 1.0), 3.0, "norm of a gradient beside none")
    expect.close(c.grad, np.ones(1), "a gradient beside none, clipped to 1", rtol=1e-5)


def test_a_norm_that_is_not_finite_can_be_refused():
    for bad, word in ((inf, "inf"), (-inf, "inf"), (nan, "nan")):
        for p in (2.0, 1.0, inf):
            params = [parameter([1.0, bad]), parameter([3.0])]
            with expect.unchanged(params[0].grad, params[1].grad), expect.raises(RuntimeError, word):
                clip_grad_norm_(params, 1.0, p, error_if_nonfinite=True)
    good = parameter([3.0, 4.0])
    expect.close(clip_grad_norm_(good, 1.0, error_if_nonfinite=True), 5.0, "a finite norm, returned")


def test_an_infinite_limit_only_measures_whatever_the_norm():
    for bad in (inf, nan):
        params = [parameter([1.0, bad]), parameter([3.0])]
        expect.close(clip_grad_norm_(params, inf), bad, f"norm of (1, {bad}) and (3), max_norm infinite")
        for p, want in zip(params, ([1.0, bad], [3.0]), strict=True):
            expect.close(p.grad, np.array(want), f"gradient {want} with max_norm infinite: only measured")


def test_the_norm_is_returned_as_a_python_float():
    for params in ([parameter([3.0, 4.0])], [parameter([3.0, 4.0], dtype=np.float32)], []):
        total = clip_grad_norm_(params, 1.0)
        expect.close(total, 5.0 if params else 0.0, "returned norm")
        what = f"the norm should be returned as a Python float, yours is {expect.describe(total)}"
        expect.true(type(total) is float, what)


def test_otherwise_what_is_not_finite_spreads():
    params = [parameter([1.0, inf]), parameter([3.0])]
    expect.close(clip_grad_norm_(params, 1.0), inf, "norm of (1, inf) and (3)")
    expect.close(params[0].grad, np.array([0.0, nan]), "(1, inf) scaled by 1 / inf")
    expect.close(params[1].grad, np.array([0.0]), "(3) scaled by 1 / inf")
    for bad in ([parameter([1.0, nan]), parameter([3.0])], [parameter([3.0]), parameter([1.0, nan])]):
        for p in (2.0, inf):
            expect.close(clip_grad_norm_(bad, 1.0, p), nan, f"norm of a NaN and other numbers for p = {p}")
        for q in bad:
            expect.close(q.grad, np.full(q.shape, nan), "gradients beside a NaN")


def test_huge_gradients_in_float32_are_clipped():
    params = [parameter([3e30, 0.0], dtype=np.float32), parameter([-4e30], dtype=np.float32)]
    with expect.quiet("clipping of 1e30"):
        total = clip_grad_norm_(params, 1.0)
    expect.close(total, 5e30, "norm of 3e30 and -4e30 in float32", rtol=1e-6)
    expect.close(params[0].grad, np.array([0.6, 0]), "3e30, 0 clipped", dtype=np.float32, rtol=1e-6)
    expect.close(params[1].grad, np.array([-0.8]), "-4e30 clipped", dtype=np.float32, rtol=1e-6)


# By the size of the weights.


def by_unit(weight, grad, clip_factor, eps):
    """Equation 3 of the paper, one unit at a time."""
    if weight.ndim < 2:
        weight, grad = weight.reshape(1, -1), grad.reshape(1, -1)
    out = grad.copy()
    for i in range(len(weight)):
        limit = clip_factor * max(definition([weight[i]]), eps)
        if definition([grad[i]]) > limit:
            out[i] = grad[i] * limit / definition([grad[i]])
    return out


@pytest.mark.parametrize("shape", [(3, 4), (4, 3, 2), (5, 2, 3, 3), (1, 4), (4, 1), (6,), (1,), ()])
def test_each_unit_is_limited_by_the_size_of_its_weights(shape):
    rng = np.random.default_rng(4)
    for scale in (1e-3, 0.3, 100.0):
        weight, grad = rng.standard_normal(shape), scale * rng.standard_normal(shape)
        p = parameter(grad, weight)
        array = p.grad
        adaptive_clip_grad_([p], 0.3, 1e-3)
        want = by_unit(weight, grad, 0.3, 1e-3).reshape(shape)
        expect.close(p.grad, want, f"gradient {shape} of scale {scale}, clip_factor 0.3", rtol=1e-9)
        expect.true(p.grad is array, "clip in place: yours is a new array")
        expect.equal(p.data, weight, "the weights")


def test_a_unit_is_a_row():
    p = parameter([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], [[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    adaptive_clip_grad_(p, 0.5)
    want = np.array([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    expect.close(p.grad, want, "rows of norm 5, 0.5 and 0, weights of norm 2, clip_factor 0.5", rtol=1e-9)
    expect.equal(p.grad[1], np.array([0.3, 0.4]), "the row within its limit")


def test_the_defaults_are_those_of_the_paper():
    p, zero = parameter([[30.0, 40.0]], [[0.0, 10.0]]), parameter([3.0, 4.0], [0.0, 0.0])
    adaptive_clip_grad_([p, parameter(None, [1.0]), zero])
    expect.close(p.grad, np.array([[0.06, 0.08]]), "norm 50, weights of norm 10, clip_factor 0.01", rtol=1e-9)
    expect.close(zero.grad, np.array([6e-6, 8e-6]), "norm 5, weights 0: limit 0.01 * 1e-3", rtol=1e-9)


def test_the_floor_is_a_maximum():
    p = parameter([[3.0, 4.0], [3.0, 4.0]], [[0.5, 0.0], [2.0, 0.0]])
    adaptive_clip_grad_(p, 0.1, eps=1.0)
    expect.close(p.grad, np.array([[0.06, 0.08], [0.12, 0.16]]), "weights 0.5 and 2, eps 1", rtol=1e-9)


def test_adaptive_clipping_of_huge_gradients_in_float32():
    p = parameter([[3e30, -4e30], [1e-30, 0.0]], [[1.0, 0.0], [0.0, 1.0]], np.float32)
    with expect.quiet("clipping of 1e30"):
        adaptive_clip_grad_(p, 0.5)
    want = np.array([[0.3, -0.4], [1e-30, 0]])
    expect.close(p.grad, want, "rows (3e30, -4e30) and (1e-30, 0)", dtype=np.float32, rtol=1e-5, atol=0)


def test_adaptive_clipping_of_what_is_not_finite():
    p = parameter([[1.0, inf], [nan, 30.0], [3.0, 4.0]], np.ones((3, 2)) * [1.0, 0.0])
    adaptive_clip_grad_(p, 0.5)
    want = np.array([[0.0, nan], [nan, 30.0], [0.3, 0.4]])
    expect.close(p.grad, want, "rows (1, inf), (nan, 30) and (3, 4), each with the limit 0.5", rtol=1e-9)


def test_adaptive_clipping_with_zeros():
    p = parameter([[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])
    with expect.quiet("clipping with limits and gradients of 0"):
        adaptive_clip_grad_((q for q in [p]), 0.1, eps=0.0)
    expect.close(p.grad, np.zeros((2, 2)), "weights of 0 and eps 0")
    q = parameter([[3.0, 4.0], [0.0, 0.0]])
    with expect.quiet("clipping of a row of zeros"):
        adaptive_clip_grad_(q, 0.0)
    expect.close(q.grad, np.zeros((2, 2)), "clip_factor 0")
    r = parameter([[30.0, 40.0], [0.0, 0.0]], [[0.0, 10.0], [1.0, 0.0]])
    with expect.quiet("clipping of a row of zeros"):
        adaptive_clip_grad_(r, 0.1)
    expect.close(r.grad, np.array([[0.6, 0.8], [0, 0]]), "clip_factor 0.1, one row of zeros", rtol=1e-9)


def test_float32_stays_float32():
    for clip in (
        lambda p: clip_grad_value_(p, np.float64(0.5)),
        lambda p: clip_grad_norm_(p, np.float64(0.5)),
        lambda p: adaptive_clip_grad_(p, np.float64(0.5), np.float64(1e-3)),
    ):
        p = parameter([[0.0, 2.0]], [[1.0, 0.0]], np.float32)
        clip(p)
        expect.close(p.grad, np.array([[0.0, 0.5]]), "float32 clipped to 0.5", dtype=np.float32)


# Errors.


@pytest.mark.parametrize("value", [-1.0, -0.5, nan])
def test_limits_below_zero_are_refused(value):
    p = parameter([3.0, 4.0])
    for clip in (
        lambda: clip_grad_value_(p, value),
        lambda: clip_grad_norm_(p, value),
        lambda: adaptive_clip_grad_(p, value),
        lambda: adaptive_clip_grad_(p, 0.1, value),
    ):
        with expect.unchanged(p.grad), expect.raises(ValueError, str(value)):
            clip()


@pytest.mark.parametrize("p", [0, -2.0, -inf, nan])
def test_norms_that_are_none_are_refused(p):
    q = parameter([3.0, 4.0])
    with expect.unchanged(q.grad), expect.raises(ValueError, str(p)):
        clip_grad_norm_(q, 1.0, p)
