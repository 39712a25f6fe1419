"""Conserved quantities: their definitions, constant along the flow, and drifting exactly under descent."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.conservation import (
    balance,
    balance_drift,
    charge,
    charge_drift,
    linear_loss,
    product_charge,
    product_descent,
    unit_balance,
    violation,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def follow(slope, state, time, steps):
    """Runge and Kutta's method on a list of arrays."""
    h = time / steps
    moved = lambda k, part: [s + part * h * d for s, d in zip(state, k, strict=True)]  # noqa: E731
    for _ in range(steps):
        k1 = slope(state)
        k2 = slope(moved(k1, 0.5))
        k3 = slope(moved(k2, 0.5))
        k4 = slope(moved(k3, 1.0))
        state = [
            s + h / 6 * (a + 2 * b + 2 * c + d) for s, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
        ]
    return state


def network(rng, D=4, H=3, K=2, N=6):
    W1, W2 = rng.standard_normal((H, D)), rng.standard_normal((K, H))
    return W1, W2, rng.standard_normal((N, D)), rng.standard_normal((N, K))


# A linear network


def slow_loss(W1, W2, X, Y):
    """Example by example."""
    total = 0.0
    for x, y in zip(X, Y, strict=True):
        error = W2 @ (W1 @ x) - y
        total += float(error @ error)
    return total / (2 * len(X))


def test_the_loss_of_a_linear_network_and_its_gradients(rng):
    W1, W2, X, Y = network(rng)
    with expect.unchanged(W1, W2, X, Y):
        got = linear_loss(W1, W2, X, Y)
    expect.close(got.loss, slow_loss(W1, W2, X, Y), "the loss", sizes={"N": 6})
    for name, W, grad in (("W1", W1, got.grad1), ("W2", W2, got.grad2)):
        want = np.zeros_like(W)
        for i in np.ndindex(*W.shape):
            ends = []
            for sign in (1, -1):
                moved = W.copy()
                moved[i] += sign * 1e-4
                pair = (moved, W2) if name == "W1" else (W1, moved)
                ends.append(slow_loss(*pair, X, Y))
            want[i] = (ends[0] - ends[1]) / 2e-4
        expect.close(grad, want, f"the gradient by {name}", rtol=1e-7, atol=1e-9, sizes={"N": 6, "K": 2})


def test_the_balance_is_of_outgoing_against_incoming_weights(rng):
    W1, W2, _, _ = network(rng)
    want = np.array([[W2[:, i] @ W2[:, j] - W1[i] @ W1[j] for j in range(3)] for i in range(3)])
    with expect.unchanged(W1, W2):
        expect.close(balance(W1, W2), want, "W2^T W2 - W1 W1^T")
    expect.close(balance([[2, 1]], [[3]]), np.array([[4.0]]), "the balance of W1 = [2 1], W2 = [3]")


def test_the_flow_conserves_the_balance(rng):
    W1, W2, X, Y = network(rng)

    def slope(state):
        _, g1, g2 = linear_loss(*state, X, Y)
        return [-g1, -g2]

    end = follow(slope, [W1, W2], 2.0, 200)
    before, after = linear_loss(W1, W2, X, Y).loss, linear_loss(*end, X, Y).loss
    expect.true(after < 0.6 * before, f"the loss went from {before:.3g} to {after:.3g}: no training")
    want = W2.T @ W2 - W1 @ W1.T
    expect.close(balance(*end), want, "the balance at time 2 of the flow", rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lr", [0.01, 0.3, 2.0])
def test_a_step_of_descent_changes_the_balance_by_exactly_the_drift(rng, lr):
    W1, W2, X, Y = network(rng)
    _, g1, g2 = linear_loss(W1, W2, X, Y)
    change = balance(W1 - lr * g1, W2 - lr * g2) - balance(W1, W2)
    drift = balance_drift(g1, g2, lr)
    expect.close(drift, lr**2 * (g2.T @ g2 - g1 @ g1.T), f"lr^2 (G2^T G2 - G1 G1^T) at lr = {lr}")
    expect.close(drift, change, f"the drift of the balance at lr = {lr}", rtol=1e-9, atol=1e-12)


# ReLU units


def relu_grads(W1, b, w2, X, y):
    """Of the mean of (w2 . relu(W1 x + b) - y)^2 / 2, example by example."""
    g1, gb, g2 = np.zeros_like(W1), np.zeros_like(b), np.zeros_like(w2)
    for x, target in zip(X, y, strict=True):
        z = W1 @ x + b
        error = (w2 @ np.maximum(z, 0) - target) / len(X)
        g2 += np.outer(error, np.maximum(z, 0))
        back = (error @ w2) * (z > 0)
        g1 += np.outer(back, x)
        gb += back
    return g1, gb, g2


def test_each_relu_unit_has_a_balance(rng):
    W1, W2, _, _ = network(rng)
    b = rng.standard_normal(3)
    want = [float(W2[:, i] @ W2[:, i] - W1[i] @ W1[i]) for i in range(3)]
    expect.close(unit_balance(W1, W2), np.array(want), "the balance of three units")
    expect.close(unit_balance(W1, W2, b), np.array(want) - b**2, "the balance of three units with bias")


def test_descent_of_a_relu_network_changes_its_balance_in_second_order_only(rng):
    W1, W2, X, Y = network(rng)
    b, scale = rng.standard_normal(3), 1e-3
    g1, gb, g2 = relu_grads(W1, b, W2, X, Y)
    expect.true(bool(np.abs(g1).max() > 1e-3), "the gradient must not vanish")
    change = unit_balance(W1 - scale * g1, W2 - scale * g2, b - scale * gb) - unit_balance(W1, W2, b)
    want = scale**2 * unit_balance(g1, g2, gb)
    squares = scale**2 * ((g2**2).sum(0) - (g1**2).sum(1) - gb**2)
    expect.close(want, squares, "lr^2 times the balance of the gradients")
    expect.close(change, squares, "the change of the balance by a step of 0.001", rtol=1e-5, atol=1e-12)


# Any symmetry

SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])


