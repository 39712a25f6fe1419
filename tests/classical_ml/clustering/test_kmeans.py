"""k-means: both steps of Lloyd against their definitions, an inertia that never rises, and where it ends."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classical_ml.clustering.kmeans import (
    KMeans,
    assign,
    fill_empty,
    inertia,
    kmeans_plusplus,
    lloyd,
    lloyd_step,
    nearest,
    squared_distances,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect, statistics, strategies


def all_distances(X, centers):
    """Squared distances by broadcasting a subtraction, in float64."""
    return ((X[:, None].astype(float) - centers[None].astype(float)) ** 2).sum(axis=2)


def total(X, centers):
    """The inertia by its definition."""
    return float(all_distances(X, centers).min(axis=1).sum())


def by_hand(X, centers, max_iter, limit):
    """Lloyd's algorithm in its simplest form, for starts that leave no centre empty."""
    n_iter, shift = 0, np.inf
    while n_iter < max_iter and shift > limit:
        labels = all_distances(X, centers).argmin(axis=1)
        moved = np.array([X[labels == k].mean(axis=0) for k in range(len(centers))])
        shift, centers, n_iter = ((moved - centers) ** 2).sum(), moved, n_iter + 1
    return centers, n_iter


def groups(rng, n_groups=4, size=20, spread=0.1):
    """Points around the corners 0, 1, ... of a zigzag, in random order, and the group of each."""
    labels = rng.permutation(np.repeat(np.arange(n_groups), size))
    corners = np.stack([np.arange(n_groups), np.arange(n_groups) % 2], axis=1).astype(float)
    return corners[labels] + spread * rng.standard_normal((len(labels), 2)), labels


def same_partition(a, b):
    """Whether two labellings group the samples alike, whatever they call the groups."""
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_squared_distances_by_definition(rng):
    X, centers = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    want = [[sum((x[d] - c[d]) ** 2 for d in range(3)) for c in centers] for x in X]
    with expect.unchanged(X, centers):
        got = squared_distances(X, centers)
    expect.close(got, np.array(want), "squared distances")


def test_squared_distances_are_exact_far_from_the_origin():
    X = 1e8 + np.array([[0.0, 1.0], [3.0, 5.0]])
    expect.close(squared_distances(X, X), np.array([[0.0, 25], [25, 0]]), "squared distances around 1e8")


def test_kmeans_plusplus_draws_by_squared_distance():
    """Each ordered triple of four points on a line has a known probability; 24 comparisons at 1e-7."""
    x, draws = np.array([0.0, 1.0, 3.0, 4.5]), 4000
    generator = np.random.default_rng(1)
    drawn = [tuple(kmeans_plusplus(x[:, None], 3, rng=generator)[1].tolist()) for _ in range(draws)]
    for i, j, k in permutations(range(4), 3):
        second = (x - x[i]) ** 2
        third = np.minimum(second, (x - x[j]) ** 2)
        p = second[j] / second.sum() * third[k] / third.sum() / 4
        hits = np.array([draw == (i, j, k) for draw in drawn], float)
        what = f"how often the points {x[[i, j, k]]} of {x} are drawn in this order"
        statistics.mean_is(hits, p, (p * (1 - p)) ** 0.5, what, alpha=1e-7)


def test_kmeans_plusplus_returns_rows_of_the_data(rng):
    X = rng.standard_normal((20, 2)).astype(np.float32)
    centers, indices = kmeans_plusplus(X, 5, rng=rng)
    expect.equal(len(set(indices.tolist())), 5, "number of different rows among 5 draws from 20 points")
    expect.close(centers, X[indices], "centres drawn", dtype=np.float32)


def test_kmeans_plusplus_draws_every_sample_once_if_it_needs_all(rng):
    _, indices = kmeans_plusplus(rng.standard_normal((6, 2)), 6, rng=rng)
    expect.equal(sorted(indices.tolist()), list(range(6)), "rows drawn as 6 centres of 6 samples")


def test_kmeans_plusplus_with_fewer_different_samples_than_centres(rng):
    X = np.repeat([[0.0], [1.0]], 5, axis=0)
    with expect.quiet("drawing 4 centres from 2 different samples"):
        centers, indices = kmeans_plusplus(X, 4, rng=rng)
    expect.equal(sorted(set(centers[:, 0].tolist())), [0.0, 1.0], "different centres drawn")
    expect.close(centers, X[indices], "centres drawn")


