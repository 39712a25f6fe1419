"""The Hopfield network: weights and energies by loops, recall unit by unit, theory by integrals."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.energy.hopfield import bit_error, energy, overlap, recall, retrieval_overlap, store


def patterns(P, D, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(P, D))


def symmetric(D, seed=0):
    """Random weights without a diagonal: valleys at places that nobody stored."""
    W = np.random.default_rng(seed).normal(size=(D, D))
    W = W + W.T
    np.fill_diagonal(W, 0.0)
    return W


def value(W, x):
    return -0.5 * sum(x[i] * W[i][j] * x[j] for i in range(len(x)) for j in range(len(x)))


def turned(field, bit):
    return bit if abs(field) < 1e-9 else math.copysign(1.0, field)


def sweep(W, x, mode):
    """One sweep, every field summed anew; the units in order."""
    x, before = list(x), list(x)
    for i in range(len(x)):
        seen = before if mode == "sync" else x
        x[i] = turned(sum(W[i][j] * seen[j] for j in range(len(x))), x[i])
    return np.array(x)


# Weights, energy, overlap


@pytest.mark.parametrize(("P", "D"), [(1, 5), (3, 7), (6, 4)])
def test_hebbian_weights_are_the_mean_product_of_bits_without_a_diagonal(P, D):
    X = patterns(P, D)
    want = [[0 if i == j else sum(x[i] * x[j] for x in X) / D for j in range(D)] for i in range(D)]
    with expect.unchanged(X):
        W = store(X)
    expect.close(W, np.array(want, float), f"Hebbian weights of {P} patterns of {D}", dtype=np.float64)


def test_hebbian_weights_add_up_over_patterns():
    X = patterns(5, 8)
    each = sum(np.array(store(x[None])) for x in X)
    expect.close(store(X, "hebbian"), each, "weights of five patterns")
    expect.close(float(store(X)[0, 1]), float(X[:, 0] @ X[:, 1]) / 8, "weight of units 0 and 1")


def test_projection_weights_project_on_the_patterns_without_a_diagonal():
    """X^T (X X^T)^-1 X by elimination, for independent patterns."""
    X = patterns(4, 9, seed=1)
    want = X.T @ np.linalg.solve(X @ X.T, X)
    np.fill_diagonal(want, 0.0)
    expect.close(store(X, "projection"), want, "projection weights", rtol=1e-9, atol=1e-10)


def test_projection_weights_do_not_count_a_repeated_pattern_twice():
    X = patterns(3, 8, seed=2)
    want = X.T @ np.linalg.solve(X @ X.T, X)
    np.fill_diagonal(want, 0.0)
    actual = store(np.vstack([X, X[:1], -X[1:2]]), "projection")
    expect.close(actual, want, "projection weights with repeated patterns", rtol=1e-8, atol=1e-9)


def test_projection_weights_tell_patterns_apart_that_differ_in_two_bits():
    X = np.repeat(patterns(1, 200), 2, axis=0)
    X[1, :2] *= -1
    want = X.T @ np.linalg.solve(X @ X.T, X)
    np.fill_diagonal(want, 0.0)
    actual = store(X, "projection")
    expect.close(actual, want, "projection weights of two patterns that are nearly the same", rtol=1e-9)


@pytest.mark.parametrize("rule", ["hebbian", "projection"])
def test_weights_of_whole_numbers_are_floats_exactly_symmetric(rule):
    X = [[1, -1, 1, 1, -1], [1, 1, -1, 1, 1]]
    W = store(X, rule)
    expect.close(W, store(np.array(X, float), rule), "weights from lists", dtype=np.float64)
    expect.true(np.array_equal(W, W.T) and np.any(W), f"weights must be symmetric, not all 0, got {W}")
    expect.equal(float(np.abs(np.diag(W)).max()), 0.0, "the largest weight of a unit to itself")


def test_the_energy_is_minus_half_the_weighted_products():
    W, x = symmetric(6), patterns(1, 6)[0]
    with expect.unchanged(W, x):
        expect.close(float(energy(W, x)), value(W, x), "energy", rtol=1e-10)
    real = np.random.default_rng(3).normal(size=6)
    expect.close(float(energy(W, real)), value(W, real), "energy of real numbers", rtol=1e-10)


def test_the_energy_of_a_batch_is_one_number_a_state():
    W, x = symmetric(5), patterns(6, 5).reshape(2, 3, 5)
    want = np.array([[value(W, s) for s in row] for row in x])
    expect.close(energy(W, x), want, "energies of states (2, 3, 5)", rtol=1e-10, dtype=np.float64)


def test_the_overlap_is_one_minus_twice_the_share_of_bits_that_differ():
    X, states = patterns(3, 10), patterns(4, 10, seed=1)
    want = np.array([[1 - 2 * np.mean(x != s) for x in X] for s in states])
    expect.close(overlap(X, states), want, "overlaps of four states", atol=1e-14)
    expect.close(overlap(X, states[0]), want[0], "overlaps of one state", atol=1e-14)
    expect.close(overlap(X, -X[1])[1], -1.0, "overlap of a pattern with its negative")


# Recall


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("seed", range(8))
def test_recall_is_sweep_after_sweep(mode, seed):
    D = 5 + 3 * seed
    W, x = symmetric(D, seed), patterns(1, D, seed)[0]
    path = [x]
    while len(path) < 40:
        path.append(sweep(W, path[-1], mode))
        if np.array_equal(path[-1], path[-2]) or (len(path) > 2 and np.array_equal(path[-1], path[-3])):
            break
    with expect.unchanged(W, x):
        states, period = recall(W, x, mode)
    expect.close(states, np.array(path), f"states by {mode}, {D} units", dtype=np.float64)
    want = 1 if np.array_equal(path[-1], path[-2]) else 2
    expect.equal(int(period), want, f"period by {mode}, {D} units")


@pytest.mark.parametrize("seed", range(10))
def test_one_at_a_time_the_energy_never_rises_and_a_fixed_point_is_reached(seed):
    W, x = symmetric(40, seed), patterns(1, 40, seed)[0]
    states, period = recall(W, x, rng=np.random.default_rng(seed))
    energies = np.array([value(W.tolist(), s.tolist()) for s in states])
    rise = float(np.max(np.diff(energies), initial=-1.0))
    expect.true(rise <= 1e-9, f"the energy rose by {rise:.3g} in a sweep, expected never: {energies}")
    expect.equal(int(period), 1, "period by async")
    end = states[-1]
    expect.true(
        bool(np.all(end * (W @ end) >= -1e-9)),
        "the last state is no fixed point: a bit is not its field's sign",
    )
    expect.true(len(states) > 2 and np.array_equal(states[0], x), "the states must begin with x and go on")


def test_all_at_once_two_units_that_want_to_differ_swap_for_ever():
    """W = [[0, -1], [-1, 0]] turns (1, 1) to (-1, -1) and back; one at a time it settles."""
    W = np.array([[0.0, -1.0], [-1.0, 0.0]])
    states, period = recall(W, [1, 1], "sync")
    expect.close(states, np.array([[1.0, 1], [-1, -1], [1, 1]]), "states by sync", dtype=np.float64)
    expect.equal(int(period), 2, "period by sync")
    states, period = recall(W, [1, 1], "async")
    expect.close(states, np.array([[1.0, 1], [-1, 1], [-1, 1]]), "states by async", dtype=np.float64)
    expect.equal(int(period), 1, "period by async")


def test_only_sync_reports_a_cycle():
    """A unit that inhibits itself turns over in every sweep; by async that is no period."""
    for mode, want, rows in (("async", 0, 6), ("sync", 2, 3)):
        states, period = recall([[-1.0]], [1], mode, max_sweeps=5)
        expect.equal((len(states), int(period)), (rows, want), f"number of states, and period, by {mode}")


def test_a_cycle_is_not_reported_before_the_second_sweep_or_a_fixed_point_before_a_sweep():
    W = np.array([[0.0, -1.0], [-1.0, 0.0]])
    states, period = recall(W, [1, 1], "sync", max_sweeps=1)
    expect.equal(int(period), 0, "period after the one sweep that is allowed")
    expect.close(states, np.array([[1.0, 1], [-1, -1]]), "states of one sweep")
    states, period = recall(-W, [1, 1], max_sweeps=1)
    expect.close(states, np.ones((2, 2)), "states at a fixed point: the start and one sweep")
    expect.equal(int(period), 1, "period at a fixed point after one sweep")


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_tie_leaves_the_unit_as_it_is(mode):
    """Two orthogonal patterns, and a start halfway: the fields of units 1 and 2 are 0."""
    W = store([[1, 1, 1, 1], [1, -1, -1, 1]])
    for x in ([1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, -1, 1]):
        want = sweep(W, x, mode)
        expect.close(recall(W, x, mode).states[1], want, f"state after a sweep from {x}, with ties")


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_a_field_that_is_zero_but_for_rounding_is_a_tie(mode):
    """0.1 + 0.2 - 0.3 is 5.6e-17."""
    W = np.zeros((4, 4))
    W[3, :3] = W[:3, 3] = [0.1, 0.2, -0.3]
    W[0, 1] = W[1, 0] = W[0, 2] = W[2, 0] = W[1, 2] = W[2, 1] = 5.0
    for bit in (1.0, -1.0):
        states, _ = recall(W, [1, 1, 1, bit], mode)
        expect.close(states[-1], np.array([1.0, 1, 1, bit]), f"the end, if unit 3 is {bit:g} without field")
    expect.close(
        recall(1e-30 * W[:3, :3], [1, 1, -1], mode).states[-1], np.ones(3), "the end by tiny weights"
    )


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_field_that_is_small_but_no_rounding_counts(mode, sign):
    """1e-9 of the unit's own weights, however large those of the others are."""
    W = 1e6 * (np.ones((4, 4)) - np.eye(4))
    W[3, :3] = W[:3, 3] = [0.1, 0.2, -0.3 + sign * 6e-10]
    states, _ = recall(W, [1, 1, 1, -sign], mode)
    expect.close(states[-1], np.array([1.0, 1, 1, sign]), f"the end, the field of unit 3 {sign * 6e-10}")


