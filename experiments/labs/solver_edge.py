r"""Does a solver of differential equations train at an edge of stability, too?

The gradient flow has no learning rate, and nothing to hold its sharpness S down. But no machine runs the
flow: it runs a solver, with a step h, and a solver of y' = -S y is stable up to h S = 2 (Euler, that is
gradient descent; Heun), 2.785 (Runge-Kutta of order 4), 3.307 (Dormand & Prince of order 5). So S settles at
2.785 / h under a method of order 4, whose error is said to be h^4: what a plot calls "the flow" may be the
edge of a solver. One that chooses its own step does the opposite: S rises, and the step shrinks along
3.307 / S.

Source   Hairer & Wanner 1996, "Solving ordinary differential equations II", sec. IV.2 (the intervals; chosen
         steps at the edge); Cohen et al. 2021, arXiv:2103.00065, appendix (Runge-Kutta on the flow).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dynamics.continuous.ode import odeint
from dynamics.geometry.edge_of_stability import edge
from experiments import plots
from experiments.claims import Claims
from experiments.fitting import Fit, chebyshev
from experiments.runs import Run, configure

QUICK = ("--seeds", "1", "--units", "16")  # what continuous integration runs
FIXED = (
    ("heun", 0.05),
    ("rk4", 0.1),
    ("rk4", 0.05),
    ("rk4", 0.04),
)  # method, step: a unit of time is whole steps
SETTLE, WINDOW, LIMIT = 40, 100, 400  # units of time: after the crossing, that count then, without a crossing
ADAPTIVE = 200  # units of time that the adaptive solver runs
TOLERANCE = 1e-3  # of the adaptive solver, relative
STAGES = 6  # evaluations that a step of it costs
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    seeds: int = 2
    seed: int = 0  # the first, and the one that is drawn
    units: int = 32  # in each hidden layer


@dataclass(frozen=True)
class Path:
    """The sharpness at every unit of time, and the solver's mean step before the next."""

    method: str
    sharpness: Array  # (T,)
    step: Array  # (T,)
    crossing: int  # time; -1 if there is none

    @property
    def settled(self) -> float:
        """The median of the sharpness long after the crossing, over the edge of this solver."""
        late = self.sharpness[self.crossing + SETTLE :]
        return float(np.median(late)) / edge(float(self.step[0]), kind=self.method)


def fixed(fit: Fit, method: str, h: float, seed: int) -> Path:
    """Follow "the flow" by a fixed step until long after its sharpness has met the solver's edge."""
    theta, v = fit.start(seed)
    sharpness: list[float] = []
    crossing, substeps = -1, round(1.0 / h)
    while len(sharpness) <= (LIMIT if crossing < 0 else crossing + SETTLE + WINDOW):
        found = fit.sharpness(theta, v)
        v = found.vector
        if crossing < 0 and found.value > edge(h, kind=method):
            crossing = len(sharpness)
        sharpness.append(found.value)
        theta = odeint(lambda _, y: -fit.gradient(y), theta, [0.0, 1.0], method, substeps=substeps).ys[-1]
    return Path(method, np.array(sharpness), np.full(len(sharpness), h), crossing)


