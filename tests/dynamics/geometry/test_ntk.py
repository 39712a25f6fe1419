"""The kernel against Jacobians by complex steps, and lazy training against networks for which it is exact."""

import cmath
import math
from itertools import pairwise

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.credit.mlp_backprop import Spec, forward, value_and_gradient
from dynamics.geometry.ntk import (
    lazy_flow,
    lazy_gd,
    lazy_predict,
    ntk,
    ntk_by_layer,
    ntk_scales,
    parameter_jacobian,
    relative_change,
    sensitivities,
    spread,
)

PHI = {
    "linear": lambda z: z,
    "tanh": cmath.tanh,
    "sigmoid": lambda z: 1 / (1 + cmath.exp(-z)),
    "relu": lambda z: z if z.real > 0 else 0 * z,
}
SPECS = [
    Spec((2, 3, 2)),
    Spec((3, 4, 3, 2), "relu", "tanh"),
    Spec((2, 3, 4, 1), "sigmoid"),
    Spec((2, 3, 3), "tanh", "sigmoid", bias=False),
    Spec((3, 2)),
]
NAMES = [f"{s.sizes} {s.hidden} {s.output}" for s in SPECS]


def loop(theta, spec, x):
    """The outputs for one sample, number by number; complex numbers pass."""
    numbers, h = iter(theta), list(x)
    for layer, (fan_in, fan_out) in enumerate(pairwise(spec.sizes), 1):
        W = [[next(numbers) for _ in range(fan_in)] for _ in range(fan_out)]
        b = [next(numbers) if spec.bias else 0.0 for _ in range(fan_out)]
        phi = PHI[spec.output if layer == len(spec.sizes) - 1 else spec.hidden]
        h = [
            phi(complex(sum(w * v for w, v in zip(row, h, strict=True)) + c))
            for row, c in zip(W, b, strict=True)
        ]
    return h


def slopes(theta, spec, X):
    """(N, K, P) by complex steps: no subtraction, so no rounding."""
    J = np.empty((len(X), spec.sizes[-1], len(theta)))
    for p in range(len(theta)):
        moved = theta.astype(complex)
        moved[p] += 1e-30j
        for n, x in enumerate(X):
            J[n, :, p] = [y.imag / 1e-30 for y in loop(moved, spec, x)]
    return J


def owners(spec):
    """For each parameter its layer, from 1, and whether it is a bias."""
    layer, bias = [], []
    for i, (fan_in, fan_out) in enumerate(pairwise(spec.sizes), 1):
        layer += [i] * (fan_out * (fan_in + spec.bias))
        bias += [False] * (fan_out * fan_in) + [True] * (fan_out * spec.bias)
    return np.array(layer), np.array(bias)


def products(J, J2):
    """Inner products of all gradients, one by one: (N, K, M, K)."""
    K = np.empty(J.shape[:2] + J2.shape[:2])
    for i in np.ndindex(*K.shape):
        K[i] = sum(a * b for a, b in zip(J[i[:2]], J2[i[2:]], strict=True))
    return K


def problem(spec, samples=3, seed=0):
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=sum(k * (d + spec.bias) for d, k in pairwise(spec.sizes)))
    return theta, rng.normal(size=(samples, spec.sizes[0])), rng.normal(size=(2, spec.sizes[0]))


# The Jacobian


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_jacobian_against_complex_steps(spec):
    theta, X, _ = problem(spec)
    with expect.unchanged(theta, X):
        got = parameter_jacobian(theta, spec, X)
    expect.close(got, slopes(theta, spec, X), "the derivatives of all outputs by theta", rtol=1e-10)


@pytest.mark.parametrize(
    "spec", [s for s in SPECS if s.bias], ids=[n for n, s in zip(NAMES, SPECS, strict=True) if s.bias]
)
def test_sensitivities_are_the_derivatives_by_the_biases(spec):
    """z_l = ... + b_l: the derivatives by z_l and by b_l are the same."""
    theta, X, _ = problem(spec)
    cache = forward(theta, spec, X)[1]
    with expect.unchanged(*cache.signals, *cache.pre):
        got = sensitivities(theta, spec, cache)
    J, (layer, bias) = slopes(theta, spec, X), owners(spec)
    expect.equal(len(got), len(spec.sizes) - 1, "layers")
    for i, delta in enumerate(got, 1):
        expect.close(delta, J[:, :, (layer == i) & bias], f"sensitivities of layer {i}", rtol=1e-10)


