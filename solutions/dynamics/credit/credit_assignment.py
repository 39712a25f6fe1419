r"""Credit without backpropagation: what may stand in for W^T, and what each substitute costs.

    every rule        dL/dW_l ~ delta_l^T h_(l-1)         the rules differ in how delta_l ~ dL/dz_l is found
    backprop          delta_l = (delta_(l+1) W_(l+1)) * phi'(z_l)
    feedback align.   delta_l = (delta_(l+1) B_(l+1)) * phi'(z_l)          B fixed and random
    direct            delta_l = (delta_L B_l) * phi'(z_l)                  one step from the output
    sign symmetry     feedback alignment with B = mean|W| sign(W)
    Kolen-Pollack     B learns with W: the same update, the same decay, so that B - W dies out
    node perturb.     delta_l = (change of the loss) * (noise in z_l) / sigma: unbiased as sigma -> 0
    weight perturb.   the same with noise in theta, without any delta
    predictive cod.   delta_l = -(x_l - mu_l) phi'(z_l), errors of prediction after the activities relaxed

The first group knows the loss's gradient at the outputs and is biased (but not noisy); the perturbations know
one number, the loss, and pay in variance: of the order of the number of units, or of weights.

The loss is `mean_squared_error` of `mlp_backprop`, without 1/2, divided by N and K.

Shapes   theta (P,); X (N, N_0), z_l and delta_l (N, N_l), target (N, N_L); B as W_l, (N_l, N_(l-1)).
Source   Lillicrap et al. 2016, Nat. Commun. 7:13276; Nokland 2016, arXiv:1609.01596, eq. 3; Liao, Leibo &
         Poggio 2016, arXiv:1510.05067; Akrout et al. 2019, arXiv:1904.05391, sec. 4 (after Kolen & Pollack
         1994); Werfel, Xie & Seung 2005, Neural Comput. 17, 2699 (variances); Whittington & Bogacz 2017,
         Neural Comput. 29, 1229; Millidge, Tschantz & Buckley 2020, arXiv:2006.04182 (fixed predictions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import atan2, degrees
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.credit.mlp_backprop import Cache, Spec, flatten, forward, mean_squared_error, unflatten

Array = np.ndarray


def check_positive(name: str, value: float) -> None:
    """Refuse what is not above 0."""
    if not value > 0:
        raise ValueError(f"{name} must be above 0, got {value}")


class Quality(NamedTuple):
    """How good a random estimate of a gradient is; the two add up to its mean squared error."""

    bias_squared: float
    variance: float


@dataclass(frozen=True)
class Inference:
    """How the activities of predictive coding relax.

    Attributes:
        precision: of the outputs (the inverse of their variance, that of the other layers being 1), > 0.
        rate: length of a step, > 0; too long a one diverges.
        steps: >= 0.
        fixed: whether predictions and slopes stay those of the forward pass while the activities move.

    Raises:
        ValueError: a value outside its range; the message names it.
    """

    precision: float = 1.0
    rate: float = 0.1
    steps: int = 100
    fixed: bool = False

    def __post_init__(self) -> None:
        check_positive("precision", self.precision)
        check_positive("rate", self.rate)
        if self.steps < 0:
            raise ValueError(f"steps must be at least 0, got {self.steps}")


class Relaxation(NamedTuple):
    """Where predictive coding came to rest.

    errors: e_1 ... e_L, each (N, N_l).
    cache: x_0 ... x_(L-1) and, last, mu_L; and the pre-activations z_1 ... z_L of the predictions. With fixed
        predictions: those of the forward pass.
    """

    errors: list[Array]
    cache: Cache


DEFAULT = Inference()


def angle(a: ArrayLike, b: ArrayLike) -> float:
    """Measure the angle between two gradients.

    arccos of the cosine loses half of the digits near 0 and 180 degrees; with u = a / |a| and v = b / |b|,
    2 atan2(|u - v|, |u + v|) loses none.

    Args:
        a, b: of one shape, any; neither is 0 everywhere. Any magnitudes, also those whose squares underflow
            or overflow (1e-200, 1e200).

    Returns:
        Degrees, in [0, 180]. Below 90, a small step down a also goes down b.

    Raises:
        ValueError: the shapes differ (the message names both), or a or b has no direction, being 0.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(f"a has shape {a.shape}, b has {b.shape}: an angle needs two of one shape")
    u, v = a.ravel(), b.ravel()
    if not u.any() or not v.any():
        raise ValueError(f"a vector of zeros has no direction: |a| = {norm(u):g}, |b| = {norm(v):g}")
    u, v = u / np.abs(u).max(), v / np.abs(v).max()  # squares of 1e-200 would be 0
    u, v = u / norm(u), v / norm(v)
    return degrees(2 * atan2(norm(u - v), norm(u + v)))


