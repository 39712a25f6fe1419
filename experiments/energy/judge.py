"""What is known beforehand of networks that roll, as claims: two outputs, the ledger, and each rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynamics.credit.mlp_backprop import Spec, forward
from dynamics.energy.energy_network import EnergyNet
from experiments import plots
from experiments.claims import Claims
from experiments.energy import data, draw, heat, rules
from experiments.energy.config import Config
from experiments.energy.crowd import Array
from experiments.energy.draw import Roll
from experiments.runs import Run

NEURON, NETWORK = 0.9996646498695336, 0.7216325609518421
EQUIPARTITION = 0.15
ORDER = 0.5
BATHS = (0.0, 1e-5, 1e-4)  # temperatures at which networks leave the plateau, or not
PRIORS = (0.0, 1e-3, 1e-2)  # and at which they memorize wrong labels, or not
UNITS = {
    "temperature": "temperature, units of E",
    "energy_error": "error of the total energy",
    "angle": "angle to the gradient (degrees)",
    "hidden_angle": "angle, hidden layers alone (degrees)",
}


def checks(run: Run, claims: Claims) -> None:
    """Two feed-forward passes whose outputs are known: a sigmoid neuron, and a network of three."""
    neuron = forward(np.array([0.0, 1.0, 0.0]), Spec((2, 1), "sigmoid", "sigmoid"), [[12.0, 8.0]])[0][0, 0]
    three = EnergyNet(Spec((2, 2, 1), "sigmoid", "sigmoid"), [0, 1, 0, 1, 0, 0, 0, 1, 0])
    network = three.predict([[2, 3]])[0, 0]
    for what, found, known in (
        ("a neuron at (12, 8)", neuron, NEURON),
        ("2-2-1 at (2, 3)", network, NETWORK),
    ):
        claims.near(f"feed-forward, sigmoid, weights 0 and 1: {what}", found, known, 1e-15)
        run.console.print(f"  feed-forward check, {what}: {float(found)!r}", highlight=False)


def ended(claims: Claims, rolls: Sequence[Roll]) -> None:
    """No roll left the numbers."""
    claims.true("no roll diverged", all(r.history.end != "diverged" for r in rolls))


def learned(claims: Claims, config: Config, rolls: Sequence[Roll], problem: data.Problem) -> None:
    """That something was learned, at settings for which it is known."""
    if config.data == "digits" and config.rule == "descent" and config.epochs >= 20:
        # defaults, seeds 0 to 3: 0.89 to 0.90
        share = min(data.accuracy(r.answer(problem.test_X), problem.test_target) for r in rolls)
        claims.at_least("digits: share of held-out samples that are right", share, 0.8)
    if config.data == "xor" and config.rule == "hamiltonian" and config.momentum < 1:
        lowest = min(float(r.error[-1]) for r in rolls)
        claims.at_most("with friction: lowest energy at the end, off the plateau", lowest, 0.2)
    classic = [r for r in rolls if r.start == "0.1" and config.batch_size == 2 and config.epochs >= 1000]
    if config.data == "xor" and config.rule == "descent" and config.activation == "tanh" and classic:
        # of 400 each, 0.935, 0.925 and 0.735 are there: none of three once in 770 runs
        closest = min(abs(float(np.median(r.error[-len(r.error) // 5 :])) - 0.25) for r in classic)
        claims.near(
            "start 0.1: energy of the roll that is nearest to the plateau", 0.25 + closest, 0.25, 0.01
        )


def ledger(claims: Claims, config: Config, rolls: Sequence[Roll]) -> None:
    """The books of every roll: K = W - Q, and heat that never flows back where nothing heats."""
    if config.rule in ("langevin", "hamiltonian"):
        return  # their work is what balances the books: nothing would be claimed
    whole = [r.history for r in rolls]
    # rounding: some 1e-16 of what was booked, in each of thousands of steps, of either sign
    off = [np.abs(h.kinetic - (h.work - h.dissipated)).max() / max(1.0, h.dissipated.max()) for h in whole]
    claims.at_most("ledger: kinetic energy less (work - heat), over the heat, largest", max(off), 1e-13)
    fall = min(float(np.diff(h.dissipated).min()) for h in whole)
    claims.at_least("ledger: least heat between two records", fall, 0.0)


def rule(run: Run, claims: Claims, config: Config, rolls: Sequence[Roll], problem: data.Problem) -> None:
    """What the rule alone can tell: drawn, and where theory says a number, judged."""
    if not rolls[0].extra:
        return
    draw_extra(run, config, rolls)
    late = [{name: v[len(v) // 2 :] for name, v in r.extra.items()} for r in rolls]
    if config.rule == "langevin" and config.temperature > 0 and config.epochs >= 1000:
        warm = np.mean([(e["kinetic_temperature"] / e["temperature"]).mean() for e in late])
        claims.near("equipartition, second half: mean of 2 K / P over T", warm, 1.0, EQUIPARTITION)
        if config.data == "xor" and config.seeds:
            warmth(run, claims, config)
    elif config.rule == "hamiltonian":
        if config.lr <= 0.05 and config.activation != "relu":  # the order shows where steps are short
            hamiltonian(claims, config, problem)
        if config.momentum == 1 and config.spring > 0 and config.epochs >= 1000:
            judge_drift(claims, rolls)
    elif config.rule == "feedback_alignment":
        begin = np.mean([r.extra["hidden_angle"][0] for r in rolls])
        seen = np.concatenate([e["hidden_angle"] for e in late])
        end = np.nanmedian(seen) if np.isfinite(seen).any() else np.nan  # a net without hidden units has none
        run.console.print(
            f"  hidden layers, angle to the gradient: {begin:.0f} degrees at first, then {end:.0f}"
        )
        if len(problem.classes) > 2:  # of a few units on XOR some never align, and may learn all the same
            claims.at_most("angle to the gradient, second half, median: aligned (degrees)", end, 80.0)
    elif config.rule == "equilibrium":
        off = np.nanmedian(np.concatenate([r.extra["angle"] for r in rolls]))
        # seeds 0 to 3: 3.2 to 8.1; of 10 other starts 2 to 12
        claims.at_most("angle to the exact gradient, median (degrees)", off, 20.0)


def hamiltonian(claims: Claims, config: Config, problem: data.Problem) -> None:
    """The error of the total energy falls as h^2, and does not grow with time."""
    errors = []
    for k in (1, 2):  # h and h / 2, for the same time
        net = config.network(config.specs[0], config.start, np.random.default_rng(config.seed))
        options = rules.Options(config.lr / k**2, config.momentum ** (1 / k), 200 * k)
        outcome = rules.train(
            "hamiltonian", net, problem.X, problem.target, options, np.random.default_rng(0)
        )
        errors.append(np.abs(outcome.extra["energy_error"]).max())
    claims.near(
        "largest error of the total energy, step h over step h / 2", errors[0] / errors[1], 4.0, ORDER
    )


def judge_drift(claims: Claims, rolls: Sequence[Roll]) -> None:
    """A symplectic integrator's error of the energy swings; it does not grow."""
    # 12 starts at the defaults: 0.44 to 1.8; weaker springs let the mass into steep places
    for roll in rolls:
        error = np.abs(roll.extra["energy_error"])
        half = len(error) // 2
        claims.at_most(
            f"{roll.name}: largest error of the energy, second half over first",
            error[half:].max() / error[:half].max(), 3.0,
        )  # fmt: skip


