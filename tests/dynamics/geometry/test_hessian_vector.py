"""Products with the Hessian: closed forms, and backpropagation in complex numbers as the exact derivative."""

import math
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.geometry.hessian_vector import full_hessian, ggn_vp, hvp, hvp_fd, hvp_rop, jvp
from foundations.elementwise import exp, tanh


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# (x y - 1)^2 / 2 + x^4 / 4, by hand


def valley(theta):
    return (theta[0] * theta[1] - 1) ** 2 / 2 + theta[0] ** 4 / 4


def valley_gradient(theta):
    x, y = theta
    return np.array([(x * y - 1) * y + x**3, (x * y - 1) * x])


def valley_hessian(theta):
    x, y = theta
    return np.array([[y * y + 3 * x * x, 2 * x * y - 1], [2 * x * y - 1, x * x]])


# A tanh network by loops over layers that also run in complex numbers


def network(layers, x):
    """The activations of all layers, X first; the last is linear."""
    steps = [x]
    for i, (w, b) in enumerate(layers):
        z = steps[-1] @ w + b
        steps.append(z if i == len(layers) - 1 else np.tanh(z))
    return steps


def backpropagate(layers, x, y):
    steps = network(layers, x)
    d, grads = 2 * (steps[-1] - y) / y.size, []
    for (w, _), a in zip(layers[::-1], steps[-2::-1], strict=True):
        grads.append((a.T @ d, d.sum(axis=0)))
        d = (d @ w.T) * (1 - a * a)
    return grads[::-1]


def along(function, layers, directions, h=1e-100):
    """The derivative of a function of the layers along directions: the imaginary part at layers + i h v."""
    moved = [
        tuple(p + 1j * h * v for p, v in zip(*both, strict=True))
        for both in zip(layers, directions, strict=True)
    ]
    return function(moved)


def exact_product(layers, directions, x, y, h=1e-100):
    pairs = along(lambda p: backpropagate(p, x, y), layers, directions, h)
    return [(w.imag / h, b.imag / h) for w, b in pairs]


def exact_gauss_newton(layers, directions, x, y, h=1e-100):
    """J^T (2 / size) (J v): pull back the change of the outputs in place of the residual."""
    moved = along(lambda p: network(p, x)[-1], layers, directions, h).imag / h
    return backpropagate(layers, x, network(layers, x)[-1] - moved)


def random_layers(rng, *widths):
    return [(rng.standard_normal((c, k)), rng.standard_normal(k)) for c, k in pairwise(widths)]


def vector(layers):
    return np.concatenate([p.reshape(-1) for layer in layers for p in layer])


# By two reverse passes


def test_the_product_with_a_hessian_by_hand(rng):
    for _ in range(3):
        theta, v = rng.standard_normal((2, 2))
        with expect.unchanged(theta, v):
            got = hvp(valley, theta, v)
        expect.close(got, valley_hessian(theta) @ v, f"H v at {theta}", rtol=1e-12)


def test_a_quadratic_has_the_same_hessian_everywhere(rng):
    A = rng.standard_normal((4, 4))
    for _ in range(2):
        theta, v = rng.standard_normal((2, 4))
        got = hvp(lambda t: (t * (A @ t)).sum() / 2, theta, v)
        expect.close(got, (A + A.T) / 2 @ v, "H v of x^T A x / 2", rtol=1e-12)


def test_theta_may_have_any_shape(rng):
    theta, v = rng.standard_normal((2, 2, 3, 1))
    want = np.exp(theta) * v + 2 * v.sum()
    got = hvp(lambda t: exp(t).sum() + t.sum() ** 2, theta, v)
    expect.close(got, want, "H v for theta (2, 3, 1)", rtol=1e-12)
    expect.close(hvp(lambda t: t**3, np.array(2.0), np.array(5.0)), np.array(60.0), "H v of x^3 at 2, v = 5")


def test_lists_and_whole_numbers_are_taken_as_float64():
    got = hvp(valley, [1, 2], [1, -1])
    expect.close(got, np.array([7.0 - 3.0, 3.0 - 1.0]), "H v from lists", dtype=np.float64)
    got = full_hessian(valley, [1, 2])
    expect.close(got, np.array([[7.0, 3.0], [3.0, 1.0]]), "H from lists", dtype=np.float64)


def test_partial_makes_a_product_of_theta_and_v(rng):
    theta, v = rng.standard_normal((2, 2))
    expect.close(partial(hvp, valley)(theta, v), valley_hessian(theta) @ v, "partial(hvp, loss)", rtol=1e-12)


