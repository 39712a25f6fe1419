"""Adam and AdamW: the rule against a loop over its formula, the corrections it makes, and what decay does."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.adam import Adam, AdamW
from optimization.optimizers.optimizer import PIECE

CASES = {
    "default": (Adam, {}),
    "betas": (Adam, {"betas": (0.5, 0.7)}),
    "no memory": (Adam, {"betas": (0.0, 0.0)}),
    "eps": (Adam, {"eps": 0.1}),
    "weight decay": (Adam, {"weight_decay": 0.3}),
    "amsgrad": (Adam, {"amsgrad": True, "betas": (0.5, 0.6)}),
    "AdamW": (AdamW, {"weight_decay": 0.3}),
    "AdamW default": (AdamW, {}),
    "AdamW amsgrad": (AdamW, {"amsgrad": True, "weight_decay": 0.3, "betas": (0.5, 0.6)}),
}


def by_hand(kind, w, grads, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=None, amsgrad=False):
    """The formulas, one step at a time."""
    decay = weight_decay if weight_decay is not None else 0.01 if kind is AdamW else 0.0
    w, m, v, top = w.copy(), np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, 1):
        if kind is AdamW:
            w = w - lr * decay * w
        else:
            g = g + decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        top = np.maximum(top, v) if amsgrad else v
        w = w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(top / (1 - betas[1] ** t)) + eps)
    return w


def train(kind, w, grads, **settings):
    """Steps with given gradients; returns the optimizer and the parameter."""
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = kind([p], **settings)
    for g in grads:
        p.grad = g.copy()
        optimizer.step()
    return optimizer, p


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("kind", "settings"), CASES.values(), ids=CASES.keys())
def test_steps_follow_the_formula(rng, kind, settings):
    w = rng.standard_normal((3, 2))
    grads = rng.standard_normal((6, 3, 2)) * np.array([3.0, 2, 1, 0.5, 0.2, 0.1])[:, None, None]
    _, p = train(kind, w, grads, lr=0.1, **settings)
    expect.close(p.data, by_hand(kind, w, grads, lr=0.1, **settings), "weights after 6 steps", rtol=1e-10)


@pytest.mark.parametrize(("kind", "settings"), CASES.values(), ids=CASES.keys())
def test_weights_larger_than_a_piece(rng, kind, settings):
    w, grads = rng.standard_normal(PIECE + 5), rng.standard_normal((2, PIECE + 5))
    _, p = train(kind, w, grads, lr=0.1, **settings)
    want = by_hand(kind, w, grads, lr=0.1, **settings)
    expect.close(p.data, want, f"{PIECE + 5} weights after 2 steps", rtol=1e-10)


def test_the_defaults(rng):
    w, grads = rng.standard_normal(4), rng.standard_normal((3, 4))
    for kind in (Adam, AdamW):
        _, p = train(kind, w, grads)
        expect.close(
            p.data,
            by_hand(kind, w, grads),
            f"weights after 3 steps of {kind.__name__} by default",
            rtol=1e-10,
        )


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_the_first_step_has_length_lr_whatever_the_scale(size):
    _, p = train(Adam, np.zeros(2), [np.array([size, -size])], lr=0.1)
    expect.close(
        p.data, np.array([-0.1, 0.1]), f"weights after one step with a gradient of {size:g}", rtol=1e-3
    )


def test_a_gradient_of_zero_moves_nothing():
    _, p = train(Adam, np.ones(2), [np.array([0.0, 1.0])] * 3, lr=0.1)
    expect.close(
        p.data, by_hand(Adam, np.ones(2), [np.array([0.0, 1.0])] * 3, lr=0.1), "weights with gradients (0, 1)"
    )


def test_the_state_holds_the_uncorrected_averages():
    g = np.array([2.0, -4.0])
    optimizer, p = train(Adam, np.zeros(2), [g, g], betas=(0.9, 0.99), amsgrad=True)
    state = optimizer.state[p]
    expect.equal(int(state["step"]), 2, "step")
    a_count = isinstance(state["step"], int | np.integer)
    expect.true(a_count, f"the count of steps should be an int, yours is {expect.describe(state['step'])}")
    expect.close(state["mean"], 0.19 * g, "mean after two steps of one gradient", rtol=1e-10)
    expect.close(state["square"], 0.0199 * g * g, "square after two steps of one gradient", rtol=1e-10)
    expect.close(state["largest"], 0.0199 * g * g, "largest square", rtol=1e-10)


def test_amsgrad_remembers_the_largest_square():
    grads = [np.array([10.0])] + [np.array([0.1])] * 20
    settings = {"lr": 0.1, "betas": (0.5, 0.5)}
    _, plain = train(Adam, np.zeros(1), grads, **settings)
    _, ams = train(Adam, np.zeros(1), grads, amsgrad=True, **settings)
    expect.close(
        ams.data,
        by_hand(Adam, np.zeros(1), grads, amsgrad=True, **settings),
        "weight with amsgrad",
        rtol=1e-9,
    )
    ahead = float(plain.data[0] / ams.data[0])
    expect.true(
        ahead > 3,
        f"after one huge gradient amsgrad should move far less: {ahead:.1f} times, expected above 3",
    )


def test_decoupled_decay_differs_from_l2():
    """One weight, two gradients: with L2 inside Adam both take one step; AdamW adds the decay to it."""
    w, grads = np.array([1.0, 1.0]), [np.array([1e3, 1e-3])]
    settings = {"lr": 0.1, "weight_decay": 0.5}
    _, l2 = train(Adam, w, grads, **settings)
    _, decoupled = train(AdamW, w, grads, **settings)
    expect.close(l2.data, np.array([0.9, 0.9]), "weights after a step of Adam with L2 decay", rtol=1e-4)
    expect.close(decoupled.data, np.array([0.85, 0.85]), "weights after a step of AdamW", rtol=1e-4)


def test_decay_costs_a_weak_feature_its_weight_unless_it_is_decoupled():
    """Slopes s (w - 1) of size 1 and 0.001, decay 0.1: L2 ends at s / (s + 0.1), AdamW near 1 for both.

    Where the step is as long as lr whatever the slope, so is the pull back to 1; decoupled decay is weaker
    by 0.1. Inside the gradient, decay is a hundred times as strong as the slope 0.001.
    """
    slope, ends = np.array([1.0, 1e-3]), {}
    for kind in (Adam, AdamW):
        p = Tensor(np.zeros(2), requires_grad=True)
        optimizer = kind([p], lr=0.02, betas=(0.5, 0.9), eps=1e-12, weight_decay=0.1)
        for _ in range(600):
            p.grad = slope * (p.data - 1)
            optimizer.step()
        ends[kind] = p.data
    expect.close(
        ends[Adam], slope / (slope + 0.1), "weights after 600 steps of Adam with L2 decay", rtol=0.05
    )
    expect.close(ends[AdamW], np.ones(2), "weights after 600 steps of AdamW", rtol=0.05)


def test_adamw_decays_where_the_gradient_is_zero():
    _, p = train(AdamW, np.array([2.0]), [np.zeros(1)] * 2, lr=0.1, weight_decay=0.5)
    expect.close(p.data, np.array([2.0 * 0.95**2]), "weight after two steps of AdamW without a gradient")


def test_a_change_of_lr_acts_at_once():
    optimizer, p = train(Adam, np.zeros(1), [np.ones(1)], lr=1.0)
    optimizer.param_groups[0]["lr"] = 0.1
    p.grad = np.ones(1)
    optimizer.step()
    expect.close(p.data, np.array([-1.1]), "weight after lr went from 1 to 0.1", rtol=1e-6)


def test_each_parameter_counts_its_own_steps():
    a, b = (Tensor(np.zeros(1), requires_grad=True) for _ in range(2))
    optimizer = Adam([a, b], lr=0.1)
    for step in range(3):
        a.grad, b.grad = np.ones(1), np.ones(1) * 5 if step == 2 else None
        optimizer.step()
    expect.close(
        b.data, np.array([-0.1]), "a parameter that had its first gradient at the third step", rtol=1e-6
    )
    expect.close(a.data, np.array([-0.3]), "a parameter that had the gradient 1 three times", rtol=1e-6)


def test_gradients_are_not_modified(rng):
    g = rng.standard_normal(4)
    for kind in (Adam, AdamW):
        p = Tensor(rng.standard_normal(4), requires_grad=True)
        want = by_hand(kind, p.data, [g, g], lr=0.1, weight_decay=0.3)
        optimizer = kind([p], lr=0.1, weight_decay=0.3)
        p.grad = g
        with expect.unchanged(g):
            optimizer.step()
            optimizer.step()
        expect.close(p.data, want, f"weights after two steps of {kind.__name__}", rtol=1e-10)


@pytest.mark.parametrize(("kind", "settings"), CASES.values(), ids=CASES.keys())
def test_resuming_is_bit_exact(rng, kind, settings):
    w, grads = rng.standard_normal(5).astype(np.float32), rng.standard_normal((6, 5)).astype(np.float32)
    _, straight = train(kind, w, grads, lr=0.1, **settings)
    optimizer, p = train(kind, w, grads[:3], lr=0.1, **settings)
    q = Tensor(p.data.copy(), requires_grad=True)
    resumed = kind([q], lr=0.7)
    resumed.load_state_dict(optimizer.state_dict())
    for g in grads[3:]:
        q.grad = g.copy()
        resumed.step()
    expect.equal(q.data, straight.data, "weights of a run that was saved and resumed")
    want = by_hand(kind, w.astype(float), grads.astype(float), lr=0.1, **settings)
    expect.close(q.data, want.astype(np.float32), "the same weights", rtol=1e-4)


def test_float32_stays_float32(rng):
    w, grads = rng.standard_normal(3).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    optimizer, p = train(AdamW, w, grads, lr=0.1, amsgrad=True)
    want = by_hand(AdamW, w.astype(float), grads.astype(float), lr=0.1, amsgrad=True)
    expect.close(p.data, want, "weights in float32", dtype=np.float32)
    names = sorted(
        name for name, value in optimizer.state[p].items() if getattr(value, "dtype", None) == np.float32
    )
    expect.equal(names, ["largest", "mean", "square"], "arrays in the state that are float32")


def test_it_finds_the_minimum_of_a_badly_scaled_bowl():
    """f = sum(s (x - 1)^2) / 2, s from 1e-4 to 1e4: one rate fits all, since Adam divides s away."""
    scale = np.array([1e-4, 1.0, 1e4])
    p = Tensor(np.zeros(3), requires_grad=True)
    optimizer = Adam([p], lr=0.05)
    for _ in range(400):
        p.grad = scale * (p.data - 1)
        optimizer.step()
    expect.close(p.data, np.ones(3), "minimum after 400 steps", rtol=0.02)


WRONG = [
    ({"lr": -0.1}, ("lr", "-0.1")),
    ({"lr": float("nan")}, ("lr", "nan")),
    ({"eps": -1e-8}, ("eps", "-1e-08")),
    ({"eps": float("nan")}, ("eps", "nan")),
    ({"weight_decay": float("nan")}, ("weight_decay", "nan")),
    ({"betas": (0.9, float("nan"))}, ("betas", "nan")),
    ({"weight_decay": -1.0}, ("weight_decay", "-1.0")),
    ({"betas": (0.9, 1.0)}, ("betas", "1.0")),
    ({"betas": (-0.1, 0.9)}, ("betas", "-0.1")),
    ({"betas": (0.9,)}, ("betas", "0.9")),
]


@pytest.mark.parametrize(
    ("settings", "named"), WRONG, ids=[", ".join(f"{n}={v}" for n, v in s.items()) for s, _ in WRONG]
)
def test_settings_out_of_range_are_named(settings, named):
    for kind in (Adam, AdamW):
        with expect.raises(ValueError, *named):
            kind([Tensor(np.ones(2), requires_grad=True)], **settings)
