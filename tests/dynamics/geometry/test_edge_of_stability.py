"""The edge: stability tried out, the sharpness against known spectra, the models against descent itself."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.geometry.edge_of_stability import (
    adam_scale,
    catapult,
    edge,
    preconditioned,
    sharpest,
    summary,
    toy_cycle,
    toy_descent,
    toy_loss,
    track,
)
from foundations.computational_graph import Tensor


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rotated(values, seed=0):
    """A symmetric matrix with these eigenvalues, and its eigenvectors as columns."""
    values = np.array(values, float)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))[0]
    return q * values @ q.T, q


class Recorded:
    """The product with a matrix, and the vectors it was asked for."""

    def __init__(self, matrix):
        self.matrix, self.seen = np.asarray(matrix, float), []

    def __call__(self, v):
        self.seen.append(v.copy())
        return self.matrix @ v


# The edge


def run(kind, lr, momentum, curvature, steps=4000):
    """|x| after that many steps on curvature x^2 / 2 from x = 1, P = 1."""
    x, v = 1.0, 0.0
    for _ in range(steps):
        if kind == "rk4":
            k1 = -curvature * x
            k2 = -curvature * (x + lr / 2 * k1)
            k3 = -curvature * (x + lr / 2 * k2)
            k4 = -curvature * (x + lr * k3)
            x += lr / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            continue
        g = curvature * (x - lr * momentum * v if kind == "nesterov" else x)
        v = momentum * v + ((1 - momentum) * g if kind in ("ema", "adam") else g)
        x -= lr * v
    return abs(x)


@pytest.mark.parametrize(
    ("kind", "momentum"),
    [
        ("heavy_ball", 0.0),
        ("heavy_ball", 0.5),
        ("nesterov", 0.5),
        ("ema", 0.5),
        ("adam", 0.9),
        ("rmsprop", 0.0),
        ("rmsprop", 0.3),
        ("rk4", 0.0),
    ],
)
def test_the_edge_parts_decay_from_growth(kind, momentum):
    limit = edge(0.2, momentum, kind)
    inside = run(kind, 0.2, momentum, 0.99 * limit)
    outside = run(kind, 0.2, momentum, 1.01 * limit)
    expect.true(
        inside < 0.5 and outside > 2,
        f"{kind}, momentum {momentum}: on curvatures of 0.99 and 1.01 times your edge {limit}, |x| goes from"
        f" 1 to {inside:.3g} and {outside:.3g} in 4000 steps; expected decay and growth",
    )


def test_edges_by_formula():
    for lr in (0.01, 0.5):
        for b in (0.0, 0.4, 0.9):
            for kind, times in (
                ("heavy_ball", 2 + 2 * b),
                ("rmsprop", 2 + 2 * b),
                ("nesterov", (2 + 2 * b) / (1 + 2 * b)),
                ("ema", (2 + 2 * b) / (1 - b)),
                ("adam", (2 + 2 * b) / (1 - b)),
            ):
                expect.close(edge(lr, b, kind), times / lr, f"edge of {kind}, lr {lr}, momentum {b}")
        expect.close(edge(lr), 2 / lr, f"edge of gradient descent, lr {lr}")
        expect.close(edge(lr, kind="euler"), 2 / lr, f"edge of Euler's method, step {lr}", rtol=1e-8)
        expect.close(edge(lr, kind="rk4"), 2.785293563 / lr, f"edge of rk4, step {lr}", rtol=1e-8)
    expect.equal(edge(0.1, kind="backward_euler"), math.inf, "edge of the backward Euler method")


# The preconditioner


def test_the_scale_is_what_adam_divides_its_mean_by(rng):
    """Three steps of Adam by hand: lr m_hat / (sqrt(v_hat) + eps) = lr m / p."""
    b1, b2, eps = 0.8, 0.95, 1e-3
    m, v = np.zeros((2, 3)), np.zeros((2, 3))
    for t in (1, 2, 3):
        g = rng.standard_normal((2, 3))
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        with expect.unchanged(v):
            p = adam_scale(v, t, (b1, b2), eps)
        step = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        expect.close(m / p, step, f"m / p at step {t}, expected Adam's step over lr")
    expect.close(adam_scale([4.0], 1), np.array([0.1 * (math.sqrt(4000) + 1e-8)]), "p of v = 4 at step 1")


def test_preconditioning_is_symmetric_with_the_eigenvalues_of_p_inverse_a(rng):
    A, _ = rotated([3.0, 1.0, 0.5, -2.0])
    p = np.array([[0.1, 4.0], [1.0, 9.0]])
    v = rng.standard_normal(4)
    mv = preconditioned(lambda v: A @ v, p)
    with expect.unchanged(v, p):
        got = mv(v)
    root = np.sqrt(p.reshape(-1))
    expect.close(got, A @ (v / root) / root, "P^(-1/2) A P^(-1/2) v")
    matrix = np.stack([mv(e) for e in np.eye(4)])
    expect.close(matrix, matrix.T, "the preconditioned matrix, against its transpose")
    want = np.sort(np.linalg.eigvals(A / p.reshape(-1, 1)).real)
    expect.close(np.linalg.eigvalsh(matrix), want, "eigenvalues, against those of P^-1 A", rtol=1e-10)


# The sharpness


@pytest.mark.parametrize("k", [1, 3, 12])
def test_the_largest_eigenvalues_by_value(rng, k):
    a = np.array([7.0, 5.0, 4.0, 2.0, 1.0, 0.5, 0.1, 0.0, -0.3, -1.0, -9.0, -10.0])
    A, q = rotated(a)
    mv = Recorded(A)
    got = sharpest(mv, 12, k, rng=rng)
    expect.close(got.values, a[:k], f"the {k} largest of {a}", rtol=1e-9, atol=1e-9)
    expect.equal(got.vectors.shape, (12, k), "shape of the vectors")
    expect.close(np.abs(q[:, :k].T @ got.vectors), np.eye(k), "|cosines| with the eigenvectors", atol=1e-5)
    expect.equal(got.products, len(mv.seen), "products")
    expect.equal(got.converged, True, "converged")


def test_it_is_no_largest_magnitude(rng):
    got = sharpest(lambda v: np.array([-10.0, 7.0]) * v, 2, rng=rng)
    expect.close(got.values, np.array([7.0]), "the sharpness for eigenvalues -10 and 7", rtol=1e-9)
    got = sharpest(lambda v: np.array([-10.0, -3.0, -4.0]) * v, 3, 2, rng=rng)
    expect.close(got.values, np.array([-3.0, -4.0]), "the two largest of -10, -3, -4", rtol=1e-9)


def test_an_eigenvalue_that_is_there_twice_is_found_twice(rng):
    A, _ = rotated([5.0, 5.0, 5.0, 1.0, 0.0, -7.0])
    got = sharpest(Recorded(A), 6, 4, rng=rng)
    expect.close(got.values, np.array([5.0, 5.0, 5.0, 1.0]), "the four largest", rtol=1e-8)
    expect.close(got.vectors.T @ got.vectors, np.eye(4), "inner products of the vectors", atol=1e-10)


def test_what_was_found_stays_hidden_from_the_products(rng):
    """A start without the first eigenvector does not do: rounding grows by 1e6 in each product."""
    A, _ = rotated([1e6, 3.0, 2.0, *np.linspace(0, 1, 57)])
    got = sharpest(Recorded(A), 60, 3, rng=rng)
    expect.close(got.values, np.array([1e6, 3.0, 2.0]), "the three largest, 1e6, 3 and 2", rtol=1e-4)


def test_it_goes_on_until_the_residual_is_small(rng):
    """400 eigenvalues evenly in [0, 1]: the largest is 0.0025 from the next, 12 steps are far too few."""
    a = np.linspace(0, 1, 400)
    mv = Recorded(np.diag(a))
    got = sharpest(mv, 400, rng=rng)
    off = float(np.linalg.norm(a * got.vectors[:, 0] - got.values[0] * got.vectors[:, 0]))
    expect.true(off < 1.01e-6, f"the residual is {off:.2g}, expected at most tol = 1e-6 of the largest value")
    expect.close(got.values, np.array([1.0]), "the largest of 400", rtol=1e-9)
    twice = [12, 12 + 24, 12 + 24 + 48, 12 + 24 + 48 + 96]
    expect.true(
        got.products in twice, f"{got.products} products, expected one of {twice}: twice as many each time"
    )
    scaled = sharpest(lambda v: 1e9 * a * v, 400, rng=np.random.default_rng(0))
    expect.equal(scaled.products, got.products, "products for 1e9 times the matrix, from the same start")
    rough = sharpest(Recorded(np.diag(a)), 400, rng=rng, tol=0.05)
    expect.true(
        rough.products < got.products,
        f"{rough.products} products for a tolerance of 0.05, {got.products} for 1e-6: expected fewer",
    )
    expect.close(rough.values, np.array([1.0]), "the largest of 400, tolerance 0.05", rtol=0.06)


def test_the_first_vector_is_the_start_with_a_part_that_is_random(rng):
    a = np.linspace(0, 1, 50)
    for guess in (np.eye(50)[:, [49]], -3 * np.eye(50)[:, [7]]):
        mv = Recorded(np.diag(a))
        with expect.unchanged(guess):
            got = sharpest(mv, 50, rng=rng, start=guess)
        expect.close(got.values, np.array([1.0]), "the largest from a warm start", rtol=1e-8)
        cosine = float(mv.seen[0] @ guess[:, 0] / np.linalg.norm(mv.seen[0]) / np.linalg.norm(guess))
        expect.true(
            0.99 < cosine < 0.9965,
            f"the cosine between the first vector and the start is {cosine}, expected 0.994: 0.9 of the start"
            f" and 0.1 of a random direction",
        )


def cosine(seen, e):
    """The largest |cosine| between one of these vectors and the unit vector e."""
    return max(float(abs(v[e])) / float(np.linalg.norm(v)) for v in seen)


def test_each_column_of_the_start_is_a_guess_of_its_own(rng):
    a = np.r_[9.0, 8.0, np.linspace(-1, 1, 58)]
    mv = Recorded(np.diag(a))
    got = sharpest(mv, 60, 2, rng=rng, start=np.eye(60)[:, :2])
    expect.close(got.values, np.array([9.0, 8.0]), "the two largest from their eigenvectors", rtol=1e-7)
    near = [cosine(mv.seen, e) for e in (0, 1)]
    expect.true(
        min(near) > 0.98,
        f"the vectors that were multiplied come up to |cosine| = {near} to the two starts: expected 0.994",
    )


def test_a_start_at_another_eigenvector_is_no_trap(rng):
    a = np.r_[9.0, 8.0, np.linspace(-1, 1, 58)]
    got = sharpest(lambda v: a * v, 60, 2, rng=rng, start=np.eye(60)[:, [1, 0]])
    expect.close(
        got.values, np.array([9.0, 8.0]), "the two largest, from starts in the other order", rtol=1e-7
    )


def test_a_warm_start_is_cheap(rng):
    a = np.linspace(0, 1, 400)
    cold = sharpest(lambda v: a * v, 400, rng=rng, tol=1e-4)
    warm = sharpest(lambda v: a * v, 400, rng=rng, tol=1e-4, start=cold.vectors)
    expect.close(warm.values, np.array([1.0]), "the largest of 400", rtol=1e-4)
    expect.true(
        warm.products <= cold.products,
        f"{warm.products} products from the eigenvector, {cold.products} from nothing: expected no more",
    )


# Along a path


def turning(theta, v):
    """The product with a Hessian that depends on theta (2, 2): 1 + theta, entry by entry."""
    return (1 + theta) * v


def test_readings_along_a_path(rng):
    thetas = [rng.standard_normal((2, 2)) for _ in range(8)]
    got = list(track(iter(thetas), turning, rng=rng, every=3, k=2))
    expect.equal([r.step for r in got], [0, 3, 6], "the steps of every third reading of 8 points")
    for reading in got:
        h = 1 + thetas[reading.step].reshape(-1)
        expect.close(reading.values, np.sort(h)[:-3:-1], f"two largest at step {reading.step}", rtol=1e-7)
        expect.close(float(reading.sharpness), float(h.max()), "the sharpness of the reading", rtol=1e-7)
        off = h[:, None] * reading.vectors - reading.vectors * reading.values
        expect.close(off, np.zeros((4, 2)), f"H v - value v at step {reading.step}", atol=1e-5)


def test_each_reading_starts_from_the_one_before(rng):
    """The two steepest directions are e_0 and e_1, then e_2 and e_3, then e_4 and e_5."""
    a, seen, read = np.r_[3.0, 2.0, np.linspace(0, 1, 98)], [], []

    def product(theta, v):
        seen.append(v.copy())
        return theta * v

    for i, reading in enumerate(track([np.roll(a, 2 * i) for i in range(3)], product, rng=rng, k=2)):
        expect.close(reading.values, np.array([3.0, 2.0]), f"values of reading {i}", rtol=1e-7)
        for e in (2 * i - 2, 2 * i - 1) if i else ():
            near = cosine(seen, e)
            expect.true(
                near > 0.97,
                f"reading {i} multiplies no vector nearer than |cosine| = {near} to e_{e}, an eigenvector of"
                f" the reading before: expected 0.99",
            )
        seen.clear()
        read.append(reading.step)
    expect.equal(read, [0, 1, 2], "steps of the readings")


def test_a_reading_takes_the_steps_and_the_tolerance_it_is_told():
    def products(a, **settings):
        calls = []
        readings = list(
            track(
                [np.zeros(a.size)] * 2,
                lambda theta, v: calls.append(1) or a * v,
                rng=np.random.default_rng(0),
                **settings,
            )
        )
        expect.close(readings[1].sharpness, float(a.max()), f"the sharpness, {settings}", rtol=0.06)
        counts = [r.products for r in readings]
        expect.equal(len(calls), sum(counts), "products that were made")
        return counts

    easy, hard = np.r_[2.0, np.linspace(0, 1, 99)], np.linspace(0, 1, 400)
    expect.equal(products(easy), [12, 12], "products of two readings")
    expect.equal(products(easy, steps=20), [20, 20], "products of two readings for steps=20")
    rough, fine = products(hard, tol=0.05)[0], products(hard)[0]
    expect.true(
        rough < fine, f"{rough} products for tol=0.05, {fine} for 1e-6: expected fewer for the rough one"
    )


def test_the_path_goes_no_further_than_the_readings(rng):
    """A loop that changes theta in place: the Hessian is 1 + theta at the time of the reading."""
    theta, taken = np.array([1.0, 0.0, -5.0]), []

    def train():
        for step in range(100):
            taken.append(step)
            yield theta
            theta[0] += 1

    readings = track(train(), turning, rng=rng, every=2)
    for want in (2.0, 4.0, 6.0):
        expect.close(next(readings).sharpness, want, "the sharpness, as theta grows in place", rtol=1e-9)
    expect.equal(taken, [0, 1, 2, 3, 4], "steps of training made for three readings, every second step")


# What a run was like


def test_a_summary_by_hand():
    steps = np.array([0, 5, 10, 15, 20])
    sharpness = np.array([1.0, 4.0, 3.0, 5.0, 4.5])
    losses = np.r_[np.linspace(9, 8, 13), 8.5, 7, 7.5, 6, 6, 5, 4, 3]  # rises in steps 12 and 14
    with expect.unchanged(steps, sharpness, losses):
        got = summary(steps, sharpness, 4.0, losses)
    expect.equal(got.crossed, 5, "the first reading at or above 4, at step")
    expect.close(got.ratio, (1.25 + 1.125) / 2, "median of sharpness / edge from step 12 on")
    expect.close(got.above, 1.0, "share of those readings above the edge")
    expect.close(got.rises, 2 / 8, "share of the steps 12 ... 19 that raise the loss")
    got = summary(steps, sharpness, 4.0, losses, late=0.5)
    expect.close(got.ratio, 1.125, "median of the readings from step 10 on")
    expect.close(got.above, 2 / 3, "share of the readings from step 10 on at or above the edge")
    expect.close(got.rises, 2 / 10, "share of the steps 10 ... 19 that raise the loss")


def test_a_summary_below_the_edge_and_of_an_edge_that_moves():
    got = summary([0, 1, 2], [1.0, 2.0, 3.0], 4.0)
    expect.equal(got.crossed, None, "crossed, where the edge is never reached")
    expect.close(got.ratio, 0.75, "median ratio of the one late reading")
    expect.equal(got.above, 0.0, "share above the edge")
    expect.true(math.isnan(got.rises), f"rises is {got.rises}, expected nan without losses")
    got = summary([0, 1, 2], [1.0, 2.0, 3.0], [2.0, 1.6, 6.0], late=1.0)
    expect.equal(got.crossed, 1, "first reading at or above its own edge")
    expect.close(got.ratio, 0.5, "median of 0.5, 1.25 and 0.5")
    expect.close(got.above, 1 / 3, "share at or above the edge")


def test_late_is_counted_from_step_0_and_to_the_last_loss():
    """Readings from step 10 to 20, late from step 12 on; losses up to step 24."""
    losses = np.r_[np.arange(22.0, 0, -1), 2, 3, 2]  # rises in steps 21 and 22
    got = summary([10, 12, 14, 20], [3.0, 5.0, 7.0, 6.0], 4.0, losses)
    expect.close(got.ratio, 1.5, "median of 5/4, 7/4 and 6/4")
    expect.close(got.rises, 2 / 12, "share of the steps 12 ... 23 that raise the loss")


# The toy


def test_the_toy_loss_of_arrays_and_tensors():
    theta = np.array([0.75, 4.0])
    expect.close(float(toy_loss(theta, 0.5)), 4 * 0.25 - 0.5 * 4, "loss at x = 3/4, y = 4, c = 1/2")
    expect.tensor(toy_loss(Tensor(theta), 0.5), np.array(-1.0), "loss of a Tensor")


def test_a_step_of_the_toy_is_a_step_against_its_gradient(rng):
    for x, y, lr, c in rng.uniform(0.2, 3, (4, 4)):
        loss = lambda x, y, c=c: y * (math.hypot(1, x) - 1) - c * y  # noqa: E731
        h = 1e-5
        slope = [loss(x + h, y) - loss(x - h, y), loss(x, y + h) - loss(x, y - h)]
        want = np.array([[x, y], [x - lr * slope[0] / (2 * h), y - lr * slope[1] / (2 * h)]])
        expect.close(toy_descent(x, y, lr, c, 1), want, "one step by central differences", rtol=1e-8)


@pytest.mark.parametrize(
    ("lr", "c", "y"), [(0.5, 0.05, 1.0), (1.0, 0.3, 1.2), (0.1, 0.5, 17.0), (1.0, 1.0, 0.3)]
)
def test_descent_on_the_toy_ends_in_the_cycle(lr, c, y):
    path = toy_descent(0.3, y, lr, c, 20_000)
    x, top = toy_cycle(lr, c)
    expect.close(x, math.sqrt((1 + c) ** 2 - 1), "|x| of the cycle")
    expect.close(top, 2 * (1 + c) / lr, "y of the cycle")
    expect.close(np.abs(path[-10:, 0]), np.full(10, x), "|x| after 20,000 steps", rtol=1e-8)
    expect.close(path[-10:, 1], np.full(10, top), "y after 20,000 steps", rtol=1e-8)
    expect.close(
        path[-9:, 0], -path[-10:-1, 0], "x, against the step before with its sign changed", rtol=1e-8
    )


def test_the_toy_sharpens_at_the_rate_c_while_x_is_0():
    path = toy_descent(0.0, 1.0, 0.1, 0.2, 5)
    want = np.stack([np.zeros(6), 1 + 0.02 * np.arange(6)], axis=1)
    expect.close(path, want, "the path from x = 0, lr 0.1, c 0.2")


# The catapult


def network(rng, width, lam, f):
    """Vectors u and v of this width with this kernel and output."""
    u, v = rng.standard_normal((2, width))
    p, m = u + v, u - v  # u.v = (|p|^2 - |m|^2) / 4, |u|^2 + |v|^2 = (|p|^2 + |m|^2) / 2
    m -= p * (m @ p) / (p @ p)
    p *= math.sqrt(width * lam + 2 * f * math.sqrt(width)) / np.linalg.norm(p)
    m *= math.sqrt(width * lam - 2 * f * math.sqrt(width)) / np.linalg.norm(m)
    return (p + m) / 2, (p - m) / 2


@pytest.mark.parametrize("lr_lam", [0.5, 1.9, 2.5, 3.5, 4.5])
def test_two_numbers_follow_the_network(rng, lr_lam):
    width, lam, f, lr = 30, 2.0, -0.7, lr_lam / 2.0
    u, v = network(rng, width, lam, f)
    want = []
    for _ in range(6):
        out = u @ v / math.sqrt(width)
        want.append([out, (u @ u + v @ v) / width])
        u, v = u - lr * out * v / math.sqrt(width), v - lr * out * u / math.sqrt(width)
    got = catapult(f, lam, lr, width, 5)
    expect.close(got, np.array(want), f"f and lam of 5 steps, lr lam = {lr_lam}", rtol=1e-9)


@pytest.mark.parametrize("lr_lam", [2.3, 3.0, 3.7])
def test_the_catapult_lands_where_it_is_flat(lr_lam):
    path = catapult(0.1, 1.0, lr_lam, 1000, 400)
    f, lam = path.T
    expect.true(
        float(np.abs(f).max()) > 1, f"the largest |f| is {np.abs(f).max()}, expected growth from 0.1 first"
    )
    expect.close(float(f[-1]), 0.0, "f at the end", atol=1e-6)
    expect.true(0 < lr_lam * lam[-1] < 2, f"lr lam is {lr_lam * lam[-1]} at the end, expected below 2")


def test_a_slow_start_stays_lazy():
    f, lam = catapult(0.1, 1.0, 1.5, 1000, 60).T
    expect.true(bool(np.all(np.diff(np.abs(f)) < 0)), "|f| should fall in every step where lr lam = 1.5")
    expect.close(float(lam[-1]), 1.0, "lam at the end, where f was small", rtol=1e-3)


def test_beyond_four_it_does_not_come_back():
    path = catapult(0.1, 1.0, 4.5, 1000, 100)
    finite = np.isfinite(path).all(axis=1)
    last = int(np.flatnonzero(finite)[-1])
    f, lam = path[last]
    after = f * (1 - 4.5 * lam + 4.5 * 4.5 * f * f / 1000)
    expect.true(
        abs(f) <= 1e100 < abs(after),
        f"the last finite f is {f}, and the next would be {after}: expected 1e100 between",
    )
    expect.equal(path[last + 1 :], np.full((100 - last, 2), math.inf), "f and lam beyond 1e100")
    expect.equal(finite, np.arange(101) <= last, "which steps are finite")


def test_a_network_without_output_stands_still():
    expect.equal(catapult(0.0, 3.0, 2.0, 10, 2), np.array([[0.0, 3.0]] * 3), "f and lam from f = 0")
    least = catapult(1.0, 1 - 1e-14, 0.0, 4, 1)[1]
    expect.close(least, np.ones(2), "a step of lr 0 from the least lam, but for rounding")
    u = np.ones(4)  # u = v: lam is the least for its f
    got = catapult(u @ u / 2, 2.0, 0.25, 4, 1)
    expect.close(got[1], np.array([2 * 0.75**2, 2 * 0.75**2]), "a step from u = v = (1, 1, 1, 1), lr 1/4")


# Errors


def test_an_edge_needs_a_kind_a_rate_and_a_momentum():
    for bad in (0.0, -0.1, math.nan):
        for kind in ("adam", "rk4"):
            with expect.raises(ValueError, str(bad)):
                edge(bad, kind=kind)
    for kind in ("heavy_ball", "adam", "rk4"):
        with expect.raises(ValueError, "1.5"):
            edge(0.1, 1.5, kind)
    with expect.raises(ValueError, "0.5"):
        edge(0.1, 0.5, "rk4")
    with expect.raises(ValueError, "sgd"):
        edge(0.1, 0.0, "sgd")


def test_scales_out_of_range_are_named():
    for step in (0, -1):
        with expect.raises(ValueError, str(step)):
            adam_scale(np.ones(2), step)
    for bad in (0.0, -2.5):
        with expect.raises(ValueError, str(bad)):
            preconditioned(lambda v: v, np.array([1.0, bad, 3.0]))


def test_settings_of_the_search_are_named(rng):
    for k in (0, 4):
        with expect.raises(ValueError, str(k), "3"):
            sharpest(lambda v: v, 3, k, rng=rng)
    for shape in ((3,), (2, 1), (3, 2)):
        with expect.raises(ValueError, str(shape)):
            sharpest(lambda v: v, 3, rng=rng, start=np.ones(shape))
    with expect.raises(ValueError, "0"):
        sharpest(lambda v: v, 3, rng=rng, steps=0)
    for every in (0, -3):
        with expect.raises(ValueError, str(every)):
            next(iter(track([np.ones(2)], turning, rng=rng, every=every)))


def test_summaries_and_networks_that_cannot_be():
    with expect.raises(ValueError, "(3,)", "(2,)"):
        summary([0, 1, 2], [1.0, 2.0], 4.0)
    for late in (0.0, 1.5, math.nan):
        with expect.raises(ValueError, str(late)):
            summary([0, 1], [1.0, 2.0], 4.0, late=late)
    for f, lam in ((1.0, 0.9), (-1.0, 0.9), (1.0, 1 - 1e-9)):
        with expect.raises(ValueError, str(lam)):
            catapult(f, lam, 0.1, 4, 3)
