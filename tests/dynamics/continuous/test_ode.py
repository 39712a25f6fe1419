"""Solvers: a step against its table, paths against exact solutions, order, stability, and error control."""

import math
from itertools import pairwise, product

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.ode import (
    METHODS,
    Tableau,
    adaptive_path,
    error_norm,
    observed_order,
    odeint,
    real_interval,
    rk_step,
    solve_stage,
    stability_function,
)

FIXED = [m for m in METHODS if METHODS[m].error is None]
EXPLICIT = [m for m in FIXED if m not in ("backward_euler", "trapezoid")]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pendulum(t, y):
    return np.array([y[1], -np.sin(y[0]) + 0.3 * math.cos(2 * t)])


def exponential(matrix):
    """exp(matrix) by its series, after halving."""
    out, term = np.eye(len(matrix)), np.eye(len(matrix))
    for k in range(1, 30):
        term = term @ matrix / (k * 256)
        out = out + term
    for _ in range(8):
        out = out @ out
    return out


def patient(answer, *args, **options):
    """What ``answer`` returns; its giving up on a problem that has a solution is a finding."""
    try:
        return answer(*args, **options)
    except NotImplementedError:
        raise
    except RuntimeError as error:
        expect.true(False, f"{answer.__name__} gave up on a problem that has a solution: {error}")


def solve(f, y0, ts, method="dopri5", **options):
    return patient(odeint, f, y0, ts, method, max_steps=4000, **options)


# The exact problems: slope, start, end, solution


def sine(t):
    whole = 2 * t**4 - t**3 + (math.pi - 0.25) * t**2
    return whole + (0.25 * t**2 - 0.5 * t**4) * math.cos(2 * t) + 0.5 * t**3 * math.sin(2 * t)


SPIN = np.array([[-0.1, 2.0, 0.5], [-2.0, -0.2, 1.0], [-0.5, -1.0, 0.0]])

PROBLEMS = {
    "constant slope": (
        lambda t, y: 0.2 + (y - (0.2 * t + 3)) ** 5,
        0.0,
        2.0,
        lambda t: np.array(0.2 * t + 3),
    ),
    "sine": (
        lambda t, y: 2 / t * y + t**4 * math.sin(2 * t) - t**2 + 4 * t**3,
        1.0,
        3.0,
        lambda t: np.array(sine(t)),
    ),
    "linear": (
        lambda t, y: SPIN @ y,
        0.0,
        2.0,
        lambda t: exponential(SPIN * t) @ np.array([1.0, -2.0, 0.5]),
    ),
    "stiff": (
        lambda t, y: -50 * y + 150 - 100 * math.exp(-t),
        0.0,
        1.0,
        lambda t: np.array(3 - 100 / 49 * math.exp(-t) + (100 / 49 - 3) * math.exp(-50 * t)),
    ),
}


# A stage and a step


def test_a_linear_stage_is_a_linear_system(rng):
    a, base, guess = rng.standard_normal((4, 4)), rng.standard_normal(4), rng.standard_normal(4)
    for weight in (0.1, -0.7, 30.0):
        with expect.unchanged(base, guess):
            actual = patient(solve_stage, lambda t, y: a @ y, 0.0, base, weight, guess)
        want = np.linalg.solve(np.eye(4) - weight * a, base)
        expect.close(actual, want, f"Y = base + {weight} A Y", rtol=1e-8)
    large = patient(solve_stage, lambda t, y: a @ y, 0.0, 1e8 * base, 0.1, 0 * base)
    want = np.linalg.solve(np.eye(4) - 0.1 * a, 1e8 * base)
    expect.close(large, want, "Y of size 1e8: the tolerance is relative", rtol=1e-8)


def test_a_nonlinear_stage_is_solved_however_stiff():
    """Y = base - weight Y^3 has one real root, found here by bisection; the slope sees the time."""
    for weight in (0.01, 1.0, 1e4):
        base = np.array([[2.0, -1.0], [0.25, 3.0]])
        actual = patient(solve_stage, lambda t, y: -t * y**3, 2.0, base, weight, base)
        low, high = np.minimum(0, base), np.maximum(0, base)
        for _ in range(200):
            middle = (low + high) / 2
            above = middle + 2 * weight * middle**3 > base
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        expect.close(actual, low, f"the root of Y + {2 * weight:g} Y^3 = base", rtol=1e-9)


