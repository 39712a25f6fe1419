"""nn_core.conv.winograd: its identity, against loops, as an adjoint, in float32, inside conv2d."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from foundations.shaping import reshape
from nn_core.conv import conv2d as plain
from nn_core.conv import winograd
from nn_core.conv.conv2d import Geometry, conv2d
from nn_core.conv.winograd import (
    TILE,
    enable,
    pays,
    squared,
    tiles,
    transforms,
    winograd_correlate,
    winograd_gather,
)

SIZES = [  # image (N, H, W, C), K, m
    pytest.param((1, 6, 6, 1), 1, 4, id="one tile"),
    pytest.param((2, 10, 14, 3), 2, 4, id="2 x 3 tiles"),
    pytest.param((2, 9, 12, 2), 3, 4, id="7 x 10 outputs: not divisible"),
    pytest.param((3, 3, 8, 2), 2, 4, id="one line of outputs"),
    pytest.param((1, 3, 3, 2), 4, 4, id="one output"),
    pytest.param((2, 8, 7, 2), 3, 2, id="tiles of 2"),
    pytest.param((1, 9, 11, 3), 2, 3, id="tiles of 3"),
    pytest.param((2, 5, 4, 3), 2, 1, id="tiles of 1"),
    pytest.param((1, 15, 9, 2), 2, 6, id="tiles of 6"),
    pytest.param((70, 6, 7, 48), 3, 4, id="more images than a part holds"),
]


def arrays(shape, k, seed=3):
    """image, weight and grad in float64: (N, H, W, C), (3, 3, C, K), (N, H - 2, W - 2, K)."""
    rng, (n, h, w, c) = np.random.default_rng(seed), shape
    draw = rng.standard_normal
    return draw(shape), draw((3, 3, c, k)), draw((n, h - 2, w - 2, k))


def correlated(image, weight):
    """y[n, i, j, k] = sum over u, v, c of image[n, i + u, j + v, c] weight[u, v, c, k], weight by weight."""
    n, i, j = image.shape[0], image.shape[1] - 2, image.shape[2] - 2
    y = np.zeros((n, i, j, weight.shape[3]))
    for u, v in np.ndindex(3, 3):
        y += np.tensordot(image[:, u : u + i, v : v + j], weight[u, v], 1)
    return y


def gathered(image, g):
    """dL/dw[u, v] = sum over all places of what weight (u, v) saw there, times g."""
    (_, i, j, k), c = g.shape, image.shape[3]
    total = np.zeros((3, 3, c, k))
    for u, v in np.ndindex(3, 3):
        total[u, v] = np.tensordot(image[:, u : u + i, v : v + j], g, ((0, 1, 2), (0, 1, 2)))
    return total


def filtered(matrices, d, weights):
    """A^T [(G g) * (B^T d)]."""
    a_t, g, b_t = matrices
    return a_t @ ((g @ weights) * (b_t @ d))


def layer(shape, k, groups=1, seed=5):
    """x, weight, bias and dL/dy for a 3 x 3 layer with padding 1, in float64."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((k, shape[1] // groups, 3, 3))
    g = rng.standard_normal((shape[0], k, *shape[2:]))
    return rng.standard_normal(shape), weight, rng.standard_normal(k), g


def defined(x, weight, bias=0.0, groups=1):
    """conv2d with padding 1 from `correlated`, a group at a time."""
    image = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernels, c = weight.transpose(2, 3, 1, 0), weight.shape[1]
    each = zip(range(groups), np.split(kernels, groups, axis=3), strict=True)
    y = [correlated(image[..., i * c : (i + 1) * c], one) for i, one in each]
    return (np.concatenate(y, axis=3) + bias).transpose(0, 3, 1, 2)


@contextmanager
def enabled(on: bool = True) -> Iterator[None]:
    """Winograd's way and no other for conv2d, or none at all; afterwards all is as it was."""
    before = list(plain.methods)
    plain.methods.clear()
    try:
        if on:
            enable()
        yield
    finally:
        plain.methods[:] = before


