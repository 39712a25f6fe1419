"""Kicks and drifts: against loops and exact motions, with order, area, reversal and conserved energies."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.symplectic import (
    SCHEMES,
    Path,
    Scheme,
    energies,
    explicit_euler,
    integrate,
    modified_energy,
    stability_limit,
    step_matrix,
    triple_jump,
)

SYMMETRIC = ["leapfrog", "position_leapfrog"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pull(q):
    return -np.sin(q)


def spring(omega):
    return lambda q: -(omega**2) * q


# One loop


def test_a_step_is_its_kicks_and_drifts_in_turn(rng):
    scheme = Scheme((0.3, 0.5, 0.0, 0.2), (0.0, 0.7, -0.4, 0.7), 1)
    q, p, h = rng.standard_normal((2, 3)), rng.standard_normal((2, 3)), 0.2
    qs, ps = [q], [p]
    for _ in range(3):
        at, speed = qs[-1], ps[-1]
        for kick, drift in ((0.3, 0.0), (0.5, 0.7), (0.0, -0.4), (0.2, 0.7)):
            speed = speed + kick * h * pull(at)
            at = at + drift * h * speed
        qs.append(at)
        ps.append(speed)
    with expect.unchanged(q, p):
        path = integrate(scheme, pull, q, p, h, 3)
    expect.close(path.q, np.stack(qs), "positions of three steps of four kicks and drifts", rtol=1e-12)
    expect.close(path.p, np.stack(ps), "momenta of three steps of four kicks and drifts", rtol=1e-12)


def test_eulers_method_moves_both_at_once(rng):
    q, p = rng.standard_normal(3), rng.standard_normal(3)
    with expect.unchanged(q, p):
        path = explicit_euler(pull, q, p, 0.1, 2)
    q1, p1 = q + 0.1 * p, p + 0.1 * pull(q)
    expect.close(path.q, np.stack([q, q1, q1 + 0.1 * p1]), "positions of two steps of Euler")
    expect.close(path.p, np.stack([p, p1, p1 + 0.1 * pull(q1)]), "momenta of two steps of Euler")


def test_no_steps_give_the_start_alone():
    for path in (explicit_euler(pull, 1, 2, 0.1, 0), integrate(SCHEMES["leapfrog"], pull, 1, 2, 0.1, 0)):
        expect.close(path.q, np.array([1.0]), "positions of the path of 0 steps")
        expect.close(path.p, np.array([2.0]), "momenta of the path of 0 steps")


def test_friction_damps_the_momentum_around_each_step():
    """Without a force p decays exactly, and q goes on with the momentum of the middle."""
    damp = math.exp(-0.5 * 0.2)
    path = integrate(SCHEMES["leapfrog"], lambda q: 0 * q, [1.0], [2.0], 0.2, 3, friction=0.5)
    want_p = 2 * damp ** np.arange(4)
    want_q = 1 + np.cumsum([0, *(0.2 * 2 * damp ** (np.arange(3) + 0.5))])
    expect.close(path.p[:, 0], want_p, "momentum under friction alone")
    expect.close(path.q[:, 0], want_q, "position under friction alone")


@pytest.mark.parametrize(
    ("name", "calls"), [("kick_drift", 7), ("drift_kick", 7), ("leapfrog", 8), ("position_leapfrog", 7)]
)
def test_the_force_is_computed_once_at_each_place(name, calls):
    seen = []
    path = integrate(SCHEMES[name], lambda q: seen.append(q) or -q, [1.0], [0.0], 0.1, 7)
    expect.close(path.q[-1], np.array([math.cos(0.7)]), f"cos(0.7) by {name}", rtol=0.1)
    expect.equal(len(seen), calls, f"calls of the force in 7 steps of {name}")


# Accuracy


def oscillation(friction, t):
    """q'' = -4 q - friction q' from q = 1, p = 0."""
    w, g = math.sqrt(4 - friction**2 / 4), friction / 2
    q = math.exp(-g * t) * (math.cos(w * t) + g / w * math.sin(w * t))
    return np.array([q, -4 / w * math.exp(-g * t) * math.sin(w * t)])


@pytest.mark.parametrize(
    ("name", "friction", "order"),
    [
        ("kick_drift", 0.0, 1),
        ("drift_kick", 0.0, 1),
        ("leapfrog", 0.0, 2),
        ("position_leapfrog", 0.0, 2),
        ("leapfrog", 0.6, 2),
        ("position_leapfrog", 0.6, 2),
    ],
)
def test_the_error_falls_with_the_order_of_the_scheme(name, friction, order):
    errors = []
    for n in (40, 80):
        path = integrate(SCHEMES[name], spring(2.0), [1.0], [0.0], 1.5 / n, n, friction)
        end = np.array([path.q[-1, 0], path.p[-1, 0]])
        errors.append(float(np.abs(end - oscillation(friction, 1.5)).max()))
    slope = math.log2(errors[0] / errors[1])
    expect.true(
        abs(slope - order) < 0.15,
        f"the error of {name} with friction {friction} falls as h^{slope:.2f}, expected h^{order}: {errors}",
    )


