"""Signals in random networks: layers by loops, gradients by finite differences, mean fields by fine sums."""

import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect, statistics
from dynamics.discrete.signal_propagation import (
    LINEAR,
    RELU,
    TANH,
    Activation,
    chi,
    critical_point,
    forward,
    gaussian_mean,
    gradient_norms,
    layer_jacobians,
    random_network,
    variance_map,
)

PHIS = {"linear": LINEAR, "relu": RELU, "tanh": TANH}
LOGISTIC = Activation(
    lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-np.abs(z)) / (1 + np.exp(-np.abs(z))) ** 2
)


def network(seed=0, widths=(4, 6, 3, 5)):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(k, d)) for d, k in pairwise(widths)]
    return rng.normal(size=widths[0]), weights, [rng.normal(size=k) for k in widths[1:]]


def mean(function, q):
    """A sum over 40 000 slices of the normal distribution; exact to 1e-9 for what is smooth."""
    u = (np.arange(-20_000, 20_000) + 0.5) / 2000
    return float(np.sum(function(math.sqrt(q) * u) * np.exp(-u * u / 2)) / 2000 / math.sqrt(2 * math.pi))


# Networks


def test_gaussian_weights_have_the_variance_of_their_inputs():
    weights, biases = random_network([120, 250, 80], 1.5, 0.5, rng=np.random.default_rng(0))
    expect.equal([w.shape for w in weights], [(250, 120), (80, 250)], "shapes of the weights")
    expect.equal([b.shape for b in biases], [(250,), (80,)], "shapes of the biases")
    for w, fan_in in zip(weights, (120, 250), strict=True):
        statistics.mean_is(w, 0.0, 1.5 / math.sqrt(fan_in), f"weights with {fan_in} inputs")
        statistics.variance_is(w, 1.5**2 / fan_in, f"weights with {fan_in} inputs")
    statistics.variance_is(np.concatenate(biases), 0.25, "biases with sigma_b 0.5")


def test_weights_and_biases_are_normal():
    """The mean of u^4 over 4000 normal numbers is 3, give or take 0.155; of uniform ones 1.8."""
    weights, biases = random_network([1, 4000], 1.5, 0.5, rng=np.random.default_rng(0))
    for name, u in (("weights", weights[0] / 1.5), ("biases", biases[0] / 0.5)):
        expect.close(float(np.mean(u**4)), 3.0, f"kurtosis of {name}, which are normal", atol=0.8)


def test_orthogonal_weights_keep_every_length_times_sigma_w():
    weights, biases = random_network([6, 9, 4, 4], 0.7, 0.3, "orthogonal", rng=np.random.default_rng(0))
    expect.equal([w.shape for w in weights], [(9, 6), (4, 9), (4, 4)], "shapes of the weights")
    for w in weights:
        small = w.T @ w if w.shape[0] > w.shape[1] else w @ w.T
        what = f"products of the rows or columns of a weight {w.shape}"
        expect.close(small, 0.49 * np.eye(min(w.shape)), what, rtol=1e-10)
    expect.true(np.ptp(np.concatenate(biases)) > 0.1, "the biases are all alike, expected random ones")
    others, _ = random_network([6, 9, 4, 4], 0.7, 0.3, "orthogonal", rng=np.random.default_rng(1))
    gap = min(float(np.abs(w - other).min()) for w, other in zip(weights, others, strict=True))
    expect.true(gap > 0, "two seeds gave orthogonal weights with an entry in common, expected random ones")


def test_biases_are_absent_by_default():
    weights, biases = random_network([30, 40], 1.0, rng=np.random.default_rng(0))
    expect.close(biases[0], np.zeros(40), "biases by default")
    statistics.variance_is(weights[0], 1 / 30, "weights by default")


def test_the_generator_decides_the_network():
    first, again, other = (random_network([50, 9], 1.0, 1.0, rng=np.random.default_rng(s)) for s in (0, 0, 1))
    expect.equal(first[0][0], again[0][0], "weights from the same seed")
    expect.equal(first[1][0], again[1][0], "biases from the same seed")
    expect.true(np.abs(first[0][0] - other[0][0]).max() > 0.01, "two seeds gave the same weights")
    statistics.variance_is(first[0][0], 1 / 50, "weights")


def test_an_unknown_kind_is_refused():
    with expect.raises(ValueError, "uniform"):
        random_network([2, 2], 1.0, kind="uniform", rng=np.random.default_rng(0))


# Forward and back


