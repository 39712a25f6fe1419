r"""Curvature without the matrix: the Hessian, and its Gauss-Newton part, times a vector.

    H v  =  d/dt grad L(theta + t v) at t = 0               one directional derivative of the gradient
    H    =  J^T H_L J  +  sum_i (dL/dz_i) grad^2 z_i        for L(z(theta)), J = dz/dtheta: G, and the rest

D^2 numbers are too many from D = 10^5 on; a product costs two gradients. Four ways to the same vector:

    differences      of two gradients, at theta + eps v and theta - eps v     any gradient; about ten digits
    reverse twice    the gradient of <grad L, v>                              any graph; exact
    forward over     R{.}, the derivative along v, of each line of            exact, and no graph of the
      reverse        backpropagation                                          gradient is kept
    the matrix       all its rows, then H v                                   D gradients: to check the others

The Gauss-Newton matrix G leaves the second term out: it needs no second derivative of the model, has no
negative eigenvalue where L is convex in z, and is H where the model is linear or the residuals are 0.

Shapes   theta and v any shape S of D elements; N batch; layer l of a network: weight (C, K), bias (K,).
Source   Pearlmutter 1994, "Fast exact multiplication by the Hessian", sec. 2-3; Schraudolph 2002, "Fast
         curvature matrix-vector products for second-order gradient descent", sec. 3; Andrei 2009,
         "Accelerated conjugate gradient algorithm with finite difference Hessian/vector product", eq. 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from foundations import autograd
from foundations.computational_graph import Tensor

Array: TypeAlias = np.ndarray
Map: TypeAlias = Callable[[Tensor], Tensor]  # a function written in Tensor operations
Layer: TypeAlias = tuple[Array, Array]  # weight (C, K), bias (K,)


def hvp(loss: Map, theta: ArrayLike, v: ArrayLike) -> Array:
    """Multiply the Hessian by a vector: the gradient of <grad L, v>, by two reverse passes.

    ``functools.partial(hvp, loss)`` is a function (theta, v) -> H v of arrays.

    Args:
        loss: theta as a Tensor of shape S -> a Tensor of one element that depends on it.
        theta: S, where to take the Hessian; only read, taken as float64.
        v: S.

    Returns:
        H(theta) v, S, float64; zeros where the gradient is constant.

    Raises:
        ValueError: v has another shape than theta (the message names both), or the loss has not one element
            (its shape).
    """
    raise NotImplementedError("dynamics.geometry.hessian_vector: TODO 1 of 6, hvp")


def hvp_fd(
    gradient: Callable[[Array], Array], theta: ArrayLike, v: ArrayLike, eps: float | None = None
) -> Array:
    """Multiply the Hessian by a vector by central differences, from nothing but a gradient.

        |v| (grad(theta + eps v/|v|) - grad(theta - eps v/|v|)) / 2 eps

    The step has the length eps whatever the length of v: eps times a long v would leave the region where the
    gradient is nearly linear, eps times a short one would drown in rounding.

    Args:
        gradient: theta (S) -> grad L (S).
        theta, v: S; only read.
        eps: > 0, the length of the step; None takes u^(1/3) max(1, |theta|), u = 2^-52, which balances the
            error of the formula, O(eps^2), with that of rounding, O(u / eps). Norms are Euclidean.

    Returns:
        H(theta) v, S; zeros for v = 0, without a call of ``gradient``.

    Raises:
        ValueError: v has another shape than theta (both are named), or eps is not positive (it is named).
    """
    raise NotImplementedError("dynamics.geometry.hessian_vector: TODO 2 of 6, hvp_fd")


def jvp(model: Map, theta: ArrayLike, v: ArrayLike) -> Array:
    """Multiply the Jacobian of a model by a vector: how its outputs move when theta moves along v.

    Reverse mode gives J^T u. As a function of u that is linear, so that its own gradient, of <J^T u, v> by u,
    is J v: two reverse passes make a forward one.

    Args:
        model: theta as a Tensor of shape S -> a Tensor of any shape Z that depends on it.
        theta, v: S; only read.

    Returns:
        J(theta) v, of shape Z, float64.

    Raises:
        ValueError: v has another shape than theta; the message names both.
    """
    raise NotImplementedError("dynamics.geometry.hessian_vector: TODO 3 of 6, jvp")


def ggn_vp(model: Map, loss: Map, theta: ArrayLike, v: ArrayLike) -> Array:
    """Multiply the Gauss-Newton matrix G = J^T H_L J of loss(model(theta)) by a vector.

    From right to left: J v, then the Hessian of the loss by the model's outputs, then J^T.

    Args:
        model: theta as a Tensor of shape S -> outputs z, any shape.
        loss: z as a Tensor -> a Tensor of one element.
        theta, v: S; only read.

    Returns:
        G(theta) v, S, float64.

    Raises:
        ValueError: as `hvp`.
    """
    raise NotImplementedError("dynamics.geometry.hessian_vector: TODO 4 of 6, ggn_vp")


def hvp_rop(
    layers: Sequence[Layer],
    directions: Sequence[Layer],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    gauss_newton: bool = False,
) -> list[Layer]:
    """Multiply by the Hessian of a tanh network's squared error, forward over reverse: Pearlmutter's R{.}.

        z = a W + b,  a' = tanh z (the last layer: a' = z)     L = mean (z_last - Y)^2, over all N K elements

    R{x} is the derivative of x along the directions: R{W} and R{b} are given, R{X} = R{Y} = 0, and the rest
    follows by the product rule, line by line, through the forward and the backward pass:

        R{z} = R{a} W + a R{W} + R{b}          R{a'} = (1 - a'^2) R{z}
        dL/dW = a^T d,  d_before = (d W^T) (1 - a^2)     and R{.} of both, with R{1 - a^2} = -2 a R{a}

    Args:
        layers: weight (C, K) and bias (K,) of each, first to last; at least one.
        directions: the vector v, in the same shapes.
        X: (N, C) inputs.
        Y: (N, K) targets.
        gauss_newton: multiply by the Gauss-Newton matrix instead. R{d} at the output is the same, but in the
            backward pass d itself is 0, as if there were no residual.

    Returns:
        H v, a pair (weight, bias) for each layer, in its shapes.

    Raises:
        ValueError: the shapes of directions are not those of layers; the message names the first pair of
            shapes that differ, or both numbers of layers.
    """
    raise NotImplementedError("dynamics.geometry.hessian_vector: TODO 5 of 6, hvp_rop")


def full_hessian(loss: Map, theta: ArrayLike) -> Array:
    """Write the Hessian down: row i is the gradient of the i-th element of the gradient.

    Args:
        loss: as for `hvp`.
        theta: S, of D elements; only read.

    Returns:
        (D, D), float64, elements in the order of ``theta.reshape(-1)``; zeros where the gradient is constant.

    Raises:
        ValueError: the loss has not one element; the message names its shape.
    """
    raise NotImplementedError("dynamics.geometry.hessian_vector: TODO 6 of 6, full_hessian")


def _pair(theta: ArrayLike, v: ArrayLike) -> tuple[Array, Array]:
    """Both as float64 arrays, if they have one shape."""
    theta, v = np.asarray(theta, np.float64), np.asarray(v, np.float64)
    if theta.shape != v.shape:
        raise ValueError(f"v has shape {v.shape} but theta {theta.shape}: expected the same")
    return theta, v


def _scalar(value: Tensor) -> Tensor:
    """The loss, if it is one number."""
    if value.size != 1:
        raise ValueError(f"the loss must have one element, got shape {value.shape}: take its sum or mean")
    return value


def _forward(z: Tensor, leaf: Tensor, v: Array) -> Array:
    """J v from the graph of z, which is kept."""
    u = Tensor(np.zeros_like(z.data), requires_grad=True)
    (pulled,) = autograd.grad(z, [leaf], u, create_graph=True)  # J^T u
    return autograd.grad(pulled, [u], v, retain_graph=True)[0].data
