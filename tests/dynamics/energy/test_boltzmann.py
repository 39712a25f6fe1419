"""Boltzmann machines: every sum over states as a loop, gradients by complex steps, chains as tables."""

import itertools
import math
from functools import cache

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.energy.boltzmann import (
    RBM,
    contrastive_divergence,
    energy,
    expected_cd,
    free_energy,
    gibbs,
    hidden_mean,
    log_likelihood,
    log_likelihood_grad,
    log_partition,
    model_moments,
    moments,
    states,
    train,
    transition,
)

SIZES = [(3, 2), (2, 4), (3, 3), (1, 1)]
BARS = np.array([[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1.0]])


def machine(D, K, seed=0, size=1.0):
    rng = np.random.default_rng(seed)
    return RBM(size * rng.normal(size=(D, K)), size * rng.normal(size=D), size * rng.normal(size=K))


def slow_machine():
    """Two valleys, (0, 0, 0) and (1, 1, 1), and a chain that rarely crosses: second eigenvalue 0.83."""
    W = np.full((3, 2), 2.4)
    return RBM(W, -W.sum(1) / 2, -W.sum(0) / 2)


def data(D, N=5, seed=0):
    return np.random.default_rng(seed).integers(0, 2, size=(N, D)).astype(float)


def all_states(n):
    return list(itertools.product([0.0, 1.0], repeat=n))


def joint(theta, D, K):
    """{v: {h: exp(-E)}}, term by term; theta = W by rows, b, c, may be complex."""
    W, b, c = theta[: D * K].reshape(D, K), theta[D * K : D * K + D], theta[D * K + D :]
    table = {}
    for v in all_states(D):
        table[v] = {}
        for h in all_states(K):
            E = -sum(b[i] * v[i] for i in range(D)) - sum(c[j] * h[j] for j in range(K))
            E -= sum(v[i] * W[i, j] * h[j] for i in range(D) for j in range(K))
            table[v][h] = np.exp(-E)
    return table


def flat(rbm):
    return np.concatenate([np.ravel(x) for x in rbm])


def mean_log(theta, D, K, V):
    table = joint(theta, D, K)
    Z = sum(w for row in table.values() for w in row.values())
    return sum(np.log(sum(table[tuple(v)].values()) / Z) for v in V) / len(V)


@cache
def sweep(D, K, seed, size=1.0, slow=False):
    """p(v' | v) of one sweep, from the joint table: draw h given v, then v' given h."""
    rbm = slow_machine() if slow else machine(D, K, seed, size)
    table = joint(flat(rbm), D, K)
    V, H = all_states(D), all_states(K)
    given_v = np.array([[table[v][h] for h in H] for v in V])
    given_h = given_v.T / given_v.sum(0)[:, None]
    return (given_v / given_v.sum(1, keepdims=True)) @ given_h


def averages(rbm, p):
    """Moments under a distribution of the visible states, with sigmoids written out."""
    V = np.array(all_states(len(rbm.b)))
    H = 1 / (1 + np.exp(-(V @ rbm.W + rbm.c)))
    return RBM(
        sum(q * np.outer(v, h) for q, v, h in zip(p, V, H, strict=True)),
        sum(q * v for q, v in zip(p, V, strict=True)),
        sum(q * h for q, h in zip(p, H, strict=True)),
    )


def share(V):
    """The distribution of the rows of V over all states."""
    numbers = V @ 2.0 ** np.arange(V.shape[1])[::-1]
    return np.array([np.mean(numbers == i) for i in range(2 ** V.shape[1])])


def all_close(actual, expected, what, **tolerances):
    for name, a, e in zip(("W", "b", "c"), actual, expected, strict=True):
        expect.close(a, np.asarray(e), f"{what}, {name}", **tolerances)


# States and energies


def test_states_count_in_binary():
    for n in (1, 3, 6):
        expect.close(states(n), np.array(all_states(n)), f"states of {n} units", dtype=np.float64)
    expect.equal(states(0).shape, (1, 0), "shape of the states of no units")


@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_energy_is_that_of_each_pair(D, K):
    rbm, rng = machine(D, K), np.random.default_rng(1)
    v, h = rng.normal(size=(4, D)), rng.normal(size=(4, K))
    want = [-rbm.b @ a - rbm.c @ g - a @ rbm.W @ g for a, g in zip(v, h, strict=True)]
    with expect.unchanged(v, h):
        expect.close(energy(rbm, v, h), np.array(want), "energies of four pairs", rtol=1e-10)


