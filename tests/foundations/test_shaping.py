"""Moving, picking and joining elements: where each comes from, and where its gradient goes back to."""

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations import shaping
from foundations.computational_graph import Tensor, recording
from foundations.shaping import Scatter

MOVES = {  # name: [(what is done to x, the same in plain NumPy, shape of x)]
    "reshape": [
        (lambda x: shaping.reshape(x, (3, 2)), lambda x: x.reshape(3, 2), (2, 3)),
        (lambda x: shaping.reshape(x, (-1, 2)), lambda x: x.reshape(6, 2), (2, 3, 2)),
        (lambda x: shaping.reshape(x, 6), lambda x: x.ravel(), (2, 3)),
        (lambda x: shaping.reshape(x, [1, 1]), lambda x: x[None, None], ()),
    ],
    "transpose": [
        (lambda x: shaping.transpose(x, (1, 2, 0)), lambda x: np.moveaxis(x, 0, -1), (2, 2, 2)),
        (lambda x: shaping.transpose(x, (1, 2, 0)), lambda x: np.moveaxis(x, 0, -1), (1, 2, 3)),
        (lambda x: shaping.transpose(x, (-1, 0, 1)), lambda x: np.moveaxis(x, -1, 0), (1, 2, 3)),
        (lambda x: shaping.transpose(x, (-3, -1, -2)), lambda x: np.moveaxis(x, 1, 2), (1, 2, 3)),
        (shaping.transpose, lambda x: x.T, (2, 3, 2)),
        (shaping.transpose, lambda x: x, (3,)),
    ],
    "swapaxes": [
        (lambda x: shaping.swapaxes(x, 0, 1), lambda x: x.T, (2, 3)),
        (lambda x: shaping.swapaxes(x, 0, -1), lambda x: x.T, (2, 3, 2)),
        (lambda x: shaping.swapaxes(x, -2, -1), lambda x: np.moveaxis(x, 1, 2), (2, 3, 2)),
    ],
    "squeeze": [
        (shaping.squeeze, lambda x: x[0, :, 0], (1, 3, 1)),
        (shaping.squeeze, lambda x: x, (2, 3)),
        (lambda x: shaping.squeeze(x, 1), lambda x: x[:, 0], (2, 1, 3)),
        (lambda x: shaping.squeeze(x, -2), lambda x: x[:, 0], (2, 1, 1)),
        (lambda x: shaping.squeeze(x, -3), lambda x: x[0], (1, 2, 1)),
        (lambda x: shaping.squeeze(x, (0, -1)), lambda x: x[0, :, 0], (1, 1, 1)),
    ],
    "unsqueeze": [
        (lambda x: shaping.unsqueeze(x, 0), lambda x: x[None], (2, 3)),
        (lambda x: shaping.unsqueeze(x, 1), lambda x: x[:, None], (2, 3)),
        (lambda x: shaping.unsqueeze(x, 2), lambda x: x[..., None], (2, 3)),
        (lambda x: shaping.unsqueeze(x, -1), lambda x: x[..., None], (2, 3)),
        (lambda x: shaping.unsqueeze(x, -3), lambda x: x[None], (2, 3)),
        (lambda x: shaping.unsqueeze(x, 0), lambda x: x[None], ()),
    ],
    "broadcast_to": [
        (lambda x: shaping.broadcast_to(x, (2, 2, 3)), lambda x: np.stack([x, x]), (2, 3)),
        (lambda x: shaping.broadcast_to(x, [2, 3]), lambda x: np.concatenate([x, x, x], 1), (2, 1)),
        (lambda x: shaping.broadcast_to(x, (2,)), lambda x: np.stack([x, x]), ()),
    ],
    "flip": [
        (lambda x: shaping.flip(x, 0), lambda x: x[::-1], (2, 3)),
        (lambda x: shaping.flip(x, -2), lambda x: x[::-1], (2, 3)),
        (lambda x: shaping.flip(x, -1), lambda x: x[:, ::-1], (2, 3)),
        (shaping.flip, lambda x: x[::-1, ::-1], (2, 3)),
        (lambda x: shaping.flip(x, (0, -1)), lambda x: x[::-1, :, ::-1], (2, 2, 3)),
    ],
    "pad": [
        (lambda x: shaping.pad(x, ((1, 0), (0, 2))), lambda x: surround(x, ((1, 0), (0, 2)), 0.0), (2, 3)),
        (lambda x: shaping.pad(x, [(2, 1)], 1.5), lambda x: surround(x, [(2, 1)], 1.5), (3,)),
        (
            lambda x: shaping.pad(x, ((0, 0), (1, 1)), -2),
            lambda x: surround(x, ((0, 0), (1, 1)), -2.0),
            (2, 2),
        ),
    ],
}
moves = pytest.mark.parametrize("name", MOVES)

