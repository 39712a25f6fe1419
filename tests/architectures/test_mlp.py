"""The MLP: what its parameters are, how they start, that it computes what it says, and that it learns."""

import math
from itertools import pairwise

import numpy as np
import pytest

from architectures.mlp import MLP, initialized_linear
from curriculum.testing import expect, gradcheck, statistics
from foundations.autograd import grad
from foundations.computational_graph import Tensor

ACTIVATIONS = {  # name: (its definition for one number, the gain of the weights before it)
    "relu": (lambda x: max(x, 0.0), math.sqrt(2.0)),
    "gelu": (lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2, math.sqrt(2.0)),
    "silu": (lambda x: x / (1 + math.exp(-x)), math.sqrt(2.0)),
    "tanh": (math.tanh, 5 / 3),
    "sigmoid": (lambda x: 1 / (1 + math.exp(-x)), 1.0),
}
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def mlp(sizes, activation="relu", seed=0, dtype=np.float64):
    return MLP(sizes, activation, rng=np.random.default_rng(seed), dtype=dtype)


def arrays(model):
    """Weights and biases in turn, first layer first."""
    return [p.data.astype(np.float64) for p in model.parameters()]


def slowly(model, activation, row):
    """The network for one input, one unit after the other, from its weights and biases."""
    definition, h = ACTIVATIONS[activation][0], row.astype(np.float64)
    *hidden, last = zip(arrays(model)[::2], arrays(model)[1::2], strict=True)
    for weight, bias in hidden:
        h = np.array([definition(float(w @ h) + float(b)) for w, b in zip(weight, bias, strict=True)])
    return [float(w @ h) + float(b) for w, b in zip(*last, strict=True)]


def shifted(model):
    """The same model with biases that are not 0, so that a forgotten one shows."""
    for i, p in enumerate(model.parameters()):
        if p.ndim == 1:
            p.data[...] = np.linspace(-0.5, 0.7, p.size) + 0.1 * i
    return model


def check(model, x, activation="relu", rtol=1e-11):
    """The model computes what its parameters say."""
    want = np.array([slowly(model, activation, row) for row in x.reshape(-1, x.shape[-1])])
    want = want.reshape(*x.shape[:-1], -1)
    expect.tensor(model(Tensor(x)), want, f"the output with {activation} for x {x.shape}", rtol=rtol)


# One layer, ready for what follows it.


@pytest.mark.parametrize(
    ("nonlinearity", "gain"), [("linear", 1.0), ("relu", math.sqrt(2.0)), ("tanh", 5 / 3)]
)
def test_a_layer_starts_with_the_variance_that_its_activation_needs(nonlinearity, gain):
    """False alarm: 2e-6 a case, as the kurtosis of 60,000 normal numbers, 3 +- 0.02, is allowed 10 sd."""
    layer = initialized_linear(300, 200, nonlinearity, rng=np.random.default_rng(1))
    expect.tensor(layer.bias, np.zeros(200, np.float32), "the initial bias")
    expect.equal(layer.weight.shape, (200, 300), "the shape of the weight, outputs first")
    what = f"the weights of 300 inputs before {nonlinearity}"
    statistics.mean_is(layer.weight.data, 0.0, gain / math.sqrt(300), what)
    statistics.variance_is(layer.weight.data, gain**2 / 300, what)
    weight = layer.weight.data.astype(np.float64)
    kurtosis = float(np.mean(weight**4) / np.mean(weight**2) ** 2)
    expect.true(
        abs(kurtosis - 3) < 0.2,
        f"{what} should be normal, with E[w^4] = 3 Var[w]^2, yours has {kurtosis:.3g} Var[w]^2:\n"
        "  1.8 is uniform, 1 is two values only",
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_layer_is_an_affine_map_with_two_parameters_of_one_dtype(dtype):
    layer = initialized_linear(3, 2, "relu", rng=np.random.default_rng(0), dtype=dtype)
    expect.equal(
        [(n, p.shape) for n, p in layer.named_parameters()],
        [("weight", (2, 3)), ("bias", (2,))],
        "parameters",
    )
    expect.equal([str(p.dtype) for p in layer.parameters()], [np.dtype(dtype).name] * 2, "their dtypes")
    layer.bias.data[...] = [1.0, -1.0]
    x = np.array([[1.0, 2.0, -3.0], [0.5, 0.0, 4.0]], dtype)
    expect.tensor(layer(x), x @ layer.weight.data.T + layer.bias.data, "x W^T + b", dtype=dtype)


# What the network is made of.


@pytest.mark.parametrize("sizes", [(4, 3), (4, 5, 3), (2, 1, 1, 6), [3, 4, 5, 6, 7]], ids=str)
def test_names_shapes_and_number_of_the_parameters(sizes):
    model = mlp(sizes)
    want = []
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        want += [(f"layers.{2 * layer}.weight", (outputs, inputs)), (f"layers.{2 * layer}.bias", (outputs,))]
    expect.equal([(n, p.shape) for n, p in model.named_parameters()], want, f"the parameters of MLP({sizes})")
    count = sum((i + 1) * o for i, o in pairwise(sizes))
    expect.equal(sum(p.size for p in model.parameters()), count, f"the number of parameters of MLP({sizes})")
    check(shifted(model), np.random.default_rng(1).standard_normal((2, sizes[0])))


@every_activation
def test_hidden_weights_start_for_the_activation_and_the_last_for_none(activation):
    """False alarm: 3e-6 a case."""
    model, gain = mlp((250, 300, 250, 200), activation), ACTIVATIONS[activation][1]
    first, second, last = arrays(model)[::2]
    statistics.variance_is(first, gain**2 / 250, f"the first weight, before {activation}")
    statistics.variance_is(second, gain**2 / 300, f"the second weight, before {activation}")
    statistics.variance_is(last, 1 / 250, "the last weight, which nothing follows")
    expect.true(all(not b.any() for b in arrays(model)[1::2]), "every bias starts at 0")
    check(mlp((3, 4, 2), activation), np.random.default_rng(1).standard_normal((2, 3)), activation)


# What it computes.


@every_activation
def test_the_output_is_what_its_layers_say_one_after_the_other(activation):
    x = np.random.default_rng(1).standard_normal((5, 4))
    model = shifted(mlp((4, 6, 5, 3), activation))
    with expect.unchanged(x, *model.parameters()):
        check(model, x, activation)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 3, 4), (0, 4)], ids=str)