def test_a_linear_loss_has_no_curvature(rng):
    theta, v = rng.standard_normal((2, 3))
    expect.close(hvp(lambda t: t.sum() * 5, theta, v), np.zeros(3), "H v of a linear loss")
    expect.close(full_hessian(lambda t: t.sum() * 5, theta), np.zeros((3, 3)), "H of a linear loss")
    expect.close(full_hessian(lambda t: (t * t).sum(), theta), 2 * np.eye(3), "H of |x|^2")
    expect.close(hvp(lambda t: (t * t).sum(), theta, v), 2 * v, "H v of |x|^2", rtol=1e-14)


# By differences


def test_differences_of_gradients_are_good_to_eight_digits(rng):
    for _ in range(3):
        theta, v = rng.standard_normal((2, 2))
        with expect.unchanged(theta, v):
            got = hvp_fd(valley_gradient, theta, v)
        expect.close(got, valley_hessian(theta) @ v, f"H v by differences at {theta}", rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("length", [1e-9, 1e-3, 1.0, 1e4, 1e9])
def test_the_length_of_v_does_not_change_the_digits(length):
    theta, v = np.array([0.8, -0.5]), length * np.array([0.6, -0.8])
    got = hvp_fd(valley_gradient, theta, v) / length
    expect.close(got, valley_hessian(theta) @ v / length, f"H v / |v| with |v| = {length:g}", rtol=1e-7)


def test_the_step_grows_with_theta():
    """At 1e6 a step of 6e-6 would lose the digits that one of 6 keeps."""
    theta, v = np.array([1e6, -1e6]), np.array([0.6, 0.8])
    scale = np.array([1e12, 1e-12])
    got = hvp_fd(lambda t: scale * t * t * t, theta, v)
    expect.close(got, 3 * scale * theta**2 * v, "H v at 1e6", rtol=1e-8)


@pytest.mark.parametrize("theta", [(0.0, 0.0), (0.3, -0.4), (3.0, 4.0), (300.0, -400.0)], ids=str)
def test_the_default_step_is_the_cube_root_of_rounding_times_the_larger_of_1_and_theta(theta):
    asked = []
    hvp_fd(lambda t: asked.append(t - theta) or valley_gradient(t), theta, [5.0, -12.0])
    length = 2.0 ** (-52 / 3) * max(1.0, math.hypot(*theta))
    want = length * np.array([5.0, -12.0]) / 13
    steps = sorted(asked, key=lambda step: -step[0])
    what = f"the steps of the two gradients at {theta}, 2^(-52/3) max(1, |theta|) long"
    expect.close(np.array(steps), np.array([want, -want]), what, rtol=1e-6)


def test_the_step_has_the_length_eps_on_both_sides():
    """The gradient x^3 gives 3 x^2 v + eps^2 v^3 / |v|^2: by the error one sees the step."""
    x, v = np.array([2.0, 1.0]), np.array([3.0, 4.0])
    got = hvp_fd(lambda t: t**3, x, v, eps=0.5)
    expect.close(got, 3 * x * x * v + 0.25 * v**3 / 25, "differences of x^3 with eps = 0.5", rtol=1e-12)


def test_differences_keep_any_shape_and_answer_zero_for_zero(rng):
    theta, v = rng.standard_normal((2, 2, 3))
    expect.close(hvp_fd(lambda t: 3 * t, theta, v), 3 * v, "differences for theta (2, 3)", rtol=1e-8)
    asked = []
    with expect.quiet("hvp_fd of v = 0"):
        got = hvp_fd(lambda t: asked.append(t) or 3 * t, theta, 0 * v)
    expect.close(got, np.zeros((2, 3)), "differences along v = 0")
    expect.equal(len(asked), 0, "calls of the gradient for v = 0")


# The Jacobian and the Gauss-Newton matrix


def test_a_forward_product_moves_the_outputs(rng):
    theta, v = rng.standard_normal((2, 3))
    A = rng.standard_normal((4, 3))
    with expect.unchanged(theta, v):
        got = jvp(lambda t: tanh(A @ t), theta, v)
    want = (1 - np.tanh(A @ theta) ** 2) * (A @ v)
    expect.close(got, want, "J v of tanh(A theta)", rtol=1e-12)
    expect.close(jvp(lambda t: A @ t, theta, v), A @ v, "J v of a linear model", rtol=1e-12)
    got = jvp(lambda t: t.reshape(3, 1) * t, theta, v)
    expect.close(got, np.outer(v, theta) + np.outer(theta, v), "J v of theta theta^T, (3, 3)", rtol=1e-12)


def test_the_gauss_newton_product_by_its_three_factors(rng):
    """z = x^2 by hand, L = sum exp(z): J = diag(2 x), H_L = diag(exp z)."""
    x, v = rng.standard_normal((2, 3))
    with expect.unchanged(x, v):
        got = ggn_vp(lambda t: t * t, lambda z: exp(z).sum(), x, v)
    expect.close(got, 4 * x * x * np.exp(x * x) * v, "G v", rtol=1e-12)
    H = 4 * x * x * np.exp(x * x) * v + 2 * np.exp(x * x) * v
    expect.close(hvp(lambda t: exp(t * t).sum(), x, v), H, "H v, which has one term more", rtol=1e-12)


def test_gauss_newton_is_the_hessian_where_the_model_is_linear(rng):
    A, theta, v = rng.standard_normal((5, 3)), *rng.standard_normal((2, 3))
    model, loss = lambda t: A @ t, lambda z: (z**4).sum() + z[0] * z[1]
    curved = A.T @ (12 * (A @ theta) ** 2 * (A @ v)) + A[0] * (A[1] @ v) + A[1] * (A[0] @ v)
    expect.close(ggn_vp(model, loss, theta, v), curved, "G v of a linear model", rtol=1e-11)


def test_gauss_newton_is_the_hessian_where_the_residual_is_zero(rng):
    theta, v = rng.standard_normal((2, 2))
    target = theta[0] * theta[1]
    g = theta[::-1]
    got = ggn_vp(lambda t: t[0] * t[1], lambda z: (z - target) ** 2, theta, v)
    expect.close(got, 2 * g * (g @ v), "G v at a perfect fit", rtol=1e-12)
    off = ggn_vp(lambda t: t[0] * t[1], lambda z: (z - target - 3) ** 2, theta, v)
    expect.close(off, 2 * g * (g @ v), "G v, which knows of no residual in a squared error", rtol=1e-12)


def test_linear_loss_of_the_outputs_has_no_gauss_newton_part(rng):
    theta, v = rng.standard_normal((2, 3))
    expect.close(ggn_vp(lambda t: t**3, lambda z: z.sum(), theta, v), np.zeros(3), "G v of a linear loss")
    got = ggn_vp(lambda t: t**3, lambda z: (z * z).sum(), theta, v)
    expect.close(got, 18 * theta**4 * v, "G v of a squared one", rtol=1e-12)


# Pearlmutter's operator


@pytest.mark.parametrize("widths", [(3, 2), (2, 4, 1), (3, 4, 5, 2)], ids=str)
def test_the_r_operator_is_the_derivative_of_backpropagation(rng, widths):
    layers, directions = random_layers(rng, *widths), random_layers(rng, *widths)
    x, y = rng.standard_normal((6, widths[0])), rng.standard_normal((6, widths[-1]))
    with expect.unchanged(x, y, *[p for layer in layers + directions for p in layer]):
        got = hvp_rop(layers, directions, x, y)
    want = exact_product(layers, directions, x, y)
    expect.equal(len(got), len(layers), f"layers of the product for widths {widths}")
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        expect.close(g[0], w[0], f"H v, weight of layer {i} of widths {widths}", rtol=1e-11, atol=1e-13)
        expect.close(g[1], w[1], f"H v, bias of layer {i} of widths {widths}", rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("widths", [(3, 2), (2, 4, 1), (3, 4, 5, 2)], ids=str)
def test_without_the_residual_it_is_the_gauss_newton_product(rng, widths):
    layers, directions = random_layers(rng, *widths), random_layers(rng, *widths)
    x, y = rng.standard_normal((6, widths[0])), rng.standard_normal((6, widths[-1]))
    got = hvp_rop(layers, directions, x, y, gauss_newton=True)
    want = exact_gauss_newton(layers, directions, x, y)
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        expect.close(g[0], w[0], f"G v, weight of layer {i}", rtol=1e-11, atol=1e-13)
        expect.close(g[1], w[1], f"G v, bias of layer {i}", rtol=1e-11, atol=1e-13)


def test_the_product_is_symmetric(rng):
    widths = (2, 3, 2)
    layers, u, v = (random_layers(rng, *widths) for _ in range(3))
    x, y = rng.standard_normal((5, 2)), rng.standard_normal((5, 2))
    for flag in (False, True):
        left = vector(u) @ vector(hvp_rop(layers, v, x, y, gauss_newton=flag))
        right = vector(v) @ vector(hvp_rop(layers, u, x, y, gauss_newton=flag))
        expect.close(float(left), float(right), "u.(H v) against v.(H u)", rtol=1e-10)
        want = exact_gauss_newton(layers, v, x, y) if flag else exact_product(layers, v, x, y)
        expect.close(float(left), float(vector(u) @ vector(want)), "u.(H v)", rtol=1e-10)


def test_lists_of_inputs_will_do():
    got = hvp_rop(
        [(np.array([[2.0]]), np.zeros(1))], [(np.array([[1.0]]), np.ones(1))], [[3], [1]], [[0], [1]]
    )
    expect.close(got[0][0], np.array([[14.0]]), "the weight's part for f = w x + b at x = 3 and 1")
    expect.close(got[0][1], np.array([6.0]), "the bias's part for f = w x + b at x = 3 and 1")


# The matrix


def test_the_whole_matrix(rng):
    theta = rng.standard_normal(2)
    with expect.unchanged(theta):
        got = full_hessian(valley, theta)
    expect.close(got, valley_hessian(theta), "the Hessian", rtol=1e-12)
    x = rng.standard_normal((2, 2))
    got = full_hessian(lambda t: exp(t).sum() + t[0, 1] * t[1, 0], x)
    want = np.diag(np.exp(x).reshape(-1))
    want[1, 2] = want[2, 1] = 1
    expect.close(got, want, "the Hessian for theta (2, 2), elements in the order of reshape(-1)", rtol=1e-12)
    expect.close(full_hessian(lambda t: t**3, np.array(2.0)), np.array([[12.0]]), "the Hessian of x^3 at 2")


def test_four_ways_to_one_vector(rng):
    """A network of one hidden layer, as a loss of one vector, as layers, and as a gradient."""
    x, y = rng.standard_normal((5, 2)), rng.standard_normal((5, 1))
    layers, directions = random_layers(rng, 2, 3, 1), random_layers(rng, 2, 3, 1)
    theta, v = vector(layers), vector(directions)

    def model(t):
        return tanh(x @ t[:6].reshape(2, 3) + t[6:9]) @ t[9:12].reshape(3, 1) + t[12:]

    def gradient(t):
        parts = [(t[:6].reshape(2, 3), t[6:9]), (t[9:12].reshape(3, 1), t[12:])]
        return vector(backpropagate(parts, x, y))

    def loss(z):
        return ((z - y) ** 2).mean()

    def whole(t):
        return loss(model(t))

    want = vector(exact_product(layers, directions, x, y))
    expect.close(hvp(whole, theta, v), want, "H v by two reverse passes", rtol=1e-10, atol=1e-12)
    expect.close(vector(hvp_rop(layers, directions, x, y)), want, "H v by R{.}", rtol=1e-10, atol=1e-12)
    expect.close(full_hessian(whole, theta) @ v, want, "H v from the matrix", rtol=1e-10, atol=1e-12)
    expect.close(hvp_fd(gradient, theta, v), want, "H v by differences", rtol=1e-7, atol=1e-8)
    want = vector(exact_gauss_newton(layers, directions, x, y))
    expect.close(ggn_vp(model, loss, theta, v), want, "G v by J^T H_L J", rtol=1e-10, atol=1e-12)


# Errors


def test_a_vector_of_another_shape_is_refused():
    theta, v = np.ones(3), np.ones((3, 1))
    calls = {
        "hvp": lambda: hvp(lambda t: (t * t).sum(), theta, v),
        "hvp_fd": lambda: hvp_fd(lambda t: t, theta, v),
        "jvp": lambda: jvp(lambda t: t * t, theta, v),
        "ggn_vp": lambda: ggn_vp(lambda t: t * t, lambda z: z.sum(), theta, v),
    }
    for call in calls.values():
        with expect.raises(ValueError, "(3,)", "(3, 1)"):
            call()


def test_a_loss_of_several_numbers_is_refused():
    theta = np.ones(3)
    for call in (
        lambda: hvp(lambda t: t * t, theta, theta),
        lambda: ggn_vp(lambda t: t * t, lambda z: z * z, theta, theta),
        lambda: full_hessian(lambda t: t * t, theta),
    ):
        with expect.raises(ValueError, "(3,)"):
            call()


def test_a_step_that_is_not_positive_is_refused():
    for eps in (0.0, -0.25, math.nan):
        with expect.raises(ValueError, str(eps)):
            hvp_fd(lambda t: t, np.ones(2), np.ones(2), eps=eps)


def test_directions_that_do_not_fit_the_layers_are_refused(rng):
    layers, x, y = random_layers(rng, 2, 3, 1), np.ones((4, 2)), np.ones((4, 1))
    with expect.raises(ValueError, "3", "2"):
        hvp_rop(layers, random_layers(rng, 2, 3, 3, 1), x, y)
    for i, part, shape in ((1, 0, (1, 1)), (1, 0, (1, 3)), (0, 1, (1,)), (0, 1, (1, 3))):
        wrong = [list(layer) for layer in random_layers(rng, 2, 3, 1)]
        wrong[i][part] = np.ones(shape)  # it would broadcast, or has as many elements
        with expect.raises(ValueError, str(shape), str(layers[i][part].shape)):
            hvp_rop(layers, [tuple(layer) for layer in wrong], x, y)
