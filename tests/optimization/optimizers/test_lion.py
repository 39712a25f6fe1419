"""Lion: the rule against a loop over its formula, and what stepping by a sign means."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.lion import Lion
from optimization.optimizers.optimizer import PIECE

CASES = {
    "default": {},
    "betas": {"betas": (0.6, 0.8)},
    "no memory": {"betas": (0.0, 0.0)},
    "weight decay": {"betas": (0.8, 0.9), "weight_decay": 0.7},
}
every_case = pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())


def by_hand(w, grads, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
    """The formulas, one step at a time."""
    w, m = w.copy(), np.zeros_like(w)
    for g in grads:
        c = betas[0] * m + (1 - betas[0]) * g
        w = w - lr * (np.sign(c) + weight_decay * w)
        m = betas[1] * m + (1 - betas[1]) * g
    return w


def train(w, grads, **settings):
    """Steps with given gradients; returns the optimizer and the parameter."""
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = Lion([p], **settings)
    go_on(optimizer, p, grads)
    return optimizer, p


def go_on(optimizer, p, grads):
    for g in grads:
        p.grad = g.copy()
        optimizer.step()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@every_case
def test_steps_follow_the_formula(rng, settings):
    w, grads = rng.standard_normal((3, 4)), rng.standard_normal((30, 3, 4))
    _, p = train(w, grads, lr=0.1, **settings)
    want = by_hand(w, grads, 0.1, **settings)
    expect.close(p.data, want, f"weights after 30 steps with {settings}", rtol=1e-10)


@every_case
def test_weights_larger_than_a_piece(rng, settings):
    w, grads = rng.standard_normal(PIECE + 5), rng.standard_normal((3, PIECE + 5))
    _, p = train(w, grads, lr=0.1, **settings)
    want = by_hand(w, grads, 0.1, **settings)
    expect.close(p.data, want, f"{PIECE + 5} weights after 3 steps", rtol=1e-10)


def test_gradients_that_are_not_in_c_order(rng):
    w, grads = rng.standard_normal((2, 3)), [g.T for g in rng.standard_normal((4, 3, 2))]
    _, p = train(w, grads, lr=0.1)
    expect.close(p.data, by_hand(w, grads, 0.1), "weights after 4 steps, transposed gradients", rtol=1e-10)


def test_the_defaults(rng):
    w, grads = rng.standard_normal(50), rng.standard_normal((40, 50))
    _, p = train(w, grads)
    expect.close(p.data, by_hand(w, grads), "weights after 40 steps by default", rtol=1e-12)


def test_every_weight_moves_by_lr():
    g = np.array([1e-6, -1.0, 1e6])
    _, p = train(np.zeros(3), [g, g], lr=0.1)
    expect.close(p.data, np.array([-0.2, 0.2, -0.2]), "weights after two steps along (1e-6, -1, 1e6)")


def test_where_there_is_no_gradient_nothing_moves():
    _, p = train(np.ones(2), [np.array([0.0, 2.0])] * 3, lr=0.1)
    expect.close(p.data, np.array([1.0, 0.7]), "weights after 3 steps along (0, 2)")


def test_the_step_and_the_momentum_forget_at_their_own_rates():
    """Gradient 1 three times leaves m = 1 - 0.99^3; against it, -0.26 has too little weight, -0.28 enough."""
    m = 1 - 0.99**3
    optimizer, p = train(np.zeros(2), [np.ones(2)] * 3, lr=0.1)
    expect.close(optimizer.state[p]["mean"], np.full(2, m), "momentum after 3 steps of 1", rtol=1e-10)
    go_on(optimizer, p, [np.array([-0.26, -0.28])])
    want = np.array([-0.4, -0.2])
    expect.close(p.data, want, "weights after a fourth gradient of (-0.26, -0.28): c = 0.9 m + 0.1 g")
    want = 0.99 * m + 0.01 * np.array([-0.26, -0.28])
    expect.close(optimizer.state[p]["mean"], want, "momentum after the fourth step", rtol=1e-10)


def test_decay_is_decoupled_and_uses_the_weights_before_the_step():
    _, p = train(np.array([2.0, -2.0]), [np.array([1.0, 1.0])], lr=0.1, weight_decay=0.5)
    expect.close(p.data, np.array([1.8, -2.0]), "2 and -2 after a step of 0.1 with decay 0.5")
    _, p = train(np.array([2.0]), [np.zeros(1)] * 2, lr=0.1, weight_decay=0.5)
    expect.close(p.data, np.array([2.0 * 0.95**2]), "weight after two steps without a gradient")


def test_with_decay_no_weight_leaves_the_box():
    """At |w| = 1 / weight_decay the pull back is as long as the step."""
    _, p = train(np.zeros(2), [np.array([1.0, -1.0])] * 300, lr=0.1, weight_decay=0.5)
    want = 2.0 * (1 - 0.95**300) * np.array([-1.0, 1.0])
    expect.close(p.data, want, "weights after 300 steps one way with decay 0.5: near 1 / 0.5", rtol=1e-9)


def test_a_change_of_lr_acts_at_once():
    optimizer, p = train(np.zeros(1), [np.ones(1)], lr=1.0)
    optimizer.param_groups[0]["lr"] = 0.1
    go_on(optimizer, p, [np.ones(1)])
    expect.close(p.data, np.array([-1.1]), "weight after lr went from 1 to 0.1")


def test_each_parameter_has_its_own_momentum():
    a, b = (Tensor(np.zeros(1), requires_grad=True) for _ in range(2))
    optimizer = Lion([a, b], lr=0.1)
    for step in range(3):
        a.grad, b.grad = np.ones(1), -np.ones(1) if step == 2 else None
        optimizer.step()
    expect.close(a.data, np.array([-0.3]), "a parameter that had the gradient 1 three times")
    expect.close(b.data, np.array([0.1]), "a parameter that had its first gradient, -1, at the third step")
    expect.close(optimizer.state[b]["mean"], np.array([-0.01]), "its momentum", rtol=1e-10)


@every_case
def test_gradients_are_not_modified(rng, settings):
    w, g = rng.standard_normal((2, 4))
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = Lion([p], lr=0.1, **settings)
    p.grad = g
    with expect.unchanged(g):
        optimizer.step()
        optimizer.step()
    expect.close(p.data, by_hand(w, [g, g], 0.1, **settings), "weights after two steps", rtol=1e-10)


@every_case
def test_resuming_is_bit_exact(rng, settings):
    w, grads = rng.standard_normal(5).astype(np.float32), rng.standard_normal((6, 5)).astype(np.float32)
    _, straight = train(w, grads, lr=0.1, **settings)
    optimizer, p = train(w, grads[:3], lr=0.1, **settings)
    q = Tensor(p.data.copy(), requires_grad=True)
    resumed = Lion([q], lr=0.7)
    resumed.load_state_dict(optimizer.state_dict())
    go_on(resumed, q, grads[3:])
    expect.equal(q.data, straight.data, "weights of a run that was saved and resumed")
    want = by_hand(w.astype(float), grads.astype(float), 0.1, **settings)
    expect.close(q.data, want.astype(np.float32), "the same weights", rtol=1e-5)


@every_case
def test_float32_stays_float32(rng, settings):
    w, grads = rng.standard_normal(3).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    optimizer, p = train(w, grads, lr=0.1, **settings)
    want = by_hand(w.astype(float), grads.astype(float), 0.1, **settings)
    expect.close(p.data, want, "weights in float32", dtype=np.float32)
    expect.equal(str(optimizer.state[p]["mean"].dtype), "float32", "dtype of the momentum")


def test_it_reaches_a_minimum_up_to_its_step():
    """f = sum(s (x - 1)^2) / 2: a constant lr goes on circling, some lr away, on any scale of s."""
    scale = np.array([2.0**-13, 1.0, 2.0**13])  # powers of two round alike
    p = Tensor(np.zeros(3), requires_grad=True)
    optimizer = Lion([p], lr=0.002)
    for _ in range(1500):
        p.grad = scale * (p.data - 1)
        optimizer.step()
    expect.close(p.data, np.ones(3), "minimum after 1500 steps", rtol=0.1)
    spread = float(np.ptp(p.data))
    expect.true(
        spread < 1e-6, f"the scale of the gradient should not matter: spread {spread:.1e}, expected 0"
    )


WRONG = [
    ({"lr": -0.1}, ("lr", "-0.1")),
    ({"lr": float("nan")}, ("lr", "nan")),
    ({"weight_decay": -1.0}, ("weight_decay", "-1.0")),
    ({"weight_decay": float("nan")}, ("weight_decay", "nan")),
    ({"betas": (0.9, float("nan"))}, ("betas", "nan")),
    ({"betas": (0.9, 1.0)}, ("betas", "1.0")),
    ({"betas": (-0.1, 0.9)}, ("betas", "-0.1")),
    ({"betas": (0.9,)}, ("betas", "0.9")),
    ({"betas": (0.9, 0.95, 0.99)}, ("betas", "0.95")),
]


@pytest.mark.parametrize(
    ("settings", "named"), WRONG, ids=[", ".join(f"{n}={v}" for n, v in s.items()) for s, _ in WRONG]
)
def test_settings_out_of_range_are_named(settings, named):
    with expect.raises(ValueError, *named):
        Lion([Tensor(np.ones(2), requires_grad=True)], **settings)
