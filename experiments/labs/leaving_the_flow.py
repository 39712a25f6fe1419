r"""When does gradient descent stop following the gradient flow, and what does it follow then?

Up to the edge descent stays beside the flow, at a distance that is proportional to the learning rate. When
the sharpness of the flow passes 2 / lr the two part: the flow goes on to sharper places, in which descent
cannot stay. From then on descent swings about another flow, the central flow: that of the loss with as much
swing added as holds the sharpness at 2 / lr,

    dw/dt = -(g + 1/2 sigma^2 grad S)        sigma^2 = 2 max(0, -<g, grad S>) / |grad S|^2 at S = 2 / lr

Source   Cohen et al. 2021, arXiv:2103.00065, sec. 3.1 (distance to the flow); Cohen et al. 2024,
         "Understanding optimization in deep learning with central flows", arXiv:2410.24206, sec. 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.continuous.gradient_flow import descend, flow
from dynamics.geometry.central_flow import center, central_flow, mean_loss, swing
from dynamics.geometry.edge_of_stability import edge
from experiments import plots
from experiments.claims import Claims
from experiments.fitting import Fit, chebyshev
from experiments.runs import Run, configure

QUICK = ("--seeds", "1")  # what continuous integration runs
LR = 0.1
HORIZON = 80  # units of time after the crossing
LIMIT = 150  # units of time until there must have been one
NEARER = 0.5  # learning rate of the second descent, over that of the first
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    seeds: int = 3
    seed: int = 0  # the first, and the one that is drawn
    units: int = 16  # in each hidden layer


@dataclass(frozen=True)
class Paths:
    """The flow at every unit of time, and at every step two descents and the central flow of the first."""

    fit: Fit
    crossing: int  # time at which the flow's sharpness passes 2 / LR
    flow: Array  # (T + 1, P)
    descent: Array  # (T / LR + 1, P)
    slower: Array  # (T / (LR NEARER) + 1, P)
    central: Array  # (T / LR + 1, P)
    central_sharpness: Array
    variance: Array

    def apart(self, path: Array, lr: float) -> Array:
        """Distance of a descent from the flow at every unit of time."""
        return np.linalg.norm(path[:: round(1.0 / lr)] - self.flow, axis=1)

    @property
    def late(self) -> slice:
        """Steps of descent after the crossing, of those that have a center."""
        return slice(round(self.crossing / LR), None)

    @property
    def to_central(self) -> Array:
        """Distance of descent's center from the central flow, at steps 1, 2, ..."""
        return np.linalg.norm(center(self.descent) - self.central[1:-1], axis=1)


def follow(fit: Fit, seed: int) -> Paths:
    """Run all of them from one start."""
    theta, v = fit.start(seed)
    found = fit.sharpness(theta, v)
    path, end = [theta], LIMIT
    crossing = -1
    while len(path) <= end:
        path.append(flow(fit.gradient, path[-1], [0.0, 1.0], rtol=1e-6, atol=1e-8)[-1])
        found = fit.sharpness(path[-1], found.vector)
        if crossing < 0 and found.value > edge(LR):
            crossing = len(path) - 1
            end = crossing + HORIZON
    steps = round((len(path) - 1) / LR)
    rng = np.random.default_rng(seed)
    central = central_flow(fit.gradient, fit.product, theta, LR, steps, rng=rng, tol=1e-4)
    return Paths(
        fit,
        crossing,
        np.array(path),
        descend(fit.gradient, theta, LR, steps),
        descend(fit.gradient, theta, LR * NEARER, round(steps / NEARER)),
        central.path,
        central.sharpness,
        central.variance,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Follow all paths, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "When does gradient descent leave the gradient flow?")
    with Run("leaving_the_flow", config) as run:
        fit, claims = chebyshev(config.units), Claims()
        seeds = range(config.seed, config.seed + config.seeds)
        all_paths = [follow(fit, seed) for seed in run.track(seeds, "following")]
        judge(claims, all_paths)
        draw(run, all_paths[0])
        claims.conclude(
            run, "descent leaves the flow at the edge, and swings about the central flow from there"
        )
    return run.exit_code


