"""nn_core.conv.narrow: the lines it cuts, both maps against loops and as adjoints, and inside conv2d."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor
from foundations.shaping import reshape
from nn_core.conv import conv2d as plain
from nn_core.conv.conv2d import Geometry, conv2d
from nn_core.conv.narrow import METHOD, enable, lines_of, narrow_correlate, narrow_gather, pays

CASES = [  # image (N, H, W, C), weight (R, S, C, K), stride across, dilation
    pytest.param((2, 5, 5, 3), (3, 3, 3, 4), 1, (1, 1), id="3 x 3"),
    pytest.param((2, 4, 7, 2), (2, 3, 2, 3), 1, (1, 1), id="2 x 3"),
    pytest.param((1, 6, 5, 2), (3, 2, 2, 2), 1, (1, 1), id="3 x 2"),
    pytest.param((3, 5, 4, 2), (1, 3, 2, 2), 1, (1, 1), id="one line"),
    pytest.param((2, 6, 3, 2), (4, 1, 2, 3), 1, (1, 1), id="one column"),
    pytest.param((2, 3, 4, 2), (3, 4, 2, 3), 1, (1, 1), id="as large as the image"),
    pytest.param((2, 5, 8, 2), (3, 3, 2, 2), 2, (1, 1), id="stride across 2, a column left over"),
    pytest.param((1, 4, 9, 2), (2, 2, 2, 3), 3, (1, 1), id="stride across 3"),
    pytest.param((2, 9, 6, 2), (3, 2, 2, 3), 1, (2, 1), id="dilation 2 down"),
    pytest.param((2, 5, 9, 2), (2, 3, 2, 3), 1, (1, 3), id="dilation 3 across"),
    pytest.param((2, 9, 11, 2), (3, 3, 2, 2), 2, (3, 2), id="all at once"),
    pytest.param((1, 1, 1, 1), (1, 1, 1, 1), 1, (1, 1), id="one number"),
]


def setting(across, dilation):
    return Geometry(stride=(1, across), dilation=dilation)


def places(shape, window, across, dilation):
    """(I, J): where the kernel can begin, by trying."""
    (h, w), (r, s), (d, e) = shape[1:3], window[:2], dilation
    return sum(a + d * (r - 1) < h for a in range(h)), sum(a + e * (s - 1) < w for a in range(0, w, across))


def arrays(shape, window, across, dilation, seed=3):
    """image, weight and grad in float64."""
    draw = np.random.default_rng(seed).standard_normal
    return draw(shape), draw(window), draw((shape[0], *places(shape, window, across, dilation), window[3]))


def seen(image, shape, u, v, across, dilation):
    """What weight (u, v) sees at all places: (N, I, J, C)."""
    (i, j), (d, e) = shape, dilation
    return image[:, d * u : d * u + i, e * v : e * v + across * (j - 1) + 1 : across]


def correlated(image, weight, across=1, dilation=(1, 1)):
    """The sum over the weights (u, v) of what each sees, times it."""
    shape = places(image.shape, weight.shape, across, dilation)
    y = np.zeros((len(image), *shape, weight.shape[3]))
    for u, v in np.ndindex(*weight.shape[:2]):
        y += np.tensordot(seen(image, shape, u, v, across, dilation), weight[u, v], 1)
    return y


def gathered(image, g, window, across=1, dilation=(1, 1)):
    """dL/dw[u, v]: the sum over all places of what weight (u, v) saw there, times g."""
    total = np.zeros(window)
    for u, v in np.ndindex(*window[:2]):
        total[u, v] = np.tensordot(
            seen(image, g.shape[1:3], u, v, across, dilation), g, ((0, 1, 2), (0, 1, 2))
        )
    return total


def defined(x, weight, bias=0.0, groups=1):
    """conv2d with padding 1 from `correlated`, a group at a time."""
    image = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernels, c = weight.transpose(2, 3, 1, 0), weight.shape[1]
    each = zip(range(groups), np.split(kernels, groups, axis=3), strict=True)
    y = [correlated(image[..., i * c : (i + 1) * c], one) for i, one in each]
    return (np.concatenate(y, axis=3) + bias).transpose(0, 3, 1, 2)


@contextmanager
def enabled() -> Iterator[None]:
    """This way and no other for conv2d; afterwards all is as it was."""
    before = list(plain.methods)
    plain.methods.clear()
    try:
        enable()
        yield
    finally:
        plain.methods[:] = before


def describe(name, shape, window, across, dilation):
    return f"{name} of image {shape}, kernels {window}, stride (1, {across}), dilation {dilation},"


# Lines.


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("shape", "window", "across", "dilation"), CASES)
def test_each_line_of_the_kernel_sees_its_lines_of_the_image(shape, window, across, dilation, order):
    image = np.array(arrays(shape, window, across, dilation)[0], order=order)
    (r, s, c, _), (i, j) = window, places(shape, window, across, dilation)
    numbers = []
    with expect.unchanged(image):
        for number, views in lines_of(image, (r, s), setting(across, dilation)):
            numbers.append(number)
            expect.equal(
                len(views),
                r,
                describe("how many arrays lines_of gives for one", shape, window, across, dilation),
            )
            for u, found in enumerate(views):
                columns = [seen(image, (i, j), u, v, across, dilation)[number] for v in range(s)]
                expected = np.stack(columns, axis=2).reshape(i * j, s * c)  # (I, J, S, C) -> (I J, S C)
                what = f"what line {u} sees of image {number} (in {order} order), by lines_of"
                expect.close(found, expected, describe(what, shape, window, across, dilation))
    expect.equal(numbers, list(range(shape[0])), "the numbers of the images that lines_of gives")


def test_the_lines_are_copied_once_for_all_lines_of_the_kernel():
    image = np.random.default_rng(1).standard_normal((2, 9, 6, 2))
    numbers = []
    for number, views in lines_of(image, (4, 3), Geometry()):
        numbers.append(number)
        what = f"line 1 of image {number}: a row for each of 6 x 4 places"
        expect.close(views[1][:4, :2], image[number, 1, :4], f"{what}, the first numbers")
        for u in range(3):
            together = np.may_share_memory(views[u], views[u + 1])
            expect.true(together, f"lines {u} and {u + 1} of the kernel see lines that are copied twice: "
                        "cut each line of the image once, and give blocks of that one array")  # fmt: skip
    expect.equal(numbers, [0, 1], "the numbers of the images that lines_of gives")


def test_the_lines_of_all_images_are_never_there_at_once():
    image, numbers = np.random.default_rng(1).standard_normal((100, 10, 12, 8)), []
    tracemalloc.start()
    try:
        for number, views in lines_of(image, (3, 3), Geometry()):
            numbers.append(number)
            what = f"the first numbers that line 2 sees of image {number}"
            expect.close(views[2][:10, :8], image[number, 2, :10], what)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    expect.equal(numbers, list(range(100)), "the numbers of the images that lines_of gives")
    one = 10 * 10 * 3 * 8 * image.itemsize
    message = f"lines_of took {peak // 1000} kB for 100 images, whose lines are {one // 1000} kB each: "
    expect.true(peak < 20 * one, message + "cut the lines of an image when it is its turn")


# Against loops.


@pytest.mark.parametrize(("shape", "window", "across", "dilation"), CASES)
def test_correlate_matches_the_definition(shape, window, across, dilation):
    image, weight, _ = arrays(shape, window, across, dilation)
    with expect.unchanged(image, weight):
        y = narrow_correlate(image, weight, setting(across, dilation))
    what = describe("narrow_correlate", shape, window, across, dilation)
    expect.close(y, correlated(image, weight, across, dilation), what)


@pytest.mark.parametrize(("shape", "window", "across", "dilation"), CASES)
def test_gather_matches_the_definition(shape, window, across, dilation):
    image, _, g = arrays(shape, window, across, dilation)
    with expect.unchanged(image, g):
        found = narrow_gather(image, g, window[:2], setting(across, dilation))
    what = describe("narrow_gather", shape, window, across, dilation)
    expect.close(found, gathered(image, g, window, across, dilation), what)


@pytest.mark.parametrize(("shape", "window", "across", "dilation"), CASES)
def test_gather_is_the_adjoint_of_correlate_in_the_weight(shape, window, across, dilation):
    image, weight, g = arrays(shape, window, across, dilation, seed=4)
    geometry = setting(across, dilation)
    form = float(np.sum(correlated(image, weight, across, dilation) * g))
    there = float(np.sum(narrow_correlate(image, weight, geometry) * g))
    back = float(np.sum(weight * narrow_gather(image, g, window[:2], geometry)))
    expect.close(there, form, describe("<correlate(x, w), g>", shape, window, across, dilation), atol=1e-11)
    expect.close(back, form, describe("<w, gather(x, g)>", shape, window, across, dilation), atol=1e-11)


def test_any_layout_in_memory_gives_the_same():
    image, weight, g = arrays((2, 6, 7, 3), (3, 2, 3, 4), 1, (1, 1))
    y, by_weight = correlated(image, weight), gathered(image, g, (3, 2, 3, 4))
    wide = np.zeros((2, 6, 7, 6))
    wide[..., ::2] = image
    weight, g = np.asfortranarray(weight), np.asfortranarray(g)
    layouts = {"in Fortran order": np.asfortranarray(image), "cut out of a larger one": wide[..., ::2]}
    for array in (*layouts.values(), weight, g):
        array.flags.writeable = False  # operands belong to the caller
    for name, laid in layouts.items():
        found = narrow_correlate(laid, weight, Geometry())
        expect.close(found, y, f"narrow_correlate of an image {name}")
        found = narrow_gather(laid, g, (3, 2), Geometry())
        expect.close(found, by_weight, f"narrow_gather of an image {name}")


def test_float32_stays_float32():
    exact = arrays((2, 8, 9, 4), (3, 3, 4, 5), 2, (1, 2))
    image, weight, g = (a.astype(np.float32) for a in exact)
    geometry = setting(2, (1, 2))
    for number, views in lines_of(image, (3, 3), geometry):
        expected = image[number, 1, 0:5:2]  # what weight (1, 0) sees along the first line of places
        expect.close(views[1][:3, :4], expected, "what lines_of cuts in float32", dtype=np.float32, rtol=0.0)
    y = narrow_correlate(image, weight, geometry)
    wanted = correlated(exact[0], exact[1], 2, (1, 2))
    expect.close(y, wanted, "narrow_correlate in float32", dtype=np.float32, rtol=1e-5, atol=1e-5)
    found = narrow_gather(image, g, (3, 3), geometry)
    wanted = gathered(exact[0], exact[2], (3, 3, 4, 5), 2, (1, 2))
    expect.close(found, wanted, "narrow_gather in float32", dtype=np.float32, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("wide", [0, 1])
def test_the_wider_dtype_of_the_two_wins(wide):
    exact = arrays((1, 5, 5, 2), (3, 3, 2, 3), 1, (1, 1))
    dtypes = (np.float64, np.float32)[:: 1 if wide == 0 else -1]
    image, other, g = (a.astype(t) for a, t in zip(exact, (dtypes[0], dtypes[1], dtypes[1]), strict=True))
    what = f"an image in {np.dtype(dtypes[0])} and the other array in {np.dtype(dtypes[1])}"
    y, by_weight = correlated(*exact[:2]), gathered(exact[0], exact[2], (3, 3, 2, 3))
    found = narrow_correlate(image, other, Geometry())
    expect.close(found, y, f"narrow_correlate of {what}", dtype=np.float64, rtol=1e-5, atol=1e-5)
    found = narrow_gather(image, g, (3, 3), Geometry())
    expect.close(found, by_weight, f"narrow_gather of {what}", dtype=np.float64, rtol=1e-5, atol=1e-5)


def test_an_empty_batch_gives_an_empty_result_and_a_gradient_of_zero():
    for n in (0, 1):
        image, weight, g = arrays((n, 5, 6, 2), (3, 2, 2, 3), 1, (1, 1))
        y, by_weight = correlated(image, weight), gathered(image, g, weight.shape)
        expect.close(narrow_correlate(image, weight, Geometry()), y, f"narrow_correlate of {n} images")
        found = narrow_gather(image, g, (3, 2), Geometry())
        expect.close(found, by_weight, f"narrow_gather of {n} images")


# Where it pays.


def test_it_pays_for_several_lines_few_kernels_and_images_of_some_size():
    cases = [  # image, weight, stride, dilation, does it
        ((64, 34, 34, 16), (3, 3, 16, 16), (1, 1), (1, 1), True),
        ((64, 34, 34, 16), (2, 1, 16, 16), (1, 1), (1, 1), True),
        ((64, 34, 34, 16), (1, 3, 16, 16), (1, 1), (1, 1), False),
        ((64, 34, 34, 16), (1, 1, 16, 16), (1, 1), (1, 1), False),
        ((64, 34, 34, 16), (3, 3, 16, 32), (1, 1), (1, 1), True),
        ((64, 34, 34, 16), (3, 3, 16, 33), (1, 1), (1, 1), False),
        ((64, 34, 34, 16), (3, 3, 16, 1), (1, 1), (1, 1), True),
        ((64, 34, 34, 256), (3, 3, 256, 8), (1, 1), (1, 1), True),
        ((64, 34, 34, 8), (3, 3, 8, 16), (1, 1), (1, 1), True),
        ((64, 34, 34, 7), (3, 3, 7, 16), (1, 1), (1, 1), False),
        ((64, 34, 34, 3), (3, 3, 3, 64), (1, 1), (1, 1), False),
        ((1, 8, 8, 16), (3, 3, 16, 16), (1, 1), (1, 1), True),
        ((1, 4, 16, 16), (3, 3, 16, 16), (1, 1), (1, 1), True),
        ((64, 7, 9, 16), (3, 3, 16, 16), (1, 1), (1, 1), False),
        ((64, 34, 34, 16), (3, 3, 16, 16), (1, 2), (1, 1), True),
        ((64, 34, 34, 16), (3, 3, 16, 16), (2, 1), (1, 1), False),
        ((64, 34, 34, 16), (3, 3, 16, 16), (2, 2), (1, 1), False),
        ((64, 34, 34, 16), (3, 3, 16, 16), (1, 1), (2, 3), True),
    ]
    for image, weight, stride, dilation, expected in cases:
        for padding, groups in (((0, 0), 1), ((1, 2), 4)):
            geometry = Geometry(stride, padding, dilation, groups)
            what = f"the answer of pays for image {image}, kernels {weight}, {geometry},"
            expect.equal(pays(image, weight, geometry), expected, what)


# Inside conv2d.


@pytest.mark.parametrize(
    ("shape", "k", "groups"), [((2, 8, 6, 6), 8, 1), ((1, 12, 7, 10), 9, 1), ((2, 16, 6, 7), 16, 2)]
)
def test_conv2d_by_lines_is_conv2d(shape, k, groups):
    rng, c = np.random.default_rng(5), shape[1] // groups
    x, weight, bias = rng.standard_normal(shape), rng.standard_normal((k, c, 3, 3)), rng.standard_normal(k)
    u, v, g = (
        rng.standard_normal(shape),
        rng.standard_normal(weight.shape),
        rng.standard_normal((shape[0], k, *shape[2:])),
    )
    tensors = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    with enabled():
        padded = (shape[0], shape[2] + 2, shape[3] + 2, c)
        chosen = plain.quickest(padded, (3, 3, c, k // groups), Geometry()) is METHOD
        expect.true(
            chosen, f"conv2d of x {shape} and {k} kernels in {groups} groups should go this way: does it pay?"
        )
        y = conv2d(*tensors, padding=1, groups=groups)
        grads = grad(y, tensors, g)
    expect.tensor(y, defined(x, weight, bias, groups), f"conv2d of x {shape} by lines", rtol=1e-11)
    slopes = [defined(u, weight, 0.0, groups), defined(x, v, 0.0, groups)]
    for name, found, along, slope in zip(("x", "weight"), grads, (u, v), slopes, strict=False):
        expect.equal(found.shape, along.shape, f"the shape of the gradient with respect to {name}")
        what = f"slope of conv2d by lines along a direction in {name}, x {shape},"
        near = 1e-12 * float(np.sum(np.abs(g * slope)))
        expect.close(float(np.sum(found.data * along)), float(np.sum(g * slope)), what, rtol=1e-11, atol=near)


def test_the_gradients_are_right_to_second_order():
    # along random directions: x, weight and y are mixtures of three arrays each
    rng, shape = np.random.default_rng(8), (1, 8, 6, 7)
    images, kernels = rng.standard_normal((3, 8 * 6 * 7)), rng.standard_normal((3, 8 * 8 * 9))
    views = rng.standard_normal((8 * 6 * 7, 3)) / 10

    def mixed(a, b):
        x, weight = reshape(a @ images, shape), reshape(b @ kernels, (8, 8, 3, 3))
        return reshape(conv2d(x, weight, padding=1), (1, -1)) @ views

    a, b = rng.standard_normal((2, 3))
    y = defined((a @ images).reshape(shape), (b @ kernels).reshape(8, 8, 3, 3))
    with enabled():
        expect.tensor(
            mixed(Tensor(a), Tensor(b)), y.reshape(1, -1) @ views, "three mixtures of y", rtol=1e-11
        )
        gradcheck(mixed, a, b, names=("a mixture of images", "a mixture of kernels"))


def test_arrays_of_other_libraries_flow_through():
    rng = np.random.default_rng(9)
    x, weight = rng.standard_normal((2, 8, 6, 6)), rng.standard_normal((8, 8, 3, 3))
    with enabled():
        y = duck.flows(
            lambda *inputs: conv2d(*inputs, padding=1), x, weight, engine=grad, what="conv2d by lines"
        )
    expect.close(y, defined(x, weight), "conv2d of another library's array", rtol=1e-11)
