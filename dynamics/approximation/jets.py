r"""Jets: a network's value, gradient and Laplacian with respect to its inputs, in one forward pass.

    J u = (u, u_1 ... u_D, L u)    u_d = du/dx_d,  L u = sum_d c_d d^2u/dx_d^2:  the Laplacian for c = 1

    the inputs      (x, e_1 ... e_D, 0)
    u = W h + b     u_d = W h_d                 L u = W L h
    h = phi(z)      h_d = phi'(z) z_d           L h = phi'(z) L z + phi''(z) sum_d c_d z_d^2
    u = v w         u_d = v_d w + v w_d         L u = (L v) w + 2 sum_d c_d v_d w_d + v L w

Reverse passes would build the graph of a gradient and differentiate it again, D times for a Laplacian. A jet
goes through the layers beside the value: D + 2 streams in place of one, no Hessian, and the sum of second
derivatives is carried as a sum; for one input it is u''. What comes out is an ordinary expression in theta:
when theta is a Tensor, so is the jet, and autograd finds the gradient of whatever is made of it, the residual
of a differential equation for one.

Shapes   N points, D coordinates, K outputs; value (N, K), gradient (D, N, K), second (N, K); theta (P,).
Source   Griewank & Walther 2008, Evaluating Derivatives, 2nd ed., sec. 13.2 (Taylor arithmetic);
         Li et al. 2023, "Forward Laplacian", arXiv:2307.08214; Raissi, Perdikaris & Karniadakis 2019,
         "Physics-informed neural networks", J. Comp. Phys. 378, sec. 2 (derivatives in a loss).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from dynamics.credit.mlp_backprop import ACTIVATIONS, Spec, unflatten
from foundations.autograd import grad
from foundations.computational_graph import Tensor, as_array
from foundations.elementwise import tanh
from nn_core.activations.sigmoid import sigmoid

Array: TypeAlias = np.ndarray
Values: TypeAlias = Tensor | Array


class Jet(NamedTuple):
    """A function at N points with its derivatives there, by D coordinates: arrays, or Tensors."""

    value: Values  # (N, K)
    gradient: Values  # (D, N, K): [d] is the derivative by coordinate d
    second: Values  # (N, K): sum_d operator[d] d^2/dx_d^2
    operator: Array  # (D,), c


def coordinates(X: ArrayLike, operator: ArrayLike | None = None) -> Jet:
    """Begin: the jet of the coordinates themselves, K = D functions of x, the d-th of which is x_d.

    Args:
        X: (N, D) points.
        operator: (D,), c, of any signs: (1, 0) is d^2/dx_1^2, (-1, 1) a wave operator. None: the Laplacian,
            all 1.

    Returns:
        Value X, (N, D); gradient (D, N, D), whose [d, n] is the unit vector e_d; second 0; all float64.

    Raises:
        ValueError: X is not (N, D), the message names its shape; or operator is not (D,), its shape and D.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 1 of 9, coordinates")


def affine(u: Jet, W: Values, b: Values | None = None) -> Jet:
    """Take the jet through u W^T + b: every stream meets W, the value alone meets b.

    Args:
        u: K outputs.
        W: (M, K).
        b: (M,); None: none.

    Returns:
        The jet of M outputs.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 2 of 9, affine")


def slopes(activation: str, z: Values) -> tuple[Values, Values, Values]:
    """Give phi(z), phi'(z) and phi''(z), written in operations that take arrays and Tensors.

    Args:
        activation: "linear", "tanh", "sigmoid" or "relu" (slope 0 at z = 0; second derivative 0 everywhere).
        z: any shape; a Tensor gives Tensors, but for derivatives that are constants, which may be arrays.

    Returns:
        Three of the shape of z.

    Raises:
        ValueError: another activation; the message names it and the four.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 3 of 9, slopes")


def activate(z: Jet, activation: str) -> Jet:
    """Take the jet through phi, element by element: the third line of this file.

    The curvature of phi enters with the squared slopes of z, the curvature of z with the slope of phi.

    Args:
        z: any K.
        activation: as `slopes`.

    Returns:
        The jet of phi(z), of the same shapes.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 4 of 9, activate")


def add(v: Jet, w: Jet) -> Jet:
    """Add two functions at the same points, each stream by itself.

    Raises:
        ValueError: their operators differ; the message names both.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 5 of 9, add")


def product(v: Jet, w: Jet) -> Jet:
    """Multiply two functions at the same points: the fourth line of this file, with its mixed term.

    Args:
        v, w: K outputs each, or one of them 1, which multiplies all of the other's.

    Returns:
        The jet of v w.

    Raises:
        ValueError: their operators differ; the message names both.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 6 of 9, product")


def network(theta: Values, spec: Spec, inputs: Jet) -> Jet:
    """Take a jet through a multi-layer perceptron, layer by layer.

    Args:
        theta: (P,), laid out as `mlp_backprop.unflatten` finds it: an array gives a jet of arrays, a Tensor
            one of Tensors.
        spec: the network.
        inputs: a jet of N_0 outputs: `coordinates`, or any functions of them.

    Returns:
        The jet of the N_L outputs.

    Raises:
        ValueError: theta has another shape than (P,), named by `unflatten`; or inputs has not N_0 outputs:
            the message names the shape of its value and N_0.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 7 of 9, network")


def curve(theta: ArrayLike, spec: Spec, x: ArrayLike) -> tuple[Array, Array, Array]:
    """Give u, u' and u'' of a network with one input and one output, to draw them.

    Args:
        theta: (P,).
        spec: N_0 = N_L = 1.
        x: (N,).

    Returns:
        Three arrays (N,).

    Raises:
        ValueError: another number of inputs or outputs; the message names the sizes.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 8 of 9, curve")


def residual_gradient(
    theta: ArrayLike, spec: Spec, inputs: Jet, residual: Callable[[Jet], Values]
) -> tuple[float, Array]:
    """Give the mean square of what ``residual`` makes of the network's jet, and its gradient by theta.

    Args:
        theta: (P,); only read.
        spec: the network.
        inputs: as `network`.
        residual: the jet of the outputs, of Tensors -> a Tensor of any shape, in operations of the engine.

    Returns:
        The mean over all elements of the residual, and the gradient (P,), float64.
    """
    raise NotImplementedError("dynamics.approximation.jets: TODO 9 of 9, residual_gradient")


def _contract(c: Array, parts: Values) -> Values:
    """sum_d c_d parts[d]: (D, N, K) -> (N, K)."""
    return (parts if np.all(c == 1) else c[:, None, None] * parts).sum(0)
