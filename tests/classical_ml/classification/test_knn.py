"""classical_ml.classification.knn: two searches with one answer, ties by rule, votes, and what it costs."""

import math
import tracemalloc

import numpy as np
import pytest

from classical_ml.classification.knn import (
    BruteForce,
    KDTree,
    KNeighborsClassifier,
    KNeighborsRegressor,
    NearestNeighbors,
    closeness,
    closest_first,
    squared_lengths,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect

SEARCHES = {
    "brute": BruteForce,
    "tree, leaves of 1": lambda X: KDTree(X, 1),
    "tree, leaves of 4": lambda X: KDTree(X, leaf_size=4),
    "tree": KDTree,
}
ALGORITHMS = ("brute", "kd_tree", "auto")

every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES.keys())


def ranked(X, q):
    """(squared distance, index) of every sample, nearest first, lower index first where equally near."""
    squares = sum((X[:, d].astype(float) - float(q[d])) ** 2 for d in range(len(q)))
    return sorted(zip(squares.tolist(), range(len(X)), strict=True))


def nearest_by_hand(X, Q, k):
    table = [ranked(X, q)[:k] for q in Q]
    distances = np.array([[math.sqrt(square) for square, _ in row] for row in table])
    return distances, np.array([[i for _, i in row] for row in table])


def uniform(n, d, seed=0):
    return np.random.default_rng(seed).random((n, d))


def grid(n, d, seed=0):
    """Integer points: many coincide, and many more are equally far from a third."""
    return np.random.default_rng(seed).integers(0, 3, (n, d)).astype(float)


# Both searches


def test_squared_lengths():
    V = np.random.default_rng(0).standard_normal((4, 3, 5))
    want = [[sum(x * x for x in v) for v in row] for row in V.tolist()]
    with expect.unchanged(V):
        got = squared_lengths(V)
    expect.close(got, np.array(want), "squared lengths of vectors (4, 3, 5)")
    expect.close(squared_lengths(np.array([[3.0, 4.0]], np.float32)), np.array([25.0]), "|(3, 4)|^2",
                 dtype=np.float32)  # fmt: skip


@every_search
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (2, 3, 2), (7, 1, 3), (40, 2, 5), (33, 9, 33)])
def test_the_nearest_samples_by_definition(search, n, d, k):
    X, Q = uniform(n, d), uniform(6, d, seed=1)
    with expect.unchanged(X, Q):
        distances, indices = search(X).nearest(Q, k)
    want, names = nearest_by_hand(X, Q, k)
    expect.equal(indices, names, f"{k} nearest of {n} samples of {d} features")
    expect.close(distances, want, "their distances")


@every_search
@pytest.mark.parametrize(("d", "k", "seed"), [(1, 4, 0), (2, 5, 1), (2, 30, 2), (3, 7, 3), (4, 1, 4)])
def test_of_equally_near_samples_the_lower_index_comes_first(search, d, k, seed):
    X, Q = grid(60, d, seed), grid(12, d, seed + 100)
    distances, indices = search(X).nearest(Q, k)
    want, names = nearest_by_hand(X, Q, k)
    expect.equal(indices, names, f"{k} nearest of 60 integer points in {d} dimensions")
    expect.close(distances, want, "their distances", atol=0)


@every_search
def test_samples_that_are_all_the_same(search):
    X = np.full((40, 2), 0.1)
    distances, indices = search(X).nearest(np.array([[0.1, 0.1], [3.1, 4.1]]), 3)
    expect.equal(indices, np.array([[0, 1, 2], [0, 1, 2]]), "nearest of 40 equal samples")
    expect.close(distances, np.array([[0.0] * 3, [5.0] * 3]), "their distances")


@every_search
@pytest.mark.parametrize("offset", [1e4, 1e7, -1e8])
def test_digits_survive_far_from_the_origin(search, offset):
    """The same integer points, moved: subtraction is exact, and |q|^2 - 2 q.x + |x|^2 cancels all digits."""
    X, Q = grid(60, 2) * 0.25, grid(9, 2, 5) * 0.25
    distances, indices = search(X + offset).nearest(Q + offset, 6)
    want, names = nearest_by_hand(X, Q, 6)
    expect.equal(indices, names, f"6 nearest around {offset:g}")
    expect.close(distances, want, f"distances around {offset:g}")


