r"""What happens when the learning rate is too large for the valley that training starts in?

A linear network f = u.v / sqrt(n), target 0, knows three phases. With a = lr (|u|^2 + |v|^2) / n,
which is lr times the sharpness, and b = lr f / sqrt(n), a step of descent is

    b <- b (1 - a + b^2),   a <- a - b^2 (4 - a)          and a >= 2 |b| always

    a < 2        lazy: |f| falls in every step, the sharpness hardly moves
    2 < a < 4    catapult: |f| grows to the size of sqrt(n), the sharpness falls below 2 / lr, and f goes to 0
    a > 4        both grow for ever

The same learning rates are then tried on a tanh network and images of handwritten digits.

Source   Lewkowycz, Bahri, Dyer, Sohl-Dickstein & Gur-Ari 2020, "The large learning rate phase of deep
         learning: the catapult mechanism", arXiv:2003.02218, sec. 2 and 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log, sqrt

import numpy as np

from curriculum.datasets import images
from dynamics.credit.mlp_backprop import Spec, init
from dynamics.geometry.edge_of_stability import catapult
from experiments import plots
from experiments.claims import Claims
from experiments.fitting import Fit
from experiments.runs import Run, configure

QUICK = ("--seeds", "1", "--steps", "120", "--rates", "60")  # what continuous integration runs
SHOWN = (1.5, 3.0, 4.2)  # lr times the first sharpness: one run of each phase
TRIED = (0.5, 1.0, 1.5, 2.5, 3.0, 3.5)  # the same, for the network; beyond, the edge of divergence is sought
LOST = 1e6  # a loss so many times that of the start does not come back
UNITS = 256
BEYOND = 0.3  # one more run, so much above that edge, is drawn
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    width: int = 1024  # n of the linear network
    rates: int = 400  # learning rates in the scan of the linear network
    seeds: int = 3  # networks on digits
    seed: int = 0  # the first, and the one that is drawn
    steps: int = 400  # of each of their trainings


@dataclass(frozen=True)
class Training:
    """One training of the network on digits."""

    ratio: float  # lr times the sharpness at the start
    losses: Array  # (steps + 1,), shorter if it was lost
    end: float  # lr times the sharpness at the end; nan if it was lost

    @property
    def top(self) -> float:
        """The highest loss over the first."""
        return float(self.losses.max() / self.losses[0])


def descend_linear(lr: float, width: int, steps: int, seed: int) -> Array:
    """Train all 2n weights from |u|^2 + |v|^2 = n and f = 1; f and the sharpness, (steps + 1, 2)."""
    rng = np.random.default_rng(seed)
    s, d = rng.standard_normal((2, width))  # of u.v = (|s|^2 - |d|^2) / 4 with s = u + v, d = u - v
    total, product = width, sqrt(width)
    s *= sqrt(total + 2 * product) / np.linalg.norm(s)
    d *= sqrt(total - 2 * product) / np.linalg.norm(d)
    u, v = (s + d) / 2, (s - d) / 2
    path = np.empty((steps + 1, 2))
    for k in range(steps + 1):
        f = u @ v / sqrt(width)
        path[k] = f, (u @ u + v @ v) / width
        u, v = u - lr * f * v / sqrt(width), v - lr * f * u / sqrt(width)
    return path


def digits(count: int = 60) -> Fit:
    """A tanh network 196-256-1 and small images of threes (+1) and eights (-1), half of each."""
    known = images.digits()
    chosen = np.concatenate([np.flatnonzero(known.train_labels == c)[: count // 2] for c in (3, 8)])
    pixels = known.train_images[chosen].reshape(count, 14, 2, 14, 2).mean((2, 4)).reshape(count, 196) / 255.0
    X = pixels - pixels.mean(axis=0)
    X *= 3.0 / np.sqrt(np.mean(np.sum(X * X, axis=1)))  # of length 3 in the mean
    return Fit(Spec((196, UNITS, 1)), X, np.where(known.train_labels[chosen] == 3, 1.0, -1.0)[:, None])


def train(fit: Fit, theta: Array, ratio: float, sharpness: float, steps: int) -> Training:
    """Descend with lr = ratio / sharpness, until the end or until the loss is lost."""
    lr = ratio / sharpness
    loss, gradient = fit.value_and_gradient(theta)
    losses = [loss]
    for _ in range(steps):
        theta = theta - lr * gradient
        loss, gradient = fit.value_and_gradient(theta)
        losses.append(loss)
        if not loss < LOST * losses[0]:
            return Training(ratio, np.array(losses), np.nan)
    end = lr * fit.sharpness(theta, np.random.default_rng(0).standard_normal(theta.size), 40).value
    return Training(ratio, np.array(losses), end)


def divergence(fit: Fit, theta: Array, sharpness: float, steps: int = 100) -> float:
    """Find lr times the sharpness at the start from which on training is lost, by bisection to 0.03."""
    low, high = 2.0, 10.0
    while high - low > 0.03:
        middle = (low + high) / 2
        if np.isnan(train(fit, theta, middle, sharpness, steps).end):
            high = middle
        else:
            low = middle
    return (low + high) / 2


def threshold(reaches: float, low: float, high: float, width: int) -> float:
    """Find lr at which |f| of the linear network (f = 1, sharpness 1) begins to reach a value, to 1e-9."""
    while high - low > 1e-9:
        middle = (low + high) / 2
        if np.abs(catapult(1.0, 1.0, middle, width, 2000)[:, 0]).max() > reaches:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Throw both networks, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "What happens when the learning rate is too large for the start?")
    with Run("catapult", config) as run:
        claims, fit = Claims(), digits()
        judge_formula(claims, config)
        judge_phases(claims, config)
        trained: list[list[Training]] = []
        for seed in run.track(range(config.seed, config.seed + config.seeds), "training"):
            rng = np.random.default_rng(seed)
            theta = init(fit.spec, rng=rng)
            sharpness = fit.sharpness(theta, rng.standard_normal(theta.size), 40).value
            edge = divergence(fit, theta, sharpness)
            ratios = (*TRIED, edge + BEYOND)
            trained.append([train(fit, theta, ratio, sharpness, config.steps) for ratio in ratios])
        judge_digits(claims, trained)
        drawings = [partial(draw_linear, run, config), partial(draw_plane, run)]
        for part in run.track([*drawings, partial(draw_digits, run, trained)], "drawing"):
            part()
        claims.conclude(run, "from a valley that is too steep descent is thrown into a flatter one")
    return run.exit_code


def judge_formula(claims: Claims, config: Config) -> None:
    """Two numbers say what 2n weights do."""
    off = 0.0
    for lr in (1.5, 3.0, 3.8):
        measured = descend_linear(lr, config.width, 40, config.seed)
        predicted = catapult(measured[0, 0], measured[0, 1], lr, config.width, 40)
        off = max(off, float(np.abs(measured - predicted).max() / np.abs(predicted).max()))
    # chaos doubles errors for some steps: largest over 50 seeds 3e-11
    claims.at_most(f"{2 * config.width} weights against the formula of two numbers, largest error", off, 1e-9)


def judge_phases(claims: Claims, config: Config) -> None:
    """The three phases of the linear network, from f = 1 and sharpness 1: lr is lr times the sharpness."""
    n = config.width
    lazy = [catapult(1.0, 1.0, lr, n, 4000) for lr in np.linspace(0.1, 1.9, config.rates // 2)]
    grows = max(float((np.abs(p[1:, 0]) - np.abs(p[:-1, 0])).max()) for p in lazy)
    claims.at_most("lazy, lr S from 0.1 to 1.9: largest rise of |f| in a step", grows, 0.0)
    lr, wide = 1.5, 2**20
    moved = catapult(1.0, 1.0, lr, wide, 4000)[-1, 1] - 1.0
    claims.near("lazy: n times the change of the sharpness at lr S = 1.5", wide * moved,
                -(4.0 - lr) / (2.0 - lr), 1e-3)  # fmt: skip
    thrown = {lr: catapult(1.0, 1.0, lr, n, 20_000) for lr in np.linspace(2.05, 3.99, config.rates)}
    left = max(float(abs(p[-1, 0])) for p in thrown.values())
    claims.at_most("catapult, lr S from 2.05 to 3.99: |f| at the end, largest", left, 0.01)
    ends = max(float(lr * p[-1, 1]) for lr, p in thrown.items())
    claims.at_most("catapult: lr times the sharpness at the end, largest", ends, 2.0)
    tops = min(float(np.abs(p[:, 0]).max()) for lr, p in thrown.items() if lr >= 2.5)
    claims.at_least("catapult, lr S from 2.5 on: largest |f| on the way, smallest of all", tops, 2.0)
    widths = 2.0 ** np.arange(10, 61, 2)
    for lr in (2.5, 3.0):
        paths = [np.abs(catapult(1.0, 1.0, lr, int(w), 400)[:, 0]) for w in widths]
        when = np.polyfit(np.log(widths), [p.argmax() for p in paths], 1)[0]
        known = 1.0 / (2.0 * log(lr - 1.0))
        claims.near(f"steps to the top for each factor e in n, lr S = {lr}", when, known, 0.02 * known)
    power = np.polyfit(np.log(widths), np.log([p.max() for p in paths]), 1)[0]
    claims.near("the top grows as n to the power", power, 0.5, 0.01)
    first = threshold(1.0, 1.5, 3.0, n)
    claims.near("|f| begins to grow where lr S = 2 + b^2", first, 2.0 + first**2 / n, 1e-6)
    claims.near("f is lost for ever from lr S = 4 on", threshold(1e50, 3.0, 5.0, n), 4.0, 1e-6)
    orbit = catapult(0.3, 4.0, 1.0, 1, 20_000)[:, 0]
    # 0.3 and 49 other starts: 1.0986 +- 4 * 0.0002
    exponent = float(np.log(np.abs(3 * orbit**2 - 3)).mean())
    claims.near("at lr S = 4 f is chaotic: Lyapunov exponent", exponent, log(3.0), 0.002, "nats a step")


def judge_digits(claims: Claims, trained: Sequence[Sequence[Training]]) -> None:
    """The network on digits; of several seeds the worst counts, unless it is a mean."""
    runs = [t for each in trained for t in each[:-1]]
    lazy, thrown = [t for t in runs if t.ratio < 2], [t for t in runs if t.ratio > 2]
    # worst of 10 seeds: 1; 1.86; 0.024; 2.09; 0.464. The edge, mean of 10: 3.80
    top = max(t.top for t in lazy)
    claims.at_most("digits, lr S at the start up to 1.5: highest loss / first loss", top, 1.0)
    top = min(t.top for t in thrown if t.ratio == 3.5)
    claims.at_least("digits, 3.5: highest loss / first loss", top, 1.2)
    last = max(float(t.losses[-1] / t.losses[0]) for t in thrown)
    claims.at_most("digits, 2.5 to 3.5: last loss / first loss", last, 0.05)
    claims.at_most("digits, 2.5 to 3.5: lr times the sharpness at the end", max(t.end for t in thrown), 2.3)
    flat, steep = ([t.end / t.ratio for t in runs if t.ratio == ratio] for ratio in (3.0, 1.0))
    flatter = max(a / b for a, b in zip(flat, steep, strict=True))
    claims.at_most("digits: sharpness at the end, lr S = 3 over lr S = 1", flatter, 0.67)
    edge = float(np.mean([each[-1].ratio - BEYOND for each in trained]))
    claims.near("digits: training is lost from lr S on, mean", edge, 4.0, 0.8)


def draw_linear(run: Run, config: Config) -> None:
    """``linear.png``: the three phases in time, and the sharpness at the end against that of the start."""
    n = config.width
    with plots.figure("A linear network of 2n weights, three learning rates", columns=3, width=10.4,
                      height=4.2) as (drawn, axes):  # fmt: skip
        output, sharp, scan = axes[0]
        for i, (lr, steps) in enumerate(zip(SHOWN, (24, 24, 6), strict=True)):
            measured = descend_linear(lr, n, steps, config.seed)
            predicted = catapult(measured[0, 0], measured[0, 1], lr, n, steps)
            style = {"color": plots.COLORS[i], "linestyle": "none", "marker": plots.MARKERS[i],
                     "markersize": 5, "fillstyle": "none"}  # fmt: skip
            for axis, values, theory in ((output, np.abs(measured[:, 0]), np.abs(predicted[:, 0])),
                                         (sharp, lr * measured[:, 1], lr * predicted[:, 1])):  # fmt: skip
                axis.plot(values, **style, label=f"{lr:g}")
                axis.plot(theory, color=plots.COLORS[i], linestyle=plots.LINES[i], linewidth=1.1)
        output.axhline(sqrt(n), color="black", linewidth=0.8, linestyle=":")
        output.annotate("√n", (23, sqrt(n)), xytext=(0, 3), textcoords="offset points", ha="right")
        output.set(yscale="log", ylim=(1e-6, 1e5), xlabel="step", ylabel="|f|", title="output")
        output.legend(title="lr · S at the start", loc="lower left", fontsize=8, title_fontsize=8)
        edges(sharp)
        sharp.set(ylim=(0, 5.2), xlabel="step", ylabel="lr · S", title="learning rate · sharpness")
        rates = np.linspace(0.05, 3.995, 2 * config.rates)
        ends = [lr * catapult(1.0, 1.0, lr, n, 4000)[-1, 1] for lr in rates]
        scan.plot(rates, ends, ".", color="black", markersize=2.5)
        scan.plot([0, 2], [0, 2], color=plots.COLORS[0], linestyle="--", label="lazy: as at the start")
        scan.axvspan(4.0, 4.6, color="0.9")
        scan.annotate("lost", (4.3, 1.1), ha="center", rotation=90)
        edges(scan, (2.0,))
        scan.axvline(2.0, color="black", linewidth=0.8, linestyle=":")
        scan.set(xlim=(0, 4.6), ylim=(0, 2.4), xlabel="lr · S at the start", ylabel="lr · S at the end",
                 title="before and after")  # fmt: skip
        scan.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            f"n = {n}. Marks: descent on all weights; lines: the formula of two numbers. Right: each dot a "
            "learning rate. In this model every minimum has the same output, so it says nothing about "
            "whether flatter ones generalise better.",
        )
        run.save_figure("linear", drawn)


def edges(axis, heights: Sequence[float] = (2.0, 4.0)) -> None:
    """Dotted lines at lr S = 2 and 4."""
    for height in heights:
        axis.axhline(height, color="black", linewidth=0.8, linestyle=":")


def draw_plane(run: Run) -> None:
    """``plane.png``: the paths of the two numbers, which no start below 4 can leave."""
    with plots.figure("Below lr · S = 4 there is no way out", width=6.6, height=5.2) as (drawn, axes):
        axis = axes[0, 0]
        b = np.linspace(-2.6, 2.6, 300)
        axis.fill_between(b, 0.0, 2 * np.abs(b), color="0.88", linewidth=0)
        axis.annotate("impossible: lr S < 2 |b|", (1.75, 0.6), ha="center")
        axis.axhline(4.0, color="black", linewidth=1.0)
        axis.axhline(2.0, color="black", linewidth=0.8, linestyle=":")
        axis.annotate("4: never crossed downwards", (-2.55, 4.0), xytext=(0, 4), textcoords="offset points")
        axis.annotate("2: minima above it are unstable", (-2.55, 2.0), xytext=(0, -12),
                      textcoords="offset points")  # fmt: skip
        for i, a in enumerate((1.6, 2.6, 3.3, 3.9)):
            f, lam = catapult(0.02, a, 1.0, 1, 60).T  # lr = n = 1: f is b and lam is a
            axis.plot(f, lam, color=plots.COLORS[i], linestyle=plots.LINES[i], linewidth=0.8,
                      marker=plots.MARKERS[i], markersize=4, label=f"{a:g}")  # fmt: skip
            axis.plot(f[-1], lam[-1], "*", color=plots.COLORS[i], markersize=12, markeredgecolor="black")
        f, lam = catapult(0.02, 4.1, 1.0, 1, 4).T
        axis.plot(f, lam, color="black", marker="x", markersize=5, linewidth=0.8, label="4.1")
        axis.set(xlim=(-2.6, 2.6), ylim=(0, 5.4), xlabel="b = lr · f / √n", ylabel="lr · S")
        axis.legend(title="lr · S at the start", loc="upper right", ncols=5, fontsize=8, title_fontsize=8)
        plots.caption(
            drawn,
            "Each start is at b = 0.02; stars: where it ends, a minimum that is flat enough. It holds for "
            "one training example and a network without activation functions.",
        )
        run.save_figure("plane", drawn)


def draw_digits(run: Run, trained: Sequence[Sequence[Training]]) -> None:
    """``digits.png``: losses of the network, the sharpness at the end, the top of the loss."""
    with plots.figure("Threes and eights: a tanh network does what the linear one does", columns=3,
                      width=10.4, height=4.2) as (drawn, axes):  # fmt: skip
        time, sharp, top = axes[0]
        chosen = [t for t in trained[0] if t.ratio in (1.0, 3.0, 3.5) or t is trained[0][-1]]
        for i, t in enumerate(chosen):
            time.plot(t.losses[:41], color=plots.COLORS[i], linestyle=plots.LINES[i], marker=plots.MARKERS[i],
                      markersize=3, linewidth=1.0, label=f"{t.ratio:.3g}")  # fmt: skip
        time.set(
            yscale="log", ylim=(1e-3, 1e3), xlabel="step", ylabel="loss (mean squared error)", title="loss"
        )
        time.legend(title="lr · S at the start", fontsize=8, title_fontsize=8)
        line = np.linspace(0.0, 4.6, 200)
        sharp.plot(
            line,
            np.minimum(line, 2.0),
            color=plots.COLORS[1],
            linestyle="--",
            label="start, at most 2",
        )
        for i, each in enumerate(trained):
            ratio = [t.ratio for t in each[:-1]]
            style = {
                "color": "black",
                "linestyle": "none",
                "marker": plots.MARKERS[i % 5],
                "fillstyle": "none",
            }
            sharp.plot(ratio, [t.end for t in each[:-1]], **style)
            top.plot(ratio, [t.top for t in each[:-1]], **style)
            for axis in (sharp, top):
                axis.axvline(each[-1].ratio - BEYOND, color="0.6", linewidth=0.8)
        for axis in (sharp, top):
            axis.axvline(2.0, color="black", linewidth=0.8, linestyle=":")
            axis.axvline(4.0, color="black", linewidth=1.0)
            axis.set(xlim=(0, 5.2), xlabel="lr · S at the start")
        sharp.set(ylim=(0, 2.6), ylabel="lr · S at the end", title="sharpness at the end")
        sharp.legend(loc="lower right", fontsize=8)
        top.set(
            yscale="log", ylim=(0.7, 30), ylabel="highest loss / first loss", title="how high it was thrown"
        )
        plots.caption(
            drawn,
            f"{UNITS} hidden units, 60 images, full batch; one kind of mark a seed. Black: lr · S = 4; grey: "
            "where training of each seed is lost. It is not shown that the flatter solutions "
            "classify new images better, nor that ReLU networks are lost at 4.",
        )
        run.save_figure("digits", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