def test_kmeans_plusplus_draws_uniformly_where_all_samples_are_centres():
    X, generator = np.full((5, 2), 0.3), np.random.default_rng(2)
    drawn = np.array([kmeans_plusplus(X, 2, rng=generator)[1] for _ in range(500)])
    for k, what in enumerate(("first", "second")):
        counts = np.bincount(drawn[:, k], minlength=5)
        statistics.uniform_counts(counts, f"how often each of 5 equal rows is drawn as the {what} centre")


@pytest.mark.parametrize(("n", "n_clusters"), [(30, 4), (5000, 40), (3, 1)])
def test_assign_by_definition(rng, n, n_clusters):
    X, centers = rng.standard_normal((n, 3)), rng.standard_normal((n_clusters, 3))
    with expect.unchanged(X, centers):
        labels, sums, counts = assign(X, centers)
    want = all_distances(X, centers).argmin(axis=1)
    expect.equal(labels, want, f"labels of {n} samples")
    expect.equal(counts, np.bincount(want, minlength=n_clusters), "counts")
    expect.close(
        sums, np.array([X[want == k].sum(axis=0) for k in range(n_clusters)]), "sums", rtol=1e-9, atol=1e-9
    )


def test_a_sample_between_two_centres_goes_to_the_first():
    X, centers = np.array([[0.0], [1.0], [3.0]]), np.array([[2.0], [-1.0], [1.0], [1.0]])
    labels, sums, counts = assign(X, centers)
    expect.equal(labels, np.array([1, 2, 0]), "labels of 0, 1, 3 with the centres 2, -1, 1, 1")
    expect.equal(counts, np.array([1, 1, 1, 0]), "counts: a sample counts once")
    expect.close(sums, np.array([[3.0], [0.0], [1.0], [0.0]]), "sums")


def test_fill_empty_takes_the_farthest_sample():
    X = np.array([[0.0], [1.0], [5.0], [10.0], [12.0]])
    labels, centers = np.array([0, 0, 0, 2, 2]), np.array([[2.0], [77.0], [11.0]])
    with expect.unchanged(X, labels, centers):
        got, moved = fill_empty(X, labels, centers)
    expect.equal(got, np.array([0, 0, 1, 2, 2]), "labels: 5 is farthest from its centre, 2")
    expect.close(moved, np.array([[0.5], [5.0], [11.0]]), "centres: the cluster that gave it has a new mean")


def test_fill_empty_measures_to_the_own_centre_and_takes_the_first_of_equals():
    X, labels = np.array([[0.0], [0.0], [0.0], [8.0], [9.0], [9.0]]), np.array([0, 0, 0, 0, 2, 2])
    got, moved = fill_empty(X, labels, np.array([[2.0], [50.0], [9.0]]))
    expect.equal(got, np.array([0, 0, 0, 1, 2, 2]), "labels: 8 is 6 from its own centre, 2, though 1 from 9")
    expect.close(moved, np.array([[0.0], [8.0], [9.0]]), "centres after 8 has left")
    X, labels = np.array([[10.0], [0.0], [2.0]]), np.array([2, 0, 0])
    got, moved = fill_empty(X, labels, np.array([[1.0], [50.0], [10.0]]))
    expect.equal(got, np.array([2, 1, 0]), "labels: 0 and 2 are equally far from 1, the first leaves")
    expect.close(moved, np.array([[2.0], [0.0], [10.0]]), "centres after 0 has left")


def test_fill_empty_fills_several_in_order():
    X = np.array([[0.0], [0.0], [6.0], [20.0]])
    labels, centers = np.zeros(4, int), np.array([[6.5], [1.0], [2.0]])
    got, moved = fill_empty(X, labels, centers)
    expect.equal(got, np.array([0, 0, 2, 1]), "labels: first 20 leaves, then 6 is farthest from the mean 2")
    expect.close(moved, np.array([[0.0], [20.0], [6.0]]), "centres")


def test_fill_empty_splits_no_copies():
    X, labels = np.array([[1.0], [1.0], [2.0]]), np.array([0, 0, 2])
    got, moved = fill_empty(X, labels, np.array([[1.0], [9.0], [2.0]]))
    expect.equal(got, labels, "labels where each cluster holds copies of one sample")
    expect.close(moved, np.array([[1.0], [9.0], [2.0]]), "centres: the empty one stays")


