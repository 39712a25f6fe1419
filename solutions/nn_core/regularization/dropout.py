r"""Trust no single unit: in training, switch each one off by a coin of its own; in use, keep them all.

    y_i = x_i r_i / (1 - p),    r_i = 0 with probability p, else 1        training
    y_i = x_i                                                             evaluation

Dividing what is kept by 1 - p leaves the expectation alone, E[y_i] = x_i, so evaluation needs no correction
(dropout *inverted*: the first papers scaled the weights afterwards). What it adds is noise:
Var[y_i] = x_i^2 p / (1 - p).

The mask is drawn once a forward pass and is a constant from then on. Multiplication by it is a diagonal
matrix, its own transpose: the gradient goes through the same mask with the same factor, to every order.
A mask of booleans takes one byte an element and leaves the dtype of what it multiplies alone.

Neighbours in a feature map carry nearly the same number, so that one of them dropped is hardly missed:
channel dropout switches off whole channels.

Shapes   any; channel dropout (N, C, *), with one coin for each (n, c).
Source   Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting",
         JMLR 15, sec. 4 (the model), sec. 10 (the factor, and the variance of the noise);
         Tompson et al. 2015, arXiv:1411.4280, sec. 3.2 (channels).
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Array, Function, Operand, Tensor, as_tensor
from nn_core.module import Module


class DropoutFunction(Function):
    """x times a constant mask, times a constant number. For finite x: 0 * inf is NaN, and left open here.

    Args:
        keep: booleans that broadcast to the shape of x: False is dropped.
        scale: the factor of what is kept, a Python float: a NumPy one would widen float32.
    """

    def __init__(self, keep: Array, scale: float):
        self.keep, self.scale = keep, scale

    def forward(self, x: Array) -> Array:
        """Return scale * x where kept, 0 elsewhere."""
        y = x * self.keep
        y *= self.scale
        return y

    def backward(self, grad):
        """Return scale * grad where x was kept, 0 elsewhere: the mask of the forward pass, not its zeros.

        A kept x of 0 has a gradient. ``grad`` stays as it is: others may read it too.
        """
        return grad * self.keep * self.scale


def probability(p: float) -> float:
    """p as a Python float.

    Raises:
        ValueError: p is outside [0, 1] or NaN; the message names it.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p, the probability of being dropped, must be in [0, 1], got {p}")
    return float(p)


def keep_mask(shape: tuple[int, ...], p: float, *, rng: np.random.Generator) -> Array:
    """Toss a coin for each element: False (dropped) with probability p, True otherwise, all independent.

    Args:
        shape: of the mask.
        p: in [0, 1], kept to 1e-6 or better: coarse coins (float16, a byte) would round 0.001. Never False
            for 0, never True for 1, whatever is drawn from [0, 1), which includes 0.0.
        rng: where the coins come from.

    Returns:
        Booleans of that shape.
    """
    return rng.random(shape, dtype=np.float32) >= p  # in [0, 1): 0 drops nothing, 1 everything


def drop(x: Tensor, keep: Array, p: float) -> Tensor:
    """Return x / (1 - p) where kept and 0 elsewhere: one `DropoutFunction`.

    Args:
        x: any shape.
        keep: NumPy booleans that broadcast to the shape of x.
        p: the probability with which ``keep`` is False, a Python float in [0, 1]; for 1, where ``keep`` is
            False everywhere, the result is all 0.

    Returns:
        The shape and dtype of x.
    """
    scale = 1 / (1 - p) if p < 1 else 0.0
    return DropoutFunction.apply(x, keep=np.asarray(keep, like=x.data), scale=scale)  # in the library of x


def dropout(x: Operand, p: float = 0.5, training: bool = True, *, rng: np.random.Generator) -> Tensor:
    """In training, zero each element of x with probability p and divide the others by 1 - p.

    Args:
        x: any shape, floating point.
        p: the probability of being dropped, in [0, 1]; with 1 all of the result is 0.
        training: False returns x itself, as a Tensor where it is an array, and draws nothing from ``rng``.
        rng: where the mask comes from, a new one in every call. Whether anything is drawn for p of 0 or 1 is
            open.

    Returns:
        The shape and dtype of x: float32 stays float32, even if p is a NumPy float64.

    Raises:
        ValueError: p is outside [0, 1] or NaN; the message names it.
    """
    x, p = as_tensor(x), probability(p)
    return drop(x, keep_mask(x.shape, p, rng=rng), p) if training else x


def channel_dropout(x: Operand, p: float = 0.5, training: bool = True, *, rng: np.random.Generator) -> Tensor:
    """In training, zero each channel of each example with probability p and divide the others by 1 - p.

    Args:
        x: (N, C, *), floating point: all numbers of one (n, c) are dropped together or kept together.
        p, training, rng: as in `dropout`.

    Returns:
        The shape and dtype of x.

    Raises:
        ValueError: p is outside [0, 1] or NaN (the message names it), or x has fewer than two axes (it names
            the shape): in training and outside.
    """
    x, p = as_tensor(x), probability(p)
    if x.ndim < 2:
        raise ValueError(f"channel_dropout expects x (N, C, *), got {x.shape}")
    coins = x.shape[:2] + (1,) * (x.ndim - 2)  # (N, C, 1, ..., 1)
    return drop(x, keep_mask(coins, p, rng=rng), p) if training else x


class Dropout(Module):
    """`dropout` as a layer: active in training, the identity after ``eval()``.

    Args:
        p: the probability of being dropped, in [0, 1].
        rng: where the masks come from. Kept, not copied: every call moves it on, and layers that share one
            draw different masks. It is no part of ``state_dict``.

    Attributes:
        p: a Python float.
        rng: the generator that was given, the very object.

    Raises:
        ValueError: p is outside [0, 1] or NaN; the message names it.
    """

    def __init__(self, p: float = 0.5, *, rng: np.random.Generator):
        super().__init__()
        self.p, self.rng = probability(p), rng

    def forward(self, x: Operand) -> Tensor:
        """x of any shape -> `dropout` of x if ``self.training``, else x."""
        return dropout(x, self.p, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout1d(Dropout):
    """`channel_dropout` as a layer, for sequences (N, C, T). Args and raises as `Dropout`."""

    axes = ("N", "C", "T")

    def forward(self, x: Operand) -> Tensor:
        """x with as many axes as ``self.axes`` -> `channel_dropout` of x if ``self.training``, else x.

        Raises:
            ValueError: x has another number of axes, in training or not; the message names its shape.
        """
        x = as_tensor(x)
        if x.ndim != len(self.axes):
            raise ValueError(f"{type(self).__name__} expects x ({', '.join(self.axes)}), got {x.shape}")
        return channel_dropout(x, self.p, self.training, rng=self.rng)


class Dropout2d(Dropout1d):
    """`channel_dropout` as a layer, for images (N, C, H, W). Args and raises as `Dropout`."""

    axes = ("N", "C", "H", "W")  # type: ignore[assignment]