@pytest.mark.parametrize("mode", ["async", "sync"])
def test_damaged_patterns_are_repaired_and_so_are_their_negatives(mode):
    X = patterns(5, 120, seed=4)
    W = store(X)
    for sign in (1, -1):
        damaged = sign * X[2]
        damaged[::10] *= -1
        end = recall(W, damaged, mode).states[-1]
        expect.close(end, sign * X[2], f"recall of {sign} times a pattern with a tenth of its bits turned")


def test_projection_recalls_alike_patterns_that_the_hebbian_rule_loses():
    rng = np.random.default_rng(5)
    X = np.where(rng.random((12, 60)) < 0.25, -1.0, 1.0)  # mean overlap 1/4
    W, hebbian = store(X, "projection"), store(X)
    for x in X:
        expect.close(recall(W, x).states[-1], x, "recall of a stored pattern by projection")
    lost = sum(not np.array_equal(recall(hebbian, x).states[-1], x) for x in X)
    expect.true(lost >= 6, f"the Hebbian rule lost {lost} of 12 alike patterns, expected at least 6")


def test_random_orders_repeat_with_the_seed_and_lead_to_several_valleys():
    W, x = symmetric(40, 3), patterns(1, 40, 3)[0]
    ends = [recall(W, x, rng=np.random.default_rng(s)).states[-1] for s in range(8)]
    again = recall(W, x, rng=np.random.default_rng(0)).states[-1]
    expect.close(again, ends[0], "the end of a second run with seed 0")
    valleys = len({tuple(e) for e in ends})
    expect.true(valleys >= 2, f"8 random orders led to {valleys} valley(s), expected 2 or more: is rng used?")