ROWS = np.array([True, False, True])
KEYS = {
    "basic": [
        0, -1, (1, 2), slice(1, None), slice(None, None, -1), (slice(None), slice(3, 0, -2)),
        (slice(None), 1), None, ..., (None, ..., 0), (..., None, slice(1, 3)), (), (slice(2, 2), 0),
    ],
    "integer arrays": [
        [0, 0, 2], np.array([-1, 2]), np.array([[0, 2], [2, 2]]), ([0, 1, 1], [1, 1, 1]),
        ((0, 1, 1), (2, 1, 1)), (np.array([[0], [2]]), np.array([1, 3])), (np.array([2, 2, 0], np.uint8),),
        [], (2, [1, 1, 3]),
    ],
    "boolean masks": [
        ROWS, [True, False, True], np.arange(12).reshape(3, 4) % 5 < 2, (slice(None), np.arange(4) > 1),
        np.zeros((3, 4), bool),
    ],
    "mixtures": [
        (slice(None, None, -1), [3, 3, 0]), (..., np.array([0, 0])), (None, [1, 1], slice(None, None, 2)),
        (ROWS, [1, 1]), (np.array([0, 0]), None, slice(1, None)), (slice(None, 2), np.arange(4) != 1),
    ],
}  # fmt: skip
keys = pytest.mark.parametrize("kind", KEYS)
TABLE = np.random.default_rng(1).standard_normal((3, 4))
JOINS = [  # shapes of the parts, axis
    ([(2, 2), (2, 2), (2, 2)], 0), ([(2, 3), (1, 3), (3, 3)], 0), ([(2, 1), (2, 2), (2, 1)], -1),
    ([(2, 1, 2), (2, 3, 2)], 1), ([(3,)], 0), ([(0, 2), (2, 2)], 0),
]  # fmt: skip


def surround(x, widths, value):
    """``x`` in the middle of a constant."""
    out = np.full([before + n + after for (before, after), n in zip(widths, x.shape, strict=True)], value)
    out[tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))] = x
    return out


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def scattered(key, g):
    """What each element of TABLE collects if each of g goes back to where TABLE[key] came from."""
    positions = np.arange(TABLE.size).reshape(TABLE.shape)[key]
    collected = np.bincount(np.ravel(positions), np.ravel(g), minlength=TABLE.size)
    return collected.reshape(TABLE.shape).astype(float)


# Moving.


@moves
def test_every_element_moves_to_its_place(name):
    for fn, reference, shape in MOVES[name]:
        x = numbers(shape)
        with expect.unchanged(x):
            expect.close(fn(x), reference(x), f"{name} of an array {shape}")
        expect.tensor(fn(Tensor(x)), reference(x), f"{name} of a Tensor {shape}")


@moves
def test_gradient_moves_back(name):
    for fn, reference, shape in MOVES[name]:
        x = numbers(shape)
        expect.tensor(fn(Tensor(x)), reference(x), f"{name} of a Tensor {shape}")
        gradcheck(fn, x, order=1, engine=grad, of=name)


@moves
def test_second_derivative_of_moving(name):
    for fn, reference, shape in MOVES[name]:
        x = numbers(shape)
        expect.tensor(fn(Tensor(x)), reference(x), f"{name} of a Tensor {shape}")
        gradcheck(fn, x, order=2, engine=grad, of=name)


# Picking.


@keys
def test_index_picks_what_numpy_picks(kind):
    for key in KEYS[kind]:
        with expect.unchanged(TABLE):
            expect.close(shaping.index(TABLE, key), TABLE[key], f"x[{key}] of an array (3, 4)")
        expect.tensor(Tensor(TABLE)[key], np.asarray(TABLE[key]), f"x[{key}] of a Tensor (3, 4)")


