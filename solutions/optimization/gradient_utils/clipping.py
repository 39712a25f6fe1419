r"""A speed limit for gradients: one bad batch may not throw the weights across the room.

    by value     g_j <- min(max(g_j, -c), c)                                     bends the direction
    by norm      g   <- g min(1, c / (|g| + 1e-6)),   |g| over all parameters    keeps it
    adaptive     G_i <- G_i min(1, c max(|W_i|, eps) / |G_i|)                    keeps it within a unit

The third measures a gradient by what it acts on. A step should change a unit (a row of weights: what makes
one output) by a small share of its own size, whatever the size of the batch or the scale of the loss.

A norm squares its numbers, and in float32 squares overflow above 1.8e19 and vanish below 1e-23. Divided by
the largest magnitude first, all numbers are at most 1 and one of them is 1.

Everything is in place: the arrays ``p.grad`` stay the same objects, and the weights are only read.

Shapes   any. Units: rows of a matrix (K, D), output channels of a kernel (K, C, R, S), in general one
         for each index of axis 0; a vector or a single number is one unit.
Source   Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, sec. 3.2, algorithm 1 (by norm; the 1e-6 is
         PyTorch's); Brock et al. 2021, arXiv:2102.06171, sec. 4, eq. 3 (adaptive).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite, sqrt

import numpy as np

from foundations.computational_graph import Array, Tensor


def gradients(parameters: Tensor | Iterable[Tensor]) -> list[tuple[Tensor, Array]]:
    """(p, p.grad) for each parameter with a gradient, in their order; one that is given twice comes once.

    Args:
        parameters: one Tensor, or any iterable of them; a generator is run through once.

    Returns:
        A list of pairs; the arrays themselves, not copies.
    """
    given = [parameters] if isinstance(parameters, Tensor) else parameters
    return [(p, p.grad) for p in dict.fromkeys(given) if p.grad is not None]


def norm(x: Array, norm_type: float = 2.0, axis: tuple[int, ...] | None = None) -> Array:
    """(sum |x|^p)^(1/p); for p = inf the largest |x|.

    For p >= 1 nothing over- or underflows on the way. Sums are taken in float64: float16 ends at 65504, and a
    float32 that adds up 100,000 numbers one by one has three digits left.

    Args:
        x: any shape, half, single or double precision.
        norm_type: p > 0.
        axis: what to sum over; None for all axes.

    Returns:
        float64, of x's shape with sides of 1 where it was summed. 0 for no numbers; infinite or NaN where one
        of the numbers is.
    """
    if axis is None and norm_type == 2 and x.dtype.itemsize >= 4:
        with np.errstate(over="ignore"):
            squares = float(np.vdot(x, x))  # one pass by BLAS, right unless squares over- or underflow
        if 1e-20 < squares < inf:
            return np.full((1,) * x.ndim, sqrt(squares))
    size = np.abs(x)
    peak = np.max(size, axis=axis, keepdims=True, initial=0.0)
    if norm_type == inf:
        return peak.astype(np.float64)
    scale = np.where(np.isfinite(peak) & (peak > 0), peak, np.ones_like(peak))
    with np.errstate(over="ignore"):  # beside an infinity nothing is scaled down
        size /= scale
        size **= norm_type
    total = np.sum(size, axis=axis, keepdims=True, dtype=np.float64)
    return scale * total ** (1 / norm_type)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit each number of each gradient to [-clip_value, clip_value], in place. NaN stays NaN.

    Args:
        parameters: one Tensor or an iterable of them; those without gradient are passed over.
        clip_value: >= 0.

    Raises:
        ValueError: clip_value is negative or NaN; the message names it. Nothing was changed then.
    """
    limit = _limit("clip_value", clip_value)
    for _, g in gradients(parameters):
        np.clip(g, -limit, limit, out=g)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients by one factor, min(1, max_norm / (|g| + 1e-6)), in place.

    |g| is the norm of all gradients together, as if they were one vector.

    Args:
        parameters: one Tensor or an iterable of them; those without gradient are passed over, and one that is
            given twice counts once.
        max_norm: >= 0; infinity only measures: nothing is changed then, not even by a norm of inf or NaN.
        norm_type: p of the norm, > 0; ``math.inf`` for the largest magnitude.
        error_if_nonfinite: refuse a norm that is infinite or NaN. Otherwise the factor is 0 or NaN: an
            infinite norm makes finite gradients 0 and infinite ones NaN, a norm of NaN makes all NaN.

    Returns:
        |g| before clipping, a Python float (no NumPy scalar); 0.0 if there are no gradients.

    Raises:
        ValueError: max_norm is negative or NaN, or norm_type is not above 0; the message names it.
        RuntimeError: with ``error_if_nonfinite``, the norm is not finite; the message names the norm (inf or
            nan). Nothing was changed in either case.
    """
    limit = _limit("max_norm", max_norm)
    if not norm_type > 0:
        raise ValueError(f"norm_type must be above 0, got {norm_type}")
    grads = [g for _, g in gradients(parameters)]
    total = norm(np.array([norm(g, norm_type).item() for g in grads]), norm_type).item()  # a norm of norms
    if error_if_nonfinite and not isfinite(total):
        bad = [g.shape for g in grads if not np.all(np.isfinite(g))]
        raise RuntimeError(f"the norm of the gradients is {total}: not finite are those of shape {bad}")
    factor = 1.0 if limit == inf else limit / (total + 1e-6)  # inf / inf is NaN
    if not factor >= 1:  # NaN too
        with np.errstate(invalid="ignore"):  # inf * 0
            for g in grads:
                g *= factor
    return total


def adaptive_clip_grad_(
    parameters: Tensor | Iterable[Tensor], clip_factor: float = 0.01, eps: float = 1e-3
) -> None:
    """Scale the gradient of each unit down to ``clip_factor`` times the norm of its weights, in place.

    A unit is one index of axis 0 where there are at least two axes: a row, an output channel; a vector or a
    single number is one unit. With W_i the weights of a unit and G_i their gradient, both measured by `norm`
    with p = 2, and limit_i = clip_factor * max(|W_i|, eps): where |G_i| > limit_i, multiply G_i by
    limit_i / |G_i|. Other units are left as they are, bit for bit. So a unit with an infinite number becomes
    0, and NaN where it is infinite; a unit with a NaN, which is above no limit, stays as it is.

    Args:
        parameters: one Tensor or an iterable of them; those without gradient are passed over. The authors
            leave out the last layer.
        clip_factor: largest share of its own norm by which a unit may be asked to move, >= 0.
        eps: the least norm that weights are taken to have, >= 0: zeros must be able to grow.

    Raises:
        ValueError: clip_factor or eps is negative or NaN; the message names it. Nothing was changed then.
    """
    clip_factor, eps = _limit("clip_factor", clip_factor), _limit("eps", eps)
    for p, g in gradients(parameters):
        axis = tuple(range(1, p.ndim)) or None
        limit = clip_factor * np.maximum(norm(p.data, axis=axis), eps)  # (K, 1, ..., 1), or all sides 1
        size = norm(g, axis=axis)
        with np.errstate(invalid="ignore"):  # inf * 0
            g *= np.divide(limit, size, out=np.ones_like(size), where=size > limit)


def _limit(name: str, value: float) -> float:
    """``value`` as a Python float, which does not widen float32, and not below 0."""
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0, got {value}")
    return float(value)
