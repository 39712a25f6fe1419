"""nn_core.activations.relu: the ReLU family, at its kinks and away from them."""

from math import exp, expm1, sqrt

import numpy as np
import pytest

from curriculum.testing import expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.activations.relu import (
    ELU,
    LeakyReLU,
    PReLU,
    ReLU,
    SiLU,
    elu,
    leaky_relu,
    prelu,
    relu,
    silu,
)

X = np.array([[-3.0, -1.25, -0.5], [0.25, 0.75, 4.0]])  # away from 0


def each(function, x):
    """``function`` of every number of x, as an array."""
    return np.array([function(float(v)) for v in np.ravel(x)]).reshape(np.shape(x))


def leaky(slope):
    return lambda v: v if v > 0 else slope * v


def elu_of(alpha):
    return lambda v: v if v > 0 else alpha * expm1(v)


def silu_of(v):
    return v / (1 + exp(-v))


FAMILY = [  # the function, its definition for one number, what to call it
    pytest.param(relu, leaky(0.0), "relu", id="relu"),
    pytest.param(leaky_relu, leaky(0.01), "leaky_relu", id="leaky_relu"),
    pytest.param(lambda x: leaky_relu(x, 0.3), leaky(0.3), "leaky_relu with slope 0.3", id="leaky_relu-0.3"),
    pytest.param(lambda x: leaky_relu(x, 1.5), leaky(1.5), "leaky_relu with slope 1.5", id="leaky_relu-1.5"),
    pytest.param(elu, elu_of(1.0), "elu", id="elu"),
    pytest.param(lambda x: elu(x, 0.5), elu_of(0.5), "elu with alpha 0.5", id="elu-0.5"),
    pytest.param(silu, silu_of, "silu", id="silu"),
    pytest.param(lambda x: prelu(x, np.array([0.2])), leaky(0.2), "prelu with weight 0.2", id="prelu"),
]


@pytest.mark.parametrize(("function", "definition", "name"), FAMILY)
def test_matches_the_definition(function, definition, name):
    with expect.unchanged(X):
        y = function(Tensor(X))
    expect.tensor(y, each(definition, X), f"{name} of six numbers")
    expect.tensor(function(Tensor([0.0])), np.array([0.0]), f"{name} of 0")


@pytest.mark.parametrize(("function", "definition", "name"), FAMILY)
def test_the_gradient_is_right_to_second_order(function, definition, name):
    expect.tensor(function(Tensor(X)), each(definition, X), f"{name} of six numbers")
    gradcheck(function, X)


@pytest.mark.parametrize(("function", "definition", "name"), FAMILY)
def test_float32_stays_float32(function, definition, name):
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = prelu(x, np.array([0.2], np.float32)) if name.startswith("prelu") else function(x)
    expect.tensor(y, each(definition, X), f"{name} in float32", dtype=np.float32, rtol=1e-5)
    (g,) = grad(y, [x], np.ones(X.shape, np.float32))
    wide = Tensor(X, requires_grad=True)
    (want,) = grad(function(wide), [wide], np.ones(X.shape))
    expect.tensor(g, want.data, f"gradient of {name} in float32", dtype=np.float32, rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "slope", "name"),
    [
        pytest.param(relu, 0.0, "relu", id="relu"),
        pytest.param(lambda x: leaky_relu(x, 0.3), 0.3, "leaky_relu with slope 0.3", id="leaky_relu"),
        pytest.param(lambda x: prelu(x, np.array([0.2])), 0.2, "prelu with weight 0.2", id="prelu"),
        pytest.param(lambda x: elu(x, 0.5), 0.5, "elu with alpha 0.5", id="elu"),
    ],
)
def test_at_zero_the_gradient_is_the_one_from_the_left(function, slope, name):
    x = Tensor([0.0, -0.0, 1e-30], requires_grad=True)
    function(x).backward(np.array([2.0, 2.0, 2.0]))
    expected = np.array([2 * slope, 2 * slope, 2.0])
    expect.close(x.grad, expected, f"gradient of {name} at 0, -0 and 1e-30", atol=1e-15)


@pytest.mark.parametrize(("function", "definition", "name"), FAMILY)
def test_every_use_keeps_its_own_mask(function, definition, name):
    x, z = Tensor([-1.0, 2.0], requires_grad=True), Tensor([3.0, -0.5], requires_grad=True)
    alone = [grad(function(t), [t], np.ones(2))[0].data for t in (x, z)]
    first, second = function(x), function(z)
    expect.tensor(second, each(definition, z.data), f"{name} of 3 and -0.5")
    first.backward(np.ones(2))
    second.backward(np.ones(2))
    expect.close(x.grad, alone[0], f"gradient of the first of two uses of {name}, at -1 and 2")
    expect.close(z.grad, alone[1], f"gradient of the second of two uses of {name}, at 3 and -0.5")


def test_large_numbers_do_no_harm():
    x = Tensor([-800.0, 800.0], requires_grad=True)
    for function, low in ((relu, 0.0), (leaky_relu, -8.0), (elu, -1.0), (silu, 0.0)):
        y = function(x)
        expect.tensor(y, np.array([low, 800.0]), f"{function.__name__} of -800 and 800", atol=1e-300)
    with expect.quiet("elu of -800 and 800"):
        elu(x).backward(np.ones(2))
    expect.close(x.grad, np.array([0.0, 1.0]), "gradient of elu at -800 and 800", atol=1e-15)


def test_silu_has_its_minimum_left_of_zero():
    low = Tensor([-1.278464542761074], requires_grad=True)
    y = silu(low)
    expect.tensor(y, np.array([-0.2784645427610738]), "silu at its minimum")
    y.backward(np.ones(1))
    expect.close(low.grad, np.zeros(1), "gradient of silu at its minimum", atol=1e-12)


