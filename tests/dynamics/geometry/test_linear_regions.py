"""Folds against the same folding in fractions, which never round, and tents, whose pieces are known."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.credit.mlp_backprop import Spec, flatten, forward
from dynamics.geometry.linear_regions import (
    breakpoints_1d,
    count_patterns,
    count_regions_1d,
    fold_1d,
    on_segment,
    patterns,
    tent_compose,
)

SPECS = [
    Spec((1, 3, 1), "relu"),
    Spec((1, 4, 3, 2), "relu"),
    Spec((1, 3, 4, 3, 1), "relu"),
    Spec((1, 4, 2), "relu", "relu"),
    Spec((1, 3, 3, 2), "relu", bias=False),
    Spec((1, 3, 2), "linear", "relu"),
    Spec((1, 3), "relu", "relu"),
]
NAMES = [f"{s.sizes} {s.hidden} {s.output}{'' if s.bias else ' no bias'}" for s in SPECS]


def eighths(spec, seed):
    """Parameters that are multiples of 1/8, without zeros: exact as floats and as fractions."""
    rng = np.random.default_rng(seed)
    count = sum(k * (d + spec.bias) for d, k in pairwise(spec.sizes))
    return rng.choice([-1, 1], count) * rng.integers(1, 17, count) / 8


def middle(low, high):
    """A number between the two; None is no end."""
    if low is None:
        return Fraction(0) if high is None else high - 1
    return low + 1 if high is None else (low + high) / 2


def folded(theta, spec):
    """The folds, their layers, and slope and offset of each output in each piece; in fractions throughout."""
    numbers = iter(map(Fraction, theta))
    # a piece: its ends, the line (slope, offset) of each signal, and which units of which layer are on
    pieces = [(None, None, [(Fraction(1), Fraction(0))], ())]
    for i, (fan_in, fan_out) in enumerate(pairwise(spec.sizes), 1):
        W = [[next(numbers) for _ in range(fan_in)] for _ in range(fan_out)]
        b = [next(numbers) if spec.bias else Fraction(0) for _ in range(fan_out)]
        relu = (spec.output if i == len(spec.sizes) - 1 else spec.hidden) == "relu"
        cut = []
        for low, high, lines, state in pieces:
            z = []
            for row, c in zip(W, b, strict=True):
                slope = sum(w * s for w, (s, _) in zip(row, lines, strict=True))
                z.append((slope, sum(w * o for w, (_, o) in zip(row, lines, strict=True)) + c))
            zeros = {-o / s for s, o in z if s} if relu else set()
            inside = sorted(x for x in zeros if (low is None or x > low) and (high is None or x < high))
            for left, right in pairwise([low, *inside, high]):
                on = [s * middle(left, right) + o > 0 or not relu for s, o in z]
                bent = [
                    line if unit else (Fraction(0), Fraction(0)) for line, unit in zip(z, on, strict=True)
                ]
                cut.append((left, right, bent, (*state, on)))
        pieces = cut
    x, layer, lines = [], [], [pieces[0][2]]
    for before, after in pairwise(pieces):
        switched = [i for i, (a, b) in enumerate(zip(before[3], after[3], strict=True), 1) if a != b]
        if switched:
            x.append(float(before[1]))
            layer.append(switched[0])
            lines.append(after[2])
    slopes, offsets = np.array(lines, float).transpose(2, 0, 1)
    return np.array(x), np.array(layer, int), slopes, offsets


def between(x):
    """A point in each piece, (B + 1, 1)."""
    ends = np.r_[x[0] - 2, x, x[-1] + 2]
    return ((ends[:-1] + ends[1:]) / 2)[:, None]


def one_layer(w, b, out):
    """One input, a hidden layer, one output without a bias of its own."""
    w, b, out = (np.array(v, float) for v in (w, b, out))
    return flatten([w[:, None], out[None]], [b, np.zeros(1)]), Spec((1, len(w), 1), "relu")


# Folds


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_folds_are_those_of_exact_fractions(spec, seed):
    theta = eighths(spec, seed)
    with expect.unchanged(theta), expect.quiet("fold_1d"):
        got = fold_1d(theta, spec)
    x, layer, slopes, offsets = folded(theta, spec)
    expect.close(got.x, x, "the places of the folds", rtol=1e-10, atol=1e-11)
    expect.equal(got.layer, layer, "the layers of the folds")
    expect.close(got.slopes, slopes, "the slopes of the pieces", rtol=1e-9, atol=1e-10)
    expect.close(got.offsets, offsets, "the offsets of the pieces", rtol=1e-9, atol=1e-10)


def test_one_hidden_layer_folds_at_minus_b_over_w():
    w, b, out = [2.0, -1.0, 0.3, 4.0], [1.0, 3.0, 0.7, -9.0], [1.0, 5.0, -2.0, 0.5]
    theta, spec = one_layer(w, b, out)
    want = np.array([-0.7 / 0.3, -0.5, 2.25, 3.0])
    got = fold_1d(theta, spec)
    expect.close(got.x, want, "the places of the folds", rtol=1e-14)
    expect.equal(got.layer, np.ones(4, int), "their layers")
    expect.close(breakpoints_1d(theta, spec), want, "the kinks", rtol=1e-14)
    slopes = [
        sum(o * v for o, v, c in zip(out, w, b, strict=True) if v * x + c > 0) for x in (-3, -1, 0, 2.5, 4)
    ]
    expect.close(got.slopes[:, 0], np.array(slopes), "the slopes of the pieces", rtol=1e-12)
    expect.equal(count_regions_1d(theta, spec), 5, "linear regions")


def test_the_pieces_are_the_network():
    spec = Spec((1, 16, 16, 16, 2), "relu")
    rng = np.random.default_rng(0)
    theta = rng.normal(size=spec.parameters) / 3
    got = fold_1d(theta, spec)
    x = 4 * rng.normal(size=500)
    piece = np.array([sum(v > k for k in got.x) for v in x])
    lines = got.slopes[piece] * x[:, None] + got.offsets[piece]
    expect.close(lines, forward(theta, spec, x[:, None])[0], "slope x + offset", rtol=1e-9, atol=1e-10)
    expect.true(bool(np.all(np.diff(got.x) > 0)), f"the folds should rise, they are {got.x}")
    met = [(z > 0).tobytes() for z in np.hstack(forward(theta, spec, between(got.x))[1].pre[:3])]
    same = sum(a == b for a, b in pairwise(met))
    expect.equal((len(met), same), (len(got.x) + 1, 0), "pieces, and folds where no unit switches")
    expect.equal(len(set(met)), len(got.x) + 1, "patterns in as many pieces")


def test_places_far_away_and_close_by_keep_their_digits():
    theta, spec = one_layer([1e-8, -1e8, 1e-9], [1.0, 3.0, 0.7], [1.0, 1.0, 1.0])
    want = np.array([-7e8, -1e8, 3e-8])
    expect.close(fold_1d(theta, spec).x, want, "folds far away and near 0", rtol=1e-12, atol=0.0)


def test_a_piece_too_narrow_for_any_grid():
    theta, spec = one_layer([1.0, 1.0], [-0.3, -0.3 - 1e-7], [1.0, -1.0])
    expect.close(breakpoints_1d(theta, spec), np.array([0.3, 0.3 + 1e-7]), "two kinks 1e-7 apart", rtol=1e-12)


def test_a_later_layer_folds_on_both_rays():
    """h = max(x, 0) and max(-x, 0); the next unit 1 - h_1 - h_2 = 1 - |x| is on between -1 and 1."""
    theta = np.array([1.0, -1.0, 0.0, 0.0, -1.0, -1.0, 1.0, 2.0, 0.5])
    got = fold_1d(theta, Spec((1, 2, 1, 1), "relu"))
    expect.close(got.x, np.array([-1.0, 0.0, 1.0]), "the places of the folds")
    expect.equal(got.layer, np.array([2, 1, 2]), "their layers")
    expect.close(got.slopes, np.array([[0.0], [2.0], [-2.0], [0.0]]), "the slopes")
    expect.close(got.offsets, np.array([[0.5], [2.5], [2.5], [0.5]]), "the offsets")


def test_a_network_without_folds_is_one_piece():
    got = fold_1d(np.array([3.0, 2.0, -1.0, 5.0]), Spec((1, 1, 1), "linear"))
    expect.equal((got.x.shape, got.layer.shape), ((0,), (0,)), "shapes of no folds")
    expect.close(got.slopes, np.array([[-3.0]]), "the slope of -(3 x + 2) + 5")
    expect.close(got.offsets, np.array([[3.0]]), "its offset")
    theta, spec = one_layer([0.0, 0.0], [1.0, -1.0], [2.0, 7.0])
    got = fold_1d(theta, spec)
    expect.equal(got.x.shape, (0,), "shape of the folds of units that never switch")
    expect.close(np.hstack([got.slopes, got.offsets]), np.array([[0.0, 2.0]]), "slope and offset")
    expect.equal(count_regions_1d(theta, spec), 1, "linear regions")


def test_folds_in_one_place_are_one():
    """-0.3 / 0.1 and -0.9 / 0.3 are -3, but for the last digit; the units turn in opposite directions."""
    theta, spec = one_layer([0.1, -0.3, 1.0], [0.3, -0.9, 5.0], [1.0, 1.0, 1.0])
    got = fold_1d(theta, spec)
    expect.close(got.x, np.array([-5.0, -3.0]), "two units that fold at -3, and one at -5")
    expect.close(got.slopes[:, 0], np.array([-0.3, 0.7, 1.1]), "the slopes")
    expect.equal(count_regions_1d(theta, spec), 3, "linear regions")


def test_folds_in_one_place_far_away_are_one():
    """-1.1e5 / 1.1 and -7e4 / 0.7 differ by 1.5e-11: relative to the place, by rounding."""
    theta, spec = one_layer([1.1, -0.7], [1.1e5, -7e4], [1.0, 1.0])
    expect.close(fold_1d(theta, spec).x, np.array([-1e5]), "two units that fold at -100000")


@pytest.mark.parametrize("beside", [5e-13, -5e-13])
def test_folds_of_two_layers_in_one_place_are_one(beside):
    """Layer 1 folds at 0.5, 0.501 and 0.7, layer 2 at 0.501 but for 5e-13."""
    theta = np.array([1.0, 1.0, 1.0, -0.5, -0.501, -0.7, 1.0, 0.0, 0.0, -0.001 - beside, 1.0, 0.0])
    got = fold_1d(theta, Spec((1, 3, 1, 1), "relu"))
    expect.close(got.x, np.array([0.5, 0.501, 0.7]), "the places of the folds", rtol=1e-10)
    expect.equal(got.layer, np.array([1, 1, 1]), "their layers")
    expect.close(got.slopes, np.array([[0.0], [0.0], [1.0], [1.0]]), "the slopes")


def test_a_unit_that_touches_zero_does_not_switch():
    """z = -|x - 0.3| in the second layer: 0 at 0.3, where the first layer folds, and nowhere above."""
    theta = np.array([1.0, -1.0, -0.3, 0.3, -1.0, -1.0, 0.0, 1.0, 0.0])
    got = fold_1d(theta, Spec((1, 2, 1, 1), "relu"))
    expect.close(got.x, np.array([0.3]), "the fold of the first layer")
    expect.equal(got.layer, np.array([1]), "its layer")
    expect.close(got.slopes, np.zeros((2, 1)), "the slopes of a unit that is never on")


def test_a_unit_that_rests_at_zero_does_not_switch_by_rounding():
    """z = w (x + 1) + v (x + 2) - (w + v) (x + c) with c = (w + 2 v) / (w + v) is 0 for every x > -1."""
    rng = np.random.default_rng(0)
    w, v = rng.uniform(0.1, 1, (2, 16))
    second = np.column_stack([w, v, np.diag(-(w + v))])  # (16, 18)
    first = np.r_[1.0, 2.0, (w + 2 * v) / (w + v)]
    theta = flatten([np.ones((18, 1)), second, np.ones((1, 16))], [first, np.zeros(16), np.zeros(1)])
    got = fold_1d(theta, Spec((1, 18, 16, 1), "relu"))
    far = got.x[np.abs(got.x + 1.5) > 0.5 + 1e-9]
    expect.true(
        far.size == 0, f"folds at {far}, where a z is 0 but for rounding; all true ones are in [-2, -1]"
    )
    expect.close(got.x[[0, -1]], np.array([-2.0, -1.0]), "the first fold and the last", rtol=1e-9)
    expect.close(got.slopes[-1], np.zeros(1), "the last slope", atol=1e-10)


# Kinks of the function


def test_a_fold_that_nobody_hears_is_no_kink():
    theta, spec = one_layer([1.0, 1.0, -1.0], [0.0, -1.0, 2.0], [1.0, 0.0, 3.0])
    expect.close(fold_1d(theta, spec).x, np.array([0.0, 1.0, 2.0]), "the folds")
    expect.close(breakpoints_1d(theta, spec), np.array([0.0, 2.0]), "the kinks")
    expect.equal(count_regions_1d(theta, spec), 3, "linear regions")
    theta = np.array([1.0, 1.0, 0.0, -1.0, -1.0, -1.0, -1.0, 5.0, 0.5])  # the second layer is never on
    spec = Spec((1, 2, 1, 1), "relu")
    expect.equal((len(fold_1d(theta, spec).x), count_regions_1d(theta, spec)), (2, 1), "folds and regions")


def test_two_folds_that_cancel_are_no_kink():
    """max(x - 1, 0) + max(1 - x, 0) has a kink; with a minus it is a straight line."""
    theta, spec = one_layer([1.0, -1.0], [-1.0, 1.0], [0.1, 0.1])
    expect.close(breakpoints_1d(theta, spec), np.array([1.0]), "the kink of |x - 1|")
    theta, spec = one_layer([0.3, -0.1], [-0.3, 0.1], [0.1, -0.3])
    expect.close(fold_1d(theta, spec).x, np.array([1.0]), "the fold of a straight line")
    expect.equal(breakpoints_1d(theta, spec).shape, (0,), "shape of its kinks")


@pytest.mark.parametrize(("turn", "kinks"), [(1e-10, [5.0]), (1e-8, [0.0, 5.0])])
def test_a_kink_has_to_show_beside_the_largest_slope(turn, kinks):
    """Slopes 0, turn and 1 + turn: what is below 1e-9 of the largest of all is rounding."""
    got = breakpoints_1d(*one_layer([1.0, 1.0], [0.0, -5.0], [turn, 1.0]))
    expect.close(got, np.array(kinks), f"kinks of a function whose slope turns by {turn} and by 1")


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_kinks_are_relative_to_the_slopes(scale):
    theta, spec = one_layer([0.3, -0.1, 1.0], [-0.3, 0.1, 2.0], [0.1 * scale, -0.3 * scale, 0.2 * scale])
    expect.close(breakpoints_1d(theta, spec), np.array([-2.0]), f"the kink of a function of size {scale}")


def test_a_kink_of_any_output_counts():
    """At 1 the first output turns up by as much as the second turns down; or each output has its own kink."""
    for W in ([1.0, 1.0, 0.0, -1.0], [1.0, 0.0, 0.0, 1.0]):
        theta = np.array([1.0, 1.0, 0.0, -1.0, *W, 0.0, 0.0])
        got = breakpoints_1d(theta, Spec((1, 2, 2), "relu"))
        expect.close(got, np.array([0.0, 1.0]), f"kinks of two outputs with the weights {W}")


def test_only_kinks_strictly_between_the_ends_count():
    theta, spec = one_layer([1.0, 1.0, 1.0, 1.0], [0.0, -1.0, -2.0, 3.0], [1.0, 1.0, 1.0, 1.0])
    for low, high, want in [
        (0.0, 2.0, [1.0]),
        (-0.1, 2.1, [0.0, 1.0, 2.0]),
        (-math.inf, 1.0, [-3.0, 0.0]),
        (1.0, math.inf, [2.0]),
        (0.2, 0.7, []),
    ]:
        expect.close(
            breakpoints_1d(theta, spec, low, high), np.array(want), f"kinks between {low} and {high}"
        )
        expect.equal(count_regions_1d(theta, spec, low, high), len(want) + 1, f"regions from {low} to {high}")


@pytest.mark.parametrize("seed", range(3))
def test_no_more_regions_than_the_product(seed):
    spec = Spec((1, 4, 3, 2, 1), "relu")
    theta = np.random.default_rng(seed).normal(size=spec.parameters)
    x = folded(theta, spec)[0]
    got = len(fold_1d(theta, spec).x)
    expect.equal(got, len(x), "folds")
    expect.true(got + 1 <= 5 * 4 * 3, f"{got + 1} regions, more than 5 * 4 * 3")
    expect.true(count_regions_1d(theta, spec) <= got + 1, "more linear regions than regions of activation")


# Tents


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 10])
def test_composed_tents_have_two_to_the_depth_pieces(depth):
    theta, spec = tent_compose(depth)
    expect.equal((spec.sizes, spec.hidden), ((1, *[2] * depth, 1), "relu"), "sizes and activation")
    expect.equal(count_regions_1d(theta, spec, 0.0, 1.0), 2**depth, f"pieces of {depth} tents on [0, 1]")
    want = np.arange(1, 2**depth) / 2**depth
    expect.close(
        breakpoints_1d(theta, spec, 0.0, 1.0), want, "their kinks, multiples of 2^-depth", rtol=1e-12
    )
    x = np.linspace(0, 1, 101)
    y = x.copy()
    for _ in range(depth):
        y = np.array([2 * v if v < 0.5 else 2 - 2 * v for v in y])
    expect.close(
        forward(theta, spec, x[:, None])[0][:, 0], y, f"{depth} tents in a row", rtol=1e-9, atol=1e-12
    )


def test_tents_in_a_slanted_unit_of_length():
    """T(0.7 x + 0.1) three times: folds of later layers fall on those of earlier ones but for rounding."""
    theta, spec = tent_compose(3)
    theta = theta.copy()
    theta[:4] = [0.7, 0.7, 0.1, 0.1 - 0.5]
    got = breakpoints_1d(theta, spec, -0.1 / 0.7 + 1e-9, 0.9 / 0.7 - 1e-9)
    expect.close(got, (np.arange(1, 8) / 8 - 0.1) / 0.7, "the kinks of three tents", rtol=1e-10)


# Patterns


def test_patterns_by_hand():
    """z_1 = x - y, x + y - 2; z_2 = h_1 - 1: a unit is on where z > 0, and 0 is off."""
    theta = np.array([1.0, -1.0, 1.0, 1.0, 0.0, -2.0, 1.0, 0.0, -1.0, 5.0, 0.0])
    X = np.array([[3.0, 1.0], [1.0, 1.0], [0.0, 3.0], [2.0, 1.0]])
    with expect.unchanged(theta, X):
        got = patterns(theta, Spec((2, 2, 1, 1), "relu"), X)
    want = np.array([[True, True, True], [False, False, False], [False, True, False], [True, True, False]])
    expect.equal(got, want, "which units are on")
    got = patterns(theta, Spec((2, 2, 1, 1), "relu", "relu"), X)
    want = np.c_[want, [True, False, False, False]]
    expect.equal(got, want, "which units are on, the output with ReLU, too")
    got = patterns(theta, Spec((2, 2, 1, 1), "linear", "relu"), X)
    expect.equal(got.shape, (4, 1), "shape of the patterns of one ReLU at the output")


def test_a_pattern_is_counted_once_wherever_it_is_met():
    theta, spec = one_layer([1.0, 1.0], [0.0, -1.0], [1.0, 1.0])
    X = np.array([[0.5], [-1.0], [0.7], [3.0], [-2.0], [0.1]])
    expect.equal(count_patterns(theta, spec, X), 3, "patterns among six inputs in three pieces")
    expect.equal(count_patterns(theta, spec, X[:3]), 2, "patterns among the first three")
    expect.equal(count_patterns(theta, spec, X[:1]), 1, "patterns of one input")
    line = Spec((1, 2, 1), "linear")
    expect.equal(count_patterns(theta, line, X), 1, "patterns of a network without ReLU")
    expect.equal(patterns(theta, line, X).shape, (6, 0), "shape of its patterns")


def test_training_points_see_fewer_regions_than_there_are():
    theta, spec = tent_compose(7)
    X = np.linspace(0.001, 0.999, 40)[:, None]
    x = fold_1d(theta, spec).x
    seen = count_patterns(theta, spec, X)
    expect.true(20 <= seen <= 40, f"40 points see {seen} patterns, expected 20 to 40 of 130")
    expect.equal(count_patterns(theta, spec, between(x)), len(x) + 1, "patterns, a point in each piece")


# Lines through a space of inputs


@pytest.mark.parametrize("bias", [True, False])
def test_on_a_segment_the_network_is_a_network_of_t(bias):
    spec = Spec((3, 5, 4, 2), "relu", bias=bias)
    rng = np.random.default_rng(2)
    theta, start, end = rng.normal(size=spec.parameters), rng.normal(size=3), rng.normal(size=3)
    with expect.unchanged(theta, start, end):
        line, narrow = on_segment(theta, spec, start, end)
    expect.equal((narrow.sizes, narrow.bias), ((1, 5, 4, 2), True), "sizes, and whether there are biases")
    t = np.array([[0.0], [1.0], [0.3], [-2.0], [5.0]])
    X = np.array([[(1 - v) * a + v * b for a, b in zip(start, end, strict=True)] for (v,) in t])
    expect.close(
        forward(line, narrow, t)[0], forward(theta, spec, X)[0], "the outputs along the line", rtol=1e-10
    )
    expect.equal(patterns(line, narrow, t), patterns(theta, spec, X), "the patterns along the line")


def test_any_activation_goes_onto_a_segment():
    spec = Spec((2, 3, 1), "tanh", "sigmoid")
    theta = np.random.default_rng(0).normal(size=spec.parameters)
    line, narrow = on_segment(theta, spec, np.array([1.0, 2.0]), np.array([0.0, 5.0]))
    expect.equal((narrow.hidden, narrow.output), ("tanh", "sigmoid"), "activations")
    got = forward(line, narrow, np.array([[0.5]]))[0]
    expect.close(got, forward(theta, spec, np.array([[0.5, 3.5]]))[0], "the output half way", rtol=1e-12)


def test_regions_between_two_points_of_the_plane():
    """max(x, 0) + max(y, 0) + max(x + y - 1, 0) from (-1, -2) to (3, 2): kinks at t = 1/4, 1/2 and 1/2."""
    theta = np.array([1.0, 0, 0, 1, 1, 1, 0, 0, -1, 1, 1, 1, 0])
    line = on_segment(theta, Spec((2, 3, 1), "relu"), np.array([-1.0, -2.0]), np.array([3.0, 2.0]))
    expect.close(breakpoints_1d(*line, 0.0, 1.0), np.array([0.25, 0.5]), "kinks on the segment")


# Errors


def test_networks_that_do_not_fold_are_refused():
    for spec in (Spec((1, 3, 1), "tanh"), Spec((1, 3, 1), "relu", "tanh")):
        for call in (fold_1d, breakpoints_1d, count_regions_1d):
            with expect.raises(ValueError, "tanh"):
                call(np.ones(10), spec)
        for call in (patterns, count_patterns):
            with expect.raises(ValueError, "tanh"):
                call(np.ones(10), spec, np.ones((2, 1)))


def test_several_inputs_and_wrong_sizes_are_refused():
    for call in (fold_1d, breakpoints_1d, count_regions_1d):
        with expect.raises(ValueError, "4"):
            call(np.ones(19), Spec((4, 3, 1), "relu"))
        with expect.raises(ValueError, "(9,)", "10"):
            call(np.ones(9), Spec((1, 3, 1), "relu"))
    for call in (patterns, count_patterns):
        with expect.raises(ValueError, "(2, 3)", "1"):
            call(np.ones(10), Spec((1, 3, 1), "relu"), np.ones((2, 3)))
    spec = Spec((2, 3, 1), "relu")
    with expect.raises(ValueError, "(3,)", "(2,)"):
        on_segment(np.ones(13), spec, np.ones(3), np.ones(2))
    with expect.raises(ValueError, "(2, 1)", "(2,)"):
        on_segment(np.ones(13), spec, np.ones(2), np.ones((2, 1)))
    with expect.raises(ValueError, "(12,)", "13"):
        on_segment(np.ones(12), spec, np.ones(2), np.ones(2))


def test_empty_intervals_and_no_tents_are_refused():
    theta, spec = one_layer([1.0], [0.0], [1.0])
    for call in (breakpoints_1d, count_regions_1d):
        with expect.raises(ValueError, "2.5", "-1.5"):
            call(theta, spec, 2.5, -1.5)
        with expect.raises(ValueError, "3"):
            call(theta, spec, 3.0, 3.0)
        with expect.raises(ValueError, "nan"):
            call(theta, spec, math.nan, 3.0)
    for depth in (0, -2):
        with expect.raises(ValueError, str(depth)):
            tent_compose(depth)
