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
    raise NotImplementedError("utils.tensor_utils: TODO 1 of 6, check_shape")


def broadcast_shapes(*shapes: Shape) -> Shape:
    """Return the shape that arrays of these shapes have together.

    Shapes are aligned at the right, missing axes count as 1. On each axis, all sizes other than 1 must agree.

    >>> broadcast_shapes((8, 1, 6), (7, 1), ())
    (8, 7, 6)

    Raises:
        ValueError: two sizes on an axis differ and neither is 1; the message names all the shapes, the axis
            (counted from the end: -1 is the last) and the sizes.
    """
    raise NotImplementedError("utils.tensor_utils: TODO 2 of 6, broadcast_shapes")


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
    raise NotImplementedError("utils.tensor_utils: TODO 3 of 6, unbroadcast")


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
    raise NotImplementedError("utils.tensor_utils: TODO 4 of 6, one_hot")


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
    raise NotImplementedError("utils.tensor_utils: TODO 5 of 6, flatten")


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
    raise NotImplementedError("utils.tensor_utils: TODO 6 of 6, unflatten")
