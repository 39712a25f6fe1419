r"""Gradient flow: what gradient descent becomes as its steps go to 0 and their number to infinity.

    d theta / dt = -grad L(theta)             theta_(k+1) = theta_k - lr grad L(theta_k)    is its Euler path

Step k of descent stands at time t = k lr. Along the flow the loss can only fall, and what it loses is known:

    dL/dt = grad L . d theta/dt = -|grad L|^2        L(theta(0)) - L(theta(t)) = integral of |grad L|^2

On L = 1/2 x^T A x - b^T x, with A = Q diag(a) Q^T and z = Q^T x, the flow is known:

    z_i(t) = exp(-a_i t) z_i(0) + s_i(t) (Q^T b)_i      s_i(t) = (1 - exp(-a_i t)) / a_i,  or t where a_i = 0

Every direction with a_i > 0 decays: there is no edge of stability. Descent has (1 - lr a_i)^k in place of
exp(-a_i k lr), and the gap between the two is O(lr) at a fixed time.

The lost energy is carried through the solver as one more unknown, dE/dt = |grad L|^2: it then has the order
of the solver. A sum of |grad|^2 over the points of a path would have the order of that sum.

Shapes   theta any shape S; ts (T,); a path (T, *S); A (D, D) symmetric, b and x (D,).
Source   Helmke & Moore 1994, "Optimization and dynamical systems", sec. 1.3 and C.12 (gradient flows); Saxe
         et al. 2013, arXiv:1312.6120, eq. 2-3; Elkabetz & Cohen 2021, arXiv:2107.06608, theorem 3 (the gap).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.ode import odeint

Array = np.ndarray
Gradient = Callable[[Array], Array]  # grad L: theta -> an array of its shape


class Dissipation(NamedTuple):
    """A path of the flow (T, *S), and the energy lost since its start (T,)."""

    path: Array
    lost: Array


def flow_exact(A: ArrayLike, b: ArrayLike, x0: ArrayLike, ts: ArrayLike) -> Array:
    """Give the flow on 1/2 x^T A x - b^T x by the formula of this file, without a solver.

    It holds for eigenvalues of any sign and for 0, where b may push for ever. s is computed by expm1: the
    difference 1 - exp(-a t) has no digits left where a t is 1e-16.

    Args:
        A: (D, D), symmetric.
        b, x0: (D,).
        ts: a time, or several, (T,). The start x0 is at time 0; times before it are negative.

    Returns:
        (D,), or (T, D) for several.

    Raises:
        ValueError: A is not square, or b or x0 does not fit it: the message names its shape and A's. Or A is
            not symmetric, but for a relative 1e-12 of rounding.
    """
    A, b, x0 = (np.asarray(v, np.float64) for v in (A, b, x0))
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"A must be a square matrix, got shape {A.shape}")
    for name, vector in (("b", b), ("x0", x0)):
        if vector.shape != A.shape[:1]:
            raise ValueError(f"{name} has shape {vector.shape}, expected {A.shape[:1]} for A of {A.shape}")
    if np.abs(A - A.T).max(initial=0) > 1e-12 * np.abs(A).max(initial=0):
        raise ValueError("A must be symmetric: the gradient of 1/2 x^T A x is (A + A^T) x / 2")
    curvature, Q = np.linalg.eigh(A)
    t = np.asarray(ts, np.float64)[..., None]  # (..., 1)
    flat = curvature == 0
    pushed = np.where(flat, t, -np.expm1(-curvature * t) / np.where(flat, 1.0, curvature))  # (..., D)
    return (np.exp(-curvature * t) * (x0 @ Q) + pushed * (b @ Q)) @ Q.T


def descend(grad: Gradient, theta0: ArrayLike, lr: float, steps: int) -> Array:
    """Take gradient steps and keep them all.

    Args:
        grad: the gradient of the loss.
        theta0: any shape S; not changed.
        lr: learning rate, > 0.
        steps: >= 0.

    Returns:
        (steps + 1, *S), float64: theta0 first, then the point after each step.

    Raises:
        ValueError: lr is not positive or steps is negative; the message names the value.
    """
    if not lr > 0:
        raise ValueError(f"lr must be positive, got {lr}")
    if steps < 0:
        raise ValueError(f"steps must be at least 0, got {steps}")
    path = [np.array(theta0, np.float64)]
    for _ in range(steps):
        path.append(path[-1] - lr * grad(path[-1]))
    return np.stack(path)


def flow(
    grad: Gradient,
    theta0: ArrayLike,
    ts: ArrayLike,
    method: str = "dopri5",
    *,
    substeps: int = 1,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> Array:
    """Follow -grad from theta0 with a solver of `dynamics.continuous.ode`.

    With "euler", and ts at the multiples of lr, this is gradient descent. The other methods have an edge of
    stability, too: a fixed step h of "rk4" must stay below 2.785 / (largest curvature).

    Args:
        grad: the gradient of the loss.
        theta0: any shape S, at time ts[0].
        ts: (T,), at least two times, all increasing or all decreasing.
        method, substeps, rtol, atol: as `odeint`.

    Returns:
        (T, *S), theta0 first.

    Raises:
        ValueError, RuntimeError: as `odeint`.
    """
    slope = lambda t, theta: -grad(theta)  # noqa: E731
    return odeint(slope, theta0, ts, method, substeps=substeps, rtol=rtol, atol=atol).ys


def dissipation(
    grad: Gradient,
    theta0: ArrayLike,
    ts: ArrayLike,
    method: str = "dopri5",
    *,
    substeps: int = 1,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> Dissipation:
    """Follow the flow and the energy that it loses as one system: (theta, E)' = (-grad, |grad|^2).

    E is 0 at ts[0]. Args: as `flow`; |grad|^2 is the sum of squares over all elements.

    Returns:
        The path (T, *S), and the lost energy (T,), which is L(theta(ts[0])) - L(theta(t)) to the accuracy of
        the solver, though no loss was computed.

    Raises:
        ValueError, RuntimeError: as `odeint`.
    """
    start = np.array(theta0, np.float64)

    def slope(t: float, state: Array) -> Array:
        g = grad(state[:-1].reshape(start.shape)).reshape(-1)
        return np.append(-g, g @ g)

    first = np.append(start.reshape(-1), 0.0)
    states = odeint(slope, first, ts, method, substeps=substeps, rtol=rtol, atol=atol).ys  # (T, D + 1)
    return Dissipation(states[:, :-1].reshape(-1, *start.shape), states[:, -1])


def flow_gap(
    grad: Gradient, theta0: ArrayLike, lr: float, steps: int, *, rtol: float = 1e-10, atol: float = 1e-12
) -> Array:
    """Measure how far descent is from the flow, at equal times: |theta_k - theta(k lr)|.

    At equal k it would compare places at different times: halving lr halves the time that k steps take.

    Args:
        grad, theta0, lr: as `descend`.
        steps: >= 1.
        rtol, atol: of dopri5, which follows the flow.

    Returns:
        (steps + 1,) Euclidean norms over all elements; the first is 0.

    Raises:
        ValueError: as `descend`; or steps is 0, the message names it.
        RuntimeError: as `odeint`.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    descent = descend(grad, theta0, lr, steps)
    apart = descent - flow(grad, theta0, lr * np.arange(steps + 1), rtol=rtol, atol=atol)
    return np.linalg.norm(apart.reshape(steps + 1, -1), axis=1)
