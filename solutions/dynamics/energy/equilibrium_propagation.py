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
    below, total = x, np.zeros(len(x))
    for (weight, bias), s in zip(layers, states, strict=True):
        rho = np.tanh(s)  # (N, K)
        total += np.sum(0.5 * s * s - rho * (below @ weight.T + bias), axis=1)
        below = rho
    return total


def cost(states: Sequence[Array], target: Array) -> Array:
    """Compute C = 1/2 |s_L - target|^2 for each example: (N,). The target is compared with s, not rho(s)."""
    return 0.5 * np.sum((states[-1] - target) ** 2, axis=1)


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
    if target is None and beta != 0:
        raise ValueError(f"a target is needed for beta = {beta}")
    rho = [np.tanh(s) for s in states]
    forces = [
        (1 - r * r) * field - s for r, field, s in zip(rho, _fields(layers, x, rho), states, strict=True)
    ]
    if target is not None:
        forces[-1] -= beta * (states[-1] - target)
    return forces


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
    states = [np.zeros((len(x), len(b))) for _, b in layers] if start is None else [s.copy() for s in start]
    size = np.inf
    for _ in range(max_steps + 1):
        forces = force(layers, x, states, target, beta)
        size = max(np.abs(f).max(initial=0.0) for f in forces)
        if size <= tol:
            return states
        if not np.isfinite(size):
            break
        states = [s + step * f for s, f in zip(states, forces, strict=True)]
    raise RuntimeError(
        f"no equilibrium: the force is {size:.3g} after max_steps = {max_steps}, expected at most {tol}; "
        f"try a step below {step}, or smaller weights"
    )


def energy_grad(layers: Sequence[Layer], x: Array, states: Sequence[Array]) -> list[Layer]:
    """Differentiate the mean energy by W_l and b_l, states held: -rho(s_l) rho(s_(l-1))^T and -rho(s_l).

    Each entry needs the activity at its own two ends and nothing else.

    Returns:
        A `Layer` for each layer: (K, C) and (K,), means over N.
    """
    grads, below = [], x
    for _, s in zip(layers, states, strict=True):
        rho = np.tanh(s)
        grads.append(Layer(-rho.T @ below / len(x), -rho.mean(axis=0)))
        below = rho
    return grads


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
    if beta == 0 or not np.isfinite(beta):
        raise ValueError(f"beta must be finite and not 0, got {beta}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    free = relax(layers, x, step=step, tol=tol, max_steps=max_steps)

    def pulled(b: float) -> list[Layer]:
        states = relax(layers, x, target, b, start=free, step=step, tol=tol, max_steps=max_steps)
        return energy_grad(layers, x, states)

    far = pulled(beta)
    near = pulled(-beta) if method == "symmetric" else energy_grad(layers, x, free)
    width = 2 * beta if method == "symmetric" else beta
    return [
        Layer((a.weight - c.weight) / width, (a.bias - c.bias) / width)
        for a, c in zip(far, near, strict=True)
    ]


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
    rho = [np.tanh(s) for s in states]
    slope = [1 - r * r for r in rho]
    ends = np.cumsum([0, *(s.shape[1] for s in states)])
    at = [slice(i, j) for i, j in pairwise(ends)]
    H = np.zeros((len(x), ends[-1], ends[-1]))
    diagonal = [1 + 2 * r * d * f for r, d, f in zip(rho, slope, _fields(layers, x, rho), strict=True)]
    H[:, range(ends[-1]), range(ends[-1])] = np.concatenate(diagonal, axis=1)
    for k in range(1, len(layers)):
        block = -slope[k][:, :, None] * layers[k].weight * slope[k - 1][:, None, :]  # (N, K, C)
        H[:, at[k], at[k - 1]], H[:, at[k - 1], at[k]] = block, block.transpose(0, 2, 1)
    pull = np.zeros((len(x), ends[-1]))
    pull[:, at[-1]] = states[-1] - target
    adjoint = np.linalg.solve(H, pull[:, :, None])[:, :, 0]
    v = [d * adjoint[:, part] for d, part in zip(slope, at, strict=True)]
    grads, below, v_below = [], x, np.zeros_like(x)
    for r, v_here in zip(rho, v, strict=True):
        grads.append(Layer((v_here.T @ below + r.T @ v_below) / len(x), v_here.mean(axis=0)))
        below, v_below = r, v_here
    return grads


def _fields(layers: Sequence[Layer], x: Array, rho: Sequence[Array]) -> list[Array]:
    """What each unit receives from below, from above and from its bias: (N, K) for each layer."""
    fields = [below @ w.T + b for below, (w, b) in zip([x, *rho[:-1]], layers, strict=True)]
    for k in range(1, len(layers)):
        fields[k - 1] += rho[k] @ layers[k].weight
    return fields