def bias_variance(estimates: ArrayLike, gradient: ArrayLike) -> Quality:
    """Split the error of a random estimate in two, from independent draws of it.

        variance      sum over the parameters of the sample variance (with S - 1)
        bias squared  |mean of the draws - gradient|^2 - variance / S

    The mean of S draws is off by variance / S by chance alone: it has to be taken off, and the rest, right on
    average, may be below 0. The two add up to the mean of |estimate - gradient|^2.

    Args:
        estimates: (S, P), S at least 2.
        gradient: the true one, (P,).

    Raises:
        ValueError: the shapes are others (the message names both), or S is below 2 (it names the shape).
    """
    draws, gradient = np.asarray(estimates, np.float64), np.asarray(gradient, np.float64)
    if draws.ndim != 2 or draws.shape[1:] != gradient.shape:
        raise ValueError(f"estimates {draws.shape} and gradient {gradient.shape}: expected (S, P) and (P,)")
    if len(draws) < 2:
        raise ValueError(f"estimates of shape {draws.shape} hold fewer than 2 draws: no variance")
    variance = float(draws.var(axis=0, ddof=1).sum())
    miss = draws.mean(axis=0) - gradient
    return Quality(float(miss @ miss) - variance / len(draws), variance)


def local_updates(spec: Spec, signals: Sequence[Array], deltas: Sequence[Array]) -> Array:
    """Pair what a synapse hears with what its target is told: the part that all rules share.

    Args:
        spec: the network.
        signals: h_0 ... h_(L-1), (N, N_l) each; what follows is not read.
        deltas: for the layers 1 ... L, (N, N_l) each.

    Returns:
        (P,), laid out as theta: delta_l^T h_(l-1) for weights, delta_l summed over samples for biases.
    """
    by_weights = [
        delta.T @ h for delta, h in zip(deltas, signals[: len(deltas)], strict=True)
    ]  # (N_l, N_(l-1))
    return flatten(by_weights, [delta.sum(0) for delta in deltas] if spec.bias else ())


def weight_perturbation(
    loss: Callable[[Array], float], theta: ArrayLike, sigma: float, *, rng: np.random.Generator
) -> Array:
    """Estimate a gradient by moving all parameters at once, at random, to both sides.

        (loss(theta + sigma xi) - loss(theta - sigma xi)) / (2 sigma) xi        xi normal, variance 1 each

    On a quadratic loss this is (g . xi) xi: right on average, and |estimate|^2 is (P + 2) |g|^2 on average.

    Args:
        loss: called twice, with vectors (P,).
        theta: (P,).
        sigma: standard deviation of the perturbation, > 0.
        rng: where xi comes from; the perturbations are new in each call.

    Returns:
        (P,).

    Raises:
        ValueError: sigma is not positive; the message names it.
    """
    check_positive("sigma", sigma)
    theta = np.asarray(theta, np.float64)
    xi = rng.normal(size=theta.shape)
    return (loss(theta + sigma * xi) - loss(theta - sigma * xi)) / (2 * sigma) * xi


def noisy_forward(theta: Array, spec: Spec, X: ArrayLike, noise: Sequence[Array]) -> Array:
    """Run the forward pass with noise added to pre-activations: h_l = phi_l(h_(l-1) W_l^T + b_l + noise_l).

    Args:
        theta: (P,).
        spec: the network.
        X: (N, N_0).
        noise: for the layers 1 ... L, (N, N_l) each.

    Returns:
        The outputs, (N, N_L).
    """
    h = np.asarray(X, np.float64)
    weights, biases = unflatten(theta, spec)
    for i, (phi, _) in enumerate(spec.activations):
        h = phi(h @ weights[i].T + (biases[i] if spec.bias else 0.0) + noise[i])  # (N, N_l)
    return h


def node_perturbation(
    theta: Array, spec: Spec, X: ArrayLike, target: ArrayLike, sigma: float, *, rng: np.random.Generator
) -> Array:
    """Estimate the gradient by noise in the pre-activations of all layers at once, to both sides.

        delta_l[n] = (L_n(+) - L_n(-)) / (2 sigma) xi_l[n]       gradient: delta_l^T h_(l-1)

    xi_l (N, N_l) is normal with variance 1, its own for each sample, layer and unit. In the pass (+) layer l
    computes phi_l(z_l + sigma xi_l) from the perturbed signal of the layer before; in (-) with -sigma. L_n is
    what sample n adds to the loss, the sum over k of (Y_nk - target_nk)^2 / (N K). h_l are the signals
    without noise.

    Args:
        theta: (P,).
        spec: the network.
        X: (N, N_0).
        target: (N, N_L).
        sigma: standard deviation of the noise, > 0.
        rng: where the noise comes from.

    Returns:
        (P,), laid out as theta; its bias is of order sigma^2, and 0 for a single linear layer.

    Raises:
        ValueError: sigma is not positive (the message names it), or as `feedback_alignment` for X and target.
    """
    check_positive("sigma", sigma)
    Y, cache = forward(theta, spec, X)
    mean_squared_error(Y, target)  # refuses a target of another shape
    noise = [rng.normal(size=z.shape) for z in cache.pre]
    plus = squares(noisy_forward(theta, spec, X, [sigma * xi for xi in noise]), target)
    minus = squares(noisy_forward(theta, spec, X, [-sigma * xi for xi in noise]), target)
    slope = (plus - minus) / (2 * sigma * Y.size)  # (N, 1)
    return local_updates(spec, cache.signals, [slope * xi for xi in noise])


