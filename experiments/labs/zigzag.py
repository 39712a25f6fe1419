r"""Why does training with a correct gradient crawl, zigzag or blow up, and which of them when?

Near a minimum descent multiplies the error along each eigenvector of the Hessian, curvature a, by 1 - lr a:

    0 < lr a < 1    shrinks on one side        1 < lr a < 2    shrinks, from side to side: the zigzag
    lr a > 2        grows, from side to side   lr < 0          grows on one side

One rate serves all directions. At best, lr = 2 / (L + m), the steepest and the flattest both keep
(c - 1) / (c + 1) of their error a step, c = L / m: the number of steps grows like c. A trained network obeys
the same law: nudged along its sharpest direction it returns, or does not, by |1 - lr a| a step.

Source   Nesterov 2004, "Introductory lectures on convex optimization", sec. 1.2.3 and 2.1.5; LeCun, Bottou,
         Orr & Mueller 1998, "Efficient backprop", sec. 5; Goh 2017, "Why momentum really works", Distill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from dynamics.credit.mlp_backprop import Spec, init, value_and_gradient
from dynamics.discrete.gd_quadratic import (
    best_lr,
    classify,
    closed_form,
    critical_lr,
    rate,
    steps_to,
    trajectory,
)
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--conditions", "7")  # what continuous integration runs
Array = np.ndarray
RATES = (0.1, 0.9, 1.1)  # on (w - 3)^2, whose curvature is 2
EPS = 1e-6
SPEC = Spec((2, 4, 1))  # the network, which learns XOR
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([[0.0], [1.0], [1.0], [0.0]])
SHARES = (0.3, 0.95, 1.05)  # of the network's critical learning rate
NUDGE, RETURN = 1e-7, 30  # size of the push and steps after it


class Valley(NamedTuple):
    """A quadratic 1/2 x^T A x in the plane, with a start."""

    name: str
    curvatures: tuple[float, float]
    degrees: float  # of its steep axis against the horizontal
    start: tuple[float, float]
    steps: int
    rates: tuple[float, ...]  # learning rates; in the spectrum, shares of the critical one

    @property
    def axes(self) -> Array:
        """Its eigenvectors, as columns."""
        t = np.radians(self.degrees)
        return np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])

    @property
    def A(self) -> Array:
        """The Hessian."""
        A = (self.axes * self.curvatures) @ self.axes.T
        return (A + A.T) / 2

    def modes(self, lr: float, steps: int | None = None) -> Array:
        """The errors along the eigenvectors of a run, by steps: (steps + 1, 2)."""
        zero = np.zeros(2)
        return trajectory(self.A, zero, self.start, lr, self.steps if steps is None else steps) @ self.axes


LONG = Valley("valley", (50.0, 1.0), 25.0, (6.0, 6.0), 60, (0.01, 0.03, 0.99 * 2 / 50))
SPECTRUM = Valley("spectrum", (10.0, 2.0), 15.0, (5.0, -4.0), 40, (0.5 * 0.2, 0.99 * 0.2, 1.1 * 0.2))
STEEP = Valley("zigzag", (80.0, 1.0), 35.0, (7.0, 2.0), 80, (0.02,))


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    conditions: int = 11  # condition numbers 2, 4, 8 ... of which the steps are counted
    seed: int = 0  # of the network


def main(arguments: Sequence[str] | None = None) -> int:
    """Descend, nudge, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Why does training crawl, zigzag or blow up?")
    with Run("zigzag", config) as run:
        claims = Claims()
        conditions = 2.0 ** np.arange(1, config.conditions + 1)
        counted = np.array([steps_needed(c) for c in conditions])
        theta, hessian = trained(config.seed)
        parts = [
            partial(judge_line, claims),
            partial(judge_valleys, claims),
            partial(judge_conditions, claims, conditions, counted),
            partial(judge_network, claims, theta, hessian),
            partial(draw_lines, run, conditions, counted),
            partial(draw_valley, run),
            partial(draw_zigzag, run),
            partial(draw_network, run, theta, hessian),
        ]
        for part in run.track(parts, "descending"):
            part()
        claims.conclude(run, "each direction has its multiplier 1 - lr a: in a valley, and in a network")
    return run.exit_code


