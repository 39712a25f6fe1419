"""Elementwise operations: values, derivatives of both orders, and what happens at the kinks."""

import math

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations import elementwise
from foundations.computational_graph import Tensor

X = np.array([[0.5, -2.0, 3.0], [-0.25, 1.5, -4.0]])
POSITIVE = np.array([[0.5, 2.0, 3.0], [0.25, 1.5, 4.0]])
CONDITION = np.array([[True], [False]])
UNARY = {  # name: (function, its definition for one number, where to try it)
    "exp": (elementwise.exp, math.exp, X),
    "log": (elementwise.log, math.log, POSITIVE),
    "sqrt": (elementwise.sqrt, math.sqrt, POSITIVE),
    "tanh": (elementwise.tanh, math.tanh, X),
    "abs": (elementwise.abs, lambda x: x if x > 0 else -x, X),
    "clip": (lambda x: elementwise.clip(x, -1, 2), lambda x: min(max(x, -1.0), 2.0), X),
    "clip, low only": (lambda x: elementwise.clip(x, low=-1.0), lambda x: max(x, -1.0), X),
    "clip, high only": (lambda x: elementwise.clip(x, high=2.0), lambda x: min(x, 2.0), X),
}
BINARY = {
    "maximum": (elementwise.maximum, np.maximum),
    "minimum": (elementwise.minimum, np.minimum),
    "where": (
        lambda a, b: elementwise.where(CONDITION, a, b),
        lambda a, b: np.where(CONDITION, a, b),
    ),
}
PAIRS = [  # shapes that broadcast with each other and with the condition, (2, 1)
    ((2, 3), (2, 3)), ((2, 3), (3,)), ((1,), (2, 3)), ((2, 1), (1, 4)), ((), (3,)), ((2, 1), ()),
    ((3, 1, 2), (2, 1)),
]  # fmt: skip
unary = pytest.mark.parametrize("name", UNARY)
binary = pytest.mark.parametrize("name", BINARY)


def slowly(definition, x):
    """``definition`` applied to one number after the other."""
    return np.array([definition(float(v)) for v in x.ravel()]).reshape(x.shape)


