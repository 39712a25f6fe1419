"""nn_core.normalization.layernorm: against its definition, against calculus, and as a layer."""

from itertools import combinations
from math import fsum, prod, sqrt

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.normalization.layernorm import LayerNorm, layer_norm

CASES = [  # x, normalized_shape
    pytest.param((3, 4), (4,), id="batch"),
    pytest.param((4, 4), (4,), id="square"),
    pytest.param((2, 3, 5), (5,), id="sequence"),
    pytest.param((2, 3, 2), (3, 2), id="two axes"),
    pytest.param((5,), (5,), id="one example"),
]


def arrays(shape, own, seed=3):
    """x, weight and bias in float64; no weight near 0 or 1."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 2.0, shape), rng.uniform(1.5, 3.0, own), rng.standard_normal(own)


def definition(x, own, weight=None, bias=None, eps=1e-5):
    """Each example by itself: mean, biased variance, then one number at a time."""
    size = prod(own)
    rows, y = x.reshape(-1, size), np.zeros((x.size // size, size))
    w = np.ones(size) if weight is None else weight.reshape(-1)
    b = np.zeros(size) if bias is None else bias.reshape(-1)
    for n, row in enumerate(rows):
        mean = fsum(row) / size
        variance = fsum((v - mean) ** 2 for v in row) / size
        for d in range(size):
            y[n, d] = (row[d] - mean) / sqrt(variance + eps) * w[d] + b[d]
    return y.reshape(x.shape)


@pytest.mark.parametrize(("shape", "own"), CASES)
def test_matches_the_definition(shape, own):
    x, weight, bias = arrays(shape, own)
    what = f"layer_norm of x {shape} over {own}"
    with expect.unchanged(x, weight, bias):
        both = layer_norm(Tensor(x), own, Tensor(weight), Tensor(bias))
        only_weight = layer_norm(Tensor(x), own, Tensor(weight))
        only_bias = layer_norm(Tensor(x), own, bias=Tensor(bias))
        neither = layer_norm(Tensor(x), own)
    expect.tensor(neither, definition(x, own), f"{what}, without weight and bias", rtol=1e-10)
    expect.tensor(only_weight, definition(x, own, weight), f"{what}, without bias", rtol=1e-10)
    expect.tensor(only_bias, definition(x, own, None, bias), f"{what}, without weight", rtol=1e-10)
    expect.tensor(both, definition(x, own, weight, bias), what, rtol=1e-10)


def test_eps_is_added_to_the_variance():
    x = np.array([[1.0, 3.0], [0.0, 0.2]])
    y = layer_norm(Tensor(x), (2,), eps=3.0)
    root = sqrt(0.01 + 3.0)
    expected = np.array([[-0.5, 0.5], [-0.1 / root, 0.1 / root]])
    expect.tensor(y, expected, "layer_norm of [[1, 3], [0, 0.2]], eps 3, variances 1 and 0.01")
    expect.tensor(layer_norm(Tensor(x), (2,)), definition(x, (2,)), "layer_norm with the default eps, 1e-5",
                  rtol=1e-10)  # fmt: skip


def test_shift_and_stretch_of_an_example_change_nothing_and_the_gradient_knows():
    x, weight, bias = arrays((4, 6), (6,))
    moved = x * np.array([[0.5], [3.0], [7.0], [1.0]]) + np.array([[1.0], [-4.0], [0.0], [9.0]])
    expected = definition(x, (6,), weight, bias, 0.0)
    y = layer_norm(Tensor(moved), (6,), weight, bias, 1e-14)
    expect.tensor(y, expected, "layer_norm of shifted and stretched examples", rtol=1e-8)
    t = Tensor(x, requires_grad=True)
    layer_norm(t, (6,), weight, bias, 1e-14).backward(np.random.default_rng(1).standard_normal((4, 6)))
    expect.true(bool(np.max(np.abs(t.grad)) > 1e-3), "the gradient with respect to x should not vanish")
    expect.close(
        t.grad.sum(1),
        np.zeros(4),
        "the sum of each example's gradient, 0 because the mean follows x,",
        atol=1e-10,
    )
    expect.close(
        (t.grad * x).sum(1),
        np.zeros(4),
        "<gradient, x> of each example, 0 because the variance follows x,",
        atol=1e-10,
    )


@pytest.mark.parametrize(("shape", "own"), CASES)
def test_the_gradients_are_right_to_second_order(shape, own):
    x, weight, bias = arrays(shape, own)
    y = layer_norm(Tensor(x), own, weight, bias, 0.1)
    expect.tensor(y, definition(x, own, weight, bias, 0.1), f"layer_norm of x {shape}", rtol=1e-10)
    gradcheck(lambda *t: layer_norm(t[0], own, *t[1:], 0.1), x, weight, bias, names=("x", "weight", "bias"))


def test_the_gradients_without_weight_or_bias_are_right_to_second_order():
    x, weight, _ = arrays((3, 4), (4,))
    expect.tensor(layer_norm(Tensor(x), (4,)), definition(x, (4,)), "layer_norm of x (3, 4)", rtol=1e-10)
    gradcheck(lambda x: layer_norm(x, (4,)), x)
    gradcheck(lambda x, weight: layer_norm(x, (4,), weight), x, weight, names=("x", "weight"))


def test_the_gradient_is_the_same_while_a_graph_of_it_is_built():
    inputs = [Tensor(a, requires_grad=True) for a in arrays((3, 4), (4,))]
    x, weight, bias = (t.data for t in inputs)
    g = np.random.default_rng(2).standard_normal((3, 4))
    y = layer_norm(inputs[0], (4,), *inputs[1:], 0.1)
    expect.tensor(y, definition(x, (4,), weight, bias, 0.1), "layer_norm of x (3, 4)", rtol=1e-10)
    plain, graph = grad(y, inputs, g), grad(y, inputs, g, create_graph=True)
    for name, first, again in zip(("x", "weight", "bias"), plain, graph, strict=True):
        what = f"gradient with respect to {name} while a graph of it is built"
        expect.tensor(again, first.data, what, rtol=1e-9, atol=1e-12)


def test_a_second_pass_gives_the_same_gradients_and_leaves_the_incoming_one_alone():
    inputs = [Tensor(a, requires_grad=True) for a in arrays((3, 4), (4,))]
    g = np.random.default_rng(2).standard_normal((3, 4))
    given = g.copy()
    y = layer_norm(inputs[0], (4,), *inputs[1:], 0.1)
    expect.tensor(
        y,
        definition(inputs[0].data, (4,), *[t.data for t in inputs[1:]], 0.1),
        "layer_norm of x (3, 4)",
        rtol=1e-10,
    )
    first = grad(y, inputs, g)
    for name, before, after in zip(("x", "weight", "bias"), first, grad(y, inputs, g), strict=True):
        message = f"gradient with respect to {name} in a second pass through the same graph"
        expect.tensor(after, before.data, message)
    grad(layer_norm(inputs[0], (4,)), inputs[:1], g)
    expect.equal(g, given, "the gradient that came in, after backward used it,")


def test_a_third_derivative():
    x, weight, bias = arrays((2, 3), (3,))
    u, v = np.random.default_rng(5).standard_normal((2, 2, 3))
    expect.tensor(layer_norm(Tensor(x), (3,), weight, bias), definition(x, (3,), weight, bias), "layer_norm",
                  rtol=1e-10)  # fmt: skip

    def slope(x):
        """<v, the gradient of <u, layer_norm(x)>> as an operation: its second derivative is the third."""
        (first,) = grad(layer_norm(x, (3,), weight, bias, 0.5), [x], u, create_graph=True)
        return (first * v).sum()

    x = Tensor(x, requires_grad=True)
    (second,) = grad(slope(x), [x], create_graph=True)
    (third,) = grad((second * u).sum(), [x])
    h, ends = 1e-4, []
    for step in (h, -h):
        moved = Tensor(x.data + step * v, requires_grad=True)
        ends.append(float(np.sum(grad(slope(moved), [moved])[0].data * u)))
    expect.close(
        float(np.sum(third.data * v)),
        (ends[0] - ends[1]) / (2 * h),
        "third derivative of layer_norm",
        rtol=1e-5,
    )


def test_the_gradient_of_a_small_example():
    x = Tensor([[-1.0, 1.0, 0.0]], requires_grad=True)
    layer_norm(x, (3,), eps=1 / 3).backward(np.array([[1.0, 0.0, 0.0]]))
    # variance 2/3, so r = 1 and xhat = x; g - mean(g) = (2, -1, -1) / 3, mean(g xhat) = -1/3
    expect.close(
        x.grad,
        np.array([[1.0, 0.0, -1.0]]) / 3,
        "gradient with respect to x of the first of 3 results, r = 1",
    )


def test_the_mean_and_the_variance_of_the_result():
    x, _, _ = arrays((6, 5), (5,))
    y = layer_norm(Tensor(x), (5,), eps=0.5).data
    v = x.var(1)
    expect.close(y.mean(1), np.zeros(6), "the mean of each example of layer_norm", atol=1e-12)
    expect.close(y.var(1), v / (v + 0.5), "the variance of each example, var / (var + eps)", rtol=1e-10)


def test_examples_do_not_know_of_each_other():
    x, weight, bias = arrays((3, 4), (4,))
    together = layer_norm(Tensor(x), (4,), weight, bias).data
    for n in range(3):
        alone = layer_norm(Tensor(x[n]), (4,), weight, bias)
        expect.tensor(alone, definition(x[n], (4,), weight, bias), f"example {n}, alone", rtol=1e-10)
        expect.close(together[n], alone.data, f"example {n} in a batch of 3, against the same alone")


def test_float32_stays_float32():
    exact = [Tensor(a, requires_grad=True) for a in arrays((4, 6), (6,))]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    want = definition(exact[0].data, (6,), exact[1].data, exact[2].data)
    g = np.random.default_rng(2).standard_normal((4, 6))
    expected = grad(layer_norm(exact[0], (6,), *exact[1:]), exact, g)
    for eps in (1e-5, np.float64(1e-5)):
        y = layer_norm(single[0], (6,), *single[1:], eps)
        what = f"layer_norm in float32, eps {eps!r},"
        expect.tensor(y, want, what, dtype=np.float32, rtol=1e-5, atol=1e-5)
        for graph in (False, True):
            grads = grad(y, single, g.astype(np.float32), create_graph=graph)
            for name, got, e in zip(("x", "weight", "bias"), grads, expected, strict=True):
                what = f"gradient with respect to {name} in float32, eps {eps!r}, create_graph={graph},"
                expect.tensor(got, e.data, what, dtype=np.float32, rtol=1e-4, atol=1e-5)


def test_a_large_mean_does_not_cost_the_digits_of_the_variance():
    x = (1e4 + np.random.default_rng(4).standard_normal((8, 64))).astype(np.float32)
    expected = definition(x.astype(np.float64), (64,))
    y = layer_norm(Tensor(x), (64,))
    expect.tensor(y, expected, "layer_norm of float32 numbers around 10000", rtol=1e-2, atol=1e-2)


def test_equal_features_become_the_bias():
    x = Tensor(np.full((2, 4), 7.0), requires_grad=True)
    bias, g = np.array([1.0, -2.0, 0.5, 3.0]), np.array([[1.0, 0.0, 0.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
    y = layer_norm(x, (4,), bias=bias, eps=0.25)
    expect.tensor(y, np.array([bias, bias]), "layer_norm of features that are all 7", atol=1e-12)
    y.backward(g)
    expect.close(x.grad, 2.0 * (g - g.mean(1, keepdims=True)), "gradient at equal features, where r = 2")


def test_one_feature_says_nothing():
    x = Tensor([[5.0], [-3.0]], requires_grad=True)
    weight, bias = Tensor([2.0], requires_grad=True), Tensor([0.5], requires_grad=True)
    y = layer_norm(x, (1,), weight, bias)
    expect.tensor(y, np.full((2, 1), 0.5), "layer_norm over one feature: the bias")
    y.backward(np.array([[1.0], [2.0]]))
    expect.close(x.grad, np.zeros((2, 1)), "gradient with respect to the only feature")
    expect.close(bias.grad, np.array([3.0]), "gradient with respect to bias, over 2 examples")


def test_an_empty_batch():
    weight, bias = (Tensor(a, requires_grad=True) for a in arrays((1, 3), (3,))[1:])
    y = layer_norm(Tensor(np.zeros((0, 3))), (3,), weight, bias)
    expect.tensor(y, np.zeros((0, 3)), "layer_norm of x (0, 3)")
    y.backward(np.zeros((0, 3)))
    expect.close(weight.grad, np.zeros(3), "gradient with respect to weight of an empty batch")
    x = np.array([[1.0, 2.0, 6.0]])
    one = layer_norm(Tensor(x), (3,), weight, bias)
    expect.tensor(one, definition(x, (3,), weight.data, bias.data), "layer_norm of x (1, 3)", rtol=1e-10)


@pytest.mark.parametrize("trained", [c for n in (1, 2) for c in combinations(("x", "weight", "bias"), n)])
def test_only_what_requires_a_gradient_gets_one(trained):
    names, data = ("x", "weight", "bias"), arrays((3, 4), (4,))
    g = np.random.default_rng(3).standard_normal((3, 4))
    every = [Tensor(a, requires_grad=True) for a in data]
    by_x = grad(layer_norm(every[0], (4,), *every[1:]), every, g)[0].data
    wanted = {"x": by_x, "weight": (g * definition(data[0], (4,))).sum(0), "bias": g.sum(0)}
    inputs = {name: Tensor(a, requires_grad=name in trained) for name, a in zip(names, data, strict=True)}
    y = layer_norm(inputs["x"], (4,), inputs["weight"], inputs["bias"])
    expect.tensor(y, definition(data[0], (4,), *data[1:]), "layer_norm", rtol=1e-10)
    y.backward(g)
    for name, t in inputs.items():
        if name in trained:
            what = f"gradient with respect to {name} where only {' and '.join(trained)} need one"
            expect.close(t.grad, wanted[name], what, rtol=1e-10)
        else:
            expect.true(t.grad is None, f"{name} requires no gradient and should get none")


def test_arrays_of_another_library_flow_through():
    x, weight, bias = arrays((3, 4), (4,))
    y = duck.flows(lambda *t: layer_norm(t[0], (4,), *t[1:]), x, weight, bias, engine=grad, what="layer_norm")
    expect.close(y, definition(x, (4,), weight, bias), "layer_norm of x (3, 4)", rtol=1e-10)


def test_shapes_that_do_not_fit_are_refused():
    x = Tensor(np.ones((2, 3)))
    with expect.raises(ValueError, "(2, 3)", "(4,)"):
        layer_norm(x, (4,))
    with expect.raises(ValueError, "(2, 3)", "(5, 2, 3)"):
        layer_norm(x, (5, 2, 3))
    for shape, own in (((2, 3, 4), (4, 3)), ((2, 2, 6, 4), (3, 4, 4)), ((2, 3, 4), (2, 4))):
        with expect.raises(ValueError, str(shape), str(own)):
            layer_norm(Tensor(np.ones(shape)), own)
    with expect.raises(ValueError, "(2, 3)", "()"):
        layer_norm(x, ())
    with expect.raises(ValueError, "(2, 0)", "(0,)"):
        layer_norm(Tensor(np.ones((2, 0))), (0,))
    with expect.raises(ValueError, "(3,)", "(1,)"):
        layer_norm(x, (3,), np.ones(1))
    with expect.raises(ValueError, "(2, 3)", "(3, 2)"):
        layer_norm(x, (2, 3), np.ones((3, 2)))
    with expect.raises(ValueError, "(2, 3)", "(3,)"):
        layer_norm(x, (2, 3), np.ones((2, 3)), np.ones(3))


def test_normalized_shape_may_be_a_list():
    x, weight, bias = arrays((2, 3, 2), (3, 2))
    y = layer_norm(Tensor(x), [3, 2], weight, bias)
    expect.tensor(y, definition(x, (3, 2), weight, bias), "layer_norm over the list [3, 2]", rtol=1e-10)
    layer = LayerNorm([3, 2], dtype=np.float64)
    expect.equal(layer.normalized_shape, (3, 2), "normalized_shape of LayerNorm([3, 2])")
    expect.tensor(layer(Tensor(x)), definition(x, (3, 2)), "LayerNorm([3, 2])", rtol=1e-10)


# The layer.


def test_a_layer_begins_as_plain_normalization_in_float32():
    layer = LayerNorm((3, 2))
    expect.equal([name for name, _ in layer.named_parameters()], ["weight", "bias"], "the list of parameters")
    expect.close(layer.weight.data, np.ones((3, 2), np.float32), "the first weight", dtype=np.float32)
    expect.close(layer.bias.data, np.zeros((3, 2), np.float32), "the first bias", dtype=np.float32)
    wide = LayerNorm(4, dtype=np.float64)
    kinds = [(p.shape, p.dtype.name) for p in wide.parameters()]
    expect.equal(kinds, [((4,), "float64")] * 2, "shapes and dtypes of LayerNorm(4, dtype=np.float64)")
    expect.equal(wide.normalized_shape, (4,), "normalized_shape of LayerNorm(4)")
    expect.close(LayerNorm(1).weight.data, np.ones(1, np.float32), "the first weight of LayerNorm(1)")


def test_a_layer_applies_its_parameters_in_training_and_in_evaluation():
    layer = LayerNorm((3, 2), eps=0.5, dtype=np.float64)
    x, weight, bias = arrays((4, 3, 2), (3, 2))
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    expected = definition(x, (3, 2), weight, bias, 0.5)
    expect.tensor(layer(Tensor(x)), expected, "LayerNorm((3, 2), eps=0.5) of x (4, 3, 2)", rtol=1e-10)
    expect.tensor(layer.eval()(Tensor(x)), expected, "the same after eval()", rtol=1e-10)
    plain = definition(x, (2,))
    expect.tensor(LayerNorm(2, dtype=np.float64)(Tensor(x)), plain, "LayerNorm(2), eps 1e-5", rtol=1e-10)


def test_weight_and_bias_can_be_left_out():
    x, _, _ = arrays((3, 4), (4,))
    for options, names in (
        ({"bias": False}, ["weight"]),
        ({"elementwise_affine": False}, []),
        ({"elementwise_affine": False, "bias": True}, []),
    ):
        layer = LayerNorm(4, dtype=np.float64, **options)
        expect.equal(
            [n for n, _ in layer.named_parameters()], names, f"the list of parameters with {options}"
        )
        expect.equal(layer.bias, None, f"the bias with {options}")
        expect.tensor(layer(Tensor(x)), definition(x, (4,)), f"LayerNorm with {options}", rtol=1e-10)


def test_shapes_that_are_none_are_refused():
    with expect.raises(ValueError, "()"):
        LayerNorm(())
    with expect.raises(ValueError, "(3, 0)"):
        LayerNorm((3, 0))
    with expect.raises(ValueError, "-2"):
        LayerNorm(-2)
