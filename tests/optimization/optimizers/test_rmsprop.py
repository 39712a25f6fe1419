"""RMSprop and Adagrad: the rules against loops over their formulas, and what forgetting changes."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.optimizer import PIECE
from optimization.optimizers.rmsprop import Adagrad, RMSprop

CASES = {
    "RMSprop": (RMSprop, {}),
    "RMSprop alpha": (RMSprop, {"alpha": 0.7}),
    "RMSprop no memory": (RMSprop, {"alpha": 0.0}),
    "RMSprop eps": (RMSprop, {"eps": 0.1}),
    "RMSprop weight decay": (RMSprop, {"weight_decay": 0.3}),
    "RMSprop momentum": (RMSprop, {"momentum": 0.8}),
    "RMSprop centered": (RMSprop, {"centered": True, "alpha": 0.8}),
    "RMSprop all": (
        RMSprop,
        {"alpha": 0.8, "eps": 0.01, "weight_decay": 0.3, "momentum": 0.8, "centered": True},
    ),
    "Adagrad": (Adagrad, {}),
    "Adagrad lr decay": (Adagrad, {"lr_decay": 0.5}),
    "Adagrad start": (Adagrad, {"initial_accumulator_value": 0.7}),
    "Adagrad all": (
        Adagrad,
        {"lr_decay": 0.2, "weight_decay": 0.3, "initial_accumulator_value": 0.1, "eps": 0.1},
    ),
}
every_case = pytest.mark.parametrize(("kind", "settings"), CASES.values(), ids=CASES.keys())


def by_hand(kind, w, grads, lr=0.01, **settings):
    return (rmsprop if kind is RMSprop else adagrad)(w, grads, lr, **settings)


def rmsprop(w, grads, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False):
    """The formula, one step at a time; the variance as the difference that it is."""
    w, s, m, u = w.copy(), 0.0, 0.0, 0.0
    for g in grads:
        g = g + weight_decay * w
        s = alpha * s + (1 - alpha) * g * g
        m = alpha * m + (1 - alpha) * g
        u = momentum * u + g / (np.sqrt(s - m * m if centered else s) + eps)
        w = w - lr * u
    return w


def adagrad(w, grads, lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10):
    w, s = w.copy(), initial_accumulator_value
    for t, g in enumerate(grads, 1):
        g = g + weight_decay * w
        s = s + g * g
        w = w - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s) + eps)
    return w


def train(kind, w, grads, **settings):
    """Steps with given gradients; returns the optimizer and the parameter."""
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = kind([p], **settings)
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
def test_steps_follow_the_formula(rng, kind, settings):
    w = rng.standard_normal((3, 2))
    grads = rng.standard_normal((6, 3, 2)) * np.array([3.0, 2, 1, 0.5, 0.2, 0.1])[:, None, None]
    _, p = train(kind, w, grads, lr=0.1, **settings)
    want = by_hand(kind, w, grads, 0.1, **settings)
    expect.close(p.data, want, f"weights after 6 steps of {kind.__name__} with {settings}", rtol=1e-10)


@every_case
def test_weights_larger_than_a_piece(rng, kind, settings):
    w, grads = rng.standard_normal(PIECE + 5), rng.uniform(0.5, 1.5, (2, PIECE + 5))
    _, p = train(kind, w, grads, lr=0.1, **settings)
    want = by_hand(kind, w, grads, 0.1, **settings)
    expect.close(p.data, want, f"{PIECE + 5} weights after 2 steps", rtol=1e-8)


@pytest.mark.parametrize("kind", [RMSprop, Adagrad])
def test_gradients_that_are_not_in_c_order(rng, kind):
    w, grads = rng.standard_normal((2, 3)), [g.T for g in rng.standard_normal((2, 3, 2))]
    _, p = train(kind, w, grads)
    expect.close(p.data, by_hand(kind, w, grads), "weights after 2 steps, transposed gradients", rtol=1e-10)


def test_the_defaults(rng):
    w, grads = rng.standard_normal(4), 1e-7 * rng.standard_normal((3, 4))
    for kind in (RMSprop, Adagrad):
        _, p = train(kind, w, grads)
        what = f"weights after 3 steps of {kind.__name__} by default"
        expect.close(p.data, by_hand(kind, w, grads), what, rtol=1e-10)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_the_first_step_has_one_length_whatever_the_scale(size):
    g = np.array([size, -size])
    _, p = train(RMSprop, np.zeros(2), [g], lr=0.01)
    expect.close(p.data, np.array([-0.1, 0.1]), f"first step of RMSprop, gradient {size:g}", rtol=1e-3)
    _, p = train(Adagrad, np.zeros(2), [g], lr=0.01)
    expect.close(p.data, np.array([-0.01, 0.01]), f"first step of Adagrad, gradient {size:g}", rtol=1e-3)


def test_with_a_steady_gradient_adagrad_slows_down_and_rmsprop_does_not():
    _, a = train(Adagrad, np.zeros(1), [np.array([3.0])] * 400, lr=0.01)
    want = -0.01 * float(np.sum(1 / np.sqrt(np.arange(1, 401))))
    expect.close(
        a.data, np.array([want]), "weight after 400 steps of Adagrad, about 2 lr sqrt(400)", rtol=1e-8
    )
    _, r = train(RMSprop, np.zeros(1), [np.array([3.0])] * 400, lr=0.01, alpha=0.9)
    want = -0.01 * float(np.sum(1 / np.sqrt(1 - 0.9 ** np.arange(1, 401))))
    expect.close(r.data, np.array([want]), "weight after 400 steps of RMSprop, about lr each", rtol=1e-6)


def test_a_gradient_of_zero_moves_nothing():
    for kind in (RMSprop, Adagrad):
        with expect.quiet(f"a step of {kind.__name__}"):
            _, p = train(kind, np.ones(2), [np.array([0.0, 1.0])] * 3, lr=0.1)
        want = by_hand(kind, np.ones(2), [np.array([0.0, 1.0])] * 3, 0.1)
        expect.close(p.data, want, f"weights of {kind.__name__} with gradients (0, 1)", rtol=1e-10)


def test_the_state_holds_what_the_class_says():
    g = np.array([2.0, -4.0])
    optimizer, p = train(RMSprop, np.zeros(2), [g, g], alpha=0.9, momentum=0.5)
    expect.close(
        optimizer.state[p]["square"], 0.19 * g * g, "square after two steps of one gradient", rtol=1e-10
    )
    u = np.sign(g) * (0.5 / np.sqrt(0.1) + 1 / np.sqrt(0.19))
    expect.close(optimizer.state[p]["velocity"], u, "velocity after two steps of one gradient", rtol=1e-6)
    optimizer, p = train(RMSprop, np.zeros(2), [g, g], alpha=0.9)
    expect.close(optimizer.state[p]["square"], 0.19 * g * g, "square without momentum", rtol=1e-10)
    expect.true("velocity" not in optimizer.state[p], "without momentum there should be no velocity to store")
    optimizer, p = train(RMSprop, np.zeros(2), [g, g], alpha=0.9, centered=True)
    names = sorted(optimizer.state[p])
    expect.equal(names, ["mean", "variance"], "names in the state, centered and without momentum")
    expect.close(optimizer.state[p]["mean"], 0.19 * g, "mean after two steps of one gradient", rtol=1e-10)
    want = 0.19 * 0.81 * g * g
    expect.close(optimizer.state[p]["variance"], want, "variance after two steps of one gradient", rtol=1e-10)
    optimizer, p = train(Adagrad, np.zeros(2), [g, g], initial_accumulator_value=0.5)
    expect.close(
        optimizer.state[p]["sum"], 0.5 + 2 * g * g, "sum after two steps of one gradient", rtol=1e-10
    )
    step = optimizer.state[p]["step"]
    expect.equal(int(step), 2, "steps of Adagrad")
    a_count = isinstance(step, int | np.integer)
    expect.true(a_count, f"the count of steps should be an int, yours is {expect.describe(step)}")


def test_centered_survives_a_steady_gradient_in_float32():
    """The variance is 0.3 * 0.7^t * 9: after 100 steps far below the rounding of the squares."""
    w, grads = np.zeros(3, np.float32), [np.array([0.3, 3.0, 30.0], np.float32)] * 100
    with expect.quiet("100 steps with one gradient"):
        _, p = train(RMSprop, w, grads, lr=1e-3, alpha=0.7, eps=1.0, centered=True)
    want = rmsprop(w.astype(float), [g.astype(float) for g in grads[:8]], 1e-3, 0.7, 1.0, centered=True)
    _, early = train(RMSprop, w, grads[:8], lr=1e-3, alpha=0.7, eps=1.0, centered=True)
    expect.close(early.data, want, "weights after 8 steps", rtol=1e-4, dtype=np.float32)
    finite = bool(np.isfinite(p.data).all())
    expect.true(finite, f"a variance below 0 has no root: the weights should be finite, you get {p.data}")


def test_centered_is_right_where_float32_has_three_digits_of_the_gradients_in_common(rng):
    """Gradients 5 +- 1e-3: their variance is 1e-6, and so is the rounding of a square, 25."""
    w, grads = np.zeros(3, np.float32), (5 + 1e-3 * rng.standard_normal((400, 3))).astype(np.float32)
    optimizer, p = train(RMSprop, w, grads[:300], alpha=0.9, centered=True)
    before = p.data.astype(float)
    go_on(optimizer, p, grads[300:])
    exact = grads.astype(float)
    want = rmsprop(w.astype(float), exact, 0.01, 0.9, centered=True)
    want -= rmsprop(w.astype(float), exact[:300], 0.01, 0.9, centered=True)
    what = "way of 100 steps with gradients 5 +- 1e-3 in float32: the variance itself must be averaged"
    expect.close(p.data.astype(float) - before, want, what, rtol=0.03)


def test_centering_makes_longer_steps_where_gradients_agree(rng):
    """Gradients 1 ± 0.1 * noise: their standard deviation is a tenth of their size."""
    grads = 1 + 0.1 * rng.standard_normal((200, 3))
    _, plain = train(RMSprop, np.zeros(3), grads, alpha=0.9)
    _, centered = train(RMSprop, np.zeros(3), grads, alpha=0.9, centered=True)
    expect.close(plain.data, rmsprop(np.zeros(3), grads, 0.01, 0.9), "weights", rtol=1e-9)
    want = rmsprop(np.zeros(3), grads, 0.01, 0.9, centered=True)
    expect.close(centered.data, want, "weights, centered", rtol=1e-8)
    ratio = float(np.min(centered.data / plain.data))
    expect.true(ratio > 4, f"centered should go more than 4 times as far: {ratio:.2f}")


def test_adagrad_gives_a_rare_feature_longer_steps():
    """One gradient in a hundred is not zero: Adagrad's step for it is ten times that of a common one."""
    grads = [np.array([1.0, float(t == 99)]) for t in range(100)]
    optimizer, p = train(Adagrad, np.zeros(2), grads[:99], lr=0.1)
    before = p.data.copy()
    go_on(optimizer, p, grads[99:])
    expect.close(p.data - before, np.array([-0.01, -0.1]), "the hundredth step", rtol=1e-6)