@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_free_energy_sums_over_the_hidden_states(D, K):
    rbm = machine(D, K, 1)
    want = [-math.log(sum(row.values())) for row in joint(flat(rbm), D, K).values()]
    actual = free_energy(rbm, np.array(all_states(D)))
    expect.close(actual, np.array(want), "free energies of all states", rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("D", "K"), SIZES)
def test_a_hidden_unit_is_on_as_often_as_the_joint_distribution_says(D, K):
    rbm = machine(D, K, 2)
    table = joint(flat(rbm), D, K)
    want = [
        [sum(w for h, w in row.items() if h[j]) / sum(row.values()) for j in range(K)]
        for row in table.values()
    ]
    expect.close(hidden_mean(rbm, all_states(D)), np.array(want), "p(h = 1 | v)", rtol=1e-10)
    back = [
        [sum(table[v][h] for v in table if v[i]) / sum(table[v][h] for v in table) for i in range(D)]
        for h in all_states(K)
    ]
    expect.close(hidden_mean(rbm.flipped, all_states(K)), np.array(back), "p(v = 1 | h)", rtol=1e-10)


@pytest.mark.parametrize(("D", "K"), [*SIZES, (6, 2), (2, 6)])
def test_the_partition_function_sums_over_everything(D, K):
    rbm = machine(D, K, 3)
    Z = sum(w for row in joint(flat(rbm), D, K).values() for w in row.values())
    expect.close(log_partition(rbm), math.log(Z), f"log Z of {D} and {K} units", rtol=1e-10)


def test_wide_layers_and_large_weights_are_no_matter():
    """Each state of a pair (v, h) with its own partner: Z is a product."""
    for w in (2.0, 900.0):
        want = 3 * (math.log(3 * math.exp(-w) + 1) + w)
        actual = log_partition(RBM(w * np.eye(3), np.zeros(3), np.zeros(3)))
        with expect.quiet(f"free energies with weights {w}"):
            F = free_energy(RBM(w * np.eye(3), np.zeros(3), np.zeros(3)), [[1.0, 1, 0]])
        expect.close(actual, want, f"log Z of three pairs coupled by {w}", rtol=1e-10)
        want = -2 * (math.log1p(math.exp(-w)) + w) - math.log(2)
        expect.close(F, np.array([want]), f"free energy of (1, 1, 0) with weights {w}", rtol=1e-10)
    for shape in ((300, 2), (2, 300)):
        rbm = RBM(np.zeros(shape), np.ones(shape[0]), np.ones(shape[1]))
        want = 302 * math.log(1 + math.e)
        expect.close(log_partition(rbm), want, f"log Z of {shape[0]} and {shape[1]} free units", rtol=1e-10)


# Likelihood and its gradient


@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_log_likelihood_and_its_gradient(D, K):
    rbm, V = machine(D, K, 4), data(D)
    theta = flat(rbm)
    with expect.unchanged(V, *rbm):
        value, gradient = log_likelihood(rbm, V), log_likelihood_grad(rbm, V)
    expect.close(value, float(mean_log(theta, D, K, V)), "log-likelihood of five states", rtol=1e-10)
    want = np.array([mean_log(theta + 1e-30j * e, D, K, V).imag / 1e-30 for e in np.eye(len(theta))])
    want = (want[: D * K].reshape(D, K), want[D * K : D * K + D], want[D * K + D :])
    all_close(gradient, want, "gradient of the log-likelihood", rtol=1e-9, atol=1e-11, sizes={"samples": 5})


@pytest.mark.parametrize(("D", "K"), SIZES)
def test_the_dream_has_the_averages_of_the_joint_distribution(D, K):
    rbm = machine(D, K, 5)
    table = joint(flat(rbm), D, K)
    Z = sum(w for row in table.values() for w in row.values())
    W, b, c = np.zeros((D, K)), np.zeros(D), np.zeros(K)
    for v, row in table.items():
        for h, w in row.items():
            W, b, c = W + w / Z * np.outer(v, h), b + w / Z * np.array(v), c + w / Z * np.array(h)
    all_close(model_moments(rbm), (W, b, c), "moments of the model", rtol=1e-10)


def test_moments_are_weighted_means_over_rows():
    rbm, V = machine(3, 2, 6), data(3, 6)
    all_close(moments(rbm, V), averages(rbm, share(V)), "moments of six rows", rtol=1e-10)
    p = np.array([0.5, 0.1, 0.1, 0.05, 0.05, 0.1, 0.02, 0.08])
    all_close(moments(rbm, states(3), p), averages(rbm, p), "weighted moments", rtol=1e-10)


