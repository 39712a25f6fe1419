r"""The neural tangent kernel: how a step that is taken for one example moves the output for another.

    d f(x) / dt = -J(x) dL/dtheta = -sum over x' of Theta(x, x') dL/df(x')      Theta(x, x') = J(x) J(x')^T

J(x) = df(x)/dtheta is (K, P), so that Theta is a (K, K) matrix for each pair of examples, and a kernel over
the pairs (example, output). The gradient of the sum of the outputs sees only the sum of each such matrix.

The Jacobian has N K P numbers and is not needed. Layer l gives a weight the gradient delta_i h_j, with
delta = df/dz_l and h = h_(l-1), and the inner product of two such outer products is a product of two numbers:

    Theta_l(x, x') = s_w^2 (delta . delta') (h . h') + s_b^2 (delta . delta')        Theta = sum over l

s_w and s_b: the layer is W = s_w omega, b = s_b beta, and omega and beta are what is trained. With
s_w = sigma / sqrt(fan_in) (the NTK parametrisation) the kernel has a limit as the width grows, and training
changes it less and less, relatively by O(1 / sqrt(width)) or less. With a constant kernel and residuals
r = f - y, training is linear, and each eigenvector of Theta is learned at a rate of its own:

    L = 1/2 |r|^2        flow  r(t) = exp(-Theta t) r(0)        descent  r_k = (I - lr Theta)^k r_0

Shapes   N and M examples, K outputs, P parameters, L layers; X (N, N_0), Theta (N, K, M, K).
Source   Jacot, Gabriel & Hongler 2018, arXiv:1806.07572, sec. 3-5; Lee et al. 2019, arXiv:1902.06720, sec. 2,
         eq. 8-11; Chizat, Oyallon & Bach 2019, arXiv:1812.07956 (laziness).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isinf, sqrt

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.gradient_flow import flow_exact
from dynamics.credit.mlp_backprop import Cache, Spec, flatten, forward, unflatten
from dynamics.discrete.gd_quadratic import closed_form

Array = np.ndarray
Scales = Sequence[tuple[float, float]]  # s_w and s_b of each layer

CUTOFF = 1e-12  # of the largest eigenvalue: what is smaller may be 0 but for rounding


def ntk_scales(spec: Spec, sigma_w: float = 1.0, sigma_b: float = 1.0) -> list[tuple[float, float]]:
    """Give the factors of the NTK parametrisation: (sigma_w / sqrt(fan_in), sigma_b) for each layer.

    sigma_w = sqrt(2) keeps the size of signals under ReLU.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 1 of 10, ntk_scales")


def spread(scales: Scales, spec: Spec) -> Array:
    """Write the factor of each parameter: theta = spread(scales, spec) * omega.

    Descent on omega with a learning rate lr is descent on theta with lr * spread(scales, spec)^2.

    Args:
        scales: L pairs (s_w, s_b); s_b has no use in a network without biases.
        spec: the network.

    Returns:
        (P,), float64, in the order of theta.

    Raises:
        ValueError: there are not L pairs; the message names both numbers.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 2 of 10, spread")


def sensitivities(theta: Array, spec: Spec, cache: Cache) -> list[Array]:
    """Send each output of each sample back on its own, all in one pass: delta_l = df/dz_l.

    Args:
        theta: (P,), as in the forward pass.
        spec: the network.
        cache: of `forward` of N samples.

    Returns:
        L arrays, layer 1 first: (N, K, N_l), [n, k, i] the derivative of output k of sample n by z_l[n, i].
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 3 of 10, sensitivities")


def parameter_jacobian(theta: Array, spec: Spec, X: ArrayLike) -> Array:
    """Write down the derivatives of all outputs: delta_i h_j by the weights, delta_i by the biases.

    Args:
        theta: (P,).
        spec: the network.
        X: (N, N_0).

    Returns:
        (N, K, P): [n, k] is the gradient of output k of sample n, in the order of theta.

    Raises:
        ValueError: as `forward`.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 4 of 10, parameter_jacobian")


def ntk_by_layer(
    theta: Array, spec: Spec, X: ArrayLike, X2: ArrayLike | None = None, *, scales: Scales | None = None
) -> Array:
    """Give the part of each layer's weights and biases in the kernel, without the Jacobian.

    Args:
        theta: (P,), the weights and biases that the network computes with, whatever the scales.
        spec: the network.
        X: (N, N_0).
        X2: (M, N_0), the other examples; None takes X.
        scales: L pairs (s_w, s_b) of the parametrisation; None takes 1, where theta itself is trained.

    Returns:
        (L, N, K, M, K): [l, n, k, m, j] is the inner product of the gradients, by layer l + 1, of output k of
        X[n] and output j of X2[m].

    Raises:
        ValueError: as `forward`, or as `spread`.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 5 of 10, ntk_by_layer")