def through(inputs, g, on, **settings):
    """y of conv2d and the gradients of <g, y> by ``inputs``, as arrays, with Winograd's way on or off."""
    tensors = [Tensor(a, requires_grad=True) for a in inputs]
    with enabled(on):
        y = conv2d(*tensors, padding=1, **settings)
        return [y.data, *[found.data for found in grad(y, tensors, g)]]


NAMED = ("conv2d", "the gradient with respect to x", "the gradient with respect to weight")

# The identity.


@pytest.mark.parametrize("r", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 6])
def test_the_three_matrices_filter(m, r):
    a_t, g, b_t = transforms(m, r)
    n = m + r - 1
    for name, matrix, shape in (("A^T", a_t, (m, n)), ("G", g, (n, r)), ("B^T", b_t, (n, n))):
        expect.equal(matrix.shape, shape, f"the shape of {name} of F({m}, {r})")
    expected = np.zeros((m, r, n))
    for k, j in np.ndindex(m, r):
        expected[k, j, k + j] = 1.0
    found = np.einsum("ki,ij,il->kjl", a_t, g, b_t)
    what = (
        f"how often output k of F({m}, {r}) holds weight j times input l, once for l = k + j and else never,"
    )
    expect.close(found, expected, what, rtol=1e-7, atol=1e-7)