@pytest.mark.parametrize("phi", PHIS.values(), ids=PHIS.keys())
def test_the_signal_passes_each_layer(phi):
    x, weights, biases = network()
    with expect.unchanged(x, *weights, *biases):
        pre, signals = forward(x, weights, biases, phi)
    expect.equal((len(pre), len(signals)), (3, 4), "numbers of pre-activations and of signals")
    h = list(map(float, x))
    expect.close(signals[0], x, "the first signal, the input")
    for number, (W, b) in enumerate(zip(weights, biases, strict=True), 1):
        z = [sum(W[k][d] * h[d] for d in range(len(h))) + b[k] for k in range(len(b))]
        h = [{LINEAR: v, RELU: max(v, 0.0), TANH: math.tanh(v)}[phi] for v in z]
        expect.close(pre[number - 1], np.array(z), f"pre-activation of layer {number}", rtol=1e-11)
        expect.close(signals[number], np.array(h), f"signal of layer {number}", rtol=1e-11)


@pytest.mark.parametrize("phi", [LINEAR, RELU, TANH, LOGISTIC], ids=[*PHIS, "logistic"])
def test_each_jacobian_is_that_of_its_layer(phi):
    x, weights, biases = network(3, (4, 4, 6, 3))
    h, pre = x, []
    wants = []
    for W, b in zip(weights, biases, strict=True):
        z = W @ h + b
        pre.append(z)
        columns = [phi.value(z + 1e-6 * W[:, d]) - phi.value(z - 1e-6 * W[:, d]) for d in range(h.size)]
        wants.append(np.stack(columns, axis=1) / 2e-6)
        h = phi.value(z)
    with expect.unchanged(*weights, *pre):
        jacobians = layer_jacobians(weights, pre, phi)
    expect.equal(len(jacobians), 3, "number of Jacobians")
    for number, (J, want) in enumerate(zip(jacobians, wants, strict=True), 1):
        expect.close(J, want, f"Jacobian of layer {number}", rtol=1e-7, atol=1e-8)
        own = not np.shares_memory(J, weights[number - 1])
        expect.true(own, f"the Jacobian of layer {number} is (a view of) its weight, expected a new array")


def test_the_gradients_length_at_every_layer():
    rng = np.random.default_rng(1)
    jacobians = [rng.normal(size=s) for s in ((6, 4), (3, 6), (5, 3))]
    cotangent = rng.normal(size=5)
    with expect.unchanged(cotangent, *jacobians):
        norms = gradient_norms(jacobians, cotangent)
    a, b, c = jacobians
    gradients = [cotangent @ c @ b @ a, cotangent @ c @ b, cotangent @ c, cotangent]
    want = np.array([math.sqrt(sum(v * v for v in g)) for g in gradients])
    expect.close(norms, want, "gradient lengths from the input to the output", rtol=1e-11)


def test_the_gradient_of_a_whole_network_against_finite_differences():
    x, weights, biases = network(2)
    c = np.array([1.0, -2.0, 0.5, 0.0, 1.5])

    def loss(x):
        for W, b in zip(weights, biases, strict=True):
            x = np.tanh(W @ x + b)
        return float(c @ x)

    want = math.sqrt(sum(((loss(x + e) - loss(x - e)) / 2e-6) ** 2 for e in 1e-6 * np.eye(4)))
    pre, _ = forward(x, weights, biases)
    norms = gradient_norms(layer_jacobians(weights, pre), c)
    expect.close(norms[0], want, "length of the gradient with respect to the input", rtol=1e-6)


def chain(x, depth):
    """Lengths of the gradients of tanh(tanh(... tanh(x)))."""
    weights, biases = [np.ones((1, 1))] * depth, [np.zeros(1)] * depth
    pre, _ = forward([x], weights, biases)
    return gradient_norms(layer_jacobians(weights, pre), [1.0])


def test_eight_nested_tanh():
    """d tanh(...)/dx = prod (1 - h_l^2)."""
    for x in (0.5, 4.5):
        h, want = x, 1.0
        for _ in range(8):
            h = math.tanh(h)
            want *= 1 - h * h
        expect.close(chain(x, 8)[0], want, f"derivative of 8 nested tanh at {x}", rtol=1e-10)


def test_a_chain_of_tanh_vanishes_as_a_power_of_its_depth():
    """h falls as sqrt(3 / (2 L)), and 1 - h^2 multiplies to L^(-3/2): slope -1.49 from 600 to 1200."""
    slope = math.log(chain(0.5, 1200)[0] / chain(0.5, 600)[0]) / math.log(2)
    expect.close(slope, -1.5, "slope of ln |gradient| by ln depth", rtol=0.015)