# The kernel


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_kernel_is_the_inner_products_of_the_gradients(spec):
    theta, X, _ = problem(spec)
    with expect.unchanged(theta, X):
        got = ntk(theta, spec, X)
    J = slopes(theta, spec, X)
    expect.close(got, products(J, J), "the kernel", rtol=1e-10)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_each_layer_has_its_part(spec):
    theta, X, _ = problem(spec, seed=1)
    got = ntk_by_layer(theta, spec, X)
    J, (layer, _) = slopes(theta, spec, X), owners(spec)
    for i in range(1, len(spec.sizes)):
        part = J[:, :, layer == i]
        expect.close(got[i - 1], products(part, part), f"the kernel of layer {i}", rtol=1e-10)
    expect.equal(len(got), len(spec.sizes) - 1, "layers")
    expect.close(got.sum(axis=0), ntk(theta, spec, X), "the sum of the layers", rtol=1e-10)


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_kernel_between_two_sets(spec):
    theta, X, X2 = problem(spec, seed=2)
    J, J2 = slopes(theta, spec, X), slopes(theta, spec, X2)
    with expect.unchanged(theta, X, X2):
        got = ntk(theta, spec, X, X2)
    expect.close(got, products(J, J2), "the kernel between 3 and 2 examples", rtol=1e-10)
    expect.close(ntk_by_layer(theta, spec, X, X2).sum(axis=0), got, "the sum of the layers", rtol=1e-10)


def test_the_kernel_by_hand():
    """f = v (w x): df/dw = v x and df/dv = w x; with w = 2, v = 3 and x = 1, -2."""
    spec = Spec((1, 1, 1), "linear", bias=False)
    X = np.array([[1.0], [-2.0]])
    got = ntk_by_layer(np.array([2.0, 3.0]), spec, X).reshape(2, 2, 2)
    outer = np.array([[1.0, -2.0], [-2.0, 4.0]])
    expect.close(got, np.stack([9 * outer, 4 * outer]), "the kernels of w = 2 and v = 3")


