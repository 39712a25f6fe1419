"""Rate networks: unit by unit, against exponentials, spectra, and equations that must fulfil themselves."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.ode import odeint
from dynamics.neural.rate_networks import (
    WilsonCowan,
    bump_center,
    bump_shape,
    chaos_variance,
    classify,
    fixed_points,
    hopf,
    leaky,
    nullclines,
    random_weights,
    rate_field,
    rate_jacobian,
    ring_weights,
    time_constant,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def S(h):
    return 1 / (1 + math.exp(-h))


PHI = {
    "linear": (lambda h: h, lambda h: 1.0),
    "tanh": (math.tanh, lambda h: 1 - math.tanh(h) ** 2),
    "sigmoid": (S, lambda h: S(h) * S(-h)),
    "relu": (lambda h: max(h, 0.0), lambda h: float(h > 0)),
}


def slope(W, x, u, tau, phi, form):
    """One unit after the other."""
    f, D = PHI[phi][0], len(x)
    if form == "current":
        heard = [sum(W[i][j] * f(x[j]) for j in range(D)) + u[i] for i in range(D)]
    else:
        heard = [f(sum(W[i][j] * x[j] for j in range(D)) + u[i]) for i in range(D)]
    return np.array([(heard[i] - x[i]) / tau[i] for i in range(D)])


def expm(M):
    total = term = np.eye(len(M))
    for k in range(1, 20):
        term = term @ (M / 256) / k
        total = total + term
    for _ in range(8):
        total = total @ total
    return total


def pairs(n, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        w = rng.uniform(1, 16, 4)
        yield WilsonCowan(*w.tolist(), *rng.uniform(-6, 3, 2).tolist(), *rng.uniform(0.5, 2, 2).tolist())


def pair_slope(c, E, I):  # noqa: E741
    """The two equations of a Wilson-Cowan pair."""
    return np.array(
        [
            (S(c.w_ee * E - c.w_ei * I + c.u_e) - E) / c.tau_e,
            (S(c.w_ie * E - c.w_ii * I + c.u_i) - I) / c.tau_i,
        ]
    )


# One unit


@pytest.mark.parametrize("dt", [0.01, 0.7, 50.0])
def test_a_leaky_unit_forgets_exponentially(dt, rng):
    u, x, want = rng.standard_normal(6), 2.0, [2.0]
    for k in range(6):
        x = u[k] + (x - u[k]) * math.exp(-dt / 1.5)
        want.append(x)
    with expect.unchanged(u):
        got = leaky(u, dt, 1.5, 2.0)
    expect.close(got, np.array(want), f"a leaky unit in steps of {dt}", dtype=np.float64)


def test_many_leaky_units_run_side_by_side(rng):
    u, x0 = rng.standard_normal((4, 2, 3)), rng.standard_normal(3)
    got = leaky(u, 0.3, 0.5, x0)
    want = np.stack(
        [np.stack([leaky(u[:, i, j], 0.3, 0.5, x0[j]) for j in range(3)], axis=-1) for i in range(2)], axis=1
    )
    expect.close(got, want, "2 times 3 leaky units")
    expect.close(leaky([1, 1], math.log(2)), np.array([0.0, 0.5, 0.75]), "a unit with tau 1 from 0")
    expect.close(leaky([], 0.1, 1.0, 3), np.array([3.0]), "a unit without any input", dtype=np.float64)


def test_feedback_makes_a_unit_remember():
    for w, tau, want in [
        (0.0, 2.0, 2.0),
        (0.5, 3.0, 6.0),
        (-1.0, 1.0, 0.5),
        (0.99, 0.1, 10.0),
        (3.0, 1, -0.5),
    ]:
        expect.close(float(time_constant(w, tau)), want, f"the time constant for w = {w}, tau = {tau}")
    expect.equal(float(time_constant(1.0)), math.inf, "the time constant of an integrator")
    expect.equal(float(time_constant(1, 0.02)), math.inf, "the time constant of an integrator, tau = 0.02")
    expect.close(float(time_constant(0.75)), 4.0, "the time constant for w = 0.75, tau = 1")


# Networks


@pytest.mark.parametrize("phi", list(PHI))
@pytest.mark.parametrize("form", ["current", "rate"])
def test_the_slope_of_a_network_unit_by_unit(phi, form, rng):
    W, x, u = rng.standard_normal((3, 3)), rng.standard_normal((2, 3)), rng.standard_normal(3)
    tau = np.array([0.5, 1.0, 3.0])
    want = np.stack([slope(W, row, u, tau, phi, form) for row in x])
    with expect.unchanged(W, x, u, tau):
        f = rate_field(W, u, tau, phi=phi, form=form)
        got = f(0.0, x)
    expect.close(got, want, f"the slopes of {phi}, {form}", dtype=np.float64)
    expect.close(f(0.0, x[0]), want[0], f"the slope of {phi}, {form}, at one state")
    got = rate_field(W.tolist(), 0.3, 2.0, phi=phi, form=form)(0.0, x[0])
    want = slope(W, x[0], [0.3] * 3, [2.0] * 3, phi, form)
    expect.close(got, want, f"the slope of {phi}, {form}, one input and one tau for all")


@pytest.mark.parametrize("form", ["current", "rate"])
def test_an_input_may_change_in_time(form, rng):
    W, x, u = rng.standard_normal((2, 2)), rng.standard_normal(2), rng.standard_normal(2)
    got = rate_field(W, lambda t: t * u, form=form)(3.0, x)
    want = slope(W, x, 3 * u, [1.0, 1.0], "tanh", form)
    expect.close(got, want, f"the slope at t = 3 of the default tanh, {form}")
    default = rate_field(W)(0.0, x)
    expect.close(default, slope(W, x, [0, 0], [1, 1], "tanh", "current"), "the slope with the defaults")


def test_a_linear_network_follows_the_exponential_of_its_jacobian(rng):
    W, x, tau = 0.6 * rng.standard_normal((3, 3)), rng.standard_normal(3), np.array([0.5, 1.0, 2.0])
    ys = odeint(rate_field(W, 0.0, tau, phi="linear"), x, [0.0, 2.0], "rk4", substeps=60).ys
    J = rate_jacobian(W, np.zeros(3), 0.0, tau, phi="linear")
    expect.close(J, (W - np.eye(3)) / tau[:, None], "the Jacobian of a linear network")
    expect.close(ys[-1], expm(2 * J) @ x, "a linear network at t = 2", rtol=1e-6)


def test_the_currents_of_a_rate_network_are_a_current_network(rng):
    """x = W r + u: dx/dt = W dr/dt."""
    W, r, u = rng.standard_normal((4, 4)), rng.standard_normal(4), rng.standard_normal(4)
    inside = rate_field(W, u, 1.7, phi="tanh", form="rate")(0.0, r)
    outside = rate_field(W, u, 1.7, phi="tanh", form="current")(0.0, W @ r + u)
    expect.close(outside, W @ inside, "the slope of x = W r + u")


@pytest.mark.parametrize("phi", list(PHI))
@pytest.mark.parametrize("form", ["current", "rate"])
def test_the_jacobian_is_the_derivative_of_each_slope_by_each_unit(phi, form, rng):
    W, x, u = rng.standard_normal((3, 3)), rng.standard_normal(3), rng.standard_normal(3)
    tau, d = np.array([0.5, 1.0, 3.0]), PHI[phi][1]
    h = W @ x + u
    want = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            gain = d(x[j]) if form == "current" else d(h[i])
            want[i, j] = (W[i, j] * gain - (i == j)) / tau[i]
    with expect.unchanged(W, x, u, tau):
        J = rate_jacobian(W, x, u, tau, phi=phi, form=form)
    expect.close(J, want, f"the Jacobian of {phi}, {form}", dtype=np.float64)
    one = rate_jacobian(W.tolist(), x.tolist(), u.tolist(), 2.0, phi=phi, form=form)
    expect.close(one, want * tau[:, None] / 2, f"the Jacobian of {phi}, {form}, one tau for all")
    default = rate_jacobian(W, x)
    gains = np.array([1 - math.tanh(a) ** 2 for a in x])
    expect.close(default, W * gains - np.eye(3), "the Jacobian with the defaults")
    gains = np.array([1 - math.tanh(a) ** 2 for a in W @ x])
    default = rate_jacobian(W, x, form="rate")
    expect.close(default, gains[:, None] * W - np.eye(3), "the Jacobian of rates without input")


# Wilson-Cowan


@pytest.mark.parametrize("c", list(pairs(3)))
def test_on_a_nullcline_one_population_rests(c):
    s = np.array([[0.02, 0.3], [0.6, 0.97]])
    with expect.unchanged(s):
        I, E = nullclines(c, s)  # noqa: E741
    for k in np.ndindex(2, 2):
        slope_e = pair_slope(c, s[k], I[k])[0]
        slope_i = pair_slope(c, E[k], s[k])[1]
        expect.true(abs(slope_e) < 1e-12, f"E' = {slope_e:.3g} at E = {s[k]}, I = {I[k]:.4f}, expected 0")
        expect.true(abs(slope_i) < 1e-12, f"I' = {slope_i:.3g} at I = {s[k]}, E = {E[k]:.4f}, expected 0")
    expect.true(np.shape(I) == (2, 2), f"a nullcline at s of shape (2, 2) has shape {np.shape(I)}")


def test_a_pair_rests_where_its_nullclines_cross():
    """Found once more along the other nullcline, I' = 0, on a fine grid of the drive of I."""
    numbers = set()
    for c in [
        *pairs(8, 1),
        WilsonCowan(12, 4, 13, 11, -1.5, -4),
        WilsonCowan(38, 21, 39, 0, -8.4, -19.5),
        WilsonCowan(14, 4, 24, 0, -4.5, -16),
    ]:
        h = np.linspace(c.u_i - c.w_ii, c.u_i + c.w_ie, 100_001)
        I = 1 / (1 + np.exp(-h))  # noqa: E741
        E = (c.w_ii * I - c.u_i + h) / c.w_ie
        gap = 1 / (1 + np.exp(-(c.w_ee * E - c.w_ei * I + c.u_e))) - E
        at = np.flatnonzero(np.sign(gap[1:]) != np.sign(gap[:-1]))
        want = np.stack([E[at], I[at]], axis=1)
        want = want[np.argsort(want[:, 0])]
        found = fixed_points(c)
        expect.true(
            np.shape(found) == want.shape, f"{len(found)} fixed points of {c}, expected near {want.tolist()}"
        )
        expect.close(found, want, f"the fixed points of {c}", rtol=0, atol=1e-3)
        for E_, I_ in np.asarray(found):
            rest = float(np.max(np.abs(pair_slope(c, E_, I_))))
            expect.true(rest < 1e-10, f"at the fixed point ({E_}, {I_}) of {c} the slope is {rest:.3g}")
        numbers.add(len(want))
    expect.true({1, 3, 5} <= numbers, f"numbers of fixed points: {numbers}, expected 1, 3 and 5 among them")


