"""Equilibrium propagation: the network as one symmetric matrix, its gradient by differences of the loss."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.energy.equilibrium_propagation import (
    Layer,
    cost,
    energy,
    energy_grad,
    eqprop_grad,
    force,
    implicit_grad,
    relax,
)

WIDTHS = (3, 4, 2)


def problem(widths=WIDTHS, N=3, seed=0, scale=0.8):
    rng = np.random.default_rng(seed)
    layers = [
        Layer(scale * rng.normal(size=(k, c)) / np.sqrt(c), 0.3 * rng.normal(size=k))
        for c, k in pairwise(widths)
    ]
    states = [rng.normal(size=(N, k)) for k in widths[1:]]
    return layers, rng.normal(size=(N, widths[0])), states, rng.normal(size=(N, widths[-1]))


def joined(layers, x):
    """The couplings of all units with each other, symmetric, and what each receives from outside."""
    widths = [len(b) for _, b in layers]
    J, ends = np.zeros((sum(widths),) * 2), np.cumsum([0, *widths])
    for k in range(1, len(layers)):
        J[ends[k] : ends[k + 1], ends[k - 1] : ends[k]] = layers[k][0]
    outside = np.tile(np.concatenate([b for _, b in layers]), (len(x), 1))
    outside[:, : widths[0]] += x @ layers[0][0].T
    return J + J.T, outside


def settle(layers, x, target=None, beta=0.0, start=None, step=0.5):
    """All units as one vector, relaxed for long."""
    J, outside = joined(layers, x)
    s, top = np.zeros_like(outside) if start is None else start, len(layers[-1][1])
    for _ in range(250):
        r = np.tanh(s)
        f = (1 - r * r) * (r @ J + outside) - s
        if target is not None:
            f[:, -top:] -= beta * (s[:, -top:] - target)
        s = s + step * f
    return s


@cache
def true_gradient():
    """Each parameter moved to both sides, the network relaxed, the mean cost compared."""
    layers, x, _, target = problem()
    h, grads = 1e-4, []

    def loss():
        return 0.5 * np.sum((settle(layers, x)[:, -2:] - target) ** 2) / len(x)

    for layer in layers:
        for p in layer:
            g = np.zeros_like(p)
            for i in np.ndindex(*p.shape):
                p[i] += h
                up = loss()
                p[i] -= 2 * h
                g[i] = (up - loss()) / (2 * h)
                p[i] += h
            grads.append(g)
    return grads


def flat(layers):
    return np.concatenate([np.ravel(p) for layer in layers for p in layer])


def error(**options):
    layers, x, _, target = problem()
    want = np.concatenate([g.ravel() for g in true_gradient()])
    return float(
        np.linalg.norm(flat(eqprop_grad(layers, x, target, **options)) - want) / np.linalg.norm(want)
    )


# Energy, cost, force


@pytest.mark.parametrize("widths", [(3, 2), (3, 4, 2), (2, 3, 3, 1)])
def test_the_energy_is_that_of_one_symmetric_network(widths):
    layers, x, states, _ = problem(widths)
    J, outside = joined(layers, x)
    s = np.hstack(states)
    r = np.tanh(s)
    want = [0.5 * a @ a - 0.5 * b @ J @ b - b @ o for a, b, o in zip(s, r, outside, strict=True)]
    with expect.unchanged(x, *states, *layers[0]):
        actual = energy(layers, x, states)
    expect.close(actual, np.array(want), f"energy of widths {widths}", rtol=1e-10)


def test_the_cost_is_half_the_squared_distance_of_the_top():
    _, _, states, target = problem()
    want = [
        0.5 * sum((a - b) ** 2 for a, b in zip(s, t, strict=True))
        for s, t in zip(states[-1], target, strict=True)
    ]
    with expect.unchanged(target, *states):
        expect.close(cost(states, target), np.array(want), "cost", rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.7, -0.2])
@pytest.mark.parametrize("widths", [(3, 2), (3, 4, 2), (2, 3, 3, 1)])
def test_the_force_is_downhill_in_energy_and_cost(widths, beta):
    layers, x, states, target = problem(widths)
    J, outside = joined(layers, x)
    s = np.hstack(states)
    r = np.tanh(s)
    want = (1 - r * r) * (r @ J + outside) - s
    want[:, -widths[-1] :] -= beta * (states[-1] - target)
    with expect.unchanged(x, target, *states):
        actual = np.hstack(force(layers, x, states, target, beta))
    expect.close(actual, want, f"force of widths {widths} at beta {beta}", rtol=1e-10)
    h, where = 1e-5, states[0][1, 0]
    moved = [np.array(s) for s in states]
    moved[0][1, 0] = where + h
    up = energy(layers, x, moved) + beta * cost(moved, target)
    moved[0][1, 0] = where - h
    down = energy(layers, x, moved) + beta * cost(moved, target)
    slope = -float((up - down)[1]) / (2 * h)
    expect.close(float(actual[1, 0]), slope, "force on a unit, by differences", rtol=1e-6, atol=1e-8)


def test_a_free_force_needs_no_target():
    layers, x, states, target = problem()
    want = np.hstack(force(layers, x, states, target, 0.0))
    expect.close(np.hstack(force(layers, x, states)), want, "force without a target")
    with expect.raises(ValueError, "0.5"):
        force(layers, x, states, None, 0.5)


# Relaxation


@pytest.mark.parametrize(("beta", "step"), [(0.0, 0.5), (0.5, 0.3), (-0.2, 0.5)])
def test_relaxation_ends_at_the_equilibrium(beta, step):
    layers, x, _, target = problem()
    with expect.unchanged(x, target):
        states = relax(layers, x, target, beta, step=step)
    want = settle(layers, x, target, beta)
    expect.close(np.hstack(states), want, f"equilibrium at beta {beta}", rtol=1e-8, atol=1e-9)


def test_one_step_of_relaxation_follows_the_force():
    """At a tol that the first step meets: s + step * force, from a given start and from zeros."""
    layers, x, states, _ = problem()
    states = [3 * s for s in states]
    J, outside = joined(layers, x)
    s = np.hstack(states)
    r = np.tanh(s)
    f = (1 - r * r) * (r @ J + outside) - s
    tol = 0.999 * float(np.abs(f).max())
    with expect.unchanged(*states):
        actual = relax(layers, x, start=states, step=0.1, tol=tol, max_steps=1)
    expect.close(np.hstack(actual), s + 0.1 * f, "states after one step from a start", rtol=1e-10)
    tol = 0.999 * float(np.abs(outside).max())
    actual = relax(layers, x, step=0.1, tol=tol, max_steps=1)
    expect.close(np.hstack(actual), 0.1 * outside, "states after one step from zeros", rtol=1e-10)


def test_a_start_at_the_equilibrium_takes_no_step_and_is_handed_back_as_a_copy():
    layers, x, _, _ = problem()
    start = relax(layers, x)
    again = relax(layers, x, start=start, max_steps=0)
    expect.close(np.hstack(again), settle(layers, x), "states from the equilibrium", rtol=1e-8, atol=1e-9)
    shared = any(np.shares_memory(a, b) for a, b in zip(again, start, strict=True))
    expect.true(not shared, "the states share memory with the start: return new arrays")


def test_what_does_not_settle_is_an_error():
    layers, x, _, target = problem()
    with expect.raises(RuntimeError, "7"):
        relax(layers, x, max_steps=7)
    with expect.raises(RuntimeError, "123"), np.errstate(all="ignore"):
        relax(layers, x, target, 20.0, step=0.5, max_steps=123)
    with expect.raises(RuntimeError, "8"):
        eqprop_grad(layers, x, target, max_steps=8)
    expect.close(np.hstack(relax(layers, x)), settle(layers, x), "equilibrium", rtol=1e-8, atol=1e-9)


def test_the_energy_gradient_needs_the_activity_at_both_ends_alone():
    layers, x, states, _ = problem(N=5)
    below = x
    with expect.unchanged(x, *states):
        actual = energy_grad(layers, x, states)
    for k, s in enumerate(states):
        r = np.tanh(s)
        want = -sum(np.outer(a, b) for a, b in zip(r, below, strict=True)) / 5
        expect.close(actual[k].weight, want, f"energy gradient by the weights of layer {k}", rtol=1e-10)
        expect.close(actual[k].bias, -sum(r) / 5, f"energy gradient by the biases of layer {k}", rtol=1e-10)
        below = r


# Gradients


def test_the_implicit_gradient_is_that_of_the_loss():
    layers, x, _, target = problem()
    s = settle(layers, x)
    actual = implicit_grad(layers, x, [s[:, :4], s[:, 4:]], target)
    for k, want in enumerate(true_gradient()):
        name = ("weights", "biases")[k % 2]
        expect.close(actual[k // 2][k % 2], want, f"gradient by {name} {k // 2}", rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("widths", [(3, 2), (2, 3, 3, 2)])
def test_both_gradients_agree_at_any_depth(widths):
    layers, x, _, target = problem(widths, N=2, seed=5, scale=0.6)
    s, h = settle(layers, x), 1e-4
    states = np.split(s, np.cumsum(widths[1:])[:-1], axis=1)
    want = flat(implicit_grad(layers, x, states, target))
    actual = flat(eqprop_grad(layers, x, target, 1e-3))
    expect.close(actual, want, f"eqprop gradient of widths {widths}", rtol=1e-4, atol=1e-5)
    losses = []
    for shift in (h, -2 * h):
        layers[0].weight[0, 0] += shift
        losses.append(np.sum((settle(layers, x)[:, -widths[-1] :] - target) ** 2) / 4)
    slope = float(losses[0] - losses[1]) / (2 * h)
    expect.close(float(want[0]), slope, "gradient by the first weight", rtol=1e-5, atol=1e-7)


def test_the_one_sided_error_halves_with_beta():
    errors = [error(beta=b, method="one_sided") for b in (0.08, 0.04, 0.02)]
    for a, b in pairwise(errors):
        expect.true(1.8 < a / b < 2.2, f"errors {errors} at beta 0.08, 0.04, 0.02: expected to halve")
    expect.true(errors[0] < 0.2, f"relative error {errors[0]:.3g} at beta 0.08, expected below 0.2")


def test_the_symmetric_error_quarters_with_beta():
    errors = [error(beta=b, method="symmetric") for b in (0.2, 0.1, 0.05)]
    for a, b in pairwise(errors):
        expect.true(
            3.6 < a / b < 4.4, f"errors {errors} at beta 0.2, 0.1, 0.05: expected to fall to a quarter"
        )
    expect.true(errors[2] < 0.01, f"relative error {errors[2]:.3g} at beta 0.05, expected below 0.01")


def test_the_default_is_symmetric_with_a_small_beta():
    expect.true(error() < 1e-3, f"relative error {error():.3g} by default, expected below 1e-3")


def test_the_one_sided_estimate_is_its_definition_for_either_sign():
    layers, x, _, target = problem()
    for beta, step in ((0.3, 0.5), (-0.2, 0.5), (6.0, 0.1)):  # 6: the pull diverges with the default step
        near, far = (np.tanh(settle(layers, x, target, b, step=step)) for b in (0.0, beta))
        actual = eqprop_grad(layers, x, target, beta, "one_sided", step=step)
        want = -(far[:, 4:].T @ far[:, :4] - near[:, 4:].T @ near[:, :4]) / 3 / beta
        expect.close(actual[1].weight, want, f"one-sided estimate at beta {beta}", rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("target", "beta"), [(-2.0, 0.3), (2.0, 0.3), (-1.5, 0.8), (-1.5, -0.8)])
def test_both_pulled_phases_begin_at_the_free_equilibrium(target, beta):
    """Two valleys: from zeros, or from the other phase, some of these pulls end in the wrong one."""
    layers = [Layer(np.zeros((1, 1)), np.array([0.1])), Layer(np.array([[3.0]]), np.zeros(1))]
    x, target = np.zeros((1, 1)), np.array([[target]])
    free = settle(layers, x)
    a, c = (np.tanh(settle(layers, x, target, b, free)) for b in (beta, -beta))
    actual = eqprop_grad(layers, x, target, beta)
    want = -(a - c)[0] / (2 * beta)
    found = np.array([float(actual[0].bias[0]), float(actual[1].bias[0])])
    expect.close(found, want, f"gradient by both biases, target {target[0, 0]}, beta {beta}", rtol=1e-6)


def test_step_and_tol_reach_the_relaxation():
    layers, x, _, target = problem()
    actual = eqprop_grad(layers, x, target, 0.2, tol=1e-3, max_steps=30)
    free = settle(layers, x)
    a, c = (np.tanh(settle(layers, x, target, b, free)) for b in (0.2, -0.2))
    want = -(a - c).mean(axis=0)[4:] / 0.4
    expect.close(actual[1].bias, want, "gradient by the top biases, tol 1e-3", rtol=0, atol=0.02)
    with expect.raises(RuntimeError, "30"):  # the free phase; a pull of 1e-6 needs no step at this tol
        eqprop_grad(layers, x, target, 1e-6, step=1e-3, tol=1e-3, max_steps=30)


def test_descent_by_the_estimate_learns():
    layers, x, _, target = problem()
    first = float(np.mean(cost(relax(layers, x), target)))
    for _ in range(25):
        grads = eqprop_grad(layers, x, target, 0.1, tol=1e-6)
        layers = [
            Layer(p.weight - 0.5 * g.weight, p.bias - 0.5 * g.bias)
            for p, g in zip(layers, grads, strict=True)
        ]
    last = float(np.mean(0.5 * np.sum((settle(layers, x)[:, -2:] - target) ** 2, axis=1)))
    expect.true(last < 0.5 * first, f"cost {first:.3g} fell to {last:.3g} in 25 steps, expected below half")


def test_wrong_settings_are_refused():
    layers, x, _, target = problem()
    with expect.raises(ValueError, "0"):
        eqprop_grad(layers, x, target, 0.0)
    for beta in ("nan", "inf", "-inf"):
        with expect.raises(ValueError, beta):
            eqprop_grad(layers, x, target, float(beta))
    with expect.raises(ValueError, "both"):
        eqprop_grad(layers, x, target, 0.1, "both")