def test_a_step_moves_each_centre_to_the_mean_of_its_samples(rng):
    X, centers = rng.standard_normal((50, 3)), rng.standard_normal((4, 3))
    with expect.unchanged(X, centers):
        labels, moved = lloyd_step(X, centers)
    want = all_distances(X, centers).argmin(axis=1)
    expect.equal(labels, want, "labels by the centres before the step")
    means = np.array([X[want == k].mean(axis=0) for k in range(4)])
    expect.close(moved, means, "centres after the step", rtol=1e-9)


def test_a_step_moves_a_useless_centre_to_the_farthest_sample():
    X = np.array([[0.0], [1.0], [2.0], [9.0]])
    labels, moved = lloyd_step(X, np.array([[2.0], [500.0]]))
    expect.equal(labels, np.zeros(4, int), "labels by the centres before the step")
    expect.close(moved, np.array([[1.0], [9.0]]), "centres: 9 is farthest from the mean 3, which it leaves")


@given(strategies.seeds(), st.integers(1, 9), st.booleans())
def test_inertia_never_rises(seed, n_clusters, coarse):
    """Coarse data has many equal rows and ties; some centres start far away, where they are nobody's."""
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((30, 2)) * generator.choice([1.0, 1e-6, 1e6])
    X = np.round(X / np.abs(X).max() * 2) if coarse else X
    centers = X[generator.integers(30, size=n_clusters)] * generator.choice([1.0, 50.0], (n_clusters, 1))
    history = [total(X, centers)]
    for _ in range(15):
        labels, centers = lloyd_step(X, centers)
        history.append(total(X, centers))
    expect.equal(labels.shape, (30,), "shape of the labels")
    rises = np.diff(history)
    allowed = 1e-12 * (X**2).sum()
    expect.true(
        rises.max() <= allowed,
        f"inertia must not rise: by {rises.max():.3g} in step {rises.argmax() + 1}, from "
        f"{history[rises.argmax()]:.6g}, expected at most rounding, {allowed:.1g}",
    )
    distinct = len(np.unique(X, axis=0))
    used = len(set(labels.tolist()))
    expect.true(
        used == min(n_clusters, distinct) or history[-1] < history[-2],
        f"{used} of {n_clusters} centres have samples after 15 steps, expected {min(n_clusters, distinct)}",
    )


def test_lloyd_counts_its_steps(rng):
    X = rng.standard_normal((60, 2))
    for max_iter, limit in product((1, 3, 100), (0.0, 1e-3, 0.1)):
        want, n_iter = by_hand(X, X[:4], max_iter, limit)
        got = lloyd(X, X[:4].copy(), max_iter, limit)
        expect.equal(got[1], n_iter, f"number of steps with max_iter {max_iter}, limit {limit}")
        expect.close(got[0], want, f"centres with max_iter {max_iter}, limit {limit}", rtol=1e-9)


def test_nearest_wherever_the_origin_is(rng):
    X, centers = rng.standard_normal((200, 3)), rng.standard_normal((5, 3))
    want = all_distances(X, centers).argmin(axis=1)
    expect.equal(nearest(X, centers), want, "nearest centres")
    expect.equal(nearest(1e-3 * X + 1e6, 1e-3 * centers + 1e6), want, "nearest centres, 0.001 apart at 1e6")


def test_inertia_by_definition(rng):
    X, centers, labels = rng.standard_normal((9, 2)), rng.standard_normal((3, 2)), np.arange(9) % 3
    want = sum(((X[i] - centers[i % 3]) ** 2).sum() for i in range(9))
    expect.close(inertia(X, centers, labels), float(want), "inertia")
    expect.close(inertia(X + 1e6, centers + 1e6, labels), float(want), "inertia around 1e6", rtol=1e-8)


@pytest.mark.parametrize("tol", [0.0, 1e-2])
def test_fit_is_lloyd_from_the_given_centres(rng, tol):
    X = rng.standard_normal((80, 3)) * [1, 2, 3] + 5
    model = KMeans(5, init=X[:5], tol=tol)
    with expect.unchanged(X):
        same = model.fit(X)
    expect.true(same is model, "fit should return the estimator")
    centers, n_iter = by_hand(X, X[:5], 300, tol * X.var(axis=0).mean())
    expect.close(model.cluster_centers_, centers, f"cluster_centers_ with tol {tol}", rtol=1e-9)
    expect.equal(model.n_iter_, n_iter, f"n_iter_ with tol {tol}")
    expect.equal(model.labels_, all_distances(X, centers).argmin(axis=1), "labels_")
    expect.close(model.inertia_, total(X, centers), "inertia_", rtol=1e-9)
    expect.equal(model.n_features_in_, 3, "n_features_in_")


