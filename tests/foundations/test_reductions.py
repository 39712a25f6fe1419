"""Reductions over any axes: against slow loops, against finite differences, on ties and on nothing."""

import math

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations import reductions
from foundations.computational_graph import Tensor
from foundations.reductions import kept_shape

X = np.random.default_rng(0).standard_normal((2, 3, 2))
SQUARE = np.array([[1.0, -2.0], [4.0, 0.5]])
AXES = (None, 0, 1, -3, (0, 2), (-1, 0), (1,), (0, 1, 2), ())  # of an array with three axes
DEFINITION = {
    "sum": math.fsum,
    "mean": lambda values: math.fsum(values) / len(values),
    "var": lambda values: math.fsum((v - math.fsum(values) / len(values)) ** 2 for v in values) / len(values),
    "max": max,
    "min": min,
}
reduction = pytest.mark.parametrize("name", DEFINITION)


def slowly(name, x, axis=None, keepdims=False):
    """The definition, one result at a time."""
    axes = (
        range(x.ndim)
        if axis is None
        else {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
    )
    out = np.empty([1 if i in axes else n for i, n in enumerate(x.shape)])
    for at in np.ndindex(*out.shape):
        terms = x[tuple(slice(None) if i in axes else at[i] for i in range(x.ndim))]
        out[at] = DEFINITION[name]([float(v) for v in np.ravel(terms)])
    return out if keepdims else out.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def check_gradient(name, order, cases):
    fn = getattr(reductions, name)
    expect.tensor(fn(Tensor(SQUARE), 1), slowly(name, SQUARE, 1), f"{name} of {SQUARE.tolist()} over axis 1")
    gradcheck(lambda t: fn(t, 1), SQUARE, order=order, engine=grad, of=f"{name} over axis 1")
    for axis, keepdims in cases:
        of = f"{name} over axis {axis}, keepdims={keepdims}"
        gradcheck(lambda t, a=axis, k=keepdims: fn(t, a, k), X, order=order, engine=grad, of=of)


# Values.


def test_kept_shape_sets_the_reduced_axes_to_1():
    shape = (2, 3, 4)
    for axis, expected in (
        (None, (1, 1, 1)), (0, (1, 3, 4)), (-1, (2, 3, 1)), ((0, -1), (1, 3, 1)), ((), (2, 3, 4)),
    ):  # fmt: skip
        expect.equal(kept_shape(shape, axis), expected, f"kept_shape({shape}, {axis})")
    expect.equal(kept_shape((), None), (), "kept_shape((), None)")


@reduction
def test_value(name):
    fn = getattr(reductions, name)
    with expect.unchanged(SQUARE):
        expect.close(fn(SQUARE, 1), slowly(name, SQUARE, 1), f"{name} of {SQUARE.tolist()} over axis 1")
    for axis in AXES:
        for keepdims in (False, True):
            expected = slowly(name, X, axis, keepdims)
            case = f"over axis {axis} of shape (2, 3, 2), keepdims={keepdims}"
            expect.close(fn(X, axis, keepdims), expected, f"{name} {case}", atol=1e-15)
            expect.tensor(fn(Tensor(X), axis, keepdims=keepdims), expected, f"{name} {case}", atol=1e-15)


# Derivatives.


@reduction
def test_gradient(name):
    check_gradient(name, 1, [(axis, keepdims) for axis in AXES for keepdims in (False, True)])


@reduction
def test_second_derivative(name):
    check_gradient(name, 2, [(None, False), (1, False), ((0, -1), True)])


@reduction
def test_a_gradient_weighs_each_result(name):
    fn = getattr(reductions, name)
    x, w = Tensor(X, requires_grad=True), np.array([2.0, -1.0])
    y = fn(x, (0, 1))
    expect.tensor(y, slowly(name, X, (0, 1)), f"{name} over axes (0, 1)")
    both, first, second = (grad(y, [x], v)[0].data for v in (w, np.array([1.0, 0]), np.array([0, 1.0])))
    expect.close(
        both, 2 * first - second, f"gradient of {name} for [2, -1], from those for [1, 0] and [0, 1]"
    )
    expect.true(not first[..., 1].any() and not second[..., 0].any(),
                f"{name} over axes (0, 1): a result must send no gradient to the other column")  # fmt: skip


def test_var_with_correction_divides_by_fewer():
    expect.close(
        reductions.var(np.array([1.0, 2, 3, 4]), correction=1), 5 / 3, "var of 1, 2, 3, 4, correction=1"
    )
    corrected = reductions.var(Tensor(X), (0, 2), correction=1)
    expect.tensor(corrected, slowly("var", X, (0, 2)) * 4 / 3, "var over 4 terms, correction=1")
    kept = reductions.var(X, 1, True, correction=2)
    expect.close(kept, slowly("var", X, 1, True) * 3, "var over 3 terms, correction=2, keepdims=True")
    gradcheck(lambda t: reductions.var(t, 1, correction=1), X, order=1, engine=grad, of="var, correction=1")


def test_var_survives_a_large_mean():
    x = Tensor(1e8 + np.array([1.0, 2, 3, 4]), requires_grad=True)
    y = reductions.var(x)
    expect.tensor(y, np.array(1.25), "var of 1e8 + [1, 2, 3, 4]", rtol=1e-6)
    (g,) = grad(y, [x])
    expect.tensor(g, np.array([-0.75, -0.25, 0.25, 0.75]), "its gradient", rtol=1e-6)


# dtype.


@reduction
def test_float32_stays_float32(name):
    fn = getattr(reductions, name)
    exact, single = (Tensor(X.astype(dtype), requires_grad=True) for dtype in (np.float64, np.float32))
    y = fn(single, 1)
    expect.tensor(y, slowly(name, X, 1), f"{name} of float32", dtype=np.float32, rtol=1e-5)
    (want,) = grad(fn(exact, 1), [exact], np.ones((2, 2)))
    (g,) = grad(y, [single], np.ones((2, 2), np.float32))
    expect.tensor(g, want.data, f"gradient of {name} in float32", dtype=np.float32, rtol=1e-4)


# Ties and edges.


@pytest.mark.parametrize(("name", "sign"), [("max", 1.0), ("min", -1.0)])
def test_ties_share_the_gradient_equally(name, sign):
    fn = getattr(reductions, name)
    x = Tensor(sign * np.array([[1.0, 3, 3, 3], [2, 2, 2, 2], [5, 6, 7, 7]]), requires_grad=True)
    y = fn(x, 1)
    expect.tensor(y, sign * np.array([3.0, 2, 7]), f"{name} over axis 1")
    (g,) = grad(y, [x], np.array([3.0, 2.0, 1.0]))
    expected = np.array([[0, 1, 1, 1], [0.5, 0.5, 0.5, 0.5], [0, 0, 0.5, 0.5]])
    expect.tensor(g, expected, f"gradient [3, 2, 1] of {name} over axis 1 of {x.data.astype(int).tolist()}")
    (g,) = grad(fn(x * x.data, None, True), [x], np.array([[4.0]]))
    squares = 4 * x.data * (np.abs(x.data) == (7 if sign > 0 else 1)) / (2 if sign > 0 else 1)
    expect.tensor(g, squares, f"gradient 4 of the {name} of squares")


@reduction
def test_a_single_number(name):
    fn = getattr(reductions, name)
    for shape, axis in (((), None), ((1,), 0), ((1, 1), (0, 1)), ((), ())):
        x = Tensor(np.full(shape, 2.5), requires_grad=True)
        y = fn(x, axis)
        expect.tensor(y, np.array(0.0 if name == "var" else 2.5), f"{name} of 2.5 in shape {shape}")
        (g,) = grad(y, [x])
        expect.tensor(g, np.full(shape, float(name != "var")), f"gradient of {name} of 2.5 in shape {shape}")
    expect.tensor(fn(Tensor(X), 0), slowly(name, X, 0), f"{name} over axis 0 of shape (2, 3, 2)")


def test_the_sum_of_nothing_is_0():
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    y = reductions.sum(x, 0)
    expect.tensor(y, np.zeros(3), "sum over axis 0 of shape (0, 3)")
    (g,) = grad(y, [x], np.ones(3))
    expect.tensor(g, np.ones((0, 3)), "its gradient")
    expect.tensor(reductions.sum(x, 1), np.zeros(0), "sum over axis 1 of shape (0, 3)")
    expect.tensor(reductions.sum(Tensor(X)), slowly("sum", X), "sum of shape (2, 3, 2)")


@reduction
def test_no_results_are_no_error(name):
    fn = getattr(reductions, name)
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    y = fn(x, 1, True)
    expect.tensor(y, np.ones((0, 1)), f"{name} over axis 1 of shape (0, 3), keepdims=True")
    (g,) = grad(y, [x], np.ones((0, 1)))
    expect.tensor(g, np.ones((0, 3)), "its gradient")
    expect.tensor(fn(Tensor(X), 2), slowly(name, X, 2), f"{name} over axis 2 of shape (2, 3, 2)")


# Errors.


def test_kept_shape_names_the_axis_and_the_shape():
    expect.equal(kept_shape((2, 3), 1), (2, 1), "kept_shape((2, 3), 1)")
    for axis in (2, -3, (0, 5), (0, 0), (1, -1)):
        with expect.raises(ValueError, str(axis), "(2, 3)"):
            kept_shape((2, 3), axis)


@reduction
def test_an_axis_that_is_not_there_is_named(name):
    fn = getattr(reductions, name)
    expect.tensor(fn(Tensor(X), 0), slowly(name, X, 0), f"{name} over axis 0")
    for axis in (3, (0, -3)):
        with expect.raises(ValueError, str(axis), "(2, 3, 2)"):
            fn(Tensor(X), axis)


@pytest.mark.parametrize("name", ["mean", "max", "min"])
def test_nothing_to_reduce_is_an_error(name):
    fn = getattr(reductions, name)
    expect.tensor(fn(Tensor(X), 1), slowly(name, X, 1), f"{name} over axis 1")
    for shape, axis in (((0, 3), 0), ((0, 0), 1), ((2, 0, 3), (0, 1))):
        with expect.raises(ValueError, str(shape), str(axis)):
            fn(Tensor(np.ones(shape)), axis)


def test_var_names_the_terms_and_the_correction():
    expect.tensor(
        reductions.var(Tensor(SQUARE), 0, correction=1), np.array([4.5, 3.125]), "var, correction=1"
    )
    for shape, correction in (((1, 3), 1), ((2, 3), 2), ((0, 3), 0), ((0, 0), 0)):
        with expect.raises(ValueError, str(shape), str(shape[0]), str(correction)):
            reductions.var(Tensor(np.ones(shape)), 0, correction=correction)


# Arrays of another library.


@reduction
def test_arrays_of_another_library_flow_through(name):
    fn = getattr(reductions, name)
    for axis, keepdims in ((None, False), ((0, 2), True), (1, False)):
        result = duck.flows(lambda t, a=axis, k=keepdims: fn(t, a, k), X, engine=grad, what=name)
        expect.close(result, slowly(name, X, axis, keepdims), f"{name} over axis {axis} of a foreign array")
