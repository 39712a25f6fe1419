"""Deep linear networks: closed forms of single modes, and the networks that must follow them."""

import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.continuous.deep_linear import (
    aligned_init,
    correlations,
    deep_mode,
    half_time,
    linear_gradients,
    mode_strength,
    mode_strengths,
    train_linear,
    whiten,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def orthogonal(rng, rows, columns):
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]


def task(rng, strengths=(4.0, 2.0, 1.0), outputs=5, inputs=4):
    """Syx with these singular values, and its modes U (K, R), V (D, R)."""
    U, V = orthogonal(rng, outputs, len(strengths)), orthogonal(rng, inputs, len(strengths))
    return (U * np.array(strengths)) @ V.T, U, V


def multiply(weights):
    total = weights[0]
    for W in weights[1:]:
        total = W @ total
    return total


# The data


def test_correlations_are_means_over_examples(rng):
    X, Y = rng.standard_normal((7, 3)) + 1, rng.standard_normal((7, 2))
    with expect.unchanged(X, Y):
        got = correlations(X, Y)
    expect.close(got.xx, sum(np.outer(x, x) for x in X) / 7, "the mean of x x^T", rtol=1e-12)
    expect.close(got.yx, sum(np.outer(y, x) for x, y in zip(X, Y, strict=True)) / 7, "the mean of y x^T")


def test_whitening_is_the_symmetric_root(rng):
    X = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 3)) + 0.5
    with expect.unchanged(X):
        white = whiten(X)
    expect.close(white.T @ white / 20, np.eye(3), "the mean of x x^T of white inputs", rtol=1e-9, atol=1e-10)
    values, Q = np.linalg.eigh(X.T @ X / 20)
    expect.close(white, X @ (Q / np.sqrt(values)) @ Q.T, "the white inputs", rtol=1e-7, atol=1e-9)
    white = whiten(X * [1.0, 1e-10, 1.0])
    what = "the mean of x x^T with a column of 1e-10: of Sxx itself nothing would be left of it"
    expect.close(white.T @ white / 20, np.eye(3), what, atol=1e-4)


# One mode


def test_a_mode_of_two_layers_is_a_logistic_curve():
    s, u0, t = 3.0, 0.01, np.array([0.0, 0.3, 1.0, 2.0])
    want = s * np.exp(2 * s * t) / (np.exp(2 * s * t) - 1 + s / u0)
    expect.close(mode_strength(s, u0, t), want, "the strength at four times", rtol=1e-11)
    expect.close(mode_strength(s, u0, 50 * t, 50.0), want, "the strength with tau = 50", rtol=1e-11)
    above = 3 / (1 + (3 / 5 - 1) * np.exp(-6 * t))
    expect.close(mode_strength(3, 5, t), above, "the strength from 5, above s = 3", rtol=1e-11)


def test_strengths_broadcast():
    s, t = np.array([1.0, 2.0]), np.array([[0.0], [0.5], [1.5]])
    want = s / (1 + (s / 0.1 - 1) * np.exp(-2 * s * t))
    expect.close(mode_strength(s, 0.1, t), want, "strengths of two modes at three times", rtol=1e-11)


def test_late_times_and_modes_without_signal():
    with expect.quiet("mode_strength"):
        expect.close(mode_strength(5.0, 1e-6, 1e4), np.array(5.0), "the strength at time 10000")
        got = mode_strength(0.0, 0.5, np.array([0.0, 1.0, 10.0]))
        expect.close(got, 0.5 / (1 + np.array([0.0, 1.0, 10.0])), "the strength for s = 0, u0 / (1 + 2 u0 t)")
        got = mode_strength(0.0, 0.5, np.array([0.0, 8.0]), 4.0)
        expect.close(got, np.array([0.5, 0.5 / 3]), "the strength for s = 0 with tau = 4")
        got = mode_strength([2.0, 2.0], [0.0, 2.0], [1e5, 1e5])
        expect.close(got, np.array([0.0, 2.0]), "the strength from u0 = 0, and from u0 = s")
        tiny = mode_strength(1e-18, 0.5, 1.0)
        expect.close(tiny, np.array(0.25), "the strength for s = 1e-18", rtol=1e-11)


def test_at_the_half_time_half_is_learned():
    s, u0 = np.array([4.0, 1.0, 0.3]), 1e-3
    got = half_time(s, u0)
    expect.close(got, np.log(s / u0 - 1) / (2 * s), "the half times of three modes", rtol=1e-12)
    expect.close(half_time(s, u0, 20.0), 20 * got, "the half times with tau = 20", rtol=1e-12)
    expect.close(mode_strength(s, u0, half_time(s, u0, 7.0), 7.0), s / 2, "the strength then", rtol=1e-10)
    expect.close(half_time(2.0, 1.5), np.array(-math.log(3) / 4), "the half time of a mode that is past it")