@every_search
def test_close_neighbours_keep_their_digits(search):
    """Gaps of 1e-9 among samples 1 apart: their squares, 1e-18, are below the rounding of |q|^2 = 1."""
    x = np.r_[np.linspace(-1.0, 1.0, 9), 0.5 + 1e-9 * np.array([4.0, -1.0, 3.0, -2.0])]
    distances, indices = search(x[:, None]).nearest(np.array([[0.5]]), 5)
    expect.equal(indices, np.array([[6, 10, 12, 11, 9]]), "nearest of samples 1e-9 apart")
    expect.close(distances, np.abs(x[[[6, 10, 12, 11, 9]]] - 0.5), "distances of 1e-9", rtol=1e-9, atol=0)


@every_search
@pytest.mark.parametrize("radius", [0.0, 0.05, 0.3, 5.0])
def test_all_within_a_radius_by_definition(search, radius):
    X, Q = uniform(50, 2), np.r_[uniform(9, 2, seed=1), [[9.0, 9.0]], uniform(50, 2)[:1]]
    rows, samples, distances = search(X).within(Q, radius)
    want = [
        (row, i, math.sqrt(square))
        for row, q in enumerate(Q)
        for square, i in ranked(X, q)
        if math.sqrt(square) <= radius
    ]
    what = f"pairs within {radius}"
    expect.equal(rows, np.array([w[0] for w in want], int), f"queries of the {what}")
    expect.equal(samples, np.array([w[1] for w in want], int), f"samples of the {what}")
    expect.close(distances, np.array([w[2] for w in want], float), f"distances of the {what}")


@every_search
def test_the_ball_is_closed_and_ordered(search):
    X = np.array([[3.0, 4.0], [0, 0], [-5, 0], [0, 5.0000001], [1, 0], [0, -5], [0, 0]])
    rows, samples, distances = search(X).within(np.array([[0.0, 0.0], [100.0, 0.0], [1.0, 0.0]]), 5.0)
    expect.equal(rows, np.array([0] * 6 + [2] * 4), "queries with a sample at 5 or nearer")
    expect.equal(samples, np.array([1, 6, 4, 0, 2, 5, 4, 1, 6, 0]), "samples at 5 or nearer")
    want = np.array([0, 0, 1, 5, 5, 5, 0, 1, 1, 20**0.5])
    expect.close(distances, want, "distances up to 5")


@every_search
@pytest.mark.parametrize("d", [3, 5, 6])
def test_a_sample_exactly_at_the_radius_is_within(search, d):
    """sqrt(3)^2 = 2.9999999999999996: the square of the radius is below the squared distance of (1, 1, 1)."""
    X, radius = np.array([[0.0] * d, [1.0] * d]), math.sqrt(d)
    rows, samples, distances = search(X).within(X, radius)
    got = list(zip(rows.tolist(), samples.tolist(), strict=True))
    expect.equal(
        got,
        [(0, 0), (0, 1), (1, 1), (1, 0)],
        f"pairs within sqrt({d}) of (0, ...) and (1, ...), {d} features: compare distances, not squares",
    )
    expect.close(distances, np.array([0.0, radius, 0.0, radius]), "their distances")


@every_search
def test_nobody_within_a_radius(search):
    far = search(uniform(9, 2)).within(np.array([[9.0, 9.0], [-9.0, 0.0]]), 1.0)
    expect.equal([len(part) for part in far], [0, 0, 0], "numbers of queries, samples and distances")
    near = search(uniform(9, 2)).within(np.array([[9.0, 9.0], [0.5, 0.5]]), 1.0)
    expect.equal(near[0], np.ones(9, int), "queries with somebody within 1")


@every_search
def test_integer_points_within_a_radius(search):
    X, Q = grid(60, 3), grid(10, 3, seed=7)
    rows, samples, _ = search(X).within(Q, 1.0)
    want = [(row, i) for row, q in enumerate(Q) for square, i in ranked(X, q) if square <= 1]
    expect.equal(list(zip(rows.tolist(), samples.tolist(), strict=True)), want, "pairs at 0 or 1")


