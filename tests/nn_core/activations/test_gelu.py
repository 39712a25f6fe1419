"""nn_core.activations.gelu: the normal distribution to the last digits, and the two forms made with it."""

from math import erfc, exp, inf, pi, sqrt, tanh

import numpy as np
import pytest

from curriculum.testing import expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from nn_core.activations.gelu import GELU, gelu, normal_cdf

X = np.array([[-4.0, -1.25, -0.5, 0.0], [0.25, 0.75, 2.0, 5.0]])


def cdf(x):
    """Phi of one number: 1 + erf would cancel on the left, erfc does not."""
    return 0.5 * erfc(-x / sqrt(2))


def exact(x):
    return x * cdf(x)


def approximate(x):
    return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))


def each(function, x):
    """``function`` of every number of x, as an array."""
    return np.array([function(float(v)) for v in np.ravel(x)]).reshape(np.shape(x))


FORMS = [pytest.param("none", exact, id="exact"), pytest.param("tanh", approximate, id="tanh")]


def test_the_normal_cdf_has_thirteen_digits():
    x = np.linspace(-8, 8, 321)
    with expect.unchanged(x):
        y = normal_cdf(x)
    expect.close(y, each(cdf, x), "normal_cdf from -8 to 8", rtol=1e-13, atol=0.0)


def test_the_normal_cdf_keeps_twelve_digits_far_to_the_left():
    x = np.array([-37.0, -30.0, -20.5, -12.0, -9.0])
    expect.close(normal_cdf(x), each(cdf, x), f"normal_cdf of {x}", rtol=1e-12, atol=0.0)


def test_the_normal_cdf_in_float32():
    x = np.linspace(-5, 5, 101, dtype=np.float32)
    expected = each(cdf, x).astype(np.float32)
    expect.close(normal_cdf(x), expected, "normal_cdf in float32", rtol=2e-6, atol=0.0, dtype=np.float32)


def test_the_normal_cdf_at_its_ends_and_in_the_middle():
    x = np.array([-inf, -100.0, -0.0, 0.0, 100.0, inf])
    expect.close(normal_cdf(x), np.array([0.0, 0.0, 0.5, 0.5, 1.0, 1.0]), f"normal_cdf of {x}", atol=1e-15)


@pytest.mark.parametrize("shape", [(), (2, 4), (2, 1, 2, 2)], ids=str)
def test_the_normal_cdf_of_any_shape(shape):
    x = np.full((), -1.25) if shape == () else X.reshape(shape)
    expect.close(normal_cdf(x), each(cdf, x), f"normal_cdf of an array {shape}", rtol=1e-13, atol=0.0)


@pytest.mark.parametrize(("form", "definition"), FORMS)
def test_matches_the_definition(form, definition):
    with expect.unchanged(X):
        y = gelu(Tensor(X), form)
    expect.tensor(y, each(definition, X), f"gelu(x, '{form}') of eight numbers")


def test_the_exact_form_is_the_default():
    expect.tensor(gelu(Tensor(X)), each(exact, X), "gelu(x) of eight numbers")


@pytest.mark.parametrize(("form", "definition"), FORMS)
def test_the_gradient_is_right_to_second_order(form, definition):
    expect.tensor(gelu(Tensor(X), form), each(definition, X), f"gelu(x, '{form}') of eight numbers")
    gradcheck(lambda x: gelu(x, form), X)


def test_the_slope_is_the_cdf_plus_x_times_the_density():
    x = Tensor([-1.0, 0.0, 2.0], requires_grad=True)
    gelu(x).backward(np.ones(3))
    slope = each(lambda v: cdf(v) + v * exp(-v * v / 2) / sqrt(2 * pi), x.data)
    expect.close(x.grad, slope, "the slope of gelu at -1, 0 and 2")


@pytest.mark.parametrize(("form", "definition"), FORMS)
def test_any_shape_and_any_number_of_numbers(form, definition):
    many = np.linspace(-3, 3, 40_001)
    y = gelu(Tensor(many), form)
    picked = np.r_[0:40_001:1999, 40_000]
    expect.tensor(
        Tensor(y.data[picked]), each(definition, many[picked]), "gelu of 40001 numbers, every 1999th"
    )
    turned = np.arange(6.0).reshape(2, 3).T - 2.5  # not contiguous
    expect.tensor(gelu(Tensor(turned), form), each(definition, turned), "gelu of a transposed array")
    expect.tensor(gelu(Tensor(0.5), form), np.array(definition(0.5)), "gelu of a Tensor without axes")
    expect.tensor(gelu(Tensor(np.zeros((0, 3))), form), np.zeros((0, 3)), "gelu of no numbers")


def test_the_two_forms_differ_by_at_most_5e_4():
    x = Tensor(np.linspace(-6, 6, 241))
    gap = np.abs(gelu(x).data - gelu(x, "tanh").data)
    expect.true(
        bool(1e-4 < gap.max() < 5e-4), f"the two forms differ by up to 4.7e-4, yours by up to {gap.max():.2g}"
    )


@pytest.mark.parametrize(("form", "definition"), FORMS)
def test_large_numbers_pass_or_vanish(form, definition):
    x = Tensor([-1e30, -60.0, 60.0, 1e30], requires_grad=True)
    with expect.unchanged(x):
        y = gelu(x, form)
        y.backward(np.ones(4))
    at = "-1e30, -60, 60 and 1e30"
    expect.tensor(y, np.array([0.0, 0.0, 60.0, 1e30]), f"gelu(x, '{form}') of {at}", rtol=1e-12, atol=1e-12)
    slope = np.array([0.0, 0.0, 1.0, 1.0])
    expect.close(x.grad, slope, f"the slope of gelu(x, '{form}') at {at}", atol=1e-12)


@pytest.mark.parametrize(("form", "definition"), FORMS)
def test_integers_become_floats(form, definition):
    x = np.array([-2, 0, 3])
    expect.tensor(gelu(Tensor(x), form), each(definition, x), "gelu of the integers -2, 0 and 3")


@pytest.mark.parametrize(("form", "definition"), FORMS)
def test_float32_stays_float32(form, definition):
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = gelu(x, form)
    expected = each(definition, X).astype(np.float32)
    expect.tensor(y, expected, f"gelu(x, '{form}') in float32", dtype=np.float32, rtol=1e-5, atol=1e-6)
    (g,) = grad(y, [x], np.ones(X.shape, np.float32))
    wide = Tensor(X, requires_grad=True)
    (want,) = grad(gelu(wide, form), [wide], np.ones(X.shape))
    expect.tensor(g, want.data, "gradient in float32", dtype=np.float32, rtol=1e-5, atol=1e-6)


def test_another_form_is_refused():
    with expect.raises(ValueError, "sigmoid", "none", "tanh"):
        gelu(Tensor(X), "sigmoid")


@pytest.mark.parametrize(("form", "definition"), FORMS)
def test_the_layer_applies_its_form(form, definition):
    expect.tensor(GELU(form)(Tensor(X)), each(definition, X), f"GELU('{form}')(x)")
    expect.tensor(GELU()(Tensor(X)), each(exact, X), "GELU()(x)")
    gradcheck(GELU(form), X, order=1)
