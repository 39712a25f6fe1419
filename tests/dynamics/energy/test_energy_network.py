"""Training as mechanics: networks as loops, gradients by complex steps, and an oscillator in closed form."""

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.credit.mlp_backprop import Spec
from dynamics.energy.energy_network import EnergyNet, batches, phase_diagram, plateau, step

XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGET = np.array([[0.0], [1.0], [1.0], [0.0]])
PHI = {
    "linear": lambda z: z,
    "tanh": cmath.tanh,
    "sigmoid": lambda z: 1 / (1 + cmath.exp(-z)),
    "relu": lambda z: z if z.real > 0 else 0 * z,
}
FIELDS = ("potential", "kinetic", "work", "dissipated", "grad_norm", "snapshots")


def loop(theta, spec, x):
    """The outputs for one sample, neuron by neuron; complex numbers pass."""
    numbers, h = iter(theta), list(x)
    for layer, (fan_in, fan_out) in enumerate(pairwise(spec.sizes), 1):
        W = [[next(numbers) for _ in range(fan_in)] for _ in range(fan_out)]
        b = [next(numbers) for _ in range(fan_out)]
        phi = PHI[spec.output if layer == len(spec.sizes) - 1 else spec.hidden]
        h = [phi(complex(sum(w * v for w, v in zip(W[k], h, strict=True)) + b[k])) for k in range(fan_out)]
    return h


def energy(theta, spec, X, target):
    squares = [
        (y - t) ** 2
        for x, wanted in zip(X, target, strict=True)
        for y, t in zip(loop(theta, spec, x), wanted, strict=True)
    ]
    return sum(squares) / len(squares)


def slope(theta, spec, X, target):
    """The gradient by complex steps: no subtraction, so no rounding."""
    moved = [theta + 1e-30j * e for e in np.eye(len(theta))]
    return np.array([energy(t, spec, X, target).imag / 1e-30 for t in moved])


def story(theta, spec, X, target, lr, epochs, size, momentum):
    """What training passes through: samples in order, displacements in place of velocities."""
    d, work, lost, rows = np.zeros_like(theta), 0.0, 0.0, []
    for epoch in range(epochs + 1):
        g = slope(theta, spec, X, target)
        E, K = energy(theta, spec, X, target).real, d @ d / (2 * lr)
        rows.append((E, K, work, lost, math.sqrt(g @ g), theta))
        for at in range(0, len(X) if epoch < epochs else 0, size):
            g = slope(theta, spec, X[at : at + size], target[at : at + size])
            before, d = d @ d / (2 * lr), momentum * d - lr * g
            work -= g @ d
            lost += -(g @ d) - (d @ d / (2 * lr) - before)
            theta = theta + d
    return [np.array(column) for column in zip(*rows, strict=True)]


def random_problem(spec, seed=0, samples=5):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, spec.sizes[0]))
    return rng.normal(size=spec.parameters), X, rng.normal(size=(samples, spec.sizes[-1]))


# A step


def test_a_step_by_hand():
    theta, v, g = np.array([1.0, 2.0]), np.array([2.0, -4.0]), np.array([1.0, 3.0])
    with expect.unchanged(theta, v, g):
        there, velocity, work, heat = step(theta, v, g, 0.25, 0.5)
    expect.close(velocity, np.array([0.5, -3.5]), "velocity: half of (2, -4), less 0.5 (1, 3)")
    expect.close(there, np.array([1.25, 0.25]), "theta: (1, 2) and 0.5 (0.5, -3.5)")
    expect.close(work, 5.0, "work: force (-1, -3) along (0.25, -1.75)")
    expect.close(heat, 8.75, "heat: (1 - 0.5^2) 10 + 0.25 * 10 / 2")


