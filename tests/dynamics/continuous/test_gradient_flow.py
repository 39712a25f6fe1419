"""Gradient flow: against the exponential, its energy balance, and its distance from gradient descent."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.gradient_flow import descend, dissipation, flow, flow_exact, flow_gap


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def quadratic(rng, eigenvalues):
    q = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))[0]
    return q * np.asarray(eigenvalues, float) @ q.T, q


def decayed(A, b, x0, ts):
    """x* + exp(-A t)(x0 - x*), for an A that has an inverse."""
    a, q = np.linalg.eigh(A)
    lowest = np.linalg.solve(A, b)
    return np.stack([lowest + q @ (np.exp(-a * t) * (q.T @ (x0 - lowest))) for t in ts])


def bowl(theta):
    """A loss that is no quadratic: sum of log cosh(x) + x^4 / 4, and its gradient."""
    return float(np.sum(np.log(np.cosh(theta)) + theta**4 / 4))


def bowl_grad(theta):
    return np.tanh(theta) + theta**3


def valley(theta):
    """Rosenbrock's, with a factor 5."""
    x, y = theta
    return (1 - x) ** 2 + 5 * (y - x * x) ** 2


def valley_grad(theta):
    x, y = theta
    return np.array([-2 * (1 - x) - 20 * x * (y - x * x), 10 * (y - x * x)])


# The flow on a quadratic


def test_one_direction_decays_exponentially_to_its_minimum():
    got = flow_exact([[2.0]], [6.0], [1.0], [0.0, 0.25, 1.0])
    want = 3 - 2 * np.exp(-2 * np.array([[0.0], [0.25], [1.0]]))
    expect.close(got, want, "the flow on x^2 - 6 x from 1")
    expect.close(flow_exact([[2.0]], [6.0], [1.0], 0.25), want[1], "the flow at a single time")


def test_the_exact_flow_in_many_directions(rng):
    A, _ = quadratic(rng, [0.3, 1.0, 4.0, -0.5])
    b, x0 = rng.standard_normal(4), rng.standard_normal(4)
    ts = np.array([-0.5, 0.0, 0.3, 2.0])
    with expect.unchanged(A, b, x0, ts):
        got = flow_exact(A, b, x0, ts)
    expect.close(got, decayed(A, b, x0, ts), "the flow at four times", rtol=1e-10)


def test_flat_directions_are_pushed_for_ever(rng):
    A = np.diag([2.0, 0.0, 0.0])
    b, x0 = np.array([1.0, 3.0, 0.0]), np.array([0.0, 1.0, 5.0])
    want = np.array([0.5 * (1 - math.exp(-8)), 13.0, 5.0])
    with expect.quiet("flow_exact"):
        expect.close(flow_exact(A, b, x0, 4.0), want, "the flow at time 4, curvatures 2, 0, 0")
    tiny = np.diag([2.0, 1e-18, -1e-18])
    expect.close(flow_exact(tiny, b, x0, 4.0), want, "the flow at time 4, curvatures 2, 1e-18, -1e-18")
    late = flow_exact([[1e-9]], [1.0], [0.0], 1e9)
    expect.close(late, np.array([1e9 * (1 - math.exp(-1))]), "the flow at time 1e9, curvature 1e-9")


def test_two_stretches_of_the_flow_are_one(rng):
    A, _ = quadratic(rng, [0.1, 1.0, 3.0])
    b, x0 = rng.standard_normal((2, 3))
    halfway = flow_exact(A, b, x0, 0.7)
    expect.close(flow_exact(A, b, halfway, 0.5), flow_exact(A, b, x0, 1.2), "0.7 and then 0.5", rtol=1e-11)
    back = flow_exact(A, b, halfway, -0.7)
    expect.close(back, x0, "0.7 there and back", rtol=1e-11)


def test_the_excess_loss_falls_at_twice_the_smallest_curvature(rng):
    A, _ = quadratic(rng, [0.5, 2.0, 7.0])
    x0, ts = rng.standard_normal(3), np.linspace(0, 5, 21)
    path = flow_exact(A, np.zeros(3), x0, ts)
    loss = 0.5 * np.einsum("ti,ij,tj->t", path, A, path)
    bound = loss[0] * np.exp(-2 * 0.5 * ts)
    worst = float(np.max(loss / bound))
    expect.close(path[0], x0, "the flow at time 0", rtol=1e-12)
    expect.true(worst <= 1 + 1e-9, f"L(t) / (L(0) exp(-2 m t)) reaches {worst:.4g}, expected at most 1")


# Descent and flow


