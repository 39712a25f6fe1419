"""Backpropagation against complex steps, exact to the last digits, through a network written as loops."""

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect, statistics
from dynamics.credit.mlp_backprop import (
    Spec,
    backward,
    flatten,
    forward,
    init,
    input_jacobian,
    mean_squared_error,
    unflatten,
    value_and_gradient,
)

PHI = {
    "linear": lambda z: z,
    "tanh": cmath.tanh,
    "sigmoid": lambda z: 1 / (1 + cmath.exp(-z)),
    "relu": lambda z: z if z.real > 0 else 0 * z,
}
SPECS = [
    Spec((3, 4, 2)),
    Spec((2, 3, 4, 2), "sigmoid", "tanh"),
    Spec((3, 5, 4, 3), "relu", "sigmoid"),
    Spec((3, 2, 3), "tanh", "relu", bias=False),
    Spec((2, 3), "tanh", "sigmoid"),
    Spec((3, 3, 3), "tanh", "sigmoid"),
    Spec((1, 1, 1), "sigmoid", "linear", bias=False),
]
NAMES = [f"{s.sizes} {s.hidden} {s.output}" for s in SPECS]
XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGET = np.array([[0.0], [1.0], [1.0], [0.0]])


def loop(theta, spec, x):
    """The outputs for one sample, number by number; complex numbers pass."""
    numbers, h = iter(theta), list(x)
    for layer, (fan_in, fan_out) in enumerate(pairwise(spec.sizes), 1):
        W = [[next(numbers) for _ in range(fan_in)] for _ in range(fan_out)]
        b = [next(numbers) if spec.bias else 0.0 for _ in range(fan_out)]
        phi = PHI[spec.output if layer == len(spec.sizes) - 1 else spec.hidden]
        h = [
            phi(complex(sum(w * v for w, v in zip(row, h, strict=True)) + c))
            for row, c in zip(W, b, strict=True)
        ]
    return np.array(h)


def slopes(function, point):
    """d function / d point by complex steps: no subtraction, so no rounding. (*outputs, *point.shape)."""
    columns = []
    for i in np.ndindex(*point.shape):
        moved = point.astype(complex)
        moved[i] += 1e-30j
        columns.append(np.imag(function(moved)) / 1e-30)
    columns = np.array(columns)
    return np.moveaxis(columns, 0, -1).reshape(*columns.shape[1:], *point.shape)


def problem(spec, seed=0, samples=3):
    rng = np.random.default_rng(seed)
    count = sum(k * (d + spec.bias) for d, k in pairwise(spec.sizes))
    theta, X = rng.normal(size=count), rng.normal(size=(samples, spec.sizes[0]))
    return theta, X, rng.normal(size=(samples, spec.sizes[-1]))


# Parameters


def test_theta_holds_each_weight_by_rows_and_then_its_bias():
    weights = [np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([[10.0, 11.0, 12.0]])]
    biases = [np.array([7.0, 8.0, 9.0]), np.array([13.0])]
    expect.close(flatten(weights, biases), np.arange(1.0, 14), "theta of sizes 2, 3, 1")
    bare = np.array([1.0, 2, 3, 4, 5, 6, 10, 11, 12])
    expect.close(flatten(weights), bare, "theta without biases")
    found, offsets = unflatten(np.arange(1.0, 14), Spec((2, 3, 1)))
    for i in range(2):
        expect.close(found[i], weights[i], f"weight {i + 1} found in theta")
        expect.close(offsets[i], biases[i], f"bias {i + 1} found in theta")
    found, offsets = unflatten(bare, Spec((2, 3, 1), bias=False))
    expect.equal(len(offsets), 0, "number of biases of a network without")
    for i in range(2):
        expect.close(found[i], weights[i], f"weight {i + 1} found in theta without biases")


