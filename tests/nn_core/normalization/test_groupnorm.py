"""nn_core.normalization.groupnorm: against its definition, against calculus, and as a layer."""

from itertools import combinations
from math import fsum, sqrt

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.normalization.groupnorm import GroupNorm, group_norm

CASES = [  # x, groups
    pytest.param((2, 6), 2, id="N C"),
    pytest.param((2, 4, 3), 2, id="N C L"),
    pytest.param((2, 4, 2, 2), 2, id="N C H W"),
    pytest.param((2, 3, 4), 1, id="one group"),
    pytest.param((2, 3, 4), 3, id="a group a channel"),
    pytest.param((1, 6, 2), 3, id="one example"),
]


def arrays(shape, seed=5):
    """x, weight and bias in float64; channels of different scale, no weight near 0 or 1."""
    rng = np.random.default_rng(seed)
    c = shape[1]
    x = rng.normal(1.0, 2.0, shape) * rng.uniform(0.5, 3.0, c).reshape(-1, *[1] * (len(shape) - 2))
    return x, rng.uniform(1.5, 3.0, c), rng.standard_normal(c)


def definition(x, groups, weight=None, bias=None, eps=1e-5):
    """Each group of each example by itself, one number at a time."""
    y, width = np.zeros(x.shape), x.shape[1] // groups
    for n in range(x.shape[0]):
        for first in range(0, x.shape[1], width):
            values = [float(v) for v in x[n, first : first + width].reshape(-1)]
            mean = fsum(values) / len(values)
            root = sqrt(fsum((v - mean) ** 2 for v in values) / len(values) + eps)
            for c in range(first, first + width):
                w, b = 1.0 if weight is None else weight[c], 0.0 if bias is None else bias[c]
                y[n, c] = (x[n, c] - mean) / root * w + b
    return y


@pytest.mark.parametrize(("shape", "groups"), CASES)
def test_matches_the_definition(shape, groups):
    x, weight, bias = arrays(shape)
    what = f"group_norm of x {shape} in {groups} groups"
    with expect.unchanged(x, weight, bias):
        both = group_norm(Tensor(x), groups, Tensor(weight), Tensor(bias))
        only_weight = group_norm(Tensor(x), groups, Tensor(weight))
        only_bias = group_norm(Tensor(x), groups, bias=Tensor(bias))
        neither = group_norm(Tensor(x), groups, eps=0.5)
    expect.tensor(
        neither, definition(x, groups, eps=0.5), f"{what}, without weight and bias, eps 0.5", rtol=1e-10
    )
    expect.tensor(only_weight, definition(x, groups, weight), f"{what}, without bias", rtol=1e-10)
    expect.tensor(only_bias, definition(x, groups, None, bias), f"{what}, without weight", rtol=1e-10)
    expect.tensor(both, definition(x, groups, weight, bias), what, rtol=1e-10)


@pytest.mark.parametrize(("shape", "groups"), CASES)
def test_the_gradients_are_right_to_second_order(shape, groups):
    x, weight, bias = arrays(shape)
    y = group_norm(Tensor(x), groups, weight, bias, 0.1)
    expect.tensor(y, definition(x, groups, weight, bias, 0.1), f"group_norm of x {shape}", rtol=1e-10)
    gradcheck(
        lambda *t: group_norm(t[0], groups, *t[1:], 0.1), x, weight, bias, names=("x", "weight", "bias")
    )


def test_a_second_pass_gives_the_same_gradients_and_leaves_the_incoming_one_alone():
    inputs = [Tensor(a, requires_grad=True) for a in arrays((2, 4, 3))]
    g = np.random.default_rng(2).standard_normal((2, 4, 3))
    given = g.copy()
    y = group_norm(inputs[0], 2, *inputs[1:], 0.1)
    expect.tensor(
        y,
        definition(inputs[0].data, 2, *[t.data for t in inputs[1:]], 0.1),
        "group_norm of x (2, 4, 3)",
        rtol=1e-10,
    )
    first = grad(y, inputs, g)
    for name, before, after in zip(("x", "weight", "bias"), first, grad(y, inputs, g), strict=True):
        message = f"gradient with respect to {name} in a second pass through the same graph"
        expect.tensor(after, before.data, message)
    grad(group_norm(inputs[0], 2), inputs[:1], g)
    expect.equal(g, given, "the gradient that came in, after backward used it,")