def test_one_layer_learns_every_mode_at_the_same_rate():
    ts = np.array([0.0, 0.5, 3.0])
    for s in (4.0, 0.5):
        got = deep_mode(s, 0.1, ts, 1)
        expect.close(got, s + (0.1 - s) * np.exp(-ts), f"a mode of strength {s} in one layer", rtol=1e-6)


def test_two_layers_are_the_logistic_curve_again():
    ts = np.array([0.0, 0.7, 1.2, 4.0])
    want = 2 / (1 + (2 / 1e-3 - 1) * np.exp(-4 * ts))
    expect.close(deep_mode(2.0, 1e-3, ts, 2), want, "a mode in two layers", rtol=1e-6)
    want = 2 / (1 + (2 / 1e-6 - 1) * np.exp(-4 * ts))
    expect.close(deep_mode(2.0, 1e-6, ts, 2), want, "a mode in two layers from 1e-6", rtol=1e-6)


@pytest.mark.parametrize("depth", [3, 5])
def test_the_time_to_a_strength_is_an_integral(depth):
    """t(u) = integral of dv / (L v^(2 - 2/L) (s - v)), here by Simpson's rule in log v."""
    s, u0 = 1.5, 0.05
    x = np.linspace(math.log(u0), math.log(1.2), 2001)
    v = np.exp(x)
    rate = v / (depth * v ** (2 - 2 / depth) * (s - v))
    h = x[1] - x[0]
    t = h / 3 * float(rate[0] + rate[-1] + 4 * rate[1::2].sum() + 2 * rate[2:-1:2].sum())
    got = deep_mode(s, u0, [0.0, t], depth)
    expect.close(got, np.array([u0, 1.2]), f"a mode in {depth} layers when 1.2 is due", rtol=1e-6)


def test_without_signal_a_deep_mode_decays_as_a_power():
    got = deep_mode(0.0, 0.5, [0.0, 2.0], 3)
    expect.close(
        got, np.array([0.5, (0.5 ** (-4 / 3) + 8) ** -0.75]), "a mode of s = 0 in 3 layers", rtol=1e-6
    )
    rest = deep_mode(2.0, 0.0, [0.0, 9.0], 3), deep_mode(2.0, 0.0, [0.0, math.log(2)], 1)
    expect.close(
        np.stack(rest), np.array([[0.0, 0.0], [0.0, 1.0]]), "from 0, in 3 layers and in 1", rtol=1e-6
    )


# Networks


@pytest.mark.parametrize("hidden", [(), (6,), (3, 7), (4, 3, 5)])
def test_aligned_weights_give_each_mode_its_strength(rng, hidden):
    yx, _, _ = task(rng)
    yx = yx[:, :3]  # (5, 3): three modes, all of them above 0
    U, _, Vt = np.linalg.svd(yx, full_matrices=False)
    u0 = np.array([0.3, 0.2, 0.1])
    with expect.unchanged(yx, u0):
        weights = aligned_init(yx, hidden, u0, rng=rng)
    sizes = [3, *hidden, 5]
    want = [(b, a) for a, b in pairwise(sizes)]
    expect.equal([np.shape(W) for W in weights], want, f"the shapes of the weights for hidden {hidden}")
    expect.close(multiply(weights), (U * u0) @ Vt, "the product of the layers", rtol=1e-9, atol=1e-12)
    for W, after in pairwise(weights):
        expect.close(after.T @ after, W @ W.T, "W_(l+1)^T W_(l+1) against W_l W_l^T", rtol=1e-9, atol=1e-12)


def test_the_hidden_basis_is_drawn(rng):
    yx, _, _ = task(rng)
    one, two = (aligned_init(yx, (6,), 0.25, rng=rng) for _ in range(2))
    expect.close(multiply(one), multiply(two), "the product, for two draws", rtol=1e-9, atol=1e-12)
    expect.close(float(np.sum(one[0] ** 2)), 4 * 0.25, "the sum of squares of W_1, R a^2", rtol=1e-9)
    apart = float(np.abs(one[0] - two[0]).max())
    expect.true(apart > 1e-3, f"two draws of W_1 differ by {apart:.2g}: expected random hidden directions")