@pytest.mark.parametrize("seed", range(5))
def test_kinetic_energy_gains_work_less_heat_whatever_the_gradient(seed):
    rng = np.random.default_rng(seed)
    v, g = rng.normal(size=(2, 5)) * 10.0 ** rng.uniform(-2, 2, size=(2, 1))
    lr, momentum = 10.0 ** rng.uniform(-3, 1), rng.uniform(0, 1)
    _, velocity, work, heat = step(rng.normal(size=5), v, g, lr, momentum)
    expect.close(velocity, momentum * v - math.sqrt(lr) * g, "velocity after a step", rtol=1e-9)
    K = [float(v @ v) / 2, float(velocity @ velocity) / 2]
    gap, size = (K[1] - K[0]) - (work - heat), K[0] + K[1] + abs(work) + abs(heat)
    expect.true(abs(gap) < 1e-12 * size, f"K' - K = {K[1] - K[0]}, but work less heat is {work - heat}")
    expect.true(heat >= 0, f"heat must not be negative, got {heat}")


def test_steps_are_the_heavy_ball():
    """x_(k+1) = x_k - lr g + momentum (x_k - x_(k-1)), on a quadratic."""
    A, lr, momentum = np.array([[3.0, 1.0], [1.0, 2.0]]), 0.1, 0.8
    path, theta, v = [np.array([1.0, -1.0])] * 2, np.array([1.0, -1.0]), np.zeros(2)
    for _ in range(20):
        theta, v, _, _ = step(theta, v, A @ theta, lr, momentum)
        path.append(path[-1] - lr * A @ path[-1] + momentum * (path[-1] - path[-2]))
        expect.close(theta, path[-1], "theta on the way", rtol=1e-9, atol=1e-11)


# Batches


def test_batches_in_order_end_with_a_short_one():
    for size, want in ((2, [[0, 1], [2, 3], [4]]), (5, [[0, 1, 2, 3, 4]]), (7, [[0, 1, 2, 3, 4]])):
        actual = [[int(i) for i in batch] for batch in batches(5, size)]
        expect.equal(actual, want, f"batches of {size} of 5 samples")
    expect.equal([[int(i) for i in b] for b in batches(3)], [[0, 1, 2]], "batches without a size")


def test_random_batches_hold_each_sample_once_in_new_orders():
    rng = np.random.default_rng(0)
    orders = []
    for _ in range(4):
        cut = batches(50, 8, rng)
        expect.equal([len(b) for b in cut], [8] * 6 + [2], "sizes of batches of 8 of 50 samples")
        orders.append(tuple(int(i) for b in cut for i in b))
        expect.equal(sorted(orders[-1]), list(range(50)), "the samples of an epoch, sorted")
    whole = [int(i) for i in batches(50, None, rng)[0]]
    expect.equal(sorted(whole), list(range(50)), "the samples of the one batch, sorted")
    expect.true(whole != sorted(whole), "one batch of all samples came in order: rng draws that, too")
    expect.true(len(set(orders)) == 4, f"4 epochs had {len(set(orders))} different orders, expected 4")


# The network


def test_feed_forward_of_the_simulator():
    one = EnergyNet(Spec((2, 1), "sigmoid", "sigmoid"), [0, 1, 0])
    expect.close(one.predict([[12, 8]]), np.array([[0.9996646498695336]]), "neuron w = (0, 1), x = (12, 8)")
    net = EnergyNet(Spec((2, 2, 1), "sigmoid", "sigmoid"), [0, 1, 0, 1, 0, 0, 0, 1, 0])
    expect.close(net.predict([[2, 3]]), np.array([[0.7216325609518421]]), "2-2-1 with w = (0, 1), x = (2, 3)")


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("sizes", [(2, 2, 1), (2, 3, 1), (2, 2, 2, 1), (3, 4, 2)])
def test_predictions_and_potential_are_those_of_a_loop_over_neurons(sizes, name):
    spec = Spec(sizes, name, name)
    theta, X, target = random_problem(spec)
    with expect.unchanged(theta, X, target):
        net = EnergyNet(spec, theta)
        Y, E = net.predict(X), net.potential(X, target)
    expect.close(Y, np.array([loop(theta, spec, x) for x in X]).real, f"outputs of {spec}", rtol=1e-10)
    expect.close(E, float(energy(theta, spec, X, target).real), f"potential of {spec}", rtol=1e-10)


