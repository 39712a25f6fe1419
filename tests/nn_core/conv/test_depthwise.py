"""nn_core.conv.depthwise: against the sum that defines it, against calculus, as a trilinear form."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, expect, gradcheck, statistics, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor, recording
from nn_core.conv.conv2d import Geometry
from nn_core.conv.depthwise import (
    Correlate,
    DepthwiseConv2d,
    Gather,
    SeparableConv2d,
    Spread,
    correlate,
    cost_ratio,
    depthwise_conv2d,
    gather,
    spread,
)

NAMES = ("x", "weight", "bias")
SETTINGS = ("stride", "padding", "dilation")
PLAIN = ((1, 1), (0, 0), (1, 1))
CASES = [  # x, (M, R, S), (stride, padding, dilation)
    pytest.param((2, 3, 5, 5), (1, 3, 3), PLAIN, id="plain"),
    pytest.param((1, 2, 4, 7), (1, 3, 2), PLAIN, id="not square"),
    pytest.param((2, 3, 4, 5), (2, 2, 3), PLAIN, id="2 kernels a channel"),
    pytest.param((2, 2, 6, 8), (1, 3, 3), ((2, 3), (0, 0), (1, 1)), id="stride 2, 3 with leftovers"),
    pytest.param((1, 2, 9, 4), (1, 2, 2), ((3, 1), (0, 0), (1, 1)), id="stride larger than the kernel"),
    pytest.param((2, 2, 4, 5), (1, 3, 3), ((1, 1), (1, 2), (1, 1)), id="padding 1, 2"),
    pytest.param((1, 2, 7, 8), (1, 3, 2), ((1, 1), (0, 0), (2, 3)), id="dilation 2, 3"),
    pytest.param((1, 1, 2, 3), (2, 4, 3), ((1, 1), (1, 1), (1, 1)), id="kernel larger than the image"),
    pytest.param((1, 2, 3, 3), (1, 1, 2), ((1, 1), (2, 3), (1, 1)), id="padding wider than the kernel"),
    pytest.param((2, 3, 8, 7), (2, 3, 2), ((2, 2), (2, 1), (2, 3)), id="all at once"),
    pytest.param((1, 1, 1, 1), (1, 1, 1), PLAIN, id="one number"),
]
SMALL = [  # the same, for derivatives to second order
    pytest.param((2, 2, 2, 3), (1, 2, 2), PLAIN, id="plain"),
    pytest.param((1, 2, 2, 3), (2, 2, 2), ((1, 1), (1, 0), (1, 1)), id="2 kernels a channel, padding 1, 0"),
    pytest.param((1, 1, 4, 6), (1, 3, 3), ((2, 2), (0, 0), (1, 1)), id="stride 2 with leftovers"),
    pytest.param((1, 2, 4, 3), (2, 2, 2), ((3, 2), (1, 2), (2, 1)), id="all at once"),
]


def arrays(shape, kernels, seed=7):
    """x, weight and bias in float64."""
    rng, (multiplier, *window) = np.random.default_rng(seed), kernels
    outputs = shape[1] * multiplier
    weight = rng.standard_normal((outputs, 1, *window))
    return rng.standard_normal(shape), weight, rng.standard_normal(outputs)


def places(size, kernel, stride, padding, dilation):
    """Where the kernel can begin along an axis, by trying every pixel."""
    last = size + padding - dilation * (kernel - 1) - 1
    return [a for a in range(-padding, size + padding) if (a + padding) % stride == 0 and a <= last]


def definition(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """y[n, c M + m, i, j] = b[c M + m] + sum w[c M + m, 0, u, v] x[n, c, ...], one number at a time."""
    settings = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    down, across = (places(*axis) for axis in settings)
    y = np.zeros((len(x), len(weight), len(down), len(across)))
    for n, k, i, j in np.ndindex(*y.shape):
        channel = k // (len(weight) // x.shape[1])
        total = 0.0 if bias is None else bias[k]
        for u, v in np.ndindex(*weight.shape[2:]):
            row, column = down[i] + dilation[0] * u, across[j] + dilation[1] * v
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                total += weight[k, 0, u, v] * x[n, channel, row, column]
        y[n, k, i, j] = total
    return y


def inside(image, weight, g, stride, dilation):
    """Channels last: y, and for g = dL/dy the derivatives by image and by weight, weight by weight."""
    y, by_image, by_weight = np.zeros(g.shape), np.zeros(image.shape), np.zeros(weight.shape)
    for u, v in np.ndindex(*weight.shape[:2]):
        starts = (dilation[0] * u, dilation[1] * v)
        at = [slice(a, a + s * (n - 1) + 1, s) for a, s, n in zip(starts, stride, g.shape[1:3], strict=True)]
        y += image[:, *at] * weight[u, v]
        by_image[:, *at] += g * weight[u, v]
        by_weight[u, v] = np.sum(g * image[:, *at], axis=(0, 1, 2))
    return y, by_image, by_weight


def by_offsets(x, weight, g, stride, p):
    """y, and dL/dx, dL/dw for ``g`` = dL/dy, by a product for each weight of the kernel: for large x."""
    times = len(weight) // x.shape[1]
    image = np.repeat(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p))), times, axis=1)
    last = (image.transpose(0, 2, 3, 1), weight[:, 0].transpose(1, 2, 0), g.transpose(0, 2, 3, 1))
    y, by_image, by_weight = inside(*last, (stride, stride), (1, 1))
    by_x = by_image.transpose(0, 3, 1, 2)[:, :, p : p + x.shape[2], p : p + x.shape[3]]
    by_x = by_x.reshape(len(x), x.shape[1], times, *x.shape[2:]).sum(2)
    return y.transpose(0, 3, 1, 2), by_x, by_weight.transpose(2, 0, 1)[:, None]


def describe(shape, weight, *settings):
    """The settings that differ from the defaults, in words."""
    named = zip(SETTINGS, settings or PLAIN, PLAIN, strict=True)
    texts = [f"x {shape}, weight {weight.shape}", *[f"{n} {v}" for n, v, usual in named if v != usual]]
    return "depthwise_conv2d of " + ", ".join(texts)


def build(*args, seed=0, **kwargs):
    return DepthwiseConv2d(*args, rng=np.random.default_rng(seed), **kwargs)


def separable(*args, seed=0, **kwargs):
    return SeparableConv2d(*args, rng=np.random.default_rng(seed), **kwargs)


# The cost.


@pytest.mark.parametrize("case", [(4, (3, 3), 1), (10, (5, 2), 1), (6, (1, 4), 2)])
def test_cost_ratio_compares_the_multiplications(case):
    k, (r, s), m = case
    c, sides = 8, 49  # of any number of channels and places
    full = sides * k * c * r * s
    looking, mixing = sides * c * m * r * s, sides * c * m * k
    what = f"cost_ratio({k}, {(r, s)}, multiplier={m})"
    expect.close(cost_ratio(k, (r, s), multiplier=m), (looking + mixing) / full, what)


def test_cost_ratio_of_a_square_kernel():
    expect.close(cost_ratio(64, 3), 1 / 64 + 1 / 9, "cost_ratio(64, 3)")


# Inside, channels last.

INSIDE = [  # image (N, H, W, C), padded, kernel (R, S), stride, dilation
    pytest.param((2, 5, 6, 3), (3, 2), (1, 1), (1, 1), id="stride 1"),
    pytest.param((2, 6, 8, 2), (3, 3), (2, 3), (1, 1), id="stride 2, 3 with leftovers"),
    pytest.param((1, 9, 10, 2), (2, 3), (1, 2), (3, 2), id="dilation 3, 2"),
    pytest.param((1, 8, 5, 2), (1, 2), (3, 1), (1, 2), id="stride larger than the kernel"),
    pytest.param((5, 60, 61, 8), (3, 3), (1, 2), (1, 1), id="larger than the cache"),
]


def channels_last(shape, kernel, stride, dilation):
    """image, weight and grad in float64, and what `correlate`, `spread` and `gather` make of them."""
    rng = np.random.default_rng(4)
    axes = zip(shape[1:3], kernel, stride, (0, 0), dilation, strict=True)
    image, weight = rng.standard_normal(shape), rng.standard_normal((*kernel, shape[3]))
    g = rng.standard_normal((shape[0], *[len(places(*axis)) for axis in axes], shape[3]))
    return (image, weight, g), inside(image, weight, g, stride, dilation)


@pytest.mark.parametrize(("shape", "kernel", "stride", "dilation"), INSIDE)
def test_correlate_matches_the_definition(shape, kernel, stride, dilation):
    (image, weight, _), (y, _, _) = channels_last(shape, kernel, stride, dilation)
    found = correlate(image, weight, Geometry(stride, dilation=dilation))
    what = f"correlate of image {shape}, kernel {kernel}, stride {stride}, dilation {dilation},"
    expect.close(found, y, what, rtol=1e-11)


@pytest.mark.parametrize(("shape", "kernel", "stride", "dilation"), INSIDE)
def test_gather_matches_the_definition(shape, kernel, stride, dilation):
    (image, _, g), (_, _, by_weight) = channels_last(shape, kernel, stride, dilation)
    found = gather(image, g, kernel, Geometry(stride, dilation=dilation))
    what = f"gather of image {shape}, kernel {kernel}, stride {stride}, dilation {dilation},"
    expect.close(found, by_weight, what, rtol=1e-11)


@pytest.mark.parametrize(("shape", "kernel", "stride", "dilation"), INSIDE)
def test_spread_matches_the_definition(shape, kernel, stride, dilation):
    (_, weight, g), (_, by_image, _) = channels_last(shape, kernel, stride, dilation)
    found = spread(g, weight, shape[1:3], Geometry(stride, dilation=dilation))
    what = f"spread to image {shape}, kernel {kernel}, stride {stride}, dilation {dilation},"
    expect.close(found, by_image, what, rtol=1e-11)


@pytest.mark.parametrize("dtypes", [(np.float64, np.float32), (np.float32, np.float64)])
def test_the_wider_dtype_of_the_two_wins(dtypes):
    (image, weight, g), expected = channels_last((1, 5, 6, 3), (3, 2), (1, 1), (1, 1))
    maps = (
        ("correlate", lambda a, b: correlate(a, b, Geometry()), image, weight),
        ("spread", lambda a, b: spread(a, b, (5, 6), Geometry()), g, weight),
        ("gather", lambda a, b: gather(a, b, (3, 2), Geometry()), image, g),
    )
    for (name, rule, a, b), want in zip(maps, expected, strict=True):
        found = rule(a.astype(dtypes[0]), b.astype(dtypes[1]))
        what = f"{name} of {np.dtype(dtypes[0])} and {np.dtype(dtypes[1])}"
        expect.close(found, want, what, dtype=np.float64, rtol=1e-5, atol=1e-5)


# The definition.


@pytest.mark.parametrize(("shape", "kernels", "settings"), CASES)
def test_matches_the_definition(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels)
    what = describe(shape, weight, *settings)
    with expect.unchanged(x, weight, bias):
        y = depthwise_conv2d(Tensor(x), Tensor(weight), Tensor(bias), *settings)
        without = depthwise_conv2d(Tensor(x), Tensor(weight), None, *settings)
    expect.tensor(y, definition(x, weight, bias, *settings), f"{what}, with a bias,", rtol=1e-11)
    expect.tensor(without, definition(x, weight, None, *settings), what, rtol=1e-11)


def test_the_kernels_of_a_channel_are_neighbours():
    x = np.array([1.0, 10.0]).reshape(1, 2, 1, 1)
    weight = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape(6, 1, 1, 1)
    expected = np.array([1.0, 2.0, 3.0, 40.0, 50.0, 60.0]).reshape(1, 6, 1, 1)
    y = depthwise_conv2d(Tensor(x), weight)
    expect.tensor(y, expected, "pixels 1 and 10 of 2 channels by kernels of 1, 2, 3, 4, 5 and 6")


def test_the_kernel_is_not_turned_round():
    x, weight = np.zeros((1, 2, 3, 3)), np.zeros((2, 1, 2, 2))
    x[0, 1, 0, 1], weight[1, 0] = 1.0, [[1.0, 2.0], [3.0, 4.0]]
    expected = np.array([[[[0.0, 0.0], [0.0, 0.0]], [[2.0, 1.0], [0.0, 0.0]]]])
    y = depthwise_conv2d(Tensor(x), weight)
    expect.tensor(y, expected, "what [[1, 2], [3, 4]] sees of one pixel at (0, 1) of channel 1")


def test_an_int_means_the_same_down_and_across():
    x, weight, bias = arrays((1, 3, 7, 8), (2, 3, 3))
    y = depthwise_conv2d(Tensor(x), weight, bias, stride=2, padding=1, dilation=2)
    settings = ((2, 2), (1, 1), (2, 2))
    expect.tensor(y, definition(x, weight, bias, *settings), describe(x.shape, weight, *settings), rtol=1e-11)


@pytest.mark.parametrize("stride", [1, 2])
def test_any_layout_in_memory_gives_the_same(stride):
    x, weight, bias = arrays((2, 3, 4, 5), (2, 3, 2))
    expected = definition(x, weight, bias, (stride, stride), (1, 1))
    g = np.random.default_rng(2).standard_normal(expected.shape)
    _, by_x, by_weight = by_offsets(x, weight, g, stride, 1)
    wide = np.zeros((2, 3, 4, 10))
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
        y = depthwise_conv2d(*inputs, bias, stride, padding=1)
        expect.tensor(y, expected, f"depthwise_conv2d of x {name}", rtol=1e-11)
        grads = grad(y, inputs, g)
        expect.tensor(grads[0], by_x, f"gradient with respect to x, which is {name},", rtol=1e-11)
        what = f"gradient with respect to weight, where x is {name},"
        expect.tensor(grads[1], by_weight, what, rtol=1e-11)


LARGE = [((1, 8, 72, 64), 1, 1), ((5, 8, 32, 33), 1, 2), ((1, 8, 140, 131), 1, 2), ((6, 4, 65, 64), 2, 2)]


@pytest.mark.parametrize(("shape", "multiplier", "stride"), LARGE)
def test_images_that_do_not_fit_the_cache(shape, multiplier, stride):
    x, weight, _ = arrays(shape, (multiplier, 3, 3))
    sides = [len(places(n, 3, stride, 1, 1)) for n in shape[2:]]
    g = np.random.default_rng(3).standard_normal((shape[0], len(weight), *sides))
    inputs = [Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)]
    y = depthwise_conv2d(*inputs, stride=stride, padding=1)
    expected = by_offsets(x, weight, g, stride, 1)
    what = f"x {shape}, weight {weight.shape}, stride {stride}, padding 1"
    expect.tensor(y, expected[0], f"depthwise_conv2d of {what}", rtol=1e-11)
    for name, found, wanted in zip(NAMES, grad(y, inputs, g), expected[1:], strict=False):
        expect.tensor(found, wanted, f"gradient with respect to {name} for {what}", rtol=1e-10)


# Derivatives.


@pytest.mark.parametrize(("shape", "kernels", "settings"), SMALL)
def test_the_gradients_are_right_to_second_order(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels)
    expected = definition(x, weight, bias, *settings)
    what = describe(shape, weight, *settings)
    expect.tensor(depthwise_conv2d(Tensor(x), weight, bias, *settings), expected, what, rtol=1e-11)
    gradcheck(lambda *inputs: depthwise_conv2d(*inputs, *settings), x, weight, bias, names=NAMES, seed=5)


def test_the_gradients_without_bias_are_right_to_second_order():
    x, weight, _ = arrays((1, 2, 2, 3), (1, 2, 2))
    expected = definition(x, weight)
    expect.tensor(depthwise_conv2d(Tensor(x), weight), expected, describe(x.shape, weight), rtol=1e-11)
    gradcheck(depthwise_conv2d, x, weight, names=("x", "weight"))


@pytest.mark.parametrize(("shape", "kernels", "settings"), CASES)
def test_the_gradients_agree_with_the_definition_along_random_directions(shape, kernels, settings):
    # the loss <g, y> is linear in each input: its slope along a direction is its value at the direction
    x, weight, bias = arrays(shape, kernels)
    inputs = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = depthwise_conv2d(*inputs, *settings)
    g = np.random.default_rng(11).standard_normal(y.shape)
    with expect.unchanged(x, weight, bias, g):
        grads = grad(y, inputs, g)
    along = arrays(shape, kernels, seed=8)
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
@pytest.mark.parametrize("stride", [1, 2])
def test_the_third_derivative_of_the_trilinear_form_is_the_form(path, stride):
    # <g, y(x, w)> is linear in x, w and g: differentiated once by each, along u, v and h, it is <h, y(u, v)>
    settings = ((stride, stride), (1, 1), (1, 1))
    (x, weight, _), (u, v, _) = (arrays((1, 2, 4, 5), (2, 2, 3), seed) for seed in (1, 2))
    expected = definition(u, v, None, *settings)
    g, h = np.random.default_rng(3).standard_normal((2, *expected.shape))
    at = {name: Tensor(a, requires_grad=True) for name, a in zip("xwg", (x, weight, g), strict=True)}
    along = {"x": u, "w": v, "g": h}
    y = depthwise_conv2d(at["x"], at["w"], None, *settings)
    (first,) = grad(y, [at[path[0]]], at["g"], create_graph=True)
    (second,) = grad(first, [at[path[1]]], along[path[0]], create_graph=True)
    (third,) = grad(second, [at[path[2]]], along[path[1]])
    what = (
        f"the derivative of <g, depthwise_conv2d(x, w)>, stride {stride}, by {path[0]}, {path[1]}, {path[2]}"
    )
    form = float(np.sum(expected * h))
    expect.close(float(np.sum(third.data * along[path[2]])), form, what, rtol=1e-11, atol=1e-12)


def test_pixels_that_no_window_sees_get_a_gradient_of_zero():
    x = Tensor(np.ones((1, 2, 4, 5)), requires_grad=True)
    weight = np.array([3.0, 7.0]).reshape(2, 1, 1, 1)
    (by_x,) = grad(depthwise_conv2d(x, weight, stride=(3, 2)).sum(), (x,))
    expected = np.zeros((1, 2, 4, 5))
    expected[:, 0, ::3, ::2], expected[:, 1, ::3, ::2] = 3.0, 7.0
    what = "gradient with respect to x (1, 2, 4, 5), kernels 1 x 1 of 3 and 7, stride (3, 2),"
    expect.tensor(by_x, expected, what)


# A trilinear form in which channels do not meet.


@st.composite
def problems(draw):
    """x, weight and g = dL/dy in float64, and settings in which they fit."""
    n, c, multiplier = (draw(st.integers(1, high)) for high in (2, 3, 3))
    axes = []
    for _ in range(2):
        kernel, dilation, padding = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 2))
        least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
        axes.append((least + draw(st.integers(0, 4)), kernel, draw(st.integers(1, 3)), padding, dilation))
    size, kernel, stride, padding, dilation = zip(*axes, strict=True)
    rng = np.random.default_rng(draw(strategies.seeds()))
    x, weight = rng.standard_normal((n, c, *size)), rng.standard_normal((c * multiplier, 1, *kernel))
    g = rng.standard_normal((n, c * multiplier, *[len(places(*axis)) for axis in axes]))
    return x, weight, g, (stride, padding, dilation)


@given(problems())
def test_three_maps_of_one_trilinear_form(problem):
    x, weight, g, settings = problem
    geometry, what = Geometry(*settings), describe(x.shape, weight, *settings)
    y = Correlate.apply(Tensor(x), Tensor(weight), geometry=geometry)
    expected = definition(x, weight, None, *settings)
    expect.tensor(y, expected, what, rtol=1e-11, atol=1e-12)
    form, near = float(np.sum(expected * g)), 1e-12 * float(np.sum(np.abs(expected * g))) + 1e-12
    back = Spread.apply(Tensor(g), Tensor(weight), shape=x.shape[1:], geometry=geometry)
    expect.equal(back.shape, x.shape, f"{what}: the shape of spread(g, w)")
    expect.close(float(np.sum(back.data * x)), form, f"{what}: <x, spread(g, w)>", rtol=1e-11, atol=near)
    kernel = Gather.apply(Tensor(x), Tensor(g), kernel=weight.shape[2:], geometry=geometry)
    expect.equal(kernel.shape, weight.shape, f"{what}: the shape of gather(x, g)")
    expect.close(
        float(np.sum(kernel.data * weight)), form, f"{what}: <w, gather(x, g)>", rtol=1e-11, atol=near
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_channels_do_not_see_each_other(stride):
    x, weight, _ = arrays((1, 3, 5, 5), (2, 3, 3))
    inputs = [Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)]
    y = depthwise_conv2d(*inputs, stride=stride)
    settings = ((stride, stride), (0, 0), (1, 1))
    expect.tensor(y, definition(x, weight, None, *settings), describe(x.shape, weight, *settings), rtol=1e-11)
    only = np.zeros(y.shape)
    only[:, 2:4] = 1.0  # the outputs of channel 1
    by_x, by_weight = (g.data for g in grad(y, inputs, only))
    seen = [bool(np.any(by_x[:, c])) for c in range(3)]
    expect.equal(seen, [False, True, False], "the list of channels of x that outputs 2 and 3 of 6 depend on")
    used = [bool(np.any(by_weight[k])) for k in range(6)]
    expected = [False, False, True, True, False, False]
    expect.equal(used, expected, "the list of kernels that outputs 2 and 3 of 6 depend on")


# What is computed, and in which precision.


@pytest.mark.parametrize("stride", [1, 2])
def test_float32_stays_float32(stride):
    settings = ((stride, 1), (1, 1), (1, 1))
    exact = [Tensor(a, requires_grad=True) for a in arrays((2, 3, 5, 4), (2, 3, 3))]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    for count, name in ((3, "with a bias"), (2, "without bias")):
        none = [None] * (3 - count)
        y = depthwise_conv2d(*single[:count], *none, *settings)
        wanted = definition(*[t.data for t in exact[:count]], *none, *settings)
        what = f"depthwise_conv2d in float32, {name},"
        expect.tensor(y, wanted, what, dtype=np.float32, rtol=1e-5, atol=1e-5)
        g = np.random.default_rng(4).standard_normal(wanted.shape)
        double = grad(depthwise_conv2d(*exact[:count], *none, *settings), exact[:count], g)
        grads = grad(y, single[:count], g.astype(np.float32))
        for by, found, want in zip(NAMES, grads, double, strict=False):
            what = f"gradient with respect to {by} in float32, {name},"
            expect.tensor(found, want.data, what, dtype=np.float32, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_what_needs_no_gradient_is_not_computed(stride):
    x, weight, bias = arrays((2, 2, 4, 4), (2, 2, 2))
    geometry = Geometry(stride=(stride, stride))
    y = definition(x, weight, None, (stride, stride))
    g = np.random.default_rng(3).standard_normal(y.shape)
    _, by_x, by_weight = by_offsets(x, weight, g, stride, 0)
    maps = [  # applied to, along; the derivatives of <along, map> by each
        ("Correlate", Correlate, {}, (x, weight, bias), g, (by_x, by_weight, g.sum((0, 2, 3)))),
        ("Correlate without bias", Correlate, {}, (x, weight), g, (by_x, by_weight)),
        ("Spread", Spread, {"shape": (2, 4, 4)}, (g, weight), x, (y, by_weight)),
        ("Gather", Gather, {"kernel": (2, 2)}, (x, g), weight, (by_x, y)),
    ]
    for name, rule, settings, operands, along, expected in maps:
        for i in range(len(operands)):
            inputs = [Tensor(a, requires_grad=i == k) for k, a in enumerate(operands)]
            node = rule.apply(*inputs, geometry=geometry, **settings).node
            with recording(False):
                grads = node.backward(along)
            arrived = [k for k, by in enumerate(grads) if by is not None]
            expect.true(
                arrived == [i] and len(grads) == len(operands),
                f"only input {i + 1} of {name} needs a gradient, the others of the {len(operands)} should be "
                f"None: yours has gradients at {arrived} of {len(grads)}",
            )
            expect.close(grads[i], expected[i], f"the derivative of {name} by its input {i + 1}", rtol=1e-11)


def test_a_second_pass_through_the_same_graph_adds_the_same_again():
    x, weight, bias = arrays((1, 2, 5, 5), (2, 3, 3))
    inputs = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = depthwise_conv2d(*inputs, stride=2, padding=1)
    g = np.random.default_rng(6).standard_normal((1, 4, 3, 3))
    y.backward(g, retain_graph=True)
    y.backward(g)
    _, by_x, by_weight = by_offsets(x, weight, g, 2, 1)
    for name, t, once in zip(NAMES, inputs, (by_x, by_weight, g.sum((0, 2, 3))), strict=True):
        expect.close(t.grad, 2 * once, f"gradient with respect to {name} after two passes", rtol=1e-11)


@pytest.mark.parametrize(
    ("shape", "kernels", "settings"), [SMALL[1].values, SMALL[3].values], ids=["stride 1", "strides"]
)
def test_arrays_of_other_libraries_flow_through(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels)
    value = duck.flows(
        lambda *inputs: depthwise_conv2d(*inputs, *settings),
        x, weight, bias, engine=grad, what="depthwise_conv2d",
    )  # fmt: skip
    expected = definition(x, weight, bias, *settings)
    expect.close(value, expected, "depthwise_conv2d of another library's arrays", rtol=1e-11)


# Edges and errors.


@pytest.mark.parametrize("stride", [1, 2])
def test_an_empty_batch_gives_an_empty_result_and_zero_gradients(stride):
    _, weight, bias = arrays((1, 2, 4, 4), (2, 2, 2))
    inputs = [Tensor(a, requires_grad=True) for a in (np.zeros((0, 2, 4, 4)), weight, bias)]
    y = depthwise_conv2d(*inputs, stride=stride)
    side = len(places(4, 2, stride, 0, 1))
    expect.tensor(y, np.zeros((0, 4, side, side)), "depthwise_conv2d of x (0, 2, 4, 4)")
    for name, t, g in zip(NAMES, inputs, grad(y, inputs, np.zeros(y.shape)), strict=True):
        expect.tensor(g, np.zeros(t.shape), f"gradient with respect to {name} of an empty batch")
    one = np.ones((1, 2, 4, 4))
    expected = definition(one, weight, bias, (stride, stride))
    y = depthwise_conv2d(Tensor(one), weight, bias, stride)
    expect.tensor(y, expected, "depthwise_conv2d of a batch of one", rtol=1e-11)


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [
        ((2, 4, 5, 6), (6, 1, 3, 2), None),  # no multiple of the channels
        ((2, 4, 5, 6), (2, 1, 3, 2), None),
        ((2, 4, 5, 6), (8, 4, 3, 2), None),
        ((2, 4, 5), (8, 1, 3, 2), None),
        ((2, 4, 5, 6, 1), (8, 1, 3, 2), None),
        ((2, 4, 5, 6), (8, 1, 3), None),
        ((2, 4, 5, 6), (8, 1, 3, 2, 1), None),
        ((2, 4, 5, 6), (0, 1, 3, 2), None),
        ((2, 0, 5, 6), (8, 1, 3, 2), None),
        *[((2, 4, 5, 6), (8, 1, 3, 2), bias) for bias in [(1,), (4,), (1, 8), (8, 1)]],
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, weight, bias):
    with expect.raises(ValueError, *[str(shape) for shape in (x, weight, bias) if shape]):
        depthwise_conv2d(Tensor(np.ones(x)), np.ones(weight), None if bias is None else np.ones(bias))


def test_a_kernel_that_does_not_fit_is_refused_along_either_axis():
    x = Tensor(np.ones((1, 1, 4, 9)))
    with expect.raises(ValueError, "5", "4"):
        depthwise_conv2d(x, np.ones((1, 1, 3, 1)), dilation=(2, 1))
    with expect.raises(ValueError, "13", "11"):
        depthwise_conv2d(x, np.ones((1, 1, 1, 13)), padding=(0, 1))


@pytest.mark.parametrize(("name", "wrong"), [("stride", 0), ("stride", -1), ("padding", -2), ("dilation", 0)])
def test_settings_out_of_range_are_refused(name, wrong):
    x, weight = Tensor(np.ones((1, 1, 9, 9))), np.ones((1, 1, 3, 3))
    with expect.raises(ValueError, name, str(wrong)):
        depthwise_conv2d(x, weight, **{name: wrong})
    with expect.raises(ValueError, name, str(wrong)):
        depthwise_conv2d(x, weight, **{name: (2, wrong)})
    with expect.raises(ValueError, name, str(wrong)):
        build(1, 3, **{name: wrong})


# The depthwise layer.


def test_a_layer_computes_depthwise_conv2d_of_its_parameters():
    x = np.random.default_rng(1).standard_normal((2, 3, 7, 8))
    settings = ((2, 1), (1, 2), (1, 3))
    layer = build(3, (3, 2), *settings, 2, dtype=np.float64)
    weight, bias = layer.weight.data, layer.bias.data
    what = "DepthwiseConv2d(3, (3, 2), stride (2, 1), padding (1, 2), dilation (1, 3), multiplier 2)"
    expect.tensor(layer(Tensor(x)), definition(x, weight, bias, *settings), what, rtol=1e-11)
    smaller = x[:1, :, 1:, 2:]
    expected = definition(smaller, weight, bias, *settings)
    expect.tensor(layer(Tensor(smaller)), expected, f"{what} of a smaller image", rtol=1e-11)
    for kernel in (3, 1):
        plain = build(3, kernel, dtype=np.float64)
        what = f"DepthwiseConv2d(3, {kernel})"
        expect.equal(plain.weight.shape, (3, 1, kernel, kernel), f"the shape of the weight of {what}")
        expected = definition(x, plain.weight.data, plain.bias.data)
        expect.tensor(plain(Tensor(x)), expected, what, rtol=1e-11)


def test_a_layer_has_a_weight_and_a_bias_in_float32():
    layer = build(4, (3, 2), multiplier=2)
    shapes = {name: (p.shape, p.dtype.name) for name, p in layer.named_parameters()}
    expected = {"weight": ((8, 1, 3, 2), "float32"), "bias": ((8,), "float32")}
    expect.equal(
        shapes, expected, "the dict of shapes and dtypes of DepthwiseConv2d(4, (3, 2), multiplier=2)"
    )
    kinds = [p.dtype.name for p in build(1, 3, dtype=np.float64).parameters()]
    what = "the list of dtypes of DepthwiseConv2d(1, 3, dtype=np.float64)"
    expect.equal(kinds, ["float64", "float64"], what)


def test_the_settings_are_kept_as_down_and_across():
    layer = build(2, 3, stride=2, padding=(1, 0), dilation=(1, 3), multiplier=4)
    kept = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.multiplier)
    what = "the tuple of kernel_size, stride, padding, dilation and multiplier"
    expect.equal(kept, ((3, 3), (2, 2), (1, 0), (1, 3), 4), what)


def test_a_layer_without_bias_has_none():
    layer = build(2, 2, bias=False, dtype=np.float64)
    names = [name for name, _ in layer.named_parameters()]
    expect.equal(names, ["weight"], "the list of parameters with bias=False")
    expect.true(layer.bias is None, "with bias=False, layer.bias should be None")
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 3))
    expected = definition(x, layer.weight.data)
    expect.tensor(layer(Tensor(x)), expected, "DepthwiseConv2d(2, 2, bias=False)", rtol=1e-11)


def test_parameters_begin_uniform_between_plus_and_minus_one_over_the_root_of_r_s():
    layer, bound = build(3000, (4, 5), multiplier=2, dtype=np.float64), 1 / sqrt(20)
    for name, array in (("weight", layer.weight.data), ("bias", layer.bias.data)):
        peak = float(np.max(np.abs(array)))
        what = f"the initial {name} of DepthwiseConv2d(3000, (4, 5), multiplier=2)"
        fits = 0.99 * bound < peak <= bound * (1 + 1e-6)
        expect.true(fits, f"{what} should fill [-{bound:.4g}, {bound:.4g}], its peak is {peak:.5g}")
        # each of the next two refuses a right answer with probability 1e-6
        statistics.mean_is(array, 0.0, bound / sqrt(3), what)
        statistics.variance_is(array, bound**2 / 3, what, kurtosis=1.8)


def test_the_generator_decides_where_parameters_begin():
    first, again, other = build(4, 3, seed=1), build(4, 3, seed=1), build(4, 3, seed=2)
    for name in ("weight", "bias"):
        mine, same, far = (getattr(layer, name).data for layer in (first, again, other))
        expect.close(same, mine, f"the {name} from an equal generator")
        moved = bool(np.max(np.abs(far - mine)) > 1e-3)
        expect.true(moved, f"another generator should give another {name}")


def test_the_weight_does_not_depend_on_whether_there_is_a_bias():
    with_bias, without = build(4, 3), build(4, 3, bias=False)
    what = "the weight with bias=False, from an equal generator"
    expect.close(without.weight.data, with_bias.weight.data, what)
    peak, bound = float(np.max(np.abs(without.weight.data))), 1 / 3
    expect.true(
        0.5 * bound < peak <= bound * (1 + 1e-6), f"{what} should reach up to {bound:.3g}, not {peak:.3g}"
    )


@pytest.mark.parametrize("numbers", [(0, 2), (3, 0), (-1, 5)])
def test_a_layer_refuses_numbers_below_one(numbers):
    channels, multiplier = numbers
    with expect.raises(ValueError, str(channels), str(multiplier)):
        build(channels, 3, multiplier=multiplier)


def test_a_layer_refuses_a_kernel_without_pixels():
    with expect.raises(ValueError, "kernel_size", "0"):
        build(4, (3, 0))


# The separable layer.


def test_a_separable_layer_looks_around_and_then_mixes():
    x = np.random.default_rng(1).standard_normal((2, 3, 7, 8))
    settings = ((2, 1), (1, 2), (1, 3))
    for multiplier in (1, 2):
        layer = separable(3, 5, (3, 2), *settings, multiplier, dtype=np.float64)
        seen = definition(x, layer.depthwise.weight.data, None, *settings)
        mixed = np.einsum("ncij,kc->nkij", seen, layer.pointwise.weight.data[:, :, 0, 0])
        what = "SeparableConv2d(3, 5, (3, 2), stride (2, 1), padding (1, 2), dilation (1, 3), "
        what += f"multiplier {multiplier})"
        expected = mixed + layer.pointwise.bias.data[:, None, None]
        expect.tensor(layer(Tensor(x)), expected, what, rtol=1e-11)


def test_a_separable_layer_is_a_convolution_whose_kernels_are_products():
    x = np.random.default_rng(2).standard_normal((1, 2, 4, 5))
    layer = separable(2, 3, 2, multiplier=2, bias=False, dtype=np.float64)
    look, mix = layer.depthwise.weight.data.reshape(2, 2, 2, 2), layer.pointwise.weight.data.reshape(3, 2, 2)
    full = np.einsum("kcm,cmuv->kcuv", mix, look)
    expected = np.zeros((1, 3, 3, 4))
    for i, j in np.ndindex(3, 4):
        expected[0, :, i, j] = np.einsum("kcuv,cuv->k", full, x[0, :, i : i + 2, j : j + 2])
    expect.tensor(
        layer(Tensor(x)), expected, "SeparableConv2d(2, 3, 2, multiplier=2, bias=False)", rtol=1e-11
    )


def test_a_separable_layer_has_one_bias_and_that_of_the_mixture():
    layer = separable(4, 6, 3, multiplier=2)
    shapes = {name: (p.shape, p.dtype.name) for name, p in layer.named_parameters()}
    expected = {
        "depthwise.weight": ((8, 1, 3, 3), "float32"),
        "pointwise.weight": ((6, 8, 1, 1), "float32"),
        "pointwise.bias": ((6,), "float32"),
    }
    expect.equal(shapes, expected, "the dict of shapes and dtypes of SeparableConv2d(4, 6, 3, multiplier=2)")
    names = [name for name, _ in separable(2, 3, 3, bias=False, dtype=np.float64).named_parameters()]
    expected = ["depthwise.weight", "pointwise.weight"]
    expect.equal(names, expected, "the list of parameters of a SeparableConv2d with bias=False")
    kinds = [p.dtype.name for p in separable(2, 3, 3, dtype=np.float64).parameters()]
    expect.equal(kinds, ["float64"] * 3, "the list of dtypes of a SeparableConv2d with dtype=np.float64")


def test_a_separable_layer_begins_as_its_two_layers_do():
    layer, again = separable(2000, 3, (2, 5), seed=3), separable(2000, 3, (2, 5), seed=3)
    bounds = {"depthwise": 1 / sqrt(10), "pointwise": 1 / sqrt(2000)}  # one over the root of the inputs
    for name, bound in bounds.items():
        mine, same = (getattr(each, name).weight.data for each in (layer, again))
        expect.close(same, mine, f"the {name} weight from an equal generator")
        peak, what = float(np.max(np.abs(mine))), f"the {name} weight of SeparableConv2d(2000, 3, (2, 5))"
        fits = 0.98 * bound < peak <= bound * (1 + 1e-6)
        expect.true(fits, f"{what} should fill [-{bound:.4g}, {bound:.4g}], its peak is {peak:.5g}")
    alone = build(2000, (2, 5), bias=False, seed=3).weight.data
    what = "the depthwise weight, whose numbers come from the generator first: that of DepthwiseConv2d alone,"
    expect.close(layer.depthwise.weight.data, alone, what)


def test_gradients_pass_through_both_layers():
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 3))
    layer = separable(2, 2, 2, dtype=np.float64)
    look, mix = layer.depthwise.weight.data, layer.pointwise.weight.data
    seen = definition(x, look)
    g = np.random.default_rng(2).standard_normal((1, 2, 2, 2))
    grads = grad(layer(Tensor(x)), list(layer.parameters()), g)
    back = np.einsum("nkij,kc->ncij", g, mix[:, :, 0, 0])
    expected = [
        by_offsets(x, look, back, 1, 0)[2],
        np.einsum("nkij,ncij->kc", g, seen)[:, :, None, None],
        g.sum((0, 2, 3)),
    ]
    names = ("depthwise.weight", "pointwise.weight", "pointwise.bias")
    for name, found, want in zip(names, grads, expected, strict=True):
        expect.tensor(found, want, f"gradient with respect to {name}", rtol=1e-11)
