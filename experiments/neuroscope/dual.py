r"""Numbers with a tangent: run a gradient on them, and the tangent of the result is a Hessian times a vector.

    theta = (theta, v)        (a, a') (b, b') = (a b, a' b + a b')        grad L (theta, v) = (grad L, H v)

Forward mode over reverse, exact, for whatever the gradient is made of: no graph, no difference quotient with
its step to choose. Beside NumPy's arrays the parts may be those of any library that NumPy's functions accept.

Source   Pearlmutter 1994, "Fast exact multiplication by the Hessian", sec. 3 (R{.}); Griewank & Walther 2008,
         Evaluating Derivatives, sec. 5.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray
Function: TypeAlias = Callable[[Array], Array]


class Dual:
    """An array, and the direction in which it moves.

    Attributes:
        value: any shape.
        tangent: of the same shape.
    """

    __array_ufunc__ = None  # an array on the left leaves the operation to us

    def __init__(self, value: Array, tangent: Array):
        self.value, self.tangent = value, tangent

    @property
    def shape(self) -> tuple[int, ...]:
        """That of both parts."""
        return self.value.shape

    @property
    def T(self) -> Dual:
        """Transposed."""
        return Dual(self.value.T, self.tangent.T)

    def __getitem__(self, key: object) -> Dual:
        return Dual(self.value[key], self.tangent[key])  # type: ignore[index]

    def reshape(self, *shape: int) -> Dual:
        """Both parts in another shape."""
        return Dual(self.value.reshape(*shape), self.tangent.reshape(*shape))

    def sum(self, axis: int | None = None) -> Dual:
        """Both parts summed."""
        return Dual(self.value.sum(axis), self.tangent.sum(axis))

    def __add__(self, other: Dual | Array | float) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.tangent + other.tangent)
        return Dual(self.value + other, self.tangent)

    __radd__ = __add__

    def __sub__(self, other: Dual | Array | float) -> Dual:
        return self + -1.0 * other

    def __mul__(self, other: Dual | Array | float) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value * other.value, self.tangent * other.value + self.value * other.tangent)
        return Dual(self.value * other, self.tangent * other)

    __rmul__ = __mul__

    def __matmul__(self, other: Dual | Array) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value @ other.value, self.tangent @ other.value + self.value @ other.tangent)
        return Dual(self.value @ other, self.tangent @ other)

    def __rmatmul__(self, other: Array) -> Dual:
        return Dual(other @ self.value, other @ self.tangent)


def value(x: Dual | Array) -> Array:
    """The array, without its tangent."""
    return x.value if isinstance(x, Dual) else x


def piecewise(x: Dual | Array, function: Function, slope: Function) -> Dual | Array:
    """``function(x)``, element by element; ``slope`` is its derivative wherever it has one."""
    if isinstance(x, Dual):
        return Dual(function(x.value), slope(x.value) * x.tangent)
    return function(x)


def concatenate(parts: list[Dual | Array]) -> Dual | Array:
    """Arrays, or Duals, laid out in one vector."""
    if isinstance(parts[0], Dual):
        values = np.concatenate([p.value.reshape(-1) for p in parts])  # type: ignore[union-attr]
        return Dual(values, np.concatenate([p.tangent.reshape(-1) for p in parts]))  # type: ignore[union-attr]
    return np.concatenate([p.reshape(-1) for p in parts])
