"""classical_ml.clustering.hierarchical: each merger by definition, spanning trees, sums of squares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classical_ml.clustering.hierarchical import (
    AgglomerativeClustering,
    agglomerate,
    cut,
    linkage,
    merged_distances,
    number,
    pairwise_distances,
)
from classical_ml.estimator import InvalidParameterError
from curriculum.datasets import toy
from curriculum.testing import expect, strategies

METHODS = ("single", "complete", "average", "ward")

every_method = pytest.mark.parametrize("method", METHODS)


def between(A, B, method):
    """The distance of two clusters by its definition."""
    D = np.sqrt(((A[:, None] - B) ** 2).sum(axis=2))
    if method == "ward":
        gap = np.linalg.norm(A.mean(axis=0) - B.mean(axis=0))
        return float(np.sqrt(2 * len(A) * len(B) / (len(A) + len(B))) * gap)
    return float({"single": D.min, "complete": D.max, "average": D.mean}[method]())


def squares(X):
    """The sum of squared distances to the mean."""
    return float(((X - X.mean(axis=0)) ** 2).sum())


def points(n, d=2, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def integers(n, seed, d=2):
    return np.random.default_rng(seed).integers(0, 4, (n, d)).astype(float)


def require_greedy(X, tree, method):
    """Each row of the tree merges two clusters that exist and are nearest, at their distance."""
    clusters = {i: [i] for i in range(len(X))}
    for i, (a, b, height, size) in enumerate(tree.tolist()):
        expect.true(
            a < b and a in clusters and b in clusters,
            f"merger {i} is of {a:g} and {b:g}; expected two of {sorted(clusters)}, the lower first",
        )
        names = list(clusters)
        distances = {
            (p, q): between(X[clusters[p]], X[clusters[q]], method) for p in names for q in names if p < q
        }
        expect.close(height, distances[a, b], f"height of merger {i} ({method})", rtol=1e-9, atol=1e-9)
        least = min(distances.values())
        expect.close(height, least, f"least distance before merger {i} ({method})", rtol=1e-9, atol=1e-9)
        clusters[len(X) + i] = clusters.pop(a) + clusters.pop(b)
        expect.equal(size, float(len(clusters[len(X) + i])), f"samples in merger {i}")
    expect.equal(len(clusters), 1, "clusters that are left in the end")


def spanning_tree(X):
    """The edges (length, i, j) of a minimum spanning tree by Prim's algorithm, shortest first."""
    D = np.sqrt(((X[:, None] - X) ** 2).sum(axis=2))
    inside, edges = [0], []
    while len(inside) < len(X):
        outside = [j for j in range(len(X)) if j not in inside]
        edges.append(min((float(D[i, j]), i, j) for i in inside for j in outside))
        inside.append(edges[-1][2])
    return sorted(edges)


# Distances


def test_pairwise_distances_by_definition():
    X = points(7, 3)
    with expect.unchanged(X):
        D = pairwise_distances(X)
    want = [
        [sum((a - b) ** 2 for a, b in zip(x, z, strict=True)) ** 0.5 for z in X.tolist()] for x in X.tolist()
    ]
    expect.close(D, np.array(want), "distances of 7 samples", atol=0)
    exact = pairwise_distances(1e8 + np.array([[0.0, 0.0], [3.0, 4.0]]))
    expect.close(exact, np.array([[0.0, 5.0], [5.0, 0.0]]), "distances around 1e8")
    single = pairwise_distances(np.array([[0, 0], [3, 4]], np.float32))
    expect.close(single, np.array([[0.0, 5.0], [5.0, 0.0]]), "distances of float32", dtype=np.float64)


@every_method
def test_distances_to_a_union(method):
    A, B, others = points(3, 2, 1), points(5, 2, 2), [points(n, 2, n + 3) for n in (1, 2, 4)]
    to_a, to_b = (np.array([between(P, C, method) for C in others]) for P in (A, B))
    want = np.array([between(np.r_[A, B], C, method) for C in others])
    power = 2 if method == "ward" else 1
    with expect.unchanged(to_a, to_b):
        got = merged_distances(
            method, to_a**power, to_b**power, between(A, B, method) ** power, 3, 5, np.array([1.0, 2, 4])
        )
    expect.close(got, want**power, f"distances of a union of 3 and 5 to clusters of 1, 2 and 4 ({method})")


