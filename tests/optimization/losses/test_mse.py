"""Regression losses: their definition a number at a time, their slopes, and what they refuse."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, engine, expect, gradcheck, strategies
from foundations.autograd import grad
from foundations.computational_graph import Tensor
from optimization.losses.mse import (
    HuberLoss,
    L1Loss,
    MSELoss,
    difference,
    huber_loss,
    l1_loss,
    mse_loss,
    reduce,
)

PREDICTION = np.array([[0.5, -2.0, 3.0], [-0.25, 1.5, -4.0]])
TARGET = np.array([[0.25, 1.0, 2.75], [3.0, 1.75, -4.5]])  # differences: 0.25, -3, 0.25, -3.25, -0.25, 0.5


def huber(d: float, delta: float) -> float:
    return d * d / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2)


LOSSES = {  # name: (the loss, its definition for one difference, its slope)
    "mse_loss": (mse_loss, lambda d: d * d, lambda d: 2 * d),
    "l1_loss": (l1_loss, abs, lambda d: math.copysign(1, d) if d else 0.0),
    "huber_loss": (huber_loss, lambda d: huber(d, 1.0), lambda d: max(-1.0, min(d, 1.0))),
}
REDUCED = {"mean": np.mean, "sum": np.sum, "none": lambda losses: losses}
loss_names = pytest.mark.parametrize("name", LOSSES)
reductions = pytest.mark.parametrize("reduction", REDUCED)


def slowly(definition, prediction, target):
    """``definition`` applied to one difference after the other."""
    pairs = zip(prediction.ravel(), target.ravel(), strict=True)
    return np.array([definition(float(p - t)) for p, t in pairs]).reshape(prediction.shape)


# The pieces.


@reductions
def test_reduce_makes_one_number_or_leaves_the_losses_alone(reduction):
    losses = Tensor(np.array([[1.0, 2.0, 6.0], [0.5, 0.25, 3.0]]))
    expect.tensor(
        reduce(losses, reduction), REDUCED[reduction](losses.data), f"'{reduction}' of (2, 3) losses"
    )
    expect.tensor(reduce(losses, "sum"), 12.75, "'sum' of (2, 3) losses")
    expect.tensor(reduce(losses, "mean"), 2.125, "'mean' of (2, 3) losses")


def test_the_difference_is_prediction_minus_target():
    with expect.unchanged(PREDICTION, TARGET):
        expect.tensor(difference(PREDICTION, TARGET), PREDICTION - TARGET, "the difference of two arrays")
    expect.tensor(difference(Tensor(PREDICTION), TARGET), PREDICTION - TARGET, "of a Tensor and an array")
    expect.tensor(difference(PREDICTION, Tensor(TARGET)), PREDICTION - TARGET, "of an array and a Tensor")
    expect.tensor(difference([3.0], [1.0]), [2.0], "the difference of [3] and [1]")


# The losses by their definition.


@loss_names
@reductions
def test_each_loss_follows_its_definition(name, reduction):
    loss, definition, _ = LOSSES[name]
    want = REDUCED[reduction](slowly(definition, PREDICTION, TARGET))
    with expect.unchanged(PREDICTION, TARGET):
        got = loss(Tensor(PREDICTION), TARGET, reduction)
    expect.tensor(got, want, f"{name} of (2, 3) with reduction '{reduction}'")


@loss_names
def test_the_mean_is_what_you_get_without_asking(name):
    loss, definition, _ = LOSSES[name]
    expect.tensor(
        loss(PREDICTION, TARGET), slowly(definition, PREDICTION, TARGET).mean(), f"{name} of (2, 3)"
    )


@pytest.mark.parametrize("delta", [0.1, 0.5, 3.0])
def test_huber_changes_from_squared_to_absolute_at_delta(delta):
    want = slowly(lambda d: huber(d, delta), PREDICTION, TARGET)
    got = huber_loss(Tensor(PREDICTION), TARGET, "none", delta)
    expect.tensor(got, want, f"huber_loss with delta={delta} of differences between -3.25 and 0.5")


def test_huber_with_a_large_delta_is_half_the_squared_error_and_with_a_small_one_the_absolute():
    d = PREDICTION - TARGET
    wide, narrow = (huber_loss(PREDICTION, TARGET, "none", delta) for delta in (100.0, 1e-9))
    expect.tensor(wide, d * d / 2, "huber_loss with delta=100")
    endless = huber_loss(PREDICTION, TARGET, "none", math.inf)
    expect.tensor(endless, d * d / 2, "huber_loss with delta=inf")
    expect.tensor(narrow * 1e9, np.abs(d), "huber_loss with delta=1e-9, divided by delta", rtol=1e-8)


# Calculus.


@loss_names
@reductions
def test_gradients_of_both_orders(name, reduction):
    loss, definition, _ = LOSSES[name]
    want = REDUCED[reduction](slowly(definition, PREDICTION, TARGET))
    expect.tensor(loss(PREDICTION, TARGET, reduction), want, f"{name} of (2, 3), '{reduction}'")
    gradcheck(lambda p, t: loss(p, t, reduction), PREDICTION, TARGET, names=("prediction", "target"))


@loss_names
def test_the_gradient_of_the_mean_is_the_slope_over_the_number_of_elements(name):
    loss, _, slope = LOSSES[name]
    prediction = Tensor(PREDICTION, requires_grad=True)
    (got,) = grad(loss(prediction, TARGET), [prediction])
    want = slowly(slope, PREDICTION, TARGET) / 6
    expect.tensor(got, want, f"the gradient of {name}, mean over 6 elements", sizes={"elements": 6})


@loss_names
def test_a_perfect_prediction_has_no_gradient(name):
    loss, definition, slope = LOSSES[name]
    prediction, target = Tensor(np.array([1.0, 2.0, -3.0]), requires_grad=True), np.array([1.0, 2.0, -2.5])
    y = loss(prediction, target, "sum")
    expect.tensor(y, definition(-0.5), f"{name}, one of three wrong by 0.5")
    expect.tensor(grad(y, [prediction])[0], [0.0, 0.0, slope(-0.5)], f"the gradient of {name}")


def test_an_outlier_pulls_no_harder_than_delta():
    prediction, target = Tensor(np.zeros(3), requires_grad=True), np.array([0.5, -1.0, 1e6])
    (got,) = grad(huber_loss(prediction, target, "sum", 2.0), [prediction])
    expect.tensor(got, [-0.5, 1.0, -2.0], "the gradient of huber_loss with delta=2, targets 0.5, -1, 1e6")


# What is always true.


@given(x=strategies.arrays(strategies.shapes(0, 3, 1, 3)), name=st.sampled_from(list(LOSSES)))
def test_sum_and_mean_agree_with_the_losses_for_every_shape(x, name):
    loss, definition, _ = LOSSES[name]
    target = x * 0.5 + 1.0
    each = slowly(definition, x, target)
    for reduction, want in (("none", each), ("sum", each.sum()), ("mean", each.mean())):
        expect.tensor(loss(x, target, reduction), want, f"{name} of {x.shape}, '{reduction}'", rtol=1e-10)


@loss_names
@reductions
def test_float32_stays_float32(name, reduction):
    loss, definition, slope = LOSSES[name]
    prediction, target = Tensor(PREDICTION.astype(np.float32), requires_grad=True), TARGET.astype(np.float32)
    options = {"delta": np.float64(1.0)} if name == "huber_loss" else {}
    y = loss(prediction, target, reduction, **options)
    want = REDUCED[reduction](slowly(definition, PREDICTION, TARGET))
    expect.tensor(y, want, f"{name} in float32, '{reduction}'", rtol=1e-5, dtype=np.float32)
    (got,) = engine.grad(y, [prediction], np.ones(y.shape, np.float32))  # the kit's engine does not cast
    slopes = slowly(slope, PREDICTION, TARGET) / (6 if reduction == "mean" else 1)
    expect.tensor(got, slopes, f"the gradient of {name}, '{reduction}'", rtol=1e-5, dtype=np.float32)


@loss_names
def test_arrays_of_another_library_flow_through(name):
    loss, definition, _ = LOSSES[name]
    got = duck.flows(loss, PREDICTION, TARGET, engine=engine.grad, what=name)
    expect.close(got, slowly(definition, PREDICTION, TARGET).mean(), f"{name} of foreign arrays")


@pytest.mark.parametrize("kind", [MSELoss, L1Loss, HuberLoss], ids=lambda kind: kind.__name__)
def test_the_modules_call_the_functions(kind):
    definition = LOSSES[{MSELoss: "mse_loss", L1Loss: "l1_loss", HuberLoss: "huber_loss"}[kind]][1]
    want = slowly(definition, PREDICTION, TARGET)
    expect.tensor(kind()(Tensor(PREDICTION), TARGET), want.mean(), f"{kind.__name__}()")
    expect.tensor(kind("sum")(Tensor(PREDICTION), TARGET), want.sum(), f"{kind.__name__}('sum')")


# What is refused.


@pytest.mark.parametrize("f", [difference, mse_loss, l1_loss, huber_loss], ids=lambda f: f.__name__)
def test_shapes_that_would_broadcast_are_refused(f):
    for prediction, target in ((4, 1), (4,)), ((2, 3), (1, 3)), ((), (1,)):
        with expect.raises(ValueError, str(prediction), str(target)):
            f(np.ones(prediction), np.zeros(target))


@loss_names
def test_an_unknown_reduction_is_refused(name):
    with expect.raises(ValueError, "average", "mean", "sum", "none"):
        LOSSES[name][0](PREDICTION, TARGET, "average")
    with expect.raises(ValueError, "None"):
        LOSSES[name][0](PREDICTION, TARGET, None)


def test_the_mean_of_no_losses_is_refused_and_their_sum_is_zero():
    with expect.raises(ValueError):
        mse_loss(np.zeros((0, 3)), np.zeros((0, 3)))
    expect.tensor(mse_loss(np.zeros((0, 3)), np.zeros((0, 3)), "sum"), 0.0, "the sum of no losses")


@pytest.mark.parametrize("delta", [0.0, -1.5, math.nan])
def test_huber_refuses_a_delta_that_is_not_positive(delta):
    with expect.raises(ValueError, str(delta)):
        huber_loss(PREDICTION, TARGET, delta=delta)