def test_flattening_makes_a_copy_and_unflattening_does_not():
    weights, biases = [np.ones((2, 2))], [np.ones(2)]
    theta = flatten(weights, biases)
    W, b = unflatten(theta, Spec((2, 2)))
    W[0][0, 1] = 5.0
    b[0][1] = 7.0
    expect.close(theta, np.array([1.0, 5.0, 1.0, 1.0, 1.0, 7.0]), "theta after its views were written to")
    expect.close(weights[0], np.ones((2, 2)), "the weight that was flattened")
    single = np.ones((1, 3))
    flatten([single])[0] = 9.0
    expect.close(single, np.ones((1, 3)), "a single weight after its flat copy was written to")


def test_schemes_draw_weights_of_their_variance_and_no_bias():
    spec = Spec((60, 90, 40), "relu")
    variances = {
        "xavier": (4 * 2 / 150, 4 * 2 / 130),
        "kaiming": (4 / 60, 4 / 90),
        "normal": (4.0, 4.0),
    }
    for scheme, wanted in variances.items():
        theta = init(spec, scheme, 2.0, rng=np.random.default_rng(0))
        expect.equal(theta.shape, (60 * 90 + 90 + 90 * 40 + 40,), "shape of theta")
        first, second = theta[:5400], theta[5490:9090]
        for w, variance in zip((first, second), wanted, strict=True):
            statistics.mean_is(w, 0.0, math.sqrt(variance), f"weights, {scheme}")
            statistics.variance_is(w, variance, f"weights, {scheme}")
            fourth = float(np.mean(w**4)) / variance**2  # over 3600: a standard deviation of 0.16
            expect.close(fourth, 3.0, f"kurtosis of normal weights, {scheme}", atol=0.8)
        expect.close(np.r_[theta[5400:5490], theta[9090:]], np.zeros(130), f"biases, {scheme}")
    default = init(spec, rng=np.random.default_rng(0))[:5400]
    statistics.variance_is(default, 2 / 150, "weights of the default scheme, xavier with gain 1")


def test_orthogonal_weights_keep_lengths_times_the_gain():
    theta = init(Spec((3, 5, 2), bias=False), "orthogonal", 1.5, rng=np.random.default_rng(0))
    first, second = theta[:15].reshape(5, 3), theta[15:].reshape(2, 5)
    expect.close(first.T @ first, 2.25 * np.eye(3), "W1^T W1 in float64", rtol=1e-10)
    expect.close(second @ second.T, 2.25 * np.eye(2), "W2 W2^T in float64", rtol=1e-10)
    again = init(Spec((3, 5, 2), bias=False), "orthogonal", 1.5, rng=np.random.default_rng(1))
    gap = float(np.abs(again - theta).min())
    expect.true(gap > 0, "two seeds gave orthogonal weights with an entry in common, expected random ones")


# Forward


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_forward_is_layer_after_layer(spec):
    theta, X, _ = problem(spec)
    with expect.unchanged(theta, X):
        Y, cache = forward(theta, spec, X)
    expect.close(Y, np.array([loop(theta, spec, x).real for x in X]), f"outputs of {spec}", rtol=1e-10)
    layers = len(spec.sizes) - 1
    shapes = [(3, n) for n in spec.sizes]
    expect.equal([h.shape for h in cache.signals], shapes, "shapes of the signals h_0 ... h_L")
    expect.equal([z.shape for z in cache.pre], shapes[1:], "shapes of the pre-activations z_1 ... z_L")
    expect.close(cache.signals[0], X, "h_0")
    names = [spec.hidden] * (layers - 1) + [spec.output]
    for i, name in enumerate(names):
        want = np.array([[PHI[name](complex(v)).real for v in row] for row in cache.pre[i]])
        expect.close(cache.signals[i + 1], want, f"h_{i + 1} from z_{i + 1}", rtol=1e-10)