# The chain


@pytest.mark.parametrize(("D", "K"), [(3, 2), (2, 3), (3, 3)])
def test_the_transition_matrix_draws_the_hidden_units_and_then_the_visible(D, K):
    T = transition(machine(D, K, 7))
    expect.close(T, sweep(D, K, 7), "probabilities of one sweep", rtol=1e-10)
    expect.close(T.sum(1), np.ones(2**D), "sums of its rows", rtol=1e-10)


def test_the_model_is_what_the_chain_comes_to():
    rbm = machine(4, 3, 8)
    weights = np.exp(-free_energy(rbm, states(4)))
    p, T = weights / weights.sum(), transition(rbm)
    expect.close(p @ T, p, "the model's distribution after a sweep", rtol=1e-10)
    expect.close(p[:, None] * T, (p[:, None] * T).T, "flow from i to j, against j to i", rtol=1e-9)


@pytest.mark.parametrize("sweeps", [1, 3])
def test_gibbs_goes_where_the_table_says(sweeps):
    """20,000 chains from each of two states: each of 8 counts within 5.5 standard deviations."""
    rbm, N = machine(3, 2, 9, 2.0), 20_000
    P = np.linalg.matrix_power(sweep(3, 2, 9, 2.0), sweeps)
    for number in (1, 6):
        start = np.repeat(states(3)[number][None], N, axis=0)
        with expect.unchanged(start):
            end = gibbs(rbm, start, sweeps, rng=np.random.default_rng(number))
        expect.equal(end.shape, (N, 3), "shape of the states")
        p = P[number]
        off = np.abs(share(end) - p) / np.sqrt(p * (1 - p) / N)
        expect.true(
            float(off.max()) < 5.5,
            f"shares of the states {share(end).round(3)}, expected {p.round(3)}: after {sweeps} sweeps",
        )


def test_no_sweeps_give_a_copy_and_the_rng_decides():
    rbm, V = machine(3, 2), data(3)
    out = gibbs(rbm, V, 0, rng=np.random.default_rng(0))
    expect.close(out, V, "states after no sweeps", dtype=np.float64)
    out[0] = 5.0
    expect.close(V, data(3), "the start after the result was written to")
    one, two, other = (gibbs(rbm, np.ones((40, 3)), 2, rng=np.random.default_rng(s)) for s in (0, 0, 1))
    expect.close(two, one, "states of a second run with seed 0")
    short = [gibbs(rbm, np.ones((99, 3)), *s, rng=np.random.default_rng(2)) for s in ((), (1,))]
    expect.close(short[0], short[1], "states after the default number of sweeps, 1")
    expect.true(not np.array_equal(one, other), "two seeds gave the same 120 bits: is rng used?")


# Contrastive divergence


@pytest.mark.parametrize("k", [1, 2, 5])
def test_expected_contrastive_divergence_is_the_data_less_the_data_moved(k):
    rbm, V = machine(3, 2, 10), data(3)
    end = share(V) @ np.linalg.matrix_power(sweep(3, 2, 10), k)
    want = [a - d for a, d in zip(averages(rbm, share(V)), averages(rbm, end), strict=True)]
    all_close(expected_cd(rbm, V, k), want, f"expected CD-{k}", rtol=1e-9, atol=1e-12)
    if k == 1:
        all_close(expected_cd(rbm, V), want, "expected CD by default")


@pytest.mark.parametrize("k", [1, 3])
def test_contrastive_divergence_has_its_expectation(k):
    """20,000 copies of two states: an error of 0.02 is more than 5 standard deviations, 0.5 / 141."""
    rbm = slow_machine()
    V = np.repeat([[1.0, 1, 1], [1, 1, 0]], 10_000, axis=0)
    end = share(V) @ np.linalg.matrix_power(sweep(3, 2, 0, slow=True), k)
    want = [a - d for a, d in zip(averages(rbm, share(V)), averages(rbm, end), strict=True)]
    actual = contrastive_divergence(rbm, V, k, rng=np.random.default_rng(0))
    all_close(actual, want, f"CD-{k} of 20,000 rows", rtol=0, atol=0.02)