def test_recall_stops_after_as_many_sweeps_as_allowed():
    """Weights that hand a change on to the left: one unit a sweep."""
    D = 60
    W = np.diag(np.arange(1.0, D), 1)
    W = W + W.T
    x = np.ones(D)
    x[:-1] = -1
    states, period = recall(W, x, "async", max_sweeps=7)
    expect.close(states[-1], np.where(np.arange(D) >= D - 8, 1.0, -1.0), "the state after 7 sweeps")
    expect.equal((len(states), int(period)), (8, 0), "number of states, and period, of 7 sweeps")
    states, period = recall(W, x, "async")
    expect.equal((len(states), int(period)), (61, 1), "number of states, and period, to the end")
    long = np.diag(np.arange(1.0, 150), 1)
    states, period = recall(long + long.T, np.append(-np.ones(149), 1.0))
    expect.equal(
        (len(states), int(period)), (101, 0), "number of states, and period, of 100 sweeps, the default"
    )


# Theory


def test_the_bit_error_is_the_tail_of_a_normal():
    for load in (0.02, 0.1, 0.138, 0.5, 3.0):
        u = np.linspace(1 / math.sqrt(load), 1 / math.sqrt(load) + 12, 200_001)
        density = np.exp(-u * u / 2) / math.sqrt(2 * math.pi)
        tail = float(np.sum(density[1:] + density[:-1]) * (u[1] - u[0]) / 2)
        expect.close(float(bit_error(load)), tail, f"bit error at load {load}", rtol=1e-6)
    expect.close(float(bit_error(0.138)), 0.0035522, "bit error at load 0.138", rtol=1e-4)
    expect.equal(float(bit_error(0)), 0.0, "bit error of no patterns")


