"""Trees over bins: cuts by loops, sums that subtract, the best of all splits, exact greedy growth."""

import math

import numpy as np
import pytest

from classical_ml.ensemble.histogram_tree import (
    Tree,
    best_split,
    find_thresholds,
    grow,
    histogram,
    leaf_value,
    to_bins,
)
from curriculum.testing import expect

NO_LIMITS = {"max_depth": math.inf, "max_leaf_nodes": math.inf, "min_samples_leaf": 1, "l2": 0.0}


def problem(n=40, d=3, values=8, seed=0):
    """Binned features, and derivatives g and h > 0 with some structure."""
    rng = np.random.default_rng(seed)
    binned = rng.integers(0, values, (d, n)).astype(np.uint8)
    g = (binned[0] > 3) - 0.5 * (binned[-1] % 3) + 0.3 * rng.standard_normal(n)
    return binned, g, rng.uniform(0.5, 1.5, n)


def gain_of(g, h, left, l2):
    """The gain of sending the rows ``left`` (a mask) left, as in the definition."""
    sides = [(g[side].sum(), h[side].sum()) for side in (left, ~left, np.ones(len(g), bool))]
    parts = [G * G / (H + l2) for G, H in sides]
    return 0.5 * (parts[0] + parts[1] - parts[2])


def exact(binned, rows, g, h, *, max_depth, max_leaf_nodes, min_samples_leaf, l2):
    """Greedy growth by trying every cut between two values of every feature: the leaf of each row, values."""

    def best(rows):
        found = (0.0, None)
        for x in binned:
            for cut in np.unique(x[rows])[:-1]:
                left = x[rows] <= cut
                if min(left.sum(), (~left).sum()) >= min_samples_leaf:
                    gain = gain_of(g[rows], h[rows], left, l2)
                    if gain > found[0] + 1e-9:
                        found = (gain, rows[left], rows[~left])
        return found

    leaves = [(rows, 0, best(rows))]
    while len(leaves) < max_leaf_nodes:
        open_ = [leaf for leaf in leaves if leaf[2][0] > 1e-9 and leaf[1] < max_depth]
        if not open_:
            break
        leaf = max(open_, key=lambda leaf: leaf[2][0])
        at = next(i for i, other in enumerate(leaves) if other is leaf)
        leaves[at : at + 1] = [(side, leaf[1] + 1, best(side)) for side in leaf[2][1:]]
    F = np.zeros(len(g))
    for rows, _, _ in leaves:
        F[rows] = -g[rows].sum() / (h[rows].sum() + l2)
    return F, len(leaves)


def n_leaves(tree):
    return int((tree.feature < 0).sum())


# Bins


def test_few_values_are_cut_halfway():
    for x, want in (
        ([3.0, 1.0, 1.0, 2.0], [1.5, 2.5]),
        ([-4.0, 4.0, 0.0, 0.0], [-2.0, 2.0]),
        ([5.0, 5.0], []),
        ([7.0], []),
    ):
        expect.close(find_thresholds(np.array(x), 255), np.array(want, float), f"cuts of {x}")
    three = find_thresholds(np.array([1.0, 1.0, 1.0, 2.0, 3.0]), 3)
    expect.close(three, np.array([1.5, 2.5]), "cuts of 3 values into 3 bins")


def test_cuts_are_float64():
    x = np.array([1.0, 1.1, 3.0, 5.0], np.float32)
    want = (x.astype(float)[1:] + x[:-1]) / 2
    for max_bins, cuts in ((4, want), (2, want[1:2])):
        got = find_thresholds(x, max_bins)
        expect.close(got, cuts, f"cuts of float32, {max_bins} bins", dtype=np.float64, rtol=1e-14)


def test_many_values_are_cut_at_quantiles():
    x = np.array([5, 1, 8, 2, 6, 3, 7, 4.0])
    with expect.unchanged(x):
        got = find_thresholds(x, 4)
    expect.close(got, np.array([2.5, 4.5, 6.5]), "cuts of 1 ... 8 into 4 bins")
    ten = np.arange(10.0) ** 2
    expect.close(
        find_thresholds(ten, 4), np.array([4, (16 + 25) / 2, 49.0]), "cuts of 10 squares into 4 bins"
    )
    x = np.random.default_rng(0).standard_normal(1000)
    counts = np.bincount(np.searchsorted(find_thresholds(x, 50), x), minlength=50)
    expect.true(
        len(counts) == 50 and counts.min() >= 19, f"rows in 50 bins of 1000: {counts}, expected 20 each"
    )


def test_a_value_that_fills_several_bins_is_cut_once():
    x = np.r_[np.zeros(90), np.arange(1.0, 11.0)]
    cuts = find_thresholds(x, 4)
    expect.close(cuts, np.array([0.0]), "cuts into 4 bins where 90 % of the values are 0")
    expect.equal(to_bins(x[:, None], [cuts])[0, 88:93].tolist(), [0, 0, 1, 1, 1], "bins of 0, 0, 1, 2, 3")


