r"""Why are coarse distinctions learned first, each late and then quickly, and can the times be foretold?

Eight living things, leaves of a tree of 1 + 2 + 4 + 8 nodes; an output for each node, on for those below it.
With white inputs Syx has a mode for each split, and its strength s is known from the tree alone:

    level               all      plant / animal      bird / fish, flower / tree      one / the other
    s                sqrt(15/8)      sqrt(7/8)                sqrt(3/8)                  sqrt(1/8)
    half learned at     ln(s/u0 - 1) / (2 s)       two layers from a small start u0, in the time of the flow

From small random weights W1, W2 the modes align by themselves. What counts of the start is what grows,
C = (W2^T U + W1 V) / 2: restricted to the columns of a level, the eigenvalues of C^T C take the place of u0.

Source   Saxe, McClelland & Ganguli 2013, arXiv:1312.6120, sec. 1-2; 2019, arXiv:1810.10531, fig. 3 and 4;
         Rogers & McClelland 2004, "Semantic cognition" (the eight things).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log, sqrt
from typing import NamedTuple

import numpy as np

from dynamics.continuous.deep_linear import (
    aligned_init,
    correlations,
    deep_mode,
    half_time,
    mode_strength,
    mode_strengths,
    train_linear,
)
from dynamics.continuous.ode import observed_order
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--starts", "2", "--powers", "3,4")  # what continuous integration runs
Array = np.ndarray
THINGS = ("canary", "robin", "salmon", "sunfish", "rose", "daisy", "oak", "pine")
LEVELS = (slice(0, 1), slice(1, 2), slice(2, 4), slice(4, 8))  # the modes of each, strongest first
NAMES = ("all alike", "plant or animal", "which kind", "which one")
STRENGTHS = np.sqrt(np.array([15.0, 7.0, 3.0, 1.0]) / 8.0)
U0 = 1e-6  # strength of every mode in the start that is aligned
SMALL = 1e-12  # the same, for plateaus that are all but separate
LR = 0.01
SPAN = 30.0  # of time
DEPTHS = (1, 2, 3, 4)  # layers of weights
LAWS = {
    2: ("ln(1/u0)", (6, 8)),
    3: ("u0^(−1/3)", (-44, -36)),
    4: ("u0^(−1/2)", (6, 8)),
}  # and where to say so


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    starts: int = 12  # random starts
    hidden: int = 64
    scale: float = 1e-4  # standard deviation of a weight in the random starts
    powers: tuple[int, ...] = (2, 3, 4, 5)  # n of the starts u0 = 10^-n, for the wait over u0
    seed: int = 0


def things() -> tuple[Array, Array]:
    """Syx (15, 8) of the white inputs sqrt(8) e_i, and the outputs (8, 15) wanted."""
    Y = np.hstack([np.repeat(np.eye(2**level), 8 // 2**level, axis=0) for level in range(4)])
    return correlations(sqrt(8.0) * np.eye(8), Y).yx, Y


YX, WANTED = things()


def by_level(u: Array) -> Array:
    """The mean over the modes of each level, (..., 8) to (..., 4): equal modes are not unique, sums are."""
    return np.stack([u[..., modes].mean(axis=-1) for modes in LEVELS], axis=-1)


def reached(t: Array, u: Array, height: float) -> float:
    """When a curve first passes a height, by interpolation; NaN if it never does."""
    k = int(np.argmax(u > height))
    return float(t[k - 1] + (height - u[k - 1]) / (u[k] - u[k - 1]) * (t[k] - t[k - 1])) if k else np.nan


def halves(t: Array, u: Array) -> Array:
    """When each level is half learned, u (T, 4)."""
    return np.array([reached(t, u[:, i], s / 2) for i, s in enumerate(STRENGTHS)])


class Trained(NamedTuple):
    """A run of descent: step k stands at the time k lr."""

    t: Array  # (T,)
    product: Array  # (T, 15, 8)
    u: Array  # (T, 4), by level

    @property
    def loss(self) -> Array:
        """1/2 mean |W x - y|^2 over the eight things, (T,)."""
        return 0.5 * np.sum((self.product - YX) ** 2, axis=(1, 2))


def train(weights: list[Array], lr: float = LR, span: float = SPAN) -> Trained:
    """Descend from these weights."""
    steps = round(span / lr)
    product = train_linear(weights, YX, lr, steps)
    return Trained(lr * np.arange(steps + 1), product, by_level(mode_strengths(product, YX)))


def aligned(u0: float, lr: float = LR, hidden: Sequence[int] = (16,), span: float = SPAN) -> Trained:
    """Descend from weights that know the modes, each of strength u0."""
    return train(aligned_init(YX, hidden, u0, rng=np.random.default_rng(0)), lr, span)


def random_start(config: Config, seed: int) -> list[Array]:
    """W1 (H, 8) and W2 (15, H), all entries independent."""
    rng = np.random.default_rng(seed)
    shapes = (config.hidden, 8), (15, config.hidden)
    return [config.scale * rng.standard_normal(shape) for shape in shapes]


def foretold(weights: list[Array], t: Array) -> Array:
    """The levels over time, (T, 4), from the start alone.

    While all is small, W1 V and W2^T U feed each other: their mean C grows as exp(s t), their difference
    decays. From then on C is balanced, and within a level C^T C obeys the logistic equation.
    """
    U, _, Vt = np.linalg.svd(YX, full_matrices=False)
    C = (weights[1].T @ U + weights[0] @ Vt.T) / 2  # (H, 8)
    levels = []
    for s, modes in zip(STRENGTHS, LEVELS, strict=True):
        starts = np.linalg.eigvalsh(C[:, modes].T @ C[:, modes])
        levels.append(mode_strength(s, starts, t[:, None]).mean(axis=1))
    return np.stack(levels, axis=1)


def wait(s: float, u0: float, depth: int) -> float:
    """When a mode of any depth is half learned: the integral of du / (L u^(2 - 2/L) (s - u)), over ln u."""
    x = np.linspace(log(u0), log(s / 2), 20_001)
    u = np.exp(x)
    return float(np.trapezoid(u ** (2 / depth - 1) / (depth * (s - u)), x))


def waits(config: Config, depth: int) -> tuple[Array, Array]:
    """Until the strongest mode is half learned from each u0, measured in a network and predicted."""
    s, found, known = float(STRENGTHS[0]), [], []
    for power in config.powers:
        known.append(wait(s, 10.0**-power, depth))
        run = aligned(10.0**-power, hidden=(8,) * (depth - 1), span=1.05 * known[-1] + 1.0)
        found.append(reached(run.t, run.u[:, 0], s / 2))
    return np.array(found), np.array(known)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, foretell, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Why are coarse distinctions learned first, and when?")
    with Run("saxe_stages", config) as run:
        claims = Claims()
        waited: dict[int, tuple[Array, Array]] = {}
        parts = [
            partial(judge_stages, claims, run),
            partial(judge_random, claims, config),
            partial(judge_depth, claims, config, waited),
            partial(draw_tree, run, config),
            partial(draw_depth, run, config, waited),
        ]
        for part in run.track(parts, "training"):
            part()
        claims.conclude(run, "strong modes first, each after a wait of ln(s/u0) / 2s: depth makes stages")
    return run.exit_code


def judge_stages(claims: Claims, run: Run) -> None:
    """Two layers from an aligned start: the times, the curves, the plateaus of the loss; and one layer."""
    s = np.linalg.svd(YX, compute_uv=False)
    claims.at_most(
        "strengths of the modes, off what the tree says", np.abs(by_level(s) - STRENGTHS).max(), 1e-12
    )
    trained = aligned(U0)
    for name, got, known in zip(NAMES, halves(trained.t, trained.u), half_time(STRENGTHS, U0), strict=True):
        claims.near(f"half of '{name}' is learned at: measured / predicted", got / known, 1.0, 0.01)
    claims.at_most("no mode hears of another: off one number per mode", alone(trained), 1e-12)
    rates = LR * np.array([2.0, 1.0, 0.5])
    tried = [aligned(U0, lr) for lr in rates]
    gaps = [np.abs(each.u - mode_strength(STRENGTHS, U0, each.t[:, None])).max() for each in tried]
    claims.near("gap between descent and the curves: order in lr", observed_order(rates, gaps), 1.0, 0.03)
    slow = aligned(SMALL, span=50.0)
    for i, name in enumerate(NAMES[:-1]):
        claims.near(f"plateau of the loss after '{name}': measured / predicted", plateau(slow, i), 1.0, 0.02)
    single = aligned(U0, hidden=(), span=3.0)
    off = np.abs(halves(single.t, single.u) / log(2.0) - 1.0).max()
    claims.near("one layer: every level is half learned at ln 2, largest relative error", off, 0.0, 0.01)
    draw_stages(run, trained)


def alone(trained: Trained) -> float:
    """How far the network is from four numbers a that learn each for itself: a <- a + lr a (s - a^2)."""
    a, path = np.full(4, sqrt(U0)), []
    for _ in trained.t:
        path.append(a * a)
        a = a + LR * a * (STRENGTHS - a * a)
    return float(np.abs(trained.u - path).max())


def left_over(learned: int) -> float:
    """The loss when this many levels are learned and nothing of the others: 1/2 the sum of their s^2."""
    share = STRENGTHS**2 * np.array([modes.stop - modes.start for modes in LEVELS])
    return 0.5 * float(share[learned:].sum())


def plateau(trained: Trained, i: int) -> float:
    """The loss where it falls most slowly between the half times of two levels, over the prediction."""
    first, second = halves(trained.t, trained.u)[i : i + 2]
    between = (trained.t > first) & (trained.t < second)
    loss = trained.loss[between]
    return float(loss[np.argmax(np.diff(loss))] / left_over(i + 1))


def judge_random(claims: Claims, config: Config) -> None:
    """Small random starts: the times, foretold from the first weights."""
    ratios, ordered = [], 0
    for start in range(config.starts):
        weights = random_start(config, 1000 * config.seed + start)
        trained = train(weights)
        measured = halves(trained.t, trained.u)
        ratios.append(measured / halves(trained.t, foretold(weights, trained.t)))
        ordered += bool(np.all(np.diff(measured) > 0))
    claims.near("random starts that learn the four levels in order", ordered, config.starts, 0.0)
    # mean + 4 sd over 60 starts: 1.0060, 1.0099, 1.0112, 1.0129; up to 1.006 of it is that lr is not 0
    for name, column in zip(NAMES, np.array(ratios).T, strict=True):
        worst = column[np.argmax(np.abs(column - 1.0))]
        claims.near(f"random starts, '{name}': worst half time / foretold", worst, 1.0, 0.015)


def judge_depth(claims: Claims, config: Config, waited: dict[int, tuple[Array, Array]]) -> None:
    """Two, three, four layers: how long nothing seems to happen."""
    starts = 10.0 ** -np.array(config.powers)
    for depth in DEPTHS[1:]:
        waited[depth] = waits(config, depth)
        found, known = waited[depth]
        off = (found / known)[np.argmax(np.abs(found / known - 1.0))]
        claims.near(f"{depth} layers: worst wait / predicted", off, 1.0, 0.01)
        if depth > 2:
            power = observed_order(starts[-2:], found[-2:])
            claims.near(
                f"{depth} layers: the wait goes as u0 to the power", power, -(1.0 - 2.0 / depth), 0.02
            )
        else:
            more = (found[-1] - found[-2]) * 2.0 * STRENGTHS[0] / log(10.0)
            claims.near(
                "2 layers: a start 10 times smaller waits longer by ln 10 / (2 s), times", more, 1.0, 0.01
            )


def draw_stages(run: Run, trained: Trained) -> None:
    """``stages.png``: the strengths of the four levels and the loss, over time."""
    title = "Learning in stages: two layers, an aligned start"
    with plots.figure(title, columns=2, width=9.8, height=4.5) as (drawn, axes):
        left, right = axes[0]
        fine = np.linspace(0.0, SPAN, 600)
        marked = slice(0, None, 100)
        for i, (s, name) in enumerate(zip(STRENGTHS, NAMES, strict=True)):
            left.plot(fine, mode_strength(s, U0, fine), color=plots.COLORS[i])
            left.plot(trained.t[marked], trained.u[marked, i], color="black", linestyle="none",
                      marker=plots.MARKERS[i], markersize=4, fillstyle="none")  # fmt: skip
            left.annotate(
                name, (SPAN, s), xytext=(0, -11), textcoords="offset points", ha="right", fontsize=8
            )
            moment = float(half_time(s, U0))
            left.plot([moment, moment], [0.0, s / 2], color="0.5", linewidth=0.8, linestyle=":")
        left.set(xlabel="time = lr × step", ylabel="strength u of a mode", xlim=(0.0, SPAN), ylim=(0.0, 1.45))
        left.set_title("Marks: descent. Lines: predicted")
        u = mode_strength(STRENGTHS, U0, fine[:, None])
        sizes = np.array([modes.stop - modes.start for modes in LEVELS])
        right.plot(
            fine, 0.5 * (sizes * (STRENGTHS - u) ** 2).sum(axis=1), color=plots.COLORS[0], label="predicted"
        )
        right.plot(trained.t[marked], trained.loss[marked], color="black", linestyle="none", marker="o",
                   markersize=4, fillstyle="none", label="descent")  # fmt: skip
        for learned in range(4):
            right.axhline(left_over(learned), color="black", linewidth=0.8, linestyle=(0, (1, 2)))
            when = f"after '{NAMES[learned - 1]}'" if learned else "nothing learned"
            right.annotate(f"{when}: {left_over(learned):.3g}", (SPAN, left_over(learned)), xytext=(0, 3),
                           textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
        right.set(
            xlabel="time = lr × step", ylabel="loss", title="The loss", xlim=(0.0, SPAN), ylim=(0.0, 2.15)
        )
        right.legend(loc="upper right", bbox_to_anchor=(1.0, 0.9), fontsize=8)
        plots.caption(
            drawn,
            f"Every mode begins at u0 = {U0:g}; dotted, left: the predicted half times ln(s/u0 − 1) / 2s. "
            "Right, dotted: what is left when the levels so far are learned. The inputs are white and the "
            "network is linear: with correlated inputs the modes of the data mix.",
        )
        run.save_figure("stages", drawn)


def draw_tree(run: Run, config: Config) -> None:
    """``tree.png``: what the network answers for the eight things, from a random start, in one coordinate."""
    weights = random_start(config, 1000 * config.seed)
    trained = train(weights)
    places = np.arange(8) - 3.5
    direction = np.linalg.pinv(WANTED) @ places  # (15,), of outputs: along it the things stand in a row
    answers = sqrt(8.0) * direction @ trained.product  # (T, 8)
    curves = foretold(weights, trained.t)
    title = "What is told apart, and when: small random weights"
    with plots.figure(title, rows=2, width=8.0, height=6.6) as (drawn, axes):
        above, below = axes[:, 0]
        for i, (name, place) in enumerate(zip(THINGS, places, strict=True)):
            above.plot(trained.t, answers[:, i], color=plots.COLORS[0] if i < 4 else plots.COLORS[1],
                       linestyle="-" if i < 4 else "--", linewidth=1.3)  # fmt: skip
            above.annotate(name, (SPAN, place), xytext=(5, 0), textcoords="offset points", va="center",
                           fontsize=9, annotation_clip=False)  # fmt: skip
        above.set(ylabel="answer, along one direction", yticks=[], xlim=(0.0, SPAN))
        for i, (s, name) in enumerate(zip(STRENGTHS, NAMES, strict=True)):
            below.plot(trained.t, curves[:, i] / s, color=plots.COLORS[i])
            below.plot(trained.t[::100], trained.u[::100, i] / s, color="black", linestyle="none",
                       marker=plots.MARKERS[i], markersize=4, fillstyle="none", label=name)  # fmt: skip
            moment = reached(trained.t, curves[:, i], s / 2)
            for axis in (above, below):
                axis.axvline(moment, color="0.5", linewidth=0.8, linestyle=":")
        below.set(
            xlabel="time = lr × step", ylabel="share learned, u / s", xlim=(0.0, SPAN), ylim=(-0.03, 1.08)
        )
        below.legend(loc="lower right", bbox_to_anchor=(1.0, 0.05), fontsize=8)
        plots.caption(
            drawn,
            "Above: the outputs for each thing, along the direction in which the wanted ones stand evenly in "
            "a row. Below: marks are measured, lines foretold from the first weights. Dotted: the foretold "
            "half times. It is one taxonomy with equal branches, and no claim about children is tested here.",
        )
        run.save_figure("tree", drawn)


def layers(depth: int) -> str:
    """Say "1 layer", "2 layers"."""
    return f"{depth} layer{'s' if depth > 1 else ''}"


def draw_depth(run: Run, config: Config, waited: dict[int, tuple[Array, Array]]) -> None:
    """``depth.png``: one mode in networks of one to four layers, and the wait over the size of the start."""
    s, start, span = float(STRENGTHS[0]), 1e-3, 16.0
    with plots.figure("Depth makes the wait, and the jump", columns=2, width=9.6, height=4.5) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        fine = np.linspace(0.0, span, 400)
        for i, depth in enumerate(DEPTHS):
            trained = aligned(start, hidden=(8,) * (depth - 1), span=span)
            left.plot(fine, deep_mode(s, start, fine, depth) / s, color=plots.COLORS[i])
            style = {"color": "black", "linestyle": "none", "marker": plots.MARKERS[i], "fillstyle": "none"}
            left.plot(trained.t[20::40], trained.u[20::40, 0] / s, **style, markersize=4, label=layers(depth))
        left.set(xlabel="time = lr × step", ylabel="share learned, u / s", xlim=(0.0, span))
        left.set_title(f"The strongest mode, from u0 = {start:g}")
        left.legend(loc="lower right", fontsize=8)
        line = np.geomspace(10.0 ** -max(config.powers), 10.0 ** -min(config.powers), 60)
        for i, depth in enumerate(DEPTHS[1:], 1):
            right.loglog(line, [wait(s, u, depth) for u in line], color=plots.COLORS[i])
            right.loglog(10.0 ** -np.array(config.powers), waited[depth][0], color="black", linestyle="none",
                         marker=plots.MARKERS[i], fillstyle="none")  # fmt: skip
            law, shift = LAWS[depth]
            right.annotate(f"{layers(depth)}: {law}", (line[12], wait(s, line[12], depth)), xytext=shift,
                           textcoords="offset points", fontsize=8)  # fmt: skip
        right.set(xlabel="strength u0 at the start", ylabel="time until half is learned", title="The wait")
        plots.caption(
            drawn,
            "Marks: descent on networks of matrices. Lines: du/dt = L u^(2 − 2/L) (s − u). All starts are "
            "balanced and have the same small product u0; of layers near the identity nothing is said.",
        )
        run.save_figure("depth", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
