r"""The same numbers elsewhere: operations that move, pick, repeat or join elements and compute nothing.

Each is a linear map whose matrix holds zeros and ones, so its derivative is the transpose of that matrix:
every gradient goes back to where its element came from. They come in adjoint pairs:

    reshape <-> reshape      transpose <-> inverse transpose      flip <-> flip
    index   <-> scatter      pad <-> index                        concatenate <-> index, once a part

Shapes   x any; axes may be negative, counted from the end.
Source   Griewank & Walther 2008, Evaluating Derivatives, 2nd ed., sec. 3.2 (adjoint of a linear map);
         Harris et al. 2020, "Array programming with NumPy", Nature 585, fig. 1 (indexing).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundations.computational_graph import Array, BroadcastTo, Function, Operand, Tensor, as_array


class Reshape(Function):
    """The same elements in the same (C) order, another shape."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """Return x in ``self.shape``, of which one side may be -1; remember x's own shape."""
        raise NotImplementedError("foundations.shaping: TODO 1 of 19, Reshape.forward")

    def backward(self, grad: Operand) -> Operand:
        """Put the gradient into x's shape, with `reshape`, which takes arrays and Tensors."""
        raise NotImplementedError("foundations.shaping: TODO 2 of 19, Reshape.backward")


class Transpose(Function):
    """Axes in another order: axis i of the result is axis ``axes[i]`` of x."""

    def __init__(self, axes: tuple[int, ...]):
        self.axes = axes

    def forward(self, x: Array) -> Array:
        """Return x with its axes in the order ``self.axes``, none of them negative."""
        raise NotImplementedError("foundations.shaping: TODO 3 of 19, Transpose.forward")

    def backward(self, grad: Operand) -> Operand:
        """Put the axes back: `transpose` by the inverse permutation, where ``inverse[axes[i]]`` is i."""
        raise NotImplementedError("foundations.shaping: TODO 4 of 19, Transpose.backward")


class Flip(Function):
    """x reversed along ``axis``: None (every axis), an int or a tuple of ints."""

    def __init__(self, axis: int | tuple[int, ...] | None):
        self.axis = axis

    def forward(self, x: Array) -> Array:
        """Return x reversed along ``self.axis``."""
        raise NotImplementedError("foundations.shaping: TODO 9 of 19, Flip.forward")

    def backward(self, grad: Operand) -> Operand:
        """What was flipped is flipped back, with `flip`."""
        raise NotImplementedError("foundations.shaping: TODO 10 of 19, Flip.backward")


class Index(Function):
    """x[key], with any key NumPy takes. The adjoint of `Scatter`."""

    def __init__(self, key):
        self.key = key

    def forward(self, x: Array) -> Array:
        """Return x[``self.key``]; remember x's shape."""
        raise NotImplementedError("foundations.shaping: TODO 11 of 19, Index.forward")

    def backward(self, grad: Operand) -> Operand:
        """Put each gradient where its element was picked, in zeros of x's shape: `Scatter`."""
        raise NotImplementedError("foundations.shaping: TODO 13 of 19, Index.backward")


class Scatter(Function):
    """Zeros of ``shape`` with x added at ``key``. The adjoint of `Index`."""

    def __init__(self, key, shape: tuple[int, ...]):
        self.key, self.shape = key, shape

    def forward(self, x: Array) -> Array:
        """Return zeros of ``self.shape``, in x's dtype, with x added at ``self.key``.

        An element that the key names twice receives both: ``out[key] += x`` would keep only the last,
        `np.add.at` adds them all. It is slow; where the key cannot repeat (`may_repeat`), assign.
        """
        raise NotImplementedError("foundations.shaping: TODO 12 of 19, Scatter.forward")

    def backward(self, grad: Operand) -> Operand:
        """Pick each element's gradient where it was put, with `index`."""
        raise NotImplementedError("foundations.shaping: TODO 14 of 19, Scatter.backward")


class Concatenate(Function):
    """Parts joined along an axis, in which they may differ."""

    def __init__(self, axis: int):
        self.axis = axis

    def forward(self, *parts: Array) -> Array:
        """Return the parts joined along ``self.axis``, which may be negative; remember their lengths."""
        raise NotImplementedError("foundations.shaping: TODO 17 of 19, Concatenate.forward")

    def backward(self, grad: Operand) -> tuple[Operand | None, ...]:
        """Cut the gradient into its parts, with `index` and slices: a tuple, one gradient a part.

        None stands for a part that does not need one (``self.needs(i)``).
        """
        raise NotImplementedError("foundations.shaping: TODO 18 of 19, Concatenate.backward")


class Pad(Function):
    """x with ``value`` around it: ``widths[i]`` = (before, after) along axis i."""

    def __init__(self, widths: tuple[tuple[int, int], ...], value: float):
        self.widths, self.value = widths, value

    def forward(self, x: Array) -> Array:
        """Return x with ``self.widths`` elements of ``self.value`` around it; remember where x stands."""
        raise NotImplementedError("foundations.shaping: TODO 15 of 19, Pad.forward")

    def backward(self, grad: Operand) -> Operand:
        """The border is constant: cut x's part out of the gradient, with `index` and slices."""
        raise NotImplementedError("foundations.shaping: TODO 16 of 19, Pad.backward")


