"""Gradients through a solver: against complex steps through the solver, and against exact solutions."""

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.ode import METHODS
from dynamics.credit.mlp_backprop import Spec
from dynamics.neural.neural_ode import (
    continuous_adjoint,
    discrete_adjoint,
    mlp_field,
    reconstruct,
    solve,
    step_adjoint,
    vjp,
)

EXPLICIT = ["euler", "midpoint", "heun", "rk4", "rk4_38"]
TINY = 1e-30  # of a complex step: f(x + i TINY) = f(x) + i TINY f'(x) without any cancellation


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def cubic(t, y, theta):
    """Nonlinear, coupled by the sum and different at every time; for Tensors and complex arrays alike."""
    return theta[0] * y - theta[1] * y * y * y + theta[2] * y.sum() + theta[3] * t * t


def linear(t, y, theta):
    return theta @ y


def decay(t, y, theta):
    return -(theta * y)


def step(f, t, y, theta, h, method):
    """One explicit Runge-Kutta step, written out."""
    table, ks = METHODS[method], []
    for c, row in zip(table.c, table.a, strict=True):
        stage = y + 0
        for w, k in zip(row, ks, strict=False):
            stage = stage + h * w * k
        ks.append(f(t + c * h, stage, theta))
    for w, k in zip(table.b, ks, strict=True):
        y = y + h * w * k
    return y


def path(f, theta, y0, ts, method, substeps):
    ys = [y0]
    for left, right in pairwise(ts):
        h, y = (right - left) / substeps, ys[-1]
        for j in range(substeps):
            y = step(f, left + j * h, y, theta, h, method)
        ys.append(y)
    return np.stack(ys)


def slope_by_complex_steps(scalar, x):
    """The gradient of an analytic function at an array, an entry at a time."""
    found = np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        moved = x.astype(complex)
        moved[i] += 1j * TINY
        found[i] = np.imag(scalar(moved)) / TINY
    return found


def expm(M):
    """The Taylor series of a small part, squared again and again."""
    total = term = np.eye(len(M))
    for k in range(1, 20):
        term = term @ (M / 256) / k
        total = total + term
    for _ in range(8):
        total = total @ total
    return total


def frechet(A, y0, seed, T):
    """d(seed . exp(A T) y0)/dA: the corner of the exponential of a matrix of twice the size."""
    n = len(A)
    block = np.block([[A.T, np.outer(seed, y0)], [np.zeros((n, n)), A.T]])
    return expm(block * T)[:n, n:]


# The field


