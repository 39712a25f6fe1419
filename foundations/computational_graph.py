r"""A Tensor remembers how it was made, so that the chain rule can walk back.

Every result holds the `Function` that made it (its *node*), and the node holds its inputs:

    z = x * y + x        z.node = Add, its inputs = (x * y, x)        (x * y).node = Mul, its inputs = (x, y)

An operation is a class with two rules: `forward`, from arrays to an array, and `backward`, from dL/d(out) to
dL/d(in) for each input, a *vector-Jacobian product*: the Jacobian itself is never formed.

One rule, two readings: operations given arrays return arrays. `backward` reads its `operands` and `output`
as arrays in a first-order pass, at NumPy's speed, and as Tensors under ``create_graph=True``, where the same
lines build the graph of the gradient. So every operation here can be differentiated to every order.

Inside the rules an array may be any library's that takes NumPy's functions (NEP 13 and 18): compute with
operators, methods and `np.` functions, and never convert with `np.asarray`.

Shapes   written per operation; `*` stands for any number of leading axes.
Source   Griewank & Walther 2008, Evaluating Derivatives, 2nd ed., sec. 3.2 (reverse mode);
         Petersen & Pedersen 2012, The Matrix Cookbook, eq. 119-123 (matrix products).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from utils.tensor_utils import unbroadcast

Array: TypeAlias = np.ndarray
Operand: TypeAlias = "Tensor | Array | float"

_recording: ContextVar[bool] = ContextVar("recording", default=True)  # one flag a thread


@contextmanager
def recording(on: bool) -> Iterator[None]:
    """Within the block, record operations in the graph, or do not."""
    token = _recording.set(on)
    try:
        yield
    finally:
        _recording.reset(token)


class Function:
    """An operation and, each instance, one record that it was applied: a node of the graph.

    A subclass takes its parameters (an axis, a shape) in its constructor and defines two methods:

        forward(*arrays)   the inputs' arrays -> the result's array
        backward(grad)     dL/d(out) -> dL/d(in): one gradient, or a tuple with one for each input, where
                           None may stand for an input that needs none. ``grad`` is an array, or a Tensor
                           while a graph of the gradient is built; what is returned is of the same kind.

    Attributes:
        broadcasts: the inputs may be stretched to a common shape; the engine sums each gradient back to its
            input's shape, so that `backward` need not.
        fresh: `backward` returns arrays that nothing else holds, so the engine may add to them in place and
            hand them out without a copy. Never true of a rule that returns ``grad`` or a view of it.
        inputs: the Tensors it was applied to; None while nothing is recorded, and after the graph was freed.
    """

    broadcasts = False
    fresh = False
    inputs: tuple[Tensor, ...] = None  # type: ignore[assignment]
    forward: Callable[..., Array]
    backward: Callable[..., object]
    _out: Array = None  # type: ignore[assignment]

    @classmethod
    def apply(cls, *operands: Operand, **params: object) -> Tensor:
        """Run the operation ``cls(**params)`` on the operands, and record it.

        Without a Tensor among the operands: return what `forward` makes of them, as it is. Otherwise make
        Tensors of them all (`_as_tensors`), run `forward` on their arrays and return a new Tensor that holds
        the result.

        While recording is on (``_recording.get()``) and at least one input requires a gradient, the result
        requires one too, its ``node`` is this instance of ``cls``, and the instance keeps the Tensors as
        ``inputs`` (a tuple, in order) and the result's array as ``_out``. Otherwise nothing is recorded:
        ``node`` stays None, and the instance keeps no inputs.

        Keep the result's array, never the result: a node that holds its own Tensor is a reference cycle, and
        the graph would live until the garbage collector comes round.
        """
        raise NotImplementedError("foundations.computational_graph: TODO 1 of 20, Function.apply")

    @property
    def operands(self) -> tuple:
        """The inputs as `backward` should read them: arrays, or Tensors while a graph of it is built."""
        return self.inputs if _recording.get() else tuple([t.data for t in self.inputs])

    @property
    def output(self) -> Tensor | Array:
        """The result, read like `operands`."""
        return Tensor(self._out, True, node=self) if _recording.get() else self._out

    def needs(self, i: int) -> bool:
        """Whether input ``i`` requires a gradient: what nobody needs, nobody computes."""
        return self.inputs[i].requires_grad


class Tensor:
    """An array that remembers how it was made.

    Attributes:
        data: the array.
        requires_grad: whether gradients with respect to this Tensor are wanted.
        node: the `Function` that made it; None for a leaf.
        grad: None until a backward pass deposits an array of this shape that no one else holds.
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "requires_grad")
    __array_ufunc__ = None  # np.exp(tensor) is a TypeError, not a gradient silently lost

    data: Array
    grad: Array | None
    node: Function | None
    requires_grad: bool

    def __init__(
        self,
        data: object,
        requires_grad: bool = False,
        *,
        dtype: DTypeLike | None = None,
        node: Function | None = None,
    ):
        """Store the four attributes: ``data`` as an array, ``requires_grad``, ``node``, and ``grad`` = None.

        Args:
            data: an array is kept, not copied, and so is an array of another library (anything that has the
                attribute ``__array_function__``). A number, a list, ...: what `np.asarray` makes of it.
            requires_grad: collect dL/d(self) when a backward pass reaches this leaf. Floating point only.
            dtype: convert to it; None keeps what ``data`` has.
            node: what made it, for results.

        Raises:
            TypeError: ``data`` is a Tensor; or ``requires_grad`` with a dtype that is not real floating
                point, and the message names the dtype.
        """
        array: Array = data  # type: ignore[assignment]  # which the next lines make true
        if type(array) is not np.ndarray:
            if isinstance(array, Tensor):
                raise TypeError("data is a Tensor already: use .detach() for one outside the graph")
            if not hasattr(array, "__array_function__"):  # an array of another library stays what it is
                array = np.asarray(array)
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        if requires_grad and array.dtype.kind != "f":
            raise TypeError(f"only real floating-point Tensors can require a gradient, got {array.dtype}: "
                            "pass dtype=float")  # fmt: skip
        self.data, self.grad = array, None
        self.requires_grad, self.node = requires_grad, node

    def backward(self, grad: Array | Tensor | None = None, *, retain_graph: bool = False) -> None:
        """Add dL/d(leaf) to ``leaf.grad`` for each leaf behind self: `foundations.autograd.backward`."""
        from foundations.autograd import backward  # the engine is built on this file

        backward(self, grad, retain_graph=retain_graph)

    def detach(self) -> Tensor:
        """The same array, outside the graph."""
        return Tensor(self.data)

    def item(self) -> float:
        """The value of a Tensor with one element, as a Python number."""
        return self.data.item()

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    size = property(lambda self: self.data.size)
    dtype = property(lambda self: self.data.dtype)
    T = property(lambda self: shaping.transpose(self))

    def __add__(self, other: Operand) -> Tensor:
        return Add.apply(self, other)

    def __sub__(self, other: Operand) -> Tensor:
        return Sub.apply(self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return Sub.apply(other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return Mul.apply(self, other)

    def __truediv__(self, other: Operand) -> Tensor:
        return Div.apply(self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return Div.apply(other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return Pow.apply(self, other)

    def __rpow__(self, other: Operand) -> Tensor:
        return Pow.apply(other, self)

    def __neg__(self) -> Tensor:
        return Neg.apply(self)

    def __matmul__(self, other: Operand) -> Tensor:
        return matmul(self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return matmul(other, self)

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, key: object) -> Tensor:
        return shaping.index(self, key)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return reductions.sum(self, axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return reductions.mean(self, axis, keepdims)

    def var(
        self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, correction: int = 0
    ) -> Tensor:
        return reductions.var(self, axis, keepdims, correction)

    def max(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return reductions.max(self, axis, keepdims)

    def min(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        return reductions.min(self, axis, keepdims)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        return shaping.reshape(self, _unpack(shape))

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        return shaping.transpose(self, _unpack(axes) if axes else None)

    def swapaxes(self, first: int, second: int) -> Tensor:
        return shaping.swapaxes(self, first, second)

    def __lt__(self, other: Operand) -> Array:
        return self.data < as_array(other)  # a comparison has no gradient: a plain array of booleans

    def __le__(self, other: Operand) -> Array:
        return self.data <= as_array(other)

    def __gt__(self, other: Operand) -> Array:
        return self.data > as_array(other)

    def __ge__(self, other: Operand) -> Array:
        return self.data >= as_array(other)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        raise TypeError("NumPy would lose this Tensor's gradient: use .data for its array")

    def __repr__(self) -> str:
        made = ", requires_grad" if self.requires_grad else ""
        if self.node is not None:
            made = f", made by {type(self.node).__name__}"
        return f"Tensor({np.array2string(self.data, precision=4, threshold=20, separator=', ')}{made})"


def as_tensor(x: Operand) -> Tensor:
    """``x`` itself if it is a Tensor, else a leaf that holds it."""
    return x if isinstance(x, Tensor) else Tensor(x)


def as_array(x: Operand) -> Array:
    """The array of a Tensor; anything else as it is."""
    return x.data if isinstance(x, Tensor) else x  # type: ignore[return-value]


def _as_tensors(operands: Sequence[Operand]) -> tuple[Tensor, ...]:
    """Operands, at least one of them a Tensor, as Tensors.

    A Python number takes the dtype and the library of the Tensors beside it: float32 * 2.0 stays float32.
    """
    tensors = []
    for x in operands:
        if isinstance(x, Tensor):
            tensors.append(x)
        elif isinstance(x, (int, float)):
            beside = [t.data for t in operands if isinstance(t, Tensor)]
            kind = (
                1.0 if isinstance(x, float) else 1
            )  # np.float64(x), which is a float too, would widen float32
            dtype = np.result_type(kind, *[array.dtype for array in beside])
            tensors.append(Tensor(np.array(x, dtype, like=beside[0])))
        else:
            tensors.append(Tensor(x))
    return tuple(tensors)


def _unpack(sides: tuple) -> tuple[int, ...]:
    """What f(2, 3) and f((2, 3)) both mean: (2, 3)."""
    return tuple(sides[0]) if len(sides) == 1 and isinstance(sides[0], Sequence) else sides


class BroadcastTo(Function):
    """Stretch x to ``shape``, as NumPy does: new leading axes, sides of 1 repeated."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """Stretch x to ``self.shape``; remember x's own shape. A read-only view will do."""
        raise NotImplementedError("foundations.computational_graph: TODO 2 of 20, BroadcastTo.forward")

    def backward(self, grad: Operand) -> Operand:
        """Each element of x was used in several places: its gradient is the sum over them, `SumTo`."""
        raise NotImplementedError("foundations.computational_graph: TODO 4 of 20, BroadcastTo.backward")


class SumTo(Function):
    """Sum x over the axes that broadcasting from ``shape`` would stretch: the adjoint of `BroadcastTo`."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x: Array) -> Array:
        """Sum x down to ``self.shape`` (`unbroadcast`); remember x's own shape."""
        raise NotImplementedError("foundations.computational_graph: TODO 3 of 20, SumTo.forward")

    def backward(self, grad: Operand) -> Operand:
        """Each element of x went into one sum, with factor 1: its gradient is that sum's, `BroadcastTo`."""
        raise NotImplementedError("foundations.computational_graph: TODO 5 of 20, SumTo.backward")


class Add(Function):
    """a + b, broadcast."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return a + b."""
        raise NotImplementedError("foundations.computational_graph: TODO 6 of 20, Add.forward")

    def backward(self, grad: Operand) -> tuple[Operand, Operand]:
        """Both derivatives are 1. Return gradients of the result's shape: the engine sums them back."""
        raise NotImplementedError("foundations.computational_graph: TODO 7 of 20, Add.backward")


class Neg(Function):
    """-x."""

    def forward(self, x: Array) -> Array:
        """Return -x."""
        raise NotImplementedError("foundations.computational_graph: TODO 8 of 20, Neg.forward")

    def backward(self, grad: Operand) -> Operand:
        """The derivative is -1."""
        raise NotImplementedError("foundations.computational_graph: TODO 9 of 20, Neg.backward")


class Sub(Function):
    """a - b, broadcast."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return a - b."""
        raise NotImplementedError("foundations.computational_graph: TODO 10 of 20, Sub.forward")

    def backward(self, grad: Operand) -> tuple[Operand, Operand | None]:
        """The derivatives are 1 and -1."""
        raise NotImplementedError("foundations.computational_graph: TODO 11 of 20, Sub.backward")


class Mul(Function):
    """a * b, broadcast."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return a * b."""
        raise NotImplementedError("foundations.computational_graph: TODO 12 of 20, Mul.forward")

    def backward(self, grad: Operand) -> tuple[Operand | None, Operand | None]:
        """Each factor's derivative is the other.

        Read the factors from ``self.operands``, never from their data, here and in every rule: only so can
        the gradient itself be differentiated.
        """
        raise NotImplementedError("foundations.computational_graph: TODO 13 of 20, Mul.backward")


class Div(Function):
    """a / b, broadcast."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return a / b."""
        raise NotImplementedError("foundations.computational_graph: TODO 14 of 20, Div.forward")

    def backward(self, grad: Operand) -> tuple[Operand | None, Operand | None]:
        """The derivatives are 1 / b and -a / b**2 = -out / b."""
        raise NotImplementedError("foundations.computational_graph: TODO 15 of 20, Div.backward")


class Pow(Function):
    """a ** b, broadcast."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return a ** b."""
        raise NotImplementedError("foundations.computational_graph: TODO 16 of 20, Pow.forward")

    def backward(self, grad: Operand) -> tuple[Operand | None, Operand | None]:
        """The derivatives are b * a**(b - 1) and a**b * log(a).

        At a = 0 both formulas can yield 0 * inf = NaN where the derivative is finite, and must not:

            by a: 0 where a = 0 and b = 0, since a**0 is 1 everywhere; so is the second derivative of a**1
            by b: 0 where a = 0 and b >= 0: the limit for b > 0, a convention for b = 0

        Change the formulas only there: for b = 0 elsewhere they are right, and so are their derivatives.
        `elementwise.where` and `elementwise.log` take arrays and Tensors. A negative a has no logarithm:
        compute the derivative by b only if it is needed, or x ** 2 of a negative x would warn.
        """
        raise NotImplementedError("foundations.computational_graph: TODO 17 of 20, Pow.backward")


class MatMul(Function):
    """a @ b: (*, n, k) @ (*, k, m) -> (*, n, m), leading axes broadcast."""

    broadcasts = fresh = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return a @ b; both have at least two axes."""
        raise NotImplementedError("foundations.computational_graph: TODO 18 of 20, MatMul.forward")

    def backward(self, grad: Operand) -> tuple[Operand | None, Operand | None]:
        """dL/da = grad @ b^T and dL/db = a^T @ grad, where ^T exchanges the last two axes.

        Arrays and Tensors both have a method ``swapaxes``. Return None for what nobody ``needs``.
        """
        raise NotImplementedError("foundations.computational_graph: TODO 19 of 20, MatMul.backward")


def matmul(a: Operand, b: Operand) -> Tensor:
    """The matrix product; a vector stands for one row (left) or one column (right), as in NumPy.

    Reduce it to `MatMul` of matrices: `shaping.unsqueeze` the vectors, and `shaping.squeeze` what that added.

    Args:
        a: (*, n, k) or (k,).
        b: (*, k, m) or (k,).

    Returns:
        (*, n, m), without n where ``a`` is a vector and without m where ``b`` is: a Tensor, or an array if
        both are arrays.

    Raises:
        ValueError: the inner sizes differ, or an operand is a single number; the message names both shapes.
    """
    raise NotImplementedError("foundations.computational_graph: TODO 20 of 20, matmul")


from foundations import elementwise, reductions, shaping  # noqa: E402  they derive from Function, so they come last
