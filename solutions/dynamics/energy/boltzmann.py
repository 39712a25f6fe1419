r"""The restricted Boltzmann machine: learn a distribution by comparing data with the network's own dreams.

    E(v, h) = -b . v - c . h - v^T W h          p(v, h) = exp(-E) / Z          v_i, h_j = 0 or 1
    p(h_j = 1 | v) = sigmoid(c_j + (v W)_j)     p(v_i = 1 | h) = sigmoid(b_i + (W h)_i)
    F(v) = -b . v - sum_j softplus(c_j + (v W)_j)          log p(v) = -F(v) - log Z
    gradient of the mean log p by W, b, c = E_data[v h, v, h] - E_model[v h, v, h]

There are no weights within a layer. So a layer, given the other, is a row of independent coins: it is drawn
at once, and summed over in closed form, which leaves F. log Z and the second expectation, the dream, remain:
they sum over all states of the smaller layer, 2^20 at most here. Contrastive divergence starts the Markov
chain (v to h to v) at the data and stops after k sweeps instead. The chain forgets at the rate of its second
eigenvalue, and so does the bias of the estimate. With all states in a table that bias is a product of
matrices, not an average.

Shapes   v (N, D), h (N, K), W (D, K), b (D,), c (K,). Energies and logs in nats.
Source   Smolensky 1986, "Information processing in dynamical systems", in Parallel Distributed Processing I,
         ch. 6; Hinton 2002, "Training products of experts by minimizing contrastive divergence", Neural
         Comput. 14, 1771, eq. 5-8; Tieleman 2008, "Training restricted Boltzmann machines using
         approximations to the likelihood gradient", ICML (persistent chains); Bengio & Delalleau 2009,
         "Justifying and generalizing contrastive divergence", Neural Comput. 21, 1601, sec. 3 (its bias).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from utils.math_utils import logsumexp, sigmoid, softmax, softplus

Array = np.ndarray
ENUMERABLE = 20  # units of a layer whose 2^20 states are gone through
TABLED = 10  # units of a layer in a matrix of all states by all states
METHODS = ("exact", "cd", "pcd")


class RBM(NamedTuple):
    """Parameters, or a gradient by them: W (D, K), b (D,) of the visible, c (K,) of the hidden units."""

    W: Array
    b: Array
    c: Array

    @property
    def flipped(self) -> RBM:
        """The same machine, with the names of the two layers exchanged."""
        return RBM(self.W.T, self.c, self.b)


def states(units: int) -> Array:
    """List all states of some units: binary counting, the first unit the slowest.

    Returns:
        (2^units, units), float64, of 0 and 1: for 2 units 00, 01, 10, 11.

    Raises:
        ValueError: units is outside 0 to 20; the message names it.
    """
    if not 0 <= units <= ENUMERABLE:
        raise ValueError(f"can list the states of 0 to {ENUMERABLE} units, got {units}")
    return (np.arange(2**units)[:, None] >> np.arange(units)[::-1] & 1).astype(np.float64)


def energy(rbm: RBM, v: ArrayLike, h: ArrayLike) -> Array:
    """Give E(v, h), (N,), for visible states (N, D) and hidden states (N, K)."""
    v, h = np.asarray(v, np.float64), np.asarray(h, np.float64)
    return -(v @ rbm.b) - h @ rbm.c - np.sum((v @ rbm.W) * h, axis=-1)


def free_energy(rbm: RBM, v: ArrayLike) -> Array:
    """Give F(v) = -log sum_h exp(-E(v, h)), (N,), for v (N, D): closed, without overflow for any weights.

    Raises:
        ValueError: v is not (N, D) with N >= 1; the message names its shape and D.
    """
    v = _fits(rbm, v)
    return -(v @ rbm.b) - softplus(v @ rbm.W + rbm.c).sum(axis=1)


def hidden_mean(rbm: RBM, v: ArrayLike) -> Array:
    """Give p(h_j = 1 | v), (N, K), for v (N, D); that of ``rbm.flipped`` is p(v_i = 1 | h).

    Raises: as `free_energy`.
    """
    return sigmoid(_fits(rbm, v) @ rbm.W + rbm.c)


def gibbs(rbm: RBM, v: ArrayLike, sweeps: int = 1, *, rng: np.random.Generator) -> Array:
    """Run a Markov chain from each row: draw all hidden units given v, then all visible units given h.

    Args:
        v: (N, D) of 0 and 1; not changed.
        sweeps: >= 0.
        rng: for the draws.

    Returns:
        (N, D) of 0 and 1, float64: the visible states after that many sweeps; a new array.

    Raises:
        ValueError: v is not (N, D), or holds another number (the message names it); sweeps is negative.
    """
    if sweeps < 0:
        raise ValueError(f"sweeps must be at least 0, got {sweeps}")
    v = _bits(rbm, v).copy()
    for _ in range(sweeps):
        h = _draw(hidden_mean(rbm, v), rng)
        v = _draw(hidden_mean(rbm.flipped, h), rng)
    return v


def log_partition(rbm: RBM) -> float:
    """Give log Z = log of the sum of exp(-E) over all states of both layers.

    One layer in closed form, the smaller one state by state; without overflow for any size of weights.

    Raises:
        ValueError: both layers have more than 20 units; the message names the number of the smaller.
    """
    small = _smaller_visible(rbm)
    return float(logsumexp(-free_energy(small, states(small.b.size))))


def log_likelihood(rbm: RBM, V: ArrayLike) -> float:
    """Give the mean of log p(v) over the rows of V (N, D), in nats.

    Raises:
        ValueError: V is not (N, D) or not of 0 and 1 (the message names the number); or as `log_partition`.
    """
    return float(-free_energy(rbm, _bits(rbm, V)).mean()) - log_partition(rbm)


def moments(rbm: RBM, v: ArrayLike, weights: ArrayLike | None = None) -> RBM:
    """Average v_i h_j, v_i and h_j over visible states, the hidden units by their conditional means.

    Means in place of draws: the same expectation with less variance.

    Args:
        v: (N, D).
        weights: (N,), the probability of each row; None: 1 / N each.

    Returns:
        The averages in the places of W, b and c.

    Raises: as `free_energy`.
    """
    v = _fits(rbm, v)
    p = np.full(len(v), 1 / len(v)) if weights is None else np.asarray(weights, np.float64)
    h = hidden_mean(rbm, v)
    return RBM((v * p[:, None]).T @ h, p @ v, p @ h)


def model_moments(rbm: RBM) -> RBM:
    """Average v_i h_j, v_i and h_j over the model's own distribution, exactly.

    Raises: as `log_partition`.
    """
    small = _smaller_visible(rbm)
    all_states = states(small.b.size)
    dream = moments(small, all_states, softmax(-free_energy(small, all_states)))
    return dream if small is rbm else dream.flipped


def log_likelihood_grad(rbm: RBM, V: ArrayLike) -> RBM:
    """Give the gradient of `log_likelihood`: moments of the data less those of the model.

    Raises: as `log_likelihood`.
    """
    return _minus(moments(rbm, _bits(rbm, V)), model_moments(rbm))


def contrastive_divergence(rbm: RBM, V: ArrayLike, k: int = 1, *, rng: np.random.Generator) -> RBM:
    """Estimate that gradient: moments of the data less those of the data after k sweeps, one chain a row.

    Args:
        V: (N, D) of 0 and 1.
        k: sweeps, >= 1.

    Raises:
        ValueError: k is below 1 (the message names it), or as `gibbs`.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return _minus(moments(rbm, _bits(rbm, V)), moments(rbm, gibbs(rbm, V, k, rng=rng)))