def test_descent_is_a_loop_of_steps(rng):
    x0 = rng.standard_normal((2, 3))
    want = [x0]
    for _ in range(5):
        want.append(want[-1] - 0.1 * bowl_grad(want[-1]))
    with expect.unchanged(x0):
        got = descend(bowl_grad, x0, 0.1, 5)
    expect.close(got, np.stack(want), "five steps of descent", rtol=1e-13)
    expect.close(descend(bowl_grad, [1, 2], 0.1, 0), np.array([[1.0, 2.0]]), "the path of 0 steps")


def test_eulers_flow_is_gradient_descent(rng):
    x0 = rng.standard_normal((2, 2))
    path = flow(bowl_grad, x0, 0.05 * np.arange(41), "euler")
    want = [x0]
    for _ in range(40):
        want.append(want[-1] - 0.05 * bowl_grad(want[-1]))
    expect.close(path, np.stack(want), "the path of Euler's method with steps of lr", rtol=1e-11)


@pytest.mark.parametrize(("method", "substeps"), [("dopri5", 1), ("rk4", 40), ("midpoint", 300)])
def test_the_flow_is_the_exact_flow(rng, method, substeps):
    A, _ = quadratic(rng, [0.3, 1.0, 4.0])
    b, x0 = rng.standard_normal((2, 3))
    ts = np.array([0.5, 0.7, 1.5])
    got = flow(lambda x: A @ x - b, x0, ts, method, substeps=substeps, rtol=1e-10, atol=1e-12)
    expect.close(
        got,
        decayed(A, b, x0, ts - 0.5),
        f"the flow by {method}",
        rtol=1e-4 if method == "midpoint" else 2e-7,
    )


def test_backward_the_flow_climbs(rng):
    x0 = np.array([0.3, -0.2])
    there = flow(valley_grad, x0, [0.0, 0.4], rtol=1e-11, atol=1e-12)
    back = flow(valley_grad, there[-1], [0.4, 0.0], rtol=1e-11, atol=1e-12)
    expect.close(back[-1], x0, "0.4 along the flow and back", rtol=1e-7)
    expect.true(
        valley(there[-1]) < valley(x0), f"the loss rose from {valley(x0):.4g} to {valley(there[-1]):.4g}"
    )


def test_default_tolerances_of_the_flow_are_tight(rng):
    A, _ = quadratic(rng, [0.3, 1.0, 4.0])
    x0, ts = rng.standard_normal(3), np.array([0.0, 0.5, 5.0])
    got = flow(lambda x: A @ x, x0, ts)
    expect.close(got, decayed(A, np.zeros(3), x0, ts), "the flow by default", rtol=1e-5, atol=1e-7)


# Energy


@pytest.mark.parametrize(("loss", "grad"), [(bowl, bowl_grad), (valley, valley_grad)], ids=["bowl", "valley"])
def test_the_lost_energy_is_the_fall_of_the_loss(loss, grad):
    ts = np.array([1.0, 1.3, 2.0, 6.0])
    path, lost = dissipation(grad, [1.2, -0.7], ts, rtol=1e-10, atol=1e-12)
    want = np.array([loss(path[0]) - loss(p) for p in path])
    expect.close(path, flow(grad, [1.2, -0.7], ts, rtol=1e-10, atol=1e-12), "the path", rtol=1e-7)
    expect.close(path[0], np.array([1.2, -0.7]), "the start of the path")
    expect.close(lost, want, "the energy lost", rtol=1e-8, atol=1e-9)


def test_the_energy_balance_has_the_order_of_the_solver():
    start, ts = np.array([[1.5, -0.4], [0.2, 1.0]]), np.array([0.0, 0.5, 1.0])
    for method, order in (("euler", 1), ("heun", 2), ("rk4", 4)):
        errors = []
        for n in (20, 40):
            path, lost = dissipation(bowl_grad, start, ts, method, substeps=n)
            expect.true(np.shape(path) == (3, 2, 2), f"a path of shape {np.shape(path)}, expected (3, 2, 2)")
            errors.append(abs(float(lost[-1]) - (bowl(start) - bowl(path[-1]))))
        slope = math.log2(errors[0] / errors[1])
        expect.true(
            abs(slope - order) < 0.35,
            f"the balance of {method} closes to order {slope:.2f}, expected {order}: errors {errors}",
        )


def test_the_gradient_sees_theta_in_its_shape():
    def grad(theta):
        expect.true(
            np.shape(theta) == (2, 1, 2), f"grad was called with shape {np.shape(theta)}, not (2, 1, 2)"
        )
        return theta

    start = np.arange(4.0).reshape(2, 1, 2)
    decayed = start * math.exp(-0.5)
    expect.close(flow(grad, start, [0, 0.5])[-1], decayed, "the flow on |x|^2 / 2", rtol=1e-6)
    path, lost = dissipation(grad, start, [0, 0.5])
    expect.close(path[-1], decayed, "the path on |x|^2 / 2", rtol=1e-6)
    expect.close(lost, np.array([0.0, 7 * (1 - math.exp(-1))]), "the energy lost on |x|^2 / 2", rtol=1e-6)
    expect.equal(flow_gap(grad, start, 0.1, 3).shape, (4,), "the shape of the gaps of 3 steps")


