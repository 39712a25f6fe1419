r"""Which optimizer is fastest on which ground, and what decides it?

Six optimizers of the course on five losses in the plane, each at the best of its own learning rates. Who wins
is a measurement; what decides is known:

    ravine     descent leaves (c - 1) / (c + 1) of the error a step, momentum (sqrt c - 1) / (sqrt c + 1)
    saddle     descent from a distance d off the ridge takes about ln(1 / d) / ln(1 + lr) steps; Adam's number
               does not depend on d
    plateau    descent takes the time of the flow, the integral of 1 / |gradient|; Adam walks at lr a step
    noise      descent at rate lr never arrives: its error keeps the variance lr sigma^2 / (a (2 - lr a))
    scale      the loss times 1000: Adam's path is the same (eps = 0), descent's is that of 1000 lr

Source   Polyak 1964; Kingma & Ba 2015, arXiv:1412.6980, sec. 2.1; Rosenbrock 1960; Choi et al. 2019,
         arXiv:1910.05446 (a comparison needs tuning); Mandt, Hoffman & Blei 2017, arXiv:1704.04289 (noise).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log, log1p, sqrt
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from dynamics.discrete.momentum_edge import optimal
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure
from foundations.computational_graph import Tensor
from optimization.optimizers.adam import Adam
from optimization.optimizers.momentum import HeavyBall, Nesterov
from optimization.optimizers.optimizer import Optimizer
from optimization.optimizers.rmsprop import Adagrad, RMSprop
from optimization.optimizers.sgd import SGD

QUICK = ("--rates", "9", "--frames", "2", "--copies", "400")  # what continuous integration runs
Array = np.ndarray
Make = Callable[[Iterable, float], Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "descent": lambda p, lr: SGD(p, lr=lr),
    "heavy ball": lambda p, lr: HeavyBall(p, lr=lr, momentum=0.9),
    "Nesterov": lambda p, lr: Nesterov(p, lr=lr, momentum=0.9),
    "Adagrad": lambda p, lr: Adagrad(p, lr=lr),
    "RMSprop": lambda p, lr: RMSprop(p, lr=lr, alpha=0.9),
    "Adam": lambda p, lr: Adam(p, lr=lr),
}
COLORS = (*plots.COLORS, "black")
MARKERS = (*plots.MARKERS, "P")
LINES = (*plots.LINES, "-")
STEEP = 100.0  # the ravine's condition number
SIGMA = 1.0  # of the noise in each component of the gradient


class Ground(NamedTuple):
    """A loss in the plane, at least 0."""

    name: str
    loss: Callable[[Array, Array], Array]
    gradient: Callable[[Array], Array]  # from points (..., 2) to (..., 2)
    start: tuple[float, float]
    steps: int
    window: tuple[float, float, float, float]  # what is drawn: x from, to, y from, to
    levels: tuple[float, float]
    noise: float = 0.0


def both(x: Array, y: Array) -> Array:
    """Two components as one array, (..., 2)."""
    return np.stack([x, y], axis=-1)


GROUNDS = (
    Ground("Rosenbrock", lambda x, y: (1 - x) ** 2 + 100 * (y - x * x) ** 2,
           lambda p: both(-2 * (1 - p[..., 0]) - 400 * p[..., 0] * (p[..., 1] - p[..., 0] ** 2),
                          200 * (p[..., 1] - p[..., 0] ** 2)),
           (-1.2, 1.0), 400, (-1.6, 1.4, -0.6, 1.6), (0.01, 800.0)),
    Ground("ravine", lambda x, y: 0.5 * (STEEP * x * x + y * y), lambda p: p * [STEEP, 1.0],
           (0.6, 4.0), 150, (-1.0, 1.0, -1.5, 4.5), (0.01, 60.0)),
    Ground("saddle", lambda x, y: 0.25 + 0.5 * (x * x - y * y) + 0.25 * y**4,
           lambda p: both(p[..., 0], p[..., 1] ** 3 - p[..., 1]),
           (1.5, 1e-3), 60, (-0.6, 1.7, -0.6, 1.5), (0.003, 2.0)),
    Ground("plateau", lambda x, y: -np.expm1(-0.5 * (x * x + y * y)),
           lambda p: p * np.exp(-0.5 * (p * p).sum(axis=-1, keepdims=True)),
           (3.6, 1.6), 150, (-1.5, 4.2, -1.5, 2.5), (0.003, 1.0)),
    Ground("noisy bowl", lambda x, y: 0.5 * (x * x + 4 * y * y), lambda p: p * [1.0, 4.0],
           (3.0, 2.0), 150, (-1.2, 3.3, -1.4, 2.3), (0.01, 16.0), noise=SIGMA),
)  # fmt: skip
ROSENBROCK, RAVINE, SADDLE, PLATEAU, BOWL = GROUNDS


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    rates: int = 17  # learning rates of each optimizer, from 1e-4 to 1
    copies: int = 4000  # of the noisy bowl
    frames: int = 40  # of the animation
    seed: int = 0  # of the noise


def walk(
    ground: Ground,
    make: Make,
    lr: float,
    *,
    start: Array | None = None,
    steps: int | None = None,
    scale: float = 1.0,
    rng: np.random.Generator | None = None,
) -> Array:
    """The path of an optimizer, (steps + 1, ..., 2); NaN from where it leaves the scene.

    Args:
        ground: its gradient, times ``scale``, plus its noise from ``rng``.
        make: the optimizer.
        lr: its learning rate.
        start: (..., 2), the ground's otherwise.
        steps: the ground's otherwise.
        scale: of the loss.
        rng: source of the noise.
    """
    point = Tensor(np.array(ground.start if start is None else start), True)
    optimizer, path = make([point], lr), [point.data.copy()]
    count = ground.steps if steps is None else steps
    for _ in range(count):
        gradient = scale * ground.gradient(point.data)
        if ground.noise and rng is not None:
            gradient = gradient + ground.noise * rng.standard_normal(gradient.shape)
        point.grad = gradient
        optimizer.step()
        if not np.abs(point.data).max() < 1e3:
            path += [np.full_like(point.data, np.nan)] * (count + 1 - len(path))
            break
        path.append(point.data.copy())
    return np.array(path)


class Entry(NamedTuple):
    """An optimizer at the best of its rates."""

    lr: float
    path: Array
    losses: Array


def tune(ground: Ground, make: Make, config: Config) -> Entry:
    """Try all rates; the best has the lowest mean loss over the last tenth of its path."""
    best, lowest = None, np.inf
    for lr in np.geomspace(1e-4, 1.0, config.rates):
        path = walk(ground, make, lr, rng=np.random.default_rng(config.seed))
        losses = ground.loss(*path.T)
        score = losses[-ground.steps // 10 :].mean()
        if score < lowest:  # never of NaN
            best, lowest = Entry(float(lr), path, losses), score
    if best is None:
        raise ValueError(f"no learning rate keeps the optimizer on {ground.name}")
    return best


def main(arguments: Sequence[str] | None = None) -> int:
    """Race, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Which optimizer is fastest on which ground?")
    with Run("optimizer_race", config) as run:
        claims = Claims()
        pairs = [(ground, name) for ground in GROUNDS for name in OPTIMIZERS]
        found = {
            (g.name, name): tune(g, OPTIMIZERS[name], config)
            for g, name in run.track(pairs, "learning rates")
        }
        rows = [(g, n, f"{r.lr:.3g}", f"{r.losses[-1]:.4g}") for (g, n), r in found.items()]
        run.save_table("race", ("ground", "optimizer", "learning_rate", "final_loss"), rows)
        exits = {"descent": exits_from(OPTIMIZERS["descent"]), "Adam": exits_from(exact_adam)}
        spreads = np.array([spread(lr, config) for lr in NOISY])
        judge_race(claims, found)
        judge_scale(claims)
        judge_laws(claims, exits, spreads, config)
        draw_race(run, found)
        draw_laws(run, exits, spreads)
        draw_scale(run)
        animate(run, found, config)
        claims.conclude(run, "what the ground is like decides who wins, and how is predicted")
    return run.exit_code


