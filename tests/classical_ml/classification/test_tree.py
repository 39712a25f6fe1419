"""Trees of random cuts: impurities by their definition, rows followed one by one, importances by a loop."""

import math

import numpy as np
import pytest

from classical_ml.classification.tree import Tree, describe, feature_importances
from curriculum.testing import expect

CRITERIA = ("gini", "entropy", "squared_error")


def impurity_of(target, weight, criterion):
    """By definition, of targets (M, V) with weights (M,)."""
    mean = weight @ target / weight.sum()
    if criterion == "gini":
        return float(1.0 - mean @ mean)
    if criterion == "entropy":
        return -sum(p * math.log2(p) for p in mean.tolist() if p > 0)
    return float(weight @ ((target - mean) ** 2).sum(axis=1) / weight.sum())


def random_tree(X, target, weight, criterion="gini", stop=0.1, seed=0):
    """A tree of random cuts, node by node, from the definitions alone."""
    rng, nodes = np.random.default_rng(seed), []

    def add(rows):
        here = len(nodes)
        t, w = target[rows], weight[rows]
        value, impurity = w @ t / w.sum(), impurity_of(t, w, criterion)
        nodes.append([-1, -1, -2, -2.0, value, impurity, len(rows), w.sum()])
        f = int(rng.integers(X.shape[1]))
        x = np.unique(X[rows, f])
        if len(x) > 1 and rng.random() > stop:
            at = int(rng.integers(len(x) - 1))
            nodes[here][2:4] = f, (x[at] + x[at + 1]) / 2
            left = X[rows, f] <= nodes[here][3]
            nodes[here][0] = add(rows[left])
            nodes[here][1] = add(rows[~left])
        return here

    add(np.arange(len(X)))
    return Tree(*(np.array(field) for field in zip(*nodes, strict=True)))


def problem(seed=0, n=40, d=3):
    """X (N, D) with ties, one-hot targets (N, 3) and weights."""
    rng = np.random.default_rng(seed)
    X = np.round(rng.standard_normal((n, d)), 1)
    return X, np.eye(3)[rng.integers(0, 3, n)], rng.uniform(0.5, 2.0, n)


def walk(tree, x):
    """The leaf of one row, and the number of questions on the way."""
    node, depth = 0, 0
    while tree.children_left[node] >= 0:
        left = x[tree.feature[node]] <= tree.threshold[node]
        node = int((tree.children_left if left else tree.children_right)[node])
        depth += 1
    return node, depth


def single():
    """A tree that is one leaf."""
    return Tree(*map(np.array, ([-1], [-1], [-2], [-2.0], [[0.25, 0.75]], [0.375], [4], [4.0])))


# What a node knows


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


@pytest.mark.parametrize("criterion", CRITERIA)
def test_nodes_of_random_rows(criterion):
    rng = np.random.default_rng(3)
    node, weight = np.append(np.arange(5), rng.integers(0, 5, 25)), rng.uniform(0.1, 3.0, 30)
    target = (
        rng.standard_normal((30, 1)) if criterion == "squared_error" else np.eye(4)[rng.integers(0, 4, 30)]
    )
    with expect.unchanged(target, weight, node):
        nodes = describe(target, weight, node, 5, criterion)
    groups = [(target[node == k], weight[node == k]) for k in range(5)]
    expect.equal([int(n) for n in nodes.size], [len(w) for _, w in groups], "rows in each node")
    expect.close(nodes.weight, np.array([w.sum() for _, w in groups]), "weights of the nodes")
    expect.close(nodes.value, np.stack([w @ t / w.sum() for t, w in groups]), f"values, {criterion}")
    want = np.array([impurity_of(t, w, criterion) for t, w in groups])
    expect.close(nodes.impurity, want, f"impurities, {criterion}", rtol=1e-9)


def test_impurities_by_hand():
    halves, thirds = np.eye(2)[[0, 1]], np.eye(3)
    for criterion, target, want in (
        ("gini", halves, 0.5),
        ("gini", thirds, 2 / 3),
        ("entropy", halves, 1.0),
        ("entropy", thirds, math.log2(3)),
        ("squared_error", np.array([[1.0], [5.0]]), 4.0),
        ("squared_error", np.array([[1e9], [1e9 + 2]]), 1.0),
    ):
        n = len(target)
        got = describe(target, np.ones(n), np.zeros(n, int), 1, criterion).impurity
        expect.close(got, np.array([want]), f"{criterion} of {target.tolist()}", rtol=1e-9)


def test_the_squared_error_is_summed_over_the_targets():
    target = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 8.0]])
    nodes = describe(target, np.array([1.0, 1.0, 2.0]), np.zeros(3, int), 1, "squared_error")
    expect.close(nodes.value, np.array([[2.5, 6.5]]), "the means of two targets")
    expect.close(nodes.impurity, np.array([2.75 + 2.25]), "their variances 2.75 and 2.25, added up")


# Rows in a tree