@pytest.mark.parametrize("trained", [c for n in (1, 2) for c in combinations(("x", "weight", "bias"), n)])
def test_only_what_requires_a_gradient_gets_one(trained):
    names, data = ("x", "weight", "bias"), arrays((2, 4, 3))
    g = np.random.default_rng(3).standard_normal((2, 4, 3))
    every = [Tensor(a, requires_grad=True) for a in data]
    by_x = grad(group_norm(every[0], 2, *every[1:]), every, g)[0].data
    wanted = {"x": by_x, "weight": (g * definition(data[0], 2)).sum((0, 2)), "bias": g.sum((0, 2))}
    inputs = {name: Tensor(a, requires_grad=name in trained) for name, a in zip(names, data, strict=True)}
    y = group_norm(inputs["x"], 2, inputs["weight"], inputs["bias"])
    expect.tensor(y, definition(data[0], 2, *data[1:]), "group_norm", rtol=1e-10)
    y.backward(g)
    for name, t in inputs.items():
        if name in trained:
            what = f"gradient with respect to {name} where only {' and '.join(trained)} need one"
            expect.close(t.grad, wanted[name], what, rtol=1e-10)
        else:
            expect.true(t.grad is None, f"{name} requires no gradient and should get none")


def test_a_group_is_made_of_neighbours():
    x = np.array([[1.0, 3.0, 10.0, 30.0]])
    y = group_norm(Tensor(x), 2, eps=1e-14)
    expected = np.array([[-1.0, 1.0, -1.0, 1.0]])
    expect.tensor(y, expected, "group_norm of channels 1, 3, 10, 30 in 2 groups", rtol=1e-10)


def test_one_group_normalizes_an_example_and_as_many_as_channels_each_channel():
    x, _, _ = arrays((3, 4, 5))
    rows = x.reshape(3, 20)
    expected = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-5)
    one = group_norm(Tensor(x), 1)
    expect.tensor(one, expected.reshape(x.shape), "group_norm in one group: layer norm", rtol=1e-10)
    expected = (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5)
    expect.tensor(group_norm(Tensor(x), 4), expected, "group_norm in 4 groups: instance norm", rtol=1e-10)


def test_examples_do_not_know_of_each_other():
    x, weight, bias = arrays((3, 4, 2))
    together = group_norm(Tensor(x), 2, weight, bias).data
    for n in range(3):
        alone = group_norm(Tensor(x[n : n + 1]), 2, weight, bias)
        expect.tensor(alone, definition(x[n : n + 1], 2, weight, bias), f"example {n}, alone", rtol=1e-10)
        expect.close(together[n : n + 1], alone.data, f"example {n} in a batch of 3, against the same alone")


def test_float32_stays_float32():
    exact = [Tensor(a, requires_grad=True) for a in arrays((3, 4, 5))]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    want = definition(exact[0].data, 2, exact[1].data, exact[2].data)
    for eps in (1e-5, np.float64(1e-5)):
        y = group_norm(single[0], 2, *single[1:], eps)
        what = f"group_norm in float32, eps {eps!r},"
        expect.tensor(y, want, what, dtype=np.float32, rtol=1e-4, atol=1e-5)
    g = np.random.default_rng(2).standard_normal((3, 4, 5))
    expected = grad(group_norm(exact[0], 2, *exact[1:]), exact, g)
    for name, got, e in zip(
        ("x", "weight", "bias"), grad(y, single, g.astype(np.float32)), expected, strict=True
    ):
        what = f"gradient with respect to {name} in float32"
        expect.tensor(got, e.data, what, dtype=np.float32, rtol=1e-4, atol=1e-4)


def test_equal_or_single_numbers_become_the_bias():
    bias = np.array([1.0, -2.0])
    y = group_norm(Tensor(np.full((2, 2, 3), 7.0)), 1, bias=bias)
    expect.tensor(y, np.tile(bias[:, None], (2, 1, 3)), "group_norm of numbers that are all 7", atol=1e-12)
    y = group_norm(Tensor([[3.0, 5.0]]), 2, bias=bias)
    expect.tensor(y, bias[None], "group_norm of (1, 2) in 2 groups, a number each")


