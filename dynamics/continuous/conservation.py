r"""What training cannot change: each symmetry of the loss is a quantity that the gradient flow conserves.

    L(exp(s M) theta) = L(theta) for all s      =>      g . M theta = 0 everywhere,  g = grad L
    M symmetric:   d/dt (theta . M theta) = 2 theta . M d theta/dt = -2 g . M theta = 0

A linear network W2 W1 does not change when W1 becomes A W1 and W2 becomes W2 A^-1, and so a whole matrix is
conserved: W2^T W2 - W1 W1^T. A ReLU unit allows A > 0, one number a unit: out^2 - in^2 - bias^2 of its
weights. A loss that does not see the length of w conserves |w|^2. What is balanced at the start stays so.

Gradient descent is not the flow. In theta - lr g the term of first order vanishes by the symmetry, and what
is left is known exactly, with no O( ): the charge theta . M theta changes by lr^2 g . M g in each step.

Shapes   N examples, D features, H hidden units, K outputs; W1 (H, D), W2 (K, H); theta and g (P,), M (P, P).
Source   Du, Hu & Lee 2018, "Algorithmic regularization in learning deep homogeneous models: layers are
         automatically balanced", arXiv:1806.00900, sec. 2; Kunin et al. 2021, "Neural mechanics",
         arXiv:2012.04728, sec. 3-5; Saxe et al. 2013, arXiv:1312.6120, sec. 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.gradient_flow import descend

Array = np.ndarray


class LinearLoss(NamedTuple):
    """The loss of a linear network of two layers, and its gradients by W1 (H, D) and by W2 (K, H)."""

    loss: float
    grad1: Array
    grad2: Array


def linear_loss(W1: ArrayLike, W2: ArrayLike, X: ArrayLike, Y: ArrayLike) -> LinearLoss:
    """Give the loss 1/(2N) sum_n |W2 W1 x_n - y_n|^2 of a linear network, and its gradients.

    Args:
        W1: (H, D).
        W2: (K, H).
        X: (N, D), an example a row.
        Y: (N, K).

    Raises:
        ValueError: the shapes do not fit; the message names all four.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 1 of 9, linear_loss")


def balance(W1: ArrayLike, W2: ArrayLike) -> Array:
    """Give W2^T W2 - W1 W1^T, (H, H): conserved by the flow on any loss that depends on W2 W1 alone.

    Entry (i, j) compares the outgoing weights of the units i and j with the incoming ones.

    Args:
        W1: (H, D), the layer that is applied first.
        W2: (K, H).

    Raises:
        ValueError: the numbers of hidden units differ; the message names both shapes.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 2 of 9, balance")


def balance_drift(grad1: ArrayLike, grad2: ArrayLike, lr: float) -> Array:
    """Give the exact change of `balance` by one step of descent: lr^2 (G2^T G2 - G1 G1^T).

    Args:
        grad1: (H, D), the gradient by W1 where the step begins.
        grad2: (K, H), the gradient by W2.
        lr: learning rate.

    Returns:
        (H, H).

    Raises:
        ValueError: as `balance`.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 3 of 9, balance_drift")


def unit_balance(W1: ArrayLike, W2: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """Give |outgoing|^2 - |incoming|^2 - bias^2 of each hidden unit: conserved by the flow on a ReLU network.

    relu(a z) = a relu(z) for a > 0: a unit whose incoming weights and bias are multiplied by a, and its
    outgoing ones divided, computes the same. Without bias it is the diagonal of `balance`.

    Args:
        W1: (H, D), incoming weights.
        W2: (K, H), outgoing weights.
        bias: (H,), of the hidden units.

    Returns:
        (H,).

    Raises:
        ValueError: as `balance`, or the bias is not (H,): the message names its shape and W1's.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 4 of 9, unit_balance")


def charge(M: ArrayLike, theta: ArrayLike) -> float:
    """Give theta . M theta, conserved by the flow if the loss is invariant under theta -> exp(s M) theta.

    For an antisymmetric M, a rotation, it would be 0 for every theta, and its conservation says nothing.

    Args:
        M: (P, P), symmetric.
        theta: (P,).

    Raises:
        ValueError: M is not (P, P) for theta (P,): the message names both shapes; or M is not symmetric, but
            for a relative 1e-12 of rounding.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 5 of 9, charge")


def violation(M: ArrayLike, theta: ArrayLike, g: ArrayLike) -> float:
    """Give g . M theta, the change of the loss along the orbit exp(s M) theta at s = 0: 0 for a symmetry.

    Args:
        M: (P, P), any.
        theta: (P,).
        g: (P,), the gradient of the loss at theta.

    Raises:
        ValueError: M does not fit theta, or g has another shape; the message names both shapes.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 6 of 9, violation")


def charge_drift(M: ArrayLike, g: ArrayLike, lr: float) -> float:
    """Give the exact change of `charge` by a step of descent along a symmetry: lr^2 g . M g.

    Args:
        M: (P, P), symmetric, a symmetry of the loss.
        g: (P,), the gradient where the step begins.
        lr: learning rate.

    Raises:
        ValueError: as `charge`, with g for theta.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 7 of 9, charge_drift")


def product_descent(x: float, y: float, lr: float, steps: int, target: float = 1.0) -> tuple[Array, Array]:
    """Run gradient descent on (x y - target)^2 / 2, a network with one weight in each of its two layers.

    Its symmetry (a x, y / a) has M = diag(1, -1) and the charge x^2 - y^2.

    Args:
        x, y: the start.
        lr: learning rate, > 0.
        steps: >= 0.
        target: what x y should be.

    Returns:
        (path, residuals): (steps + 1, 2), the start first; (steps + 1,), r = x y - target at each point.

    Raises:
        ValueError: as `descend`.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 8 of 9, product_descent")


def product_charge(x: float, y: float, residuals: ArrayLike, lr: float) -> Array:
    """Predict x^2 - y^2 along `product_descent` from its start: each step multiplies it by 1 - lr^2 r^2.

    For g = r (y, x), so that lr^2 g . M g = -lr^2 r^2 (x^2 - y^2): descent, unlike the flow, balances while
    lr |r| is below sqrt(2).

    Args:
        x, y: the start.
        residuals: (T,), r at each point; the last acts on no step. Not changed.
        lr: learning rate.

    Returns:
        (T,), x^2 - y^2 at each point, the start first.
    """
    raise NotImplementedError("dynamics.continuous.conservation: TODO 9 of 9, product_charge")


def _layers(W1: ArrayLike, W2: ArrayLike) -> tuple[Array, Array]:
    """Both as matrices that have the hidden units in common."""
    W1, W2 = np.asarray(W1, np.float64), np.asarray(W2, np.float64)
    if W1.ndim != 2 or W2.ndim != 2 or W1.shape[0] != W2.shape[1]:
        raise ValueError(f"expected W1 (H, D) and W2 (K, H), got {W1.shape} and {W2.shape}")
    return W1, W2


def _generator(M: ArrayLike, theta: ArrayLike) -> tuple[Array, Array]:
    """A matrix and the vector that it acts on."""
    M, theta = np.asarray(M, np.float64), np.asarray(theta, np.float64)
    if theta.ndim != 1 or M.shape != theta.shape * 2:
        raise ValueError(f"expected M (P, P) and a vector (P,), got {M.shape} and {theta.shape}")
    return M, theta
