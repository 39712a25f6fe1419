"""Muon: Newton-Schulz against the SVD, the rule against a loop over its formula, and what it is for."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.muon import Muon, newton_schulz, rate_factor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SHAPES = [(4, 4), (3, 6), (6, 3), (1, 5), (5, 1), (1, 1)]
CASES = {
    "default": {},
    "no nesterov": {"nesterov": False},
    "momentum": {"momentum": 0.5, "weight_decay": 0.0},
    "no momentum": {"momentum": 0.0},
    "weight decay": {"weight_decay": 0.7},
    "steps": {"ns_steps": 2},
    "one round": {"ns_steps": 1},
    "coefficients": {"ns_coefficients": (2.0, -1.5, 0.5)},
    "original": {"adjust_lr_fn": "original"},
    "match rms": {"adjust_lr_fn": "match_rms_adamw"},
}
every_case = pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())


def by_svd(matrix, steps=5, coefficients=COEFFICIENTS, eps=1e-7):
    """The polynomial of each singular value, as a number."""
    a, b, c = coefficients
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s = s / max(float(np.sqrt(np.sum(s * s))), eps)
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ vt


def by_hand(
    w,
    grads,
    lr=1e-3,
    weight_decay=0.1,
    momentum=0.95,
    nesterov=True,
    ns_coefficients=COEFFICIENTS,
    ns_steps=5,
    adjust_lr_fn=None,
):
    """The formulas, one step at a time."""
    rows, cols = w.shape
    factor = (
        0.2 * np.sqrt(max(w.shape)) if adjust_lr_fn == "match_rms_adamw" else np.sqrt(max(1, rows / cols))
    )
    w, m = w.copy(), np.zeros_like(w)
    for g in grads:
        m = momentum * m + (1 - momentum) * g
        d = momentum * m + (1 - momentum) * g if nesterov else m
        w = (1 - lr * weight_decay) * w - lr * factor * by_svd(d, ns_steps, ns_coefficients)
    return w


def train(w, grads, **settings):
    """Steps with given gradients; returns the optimizer and the parameter."""
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = Muon([p], **settings)
    go_on(optimizer, p, grads)
    return optimizer, p


def go_on(optimizer, p, grads):
    for g in grads:
        p.grad = g.copy()
        optimizer.step()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Newton-Schulz.


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_newton_schulz_is_the_polynomial_of_each_singular_value(rng, shape):
    matrix = rng.standard_normal(shape)
    for steps in (1, 2, 5):
        with expect.unchanged(matrix):
            got = newton_schulz(matrix, steps)
        what = f"{steps} rounds on a matrix of shape {shape}"
        expect.close(got, by_svd(matrix, steps), what, rtol=1e-5, dtype=np.float64)


def test_newton_schulz_by_default_and_with_other_coefficients(rng):
    matrix = rng.standard_normal((5, 3))
    expect.close(newton_schulz(matrix), by_svd(matrix), "5 rounds, by default", rtol=1e-5)
    cubic = (1.5, -0.5, 0.0)
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    expect.close(newton_schulz(matrix, 30, cubic), u @ vt, "30 rounds of the cubic: U V^T", rtol=1e-5)


@pytest.mark.parametrize("shape", [(40, 40), (24, 60), (60, 24)], ids=str)
def test_singular_values_end_between_two_thirds_and_six_fifths(rng, shape):
    """All that begin at 0.0015 of the norm or above: 0.6800 to 1.2024 by the polynomial itself."""
    n = min(shape)
    q, r = (np.linalg.qr(rng.standard_normal((side, n)))[0] for side in shape)
    s = np.geomspace(0.01, 1.0, n)
    got = np.linalg.svd(newton_schulz((q * s) @ r.T), compute_uv=False)
    lowest = float(np.min(s / np.sqrt(np.sum(s * s))))
    expect.true(
        bool(got.min() > 0.679 and got.max() < 1.21),
        f"singular values should be in [0.68, 1.21] from {lowest:.4f} up: {got.min():.3f} to {got.max():.3f}",
    )
    alignment = np.diag(q.T @ newton_schulz((q * s) @ r.T) @ r)
    expect.close(np.sort(alignment), np.sort(got), "singular values along the old vectors", rtol=1e-6)


def test_small_singular_values_grow_by_the_slope():
    got = newton_schulz(np.diag([1.0, 1e-6]))
    expect.close(got[1, 1] / 1e-6, 3.4445**5, "growth of a tiny singular value, 3.4445^5", rtol=1e-4)


def test_newton_schulz_does_not_see_the_scale(rng):
    matrix = rng.standard_normal((4, 3))
    for factor in (1e-3, 1e5):
        got = newton_schulz(factor * matrix)
        expect.close(got, by_svd(matrix), f"a matrix times {factor:g}", rtol=1e-2 if factor < 1 else 1e-5)
    expect.close(newton_schulz(-matrix), -by_svd(matrix), "the negative matrix", rtol=1e-5)


def test_newton_schulz_turns_with_its_matrix(rng):
    matrix, q = rng.standard_normal((4, 6)), np.linalg.qr(rng.standard_normal((4, 4)))[0]
    expect.close(newton_schulz(matrix.T), by_svd(matrix).T, "the transpose", rtol=1e-5)
    expect.close(newton_schulz(q @ matrix), q @ by_svd(matrix), "a rotated matrix", rtol=1e-5)


def test_newton_schulz_of_nothing_is_nothing():
    with expect.quiet("newton_schulz of zeros"):
        got = newton_schulz(np.zeros((2, 3)))
    expect.close(got, np.zeros((2, 3)), "zeros")
    tiny = newton_schulz(np.diag([3e-13, 4e-13]), 1)
    want = by_svd(np.diag([3e-13, 4e-13]), 1)
    expect.close(tiny, want, "a matrix of norm 5e-13, divided by eps = 1e-7", rtol=1e-4)
    larger = newton_schulz(np.diag([3e-13, 4e-13]), 1, eps=0.0)
    expect.close(larger, by_svd(np.diag([3.0, 4.0]), 1), "the same with eps 0", rtol=1e-5)


def test_newton_schulz_in_float32(rng):
    for shape in ((3, 5), (5, 3)):
        matrix = rng.standard_normal(shape).astype(np.float32)
        got = newton_schulz(matrix)
        want = by_svd(matrix.astype(float))
        expect.close(got, want, "orthogonalised in float32", rtol=1e-3, dtype=np.float32)


# The rule.


@every_case
@pytest.mark.parametrize("shape", [(3, 3), (6, 2), (2, 6)], ids=str)
def test_steps_follow_the_formula(rng, shape, settings):
    w, grads = rng.standard_normal(shape), rng.standard_normal((4, *shape))
    _, p = train(w, grads, lr=0.1, **settings)
    want = by_hand(w, grads, 0.1, **settings)
    expect.close(p.data, want, f"weights {shape} after 4 steps with {settings}", rtol=1e-5)


def test_the_defaults(rng):
    w, grads = np.zeros((4, 2)), rng.standard_normal((3, 4, 2))
    _, p = train(w, grads)
    expect.close(p.data, by_hand(w, grads), "weights after 3 steps by default", rtol=1e-5)


def test_weights_larger_than_a_piece(rng):
    w, grads = rng.standard_normal((2, 20_000)), rng.standard_normal((2, 2, 20_000))
    _, p = train(w, grads, lr=0.1)
    expect.close(p.data, by_hand(w, grads, 0.1), "weights of shape (2, 20000) after 2 steps", rtol=1e-5)


def test_gradients_that_are_not_in_c_order(rng):
    w, grads = rng.standard_normal((2, 3)), [g.T for g in rng.standard_normal((3, 3, 2))]
    _, p = train(w, grads, lr=0.1)
    expect.close(p.data, by_hand(w, grads, 0.1), "weights after 3 steps, transposed gradients", rtol=1e-5)


def test_rate_factors():
    for rows, cols, want in ((8, 2, 2.0), (2, 8, 1.0), (3, 3, 1.0)):
        expect.close(rate_factor(rows, cols), want, f"factor for ({rows}, {cols})")
        expect.close(rate_factor(rows, cols, "original"), want, f"factor for ({rows}, {cols}), original")
    for rows, cols, want in ((25, 9, 1.0), (9, 100, 2.0)):
        got = rate_factor(rows, cols, "match_rms_adamw")
        expect.close(got, want, f"factor for ({rows}, {cols}), match_rms_adamw")
    with expect.raises(ValueError, "both", "original", "match_rms_adamw"):
        rate_factor(1, 1, "both")


def test_a_step_is_as_long_in_every_direction():
    g = np.diag([100.0, 10.0, 1.0])
    _, p = train(np.zeros((3, 3)), [g], lr=0.1, weight_decay=0.0)
    expect.close(p.data, -0.1 * by_svd(g), "weights after a step along diag(100, 10, 1)", rtol=1e-5)
    lengths = -np.diag(p.data) / 0.1
    expect.true(
        bool(lengths.min() > 0.679 and lengths.max() < 1.21),
        f"the three directions should move by 0.68 to 1.21 times lr: {lengths}",
    )


def test_the_decay_is_decoupled_and_not_adjusted():
    """Shape (8, 2) has the factor 2: for the step, not for the decay."""
    w = np.ones((8, 2))
    _, p = train(w, [np.zeros((8, 2))], lr=0.1, weight_decay=0.5)
    expect.close(p.data, 0.95 * w, "weights after a step without a gradient, decay 0.5, lr 0.1")


def test_a_change_of_lr_acts_at_once(rng):
    w, grads = rng.standard_normal((3, 3)), rng.standard_normal((2, 3, 3))
    long = by_hand(w, grads, 1.0, weight_decay=0.0) - by_hand(w, grads[:1], 1.0, weight_decay=0.0)
    optimizer, p = train(w, grads[:1], lr=1.0, weight_decay=0.0)
    before = p.data.copy()
    optimizer.param_groups[0]["lr"] = 0.1
    go_on(optimizer, p, grads[1:])
    expect.close(p.data - before, 0.1 * long, "the second step, lr from 1 to 0.1", rtol=1e-5)


def test_each_parameter_has_its_own_momentum(rng):
    a, b = (Tensor(np.zeros((2, 2)), requires_grad=True) for _ in range(2))
    optimizer = Muon([a, b], lr=0.1)
    grads, late = rng.standard_normal((3, 2, 2)), rng.standard_normal((2, 2))
    for step in range(3):
        a.grad, b.grad = grads[step], late if step == 2 else None
        optimizer.step()
    want = by_hand(np.zeros((2, 2)), grads, 0.1)
    expect.close(a.data, want, "a parameter that had three gradients", rtol=1e-5)
    want = by_hand(np.zeros((2, 2)), [late], 0.1)
    expect.close(b.data, want, "a parameter that had its first gradient at the third step", rtol=1e-5)


@every_case
def test_gradients_are_not_modified(rng, settings):
    w, g = rng.standard_normal((2, 3, 4))
    p = Tensor(w.copy(), requires_grad=True)
    optimizer = Muon([p], lr=0.1, **settings)
    p.grad = g
    with expect.unchanged(g):
        optimizer.step()
        optimizer.step()
    expect.close(p.data, by_hand(w, [g, g], 0.1, **settings), "weights after two steps", rtol=1e-5)


@every_case
def test_resuming_is_bit_exact(rng, settings):
    w, grads = (
        rng.standard_normal((4, 3)).astype(np.float32),
        rng.standard_normal((6, 4, 3)).astype(np.float32),
    )
    _, straight = train(w, grads, lr=0.1, **settings)
    optimizer, p = train(w, grads[:3], lr=0.1, **settings)
    q = Tensor(p.data.copy(), requires_grad=True)
    resumed = Muon([q], lr=0.7)
    resumed.load_state_dict(optimizer.state_dict())
    go_on(resumed, q, grads[3:])
    expect.equal(q.data, straight.data, "weights of a run that was saved and resumed")
    want = by_hand(w.astype(float), grads.astype(float), 0.1, **settings)
    expect.close(q.data, want.astype(np.float32), "the same weights", rtol=1e-3)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)], ids=str)
def test_float32_stays_float32(rng, shape):
    w, grads = (
        rng.standard_normal(shape).astype(np.float32),
        rng.standard_normal((2, *shape)).astype(np.float32),
    )
    optimizer, p = train(w, grads, lr=0.1)
    want = by_hand(w.astype(float), grads.astype(float), 0.1)
    expect.close(p.data, want, "weights in float32", rtol=1e-3, dtype=np.float32)
    expect.equal(str(optimizer.state[p]["mean"].dtype), "float32", "dtype of the momentum")


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), ()], ids=str)
def test_only_matrices(shape):
    matrix = Tensor(np.ones((2, 2)), requires_grad=True)
    other = Tensor(np.ones(shape), requires_grad=True)
    with expect.raises(ValueError, str(shape)):
        Muon([matrix, other])
    optimizer = Muon([matrix], lr=0.1)
    with expect.raises(ValueError, str(shape)):
        optimizer.add_param_group({"params": other})
    expect.equal(len(optimizer.param_groups), 1, "number of groups after a refusal")
    with expect.raises(ValueError, str(shape)):
        newton_schulz(np.ones(shape))


WRONG = [
    ({"lr": -0.1}, ("lr", "-0.1")),
    ({"lr": float("nan")}, ("lr", "nan")),
    ({"weight_decay": -1.0}, ("weight_decay", "-1.0")),
    ({"weight_decay": float("nan")}, ("weight_decay", "nan")),
    ({"momentum": 1.0}, ("momentum", "1.0")),
    ({"momentum": -0.5}, ("momentum", "-0.5")),
    ({"momentum": float("nan")}, ("momentum", "nan")),
    ({"eps": -1e-8}, ("eps", "-1e-08")),
    ({"eps": float("nan")}, ("eps", "nan")),
    ({"ns_steps": 0}, ("ns_steps", "0")),
    ({"ns_steps": float("nan")}, ("ns_steps", "nan")),
    ({"ns_coefficients": (1.5, -0.5)}, ("ns_coefficients", "1.5", "-0.5")),
    ({"adjust_lr_fn": "both"}, ("adjust_lr_fn", "both")),
]


@pytest.mark.parametrize(
    ("settings", "named"), WRONG, ids=[", ".join(f"{n}={v}" for n, v in s.items()) for s, _ in WRONG]
)
def test_settings_out_of_range_are_named(settings, named):
    with expect.raises(ValueError, *named):
        Muon([Tensor(np.ones((2, 2)), requires_grad=True)], **settings)