# PReLU: one slope, or one for each channel.

CHANNELS = [(4, 3), (2, 3, 2), (2, 3, 2, 3)]


def channelwise(x, weight):
    """The definition: weight[c] left of 0, c the index on axis 1."""
    y = x.copy()
    for at in np.ndindex(*x.shape):
        if x[at] <= 0:
            y[at] = weight[at[1]] * x[at]
    return y


def away(shape, seed=5):
    """Random numbers at least 0.1 from 0."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return x + 0.1 * np.sign(x)


@pytest.mark.parametrize("shape", CHANNELS)
def test_prelu_has_a_slope_for_each_channel(shape):
    x, weight = away(shape), np.array([0.25, -0.5, 2.0])
    with expect.unchanged(x, weight):
        y = prelu(Tensor(x), Tensor(weight))
    expect.tensor(y, channelwise(x, weight), f"prelu of x {shape} with three slopes")


@pytest.mark.parametrize("shape", CHANNELS)
def test_the_gradients_of_prelu_with_channels_are_right_to_second_order(shape):
    x, weight = away(shape), np.array([0.25, -0.5, 2.0])
    expect.tensor(prelu(Tensor(x), weight), channelwise(x, weight), f"prelu of x {shape}")
    gradcheck(prelu, x, weight, names=("x", "weight"))


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 2)])
def test_the_gradients_of_prelu_with_one_slope_are_right_to_second_order(shape):
    x, weight = away(shape), np.array([0.25])
    expect.tensor(prelu(Tensor(x), weight), each(leaky(0.25), x), f"prelu of x {shape} with one slope")
    gradcheck(prelu, x, weight, names=("x", "weight"))


def test_the_slope_gathers_its_gradient_from_everything_left_of_zero():
    x, weight = Tensor([[-1.0, 2.0], [-3.0, -4.0]]), Tensor([0.5, 0.5], requires_grad=True)
    prelu(x, weight).sum().backward()
    expect.close(
        weight.grad, np.array([-4.0, -4.0]), "gradient with respect to two slopes of [[-1, 2], [-3, -4]]"
    )
    one = Tensor([0.5], requires_grad=True)
    prelu(x, one).sum().backward()
    expect.close(one.grad, np.array([-8.0]), "gradient with respect to one slope of [[-1, 2], [-3, -4]]")


def test_slopes_that_do_not_fit_the_channels_are_refused():
    with expect.raises(ValueError, "(2, 3)", "(2,)"):
        prelu(Tensor(np.ones((2, 3))), Tensor(np.ones(2)))
    with expect.raises(ValueError, "(3,)", "(2,)"):
        prelu(Tensor(np.ones(3)), Tensor(np.ones(2)))
    with expect.raises(ValueError, "(2, 3)", "(1, 3)"):
        prelu(Tensor(np.ones((2, 3))), Tensor(np.ones((1, 3))))


# The layers.


@pytest.mark.parametrize(
    ("make", "definition", "name"),
    [
        pytest.param(lambda: ReLU(), leaky(0.0), "ReLU()", id="ReLU"),
        pytest.param(lambda: LeakyReLU(), leaky(0.01), "LeakyReLU()", id="LeakyReLU"),
        pytest.param(lambda: LeakyReLU(0.4), leaky(0.4), "LeakyReLU(0.4)", id="LeakyReLU-0.4"),
        pytest.param(lambda: ELU(), elu_of(1.0), "ELU()", id="ELU"),
        pytest.param(lambda: ELU(alpha=0.7), elu_of(0.7), "ELU(alpha=0.7)", id="ELU-0.7"),
        pytest.param(lambda: SiLU(), silu_of, "SiLU()", id="SiLU"),
        pytest.param(lambda: PReLU(dtype=np.float64), leaky(0.25), "PReLU()", id="PReLU"),
    ],
)
def test_the_layers_apply_the_functions(make, definition, name):
    expect.tensor(make()(Tensor(X)), each(definition, X), f"{name}(x)")
    gradcheck(make(), X, order=1, of=name)


def test_prelu_learns_its_slopes():
    layer = PReLU(3, init=0.1)
    ((name, weight),) = layer.named_parameters()
    expect.equal(name, "weight", "the name of the parameter of PReLU")
    expect.tensor(weight, np.full(3, 0.1, np.float32), "the slopes of PReLU(3, init=0.1)", dtype=np.float32)
    x = away((2, 3)).astype(np.float32)
    y = layer(Tensor(x))
    expect.tensor(y, channelwise(x, weight.data), "PReLU(3, init=0.1)(x)", dtype=np.float32, rtol=1e-6)
    (g,) = grad(y, [weight], np.ones((2, 3), np.float32))
    expect.tensor(g, np.minimum(x, 0).sum(0), "gradient with respect to the slopes", dtype=np.float32)
    only = [p.shape for p in PReLU().parameters()]
    expect.equal(only, [(1,)], "the list of shapes of the parameters of PReLU()")


def test_relu_passes_half_of_the_energy():
    x = np.random.default_rng(2).standard_normal(200_000)
    kept = float(np.mean(relu(Tensor(x)).data ** 2))
    # Var[max(z, 0)^2] = 3/2 - 1/4 for a normal z: refuses a right answer with probability 1e-6
    allowed = 4.9 * sqrt(1.25 / x.size)
    expect.true(
        abs(kept - 0.5) < allowed, f"relu keeps 1/2 of E[x^2] of normal numbers, yours keeps {kept:.4f}"
    )
