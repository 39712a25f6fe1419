r"""Equilibrium propagation: the gradient as the difference of two equilibria, measured where each synapse is.

    E(s) = sum_l 1/2 |s_l|^2 - b_l . rho(s_l) - rho(s_l)^T W_l rho(s_(l-1))        rho = tanh, rho(s_0) = x
    F(s, beta) = E(s) + beta C(s)        C = 1/2 |s_L - target|^2        ds/dt = -dF/ds

The network relaxes freely (beta = 0) to its answer, then once more with its output pulled a little towards
the target. At an equilibrium dF/ds = 0, so F's total derivatives there are its partial ones, in theta as well
as in beta; they commute, and the gradient of the loss L(theta) = C(s free) is

    dL/dtheta = d/dbeta dE/dtheta (s at beta) at 0 = (dE/dtheta(s_beta) - dE/dtheta(s_0)) / beta + O(beta)

The pull travels back through the same weights that carry the answer forward: no second network, no stored
activations. Pulled to both sides, +beta and -beta, the error is O(beta^2). The implicit function theorem
gives the same gradient without beta, by a linear system in the Hessian of E.

Shapes   x (N, D); a layer W (K, C), b (K,), C the width below; states: for each layer (N, K); target (N, K of
         the last). The losses and gradients are means over N.
Source   Scellier & Bengio 2017, "Equilibrium propagation", Front. Comput. Neurosci. 11:24, eq. 1-5 and
         theorem 1; Laborieux et al. 2021, arXiv:2006.03824, sec. 3.1 (both sides); Almeida 1987, Pineda 1987
         (the linear system).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

Array = np.ndarray
METHODS = ("symmetric", "one_sided")


class Layer(NamedTuple):
    """The weights (K, C) from the layer below, and the biases (K,); or the gradient by them."""

    weight: Array
    bias: Array


def energy(layers: Sequence[Layer], x: Array, states: Sequence[Array]) -> Array:
    """Compute E of the formula above for each example.

    Returns:
        (N,).
    """
    raise NotImplementedError("dynamics.energy.equilibrium_propagation: TODO 1 of 7, energy")


def cost(states: Sequence[Array], target: Array) -> Array:
    """Compute C = 1/2 |s_L - target|^2 for each example: (N,). The target is compared with s, not rho(s)."""
    raise NotImplementedError("dynamics.energy.equilibrium_propagation: TODO 2 of 7, cost")


def force(
    layers: Sequence[Layer], x: Array, states: Sequence[Array], target: Array | None = None, beta: float = 0.0
) -> list[Array]:
    """Compute -dF/ds, for each example (not divided by N).

        -s_l + rho'(s_l) (W_l rho(s_(l-1)) + b_l + W_(l+1)^T rho(s_(l+1)))    top: -beta (s_L - target)

    Args:
        layers, x, states: see the shapes above.
        target: needed where beta is not 0.
        beta: of any sign; positive pulls towards the target.

    Returns:
        A new array (N, K) for each layer.

    Raises:
        ValueError: beta is not 0 and there is no target; the message names beta.
    """
    raise NotImplementedError("dynamics.energy.equilibrium_propagation: TODO 3 of 7, force")


def relax(
    layers: Sequence[Layer],
    x: Array,
    target: Array | None = None,
    beta: float = 0.0,
    *,
    start: Sequence[Array] | None = None,
    step: float = 0.5,
    tol: float = 1e-10,
    max_steps: int = 10_000,
) -> list[Array]:
    """Follow the force, s <- s + step * force, until no part of it is above tol in size.

    The Hessian of F is about 1 for small weights; step times its largest eigenvalue must stay below 2.

    Args:
        layers, x, target, beta: as `force`.
        start: states to begin with, not changed; zeros by default.
        step, tol: > 0.
        max_steps: how many steps may be taken; 0 suffices for a start at the equilibrium.

    Returns:
        The states, new arrays: a minimum of F next to the start.

    Raises:
        ValueError: as `force`.
        RuntimeError: the force is still above tol, or not finite, after max_steps; the message names that
            number.
    """
    raise NotImplementedError("dynamics.energy.equilibrium_propagation: TODO 4 of 7, relax")


def energy_grad(layers: Sequence[Layer], x: Array, states: Sequence[Array]) -> list[Layer]:
    """Differentiate the mean energy by W_l and b_l, states held: -rho(s_l) rho(s_(l-1))^T and -rho(s_l).

    Each entry needs the activity at its own two ends and nothing else.

    Returns:
        A `Layer` for each layer: (K, C) and (K,), means over N.
    """
    raise NotImplementedError("dynamics.energy.equilibrium_propagation: TODO 5 of 7, energy_grad")


def eqprop_grad(
    layers: Sequence[Layer],
    x: Array,
    target: Array,
    beta: float = 0.01,
    method: str = "symmetric",
    *,
    step: float = 0.5,
    tol: float = 1e-10,
    max_steps: int = 10_000,
) -> list[Layer]:
    """Estimate the gradient of the mean cost of the free equilibrium from equilibria alone.

        one_sided    (g(beta) - g(0)) / beta        symmetric    (g(beta) - g(-beta)) / (2 beta)

    with g the `energy_grad` of the equilibrium at that beta. The free equilibrium is found from zeros, the
    others from the free one, so that all lie in the same valley. An unconverged phase costs tol / beta.

    Args:
        layers, x, target: see the shapes above.
        beta: not 0; negative pulls away from the target in the one-sided phase.
        method: "symmetric" or "one_sided".
        step, tol, max_steps: as `relax`, for each phase.

    Returns:
        A `Layer` for each layer.

    Raises:
        ValueError: beta is 0 or not finite, or the method is another word; the message names it.
        RuntimeError: as `relax`.
    """
    raise NotImplementedError("dynamics.energy.equilibrium_propagation: TODO 6 of 7, eqprop_grad")


def implicit_grad(layers: Sequence[Layer], x: Array, states: Sequence[Array], target: Array) -> list[Layer]:
    """Compute the gradient of the mean cost at a free equilibrium by the implicit function theorem.

        H lambda = dC/ds,  H = d2E/ds2        dL/dtheta = -lambda . d/ds dE/dtheta

        H_ll = 1 - diag(rho''(s_l) field_l)        H_(l+1, l) = -diag(rho'(s_(l+1))) W_(l+1) diag(rho'(s_l))

    with field_l the bracket in `force`, rho' = 1 - rho^2 and rho'' = -2 rho rho'. With v_l = rho'(s_l)
    lambda_l and v_0 = 0 the gradient by W_l is v_l rho(s_(l-1))^T + rho(s_l) v_(l-1)^T, by b_l it is v_l.

    Args:
        layers, x, target: see the shapes above.
        states: the free equilibrium.

    Returns:
        A `Layer` for each layer, means over N.
    """
    raise NotImplementedError("dynamics.energy.equilibrium_propagation: TODO 7 of 7, implicit_grad")


def _fields(layers: Sequence[Layer], x: Array, rho: Sequence[Array]) -> list[Array]:
    """What each unit receives from below, from above and from its bias: (N, K) for each layer."""
    fields = [below @ w.T + b for below, (w, b) in zip([x, *rho[:-1]], layers, strict=True)]
    for k in range(1, len(layers)):
        fields[k - 1] += rho[k] @ layers[k].weight
    return fields