def test_cuts_tell_the_closest_values_apart():
    for low, high in ((1.0, np.nextafter(1.0, 2.0)), (1e308, 1.7e308), (-5e-324, 0.0)):
        x = np.array([low, high])
        with expect.quiet(f"cutting {low} and {high}"):
            bins = to_bins(x[:, None], [find_thresholds(x, 255)])
        expect.equal(bins.tolist(), [[0, 1]], f"bins of {low!r} and {high!r}")


def test_bins_by_their_definition():
    rng = np.random.default_rng(1)
    X = np.c_[rng.integers(0, 9, 60) / 2, rng.standard_normal(60)]
    thresholds = [np.arange(1.0, 4.0), np.sort(rng.standard_normal(20))]
    with expect.unchanged(X):
        bins = to_bins(X, thresholds)
    expect.equal((bins.shape, bins.dtype.name), ((2, 60), "uint8"), "shape and type of the bins")
    pairs = zip(thresholds, X.T, strict=True)
    want = [[int(sum(cut < x for cut in cuts)) for x in column] for cuts, column in pairs]
    expect.equal(bins.tolist(), want, "bins: how many cuts are below the value")
    far = to_bins(np.array([[-1e9, -1e9], [1e9, 1e9]], np.float32), thresholds)
    expect.equal(far.tolist(), [[0, 3], [0, 20]], "bins of values beyond all cuts")


# Histograms


def test_a_histogram_by_a_loop():
    binned, g, h = problem(12, 2, 4)
    rows = np.array([0, 3, 4, 7, 11])
    with expect.unchanged(binned, g, h, rows):
        got = histogram(binned, rows, g, h, 5)
    want = np.zeros((3, 2, 5))
    for row in rows:
        for feature in range(2):
            want[:, feature, binned[feature, row]] += [g[row], h[row], 1]
    expect.close(got, want, "sums of g, h and 1 by feature and bin")


@pytest.mark.parametrize("seed", range(4))
def test_a_child_is_its_parent_less_its_sibling(seed):
    binned, g, h = problem(60, seed=seed)
    rng = np.random.default_rng(seed)
    parent = rng.permutation(60)[:45]
    left, right = parent[:17], parent[17:]
    sums = [histogram(binned, rows, g, h, 8) for rows in (parent, left, right)]
    expect.close(sums[0] - sums[1], sums[2], "histogram of the parent less that of one child", atol=1e-12)
    expect.equal(sums[2][2].sum(axis=1).tolist(), [28.0] * 3, "rows counted under each feature")


# Splits


@pytest.mark.parametrize("l2", [0.0, 3.0])
@pytest.mark.parametrize("min_samples_leaf", [1, 12])
def test_the_best_of_all_splits(l2, min_samples_leaf):
    for seed in range(6):
        binned, g, h = problem(30, seed=seed)
        hist = histogram(binned, np.arange(30), g, h, 8)
        with expect.unchanged(hist):
            split = best_split(hist, min_samples_leaf, l2)
        gains = {}
        for feature, x in enumerate(binned):
            for cut in range(7):
                left = x <= cut
                if min(left.sum(), (~left).sum()) >= min_samples_leaf:
                    gains[feature, cut] = gain_of(g, h, left, l2)
        best = max(gains, key=gains.get)
        what = f"lambda {l2:g}, min_samples_leaf {min_samples_leaf}"
        expect.close(float(split.gain), gains[best], f"gain of the best split, {what}", rtol=1e-9)
        expect.equal((int(split.feature), int(split.bin)), best, f"feature and bin of the best split, {what}")
        left = binned[best[0]] <= best[1]
        want = np.array([g[left].sum(), h[left].sum(), left.sum()])
        expect.close(split.left, want, "sums of g, h and 1 on the left", rtol=1e-9)


def test_of_equal_splits_the_first():
    x = np.array([0, 0, 3, 3], np.uint8)
    g, h = np.array([1.0, 1.0, -1.0, -1.0]), np.ones(4)
    for binned, what in (([x, x], "a doubled feature"), ([0 * x + 1, 3 - x, x], "a feature and its reverse")):
        split = best_split(histogram(np.array(binned, np.uint8), np.arange(4), g, h, 4), 1, 0.0)
        first = 0 if len(binned) == 2 else 1
        expect.equal((int(split.feature), int(split.bin)), (first, 0), f"feature and bin, {what}")
        expect.close(float(split.gain), 2.0, f"gain, {what}")


