"""Jets against Cauchy's integral: derivatives of a network of loops, from its values on small circles."""

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from curriculum.testing.calculus import gradcheck, numerical
from dynamics.approximation.jets import (
    Jet,
    activate,
    add,
    affine,
    coordinates,
    curve,
    network,
    product,
    residual_gradient,
    slopes,
)
from dynamics.credit.mlp_backprop import Spec
from foundations.computational_graph import Tensor

PHI = {
    "linear": lambda z: z,
    "tanh": cmath.tanh,
    "sigmoid": lambda z: 1 / (1 + cmath.exp(-z)),
    "relu": lambda z: z if z.real > 0 else 0 * z,
}
SPECS = [
    Spec((1, 4, 1)),
    Spec((1, 3, 4, 1), "sigmoid", "tanh"),
    Spec((2, 5, 3, 2), "tanh", "sigmoid"),
    Spec((3, 4, 1), "relu", "sigmoid", bias=False),
    Spec((2, 3, 3), "sigmoid", "linear", bias=False),
    Spec((3, 2), "linear", "tanh"),
]
NAMES = [f"{s.sizes} {s.hidden} {s.output}" for s in SPECS]


def loop(theta, spec, x):
    """The outputs for one point, number by number; complex numbers pass."""
    numbers, h = iter(theta), list(x)
    for layer, (fan_in, fan_out) in enumerate(pairwise(spec.sizes), 1):
        W = [[next(numbers) for _ in range(fan_in)] for _ in range(fan_out)]
        b = [next(numbers) if spec.bias else 0.0 for _ in range(fan_out)]
        phi = PHI[spec.output if layer == len(spec.sizes) - 1 else spec.hidden]
        sums = [sum(w * v for w, v in zip(row, h, strict=True)) for row in W]
        h = [phi(complex(s + c)) for s, c in zip(sums, b, strict=True)]
    return np.array(h)


def cauchy(f, order, radius=0.01, points=8):
    """The derivative of f at 0, order! / (points radius^order) sum f(radius w) w^-order, w the roots of 1."""
    roots = [cmath.exp(2j * math.pi * k / points) for k in range(points)]
    total = sum(f(radius * w) * w**-order for w in roots)
    return np.real(total) * math.factorial(order) / (points * radius**order)


def derivatives(f, X, operator):
    """Value, gradient and second of f at each row of X, where f takes one point, complex."""
    N, D = X.shape
    value = np.array([np.real(f(x)) for x in X])
    gradient, second = np.zeros((D, *value.shape)), np.zeros_like(value)
    for n in range(N):
        for d in range(D):

            def along(h, n=n, d=d):
                return f([x + h * (i == d) for i, x in enumerate(X[n])])

            gradient[d, n] = cauchy(along, 1)
            second[n] += operator[d] * cauchy(along, 2)
    return value, gradient, second


def problem(spec, seed=0, points=3):
    rng = np.random.default_rng(seed)
    count = sum(k * (d + spec.bias) for d, k in pairwise(spec.sizes))
    D = spec.sizes[0]
    return rng.normal(size=count), rng.normal(size=(points, D)), rng.normal(size=D)


def a_jet(seed=0, N=3, D=2, K=4, operator=(1.0, -2.0)):
    rng = np.random.default_rng(seed)
    return Jet(
        rng.normal(size=(N, K)), rng.normal(size=(D, N, K)), rng.normal(size=(N, K)), np.array(operator)
    )


def same(got, want, what, **tolerance):
    expect.true(isinstance(got, Jet), f"{what}: expected a Jet, got {expect.describe(got)}")
    for name, a, b in zip(("value", "gradient", "second"), got, want, strict=False):
        expect.close(a, b, f"{name} of {what}", **tolerance)


# Where jets begin


def test_the_jet_of_the_coordinates():
    X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    u = coordinates(X.tolist())
    gradient = np.array([[[1.0, 0.0]] * 3, [[0.0, 1.0]] * 3])
    same(u, (X, gradient, np.zeros((3, 2))), "the coordinates")
    expect.close(u.operator, np.ones(2), "the operator when none is given: the Laplacian")
    u = coordinates(np.array([[7], [8]]), [-3])
    same(u, (np.array([[7.0], [8.0]]), np.ones((1, 2, 1)), np.zeros((2, 1))), "one coordinate")
    expect.close(u.operator, np.array([-3.0]), "the operator")


# One layer