@every_search
def test_float32_stays_float32(search):
    X, Q = uniform(50, 3).astype(np.float32), uniform(6, 3, seed=1).astype(np.float32)
    want, names = nearest_by_hand(X, Q, 4)
    distances, indices = search(X).nearest(Q, 4)
    expect.equal(indices, names, "nearest in float32")
    expect.close(distances, want, "distances in float32", dtype=np.float32)
    distances, indices = search(X).nearest(Q.astype(float), 4)
    expect.equal(indices, names, "nearest of float64 among float32")
    expect.close(distances, want, "distances of float64 to float32", dtype=np.float64)


def test_many_queries_and_samples():
    """2.9 million pairs: more than one block."""
    X, Q = uniform(1700, 2), uniform(1700, 2, seed=1)
    brute, tree = BruteForce(X), KDTree(X)
    (far, names), (also_far, found) = brute.nearest(Q, 3), tree.nearest(Q, 3)
    want, first = nearest_by_hand(X, Q[[0, 1500, 1699]], 3)
    expect.equal(names[[0, 1500, 1699]], first, "nearest of three queries")
    expect.equal(found, names, "neighbours by the tree, against brute force")
    expect.close(far[[0, 1500, 1699]], want, "distances of three queries")
    expect.close(also_far, far, "distances by the tree, against brute force")
    for a, b in zip(brute.within(Q, 0.01), tree.within(Q, 0.01), strict=True):
        expect.close(a, b, "pairs within 0.01 by brute force, against the tree")


def test_many_queries_of_many_features():
    """4.5 million differences between the queries and the samples of one leaf: more than one block."""
    X, Q = uniform(30, 100), uniform(1500, 100, seed=1)
    tree, some = KDTree(X), [0, 700, 1499]
    distances, names = tree.nearest(Q, 2)
    want, first = nearest_by_hand(X, Q[some], 2)
    expect.equal(names[some], first, "nearest of three queries")
    expect.close(distances[some], want, "distances of three queries")
    for a, b in zip(tree.within(Q, 3.7), BruteForce(X).within(Q, 3.7), strict=True):
        expect.close(a, b, "pairs within 3.7 by the tree, against brute force")


def test_pairs_in_any_order_become_closest_first():
    queries, samples = np.array([1, 0, 1, 1]), np.array([5, 2, 3, 4])
    found = [
        (queries, samples, np.array([4.0, 9.0, 4.0, 1.0])),
        (queries[:1], samples[:1] + 1, np.array([9.1])),
    ]
    rows, names, distances = closest_first(found, 3.0)
    expect.equal(rows, np.array([0, 1, 1, 1]), "queries")
    expect.equal(names, np.array([2, 4, 3, 5]), "samples")
    expect.close(distances, np.array([3.0, 1, 2, 2]), "distances")
    zero = np.zeros(1, int)
    names = closest_first([(zero, zero + 4, np.array([3.0]))], math.sqrt(3))[1]
    expect.equal(names, np.array([4]), "the pair of squared distance 3 within sqrt(3): compare the roots")


# Brute force


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("d", "offset"), [(2, 0.0), (30, 0.0), (3, 100.0)])
def test_the_product_formula_knows_its_error(d, offset, dtype):
    X, Q = (uniform(40, d) + offset).astype(dtype), (uniform(5, d, seed=1) + offset).astype(dtype)
    squared, error = BruteForce(X).approximate(Q)
    want = np.array(
        [[sum((float(a) - float(b)) ** 2 for a, b in zip(q, x, strict=True)) for x in X] for q in Q]
    )
    limit = 100 * (d + 4) * d * np.finfo(dtype).eps
    expect.close(squared, want, f"squared distances by the formula around {offset:g}", rtol=0, atol=limit)
    expect.equal(error.shape, (5, 1), "shape of the error of 5 queries")
    off = np.abs(squared - want).max(axis=1)
    expect.true(
        bool((error[:, 0] >= off).all()) and bool((error <= limit).all()),
        f"around {offset:g} the error should be {off.max():g} to {limit:g}, and is {error.max():g}",
    )


