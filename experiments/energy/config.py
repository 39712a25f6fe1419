"""What the energy simulator can be asked for, what each choice brings along, and what is refused.

A choice of data, rule or model brings defaults of its own, as 5,000 epochs of XOR are a second and 5,000 of
digits an afternoon. What is typed beats what a choice brings.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, make_dataclass
from math import isfinite

import numpy as np

from dynamics.credit.mlp_backprop import Spec, init
from dynamics.energy.energy_network import EnergyNet
from experiments.energy import data, models, rules
from experiments.energy.crowd import FUNCTIONS
from experiments.runs import configure

TITLE = "Training as a mass that rolls, with friction, over the error of a network."
MODELS = ("network", *models.MODELS)
POINTS_IN_THE_PLANE = {"epochs": 400, "batch_size": 30, "start": "xavier"}
PICTURES = {"architectures": "49-32-10", "batch_size": 32, "start": "xavier", "lr": 0.1}
PRESETS: dict[str, dict[str, str | int | float]] = {
    "moons": {"architectures": "2-12-2", **POINTS_IN_THE_PLANE},
    "spirals": {"architectures": "2-24-3", **POINTS_IN_THE_PLANE, "epochs": 1500},
    "digits": {**PICTURES, "epochs": 30},
    "mnist": {**PICTURES, "epochs": 5},
    "langevin": {"batch_size": 0},
    "hamiltonian": {"batch_size": 0, "momentum": 1.0, "epochs": 2000, "spring": 0.05, "lr": 0.01},
    "feedback_alignment": {"batch_size": 0, "architectures": "2-8-1", "start": "0.2", "lr": 0.02},
    "equilibrium": {"batch_size": 0, "epochs": 600, "architectures": "2-3-1"},
    "rbm": {"lr": 0.1, "batch_size": 50, "epochs": 40},
}


@dataclass(frozen=True)
class Config:
    """What a run depends on."""

    data: str = "xor"
    model: str = "network"
    rule: str = "descent"
    architectures: str = "2-2-1,2-3-1,2-2-2-1"
    activation: str = "tanh"  # of every layer, the output too
    lr: float = 0.05  # 0.1 where the factor 2 of the square is left out
    momentum: float = 0.9
    epochs: int = 5000
    batch_size: int = 2  # 0: all samples
    patience: int = 0  # epochs without progress before training stops; 0: it does not
    tol: float = 1e-4  # a fall of the energy by more is progress
    start: str = "0.5"  # standard deviation of all parameters, or xavier
    seed: int = 0
    seeds: int = 40  # networks of each architecture and start by which success is counted; 0: none
    temperature: float = 1e-4  # of the bath of langevin, in units of the energy
    cold: float = 0.0  # its temperature in the last epoch; 0: it stays
    spring: float = 0.0  # that pulls every parameter to 0; of langevin and hamiltonian
    frames: int = 40  # of each animation

    @property
    def specs(self) -> list[Spec]:
        """The networks."""
        return [_spec(name, self.activation) for name in dict.fromkeys(self.architectures.split(","))]

    @property
    def options(self) -> rules.Options:
        """What the rules read; at most five thousand records: early epochs are where energy falls."""
        return rules.Options(
            self.lr, self.momentum, self.epochs, self.batch_size or None, self.patience or None, self.tol,
            max(1, self.epochs // 5000), self.temperature, self.cold or None, self.spring,
        )  # fmt: skip

    def network(self, spec: Spec, start: str, rng: np.random.Generator) -> EnergyNet:
        """A network at rest at a start: a standard deviation, or "xavier"."""
        if start == "xavier":
            return EnergyNet(spec, init(spec, "xavier", rng=rng))
        return EnergyNet(spec, std=float(start), rng=rng)


def read(arguments: Sequence[str] | None) -> Config:
    """Read a command line, and refuse what makes no sense before anything runs.

    Raises:
        ValueError: a value is not one of those that are allowed; the message names both.
    """
    chosen = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("data", "rule", "model", "momentum"):
        chosen.add_argument(f"--{name}", default="")
    brought: dict[str, str | int | float] = {}
    asked = vars(chosen.parse_known_args(arguments)[0])
    for name in ("rule", "model", "data"):  # what is learned has the last word: its networks must fit
        brought |= PRESETS.get(asked[name], {})
    if asked["rule"] == "hamiltonian" and asked["momentum"] not in ("", "1", "1.0"):
        brought = {"batch_size": 0} | PRESETS.get(asked["data"], {})  # with friction it needs no spring
    defaults = [(name, type(value), value) for name, value in brought.items()]
    config = configure(make_dataclass("Chosen", defaults, bases=(Config,), frozen=True), arguments, TITLE)
    _check(config)
    return config


def _check(config: Config) -> None:
    for name, allowed in {
        "data": data.NAMES, "model": MODELS, "rule": rules.RULES, "activation": tuple(FUNCTIONS),
    }.items():  # fmt: skip
        if getattr(config, name) not in allowed:
            raise ValueError(f"--{name} must be one of {', '.join(allowed)}, got {getattr(config, name)!r}")
    least = {"epochs": 1, "batch_size": 0, "patience": 0, "seed": 0, "seeds": 0, "frames": 1}
    for name, bound in least.items():
        if getattr(config, name) < bound:
            option = name.replace("_", "-")
            raise ValueError(f"--{option} must be at least {bound}, got {getattr(config, name)}")
    for name in ("lr", "momentum", "tol", "temperature", "cold", "spring"):
        if not isfinite(getattr(config, name)):
            raise ValueError(f"--{name} must be a finite number, got {getattr(config, name)}")
    if config.start != "xavier" and not _positive(config.start):
        raise ValueError(f"--start must be xavier or a standard deviation above 0, got {config.start!r}")


def rehearse(config: Config, problem: data.Problem) -> None:
    """Let every network train for no epochs: what the rules refuse, they refuse now.

    Raises:
        ValueError: an architecture does not fit the data, or a setting the rule; the message names both.
    """
    fitting = problem.X.shape[1], problem.target.shape[1]
    for spec in config.specs:
        if (spec.sizes[0], spec.sizes[-1]) != fitting:
            raise ValueError(
                f"--data {config.data} has {fitting[0]} inputs and {fitting[1]} outputs, so an architecture "
                f"is {fitting[0]}-...-{fitting[1]}; got {'-'.join(map(str, spec.sizes))}"
            )
        rng = np.random.default_rng(0)
        none = rules.Options(**{**vars(config.options), "epochs": 0})
        rules.train(config.rule, config.network(spec, config.start, rng), problem.X[:4], problem.target[:4],
                    none, rng)  # fmt: skip


def _spec(name: str, activation: str) -> Spec:
    """ "2-3-1": a network of these sizes."""
    try:
        return Spec(tuple(int(size) for size in name.split("-")), activation, activation)
    except ValueError as error:
        raise ValueError(
            f"--architectures takes sizes of layers, as in 2-3-1,2-2-2-1; got {name!r}"
        ) from error


def _positive(text: str) -> bool:
    try:
        return isfinite(float(text)) and float(text) > 0
    except ValueError:
        return False
