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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 1 of 8, axis")


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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 2 of 8, normalize")


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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 3 of 8, random_direction")


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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 4 of 8, line")


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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 5 of 8, plane")


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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 6 of 8, interpolate")


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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 7 of 8, barrier")


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
    raise NotImplementedError("dynamics.geometry.landscape: TODO 8 of 8, basins")


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
