"""L-BFGS: the two loops against the dense matrix, then the minima of functions and of losses."""

import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.lbfgs import LBFGS, minimize, two_loop


def pairs_of(hessian, m, rng):
    """m pairs (s, H s) of a quadratic."""
    steps = [rng.standard_normal(len(hessian)) for _ in range(m)]
    return steps, [hessian @ s for s in steps]


def positive(n, rng, condition=100.0):
    """A symmetric matrix with eigenvalues from 1 to ``condition``."""
    q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return q * np.geomspace(1, condition, n) @ q.T


def dense_inverse(n, steps, changes):
    """Equation 6.17, a matrix for each pair, from gamma I."""
    inverse = np.eye(n)
    if steps:
        inverse *= (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y in zip(steps, changes, strict=True):
        rho = 1 / (y @ s)
        left = np.eye(n) - rho * np.outer(s, y)
        inverse = left @ inverse @ left.T + rho * np.outer(s, s)
    return inverse


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# The two loops


@pytest.mark.parametrize("m", [1, 2, 5, 9])
def test_two_loops_are_the_dense_bfgs_matrix(rng, m):
    steps = [rng.standard_normal(6) for _ in range(m)]
    changes = [s + 0.3 * rng.standard_normal(6) for s in steps]
    changes = [y if s @ y > 0.1 else s * 2 for s, y in zip(steps, changes, strict=True)]
    g = rng.standard_normal(6)
    with expect.unchanged(g, *steps, *changes):
        actual = two_loop(g, steps, changes)
    expect.close(actual, dense_inverse(6, steps, changes) @ g, f"H g of {m} pairs", rtol=1e-9)


def test_the_newest_pair_fulfils_the_secant_equation(rng):
    steps, changes = pairs_of(positive(5, rng), 3, rng)
    expect.close(two_loop(changes[-1], steps, changes), steps[-1], "H y of the newest pair", rtol=1e-9)


def test_exact_steps_end_on_a_quadratic_after_as_many_steps_as_there_are_dimensions(rng):
    hessian, x = positive(6, rng), rng.standard_normal(6)
    want, start = np.linalg.solve(hessian, np.ones(6)), x
    steps, changes = [], []
    for _ in range(6):
        g = hessian @ x - 1
        d = -two_loop(g, steps, changes)
        s = -(g @ d) / (d @ hessian @ d) * d
        x = x + s
        steps.append(s)
        changes.append(hessian @ s)
    expect.true(
        float(np.max(np.abs(start - want))) > 0.1,
        "the start should not be the minimum: a mistake of the test",
    )
    expect.close(x, want, "minimum of a quadratic in 6 dimensions after 6 exact line searches", rtol=1e-8)


def test_without_pairs_the_result_is_a_copy_of_the_gradient():
    g = np.array([1.0, -2.0])
    actual = two_loop(g, [], [])
    expect.close(actual, g, "H g without pairs")
    actual[0] = 5.0
    expect.equal(float(g[0]), 1.0, "the gradient after the result was written to")


def test_two_loops_make_no_matrix():
    """y = 2 s belongs to the Hessian 2 I, and H is I / 2; as a matrix it would have 4e10 entries."""
    rng = np.random.default_rng(1)
    g, steps = rng.standard_normal(200_000), [rng.standard_normal(200_000) for _ in range(2)]
    expect.close(
        two_loop(g, steps, [2 * s for s in steps]), g / 2, "H g of the Hessian 2 I", rtol=1e-9, atol=1e-9
    )


def test_two_loops_in_float32_stay_there(rng):
    steps, changes = pairs_of(positive(5, rng, 5.0), 3, rng)
    g = rng.standard_normal(5)
    actual = two_loop(*(np.float32(g), [np.float32(s) for s in steps], [np.float32(y) for y in changes]))
    want = dense_inverse(5, steps, changes) @ g
    expect.close(actual, want.astype(np.float32), "H g in float32", rtol=1e-4, atol=1e-4, dtype=np.float32)


# minimize


def rosenbrock(x):
    a, b = x[:-1], x[1:]
    g = np.zeros_like(x)
    g[:-1] = -400 * a * (b - a * a) - 2 * (1 - a)
    g[1:] += 200 * (b - a * a)
    return float(np.sum(100 * (b - a * a) ** 2 + (1 - a) ** 2)), g


def quadratic(hessian, b, offset=0.0):
    return lambda x: (offset + 0.5 * x @ hessian @ x - b @ x, hessian @ x - b)


def logistic(rng, n=80, scales=(1e-2, 1.0, 30.0, 1e2), penalty=0.1):
    """Loss and gradient of labels -1 and 1 by features of unlike scale."""
    features = rng.standard_normal((n, len(scales))) * scales
    labels = np.where(features @ (1 / np.array(scales)) + rng.standard_normal(n) > 0, 1.0, -1.0)

    def loss(w):
        margin = labels * (features @ w)
        pull = labels * np.exp(-np.logaddexp(0, margin))
        return np.logaddexp(0, -margin).sum() + penalty / 2 * w @ w, penalty * w - features.T @ pull

    return loss


def counted(fn):
    """The function, and a list of the points it was asked for."""
    points = []

    def counting(x):
        points.append(x.copy())
        return fn(x)

    return counting, points


def converges(found, tolerance, where):
    steepest = float(np.max(np.abs(found.gradient)))
    expect.true(
        found.converged and steepest <= tolerance,
        f"{where}: converged is {found.converged} and max |gradient| {steepest:.3g} after {found.iterations} "
        f"steps and {found.evaluations} evaluations, expected True and at most {tolerance:g}",
    )


def test_a_quadratic(rng):
    """With so little memory rounding decides whether patience ends at 1e-9 or 1e-7: 1e-6 is asked for."""
    hessian, b = positive(8, rng, 1e3), rng.standard_normal(8)
    for memory, tolerance in ((1, 1e-6), (3, 1e-6), (10, 1e-8), (500, 1e-8)):
        fn = quadratic(hessian, b)
        found = minimize(fn, np.zeros(8), memory=memory, max_iter=1000, tolerance=tolerance)
        converges(found, tolerance, f"with memory {memory}")
        what = f"the minimum, with memory {memory}"
        expect.close(found.x, np.linalg.solve(hessian, b), what, rtol=1e-6, atol=10 * tolerance)


@pytest.mark.parametrize(("n", "most"), [(2, 120), (10, 250)])
def test_rosenbrock(n, most):
    start = np.tile([-1.2, 1.0], n // 2)
    fn, points = counted(rosenbrock)
    found = minimize(fn, start, max_iter=300)
    expect.close(found.x, np.ones(n), f"Rosenbrock's minimum in {n} dimensions", rtol=1e-6)
    expect.equal(found.converged, True, "converged")
    expect.equal(found.evaluations, len(points), "evaluations")
    expect.true(len(points) <= most, f"{len(points)} evaluations in {n} dimensions, expected at most {most}")


def test_badly_scaled_logistic_regression(rng):
    loss = logistic(rng)
    found = minimize(loss, np.zeros(4), max_iter=500)
    steepest = float(np.max(np.abs(loss(found.x)[1])))
    expect.true(
        found.converged and steepest <= 1e-8, f"max |gradient| is {steepest:.3g}, expected at most 1e-8"
    )
    expect.true(
        found.evaluations <= 150, f"{found.evaluations} evaluations, expected about 50 and at most 150"
    )


def test_more_memory_takes_fewer_steps(rng):
    fn = quadratic(positive(30, rng, 1e4), rng.standard_normal(30))
    few, many = (minimize(fn, np.zeros(30), memory=m, max_iter=5000, tolerance=1e-4) for m in (1, 30))
    for memory, found in ((1, few), (30, many)):
        converges(found, 1e-4, f"with memory {memory}")
    expect.true(
        few.iterations > 1.5 * many.iterations,
        f"memory 1 took {few.iterations} steps and memory 30 {many.iterations}: "
        "expected at least 1.5 times as many for memory 1",
    )


def test_the_value_falls_with_every_step():
    values = [minimize(rosenbrock, np.array([-1.2, 1.0]), max_iter=k).value for k in range(30)]
    expect.close(values[0], 24.2, "the value after no step", rtol=1e-9)
    for k, (last, value) in enumerate(pairwise(values), 1):
        expect.true(value < last, f"the value rose from {last:.6g} to {value:.6g} in step {k}")


def test_max_iter_counts_steps():
    for most in (0, 1, 5):
        found = minimize(rosenbrock, np.array([-1.2, 1.0]), max_iter=most)
        expect.equal(found.iterations, most, f"iterations with max_iter={most}")
        expect.equal(found.converged, False, f"converged with max_iter={most}")


def test_the_defaults(rng):
    fn = quadratic(positive(40, rng, 1e8), rng.standard_normal(40))
    found = minimize(fn, np.zeros(40))
    expect.equal(found.iterations, 100, "iterations by default, where more would be needed")
    expect.equal(
        found.x, minimize(fn, np.zeros(40), memory=10, max_iter=100).x, "x by default and with memory 10"
    )
    small = minimize(lambda x: (0.5e-8 * x @ x, 1e-8 * x), np.array([1.0, -0.5]))
    expect.equal(
        (small.iterations, small.converged), (0, True), "iterations at a gradient of 1e-8, converged"
    )
    few = minimize(lambda x: (0.5e-8 * x @ x, 1e-8 * x), np.array([1.01, -0.5]))
    expect.true(few.iterations > 0, "a gradient of 1.01e-8 is above the default tolerance: move")


def test_value_and_gradient_are_those_of_the_point():
    for most in (0, 3, 100):
        found = minimize(rosenbrock, np.array([-1.2, 1.0]), max_iter=most)
        value, gradient = rosenbrock(found.x)
        expect.equal(float(found.value), value, f"the value after {found.iterations} steps")
        expect.equal(found.gradient, gradient, f"the gradient after {found.iterations} steps")


def test_at_the_minimum_nothing_moves():
    start = np.ones(4)
    fn, points = counted(rosenbrock)
    found = minimize(fn, start)
    expect.equal(
        (found.iterations, found.evaluations, len(points)), (0, 1, 1), "iterations, evaluations, calls"
    )
    expect.equal(found.converged, True, "converged")
    expect.equal(found.x, start, "x")
    found.x[0] = 7.0
    expect.equal(float(start[0]), 1.0, "the start after the result was written to")


def test_the_tolerance_is_of_the_largest_entry_of_the_gradient():
    def fn(x):
        return 0.5 * x @ x, x.copy()

    start = np.full(100, 0.9)
    expect.equal(
        minimize(fn, start, tolerance=0.9).iterations, 0, "iterations with max |gradient| = tolerance"
    )
    expect.equal(
        minimize(fn, start, tolerance=0.9).converged, True, "converged with max |gradient| = tolerance"
    )
    expect.true(minimize(fn, start, tolerance=0.89).iterations > 0, "0.9 is above a tolerance of 0.89: move")


def test_the_start_is_only_read_and_may_hold_integers():
    start = np.array([-1, 1])
    with expect.unchanged(start):
        found = minimize(rosenbrock, start)
    expect.close(found.x, np.ones(2), "the minimum from a start of integers", rtol=1e-6, dtype=np.float64)


def test_the_first_trial_moves_no_weight_by_more_than_one():
    fn, points = counted(lambda x: (1e6 * x @ x, 2e6 * x))
    minimize(fn, np.array([3.0, -1.5]))
    expect.close(points[1] - points[0], np.array([-1.0, 0.5]), "the first trial less the start", rtol=1e-9)
    expect.close(points[2], np.zeros(2), "the next trial, a whole step along -H g", atol=1e-9)
    fn, points = counted(lambda x: (0.05 * x @ x, 0.1 * x))
    minimize(fn, np.array([3.0, -1.5]))
    expect.close(points[1] - points[0], np.array([-0.3, 0.15]), "the same with a small gradient", rtol=1e-9)


def test_a_function_may_use_one_array_for_all_its_gradients():
    g = np.empty(2)

    def fn(x):
        value, g[:] = rosenbrock(x)
        return value, g

    found = minimize(fn, np.array([-1.2, 1.0]))
    expect.close(found.x, np.ones(2), "the minimum", rtol=1e-6)


def test_values_that_are_not_finite_shorten_the_step():
    def log_barrier(x):
        return -np.log(x).sum() - np.log(1 - x).sum() + 5 * x.sum(), -1 / x + 1 / (1 - x) + 5

    def exponential(x):
        return np.exp(50 * x).sum() - 1e3 * x.sum(), 50 * np.exp(50 * x) - 1e3

    with expect.quiet("minimize, where a trial overflows,"):
        inside = minimize(log_barrier, np.array([0.999, 1e-3]))
        flat = minimize(exponential, np.array([-3.0, 0.5]))
    want = (7 - math.sqrt(29)) / 10  # 5 x^2 - 7 x + 1 = 0
    expect.close(inside.x, np.full(2, want), "the minimum between two barriers", rtol=1e-6)
    expect.close(flat.x, np.full(2, math.log(20) / 50), "the minimum of exp(50 x) - 1000 x", rtol=1e-6)


def test_an_offset_hides_the_decrease_but_not_the_gradient(rng):
    """Near the minimum f changes by less than its last digit; the gradient still tells where to go."""
    hessian, b = positive(5, rng, 20.0), rng.standard_normal(5)
    found = minimize(quadratic(hessian, b, offset=1e4), np.zeros(5), max_iter=500)
    expect.equal(found.converged, True, "converged to 1e-8 with a value of 1e4")
    expect.close(found.x, np.linalg.solve(hessian, b), "the minimum", rtol=1e-6)


def test_it_ends_where_only_rounding_is_left(rng):
    hessian, b = positive(5, rng, 20.0), rng.standard_normal(5)
    found = minimize(quadratic(hessian, b), np.zeros(5), max_iter=10_000, tolerance=0.0)
    expect.true(
        found.iterations < 1000,
        f"{found.iterations} steps with a tolerance of 0, expected an end before 1000",
    )
    expect.close(found.x, np.linalg.solve(hessian, b), "the minimum", rtol=1e-9)


def test_an_endless_slope_and_hills_do_no_harm():
    """A straight slope has y = 0, and a hill s'y < 0: no pair to divide by."""
    found = minimize(lambda x: (-x.sum(), -np.ones_like(x)), np.zeros(3), max_iter=5)
    expect.true(
        math.isfinite(found.value) and found.value < -1, f"down an endless slope the value is {found.value}"
    )
    expect.equal(found.converged, False, "converged, on an endless slope")
    hills = minimize(lambda x: (np.cos(x).sum(), -np.sin(x)), np.array([0.1, -0.2, 0.3]))
    expect.equal(hills.converged, True, "converged, from the top of a hill")
    expect.close(np.cos(hills.x), -np.ones(3), "the cosine at its minimum", rtol=1e-9)


SETTINGS = [
    ({"memory": 0}, ("memory", "0")),
    ({"max_iter": -1}, ("max_iter", "-1")),
    ({"tolerance": -1e-3}, ("tolerance", "-0.001")),
    ({"tolerance": math.nan}, ("tolerance", "nan")),
]


@pytest.mark.parametrize(("settings", "named"), SETTINGS, ids=[str(s) for s, _ in SETTINGS])
def test_settings_out_of_range_are_named(settings, named):
    with expect.raises(ValueError, *named):
        minimize(rosenbrock, np.zeros(2), **settings)


def test_a_start_or_a_gradient_of_the_wrong_shape_is_refused():
    with expect.raises(ValueError, "(3, 2)"):
        minimize(rosenbrock, np.zeros((3, 2)))
    with expect.raises(ValueError, "(1, 3)", "(3,)"):
        minimize(lambda x: (float(x @ x), 2 * x[None]), np.ones(3))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_start_that_is_not_finite_is_refused(bad):
    with expect.raises(ValueError, str(bad)):
        minimize(lambda x: (bad, np.ones(2)), np.zeros(2))
    with expect.raises(ValueError, str(bad)):
        minimize(lambda x: (1.0, np.array([1.0, bad])), np.zeros(2))


# LBFGS over Tensors


def two_parameters(rng, dtype=np.float64):
    """A weight and a bias, a closure with gradients by hand, and the same loss of one vector."""
    x, y = rng.standard_normal((20, 3)) * [0.3, 1, 3], rng.standard_normal((20, 2))
    w = Tensor(rng.standard_normal((3, 2)).astype(dtype), requires_grad=True)
    b = Tensor(np.zeros(2, dtype), requires_grad=True)
    losses = []

    def both(w, b):
        error = x @ w + b - y
        loss = (error**2).sum() + 0.1 * (w**4).sum()
        return loss, 2 * x.T @ error + 0.4 * w**3, 2 * error.sum(0)

    def closure():
        value, dw, db = both(w.data.astype(float), b.data.astype(float))
        w.grad, b.grad = dw.astype(dtype), db.astype(dtype)
        losses.append(Tensor(np.asarray(value, dtype)))
        return losses[-1]

    def of_vector(v):
        value, dw, db = both(v[:6].reshape(3, 2), v[6:])
        return value, np.concatenate([dw.reshape(-1), db])

    return w, b, closure, losses, of_vector


def flat(*params):
    return np.concatenate([p.data.reshape(-1) for p in params])


def test_a_step_is_minimize_over_all_parameters(rng):
    w, b, closure, losses, of_vector = two_parameters(rng)
    start = flat(w, b)
    for most in (1, 2, 6):
        w.data[...], b.data[...] = start[:6].reshape(3, 2), start[6:]
        want = minimize(of_vector, start, max_iter=most, tolerance=1e-7)
        losses.clear()
        LBFGS([w, b], max_iter=most).step(closure)
        expect.close(flat(w, b), want.x, f"the parameters after {most} steps", rtol=1e-7)
        expect.equal(len(losses), want.evaluations, f"calls of the closure in {most} steps")
        expect.close(of_vector(flat(w, b))[0], want.value, f"the loss after {most} steps", rtol=1e-9)


def test_training_reaches_the_minimum_in_place(rng):
    w, b, closure, _, of_vector = two_parameters(rng)
    arrays = w.data, b.data
    optimizer = LBFGS([w, b])
    for _ in range(4):
        optimizer.step(closure)
    steepest = float(np.max(np.abs(of_vector(flat(w, b))[1])))
    expect.true(steepest <= 1e-6, f"max |gradient| after 80 steps is {steepest:.3g}, expected at most 1e-6")
    expect.true(w.data is arrays[0] and b.data is arrays[1], "the parameters should keep their arrays")


def test_step_returns_the_loss_before_it(rng):
    w, b, closure, losses, of_vector = two_parameters(rng)
    want = of_vector(flat(w, b))[0]
    first = LBFGS([w, b], max_iter=3).step(closure)
    expect.true(first is losses[0], "step should return what the closure returned first")
    expect.close(float(first.data), want, "the loss before the step", rtol=1e-9)


def test_the_history_goes_on_in_the_next_call(rng):
    w, b, closure, _, of_vector = two_parameters(rng)
    want = minimize(of_vector, flat(w, b), max_iter=9, tolerance=1e-7)
    optimizer = LBFGS([w, b], max_iter=3)
    for _ in range(3):
        optimizer.step(closure)
    expect.close(flat(w, b), want.x, "the parameters after 3 calls of 3 steps", rtol=1e-6)


def test_the_state_is_the_pairs(rng):
    w, b, closure, _, _ = two_parameters(rng)
    optimizer = LBFGS([w, b], max_iter=1, history_size=2)
    points = [flat(w, b)]
    gradients = []
    for k in range(4):
        closure()
        gradients.append(np.concatenate([w.grad.reshape(-1), b.grad]))
        optimizer.step(closure)
        points.append(flat(w, b))
        expect.equal(
            optimizer.state[w]["steps"].shape, (min(k + 1, 2), 8), f"shape of steps after {k + 1} steps"
        )
    closure()
    gradients.append(np.concatenate([w.grad.reshape(-1), b.grad]))
    expect.close(optimizer.state[w]["steps"], np.diff(points, axis=0)[-2:], "the two newest s", rtol=1e-8)
    expect.close(
        optimizer.state[w]["changes"], np.diff(gradients, axis=0)[-2:], "the two newest y", rtol=1e-8
    )


def test_a_pair_without_curvature_is_not_remembered():
    w = Tensor(np.array([3.0, -1.5]), requires_grad=True)

    def straight():
        w.grad = np.array([1.0, 2.0])
        return float(w.data @ w.grad)

    optimizer = LBFGS([w], max_iter=1)
    optimizer.step(straight)
    expect.true(
        bool(w.data[0] < 2), f"down an endless slope w[0] went from 3 to {w.data[0]:g}: expected below 2"
    )
    for name in ("steps", "changes"):
        there = name in optimizer.state.get(w, {})
        expect.true(
            there, f'no "{name}" in the state of the first parameter: without pairs it should be (0, 2)'
        )
        expect.equal(optimizer.state[w][name].shape, (0, 2), f"shape of {name}, where no pair has s'y > 0")


def test_where_no_trial_will_do_the_parameters_go_back():
    w = Tensor(np.zeros(2), requires_grad=True)
    calls = []

    def closure():
        calls.append(1)
        w.grad = np.ones(2)
        return 5.0 if not w.data.any() else math.nan

    loss = LBFGS([w]).step(closure)
    expect.equal(loss, 5.0, "the loss before the step")
    expect.true(
        len(calls) > 1, f"{len(calls)} calls of the closure, expected trials of shorter and shorter steps"
    )
    expect.equal(w.data, np.zeros(2), "the parameter, where every trial is NaN")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_resuming_is_bit_exact(rng, dtype):
    w, b, closure, _, of_vector = two_parameters(rng, dtype)
    before = of_vector(flat(w, b).astype(float))[0]
    first = LBFGS([w, b], max_iter=3, history_size=4)
    first.step(closure)
    saved, at = first.state_dict(), flat(w, b)
    first.step(closure)
    straight = flat(w, b)
    w.data[...], b.data[...] = at[:6].reshape(3, 2), at[6:]
    resumed = LBFGS([w, b], lr=0.5, max_iter=7)
    resumed.load_state_dict(saved)
    resumed.step(closure)
    expect.equal(flat(w, b), straight, "parameters of a run that was saved and resumed")
    after = of_vector(flat(w, b).astype(float))[0]
    expect.true(after < before, f"the loss went from {before:.6g} to {after:.6g}, expected down")


def test_float32_stays_float32(rng):
    w, b, closure, _, of_vector = two_parameters(rng, np.float32)
    want = minimize(of_vector, flat(w, b).astype(float), max_iter=300)
    optimizer = LBFGS([w, b], max_iter=60)
    optimizer.step(closure)
    expect.close(w.data, want.x[:6].reshape(3, 2), "weights", rtol=1e-2, atol=1e-3, dtype=np.float32)
    expect.equal(optimizer.state[w]["steps"].dtype.name, "float32", "dtype of the steps in the state")


def test_lr_is_the_first_trial_of_the_line_search():
    w = Tensor(np.array([3.0, -1.5]), requires_grad=True)
    seen = []

    def closure():
        seen.append(w.data.copy())
        w.grad = 0.1 * w.data
        return float(0.05 * w.data @ w.data)

    LBFGS([w], lr=0.5).step(closure)
    expect.close(seen[1] - seen[0], np.array([-0.15, 0.075]), "the first trial with lr=0.5", rtol=1e-9)


def test_the_defaults_of_the_optimizer():
    w = Tensor(np.ones(2), requires_grad=True)
    settings = {**LBFGS([w]).param_groups[0], "params": None}
    want = {"lr": 1.0, "max_iter": 20, "tolerance_grad": 1e-7, "history_size": 10, "params": None}
    expect.equal(dict(sorted(settings.items())), dict(sorted(want.items())), "the settings by default")
    least = LBFGS([w], max_iter=1, tolerance_grad=0, history_size=1).param_groups[0]
    least = float(least["tolerance_grad"]), least["max_iter"], least["history_size"]
    expect.equal(
        least, (0.0, 1, 1), "the smallest tolerance_grad, max_iter and history_size that are allowed"
    )


@pytest.mark.parametrize(("step", "change"), [(1.0, 1e-20), (1e200, 1e-150)])
def test_a_history_that_leads_nowhere_is_forgotten(step, change):
    """A pair of almost no curvature asks for a step of 1e20 or infinity, and w - log(1 - w^2) ends at 1."""
    w = Tensor(np.array([0.5]), requires_grad=True)

    def closure():
        v = w.data
        w.grad = 1 + 2 * v / (1 - v * v)
        return float((v - np.log(1 - v * v))[0])

    optimizer = LBFGS([w])
    optimizer.state[w] = {"steps": np.array([[step]]), "changes": np.array([[change]])}
    optimizer.step(closure)
    expect.close(w.data, np.array([1 - math.sqrt(2)]), "the minimum, 1 - sqrt(2)", rtol=1e-6)


def test_a_parameter_without_a_gradient_stays():
    w, idle = Tensor(np.array([3.0]), requires_grad=True), Tensor(np.array([2.0, 5.0]), requires_grad=True)

    def closure():
        w.grad = 2 * (w.data - 1)
        return float(((w.data - 1) ** 2)[0])

    LBFGS([idle, w]).step(closure)
    expect.close(w.data, np.array([1.0]), "a parameter that has a gradient", rtol=1e-6)
    expect.equal(idle.data, np.array([2.0, 5.0]), "a parameter that has none")


def test_a_step_ends_at_tolerance_grad():
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    calls = []

    def closure():
        calls.append(1)
        w.grad = w.data.copy()
        return Tensor(np.asarray(0.5 * w.data @ w.data))

    LBFGS([w], tolerance_grad=2.0).step(closure)
    expect.equal(len(calls), 1, "calls of the closure where max |gradient| = tolerance_grad")
    expect.equal(w.data, np.array([1.0, 2.0]), "the parameter")
    LBFGS([w], tolerance_grad=1.9).step(closure)
    expect.close(w.data, np.array([0.5, 1.0]), "the parameter after the one step to a gradient below 1.9")


def test_a_loss_that_is_not_finite_is_refused():
    w = Tensor(np.array([1.0, 2.0]), requires_grad=True)

    def closure():
        w.grad = np.ones(2)
        return math.nan

    with expect.raises(ValueError, "nan"):
        LBFGS([w]).step(closure)


WRONG = [
    ({"lr": 0.0}, ("lr", "0.0")),
    ({"lr": -1.0}, ("lr", "-1.0")),
    ({"lr": math.nan}, ("lr", "nan")),
    ({"lr": math.inf}, ("lr", "inf")),
    ({"max_iter": 0}, ("max_iter", "0")),
    ({"history_size": 0}, ("history_size", "0")),
    ({"tolerance_grad": -0.5}, ("tolerance_grad", "-0.5")),
    ({"tolerance_grad": math.nan}, ("tolerance_grad", "nan")),
]


@pytest.mark.parametrize(("settings", "named"), WRONG, ids=[str(s) for s, _ in WRONG])
def test_settings_of_the_optimizer_are_named(settings, named):
    with expect.raises(ValueError, *named):
        LBFGS([Tensor(np.ones(2), requires_grad=True)], **settings)


def test_a_second_group_is_refused():
    a, b = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    with expect.raises(ValueError, "1"):
        LBFGS([{"params": [a]}, {"params": [b], "lr": 0.5}])
    optimizer = LBFGS([a])
    with expect.raises(ValueError, "1"):
        optimizer.add_param_group({"params": [b]})