def test_a_new_network_is_at_rest_at_a_place_of_its_own():
    spec, theta = Spec((2, 2, 1)), np.arange(9.0)
    net = EnergyNet(spec, theta)
    expect.close(net.kinetic(), 0.0, "kinetic energy of a new network")
    theta[0] = 7.0
    expect.close(net.theta, np.arange(9.0), "theta after the caller's array was written to")
    whole = EnergyNet(spec, list(range(9))).theta
    expect.close(whole, np.arange(9.0), "theta from whole numbers", dtype=np.float64)
    net.velocity = np.array([3.0, 4.0] + [0.0] * 7)
    expect.close(net.kinetic(), 12.5, "kinetic energy at velocity (3, 4, 0, ...)")
    with expect.unchanged(theta):
        EnergyNet(spec, theta).train(XOR, TARGET, epochs=2)


def test_random_starts_have_their_spread_in_weights_and_biases():
    spec = Spec((20, 60, 20))
    net = EnergyNet(spec, std=0.5, rng=np.random.default_rng(0))
    expect.equal(net.theta.shape, (20 * 60 + 60 + 60 * 20 + 20,), "shape of theta")
    again = EnergyNet(spec, std=0.5, rng=np.random.default_rng(0))
    expect.close(again.theta, net.theta, "theta drawn with the same seed")
    biases = np.r_[net.theta[1200:1260], net.theta[2460:]]
    for what, values, band in (("weights", net.theta[:1200], 0.08), ("biases", biases, 0.35)):
        sd = float(values.std())
        expect.true(abs(sd / 0.5 - 1) < band, f"standard deviation of the {what} is {sd}, expected 0.5")
        mean = float(values.mean())
        expect.true(abs(mean) < 2.5 / math.sqrt(len(values)), f"mean of the {what} is {mean}, expected 0")
    fourth = float(np.mean((net.theta / 0.5) ** 4))
    expect.true(abs(fourth - 3) < 1, f"fourth moment of theta / std is {fourth}, expected 3: a normal's")
    default = float(EnergyNet(spec, rng=np.random.default_rng(1)).theta.std())
    expect.true(abs(default / 0.1 - 1) < 0.08, f"the default standard deviation is {default}, expected 0.1")


# Training


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("size", [None, 2])
def test_the_history_is_what_loops_pass_through(name, size):
    """Five samples: with a size of 2 the last batch is short. Two outputs: the mean is over both."""
    spec = Spec((2, 3, 2), name, name)
    theta, X, target = random_problem(spec, 1)
    want = story(theta, spec, X, target, 0.1, 6, size or 5, 0.7)
    with expect.unchanged(X, target):
        net = EnergyNet(spec, theta)
        h = net.train(X, target, 0.1, 6, batch_size=size, momentum=0.7)
    expect.equal([int(e) for e in h.epoch], list(range(7)), "epochs of the rows")
    for field, values in zip(FIELDS, want, strict=True):
        what = f"{field} of {name}, batches of {size or 'all'}"
        expect.close(getattr(h, field), values, what, rtol=1e-8, sizes={"batch size": size or 5})
    expect.close(h.total, want[0] + want[1], "potential and kinetic energy", rtol=1e-8)
    put_in = want[0] + want[1] + want[3] - want[0][0]
    expect.close(h.injected, put_in, "injected energy", rtol=1e-8, atol=1e-11)
    expect.equal(h.end, "epochs", "why training ended")
    expect.close(net.theta, h.snapshots[-1], "theta afterwards against the last snapshot")
    expect.close(net.kinetic(), float(h.kinetic[-1]), "kinetic energy afterwards")


def test_rows_are_every_so_many_epochs_and_the_last():
    spec = Spec((2, 2, 1), "tanh", "tanh")
    theta, _, _ = random_problem(spec, 2)
    every = EnergyNet(spec, theta).train(XOR, TARGET, 0.1, 10, momentum=0.5)
    for k, want in ((3, [0, 3, 6, 9, 10]), (5, [0, 5, 10]), (20, [0, 10])):
        h = EnergyNet(spec, theta).train(XOR, TARGET, 0.1, 10, momentum=0.5, record_every=k)
        expect.equal([int(e) for e in h.epoch], want, f"epochs of the rows, every {k} of 10")
        for field in FIELDS:
            what = f"{field} of every {k} epochs"
            expect.close(getattr(h, field), getattr(every, field)[want], what, rtol=1e-9)
    h = EnergyNet(spec, theta).train(XOR, TARGET, epochs=2, momentum=0.5)
    expect.close(h.snapshots, every.snapshots[:3], "snapshots with the default lr, 0.1", rtol=1e-9)
    h = EnergyNet(spec, theta).train(XOR, TARGET, epochs=0)
    expect.close(h.snapshots, theta[None], "snapshots of no epochs")
    expect.equal((len(h.potential), h.end), (1, "epochs"), "number of rows and end of no epochs")