def ntk(
    theta: Array, spec: Spec, X: ArrayLike, X2: ArrayLike | None = None, *, scales: Scales | None = None
) -> Array:
    """Give the neural tangent kernel, the sum of the layers' parts; arguments and errors as `ntk_by_layer`.

    Returns:
        (N, K, M, K). reshape(N * K, M * K) makes a matrix of it, symmetric for X2 = None.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 6 of 10, ntk")


def lazy_flow(kernel: ArrayLike, r0: ArrayLike, t: ArrayLike) -> Array:
    """Give the residuals at time t of the flow on L = 1/2 |r|^2 under a constant kernel: exp(-Theta t) r0.

    For the mean of r^2 over all N K numbers, pass 2 Theta / (N K).

    Args:
        kernel: (*S, *S), symmetric, as (N, K, N, K) or (N, N).
        r0: S, the residuals f - y at time 0, as (N, K) or (N,).
        t: a time, or several, (T,).

    Returns:
        S, or (T, *S) for several.

    Raises:
        ValueError: the kernel's shape is not that of r0 twice (the message names both), or the kernel is not
            symmetric, but for a relative 1e-12 of rounding.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 7 of 10, lazy_flow")


def lazy_gd(kernel: ArrayLike, r0: ArrayLike, lr: float, k: ArrayLike) -> Array:
    """Give the residuals after k steps of descent on L = 1/2 |r|^2 under a constant kernel.

    (I - lr Theta)^k r0: what was a walk in P dimensions is descent on the quadratic 1/2 r^T Theta r. It
    diverges for lr > 2 / (largest eigenvalue).

    Args:
        kernel, r0: as for `lazy_flow`.
        lr: learning rate.
        k: a number of steps >= 0, or several, (T,).

    Returns:
        S, or (T, *S) for several.

    Raises:
        ValueError: as `lazy_flow`.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 8 of 10, lazy_gd")


def lazy_predict(kernel: ArrayLike, cross: ArrayLike, r0: ArrayLike, f0: ArrayLike, t: float) -> Array:
    """Give the outputs for other examples at time t of that flow: f(t) = f0 - Theta(X2, X) c(t).

        c(t) = integral of r over [0, t]        of r = exp(-a t) r_0:  c = r_0 (1 - exp(-a t)) / a

    Where a is 0 that is c = r_0 t: a singular kernel is none that has to be solved for. For t = inf this is
    kernel regression, c = Theta^+ r0: eigenvalues of a magnitude up to 1e-12 of the largest count as 0, and
    nothing is learned along their vectors.

    Args:
        kernel, r0: of the training examples, as for `lazy_flow`.
        cross: (*Q, *S), the kernel between the others and the training examples.
        f0: Q, the outputs for the others at time 0, as (M, K) or (M,).
        t: a time, or inf.

    Returns:
        Q.

    Raises:
        ValueError: as `lazy_flow`, or cross is not of the shape of f0 and that of r0; the message names all
            three.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 9 of 10, lazy_predict")


def relative_change(before: ArrayLike, after: ArrayLike) -> float:
    """Measure how far training has moved a kernel: |after - before| / |before|, Frobenius.

    Raises:
        ValueError: the shapes differ (both are named), or the kernel before is 0.
    """
    raise NotImplementedError("dynamics.geometry.ntk: TODO 10 of 10, relative_change")


def _checked(scales: Scales, spec: Spec) -> Scales:
    """The scales, if there is a pair for each layer."""
    if len(scales) != len(spec.sizes) - 1:
        raise ValueError(f"got {len(scales)} scales for {len(spec.sizes) - 1} layers: a pair for each")
    return scales


def _flat(kernel: ArrayLike, r0: ArrayLike) -> tuple[Array, Array]:
    """The kernel as a matrix, if it is symmetric, and the residuals as a vector."""
    kernel, r0 = np.asarray(kernel, np.float64), np.asarray(r0, np.float64)
    if kernel.shape != r0.shape * 2:
        raise ValueError(f"the kernel has shape {kernel.shape}, expected {r0.shape} of the residuals twice")
    matrix = kernel.reshape(r0.size, r0.size)
    if np.abs(matrix - matrix.T).max(initial=0) > 1e-12 * np.abs(matrix).max(initial=0):
        raise ValueError("the kernel must be symmetric: is it one between two sets of examples?")
    return matrix, r0.reshape(-1)
