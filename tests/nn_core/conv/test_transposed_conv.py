"""nn_core.conv.transposed_conv: against its definition, as the adjoint of a convolution, as a layer."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, expect, gradcheck, statistics, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor, recording
from nn_core.conv.conv2d import Geometry
from nn_core.conv.transposed_conv import ConvTranspose2d, Transposed, conv_transpose2d, transposed_size

NAMES = ("x", "weight", "bias")
SETTINGS = ("stride", "padding", "output_padding", "groups", "dilation")  # in the order of the arguments
PLAIN = ((1, 1), (0, 0), (0, 0), 1, (1, 1))
CASES = [  # x, (C, R, S), settings
    pytest.param((2, 3, 3, 4), (4, 3, 3), PLAIN, id="plain"),
    pytest.param((1, 2, 4, 3), (3, 3, 2), PLAIN, id="not square"),
    pytest.param((2, 2, 3, 2), (2, 3, 3), ((2, 3), (0, 0), (0, 0), 1, (1, 1)), id="stride 2, 3"),
    pytest.param((1, 2, 3, 2), (2, 2, 1), ((3, 2), (0, 0), (0, 0), 1, (1, 1)), id="gaps between kernels"),
    pytest.param((2, 2, 3, 4), (3, 3, 3), ((1, 1), (1, 2), (0, 0), 1, (1, 1)), id="padding 1, 2"),
    pytest.param(
        (1, 2, 5, 7), (2, 1, 2), ((1, 1), (2, 3), (0, 0), 1, (1, 1)), id="padding beyond the kernel"
    ),
    pytest.param((1, 2, 3, 4), (2, 3, 2), ((1, 1), (0, 0), (0, 0), 1, (2, 3)), id="dilation 2, 3"),
    pytest.param((2, 2, 3, 2), (2, 3, 2), ((2, 3), (1, 0), (1, 2), 1, (1, 1)), id="output padding 1, 2"),
    pytest.param((1, 2, 3, 2), (2, 3, 2), ((1, 1), (1, 0), (1, 2), 1, (2, 3)), id="output padding, stride 1"),
    pytest.param(
        (1, 2, 3, 2), (2, 2, 3), ((2, 1), (2, 0), (3, 0), 1, (4, 1)), id="output padding beyond stride 2"
    ),
    pytest.param((2, 4, 3, 3), (6, 3, 2), ((1, 1), (1, 0), (0, 0), 2, (1, 1)), id="2 groups"),
    pytest.param((1, 3, 3, 2), (3, 2, 2), ((2, 1), (0, 0), (0, 0), 3, (1, 1)), id="a group for each channel"),
    pytest.param((2, 4, 3, 2), (2, 3, 2), ((2, 3), (2, 1), (1, 2), 2, (2, 1)), id="all at once"),
    pytest.param((1, 1, 1, 1), (1, 1, 1), PLAIN, id="one number"),
]
SMALL = [  # the same, for derivatives to second order
    pytest.param((2, 2, 2, 2), (1, 2, 2), PLAIN, id="plain"),
    pytest.param((1, 1, 2, 3), (2, 3, 2), ((2, 2), (1, 0), (1, 1), 1, (1, 1)), id="stride 2, output padding"),
    pytest.param((1, 1, 2, 2), (1, 2, 3), ((1, 1), (1, 1), (2, 0), 1, (3, 1)), id="output padding, stride 1"),
    pytest.param((1, 2, 2, 1), (2, 2, 2), ((3, 2), (1, 0), (0, 1), 2, (1, 2)), id="2 groups"),
]


def arrays(shape, kernels, groups=1, seed=7):
    """x, weight and bias in float64."""
    rng, (c, *window) = np.random.default_rng(seed), kernels
    weight = rng.standard_normal((shape[1], c // groups, *window))
    return rng.standard_normal(shape), weight, rng.standard_normal(c)


def pixels(size, kernel, stride, padding, more, dilation):
    """How many there are along an axis: up to the last that a weight reaches, ``more``, less the padding."""
    return max(stride * i + dilation * u for i in range(size) for u in range(kernel)) + 1 + more - 2 * padding


def sides(shape, window, stride=(1, 1), padding=(0, 0), more=(0, 0), groups=1, dilation=(1, 1)):
    """Height and width of the result."""
    axes = zip(shape[2:], window, stride, padding, more, dilation, strict=True)
    return tuple(pixels(*axis) for axis in axes)


def definition(x, weight, bias=None, *settings):
    """y[n, c, s i + d u - p, ...] += w[k, c, u, v] x[n, k, i, j], one number at a time."""
    stride, padding, more, groups, dilation = settings or PLAIN
    size = sides(x.shape, weight.shape[2:], stride, padding, more, groups, dilation)
    y = np.zeros((len(x), groups * weight.shape[1], *size))
    for n, k, i, j in np.ndindex(*x.shape):
        first = k // (len(weight) // groups) * weight.shape[1]
        for c, u, v in np.ndindex(*weight.shape[1:]):
            row = stride[0] * i + dilation[0] * u - padding[0]
            column = stride[1] * j + dilation[1] * v - padding[1]
            if 0 <= row < size[0] and 0 <= column < size[1]:
                y[n, first + c, row, column] += weight[k, c, u, v] * x[n, k, i, j]
    return y if bias is None else y + bias[:, None, None]


def convolution(z, weight, places, stride, padding, groups, dilation):
    """conv2d of z with the same weight at the first ``places`` (I, J), one number at a time."""
    y = np.zeros((len(z), len(weight), *places))
    for n, k, i, j in np.ndindex(*y.shape):
        first = k // (len(weight) // groups) * weight.shape[1]
        for c, u, v in np.ndindex(*weight.shape[1:]):
            row = stride[0] * i + dilation[0] * u - padding[0]
            column = stride[1] * j + dilation[1] * v - padding[1]
            if 0 <= row < z.shape[2] and 0 <= column < z.shape[3]:
                y[n, k, i, j] += weight[k, c, u, v] * z[n, first + c, row, column]
    return y


def derivatives(x, weight, g, settings):
    """<g, y> by x and by the weight, for g = dL/dy: a weight collects g where it painted, times x there."""
    stride, padding, _, groups, dilation = settings
    by_x = convolution(g, weight, x.shape[2:], stride, padding, groups, dilation)
    by_weight = np.zeros(weight.shape)
    full = np.pad(g, ((0, 0), (0, 0), *[(p, p) for p in padding]))
    for k, c, u, v in np.ndindex(*weight.shape):
        channel = k // (len(weight) // groups) * weight.shape[1] + c
        seen = full[:, channel, dilation[0] * u :: stride[0], dilation[1] * v :: stride[1]]
        by_weight[k, c, u, v] = np.sum(seen[:, : x.shape[2], : x.shape[3]] * x[:, k])
    return by_x, by_weight


def describe(shape, weight, *settings):
    """The settings that differ from the defaults, in words."""
    named = zip(SETTINGS, settings or PLAIN, PLAIN, strict=True)
    texts = [f"x {shape}, weight {weight.shape}", *[f"{n} {v}" for n, v, usual in named if v != usual]]
    return "conv_transpose2d of " + ", ".join(texts)


def allowed(fn, what):
    """What ``fn`` returns, which is allowed."""
    try:
        return fn()
    except ValueError as error:
        return expect.true(False, f"{what} is allowed, yours raised ValueError\n  {error}")


def build(*args, seed=0, **kwargs):
    return ConvTranspose2d(*args, rng=np.random.default_rng(seed), **kwargs)


# The size.


SIZES = [  # size, kernel, stride, padding, output_padding, dilation
    (5, 3, 1, 0, 0, 1), (16, 2, 2, 0, 0, 1), (4, 4, 2, 1, 0, 1), (16, 3, 2, 1, 1, 1), (3, 2, 5, 0, 4, 1),
    (6, 3, 3, 2, 1, 4), (1, 4, 1, 0, 0, 1), (4, 1, 1, 1, 0, 1), (3, 3, 1, 0, 2, 3), (2, 3, 2, 4, 5, 6),
]  # fmt: skip


@pytest.mark.parametrize("settings", SIZES)
def test_transposed_size_reaches_to_the_last_pixel_that_is_painted(settings):
    size, kernel, stride, padding, more, dilation = settings
    actual = transposed_size(
        size, kernel, stride=stride, padding=padding, dilation=dilation, output_padding=more
    )
    what = f"transposed_size({size}, {kernel}, stride={stride}, padding={padding}, dilation={dilation}, "
    expect.equal(actual, pixels(*settings), f"{what}output_padding={more})")


def test_transposed_size_has_the_defaults_and_the_order_of_output_size():
    expect.equal(transposed_size(4, 3), 6, "transposed_size(4, 3)")
    expect.equal(transposed_size(4, 3, 5), 18, "transposed_size(4, 3, 5), stride 5")
    expect.equal(transposed_size(4, 3, 5, 2), 14, "transposed_size(4, 3, 5, 2), stride 5 and padding 2")
    expect.equal(transposed_size(4, 3, 5, 2, 4), 20, "transposed_size(4, 3, 5, 2, 4), dilation 4")
    expect.equal(transposed_size(4, 3, 5, 2, 4, 1), 21, "transposed_size(4, 3, 5, 2, 4, 1), output padding 1")


def test_transposed_size_leads_back_to_every_size_of_a_convolution():
    for stride, dilation, size in np.ndindex(4, 3, 12):
        last = size + 2 - dilation * 2 - 1  # where the kernel can begin at most
        if stride < 1 or dilation < 1 or last < 0:
            continue
        first = range(0, last + 1, stride)
        back = transposed_size(len(first), 3, stride, 1, dilation, last - first[-1])
        what = f"{len(first)} places, kernel 3, stride {stride}, padding 1, dilation {dilation}"
        expect.equal(back, size, f"transposed_size for {what}, output_padding {last - first[-1]}")


def test_output_padding_must_be_smaller_than_the_stride_or_the_dilation():
    for name, size in (("stride", 14), ("dilation", 12)):
        what = f"transposed_size(4, 3, {name}=3, output_padding=2)"
        side = allowed(lambda name=name: transposed_size(4, 3, **{name: 3}, output_padding=2), what)
        expect.equal(side, size, what)
    with expect.raises(ValueError, "2", "1"):
        transposed_size(9, 3, stride=2, output_padding=2)
    with expect.raises(ValueError, "4", "3", "2"):
        transposed_size(9, 5, stride=2, dilation=3, output_padding=4)
    with expect.raises(ValueError, "1"):
        transposed_size(9, 3, output_padding=1)


def test_transposed_size_refuses_what_leaves_no_pixel():
    expect.equal(transposed_size(3, 3, padding=2), 1, "transposed_size(3, 3, padding=2)")
    with expect.raises(ValueError, "0"):
        transposed_size(0, 3)
    with expect.raises(ValueError, "4", "6", "3"):
        transposed_size(4, 3, padding=3)
    with expect.raises(ValueError, "2", "8", "5"):
        transposed_size(2, 2, stride=5, padding=5, dilation=2)


# The definition.


@pytest.mark.parametrize(("shape", "kernels", "settings"), CASES)
def test_matches_the_definition(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels, settings[3])
    what = describe(shape, weight, *settings)
    with expect.unchanged(x, weight, bias):
        y = conv_transpose2d(Tensor(x), Tensor(weight), Tensor(bias), *settings)
        without = conv_transpose2d(Tensor(x), Tensor(weight), None, *settings)
    expect.tensor(y, definition(x, weight, bias, *settings), f"{what}, with a bias,", rtol=1e-11)
    expect.tensor(without, definition(x, weight, None, *settings), what, rtol=1e-11)


def test_one_pixel_paints_the_kernel_as_it_is():
    x, weight = np.zeros((1, 1, 2, 2)), np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    x[0, 0, 0, 1] = 10.0
    expected = np.array([[[[0.0, 10.0, 20.0], [0.0, 30.0, 40.0], [0.0, 0.0, 0.0]]]])
    y = conv_transpose2d(Tensor(x), weight)
    expect.tensor(y, expected, "what a pixel of 10 at (0, 1) paints with [[1, 2], [3, 4]]")


def test_where_kernels_overlap_their_paint_adds_up():
    y = conv_transpose2d(Tensor(np.ones((1, 1, 2, 3))), np.ones((1, 1, 3, 3)), stride=2)
    line = np.array([1.0, 1.0, 2.0, 1.0, 2.0, 1.0, 1.0])
    expected = np.outer([1.0, 1.0, 2.0, 1.0, 1.0], line)[None, None]
    expect.tensor(y, expected, "ones (1, 1, 2, 3) by a 3 x 3 kernel of ones at stride 2")


def test_output_padding_adds_rows_below_and_columns_to_the_right():
    x, weight = np.ones((1, 1, 2, 1)), np.array([[[[5.0]]]])
    y = conv_transpose2d(Tensor(x), weight, np.array([0.5]), stride=(2, 3), output_padding=(1, 2))
    expected = np.full((1, 1, 4, 3), 0.5)
    expected[0, 0, ::2, 0] = 5.5
    what = "two ones by a kernel of 5, bias 0.5, stride (2, 3), output_padding (1, 2)"
    expect.tensor(y, expected, what)


def test_output_padding_uncovers_what_padding_has_cut_off():
    # the kernel reaches over both ends; without output padding, one column at each end is cut
    x, weight = np.array([[[[1.0, 10.0, 100.0]]]]), np.array([[[[1.0, 2.0, 3.0]]]])
    row = np.array([[[[12.0, 123.0, 230.0, 300.0]]]])  # of [1, 12, 123, 230, 300]
    y = conv_transpose2d(Tensor(x), weight, padding=(0, 1))
    expect.tensor(y, row[..., :3], "[1, 10, 100] by [1, 2, 3], padding (0, 1)")
    spaced = np.array([[[[12.0, 0.0, 123.0, 0.0, 230.0, 0.0, 300.0]]]])
    for more in (0, 1):
        y = conv_transpose2d(
            Tensor(x), weight, padding=(0, 2), output_padding=(0, more), stride=(1, 2), dilation=(1, 2)
        )
        what = f"[1, 10, 100] by [1, 2, 3], stride 2, dilation 2, padding 2, output_padding {more} across"
        expect.tensor(y, spaced[..., : 5 + more], what)


def test_an_int_means_the_same_down_and_across():
    x, weight, bias = arrays((1, 4, 3, 2), (4, 3, 3), 2)
    y = conv_transpose2d(Tensor(x), weight, bias, stride=2, padding=1, output_padding=1, groups=2, dilation=2)
    settings = ((2, 2), (1, 1), (1, 1), 2, (2, 2))
    expect.tensor(y, definition(x, weight, bias, *settings), describe(x.shape, weight, *settings), rtol=1e-11)


@pytest.mark.parametrize("stride", [1, 2])
def test_any_layout_in_memory_gives_the_same(stride):
    x, weight, bias = arrays((2, 3, 3, 4), (2, 3, 2))
    settings = ((stride, stride), (1, 1), (0, 0), 1, (1, 1))
    expected = definition(x, weight, bias, *settings)
    g = np.random.default_rng(2).standard_normal(expected.shape)
    by_x, by_weight = derivatives(x, weight, g, settings)
    wide = np.zeros((2, 3, 3, 8))
    wide[..., ::2] = x
    layouts = {
        "channels last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "in Fortran order": np.asfortranarray(x),
        "every other column of an array": wide[..., ::2],
    }
    weight, g = np.asfortranarray(weight), np.asfortranarray(g)
    for array in (*layouts.values(), weight, bias, g):
        array.flags.writeable = False  # operands belong to the caller
    for name, laid in layouts.items():
        inputs = [Tensor(a, requires_grad=True) for a in (laid, weight)]
        y = conv_transpose2d(*inputs, bias, *settings)
        expect.tensor(y, expected, f"conv_transpose2d of x {name}", rtol=1e-11)
        grads = grad(y, inputs, g)
        expect.tensor(grads[0], by_x, f"gradient with respect to x, which is {name},", rtol=1e-11)
        what = f"gradient with respect to weight, where x is {name},"
        expect.tensor(grads[1], by_weight, what, rtol=1e-11)


@pytest.mark.parametrize("stride", [1, 2])
def test_images_that_do_not_fit_the_cache(stride):
    x, weight, bias = arrays((3, 16, 70, 64), (4, 3, 3))
    size = sides(x.shape, (3, 3), (stride, stride), (1, 1))
    g = np.random.default_rng(3).standard_normal((3, 4, *size))
    inputs = [Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)]
    y = conv_transpose2d(*inputs, bias, stride=stride, padding=1)
    full, framed = np.zeros((3, 4, size[0] + 2, size[1] + 2)), np.pad(g, ((0, 0), (0, 0), (1, 1), (1, 1)))
    by_x, by_weight = np.zeros(x.shape), np.zeros(weight.shape)
    for u, v in np.ndindex(3, 3):  # a product for each weight of the kernel
        ends = (u + stride * 69 + 1, v + stride * 63 + 1)
        at = (slice(None), slice(None), slice(u, ends[0], stride), slice(v, ends[1], stride))
        full[at] += np.moveaxis(np.tensordot(x, weight[:, :, u, v], (1, 0)), -1, 1)
        by_x += np.moveaxis(np.tensordot(framed[at], weight[:, :, u, v], (1, 1)), -1, 1)
        by_weight[:, :, u, v] = np.tensordot(x, framed[at], ((0, 2, 3), (0, 2, 3)))
    what = f"x (3, 16, 70, 64), stride {stride}, padding 1"
    expected = full[:, :, 1:-1, 1:-1] + bias[:, None, None]
    expect.tensor(y, expected, f"conv_transpose2d of {what}", rtol=1e-11)
    for name, found, wanted in zip(NAMES, grad(y, inputs, g), (by_x, by_weight), strict=False):
        expect.tensor(found, wanted, f"gradient with respect to {name} for {what}", rtol=1e-11)


# Derivatives.


@pytest.mark.parametrize(("shape", "kernels", "settings"), SMALL)
def test_the_gradients_are_right_to_second_order(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels, settings[3])
    expected = definition(x, weight, bias, *settings)
    what = describe(shape, weight, *settings)
    expect.tensor(conv_transpose2d(Tensor(x), weight, bias, *settings), expected, what, rtol=1e-11)
    gradcheck(lambda *inputs: conv_transpose2d(*inputs, *settings), x, weight, bias, names=NAMES, seed=5)


def test_the_gradients_without_bias_are_right_to_second_order():
    x, weight, _ = arrays((1, 2, 3, 2), (2, 2, 2))
    expected = definition(x, weight)
    expect.tensor(conv_transpose2d(Tensor(x), weight), expected, describe(x.shape, weight), rtol=1e-11)
    gradcheck(conv_transpose2d, x, weight, names=("x", "weight"))


@pytest.mark.parametrize(("shape", "kernels", "settings"), CASES)
def test_the_gradients_agree_with_the_definition_along_random_directions(shape, kernels, settings):
    # the loss <g, y> is linear in each input: its slope along a direction is its value at the direction
    x, weight, bias = arrays(shape, kernels, settings[3])
    inputs = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = conv_transpose2d(*inputs, *settings)
    g = np.random.default_rng(11).standard_normal(y.shape)
    with expect.unchanged(x, weight, bias, g):
        grads = grad(y, inputs, g)
    along = arrays(shape, kernels, settings[3], seed=8)
    slopes = [definition(along[0], weight, None, *settings), definition(x, along[1], None, *settings),
              np.broadcast_to(along[2][:, None, None], y.shape)]  # fmt: skip
    for name, found, v, slope in zip(NAMES, grads, along, slopes, strict=True):
        what = f"{describe(shape, weight, *settings)}: slope along a direction in {name}"
        scale = float(np.sum(np.abs(g * slope)))
        expect.equal(found.shape, v.shape, f"the shape of the gradient with respect to {name}")
        expect.close(
            float(np.sum(found.data * v)), float(np.sum(g * slope)), what, rtol=1e-11, atol=1e-12 * scale
        )


@pytest.mark.parametrize("path", ["xwg", "xgw", "wxg", "wgx"])
def test_the_third_derivative_of_the_trilinear_form_is_the_form(path):
    # <g, y(x, w)> is linear in x, w and g: differentiated once by each, along u, v and h, it is <h, y(u, v)>
    settings = ((2, 1), (1, 1), (1, 1), 2, (1, 2))
    (x, weight, _), (u, v, _) = (arrays((1, 2, 3, 2), (4, 2, 3), 2, seed) for seed in (1, 2))
    expected = definition(u, v, None, *settings)
    g, h = np.random.default_rng(3).standard_normal((2, *expected.shape))
    at = {name: Tensor(a, requires_grad=True) for name, a in zip("xwg", (x, weight, g), strict=True)}
    along = {"x": u, "w": v, "g": h}
    y = conv_transpose2d(at["x"], at["w"], None, *settings)
    (first,) = grad(y, [at[path[0]]], at["g"], create_graph=True)
    (second,) = grad(first, [at[path[1]]], along[path[0]], create_graph=True)
    (third,) = grad(second, [at[path[2]]], along[path[1]])
    what = f"the derivative of <g, conv_transpose2d(x, w)> by {path[0]}, {path[1]} and {path[2]}"
    form = float(np.sum(expected * h))
    expect.close(float(np.sum(third.data * along[path[2]])), form, what, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("more", [(2, 0), (0, 2), (1, 3)])
def test_output_padding_beyond_the_stride_leaves_the_gradients_their_shape(more):
    # in an image so large, a convolution has more places than x has pixels
    settings = ((1, 2), (1, 1), more, 1, (3, 4))
    x, weight, _ = arrays((1, 1, 2, 3), (2, 3, 2))
    inputs = [Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)]
    y = conv_transpose2d(*inputs, None, *settings)
    what = describe(x.shape, weight, *settings)
    expect.tensor(y, definition(x, weight, None, *settings), what, rtol=1e-11)
    g = np.random.default_rng(5).standard_normal(y.shape)
    grads = allowed(lambda: grad(y, inputs, g), f"a gradient of {what}")
    for name, found, wanted in zip(NAMES, grads, derivatives(x, weight, g, settings), strict=False):
        expect.tensor(found, wanted, f"{what}: gradient with respect to {name}", rtol=1e-11)


def test_what_was_cut_off_gets_no_gradient():
    x, weight = Tensor(np.ones((1, 1, 1, 5)), requires_grad=True), np.array([[[[3.0]]]])
    y = conv_transpose2d(x, weight, padding=(0, 2))
    expect.tensor(y, np.full((1, 1, 1, 1), 3.0), "five ones by a kernel of 3, padding (0, 2)")
    (by_x,) = grad(y.sum(), (x,))
    expected = np.array([[[[0.0, 0.0, 3.0, 0.0, 0.0]]]])
    expect.tensor(by_x, expected, "gradient with respect to x, of which all but the middle is cut off,")


# The adjoint of a convolution, and what follows from it.


@st.composite
def problems(draw):
    """A large image z, x, a weight, and settings with which convT(x) has the size of z."""
    groups, n = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    k, c = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    axes = []
    for _ in range(2):
        kernel, dilation, stride = (draw(st.integers(1, 3)) for _ in range(3))
        more, size = draw(st.integers(0, max(stride, dilation) - 1)), draw(st.integers(1, 4))
        full = pixels(size, kernel, stride, 0, more, dilation)
        padding = draw(st.integers(0, min(2, (full - 1) // 2)))
        axes.append((size, kernel, stride, padding, more, dilation))
    size, kernel, stride, padding, more, dilation = zip(*axes, strict=True)
    rng = np.random.default_rng(draw(strategies.seeds()))
    z = rng.standard_normal((n, c, *[pixels(*axis) for axis in axes]))
    x, weight = rng.standard_normal((n, k, *size)), rng.standard_normal((k, c // groups, *kernel))
    return z, x, weight, (stride, padding, more, groups, dilation)


@given(problems())
def test_it_is_the_adjoint_of_a_convolution(problem):
    z, x, weight, settings = problem
    stride, padding, _, groups, dilation = settings
    what = describe(x.shape, weight, *settings)
    inputs = [Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)]
    y = conv_transpose2d(*inputs, None, *settings)
    expect.equal(y.shape, z.shape, f"{what}: the shape")
    expected = convolution(z, weight, x.shape[2:], stride, padding, groups, dilation)
    form, near = float(np.sum(expected * x)), 1e-12 * float(np.sum(np.abs(expected * x))) + 1e-12
    left = float(np.sum(y.data * z))
    expect.close(left, form, f"{what}: <z, convT(x)>, which is <conv(z), x>", rtol=1e-11, atol=near)
    by_x, by_weight = grad(y, inputs, z)
    expect.tensor(by_x, expected, f"{what}: gradient with respect to x along z, conv(z),", atol=1e-12)
    left = float(np.sum(by_weight.data * weight))
    expect.close(left, form, f"{what}: <w, gradient with respect to weight>", rtol=1e-11, atol=near)


def test_a_kernel_of_one_pixel_is_a_linear_layer_for_each_pixel():
    x, weight, bias = arrays((2, 3, 4, 5), (4, 1, 1))
    expected = np.einsum("nkij,kc->ncij", x, weight[:, :, 0, 0]) + bias[:, None, None]
    expect.tensor(conv_transpose2d(Tensor(x), weight, bias), expected, "conv_transpose2d with a 1 x 1 kernel")


def test_kernels_side_by_side_make_blocks():
    x, weight, bias = arrays((2, 3, 4, 5), (2, 2, 3))
    blocks = np.einsum("nkij,kcuv->nciujv", x, weight).reshape(2, 2, 8, 15)
    y = conv_transpose2d(Tensor(x), weight, bias, stride=(2, 3))
    expect.tensor(
        y, blocks + bias[:, None, None], "conv_transpose2d with a 2 x 3 kernel at stride (2, 3)", rtol=1e-11
    )


def test_groups_are_transposed_convolutions_side_by_side():
    x, weight, bias = arrays((2, 6, 3, 2), (9, 3, 3), 3)
    y = conv_transpose2d(Tensor(x), weight, bias, stride=2, groups=3)
    settings = ((2, 2), (0, 0), (0, 0), 1, (1, 1))
    for g in range(3):
        mine, theirs = slice(2 * g, 2 * g + 2), slice(3 * g, 3 * g + 3)
        alone = definition(x[:, mine], weight[mine], bias[theirs], *settings)
        what = f"channels {3 * g} to {3 * g + 2} of 9, of group {g + 1} of 3,"
        expect.close(y.data[:, theirs], alone, what, rtol=1e-11)


# What is computed, and in which precision.


@pytest.mark.parametrize("stride", [1, 2])
def test_float32_stays_float32(stride):
    settings = ((stride, 1), (1, 1), (stride - 1, 0), 2, (1, 1))
    exact = [Tensor(a, requires_grad=True) for a in arrays((2, 4, 3, 4), (4, 3, 3), 2)]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    for count, name in ((3, "with a bias"), (2, "without bias")):
        y = conv_transpose2d(*single[:count], *[None] * (3 - count), *settings)
        wanted = definition(*[t.data for t in exact[:count]], *[None] * (3 - count), *settings)
        what = f"conv_transpose2d in float32, {name},"
        expect.tensor(y, wanted, what, dtype=np.float32, rtol=1e-5, atol=1e-5)
        g = np.random.default_rng(4).standard_normal(wanted.shape)
        expected = (*derivatives(exact[0].data, exact[1].data, g, settings), g.sum((0, 2, 3)))
        grads = grad(y, single[:count], g.astype(np.float32))
        for by, found, want in zip(NAMES, grads, expected, strict=False):
            what = f"gradient with respect to {by} in float32, {name},"
            expect.tensor(found, want, what, dtype=np.float32, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_what_needs_no_gradient_is_not_computed(stride):
    inputs = arrays((2, 2, 3, 3), (3, 2, 2))
    settings = ((stride, stride), (0, 0), (0, 0), 1, (1, 1))
    size = sides((2, 2, 3, 3), (2, 2), *settings)
    g = np.random.default_rng(3).standard_normal((2, 3, *size))
    expected = (*derivatives(inputs[0], inputs[1], g, settings), g.sum((0, 2, 3)))
    for count in (3, 2):  # with a bias, and without
        for i, name in enumerate(NAMES[:count]):
            tensors = [Tensor(a, requires_grad=i == k) for k, a in enumerate(inputs[:count])]
            y = Transposed.apply(*tensors, size=size, geometry=Geometry(stride=(stride, stride)))
            with recording(False):
                grads = y.node.backward(g)
            arrived = [k for k, by in enumerate(grads) if by is not None]
            expect.true(
                arrived == [i] and len(grads) == count,
                f"only {name} needs a gradient, the others of the {count} should be None: yours has "
                f"gradients at {arrived} of {len(grads)}",
            )
            what = f"gradient with respect to {name}, the only one that is needed"
            expect.close(grads[i], expected[i], what, rtol=1e-11)


def test_a_second_pass_through_the_same_graph_adds_the_same_again():
    x, weight, bias = arrays((1, 2, 3, 3), (2, 3, 3))
    inputs = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = conv_transpose2d(*inputs, stride=2, padding=1)
    g = np.random.default_rng(6).standard_normal((1, 2, 5, 5))
    y.backward(g, retain_graph=True)
    y.backward(g)
    expected = (*derivatives(x, weight, g, ((2, 2), (1, 1), (0, 0), 1, (1, 1))), g.sum((0, 2, 3)))
    for name, t, once in zip(NAMES, inputs, expected, strict=True):
        expect.close(t.grad, 2 * once, f"gradient with respect to {name} after two passes", rtol=1e-11)


@pytest.mark.parametrize(
    ("shape", "kernels", "settings"), [SMALL[0].values, SMALL[3].values], ids=["stride 1", "strides"]
)
def test_arrays_of_other_libraries_flow_through(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels, settings[3])
    value = duck.flows(
        lambda *inputs: conv_transpose2d(*inputs, *settings),
        x, weight, bias, engine=grad, what="conv_transpose2d",
    )  # fmt: skip
    expected = definition(x, weight, bias, *settings)
    expect.close(value, expected, "conv_transpose2d of another library's arrays", rtol=1e-11)


# Edges and errors.


@pytest.mark.parametrize("stride", [1, 2])
def test_an_empty_batch_gives_an_empty_result_and_zero_gradients(stride):
    _, weight, bias = arrays((1, 2, 3, 3), (3, 2, 2))
    inputs = [Tensor(a, requires_grad=True) for a in (np.zeros((0, 2, 3, 3)), weight, bias)]
    y = conv_transpose2d(*inputs, stride=stride)
    side = 2 * stride + 2
    expect.tensor(y, np.zeros((0, 3, side, side)), "conv_transpose2d of x (0, 2, 3, 3)")
    for name, t, g in zip(NAMES, inputs, grad(y, inputs, np.zeros(y.shape)), strict=True):
        expect.tensor(g, np.zeros(t.shape), f"gradient with respect to {name} of an empty batch")
    one = np.ones((1, 2, 3, 3))
    expected = definition(one, weight, bias, (stride, stride), *PLAIN[1:])
    y = conv_transpose2d(Tensor(one), weight, bias, stride)
    expect.tensor(y, expected, "conv_transpose2d of a batch of one", rtol=1e-11)


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [
        ((2, 4, 5, 6), (6, 4, 3, 2), None),  # laid out as if it were conv2d's
        ((2, 4, 5), (4, 6, 3, 2), None),
        ((2, 4, 5, 6, 1), (4, 6, 3, 2), None),
        ((2, 4, 5, 6), (4, 6, 3), None),
        ((2, 4, 5, 6), (4, 6, 3, 2, 1), None),
        *[((2, 4, 5, 6), (4, 6, 3, 2), bias) for bias in [(1,), (4,), (1, 6), (6, 1)]],
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, weight, bias):
    with expect.raises(ValueError, *[str(shape) for shape in (x, weight, bias) if shape]):
        conv_transpose2d(Tensor(np.ones(x)), np.ones(weight), None if bias is None else np.ones(bias))


def test_groups_that_do_not_fit_are_refused():
    x = Tensor(np.ones((2, 4, 5, 5)))
    with expect.raises(ValueError, "(2, 4, 5, 5)", "(2, 6, 3, 3)", "2"):
        conv_transpose2d(x, np.ones((2, 6, 3, 3)), groups=2)
    with expect.raises(ValueError, "(2, 4, 5, 5)", "(4, 6, 3, 3)", "3"):
        conv_transpose2d(x, np.ones((4, 6, 3, 3)), groups=3)
    for groups in (0, -1):
        with expect.raises(ValueError, "groups", str(groups)):
            conv_transpose2d(x, np.ones((4, 6, 3, 3)), groups=groups)
    with expect.raises(ValueError, "(2, 4, 5, 5)", "(4, 3, 3, 3)", "(3,)", "2"):  # 6 outputs in 2 groups
        conv_transpose2d(x, np.ones((4, 3, 3, 3)), np.ones(3), groups=2)


def test_sizes_that_are_not_possible_are_refused_along_either_axis():
    x, weight = Tensor(np.ones((1, 1, 4, 9))), np.ones((1, 1, 3, 1))
    with expect.raises(ValueError, "4", "6", "3"):
        conv_transpose2d(x, weight, padding=(3, 0))
    with expect.raises(ValueError, "9", "5"):
        conv_transpose2d(x, weight, padding=(0, 5))
    with expect.raises(ValueError, "0"):
        conv_transpose2d(np.ones((1, 1, 0, 9)), Tensor(weight))
    with expect.raises(ValueError, "4", "3", "2"):
        conv_transpose2d(x, weight, stride=(5, 3), output_padding=(4, 4), dilation=(1, 2))
    with expect.raises(ValueError, "4", "2", "3"):
        conv_transpose2d(x, weight, stride=(2, 5), output_padding=4, dilation=(3, 1))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("stride", 0), ("stride", -1), ("padding", -2), ("output_padding", -1), ("dilation", 0)],
)
def test_settings_out_of_range_are_refused(name, wrong):
    x, weight = Tensor(np.ones((1, 1, 9, 9))), np.ones((1, 1, 3, 3))
    with expect.raises(ValueError, name, str(wrong)):
        conv_transpose2d(x, weight, **{name: wrong})
    with expect.raises(ValueError, name, str(wrong)):
        conv_transpose2d(x, weight, **{name: (2, wrong)})
    with expect.raises(ValueError, name, str(wrong)):
        build(1, 1, 3, **{name: wrong})


# The layer.


def test_a_layer_computes_conv_transpose2d_of_its_parameters():
    x = np.random.default_rng(1).standard_normal((2, 4, 3, 4))
    settings = ((2, 1), (1, 2), (1, 2), 2, (1, 3))
    layer = build(
        4, 6, (3, 2), stride=(2, 1), padding=(1, 2), output_padding=(1, 2), groups=2, dilation=(1, 3),
        dtype=np.float64,
    )  # fmt: skip
    weight, bias = layer.weight.data, layer.bias.data
    what = "ConvTranspose2d(4, 6, (3, 2), stride (2, 1), padding (1, 2), output_padding (1, 2), groups 2, "
    what += "dilation (1, 3))"
    expect.tensor(layer(Tensor(x)), definition(x, weight, bias, *settings), what, rtol=1e-11)
    other = x[:1, :, 1:, :3]
    expected = definition(other, weight, bias, *settings)
    expect.tensor(layer(Tensor(other)), expected, f"{what} of a smaller image", rtol=1e-11)
    for kernel in (3, 1):
        plain = build(4, 3, kernel, dtype=np.float64)
        expected = definition(x, plain.weight.data, plain.bias.data)
        expect.tensor(plain(Tensor(x)), expected, f"ConvTranspose2d(4, 3, {kernel})", rtol=1e-11)


def test_the_arguments_of_a_layer_stand_in_the_order_of_pytorch():
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 2))
    layer = build(2, 4, 3, 2, 1, 1, 2, False, 3, dtype=np.float64)
    expect.true(
        layer.bias is None, "in ConvTranspose2d(2, 4, 3, 2, 1, 1, 2, False, 3) the False means no bias"
    )
    expected = definition(x, layer.weight.data, None, (2, 2), (1, 1), (1, 1), 2, (3, 3))
    what = "ConvTranspose2d(2, 4, 3, 2, 1, 1, 2, False, 3): stride 2, padding 1, output_padding 1, groups 2, "
    expect.tensor(layer(Tensor(x)), expected, f"{what}no bias, dilation 3", rtol=1e-11)


def test_a_layer_has_a_weight_and_a_bias_in_float32():
    layer = build(4, 6, (3, 2), groups=2)
    shapes = {name: (p.shape, p.dtype.name) for name, p in layer.named_parameters()}
    expected = {"weight": ((4, 3, 3, 2), "float32"), "bias": ((6,), "float32")}
    expect.equal(shapes, expected, "the dict of shapes and dtypes of ConvTranspose2d(4, 6, (3, 2), groups=2)")
    kinds = [p.dtype.name for p in build(1, 1, 3, dtype=np.float64).parameters()]
    what = "the list of dtypes of ConvTranspose2d(1, 1, 3, dtype=np.float64)"
    expect.equal(kinds, ["float64", "float64"], what)


def test_a_layer_without_bias_has_none():
    layer = build(2, 3, 2, bias=False, dtype=np.float64)
    names = [name for name, _ in layer.named_parameters()]
    expect.equal(names, ["weight"], "the list of parameters with bias=False")
    expect.true(layer.bias is None, "with bias=False, layer.bias should be None")
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 3))
    expected = definition(x, layer.weight.data)
    expect.tensor(layer(Tensor(x)), expected, "ConvTranspose2d(2, 3, 2, bias=False)", rtol=1e-11)


def test_parameters_begin_uniform_between_plus_and_minus_one_over_the_root_of_f():
    many, wide = build(1000, 8, 5, groups=2, dtype=np.float64), build(2, 2000, 5, groups=2, dtype=np.float64)
    parameters = [  # F is a group's share of the outputs times 5 x 5
        ("weight of ConvTranspose2d(1000, 8, 5, groups=2)", many.weight.data, 1 / sqrt(4 * 25)),
        ("bias of ConvTranspose2d(2, 2000, 5, groups=2)", wide.bias.data, 1 / sqrt(1000 * 25)),
    ]
    for name, array, bound in parameters:
        peak, what = float(np.max(np.abs(array))), f"the initial {name}"
        fits = 0.99 * bound < peak <= bound * (1 + 1e-6)
        expect.true(fits, f"{what} should fill [-{bound:.4g}, {bound:.4g}], its peak is {peak:.5g}")
        # each of the next two refuses a right answer with probability 1e-6
        statistics.mean_is(array, 0.0, bound / sqrt(3), what)
        statistics.variance_is(array, bound**2 / 3, what, kurtosis=1.8)


def test_the_generator_decides_where_parameters_begin():
    first, again, other = build(3, 4, 3, seed=1), build(3, 4, 3, seed=1), build(3, 4, 3, seed=2)
    for name in ("weight", "bias"):
        mine, same, far = (getattr(layer, name).data for layer in (first, again, other))
        expect.close(same, mine, f"the {name} from an equal generator")
        moved = bool(np.max(np.abs(far - mine)) > 1e-3)
        expect.true(moved, f"another generator should give another {name}")


def test_the_weight_does_not_depend_on_whether_there_is_a_bias():
    with_bias, without = build(3, 4, 3), build(3, 4, 3, bias=False)
    what = "the weight with bias=False, from an equal generator"
    expect.close(without.weight.data, with_bias.weight.data, what)
    peak, bound = float(np.max(np.abs(without.weight.data))), 1 / 6  # F = 4 * 3 * 3
    expect.true(
        0.5 * bound < peak <= bound * (1 + 1e-6), f"{what} should reach up to {bound:.3g}, not {peak:.3g}"
    )


def test_the_settings_are_kept_as_down_and_across():
    layer = build(2, 2, 3, stride=2, padding=(1, 0), output_padding=1, groups=2, dilation=(1, 3))
    kept = (
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.output_padding,
        layer.dilation,
        layer.groups,
    )
    expected = ((3, 3), (2, 2), (1, 0), (1, 1), (1, 3), 2)
    what = "the tuple of kernel_size, stride, padding, output_padding, dilation and groups"
    expect.equal(kept, expected, what)


@pytest.mark.parametrize("channels", [(0, 2, 1), (2, 0, 1), (2, 2, 0), (2, 2, -1), (3, 2, 2), (4, 5, 2)])
def test_channels_that_do_not_fit_are_refused(channels):
    k, c, groups = channels
    with expect.raises(ValueError, str(k), str(c), str(groups)):
        build(k, c, 3, groups=groups)


@pytest.mark.parametrize("wrong", [0, (3, 0), (1, 2, 3), "3"])
def test_a_kernel_size_that_is_none_is_refused(wrong):
    with expect.raises(ValueError, "kernel_size"):
        build(1, 1, wrong)


def test_a_layer_learns_to_enlarge():
    # nearest-neighbour doubling is a transposed convolution: 4 ones at stride 2
    rng = np.random.default_rng(0)
    layer = build(1, 1, 2, stride=2, dtype=np.float64)
    x = rng.standard_normal((4, 1, 3, 3))
    target = np.kron(x, np.ones((2, 2)))
    for _ in range(60):
        difference = layer(Tensor(x)) - target
        loss = (difference * difference).mean()
        for p, g in zip(layer.parameters(), grad(loss, list(layer.parameters())), strict=True):
            p.data -= 0.7 * g.data
    expect.close(layer.weight.data, np.ones((1, 1, 2, 2)), "the learned weight", atol=1e-3)
    expect.close(layer.bias.data, np.zeros(1), "the learned bias", atol=1e-3)
