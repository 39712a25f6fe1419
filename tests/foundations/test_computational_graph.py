"""The graph and its arithmetic: each operation alone, forward, backward, and the backward of backward."""

import gc
import weakref
from itertools import product

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import (
    Add,
    BroadcastTo,
    Div,
    Function,
    MatMul,
    Mul,
    Neg,
    Pow,
    Sub,
    SumTo,
    Tensor,
    matmul,
    recording,
)

A, B = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]]), np.array([2.0, -4.0, 0.5])  # (2, 3) and (3,)
POSITIVE = np.array([[1.0, 2.0, 3.0], [0.5, 4.0, 1.5]])
MEANING = {
    Add: np.add, Neg: np.negative, Sub: np.subtract, Mul: np.multiply, Div: np.divide, Pow: np.power,
    MatMul: np.matmul,
}  # fmt: skip
BINARY = [pytest.param(op, id=op.__name__) for op in (Add, Sub, Mul, Div, Pow)]
PAIRS = [  # shapes that broadcast together
    ((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((3, 1), (1, 4)), ((), (2,)),
    ((2, 2), ()), ((1,), (3,)), ((1, 2), (3, 1, 1)), ((), ()),
]  # fmt: skip
MATRICES = [  # every combination of vector, matrix and stack of matrices, all with an inner length of 3
    *product([(3,), (2, 3), (2, 4, 3)], [(3,), (3, 2), (2, 3, 1)]),
    ((2, 1, 2, 3), (2, 3, 2)), ((1, 2, 3), (4, 3, 1)), ((3,), (2, 1, 3, 2)),
]  # fmt: skip


def points(op, *shapes, seed=0):
    """Arrays at which ``op`` is smooth: a divisor away from 0, a positive base."""
    rng = np.random.default_rng(seed)
    smooth = [rng.uniform(0.5, 2.0, shape) for shape in shapes]
    return smooth if op in (Div, Pow) else [rng.standard_normal(shape) for shape in shapes]


class Double(Function):
    """2 x, so that recording can be graded before any operation of yours."""

    def forward(self, x):
        return x + x

    def backward(self, grad):
        return grad + grad


class Shift(Function):
    """a + b + by: two inputs and a parameter."""

    broadcasts = True

    def __init__(self, by):
        self.by = by

    def forward(self, a, b):
        return a + b + self.by

    def backward(self, grad):
        return grad, grad


# Function.apply.


def test_apply_on_arrays_returns_the_array():
    expect.close(Double.apply(B), 2 * B, "Double.apply of an array")
    expect.close(Shift.apply(A, B, by=1.0), A + B + 1, "Shift.apply of two arrays, by=1.0")


def test_apply_on_a_tensor_returns_a_tensor_over_the_result():
    expect.tensor(Double.apply(Tensor(B)), 2 * B, "Double.apply of a Tensor")
    expect.tensor(Shift.apply(A, Tensor(B), by=1.0), A + B + 1, "Shift.apply of an array and a Tensor")


def test_apply_records_the_node_its_inputs_and_its_output():
    x, w = Tensor(A, requires_grad=True), Tensor(B)
    y = Shift.apply(x, w, by=1.0)
    expect.true(type(y.node) is Shift, f"the result of Shift.apply should have a Shift as node, got {y.node}")
    expect.true(y.requires_grad is True, "the result of an input that requires a gradient requires one too")
    kept = y.node.inputs
    expect.true(type(kept) is tuple and len(kept) == 2 and kept[0] is x and kept[1] is w,
                f"node.inputs should be the tuple of the two Tensors themselves, got {kept}")  # fmt: skip
    with recording(False):
        expect.close(y.node.output, A + B + 1, "the node's output, read as an array")
    expect.true(Shift.apply(x, w, by=1.0).node is not y.node, "each application needs a node of its own")


def test_apply_records_a_chain_that_a_sweep_can_follow():
    expect.tensor(Double.apply(Double.apply(Tensor(B))), 4 * B, "Double of Double")
    gradcheck(lambda x: Double.apply(Double.apply(x)), B, order=1, engine=grad, of="Double of Double")


def test_apply_records_nothing_when_no_input_requires_a_gradient():
    y = Shift.apply(Tensor(A), B, by=0.0)
    expect.tensor(y, A + B, "Shift.apply of inputs without gradient")
    expect.equal((y.node, y.requires_grad), (None, False), "node and requires_grad of what needs no gradient")


def test_apply_records_nothing_while_recording_is_off():
    x = Tensor(B, requires_grad=True)
    with recording(False):
        y = Double.apply(x)
    expect.tensor(y, 2 * B, "Double.apply within recording(False)")
    expect.equal((y.node, y.requires_grad), (None, False), "node and requires_grad within recording(False)")
    expect.true(Double.apply(x).node is not None, "after recording(False) has ended, operations are recorded")


def test_a_graph_is_no_reference_cycle():
    collecting = gc.isenabled()
    gc.disable()
    try:
        y = Double.apply(Tensor(B, requires_grad=True))
        expect.tensor(y, 2 * B, "Double.apply")
        alive = weakref.ref(y)
        del y
        expect.true(alive() is None, "nothing refers to the result any more, but it lives on: "
                    "does its node hold the result itself instead of its array?")  # fmt: skip
    finally:
        if collecting:
            gc.enable()


def test_apply_gives_a_python_number_the_dtype_of_the_tensor():
    y = Shift.apply(Tensor(np.float32(B), requires_grad=True), 1.0, by=1)
    expect.tensor(y, np.float32(B) + 2, "float32 Tensor and a Python number", dtype=np.float32)
    expect.tensor(y.node.inputs[1], np.array(1.0), "the number among node.inputs", dtype=np.float32)
    integers = Tensor(np.array([1, 2], np.int32))
    expect.tensor(Shift.apply(2, integers, by=0), np.array([3, 4]), "2 and integers", dtype=np.int32)
    expect.tensor(Shift.apply(integers, 0.5, by=0), np.array([1.5, 2.5]), "integers and 0.5")
    wide = Shift.apply(Tensor(np.float32(B)), B, by=0)
    expect.tensor(wide, 2 * B, "a float32 Tensor and a float64 array", dtype=np.float64)


def test_only_real_floating_point_tensors_can_require_a_gradient():
    y = Double.apply(Tensor([1, 2], requires_grad=True, dtype=np.float32))
    expect.tensor(y, np.float32([2, 4]), "Double.apply", dtype=np.float32)
    with expect.raises(TypeError, "int64"):
        Tensor(np.array([1, 2]), requires_grad=True)
    with expect.raises(TypeError, "complex128"):
        Tensor(np.array([1j]), requires_grad=True)


def test_a_tensor_of_a_tensor_is_refused():
    x = Tensor(B, requires_grad=True)
    expect.tensor(Double.apply(x).detach(), 2 * B, "a detached result")
    expect.true(Double.apply(x).detach().node is None, "a detached Tensor is outside the graph")
    with expect.raises(TypeError):
        Tensor(x)


# BroadcastTo and SumTo.


def test_broadcast_to_repeats():
    with expect.unchanged(B):
        stretched = BroadcastTo((2, 3)).forward(B)
    expect.close(stretched, np.array([[2, -4, 0.5], [2, -4, 0.5]]), "BroadcastTo((2, 3)) of (3,)")
    column = BroadcastTo((2, 2)).forward(np.array([[1.0], [2.0]]))
    expect.close(column, np.array([[1.0, 1], [2, 2]]), "BroadcastTo((2, 2)) of (2, 1)")


def test_sum_to_adds_up_what_broadcasting_repeats():
    with expect.unchanged(A):
        expect.close(SumTo((3,)).forward(A), np.array([1.5, 2.0, 2.0]), "SumTo((3,)) of (2, 3)")
    expect.close(SumTo((2, 1)).forward(A), np.array([[2.0], [3.5]]), "SumTo((2, 1)) of (2, 3)")
    expect.close(SumTo(()).forward(A), 5.5, "SumTo(()) of (2, 3)")
    expect.close(SumTo((2, 3)).forward(A), A, "SumTo((2, 3)) of (2, 3)")


def test_sum_to_is_the_adjoint_of_broadcast_to():
    rng = np.random.default_rng(0)
    for small, other in [*PAIRS, ((1, 3, 1), (2, 3, 2)), ((0,), (2, 0)), ((1,), (0,))]:
        full = np.broadcast_shapes(small, other)
        x, g = rng.standard_normal(small), rng.standard_normal(full)
        stretched, summed = BroadcastTo(full).forward(x), SumTo(small).forward(g)
        expect.equal((stretched.shape, np.shape(summed)), (full, small), f"shapes between {small} and {full}")
        expect.close(float(np.vdot(x, summed)), float(np.vdot(stretched, g)),
                     f"<x, SumTo(g)> for x {small} and g {full}", atol=1e-12)  # fmt: skip
    expect.close(BroadcastTo((2,)).forward(np.array(3.0)), np.array([3.0, 3.0]), "BroadcastTo((2,)) of 3")


@pytest.mark.parametrize("order", [1, 2], ids=["first order", "second order"])
@pytest.mark.parametrize("operation", [BroadcastTo, SumTo])
def test_gradient_of_stretching(operation, order):
    for small, full in (((3,), (2, 3)), ((2, 1), (2, 3)), ((), (2, 2)), ((1,), (3, 1)), ((2,), (2,))):
        source, target = (small, full) if operation is BroadcastTo else (full, small)
        (x,) = points(operation, source)
        expected = np.broadcast_to(x, full) if operation is BroadcastTo else x.sum() if small == () else None
        if expected is not None:
            expect.close(operation.apply(x, shape=target), expected, f"{operation.__name__} of {source}")
        gradcheck(
            lambda t, to=target: operation.apply(t, shape=to),
            x,
            order=order,
            engine=grad,
            of=operation.__name__,
        )


# The operations, one at a time.


@pytest.mark.parametrize(
    ("operation", "inputs", "expected"),
    [
        pytest.param(Add, (A, B), [[3, -6, 3.5], [2.5, 0, -0.5]], id="Add"),
        pytest.param(Neg, (A,), [[-1, 2, -3], [-0.5, -4, 1]], id="Neg"),
        pytest.param(Sub, (A, B), [[-1, 2, 2.5], [-1.5, 8, -1.5]], id="Sub"),
        pytest.param(Mul, (A, B), [[2, 8, 1.5], [1, -16, -0.5]], id="Mul"),
        pytest.param(Div, (A, B), [[0.5, 0.5, 6], [0.25, -1, -2]], id="Div"),
        pytest.param(Pow, (POSITIVE, B), [[1, 0.0625, 3**0.5], [0.25, 0.00390625, 1.5**0.5]], id="Pow"),
        pytest.param(MatMul, (A, A.T), [[14, -10.5], [-10.5, 17.25]], id="MatMul"),
    ],
)
def test_forward(operation, inputs, expected):
    with expect.unchanged(*inputs):
        result = operation().forward(*inputs)
    shapes = " and ".join(str(x.shape) for x in inputs)
    expect.close(result, np.array(expected, float), f"{operation.__name__}.forward of {shapes}")


def check_gradient(operation, arrays, order):
    """Against finite differences; and backward leaves the inputs and the incoming gradient as they are."""
    shapes = " and ".join(str(x.shape) for x in arrays)
    expect.close(operation.apply(*arrays), MEANING[operation](*arrays), f"{operation.__name__} of {shapes}")
    names = ["x"] if len(arrays) == 1 else ["a", "b"]
    gradcheck(operation.apply, *arrays, names=names, order=order, engine=grad, of=operation.__name__)
    tensors = [Tensor(x, requires_grad=True) for x in arrays]
    y = operation.apply(*tensors)
    g = np.ones(y.shape)
    with expect.unchanged(*arrays, g):
        grad(y, tensors, g)


@pytest.mark.parametrize("operation", [*BINARY, pytest.param(Neg, id="Neg")])
def test_gradient(operation):
    for shapes in PAIRS if operation is not Neg else [((2, 3),), ((),)]:
        check_gradient(operation, points(operation, *shapes), order=1)


@pytest.mark.parametrize("operation", [*BINARY, pytest.param(Neg, id="Neg")])
def test_second_derivative(operation):
    for shapes in PAIRS[1:6] if operation is not Neg else [((2, 3),), ((),)]:
        check_gradient(operation, points(operation, *shapes), order=2)


@pytest.mark.parametrize("operation", BINARY)
def test_an_input_used_twice_collects_both_gradients(operation):
    (x,) = points(operation, (3,))
    y = operation.apply(Tensor(x), Tensor(x))
    expect.tensor(y, MEANING[operation](x, x), f"{operation.__name__} of x and x")
    gradcheck(
        lambda t: Double.apply(operation.apply(Double.apply(t), t)),
        x,
        order=1,
        engine=grad,
        of=f"{operation.__name__} of 2 x and x",
    )


@pytest.mark.parametrize("operation", [*BINARY, pytest.param(MatMul, id="MatMul")])
def test_gradient_when_only_one_input_needs_it(operation):
    a, b = points(Pow, (2, 2), (2, 2))
    expect.close(
        operation.apply(a, b), MEANING[operation](a, b), f"{operation.__name__} of (2, 2) and (2, 2)"
    )
    gradcheck(lambda t: operation.apply(t, b), a, names=["a"], order=1, engine=grad, of=operation.__name__)
    gradcheck(
        lambda t: operation.apply(Tensor(a), t), b, names=["b"], order=1, engine=grad, of=operation.__name__
    )


def test_a_matrix_product_computes_only_the_gradients_that_are_needed():
    a, b = points(MatMul, (2, 3), (3, 4))
    g = np.ones((2, 4))
    for needed in ([True, False], [False, True]):
        y = MatMul.apply(*[Tensor(x, n) for x, n in zip((a, b), needed, strict=True)])
        expect.tensor(y, a @ b, "MatMul of (2, 3) and (3, 4)")
        with recording(False):
            grads = y.node.backward(g)
        arrived = [x is not None for x in grads]
        expect.true(arrived == needed, f"only {'a' if needed[0] else 'b'} needs a gradient of a @ b, "
                    "None should stand for the other: ask self.needs(i), a product is expensive")  # fmt: skip


@pytest.mark.parametrize("order", [1, 2], ids=["first order", "second order"])
def test_gradient_of_a_matrix_product(order):
    for shapes in (
        ((2, 2, 2), (2, 2, 2)),
        ((2, 3), (3, 4)),
        ((1, 3), (3, 1)),
        ((2, 2, 3), (2, 3, 2)),
        ((2, 2, 3), (3, 2)),
        ((2, 3), (2, 3, 1)),
    ):
        check_gradient(MatMul, points(MatMul, *shapes), order)


def test_matmul_is_the_sum_over_the_inner_axis():
    a, b = points(MatMul, (2, 3), (3, 4))
    loop = np.array([[sum(a[i, k] * b[k, j] for k in range(3)) for j in range(4)] for i in range(2)])
    expect.tensor(matmul(Tensor(a), Tensor(b)), loop, "matmul of (2, 3) and (3, 4)")
    expect.close(matmul(a, b), loop, "matmul of two arrays")
    expect.close(matmul(a, b[:, 0]), loop[:, 0], "matmul of two arrays, the second a vector")
    expect.tensor(matmul(Tensor(a), b), loop, "matmul of a Tensor and an array")
    expect.tensor(matmul(a, Tensor(b)), loop, "matmul of an array and a Tensor")


def test_matmul_takes_vectors_matrices_and_stacks():
    for shapes in MATRICES:
        a, b = points(MatMul, *shapes)
        expect.tensor(
            matmul(Tensor(a), Tensor(b)), a @ b, f"matmul of {shapes[0]} and {shapes[1]}", rtol=1e-11
        )


@pytest.mark.parametrize("order", [1, 2], ids=["first order", "second order"])
def test_gradient_of_matmul(order):
    for shapes in MATRICES[: None if order == 1 else 5]:
        a, b = points(MatMul, *shapes)
        expect.tensor(matmul(Tensor(a), Tensor(b)), a @ b, f"matmul of {shapes[0]} and {shapes[1]}")
        gradcheck(matmul, a, b, names=["a", "b"], order=order, engine=grad, of="matmul")


@pytest.mark.parametrize(
    ("operation", "fn"),
    [
        pytest.param(Add, lambda a, b: a + b, id="+"),
        pytest.param(Sub, lambda a, b: a - b, id="-"),
        pytest.param(Mul, lambda a, b: a * b, id="*"),
        pytest.param(Div, lambda a, b: a / b, id="/"),
        pytest.param(Pow, lambda a, b: a**b, id="**"),
        pytest.param(MatMul, lambda a, b: a @ b, id="@"),
    ],
)
def test_operators_mix_tensors_arrays_and_numbers(operation, fn):
    a, b = points(Pow, (2, 2), (2, 2))
    expected = fn(a, b)
    for left, right in ((Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))):
        expect.tensor(fn(left, right), expected, f"{type(left).__name__} and {type(right).__name__}")
    if operation is not MatMul:
        expect.tensor(fn(Tensor(a), 3), fn(a, 3), "a Tensor and the number 3")
        expect.tensor(fn(3, Tensor(a)), fn(3, a), "the number 3 and a Tensor")
    expect.close(operation.apply(a, b), expected, f"{operation.__name__}.apply of two arrays")


# dtype.


@pytest.mark.parametrize(
    "operation", [*BINARY, pytest.param(MatMul, id="MatMul"), pytest.param(Neg, id="Neg")]
)
def test_float32_stays_float32_with_its_gradients(operation):
    shapes = [(2, 2)] if operation is Neg else [(2, 2), (1, 2) if operation is not MatMul else (2, 1)]
    wide = points(Pow, *shapes)
    tensors = [Tensor(np.float32(x), requires_grad=True) for x in wide]
    y = operation.apply(*tensors)
    expect.tensor(
        y, MEANING[operation](*wide), f"{operation.__name__} of float32", dtype=np.float32, rtol=1e-5
    )
    exact = [Tensor(x, requires_grad=True) for x in wide]
    wanted = grad(operation.apply(*exact), exact, np.ones(y.shape))
    for g, want in zip(grad(y, tensors, np.ones(y.shape, np.float32)), wanted, strict=True):
        expect.tensor(
            g, want.data, f"gradient of {operation.__name__} in float32", dtype=np.float32, rtol=1e-5
        )


@pytest.mark.parametrize(
    ("fn", "derivative"),
    [
        pytest.param(lambda x: 0.5 + x, lambda x: 1 + 0 * x, id="0.5 + x"),
        pytest.param(lambda x: 2 - x, lambda x: -1 + 0 * x, id="2 - x"),
        pytest.param(lambda x: x * np.float64(2.0), lambda x: 2 + 0 * x, id="x * np.float64(2)"),
        pytest.param(lambda x: 1 / x, lambda x: -1 / x**2, id="1 / x"),
        pytest.param(lambda x: x**2, lambda x: 2 * x, id="x ** 2"),
        pytest.param(lambda x: 2.0**x, lambda x: np.log(2.0) * 2.0**x, id="2.0 ** x"),
    ],
)
def test_a_number_does_not_widen_float32(fn, derivative):
    values = np.array([0.5, 2.0, 3.0])
    x = Tensor(np.float32(values), requires_grad=True)
    y = fn(x)
    expect.tensor(y, fn(values), "the result for a float32 Tensor", dtype=np.float32, rtol=1e-5)
    (g,) = grad(y, [x], np.ones(3, np.float32))
    expect.tensor(g, derivative(values), "its gradient", dtype=np.float32, rtol=1e-5)


# Edges.


def test_powers_of_zero_have_the_gradient_of_the_polynomial():
    values = np.array([0.0, 2.0, -3.0])
    for exponent, expected in ((0, 0 * values), (1, values**0), (2, 2 * values), (3, 3 * values**2)):
        x = Tensor(values, requires_grad=True)
        (g,) = grad(x**exponent, [x], np.ones(3))
        expect.tensor(g, expected, f"gradient of x ** {exponent} at [0, 2, -3]")


def test_a_power_of_a_negative_number_takes_no_logarithm():
    values = np.array([-3.0, -0.5])
    for exponent in (2, Tensor(np.array([2.0, 2.0]))):
        x = Tensor(values, requires_grad=True)
        y = x**exponent
        expect.tensor(y, values * values, "[-3, -0.5] ** 2")
        with expect.quiet("the gradient of x ** 2 at [-3, -0.5]"):
            (g,) = grad(y, [x], np.ones(2))
        expect.tensor(g, 2 * values, "gradient of x ** 2 at [-3, -0.5]")


def test_powers_of_zero_have_the_second_derivative_of_the_polynomial():
    values = np.array([0.0, 2.0, -3.0])
    for exponent, expected in ((0, 0 * values), (1, 0 * values), (2, 2 + 0 * values), (3, 6 * values)):
        x = Tensor(values, requires_grad=True)
        (g,) = grad(x**exponent, [x], np.ones(3), create_graph=True)
        (gg,) = grad(g, [x], np.ones(3))
        expect.tensor(gg, expected, f"second derivative of x ** {exponent} at [0, 2, -3]")


def test_an_exponent_of_0_has_a_second_derivative():
    a, b = np.array([0.5, 2.0]), np.zeros(2)
    expect.close(Pow.apply(a, b), np.ones(2), "[0.5, 2] ** [0, 0]")
    gradcheck(Pow.apply, a, b, names=["a", "b"], order=2, engine=grad, of="Pow")


def test_a_zero_base_has_a_finite_gradient_by_base_and_exponent():
    a = Tensor(np.array([0.0, 0.0, 0.0, 2.0]), requires_grad=True)
    b = Tensor(np.array([0.0, 1.0, 2.0, 3.0]), requires_grad=True)
    by_base, by_exponent = grad(a**b, [a, b], np.ones(4))
    expect.tensor(by_base, np.array([0.0, 1, 0, 12]), "d(a ** b)/da at a = [0, 0, 0, 2], b = [0, 1, 2, 3]")
    expect.tensor(by_exponent, np.array([0.0, 0, 0, 8 * np.log(2)]),
                  "d(a ** b)/db at a = [0, 0, 0, 2], b = [0, 1, 2, 3]")  # fmt: skip


@pytest.mark.parametrize("operation", [*BINARY, pytest.param(MatMul, id="MatMul")])
def test_empty_arrays(operation):
    shapes = ((2, 0), (0, 3)) if operation is MatMul else ((0, 3), (3,))
    tensors = [Tensor(np.ones(shape), requires_grad=True) for shape in shapes]
    y = operation.apply(*tensors)
    expect.tensor(
        y, np.zeros((2, 3)) if operation is MatMul else np.ones((0, 3)), "the result for an empty array"
    )
    for g, shape in zip(grad(y, tensors, np.ones(y.shape)), shapes, strict=True):
        expect.tensor(g, np.zeros(shape), f"gradient for {shape}")
    full = operation.apply(*[Tensor(np.full((2, 2), value)) for value in (5.0, 2.0)])
    value = {Add: 7.0, Sub: 3.0, Mul: 10.0, Div: 2.5, Pow: 25.0, MatMul: 20.0}[operation]
    expect.tensor(full, np.full((2, 2), value), f"{operation.__name__} of fives and twos")


def test_a_tensor_has_the_methods_of_an_array():
    x = Tensor(A, requires_grad=True)
    for what, result, expected in (
        ("sum(0)", x.sum(0), A.sum(0)),
        ("mean(axis=1, keepdims=True)", x.mean(axis=1, keepdims=True), A.mean(axis=1, keepdims=True)),
        ("var(1, correction=1)", x.var(1, correction=1), A.var(1, ddof=1)),
        ("mean()", x.mean(), A.mean()),
        ("var()", x.var(), A.var()),
        ("min(1)", x.min(1), A.min(1)),
        ("max()", x.max(), A.max()),
        ("min(0, keepdims=True)", x.min(0, keepdims=True), A.min(0, keepdims=True)),
        ("reshape(3, -1)", x.reshape(3, -1), A.reshape(3, -1)),
        ("reshape((6,))", x.reshape((6,)), A.reshape(6)),
        ("transpose(1, 0)", x.transpose(1, 0), A.T),
        ("transpose((1, 0))", x.transpose((1, 0)), A.T),
        ("transpose()", x.transpose(), A.T),
        ("T", x.T, A.T),
        ("[1:, ::-1]", x[1:, ::-1], A[1:, ::-1]),
        ("its second row, by iteration", list(x)[1], A[1]),
    ):
        expect.tensor(result, np.asarray(expected), f"x.{what}")
        expect.true(result.node is not None, f"x.{what} should be recorded")
    expect.equal(
        (len(x), x.shape, x.ndim, x.size, x.dtype == np.float64), (2, (2, 3), 2, 6, True), "attributes"
    )
    expect.equal(x[0, 1].item(), -2.0, "x[0, 1].item()")
    for what, result, expected in (
        ("x < 0.5", x < 0.5, A < 0.5), ("x <= 0.5", x <= 0.5, A <= 0.5), ("x > 0.5", x > 0.5, A > 0.5),
        ("x >= a Tensor", x >= Tensor(B), A >= B), ("x > an array", x > B, A > B), ("B > x", B > x, B > A),
    ):  # fmt: skip
        expect.equal(result, expected, f"{what}, which has no gradient: an array")


def test_the_method_backward_runs_the_engine():
    x = Tensor(B, requires_grad=True)
    y = Double.apply(x)
    expect.tensor(y, 2 * B, "Double.apply of a Tensor")
    y.backward(np.array([1.0, 10.0, 100.0]))
    expect.close(x.grad, np.array([2.0, 20.0, 200.0]), "x.grad after backward")


# Errors.


def test_numpy_functions_refuse_a_tensor():
    x = Tensor(B, requires_grad=True)
    expect.tensor(np.ones(3) + x, 1 + B, "an array + a Tensor")
    with expect.raises(TypeError):
        np.exp(x)
    with expect.raises(TypeError):
        np.asarray(x)


def test_matmul_names_shapes_that_do_not_fit():
    expect.tensor(matmul(Tensor(B), Tensor(B)), np.array(20.25), "matmul of two vectors (3,)")
    for a, b in (((2, 3), (2, 3)), ((3,), (4,)), ((2, 3), (2,)), ((4,), (3, 2)), ((), (3,)), ((2, 3), ())):
        with expect.raises(ValueError, str(a), str(b)):
            matmul(Tensor(np.ones(a)), Tensor(np.ones(b)))


# Arrays of another library.


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        pytest.param(lambda a, b: a + b, [[1.25, 2.5]], id="+"),
        pytest.param(lambda a, b: a - b, [[0.75, 1.5]], id="-"),
        pytest.param(lambda a, b: -a + b, [[-0.75, -1.5]], id="neg"),
        pytest.param(lambda a, b: a * b * 2.0, [[0.5, 2.0]], id="*"),
        pytest.param(lambda a, b: 1 / a / b, [[4.0, 1.0]], id="/"),
        pytest.param(lambda a, b: a**b, [[1.0, 2**0.5]], id="**"),
        pytest.param(lambda a, b: matmul(a, b), [1.25], id="@"),
    ],
)
def test_arrays_of_another_library_flow_through(fn, expected):
    result = duck.flows(fn, np.array([[1.0, 2.0]]), np.array([0.25, 0.5]), engine=grad, what="the operation")
    expect.close(result, np.array(expected), "the result on another library's arrays")
