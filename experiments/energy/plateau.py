r"""How long a network 2-H-1 rests at the energy 1/4, foretold from where it stands.

On the plateau the weights are small, the output bias has settled at c with tanh(c) = 1/2, and the rest u
(W, b of the hidden units, a of the output) is of some size s. Each hidden unit says a (z - z^3 / 3), with
z = W x + b:

    d_1 = sum a z    of order s^2, affine in x         d_3 = -sum a z^3 / 3    of order s^4

For XOR the errors e = tanh(c) - target are blind to affine functions: mean(e d_1) = 0. Hence the Hessian of
E has no entry at all among these weights: **no direction grows exponentially, the linearised growth rate is
0**. What is left is a quartic,

    E = 1/4 + E_4(u) + ...     E_4 = 2 phi' mean(e d_3) + min over l of mean(q (d_1 + l)^2)

with phi' = 3/4 the slope of the output unit, phi'' = -3/4, and q = phi'^2 + e phi''. The fast output bias is
the minimum over l. Descent follows du/dt = -E_4'(u), of degree 3: from u / 2 the same path is run 4 times as
slowly, and it ends after a finite time. That time, in steps: divided by lr / (1 - momentum), for slow motion.

Shapes   M networks, 4 samples, H hidden units; W (M, 2, H), b (M, 1, H), a (M, H, 1).
Source   own derivation, above; that momentum acts as lr / (1 - momentum) on slow motion: Qian 1999, sec. 3.
"""

from __future__ import annotations

from math import atanh, inf

import numpy as np

from dynamics.credit.mlp_backprop import Spec, value_and_gradient
from experiments.energy.crowd import INPUTS, LEFT, LR, MOMENTUM, TARGETS, Array, Networks, all_samples
from foundations.computational_graph import Tensor

SLOPE, BEND = 0.75, -0.75  # phi' and phi'' of tanh where it is 1/2
ERRORS = 0.5 - TARGETS  # (4, 1)
STIFFNESS = SLOPE**2 + ERRORS * BEND  # (4, 1), of mean 9 / 16
SETTLING = 100  # steps after which the output bias is at c
REST = 0.25
STRIDE = 0.005  # of a step of the solver, relative to the weights


def curvature(units: int = 3, width: float = 1e-4) -> float:
    """The largest entry of the Hessian on the plateau, where all weights but the output bias are 0.

    By differences of gradients, of second order in ``width``; rows and columns of the output bias excluded.
    """
    spec = Spec((2, units, 1), "tanh", "tanh")
    rest = np.zeros(spec.parameters)
    rest[-1] = atanh(0.5)
    columns = []
    for shift in width * np.eye(spec.parameters)[:-1]:
        ahead, behind = (value_and_gradient(rest + s, spec, INPUTS, TARGETS)[1] for s in (shift, -shift))
        columns.append((ahead - behind)[:-1] / (2 * width))
    return float(np.abs(columns).max())


def foretold(spec: Spec, starts: Array) -> Array:
    """Steps after which networks 2-H-1 will have an energy below `LEFT`, (M,), with all samples in a step.

    Args:
        spec: tanh everywhere.
        starts: (M, P); the first `SETTLING` steps are run, the rest is foretold.
    """
    W, b, a, _ = Networks(spec, starts).train(all_samples(), SETTLING - 1).parameters
    time = time_to_fall([p.data for p in (W, b, a)])
    return SETTLING + time * (1 - MOMENTUM) / LR


def quartic(W: Tensor, b: Tensor, a: Tensor) -> Tensor:
    """E_4 of each network, (M,)."""
    z = INPUTS @ W + b  # (M, 4, H)
    first, third = z @ a, (z * z * z) @ a * (-1 / 3)  # (M, 4, 1)
    shift = (first * STIFFNESS).sum(1, keepdims=True) * (-1 / STIFFNESS.sum())  # (M, 1, 1)
    bent = first + shift
    return (2 * SLOPE * ERRORS * third + STIFFNESS * bent * bent).sum((1, 2)) * 0.25


def time_to_fall(weights: list[Array], steps: int = 20_000) -> Array:
    """Time in which E_4 reaches LEFT - 1/4 under its own gradient flow, (M,); inf where it does not.

    Args:
        weights: W, b and a.
        steps: of the solver; each moves the weights by `STRIDE` of their length, so that times add up like
            a geometric series as they grow.
    """
    found = np.full(len(weights[0]), inf)
    elapsed = np.zeros(len(found))
    for _ in range(steps):
        parts = [Tensor(w, True) for w in weights]
        energy = quartic(*parts)
        energy.sum().backward()
        down = energy.data < LEFT - REST
        found = np.where(down & np.isinf(found), elapsed, found)
        if np.isfinite(found).all():
            break
        slopes = [p.grad for p in parts]
        size, speed = (np.sqrt(sum((x * x).sum((1, 2)) for x in xs)) for xs in (weights, slopes))
        dt = np.where(down, 0.0, STRIDE * size / speed)
        elapsed = elapsed + dt
        weights = [w - dt[:, None, None] * g for w, g in zip(weights, slopes, strict=True)]
    return found
