r"""Where is the edge of stability once an optimizer has a memory?

At which curvature a quadratic becomes unstable depends on the rule, not on the learning rate alone:

    gradient descent                2 / lr
    heavy ball, momentum b          2 (1 + b) / lr                       farther away
    Nesterov, momentum b            2 (1 + b) / ((1 + 2 b) lr)           nearer
    Adam, means of b = beta1        2 (1 + b) / ((1 - b) lr), 38 / lr at 0.9, of the Hessian as Adam sees it:
                                    P^-1/2 H P^-1/2, P its divisor of the mean gradient

Four of the rules below get learning rates that put their edges at the same curvature, 30, Adam its usual
0.001. All of them sharpen the network until they are at their own edge.

Source   Cohen et al. 2021, arXiv:2103.00065, sec. 3.3 and appendix B (momentum); Cohen et al. 2022, "Adaptive
         gradient methods at the edge of stability", arXiv:2207.14484, sec. 3 (38 / lr).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from dynamics.geometry.edge_of_stability import adam_scale, edge, preconditioned, sharpest
from experiments import plots
from experiments.claims import Claims
from experiments.fitting import Fit, chebyshev
from experiments.runs import Run, configure

QUICK = ("--seeds", "1", "--units", "16")  # what continuous integration runs
SHARED = 30.0  # the edge of all rules but Adam
EVERY = 25  # steps between two measurements
SETTLE, WINDOW, LIMIT = 2000, 3000, 4000  # steps: after the crossing, that count then, and without a crossing
WARM = 100  # Adam's divisor has seen little before: no crossing counts
Array = np.ndarray


@dataclass(frozen=True)
class Rule:
    """An optimizer and its learning rate."""

    name: str
    kind: str  # of `edge`
    momentum: float
    lr: float = 0.0  # 0: that which puts the edge at SHARED

    @property
    def edge(self) -> float:
        """The curvature at which this rule becomes unstable."""
        return edge(self.lr, self.momentum, self.kind)


def sharing(rule: Rule) -> Rule:
    """The rule with the learning rate that puts its edge, which is proportional to 1 / lr, at SHARED."""
    return rule if rule.lr else replace(rule, lr=edge(1.0, rule.momentum, rule.kind) / SHARED)


RULES = [
    sharing(rule)
    for rule in (
        Rule("gradient descent", "heavy_ball", 0.0),
        Rule("heavy ball 0.3", "heavy_ball", 0.3),
        Rule("heavy ball 0.5", "heavy_ball", 0.5),
        Rule("Nesterov 0.5", "nesterov", 0.5),
        Rule("Adam 0.9", "adam", 0.9, 1e-3),
    )
]


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    seeds: int = 2
    seed: int = 0  # the first, and the one that is drawn
    units: int = 32  # in each hidden layer


@dataclass(frozen=True)
class Path:
    """The sharpness of one run, as its rule sees the Hessian."""

    rule: Rule
    steps: Array  # (M,)
    sharpness: Array  # (M,)
    crossing: int  # step; -1 if there is none

    @property
    def settled(self) -> float:
        """The median of the sharpness, long after the crossing."""
        return float(np.median(self.sharpness[self.steps >= self.crossing + SETTLE]))


def training(fit: Fit, rule: Rule, theta: Array) -> Iterator[tuple[Array, Callable[[Array], Array]]]:
    """Yield the weights before each step, with the product by the Hessian that this rule sees there."""
    b, lr = rule.momentum, rule.lr
    mean, square, k = np.zeros_like(theta), np.zeros_like(theta), 0

    def plain(v: Array) -> Array:
        return fit.product(theta, v)

    while True:
        yield theta, preconditioned(plain, adam_scale(square, k)) if rule.kind == "adam" and k else plain
        gradient = fit.gradient(theta)
        k += 1
        if rule.kind == "adam":
            mean = b * mean + (1.0 - b) * gradient
            square = 0.999 * square + 0.001 * gradient * gradient
            theta = theta - lr * mean / adam_scale(square, k)
        else:
            mean = b * mean + gradient
            theta = theta - lr * (gradient + b * mean if rule.kind == "nesterov" else mean)


def follow(fit: Fit, rule: Rule, seed: int) -> Path:
    """Train until long after the crossing, and measure on the way."""
    theta, v = fit.start(seed)
    rng = np.random.default_rng(seed)
    steps, sharpness, crossing = [], [], -1
    for k, (_, product) in enumerate(training(fit, rule, theta)):
        if k > (LIMIT if crossing < 0 else crossing + SETTLE + WINDOW):
            break
        if k % EVERY == 0:
            found = sharpest(product, v.size, rng=rng, start=v[:, None], tol=1e-3)
            v = found.vectors[:, 0]
            steps.append(k)
            sharpness.append(float(found.values[0]))
            if crossing < 0 and k >= WARM and sharpness[-1] > rule.edge:
                crossing = k
    return Path(rule, np.array(steps), np.array(sharpness), crossing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train by five rules, measure, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Where is the edge of stability of an optimizer with momentum?")
    with Run("momentum_moves_the_edge", config) as run:
        fit, claims = chebyshev(config.units), Claims()
        plan = [(seed, rule) for seed in range(config.seed, config.seed + config.seeds) for rule in RULES]
        paths = [follow(fit, rule, seed) for seed, rule in run.track(plan, "training")]
        judge(claims, paths)
        draw(run, paths[: len(RULES)])
        claims.conclude(run, "every rule settles at its own edge, and none but gradient descent at 2/lr")
    return run.exit_code


def judge(claims: Claims, paths: Sequence[Path]) -> None:
    """The claims of the page: means over the runs of a rule."""
    claims.true("every run reaches its edge", all(path.crossing >= 0 for path in paths))
    for rule in RULES:
        settled = np.mean([path.settled for path in paths if path.rule is rule])
        claims.near(f"{rule.name}: sharpness / own edge, median", settled / rule.edge, 1.0, 0.05)
    for rule in RULES[1:]:
        settled = np.mean([path.settled for path in paths if path.rule is rule])
        off = abs(np.log(settled * rule.lr / 2.0))
        claims.at_least(f"{rule.name}: off 2/lr by a factor of, at least", float(np.exp(off)), 1.2)


def draw(run: Run, paths: Sequence[Path]) -> None:
    """``edges.png``: the sharpness in units of 2/lr, and in units of each rule's own edge."""
    with plots.figure("Five rules, each at its own edge", columns=2, width=10.4, height=4.6) as (drawn, axes):
        left, right = axes[0]
        lines(left, paths, [2.0 / path.rule.lr for path in paths])
        for i, path in enumerate(paths):
            ratio = path.rule.edge * path.rule.lr / 2.0
            left.axhline(ratio, color=plots.COLORS[i], linewidth=0.8, linestyle=":")
        left.set(
            yscale="log", ylim=(0.1, 60), ylabel="sharpness / (2 / lr)", title="Measured by 2/lr: five levels"
        )
        left.set_yticks([0.1, 0.75, 1.0, 1.5, 19.0], ["0.1", "0.75", "1", "1.5", "19"])
        left.set_yticks([], minor=True)
        lines(right, paths, [path.rule.edge for path in paths])
        right.axhline(1.0, color="black", linewidth=1.0, linestyle="--")
        right.set(ylim=(0.0, 1.6), ylabel="sharpness / own edge", title="Measured by their own edges: one")
        right.legend(loc="lower right", fontsize=8)
        plots.caption(
            drawn,
            "One network under five rules. For Adam it is the sharpness of the Hessian divided by Adam's own "
            "scales. Every rule is stable in its own sense: their solutions need not be alike, "
            "nor that large momentum, which can throw training far away, stays at its edge, too.",
        )
        run.save_figure("edges", drawn)


def lines(axes: Axes, paths: Sequence[Path], units: Sequence[float]) -> None:
    """Each run's sharpness over its steps, in its unit."""
    for i, (path, unit) in enumerate(zip(paths, units, strict=True)):
        shown = path.steps >= WARM
        axes.plot(path.steps[shown], path.sharpness[shown] / unit, color=plots.COLORS[i], linewidth=0.9,
                  marker=plots.MARKERS[i], markevery=20, markersize=4, label=path.rule.name)  # fmt: skip
    axes.set(xlabel="step")


if __name__ == "__main__":
    raise SystemExit(main())
