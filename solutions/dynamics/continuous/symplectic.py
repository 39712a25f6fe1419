r"""Integrators for motion, dq/dt = p, dp/dt = F(q): alternate kicks and drifts, each of them exact.

    kick   p <- p + c h F(q), with q at rest         drift  q <- q + d h p, with p at rest

Energy H = |p|^2/2 + V(q), F = -grad V. Each move is a shear of the plane (q, p), so that every sequence of
them preserves area, whatever the coefficients, as the motion itself does. A method that preserves area cannot
spiral in or out: for steps that are short enough it follows the motion of a nearby energy, but for what is
exponentially small. Euler's method moves both at once, multiplies the area by 1 + h^2 w^2 on a spring, and
gains energy.

On a spring, F = -w^2 q, a step is a matrix M with det M = 1, and the nearby energy is known: the area between
a point z and its successor, z x Mz, is the same all along the path, for (Mz) x (MMz) = det M (z x Mz).

    modified energy  -(z x Mz) / 2h  =  H + O(h)          kick first:  H - (h/2) w^2 q p,  exactly

Friction shrinks areas at a known rate, and is put in exactly: p <- exp(-friction h / 2) p around each step.

Shapes   q, p and forces any shape S, mass 1; paths (steps + 1, *S); M (2, 2) acts on (q, p).
Source   Hairer, Lubich & Wanner 2006, "Geometric numerical integration", sec. I.1-3, II.4 (composition),
         VI.3, IX.3; Yoshida 1990, "Construction of higher order symplectic integrators", sec. 2 and 4;
         Franca, Sulam, Robinson & Vidal 2020, "Conformal symplectic and relativistic optimization",
         arXiv:1903.04100, sec. 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
Force = Callable[[Array], Array]  # q -> F(q) = -grad V(q), of q's shape


class Path(NamedTuple):
    """Positions and momenta, (steps + 1, *S) each, the start first."""

    q: Array
    p: Array


@dataclass(frozen=True)
class Scheme:
    """A step as kicks and drifts in turn: kick kicks[0], drift drifts[0], kick kicks[1] ...; in units of h.

    Attributes:
        kicks, drifts: equally many; each sums to 1. A 0 is no move, and no force is computed for it.
        order: the power of h with which the error at a fixed time falls.
    """

    kicks: tuple[float, ...]
    drifts: tuple[float, ...]
    order: int


SCHEMES = {
    "kick_drift": Scheme((1,), (1,), 1),  # symplectic Euler
    "drift_kick": Scheme((0, 1), (1, 0), 1),  # its mirror image
    "leapfrog": Scheme((1 / 2, 1 / 2), (1, 0), 2),  # velocity Verlet
    "position_leapfrog": Scheme((0, 1), (1 / 2, 1 / 2), 2),
}


def explicit_euler(force: Force, q: ArrayLike, p: ArrayLike, h: float, steps: int) -> Path:
    """Move q and p at once, q + h p and p + h F(q): the method to compare with.

    Args and Returns: as `integrate`.

    Raises:
        ValueError: as `integrate`.
    """
    q, p = _start(q, p, steps)
    path = [(q, p)]
    for _ in range(steps):
        q, p = q + h * p, p + h * force(q)
        path.append((q, p))
    return Path(np.stack([q for q, _ in path]), np.stack([p for _, p in path]))


def integrate(
    scheme: Scheme, force: Force, q: ArrayLike, p: ArrayLike, h: float, steps: int, friction: float = 0.0
) -> Path:
    """Make steps of kicks and drifts; with friction, dp/dt = F(q) - friction p, p is damped around each.

    A kick at the end of a step and the one that begins the next stand at the same q: the force is computed
    once for both, so that leapfrog calls it steps + 1 times.

    Args:
        scheme: the moves of a step.
        force: -grad V.
        q, p: position and momentum, of one shape S; not changed.
        h: length of a step. Negative goes back: the symmetric schemes of order 2 then undo their steps.
        steps: >= 0.
        friction: rate g of damping; p is multiplied by exp(-g h / 2) before and after each step.

    Returns:
        q and p at all steps, (steps + 1, *S), float64, the start first.

    Raises:
        ValueError: q and p differ in shape (the message names both), or steps is negative (named).
    """
    q, p = _start(q, p, steps)
    path, damping, pull = [(q, p)], exp(-friction * h / 2), None
    for _ in range(steps):
        p = damping * p
        for kick, drift in zip(scheme.kicks, scheme.drifts, strict=True):
            if kick:
                pull = force(q) if pull is None else pull
                p = p + kick * h * pull
            if drift:
                q, pull = q + drift * h * p, None
        p = damping * p
        path.append((q, p))
    return Path(np.stack([q for q, _ in path]), np.stack([p for _, p in path]))


def energies(potential: Callable[[Array], float], path: Path) -> Array:
    """Give |p|^2/2 + V(q) at every point of a path, (steps + 1,); |p|^2 sums over all elements.

    Args:
        potential: V, of an array of shape S.
        path: q and p, (steps + 1, *S).
    """
    kinetic = 0.5 * np.sum(path.p.reshape(len(path.p), -1) ** 2, axis=1)
    return kinetic + np.array([float(potential(q)) for q in path.q])


def triple_jump(scheme: Scheme) -> Scheme:
    """Compose a symmetric scheme of even order r with itself to order r + 2 (Yoshida, Suzuki).

    Three steps of lengths w, 1 - 2w, w: forward, back, forward, with w = 1 / (2 - 2^(1 / (r + 1))), so that
    2 w^(r+1) + (1 - 2w)^(r+1) = 0 and the errors of order r + 1 cancel; those of order r + 2 are absent, by
    symmetry. On leapfrog this is Yoshida's method of order 4, and on that his of order 6.

    Args:
        scheme: symmetric, of order r.

    Returns:
        A scheme of order r + 2 that makes the same moves as the three steps, in any split into kicks and
        drifts: moves of 0 may be left in, and kicks that meet may be added up.

    Raises:
        ValueError: the order is odd (the scheme is not symmetric); the message names it.
    """
    if scheme.order % 2:
        raise ValueError(f"expected a symmetric scheme, of even order, got order {scheme.order}")
    w = 1 / (2 - 2 ** (1 / (scheme.order + 1)))
    lengths = (w, 1 - 2 * w, w)
    kicks = tuple(part * c for part in lengths for c in scheme.kicks)
    drifts = tuple(part * d for part in lengths for d in scheme.drifts)
    return Scheme(kicks, drifts, scheme.order + 2)


def step_matrix(scheme: Scheme, omega: float, h: float, friction: float = 0.0) -> Array:
    """Give the matrix of one step on a spring, F = -omega^2 q: (q, p) -> M (q, p).

    Args:
        scheme: the moves of a step.
        omega: frequency, >= 0.
        h: length of the step.
        friction: as `integrate`.

    Returns:
        (2, 2): the first column is where (1, 0) goes. det M = exp(-friction h), of which each end of the step
        has the root.
    """
    path = integrate(scheme, lambda q: -(omega**2) * q, [1.0, 0.0], [0.0, 1.0], h, 1, friction)
    return np.stack([path.q[1], path.p[1]])


def modified_energy(matrix: ArrayLike, h: float, q: ArrayLike, p: ArrayLike) -> Array:
    """Give what a step with this matrix conserves to the last digit: -(z x Mz) / 2h with z = (q, p).

    With M = [[a, b], [c, d]] it is (b p^2 + (a - d) q p - c q^2) / 2h, and the energy as h goes to 0.

    Args:
        matrix: (2, 2), of determinant 1.
        h: length of the step that it stands for.
        q, p: numbers, or arrays of one shape: elementwise.

    Returns:
        An array of the shape of q.

    Raises:
        ValueError: the determinant is not 1, but for 1e-9 of rounding either way (with friction it is less):
            areas are not preserved, and so is nothing of this kind. The message names it.
    """
    (a, b), (c, d) = np.asarray(matrix, np.float64)
    q, p = np.asarray(q, np.float64), np.asarray(p, np.float64)
    area = a * d - b * c
    if not abs(area - 1) <= 1e-9:
        raise ValueError(f"expected a matrix of determinant 1, got {area}")
    return np.asarray((b * p**2 + (a - d) * q * p - c * q**2) / (2 * h))


def stability_limit(scheme: Scheme) -> float:
    """Give the largest x such that the scheme is stable on a spring for all h omega below x: |trace M| <= 2.

    The eigenvalues of a matrix of determinant 1 have the product 1 and the trace as their sum: they are on
    the unit circle if |trace| <= 2, and one is outside if it is more. 2 for the four of `SCHEMES`.

    Returns:
        x, to a relative error of 1e-6, by bisection of where |trace M| first exceeds 2; searched up to 10,
        and inf where it does not exceed 2 until there.
    """

    def leaves(x: float) -> bool:
        return bool(abs(np.trace(step_matrix(scheme, x, 1.0))) > 2 + 1e-12)

    grid = np.linspace(0, 10, 1001).tolist()
    for low, high in pairwise(grid):
        if leaves(high):
            while high - low > 1e-9:
                middle = (low + high) / 2
                low, high = (low, middle) if leaves(middle) else (middle, high)
            return low
    return inf


def _start(q: ArrayLike, p: ArrayLike, steps: int) -> tuple[Array, Array]:
    """Checked copies of where a path begins."""
    q, p = np.array(q, np.float64), np.array(p, np.float64)
    if q.shape != p.shape:
        raise ValueError(f"q has shape {q.shape}, p {p.shape}: expected the same")
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}")
    return q, p