def test_contrastive_divergence_makes_one_sweep_by_default():
    rbm, V = machine(3, 2, 12), data(3, 50)
    one = contrastive_divergence(rbm, V, 1, rng=np.random.default_rng(0))
    expect.true(float(np.abs(one.W).max()) > 1e-3, f"CD-1 of 50 random rows should not vanish, got {one.W}")
    all_close(contrastive_divergence(rbm, V, rng=np.random.default_rng(0)), one, "CD by default", rtol=1e-9)


def test_contrastive_divergence_uses_means_of_the_hidden_units():
    """Visible units that cannot move: all that is left is the noise of the hidden ones, and there is none."""
    V = np.array([[1.0, 0.0, 1.0]])
    rbm = RBM(np.full((3, 2), 0.3), np.array([90.0, -90.0, 90.0]), np.zeros(2))
    got = contrastive_divergence(rbm, V, 2, rng=np.random.default_rng(0))
    all_close(got, (np.zeros((3, 2)), np.zeros(3), np.zeros(2)), "CD-2 of a frozen state", atol=1e-12)
    free = RBM(rbm.W, np.zeros(3), rbm.c)
    got = [contrastive_divergence(free, V, 1, rng=np.random.default_rng(s)).b for s in range(400)]
    expect.close(np.mean(got, 0), expected_cd(free, V).b, "mean of 400 estimates, b", rtol=0, atol=0.15)


def test_the_bias_shrinks_with_the_second_eigenvalue():
    rbm, V = slow_machine(), np.array([[1.0, 1, 1], [1, 1, 0]])
    second = float(np.sort(np.linalg.eigvals(sweep(3, 2, 0, slow=True)).real)[-2])
    exact = log_likelihood_grad(rbm, V)
    bias = [float(np.abs(flat(expected_cd(rbm, V, k)) - flat(exact)).max()) for k in (1, 20, 21, 40)]
    expect.close(bias[2] / bias[1], second, "bias of CD-21 over that of CD-20", rtol=1e-3)
    expect.close(bias[3] / bias[1], second**20, "bias of CD-40 over that of CD-20", rtol=1e-2)
    expect.true(bias[0] > 0.2, f"the bias of CD-1 is {bias[0]}, expected more than 0.2 for so slow a chain")


# Training


def test_training_by_the_exact_gradient_climbs():
    """From 20 seeds each epoch climbed, to -2.27 ... -2.55; four fair coins have -2.77."""
    rbm = RBM(machine(4, 4, 11).W, np.zeros(4), np.zeros(4))
    with expect.unchanged(BARS, *rbm):
        path = train(rbm, BARS, 0.5, 200, method="exact")
    expect.equal(len(path), 201, "number of machines")
    values = [mean_log(flat(m), 4, 4, BARS) for m in (path[0], path[1], path[50], path[200])]
    expect.true(bool(np.all(np.diff(values) > 0)), f"log-likelihood fell on the way: {values}")
    expect.true(values[-1] > -2.7, f"log-likelihood after 200 epochs: {values[-1]}, expected above -2.7")
    gradient = log_likelihood_grad(rbm, BARS)
    want = [x + 0.5 * g for x, g in zip(rbm, gradient, strict=True)]
    all_close(path[1], want, "the machine after one epoch", rtol=1e-10)
    all_close(path[0], rbm, "the machine before the first epoch")


def test_training_by_contrastive_divergence_learns():
    """Mean over 20 seeds -2.464, standard deviation 0.072; four fair coins have -2.773."""
    rng = np.random.default_rng(0)
    rbm = RBM(rng.normal(size=(4, 4)), np.zeros(4), np.zeros(4))
    path = train(rbm, np.repeat(BARS, 10, axis=0), 0.5, 300, rng=rng)
    value = float(mean_log(flat(path[-1]), 4, 4, BARS))
    expect.true(value > -2.75, f"log-likelihood after 300 epochs of CD-1: {value}, expected above -2.75")


@pytest.mark.parametrize("method", ["cd", "pcd"])
def test_chains_start_at_the_data_and_persistent_ones_go_on(method):
    """A learning rate too small to change the chain: epoch e of "pcd" is CD of 2 (e + 1) sweeps, k = 2."""
    rbm, lr = slow_machine(), 1e-6
    V = np.repeat([[1.0, 1, 1], [1, 1, 0]], 10_000, axis=0)
    path = train(rbm, V, lr, 6, method=method, k=2, rng=np.random.default_rng(0))
    for e in (0, 2, 5):
        sweeps = 2 if method == "cd" else 2 * (e + 1)
        end = share(V) @ np.linalg.matrix_power(sweep(3, 2, 0, slow=True), sweeps)
        want = [a - d for a, d in zip(averages(rbm, share(V)), averages(rbm, end), strict=True)]
        gained = [(x - y) / lr for x, y in zip(path[e + 1], path[e], strict=True)]
        all_close(gained, want, f"gradient in epoch {e} of {method}", rtol=0, atol=0.02)


