"""nn_core.pooling.avgpool: against its definition, calculus, as a linear map and its adjoint, as layers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, expect, gradcheck, strategies
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor, as_array
from nn_core.pooling.avgpool import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    GlobalAvgPool2d,
    Windows,
    adaptive_avg_pool2d,
    avg_pool2d,
    global_avg_pool2d,
)
from nn_core.pooling.maxpool import window_axis

CASES = [  # x, (kernel, stride, padding, ceil_mode, count_include_pad)
    pytest.param((2, 3, 4, 6), ((2, 2), (2, 2), (0, 0), False, True), id="2 x 2, side by side"),
    pytest.param((1, 2, 7, 7), ((3, 3), (2, 2), (1, 1), False, True), id="3 x 3, stride 2, padding 1"),
    pytest.param((1, 2, 7, 7), ((3, 3), (2, 2), (1, 1), False, False), id="padding 1, not counted"),
    pytest.param((1, 2, 5, 6), ((3, 2), (1, 1), (0, 0), False, True), id="3 x 2, overlapping"),
    pytest.param((1, 2, 5, 7), ((2, 2), (2, 3), (0, 0), False, True), id="leftovers"),
    pytest.param((1, 1, 5, 8), ((1, 2), (3, 4), (0, 0), False, True), id="stride larger than the window"),
    pytest.param((2, 1, 4, 5), ((2, 4), (2, 1), (1, 2), False, False), id="padding 1, 2, not counted"),
    pytest.param((1, 2, 5, 6), ((2, 3), (2, 2), (0, 0), True, True), id="ceil mode"),
    pytest.param((1, 2, 6, 8), ((3, 3), (2, 2), (1, 1), True, True), id="ceil mode, padding"),
    pytest.param((1, 2, 6, 8), ((3, 3), (2, 2), (1, 1), True, False), id="ceil mode, padding not counted"),
    pytest.param((1, 1, 5, 5), ((2, 2), (2, 3), (1, 1), True, True), id="ceil mode, nothing left for it"),
    pytest.param((1, 1, 6, 8), ((3, 4), (3, 3), (1, 2), True, True), id="all at once"),
    pytest.param((1, 1, 3, 2), ((3, 2), (1, 1), (0, 0), False, True), id="the whole image"),
]
SMALL = [CASES[0], CASES[3]]


def begins(size, kernel, stride, padding, ceil_mode):
    """Where the windows along an axis begin, one after the other."""
    end, found, at = size + padding, [], -padding
    while (at < size if ceil_mode else at + kernel <= end) and (not found or found[-1] + kernel < end):
        found.append(at)
        at += stride
    return found


def shares(size, kernel, stride, padding, ceil_mode, count_include_pad):
    """(I, J, H, W): for each window and pixel, its part of the mean. By counting."""
    axes = list(zip(size, kernel, stride, padding, strict=True))
    down, across = (begins(*axis, ceil_mode) for axis in axes)
    share = np.zeros((len(down), len(across), *size))
    for i, j in np.ndindex(*share.shape[:2]):
        counted = 0
        for u, v in np.ndindex(*kernel):
            row, column = down[i] + u, across[j] + v
            inside = 0 <= row < size[0] and 0 <= column < size[1]
            if inside:
                share[i, j, row, column] = 1.0
            framed = row < size[0] + padding[0] and column < size[1] + padding[1]
            counted += inside or (count_include_pad and framed)
        share[i, j] /= counted
    return share


def adaptive_shares(size, places):
    """The same for windows from floor(i H / I) up to ceil((i + 1) H / I)."""
    share = np.zeros((*places, *size))
    for i, j in np.ndindex(*places):
        part = tuple(
            slice((k * side) // count, ((k + 1) * side + count - 1) // count)
            for k, side, count in zip((i, j), size, places, strict=True)
        )
        share[i, j][part] = 1.0 / share[i, j][part].size
    return share


def pooled(x, share):
    return np.einsum("ijhw,nchw->ncij", share, x)


def given_back(g, share):
    """dL/dx for g = dL/dy: the transpose of `pooled`."""
    return np.einsum("ijhw,ncij->nchw", share, g)


def normal(shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def describe(shape, kernel, stride, padding=(0, 0), ceil_mode=False, count_include_pad=True):
    text = f"avg_pool2d of x {shape}, kernel {kernel}, stride {stride}"
    text += f", padding {padding}" if padding != (0, 0) else ""
    text += ", ceil_mode" if ceil_mode else ""
    return text + ("" if count_include_pad else ", count_include_pad=False")


# The definition.


@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_matches_the_definition(shape, settings):
    x, share, what = normal(shape), shares(shape[2:], *settings), describe(shape, *settings)
    g = normal((*shape[:2], *share.shape[:2]), 2)
    tensor = Tensor(x, requires_grad=True)
    with expect.unchanged(x, g):
        y = avg_pool2d(tensor, *settings)
        (by_x,) = grad(y, [tensor], g)
    expect.tensor(y, pooled(x, share), what, atol=1e-14)
    expect.tensor(by_x, given_back(g, share), f"gradient of {what}", atol=1e-14)


@st.composite
def problems(draw):
    """A shape and settings that fit it."""
    axes = []
    for _ in range(2):
        kernel = draw(st.integers(1, 4))
        padding = draw(st.integers(0, kernel // 2))
        least = max(1, kernel - 2 * padding)
        axes.append((least + draw(st.integers(0, 5)), kernel, draw(st.integers(1, 4)), padding))
    size, *settings = zip(*axes, strict=True)
    return (1, 1, *size), (*settings, draw(st.booleans()), draw(st.booleans()))


@given(problems(), strategies.seeds())
def test_matches_the_definition_for_any_settings(problem, seed):
    shape, settings = problem
    x, share, what = normal(shape, seed), shares(shape[2:], *settings), describe(shape, *settings)
    tensor, g = Tensor(x, requires_grad=True), normal((*shape[:2], *share.shape[:2]), seed + 1)
    y = avg_pool2d(tensor, *settings)
    expect.tensor(y, pooled(x, share), what, atol=1e-12)
    expect.tensor(grad(y, [tensor], g)[0], given_back(g, share), f"gradient of {what}", atol=1e-12)


def test_an_int_means_the_same_down_and_across_and_the_stride_is_the_kernel():
    x = normal((1, 2, 7, 9))
    for args, settings in [
        ((2,), ((2, 2), (2, 2), (0, 0), False, True)),
        (((3, 2),), ((3, 2), (3, 2), (0, 0), False, True)),
        ((3, None, 1), ((3, 3), (3, 3), (1, 1), False, True)),
        (([2, 4], 3, [1, 2], True, False), ((2, 4), (3, 3), (1, 2), True, False)),
    ]:
        expected = pooled(x, shares((7, 9), *settings))
        expect.tensor(avg_pool2d(Tensor(x), *args), expected, f"avg_pool2d(x, {', '.join(map(str, args))})")


def test_what_a_window_is_divided_by():
    x = Tensor(np.ones((1, 1, 4, 4)))
    cases = [
        (False, True, [[4 / 9, 6 / 9], [6 / 9, 1.0]], "the padding counts"),
        (False, False, [[1.0, 1.0], [1.0, 1.0]], "the padding does not count"),
        (True, True, [[4 / 9, 6 / 9, 2 / 6], [6 / 9, 1.0, 3 / 6], [2 / 6, 3 / 6, 1 / 4]],
         "the padding counts, what lies beyond it does not"),
        (True, False, [[1.0] * 3] * 3, "only pixels count"),
    ]  # fmt: skip
    for ceil_mode, count_include_pad, expected, why in cases:
        y = avg_pool2d(x, 3, 2, 1, ceil_mode, count_include_pad)
        settings = f"ceil_mode={ceil_mode}, count_include_pad={count_include_pad}"
        expect.tensor(y, np.array([[expected]]), f"avg_pool2d(ones, 3, 2, 1), {settings}: {why}:")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("down", "across"), [([2, 3, 3], [1, 4]), ([3, 3, 3], [2, 2]), ([2, 1, 2], [3, 3])])
def test_the_weights_are_one_over_the_divisors(down, across, dtype):
    windows = Windows(window_axis(len(down), 1, 1), window_axis(len(across), 1, 1), down, across)
    found, what = windows.weights(np.zeros((1, 1, 2, 2), dtype)), f"weights for {down} down, {across} across"
    expected = np.array([[1 / (r * s) for s in across] for r in down])
    fits = found.shape in [(i, j) for i in (1, len(down)) for j in (1, len(across))]
    expect.true(fits, f"{what}: expected the shape {expected.shape}, or 1 for either, not {found.shape}")
    expect.close(found + np.zeros(expected.shape, found.dtype), expected, what, dtype=dtype, rtol=1e-6)


def test_every_pixel_gets_a_share_from_each_window_that_saw_it():
    x = Tensor(np.zeros((1, 1, 3, 3)), requires_grad=True)
    (by_x,) = grad(avg_pool2d(x, 2, stride=1), [x], np.full((1, 1, 2, 2), 4.0))
    expected = np.array([[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]])
    expect.tensor(by_x, expected, "gradient of 2 x 2 windows at stride 1, where each gives 4 / 4 to a pixel,")


def test_images_that_do_not_fit_the_cache():
    shape, kernel, stride = (3, 5, 90, 101), 3, 2  # two images are worked on at once, then the third
    x = normal(shape, 5)
    i, j = ((side - kernel) // stride + 1 for side in shape[2:])
    views = [
        (slice(None), slice(None), slice(u, u + stride * (i - 1) + 1, stride),
         slice(v, v + stride * (j - 1) + 1, stride))
        for u, v in np.ndindex(kernel, kernel)
    ]  # fmt: skip
    expected = np.mean([x[view] for view in views], axis=0)
    g, by_x = normal(expected.shape, 6), np.zeros(shape)
    for view in views:
        by_x[view] += g / kernel**2
    tensor = Tensor(x, requires_grad=True)
    y = avg_pool2d(tensor, kernel, stride)
    what = f"avg_pool2d of x {shape}, kernel {kernel}, stride {stride}"
    expect.tensor(y, expected, what, atol=1e-13)
    expect.tensor(grad(y, [tensor], g)[0], by_x, f"gradient of {what}", atol=1e-13)


def test_any_layout_in_memory_gives_the_same():
    x, settings = normal((2, 3, 5, 6)), ((3, 2), (2, 2), (1, 0), False, False)
    share = shares((5, 6), *settings)
    g = normal((2, 3, *share.shape[:2]), 2)
    wide = np.zeros((2, 3, 5, 12))
    wide[..., ::2] = x
    layouts = {
        "channels last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "in Fortran order": np.asfortranarray(x),
        "every other column of an array": wide[..., ::2],
    }
    for name, laid in layouts.items():
        tensor = Tensor(laid, requires_grad=True)
        y = avg_pool2d(tensor, *settings)
        expect.tensor(y, pooled(x, share), f"avg_pool2d of x {name}", atol=1e-14)
        (by_x,) = grad(y, [tensor], np.asfortranarray(g))
        expect.tensor(by_x, given_back(g, share), f"gradient by x, which is {name},", atol=1e-14)
        y = global_avg_pool2d(tensor)
        expect.tensor(y, x.mean(axis=(2, 3)), f"global_avg_pool2d of x {name}", atol=1e-14)


@pytest.mark.parametrize("pool", [lambda x: avg_pool2d(x, 3, 2, 1), lambda x: adaptive_avg_pool2d(x, (3, 2))])
def test_channels_last_stay_last(pool):
    x = Tensor(normal((2, 5, 4, 3)).transpose(0, 3, 1, 2), requires_grad=True)
    y = pool(x)
    g = normal(y.shape)  # channels not last
    (by_x,) = grad(y, [x], g)
    expect.close(np.sum(by_x.data * x.data), np.sum(y.data * g), "<x, gradient for g> against <g, pooled x>")
    for name, found in [("result", y), ("gradient", by_x)]:
        expect.true(found.data.strides[1] == found.data.itemsize,
                    f"the channels of x are neighbours in memory, and so should those of the {name} be, even "
                    "where dL/dy is in C order: allocate like x, "
                    f"yours has the shape {found.shape} and the strides {found.data.strides}")  # fmt: skip


# Derivatives.


@pytest.mark.parametrize(("shape", "settings"), SMALL)
def test_the_gradients_are_right_to_second_order(shape, settings):
    shape = (1, 1, *shape[2:])
    x, share = normal(shape), shares(shape[2:], *settings)
    y = avg_pool2d(Tensor(x), *settings)
    expect.tensor(y, pooled(x, share), describe(shape, *settings), atol=1e-14)
    gradcheck(lambda t: avg_pool2d(t, *settings), x, of="avg_pool2d")


def test_the_second_derivative_of_pooled_squares():
    x = normal((1, 1, 4, 4))
    expected = pooled(x * x, shares((4, 4), (2, 2), (1, 1), (0, 0), False, True))
    expect.tensor(avg_pool2d(Tensor(x) * Tensor(x), 2, 1), expected, "avg_pool2d(x * x, 2, 1)")
    gradcheck(lambda t: avg_pool2d(t * t, 2, 1) ** 2.0, x, of="avg_pool2d(x * x, 2, 1) ** 2")


MAPS = [
    (lambda x: avg_pool2d(x, 2), (4, 6), shares((4, 6), (2, 2), (2, 2), (0, 0), False, True),
     "avg_pool2d(x, 2)"),
    (lambda x: avg_pool2d(x, 3, 2, 1, True), (6, 5), shares((6, 5), (3, 3), (2, 2), (1, 1), True, True),
     "avg_pool2d(x, 3, 2, 1, ceil_mode=True)"),
    (lambda x: avg_pool2d(x, 3, 2, 1, False, False), (6, 5),
     shares((6, 5), (3, 3), (2, 2), (1, 1), False, False), "avg_pool2d(x, 3, 2, 1, count_include_pad=False)"),
    (lambda x: adaptive_avg_pool2d(x, (2, 4)), (5, 6), adaptive_shares((5, 6), (2, 4)),
     "adaptive_avg_pool2d(x, (2, 4))"),
]  # fmt: skip


@pytest.mark.parametrize(("pool", "size", "share", "what"), MAPS, ids=[case[-1] for case in MAPS])
def test_the_map_and_its_adjoint_are_each_others_derivative(pool, size, share, what):
    # <u, dL/dx> is linear in g = dL/dy and in u: differentiated by g it pools u, by u it gives back
    x = Tensor(normal((2, 2, *size)), requires_grad=True)
    g, u, h = (
        Tensor(normal(shape, 3 + k), requires_grad=True)
        for k, shape in enumerate([(2, 2, *share.shape[:2]), x.shape, (2, 2, *share.shape[:2])])
    )
    (first,) = grad(pool(x), [x], g, create_graph=True)
    expect.tensor(
        first, given_back(g.data, share), f"gradient of {what} while its graph is built", atol=1e-14
    )
    (second,) = grad(first, [g], u, create_graph=True)
    expect.tensor(second, pooled(u.data, share), f"{what}: derivative of <u, gradient> by dL/dy", atol=1e-14)
    (third,) = grad(second, [u], h, create_graph=True)
    expect.tensor(third, given_back(h.data, share), f"{what}: derivative by dL/dy, then by u", atol=1e-14)


# What follows from the definition.


@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_the_mean_is_linear_and_lies_between_the_pixels(shape, settings):
    *settings, _ = settings
    x, z = normal(shape), normal(shape, 2)
    y, other, both = (avg_pool2d(Tensor(a), *settings, False) for a in (x, z, 2.0 * x - z))
    what = describe(shape, *settings, False)
    expect.close(both.data, 2.0 * y.data - other.data, f"{what}: 2 x - z against 2 y(x) - y(z)", atol=1e-12)
    expect.tensor(y, pooled(x, shares(shape[2:], *settings, False)), what, atol=1e-12)
    constant = avg_pool2d(Tensor(np.full(shape, 3.0)), *settings, False)
    expect.tensor(constant, np.full(y.shape, 3.0), f"{what}: the mean of an image of 3")
    expect.true(np.all(y.data <= x.max() + 1e-12) and np.all(y.data >= x.min() - 1e-12),
                f"{what}: means of pixels in [{x.min():.3f}, {x.max():.3f}] should lie between: "
                f"yours reach from {y.data.min():.3f} to {y.data.max():.3f}")  # fmt: skip


def test_windows_of_one_pixel_give_new_arrays():
    x, g = Tensor(normal((1, 2, 3, 4)), requires_grad=True), normal((1, 2, 3, 4), 2)
    for pool, what in [(lambda t: avg_pool2d(t, 1), "avg_pool2d(x, 1)"),
                       (lambda t: adaptive_avg_pool2d(t, None), "adaptive_avg_pool2d(x, None)")]:  # fmt: skip
        y = pool(x)
        expect.tensor(y, x.data, what)
        expect.tensor(grad(y, [x], g)[0], g, f"gradient of {what}")
        for name, found, old in [("result", y.data, x.data), ("gradient", as_array(y.node.backward(g)), g)]:
            expect.true(not np.shares_memory(found, old), f"the {name} of {what} should be a new array, "
                        "not what it was given: change one in place and the other changes")  # fmt: skip


def test_a_second_pass_through_the_same_graph_adds_the_same_again():
    x, settings = Tensor(normal((1, 2, 5, 5)), requires_grad=True), ((3, 3), (2, 2), (1, 1), False, True)
    share = shares((5, 5), *settings)
    y, g = avg_pool2d(x, *settings), normal((1, 2, 3, 3), 2)
    y.backward(g, retain_graph=True)
    y.backward(g)
    expect.close(x.grad, 2 * given_back(g, share), "gradient with respect to x after two passes", atol=1e-14)


# Adaptive and global.


ADAPTIVE = [((2, 2, 6, 4), (3, 2)), ((1, 2, 7, 10), (3, 4)), ((1, 2, 5, 3), (2, 3)), ((1, 2, 4, 5), (1, 1))]
ADAPTIVE += [((1, 1, 3, 2), (5, 7)), ((2, 1, 8, 9), (7, 7)), ((1, 1, 7, 25), (25, 11))]


@pytest.mark.parametrize(("shape", "places"), ADAPTIVE)
def test_adaptive_pooling_matches_its_definition(shape, places):
    x, share, what = (
        normal(shape),
        adaptive_shares(shape[2:], places),
        f"adaptive_avg_pool2d of x {shape} to {places}",
    )
    tensor, g = Tensor(x, requires_grad=True), normal((*shape[:2], *places), 2)
    y = adaptive_avg_pool2d(tensor, places)
    expect.tensor(y, pooled(x, share), what, atol=1e-14)
    expect.tensor(grad(y, [tensor], g)[0], given_back(g, share), f"gradient of {what}", atol=1e-14)


def test_the_adaptive_gradients_are_right_to_second_order():
    x = normal((1, 1, 5, 4))
    y = adaptive_avg_pool2d(Tensor(x), (3, 3))
    expect.tensor(
        y, pooled(x, adaptive_shares((5, 4), (3, 3))), "adaptive_avg_pool2d of (1, 1, 5, 4) to (3, 3)"
    )
    gradcheck(lambda t: adaptive_avg_pool2d(t, (3, 3)), x, of="adaptive_avg_pool2d")


def test_the_output_size_may_be_an_int_or_left_to_the_image():
    x = normal((1, 2, 6, 7))
    for output_size, places in [(2, (2, 2)), ((None, 3), (6, 3)), ([2, None], (2, 7))]:
        y, expected = adaptive_avg_pool2d(Tensor(x), output_size), pooled(x, adaptive_shares((6, 7), places))
        expect.tensor(y, expected, f"adaptive_avg_pool2d of x (1, 2, 6, 7) to {output_size}", atol=1e-14)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 1, 1, 2), (1, 2, 7, 1)])
def test_global_pooling_is_the_mean_of_each_channel(shape):
    x, g = normal(shape), normal(shape[:2], 2)
    tensor = Tensor(x, requires_grad=True)
    y = global_avg_pool2d(tensor)
    expect.tensor(y, x.mean(axis=(2, 3)), f"global_avg_pool2d of x {shape}", atol=1e-14)
    spread = np.ones(shape) * (g / (shape[2] * shape[3]))[:, :, None, None]
    expect.tensor(grad(y, [tensor], g)[0], spread, f"gradient of global_avg_pool2d of x {shape}")


def test_the_gradients_of_global_pooling_are_right_to_second_order():
    x = normal((2, 2, 2, 3))
    expect.tensor(global_avg_pool2d(Tensor(x)), x.mean(axis=(2, 3)), "global_avg_pool2d", atol=1e-14)
    gradcheck(global_avg_pool2d, x, of="global_avg_pool2d")
    gradcheck(lambda t: global_avg_pool2d(t * t * t), x, of="global_avg_pool2d(x * x * x)")


# Precision, other libraries' arrays, edges.


POOLS = {
    "avg_pool2d": (
        lambda x: avg_pool2d(x, 3, 2, 1, True),
        shares((6, 5), (3, 3), (2, 2), (1, 1), True, True),
    ),
    "adaptive_avg_pool2d": (lambda x: adaptive_avg_pool2d(x, (4, 2)), adaptive_shares((6, 5), (4, 2))),
    "global_avg_pool2d": (lambda x: global_avg_pool2d(x)[:, :, None, None], adaptive_shares((6, 5), (1, 1))),
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize(("dtype", "error"), [(np.float16, 1e-2), (np.float32, 1e-5)])
def test_the_dtype_is_that_of_x(name, dtype, error):
    (pool, share), x = POOLS[name], normal((2, 2, 6, 5)).astype(dtype)
    tensor, what, near = Tensor(x, requires_grad=True), f"{name} in {np.dtype(dtype)}", {"rtol": error}
    y = pool(tensor)
    expect.tensor(y, pooled(x.astype(float), share), what, dtype=dtype, atol=error, **near)
    g = normal(y.shape, 2).astype(dtype)
    expected = given_back(g.astype(float), share)
    expect.tensor(grad(y, [tensor], g)[0], expected, f"gradient of {what}", dtype=dtype, atol=error, **near)


@pytest.mark.parametrize("name", POOLS)
def test_arrays_of_another_library_flow_through(name):
    (pool, share), x = POOLS[name], normal((2, 2, 6, 5))
    value = duck.flows(pool, x, engine=grad, what=name)
    expect.close(value, pooled(x, share), f"{name} of another library's array", atol=1e-14)


def test_what_a_window_does_not_see_does_not_matter():
    x, z = np.ones((1, 1, 5, 5)), np.ones((1, 1, 5, 5))
    x[0, 0, 2, 2], z[0, 0, 2, 2] = np.nan, np.inf
    for pool, what in [(lambda t: avg_pool2d(t, 2, 1), "avg_pool2d(x, 2, 1)"),
                       (lambda t: adaptive_avg_pool2d(t, 4), "adaptive_avg_pool2d(x, 4)")]:  # fmt: skip
        for image, value in [(x, np.nan), (z, np.inf)]:
            with expect.quiet(what):
                y = pool(Tensor(image)).data
            hit = np.zeros((4, 4), bool)
            hit[1:3, 1:3] = True  # the windows with pixel (2, 2)
            right = np.array_equal(np.where(hit, value, 1.0)[None, None], np.asarray(y), equal_nan=True)
            expect.true(right, f"{what} of ones with {value} in the middle: the four windows around it "
                        f"should be {value}, all others 1, yours are {np.asarray(y).tolist()}")  # fmt: skip


def test_an_empty_batch_gives_an_empty_result():
    pools = [
        (lambda t: avg_pool2d(t, 2), (2, 2), [[2.5, 4.5], [10.5, 12.5]]),
        (lambda t: adaptive_avg_pool2d(t, 2), (2, 2), [[2.5, 4.5], [10.5, 12.5]]),
        (global_avg_pool2d, (), 7.5),
    ]
    for pool, places, expected in pools:
        x = Tensor(np.zeros((0, 3, 4, 4)), requires_grad=True)
        y = pool(x)
        expect.tensor(y, np.zeros((0, 3, *places)), "the pooled x (0, 3, 4, 4)")
        expect.tensor(grad(y, [x], np.zeros(y.shape))[0], np.zeros(x.shape), "gradient of an empty batch")
        one = pool(Tensor(np.arange(16.0).reshape(1, 1, 4, 4)))
        expect.tensor(one, np.array([[expected]]), "the pooled numbers 0 ... 15")


# Errors.


def test_images_of_another_shape_are_refused():
    for pool in (lambda x: avg_pool2d(x, 2), lambda x: adaptive_avg_pool2d(x, 1), global_avg_pool2d):
        with expect.raises(ValueError, "(3, 4, 5)"):
            pool(Tensor(np.ones((3, 4, 5))))
        for shape in [(2, 0, 4, 4), (2, 3, 0, 4), (2, 3, 4, 0)]:
            with expect.raises(ValueError, str(shape)):
                pool(Tensor(np.ones(shape)))
        with expect.raises(TypeError, "int64"):
            pool(Tensor(np.ones((1, 1, 4, 4), np.int64)))


def test_settings_out_of_range_are_refused():
    x = Tensor(np.ones((1, 1, 8, 8)))
    for make in (lambda *a, **k: avg_pool2d(x, *a, **k), AvgPool2d):
        for name, value, text in [("kernel_size", 0, "0"), ("kernel_size", (2, 2, 2), "(2, 2, 2)"),
                                  ("stride", 0, "0"), ("stride", (1, 0), "(1, 0)"),
                                  ("padding", -1, "-1")]:  # fmt: skip
            with expect.raises(ValueError, name, text):
                make(**{"kernel_size": 2, name: value})
        with expect.raises(ValueError, "padding", "kernel_size", "2", "3"):
            make(3, padding=2)
    with expect.raises(ValueError, "9", "8"):
        avg_pool2d(x, (9, 1))
    with expect.raises(ValueError, "11", "10"):
        avg_pool2d(x, (2, 11), padding=(0, 1))


def test_output_sizes_that_make_no_sense_are_refused():
    x = Tensor(np.ones((1, 1, 4, 4)))
    for make in (lambda size: adaptive_avg_pool2d(x, size), AdaptiveAvgPool2d):
        for size, text in [(0, "0"), ((2, -1), "-1"), ((1, 2, 3), "(1, 2, 3)"), (1.5, "1.5")]:
            with expect.raises(ValueError, "output_size", text):
                make(size)


# Layers.


def test_the_layer_is_the_function():
    x = normal((1, 2, 7, 8))
    layers = [
        (AvgPool2d(2), ((2, 2), (2, 2), (0, 0), False, True)),
        (AvgPool2d(3, 2, 1), ((3, 3), (2, 2), (1, 1), False, True)),
        (AvgPool2d((2, 3), (3, 2), (1, 0), True, False), ((2, 3), (3, 2), (1, 0), True, False)),
        (AvgPool2d(kernel_size=4, stride=3, padding=2, ceil_mode=False, count_include_pad=False),
         ((4, 4), (3, 3), (2, 2), False, False)),
    ]  # fmt: skip
    for layer, settings in layers:
        expected = pooled(x, shares((7, 8), *settings))
        expect.tensor(layer(Tensor(x)), expected, f"{layer} of x (1, 2, 7, 8)", atol=1e-14)
        found = (layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, layer.count_include_pad)
        expect.equal(
            found, settings, f"kernel_size, stride, padding, ceil_mode, count_include_pad of {layer}"
        )
        expect.equal(len(list(layer.parameters())), 0, f"the number of parameters of {layer}")
        expect.equal(layer.eval().training, False, f"training of {layer} after eval()")


def test_the_adaptive_layers_are_the_functions():
    x = normal((1, 2, 5, 7))
    for output_size, places in [(3, (3, 3)), ((2, None), (2, 7))]:
        layer, expected = AdaptiveAvgPool2d(output_size), pooled(x, adaptive_shares((5, 7), places))
        expect.tensor(layer(Tensor(x)), expected, f"{layer} of x (1, 2, 5, 7)", atol=1e-14)
        expect.equal(layer.output_size, output_size, f"output_size of {layer}")
        expect.equal(layer.eval().training, False, f"training of {layer} after eval()")
    expect.tensor(GlobalAvgPool2d()(Tensor(x)), x.mean(axis=(2, 3)), "GlobalAvgPool2d()(x)", atol=1e-14)
