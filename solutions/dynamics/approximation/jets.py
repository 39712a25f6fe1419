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
    X = np.asarray(X, np.float64)
    if X.ndim != 2:
        raise ValueError(f"X has shape {X.shape}, expected (N, D): a column per coordinate")
    D = X.shape[1]
    c = np.ones(D) if operator is None else np.asarray(operator, np.float64)
    if c.shape != (D,):
        raise ValueError(
            f"operator has shape {c.shape}, expected ({D},): a number per coordinate of X {X.shape}"
        )
    return Jet(X, np.repeat(np.eye(D)[:, None], len(X), axis=1), np.zeros_like(X), c)


def affine(u: Jet, W: Values, b: Values | None = None) -> Jet:
    """Take the jet through u W^T + b: every stream meets W, the value alone meets b.

    Args:
        u: K outputs.
        W: (M, K).
        b: (M,); None: none.

    Returns:
        The jet of M outputs.
    """
    into = W.T  # (K, M)
    value = u.value @ into
    return Jet(value if b is None else value + b, u.gradient @ into, u.second @ into, u.operator)


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
    if activation == "tanh":
        y = tanh(z)
        p = 1.0 - y * y
        return y, p, -2.0 * (y * p)
    if activation == "sigmoid":
        y = sigmoid(z)
        p = y * (1.0 - y)
        return y, p, p * (1.0 - 2.0 * y)
    if activation == "relu":
        on = np.where(as_array(z) > 0, 1.0, 0.0)
        return z * on, on, np.zeros_like(on)
    if activation == "linear":
        return z, np.ones_like(as_array(z)), np.zeros_like(as_array(z))
    raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")


def activate(z: Jet, activation: str) -> Jet:
    """Take the jet through phi, element by element: the third line of this file.

    The curvature of phi enters with the squared slopes of z, the curvature of z with the slope of phi.

    Args:
        z: any K.
        activation: as `slopes`.

    Returns:
        The jet of phi(z), of the same shapes.
    """
    y, p, q = slopes(activation, z.value)
    squares = _contract(z.operator, z.gradient * z.gradient)  # (N, K)
    return Jet(y, p * z.gradient, p * z.second + q * squares, z.operator)


def add(v: Jet, w: Jet) -> Jet:
    """Add two functions at the same points, each stream by itself.

    Raises:
        ValueError: their operators differ; the message names both.
    """
    if not np.array_equal(v.operator, w.operator):
        raise ValueError(
            f"jets of different operators, {v.operator} and {w.operator}: begin from the same one"
        )
    return Jet(v.value + w.value, v.gradient + w.gradient, v.second + w.second, v.operator)


def product(v: Jet, w: Jet) -> Jet:
    """Multiply two functions at the same points: the fourth line of this file, with its mixed term.

    Args:
        v, w: K outputs each, or one of them 1, which multiplies all of the other's.

    Returns:
        The jet of v w.

    Raises:
        ValueError: their operators differ; the message names both.
    """
    if not np.array_equal(v.operator, w.operator):
        raise ValueError(
            f"jets of different operators, {v.operator} and {w.operator}: begin from the same one"
        )
    mixed = _contract(v.operator, v.gradient * w.gradient)
    return Jet(
        v.value * w.value,
        v.gradient * w.value + v.value * w.gradient,
        v.second * w.value + 2.0 * mixed + v.value * w.second,
        v.operator,
    )


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
    if as_array(inputs.value).shape[-1] != spec.sizes[0]:
        raise ValueError(f"inputs has value {as_array(inputs.value).shape}, expected (N, {spec.sizes[0]})")
    weights, biases = unflatten(theta, spec)  # type: ignore[arg-type]  # slices and reshapes, which Tensors have
    u = inputs
    for i, W in enumerate(weights):
        u = affine(u, W, biases[i] if spec.bias else None)
        name = spec.hidden if i < len(weights) - 1 else spec.output
        u = u if name == "linear" else activate(u, name)
    return u


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
    if spec.sizes[0] != 1 or spec.sizes[-1] != 1:
        raise ValueError(f"a curve needs one input and one output, got sizes {spec.sizes}")
    u = network(np.asarray(theta, np.float64), spec, coordinates(np.asarray(x, np.float64)[:, None]))
    return as_array(u.value)[:, 0], as_array(u.gradient)[0, :, 0], as_array(u.second)[:, 0]


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
    leaf = Tensor(np.asarray(theta, np.float64), requires_grad=True)
    r = residual(network(leaf, spec, inputs))
    loss = (r * r).mean()
    return loss.item(), grad(loss, [leaf])[0].data


def _contract(c: Array, parts: Values) -> Values:
    """sum_d c_d parts[d]: (D, N, K) -> (N, K)."""
    return (parts if np.all(c == 1) else c[:, None, None] * parts).sum(0)