def test_tol_is_a_share_of_the_mean_of_the_variances(rng):
    """2% to either side of each step's length: only the mean of the variances, by N, ends where it should."""
    X = rng.standard_normal((12, 3)) * [1, 2, 3] + [0, 5, 50]
    variance = X.var(axis=0).mean()
    total_steps = by_hand(X, X[:3], 300, 0.0)[1]
    for step in range(1, total_steps):
        before, after = by_hand(X, X[:3], step - 1, 0.0)[0], by_hand(X, X[:3], step, 0.0)[0]
        for share in (0.98, 1.02):
            limit = share * float(((after - before) ** 2).sum())
            model = KMeans(3, init=X[:3], tol=limit / variance).fit(X)
            want = by_hand(X, X[:3], 300, limit)[1]
            what = f"n_iter_ where tol times the mean variance is {share} of what step {step} moves"
            expect.equal(model.n_iter_, want, what)


@pytest.mark.parametrize("max_iter", [1, 2])
def test_max_iter_ends_a_start(rng, max_iter):
    X = rng.standard_normal((80, 2))
    model = KMeans(6, init=X[:6], n_init=1, max_iter=max_iter, tol=0).fit(X)
    centers, _ = by_hand(X, X[:6], max_iter, 0.0)
    expect.equal(model.n_iter_, max_iter, f"n_iter_ with max_iter {max_iter}")
    expect.close(model.cluster_centers_, centers, f"cluster_centers_ after {max_iter} iterations", rtol=1e-9)
    expect.equal(model.labels_, all_distances(X, centers).argmin(axis=1), "labels_ by the last centres")
    expect.close(model.inertia_, total(X, centers), "inertia_ of the last centres", rtol=1e-9)


@given(strategies.seeds(), st.integers(1, 6))
def test_no_reassignment_and_no_move_improves_the_end(seed, n_clusters):
    generator = np.random.default_rng(seed)
    X = generator.standard_normal((40, 2))
    model = KMeans(n_clusters, tol=0, rng=generator).fit(X)
    centers, labels = model.cluster_centers_, model.labels_
    distances = all_distances(X, centers)
    own = distances[np.arange(40), labels]
    expect.close(own, distances.min(axis=1), "distance of each sample to its centre, against the nearest")
    expect.close(model.inertia_, float(own.sum()), "inertia_", rtol=1e-9)
    means = np.array([X[labels == k].mean(axis=0) for k in range(n_clusters)])
    expect.close(centers, means, "centres, against the means of their samples", rtol=1e-9)


def test_the_start_with_the_least_inertia_counts():
    """A start at random finds the four groups in 51% of 400 runs: 30 starts all miss once in a billion."""
    for seed in range(6):
        generator = np.random.default_rng(seed)
        X, labels = groups(generator)
        best = sum(((X[labels == k] - X[labels == k].mean(axis=0)) ** 2).sum() for k in range(4))
        model = KMeans(4, init="random", n_init=30, rng=generator).fit(X)
        expect.close(model.inertia_, float(best), "inertia_, the least of 30 starts", rtol=1e-9)
        expect.true(same_partition(model.labels_, labels), "labels_ should be of the best start too")
        expect.close(total(X, model.cluster_centers_), float(best), "inertia of cluster_centers_", rtol=1e-9)


def test_iterations_are_those_of_the_start_that_counts():
    """Six of the ten pairs of these points lead to the best clusters, in 2 steps; the others need 3."""
    X = np.array([[8.0, 0.0], [4.0, 9.0], [0.0, 4.0], [4.0, 8.0], [9.0, 2.0]])
    for seed in range(6):
        model = KMeans(2, init="random", n_init=20, rng=np.random.default_rng(seed)).fit(X)
        expect.close(model.inertia_, 163 / 6, f"inertia_, the least of 20 starts (seed {seed})", rtol=1e-9)
        expect.equal(model.n_iter_, 2, f"n_iter_ of the best of 20 starts (seed {seed})")