def test_the_charge_of_a_generator(rng):
    M, theta = rng.standard_normal((4, 4)), rng.standard_normal(4)
    M = M + M.T
    want = sum(M[i, j] * theta[i] * theta[j] for i in range(4) for j in range(4))
    expect.close(charge(M, theta), float(want), "theta . M theta", rtol=1e-11)
    expect.close(charge(np.diag([1, -1]), [3, 2]), 5.0, "the charge of diag(1, -1) at (3, 2)")


def test_the_violation_is_the_slope_of_the_loss_along_the_orbit(rng):
    """L = sin(c . theta): dL/ds of L(exp(s M) theta) by a difference; M need not be symmetric."""
    M, c, theta = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal(3)
    h = 1e-5
    want = (math.sin(c @ (theta + h * M @ theta)) - math.sin(c @ (theta - h * M @ theta))) / (2 * h)
    got = violation(M, theta, math.cos(c @ theta) * c)
    expect.close(got, float(want), "g . M theta", rtol=1e-7, atol=1e-9)


def test_a_loss_blind_to_length_conserves_it(rng):
    """L = (u . w)^2 / |w|^2: M is the identity, |w|^2 the charge, and descent adds to it."""
    u, w, eye = rng.standard_normal(3), rng.standard_normal(3), np.eye(3)
    g = 2 * (u @ w) * u / (w @ w) - 2 * (u @ w) ** 2 * w / (w @ w) ** 2
    expect.close(violation(eye, w, g), 0.0, "the violation of scale invariance", atol=1e-12)
    for lr in (0.05, 1.5):
        change = charge(eye, w - lr * g) - charge(eye, w)
        expect.close(charge_drift(eye, g, lr), lr**2 * float(g @ g), f"the drift of |w|^2 at lr = {lr}")
        expect.close(
            charge_drift(eye, g, lr), change, f"the change of |w|^2 at lr = {lr}", rtol=1e-9, atol=1e-12
        )


def test_a_hyperbolic_symmetry_has_its_charge(rng):
    """L = (x^2 - y^2 - 1)^2 is invariant under the boost exp(s SWAP), which conserves 2 x y."""
    x, y = rng.standard_normal(2)
    g = 4 * (x * x - y * y - 1) * np.array([x, -y])
    expect.close(violation(SWAP, [x, y], g), 0.0, "the violation of the boost", atol=1e-12)
    expect.close(charge(SWAP, [x, y]), float(2 * x * y), "the charge of the boost")
    step = np.array([x, y]) - 0.1 * g
    change = charge(SWAP, step) - charge(SWAP, [x, y])
    expect.close(charge_drift(SWAP, g, 0.1), change, "the drift of 2 x y by a step of 0.1", rtol=1e-9)
    for g, want in (([1.0, 2.0], 0.04), ([1.0, -2.0], -0.04)):
        expect.close(charge_drift(SWAP, g, 0.1), want, f"the drift of 2 x y with g = {g}")


# Two weights


def test_descent_on_a_product_is_a_loop():
    path, residuals = product_descent(1.5, -0.5, 0.1, 6, target=2.0)
    x, y, want = 1.5, -0.5, []
    for _ in range(7):
        r = x * y - 2
        want.append((x, y, r))
        x, y = x - 0.1 * r * y, y - 0.1 * r * x
    want = np.array(want)
    expect.close(path, want[:, :2], "the path of six steps")
    expect.close(residuals, want[:, 2], "the residuals at its points")
    path, _ = product_descent(2.0, 0.5, 0.3, 3)
    expect.close(path, np.tile([2.0, 0.5], (4, 1)), "the path from x y = 1, the target by default")


