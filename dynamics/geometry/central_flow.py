r"""The central flow: the smooth path around which gradient descent swings at the edge of stability.

    theta = w + x v,  x = +-sigma, changing sign        v the steepest direction at w, S(w) its sharpness
    mean gradient     g(w) + 1/2 sigma^2 grad S(w)       for grad S = T(v, v), T the third derivative of L
    central flow      dw/dt = -(g + 1/2 sigma^2 grad S)

Averaged over a swing, the linear term x H v is gone and the quadratic one is left: a force towards where
L is flatter. How wide the swing is nobody needs to simulate: it is as wide as it takes to keep S at 2 / lr,

    dS/dt = <grad S, -g> - 1/2 sigma^2 |grad S|^2 = 0       sigma^2 = 2 <grad S, -g> / |grad S|^2

but not negative, and 0 while S is below the edge: then it is the gradient flow. The mean loss on the way is
L + 1/2 S sigma^2. Step k of descent stands at time t = k lr, as everywhere in this course; the paper counts
t in steps, and its flow has lr in front.

In a step of time dt, S shall end at the edge and not beyond: S + dt dS/dt <= 2 / lr. That has one answer
whether S is below, at the edge or arriving, and what the discretisation lets through comes back in the next.

    sigma^2 = 2 max(0, <grad S, -g> + (S - 2 / lr) / dt) / |grad S|^2

The theory is first order in sigma^2, and for one direction at the edge.

Shapes   theta any shape S of n elements; v (n,); paths (steps + 1, *S).
Source   Cohen et al. 2025, "Understanding optimization in deep learning with central flows",
         arXiv:2410.24206, sec. 3 (one unstable eigenvalue); Damian, Nichani & Lee 2023, arXiv:2209.15594,
         sec. 4 (the third-order term that stabilises).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.geometry.edge_of_stability import edge, sharpest
from dynamics.geometry.hessian_vector import hvp_fd

Array = np.ndarray
Gradient = Callable[[Array], Array]  # theta -> grad L, of its shape
Product = Callable[[Array, Array], Array]  # (theta, v) -> H(theta) v, all of one shape


class CentralFlow(NamedTuple):
    """The flow at times 0, lr, 2 lr, ...: where descent after as many steps is, but for its swinging."""

    path: Array  # (steps + 1, *S), w
    sharpness: Array  # (steps + 1,), S(w)
    variance: Array  # (steps + 1,), sigma^2


def sharpness_gradient(hvp: Product, theta: ArrayLike, v: ArrayLike) -> Array:
    """Differentiate the sharpness: grad S = T(v, v), by one central difference of products.

    S = v^T H v, and its v is such that turning it changes nothing in first order: grad S is the gradient of
    v^T H(theta) v with v held fixed. By the symmetry of third derivatives that is the derivative of
    H(theta) v, for this v, along v: `hvp_fd`, given theta -> H(theta) v in place of a gradient.

    Args:
        hvp: (theta, v) -> H(theta) v, as ``functools.partial(hessian_vector.hvp, loss)``.
        theta: any shape S; only read.
        v: n elements in any shape, an eigenvector of length 1 of an eigenvalue that is there once.

    Returns:
        S, float64, to seven digits or more.

    Raises:
        ValueError: v has not as many elements as theta; the message names both shapes.
    """
    raise NotImplementedError("dynamics.geometry.central_flow: TODO 1 of 6, sharpness_gradient")


def swing_variance(gradient: ArrayLike, sharpening: ArrayLike, excess: float = 0.0) -> float:
    """Give sigma^2 = 2 max(0, <sharpening, -gradient> + excess) / |sharpening|^2, the swing that holds S.

    Args:
        gradient: grad L, any shape.
        sharpening: grad S, of the same shape.
        excess: the rate at which S should fall, (S - 2 / lr) / dt; negative below the edge. 0 holds S.

    Returns:
        sigma^2 >= 0; 0 where grad S is 0, for then no swing changes S.

    Raises:
        ValueError: the shapes differ; the message names both.
    """
    raise NotImplementedError("dynamics.geometry.central_flow: TODO 2 of 6, swing_variance")


def central_flow(
    gradient: Gradient,
    hvp: Product,
    theta0: ArrayLike,
    lr: float,
    steps: int,
    *,
    rng: np.random.Generator,
    substeps: int = 2,
    tol: float = 1e-6,
) -> CentralFlow:
    """Follow the central flow of gradient descent by Euler's method in steps of time dt = lr / substeps:

        w <- w - dt (g + 1/2 sigma^2 grad S),    sigma^2 by `swing_variance`, excess (S - 2 / lr) / dt

    S and v by `edge_of_stability.sharpest`, each from the v before. Euler's own edge is 2 / dt, above 2 / lr
    by the factor substeps. Where grad S is 0 nothing holds S. A start beyond 2 / lr, where the flow is not
    defined, is pulled to the edge in the first substep, as far as S is linear.

    Args:
        gradient, hvp: of the loss.
        theta0: any shape S.
        lr: learning rate of the descent, > 0.
        steps: of descent, >= 0; the flow runs for the time steps * lr.
        rng, tol: as `sharpest`.
        substeps: >= 2; the error falls as 1 / substeps.

    Returns:
        w, S(w) and sigma^2 at the times 0, lr, ..., steps * lr; sigma^2 is that of the substep which begins
        there.

    Raises:
        ValueError: lr is not positive, steps negative or substeps below 2; the message names the value.
            Or as `sharpest`.
    """
    raise NotImplementedError("dynamics.geometry.central_flow: TODO 3 of 6, central_flow")


def mean_loss(losses: ArrayLike, sharpness: ArrayLike, variance: ArrayLike) -> Array:
    """Predict the loss of descent, averaged over its swings: L(w) + 1/2 S(w) sigma^2.

    Args:
        losses: L along the flow, any shape.
        sharpness, variance: as `CentralFlow`, of the same shape.
    """
    raise NotImplementedError("dynamics.geometry.central_flow: TODO 4 of 6, mean_loss")


def center(path: ArrayLike) -> Array:
    """Average a swing of period two away: (theta_(k-1) + 2 theta_k + theta_(k+1)) / 4.

    What changes sign in every step goes to 0, and what moves evenly stays where it is; a mean of two would
    be half a step late.

    Args:
        path: (steps + 1, *S), of gradient descent.

    Returns:
        (steps - 1, *S), the centers of steps 1 ... steps - 1.

    Raises:
        ValueError: the path has fewer than three points; the message names their number.
    """
    raise NotImplementedError("dynamics.geometry.central_flow: TODO 5 of 6, center")


def swing(path: ArrayLike) -> Array:
    """Measure the swing: |theta_k - center_k|^2, summed over all elements of theta.

    Args, raises: as `center`.

    Returns:
        (steps - 1,), to compare with sigma^2.
    """
    raise NotImplementedError("dynamics.geometry.central_flow: TODO 6 of 6, swing")


def _path(path: ArrayLike) -> Array:
    """The path as float64, if it has a center."""
    path = np.asarray(path, np.float64)
    if len(path) < 3:
        raise ValueError(f"a path needs at least 3 points to have a center, got {len(path)}")
    return path