def test_an_affine_map_takes_the_bias_into_the_value_alone():
    u = a_jet()
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(2, 4)), rng.normal(size=2)
    linear = [
        np.array([[sum(W[m, k] * v[k] for k in range(4)) for m in range(2)] for v in rows])
        for rows in (u.value, *u.gradient, u.second)
    ]
    with expect.unchanged(*u, W, b):
        got = affine(u, W, b)
    same(got, (linear[0] + b, np.array(linear[1:3]), linear[3]), "u W^T + b")
    expect.close(got.operator, u.operator, "operator of u W^T + b")
    same(affine(u, W), (linear[0], np.array(linear[1:3]), linear[3]), "u W^T")


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "linear"])
def test_slope_and_curvature_of_an_activation(name):
    z = np.array([[-2.0, -0.3, 0.0], [0.4, 1.0, 3.0]])
    with expect.unchanged(z):
        found = slopes(name, z)
    expect.equal(len(found), 3, "number of arrays: phi, phi' and phi''")
    for order, got in enumerate(found):
        want = np.vectorize(lambda at, order=order: cauchy(lambda h: PHI[name](at + h), order))(z)
        expect.close(got, want, f"derivative {order} of {name} at {z.tolist()}", rtol=1e-9, atol=1e-10)


def test_relu_has_a_slope_of_0_or_1_and_no_curvature():
    z = np.array([-2.0, -1e-9, 0.0, 1e-9, 3.0])
    y, p, q = slopes("relu", z)
    expect.close(y, np.array([0, 0, 0, 1e-9, 3.0]), "relu", atol=0)
    expect.close(p, np.array([0.0, 0, 0, 1, 1]), "slope of relu, 0 at 0")
    expect.close(q, np.zeros(5), "second derivative of relu")


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_far_out_slopes_vanish_quietly(name):
    with expect.quiet(f"slopes of {name} at -800 and 800"):
        y, p, q = slopes(name, np.array([-800.0, 0.0, 800.0]))
    low, middle, slope = (-1.0, 0.0, 1.0) if name == "tanh" else (0.0, 0.5, 0.25)
    expect.close(y, np.array([low, middle, 1.0]), f"{name} far out")
    expect.close(p, np.array([0.0, slope, 0.0]), f"slope of {name} far out")
    expect.close(q, np.zeros(3), f"second derivative of {name} far out and at 0", atol=1e-300)


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_slopes_of_tensors_have_gradients(name):
    z = np.array([[-1.2, 0.3], [0.8, 2.0]])
    for order in range(3):
        gradcheck(lambda t, order=order: slopes(name, t)[order], z, of=f"derivative {order} of {name}")


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "linear"])
def test_a_jet_through_an_activation(name):
    """phi along a parabola: z(h) = z + z_d h + (z_dd / 2) h^2 has the derivatives of the jet."""
    z = a_jet(2, operator=(0.5, -2.0))
    value = np.vectorize(lambda v: PHI[name](v).real)(z.value)
    gradient, second = np.zeros((2, 3, 4)), np.zeros((3, 4))
    for n, k in np.ndindex(3, 4):
        for d in range(2):
            # all of the curvature is put along coordinate 0, which has the weight 1/2
            bend = z.second[n, k] / 0.5 if d == 0 else 0.0

            def path(h, n=n, k=k, d=d, bend=bend):
                return PHI[name](complex(z.value[n, k] + z.gradient[d, n, k] * h + bend / 2 * h * h))

            gradient[d, n, k] = cauchy(path, 1)
            second[n, k] += z.operator[d] * cauchy(path, 2)
    with expect.unchanged(*z):
        got = activate(z, name)
    same(got, (value, gradient, second), f"{name} of a jet", rtol=1e-8, atol=1e-9)
    expect.close(got.operator, z.operator, f"operator of {name} of a jet")


# Sums and products


def test_a_sum_adds_stream_by_stream():
    v, w = a_jet(3), a_jet(4)
    with expect.unchanged(*v, *w):
        got = add(v, w)
    same(got, (v.value + w.value, v.gradient + w.gradient, v.second + w.second), "a sum")
    expect.close(got.operator, v.operator, "operator of a sum")


def test_a_product_of_polynomials():
    """x^2 y times x + y^3, and its L u with c = (1, -2), by hand."""
    x, y = np.array([[1.0], [2.0], [-1.5]]), np.array([[0.5], [-1.0], [2.0]])
    c, zero = np.array([1.0, -2.0]), np.zeros((3, 1))
    v = Jet(x * x * y, np.array([2 * x * y, x * x]), 2 * y, c)
    w = Jet(x + y**3, np.array([zero + 1, 3 * y * y]), -12 * y, c)
    value = x**3 * y + x**2 * y**4
    gradient = np.array([3 * x**2 * y + 2 * x * y**4, x**3 + 4 * x**2 * y**3])
    second = 6 * x * y + 2 * y**4 - 2 * 12 * x**2 * y**2
    with expect.unchanged(*v, *w):
        got = product(v, w)
    same(got, (value, gradient, second), "x^2 y (x + y^3)")
    expect.close(got.operator, c, "operator of the product")