def line_path(lr: float, steps: int = 40) -> Array:
    """Descent on (w - 3)^2 from 0, (steps + 1,)."""
    return trajectory([[2.0]], [6.0], [0.0], lr, steps)[:, 0]


def steps_needed(condition: float) -> int:
    """Steps at the best rate until both errors, 1 at first, are at most EPS: counted."""
    A, bound = np.diag([condition, 1.0]), 2 * condition * log(1 / EPS)
    path = trajectory(A, np.zeros(2), np.ones(2), best_lr(A), int(bound))
    return int(np.argmax(np.abs(path).max(axis=1) <= EPS))


def gradient(theta: Array) -> Array:
    """Of the network's mean squared error on XOR."""
    return value_and_gradient(theta, SPEC, CORNERS, TARGETS)[1]


def trained(seed: int) -> tuple[Array, Array]:
    """A network that has learned XOR to the last digit, and its Hessian by central differences."""
    for attempt in range(100):
        theta = init(SPEC, rng=np.random.default_rng([seed, attempt]))
        for _ in range(6000):
            theta = theta - 0.15 * gradient(theta)
        if np.abs(gradient(theta)).max() < 1e-13:
            break
    h = 1e-5
    columns = [(gradient(theta + h * e) - gradient(theta - h * e)) / (2 * h) for e in np.eye(theta.size)]
    return theta, (np.array(columns) + np.array(columns).T) / 2


def returning(theta: Array, hessian: Array, share: float) -> tuple[float, Array]:
    """Nudge the network along its sharpest direction and train on at a share of the critical rate.

    Returns:
        The multiplier predicted, 1 - lr a, and the errors along the direction, (RETURN + 1,).
    """
    values, vectors = np.linalg.eigh(hessian)
    top, lr = vectors[:, -1], share * 2 / values[-1]
    errors, now = [NUDGE], theta + NUDGE * top
    for _ in range(RETURN):
        now = now - lr * gradient(now)
        errors.append(float((now - theta) @ top))
    return 1 - lr * float(values[-1]), np.array(errors)


def judge_line(claims: Claims) -> None:
    """One weight: the gradient is right at all three rates, and at one of them training explodes."""
    for lr, known in zip(RATES, (0.8, -0.8, -1.2), strict=True):
        error = line_path(lr) - 3.0
        off = np.abs(error[1:] / error[:-1] - known).max()
        claims.at_most(f"(w - 3)^2, lr = {lr}: multiplier of each step, off {known} by", off, 1e-12)
    for lr, word in ((0.3, "monotone"), (0.75, "oscillating"), (1.1, "divergent"), (-0.1, "ascent")):
        error = line_path(lr, 8) - 3.0
        flips, grows = bool(error[0] * error[1] < 0), bool(abs(error[1]) > abs(error[0]))
        seen = {(0, 0): "monotone", (1, 0): "oscillating", (1, 1): "divergent", (0, 1): "ascent"}[
            flips, grows
        ]
        claims.true(f"(w - 3)^2, lr = {lr}: {word}, seen and said", seen == word == classify(lr, 2.0))


def judge_valleys(claims: Claims) -> None:
    """Two weights: rates, and which direction changes its sign."""
    for valley in (LONG, SPECTRUM, STEEP):
        for lr in valley.rates:
            z = valley.modes(lr, 400)
            size = np.abs(z).max(axis=1)
            found = (size[400] / size[380]) ** (1 / 20)
            share = lr / critical_lr(valley.A)
            text = f"{valley.name}, lr = {share:.2g} of 2 / L: what a step leaves"
            claims.near(text, found, rate(valley.A, lr), 5e-4)
            short = z[:31]  # (1/2)^60 of the one error would be the rounding of the other
            for i, a in enumerate(valley.curvatures):
                if abs(lr * a - 1.0) > 1e-9:  # else it arrives in one step, and rounding has the sign
                    flips = int((short[1:, i] * short[:-1, i] < 0).sum())
                    claims.near(f"... sign changes in 30 steps where lr a = {lr * a:.3g}", flips,
                                30 if lr * a > 1 else 0, 0.0)  # fmt: skip


