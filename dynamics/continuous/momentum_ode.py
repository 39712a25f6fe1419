r"""The differential equations behind momentum: a mass on a spring in honey, and honey that thins with time.

    heavy ball   x'' + friction x' + grad f(x) = 0     momentum 1 - friction h,     t = k h,  lr = h^2
    Nesterov     x'' + (3 / t) x'  + grad f(x) = 0     momentum (k - 1) / (k + 2),  t = k sqrt(lr)

Write the step x_(k+1) - x_k = momentum (x_k - x_(k-1)) - lr g with time steps h, and divide by h^2 = lr:

    (x_(k+1) - 2 x_k + x_(k-1)) / h^2  +  (1 - momentum) / h  (x_k - x_(k-1)) / h  +  g  =  0

So time goes by the root of the learning rate: in k steps momentum comes k sqrt(lr) far in its time, descent
only k lr in the flow's. momentum held fixed while lr -> 0 is no limit: the friction (1 - momentum) / h grows
without bound, and what is left is the gradient flow. For Nesterov 1 - (k - 1) / (k + 2) = 3 / (k + 2), that
is 3 h / t: the friction dies out by itself.

Energy f + |x'|^2 / 2 is lost to friction alone, at the rate friction |x'|^2. On a quadratic both have closed
forms: the damped oscillator, and 2 J1(z) / z with z = t sqrt(curvature), J1 the Bessel function.

Shapes   x and x' any shape S; ts (T,); paths (T, *S), or (steps + 1, *S) for iterates.
Source   Polyak 1964, "Some methods of speeding up the convergence of iteration methods", sec. 2; Su, Boyd &
         Candes 2016, "A differential equation for modeling Nesterov's accelerated gradient method",
         arXiv:1503.01243, sec. 1-3; Kovachki & Stuart 2021, "Continuous time analysis of momentum methods",
         arXiv:1906.04285, sec. 2; Abramowitz & Stegun 1964, formula 9.1.20 (J1 as an integral).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.gradient_flow import Gradient
from dynamics.continuous.ode import odeint
from dynamics.discrete.momentum_edge import trajectory

Array = np.ndarray


class Motion(NamedTuple):
    """Positions and velocities at several times, and the energy lost to friction since the first."""

    x: Array  # (T, *S)
    v: Array  # (T, *S)
    lost: Array  # (T,)


def heavy_ball_limit(friction: float, h: float) -> tuple[float, float]:
    """Give the learning rate and momentum, PyTorch's, whose step k follows the equation at t = k h.

    Args:
        friction: rate, >= 0.
        h: time step, > 0.

    Returns:
        (lr, momentum) = (h^2, 1 - friction h).

    Raises:
        ValueError: h is not positive, or friction h is outside [0, 1], where momentum would be; the message
            names both.

    >>> heavy_ball_limit(2.0, 0.25)
    (0.0625, 0.5)
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 1 of 9, heavy_ball_limit")


