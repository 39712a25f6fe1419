"""The same function in other parameters: what rescaling does to a network, its curvature, and a descent."""

import math

import numpy as np
import pytest

from curriculum.testing import expect
from dynamics.credit.mlp_backprop import Spec
from dynamics.geometry.reparametrisation import change_units, descend, relative_sharpness, rescale, sharpness

DEEP = Spec((3, 4, 5, 2), hidden="relu")  # P = 16 + 25 + 12 = 53


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def arrays(theta, spec):
    """Weights and biases of theta by layer, as copies."""
    out, at = [], 0
    for fan_in, fan_out in zip(spec.sizes, spec.sizes[1:], strict=False):
        W = theta[at : at + fan_out * fan_in].reshape(fan_out, fan_in).copy()
        at += fan_out * fan_in
        b = theta[at : at + fan_out * spec.bias].copy()
        at += fan_out * spec.bias
        out.append((W, b))
    return out


def network(theta, spec, X):
    """Outputs of the network, sample by sample."""
    rows = []
    for h in X:
        layers = arrays(theta, spec)
        for i, (W, b) in enumerate(layers):
            h = W @ h + b if spec.bias else W @ h
            if i + 1 < len(layers) and spec.hidden == "relu":
                h = np.maximum(h, 0)
        rows.append(h)
    return np.array(rows)


def hessian(f, theta, h=1e-3):
    """The Hessian of f by differences of its values, exact for a quadratic but for rounding."""
    n, eye = len(theta), h * np.eye(len(theta))
    H = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            p, m = eye[i] + eye[j], eye[i] - eye[j]
            H[i, j] = (f(theta + p) - f(theta + m) - f(theta - m) + f(theta - p)) / (4 * h * h)
    return (H + H.T) / 2


def symmetric(values, seed=0):
    """A symmetric matrix with these eigenvalues."""
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))[0]
    return q * np.array(values, float) @ q.T


def times(A):
    """The product with a matrix, of arrays that it may not share."""
    return lambda v: A @ v


# Rescaling a network


def test_rows_are_multiplied_and_columns_divided(rng):
    theta = rng.standard_normal(53)
    a = np.array([2.0, 0.5, 3.0, 10.0])
    with expect.unchanged(theta, a):
        got = rescale(theta, DEEP, 1, a)
    (W1, b1), (W2, b2), (W3, b3) = arrays(theta, DEEP)
    for i in range(4):
        W1[i], b1[i], W2[:, i] = W1[i] * a[i], b1[i] * a[i], W2[:, i] / a[i]
    want = np.concatenate([x.ravel() for x in (W1, b1, W2, b2, W3, b3)])
    expect.close(got, want, "theta with layer 1 rescaled by (2, 1/2, 3, 10)", dtype=float)
    one = rescale(theta, DEEP, 2, 7)
    (W1, b1), (W2, b2), (W3, b3) = arrays(theta, DEEP)
    want = np.concatenate([x.ravel() for x in (W1, b1, 7 * W2, 7 * b2, W3 / 7, b3)])
    expect.close(one, want, "theta with layer 2 rescaled by 7")
    expect.true(not np.shares_memory(one, theta), "the result shares memory with theta: expected a new array")


@pytest.mark.parametrize("hidden", ["relu", "linear"])
@pytest.mark.parametrize("bias", [True, False])
def test_the_function_stays(rng, hidden, bias):
    spec = Spec((3, 4, 5, 2), hidden=hidden, bias=bias)
    theta, X = rng.standard_normal(spec.parameters), rng.standard_normal((9, 3))
    for layer, width in ((1, 4), (2, 5)):
        other = rescale(theta, spec, layer, np.exp(rng.standard_normal(width)))
        expect.close(
            network(other, spec, X), network(theta, spec, X), f"outputs, layer {layer} rescaled", rtol=1e-10
        )
        moved = float(np.max(np.abs(other - theta)))
        expect.true(moved > 0.1, f"theta moved by {moved:.3g}: it was to be rescaled")


