"""Pruning trees of random cuts, against all their subtrees, and small trees by hand."""

import itertools
import math

import numpy as np
import pytest

from classical_ml.classification.pruning import prune, pruning_path, weakest_links
from classical_ml.classification.tree import Tree
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
    """A tree of random cuts, node by node, from the definitions alone: cuts that are useless too."""
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


def problem(criterion="gini", n=16, seed=0):
    """A tree of random cuts over two features, and the rows it is of."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    y = np.digitize(X[:, 0] + 0.5 * rng.standard_normal(n), [-0.5, 0.5])
    target = X[:, :1] + y[:, None] if criterion == "squared_error" else np.eye(3)[y]
    return random_tree(X, target, rng.uniform(0.5, 2.0, n), criterion, stop=0.05, seed=seed), X


def by_hand(impurity, weight, left, right):
    """A tree of numbers from its impurities, weights and children."""
    n, inner = len(left), np.array(left) >= 0
    return Tree(
        children_left=np.array(left),
        children_right=np.array(right),
        feature=np.where(inner, np.arange(n) % 3, -2),
        threshold=np.where(inner, 0.5 + np.arange(n), -2.0),
        value=np.arange(float(n))[:, None],
        impurity=np.array(impurity, float),
        n_node_samples=np.array(weight),
        weighted_n_node_samples=np.array(weight, float),
    )


def four_groups(a=0.0, b=1.0, c=10.0, d=11.0, scale=1.0):
    """Two of each number, a a b b c c d d, parted in the middle and then in the middle of each half."""
    left, right = [1, 2, -1, -1, 5, -1, -1], [4, 3, -1, -1, 6, -1, -1]
    lower, upper, whole = (float(np.var(y)) * scale for y in ([a, b], [c, d], [a, b, c, d]))
    return by_hand([whole, lower, 0, 0, upper, 0, 0], [8, 4, 2, 2, 4, 2, 2], left, right)


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


def n_leaves(tree):
    return int((tree.children_left < 0).sum())


# The weakest link


@pytest.mark.parametrize("criterion", CRITERIA)
def test_each_link_is_the_weakest_of_the_tree_that_is_left(criterion):
    """By the definition: all links of the tree, computed anew after every cut."""
    whole, _ = problem(criterion)
    risk = whole.impurity * whole.weighted_n_node_samples / whole.weighted_n_node_samples[0]
    left, right, last = whole.children_left.copy(), whole.children_right.copy(), 0.0

    def below(node):
        return [node] if left[node] < 0 else [*below(int(left[node])), *below(int(right[node]))]

    with expect.unchanged(whole.children_left, whole.impurity, whole.feature):
        found = list(weakest_links(whole))
    expect.true(len(found) > 3, f"this tree has more than 3 links, got {found}")
    for alpha, j, impurity in found:
        expect.true(
            left[j] >= 0, f"node {j} has no children any more, and cannot be cut at alpha {alpha:.6g}"
        )
        cost = {}
        for i in set(range(len(left))) & {k for k in reachable(left, right) if left[k] >= 0}:
            leaves = below(i)
            cost[i] = float(risk[i] - risk[leaves].sum()) / (len(leaves) - 1)
        least = min(cost.values())
        expect.close(cost[j], least, f"link of node {j}, against the least one", rtol=1e-8, atol=1e-12)
        expect.close(float(alpha), max(last, least), f"alpha of node {j}", rtol=1e-8, atol=1e-12)
        left[j] = right[j] = -1
        want = float(risk[below(0)].sum())
        expect.close(float(impurity), want, f"risk of the leaves once {j} is one", rtol=1e-8, atol=1e-12)
        last = max(last, float(alpha))
    expect.equal(int(left[0]), -1, "the left child of the root in the end: no child is left")


def reachable(left, right):
    """The nodes that are left."""
    level = [0]
    while level:
        yield from level
        level = [int(c[j]) for j in level if left[j] >= 0 for c in (left, right)]


def test_links_by_hand():
    found = [(float(a), float(i)) for a, _, i in weakest_links(four_groups())]
    expect.close(np.array([a for a, _ in found]), np.array([0.125, 0.125, 25.0]), "alphas", rtol=1e-9)
    expect.close(np.array([i for _, i in found]), np.array([0.125, 0.25, 25.25]), "risks", rtol=1e-9)
    nodes = [int(j) for _, j, _ in weakest_links(four_groups())]
    expect.equal((sorted(nodes[:2]), nodes[2]), ([1, 4], 0), "nodes that are cut, the root last")


def equal_links(seed, depth=6):
    """A full tree whose splits all remove the same, so that rounding decides which link is the larger."""
    rng = np.random.default_rng(seed)
    each = float(rng.uniform(0.01, 1.0))
    impurity, left, right = [], [], []

    def add(levels):
        here = len(left)
        impurity.append(float(rng.uniform()))
        left.append(-1)
        right.append(-1)
        if levels:
            left[here], right[here] = add(levels - 1), add(levels - 1)
            impurity[here] = impurity[left[here]] + impurity[right[here]] + each
        return here

    add(depth)
    return by_hand(impurity, [1] * len(left), left, right), each


def test_alphas_never_fall():
    for seed in range(30):
        tree, each = equal_links(seed)
        alphas = np.array([float(alpha) for alpha, _, _ in weakest_links(tree)])
        what = f"alphas of splits that all remove {each:.6g}"
        expect.close(alphas, np.full(len(alphas), each), what, rtol=1e-9)
        fall = float(np.diff(alphas).min(initial=0.0))
        expect.true(
            fall == 0, f"no alpha is less than the one before it, not even by rounding: one is by {-fall:.3g}"
        )
    worse = by_hand([0.3, 0.1 + 0.2, 0.1 + 0.2], [4, 2, 2], [1, -1, -1], [2, -1, -1])
    alpha = next(iter(weakest_links(worse)))[0]
    expect.true(
        alpha >= 0, f"no alpha is less than 0: the link here is -5.6e-17 by rounding, yours {alpha:.3g}"
    )


# The best subtree


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("seed", range(3))
def test_pruning_finds_the_best_of_all_subtrees(criterion, seed):
    whole, _ = problem(criterion, seed=seed)
    options = list(subtrees(whole))
    alphas = np.asarray(pruning_path(whole).ccp_alphas)
    expect.true(len(alphas) >= 3, f"this tree has several weakest links, got the path {alphas}")
    for alpha in np.append((alphas[1:] + alphas[:-1]) / 2, alphas[-1] * 1.1).tolist():
        with expect.unchanged(whole.children_left, whole.feature, whole.threshold):
            pruned = prune(whole, alpha)
        cost, leaves = min((round(r + alpha * n, 12), n) for r, n in options)
        got = leaf_risk(pruned) + alpha * n_leaves(pruned)
        what = f"the tree pruned at {alpha:.4g}"
        expect.close(got, cost, f"cost of {what}, against all its subtrees", rtol=1e-8)
        expect.equal(n_leaves(pruned), leaves, f"leaves of {what}")


def test_the_path_leads_from_the_whole_tree_to_its_root():
    whole, X = problem(n=60, seed=4)
    alphas, impurities = pruning_path(whole)
    expect.equal(float(alphas[0]), 0.0, "first alpha")
    expect.close(float(impurities[0]), leaf_risk(whole), "first impurity, of all leaves", atol=1e-12)
    expect.close(float(impurities[-1]), float(whole.impurity[0]), "last impurity, that of the root")
    expect.true(bool((np.diff(alphas) > 0).all()), f"alphas should rise: {alphas}")
    expect.true(bool((np.diff(impurities) > 0).all()), f"impurities should rise: {impurities}")
    before = None
    for alpha, impurity in zip(alphas.tolist(), impurities.tolist(), strict=True):
        pruned = prune(whole, alpha)
        expect.close(leaf_risk(pruned), impurity, f"impurity of the tree at alpha {alpha:.4g}", atol=1e-12)
        leaf = pruned.apply(X)
        if before is not None:
            pairs = len(set(zip(before.tolist(), leaf.tolist(), strict=True)))
            expect.equal(pairs, len(set(before.tolist())), "old leaves, each in one leaf of the next tree")
            expect.true(len(set(leaf.tolist())) < pairs, "each alpha of the path should remove leaves")
        before = leaf
    expect.equal(n_leaves(pruned), 1, "leaves at the last alpha")


def test_what_is_left_is_a_tree_numbered_depth_first():
    whole, X = problem(n=60, seed=2)
    leaf = whole.apply(X)
    for alpha in pruning_path(whole).ccp_alphas[1:].tolist():
        cut = prune(whole, alpha)
        inner = np.flatnonzero(cut.children_left >= 0)
        what = f"of the tree pruned at {alpha:.4g}"
        expect.equal(cut.children_left[inner].tolist(), (inner + 1).tolist(), f"left children {what}")
        end = cut.children_left < 0
        for name, value in (("children_right", -1), ("feature", -2), ("threshold", -2.0)):
            expect.true(
                bool((getattr(cut, name)[end] == value).all()), f"{name} of the leaves {what}: {value}"
            )
            expect.true(
                bool((getattr(cut, name)[inner] != value).all()), f"{name} of the others {what}: not {value}"
            )
        now = cut.apply(X)
        for j in np.unique(now).tolist():
            rows = now == j
            expect.equal(int(cut.n_node_samples[j]), int(rows.sum()), f"rows of leaf {j} {what}")
            inside = len(np.unique(leaf[rows]))
            expect.true(inside == 1 or rows.sum() > 1, f"leaf {j} {what} holds {inside} of the old leaves")
        expect.close(cut.value[0], whole.value[0], f"value of the root {what}")


def test_pruning_at_zero_cuts_nothing():
    whole = by_hand([0.5] * 3, [4, 2, 2], [1, -1, -1], [2, -1, -1])  # a split that removes nothing
    kept = prune(whole, 0.0)
    expect.equal(kept.feature.tolist(), whole.feature.tolist(), "features of the tree pruned at 0")
    expect.equal(prune(whole, 1e-6).feature.tolist(), [-2], "features of the tree pruned at 1e-6")
    alphas, impurities = pruning_path(whole)
    expect.equal(alphas.tolist(), [0.0], "alphas of a tree whose only split is useless")
    expect.close(impurities, np.array([0.5]), "its impurities")
    rounded = by_hand([0.1 + 0.2, 0.3, 0.3], [4, 2, 2], [1, -1, -1], [2, -1, -1])  # removes an ulp
    alphas, _ = pruning_path(rounded)
    expect.equal(alphas.tolist(), [0.0], "alphas of a tree whose split only seems to remove something")


def test_a_pruned_tree_by_hand():
    tree = prune(four_groups(), 1.0)
    expect.equal(tree.children_left.tolist(), [1, -1, -1], "left children")
    expect.equal(tree.children_right.tolist(), [2, -1, -1], "right children")
    expect.equal(tree.feature.tolist(), [0, -2, -2], "features")
    expect.close(tree.threshold, np.array([0.5, -2.0, -2.0]), "thresholds")
    expect.close(tree.value, np.array([[0.0], [1.0], [4.0]]), "values: those of the nodes that are left")
    expect.close(tree.impurity, np.array([25.25, 0.25, 0.25]), "impurities")
    expect.equal(tree.n_node_samples.tolist(), [8, 4, 4], "rows")


def test_equally_weak_links_go_together():
    alphas, impurities = pruning_path(four_groups())
    expect.close(alphas, np.array([0.0, 0.125, 25.0]), "alphas", rtol=1e-9)
    expect.close(impurities, np.array([0.0, 0.25, 25.25]), "impurities", rtol=1e-9, atol=1e-12)
    leaves = [n_leaves(prune(four_groups(), a)) for a in (0.0, 0.1, 0.125, 24.0, 25.0)]
    expect.equal(leaves, [4, 4, 2, 2, 1], "leaves at alpha 0, 0.1, 0.125, 24 and 25")


def test_equal_and_unequal_are_relative():
    """In any unit of the targets, equal links are one step, and those 4e-6 apart are two."""
    for unit in (1.0, 1e-6, 1e-8, 1e6):
        alphas, _ = pruning_path(four_groups(scale=unit**2))
        expect.close(
            alphas, np.array([0.0, 0.125, 25.0]) * unit**2, f"alphas in units of {unit:g}", rtol=1e-9
        )
    for numbers in ((0.0, 1.0, 10.0, 11.0 + 2e-6), (0.0, 1.0, 1e4, 10002.0)):
        alphas, _ = pruning_path(four_groups(*numbers))
        a, b, c, d = numbers
        want = np.array([0.0, (b - a) ** 2 / 8, (d - c) ** 2 / 8, ((c + d - a - b) / 4) ** 2])
        expect.close(alphas, want, f"alphas of two of each of {numbers}: no two are equal", rtol=1e-8)


def test_links_that_differ_by_rounding_are_equally_weak():
    """Six pairs a, a + 0.1, parted one after the other: the variance in each is 0.0025, up to an ulp."""
    y = np.concatenate([start + np.array([0.0, 0.1]) for start in (0.0, 10.3, 20.7, 31.1, 41.9, 52.3)])
    impurity, weight, left, right = [], [], [], []

    def add(rows):
        here = len(left)
        impurity.append(float(np.var(y[rows])))
        weight.append(len(rows))
        left.append(-1)
        right.append(-1)
        if len(rows) > 1:
            at = 2 if len(rows) > 2 else 1
            left[here] = add(rows[:at])
            right[here] = add(rows[at:])
        return here

    add(np.arange(12))
    tree = by_hand(impurity, weight, left, right)
    alphas, _ = pruning_path(tree)
    expect.close(alphas[:2], np.array([0.0, 0.05**2 * 2 / 12]), "alphas of six equal links", rtol=1e-6)
    expect.true(
        alphas[2] > 1.0, f"six equal links go together, up to rounding: the third alpha is {alphas[2]}"
    )
    expect.equal(n_leaves(prune(tree, float(alphas[1]))), 6, "leaves at the second alpha")


def test_a_useless_split_goes_together_with_the_useful_ones_below_it():
    """Exclusive or: each lower split removes 1/4 for its leaf, all three together 1/2 for three leaves."""
    left, right = [1, 2, -1, -1, 5, -1, -1], [4, 3, -1, -1, 6, -1, -1]
    tree = by_hand([0.5, 0.5, 0, 0, 0.5, 0, 0], [4, 2, 1, 1, 2, 1, 1], left, right)
    alphas, impurities = pruning_path(tree)
    expect.close(alphas, np.array([0.0, 1 / 6]), "alphas", rtol=1e-9)
    expect.close(impurities, np.array([0.0, 0.5]), "impurities", rtol=1e-9)
    leaves = [n_leaves(prune(tree, a)) for a in (0.0, 0.16, 0.17)]
    expect.equal(leaves, [4, 4, 1], "leaves at alpha 0, 0.16 and 0.17")


def test_links_are_weighed_anew_after_every_cut():
    """An exclusive or with a small split in one corner: that goes first, then what is above it as a whole."""
    y = np.array([0, 0, 1, 1, 1, 1, 0, 0.1])
    small, total = 0.05**2 * 2 / 8, float(np.var(y))
    upper, lower = float(np.var(y[:4])), float(np.var(y[4:]))
    left, right = [1, 2, -1, -1, 5, -1, 7, -1, -1], [4, 3, -1, -1, 6, -1, 8, -1, -1]
    impurity = [total, upper, 0, 0, lower, 0, 0.05**2, 0, 0]
    alphas, impurities = pruning_path(by_hand(impurity, [8, 4, 2, 2, 4, 2, 2, 1, 1], left, right))
    expect.close(alphas, np.array([0.0, small, (total - small) / 3]), "alphas", rtol=1e-9)
    expect.close(impurities, np.array([0.0, small, total]), "impurities", rtol=1e-9, atol=1e-12)


def test_a_single_leaf_has_nothing_to_cut():
    leaf = by_hand([0.25], [4], [-1], [-1])
    alphas, impurities = pruning_path(leaf)
    expect.equal((alphas.tolist(), impurities.tolist()), ([0.0], [0.25]), "alphas and impurities of one leaf")
    expect.equal(list(weakest_links(leaf)), [], "links of one leaf")
    for alpha in (0.0, 3.0):
        expect.equal(prune(leaf, alpha).n_node_samples.tolist(), [4], f"rows of one leaf, pruned at {alpha}")


def test_only_the_ratios_of_the_weights_count():
    whole, _ = problem()
    light = Tree(**{**vars(whole), "weighted_n_node_samples": whole.weighted_n_node_samples * 1e-12})
    a, b = pruning_path(whole), pruning_path(light)
    expect.close(b.ccp_alphas, a.ccp_alphas, "alphas with all weights times 1e-12", rtol=1e-9, atol=1e-14)
    expect.equal(n_leaves(prune(light, 0.02)), n_leaves(prune(whole, 0.02)), "leaves with the same")
    expect.true(
        1 < n_leaves(prune(whole, 0.02)) < n_leaves(whole), "this alpha should cut some of the leaves"
    )