@pytest.mark.parametrize("size", [None, 1, 3])
def test_training_in_parts_is_training_in_one_go(size):
    """The velocity stays with the network, and each epoch draws an order of its own."""
    spec = Spec((2, 3, 1), "tanh", "sigmoid")
    theta, X, target = random_problem(spec, 3)
    settings = {"lr": 0.2, "batch_size": size, "momentum": 0.9}
    whole = EnergyNet(spec, theta).train(X, target, epochs=6, rng=np.random.default_rng(0), **settings)
    net, rng, rows = EnergyNet(spec, theta), np.random.default_rng(0), []
    for _ in range(3):
        rows.append(net.train(X, target, epochs=2, rng=rng, **settings))
    expect.close(net.theta, whole.snapshots[-1], "theta after 3 times 2 epochs", rtol=1e-9)
    for field in ("potential", "kinetic", "snapshots"):
        parts = np.concatenate([getattr(h, field)[:2] for h in rows])
        expect.close(parts, getattr(whole, field)[:6], f"{field} in parts", rtol=1e-9)
    lost = [float(h.dissipated[-1]) for h in rows]
    expect.close(sum(lost), float(whole.dissipated[-1]), "heat of the three parts", rtol=1e-9)
    expect.equal([float(h.work[0]) for h in rows], [0.0] * 3, "work at the rows 0 of the parts")


def test_every_epoch_visits_each_sample_once_in_a_random_order():
    """Sample n moves weight n alone, and its push fades with each step: the velocity tells the order."""
    N, momentum = 6, 0.5
    spec = Spec((N, 1), bias=False)
    rng, orders = np.random.default_rng(0), []
    for _ in range(4):
        net = EnergyNet(spec, np.zeros(N))
        net.train(np.eye(N), np.ones((N, 1)), 1e-4, 1, batch_size=1, momentum=momentum, rng=rng)
        age = np.log(net.velocity / (2 * math.sqrt(1e-4))) / math.log(momentum)
        expect.close(np.sort(age), np.arange(6.0), "steps since each sample's visit, sorted", atol=0.01)
        orders.append(tuple(np.argsort(-age).tolist()))
    expect.true(len(set(orders)) == 4, f"4 epochs had {len(set(orders))} different orders, expected 4")
    net.velocity = np.zeros(N)
    net.train(np.eye(N), np.ones((N, 1)), 1e-4, 1, batch_size=1, momentum=momentum)
    expect.true(bool(np.all(np.diff(net.velocity) > 0)), "without an rng the samples come in their order")


# Energy


@pytest.mark.parametrize("size", [None, 3])
def test_the_books_balance_to_rounding(size):
    for seed in range(3):
        net = EnergyNet(Spec((2, 2, 1), "tanh", "tanh"), std=1.0, rng=np.random.default_rng(seed))
        net.velocity = np.random.default_rng(seed).normal(size=9)
        h = net.train(XOR, TARGET, 0.3, 40, batch_size=size, momentum=0.8, record_every=4)
        gap = float(np.abs(h.kinetic - h.kinetic[0] - (h.work - h.dissipated)).max())
        expect.true(gap < 1e-12, f"kinetic energy and work less heat are {gap} apart, expected rounding")
        expect.true(bool(np.all(np.diff(h.dissipated) > 0)), f"heat must grow, got {h.dissipated}")
        expect.close(h.total + h.dissipated - h.injected, np.full(11, h.total[0]), "the balance", rtol=1e-10)


