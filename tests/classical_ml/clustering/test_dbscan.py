"""classical_ml.clustering.dbscan: core, border and noise by definition, in any order of the rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classical_ml.clustering.dbscan import DBSCAN, grow, neighborhoods
from classical_ml.estimator import InvalidParameterError
from curriculum.datasets import toy
from curriculum.testing import expect


def by_definition(X, eps, min_samples):
    """Labels and core samples from the matrix of all distances: links of core samples, closed under steps."""
    near = np.sqrt(((X[:, None] - X) ** 2).sum(axis=2)) <= eps
    core = near.sum(axis=1) >= min_samples
    linked = near & core & core[:, None]
    for _ in range(len(X).bit_length() + 1):
        linked = linked | (linked.astype(float) @ linked.astype(float) > 0)
    labels, cluster = np.full(len(X), -1), 0
    for i in np.flatnonzero(core):
        if labels[i] < 0:
            labels[linked[i]] = cluster
            cluster += 1
    for i in np.flatnonzero(~core):
        names = labels[near[i] & core]
        labels[i] = names.min() if len(names) else -1
    return labels, np.flatnonzero(core)


def points(seed, n=60, d=2, whole=False):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 12, (n, d)).astype(float) if whole else 6 * rng.random((n, d))


@pytest.mark.parametrize("algorithm", ["auto", "brute", "kd_tree"])
def test_neighbourhoods_are_closed_and_include_their_centre(algorithm):
    X = np.array([[0.0, 0.0], [3.0, 4.0], [9.0, 9.0], [0.0, 5.0], [0.0, -5.0000001]])
    with expect.unchanged(X):
        near = neighborhoods(X, 5.0, algorithm, 2)
    expect.equal([sorted(n.tolist()) for n in near], [[0, 1, 3], [0, 1, 3], [2], [0, 1, 3], [4]], "within 5")


def lists(*neighbors):
    return [np.array(n, int) for n in neighbors]


def test_a_chain_of_core_samples_is_one_cluster():
    chain = lists([0, 3], [1], [2, 3], [0, 2, 3, 4], [3, 4])
    expect.equal(grow(chain, np.ones(5, bool)), np.array([0, 1, 0, 0, 0]), "labels of 0-3, 3-2, 3-4 and 1")
    expect.equal(grow(chain, np.zeros(5, bool)), np.full(5, -1), "labels without core samples")


def test_a_long_chain_is_one_cluster():
    chain = lists(*[[i - 1, i, i + 1] for i in range(3000)])
    chain[0], chain[-1] = chain[0][1:], chain[-1][:2]
    try:
        labels = grow(chain, np.ones(3000, bool))
    except RecursionError:
        labels = np.full(3000, -2)
    expect.true(
        bool((labels >= 0).all()),
        "a chain of 3,000 core samples is deeper than Python may recurse: spread in a loop, ring by ring",
    )
    expect.equal(labels, np.zeros(3000, int), "labels of a chain of 3,000 core samples")


def test_membership_does_not_pass_through_a_border_sample():
    chain = lists([0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4])
    core = np.array([True, True, False, True, True])
    expect.equal(grow(chain, core), np.array([0, 0, 0, 1, 1]), "labels with a border sample between clusters")
    expect.equal(grow(chain, ~core), np.array([-1, 0, 0, 0, -1]), "labels around a single core sample")


def test_clusters_are_numbered_by_their_first_core_sample():
    """Sample 0 is the border of both; the cluster of sample 1 comes first."""
    near = lists([0, 2, 3], [1, 3, 5], [0, 2, 4], [0, 1, 3], [2, 4], [1, 5])
    core = np.array([False, True, True, True, False, False])
    expect.equal(grow(near, core), np.array([0, 0, 1, 0, 1, 0]), "labels")


@pytest.mark.parametrize("whole", [False, True], ids=["real", "integer"])
@pytest.mark.parametrize(
    ("eps", "min_samples"), [(0.5, 3), (0.7, 4), (1.0, 5), (1.0, 1), (0.6, 2), (3.0, 20)]
)
def test_labels_by_definition(whole, eps, min_samples):
    for seed in range(4):
        X = points(seed, whole=whole)
        with expect.unchanged(X):
            found = DBSCAN(eps, min_samples=min_samples).fit(X)
        labels, core = by_definition(X, eps, min_samples)
        what = f"for eps {eps} and min_samples {min_samples}"
        expect.equal(found.core_sample_indices_, core, f"core samples {what}")
        expect.equal(found.labels_, labels, f"labels {what}")
        expect.close(found.components_, X[core], f"components_ {what}")


@pytest.mark.parametrize("algorithm", ["auto", "brute", "kd_tree"])
@pytest.mark.parametrize("d", [1, 3, 7])
def test_every_algorithm_finds_the_same(algorithm, d):
    X = points(d, 80, d)
    eps = 0.1 if d == 1 else 0.4 * d
    found = DBSCAN(eps, min_samples=3, algorithm=algorithm, leaf_size=1).fit_predict(X)
    expect.equal(found, by_definition(X, eps, 3)[0], f"labels in {d} dimensions by {algorithm!r}")


@given(st.permutations(range(40)))
def test_the_order_of_the_rows_changes_names_only(order):
    """Core samples, their grouping and noise are the data's; names and shared borders depend on order."""
    order = np.array(order)
    X = points(3, 40, whole=True)
    one, two = DBSCAN(1.5, min_samples=4).fit(X), DBSCAN(1.5, min_samples=4).fit(X[order])
    expect.equal(
        np.sort(order[two.core_sample_indices_]), one.core_sample_indices_, "core samples, reordered"
    )
    a, b = one.labels_[order], two.labels_
    expect.equal(b == -1, a == -1, "who is noise, reordered")
    core = two.core_sample_indices_
    pairs = set(zip(a[core].tolist(), b[core].tolist(), strict=True))
    expect.equal(len(pairs), len(set(a[core].tolist())), "pairs of names of clusters, one a cluster")
    expect.equal(len(pairs), len(set(b[core].tolist())), "pairs of names of clusters, one a cluster")
    firsts = [int(np.flatnonzero(b[core] == k)[0]) for k in range(len(pairs))]
    expect.equal(firsts, sorted(firsts), "first core samples of clusters 0, 1, ...")