def feedback_alignment(
    theta: Array, spec: Spec, X: ArrayLike, target: ArrayLike, feedback: Sequence[Array]
) -> Array:
    """Run backpropagation with other matrices in place of the weights on the way back.

        delta_L = dL/dY * phi_L'(z_L),    delta_(l-1) = (delta_l B_l) * phi_(l-1)'(z_(l-1)),  l = L ... 2

    Args:
        theta: (P,).
        spec: the network.
        X: (N, N_0).
        target: (N, N_L).
        feedback: B_2 ... B_L, of the shapes of W_2 ... W_L: with these weights it is backpropagation.

    Returns:
        (P,), laid out as theta. The last layer's part is the true gradient, whatever the feedback.

    Raises:
        ValueError: X is not (N, N_0), or the target has another shape than the outputs; or the feedback's
            shapes are not those of W_2 ... W_L: the message names both lists of shapes.
    """
    check_feedback(feedback, list(zip(spec.sizes[2:], spec.sizes[1:-1], strict=True)))
    Y, cache = forward(theta, spec, X)
    _, g = mean_squared_error(Y, target)
    deltas = [g * spec.activations[-1][1](cache.pre[-1])]
    for i in reversed(range(len(feedback))):
        deltas.append(deltas[-1] @ feedback[i] * spec.activations[i][1](cache.pre[i]))  # (N, N_(i+1))
    return local_updates(spec, cache.signals, deltas[::-1])


def direct_feedback_alignment(
    theta: Array, spec: Spec, X: ArrayLike, target: ArrayLike, feedback: Sequence[Array]
) -> Array:
    """Send the output's delta to every hidden layer at once: delta_l = (delta_L B_l) * phi_l'(z_l).

    Args:
        theta, spec, X, target: as `feedback_alignment`.
        feedback: B_1 ... B_(L-1), one a hidden layer, (N_L, N_l) each.

    Returns:
        (P,), laid out as theta.

    Raises:
        ValueError: as `feedback_alignment`; the feedback's shapes are not the ones above.
    """
    check_feedback(feedback, [(spec.sizes[-1], width) for width in spec.sizes[1:-1]])
    Y, cache = forward(theta, spec, X)
    _, g = mean_squared_error(Y, target)
    last = g * spec.activations[-1][1](cache.pre[-1])
    hidden = zip(feedback, spec.activations[:-1], cache.pre[:-1], strict=True)
    deltas = [last @ B * slope(z) for B, (_, slope), z in hidden]  # each (N, N_l)
    return local_updates(spec, cache.signals, [*deltas, last])


def sign_symmetry(theta: Array, spec: Spec) -> list[Array]:
    """Make feedback that knows the signs of the weights and one size a layer: B_l = mean|W_l| sign(W_l).

    The factor makes B_l the closest to W_l of all multiples of sign(W_l).

    Returns:
        B_2 ... B_L for `feedback_alignment`.
    """
    return [np.abs(W).mean() * np.sign(W) for W in unflatten(theta, spec)[0][1:]]