@pytest.mark.parametrize("sizes", [(2, 3, 2), (3, 4, 2), (2, 2), (4, 3, 5, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_the_field_of_a_network_is_its_output(sizes, bias, rng):
    """Unit by unit; an input more than outputs is the time."""
    spec = Spec(sizes, bias=bias)
    theta, t, D = rng.standard_normal(spec.parameters), 0.7, sizes[-1]
    y = rng.standard_normal((2, D))
    want = np.zeros((2, D))
    for n in range(2):
        signal, at = [*y[n], t][: sizes[0]], 0
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            rows = theta[at : at + fan_in * fan_out].reshape(fan_out, fan_in)
            at += fan_in * fan_out
            z = [sum(w * s for w, s in zip(row, signal, strict=True)) for row in rows]
            if bias:
                z = [a + b for a, b in zip(z, theta[at : at + fan_out], strict=True)]
                at += fan_out
            signal = z if layer == len(sizes) - 2 else [math.tanh(a) for a in z]
        want[n] = signal
    slope, _, _ = vjp(mlp_field(spec), t, y, theta, np.zeros((2, D)))
    expect.close(slope, want, f"the slope of a network of sizes {sizes}, bias {bias}")
    one, _, _ = vjp(mlp_field(spec), t, y[0], theta, np.zeros(D))
    expect.close(one, want[0], f"the slope at one state of a network of sizes {sizes}")


def test_a_vector_is_pulled_back_through_the_field(rng):
    y, theta, a = rng.standard_normal((2, 3)), rng.standard_normal(4), rng.standard_normal((2, 3))
    with expect.unchanged(y, theta, a):
        slope, by_y, by_theta = vjp(cubic, 0.6, y, theta, a)
    expect.close(slope, cubic(0.6, y, theta), "f")
    want = a * (theta[0] - 3 * theta[1] * y * y) + theta[2] * a.sum()
    expect.close(by_y, want, "a^T df/dy", dtype=np.float64)
    want = np.array([np.sum(a * y), -np.sum(a * y**3), a.sum() * y.sum(), 0.36 * a.sum()])
    expect.close(by_theta, want, "a^T df/dtheta", dtype=np.float64)


def test_what_the_field_does_not_depend_on_has_gradient_zero():
    y, theta, a = np.ones((2, 1)), np.array([2.0, 3.0, 4.0]), np.array([[5.0], [7.0]])
    constant = type_of_a_tensor(np.full((2, 1), 0.5))
    for name, f, want in [
        ("neither y nor theta", lambda t, y, theta: constant, (0.5, 0.0, [0.0, 0.0, 0.0])),
        ("y alone", lambda t, y, theta: y * y, (1.0, 2.0, [0.0, 0.0, 0.0])),
        ("theta alone", lambda t, y, theta: theta[1] + y.detach(), (4.0, 0.0, [0.0, 12.0, 0.0])),
    ]:
        slope, by_y, by_theta = vjp(f, 0.0, y, theta, a)
        expect.close(slope, want[0] * np.ones((2, 1)), f"f of {name}")
        expect.close(by_y, want[1] * a, f"a^T df/dy of an f of {name}")
        expect.close(by_theta, np.array(want[2]), f"a^T df/dtheta of an f of {name}")


def type_of_a_tensor(x):
    """A Tensor, made as the field of a learner gets one."""
    seen = []
    vjp(lambda t, y, theta: seen.append(y.detach()) or y, 0.0, x, np.zeros(1), x)
    return seen[0]


# The path


@pytest.mark.parametrize("method", [*EXPLICIT, "dopri5", "trapezoid"])
def test_the_network_runs_as_its_solver_does(method, rng):
    theta, y0, ts = np.array([0.4, 0.3, -0.2, 0.5]), rng.standard_normal((2, 2)), np.array([0.2, 0.5, 1.4])
    with expect.unchanged(theta, y0, ts):
        found = solve(cubic, theta, y0, ts, method, substeps=4, rtol=1e-10, atol=1e-10)
    if method in EXPLICIT:
        want, rtol = path(cubic, theta, y0, ts, method, 4), 1e-12
        calls = 2 * 4 * len(METHODS[method].c)
        expect.equal(int(found.nfe), calls, f"calls of f by {method} in 8 steps")
    else:
        want, rtol = path(cubic, theta, y0, ts, "rk4", 100), 1e-6 if method == "dopri5" else 5e-2
    expect.close(found.ys, want, f"the path by {method}", rtol=rtol, dtype=np.float64)
    default = solve(cubic, theta, y0, ts).ys
    expect.close(default, path(cubic, theta, y0, ts, "rk4", 1), "the path of one rk4 step an interval")


def test_a_path_of_dopri5_follows_its_tolerances():
    errors, back = [], []
    for tol in (1e-4, 1e-9):
        ys = solve(decay, [1.0], [2.0], [0, 3], "dopri5", rtol=tol, atol=tol).ys
        errors.append(abs(float(ys[-1, 0]) - 2 * math.exp(-3)))
        ys = reconstruct(decay, [1.0], [2 * math.exp(-3)], [0, 3], "dopri5", rtol=tol, atol=tol)
        back.append(abs(float(ys[0, 0]) - 2))
    expect.true(errors[1] < 1e-8 < 1e-7 < errors[0] < 1e-2, f"errors at tolerance 1e-4 and 1e-9: {errors}")
    expect.true(
        back[1] < 1e-7 < 1e-5 < back[0] < 1e-1, f"errors of reconstruct at tolerance 1e-4 and 1e-9: {back}"
    )


# The discrete adjoint


@pytest.mark.parametrize("method", EXPLICIT)
@pytest.mark.parametrize("h", [0.3, -0.2])
def test_a_step_is_transposed(method, h, rng):
    y, theta, a = rng.standard_normal((2, 2)), rng.standard_normal(4), rng.standard_normal((2, 2))
    with expect.unchanged(y, theta, a):
        by_y, by_theta = step_adjoint(cubic, 0.4, y, theta, h, METHODS[method], a)

    def ahead(y, theta):
        return np.sum(a * step(cubic, 0.4, y, theta, h, method))

    want = slope_by_complex_steps(lambda y: ahead(y, theta), y)
    expect.close(by_y, want, f"dL/dy before a step of {h} by {method}", rtol=1e-11)
    want = slope_by_complex_steps(lambda theta: ahead(y, theta), theta)
    expect.close(by_theta, want, f"the part of dL/dtheta of a step of {h} by {method}", rtol=1e-11)


def test_a_step_of_dopri5_of_fixed_length_is_transposed(rng):
    y, theta, a = rng.standard_normal(3), rng.standard_normal(4), rng.standard_normal(3)
    by_y, _ = step_adjoint(cubic, 0.4, y, theta, 0.2, METHODS["dopri5"], a)
    want = slope_by_complex_steps(lambda y: np.sum(a * step(cubic, 0.4, y, theta, 0.2, "dopri5")), y)
    expect.close(by_y, want, "dL/dy before a step of dopri5", rtol=1e-11)


@pytest.mark.parametrize("method", EXPLICIT)
@pytest.mark.parametrize("every", [1, 2, 7, 50])
def test_the_discrete_adjoint_differentiates_the_numbers_of_the_solver(method, every, rng):
    """Seeds at every time, uneven times, and checkpoints that do not fit into the number of steps."""
    theta, ts = np.array([0.4, 0.3, -0.2, 0.5]), np.array([0.1, 0.3, 1.0, 1.2])
    y0, seeds = rng.standard_normal((2, 2)), rng.standard_normal((4, 2, 2))
    with expect.unchanged(theta, ts, y0, seeds):
        by_y0, by_theta = discrete_adjoint(cubic, theta, y0, ts, seeds, method, substeps=3, every=every)

    def loss(theta, y0):
        return np.sum(seeds * path(cubic, theta, y0, ts, method, 3))

    name = f"{method}, every {every}"
    want = slope_by_complex_steps(lambda y: loss(theta, y), y0)
    expect.close(by_y0, want, f"dL/dy0, {name}", rtol=1e-11, dtype=np.float64)
    want = slope_by_complex_steps(lambda p: loss(p, y0), theta)
    expect.close(by_theta, want, f"dL/dtheta, {name}", rtol=1e-11, dtype=np.float64)


def test_the_defaults_of_the_discrete_adjoint_are_one_step_of_rk4(rng):
    theta, y0, seeds = np.array([0.4, 0.3, -0.2, 0.5]), rng.standard_normal(2), rng.standard_normal((2, 2))
    want = slope_by_complex_steps(
        lambda p: np.sum(seeds * path(cubic, p, y0, np.array([0.0, 0.5]), "rk4", 1)), theta
    )
    found = discrete_adjoint(cubic, theta.tolist(), y0.tolist(), [0, 0.5], seeds.tolist())
    expect.close(found.theta, want, "dL/dtheta of one step, from lists", rtol=1e-11)
    whole = discrete_adjoint(linear, [[0, 1], [2, 0]], [1, 2], [0, 1], [[0, 0], [1, 0]]).y0
    want = slope_by_complex_steps(
        lambda y: path(linear, np.array([[0, 1], [2, 0]]), y, [0, 1], "rk4", 1)[-1, 0], np.array([1, 2])
    )
    expect.close(whole, want, "dL/dy0 from whole numbers", dtype=np.float64)


@pytest.mark.parametrize("autonomous", [True, False])
def test_the_gradient_of_a_neural_ode_is_right_for_every_weight(autonomous, rng):
    D, H = 2, 3
    spec = Spec((D if autonomous else D + 1, H, D))
    theta, y0 = 0.7 * rng.standard_normal(spec.parameters), rng.standard_normal((4, D))
    ts, seeds = np.array([0.0, 0.5, 1.0]), rng.standard_normal((3, 4, D))

    def net(t, y, theta):
        first, cut = spec.sizes[0], spec.sizes[0] * H
        W, b, V, c = np.split(theta, [cut, cut + H, cut + H + D * H])
        inputs = np.concatenate([y, np.full((len(y), 1), t)], axis=1)[:, :first]
        return np.tanh(inputs @ W.reshape(H, first).T + b) @ V.reshape(D, H).T + c

    found = discrete_adjoint(mlp_field(spec), theta, y0, ts, seeds, substeps=2)
    want = slope_by_complex_steps(lambda p: np.sum(seeds * path(net, p, y0, ts, "rk4", 2)), theta)
    expect.close(found.theta, want, "dL/dtheta of a network", rtol=1e-10)
    want = slope_by_complex_steps(lambda y: np.sum(seeds * path(net, theta, y, ts, "rk4", 2)), y0)
    expect.close(found.y0, want, "dL/dy0 of a network", rtol=1e-10)


def test_checkpoints_bound_memory_and_work():
    """256 steps, a checkpoint every 16: about 32 states in place of 256, for one more forward pass."""
    y0 = np.linspace(0.5, 1.5, 5000)
    seeds, calls, peaks, found = np.ones((2, *y0.shape)), [], [], []

    def counted(t, y, theta):
        calls[-1] += 1
        return -(theta[0] * y)

    for every in (1, 16):
        calls.append(0)
        tracemalloc.start()
        found.append(discrete_adjoint(counted, [1.0], y0, [0, 1], seeds, "euler", substeps=256, every=every))
        peaks.append(tracemalloc.get_traced_memory()[1] / y0.nbytes)
        tracemalloc.stop()
    expect.close(found[1].theta, found[0].theta, "dL/dtheta with checkpoints", rtol=1e-10)
    want = np.array([-((255 / 256) ** 255) * y0.sum()])
    expect.close(found[0].theta, want, "dL/dtheta of decay by Euler", rtol=1e-9)
    expect.true(
        peaks[1] < 160, f"with every = 16, memory for {peaks[1]:.0f} states was held, expected below 160"
    )
    expect.true(
        calls[0] <= 768 and calls[1] <= 1024,
        f"{calls} calls of f for every = 1, 16, expected at most [768, 1024]",
    )


# Continuous


@pytest.mark.parametrize("name", ["discrete", "continuous"])
def test_both_adjoints_converge_to_the_exact_gradient_with_order_four(name, rng):
    """y' = A y: dL/dA is the Frechet derivative of the exponential, transposed."""
    A, y0, seed = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal(3)
    want, ts = frechet(A, y0, seed, 1.5), np.array([0.0, 1.5])
    seeds, errors = np.stack([np.zeros(3), seed]), []
    for n in (8, 16):
        if name == "discrete":
            found = discrete_adjoint(linear, A, y0, ts, seeds, substeps=n)
        else:
            ys = solve(linear, A, y0, ts, substeps=n).ys
            found = continuous_adjoint(linear, A, ys, ts, seeds, substeps=n)
        errors.append(float(np.max(np.abs(found.theta - want))))
        expect.close(found.y0, expm(A.T * 1.5) @ seed, f"dL/dy0, {name}, {n} steps", rtol=1e-2)
    order = math.log2(errors[0] / errors[1])
    expect.true(3.6 < order < 4.5, f"{name}: errors {errors} at 8, 16 steps, order {order:.2f}, expected 4")
    expect.close(found.theta, want, f"dL/dA, {name}, 16 steps", rtol=1e-3)


def test_the_continuous_adjoint_begins_each_interval_from_the_path():
    """f = theta y: within an interval a y is constant, so that g grows by a y(t_k) (t_k - t_k-1)."""
    theta, ts, ys = np.array([0.8]), np.array([0.0, 0.5, 0.7, 1.5]), np.array([[9.0], [-2.0], [3.0], [0.5]])
    seeds = np.array([[1.0], [2.0], [-1.0], [3.0]])
    a, g = 3.0, 0.0
    for k in (3, 2, 1):
        gap = ts[k] - ts[k - 1]
        g += a * ys[k, 0] * gap
        a = a * math.exp(0.8 * gap) + seeds[k - 1, 0]
    with expect.unchanged(theta, ts, ys, seeds):
        found = continuous_adjoint(lambda t, y, p: p * y, theta, ys, ts, seeds, substeps=40)
    expect.close(found.y0, np.array([a]), "dL/dy0 of any path", rtol=1e-7, dtype=np.float64)
    expect.close(found.theta, np.array([g]), "dL/dtheta of any path", rtol=1e-7, dtype=np.float64)


@pytest.mark.parametrize("method", ["rk4", "heun", "dopri5"])
def test_the_two_adjoints_agree_where_steps_are_short(method, rng):
    theta, ts = np.array([0.4, 0.3, -0.2, 0.5]), np.array([0.1, 0.4, 1.0])
    y0, seeds = rng.standard_normal((2, 2)), rng.standard_normal((3, 2, 2))
    exact = discrete_adjoint(cubic, theta, y0, ts, seeds, substeps=20)
    ys = solve(cubic, theta, y0, ts, "dopri5", rtol=1e-10, atol=1e-10).ys
    found = continuous_adjoint(cubic, theta, ys, ts, seeds, method, substeps=20, rtol=1e-9, atol=1e-9)
    rtol = 3e-3 if method == "heun" else 1e-5
    expect.close(found.y0, exact.y0, f"dL/dy0 by the adjoint equation, {method}", rtol=rtol)
    expect.close(found.theta, exact.theta, f"dL/dtheta by the adjoint equation, {method}", rtol=rtol)
    default = continuous_adjoint(cubic, theta, ys, ts, seeds)
    again = continuous_adjoint(cubic, theta, ys, ts, seeds, "rk4", substeps=1)
    expect.close(default.theta, again.theta, "dL/dtheta with the defaults, one step of rk4")
    expect.close(default.theta, exact.theta, "dL/dtheta of one step of rk4 in each interval", rtol=5e-2)


def test_the_tolerance_reaches_the_adjoint_equation():
    ts, seeds, errors = [0.0, 3.0], [[0.0], [1.0]], []
    for tol in (1e-3, 1e-9):
        ys = np.array([[2.0], [2 * math.exp(-3)]])
        found = continuous_adjoint(decay, [1.0], ys, ts, seeds, "dopri5", rtol=tol, atol=tol)
        errors.append(abs(float(found.theta[0]) + 6 * math.exp(-3)))
    expect.true(errors[1] < 1e-8 < 1e-6 < errors[0], f"errors at tolerance 1e-3 and 1e-9: {errors}")


def test_the_default_tolerances_are_those_of_odeint():
    start, ts, tight = [[2.0]], [0, 3], {"rtol": 1e-6, "atol": 1e-9}
    want = solve(decay, [1.0], start, ts, "dopri5", **tight).ys
    expect.close(solve(decay, [1.0], start, ts, "dopri5").ys, want, "the path of dopri5 by default")
    again = reconstruct(decay, [1.0], want[-1], ts, "dopri5", **tight)
    found = reconstruct(decay, [1.0], want[-1], ts, "dopri5")
    expect.close(found, again, "the path from its end by dopri5 by default")
    seeds = np.ones_like(want)
    again = continuous_adjoint(decay, [1.0], want, ts, seeds, "dopri5", **tight)
    found = continuous_adjoint(decay, [1.0], want, ts, seeds, "dopri5")
    expect.close(found.theta, again.theta, "dL/dtheta by dopri5 by default")
    expect.close(found.y0, np.array([[1 + math.exp(-3)]]), "dL/dy0 of decay", rtol=1e-4)


def test_time_may_run_backward(rng):
    theta, ts = np.array([0.4, 0.3, -0.2, 0.5]), np.array([1.0, 0.4, 0.0])
    y0, seeds = rng.standard_normal(2), rng.standard_normal((3, 2))
    want = slope_by_complex_steps(lambda p: np.sum(seeds * path(cubic, p, y0, ts, "rk4", 20)), theta)
    found = discrete_adjoint(cubic, theta, y0, ts, seeds, substeps=20)
    expect.close(found.theta, want, "dL/dtheta of a path back in time", rtol=1e-10)
    ys = solve(cubic, theta, y0, ts, substeps=20).ys
    found = continuous_adjoint(cubic, theta, ys, ts, seeds, substeps=20)
    expect.close(found.theta, want, "dL/dtheta of a path back in time, continuous", rtol=1e-5)


# Back in time


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_a_path_can_be_found_from_its_end(method, rng):
    theta, ts = np.array([0.4, 0.3, -0.2, 0.5]), np.array([0.1, 0.3, 1.0])
    ys = solve(cubic, theta, rng.standard_normal((2, 2)), ts, "rk4", substeps=100).ys
    with expect.unchanged(ts, ys):
        found = reconstruct(cubic, theta, ys[-1], ts, method, substeps=50, rtol=1e-9, atol=1e-9)
    expect.close(found, ys, f"the path from its end by {method}", rtol=1e-6)
    default = reconstruct(cubic, theta, ys[-1], ts)
    want = path(cubic, theta, ys[-1], ts[::-1], "rk4", 1)[::-1]
    expect.close(default, want, "the path from its end, a step of rk4 an interval")


def test_what_decays_forward_explodes_backward():
    """1e-12 too much at the end is 1e-12 e^40 too much at the start."""
    lam, ts = 40.0, [0.0, 1.0]
    end = math.exp(-lam)
    exact, off = (reconstruct(decay, [lam], [e], ts, "rk4", substeps=400)[0, 0] for e in (end, end + 1e-12))
    expect.close(float(exact), 1.0, "the start from an exact end", rtol=1e-3)
    expect.close(float(off - exact) / math.exp(lam) / 1e-12, 1.0, "how much e^40 an error grew", rtol=1e-3)


# Errors


def test_wrong_arguments_are_refused():
    good = {"theta": [1.0], "y0": [1.0, 2.0], "ts": [0, 1, 2], "seeds": np.ones((3, 2))}
    for method in ("dopri5", "trapezoid", "rk5"):
        with expect.raises(ValueError, method):
            discrete_adjoint(decay, method=method, **good)
    for shape in ((2, 2), (2,), (1, 2), (3, 1)):  # most of them would broadcast
        with expect.raises(ValueError, str(shape), "(3, 2)"):
            discrete_adjoint(decay, **{**good, "seeds": np.ones(shape)})
    with expect.raises(ValueError, "0"):
        discrete_adjoint(decay, substeps=0, **good)
    with expect.raises(ValueError, "0"):
        discrete_adjoint(decay, every=0, **good)
    ys = np.ones((3, 2))
    with expect.raises(ValueError, "(3,)", "(3, 2)"):
        continuous_adjoint(decay, [1.0], ys, [0, 1, 2], np.ones(3))
    with expect.raises(ValueError, "(3, 2)", "(2,)"):
        continuous_adjoint(decay, [1.0], ys, [0, 1], ys)
    for ts in ([0, 1, 0.5], [0, 0, 1], [0, 1, math.nan]):
        with expect.raises(ValueError):
            discrete_adjoint(decay, **{**good, "ts": ts})
        with expect.raises(ValueError):
            continuous_adjoint(decay, [1.0], ys, ts, ys)
    with expect.raises(ValueError, "(1, 2)", "(2,)"):
        vjp(lambda t, y, theta: y.reshape(1, 2), 0.0, [1.0, 2.0], [1.0], [1.0, 1.0])
    with expect.raises(ValueError, "(1, 2)", "(2,)"):  # and where nothing is to be differentiated
        vjp(lambda t, y, theta: y.detach().reshape(1, 2), 0.0, [1.0, 2.0], [1.0], [1.0, 1.0])
    for f in (decay, lambda t, y, theta: y.detach()):
        with expect.raises(ValueError, "(1,)", "(2,)"):
            vjp(f, 0.0, [1.0, 2.0], [1.0], [1.0])
    with expect.raises(ValueError, "rk5"):
        solve(decay, [1.0], [1.0], [0, 1], "rk5")


def test_networks_that_are_no_field_are_refused():
    for sizes in ((4, 3, 2), (1, 3, 2)):
        with expect.raises(ValueError, str(sizes[0]), "2"):
            mlp_field(Spec(sizes))
    with expect.raises(ValueError, "relu"):
        mlp_field(Spec((2, 2), hidden="relu"))
    with expect.raises(ValueError, "sigmoid"):
        mlp_field(Spec((2, 2), output="sigmoid"))