def test_orthogonal_linear_layers_scale_all_gradients_alike():
    weights, biases = random_network([12] * 31, 1.1, kind="orthogonal", rng=np.random.default_rng(0))
    pre, _ = forward(np.ones(12), weights, biases, LINEAR)
    jacobians = layer_jacobians(weights, pre, LINEAR)
    for seed in range(3):
        c = np.random.default_rng(seed).normal(size=12)
        want = math.sqrt(c @ c) * 1.1 ** np.arange(30, -1, -1)
        expect.close(gradient_norms(jacobians, c), want, "gradient lengths, 30 orthogonal layers", rtol=1e-10)


def test_gaussian_linear_layers_scale_the_squared_length_on_average():
    """Relative variance of one draw (1 + 2 / 80)^5 - 1 = 0.13; 60 draws: 5 standard deviations are 0.24."""
    ratios = []
    rng = np.random.default_rng(0)
    for _ in range(60):
        weights, biases = random_network([80] * 6, 1.2, rng=rng)
        pre, _ = forward(np.ones(80), weights, biases, LINEAR)
        norms = gradient_norms(layer_jacobians(weights, pre, LINEAR), np.eye(80)[0])
        ratios.append((norms[0] / norms[-1]) ** 2)
    what = "mean of |gradient at the input|^2 over 60 networks of 5 layers with sigma_w 1.2"
    expect.close(float(np.mean(ratios)), 1.2**10, what, rtol=0.24)


# Mean field


def test_gaussian_means_of_powers_and_halves():
    for q in (0.0, 0.3, 1.0, 10.0):
        expect.close(gaussian_mean(lambda z: z**2, q), q, f"E[z^2] at variance {q}", rtol=1e-6)
        expect.close(gaussian_mean(lambda z: z**4, q), 3 * q * q, f"E[z^4] at variance {q}", rtol=1e-6)
        expect.close(gaussian_mean(lambda z: 1 + 0 * z, q), 1.0, f"E[1] at variance {q}", rtol=1e-6)
        half = gaussian_mean(lambda z: np.maximum(z, 0) ** 2, q)
        expect.close(half, q / 2, f"E[relu(z)^2] at variance {q}", rtol=1e-6)
    expect.close(gaussian_mean(lambda z: np.where(z > 0, 1.0, 0.0), 2.0), 0.5, "E[relu'(z)]", rtol=1e-6)


@pytest.mark.parametrize("q", [1e-6, 0.01, 0.5, 1.0, 4.0, 10.0])
def test_gaussian_means_of_tanh_and_its_slope(q):
    for name, function in (("tanh^2", lambda z: np.tanh(z) ** 2), ("tanh'^2", lambda z: np.cosh(z) ** -4.0)):
        expect.close(gaussian_mean(function, q), mean(function, q), f"E[{name}] at variance {q}", rtol=1e-6)


def test_the_variance_map_in_closed_form():
    for q, sigma_w, sigma_b in ((0.5, 1.0, 0.0), (2.0, 1.5, 0.3), (1.0, 0.5, 1.0)):
        what = f"next variance from {q} with sigma_w {sigma_w}, sigma_b {sigma_b}"
        linear = variance_map(q, sigma_w, sigma_b, LINEAR)
        expect.close(linear, sigma_w**2 * q + sigma_b**2, what, rtol=1e-6)
        relu = variance_map(q, sigma_w, sigma_b, RELU)
        expect.close(relu, sigma_w**2 * q / 2 + sigma_b**2, what + ", ReLU", rtol=1e-6)
        tanh = sigma_w**2 * mean(lambda z: np.tanh(z) ** 2, q) + sigma_b**2
        expect.close(variance_map(q, sigma_w, sigma_b), tanh, what + ", tanh", rtol=1e-6)
    expect.close(variance_map(1.0, 2.0, phi=LINEAR), 4.0, "next variance without biases", rtol=1e-6)


def test_chi_in_closed_form():
    for q in (0.1, 3.0):
        expect.close(chi(q, 1.5, LINEAR), 2.25, f"chi of linear layers at {q}", rtol=1e-6)
        expect.close(chi(q, 1.5, RELU), 1.125, f"chi of ReLU layers at {q}", rtol=1e-6)
        want = 2.25 * mean(lambda z: np.cosh(z) ** -4.0, q)
        expect.close(chi(q, 1.5), want, f"chi of tanh layers at {q}", rtol=1e-6)
    expect.close(chi(1e-12, 1.0), 1.0, "chi of tanh layers at a small variance", rtol=1e-6)