def test_one_factor_multiplies_many_outputs():
    v, w = a_jet(3, K=1), a_jet(4, K=3)
    for got in (product(v, w), product(w, v)):
        columns = [
            product(v, Jet(w.value[:, [k]], w.gradient[:, :, [k]], w.second[:, [k]], w.operator))
            for k in range(3)
        ]
        for i, name in enumerate(("value", "gradient", "second")):
            want = np.concatenate([column[i] for column in columns], axis=-1)
            expect.close(got[i], want, f"{name} of one function times three")
        expect.close(got.value[0, 2], float(v.value[0, 0] * w.value[0, 2]), "one value of the product")


# Networks


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_jet_of_a_network(spec):
    theta, X, c = problem(spec)
    with expect.unchanged(theta, X):
        got = network(theta, spec, coordinates(X, c))
    want = derivatives(lambda x: loop(theta, spec, x), X, c)
    same(got, want, f"{spec}", rtol=1e-8, atol=1e-9)


def test_without_an_operator_the_second_derivatives_are_the_laplacian():
    spec = Spec((3, 6, 2))
    theta, X, _ = problem(spec, 1)
    want = derivatives(lambda x: loop(theta, spec, x), X, np.ones(3))
    same(network(theta, spec, coordinates(X)), want, "a network of 3 inputs", rtol=1e-8, atol=1e-9)


def test_the_laplacian_does_not_turn_with_the_coordinates():
    spec = Spec((3, 5, 1))
    theta, X, _ = problem(spec, 2)
    Q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    turned = theta.copy()
    turned[:15] = (theta[:15].reshape(5, 3) @ Q.T).ravel()  # a network that turns its inputs back
    here, there = network(theta, spec, coordinates(X)), network(turned, spec, coordinates(X @ Q.T))
    expect.close(there.second, here.second, "Laplacian in turned coordinates", rtol=1e-10)
    want = derivatives(lambda x: loop(theta, spec, x), X, np.ones(3))
    same(here, want, "the network", rtol=1e-8, atol=1e-9)


def test_other_functions_of_the_point_can_be_inputs():
    """A network of cos x and sin x is periodic: the chain rule goes on through what the inputs are."""
    spec = Spec((2, 4, 1))
    theta = problem(spec, 5)[0]
    x = np.array([[0.3], [1.7], [-2.0]])
    cos, sin = np.cos(x), np.sin(x)
    inputs = Jet(np.hstack([cos, sin]), np.hstack([-sin, cos])[None], np.hstack([-cos, -sin]), np.ones(1))
    want = derivatives(lambda p: loop(theta, spec, [cmath.cos(p[0]), cmath.sin(p[0])]), x, np.ones(1))
    same(network(theta, spec, inputs), want, "a network of cos x and sin x", rtol=1e-8, atol=1e-9)


def test_a_curve_and_its_two_derivatives():
    spec = Spec((1, 3, 3, 1), "tanh", "sigmoid")
    theta, X, _ = problem(spec, 6, points=4)
    value, gradient, second = derivatives(lambda x: loop(theta, spec, x), X, np.ones(1))
    got = curve(theta, spec, X[:, 0])
    expect.equal(len(got), 3, "number of arrays: u, u' and u''")
    for name, a, b in zip(("u", "u'", "u''"), got, (value, gradient[0], second), strict=True):
        expect.close(a, b[:, 0], f"{name} of {spec}", rtol=1e-8, atol=1e-9)


def test_tanh_by_hand():
    """u = 3 tanh(2 x + 1) - 1: u' = 6 (1 - t^2), u'' = -24 t (1 - t^2)."""
    x = np.array([-1.0, -0.5, 0.2])
    t = np.tanh(2 * x + 1)
    got = curve(np.array([2.0, 1.0, 3.0, -1.0]), Spec((1, 1, 1)), x)
    for name, a, b in zip(
        ("u", "u'", "u''"), got, (3 * t - 1, 6 - 6 * t * t, -24 * t * (1 - t * t)), strict=True
    ):
        expect.close(a, b, f"{name} of 3 tanh(2 x + 1) - 1")