def test_four_outputs_from_six_products():
    matrices = transforms(4, 3)
    for name, matrix in zip(("A^T", "G", "B^T"), matrices, strict=True):
        expect.true(matrix.dtype == np.float64, f"{name} should be float64, yours is {matrix.dtype}")
    y = filtered(matrices, np.arange(1.0, 7.0), np.array([1.0, 10.0, 100.0]))
    expected = np.array([321.0, 432.0, 543.0, 654.0])
    expect.close(y, expected, "F(4, 3) of the inputs 1 ... 6 and the weights 1, 10, 100", rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("m", [1, 2, 4])
def test_squared_filters_along_both_axes(m, dtype):
    rng = np.random.default_rng(m)
    d, g = rng.standard_normal((m + 2, m + 2)), rng.standard_normal((3, 3))
    matrices = squared(m, np.dtype(dtype))
    e = (m + 2) ** 2
    for name, one, shape in zip(("A^T", "G", "B^T"), matrices, ((m * m, e), (e, 9), (e, e)), strict=True):
        expect.equal(one.shape, shape, f"the shape of {name} for tiles of {m} x {m}")
        expect.true(one.dtype == dtype, f"{name} should be {np.dtype(dtype)}, yours is {one.dtype}")
    found = filtered([one.astype(np.float64) for one in matrices], d.reshape(-1), g.reshape(-1))
    expected = correlated(d[None, :, :, None], g[:, :, None, None])[0, :, :, 0].reshape(-1)
    near = 1e-10 if dtype == np.float64 else 1e-4
    what = f"a tile of {m + 2} x {m + 2} numbers, filtered by `squared`,"
    expect.close(found, expected, what, rtol=near, atol=near)


# Tiles.


@pytest.mark.parametrize(
    ("shape", "m"),
    [((2, 10, 6, 3), 4), ((1, 7, 12, 2), 4), ((2, 3, 4, 1), 4), ((1, 6, 7, 2), 2), ((1, 5, 5, 1), 1)],
)
def test_tiles_are_what_m_by_m_outputs_see(shape, m):
    image = np.random.default_rng(1).standard_normal(shape)
    n, h, w, c = shape
    down, across = -(-(h - 2) // m), -(-(w - 2) // m)
    expected = np.zeros((m + 2, m + 2, n, down, across, c))
    for a, b, u, v in np.ndindex(m + 2, m + 2, down, across):
        if m * u + a < h and m * v + b < w:
            expected[a, b, :, u, v] = image[:, m * u + a, m * v + b]
    with expect.unchanged(image):
        found = tiles(image, m)
    expect.close(found, expected, f"tiles of {m} x {m} outputs of an image {shape}")


def test_tiles_are_a_view():
    found = tiles(np.random.default_rng(1).standard_normal((1, 6, 10, 1)), 4)
    expect.equal(
        found.shape, (6, 6, 1, 1, 2, 1), "the shape of tiles of 4 x 4 outputs of an image (1, 6, 10, 1)"
    )
    together = bool(np.shares_memory(found[:, 4:, ..., 0, :], found[:, :2, ..., 1, :]))
    message = "two neighbouring tiles see the same two columns of the image, and should see them in the same "
    expect.true(together, message + "place in memory: return a view, as sliding_window_view makes it")


# Against loops.


@pytest.mark.parametrize(("shape", "k", "m"), SIZES)
def test_correlate_matches_the_definition(shape, k, m):
    image, weight, _ = arrays(shape, k)
    with expect.unchanged(image, weight):
        y = winograd_correlate(image, weight, m)
    what = f"winograd_correlate of image {shape} and {k} kernels, m = {m},"
    expect.close(y, correlated(image, weight), what, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("shape", "k", "m"), SIZES)
def test_gather_matches_the_definition(shape, k, m):
    image, _, g = arrays(shape, k)
    with expect.unchanged(image, g):
        found = winograd_gather(image, g, m)
    what = f"winograd_gather of image {shape} and grad {g.shape}, m = {m},"
    expect.close(found, gathered(image, g), what, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("shape", "k", "m"), SIZES)
def test_gather_is_the_adjoint_of_correlate_in_the_weight(shape, k, m):
    image, weight, g = arrays(shape, k, seed=4)
    form = float(np.sum(correlated(image, weight) * g))
    near = 1e-10 * float(np.sum(np.abs(g)))
    there = float(np.sum(winograd_correlate(image, weight, m) * g))
    back = float(np.sum(weight * winograd_gather(image, g, m)))
    expect.close(there, form, f"<correlate(x, w), g> for x {shape}, m = {m},", rtol=1e-9, atol=near)
    expect.close(back, form, f"<w, gather(x, g)> for x {shape}, m = {m},", rtol=1e-9, atol=near)


def test_without_m_tiles_are_as_large_as_tile_says():
    image, weight, g = arrays((1, 9, 8, 2), 3)
    y = winograd_correlate(image, weight)
    expect.close(y, correlated(image, weight), "winograd_correlate", rtol=1e-9)
    expect.close(winograd_gather(image, g), gathered(image, g), "winograd_gather", rtol=1e-9)


def test_any_layout_in_memory_gives_the_same():
    image, weight, g = arrays((2, 9, 8, 3), 2)
    y, by_weight = correlated(image, weight), gathered(image, g)
    wide = np.zeros((2, 9, 8, 6))
    wide[..., ::2] = image
    weight, g = np.asfortranarray(weight), np.asfortranarray(g)
    layouts = {"in Fortran order": np.asfortranarray(image), "cut out of a larger one": wide[..., ::2]}
    for array in (*layouts.values(), weight, g):
        array.flags.writeable = False  # operands belong to the caller
    for name, laid in layouts.items():
        found = winograd_correlate(laid, weight)
        expect.close(found, y, f"winograd_correlate of an image {name}", rtol=1e-9, atol=1e-9)
        found = winograd_gather(laid, g)
        expect.close(found, by_weight, f"winograd_gather of an image {name}", rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["winograd_correlate", "winograd_gather"])
def test_many_images_take_a_part_at_a_time(name, monkeypatch):
    monkeypatch.setattr(winograd, "PIECE", 1 << 14)  # 64 tiles a part, so that 1024 images are many
    squared(4, np.dtype(float))  # is remembered: no memory of one of the calls
    memory = {}
    for n in (64, 1024):
        image, weight, g = arrays((n, 6, 6, 2), 2)
        y, by_weight = correlated(image, weight), gathered(image, g)
        fn, other, expected = {
            "winograd_correlate": (winograd_correlate, weight, y),
            "winograd_gather": (winograd_gather, g, by_weight),
        }[name]
        tracemalloc.start()
        try:
            found = fn(image, other)
            memory[n] = (tracemalloc.get_traced_memory()[1] - expected.nbytes) // 1000
        finally:
            tracemalloc.stop()
        expect.close(found, expected, f"{name} of {n} images", rtol=1e-9, atol=1e-9)
    message = f"beside its result {name} takes {memory[64]} kB for 64 images and {memory[1024]} kB for 1024: "
    message += "transform the tiles of a part of the images at a time, as `parts` cuts them"
    expect.true(memory[1024] < 10 * memory[64], message)


# In float32, and in other dtypes.


@pytest.mark.parametrize("shape", [(2, 18, 18, 64), (4, 11, 13, 64)])
def test_float32_stays_float32_and_loses_a_digit_and_no_more(shape):
    image, weight, g = (a.astype(np.float32) for a in arrays(shape, 64))
    exact = [a.astype(np.float64) for a in (image, weight, g)]
    for name, found, wanted in (
        ("winograd_correlate", winograd_correlate(image, weight), correlated(*exact[:2])),
        ("winograd_gather", winograd_gather(image, g), gathered(exact[0], exact[2])),
    ):
        # measured: 3e-6 of the largest number with the points of the docstring, 9e-6 with 0, 1, -1, 2, -2
        near = 3e-5 * float(np.max(np.abs(wanted)))
        expect.close(found, wanted, f"{name} of {shape} in float32", dtype=np.float32, rtol=0.0, atol=near)


@pytest.mark.parametrize("dtypes", [("float64", "float32"), ("float32", "float64"), ("int64", "int64")])
def test_the_wider_dtype_of_the_two_wins_and_integers_become_floats(dtypes):
    image, weight, g = (np.round(4 * a) for a in arrays((2, 9, 8, 3), 2))
    first, second, third = image.astype(dtypes[0]), weight.astype(dtypes[1]), g.astype(dtypes[1])
    what = f"of an image in {dtypes[0]} and the other array in {dtypes[1]}"
    near = {"dtype": None if "int64" in dtypes else np.float64, "rtol": 1e-5, "atol": 1e-2}
    y, by_weight = correlated(image, weight), gathered(image, g)
    expect.close(winograd_correlate(first, second), y, f"winograd_correlate {what}", **near)
    expect.close(winograd_gather(first, third), by_weight, f"winograd_gather {what}", **near)


# Where it pays.


def multiplications(n, h, w, c, k):
    """Winograd's and the plain number, by counting tiles one by one."""
    rows, columns = len(range(0, h - 2, TILE)), len(range(0, w - 2, TILE))
    t, e = n * rows * columns, (TILE + 2) ** 2
    few = e * t * c * k + e * e * t * c + TILE * TILE * e * t * k + 9 * e * c * k
    return few, 9 * n * (h - 2) * (w - 2) * c * k


IMAGES = ((1, 18, 18), (64, 34, 34), (64, 6, 6), (8, 7, 9), (3, 12, 30), (64, 15, 15), (1, 226, 226))
CHANNELS = ((3, 64), (16, 16), (32, 48), (36, 37), (38, 38), (48, 32), (52, 30), (64, 64), (256, 512))


def test_it_pays_where_the_count_of_multiplications_says_so():
    for shape, (c, k) in product(IMAGES, CHANNELS):
        few, many = multiplications(*shape, c, k)
        what = f"the answer of pays, {few} multiplications against {many}, image {(*shape, c)}, kernels "
        what += f"(3, 3, {c}, {k}),"
        expect.equal(pays((*shape, c), (3, 3, c, k), Geometry()), few < 0.6 * many, what)


def test_it_does_not_pay_for_other_kernels_or_steps():
    image = (64, 34, 34, 128)
    expect.equal(pays(image, (3, 3, 128, 128), Geometry()), True, "the answer of pays for 3 x 3 kernels")
    padded = Geometry(padding=(1, 1), groups=4)
    expect.equal(pays(image, (3, 3, 128, 128), padded), True, "the answer of pays for one of 4 groups")
    for window in ((1, 1), (5, 5), (3, 1), (1, 3), (3, 5), (1, 9), (9, 1)):
        expect.equal(
            pays(image, (*window, 128, 128), Geometry()), False, f"the answer of pays for a kernel {window}"
        )
    for pair in ((2, 2), (1, 2), (2, 1)):
        for geometry in (Geometry(stride=pair), Geometry(dilation=pair)):
            expect.equal(pays(image, (3, 3, 128, 128), geometry), False, f"the answer of pays for {geometry}")


# Inside conv2d. The smallest layers that pay have some fifty channels and 25 tiles.

LAYERS = [  # x, K, groups
    pytest.param((1, 52, 20, 20), 52, 1, id="52 channels, 25 tiles"),
    pytest.param((4, 64, 11, 12), 60, 1, id="sizes that 4 does not divide"),
    pytest.param((1, 128, 16, 16), 128, 2, id="2 groups"),
]


@pytest.mark.parametrize(("shape", "k", "groups"), LAYERS)
def test_conv2d_by_winograd_is_conv2d(shape, k, groups):
    x, weight, bias, g = layer(shape, k, groups)
    tensors = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    with enabled():
        y = conv2d(*tensors, padding=1, groups=groups)
        grads = grad(y, tensors, g)
    expect.tensor(y, defined(x, weight, bias, groups), f"conv2d of x {shape} by Winograd's way", rtol=1e-9)
    u, v, _, _ = layer(shape, k, groups, seed=6)
    slopes = [defined(u, weight, 0.0, groups), defined(x, v, 0.0, groups)]
    for name, found, along, slope in zip(("x", "weight"), grads, (u, v), slopes, strict=False):
        expect.equal(found.shape, along.shape, f"the shape of the gradient with respect to {name}")
        what = f"slope of conv2d by Winograd's way along a direction in {name}, x {shape},"
        near = 1e-10 * float(np.sum(np.abs(g * slope)))
        expect.close(float(np.sum(found.data * along)), float(np.sum(g * slope)), what, rtol=1e-9, atol=near)
    expect.tensor(grads[2], g.sum((0, 2, 3)), "gradient with respect to bias", rtol=1e-9)


@pytest.mark.parametrize(("shape", "k", "groups"), LAYERS)
def test_conv2d_goes_this_way_where_it_pays(shape, k, groups):
    *inputs, g = (a.astype(np.float32) for a in layer(shape, k, groups))
    here, there = (through(inputs[:2], g, on, groups=groups) for on in (True, False))
    for name, found, usual in zip(NAMED, here, there, strict=True):
        near = 1e-4 * float(np.max(np.abs(usual)))
        expect.close(found, usual, f"{name} in float32", dtype=np.float32, rtol=0.0, atol=near)
        message = (
            f"{name} is bit for bit that of the plain way, so it did not go through Winograd's, where it pays"
        )
        expect.true(not np.array_equal(found, usual), message)


def test_the_gradients_are_right_to_second_order():
    # the layer is large, so along random directions: x, weight and y are mixtures of two arrays each
    rng, shape = np.random.default_rng(8), (1, 52, 20, 20)
    images, kernels = rng.standard_normal((2, 52 * 20 * 20)), rng.standard_normal((2, 52 * 52 * 9))
    views = rng.standard_normal((52 * 20 * 20, 2)) / 100

    def mixed(a, b):
        x, weight = reshape(a @ images, shape), reshape(b @ kernels, (52, 52, 3, 3))
        return reshape(conv2d(x, weight, padding=1), (1, -1)) @ views

    a, b = rng.standard_normal((2, 2))
    y = defined((a @ images).reshape(shape), (b @ kernels).reshape(52, 52, 3, 3))
    with enabled():
        expect.tensor(mixed(Tensor(a), Tensor(b)), y.reshape(1, -1) @ views, "two mixtures of y", rtol=1e-8)
        gradcheck(mixed, a, b, names=("a mixture of images", "a mixture of kernels"))


def test_arrays_of_other_libraries_flow_through():
    x, weight, _, _ = layer((1, 52, 20, 20), 52)
    with enabled():
        y = duck.flows(
            lambda *inputs: conv2d(*inputs, padding=1), x, weight, engine=grad, what="Winograd's way"
        )
    expect.close(y, defined(x, weight), "conv2d of another library's array", rtol=1e-9)