def heavy_ball_time(lr: float, momentum: float) -> tuple[float, float]:
    """Give friction and time step of a heavy ball: the inverse of `heavy_ball_limit`.

    Returns:
        (friction, h) = ((1 - momentum) / sqrt(lr), sqrt(lr)).

    Raises:
        ValueError: lr is not positive or momentum outside [0, 1]; the message names both.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 2 of 9, heavy_ball_time")


def oscillator(
    t: ArrayLike, curvature: float, friction: float, x0: float = 1.0, v0: float = 0.0
) -> tuple[Array, Array]:
    """Give x and x' of x'' + friction x' + curvature x = 0 at any times >= 0, in closed form.

    With g = friction / 2, w^2 = curvature - g^2, and C = cos(w t), S = sin(w t) / w:

        x = exp(-g t) (C x0 + S (v0 + g x0))      x' = exp(-g t) (C v0 - S (curvature x0 + g v0))

    Overdamped, w^2 < 0: with k = sqrt(-w^2) C is cosh(k t), S is sinh(k t) / k. They would overflow where
    their product with exp(-g t) is small: it is put together from exp(slow t), slow = k - g, and exp(-2 k t).
    The difference k - g = -curvature / (k + g) is taken without cancellation. Critical, w = 0: C = 1, S = t.

    Args:
        t: times >= 0, of any shape.
        curvature: of any sign; negative is a hilltop, from which x runs away.
        friction: >= 0.
        x0, v0: position and velocity at time 0.

    Returns:
        (x, x'), of the shape of t.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 3 of 9, oscillator")


def heavy_ball_flow(
    grad: Gradient,
    x0: ArrayLike,
    ts: ArrayLike,
    friction: float,
    v0: ArrayLike | None = None,
    *,
    rtol: float = 1e-8,
    atol: float = 1e-10,
) -> Motion:
    """Follow x'' = -friction x' - grad f(x) with dopri5, and the energy lost, lost' = friction |x'|^2.

    At all times f(x) + |x'|^2 / 2 + lost is what it was at ts[0].

    Args:
        grad: gradient of f.
        x0: any shape S, at time ts[0].
        ts: (T,), at least two times, increasing.
        friction: >= 0; without any, the energy is kept.
        v0: velocity at ts[0], of shape S; None: at rest.
        rtol, atol: of the solver, for all of x, x' and lost.

    Raises:
        ValueError: v0 has another shape than x0 (the message names both), or as `odeint`.
        RuntimeError: as `odeint`.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 4 of 9, heavy_ball_flow")


def nesterov(grad: Gradient, x0: ArrayLike, lr: float, steps: int) -> Array:
    """Run Nesterov's method of 1983, with a momentum that grows towards 1; for k = 1, 2, ...

        x_k = y_(k-1) - lr grad(y_(k-1))        y_k = x_k + (k - 1) / (k + 2) (x_k - x_(k-1))        y_0 = x_0

    For a convex f with curvatures up to 1 / lr, f(x_k) - min f <= 2 |x_0 - x*|^2 / (lr (k + 1)^2).

    Args:
        grad: gradient of f.
        x0: any shape S; not changed.
        lr: learning rate, > 0.
        steps: >= 0.

    Returns:
        (steps + 1, *S), float64: the x_k, x_0 first.

    Raises:
        ValueError: lr is not positive or steps is negative; the message names the value.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 5 of 9, nesterov")


def nesterov_flow(
    grad: Gradient, x0: ArrayLike, ts: ArrayLike, *, rtol: float = 1e-8, atol: float = 1e-10
) -> Motion:
    """Follow x'' = -(3 / t) x' - grad f(x) from rest at t = 0 with dopri5; lost' = (3 / t) |x'|^2.

    At t = 0 the term 3 x' / t is 0 / 0. Its limit is 3 x'', so that x'' = -grad f / 4 there: a quarter of
    free fall.

    Args:
        grad: gradient of f.
        x0: any shape S, at time 0.
        ts: (T,), at least two times, increasing; ts[0] is 0.
        rtol, atol: as `heavy_ball_flow`.

    Raises:
        ValueError: ts[0] is not 0, since the friction depends on the clock; the message names it. Or as
            `odeint`.
        RuntimeError: as `odeint`.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 6 of 9, nesterov_flow")


def nesterov_exact(t: ArrayLike, curvature: float) -> Array:
    """Solve Nesterov's equation on curvature x^2 / 2 from x = 1: 2 J1(z) / z with z = t sqrt(curvature).

    By Poisson's integral, the mean over the circle of 2 sin^2(a) cos(z cos a). A sum over n equally spaced
    angles is exact but for terms that vanish faster than exponentially once n > 2 z, and nothing is divided
    by z. The swings die out as t^(-3/2), whatever the curvature: such friction never overdamps for long.

    Args:
        t: times >= 0, of any shape.
        curvature: >= 0.

    Returns:
        x, of the shape of t, to an absolute error of 1e-13 for z up to 100.

    Raises:
        ValueError: curvature is negative; the message names it.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 7 of 9, nesterov_exact")


def heavy_ball_gap(grad: Gradient, x0: ArrayLike, friction: float, h: float, steps: int) -> Array:
    """Measure how far the heavy ball of `heavy_ball_limit` is from its equation, at equal times t = k h.

    Args:
        grad: gradient of f.
        x0: (D,), where both start at rest.
        friction, h: as `heavy_ball_limit`; friction > 0.
        steps: >= 1.

    Returns:
        (steps + 1,) Euclidean norms, the first 0: of order h at a fixed time.

    Raises:
        ValueError: as `heavy_ball_limit` and `trajectory`; or steps is below 1, the message names it.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 8 of 9, heavy_ball_gap")


def nesterov_gap(grad: Gradient, x0: ArrayLike, lr: float, steps: int) -> Array:
    """Measure how far Nesterov's method is from its equation, at equal times t = k sqrt(lr).

    Args:
        grad: gradient of f.
        x0: any shape S.
        lr: > 0.
        steps: >= 1.

    Returns:
        (steps + 1,) Euclidean norms over all elements, the first 0: of order sqrt(lr) at a fixed time.

    Raises:
        ValueError: as `nesterov`; or steps is below 1, the message names it.
    """
    raise NotImplementedError("dynamics.continuous.momentum_ode: TODO 9 of 9, nesterov_gap")


def _gap(path: Array, follow: Callable[[Array], Motion], h: float) -> Array:
    """Distance of iterates from a motion, step k against time k h."""
    apart = path - follow(h * np.arange(len(path))).x
    return np.linalg.norm(apart.reshape(len(path), -1), axis=1)


def _follow(
    grad: Gradient,
    x0: ArrayLike,
    v0: ArrayLike | None,
    ts: ArrayLike,
    friction: Callable[[float], float | None],
    rtol: float,
    atol: float,
) -> Motion:
    """Solve for (x, x', lost) as one vector; a friction of None stands for 3 / t at t = 0."""
    start = np.array(x0, np.float64)
    velocity = np.zeros_like(start) if v0 is None else np.array(v0, np.float64)
    if velocity.shape != start.shape:
        raise ValueError(f"v0 has shape {velocity.shape}, x0 {start.shape}: expected the same")
    n = start.size

    def slope(t: float, state: Array) -> Array:
        v, g, rate = state[n:-1], np.ravel(grad(state[:n].reshape(start.shape))), friction(t)
        if rate is None:
            return np.concatenate([v, -g / 4, [0.0]])
        return np.concatenate([v, -rate * v - g, [rate * (v @ v)]])

    first = np.concatenate([start.ravel(), velocity.ravel(), [0.0]])
    states = odeint(slope, first, ts, rtol=rtol, atol=atol).ys  # (T, 2 n + 1)
    shape = (-1, *start.shape)
    return Motion(states[:, :n].reshape(shape), states[:, n:-1].reshape(shape), states[:, -1])
