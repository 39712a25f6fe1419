"""Hypothesis strategies for arrays: shapes, axes, broadcastable groups, values that stay clear of trouble."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


def shapes(min_dims: int = 1, max_dims: int = 3, min_side: int = 1, max_side: int = 4):
    """Shapes as tuples."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def seeds():
    """Seeds for `numpy.random.default_rng`: one draw gives a whole array, and shrinks fast."""
    return st.integers(0, 2**32 - 1)


@st.composite
def arrays(draw, shape=None, low: float = -3.0, high: float = 3.0, dtype=np.float64):
    """Arrays of uniform values in [low, high]; ``shape`` a tuple, a strategy of tuples, or None for any."""
    shape = shapes() if shape is None else shape
    shape = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    return np.random.default_rng(draw(seeds())).uniform(low, high, shape).astype(dtype)


@st.composite
def broadcastable(draw, n: int = 2, max_dims: int = 3, max_side: int = 4):
    """``n`` shapes that broadcast together."""
    full = draw(shapes(0, max_dims, 1, max_side))
    out = []
    for _ in range(n):
        kept = full[len(full) - draw(st.integers(0, len(full))) :]
        out.append(tuple(1 if draw(st.booleans()) else side for side in kept))
    return tuple(out)


def axes(ndim: int):
    """What a reduction over ``ndim`` axes may be asked for: None, an int, a tuple of ints, also negative."""
    one = st.integers(-ndim, ndim - 1)
    many = st.sets(st.integers(0, ndim - 1), min_size=1, max_size=ndim).flatmap(
        lambda chosen: st.tuples(*[st.sampled_from([a, a - ndim]) for a in sorted(chosen)])
    )
    return st.one_of(st.none(), one, many) if ndim else st.none()