def judge(claims: Claims, all_paths: Sequence[Paths]) -> None:
    """The claims of the page: of several starts the worst counts, where no mean is named."""
    claims.true("every flow passes 2 / lr", all(p.crossing > 0 for p in all_paths))
    before = [p.apart(p.descent, LR)[: p.crossing + 1] for p in all_paths]
    halves = [p.apart(p.slower, LR * NEARER)[: p.crossing + 1] for p in all_paths]
    ratios = [float(np.median(far[1:] / near[1:])) for far, near in zip(before, halves, strict=True)]
    claims.near(
        "before: twice the learning rate, distance to the flow times, median", worst(ratios, 2.0), 2.0, 0.15
    )
    afterwards = [float(p.apart(p.descent, LR)[p.crossing :].max()) for p in all_paths]
    grown = min(after / far[-1] for after, far in zip(afterwards, before, strict=True))
    claims.at_least(
        f"largest distance in the {HORIZON} units of time after the crossing, over that at it", grown, 8.0
    )
    beyond = min(p.fit.sharpness(p.flow[-1], np.ones(p.flow.shape[1]), 40).value for p in all_paths)
    claims.at_least("sharpness of the flow at the end, over 2 / lr", beyond / edge(LR), 1.4)
    # from the crossing on
    central = np.mean([np.median(p.to_central[p.late]) for p in all_paths])
    plain = np.mean([np.median(p.apart(p.descent, LR)[p.crossing :]) for p in all_paths])
    claims.at_most("distance to the central flow over that to the flow, medians", central / plain, 0.35)
    held = max(float(p.central_sharpness.max()) for p in all_paths)
    claims.at_most("sharpness of the central flow over 2 / lr, at most", held / edge(LR), 1.01)
    swings = np.mean([swing(p.descent)[p.late].mean() for p in all_paths])
    predicted = np.mean([p.variance[1:-1][p.late].mean() for p in all_paths])
    claims.near("mean square of the swing over the sigma^2 predicted", swings / predicted, 1.0, 0.25)
    losses = np.mean([mean_of_descent(p) for p in all_paths])
    expected = np.mean([mean_of_central(p) for p in all_paths])
    claims.near("mean loss from the crossing on over the one predicted", losses / expected, 1.0, 0.15)


def mean_of_descent(paths: Paths) -> float:
    """The loss of descent from the crossing on, swings and all."""
    return float(np.mean([paths.fit.loss(theta) for theta in paths.descent[1:-1][paths.late]]))


def mean_of_central(paths: Paths) -> float:
    """What the central flow says it is: its own loss, and S sigma^2 / 2 for the swings."""
    late = paths.late
    own = np.array([paths.fit.loss(theta) for theta in paths.central[1:-1][late]])
    return float(mean_loss(own, paths.central_sharpness[1:-1][late], paths.variance[1:-1][late]).mean())


def worst(values: Sequence[float], expected: float) -> float:
    """The one farthest from what is expected."""
    return max(values, key=lambda value: abs(value - expected))


def draw(run: Run, paths: Paths) -> None:
    """``leaving.png``: sharpness of descent, flow and central flow, and the distances between them."""
    title = "Descent leaves the gradient flow at the edge, and follows another"
    with plots.figure(title, columns=2, width=10.4, height=4.6) as (drawn, axes):
        left, right = axes[0]
        v, units = np.ones(paths.flow.shape[1]), paths.fit.spec.sizes[1]
        times = np.arange(len(paths.flow))
        every = round(1.0 / LR)
        left.plot(
            times,
            sharpnesses(paths, paths.flow, v),
            color=plots.COLORS[0],
            linestyle="--",
            label="flow",
        )
        style = {"color": "black", "marker": "o", "markersize": 3, "linewidth": 0.6}
        walked = sharpnesses(paths, paths.descent[::every], v)
        left.plot(times, walked, label=f"descent, lr = {LR}", **style)
        left.plot(times, paths.central_sharpness[::every], color=plots.COLORS[1], label="central flow")
        left.axhline(edge(LR), color="black", linewidth=0.8, linestyle=":")
        left.annotate("2/lr", (0.0, edge(LR)), xytext=(2, 3), textcoords="offset points")
        left.set(xlabel="time = steps · lr", ylabel="sharpness S", title="Sharpness")
        left.legend(loc="upper left", fontsize=8)
        far, near = paths.apart(paths.descent, LR), paths.apart(paths.slower, LR * NEARER)
        right.semilogy(
            times[1:], far[1:], color=plots.COLORS[0], linestyle="--", label=f"to the flow, lr = {LR}"
        )
        right.semilogy(times[1:], near[1:], color=plots.COLORS[2], linestyle="-.",
                       label=f"to the flow, lr = {LR * NEARER}")  # fmt: skip
        ahead = paths.to_central[every - 1 :: every]
        right.semilogy(
            times[1 : len(ahead) + 1],
            ahead,
            color=plots.COLORS[1],
            label="of the center, to the central flow",
        )
        right.axvline(paths.crossing, color="black", linewidth=0.8, linestyle=":")
        right.annotate("S of the flow = 2/lr", (paths.crossing, 0.03), xycoords=("data", "axes fraction"),
                       xytext=(-4, 0), textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
        right.set(
            xlabel="time = steps · lr", ylabel="distance between the weights", title="Distance at equal times"
        )
        right.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            f"A tanh network 1-{units}-{units}-1 on 20 points of a cubic. The central flow here is that of "
            "one unstable direction; where a second one joins, it ends. It predicts averages over time, not "
            "the single swings.",
        )
        run.save_figure("leaving", drawn)


def sharpnesses(paths: Paths, thetas: Array, v: Array) -> list[float]:
    """Of each of the weights in turn."""
    values = []
    for theta in thetas:
        found = paths.fit.sharpness(theta, v)
        v = found.vector
        values.append(found.value)
    return values


if __name__ == "__main__":
    raise SystemExit(main())