def test_a_stage_without_a_solution_is_said_to_have_none():
    """Y = 1 + Y^2 has no real root."""
    one = np.ones(1)
    actual = patient(solve_stage, lambda t, y: y**2, 0.5, one, 0.1, one)
    expect.close(actual, (5 - 15**0.5) * one, "Y = 1 + Y^2 / 10", rtol=1e-9)
    actual = patient(solve_stage, lambda t, y: y**2, 0.5, one, 0.1, 9 * one)
    expect.close(actual, (5 + 15**0.5) * one, "Y = 1 + Y^2 / 10 from a guess of 9", rtol=1e-9)
    with expect.raises(RuntimeError, "0.5"):
        solve_stage(lambda t, y: y**2, 0.5, one, 1.0, 0 * one)
    with expect.raises(RuntimeError, "0.5"):  # Y = 1 + Y: I - weight J is 0
        solve_stage(lambda t, y: y, 0.5, one, 1.0, 0 * one)


def test_an_explicit_step_is_its_table(rng):
    for s in (1, 2, 3, 5):
        c, b = rng.uniform(0, 1, s), rng.standard_normal(s)
        a = np.tril(rng.standard_normal((s, s)), -1)
        table = Tableau(tuple(c), tuple(tuple(a[i, : i + 1]) for i in range(s)), tuple(b), 1)
        y, t, h = rng.standard_normal((2, 3)), 0.7, -0.3
        field = lambda t, y: np.sin(3 * t) * y + y**2 * t  # noqa: E731
        slopes = []
        for i in range(s):
            at = y.copy()
            for j in range(i):
                at += h * a[i, j] * slopes[j]
            slopes.append(field(t + c[i] * h, at))
        with expect.unchanged(y):
            new, ks = rk_step(field, t, y, h, table)
        want = y + h * sum(bi * k for bi, k in zip(b, slopes, strict=True))
        expect.close(np.asarray(ks), np.asarray(slopes), f"the slopes of {s} stages", rtol=1e-12)
        expect.close(new, want, f"y after a step of {s} stages", rtol=1e-12)


@pytest.mark.parametrize("h", [0.5, -0.4])
def test_an_implicit_step_is_its_table(rng, h):
    """On y' = A y + t g every stage is a linear system."""
    table = Tableau((0.3, 0.9), ((0.3,), (0.4, 0.5)), (0.6, 0.4), 1)
    a, g, y = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal(3)
    t = 0.2
    k0 = np.linalg.solve(np.eye(3) - h * 0.3 * a, a @ y + (t + 0.3 * h) * g)
    k1 = np.linalg.solve(np.eye(3) - h * 0.5 * a, a @ (y + h * 0.4 * k0) + (t + 0.9 * h) * g)
    new, ks = patient(rk_step, lambda t, y: a @ y + t * g, t, y, h, table)
    expect.close(np.asarray(ks), np.stack([k0, k1]), "the slopes of two implicit stages", rtol=1e-7)
    expect.close(new, y + h * (0.6 * k0 + 0.4 * k1), f"y after an implicit step, h = {h}", rtol=1e-7)


def test_the_slope_of_a_stiff_stage_is_not_taken_from_f():
    """f(Y) = -1e12 (Y - cos t) would show the rounding of Y 1e12 times."""
    f = lambda t, y: -1e12 * (y - math.cos(t))  # noqa: E731
    y, slopes = patient(rk_step, f, 0.0, np.ones(1), 0.5, METHODS["backward_euler"])
    expect.close(y, np.array([math.cos(0.5)]), "y after the step", rtol=1e-9)
    expect.close(slopes[0], (y - 1) / 0.5, "the slope (Y - base) / h", rtol=1e-9)


def test_newton_begins_at_y():
    seen = []
    f = lambda t, y: seen.append((t, *y)) or -3 * y  # noqa: E731
    y, _ = patient(rk_step, f, 0.0, np.full(1, 1.5), 0.5, METHODS["trapezoid"])
    expect.close(y, np.array([1.5 * 0.25 / 1.75]), "y after a step of the trapezoid", rtol=1e-9)
    expect.true((0.5, 1.5) in seen, f"(t, Y) of the calls of f: {seen}, expected (0.5, 1.5) among them")