def test_steps_inject_the_second_order_term_of_a_quadratic():
    """A linear unit: E is quadratic, with the Hessian 2 F^T F / N for features F = (X, 1)."""
    spec = Spec((3, 1))
    theta, X, target = random_problem(spec, 4)
    F = np.column_stack([X, np.ones(5)])
    h = EnergyNet(spec, theta).train(X, target, 0.2, 15, momentum=0.6)
    d = np.diff(h.snapshots, axis=0)
    second = np.cumsum(np.sum((d @ F.T) ** 2, axis=1) / 5)
    expect.close(h.injected[1:], second, "injected energy, against the sum of d^T H d / 2", rtol=1e-9)


def test_small_steps_lose_energy_to_friction_at_the_rate_friction_times_speed_squared():
    """E = w^2 + b^2 from w = 1 with friction 2: w is an oscillator of frequency 1, in closed form."""
    spec, X, zero, T = Spec((1, 1)), np.array([[1.0], [-1.0]]), np.zeros((2, 1)), 2.0
    w = math.exp(-T) * (math.cos(T) + math.sin(T))
    v = -2 * math.exp(-T) * math.sin(T)
    gaps = []
    for n in (100, 200, 400):
        lr = (T / n) ** 2
        net = EnergyNet(spec, [1, 0])
        h = net.train(X, zero, lr, n, momentum=1 - 2 * T / n, record_every=n)
        actual = np.array([h.potential[-1], h.kinetic[-1], h.dissipated[-1]])
        gaps.append(np.abs(actual - [w * w, v * v / 2, 1 - w * w - v * v / 2]))
        expect.true(
            float(gaps[-1].max()) < 4 * T / n, f"{n} steps are {gaps[-1]} from the oscillator's energies"
        )
    ratio = (np.array(gaps[:-1]) / np.array(gaps[1:])).round(3)
    expect.true(bool(np.all(np.abs(ratio - 2) < 0.3)), f"half the step: gaps fall by {ratio}, expected 2")


def test_without_momentum_all_that_the_potential_loses_becomes_heat():
    spec = Spec((2, 3, 1), "tanh", "tanh")
    theta, X, target = random_problem(spec, 5)
    shares = []
    for lr, n in ((0.02, 100), (0.01, 200)):
        h = EnergyNet(spec, theta).train(X, target, lr, n)
        shares.append(float(h.injected[-1]))
        fall = float(h.potential[0] - h.potential[-1])
        expect.close(float(h.dissipated[-1]), fall, f"heat at lr {lr}, against the fall", rtol=0.2)
    expect.true(
        abs(shares[0] / shares[1] - 2) < 0.2, f"injected at lr 0.02 and 0.01: {shares}, expected 2 : 1"
    )


# The plateau


def test_the_plateau_is_the_best_affine_model():
    expect.close(plateau(XOR, TARGET), 0.25, "plateau of XOR")
    expect.close(plateau(np.ones((4, 3)), TARGET), 0.25, "plateau of inputs that are all alike")
    rng = np.random.default_rng(0)
    X, target = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    with expect.unchanged(X, target):
        actual = plateau(X, target)
    F = np.column_stack([X, np.ones(12)])
    error = F @ np.linalg.solve(F.T @ F, F.T @ target) - target
    expect.close(actual, float(np.sum(error**2) / 24), "plateau of 12 samples with 2 outputs", rtol=1e-9)
    expect.close(plateau(np.c_[X, X[:, :1]], target), actual, "plateau with an input twice", rtol=1e-8)
    expect.close(plateau(X, X @ rng.normal(size=(3, 1)) + 5), 0.0, "plateau of an affine target", atol=1e-20)


@pytest.mark.parametrize("sizes", [(2, 2, 1), (2, 3, 1)])
def test_small_starts_come_to_the_plateau(sizes):
    """Of 20 seeds each the farthest is 0.0013 from 0.25 after 60 epochs."""
    for seed in range(4):
        net = EnergyNet(Spec(sizes, "tanh", "tanh"), rng=np.random.default_rng(seed))
        E = float(net.train(XOR, TARGET, 0.05, 60, momentum=0.9).potential[-1])
        expect.true(abs(E - 0.25) < 0.01, f"start {seed} of size 0.1: potential {E}, expected 0.25")