def kolen_pollack(
    theta: Array,
    spec: Spec,
    X: ArrayLike,
    target: ArrayLike,
    feedback: Sequence[Array],
    lr: float,
    decay: float,
) -> tuple[Array, list[Array]]:
    """Make one step of learning in which the feedback learns, too.

        theta <- (1 - decay) theta - lr g        B_l <- (1 - decay) B_l - lr g_l

    g is that of `feedback_alignment` with the B of before the step, g_l its part for W_l. Both ends of the
    pair of synapses see delta_l and h_(l-1), so neither has to be told the other's strength; and W_l - B_l is
    multiplied by 1 - decay in every step.

    Args:
        theta, spec, X, target, feedback: as `feedback_alignment`; they are left as they are.
        lr: learning rate.
        decay: in [0, 1], of weights, biases and feedback alike.

    Returns:
        The new theta (P,) and the new B_2 ... B_L.

    Raises:
        ValueError: as `feedback_alignment`; or the decay is not in [0, 1]: the message names it.
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must be in [0, 1], got {decay}")
    g = feedback_alignment(theta, spec, X, target, feedback)
    parts = unflatten(g, spec)[0][1:]
    keep = 1 - decay
    return keep * theta - lr * g, [keep * B - lr * part for B, part in zip(feedback, parts, strict=True)]


def relax(
    theta: Array, spec: Spec, X: ArrayLike, target: ArrayLike, inference: Inference = DEFAULT
) -> Relaxation:
    """Let the hidden activities x_l settle between what is predicted from below and what is asked from above.

        E = sum_(l<L) 1/2 |x_l - mu_l|^2 + precision / 2 |target - mu_L|^2     mu_l = phi_l(z_l)
        z_l = W_l x_(l-1) + b_l      e_l = x_l - mu_l      e_L = precision (target - mu_L)
        x_l <- x_l + rate (-e_l + (e_(l+1) * phi_(l+1)'(z_(l+1))) W_(l+1)),    l = 1 ... L - 1, all at once

    It begins at the forward pass, where all errors but e_L are 0. Each step goes down the gradient of E, for
    each sample by itself. With fixed predictions the x_l move and the mu_l and z_l do not.

    Args:
        theta, spec, X, target: as `feedback_alignment`.
        inference: precision, rate, steps, fixed.

    Returns:
        The errors after the last step, and what the predictions were made from.

    Raises:
        ValueError: X or target as `feedback_alignment`.
    """
    Y, cache = forward(theta, spec, X)
    mean_squared_error(Y, target)  # refuses a target of another shape
    weights, _ = unflatten(theta, spec)
    x = cache.signals[1:-1]  # x_1 ... x_(L-1)
    mu, pre = cache.signals[1:], cache.pre
    for step in range(inference.steps + 1):
        if not inference.fixed:
            mu, pre = predict(theta, spec, [cache.signals[0], *x])
        errors = [a - b for a, b in zip(x, mu[:-1], strict=True)]
        errors.append(inference.precision * (target - mu[-1]))
        if step < inference.steps:
            local = [e * slope(z) for e, (_, slope), z in zip(errors, spec.activations, pre, strict=True)]
            pulls = [d @ W for d, W in zip(local[1:], weights[1:], strict=True)]  # each (N, N_(l-1))
            moves = zip(x, pulls, errors[:-1], strict=True)
            x = [a + inference.rate * (pull - e) for a, pull, e in moves]
    return Relaxation(errors, cache if inference.fixed else Cache([cache.signals[0], *x, mu[-1]], pre))


def predictive_coding(
    theta: Array, spec: Spec, X: ArrayLike, target: ArrayLike, inference: Inference = DEFAULT
) -> Array:
    """Learn from the errors of prediction that are left when the activities have settled (`relax`).

        delta_l = -2 / (N N_L precision) e_l * phi_l'(z_l),     gradient: delta_l^T x_(l-1)

    That is dE/dtheta, and the factor makes it an estimate of the gradient of the mean squared error. It tends
    to that gradient as the precision goes to 0. With fixed predictions and rate 1 it is the gradient after
    L - 1 steps, whatever the precision.

    Args:
        theta, spec, X, target, inference: as `relax`, whose cache has the z_l and the x_(l-1).

    Returns:
        (P,), laid out as theta.

    Raises:
        ValueError: as `relax`.
    """
    errors, cache = relax(theta, spec, X, target, inference)
    scale = -2 / (errors[-1].size * inference.precision)
    layers = zip(errors, spec.activations, cache.pre, strict=True)
    return local_updates(spec, cache.signals, [scale * e * slope(z) for e, (_, slope), z in layers])


def predict(theta: Array, spec: Spec, states: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """What each layer predicts for the next from the states x_0 ... x_(L-1): mu_1 ... mu_L, z_1 ... z_L."""
    weights, biases = unflatten(theta, spec)
    pre = [
        x @ W.T + (biases[i] if spec.bias else 0.0)
        for i, (x, W) in enumerate(zip(states, weights, strict=True))
    ]
    return [phi(z) for (phi, _), z in zip(spec.activations, pre, strict=True)], pre


def squares(Y: Array, target: ArrayLike) -> Array:
    """The squared error of each sample, (N, 1)."""
    return np.sum((Y - np.asarray(target, np.float64)) ** 2, axis=1, keepdims=True)


def norm(a: Array) -> float:
    """The Euclidean length of a vector."""
    return float(np.sqrt(a @ a))


def check_feedback(feedback: Sequence[Array], shapes: Sequence[tuple[int, int]]) -> None:
    """Refuse feedback of other shapes."""
    got = [np.shape(B) for B in feedback]
    if got != list(shapes):
        raise ValueError(f"feedback has the shapes {got}, expected {list(shapes)}")
