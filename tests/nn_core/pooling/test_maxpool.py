"""nn_core.pooling.maxpool: against its definition, the one winner of each window, calculus, as layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, expect, gradcheck, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor, as_array
from nn_core.pooling.maxpool import (
    AdaptiveMaxPool2d,
    MaxPool2d,
    adaptive_axis,
    adaptive_max_pool2d,
    max_pool2d,
    pooled_size,
    window_axis,
)

ONE = (1, 1)
CASES = [  # x, (kernel, stride, padding, dilation, ceil_mode)
    pytest.param((2, 3, 4, 6), ((2, 2), (2, 2), (0, 0), ONE, False), id="2 x 2, side by side"),
    pytest.param((1, 2, 7, 7), ((3, 3), (2, 2), (1, 1), ONE, False), id="3 x 3, stride 2, padding 1"),
    pytest.param((1, 2, 5, 6), ((3, 2), (1, 1), (0, 0), ONE, False), id="3 x 2, overlapping"),
    pytest.param((1, 2, 5, 7), ((2, 2), (2, 3), (0, 0), ONE, False), id="leftovers"),
    pytest.param((1, 1, 5, 8), ((1, 2), (3, 4), (0, 0), ONE, False), id="stride larger than the window"),
    pytest.param((2, 1, 4, 5), ((2, 4), (2, 1), (1, 2), ONE, False), id="padding 1, 2"),
    pytest.param((1, 2, 7, 9), ((2, 3), (1, 2), (0, 1), (3, 2), False), id="dilation 3, 2"),
    pytest.param((1, 2, 5, 6), ((2, 3), (2, 2), (0, 0), ONE, True), id="ceil mode"),
    pytest.param((1, 1, 5, 5), ((2, 2), (2, 3), (1, 1), ONE, True), id="ceil mode, nothing left for it"),
    pytest.param((1, 1, 6, 8), ((3, 2), (3, 3), (1, 1), (1, 2), True), id="all at once"),
    pytest.param((1, 1, 3, 2), ((3, 2), (1, 1), (0, 0), ONE, False), id="the whole image"),
    pytest.param((1, 1, 1, 2), ((2, 2), (1, 1), (1, 1), ONE, False), id="two pixels"),
]
SMALL = [CASES[i] for i in (0, 1, 2, 7)]


def begins(size, kernel, stride, padding, dilation, ceil_mode):
    """Where the windows along an axis begin, one after the other."""
    extent, end, found = dilation * (kernel - 1) + 1, size + padding, []
    at = -padding
    while (at < size if ceil_mode else at + extent <= end) and (not found or found[-1] + extent < end):
        found.append(at)
        at += stride
    return found


def winners(x, kernel, stride, padding, dilation, ceil_mode):
    """(N, C, I, J, 2): row and column of the first of the largest pixels of each window; by single pixels."""
    settings = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    down, across = (begins(*axis, ceil_mode) for axis in settings)
    found = np.zeros((*x.shape[:2], len(down), len(across), 2), int)
    for n, c, i, j in np.ndindex(*found.shape[:4]):
        best = None
        for u, v in np.ndindex(*kernel):
            row, column = down[i] + dilation[0] * u, across[j] + dilation[1] * v
            inside = 0 <= row < x.shape[2] and 0 <= column < x.shape[3]
            if inside and (best is None or x[n, c, row, column] > x[n, c, best[0], best[1]]):
                best = (row, column)
        found[n, c, i, j] = best
    return found


def adaptive_winners(x, places):
    """The same for windows from floor(i H / I) up to ceil((i + 1) H / I)."""
    found = np.zeros((*x.shape[:2], *places, 2), int)
    for i, j in np.ndindex(*places):
        (top, bottom), (left, right) = (
            ((k * side) // count, ((k + 1) * side + count - 1) // count)
            for k, side, count in zip((i, j), x.shape[2:], places, strict=True)
        )
        for n, c in np.ndindex(*x.shape[:2]):
            part = x[n, c, top:bottom, left:right]
            row, column = np.unravel_index(np.argmax(part), part.shape)  # the first in reading order
            found[n, c, i, j] = top + row, left + column
    return found


def picked(x, won):
    n, c = np.indices(won.shape[:2])
    return x[n[..., None, None], c[..., None, None], won[..., 0], won[..., 1]]


def awarded(g, won, shape):
    """dL/dx for g = dL/dy: every window's number to its winner."""
    image = np.zeros(shape)
    for n, c, i, j in np.ndindex(*g.shape):
        image[n, c, won[n, c, i, j, 0], won[n, c, i, j, 1]] += g[n, c, i, j]
    return image