def reshape(x: Operand, shape: Sequence[int] | int) -> Tensor:
    """The elements of x in C order in another shape; one side may be -1, for what is left.

    Raises:
        ValueError: the number of elements differs; the message names both shapes.
    """
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    try:
        return Reshape.apply(x, shape=shape)
    except ValueError:
        was = as_array(x).shape
        raise ValueError(f"cannot reshape {was} to {shape}: the number of elements differs") from None


def transpose(x: Operand, axes: Sequence[int] | None = None) -> Tensor:
    """Reorder axes: axis i of the result is axis ``axes[i]`` of x; None reverses them.

    Raises:
        ValueError: ``axes`` is not a permutation of x's axes; the message names both.
    """
    shape = as_array(x).shape
    n = len(shape)
    order = tuple(range(n))[::-1] if axes is None else tuple(a % n if -n <= a < n else n for a in axes)
    if sorted(order) != list(range(n)):
        raise ValueError(f"axes {axes} are not an order of the axes of shape {shape}")
    return Transpose.apply(x, axes=order)


def swapaxes(x: Operand, first: int, second: int) -> Tensor:
    """Exchange two axes: a `transpose`.

    Raises:
        ValueError: an axis is out of range; the message names both axes and the shape.
    """
    raise NotImplementedError("foundations.shaping: TODO 5 of 19, swapaxes")


def squeeze(x: Operand, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Drop axes of length 1, all of them (None) or those named: a `reshape`.

    Raises:
        ValueError: a named axis is out of range or not of length 1; the message names ``axis`` and the shape.
    """
    raise NotImplementedError("foundations.shaping: TODO 6 of 19, squeeze")


def unsqueeze(x: Operand, axis: int) -> Tensor:
    """Insert an axis of length 1 so that it becomes axis ``axis`` of the result: a `reshape`.

    Negative axes count from the end of the result: -1 makes it the last.

    Raises:
        ValueError: ``axis`` is out of range for the result; the message names ``axis`` and x's shape.
    """
    raise NotImplementedError("foundations.shaping: TODO 7 of 19, unsqueeze")


def broadcast_to(x: Operand, shape: Sequence[int]) -> Tensor:
    """Stretch x to ``shape`` by NumPy's rules.

    Raises:
        ValueError: x cannot be stretched to ``shape``; the message names both shapes.
    """
    raise NotImplementedError("foundations.shaping: TODO 8 of 19, broadcast_to")


def flip(x: Operand, axis: int | tuple[int, ...] | None = None) -> Tensor:
    """Reverse the order along ``axis`` (None: along every axis).

    Raises:
        ValueError: an axis is out of range; the message names ``axis`` and the shape.
    """
    shape = as_array(x).shape
    n = len(shape)
    if axis is not None and any(not -n <= a < n for a in (axis if isinstance(axis, tuple) else (axis,))):
        raise ValueError(f"cannot flip axis {axis} of shape {shape}")
    return Flip.apply(x, axis=axis)


def index(x: Operand, key: object) -> Tensor:
    """x[key]: slices, integers, None, Ellipsis, arrays or lists of integers or booleans, and tuples of these.

    Where an integer array names an element twice, its gradient is the sum of both.

    Raises:
        IndexError: NumPy's, for a key that does not fit.
    """
    return Index.apply(x, key=key)


def may_repeat(key: object) -> bool:
    """Whether ``key`` can name an element twice: only integers in an array or in a list can.

    >>> may_repeat((slice(2), [0, 0])), may_repeat((slice(2), None, 0))
    (True, False)
    """
    for k in key if isinstance(key, tuple) else (key,):
        k = np.asarray(k) if isinstance(k, (list, tuple)) else k
        if getattr(k, "shape", ()) != () and k.dtype.kind in "iu":  # type: ignore[attr-defined]
            return True
    return False


def concatenate(parts: Sequence[Operand], axis: int = 0) -> Tensor:
    """Join along an existing axis; the other sides must agree.

    Raises:
        ValueError: there are no parts, ``axis`` is out of range or the shapes do not fit; the message names
            the shapes and the axis.
    """
    shapes = [as_array(p).shape for p in parts]
    n = len(shapes[0]) if shapes else 0
    fits = -n <= axis < n and all(len(s) == n for s in shapes)
    if not fits or len({(*s[: axis % n], *s[axis % n + 1 :]) for s in shapes}) != 1:
        raise ValueError(f"cannot concatenate shapes {shapes} along axis {axis}: all other sides must agree")
    return Concatenate.apply(*parts, axis=axis)


def stack(parts: Sequence[Operand], axis: int = 0) -> Tensor:
    """Join along a new axis, axis ``axis`` of the result: `unsqueeze` each part, then `concatenate`.

    Raises:
        ValueError: there are no parts, or the shapes differ: the message names the shapes; or ``axis`` is out
            of range for the result: it names ``axis`` and the shape.
    """
    raise NotImplementedError("foundations.shaping: TODO 19 of 19, stack")


def pad(x: Operand, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Surround x with a constant: ``widths[i]`` = (before, after) along axis i, each >= 0.

    Raises:
        ValueError: not one pair for each axis, or a negative width; the message names widths and shape.
    """
    shape = as_array(x).shape
    if len(widths) != len(shape) or any(len(w) != 2 or min(w) < 0 for w in widths):
        raise ValueError(
            f"pad widths {widths} do not fit shape {shape}: expected (before, after) >= 0 for each axis"
        )
    return Pad.apply(x, widths=tuple((before, after) for before, after in widths), value=value)