@every_method
def test_clusters_that_do_not_exist_stay_infinitely_far(method):
    to_a, to_b = np.array([np.inf, 1.0, 4.0]), np.array([np.inf, 2.0, 3.0])
    with expect.quiet("distances to a cluster that does not exist"):
        got = merged_distances(method, to_a, to_b, 1.0, 1, 1, np.array([0.0, 1.0, 1.0]))
    want = {"single": [1, 3], "complete": [2, 4], "average": [1.5, 3.5], "ward": [5 / 3, 13 / 3]}[method]
    expect.close(got, np.array([np.inf, *want]), f"distances to nobody and to samples ({method})")


# The tree


def test_a_tree_by_hand():
    """0 and 1 are 1 apart, 10 and 12 are 2 apart; then the two pairs."""
    X = np.array([[10.0], [0.0], [12.0], [1.0]])
    heights = {"single": 9.0, "complete": 12.0, "average": 10.5, "ward": np.sqrt(2) * 10.5}
    for method, last in heights.items():
        with expect.unchanged(X):
            tree = linkage(X, method)
        want = np.array([[1, 3, 1, 2], [0, 2, 2, 2], [4, 5, last, 4]])
        expect.close(tree, want, f"tree of 10, 0, 12, 1 ({method})", dtype=np.float64)


@every_method
@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 1), (9, 2), (20, 3)])
def test_the_nearest_clusters_merge(method, n, d):
    for seed in range(3):
        X = points(n, d, seed)
        require_greedy(X, linkage(X, method), method)


@every_method
def test_the_nearest_merge_where_many_are_equally_near(method):
    for seed in range(8):
        X = integers(14, seed)
        require_greedy(X, linkage(X, method), method)


@every_method
@given(strategies.seeds(), st.integers(1, 40))
def test_heights_never_fall(method, seed, n):
    tree = linkage(0.1 * integers(n, seed), method)
    expect.equal(tree.shape, (n - 1, 4), f"shape of the tree of {n} samples")
    expect.true(bool((np.diff(tree[:, 2]) >= 0).all()), f"heights should not fall: {tree[:, 2]} ({method})")
    expect.equal(np.sort(tree[:, :2].ravel()), np.arange(2.0 * n - 2), "clusters that merge, each once")
    if n > 1:
        expect.equal(float(tree[-1, 3]), float(n), "samples in the last merger")


@pytest.mark.parametrize("method", ["average", "ward"])
def test_rounding_does_not_put_a_merger_before_its_parts(method):
    """All samples are equally far apart: computed heights may be an ulp below those inside them."""
    for n in (7, 9):
        for side in (0.977, 0.991, 1.389, 0.1):
            tree = linkage(side * np.eye(n), method)
            what = f"{n} samples {side * 2**0.5} apart ({method})"
            expect.equal(np.sort(tree[:, :2].ravel()), np.arange(2.0 * n - 2), f"mergers, each once: {what}")
            expect.close(tree[:, 2], np.full(n - 1, side * 2**0.5), f"heights of {what}")
            expect.true(bool((np.diff(tree[:, 2]) >= 0).all()), f"heights should not fall: {tree[:, 2]}")
            above = tree[:, :2].max(axis=1) < n + np.arange(n - 1)
            expect.true(bool(above.all()), f"a merger takes a cluster that does not exist yet, of {what}")


def test_single_linkage_is_the_minimum_spanning_tree():
    for X in (points(40, 2), points(30, 5, 1), integers(30, 2, 3)):
        tree, edges = linkage(X, "single"), spanning_tree(X)
        expect.close(tree[:, 2], np.array([e[0] for e in edges]), "heights, against the edges' lengths")
    X = points(40, 2)
    tree, edges = linkage(X, "single"), spanning_tree(X)
    for n_clusters in (2, 5, 11):
        names = np.arange(40)
        for _, i, j in edges[: 40 - n_clusters]:
            names[names == names[j]] = names[i]
        pairs = set(zip(cut(tree, n_clusters).tolist(), names.tolist(), strict=True))
        expect.equal(len(pairs), n_clusters, f"clusters, against the tree without {n_clusters - 1} edges")


def test_ward_adds_the_least_sum_of_squares():
    """height^2 / 2 is what each merger adds; in the end all of it has been added."""
    X = 50 + points(25, 3)
    tree = linkage(X, "ward")
    members = [[i] for i in range(25)]
    for a, b, height, _ in tree.tolist():
        A, B = members[int(a)], members[int(b)]
        growth = squares(X[A + B]) - squares(X[A]) - squares(X[B])
        expect.close(height**2 / 2, growth, "growth of the sum of squares", rtol=1e-8)
        members.append(A + B)
    expect.close(float((tree[:, 2] ** 2).sum() / 2), squares(X), "all growths together", rtol=1e-9)