def judge_conditions(claims: Claims, conditions: Array, counted: Array) -> None:
    """Many condition numbers: how many steps."""
    known = [steps_to(EPS, (c - 1) / (c + 1)) for c in conditions]
    claims.at_most("steps counted, less those predicted: largest", np.abs(counted - known).max(), 1.0)
    half = len(conditions) // 2
    slope = np.polyfit(np.log(conditions[half:]), np.log(counted[half:]), 1)[0]
    claims.near("steps grow like the condition number to the power", slope, 1.0, 0.01)


def judge_network(claims: Claims, theta: Array, hessian: Array) -> None:
    """Seventeen weights: the same law."""
    claims.at_most("network: gradient where it is trained", np.abs(gradient(theta)).max(), 1e-13)
    for share in SHARES:
        predicted, errors = returning(theta, hessian, share)
        many = 4 if share < 0.5 else RETURN  # 0.4^30 of the nudge would be rounding
        found = np.sign(errors[1] / errors[0]) * abs(errors[many] / errors[0]) ** (1 / many)
        claims.near(f"network, lr = {share} of 2 / a: multiplier along the top", found, predicted, 1e-3)


def draw_lines(run: Run, conditions: Array, counted: Array) -> None:
    """``lines.png``: three rates on one weight; steps over the condition number."""
    with plots.figure("A correct gradient is not enough", columns=2, width=9.6, height=4.4) as (drawn, axes):
        left, right = axes[0]
        k = np.arange(13)
        for i, lr in enumerate(RATES):
            known = closed_form([[2.0]], [6.0], [0.0], lr, k)[:, 0]
            left.plot(k, known, color=plots.COLORS[i], linestyle=plots.LINES[i])
            left.plot(k, line_path(lr, 12), color="black", linestyle="none", marker=plots.MARKERS[i],
                      fillstyle="none", label=f"lr = {lr}: times {1 - 2 * lr:.1f}")  # fmt: skip
        plots.level(left, 3.0, "")
        left.set(xlabel="step", ylabel="w", title="(w − 3)², from w = 0", ylim=(-14, 32))
        left.legend(loc="upper left")
        line = np.geomspace(conditions[0], conditions[-1], 100)
        right.loglog(line, np.log(EPS) / np.log((line - 1) / (line + 1)), color=plots.BLUE,
                     label="ln ε / ln((c − 1) / (c + 1))")  # fmt: skip
        right.loglog(conditions, counted, "o", color="black", fillstyle="none", label="counted")
        right.set(xlabel="condition number c = L / m", ylabel=f"steps until the error is {EPS:g}",
                  title="Two weights, at the best rate")  # fmt: skip
        right.legend(loc="upper left")
        plots.caption(
            drawn,
            "Marks: measured. Lines: predicted. The steps are those of plain descent on a quadratic. At no "
            "rate of the left panel was the gradient wrong.",
        )
        run.save_figure("lines", drawn)