def test_outputs_are_not_summed():
    """Outputs that share no parameter have no kernel between them; f and -f of a unit cancel in a sum."""
    X = np.array([[2.0], [3.0]])
    got = ntk(np.array([1.0, 5.0]), Spec((1, 2), bias=False), X)
    want = np.einsum("nm,kj->nkmj", X @ X.T, np.eye(2))
    expect.close(got, want, "the kernel of two outputs of their own")
    spec = Spec((1, 1, 2), "linear", bias=False)
    got = ntk_by_layer(np.array([1.0, 1.0, -1.0]), spec, X)[0]
    want = np.einsum("nm,kj->nkmj", X @ X.T, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    expect.close(got, want, "the kernel of the first layer under outputs f and -f")


def test_the_kernel_has_the_eigenvalues_of_the_gauss_newton_matrix():
    """J J^T (6 of them) and J^T J (17) share those that are not 0."""
    theta, X, _ = problem(SPECS[0])
    kernel = np.linalg.eigvalsh(ntk(theta, SPECS[0], X).reshape(6, 6))
    J = slopes(theta, SPECS[0], X).reshape(6, -1)
    matrix = np.linalg.eigvalsh(J.T @ J)
    expect.close(kernel, matrix[-6:], "eigenvalues of the kernel", rtol=1e-8)
    expect.true(bool(kernel[0] > 0), f"the smallest eigenvalue is {kernel[0]}, expected positive")


def test_a_small_step_moves_all_outputs_as_the_kernel_says():
    """theta - h J^T c moves f by -h Theta c + O(h^2)."""
    spec = SPECS[0]
    theta, X, X2 = problem(spec, seed=5)
    c = np.random.default_rng(1).normal(size=(3, 2))
    moved = np.tensordot(ntk(theta, spec, X2, X), c, axes=2)
    J = slopes(theta, spec, X)
    step = 1e-5 * np.tensordot(J, c, axes=((0, 1), (0, 1)))
    change = (forward(theta + step, spec, X2)[0] - forward(theta - step, spec, X2)[0]) / 2e-5
    expect.close(change, moved, "the change of the outputs for other examples", rtol=1e-6)


# The parametrisation


def test_factors_of_the_parametrisation():
    spec = Spec((4, 9, 2))
    expect.close(
        np.array(ntk_scales(spec, 3.0, 0.5)), np.array([[1.5, 0.5], [1.0, 0.5]]), "sigma_w 3, sigma_b 0.5"
    )
    expect.close(np.array(ntk_scales(spec)), np.array([[0.5, 1.0], [1 / 3, 1.0]]), "the default")


def test_the_factor_of_each_parameter():
    scales = [(2.0, 3.0), (5.0, 7.0)]
    got = spread(scales, Spec((2, 3, 1)))
    expect.close(got, np.array([2.0] * 6 + [3.0] * 3 + [5.0] * 3 + [7.0]), "factors of sizes 2, 3, 1")
    got = spread(scales, Spec((2, 3, 1), bias=False))
    expect.close(got, np.array([2.0] * 6 + [5.0] * 3), "factors without biases")


@pytest.mark.parametrize("spec", SPECS, ids=NAMES)
def test_the_kernel_of_what_is_trained(spec):
    """theta = s omega: the gradients by omega are those by theta times s."""
    theta, X, X2 = problem(spec, seed=3)
    scales = [(0.5 + i, 0.2 + 0.3 * i) for i in range(len(spec.sizes) - 1)]
    layer, bias = owners(spec)
    s = np.array([scales[i - 1][int(b)] for i, b in zip(layer, bias, strict=True)])
    J, J2 = slopes(theta, spec, X) * s, slopes(theta, spec, X2) * s
    expect.close(ntk(theta, spec, X, scales=scales), products(J, J), "the kernel by omega", rtol=1e-10)
    got = ntk_by_layer(theta, spec, X, X2, scales=scales)
    for i in range(1, len(spec.sizes)):
        want = products(J[:, :, layer == i], J2[:, :, layer == i])
        expect.close(got[i - 1], want, f"the kernel of layer {i} by omega", rtol=1e-10)


def test_a_wide_network_has_the_kernel_of_the_limit():
    """ReLU, sigma_w = sqrt(2), unit vectors at the angle a: (pi - a) cos(a) / pi, and that + sin(a) / pi.

    Over 20 seeds the largest error at width 4096 has mean 0.050 and standard deviation 0.017.
    """
    spec = Spec((2, 4096, 1), "relu", bias=False)
    a = np.linspace(0, np.pi, 7)
    X = np.stack([np.cos(a), np.sin(a)], axis=1)
    scales = ntk_scales(spec, math.sqrt(2))
    theta = spread(scales, spec) * np.random.default_rng(0).normal(size=3 * 4096)
    got = ntk_by_layer(theta, spec, X[:1], X, scales=scales)[:, 0, 0, :, 0]
    first = (np.pi - a) * np.cos(a) / np.pi
    want = np.stack([first, first + np.sin(a) / np.pi])
    expect.close(got, want, "the kernels of both layers at width 4096", atol=0.12, rtol=0)


def drift(width, seed):
    """The relative change of the kernel by 60 steps, under the NTK parametrisation."""
    spec = Spec((1, width, 1))
    scales = ntk_scales(spec, 1.5, 0.5)
    s = spread(scales, spec)
    theta = s * np.random.default_rng(seed).normal(size=spec.parameters)
    X = np.linspace(-1, 1, 6)[:, None]
    before = ntk(theta, spec, X, scales=scales)
    lr = 1 / np.linalg.eigvalsh(before.reshape(6, 6))[-1]  # of 1/2 |r|^2, 3 times the mean
    for _ in range(60):
        theta = theta - 3 * lr * s**2 * value_and_gradient(theta, spec, X, np.sin(3 * X))[1]
    return relative_change(before, ntk(theta, spec, X, scales=scales))


def test_the_kernel_moves_less_in_wider_networks():
    """Over 12 groups of 8 seeds the change at 16 is 8.7 times that at 256, standard deviation 1.6."""
    changes = [float(np.mean([drift(width, seed) for seed in range(8)])) for width in (16, 256)]
    expect.true(
        changes[0] / changes[1] > 2 and changes[1] < 0.1,
        f"the kernel changes by {changes} at widths 16 and 256: expected it to fall",
    )


def test_the_relative_change_by_hand():
    before = np.array([[3.0, 0.0], [0.0, 4.0]])
    with expect.unchanged(before):
        got = relative_change(before, before + np.array([[0.0, 0.5], [0.0, 0.0]]))
    expect.close(got, 0.1, "|change| = 0.5 over |before| = 5")
    expect.close(relative_change(2 * before, before), 0.5, "half of what it was")
    expect.close(relative_change(np.ones((1, 2, 1, 2)), 4 * np.ones((1, 2, 1, 2))), 3.0, "four axes")


# Lazy training


def kernel_and_residuals(shape=(3, 2), seed=0):
    rng = np.random.default_rng(seed)
    J = rng.normal(size=(*shape, 9))
    return np.tensordot(J, J, axes=(-1, -1)), rng.normal(size=shape)


def test_descent_on_a_linear_network_is_lazy_exactly():
    """One layer: the kernel never changes, and (I - lr Theta)^k r0 is what training does."""
    spec = Spec((2, 3))
    rng = np.random.default_rng(0)
    theta, X, Y = rng.normal(size=9), rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    kernel, r0 = ntk(theta, spec, X), forward(theta, spec, X)[0] - Y
    for k in range(1, 8):
        theta = (
            theta - 0.05 * 6 * value_and_gradient(theta, spec, X, Y)[1]
        )  # of 1/2 |r|^2: 12 / 2 times the mean's
        got = lazy_gd(kernel, r0, 0.05, k)
        expect.close(got, forward(theta, spec, X)[0] - Y, f"residuals after {k} steps", rtol=1e-9)


def test_descent_step_by_step():
    kernel, r0 = kernel_and_residuals()
    A, r = kernel.reshape(6, 6), r0.reshape(6)
    with expect.unchanged(kernel, r0):
        got = lazy_gd(kernel, r0, 0.03, np.arange(6))
    expect.equal(got.shape, (6, 3, 2), "shape of the residuals at 6 times")
    for k in range(6):
        expect.close(got[k], r.reshape(3, 2), f"residuals after {k} steps", rtol=1e-9, atol=1e-11)
        r = r - 0.03 * A @ r
    expect.close(lazy_gd(A, r0.reshape(6), 0.03, 2), got[2].reshape(6), "of a plain matrix", rtol=1e-9)
    expect.close(
        lazy_gd(kernel, r0, 0.03, [5]), got[5:], "for one step count in a list", rtol=1e-9, atol=1e-11
    )


def test_the_flow_is_the_exponential_of_the_kernel():
    kernel, r0 = kernel_and_residuals(seed=1)
    ts = np.array([0.0, 0.02, 0.1])
    with expect.unchanged(kernel, r0, ts):
        got = lazy_flow(kernel, r0, ts)
    expect.equal(got.shape, (3, 3, 2), "shape of the residuals at 3 times")
    A = kernel.reshape(6, 6)
    for t, here in zip(ts, got, strict=True):
        term = want = r0.reshape(6)
        for n in range(1, 60):  # the series of exp(-A t) r0
            term = -t * A @ term / n
            want = want + term
        expect.close(here, want.reshape(3, 2), f"residuals at t = {t}", rtol=1e-8, atol=1e-10)
        expect.close(lazy_flow(kernel, r0, float(t)), here, f"a single time {t}", rtol=1e-10)
        expect.close(lazy_flow(kernel, r0, [t]), here[None], f"a list of the time {t}", rtol=1e-10)


def test_each_mode_has_its_rate():
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    kernel = q * np.array([4.0, 1.0, 0.0]) @ q.T
    r0 = q @ np.array([1.0, 2.0, -3.0])
    want = np.array([math.exp(-2), 2 * math.exp(-0.5), -3.0])
    expect.close(q.T @ lazy_flow(kernel, r0, 0.5), want, "modes of the flow at 0.5", rtol=1e-10)
    want = np.array([-0.2, 2 * 0.7, -3.0])
    expect.close(q.T @ lazy_gd(kernel, r0, 0.3, 1), want, "modes after a step of 0.3", rtol=1e-10)
    expect.close(
        q.T @ lazy_gd(kernel, r0, 0.5, 9), np.array([-1.0, 2 / 512, -3.0]), "at the edge", rtol=1e-10
    )
    far = lazy_flow(kernel, r0, 1e6)
    expect.close(q.T @ far, np.array([0.0, 0.0, -3.0]), "what no time removes", atol=1e-8)


def test_without_a_kernel_nothing_is_learned():
    zero, r0 = np.zeros((2, 2)), np.array([3.0, -1.0])
    with expect.quiet("a kernel of zeros"):
        ends = lazy_flow(zero, r0, 5.0), lazy_gd(zero, r0, 0.1, 7), lazy_predict(zero, zero, r0, r0, math.inf)
    for end, what in zip(ends, ("the flow", "descent", "the end of the flow"), strict=True):
        expect.close(end, np.array([3.0, -1.0]), f"residuals after {what}")


def test_predictions_by_hand():
    """One example: f(t) = f0 - k (1 - exp(-a t)) / a r0, with a = 2, k = 3, r0 = 5, f0 = 1."""
    kernel, cross, r0, f0 = np.array([[2.0]]), np.array([[3.0]]), np.array([5.0]), np.array([1.0])
    for t in (0.0, 0.25, 2.0):
        want = 1 - 3 * (1 - math.exp(-2 * t)) / 2 * 5
        expect.close(
            lazy_predict(kernel, cross, r0, f0, t), np.array([want]), f"the output at t = {t}", rtol=1e-10
        )
    expect.close(lazy_predict(kernel, cross, r0, f0, math.inf), np.array([-6.5]), "the output in the end")


@pytest.mark.parametrize("t", [0.5, 1e4])
def test_predictions_under_a_singular_kernel(t):
    """f0 - c for a cross kernel I: what eigenvalues of 0 integrate, and tiny ones, which are slow."""
    q = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    kernel, modes = q * np.array([4.0, 1e-4, 0.0]) @ q.T, np.array([1.0, 2.0, -3.0])
    with expect.quiet("a singular kernel"):
        got = lazy_predict(kernel, np.eye(3), q @ modes, np.zeros(3), t)
    want = modes * np.array([-math.expm1(-4 * t) / 4, -math.expm1(-1e-4 * t) / 1e-4, t])
    expect.close(-(q.T @ got), want, f"c at t = {t} along eigenvalues 4, 1e-4 and 0", rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_what_counts_as_an_eigenvalue_of_zero_is_relative(scale):
    """1e-10 of the largest eigenvalue is not 0, 1e-14 of it is."""
    a, r0 = np.array([1.0, 1e-10, 1e-14]), np.array([3.0, 1e-10, 1.0])
    got = lazy_predict(scale * np.diag(a), scale * np.eye(3), r0, np.zeros(3), math.inf)
    expect.close(got, np.array([-3.0, -1.0, 0.0]), f"-r0 / eigenvalue, where it is not 0, scale {scale}")


def test_predictions_for_the_training_examples_are_their_residuals():
    kernel, r0 = kernel_and_residuals(seed=2)
    target = np.random.default_rng(5).normal(size=(3, 2))
    with expect.unchanged(kernel, r0):
        got = lazy_predict(kernel, kernel, r0, target + r0, 0.07)
    expect.close(got - target, lazy_flow(kernel, r0, 0.07), "f - y at t = 0.07", rtol=1e-8, atol=1e-10)
    got = lazy_predict(kernel, kernel, r0, target + r0, math.inf)
    expect.close(got, target, "outputs in the end: the targets", rtol=1e-7)


def test_in_the_end_a_linear_network_has_the_nearest_solution():
    """Three examples, eight parameters: of all that fit, the flow finds the one nearest to its start."""
    spec = Spec((3, 2))
    rng = np.random.default_rng(6)
    theta, X, X2, Y = (
        rng.normal(size=8),
        rng.normal(size=(3, 3)),
        rng.normal(size=(5, 3)),
        rng.normal(size=(3, 2)),
    )
    J = slopes(theta, spec, X).reshape(6, 8)
    r0 = forward(theta, spec, X)[0] - Y
    end = theta - J.T @ np.linalg.solve(J @ J.T, r0.reshape(6))
    kernel, cross, f0 = ntk(theta, spec, X), ntk(theta, spec, X2, X), forward(theta, spec, X2)[0]
    got = lazy_predict(kernel, cross, r0, f0, math.inf)
    expect.close(got, forward(end, spec, X2)[0], "outputs for 5 other examples", rtol=1e-8)


def test_in_the_end_nothing_is_learned_along_eigenvalues_of_zero():
    """The same input twice, with two targets: their mean is learned, their difference is not."""
    x = np.array([1.0, 1.0, -0.7])
    kernel = np.outer(x, x) + np.outer(x**2, x**2)
    r0 = np.array([1.0, 3.0, 0.5])
    with expect.quiet("a kernel of rank 2"):
        got = lazy_predict(kernel, kernel, r0, r0, math.inf)
    expect.close(got, np.array([-1.0, 1.0, 0.0]), "what is left of the residuals 1, 3 and 0.5", atol=1e-8)


# Errors


def test_shapes_that_do_not_fit_are_named():
    kernel, r0 = kernel_and_residuals()
    for call in (lambda r: lazy_flow(kernel, r, 1.0), lambda r: lazy_gd(kernel, r, 0.1, 3)):
        with expect.raises(ValueError, "(3, 2, 3, 2)", "(6,)"):
            call(r0.reshape(6))
    with expect.raises(ValueError, "(3, 2, 3, 2)", "(2, 3)"):
        lazy_predict(kernel, kernel, r0.T, np.zeros((3, 2)), 1.0)
    for shape in ((4, 2), (2, 3), (3, 1)):
        with expect.raises(ValueError, "(3, 2, 3, 2)", str(shape), "(3, 2)"):
            lazy_predict(kernel, kernel, r0, np.zeros(shape), 1.0)
    for before, after in (((2, 2), (3, 3)), ((2, 2), (1, 2)), ((2, 3), (3, 2))):
        with expect.raises(ValueError, str(before), str(after)):
            relative_change(np.ones(before), np.ones(after))


def test_kernels_that_are_not_symmetric_or_zero_are_refused():
    skew = np.array([[1.0, 0.5], [0.0, 1.0]])
    for call in (
        lambda: lazy_flow(skew, np.ones(2), 1.0),
        lambda: lazy_gd(skew, np.ones(2), 0.1, 3),
        lambda: lazy_predict(skew, skew, np.ones(2), np.ones(2), 1.0),
        lambda: lazy_predict(skew, skew, np.ones(2), np.ones(2), math.inf),
    ):
        with expect.raises(ValueError):
            call()
    with expect.raises(ValueError):
        relative_change(np.zeros((2, 2)), np.ones((2, 2)))


def test_scales_for_another_number_of_layers_are_refused():
    theta, X, _ = problem(SPECS[0])
    with expect.raises(ValueError, "3", "2"):
        spread([(1.0, 1.0)] * 3, SPECS[0])
    with expect.raises(ValueError, "1", "2"):
        ntk_by_layer(theta, SPECS[0], X, scales=[(1.0, 1.0)])
    with expect.raises(ValueError, "1", "2"):
        ntk(theta, SPECS[0], X, scales=[(1.0, 1.0)])


def test_parameters_and_inputs_of_another_size_are_refused():
    theta, X, _ = problem(SPECS[0])
    for call in (parameter_jacobian, ntk, ntk_by_layer):
        with expect.raises(ValueError, "(16,)", "17"):
            call(theta[1:], SPECS[0], X)
        with expect.raises(ValueError, "(3, 1)", "2"):
            call(theta, SPECS[0], X[:, :1])
