"""Backward error: the modified gradient against its definition, and descent against the flows."""

import math
from itertools import permutations

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.backward_error import (
    flow_gaps,
    modified_gradient,
    modified_loss,
    modified_rate,
    sgd_penalty,
    shuffled_gradient,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# A loss that is no quadratic, (x y - 1)^2 / 2 + x^4 / 4, by hand


def product_loss(theta):
    x, y = theta
    return 0.5 * (x * y - 1) ** 2 + x**4 / 4


def product_grad(theta):
    x, y = theta
    r = x * y - 1
    return np.array([r * y + x**3, r * x])


def product_hvp(theta, v):
    x, y = theta
    mixed = 2 * x * y - 1
    return np.array([[y * y + 3 * x * x, mixed], [mixed, x * x]]) @ v


def follow(gradient, theta, time, steps):
    """The flow by Runge and Kutta's method."""
    h = time / steps
    for _ in range(steps):
        k1 = -gradient(theta)
        k2 = -gradient(theta + h / 2 * k1)
        k3 = -gradient(theta + h / 2 * k2)
        k4 = -gradient(theta + h * k3)
        theta = theta + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return theta


# The modified equation


def test_the_modified_gradient_of_a_quadratic(rng):
    """g = A x - b and H = A: (I + lr/2 A) g, for vectors and for arrays of any shape."""
    A = rng.standard_normal((3, 3))
    A = A + A.T
    b, x = rng.standard_normal((3, 2)), rng.standard_normal((3, 2))
    with expect.unchanged(x):
        got = modified_gradient(lambda x: A @ x - b, lambda x, v: A @ v, 0.3)(x)
    expect.close(got, (np.eye(3) + 0.15 * A) @ (A @ x - b), "g + lr/2 H g with lr = 0.3")


def test_the_hessian_is_taken_at_theta(rng):
    for _ in range(3):
        theta = rng.standard_normal(2)
        g = product_grad(theta)
        want = g + 0.1 * product_hvp(theta, g)
        got = modified_gradient(product_grad, product_hvp, 0.2)(theta)
        expect.close(got, want, f"g + lr/2 H g at {theta}, lr = 0.2")
    calls = []
    once = modified_gradient(lambda x: calls.append(1) or product_grad(x), product_hvp, 0.2)(theta)
    expect.close(once, want, "the same again")
    expect.equal(len(calls), 1, "calls of grad for one modified gradient")


def test_without_a_step_nothing_is_modified(rng):
    theta = rng.standard_normal(2)
    got = modified_gradient(product_grad, product_hvp, 0.0)(theta)
    expect.close(got, product_grad(theta), "the modified gradient at lr = 0")
    value = modified_loss(product_loss, product_grad, 0.0)(theta)
    expect.close(value, float(product_loss(theta)), "the modified loss at lr = 0")
    value = modified_loss(product_loss, product_grad, 0.4)(theta)
    want = product_loss(theta) + 0.1 * float(product_grad(theta) @ product_grad(theta))
    expect.close(value, float(want), "the modified loss at lr = 0.4")


def test_the_modified_loss_adds_a_quarter_of_the_squared_gradient():
    """L = |x|^2 / 2 with x (2, 2): |g|^2 = 1 + 4 + 9 + 16."""
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    value = modified_loss(lambda x: 0.5 * np.sum(x * x), lambda x: x, 0.2)(x)
    expect.close(value, 15 + 0.05 * 30, "L + lr/4 |g|^2 with lr = 0.2")


def test_the_modified_gradient_is_the_gradient_of_the_modified_loss(rng):
    lr, eps = 0.4, 1e-5
    loss, gradient = (
        modified_loss(product_loss, product_grad, lr),
        modified_gradient(product_grad, product_hvp, lr),
    )
    for _ in range(3):
        theta = rng.standard_normal(2)
        g = product_grad(theta)
        expect.close(loss(theta) - product_loss(theta), 0.1 * float(g @ g), "what is added", rtol=1e-9)
        want = [(loss(theta + eps * e) - loss(theta - eps * e)) / (2 * eps) for e in np.eye(2)]
        expect.close(
            gradient(theta), np.array(want), f"the modified gradient at {theta}", rtol=1e-6, atol=1e-7
        )


# How descent goes


def test_the_rate_of_descent_is_exact_on_a_quadratic():
    for a, lr in ((2.0, 0.1), (0.5, 1.9), (-3.0, 0.2), (9.99, 0.1)):
        rate = modified_rate(a, lr)
        expect.close(math.exp(-lr * rate), 1 - lr * a, f"exp(-lr c) for curvature {a}, lr {lr}", rtol=1e-12)
    expect.close(
        modified_rate(0.5, 0.02), 0.5 + 0.0025 + 0.02**2 * 0.125 / 3, "c near a + lr a^2/2", rtol=1e-5
    )
    expect.close(modified_rate(1e-3, 1e-13), 1e-3, "c for lr a = 1e-16, where 1 - lr a is 1", rtol=1e-12)


def test_flat_ground_has_no_rate():
    expect.close(modified_rate(0.0, 0.5), 0.0, "the rate at curvature 0", atol=1e-300)
    expect.close(modified_rate(1.0, 0.5), 2 * math.log(2), "the rate at curvature 1, lr 0.5")


def test_one_step_is_on_the_modified_flow_to_third_order():
    theta = np.array([0.8, -0.5])
    for modified, order in ((False, 2), (True, 3)):
        errors = []
        for lr in (0.04, 0.02):
            lr_used = lr if modified else 0.0
            gradient = modified_gradient(product_grad, product_hvp, lr_used)
            errors.append(np.linalg.norm(theta - lr * product_grad(theta) - follow(gradient, theta, lr, 2)))
        slope = math.log2(errors[0] / errors[1])
        what = "modified flow" if modified else "flow"
        expect.true(
            abs(slope - order) < 0.3, f"a step is off the {what} by lr^{slope:.2f}, expected lr^{order}"
        )


def test_the_gaps_on_a_quadratic(rng):
    """Direction by direction: (1 - lr a)^k, exp(-a t), exp(-(a + lr a^2/2) t)."""
    a, lr = np.array([0.4, 1.0, 3.0]), 0.1
    q = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    A, x0, k = q * a @ q.T, rng.standard_normal(3), np.arange(9)[:, None]
    z0, t = q.T @ x0, lr * np.arange(9)[:, None]
    descent = (1 - lr * a) ** k * z0
    with expect.unchanged(x0):
        got = flow_gaps(lambda x: A @ x, lambda x, v: A @ v, x0, lr, 8)
    want = np.linalg.norm(descent - np.exp(-a * t) * z0, axis=1)
    expect.close(got.flow, want, "the gap to the flow", rtol=1e-6, atol=1e-9)
    want = np.linalg.norm(descent - np.exp(-(a + lr / 2 * a * a) * t) * z0, axis=1)
    expect.close(got.modified, want, "the gap to the modified flow", rtol=1e-6, atol=1e-9)


def test_descent_is_near_the_flow_to_first_order_and_near_the_modified_flow_to_second():
    ends = [flow_gaps(product_grad, product_hvp, [1.2, 0.2], 0.6 / n, n) for n in (16, 32)]
    for name, order in (("flow", 1), ("modified", 2)):
        coarse, fine = (float(getattr(gaps, name)[-1]) for gaps in ends)
        slope = math.log2(coarse / fine)
        expect.true(
            abs(slope - order) < 0.25,
            f"the gap {name} falls as lr^{slope:.2f}, expected lr^{order}: {coarse:.3g}, then {fine:.3g}",
        )


def test_the_gap_is_measured_over_all_elements():
    got = flow_gaps(lambda x: x, lambda x, v: v, np.ones((2, 1, 2)), 0.1, 1)
    want = np.array([0.0, 2 * abs(0.9 - math.exp(-0.1))])
    expect.close(got.flow, want, "the gap to the flow of 4 elements", rtol=1e-7)
    want = np.array([0.0, 2 * abs(0.9 - math.exp(-0.105))])
    expect.close(got.modified, want, "the gap to the modified flow of 4 elements", rtol=1e-6, atol=1e-11)
    got = flow_gaps(lambda x: x, lambda x, v: v, [1.0], 1.0, 1)
    want = np.exp([-1.0, -1.5])
    expect.close(np.array([got.flow[1], got.modified[1]]), want, "the gaps after a step of 1", rtol=2e-10)


# Shuffled batches


def batches(rng, m):
    """Losses log(1 + exp(-w.x)) of m examples in two dimensions: gradients and Hessian products."""
    xs = 2 * rng.standard_normal((m, 2))
    grads = [lambda w, x=x: -x / (1 + math.exp(w @ x)) for x in xs]
    hvps = [lambda w, v, x=x: x * (x @ v) / (2 + 2 * math.cosh(w @ x)) for x in xs]
    return grads, hvps


def test_the_mean_of_all_orders_follows_the_shuffled_gradient(rng):
    grads, hvps = batches(rng, 3)
    start = np.array([0.3, -0.2])
    errors = []
    for lr in (0.02, 0.01):
        ends = []
        for order in permutations(range(3)):
            w = start
            for i in order:
                w = w - lr * grads[i](w)
            ends.append(w)
        flowed = follow(shuffled_gradient(grads, hvps, lr), start, 3 * lr, 4)
        errors.append(float(np.linalg.norm(np.mean(ends, axis=0) - flowed)))
    slope = math.log2(errors[0] / errors[1])
    expect.true(
        abs(slope - 3) < 0.3, f"the mean of an epoch is off by lr^{slope:.2f}, expected lr^3: {errors}"
    )


def test_the_shuffled_gradient_is_a_mean_over_batches(rng):
    grads, hvps = batches(rng, 4)
    w = rng.standard_normal(2)
    want = np.mean([g(w) + 0.25 * h(w, g(w)) for g, h in zip(grads, hvps, strict=True)], axis=0)
    expect.close(shuffled_gradient(grads, hvps, 0.5)(w), want, "the gradient of four batches, lr = 0.5")
    one = shuffled_gradient(grads[:1], hvps[:1], 0.5)(w)
    expect.close(one, grads[0](w) + 0.25 * hvps[0](w, grads[0](w)), "the gradient of a single batch")


def test_the_penalty_of_sgd_is_that_of_descent_and_of_the_noise(rng):
    g = rng.standard_normal((5, 2, 3))
    got = sgd_penalty(g, 0.3)
    mean = g.sum(axis=0) / 5
    expect.close(got.descent, 0.075 * float((mean**2).sum()), "descent's part of the penalty")
    total = 0.075 * sum(float((each**2).sum()) for each in g) / 5
    expect.close(got.descent + got.noise, total, "the whole penalty, lr/4 mean |g_i|^2")
    alone = sgd_penalty(g[:1], 0.3)
    expect.close(alone.noise, 0.0, "the noise of one batch", atol=1e-15)
    expect.close(alone.descent, 0.075 * float((g[0] ** 2).sum()), "the penalty of one batch")


# Errors


def test_a_step_that_no_flow_makes_is_refused():
    expect.close(modified_rate(0.5, 1.0), math.log(2), "the rate at curvature 0.5, lr 1")
    for a, lr in ((2.0, 0.5), (3.0, 0.7)):
        with expect.raises(ValueError, str(a), str(lr)):
            modified_rate(a, lr)
    for lr in (0.0, -0.5, math.nan):
        with expect.raises(ValueError, str(lr)):
            modified_rate(1.0, lr)


def test_no_steps_and_no_batches_are_refused():
    with expect.raises(ValueError, "0"):
        flow_gaps(product_grad, product_hvp, [1.0, 1.0], 0.1, 0)
    with expect.raises(ValueError, "-0.25"):
        flow_gaps(product_grad, product_hvp, [1.0, 1.0], -0.25, 3)
    with expect.raises(ValueError, "0"):
        shuffled_gradient([], [], 0.1)
    for grads, hvps in ((5, 3), (3, 5)):
        with expect.raises(ValueError, "5", "3"):
            shuffled_gradient([product_grad] * grads, [product_hvp] * hvps, 0.1)