def test_the_lowest_feature_comes_before_the_lowest_bin():
    ones = [[1.0, 1, 1, 3], [3, 1, 1, 1]]
    split = best_split(np.array([[[0.0, 0, -3, 3], [-3, 1, 1, 1]], ones, ones]), 1, 0.0)
    expect.equal(
        (int(split.feature), int(split.bin)), (0, 2), "(feature, bin), where (1, 0) has the same gain"
    )
    for seed in range(12):
        binned, g, h = problem(30, seed=seed)
        x = binned[0]
        other = np.where(x > 3, 11 - x, 3 - x)  # the same halves, each backwards
        hist = histogram(np.array([other, x]), np.arange(30), 1e6 * (g + 5 * (x > 3)), h, 8)
        split = best_split(hist, 1, 0.0)
        what = f"feature, where both have a cut with the same rows, the best but for rounding, seed {seed}"
        expect.equal(int(split.feature), 0, what)


def test_large_and_small_gains_are_told_apart():
    """What is a rounding error is a question of the terms, and what is a tie, of the best gain."""
    ones = np.ones(4)
    split = best_split(np.array([[1e-6 * np.array([-1.0, -1, 1, 1])], [ones], [ones]]), 1, 0.0)
    expect.true(split is not None, "gains of 2e-12 are gains where the terms are as small: got None")
    expect.equal(int(split.bin), 1, "bin, where gains are 2 / 3, 2 and 2 / 3 times 1e-12")
    G, ones = 1 + 1.7e-5 * np.repeat([-1.0, 1.0], 10), np.ones(20)
    split = best_split(np.array([[G], [ones], [ones]]), 1, 0.0)
    expect.equal(int(split.bin), 9, "bin, where the best gain is 3e-9 and its neighbours' a fifth below")


@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_both_sides_need_curvature(l2):
    ones = np.ones(3)
    for G, H, want in (([-1.0, 1, 1], [1e-5, 1, 1], 1), ([1.0, 1, -1], [1, 1, 1e-5], 0)):
        split = best_split(np.array([[G], [H], [ones]]), 1, l2)
        found = None if split is None else int(split.bin)
        told = f"bin {found} of H = {H} at lambda {l2:g}: each side needs an H of 0.001, lambda not counted"
        expect.true(found == want, f"{told}; expected bin {want}")


def test_where_there_is_nothing_to_gain():
    g, h, rows = np.array([0.1, 0.3, -0.2, 0.7]), np.ones(4), np.arange(4)
    binned = np.array([[0, 1, 2, 3]], np.uint8)
    many, _, curved = problem()
    full = histogram(binned, rows, g, h, 4)
    expect.equal(best_split(full, 2, 0.0).bin, 1, "the only cut with two rows on both sides")
    for hist, limit, what in (
        (full, 3, "three rows are needed on both sides of four"),
        (histogram(binned, rows, np.full(4, 0.1), h, 4), 1, "all derivatives are equal"),
        (histogram(many, np.arange(40), -0.7 * curved, curved, 8), 1, "all rows want the same step"),
        (histogram(0 * binned, rows, g, h, 1), 1, "there is a single bin"),
        (histogram(0 * binned, rows, g, h, 4), 1, "all rows are in one bin"),
        (histogram(binned, rows, g - g.mean(), 1e-4 * h, 4), 1, "all curvatures are below 0.001"),
        (np.zeros((3, 2, 4)), 1, "there are no rows"),
    ):
        with expect.quiet(f"the best split where {what}"):
            got = best_split(hist, limit, 0.0)
        expect.true(got is None, f"where {what}, there is no split: expected None, got {got}")


def test_a_leaf_takes_the_newton_step():
    for G, H, l2 in ((3.0, 2.0, 0.0), (-1.0, 4.0, 1.0), (0.5, 0.0, 2.0)):
        v = leaf_value(np.array([G, H, 7.0]), l2)
        expect.close(float(v), -G / (H + l2), f"value of a leaf with G {G:g}, H {H:g}, lambda {l2:g}")
    _, g, h = problem()
    best = leaf_value(np.array([g.sum(), h.sum(), 40.0]), 2.0)
    quadratic = [g.sum() * v + 0.5 * (h.sum() + 2.0) * v * v for v in (best - 1e-3, best, best + 1e-3)]
    expect.true(quadratic[1] < min(quadratic[0], quadratic[2]), f"the value should be a minimum: {quadratic}")
    with expect.quiet("the value of a leaf without curvature"):
        got = leaf_value(np.array([0.0, 0.0, 7.0]), 0.0)
    expect.close(float(got), 0.0, "value where H and lambda are 0")


# Trees


