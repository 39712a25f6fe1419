r"""Training as mechanics: a mass rolls over the loss, with friction, and the energy books balance.

    potential   E(theta), the mean squared error of a network          force   -g, g a gradient of E
    kinetic     K = |v|^2 / 2                                          total   E + K
    step        v' = momentum v - h g      theta' = theta + h v'       h = sqrt(lr), the time of a step

That is heavy-ball descent: v is -h times PyTorch's buffer. A step does work W and gives off heat Q,

    W = -g . (theta' - theta)              K' - K = W - Q
    Q = (1 - momentum^2) K + lr |g|^2 / 2

exactly, whatever g is: v' . v' - v' . (momentum v) is W, and |v' - momentum v|^2 = lr |g|^2. Neither part of
Q is negative. The first is friction, the second is lost because the force, frozen for a step, pushes at once.

Only the potential can break the balance. It changes by E' - E, not by -W, since along a step the true force
differs from the frozen one: by the curvature, and by the samples that the batch left out. That difference,

    injected = (E' + K' + Q) - (E + K) = E' - E + W        = 1/2 d^T H d for a quadratic E in full batches,

is what the step pumps into the system. If it exceeds the heat, training heats up. It vanishes with lr.

Shapes   X (N, D), target (N, K), theta, v and g (P,), R records.
Source   Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; Qian 1999, "On the
         momentum term in gradient descent learning algorithms", Neural Networks 12, 145, sec. 2 (the mass);
         the balance: own derivation, above.
"""

from __future__ import annotations

from math import isfinite, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.credit.mlp_backprop import Spec, forward, mean_squared_error, value_and_gradient

Array = np.ndarray


class Step(NamedTuple):
    """Where a step leads, and what it did on the way."""

    theta: Array  # (P,)
    velocity: Array  # (P,)
    work: float
    dissipated: float


class History(NamedTuple):
    """What `EnergyNet.train` recorded: row 0 is the state before the first step.

    Each row is measured between two epochs, on all samples, with the parameters of that moment. work and
    dissipated add up over all steps since row 0. end: "epochs" all were done, "patience" stopped early, or
    "diverged".
    """

    end: str
    epoch: Array  # (R,) integers: epochs done
    potential: Array  # (R,)
    kinetic: Array  # (R,)
    work: Array  # (R,), 0 first
    dissipated: Array  # (R,), 0 first; never falls
    grad_norm: Array  # (R,), of the gradient over all samples
    snapshots: Array  # (R, P), theta

    @property
    def total(self) -> Array:
        """Potential and kinetic energy, (R,)."""
        return self.potential + self.kinetic

    @property
    def injected(self) -> Array:
        """Energy that the finite steps and the batches put in since row 0, (R,): 0 first, of either sign.

        total + dissipated, less its value at row 0.
        """
        balance = self.total + self.dissipated
        return balance - balance[0]


def step(theta: Array, velocity: Array, gradient: Array, lr: float, momentum: float) -> Step:
    """Do one step of this file, and account for it. The arguments are not changed.

    Args:
        theta, velocity, gradient: (P,); the gradient at theta, of all samples or of a batch.
        lr: learning rate, > 0; the step takes the time h = sqrt(lr).
        momentum: the part of the velocity that friction leaves, in [0, 1).

    Returns:
        theta', v', and the work W and the heat Q of this step alone.
    """
    h = sqrt(lr)
    pushed = momentum * velocity - h * gradient
    kinetic = velocity @ velocity / 2
    heat = (1 - momentum**2) * kinetic + lr * (gradient @ gradient) / 2
    return Step(theta + h * pushed, pushed, float(-h * (gradient @ pushed)), float(heat))


def batches(
    samples: int, batch_size: int | None = None, rng: np.random.Generator | None = None
) -> list[Array]:
    """Cut the samples of an epoch into batches: each sample in exactly one.

    Args:
        samples: N, >= 1.
        batch_size: all batches have this size but the last, which has what is left; None, or more than N:
            one batch of all samples.
        rng: draws the order of the samples; None: 0, 1, ..., N - 1.

    Returns:
        ceil(N / batch_size) arrays of integers.

    Raises:
        ValueError: batch_size is below 1; the message names it.
    """
    size = samples if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"batch_size must be at least 1, got {size}")
    order = np.arange(samples) if rng is None else rng.permutation(samples)
    return [order[at : at + size] for at in range(0, samples, size)]


def plateau(X: ArrayLike, target: ArrayLike) -> float:
    """Give the potential of the best affine model, target ~ X A + c.

    A network that starts small lingers there: its units work in the linear part of their activation. For XOR
    that model is one half everywhere, and the plateau 0.25.

    Args:
        X: (N, D).
        target: (N, K).

    Returns:
        The least mean of squares over all samples and outputs, also where X has dependent columns.

    Raises:
        ValueError: X and target are not two matrices with as many rows; the message names both shapes.
    """
    X, target = np.asarray(X, np.float64), np.asarray(target, np.float64)
    if X.ndim != 2 or target.ndim != 2 or len(X) != len(target):
        raise ValueError(f"expected X (N, D) and target (N, K), got shapes {X.shape} and {target.shape}")
    features = np.column_stack([X, np.ones(len(X))])  # (N, D + 1)
    error = features @ np.linalg.lstsq(features, target, rcond=None)[0] - target
    return float(np.mean(error**2))