@keys
def test_scatter_adds_where_the_key_points(kind):
    for key in KEYS[kind]:
        g = numbers(TABLE[key].shape)
        with expect.unchanged(g):
            result = Scatter(key, (3, 4)).forward(g)
        expect.close(result, scattered(key, g), f"Scatter at {key} into (3, 4)")


@keys
def test_gradient_of_index_adds_up(kind):
    for key in KEYS[kind]:
        x, g = Tensor(TABLE, requires_grad=True), numbers(TABLE[key].shape)
        y = shaping.index(x, key)
        expect.tensor(y, np.asarray(TABLE[key]), f"x[{key}] of a Tensor (3, 4)")
        with expect.unchanged(TABLE, g):
            (back,) = grad(y, [x], g)
        expect.tensor(back, scattered(key, g), f"gradient of x[{key}] for x (3, 4)")


@keys
def test_second_derivative_of_index(kind):
    for key in KEYS[kind][::2]:
        expect.close(shaping.index(TABLE, key), TABLE[key], f"x[{key}] of an array (3, 4)")
        gradcheck(lambda x, k=key: shaping.index(x, k), TABLE, order=2, engine=grad, of=f"x[{key}]")


def test_an_element_that_is_picked_twice_collects_both_gradients():
    x = Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    for key in ([0, 0, 2, 0], np.array([0, -3, 2, 0])):
        y = x[key]
        expect.tensor(y, np.array([1.0, 1, 3, 1]), f"[1, 2, 3][{key}]")
        (g,) = grad(y, [x], np.array([1.0, 10.0, 100.0, 1000.0]))
        expect.tensor(g, np.array([1011.0, 0.0, 100.0]), f"gradient [1, 10, 100, 1000] of [1, 2, 3][{key}]")


# Joining.


@pytest.mark.parametrize("order", [0, 1, 2], ids=["value", "gradient", "second derivative"])
def test_concatenate(order):
    for shapes, axis in JOINS:
        parts = [numbers(shape, seed) for seed, shape in enumerate(shapes)]
        joined = np.concatenate(parts, axis)
        expect.close(
            shaping.concatenate(parts, axis), joined, f"concatenate of arrays {shapes} along axis {axis}"
        )
        tensor = shaping.concatenate([Tensor(p) for p in parts], axis)
        expect.tensor(tensor, joined, f"concatenate of Tensors {shapes} along axis {axis}")
        if order:
            of = f"concatenate along axis {axis}"
            gradcheck(lambda *ts, a=axis: shaping.concatenate(ts, a), *parts, order=order, engine=grad, of=of)


@pytest.mark.parametrize("order", [0, 1, 2], ids=["value", "gradient", "second derivative"])
def test_stack(order):
    for shape, axis in (((2, 2), 0), ((1, 2), 1), ((1, 2), -1), ((1, 2), -3), ((), 0)):
        parts = [numbers(shape, seed) for seed in range(3)]
        joined = np.moveaxis(np.array(parts), 0, axis)
        expect.close(shaping.stack(parts, axis), joined, f"stack of three arrays {shape} along axis {axis}")
        tensor = shaping.stack([Tensor(p) for p in parts], axis)
        expect.tensor(tensor, joined, f"stack of three Tensors {shape} along axis {axis}")
        if order:
            of = f"stack along axis {axis}"
            gradcheck(lambda *ts, a=axis: shaping.stack(ts, a), *parts, order=order, engine=grad, of=of)


@pytest.mark.parametrize("join", [shaping.concatenate, shaping.stack])
def test_parts_may_be_arrays_and_may_repeat(join):
    x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = join([x, np.array([3.0, 4.0]), x])
    expected = np.array([1.0, 2, 3, 4, 1, 2])
    expect.tensor(y, expected if y.ndim == 1 else expected.reshape(3, 2), "x, an array, and x again, joined")
    (g,) = grad(y, [x], np.array([1.0, 2, 4, 8, 16, 32]).reshape(y.shape))
    expect.tensor(g, np.array([17.0, 34.0]), "gradient of x, an array, and x again, joined")