def test_leading_axes_are_kept(shape):
    model = shifted(mlp((4, 6, 3)))
    x = np.random.default_rng(1).standard_normal(shape)
    if x.size:
        check(model, x)
    else:
        expect.equal(model(Tensor(x)).shape, (0, 3), "the shape of the output for no input")
    check(model, np.ones((1, 4)))


def test_without_a_hidden_layer_it_is_linear():
    model = shifted(mlp((3, 2)))
    a, b = np.array([1.0, -2.0, 0.5]), np.array([-3.0, 0.25, 4.0])
    weight, bias = arrays(model)
    expect.tensor(model(Tensor(a)), weight @ a + bias, "MLP((3, 2)) of a")
    expect.tensor(model(Tensor(-5.0 * b)), weight @ (-5.0 * b) + bias, "MLP((3, 2)) of -5 b: nothing bends")


def network(model):
    """The model as a function of its input and all its parameters."""

    def output(x, *parameters):
        for i, weight, bias in zip(range(0, 10, 2), parameters[::2], parameters[1::2], strict=False):
            model.layers[i].weight, model.layers[i].bias = weight, bias
        return model(x)

    return output


@pytest.mark.parametrize("activation", ["tanh", "gelu", "silu", "sigmoid"])
def test_gradients_of_both_orders_through_the_whole_network(activation):
    model, x = shifted(mlp((2, 3, 2, 1), activation)), np.array([[0.5, -1.0], [1.5, 0.25]])
    check(model, x, activation)
    names = ["x", *(name for name, _ in model.named_parameters())]
    gradcheck(network(model), x, *arrays(model), names=names)


def test_gradients_through_relu():
    """The inputs of the ReLUs are at least 0.1 from the kink."""
    model, x = mlp((2, 3, 1)), np.array([[0.5, -1.0], [-1.5, 0.25]])
    values = [
        np.array([[1.0, -0.5], [0.5, 1.0], [-1.0, 0.25]]), np.array([0.1, -0.2, 0.3]),
        np.array([[0.5, -1.0, 2.0]]), np.array([0.4]),
    ]  # fmt: skip
    for p, value in zip(model.parameters(), values, strict=True):
        p.data[...] = value
    check(model, x)
    names = ["x", *(name for name, _ in model.named_parameters())]
    gradcheck(network(model), x, *values, names=names)


# How it starts.