def test_a_slope_that_is_known_is_not_computed_again():
    times = []
    y = np.array([0.4, 1.0])
    known = pendulum(0.5, y)
    new, ks = rk_step(lambda t, y: times.append(t) or pendulum(t, y), 0.5, y, 0.2, METHODS["rk4"], known)
    plain, _ = rk_step(pendulum, 0.5, y, 0.2, METHODS["rk4"])
    expect.close(np.asarray(times), np.array([0.6, 0.6, 0.7]), "the times at which f is called", rtol=1e-12)
    expect.close(new, plain, "the step with first = f(t, y)", rtol=1e-14)
    expect.close(np.asarray(ks[0]), known, "the slope of stage 0")


# Paths


@pytest.mark.parametrize("method", FIXED)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_paths_converge_to_the_exact_solution_with_the_order_of_the_method(problem, method):
    f, start, end, exact = PROBLEMS[problem]
    order, cells = METHODS[method].order, (24, 48) if problem != "stiff" else (64, 128)
    ts = np.linspace(start, end, 3)
    sizes, errors = [], []
    for n in cells:
        found = solve(f, exact(start), ts, method, substeps=n)
        want = np.stack([exact(t) for t in ts])
        expect.close(found.ys[0], want[0], f"the first entry of the path of {method}")
        expect.true(
            np.shape(found.ys) == want.shape, f"a path of shape {np.shape(found.ys)}, expected {want.shape}"
        )
        sizes.append((end - start) / 2 / n)
        errors.append(float(np.max(np.abs(found.ys - want))))
    if errors[0] < 1e-12:  # the constant slope: every method is exact
        return
    slope = math.log(errors[0] / errors[1]) / math.log(sizes[0] / sizes[1])
    where = f"{method} on the problem {problem}: errors {errors[0]:.3g}, {errors[1]:.3g} at {cells} steps"
    expect.true(abs(slope - order) < 0.25, f"order {slope:.2f}, expected {order}; {where}")


@pytest.mark.parametrize("method", [m for m in METHODS if m != "dopri5"])
def test_a_slope_of_time_alone_is_integrated_exactly_up_to_the_order(method):
    """A method of order p is a quadrature that is exact for t^(p-1)."""
    p = METHODS[method].order
    for power in range(p):
        ys = solve(lambda t, y, n=power: np.array([(n + 1) * t**n]), [0.5], [1.0, 2.5, 3.0], method).ys
        want = 0.5 + np.array([[0.0], [2.5 ** (power + 1) - 1], [3.0 ** (power + 1) - 1]])
        expect.close(ys, want, f"the integral of {power + 1} t^{power} by {method}", rtol=1e-6)


def test_euler_is_a_loop_over_uneven_times(rng):
    ts, y = np.array([0.3, 0.4, 1.0, 1.05]), np.array([0.2, -1.0])
    want, now = [y], y
    for left, right in pairwise(ts):
        for j in range(3):
            h = (right - left) / 3
            now = now + h * pendulum(left + j * h, now)
        want.append(now)
    with expect.unchanged(ts, y):
        found = solve(pendulum, y, ts, "euler", substeps=3)
    expect.close(found.ys, np.stack(want), "the path of Euler's method", rtol=1e-12)
    expect.equal(found.nfe, 9, "calls of f for 3 intervals of 3 steps")
    expect.equal(solve(pendulum, y, ts, "euler").nfe, 3, "calls of f for 3 intervals, one step in each")


@pytest.mark.parametrize("method", EXPLICIT)
def test_the_times_of_the_steps_come_from_the_ends(method):
    """Added up 300 times, 0.1 would be off by more than rounding."""
    times = []
    solve(lambda t, y: times.append(t) or -0.01 * y, [1.0], [0.0, 30.0], method, substeps=300)
    stages = len(METHODS[method].c)
    expect.equal(len(times), 300 * stages, f"calls of f in 300 steps of {method}")
    want = 0.1 * (np.arange(300)[:, None] + np.asarray(METHODS[method].c))
    expect.close(np.reshape(times, (300, stages)), want, f"times of the stages of {method}", rtol=2e-15)


