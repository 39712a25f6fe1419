r"""Where does credit go in the smallest circuits there are, and what does a larger gradient mean?

Seven circuits whose gradients are known in closed form; tanh'(x) = 1 - tanh(x)^2 and x_(l+1) = tanh(x_l):

    one unit         tanh'(x)              a node used twice    d(x x + x)/dx = 2 x + 1
    a chain of L     prod_l tanh'(x_l)     three units          a saturated one hands on nothing
    K units          the sum's gradient is K times one unit's, the mean's is one unit's: whatever the code

An eighth says what the gradient of a population does not: with noise sigma in each unit, the signal can be
read with the variance sigma^2 / (K tanh'(s)^2), from the sum as from the mean. That is what K units gain.

Source   Rumelhart, Hinton & Williams 1986, Nature 323 (credit); Dayan & Abbott 2001, "Theoretical
         neuroscience", sec. 3.3 (what a population tells); Hanin 2018, arXiv:1801.03744 (products).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt, tanh

import numpy as np

from dynamics.credit.population_node import credit, experiments, information, nested, reduce
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure
from foundations.autograd import grad
from foundations.computational_graph import Tensor

QUICK = ("--trials", "2000")  # what continuous integration runs
STARTS = (0.5, 1.5, 4.5)  # of the chains
DEPTH = 40
UNITS = 2 ** np.arange(11)  # sizes of populations, 1 to 1024
SIGNAL, NOISE = 0.5, 0.1


@dataclass(frozen=True)
class Config:
    """What the figures depend on."""

    trials: int = 20_000  # noisy readings of each population
    seed: int = 0


def slope(x: float) -> float:
    """tanh'(x)."""
    return 1.0 - tanh(x) ** 2


def product(x: float, depth: int) -> float:
    """The derivative of a chain of tanh, by its closed form: no graph is built."""
    value = 1.0
    for _ in range(depth):
        value, x = value * slope(x), tanh(x)
    return value


def chain(x: float, depth: int) -> float:
    """The derivative of a chain of tanh, by the graph."""
    leaf = Tensor([x], True)
    return float(grad(reduce(nested(leaf, depth)), [leaf])[0].data[0])


def gradient(k: int, how: str) -> float:
    """dy/ds of k equal units at the signal."""
    return float(credit([SIGNAL], np.ones((k, 1)), np.zeros(k), how).signal[0])


def decode(k: int, how: str, trials: int, seed: int) -> np.ndarray:
    """Estimates of the signal from noisy readings of k equal units, (trials,); the same noise both ways."""
    rng, scale = np.random.default_rng([seed, k]), {"sum": 1.0, "mean": 1.0 / k}[how]
    noise = NOISE * sqrt(k) * rng.standard_normal(trials)  # that of k independent units, added up
    reading = scale * (k * tanh(SIGNAL) + noise)
    return np.arctanh(np.clip(reading / (scale * k), -0.999, 0.999))


