"""Momentum: each form against its formula, the exact relation between them, and the theory on a quadratic."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.momentum import (
    HeavyBall,
    Nesterov,
    contraction,
    look_ahead,
    look_ahead_step,
    look_back,
    polyak_optimum,
    switch_form,
    to_inside,
    to_outside,
)
from optimization.optimizers.optimizer import PIECE

KINDS = (HeavyBall, Nesterov)
FORMS = ("outside", "inside")
CASES = {
    f"{kind.__name__} {form}{', decay' if decay else ''}": (kind, {"form": form, "weight_decay": decay})
    for kind in KINDS
    for form in FORMS
    for decay in (0.0, 0.3)
}
every_case = pytest.mark.parametrize(("kind", "settings"), CASES.values(), ids=CASES.keys())
RATES = [0.1, 0.1, 0.02, 0.3, 0.0, 0.2]


def by_hand(kind, w, grads, rates, momentum=0.9, weight_decay=0.0, form="outside", v=0.0):
    """The formulas, one step at a time; returns the weights and the velocity."""
    w, v = w.copy(), v + np.zeros_like(w)
    for g, lr in zip(grads, rates, strict=True):
        g = g + weight_decay * w
        if form == "outside":
            v = momentum * v + g
            w = w - lr * (g + momentum * v if kind is Nesterov else v)
        else:
            v = momentum * v - lr * g
            w = w + (momentum * v - lr * g if kind is Nesterov else v)
    return w, v


def train(kind, w, grads, rates, **settings):
    """Steps with given gradients and rates; returns the optimizer and the parameter."""
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = kind([p], lr=rates[0], **settings)
    go_on(optimizer, p, grads, rates)
    return optimizer, p


def go_on(optimizer, p, grads, rates):
    for g, lr in zip(grads, rates, strict=True):
        optimizer.param_groups[0]["lr"] = lr
        p.grad = g.copy()
        optimizer.step()


def descend(kind, curvature, w, steps, **settings):
    """Steps on the quadratic with these curvatures and its minimum at 0; returns the weights."""
    p = Tensor(np.array(w, float), requires_grad=True)
    optimizer = kind([p], **settings)
    for _ in range(steps):
        p.grad = curvature * p.data
        optimizer.step()
    return p.data


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# The rules.


@every_case
def test_steps_follow_the_formula(rng, kind, settings):
    w, grads = rng.standard_normal((3, 2)), rng.standard_normal((6, 3, 2))
    optimizer, p = train(kind, w, grads, RATES, momentum=0.7, **settings)
    want, velocity = by_hand(kind, w, grads, RATES, momentum=0.7, **settings)
    expect.close(p.data, want, f"weights after 6 steps of {kind.__name__} with {settings}", rtol=1e-11)
    expect.close(
        optimizer.state[p]["velocity"], velocity, f"velocity of {kind.__name__} with {settings}", rtol=1e-11
    )


@every_case
def test_weights_larger_than_a_piece(rng, kind, settings):
    w, grads = rng.standard_normal(PIECE + 5), rng.standard_normal((2, PIECE + 5))
    _, p = train(kind, w, grads, [0.1, 0.1], **settings)
    want, _ = by_hand(kind, w, grads, [0.1, 0.1], **settings)
    expect.close(p.data, want, f"{PIECE + 5} weights after 2 steps", rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_that_are_not_in_c_order(rng, kind):
    w, grads = rng.standard_normal((2, 3)), [g.T for g in rng.standard_normal((2, 3, 2))]
    _, p = train(kind, w, grads, [0.1, 0.1])
    want, _ = by_hand(kind, w, grads, [0.1, 0.1])
    expect.close(p.data, want, "weights after 2 steps with transposed gradients", rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_are_momentum_0_9_outside_and_no_decay(rng, kind):
    w, grads = rng.standard_normal(4), rng.standard_normal((3, 4))
    rates = [0.1, 0.5, 0.2]
    _, p = train(kind, w, grads, rates)
    want, _ = by_hand(kind, w, grads, rates)
    expect.close(p.data, want, f"weights after 3 steps of {kind.__name__} by default", rtol=1e-11)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_without_momentum_it_is_gradient_descent(kind, form):
    _, p = train(kind, np.ones(2), [np.array([1.0, -2.0])] * 2, [0.1, 0.2], momentum=0.0, form=form)
    expect.close(p.data, np.array([0.7, 1.6]), "weights after steps of 0.1 and 0.2 along (1, -2)", rtol=1e-11)


# How the forms are related.


@pytest.mark.parametrize("kind", KINDS)
def test_at_a_constant_rate_both_forms_make_the_same_steps(rng, kind):
    w, grads = rng.standard_normal(4), rng.standard_normal((8, 4))
    want, velocity = by_hand(kind, w, grads, [0.3] * 8)
    outside, p = train(kind, w, grads, [0.3] * 8, form="outside")
    inside, q = train(kind, w, grads, [0.3] * 8, form="inside")
    expect.close(p.data, want, "weights, lr outside", rtol=1e-11)
    expect.close(q.data, want, "weights, lr inside: at a constant rate the same", rtol=1e-11)
    expect.close(outside.state[p]["velocity"], velocity, "velocity outside", rtol=1e-11)
    expect.close(
        inside.state[q]["velocity"], -0.3 * velocity, "velocity inside: -lr times that outside", rtol=1e-11
    )


def test_they_part_when_the_rate_changes():
    """Gradient 1 twice, mu 0.5, lr 1 then 0.1: outside -0.1 * 1.5, inside 0.5 * -1 - 0.1 * 1."""
    grads = [np.ones(1)] * 2
    _, p = train(HeavyBall, np.zeros(1), grads, [1.0, 0.1], momentum=0.5, form="outside")
    _, q = train(HeavyBall, np.zeros(1), grads, [1.0, 0.1], momentum=0.5, form="inside")
    expect.close(p.data, np.array([-1.15]), "weight, lr outside: the new rate acts on all of the velocity")
    expect.close(q.data, np.array([-1.6]), "weight, lr inside: the velocity keeps the old rate")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("start", "end"), [FORMS, FORMS[::-1]])
def test_a_run_that_switches_its_form_goes_on_as_if_nothing_had_happened(rng, kind, start, end):
    w, grads = rng.standard_normal(4), rng.standard_normal((8, 4))
    optimizer, p = train(kind, w, grads[:4], [0.3] * 4, form=start)
    switch_form(optimizer, end)
    expect.equal(optimizer.param_groups[0]["form"], end, "form of the group")
    go_on(optimizer, p, grads[4:], [0.3] * 4)
    want, _ = by_hand(kind, w, grads, [0.3] * 8)
    expect.close(p.data, want, f"weights of a run that went from {start} to {end} after 4 steps", rtol=1e-11)
    velocity = by_hand(kind, w, grads, [0.3] * 8, form=end)[1]
    expect.close(optimizer.state[p]["velocity"], velocity, f"velocity in the form {end}", rtol=1e-11)


def test_switching_takes_each_group_with_its_own_rate_and_skips_those_that_are_there(rng):
    a, b, c, idle = (Tensor(np.zeros(2), requires_grad=True) for _ in range(4))
    groups = [
        {"params": [a]},
        {"params": [b], "lr": 0.5},
        {"params": [c], "lr": 0.5, "form": "inside"},
        {"params": [idle], "lr": 0.0},
    ]
    optimizer = HeavyBall(groups, lr=0.1)
    for p in (a, b, c):
        p.grad = np.array([1.0, -2.0])
    optimizer.step()
    with expect.unchanged(a, b, c):
        switch_form(optimizer, "inside")
    g = np.array([1.0, -2.0])
    expect.close(optimizer.state[a]["velocity"], -0.1 * g, "velocity in the group with lr 0.1")
    expect.close(optimizer.state[b]["velocity"], -0.5 * g, "velocity in the group with lr 0.5")
    expect.close(optimizer.state[c]["velocity"], -0.5 * g, "velocity in the group that was inside already")
    forms = [group["form"] for group in optimizer.param_groups]
    expect.equal(forms, ["inside"] * 4, "forms of the groups")
    expect.equal(dict(optimizer.state.get(idle, {})), {}, "state of a parameter that never had a gradient")


def test_where_there_is_no_velocity_to_convert_a_rate_of_zero_does_no_harm():
    idle, there, moving = (Tensor(np.zeros(2), requires_grad=True) for _ in range(3))
    groups = [
        {"params": [idle], "lr": 0.0, "form": "inside"},
        {"params": [there], "lr": 0.0},
        {"params": [moving], "form": "inside"},
    ]
    optimizer = HeavyBall(groups, lr=0.5)
    g = np.array([1.0, -2.0])
    there.grad, moving.grad = g.copy(), g.copy()
    optimizer.step()
    switch_form(optimizer, "outside")
    expect.close(optimizer.state[moving]["velocity"], g, "velocity of the group with lr 0.5, taken outside")
    expect.close(optimizer.state[there]["velocity"], g, "velocity of a group with lr 0, outside already")
    forms = [group["form"] for group in optimizer.param_groups]
    expect.equal(forms, ["outside"] * 3, "forms of the groups")


def test_the_conversions_are_a_factor_and_its_inverse(rng):
    v = rng.standard_normal((2, 3))
    with expect.unchanged(v):
        inside, outside = to_inside(v, 0.2), to_outside(v, 0.2)
    expect.close(inside, -0.2 * v, "velocity inside, lr 0.2")
    expect.close(outside, v / -0.2, "velocity outside, lr 0.2")
    expect.close(to_outside(inside, 0.2), v, "velocity to inside and back", rtol=1e-11)
    expect.close(to_inside(v.astype(np.float32), 0.2), -0.2 * v, "velocity in float32", dtype=np.float32)
    expect.close(to_outside(v.astype(np.float32), 0.2), -5 * v, "velocity in float32", dtype=np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_rescaled_by_the_change_of_rate_the_inner_velocity_follows_the_outer_form(rng, kind):
    w, grads = rng.standard_normal(4), rng.standard_normal((6, 4))
    inside, p = train(kind, w, grads[:3], [0.3] * 3, form="inside")
    state = inside.state[p]
    state["velocity"] = to_inside(to_outside(state["velocity"], 0.3), 0.05)
    go_on(inside, p, grads[3:], [0.05] * 3)
    want, _ = by_hand(kind, w, grads, [0.3] * 3 + [0.05] * 3)
    expect.close(p.data, want, "weights, inside, velocity rescaled when lr fell to a sixth", rtol=1e-11)


# Nesterov by its definition.


def test_the_look_ahead_step_takes_the_gradient_ahead(rng):
    w, v, curvature = rng.standard_normal((3, 4))
    seen = []

    def gradient(x):
        seen.append(x.copy())
        return curvature * x

    with expect.unchanged(w, v):
        new_w, new_v = look_ahead_step(gradient, w, v, 0.2, 0.9)
    want = 0.9 * v - 0.2 * curvature * (w + 0.9 * v)
    expect.close(new_v, want, "new velocity", rtol=1e-11)
    expect.close(new_w, w + want, "new weights", rtol=1e-11)
    expect.equal(len(seen), 1, "number of gradients taken")


def test_looking_ahead_and_back(rng):
    w, v = rng.standard_normal((2, 3, 2))
    with expect.unchanged(w, v):
        y, back = look_ahead(w, v, 0.8), look_back(w, v, 0.8)
    expect.close(y, w + 0.8 * v, "look-ahead point with momentum 0.8", rtol=1e-11)
    expect.close(back, w - 0.8 * v, "weights whose look-ahead point is given", rtol=1e-11)
    expect.close(look_back(y, v, 0.8), w, "weights ahead and back", rtol=1e-11)
    for name, move in (("look_ahead", look_ahead), ("look_back", look_back)):
        still = move(w, v, 0.0)
        expect.close(still, w, f"{name} with momentum 0")
        shared = np.shares_memory(still, w)
        expect.true(not shared, f"{name} should return a new array, yours with momentum 0 is the one given")


def test_the_rewritten_form_holds_the_look_ahead_points(rng):
    """Not a quadratic, and lr changes: the form with lr inside is the definition, in other variables."""

    def gradient(x):
        return np.sinh(x) + 0.5 * x

    w, v = rng.standard_normal(4), np.zeros(4)
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = Nesterov([p], lr=0.1, momentum=0.8, form="inside")
    for lr in RATES:
        optimizer.param_groups[0]["lr"] = lr
        p.grad = gradient(p.data)
        optimizer.step()
        new = 0.8 * v - lr * gradient(w + 0.8 * v)
        w, v = look_ahead_step(gradient, w, v, lr, 0.8)
        expect.close(v, new, f"velocity by the definition, lr {lr}", rtol=1e-10)
        expect.close(p.data, w + 0.8 * v, "weights of Nesterov: the look-ahead point", rtol=1e-10)
        expect.close(optimizer.state[p]["velocity"], v, "velocity of Nesterov", rtol=1e-10)
        expect.close(look_back(p.data, v, 0.8), w, "weights that it looks ahead from", rtol=1e-10)


def test_the_outer_form_is_the_definition_at_a_constant_rate(rng):
    def gradient(x):
        return np.sinh(x) + 0.5 * x

    w, v = rng.standard_normal(4), np.zeros(4)
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = Nesterov([p], lr=0.1, momentum=0.8)
    for _ in range(6):
        p.grad = gradient(p.data)
        optimizer.step()
        v = 0.8 * v - 0.1 * gradient(w + 0.8 * v)
        w = w + v
        expect.close(p.data, w + 0.8 * v, "weights of Nesterov: the look-ahead point", rtol=1e-10)
    inside = to_inside(optimizer.state[p]["velocity"], 0.1)
    expect.close(look_back(p.data, inside, 0.8), w, "weights that it looks ahead from", rtol=1e-10)


# The quadratic.

SETTINGS = [(0.01, 0.0), (0.01, 0.5), (0.05, 0.9), (0.15, 0.9), (0.3, 0.2), (0.45, 0.99)]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize(("lr", "momentum"), SETTINGS)
def test_contraction_is_the_largest_root(lr, momentum, nesterov):
    """Against the eigenvalues of the matrix that maps (e_t, e_(t-1)) to (e_(t+1), e_t)."""
    curvature = np.array([0.5, 1.0, 3.0, 7.0, 20.0])
    want = []
    for a in curvature:
        q = 1 - lr * a
        row = [(1 + momentum) * q, -momentum * q] if nesterov else [q + momentum, -momentum]
        want.append(max(abs(np.linalg.eigvals(np.array([row, [1.0, 0.0]])))))
    got = contraction(curvature, lr, momentum, nesterov)
    expect.close(
        got, np.array(want), f"contraction, lr {lr}, momentum {momentum}, nesterov {nesterov}", rtol=1e-7
    )


def test_without_momentum_the_contraction_is_one_minus_lr_a():
    curvature = np.array([1.0, 5.0, 25.0])
    for nesterov in (False, True):
        got = contraction(curvature, 0.1, 0.0, nesterov)
        expect.close(got, np.array([0.9, 0.5, 1.5]), "contraction with momentum 0", rtol=1e-7)


def test_complex_roots_contract_by_sqrt_mu_whatever_the_curvature():
    """Complex while (1 - sqrt(mu))^2 < lr * a < (1 + sqrt(mu))^2; beyond 2 (1 + mu) the error grows."""
    curvature = np.array([0.2, 1.0, 5.0, 20.0, 35.0])
    got = contraction(curvature, 0.1, 0.81)
    expect.close(got, np.full(5, 0.9), "contraction of the heavy ball with momentum 0.81", rtol=1e-9)
    limit = contraction(np.array([36.1, 36.2, 36.3]), 0.1, 0.81)
    expect.true(
        bool(limit[0] < 1 < limit[2]) and abs(limit[1] - 1) < 1e-6,
        f"the heavy ball is stable up to lr * a = 2 (1 + mu) = 3.62; at 3.61, 3.62, 3.63 you get {limit}",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_runs_contract_as_predicted(kind):
    """|e_400 / e_200|^(1/200), a single real root leading."""
    for a in (0.02, 38.0 if kind is HeavyBall else 16.0):
        curvature = np.array([a])
        q = 1 - 0.1 * a
        b, c = (1.9 * q, 0.9 * q) if kind is Nesterov else (q + 0.9, 0.9)
        want = np.array([(abs(b) + np.sqrt(b * b - 4 * c)) / 2])
        got = contraction(curvature, 0.1, 0.9, kind is Nesterov)
        expect.close(got, want, f"contraction at curvature {a}, two real roots", rtol=1e-9)
        ends = [descend(kind, curvature, [1.0], n, lr=0.1, momentum=0.9) for n in (200, 400)]
        rate = abs(ends[1] / ends[0]) ** (1 / 200)
        expect.close(rate, want, f"contraction of a run of {kind.__name__} at curvature {a}", rtol=1e-6)


@pytest.mark.parametrize(("smallest", "largest"), [(1.0, 100.0), (0.3, 0.3), (2.0, 8.0)])
def test_polyaks_optimum(smallest, largest):
    lr, momentum = polyak_optimum(smallest, largest)
    k = np.sqrt(largest / smallest)
    expect.close(lr, float(4 / (np.sqrt(largest) + np.sqrt(smallest)) ** 2), "learning rate", rtol=1e-11)
    expect.close(momentum, float(((k - 1) / (k + 1)) ** 2), "momentum", rtol=1e-11, atol=1e-12)


def test_the_optimum_beats_every_neighbour():
    """A double root moves by the root of a perturbation, so the optimum itself is known to about 1e-7."""
    ends = np.array([1.0, 100.0])
    lr, momentum = polyak_optimum(1.0, 100.0)
    best = float(contraction(ends, lr, momentum).max())
    expect.close(best, 9 / 11, "contraction at the optimum for condition number 100", rtol=1e-6)
    for factor in (0.9, 0.99, 1.01, 1.1):
        for name, other in (
            ("lr", contraction(ends, lr * factor, momentum)),
            ("momentum", contraction(ends, lr, momentum * factor)),
        ):
            expect.true(
                bool(other.max() > best + 1e-4),
                f"{name} times {factor} should contract less than the optimum: {other.max():.6f}, {best:.6f}",
            )


def test_at_the_optimum_a_ravine_takes_the_root_of_the_steps():
    curvature = np.array([1.0, 100.0])
    lr, momentum = polyak_optimum(1.0, 100.0)
    end = descend(HeavyBall, curvature, [1.0, 1.0], 150, lr=lr, momentum=momentum)
    # double roots r = 9/11 and -r, from rest: e_n = (1 + n (1 - r)) r^n and (1 + n (1 + r)) (-r)^n
    want = np.array([1 + 150 * 2 / 11, 1 + 150 * 20 / 11]) * (9 / 11) ** 150
    expect.close(end, want, "weights after 150 steps from (1, 1)", rtol=1e-4)
    distance = float(np.linalg.norm(end))
    plain = float(np.max(abs((1 - 2 / 101 * curvature) ** 150)))
    expect.true(
        distance < 1e-8 * plain, f"far below plain descent at its best rate: {distance:.1e}, {plain:.1e}"
    )


# What every optimizer must keep.


@every_case
def test_gradients_are_not_modified(rng, kind, settings):
    w, g = rng.standard_normal((2, 4))
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = kind([p], lr=0.1, **settings)
    p.grad = g
    with expect.unchanged(g):
        optimizer.step()
        optimizer.step()
    want, _ = by_hand(kind, w, [g, g], [0.1, 0.1], **settings)
    expect.close(p.data, want, f"weights after two steps of {kind.__name__}", rtol=1e-11)


@every_case
def test_resuming_is_bit_exact(rng, kind, settings):
    w, grads = rng.standard_normal(5).astype(np.float32), rng.standard_normal((6, 5)).astype(np.float32)
    _, straight = train(kind, w, grads, RATES, **settings)
    optimizer, p = train(kind, w, grads[:3], RATES[:3], **settings)
    q = Tensor(p.data.copy(), requires_grad=True)
    resumed = kind([q], lr=0.7)
    resumed.load_state_dict(optimizer.state_dict())
    go_on(resumed, q, grads[3:], RATES[3:])
    expect.equal(q.data, straight.data, "weights of a run that was saved and resumed")
    want, _ = by_hand(kind, w.astype(float), grads.astype(float), RATES, **settings)
    expect.close(q.data, want.astype(np.float32), "the same weights", rtol=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32(rng, kind, form):
    w, grads = rng.standard_normal(3).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    settings = {"form": form, "weight_decay": 0.1}
    optimizer, p = train(kind, w, grads, [0.1, 0.1], **settings)
    want, _ = by_hand(kind, w.astype(float), grads.astype(float), [0.1, 0.1], **settings)
    expect.close(p.data, want, "weights in float32", dtype=np.float32)
    expect.equal(str(optimizer.state[p]["velocity"].dtype), "float32", "dtype of the velocity")


def test_each_parameter_has_its_own_velocity_and_settings():
    a, b, c = (Tensor(np.zeros(1), requires_grad=True) for _ in range(3))
    groups = [{"params": [a, b]}, {"params": c, "momentum": 0.0, "lr": 1.0, "form": "inside"}]
    for kind, want in ((HeavyBall, -0.1 * (1 + 1.5 + 1.75)), (Nesterov, -0.1 * (1.5 + 1.75 + 1.875))):
        for p in (a, b, c):
            p.data[...] = 0
        optimizer = kind(groups, lr=0.1, momentum=0.5)
        for step in range(3):
            a.grad, c.grad = np.ones(1), np.ones(1)
            b.grad = np.ones(1) if step == 2 else None
            optimizer.step()
        first = -0.1 if kind is HeavyBall else -0.15
        expect.close(a.data, np.array([want]), "a parameter that had the gradient 1 three times")
        expect.close(b.data, np.array([first]), "a parameter that had its first gradient at the third step")
        expect.close(c.data, np.array([-3.0]), "a parameter in a group with lr 1 and momentum 0")


WRONG = [
    ({"lr": -0.1}, ("lr", "-0.1")),
    ({"lr": float("nan")}, ("lr", "nan")),
    ({"lr": 0.1, "momentum": 1.0}, ("momentum", "1.0")),
    ({"lr": 0.1, "momentum": -0.5}, ("momentum", "-0.5")),
    ({"lr": 0.1, "momentum": float("nan")}, ("momentum", "nan")),
    ({"lr": 0.1, "weight_decay": -1.0}, ("weight_decay", "-1.0")),
    ({"lr": 0.1, "weight_decay": float("nan")}, ("weight_decay", "nan")),
    ({"lr": 0.1, "form": "both"}, ("form", "both", "inside", "outside")),
]


@pytest.mark.parametrize(
    ("settings", "named"), WRONG, ids=[", ".join(f"{n}={v}" for n, v in s.items()) for s, _ in WRONG]
)
def test_settings_out_of_range_are_named(settings, named):
    for kind in KINDS:
        with expect.raises(ValueError, *named):
            kind([Tensor(np.ones(2), requires_grad=True)], **settings)


def test_an_unknown_form_of_a_group_is_named():
    groups = [{"params": Tensor(np.ones(2), requires_grad=True), "form": "both"}]
    fine = [{"params": Tensor(np.ones(2), requires_grad=True), "form": "inside"}]
    for kind in KINDS:
        with expect.raises(ValueError, "form", "both", "inside", "outside"):
            kind(groups, lr=0.1)
        with expect.raises(ValueError, "form", "both", "inside", "outside"):
            kind(fine, lr=0.1, form="both")


def test_what_cannot_be_converted_is_named():
    with expect.raises(ValueError, "0.0"):
        to_outside(np.ones(2), 0.0)
    with expect.raises(ValueError, "-0.5"):
        to_outside(np.ones(2), -0.5)
    with expect.raises(ValueError, "nan"):
        to_outside(np.ones(2), float("nan"))
    with expect.raises(ValueError, "upside", "inside", "outside"):
        switch_form(HeavyBall([Tensor(np.ones(2), requires_grad=True)], lr=0.1), "upside")


def test_a_switch_that_is_refused_changes_nothing():
    a, b = (Tensor(np.zeros(2), requires_grad=True) for _ in range(2))
    optimizer = HeavyBall([{"params": a}, {"params": b}], lr=0.5, form="inside")
    a.grad = b.grad = np.array([1.0, -2.0])
    optimizer.step()
    optimizer.param_groups[1]["lr"] = 0.0
    with expect.raises(ValueError, "0.0"):
        switch_form(optimizer, "outside")
    forms = [group["form"] for group in optimizer.param_groups]
    expect.equal(forms, ["inside", "inside"], "forms of the groups after a refused switch")
    for p in (a, b):
        what = "velocity after a refused switch: compute all new ones before you store one"
        expect.close(optimizer.state[p]["velocity"], np.array([-0.5, 1.0]), what)


@pytest.mark.parametrize(("smallest", "largest"), [(0.0, 1.0), (-2.0, 1.0), (3.0, 2.5)])
def test_an_impossible_range_of_curvatures_is_named(smallest, largest):
    with expect.raises(ValueError, str(smallest), str(largest)):
        polyak_optimum(smallest, largest)
