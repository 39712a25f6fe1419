"""classical_ml.reduction.tsne: as many neighbours for each sample, and a map on which forces balance."""

import numpy as np
import pytest

from classical_ml.estimator import InvalidParameterError
from classical_ml.reduction.tsne import (
    TSNE,
    conditional_probabilities,
    descend,
    gradient,
    joint_probabilities,
    kl_divergence,
    squared_distances,
)
from curriculum.datasets import toy
from curriculum.testing import expect, statistics


def normal(n, d, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).standard_normal((n, d))


def slow_distances(X):
    return ((X[:, None] - X) ** 2).sum(axis=2)


def entropies(p):
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=1)


def some_P(n, seed=0):
    """A symmetric matrix with a diagonal of 0 that sums to 1, some pairs without probability."""
    P = np.random.default_rng(seed).uniform(-0.3, 1.0, (n, n)).clip(0.0)
    P = np.triu(P, 1) + np.triu(P, 1).T
    return P / P.sum()


def student(Y):
    """w and q of eq. 4."""
    w = 1 / (1 + slow_distances(Y)) - np.eye(len(Y))
    return w, w / w.sum()


def slow_gradient(P, Y, exaggeration=1.0):
    w, Q = student(Y)
    return 4 * (((exaggeration * P - Q) * w)[:, :, None] * (Y[:, None] - Y)).sum(axis=1)


def slow_kl(P, Y):
    Q = student(Y)[1]
    pairs = [(i, j) for i in range(len(P)) for j in range(len(P)) if P[i, j] > 0]
    return float(sum(P[i, j] * np.log(P[i, j] / Q[i, j]) for i, j in pairs))


# Distances


@pytest.mark.parametrize(("n", "d"), [(1, 3), (2, 1), (7, 3), (5, 20)])
@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_squared_distances(n, d, offset):
    X = normal(n, d) + offset
    X[-1] = X[0]
    with expect.unchanged(X):
        D = squared_distances(X)
    expect.close(D, slow_distances(X), f"squared distances of X {X.shape} around {offset:g}", rtol=1e-7)
    expect.equal(D[0, -1].item(), 0.0, "distance between two copies of a sample")
    expect.equal(np.diagonal(D).copy(), np.zeros(n), "distances of samples to themselves")
    expect.equal(D, D.T.copy(), "distances, transposed")


@pytest.mark.parametrize(
    ("n", "d", "scale"), [(20, 2, 1.0), (37, 3, 1e4), (100, 3, 1e-4), (41, 10, 1.0), (31, 100, 1e3)]
)
def test_copies_are_at_distance_zero_and_neighbours_are_not(n, d, scale):
    """The two neighbours are ten times as far apart as what counts as rounding."""
    X = np.repeat(normal(n, d, scale=scale), 2, axis=0)
    far = float(np.linalg.norm(X[0] - X.mean(axis=0)))
    X[1, 0] = X[0, 0] + 10 * np.sqrt(2 * d * np.finfo(np.float64).eps) * far
    D, want = squared_distances(X), (X[1, 0] - X[0, 0]) ** 2
    largest = float(np.abs(D[np.arange(2, 2 * n, 2), np.arange(3, 2 * n, 2)]).max())
    expect.true(largest == 0, f"distances of samples to their copies should be exactly 0, one is {largest:g}")
    expect.close(float(D[0, 1]), float(want), f"squared distance of two samples, {want:.2g}", rtol=0.1)


def test_a_crowd_beside_a_far_sample_keeps_its_distances():
    """What counts as rounding depends on the pair: far less in the crowd than for the far sample."""
    X = np.vstack([2e-5 * np.indices((3, 3, 3)).reshape(3, 27).T, [[1e3, 1e3, 1e3]]])
    D, want = squared_distances(X), slow_distances(X)
    expect.close(D, want, "squared distances of a crowd 4e-5 wide and a sample 1700 away", rtol=0.1, atol=0)


def test_distances_of_float32_are_computed_in_float64():
    X = normal(6, 4).astype(np.float32)
    D, want = squared_distances(X), slow_distances(X.astype(np.float64))
    expect.close(D, want, "squared distances of float32 samples", dtype=np.float64, rtol=1e-9)


# Conditional probabilities