def draw_paths(axis: Axes, valley: Valley, lr: float, color: str) -> None:
    """A path in the plane, over the levels of the quadratic."""
    path = trajectory(valley.A, np.zeros(2), valley.start, lr, valley.steps)
    low, high = np.minimum(path.min(axis=0), 0.0) - 1.2, path.max(axis=0) + 1.2
    x, y = np.linspace(low[0], high[0], 160), np.linspace(low[1], high[1], 160)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = 0.5 * np.einsum("...i,ij,...j", grid, valley.A, grid)
    axis.contour(
        x, y, values, np.geomspace(values.max() / 2000, values.max(), 9), colors="0.6", linewidths=0.7
    )
    axis.plot(*path.T, "o-", color=color, markersize=2.5, linewidth=1.0)
    axis.plot(0.0, 0.0, "+", color="black", markersize=10, markeredgewidth=1.6)
    axis.set(xlabel="x", aspect="equal", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    axis.grid(False)


def draw_modes(axis: Axes, valley: Valley, lr: float, *, every: int = 3) -> None:
    """The size of both errors over the steps, measured and predicted."""
    z, k = valley.modes(lr), np.arange(valley.steps + 1)
    for i, a in enumerate(valley.curvatures):
        known = np.abs(z[0, i]) * np.abs(1 - lr * a) ** k
        axis.plot(
            k, known, color=plots.COLORS[i], linestyle=plots.LINES[i], label=f"a = {a:g}: {1 - lr * a:.3g}"
        )
        axis.plot(k[::every], np.abs(z[::every, i]), color="black", linestyle="none", marker=plots.MARKERS[i],
                  markersize=4, fillstyle="none")  # fmt: skip
    axis.set(yscale="log", xlabel="step", ylim=(1e-5, 40))
    axis.legend(loc="center right", fontsize=8, title="curvature: multiplier", title_fontsize=8)


def draw_valley(run: Run) -> None:
    """``valley.png``: three learning rates in a valley of condition 50."""
    with plots.figure("One valley, three learning rates", rows=2, columns=3, width=10.4, height=6.6) as (
        drawn,
        axes,
    ):
        for i, lr in enumerate(LONG.rates):
            draw_paths(axes[0, i], LONG, lr, plots.VERMILION)
            draw_modes(axes[1, i], LONG, lr)
            axes[0, i].set_title(f"lr = {lr:.3g}, {lr / critical_lr(LONG.A):.2g} of 2 / L")
        axes[0, 0].set_ylabel("y")
        axes[1, 0].set_ylabel("error along an eigenvector")
        plots.caption(
            drawn,
            "60 steps each. Below: marks measured, lines predicted. The best rate is between the second and "
            "the third: there both errors shrink alike. Along a curved valley the axes turn, and only pieces "
            "of a run look like this.",
        )
        run.save_figure("valley", drawn)


def draw_zigzag(run: Run) -> None:
    """``zigzag.png``: the path, and its two parts with their signs."""
    with plots.figure("The zigzag and its parts: lr a = 1.6 and 0.02", columns=2, width=9.6, height=4.4) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        lr, k = STEEP.rates[0], np.arange(25)
        draw_paths(left, STEEP, lr, plots.VERMILION)
        left.set_ylabel("y")
        z = STEEP.modes(lr)[:25]
        for i, a in enumerate(STEEP.curvatures):
            right.plot(k, z[0, i] * (1 - lr * a) ** k, color=plots.COLORS[i], linestyle=plots.LINES[i],
                       label=f"a = {a:g}: times {1 - lr * a:.2g} a step")  # fmt: skip
            right.plot(k, z[:, i], color="black", linestyle="none", marker=plots.MARKERS[i], markersize=5,
                       fillstyle="none")  # fmt: skip
        right.set(xlabel="step", ylabel="error along an eigenvector")
        right.legend(loc="upper right")
        plots.caption(
            drawn,
            "Right: marks measured, lines predicted. Only the steep direction changes sides. The zigzag is "
            "over after ten steps; what takes long is the flat direction, which never zigzags.",
        )
        run.save_figure("zigzag", drawn)


def draw_network(run: Run, theta: Array, hessian: Array) -> None:
    """``network.png``: a trained network after a push along its sharpest direction."""
    with plots.figure("A trained network, nudged: does it return?", width=7.2, height=4.6) as (drawn, axes):
        axis, k = axes[0, 0], np.arange(RETURN + 1)
        for i, share in enumerate(SHARES):
            predicted, errors = returning(theta, hessian, share)
            many = 13 if share < 0.5 else RETURN + 1
            axis.plot(k[:many], abs(predicted) ** k[:many], color=plots.COLORS[i], linestyle=plots.LINES[i],
                      label=f"lr = {share} of 2 / a: times {predicted:.2g}")  # fmt: skip
            axis.plot(k[:many], np.abs(errors[:many]) / NUDGE, color="black", linestyle="none",
                      marker=plots.MARKERS[i], markersize=5, fillstyle="none")  # fmt: skip
        axis.set(yscale="log", xlabel="step after the nudge", ylabel="error along the direction / nudge",
                 ylim=(1e-5, 200))  # fmt: skip
        axis.legend(loc="lower right")
        plots.caption(
            drawn,
            "A 2-4-1 network that has learned XOR. Marks measured; lines predicted by the largest eigenvalue "
            "a of its Hessian. For a nudge of 1e-7: farther away the curvature changes, and may stop "
            "a growth or feed it.",
        )
        run.save_figure("network", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
