"""nn_core.layers.linear: against the sum that defines it, against calculus, and as a layer."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given

from curriculum.testing import expect, gradcheck, statistics, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor, recording
from nn_core.layers.linear import Linear, LinearFunction, linear

CASES = [  # x, outputs
    pytest.param((2, 3), 4, id="batch"),
    pytest.param((3, 3), 3, id="square"),
    pytest.param((3,), 2, id="one example"),
    pytest.param((2, 4, 3), 2, id="sequence"),
    pytest.param((2, 1), 1, id="one number"),
]


def arrays(shape, outputs, seed=7):
    """x, weight and bias in float64."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape), rng.standard_normal((outputs, shape[-1])), rng.standard_normal(outputs)


def definition(x, weight, bias=None):
    """y[..., k] = sum_d x[..., d] weight[k, d] + bias[k], one number at a time."""
    y = np.zeros((*x.shape[:-1], len(weight)))
    for *n, k in np.ndindex(*y.shape):
        total = 0.0 if bias is None else bias[k]
        for d in range(x.shape[-1]):
            total += x[(*n, d)] * weight[k, d]
        y[(*n, k)] = total
    return y


def build(in_features, out_features, seed=0, **kwargs):
    return Linear(in_features, out_features, rng=np.random.default_rng(seed), **kwargs)


@pytest.mark.parametrize(("shape", "outputs"), CASES)
def test_matches_the_definition(shape, outputs):
    x, weight, bias = arrays(shape, outputs)
    with expect.unchanged(x, weight, bias):
        y = linear(Tensor(x), Tensor(weight), Tensor(bias))
        without = linear(Tensor(x), Tensor(weight))
    expect.tensor(
        y, definition(x, weight, bias), f"linear of x {shape}, weight {weight.shape}, bias {bias.shape}"
    )
    expect.tensor(without, definition(x, weight), f"linear of x {shape}, weight {weight.shape}, without bias")


@pytest.mark.parametrize(("shape", "outputs"), CASES)
def test_the_gradients_are_right_to_second_order(shape, outputs):
    x, weight, bias = arrays(shape, outputs)
    expect.tensor(linear(Tensor(x), weight, bias), definition(x, weight, bias), f"linear of x {shape}")
    gradcheck(linear, x, weight, bias, names=("x", "weight", "bias"))


@pytest.mark.parametrize(("shape", "outputs"), CASES)
def test_the_gradients_without_bias_are_right_to_second_order(shape, outputs):
    x, weight, _ = arrays(shape, outputs)
    expect.tensor(linear(Tensor(x), weight), definition(x, weight), f"linear of x {shape} without bias")
    gradcheck(linear, x, weight, names=("x", "weight"))


def test_gradients_of_a_small_example():
    x = Tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], requires_grad=True)
    weight, bias = Tensor([[1.0, -1.0]], requires_grad=True), Tensor([0.5], requires_grad=True)
    linear(x, weight, bias).sum().backward()
    sizes = {"batch size": 3}
    expect.close(
        bias.grad, np.array([3.0]), "gradient with respect to bias of the sum over 3 rows", sizes=sizes
    )
    expect.close(
        weight.grad,
        np.array([[9.0, 12.0]]),
        "gradient with respect to weight: the sum of 3 rows",
        sizes=sizes,
    )
    expect.close(
        x.grad,
        np.array([[1.0, -1.0]] * 3),
        "gradient with respect to x: the row of weight, for each",
        sizes=sizes,
    )


@given(strategies.shapes(0, 3), strategies.seeds())
def test_leading_axes_are_a_batch_whatever_their_number(leading, seed):
    x, weight, bias = arrays((*leading, 3), 2, seed)
    cotangent = np.random.default_rng(seed + 1).standard_normal((*leading, 2))
    w, b = Tensor(weight, requires_grad=True), Tensor(bias, requires_grad=True)
    y = linear(Tensor(x), w, b)
    expect.tensor(y, np.einsum("...d,kd->...k", x, weight) + bias, f"linear of x {x.shape}", atol=1e-12)
    y.backward(cotangent)
    rows, examples = cotangent.reshape(-1, 2), x.reshape(-1, 3)
    expect.close(w.grad, rows.T @ examples, f"gradient with respect to weight for x {x.shape}", atol=1e-12)
    expect.close(b.grad, rows.sum(0), f"gradient with respect to bias for x {x.shape}", atol=1e-12)


def test_float32_stays_float32():
    exact = [Tensor(a, requires_grad=True) for a in arrays((4, 3), 2)]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    y = linear(*single)
    expect.tensor(y, definition(*[t.data for t in exact]), "linear in float32", dtype=np.float32, rtol=1e-5)
    gradients = grad(y, single, np.ones((4, 2), np.float32))
    expected = grad(linear(*exact), exact, np.ones((4, 2)))
    for name, g, want in zip(("x", "weight", "bias"), gradients, expected, strict=True):
        what = f"gradient with respect to {name} in float32"
        expect.tensor(g, want.data, what, dtype=np.float32, rtol=1e-5, atol=1e-6)


def test_only_what_requires_a_gradient_gets_one():
    x, weight, bias = (Tensor(a) for a in arrays((4, 3), 2))
    bias.requires_grad = True
    linear(x, weight, bias).backward(np.ones((4, 2)))
    expect.close(bias.grad, np.full(2, 4.0), "gradient with respect to bias when only bias requires one")
    expect.true(
        x.grad is None and weight.grad is None, "x and weight require no gradient and should get none"
    )