def test_only_parts_that_need_a_gradient_get_one():
    x, y = Tensor(TABLE, requires_grad=True), Tensor(TABLE)
    joined = shaping.concatenate([y, x, TABLE])
    expect.tensor(joined, np.concatenate([TABLE] * 3), "a Tensor three times, joined")
    with recording(False):
        pieces = joined.node.backward(np.arange(36.0).reshape(9, 4))
    arrived = [piece is not None for piece in pieces]
    expect.equal(
        arrived, [False, True, False], "which of three parts get a gradient, only the second needing one,"
    )
    expect.close(pieces[1], np.arange(12.0, 24.0).reshape(3, 4), "the gradient of the second part of three")


# dtype.


@moves
def test_float32_stays_float32(name):
    for fn, reference, shape in MOVES[name]:
        x = numbers(shape).astype(np.float32)
        t = Tensor(x, requires_grad=True)
        y = fn(t)
        expect.tensor(y, reference(x.astype(float)), f"{name} of float32", dtype=np.float32)
        (g,) = grad(y, [t], np.ones(y.shape, np.float32))
        times = y.data.size / x.size if name == "broadcast_to" else 1.0
        expect.tensor(g, np.full(shape, times), f"gradient of {name} in float32", dtype=np.float32)


@keys
def test_index_keeps_float32(kind):
    for key in KEYS[kind]:
        x = Tensor(TABLE.astype(np.float32), requires_grad=True)
        y = x[key]
        expect.tensor(y, np.asarray(TABLE[key]), f"x[{key}] of float32", dtype=np.float32)
        (g,) = grad(y, [x], np.ones(y.shape, np.float32))
        want = scattered(key, np.ones(y.shape))
        expect.tensor(g, want, f"gradient of x[{key}] in float32", dtype=np.float32)


@pytest.mark.parametrize("join", [shaping.concatenate, shaping.stack])
def test_joining_keeps_float32(join):
    parts = [Tensor(np.float32([i, i + 0.5]), requires_grad=True) for i in range(2)]
    y = join(parts)
    expect.tensor(
        y, np.array([0, 0.5, 1, 1.5]).reshape(y.shape), "two float32 parts, joined", dtype=np.float32
    )
    for g in grad(y, parts, np.ones(y.shape, np.float32)):
        expect.tensor(g, np.ones(2), "gradient of a float32 part", dtype=np.float32)


# Edges.


@pytest.mark.parametrize(
    ("fn", "shape", "expected"),
    [
        pytest.param(lambda x: shaping.reshape(x, (-1, 1)), (0, 1), [[0], [1], [2]], id="reshape"),
        pytest.param(lambda x: shaping.transpose(x), (3, 0), [[0], [1], [2]], id="transpose"),
        pytest.param(lambda x: shaping.flip(x), (0, 3), [[2, 1, 0]], id="flip"),
        pytest.param(lambda x: shaping.pad(x, ((0, 1), (0, 0))), (1, 3), [[0, 1, 2], [0, 0, 0]], id="pad"),
        pytest.param(lambda x: x[:, [1, 1]], (0, 2), [[1, 1]], id="index"),
        pytest.param(lambda x: shaping.stack([x, x], 1), (0, 2, 3), [[[0, 1, 2], [0, 1, 2]]], id="stack"),
    ],
)
def test_empty_arrays(fn, shape, expected):
    x = Tensor(np.ones((0, 3)), requires_grad=True)
    y = fn(x)
    expect.tensor(y, np.zeros(shape), "the result for shape (0, 3)")
    (g,) = grad(y, [x], np.ones(shape))
    expect.tensor(g, np.ones((0, 3)), "the gradient for shape (0, 3)")
    expect.tensor(fn(Tensor([[0.0, 1.0, 2.0]])), np.array(expected, float), "the result for [[0, 1, 2]]")


# Errors.


def test_shapes_that_do_not_fit_are_named():
    x = Tensor(numbers((2, 3)))
    expect.tensor(shaping.reshape(x, (3, -1)), x.data.reshape(3, 2), "reshape to (3, -1)")
    for shape in ((4, 2), (4, -1), (2, 3, 0)):
        with expect.raises(ValueError, "(2, 3)", str(shape)):
            shaping.reshape(x, shape)


def test_broadcast_to_names_both_shapes():
    x = Tensor(numbers((2, 1)))
    expect.tensor(shaping.broadcast_to(x, (2, 2)), np.concatenate([x.data, x.data], 1), "broadcast_to (2, 2)")
    for shape in ((3, 1), (2,), (1, 1), (2, 2, 3, 3)):
        with expect.raises(ValueError, "(2, 1)", str(shape)):
            shaping.broadcast_to(x, shape)


