r"""Is noise in learning a temperature, and how long does it take to leave a valley?

Descent with normal noise of variance 2 h T a step, x <- x - h V'(x) + sqrt(2 h T) xi, settles in exp(-V / T):

    a valley       variance (T / a) / (1 - h a / 2): a finite step is hotter
    two valleys    shares by free energy: a wide valley can win against a deep one
    a barrier      rate sqrt(V''(well) |V''(top)|) / 2 pi * exp(-barrier / T), Kramers: ln(rate) falls with
                   1 / T by the barrier; at any T the mean time is an integral

and noise of batches, of covariance C, in S = M S M^T + lr^2 C with M = 1 - lr A.

Source   Hanggi, Talkner & Borkovec 1990, Rev. Mod. Phys. 62, 251, sec. II.C and VII (Kramers; the mean time);
         Mandt, Hoffman & Blei 2017, arXiv:1704.04289; Liu, Ziyin & Ueda 2021, arXiv:2012.03636, theorem 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import sqrt

import numpy as np

from dynamics.continuous.langevin import (
    anneal,
    kramers_rate,
    langevin,
    occupancy,
    sgd_covariance,
    stationary_variance,
)
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--chains", "500", "--heights", "2,3,4")  # what continuous integration runs
BARRIER, WELL, TOP = 0.25, 2.0, -1.0  # of (x^2 - 1)^2 / 4, and its curvatures
STEP = 0.01
BLOCK = 500  # steps that are run and looked through at once
OVER = 0.5  # beyond it a chain has left the left valley for good
PATIENCE = 1.5  # mean escape times that are waited
STEPS = (0.1, 0.5, 1.0, 1.5, 1.8)  # h a
TILT, TEMPERATURE = 0.05, 0.15  # of the two unequal valleys
WIDE = 1.0 / 0.35  # how much wider the right one is
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    chains: int = 1500  # of each measurement
    heights: tuple[int, ...] = (2, 3, 4, 5)  # barrier / T
    seed: int = 0


def slope(x: Array) -> Array:
    """V' = x (x^2 - 1), of two equal valleys."""
    return x * (x * x - 1.0)


def potential(x: Array) -> Array:
    """V = (x^2 - 1)^2 / 4."""
    return 0.25 * (x * x - 1.0) ** 2


def uneven(x: Array) -> Array:
    """Two valleys: the left one narrow and deep, the right one wide."""
    stretch = np.where(x < 0.0, 1.0, 1.0 / WIDE)
    return potential(stretch * x) + TILT * np.tanh(4.0 * x)


def uneven_slope(x: Array) -> Array:
    """Its derivative."""
    stretch = np.where(x < 0.0, 1.0, 1.0 / WIDE)
    return stretch * slope(stretch * x) + 4.0 * TILT / np.cosh(4.0 * x) ** 2


def escape_rate(temperature: float, chains: int, rng: np.random.Generator) -> tuple[float, int]:
    """Escapes per unit of time from the left valley, and how many were seen: escapes over time at risk."""
    mean = mean_time(temperature)
    x, at_risk, seen = np.full(chains, -1.0), 0.0, 0
    for _ in range(int(PATIENCE * mean / (STEP * BLOCK)) + 1):
        path = langevin(slope, x, STEP, temperature, BLOCK, rng=rng)[1:]
        over = path > OVER
        gone = over.any(axis=0)
        first = np.where(gone, over.argmax(axis=0) + 1, BLOCK)
        at_risk += STEP * float(first.sum())
        seen += int(gone.sum())
        x = path[-1, ~gone]
    return seen / at_risk, seen


def mean_time(temperature: float) -> float:
    """Mean time from -1 to OVER: 1 / T, the integral of e^(V(y)/T) times that of e^(-V(z)/T) for z < y."""
    grid = np.linspace(-2.0, OVER, 5001)
    width = grid[1] - grid[0]
    low = np.exp(-potential(grid) / temperature)
    below = np.concatenate([[0.0], np.cumsum((low[1:] + low[:-1]) / 2)]) * width
    inner = np.exp(potential(grid) / temperature) * below
    start = int(np.searchsorted(grid, -1.0))
    return float(np.sum((inner[start + 1 :] + inner[start:-1]) / 2) * width / temperature)


