r"""Deep linear networks: what they compute is linear, how they learn is not, and they learn in stages.

    loss = 1/2 mean |W_L ... W_1 x - y|^2        Sxx = mean x x^T = I        Syx = mean y x^T = U S V^T

The flow on the weights moves through the singular modes of Syx. From weights that are balanced and aligned
with them, each layer's share of a mode is the same number a, and the modes never hear of each other: with
u = a^L, the strength of a mode in the product W_L ... W_1,

    da/dt = a^(L-1) (s - u)        du/dt = L u^(2 - 2/L) (s - u)

One layer learns all modes at the same rate, 1. Two give the logistic curve: a plateau, a jump, rest,

    u(t) = s / (1 + (s/u0 - 1) exp(-2 s t / tau))        half of s is reached at  tau ln(s/u0 - 1) / (2 s)

so that strong modes come first, and from a small start each is learned before the next has begun. tau is 1
in units of the flow; where t counts steps of descent, tau = 1 / lr. The modes are those of Syx only if the
inputs are white, Sxx = I. The sign of a singular vector is free: take u and v from the same decomposition.

Shapes   N examples, D inputs, K outputs, R = min(D, K) modes; W_1 (H1, D), W_2 (H2, H1), ..., W_L (K, .).
Source   Saxe, McClelland & Ganguli 2013, "Exact solutions to the nonlinear dynamics of learning in deep
         linear neural networks", arXiv:1312.6120, sec. 1-2, eq. 3, 8, 9, 12; Saxe, McClelland & Ganguli 2019,
         "A mathematical theory of semantic development in deep neural networks", arXiv:1810.10531.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.gradient_flow import descend
from dynamics.continuous.ode import odeint

Array = np.ndarray


class Correlations(NamedTuple):
    """All that a linear network sees of its data: mean x x^T, (D, D), and mean y x^T, (K, D)."""

    xx: Array
    yx: Array


def correlations(X: ArrayLike, Y: ArrayLike) -> Correlations:
    """Give mean x x^T and mean y x^T over the examples; nothing is centred.

    Args:
        X: (N, D), an example a row.
        Y: (N, K).

    Raises:
        ValueError: the numbers of examples differ, or X or Y is no matrix; the message names both shapes.
    """
    X, Y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
    if X.ndim != 2 or Y.ndim != 2 or len(X) != len(Y):
        raise ValueError(f"expected X (N, D) and Y (N, K), got X {X.shape} and Y {Y.shape}")
    return Correlations(X.T @ X / len(X), Y.T @ X / len(X))


def whiten(X: ArrayLike) -> Array:
    """Make inputs white, mean x x^T = I, by the symmetric root: X Sxx^(-1/2), the nearest white data.

    From the singular values of X = P diag(c) Q^T it is sqrt(N) P Q^T, without forming Sxx, which would square
    the condition number.

    Args:
        X: (N, D).

    Returns:
        (N, D).

    Raises:
        ValueError: X has no D independent columns, its smallest singular value at most D N 1e-16 of its
            largest (as when N < D): nothing makes it white. The message names its shape.
    """
    X = np.asarray(X, np.float64)
    P, c, Qt = np.linalg.svd(X, full_matrices=False)
    if len(X) < X.shape[1] or c[-1] <= X.size * 1e-16 * c[0]:
        raise ValueError(f"X of shape {X.shape} has dependent columns: no map makes it white")
    return np.sqrt(len(X)) * P @ Qt


def mode_strength(s: ArrayLike, u0: ArrayLike, t: ArrayLike, tau: float = 1.0) -> Array:
    """Give the strength u(t) of a mode in a network of two layers: du/dt = 2 u (s - u) / tau from u0.

    Written as u0 / (exp(-x) + (2 u0 t / tau) (1 - exp(-x)) / x) with x = 2 s t / tau it holds for any t, for
    nothing overflows, as exp(x) in the numerator would at 710, and for s = 0: there x = 0, the last fraction
    is 1, and u decays as a power of t. u0 = 0 stands apart: late the form is 0 / 0, and u is 0.

    Args:
        s: singular value of Syx, >= 0.
        u0: strength at time 0, >= 0. At 0 the mode rests for ever: it is a saddle.
        t: times >= 0.
        tau: 1 / lr where t counts steps, else 1.

    Returns:
        An array of the common shape of s, u0 and t, which broadcast.
    """
    s, u0, t = (np.asarray(v, np.float64) for v in (s, u0, t))
    x = 2 * s * t / tau
    mean = np.where(x == 0, 1.0, -np.expm1(-x) / np.where(x == 0, 1.0, x))  # of exp(-y) over y in [0, x]
    below = np.exp(-x) + 2 * u0 * t / tau * mean
    return np.asarray(np.where(u0 == 0, 0.0, u0 / np.where(u0 == 0, 1.0, below)))  # exp(-x) may be 0, too


def half_time(s: ArrayLike, u0: ArrayLike, tau: float = 1.0) -> Array:
    """Give the time at which a mode of two layers has reached s / 2: tau ln(s/u0 - 1) / (2 s).

    Negative if u0 is more than half of s already.

    Args:
        s, u0, tau: as `mode_strength`; s and u0 broadcast.

    Raises:
        ValueError: not 0 < u0 < s everywhere: a mode rests at 0, or comes from above; the message names both.
    """
    s, u0 = np.asarray(s, np.float64), np.asarray(u0, np.float64)
    if not np.all((u0 > 0) & (u0 < s)):
        raise ValueError(f"u0 must be above 0 and below s, got u0 {u0} and s {s}")
    return np.asarray(tau * np.log(s / u0 - 1) / (2 * s))


def deep_mode(s: float, u0: float, ts: ArrayLike, depth: int) -> Array:
    """Follow the strength of a mode in a network of any depth L: du/dt = L u^(2 - 2/L) (s - u), by dopri5.

    Args:
        s: singular value, >= 0.
        u0: strength at ts[0], >= 0.
        ts: (T,), at least two times, increasing.
        depth: L >= 1, the number of weight layers.

    Returns:
        (T,), to a relative error of about 1e-7 from u0 >= 1e-6 or 0.

    Raises:
        ValueError: depth is below 1, or s or u0 negative; the message names the value.
    """
    if depth < 1:
        raise ValueError(f"depth must be at least 1, got {depth}")
    if not (s >= 0 and u0 >= 0):
        raise ValueError(f"s and u0 must be at least 0, got s {s} and u0 {u0}")
    power = 2 - 2 / depth

    def slope(t: float, u: Array) -> Array:
        return depth * np.abs(u) ** power * (s - u)  # a trial stage may overshoot 0

    return odeint(slope, float(u0), ts, "dopri5", rtol=1e-9, atol=1e-14).ys


def aligned_init(
    yx: ArrayLike, hidden: Sequence[int], u0: ArrayLike, *, rng: np.random.Generator
) -> list[Array]:
    """Draw weights that are balanced, aligned with the modes of Syx, and give each the strength u0.

    With Syx = U S V^T, a = u0^(1/L) and random R_l (H_l, R) of orthonormal columns:

        W_1 = R_1 diag(a) V^T      W_l = R_l diag(a) R_(l-1)^T      W_L = U diag(a) R_(L-1)^T

    so that the product is U diag(u0) V^T, and W_(l+1)^T W_(l+1) = W_l W_l^T.

    Args:
        yx: Syx, (K, D).
        hidden: sizes of the L - 1 hidden layers, from the input on; () is a network of one layer.
        u0: >= 0, a number or (R,), strongest mode first. Here R = min(D, K, *hidden): a narrow layer leaves
            the weakest modes out.
        rng: draws the R_l.

    Returns:
        [W_1, ..., W_L].
    """
    U, _, Vt = np.linalg.svd(np.asarray(yx, np.float64), full_matrices=False)
    modes = min(len(Vt), *hidden) if hidden else len(Vt)
    frames = [np.linalg.qr(rng.standard_normal((size, modes)))[0] for size in hidden]
    bases = [Vt[:modes].T, *frames, U[:, :modes]]
    share = np.broadcast_to(np.asarray(u0, np.float64), (modes,)) ** (1 / (len(hidden) + 1))
    return [(after * share) @ before.T for before, after in pairwise(bases)]


def linear_gradients(weights: Sequence[Array], yx: Array, xx: Array | None = None) -> list[Array]:
    """Give the gradients of 1/2 mean |W_L ... W_1 x - y|^2, which needs only Syx and Sxx of the data.

        dW_l = (W_L ... W_(l+1))^T (W Sxx - Syx) (W_(l-1) ... W_1)^T,        W = W_L ... W_1

    Args:
        weights: [W_1, ..., W_L], W_1 (H1, D) ... W_L (K, .).
        yx: Syx, (K, D).
        xx: Sxx, (D, D); None: white, I.

    Returns:
        L gradients, shaped as the weights.
    """
    before = [np.eye(weights[0].shape[1])]
    for W in weights:
        before.append(W @ before[-1])  # W_l ... W_1, (H_l, D)
    error = (before[-1] if xx is None else before[-1] @ xx) - yx  # (K, D)
    grads = []
    back = error  # (W_L ... W_(l+1))^T error, (H_l, D)
    for W, x in zip(weights[::-1], before[-2::-1], strict=True):
        grads.append(back @ x.T)
        back = W.T @ back
    return grads[::-1]


def train_linear(
    weights: Sequence[ArrayLike], yx: ArrayLike, lr: float, steps: int, xx: ArrayLike | None = None
) -> Array:
    """Train all layers by gradient descent, and give the product W_L ... W_1 after each step.

    Step k stands at time k lr of the flow. Weights that are all 0 stay where they are, a saddle.

    Args:
        weights: [W_1, ..., W_L], the start; not changed.
        yx, xx: as `linear_gradients`.
        lr: learning rate, > 0.
        steps: >= 0.

    Returns:
        (steps + 1, K, D), the start first.

    Raises:
        ValueError: as `descend`; or the layers do not fit each other or Syx: the message names the shapes of
            the weights, and D and K.
    """
    start = [np.asarray(W, np.float64) for W in weights]
    yx = np.asarray(yx, np.float64)
    xx = None if xx is None else np.asarray(xx, np.float64)
    shapes, (outputs, inputs) = [W.shape for W in start], yx.shape
    sizes = [inputs, *(len(W) for W in start)]
    if sizes[-1] != outputs or shapes != list(zip(sizes[1:], sizes[:-1], strict=True)):
        raise ValueError(f"weights of shapes {shapes} do not lead from {inputs} inputs to {outputs} outputs")
    ends = np.cumsum([W.size for W in start])[:-1]

    def layers(theta: Array) -> list[Array]:
        return [part.reshape(W.shape) for part, W in zip(np.split(theta, ends), start, strict=True)]

    def grad(theta: Array) -> Array:
        return np.concatenate([g.ravel() for g in linear_gradients(layers(theta), yx, xx)])

    path = descend(grad, np.concatenate([W.ravel() for W in start]), lr, steps)
    return np.stack([reduce(lambda x, W: W @ x, layers(theta)) for theta in path])


def mode_strengths(product: ArrayLike, yx: ArrayLike) -> Array:
    """Project maps on the modes of Syx = U S V^T: u_r = U_r^T W V_r, the strongest mode first.

    Both vectors of a mode come from one decomposition, so that their free sign drops out. Where singular
    values are equal the modes are not unique, and only sums over them have a meaning.

    Args:
        product: W, (K, D), or several, (..., K, D).
        yx: Syx, (K, D).

    Returns:
        (R,), or (..., R).
    """
    U, _, Vt = np.linalg.svd(np.asarray(yx, np.float64), full_matrices=False)
    return np.sum((U.T @ np.asarray(product, np.float64)) * Vt, axis=-1)