def test_the_retrieval_overlap_fulfils_the_mean_field_equations():
    """m = erf(m / s) with s^2 = 2 load r, r = 1 / (1 - C)^2, C = sqrt(2 / (pi load r)) exp(-m^2 / s^2)."""
    for load in (0.04, 0.08, 0.12, 0.137):
        m, r = 1.0, 1.0
        for _ in range(4000):
            m = math.erf(m / math.sqrt(2 * load * r))
            C = math.sqrt(2 / (math.pi * load * r)) * math.exp(-m * m / (2 * load * r))
            r = 1 / (1 - C) ** 2
        actual = float(retrieval_overlap(load))
        expect.close(actual, m, f"retrieval overlap at load {load}", rtol=1e-8)
        expect.close(1 - actual, 1 - m, f"share of wrong bits, doubled, at load {load}", rtol=1e-4)


def test_the_memory_breaks_down_at_once_at_its_capacity():
    expect.close(float(retrieval_overlap(0.1379)), 0.96810, "retrieval overlap at load 0.1379", rtol=1e-4)
    for load in (0.1380, 0.2, 1.0, 50.0):
        expect.equal(float(retrieval_overlap(load)), 0.0, f"retrieval overlap at load {load}")
    expect.equal(float(retrieval_overlap(0)), 1.0, "retrieval overlap at load 0")
    expect.close(float(retrieval_overlap(1e-4)), 1.0, "retrieval overlap at load 1e-4")


# Errors


def test_wrong_patterns_are_refused():
    with expect.raises(ValueError, "(3,)"):
        store([1, -1, 1])
    with expect.raises(ValueError, "0.5"):
        store([[1, -1], [0.5, 1]])
    with expect.raises(ValueError, "storkey"):
        store([[1, -1]], "storkey")
    expect.close(store([[1, -1]]), np.array([[0, -0.5], [-0.5, 0]]), "weights of (1, -1)")


def test_weights_without_an_energy_are_refused():
    lopsided = np.array([[0.0, 1.0], [0.5, 0.0]])
    with expect.raises(ValueError, "(2, 2)"):
        energy(lopsided, [1, 1])
    with expect.raises(ValueError, "(2, 2)"):
        recall(lopsided, [1, 1])
    with expect.raises(ValueError, "(2, 3)"):
        energy(np.zeros((2, 3)), [1, 1])
    with expect.raises(ValueError, "(2, 2)", "(3,)"):
        energy(np.eye(2), [1, 1, 1])
    with expect.raises(ValueError, "(3,)"):
        energy(np.ones(3), np.ones(3))
    expect.close(float(energy([[0, 2], [2, 0]], [1, 1])), -2.0, "energy of lists")
    rounded = np.array([[0.0, 2e3 * (1 + 4e-16)], [2e3, 0.0]])
    expect.close(float(energy(rounded, [1, 1])), -2e3, "energy of weights symmetric but for rounding")


def test_wrong_arguments_of_recall_are_refused():
    W = store([[1, -1, 1]])
    with expect.raises(ValueError, "0"):
        recall(W, [1, 0, 1])
    with expect.raises(ValueError, "(3, 3)", "(2,)"):
        recall(W, [1, 1])
    with expect.raises(ValueError, "(2, 3)"):
        recall(W, np.ones((2, 3)))
    with expect.raises(ValueError, "random"):
        recall(W, [1, 1, 1], "random")
    with expect.raises(ValueError, "0"):
        recall(W, [1, 1, 1], max_sweeps=0)
    expect.close(recall(W, [1, -1, -1]).states[-1], np.array([1.0, -1, 1]), "recall of (1, -1, 1)")


@pytest.mark.parametrize("load", [-0.1, math.nan])
def test_a_load_below_zero_is_refused(load):
    with expect.raises(ValueError, str(load)):
        bit_error(load)
    with expect.raises(ValueError, str(load)):
        retrieval_overlap(load)
