r"""Where exactly does an optimizer stop being stable, and how fast is it before?

Nothing but steps is used: run, see whether the error grew, and halve the interval of learning rates. On a
quadratic of largest curvature a, with momentum beta, that must find

    gradient descent   2 / a                          heavy ball   2 (1 + beta) / a
    average (ema)      2 (1 + beta) / (1 - beta) / a  Nesterov     2 (1 + beta) / (1 + 2 beta) / a

Inside, the error shrinks as the larger root of z^2 - p z + q: a map over (lr, momentum), with both.

Source   Polyak 1964, sec. 3; Lessard, Recht & Packard 2016, arXiv:1408.3595, Prop. 1; Goh 2017, "Why momentum
         really works", Distill; Cohen et al. 2021, arXiv:2103.00065, app. B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from dynamics.discrete.momentum_edge import KINDS, critical_momentum, edge, rate, trajectory
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--betas", "3", "--cells", "40")  # what continuous integration runs
CURVATURES = np.array([1.0, 3.0, 10.0])
NAMES = {"heavy_ball": "heavy ball", "nesterov": "Nesterov", "ema": "average (ema)"}
SHOWN = ((0.06, 0.3), (0.06, 0.9), (3.18, 0.6), (3.4, 0.6))  # (lr, momentum) with a phase portrait each


@dataclass(frozen=True)
class Config:
    """What the figures depend on."""

    betas: int = 10  # momenta from 0 to 0.9 at which an edge is looked for
    cells: int = 120  # along each side of the map
    seed: int = 0  # of the quadratic's axes


def bisect(low: float, high: float, above: Callable[[float], bool]) -> float:
    """Where ``above`` turns from false to true, to 1e-8 of it."""
    while high - low > 1e-8 * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if above(middle) else (middle, high)
    return 0.5 * (low + high)


def found_edge(kind: str, momentum: float, config: Config) -> float:
    """The learning rate from which the error grows, on a quadratic of `CURVATURES` along random axes."""
    axes = np.linalg.qr(np.random.default_rng(config.seed).normal(size=(3, 3)))[0]
    hessian, start = (axes * CURVATURES) @ axes.T, axes @ np.ones(3)

    def grows(lr: float) -> bool:
        path = trajectory(lambda x: hessian @ x, start, lr, momentum, 360, kind)
        size = np.abs(path).max(axis=1)  # not squared: at twice the edge 360 steps reach 1e267
        return bool(size[-60:].max() > size[-120:-60].max())  # windows, as the error swings

    high = 0.05
    while not grows(high):
        high *= 2.0
    return bisect(0.5 * high, high, grows)


def found_damping(lr: float) -> float:
    """The momentum from which the heavy ball overshoots, on x^2 / 2 from rest."""
    return bisect(0.0, 0.999, lambda beta: bool(trajectory(lambda x: x, [1.0], lr, beta, 2000).min() < 0.0))


def found_rates(lr: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """What a step leaves of a heavy ball's error on x^2 / 2, by its largest values in two windows."""
    rows = []
    for beta in betas:
        size = np.abs(trajectory(lambda x: x, np.ones(lr.size), lr, float(beta), 200))  # type: ignore
        late, early = size[160:].max(axis=0), size[40:80].max(axis=0)
        rows.append((np.maximum(late, 1e-280) / np.maximum(early, 1e-280)) ** (1 / 120))
    return np.array(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Look for edges, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Where does an optimizer stop being stable?")
    with Run("edge_finder", config) as run:
        claims, betas = Claims(), np.linspace(0.0, 0.9, config.betas)
        work = [partial(found_edge, kind, float(beta), config) for kind in KINDS for beta in betas]
        found = np.array([part() for part in run.track(work, "halving intervals")]).reshape(3, -1)
        lr, momenta = np.linspace(0.02, 4.0, config.cells), np.linspace(0.0, 0.98, config.cells)
        measured = found_rates(lr, momenta)
        computed = np.array([[rate(h, b, 1.0) for h in lr] for b in momenta])
        judge(claims, betas, found, measured, computed)
        draw_edges(run, betas, found)
        draw_map(run, lr, momenta, measured, computed)
        draw_portraits(run)
        claims.conclude(run, "every optimizer has an edge of its own, and steps alone find it")
    return run.exit_code


def judge(
    claims: Claims, betas: np.ndarray, found: np.ndarray, measured: np.ndarray, computed: np.ndarray
) -> None:
    """The claims of the page, measured."""
    top = float(CURVATURES[-1])
    for kind, got in zip(KINDS, found, strict=True):
        known = np.array([edge(top, float(beta), kind) for beta in betas])
        claims.near(
            f"{NAMES[kind]}: largest relative error of the edge", np.abs(got / known - 1).max(), 0, 1e-6
        )
        claims.near(f"{NAMES[kind]}: its edge without momentum, times a", got[0] * top, 2.0, 2e-6)
    for kind, got, share in zip(KINDS, found, (3.8, 3.8 / 2.8, 38.0), strict=True):
        claims.near(f"{NAMES[kind]}: edge at momentum 0.9, times a", got[-1] * top, share, 1e-6 * share)
    for lr in (0.01, 0.04, 0.25):
        claims.near(
            f"it overshoots from this momentum on, lr a = {lr}",
            found_damping(lr),
            critical_momentum(lr, 1.0),
            1e-3,
        )
    gap = np.abs(measured - computed)
    claims.at_most("the map: median error of the measured rate", float(np.median(gap)), 0.005)
    claims.at_most("the map: error in 95 of 100 cells", float(np.quantile(gap, 0.95)), 0.03)
    clear = np.abs(computed - 1.0) > 0.02
    wrong = (measured > 1.0)[clear] != (computed > 1.0)[clear]
    claims.near("the map: cells called stable or not wrongly, of those off the edge", wrong.mean(), 0.0, 0.0)


def draw_edges(run: Run, betas: np.ndarray, found: np.ndarray) -> None:
    """``edges.png``: the largest stable learning rate over the momentum."""
    line = np.linspace(0.0, 0.9, 200)
    with plots.figure("The largest stable learning rate", width=7.2, height=4.8) as (drawn, axes):
        axis = axes[0, 0]
        for i, (kind, got) in enumerate(zip(KINDS, found, strict=True)):
            axis.plot(betas, got * CURVATURES[-1], plots.MARKERS[i], color=plots.COLORS[i], markersize=6)
            axis.plot(line, [edge(1.0, b, kind) for b in line], plots.LINES[i], color="black", linewidth=1.1)
            spot = (0.9, edge(1.0, 0.9, kind))
            axis.annotate(NAMES[kind], spot, xytext=(10, 0), textcoords="offset points", va="center")
        axis.axhline(2.0, color="0.5", linewidth=0.8, linestyle=":")
        axis.annotate(
            "2: gradient descent's", (0.91, 2.0), xytext=(0, 3), textcoords="offset points", fontsize=8
        )
        axis.set(
            yscale="log", xlabel="momentum β", ylabel="learning rate × largest curvature", xlim=(-0.02, 1.16)
        )
        axis.set(ylim=(1.0, 60.0), xticks=[0.0, 0.2, 0.4, 0.6, 0.8])
        axis.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        plots.caption(
            drawn,
            "Marks: found by bisection, from steps alone. Lines: predicted. It says where a quadratic stops "
            "being stable, not which rate is best, and nothing about a loss whose curvature changes.",
        )
        run.save_figure("edges", drawn)


def draw_map(
    run: Run, lr: np.ndarray, momenta: np.ndarray, measured: np.ndarray, computed: np.ndarray
) -> None:
    """``map.png``: how fast a heavy ball is, for every learning rate and momentum."""
    with plots.figure("Heavy ball: what is left of the error after a step", width=7.6, height=5.4) as (
        drawn,
        axes,
    ):
        axis = axes[0, 0]
        shades = axis.pcolormesh(lr, momenta, np.clip(measured, 0.3, 1.3), cmap="Greys", vmin=0.3, vmax=1.5)
        drawn.colorbar(
            shades, ax=axis, label="measured factor a step (at least 0.3, at most 1.3)"
        ).ax.set_ylim(0.3, 1.3)
        lines = axis.contour(
            lr, momenta, computed, levels=[0.5, 0.7, 0.8, 0.9], colors=plots.BLUE, linewidths=1.0
        )
        axis.clabel(lines, fmt="%.1f", fontsize=8)
        smooth = np.linspace(0.0004, 1.0, 300)
        damping = [critical_momentum(h, 1.0) for h in smooth]
        axis.plot(smooth, damping, "--", color=plots.VERMILION, linewidth=2.0)
        axis.plot(2.0 * (1.0 + momenta), momenta, "-", color=plots.VERMILION, linewidth=2.0)
        for i, spot in enumerate(SHOWN):
            axis.plot(*spot, plots.MARKERS[i], color="white", markeredgecolor="black", markersize=8)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "boxstyle": "square,pad=0.2"}
        places = {"swings": (1.4, 0.62), "jumps": (1.62, 0.05), "diverges": (3.2, 0.2), "creeps": (0.34, 0.1)}
        for text, spot in places.items():
            axis.annotate(text, spot, bbox=box, ha="center")
        axis.set(xlabel="learning rate × curvature", ylabel="momentum β", xlim=(0.0, 4.0), ylim=(0.0, 0.98))
        axis.grid(False)
        plots.caption(
            drawn,
            "Grey: measured, dark is slow. Blue: levels of the computed root. Dashed: critical damping, "
            "(1 − √(lr a))². Solid: the edge. Marks: the portraits. One curvature: with several, the slowest "
            "counts, and the best setting lies elsewhere.",
        )
        run.save_figure("map", drawn)


def draw_portraits(run: Run) -> None:
    """``portraits.png``: position and velocity at four settings of the heavy ball."""
    with plots.figure("Position and velocity, from rest", columns=4, width=10.4, height=3.5) as (drawn, axes):
        names = ("creeps", "swings", "jumps", "diverges")
        for i, (axis, name, (lr, beta)) in enumerate(zip(axes[0], names, SHOWN, strict=True)):
            x = trajectory(lambda x: x, [1.0], lr, beta, 60 if i < 3 else 14)[:, 0]
            axis.plot(x[1:], np.diff(x), "-", color="0.6", linewidth=0.7)
            axis.plot(x[1:], np.diff(x), plots.MARKERS[i], color=plots.COLORS[i], markersize=3)
            axis.plot(0.0, 0.0, "+", color="black")
            axis.set(title=f"{name}\nlr a = {lr}, β = {beta}", xlabel="x")
        axes[0, 0].set_ylabel("step, next x − x")
        plots.caption(drawn, "Cross: the minimum. The scales differ: the last one leaves.")
        run.save_figure("portraits", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
