"""Langevin dynamics: single steps, exact stationary laws, free energies; noise is judged by many chains."""

import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect, statistics
from dynamics.continuous.langevin import (
    anneal,
    free_energy,
    kramers_rate,
    langevin,
    occupancy,
    sgd_covariance,
    stationary_variance,
    underdamped,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def double_well(x):
    return (x * x - 1) ** 2 / 4


def wells_grad(x):
    return x * x * x - x  # x**3 is ten times slower


def spd(rng, eigenvalues):
    Q = np.linalg.qr(rng.standard_normal((len(eigenvalues),) * 2))[0]
    return (Q * np.asarray(eigenvalues)) @ Q.T


# The overdamped chain


def test_at_temperature_zero_it_is_descent(rng):
    x0 = rng.standard_normal((2, 3))
    want = [x0]
    for _ in range(5):
        want.append(want[-1] - 0.1 * wells_grad(want[-1]))
    with expect.unchanged(x0):
        got = langevin(wells_grad, x0, 0.1, 0.0, 5, rng=rng)
    expect.close(got, np.stack(want), "five steps without noise", rtol=1e-12)
    expect.close(langevin(wells_grad, [1, 2], 0.1, 0.5, 0, rng=rng), np.array([[1.0, 2.0]]), "0 steps")


def test_the_noise_of_a_step(rng):
    x0 = np.full((20_000, 2), 2.0)
    path = langevin(wells_grad, x0, 0.05, 0.7, 2, rng=rng)
    moved = path[1] - (2 - 0.05 * 6)
    statistics.mean_is(moved, 0.0, math.sqrt(0.07), "the noise of a step")
    statistics.variance_is(moved, 0.07, "the noise of a step, 2 h T")
    second = path[2] - (path[1] - 0.05 * wells_grad(path[1]))
    statistics.variance_is(second, 0.07, "the noise of the second step")
    for a, b, what in ((moved[:, 0], moved[:, 1], "two elements"), (moved, second, "two steps")):
        statistics.mean_is(a * b, 0.0, 0.07, f"the product of the noise of {what}")
    is_normal(moved / math.sqrt(0.07), "the noise of a step")


def is_normal(xi, what):
    """Of standard normal numbers the fourth power has mean 3 and variance 105 - 9."""
    statistics.mean_is(xi**4, 3.0, math.sqrt(96), f"the fourth power of {what} (normal: 3, uniform: 1.8)")


CHAINS = {
    "langevin": lambda rng: langevin(wells_grad, np.zeros(3), 0.1, 0.5, 4, rng=rng),
    "anneal": lambda rng: anneal(wells_grad, np.zeros(3), 0.1, 0.5, 0.1, 4, rng=rng),
    "underdamped": lambda rng: underdamped(wells_grad, np.zeros(3), np.zeros(3), 0.1, 1.0, 0.5, 4, rng=rng).q,
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_noise_comes_from_the_generator(name):
    one, same, other = (CHAINS[name](np.random.default_rng(seed)) for seed in (5, 5, 6))
    expect.equal(np.shape(one), (5, 3), f"the shape of a path of {name}")
    expect.close(same, one, f"the path of {name} from a generator of the same seed")
    apart = float(np.abs(one[1:] - other[1:]).min())
    expect.true(apart > 0, f"{name} repeats a point under another seed: its noise is not drawn from rng")


def test_every_step_has_its_temperature(rng):
    temperature = np.array([0.0, 2.0, 0.5])
    path = langevin(np.zeros_like, np.zeros(20_000), 0.25, temperature, 3, rng=rng)
    expect.close(path[1], np.zeros(20_000), "where chains are after a step at T = 0")
    statistics.variance_is(path[2] - path[1], 1.0, "the step at T = 2")
    statistics.variance_is(path[3] - path[2], 0.25, "the step at T = 0.5")


def test_the_variance_settles_where_the_formula_says(rng):
    """Exact at every step from x = 0: v <- (1 - h a)^2 v + 2 h T."""
    a, T = np.array([0.5, 1.0, 3.0]), 0.8
    h = 0.5
    want = 2 * h * T / (1 - (1 - h * a) ** 2)
    expect.close(stationary_variance(a, h, T), want, "the variances of three curvatures", rtol=1e-12)
    path = langevin(lambda x: a * x, np.zeros((10_000, 3)), h, T, 40, rng=rng)
    for i in range(3):
        statistics.variance_is(path[-1, :, i], float(want[i]), f"x after 40 steps, h a = {h * a[i]}")
    small = stationary_variance(2.0, 1e-12, 0.5)
    expect.close(small, np.array(0.25), "the variance for short steps, T / a", rtol=1e-9)


def test_cooling_goes_by_the_same_factor_each_step(rng):
    path = anneal(np.zeros_like, np.zeros(20_000), 0.5, 4.0, 0.25, 5, rng=rng)
    expect.equal(np.shape(path), (6, 20_000), "the shape of the path")
    for k, T in enumerate((4.0, 2.0, 1.0, 0.5, 0.25)):
        statistics.variance_is(path[k + 1] - path[k], T, f"step {k} of cooling from 4 to 0.25 in 5 steps")
    same = anneal(np.zeros_like, np.zeros(20_000), 0.5, 0.25, 0.25, 2, rng=rng)
    statistics.variance_is(same[2] - same[1], 0.25, "a step of cooling from 0.25 to 0.25")
    short = anneal(np.zeros_like, np.zeros(20_000), 0.5, 4.0, 0.25, 2, rng=rng)
    statistics.variance_is(short[2] - short[1], 0.25, "the last of two steps of cooling from 4 to 0.25")


def test_cooling_slowly_finds_the_deeper_valley(rng):
    """V = (x^2 - 1)^2 / 4 + x / 10, from the wrong side. Over 60 seeds: mean 0.856, sd 0.024."""
    tilted = lambda x: wells_grad(x) + 0.1  # noqa: E731
    path = anneal(tilted, np.ones(200), 0.1, 0.5, 0.01, 1500, rng=rng)
    share = float(np.mean(path[-1] < 0))
    frozen = float(np.mean(langevin(tilted, np.ones(200), 0.1, 0.01, 300, rng=rng)[-1] < 0))
    expect.true(share > 0.75, f"a share of {share} ends in the deeper valley, expected 0.75 or more")
    expect.true(frozen < 0.1, f"a share of {frozen} crossed without being heated, expected less than 0.1")


# SGD


def test_sgd_in_one_direction():
    got = sgd_covariance([[2.0]], [[9.0]], 0.1)
    expect.close(got, np.array([[0.1 * 9 / (2 * (2 - 0.2))]]), "lr s^2 / (a (2 - lr a))", rtol=1e-12)


def test_the_covariance_of_sgd_solves_its_equation(rng):
    A, C, lr = spd(rng, [0.2, 1.0, 4.0]), spd(rng, [3.0, 0.1, 1.0]), 0.3
    M = np.eye(3) - lr * A
    want, power = np.zeros((3, 3)), np.eye(3)
    for _ in range(600):
        want = want + lr**2 * power @ C @ power.T
        power = M @ power
    with expect.unchanged(A, C):
        got = sgd_covariance(A, C, lr)
    expect.close(got, want, "the sum of lr^2 M^k C M^k^T over all k", rtol=1e-9, atol=1e-12)


def test_isotropic_noise_is_a_temperature(rng):
    """C = c I is the overdamped chain with h = lr and T = lr c / 2."""
    a, lr, c = np.array([0.5, 2.0]), 0.2, 3.0
    want = (lr * c / 2 / a) / (1 - lr * a / 2)
    expect.close(stationary_variance(a, lr, lr * c / 2), want, "the variances of the chain", rtol=1e-12)
    got = sgd_covariance(np.diag(a), c * np.eye(2), lr)
    expect.close(got, np.diag(want), "the covariance of SGD", rtol=1e-12, atol=1e-15)


# Inertia


def test_without_heat_it_is_kicks_drifts_and_damping(rng):
    q, p, h, friction = rng.standard_normal((2, 2)), rng.standard_normal((2, 2)), 0.2, 0.7
    qs, ps = [q], [p]
    for _ in range(4):
        speed = ps[-1] - h / 2 * wells_grad(qs[-1])
        at = qs[-1] + h / 2 * speed
        speed = speed * math.exp(-friction * h)
        at = at + h / 2 * speed
        qs.append(at)
        ps.append(speed - h / 2 * wells_grad(at))
    calls = []

    def grad(x):
        calls.append(1)
        return wells_grad(x)

    with expect.unchanged(q, p):
        path = underdamped(grad, q, p, h, friction, 0.0, 4, rng=rng)
    expect.close(path.q, np.stack(qs), "positions of four steps at T = 0", rtol=1e-12)
    expect.close(path.p, np.stack(ps), "momenta of four steps at T = 0", rtol=1e-12)
    expect.equal(len(calls), 5, "the number of gradients for 4 steps")


def test_the_heat_of_a_step(rng):
    """From rest without a force: p has variance (1 - c^2) T, and q has moved by h/2 p."""
    rest, friction, h, T = np.zeros(20_000), 0.9, 0.4, 1.7
    path = underdamped(np.zeros_like, rest, rest, h, friction, T, 1, rng=rng)
    statistics.variance_is(path.p[1], (1 - math.exp(-2 * friction * h)) * T, "p after a step from rest")
    expect.close(path.q[1], h / 2 * path.p[1], "q after a step from rest", rtol=1e-12)
    spread = math.sqrt((1 - math.exp(-2 * friction * h)) * T)
    is_normal(path.p[1] / spread, "p after a step from rest")
    p = underdamped(
        np.zeros_like, np.zeros((2, 5000, 2)), np.zeros((2, 5000, 2)), h, friction, T, 1, rng=rng
    ).p[1]
    for a, b, axis in ((p[0], p[1], "first"), (p[..., 0], p[..., 1], "last")):
        statistics.mean_is(a * b, 0.0, spread**2, f"the product of the noise of two along the {axis} axis")
    free = underdamped(np.zeros_like, [1.0], [2.0], 0.5, 0.0, 3.0, 4, rng=rng)
    expect.close(free.q[:, 0], np.arange(1.0, 6.0), "positions without friction, at any temperature")


def test_positions_have_the_right_variance_whatever_the_step(rng):
    a, T, rest = 2.0, 0.6, np.zeros(10_000)
    for h in (0.3, 1.2):
        path = underdamped(lambda q: a * q, rest, rest, h, 1.0, T, round(20 / h), rng=rng)
        statistics.variance_is(path.q[-1], T / a, f"q with h = {h}, T / a")
        statistics.variance_is(path.p[-1], T * (1 - h * h * a / 4), f"p with h = {h}, T (1 - h^2 a / 4)")


# Free energy


def test_a_harmonic_valley():
    for T in (0.01, 1.0):
        width = 10 * math.sqrt(T / 4)
        got = free_energy(lambda x: 7 + 2 * (x - 1) ** 2, 1 - width, 1 + width, T)
        free = 7 - T / 2 * math.log(2 * math.pi * T / 4)
        expect.close(got.free, free, f"F of 7 + 2 (x - 1)^2 at T = {T}", rtol=1e-6)
        expect.close(got.energy, 7 + T / 2, f"U at T = {T}, the bottom and T / 2", rtol=1e-6)
        expect.close(got.entropy, (got.energy - got.free) / T, f"S = (U - F) / T at T = {T}", rtol=1e-9)


def test_a_box_and_a_slope():
    got = free_energy(np.zeros_like, 1.0, 4.0, 2.0)
    want = np.array([-2 * math.log(3), 0.0, math.log(3)])
    expect.close(
        np.array(got), want, "F, U and S of an empty box of length 3 at T = 2", rtol=1e-9, atol=1e-12
    )
    got = free_energy(lambda x: 3 * x, 0.0, 2.0, 1.5)
    b, e = 2.0, math.exp(-4)
    want_f, want_u = -1.5 * math.log((1 - e) / b), 1.5 - 6 * e / (1 - e)
    expect.close(got.free, want_f, "F on the slope 3 x, 0 to 2, at T = 1.5", rtol=1e-9)
    expect.close(got.energy, want_u, "U on the slope", rtol=1e-9)


def test_high_energies_do_not_underflow():
    with expect.quiet("free_energy"):
        got = free_energy(lambda x: 1e5 + 0.5 * x * x, -8.0, 8.0, 1.0)
        expect.close(got.free, 1e5 - 0.5 * math.log(2 * math.pi), "F of 100000 + x^2 / 2", rtol=1e-10)
        split = occupancy(lambda x: 1e5 * x, [0.0, 0.5, 1.0], 1e4)
        expect.close(
            split, np.array([1, math.exp(-5)]) / (1 + math.exp(-5)), "two halves of a slope", rtol=1e-9
        )
        steep = occupancy(lambda x: -1e4 * (x > 0), [-1.0, 0.0, 1.0], 1.0)
        expect.close(steep, np.array([0.0, 1.0]), "a step of 10000 T")


def test_occupancies_are_shares_of_the_integral():
    potential = lambda x: double_well(x) + 0.1 * x  # noqa: E731
    edges, T = np.array([-3.0, -0.5, 0.0, 3.0]), 0.2
    x = np.linspace(-3, 3, 60_001)
    middle = (x[1:] + x[:-1]) / 2
    density = np.exp(-potential(middle) / T)
    want = np.array([density[(middle > a) & (middle < b)].sum() for a, b in pairwise(edges)])
    got = occupancy(potential, edges, T)
    expect.close(got, want / want.sum(), "the shares of three intervals", rtol=1e-5)


def test_a_wide_valley_wins_against_a_deep_one_when_it_is_warm():
    """Depth 1, width 0.1 against depth 0.8, width 1: equal at T = 0.2 / log 10."""
    potential = lambda x: np.where(x < 0.1, -1.0, -0.8)  # noqa: E731
    T = np.array([0.02, 0.2 / math.log(10), 0.5])
    share = 1 / (1 + 0.1 * np.exp(0.2 / T))
    got = np.array([occupancy(potential, [0.0, 0.1, 1.1], t)[1] for t in T])
    expect.close(got, share, "the share of the wide valley at three temperatures", rtol=1e-8)


def test_chains_end_up_where_free_energy_says(rng):
    potential_grad = lambda x: wells_grad(x) + 0.1  # noqa: E731
    path = langevin(potential_grad, np.where(np.arange(2000) % 2, 1.0, -1.0), 0.1, 0.3, 400, rng=rng)
    found = float(np.mean(path[-1] < 0))
    x = np.arange(-4, 4, 1e-3) + 5e-4
    density = np.exp(-(double_well(x) + 0.1 * x) / 0.3)
    wanted = float(density[x < 0].sum() / density.sum())
    share = float(occupancy(lambda x: double_well(x) + 0.1 * x, [-4.0, 0.0, 4.0], 0.3)[0])
    expect.true(
        abs(share - wanted) < 1e-4, f"the left valley should hold {wanted:.4f}, occupancy says {share:.4f}"
    )
    expect.true(abs(found - share) < 0.06, f"a share of {found:.3f} is on the left, expected {share:.3f}")


def test_the_rate_of_escape():
    got = kramers_rate(2.0, -1.0, 0.25, 0.05)
    expect.close(got, math.sqrt(2) / (2 * math.pi) * math.exp(-5), "the rate over 5 T", rtol=1e-12)
    expect.close(kramers_rate(9.0, -4.0, 0.0, 1.0), 3 / math.pi, "the rate over no barrier", rtol=1e-12)
    T = 0.01
    y = np.linspace(-2.2, 1.0, 8001)
    inner = np.cumsum(np.exp(-double_well(y) / T)) * (y[1] - y[0])
    time = float(np.sum((np.exp(double_well(y) / T) * inner)[y > -1]) * (y[1] - y[0]) / T)
    ratio = kramers_rate(2.0, -1.0, 0.25, T) * time
    expect.true(
        abs(ratio - 1) < 0.1, f"rate times the mean time from -1 to 1 is {ratio:.3f}, expected about 1"
    )


# Errors


def test_chains_out_of_range_are_refused(rng):
    for h in (0.0, -0.25, math.nan):
        with expect.raises(ValueError, str(h)):
            langevin(wells_grad, [1.0], h, 1.0, 3, rng=rng)
        with expect.raises(ValueError, str(h)):
            underdamped(wells_grad, [1.0], [1.0], h, 1.0, 1.0, 3, rng=rng)
    with expect.raises(ValueError, "-2"):
        langevin(wells_grad, [1.0], 0.1, 1.0, -2, rng=rng)
    with expect.raises(ValueError, "-0.5"):
        langevin(wells_grad, [1.0], 0.1, [1.0, -0.5, 1.0], 3, rng=rng)
    with expect.raises(ValueError, "(2,)", "3"):
        langevin(wells_grad, [1.0], 0.1, [1.0, 0.5], 3, rng=rng)
    with expect.raises(ValueError, "(1,)", "3"):  # it would broadcast
        langevin(wells_grad, [1.0], 0.1, [0.5], 3, rng=rng)
    with expect.raises(ValueError, "(2,)", "(1,)"):
        underdamped(wells_grad, np.zeros(2), np.zeros(1), 0.1, 1.0, 1.0, 3, rng=rng)
    for bad in ((-0.5, 1.0, 3), (1.0, -0.5, 3), (1.0, 1.0, -5)):
        with expect.raises(ValueError, "-5" if bad[2] < 0 else "-0.5"):
            underdamped(wells_grad, [1.0], [1.0], 0.1, *bad, rng=rng)


def test_coolings_that_heat_are_refused(rng):
    for cold in (2.0, 0.0, math.nan):
        with expect.raises(ValueError, "0.5", str(cold)):
            anneal(wells_grad, [1.0], 0.1, 0.5, cold, 9, rng=rng)
    with expect.raises(ValueError, "1"):
        anneal(wells_grad, [1.0], 0.1, 0.5, 0.25, 1, rng=rng)


@pytest.mark.parametrize("a", [0.0, -0.5, 8.0, 9.5, math.nan])
def test_what_never_settles_is_refused(a):
    with expect.raises(ValueError, f"{a:g}", "0.25"):
        stationary_variance([1.0, a], 0.25, 1.0)
    if not math.isnan(a):
        with expect.raises(ValueError, "0.25"):
            sgd_covariance(np.diag([1.0, a]), np.eye(2), 0.25)


def test_matrices_that_do_not_fit_are_refused():
    with expect.raises(ValueError, "(2, 3)", "(2, 2)"):
        sgd_covariance(np.zeros((2, 3)), np.eye(2), 0.1)
    with expect.raises(ValueError, "(2, 2)", "(3, 3)"):
        sgd_covariance(np.eye(2), np.eye(3), 0.1)
    for scale in (1e-20, 1.0, 1e20):
        for low in (0.0, 0.499999999):
            with expect.raises(ValueError):
                sgd_covariance(scale * np.array([[1.0, 0.5], [low, 1.0]]), np.eye(2), 0.1 / scale)
    got = sgd_covariance(1e20 * np.array([[1.0, 0.3], [0.1 + 0.2, 1.0]]), np.eye(2), 1e-21) * 1e40
    both, apart = (0.1 / (a * (2 - 0.1 * a)) for a in (1.3, 0.7))  # along (1, 1) and (1, -1)
    want = np.array([[both + apart, both - apart], [both - apart, both + apart]]) / 2
    expect.close(got, want, "the covariance for an A that is symmetric up to rounding", rtol=1e-9)


def test_ensembles_that_do_not_exist_are_refused():
    with expect.raises(ValueError, "1.0", "0.5"):
        free_energy(double_well, 1.0, 0.5, 1.0)
    with expect.raises(ValueError, "0.5"):
        free_energy(double_well, 0.5, 0.5, 1.0)
    for T in (-0.5, math.nan):
        with expect.raises(ValueError, str(T)):
            free_energy(double_well, 0.0, 1.0, T)
    with expect.raises(ValueError, "0.0"):
        occupancy(double_well, [0.0, 1.0], 0.0)
    with expect.raises(ValueError, "-2.0", "-1.0"):
        kramers_rate(-2.0, -1.0, 0.25, 0.5)
    with expect.raises(ValueError, "2.0", "1.5"):
        kramers_rate(2.0, 1.5, 0.25, 0.5)
    with expect.raises(ValueError, "0.0", "-1.0"):
        kramers_rate(0.0, -1.0, 0.25, 0.5)
    for T in (0.0, -0.5, math.nan):
        with expect.raises(ValueError, str(T)):
            kramers_rate(2.0, -1.0, 0.25, T)