def test_measuring_marked_pairs():
    X, Q = uniform(5, 2), uniform(3, 2, seed=1)
    chosen = np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 1, 0, 0]], bool)
    rows, samples, squared = BruteForce(X).measure(Q, chosen)
    expect.equal(rows, np.array([0, 0, 2, 2]), "queries marked")
    expect.equal(samples, np.array([1, 4, 0, 2]), "samples marked")
    expect.close(squared, ((Q[[0, 0, 2, 2]] - X[[1, 4, 0, 2]]) ** 2).sum(axis=1), "their squared distances")


def test_brute_force_counts_every_pair():
    brute = BruteForce(uniform(20, 2))
    brute.nearest(uniform(3, 2, seed=1), 2)
    brute.within(uniform(4, 2, seed=1), 0.1)
    expect.equal(brute.evaluations, 140, "evaluations for 3 and 4 queries of 20 samples")


def test_brute_force_never_holds_all_distances():
    X, Q = uniform(2000, 2), uniform(6000, 2, seed=1)
    brute = BruteForce(X)
    tracemalloc.start()
    _, indices = brute.nearest(Q, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    _, names = nearest_by_hand(X, Q[-1:], 2)
    expect.equal(indices[-1:], names, "neighbours of the last query")
    full = 8 * len(X) * len(Q)
    expect.true(peak < full, f"scratch of {peak:,} bytes, where one matrix of all distances takes {full:,}")


def test_equal_samples_are_measured_in_blocks():
    """Every sample is as near as the k-th best, so that all 160,000 pairs are measured again."""
    X = np.full((400, 100), 0.1)
    brute = BruteForce(X)
    tracemalloc.start()
    distances, indices = brute.nearest(X, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expect.equal(indices, np.tile([0, 1, 2], (400, 1)), "3 nearest of 400 equal samples")
    expect.close(distances, np.zeros((400, 3)), "their distances")
    full = 8 * X.size * len(X)
    expect.true(
        peak < full,
        f"scratch of {peak:,} bytes for 400 queries among 400 equal samples of 100 features: all differences "
        f"at once take {full:,}, so measure the pairs in blocks",
    )


# The tree


@pytest.mark.parametrize(
    ("n", "leaf_size"), [(1, 1), (5, 1), (30, 30), (31, 30), (61, 30), (62, 30), (100, 7)]
)
def test_a_tree_by_its_rules(n, leaf_size):
    X = np.c_[uniform(n, 2), 3 * uniform(n, 1, seed=5)]
    tree = KDTree(X, leaf_size)
    expect.equal(np.sort(tree.order), np.arange(n), "samples in order, sorted")
    expect.equal((int(tree.starts[0]), int(tree.stops[0])), (0, n), "samples of the root")
    nodes, first_leaf = len(tree.starts), len(tree.starts) // 2
    for j in range(nodes):
        inside = X[tree.order[tree.starts[j] : tree.stops[j]]]
        expect.close(tree.lower[j], inside.min(axis=0), f"lower corner of node {j} of {nodes}")
        expect.close(tree.upper[j], inside.max(axis=0), f"upper corner of node {j} of {nodes}")
        if j >= first_leaf:
            size = len(inside)
            expect.true(1 <= size <= leaf_size + 1, f"a leaf has {size} samples, leaf_size is {leaf_size}")
            continue
        parts = [(int(tree.starts[c]), int(tree.stops[c])) for c in (2 * j + 1, 2 * j + 2)]
        start, stop = int(tree.starts[j]), int(tree.stops[j])
        half = start + (stop - start) // 2
        expect.equal(parts, [(start, half), (half, stop)], f"places of the children of node {j}")
        widest = int(np.ptp(inside, axis=0).argmax())
        left, right = (X[tree.order[a:b], widest] for a, b in parts)
        expect.true(
            left.max() <= right.min(),
            f"node {j}: cut the widest feature, {widest}, at its median",
        )
    total = sum(int(tree.stops[j] - tree.starts[j]) for j in range(first_leaf, nodes))
    expect.equal(total, n, "samples in the leaves")
    enough = first_leaf == 0 or (n // ((first_leaf + 1) // 2)) > leaf_size
    expect.true(enough, f"{n} samples: {first_leaf + 1} leaves are more than leaves of {leaf_size} need")


def test_the_distance_to_a_box():
    X = np.array([[0.0, 0.0], [2.0, 1.0]])
    tree = KDTree(X, 2)
    Q = np.array([[1.0, 0.5], [0.0, 1.0], [-3.0, 5.0], [4.0, 0.5], [1.0, -2.0]])
    expect.close(
        tree.box_distances(Q, 0), np.array([0.0, 0, 25, 4, 4]), "squared distances to [0, 2] x [0, 1]"
    )
    expect.close(KDTree(X, 1).box_distances(Q, 2), ((Q - X[1]) ** 2).sum(axis=1), "distances to a box of one")


def test_with_an_endless_reach_every_query_sees_every_leaf_once():
    X, Q = uniform(50, 2), uniform(6, 2, seed=1)
    seen = np.zeros((6, 50), int)
    for samples, rows in KDTree(X, 4).leaves(Q, np.full(6, np.inf)):
        expect.true(len(rows) > 0, "a leaf was given out without queries")
        seen[np.ix_(rows, samples)] += 1
    expect.equal(seen, np.ones((6, 50), int), "how often each query saw each sample")


def test_a_limited_reach_skips_leaves():
    X, Q = uniform(200, 2), uniform(6, 2, seed=1)
    reach = np.array([0.0, 0.001, 0.01, 0.1, -1.0, 0.01])
    tree, seen = KDTree(X, 4), np.zeros((6, 200), int)
    for samples, rows in tree.leaves(Q, reach):
        outside = np.maximum(
            np.maximum(X[samples].min(axis=0) - Q[rows], Q[rows] - X[samples].max(axis=0)), 0
        )
        gaps = (outside**2).sum(axis=1)
        expect.true(bool((gaps <= reach[rows]).all()), f"a leaf at {gaps.max():g} is out of reach: skip it")
        seen[np.ix_(rows, samples)] += 1
    needed = ((Q[:, None] - X) ** 2).sum(axis=2) <= reach[:, None]
    expect.true(bool((seen[needed] == 1).all()), "each sample within reach should be seen exactly once")
    expect.true(bool(needed.any()) and not seen[4].any(), "a query without reach should see no leaf")


def test_the_reach_is_read_anew():
    X, Q = uniform(64, 2), uniform(5, 2, seed=1)
    reach, visits = np.full(5, np.inf), np.zeros(5, int)
    for _, rows in KDTree(X, 4).leaves(Q, reach):
        visits[rows] += 1
        reach[rows] = -1.0
    expect.equal(visits, np.ones(5, int), "leaves seen by queries that want no second one")


def test_the_tree_looks_at_few_samples():
    """Measured: 34 of N samples a query in 2 dimensions, whatever N; 19 in one."""
    for d, most in ((1, 60), (2, 110)):
        counts = {}
        for n in (512, 8192):
            tree = KDTree(uniform(n, d), 16)
            _, indices = tree.nearest(uniform(30, d, seed=1), 5)
            counts[n] = tree.evaluations / len(indices)
        expect.true(
            5 <= counts[512] <= most and counts[8192] <= 1.5 * counts[512],
            f"{d} features: {counts} samples measured a query; expected 5 to {most}, for 16 N as many",
        )
    tree = KDTree(uniform(4096, 2), 16)
    rows, *_ = tree.within(uniform(30, 2, seed=1), 0.01)
    expect.true(len(rows) <= tree.evaluations <= 30 * 110,
                f"{tree.evaluations / 30} of 4096 samples measured for a ball of radius 0.01")  # fmt: skip


# Weights


def test_weights_by_closeness():
    distances = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 3.0], [0.25, 0.5, 0.5], [5e-324, 1e-320, 1.0]])
    with expect.quiet("weights by closeness"), expect.unchanged(distances):
        weights = closeness(distances)
    expect.close(weights[0], np.array([1.0, 0.5, 0.25]), "weights for distances 1, 2, 4")
    expect.close(weights[1], np.array([1.0, 1.0, 0.0]), "weights for distances 0, 0, 3")
    expect.close(weights[2], np.array([1.0, 0.5, 0.5]), "weights for distances 1/4, 1/2, 1/2")
    expect.true(
        bool(np.isfinite(weights[3]).all()) and weights[3, 0] == 1, "weights for 5e-324 should be finite"
    )


