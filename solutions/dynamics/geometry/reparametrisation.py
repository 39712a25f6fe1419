r"""Sharpness depends on the map: the same function, written in other parameters, has another curvature.

    theta = S phi            H_phi = S H S                               new units for each parameter
    relu(a z) = a relu(z)    (W_1, b_1, W_2) -> (a W_1, a b_1, W_2 / a)  the same network for every a > 0

Under the second the Hessian becomes A^-1 H A^-1, A = diag(a, ..., 1 / a): its largest eigenvalue can be made
as large as one likes, at a minimum that computes what it computed before. So a sharp minimum cannot be a bad
one for being sharp. What gradient descent feels is the sharpness in the coordinates that it steps in.

Measured relative to the parameters themselves the scale drops out:

    D H D,  D = diag(|theta|)     ->     |A| D A^-1 H A^-1 |A| D  =  D H D

exactly, for factors of single neurons, too. It is the sharpness in log |theta|, at a minimum.

Shapes   theta, scale (P,); H (P, P), known only by the product mv: (P,) -> (P,); layer l has N_l neurons.
Source   Dinh, Pascanu, Bengio & Bengio 2017, "Sharp minima can generalize for deep nets", arXiv:1703.04933,
         sec. 4-5; Kwon, Kim, Park & Choi 2021, "ASAM", arXiv:2102.11600, sec. 3 (relative);
         Andriushchenko et al. 2023, arXiv:2302.07011 (what sharpness does not predict).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from dynamics.credit.mlp_backprop import Spec, unflatten
from dynamics.geometry.lanczos import lanczos, ritz

Array: TypeAlias = np.ndarray
Product: TypeAlias = Callable[[Array], Array]

HOMOGENEOUS = ("relu", "linear")  # phi(a z) = a phi(z) for a > 0


def rescale(theta: ArrayLike, spec: Spec, layer: int, factor: ArrayLike) -> Array:
    """Make the inputs of a hidden layer's neurons larger and its outputs smaller: the same function.

    Row i of W_l and entry i of b_l are multiplied by the factor of neuron i, column i of W_(l+1) is divided
    by it.

    Args:
        theta: (P,), in the order of ``spec``; only read.
        spec: a network whose hidden activation is "relu" or "linear".
        layer: l in [1, L - 1], of L layers: the hidden layers, from the input on.
        factor: > 0 and finite; one number, or (N_l,), one for each neuron.

    Returns:
        (P,), new.

    Raises:
        ValueError: the hidden activation is another one (it is named); layer is out of range (it and L - 1
            are); factor has another shape (it and N_l are) or is not positive and finite.
    """
    if spec.hidden not in HOMOGENEOUS:
        raise ValueError(
            f"hidden must be one of {', '.join(HOMOGENEOUS)} to be rescaled, got {spec.hidden!r}"
        )
    if not 1 <= layer <= len(spec.sizes) - 2:
        raise ValueError(f"layer must be a hidden one, in [1, {len(spec.sizes) - 2}], got {layer}")
    a, neurons = np.asarray(factor, np.float64), spec.sizes[layer]
    if a.shape not in ((), (neurons,)):
        raise ValueError(f"factor must be a number or ({neurons},), one for each neuron, got shape {a.shape}")
    if not np.all((a > 0) & (a < np.inf)):
        raise ValueError(f"factor must be positive and finite, got {a}")
    theta = np.array(theta, np.float64)
    weights, biases = unflatten(theta, spec)  # views
    weights[layer - 1][:] *= a[..., None]
    if spec.bias:
        biases[layer - 1][:] *= a
    weights[layer][:] /= a
    return theta


def change_units(mv: Product, scale: ArrayLike) -> Product:
    """See a Hessian in the coordinates phi, where theta = scale * phi: v -> S H S v.

    By the chain rule each derivative brings a factor: d^2 L / dphi_i dphi_j = s_i H_ij s_j.

    Args:
        mv: v (P,) -> H v (P,).
        scale: s (P,), finite.

    Returns:
        A function of v (P,), which it only reads. It raises ValueError for v of another shape; the message
        names both.

    Raises:
        ValueError: scale is not a finite vector; the message names its shape.
    """
    s = np.array(scale, np.float64)
    if s.ndim != 1 or not np.isfinite(s).all():
        raise ValueError(f"scale must be a finite vector (P,), got shape {s.shape}: {s}")

    def product(v: Array) -> Array:
        if np.shape(v) != s.shape:
            raise ValueError(f"v has shape {np.shape(v)}, but scale has {s.shape}")
        return s * mv(s * v)

    return product


def sharpness(mv: Product, n: int, *, rng: np.random.Generator, steps: int = 100) -> float:
    """Find the largest eigenvalue, by value, with Lanczos from a random start.

    Args:
        mv: v (n,) -> H v (n,), H symmetric.
        n: the length of the vectors.
        rng: for the start.
        steps: products, >= 1; no more than n are made, and n are exact.

    Returns:
        The eigenvalue, with its sign: below 0 where all are.

    Raises:
        ValueError: as `lanczos`.
    """
    return float(ritz(lanczos(mv, rng.standard_normal(n), min(steps, n))).values[-1])


def relative_sharpness(mv: Product, theta: ArrayLike, *, rng: np.random.Generator, steps: int = 100) -> float:
    """Find the `sharpness` in units of the parameters themselves: of D H D, D = diag(|theta|).

    Steps of the length rho, each parameter's in units of its own size, raise the loss at a minimum by
    rho^2 / 2 times that, at most. A parameter that is 0 does not move.

    Args:
        mv: v (P,) -> H v (P,), the Hessian at theta.
        theta: (P,); only read.
        rng, steps: as for `sharpness`.

    Returns:
        The eigenvalue: the same for all rescaled copies of a network.

    Raises:
        ValueError: theta is not a finite vector (its shape is named), or as `lanczos`.
    """
    size = np.abs(np.asarray(theta, np.float64))
    return sharpness(change_units(mv, size), size.size, rng=rng, steps=steps)


def descend(
    gradient: Callable[[Array], Array], theta: ArrayLike, scale: ArrayLike, lr: float, steps: int
) -> Array:
    """Follow gradient descent in the coordinates phi, theta = scale * phi, and tell where it is in theta.

        phi <- phi - lr scale * grad L(scale * phi)
        theta <- theta - lr scale^2 * grad L(theta)                 the same, seen in theta

    A change of units is a preconditioner; it is stable while lr lambda_max(S H S) < 2.

    Args:
        gradient: theta (P,) -> grad L (P,); gets an array of its own.
        theta: (P,), the start; only read.
        scale: (P,), finite.
        lr: >= 0.
        steps: >= 0.

    Returns:
        (steps + 1, P), the start first.

    Raises:
        ValueError: scale has another shape than theta (both are named), or lr is negative or nan or
            steps is negative (it is).
    """
    theta, s = np.asarray(theta, np.float64), np.asarray(scale, np.float64)
    if theta.shape != s.shape:
        raise ValueError(f"scale has shape {s.shape}, expected {theta.shape} like theta")
    if not lr >= 0 or steps < 0:
        raise ValueError(f"lr and steps must not be negative, got lr={lr} and steps={steps}")
    path = [theta]
    for _ in range(steps):
        path.append(path[-1] - lr * s * s * gradient(path[-1].copy()))
    return np.array(path)