def test_few_cells_still_see_one_fixed_point():
    """The sign at both ends is known: even one cell holds a change."""
    c = WilsonCowan(10, 10, 10, 2, 0, -4)
    expect.close(fixed_points(c, 1), np.array([[0.5, 0.5]]), "the fixed point, one cell", rtol=1e-9)
    expect.close(fixed_points(c), np.array([[0.5, 0.5]]), "the fixed point of the symmetric pair", rtol=1e-9)
    bistable = WilsonCowan(20, 1, 1, 0, -9.5, -3)
    numbers = [len(fixed_points(bistable, 1)), len(fixed_points(bistable))]
    expect.equal(numbers, [1, 3], "numbers of fixed points seen by one cell, and by 2000")
    with expect.raises(ValueError, "0"):
        fixed_points(c, 0)


@pytest.mark.parametrize(
    ("J", "name"),
    [
        ([[1, 0], [0, -2]], "saddle"),
        ([[-1, 0], [0, 2]], "saddle"),
        ([[0, 1], [1, 0]], "saddle"),
        ([[-1, 0], [0, -2]], "stable node"),
        ([[-1, 0], [0, -1]], "stable node"),
        ([[-1, 3], [-3, -1]], "stable focus"),
        ([[1, 0.5], [0.5, 2]], "unstable node"),
        ([[1, 3], [-3, 0.5]], "unstable focus"),
        ([[-1e-6, 0], [0, -2e-6]], "stable node"),
        ([[1e-6, 3e-6], [-3e-6, 1e-6]], "unstable focus"),
        ([[0, 1], [-1, 0]], "marginal"),
        ([[-1, 0], [0, 0]], "marginal"),
        ([[1, 1], [1, 1]], "marginal"),
    ],
)
def test_a_fixed_point_is_named_by_its_eigenvalues(J, name):
    expect.equal(classify(J), name, f"the kind of {J}")