# The estimators


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_kneighbors(algorithm):
    X, Q = uniform(40, 3), uniform(7, 3, seed=1)
    search = NearestNeighbors(4, algorithm=algorithm, leaf_size=3)
    expect.true(search.fit(X) is search, "fit should return the estimator")
    want, names = nearest_by_hand(X, Q, 4)
    distances, indices = search.kneighbors(Q)
    expect.equal(indices, names, "4 neighbours")
    expect.close(distances, want, "their distances")
    expect.equal(search.kneighbors(Q.tolist(), 2)[1], names[:, :2], "2 neighbours of a list")
    expect.equal((search.n_features_in_, search.n_samples_fit_), (3, 40), "n_features_in_, n_samples_fit_")


def test_the_algorithm_is_the_one_asked_for():
    for algorithm, kind in (("brute", BruteForce), ("kd_tree", KDTree)):
        for d in (2, 20):
            index = NearestNeighbors(algorithm=algorithm).fit(uniform(9, d)).index_
            expect.true(isinstance(index, kind), f"algorithm {algorithm!r} should use {kind.__name__}")
    kinds = [type(NearestNeighbors().fit(uniform(9, d)).index_).__name__ for d in (5, 6)]
    expect.equal(kinds, ["KDTree", "BruteForce"], "what 'auto' uses for 5 and for 6 features")
    tree = NearestNeighbors(algorithm="kd_tree", leaf_size=2).fit(uniform(64, 2)).index_
    expect.equal(len(tree.starts), 63, "nodes over 64 samples in leaves of 2")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_sample_is_its_own_neighbour(algorithm):
    x = np.array([0.0, 1.0, 3.0, 1.0, 1.0, 1.0])
    distances, indices = NearestNeighbors(2, algorithm=algorithm).fit(x[:, None]).kneighbors()
    want = [[1, 3], [3, 4], [1, 3], [1, 4], [1, 3], [1, 3]]
    expect.equal(indices, np.array(want), f"two neighbours of each of {x.tolist()} among the others")
    expect.close(distances, np.abs(x[:, None] - x[want]), "their distances")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_radius_neighbors(algorithm):
    X = np.array([[0.0], [3.0], [1.0], [-1.0]])
    search = NearestNeighbors(radius=1, algorithm=algorithm).fit(X)
    distances, indices = search.radius_neighbors([[0.0], [10.0], [2.5]])
    expect.equal([i.tolist() for i in indices], [[0, 2, 3], [], [1]], "samples within 1 of 0, 10 and 2.5")
    expect.equal([d.tolist() for d in distances], [[0.0, 1.0, 1.0], [], [0.5]], "their distances")


