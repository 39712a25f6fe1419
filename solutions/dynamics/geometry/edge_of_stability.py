r"""The edge of stability: training sharpens the loss until its steps are too long, and goes on at that edge.

    sharpness    S(theta) = the largest eigenvalue of the Hessian of L, by value
    edge         S = 2 / lr for gradient descent; others in `edge`

Above the edge a quadratic throws gradient descent out. On networks S rises to the edge (progressive
sharpening) and hovers there, while the loss rises in every second step and falls all the same. Two models
show why, each small enough to be solved.

    toy        L = y (sqrt(1 + x^2) - 1) - c y         the curvature along x is y, and y rises by lr c a step
               x -> x (1 - lr y / s),  y -> y + lr (c + 1 - s),  s = sqrt(1 + x^2)
               2-cycle: s = 1 + c, y = 2 (1 + c) / lr: swinging along x is what holds y back
    catapult   f = u.v / sqrt(n), L = f^2 / 2;  lam = (|u|^2 + |v|^2) / n is the sharpness where f = 0
               f -> f (1 - lr lam + lr^2 f^2 / n),  lam -> lam + lr f^2 (lr lam - 4) / n
               lr lam below 2: f decays;  2 to 4: f grows until lam has come down;  above 4: both grow

Adam and RMSprop divide by P = diag(p): theta - lr m / p. In the coordinates sqrt(p) theta that is a method
without P on the Hessian P^(-1/2) H P^(-1/2), and it is the sharpness of that matrix that has an edge.

The sharpness is measured by Lanczos, from the eigenvector of the reading before: a dozen products.

Shapes   theta any shape S of n elements; v (n,); k eigenpairs; R readings; T steps.
Source   Cohen et al. 2021, "Gradient descent on neural networks typically occurs at the edge of stability",
         arXiv:2103.00065, sec. 2-3; Cohen et al. 2022, "Adaptive gradient methods at the edge of stability",
         arXiv:2207.14484, sec. 2-3; Lewkowycz et al. 2020, "The large learning rate phase of deep learning:
         the catapult mechanism", arXiv:2003.02218, sec. 2; Damian, Nichani & Lee 2023, "Self-stabilization",
         arXiv:2209.15594 (the mechanism of the toy).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.ode import METHODS, real_interval
from dynamics.discrete import momentum_edge
from dynamics.geometry.lanczos import lanczos, ritz
from dynamics.geometry.power_iteration import Eigenpairs, deflate

Array = np.ndarray
Product = Callable[[Array], Array]  # v (n,) -> A v (n,)

# the momentum that each has; the last two on the preconditioned Hessian
MOMENTUM = {kind: kind for kind in momentum_edge.KINDS} | {"rmsprop": "heavy_ball", "adam": "ema"}
MIX = 0.1  # of a warm start is random: the steepest direction may be another one by now
LOST = 1e100  # |f| of a catapult that will not come back


class Reading(NamedTuple):
    """The sharpness at one step of training."""

    step: int
    values: Array  # (k,), falling
    vectors: Array  # (n, k), orthonormal columns
    products: int  # Hessian-vector products that it cost

    @property
    def sharpness(self) -> float:
        """The largest eigenvalue."""
        return float(self.values[0])


class Summary(NamedTuple):
    """How training met the edge; what "late" means, `summary` says."""

    crossed: int | None  # step of the first reading at or above the edge
    ratio: float  # median of sharpness / edge, late
    above: float  # share of the late readings at or above the edge
    rises: float  # share of the late steps that raised the loss; nan without losses


def edge(lr: float, momentum: float = 0.0, kind: str = "heavy_ball") -> float:
    """Give the largest curvature at which a method is stable, whichever method follows the gradient.

        heavy_ball, nesterov, ema    `momentum_edge.edge`; 2 / lr without momentum: gradient descent
        rmsprop, adam                as heavy_ball and ema, of the curvature preconditioned by their P
        a solver, "rk4" ...          `ode.real_interval` / lr: theta' = -grad L in fixed steps of time lr

    Args:
        lr: learning rate or step of time, > 0.
        momentum: in [0, 1); for adam betas[0]; 0 for a solver.
        kind: one of the names above; the solvers are those of `dynamics.continuous.ode.METHODS`.

    Returns:
        The edge; inf for a solver without one.

    Raises:
        ValueError: kind is unknown, momentum outside [0, 1) or not 0 for a solver, or lr not positive; the
            message names the value.

    >>> edge(0.1), edge(0.1, 0.5), round(edge(0.1, 0.9, "adam"), 9), round(edge(0.1, kind="rk4"), 2)
    (20.0, 30.0, 380.0, 27.85)
    """
    if kind in MOMENTUM:
        return momentum_edge.edge(lr, momentum, MOMENTUM[kind])
    if kind not in METHODS:
        raise ValueError(f"kind must be one of {', '.join([*MOMENTUM, *METHODS])}, got {kind!r}")
    if momentum != 0:
        raise ValueError(f"a solver has no momentum: for {kind!r} it must be 0, got {momentum}")
    if not lr > 0:
        raise ValueError(f"lr must be above 0, got {lr}")
    return real_interval(kind) / lr


def adam_scale(
    square: ArrayLike, step: int, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> Array:
    """Give the p by which Adam divides its running mean m: theta - lr m / p.

        p = (1 - beta1^step) (sqrt(square / (1 - beta2^step)) + eps)

    The correction of m is in p, too: m_hat / (sqrt(v_hat) + eps) = m / p.

    Args:
        square: Adam's v, not corrected, of any shape; in the course's Adam ``state["square"]``.
        step: how many steps v has seen, >= 1; ``state["step"]``.
        betas, eps: Adam's.

    Returns:
        Of square's shape, float64.

    Raises:
        ValueError: step is below 1; the message names it.
    """
    if not step >= 1:
        raise ValueError(f"step must be at least 1, got {step}: before the first, Adam has no scale")
    mean = np.asarray(square, np.float64) / (1 - betas[1] ** step)
    return (1 - betas[0] ** step) * (np.sqrt(mean) + eps)


def preconditioned(mv: Product, scale: ArrayLike) -> Product:
    """Make the product with P^(-1/2) A P^(-1/2), P = diag(scale): v -> A(v / sqrt(p)) / sqrt(p).

    It has the eigenvalues of P^-1 A, and is symmetric, which P^-1 A is not.

    Args:
        mv: v (n,) -> A v (n,).
        scale: p, n positive numbers in any shape.

    Returns:
        A function of v, which it only reads.

    Raises:
        ValueError: an element of scale is not positive; the message names the smallest.
    """
    root = np.sqrt(_positive(scale)).reshape(-1)
    return lambda v: mv(v / root) / root


def sharpest(
    mv: Product,
    n: int,
    k: int = 1,
    *,
    rng: np.random.Generator,
    start: ArrayLike | None = None,
    steps: int = 12,
    tol: float = 1e-6,
) -> Eigenpairs:
    """Find the k largest eigenvalues by value, by Lanczos from a guess.

    One after another, each in the space orthogonal to those found (`deflate`): an eigenvalue that is there
    twice is found twice. From a random unit vector u, or where start has a column s for it

        (1 - MIX) s / |s| + MIX u        (for the later ones projected)

    ``steps`` steps of Lanczos, and again from the same vector with twice as many until the residual of the
    largest Ritz value is at most tol times the largest |Ritz value|. As many steps as there are dimensions
    left are exact.

    Args:
        mv: v (n,) -> A v (n,), A symmetric.
        n: the length of the vectors.
        k: how many, in [1, n].
        rng: for the starts.
        start: (n, j), j <= k, guesses of the first j eigenvectors, none 0; None for none.
        steps: of Lanczos at first, >= 1.
        tol: > 0, relative.

    Returns:
        Values (k,) in falling order and vectors (n, k); ``products`` counts the calls of mv; ``converged`` is
        True.

    Raises:
        ValueError: k is not in [1, n], start not (n, j) with j <= k, or steps below 1; the message names k
            and n, the shape, or steps. Or as `lanczos`.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k must be in [1, n] = [1, {n}], got {k}")
    guesses = np.empty((n, 0)) if start is None else np.asarray(start, np.float64)
    if guesses.ndim != 2 or len(guesses) != n or guesses.shape[1] > k:
        raise ValueError(f"start has shape {guesses.shape}, expected ({n}, j) with j at most {k}")
    values, Q, products = np.empty(k), np.empty((n, 0)), 0
    for i in range(k):
        guess = rng.standard_normal(n)
        guess /= np.linalg.norm(guess)
        if i < guesses.shape[1]:
            guess = (1 - MIX) * guesses[:, i] / np.linalg.norm(guesses[:, i]) + MIX * guess
        guess -= Q @ (Q.T @ guess)
        hidden, size = deflate(mv, Q), min(steps, n - i)
        while True:
            pairs = ritz(lanczos(hidden, guess, size))
            products += len(pairs.values)
            if size == n - i or pairs.residuals[-1] <= tol * np.abs(pairs.values).max():
                break
            size = min(2 * size, n - i)
        values[i] = pairs.values[-1]
        vector = pairs.vectors[:, -1] - Q @ (Q.T @ pairs.vectors[:, -1])
        Q = np.column_stack([Q, vector / np.linalg.norm(vector)])
    order = np.argsort(-values, kind="stable")
    return Eigenpairs(values[order], Q[:, order], products, True)