def test_a_wide_network_has_the_variances_of_the_map():
    """Over 800 units a mean of z^2 has a relative standard deviation of 0.05."""
    weights, biases = random_network([800] * 3, 1.4, 0.3, rng=np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=800)
    pre, _ = forward(x, weights, biases)
    first = 1.4**2 * float(x @ x) / 800 + 0.09
    expect.close(float(np.mean(pre[0] ** 2)), first, "mean of z^2 in layer 1", rtol=0.25)
    second = variance_map(first, 1.4, 0.3)
    expect.close(float(np.mean(pre[1] ** 2)), second, "mean of z^2 in layer 2 against the map", rtol=0.25)


def test_gradients_vanish_and_explode_at_the_rate_of_chi():
    """Width 200, 15 layers: ln |gradient|^2 a layer has a standard deviation of 0.05."""
    for sigma_w in (1.0, 2.0):
        weights, biases = random_network([200] * 16, sigma_w, rng=np.random.default_rng(0))
        pre, _ = forward(np.random.default_rng(1).normal(size=200), weights, biases, RELU)
        norms = gradient_norms(layer_jacobians(weights, pre, RELU), np.random.default_rng(2).normal(size=200))
        slope = float(np.log(norms[0] / norms[-1])) / 7.5
        what = f"ln of the squared gradient a layer, ReLU, sigma_w {sigma_w}"
        expect.close(slope, math.log(sigma_w**2 / 2), what, rtol=0.3)
        expect.close(slope, math.log(chi(1.0, sigma_w, RELU)), what + ", against ln chi", rtol=0.3)


# Criticality


def test_relu_is_critical_at_sqrt_two_and_a_linear_layer_at_one():
    for q in (0.2, 1.0, 5.0):
        for name, phi, want in (("ReLU", RELU, math.sqrt(2)), ("linear layers", LINEAR, 1.0)):
            sigma_w, sigma_b = critical_point(q, phi)
            expect.close(sigma_w, want, f"critical sigma_w of {name} at {q}", rtol=1e-6)
            expect.close(sigma_b, 0.0, f"critical sigma_b of {name} at {q}", atol=3e-3)


def test_tanh_is_critical_at_one_where_signals_are_small():
    actual = np.array(critical_point(1e-6), float)
    expect.close(actual, [1.0, 0.0], "critical point of tanh at a variance of 1e-6", rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("q", [0.05, 0.3, 1.0])
def test_both_are_kept_along_the_critical_line(q):
    sigma_w, sigma_b = map(float, critical_point(q))
    slopes = mean(lambda z: np.cosh(z) ** -4.0, q)
    expect.close(sigma_w**2 * slopes, 1.0, f"chi at the critical point of variance {q}", rtol=1e-5)
    after = sigma_w**2 * mean(lambda z: np.tanh(z) ** 2, q) + sigma_b**2
    expect.close(after, q, f"next variance at the critical point of variance {q}", rtol=1e-5)


def test_no_bias_makes_logistic_units_critical_at_a_small_variance():
    with expect.raises(ValueError, "1.5"):
        critical_point(1.5, LOGISTIC)


def test_what_is_negative_by_rounding_is_no_bias_and_what_is_more_is_refused():
    """phi(z) = z + c keeps gradients with sigma_w = 1 and adds c^2 to a variance of 1."""
    sigma_w, sigma_b = critical_point(1.0, Activation(lambda z: z + 1e-4, np.ones_like))
    expect.close(np.array([sigma_w, sigma_b]), [1.0, 0.0], "critical point of z + 1e-4", rtol=1e-6)
    with expect.raises(ValueError, "1.0"):
        critical_point(1.0, Activation(lambda z: z + 1e-2, np.ones_like))


@pytest.mark.parametrize("q", [0.0, -2.0, math.nan])
def test_a_variance_that_is_not_positive_is_refused(q):
    with expect.raises(ValueError, str(q)):
        critical_point(q)


def test_a_weight_that_does_not_fit_its_signal_is_refused():
    with expect.raises(ValueError, "(3, 5)", "(4,)"):
        forward(np.ones(2), [np.ones((4, 2)), np.ones((3, 5))], [np.zeros(4), np.zeros(3)])