def distinct(shape, seed=0):
    """Numbers that differ by 0.1 at least, in random order."""
    rng = np.random.default_rng(seed)
    return 0.1 * (rng.permutation(int(np.prod(shape))) - np.prod(shape) / 2).reshape(shape)


def tied(shape, seed=0):
    """Numbers of three kinds, so that windows are full of ties."""
    return np.random.default_rng(seed).integers(-2, 1, shape).astype(float)


def normal(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def describe(shape, kernel, stride, padding=(0, 0), dilation=ONE, ceil_mode=False):
    text = f"max_pool2d of x {shape}, kernel {kernel}, stride {stride}"
    text += f", padding {padding}" if padding != (0, 0) else ""
    text += f", dilation {dilation}" if dilation != ONE else ""
    return text + (", ceil_mode" if ceil_mode else "")


# The number of windows.


SIZES = [(6, 3, 2, 0, 1, False), (6, 3, 2, 0, 1, True), (7, 3, 2, 1, 1, False), (8, 3, 2, 1, 1, True)]
SIZES += [(5, 2, 2, 1, 1, True), (5, 2, 3, 1, 1, True), (9, 2, 2, 0, 3, False), (9, 2, 2, 0, 4, True)]
SIZES += [(32, 2, 2, 0, 1, False), (112, 3, 2, 1, 1, False), (4, 1, 3, 0, 1, True), (3, 3, 5, 1, 1, True)]


@pytest.mark.parametrize("settings", SIZES)
def test_pooled_size_counts_the_windows(settings):
    size, kernel, stride, padding, dilation, ceil_mode = settings
    what = f"pooled_size({size}, {kernel}, {stride}, {padding}, {dilation}, {ceil_mode})"
    expect.equal(pooled_size(*settings), len(begins(*settings)), what)


def test_pooled_size_knows_its_defaults():
    expect.equal(pooled_size(6, 3, 2), 2, "pooled_size(6, 3, 2)")
    expect.equal(pooled_size(6, 3, 2, padding=1), 3, "pooled_size(6, 3, 2, padding=1)")
    expect.equal(pooled_size(6, 3, 2, ceil_mode=True), 3, "pooled_size(6, 3, 2, ceil_mode=True)")


def test_pooled_size_refuses_windows_that_do_not_fit():
    expect.equal(pooled_size(5, 3, 1, dilation=2), 1, "pooled_size(5, 3, 1, dilation=2)")
    with expect.raises(ValueError, "5", "4"):
        pooled_size(4, 3, 1, dilation=2)
    with expect.raises(ValueError, "7", "6"):
        pooled_size(4, 7, 2, padding=1)


def test_pooled_size_rounds_up_also_where_the_kernel_is_larger_than_the_image():
    expect.equal(
        pooled_size(4, 5, 2, ceil_mode=True), 1, "pooled_size(4, 5, 2, ceil_mode=True), -1/2 + 1 up,"
    )
    with expect.raises(ValueError, "6", "4"):
        pooled_size(4, 6, 2, ceil_mode=True)


# The strips: offset, windows, their pixels, new.


STRIPS = [
    (window_axis, (6, 3, 2, 1), [(0, [1, 2], [1, 3], True), (1, [0, 1, 2], [0, 2, 4], True),
                                 (2, [0, 1, 2], [1, 3, 5], False)]),
    (window_axis, (9, 3, 2, 0, 3), [(0, [0, 1], [0, 2], True), (1, [0, 1], [3, 5], True),
                                    (2, [0, 1], [6, 8], False)]),
    (window_axis, (5, 2, 3, 1, 1, True), [(0, [1], [2], True), (1, [0, 1], [0, 3], True)]),
    (adaptive_axis, (5, 2), [(0, [0], [0], True), (1, [0], [1], True), (2, [0], [2], True),
                             (0, [1], [2], False), (1, [1], [3], True), (2, [1], [4], True)]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "args", "expected"), STRIPS)
def test_strips_say_which_windows_see_which_pixels(make, args, expected):
    axis = make(*args)
    windows, pixels = list(range(axis.places)), list(range(axis.size))
    found = [(int(s.offset), windows[s.places], pixels[s.pixels], bool(s.new)) for s in axis.strips]
    what = f"{make.__name__}{args}: offset, windows, pixels and new of each strip"
    expect.equal(found, expected, what)


# The definition: values, and who gets the gradient.


@pytest.mark.parametrize(("shape", "settings"), CASES)
@pytest.mark.parametrize("make", [distinct, tied])
def test_matches_the_definition(shape, settings, make):
    x = make(shape)
    won, what = winners(x, *settings), describe(shape, *settings)
    what += ", full of ties," if make is tied else ""
    g = normal(won.shape[:4])
    tensor = Tensor(x, requires_grad=True)
    with expect.unchanged(x, g):
        y = max_pool2d(tensor, *settings)
        (by_x,) = grad(y, [tensor], g)
    expect.tensor(y, picked(x, won), what)
    expect.tensor(by_x, awarded(g, won, shape), f"gradient of {what}")


@st.composite
def problems(draw):
    """A shape and settings that fit it."""
    axes = []
    for _ in range(2):
        kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
        padding = draw(st.integers(0, kernel // 2))
        least = max(padding * (dilation > 1) + 1, dilation * (kernel - 1) + 1 - 2 * padding)
        axes.append((least + draw(st.integers(0, 5)), kernel, draw(st.integers(1, 4)), padding, dilation))
    size, *settings = zip(*axes, strict=True)
    return (1, 1, *size), (*settings, draw(st.booleans()))


@given(problems(), strategies.seeds())
def test_matches_the_definition_for_any_settings(problem, seed):
    shape, settings = problem
    x = tied(shape, seed)
    won, what = winners(x, *settings), describe(shape, *settings)
    tensor, g = Tensor(x, requires_grad=True), normal(won.shape[:4], seed)
    y = max_pool2d(tensor, *settings)
    expect.tensor(y, picked(x, won), what)
    expect.tensor(grad(y, [tensor], g)[0], awarded(g, won, shape), f"gradient of {what}", atol=1e-12)


def test_an_int_means_the_same_down_and_across_and_the_stride_is_the_kernel():
    x = distinct((1, 2, 7, 9))
    expected = picked(x, winners(x, (3, 3), (3, 3), (1, 1), (1, 1), False))
    expect.tensor(max_pool2d(Tensor(x), 3, padding=1), expected, "max_pool2d(x, 3, padding=1)")
    expected = picked(x, winners(x, (3, 2), (3, 2), (0, 0), (1, 1), False))
    expect.tensor(max_pool2d(Tensor(x), (3, 2)), expected, "max_pool2d(x, (3, 2))")
    expected = picked(x, winners(x, (2, 2), (2, 2), (1, 1), (2, 2), True))
    y = max_pool2d(Tensor(x), [2, 2], 2, 1, 2, ceil_mode=True)
    expect.tensor(y, expected, "max_pool2d(x, [2, 2], 2, 1, 2, ceil_mode=True)")


def test_the_padding_never_wins():
    x = -1.0 - np.arange(9.0).reshape(1, 1, 3, 3)
    y = max_pool2d(Tensor(x), 3, stride=2, padding=1)
    expect.tensor(y, np.array([[[[-1.0, -2.0], [-4.0, -5.0]]]]), "max_pool2d of negative pixels, padding 1,")


def test_of_equals_the_first_in_reading_order_gets_everything():
    for window, first in [
        ([[5.0, 5.0], [5.0, 5.0]], (0, 0)),
        ([[1.0, 5.0], [5.0, 5.0]], (0, 1)),
        ([[1.0, 5.0], [5.0, 1.0]], (0, 1)),
        ([[1.0, 1.0], [5.0, 5.0]], (1, 0)),
    ]:
        x = Tensor(np.array([[window]]), requires_grad=True)
        y = max_pool2d(x, 2)
        expect.tensor(y, np.full((1, 1, 1, 1), 5.0), f"max_pool2d of {window}")
        expected = np.zeros((1, 1, 2, 2))
        expected[(0, 0, *first)] = 3.0
        (by_x,) = grad(y, [x], np.full((1, 1, 1, 1), 3.0))
        expect.tensor(
            by_x, expected, f"gradient, of 3, for the window {window}, whose first 5 is at {first},"
        )


def test_who_wins_several_windows_gets_the_sum():
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 1, 1] = 1.0
    tensor, g = Tensor(x, requires_grad=True), np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
    (by_x,) = grad(max_pool2d(tensor, 2, stride=1), [tensor], g)
    expect.tensor(by_x, 1111.0 * x, "gradient where the middle of 3 x 3 pixels wins all four windows 2 x 2")


def test_pixels_that_no_window_sees_get_a_gradient_of_zero():
    x = Tensor(distinct((1, 1, 5, 7)), requires_grad=True)
    (by_x,) = grad(max_pool2d(x, 1, stride=(3, 2)), [x], np.full((1, 1, 2, 4), 2.0))
    expected = np.zeros((1, 1, 5, 7))
    expected[:, :, ::3, ::2] = 2.0
    expect.tensor(by_x, expected, "gradient for windows of one pixel, stride (3, 2), x (1, 1, 5, 7),")


def test_images_that_do_not_fit_the_cache():
    shape, kernel, stride = (3, 5, 90, 101), 3, 2  # two images are worked on at once, then the third
    x = normal(shape, 5)
    i, j = ((side - kernel) // stride + 1 for side in shape[2:])
    views = [
        (slice(None), slice(None), slice(u, u + stride * (i - 1) + 1, stride),
         slice(v, v + stride * (j - 1) + 1, stride))
        for u, v in np.ndindex(kernel, kernel)
    ]  # fmt: skip
    expected = np.max([x[view] for view in views], axis=0)
    g, by_x = normal(expected.shape, 6), np.zeros(shape)
    for view in views:
        by_x[view] += g * (x[view] == expected)
    tensor, given = Tensor(x, requires_grad=True), Tensor(g, requires_grad=True)
    y = max_pool2d(tensor, kernel, stride)
    what = f"max_pool2d of x {shape}, kernel {kernel}, stride {stride}"
    expect.tensor(y, expected, what)
    (first,) = grad(y, [tensor], given, create_graph=True)
    expect.tensor(first, by_x, f"gradient of {what}")
    u = normal(shape, 7)
    picks = sum(u[view] * (x[view] == expected) for view in views)
    expect.tensor(grad(first, [given], u)[0], picks, f"{what}: derivative of <u, gradient> by dL/dy")


@pytest.mark.parametrize("turn", [lambda a: a, lambda a: a.swapaxes(2, 3)], ids=["across", "down"])
def test_windows_of_more_than_256_pixels(turn):
    x = np.zeros((1, 1, 2, 300))
    x[0, 0, 0, 270], x[0, 0, 1, 14] = 1.0, 1.0
    x, ones = turn(x), turn(np.ones((1, 1, 2, 1)))
    tensor, kernel = Tensor(x, requires_grad=True), turn(np.empty((1, 1, 1, 300))).shape[2:]
    y = max_pool2d(tensor, kernel)
    expect.tensor(y, ones, f"max_pool2d of x {x.shape}, kernel {kernel}")
    (by_x,) = grad(y, [tensor], ones)
    expect.tensor(by_x, x, f"gradient, kernel {kernel}, where pixel 270 of 300 wins, and pixel 14,")


def test_any_layout_in_memory_gives_the_same():
    x, settings = distinct((2, 3, 5, 6)), ((3, 2), (2, 2), (1, 0), ONE, False)
    won = winners(x, *settings)
    g = normal(won.shape[:4])
    wide = np.zeros((2, 3, 5, 12))
    wide[..., ::2] = x
    layouts = {
        "channels last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "in Fortran order": np.asfortranarray(x),
        "every other column of an array": wide[..., ::2],
    }
    for name, laid in layouts.items():
        tensor = Tensor(laid, requires_grad=True)
        y = max_pool2d(tensor, *settings)
        expect.tensor(y, picked(x, won), f"max_pool2d of x {name}")
        (by_x,) = grad(y, [tensor], np.asfortranarray(g))
        expect.tensor(by_x, awarded(g, won, x.shape), f"gradient with respect to x, which is {name},")


@pytest.mark.parametrize("pool", [lambda x: max_pool2d(x, 3, 2, 1), lambda x: adaptive_max_pool2d(x, (3, 2))])
def test_channels_last_stay_last(pool):
    x = Tensor(distinct((2, 5, 4, 3)).transpose(0, 3, 1, 2), requires_grad=True)
    y = pool(x)
    g, u = Tensor(normal(y.shape), requires_grad=True), normal(x.shape)  # channels not last
    (first,) = grad(y, [x], g, create_graph=True)
    (second,) = grad(first, [g], u)
    expect.close(np.sum(second.data * g.data), np.sum(first.data * u), "<g, Pick u> against <u, Award g>")
    for name, found in [("result", y), ("gradient", first), ("derivative of the gradient", second)]:
        expect.true(found.data.strides[1] == found.data.itemsize,
                    f"the channels of x are neighbours in memory, and so should those of the {name} be, even "
                    "where the other arrays are in C order: allocate like x or its winners, "
                    f"yours has the shape {found.shape} and the strides {found.data.strides}")  # fmt: skip


# Derivatives.


@pytest.mark.parametrize(("shape", "settings"), SMALL[2:])
def test_the_gradients_are_right_to_second_order(shape, settings):
    shape = (1, 1, *shape[2:])
    x = distinct(shape)
    expect.tensor(
        max_pool2d(Tensor(x), *settings), picked(x, winners(x, *settings)), describe(shape, *settings)
    )
    gradcheck(lambda t: max_pool2d(t, *settings), x, of="max_pool2d")


def test_the_second_derivative_of_pooled_squares():
    x = distinct((1, 1, 4, 4)) + 0.03
    won = winners(x * x, (2, 2), (1, 1), (0, 0), ONE, False)
    expect.tensor(max_pool2d(Tensor(x) * Tensor(x), 2, 1), picked(x * x, won), "max_pool2d(x * x, 2, 1)")
    gradcheck(lambda t: max_pool2d(t * t, 2, 1) ** 2.0, x, of="max_pool2d(x * x, 2, 1) ** 2")


@pytest.mark.parametrize(("shape", "settings"), [*SMALL, CASES[9]])
def test_giving_and_picking_are_adjoint_to_any_order(shape, settings):
    # <u, dL/dx> is linear in g = dL/dy and in u: differentiated by g it picks u, by u then it awards again
    x = tied(shape)
    won, what = winners(x, *settings), describe(shape, *settings)
    g, u, h = (Tensor(normal(s, k), True) for k, s in enumerate((won.shape[:4], shape, won.shape[:4])))
    tensor = Tensor(x, requires_grad=True)
    (first,) = grad(max_pool2d(tensor, *settings), [tensor], g, create_graph=True)
    expect.tensor(first, awarded(g.data, won, shape), f"gradient of {what} while its graph is built")
    (second,) = grad(first, [g], u, create_graph=True)
    expect.tensor(second, picked(u.data, won), f"{what}: derivative of <u, gradient> by dL/dy")
    (third,) = grad(second, [u], h, create_graph=True)
    expect.tensor(third, awarded(h.data, won, shape), f"{what}: derivative by dL/dy, then by u")
    (fourth,) = grad(third, [h], u)
    expect.tensor(fourth, picked(u.data, won), f"{what}: the derivative after that")


# What follows from the definition.


@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_no_gradient_is_lost_or_made(shape, settings):
    tensor = Tensor(tied(shape), requires_grad=True)
    y = max_pool2d(tensor, *settings)
    g = normal(y.shape)
    by_x = grad(y, [tensor], g)[0].data
    expect.equal(y.shape[2:], winners(tensor.data, *settings).shape[2:4], describe(shape, *settings))
    expect.close(by_x.sum((2, 3)), g.sum((2, 3)), "sums of the gradients of each channel, by x,", atol=1e-12)


def test_a_growing_function_may_be_applied_before_or_after():
    x = distinct((2, 2, 6, 6))
    before, after = max_pool2d(Tensor(np.exp(x)), 3, 2, 1), max_pool2d(Tensor(x), 3, 2, 1)
    expect.close(before.data, np.exp(after.data), "max_pool2d(exp(x)) against exp(max_pool2d(x))")
    expect.tensor(after, picked(x, winners(x, (3, 3), (2, 2), (1, 1), ONE, False)), "max_pool2d(x, 3, 2, 1)")


def test_windows_of_one_pixel_change_nothing():
    x = Tensor(distinct((1, 2, 3, 4)), requires_grad=True)
    y = max_pool2d(x, 1)
    expect.tensor(y, x.data, "max_pool2d(x, 1)")
    g = normal(x.shape)
    expect.tensor(grad(y, [x], g)[0], g, "gradient of max_pool2d(x, 1)")
    for name, found, old in [("result", y.data, x.data), ("gradient", as_array(y.node.backward(g)), g)]:
        expect.true(not np.shares_memory(found, old), f"the {name} of max_pool2d(x, 1) should be a new "
                    "array, not what it was given: change one in place and the other changes")  # fmt: skip
    whole = np.full((1, 2, 1, 1), 1.0) * x.data.max(axis=(2, 3), keepdims=True)
    expect.tensor(max_pool2d(x, (3, 4)), whole, "one window over the whole image")


def test_a_second_pass_through_the_same_graph_adds_the_same_again():
    x = distinct((1, 2, 5, 5))
    tensor, settings = Tensor(x, requires_grad=True), ((3, 3), (2, 2), (1, 1), ONE, False)
    won = winners(x, *settings)
    y, g = max_pool2d(tensor, *settings), normal(won.shape[:4])
    y.backward(g, retain_graph=True)
    y.backward(g)
    expect.close(tensor.grad, 2 * awarded(g, won, x.shape), "gradient with respect to x after two passes")


# Adaptive.


ADAPTIVE = [((2, 2, 6, 4), (3, 2)), ((1, 2, 7, 10), (3, 4)), ((1, 2, 5, 3), (2, 3)), ((1, 2, 4, 5), (1, 1))]
ADAPTIVE += [((1, 1, 3, 2), (5, 7)), ((2, 1, 8, 9), (7, 7)), ((1, 1, 7, 25), (25, 11))]


@pytest.mark.parametrize(("shape", "places"), ADAPTIVE)
@pytest.mark.parametrize("make", [distinct, tied])
def test_adaptive_pooling_matches_its_definition(shape, places, make):
    x = make(shape)
    tensor, won = Tensor(x, requires_grad=True), adaptive_winners(x, places)
    y, what = adaptive_max_pool2d(tensor, places), f"adaptive_max_pool2d of x {shape} to {places}"
    what += ", full of ties," if make is tied else ""
    expect.tensor(y, picked(x, won), what)
    g = normal(won.shape[:4])
    expect.tensor(grad(y, [tensor], g)[0], awarded(g, won, shape), f"gradient of {what}", atol=1e-12)


def test_the_adaptive_gradients_are_right_to_second_order():
    x = distinct((1, 1, 5, 4))
    y = adaptive_max_pool2d(Tensor(x), (3, 3))
    expect.tensor(
        y, picked(x, adaptive_winners(x, (3, 3))), "adaptive_max_pool2d of x (1, 1, 5, 4) to (3, 3)"
    )
    gradcheck(lambda t: adaptive_max_pool2d(t, (3, 3)), x, of="adaptive_max_pool2d")


def test_the_output_size_may_be_an_int_or_left_to_the_image():
    x = distinct((1, 2, 6, 7))
    for output_size, places in [(2, (2, 2)), ((None, 3), (6, 3)), ([2, None], (2, 7)), (None, (6, 7))]:
        y = adaptive_max_pool2d(Tensor(x), output_size)
        expected = picked(x, adaptive_winners(x, places))
        expect.tensor(y, expected, f"adaptive_max_pool2d of x (1, 2, 6, 7) to {output_size}")


# Precision, other libraries' arrays, edges.


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_dtype_is_that_of_x(dtype, adaptive):
    x = distinct((2, 2, 5, 5)).astype(dtype) / 3
    tensor = Tensor(x, requires_grad=True)
    y = adaptive_max_pool2d(tensor, (3, 2)) if adaptive else max_pool2d(tensor, 3, 2, 1)
    won = adaptive_winners(x, (3, 2)) if adaptive else winners(x, (3, 3), (2, 2), (1, 1), ONE, False)
    what, exact = f"in {np.dtype(dtype)}", picked(x, won)
    expect.tensor(y, exact, f"the pooled x {what}", dtype=dtype)
    expect.true(np.array_equal(y.data, exact), f"the pooled x {what} should be pixels of x, every digit")
    g = np.random.default_rng(1).integers(-9, 9, y.shape).astype(dtype)
    expect.tensor(grad(y, [tensor], g)[0], awarded(g, won, x.shape), f"gradient {what}", dtype=dtype)


@pytest.mark.parametrize(("shape", "settings"), [SMALL[1].values, SMALL[3].values], ids=["padding", "ceil"])
def test_arrays_of_another_library_flow_through(shape, settings):
    x = distinct(shape)
    value = duck.flows(lambda t: max_pool2d(t, *settings), x, engine=grad, what="max_pool2d")
    expect.close(value, picked(x, winners(x, *settings)), "max_pool2d of another library's array")
    value = duck.flows(lambda t: adaptive_max_pool2d(t, 3), x, engine=grad, what="adaptive_max_pool2d")
    expect.close(
        value, picked(x, adaptive_winners(x, (3, 3))), "adaptive_max_pool2d of another library's array"
    )


def test_nan_spreads_to_every_window_that_sees_it():
    for at in np.ndindex(3, 3):
        x = distinct((1, 1, 3, 3))
        won = winners(x, (2, 2), (1, 1), (0, 0), ONE, False)
        expected = picked(x, won)
        x[(0, 0, *at)] = np.nan
        for i, j in np.ndindex(2, 2):
            if at[0] - i in (0, 1) and at[1] - j in (0, 1):
                expected[0, 0, i, j] = np.nan
        with expect.quiet("max_pool2d of NaN"):
            y = max_pool2d(Tensor(x), 2, 1).data
        same = np.isnan(y).tolist() == np.isnan(expected).tolist()
        expect.true(same, f"of x with NaN at {at}, max_pool2d(x, 2, 1) should be {expected[0, 0].tolist()}, "
                    f"yours is {np.asarray(y)[0, 0].tolist()}")  # fmt: skip
        expect.close(np.nan_to_num(y, nan=9.0), np.nan_to_num(expected, nan=9.0), "the windows without NaN")


def test_infinite_pixels_are_pixels():
    x = np.full((1, 1, 4, 4), -np.inf)
    x[0, 0, 3, 3] = np.inf
    tensor = Tensor(x, requires_grad=True)
    with expect.quiet("max_pool2d of infinite pixels"):
        y = max_pool2d(tensor, 2, 2, 1)
        (by_x,) = grad(y, [tensor], np.arange(1.0, 10.0).reshape(1, 1, 3, 3))
    won = y.data == np.array([[-np.inf, -np.inf, -np.inf], [-np.inf] * 3, [-np.inf, -np.inf, np.inf]])
    expect.true(won.shape == (1, 1, 3, 3) and np.all(won), "of -inf everywhere and inf in the last corner, "
                f"of 3 x 3 maxima the last should be inf, the others -inf: {y.data.tolist()}")  # fmt: skip
    expected = np.zeros((4, 4))
    expected[np.ix_([0, 1, 3], [0, 1, 3])] = np.arange(1.0, 10.0).reshape(3, 3)
    expect.tensor(by_x, expected[None, None], "gradient where each window's first pixel in the image wins")


def test_a_window_that_sees_nothing_gives_minus_infinity():
    tensor = Tensor(np.full((1, 1, 3, 2), 2.0), requires_grad=True)
    y = max_pool2d(tensor, (1, 2), (1, 1), (0, 1), (1, 3))  # pixels -1 and 2 of a row of two
    expect.true(y.shape == (1, 1, 3, 1) and np.all(y.data == -np.inf),
                f"a window that sees only padding should give -inf, not {y.data.tolist()}")  # fmt: skip
    g = Tensor(np.ones((1, 1, 3, 1)), requires_grad=True)
    (by_x,) = grad(y, [tensor], g, create_graph=True)
    expect.tensor(by_x, np.zeros((1, 1, 3, 2)), "gradient of windows that see only padding")
    (by_g,) = grad(by_x, [g], np.full((1, 1, 3, 2), 7.0))
    expect.tensor(by_g, np.zeros((1, 1, 3, 1)), "derivative of that gradient, which is always zero, by dL/dy")


def test_an_empty_batch_gives_an_empty_result():
    for pool, name in [
        (lambda t: max_pool2d(t, 2), "max_pool2d"),
        (lambda t: adaptive_max_pool2d(t, 2), "adaptive"),
    ]:
        x = Tensor(np.zeros((0, 3, 4, 4)), requires_grad=True)
        y = pool(x)
        expect.tensor(y, np.zeros((0, 3, 2, 2)), f"{name} of x (0, 3, 4, 4)")
        expect.tensor(
            grad(y, [x], np.zeros(y.shape))[0], np.zeros(x.shape), f"{name}: gradient of an empty batch"
        )
        one = pool(Tensor(np.arange(16.0).reshape(1, 1, 4, 4)))
        expect.tensor(one, np.array([[[[5.0, 7.0], [13.0, 15.0]]]]), f"{name} of the numbers 0 ... 15")


# Errors.


def test_images_of_another_shape_are_refused():
    for pool in (lambda x: max_pool2d(x, 2), lambda x: adaptive_max_pool2d(x, 1)):
        with expect.raises(ValueError, "(3, 4, 5)"):
            pool(Tensor(np.ones((3, 4, 5))))
        for shape in [(2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 4, 0)]:
            with expect.raises(ValueError, str(shape)):
                pool(Tensor(np.ones(shape)))
        with expect.raises(TypeError, "int64"):
            pool(Tensor(np.ones((1, 1, 4, 4), np.int64)))


def test_settings_out_of_range_are_refused():
    x = Tensor(np.ones((1, 1, 8, 8)))
    for make in (lambda *a, **k: max_pool2d(x, *a, **k), MaxPool2d):
        for name, value, text in [("kernel_size", 0, "0"), ("kernel_size", (2, 2, 2), "(2, 2, 2)"),
                                  ("stride", 0, "0"), ("stride", (1, 0), "(1, 0)"), ("padding", -1, "-1"),
                                  ("dilation", 0, "0"), ("dilation", 1.5, "1.5")]:  # fmt: skip
            with expect.raises(ValueError, name, text):
                make(**{"kernel_size": 2, name: value})
        with expect.raises(ValueError, "padding", "kernel_size", "2", "3"):
            make(3, padding=2)
        with expect.raises(ValueError, "padding", "kernel_size", "(0, 1)", "(2, 1)"):
            make((2, 1), padding=(0, 1))


def test_windows_that_do_not_fit_are_refused_along_either_axis():
    x = Tensor(np.ones((1, 1, 4, 9)))
    with expect.raises(ValueError, "5", "4"):
        max_pool2d(x, (5, 1))
    with expect.raises(ValueError, "13", "11"):
        max_pool2d(x, (1, 4), padding=(0, 1), dilation=(1, 4))


def test_output_sizes_that_make_no_sense_are_refused():
    x = Tensor(np.ones((1, 1, 4, 4)))
    for make in (lambda size: adaptive_max_pool2d(x, size), AdaptiveMaxPool2d):
        for size, text in [(0, "0"), ((2, -1), "-1"), ((1, 2, 3), "(1, 2, 3)"), (1.5, "1.5")]:
            with expect.raises(ValueError, "output_size", text):
                make(size)


# Layers.


def test_the_layer_is_the_function():
    x = distinct((1, 2, 7, 8))
    layers = [
        (MaxPool2d(2), ((2, 2), (2, 2), (0, 0), ONE, False)),
        (MaxPool2d(3, 2, 1), ((3, 3), (2, 2), (1, 1), ONE, False)),
        (MaxPool2d((2, 3), (3, 2), (1, 0), (1, 2), True), ((2, 3), (3, 2), (1, 0), (1, 2), True)),
        (MaxPool2d(kernel_size=3, stride=1, padding=1, dilation=2, ceil_mode=True),
         ((3, 3), (1, 1), (1, 1), (2, 2), True)),
    ]  # fmt: skip
    for layer, settings in layers:
        expect.tensor(layer(Tensor(x)), picked(x, winners(x, *settings)), f"{layer} of x (1, 2, 7, 8)")
        found = (layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.ceil_mode)
        expect.equal(found, settings, f"kernel_size, stride, padding, dilation and ceil_mode of {layer}")
        expect.equal(len(list(layer.parameters())), 0, f"the number of parameters of {layer}")
        expect.equal(layer.eval().training, False, f"training of {layer} after eval()")


def test_the_adaptive_layer_is_the_function():
    x = distinct((1, 2, 5, 7))
    for output_size, places in [(3, (3, 3)), ((2, None), (2, 7))]:
        layer = AdaptiveMaxPool2d(output_size)
        expect.tensor(layer(Tensor(x)), picked(x, adaptive_winners(x, places)), f"{layer} of x (1, 2, 5, 7)")
        expect.equal(layer.output_size, output_size, f"output_size of {layer}")
        expect.equal(len(list(layer.parameters())), 0, f"the number of parameters of {layer}")
        expect.equal(layer.eval().training, False, f"training of {layer} after eval()")