def test_what_needs_no_gradient_is_not_computed():
    inputs = arrays((4, 3), 2)
    g = np.random.default_rng(3).standard_normal((4, 2))
    for i, name in enumerate(("x", "weight", "bias")):
        y = LinearFunction.apply(*[Tensor(a, requires_grad=i == k) for k, a in enumerate(inputs)])
        with recording(False):
            grads = y.node.backward(g)
        arrived = [k for k, by in enumerate(grads) if by is not None]
        expect.true(arrived == [i] and len(grads) == 3, f"only {name} needs a gradient, the other two of the "
                    f"three should be None: yours has gradients at {arrived} of {len(grads)}")  # fmt: skip
        expected = (g @ inputs[1], g.T @ inputs[0], g.sum(0))[i]
        expect.close(grads[i], expected, f"gradient with respect to {name}, the only one that is needed")


def test_an_empty_batch_gives_an_empty_result_and_zero_gradients():
    _, weight, bias = (Tensor(a, requires_grad=True) for a in arrays((1, 3), 2))
    y = linear(Tensor(np.zeros((0, 3))), weight, bias)
    expect.tensor(y, np.zeros((0, 2)), "linear of x (0, 3)")
    y.backward(np.zeros((0, 2)))
    expect.close(weight.grad, np.zeros((2, 3)), "gradient with respect to weight of an empty batch")
    expect.close(bias.grad, np.zeros(2), "gradient with respect to bias of an empty batch")
    one = linear(Tensor(np.ones((1, 3))), weight, bias)
    expect.tensor(one, definition(np.ones((1, 3)), weight.data, bias.data), "linear of x (1, 3)")


def test_shapes_that_do_not_fit_are_refused():
    x, weight, _ = arrays((2, 3), 4)
    with expect.raises(ValueError, "(2, 3)", "(4, 5)"):
        linear(Tensor(x), Tensor(np.ones((4, 5))))
    with expect.raises(ValueError, "(2, 3)", "(3,)"):
        linear(Tensor(x), Tensor(np.ones(3)))
    with expect.raises(ValueError, "()", "(4, 3)"):
        linear(Tensor(1.0), Tensor(weight))
    with expect.raises(ValueError, "(2, 3)", "(4, 3)", "(1,)"):
        linear(Tensor(x), Tensor(weight), Tensor(np.ones(1)))
    with expect.raises(ValueError, "(2, 3)", "(4, 3)", "(2, 4)"):
        linear(Tensor(x), Tensor(weight), Tensor(np.ones((2, 4))))


# The layer.


def test_a_layer_computes_linear_of_its_parameters():
    layer = build(3, 2, dtype=np.float64)
    x = np.random.default_rng(1).standard_normal((5, 3))
    weight, bias = layer.weight.data, layer.bias.data
    expect.tensor(layer(Tensor(x)), definition(x, weight, bias), "Linear(3, 2) of x (5, 3)")


def test_a_layer_has_a_weight_and_a_bias_in_float32():
    layer = build(3, 2)
    shapes = {name: (p.shape, p.dtype.name) for name, p in layer.named_parameters()}
    expected = {"weight": ((2, 3), "float32"), "bias": ((2,), "float32")}
    expect.equal(shapes, expected, "the dict of shapes and dtypes of Linear(3, 2)")
    wide = build(3, 2, dtype=np.float64)
    kinds = [p.dtype.name for p in wide.parameters()]
    expect.equal(kinds, ["float64", "float64"], "the list of dtypes of Linear(3, 2, dtype=np.float64)")


def test_a_layer_without_bias_has_none():
    layer = build(3, 2, bias=False, dtype=np.float64)
    expect.equal(
        [name for name, _ in layer.named_parameters()], ["weight"], "the list of parameters with bias=False"
    )
    expect.equal(layer.bias, None, "the bias with bias=False")
    x = np.ones((1, 3))
    expect.tensor(layer(Tensor(x)), definition(x, layer.weight.data), "Linear(3, 2, bias=False) of ones")


def test_parameters_begin_uniform_between_plus_and_minus_one_over_the_root_of_the_inputs():
    layer, bound = build(100, 5000, dtype=np.float64), 0.1
    for name, array in (("weight", layer.weight.data), ("bias", layer.bias.data)):
        peak = float(np.max(np.abs(array)))
        what = f"the initial {name} of Linear(100, 5000)"
        expect.true(
            0.99 * bound < peak <= bound * (1 + 1e-6),
            f"{what} should fill [-0.1, 0.1], its peak is {peak:.5g}",
        )
        # each of the next two refuses a right answer with probability 1e-6
        statistics.mean_is(array, 0.0, bound / sqrt(3), what)
        statistics.variance_is(array, bound**2 / 3, what, kurtosis=1.8)


def test_the_generator_decides_where_parameters_begin():
    first, again, other = build(20, 4, seed=1), build(20, 4, seed=1), build(20, 4, seed=2)
    expect.close(again.weight.data, first.weight.data, "the weight from an equal generator")
    expect.close(again.bias.data, first.bias.data, "the bias from an equal generator")
    far = bool(np.max(np.abs(other.weight.data - first.weight.data)) > 1e-3)
    expect.true(far, "another generator should give other weights")


def test_the_weight_does_not_depend_on_whether_there_is_a_bias():
    with_bias, without = build(20, 4, dtype=np.float64), build(20, 4, bias=False, dtype=np.float64)
    what = "the weight with bias=False, from an equal generator"
    expect.close(without.weight.data, with_bias.weight.data, what)
    peak, bound = float(np.max(np.abs(without.weight.data))), 1 / sqrt(20)
    expect.true(0.5 * bound < peak <= bound, f"{what} should reach up to {bound:.3g}, its peak is {peak:.3g}")


def test_sizes_below_one_are_refused():
    with expect.raises(ValueError, "0", "5"):
        build(0, 5)
    with expect.raises(ValueError, "7", "-1"):
        build(7, -1)