def test_a_plusplus_start_finds_far_groups_at_once():
    """Eight groups, 1000 times as far apart as wide: D^2 sampling misses one in less than 1e-3 of starts."""
    for seed in range(3):
        generator = np.random.default_rng(seed)
        X, labels = groups(generator, n_groups=8, spread=1e-3)
        model = KMeans(8, rng=generator).fit(X)
        expect.true(
            same_partition(model.labels_, labels),
            f"k-means++ should find 8 groups that are far apart, inertia {model.inertia_:.3g}, expected "
            f"about {len(X) * 2e-6:.3g}",
        )


def test_one_cluster_is_the_mean(rng):
    X = rng.standard_normal((10, 3))
    model = KMeans(1, rng=rng).fit(X)
    expect.close(model.cluster_centers_, X.mean(axis=0, keepdims=True), "the centre of one cluster")
    expect.close(model.inertia_, float(10 * X.var(axis=0).sum()), "inertia_ of one cluster")
    expect.equal(model.labels_, np.zeros(10, int), "labels_ of one cluster")


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_as_many_clusters_as_samples(rng, init):
    X = rng.standard_normal((7, 2))
    model = KMeans(7, init=init, rng=rng).fit(X)
    expect.close(model.inertia_, 0.0, "inertia_ of 7 clusters of 7 samples", atol=1e-25)
    expect.equal(sorted(model.labels_.tolist()), list(range(7)), "labels_, sorted")
    expect.close(model.cluster_centers_[model.labels_], X, "the centre of each sample")


@pytest.mark.parametrize("init", ["k-means++", "random", np.array([[0.0, 0], [0, 0], [1, 1], [5, 5]])])
def test_fewer_different_samples_than_clusters(rng, init):
    X = np.repeat([[0.1, 0.7], [1.3, 0.1]], [3, 4], axis=0)
    model = KMeans(4, init=init, tol=0, rng=rng)
    with expect.quiet("4 clusters of 2 different samples"):
        model.fit(X)
    expect.close(model.inertia_, 0.0, "inertia_ where every sample has a centre", atol=1e-25)
    expect.close(model.cluster_centers_[model.labels_], X, "the centre of each sample", rtol=1e-9)
    expect.true(same_partition(model.labels_, X[:, 0] > 1), f"equal rows have equal labels: {model.labels_}")


def test_a_given_centre_that_nobody_needs_is_moved():
    X = np.array([[0.0], [0.2], [1.0], [1.2], [7.0]])
    model = KMeans(3, init=[[0.1], [1.1], [1e3]]).fit(X)
    expect.equal(model.labels_, np.array([0, 0, 1, 1, 2]), "labels_ with a start at 0.1, 1.1, 1000")
    expect.close(model.cluster_centers_, np.array([[0.1], [1.1], [7.0]]), "cluster_centers_", rtol=1e-9)


def test_data_far_from_the_origin(rng):
    """The spread is 1e-3 at 1e6: |x|^2 - 2 x.c + |c|^2 has errors of 1e-4, the distances are 1e-6."""
    X = rng.standard_normal((100, 2))
    near = KMeans(4, init=X[:4], tol=0).fit(X)
    far = KMeans(4, init=1e-3 * X[:4] + 1e6, tol=0).fit(1e-3 * X + 1e6)
    expect.equal(far.labels_, near.labels_, "labels_ of data moved by 1e6")
    moved = (far.cluster_centers_ - 1e6) * 1e3
    expect.close(moved, near.cluster_centers_, "cluster_centers_ moved back", atol=1e-5)
    expect.close(far.inertia_ * 1e6, near.inertia_, "inertia_ of data moved by 1e6", rtol=1e-5)
    expect.equal(far.predict(1e-3 * X + 1e6), near.labels_, "predict on data moved by 1e6")
    distances = far.transform(1e-3 * X + 1e6) * 1e3
    expect.close(distances, near.transform(X), "transform of data moved by 1e6", atol=1e-5)


def test_predict_transform_and_score_on_new_data(rng):
    X, new = rng.standard_normal((50, 2)), rng.standard_normal((9, 2))
    model = KMeans(3, rng=rng).fit(X)
    distances = all_distances(new, model.cluster_centers_)
    expect.equal(model.predict(new), distances.argmin(axis=1), "predict")
    expect.close(model.transform(new), np.sqrt(distances), "transform", rtol=1e-9)
    expect.close(model.score(new), float(-distances.min(axis=1).sum()), "score", rtol=1e-9)
    expect.equal(model.predict(X), model.labels_, "predict on the data of fit, against labels_")
    expect.close(model.score(X), -model.inertia_, "score on the data of fit, against -inertia_", rtol=1e-9)