def test_forward_takes_lists_and_extreme_signals():
    theta = np.array([1.0, 0.0])
    with expect.quiet("forward and backward at signals of 2000"):
        Y, cache = forward(theta, Spec((1, 1), output="sigmoid"), [[2000], [-2000], [0]])
        grad, _ = backward(theta, Spec((1, 1), output="sigmoid"), cache, [[1], [1], [1]])
    expect.close(Y, np.array([[1.0], [0.0], [0.5]]), "sigmoid of 2000, -2000 and 0")
    expect.close(grad, np.array([0.0, 0.25]), "gradient by the weight and the bias", atol=1e-12)


# Backward


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_backward_is_the_gradient(spec):
    theta, X, dY = problem(spec, 1)
    _, cache = forward(theta, spec, X)
    by_theta, by_X = backward(theta, spec, cache, dY)

    def loss(t):
        return sum(np.sum(u * loop(t, spec, x)) for u, x in zip(dY, X, strict=True))

    expect.close(by_theta, slopes(loss, theta), f"gradient by theta of {spec}", rtol=1e-9)
    want = np.array([u @ slopes(lambda v: loop(theta, spec, v), x) for u, x in zip(dY, X, strict=True)])
    expect.close(by_X, want, f"gradient by the inputs of {spec}", rtol=1e-9)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_input_jacobian_is_the_product_of_the_layers(spec):
    theta, X, dY = problem(spec, 2)
    _, cache = forward(theta, spec, X)
    J = input_jacobian(theta, spec, cache)
    want = np.array([slopes(lambda v: loop(theta, spec, v), x) for x in X])
    expect.close(J, want, f"dY/dX of {spec}", rtol=1e-9)
    _, by_X = backward(theta, spec, cache, dY)
    expect.close(by_X, np.einsum("nk,nkd->nd", dY, J), "dL/dX against dY times the Jacobian", rtol=1e-9)


def test_one_linear_layer_by_hand():
    spec, theta = Spec((2, 1)), np.array([2.0, -1.0, 0.5])
    Y, cache = forward(theta, spec, [[1.0, 2.0], [3.0, 4.0]])
    expect.close(Y, np.array([[0.5], [2.5]]), "2 x1 - x2 + 0.5")
    by_theta, by_X = backward(theta, spec, cache, [[1.0], [10.0]])
    expect.close(by_theta, np.array([31.0, 42.0, 11.0]), "gradient: sums over the samples, not means")
    expect.close(by_X, np.array([[2.0, -1.0], [20.0, -10.0]]), "gradient by the inputs")


def test_a_cache_serves_many_backward_passes():
    spec = SPECS[1]
    theta, X, dY = problem(spec)
    _, cache = forward(theta, spec, X)
    with expect.unchanged(theta, dY, *cache.signals, *cache.pre):
        first, _ = backward(theta, spec, cache, dY)
    again, _ = backward(theta, spec, cache, 2 * dY)
    expect.close(again, 2 * first, "gradient for a doubled dY, from the same cache", rtol=1e-10)
    expect.true(float(np.abs(first).max()) > 1e-3, f"the gradient should not vanish, got {first}")


def test_the_gradient_of_a_batch_is_the_sum_over_its_samples():
    spec = SPECS[2]
    theta, X, dY = problem(spec, 3, samples=4)
    whole, _ = backward(theta, spec, forward(theta, spec, X)[1], dY)
    parts = [backward(theta, spec, forward(theta, spec, X[[n]])[1], dY[[n]])[0] for n in range(4)]
    expect.close(whole, np.sum(parts, 0), "gradient of 4 samples against the sum of 4", rtol=1e-10)
    at = slopes(lambda t: np.sum(dY * np.array([loop(t, spec, x) for x in X])), theta)
    expect.close(whole, at, "gradient of 4 samples", rtol=1e-9)


# The loss