@every_method
def test_moving_and_scaling_the_samples(method):
    X = points(30, 2)
    tree, moved = linkage(X, method), linkage(4 * X - 1024.0, method)
    expect.equal(moved[:, [0, 1, 3]], tree[:, [0, 1, 3]], "who merges, moved and scaled by 4")
    expect.close(moved[:, 2], 4 * tree[:, 2], "heights, scaled by 4", rtol=1e-10)


@every_method
def test_the_order_of_the_samples_changes_names_only(method):
    X = points(30, 2)
    order = np.random.default_rng(5).permutation(30)
    tree, other = linkage(X, method), linkage(X[order], method)
    expect.close(other[:, 2], tree[:, 2], "heights, reordered", rtol=1e-10)
    pairs = set(zip(cut(tree, 6)[order].tolist(), cut(other, 6).tolist(), strict=True))
    expect.equal(len(pairs), 6, "pairs of names of 6 clusters")


def test_a_matrix_of_distances_that_are_not_euclidean():
    """Four towns on a ring road, 1, 2, 4 and 3 apart."""
    D = np.array([[0.0, 1, 3, 3], [1, 0, 2, 4], [3, 2, 0, 4], [3, 4, 4, 0]])
    with expect.unchanged(D):
        tree = agglomerate(D, "complete")
    expect.close(tree, np.array([[0.0, 1, 1, 2], [2, 4, 3, 3], [3, 5, 4, 4]]), "tree by complete linkage")
    tree = agglomerate(D, "single")
    expect.close(tree, np.array([[0.0, 1, 1, 2], [2, 4, 2, 3], [3, 5, 3, 4]]), "tree by single linkage")
    tree = agglomerate(D, "average")
    expect.close(
        tree, np.array([[0.0, 1, 1, 2], [2, 4, 2.5, 3], [3, 5, 11 / 3, 4]]), "tree by average linkage"
    )


def test_mergers_are_numbered_by_height():
    tree = number([(3, 4, 2.0), (0, 2, 1.0), (1, 3, 2.0), (0, 1, 5.0)])
    want = np.array([[0.0, 2, 1, 2], [3, 4, 2, 2], [1, 6, 2, 3], [5, 7, 5, 5]])
    expect.equal(tree, want, "tree of four mergers")


def test_copies_merge_at_zero():
    X = np.repeat([[0.1, 0.2], [0.7, 0.7]], 3, axis=0)
    for method in METHODS:
        tree = linkage(X, method)
        expect.equal(tree[:4, 2], np.zeros(4), f"heights of 4 mergers of copies ({method})")
        expect.equal(cut(tree, 2), np.array([0, 0, 0, 1, 1, 1]), f"two clusters of copies ({method})")


def test_an_unknown_linkage_is_named():
    with expect.raises(ValueError, "centroid", "ward", "single"):
        linkage(points(4), "centroid")


# Cutting


def test_cuts_by_hand():
    tree = np.array([[1.0, 3, 1, 2], [0, 2, 2, 2], [4, 5, 9, 4]])
    for n_clusters, want in ((1, [0, 0, 0, 0]), (2, [0, 1, 0, 1]), (3, [0, 1, 2, 1]), (4, [0, 1, 2, 3])):
        expect.equal(cut(tree, n_clusters), np.array(want), f"{n_clusters} clusters")
    tree = np.array([[3.0, 4, 1, 2], [2, 5, 2, 3], [0, 1, 3, 2], [6, 7, 9, 5]])
    for n_clusters, want in ((2, [0, 0, 1, 1, 1]), (3, [0, 1, 2, 2, 2])):
        expect.equal(cut(tree, n_clusters), np.array(want), f"{n_clusters} clusters, first samples first")


# The estimator


@every_method
def test_clusters_of_blobs(method):
    X, y = toy.blobs(60, centers=3, rng=np.random.default_rng(0))
    found = AgglomerativeClustering(3, linkage=method)
    expect.true(found.fit(X) is found, "fit should return the estimator")
    pairs = set(zip(found.labels_.tolist(), y.tolist(), strict=True))
    expect.equal(len(pairs), 3, f"pairs of cluster and blob ({method})")
    tree = linkage(X, method)
    expect.equal(found.children_, tree[:, :2].astype(int), "children_")
    expect.close(found.distances_, tree[:, 2], "distances_", rtol=1e-12)
    sizes = found.n_clusters_, found.n_leaves_, found.n_features_in_
    expect.equal(sizes, (3, 60, 2), "n_clusters_, n_leaves_, n_features_in_")
    expect.equal(found.fit_predict(X), found.labels_, "fit_predict")