def test_an_empty_batch():
    weight = Tensor([2.0, 3.0], requires_grad=True)
    y = group_norm(Tensor(np.zeros((0, 2, 3))), 1, weight)
    expect.tensor(y, np.zeros((0, 2, 3)), "group_norm of x (0, 2, 3)")
    y.backward(np.zeros((0, 2, 3)))
    expect.close(weight.grad, np.zeros(2), "gradient with respect to weight of an empty batch")
    one = group_norm(Tensor([[1.0, 3.0]]), 1, weight, eps=3.0)
    expect.tensor(one, np.array([[-1.0, 1.5]]), "group_norm of [[1, 3]], eps 3, weight [2, 3]")


def test_arrays_of_another_library_flow_through():
    x, weight, bias = arrays((2, 4, 3))
    y = duck.flows(lambda *t: group_norm(t[0], 2, *t[1:]), x, weight, bias, engine=grad, what="group_norm")
    expect.close(y, definition(x, 2, weight, bias), "group_norm of x (2, 4, 3) in 2 groups", rtol=1e-10)


def test_what_does_not_fit_is_refused():
    x = Tensor(np.ones((2, 6, 3)))
    with expect.raises(ValueError, "(6,)"):
        group_norm(Tensor(np.ones(6)), 2)
    for groups in (4, 0, -2):
        with expect.raises(ValueError, "(2, 6, 3)", str(groups)):
            group_norm(x, groups)
    for shape in ((2,), (1,), (6, 1)):
        with expect.raises(ValueError, "(2, 6, 3)", str(shape)):
            group_norm(x, 2, np.ones(shape))
        with expect.raises(ValueError, "(2, 6, 3)", str(shape)):
            group_norm(x, 2, bias=np.ones(shape))
    with expect.raises(ValueError, "(2, 6, 0)"):
        group_norm(Tensor(np.ones((2, 6, 0))), 2)
    with expect.raises(ValueError, "(2, 0, 3)"):
        group_norm(Tensor(np.ones((2, 0, 3))), 2)


# The layer.


def test_a_layer_begins_as_plain_normalization_in_float32():
    layer = GroupNorm(2, 4)
    expect.equal([name for name, _ in layer.named_parameters()], ["weight", "bias"], "the list of parameters")
    expect.close(layer.weight.data, np.ones(4, np.float32), "the first weight", dtype=np.float32)
    expect.close(layer.bias.data, np.zeros(4, np.float32), "the first bias", dtype=np.float32)
    wide = [p.dtype.name for p in GroupNorm(1, 1, dtype=np.float64).parameters()]
    expect.equal(wide, ["float64"] * 2, "dtypes of the parameters with dtype=np.float64")


def test_a_layer_applies_its_parameters_in_training_and_in_evaluation():
    layer = GroupNorm(2, 4, eps=0.5, dtype=np.float64)
    x, weight, bias = arrays((2, 4, 2, 2))
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    expected = definition(x, 2, weight, bias, 0.5)
    expect.tensor(layer(Tensor(x)), expected, "GroupNorm(2, 4, eps=0.5) of x (2, 4, 2, 2)", rtol=1e-10)
    expect.tensor(layer.eval()(Tensor(x)), expected, "the same after eval()", rtol=1e-10)
    plain = GroupNorm(2, 4, affine=False)
    expect.tensor(plain(Tensor(x)), definition(x, 2), "GroupNorm(2, 4, affine=False), eps 1e-5", rtol=1e-10)
    expect.equal(list(plain.parameters()), [], "the list of parameters with affine=False")
    expect.true(plain.weight is None and plain.bias is None, "weight and bias should be None")


def test_a_layer_refuses_sizes_and_inputs_that_do_not_fit():
    with expect.raises(ValueError, "3", "4"):
        GroupNorm(3, 4)
    with expect.raises(ValueError, "0", "4"):
        GroupNorm(0, 4)
    with expect.raises(ValueError, "2", "0"):
        GroupNorm(2, 0)
    layer = GroupNorm(2, 4, dtype=np.float64)
    with expect.raises(ValueError, "(2, 6)", "4"):
        layer(Tensor(np.ones((2, 6))))
    with expect.raises(ValueError, "(2, 6)", "4"):
        GroupNorm(2, 4, affine=False)(Tensor(np.ones((2, 6))))
    with expect.raises(ValueError, "(4,)"):
        layer(Tensor(np.ones(4)))
    x, _, _ = arrays((2, 4))
    expect.tensor(layer(Tensor(x)), definition(x, 2), "GroupNorm(2, 4) of x (2, 4)", rtol=1e-10)