@pytest.mark.parametrize("method", METHODS)
def test_nfe_counts_the_calls_of_the_slope(method):
    calls = []
    found = solve(lambda t, y: calls.append(t) or pendulum(t, y), [1.0, 0.0], [0, 0.5, 2], method, substeps=4)
    expect.true(len(calls) > 0, "f must be called")
    expect.equal(found.nfe, len(calls), f"nfe of {method}")


@pytest.mark.parametrize("method", METHODS)
def test_time_can_run_backward(method):
    ts = np.array([1.0, 0.6, 0.0])
    found = solve(lambda t, y: 2 * t * y, [2.0], ts, method, substeps=50, rtol=1e-9)
    want = 2 * np.exp(ts**2 - 1)[:, None]
    expect.close(found.ys, want, f"y' = 2 t y from 1 back to 0 by {method}", rtol=2e-2)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("method", METHODS)
def test_y_has_any_shape(method, shape):
    y0 = np.ones(shape, int) if shape else 1
    found = solve(lambda t, y: -y, y0, [0, 0.5, 1], method, substeps=50)
    want = np.exp([0, -0.5, -1]).reshape(3, *(1 for _ in shape)) * np.ones((3, *shape))
    expect.close(found.ys, want, f"decay of y of shape {shape} by {method}", rtol=2e-2, dtype=np.float64)


# Error control


def test_the_error_is_measured_in_units_of_the_tolerance():
    error, y, new = np.array([1e-3, -2e-3]), np.array([1.0, -3.0]), np.array([-2.0, 1.0])
    want = math.sqrt(((1e-3 / 0.21) ** 2 + (2e-3 / 0.31) ** 2) / 2)
    expect.close(error_norm(error, y, new, 0.1, 0.01), want, "error_norm, rtol 0.1, atol 0.01")
    many = error_norm(np.full((3, 2), 0.2), np.zeros((3, 2)), np.zeros((3, 2)), 0.1, 0.1)
    expect.close(many, 2.0, "error_norm of six equal errors of twice the tolerance")
    for i, bad in product(range(3), (math.inf, math.nan)):
        arrays = np.ones((3, 2))
        arrays[i, 1] = bad
        with np.errstate(invalid="ignore"):
            got = error_norm(*arrays, 0.1, 0.1)
        what = ("error", "y", "y_new")[i]
        expect.true(not math.isfinite(got), f"error_norm is {got} with {bad} in {what}, expected inf or NaN")


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_error_of_dopri5_follows_the_tolerance(problem):
    f, start, end, exact = PROBLEMS[problem]
    ts, calls = np.array([start, (start + 2 * end) / 3, end]), []
    want = np.stack([exact(t) for t in ts])
    for tol in (1e-4, 1e-7, 1e-10):
        found = solve(f, exact(start), ts, "dopri5", rtol=tol, atol=tol)
        error = float(np.max(np.abs(found.ys - want)) / np.max(np.abs(want)))
        expect.true(error <= 100 * tol, f"relative error {error:.3g} of {problem}, expected near {tol}")
        calls.append(found.nfe)
    if problem != "constant slope":
        expect.true(
            calls[0] < calls[1] < calls[2], f"calls of f at 1e-4, 1e-7, 1e-10: {calls}, expected to grow"
        )
    limit = {"constant slope": 200, "sine": 600, "linear": 800, "stiff": 2000}[problem]
    expect.true(calls[2] <= limit, f"{calls[2]} calls of f at tolerance 1e-10, expected at most {limit}")


def test_dopri5_is_of_order_five():
    """Error about tol and calls about tol^(-1/5): 10^5 times the accuracy for 10 times the work."""
    ends = [solve(pendulum, [1.0, 0.0], [0.0, 10.0], rtol=tol, atol=tol) for tol in (1e-6, 1e-11)]
    ratio = ends[1].nfe / ends[0].nfe
    expect.true(6 < ratio < 14, f"{ratio:.1f} times the calls for tolerance / 10^5, expected about 10")
    tableau = METHODS["dopri5"]
    errors, estimates, sizes = [], [], [0.4, 0.2, 0.1]
    for h in sizes:
        y, slopes = rk_step(lambda t, y: y * math.cos(t), 0.0, np.ones(1), h, tableau)
        errors.append(abs(float(y[0]) - math.exp(math.sin(h))))
        estimates.append(abs(h * sum(e * float(k[0]) for e, k in zip(tableau.error, slopes, strict=True))))
    for name, values, order in (("error", errors, 6), ("estimate", estimates, 5)):
        slope = math.log(values[1] / values[2], 2)
        expect.true(
            abs(slope - order) < 0.5, f"the {name} of one step falls as h^{slope:.2f}, expected h^{order}"
        )