def test_random_fixed_points_are_named_by_their_eigenvalues(rng):
    for _ in range(40):
        J = rng.standard_normal((2, 2))
        a, b = np.linalg.eigvals(J)
        turns = abs(a.imag) > 0
        name = "focus" if turns else "node"
        want = ("stable " if a.real < 0 else "unstable ") + name if turns or a.real * b.real > 0 else "saddle"
        expect.equal(classify(J), want, f"the kind of a matrix with eigenvalues {a:.3f}, {b:.3f}")


def test_slow_inhibition_makes_a_pair_oscillate():
    """w_ee s = 2.5, w_ii s = 0.5 at (1/2, 1/2): tau_i = 1.5 / 1.5, det = 6.25 - 2.25 = 4."""
    c = WilsonCowan(10, 10, 10, 2, 0, -4)
    found = hopf(c, [0.5, 0.5])
    expect.close(np.array(found), np.array([1.0, math.pi]), "tau_i and the period of the symmetric pair")
    slow = hopf(WilsonCowan(10, 10, 10, 2, 0, -4, 3.0, 0.2), [0.5, 0.5])
    expect.close(np.array(slow), np.array([3.0, 3 * math.pi]), "tau_i and the period with tau_e = 3")
    expect.equal(hopf(WilsonCowan(4, 10, 10, 2), [0.5, 0.5]), None, "a Hopf point with w_ee s_e = 1")
    expect.equal(hopf(WilsonCowan(8, 4, 8, 4), [0.5, 0.5]), None, "a Hopf point with det = 0")