def test_a_narrow_layer_leaves_the_weakest_modes_out(rng):
    yx, U, V = task(rng)
    weights = aligned_init(yx, (6, 2), 0.5, rng=rng)
    want = 0.5 * U[:, :2] @ V[:, :2].T
    expect.close(multiply(weights), want, "the product through 2 hidden units", rtol=1e-9, atol=1e-12)
    learned = train_linear(weights, yx, 0.02, 600)[-1]
    want = (U[:, :2] * [4.0, 2.0]) @ V[:, :2].T
    expect.close(learned, want, "what they learn: the best map of rank 2", rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("white", [True, False], ids=["white", "correlated"])
@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2), (3, 4, 2, 5)])
def test_gradients_are_differences_of_the_loss(rng, sizes, white):
    X = rng.standard_normal((9, 3))
    X = math.sqrt(9) * np.linalg.qr(X)[0] if white else X
    Y = rng.standard_normal((9, sizes[-1]))
    weights = [rng.standard_normal((b, a)) for a, b in pairwise(sizes)]

    def loss(weights):
        return 0.5 * float(np.sum((X @ multiply(weights).T - Y) ** 2)) / 9

    with expect.unchanged(*weights):
        got = linear_gradients(weights, Y.T @ X / 9, None if white else X.T @ X / 9)
    expect.equal(len(got), len(weights), "the number of gradients")
    for i, W in enumerate(weights):
        want = np.zeros_like(W)
        for at in np.ndindex(W.shape):
            moved = [V.copy() for V in weights]
            moved[i][at] += 1e-5
            up = loss(moved)
            moved[i][at] -= 2e-5
            want[at] = (up - loss(moved)) / 2e-5
        expect.close(got[i], want, f"the gradient by W_{i + 1} of {len(weights)}", rtol=1e-5, atol=1e-7)


def test_training_is_descent_on_all_layers_at_once(rng):
    yx, xx = rng.standard_normal((2, 3)), np.diag([1.0, 2.0, 0.5])
    W1, W2 = rng.standard_normal((4, 3)), rng.standard_normal((2, 4))
    want, first, second = [W2 @ W1], W1, W2
    for _ in range(4):
        error = second @ first @ xx - yx
        first, second = first - 0.05 * second.T @ error, second - 0.05 * error @ first.T
        want.append(second @ first)
    with expect.unchanged(W1, W2, yx, xx):
        got = train_linear([W1, W2], yx, 0.05, 4, xx)
    expect.close(got, np.stack(want), "the product after each of 4 steps", rtol=1e-11)
    expect.close(train_linear([W1, W2], yx, 0.05, 0), want[0][None], "the product of 0 steps")


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_aligned_modes_never_hear_of_each_other(rng, depth):
    """Descent on the shares alone: a <- a + lr a^(L-1) (s - a^L), to the last digits."""
    yx, _, _ = task(rng)
    yx = yx[:, :3]
    s = np.linalg.svd(yx, compute_uv=False)
    a = np.full(3, 0.2 ** (1 / depth))
    want = [a**depth]
    for _ in range(60):
        a = a + 0.02 * a ** (depth - 1) * (s - a**depth)
        want.append(a**depth)
    path = train_linear(aligned_init(yx, [6] * (depth - 1), 0.2, rng=rng), yx, 0.02, 60)
    expect.close(mode_strengths(path, yx), np.stack(want), f"three modes in {depth} layers", rtol=1e-8)
    U, _, Vt = np.linalg.svd(yx, full_matrices=False)
    expect.close(path[-1], (U * want[-1]) @ Vt, "the product at the end", rtol=1e-8, atol=1e-9)


def test_descent_approaches_the_curve_in_proportion_to_its_step(rng):
    yx, _, _ = task(rng, (4.0, 2.0, 1.0), 3, 3)
    worst = []
    for lr, steps in ((0.02, 150), (0.01, 300)):
        path = train_linear(aligned_init(yx, (4,), 0.05, rng=rng), yx, lr, steps)
        t = lr * np.arange(steps + 1)[:, None]
        want = np.array([4.0, 2.0, 1.0]) / (
            1 + (np.array([4.0, 2.0, 1.0]) / 0.05 - 1) * np.exp(-2 * t * [4, 2, 1])
        )
        worst.append(float(np.abs(mode_strengths(path, yx) - want).max()))
    order = math.log2(worst[0] / worst[1])
    expect.true(
        0.8 < order < 1.25 and worst[1] < 0.1, f"distances {worst} from the curve, of order {order:.2f}"
    )


def test_modes_are_learned_one_after_the_other(rng):
    """From small random weights. Over 60 seeds s t is 5.9 to 8.4, and the weakest has at most 0.001."""
    yx, _, _ = task(rng, (4.0, 2.0, 1.0), 4, 3)
    weights = [1e-3 * rng.standard_normal((6, 3)), 1e-3 * rng.standard_normal((4, 6))]
    strengths = mode_strengths(train_linear(weights, yx, 0.02, 600), yx)
    s = np.array([4.0, 2.0, 1.0])
    when = 0.02 * np.argmax(strengths > s / 2, axis=0)
    expect.close(strengths[-1], s, "the strengths at the end", rtol=1e-3)
    expect.true(
        bool(np.all((when * s > 5) & (when * s < 10))), f"half times {when}, expected about 7 / s each"
    )
    last = float(strengths[np.argmax(strengths[:, 0] > 3.8), 2])
    expect.true(
        last < 0.1, f"the weakest mode has {last:.3g} of 1 when the strongest is learned, expected < 0.1"
    )