def test_clusters_at_a_threshold_stay_apart():
    X = [[0.0], [1.0], [3.0], [6.0]]  # gaps of 1, 2, 3
    for threshold, want in ((0, [0, 1, 2, 3]), (1, [0, 1, 2, 3]), (2.0, [0, 0, 1, 2]), (2.5, [0, 0, 0, 1]),
                            (3.5, [0, 0, 0, 0])):  # fmt: skip
        found = AgglomerativeClustering(None, linkage="single", distance_threshold=threshold).fit(X)
        expect.equal(found.labels_.tolist(), want, f"labels of 0, 1, 3, 6 for the threshold {threshold}")
        expect.equal(found.n_clusters_, max(want) + 1, f"n_clusters_ for the threshold {threshold}")


def test_two_moons_need_single_linkage():
    X, y = toy.two_moons(200, noise=0.03, rng=np.random.default_rng(0))
    pairs = {}
    for method in ("single", "ward"):
        labels = AgglomerativeClustering(2, linkage=method).fit_predict(X)
        pairs[method] = len(set(zip(labels.tolist(), y.tolist(), strict=True)))
    expect.true(
        pairs["single"] == 2 < pairs["ward"],
        f"pairs of cluster and moon: {pairs}; expected 2 for single, more for ward, which cuts across",
    )


def test_defaults():
    X = points(20, 2)
    found = AgglomerativeClustering().fit(X)
    expect.equal(found.labels_, cut(linkage(X, "ward"), 2), "labels by default: ward, 2 clusters")
    expect.close(linkage(X), linkage(X, "ward"), "tree by the default method, ward")


def test_one_sample_and_as_many_clusters_as_samples():
    one = AgglomerativeClustering(1).fit([[3.0, 4.0]])
    expect.equal(
        (one.labels_.tolist(), one.children_.shape), ([0], (0, 2)), "labels and children_ of one sample"
    )
    expect.equal(one.distances_.shape, (0,), "distances_ of one sample")
    each = AgglomerativeClustering(3).fit_predict([[0.0], [5.0], [1.0]])
    expect.equal(each.tolist(), [0, 1, 2], "labels of 3 clusters of 3 samples")
    with expect.raises(ValueError, "4", "3"):
        AgglomerativeClustering(4).fit([[0.0], [5.0], [1.0]])


def test_float32_and_lists():
    X = points(20, 2).astype(np.float32)
    tree = linkage(X, "average")
    expect.close(tree, linkage(X.astype(float), "average"), "tree of float32", dtype=np.float64)
    one, two = AgglomerativeClustering(3).fit(X), AgglomerativeClustering(3).fit(X.tolist())
    expect.equal(one.labels_, two.labels_, "labels of float32 and of a list")
    expect.equal(sorted(set(one.labels_.tolist())), [0, 1, 2], "names of the clusters")


WRONG = [("n_clusters", 0), ("n_clusters", 2.5), ("linkage", "centroid"), ("distance_threshold", -1.0)]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_parameters_are_refused_by_fit(name, value):
    others = {"n_clusters": None} if name == "distance_threshold" else {}
    with expect.raises(InvalidParameterError, name, "AgglomerativeClustering", repr(value)):
        AgglomerativeClustering(**others, **{name: value}).fit([[0.0], [1.0]])


def test_one_of_two_ways_to_stop():
    with expect.raises(ValueError, "n_clusters", "distance_threshold", "2", "0.5"):
        AgglomerativeClustering(2, distance_threshold=0.5).fit([[0.0], [1.0]])
    with expect.raises(ValueError, "n_clusters", "distance_threshold", "None"):
        AgglomerativeClustering(None).fit([[0.0], [1.0]])


def test_data_that_do_not_fit():
    with expect.raises(ValueError, "nan", "1", "0"):
        AgglomerativeClustering().fit([[0.0], [np.nan]])
    broken = AgglomerativeClustering()
    with expect.raises(ValueError, "1", "2"):
        broken.fit([[0.0]])
    expect.true(
        not hasattr(broken, "n_features_in_"), "n_features_in_ should not be set by a fit that failed"
    )