def test_float32_stays_float32(rng):
    X, labels = groups(rng)
    X = X.astype(np.float32) + np.float32(1000)
    expect.close(squared_distances(X[:2], X[:3]), all_distances(X[:2], X[:3]), "distances", dtype=np.float32)
    sums = assign(X, X[:1])[1]
    expect.close(sums, X.sum(axis=0, keepdims=True, dtype=float), "sums of assign", dtype=float, rtol=1e-5)
    model = KMeans(4, n_init=10, rng=rng).fit(X)
    means = np.array([X[model.labels_ == k].mean(axis=0, dtype=float) for k in range(4)])
    expect.close(model.cluster_centers_, means, "cluster_centers_", dtype=np.float32, rtol=1e-6)
    expect.true(same_partition(model.labels_, labels), "the four groups should be found in float32")
    expected = np.sqrt(all_distances(X, model.cluster_centers_))
    expect.close(model.transform(X), expected, "transform", dtype=np.float32, rtol=1e-5)


def test_lists_and_integers(rng):
    model = KMeans(2, init=[[0, 0], [9, 9]])
    expect.equal(model.fit_predict([[0, 1], [1, 0], [9, 8]]), np.array([0, 0, 1]), "fit_predict of a list")
    expect.close(model.cluster_centers_, np.array([[0.5, 0.5], [9, 8]]), "cluster_centers_")
    distance = model.fit_transform([[0, 1], [1, 0], [9, 8]])[2]
    expect.close(distance, np.array([np.hypot(8.5, 7.5), 0.0]), "fit_transform of the last row")


def test_the_same_generator_gives_the_same_clusters(rng):
    X = rng.standard_normal((60, 2))
    first, second = (KMeans(5, rng=np.random.default_rng(3)).fit(X) for _ in range(2))
    expect.equal(first.labels_, second.labels_, "labels_ of two fits with default_rng(3)")
    expect.close(first.inertia_, total(X, second.cluster_centers_), "inertia_", rtol=1e-9)


WRONG = [
    ({"n_clusters": 0}, ("n_clusters", "KMeans", "0")),
    ({"n_clusters": 2.0}, ("n_clusters", "2.0")),
    ({"max_iter": 0}, ("max_iter", "0")),
    ({"tol": -0.1}, ("tol", "-0.1")),
    ({"tol": float("nan")}, ("tol", "nan")),
    ({"n_init": 0}, ("n_init", "0")),
    ({"n_init": "many"}, ("n_init", "many")),
    ({"init": "best"}, ("init", "best", "k-means++", "random")),
    ({"rng": None}, ("rng", "None")),
    ({"rng": 7}, ("rng", "7")),
]


@pytest.mark.parametrize(("settings", "named"), WRONG, ids=[str(settings) for settings, _ in WRONG])
def test_parameters_out_of_range_are_named(settings, named):
    model = KMeans(**{"n_clusters": 2, "rng": np.random.default_rng(0), **settings})
    with expect.raises(InvalidParameterError, *named):
        model.fit(np.arange(6.0).reshape(3, 2))


def test_data_that_cannot_be_clustered_is_refused(rng):
    X = rng.standard_normal((5, 2))
    with expect.raises(ValueError, "5", "6"):
        KMeans(6, rng=rng).fit(X)
    with expect.raises(ValueError, "(2, 3)", "(2, 2)"):
        KMeans(2, init=np.zeros((2, 3))).fit(X)
    with expect.raises(ValueError, "(3, 2)", "(2, 2)"):
        KMeans(2, init=np.zeros((3, 2))).fit(X)
    with expect.raises(ValueError, "nan"):
        KMeans(2, init=[[0.0, np.nan], [1.0, 1.0]]).fit(X)
    with expect.raises(ValueError, "nan"):
        KMeans(2, rng=rng).fit([[0.0], [np.nan], [1.0]])


def test_new_data_must_fit_the_model(rng):
    for method in ("predict", "transform", "score"):
        with expect.raises(NotFittedError, "KMeans"):
            getattr(KMeans(2), method)(np.zeros((3, 2)))
        model = KMeans(2, init=[[0.0, 0], [1, 1]]).fit([[0.0, 0], [1, 1]])
        with expect.raises(ValueError, "3", "2"):
            getattr(model, method)(np.zeros((3, 3)))
