r"""Linear regions: a ReLU network is a sheet folded along straight lines, and folds of folds multiply.

    z_l = W_l h_(l-1) + b_l        h_l = max(z_l, 0)

Between two folds every unit is either on or off and the network is affine. On a line of inputs all folds can
be found exactly, layer by layer: where h_(l-1) is known as values at knots and slopes between them, so is
z_l, and a unit of layer l folds the line where its z_l passes through 0, at most once in each piece:

    between knots  x_i - z_i (x_(i+1) - x_i) / (z_(i+1) - z_i)        on the two rays  x_i - z_i / slope

With one hidden layer that is -b / w for each unit. Sampling cannot do this: it misses every piece that is
narrower than its grid. A layer of n units cuts each piece into n + 1 at most, so that depth multiplies:
(n_1 + 1) (n_2 + 1) ... at most. A tent, up and down, of two units, composed L times, has 2^L pieces.

A region of activation is where no unit switches; a linear region is where the function has no kink. They
differ where nobody listens to a unit: its fold is in the network and not in the function.

Shapes   B folds on the line, B + 1 pieces; K outputs; U units with ReLU, of all layers; X (N, N_0).
Source   Montufar et al. 2014, arXiv:1402.1869, sec. 2-3; Telgarsky 2016, arXiv:1602.04485, sec. 2 (tents);
         Hanin & Rolnick 2019, arXiv:1901.09021 (about as many folds on a line as there are units).
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.credit.mlp_backprop import Spec, flatten, forward, unflatten

Array = np.ndarray

ROUNDING = 1e-12  # relative: what differs by less may be equal but for rounding
STRAIGHT = 1e-9  # of the largest slope: a kink by less is none


class Folds(NamedTuple):
    """A function of one number, piece by piece: slopes[i] x + offsets[i] between x[i - 1] and x[i]."""

    x: Array  # (B,), rising: where a unit switches
    layer: Array  # (B,), integers from 1: of the first layer with such a unit
    slopes: Array  # (B + 1, K)
    offsets: Array  # (B + 1, K)


def fold_1d(theta: Array, spec: Spec) -> Folds:
    """Find every place where a unit of a network with one input switches, and the pieces between.

    A unit is on where its z > 0, so that one that touches 0 and turns back does not switch. Folds nearer to
    each other than 1e-12 max(1, |x|) count as one. A z, or slope of z, below 1e-12 of the sum of the sizes
    of its terms is 0: by rounding alone, a unit that should rest at 0 would switch anywhere.

    Args:
        theta: (P,).
        spec: one input; each activation "relu" or "linear". A ReLU at the output folds, too.

    Returns:
        The folds on the whole line; B may be 0.

    Raises:
        ValueError: the network has several inputs (their number is named) or another activation (it is
            named), or theta has another shape than (P,) (both are named).
    """
    raise NotImplementedError("dynamics.geometry.linear_regions: TODO 4 of 7, fold_1d")


def breakpoints_1d(theta: Array, spec: Spec, low: float = -inf, high: float = inf) -> Array:
    """Give the kinks of the function: the folds at which the slope of some output changes.

    By less than 1e-9 of the largest slope of all pieces, it does not change.

    Args:
        theta, spec: as for `fold_1d`.
        low, high: only kinks strictly between the two.

    Returns:
        (B,), rising.

    Raises:
        ValueError: as `fold_1d`, or low is not below high; the message names both.
    """
    raise NotImplementedError("dynamics.geometry.linear_regions: TODO 5 of 7, breakpoints_1d")


def count_regions_1d(theta: Array, spec: Spec, low: float = -inf, high: float = inf) -> int:
    """Count the linear regions between low and high: the kinks between them, and one; as `breakpoints_1d`."""
    raise NotImplementedError("dynamics.geometry.linear_regions: TODO 6 of 7, count_regions_1d")


def patterns(theta: Array, spec: Spec, X: ArrayLike) -> Array:
    """Tell which units are on, z > 0, for each input.

    Args:
        theta: (P,).
        spec: each activation "relu" or "linear", any number of inputs.
        X: (N, N_0).

    Returns:
        (N, U), bool: the units of the layers with ReLU, first layer first.

    Raises:
        ValueError: another activation (it is named), or as `forward`.
    """
    raise NotImplementedError("dynamics.geometry.linear_regions: TODO 2 of 7, patterns")


def count_patterns(theta: Array, spec: Spec, X: ArrayLike) -> int:
    """Count the different patterns among inputs: regions of activation that were met, each of them once.

    No more than there are inputs, whatever the network: a lower bound. Arguments and errors as `patterns`.
    """
    raise NotImplementedError("dynamics.geometry.linear_regions: TODO 3 of 7, count_patterns")


def on_segment(theta: Array, spec: Spec, start: ArrayLike, end: ArrayLike) -> tuple[Array, Spec]:
    """Restrict a network to the line start + t (end - start): a network whose one input is t.

    W_1 (start + t (end - start)) + b_1 has the weight W_1 (end - start) and the bias W_1 start + b_1.

    Args:
        theta: (P,).
        spec: the network, any activations.
        start, end: (N_0,), at t = 0 and t = 1.

    Returns:
        Parameters and spec of a network with one input, with biases, and else as the given one.

    Raises:
        ValueError: start or end is not (N_0,), or theta not (P,); the message names both shapes.
    """
    raise NotImplementedError("dynamics.geometry.linear_regions: TODO 7 of 7, on_segment")


def tent_compose(depth: int) -> tuple[Array, Spec]:
    """Compose the tent, T(x) = 2x up to 1/2 and 2 - 2x from there, with itself: 2^depth pieces on [0, 1].

    Two units make a tent: T(x) = 2 max(x, 0) - 4 max(x - 1/2, 0) for x >= 0. The next layer's two units take
    T and T - 1/2 for their z. Every parameter is 0 or a power of 2, or minus one: nothing is rounded.

    Args:
        depth: number of tents and of hidden layers, at least 1.

    Returns:
        theta and the spec: sizes 1, 2, ..., 2, 1, "relu".

    Raises:
        ValueError: depth is below 1; the message names it.
    """
    raise NotImplementedError("dynamics.geometry.linear_regions: TODO 1 of 7, tent_compose")


def _names(spec: Spec) -> list[str]:
    """The activation of each layer."""
    return [spec.hidden] * (len(spec.sizes) - 2) + [spec.output]


def _piecewise(spec: Spec) -> None:
    """Raise unless the network is affine between folds."""
    for name in _names(spec):
        if name not in ("relu", "linear"):
            raise ValueError(f'activations must be "relu" or "linear", got {name!r}, which has no pieces')


def _affine(h: Array, W: Array, b: Array | float = 0.0) -> Array:
    """W h + b for each row of h; what is 0 but for rounding is 0."""
    z = h @ W.T + b
    return np.where(np.abs(z) <= ROUNDING * (np.abs(h) @ np.abs(W).T + np.abs(b)), 0.0, z)


def _crossings(x: Array, z: Array, dz: Array) -> Array:
    """Where z passes through 0 between the knots x (B,), or on the rays; z (B, n) and dz (B + 1, n)."""
    i, unit = np.nonzero(np.sign(z[:-1]) * np.sign(z[1:]) < 0)
    before, after = z[i, unit], z[i + 1, unit]
    found = [x[i] + (x[i + 1] - x[i]) * (before / (before - after))]
    for end, towards in ((0, 1.0), (-1, -1.0)):
        to_zero = np.sign(z[end]) * np.sign(dz[end]) * towards > 0
        with np.errstate(over="ignore"):
            found.append(x[end] - z[end, to_zero] / dz[end, to_zero])
    places = np.concatenate(found)
    return places[np.isfinite(places)]


def _merge(x: Array, places: Array) -> Array:
    """The knots x, and those places that are not at one of them, nor at each other; sorted."""
    places = np.sort(places)
    apart = ROUNDING * np.maximum(1.0, np.abs(places))
    right = np.minimum(np.searchsorted(x, places), len(x) - 1)
    distance = np.minimum(np.abs(places - x[right]), np.abs(places - x[np.maximum(right - 1, 0)]))
    new = (distance > apart) & (np.diff(places, prepend=-inf) > apart)
    return np.sort(np.concatenate([x, places[new]]))