def test_at_the_hopf_point_the_eigenvalues_are_imaginary(rng):
    """Pairs made to rest at a random point; strong excitation, so that all three cases occur."""
    seen = {"Hopf": 0, "weak": 0, "saddle": 0}
    for _ in range(40):
        E, I = rng.uniform(0.1, 0.9, 2).tolist()  # noqa: E741
        w_ee, w_ei, w_ie, w_ii = rng.uniform([1, 2, 2, 0], [16, 16, 16, 4]).tolist()
        u_e = math.log(E / (1 - E)) - w_ee * E + w_ei * I
        u_i = math.log(I / (1 - I)) - w_ie * E + w_ii * I
        c = WilsonCowan(w_ee, w_ei, w_ie, w_ii, u_e, u_i, *rng.uniform(0.3, 3, 2).tolist())
        s_e, s_i = E * (1 - E), I * (1 - I)
        found = hopf(c, [E, I])
        weak = w_ee * s_e <= 1
        if weak or w_ei * w_ie * s_e * s_i <= (w_ee * s_e - 1) * (1 + w_ii * s_i):
            expect.equal(found, None, f"a Hopf point of {c} at E = {E}, I = {I}")
            seen["weak" if weak else "saddle"] += 1
            continue
        expect.true(found is not None, f"{c} has a Hopf point at E = {E}, I = {I}, hopf returned None")
        tau_i, period = found
        J = np.array(
            [
                [(w_ee * s_e - 1) / c.tau_e, -w_ei * s_e / c.tau_e],
                [w_ie * s_i / tau_i, (-w_ii * s_i - 1) / tau_i],
            ]
        )
        values = np.linalg.eigvals(J)
        omega = 2 * math.pi / period
        expect.close(np.abs(values.imag), np.full(2, omega), f"frequencies of {c}", rtol=1e-8)
        expect.close(values.real / omega, np.zeros(2), f"growth rates of {c}", atol=1e-8)
        seen["Hopf"] += 1
    expect.true(min(seen.values()) >= 5, f"cases among 40 pairs: {seen}, expected at least 5 of each")