def test_mean_squared_error_is_a_mean_without_a_half():
    value, by_Y = mean_squared_error(
        [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0], [0.0, 6.0]]
    )
    expect.close(value, 11.0, "mean of 1, 4, 9, 16, 0 and 36")
    want = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, -6.0]]) / 3
    expect.close(by_Y, want, "its gradient, 2 (Y - target) / 6")


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_value_and_gradient_of_the_mean_squared_error(spec):
    theta, X, target = problem(spec, 4)

    def loss(t):
        return np.mean((np.array([loop(t, spec, x) for x in X]) - target) ** 2)

    value, gradient = value_and_gradient(theta, spec, X, target)
    expect.close(value, float(loss(theta).real), f"loss of {spec}", rtol=1e-10)
    expect.close(gradient, slopes(loss, theta), f"gradient of the loss of {spec}", rtol=1e-9)


# XOR


def test_a_linear_unit_cannot_do_xor():
    bare = Spec((2, 1), bias=False)
    theta = np.array([1 / 3, 1 / 3])
    value, gradient = value_and_gradient(theta, bare, XOR, TARGET)
    expect.close(gradient, np.zeros(2), "gradient at the best weights without bias", atol=1e-12)
    expect.close(value, 1 / 3, "loss of the best linear unit without bias")
    want = np.array([[0.0], [1 / 3], [1 / 3], [2 / 3]])
    expect.close(forward(theta, bare, XOR)[0], want, "its outputs")
    value, gradient = value_and_gradient(np.array([0.0, 0.0, 0.5]), Spec((2, 1)), XOR, TARGET)
    expect.close(gradient, np.zeros(3), "gradient at one half everywhere", atol=1e-12)
    expect.close(value, 0.25, "loss of the best linear unit with bias")


def test_descent_through_four_hidden_units_learns_xor():
    """Of 20 starts the slowest is at 3e-4 after 500 steps; descent itself draws nothing at random."""
    spec = Spec((2, 4, 1))
    for seed in range(2):
        theta = np.random.default_rng(seed).normal(size=17)
        for _ in range(500):
            theta = theta - 0.15 * value_and_gradient(theta, spec, XOR, TARGET)[1]
        outputs = forward(theta, spec, XOR)[0]
        value = float(np.mean((outputs - TARGET) ** 2))
        expect.true(value < 0.02, f"XOR from start {seed}: loss {value} after 500 steps, expected below 0.02")


# Errors


def test_parameters_that_do_not_fit_are_refused():
    for wrong in (np.zeros(12), np.zeros((13, 1))):
        with expect.raises(ValueError, str(wrong.shape), "13"):
            unflatten(wrong, Spec((2, 3, 1)))
    weights = [np.ones((2, 2)), np.ones((1, 2))]
    for biases in ([np.ones(2)], [np.ones(2), np.ones(1), np.ones(1)]):
        with expect.raises(ValueError, "2", str(len(biases))):
            flatten(weights, biases)


def test_inputs_and_gradients_that_do_not_fit_are_refused():
    spec, theta = Spec((2, 5, 3)), np.ones(33)
    for X in (np.ones((4, 3)), np.ones(2)):
        with expect.raises(ValueError, str(X.shape), "2"):
            forward(theta, spec, X)
    _, cache = forward(theta, spec, np.ones((4, 2)))
    for dY in (np.ones((1, 3)), np.ones((4, 2))):
        with expect.raises(ValueError, str(dY.shape), "(4, 3)"):
            backward(theta, spec, cache, dY)
    with expect.raises(ValueError, "(4, 1)", "(4,)"):
        mean_squared_error(np.ones((4, 1)), np.ones(4))


def test_an_unknown_scheme_activation_or_shape_of_a_network_is_refused():
    with expect.raises(ValueError, "lecun", "xavier"):
        init(Spec((2, 3)), "lecun", rng=np.random.default_rng(0))
    for sizes in ((3,), (3, 0, 2)):
        with expect.raises(ValueError, str(sizes)):
            Spec(sizes)
    for names in (("gelu", "linear"), ("tanh", "softmax")):
        with expect.raises(ValueError, names[0] if names[0] == "gelu" else names[1]):
            Spec((3, 2), *names)