@pytest.mark.parametrize("lr", [0.001, 0.1, 0.4])
def test_the_difference_of_squares_shrinks_exactly_as_predicted(lr):
    path, residuals = product_descent(1.4, 0.2, lr, 30)
    want = path[:, 0] ** 2 - path[:, 1] ** 2
    expect.close(want[0], 1.4**2 - 0.2**2, "x^2 - y^2 at the start")
    got = product_charge(1.4, 0.2, residuals, lr)
    expect.close(got, want, f"x^2 - y^2 along 30 steps at lr = {lr}", rtol=1e-11)
    expect.true(
        bool(want[-1] < want[0]), f"x^2 - y^2 went from {want[0]:.6g} to {want[-1]:.6g}: it must shrink"
    )


def test_the_prediction_for_given_residuals():
    residuals = np.array([1.0, -2.0, 5.0])
    with expect.unchanged(residuals):
        got = product_charge(3.0, 1.0, residuals, 0.1)
    expect.close(got, 8 * np.array([1.0, 0.99, 0.99 * 0.96]), "8 times the factors 1, 0.99, 0.99 * 0.96")
    expect.close(product_charge(3.0, 1.0, [7.0], 0.1), np.array([8.0]), "the charge of a start alone")
    got = product_charge(1.0, -3.0, [2.0, 20.0, 1.0], 0.1)
    expect.close(got, -8 * np.array([1.0, 0.96, -0.96 * 3]), "|y| > |x|, and a step with lr |r| = 2")


def test_drift_vanishes_with_the_step():
    """At a fixed time the drift of x^2 - y^2 is of first order in lr."""
    drifts = []
    for n in (100, 200):
        path, _ = product_descent(1.5, 0.1, 2.0 / n, n)
        drifts.append(float(path[0, 0] ** 2 - path[0, 1] ** 2 - path[-1, 0] ** 2 + path[-1, 1] ** 2))
    order = math.log2(drifts[0] / drifts[1])
    expect.true(abs(order - 1) < 0.1, f"the drift at time 2 falls as lr^{order:.3f}, expected lr^1: {drifts}")


# Errors


def test_layers_that_do_not_fit_are_refused(rng):
    with expect.raises(ValueError, "(3, 4)", "(2, 5)"):
        balance(np.zeros((3, 4)), np.zeros((2, 5)))
    with expect.raises(ValueError, "(3, 4)", "(2, 5)"):
        balance_drift(np.zeros((3, 4)), np.zeros((2, 5)), 0.1)
    with expect.raises(ValueError, "(3, 4)", "(2, 5)"):
        unit_balance(np.zeros((3, 4)), np.zeros((2, 5)))
    with expect.raises(ValueError, "(2,)", "(3, 4)"):
        unit_balance(np.zeros((3, 4)), np.zeros((2, 3)), np.zeros(2))
    with expect.raises(ValueError, "(3, 1)", "(3, 4)"):
        unit_balance(np.zeros((3, 4)), np.zeros((2, 3)), np.zeros((3, 1)))
    for second, inputs, targets in (
        ((2, 5), (6, 4), (6, 2)),
        ((2, 3), (6, 5), (6, 2)),
        ((2, 3), (6, 4), (7, 2)),
        ((2, 3), (6, 4), (6, 1)),
    ):
        shapes = ((3, 4), second, inputs, targets)
        with expect.raises(ValueError, *map(str, shapes)):
            linear_loss(*map(np.zeros, shapes))


def test_generators_that_do_not_fit_are_refused():
    with expect.raises(ValueError, "(2, 2)", "(3,)"):
        charge(np.eye(2), np.zeros(3))
    with expect.raises(ValueError, "(2, 2)", "(3,)"):
        charge_drift(np.eye(2), np.zeros(3), 0.1)
    with expect.raises(ValueError, "(2, 3)", "(3,)"):
        violation(np.zeros((2, 3)), np.zeros(3), np.zeros(3))
    with expect.raises(ValueError, "(2,)", "(3,)"):
        violation(np.eye(3), np.zeros(3), np.zeros(2))
    with expect.raises(ValueError, "(1, 3)", "(3,)"):
        violation(np.eye(3), np.zeros(3), np.zeros((1, 3)))
    with expect.raises(ValueError, "-0.5"):
        product_descent(1.0, 2.0, -0.5, 3)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_charges_are_of_symmetric_matrices(scale):
    for M in ([[0.0, 1.0], [-1.0, 0.0]], [[1.0, 1.000000001], [1.0, 1.0]]):
        for call in (charge, lambda M, g: charge_drift(M, g, 0.1)):
            with expect.raises(ValueError):
                call(scale * np.array(M), [1.0, 2.0])
    nearly = scale * np.array([[1.0, 0.3], [0.1 + 0.2, 1.0]])
    got = charge(nearly, [1.0, 2.0])
    expect.close(got, 6.2 * scale, "the charge of a matrix that is symmetric up to rounding")