def test_what_is_done_unless_told_otherwise():
    X = np.arange(9.0)[:, None]
    search = NearestNeighbors().fit(X)
    expect.equal(
        search.kneighbors([[0.1]])[1], np.array([[0, 1, 2, 3, 4]]), "neighbours of 0.1, by default 5"
    )
    expect.equal(search.radius_neighbors([[4.0]])[1][0].tolist(), [4, 3, 5], "within the default radius, 1")
    mean, vote = KNeighborsRegressor().fit(X, X[:, 0]), KNeighborsClassifier().fit(X, range(9))
    expect.close(mean.predict([[0.1]]), np.array([2.0]), "mean of the default number of neighbours")
    expect.close(vote.predict_proba([[0.1]]), np.array([[0.2] * 5 + [0.0] * 4]), "votes of 5 neighbours")
    points = NearestNeighbors(radius=0, algorithm="kd_tree", leaf_size=1).fit(X).radius_neighbors([[4.0]])[1]
    expect.equal(points[0].tolist(), [4], "samples at the radius 0")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_vote(algorithm):
    X, y = [[0.0], [1.0], [2.0], [10.0], [11.0]], ["red", "red", "blue", "blue", "blue"]
    vote = KNeighborsClassifier(3, algorithm=algorithm)
    expect.true(vote.fit(X, y) is vote, "fit should return the estimator")
    expect.equal(vote.classes_.tolist(), ["blue", "red"], "classes_")
    proba = vote.predict_proba([[0.1], [10.0]])
    expect.close(proba, np.array([[1 / 3, 2 / 3], [1.0, 0.0]]), "shares of blue and red at 0.1 and 10")
    expect.equal(vote.predict([[0.1], [10.0]]).tolist(), ["red", "blue"], "colours at 0.1 and 10")
    expect.close(vote.score(X, y), 0.8, "share of hits on the samples themselves")
    everyone = KNeighborsClassifier(5, algorithm=algorithm).fit(X, y)
    expect.close(everyone.predict_proba([[0.0]]), np.array([[0.6, 0.4]]), "shares when all five vote")