def test_a_network_of_relus_has_no_second_derivative():
    spec = Spec((2, 6, 4, 1), "relu")
    theta, X, _ = problem(spec, 7)
    got = network(theta, spec, coordinates(X))
    expect.close(got.second, np.zeros((3, 1)), "Laplacian of a piecewise linear function")
    want = derivatives(lambda x: loop(theta, spec, x), X, np.ones(2))
    expect.close(got.gradient, want[1], "its gradient", rtol=1e-9, atol=1e-10)


# Gradients by theta


def test_an_array_gives_arrays_and_a_tensor_tensors():
    spec = SPECS[2]
    theta, X, c = problem(spec)
    plain = network(theta, spec, coordinates(X, c))
    recorded = network(Tensor(theta, requires_grad=True), spec, coordinates(X, c))
    same(plain, derivatives(lambda x: loop(theta, spec, x), X, c), "the jet", rtol=1e-8, atol=1e-9)
    for name, a, b in zip(("value", "gradient", "second"), plain, recorded, strict=False):
        expect.tensor(b, a, f"{name} for a Tensor theta", rtol=1e-10)
        expect.true(b.requires_grad, f"{name} should require a gradient when theta does")


@pytest.mark.parametrize("spec", [SPECS[0], Spec((2, 2, 2, 1), "sigmoid", "tanh", bias=False)], ids=str)
def test_derivatives_of_the_jet_by_theta_to_order_2(spec):
    theta, X, c = problem(spec, 8, points=2)
    want = derivatives(lambda x: loop(theta, spec, x), X, c)
    same(network(theta, spec, coordinates(X, c)), want, f"{spec}", rtol=1e-8, atol=1e-9)
    for i, name in enumerate(("value", "gradient", "second")):
        gradcheck(
            lambda t, i=i: network(t, spec, coordinates(X, c))[i],
            theta,
            names=["theta"],
            of=name,
            rtol=1e-5,
            atol=1e-7,
        )


@pytest.mark.parametrize("spec", [SPECS[0], Spec((2, 3, 2, 1))], ids=str)
def test_loss_and_gradient_of_a_residual(spec):
    """The mean of r^2 for r = L u + u u_1 - x_1, and its gradient by differences of the loops."""
    theta, X, c = problem(spec, 9)

    def loss(parameters):
        u, du, lu = derivatives(lambda x: loop(parameters[0], spec, x), X, c)
        return float(np.mean((lu + u * du[0] - X[:, [0]]) ** 2))

    with expect.unchanged(theta, X):
        value, gradient = residual_gradient(
            theta, spec, coordinates(X, c), lambda u: u.second + u.value * u.gradient[0] - X[:, [0]]
        )
    expect.close(value, loss([theta]), "mean of the squared residual", rtol=1e-8)
    expect.close(gradient, numerical(loss, [theta], 0), "its gradient by theta", rtol=1e-5, atol=1e-6)


def test_the_mean_is_over_all_elements():
    """u = W x with two outputs: the mean of the squares of (3 W_1, 3 W_2) at any points is 9/2 |W|^2."""
    spec, theta = Spec((1, 2), bias=False), np.array([1.0, -2.0])
    value, gradient = residual_gradient(
        theta, spec, coordinates(np.ones((5, 1))), lambda u: u.gradient[0] * 3.0
    )
    expect.close(value, 22.5, "mean over 5 points and 2 outputs")
    expect.close(gradient, 9 * theta, "its gradient")


# Errors


def test_points_and_operators_that_do_not_fit_are_refused():
    for X in (np.ones(3), np.ones((2, 3, 1))):
        with expect.raises(ValueError, str(X.shape)):
            coordinates(X)
    for c in (np.ones(2), np.ones((3, 1)), 1.0):
        with expect.raises(ValueError, str(np.shape(c)), "3"):
            coordinates(np.ones((5, 3)), c)


def test_networks_that_do_not_fit_are_refused():
    with expect.raises(ValueError, "(5, 3)", "2"):
        network(np.ones(13), Spec((2, 3, 1)), coordinates(np.ones((5, 3))))
    with expect.raises(ValueError, "(12,)", "13"):
        network(np.ones(12), Spec((2, 3, 1)), coordinates(np.ones((5, 2))))
    for sizes in ((2, 3, 1), (1, 3, 2)):
        with expect.raises(ValueError, str(sizes)):
            curve(np.ones(Spec(sizes).parameters), Spec(sizes), np.ones(4))


def test_unknown_activations_and_different_operators_are_refused():
    with expect.raises(ValueError, "gelu", "tanh"):
        slopes("gelu", np.zeros(3))
    v, w = a_jet(), a_jet(operator=(1.0, 4.0))
    for combine in (add, product):
        with expect.raises(ValueError, "-2", "4"):
            combine(v, w)
