"""nn_core.normalization.instancenorm: against its definition, against calculus, and as layers."""

from itertools import combinations
from math import fsum, sqrt

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.normalization.instancenorm import InstanceNorm1d, InstanceNorm2d, instance_norm

CASES = [
    pytest.param((2, 3, 4), id="N C L"),
    pytest.param((3, 3, 3), id="cube"),
    pytest.param((2, 2, 2, 3), id="N C H W"),
    pytest.param((1, 1, 5), id="one channel"),
]


def arrays(shape, seed=5):
    """x, weight and bias in float64; channels of different scale, no weight near 0 or 1."""
    rng = np.random.default_rng(seed)
    c = shape[1]
    x = rng.normal(1.0, 2.0, shape) * rng.uniform(0.5, 3.0, c).reshape(-1, *[1] * (len(shape) - 2))
    return x, rng.uniform(1.5, 3.0, c), rng.standard_normal(c)


def definition(x, weight=None, bias=None, eps=1e-5):
    """Each channel of each example by itself, one number at a time."""
    y = np.zeros(x.shape)
    for n, c in np.ndindex(*x.shape[:2]):
        values = [float(v) for v in x[n, c].reshape(-1)]
        mean = fsum(values) / len(values)
        root = sqrt(fsum((v - mean) ** 2 for v in values) / len(values) + eps)
        w, b = 1.0 if weight is None else weight[c], 0.0 if bias is None else bias[c]
        y[n, c] = (x[n, c] - mean) / root * w + b
    return y


@pytest.mark.parametrize("shape", CASES)
def test_matches_the_definition(shape):
    x, weight, bias = arrays(shape)
    what = f"instance_norm of x {shape}"
    with expect.unchanged(x, weight, bias):
        both = instance_norm(Tensor(x), Tensor(weight), Tensor(bias))
        only_weight = instance_norm(Tensor(x), Tensor(weight))
        only_bias = instance_norm(Tensor(x), bias=Tensor(bias))
        neither = instance_norm(Tensor(x), eps=0.5)
    expect.tensor(neither, definition(x, eps=0.5), f"{what}, without weight and bias, eps 0.5", rtol=1e-10)
    expect.tensor(only_weight, definition(x, weight), f"{what}, without bias", rtol=1e-10)
    expect.tensor(only_bias, definition(x, None, bias), f"{what}, without weight", rtol=1e-10)
    expect.tensor(both, definition(x, weight, bias), what, rtol=1e-10)


@pytest.mark.parametrize("shape", CASES)
def test_the_gradients_are_right_to_second_order(shape):
    x, weight, bias = arrays(shape)
    y = instance_norm(Tensor(x), weight, bias, 0.1)
    expect.tensor(y, definition(x, weight, bias, 0.1), f"instance_norm of x {shape}", rtol=1e-10)
    gradcheck(lambda *t: instance_norm(*t, 0.1), x, weight, bias, names=("x", "weight", "bias"))


def test_a_second_pass_gives_the_same_gradients_and_leaves_the_incoming_one_alone():
    inputs = [Tensor(a, requires_grad=True) for a in arrays((2, 3, 4))]
    g = np.random.default_rng(2).standard_normal((2, 3, 4))
    given = g.copy()
    y = instance_norm(*inputs, 0.1)
    expect.tensor(y, definition(*[t.data for t in inputs], 0.1), "instance_norm of x (2, 3, 4)", rtol=1e-10)
    first = grad(y, inputs, g)
    for name, before, after in zip(("x", "weight", "bias"), first, grad(y, inputs, g), strict=True):
        message = f"gradient with respect to {name} in a second pass through the same graph"
        expect.tensor(after, before.data, message)
    grad(instance_norm(inputs[0]), inputs[:1], g)
    expect.equal(g, given, "the gradient that came in, after backward used it,")