def transition(rbm: RBM) -> Array:
    """Give the matrix of one sweep: [i, j] is the probability to go from visible state i to j.

        T_ij = sum_h p(h | v_i) p(v_j | h)        p(h | v) = exp(h . a - sum softplus(a)),  a = c + v W

    p T = p for the model's p(v), and T is self-adjoint under p: its eigenvalues are real, none negative.

    Returns:
        (2^D, 2^D), states numbered as by `states`.

    Raises:
        ValueError: a layer has more than 10 units; the message names D and K.
    """
    if max(rbm.W.shape) > TABLED:
        raise ValueError(f"a table of all states needs at most {TABLED} units a layer, got {rbm.W.shape}")
    return _conditional(rbm) @ _conditional(rbm.flipped)


def expected_cd(rbm: RBM, V: ArrayLike, k: int = 1) -> RBM:
    """Give the expectation of `contrastive_divergence`, exactly: the chains end in (that of V) T^k.

    Args, raises: as `contrastive_divergence`, and as `transition`.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    V, T = _bits(rbm, V), transition(rbm)
    numbers = (V @ 2.0 ** np.arange(rbm.b.size)[::-1]).astype(int)
    p = np.bincount(numbers, minlength=len(T)) / len(V)  # (2^D,)
    for _ in range(k):
        p = p @ T
    return _minus(moments(rbm, V), moments(rbm, states(rbm.b.size), p))


def train(
    rbm: RBM,
    V: ArrayLike,
    lr: float = 0.1,
    epochs: int = 100,
    *,
    method: str = "cd",
    k: int = 1,
    rng: np.random.Generator | None = None,
) -> list[RBM]:
    """Climb the log-likelihood: in each epoch every parameter gains lr times its gradient over all of V.

    Args:
        rbm: the start; not changed.
        V: (N, D) of 0 and 1.
        lr: learning rate.
        epochs: >= 0.
        method: "exact": `log_likelihood_grad`. "cd": `contrastive_divergence`, chains that start at V each
            epoch. "pcd", persistent: N chains that start at V once and go on, k sweeps an epoch with the
            parameters of that epoch; the gradient is the moments of V less those of the chains.
        k: sweeps, >= 1.
        rng: for "cd" and "pcd", which need it unless epochs is 0.

    Returns:
        epochs + 1 machines, the start first.

    Raises:
        ValueError: the method is unknown (the message names it), epochs is negative or k below 1 (it names
            the number), a method that draws has no rng and epochs is not 0 (it names the method), or as
            `log_likelihood_grad`.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if epochs < 0 or k < 1:
        raise ValueError(f"epochs must be at least 0 and k at least 1, got {epochs} and {k}")
    V = _bits(rbm, V)
    path, chains = [rbm], V
    for _ in range(epochs):
        now = path[-1]
        if method == "exact":
            gradient = log_likelihood_grad(now, V)
        else:
            if rng is None:
                raise ValueError(f"method {method!r} draws states: it needs an rng")
            chains = gibbs(now, chains if method == "pcd" else V, k, rng=rng)
            gradient = _minus(moments(now, V), moments(now, chains))
        path.append(RBM(*(x + lr * g for x, g in zip(now, gradient, strict=True))))
    return path


