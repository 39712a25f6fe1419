r"""When the energy of a network stops falling, is it at rest?

A network learns XOR as a mass rolls, with friction: E is the mean squared error, K the kinetic energy of the
weights, and each step does work W and gives off heat Q. What is known beforehand:

    ledger      K = W - Q since the start, exactly, for any step and any batch
    injected    what finite steps pump in; at fixed friction it halves with the step
    plateau     E = 1/4, the best affine model: small units are linear
    wait        the force off it is a product of 3 small weights (2 layers) or 4 (3 layers): a start of half
                the size waits 4 times as long, or 8 times

Noise of batches does not shake a network off the plateau: it vanishes together with the hidden weights, so
that they drift to where it is least, which is 0, and the network stays.

Source   Polyak 1964; Qian 1999, Neural Networks 12, 145 (the mass); Wilson 1927, JASA 22 (the interval);
         Chen, Kunin, Yamamura & Ganguli 2023, "Stochastic collapse", arXiv:2306.04251 (why noise holds it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

from dynamics.continuous.momentum_ode import heavy_ball_limit
from dynamics.credit.mlp_backprop import Spec, forward
from dynamics.energy.energy_network import EnergyNet, History, plateau
from experiments import plots
from experiments.claims import Claims
from experiments.energy.crowd import (
    INPUTS,
    LEFT,
    LR,
    MOMENTUM,
    TARGETS,
    Networks,
    all_samples,
    draw_starts,
    label,
    minibatches,
    wilson,
)
from experiments.energy.draw import diagram
from experiments.runs import Run, configure

SHORT = "--networks 12 --architectures 2-3-1 --halvings 2 --epochs 400 --frames 2"
QUICK = tuple(SHORT.split())  # what continuous integration runs
STEPS = 10_000  # 5000 epochs of two batches
WATCHED = 80  # networks whose wait is measured
STARTS = ("0.1", "0.5", "Xavier")
NOISES = ("batches of 2", "all samples")
# shares on the plateau from a start of 0.1, by `NOISES`: 400 networks each, of 4 other seeds
KNOWN = {(2, 2, 1): (0.935, 0.0125), (2, 3, 1): (0.925, 0.0025), (2, 2, 2, 1): (0.735, 0.1925)}
WAITS = {(2, 3, 1): 2, (2, 2, 2, 1): 3}  # predicted: the wait grows as this power of 1 / size
MOMENTS = (0, 100, 300, 1000)  # epochs of the phase diagrams that are drawn
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    networks: int = 40  # of each architecture, start and noise, side by side
    architectures: str = "2-2-1,2-3-1,2-2-2-1"
    halvings: int = 4  # of the start, from 0.4 on, for the wait
    epochs: int = 3000  # of the single runs that are drawn
    frames: int = 60  # of the animation
    seed: int = 0


class Crowd:
    """Networks of one architecture from all `STARTS` with all `NOISES`, and how they fared."""

    def __init__(self, spec: Spec, config: Config, rng: np.random.Generator):
        n, self.count = config.networks, config.networks
        self.begin = np.concatenate([draw_starts(spec, size, n, rng) for size in STARTS])
        noisy = np.repeat([True, False], len(self.begin))
        self.nets = Networks(spec, np.tile(self.begin, (2, 1))).train(minibatches(noisy, rng), STEPS)

    def of(self, values: Array, size: str, noise: str) -> Array:
        """The part (..., networks) of values (..., all of them) with this start and noise."""
        at = (NOISES.index(noise) * len(STARTS) + STARTS.index(size)) * self.count
        return values[..., at : at + self.count]

    def stuck(self, size: str, noise: str) -> Array:
        """Which are on the plateau at the end, (networks,)."""
        return self.of(self.nets.stuck, size, noise)


def waits(spec: Spec, config: Config) -> Array:
    """Steps until networks leave the plateau, or inf, (sizes, WATCHED): from ever smaller starts."""
    rng = np.random.default_rng(config.seed + 1)
    starts, found = rng.normal(0.0, 0.4, (WATCHED, spec.parameters)), []
    for k in range(1 + min(config.halvings, 4 if len(spec.sizes) == 3 else 2)):  # the deep are slow
        below = Networks(spec, starts / 2**k).train(all_samples(), 40_000, every=1).energies < LEFT
        found.append(np.where(below.any(axis=0), below.argmax(axis=0), inf))
    return np.array(found)


def growth(times: Array) -> float:
    """The median factor by which a network waits longer from half the size, at the smallest."""
    before, after = times[-2:, np.isfinite(times[-2])]
    return float(np.median(after / before))


def rolls(specs: Sequence[Spec], config: Config) -> list[History]:
    """One run of each architecture, all samples in a step, from a start of size 0.2, every epoch recorded."""
    found = []
    for spec in specs:
        net = EnergyNet(spec, std=0.2, rng=np.random.default_rng([config.seed, *spec.sizes]))
        found.append(net.train(INPUTS, TARGETS, LR, config.epochs, momentum=MOMENTUM))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Let networks roll, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "When the energy of a network stops falling, is it at rest?")
    specs = [_spec(name) for name in config.architectures.split(",")]
    with Run("energy_relaxation", config) as run:
        claims, rng = Claims(), np.random.default_rng(config.seed)
        crowds = {s.sizes: Crowd(s, config, rng) for s in run.track(specs, "training crowds")}
        waiting = [s for s in specs if s.sizes in WAITS]
        times = {s.sizes: waits(s, config) for s in run.track(waiting, "waiting on the plateau")}
        single = rolls(specs, config)
        judge_ledger(claims, specs, single, config)
        judge_plateau(claims, crowds, times)
        draw_decay(run, specs, single)
        draw_shares(run, crowds, config)
        draw_wait(run, times, crowds)
        draw_phases(run, specs, single)
        animate(run, specs, single, config)
        claims.conclude(run, "the energy books balance, and the rest at one quarter is no rest")
    return run.exit_code


def _spec(name: str) -> Spec:
    """ "2-3-1": a network of these sizes, tanh everywhere."""
    return Spec(tuple(int(size) for size in name.split("-")), "tanh", "tanh")


def judge_ledger(claims: Claims, specs: Sequence[Spec], single: Sequence[History], config: Config) -> None:
    """The books of the single runs, and two networks whose outputs are known."""
    neuron = forward(np.array([0.0, 1.0, 0.0]), Spec((2, 1), "sigmoid", "sigmoid"), [[12.0, 8.0]])[0]
    claims.near("a sigmoid neuron, weights 0 and 1, at (12, 8)", neuron[0, 0], 0.9996646498695336, 1e-15)
    check = EnergyNet(Spec((2, 2, 1), "sigmoid", "sigmoid"), [0, 1, 0, 1, 0, 0, 0, 1, 0])
    claims.near("2-2-1 of such neurons at (2, 3)", check.predict([[2, 3]])[0, 0], 0.7216325609518421, 1e-15)

    rng = np.random.default_rng([config.seed, 7])
    start = rng.normal(0.0, 1.0, specs[0].parameters)
    ragged = EnergyNet(specs[0], start).train(
        INPUTS, TARGETS, LR, 300, momentum=MOMENTUM, batch_size=3, rng=rng
    )
    books = [float(np.abs(h.kinetic - (h.work - h.dissipated)).max()) for h in (*single, ragged)]
    claims.at_most(
        "ledger: kinetic energy less (work - heat), largest of all runs and epochs", max(books), 1e-13
    )
    fall = min(float(np.diff(h.dissipated).min()) for h in (*single, ragged))
    claims.at_least("ledger: least heat of an epoch", fall, 0.0)
    injected = []
    for steps in (400, 800):
        lr, momentum = heavy_ball_limit(1.0, 20 / steps)
        net = EnergyNet(specs[0], start)
        injected.append(
            net.train(INPUTS, TARGETS, lr, steps, momentum=momentum, record_every=steps).injected[-1]
        )
    ratio = injected[0] / injected[1]
    # over 30 other seeds 1.995 +- 0.016
    claims.near("injected energy of a step over that of half the step, friction fixed", ratio, 2.0, 0.1)

    ends = []
    for _ in range(10):
        net = EnergyNet(specs[0], std=0.1, rng=rng)
        h = net.train(INPUTS, TARGETS, LR, STEPS, momentum=MOMENTUM, patience=10)
        ends.append(h.end == "patience" and h.potential.min() > 0.24)
    claims.near("early stopping, start 0.1: share that it ends on the plateau", np.mean(ends), 1.0, 0.0)


def judge_plateau(
    claims: Claims, crowds: dict[tuple[int, ...], Crowd], times: dict[tuple[int, ...], Array]
) -> None:
    """Who is on the plateau at the end, what keeps them there, and how long the others waited."""
    claims.near("energy of the best affine model", plateau(INPUTS, TARGETS), 0.25, 1e-15)
    off = []
    for sizes, crowd in crowds.items():
        begin = crowd.begin[0]
        path = Networks(_spec(label(sizes)), begin[None]).train(all_samples(), 200, every=1).energies[:, 0]
        alone = EnergyNet(_spec(label(sizes)), begin).train(INPUTS, TARGETS, LR, 200, momentum=MOMENTUM)
        off.append(np.abs(path - alone.potential[: len(path)]).max())
    claims.at_most("energy of a network in the crowd less that of the same alone: largest", max(off), 1e-12)
    for sizes, crowd in crowds.items():
        name, n = label(sizes), crowd.count
        for noise, share in zip(NOISES, KNOWN[sizes], strict=True):
            # binomial, 4 standard deviations of this run's share and of the 400 that it is compared with
            slack = 4 * sqrt(max(share * (1 - share), 0.005) * (1 / n + 1 / 400))
            found = crowd.stuck("0.1", noise)
            claims.near(f"{name}, start 0.1, {noise}: share on the plateau", found.mean(), share, slack)
        others = max(crowd.stuck(size, noise).mean() for size in STARTS[1:] for noise in NOISES)
        claims.at_most(f"{name}, start 0.5 or Xavier, with and without noise: largest share", others, 0.12)
        held = crowd.stuck("0.1", NOISES[0])
        energy = np.median(crowd.of(crowd.nets.energies[-5:].mean(axis=0), "0.1", NOISES[0])[held])
        claims.near(f"{name}, held by noise: their energy, median", energy, 0.25, 0.002)
        lengths = crowd.of(crowd.nets.lengths, "0.1", NOISES[0])
        shrunk = np.median((lengths[-1] / lengths[0])[held])
        claims.at_most(f"{name}, held by noise: output weights, end over start, median", shrunk, 0.1)
    for sizes, found in times.items():
        factor = growth(found)
        name = f"{label(sizes)}: wait of half the start over wait of the whole, median"
        if len(sizes) == 3:
            # over 7 other seeds 3.99 +- 0.06 from 0.05 to 0.025; from 0.2 to 0.1 yet 4.1 +- 0.4
            claims.near(name, factor, 2.0 ** WAITS[sizes], 0.25 if len(found) == 5 else 1.0)
        else:  # 6.1 +- 0.4
            claims.at_least(f"{name}: on its way to 8", factor, 4.5)


def draw_decay(run: Run, specs: Sequence[Spec], single: Sequence[History]) -> None:
    """``decay.png``: energy over time and its ledger, one column an architecture."""
    title = "XOR as mechanics: what falls is the total energy, and it rests on the way"
    with plots.figure(title, rows=2, columns=len(specs), width=3.6 * len(specs), height=6.4) as (drawn, axes):
        for (above, below), spec, h in zip(axes.T, specs, single, strict=True):
            time = h.epoch[1:]
            above.plot(time, h.total[1:], color=plots.COLORS[1], linestyle="--", label="E + K")
            above.plot(time, h.potential[1:], color=plots.COLORS[0], label="E")
            plots.level(above, plateau(INPUTS, TARGETS), "")
            above.set(title=label(spec.sizes), xscale="log", ylim=(0, 0.5))
            below.plot(time, h.kinetic[1:], color=plots.COLORS[0], linewidth=3.5, alpha=0.4, label="K")
            below.plot(time, (h.work - h.dissipated)[1:], color="black", linestyle="--", linewidth=0.9,
                       label="W − Q, predicted")  # fmt: skip
            below.plot(time, h.dissipated[1:], color=plots.COLORS[1], linestyle="-.", label="heat Q")
            below.plot(time, np.abs(h.injected[1:]), color=plots.COLORS[2], linestyle=":", label="|injected|")
            below.set(xlabel="epoch", xscale="log", yscale="log", ylim=(1e-9, 1.0))
        axes[0, 0].set_ylabel("energy (mean squared error)")
        axes[1, 0].set_ylabel("energy")
        axes[0, 0].annotate("1/4", (1.0, 0.25), xytext=(2, 4), textcoords="offset points")
        axes[0, -1].legend(loc="upper right")
        axes[1, -1].legend(loc="lower left", fontsize=8)
        plots.caption(
            drawn,
            "Start of size 0.2, all samples in a step. Dotted above: the best affine model. The kinetic "
            "energy is work less heat, to the last digit. One run each: that one architecture leaves the "
            "plateau before another says nothing about the next start.",
        )
        run.save_figure("decay", drawn)


def draw_shares(run: Run, crowds: dict[tuple[int, ...], Crowd], config: Config) -> None:
    """``shares.png`` and ``shares.csv``: the share on the plateau, by start, noise and architecture."""
    rows = []
    title = f"Who is still on the plateau after {STEPS:,} steps"
    with plots.figure(title, columns=2, width=9.2, height=4.4) as (drawn, axes):
        for axis, noise in zip(axes[0], NOISES, strict=True):
            for i, (sizes, crowd) in enumerate(crowds.items()):
                hits = [int(crowd.stuck(size, noise).sum()) for size in STARTS]
                share = np.array(hits) / crowd.count
                ends = np.array([wilson(k, crowd.count) for k in hits])
                at = np.arange(len(STARTS)) + 0.2 * (i - (len(crowds) - 1) / 2)
                axis.errorbar(at, share, np.abs(ends.T - share), color=plots.COLORS[i], linestyle="none",
                              marker=plots.MARKERS[i], capsize=4, label=label(sizes))  # fmt: skip
                known = KNOWN[sizes][NOISES.index(noise)]
                axis.plot(at[0] + np.array([-0.09, 0.09]), [known, known], color="black", linewidth=1.2)
                rows += [(label(sizes), size, noise, k, crowd.count, f"{low:.4f}", f"{high:.4f}")
                         for size, k, (low, high) in zip(STARTS, hits, ends, strict=True)]  # fmt: skip
            axis.set(title=noise, xlabel="start: standard deviation", ylim=(-0.04, 1.04))
            axis.set_xticks(range(len(STARTS)), STARTS)
        axes[0, 0].set_ylabel("share of networks")
        axes[0, 0].legend(loc="upper right")
        plots.caption(
            drawn,
            f"Bars: Wilson intervals of 95 %, {config.networks} networks each; black: the share of 400 "
            "others. Noise does not free the small starts, it holds them. The shares belong to this learning "
            "rate and number of steps: later, more have left; and who has left need not have solved XOR.",
        )
        run.save_figure("shares", drawn)
    header = ("architecture", "start", "noise", "on_plateau", "networks", "wilson_low", "wilson_high")
    run.save_table("shares", header, rows)


def draw_wait(run: Run, times: dict[tuple[int, ...], Array], crowds: dict[tuple[int, ...], Crowd]) -> None:
    """``wait.png``: how long the plateau holds without noise, and what noise does to the output weights."""
    with plots.figure("What holds a network on the plateau", columns=2, width=9.6, height=4.6) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        for i, (sizes, found) in enumerate(times.items()):
            size = 0.4 / 2.0 ** np.arange(len(found))
            color, middle = plots.COLORS[i], np.median(found, axis=1)
            spread = np.linspace(0.94, 1.06, found.shape[1])
            left.plot(
                np.outer(size, spread).ravel(), found.ravel(), ".", color=color, alpha=0.25, markersize=4
            )
            left.plot(
                size, middle, plots.MARKERS[i], color=color, label=f"{label(sizes)}: median", markersize=8
            )
            line = middle[-1] * (size / size[-1]) ** -WAITS[sizes]
            left.plot(size, line, color="black", linestyle=plots.LINES[i + 1], linewidth=1.2,
                      label=f"predicted slope −{WAITS[sizes]}")  # fmt: skip
        left.set(xscale="log", yscale="log", xlabel="size of the start (standard deviation)",
                 ylabel="steps until E < 0.2", title="Without noise: a wait")  # fmt: skip
        ticks = 0.4 / 2.0 ** np.arange(max(map(len, times.values()), default=1))
        left.set_xticks(ticks, [f"{t:g}" for t in ticks])
        left.set_xticks([], minor=True)
        left.legend(loc="upper right", fontsize=8)
        crowd = crowds.get((2, 3, 1), next(iter(crowds.values())))
        for i, noise in enumerate(NOISES):
            lengths = crowd.of(crowd.nets.lengths, "0.1", noise)
            step = 100 * np.arange(len(lengths))
            low, middle, high = np.quantile(lengths, (0.25, 0.5, 0.75), axis=1)
            right.fill_between(step, low, high, color=plots.COLORS[i], alpha=0.2, linewidth=0)
            right.semilogy(step, middle, color=plots.COLORS[i], linestyle=plots.LINES[i], label=noise)
        right.set(xlabel="step", ylabel="length of the output weights", title="2-3-1, start 0.1")
        right.legend(loc="center right")
        plots.caption(
            drawn,
            f"Left: the same {WATCHED} starts, shrunk, and followed until 60 % had left; lines of the "
            "predicted slope through the leftmost median. The deeper network has not reached its own. "
            "Right: median and middle half. Noise shrinks no weights where the batches' gradients agree.",
        )
        run.save_figure("wait", drawn)


def draw_phases(run: Run, specs: Sequence[Spec], single: Sequence[History]) -> None:
    """``phases.png``: outputs in the plane, a row an architecture, a column a moment."""
    columns = len(MOMENTS) + 1
    with plots.figure("What the network says while its energy falls", rows=len(specs), columns=columns,
                      width=10.4, height=0.9 + 2.2 * len(specs)) as (drawn, axes):  # fmt: skip
        for row, spec, h in zip(axes, specs, single, strict=True):
            moments = [min(m, len(h.epoch) - 1) for m in (*MOMENTS, len(h.epoch) - 1)]
            for axis, moment in zip(row, moments, strict=True):
                diagram(axis, h.snapshots[moment], spec)
                axis.set_title(f"epoch {moment:,}: E = {h.potential[moment]:.3f}", fontsize=8.5)
            row[0].set_ylabel(f"{label(spec.sizes)}\n\ninput 2")
        for axis in axes[-1]:
            axis.set_xlabel("input 1")
        plots.caption(
            drawn,
            "White is 1, dark is 0, red is one half; circles have target 0, squares 1. On the plateau a "
            "network says one half everywhere. An output is no probability: tanh reaches below 0, and only "
            "four points were ever asked for.",
        )
        run.save_figure("phases", drawn)


def animate(run: Run, specs: Sequence[Spec], single: Sequence[History], config: Config) -> None:
    """``relaxation.gif``: energies fall, and the diagrams beside them change."""
    last = min(len(h.epoch) for h in single) - 1
    frames = np.unique(np.geomspace(1, last, config.frames).astype(int))
    with plots.figure("XOR: energy and output", columns=1 + len(specs), width=3.0 * (1 + len(specs)),
                      height=3.3) as (drawn, axes):  # fmt: skip
        curves, *planes = axes[0]
        moving = []
        for i, (spec, h) in enumerate(zip(specs, single, strict=True)):
            curves.plot(h.epoch[1:], h.potential[1:], color="0.85", linewidth=0.8)
            moving += curves.plot(
                [], [], color=plots.COLORS[i], linestyle=plots.LINES[i], label=label(spec.sizes)
            )
        plots.level(curves, 0.25, "")
        curves.set(xscale="log", xlabel="epoch", ylabel="energy E", ylim=(0, 0.5))
        curves.legend(loc="lower left", fontsize=8)

        def show(epoch: int) -> None:
            for line, axis, spec, h in zip(moving, planes, specs, single, strict=True):
                line.set_data(h.epoch[1 : epoch + 1], h.potential[1 : epoch + 1])
                axis.clear()
                diagram(axis, h.snapshots[epoch], spec)
                axis.set_title(f"{label(spec.sizes)}, epoch {epoch:,}", fontsize=9)

        run.save_animation("relaxation", drawn, show, frames.tolist(), fps=10)


if __name__ == "__main__":
    raise SystemExit(main())