def test_a_sample_counts_itself():
    X = [[0.0], [1.0], [5.0]]
    for min_samples, want in ((1, [0, 0, 1]), (2, [0, 0, -1]), (3, [-1, -1, -1])):
        found = DBSCAN(1.0, min_samples=min_samples).fit_predict(X)
        expect.equal(found.tolist(), want, f"labels of 0, 1, 5 for eps 1 and min_samples {min_samples}")


def test_a_shared_border_goes_to_the_first_cluster():
    """0 and 2 are dense with three samples each; 1.0 is within 1 of both, and has only two others near."""
    left, right, middle = [0.0, -0.1, -0.2], [2.0, 2.1, 2.2], [1.0]
    first = DBSCAN(1.0, min_samples=4).fit([[x] for x in left + right + middle])
    expect.equal(first.labels_.tolist(), [0, 0, 0, 1, 1, 1, 0], "labels with the middle last")
    expect.equal(first.core_sample_indices_.tolist(), [0, 3], "core samples")
    second = DBSCAN(1.0, min_samples=4).fit_predict([[x] for x in middle + right + left])
    expect.equal(
        second.tolist(), [0, 0, 0, 0, 1, 1, 1], "labels with the middle first, the right side second"
    )


def test_two_moons_and_their_noise():
    X, y = toy.two_moons(300, noise=0.05, rng=np.random.default_rng(0))
    X = np.r_[X, [[3.0, 3.0], [-2.0, -1.0]]]
    labels = DBSCAN(0.2).fit_predict(X)
    expect.equal(labels[300:].tolist(), [-1, -1], "labels of two strangers")
    pairs = set(zip(labels[:300].tolist(), y.tolist(), strict=True))
    expect.equal(sorted(k for k, _ in pairs), [0, 1], "pairs of cluster and moon, one for each")