def phase_diagram(theta: Array, spec: Spec, first: ArrayLike, second: ArrayLike) -> Array:
    """Give the outputs of a network with two inputs on a grid.

    Args:
        theta: (P,), say a snapshot.
        spec: the network.
        first: (A,), the values of input 0.
        second: (B,), the values of input 1.

    Returns:
        (B, A, K): [i, j] is the output at (first[j], second[i]), rows for the vertical axis.

    Raises:
        ValueError: the network has not 2 inputs; the message names their number, as that of `forward` does.
    """
    across, up = np.meshgrid(np.asarray(first, np.float64), np.asarray(second, np.float64))  # (B, A) both
    outputs, _ = forward(theta, spec, np.column_stack([across.ravel(), up.ravel()]))
    return outputs.reshape(*across.shape, -1)


class EnergyNet:
    """A network with a position theta and a velocity, at rest when it is made.

    Args:
        spec: the network, activations included.
        theta: (P,), the start; copied. None: every weight and bias is drawn from a normal distribution.
        std: its standard deviation.
        rng: where it draws from; needed if theta is None.

    Raises:
        ValueError: theta is None and so is rng (the message names both words), or theta has not shape (P,)
            (it names the shape and P).

    Attributes: spec, theta (P,) and velocity (P,), float64.
    """

    def __init__(
        self,
        spec: Spec,
        theta: ArrayLike | None = None,
        *,
        std: float = 0.1,
        rng: np.random.Generator | None = None,
    ) -> None:
        if theta is None:
            if rng is None:
                raise ValueError("a network needs a start theta, or an rng to draw one from; got neither")
            theta = rng.normal(0.0, std, spec.parameters)
        self.spec = spec
        self.theta = np.array(theta, np.float64)
        if self.theta.shape != (spec.parameters,):
            raise ValueError(f"theta has shape {self.theta.shape}, expected ({spec.parameters},)")
        self.velocity = np.zeros_like(self.theta)

    def predict(self, X: ArrayLike) -> Array:
        """Give the outputs (N, K) for X (N, D)."""
        return forward(self.theta, self.spec, X)[0]

    def potential(self, X: ArrayLike, target: ArrayLike) -> float:
        """Give E: the mean of (output - target)^2 over the samples and outputs, without 1/2."""
        return mean_squared_error(self.predict(X), target)[0]

    def kinetic(self) -> float:
        """Give K = |velocity|^2 / 2."""
        return float(self.velocity @ self.velocity / 2)

    def train(
        self,
        X: ArrayLike,
        target: ArrayLike,
        lr: float = 0.1,
        epochs: int = 5000,
        *,
        batch_size: int | None = None,
        momentum: float = 0.0,
        patience: int | None = None,
        tol: float = 1e-4,
        record_every: int = 1,
        rng: np.random.Generator | None = None,
    ) -> History:
        """Let the network roll, from where it is and with the velocity that it has.

        An epoch is one `step` for each of `batches`, drawn anew every epoch. The gradient of a batch is that
        of its own mean squared error, the mean over the samples that it has: a short last batch pushes as
        hard as the others, with fewer samples. Training in parts, with one rng, is training in one go.

        Early stopping: after each epoch the potential on all samples is compared with the best so far, which
        at first is that of row 0. Lower by more than tol: progress, and it is the best now. After patience
        epochs in a row without progress, training ends; theta stays where it is.

        Args:
            X: (N, D), N >= 1.
            target: (N, K).
            lr: > 0; the factor 2 of the squared error is in the gradient.
            epochs: >= 0.
            batch_size, rng: as `batches`.
            momentum: in [0, 1).
            patience: epochs, >= 1; None: no early stopping.
            tol: >= 0.
            record_every: >= 1.

        Returns:
            A row before the first epoch, one after each record_every-th, and one after the last, whichever
            that is. If the potential after an epoch is infinite or NaN, that epoch is the last, without a
            warning, and the end is "diverged".

        Raises:
            ValueError: a number is outside its range (the message names it), X has no rows, or as `forward`
                and `mean_squared_error`.
        """
        X, target = np.asarray(X, np.float64), np.asarray(target, np.float64)
        _check(X, lr, epochs, momentum, patience, tol, record_every)
        best, waited, end = self.potential(X, target), 0, "epochs"
        work = dissipated = 0.0
        rows = [self._record(X, target, 0, work, dissipated)]
        for epoch in range(1, epochs + 1):
            with np.errstate(over="ignore", invalid="ignore"):  # it may diverge: the history says so
                for batch in batches(len(X), batch_size, rng):
                    _, g = value_and_gradient(self.theta, self.spec, X[batch], target[batch])
                    self.theta, self.velocity, done, heat = step(self.theta, self.velocity, g, lr, momentum)
                    work, dissipated = work + done, dissipated + heat
                potential = self.potential(X, target)
                best, waited = (potential, 0) if potential < best - tol else (best, waited + 1)
                if not isfinite(potential):
                    end = "diverged"
                elif waited == patience:
                    end = "patience"
                if end != "epochs" or epoch % record_every == 0 or epoch == epochs:
                    rows.append(self._record(X, target, epoch, work, dissipated))
            if end != "epochs":
                break
        return History(end, *(np.array(column) for column in zip(*rows, strict=True)))

    def _record(self, X: Array, target: Array, epoch: int, work: float, dissipated: float) -> tuple:
        potential, g = value_and_gradient(self.theta, self.spec, X, target)
        return epoch, potential, self.kinetic(), work, dissipated, float(np.linalg.norm(g)), self.theta


def _check(
    X: Array, lr: float, epochs: int, momentum: float, patience: int | None, tol: float, record_every: int
) -> None:
    if len(X) == 0:
        raise ValueError(f"X has shape {X.shape}: expected at least one sample")
    if not lr > 0:
        raise ValueError(f"lr must be positive, got {lr}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}")
    if not tol >= 0:
        raise ValueError(f"tol must be at least 0, got {tol}")
    least = {"epochs": (epochs, 0), "patience": (patience, 1), "record_every": (record_every, 1)}
    for name, (value, bound) in least.items():
        if value is not None and value < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")