def test_dopri5_computes_no_slope_twice():
    """The last stage of a step is the first of the next, and a refused step keeps its first."""
    seen = []
    f = PROBLEMS["stiff"][0]
    y, ts = np.zeros(1), np.array([0.0, 0.5, 1.0])
    path = patient(
        adaptive_path,
        lambda t, y: seen.append((t, *y)) or f(t, y),
        y,
        ts,
        METHODS["dopri5"],
        1e-6,
        1e-6,
        4000,
    )
    want = np.stack([PROBLEMS["stiff"][3](t) for t in ts])[:, None]
    expect.close(path, want, "the stiff problem with y of shape (1,)", rtol=1e-4)
    twice = len(seen) - len(set(seen))
    expect.true(
        twice == 0, f"{twice} of {len(seen)} calls of f were at a (t, y) that had been computed before"
    )


def test_dopri5_chooses_its_steps_by_the_rule():
    """Each step is seen in its six calls: where it begins, its length, its error, and what came next."""
    a, e, ts = METHODS["dopri5"].a[-1], METHODS["dopri5"].error, np.array([0.0, 1.0, 8.0])
    calls = []

    def f(t, y):
        k = 40 * np.exp(-(((t - 5) / 0.05) ** 2)) - y + math.cos(t)
        calls.append((t, y.copy(), k))
        return k

    start = 0.5 * np.ones(1)
    found = solve(f, start, ts, rtol=1e-8, atol=1e-8)
    expect.equal(found.nfe % 6, 1, "calls of f over 6, what is left")
    steps = [calls[i : i + 6] for i in range(1, found.nfe, 6)]
    now, y, first = 0.0, start, calls[0][2]
    tried = (steps[0][5][0] - now) * float(np.abs(first[0])) / 0.5
    expect.close(tried, 0.01, "the first trial, as a share of |y| / |slope|", rtol=1e-6)
    ratios = []
    for step, after in pairwise(steps):
        h, slopes = step[5][0] - now, [first, *(k for _, _, k in step)]
        y_new = y + h * sum(w * k for w, k in zip(a, slopes, strict=True))
        error = h * sum(w * k for w, k in zip(e, slopes, strict=True))
        norm = float(np.abs(error / (1e-8 + 1e-8 * np.maximum(np.abs(y), np.abs(y_new))))[0])
        if norm <= 1:
            now, y, first = step[5][0], y_new, slopes[-1]
        length = after[5][0] - now
        cut = any(abs(ts - s[5][0]).min() < 1e-12 for s in (step, after))
        if not cut:
            ratios.append(length / h)
            want = min(10.0, max(0.2, 0.9 * max(norm, 1e-12) ** -0.2))
            what = f"the next step over one of error {norm:.3g} at t = {step[0][0]:.4g}"
            expect.close(length / h, want, what, rtol=1e-3)
    least, most = min(ratios), max(ratios)
    expect.true(least < 0.21 and most > 3, f"ratios of steps {least:.3g} to {most:.3g}: expected both ends")


