"""XOR, many times: how often a network succeeds, and how long it rests on the plateau before it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf, sqrt

import numpy as np

from dynamics.credit.mlp_backprop import Spec
from experiments import plots
from experiments.claims import Claims
from experiments.energy import plateau
from experiments.energy.config import Config
from experiments.energy.crowd import (
    LEFT,
    LR,
    MOMENTUM,
    Array,
    Networks,
    all_samples,
    draw_starts,
    label,
    minibatches,
    wilson,
)  # fmt: skip
from experiments.runs import Run

STARTS = ("0.1", "0.5", "xavier")
SIZES = (0.2, 0.1, 0.05)  # of the starts whose rest is foretold
NEARLY = 0.1  # 10 other seeds: 1.037 +- 0.006 and 1.046 +- 0.003, above 1 as starts are not infinitely small
LONGEST = 40_000  # steps that are waited
CLASSIC = {"activation": "tanh", "lr": LR, "momentum": MOMENTUM, "epochs": 5000, "batch_size": 2}
# shares that solve XOR with the settings of `CLASSIC`: 400 networks each, of another seed
KNOWN: dict[tuple[int, ...], dict[str, float]] = {
    (2, 2, 1): {"0.1": 0.07, "0.5": 0.8575, "xavier": 0.845},
    (2, 3, 1): {"0.1": 0.0925, "0.5": 0.995, "xavier": 0.9925},
    (2, 2, 2, 1): {"0.1": 0.305, "0.5": 0.94, "xavier": 0.95},
}


@dataclass(frozen=True)
class Fate:
    """Where networks of one architecture and start ended, (M,) each."""

    solved: Array
    stuck: Array


def fates(spec: Spec, start: str, config: Config) -> Fate:
    """Train a crowd, as the single runs were trained."""
    rng = np.random.default_rng([config.seed, 1, *spec.sizes])
    noisy = np.full(config.seeds, 0 < config.batch_size < 4)
    size = config.batch_size if noisy.any() else 4
    steps = config.epochs * ceil(4 / size)
    nets = Networks(spec, draw_starts(spec, start, config.seeds, rng))
    nets.train(minibatches(noisy, rng, size), steps, max(1, steps // 100), config.lr, config.momentum)
    return Fate(nets.solved, nets.stuck)


def count(run: Run, claims: Claims, config: Config) -> None:
    """``success_rates.png`` and ``.csv``: the share that solves XOR, and that on the plateau."""
    if not config.seeds:
        return
    starts = list(dict.fromkeys((*STARTS, config.start)))
    asked = [(spec, start) for spec in config.specs for start in starts]
    found = {}
    for spec, start in run.track(asked, "counting successes"):
        found[spec.sizes, start] = fates(spec, start, config)
    header = ("architecture", "start", "networks", "solved", "wilson_low", "wilson_high", "on_plateau")
    rows = []
    for (sizes, start), fate in found.items():
        hits = int(fate.solved.sum())
        low, high = wilson(hits, config.seeds)
        rows.append(
            (label(sizes), start, config.seeds, hits, f"{low:.4f}", f"{high:.4f}", int(fate.stuck.sum()))
        )
    run.save_table("success_rates", header, rows)
    draw_count(run, config, starts, found)
    if all(getattr(config, name) == value for name, value in CLASSIC.items()):
        for sizes, known in KNOWN.items():
            for start, share in known.items():
                if (sizes, start) in found:
                    # binomial, 4 standard deviations of this run's share and of the 400 it is compared with
                    slack = 4 * sqrt(max(share * (1 - share), 0.01) * (1 / config.seeds + 1 / 400))
                    measured = found[sizes, start].solved.mean()
                    claims.near(
                        f"{label(sizes)}, start {start}: share that solves XOR", measured, share, slack
                    )


def draw_count(
    run: Run, config: Config, starts: Sequence[str], found: dict[tuple[tuple[int, ...], str], Fate]
) -> None:
    """Draw ``success_rates.png``."""
    batches = f"batches of {config.batch_size}" if config.batch_size else "all samples"
    title = f"XOR: how often, after {config.epochs:,} epochs with {batches}"
    names = list(dict.fromkeys(sizes for sizes, _ in found))
    with plots.figure(title, columns=2, width=9.2, height=4.3) as (drawn, axes):
        for axis, what in zip(axes[0], ("solved", "stuck"), strict=True):
            for i, sizes in enumerate(names):
                hits = [int(getattr(found[sizes, start], what).sum()) for start in starts]
                share = np.array(hits) / config.seeds
                ends = np.array([wilson(k, config.seeds) for k in hits]).T
                at = np.arange(len(starts)) + 0.6 / len(names) * (i - (len(names) - 1) / 2)
                axis.errorbar(at, share, np.abs(ends - share), color=plots.COLORS[i % 5], linestyle="none",
                              marker=plots.MARKERS[i % 5], capsize=4, label=label(sizes))  # fmt: skip
            axis.set(xlabel="start: standard deviation", ylim=(-0.04, 1.04))
            axis.set_xticks(range(len(starts)), starts)
        axes[0, 0].set(title="solved", ylabel="share of networks")
        axes[0, 1].set(title=f"still on the plateau (E > {LEFT})")
        axes[0, 0].legend(loc="lower right")
        plots.caption(
            drawn,
            f"Bars: Wilson intervals of 95 %, {config.seeds} networks each. Solved: all four samples on "
            "their side of 1/2, and E < 0.05. What is in neither panel rests lower, near 1/6 or 1/8. "
            "The shares belong to these settings: later, more have left.",
        )
        run.save_figure("success_rates", drawn)


def foretell(run: Run, claims: Claims, config: Config) -> None:
    """``plateau_escape.png``: steps until a network left the plateau, against those foretold."""
    specs = [s for s in config.specs if len(s.sizes) == 3 and s.output == "tanh"]
    if not config.seeds or not specs:
        return
    claims.at_most(
        "plateau, weights 0: largest entry of the Hessian, output bias aside", plateau.curvature(), 1e-12
    )
    asked, found = [(spec, size) for spec in specs for size in SIZES], {}
    for spec, size in run.track(asked, "waiting on the plateau"):
        rng = np.random.default_rng([config.seed, 2, *spec.sizes])
        starts = size * rng.standard_normal((config.seeds, spec.parameters))
        found[spec.sizes, size] = plateau.foretold(spec, starts), waited(spec, starts)
    rows = [(label(sizes), size, *map(float, pair))
            for (sizes, size), both in found.items() for pair in zip(*both, strict=True)]  # fmt: skip
    run.save_table("plateau_escape", ("architecture", "start", "foretold_steps", "waited_steps"), rows)
    draw_foretold(run, found)
    for spec in specs:
        ahead, waits = found[spec.sizes, SIZES[-1]]
        ratio = np.median((waits / ahead)[np.isfinite(waits)])
        name = f"{label(spec.sizes)}, start {SIZES[-1]}: wait on the plateau over that foretold, median"
        claims.near(name, ratio, 1.0, NEARLY)


def waited(spec: Spec, starts: Array) -> Array:
    """Steps until the energy is below `LEFT`, (M,); inf for those that had not left when 60 % had."""
    below = Networks(spec, starts).train(all_samples(), LONGEST, every=1).energies < LEFT
    return np.where(below.any(axis=0), below.argmax(axis=0), inf)


def draw_foretold(run: Run, found: dict[tuple[tuple[int, ...], float], tuple[Array, Array]]) -> None:
    """Draw ``plateau_escape.png``."""
    names = list(dict.fromkeys(sizes for sizes, _ in found))
    with plots.figure("How long a network rests on the plateau", columns=len(names),
                      width=1.2 + 4.2 * len(names), height=4.4) as (drawn, axes):  # fmt: skip
        for axis, sizes in zip(axes[0], names, strict=True):
            for i, size in enumerate(SIZES):
                ahead, waits = found[sizes, size]
                axis.loglog(ahead, waits, color=plots.COLORS[i], marker=plots.MARKERS[i], linestyle="none",
                            markersize=4, alpha=0.8, label=f"start {size}")  # fmt: skip
            ends = np.array(axis.get_xlim())
            axis.plot(ends, ends, color="black", linewidth=0.8, linestyle="--", label="as foretold")
            axis.set(title=label(sizes), xlabel="steps foretold")
        axes[0, 0].set_ylabel("steps until E < 0.2")
        axes[0, 0].legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "All samples in a step. Foretold from the weights after 100 steps, by a quartic energy: no "
            "direction is unstable to second order, so that the wait grows as 1 / start^2. It is the limit "
            "of small starts. Networks are followed until 60 % have left; batches of 2 would hold them.",
        )
        run.save_figure("plateau_escape", drawn)
