"""nn_core.activations.sigmoid: the sigmoid and its logarithm, in the middle and in both tails."""

from math import exp, inf, log1p

import numpy as np
import pytest

from curriculum.testing import expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.activations.sigmoid import LogSigmoid, Sigmoid, log_sigmoid, sigmoid

X = np.array([[-3.0, -1.25, -0.5], [0.0, 0.75, 4.0]])
FAR = [-740.0, -50.0, -20.0, 20.0, 50.0, 740.0]


def sigmoid_of(x):
    """One number, without overflow and without cancelling."""
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def log_sigmoid_of(x):
    return -log1p(exp(-x)) if x >= 0 else x - log1p(exp(x))


def each(function, x):
    """``function`` of every number of x, as an array."""
    return np.array([function(float(v)) for v in np.ravel(x)]).reshape(np.shape(x))


PAIRS = [
    pytest.param(sigmoid, sigmoid_of, id="sigmoid"),
    pytest.param(log_sigmoid, log_sigmoid_of, id="log_sigmoid"),
]


@pytest.mark.parametrize(("function", "definition"), PAIRS)
def test_matches_the_definition(function, definition):
    with expect.unchanged(X):
        y = function(Tensor(X))
    expect.tensor(y, each(definition, X), f"{function.__name__} of six numbers")


@pytest.mark.parametrize(("function", "definition"), PAIRS)
def test_both_tails_keep_their_digits(function, definition):
    for x in FAR:
        expect.tensor(
            function(Tensor([x])), each(definition, [x]), f"{function.__name__}({x})", rtol=1e-12, atol=0.0
        )


def test_infinity_is_a_limit():
    ends = Tensor([-inf, inf])
    expect.tensor(sigmoid(ends), np.array([0.0, 1.0]), "sigmoid of -inf and inf")
    expect.tensor(log_sigmoid(ends), np.array([-inf, 0.0]), "log_sigmoid of -inf and inf")


@pytest.mark.parametrize(("function", "definition"), PAIRS)
def test_the_gradient_is_right_to_second_order(function, definition):
    expect.tensor(function(Tensor(X)), each(definition, X), f"{function.__name__} of six numbers")
    gradcheck(function, X)


def test_the_gradient_of_sigmoid_in_the_left_tail():
    x = Tensor([-50.0, -20.0], requires_grad=True)
    sigmoid(x).backward(np.ones(2))
    slope = each(lambda v: sigmoid_of(v) * sigmoid_of(-v), x.data)
    expect.close(x.grad, slope, "the slope of sigmoid at -50 and -20", rtol=1e-12, atol=0.0)


def test_the_gradient_of_log_sigmoid_keeps_its_digits_in_both_tails():
    x = Tensor(FAR, requires_grad=True)
    log_sigmoid(x).backward(np.ones(6))
    slope = each(lambda v: sigmoid_of(-v), FAR)
    expect.close(x.grad, slope, f"the slope of log_sigmoid at {FAR}", rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(("function", "definition"), PAIRS)
def test_float32_stays_float32(function, definition):
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = function(x)
    name = function.__name__
    expect.tensor(
        y, each(definition, X).astype(np.float32), f"{name} in float32", dtype=np.float32, rtol=1e-5
    )
    (g,) = grad(y, [x], np.ones(X.shape, np.float32))
    wide = Tensor(X, requires_grad=True)
    (want,) = grad(function(wide), [wide], np.ones(X.shape))
    expect.tensor(g, want.data, f"gradient of {name} in float32", dtype=np.float32, rtol=1e-5)


LAYERS = [
    pytest.param(Sigmoid, sigmoid_of, id="Sigmoid"),
    pytest.param(LogSigmoid, log_sigmoid_of, id="LogSigmoid"),
]


@pytest.mark.parametrize(("layer", "definition"), LAYERS)
def test_the_layers_apply_the_functions(layer, definition):
    expect.tensor(layer()(Tensor(X)), each(definition, X), f"{layer.__name__}()(x)")
    gradcheck(layer(), X, of=f"{layer.__name__}()")
    far = [-800.0, 50.0]
    expect.tensor(
        layer()(Tensor(far)),
        each(definition, far),
        f"{layer.__name__}() of -800 and 50",
        rtol=1e-12,
        atol=0.0,
    )
