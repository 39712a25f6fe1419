r"""How long a step may an ODE solver take: what does its order say, and what does its stability region say?

On y' = a y a step of length h multiplies y by R(h a), a polynomial or a fraction that belongs to the solver:

    order p      R(z) - exp(z) = c z^(p+1) + ...      error at a fixed time T on y' = i y:  |c| T h^p
    stability    |R(h a)| <= 1 for every eigenvalue a of the slope: the region in the plane of z = h a
    on the real axis, from 0 to -x:   x = 2 (Euler, midpoint, Heun), 2.785294 (RK4), 3.306568 (Dormand-Prince)

Gradient descent is Euler's method on the gradient flow, a = -curvature: its edge 2 / curvature is this 2. A
solver that chooses its steps by the error alone, and knows nothing of stability, ends up on its edge as well.

Source   Hairer, Norsett & Wanner 1993, "Solving ordinary differential equations I", sec. II.1, table II.5.2;
         Hairer & Wanner 1996, part II, sec. IV.2 (regions, steps at the edge), IV.3 (R of implicit methods).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial

from dynamics.continuous.ode import METHODS, observed_order, odeint, rk_step, stability_function
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--cells", "20", "--systems", "2", "--stiff", "300")  # what continuous integration runs
Array = np.ndarray
NAMES = {
    "euler": "Euler", "midpoint": "midpoint", "heun": "Heun", "rk4": "RK4", "rk4_38": "RK4, 3/8 rule",
    "dopri5": "Dormand–Prince", "backward_euler": "backward Euler", "trapezoid": "trapezoid",
}  # fmt: skip
EXPLICIT = ("euler", "midpoint", "heun", "rk4", "rk4_38", "dopri5")
SHOWN = ("euler", "heun", "rk4", "dopri5", "backward_euler", "trapezoid")
DOPRI5 = (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 600)  # its R: exp up to z^5, and z^6 / 600
INTERVALS = {
    "euler": 2.0,
    "midpoint": 2.0,
    "heun": 2.0,
    "rk4": 2.785294,
    "rk4_38": 2.785294,
    "dopri5": 3.306568,
}
CONSTANTS = {
    "euler": 1 / 2, "midpoint": 1 / 6, "heun": 1 / 6, "rk4": 1 / 120, "rk4_38": 1 / 120,
    "backward_euler": 1 / 2, "trapezoid": 1 / 12,
}  # |c|  # fmt: skip
STEPS = np.array([40, 80, 160, 320])  # in one turn of y' = i y
DOUBLINGS = 20  # a million steps, 2^20
LOOSE, TIGHT = 1e-3, 1e-6  # tolerances of the adaptive solver
RATE = 1000  # of the stiff equation that is looked at closely


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    cells: int = 120  # of the plane, along each side
    systems: int = 12  # random linear systems
    stiff: tuple[int, ...] = (1, 3, 10, 30, 100, 300, 1000, 3000)  # rates of the stiff equation
    seed: int = 0


def turn(t: float, y: Array) -> Array:
    """y' = i y as two numbers: a spring, or descent on x and ascent on y of x y."""
    return np.stack([-y[1], y[0]])


def order_of(method: str) -> tuple[Array, float]:
    """Errors after one turn of a spring for four steps, and the order on y' = -2 t y^2, where t matters."""
    errors = []
    for n in STEPS:
        end = odeint(turn, [1.0, 0.0], [0.0, 2 * pi], method, substeps=int(n)).ys[-1]
        errors.append(float(np.linalg.norm(end - [1.0, 0.0])))
    found, n = [], (160, 320)
    for steps in n:
        end = odeint(lambda t, y: -2 * t * y * y, [1.0], [0.0, 2.0], method, substeps=steps).ys[-1, 0]
        found.append(abs(end - 0.2))  # 1 / (1 + t^2)
    return np.array(errors), observed_order(2.0 / np.array(n), found)


def survives(method: str, A: Array, h: float) -> bool:
    """Whether a million steps of y' = A y stay within a million times the start, from any start.

    One step of the solver from the unit vectors gives the matrix of a step; its powers do the rest.
    """
    matrix, _ = rk_step(lambda t, Y: A @ Y, 0.0, np.eye(len(A)), h, METHODS[method])
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for _ in range(DOUBLINGS):
            matrix = matrix @ matrix
    return bool(np.all(np.abs(matrix) < 1e6))  # NaN is not


