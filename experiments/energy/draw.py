"""What the energy simulator draws of networks that rolled: decay, comparison, balance, planes, heat.

Every figure takes finished histories and numbers; nothing here trains. Time is on a logarithmic axis, as
a small start spends most of its life on a plateau and the rest is over in a tenth of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynamics.credit.mlp_backprop import Spec
from dynamics.energy.energy_network import EnergyNet, History
from experiments import plots
from experiments.energy import data, rules
from experiments.energy.crowd import INPUTS, TARGETS, Array, label, wilson
from experiments.runs import Run

SIDE = np.linspace(-0.5, 1.5, 81)  # of the planes of XOR
NOT_SHOWN = "One run each: that one architecture is faster than another says nothing about the next start."


class Roll(NamedTuple):
    """A network that was trained, by what and from where, and what was recorded."""

    net: EnergyNet  # as it ended
    rule: str
    start: str  # a standard deviation, or "xavier"
    history: History
    extra: dict[str, Array]  # what only its rule can tell, a number a record

    @property
    def name(self) -> str:
        """ "2-3-1"."""
        return label(self.net.spec.sizes)

    @property
    def error(self) -> Array:
        """E, the mean squared error, (R,): the potential without the springs that some rules have."""
        return self.history.potential - self.extra.get("spring_energy", 0.0)

    def answer(self, X: Array) -> Array:
        """Its outputs (N, K) for X (N, D)."""
        return rules.answer(self.rule, self.net.spec, self.net.theta, X)


def _energies(axis: Axes, roll: Roll, rest: float) -> None:
    """E and E + K over epochs, the height of the best affine model, and how it ended."""
    h = roll.history
    total = "E + springs + K" if np.any(roll.error != h.potential) else "E + K"
    axis.plot(h.epoch[1:], h.total[1:], color=plots.VERMILION, linestyle="--", linewidth=1.0, label=total)
    axis.plot(h.epoch[1:], roll.error[1:], color=plots.BLUE, label="E")
    _rest(axis, rest)
    axis.set(title=f"start {roll.start}: ends at E = {roll.error[-1]:.2g}", xscale="log", xlabel="epoch")


def _rest(axis: Axes, rest: float) -> None:
    """The energy of the best affine model, named below its line on the right: curves come from above."""
    plots.level(axis, rest, "")
    axis.annotate(f"best affine model, {rest:.3g}", (1.0, rest), xycoords=("axes fraction", "data"),
                  xytext=(-2, -5), textcoords="offset points", ha="right", va="top", fontsize=8)  # fmt: skip


def _top(rolls: Sequence[Roll], rest: float) -> float:
    """A height that shows the plateau and all starts, but not the spikes of a system that was kicked."""
    return max(2 * rest, *(1.15 * float(np.quantile(r.history.total, 0.98)) for r in rolls))


def decay(run: Run, rolls: Sequence[Roll], rest: float, frames: int) -> None:
    """``energy_decay_<sizes>.png`` and, the same in motion, ``.gif``: one architecture, a panel a start.

    Args:
        run: whose folder gets them.
        rolls: of one architecture.
        rest: energy of the best affine model.
        frames: of the animation.
    """
    name = f"energy_decay_{rolls[0].name}"
    size = {"columns": len(rolls), "width": 1.2 + 4.2 * len(rolls), "height": 3.8}
    with plots.figure(f"{rolls[0].name}: potential and total energy", **size) as (drawn, axes):
        for axis, roll in zip(axes[0], rolls, strict=True):
            _energies(axis, roll, rest)
            axis.set_ylim(0, _top(rolls, rest))
        axes[0, 0].set_ylabel("energy (mean squared error)")
        axes[0, -1].legend(loc="upper right")
        plots.caption(
            drawn, "A flat stretch is no equilibrium: a force may be too small to see. " + NOT_SHOWN
        )
        run.save_figure(name, drawn)
        _grow(run, name, drawn, axes[0], rolls, frames)


def _grow(run: Run, name: str, drawn: Figure, axes: Array, rolls: Sequence[Roll], frames: int) -> None:
    """Animate a figure whose axes hold two curves of each roll: they grow over their own shadow."""
    drawn.set_layout_engine("none")  # laid out once: nothing moves but the curves, and frames are faster
    for axis, roll in zip(axes, rolls, strict=True):
        axis.plot(roll.history.epoch[1:], roll.error[1:], color="0.85", linewidth=0.8, zorder=0)
    last = max(len(r.history.epoch) for r in rolls) - 1

    def show(record: int) -> None:
        for axis, roll in zip(axes, rolls, strict=True):
            h = roll.history
            at = min(record, len(h.epoch) - 1)
            for line, values in zip(axis.lines[:2], (h.total, roll.error), strict=True):
                line.set_data(h.epoch[1 : at + 1], values[1 : at + 1])
            axis.set_title(f"start {roll.start}, epoch {h.epoch[at]:,}: E = {roll.error[at]:.3f}")

    run.save_animation(name, drawn, show, moments(last, frames), fps=10)


def moments(last: int, frames: int) -> list[int]:
    """At most so many records from 1 to the last, dense at first."""
    return np.unique(np.geomspace(1, max(1, last), frames).astype(int)).clip(max=last).tolist()


def comparison(run: Run, rolls: Sequence[Roll], rest: float) -> None:
    """``energy_comparison.png``: all architectures in one panel, a panel a start."""
    starts = list(dict.fromkeys(r.start for r in rolls))
    size = {"columns": len(starts), "width": 1.6 + 4.2 * len(starts), "height": 3.9}
    with plots.figure("Energy of all architectures", **size) as (drawn, axes):
        for axis, start in zip(axes[0], starts, strict=True):
            for i, roll in enumerate(r for r in rolls if r.start == start):
                axis.plot(roll.history.epoch[1:], roll.error[1:], label=roll.name,
                          color=plots.COLORS[i % 5], linestyle=plots.LINES[i % 5])  # fmt: skip
            _rest(axis, rest)
            axis.set(title=f"start {start}", xscale="log", xlabel="epoch", ylim=(0, _top(rolls, rest)))
        axes[0, 0].set_ylabel("energy E (mean squared error)")
        axes[0, -1].legend(loc="upper right")
        plots.caption(drawn, NOT_SHOWN)
        run.save_figure("energy_comparison", drawn)


def balance(run: Run, rolls: Sequence[Roll]) -> None:
    """``energy_balance.png``: where the energy of the start went, and how well the books balance."""
    size = {"columns": len(rolls), "width": 1.2 + 3.4 * len(rolls), "height": 6.2}
    with plots.figure("Where the energy goes", rows=2, **size) as (drawn, axes):
        for (above, below), roll in zip(axes.T, rolls, strict=True):
            h = roll.history
            time, owed = h.epoch[1:], h.total[0] + h.injected
            parts = {"potential": h.potential, "kinetic K": h.kinetic, "heat Q": h.dissipated}
            shades = ("#9ecae9", "black", "#f4c9a8")  # K is a thin wedge between two pale ones
            if h.dissipated.min() < 0.0:  # a bath that gives heat: parts of no whole
                for i, (part, values) in enumerate(parts.items()):
                    above.plot(time, values[1:], color=plots.COLORS[i], linestyle=plots.LINES[i], label=part)
            else:
                above.stackplot(time, *(p[1:] for p in parts.values()), labels=parts, colors=shades)
            above.plot(time, owed[1:], color=plots.VERMILION, linestyle="--", label="start + injected")
            above.set(title=f"{roll.name}, start {roll.start}", xscale="log")
            error = np.abs(h.kinetic - (h.work - h.dissipated))
            below.plot(time, h.kinetic[1:], color="black", linewidth=0.8, label="kinetic K")
            below.plot(
                time, np.abs(h.injected[1:]), color=plots.VERMILION, linestyle="--", label="|injected|"
            )
            below.plot(time, np.maximum(error[1:], 1e-18), color=plots.BLUE, linestyle=":",
                       label="|K − (W − Q)|")  # fmt: skip
            below.set(xlabel="epoch", xscale="log", yscale="log", ylim=(1e-18, 10.0))
        axes[0, 0].set_ylabel("energy, parts stacked")
        axes[1, 0].set_ylabel("energy")
        axes[0, 0].legend(loc="upper left", fontsize=8, frameon=True, framealpha=0.85, edgecolor="none")
        axes[1, 0].legend(loc="center left", fontsize=8)
        plots.caption(
            drawn,
            "Work less heat is the kinetic energy to the last digit, whatever the batches. Injected is what "
            "steps of a finite length, and batches, pump in; the books hold by construction of the heat.",
        )
        run.save_figure("energy_balance", drawn)


def diagram(axis: Axes, theta: Array, spec: Spec, rule: str = "descent") -> None:
    """What a network says in the plane of XOR, and where it says one half; nothing is clipped to white."""
    points = np.stack([side.ravel() for side in np.meshgrid(SIDE, SIDE)], axis=1)
    said = rules.answer(rule, spec, theta, points).reshape(len(SIDE), len(SIDE))
    axis.contourf(
        SIDE, SIDE, np.clip(said, -0.25, 1.25), np.linspace(-0.25, 1.25, 13), cmap="Greys_r", alpha=0.75
    )
    if said.min() < 0.5 < said.max():
        axis.contour(SIDE, SIDE, said, [0.5], colors=plots.VERMILION, linewidths=1.8)
    for target, marker, color in ((0, "o", plots.BLUE), (1, "s", plots.ORANGE)):
        chosen = INPUTS[TARGETS[:, 0] == target]
        axis.scatter(chosen[:, 0], chosen[:, 1], s=42, c=color, marker=marker, edgecolors="black", zorder=3)
    axis.set(aspect="equal", xticks=[0, 1], yticks=[0, 1])
    axis.grid(False)


def regions(axis: Axes, theta: Array, spec: Spec, rule: str, problem: data.Problem) -> None:
    """The regions of a network with two inputs and an output a class, over the samples."""

    def shares(X: Array) -> Array:
        return data.one_hot(data.decide(rules.answer(rule, spec, theta, X)), len(problem.classes))

    plots.class_regions(axis, problem.X, data.decide(problem.target), shares, cells=60)


def evolution(
    run: Run,
    name: str,
    specs: Sequence[Spec],
    histories: Sequence[History],
    frames: int,
    plane: Callable[[Axes, Array, Spec], None] = diagram,
    rest: float = 0.25,
) -> None:
    """``<name>.gif``: energies fall, and the planes beside them change.

    Args:
        run: whose folder gets it.
        name: of the file.
        specs: of networks with two inputs.
        histories: theirs; the film ends with the shortest.
        frames: at most so many.
        plane: draws what a network says, given axes, theta and spec.
        rest: energy of the best affine model.
    """
    last = min(len(h.epoch) for h in histories) - 1
    size = {"columns": 1 + len(specs), "width": 3.0 * (1 + len(specs)), "height": 3.3}
    with plots.figure("Energy and output", **size) as (drawn, axes):
        curves, *planes = axes[0]
        moving = []
        for i, (spec, h) in enumerate(zip(specs, histories, strict=True)):
            style = {"color": plots.COLORS[i % 5], "linestyle": plots.LINES[i % 5]}
            curves.plot(h.epoch[1:], h.potential[1:], color="0.85", linewidth=0.8)
            moving += curves.plot([], [], label=label(spec.sizes), **style)
        plots.level(curves, rest, "")
        top = max(2 * rest, *(1.1 * float(np.quantile(h.potential, 0.98)) for h in histories))
        curves.set(xscale="log", xlabel="epoch", ylabel="energy E", ylim=(0, top))
        curves.legend(loc="upper right", fontsize=8)

        def show(record: int) -> None:
            for line, axis, spec, h in zip(moving, planes, specs, histories, strict=True):
                line.set_data(h.epoch[1 : record + 1], h.potential[1 : record + 1])
                axis.clear()
                plane(axis, h.snapshots[record], spec)
                axis.set_title(f"{label(spec.sizes)}, epoch {h.epoch[record]:,}", fontsize=9)

        run.save_animation(name, drawn, show, moments(last, frames), fps=10)


def phases(run: Run, rolls: Sequence[Roll], problem: data.Problem, rest: float, frames: int) -> None:
    """``phase_diagram_evolution.gif``, of networks with two inputs."""
    rule = rolls[0].rule
    single = problem.target.shape[1] == 1
    plane = partial(diagram, rule=rule) if single else partial(regions, rule=rule, problem=problem)
    specs, histories = [r.net.spec for r in rolls], [r.history._replace(potential=r.error) for r in rolls]
    evolution(run, "phase_diagram_evolution", specs, histories, frames, plane, rest)


def confusion(run: Run, roll: Roll, problem: data.Problem) -> None:
    """``confusion_<sizes>.png``: what is taken for what, on samples not trained on."""
    counts = data.confusion(roll.answer(problem.test_X), problem.test_target)
    share = np.trace(counts) / counts.sum()
    title = f"{roll.name}: {share:.1%} of {counts.sum():,} held-out samples"
    size = 2.6 + 0.3 * len(problem.classes)
    with plots.figure(title, width=max(4.6, size), height=size) as (drawn, axes):
        plots.confusion(axes[0, 0], counts, problem.classes)
        run.save_figure(f"confusion_{roll.name}", drawn)


def warmth(
    run: Run, baths: Sequence[float], share: Array, priors: Sequence[float], errors: Array, seeds: int
) -> None:
    """``heat.png``: who leaves the plateau, and what is memorized, at each temperature.

    Args:
        run: whose folder gets it.
        baths, share: (T,), temperatures and the shares off the plateau.
        priors, errors: (U,) temperatures, and (U, seeds, 2) errors on learned and on unseen points.
        seeds: of each.
    """
    with plots.figure("What a bath does to learning", columns=2, width=9.4, height=4.2) as (drawn, axes):
        left, right = axes[0]
        low, high = np.array([wilson(round(p * seeds), seeds) for p in share]).T
        at = np.arange(len(baths))
        left.errorbar(at, share, [share - low, high - share], color=plots.BLUE, marker="o", linestyle="none",
                      capsize=4)  # fmt: skip
        left.set_xticks(at, [f"{T:g}" for T in baths])
        left.set(xlabel="temperature", ylabel="off the plateau after 1,000 epochs", ylim=(-0.04, 1.04),
                 title="XOR, batches of 2, start 0.1")  # fmt: skip
        for k, name in enumerate(("learned, some labels wrong", "unseen, labels right")):
            mean, spread = errors[:, :, k].mean(axis=1), errors[:, :, k].std(axis=1) / np.sqrt(seeds)
            right.errorbar(np.arange(len(priors)), mean, 2 * spread, color=plots.COLORS[k], capsize=4,
                           linestyle=plots.LINES[k], marker=plots.MARKERS[k], label=name)  # fmt: skip
        right.set_xticks(np.arange(len(priors)), [f"{T:g}" for T in priors])
        right.set(xlabel="temperature, and spring", ylabel="squared error", title="Two moons, 40 points")
        right.legend(fontsize=8)
        plots.caption(
            drawn,
            f"{seeds} seeds each; left Wilson intervals of 95 %, right two standard errors. Most of what is "
            "gained on the right is the spring, which is weight decay: heat adds the average over networks.",
        )
        run.save_figure("heat", drawn)