def test_rows_walk_to_their_leaf():
    tree = Tree(*map(np.array, ([1, -1, 0, -1, -1], [2, 0, 0, 0, 0], [1, -1, 3, -1, -1], [2, -1, 4, -1, -1],
                                [0.0, 5.0, 0.0, 6.0, 7.0])))  # fmt: skip
    binned = np.array([[0, 1, 0, 1, 0], [2, 2, 3, 3, 0]], np.uint8)
    expect.close(tree.predict(binned), np.array([5.0, 5, 6, 7, 5]), "values of the leaves of five rows")
    leaf = Tree(*map(np.array, ([-1], [0], [-1], [-1], [1.5])))
    expect.close(leaf.predict(binned), np.full(5, 1.5), "values of a tree that is one leaf")


@pytest.mark.parametrize("limits", [
    {"max_depth": 1}, {"max_depth": 2}, {"max_depth": 3, "l2": 2.0}, {"max_leaf_nodes": 4},
    {"max_leaf_nodes": 7, "l2": 1.0}, {"max_depth": 3, "max_leaf_nodes": 6, "min_samples_leaf": 3},
    {"min_samples_leaf": 6}, {},
], ids=str)  # fmt: skip
def test_it_is_the_exact_greedy_tree(limits):
    """A bin for each value: the tree of those who try every cut of every feature, and sum anew each time."""
    limits = NO_LIMITS | limits
    for seed in range(3):
        binned, g, h = problem(50, seed=seed)
        rows = np.sort(np.random.default_rng(seed).permutation(50)[:42])
        with expect.unchanged(binned, rows, g, h):
            tree = grow(binned, rows, g, h, **limits)
        want, leaves = exact(binned, rows, g, h, **limits)
        expect.equal(n_leaves(tree), leaves, f"number of leaves, {limits}")
        expect.close(tree.predict(binned)[rows], want[rows], f"values of the rows, {limits}", rtol=1e-8)


def test_a_regression_tree_from_residuals():
    """h = 1, g = -y, lambda = 0: leaves hold means, and the gains add up to half the squares removed."""
    binned, g, _ = problem()
    y = -g
    tree = grow(binned, np.arange(40), g, np.ones(40), **(NO_LIMITS | {"max_depth": 2}))
    said = tree.predict(binned)
    for value in np.unique(said):
        expect.close(
            float(value), float(y[said == value].mean()), "value of a leaf, the mean of its rows", rtol=1e-9
        )
    root = best_split(histogram(binned, np.arange(40), g, np.ones(40), 8), 1, 0.0)
    one = grow(binned, np.arange(40), g, np.ones(40), **(NO_LIMITS | {"max_depth": 1})).predict(binned)
    removed = ((y - y.mean()) ** 2).sum() - ((y - one) ** 2).sum()
    expect.close(float(root.gain), 0.5 * removed, "gain of the root, half the squares it removes", rtol=1e-9)


def test_a_tree_without_questions():
    binned, g, h = problem()
    rows = np.arange(30)
    for limits in ({"max_depth": 0}, {"max_leaf_nodes": 1}, {"min_samples_leaf": 16}):
        tree = grow(binned, rows, g, h, **(NO_LIMITS | {"l2": 1.0} | limits))
        want = np.full(40, -g[:30].sum() / (h[:30].sum() + 1.0))
        expect.close(tree.predict(binned), want, f"values where {limits}", rtol=1e-10)
        expect.equal(n_leaves(tree), 1, f"number of leaves where {limits}")
    flat = grow(np.zeros((2, 40), np.uint8), rows, g, h, **NO_LIMITS)
    expect.close(
        flat.predict(binned), np.full(40, -g[:30].sum() / h[:30].sum()), "constant features", rtol=1e-10
    )


def test_leaves_go_where_the_gain_is():
    """Three leaves: the second split belongs to the side whose steps are large, not to the first in line."""
    x = np.repeat(np.arange(4), 5).astype(np.uint8)[None]
    g = -np.repeat([0.0, 1.0, 10.0, 20.0], 5)
    tree = grow(x, np.arange(20), g, np.ones(20), **(NO_LIMITS | {"max_leaf_nodes": 3}))
    expect.close(tree.predict(x), -np.repeat([-0.5, -0.5, -10.0, -20.0], 5), "values of 3 leaves", rtol=1e-10)
    g = -np.repeat([0.0, 10.0, 20.0, 21.0], 5)
    tree = grow(x, np.arange(20), g, np.ones(20), **(NO_LIMITS | {"max_leaf_nodes": 3}))
    expect.close(tree.predict(x), np.repeat([0.0, 10.0, 20.5, 20.5], 5), "values of 3 leaves", rtol=1e-10)


@pytest.mark.parametrize("n_bins", [255, 256])
def test_all_bins_of_a_byte(n_bins):
    x = np.arange(n_bins).astype(np.uint8)[None]
    g = np.random.default_rng(0).standard_normal(n_bins)
    tree = grow(x, np.arange(n_bins), g, np.ones(n_bins), **NO_LIMITS)
    expect.close(tree.predict(x), -g, "values where each row has a leaf", rtol=1e-8, atol=1e-10)