def test_larger_starts_learn_xor():
    """Of 20 seeds the slowest is at 0.003 after 300 epochs."""
    for seed in range(3):
        net = EnergyNet(Spec((2, 3, 1), "tanh", "tanh"), std=0.5, rng=np.random.default_rng(seed))
        E = float(net.train(XOR, TARGET, 0.05, 300, momentum=0.9, record_every=300).potential[-1])
        expect.true(E < 0.02, f"start {seed} of size 0.5: potential {E}, expected below 0.02")


# Early stopping


def first_stop(E, patience, tol):
    best, waited = E[0], 0
    for epoch in range(1, len(E)):
        best, waited = (E[epoch], 0) if E[epoch] < best - tol else (best, waited + 1)
        if waited == patience:
            return epoch
    return None


@pytest.mark.parametrize("seed", range(2))
def test_training_stops_after_so_many_epochs_without_progress(seed):
    spec = Spec((2, 3, 1), "tanh", "tanh")
    theta, _, _ = random_problem(spec, seed)
    lr, momentum = 0.15, 0.9
    E = EnergyNet(spec, theta).train(XOR, TARGET, lr, 120, momentum=momentum).potential.tolist()
    stops = set()
    for patience, tol in ((1, 0.0), (3, 1e-3), (10, 1e-4), (10, 1e-2), (30, 0.0), (30, 1e-3)):
        want = first_stop(E, patience, tol)
        net = EnergyNet(spec, theta)
        h = net.train(XOR, TARGET, lr, 120, momentum=momentum, patience=patience, tol=tol, record_every=25)
        what = f"with patience {patience} and tol {tol}"
        stops.add(want)
        expect.equal(h.end, "epochs" if want is None else "patience", f"end {what}")
        last = 120 if want is None else want
        rows = sorted({*range(0, last, 25), last})
        expect.equal([int(e) for e in h.epoch], rows, f"epochs of the rows {what}")
        expect.close(float(h.potential[-1]), E[last], f"the last potential {what}", rtol=1e-9)
        expect.close(net.potential(XOR, TARGET), E[last], f"the potential afterwards {what}", rtol=1e-9)
    expect.true(len(stops) >= 3, f"six settings stopped at {stops}")
    h = EnergyNet(spec, theta).train(XOR, TARGET, lr, 120, momentum=momentum, patience=10)
    expect.equal(int(h.epoch[-1]), first_stop(E, 10, 1e-4) or 120, "last epoch with the default tol, 1e-4")


def test_slow_progress_adds_up():
    """Each epoch gains less than tol; over several the gain is progress, for the best stays where it was."""
    spec, X, zero = Spec((1, 1)), np.array([[1.0], [-1.0]]), np.zeros((2, 1))
    E = [(1 - 2 * 0.01) ** (2 * k) for k in range(61)]
    h = EnergyNet(spec, [1, 0]).train(X, zero, 0.01, 60, patience=3, tol=0.06)
    want = first_stop(E, 3, 0.06)
    expect.equal(int(h.epoch[-1]), want, "last epoch of a slow fall, tol above what an epoch gains")
    expect.true(want > 6, f"this test needs a stop later than 6, got {want}")


def test_no_early_stopping_unless_asked():
    h = EnergyNet(Spec((2, 2, 1)), np.zeros(9)).train(XOR, TARGET - 0.5, 0.1, 40, record_every=10)
    expect.close(h.potential, np.full(5, 0.25), "potential at a saddle")
    expect.equal((int(h.epoch[-1]), h.end), (40, "epochs"), "last epoch and end at a saddle")
    h = EnergyNet(Spec((2, 2, 1)), np.zeros(9)).train(XOR, TARGET - 0.5, 0.1, 40, patience=5, tol=0.0)
    expect.equal((int(h.epoch[-1]), h.end), (5, "patience"), "last epoch and end at a saddle, by patience 5")


