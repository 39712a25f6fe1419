r"""Why can no straight line learn XOR, and how surely do two hidden units learn it?

The four targets 0, 1, 1, 0 are orthogonal to x, to y and, but for their mean, to 1. So the best linear model
says 1/2 everywhere, and its mean squared error is 1/4 whatever the start. What can be reached beyond:

    linear, no bias    1/3      w = (1/3, 1/3)
    linear             1/4      1/2 everywhere
    one hidden unit    1/6      the best function that is monotone along some direction
    two, stuck         1/8      two corners right, two of opposite targets on the same point, so 1/2 for both
    two, solved        0

Every level but the last is a plateau that training visits, and where some of the networks stay.

Source   Minsky & Papert 1969, "Perceptrons"; Rumelhart, Hinton & Williams 1986, Nature 323; Goodfellow,
         Bengio & Courville 2016, "Deep learning", sec. 6.1; Wilson 1927, JASA 22 (the interval).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt

import numpy as np
from matplotlib.axes import Axes

from dynamics.credit.mlp_backprop import Spec, flatten, value_and_gradient
from dynamics.discrete.gd_quadratic import closed_form, trajectory
from experiments import plots
from experiments.claims import Claims
from experiments.energy.crowd import wilson
from experiments.runs import Run, configure
from foundations.computational_graph import Tensor
from foundations.elementwise import tanh
from optimization.optimizers.sgd import SGD

QUICK = (
    "--networks",
    "120",
    "--starts",
    "40",
    "--widths",
    "1,2,8",
    "--gains",
    "1,8,32",
)  # what continuous integration runs
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([0.0, 1.0, 1.0, 0.0])
LR, STEPS = 0.15, 3000
SOLVED = 0.01  # a loss below: every output is within 0.2 of its target
KNOWN = 0.885  # share of 2-2-1 networks that solve XOR, over 6,000 networks of 15 other seeds


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    networks: int = 400  # trained side by side, of each width and each gain
    widths: tuple[int, ...] = (1, 2, 3, 4, 6, 8)  # hidden units
    gains: tuple[int, ...] = (1, 2, 4, 8, 16, 32)  # eighths of Xavier's standard deviation, for two units
    starts: int = 200  # of the linear model
    seed: int = 0


class Networks:
    """Many MLPs 2-width-1 with tanh units and a linear output, one slice each of four stacked parameters.

    Attributes:
        losses: (STEPS + 1, networks) after `train`, the start first.
    """

    def __init__(self, networks: int, width: int, gain: float, rng: np.random.Generator):
        first, second = gain * sqrt(2 / (2 + width)), gain * sqrt(2 / (width + 1))
        arrays = (
            rng.normal(0.0, first, (networks, 2, width)),
            np.zeros((networks, 1, width)),
            rng.normal(0.0, second, (networks, width, 1)),
            np.zeros((networks, 1, 1)),
        )
        self.parameters = [Tensor(a, True) for a in arrays]
        self.losses = np.empty((0, networks))

    def loss(self) -> Tensor:
        """Mean squared error of each network, (networks,)."""
        W1, b1, W2, b2 = self.parameters
        error = tanh(INPUTS @ W1 + b1) @ W2 + b2 - TARGETS[:, None]  # (networks, 4, 1)
        return (error * error).mean((1, 2))

    def train(self, steps: int = STEPS) -> Networks:
        """Descend on all losses at once: their sum has, for each network, that network's gradient."""
        optimizer, losses = SGD(self.parameters, lr=LR), []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = self.loss()
            losses.append(loss.data)
            loss.sum().backward()
            optimizer.step()
        self.losses = np.array([*losses, self.loss().data])
        return self

    @property
    def solved(self) -> np.ndarray:
        """Which networks have learned XOR, (networks,)."""
        return self.losses[-1] < SOLVED

    def hidden(self, points: np.ndarray) -> np.ndarray:
        """What the units say at points (M, 2): (networks, M, width)."""
        W1, b1 = (p.data for p in self.parameters[:2])
        return np.tanh(points @ W1 + b1)

    def outputs(self, points: np.ndarray) -> np.ndarray:
        """(networks, M)."""
        W2, b2 = (p.data for p in self.parameters[2:])
        return (self.hidden(points) @ W2 + b2)[:, :, 0]


class Linear:
    """Many linear models from random starts; their loss is 1/2 w^T A w - b^T w + mean(targets^2).

    Attributes:
        path: (steps + 1, starts, D), by steps.
        solution: the same, by the closed form.
    """

    def __init__(self, starts: int, bias: bool, rng: np.random.Generator, steps: int):
        self.features = np.column_stack([INPUTS, np.ones(4)]) if bias else INPUTS
        A, b = self.features.T @ self.features / 2, self.features.T @ TARGETS / 2
        begin = rng.normal(size=(starts, len(b)))
        self.path = np.stack([trajectory(A, b, x, LR, steps) for x in begin], axis=1)
        self.solution = np.stack([closed_form(A, b, x, LR, np.arange(steps + 1)) for x in begin], axis=1)

    def losses(self, path: np.ndarray) -> np.ndarray:
        """(steps + 1, starts)."""
        return np.mean((path @ self.features.T - TARGETS) ** 2, axis=-1)


