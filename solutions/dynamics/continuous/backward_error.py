r"""The flow that gradient descent really follows: its steps are a solution, only of another equation.

    theta - lr g  =  theta(lr) of the flow on  L + lr/4 |g|^2  + O(lr^3)       g = grad L, H its Hessian
    modified gradient  g + lr/2 H g          (grad of lr/4 |g|^2  is  lr/4 * 2 H g)

Expand both sides over one step. The flow of d theta/dt = -(g + lr u) arrives at theta - lr g - lr^2 u +
lr^2/2 H g, for its velocity -g changes at the rate H g; descent has no term of lr^2, so u = H g / 2. That is
backward error analysis: instead of asking how wrong the answer is, ask which question it answers.

The finite step acts as a penalty lr/4 |grad L|^2 that nobody wrote down, which prefers flat places. On a
quadratic the whole series is known: 1 - lr a = exp(-lr c) with c = -ln(1 - lr a) / lr = a + lr a^2 / 2 + ...,
for lr a < 1. Beyond, the iterates change sides, and no flow does.

SGD that goes through m batches in random order follows, on average over the orders, the mean of the modified
gradients of its batches: the penalty is then lr/4 mean |g_i|^2 = lr/4 (|g|^2 + the variance of the g_i).

Shapes   theta and all gradients any shape S; path (steps + 1, *S); m batches.
Source   Barrett & Dherin 2021, "Implicit gradient regularization", arXiv:2009.11162, theorem 3.1; Smith,
         Dherin, Barrett & De 2021, "On the origin of implicit regularization in stochastic gradient descent",
         arXiv:2101.12176, eq. 1, 20-22; Hairer, Lubich & Wanner 2006, "Geometric numerical
         integration", sec. IX.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log1p
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.gradient_flow import Gradient, descend, flow

Array = np.ndarray
Product = Callable[[Array, Array], Array]  # (theta, v) -> H(theta) v, all of one shape


class Gaps(NamedTuple):
    """Distances of gradient descent from a flow, at equal times, (steps + 1,) each."""

    flow: Array  # from the flow on L: first order in lr
    modified: Array  # from the flow on the modified loss: second order


class Penalty(NamedTuple):
    """What a finite step adds to the loss: of descent, lr/4 |g|^2, and of the noise, lr/4 variance."""

    descent: float
    noise: float


def modified_gradient(grad: Gradient, hvp: Product, lr: float) -> Gradient:
    """Make the gradient of the modified loss: theta -> g + lr/2 H g, with g = grad(theta).

    Args:
        grad: gradient of the loss; called once for each theta.
        hvp: (theta, v) -> Hessian times v.
        lr: learning rate of the descent; 0 gives the gradient itself.

    Returns:
        A function of theta.
    """

    def gradient(theta: Array) -> Array:
        g = grad(theta)
        return g + lr / 2 * hvp(theta, g)

    return gradient


def modified_loss(loss: Callable[[Array], float], grad: Gradient, lr: float) -> Callable[[Array], float]:
    """Make the loss that descent follows down: theta -> L + lr/4 |g|^2, the square summed over all elements.

    A quarter, for the gradient of |g|^2 is 2 H g.
    """

    def value(theta: Array) -> float:
        return float(loss(theta)) + lr / 4 * float(np.sum(np.square(grad(theta))))

    return value


def modified_rate(curvature: float, lr: float) -> float:
    """Give the rate c at which descent decays in a direction of constant curvature: 1 - lr a = exp(-lr c).

    c = -ln(1 - lr a) / lr, exact, by log1p: for small lr a the difference 1 - lr a would round. c is above a:
    descent is faster than the flow. For a < 0 c is negative, and the escape slower than that of the flow.

    Args:
        curvature: a, of either sign.
        lr: > 0.

    Raises:
        ValueError: lr is not positive (named), or lr * curvature >= 1 (both named): a step that lands on the
            minimum or beyond is that of no flow.
    """
    if not lr > 0:
        raise ValueError(f"lr must be positive, got {lr}")
    if not lr * curvature < 1:
        raise ValueError(
            f"lr * curvature must be below 1, got lr {lr} and curvature {curvature}: no flow jumps over"
        )
    return -log1p(-lr * curvature) / lr


def flow_gaps(grad: Gradient, hvp: Product, theta0: ArrayLike, lr: float, steps: int) -> Gaps:
    """Measure how far descent is from the flow and from the modified flow: step k against time k lr.

    Args:
        grad, hvp: of the loss.
        theta0: any shape S.
        lr: > 0.
        steps: >= 1.

    Returns:
        Euclidean distances over all elements, (steps + 1,) each, first entries 0. The flows are followed to
        a relative error of 1e-11 a step.

    Raises:
        ValueError: as `descend`; or steps is 0, the message names it.
        RuntimeError: as `odeint`.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    descent = descend(grad, theta0, lr, steps)
    ts = lr * np.arange(steps + 1)
    gaps = []
    for slope in (grad, modified_gradient(grad, hvp, lr)):
        apart = descent - flow(slope, theta0, ts, rtol=1e-11, atol=1e-13)
        gaps.append(np.linalg.norm(apart.reshape(steps + 1, -1), axis=1))
    return Gaps(*gaps)


def shuffled_gradient(grads: Sequence[Gradient], hvps: Sequence[Product], lr: float) -> Gradient:
    """Make the gradient that SGD follows on average: theta -> mean_i (g_i + lr/2 H_i g_i).

    An epoch of m steps in random order is, averaged over the m! orders, the flow along it for a time m lr, up
    to O(lr^3). The noise of the batches acts through H_i g_i: each batch meets its own curvature.

    Args:
        grads, hvps: of the loss of each batch, m of each.
        lr: learning rate of a step.

    Raises:
        ValueError: there is no batch, or the numbers of grads and hvps differ; the message names both.
    """
    if len(grads) != len(hvps) or not grads:
        raise ValueError(f"expected a grad and an hvp for each batch, got {len(grads)} and {len(hvps)}")
    parts = [modified_gradient(g, h, lr) for g, h in zip(grads, hvps, strict=True)]

    def gradient(theta: Array) -> Array:
        return sum(part(theta) for part in parts) / len(parts)  # type: ignore[return-value]

    return gradient


def sgd_penalty(gradients: ArrayLike, lr: float) -> Penalty:
    """Split what shuffled SGD adds to the loss, lr/4 mean_i |g_i|^2, into the parts of descent and of noise.

        lr/4 |g|^2   and   lr/4 mean_i |g_i - g|^2,       g = mean_i g_i

    Args:
        gradients: (m, *S), the gradient of each batch at one place.
        lr: learning rate.
    """
    each = np.asarray(gradients, np.float64)
    mean = each.mean(axis=0)
    noise = np.sum(np.square(each - mean)) / len(each)
    return Penalty(lr / 4 * float(np.sum(np.square(mean))), lr / 4 * float(noise))