def pairs(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


# Values.


@unary
def test_value(name):
    fn, definition, x = UNARY[name]
    with expect.unchanged(x):
        result = fn(x)
    expect.close(result, slowly(definition, x), f"{name} of an array")
    expect.tensor(fn(Tensor(x)), slowly(definition, x), f"{name} of a Tensor")


@binary
def test_value_of_two(name):
    fn, reference = BINARY[name]
    for shapes in PAIRS:
        a, b = pairs(shapes)
        expected = reference(a, b)
        with expect.unchanged(a, b):
            expect.close(fn(a, b), expected, f"{name} of arrays {shapes[0]} and {shapes[1]}")
        for left, right in ((Tensor(a), Tensor(b)), (a, Tensor(b)), (Tensor(a), b)):
            expect.tensor(fn(left, right), expected, f"{name} of {shapes[0]} and {shapes[1]}")


@binary
def test_a_number_may_be_an_operand(name):
    fn, reference = BINARY[name]
    expect.tensor(fn(Tensor(X), 1), reference(X, 1.0), f"{name} of a Tensor and 1")
    expect.tensor(fn(0.5, Tensor(X)), reference(0.5, X), f"{name} of 0.5 and a Tensor")


# Derivatives.


def check_unary(name, order):
    fn, definition, x = UNARY[name]
    expect.close(fn(x), slowly(definition, x), f"{name} of an array")
    gradcheck(fn, x, order=order, engine=grad, of=name)
    g, tensor = np.ones(x.shape), Tensor(x, requires_grad=True)
    with expect.unchanged(x, g):
        grad(fn(tensor), [tensor], g)


def check_binary(name, order):
    fn, reference = BINARY[name]
    for shapes in PAIRS:
        a, b = pairs(shapes)
        expect.close(fn(a, b), reference(a, b), f"{name} of {shapes[0]} and {shapes[1]}")
        gradcheck(fn, a, b, names=["a", "b"], order=order, engine=grad, of=name)


@unary
def test_gradient(name):
    check_unary(name, order=1)


@unary
def test_second_derivative(name):
    check_unary(name, order=2)


@binary
def test_gradient_of_two(name):
    check_binary(name, order=1)


@binary
def test_second_derivative_of_two(name):
    check_binary(name, order=2)


# dtype.


@unary
def test_float32_stays_float32(name):
    fn, definition, x = UNARY[name]
    exact, single = (Tensor(x.astype(dtype), requires_grad=True) for dtype in (np.float64, np.float32))
    y = fn(single)
    expect.tensor(y, slowly(definition, x), f"{name} of float32", dtype=np.float32, rtol=1e-5)
    (want,) = grad(fn(exact), [exact], np.ones(x.shape))
    (g,) = grad(y, [single], np.ones(x.shape, np.float32))
    expect.tensor(g, want.data, f"gradient of {name} in float32", dtype=np.float32, rtol=1e-5)


@binary
def test_float32_stays_float32_with_tensors_and_numbers(name):
    fn, reference = BINARY[name]
    ones = np.ones(X.shape, np.float32)
    for other in (0.75, Tensor(np.float32([0.75]), requires_grad=True)):
        x = Tensor(np.float32(X), requires_grad=True)
        y = fn(x, other)
        expect.tensor(y, reference(X, 0.75), f"{name} of float32", dtype=np.float32, rtol=1e-5)
        (g,) = grad(y, [x], ones)
        expect.tensor(g, 1.0 * (y.data == x.data), f"gradient of {name} in float32", dtype=np.float32)


def test_the_limits_of_clip_do_not_widen_float32():
    x = Tensor(np.float32(X), requires_grad=True)
    for low, high in ((np.float64(-1), np.float64(2)), (np.float64(-1), None), (None, np.float64(2))):
        what = f"clip of float32 to [{low}, {high}], limits in float64"
        y = elementwise.clip(x, low, high)
        expect.tensor(y, np.clip(X, low, high), what, dtype=np.float32)
        (g,) = grad(y, [x], np.ones(X.shape, np.float32))
        expect.tensor(g, 1.0 * (y.data == x.data), f"gradient of {what}", dtype=np.float32)


# Kinks and edges.


def test_abs_has_gradient_0_at_0():
    x = Tensor(np.array([-2.0, 0.0, 3.0]), requires_grad=True)
    (g,) = grad(elementwise.abs(x), [x], np.array([1.0, 5.0, 2.0]))
    expect.tensor(g, np.array([-1.0, 0.0, 2.0]), "gradient of abs at [-2, 0, 3] for [1, 5, 2]")


@pytest.mark.parametrize(("name", "expected"), [("maximum", [0, 2, 0.5]), ("minimum", [1, 2, 0])])
def test_a_tie_shares_the_gradient(name, expected):
    fn, _ = BINARY[name]
    a = Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    b = Tensor(np.array([4.0, 2.0, -1.0]), requires_grad=True)
    g = np.array([1.0, 4.0, 0.5])
    by_a, by_b = grad(fn(a, b), [a, b], g)
    expect.tensor(by_a, np.array(expected, float), f"gradient of {name}([1, 2, 3], [4, 2, -1]) by the first")
    expect.tensor(by_b, g - expected, f"gradient of {name}([1, 2, 3], [4, 2, -1]) by the second")


def test_clip_passes_the_gradient_at_its_ends():
    x = Tensor(np.array([-3.0, -1.0, 0.5, 2.0, 2.5]), requires_grad=True)
    for low, high, expected in (
        (-1, 2, [0, 1, 1, 1, 0]),
        (-1, None, [0, 1, 1, 1, 1]),
        (None, 2, [1, 1, 1, 1, 0]),
    ):
        (g,) = grad(elementwise.clip(x, low, high), [x], np.ones(5))
        expect.tensor(
            g, np.array(expected, float), f"gradient of clip to [{low}, {high}] at [-3, -1, 0.5, 2, 2.5]"
        )


def test_sqrt_has_an_infinite_gradient_at_0():
    x = Tensor(np.array([0.0, 0.25]), requires_grad=True)
    with np.errstate(divide="ignore"):
        (g,) = grad(elementwise.sqrt(x), [x], np.ones(2))
    expect.tensor(g, np.array([np.inf, 1.0]), "gradient of sqrt at [0, 0.25]")


def test_tanh_far_out():
    x = Tensor(np.array([-1000.0, -50.0, 0.0, 50.0, 1000.0]), requires_grad=True)
    y = elementwise.tanh(x)
    expect.tensor(y, np.array([-1.0, -1.0, 0.0, 1.0, 1.0]), "tanh of [-1000, -50, 0, 50, 1000]")
    (g,) = grad(y, [x], np.ones(5))
    expect.tensor(g, np.array([0.0, 0, 1, 0, 0]), "its gradient")


def test_where_keeps_an_infinite_gradient_on_its_side():
    a, b = (Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True) for _ in range(2))
    y = elementwise.where(np.array([True, False, True]), a, b)
    by_a, by_b = grad(y, [a, b], np.array([np.inf, 1.0, np.nan]))
    expect.tensor(
        by_a, np.array([np.inf, 0, np.nan]), "gradient [inf, 1, nan] of where([T, F, T]) by the first"
    )
    expect.tensor(by_b, np.array([0.0, 1, 0]), "gradient [inf, 1, nan] of where([T, F, T]) by the second")