def test_dopri5_counts_its_steps_over_all_intervals():
    ts = [0.0, 1.0, 2.0, 4.0]
    steps = (solve(pendulum, [1.0, 0.0], ts).nfe - 1) // 6
    enough = patient(odeint, pendulum, [1.0, 0.0], ts, max_steps=steps)
    expect.equal((enough.nfe - 1) // 6, steps, "steps of a path that may have just as many")
    with expect.raises(RuntimeError, str(steps - 1)):
        odeint(pendulum, [1.0, 0.0], ts, max_steps=steps - 1)


def test_dopri5_steps_are_short_where_the_solution_is_fast():
    """A pulse at t = 5 of width 0.05: between the calls lies more time far away than near it."""
    times = []

    def pulse(t, y):
        times.append(t)
        return np.array([math.exp(-(((t - 5) / 0.05) ** 2))]) - 0.2 * y

    solve(pulse, [1.0], np.linspace(0, 10, 21), rtol=1e-8, atol=1e-8)
    near = sum(4.75 < t < 5.25 for t in times) / 0.5
    far = sum(t < 4 for t in times) / 4
    expect.true(near > 3 * far, f"{near:.0f} calls a unit of time at the pulse, {far:.0f} away from it")


def test_many_output_times_do_not_change_the_answer():
    few = solve(pendulum, [1.0, 0.0], [0.0, 3.0], rtol=1e-9, atol=1e-9)
    many = solve(pendulum, [1.0, 0.0], np.linspace(0, 3, 50), rtol=1e-9, atol=1e-9)
    expect.close(many.ys[-1], few.ys[-1], "y(3) on the way of 50 times", rtol=1e-6)
    fine = solve(pendulum, [1.0, 0.0], [0.0, 3.0], "rk4", substeps=500).ys[-1]
    expect.close(few.ys[-1], fine, "y(3) of the pendulum by dopri5", rtol=1e-6)


def test_a_singularity_ends_in_an_error_that_names_the_time():
    before = odeint(lambda t, y: y**2, [1.0], [0, 0.5], rtol=1e-8).ys[-1]
    expect.close(before, np.array([2.0]), "1 / (1 - t) at 0.5", rtol=1e-6)
    with expect.quiet("dopri5 before a singularity"), expect.raises(RuntimeError):
        odeint(lambda t, y: np.minimum(y, 1e150) ** 2, [1.0], [0.0, 2.0], rtol=1e-3)
    with expect.raises(RuntimeError, "1.0"):
        odeint(lambda t, y: y * np.nan, [1.0], [1.0, 2.0])
    with expect.raises(RuntimeError, "17"):
        odeint(pendulum, [1.0, 0.0], [0.0, 100.0], max_steps=17)


# Stability

TAYLOR = {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4, "rk4_38": 4}


@pytest.mark.parametrize("method", TAYLOR)
def test_the_stability_function_is_a_taylor_polynomial(method, rng):
    z = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4))
    want = sum(z**k / math.factorial(k) for k in range(TAYLOR[method] + 1))
    actual = stability_function(method, z)
    expect.true(np.shape(actual) == (3, 4), f"R of z of shape (3, 4) has shape {np.shape(actual)}")
    expect.close(np.real(actual), want.real, f"real part of R of {method}", rtol=1e-11)
    expect.close(np.imag(actual), want.imag, f"imaginary part of R of {method}", rtol=1e-11)


