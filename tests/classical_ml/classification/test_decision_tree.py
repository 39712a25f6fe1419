"""CART: every node against its definition and an exhaustive search, pruning against all subtrees."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classical_ml.classification.decision_tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    describe,
    halfway,
    partition,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
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


def problem(seed, criterion, n=None, grid=False):
    """X (N, D), y, the targets that y stands for, and weights."""
    rng = np.random.default_rng(seed)
    n = n or int(rng.integers(1, 17))
    X = rng.standard_normal((n, int(rng.integers(1, 4))))
    if grid:
        X = np.round(X)  # ties between values, rows that are equal
    if criterion == "squared_error":
        y = np.round(rng.standard_normal(n), 1)
        return X, y, y[:, None], rng
    y = rng.integers(0, int(rng.integers(1, 4)), n)
    return X, y, (y[:, None] == np.unique(y)).astype(float), rng


def make(criterion, **settings):
    return (DecisionTreeRegressor if criterion == "squared_error" else DecisionTreeClassifier)(
        criterion=criterion, **settings
    )


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


def test_describe_a_level():
    node, weight = np.array([1, 0, 1, 1, 0]), np.array([1.0, 2, 3, 0.5, 2])
    for criterion in CRITERIA:
        target = (
            np.eye(3)[[0, 1, 2, 0, 2]] if criterion != "squared_error" else np.array([[5.0, 1, -2, 4, 3]]).T
        )
        nodes = describe(target, weight, node, 2, criterion)
        expect.equal([int(n) for n in nodes.size], [2, 3], "rows in each node")
        expect.close(nodes.weight, np.array([4.0, 4.5]), "weight of each node")
        groups = [(target[node == k], weight[node == k]) for k in (0, 1)]
        expect.close(nodes.value, np.stack([w @ t / w.sum() for t, w in groups]), f"values, {criterion}")
        want = np.array([impurity_of(t, w, criterion) for t, w in groups])
        expect.close(nodes.impurity, want, f"impurities, {criterion}")


def test_a_pure_node_has_impurity_exactly_zero():
    """The mean of three times 0.1 is easily 0.10000000000000002, and the node then seems worth splitting."""
    weight, node = np.ones(4), np.array([0, 0, 0, 1])
    for criterion in CRITERIA:
        target = np.array([[0.1], [0.1], [0.1], [7.0]])
        target = target if criterion == "squared_error" else np.eye(2)[[1, 1, 1, 0]]
        nodes = describe(target, weight, node, 2, criterion)
        expect.equal(
            nodes.impurity.tolist(), [0.0, 0.0], f"impurity ({criterion}) of nodes with equal targets"
        )
        expect.close(nodes.value, target[[0, 3]], "values of nodes with equal targets")


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


# The tree


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_stump_is_the_best_split(criterion):
    for seed in range(5):
        X, y, target, rng = problem(seed, criterion, n=12)
        tree = make(criterion, max_depth=1).fit(X, y).tree_
        check_tree(tree, X, target, np.ones(12), criterion, max_depth=1)
        weight = rng.uniform(0.1, 3.0, 12)
        tree = make(criterion, max_depth=1).fit(X, y, weight).tree_
        check_tree(tree, X, target, weight, criterion, max_depth=1)


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
    X, y, target, rng = problem(seed, criterion, grid=grid)
    weight = rng.integers(0, 4, len(y)) + 0.5 * rng.integers(0, 2, len(y)) if weigh else np.ones(len(y))
    weight[0] += 1.0
    tree = make(criterion, **limits).fit(X, y, weight).tree_
    check_tree(tree, X, target, weight, criterion, **limits)


def test_a_tree_by_hand():
    """Ages and heights: who is under 10 has no licence; above, it depends on the height."""
    X = np.array([[5.0, 100], [8, 130], [12, 150], [20, 160], [30, 180], [40, 190]])
    y = np.array(["no", "no", "no", "yes", "yes", "yes"])
    tree = DecisionTreeClassifier().fit(X, y)
    expect.close(float(tree.tree_.threshold[0]), 16.0, "threshold, halfway between 12 and 20")
    expect.equal(int(tree.tree_.feature[0]), 0, "feature: height splits as well, the lower number is taken")
    expect.equal(tree.predict([[16.0, 0], [16.1, 0]]).tolist(), ["no", "yes"], "predictions at the threshold")
    expect.equal((tree.get_depth(), tree.get_n_leaves()), (1, 2), "depth and leaves")
    numbers = DecisionTreeRegressor(max_depth=1).fit(X[:, :1], [1.0, 2.0, 3.0, 10.0, 11.0, 15.0])
    expect.close(numbers.predict([[0.0], [99.0]]), np.array([2.0, 12.0]), "means of the two leaves")


def test_apply_depth_and_leaves():
    X, y = noisy()
    model = DecisionTreeClassifier(max_depth=4, min_samples_leaf=2).fit(X, y)
    tree, want, deepest = model.tree_, np.zeros(len(X), int), 0
    for node, rows, depth in walk(tree, X):
        want[rows] = node
        deepest = max(deepest, depth)
    expect.equal(model.apply(X).tolist(), want.tolist(), "the leaf of each row")
    expect.equal(model.get_depth(), deepest, "depth of the tree")
    expect.equal(model.get_n_leaves(), len(set(want.tolist())), "number of leaves")
    expect.close(model.predict_proba(X), tree.value[want], "shares of the classes")
    expect.equal(
        model.apply(X[:0].reshape(0, 3)[:0].tolist() or X[:1]).tolist(), want[:1].tolist(), "one row"
    )


def test_a_split_that_removes_nothing_may_be_the_way_to_one_that_does():
    """Exclusive or: no first question is of any use, and after any of them the second one is."""
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    for criterion in CRITERIA:
        model = make(criterion).fit(X, y)
        expect.equal(model.predict(X).astype(int).tolist(), y.tolist(), f"exclusive or, {criterion}")
        expect.equal(model.get_n_leaves(), 4, "leaves")


@pytest.mark.parametrize("criterion", CRITERIA)
def test_rows_that_differ_end_in_pure_leaves(criterion):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((80, 2)), rng.integers(0, 5, 80)
    model = make(criterion).fit(X, y)
    expect.close(np.asarray(model.predict(X), float), y.astype(float), "predictions of what was learned")
    leaves = model.tree_.children_left < 0
    expect.equal(np.abs(model.tree_.impurity[leaves]).max() < 1e-12, True, "whether all leaves are pure")
    expect.close(model.score(X, y), 1.0, "score")


def test_equal_rows_with_different_labels_share_a_leaf():
    X, y = np.array([[1.0], [1], [1], [2], [2]]), np.array(["a", "b", "b", "c", "c"])
    model = DecisionTreeClassifier().fit(X, y)
    want = np.array([[1 / 3, 2 / 3, 0], [0, 0, 1]])
    expect.close(model.predict_proba([[1.0], [2.0]]), want, "shares of a, b and c")
    expect.equal(model.predict([[1.0]]).tolist(), ["b"], "the most frequent class")
    tie = DecisionTreeClassifier().fit(X[:2], ["b", "a"])
    expect.equal(tie.predict([[1.0]]).tolist(), ["a"], "of two classes that tie, the first by name")


def test_a_monotone_map_of_a_feature_changes_nothing():
    for criterion in CRITERIA:
        X, y = noisy(40)
        mapped = np.exp(X) * 1e5
        a, b = make(criterion).fit(X, y), make(criterion).fit(mapped, y)
        expect.equal(a.tree_.feature.tolist(), b.tree_.feature.tolist(), f"features after exp, {criterion}")
        expect.equal(a.apply(X).tolist(), b.apply(mapped).tolist(), f"leaves after exp, {criterion}")
        expect.true(a.get_n_leaves() > 2, f"the tree should have more than 2 leaves, has {a.get_n_leaves()}")


@given(seed=seeds(), criterion=st.sampled_from(CRITERIA))
def test_whole_weights_are_repeated_rows(seed, criterion):
    X, y, _, rng = problem(seed, criterion)
    weight = rng.integers(0, 4, len(y))
    weight[rng.integers(len(y))] = 2
    weight[np.unique(y, return_index=True)[1]] += 1  # no class is lost
    weighed = make(criterion).fit(X, y, weight)
    repeated = make(criterion).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    equal_trees(weighed.tree_, repeated.tree_, "with weights, against rows repeated", counts=False)
    expect.close(
        weighed.tree_.weighted_n_node_samples,
        repeated.tree_.n_node_samples.astype(float),
        "weights of the nodes, against repeated rows",
    )


def test_only_the_ratios_of_the_weights_count():
    X, y = noisy()
    weight = np.random.default_rng(5).uniform(0.1, 1.0, len(y))
    for kind, targets in ((DecisionTreeClassifier, y), (DecisionTreeRegressor, X[:, 1] ** 2)):
        a = kind(min_impurity_decrease=0.01, ccp_alpha=0.01).fit(X, targets, weight)
        b = kind(min_impurity_decrease=0.01, ccp_alpha=0.01).fit(X, targets, weight * 1e-12)
        equal_trees(a.tree_, b.tree_, "with all weights times 1e-12")
        expect.true(a.get_n_leaves() > 2, f"the tree should have more than 2 leaves, has {a.get_n_leaves()}")


def test_a_row_without_weight_is_not_there_but_its_class_is():
    X, y = np.array([[0.0], [1], [2], [3], [10]]), np.array(["a", "a", "b", "b", "c"])
    model = DecisionTreeClassifier().fit(X, y, [1, 1, 1, 1, 0])
    expect.equal(model.classes_.tolist(), ["a", "b", "c"], "classes")
    expect.equal(model.predict([[10.0]]).tolist(), ["b"], "prediction where only a row of weight 0 was")
    expect.equal(model.get_n_leaves(), 2, "leaves")
    model = DecisionTreeRegressor().fit(X, [0.0, 0, 1, 1, 9], [1, 0, 0, 1, 0])
    expect.close(float(model.tree_.threshold[0]), 1.5, "threshold, halfway between the rows that count")
    expect.equal(model.tree_.n_node_samples.tolist(), [2, 1, 1], "rows of positive weight in the nodes")


def test_of_equal_splits_the_lowest_feature_then_the_lowest_threshold():
    x = np.array([0.0, 1, 2, 3])
    for criterion in CRITERIA:
        model = make(criterion, max_depth=1).fit(np.stack([0 * x, x, x, -x], axis=1), [0, 0, 1, 1])
        expect.equal(
            int(model.tree_.feature[0]), 1, f"of equal features 1, 2 and 3, the split's ({criterion})"
        )
        model = make(criterion, max_depth=1).fit(x[:, None], [0, 1, 1, 0])
        expect.close(
            float(model.tree_.threshold[0]), 0.5, f"of equal cuts 0.5 and 2.5, the tree's ({criterion})"
        )


# Limits


def test_limits_on_depth_and_samples():
    X, y = noisy(28)
    for criterion in CRITERIA:
        target = y[:, None].astype(float) if criterion == "squared_error" else np.eye(2)[y]
        for limits in ({"max_depth": 3}, {"min_samples_split": 9}, {"min_samples_leaf": 5}):
            model = make(criterion, **limits).fit(X, y)
            check_tree(model.tree_, X, target, np.ones(28), criterion, **limits)


def test_the_limits_count_rows_and_not_their_weights():
    X, y = np.arange(4.0)[:, None], np.array([0, 1, 0, 1])
    weight = np.full(4, 10.0)
    for least, leaves in ((5, 1), (4, 2)):
        model = DecisionTreeClassifier(min_samples_split=least, max_depth=1).fit(X, y, weight)
        expect.equal(model.get_n_leaves(), leaves, f"leaves of 4 rows with min_samples_split={least}")
    model = DecisionTreeClassifier(min_samples_leaf=2).fit(X, y, weight)
    expect.equal(model.tree_.n_node_samples.tolist(), [4, 2, 2], "rows in the nodes")


def test_min_impurity_decrease_weighs_a_node_by_its_share():
    """The first split takes 0.625 to 0.25; the second, in half of the rows, 0.5 to 0."""
    X, y = np.arange(8.0)[:, None], np.array([0, 0, 0, 0, 1, 1, 2, 2])
    first, second = 0.625 - 0.25, 0.5 * 0.5
    for least, leaves in ((0.0, 3), (second, 3), (second * 1.001, 2), (first, 2), (first * 1.001, 1)):
        model = DecisionTreeClassifier(min_impurity_decrease=least).fit(X, y)
        expect.equal(model.get_n_leaves(), leaves, f"leaves with min_impurity_decrease={least:.6g}")


def test_min_impurity_decrease_is_in_the_units_of_the_criterion():
    """Half of the rows are parted from the others at the root: 1 bit, a variance of 25, a Gini of 0.5."""
    X, y = np.arange(4.0)[:, None], np.array([0, 0, 10, 10])
    for criterion, removed in (("gini", 0.5), ("entropy", 1.0), ("squared_error", 25.0)):
        for least, leaves in ((removed * 0.999, 2), (removed, 2), (removed * 1.001, 1)):
            model = make(criterion, min_impurity_decrease=least).fit(X, y)
            expect.equal(model.get_n_leaves(), leaves, f"leaves, {criterion}, least decrease {least:.6g}")
    X, y = np.arange(8.0)[:, None], np.array([0, 0, 1, 0, 1, 1, 1, 1])
    most = max(cuts(X, np.eye(2)[y], np.ones(8), "entropy"))[0]
    for least, leaves in ((most * 0.999, 2), (most * 1.001, 1)):
        model = DecisionTreeClassifier(criterion="entropy", max_depth=1, min_impurity_decrease=least)
        expect.equal(
            model.fit(X, y).get_n_leaves(), leaves, f"leaves, {most:.4f} of {least:.4f} bits removed"
        )


# Importances


def test_importances_are_what_the_splits_remove():
    for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
        X, y = noisy(50)
        X[:, 1] = 7.0
        weight = np.random.default_rng(2).uniform(0.5, 2, 50)
        model = kind(max_depth=4).fit(X, y, weight)
        tree, want = model.tree_, np.zeros(3)
        risk = tree.impurity * tree.weighted_n_node_samples
        for j in np.flatnonzero(tree.children_left >= 0):
            want[tree.feature[j]] += risk[j] - risk[tree.children_left[j]] - risk[tree.children_right[j]]
        expect.close(model.feature_importances_, want / want.sum(), "importances", rtol=1e-9)
        expect.close(float(model.feature_importances_.sum()), 1.0, "sum of the importances")
        expect.equal(float(model.feature_importances_[1]), 0.0, "importance of a constant feature")


def test_a_tree_without_splits_finds_nothing_important():
    model = DecisionTreeClassifier().fit([[1.0, 2.0], [1.0, 2.0]], [0, 1])
    expect.equal(model.feature_importances_.tolist(), [0.0, 0.0], "importances of a single leaf")
    expect.close(model.predict_proba([[5.0, 5.0]]), np.array([[0.5, 0.5]]), "shares in a single leaf")


# Random features


def test_which_features_are_drawn():
    """Feature f agrees with y but for f rows, so that of those drawn the lowest one wins."""
    y = np.arange(16) % 2
    X = np.stack([np.where(np.arange(16) < f, 1 - y, y) for f in range(4)], axis=1).astype(float)
    rng = np.random.default_rng(0)
    roots = {}
    for m in (1, 2):
        models = [DecisionTreeClassifier(max_depth=1, max_features=m, rng=rng).fit(X, y) for _ in range(80)]
        roots[m] = np.array([int(model.tree_.feature[0]) for model in models])
    uniform_counts(np.bincount(roots[1], minlength=4), "the one feature drawn out of four")
    for f, p in enumerate((1 / 2, 1 / 3, 1 / 6)):  # of the 6 pairs feature f is the best in 3, 2, 1 and none
        mean_is(roots[2] == f, p, math.sqrt(p * (1 - p)), f"how often feature {f} is the better of two")
    expect.equal(int((roots[2] == 3).sum()), 0, "how often the worst of four is the better of two")


def test_every_node_draws_anew_and_wastes_no_draw_on_a_constant():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 6)), rng.integers(0, 2, 60)
    X[:, [0, 2, 5]] = 1.0
    model = DecisionTreeClassifier(max_features=1, rng=rng).fit(X, y)
    used = sorted(set(model.tree_.feature[model.tree_.feature >= 0].tolist()))
    expect.equal(used, [1, 3, 4], "features used by a tree that draws one for each node")
    expect.close(model.score(X, y), 1.0, "score of a tree grown to the end")
    X = np.array(
        list(itertools.product([0.0, 1.0], repeat=5))
    )  # every question makes its feature constant below
    model = DecisionTreeClassifier(max_features=1, rng=rng).fit(X, np.arange(32))
    expect.equal(
        model.get_n_leaves(), 32, "leaves for 32 rows that differ, with one feature drawn for each node"
    )


def test_max_features_in_all_its_forms():
    X, y = np.random.default_rng(0).standard_normal((20, 39)), np.arange(20) % 2
    forms = ((None, 39), ("sqrt", 6), ("log2", 5), (1, 1), (5, 5), (50, 39), (1.0, 39), (0.5, 19), (0.01, 1))
    for max_features, want in forms:
        model = DecisionTreeClassifier(max_features=max_features, rng=np.random.default_rng(0)).fit(X, y)
        expect.equal(
            int(model.max_features_), want, f"max_features_ of 39 with max_features={max_features!r}"
        )
    model = DecisionTreeClassifier(max_features="log2", rng=np.random.default_rng(0)).fit(X[:, :1], y)
    expect.equal(int(model.max_features_), 1, "max_features_ of 1 with max_features='log2'")
    for draws in (3, "sqrt"):
        a, b = (
            DecisionTreeClassifier(max_features=draws, rng=np.random.default_rng(4)).fit(X, y)
            for _ in range(2)
        )
        equal_trees(a.tree_, b.tree_, "of two trees from one seed")


def test_rng_is_needed_only_where_features_are_drawn():
    X, y = noisy(20)
    expect.close(DecisionTreeClassifier(max_features=3).fit(X, y).score(X, y), 1.0, "score without rng")
    for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
        with expect.raises(InvalidParameterError, "rng", kind.__name__, "None"):
            kind(max_features=2).fit(X, y)


# Pruning


def subtrees(tree, node=0):
    """Every pruned subtree below a node, each as (risk of its leaves, number of leaves)."""
    risk = tree.impurity[node] * tree.weighted_n_node_samples[node] / tree.weighted_n_node_samples[0]
    yield float(risk), 1
    if tree.children_left[node] >= 0:
        sides = [list(subtrees(tree, int(c[node]))) for c in (tree.children_left, tree.children_right)]
        for (a, n), (b, m) in itertools.product(*sides):
            yield a + b, n + m


def leaf_risk(tree):
    leaf = tree.children_left < 0
    return float((tree.impurity * tree.weighted_n_node_samples)[leaf].sum() / tree.weighted_n_node_samples[0])


@pytest.mark.parametrize("criterion", CRITERIA)
def test_pruning_finds_the_best_of_all_subtrees(criterion):
    X, y = noisy(24, seed=2)
    y = y + 0.1 * X[:, 1] if criterion == "squared_error" else y
    weight = np.random.default_rng(1).uniform(0.5, 2.0, 24)
    whole = make(criterion, max_depth=4).fit(X, y, weight)
    options = list(subtrees(whole.tree_))
    alphas, _ = whole.cost_complexity_pruning_path(X, y, weight)
    expect.true(3 <= len(alphas), f"this tree has several weakest links, got the path {alphas}")
    tests = np.append((alphas[1:] + alphas[:-1]) / 2, alphas[-1] * 1.1)
    for alpha in tests:
        pruned = make(criterion, max_depth=4, ccp_alpha=float(alpha)).fit(X, y, weight)
        cost, leaves = min((round(r + alpha * n, 12), n) for r, n in options)
        got = leaf_risk(pruned.tree_) + alpha * pruned.get_n_leaves()
        expect.close(
            got, cost, f"cost of the tree pruned at {alpha:.4g}, against all its subtrees", rtol=1e-8
        )
        expect.equal(pruned.get_n_leaves(), leaves, f"leaves of the tree pruned at {alpha:.4g}")


def test_the_pruning_path_leads_from_the_whole_tree_to_its_root():
    X, y = noisy(80)
    model = DecisionTreeClassifier(ccp_alpha=0.5).fit(X, y)
    path = model.cost_complexity_pruning_path(X, y)
    expect.equal(model.get_n_leaves(), 1, "leaves at alpha 0.5, once the path has been asked for")
    alphas, impurities = path.ccp_alphas, path.impurities
    expect.equal(float(alphas[0]), 0.0, "first alpha")
    expect.close(float(impurities[-1]), float(model.tree_.impurity[0]), "last impurity, that of the root")
    expect.true(bool((np.diff(alphas) > 0).all()), f"alphas should rise: {alphas}")
    expect.true(bool((np.diff(impurities) > 0).all()), f"impurities should rise: {impurities}")
    before = None
    for alpha, impurity in zip(alphas.tolist(), impurities.tolist(), strict=True):
        pruned = DecisionTreeClassifier(ccp_alpha=alpha).fit(X, y)
        expect.close(
            leaf_risk(pruned.tree_), impurity, f"impurity of the tree at alpha {alpha:.4g}", atol=1e-12
        )
        leaf = pruned.apply(X)
        if before is not None:
            pairs = len(set(zip(before.tolist(), leaf.tolist(), strict=True)))
            expect.equal(
                pairs, len(set(before.tolist())), "old leaves, each within one leaf of the next tree"
            )
            expect.true(len(set(leaf.tolist())) < pairs, "each alpha of the path should remove leaves")
        before = leaf
    expect.equal(pruned.get_n_leaves(), 1, "leaves at the last alpha")


def test_equally_weak_links_go_together():
    """Four groups: two splits at the bottom that remove the same."""
    X, y = np.arange(8.0)[:, None], np.array([0.0, 0, 1, 1, 10, 10, 11, 11])
    alphas, impurities = DecisionTreeRegressor().cost_complexity_pruning_path(X, y)
    expect.close(alphas, np.array([0.0, 0.125, 25.0]), "alphas", rtol=1e-9)
    expect.close(impurities, np.array([0.0, 0.25, 25.25]), "impurities", rtol=1e-9, atol=1e-12)
    leaves = [
        DecisionTreeRegressor(ccp_alpha=a).fit(X, y).get_n_leaves() for a in (0.0, 0.1, 0.125, 24.0, 25.0)
    ]
    expect.equal(leaves, [4, 4, 2, 2, 1], "leaves at alpha 0, 0.1, 0.125, 24 and 25")
    y = np.concatenate([start + np.array([0.0, 0.1]) for start in (0.0, 10.3, 20.7, 31.1, 41.9, 52.3)])
    alphas, _ = DecisionTreeRegressor().cost_complexity_pruning_path(np.arange(12.0)[:, None], y)
    expect.close(alphas[:2], np.array([0.0, 0.05**2 * 2 / 12]), "alphas of six equal links", rtol=1e-6)
    expect.true(
        alphas[2] > 1.0, f"six equal links go together, up to rounding: the third alpha is {alphas[2]}"
    )


def test_a_useless_split_goes_together_with_the_useful_ones_below_it():
    """Exclusive or: each lower split removes 1/4 for its leaf, all three together 1/2 for three leaves."""
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    alphas, impurities = DecisionTreeClassifier().cost_complexity_pruning_path(X, y)
    expect.close(alphas, np.array([0.0, 1 / 6]), "alphas", rtol=1e-9)
    expect.close(impurities, np.array([0.0, 0.5]), "impurities", rtol=1e-9)
    leaves = [DecisionTreeClassifier(ccp_alpha=a).fit(X, y).get_n_leaves() for a in (0.0, 0.16, 0.17)]
    expect.equal(leaves, [4, 4, 1], "leaves at alpha 0, 0.16 and 0.17")


def test_links_are_weighed_anew_after_every_cut():
    """An exclusive or with a small split in one corner: that goes first, then what is above it as a whole."""
    X = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    y = np.array([0, 0, 1, 1, 1, 1, 0, 0.1])
    whole = DecisionTreeRegressor().fit(X, y)
    expect.equal(whole.get_n_leaves(), 5, "leaves of the whole tree")
    small, total = 0.05**2 * 2 / 8, float(np.var(y))
    alphas, impurities = whole.cost_complexity_pruning_path(X, y)
    expect.close(alphas, np.array([0.0, small, (total - small) / 3]), "alphas", rtol=1e-9)
    expect.close(impurities, np.array([0.0, small, total]), "impurities", rtol=1e-9, atol=1e-12)


def test_importances_are_those_of_the_pruned_tree():
    X = np.array([[0.0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [1, 1], [1, 2], [1, 3]])
    y = np.array([0.0, 0, 1, 1, 10, 10, 10, 10])
    model = DecisionTreeRegressor(ccp_alpha=1.0).fit(X, y)
    expect.close(model.feature_importances_, np.array([1.0, 0.0]), "importances after pruning")
    tree = model.tree_
    expect.equal(sorted(tree.feature.tolist()), [-2, -2, 0], "features of the nodes that are left")
    expect.close(
        np.sort(tree.threshold), np.array([-2.0, -2.0, 0.5]), "thresholds of the nodes that are left"
    )
    expect.equal((int(tree.children_left[1]), int(tree.children_right[2])), (-1, -1), "children of leaves")
    expect.close(model.predict(X[[0, 7]]), np.array([0.5, 10.0]), "predictions after pruning")


# Types and edges


def test_types_of_data():
    X, y = noisy(30)
    for labels in (y.astype(bool), np.array(["left", "right"])[y], y * 10 - 3, y.astype(float)):
        model = DecisionTreeClassifier(max_depth=2).fit(X, labels)
        expect.equal(
            model.predict(X).tolist() == labels.tolist(), False, "whether a tree of depth 2 is perfect"
        )
        expect.equal(model.classes_.tolist(), np.unique(labels).tolist(), "classes")
        share = float(np.mean(model.predict(X) == labels))
        expect.close(model.score(X, labels), share, "score")
        expect.true(share > 0.7, f"a tree of depth 2 should be right on 70 % of the rows, is on {share:.0%}")
    proba = model.predict_proba(X.tolist())
    expect.close(proba.sum(axis=1), np.ones(30), "sums of the shares", dtype=np.float64)
    a = DecisionTreeRegressor(max_depth=3).fit(X.astype(np.float32), y)
    b = DecisionTreeRegressor(max_depth=3).fit(X.astype(np.float32).astype(float), y)
    expect.close(a.predict(X.astype(np.float32)), b.predict(X.astype(np.float32)), "predictions from float32")


def test_neighbouring_floats_are_told_apart():
    for dtype in (np.float32, np.float64):
        one = dtype(1.0)
        X = np.array([[np.nextafter(one, dtype(0))], [one], [np.nextafter(one, dtype(2))]], dtype)
        model = DecisionTreeClassifier().fit(X, [0, 1, 2])
        expect.equal(model.predict(X).tolist(), [0, 1, 2], f"classes of three neighbouring {dtype.__name__}")


def test_numbers_far_from_zero_and_of_any_scale():
    X = np.arange(12.0)[:, None]
    y = np.array([0.0, 0, 0, 1, 1, 1, 1, 3, 3, 3, 3, 3])
    for scale, shift in ((1.0, 0.0), (1.0, 1e8), (1e-9, 0.0), (1e12, -1e13)):
        model = DecisionTreeRegressor().fit(X, shift + scale * y)
        expect.equal(model.get_n_leaves(), 3, f"leaves for {shift:g} + {scale:g} * y")
        expect.close(model.predict(X), shift + scale * y, f"{shift:g} + {scale:g} * y")
    outlier = DecisionTreeRegressor().fit(X, np.append(y[:-1], 1e10))
    expect.close(outlier.predict(X)[:-1], y[:-1], "numbers beside an outlier of 1e10", rtol=1e-9)


def test_data_that_cannot_be_split():
    for X, y in (([[3.0, 4.0]], [5]), ([[1.0], [2.0], [3.0]], [5, 5, 5]), (np.ones((4, 2)), [5, 5, 7, 7])):
        for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
            model = kind().fit(X, y)
            expect.equal((model.get_depth(), model.get_n_leaves()), (0, 1), f"depth, leaves for y = {y}")
            want = 6.0 if kind is DecisionTreeRegressor and len(y) == 4 else 5
            expect.close(float(model.predict(X)[0]), float(want), f"prediction for y = {y}")
            for name, value in (
                ("children_left", -1),
                ("children_right", -1),
                ("feature", -2),
                ("threshold", -2.0),
            ):
                expect.equal(getattr(model.tree_, name).tolist(), [value], f"{name} of the only node, a leaf")


def test_inputs_stay_as_they_are():
    X, y = noisy(20)
    weight = np.linspace(0.0, 1.0, 20)
    for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
        with expect.unchanged(X, y, weight):
            model = kind().fit(X, y, weight)
            predicted = model.predict(X)
        expect.close(predicted[1:].astype(float), y[1:].astype(float), "predictions of what was learned")


# Errors

WRONG = [
    ("criterion", "gain", ("gini", "entropy", "'gain'")),
    ("max_depth", 0, ("0",)),
    ("max_depth", 2.5, ("2.5",)),
    ("min_samples_split", 1, ("1",)),
    ("min_samples_split", 2.5, ("2.5",)),
    ("min_samples_leaf", 0, ("0",)),
    ("min_impurity_decrease", -0.1, ("-0.1",)),
    ("ccp_alpha", -1.0, ("-1.0",)),
    ("ccp_alpha", float("nan"), ("nan",)),
    ("max_features", 0, ("0",)),
    ("max_features", 1.5, ("1.5",)),
    ("max_features", 0.0, ("0.0",)),
    ("max_features", "all", ("'all'",)),
    ("max_features", True, ("True",)),
]


@pytest.mark.parametrize(("name", "value", "named"), WRONG, ids=[f"{n}={v}" for n, v, _ in WRONG])
def test_parameters_out_of_range_are_named(name, value, named):
    model = DecisionTreeClassifier(**{name: value, "rng": np.random.default_rng(0)})
    with expect.raises(InvalidParameterError, name, "DecisionTreeClassifier", *named):
        model.fit([[0.0], [1.0]], [0, 1])
    expect.equal(
        model.set_params(**{name: DecisionTreeClassifier().get_params()[name]})
        .fit([[0.0], [1.0]], [0, 1])
        .predict([[1.0]])
        .tolist(),
        [1],
        "the prediction once it is mended",
    )


def test_a_regressor_knows_no_gini():
    with expect.raises(
        InvalidParameterError, "criterion", "DecisionTreeRegressor", "squared_error", "'gini'"
    ):
        DecisionTreeRegressor(criterion="gini").fit([[0.0], [1.0]], [0.0, 1.0])
    model = DecisionTreeRegressor().fit([[0.0], [1.0]], [0.0, 1.5])
    expect.close(model.predict([[1.0]]), np.array([1.5]), "prediction with the default criterion")


def test_data_that_is_refused():
    X, y = np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([0, 1])
    for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
        with expect.raises(ValueError, "NaN"):
            kind().fit([[0.0, np.nan], [2.0, 3.0]], y)
        with expect.raises(ValueError, "2", "3"):
            kind().fit(X, [0, 1, 1])
        with expect.raises(NotFittedError, kind.__name__):
            (kind().predict_proba if kind is DecisionTreeClassifier else kind().predict)(X)
        model = kind().fit(X, y)
        with expect.raises(ValueError, "3", "2", kind.__name__):
            model.predict([[1.0, 2.0, 3.0]])
        with expect.raises(ValueError, "NaN"):
            model.predict([[1.0, np.nan]])
        expect.close(np.asarray(model.predict(X), float), y.astype(float), "predictions")
    with expect.raises(ValueError, "0.5"):
        DecisionTreeClassifier().fit(X, [0.5, 1.0])


def test_weights_that_are_refused():
    X, y = np.array([[0.0], [2.0], [4.0]]), np.array([0, 1, 1])
    for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
        for weight, named in (
            ([1.0, 2.0], ("(2,)", "(3,)")),
            ([[1.0], [2.0], [1.0]], ("(3, 1)", "(3,)")),
            ([1.0, -2.0, 1.0], ("-2.0",)),
            ([1.0, np.nan, 1.0], ("nan",)),
            ([1.0, np.inf, 1.0], ("inf",)),
            ([0.0, 0.0, 0.0], ("0",)),
        ):
            with expect.raises(ValueError, "sample_weight", *named):
                kind().fit(X, y, weight)
        model = kind().fit(X, y, [1.0, 0.0, 2.0])
        expect.close(float(model.tree_.threshold[0]), 2.0, "threshold, halfway between the rows that count")
