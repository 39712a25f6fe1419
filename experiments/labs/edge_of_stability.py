r"""Why does gradient descent not diverge when the loss becomes too sharp for its learning rate?

Descent with learning rate lr is stable where the sharpness S, the largest eigenvalue of the Hessian, is below
2 / lr. Training makes a network sharper until S is there, and then it stays: the loss goes up and down from
step to step and still falls.

    before    S rises as on the gradient flow, the loss falls in every step
    at 2/lr   the step along the sharpest direction is multiplied by 1 - lr S = -1: it changes sign in every
              step, grows where S > 2 / lr, and a larger swing makes S fall again

Source   Cohen, Kaur, Li, Kolter & Talwalkar 2021, "Gradient descent on neural networks typically occurs at
         the edge of stability", arXiv:2103.00065, sec. 2 and 3; Damian, Nichani & Lee 2023,
         "Self-stabilization", arXiv:2209.15594, sec. 4 (why the swing lowers S).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from experiments import plots
from experiments.claims import Claims
from experiments.fitting import Fit, chebyshev
from experiments.runs import Run, configure

QUICK = ("--seeds", "1", "--frames", "3")  # what continuous integration runs
RATES = (0.1, 0.05, 0.025)
EVERY = 1.0  # time, which is steps times learning rate, between two measurements
SHORTEST, LONGEST, WINDOW = 300.0, 1000.0, 150.0  # time in all: at least, at most, after the crossing
VISIBLE = 1e-4  # steps along v that are shorter say little of the oscillation
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    seeds: int = 3
    seed: int = 0  # the first, and the one that is drawn
    frames: int = 60  # of the animation


@dataclass(frozen=True)
class Path:
    """One run: the loss of every step; at every measurement S, and two steps along its direction v."""

    lr: float
    losses: Array  # (steps,)
    steps: Array  # (M,), when it was measured
    sharpness: Array  # (M,)
    swings: Array  # (M, 2): this step and the next, along v
    thetas: Array  # (M, P)
    fit: Fit

    @cached_property
    def crossing(self) -> int:
        """The first measurement above the edge; -1 if there is none."""
        above = np.flatnonzero(self.sharpness > 2.0 / self.lr)
        return int(above[0]) if above.size else -1

    @property
    def plateau(self) -> Array:
        """S times lr / 2, from the crossing on."""
        return self.sharpness[self.crossing :][: round(WINDOW / EVERY)] * self.lr / 2.0

    @property
    def rises(self) -> Array:
        """For each step, whether the loss after it is higher."""
        return np.diff(self.losses) > 0.0

    @cached_property
    def visible(self) -> Array:
        """The measurements from the crossing on whose step along v is long enough to count."""
        late = np.arange(self.steps.size) >= self.crossing
        return np.flatnonzero(late & (np.abs(self.swings[:, 0]) > VISIBLE))

    @property
    def multipliers(self) -> Array:
        """The step along v over the one before it, at the visible ones."""
        first, second = self.swings[self.visible].T
        return second / first

    @property
    def predicted(self) -> Array:
        """What the multipliers are where the loss is a quadratic along v: 1 - lr S."""
        return 1.0 - self.lr * self.sharpness[self.visible]


def descend(fit: Fit, lr: float, seed: int) -> Path:
    """Train by full-batch gradient descent until long after the crossing, and measure without touching it."""
    theta, v = fit.start(seed)
    every = round(EVERY / lr)
    losses, sharpness, swings, thetas = [], [], [], []
    k, end = 0, SHORTEST
    while k * lr < end:
        loss, gradient = fit.value_and_gradient(theta)
        if k % every == 0:
            found = fit.sharpness(theta, v)
            v = found.vector
            if found.value > 2.0 / lr and max(sharpness, default=0.0) <= 2.0 / lr:
                end = min(max(SHORTEST, k * lr + WINDOW), LONGEST)
            elif k * lr + EVERY >= end and max(sharpness) <= 2.0 / lr:
                end = min(end + WINDOW, LONGEST)  # not there yet
            sharpness.append(found.value)
            thetas.append(theta)
            swings.append((-lr * gradient @ v, -lr * fit.gradient(theta - lr * gradient) @ v))
        losses.append(loss)
        theta = theta - lr * gradient
        k += 1
    steps = every * np.arange(len(sharpness))
    return Path(lr, np.array(losses), steps, np.array(sharpness), np.array(swings), np.array(thetas), fit)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train at three learning rates, measure, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "What does gradient descent do at the edge of stability?")
    with Run("edge_of_stability", config) as run:
        fit, claims = chebyshev(), Claims()
        plan = [(seed, lr) for seed in range(config.seed, config.seed + config.seeds) for lr in RATES]
        paths = {(seed, lr): descend(fit, lr, seed) for seed, lr in run.track(plan, "training")}
        drawn = [paths[config.seed, lr] for lr in RATES]
        judge(claims, list(paths.values()))
        for part in run.track([partial(draw_paths, run, drawn), partial(draw_swings, run, drawn)], "drawing"):
            part()
        animate(run, drawn[0], config.frames)
        claims.conclude(
            run, "the sharpness rises to 2/lr and stays, and the loss falls although it oscillates"
        )
    return run.exit_code


def judge(claims: Claims, paths: Sequence[Path]) -> None:
    """The claims of the page; where it is not said otherwise, of several runs the worst counts."""
    # over 12 seeds: 0.959 to 1.041 at lr = 0.1, 1.004 to 1.019 at 0.05, 1.002 to 1.007 at 0.025
    for lr, tolerance in zip(RATES, (0.07, 0.03, 0.015), strict=True):
        ratios = [float(np.median(p.plateau)) for p in paths if p.lr == lr]
        claims.near(f"lr = {lr}: S lr / 2 after the crossing, median", worst(ratios, 1.0), 1.0, tolerance)
    calm = [int(p.rises[: p.steps[p.crossing - 1]].sum()) for p in paths]
    claims.at_most("steps that raise the loss before S reaches 2 / lr", max(calm), 0)
    rising = [float(p.rises[p.steps[p.crossing] :].mean()) for p in paths]
    claims.at_least("share of steps that raise it afterwards", min(rising), 0.03)
    fallen = [
        float(np.median(p.losses[-len(p.losses) // 5 :]) / p.losses[p.steps[p.crossing]]) for p in paths
    ]
    mean = float(np.exp(np.mean(np.log(fallen))))
    claims.at_most("median loss of the last fifth over that at the crossing, geometric mean", mean, 0.8)
    growth = [float(p.sharpness[p.crossing] / p.sharpness[0]) for p in paths]
    claims.at_least("progressive sharpening: S at the crossing over S at the start", min(growth), 2.5)
    flips = [float((p.multipliers < 0).mean()) for p in paths]
    claims.at_least("share of visible steps along v that turn the one before around", min(flips), 0.98)
    middle = [float(np.median(p.multipliers)) for p in paths]
    claims.near(
        "median factor from one step along v to the next, mean of the runs", np.mean(middle), -1.0, 0.04
    )
    off = [float(np.median(np.abs(p.multipliers - p.predicted))) for p in paths if p.lr == RATES[-1]]
    claims.at_most(f"lr = {RATES[-1]}: that factor is 1 - lr S up to, median", max(off), 0.002)
    first = paths[0]
    theta = first.thetas[first.crossing]
    dense = float(np.linalg.eigvalsh(first.fit.hessian(theta))[-1])
    measured = float(first.sharpness[first.crossing])
    claims.near("S by Lanczos over that of the full Hessian", measured / dense, 1.0, 1e-6)


def worst(values: Sequence[float], expected: float) -> float:
    """The one farthest from what is expected."""
    return max(values, key=lambda value: abs(value - expected))


def draw_paths(run: Run, paths: Sequence[Path]) -> None:
    """``sharpness.png``: loss and sharpness over time, three learning rates."""
    title = "Gradient descent sharpens its loss up to 2 / lr, and goes on there"
    with plots.figure(title, rows=2, width=8.4, height=6.6) as (drawn, axes):
        above, below = axes[:, 0]
        for i, path in enumerate(paths):
            color = plots.COLORS[i]
            time = path.lr * np.arange(path.losses.size)
            above.semilogy(time, path.losses, color=color, linewidth=0.7, label=f"lr = {path.lr}")
            style = {"color": color, "marker": plots.MARKERS[i], "markevery": 12, "markersize": 4}
            below.plot(path.lr * path.steps, path.sharpness, linewidth=1.0, **style)
            below.axhline(2.0 / path.lr, color="black", linestyle=plots.LINES[1], linewidth=1.0)
            below.annotate(f"2/lr = {2.0 / path.lr:g}", (1.0, 2.0 / path.lr), xytext=(4, 0), va="center",
                           xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
        above.set(ylabel="loss (mean squared error)")
        above.legend(loc="upper right")
        below.set(xlabel="time = steps · lr", ylabel="sharpness S (largest Hessian eigenvalue)", ylim=(0, 95))
        plots.caption(
            drawn,
            "A tanh network 1-32-32-1 on 20 points of a cubic, full batch. In equal time all three follow "
            "one curve, that of the gradient flow, until each meets its own edge. It does not say that a "
            "sharper minimum generalises worse, nor what small batches do.",
        )
        run.save_figure("sharpness", drawn)


def draw_swings(run: Run, paths: Sequence[Path]) -> None:
    """``swings.png``: steps along the sharpest direction around the crossing, and their factors."""
    path = paths[0]
    with plots.figure(
        "The sharpest direction: each step undoes the last", columns=2, width=9.6, height=4.4
    ) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        at = path.steps[path.crossing]
        begin = at - 60
        theta = path.thetas[begin // round(EVERY / path.lr)]
        v = path.fit.sharpness(path.thetas[path.crossing], np.ones(theta.size), 40).vector
        along = []
        for _ in range(160):
            step = -path.lr * path.fit.gradient(theta)
            along.append(step @ v)
            theta = theta + step
        steps = begin - begin % round(EVERY / path.lr) + np.arange(160)
        along_v = np.array(along)
        left.plot(steps, np.abs(along_v), color="0.7", linewidth=0.6)
        for sign, color, marker in ((1.0, plots.COLORS[0], "o"), (-1.0, plots.COLORS[1], "^")):
            odd = np.sign(along_v) == sign
            name = "forward" if sign > 0 else "back"
            left.semilogy(steps[odd], np.abs(along_v[odd]), color=color, linestyle="none", marker=marker,
                          markersize=3.5, label=name)  # fmt: skip
        left.axvline(at, color="black", linewidth=0.8, linestyle=":")
        left.annotate("S = 2/lr", (at, 0.96), xycoords=("data", "axes fraction"), xytext=(4, 0),
                      textcoords="offset points", va="top")  # fmt: skip
        left.set(xlabel="step", ylabel="length of the step along v, |Δθ · v|", title=f"lr = {path.lr}")
        left.legend(loc="upper left")
        for i, each in enumerate(paths):
            right.plot(1.0 - each.predicted, each.multipliers, linestyle="none", color=plots.COLORS[i],
                       marker=plots.MARKERS[i], markersize=3, alpha=0.6, label=f"lr = {each.lr}")  # fmt: skip
        line = np.array([0.8, 2.5])
        right.plot(
            line,
            1.0 - line,
            color="black",
            linestyle="--",
            label="1 − lr S, predicted",
            linewidth=1.2,
            zorder=5,
        )
        right.axvline(2.0, color="black", linewidth=0.8, linestyle=":")
        right.set(xlabel="lr · S", ylabel="step along v / the step before", xlim=(0.8, 2.5), ylim=(-1.7, 0.3),
                  title="One step multiplies the next")  # fmt: skip
        right.legend(loc="lower left", fontsize=8)
        plots.caption(
            drawn,
            "Left: steps along the direction v that is sharpest at the crossing. At first they are a slow "
            "drift; the oscillation beneath it grows from the crossing on, until its swing has made the "
            "valley wider. Right: the prediction is that of a quadratic; off it lie long swings.",
        )
        run.save_figure("swings", drawn)


def animate(run: Run, path: Path, frames: int) -> None:
    """``edge.gif``: the fit, the loss and the sharpness while training goes on."""
    x = np.linspace(-1.0, 1.0, 200)[:, None]
    chosen = np.unique(np.linspace(0, len(path.steps) * 2 // 3, frames).astype(int))
    time = path.lr * np.arange(path.losses.size)
    with plots.figure(f"Training at the edge, lr = {path.lr}", columns=3, width=10.2, height=3.4) as (
        drawn,
        axes,
    ):
        fit, loss, sharp = axes[0]
        fit.plot(path.fit.X, path.fit.target, "o", color="black", markersize=4, fillstyle="none")
        (curve,) = fit.plot(x, x, color=plots.COLORS[0])
        fit.set(xlabel="x", ylabel="y", ylim=(-1.5, 1.5), title="network and points")
        loss.semilogy(time, path.losses, color="0.8", linewidth=0.5)
        (fallen,) = loss.semilogy([], [], color=plots.COLORS[1], linewidth=0.8)
        loss.set(
            xlabel="time = steps · lr", title="loss", xlim=(0, time[chosen[-1] * round(EVERY / path.lr)])
        )
        sharp.axhline(2.0 / path.lr, color="black", linestyle="--", linewidth=1.0)
        sharp.plot(path.lr * path.steps, path.sharpness, color="0.8", linewidth=0.8)
        (risen,) = sharp.plot([], [], color=plots.COLORS[2], marker="o", markersize=2.5, linewidth=1.0)
        sharp.set(xlabel="time = steps · lr", title="sharpness, and 2/lr", xlim=loss.get_xlim(), ylim=(0, 32))

        def show(number: int) -> None:
            curve.set_ydata(path.fit.outputs(path.thetas[number], x)[:, 0])
            until = path.steps[number] + 1
            fallen.set_data(time[:until], path.losses[:until])
            risen.set_data(path.lr * path.steps[: number + 1], path.sharpness[: number + 1])

        run.save_animation("edge", drawn, show, chosen.tolist(), fps=10)


if __name__ == "__main__":
    raise SystemExit(main())