def test_a_pair_rests_on_one_side_of_the_hopf_point_and_cycles_on_the_other():
    spread = []
    for tau_i in (0.8, 1.25):
        c = WilsonCowan(10, 10, 10, 2, 0, -4, 1.0, tau_i)
        f = rate_field(c.W, c.u, c.tau, phi="sigmoid", form="rate")
        ys = odeint(f, [0.5, 0.6], np.linspace(0, 60, 241), "rk4", substeps=2).ys[160:]
        spread.append(float(np.ptp(ys[:, 0])))
        J = rate_jacobian(c.W, [0.5, 0.5], c.u, c.tau, phi="sigmoid", form="rate")
        kind = "stable focus" if tau_i < 1 else "unstable focus"
        expect.equal(classify(J), kind, f"the fixed point for tau_i = {tau_i}")
    expect.true(
        spread[0] < 0.01 < 0.3 < spread[1] < 1, f"swings of E below and above the Hopf point: {spread}"
    )


# The ring


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_units_on_a_ring_are_connected_by_their_angle(shift):
    N, j0, j1 = 7, -1.3, 2.5
    want = np.zeros((N, N))
    for i in range(N):
        for j in range(N):
            d = 2 * math.pi * (i - j) / N
            want[i, j] = (j0 + j1 * (math.cos(d) + shift * math.sin(d))) / N
    expect.close(ring_weights(N, j0, j1, shift), want, f"weights of a ring, shift {shift}", atol=1e-15)
    expect.close(ring_weights(N, j0, j1), ring_weights(N, j0, j1, 0.0), "weights without shift")
    three = np.array([[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]])
    expect.close(ring_weights(3, 0.0, 3.0), three, "weights of a ring of three", atol=1e-15)


def test_a_ring_has_three_eigenvalues():
    W = np.asarray(ring_weights(32, -1.0, 2.5))
    values = np.sort(np.linalg.eigvalsh(W))
    want = np.concatenate([[-1.0], np.zeros(29), [1.25, 1.25]])
    expect.close(values, want, "eigenvalues of a ring, j0 = -1, j1 = 2.5", atol=1e-12)


@pytest.mark.parametrize(
    ("j0", "j1", "u"), [(-1.0, 3.0, 1.0), (0.0, 2.2, 0.5), (-4.0, 8.0, 2.0), (0.3, 2.1, 1)]
)
def test_a_bump_makes_itself(j0, j1, u):
    """Sum its rates over a fine ring: the currents must be the bump again."""
    amplitude, width = bump_shape(j0, j1, u)
    theta = 2 * np.pi / 20_000 * np.arange(20_000)
    x = amplitude * (np.cos(theta) - math.cos(width))
    r = np.maximum(x, 0)
    again = u + j0 * r.mean() + j1 * np.cos(theta) * np.mean(r * np.cos(theta))
    expect.close(again, x, f"the currents that the bump for j0 = {j0}, j1 = {j1}, u = {u} makes", rtol=1e-6)
    expect.true(0 < width < math.pi and amplitude > 0, f"amplitude {amplitude}, half width {width}")
    default = bump_shape(j0, j1)
    expect.close(np.array(default), np.array([amplitude / u, width]), "the bump for the input 1", rtol=1e-9)