def main(arguments: Sequence[str] | None = None) -> int:
    """Differentiate, read, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Where does credit go in the smallest circuits?")
    with Run("seven_experiments", config) as run:
        claims = Claims()
        estimates = {
            (int(k), how): decode(int(k), how, config.trials, config.seed)
            for k in UNITS
            for how in ("sum", "mean")
        }
        parts = [
            partial(judge_circuits, claims),
            partial(judge_populations, claims, config, estimates),
            partial(draw_chains, run),
            partial(draw_populations, run, config, estimates),
        ]
        for part in run.track(parts, "asking the graph"):
            part()
        claims.conclude(run, "credit is a product of slopes; how much arrives says little about how well")
    return run.exit_code


def judge_circuits(claims: Claims) -> None:
    """The seven numbers, each against its closed form; 4 roundings of double precision are allowed."""
    found = experiments()
    known = (
        ("1  one unit at 0.5", "tanh", slope(0.5)),
        ("2  a chain of 8 at 0.5", "chain", product(0.5, 8)),
        ("3  the same at 4.5, saturated", "saturated chain", product(4.5, 8)),
        ("5  the sum of 4 units at 0.5", "sum", 4.0 * slope(0.5)),
        ("    ... and their mean: one unit's", "mean", slope(0.5)),
        ("6  three units at 1, 1, 1", "even", 3.0 * slope(1.0)),
        ("7  three units at 1, 1, 3", "outlier", 2.0 * slope(1.0) + slope(3.0)),
    )
    for text, name, value in known:
        claims.near(text, float(found[name]), value, 2e-15 * value)
    shared = np.ravel(found["shared"])
    for i, value in enumerate((3.0, 5.0, 7.0)):
        claims.near(f"4  a node used twice, x = {i + 1}", float(shared[i]), value, 0.0)
    off = [abs(chain(x, n) / product(x, n) - 1.0) for x in STARTS for n in range(DEPTH + 1)]
    claims.at_most("any chain of up to 40: error relative to the product", max(off), 1e-13)
    first, others = product(4.5, 1), product(tanh(4.5), 7)
    claims.near("3: the first of its 8 slopes", first, 4.935e-4, 1e-6)
    claims.at_least("3: the product of the other 7", others, 0.05)


def judge_populations(claims: Claims, config: Config, estimates: dict[tuple[int, str], np.ndarray]) -> None:
    """What K changes and what it does not."""
    one = slope(SIGNAL)
    sums = np.array([gradient(int(k), "sum") for k in UNITS]) / (UNITS * one)
    means = np.array([gradient(int(k), "mean") for k in UNITS]) / one
    claims.near("gradient of the sum, of K times one unit's: farthest from 1", farthest(sums), 1.0, 1e-12)
    claims.near("gradient of the mean, of one unit's: farthest from 1", farthest(means), 1.0, 1e-12)
    rng = np.random.default_rng(config.seed)
    W, b, s = rng.standard_normal((16, 3)), rng.standard_normal(16), rng.standard_normal(3)
    got = credit(s, W, b, "mean")
    off_by = np.abs(got.weights - np.outer(got.bias, s)).max()
    claims.at_most("credit of the weights: that of the biases times s, off by", off_by, 1e-15)
    claims.at_most(
        "credit of the signal: W^T times that of the biases, off by",
        np.abs(got.signal - got.bias @ W).max(),
        1e-15,
    )
    total = float(credit(s, W, b, "mean").responses.sum())
    claims.near("credit that the mean of 16 hands out, in all", total, 1.0, 1e-15)
    ratio = [informed(int(k), 1.0) / informed(int(k), 1.0 / k) for k in UNITS]
    claims.near("information in the sum over that in the mean: farthest from 1", farthest(ratio), 1.0, 1e-12)
    claims.near("information in 1024 units over that in one", informed(1024, 1.0) / informed(1, 1.0), 1024,
                1e-9)  # fmt: skip
    same = max(float(np.abs(estimates[int(k), "sum"] - estimates[int(k), "mean"]).max()) for k in UNITS)
    claims.at_most("an estimate from the sum, less that from the mean: largest", same, 1e-12)
    # a variance from n trials has the standard deviation sqrt(2 / n), relative: 4 of them
    for k in (16, 1024):
        found = float(np.var(estimates[k, "mean"])) * informed(k, 1.0)
        claims.near(
            f"variance of the estimate times information, K = {k}", found, 1.0, 4 * sqrt(2 / config.trials)
        )
    slopes = np.array([slope(x) for x in (0.0, 0.5, 1.0, 3.0)])
    best, plain = information(slopes, slopes, NOISE), information(slopes, np.ones(4), NOISE)
    claims.near("unequal units, read by their slopes: information", best, slopes @ slopes / NOISE**2, 1e-10)
    claims.near("... of which the plain sum has this share", plain / best,
                slopes.sum() ** 2 / (4 * slopes @ slopes), 1e-12)  # fmt: skip


def informed(k: int, weight: float) -> float:
    """What k equal units tell about the signal when each is read with this weight."""
    return information(np.full(k, slope(SIGNAL)), np.full(k, weight), NOISE)


def farthest(values: Sequence[float] | np.ndarray) -> float:
    """The one of them that is farthest from 1."""
    return float(max(values, key=lambda value: abs(value - 1.0)))


def draw_chains(run: Run) -> None:
    """``chains.png``: what arrives at the start of a chain, and what units hand on."""
    with plots.figure("Credit through tanh", columns=2, width=9.6, height=4.5) as (drawn, axes):
        left, right = axes[0]
        depths = np.arange(DEPTH + 1)
        for i, x in enumerate(STARTS):
            left.plot(
                depths, [product(x, int(n)) for n in depths], color=plots.COLORS[i], linestyle=plots.LINES[i]
            )
            left.plot(depths[::4], [chain(x, int(n)) for n in depths[::4]], color="black", linestyle="none",
                      marker=plots.MARKERS[i], markersize=5, fillstyle="none")  # fmt: skip
            left.annotate(f"x = {x}", (DEPTH, product(x, DEPTH)), xytext=(5, 0), textcoords="offset points",
                          va="center", annotation_clip=False)  # fmt: skip
        left.set(yscale="log", xlabel="tanh units in the chain", ylabel="dy/dx", title="Chains", xlim=(0, 46))
        line = np.linspace(-0.5, 5.0, 300)
        right.plot(line, 1.0 - np.tanh(line) ** 2, color=plots.BLUE)
        spots = ((0.5, "1", 0.68, 0.84), (1.0, "6, two units of 7", 1.15, 0.45),
                 (3.0, "third unit of 7", 2.2, 0.2), (4.5, "3, its first unit", 2.75, 0.1))  # fmt: skip
        for x, name, across, up in spots:
            right.plot(x, chain(x, 1), "o", color="black", fillstyle="none")
            arrow = {"arrowstyle": "-", "linewidth": 0.6} if up > slope(x) + 0.06 else None
            right.annotate(f"{name}: {slope(x):.2g}", (x, slope(x)), (across, up), arrowprops=arrow)
        right.set(xlabel="input x of a unit", ylabel="share of credit handed on, tanh′(x)",
                  title="One unit", ylim=(-0.03, 1.05))  # fmt: skip
        plots.caption(
            drawn,
            "Marks: by the graph. Lines: by the formula. A chain has one path and no weights; in a wide "
            "layer, weights can make up for what the slopes take away.",
        )
        run.save_figure("chains", drawn)


def draw_populations(run: Run, config: Config, estimates: dict[tuple[int, str], np.ndarray]) -> None:
    """``populations.png``: gradients, and the precision of a reading, over the number of units."""
    with plots.figure("K equal units: what grows", columns=2, width=9.6, height=4.5) as (drawn, axes):
        left, right = axes[0]
        one = slope(SIGNAL)
        for i, (how, predicted) in enumerate((("sum", one * UNITS), ("mean", np.full(len(UNITS), one)))):
            shape = {"linestyle": "none", "marker": plots.MARKERS[i], "fillstyle": "none"}
            left.plot(UNITS, predicted, color=plots.COLORS[i], linestyle=plots.LINES[i])
            left.plot(UNITS, [gradient(int(k), how) for k in UNITS], color="black", **shape)
            left.annotate(
                how, (UNITS[6], predicted[6]), xytext=(-6, 10), textcoords="offset points", ha="right"
            )
            variances = [np.var(estimates[int(k), how]) for k in UNITS]
            right.plot(
                UNITS, variances, color="black", markersize=5 + 6 * i, label=f"from the {how}", **shape
            )
        right.plot(
            UNITS, NOISE**2 / (UNITS * one**2), color=plots.GREEN, linestyle="-.", label="1 / information"
        )
        left.set(ylabel="gradient dy/ds", title="The gradient: a matter of the readout")
        right.set(ylabel="variance of the signal as read", title="The precision: a matter of the code")
        for axis in (left, right):
            axis.set(xscale="log", yscale="log", xlabel="units K")
        right.legend(loc="upper right")
        plots.caption(
            drawn,
            f"Noise of {NOISE} in each unit, {config.trials:,} readings. Left: marks by the graph, lines "
            "predicted. The gain in precision needs noise that is independent: what units share does not "
            "average out, whatever K.",
        )
        run.save_figure("populations", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
