r"""What does gradient descent do between "it converges" and "it diverges"?

On V = (x^2 - 1)^2 / 4 a step is x -> (1 + lr) x - lr x^3, and everything about it is known or can be counted:

    lr < 1                     converges to a minimum; the multiplier there is 1 - 2 lr
    1 < lr < sqrt(5) - 1       oscillates for ever between two points, whose multiplier is 9 - 2 (1 + lr)^2
    above                      4, 8, 16 ... points, then chaos: a Lyapunov exponent above 0, at about 1.30
    lr > 2                     escapes

Source   Strogatz 2015, "Nonlinear dynamics and chaos", sec. 10.2-10.6; Van den Doel & Ascher 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log, sqrt

import numpy as np

from dynamics.discrete.one_dim_maps import bifurcation, cobweb, gd_map, lyapunov, orbit, period
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--rates", "200", "--kept", "60")  # what continuous integration runs
SHOWN = (0.8, 1.1, 1.25, 1.5)  # learning rates with a cobweb each
SECOND = sqrt(5.0) - 1.0  # where the 2-cycle loses its stability


@dataclass(frozen=True)
class Config:
    """What the figures depend on."""

    rates: int = 900  # learning rates from 0.6 to 2
    kept: int = 200  # points of each orbit, after its transient
    start: float = 0.3


def gradient(x: np.ndarray) -> np.ndarray:
    """V' = x (x^2 - 1)."""
    return x * (x * x - 1.0)


def slope(lr: float):
    """F'(x) = 1 + lr - 3 lr x^2, of the map at this learning rate."""
    return lambda x: 1.0 + lr - 3.0 * lr * x * x


def exponent(lr: float, start: float) -> float:
    """The Lyapunov exponent at a learning rate."""
    return lyapunov(gd_map(gradient, lr), slope(lr), start)


def main(arguments: Sequence[str] | None = None) -> int:
    """Iterate, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "What lies between convergence and divergence?")
    with Run("route_to_chaos", config) as run:
        claims = Claims()
        for part in run.track([partial(judge, claims, config), partial(draw, run, config)], "iterating"):
            part()
        claims.conclude(run, "to overshoot, to oscillate, to be chaotic and to diverge are four things")
    return run.exit_code


def judge(claims: Claims, config: Config) -> None:
    """The claims of the page, measured."""
    for lr in (0.3, 0.7, 0.95):
        known = log(abs(1.0 - 2.0 * lr))
        claims.near(
            f"errors shrink by |1 - 2 lr| a step at lr = {lr}", exponent(lr, config.start), known, 1e-9
        )
    for lr, cycle in ((0.9, 1), (1.01, 2), (SECOND - 0.01, 2), (SECOND + 0.01, 4), (1.29, 8)):
        found = period(gd_map(gradient, lr), config.start)
        claims.near(f"the orbit repeats after {cycle} at lr = {lr:.4g}", found or np.nan, cycle, 0.0)
    claims.near("the first doubling is at lr = 1", first_above(0.9, 1.1, 1, config), 1.0, 1e-3)
    claims.near("the second is at sqrt(5) - 1", first_above(1.1, 1.249, 2, config), SECOND, 1e-3)
    claims.at_most("no chaos yet at lr = 1.29", exponent(1.29, config.start), 0.0)
    claims.at_least("chaos at lr = 1.31: neighbours part", exponent(1.31, config.start), 0.01, "nats a step")
    path = orbit(gd_map(gradient, 1.99), config.start, 2000)
    claims.at_most("bounded still at lr = 1.99", float(np.abs(path).max()), 2.0)
    try:
        far = float(np.abs(orbit(gd_map(gradient, 2.1), config.start, 2000)).max())
    except OverflowError:
        far = np.inf
    claims.true("it escapes at lr = 2.1", not far < 1e6)


def first_above(low: float, high: float, cycle: int, config: Config) -> float:
    """The learning rate at which the period becomes larger than ``cycle``, by bisection to 1e-4.

    Close to a doubling an orbit settles slowly: it is followed from beside the cycle for long.
    """
    while high - low > 1e-4:
        middle = 0.5 * (low + high)
        path = orbit(gd_map(gradient, middle), config.start, 40_000)
        if abs(path[-1] - path[-1 - cycle]) < 1e-6:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def draw(run: Run, config: Config) -> None:
    """``diagram.png``: where orbits end up and how fast neighbours part; ``cobwebs.png``: four of them."""
    rates = np.linspace(0.6, 1.999, config.rates)
    path = orbit(gd_map(gradient, rates), np.full(config.rates, config.start), 3000)[
        1000:
    ]  # all side by side
    exponents = np.log(np.abs(slope(rates)(path))).mean(axis=0)
    points = bifurcation(gradient, rates, config.start, keep=config.kept)
    with plots.figure("Gradient descent on (x² − 1)² / 4", rows=2, width=7.6, height=6.4) as (drawn, axes):
        above, below = axes[:, 0]
        above.plot(np.repeat(rates, points.shape[1]), points.ravel(), ",", color="black", alpha=0.4)
        above.set(ylabel="x, long after the start", xlim=(0.6, 2.0))
        below.plot(rates, exponents, color=plots.COLORS[0], linewidth=0.9)
        stable = rates[rates < 1.0]
        predicted = np.log(np.abs(1.0 - 2.0 * stable))
        below.plot(stable, predicted, color=plots.COLORS[1], linestyle="--", linewidth=1.6)
        below.annotate("ln |1 − 2 lr|, predicted", (0.62, 0.1), fontsize=8)
        plots.level(below, 0.0, "")
        below.set(
            xlabel="learning rate",
            ylabel="Lyapunov exponent (nats a step)",
            xlim=(0.6, 2.0),
            ylim=(-2.5, 1.2),
        )
        for axis in (above, below):
            for lr in (1.0, SECOND, 2.0):
                axis.axvline(lr, color="0.5", linewidth=0.7, linestyle=":")
        plots.caption(
            drawn,
            "Dotted: lr = 1 and √5 − 1, where the minimum and then its 2-cycle lose their stability, and 2. "
            "It does not say that networks behave so: one dimension has one curvature.",
        )
        run.save_figure("diagram", drawn)
    with plots.figure("The same start, four learning rates", columns=4, width=10.4, height=3.0) as (
        drawn,
        axes,
    ):
        line = np.linspace(-1.5, 1.5, 400)
        for axis, lr in zip(axes[0], SHOWN, strict=True):
            web = cobweb(gd_map(gradient, lr), config.start, 60)
            axis.plot(line, gd_map(gradient, lr)(line), color=plots.COLORS[0])
            axis.plot(line, line, color="0.6", linewidth=0.8)
            axis.plot(*web.T, color=plots.COLORS[1], linewidth=0.6)
            axis.set(title=f"lr = {lr}", xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xlabel="x", aspect="equal")
        axes[0, 0].set_ylabel("next x")
        run.save_figure("cobwebs", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
