"""Decision trees as estimators: trees by hand, parameters, weights, pruning, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given

from classical_ml.classification.decision_tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    check_weight,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect
from curriculum.testing.strategies import seeds


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


CRITERIA = ("gini", "entropy", "squared_error")


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


# The estimators


def test_a_tree_by_hand():
    """Ages and heights: who is under 10 has no licence; above, it depends on the height."""
    X = np.array([[5.0, 100], [8, 130], [12, 150], [20, 160], [30, 180], [40, 190]])
    y = np.array(["no", "no", "no", "yes", "yes", "yes"])
    tree = DecisionTreeClassifier().fit(X, y)
    expect.close(float(tree.tree_.threshold[0]), 16.0, "threshold, halfway between 12 and 20")
    expect.equal(int(tree.tree_.feature[0]), 0, "feature: height splits as well, the lower number is taken")
    expect.equal(tree.predict([[16.0, 0], [16.1, 0]]).tolist(), ["no", "yes"], "predictions at the threshold")
    expect.equal(
        (tree.classes_.tolist(), int(tree.n_classes_)), (["no", "yes"], 2), "classes_ and n_classes_"
    )
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


@given(seed=seeds())
def test_each_criterion_has_its_own_tree(seed):
    """The first split by its definition: the least weighted impurity of the two sides, over all cuts."""
    rng = np.random.default_rng(seed)
    X, y, w = rng.standard_normal((12, 2)), rng.integers(0, 3, 12), rng.uniform(0.2, 3.0, 12)
    measures = {
        "gini": lambda t, w: w.sum() * (1 - ((w @ t / w.sum()) ** 2).sum()),
        "entropy": lambda t, w: -sum(p * np.log2(p / w.sum()) for p in (w @ t).tolist() if p > 0),
        "squared_error": lambda t, w: float(w @ (t[:, 0] - w @ t[:, 0] / w.sum()) ** 2),
    }
    for criterion, measure in measures.items():
        target = y[:, None].astype(float) if criterion == "squared_error" else np.eye(3)[y]
        options = []
        for f, row in itertools.product(range(2), range(12)):
            left = X[:, f] <= X[row, f]
            if not left.all():
                options.append(measure(target[left], w[left]) + measure(target[~left], w[~left]))
        tree = make(criterion, max_depth=1).fit(X, y, w).tree_
        if len(tree.feature) == 1:
            expect.true(len(set(y.tolist())) == 1, f"a leaf at the root, for the classes {y.tolist()}")
            continue
        left = X[:, tree.feature[0]] <= tree.threshold[0]
        got = measure(target[left], w[left]) + measure(target[~left], w[~left])
        what = f"weighted {criterion} of the two sides, against the best of all cuts"
        expect.close(float(got), float(min(options)), what, rtol=1e-8, atol=1e-10)


def test_equal_rows_with_different_labels_share_a_leaf():
    X, y = np.array([[1.0], [1], [1], [2], [2]]), np.array(["a", "b", "b", "c", "c"])
    model = DecisionTreeClassifier().fit(X, y)
    want = np.array([[1 / 3, 2 / 3, 0], [0, 0, 1]])
    expect.close(model.predict_proba([[1.0], [2.0]]), want, "shares of a, b and c")
    expect.equal(model.predict([[1.0]]).tolist(), ["b"], "the most frequent class")
    tie = DecisionTreeClassifier().fit(X[:2], ["b", "a"])
    expect.equal(tie.predict([[1.0]]).tolist(), ["a"], "of two classes that tie, the first by name")


def test_whole_weights_are_repeated_rows():
    rng = np.random.default_rng(3)
    X, weight = rng.standard_normal((30, 3)), rng.integers(1, 4, 30)
    for criterion in CRITERIA:
        y = rng.integers(0, 3, 30)
        weighed = make(criterion).fit(X, y, weight)
        repeated = make(criterion).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
        equal_trees(weighed.tree_, repeated.tree_, "with weights, against rows repeated", counts=False)
        expect.true(weighed.get_n_leaves() > 2, f"more than 2 leaves, got {weighed.get_n_leaves()}")


def test_only_the_ratios_of_the_weights_count():
    X, y = noisy()
    weight = np.random.default_rng(5).uniform(0.1, 1.0, len(y))
    for kind, targets in ((DecisionTreeClassifier, y), (DecisionTreeRegressor, X[:, 1] ** 2)):
        a = kind(min_impurity_decrease=0.01, ccp_alpha=0.01).fit(X, targets, weight)
        b = kind(min_impurity_decrease=0.01, ccp_alpha=0.01).fit(X, targets, weight * 1e-12)
        equal_trees(a.tree_, b.tree_, "with all weights times 1e-12")
        expect.true(a.get_n_leaves() > 2, f"the tree should have more than 2 leaves, has {a.get_n_leaves()}")


def test_weights_are_used_as_they_are():
    for three in ([1, 0, 3], np.float32([1, 0, 3]), (1.0, 0.0, 3.0)):
        expect.close(check_weight(three, 3), np.array([1.0, 0, 3]), "weights [1, 0, 3]", dtype=np.float64)
    expect.close(check_weight(None, 3), np.ones(3), "weights of None", dtype=np.float64)
    X, y = np.array([[0.0], [1], [2]]), np.array([0, 1, 1])
    for weight, want in (([1, 2, 4], [7.0, 1, 6]), (None, [3.0, 1, 2])):
        for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
            tree = kind().fit(X, y, weight).tree_
            what = f"weights of the nodes of a {kind.__name__}, sample_weight={weight}"
            expect.close(tree.weighted_n_node_samples, np.array(want), what)


def test_a_row_without_weight_is_not_there_but_its_class_is():
    X, y = np.array([[0.0], [1], [2], [3], [10]]), np.array(["a", "a", "b", "b", "c"])
    model = DecisionTreeClassifier().fit(X, y, [1, 1, 1, 1, 0])
    expect.equal(model.classes_.tolist(), ["a", "b", "c"], "classes")
    expect.equal(model.predict([[10.0]]).tolist(), ["b"], "prediction where only a row of weight 0 was")
    expect.equal(model.get_n_leaves(), 2, "leaves")
    model = DecisionTreeRegressor().fit(X, [0.0, 0, 1, 1, 9], [1, 0, 0, 1, 0])
    expect.close(float(model.tree_.threshold[0]), 1.5, "threshold, halfway between the rows that count")
    expect.equal(model.tree_.n_node_samples.tolist(), [2, 1, 1], "rows of positive weight in the nodes")


# Limits


def test_max_depth():
    X, y = noisy()
    for depth in (1, 3):
        expect.equal(DecisionTreeClassifier(max_depth=depth).fit(X, y).get_depth(), depth, "depth")
    expect.close(DecisionTreeClassifier().fit(X, y).score(X, y), 1.0, "score without a limit on the depth")


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


def test_max_features_in_all_its_forms():
    X, y = np.random.default_rng(0).standard_normal((20, 39)), np.arange(20) % 2
    forms = ((None, 39), ("sqrt", 6), ("log2", 5), (1, 1), (5, 5), (50, 39), (1.0, 39), (0.5, 19), (0.01, 1))
    forms += ((np.int64(3), 3), (np.float64(0.5), 19))  # NumPy's numbers mean the same
    for max_features, want in forms:
        model = DecisionTreeClassifier(max_features=max_features, rng=np.random.default_rng(0)).fit(X, y)
        expect.equal(
            int(model.max_features_), want, f"max_features_ of 39 with max_features={max_features!r}"
        )
    for max_features, n, want in (
        ("log2", 1, 1),
        ("sqrt", 8, 2),
        ("log2", 7, 2),
        ("log2", 8, 3),
        ("sqrt", 9, 3),
    ):
        model = DecisionTreeClassifier(max_features=max_features, rng=np.random.default_rng(0))
        what = f"max_features_ of {n} with max_features={max_features!r}, rounded down and at least 1"
        expect.equal(int(model.fit(X[:, :n], y).max_features_), want, what)
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


def test_every_node_draws_anew():
    X = np.array(list(itertools.product([0.0, 1.0], repeat=5)))  # every question makes its feature constant
    model = DecisionTreeClassifier(max_features=1, rng=np.random.default_rng(0)).fit(X, np.arange(32))
    expect.equal(model.get_n_leaves(), 32, "leaves for 32 rows that differ, one feature drawn for each node")
    used = set(model.tree_.feature[model.tree_.children_left >= 0].tolist())
    expect.equal(used, set(range(5)), "features that are asked about")


# Pruning


def leaf_risk(tree):
    leaf = tree.children_left < 0
    return float((tree.impurity * tree.weighted_n_node_samples)[leaf].sum() / tree.weighted_n_node_samples[0])


def test_the_pruning_path_leads_from_the_whole_tree_to_its_root():
    X, y = noisy(80)
    weight = np.random.default_rng(1).uniform(0.5, 2.0, 80)
    model = DecisionTreeClassifier(ccp_alpha=0.5).fit(X, y, weight)
    path = model.cost_complexity_pruning_path(X, y, weight)
    expect.equal(model.get_n_leaves(), 1, "leaves at alpha 0.5, once the path has been asked for")
    alphas, impurities = path.ccp_alphas, path.impurities
    expect.equal(float(alphas[0]), 0.0, "first alpha")
    expect.close(float(impurities[-1]), float(model.tree_.impurity[0]), "last impurity, that of the root")
    expect.true(len(alphas) > 3, f"this tree has several weakest links, got the path {alphas}")
    leaves = []
    for alpha, impurity in zip(alphas.tolist(), impurities.tolist(), strict=True):
        pruned = DecisionTreeClassifier(ccp_alpha=alpha).fit(X, y, weight)
        what = f"impurity of the tree at alpha {alpha:.4g}"
        expect.close(leaf_risk(pruned.tree_), impurity, what, atol=1e-12)
        leaves.append(pruned.get_n_leaves())
    expect.true(bool((np.diff(leaves) < 0).all()), f"each alpha should remove leaves, they are {leaves}")
    expect.equal(leaves[-1], 1, "leaves at the last alpha")


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
    ("min_samples_leaf", 2.5, ("2.5",)),
    ("min_impurity_decrease", -0.1, ("-0.1",)),
    ("ccp_alpha", -1.0, ("-1.0",)),
    ("ccp_alpha", float("nan"), ("nan",)),
    ("max_features", 0, ("0",)),
    ("max_features", 1.5, ("1.5",)),
    ("max_features", 0.0, ("0.0",)),
    ("max_features", "all", ("'all'",)),
    ("max_features", "auto", ("'auto'",)),
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


def test_parameters_are_checked_before_the_data_and_stay_as_they_are():
    X, y = np.array([[0.0], [1.0]]), np.array([0, 1])
    for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
        with expect.raises(InvalidParameterError, "max_depth", "-3"):
            kind(max_depth=-3).fit([[np.nan], [1.0]], y)
        model = kind(min_samples_split=2)
        before = model.get_params()
        expect.equal(model.fit(X, y).get_params(), before, f"parameters of a {kind.__name__} after fit")


def test_an_estimator_whose_fit_failed_is_not_fitted():
    X, y = np.array([[0.0], [2.0]]), np.array([0, 1])
    for kind in (DecisionTreeClassifier, DecisionTreeRegressor):
        model = kind()
        with expect.raises(ValueError, "sample_weight", "-1.0"):
            model.fit(X, y, [1.0, -1.0])
        with expect.raises(NotFittedError, kind.__name__):
            model.predict(X)
        expect.equal(model.fit(X, y).predict(X).astype(int).tolist(), [0, 1], "predictions once it is fitted")


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