def test_of_equal_votes_the_first_class_wins():
    vote = KNeighborsClassifier(2).fit([[1.0], [-1.0], [5.0]], ["z", "b", "a"])
    expect.close(vote.predict_proba([[0.0]]), np.array([[0.0, 0.5, 0.5]]), "shares of a, b and z at 0")
    expect.equal(vote.predict([[0.0]]).tolist(), ["b"], "winner of a tie between z and b")
    nearer = KNeighborsClassifier(1).fit([[1.0], [-1.0]], ["z", "b"])
    expect.equal(nearer.predict([[0.0]]).tolist(), ["z"], "class of the first of two equally near samples")


def test_votes_by_distance():
    X, y = [[1.0], [-2.0], [4.0], [4.0]], [7, 3, 3, 5]
    vote = KNeighborsClassifier(4, weights="distance").fit(X, y)
    want = np.array([1 / 2 + 1 / 4, 1 / 4, 1.0]) / 2  # classes 3, 5, 7
    expect.close(vote.predict_proba([[0.0]]), want[None], "shares with votes of 1, 1/2, 1/4, 1/4")
    expect.equal(vote.predict([[0.0]]).tolist(), [7], "winner of votes by distance")
    with expect.quiet("votes at a distance of 0"):
        exact = vote.predict_proba([[1.0], [4.0]])
    expect.close(exact, np.array([[0.0, 0, 1], [0.5, 0.5, 0]]), "shares where samples lie on the query")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_mean(algorithm):
    X, y = [[0.0], [1.0], [2.0], [10.0]], np.array([1.0, 2.0, 6.0, 100.0])
    mean = KNeighborsRegressor(3, algorithm=algorithm)
    expect.true(mean.fit(X, y) is mean, "fit should return the estimator")
    expect.close(mean.predict([[1.0], [10.0]]), np.array([3.0, 36.0]), "means of three")
    both = KNeighborsRegressor(2, algorithm=algorithm).fit(X, np.c_[y, -y])
    expect.close(both.predict([[0.1]]), np.array([[1.5, -1.5]]), "means of two columns")
    expect.close(KNeighborsRegressor(1).fit(X, y).score(X, y), 1.0, "R^2 of one neighbour on itself")


def test_a_mean_by_distance():
    X, Y = [[1.0], [-2.0], [4.0]], np.array([[1.0, 0], [2, 0], [4, 8]])
    mean = KNeighborsRegressor(3, weights="distance").fit(X, Y)
    want = np.array([[(1 + 2 / 2 + 4 / 4) / 1.75, (8 / 4) / 1.75]])
    expect.close(mean.predict([[0.0]]), want, "mean with weights 1, 1/2, 1/4")
    one = KNeighborsRegressor(3, weights="distance").fit(X, Y[:, 0])
    expect.close(one.predict([[0.0], [4.0]]), np.array([want[0, 0], 4.0]), "mean at 0, and at a sample")


def test_one_sample_and_one_class():
    expect.close(
        KNeighborsRegressor(1).fit([[1.0, 2.0]], [7.0]).predict([[0.0, 0.0]]), np.array([7.0]), "mean"
    )
    vote = KNeighborsClassifier(1).fit([[1.0, 2.0]], ["only"])
    expect.equal(vote.predict([[9.0, 9.0]]).tolist(), ["only"], "class of the only sample")
    expect.close(vote.predict_proba([[9.0, 9.0]]), np.array([[1.0]]), "share of the only class")