def end_of(scheme, n):
    """The pendulum after a time 2."""
    path = integrate(scheme, pull, [1.0], [0.5], 2.0 / n, n)
    return np.array([path.q[-1, 0], path.p[-1, 0]])


def test_a_triple_jump_gains_two_orders():
    for name in SYMMETRIC:
        four = triple_jump(SCHEMES[name])
        expect.equal(four.order, 4, f"the order of the triple jump of {name}")
        expect.close(float(sum(four.kicks)), 1.0, f"the sum of the kicks of the triple jump of {name}")
        expect.close(float(sum(four.drifts)), 1.0, f"the sum of the drifts of the triple jump of {name}")
        six = triple_jump(four)
        expect.equal(six.order, 6, f"the order of the triple jump of the triple jump of {name}")
        exact = end_of(six, 128)
        for scheme, coarse in ((four, 16), (six, 12)):
            errors = [float(np.abs(end_of(scheme, n) - exact).max()) for n in (coarse, 2 * coarse)]
            slope = math.log2(errors[0] / errors[1])
            expect.true(
                abs(slope - scheme.order) < 0.5,
                f"order {slope:.2f}, expected {scheme.order} from {name}: errors {errors}",
            )


# Geometry


def test_the_step_matrix_of_a_spring():
    """Written out for omega = 2, h = 0.1: h omega^2 = 0.4, h^2 omega^2 = 0.04."""
    want = np.array([[0.96, 0.1], [-0.4, 1.0]])
    expect.close(step_matrix(SCHEMES["kick_drift"], 2.0, 0.1), want, "M of kick and drift")
    want = np.array([[1.0, 0.1], [-0.4, 0.96]])
    expect.close(step_matrix(SCHEMES["drift_kick"], 2.0, 0.1), want, "M of drift and kick")
    want = np.array([[0.98, 0.1], [-0.4 * 0.99, 0.98]])
    expect.close(step_matrix(SCHEMES["leapfrog"], 2.0, 0.1), want, "M of leapfrog")
    want = np.array([[0.98, 0.099], [-0.4, 0.98]])
    expect.close(step_matrix(SCHEMES["position_leapfrog"], 2.0, 0.1), want, "M of leapfrog in positions")


@pytest.mark.parametrize("name", SCHEMES)
def test_areas_are_preserved_but_for_friction(name):
    for omega, h, friction in ((1.0, 0.3, 0.0), (5.0, 0.7, 0.0), (2.0, 0.4, 0.9), (2.0, -0.4, 0.9)):
        (a, b), (c, d) = step_matrix(SCHEMES[name], omega, h, friction)
        want = math.exp(-friction * h)
        what = f"det M of {name} with omega {omega}, h {h}, friction {friction}"
        expect.close(float(a * d - b * c), want, what, rtol=1e-10)
    half = np.diag([1.0, math.exp(-0.9 * 0.4 / 2)])
    want = half @ step_matrix(SCHEMES[name], 2.0, 0.4) @ half
    expect.close(step_matrix(SCHEMES[name], 2.0, 0.4, 0.9), want, f"M of {name} with friction at both ends")


def test_euler_gains_energy_at_a_known_rate():
    path = explicit_euler(spring(3.0), [0.5], [1.0], 0.1, 20)
    found = energies(lambda q: 4.5 * float(q @ q), path)
    want = (0.5 + 4.5 * 0.25) * (1 + 0.09 * 1.0) ** np.arange(21)
    expect.close(found, want, "the energy of a spring by Euler, (1 + h^2 omega^2)^k", rtol=1e-11)


def test_energy_sums_over_all_elements(rng):
    q, p = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 2, 3))
    want = [0.5 * float((p[k] ** 2).sum()) + float(np.cos(q[k]).sum()) for k in range(4)]
    with expect.unchanged(q, p):
        got = energies(lambda q: np.sum(np.cos(q)), Path(q, p))
    expect.close(got, np.array(want), "the energies of four points of shape (2, 3)")


MODIFIED = {
    "kick_drift": lambda q, p, w, h: p**2 / 2 + w**2 * q**2 / 2 - h / 2 * w**2 * q * p,
    "drift_kick": lambda q, p, w, h: p**2 / 2 + w**2 * q**2 / 2 + h / 2 * w**2 * q * p,
    "leapfrog": lambda q, p, w, h: p**2 / 2 + (1 - h**2 * w**2 / 4) * w**2 * q**2 / 2,
    "position_leapfrog": lambda q, p, w, h: (1 - h**2 * w**2 / 4) * p**2 / 2 + w**2 * q**2 / 2,
}


@pytest.mark.parametrize("name", MODIFIED)
def test_the_modified_energy_is_conserved_to_the_last_digit(name, rng):
    omega, h = 1.7, 0.6
    matrix = step_matrix(SCHEMES[name], omega, h)
    q, p = rng.standard_normal(5), rng.standard_normal(5)
    want = MODIFIED[name](q, p, omega, h)
    expect.close(modified_energy(matrix, h, q, p), want, f"the modified energy of {name}", rtol=1e-11)
    path = integrate(SCHEMES[name], spring(omega), q, p, h, 500)
    last = modified_energy(matrix, h, path.q[-1], path.p[-1])
    expect.close(last, want, f"the modified energy of {name} after 500 steps", rtol=1e-10)


