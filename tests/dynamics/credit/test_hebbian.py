"""Local rules: updates as loops, averages in closed form, fixed points, and the components they must find."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.credit.hebbian import bcm, hebb, learn, oja, oja_flow, sanger


def inputs(seed=0, samples=7, sides=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, sides)), rng.normal(size=sides), rng.normal(size=(3, sides))


def spread(eigenvalues, seed=0):
    """Inputs (2 D, D) whose mean of x x^T has exactly these eigenvalues, and its eigenvectors as rows."""
    D = len(eigenvalues)
    Q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))
    half = (Q * np.sqrt(D * np.asarray(eigenvalues))).T
    return np.concatenate([half, -half]), Q.T


def respond(w, x):
    return sum(a * b for a, b in zip(w, x, strict=True))


# Definition


def test_hebb_adds_input_times_response():
    X, w, _ = inputs()
    want = np.array([w[d] + 0.1 * sum(respond(w, x) * x[d] for x in X) / 7 for d in range(4)])
    with expect.unchanged(X, w):
        expect.close(hebb(w, X, 0.1), want, "Hebb's rule on 7 inputs")
    expect.close(
        hebb(np.array([2.0, 1.0]), [[1, 3]], 0.1), np.array([2.5, 2.5]), "Hebb's rule, one input [1, 3]"
    )


def test_oja_takes_the_squared_response_off():
    X, w, _ = inputs(1)
    want = np.zeros(4)
    for d in range(4):
        total = 0.0
        for x in X:
            y = respond(w, x)
            total += y * x[d] - y * y * w[d]
        want[d] = w[d] + 0.2 * total / 7
    with expect.unchanged(X, w):
        expect.close(oja(w, X, 0.2), want, "Oja's rule on 7 inputs")
    expect.close(
        oja(np.array([2.0, 1.0]), [[1, 3]], 0.1), np.array([-2.5, 0.0]), "Oja's rule, one input [1, 3]"
    )


def test_sanger_takes_off_what_the_units_before_explain():
    X, _, W = inputs(2)
    want = W.copy()
    for x in X:
        y = [respond(w, x) for w in W]
        for k in range(3):
            for d in range(4):
                explained = sum(y[j] * W[j, d] for j in range(k + 1))
                want[k, d] += 0.2 * y[k] * (x[d] - explained) / 7
    with expect.unchanged(X, W):
        expect.close(sanger(W, X, 0.2), want, "Sanger's rule, 3 units, 7 inputs")


def test_bcm_turns_at_the_threshold():
    X, w, _ = inputs(3)
    change, square = np.zeros(4), 0.0
    for x in X:
        y = respond(w, x)
        square += y * y / 7
        change += y * (y - 0.6) * x / 7
    with expect.unchanged(X, w):
        new, theta = bcm(w, 0.6, X, 0.2, 4.0)
    expect.close(new, w + 0.2 * change, "BCM weights")
    expect.close(theta, 0.6 + (square - 0.6) / 4, "BCM threshold")
    _, theta = bcm(w, 0.6, X, 0.2, 1.0)
    expect.close(theta, square, "BCM threshold with tau 1")


# Averages and fixed points


def test_hebb_grows_as_a_power_in_every_eigenvector():
    values = np.array([2.0, 1.0, 0.5])
    X, Q = spread(values)
    w = start = np.array([0.1, -0.2, 0.3])
    for _ in range(40):
        w = hebb(w, X, 0.1)
    want = Q.T @ ((1 + 0.1 * values) ** 40 * (Q @ start))
    expect.close(w, want, "weights after 40 steps: (1 + lr lambda)^40 in each eigenvector", rtol=1e-10)


def test_oja_rests_at_unit_eigenvectors_and_falls_to_the_top_one():
    values = [2.0, 1.0, 0.5]
    X, Q = spread(values, 1)
    for q in Q:
        expect.close(oja(q, X, 0.1), q, "a unit eigenvector after a step of Oja's rule", rtol=1e-10)
        expect.close(oja(-q, X, 0.1), -q, "its negative after a step", rtol=1e-10)
    for seed in range(4):
        w = 0.3 * np.random.default_rng(seed).normal(size=3)
        side = math.copysign(1.0, float(w @ Q[0]))
        for _ in range(400):
            w = oja(w, X, 0.1)
        expect.close(w, side * Q[0], f"weights after 400 steps from start {seed}", rtol=1e-8, atol=1e-8)


def test_sanger_finds_the_components_in_order():
    values = [3.0, 2.0, 1.0, 0.3]
    X, Q = spread(values, 2)
    expect.close(sanger(Q[:3], X, 0.1), Q[:3], "the eigenvectors in order after a step", rtol=1e-10)
    for seed in range(2):
        W = 0.4 * np.random.default_rng(seed).normal(size=(3, 4))
        for _ in range(800):
            W = sanger(W, X, 0.05)
        expect.close(np.abs(W @ Q.T), np.eye(3, 4), f"|W| in eigenvectors from start {seed}", atol=1e-6)


def test_sanger_with_one_unit_is_oja():
    X, w, _ = inputs(4)
    y = X @ w
    want = w + 0.3 * np.mean(y[:, None] * X - (y**2)[:, None] * w, 0)
    expect.close(sanger(w[None], X, 0.3), want[None], "Sanger's rule with one unit", rtol=1e-10)
    expect.close(oja(w, X, 0.3), want, "Oja's rule", rtol=1e-10)


def test_bcm_rests_where_one_input_has_the_inverse_of_its_frequency():
    patterns = np.array([[1.0, 0.2], [0.3, 1.0]])
    X = patterns[[0, 1, 1, 1]]
    for k, frequency in ((0, 0.25), (1, 0.75)):
        w = np.linalg.solve(patterns, np.eye(2)[k] / frequency)
        new, theta = bcm(w, 1 / frequency, X, 0.1, 3.0)
        expect.close(new, w, f"weights that select input {k}", rtol=1e-10)
        expect.close(theta, 1 / frequency, f"threshold where input {k} is selected", rtol=1e-10)


def test_bcm_becomes_selective():
    """Responses end at 3 for one of three inputs and 0 for the others."""
    X = np.array([[1.0, 0.2, 0.1], [0.2, 1.0, 0.3], [0.1, 0.3, 1.0]])
    for favourite in range(3):
        w, theta = 0.2 + 0.2 * np.eye(3)[favourite], 0.0
        for _ in range(2000):
            w, theta = bcm(w, theta, X, 0.05, 5.0)
        want = 3.0 * np.eye(3)[favourite]
        expect.close(X @ w, want, f"responses when input {favourite} has a head start", rtol=1e-6, atol=1e-6)
        expect.close(theta, 3.0, "threshold", rtol=1e-6)


# Learning in time


def test_every_epoch_shows_each_input_once_in_a_new_order():
    X = np.arange(30.0).reshape(10, 3)
    seen = []

    def rule(w, x, lr):
        seen.append(np.array(x))
        return w + lr * x[0]

    path = learn(rule, np.zeros(3), X, 0.5, 4, rng=np.random.default_rng(0))
    want = 0.5 * X.sum(0) * np.arange(5)[:, None]
    expect.close(path, want, "weights before and after each of 4 epochs of a rule that adds lr x")
    expect.equal(len(seen), 40, "number of steps in 4 epochs of 10 inputs")
    expect.equal({x.shape for x in seen} == {(1, 3)}, True, "every batch is one row, (1, 3)")
    orders = [[int(x[0, 0]) // 3 for x in seen[10 * e : 10 * e + 10]] for e in range(4)]
    for order in orders:
        expect.equal(sorted(order), list(range(10)), "inputs shown in an epoch")
    circles = {tuple(np.roll(order, -order.index(0)).tolist()) for order in [*orders, list(range(10))]}
    what = "number of orders, wherever they begin: four new ones, and that of the data"
    expect.equal(len(circles), 5, what)


def test_the_same_generator_gives_the_same_path():
    X, w, W = inputs(5)
    paths = [learn(oja, w, X, 0.05, 3, rng=np.random.default_rng(7)) for _ in range(2)]
    expect.equal(paths[0].shape, (4, 4), "shape of a path of 3 epochs")
    expect.close(paths[0][0], w, "the first weights of the path")
    expect.equal(paths[1], paths[0], "a second path from the same seed")
    several = learn(sanger, W, X, 0.05, 2, rng=np.random.default_rng(0))
    expect.equal(several.shape, (3, 3, 4), "shape of a path of 2 epochs of 3 units")
    still = learn(hebb, W[0], X, 0.05, 0, rng=np.random.default_rng(0))
    expect.close(still, W[:1], "the path of no epochs")


def test_oja_learns_online_what_it_learns_on_average():
    """Steps of 0.002 leave a wobble of about sqrt(lr): at most 0.03 in 20 runs."""
    X, Q = spread([4.0, 1.0, 0.5], 3)
    X = np.concatenate([X] * 30)
    path = learn(oja, np.array([0.3, 0.3, -0.2]), X, 0.002, 20, rng=np.random.default_rng(0))
    expect.close(abs(float(path[-1] @ Q[0])), 1.0, "part of the weights along the top component", atol=0.05)
    expect.close(float(np.linalg.norm(path[-1])), 1.0, "length of the weights", atol=0.05)


# The flow


def test_the_flow_solves_its_equation():
    X, w0, _ = inputs(6, samples=9)
    C = X.T @ X / 9
    for scale in (0.1, 0.5, 2.0):
        for t in (0.1, 0.7, 2.0):
            w = oja_flow(C, scale * w0, t)
            ends = [oja_flow(C, scale * w0, t + h) for h in (1e-4, -1e-4, 2e-4, -2e-4)]
            slope = (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / 12e-4
            expect.close(slope, C @ w - (w @ C @ w) * w, f"dw/dt at {t} against C w - (w C w) w", atol=1e-7)
    expect.close(oja_flow(C, w0, 0.0), w0, "the flow at time 0", rtol=1e-10)


def test_the_flow_in_one_dimension_is_a_logistic_curve():
    for w0, t in ((0.1, 1.0), (-0.5, 0.4), (3.0, 0.2), (1e5, 0.01), (1e9, 0.0)):
        want = w0 / math.sqrt(math.exp(-4 * t) - w0**2 * math.expm1(-4 * t))
        expect.close(
            oja_flow([[2.0]], [w0], t), np.array([want]), f"flow from {w0}, C = 2, t = {t}", rtol=1e-10
        )


def test_the_flow_ends_at_the_top_component_it_has_a_part_in():
    C = np.diag([5.0, 2.0, 1.0])
    with expect.quiet("the flow at a time of 10 000"):
        expect.close(
            oja_flow(C, [-1e-3, 1.0, 1.0], 1e4), np.array([-1.0, 0.0, 0.0]), "flow after a long time"
        )
        expect.close(
            oja_flow(C, [0.0, 0.3, 4.0], 1e4), np.array([0.0, 1.0, 0.0]), "flow without the top part"
        )
        expect.close(oja_flow(C, [0.0, 0.0, 0.0], 1e4), np.zeros(3), "flow from 0")
        still = oja_flow(np.zeros((2, 2)), [0.3, 2.0], 5.0)
        expect.close(still, np.array([0.3, 2.0]), "flow without inputs, C = 0")


def test_small_steps_of_oja_follow_the_flow():
    X, _ = spread([2.0, 1.0, 0.5], 4)
    C, w0 = X.T @ X / 6, np.array([0.2, -0.3, 0.1])
    gaps = []
    for steps in (100, 200):
        w = w0
        for _ in range(steps):
            w = oja(w, X, 1 / steps)
        gaps.append(float(np.linalg.norm(w - oja_flow(C, w0, 1.0))))
    expect.close(gaps[0] / gaps[1], 2.0, "ratio of the gaps at steps of 0.01 and 0.005", rtol=0.05)


# Errors


@pytest.mark.parametrize("shape", [(5, 3), (4,), (0, 4)])
def test_inputs_that_do_not_fit_are_refused(shape):
    X, w = np.ones(shape), np.ones(4)
    for rule in (hebb, oja):
        with expect.raises(ValueError, str(shape), "4"):
            rule(w, X, 0.1)
    with expect.raises(ValueError, str(shape), "4"):
        sanger(np.ones((2, 4)), X, 0.1)
    with expect.raises(ValueError, str(shape), "4"):
        bcm(w, 0.0, X, 0.1, 2.0)


@pytest.mark.parametrize("tau", [0.5, 0.0, -3.0, math.nan])
def test_a_threshold_that_overshoots_is_refused(tau):
    with expect.raises(ValueError, str(tau)):
        bcm(np.ones(2), 0.0, np.ones((1, 2)), 0.1, tau)


def test_a_flow_without_symmetry_or_backwards_is_refused():
    for size in (1.0, 1e-4):
        with expect.raises(ValueError, "(2, 2)", "(2,)"):
            oja_flow([[size, size / 10], [0.0, size]], [1.0, 0.0], 1.0)
    with expect.raises(ValueError, "(2, 2)", "(3,)"):
        oja_flow(np.eye(2), np.ones(3), 1.0)
    with expect.raises(ValueError, "-1"):
        oja_flow(np.eye(2), np.ones(2), -1.0)