@pytest.mark.parametrize("trained", [c for n in (1, 2) for c in combinations(("x", "weight", "bias"), n)])
def test_only_what_requires_a_gradient_gets_one(trained):
    names, data = ("x", "weight", "bias"), arrays((2, 3, 4))
    g = np.random.default_rng(3).standard_normal((2, 3, 4))
    every = [Tensor(a, requires_grad=True) for a in data]
    by_x = grad(instance_norm(*every), every, g)[0].data
    wanted = {"x": by_x, "weight": (g * definition(data[0])).sum((0, 2)), "bias": g.sum((0, 2))}
    inputs = {name: Tensor(a, requires_grad=name in trained) for name, a in zip(names, data, strict=True)}
    y = instance_norm(*inputs.values())
    expect.tensor(y, definition(*data), "instance_norm", rtol=1e-10)
    y.backward(g)
    for name, t in inputs.items():
        if name in trained:
            what = f"gradient with respect to {name} where only {' and '.join(trained)} need one"
            expect.close(t.grad, wanted[name], what, rtol=1e-10)
        else:
            expect.true(t.grad is None, f"{name} requires no gradient and should get none")


def test_brightness_and_contrast_of_a_channel_change_nothing():
    x, weight, bias = arrays((2, 3, 4))
    rng = np.random.default_rng(1)
    moved = x * rng.uniform(0.5, 9.0, (2, 3, 1)) + rng.normal(0.0, 5.0, (2, 3, 1))
    y = instance_norm(Tensor(moved), weight, bias, 1e-14)
    expected = definition(x, weight, bias, 0.0)
    expect.tensor(y, expected, "instance_norm with every channel shifted and stretched", rtol=1e-8)
    t = Tensor(x, requires_grad=True)
    instance_norm(t, weight, bias, 1e-14).backward(rng.standard_normal((2, 3, 4)))
    expect.true(bool(np.max(np.abs(t.grad)) > 1e-3), "the gradient with respect to x should not vanish")
    expect.close(t.grad.sum(2), np.zeros((2, 3)), "the sum of the gradient of each channel", atol=1e-10)
    expect.close((t.grad * x).sum(2), np.zeros((2, 3)), "<gradient, x> of each channel", atol=1e-10)


def test_neither_examples_nor_channels_know_of_each_other():
    x, _, _ = arrays((2, 3, 4))
    together = instance_norm(Tensor(x)).data
    for n, c in np.ndindex(2, 3):
        part = x[n : n + 1, c : c + 1]
        alone = instance_norm(Tensor(part))
        expect.tensor(alone, definition(part), f"channel {c} of example {n}, alone", rtol=1e-10)
        expect.close(together[n : n + 1, c : c + 1], alone.data, f"channel {c} of example {n}, among others")


def test_float32_stays_float32():
    x, weight, bias = (a.astype(np.float32) for a in arrays((2, 3, 4)))
    t = Tensor(x, requires_grad=True)
    want = definition(x.astype(np.float64), weight, bias)
    for eps in (1e-5, np.float64(1e-5)):
        y = instance_norm(t, weight, bias, eps)
        what = f"instance_norm in float32, eps {eps!r},"
        expect.tensor(y, want, what, dtype=np.float32, rtol=1e-4, atol=1e-5)
    exact, g = Tensor(x.astype(np.float64), requires_grad=True), np.ones((2, 3, 4)).cumsum(2)
    (expected,) = grad(instance_norm(exact, weight.astype(np.float64)), [exact], g)
    (got,) = grad(y, [t], g.astype(np.float32))
    expect.tensor(got, expected.data, "gradient in float32", dtype=np.float32, rtol=1e-4, atol=1e-4)


def test_a_channel_of_equal_numbers_becomes_the_bias():
    bias = np.array([1.0, -2.0])
    y = instance_norm(Tensor(np.full((2, 2, 3), 7.0)), bias=bias)
    expect.tensor(y, np.tile(bias[:, None], (2, 1, 3)), "instance_norm of numbers that are all 7", atol=1e-12)