def test_a_change_of_lr_acts_at_once():
    for kind, settings, want in (
        (RMSprop, {"alpha": 0.0}, -1.1),
        (RMSprop, {"alpha": 0.0, "momentum": 0.5}, -1.15),
        (Adagrad, {}, -1 - 0.1 / np.sqrt(2)),
    ):
        optimizer, p = train(kind, np.zeros(1), [np.ones(1)], lr=1.0, **settings)
        optimizer.param_groups[0]["lr"] = 0.1
        go_on(optimizer, p, [np.ones(1)])
        expect.close(p.data, np.array([want]), f"weight of {kind.__name__}, lr from 1 to 0.1", rtol=1e-6)


def test_momentum_may_be_switched_on_in_the_middle_of_a_run():
    optimizer, p = train(RMSprop, np.zeros(1), [np.ones(1)] * 2, lr=0.1, alpha=0.0)
    optimizer.param_groups[0]["momentum"] = 0.5
    go_on(optimizer, p, [np.ones(1)] * 2)
    want = np.array([-0.1 * (1 + 1 + 1 + 1.5)])
    expect.close(p.data, want, "weight after 2 steps without momentum and 2 with 0.5, from rest", rtol=1e-6)


def test_each_parameter_counts_its_own_steps():
    a, b = (Tensor(np.zeros(1), requires_grad=True) for _ in range(2))
    optimizer = Adagrad([a, b], lr=0.1, lr_decay=1.0)
    for step in range(3):
        a.grad, b.grad = np.ones(1), np.ones(1) * 5 if step == 2 else None
        optimizer.step()
    expect.close(
        b.data, np.array([-0.1]), "a parameter that had its first gradient at the third step", rtol=1e-6
    )
    want = -0.1 * (1 + 0.5 / np.sqrt(2) + 1 / 3 / np.sqrt(3))
    expect.close(a.data, np.array([want]), "a parameter that had the gradient 1 three times", rtol=1e-6)