def main(arguments: Sequence[str] | None = None) -> int:
    """Heat, wait, cool, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Is noise in learning a temperature?")
    with Run("thermal_escape", config) as run:
        claims, rng = Claims(), np.random.default_rng(config.seed)
        temperatures = [BARRIER / height for height in config.heights]
        found = [escape_rate(t, config.chains, rng) for t in run.track(temperatures, "waiting for escapes")]
        rates, seen = (np.array(column) for column in zip(*found, strict=True))
        variances = [variance(ha, config.chains, rng) for ha in STEPS]
        parts = [
            partial(judge_variance, claims, config, variances, rng),
            partial(judge_escape, claims, np.array(temperatures), rates, seen),
            partial(judge_valleys, run, claims, config, variances, rng),
            partial(draw_escape, run, np.array(temperatures), rates, rng),
        ]
        for part in run.track(parts, "heating and cooling"):
            part()
        claims.conclude(run, "noise is a temperature: variance, shares and escapes are those of exp(-V / T)")
    return run.exit_code


def variance(ha: float, chains: int, rng: np.random.Generator) -> float:
    """Of chains on x^2 / 2 at T = 1, with step h a, once they have settled: over chains and over time."""
    path = langevin(lambda x: x, np.zeros(chains), ha, 1.0, 600, rng=rng)
    return float(np.mean(path[200:] ** 2))


def judge_variance(
    claims: Claims, config: Config, variances: Sequence[float], rng: np.random.Generator
) -> None:
    """The discrete variance, and that of batches."""
    ratios = np.array(variances) / np.array([stationary_variance(1.0, ha, 1.0) for ha in STEPS])
    worst = float(ratios[np.abs(ratios - 1.0).argmax()])
    claims.near("variance over (T / a) / (1 - h a / 2), the worst of five steps", worst, 1.0, 0.03)
    claims.at_least("at h a = 1.8 it is so many times T / a", variances[-1], 8.0)
    A = np.array([[2.0, 0.6], [0.6, 0.5]])
    C = np.array([[1.0, -0.4], [-0.4, 0.6]])
    lr, root = 0.5, np.linalg.cholesky(C)
    x, total = np.zeros((config.chains, 2)), np.zeros((2, 2))
    for k in range(500):
        x = x - lr * (x @ A + rng.standard_normal(x.shape) @ root.T)
        if k >= 100:
            total += x.T @ x / config.chains
    S = sgd_covariance(A, C, lr)
    off = float(np.linalg.norm(total / 400 - S) / np.linalg.norm(S))
    claims.at_most("covariance under noise of batches: relative distance from the equation's", off, 0.04)
    naive = float(np.linalg.norm(lr / 2 * np.linalg.solve(A, C) - S) / np.linalg.norm(S))
    claims.at_least("that of the continuous formula for commuting A and C, lr C / 2 A", naive, 0.15)


def judge_escape(claims: Claims, temperatures: Array, rates: Array, seen: Array) -> None:
    """Rates against the integral, and their slope in 1 / T against the barrier."""
    exact = np.array([1.0 / mean_time(t) for t in temperatures])
    for t, rate, known, count in zip(temperatures, rates, exact, seen, strict=True):
        # four standard errors of a count, and 4 % for the finite step
        claims.near(f"barrier = {BARRIER / t:.0f} T: rate over that of the integral", rate / known, 1.0,
                    4.0 / sqrt(count) + 0.04)  # fmt: skip
    line = np.polyfit(1.0 / temperatures, np.log(rates), 1)[0]
    known = np.polyfit(1.0 / temperatures, np.log(exact), 1)[0]
    claims.near("d ln(rate) / d(1/T), over that of the integral", line / known, 1.0, 0.08)
    high = np.array([BARRIER / 20.0, BARRIER / 25.0])
    limit = np.log([1.0 / mean_time(t) for t in high])
    fall = -float(np.diff(limit)[0] / np.diff(1.0 / high)[0])
    claims.near("of the integral at barrier = 20 T to 25 T: the barrier", fall, BARRIER, 0.002)  # fmt: skip
    ratio = kramers_rate(WELL, TOP, BARRIER, high[1]) * mean_time(float(high[1]))
    claims.near("there, Kramers' rate over that of the integral", ratio, 1.0, 0.05)


def judge_valleys(
    run: Run, claims: Claims, config: Config, variances: Sequence[float], rng: np.random.Generator
) -> None:
    """Two unequal valleys: who wins at equilibrium, and what cooling does."""
    start = np.where(np.arange(config.chains) % 2, -1.0, WIDE)
    settled = langevin(uneven_slope, start, 0.05, TEMPERATURE, 6000, rng=rng)
    places = settled[2000::20]
    known = float(occupancy(uneven, [-3.0, 0.0, 9.0], TEMPERATURE)[1])
    share = float(np.mean(places > 0.0))
    claims.near(f"share of the wide valley, at T = {TEMPERATURE}", share, known, 0.05)
    claims.true(
        "it is the higher one, and it wins",
        bool(known > 0.5 and uneven(np.array(2.0)) > uneven(np.array(-1.0))),
    )
    quick, slow = (cooled(settled[-1], steps, rng) for steps in (200, 100_000))
    claims.at_least("cooled to a fifth in 100,000 steps: share of the deep valley", slow, 0.6)
    claims.at_least("more than if cooled in 200 steps, by", slow - quick, 0.15)
    with plots.figure("Noise as temperature", columns=2, width=9.8, height=4.3) as (drawn, axes):
        left, right = axes[0]
        line = np.linspace(0.02, 1.9, 200)
        left.plot(line, [float(stationary_variance(1.0, ha, 1.0)) for ha in line], color=plots.COLORS[1],
                  label="(T/a) / (1 − ha/2)")  # fmt: skip
        left.plot(STEPS, variances, color="black", linestyle="none", marker="o", label="measured")
        left.axhline(1.0, color="black", linewidth=0.8, linestyle=":", label="T / a")
        left.set(xlabel="step × curvature, h a", ylabel="variance / (T / a)", title="Long steps are hotter",
                 yscale="log")  # fmt: skip
        left.legend(loc="upper left", fontsize=8)
        x = np.linspace(-2.2, 6.0, 500)
        density = np.exp(-uneven(x) / TEMPERATURE)
        density /= density.sum() * (x[1] - x[0])
        right.hist(places.ravel(), bins=120, range=(-2.2, 6.0), density=True, color="0.8", label="chains")
        right.plot(x, density, color=plots.COLORS[1], label="exp(−V / T) / Z")
        right.plot(x, uneven(x), color=plots.COLORS[0], linestyle="--", label="V")
        right.set(
            xlabel="x", ylabel="density, and V", ylim=(-0.1, 0.9), title="Two valleys: the wide one wins"
        )
        right.legend(loc="upper center", fontsize=8)
        plots.caption(
            drawn,
            "Normal noise, the same everywhere. Noise of batches depends on the place, and may even vanish "
            "at a plateau: then it is no temperature.",
        )
        run.save_figure("temperature", drawn)


def cooled(x: Array, steps: int, rng: np.random.Generator) -> float:
    """Share of the deep valley after cooling to a fifth of the temperature, in 20 parts."""
    temperatures = np.geomspace(TEMPERATURE, TEMPERATURE / 5.0, 21)
    for hot, cold in pairwise(temperatures):
        x = anneal(uneven_slope, x, 0.05, hot, cold, steps // 20, rng=rng)[-1]
    return float(np.mean(x < 0.0))


def draw_escape(run: Run, temperatures: Array, rates: Array, rng: np.random.Generator) -> None:
    """``escape.png``: the rate of escape over 1 / T, and a chain that hops."""
    with plots.figure("Out of a valley, by chance", columns=2, width=9.8, height=4.3) as (drawn, axes):
        left, right = axes[0]
        heights = np.linspace(1.5, 6.5, 60)
        left.semilogy(heights, [1.0 / mean_time(BARRIER / k) for k in heights], color=plots.COLORS[0],
                      label="the integral")  # fmt: skip
        law = [kramers_rate(WELL, TOP, BARRIER, BARRIER / k) for k in heights]
        left.semilogy(heights, law, color=plots.COLORS[1], linestyle="--", label="Kramers")
        left.semilogy(
            BARRIER / temperatures, rates, color="black", linestyle="none", marker="o", label="counted"
        )
        left.set(
            xlabel="barrier / T", ylabel="escapes per unit of time", title="The barrier is in the exponent"
        )
        left.legend(loc="lower left", fontsize=8)
        path = langevin(slope, np.array([-1.0]), 0.05, BARRIER / 2.5, 12_000, rng=rng)[:, 0]
        right.plot(0.05 * np.arange(path.size)[::4], path[::4], color=plots.COLORS[0], linewidth=0.5)
        right.set(xlabel="time", ylabel="x", title="One chain, barrier = 2.5 T")
        plots.caption(
            drawn,
            "Kramers' law is the limit of high barriers; at a few T it is a little too fast. In many "
            "dimensions saddles, widths and inertia count, too.",
        )
        run.save_figure("escape", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