def test_correlated_inputs_lead_elsewhere(rng):
    X, Y = rng.standard_normal((30, 3)) * [1.0, 2.0, 0.7], rng.standard_normal((30, 2))
    xx, yx = X.T @ X / 30, Y.T @ X / 30
    path = train_linear(
        [0.3 * rng.standard_normal((4, 3)), 0.3 * rng.standard_normal((2, 4))], yx, 0.1, 1500, xx
    )
    expect.close(path[-1], np.linalg.solve(xx, yx.T).T, "the end, Syx Sxx^-1", rtol=1e-5, atol=1e-7)


def test_weights_of_zero_stay(rng):
    yx, _, _ = task(rng)
    start = [np.zeros((3, 4)), np.zeros((5, 3))]
    expect.close(train_linear(start, yx, 0.1, 5)[-1], np.zeros((5, 4)), "the product from weights of 0")
    single = train_linear(start[1:], yx[:, :3], 0.5, 1)[-1]
    expect.close(single, 0.5 * yx[:, :3], "a single layer from 0, after a step of 0.5")


def test_strengths_do_not_depend_on_the_sign_of_a_vector(rng):
    yx, U, V = task(rng, (4.0, 2.0, 1.0), 3, 3)
    u = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 7.0]])
    maps = np.stack([(U * row) @ V.T for row in u]) + 0.3 * np.outer(U[:, 0], V[:, 1])
    with expect.unchanged(maps, yx):
        got = mode_strengths(maps, yx)
    expect.close(got, u, "the strengths of two maps", rtol=1e-10, atol=1e-12)
    expect.close(mode_strengths(maps[0], yx), u[0], "the strengths of one map", rtol=1e-10, atol=1e-12)
    expect.close(mode_strengths(-yx, yx), np.array([-4.0, -2.0, -1.0]), "those of -Syx", rtol=1e-10)
    wide, _, _ = task(rng, (3.0, 2.0), 2, 5)
    expect.close(mode_strengths(wide, wide), np.array([3.0, 2.0]), "those of a wide Syx", rtol=1e-10)


# Errors


def test_data_that_do_not_belong_together_are_refused():
    with expect.raises(ValueError, "(4, 2)", "(3, 2)"):
        correlations(np.zeros((4, 2)), np.zeros((3, 2)))
    with expect.raises(ValueError, "(4, 2)", "(4,)"):
        correlations(np.zeros((4, 2)), np.zeros(4))


def test_what_cannot_be_white_is_refused(rng):
    with expect.raises(ValueError, "(2, 3)"):
        whiten(rng.standard_normal((2, 3)))
    x, y = 1e6 * rng.standard_normal((2, 6, 1))
    with expect.raises(ValueError, "(6, 3)"):
        whiten(np.hstack([x, y, x]))


@pytest.mark.parametrize("u0", [0.0, -0.5, 2.0, 2.5, math.nan])
def test_modes_that_never_reach_half_are_refused(u0):
    with expect.raises(ValueError, str(u0), "2.0"):
        half_time(2.0, u0)
    with expect.raises(ValueError, f"{u0:g}"):  # one of several
        half_time(2.0, [0.5, u0])


def test_depths_and_strengths_out_of_range_are_refused():
    with expect.raises(ValueError, "0"):
        deep_mode(1.0, 0.1, [0, 1], 0)
    with expect.raises(ValueError, "-0.25"):
        deep_mode(1.0, -0.25, [0, 1], 2)
    with expect.raises(ValueError, "-1.5"):
        deep_mode(-1.5, 0.25, [0, 1], 2)


def test_layers_that_do_not_fit_are_refused(rng):
    a, b = np.zeros((4, 3)), np.zeros((2, 5))
    with expect.raises(ValueError, "(4, 3)", "(2, 5)"):
        train_linear([a, b], np.zeros((2, 3)), 0.1, 1)
    with expect.raises(ValueError, "(4, 3)", "2"):
        train_linear([a], np.zeros((2, 3)), 0.1, 1)
    with expect.raises(ValueError, "(4, 3)", "5"):
        train_linear([a], np.zeros((4, 5)), 0.1, 1)
    with expect.raises(ValueError, "-0.5"):
        train_linear([a], np.zeros((4, 3)), -0.5, 1)