@pytest.mark.parametrize("seed", range(4))
def test_apply_follows_each_row(seed):
    X, target, weight = problem(seed)
    tree = random_tree(X, target, weight, seed=seed)
    new = np.round(np.random.default_rng(9).standard_normal((200, 3)), 1)
    with expect.unchanged(new):
        leaf = tree.apply(new)
    want = [walk(tree, x)[0] for x in new]
    expect.equal(leaf.tolist(), want, "the leaf of each row")
    expect.equal(tree.apply(new[5:6]).tolist(), want[5:6], "the leaf of one row")


def test_a_row_at_the_threshold_goes_left():
    tree = Tree(
        *map(np.array, ([1, -1, -1], [2, -1, -1], [1, -2, -2], [0.1, -2.0, -2.0])), *([np.ones(3)] * 4)
    )
    x = np.array([[9.0, 0.1], [-9.0, np.nextafter(0.1, 1.0)]])
    expect.equal(
        tree.apply(x).tolist(), [1, 2], "leaves of x = 0.1 and of its upper neighbour, threshold 0.1"
    )
    expect.equal(tree.apply(np.float32(x)).tolist(), [2, 2], "leaves of the float32 0.1, which is above 0.1")


def test_the_depth_is_the_most_questions():
    for seed in range(5):
        X, target, weight = problem(seed)
        tree = random_tree(X, target, weight, seed=seed, stop=0.2 if seed else 1.0)
        expect.equal(int(tree.get_depth()), max(walk(tree, x)[1] for x in X), f"depth of tree {seed}")
    chain = Tree(
        children_left=np.array([1, 2, -1, -1, -1]),
        children_right=np.array([4, 3, -1, -1, -1]),
        feature=np.array([0, 0, -2, -2, -2]),
        threshold=np.array([2.0, 1.0, -2, -2, -2]),
        value=np.arange(5.0)[:, None],
        impurity=np.zeros(5),
        n_node_samples=np.array([3, 2, 1, 1, 1]),
        weighted_n_node_samples=np.array([3.0, 2, 1, 1, 1]),
    )
    expect.equal(int(chain.get_depth()), 2, "depth of a tree whose left side is deeper")


def test_a_single_leaf_takes_every_row():
    tree = single()
    expect.equal(tree.apply(np.array([[1.0], [-5.0]])).tolist(), [0, 0], "leaves")
    expect.equal(int(tree.get_depth()), 0, "depth")
    expect.equal(feature_importances(tree, 2).tolist(), [0.0, 0.0], "importances")
    X, target, weight = problem()
    whole = random_tree(X, target, weight)
    expect.true(whole.get_depth() > 1, f"a tree with more nodes is deeper, got {whole.get_depth()}")


# Importances


@pytest.mark.parametrize("criterion", CRITERIA)
def test_importances_are_the_risk_that_splits_remove(criterion):
    X, target, weight = problem(1)
    target = target[:, :1] * 5.0 + X[:, 1:2] if criterion == "squared_error" else target
    tree = random_tree(X, target, weight, criterion, seed=1)
    risk, want = tree.impurity * tree.weighted_n_node_samples, np.zeros(5)
    for j in np.flatnonzero(tree.children_left >= 0):
        want[tree.feature[j]] += risk[j] - risk[tree.children_left[j]] - risk[tree.children_right[j]]
    got = feature_importances(tree, 5)  # two features more than the tree asks about
    expect.close(got, want / want.sum(), f"importances, {criterion}", rtol=1e-9, atol=1e-12)
    expect.close(float(got.sum()), 1.0, "sum of the importances")


def test_a_large_node_counts_for_more():
    """The root takes 0.5 to 0.125, the split of a quarter of the rows takes that 0.5 to 0."""
    tree = Tree(
        children_left=np.array([1, -1, 3, -1, -1]),
        children_right=np.array([2, -1, 4, -1, -1]),
        feature=np.array([2, -2, 0, -2, -2]),
        threshold=np.array([0.5, -2, 0.5, -2, -2]),
        value=np.ones((5, 1)),
        impurity=np.array([0.5, 0.0, 0.5, 0.0, 0.0]),
        n_node_samples=np.array([8, 6, 2, 1, 1]),
        weighted_n_node_samples=np.array([16.0, 12, 4, 2, 2]),
    )
    expect.close(feature_importances(tree, 3), np.array([0.25, 0.0, 0.75]), "importances")


def test_splits_that_remove_nothing_are_not_important():
    tree = Tree(
        *map(np.array, ([1, -1, -1], [2, -1, -1], [0, -2, -2], [0.5, -2.0, -2.0], [[0.5]] * 3)),
        np.full(3, 0.25),
        np.array([4, 2, 2]),
        np.array([4.0, 2.0, 2.0]),
    )
    with expect.quiet("feature_importances"):
        expect.equal(
            feature_importances(tree, 2).tolist(), [0.0, 0.0], "importances where nothing is removed"
        )