def test_factors_multiply_and_inverses_undo(rng):
    theta = rng.standard_normal(53)
    twice = rescale(rescale(theta, DEEP, 1, 3.0), DEEP, 1, 4.0)
    expect.close(twice[:16], 12 * theta[:16], "W_1 and b_1 after factors 3 and 4")
    expect.close(twice, rescale(theta, DEEP, 1, 12.0), "factors 3 and 4, and factor 12")
    expect.close(rescale(twice, DEEP, 1, np.full(4, 1 / 12)), theta, "undone by 1/12 for each neuron")


# Units


def test_a_hessian_in_other_units(rng):
    H, s, v = symmetric([3.0, -1.0, 0.5]), np.array([2.0, -1.0, 0.0]), rng.standard_normal(3)
    with expect.unchanged(s, v):
        got = change_units(times(H), s)(v)
    want = [sum(s[i] * H[i, j] * s[j] * v[j] for j in range(3)) for i in range(3)]
    expect.close(got, np.array(want), "S H S v")
    s[0] = 100.0
    expect.close(change_units(times(H), s)(v)[1], -(H @ (s * v))[1], "S H S v of another scale")


def test_the_scale_is_the_one_of_the_call():
    s = np.array([2.0, 3.0])
    product = change_units(times(np.eye(2)), s)
    s[:] = 50.0
    expect.close(product(np.ones(2)), np.array([4.0, 9.0]), "S S v, after the caller changed the array")


def test_units_are_the_chain_rule(rng):
    """The Hessian of phi -> L(s * phi), by differences."""
    H, s = symmetric([4.0, 1.0, -2.0], seed=1), np.array([0.5, 2.0, 3.0])

    def f(phi):
        return float((s * phi) @ H @ (s * phi)) / 2

    want = hessian(f, rng.standard_normal(3), h=0.5)
    got = np.column_stack([change_units(times(H), s)(e) for e in np.eye(3)])
    expect.close(got, want, "S H S, and the Hessian of L(s * phi)", rtol=1e-9)


# Sharpness


@pytest.mark.parametrize(
    "values",
    [[5.0, 2.0, 1.0], [7.0, -10.0, 1.0], [-3.0, -1.0, -2.0], [0.0, 0.0], [2.0], [3.0, 3.0, 1.0]],
    ids=str,
)
def test_sharpness_is_the_largest_by_value(rng, values):
    got = sharpness(times(symmetric(values)), len(values), rng=rng)
    expect.close(got, max(values), f"sharpness with eigenvalues {values}", rtol=1e-6, atol=1e-12)
    with_anchor = sharpness(times(symmetric([*values, 20.0])), len(values) + 1, rng=rng)
    expect.close(with_anchor, 20.0, f"sharpness with eigenvalues {values} and 20", rtol=1e-6)


def test_sharpness_grows_as_the_units_shrink(rng):
    H = symmetric(np.linspace(1, 9, 8))
    for a in (0.1, 7.0):
        got = sharpness(change_units(times(H), np.full(8, a)), 8, rng=rng)
        expect.close(got, 9 * a * a, f"sharpness in units {a} times as large", rtol=1e-6)


def relative_to_ones(mv, n, **settings):
    """The relative sharpness where every parameter is 1: the sharpness."""
    return relative_sharpness(mv, np.ones(n), **settings)


@pytest.mark.parametrize("measure", [sharpness, relative_to_ones])
def test_few_products_may_do_from_a_random_start(measure):
    """300 dimensions, an outlier, 12 products: Lanczos has it, from whatever start."""
    d, seen = np.r_[np.linspace(-1, 1, 299), 50.0], []

    def mv(v):
        seen.append(v / np.linalg.norm(v))
        return d * v

    firsts = []
    for seed in range(2):
        seen.clear()
        got = measure(mv, 300, rng=np.random.default_rng(seed), steps=12)
        expect.close(got, 50.0, "sharpness after 12 products", rtol=1e-6)
        expect.true(len(seen) <= 12, f"{len(seen)} products, expected at most steps=12")
        firsts.append(seen[0])
    same = float(abs(firsts[0] @ firsts[1]))
    expect.true(
        same < 0.9, f"the starts from two generators have the |cosine| {same:.3f}: expected a draw of rng"
    )


