r"""What a flow cannot do, and why one more dimension helps: paths of a differential equation never meet.

    phi_t(y_0) = y(t),  y' = f(t, y)                    d/dt log det (d phi_t / d y_0) = div f (t, y)

Two paths through one point at one time would be one path, forward and backward: phi_t is one to one. Its
determinant is an exponential (Liouville), so that it is positive: no flow reflects space. On a line, where
d phi / d y_0 is the determinant, every flow increases, whatever f, x -> -x is out of reach, and the least
squared error of all flows is that of the best increasing function.

Append zeros: y lies in a subspace, and paths pass each other outside of it. A half turn in the plane (x, a)
takes (x, 0) to (-x, 0); and a' = g(x), x' = 0 carries any function g at all to a.

Shapes   Y (N, D) points, k appended; ts (T,); x, y (N,) on a line. f works on each point by itself.
Source   Dupont, Doucet & Teh 2019, arXiv:1904.01681, prop. 1-2, sec. 5; Chen et al. 2018, arXiv:1806.07366,
         theorem 1 (log det); Arnold 1973, Ordinary Differential Equations, sec. 16 (Liouville); Barlow et al.
         1972, Statistical Inference under Order Restrictions, sec. 1.2 (pool adjacent violators).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.ode import odeint
from dynamics.neural.neural_ode import Dynamics, vjp
from foundations.computational_graph import Tensor
from foundations.shaping import concatenate

Array = np.ndarray


class Flow(NamedTuple):
    """Where the points are at each time, (T, N, D), and log det (d phi_t / d y_0) at each of them, (T, N)."""

    ys: Array
    log_det: Array


def divergence(f: Dynamics, t: float, Y: ArrayLike, theta: ArrayLike) -> tuple[Array, Array]:
    """Compute the field and its divergence, sum_d df_d/dy_d, at each point: D reverse passes for all points.

    A vector of ones in column d pulls back the row d of every point's Jacobian, of which entry d is added.

    Args:
        f: (t, Y, theta) as Tensors -> (N, D), each row from its own point alone.
        t, theta: of the field.
        Y: (N, D).

    Returns:
        f (N, D) and div f (N,).

    Raises:
        ValueError: Y is not a matrix; the message names its shape.
    """
    raise NotImplementedError("dynamics.neural.augmented_flows: TODO 1 of 7, divergence")


def flow(
    f: Dynamics, theta: ArrayLike, Y: ArrayLike, ts: ArrayLike, method: str = "rk4", *, substeps: int = 1
) -> Flow:
    """Move points along the field, and with each the volume around it: y' = f and (log det)' = div f.

    Args:
        f, theta: the field, as `divergence`.
        Y: (N, D), the points at ts[0].
        ts, method, substeps: as `odeint`, which solves both as one system.

    Returns:
        Points (T, N, D), the first being Y, and log det (T, N), the first being 0.

    Raises:
        ValueError: as `divergence` and `odeint`.
    """
    raise NotImplementedError("dynamics.neural.augmented_flows: TODO 3 of 7, flow")


def crossing(x: ArrayLike, y: ArrayLike) -> tuple[int, int] | None:
    """Find two points that prove that x -> y is no flow on a line.

    Args:
        x, y: (N,), N >= 0; y_i is where x_i goes.

    Returns:
        Indices (i, j) with x_i < x_j and y_i >= y_j, or x_i = x_j and y_i != y_j; any such pair. None if
        there is none: then y increases strictly with x.

    Raises:
        ValueError: x and y are not two rows of the same length; the message names both shapes.
    """
    raise NotImplementedError("dynamics.neural.augmented_flows: TODO 4 of 7, crossing")


def best_increasing(x: ArrayLike, y: ArrayLike) -> Array:
    """Find the nondecreasing function of x nearest to y: the infimum of mean (phi(x) - y)^2 over all flows.

    Pool adjacent violators: go through the points by x, each a block of its own; as long as the last block's
    mean is not above that of the block before, the two become one. Points of equal x are one block from the
    start. The answer is the mean of each point's block; a flow comes as near to it as one likes.

    Args:
        x, y: (N,).

    Returns:
        (N,), in the order of x and y.

    Raises:
        ValueError: as `crossing`.
    """
    raise NotImplementedError("dynamics.neural.augmented_flows: TODO 5 of 7, best_increasing")


def augment(Y: ArrayLike, k: int) -> Array:
    """Append k coordinates, all 0, to each point.

    Args:
        Y: (N, D).
        k: >= 0.

    Returns:
        (N, D + k), a new array, float64.

    Raises:
        ValueError: Y is not a matrix (the message names its shape), or k is negative (it names k).
    """
    raise NotImplementedError("dynamics.neural.augmented_flows: TODO 2 of 7, augment")


def turn(t: float, z: Tensor, theta: Tensor) -> Tensor:
    """Turn each x_d with its partner a_d: the field theta (-a, x), whose flow is a rotation by theta t.

        x(t) = x cos(theta t) - a sin(theta t),   a(t) = x sin(theta t) + a cos(theta t)

    From (x, 0), theta t = pi leads to (-x, 0).

    Args:
        t: not used.
        z: (N, 2 D), the x, then the a.
        theta: angle a unit of time: one element, or (D,), one for each pair.

    Returns:
        (N, 2 D).
    """
    raise NotImplementedError("dynamics.neural.augmented_flows: TODO 6 of 7, turn")


def lift(g: Dynamics, D: int) -> Dynamics:
    """Make the field x' = 0, a' = g(t, x, theta): for a g without t, the flow is (x, a) -> (x, a + t g(x)).

    Args:
        g: (t, x, theta) -> (N, k), any function in Tensor operations, one to one or not.
        D: how many of the coordinates are x, the first.

    Returns:
        f: (t, z, theta) -> (N, D + k), for z (N, D + k).
    """
    raise NotImplementedError("dynamics.neural.augmented_flows: TODO 7 of 7, lift")


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y must be two rows of the same length, got shapes {x.shape} and {y.shape}")
    return x, y