def test_a_bump_stays_where_it_is_and_moves_where_it_is_pushed():
    """tau x' is 0 without shift, and with it what turns the bump: shift times A sin(theta - center)."""
    N, tau, center = 500, 0.3, 1.1
    amplitude, width = bump_shape(-1.0, 3.0)
    theta = 2 * np.pi / N * np.arange(N)
    x = amplitude * (np.cos(theta - center) - math.cos(width))
    for shift in (0.0, 0.2, -0.5):
        f = rate_field(ring_weights(N, -1.0, 3.0, shift), 1.0, tau, phi="relu")
        want = shift / tau * amplitude * np.sin(theta - center)
        expect.close(f(0.0, x), want, f"the slope of a bump, shift {shift}", rtol=1e-3, atol=1e-3)


def test_the_center_of_a_bump_is_an_angle(rng):
    N = 16
    theta = 2 * np.pi / N * np.arange(N)
    centers = np.array([[0.3, 1.0, 3.0], [4.0, 5.5, 6.2]])
    r = np.maximum(np.cos(theta - centers[..., None]), -2) + 1.5
    expect.close(bump_center(r), centers, "the centers of six bumps", rtol=1e-10)
    expect.close(float(bump_center(r[1, 2])), 6.2, "the center of one bump", rtol=1e-10)
    odd = rng.uniform(0, 1, 5)
    angle = math.atan2(
        sum(a * math.sin(2 * math.pi * k / 5) for k, a in enumerate(odd)),
        sum(a * math.cos(2 * math.pi * k / 5) for k, a in enumerate(odd)),
    )
    expect.close(float(bump_center(odd)), angle % (2 * math.pi), "the center of five rates", rtol=1e-10)
    for k in range(N):
        found = float(bump_center(np.roll(np.cos(theta) + 1, k)))
        off = abs((found - theta[k] + math.pi) % (2 * math.pi) - math.pi)
        expect.true(
            off < 1e-9 and 0 <= found < 2 * math.pi,
            f"a bump at {theta[k]} was found at {found}, in [0, 2 pi)",
        )


# Random networks


def test_random_weights_have_the_variance_of_the_disc(rng):
    """250,000 normal numbers: mean, variance, and fourth moment within 5 standard errors."""
    N, g = 500, 1.4
    W = np.asarray(random_weights(N, g, rng=rng))
    expect.true(W.shape == (N, N), f"W has shape {W.shape}, expected {(N, N)}")
    z = W.ravel() * math.sqrt(N) / g
    n = z.size
    for name, power, want, spread in (("mean", 1, 0, 1), ("variance", 2, 1, 2), ("fourth moment", 4, 3, 96)):
        got = float(np.mean(z**power))
        expect.true(
            abs(got - want) < 5 * math.sqrt(spread / n),
            f"the {name} of W sqrt(N) / g is {got:.4f}, expected {want}",
        )
    both = float(np.mean(z.reshape(N, N) * z.reshape(N, N).T - np.diag(np.diag(z.reshape(N, N)) ** 2)))
    expect.true(abs(both) < 0.02, f"W_ij and W_ji correlate with {both:.3f}, expected 0")
    again = random_weights(N, g, rng=np.random.default_rng(0))
    expect.close(again, W, "the weights of a second generator with the same seed")


def test_random_networks_die_out_below_one_and_stay_active_above():
    rms = []
    for g in (0.7, 2.0):
        rng = np.random.default_rng(3)
        f = rate_field(random_weights(200, g, rng=rng))
        ys = odeint(f, rng.standard_normal(200), np.linspace(0, 60, 61), "rk4", substeps=4).ys[30:]
        rms.append(float(np.sqrt(np.mean(ys**2))))
    expect.true(rms[0] < 1e-2 < 0.8 < rms[1] < 2, f"root mean squares for g = 0.7 and 2: {rms}")


