"""nn_core.activations.softmax: distributions along any axis, and Jacobians that nobody forms."""

import tracemalloc
from math import exp, fsum, inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect, gradcheck, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.activations.softmax import LogSoftmax, Softmax, log_softmax, softmax

X = np.array([[0.5, -1.0, 2.0, 0.0], [3.0, 3.0, -4.0, 1.5], [-0.25, 0.75, 0.125, -2.5]])


def row_softmax(row):
    total = fsum(exp(v - max(row)) for v in row)
    return [exp(v - max(row)) / total for v in row]


def row_log_softmax(row):
    total = log(fsum(exp(v - max(row)) for v in row))
    return [v - max(row) - total for v in row]


def along(row_function, x, axis):
    """``row_function`` of every line of x along an axis, a tuple of axes or all of them."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in np.atleast_1d(axis))
    rest = tuple(a for a in range(x.ndim) if a not in axes)
    moved = x.transpose(rest + axes)
    lines = moved.reshape(int(np.prod([x.shape[a] for a in rest])), -1)
    out = np.array([row_function([float(v) for v in line]) for line in lines]).reshape(moved.shape)
    return out.transpose(np.argsort(rest + axes))


BOTH = [
    pytest.param(softmax, row_softmax, id="softmax"),
    pytest.param(log_softmax, row_log_softmax, id="log_softmax"),
]


@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 1), None])
@pytest.mark.parametrize(("function", "row"), BOTH)
def test_matches_the_definition_along_any_axis(function, row, axis):
    with expect.unchanged(X):
        y = function(Tensor(X), axis)
    expect.tensor(y, along(row, X, axis), f"{function.__name__} of x (3, 4) along axis {axis}")


@pytest.mark.parametrize(("function", "row"), BOTH)
def test_the_last_axis_is_the_default(function, row):
    expect.tensor(function(Tensor(X)), along(row, X, -1), f"{function.__name__} of x (3, 4)")


@pytest.mark.parametrize("axis", [-1, 0, (0, 1), None])
@pytest.mark.parametrize(("function", "row"), BOTH)
def test_the_gradient_is_right_to_second_order(function, row, axis):
    expect.tensor(function(Tensor(X), axis), along(row, X, axis), f"{function.__name__} of x (3, 4)")
    gradcheck(lambda x: function(x, axis), X)


def test_the_jacobian_of_a_row():
    y = np.array(row_softmax([0.5, -1.0, 2.0]))
    for i in range(3):
        unit = np.eye(3)[i]
        a, b = (Tensor([0.5, -1.0, 2.0], requires_grad=True) for _ in range(2))
        softmax(a).backward(unit)
        expect.close(a.grad, y[i] * (unit - y), f"row {i} of the Jacobian of softmax, y_i (1[i = j] - y_j)")
        log_softmax(b).backward(unit)
        expect.close(b.grad, unit - y, f"row {i} of the Jacobian of log_softmax, 1[i = j] - y_j")


@given(strategies.shapes(1, 3), st.data(), strategies.seeds())
def test_gradients_sum_to_zero_since_a_common_shift_changes_nothing(shape, data, seed):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    rng = np.random.default_rng(seed)
    x, g = rng.uniform(-5, 5, shape), rng.standard_normal(shape)
    for function, row in ((softmax, row_softmax), (log_softmax, row_log_softmax)):
        name = f"{function.__name__} of x {shape} along axis {axis}"
        t = Tensor(x, requires_grad=True)
        y = function(t, axis)
        expect.tensor(y, along(row, x, axis), name, atol=1e-13)
        expect.tensor(
            function(Tensor(x + 3.0), axis), y.data, f"{name}, with 3 added to every score", atol=1e-13
        )
        y.backward(g)
        total = t.grad.sum(axis)
        expect.close(total, np.zeros_like(total), f"the sum of the gradient of {name}", atol=1e-12)


def test_large_scores_and_large_differences():
    expect.tensor(
        softmax(Tensor([1000.0, 1001.0])), np.array(row_softmax([0.0, 1.0])), "softmax of 1000 and 1001"
    )
    expect.tensor(log_softmax(Tensor([0.0, 2000.0])), np.array([-2000.0, 0.0]), "log_softmax of 0 and 2000")
    x = Tensor([0.0, 2000.0], requires_grad=True)
    log_softmax(x).backward(np.array([1.0, 0.0]))
    expect.close(x.grad, np.array([1.0, -1.0]), "gradient of log_softmax([0, 2000])[0]")


def test_masked_scores_weigh_nothing_and_their_gradient_is_zero():
    x = Tensor([[0.0, log(3.0), -inf], [-inf, -inf, -inf]], requires_grad=True)
    y = softmax(x)
    expect.tensor(
        y, np.array([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]), "softmax of a masked row and of a fully masked one"
    )
    y.backward(np.array([[1.0, 0.0, 9.0], [1.0, 2.0, 3.0]]))
    expect.close(
        x.grad, np.array([[0.1875, -0.1875, 0.0], [0.0, 0.0, 0.0]]), "gradient with respect to the scores"
    )


@pytest.mark.parametrize(("function", "row"), BOTH)
def test_one_class_has_no_choice(function, row):
    x = Tensor([[2.0], [-7.0]], requires_grad=True)
    y = function(x)
    expect.tensor(y, along(row, x.data, -1), f"{function.__name__} over one class")
    y.backward(np.array([[3.0], [4.0]]))
    expect.close(x.grad, np.zeros((2, 1)), "gradient with respect to the only score")


@pytest.mark.parametrize(("function", "row"), BOTH)
def test_float32_stays_float32(function, row):
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = function(x)
    expect.tensor(
        y,
        along(row, X, -1).astype(np.float32),
        f"{function.__name__} in float32",
        dtype=np.float32,
        rtol=1e-5,
    )
    (g,) = grad(y, [x], X.astype(np.float32))
    wide = Tensor(X, requires_grad=True)
    (want,) = grad(function(wide), [wide], X)
    expect.tensor(g, want.data, "gradient in float32", dtype=np.float32, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("function", "row"), BOTH)
def test_an_axis_that_does_not_exist_is_refused(function, row):
    with expect.raises(ValueError, "2", "(3, 4)"):
        function(Tensor(X), 2)
    with expect.raises(ValueError, "-3", "(3, 4)"):
        function(Tensor(X), -3)


@pytest.mark.parametrize(("function", "row"), BOTH)
def test_the_jacobian_is_never_formed(function, row):
    x = Tensor(np.random.default_rng(1).standard_normal((2, 1500)), requires_grad=True)
    g = np.ones((2, 1500))
    function(x)
    tracemalloc.start()
    y = function(x)
    y.backward(g)
    used = tracemalloc.get_traced_memory()[1] / x.data.nbytes
    tracemalloc.stop()
    expect.true(
        used < 100, f"a row of 1500 scores took the memory of {used:.0f} rows: multiply without the Jacobian"
    )
    expect.tensor(y, along(row, x.data, -1), f"{function.__name__} of x (2, 1500)")


def test_the_layers_apply_the_functions_along_their_axis():
    expect.tensor(Softmax()(Tensor(X)), along(row_softmax, X, -1), "Softmax()(x)")
    expect.tensor(Softmax(axis=0)(Tensor(X)), along(row_softmax, X, 0), "Softmax(axis=0)(x)")
    expect.tensor(LogSoftmax()(Tensor(X)), along(row_log_softmax, X, -1), "LogSoftmax()(x)")
    expect.tensor(LogSoftmax(axis=0)(Tensor(X)), along(row_log_softmax, X, 0), "LogSoftmax(axis=0)(x)")
    for layer in (Softmax(axis=0), LogSoftmax(axis=0)):
        gradcheck(layer, X, order=1, of=f"{type(layer).__name__}(axis=0)")