def track(
    path: Iterable[Array],
    hvp: Callable[[Array, Array], Array],
    *,
    rng: np.random.Generator,
    every: int = 1,
    k: int = 1,
    steps: int = 12,
    tol: float = 1e-6,
) -> Iterator[Reading]:
    """Read the sharpness along a path of training, each reading warm from the one before.

    Lazy: a reading is made when it is asked for, and the path goes no further than that. So ``path`` may be
    a loop that trains, even one that changes theta in place, and ``hvp`` may read an optimizer's state:

        lambda theta, v: preconditioned(lambda u: hvp(theta, u), adam_scale(**now()))(v)

    Args:
        path: theta, any shape S, at step 0, 1, 2, ...
        hvp: (theta, v) -> H(theta) v, all of shape S, as ``functools.partial(hvp, loss)``.
        rng, steps, tol: as `sharpest`.
        every: steps from one reading to the next, >= 1; the first is at step 0.
        k: how many eigenvalues.

    Yields:
        A reading for steps 0, every, 2 every, ... as far as the path goes.

    Raises:
        ValueError: every is below 1 (named), or as `sharpest`; when the first reading is asked for.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    vectors = None
    for step, theta in enumerate(path):
        if step % every:
            continue
        shape, n = np.shape(theta), np.size(theta)
        product = lambda v, at=theta, shape=shape: np.reshape(hvp(at, v.reshape(shape)), -1)  # noqa: E731
        found = sharpest(product, n, k, rng=rng, start=vectors, steps=steps, tol=tol)
        vectors = found.vectors
        yield Reading(step, found.values, vectors, found.products)


def summary(
    steps: ArrayLike,
    sharpness: ArrayLike,
    edge: ArrayLike,
    losses: ArrayLike | None = None,
    *,
    late: float = 0.4,
) -> Summary:
    """Say in four numbers how training met the edge.

    Late are the readings at steps from (1 - late) * steps[-1] on, and the steps that begin there or later.
    At the edge the path is chaotic: medians and shares repeat, single values do not.

    Args:
        steps: (R,), rising, where the sharpness was read.
        sharpness: (R,).
        edge: a number, or (R,) if it changes.
        losses: (T + 1,), the loss before step 0, 1, ..., T - 1 and at the end, T >= steps[-1]. Step i raises
            it if losses[i + 1] > losses[i].
        late: the share of training that counts as late, in (0, 1].

    Raises:
        ValueError: steps and sharpness differ in shape (both named), or late is not in (0, 1] (named).
    """
    at, S = np.asarray(steps), np.asarray(sharpness, np.float64)
    if at.shape != S.shape:
        raise ValueError(f"steps has shape {at.shape}, sharpness {S.shape}: expected one for each reading")
    if not 0 < late <= 1:
        raise ValueError(f"late must be in (0, 1], got {late}")
    ratio = S / np.asarray(edge, np.float64)
    since = (1 - late) * at[-1]
    over = np.flatnonzero(ratio >= 1)
    tail, rises = ratio[at >= since], np.nan
    if losses is not None:
        rose = np.diff(np.asarray(losses, np.float64)) > 0
        rises = float(rose[np.arange(rose.size) >= since].mean())
    crossed = int(at[over[0]]) if over.size else None
    return Summary(crossed, float(np.median(tail)), float(np.mean(tail >= 1)), rises)


def toy_loss(theta: Any, c: float) -> Any:
    """Give the toy's loss y (sqrt(1 + x^2) - 1) - c y at theta = (x, y), an array or a Tensor of 2 elements.

    Its growth along x is that of |x| in the end: with x^2 in its place, y would overshoot and x escape.
    """
    x, y = theta[0], theta[1]
    return y * ((1 + x * x) ** 0.5 - 1 - c)


def toy_descent(x: float, y: float, lr: float, c: float, steps: int) -> Array:
    """Follow gradient descent on the toy: both of the old point, as in the formulas of this file.

    Returns:
        (steps + 1, 2), (x, y) first.
    """
    path = np.empty((steps + 1, 2))
    path[0] = x, y
    for k in range(steps):
        s = sqrt(1 + x * x)
        x, y = x - lr * y * x / s, y + lr * (c + 1 - s)
        path[k + 1] = x, y
    return path


def toy_cycle(lr: float, c: float) -> tuple[float, float]:
    """Give the 2-cycle in which descent on the toy ends: (|x|, y), while x changes its sign in every step.

    y stands still where s = 1 + c: x^2 = c (2 + c). And x -> -x where lr y / s = 2. So y, the curvature at
    the bottom of the valley, is not at the edge 2 / lr but (1 + c) times above it.

    Args:
        lr: > 0.
        c: > 0, how fast y rises.
    """
    return sqrt(c * (2 + c)), 2 * (1 + c) / lr


def catapult(f: float, lam: float, lr: float, width: int, steps: int) -> Array:
    """Follow gradient descent on the linear network f = u.v / sqrt(n), target 0, by its two numbers.

    Exact, and the network is not needed: the formulas of this file hold for whatever u and v give f and lam.

    Args:
        f: output at the start. 0 stays 0.
        lam: (|u|^2 + |v|^2) / n; at least 2 |f| / sqrt(n), for |u|^2 + |v|^2 >= 2 |u.v|.
        lr: learning rate.
        width: n.
        steps: >= 0.

    Returns:
        (steps + 1, 2), (f, lam) first; inf in both from the first step on that takes |f| beyond 1e100.

    Raises:
        ValueError: lam is below 2 |f| / sqrt(n) by more than a relative 1e-12; the message names lam and it.
    """
    least = 2 * abs(f) / sqrt(width)
    if lam < least * (1 - 1e-12):
        raise ValueError(f"lam must be at least 2 |f| / sqrt(width) = {least}, got {lam}")
    path = np.full((steps + 1, 2), inf)
    path[0] = f, lam
    for k in range(steps):
        pull = f * f / width
        f, lam = f * (1 - lr * lam + lr * lr * pull), lam + lr * pull * (lr * lam - 4)
        if abs(f) > LOST:
            break
        path[k + 1] = f, lam
    return path


def _positive(scale: ArrayLike) -> Array:
    """Scale as float64, if all of it is positive."""
    scale = np.asarray(scale, np.float64)
    if not (scale > 0).all():
        raise ValueError(f"scale must be positive, its smallest element is {scale.min()}")
    return scale
