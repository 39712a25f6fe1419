"""nn_core.activations.tanh: tanh as a layer, and hardtanh with its limits."""

from math import inf, nan, tanh

import numpy as np
import pytest

from curriculum.testing import expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.activations.tanh import Hardtanh, Tanh, hardtanh
from nn_core.module import Sequential

X = np.array([[-2.5, -0.75, 0.25], [0.5, 1.5, 0.0]])
LIMITS = [(-1.0, 1.0), (-0.5, 2.0), (0.1, 0.3)]


def limited(x, low, high):
    return np.array([min(max(float(v), low), high) for v in np.ravel(x)]).reshape(np.shape(x))


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_hardtanh_matches_the_definition(low, high):
    with expect.unchanged(X):
        y = hardtanh(Tensor(X), low, high)
    expect.tensor(y, limited(X, low, high), f"hardtanh of six numbers between {low} and {high}")


def test_hardtanh_stops_at_plus_and_minus_one_unless_told_otherwise():
    expect.tensor(hardtanh(Tensor(X)), limited(X, -1, 1), "hardtanh of six numbers")
    expect.tensor(hardtanh(Tensor(X), max_val=0.3), limited(X, -1, 0.3), "hardtanh with max_val=0.3")


@pytest.mark.parametrize(("low", "high"), LIMITS)
def test_the_gradient_of_hardtanh_is_right_to_second_order(low, high):
    expect.tensor(hardtanh(Tensor(X), low, high), limited(X, low, high), "hardtanh of six numbers")
    gradcheck(lambda x: hardtanh(x, low, high), X)


def test_the_gradient_at_a_limit_and_beyond_is_zero():
    x = Tensor([-2.0, -1.0, -0.99, 0.99, 1.0, 2.0], requires_grad=True)
    hardtanh(x).backward(np.array([5.0, 5.0, 5.0, 7.0, 7.0, 7.0]))
    expect.close(x.grad, np.array([0.0, 0.0, 5.0, 7.0, 0.0, 0.0]), "gradient at -2, -1, -0.99, 0.99, 1 and 2")


def test_every_use_keeps_its_own_mask():
    x = Tensor([-2.0, 0.5], requires_grad=True)
    z = Tensor([0.25, 3.0], requires_grad=True)
    first, second = hardtanh(x), hardtanh(z)
    first.backward(np.ones(2))
    second.backward(np.ones(2))
    expect.close(x.grad, np.array([0.0, 1.0]), "gradient of the first of two uses, at -2 and 0.5")
    expect.close(z.grad, np.array([1.0, 0.0]), "gradient of the second of two uses, at 0.25 and 3")


def test_infinities_are_limited_and_nan_stays_nan():
    expect.tensor(
        hardtanh(Tensor([-inf, nan, inf])), np.array([-1.0, nan, 1.0]), "hardtanh of -inf, NaN and inf"
    )


def test_float32_stays_float32():
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = hardtanh(x, -0.5, 0.5)
    expect.tensor(y, limited(X, -0.5, 0.5).astype(np.float32), "hardtanh in float32", dtype=np.float32)
    (g,) = grad(y, [x], np.ones(X.shape, np.float32))
    expect.tensor(
        g, (np.abs(X) < 0.5).astype(np.float32), "gradient of hardtanh in float32", dtype=np.float32
    )


def test_limits_with_nothing_between_them_are_refused():
    with expect.raises(ValueError, "1.5", "-0.5"):
        hardtanh(Tensor(X), 1.5, -0.5)
    with expect.raises(ValueError, "2.0"):
        hardtanh(Tensor(X), 2.0, 2.0)
    with expect.raises(ValueError, "1.5", "-0.5"):
        Hardtanh(1.5, -0.5)
    for low, high, names in ((nan, 0.25, ("nan", "0.25")), (-0.5, nan, ("-0.5", "nan"))):
        with expect.raises(ValueError, *names):
            hardtanh(Tensor(X), low, high)
        with expect.raises(ValueError, *names):
            Hardtanh(low, high)


def test_the_layer_tanh():
    expected = np.array([tanh(v) for v in X.ravel()]).reshape(X.shape)
    expect.tensor(Tanh()(Tensor(X)), expected, "Tanh()(x)")
    gradcheck(Tanh(), X)


def test_the_layer_hardtanh():
    expect.tensor(Hardtanh()(Tensor(X)), limited(X, -1, 1), "Hardtanh()(x)")
    expect.tensor(Hardtanh(-0.5, 0.25)(Tensor(X)), limited(X, -0.5, 0.25), "Hardtanh(-0.5, 0.25)(x)")
    expect.tensor(Hardtanh(max_val=0.4)(Tensor(X)), limited(X, -1, 0.4), "Hardtanh(max_val=0.4)(x)")
    gradcheck(Hardtanh(-0.5, 2.0), X)


def test_the_layer_hardtanh_is_a_module_like_any_other():
    layer = Hardtanh(-0.5, 0.25)
    expect.true(
        getattr(layer, "training", None) is True,
        "a new Hardtanh should be a Module in training mode: does __init__ call super().__init__()?",
    )
    model = Sequential(layer)
    expect.tensor(model(Tensor(X)), limited(X, -0.5, 0.25), "Sequential(Hardtanh(-0.5, 0.25))(x)")
    model.eval()
    expect.equal(layer.training, False, "training of a Hardtanh in a Sequential, after eval()")