def test_copies_and_single_samples():
    expect.equal(
        DBSCAN(1e-9, min_samples=3).fit_predict(np.full((3, 2), 0.3)).tolist(), [0] * 3, "three copies"
    )
    expect.equal(DBSCAN().fit_predict([[1.0]]).tolist(), [-1], "label of one sample")
    alone = DBSCAN(min_samples=1).fit([[1.0, 2.0]])
    expect.equal(alone.labels_.tolist(), [0], "label of one sample that suffices")
    nobody = DBSCAN(0.1).fit(points(0))
    expect.equal(
        (nobody.components_.shape, nobody.core_sample_indices_.shape), ((0, 2), (0,)), "core of noise"
    )
    expect.equal(nobody.labels_, np.full(60, -1), "labels of noise")


def test_defaults():
    X = np.r_[np.linspace(0.0, 0.4, 5), 1.5, 1.6, 1.7, 1.8][:, None]
    found = DBSCAN().fit(X)
    expect.equal(found.labels_.tolist(), [0] * 5 + [-1] * 4, "labels with eps 0.5 and min_samples 5")


def test_dtypes_and_containers():
    X = points(1).astype(np.float32)
    found = DBSCAN(0.7, min_samples=4)
    expect.true(found.fit(X) is found, "fit should return the estimator")
    labels, core = by_definition(X.astype(float), 0.7, 4)
    expect.equal(found.labels_, labels, "labels in float32")
    expect.close(found.components_, X[core], "components_ in float32", dtype=np.float32)
    expect.equal(found.n_features_in_, 2, "n_features_in_")
    expect.equal(
        DBSCAN(1, min_samples=4).fit_predict(X.tolist()), by_definition(X.astype(float), 1, 4)[0], "list"
    )


def test_float64_keeps_its_digits():
    """Whole numbers around 1e8: in float32 they are multiples of 8."""
    X = points(2, whole=True)
    labels, core = by_definition(X, 1.0, 4)
    for algorithm in ("auto", "brute"):
        found = DBSCAN(1.0, min_samples=4, algorithm=algorithm).fit(X + 1e8)
        expect.equal(found.labels_, labels, f"labels of points around 1e8, {algorithm!r}")
        expect.close(found.components_, X[core] + 1e8, "components_", rtol=0, atol=0, dtype=np.float64)


def test_a_distance_of_exactly_eps_is_near_though_its_square_is_not():
    """sqrt(3)^2 comes out as 2.9999999999999996."""
    X, eps = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), float(np.sqrt(3.0))
    for algorithm in ("brute", "kd_tree"):
        found = DBSCAN(eps, min_samples=2, algorithm=algorithm, leaf_size=1).fit_predict(X)
        expect.equal(found.tolist(), [0, 0], f"labels of (0, 0, 0) and (1, 1, 1), eps sqrt(3), {algorithm!r}")


def test_components_are_a_copy():
    X = points(1)
    found = DBSCAN(1.0, min_samples=1).fit(X)
    kept = X.copy()
    X[:] = 0.0
    expect.close(found.components_, kept, "components_ after the caller has emptied X")


WRONG = [
    ("eps", 0.0), ("eps", -1), ("eps", np.inf), ("min_samples", 0), ("min_samples", 2.5),
    ("algorithm", "ball_tree"), ("leaf_size", 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_parameters_are_refused_by_fit(name, value):
    with expect.raises(InvalidParameterError, name, "DBSCAN", repr(value)):
        DBSCAN(**{name: value}).fit([[0.0], [1.0]])


def test_data_that_do_not_fit():
    with expect.raises(ValueError, "nan", "1", "0"):
        DBSCAN().fit([[0.0], [np.nan]])
    with expect.raises(ValueError, "(0, 2)", "DBSCAN"):
        DBSCAN().fit(np.ones((0, 2)))
    broken = DBSCAN()
    with expect.raises(ValueError, "(3,)"):
        broken.fit([1.0, 2.0, 3.0])
    expect.true(
        not hasattr(broken, "n_features_in_"), "n_features_in_ should not be set by a fit that failed"
    )
