r"""Five ways for a network to roll over its energy, and one book for all of them.

    descent              a mass with friction; each step accounts for its work and heat
    langevin             the same mass in a bath of temperature T, which kicks it as much as it brakes it
    hamiltonian          a mass without friction (momentum 1): it keeps its total energy, and explores; with
                         friction it learns
    feedback_alignment   descent along what comes back through fixed random weights, not through W^T
    equilibrium          descent along the difference of two equilibria of a network with a state energy

All step the same time h = sqrt(lr), and momentum is what friction leaves of the velocity in a step,
exp(-friction h): 0.9 means the same everywhere. E is the mean squared error, K = |v|^2 / 2 and

    ledger    K' - K = W - Q        W the work of the force that was used, Q the heat that leaves

In a bath Q has either sign: at equilibrium as much comes as goes, and every direction has T / 2. Momentum 0
is the overdamped chain. Without friction the error of the integrator is `History.injected`: it does not
grow, and falls as h^order.

E is bounded where the units are. A mass without friction, or in a bath, is then in the end driven out to
where nothing changes; a spring keeps it: with spring = T / s^2, the weights at temperature T are drawn from
exp(-E / T) times a normal prior of standard deviation s.

Shapes   X (N, D), target (N, K), theta and velocity (P,), R records.
Source   Welling & Teh 2011, "Bayesian learning via stochastic gradient Langevin dynamics", sec. 3 (a prior);
         the rest as `experiments.energy.motions`.
"""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import numpy as np

from dynamics.credit.mlp_backprop import Spec, forward
from dynamics.energy.energy_network import EnergyNet, History, batches
from dynamics.energy.equilibrium_propagation import relax
from experiments.energy.motions import (
    TOLERANCE,
    Equilibrium,
    FeedbackAlignment,
    Hamiltonian,
    Langevin,
    Motion,
    Options,
    layers_of,
)

__all__ = ["RULES", "Options", "Outcome", "answer", "train"]
Array = np.ndarray
MOTIONS = {
    "langevin": Langevin,
    "hamiltonian": Hamiltonian,
    "feedback_alignment": FeedbackAlignment,
    "equilibrium": Equilibrium,
}
RULES = ("descent", *MOTIONS)


class Outcome(NamedTuple):
    """A course of training, the same columns whatever the rule, and what this rule alone can tell.

    extra, by rule, each (R,) for the rows of the history:
        langevin             "temperature" of the bath, "kinetic_temperature" 2 K / P, "spring_energy"
        hamiltonian          "energy_error": the total energy and the heat so far, less the total at row 0;
                             "spring_energy"
        feedback_alignment   "angle" between update and gradient on all samples, in degrees, and
                             "hidden_angle", the same without the last layer, whose part is exact
        equilibrium          "angle" between update and exact gradient on the first 200 samples, in degrees

    descent has none. An angle is NaN where one of the two is 0. The potential of the history includes the
    energy of the springs: without it is the mean squared error.
    """

    history: History
    extra: dict[str, Array]


def train(
    rule: str, net: EnergyNet, X: Array, target: Array, options: Options, rng: np.random.Generator
) -> Outcome:
    """Let the network roll by a rule, from where it is and with the velocity that it has.

    Epochs, batches, early stopping and records are those of `EnergyNet.train`. "equilibrium" reads theta as
    the weights of a layered network with symmetric connections: its E and outputs are those of `answer`.

    Args:
        rule: one of ``RULES``.
        net: where it starts; moved.
        X: (N, D), N >= 1.
        target: (N, K).
        options: see there.
        rng: draws batches, noise and feedback weights.

    Raises:
        ValueError: the rule is another word (the message names it and ``RULES``), a number is outside its
            range, "equilibrium" with a network that is not tanh with biases, or as `EnergyNet.train`.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    if rule == "descent":
        o = options
        history = net.train(
            X, target, o.lr, o.epochs, batch_size=o.batch_size, momentum=o.momentum,
            patience=o.patience, tol=o.tol, record_every=o.record_every, rng=rng,
        )  # fmt: skip
        return Outcome(history, {})
    _check(X, options, free=rule == "hamiltonian")
    return _roll(MOTIONS[rule](net, X, target, options, rng))


def answer(rule: str, spec: Spec, theta: Array, X: Array) -> Array:
    """Give the outputs (N, K) for X (N, D) of a network that was trained by this rule.

    "equilibrium": the states of the last layer where the network comes to rest, from states of 0. The others:
    the forward pass.

    Raises:
        RuntimeError: "equilibrium" finds no rest; the weights are too large.
    """
    if rule == "equilibrium":
        return relax(layers_of(theta, spec), X, tol=TOLERANCE)[-1]
    return forward(theta, spec, X)[0]


def _roll(motion: Motion) -> Outcome:
    """The loop of `EnergyNet.train`, for any motion."""
    o, size = motion.options, None if motion.whole else motion.options.batch_size
    best, waited, end = motion.potential(), 0, "epochs"
    work = heat = 0.0
    rows, extras = [], []
    for epoch in range(o.epochs + 1):
        motion.progress = epoch / max(1, o.epochs)
        with np.errstate(over="ignore", invalid="ignore"):  # it may diverge: the history says so
            for batch in batches(len(motion.X), size, motion.rng) if epoch else ():
                done, lost = motion.advance(motion.X[batch], motion.target[batch])
                work, heat = work + done, heat + lost
            potential = motion.potential()
            if epoch:
                best, waited = (potential, 0) if potential < best - o.tol else (best, waited + 1)
            if not isfinite(potential):
                end = "diverged"
            elif epoch and waited == o.patience:
                end = "patience"
            if end != "epochs" or epoch % o.record_every == 0 or epoch == o.epochs:
                g, net = motion.gradient(), motion.net
                rows.append(
                    (epoch, potential, net.kinetic(), work, heat, float(np.linalg.norm(g)), net.theta)
                )
                extras.append(motion.measured(g))
        if end != "epochs":
            break
    history = History(end, *(np.array(column) for column in zip(*rows, strict=True)))
    return Outcome(history, {name: np.array([e[name] for e in extras]) for name in extras[0]})


def _check(X: Array, options: Options, *, free: bool) -> None:
    """Refuse what `EnergyNet.train` refuses; ``free``: momentum 1 is allowed, and 0 is not."""
    if len(X) == 0:
        raise ValueError(f"X has shape {np.shape(X)}: expected at least one sample")
    if not options.lr > 0:
        raise ValueError(f"lr must be positive, got {options.lr}")
    if not (0 < options.momentum <= 1 if free else 0 <= options.momentum < 1):
        raise ValueError(f"momentum must be in {'(0, 1]' if free else '[0, 1)'}, got {options.momentum}")
    if not options.tol >= 0:
        raise ValueError(f"tol must be at least 0, got {options.tol}")
    least = {"epochs": (options.epochs, 0), "patience": (options.patience, 1)}
    for name, (value, bound) in (least | {"record_every": (options.record_every, 1)}).items():
        if value is not None and value < bound:
            raise ValueError(f"{name} must be at least {bound}, got {value}")