def test_the_default_is_one_sweep_from_the_data():
    rbm, V = slow_machine(), np.repeat([[1.0, 1, 0]], 20_000, axis=0)
    end = share(V) @ sweep(3, 2, 0, slow=True)
    want = [0.1 * (a - d) for a, d in zip(averages(rbm, share(V)), averages(rbm, end), strict=True)]
    path = train(rbm, V, epochs=1, rng=np.random.default_rng(0))
    gained = [x - y for x, y in zip(path[1], path[0], strict=True)]
    all_close(gained, want, "change in an epoch with the default lr, 0.1", rtol=0, atol=0.002)
    expect.equal(len(train(rbm, V[:4], rng=np.random.default_rng(0))), 101, "machines of 100 epochs")


# Errors


def test_states_that_do_not_fit_are_refused():
    rbm, rng = machine(3, 2), np.random.default_rng(0)
    asks = (
        lambda V: free_energy(rbm, V),
        lambda V: hidden_mean(rbm, V),
        lambda V: moments(rbm, V),
        lambda V: log_likelihood(rbm, V),
        lambda V: log_likelihood_grad(rbm, V),
        lambda V: gibbs(rbm, V, rng=rng),
        lambda V: contrastive_divergence(rbm, V, rng=rng),
        lambda V: expected_cd(rbm, V),
        lambda V: train(rbm, V, method="exact"),
    )
    for ask in asks:
        for wrong in (np.zeros((4, 2)), np.zeros(3), np.zeros((0, 3))):
            with expect.raises(ValueError, str(wrong.shape), "3"):
                ask(wrong)
    for ask in asks[3:]:
        with expect.raises(ValueError, "0.5"):
            ask([[0, 1, 0.5]])
        with expect.raises(ValueError, "-1"):
            ask([[1, -1, 1]])
    expect.close(hidden_mean(rbm, [[0, 0, 0]]), 1 / (1 + np.exp(-rbm.c[None])), "p(h = 1 | 0)", rtol=1e-10)


def test_machines_too_large_to_enumerate_are_refused():
    big = RBM(np.zeros((22, 21)), np.zeros(22), np.zeros(21))
    for ask in (log_partition, model_moments, lambda m: log_likelihood(m, np.zeros((1, 22)))):
        with expect.raises(ValueError, "21"):
            ask(big)
    ten = RBM(np.zeros((1, 10)), np.zeros(1), np.zeros(10))
    expect.close(transition(ten), np.full((2, 2), 0.5), "a sweep of free units, ten of them hidden")
    for n in (21, -1):
        with expect.raises(ValueError, str(n)):
            states(n)
    wide = RBM(np.zeros((2, 11)), np.zeros(2), np.zeros(11))
    for ask in (transition, lambda m: expected_cd(m, np.zeros((1, m.b.size)))):
        with expect.raises(ValueError, "2", "11"):
            ask(wide)
        with expect.raises(ValueError, "2", "11"):
            ask(wide.flipped)
    expect.close(log_partition(wide), 13 * math.log(2), "log Z of 13 free units", rtol=1e-10)


def test_impossible_settings_are_refused():
    rbm, V, rng = machine(3, 2), data(3), np.random.default_rng(0)
    with expect.raises(ValueError, "-1"):
        gibbs(rbm, V, -1, rng=rng)
    with expect.raises(ValueError, "0"):
        contrastive_divergence(rbm, V, 0, rng=rng)
    with expect.raises(ValueError, "0"):
        expected_cd(rbm, V, 0)
    with expect.raises(ValueError, "sgd"):
        train(rbm, V, method="sgd", rng=rng)
    with expect.raises(ValueError, "-2"):
        train(rbm, V, epochs=-2, rng=rng)
    with expect.raises(ValueError, "0"):
        train(rbm, V, k=0, rng=rng)
    for method in ("cd", "pcd"):
        with expect.raises(ValueError, method):
            train(rbm, V, method=method)
    all_close(train(rbm, V, epochs=0)[0], rbm, "the machine after no epochs")
    expect.close(
        log_partition(RBM(np.zeros((1, 1)), np.zeros(1), np.zeros(1))), math.log(4), "log Z of 2 bits"
    )