def test_the_seed_decides_and_nothing_else_does():
    x = np.ones((1, 3))
    first, again, other = mlp((3, 4, 4, 2), seed=1), mlp((3, 4, 4, 2), seed=1), mlp((3, 4, 4, 2), seed=2)
    for a, b, c in zip(arrays(first), arrays(again), arrays(other), strict=True):
        expect.equal(a, b, "a parameter of a second model with the same seed")
        expect.true(
            a.ndim == 1 or not np.any(a == c), "models with different seeds start with different weights"
        )
    rng = np.random.default_rng(1)
    MLP((3, 4, 4, 2), rng=rng)
    successor = MLP((3, 4, 4, 2), rng=rng)
    expect.true(
        not np.any(arrays(successor)[0] == arrays(first)[0]), "a second model from one generator differs"
    )
    check(first, x)


def test_no_two_layers_start_alike_and_no_two_models_share_anything():
    model, twin = mlp((4, 4, 4, 4), seed=3), mlp((4, 4, 4, 4), seed=3)
    shapes = [p.shape for p in model.parameters()]
    expect.equal(
        shapes, [(4, 4), (4,)] * 3, "the shapes of the parameters of MLP((4, 4, 4, 4)), none shared,"
    )
    a, b, c = arrays(model)[::2]
    expect.true(not (np.any(a == b) or np.any(b == c)), "every layer draws weights of its own")
    for p in model.parameters():
        p.data += 1.0
    check(twin, np.ones((1, 4)))
    expect.equal(arrays(twin)[0], a, "the first weight of a twin, after the model was changed in place")


def test_signals_keep_their_size_through_twenty_layers():
    """log E[y^2] is -0.13 +- 0.53 over 200 seeds; the limits are 5 sd away: false alarm 6e-7."""
    model = mlp((256,) * 21, seed=4)
    y = model(Tensor(np.random.default_rng(5).standard_normal((32, 256))))
    power = float(np.mean(y.data**2))
    expect.true(
        0.06 < power < 12.5,
        f"after 20 ReLU layers the mean square of a signal should still be near 1, yours is {power:.3g}:\n"
        "  the weights before a ReLU need the variance 2 / fan_in",
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_parameter_and_the_output_have_the_dtype(dtype):
    model = mlp((3, 8, 2), "tanh", dtype=dtype)
    expect.equal(
        [str(p.dtype) for p in model.parameters()], [np.dtype(dtype).name] * 4, "dtypes of the parameters"
    )
    x = Tensor(np.array([[0.5, -1.0, 2.0]], dtype), requires_grad=True)
    y = model(x)
    expect.tensor(y, [slowly(model, "tanh", x.data[0])], "the output", rtol=1e-5, dtype=dtype)
    expect.equal(str(grad(y.sum(), [x])[0].dtype), np.dtype(dtype).name, "the dtype of the gradient of x")
    expect.equal(
        str(MLP((2, 2), rng=np.random.default_rng(0)).layers[0].weight.dtype), "float32", "the default"
    )


# What it learns.


def descend(model, x, target, steps, learning_rate):
    """The mean squared error after ``steps`` of gradient descent."""
    parameters = list(model.parameters())
    for _ in range(steps):
        d = model(Tensor(x)) - target
        for p, g in zip(parameters, grad((d * d).mean(), parameters), strict=True):
            p.data -= learning_rate * g.data
    return float(np.mean((model(Tensor(x)).data - target) ** 2))


def test_it_learns_xor_which_no_linear_model_can():
    """Over 20 seeds log10 of the final loss is -9.5 +- 1.3; the limit is 4 standard deviations above."""
    x = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    target = np.array([[0.0], [1.0], [1.0], [0.0]])
    linear = descend(mlp((2, 1)), x, target, 200, 0.1)
    expect.close(
        linear, 0.25, "the loss of MLP((2, 1)) on XOR: a line can do no better than 1/2 everywhere", rtol=1e-6
    )
    loss = descend(mlp((2, 16, 1), "tanh"), x, target, 200, 0.1)
    expect.true(
        loss < 1e-4,
        f"MLP((2, 16, 1)) with tanh should learn XOR to a loss below 1e-4, yours ends at {loss:.3g}",
    )


# What is refused.


@pytest.mark.parametrize("sizes", [(), (3,), (3, 0, 2), (0, 2), (4, -1)], ids=str)
def test_sizes_that_make_no_network_are_refused(sizes):
    with expect.raises(ValueError, str(sizes)):
        mlp(sizes)


def test_an_unknown_activation_is_refused():
    with expect.raises(ValueError, "swish", *ACTIVATIONS):
        mlp((2, 3, 1), "swish")
    with expect.raises(ValueError, "ReLU"):
        mlp((2, 1), "ReLU")


def test_an_input_of_another_size_is_refused():
    model = mlp((4, 3, 2))
    check(model, np.ones((1, 4)))
    with expect.raises(ValueError, "(2, 5)", "(3, 4)"):
        model(Tensor(np.ones((2, 5))))