def exact_adam(params: Iterable, lr: float) -> Optimizer:
    """Adam with eps = 0."""
    return Adam(params, lr=lr, eps=0.0)


OFFSETS = 10.0 ** -np.arange(2, 11)  # off the saddle's ridge
SADDLE_LR = 0.1
NOISY = (0.02, 0.05, 0.1, 0.2, 0.4)  # learning rates on the noisy bowl
PLATEAU_LR = 0.2


def exits_from(make: Make) -> Array:
    """Steps until y is above 1/2, for each of `OFFSETS`: side by side, as no weight sees another's."""
    starts = both(np.full(len(OFFSETS), 1.5), OFFSETS)
    path = walk(SADDLE, make, SADDLE_LR, start=starts, steps=300)[..., 1]  # (301, offsets)
    return np.argmax(np.abs(path) > 0.5, axis=0)


def spread(lr: float, config: Config) -> Array:
    """Variances of both coordinates on the noisy bowl, long after the start, (2,)."""
    rng = np.random.default_rng(config.seed)
    path = walk(BOWL, OPTIMIZERS["descent"], lr, start=np.zeros((config.copies, 2)), steps=400, rng=rng)
    return (path[300::20] ** 2).mean(axis=(0, 1))


def kept(lr: float) -> Array:
    """Predicted: those variances."""
    a = np.array([1.0, 4.0])
    return lr * SIGMA**2 / (a * (2 - lr * a))