def test_an_empty_batch():
    expect.tensor(
        instance_norm(Tensor(np.zeros((0, 2, 3)))), np.zeros((0, 2, 3)), "instance_norm of (0, 2, 3)"
    )
    one = instance_norm(Tensor([[[1.0, 3.0]]]), eps=3.0)
    expect.tensor(one, np.array([[[-0.5, 0.5]]]), "instance_norm of [[[1, 3]]], eps 3")


def test_arrays_of_another_library_flow_through():
    x, weight, bias = arrays((2, 3, 4))
    y = duck.flows(instance_norm, x, weight, bias, engine=grad, what="instance_norm")
    expect.close(y, definition(x, weight, bias), "instance_norm of x (2, 3, 4)", rtol=1e-10)


def test_what_does_not_fit_is_refused():
    for shape in ((4, 3), (4, 3, 1), (4, 3, 1, 1), (4, 3, 0), (4, 0, 3)):
        with expect.raises(ValueError, str(shape)):
            instance_norm(Tensor(np.ones(shape)))
    with expect.raises(ValueError, "(2, 3, 4)", "(4,)"):
        instance_norm(Tensor(np.ones((2, 3, 4))), np.ones(4))
    with expect.raises(ValueError, "(2, 3, 4)", "(1,)"):
        instance_norm(Tensor(np.ones((2, 3, 4))), None, np.ones(1))


# The layers.


def test_a_layer_learns_nothing_unless_told():
    x, _, _ = arrays((2, 3, 4))
    layer = InstanceNorm1d(3)
    expect.equal(list(layer.state_dict()), [], "the list of names in the state of InstanceNorm1d(3)")
    expect.true(layer.weight is None and layer.bias is None, "weight and bias should be None")
    expect.tensor(layer(Tensor(x)), definition(x), "InstanceNorm1d(3), eps 1e-5", rtol=1e-10)
    learning = InstanceNorm2d(3, affine=True)
    expect.equal([n for n, _ in learning.named_parameters()], ["weight", "bias"], "the list of parameters")
    expect.close(learning.weight.data, np.ones(3, np.float32), "the first weight", dtype=np.float32)
    expect.close(learning.bias.data, np.zeros(3, np.float32), "the first bias", dtype=np.float32)
    wide = [p.dtype.name for p in InstanceNorm2d(1, affine=True, dtype=np.float64).parameters()]
    expect.equal(wide, ["float64"] * 2, "dtypes of the parameters with dtype=np.float64")


def test_a_layer_applies_its_parameters_in_training_and_in_evaluation():
    layer = InstanceNorm2d(2, eps=0.5, affine=True, dtype=np.float64)
    x, weight, bias = arrays((3, 2, 2, 2))
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    expected = definition(x, weight, bias, 0.5)
    expect.tensor(layer(Tensor(x)), expected, "InstanceNorm2d(2, eps=0.5) of x (3, 2, 2, 2)", rtol=1e-10)
    expect.tensor(layer.eval()(Tensor(x)), expected, "the same after eval()", rtol=1e-10)


def test_a_layer_refuses_sizes_and_inputs_that_do_not_fit():
    with expect.raises(ValueError, "0"):
        InstanceNorm1d(0)
    with expect.raises(ValueError, "(2, 4, 5)", "3"):
        InstanceNorm1d(3)(Tensor(np.ones((2, 4, 5))))
    with expect.raises(ValueError, "(2, 3, 4, 4)"):
        InstanceNorm1d(3)(Tensor(np.ones((2, 3, 4, 4))))
    with expect.raises(ValueError, "(2, 3, 4)"):
        InstanceNorm2d(3)(Tensor(np.ones((2, 3, 4))))
    x, _, _ = arrays((2, 3, 4))
    expect.tensor(InstanceNorm1d(3)(Tensor(x)), definition(x), "InstanceNorm1d(3) of x (2, 3, 4)", rtol=1e-10)