def test_relative_sharpness_by_definition(rng):
    H, theta = symmetric([6.0, 2.0, -9.0, 1.0]), np.array([2.0, -0.5, 0.0, 3.0])
    D = np.diag([2.0, 0.5, 0.0, 3.0])
    with expect.unchanged(theta):
        got = relative_sharpness(times(H), theta, rng=rng)
    expect.close(got, float(np.linalg.eigvalsh(D @ H @ D)[-1]), "largest eigenvalue of D H D", rtol=1e-6)
    none = relative_sharpness(times(H), np.zeros(4), rng=rng)
    expect.close(none + got, got, "with theta = 0 added to it", rtol=1e-6)


def test_two_weights_in_closed_form(rng):
    """L = (w1 w2 - 1)^2 at w1 w2 = 1: sharpness 2 (w1^2 + w2^2), relative 4, wherever on the valley."""
    for w in (1.0, 0.1, 30.0):
        g = np.array([1 / w, w])
        mv = times(2 * np.outer(g, g))
        expect.close(
            sharpness(mv, 2, rng=rng), 2 * (w * w + 1 / w / w), f"sharpness at ({w}, {1 / w})", rtol=1e-6
        )
        relative = relative_sharpness(mv, np.array([w, 1 / w]), rng=rng)
        expect.close(relative, 4.0, f"relative sharpness at ({w}, {1 / w})", rtol=1e-6)


@pytest.mark.parametrize("factor", [7.0, np.array([8.0, 1 / 8, 3.0])], ids=["layer", "neurons"])
def test_the_same_network_is_sharper_and_relatively_as_sharp(rng, factor):
    """A network of ReLUs on targets that it makes itself, with no pre-activation within 0.6 of the kink."""
    spec = Spec((2, 3, 1), hidden="relu")
    theta, X = np.random.default_rng(6).standard_normal(13), np.random.default_rng(5).standard_normal((6, 2))
    target = network(theta, spec, X)

    def curvature(point, scale):
        def f(phi):
            return float(np.mean((network(point + scale * phi, spec, X) - target) ** 2))

        return hessian(f, np.zeros(13)) / np.outer(scale, scale)

    other = rescale(theta, spec, 1, factor)
    by = np.abs(other / theta)
    H, rescaled = curvature(theta, np.ones(13)), curvature(other, by)
    expect.close(rescaled, H / np.outer(by, by), "Hessian of the rescaled network and A^-1 H A^-1", rtol=1e-4)
    before, after = (sharpness(times(x), 13, rng=rng) for x in (H, rescaled))
    expect.true(
        after > 4 * before, f"sharpness {before:.4g} became {after:.4g}, expected more than 4 times it"
    )
    relative = [relative_sharpness(times(x), t, rng=rng) for x, t in ((H, theta), (rescaled, other))]
    expect.close(relative[1], relative[0], "relative sharpness after rescaling", rtol=1e-4)


# A descent in other units


def test_descent_in_phi_seen_in_theta(rng):
    """The seed's ravine, diag(20, 1) with units (0.2, -3), stepped in phi and mapped back."""
    A, s = np.diag([20.0, 1.0]), np.array([0.2, -3.0])
    theta = np.array([5.0, -4.0])
    with expect.unchanged(theta, s):
        path = descend(lambda x: A @ x, theta, s, 0.05, 70)
    phi, want = theta / s, [theta]
    for _ in range(70):
        phi = phi - 0.05 * s * (A @ (s * phi))
        want.append(s * phi)
    expect.close(path, np.array(want), "70 steps of lr 0.05 in phi", rtol=1e-10, dtype=float)
    plain = descend(lambda x: A @ x, theta, np.ones(2), 0.05, 3)
    expect.close(plain[:, 1], -4 * 0.95 ** np.arange(4.0), "gradient descent, in units of 1")
    expect.equal(descend(lambda x: A @ x, theta, s, 0.05, 0).tolist(), [[5.0, -4.0]], "no steps: the start")
    still = descend(lambda x: A @ x, theta, s, 0.0, 2)
    expect.close(still, np.array([[5.0, -4.0]] * 3), "two steps of lr 0")


