r"""Many units, one signal: how credit divides over a population and meets again at what its units share.

    r = tanh(W s + b)        y = sum_k r_k   or   mean_k r_k
    dy/dr_k = 1 or 1 / K     dy/dW = d s^T   dy/db = d   dy/ds = W^T d       d_k = dy/dr_k (1 - r_k^2)

A unit's weights get credit from that unit alone; the signal gets the sum over all of them. With K equal units
the gradient of the sum is K times that of one unit, and that of the mean is one unit's whatever K: the factor
says how the readout is scaled, not how well the population codes. What tells a code's quality compares the
gradient with the noise of the readout. With independent noise of standard deviation sigma in each unit,

    information = (dy/ds)^2 / var(y) = (w . r')^2 / (sigma^2 w . w)        y = w . r,  r' = dr/ds

is the same for sum and mean, among K equal units K times that of one, and largest, at
r' . r' / sigma^2, for w ~ r'.

Shapes   s (D,) the signal, W (K, D), b and r (K,), y a number.
Source   Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors", Nature 323;
         Petersen & Pedersen 2012, The Matrix Cookbook, eq. 70 (d a^T X b / dX = a b^T);
         Dayan & Abbott 2001, Theoretical Neuroscience, sec. 3.3 (Fisher information of a population).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from foundations.autograd import grad
from foundations.computational_graph import Array, Function, Operand, Tensor, as_array
from foundations.elementwise import tanh


class MatVec(Function):
    """A x: (K, D), (D,) -> (K,)."""

    fresh = True

    def forward(self, A: Array, x: Array) -> Array:
        """Return A x."""
        raise NotImplementedError("dynamics.credit.population_node: TODO 1 of 9, MatVec.forward")

    def backward(self, grad: Tensor | Array) -> tuple[Operand | None, Operand | None]:
        """dL/dA = grad x^T, (K, D), and dL/dx = A^T grad, (D,), from ``self.operands``.

        Use what arrays and Tensors both have (operators, ``reshape``, ``swapaxes``), so that the gradient can
        be differentiated again. Return None for an operand that needs no gradient (``self.needs``).
        """
        raise NotImplementedError("dynamics.credit.population_node: TODO 2 of 9, MatVec.backward")


def matvec(A: Operand, x: Operand) -> Tensor:
    """Multiply a matrix and a vector by `MatVec`; gradients reach both.

    Args:
        A: (K, D), Tensor or array.
        x: (D,), Tensor or array.

    Returns:
        (K,), a Tensor, or an array if both are arrays.

    Raises:
        ValueError: A is not a matrix, x not a vector, or D differs; the message names both shapes.
    """
    raise NotImplementedError("dynamics.credit.population_node: TODO 3 of 9, matvec")


def population(signal: Operand, weights: Operand, bias: Operand = 0.0) -> Tensor:
    """Give the responses of K units to one signal, tanh(W s + b).

    Args:
        signal: s, (D,), Tensor or array, as the others.
        weights: W, (K, D).
        bias: b, (K,), or a number for all.

    Returns:
        r, (K,), a Tensor, or an array if nothing is a Tensor.

    Raises:
        ValueError: as `matvec`.
    """
    raise NotImplementedError("dynamics.credit.population_node: TODO 4 of 9, population")


def reduce(responses: Tensor, how: str = "sum") -> Tensor:
    """Read one number, of shape (), out of a Tensor of responses.

    Args:
        responses: (K,), or of any other shape: all of its numbers count.
        how: "sum" or "mean".

    Raises:
        ValueError: ``how`` is something else; the message names it.
    """
    raise NotImplementedError("dynamics.credit.population_node: TODO 5 of 9, reduce")


class Credit(NamedTuple):
    """What a readout y owes to everything behind it, as arrays: dy/dr, dy/dW, dy/db and dy/ds."""

    responses: Array  # (K,)
    weights: Array  # (K, D)
    bias: Array  # (K,)
    signal: Array  # (D,)


def credit(signal: ArrayLike, weights: ArrayLike, bias: ArrayLike, how: str = "sum") -> Credit:
    """Differentiate the readout of a population by its responses, weights, biases and signal.

    Build the graph from new leaves, by `population` and `reduce`, and ask `foundations.autograd.grad` for all
    four gradients: it takes intermediate results, such as the responses, as well as leaves.

    Args:
        signal: s, (D,).
        weights: W, (K, D).
        bias: b, (K,).
        how: "sum" or "mean".

    Returns:
        Four arrays, float64.

    Raises:
        ValueError: as `matvec` and `reduce`.
    """
    raise NotImplementedError("dynamics.credit.population_node: TODO 6 of 9, credit")


def information(slopes: ArrayLike, readout: ArrayLike, noise: float) -> float:
    """Tell how precisely a noisy linear readout y = w . r follows the signal: (dy/ds)^2 / var(y).

    The inverse is the variance of the signal that is estimated from one reading of y, for small changes.

    Args:
        slopes: dr/ds of each unit, (K,).
        readout: w, (K,), not all 0: ones for the sum, 1 / K each for the mean.
        noise: standard deviation of the noise in each unit, independent of the others, > 0.

    Returns:
        (w . r')^2 / (noise^2 w . w).

    Raises:
        ValueError: slopes and readout are not vectors of equal length (the message names both shapes), the
            readout is 0 everywhere (it names the readout), or the noise is not positive (it names the noise).
    """
    raise NotImplementedError("dynamics.credit.population_node: TODO 7 of 9, information")


def nested(x: Tensor, depth: int) -> Tensor:
    """Apply tanh ``depth`` times, elementwise: tanh(... tanh(x)); x itself for depth 0."""
    raise NotImplementedError("dynamics.credit.population_node: TODO 8 of 9, nested")


def experiments() -> dict[str, float | Array]:
    """Measure on graphs how credit flows through small circuits: eight experiments by name.

    Returns:
        tanh             dy/dx of tanh(x) at 0.5
        chain            dy/dx of 8 nested tanh at 0.5
        saturated chain  the same at 4.5
        shared           (3,), the gradient of the sum of x * x + x at x = [1, 2, 3]
        sum              dy/ds of 4 units, each tanh(s), summed, at s = 0.5
        mean             the same, averaged
        even             the sum of the three derivatives of sum tanh(x) at x = [1, 1, 1]
        outlier          the same at x = [1, 1, 3]

        All are Python floats but ``shared``, an array.
    """
    raise NotImplementedError("dynamics.credit.population_node: TODO 9 of 9, experiments")
