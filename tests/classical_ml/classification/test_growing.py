"""Growing: every node of every tree against an exhaustive search among all cuts."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classical_ml.classification.growing import (
    best_splits,
    draw_features,
    grow,
    halfway,
    partition,
    removed_shares,
)
from classical_ml.classification.tree import Nodes
from curriculum.testing import expect
from curriculum.testing.statistics import mean_is, uniform_counts
from curriculum.testing.strategies import seeds

CRITERIA = ("gini", "entropy", "squared_error")


def impurity_of(target, weight, criterion):
    """By definition, of targets (M, V) with weights (M,)."""
    mean = weight @ target / weight.sum()
    if criterion == "gini":
        return float(1.0 - mean @ mean)
    if criterion == "entropy":
        return -sum(p * math.log2(p) for p in mean.tolist() if p > 0)
    return float(weight @ ((target - mean) ** 2).sum(axis=1) / weight.sum())


def cuts(X, target, weight, criterion, min_samples_leaf=1):
    """Every cut there is, each as (decrease of the impurity, feature, value below, value above)."""
    whole, total = impurity_of(target, weight, criterion), weight.sum()
    for f in range(X.shape[1]):
        for low, high in itertools.pairwise(np.unique(X[:, f]).astype(float).tolist()):
            left = X[:, f] <= low
            if min(left.sum(), (~left).sum()) >= min_samples_leaf:
                sides = [(target[s], weight[s]) for s in (left, ~left)]
                after = sum(w.sum() / total * impurity_of(t, w, criterion) for t, w in sides)
                yield whole - after, f, low, high


def walk(tree, X):
    """(node, its rows of X, questions above it) for every node, from the root down."""
    stack = [(0, np.arange(len(X)), 0)]
    while stack:
        node, rows, depth = stack.pop()
        yield node, rows, depth
        if tree.children_left[node] >= 0:
            left = X[rows, tree.feature[node]] <= tree.threshold[node]
            stack.append((int(tree.children_left[node]), rows[left], depth + 1))
            stack.append((int(tree.children_right[node]), rows[~left], depth + 1))


def check_tree(tree, X, target, weight, criterion, max_depth=None, min_samples_leaf=1, min_samples_split=2):
    """Every node is what its rows say, every split is as good as any, every leaf has a reason to be one."""
    kept = weight > 0
    X, target, weight = X[kept], target[kept], weight[kept]
    for node, rows, depth in walk(tree, X):
        what = f"of the node with the rows {rows.tolist()[:8]}"
        t, w = target[rows], weight[rows]
        here = impurity_of(t, w, criterion)
        expect.equal(int(tree.n_node_samples[node]), len(rows), f"n_node_samples {what}")
        expect.close(float(tree.weighted_n_node_samples[node]), float(w.sum()), f"weight {what}", rtol=1e-9)
        expect.close(tree.value[node], w @ t / w.sum(), f"value {what}", rtol=1e-9, atol=1e-12)
        expect.close(float(tree.impurity[node]), here, f"impurity {what}", rtol=1e-8, atol=1e-12)
        options = list(cuts(X[rows], t, w, criterion, min_samples_leaf))
        allowed = bool(options) and len(rows) >= min_samples_split and depth != max_depth
        allowed = allowed and bool((t != t[0]).any())
        if tree.children_left[node] < 0:
            expect.true(not allowed, f"a leaf where a split is allowed: {what}, impurity {here:.4g}")
            continue
        expect.true(allowed, f"a split where none is allowed: {what}, impurity {here:.4g}, depth {depth}")
        f, c = int(tree.feature[node]), float(tree.threshold[node])
        gains = [
            gain
            for gain, g, low, high in options
            if g == f and abs(c - (low + high) / 2) <= 1e-9 * (high - low)
        ]
        expect.true(
            len(gains) == 1,
            f"x[{f}] <= {c!r} is not halfway between two neighbouring values of feature {f} {what}, with"
            f" {min_samples_leaf} rows on either side",
        )
        best = max(options)
        expect.true(
            gains[0] >= best[0] - 1e-9 * here,
            f"x[{f}] <= {c:.6g} lowers the {criterion} by {gains[0]:.6g}, another split by more: feature"
            f" {best[1]} between {best[2]:.6g} and {best[3]:.6g} by {best[0]:.6g}, {what}",
        )


def targets(y, criterion):
    """What the tree learns: one-hot vectors, or the numbers."""
    y = np.asarray(y)
    return (
        y[:, None].astype(float)
        if criterion == "squared_error"
        else (y[:, None] == np.unique(y)).astype(float)
    )


def made(X, y, criterion="gini", weight=None, **limits):
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    return grow(np.asarray(X), targets(y, criterion), weight, criterion, **limits)


def n_leaves(tree):
    return int((tree.children_left < 0).sum())


def answers(tree, X):
    """The class with the largest share, by its number, or the mean."""
    value = tree.value[tree.apply(np.asarray(X))]
    return value[:, 0] if value.shape[1] == 1 else value.argmax(axis=1)


def problem(seed, criterion, n=None, grid=False):
    """X (N, D), y and a generator."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(1, 17))
    X = rng.standard_normal((n, int(rng.integers(1, 4))))
    if grid:
        X = np.round(X)  # ties between values, rows that are equal
    if criterion == "squared_error":
        return X, np.round(rng.standard_normal(n), 1), rng
    return X, rng.integers(0, int(rng.integers(1, 4)), n), rng