# The gap


def test_the_gap_on_a_quadratic(rng):
    """In each direction (1 - lr a)^k against exp(-a lr k)."""
    a, lr = np.array([0.3, 1.0, 4.0]), 0.1
    A, q = quadratic(rng, a)
    x0, k = rng.standard_normal(3), np.arange(13)[:, None]
    want = np.linalg.norm(((1 - lr * a) ** k - np.exp(-a * lr * k)) * (q.T @ x0), axis=1)
    got = flow_gap(lambda x: A @ x, x0, lr, 12)
    expect.close(got, want, "the gap after each of 12 steps", rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("grad", [bowl_grad, valley_grad], ids=["bowl", "valley"])
def test_the_gap_at_a_fixed_time_is_proportional_to_the_step(grad):
    gaps = [float(flow_gap(grad, [0.2, 0.8], 0.5 / n, n)[-1]) for n in (40, 80)]
    order = math.log2(gaps[0] / gaps[1])
    expect.true(abs(order - 1) < 0.1, f"the gap falls as lr^{order:.3f}, expected lr^1: {gaps}")


def test_the_gap_of_a_single_step():
    got = flow_gap(lambda x: x, [3.0, 4.0], 0.1, 1)
    expect.close(got, np.array([0.0, 5 * abs(0.9 - math.exp(-0.1))]), "the gap of one step", rtol=1e-6)


def test_the_tolerances_of_the_gap_are_those_of_the_solver():
    cost = []
    for rtol, atol in ((1e-11, 1e-11), (1e-3, 1e-11), (1e-11, 1e-3)):
        calls = []
        grad = lambda x, calls=calls: calls.append(1) or x  # noqa: E731
        gap = flow_gap(grad, [1.0], 1.9, 1, rtol=rtol, atol=atol)
        expect.close(gap[1], 0.9 + math.exp(-1.9), f"the gap with rtol {rtol}, atol {atol}", rtol=1e-2)
        cost.append(len(calls))
    expect.true(
        cost[0] > 2 * cost[1] and cost[0] > 2 * cost[2],
        f"calls of grad with (rtol, atol) of (1e-11, 1e-11), (1e-3, 1e-11), (1e-11, 1e-3): {cost}",
    )


# Errors


def test_a_matrix_that_is_no_hessian_is_refused():
    with expect.raises(ValueError, "(2, 3)"):
        flow_exact(np.zeros((2, 3)), np.zeros(2), np.zeros(2), 1.0)
    with expect.raises(ValueError, "(3,)", "(2, 2)"):
        flow_exact(np.eye(2), np.zeros(3), np.zeros(2), 1.0)
    with expect.raises(ValueError, "(1,)", "(2, 2)"):
        flow_exact(np.eye(2), np.zeros(2), np.zeros(1), 1.0)
    with expect.raises(ValueError):
        flow_exact([[1.0, 2.0], [0.0, 1.0]], np.zeros(2), np.zeros(2), 1.0)
    for scale in (1e-20, 1.0, 1e20):
        with expect.raises(ValueError):
            flow_exact(scale * np.array([[2.0, 1.0], [1.0 + 1e-9, 2.0]]), np.zeros(2), np.zeros(2), 1.0)
        nearly = scale * np.array([[2.0, 1.0], [1.0 + 4e-16, 2.0]])
        got = flow_exact(nearly, np.zeros(2), [2, 2], 1 / scale)
        what = f"symmetric up to rounding, entries near {scale:g}"
        expect.close(got, 2 * math.exp(-3) * np.ones(2), what, rtol=1e-9)


@pytest.mark.parametrize("lr", [0.0, -0.5, math.nan])
def test_a_rate_that_goes_nowhere_is_refused(lr):
    with expect.raises(ValueError, str(lr)):
        descend(bowl_grad, [1.0], lr, 3)
    with expect.raises(ValueError, str(lr)):
        flow_gap(bowl_grad, [1.0], lr, 3)


def test_a_count_of_steps_below_the_least_is_refused():
    with expect.raises(ValueError, "-1"):
        descend(bowl_grad, [1.0], 0.1, -1)
    with expect.raises(ValueError, "0"):
        flow_gap(bowl_grad, [1.0], 0.1, 0)


def test_the_solver_refuses_what_it_does_not_know():
    with expect.raises(ValueError, "leap"):
        flow(bowl_grad, [1.0], [0, 1], "leap")
    with expect.raises(ValueError, "leap"):
        dissipation(bowl_grad, [1.0], [0, 1], "leap")