@every_case
def test_gradients_are_not_modified(rng, kind, settings):
    w, g = rng.standard_normal((2, 4))
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = kind([p], lr=0.1, **settings)
    p.grad = g
    with expect.unchanged(g):
        optimizer.step()
        optimizer.step()
    want = by_hand(kind, w, [g, g], 0.1, **settings)
    expect.close(p.data, want, f"weights after two steps of {kind.__name__}", rtol=1e-8)


@every_case
def test_resuming_is_bit_exact(rng, kind, settings):
    w, grads = rng.standard_normal(5).astype(np.float32), rng.standard_normal((6, 5)).astype(np.float32)
    _, straight = train(kind, w, grads, lr=0.1, **settings)
    optimizer, p = train(kind, w, grads[:3], lr=0.1, **settings)
    q = Tensor(p.data.copy(), requires_grad=True)
    resumed = kind([q], lr=0.7)
    resumed.load_state_dict(optimizer.state_dict())
    go_on(resumed, q, grads[3:])
    expect.equal(q.data, straight.data, "weights of a run that was saved and resumed")
    want = by_hand(kind, w.astype(float), grads.astype(float), 0.1, **settings)
    expect.close(q.data, want.astype(np.float32), "the same weights", rtol=1e-4)


@every_case
def test_float32_stays_float32(rng, kind, settings):
    w, grads = rng.standard_normal(3).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    optimizer, p = train(kind, w, grads, lr=0.1, **settings)
    want = by_hand(kind, w.astype(float), grads.astype(float), 0.1, **settings)
    expect.close(p.data, want, "weights in float32", rtol=1e-4, dtype=np.float32)
    arrays = [v.dtype for v in optimizer.state[p].values() if isinstance(v, np.ndarray) and v.ndim]
    expect.equal({str(dtype) for dtype in arrays}, {"float32"}, "dtypes of the arrays in the state")