def ravine_rates() -> dict[str, tuple[Array, float]]:
    """The sizes of the error in the ravine, and the factor predicted, for descent and Polyak's heavy ball."""
    lr, beta, factor = optimal(1.0, STEEP)
    plain = walk(RAVINE, OPTIMIZERS["descent"], 2 / (1 + STEEP), steps=400)
    ball = walk(RAVINE, lambda p, r: HeavyBall(p, lr=r, momentum=beta), lr, steps=400)
    sizes = (np.abs(path).max(axis=1) for path in (plain, ball))
    return dict(zip(("descent", "heavy ball"), zip(sizes, ((STEEP - 1) / (STEEP + 1), factor), strict=True),
                    strict=True))  # fmt: skip


def plateau_steps(make: Make, lr: float) -> int:
    """Steps until the distance from the plateau's pit is 1."""
    path = walk(PLATEAU, make, lr, steps=int(1.2 * plateau_time() / lr))
    return int(np.argmax(np.hypot(*path.T) < 1.0))


def plateau_time() -> float:
    """Predicted: the time of the flow dr/dt = -r exp(-r^2 / 2) down to 1."""
    r = np.linspace(1.0, np.hypot(*PLATEAU.start), 20_001)
    return float(np.trapezoid(np.exp(0.5 * r * r) / r, r))


