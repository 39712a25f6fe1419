r"""Operations that treat each number alone, so that the Jacobian is diagonal and the rule is one product.

    y = f(x)        dL/dx = f'(x) * dL/dy

Where f' is cheaper in terms of y (exp, sqrt, tanh), the rule reads the output: it was computed anyway.
Where f has a kink (abs, maximum, clip), a subgradient is chosen and named; a mask is constant, so the second
derivative is zero, as it is almost everywhere.

Shapes   any; maximum, minimum and where broadcast.
Source   Griewank & Walther 2008, Evaluating Derivatives, 2nd ed., table 2.3;
         Boyd & Vandenberghe 2008, "Subgradients" (notes for EE364b), sec. 1 and 3.4 (maximum).
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor


class Exp(Function):
    """exp(x)."""

    def forward(self, x: Array) -> Array:
        """Return exp(x)."""
        return np.exp(x)

    def backward(self, grad: Operand) -> Operand:
        """exp is its own derivative, and ``self.output`` holds it already."""
        return grad * self.output


class Log(Function):
    """The natural logarithm."""

    def forward(self, x: Array) -> Array:
        """Return log(x)."""
        return np.log(x)

    def backward(self, grad: Operand) -> Operand:
        """The derivative is 1 / x."""
        (x,) = self.operands
        return grad / x


class Sqrt(Function):
    """The square root."""

    def forward(self, x: Array) -> Array:
        """Return sqrt(x)."""
        return np.sqrt(x)

    def backward(self, grad: Operand) -> Operand:
        """The derivative is 1 / (2 sqrt(x)), infinite at 0."""
        return grad * 0.5 / self.output


class Tanh(Function):
    """The hyperbolic tangent."""

    def forward(self, x: Array) -> Array:
        """Return tanh(x), which is 1 or -1 far out, never NaN."""
        return np.tanh(x)

    def backward(self, grad: Operand) -> Operand:
        """The derivative is 1 - tanh(x)**2, and ``self.output`` holds the tanh already."""
        y = self.output
        return grad * (1.0 - y * y)


class Abs(Function):
    """|x|."""

    def forward(self, x: Array) -> Array:
        """Return |x|."""
        self.sign = np.sign(x)
        return np.abs(x)

    def backward(self, grad: Operand) -> Operand:
        """The derivative is the sign of x, and 0 at 0."""
        return grad * self.sign


class Maximum(Function):
    """The larger of a and b, broadcast."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return the larger of a and b at each place."""
        self.share = _share(a > b, a == b, np.result_type(a, b))
        return np.maximum(a, b)

    def backward(self, grad: Operand) -> tuple[Operand, Operand]:
        """The gradient goes to the larger one, and half of it to each where they are equal."""
        return grad * self.share, grad * (1.0 - self.share)


class Minimum(Function):
    """The smaller of a and b, broadcast."""

    broadcasts = True

    def forward(self, a: Array, b: Array) -> Array:
        """Return the smaller of a and b at each place."""
        self.share = _share(a < b, a == b, np.result_type(a, b))
        return np.minimum(a, b)

    def backward(self, grad: Operand) -> tuple[Operand, Operand]:
        """The gradient goes to the smaller one, and half of it to each where they are equal."""
        return grad * self.share, grad * (1.0 - self.share)


class Where(Function):
    """a where ``condition`` holds, b elsewhere; all three broadcast.

    The condition is a plain array of booleans: it has no gradient.
    """

    broadcasts = True

    def __init__(self, condition: Array):
        self.condition = condition

    def forward(self, a: Array, b: Array) -> Array:
        """Return a where ``self.condition`` holds and b elsewhere."""
        return np.where(self.condition, a, b)

    def backward(self, grad: Operand) -> tuple[Operand, Operand]:
        """The gradient goes to the one that was chosen, and 0 to the other.

        Choose with `where`, do not multiply by 0: an infinite or NaN gradient must stay on its side.
        """
        return where(self.condition, grad, 0.0), where(self.condition, 0.0, grad)


class Clip(Function):
    """x limited to [low, high]."""

    def __init__(self, low: float | None, high: float | None):
        self.low, self.high = low, high

    def forward(self, x: Array) -> Array:
        """Return x limited to [``self.low``, ``self.high``]; None leaves that side open."""
        y = np.clip(x, self.low, self.high)
        self.inside = x == y
        return y

    def backward(self, grad: Operand) -> Operand:
        """The derivative is 1 inside, both ends included, and 0 outside."""
        return grad * self.inside


def exp(x: Operand) -> Tensor:
    """e to the power x, element by element; x of any shape."""
    return Exp.apply(x)


def log(x: Operand) -> Tensor:
    """The natural logarithm, element by element; x > 0 of any shape."""
    return Log.apply(x)


def sqrt(x: Operand) -> Tensor:
    """The square root, element by element; x >= 0 of any shape. The gradient at 0 is infinite."""
    return Sqrt.apply(x)


def tanh(x: Operand) -> Tensor:
    """The hyperbolic tangent, element by element; x of any shape."""
    return Tanh.apply(x)


def abs(x: Operand) -> Tensor:
    """The absolute value, element by element; x of any shape."""
    return Abs.apply(x)


def maximum(a: Operand, b: Operand) -> Tensor:
    """The larger of two operands, element by element, broadcast."""
    return Maximum.apply(a, b)


def minimum(a: Operand, b: Operand) -> Tensor:
    """The smaller of two operands, element by element, broadcast."""
    return Minimum.apply(a, b)


def where(condition: Array, a: Operand, b: Operand) -> Tensor:
    """``a`` where ``condition``, an array of booleans, holds, ``b`` elsewhere; all three broadcast."""
    return Where.apply(a, b, condition=condition)


def clip(x: Operand, low: float | None = None, high: float | None = None) -> Tensor:
    """x limited to [low, high], numbers; None leaves that side open. The dtype of the limits does not count.

    Raises:
        ValueError: both limits are None, or low > high; the message names both.
    """
    if low is None and high is None:
        raise ValueError("clip needs low, high or both, got None and None")
    if low is not None and high is not None and low > high:
        raise ValueError(f"clip needs low <= high, got low={low} and high={high}")
    return Clip.apply(x, low=_number(low), high=_number(high))


def _number(limit: float | None) -> float | None:
    """A NumPy number as Python's: an np.float64 would make float64 of a float32 array."""
    return limit.item() if isinstance(limit, np.generic) else limit


def _share(first: Array, tie: Array, dtype: np.dtype) -> Array:
    """The part of the gradient that the first operand gets: 1, 0, or 0.5 on a tie; a float32 stays one."""
    return (first + 0.5 * tie).astype(dtype)