def warmth(run: Run, claims: Claims, config: Config) -> None:
    """What a bath does to learning: it frees from the plateau, and it keeps from memorizing."""
    n = min(config.seeds, 12)
    seeds = [config.seed * 1000 + i for i in range(n)]
    work = [(kind, T, s) for kind, Ts in (("escape", BATHS), ("memorize", PRIORS)) for T in Ts for s in seeds]
    found: dict[tuple[str, float], list] = {}
    for kind, T, s in run.track(work, "heating"):
        found.setdefault((kind, T), []).append(heat.escape(T, s) if kind == "escape" else heat.memorize(T, s))
    share = np.array([np.isfinite(found["escape", T]).mean() for T in BATHS])
    errors = np.array([[(e.learned, e.unseen) for e in found["memorize", T]] for T in PRIORS])
    # 12 seeds: 1 of 12 without heat, 12 of 12 at 1e-4; the gap falls by 0.139 from T = 0 to 0.01
    claims.at_most("share that is off the plateau after 1,000 epochs, T = 0", share[0], 0.5)
    claims.at_least("the same, T = 1e-4", share[-1], 0.8)
    gap = (errors[:, :, 1] - errors[:, :, 0]).mean(axis=1)
    claims.at_least(
        "memorizing: gap of unseen and learned points, T = 0 less T = 0.01", gap[0] - gap[-1], 0.05
    )
    draw.warmth(run, BATHS, share, PRIORS, errors, n)


def draw_extra(run: Run, config: Config, rolls: Sequence[Roll]) -> None:
    """``rule_<name>.png``: a panel a quantity."""
    rolls = [r for r in rolls if all(np.isfinite(v[1:]).any() for k, v in r.extra.items() if k in UNITS)]
    shown = [name for name in rolls[0].extra if name in UNITS] if rolls else []
    if not shown:
        return
    title = f"What {config.rule.replace('_', ' ')} alone can tell: running means"
    with plots.figure(title, columns=len(shown),
                      width=1.4 + 4.4 * len(shown), height=3.8) as (drawn, axes):  # fmt: skip
        for axis, name in zip(axes[0], shown, strict=True):
            for i, roll in enumerate(rolls):
                style = {"color": plots.COLORS[i % 5], "linestyle": plots.LINES[i % 5], "label": roll.name}
                values = roll.extra.get("kinetic_temperature" if name == "temperature" else name)
                axis.plot(roll.history.epoch[1:], _smooth(values[1:]), linewidth=1.1, **style)
            if name == "temperature":
                axis.plot(rolls[0].history.epoch[1:], rolls[0].extra[name][1:], color="black", linestyle=":",
                          label="bath")  # fmt: skip
                axis.set_yscale("log")
            if "angle" in name:
                plots.level(axis, 90.0, "90: useless")
                axis.set_ylim(bottom=0.0)
            axis.set(xlabel="epoch", ylabel=UNITS[name], xscale="log")
            axis.legend(loc="best", fontsize=8)
        run.save_figure(f"rule_{config.rule}", drawn)


def _smooth(values: Array, share: int = 40) -> Array:
    """A running mean over a fortieth of all; the ends over what is there."""
    width = max(1, len(values) // share)
    window = np.ones(width)
    return np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