def _minus(wake: RBM, dream: RBM) -> RBM:
    return RBM(*(a - d for a, d in zip(wake, dream, strict=True)))


def _draw(p: Array, rng: np.random.Generator) -> Array:
    return (rng.random(p.shape) < p).astype(np.float64)


def _smaller_visible(rbm: RBM) -> RBM:
    return rbm if rbm.b.size <= rbm.c.size else rbm.flipped


def _conditional(rbm: RBM) -> Array:
    """p(h | v) of all states: (2^D, 2^K)."""
    a = states(rbm.b.size) @ rbm.W + rbm.c  # (2^D, K)
    return np.exp(a @ states(rbm.c.size).T - softplus(a).sum(axis=1, keepdims=True))


def _fits(rbm: RBM, v: ArrayLike) -> Array:
    v = np.asarray(v, np.float64)
    if v.ndim != 2 or v.shape[1] != rbm.b.size or len(v) == 0:
        raise ValueError(f"expected states of shape (N, {rbm.b.size}), N >= 1, got {v.shape}")
    return v


def _bits(rbm: RBM, v: ArrayLike) -> Array:
    v = _fits(rbm, v)
    wrong = v[(v != 0) & (v != 1)]
    if wrong.size:
        raise ValueError(f"states must hold 0 and 1 only, got {wrong[0]:g}")
    return v