@pytest.mark.parametrize("g", [1.001, 1.01, 1.2, 1.5, 2.0, 3.0])
def test_the_variance_of_chaos_conserves_the_energy_of_its_correlation(g):
    """v^2 / 2 = g^2 var(log cosh x), x normal of variance v, by Gauss-Hermite quadrature."""
    v = float(chaos_variance(g))
    expect.true(0 < v < g * g, f"variance {v} for g = {g}, expected between 0 and g^2")
    z, w = np.polynomial.hermite_e.hermegauss(150)
    w = w / w.sum()
    x = math.sqrt(v) * np.abs(z)
    small = x**2 / 2 - x**4 / 12 + x**6 / 45 - 17 * x**8 / 2520
    phi = np.where(x < 0.05, small, x + np.log1p(np.exp(-2 * x)) - math.log(2))
    variance = float(w @ (phi - w @ phi) ** 2)
    expect.close(2 * g * g * variance / (v * v), 1.0, f"the ratio of both energies, g = {g}", rtol=1e-6)


def test_chaos_begins_at_one():
    """Near g = 1 + e the variance is e; where Phi is nearly |x|, v^2 / 2 = g^2 v (1 - 2 / pi)."""
    for g in (0.0, 0.5, 1.0):
        expect.equal(float(chaos_variance(g)), 0.0, f"the variance for g = {g}")
    expect.close(float(chaos_variance(1.0001)) / 1e-4, 1.0, "the variance over g - 1, near 1", rtol=1e-2)
    ratio = float(chaos_variance(300.0)) / 300**2
    expect.close(ratio, 2 * (1 - 2 / math.pi), "v / g^2 for g = 300", rtol=2e-2)


# Errors


def test_units_and_networks_that_do_not_fit_are_refused():
    for wrong in (-0.5, 0.0, math.nan):
        for call in (
            lambda v: leaky([1.0], v),
            lambda v: leaky([1.0], 0.1, v),
            lambda v: time_constant(0.5, v),
        ):
            with expect.raises(ValueError, f"{wrong:g}"):
                call(wrong)
    with expect.raises(ValueError, "2.0"):
        leaky(2.0, 0.1)
    for function in (rate_field, lambda W, u=0.0, tau=1.0, **kw: rate_jacobian(W, [0.0, 0.0], u, tau, **kw)):
        with expect.raises(ValueError, "(2, 3)"):
            function(np.ones((2, 3)))
        with expect.raises(ValueError, "(2,)"):
            function(np.ones(2))
        with expect.raises(ValueError, "-2"):
            function(np.eye(2), 0.0, [1.0, -2.0])
        with expect.raises(ValueError, "0"):
            function(np.eye(2), 0.0, 0.0)
        with expect.raises(ValueError, "gelu"):
            function(np.eye(2), phi="gelu")
        with expect.raises(ValueError, "voltage"):
            function(np.eye(2), form="voltage")


def test_pairs_and_rings_that_cannot_be_are_refused():
    c = WilsonCowan(10, 10, 10, 2)
    for s in (0.0, 1.0, 1.5, math.nan):
        with expect.raises(ValueError, str(s)):
            nullclines(c, [0.5, s])
    for values, named in (
        ((-1, 1, 1, 0), "-1"),
        ((1, 0, 1, 0), "w_ei"),
        ((1, 1, math.nan, 0), "nan"),
        ((1, 1, 1, 0, 0, 0, 1, -3), "-3"),
    ):
        with expect.raises(ValueError, named):
            WilsonCowan(*values)
    with expect.raises(ValueError, "(3, 3)"):
        classify(np.eye(3))
    with expect.raises(ValueError, "2"):
        ring_weights(2, 0.0, 1.0)
    with expect.raises(ValueError, "2.0"):
        bump_shape(-1.0, 2.0)
    with expect.raises(ValueError, "-0.5"):
        bump_shape(-1.0, 3.0, -0.5)
    with expect.raises(ValueError, "0"):
        bump_shape(-1.0, 3.0, 0.0)
    for j0 in (0.9, math.nan):
        with expect.raises(ValueError, str(j0)):
            bump_shape(j0, 3.0)
    for g in (-0.5, math.nan):
        with expect.raises(ValueError, str(g)):
            chaos_variance(g)
