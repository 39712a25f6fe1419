"""nn_core.conv.conv2d: against the sum that defines it, against calculus, as a trilinear form, as a layer."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, expect, gradcheck, statistics, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor, recording
from nn_core.conv.conv2d import Conv2d, Correlate, Gather, Geometry, Spread, conv2d, output_size

NAMES = ("x", "weight", "bias")
PLAIN = ((1, 1), (0, 0), (1, 1), 1)  # stride, padding, dilation, groups
CASES = [  # x, (K, R, S), (stride, padding, dilation, groups)
    pytest.param((2, 3, 5, 5), (4, 3, 3), PLAIN, id="plain"),
    pytest.param((1, 2, 4, 7), (3, 3, 2), PLAIN, id="not square"),
    pytest.param((2, 2, 6, 8), (2, 3, 3), ((2, 3), (0, 0), (1, 1), 1), id="stride 2, 3 with leftovers"),
    pytest.param((1, 2, 9, 4), (2, 2, 2), ((3, 1), (0, 0), (1, 1), 1), id="stride larger than the kernel"),
    pytest.param((2, 2, 4, 5), (3, 3, 3), ((1, 1), (1, 2), (1, 1), 1), id="padding 1, 2"),
    pytest.param((1, 2, 7, 8), (2, 3, 2), ((1, 1), (0, 0), (2, 3), 1), id="dilation 2, 3"),
    pytest.param((1, 1, 2, 3), (2, 4, 3), ((1, 1), (1, 1), (1, 1), 1), id="kernel larger than the image"),
    pytest.param((1, 2, 3, 3), (2, 1, 2), ((1, 1), (2, 3), (1, 1), 1), id="padding wider than the kernel"),
    pytest.param((2, 4, 4, 4), (6, 3, 2), ((1, 1), (1, 0), (1, 1), 2), id="2 groups"),
    pytest.param((1, 3, 5, 4), (3, 2, 2), ((2, 1), (0, 0), (1, 1), 3), id="a group for each channel"),
    pytest.param((2, 4, 8, 7), (2, 3, 2), ((2, 2), (2, 1), (2, 3), 2), id="all at once"),
    pytest.param((1, 1, 1, 1), (1, 1, 1), PLAIN, id="one number"),
]
SMALL = [  # the same, for derivatives to second order
    pytest.param((2, 1, 3, 3), (2, 2, 2), PLAIN, id="plain"),
    pytest.param((1, 1, 4, 5), (2, 3, 2), ((1, 1), (1, 0), (1, 2), 1), id="padding 1, 0 and dilation 1, 2"),
    pytest.param((1, 1, 4, 6), (2, 3, 3), ((2, 2), (0, 0), (1, 1), 1), id="stride 2 with leftovers"),
    pytest.param((1, 4, 3, 2), (2, 2, 2), ((1, 1), (0, 1), (1, 1), 2), id="2 groups"),
    pytest.param((1, 2, 4, 3), (2, 2, 2), ((3, 2), (1, 2), (2, 1), 2), id="all at once"),
]


def arrays(shape, kernels, groups=1, seed=7):
    """x, weight and bias in float64."""
    rng, (k, *window) = np.random.default_rng(seed), kernels
    weight = rng.standard_normal((k, shape[1] // groups, *window))
    return rng.standard_normal(shape), weight, rng.standard_normal(k)


def places(size, kernel, stride, padding, dilation):
    """Where the kernel can begin along an axis, by trying every pixel."""
    last = size + padding - dilation * (kernel - 1) - 1
    return [a for a in range(-padding, size + padding) if (a + padding) % stride == 0 and a <= last]


def definition(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """y[n, k, i, j] = b[k] + sum w[k, c, u, v] x[n, first + c, ...], one number at a time."""
    settings = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    down, across = (places(*axis) for axis in settings)
    y = np.zeros((len(x), len(weight), len(down), len(across)))
    for n, k, i, j in np.ndindex(*y.shape):
        first = k // (len(weight) // groups) * weight.shape[1]
        total = 0.0 if bias is None else bias[k]
        for c, u, v in np.ndindex(*weight.shape[1:]):
            row, column = down[i] + dilation[0] * u, across[j] + dilation[1] * v
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                total += weight[k, c, u, v] * x[n, first + c, row, column]
        y[n, k, i, j] = total
    return y


def by_offsets(x, weight, g, stride, p):
    """y, and dL/dx, dL/dw for ``g`` = dL/dy, by a product for each weight of the kernel: for large x."""
    image = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y, by_image, by_weight = np.zeros(g.shape), np.zeros(image.shape), np.zeros(weight.shape)
    for u, v in np.ndindex(*weight.shape[2:]):
        ends = (u + stride * (g.shape[2] - 1) + 1, v + stride * (g.shape[3] - 1) + 1)
        seen = (slice(None), slice(None), slice(u, ends[0], stride), slice(v, ends[1], stride))
        y += np.moveaxis(np.tensordot(image[seen], weight[:, :, u, v], (1, 1)), -1, 1)
        by_image[seen] += np.moveaxis(np.tensordot(g, weight[:, :, u, v], (1, 0)), -1, 1)
        by_weight[:, :, u, v] = np.tensordot(g, image[seen], ((0, 2, 3), (0, 2, 3)))
    return y, by_image[:, :, p : p + x.shape[2], p : p + x.shape[3]], by_weight


def describe(x, weight, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """The settings that differ from the defaults, in words."""
    text = f"x {x.shape}, weight {weight.shape}"
    named = zip(
        ("stride", "padding", "dilation", "groups"), (stride, padding, dilation, groups), PLAIN, strict=True
    )
    return "conv2d of " + ", ".join(
        [text, *[f"{name} {value}" for name, value, usual in named if value != usual]]
    )


def build(*args, seed=0, **kwargs):
    return Conv2d(*args, rng=np.random.default_rng(seed), **kwargs)


# The size.


SIZES = [(5, 3, 1, 0, 1), (6, 3, 2, 0, 1), (7, 3, 2, 1, 1), (32, 3, 2, 1, 1), (10, 3, 3, 2, 4)]
SIZES += [(3, 5, 1, 1, 1), (224, 7, 2, 3, 1), (8, 1, 3, 0, 9), (6, 1, 4, 0, 1)]


@pytest.mark.parametrize("settings", SIZES)
def test_output_size_counts_the_places_of_the_kernel(settings):
    size, kernel, stride, padding, dilation = settings
    what = f"output_size({size}, {kernel}, stride={stride}, padding={padding}, dilation={dilation})"
    actual = output_size(size, kernel, stride=stride, padding=padding, dilation=dilation)
    expect.equal(actual, len(places(*settings)), what)


def test_output_size_moves_pixel_by_pixel_unless_told_otherwise():
    expect.equal(output_size(6, 3), 4, "output_size(6, 3)")
    expect.equal(output_size(6, 3, padding=1), 6, "output_size(6, 3, padding=1)")


def test_output_size_refuses_a_kernel_that_does_not_fit():
    expect.equal(output_size(5, 3, dilation=2), 1, "output_size(5, 3, dilation=2)")
    with expect.raises(ValueError, "5", "4"):
        output_size(4, 3, dilation=2)
    with expect.raises(ValueError, "7", "6"):
        output_size(2, 7, stride=2, padding=2)


# The definition.


@pytest.mark.parametrize(("shape", "kernels", "settings"), CASES)
def test_matches_the_definition(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels, settings[3])
    what = describe(x, weight, *settings)
    with expect.unchanged(x, weight, bias):
        y = conv2d(Tensor(x), Tensor(weight), Tensor(bias), *settings)
        without = conv2d(Tensor(x), Tensor(weight), None, *settings)
    expect.tensor(y, definition(x, weight, bias, *settings), f"{what}, with a bias,")
    expect.tensor(without, definition(x, weight, None, *settings), what)


def test_the_kernel_is_not_turned_round():
    x, weight = np.zeros((1, 1, 3, 3)), np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    x[0, 0, 0, 1] = 1.0
    expected = np.array([[[[2.0, 1.0], [0.0, 0.0]]]])
    expect.tensor(conv2d(Tensor(x), weight), expected, "what [[1, 2], [3, 4]] sees of one pixel at (0, 1)")


def test_an_int_means_the_same_down_and_across():
    x, weight, bias = arrays((1, 4, 7, 8), (4, 3, 3), 2)
    y = conv2d(Tensor(x), weight, bias, stride=2, padding=1, dilation=2, groups=2)
    settings = ((2, 2), (1, 1), (2, 2), 2)
    expect.tensor(y, definition(x, weight, bias, *settings), describe(x, weight, *settings))


def test_any_layout_in_memory_gives_the_same():
    x, weight, bias = arrays((2, 3, 4, 5), (2, 3, 2))
    expected = definition(x, weight, bias, padding=(1, 1))
    g = np.random.default_rng(2).standard_normal(expected.shape)
    _, by_x, by_weight = by_offsets(x, weight, g, 1, 1)
    wide = np.zeros((2, 3, 4, 10))
    wide[..., ::2] = x
    layouts = {
        "channels last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "in Fortran order": np.asfortranarray(x),
        "every other column of an array": wide[..., ::2],
    }
    for name, laid in layouts.items():
        inputs = [Tensor(a, requires_grad=True) for a in (laid, np.asfortranarray(weight))]
        y = conv2d(*inputs, bias, padding=1)
        expect.tensor(y, expected, f"conv2d of x {name}")
        grads = grad(y, inputs, np.asfortranarray(g))
        expect.tensor(grads[0], by_x, f"gradient with respect to x, which is {name},")
        expect.tensor(grads[1], by_weight, f"gradient with respect to weight, where x is {name},")


LARGE = [((1, 8, 66, 64), 1), ((5, 8, 32, 33), 1), ((1, 8, 140, 131), 2), ((5, 8, 65, 64), 2)]


@pytest.mark.parametrize(("shape", "stride"), LARGE)
def test_images_that_do_not_fit_the_cache(shape, stride):
    x, weight, _ = arrays(shape, (3, 3, 3))
    sides = [len(places(n, 3, stride, 1, 1)) for n in shape[2:]]
    g = np.random.default_rng(3).standard_normal((shape[0], 3, *sides))
    inputs = [Tensor(x, requires_grad=True), Tensor(weight, requires_grad=True)]
    y = conv2d(*inputs, stride=stride, padding=1)
    expected = by_offsets(x, weight, g, stride, 1)
    what = f"x {shape}, stride {stride}, padding 1"
    expect.tensor(y, expected[0], f"conv2d of {what}")
    for name, found, wanted in zip(NAMES, grad(y, inputs, g), expected[1:], strict=False):
        expect.tensor(found, wanted, f"gradient with respect to {name} for {what}", rtol=1e-11)


# Derivatives.


@pytest.mark.parametrize(("shape", "kernels", "settings"), SMALL)
def test_the_gradients_are_right_to_second_order(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels, settings[3])
    expected = definition(x, weight, bias, *settings)
    expect.tensor(conv2d(Tensor(x), weight, bias, *settings), expected, describe(x, weight, *settings))
    gradcheck(lambda *inputs: conv2d(*inputs, *settings), x, weight, bias, names=NAMES, seed=5)


def test_the_gradients_without_bias_are_right_to_second_order():
    x, weight, _ = arrays((1, 2, 3, 4), (2, 2, 2))
    expect.tensor(conv2d(Tensor(x), weight), definition(x, weight), describe(x, weight))
    gradcheck(conv2d, x, weight, names=("x", "weight"))


@pytest.mark.parametrize(("shape", "kernels", "settings"), CASES)
def test_the_gradients_are_the_definitions_along_random_directions(shape, kernels, settings):
    # the loss <g, y> is linear in each input: its slope along a direction is its value at the direction
    x, weight, bias = arrays(shape, kernels, settings[3])
    inputs = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = conv2d(*inputs, *settings)
    g = np.random.default_rng(11).standard_normal(y.shape)
    with expect.unchanged(x, weight, bias, g):
        grads = grad(y, inputs, g)
    along = arrays(shape, kernels, settings[3], seed=8)
    slopes = [definition(along[0], weight, None, *settings), definition(x, along[1], None, *settings),
              np.broadcast_to(along[2][:, None, None], y.shape)]  # fmt: skip
    for name, found, v, slope in zip(NAMES, grads, along, slopes, strict=True):
        what = f"{describe(x, weight, *settings)}: slope along a direction in {name}"
        scale = float(np.sum(np.abs(g * slope)))
        expect.equal(found.shape, v.shape, f"the shape of the gradient with respect to {name}")
        expect.close(
            float(np.sum(found.data * v)), float(np.sum(g * slope)), what, rtol=1e-11, atol=1e-12 * scale
        )


@pytest.mark.parametrize("path", ["xwg", "xgw", "wxg", "wgx"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_third_derivative_of_the_trilinear_form_is_the_form(path, stride):
    # <g, y(x, w)> is linear in x, w and g: differentiated once by each, along u, v and h, it is <h, y(u, v)>
    settings = ((stride, stride), (1, 1), (1, 1), 2)
    (x, weight, _), (u, v, _) = (arrays((1, 2, 4, 5), (2, 2, 3), 2, seed) for seed in (1, 2))
    expected = definition(u, v, None, *settings)
    g, h = np.random.default_rng(3).standard_normal((2, *expected.shape))
    at = {name: Tensor(a, requires_grad=True) for name, a in zip("xwg", (x, weight, g), strict=True)}
    along = {"x": u, "w": v, "g": h}
    (first,) = grad(conv2d(at["x"], at["w"], None, *settings), [at[path[0]]], at["g"], create_graph=True)
    (second,) = grad(first, [at[path[1]]], along[path[0]], create_graph=True)
    (third,) = grad(second, [at[path[2]]], along[path[1]])
    what = f"the derivative of <g, conv2d(x, w)>, stride {stride}, by {path[0]}, {path[1]} and {path[2]}"
    form = float(np.sum(expected * h))
    expect.close(float(np.sum(third.data * along[path[2]])), form, what, rtol=1e-11, atol=1e-12)


def test_every_pixel_collects_from_all_windows_that_saw_it():
    x, weight = (
        Tensor(np.ones((1, 1, 3, 3)), requires_grad=True),
        Tensor(np.ones((1, 1, 2, 2)), requires_grad=True),
    )
    bias = Tensor(np.zeros(1), requires_grad=True)
    by_x, by_weight, by_bias = grad(conv2d(x, weight, bias).sum(), (x, weight, bias))
    seen = np.array([[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]])
    expect.tensor(by_x, seen, "gradient with respect to x of a sum: in how many of 4 windows a pixel is")
    expect.tensor(
        by_weight, np.full((1, 1, 2, 2), 4.0), "gradient with respect to weight of a sum over 4 places"
    )
    expect.tensor(by_bias, np.array([4.0]), "gradient with respect to bias of a sum over 4 places")


def test_pixels_that_no_window_sees_get_a_gradient_of_zero():
    x = Tensor(np.ones((1, 1, 4, 5)), requires_grad=True)
    (by_x,) = grad(conv2d(x, np.array([[[[3.0]]]]), stride=(3, 2)).sum(), (x,))
    expected = np.zeros((1, 1, 4, 5))
    expected[:, :, ::3, ::2] = 3.0
    expect.tensor(
        by_x, expected, "gradient with respect to x (1, 1, 4, 5), kernel 1 x 1 of 3, stride (3, 2),"
    )


# A trilinear form, and what follows from one kernel for every place.


@st.composite
def problems(draw):
    """x, weight and g = dL/dy in float64, and a geometry in which they fit."""
    groups, n = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    c, k = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    axes = []
    for _ in range(2):
        kernel, dilation, padding = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 2))
        least = max(1, dilation * (kernel - 1) + 1 - 2 * padding)
        axes.append((least + draw(st.integers(0, 4)), kernel, draw(st.integers(1, 3)), padding, dilation))
    size, kernel, stride, padding, dilation = zip(*axes, strict=True)
    rng = np.random.default_rng(draw(strategies.seeds()))
    x, weight = rng.standard_normal((n, c, *size)), rng.standard_normal((k, c // groups, *kernel))
    g = rng.standard_normal((n, k, *[len(places(*axis)) for axis in axes]))
    return x, weight, g, (stride, padding, dilation, groups)


@given(problems())
def test_three_maps_of_one_trilinear_form(problem):
    x, weight, g, settings = problem
    geometry, what = Geometry(*settings), describe(x, weight, *settings)
    y = Correlate.apply(Tensor(x), Tensor(weight), geometry=geometry)
    expected = definition(x, weight, None, *settings)
    expect.tensor(y, expected, what, atol=1e-12)
    form, near = float(np.sum(expected * g)), 1e-12 * float(np.sum(np.abs(expected * g))) + 1e-12
    back = Spread.apply(Tensor(g), Tensor(weight), size=x.shape[2:], geometry=geometry)
    expect.equal(back.shape, x.shape, f"{what}: the shape of spread(g, w)")
    expect.close(float(np.sum(back.data * x)), form, f"{what}: <x, spread(g, w)>", rtol=1e-11, atol=near)
    kernel = Gather.apply(Tensor(x), Tensor(g), kernel=weight.shape[2:], geometry=geometry)
    expect.equal(kernel.shape, weight.shape, f"{what}: the shape of gather(x, g)")
    expect.close(
        float(np.sum(kernel.data * weight)), form, f"{what}: <w, gather(x, g)>", rtol=1e-11, atol=near
    )


@pytest.mark.parametrize("stride", [1, 2])
def test_a_shifted_image_gives_a_shifted_result(stride):
    x, weight, bias = arrays((1, 2, 12, 12), (2, 3, 3))
    x[:, :, 6:], x[:, :, :, 6:] = 0.0, 0.0
    moved = np.roll(x, (2 * stride, stride), axis=(2, 3))
    y, shifted = (conv2d(Tensor(a), weight, bias, stride).data for a in (x, moved))
    expect.close(
        shifted[:, :, 2:, 1:],
        y[:, :, :-2, :-1],
        f"conv2d, stride {stride}, of an image moved by 2 and 1 strides,",
    )
    expect.close(
        y, definition(x, weight, bias, (stride, stride)), f"conv2d, stride {stride}, before the move,"
    )


def test_a_kernel_of_one_pixel_is_a_linear_layer_for_each_pixel():
    x, weight, bias = arrays((2, 3, 4, 5), (4, 1, 1))
    expected = np.einsum("nchw,kc->nkhw", x, weight[:, :, 0, 0]) + bias[:, None, None]
    expect.tensor(conv2d(Tensor(x), weight, bias), expected, "conv2d with a 1 x 1 kernel")


def test_a_kernel_as_large_as_the_image_is_a_linear_layer():
    x, weight, bias = arrays((2, 3, 4, 5), (4, 4, 5))
    expected = (x.reshape(2, -1) @ weight.reshape(4, -1).T + bias)[:, :, None, None]
    expect.tensor(conv2d(Tensor(x), weight, bias), expected, "conv2d with a 4 x 5 kernel of x (2, 3, 4, 5)")


def test_groups_are_convolutions_side_by_side():
    x, weight, bias = arrays((2, 6, 4, 4), (9, 3, 3), 3)
    y = conv2d(Tensor(x), weight, bias, padding=1, groups=3)
    for g in range(3):
        mine, theirs = slice(2 * g, 2 * g + 2), slice(3 * g, 3 * g + 3)
        alone = definition(x[:, mine], weight[theirs], bias[theirs], padding=(1, 1))
        expect.close(
            y.data[:, theirs], alone, f"channels {3 * g} to {3 * g + 2} of 9, of group {g + 1} of 3,"
        )


# What is computed, and in which precision.


@pytest.mark.parametrize("stride", [1, 2])
def test_float32_stays_float32(stride):
    settings = ((stride, 1), (1, 1), (1, 1), 2)
    exact = [Tensor(a, requires_grad=True) for a in arrays((2, 4, 5, 4), (4, 3, 3), 2)]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    y = conv2d(*single, *settings)
    wanted = definition(*[t.data for t in exact], *settings)
    expect.tensor(y, wanted, "conv2d in float32", dtype=np.float32, rtol=1e-5, atol=1e-5)
    g = np.random.default_rng(4).standard_normal(wanted.shape)
    pairs = zip(grad(y, single, g.astype(np.float32)), grad(conv2d(*exact, *settings), exact, g), strict=True)
    for name, (found, want) in zip(NAMES, pairs, strict=True):
        what = f"gradient with respect to {name} in float32"
        expect.tensor(found, want.data, what, dtype=np.float32, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_what_needs_no_gradient_is_not_computed(stride):
    inputs = arrays((2, 2, 4, 4), (3, 2, 2))
    geometry = Geometry(stride=(stride, stride))
    g = np.random.default_rng(3).standard_normal(definition(*inputs, (stride, stride)).shape)
    _, by_x, by_weight = by_offsets(inputs[0], inputs[1], g, stride, 0)
    for i, name in enumerate(NAMES):
        tensors = [Tensor(a, requires_grad=i == k) for k, a in enumerate(inputs)]
        y = Correlate.apply(*tensors, geometry=geometry)
        with recording(False):
            grads = y.node.backward(g)
        arrived = [k for k, by in enumerate(grads) if by is not None]
        expect.true(arrived == [i] and len(grads) == 3, f"only {name} needs a gradient, the other two of the "
                    f"three should be None: yours has gradients at {arrived} of {len(grads)}")  # fmt: skip
        what = f"gradient with respect to {name}, the only one that is needed"
        expect.close(grads[i], (by_x, by_weight, g.sum((0, 2, 3)))[i], what)


@pytest.mark.parametrize("stride", [1, 2])
def test_spread_and_gather_compute_only_the_derivatives_that_are_needed(stride):
    x, weight, _ = arrays((2, 2, 4, 4), (3, 2, 2))
    geometry = Geometry(stride=(stride, stride))
    y = definition(x, weight, None, geometry.stride)
    g = np.random.default_rng(3).standard_normal(y.shape)
    _, by_x, by_weight = by_offsets(x, weight, g, stride, 0)
    maps = [  # applied to, along; the derivatives of <along, map> by both
        ("Spread", Spread, {"size": (4, 4)}, (g, weight), x, (y, by_weight)),
        ("Gather", Gather, {"kernel": (2, 2)}, (x, g), weight, (by_x, y)),
    ]
    for name, rule, settings, operands, along, expected in maps:
        for i in (0, 1):
            inputs = [Tensor(a, requires_grad=i == k) for k, a in enumerate(operands)]
            node = rule.apply(*inputs, geometry=geometry, **settings).node
            with recording(False):
                grads = node.backward(along)
            arrived = [k for k, by in enumerate(grads) if by is not None]
            expect.true(
                arrived == [i] and len(grads) == 2,
                f"only input {i + 1} of {name} needs a gradient, the other of the two should be None: "
                f"yours has gradients at {arrived} of {len(grads)}",
            )
            expect.close(grads[i], expected[i], f"the derivative of {name} by its input {i + 1}")


def test_a_second_pass_through_the_same_graph_adds_the_same_again():
    x, weight, bias = arrays((1, 2, 5, 5), (2, 3, 3))
    inputs = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = conv2d(*inputs, stride=2, padding=1)
    g = np.random.default_rng(6).standard_normal((1, 2, 3, 3))
    y.backward(g, retain_graph=True)
    y.backward(g)
    _, by_x, by_weight = by_offsets(x, weight, g, 2, 1)
    for name, t, once in zip(NAMES, inputs, (by_x, by_weight, g.sum((0, 2, 3))), strict=True):
        expect.close(t.grad, 2 * once, f"gradient with respect to {name} after two passes")


@pytest.mark.parametrize(
    ("shape", "kernels", "settings"), [SMALL[3].values, SMALL[4].values], ids=["stride 1", "strides"]
)
def test_arrays_of_another_library_flow_through(shape, kernels, settings):
    x, weight, bias = arrays(shape, kernels, settings[3])
    value = duck.flows(
        lambda *inputs: conv2d(*inputs, *settings), x, weight, bias, engine=grad, what="conv2d"
    )
    expect.close(value, definition(x, weight, bias, *settings), "conv2d of another library's arrays")


# Edges and errors.


@pytest.mark.parametrize("stride", [1, 2])
def test_an_empty_batch_gives_an_empty_result_and_zero_gradients(stride):
    _, weight, bias = arrays((1, 2, 4, 4), (3, 2, 2))
    inputs = [Tensor(a, requires_grad=True) for a in (np.zeros((0, 2, 4, 4)), weight, bias)]
    y = conv2d(*inputs, stride=stride)
    side = len(places(4, 2, stride, 0, 1))
    expect.tensor(y, np.zeros((0, 3, side, side)), "conv2d of x (0, 2, 4, 4)")
    for name, t, g in zip(NAMES, inputs, grad(y, inputs, np.zeros(y.shape)), strict=True):
        expect.tensor(g, np.zeros(t.shape), f"gradient with respect to {name} of an empty batch")
    one = conv2d(Tensor(np.ones((1, 2, 4, 4))), weight, bias, stride)
    expect.tensor(
        one, definition(np.ones((1, 2, 4, 4)), weight, bias, (stride, stride)), "conv2d of a batch of one"
    )


def test_shapes_that_do_not_fit_are_refused():
    x, weight = Tensor(np.ones((2, 4, 5, 6))), np.ones((6, 4, 3, 2))
    with expect.raises(ValueError, "(2, 4, 5, 6)", "(6, 3, 3, 2)"):
        conv2d(x, np.ones((6, 3, 3, 2)))
    with expect.raises(ValueError, "(4, 5, 6)", "(6, 4, 3, 2)"):
        conv2d(x[0], weight)
    with expect.raises(ValueError, "(2, 4, 5, 6)", "(6, 4, 3)"):
        conv2d(x, np.ones((6, 4, 3)))
    with expect.raises(ValueError, "(2, 4, 5, 6)", "(6, 4, 3, 2)", "(1,)"):
        conv2d(x, weight, np.ones(1))
    with expect.raises(ValueError, "(2, 4, 5, 6)", "(6, 4, 3, 2)", "(5,)"):
        conv2d(x, weight, np.ones(5))


def test_groups_that_do_not_fit_are_refused():
    x = Tensor(np.ones((2, 4, 5, 5)))
    with expect.raises(ValueError, "(2, 4, 5, 5)", "(6, 4, 3, 3)", "2"):
        conv2d(x, np.ones((6, 4, 3, 3)), groups=2)
    with expect.raises(ValueError, "(2, 4, 5, 5)", "(7, 2, 3, 3)", "2"):
        conv2d(x, np.ones((7, 2, 3, 3)), groups=2)
    for groups in (0, -1):
        with expect.raises(ValueError, "groups", str(groups)):
            conv2d(x, np.ones((6, 4, 3, 3)), groups=groups)


def test_a_kernel_that_does_not_fit_is_refused_along_either_axis():
    x = Tensor(np.ones((1, 1, 4, 9)))
    with expect.raises(ValueError, "5", "4"):
        conv2d(x, np.ones((1, 1, 3, 1)), dilation=(2, 1))
    with expect.raises(ValueError, "13", "11"):
        conv2d(x, np.ones((1, 1, 1, 13)), padding=(0, 1))


@pytest.mark.parametrize(("name", "wrong"), [("stride", 0), ("stride", -1), ("padding", -2), ("dilation", 0)])
def test_settings_out_of_range_are_refused(name, wrong):
    x, weight = Tensor(np.ones((1, 1, 9, 9))), np.ones((1, 1, 3, 3))
    with expect.raises(ValueError, name, str(wrong)):
        conv2d(x, weight, **{name: wrong})
    with expect.raises(ValueError, name, str(wrong)):
        conv2d(x, weight, **{name: (2, wrong)})
    with expect.raises(ValueError, name, str(wrong)):
        build(1, 1, 3, **{name: wrong})


# The layer.


def test_a_layer_computes_conv2d_of_its_parameters():
    x = np.random.default_rng(1).standard_normal((2, 4, 7, 8))
    settings = ((2, 1), (1, 2), (1, 3), 2)
    layer = build(4, 6, (3, 2), *settings, dtype=np.float64)
    weight, bias = layer.weight.data, layer.bias.data
    what = "Conv2d(4, 6, (3, 2), stride (2, 1), padding (1, 2), dilation (1, 3), groups 2)"
    expect.tensor(layer(Tensor(x)), definition(x, weight, bias, *settings), what)
    smaller = x[:1, :, 1:, 2:]
    expect.tensor(
        layer(Tensor(smaller)), definition(smaller, weight, bias, *settings), f"{what} of a smaller image"
    )
    for kernel in (3, 1):
        plain = build(4, 3, kernel, dtype=np.float64)
        expected = definition(x, plain.weight.data, plain.bias.data)
        expect.tensor(plain(Tensor(x)), expected, f"Conv2d(4, 3, {kernel})")


def test_a_layer_has_a_weight_and_a_bias_in_float32():
    layer = build(4, 6, (3, 2), groups=2)
    shapes = {name: (p.shape, p.dtype.name) for name, p in layer.named_parameters()}
    expected = {"weight": ((6, 2, 3, 2), "float32"), "bias": ((6,), "float32")}
    expect.equal(shapes, expected, "the dict of shapes and dtypes of Conv2d(4, 6, (3, 2), groups=2)")
    kinds = [p.dtype.name for p in build(1, 1, 3, dtype=np.float64).parameters()]
    expect.equal(kinds, ["float64", "float64"], "the list of dtypes of Conv2d(1, 1, 3, dtype=np.float64)")


def test_a_layer_without_bias_has_none():
    layer = build(2, 3, 2, bias=False, dtype=np.float64)
    names = [name for name, _ in layer.named_parameters()]
    expect.equal(names, ["weight"], "the list of parameters with bias=False")
    expect.true(layer.bias is None, "with bias=False, layer.bias should be None")
    x = np.random.default_rng(1).standard_normal((1, 2, 3, 3))
    expect.tensor(layer(Tensor(x)), definition(x, layer.weight.data), "Conv2d(2, 3, 2, bias=False)")


def test_parameters_begin_uniform_between_plus_and_minus_one_over_the_root_of_the_inputs():
    layer, bound = build(8, 4000, 5, groups=2, dtype=np.float64), 0.1  # 4 channels of 5 x 5: 100 inputs
    for name, array in (("weight", layer.weight.data), ("bias", layer.bias.data)):
        peak, what = float(np.max(np.abs(array))), f"the initial {name} of Conv2d(8, 4000, 5, groups=2)"
        fits = 0.99 * bound < peak <= bound * (1 + 1e-6)
        expect.true(fits, f"{what} should fill [-0.1, 0.1], its peak is {peak:.5g}")
        # each of the next two refuses a right answer with probability 1e-6
        statistics.mean_is(array, 0.0, bound / sqrt(3), what)
        statistics.variance_is(array, bound**2 / 3, what, kurtosis=1.8)


def test_the_generator_decides_where_parameters_begin():
    first, again, other = build(3, 4, 3, seed=1), build(3, 4, 3, seed=1), build(3, 4, 3, seed=2)
    expect.close(again.weight.data, first.weight.data, "the weight from an equal generator")
    expect.close(again.bias.data, first.bias.data, "the bias from an equal generator")
    far = bool(np.max(np.abs(other.weight.data - first.weight.data)) > 1e-3)
    expect.true(far, "another generator should give other weights")
    far = bool(np.max(np.abs(other.bias.data - first.bias.data)) > 1e-3)
    expect.true(far, "another generator should give another bias")


def test_the_weight_does_not_depend_on_whether_there_is_a_bias():
    with_bias, without = build(3, 4, 3), build(3, 4, 3, bias=False)
    what = "the weight with bias=False, from an equal generator"
    expect.close(without.weight.data, with_bias.weight.data, what)
    peak, bound = float(np.max(np.abs(without.weight.data))), 1 / sqrt(27)
    expect.true(
        0.5 * bound < peak <= bound * (1 + 1e-6), f"{what} should reach up to {bound:.3g}, not {peak:.3g}"
    )


def test_a_layer_refuses_sizes_and_groups_that_do_not_fit():
    with expect.raises(ValueError, "0", "5"):
        build(0, 5, 3)
    with expect.raises(ValueError, "7", "-1"):
        build(7, -1, 3)
    with expect.raises(ValueError, "4", "6", "3"):
        build(4, 6, 1, groups=3)
    with expect.raises(ValueError, "4", "9", "2"):
        build(4, 9, 1, groups=2)
    with expect.raises(ValueError, "4", "6", "0"):
        build(4, 6, 1, groups=0)
    with expect.raises(ValueError, "kernel_size", "0"):
        build(4, 6, (3, 0))
