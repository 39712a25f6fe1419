"""Shapes: say what you expect, know what broadcasting does, and undo it.

Broadcasting reads two shapes from the right. Where one has size 1, or no axis at all, its numbers are used
again for every position of the other:

    (N, D) + (D,)        b[d] is used N times, so a small change of b[d] moves N results

That repetition is a linear map, and its transpose adds up: the gradient with respect to b[d] is the sum of
the N gradients that came back. `unbroadcast` is this sum:

    <broadcast(x), g> = <x, unbroadcast(g)>        for every x and g

Shapes   written as one word an axis: "N C H W" batch, channels, height, width; V classes.
Source   NumPy user guide, "Broadcasting", general rules; Griewank & Walther 2008, "Evaluating Derivatives",
         section 3.2 (a value used twice collects two adjoints).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, zip_longest
from math import prod

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

Shape = tuple[int, ...]


def _as_array(x: ArrayLike) -> np.ndarray:
    """Return ``x`` itself if NumPy's functions know how to handle it, an array of it otherwise."""
    return x if hasattr(x, "__array_function__") else np.asarray(x)  # type: ignore[return-value]


def check_shape(x: ArrayLike, spec: str, name: str = "x", **sizes: int) -> dict[str, int]:
    """Check the shape of ``x`` against ``spec`` and return the size of each letter.

    >>> check_shape(np.zeros((8, 3, 32, 32)), "N C H W", C=3)
    {'N': 8, 'C': 3, 'H': 32, 'W': 32}
    >>> check_shape(np.zeros((2, 5, 4, 4)), "... D D")
    {'D': 4}

    Args:
        x: anything with a ``shape``, or an array-like.
        spec: one word an axis, separated by spaces. A name ("N", "H_out") stands for a size, the same
            wherever it occurs; an integer for itself; "..." as the first word for any number of leading axes.
            The empty string is the shape of a single number.
        name: what to call ``x`` in an error.
        **sizes: sizes of names that are known already.

    Returns:
        Name -> size, of the names in ``spec`` in their order.

    Raises:
        ValueError: the number of axes or a size differs; the message names ``name``, the shape, ``spec``, the
            axis (counted from 0) and both sizes. Or ``spec`` has a word that is none of the above, or
            ``sizes`` a name that is not in ``spec``; the message names the word and ``spec``.
    """
    words = spec.split()
    leading = words[:1] == ["..."]
    words = words[leading:]
    for word in words:
        if not (word.isidentifier() or word.isdecimal()):
            raise ValueError(f"'{word}' in the spec '{spec}' is neither a name nor an integer"
                             + (": '...' can only come first" if word == "..." else ""))  # fmt: skip
    for word in sizes:
        if word not in words:
            raise ValueError(f"{word}={sizes[word]} was given, but the spec '{spec}' has no {word}")

    shape = tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
    extra = len(shape) - len(words)
    if extra < 0 or (extra and not leading):
        many = f"{'at least ' * leading}{len(words)}"
        raise ValueError(f"{name} has shape {shape}, not '{spec}': {len(shape)} axes, expected {many}")
    known = dict(sizes)
    for axis, (word, size) in enumerate(zip(words, shape[extra:], strict=True), extra):
        expected = int(word) if word.isdecimal() else known.setdefault(word, size)
        if size != expected:
            wanted = word if word.isdecimal() else f"{word} = {expected}"
            raise ValueError(
                f"{name} has shape {shape}, not '{spec}': axis {axis} is {size}, expected {wanted}"
            )
    return {word: known[word] for word in words if not word.isdecimal()}


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that arrays of these shapes have together.

    Shapes are aligned at the right, missing axes count as 1. On each axis, all sizes other than 1 must agree.

    >>> broadcast_shapes((8, 1, 6), (7, 1), ())
    (8, 7, 6)

    Raises:
        ValueError: two sizes on an axis differ and neither is 1; the message names all the shapes, the axis
            (counted from the end: -1 is the last) and the sizes.
    """
    result = []
    for axis, column in enumerate(zip_longest(*map(reversed, shapes), fillvalue=1), 1):
        stretched = sorted(set(column) - {1})  # 0 counts too: (1,) and (0,) together are (0,)
        if len(stretched) > 1:
            listed, clash = " and ".join(map(str, shapes)), " and ".join(map(str, stretched))
            raise ValueError(f"shapes {listed} do not broadcast: on axis {-axis}, sizes {clash} differ")
        result.append(stretched[0] if stretched else 1)
    return tuple(reversed(result))


def unbroadcast(grad: ArrayLike, shape: Shape) -> np.ndarray:
    """Sum ``grad`` back to ``shape``: the transpose of broadcasting from ``shape`` to ``grad.shape``.

    Args:
        grad: (...), any shape to which ``shape`` broadcasts.
        shape: the shape before broadcasting.

    Returns:
        An array of shape ``shape``: the sum over the axes that were added on the left and over those that
        were stretched from 1. ``grad`` itself, not a copy, if it has that shape already.

    Raises:
        ValueError: ``shape`` does not broadcast to ``grad.shape``; the message names both.
    """
    array = _as_array(grad)
    if array.shape == shape:
        return array
    added = array.ndim - len(shape)
    if added < 0 or any(n not in (1, m) for n, m in zip(shape, array.shape[added:], strict=True)):
        raise ValueError(f"a gradient of shape {array.shape} cannot come from broadcasting {tuple(shape)}")
    ones = (added + axis for axis, size in enumerate(shape) if size == 1)
    return np.add.reduce(array, axis=(*range(added), *ones), keepdims=True).reshape(shape)


def one_hot(indices: ArrayLike, num_classes: int, dtype: DTypeLike = np.float64) -> np.ndarray:
    """Return rows of zeros with a single 1 at ``indices``.

    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])

    Args:
        indices: (...), integers in [0, num_classes); an empty list holds none, whatever its dtype.
        num_classes: V, the length of a row.
        dtype: of the result.

    Returns:
        (..., V): ``result[..., v]`` is 1 where ``indices == v`` and 0 elsewhere.

    Raises:
        TypeError: ``indices`` are not integers (bool is not); the message names their dtype.
        ValueError: an index is negative or at least ``num_classes``; the message names the first such index
            and ``num_classes``.
    """
    array = _as_array(indices)
    if array.dtype.kind not in "iu" and array.size:  # an empty list arrives as float64
        raise TypeError(f"indices have dtype {array.dtype}, expected integers")
    outside = (array < 0) | (array >= num_classes)
    if outside.any():
        raise ValueError(f"index {array[outside][0]} is outside [0, num_classes = {num_classes})")
    result = np.zeros((*array.shape, num_classes), dtype, like=array)  # (..., V)
    np.put_along_axis(result, array.astype(np.intp, copy=False)[..., None], 1, axis=-1)
    return result


@dataclass(frozen=True)
class FlatSpec:
    """What `flatten` must remember: shapes and dtypes of the arrays, in order."""

    shapes: tuple[Shape, ...]
    dtypes: tuple[np.dtype, ...]


def flatten(arrays: Sequence[ArrayLike]) -> tuple[np.ndarray, FlatSpec]:
    """Copy arrays of any shapes, one after the other, into one vector.

    Args:
        arrays: array-likes; their entries are read in row-major (C) order.

    Returns:
        The vector, in the dtype that NumPy promotes those of ``arrays`` to (float64 if there are none; new
        memory in any case), and the spec that `unflatten` needs.
    """
    given = [_as_array(a) for a in arrays]
    spec = FlatSpec(tuple(a.shape for a in given), tuple(a.dtype for a in given))
    return np.concatenate([np.ravel(a) for a in given]) if given else np.empty(0), spec


def unflatten(flat: np.ndarray, spec: FlatSpec | Sequence[Shape]) -> list[np.ndarray]:
    """Cut a vector into arrays: the inverse of `flatten`.

    Args:
        flat: (P,), as many numbers as the shapes hold together.
        spec: from `flatten`, which restores the dtypes too; or only shapes, which keep the dtype of ``flat``.

    Returns:
        One array a shape. Views of ``flat`` where the dtype stays: writing to them writes to ``flat``.

    Raises:
        ValueError: ``flat`` is not a vector, or has too few or too many numbers; the message names its shape
            or size, and how many numbers the shapes need.
    """
    shapes = spec.shapes if isinstance(spec, FlatSpec) else tuple(spec)
    dtypes = spec.dtypes if isinstance(spec, FlatSpec) else (flat.dtype,) * len(shapes)
    ends = list(accumulate(map(prod, shapes), initial=0))
    if flat.shape != (ends[-1],):
        raise ValueError(f"flat has shape {flat.shape}, expected {(ends[-1],)} for arrays of {list(shapes)}")
    return [
        flat[start:end].reshape(shape).astype(dtype, copy=False)
        for (start, end), shape, dtype in zip(pairwise(ends), shapes, dtypes, strict=True)
    ]