def noisy(n=60, seed=0, d=3):
    """Two classes that overlap."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, (X[:, 0] + 0.8 * rng.standard_normal(n) > 0).astype(int)


def equal_trees(a, b, what, counts=True):
    """The same questions with the same answers."""
    for name in ("children_left", "children_right", "feature", *(("n_node_samples",) if counts else ())):
        expect.equal(getattr(a, name).tolist(), getattr(b, name).tolist(), f"{name} {what}")
    for name in ("threshold", "value", "impurity"):
        expect.close(getattr(a, name), getattr(b, name), f"{name} {what}", rtol=1e-9, atol=1e-12)


# The pieces


def test_thresholds_lie_halfway_and_below_the_upper_value():
    low = np.array([0.0, -1.5, 1.0, 1e308, -1.7e308])
    high = np.array([1.0, 4.0, np.nextafter(1.0, 2.0), 1.2e308, 1.7e308])
    with expect.quiet("halfway"):
        c = halfway(low, high)
    expect.close(c[:4], np.array([0.5, 1.25, 1.0, 1.1e308]), "thresholds", rtol=1e-15)
    expect.true(bool(((low <= c) & (c < high)).all()), f"low <= c < high, got {c} for {low} and {high}")
    small = np.float32([1.0, 0.1]), np.nextafter(np.float32([1.0, 0.1]), np.float32(2))
    c = halfway(*small)
    expect.close(
        c, (small[0].astype(float) + small[1]) / 2, "thresholds between float32 neighbours", rtol=1e-15
    )


def test_partition_keeps_the_order_of_every_feature():
    order = np.array([[3, 0, 5, 1, 2, 4], [0, 5, 3, 4, 1, 2]])  # two nodes: rows 0, 3, 5 and rows 1, 2, 4
    side = np.array([0, 1, 0, 1, -1, 0], dtype=np.int8)
    with expect.unchanged(order, side):
        new = partition(order, side)
    want = np.array([[0, 5, 2, 3, 1], [0, 5, 2, 3, 1]])
    expect.equal(new.tolist(), want.tolist(), "rows that go left, node by node, then those that go right")
    order = np.array([[2, 1, 0], [0, 1, 2]])
    new = partition(order, np.zeros(3, np.int8))
    expect.equal(new.tolist(), order.tolist(), "the rows where all go left")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_what_each_cut_removes(criterion):
    """Two nodes of 5 and 4 rows, in the order of two features."""
    rng = np.random.default_rng(0)
    n, segment = 9, np.repeat([0, 1], [5, 4])
    rows = np.stack([np.concatenate([rng.permutation(5), 5 + rng.permutation(4)]) for _ in range(2)])
    weight = rng.uniform(0.5, 2.0, n)
    target = (
        rng.standard_normal((n, 1))
        if criterion == "squared_error"
        else np.eye(3)[[0, 1, 2, 0, 1, 2, 2, 0, 1]]
    )
    total = np.array([weight[:5].sum(), weight[5:].sum()])
    value = np.stack([weight[:5] @ target[:5] / total[0], weight[5:] @ target[5:] / total[1]])
    impurity = np.array([impurity_of(target[s], weight[s], criterion) for s in (slice(0, 5), slice(5, 9))])
    share = weight / total[segment]
    left = np.stack(
        [np.concatenate([np.cumsum(share[line[:5]]), np.cumsum(share[line[5:]])]) for line in rows]
    )
    unit = share if criterion == "entropy" else share / np.sqrt(impurity)[segment]
    away = ((target - value[segment]) * unit[:, None]).T
    with expect.unchanged(rows, segment, left, away, value):
        removed = removed_shares(rows, segment, left, away, value, criterion)
    expect.equal(removed.shape, (2, 9), "shape of the removed shares")
    expect.true(bool(np.isfinite(removed).all()), f"removed shares should be finite, got {removed}")
    for line, found in zip(rows, removed, strict=True):
        for start, end, here in ((0, 5, impurity[0]), (5, 9, impurity[1])):
            for at in range(start, end - 1):
                sides = line[start : at + 1], line[at + 1 : end]
                after = [weight[s].sum() * impurity_of(target[s], weight[s], criterion) for s in sides]
                want = 1 - sum(after) / weight[line[start:end]].sum() / here
                what = f"share of the {criterion} that a cut between {sides[0]} and {sides[1]} removes"
                expect.close(float(found[at]), want, what, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("least", [1, 3], ids=["every cut", "3 rows on either side"])
def test_the_best_split_of_each_node_of_a_level(least):
    """Three nodes of 5, 6 and 2 rows; in the last one both rows are equal, so that nothing can be cut."""
    rng = np.random.default_rng(1)
    X, y = np.round(rng.standard_normal((13, 2)), 1), np.array([0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1])
    X[12] = X[11]
    groups, target, weight = np.split(np.arange(13), [5, 11]), np.eye(2)[y], np.ones(13)
    order = np.stack([np.concatenate([r[X[r, f].argsort(kind="stable")] for r in groups]) for f in (0, 1)])
    value = np.stack([target[r].mean(axis=0) for r in groups])
    nodes = Nodes(np.array([5, 6, 2]), np.array([5.0, 6, 2]), value, 1 - (value**2).sum(axis=1))
    both = np.array([[0, 0, 0], [1, 1, 1]])
    columns = np.ascontiguousarray(X.T)
    feature, threshold, removed = best_splits(columns, order, target, weight, nodes, "gini", least, both)
    for k, r in enumerate(groups):
        options = list(cuts(X[r], target[r], weight[r], "gini", least))
        if not options:
            expect.equal(
                (int(feature[k]), float(removed[k])), (-1, 0.0), f"feature, share of node {k}: no cut"
            )
            continue
        most = max(gain for gain, *_ in options)
        _, f, low, high = next(o for o in options if o[0] > most - 1e-9)
        expect.equal(int(feature[k]), f, f"feature of node {k}, with {least} rows on either side")
        expect.close(float(threshold[k]), (low + high) / 2, f"threshold of node {k}")
        expect.close(
            float(removed[k]),
            most / float(nodes.impurity[k]),
            f"removed share of node {k}",
            rtol=1e-9,
            atol=1e-12,
        )
    one = np.array([[1, 0, 1]])
    feature, _, _ = best_splits(columns, order, target, weight, nodes, "gini", 1, one)
    expect.equal([int(f) for f in feature], [1, 0, -1], "features, where each node may ask about one")


def test_features_are_drawn_among_those_that_vary():
    columns = np.array([[1.0, 1, 1, 1, 1], [1, 2, 3, 4, 5], [7, 7, 7, 7, 7], [2, 2, 2, 8, 9]])
    order, count = np.tile(np.arange(5), (4, 1)), np.array([3, 2])  # feature 3 varies in the second node only
    rng = np.random.default_rng(0)
    seen = [set(), set()]
    for _ in range(60):
        drawn = draw_features(columns, order, count, 1, rng)
        expect.equal(drawn.shape, (1, 2), "shape of the features drawn, one for each of two nodes")
        for k in (0, 1):
            seen[k].add(int(drawn[0, k]))
    expect.equal([sorted(s) for s in seen], [[1], [1, 3]], "features drawn in 60 draws, node by node")
    drawn = draw_features(columns, order, count, 3, rng)
    for k, vary in enumerate(([1], [1, 3])):
        line = [int(f) for f in drawn[:, k]]
        expect.true(sorted(set(line)) == line, f"features in rising order, each once, got {line}")
        expect.true(set(vary) <= set(line), f"those that vary come first: {vary} should be in {line}")
    near = np.array([[0.0, 0.0], [0.0, 1e-13]])
    drawn = [int(draw_features(near, np.array([[0, 1]] * 2), np.array([2]), 1, rng)[0, 0]) for _ in range(20)]
    expect.equal(
        sorted(set(drawn)), [1], "the feature drawn where 0 is constant, 1 has the values 0 and 1e-13"
    )


# The tree


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_stump_is_the_best_split(criterion):
    for seed in range(5):
        X, y, rng = problem(seed, criterion, n=12)
        for weight in (np.ones(12), rng.uniform(0.1, 3.0, 12)):
            tree = made(X, y, criterion, weight, max_depth=1)
            check_tree(tree, X, targets(y, criterion), weight, criterion, max_depth=1)


@given(
    seed=seeds(),
    criterion=st.sampled_from(CRITERIA),
    grid=st.booleans(),
    weigh=st.booleans(),
    limits=st.sampled_from(
        [{}, {"max_depth": 2}, {"min_samples_leaf": 2}, {"min_samples_leaf": 3, "min_samples_split": 8}]
    ),
)
def test_every_node_of_every_tree(seed, criterion, grid, weigh, limits):
    X, y, rng = problem(seed, criterion, grid=grid)
    weight = rng.integers(0, 4, len(y)) + 0.5 * rng.integers(0, 2, len(y)) if weigh else np.ones(len(y))
    weight[0] += 1.0
    tree = made(X, y, criterion, weight, **limits)
    check_tree(tree, X, targets(y, criterion), weight, criterion, **limits)


def test_nodes_are_numbered_depth_first():
    X, y = noisy()
    tree = made(X, y)
    inner = np.flatnonzero(tree.children_left >= 0)
    expect.equal(tree.children_left[inner].tolist(), (inner + 1).tolist(), "left children")
    expect.equal(sorted(node for node, *_ in walk(tree, X)), list(range(len(tree.feature))), "nodes")


def test_a_tree_by_hand():
    """Ages and heights: who is under 10 has no licence; both features part them."""
    X = np.array([[5.0, 100], [8, 130], [12, 150], [20, 160], [30, 180], [40, 190]])
    tree = made(X, [0, 0, 0, 1, 1, 1])
    expect.equal(
        tree.feature.tolist(), [0, -2, -2], "features: height parts them as well, the lower is taken"
    )
    expect.close(tree.threshold, np.array([16.0, -2.0, -2.0]), "thresholds, halfway between 12 and 20")
    expect.close(tree.value, np.array([[0.5, 0.5], [1, 0], [0, 1]]), "shares of the classes")
    expect.close(tree.impurity, np.array([0.5, 0.0, 0.0]), "impurities")
    tree = made(X[:, :1], [1.0, 2, 3, 10, 11, 15], "squared_error", max_depth=1)
    expect.close(tree.value, np.array([[7.0], [2.0], [12.0]]), "means of the root and of the leaves")


def test_a_split_that_removes_nothing_may_be_the_way_to_one_that_does():
    """Exclusive or: no first question is of any use, and after any of them the second one is."""
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    for criterion in CRITERIA:
        tree = made(X, y, criterion)
        expect.equal(answers(tree, X).astype(int).tolist(), y.tolist(), f"exclusive or, {criterion}")
        expect.equal(n_leaves(tree), 4, "leaves")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rows_that_differ_end_in_pure_leaves(criterion):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((80, 2)), rng.integers(0, 5, 80)
    tree = made(X, y, criterion)
    expect.close(answers(tree, X).astype(float), y.astype(float), "answers for what was learned")
    most = float(np.abs(tree.impurity[tree.children_left < 0]).max())
    expect.true(most < 1e-12, f"all leaves should be pure, the largest impurity is {most}")


def test_a_monotone_map_of_a_feature_changes_nothing():
    for criterion in CRITERIA:
        X, y = noisy(40)
        mapped = np.exp(X) * 1e5
        a, b = made(X, y, criterion), made(mapped, y, criterion)
        expect.equal(a.feature.tolist(), b.feature.tolist(), f"features after exp, {criterion}")
        expect.equal(a.apply(X).tolist(), b.apply(mapped).tolist(), f"leaves after exp, {criterion}")
        expect.true(n_leaves(a) > 2, f"the tree should have more than 2 leaves, has {n_leaves(a)}")


@given(seed=seeds(), criterion=st.sampled_from(CRITERIA))
def test_whole_weights_are_repeated_rows(seed, criterion):
    X, y, rng = problem(seed, criterion)
    weight = rng.integers(0, 4, len(y))
    weight[rng.integers(len(y))] = 2
    weight[np.unique(y, return_index=True)[1]] += 1  # no class is lost
    weighed = made(X, y, criterion, weight)
    repeated = made(np.repeat(X, weight, axis=0), np.repeat(y, weight), criterion)
    equal_trees(weighed, repeated, "with weights, against rows repeated", counts=False)
    expect.close(
        weighed.weighted_n_node_samples,
        repeated.n_node_samples.astype(float),
        "weights of the nodes, against repeated rows",
    )


def test_only_the_ratios_of_the_weights_count():
    X, y = noisy()
    weight = np.random.default_rng(5).uniform(0.1, 1.0, len(y))
    for criterion, numbers in (("gini", y), ("squared_error", X[:, 1] ** 2)):
        a = made(X, numbers, criterion, weight, min_impurity_decrease=0.01)
        b = made(X, numbers, criterion, weight * 1e-12, min_impurity_decrease=0.01)
        equal_trees(a, b, "with all weights times 1e-12")
        expect.true(n_leaves(a) > 2, f"the tree should have more than 2 leaves, has {n_leaves(a)}")


def test_a_row_of_little_weight_is_there():
    for criterion in CRITERIA:
        tree = made([[0.0], [1.0]], [0, 1], criterion, [1.0, 1e-13])
        expect.equal(
            tree.n_node_samples.tolist(), [2, 1, 1], f"rows in the nodes, weights 1, 1e-13 ({criterion})"
        )


def test_rows_without_weight_are_left_out():
    X = np.array([[0.0], [1], [2], [3], [10]])
    tree = made(X, [0.0, 0, 1, 1, 9], "squared_error", [1, 0, 0, 1, 0])
    expect.close(float(tree.threshold[0]), 1.5, "threshold, halfway between the rows that count")
    expect.equal(tree.n_node_samples.tolist(), [2, 1, 1], "rows of positive weight in the nodes")


def test_of_equal_splits_the_lowest_feature_then_the_lowest_threshold():
    x = np.array([0.0, 1, 2, 3])
    for criterion in CRITERIA:
        tree = made(np.stack([0 * x, x, x, -x], axis=1), [0, 0, 1, 1], criterion, max_depth=1)
        expect.equal(int(tree.feature[0]), 1, f"of equal features 1, 2 and 3, the split's ({criterion})")
        tree = made(x[:, None], [0, 1, 1, 0], criterion, max_depth=1)
        expect.close(float(tree.threshold[0]), 0.5, f"of equal cuts 0.5 and 2.5, the tree's ({criterion})")


def test_splits_that_remove_nothing_but_rounding_are_equally_good():
    """The parity of three bits: the first question removes exactly 0, whichever it is, but for rounding."""
    bits = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = rng.permutation(np.repeat(bits, int(rng.integers(2, 4)), axis=0))
        y = np.where(X.sum(axis=1) % 2, 0.7, 0.1)
        tree = made(X, y, "squared_error", np.full(len(y), 0.1), max_depth=1)
        expect.equal(
            int(tree.feature[0]),
            0,
            f"feature of a split where all three remove a share of 0 (rows in the order {seed}; a share that"
            " is lower by at most TIE, absolutely, is as good)",
        )


def test_a_split_that_is_better_by_more_than_rounding_is_taken():
    """Feature 0 leaves a row of weight 1e-8 on the wrong side, feature 1 leaves none."""
    X, y = np.array([[0.0, 0], [0, 0], [1, 1], [1, 1], [1, 0]]), np.array([0, 0, 1, 1, 0])
    for criterion in CRITERIA:
        tree = made(X, y, criterion, [1, 1, 1, 1, 1e-8], max_depth=1)
        expect.equal(
            int(tree.feature[0]), 1, f"the feature whose split removes all ({criterion}), by 1e-8 more than 0"
        )


# Limits


def test_limits_on_depth_and_samples():
    X, y = noisy(28)
    for criterion in CRITERIA:
        for limits in ({"max_depth": 3}, {"min_samples_split": 9}, {"min_samples_leaf": 5}):
            tree = made(X, y, criterion, **limits)
            check_tree(tree, X, targets(y, criterion), np.ones(28), criterion, **limits)


def test_the_limits_count_rows_and_not_their_weights():
    X, y = np.arange(4.0)[:, None], np.array([0, 1, 0, 1])
    weight = np.full(4, 10.0)
    for least, leaves in ((5, 1), (4, 2)):
        tree = made(X, y, weight=weight, min_samples_split=least, max_depth=1)
        expect.equal(n_leaves(tree), leaves, f"leaves of 4 rows with min_samples_split={least}")
    tree = made(X, y, weight=weight, min_samples_leaf=2)
    expect.equal(tree.n_node_samples.tolist(), [4, 2, 2], "rows in the nodes")


def test_min_impurity_decrease_weighs_a_node_by_its_share():
    """The first split takes 0.625 to 0.25; the second, in half of the rows, 0.5 to 0."""
    X, y = np.arange(8.0)[:, None], np.array([0, 0, 0, 0, 1, 1, 2, 2])
    first, second = 0.625 - 0.25, 0.5 * 0.5
    for least, leaves in ((0.0, 3), (second, 3), (second * 1.001, 2), (first, 2), (first * 1.001, 1)):
        tree = made(X, y, min_impurity_decrease=least)
        expect.equal(n_leaves(tree), leaves, f"leaves with min_impurity_decrease={least:.6g}")


def test_min_impurity_decrease_counts_weights_and_not_rows():
    """The two rows 0 and 1 have 9/10 of the weight: parting them takes 1/4 in 9/10 of it to 0."""
    X, y, weight = np.arange(10.0)[:, None], np.array([0, 1] + [10] * 8), np.array([9, 9] + [0.25] * 8)
    root = float(weight @ (y - weight @ y / 20) ** 2 / 20)
    for least, leaves in ((0.2, 3), (0.25 * 0.9, 3), (0.23, 2), (root, 1)):
        tree = made(X, y, "squared_error", weight, min_impurity_decrease=least)
        expect.equal(n_leaves(tree), leaves, f"leaves with min_impurity_decrease={least:.6g}, rows weighed")


def test_min_impurity_decrease_allows_for_rounding_only():
    for scale in (1.0, 1e-6):
        X, y = np.arange(2.0)[:, None], scale * np.arange(2.0)
        for least, leaves in ((0.25, 2), (0.25 * (1 + 1e-8), 1), (10.0, 1)):
            tree = made(X, y, "squared_error", min_impurity_decrease=least * scale**2)
            what = f"leaves where {least * scale**2:.10g} must be removed and {0.25 * scale**2:.10g} can be"
            expect.equal(n_leaves(tree), leaves, what)


def test_min_impurity_decrease_is_in_the_units_of_the_criterion():
    """Half of the rows are parted from the others at the root: 1 bit, a variance of 25, a Gini of 0.5."""
    X, y = np.arange(4.0)[:, None], np.array([0, 0, 10, 10])
    for criterion, removed in (("gini", 0.5), ("entropy", 1.0), ("squared_error", 25.0)):
        for least, leaves in ((removed * 0.999, 2), (removed, 2), (removed * 1.001, 1)):
            tree = made(X, y, criterion, min_impurity_decrease=least)
            expect.equal(n_leaves(tree), leaves, f"leaves, {criterion}, least decrease {least:.6g}")
    X, y = np.arange(8.0)[:, None], np.array([0, 0, 1, 0, 1, 1, 1, 1])
    most = max(cuts(X, np.eye(2)[y], np.ones(8), "entropy"))[0]
    for least, leaves in ((most * 0.999, 2), (most * 1.001, 1)):
        tree = made(X, y, "entropy", max_depth=1, min_impurity_decrease=least)
        expect.equal(n_leaves(tree), leaves, f"leaves, {most:.4f} of {least:.4f} bits removed")


# Random features


def test_which_features_are_drawn():
    """Feature f agrees with y but for f rows, so that of those drawn the lowest one wins."""
    y = np.arange(16) % 2
    X = np.stack([np.where(np.arange(16) < f, 1 - y, y) for f in range(4)], axis=1).astype(float)
    rng = np.random.default_rng(0)
    roots = {}
    for m in (1, 2):
        trees = [made(X, y, max_depth=1, max_features=m, rng=rng) for _ in range(80)]
        roots[m] = np.array([int(tree.feature[0]) for tree in trees])
    uniform_counts(np.bincount(roots[1], minlength=4), "the one feature drawn out of four")
    for f, p in enumerate((1 / 2, 1 / 3, 1 / 6)):  # of the 6 pairs feature f is the best in 3, 2, 1 and none
        mean_is(roots[2] == f, p, math.sqrt(p * (1 - p)), f"how often feature {f} is the better of two")
    expect.equal(int((roots[2] == 3).sum()), 0, "how often the worst of four is the better of two")


def test_every_node_draws_anew_and_wastes_no_draw_on_a_constant():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 6)), rng.integers(0, 2, 60)
    X[:, [0, 2, 5]] = 1.0
    tree = made(X, y, max_features=1, rng=rng)
    used = sorted(set(tree.feature[tree.feature >= 0].tolist()))
    expect.equal(used, [1, 3, 4], "features used by a tree that draws one for each node")
    expect.equal(answers(tree, X).tolist(), y.tolist(), "answers of a tree grown to the end")
    X = np.array(list(itertools.product([0.0, 1.0], repeat=5)))  # every question makes its feature constant
    tree = made(X, np.arange(32), max_features=1, rng=rng)
    expect.equal(n_leaves(tree), 32, "leaves for 32 rows that differ, with one feature drawn for each node")


def test_every_node_of_a_level_has_its_own_draw():
    """All six features tell as much: with one draw a level, its nodes all ask about the same one."""
    rng, used = np.random.default_rng(3), []
    for _ in range(3):
        X = rng.standard_normal((400, 6))
        limits = {"max_depth": 4, "min_samples_leaf": 5, "max_features": 1, "rng": rng}
        tree = made(X, X.sum(axis=1), "squared_error", **limits)
        levels = [set() for _ in range(5)]
        for node, _, depth in walk(tree, X):
            levels[depth] |= {int(tree.feature[node])} - {-2}
        used += [sorted(level) for level in levels[1:4]]
    expect.true(
        max(map(len, used)) > 1,
        f"every node draws its own features, here one of 6; the nodes of the levels ask about {used}",
    )


# Types and edges


def test_neighbouring_floats_are_told_apart():
    for dtype in (np.float32, np.float64):
        one = dtype(1.0)
        X = np.array([[np.nextafter(one, dtype(0))], [one], [np.nextafter(one, dtype(2))]], dtype)
        tree = made(X, [0, 1, 2])
        expect.equal(answers(tree, X).tolist(), [0, 1, 2], f"classes of three neighbouring {dtype.__name__}")


def test_numbers_far_from_zero_and_of_any_scale():
    X = np.arange(12.0)[:, None]
    y = np.array([0.0, 0, 0, 1, 1, 1, 1, 3, 3, 3, 3, 3])
    for scale, shift in ((1.0, 0.0), (1.0, 1e8), (1e-9, 0.0), (1e12, -1e13)):
        tree = made(X, shift + scale * y, "squared_error")
        expect.equal(n_leaves(tree), 3, f"leaves for {shift:g} + {scale:g} * y")
        expect.close(answers(tree, X), shift + scale * y, f"{shift:g} + {scale:g} * y")
    outlier = made(X, np.append(y[:-1], 1e10), "squared_error")
    expect.close(answers(outlier, X)[:-1], y[:-1], "numbers beside an outlier of 1e10", rtol=1e-9)


def test_data_that_cannot_be_split():
    for X, y in (([[3.0, 4.0]], [5]), ([[1.0], [2.0], [3.0]], [5, 5, 5]), (np.ones((4, 2)), [5, 5, 7, 7])):
        for criterion in CRITERIA:
            tree = made(X, y, criterion)
            for name, value in (
                ("children_left", -1),
                ("children_right", -1),
                ("feature", -2),
                ("threshold", -2.0),
            ):
                expect.equal(getattr(tree, name).tolist(), [value], f"{name} of the only node, a leaf")
            expect.equal(tree.n_node_samples.tolist(), [len(y)], "rows in the only node")


def test_inputs_stay_as_they_are():
    X, y = noisy(20)
    weight = np.linspace(0.0, 1.0, 20)
    for criterion in CRITERIA:
        target = targets(y, criterion)
        with expect.unchanged(X, target, weight):
            tree = grow(X, target, weight, criterion)
        expect.equal(
            answers(tree, X)[1:].astype(int).tolist(), y[1:].tolist(), "answers for what was learned"
        )
