"""utils.tensor_utils: shapes that are named, broadcasting and its adjoint, one-hot rows, flat vectors."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect, strategies
from utils.tensor_utils import broadcast_shapes, check_shape, flatten, one_hot, unbroadcast, unflatten

A = np.arange(6.0).reshape(2, 3)
FITS = [  # shape, spec, given sizes, and the sizes found
    ((8, 3, 5, 4), "N C H W", {}, {"N": 8, "C": 3, "H": 5, "W": 4}),
    ((8, 3), "N C", {"C": 3}, {"N": 8, "C": 3}),
    ((7, 7, 2), "D D T", {}, {"D": 7, "T": 2}),
    ((8, 3, 28), "N 3 H_out", {}, {"N": 8, "H_out": 28}),
    ((6, 5, 4, 4), "... D D", {}, {"D": 4}),
    ((4, 2), "... D E", {}, {"D": 4, "E": 2}),
    ((9, 0), "... N", {}, {"N": 0}),
]
MISFITS = [  # shape, spec, given sizes, and what the message must name
    ((5, 7), "N C H", {}, ["weight", "(5, 7)", "N C H"]),
    ((5, 7), "N", {}, ["weight", "(5, 7)", "N"]),
    ((5,), "... C D", {}, ["weight", "(5,)", "... C D"]),
    ((5,), "", {}, ["weight", "(5,)"]),
    ((5, 7), "N C", {"C": 9}, ["weight", "(5, 7)", "N C", "9", "1"]),
    ((5, 7), "D D", {}, ["weight", "(5, 7)", "D D", "1"]),
    ((5, 7), "8 C", {}, ["weight", "(5, 7)", "8 C", "0"]),
    ((6, 5, 7), "... 9 C", {}, ["weight", "(6, 5, 7)", "... 9 C", "1"]),
    ((6, 5, 7), "... N C", {"C": 9}, ["weight", "(6, 5, 7)", "... N C", "9", "2"]),
    ((5, 7), "N ... C", {}, ["...", "N ... C"]),
    ((5, 7), "N C-1", {}, ["C-1", "N C-1"]),
    ((5, 7), "N C", {"H": 9}, ["H", "N C"]),
]


@pytest.mark.parametrize(
    ("shape", "spec", "sizes", "expected"), FITS, ids=[f"{shape} as '{spec}'" for shape, spec, *_ in FITS]
)
def test_check_shape_returns_the_size_of_each_letter_in_order(shape, spec, sizes, expected):
    expect.equal(check_shape(np.zeros(shape), spec, **sizes), expected, f"sizes of {shape} read as '{spec}'")


def test_check_shape_reads_whatever_has_a_shape():
    expect.equal(
        check_shape([[1, 2, 3]], "N D"), {"N": 1, "D": 3}, "sizes of the list [[1, 2, 3]] read as 'N D'"
    )
    thing = SimpleNamespace(shape=(5, 2))
    expect.equal(
        check_shape(thing, "T D"), {"T": 5, "D": 2}, "sizes of an object with shape (5, 2) read as 'T D'"
    )
    expect.equal(check_shape(3.0, ""), {}, "sizes of a number read as ''")


@pytest.mark.parametrize(
    ("shape", "spec", "sizes", "named"), MISFITS, ids=[f"{shape} as '{spec}'" for shape, spec, *_ in MISFITS]
)
def test_check_shape_says_what_does_not_fit(shape, spec, sizes, named):
    with expect.raises(ValueError, *named):
        check_shape(np.zeros(shape), spec, name="weight", **sizes)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(8, 1, 6), (7, 1), ()], (8, 7, 6)),
        ([(3,), (2, 3)], (2, 3)),
        ([(2, 3), (2, 3)], (2, 3)),
        ([(4, 1), (1, 5), (1,)], (4, 5)),
        ([(1,), (0,)], (0,)),
        ([(2, 1, 0), (3, 1)], (2, 3, 0)),
        ([(5, 2)], (5, 2)),
        ([(), ()], ()),
    ],
    ids=str,
)
def test_broadcast_shapes_aligns_at_the_right(shapes, expected):
    what = f"broadcast_shapes of {' and '.join(map(str, shapes))}"
    expect.equal(broadcast_shapes(*shapes), expected, what)
    expect.equal(broadcast_shapes(*shapes, (3, *expected)), (3, *expected), f"{what} and {(3, *expected)}")


@given(shapes=strategies.broadcastable(3))
def test_broadcast_shapes_is_the_shape_of_the_sum(shapes):
    total = sum(np.zeros(shape) for shape in shapes)
    expect.equal(broadcast_shapes(*shapes), np.shape(total), f"broadcast_shapes of {shapes}")


@pytest.mark.parametrize(
    ("shapes", "axis"),
    [([(6, 4), (5, 4)], "-2"), ([(2, 3), (4,)], "-1"), ([(5, 1, 8), (1,), (7, 1, 1)], "-3")],
)
def test_broadcast_shapes_names_the_axis_that_clashes(shapes, axis):
    with expect.raises(ValueError, *map(str, shapes), axis):
        broadcast_shapes(*shapes)


def test_a_size_of_zero_clashes_with_a_size_of_two():
    with expect.raises(ValueError, "(0,)", "(2,)", "-1"):
        broadcast_shapes((0,), (2,))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3,), [3.0, 5.0, 7.0]),
        ((2, 1), [[3.0], [12.0]]),
        ((1, 3), [[3.0, 5.0, 7.0]]),
        ((1,), [15.0]),
        ((1, 1), [[15.0]]),
        ((), 15.0),
    ],
    ids=str,
)
def test_unbroadcast_adds_up_the_copies(shape, expected):
    result = unbroadcast(A, shape)
    expect.close(result, np.array(expected), f"[[0, 1, 2], [3, 4, 5]] summed to {shape}")


@given(shapes=strategies.broadcastable(2), seed=strategies.seeds())
def test_unbroadcast_is_the_adjoint_of_broadcasting(shapes, seed):
    rng = np.random.default_rng(seed)
    small, other = shapes
    x = rng.standard_normal(small)
    g = rng.standard_normal(np.broadcast_shapes(small, other))
    back = unbroadcast(g, small)
    expect.equal(np.shape(back), small, f"shape of {g.shape} summed to {small}")
    left, right = float(np.sum(x * g)), float(np.sum(x * back))
    expect.close(right, left, f"<x, unbroadcast(g)> for x {small} and g {g.shape}", rtol=1e-9, atol=1e-9)


def test_unbroadcast_sums_added_and_stretched_axes_in_one_go():
    g = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    expect.close(
        unbroadcast(g, (3, 1, 5)), g.sum(axis=(0, 2)).reshape(3, 1, 5), "(2, 3, 4, 5) summed to (3, 1, 5)"
    )
    view = g.transpose(3, 1, 0, 2)[::2]
    expect.close(
        unbroadcast(view, (3, 1, 1)),
        view.sum(axis=(0, 2, 3)).reshape(3, 1, 1),
        "a strided view summed to (3, 1, 1)",
    )


def test_unbroadcast_returns_a_gradient_that_fits_itself():
    expect.close(unbroadcast(A, (3,)), np.array([3.0, 5.0, 7.0]), "[[0, 1, 2], [3, 4, 5]] summed to (3,)")
    expect.true(
        unbroadcast(A, (2, 3)) is A,
        "a gradient of shape (2, 3) summed to (2, 3) must be returned as it is, without a copy",
    )


def test_unbroadcast_keeps_float32_and_its_input():
    g = A.astype(np.float32)
    with expect.unchanged(g):
        expect.close(
            unbroadcast(g, (2, 1)), np.array([[3.0], [12.0]]), "float32 summed to (2, 1)", dtype=np.float32
        )
    expect.close(unbroadcast([[1.0, 2.0]], (1, 1)), np.array([[3.0]]), "the list [[1, 2]] summed to (1, 1)")


def test_unbroadcast_of_nothing_is_zero():
    expect.close(unbroadcast(np.zeros((0, 3)), (3,)), np.zeros(3), "(0, 3) summed to (3,)")
    expect.close(unbroadcast(np.ones((2, 3)), (1, 3)), np.full((1, 3), 2.0), "ones (2, 3) summed to (1, 3)")
    expect.close(unbroadcast(np.zeros((2, 0)), (2, 1)), np.zeros((2, 1)), "(2, 0) summed to (2, 1)")


@pytest.mark.parametrize(
    ("big", "small"), [((2, 3), (4,)), ((3,), (2, 3)), ((1, 3), (2, 3)), ((5, 4), (1, 2))]
)
def test_unbroadcast_refuses_what_broadcasting_cannot_have_made(big, small):
    with expect.raises(ValueError, str(big), str(small)):
        unbroadcast(np.zeros(big), small)


def test_one_hot_puts_a_single_one_in_each_row():
    expected = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    expect.close(one_hot([2, 0, 1], 3), expected, "one_hot([2, 0, 1], 3)", dtype=np.float64)


@given(shape=strategies.shapes(0, 3), seed=strategies.seeds(), num_classes=st.integers(1, 5))
def test_one_hot_adds_an_axis_at_the_end(shape, seed, num_classes):
    indices = np.random.default_rng(seed).integers(0, num_classes, shape)
    expected = np.zeros((*shape, num_classes))
    for at in np.ndindex(*shape):
        expected[(*at, indices[at])] = 1
    expect.close(
        one_hot(indices, num_classes), expected, f"one_hot of indices {shape}, {num_classes} classes"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int64, bool])
@pytest.mark.parametrize("index", [np.uint8, np.int32, np.uint64])
def test_one_hot_has_the_dtype_asked_for(dtype, index):
    indices = np.array([[1], [0]], index)
    expected = np.array([[[0, 1]], [[1, 0]]], dtype)
    with expect.unchanged(indices):
        expect.close(
            one_hot(indices, 2, dtype),
            expected,
            f"one_hot of {index.__name__}, dtype={dtype.__name__}",
            dtype=dtype,
        )


def test_one_hot_of_nothing_has_no_rows():
    expect.equal(one_hot([], 4).shape, (0, 4), "shape of one_hot([], 4)")
    expect.equal(
        one_hot(np.zeros((2, 0), int), 4).shape, (2, 0, 4), "shape of one_hot of indices (2, 0), 4 classes"
    )


@pytest.mark.parametrize(("indices", "bad"), [([0, 4], "4"), ([2, -1, 9], "-1"), ([[3], [5]], "5")], ids=str)
def test_one_hot_refuses_an_index_out_of_range(indices, bad):
    with expect.raises(ValueError, bad, "4"):
        one_hot(indices, 4)


@pytest.mark.parametrize(("indices", "dtype"), [([1.0, 2.0], "float64"), ([True, False], "bool")])
def test_one_hot_refuses_what_is_not_an_integer(indices, dtype):
    with expect.raises(TypeError, dtype):
        one_hot(indices, 4)


def test_flatten_writes_one_array_after_the_other():
    flat, _ = flatten([A, np.array(9.0), [7.0, 8.0]])
    expect.close(flat, np.array([0.0, 1, 2, 3, 4, 5, 9, 7, 8]), "flatten of (2, 3), a number and [7, 8]")


def test_flatten_reads_rows_whatever_the_memory_layout():
    flat, spec = flatten([A.T, np.asfortranarray(A)])
    expect.close(
        flat,
        np.array([0.0, 3, 1, 4, 2, 5, 0, 1, 2, 3, 4, 5]),
        "flatten of a transposed and a Fortran-ordered array",
    )
    expect.close(unflatten(flat, spec)[0], A.T, "unflatten(flatten([A.T]))")


def test_flatten_never_shares_memory_with_its_input():
    x = np.array([1.0, 2.0])
    flat, _ = flatten([x])
    flat[0] = 5.0
    expect.close(flat, np.array([5.0, 2.0]), "the vector after writing 5 to its first entry")
    expect.close(x, np.array([1.0, 2.0]), "the array that was flattened, after writing to the vector")


@given(shapes=st.lists(strategies.shapes(0, 3, 0, 3), max_size=4), seed=strategies.seeds())
def test_unflatten_undoes_flatten(shapes, seed):
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape)) for shape in shapes]
    flat, spec = flatten(arrays)
    expect.equal(flat.shape, (sum(a.size for a in arrays),), f"shape of flatten of {shapes}")
    for kind, again in (("spec", unflatten(flat, spec)), ("shapes", unflatten(flat, shapes))):
        expect.equal([a.shape for a in again], shapes, f"shapes after unflatten with {kind}")
        for i, (a, b) in enumerate(zip(again, arrays, strict=True)):
            expect.close(a, b, f"array {i} after unflatten with {kind}")


def test_flatten_promotes_and_unflatten_restores_the_dtypes():
    arrays = [np.array([1, 2], np.int32), np.array([0.5], np.float32), np.array([True])]
    flat, spec = flatten(arrays)
    expect.close(flat, np.array([1.0, 2.0, 0.5, 1.0]), "flatten of int32, float32 and bool", dtype=np.float64)
    for before, after in zip(arrays, unflatten(flat, spec), strict=True):
        expect.close(after, before, f"{before.dtype} after flatten and unflatten", dtype=before.dtype)
    only_shapes = unflatten(flat.astype(np.float32), [(2,), (1, 1), ()])
    expect.close(only_shapes[1], np.array([[0.5]]), "the second array, from shapes alone", dtype=np.float32)


def test_flatten_keeps_float32():
    flat, spec = flatten([A.astype(np.float32), np.ones(1, np.float32)])
    expect.close(flat, np.array([0.0, 1, 2, 3, 4, 5, 1]), "flatten of float32 arrays", dtype=np.float32)
    expect.close(unflatten(flat, spec)[0], A, "the first array again", dtype=np.float32)


def test_flatten_of_no_arrays_is_an_empty_vector():
    flat, spec = flatten([])
    expect.close(flat, np.zeros(0), "flatten([])", dtype=np.float64)
    expect.equal(unflatten(flat, spec), [], "unflatten(flatten([]))")


def test_unflatten_gives_views():
    flat, spec = flatten([A, np.zeros(2)])
    unflatten(flat, spec)[0][1, 0] = 30.0
    unflatten(flat, [(6,), (2,)])[1][1] = 70.0
    message = "the vector after writing 30 to A[1, 0] and 70 to the second entry of the other"
    expect.close(flat, np.array([0.0, 1, 2, 30, 4, 5, 0, 70]), message)


@pytest.mark.parametrize(
    ("shape", "shapes", "named"),
    [
        ((9,), [(2, 3), (4,)], ["9", "10"]),
        ((11,), [(2, 3), (4,)], ["11", "10"]),
        ((2, 5), [(10,)], ["(2, 5)", "10"]),
        ((3,), [], ["3", "0"]),
    ],
)
def test_unflatten_refuses_a_vector_of_another_length(shape, shapes, named):
    with expect.raises(ValueError, *named):
        unflatten(np.zeros(shape), shapes)