def test_the_stability_functions_of_the_implicit_methods():
    z = np.array([-100.0, -2.0, -0.3, 0.0, 0.4])
    expect.close(stability_function("backward_euler", z), 1 / (1 - z), "R of backward Euler", rtol=1e-12)
    expect.close(
        stability_function("trapezoid", z), (1 + z / 2) / (1 - z / 2), "R of the trapezoid", rtol=1e-12
    )
    expect.close(float(stability_function("trapezoid", -2)), 0.0, "R(-2) of the trapezoid", atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_the_stability_function_is_what_a_step_does_to_a_decaying_wave(method):
    """(x, v)' = (a x - b v, b x + a v) is y' = (a + ib) y."""
    a, b, h = -1.3, 2.0, 0.7
    matrix = np.array([[a, -b], [b, a]])
    step, _ = rk_step(lambda t, y: matrix @ y, 0.0, np.array([1.0, 0.0]), h, METHODS[method])
    r = stability_function(method, h * (a + 1j * b))
    expect.close(np.array([np.real(r), np.imag(r)]), step, f"R of {method} at {h} ({a} + {b}i)", rtol=1e-6)


@pytest.mark.parametrize(
    ("method", "edge"),
    [("euler", 2.0), ("midpoint", 2.0), ("heun", 2.0), ("rk4", 2.785293563405282), ("dopri5", 3.3065678926)],
)
def test_where_decay_stops_being_stable(method, edge):
    expect.close(float(real_interval(method)), edge, f"the stable interval of {method}", rtol=2e-9)
    f = METHODS[method]
    for part, grows in ((0.97, False), (1.03, True)):
        y = np.ones(1)
        for _ in range(100):
            y, _ = rk_step(lambda t, y: -y, 0.0, y, part * edge, f)
        expect.equal(bool(abs(y[0]) > 1), grows, f"growth by 100 steps of {part} times the edge, {method}")


@pytest.mark.parametrize("method", ["backward_euler", "trapezoid"])
def test_implicit_methods_are_stable_for_every_decay(method):
    expect.equal(float(real_interval(method)), math.inf, f"the stable interval of {method}")
    ys = solve(lambda t, y: -1e5 * (y - np.cos(t)), [1.0], np.linspace(0, 2, 41), method).ys
    expect.close(ys[:, 0], np.cos(np.linspace(0, 2, 41)), f"a path of {method}, h lambda = 5000", atol=1e-3)


def test_the_order_is_the_slope_in_double_logarithms(rng):
    h = np.array([0.4, 0.1, 0.2, 0.025])
    expect.close(float(observed_order(h, 7.0 * h**3)), 3.0, "order of 7 h^3", rtol=1e-12)
    expect.close(float(observed_order([0.1, 0.2], [0.5, 0.25])), -1.0, "order of 0.05 / h", rtol=1e-12)
    e = np.exp(rng.standard_normal(4))
    want = np.polyfit(np.log(h), np.log(e), 1)[0]
    expect.close(float(observed_order(h, e)), float(want), "slope of the least-squares line", rtol=1e-9)


# Errors


@pytest.mark.parametrize(
    ("ts", "named"),
    [
        ([0.0], "(1,)"),
        ([[0.0, 1.0]], "(1, 2)"),
        ([0.0, 1.0, 1.0], ""),
        ([0.0, 2.0, 1.0], ""),
        ([0, math.nan], ""),
        ([0, math.inf], ""),
    ],
)
def test_times_must_go_one_way(ts, named):
    with expect.raises(ValueError, named):
        odeint(lambda t, y: -y, [1.0], ts)


def test_an_unknown_method_is_named_with_those_known():
    with expect.raises(ValueError, "rk5", "rk4", "dopri5"):
        odeint(lambda t, y: -y, [1.0], [0, 1], "rk5")
    with expect.raises(ValueError, "rk5"):
        stability_function("rk5", 0.1)
    with expect.raises(ValueError, "rk5"):
        real_interval("rk5")


@pytest.mark.parametrize("method", METHODS)
def test_a_slope_of_another_shape_is_refused(method):
    with expect.raises(ValueError, "(3,)", "(2,)"):
        odeint(lambda t, y: np.zeros(3), [1.0, 2.0], [0, 1], method)
    with expect.raises(ValueError, "(1,)", "(2,)"):  # it would broadcast
        odeint(lambda t, y: np.zeros(1), [1.0, 2.0], [0, 1], method)
    with expect.raises(ValueError, "(2, 1)", "(2,)"):  # as many numbers
        odeint(lambda t, y: np.zeros((2, 1)), [1.0, 2.0], [0, 1], method)
    with expect.raises(ValueError, "(1,)", "(2,)"):  # not at the first call
        odeint(lambda t, y: np.zeros(2 if t < 0.5 else 1), [1.0, 2.0], [0, 1], method, substeps=4)


def test_no_substeps_and_no_errors_are_refused():
    for n in (0, -1):
        with expect.raises(ValueError, str(n)):
            odeint(lambda t, y: -y, [1.0], [0, 1], "rk4", substeps=n)
    with expect.raises(ValueError, "(3,)", "(2,)"):
        observed_order([1.0, 0.5, 0.25], [1.0, 0.5])
    with expect.raises(ValueError, "(1,)"):
        observed_order([1.0], [1.0])
    with expect.raises(ValueError, "-0.25"):
        observed_order([1.0, 0.5], [1.0, -0.25])
    with expect.raises(ValueError, "0.0"):
        observed_order([1.0, 0.5], [1.0, 0.0])
    for bad in (math.nan, math.inf):
        with expect.raises(ValueError, str(bad)):
            observed_order([1.0, 0.5], [1.0, bad])
