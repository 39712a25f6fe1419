"""An array that is not NumPy's: what code must not convert if it is to run on another library's arrays.

`Duck` takes every NumPy function and operator (NEP 13 and 18), as the arrays of GPU libraries do, and counts
how often it is turned into an ndarray. `flows` drives an operation with ducks, forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from curriculum.testing import expect


class Duck(np.lib.mixins.NDArrayOperatorsMixin):
    """An ndarray in disguise.

    Attributes:
        array: what it holds.
        conversions: how often any duck was converted to an ndarray.
    """

    conversions = 0

    def __init__(self, array: np.ndarray):
        self.array = np.asarray(array)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        Duck.conversions += 1
        return np.array(self.array, dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **kwargs):
        result = getattr(ufunc, method)(
            *_bare(inputs), **_bare(kwargs), **({"out": _bare(out)} if out else {})
        )
        return out[0] if out else _disguised(result)

    def __array_function__(self, function, types, args, kwargs):
        return _disguised(function(*_bare(args), **_bare(kwargs)))

    def __getattr__(self, name: str):
        """The attributes and methods of an ndarray, whose results are ducks again."""
        if name.startswith("__") or name == "array":
            raise AttributeError(name)
        found = getattr(self.array, name)
        if not callable(found):
            return _disguised(found)
        return lambda *args, **kwargs: _disguised(found(*_bare(args), **_bare(kwargs)))

    def __getitem__(self, key):
        return _disguised(self.array[_bare(key)])

    def __setitem__(self, key, value) -> None:
        self.array[_bare(key)] = _bare(value)

    def __len__(self) -> int:
        return len(self.array)

    def __bool__(self) -> bool:
        return bool(self.array)


def flows(fn: Callable, *arrays: np.ndarray, engine: Callable, what: str) -> np.ndarray:
    """Check that ``fn`` and its gradients, first and second, run on ducks as on arrays, with no conversion.

    Args:
        fn: Tensors in, one Tensor out, which depends on every input.
        arrays: where to run it.
        engine: the `grad` to use.
        what: names the operation in a message.

    Returns:
        The value of the result, an ndarray.
    """
    __tracebackhide__ = True
    before = Duck.conversions
    disguised = _run(fn, [Duck(a) for a in arrays], engine)
    conversions = Duck.conversions - before
    if conversions:
        raise AssertionError(
            f"{what} converts another library's array to NumPy's\n"
            f"  {conversions} conversions, forward and backward, expected none: is there an np.asarray, or an"
            " array from np.zeros, np.empty or np.full that its numbers are written into?"
            " Allocate with np.empty_like(x, shape=...)"
        )
    for (label, got), (_, want) in zip(disguised, _run(fn, list(arrays), engine), strict=True):
        if not isinstance(got, Duck):
            raise AssertionError(
                f"{label} of {what} is no longer an array of the library it came from\n"
                f"  {expect.describe(got)}, expected a Duck: use operators, methods and np. functions"
            )
        expect.close(got.array, np.asarray(want), f"{label} of {what} on another library's array")
    return disguised[0][1].array  # type: ignore[attr-defined]


def _run(fn: Callable, arrays: list, engine: Callable) -> list[tuple[str, object]]:
    """Every array that one use of ``fn`` yields, with its name: the result, first and second gradients."""
    from foundations.computational_graph import Tensor

    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    y = fn(*tensors)
    cotangent = np.random.default_rng(0).standard_normal(y.shape)
    cotangent = Duck(cotangent) if isinstance(arrays[0], Duck) else cotangent
    found = [("the result", y.data)]
    found += [("a gradient", g.data) for g in engine(y, tensors, cotangent)]
    for g in engine(fn(*tensors), tensors, cotangent, create_graph=True):
        found.append(("a gradient", g.data))
        if g.requires_grad:
            seconds = engine(g, tensors, np.ones_like(g.data), create_graph=True)
            found += [("a second derivative", second.data) for second in seconds]
    return found


def _bare(x):
    """``x`` with every duck in it undressed."""
    if isinstance(x, Duck):
        return x.array
    if type(x) in (tuple, list):
        return type(x)(_bare(item) for item in x)
    return {name: _bare(item) for name, item in x.items()} if type(x) is dict else x


def _disguised(x):
    """``x``, or each item of a tuple of arrays, dressed as a duck if it is an array."""
    if isinstance(x, (np.ndarray, np.generic)):
        return Duck(x)
    if type(x) is tuple and any(isinstance(item, np.ndarray) for item in x):
        return tuple(_disguised(item) for item in x)
    return x
