"""gradient_check: the step, the difference, the error, and whether it catches rules that are wrong."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Function, Tensor, as_array
from foundations.elementwise import Tanh, exp, tanh
from foundations.gradient_check import (
    gradient_check,
    numerical_gradient,
    relative_error,
    second_order_check,
    step_size,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class DoubleTanh(Tanh):
    """A rule that is wrong by a factor of 2."""

    def backward(self, grad):
        return super().backward(grad) * 2.0


class DetachedTanh(Tanh):
    """A rule whose values are right, computed outside the graph."""

    def backward(self, grad):
        y = as_array(self.output)
        return grad * (1.0 - y * y)


class SumOnly(Function):
    """Softmax whose rule returns zeros: right for the cotangent 1, wrong for every other."""

    def forward(self, x):
        e = np.exp(x - x.max())
        return e / e.sum()

    def backward(self, grad):
        return grad * 0.0


# Definition


def test_the_step_grows_with_x_and_follows_the_dtype():
    x = np.array([[0.0, 0.5], [-3.0, 1e4]])
    h = np.finfo(np.float64).eps ** (1 / 3)
    expect.close(step_size(x), h * np.array([[1, 1], [3, 1e4]]), "step for x = [[0, 0.5], [-3, 10000]]")
    single = np.float32(np.finfo(np.float32).eps) ** (1 / 3) * np.array([1.0, 2.0])
    expect.close(
        step_size(np.array([0.5, 2.0], np.float32)), single, "step in float32", rtol=1e-5, dtype=np.float32
    )


def test_numerical_gradient_of_a_quadratic(rng):
    """Central differences are exact for quadratics, up to rounding."""
    a, x = rng.standard_normal((4, 4)), rng.standard_normal(4)
    got = numerical_gradient(lambda v: float(v @ a @ v), x)
    expect.close(got, (a + a.T) @ x, "numerical gradient of x^T A x", rtol=1e-9, atol=1e-9)


def test_numerical_gradient_has_the_shape_of_x_and_leaves_it_alone(rng):
    x = rng.standard_normal((2, 3))
    with expect.unchanged(x):
        got = numerical_gradient(lambda v: float(np.exp(v).sum()), x)
    expect.close(got, np.exp(x), "numerical gradient of sum(exp(x))", rtol=1e-8)


def test_numerical_gradient_gives_copies_to_f(rng):
    x = rng.standard_normal(3)

    def f(v):
        value = float((v**2).sum())
        v[:] = 0.0  # what f does to its argument must not matter
        return value

    expect.close(
        numerical_gradient(f, x),
        2 * x,
        "numerical gradient of a function that spoils its argument",
        rtol=1e-8,
    )


def test_two_thirds_of_the_digits():
    """The error stays near eps^(2/3); with a fixed or a one-sided step it is far from it."""
    x = np.linspace(0.0, 1000.0, 11)
    error = np.abs(numerical_gradient(lambda v: float(np.sin(v / 100).sum() * 100), x) - np.cos(x / 100))
    worst = float(np.max(error))
    expect.true(
        worst < 2e-8,
        f"for x up to 1000 the error should be below 2e-8, is {worst:.1e}",
    )
    small = np.array([0.3, 0.7])
    close = float(np.max(np.abs(numerical_gradient(lambda v: float(np.exp(v).sum()), small) - np.exp(small))))
    expect.true(
        close < 1e-9, f"the error of the numerical gradient of exp should be below 1e-9, is {close:.1e}"
    )


def test_relative_error_is_relative_to_the_largest_magnitude():
    a, b = np.array([100.0, 1e-9]), np.array([99.0, 0.0])
    expect.close(relative_error(a, b), 0.01, "relative error of [100, 1e-9] and [99, 0]")
    expect.close(relative_error(b, a), 0.01, "the same, exchanged")
    expect.close(relative_error(-a, a), 2.0, "relative error of opposite arrays")


def test_relative_error_of_zeros_and_below_the_floor():
    z = np.zeros(2)
    expect.close(relative_error(z, z), 0.0, "relative error of zeros")
    expect.close(
        relative_error(z, np.array([1e-9, 0.0])), 1.0, "relative error of 0 and 1e-9 without a floor"
    )
    expect.close(relative_error(z, np.array([1e-9, 0.0]), floor=1e-3), 1e-6, "the same with a floor of 1e-3")
    expect.close(relative_error(np.zeros(0), np.zeros(0), floor=1.0), 0.0, "relative error of empty arrays")


def test_relative_error_lets_nan_through():
    got = relative_error(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))
    expect.close(got, float("nan"), "relative error of an array with NaN")


# The checks


def test_right_rules_pass(rng):
    inputs = [rng.standard_normal((2, 3)), rng.standard_normal(3)]
    for check in (gradient_check, second_order_check):
        found = check(
            lambda x, w: tanh(x * w) * exp(w), inputs, names=["x", "w"], rng=np.random.default_rng(1)
        )
        expect.equal(
            [(c.name, c.passed) for c in found], [("x", True), ("w", True)], f"verdict of {check.__name__}"
        )
        worst = max(c.error for c in found)
        expect.true(
            worst < 1e-8, f"{check.__name__} of a right rule should have an error below 1e-8, has {worst:.1e}"
        )


def test_the_report_holds_both_gradients(rng):
    x = rng.standard_normal(3)
    (c,) = gradient_check(lambda t: t * t, [x], rng=rng)
    expect.close(c.numeric, c.analytic, "numeric gradient of x * x", rtol=1e-7)
    ratio = c.analytic / (2 * x)  # the cotangent that was drawn
    expect.true(float(np.std(ratio)) > 0.01, f"the cotangent should be random, got {ratio}")
    expect.close(c.error, relative_error(c.analytic, c.numeric, floor=1e-3), "error")
    expect.equal(c.name, "input 0", "default name")


def test_a_factor_of_two_is_caught(rng):
    x, w = rng.standard_normal(3), rng.standard_normal(3)
    found = gradient_check(lambda a, b: DoubleTanh.apply(a) + b, [x, w], rng=rng)
    expect.equal(
        [c.passed for c in found], [False, True], "verdict of a rule with a factor of 2 on the first input"
    )
    expect.close(found[0].error, 0.5, "error of a rule with a factor of 2", rtol=1e-6)


def test_a_softmax_rule_of_zeros_is_caught(rng):
    (c,) = gradient_check(SumOnly.apply, [rng.standard_normal(4)], rng=rng)
    expect.equal(
        c.passed, False, "verdict of a softmax rule that returns zeros (a cotangent of ones misses it)"
    )


def test_a_rule_outside_the_graph_is_caught_at_second_order(rng):
    x = rng.standard_normal(4)
    (first,) = gradient_check(DetachedTanh.apply, [x], rng=rng)
    (second,) = second_order_check(DetachedTanh.apply, [x], rng=rng)
    expect.equal((first.passed, second.passed), (True, False), "verdicts of first and second order")
    expect.close(second.analytic, np.zeros(4), "analytic second derivative of a rule outside the graph")


def test_inputs_stay_as_they_are(rng):
    x, w = rng.standard_normal((2, 2)), rng.standard_normal(2)
    with expect.unchanged(x, w):
        found = gradient_check(lambda a, b: a * b, [x, w], rng=rng) + second_order_check(
            lambda a, b: a * b, [x, w], rng=rng
        )
    expect.equal([c.passed for c in found], [True] * 4, "verdicts for x * w")


def test_functions_that_do_not_depend_on_an_input(rng):
    x, w = rng.standard_normal(2), rng.standard_normal(2)
    found = gradient_check(lambda a, b: tanh(a), [x, w], rng=rng)
    found += gradient_check(lambda a: Tensor(np.ones(2)), [x], rng=rng)
    expect.equal([c.passed for c in found], [True] * 3, "verdicts where an input does not matter")
    expect.close(found[1].analytic, np.zeros(2), "gradient with respect to what does not matter")


def test_the_tolerance_decides(rng):
    x = rng.standard_normal(3)
    (strict,) = gradient_check(tanh, [x], tolerance=0.0, rng=np.random.default_rng(2))
    (loose,) = gradient_check(DoubleTanh.apply, [x], tolerance=0.6, rng=np.random.default_rng(2))
    expect.equal(
        (strict.passed, loose.passed), (False, True), "verdicts at tolerance 0 and at 0.6 for an error of 0.5"
    )
    (exact,) = gradient_check(lambda t: Tensor(np.ones(2)), [x], tolerance=0.0, rng=rng)
    expect.equal((exact.passed, exact.error), (True, 0.0), "verdict and error of a constant at tolerance 0")


# Mistakes


def test_whole_numbers_are_refused():
    with expect.raises(TypeError, "int64"):
        numerical_gradient(lambda v: float(v.sum()), np.array([1, 2], np.int64))


def test_shapes_must_agree():
    with expect.raises(ValueError, "(2,)", "(3,)"):
        relative_error(np.zeros(2), np.zeros(3))
