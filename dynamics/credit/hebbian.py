r"""Hebb's rule and what keeps it in bounds: learning from what a synapse can see, its two ends.

    Hebb     dw = y x                        grows without bound, as exp(C t)
    Oja      dw = y x - y^2 w                turns to the top eigenvector of C, with length 1
    Sanger   dW = y x^T - lower(y y^T) W     the first K eigenvectors of C, in order
    BCM      dw = y (y - theta) x            theta follows the mean of y^2: one unit selects one input

y = w . x is the unit's response, and C = E[x x^T]. On average Hebb's rule is dw = C w, gradient ascent on
w . C w / 2, half the mean of y^2. It is unstable: what responds is strengthened, and responds more. Each of
the others adds a decay or a threshold that the responses alone set.

The functions take a batch and average over it: a whole data set gives the mean dynamics, one row the rule of
a synapse in time.

Shapes   X (N, D) inputs; w (D,) the weights of one unit, y (N,); W (K, D) those of K units, y (N, K).
Source   Hebb 1949, The Organization of Behavior, ch. 4; Oja 1982, "A simplified neuron model as a principal
         component analyzer", eq. 3; Sanger 1989, "Optimal unsupervised learning in a single-layer linear
         feedforward neural network", eq. 5; Bienenstock, Cooper & Munro 1982; Intrator & Cooper 1992 (the
         threshold as a mean of y^2); Yan, Helmke & Moore 1994 (Oja's flow, solved).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

Array = np.ndarray
Rule = Callable[[Array, Array, float], Array]


def hebb(w: Array, X: ArrayLike, lr: float) -> Array:
    """Strengthen the weights by the product of input and response, averaged over a batch.

    Args:
        w: (D,).
        X: (N, D), N at least 1.
        lr: learning rate.

    Returns:
        w + lr mean(y x), (D,), new.

    Raises:
        ValueError: X is not (N, D) with N at least 1; the message names its shape and D.
    """
    raise NotImplementedError("dynamics.credit.hebbian: TODO 1 of 6, hebb")


def oja(w: Array, X: ArrayLike, lr: float) -> Array:
    """Apply Hebb's rule with a decay that grows with the squared response; arguments and errors as `hebb`.

    Returns:
        w + lr mean(y x - y^2 w), (D,), new.
    """
    raise NotImplementedError("dynamics.credit.hebbian: TODO 2 of 6, oja")


def sanger(W: Array, X: ArrayLike, lr: float) -> Array:
    """Apply the generalized Hebbian algorithm: unit k learns from what units 1 ... k leave unexplained.

    Args:
        W: (K, D).
        X: (N, D), N at least 1.
        lr: learning rate.

    Returns:
        W + lr mean(y x^T - lower(y y^T) W), (K, D), new: lower() keeps the diagonal and what is below it, and
        sets the rest to 0. With one unit it is Oja's rule.

    Raises:
        ValueError: as `hebb`.
    """
    raise NotImplementedError("dynamics.credit.hebbian: TODO 3 of 6, sanger")


def bcm(w: Array, theta: float, X: ArrayLike, lr: float, tau: float) -> tuple[Array, float]:
    """Apply the rule of Bienenstock, Cooper and Munro: strengthen above a threshold, weaken below it.

    Args:
        w: (D,).
        theta: the threshold.
        X: (N, D), N at least 1.
        lr: learning rate.
        tau: time constant of the threshold in steps, at least 1; at 1 it jumps to the mean of y^2.

    Returns:
        w + lr mean(y (y - theta) x), (D,), new, and theta + (mean(y^2) - theta) / tau: both from the
        responses y = X w and the threshold before the step.

    Raises:
        ValueError: as `hebb`; or tau is below 1: the message names it.
    """
    raise NotImplementedError("dynamics.credit.hebbian: TODO 4 of 6, bcm")


def learn(rule: Rule, w: Array, X: ArrayLike, lr: float, epochs: int, *, rng: np.random.Generator) -> Array:
    """Show the inputs one at a time, each epoch all of them once in a new random order.

    Args:
        rule: `hebb`, `oja`, `sanger`, or a function of the same kind.
        w: the initial weights, (D,) or (K, D).
        X: (N, D).
        lr: learning rate, the same for every step.
        epochs: how often each input is shown, >= 0.
        rng: where the orders come from.

    Returns:
        (epochs + 1, *w.shape), float64: the initial weights, and the weights after each epoch.
    """
    raise NotImplementedError("dynamics.credit.hebbian: TODO 5 of 6, learn")


def oja_flow(C: ArrayLike, w0: ArrayLike, t: float) -> Array:
    """Solve Oja's rule in continuous time, dw/dt = C w - (w . C w) w.

    The solution is w(t) = u / sqrt(1 - |w0|^2 + |u|^2) with u = exp(C t) w0: Hebb's growth in the numerator,
    divided by what keeps the length. Both grow as exp(lambda t), with the largest eigenvalue lambda whose
    eigenvector has a part in w0: scale them by exp(-lambda t), and no t is too large. w0 = 0 stays 0. For a
    long w0 the difference |u|^2 - |w0|^2 loses its digits; with the parts c_i of w0 along the eigenvectors it
    is the sum of c_i^2 expm1(2 lambda_i t), in which nothing cancels.

    Args:
        C: (D, D), symmetric, eigenvalues >= 0.
        w0: (D,), the weights at time 0.
        t: time, >= 0.

    Returns:
        w(t), (D,).

    Raises:
        ValueError: C is not symmetric (D, D), but for a relative 1e-10 of rounding, or w0 not (D,) (the
            message names both shapes); or t < 0 (t).
    """
    raise NotImplementedError("dynamics.credit.hebbian: TODO 6 of 6, oja_flow")


def check_inputs(w: Array, X: ArrayLike) -> Array:
    """Give X as a float64 array; refuse what is not (N, D) with N >= 1, where D is the last side of w."""
    X = np.asarray(X, np.float64)
    if X.ndim != 2 or X.shape[1] != w.shape[-1] or not len(X):
        raise ValueError(f"X has shape {X.shape}, expected (N, {w.shape[-1]}) with N at least 1")
    return X