def found_edge(method: str, A: Array, high: float) -> float:
    """The longest step that survives, by bisection to 1e-7."""
    low = 0.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if survives(method, A, middle) else (low, middle)
    return low


def known_edge(method: str, eigenvalues: Array) -> float:
    """The longest step up to which |R(h a)| <= 1 for all of them, on a grid of 1e-3 and by bisection."""

    def outside(h: Array) -> Array:
        return np.abs(stability_function(method, np.multiply.outer(h, eigenvalues))).max(axis=-1) > 1 + 1e-10

    grid = np.arange(1e-3, 10.0, 1e-3)
    high = float(grid[np.argmax(outside(grid))])
    low = high - 1e-3
    while high - low > 1e-10:
        middle = (low + high) / 2
        low, high = (low, middle) if outside(np.array([middle]))[0] else (middle, high)
    return low


def random_system(rng: np.random.Generator) -> Array:
    """A 4 x 4 matrix, not symmetric, all of whose modes decay, the slowest at a rate of 0.3."""
    A = rng.standard_normal((4, 4))
    return A - (np.linalg.eigvals(A).real.max() + 0.3) * np.eye(4)


def plane(cells: int) -> tuple[Array, Array]:
    """The two sides of the part of the plane that is looked at."""
    return np.linspace(-4.6, 3.0, cells), np.linspace(-4.2, 4.2, cells)


def sizes(method: str, cells: int) -> Array:
    """|y| after some steps of y' = z y, h = 1, from 1, to the power 1 / steps: measured, (cells, cells).

    An implicit solver solves equations in every step: it is asked cell by cell, and for one step only.
    """
    x, y = plane(cells)
    a, b = (side.ravel() for side in np.meshgrid(x, y))
    if method in EXPLICIT:
        state, steps = np.stack([np.ones_like(a), np.zeros_like(a)]), 40
        with np.errstate(over="ignore"):
            for _ in range(steps):
                state, _ = rk_step(partial(spiral, a, b), 0.0, state, 1.0, METHODS[method])
            return np.hypot(*state).reshape(cells, cells) ** (1 / steps)
    ends = [np.hypot(*rk_step(partial(spiral, p, q), 0.0, np.array([1.0, 0.0]), 1.0, METHODS[method])[0])
            for p, q in zip(a.tolist(), b.tolist(), strict=True)]  # fmt: skip
    return np.array(ends).reshape(cells, cells)


def spiral(a: Array | float, b: Array | float, t: float, s: Array) -> Array:
    """y' = (a + i b) y as two rows, real and imaginary part."""
    return np.array([a * s[0] - b * s[1], b * s[0] + a * s[1]])


class Steps(NamedTuple):
    """What an adaptive run did: the beginning and length of each accepted step, and the calls of f in all."""

    t: Array
    h: Array
    calls: int


def follow(rate: float, tolerance: float) -> Steps:
    """Let Dormand-Prince follow y' = -rate (y - cos t), descent after a minimum that moves, up to t = 10.

    A trial calls f six times, first at 1/5 and last at the end of the step. It was accepted if the next
    begins there.
    """
    called: list[float] = []

    def slope(t: float, y: Array) -> Array:
        called.append(t)
        return -rate * (y - np.cos(t))

    odeint(slope, [1.0], [0.0, 10.0], rtol=tolerance, atol=tolerance)
    trials = np.array(called[1:]).reshape(-1, 6)
    h = (trials[:, -1] - trials[:, 0]) / 0.8
    start = trials[:, -1] - h
    accepted = np.append(np.abs(start[1:] - trials[:-1, -1]) < 0.1 * h[1:], True)
    return Steps(start[accepted], h[accepted], len(called))