def confused(net: Networks) -> np.ndarray:
    """Hidden distances of the inputs: the least between different targets, over the largest of any two."""
    h = net.hidden(INPUTS)  # (networks, 4, width)
    gaps = np.linalg.norm(h[:, :, None] - h[:, None], axis=-1)  # (networks, 4, 4)
    apart = TARGETS[:, None] != TARGETS
    return gaps[:, apart].min(axis=1) / gaps.max(axis=(1, 2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train lines and networks, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Why can no line learn XOR, and how surely does an MLP?")
    with Run("xor", config) as run:
        claims, rng = Claims(), np.random.default_rng(config.seed)
        linear = Linear(config.starts, True, rng, 400)
        judge_linear(claims, linear, Linear(config.starts, False, rng, 600))
        cases = [(width, 8) for width in config.widths] + [(2, gain) for gain in config.gains if gain != 8]
        nets = {
            (width, gain): Networks(config.networks, width, gain / 8, rng).train()
            for width, gain in run.track(cases, "training")
        }
        judge_networks(claims, nets, rng)
        two = nets[2, 8]
        for part in run.track(
            [
                partial(draw_losses, run, linear, two),
                partial(draw_boundaries, run, linear, two),
                partial(draw_success, run, nets, config),
            ],
            "drawing",
        ):
            part()
        share = float(two.solved.mean())
        low, high = wilson(int(two.solved.sum()), config.networks)
        claims.conclude(
            run,
            "a line rests at 1/4, two hidden units get to 0, most of the time",
            share=share,
            wilson=[low, high],
        )
    return run.exit_code


def judge_linear(claims: Claims, linear: Linear, plain: Linear) -> None:
    """The plateau of the models without hidden units, with bias and without."""
    losses = linear.losses(linear.path)
    claims.near("linear: lowest loss of any start at any step", losses.min(), 0.25, 1e-12)
    claims.near("linear: highest loss of any start after 200 steps", losses[200].max(), 0.25, 1e-4)
    outputs = linear.path[-1] @ linear.features.T
    claims.near("linear: largest distance of an output from 1/2", np.abs(outputs - 0.5).max(), 0.0, 1e-5)
    off = np.abs(losses - linear.losses(linear.solution)).max()
    claims.at_most("linear: distance of any loss from the closed form's", off, 1e-12)
    gap = np.abs(plain.path[-1] - 1 / 3).max()
    claims.at_most("linear without bias: distance of a weight from 1/3", gap, 1e-12)
    claims.near("linear without bias: its loss", plain.losses(plain.path)[-1].max(), 1 / 3, 1e-12)


def judge_networks(claims: Claims, nets: dict[tuple[int, int], Networks], rng: np.random.Generator) -> None:
    """Two ways to a gradient, the levels, and how often the networks get through."""
    one, two, eight = nets[1, 8], nets[2, 8], nets[8, 8]
    n = len(two.solved)
    claims.at_most("gradient by the graph, less that by hand: largest", engines_apart(rng), 1e-14)
    claims.at_least("one unit: lowest loss of any network at any step", one.losses.min(), 1 / 6)
    claims.near("one unit: the median network ends at", np.median(one.losses[-1]), 1 / 6, 0.004)
    claims.near("two units: lowest loss at the end", two.losses[-1].min(), 0.0, 1e-12)
    # binomial, 4 standard deviations; over 15 seeds of 400 networks: 0.885 +- 0.011
    claims.near("two units: share that solves XOR", two.solved.mean(), KNOWN, 4 * sqrt(KNOWN * 0.115 / n))
    low, high = wilson(int(two.solved.sum()), n)
    claims.at_most("two units: lower end of the Wilson interval of 95 %", low, KNOWN + 0.02)
    claims.at_least("two units: upper end of the Wilson interval of 95 %", high, KNOWN - 0.02)
    stuck = ~two.solved
    claims.near("two units, stuck: the median ends at", np.median(two.losses[-1][stuck]), 1 / 8, 0.003)
    merged = np.median(confused(two)[stuck])
    claims.at_most("two units, stuck: opposite corners' least distance, hidden (median)", merged, 0.05)
    parted = np.median(confused(two)[two.solved])
    claims.at_least("two units, solved: the same", parted, 0.3)
    claims.at_least("eight units: share that solves XOR", eight.solved.mean(), 0.98)
    near = nets[2, 1]
    late = np.median(near.losses[-1][~near.solved])
    claims.near("two units, weights / 8, unsolved: the median ends at", late, 1 / 4, 0.02)
    far = nets[2, 32].solved.mean()
    claims.at_most("two units, weights times 4: share that solves it", far, KNOWN - 0.2)
    alike = equal_units(rng)
    spread = np.abs(np.ptp(alike.parameters[0].data, axis=2)).max()
    claims.near("two units that begin equal: largest difference after training", spread, 0.0, 0.0)
    claims.at_least("two units that begin equal: lowest loss", alike.losses.min(), 1 / 6)


def engines_apart(rng: np.random.Generator) -> float:
    """The largest difference between the gradient of the graph and that of `dynamics.credit.mlp_backprop`."""
    net, spec, worst = Networks(8, 2, 1.0, rng), Spec((2, 2, 1)), 0.0
    net.loss().sum().backward()
    for i in range(8):
        W1, b1, W2, b2 = (p.data[i] for p in net.parameters)
        theta = flatten([W1.T, W2.T], [b1, b2])
        by_hand = value_and_gradient(theta, spec, INPUTS, TARGETS[:, None])[1]
        G1, g1, G2, g2 = (p.grad[i] for p in net.parameters if p.grad is not None)
        worst = max(worst, float(np.abs(flatten([G1.T, G2.T], [g1, g2]) - by_hand).max()))
    return worst


def equal_units(rng: np.random.Generator) -> Networks:
    """Networks whose two units begin with the same weights, trained."""
    net = Networks(40, 2, 1.0, rng)
    for p, axis in ((net.parameters[0], 2), (net.parameters[2], 1)):
        p.data[...] = np.take(p.data, [0, 0], axis=axis)
    return net.train()


def draw_losses(run: Run, linear: Linear, two: Networks) -> None:
    """``losses.png``: a line's loss and that of networks with two units, over the steps."""
    with plots.figure("XOR: where the loss rests", columns=2, width=9.8, height=4.8) as (drawn, axes):
        left, right = axes[0]
        measured, predicted = linear.losses(linear.path)[:201, :12], linear.losses(linear.solution)[:201, :12]
        steps = np.arange(1, len(measured) + 1)
        left.plot(steps, measured, color="0.6", linewidth=2.4)
        left.plot(steps, predicted, color=plots.BLUE, linestyle="--", linewidth=1.0)
        left.set(title="Linear model, 12 starts", ylabel="mean squared error", xlim=(1, 201), ylim=(0, 1))
        plots.level(left, 1 / 4, "")
        left.annotate("1/4: the best of all lines", (3, 0.25), xytext=(0, -13), textcoords="offset points")
        stuck = np.flatnonzero(~two.solved)
        shown = np.concatenate([np.flatnonzero(two.solved)[:25], stuck[:5]])
        steps = np.arange(1, len(two.losses) + 1)
        for i in shown:
            bad = i in stuck
            style = {"color": plots.VERMILION if bad else plots.BLUE, "linestyle": "--" if bad else "-"}
            right.plot(steps, two.losses[:, i], linewidth=1.6 if bad else 0.7, **style)
        right.plot([], [], color=plots.BLUE, linewidth=0.9, label="25 that solve it")
        right.plot([], [], color=plots.VERMILION, linestyle="--", label="5 that do not")
        right.set(title="2-2-1 network", xlim=(1, len(two.losses)), ylim=(-0.01, 0.6))
        for value, name in ((1 / 4, "1/4"), (1 / 6, "1/6"), (1 / 8, "1/8")):
            right.axhline(value, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
            right.annotate(name, (1.15, value), xytext=(0, 2), textcoords="offset points", fontsize=9)
        right.legend(loc="upper right")
        for axis in (left, right):
            axis.set(xscale="log", xlabel=f"step + 1 (learning rate {LR})")
        plots.caption(
            drawn,
            "Left: grey is measured, dashed blue the closed form. Right: levels are those that theory knows. "
            "A loss that has not moved for a thousand steps may still: nothing here says that a network that "
            "has not got through by the end never will.",
        )
        run.save_figure("losses", drawn)


def corners(axis: Axes, points: np.ndarray) -> None:
    """The four inputs, by target, wherever they are."""
    for target, marker, color in ((0, "o", plots.BLUE), (1, "s", plots.ORANGE)):
        chosen = points[target == TARGETS]
        axis.scatter(chosen[:, 0], chosen[:, 1], s=70, c=color, marker=marker, edgecolors="black", zorder=3,
                     label=f"target {target}")  # fmt: skip


def draw_boundaries(run: Run, linear: Linear, two: Networks) -> None:
    """``boundaries.png``: what a line, a network that solved it and one that did not say in the plane."""
    solved, stuck = int(np.argmin(two.losses[-1])), int(np.argmin(np.abs(two.losses[-1] - 0.125)))
    line = np.linspace(-0.5, 1.5, 161)
    grid = np.stack([side.ravel() for side in np.meshgrid(line, line)], axis=1)  # (161^2, 2)
    spoken = two.outputs(grid)
    flat = np.column_stack([grid, np.ones(len(grid))]) @ linear.path[-1, 0]
    panels = (
        ("linear: 1/2 everywhere", np.round(flat, 3)),
        (f"2-2-1, solved: loss {two.losses[-1, solved]:.0e}", spoken[solved]),
        (f"2-2-1, stuck: loss {two.losses[-1, stuck]:.3f}", spoken[stuck]),
    )
    with plots.figure("What they say in the plane", columns=4, width=12.4, height=3.9) as (drawn, axes):
        for axis, (title, values) in zip(axes[0], panels, strict=False):
            image = values.reshape(161, 161)
            shades = axis.contourf(line, line, np.clip(image, -0.25, 1.25), np.linspace(-0.25, 1.25, 13),
                                   cmap="Greys_r", alpha=0.75)  # fmt: skip
            if np.ptp(image) > 0.1:
                axis.contour(line, line, image, [0.5], colors=plots.VERMILION, linewidths=2.0)
            corners(axis, INPUTS)
            axis.set(title=title, xlabel="x", aspect="equal")
            axis.grid(False)
        axes[0, 0].set_ylabel("y")
        drawn.colorbar(
            shades, ax=axes[0, :3].tolist(), label="output", ticks=[0, 0.5, 1], shrink=0.8, pad=0.01
        )
        last, h = axes[0, 3], two.hidden(INPUTS)[solved]
        corners(last, h)
        for at, name, side in zip(h, ("0,0", "0,1", "1,0", "1,1"), (8, 8, -24, 8), strict=True):
            last.annotate(name, at, xytext=(side, 5), textcoords="offset points", fontsize=9)
        (first, second), offset = two.parameters[2].data[solved, :, 0], two.parameters[3].data[solved, 0, 0]
        across = np.linspace(-1.3, 1.3, 2)
        last.plot(across, (0.5 - offset - first * across) / second, color=plots.VERMILION, linewidth=2.0)
        last.set(title="solved, seen by its units", xlabel="unit 1", ylabel="unit 2", xlim=(-1.3, 1.3),
                 ylim=(-1.3, 1.3), aspect="equal")  # fmt: skip
        last.legend(loc="best", frameon=True, facecolor="white", edgecolor="none", fontsize=8)
        plots.caption(
            drawn,
            "Red: output 1/2, the decision. The hidden units move the four corners until one line separates "
            "them, which is drawn in their plane on the right. Four points are all there is: what a network "
            "says elsewhere was never asked for.",
        )
        run.save_figure("boundaries", drawn)


def draw_success(run: Run, nets: dict[tuple[int, int], Networks], config: Config) -> None:
    """``success.png``: the share of networks that solve XOR, over the width and the size of the start."""
    title = f"How surely XOR is learned in {STEPS:,} steps"
    with plots.figure(title, columns=2, width=9.2, height=4.2) as (drawn, axes):
        n = config.networks
        sides = (
            (axes[0, 0], config.widths, [nets[w, 8] for w in config.widths], "hidden units"),
            (
                axes[0, 1],
                config.gains,
                [nets[2, g] for g in config.gains],
                "standard deviation of the start / Xavier's",
            ),
        )
        for i, (axis, at, chosen, name) in enumerate(sides):
            share = np.array([net.solved.mean() for net in chosen])
            ends = np.array([wilson(int(net.solved.sum()), n) for net in chosen]).T
            axis.errorbar(at, share, np.abs(ends - share), color=plots.COLORS[i], marker=plots.MARKERS[i],
                          linestyle=plots.LINES[i], capsize=4)  # fmt: skip
            axis.axhline(KNOWN, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
            axis.set(xlabel=name, ylim=(-0.03, 1.03))
        axes[0, 0].annotate("0.885: 6,000 networks", (8, KNOWN), xytext=(0, -13), textcoords="offset points",
                            ha="right", fontsize=9)  # fmt: skip
        axes[0, 0].set(ylabel="share of networks", title="Start of Xavier", xticks=config.widths)
        axes[0, 1].set(title="Two units", xscale="log")
        axes[0, 1].set_xticks(config.gains, [f"{g / 8:g}" for g in config.gains])
        axes[0, 1].set_xticks([], minor=True)
        plots.caption(
            drawn,
            f"Bars: Wilson intervals of 95 %, {n} networks each. The shares belong to this learning rate and "
            "number of steps, and to plain descent. That the smallest start solves it less often means that "
            "it is on the plateau at 1/4 when time is up.",
        )
        run.save_figure("success", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