def test_the_modified_energy_of_a_rotation_is_the_energy():
    """M = a turn by h: -(z x Mz) / 2h = sin(h) / h (q^2 + p^2) / 2, forward and back."""
    for h in (0.4, -0.4):
        turn = (1 + 1e-11) * np.array([[math.cos(h), math.sin(h)], [-math.sin(h), math.cos(h)]])
        got = modified_energy(turn, h, 3.0, 4.0)
        what = f"the modified energy of a turn by {h} at (3, 4), up to rounding"
        expect.close(float(got), 12.5 * math.sin(h) / h, what, rtol=1e-9)


@pytest.mark.parametrize("name", SCHEMES)
def test_the_energy_of_a_pendulum_stays_near(name):
    """For 200 units of time, about 30 swings: it goes up and down a little, and does not drift."""
    q, p, h = [1.0], [0.0], 0.1
    potential = lambda q: 1 - math.cos(float(q[0]))  # noqa: E731
    path = integrate(SCHEMES[name], pull, q, p, h, 2000)
    found = energies(potential, path)
    bound = 0.06 if SCHEMES[name].order == 1 else 0.002
    worst = float(np.abs(found - (1 - math.cos(1.0))).max())
    expect.true(0 < worst < bound, f"the energy of {name} is off by {worst:.3g}, expected less than {bound}")
    late, early = float(found[-400:].mean()), float(found[:400].mean())
    expect.true(abs(late - early) < bound / 20, f"the mean energy drifts from {early:.6g} to {late:.6g}")


@pytest.mark.parametrize("friction", [0.0, 0.4])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_schemes_undo_their_steps(name, friction, rng):
    q, p = rng.standard_normal(3), rng.standard_normal(3)
    there = integrate(SCHEMES[name], pull, q, p, 0.3, 40, friction)
    moved = float(np.abs(there.q[-1] - q).max())
    expect.true(moved > 0.1, f"q moved by {moved:.3g} in 40 steps, expected more than 0.1")
    back = integrate(SCHEMES[name], pull, there.q[-1], there.p[-1], -0.3, 40, friction)
    expect.close(back.q[-1], q, f"q after 40 steps of {name} and 40 back", rtol=1e-8)
    expect.close(back.p[-1], p, f"p after 40 steps of {name} and 40 back", rtol=1e-8)


def test_where_springs_stop_being_stable():
    for name, scheme in SCHEMES.items():
        expect.close(float(stability_limit(scheme)), 2.0, f"the limit of {name}", rtol=1e-6)
    four = triple_jump(SCHEMES["leapfrog"])
    expect.close(
        float(stability_limit(four)), 1.5734019, "the limit of the triple jump of leapfrog", rtol=1e-6
    )
    uneven = Scheme((0.2, 0.8), (0.4, 0.6), 1)  # of trace 2 - x^2 + 0.0384 x^4, stable again at x = 5
    want = math.sqrt((1 - math.sqrt(1 - 16 * 0.0384)) / (2 * 0.0384))
    expect.close(float(stability_limit(uneven)), want, "the first limit of two uneven moves", rtol=1e-6)
    for x, bounded in ((1.99, True), (2.01, False)):
        path = integrate(SCHEMES["leapfrog"], spring(x), [1.0], [0.0], 1.0, 300)
        largest = float(np.abs(path.q).max())
        expect.equal(
            largest < 50, bounded, f"bounded for 300 steps at h omega = {x}, largest |q| {largest:.3g}"
        )


# Errors


def test_positions_and_momenta_must_match():
    with expect.raises(ValueError, "(3,)", "(2,)"):
        integrate(SCHEMES["leapfrog"], pull, np.zeros(3), np.zeros(2), 0.1, 1)
    with expect.raises(ValueError, "(3,)", "(2,)"):
        explicit_euler(pull, np.zeros(3), np.zeros(2), 0.1, 1)
    with expect.raises(ValueError, "(1,)", "(2,)"):  # they would broadcast
        integrate(SCHEMES["leapfrog"], pull, np.zeros(2), np.zeros(1), 0.1, 1)
    with expect.raises(ValueError, "-2"):
        integrate(SCHEMES["leapfrog"], pull, np.zeros(3), np.zeros(3), 0.1, -2)
    with expect.raises(ValueError, "-2"):
        explicit_euler(pull, np.zeros(3), np.zeros(3), 0.1, -2)


def test_what_has_no_such_structure_is_refused():
    with expect.raises(ValueError, "1"):
        triple_jump(SCHEMES["kick_drift"])
    for det in ("2.0", "0.5", "-1.0", "1.0001", "0.9999"):
        with expect.raises(ValueError, det):
            modified_energy([[float(det), 0.0], [0.0, 1.0]], 0.1, 1.0, 1.0)