def test_they_find_the_minimum_of_a_badly_scaled_bowl():
    """f = sum(s (x - 1)^2) / 2 with s from 1e-4 to 1e4: one rate fits all, since the root divides s away."""
    scale = np.array([1e-4, 1.0, 1e4])
    for kind, settings in ((RMSprop, {"lr": 0.005}), (Adagrad, {"lr": 0.5})):
        p = Tensor(np.zeros(3), requires_grad=True)
        optimizer = kind([p], **settings)
        for _ in range(400):
            p.grad = scale * (p.data - 1)
            optimizer.step()
        expect.close(p.data, np.ones(3), f"minimum after 400 steps of {kind.__name__}", rtol=0.02)


WRONG = [
    (RMSprop, {"lr": -0.1}, ("lr", "-0.1")),
    (RMSprop, {"lr": float("nan")}, ("lr", "nan")),
    (RMSprop, {"eps": -1e-8}, ("eps", "-1e-08")),
    (RMSprop, {"eps": float("nan")}, ("eps", "nan")),
    (RMSprop, {"weight_decay": float("nan")}, ("weight_decay", "nan")),
    (RMSprop, {"alpha": float("nan")}, ("alpha", "nan")),
    (RMSprop, {"momentum": float("nan")}, ("momentum", "nan")),
    (RMSprop, {"weight_decay": -1.0}, ("weight_decay", "-1.0")),
    (RMSprop, {"alpha": 1.0}, ("alpha", "1.0")),
    (RMSprop, {"alpha": -0.5}, ("alpha", "-0.5")),
    (RMSprop, {"momentum": 1.0}, ("momentum", "1.0")),
    (RMSprop, {"momentum": -0.5}, ("momentum", "-0.5")),
    (Adagrad, {"lr": -0.1}, ("lr", "-0.1")),
    (Adagrad, {"lr_decay": -0.5}, ("lr_decay", "-0.5")),
    (Adagrad, {"weight_decay": -1.0}, ("weight_decay", "-1.0")),
    (Adagrad, {"initial_accumulator_value": -2.0}, ("initial_accumulator_value", "-2.0")),
    (Adagrad, {"eps": -1e-8}, ("eps", "-1e-08")),
    (Adagrad, {"eps": float("nan")}, ("eps", "nan")),
    (Adagrad, {"lr": float("nan")}, ("lr", "nan")),
    (Adagrad, {"lr_decay": float("nan")}, ("lr_decay", "nan")),
    (Adagrad, {"weight_decay": float("nan")}, ("weight_decay", "nan")),
    (Adagrad, {"initial_accumulator_value": float("nan")}, ("initial_accumulator_value", "nan")),
]


@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    WRONG,
    ids=[f"{kind.__name__} " + ", ".join(f"{n}={v}" for n, v in s.items()) for kind, s, _ in WRONG],
)
def test_settings_out_of_range_are_named(kind, settings, named):
    with expect.raises(ValueError, *named):
        kind([Tensor(np.ones(2), requires_grad=True)], **settings)