def adaptive(fit: Fit, seed: int) -> Path:
    """Follow the flow by a solver that holds its error below a tolerance, and count its evaluations."""
    theta, v = fit.start(seed)
    sharpness, steps = [], []
    for _ in range(ADAPTIVE):
        found = fit.sharpness(theta, v)
        v = found.vector
        solved = odeint(
            lambda _, y: -fit.gradient(y), theta, [0.0, 1.0], rtol=TOLERANCE, atol=0.1 * TOLERANCE
        )
        theta = solved.ys[-1]
        sharpness.append(found.value)
        steps.append(STAGES / (solved.nfe - 1))
    return Path("dopri5", np.array(sharpness), np.array(steps), -1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Solve with fixed steps and with chosen ones, measure, draw, judge; 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Does a solver train at an edge of stability?")
    with Run("solver_edge", config) as run:
        fit, claims = chebyshev(config.units), Claims()
        seeds = range(config.seed, config.seed + config.seeds)
        plan = [(method, h, seed) for seed in seeds for method, h in (*FIXED, ("dopri5", 0.0))]
        paths = [
            fixed(fit, method, h, seed) if h else adaptive(fit, seed)
            for method, h, seed in run.track(plan, "solving")
        ]
        judge(claims, paths)
        draw(run, paths[: len(FIXED)], paths[len(FIXED)])
        claims.conclude(run, "fixed steps hold the sharpness at their own edge, chosen steps follow it")
    return run.exit_code


def judge(claims: Claims, paths: Sequence[Path]) -> None:
    """The claims of the page: means over the starts."""
    held = [path for path in paths if path.method != "dopri5"]
    claims.true("every fixed step meets its edge", all(path.crossing >= 0 for path in held))
    settled = {}
    for method, h in FIXED:
        ratios = [p.settled for p in held if p.method == method and p.step[0] == h]
        settled[method, h] = float(np.mean(ratios)) * edge(h, kind=method)
        interval = f"{edge(1.0, kind=method):.4g} / h"
        tolerance = 0.02 if method == "rk4" else 0.05
        claims.near(f"{method}, h = {h}: sharpness / ({interval}), median", np.mean(ratios), 1.0, tolerance)
    half = settled["rk4", 0.05] / settled["rk4", 0.1]
    claims.near("rk4: half the step, twice the sharpness: ratio", half, 2.0, 0.03)
    free = [path for path in paths if path.method == "dopri5"]
    late = slice(ADAPTIVE * 2 // 3, None)
    used = [float(np.median(p.sharpness[late] * p.step[late])) for p in free]
    limit = edge(1.0, kind="dopri5")
    claims.near(
        "chosen steps, last third: step x sharpness, median", np.mean(used), 0.95 * limit, 0.07 * limit
    )
    longest = max(float((p.sharpness[late] * p.step[late]).max()) for p in free)
    claims.at_most("and at most, over the interval 3.307", longest / limit, 1.01)
    risen = float(np.mean([p.sharpness[-1] for p in free])) / settled["rk4", 0.04]
    claims.at_least("the flow's sharpness over that at rk4's smallest step", risen, 1.2)


def draw(run: Run, held: Sequence[Path], free: Path) -> None:
    """``edges.png``: sharpness over time under five solvers, and the steps that the adaptive one chooses."""
    title = "A solver of the flow has an edge of its own"
    with plots.figure(title, columns=2, width=10.4, height=4.6) as (drawn, axes):
        left, right = axes[0]
        for i, path in enumerate(held):
            h = path.step[0]
            style = {"color": plots.COLORS[i], "marker": plots.MARKERS[i], "markevery": 15, "markersize": 4}
            left.plot(path.sharpness, linewidth=1.2, label=f"{path.method}, h = {h:g}", **style)
            interval = edge(1.0, kind=path.method)
            left.axhline(interval / h, color=plots.COLORS[i], linestyle="--", linewidth=0.9)
            left.annotate(f"{interval:.4g}/h", (1.0, interval / h), xycoords=("axes fraction", "data"),
                          xytext=(3, 0), textcoords="offset points", va="center", fontsize=8)  # fmt: skip
        left.plot(free.sharpness, color="black", linewidth=1.0, linestyle=":", label="chosen steps")
        left.set(xlabel="time", ylabel="sharpness S", xlim=(0, ADAPTIVE), ylim=(0, 150), title="Sharpness")
        left.legend(loc="upper left", fontsize=8)
        right.loglog(free.sharpness, free.step, color=plots.COLORS[4], linestyle="none", marker=".",
                     label="mean step in a unit of time")  # fmt: skip
        line = np.array([free.sharpness.min(), free.sharpness.max()])
        right.loglog(line, edge(1.0, kind="dopri5") / line, color="black", linestyle="--", label="3.307 / S")
        right.set(xlabel="sharpness S", ylabel="step h", title="The steps that dopri5 chooses")
        right.legend(loc="lower left", fontsize=8)
        plots.caption(
            drawn,
            "Dashed: where each solver becomes unstable. Below its edge each follows the flow (dotted), at "
            "it none does, however high the order. Halving h doubles the level. It does not say that the "
            "exact flow sharpens for ever: that ends where the points are fitted.",
        )
        run.save_figure("edges", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
