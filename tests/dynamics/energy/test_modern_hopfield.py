"""The modern Hopfield network: weights and energies by loops, derivatives by differences, bounds by trial."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.energy.modern_hopfield import (
    energy,
    jacobian,
    lookup,
    retrieval_bound,
    retrieve,
    separation,
    update,
)


def problem(P=5, D=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(P, D)), rng.normal(size=D)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def weights(X, q, beta):
    """The share of each pattern, one by one."""
    scores = [beta * dot(x, q) for x in X]
    peak = max(scores)
    shares = [math.exp(s - peak) for s in scores]
    return [s / sum(shares) for s in shares]


def mean(values, shares):
    return np.array([dot(shares, column) for column in np.transpose(values)])


def depth(X, q, beta):
    lse = math.log(sum(math.exp(beta * dot(x, q)) for x in X)) / beta
    return dot(q, q) / 2 - lse + math.log(len(X)) / beta + max(dot(x, x) for x in X) / 2


def unit(D, P, seed=0):
    """Random patterns of length 1."""
    X = np.random.default_rng(seed).normal(size=(P, D))
    return X / np.linalg.norm(X, axis=1, keepdims=True)


# Lookup and update


@pytest.mark.parametrize("beta", [0.3, 1.0, 8.0])
def test_a_lookup_is_the_mean_of_values_by_the_softmax_of_matches(beta):
    K, q = problem()
    V = np.random.default_rng(1).normal(size=(5, 4))
    with expect.unchanged(K, V, q):
        actual = lookup(K, V, q, beta)
    expect.close(actual, mean(V, weights(K, q, beta)), f"lookup at beta {beta}", rtol=1e-10, dtype=np.float64)


@pytest.mark.parametrize("beta", [0.3, 1.0, 8.0])
def test_an_update_is_the_mean_of_patterns_by_the_softmax_of_matches(beta):
    X, q = problem(seed=2)
    with expect.unchanged(X, q):
        actual = update(X, q, beta)
    expect.close(actual, mean(X, weights(X, q, beta)), f"update at beta {beta}", rtol=1e-10, dtype=np.float64)


def test_a_batch_of_queries_is_answered_one_by_one():
    X, _ = problem()
    V = np.random.default_rng(1).normal(size=(5, 2))
    q = np.random.default_rng(4).normal(size=(2, 4, 3))
    want = np.array([[mean(V, weights(X, s, 0.7)) for s in row] for row in q])
    expect.close(lookup(X, V, q, 0.7), want, "lookup of queries (2, 4, 3)", rtol=1e-10)
    want = np.array([[mean(X, weights(X, s, 0.7)) for s in row] for row in q])
    expect.close(update(X, q, 0.7), want, "update of states (2, 4, 3)", rtol=1e-10)
    want = np.array([[depth(X, s, 0.7) for s in row] for row in q])
    expect.close(energy(X, q, 0.7), want, "energy of states (2, 4, 3)", rtol=1e-10, dtype=np.float64)


def test_the_update_is_attention_with_beta_one_over_the_root_of_the_width():
    """softmax(Q K^T / sqrt(D)) V, row by row, of a sequence with itself."""
    X = np.random.default_rng(5).normal(size=(6, 4))
    want = []
    for query in X:
        scores = np.exp(X @ query / 2)
        want.append(scores / scores.sum() @ X)
    expect.close(update(X, X, 1 / math.sqrt(4)), np.array(want), "self-attention of six tokens", rtol=1e-10)


def test_cold_picks_the_best_match_and_hot_the_mean_of_all():
    X, q = problem(seed=3)
    best = X[int(np.argmax(X @ q))]
    expect.close(update(X, q, 1e6), best, "update at beta 1e6")
    expect.close(update(X, q, 1e-9), X.mean(axis=0), "update at beta 1e-9", rtol=1e-6, atol=1e-7)


def test_huge_scores_do_not_overflow():
    X, q = 1e3 * np.array([[1.0, 0], [0, 1], [-1, -1]]), np.array([2.0, -1.0])
    with expect.quiet("huge scores"):
        expect.close(update(X, q, 5.0), X[0], "update with scores of 10,000")
        expect.close(energy(X, q, 5.0) - 1e6, 2.5 - 2e3 + math.log(3) / 5, "energy - 1e6", rtol=1e-9)


# The energy


@pytest.mark.parametrize("beta", [0.3, 1.0, 8.0])
def test_the_energy_is_its_definition(beta):
    X, q = problem(seed=6)
    with expect.unchanged(X, q):
        actual = float(energy(X, q, beta))
    expect.close(actual, depth(X, q, beta), f"energy at beta {beta}", rtol=1e-10)
    expect.close(float(energy([[3, 4]], [3, 4], beta)), 0.0, "energy at the only pattern", atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 4.0, 30.0])
def test_the_energy_never_rises_by_an_update(beta):
    X = np.random.default_rng(7).normal(size=(8, 5))
    q = 3 * np.random.default_rng(8).normal(size=(200, 5))
    before = np.array([depth(X, s, beta) for s in q])
    expect.close(energy(X, q, beta), before, f"energies of 200 states at beta {beta}", rtol=1e-9)
    after = np.array([depth(X, s, beta) for s in np.asarray(update(X, q, beta))])
    rise = float(np.max(after - before))
    expect.true(rise <= 1e-9, f"an update raised the energy by {rise:.3g}, expected never, at beta {beta}")


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_the_update_is_a_step_of_length_one_down_the_gradient(beta):
    X, q = problem(seed=9)
    h = 1e-5
    slope = [float(energy(X, q + h * e, beta) - energy(X, q - h * e, beta)) / (2 * h) for e in np.eye(3)]
    actual = np.asarray(update(X, q, beta))
    expect.close(q - actual, np.array(slope), "q - update, the gradient of energy", rtol=1e-7, atol=1e-8)


# The derivative of the update


@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_the_jacobian_is_the_derivative_of_the_update(beta):
    X, q = problem(seed=10)
    h = 1e-5
    steps = [(mean(X, weights(X, q + h * e, beta)) - mean(X, weights(X, q - h * e, beta))) for e in np.eye(3)]
    with expect.unchanged(X, q):
        J = jacobian(X, q, beta)
    want = np.array(steps).T / (2 * h)
    expect.close(J, want, f"jacobian at beta {beta}", rtol=1e-6, atol=1e-8, dtype=np.float64)


def test_the_jacobian_keeps_its_digits_far_from_the_origin():
    """Patterns 1.1e8 + y and 1.1e8 - y: the weights follow from y alone, and so does the covariance."""
    y = np.array([1.0, -1.0, 3.0])
    X = np.column_stack([1.1e8 + y, 1.1e8 - y])
    p = np.array(weights(y[:, None], [0.5], 2.0))
    spread = 2 * float(p @ (y - p @ y) ** 2)
    want = np.array([[spread, -spread], [-spread, spread]])
    expect.close(jacobian(X, [0.25, -0.25], 2.0), want, "jacobian of far patterns", rtol=1e-5)


# Retrieval


def test_retrieval_is_update_after_update_until_a_step_is_short():
    X, q = problem(P=6, D=4, seed=11)
    path = [q]
    while len(path) < 2 or np.linalg.norm(path[-1] - path[-2]) > 1e-4:
        path.append(mean(X, weights(X, path[-1], 0.8)))
    with expect.unchanged(X, q):
        actual, converged = retrieve(X, q, 0.8, tol=1e-4)
    expect.close(actual, np.array(path), "path at beta 0.8, tol 1e-4", rtol=1e-9, dtype=np.float64)
    expect.true(bool(converged) and len(path) > 3, f"converged is {converged}, expected True")


def test_retrieval_stops_after_as_many_steps_as_allowed():
    X, q = problem(P=6, D=4, seed=11)
    path, converged = retrieve(X, q, 0.8, max_steps=3)
    want = [q]
    for _ in range(3):
        want.append(mean(X, weights(X, want[-1], 0.8)))
    expect.close(path, np.array(want), "path of 3 steps", rtol=1e-10)
    expect.true(not converged, "3 steps are not enough here: converged must be False")
    path, converged = retrieve([[3.0, 4.0]], [1, 1], 1.0, tol=0, max_steps=2)
    expect.close(path, np.array([[1.0, 1], [3, 4], [3, 4]]), "path to a single pattern", atol=1e-14)
    expect.true(bool(converged), "the second and last step has length 0: converged must be True")
    path, converged = retrieve([[3.0, 4.0]], [3, 4], 1.0, tol=0)
    expect.close(path, np.array([[3.0, 4], [3, 4]]), "path from a fixed point: one step, of length 0")
    expect.true(bool(converged), "a step of length 0: converged must be True")
    for tol, rows in ((4.9, 3), (5.1, 2)):  # the first step is (3, 4), 5 long
        path, _ = retrieve([[3.0, 4.0]], [0, 0], 1.0, tol=tol)
        expect.equal(len(path), rows, f"number of states with a first step of length 5 and tol {tol}")
    path, converged = retrieve(X, q, 0.8, max_steps=1)
    expect.close(path, np.array(want[:2]), "path of 1 step", rtol=1e-10)


def test_by_default_retrieval_ends_at_a_fixed_point():
    X, q = problem(P=6, D=4, seed=12)
    path, converged = retrieve(X, q, 1.0)
    end = path[-1]
    expect.true(bool(converged), "converged is False by default, expected True")
    expect.close(mean(X, weights(X, end, 1.0)), end, "update of the last state", rtol=1e-8, atol=1e-9)


def test_ten_times_as_many_patterns_as_units_are_repaired_in_a_step():
    X = unit(32, 320)
    noisy = X + 0.3 / math.sqrt(32) * np.random.default_rng(1).normal(size=X.shape)
    error = np.linalg.norm(np.asarray(update(X, noisy[::-1], 60.0)) - X[::-1], axis=1)
    good = float(np.mean(error < 0.01))
    expect.true(good > 0.95, f"{good:.3f} of 320 patterns in 32 units are repaired, expected more than 0.95")


# Separation and the bound


def test_the_separation_is_the_score_with_itself_above_the_next():
    X, _ = problem(P=6, D=4, seed=13)
    want = [dot(x, x) - max(dot(x, y) for j, y in enumerate(X) if j != i) for i, x in enumerate(X)]
    with expect.unchanged(X):
        expect.close(separation(X), np.array(want), "separation", rtol=1e-10, dtype=np.float64)
    expect.true(min(want) < 0, "one of the patterns is to be outdone by another")


def test_a_repeated_pattern_has_no_separation_and_a_single_one_has_no_rival():
    expect.close(
        separation([[1, 2], [1, 2], [-3, 0]]), np.array([0.0, 0.0, 12.0]), "separation with a double"
    )
    expect.close(separation([[1, 2]]), np.array([math.inf]), "separation of a single pattern")


def test_the_bound_is_its_formula():
    X, _ = problem(P=6, D=4, seed=13)
    M = max(math.sqrt(dot(x, x)) for x in X)
    for beta in (0.1, 1.0, 20.0):
        gaps = [dot(x, x) - max(dot(x, y) for j, y in enumerate(X) if j != i) for i, x in enumerate(X)]
        want = [2 * M * min(1.0, 5 * math.exp(-beta * gap)) for gap in gaps]
        expect.close(retrieval_bound(X, beta), np.array(want), f"bound at beta {beta}", rtol=1e-10)
    with expect.quiet("retrieval_bound"):
        cold = retrieval_bound(X, 1e6)
    expect.close(cold, np.where(np.array(gaps) < 0, 2 * M, 0.0), "bound at beta 1e6", rtol=1e-12)


def test_no_pattern_moves_farther_than_its_bound():
    for seed in range(20):
        X = np.random.default_rng(seed).normal(size=(7, 10))
        for beta in (0.2, 1.0, 4.0):
            moved = np.array([np.linalg.norm(mean(X, weights(X, x, beta)) - x) for x in X])
            slack = float(np.min(np.asarray(retrieval_bound(X, beta)) - moved))
            expect.true(slack >= -1e-12, f"a pattern moved {-slack:.3g} farther than its bound, beta {beta}")


def test_orthogonal_patterns_move_as_far_as_is_known():
    """P orthonormal patterns: the others share (P - 1) / (e^beta + P - 1), each at distance sqrt(2)."""
    P, beta = 8, 4.0
    X = np.linalg.qr(np.random.default_rng(0).normal(size=(12, P)))[0].T
    share = 1 / (math.exp(beta) + P - 1)
    want = math.hypot((P - 1) * share, math.sqrt(P - 1) * share)
    error = np.linalg.norm(np.asarray(update(X, X, beta)) - X, axis=1)
    expect.close(error, np.full(P, want), "how far orthonormal patterns move", rtol=1e-9)
    expect.close(retrieval_bound(X, beta), np.full(P, 14 * math.exp(-4)), "their bound", rtol=1e-9)


def test_a_single_pattern_has_a_bound_of_zero():
    with expect.quiet("retrieval_bound of a single pattern"):
        expect.close(retrieval_bound([[3, 4]], 1.0), np.zeros(1), "bound of a single pattern")
    expect.close(retrieval_bound([[3, 4], [3, 4]], 1.0), np.full(2, 10.0), "bound of a double")


# Errors


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan, math.inf])
def test_a_beta_that_is_no_temperature_is_refused(beta):
    X, q = problem()
    for call in (
        lambda: lookup(X, X, q, beta),
        lambda: update(X, q, beta),
        lambda: energy(X, q, beta),
        lambda: jacobian(X, q, beta),
        lambda: retrieve(X, q, beta),
        lambda: retrieval_bound(X, beta),
    ):
        with expect.raises(ValueError, "0" if beta == 0 else str(beta)):
            call()


def test_shapes_that_do_not_fit_are_refused():
    X, q = problem()
    for function in (update, energy, jacobian, retrieve):
        with expect.raises(ValueError, "(5, 3)", "(2,)"):
            function(X, [1.0, 2.0], 1.0)
        with expect.raises(ValueError, "(3,)"):
            function(q, q, 1.0)
    with expect.raises(ValueError, "(5, 3)", "(4, 2)"):
        lookup(X, np.ones((4, 2)), q, 1.0)
    with expect.raises(ValueError, "(5,)"):
        lookup(X, np.ones(5), q, 1.0)
    for function in (jacobian, retrieve):
        with expect.raises(ValueError, "(2, 3)"):
            function(X, np.ones((2, 3)), 1.0)
    with expect.raises(ValueError, "0"):
        retrieve(X, q, 1.0, max_steps=0)
    with expect.raises(ValueError, "(0, 3)"):
        separation(np.zeros((0, 3)))
    with expect.raises(ValueError, "(3,)"):
        retrieval_bound(q, 1.0)
