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
        raise NotImplementedError("dynamics.energy.energy_network: TODO 8 of 11, History.total")

    @property
    def injected(self) -> Array:
        """Energy that the finite steps and the batches put in since row 0, (R,): 0 first, of either sign.

        total + dissipated, less its value at row 0.
        """
        raise NotImplementedError("dynamics.energy.energy_network: TODO 9 of 11, History.injected")


def step(theta: Array, velocity: Array, gradient: Array, lr: float, momentum: float) -> Step:
    """Do one step of this file, and account for it. The arguments are not changed.

    Args:
        theta, velocity, gradient: (P,); the gradient at theta, of all samples or of a batch.
        lr: learning rate, > 0; the step takes the time h = sqrt(lr).
        momentum: the part of the velocity that friction leaves, in [0, 1).

    Returns:
        theta', v', and the work W and the heat Q of this step alone.
    """
    raise NotImplementedError("dynamics.energy.energy_network: TODO 1 of 11, step")


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
    raise NotImplementedError("dynamics.energy.energy_network: TODO 2 of 11, batches")


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
    raise NotImplementedError("dynamics.energy.energy_network: TODO 10 of 11, plateau")


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
    raise NotImplementedError("dynamics.energy.energy_network: TODO 11 of 11, phase_diagram")


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
        raise NotImplementedError("dynamics.energy.energy_network: TODO 3 of 11, EnergyNet.__init__")

    def predict(self, X: ArrayLike) -> Array:
        """Give the outputs (N, K) for X (N, D)."""
        raise NotImplementedError("dynamics.energy.energy_network: TODO 4 of 11, EnergyNet.predict")

    def potential(self, X: ArrayLike, target: ArrayLike) -> float:
        """Give E: the mean of (output - target)^2 over the samples and outputs, without 1/2."""
        raise NotImplementedError("dynamics.energy.energy_network: TODO 5 of 11, EnergyNet.potential")

    def kinetic(self) -> float:
        """Give K = |velocity|^2 / 2."""
        raise NotImplementedError("dynamics.energy.energy_network: TODO 6 of 11, EnergyNet.kinetic")

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
        raise NotImplementedError("dynamics.energy.energy_network: TODO 7 of 11, EnergyNet.train")

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
