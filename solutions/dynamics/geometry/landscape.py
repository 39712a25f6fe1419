r"""Slices of a loss: its values along a line, over a plane and between two solutions.

    along a line        L(theta + t d)
    over a plane        L(theta + a d_1 + b d_2)
    between two points  L((1 - t) theta_0 + t theta_1)

A loss over P parameters cannot be drawn; what can is cut out of it along directions that somebody chose, and
the choice decides how sharp the picture looks. In a network of ReLUs the weights of one layer can be
multiplied by 10 and those of the next divided by 10: the function is the same, but a step of length 1 means
something else in each layer. Filter normalisation measures steps in units of the weights:

    d_i  <-  d_i |w_i| / |d_i|          for each filter i: the incoming weights w_i of one neuron or channel

If all of a layer's weights are scaled, so are its directions, and the picture stays. If the neurons of a
layer are scaled by different factors it does not: a filter of the next layer then holds weights that were
scaled differently, and one length cannot follow them all.

Shapes   theta and directions (P,): parameter arrays of the given shapes one after another, by rows. A weight
         (C, K) or (C, K, R, S) has C filters. n, na, nb numbers of points.
Source   Li, Xu, Taylor, Studer & Goldstein 2018, "Visualizing the loss landscape of neural nets",
         arXiv:1712.09913, sec. 3-4; Goodfellow, Vinyals & Saxe 2015, arXiv:1412.6544, sec. 2 (interpolation);
         Entezari, Sedghi, Saukh & Neyshabur 2022, arXiv:2110.06296, definition 2.1 (barrier).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

Array: TypeAlias = np.ndarray
Loss: TypeAlias = Callable[[Array], float]

NORMS = ("filter", "layer", "none")


class Basins(NamedTuple):
    """Where the water flows that falls on a plane's cells."""

    labels: Array  # (nb, na), integers: the bottom that each cell drains into
    bottoms: Array  # (k, 2), row and column of each bottom, the lowest first


def axis(radius: float, n: int = 21) -> Array:
    """Space n coordinates evenly from -radius to radius: both ends, and exactly 0 in the middle.

    Args:
        radius: > 0 and finite.
        n: odd, at least 3: of an even number none is the centre.

    Returns:
        (n,), rising.

    Raises:
        ValueError: radius is not positive and finite, or n is even or below 3; the message names it.
    """
    if not 0 < radius < np.inf:
        raise ValueError(f"radius must be positive and finite, got {radius}")
    if n < 3 or n % 2 == 0:
        raise ValueError(f"n must be odd and at least 3, so that the centre is a point, got {n}")
    half = n // 2
    return radius * (np.arange(-half, half + 1) / half)  # divided first: 0 and both ends are exact


def normalize(
    direction: ArrayLike, theta: ArrayLike, shapes: Sequence[tuple[int, ...]], norm: str = "filter"
) -> Array:
    """Give the parts of a direction the lengths of the parts of theta.

    The parts are, of every parameter array with two axes or more, with "filter" each slice along its first
    axis (the row of a Linear's weight, the (K, R, S) of a convolution's), with "layer" the array as a whole.
    A part of length 0, in the direction or in theta, becomes or stays 0. Arrays with one axis or none
    (biases, gains) become 0: a bias of 0 would otherwise forbid what another value allows. With "none" the
    direction stays as it is, biases too.

    Args:
        direction, theta: (P,); only read.
        shapes: of the parameter arrays, in their order in theta; their sizes add up to P.
        norm: "filter", "layer" or "none".

    Returns:
        (P,), a new float64 array.

    Raises:
        ValueError: norm is another word; theta is not (P,) with P the sum of the sizes (the message names its
            shape and P); or direction has another shape than theta (both).
    """
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    theta, size = np.asarray(theta, np.float64), sum(map(prod, shapes))
    if theta.shape != (size,):
        raise ValueError(f"theta has shape {theta.shape}, but the shapes {list(shapes)} make ({size},)")
    d = np.array(direction, np.float64)
    _same_shape("direction", d, theta)
    if norm == "none":
        return d
    at = 0
    for shape in shapes:
        part = slice(at, at + prod(shape))
        at = part.stop
        if len(shape) < 2:
            d[part] = 0.0
            continue
        rows = (shape[0], -1) if norm == "filter" else (1, -1)
        parts, weights = d[part].reshape(rows), theta[part].reshape(rows)
        length = np.linalg.norm(parts, axis=1, keepdims=True)
        length[length == 0] = 1.0  # such a part stays 0
        parts *= np.linalg.norm(weights, axis=1, keepdims=True) / length
    return d


def random_direction(
    theta: ArrayLike, shapes: Sequence[tuple[int, ...]], *, rng: np.random.Generator, norm: str = "filter"
) -> Array:
    """Draw a standard normal number for each parameter, and `normalize`.

    The numbers depend on ``rng`` alone, not on theta: two networks of the same shapes get the same ones from
    generators of the same seed.

    Args:
        theta: (P,); only read.
        shapes, norm: as for `normalize`.
        rng: where the numbers come from.

    Returns:
        (P,), float64.

    Raises:
        ValueError: as `normalize`.
    """
    return normalize(rng.standard_normal(np.shape(theta)), theta, shapes, norm)