def test_the_gradient_gets_an_array_of_its_own():
    def spoils(x):
        g = x.copy()
        x[:] = math.nan
        return g

    path = descend(spoils, [1.0, 2.0], [1.0, 2.0], 0.1, 2)
    expect.close(path, np.array([[1.0, 2.0], [0.9, 1.2], [0.81, 0.72]]), "two steps on |x|^2 / 2")


def test_the_edge_is_that_of_the_units():
    """Stable below lr lambda_max(S H S) = 2, whatever lambda_max(H) is."""
    H, s = symmetric([9.0, 4.0, 1.0]), np.array([0.3, 1.0, 2.0])
    edge = 2 / float(np.linalg.eigvalsh(s[:, None] * H * s)[-1])
    ends = [descend(lambda x: H @ x, np.ones(3), s, lr, 400) for lr in (0.98 * edge, 1.02 * edge)]
    sizes = [float(np.linalg.norm(x[-1] / x[0])) for x in ends]
    expect.true(
        0 < sizes[0] < 0.5, f"below the edge |theta| ends at {sizes[0]:.3g} of the start, expected < 0.5"
    )
    expect.true(100 < sizes[1] < math.inf, f"above the edge it ends at {sizes[1]:.3g}, expected > 100")


# Errors


def test_networks_that_cannot_be_rescaled_are_refused():
    with expect.raises(ValueError, "tanh"):
        rescale(np.ones(13), Spec((2, 3, 1)), 1, 2.0)
    for layer in (0, 3, -1):
        with expect.raises(ValueError, str(layer), "2"):
            rescale(np.ones(53), DEEP, layer, 2.0)
    with expect.raises(ValueError, "1", "0"):
        rescale(np.ones(3), Spec((2, 1), hidden="relu"), 1, 2.0)
    for bad in (np.ones(5), np.ones((4, 1)), np.ones(1)):
        with expect.raises(ValueError, str(bad.shape), "4"):
            rescale(np.ones(53), DEEP, 1, bad)
    for bad in (0.0, -1.0, math.inf, math.nan, np.array([1.0, 1.0, -2.0, 1.0])):
        with expect.raises(ValueError):
            rescale(np.ones(53), DEEP, 1, bad)
    with expect.raises(ValueError, "(52,)", "53"):
        rescale(np.ones(52), DEEP, 1, 2.0)


def test_scales_that_do_not_fit_are_refused(rng):
    mv = times(np.eye(3))
    with expect.raises(ValueError, "(1, 3)"):
        change_units(mv, np.ones((1, 3)))
    for bad in (math.nan, math.inf):
        with expect.raises(ValueError, "(3,)"):
            change_units(mv, np.array([1.0, bad, 1.0]))
    for shape in ((1,), (3, 1)):
        with expect.raises(ValueError, str(shape), "(3,)"):
            change_units(mv, np.ones(3))(np.ones(shape))
    for measure in (sharpness, relative_to_ones):
        with expect.raises(ValueError, "0"):
            measure(mv, 3, rng=rng, steps=0)
    with expect.raises(ValueError, "(3, 1)"):
        relative_sharpness(mv, np.ones((3, 1)), rng=rng)
    for shape in ((1,), (2, 1)):
        with expect.raises(ValueError, str(shape), "(2,)"):
            descend(lambda x: x, np.ones(2), np.ones(shape), 0.1, 2)
    for lr, steps, named in ((-0.5, 2, "-0.5"), (math.nan, 2, "nan"), (0.1, -3, "-3")):
        with expect.raises(ValueError, named):
            descend(lambda x: x, np.ones(2), np.ones(2), lr, steps)