@unary
def test_any_shape(name):
    fn, definition, values = UNARY[name]
    expect.close(fn(values), slowly(definition, values), f"{name} of shape {values.shape}")
    for shape in ((), (1,), (0, 3), (2, 1, 2)):
        x = Tensor(np.full(shape, 2.5), requires_grad=True)
        y = fn(x)
        expect.tensor(y, np.full(shape, definition(2.5)), f"{name} of shape {shape}")
        (g,) = grad(y, [x], np.ones(shape))
        expect.equal(g.shape, shape, f"shape of the gradient of {name} for {shape}")


@binary
def test_empty_arrays(name):
    fn, reference = BINARY[name]
    a, b = Tensor(np.ones((2, 0)), requires_grad=True), Tensor(np.ones((2, 1)), requires_grad=True)
    by_a, by_b = grad(fn(a, b), [a, b], np.ones((2, 0)))
    expect.tensor(by_a, np.ones((2, 0)), f"gradient of {name} for (2, 0)")
    expect.tensor(by_b, np.zeros((2, 1)), f"gradient of {name} for (2, 1), broadcast to (2, 0)")
    expect.tensor(fn(Tensor(X), b), reference(X, 1.0), f"{name} of a Tensor and ones")


# Errors.


def test_clip_names_limits_that_make_no_sense():
    expect.tensor(elementwise.clip(Tensor(X), 1.0, 1.0), np.ones(X.shape), "clip to [1, 1]")
    expect.tensor(elementwise.clip(Tensor(X), 1.0, 1.5), np.clip(X, 1.0, 1.5), "clip to [1, 1.5]")
    with expect.raises(ValueError, "2.5", "-1.5"):
        elementwise.clip(Tensor(X), 2.5, -1.5)
    with expect.raises(ValueError, "None"):
        elementwise.clip(Tensor(X))


# Arrays of another library.


@unary
def test_arrays_of_another_library_flow_through(name):
    fn, definition, x = UNARY[name]
    expect.close(
        duck.flows(fn, x, engine=grad, what=name), slowly(definition, x), f"{name} of a foreign array"
    )


@binary
def test_two_arrays_of_another_library_flow_through(name):
    fn, reference = BINARY[name]
    a, b = pairs(((2, 3), (2, 1)))
    expect.close(duck.flows(fn, a, b, engine=grad, what=name), reference(a, b), f"{name} of foreign arrays")