def main(arguments: Sequence[str] | None = None) -> int:
    """Solve, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "How long a step may a solver take?")
    with Run("solver_stability", config) as run:
        claims = Claims()
        parts = [
            partial(judge_orders, claims, run),
            partial(judge_edges, claims, config),
            partial(judge_regions, claims, run, config),
            partial(judge_stiff, claims, run, config),
        ]
        for part in run.track(parts, "solving"):
            part()
        claims.conclude(run, "order says how accurate a short step is, the region how long a step may be")
    return run.exit_code


def judge_orders(claims: Claims, run: Run) -> None:
    """Slopes, and the heights that R alone predicts."""
    errors = {}
    for method, constant in CONSTANTS.items():
        errors[method], order = order_of(method)
        p = METHODS[method].order
        claims.near(f"{NAMES[method]}: order on y' = -2 t y^2", order, p, 0.02)
        predicted = constant * 2 * pi * (2 * pi / STEPS[-1]) ** p
        ratio = errors[method][-1] / predicted
        claims.near(f"{NAMES[method]}: error after a turn of 320 steps / predicted", ratio, 1.0, 0.04)
    draw_orders(run, errors)


def judge_edges(claims: Claims, config: Config) -> None:
    """Where a million steps explode: on the real axis, the imaginary one, and for random systems."""
    rk4 = Polynomial([24.0, -12.0, 4.0, -1.0]).roots()  # R(-x) = 1 is x (24 - 12 x + 4 x^2 - x^3) = 0
    R = Polynomial(DOPRI5)(Polynomial([0.0, -1.0]))
    fifth = (R - 1.0).roots()
    claims.near("RK4: real root of x^3 - 4 x^2 + 12 x - 24", real_root(rk4), INTERVALS["rk4"], 5e-7)
    claims.near(
        "Dormand-Prince: where its polynomial is 1 again", real_root(fifth), INTERVALS["dopri5"], 5e-7
    )
    for method in EXPLICIT:
        edge = found_edge(method, np.array([[-1.0]]), 8.0)
        claims.near(f"{NAMES[method]}: longest step times decay, found", edge, INTERVALS[method], 1e-4)
    spring = np.array([[0.0, -1.0], [1.0, 0.0]])
    claims.near(
        "RK4: longest step times frequency of a spring, found",
        found_edge("rk4", spring, 8.0),
        sqrt(8.0),
        1e-4,
    )
    worst = 0.0
    for A in systems(config):
        for method in ("euler", "heun", "rk4", "dopri5"):
            known = known_edge(method, np.linalg.eigvals(A))
            worst = max(worst, abs(found_edge(method, A, 2.0 * known) / known - 1.0))
    # worst of 192 pairs of solver and system, other seeds: 4e-4; of a million steps and bisection to 1e-7
    claims.at_most("random systems: worst relative error of the edge that the regions predict", worst, 1e-3)
    calm = [survives(method, A, 1e3) for A in systems(config) for method in ("backward_euler", "trapezoid")]
    claims.true("random systems: the implicit solvers survive a step of 1000", all(calm))
    x, y = descent_ascent(0.1, 100)
    claims.near(
        "descent on x, ascent on y of x y: growth in 100 steps of 0.1", np.hypot(x, y), 1.01**50, 1e-12
    )


def real_root(roots: Array) -> float:
    """The largest root that is real."""
    return float(max(r.real for r in roots if abs(r.imag) < 1e-9))


def systems(config: Config) -> list[Array]:
    """The random systems of a run."""
    rng = np.random.default_rng(config.seed)
    return [random_system(rng) for _ in range(config.systems)]


def descent_ascent(lr: float, steps: int) -> tuple[float, float]:
    """Both players of x y step at once, from (1, 0)."""
    x, y = 1.0, 0.0
    for _ in range(steps):
        x, y = x - lr * y, y + lr * x
    return x, y


def judge_regions(claims: Claims, run: Run, config: Config) -> None:
    """The regions, cell by cell."""
    found = {
        method: sizes(method, config.cells if method in EXPLICIT else min(config.cells, 40))
        for method in SHOWN
    }
    for method, size in found.items():
        x, y = plane(len(size))
        known = np.abs(stability_function(method, x + 1j * y[:, None]))
        clear = np.abs(known - 1.0) > 0.03
        wrong = float(np.sum(((size > 1.0) != (known > 1.0))[clear]))
        claims.near(
            f"{NAMES[method]}: cells called stable or not wrongly, of those off the line", wrong, 0.0, 0.0
        )
    draw_regions(run, found)


def judge_stiff(claims: Claims, run: Run, config: Config) -> None:
    """A minimum that moves slowly in a valley that is steep: the step is stability's, not accuracy's."""
    rates = sorted({*config.stiff, RATE})
    runs = {
        (rate, tolerance): follow(float(rate), tolerance) for rate in rates for tolerance in (LOOSE, TIGHT)
    }
    steps = runs[RATE, LOOSE]
    z = RATE * steps.h[steps.t > 1.0]
    edge = INTERVALS["dopri5"]
    claims.near("Dormand-Prince, rate 1000: mean step it chooses, times the rate", z.mean(), edge, 0.02)
    growth = float(np.log(np.abs(stability_function("dopri5", -z))).mean())
    claims.near("the same: mean growth a step, ln |R|, of an error", growth, 0.0, 0.002, "nats")
    claims.at_least("the same: part of the steps beyond the edge", float((z > edge).mean()), 0.3)
    h = 0.1  # step x rate = 100: far beyond the edge of any explicit solver
    times = h * np.arange(101)
    implicit = {m: odeint(lambda t, y: -RATE * (y - np.cos(t)), [0.0], times, m).ys[:, 0]
                for m in ("backward_euler", "trapezoid")}  # fmt: skip
    truth = (1e6 * np.cos(times) + 1e3 * np.sin(times)) / (1e6 + 1)  # after the transient, exp(-1000 t)
    off = {m: y - truth for m, y in implicit.items()}
    error = float(np.abs(off["backward_euler"][10:]).max()) / (h / (2 * RATE))
    claims.near(
        "backward Euler, step x rate = 100: error after t = 1, in units of h |y''| / 2 rate", error, 1.0, 0.01
    )
    rings = float(np.mean(off["trapezoid"][2:20] / off["trapezoid"][1:19]))
    claims.near("trapezoid, the same: an error is multiplied in a step by", rings, -49.0 / 51.0, 0.005)
    draw_stiff(run, runs, times, implicit)


def draw_orders(run: Run, errors: dict[str, Array]) -> None:
    """``orders.png``: the error after one turn of a spring over the step, and over the calls of the slope."""
    title = "Order: the error after one turn of a spring"
    with plots.figure(title, columns=2, width=9.8, height=4.7) as (drawn, axes):
        left, right = axes[0]
        h = 2 * pi / STEPS
        line = np.geomspace(h[-1], h[0], 20)
        shown = ("euler", "trapezoid", "heun", "rk4")
        for i, method in enumerate(shown):
            p = METHODS[method].order
            left.loglog(
                line, CONSTANTS[method] * 2 * pi * line**p, color=plots.COLORS[i], linestyle=plots.LINES[i]
            )
            left.loglog(h, errors[method], color="black", linestyle="none", marker=plots.MARKERS[i],
                        fillstyle="none", label=f"{NAMES[method]}, h^{p}")  # fmt: skip
            stages = sum(1 for c in METHODS[method].c)
            if method in EXPLICIT:
                right.loglog(stages * STEPS, errors[method], color=plots.COLORS[i], linestyle=plots.LINES[i],
                             marker=plots.MARKERS[i], fillstyle="none", label=NAMES[method])  # fmt: skip
        calls, found = [], []
        for tolerance in 10.0 ** -np.arange(3, 12):
            solution = odeint(turn, [1.0, 0.0], [0.0, 2 * pi], rtol=tolerance, atol=tolerance)
            calls.append(solution.nfe)
            found.append(np.linalg.norm(solution.ys[-1] - [1.0, 0.0]))
        right.loglog(calls, found, color=plots.COLORS[4], linestyle=plots.LINES[4], marker=plots.MARKERS[4],
                     fillstyle="none", label="Dormand–Prince, adaptive")  # fmt: skip
        left.set(xlabel="step h (the period is 2π)", ylabel="error after one turn", title="Marks: measured")
        left.set_xticks(h, [f"2π/{n}" for n in STEPS])
        left.set_xticks([], minor=True)
        right.set(xlabel="calls of the slope", ylabel="error after one turn", title="What accuracy costs")
        left.legend(loc="lower right", fontsize=8)
        right.legend(loc="lower left", fontsize=8)
        plots.caption(
            drawn,
            "Left: the lines |c| 2π h^p are predicted from R(z) − exp(z) = c z^(p+1), nothing is fitted. "
            "Right: on a problem this smooth a high order wins. A stiff one asks another question.",
        )
        run.save_figure("orders", drawn)


def draw_regions(run: Run, found: dict[str, Array]) -> None:
    """``regions.png``: where each solver is stable in the plane of h times the eigenvalue."""
    title = "Where a solver is stable: step h times eigenvalue a"
    with plots.figure(title, rows=2, columns=3, width=9.6, height=7.4) as (drawn, axes):
        for axis, (method, size) in zip(axes.ravel(), found.items(), strict=True):
            x, y = plane(len(size))
            axis.pcolormesh(x, y, np.where(size > 1.0, np.nan, size), cmap="Greys_r", vmin=-0.6, vmax=1.25)
            fine_x, fine_y = plane(400)
            R = np.abs(stability_function(method, fine_x + 1j * fine_y[:, None]))
            axis.contour(fine_x, fine_y, R, levels=[1.0], colors=plots.VERMILION, linewidths=1.8)
            axis.axhline(0.0, color="0.5", linewidth=0.6)
            axis.axvline(0.0, color="0.5", linewidth=0.6)
            if method in INTERVALS:
                edge = INTERVALS[method]
                axis.plot(-edge, 0.0, "o", color="white", markeredgecolor="black", markersize=6)
                axis.annotate(
                    f"real axis: to −{edge:.7g}", (0.03, 0.03), xycoords="axes fraction", fontsize=8
                )
            axis.set(title=f"{NAMES[method]}, order {METHODS[method].order}", aspect="equal",
                     xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))  # fmt: skip
            axis.grid(False)
        for axis in axes[1]:
            axis.set_xlabel("real part of h a")
        for axis in axes[:, 0]:
            axis.set_ylabel("imaginary part of h a")
        plots.caption(
            drawn,
            "Grey: measured, |y| does not grow; dark is fast decay. Line: |R| = 1, predicted. Left half: "
            "decay, which a solver should show; right half: growth, which backward Euler turns into decay. "
            "Linear equations only: a network's curvature changes while it learns.",
        )
        run.save_figure("regions", drawn)


def draw_stiff(
    run: Run,
    runs: dict[tuple[int, float], Steps],
    times: Array,
    implicit: dict[str, Array],
) -> None:
    """``stiff.png``: the steps an adaptive solver chooses, and implicit solvers with far longer ones."""
    edge, steps = INTERVALS["dopri5"], runs[RATE, LOOSE]
    title = "A steep valley with a slowly moving minimum: y' = −rate (y − cos t)"
    with plots.figure(title, columns=3, width=11.6, height=4.4) as (drawn, axes):
        left, middle, right = axes[0]
        rates = np.array(sorted({r for r, _ in runs}))
        for i, tolerance in enumerate((LOOSE, TIGHT)):
            means = [runs[r, tolerance].h[runs[r, tolerance].t > 1.0].mean() for r in rates]
            left.loglog(rates, means, color=plots.COLORS[i], linestyle="none", marker=plots.MARKERS[i],
                        fillstyle="none", label=f"tolerance {tolerance:g}")  # fmt: skip
        left.loglog(rates, edge / rates, color="black", linestyle="--", linewidth=1.0, label="3.3066 / rate")
        left.set(xlabel="rate (curvature)", ylabel="mean step", title="Steps it chooses")
        left.legend(loc="lower left", fontsize=8)
        window = (steps.t > 5.0) & (steps.t < 5.0 + 150.0 * edge / RATE)
        middle.plot(
            steps.t[window],
            RATE * steps.h[window],
            color=plots.COLORS[0],
            linewidth=0.8,
            marker=".",
            markersize=3,
        )
        middle.axhline(edge, color="black", linewidth=1.2, linestyle=(0, (1, 2)))
        middle.set(xlabel="time t", ylabel="step × rate", title=f"Rate {RATE}, around the edge 3.3066")
        shown = times <= 3.0
        fine = np.linspace(0.0, 3.0, 200)
        right.plot(fine, np.cos(fine), color="0.6", linewidth=3.0, label="solution")
        for i, (method, y) in enumerate(implicit.items()):
            style = {"marker": plots.MARKERS[i], "markersize": 4, "fillstyle": "none", "linewidth": 0.8}
            right.plot(times[shown], y[shown], color=plots.COLORS[i], linestyle="-" if i else "none", **style,
                       label=NAMES[method])  # fmt: skip
        right.set(xlabel="time t", ylabel="y, from 0", title=f"Rate {RATE}, step × rate = 100")
        right.legend(loc="upper right", fontsize=8)
        plots.caption(
            drawn,
            "Left: marks on the dashed line are steps that stability dictates, below it accuracy does. "
            "Right: both survive; backward Euler forgets the wrong start at once, the trapezoid rule rings: "
            "× −49/51 a step. An implicit step costs a solve with the Hessian: whether it pays is not asked.",
        )
        run.save_figure("stiff", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