@pytest.mark.parametrize(
    ("fn", "good", "wrong"),
    [
        pytest.param(shaping.transpose, (1, 0), [(0, 0), (0,), (2, 1), (1, -3), (0, 1, 2)], id="transpose"),
        pytest.param(shaping.flip, (0, 1), [2, -3, (0, 2)], id="flip"),
        pytest.param(shaping.unsqueeze, 2, [3, -4], id="unsqueeze"),
        pytest.param(shaping.squeeze, None, [0, 1, 2, -3], id="squeeze"),
    ],
)
def test_axes_that_do_not_fit_are_named(fn, good, wrong):
    x = Tensor(numbers((2, 3)))
    places = np.arange(6).reshape(2, 3)
    places = {
        shaping.transpose: places.T,
        shaping.flip: places[::-1, ::-1],
        shaping.unsqueeze: places[..., None],
        shaping.squeeze: places,
    }[fn]
    expect.tensor(fn(x, good), x.data.ravel()[places], f"{fn.__name__}(x, {good}) for x (2, 3)")
    if fn is shaping.squeeze:
        expect.tensor(fn(Tensor(numbers((2, 1))), 1), numbers((2,)), "squeeze(x, 1) for x (2, 1)")
    for axis in wrong:
        with expect.raises(ValueError, str(axis), "(2, 3)"):
            fn(x, axis)


def test_swapaxes_names_the_axes():
    x = Tensor(numbers((2, 3)))
    expect.tensor(shaping.swapaxes(x, 1, 0), x.data.T, "swapaxes(x, 1, 0)")
    for first, second in ((0, 2), (-3, 1)):
        with expect.raises(ValueError, str(first), str(second), "(2, 3)"):
            shaping.swapaxes(x, first, second)


@pytest.mark.parametrize("join", [shaping.concatenate, shaping.stack])
def test_parts_that_do_not_fit_are_named(join):
    expect.close(
        join([TABLE, TABLE], 1).reshape(3, 2, 4), np.stack([TABLE, TABLE], 1), "two parts along axis 1"
    )
    for shapes in ([(2, 3), (2, 4)], [(2, 3), (2,)]):
        with expect.raises(ValueError, *map(str, shapes)):
            join([np.ones(shape) for shape in shapes], 0)
    with expect.raises(ValueError):
        join([])
    with expect.raises(ValueError, "4", "(3, 4)"):
        join([TABLE, TABLE], 4)


def test_pad_names_the_widths_and_the_shape():
    expect.close(shaping.pad(TABLE, ((0, 0), (0, 1))), np.c_[TABLE, np.zeros(3)], "pad by one column")
    for widths in (((1, 1),), ((1, 1), (0, -1)), ((1, 1), (1, 1), (1, 1))):
        with expect.raises(ValueError, str(widths), "(3, 4)"):
            shaping.pad(TABLE, widths)


def test_an_index_out_of_range_is_an_error():
    x = Tensor(TABLE)
    expect.tensor(x[2, 3], np.array(TABLE[2, 3]), "x[2, 3]")
    for key in (3, (0, -5), [0, 3], (0, 0, 0)):
        with expect.raises(IndexError):
            shaping.index(x, key)


# Arrays of another library.


@moves
def test_arrays_of_another_library_flow_through(name):
    for fn, reference, shape in MOVES[name]:
        x = numbers(shape)
        expect.close(duck.flows(fn, x, engine=grad, what=name), reference(x), f"{name} of a foreign array")


@keys
def test_index_takes_arrays_of_another_library(kind):
    for key in KEYS[kind]:
        result = duck.flows(lambda x, k=key: x[k], TABLE, engine=grad, what=f"x[{key}]")
        expect.close(result, TABLE[key], f"x[{key}] of a foreign array")


@pytest.mark.parametrize("join", [shaping.concatenate, shaping.stack])
def test_joining_takes_arrays_of_another_library(join):
    result = duck.flows(lambda a, b: join([a, b, a]), TABLE, 2 * TABLE, engine=grad, what=join.__name__)
    expect.close(
        result.reshape(3, 3, 4), np.array([TABLE, 2 * TABLE, TABLE]), f"{join.__name__} of foreign arrays"
    )