def judge_race(claims: Claims, found: dict[tuple[str, str], Entry]) -> None:
    """Who wins where."""
    final = {key: float(run.losses[-run.losses.size // 10 :].mean()) for key, run in found.items()}
    winners = {g.name: min(OPTIMIZERS, key=lambda n: final[g.name, n]) for g in GROUNDS}
    claims.at_least("different winners on five grounds", len(set(winners.values())), 2)
    for ground, factor in ((ROSENBROCK, 0.1), (RAVINE, 0.1), (PLATEAU, 0.1)):
        rest = min(final[ground.name, n] for n in OPTIMIZERS if n != "descent")
        claims.at_most(f"{ground.name}: the best loss over descent's", rest / final[ground.name, "descent"],
                       factor)  # fmt: skip
    lasts = [float(found[BOWL.name, n].losses[-30:].mean()) for n in OPTIMIZERS]
    claims.at_least("noisy bowl: lowest mean loss at the end: nobody arrives", min(lasts), 1e-4)


def judge_scale(claims: Claims) -> None:
    """The loss times 1000."""
    calm = [g for g in GROUNDS if not g.noise]
    off = [np.abs(walk(g, exact_adam, 0.02) - walk(g, exact_adam, 0.02, scale=1000.0)).max() for g in calm]
    claims.at_most("Adam, eps = 0: the loss times 1000 moves the path by", max(off), 1e-8)
    # a power of two changes no digit: RMSprop hops about the minimum, where a rounding would grow
    exact: dict[str, Make] = {
        "Adam": exact_adam,
        "RMSprop": lambda p, lr: RMSprop(p, lr=lr, alpha=0.9, eps=0.0),
    }
    for name, make in exact.items():
        off = [np.abs(walk(g, make, 0.02) - walk(g, make, 0.02, scale=1024.0)).max() for g in calm]
        claims.near(f"{name}, eps = 0: times 1024, a power of two, moves it by", max(off), 0.0, 0.0)
    descent = OPTIMIZERS["descent"]
    moved = [np.abs(walk(g, descent, 1e-6) - walk(g, descent, 1e-6, scale=1000.0)).max() for g in calm]
    same = [np.abs(walk(g, descent, 1e-3) - walk(g, descent, 1e-6, scale=1000.0)).max() for g in calm]
    claims.at_least("descent: the loss times 1000 moves it by, on the calmest ground", min(moved), 1e-4)
    claims.at_most("descent: times 1000 is 1000 times the rate: distance", max(same), 1e-10)
    blown = walk(RAVINE, descent, 0.01, scale=1000.0)
    claims.true(
        "descent at a rate that was good leaves the ravine when it is scaled", bool(np.isnan(blown[-1, 0]))
    )


def judge_laws(claims: Claims, exits: dict[str, Array], spreads: Array, config: Config) -> None:
    """What decides each race, with its number."""
    for (name, (size, factor)), slack in zip(ravine_rates().items(), (1e-6, 0.01), strict=True):
        # the heavy ball's roots coincide there: its error is k rate^k, so that a late window is asked
        late = (size[400] / size[200]) ** (1 / 200)
        claims.near(f"ravine, {name} at its optimum: what a step leaves", late, factor, slack)
    extra = int(exits["descent"][-1] - exits["descent"][0])
    known = log(OFFSETS[0] / OFFSETS[-1]) / log1p(SADDLE_LR)
    claims.near("saddle, descent: steps more from 1e-10 than from 1e-2", extra, known, 2.0)
    claims.at_most("saddle, Adam: the same", abs(int(exits["Adam"][-1] - exits["Adam"][0])), 3)
    plain = plateau_steps(OPTIMIZERS["descent"], PLATEAU_LR)
    ratio = plain * PLATEAU_LR / plateau_time()
    claims.near("plateau, descent: steps times rate over the time of the flow", ratio, 1.0, 0.02)
    quick = plateau_steps(exact_adam, PLATEAU_LR)
    claims.at_most("plateau, Adam at the same rate: share of those steps", quick / plain, 0.1)
    # 4 sd if each copy counted once; over 12 seeds the farthest of the 10 is at most half of that off
    relative = spreads / np.array([kept(lr) for lr in NOISY])
    slack = 4 * sqrt(2 / (config.copies))
    claims.near("noisy bowl: variance over lr sigma^2 / (a (2 - lr a)), farthest of 10",
                float(max(relative.ravel(), key=lambda v: abs(v - 1))), 1.0, slack)  # fmt: skip


def scenery(axis: Axes, ground: Ground) -> None:
    """Levels of the loss, and the start."""
    left, right, low, high = ground.window
    x, y = np.linspace(left, right, 200), np.linspace(low, high, 200)
    plots.contours(axis, x, y, ground.loss(*np.meshgrid(x, y)) + 1e-12, np.geomspace(*ground.levels, 14))
    for label in axis.texts[:]:
        label.remove()
    axis.plot(*ground.start, "o", color="white", markeredgecolor="black", markersize=7, zorder=4)
    axis.set(xlim=(left, right), ylim=(low, high), title=f"{ground.name}, {ground.steps} steps", xlabel="x")


def draw_race(run: Run, found: dict[tuple[str, str], Entry]) -> None:
    """``race.png``: all paths, and the losses at the end."""
    with plots.figure("Six optimizers, each at its best learning rate", rows=2, columns=3, width=11.4,
                      height=7.4) as (drawn, axes):  # fmt: skip
        for axis, ground in zip(axes.flat, GROUNDS, strict=False):
            scenery(axis, ground)
            for i, name in enumerate(OPTIMIZERS):
                path = found[ground.name, name].path
                axis.plot(*path.T, color=COLORS[i], linestyle=LINES[i], linewidth=1.3)
                axis.plot(*path[-1], MARKERS[i], color=COLORS[i], markeredgecolor="white", markersize=8)
        axes[0, 0].set_ylabel("y")
        axes[1, 0].set_ylabel("y")
        last = axes[1, 2]
        for i, name in enumerate(OPTIMIZERS):
            final = [max(found[g.name, name].losses[-g.steps // 10 :].mean(), 1e-16) for g in GROUNDS]
            last.plot(
                np.arange(5) + 0.1 * (i - 2.5), final, MARKERS[i], color=COLORS[i], label=name, markersize=6
            )
        last.set(yscale="log", title="Mean loss, last tenth (at least 1e-16)", ylim=(1e-17, 1e9))
        last.set_xticks(range(5), [g.name for g in GROUNDS], rotation=25, ha="right", fontsize=8)
        last.legend(fontsize=8, ncols=2, loc="upper right")
        plots.caption(
            drawn,
            "White: the start. Large marks: the end. The best rates of a grid, for this start and this "
            "number of steps; in two dimensions, where a network has a million. It shows what slows each of "
            "them down, not which one to use.",
        )
        run.save_figure("race", drawn)


def draw_laws(run: Run, exits: dict[str, Array], spreads: Array) -> None:
    """``laws.png``: ravine, saddle and noise, predicted and measured."""
    with plots.figure("What decides", columns=3, width=11.4, height=4.3) as (drawn, axes):
        first, second, third = axes[0]
        k = np.arange(0, 301)
        for i, (name, (size, factor)) in enumerate(ravine_rates().items()):
            anchor = 0 if name == "descent" else 200
            first.plot(k, size[anchor] * factor ** (k - anchor), color=COLORS[i], linestyle=LINES[i],
                       label=f"{name}: {factor:.3f} a step")  # fmt: skip
            first.plot(k[::15], size[:301:15], color="black", linestyle="none", marker=MARKERS[i],
                       markersize=4, fillstyle="none")  # fmt: skip
        first.set(
            yscale="log", ylim=(1e-16, 1e4), xlabel="step", ylabel="larger error", title="Ravine, c = 100"
        )
        first.legend(loc="upper right", fontsize=8)
        line = np.log(0.5 / OFFSETS) / log1p(SADDLE_LR)
        shift = exits["descent"][0] - line[0]
        second.plot(OFFSETS, line + shift, color=COLORS[0], label="slope −1 / ln(1 + lr)")
        for name, i in (("descent", 0), ("Adam", 5)):
            second.plot(OFFSETS, exits[name], color="black", linestyle="none", marker=MARKERS[i],
                        fillstyle="none", label=f"{name}, lr = {SADDLE_LR}")  # fmt: skip
        second.set(xscale="log", xlabel="distance from the ridge at the start", ylabel="steps to 1/2",
                   title="Saddle", ylim=(0, 300))  # fmt: skip
        second.legend(loc="upper right", fontsize=8)
        rates = np.linspace(0.01, 0.45, 100)
        for j, a in enumerate((1.0, 4.0)):
            third.plot(rates, [kept(lr)[j] for lr in rates], color=COLORS[j], linestyle=LINES[j],
                       label=f"curvature {a:g}")  # fmt: skip
            third.plot(
                NOISY, spreads[:, j], color="black", linestyle="none", marker=MARKERS[j], fillstyle="none"
            )
        third.set(
            xlabel="learning rate", ylabel="variance that stays", title="Noisy bowl, descent", yscale="log"
        )
        third.legend(loc="lower right", fontsize=8)
        plots.caption(
            drawn,
            "Marks measured, lines predicted. The heavy ball's line is drawn through its step 200: its error "
            "is a multiple of k times the power, so that the slope comes late. The saddle's is drawn through "
            "its rightmost mark. One curvature at a time: on a loss that has all of them, these laws mix.",
        )
        run.save_figure("laws", drawn)


def draw_scale(run: Run) -> None:
    """``scale.png``: the loss times 1000, for descent and for Adam."""
    with plots.figure("The loss times 1000, the same learning rate", columns=2, width=9.4, height=4.6) as (
        drawn,
        axes,
    ):
        for axis, (name, make, lr) in zip(
            axes[0],
            (("descent", OPTIMIZERS["descent"], 1.5e-5), ("Adam, ε = 0", exact_adam, 0.1)),
            strict=True,
        ):
            scenery(axis, RAVINE)
            for i, scale in enumerate((1.0, 1000.0)):
                path = walk(RAVINE, make, lr, scale=scale)
                style = {"linestyle": "-"} if i else {"linestyle": "none", "marker": "o", "fillstyle": "none"}
                axis.plot(*path.T, color=COLORS[i], label=f"loss × {scale:g}", markersize=5, **style)
            axis.set_title(f"{name}, lr = {lr:g}")
            axis.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="none")
        axes[0, 0].set_ylabel("y")
        plots.caption(
            drawn,
            "Descent at a rate that suits the larger loss: on the smaller it hardly moves. That Adam has no "
            "such scale does not mean that it needs no tuning: its rate has the unit of the weights instead.",
        )
        run.save_figure("scale", drawn)


def animate(run: Run, found: dict[tuple[str, str], Entry], config: Config) -> None:
    """``race.gif``: the race on four grounds at once, each frame the same share of the steps."""
    shown = (ROSENBROCK, RAVINE, SADDLE, PLATEAU)
    with plots.figure("The race", rows=2, columns=2, width=7.6, height=6.6) as (drawn, axes):
        lines, marks = {}, {}
        for axis, ground in zip(axes.flat, shown, strict=True):
            scenery(axis, ground)
            axis.set_ylabel("y")
            for i, name in enumerate(OPTIMIZERS):
                (lines[ground.name, name],) = axis.plot(
                    [], [], color=COLORS[i], linestyle=LINES[i], linewidth=1.2
                )
                (marks[ground.name, name],) = axis.plot([], [], MARKERS[i], color=COLORS[i], label=name,
                                                        markeredgecolor="white", markersize=8)  # fmt: skip
        axes[0, 1].legend(fontsize=7, loc="upper left", frameon=True, facecolor="white", edgecolor="none")
        plots.caption(drawn, "Each at its best learning rate; a frame is the same share of the steps of all.")
        shares = np.linspace(0.0, 1.0, config.frames) ** 1.5  # slow at first, where most of it happens

        def show(number: int) -> None:
            for ground in shown:
                end = round(shares[number] * ground.steps)
                for name in OPTIMIZERS:
                    path = found[ground.name, name].path
                    lines[ground.name, name].set_data(*path[: end + 1].T)
                    marks[ground.name, name].set_data(*path[end : end + 1].T)

        run.save_animation("race", drawn, show, range(config.frames))


if __name__ == "__main__":
    raise SystemExit(main())