def line(loss: Loss, theta: ArrayLike, direction: ArrayLike, ts: ArrayLike) -> Array:
    """Evaluate the loss at theta + t d for each t.

    Args:
        loss: a point (P,) -> a number; gets an array of its own each time. It may be inf or nan.
        theta, direction: (P,); only read.
        ts: (n,), one of them 0, where the value is loss(theta) exactly; `axis` makes such.

    Returns:
        (n,), float64, in the order of ts.

    Raises:
        ValueError: direction has another shape than theta (both are named), or ts is not a vector with a 0.
    """
    theta, d, ts = np.asarray(theta, np.float64), np.asarray(direction, np.float64), _centred("ts", ts)
    _same_shape("direction", d, theta)
    return np.array([float(loss(theta + t * d)) for t in ts])


def plane(
    loss: Loss, theta: ArrayLike, d1: ArrayLike, d2: ArrayLike, a: ArrayLike, b: ArrayLike | None = None
) -> Array:
    """Evaluate the loss at theta + a_j d_1 + b_i d_2 for each i and j.

    Rows belong to b and columns to a, as functions that draw contours take them: contour(a, b, values).
    Where a and b are 0 the value is loss(theta) exactly. d_1 and d_2 need not be orthogonal.

    Args:
        loss: as for `line`.
        theta, d1, d2: (P,); only read.
        a: (na,), coordinates along d1, one of them 0.
        b: (nb,), along d2, one of them 0; None takes a.

    Returns:
        (nb, na), float64: [i, j] is the loss at theta + a[j] d1 + b[i] d2.

    Raises:
        ValueError: d1 or d2 has another shape than theta (both are named); a or b is not a vector with a 0.
    """
    theta, d1, d2 = (np.asarray(x, np.float64) for x in (theta, d1, d2))
    _same_shape("d1", d1, theta)
    _same_shape("d2", d2, theta)
    a = _centred("a", a)
    b = a if b is None else _centred("b", b)
    return np.array([[float(loss(theta + x * d1 + y * d2)) for x in a] for y in b])


def interpolate(loss: Loss, start: ArrayLike, end: ArrayLike, n: int = 21) -> Array:
    """Evaluate the loss on the straight line between two points, both ends included.

    Args:
        loss: as for `line`.
        start, end: (P,); only read.
        n: points, at least 2.

    Returns:
        (n,): at (1 - t) start + t end for t = i / (n - 1), i = 0 ... n - 1; the first is loss(start) and the
        last loss(end), exactly.

    Raises:
        ValueError: start and end have different shapes (both are named), or n is below 2 (it is named).
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    _same_shape("end", end, start)
    if n < 2:
        raise ValueError(f"n must be at least 2, for both ends, got {n}")
    # start + t (end - start) would miss the end by its rounding
    return np.array([float(loss((1 - t) * start + t * end)) for t in np.arange(n) / (n - 1)])


def barrier(values: ArrayLike) -> float:
    """Measure the ridge between two solutions: the most by which the loss exceeds the chord of its ends.

        max over t of  L(t) - ((1 - t) L(0) + t L(1))

    Args:
        values: (n,), n >= 2, of `interpolate`; the ends finite.

    Returns:
        At least 0; 0 for a curve that is nowhere above its chord, nan if a loss on the way is nan, else inf
        if one is inf.

    Raises:
        ValueError: values is not a vector of at least 2; the message names its shape.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or values.size < 2:
        raise ValueError(f"values must be a vector of at least 2, got shape {values.shape}")
    t = np.arange(values.size) / (values.size - 1)
    return float(np.max(values - ((1 - t) * values[0] + t * values[-1])))


def basins(values: ArrayLike) -> Basins:
    """Divide a plane into its basins: from each cell go to the lowest neighbour until none is lower.

    A cell's neighbours are the up to eight around it. Of equally low ones the first in row order is taken; a
    cell without a lower neighbour is a bottom, so that each cell inside a level patch is one of its own.
    Where neighbours belong to two basins, the ridge runs between them.

    Args:
        values: (nb, na) of `plane`; inf is allowed, nan is not.

    Returns:
        labels (nb, na), and the bottoms (k, 2) that they number, both of integers: 0 is the lowest, and of
        equally low ones the first in row order comes first.

    Raises:
        ValueError: values has not two axes (its shape is named), or holds nan.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or np.isnan(values).any():
        raise ValueError(f"values must be (nb, na) without nan, got shape {values.shape}: {values}")
    nb, na = values.shape
    walled = np.pad(values, 1, constant_values=np.inf)
    moves = [(0, 0), *((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)]  # to stay comes first: ties
    around = np.stack([walled[1 + i : 1 + i + nb, 1 + j : 1 + j + na] for i, j in moves])  # (9, nb, na)
    steps = np.array([i * na + j for i, j in moves])[around.argmin(0)].ravel()
    goal = np.arange(nb * na) + steps
    while (goal[goal] != goal).any():
        goal = goal[goal]  # twice as far each time
    bottoms = np.unique(goal)
    bottoms = bottoms[np.argsort(values.ravel()[bottoms], kind="stable")]
    number = np.zeros(nb * na, int)
    number[bottoms] = np.arange(bottoms.size)
    return Basins(number[goal].reshape(nb, na), np.stack(np.divmod(bottoms, na), axis=1))


def _same_shape(name: str, x: Array, theta: Array) -> None:
    """Raise unless x belongs to the space of theta."""
    if x.shape != theta.shape:
        raise ValueError(f"{name} has shape {x.shape}, expected {theta.shape} like the point it belongs to")


def _centred(name: str, coordinates: ArrayLike) -> Array:
    """The coordinates as a vector, if the centre is among them."""
    x = np.asarray(coordinates, np.float64)
    if x.ndim != 1 or not (x == 0).any():
        raise ValueError(f"{name} must be a vector with a 0, the centre (`axis` makes one), got {x}")
    return x
