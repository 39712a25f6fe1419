"""SGD: each term of the rule against a loop over its formula, then what the terms mean."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.optimizer import PIECE
from optimization.optimizers.sgd import SGD

CASES = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "dampening": {"momentum": 0.9, "dampening": 0.4},
    "weight decay": {"weight_decay": 0.1},
    "nesterov": {"momentum": 0.8, "nesterov": True},
    "all": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
}


def by_hand(w, grads, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """The formulas, one step at a time."""
    w, v = w.copy(), None
    for g in grads:
        g = g + weight_decay * w
        if momentum:
            v = g if v is None else momentum * v + (1 - dampening) * g
            g = g + momentum * v if nesterov else v
        w = w - lr * g
    return w


def train(w, grads, **settings):
    """Steps with given gradients; returns the optimizer and the parameter."""
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = SGD([p], **settings)
    for g in grads:
        p.grad = g.copy()
        optimizer.step()
    return optimizer, p


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_steps_follow_the_formula(rng, settings):
    w, grads = rng.standard_normal((3, 2)), rng.standard_normal((5, 3, 2))
    _, p = train(w, grads, lr=0.1, **settings)
    expect.close(
        p.data, by_hand(w, grads, 0.1, **settings), f"weights after 5 steps with {settings or 'lr only'}"
    )


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_weights_larger_than_a_piece(rng, settings):
    w, grads = rng.standard_normal(PIECE + 5), rng.standard_normal((2, PIECE + 5))
    _, p = train(w, grads, lr=0.1, **settings)
    expect.close(p.data, by_hand(w, grads, 0.1, **settings), f"{PIECE + 5} weights after 2 steps")


def test_arrays_that_are_not_in_c_order(rng):
    w, grads = rng.standard_normal((2, 3)), rng.standard_normal((2, 3, 2))
    _, p = train(w, [g.T for g in grads], lr=0.1, momentum=0.9)
    expect.close(
        p.data, by_hand(w, [g.T for g in grads], 0.1, 0.9), "weights after steps with transposed gradients"
    )


def test_the_first_step_is_not_dampened():
    _, p = train(np.zeros(2), [np.array([1.0, 2.0])], lr=1.0, momentum=0.9, dampening=0.5)
    expect.close(p.data, np.array([-1.0, -2.0]), "weights after one step with dampening 0.5")


def test_the_velocity_tends_to_the_gradient_over_one_minus_momentum():
    optimizer, p = train(np.zeros(1), [np.ones(1)] * 300, lr=0.01, momentum=0.9)
    expect.close(
        optimizer.state[p]["velocity"], np.array([10.0]), "velocity after 300 steps of gradient 1", rtol=1e-9
    )
    expect.close(
        p.data, by_hand(np.zeros(1), [np.ones(1)] * 300, 0.01, 0.9), "weight after 300 steps", rtol=1e-9
    )


def test_a_change_of_lr_acts_at_once_on_the_whole_velocity():
    optimizer, p = train(np.zeros(1), [np.ones(1)], lr=1.0, momentum=0.5)
    optimizer.param_groups[0]["lr"] = 0.1
    p.grad = np.ones(1)
    optimizer.step()
    expect.close(p.data, np.array([-1.0 - 0.1 * 1.5]), "weight after lr went from 1 to 0.1")


def test_without_momentum_nothing_is_stored():
    optimizer, p = train(np.ones(2), [np.ones(2)], lr=0.1)
    expect.equal(dict(optimizer.state.get(p, {})), {}, "state of plain SGD")
    expect.close(p.data, np.full(2, 0.9), "weights after one step of 0.1")


def test_gradients_are_not_modified(rng):
    p, g = Tensor(rng.standard_normal(4), requires_grad=True), rng.standard_normal(4)
    optimizer = SGD([p], lr=0.1, momentum=0.9, weight_decay=0.1, nesterov=True)
    want = by_hand(p.data, [g, g], 0.1, 0.9, 0.0, 0.1, True)
    p.grad = g
    with expect.unchanged(g):
        optimizer.step()
        optimizer.step()
    expect.close(p.data, want, "weights after two steps with one gradient array")


def test_groups_have_their_own_rates(rng):
    a, b = (Tensor(np.ones(2), requires_grad=True) for _ in range(2))
    optimizer = SGD([{"params": [a]}, {"params": [b], "lr": 0.5, "momentum": 0.9}], lr=0.1)
    for _ in range(2):
        a.grad, b.grad = np.ones(2), np.ones(2)
        optimizer.step()
    expect.close(a.data, np.full(2, 0.8), "weights of the group with lr 0.1")
    expect.close(b.data, np.full(2, 1 - 0.5 - 0.5 * 1.9), "weights of the group with lr 0.5 and momentum 0.9")


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_resuming_is_bit_exact(rng, settings):
    w, grads = rng.standard_normal(5).astype(np.float32), rng.standard_normal((6, 5)).astype(np.float32)
    _, straight = train(w, grads, lr=0.1, **settings)
    optimizer, p = train(w, grads[:3], lr=0.1, **settings)
    q = Tensor(p.data.copy(), requires_grad=True)
    resumed = SGD([q], lr=0.7)
    resumed.load_state_dict(optimizer.state_dict())
    for g in grads[3:]:
        q.grad = g.copy()
        resumed.step()
    expect.equal(q.data, straight.data, "weights of a run that was saved and resumed")
    expect.close(q.data, by_hand(w, grads, 0.1, **settings).astype(np.float32), "the same weights", rtol=1e-5)


def test_float32_stays_float32(rng):
    w, grads = rng.standard_normal(3).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    optimizer, p = train(w, grads, lr=0.1, momentum=0.9, weight_decay=0.01)
    want = by_hand(w.astype(float), grads, 0.1, 0.9, 0.0, 0.01)
    expect.close(p.data, want, "weights in float32", dtype=np.float32)
    expect.equal(str(optimizer.state[p]["velocity"].dtype), "float32", "dtype of the velocity")


def test_momentum_goes_down_a_ravine_faster():
    """f = (x^2 + 100 y^2) / 2 from (1, 1): the distance to 0 after 60 steps."""
    curvature = np.array([1.0, 100.0])

    def distance(**settings):
        p = Tensor(np.ones(2), requires_grad=True)
        optimizer = SGD([p], **settings)
        for _ in range(60):
            p.grad = curvature * p.data
            optimizer.step()
        return float(np.linalg.norm(p.data))

    plain, heavy = distance(lr=0.0198), distance(lr=0.0330, momentum=0.67)
    expect.close(
        plain, float(np.hypot((1 - 0.0198) ** 60, (1 - 1.98) ** 60)), "distance by plain SGD", rtol=1e-9
    )
    expect.true(
        heavy < plain / 1000,
        f"with momentum it should fall 1000 times further: {heavy:.1e}, {plain:.1e}",
    )


WRONG = [
    ({"lr": -0.1}, ("lr", "-0.1")),
    ({"lr": 0.1, "momentum": 1.0}, ("momentum", "1.0")),
    ({"lr": 0.1, "momentum": -0.5}, ("momentum", "-0.5")),
    ({"lr": 0.1, "dampening": 1.5, "momentum": 0.5}, ("dampening", "1.5")),
    ({"lr": 0.1, "weight_decay": -1.0}, ("weight_decay", "-1.0")),
    ({"lr": float("nan")}, ("lr", "nan")),
    ({"lr": 0.1, "momentum": float("nan")}, ("momentum", "nan")),
    ({"lr": 0.1, "dampening": float("nan"), "momentum": 0.5}, ("dampening", "nan")),
    ({"lr": 0.1, "weight_decay": float("nan")}, ("weight_decay", "nan")),
    ({"lr": 0.1, "nesterov": True}, ("nesterov", "0.0")),
    ({"lr": 0.1, "nesterov": True, "momentum": 0.9, "dampening": 0.25}, ("nesterov", "0.25")),
]


@pytest.mark.parametrize(
    ("settings", "named"), WRONG, ids=[", ".join(f"{n}={v}" for n, v in s.items()) for s, _ in WRONG]
)
def test_settings_out_of_range_are_named(settings, named):
    with expect.raises(ValueError, *named):
        SGD([Tensor(np.ones(2), requires_grad=True)], **settings)