def test_a_mean_in_float32():
    X, y = uniform(20, 2).astype(np.float32), uniform(20, 1, seed=1)[:, 0].astype(np.float32)
    for weights in ("uniform", "distance"):
        predicted = KNeighborsRegressor(1, weights=weights).fit(X, y).predict(X)
        expect.close(predicted, y, f"predictions in float32, {weights}", dtype=np.float32)


def test_what_was_learned_belongs_to_the_estimator():
    X, y = uniform(20, 2), np.arange(20.0)
    for algorithm in ("brute", "kd_tree"):
        mean = KNeighborsRegressor(1, algorithm=algorithm).fit(X, y)
        before = X.copy(), y.copy()
        X[:], y[:] = 0.0, 0.0
        expect.close(mean.predict(before[0]), before[1], "predictions after the caller has emptied X and y")
        X[:], y[:] = before
    with expect.unchanged(X, y):
        mean.predict(X)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_more_neighbours_than_samples(algorithm):
    search = NearestNeighbors(3, algorithm=algorithm).fit(uniform(3, 2))
    expect.equal(
        np.sort(search.kneighbors([[0.0, 0.0]])[1]), np.array([[0, 1, 2]]), "3 neighbours of 3 samples"
    )
    with expect.raises(ValueError, "4", "3"):
        search.kneighbors([[0.0, 0.0]], 4)
    with expect.raises(ValueError, "0"):
        search.kneighbors([[0.0, 0.0]], 0)
    with expect.raises(ValueError, "3", "2"):
        search.kneighbors()
    with expect.raises(ValueError, "5", "3"):
        KNeighborsClassifier(algorithm=algorithm).fit(uniform(3, 2), [0, 1, 1]).predict([[0.0, 0.0]])


WRONG = [("n_neighbors", 0), ("n_neighbors", 2.5), ("algorithm", "ball_tree"), ("leaf_size", 0)]


@pytest.mark.parametrize(("name", "value"), [*WRONG, ("weights", "cosine"), ("radius", -0.5)])
def test_wrong_parameters_are_refused_by_fit(name, value):
    kinds = {"weights": [KNeighborsClassifier, KNeighborsRegressor], "radius": [NearestNeighbors]}
    everyone = [NearestNeighbors, KNeighborsClassifier, KNeighborsRegressor]
    for kind in kinds.get(name, everyone):
        with expect.raises(InvalidParameterError, name, kind.__name__, repr(value)):
            kind(**{name: value}).fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize("kind", [NearestNeighbors, KNeighborsClassifier, KNeighborsRegressor])
def test_data_that_do_not_fit(kind):
    with expect.raises(ValueError, "nan", "1", "0"):
        kind().fit([[0.0], [np.nan]], [0, 1])
    fitted = kind(1).fit([[0.0, 1.0], [1.0, 2.0]], [0, 1])
    answer = fitted.kneighbors if kind is NearestNeighbors else fitted.predict
    for ask in (answer, fitted.kneighbors):
        with expect.raises(ValueError, "3", "2", kind.__name__):
            ask([[1.0, 2.0, 3.0]])
        with expect.raises(ValueError, "nan"):
            ask([[1.0, np.nan]])


@pytest.mark.parametrize("kind", [KNeighborsClassifier, KNeighborsRegressor])
def test_as_many_targets_as_samples(kind):
    with expect.raises(ValueError, "2", "3"):
        kind().fit([[0.0], [1.0]], [0, 1, 2])


def test_nothing_before_fit():
    for kind in (NearestNeighbors, KNeighborsClassifier, KNeighborsRegressor):
        with expect.raises(NotFittedError, kind.__name__):
            kind().kneighbors([[0.0]])
        with expect.raises(NotFittedError, kind.__name__):
            kind().kneighbors()
    with expect.raises(NotFittedError, "NearestNeighbors"):
        NearestNeighbors().radius_neighbors([[0.0]])
    with expect.raises(NotFittedError, "KNeighborsClassifier"):
        KNeighborsClassifier().predict_proba([[0.0]])
    with expect.raises(NotFittedError, "KNeighborsRegressor"):
        KNeighborsRegressor().predict([[0.0]])