def test_an_explosion_ends_training_and_is_recorded():
    """Beyond the edge of a linear unit: the weight grows by a factor -3 each epoch."""
    net = EnergyNet(Spec((1, 1)), [1, 0])
    with expect.quiet("training that diverges"):
        h = net.train([[1], [-1]], np.zeros((2, 1)), 2.0, 1000, record_every=100)
    expect.equal(h.end, "diverged", "why training ended")
    expect.close(h.potential[1], 9.0**100, "potential after 100 epochs", rtol=1e-9)
    expect.true(not math.isfinite(h.potential[-1]), f"the last potential is {h.potential[-1]}, expected inf")
    last = int(h.epoch[-1])
    expect.true(last in (323, 324), f"9^epoch overflows in epoch 323 or 324, training ended after {last}")


# The phase diagram


def test_the_phase_diagram_has_rows_for_the_second_input():
    spec = Spec((2, 3, 2), "tanh", "sigmoid")
    theta, _, _ = random_problem(spec)
    first, second = [-0.5, 0.0, 0.7, 1.5], np.array([0.0, 0.4, 1.2])
    want = np.array([[loop(theta, spec, (a, b)) for a in first] for b in second]).real
    with expect.unchanged(theta, second):
        actual = phase_diagram(theta, spec, first, second)
    expect.close(actual, want, "outputs on a grid of 3 x 4", rtol=1e-10)
    square = phase_diagram(theta, spec, [0.0, 1.0], [0.0, 1.0])
    want = np.array([[loop(theta, spec, (a, b)) for a in (0, 1)] for b in (0, 1)]).real
    expect.close(square, want, "outputs on a grid of 2 x 2", rtol=1e-10)


# Errors


def test_a_network_without_a_start_or_with_one_that_does_not_fit_is_refused():
    spec = Spec((2, 2, 1))
    with expect.raises(ValueError, "theta", "rng"):
        EnergyNet(spec)
    for wrong in (np.zeros(8), np.zeros((9, 1))):
        with expect.raises(ValueError, str(wrong.shape), "9"):
            EnergyNet(spec, wrong)
    expect.close(EnergyNet(spec, np.zeros(9)).predict([[1, 2]]), np.zeros((1, 1)), "outputs of zero weights")


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ({"lr": 0.0}, "0"),
        ({"lr": -0.5}, "-0.5"),
        ({"lr": math.nan}, "nan"),
        ({"epochs": -1}, "-1"),
        ({"momentum": 1.0}, "1"),
        ({"momentum": -0.1}, "-0.1"),
        ({"batch_size": 0}, "0"),
        ({"patience": 0}, "0"),
        ({"tol": -1e-3}, "-0.001"),
        ({"record_every": 0}, "0"),
    ],
)
def test_impossible_settings_are_refused(wrong, value):
    net = EnergyNet(Spec((2, 2, 1)), np.zeros(9))
    with expect.raises(ValueError, value.replace("1", "1.0") if value == "1" else value):
        net.train(XOR, TARGET, **wrong)
    expect.close(net.train(XOR, TARGET, epochs=1).potential[0], 0.5, "potential of outputs 0 on XOR")


def test_samples_that_do_not_fit_are_refused():
    net = EnergyNet(Spec((2, 2, 1)), np.zeros(9))
    with expect.raises(ValueError, "(0, 2)"):
        net.train(np.zeros((0, 2)), np.zeros((0, 1)))
    with expect.raises(ValueError, "(4, 3)", "2"):
        net.train(np.zeros((4, 3)), TARGET)
    with expect.raises(ValueError, "(4, 1)", "(4,)"):
        net.train(XOR, TARGET[:, 0])
    with expect.raises(ValueError, "(4, 1)", "(8, 1)"):
        net.train(XOR, np.vstack([TARGET, TARGET]))
    with expect.raises(ValueError, "(4, 2)", "(3, 1)"):
        plateau(XOR, TARGET[:3])
    with expect.raises(ValueError, "(4,)"):
        plateau(XOR, TARGET[:, 0])
    with expect.raises(ValueError, "0"):
        batches(4, 0)
    with expect.raises(ValueError, "3"):
        phase_diagram(np.zeros(16), Spec((3, 3, 1)), [0.0], [0.0])
    expect.close(net.potential(XOR, TARGET), 0.5, "potential of outputs 0 on XOR")