@pytest.mark.parametrize("perplexity", [1.5, 5.0, 28.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_every_row_has_the_perplexity(perplexity, scale):
    D = scale * np.random.default_rng(0).exponential(size=(20, 29)) * np.arange(1, 21)[:, None] ** 3
    with expect.unchanged(D), expect.quiet("the search for beta"):
        p = conditional_probabilities(D, perplexity)
    expect.close(p.sum(axis=1), np.ones(20), "sums of the rows")
    want = np.full(20, np.log(perplexity))
    expect.close(entropies(p), want, f"entropies for perplexity {perplexity}", atol=1e-8)


def test_the_probabilities_are_gaussian():
    """log p falls in proportion to d: beta is one number a row, and as large as the entropy asks."""
    D = np.random.default_rng(1).uniform(1.0, 2.0, (5, 6))
    p = conditional_probabilities(D, 3.0)
    beta = (np.log(p[:, :1]) - np.log(p[:, 1:])) / (D[:, 1:] - D[:, :1])  # (5, 5)
    expect.true(bool((beta > 0).all()), f"nearer samples should be more probable: beta is {beta[:, 0]}")
    expect.close(beta, np.repeat(beta[:, :1], 5, axis=1), "beta, from each pair of a row", rtol=1e-7)
    expect.close(entropies(p), np.full(5, np.log(3.0)), "entropies for perplexity 3", atol=1e-8)


def test_two_neighbours_in_closed_form():
    """p = (3/4, 1/4) has the entropy log(4) - 3/4 log(3)."""
    perplexity = 4 / 3**0.75
    p = conditional_probabilities(np.array([[1.0, 9.0], [5.0, 2.0]]), perplexity)
    expect.close(p, np.array([[0.75, 0.25], [0.25, 0.75]]), "p of two neighbours", rtol=1e-7)


def test_only_differences_and_ratios_of_distances_count():
    D = np.random.default_rng(2).exponential(size=(4, 9))
    p = conditional_probabilities(D, 3.0)
    expect.close(conditional_probabilities(1e9 * D, 3.0), p, "p of 1e9 times the distances", rtol=1e-6)
    with expect.quiet("p of an outlier, whose exps all underflow"):
        far = conditional_probabilities(D + 1e5, 3.0)
    expect.close(far, p, "p of an outlier, 1e5 added to all distances", rtol=1e-6)
    expect.close(entropies(p), np.full(4, np.log(3.0)), "entropies for perplexity 3", atol=1e-8)


def test_rows_of_very_different_density_are_searched_apart():
    D = np.array([[1.0, 2.0, 3.0, 4.0], [1e-9, 2e-9, 3e-9, 4e-9], [1e-9, 1.0, 2.0, 3.0]])
    p = conditional_probabilities(D, 2.0)
    expect.close(p[1], p[0], "p in a crowd a billion times denser", rtol=1e-6)
    expect.close(entropies(p), np.full(3, np.log(2.0)), "entropies for perplexity 2", atol=1e-8)


def test_rows_of_many_scales_have_the_perplexity():
    """One far sample, distances of 24 magnitudes, near-ties, and almost all neighbours alike."""
    rng = np.random.default_rng(4)
    far = rng.exponential(size=(5, 30))
    far[:, 7] = 1e6
    nearly_equal = 1 + 1e-9 * np.arange(30.0)[None]
    for what, D, perplexity in (
        ("of rows with one distance of 1e6", far, 5.0),
        ("of rows with distances from 1e-12 to 1e12", 10.0 ** rng.uniform(-12, 12, (5, 30)), 3.0),
        ("of rows with distances 1 + 1e-9 (0, 1, 2, ...)", nearly_equal, 3.0),
        ("of rows for a perplexity just below 30", far, 30 - 1e-4),
    ):
        found = entropies(conditional_probabilities(D, perplexity))
        expect.close(found, np.full(len(D), np.log(perplexity)), f"entropies {what}", rtol=0, atol=1e-7)


def test_many_rows_are_searched_in_one_call():
    D = np.random.default_rng(3).exponential(size=(700, 200))
    p = conditional_probabilities(D, 30.0)
    expect.close(entropies(p), np.full(700, np.log(30.0)), "entropies of 700 rows", atol=1e-8)


def test_what_no_beta_reaches_gets_the_nearest():
    ties = np.array([[2.0, 1.0, 1.0, 5.0, 1.0], [0.0, 0.0, 0.0, 0.0, 7.0]])
    with expect.quiet("p of ties"):
        p = conditional_probabilities(ties, 2.0)
    want = np.array([[0, 1, 1, 0, 1], [0.75, 0.75, 0.75, 0.75, 0]]) / 3
    expect.close(p, want, "p for perplexity 2 and 3 or 4 equal smallest distances", atol=1e-6)
    D = np.array([[1.0, 2.0, 4.0]])
    for perplexity in (3.0, 3.9):
        p = conditional_probabilities(D, perplexity)
        expect.close(p, np.full((1, 3), 1 / 3), f"p of 3 others for perplexity {perplexity}", atol=1e-4)
    expect.close(conditional_probabilities(D, 1.0), np.array([[1.0, 0, 0]]), "p for perplexity 1", atol=1e-6)
    expect.close(conditional_probabilities(np.zeros((2, 4)), 2.0), np.full((2, 4), 0.25), "p of copies")


def test_an_impossible_perplexity_is_refused():
    for perplexity in (4.0, 30.0, 0.5, 0.0, -3.0):
        with expect.raises(ValueError, str(perplexity), "4"):
            conditional_probabilities(np.ones((4, 3)), perplexity)


# Joint probabilities


def test_joint_probabilities_are_the_mean_of_both_directions():
    D = slow_distances(normal(12, 3))
    others = ~np.eye(12, dtype=bool)
    one_way = np.zeros((12, 12))
    one_way[others] = conditional_probabilities(D[others].reshape(12, 11), 4.0).ravel()
    with expect.unchanged(D):
        P = joint_probabilities(D, 4.0)
    expect.close(P, (one_way + one_way.T) / 24, "P", rtol=1e-9)
    expect.close(float(P.sum()), 1.0, "sum of P")
    expect.equal(np.diagonal(P).copy(), np.zeros(12), "diagonal of P")


def test_an_outlier_keeps_its_share():
    X = normal(15, 2)
    X[0] = 1e3
    P = joint_probabilities(slow_distances(X), 4.0)
    expect.close(float(P.sum()), 1.0, "sum of P with an outlier")
    expect.true(bool(P[0].sum() > 0.499 / 15), f"an outlier's row should sum to 1 / 2N, yours {P[0].sum():g}")


def test_strangers_have_no_probability():
    X = normal(16, 2)
    X[8:] += 1e3
    P = joint_probabilities(slow_distances(X), 3.0)
    expect.close(float(P.sum()), 1.0, "sum of P of two groups")
    largest = float(P[:8, 8:].max())
    expect.true(largest < 1e-30, f"p of two samples 1000 apart should be below 1e-30, yours is {largest:g}")


def test_copies_are_neighbours_of_equal_rank():
    X = np.repeat(normal(3, 2), 5, axis=0)  # each has 4 copies
    P = joint_probabilities(squared_distances(X), 2.0)
    want = np.kron(np.eye(3), np.ones((5, 5)) - np.eye(5)) / 60
    expect.close(P, want, "P of 3 samples with 5 copies each, perplexity 2", atol=1e-9)


# The divergence


@pytest.mark.parametrize(("n", "k"), [(2, 2), (6, 1), (7, 2), (5, 3)])
def test_kl_divergence(n, k):
    P, Y = some_P(n), normal(n, k, scale=2.0)
    P = P if n > 2 else np.array([[0.0, 0.5], [0.5, 0.0]])
    with expect.unchanged(P, Y), expect.quiet("KL where p is 0"):
        divergence = kl_divergence(P, Y)
    expect.close(divergence, slow_kl(P, Y), f"KL(P || Q) of a map {Y.shape}", rtol=1e-9, atol=1e-12)


def test_a_perfect_map_has_no_divergence_and_no_gradient():
    Y = normal(9, 2)
    Q = student(Y)[1]
    expect.close(kl_divergence(Q, Y), 0.0, "KL(Q || Q)", atol=1e-12)
    expect.close(gradient(Q, Y), np.zeros((9, 2)), "gradient where P = Q", atol=1e-12)
    expect.close(gradient(Q, Y, 3.0), slow_gradient(Q, Y, 3.0), "the same for 3 P", rtol=1e-9)


def test_a_torn_neighbourhood_costs_what_it_should():
    """Two neighbours 1e9 apart: q = 1e-18, below any constant that keeps the log finite."""
    P = np.array([[0.0, 0.25, 0.25], [0.25, 0.0, 0.0], [0.25, 0.0, 0.0]])
    Y = np.array([[0.0, 0.0], [1e9, 0.0], [0.0, 1.0]])
    want = 0.5 * np.log(0.25 * 1e18) + 0.5 * np.log(0.25 / 0.5)  # Z = 1: the pair at distance 1, twice
    expect.close(kl_divergence(P, Y), float(want), "KL with neighbours 1e9 apart", rtol=1e-9)
    line = np.array([[0.0], [1e9], [3e9]])  # w = 1e-18 * (1, 1/4, 1/9)
    w = np.array([1.0, 1 / 4, 1 / 9])
    want = 0.5 * np.log(0.5 * w.sum() / w[0]) + 0.5 * np.log(0.5 * w.sum() / w[2])
    expect.close(kl_divergence(P, line), float(want), "KL where all are 1e9 apart", rtol=1e-9)


def test_the_divergence_is_summed_in_float64():
    P, Y = some_P(40).astype(np.float32), normal(40, 2).astype(np.float32)
    want = slow_kl(P.astype(np.float64), Y.astype(np.float64))
    expect.close(kl_divergence(P, Y), want, "KL of float32 arrays", rtol=1e-9)


# The gradient


@pytest.mark.parametrize(("n", "k"), [(3, 2), (6, 1), (7, 2), (5, 3)])
def test_the_gradient_is_that_of_the_divergence(n, k):
    P, Y = some_P(n, 3), normal(n, k, 4)
    with expect.unchanged(P, Y):
        found = gradient(P, Y)
    want = np.empty_like(Y)
    for index in np.ndindex(*Y.shape):
        h = np.zeros_like(Y)
        h[index] = 1e-4
        slopes = [(slow_kl(P, Y + m * h) - slow_kl(P, Y - m * h)) / (2e-4 * m) for m in (1, 2)]
        want[index] = (4 * slopes[0] - slopes[1]) / 3
    expect.close(found, want, f"dC / dY against differences of C, Y {Y.shape}", rtol=1e-7, atol=1e-9)
    expect.close(found, slow_gradient(P, Y), f"dC / dY, Y {Y.shape}", rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("exaggeration", [1.0, 4.0, 12.0])
def test_exaggeration_multiplies_the_attraction_only(exaggeration):
    P, Y = some_P(8), normal(8, 2)
    found = gradient(P, Y, exaggeration)
    expect.close(found, slow_gradient(P, Y, exaggeration), f"gradient with {exaggeration:g} P", rtol=1e-9)


def test_a_map_of_many_samples():
    """More rows than fit into a block, and a last block that is not full."""
    P, Y = some_P(601), normal(601, 2, scale=3.0)
    w, Q = student(Y)
    W = (P - Q) * w
    want = 4 * (W.sum(axis=1)[:, None] * Y - W @ Y)
    expect.close(gradient(P, Y), want, "gradient of 601 samples", rtol=1e-8, atol=1e-12)


def test_forces_add_up_to_nothing_and_turn_with_the_map():
    P, Y = some_P(8), normal(8, 2)
    base = slow_gradient(P, Y)
    expect.close(gradient(P, Y).sum(axis=0), np.zeros(2), "sum of all forces", atol=1e-13)
    expect.close(gradient(P, Y + 1e5), base, "gradient of a map moved by 1e5", rtol=1e-6, atol=1e-9)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    expect.close(gradient(P, Y @ turn), base @ turn, "gradient of a turned map", rtol=1e-9)


def test_float32_keeps_its_type_and_enough_digits():
    P, Y = some_P(50), normal(50, 2, scale=8.0)
    want = slow_gradient(P, Y)
    found = gradient(P.astype(np.float32), Y.astype(np.float32))
    size = float(np.abs(want).max())
    expect.close(found, want, "gradient in float32", dtype=np.float32, rtol=0.0, atol=1e-3 * size)


def test_points_in_one_place():
    P = some_P(6)
    with expect.quiet("gradient of a map without extent"):
        expect.close(gradient(P, np.ones((6, 2))), np.zeros((6, 2)), "gradient where all positions are equal")
        expect.close(gradient(np.zeros((1, 1)), np.ones((1, 2))), np.zeros((1, 2)), "gradient of one sample")
    Y = normal(6, 2)
    Y[1] = Y[0]
    expect.close(gradient(P, Y), slow_gradient(P, Y), "gradient with two points in one place", rtol=1e-8)


def test_a_very_wide_map_in_float32_has_finite_forces():
    """At 1e5 from the middle |y|^2 is 1e10: its rounding errors are far above 1 in float32."""
    Y = normal(40, 2, scale=1e5).astype(np.float32)
    Y[20:] = Y[:20] + np.float32(0.5)
    with expect.quiet("gradient of a very wide map"):
        found = gradient(some_P(40).astype(np.float32), Y)
    expect.true(bool(np.isfinite(found).all()), f"forces on a very wide map should be finite: {found[:2]}")
    largest = float(np.abs(found).max())
    double = Y.astype(np.float64)
    want = slow_gradient(some_P(40), double)
    expect.close(gradient(some_P(40), double), want, "the same forces in float64", rtol=1e-3, atol=1e-6)
    expect.true(0 < largest < 1e5, f"the largest force should be in (0, 1e5), yours {largest:g}")


# The descent


def slow_descent(slope, Y, steps, rate, momentum):
    Y, gains, update = Y.copy(), np.ones_like(Y), np.zeros_like(Y)
    for _ in range(steps):
        g = slope(Y)
        for index in np.ndindex(*Y.shape):
            against = update[index] * g[index] < 0
            gains[index] = max(gains[index] + 0.2 if against else gains[index] * 0.8, 0.01)
            update[index] = momentum * update[index] - rate * gains[index] * g[index]
        Y += update
    return Y


@pytest.mark.parametrize("steps", [1, 2, 3, 60])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.8])
def test_the_steps_of_a_descent(steps, momentum):
    curvature, Y = np.array([[1.0, 10.0], [0.1, 3.0]]), np.array([[1.0, -2.0], [3.0, 4.0]])
    with expect.unchanged(Y):
        found, made = descend(lambda Y: curvature * Y, Y, steps, learning_rate=0.2, momentum=momentum)
    want = slow_descent(lambda Y: curvature * Y, Y, steps, 0.2, momentum)
    expect.close(found, want, f"positions after {steps} steps on a bowl", rtol=1e-9)
    expect.equal(int(made), steps, "steps made")


def test_a_gain_never_falls_below_a_hundredth():
    """Slopes of alternating sign without momentum: the last update always points along the next slope."""

    def move(steps):
        signs = iter([(-1.0) ** i for i in range(42)] + [-1.0])
        start = np.zeros((1, 1))
        return descend(lambda Y: np.full((1, 1), next(signs)), start, steps, learning_rate=1.0, momentum=0.0)[
            0
        ]

    expect.close(move(1), np.array([[-0.8]]), "first move: the gain is 0.8")
    expect.close(
        move(2), np.array([[-0.16]]), "position after the second move, with a gain of 0.64", rtol=1e-9
    )
    expect.close(move(41) - move(40), np.array([[-0.01]]), "move 41: the gain is 0.01", rtol=1e-9)
    expect.close(
        move(43) - move(42), np.array([[0.21]]), "move 43, downhill again: the gain is 0.21", rtol=1e-9
    )


def test_a_small_gradient_ends_the_descent():
    """On y^2 / 2 with gain 0.8 and rate 1 the first step leads from 10 to 2, |gain g| = 8."""
    Y = np.array([[10.0]])
    for limit, steps in ((8.1, 1), (7.9, 2)):
        found, made = descend(lambda Y: Y, Y, 5, learning_rate=1.0, momentum=0.0, min_grad_norm=limit)
        expect.equal(int(made), steps, f"steps made from 10 with min_grad_norm {limit}")
        want = slow_descent(lambda Y: Y, Y, steps, 1.0, 0.0)
        expect.close(found, want, f"position after {steps} steps", atol=1e-9)
    Y = np.array([[3.0, 4.0]])
    for limit, steps in ((3.9, 3), (4.1, 1)):
        made = descend(lambda Y: Y, Y, 3, learning_rate=1e-9, momentum=0.0, min_grad_norm=limit)[1]
        expect.equal(int(made), steps, f"steps made where |gain g| = 4, 5, 6 with min_grad_norm {limit}")


def test_a_gradient_at_the_limit_ends_the_descent():
    rest = np.array([[3.0, 4.0]])
    found, made = descend(np.zeros_like, rest, 5, learning_rate=1.0, momentum=0.5, min_grad_norm=0.0)
    expect.close(found, rest, "positions at rest")
    expect.equal(int(made), 1, "steps made where the gradient is 0 and min_grad_norm too")


def test_no_steps_and_float32():
    Y = np.array([[1.0, 2.0]], np.float32)
    found, made = descend(lambda Y: Y, Y, 0, learning_rate=1.0, momentum=0.5)
    expect.close(found, np.array([[1.0, 2.0]]), "positions after no step", dtype=np.float32)
    expect.equal(int(made), 0, "steps made of none")
    expect.true(found is not Y, "the positions that come back should be a new array")
    found, _ = descend(lambda Y: Y, Y, 1, learning_rate=0.5, momentum=0.5)
    expect.close(found, np.array([[0.6, 1.2]]), "positions after a step in float32", dtype=np.float32)


# The estimator


def given_map(max_iter, offset=0.0, **settings):
    X, Y = normal(30, 4) + offset, normal(30, 2, 1, 0.1)
    fitted = TSNE(init=Y, perplexity=5.0, learning_rate=10.0, max_iter=max_iter, **settings).fit(X)
    return joint_probabilities(slow_distances(X), 5.0), Y, fitted.embedding_.astype(np.float64)


def test_the_first_step_is_exaggerated_and_that_of_the_second_descent_is_not():
    """A descent starts at rest with gains of 1: its first step is -0.8 * learning_rate * gradient."""
    P, Y, first = given_map(1)
    expect.close(first - Y, -8 * slow_gradient(P, Y, 12.0), "first step", rtol=1e-3, atol=1e-5)
    P, Y, first = given_map(1, early_exaggeration=4.0)
    expect.close(first - Y, -8 * slow_gradient(P, Y, 4.0), "first step, exaggeration 4", rtol=1e-3, atol=1e-5)
    (_, _, before), (_, _, after) = given_map(250), given_map(251)
    want = -8 * slow_gradient(P, before)
    size = float(np.abs(want).max())
    expect.close(after - before, want, "step 251, the first of the second descent", atol=2e-3 * size)


def test_samples_far_from_the_origin_keep_their_digits():
    """At 1e8 float32 knows multiples of 8 only."""
    P, Y, first = given_map(1, 1e8)
    want = -8 * slow_gradient(P, Y, 12.0)
    expect.close(first - Y, want, "first step for samples around 1e8", rtol=1e-3, atol=1e-5)


def test_the_norm_is_looked_at_every_so_many_steps():
    Y = np.full((1, 1), 4.0)
    for every, made in ((1, 1), (3, 3), (4, 4), (7, 7), (20, 9)):
        steps = descend(
            lambda Y: Y, Y, 9, learning_rate=0.1, momentum=0.0, min_grad_norm=9.0, check_every=every
        )[1]
        expect.equal(int(steps), made, f"steps of 9 made below min_grad_norm, looked at every {every}")


def test_the_second_descent_makes_what_the_first_left():
    class Resting(TSNE):
        """Exaggerated forces are 0 from the start, the others never."""

        def objective(self, X):
            slope = lambda Y, exaggeration=1.0: np.full_like(Y, exaggeration == 1)  # noqa: E731
            return slope, lambda Y: 0.0

    tsne = Resting(perplexity=5.0, max_iter=300).fit(normal(30, 3))
    expect.equal(
        int(tsne.n_iter_), 300, "n_iter_ for max_iter 300 where the first descent ends after 50 steps"
    )


def test_momentum_rises_from_a_half_to_four_fifths():
    P, Y, found = given_map(3)
    want = slow_descent(lambda Y: slow_gradient(P, Y, 12.0), Y, 3, 10.0, 0.5)
    expect.close(found, want, "map after 3 iterations", atol=1e-3 * np.abs(want).max())
    (_, _, before), (_, _, found) = given_map(250), given_map(253)
    want = slow_descent(lambda Y: slow_gradient(P, Y), before, 3, 10.0, 0.8)
    moved = np.abs(want - before).max()
    expect.close(found - before, want - before, "moves in iterations 251 to 253", atol=1e-2 * moved)


def test_what_is_learned():
    X, labels = toy.blobs(60, spread=0.05, rng=np.random.default_rng(0))
    defaults = (2, 30.0, 12.0, "auto", 1000, 1e-7, "pca", None)
    expect.equal(tuple(TSNE().get_params().values()), defaults, "the parameters' defaults")
    tsne = TSNE(perplexity=8.0, max_iter=400)
    expect.true(tsne.fit(X) is tsne, "fit should return the estimator")
    Y = tsne.embedding_
    expect.equal((Y.shape, Y.dtype.name), ((60, 2), "float32"), "shape and dtype of embedding_")
    P = joint_probabilities(slow_distances(X), 8.0)
    want = slow_kl(P, Y.astype(np.float64))
    expect.close(tsne.kl_divergence_, want, "kl_divergence_ of the map", rtol=1e-4)
    expect.equal((int(tsne.n_iter_), tsne.n_features_in_), (400, 2), "n_iter_ and n_features_in_")
    expect.close(tsne.learning_rate_, 50.0, "learning_rate_ of 60 samples")
    expect.close(TSNE(perplexity=8.0, max_iter=400).fit_transform(X, labels), Y, "fit_transform of the same")
    expect.close(TSNE(perplexity=8.0, max_iter=400).fit_transform(X.tolist()), Y, "map of lists", rtol=1e-3)


def test_the_automatic_learning_rate_grows_with_the_samples():
    X = normal(300, 2)
    for exaggeration, want in ((1.0, 75.0), (1.2, 62.5), (12.0, 50.0)):
        tsne = TSNE(early_exaggeration=exaggeration, max_iter=1).fit(X)
        expect.close(tsne.learning_rate_, want, f"learning_rate_, 300 samples, exaggeration {exaggeration:g}")
    expect.close(TSNE(learning_rate=7, max_iter=1).fit(X).learning_rate_, 7.0, "learning_rate_ as given")


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_map_starts_with_the_principal_components(k):
    X = normal(50, 4) * [1.0, 5.0, 2.0, 0.5] + 3.0
    Y = TSNE(k, perplexity=5.0, learning_rate=1e-9, max_iter=1).fit_transform(X)
    U, s, _ = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    want = 1e-4 * (U * s)[:, :k] / (U * s)[:, 0].std()
    Y, want = Y * np.sign(Y[0]), want * np.sign(want[0])
    expect.close(
        Y, want, f"{k} principal components, the first with a deviation of 1e-4", rtol=1e-3, atol=1e-8
    )


def test_a_random_start_is_small_normal_and_repeatable():
    X = normal(500, 3)
    settings = {"init": "random", "learning_rate": 1e-9, "max_iter": 1}
    Y = TSNE(**settings, rng=np.random.default_rng(0)).fit_transform(X).astype(np.float64)
    statistics.mean_is(Y, 0.0, 1e-4, "the random start")
    statistics.variance_is(Y, 1e-8, "the random start")
    beyond = (np.abs(Y) > 2e-4).astype(np.float64)  # normal: 4.55 %, uniform: none
    statistics.mean_is(beyond, 0.0455, 0.2084, "the share beyond two standard deviations")
    again = TSNE(**settings, rng=np.random.default_rng(0)).fit_transform(X)
    expect.close(again.astype(np.float64), Y, "the start from the same seed")
    other = TSNE(**settings, rng=np.random.default_rng(1)).fit_transform(X)
    expect.true(bool(np.abs(other - Y).max() > 1e-5), "another seed should give another start")


def test_given_positions_are_not_modified():
    X, start = normal(12, 3), normal(12, 2, 1)
    with expect.unchanged(X, start):
        Y = TSNE(init=start, perplexity=3.0, learning_rate=1e-9, max_iter=1).fit_transform(X)
    expect.close(Y, start, "given positions", dtype=np.float32)
    Y = TSNE(init=start.tolist(), perplexity=3.0, learning_rate=1e-9, max_iter=1).fit_transform(X)
    expect.close(Y, start, "positions given as lists", dtype=np.float32)


def test_a_large_min_grad_norm_ends_both_descents_at_once():
    X = normal(30, 3)
    for max_iter, made in ((1000, 100), (1, 1), (70, 70), (120, 100)):
        tsne = TSNE(perplexity=5.0, min_grad_norm=1e9, max_iter=max_iter).fit(X)
        expect.equal(
            int(tsne.n_iter_), made, f"n_iter_ for max_iter {max_iter}: each descent ends at its 50th step"
        )


def test_a_map_that_is_slow_to_unfold_is_given_the_time():
    """Around the start gradients are small, under exaggeration they may shrink at first."""

    class Late(TSNE):
        """No force for the first 40 iterations of each descent."""

        def objective(self, X):
            calls = []

            def slope(Y, exaggeration=1.0):
                calls.append(exaggeration)
                return np.full_like(Y, float(calls.count(exaggeration) > 40))

            return slope, lambda Y: 0.0

    late = Late(perplexity=5.0, max_iter=400).fit(normal(30, 3))
    expect.equal(int(late.n_iter_), 400, "n_iter_ where no gradient is felt for 40 iterations")


def test_groups_come_apart():
    """6 groups in 20 dimensions: over 20 seeds all nearest neighbours on the map are of the same group."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 6
    X = normal(120, 20) + 3 * rng.standard_normal((6, 20))[labels]
    Y = TSNE(perplexity=10.0, max_iter=400).fit_transform(X).astype(np.float64)
    expect.equal(Y.shape, (120, 2), "shape of the map of 120 samples")
    D = slow_distances(Y) + np.diag(np.full(120, np.inf))
    same = float((labels[D.argmin(axis=1)] == labels).mean())
    expect.true(same > 0.95, f"nearest neighbours of the same group: {same:.2f}, expected above 0.95")


def test_data_without_variance_have_a_map_without_extent():
    with expect.quiet("the map of constant data"):
        Y = TSNE(perplexity=2.0, max_iter=5).fit_transform(np.full((6, 3), 0.1))
    expect.close(Y, np.zeros((6, 2)), "map of six copies", dtype=np.float32)


def test_the_smallest_map():
    Y = TSNE(perplexity=1.0, max_iter=300, min_grad_norm=0.0).fit_transform([[0.0, 1.0], [3.0, 4.0]])
    expect.equal(Y.shape, (2, 2), "shape of the map of two samples")
    expect.true(bool(np.isfinite(Y).all()), f"the map of two samples should be finite: {Y}")


def test_what_cannot_be_used_is_refused():
    X = normal(40, 3)
    for settings, named in (
        ({"n_components": 0}, ("n_components", "1", "0")),
        ({"n_components": 1.5}, ("n_components", "1.5")),
        ({"perplexity": 0.5}, ("perplexity", "1", "0.5")),
        ({"perplexity": "many"}, ("perplexity", "many")),
        ({"early_exaggeration": 0.9}, ("early_exaggeration", "0.9")),
        ({"learning_rate": 0}, ("learning_rate", "0")),
        ({"learning_rate": "fast"}, ("learning_rate", "auto", "fast")),
        ({"max_iter": 0}, ("max_iter", "1", "0")),
        ({"min_grad_norm": -1.0}, ("min_grad_norm", "-1.0")),
        ({"init": "zeros"}, ("init", "pca", "random", "zeros")),
        ({"init": "random"}, ("rng", "None")),
    ):
        with expect.raises(InvalidParameterError, "TSNE", *named):
            TSNE(**settings).fit(X)
    with expect.raises(InvalidParameterError, "n_components", "3", "4"):
        TSNE(4).fit(X)
    for perplexity in (40, 50.5):
        with expect.raises(ValueError, str(perplexity), "40"):
            TSNE(perplexity=perplexity).fit(X)
    with expect.raises(ValueError, "(40, 3)", "(40, 2)"):
        TSNE(init=X).fit(X)
    for value, named in ((np.nan, ("7", "1")), (np.inf, ("7", "1")), (1e300, ("1e+300",))):
        start = np.zeros((40, 2))
        start[7, 1] = value
        with expect.raises(ValueError, *named):
            TSNE(init=start).fit(X)


def test_a_fit_that_failed_is_no_fit():
    X = normal(40, 3)
    broken = X.copy()
    broken[3, 1] = np.nan
    for what, settings, samples, named in (
        ("a NaN in X", {}, broken, ("3", "1")),
        ("perplexity 50", {"perplexity": 50.0}, X, ("50", "40")),
        ("init of another shape", {"init": X}, X, ("(40, 3)", "(40, 2)")),
        ("no rng", {"init": "random"}, X, ("rng",)),
    ):
        tsne = TSNE(**settings)
        with expect.raises(ValueError, *named):
            tsne.fit(samples)
        expect.true(not hasattr(tsne, "n_features_in_"), f"fit failed on {what}, but set n_features_in_")
