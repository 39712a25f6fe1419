r"""What does a tiny residual say about the error of a physics-informed network?

    Poisson     u'' = g           the residual is blind to a + b x
    Helmholtz   u'' + k^2 u = 0   the residual is blind to a sin kx + b cos kx, of which 0 is one

First, what the residual cannot see, conditions must say, in the loss (soft) or in the form of u (hard): with
soft ones u = 0 costs w h^2 / 2, and where fitting the wave is harder than paying that, descent pays. Second,
what the residual sees, it weighs: an error in sin Kx counts K^4 times one in sin x, so that the condition
number for K modes is K^4, and the residual is small long before the error is.

Source   Raissi, Perdikaris & Karniadakis 2019, "Physics-informed neural networks", J. Comp. Phys. 378;
         Krishnapriyan et al. 2021, arXiv:2109.01050 (failures that are of optimization, not capacity);
         Wang, Yu & Perdikaris 2022, "When and why PINNs fail to train", J. Comp. Phys. 449.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from curriculum.performance import reuse_memory
from dynamics.approximation.jets import Jet, coordinates, network
from dynamics.approximation.pinn import (
    boundary,
    collocation,
    composite_loss,
    constrain,
    l2_relative_error,
    residual,
)
from dynamics.credit.mlp_backprop import Spec
from dynamics.discrete.gd_quadratic import trajectory
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure
from foundations.autograd import grad
from foundations.computational_graph import Tensor, as_array
from optimization.optimizers.lbfgs import minimize

QUICK = ("--seeds", "1", "--steps", "300", "--waves", "2,3", "--weights", "1,1000")
POINTS = 48
MODES = (4, 8, 16)
K = 8  # modes of the model that descent is followed on
WAVE, FAR = 2, 3  # k = (n + 1/2) pi of the two sets of claims, n half waves and a half
NONE, HARD = "residual only", "hard"  # the other forms are "soft, w = ..."
SOFT, HEAVY = "soft, w = 1", "soft, w = 1000"
FORMS = (NONE, SOFT, HEAVY, HARD)
FACE = {NONE: 1, SOFT: 4, HEAVY: 2, HARD: 0}  # colour, line and marker of each
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    seeds: int = 3
    seed: int = 0  # the first, and the one that is drawn
    steps: int = 600  # of L-BFGS, at most
    units: int = 16  # in the hidden layer
    waves: tuple[int, ...] = (0, 1, 2, 3, 4)  # n; 2 and 3 must be among them
    weights: tuple[int, ...] = (1, 10, 100, 1000, 10000, 100000)  # of soft conditions, in the figure


@dataclass(frozen=True)
class Problem:
    """An equation on [0, 1] whose solution is known."""

    kind: str
    k: float
    exact: Array  # (POINTS, 1)
    source: Array | float
    ends: Array  # (2, 1), u there
    scale: float  # mean square of u'' of the solution: what the residual is compared with


@dataclass(frozen=True)
class Solved:
    """What a training left."""

    u: Array  # (POINTS, 1)
    loss: float
    residual: float  # mean square, over the problem's scale
    error: float  # relative, L2


X = collocation("uniform", POINTS, [0.0], [1.0])


def poisson() -> Problem:
    """u'' = -pi^2 sin(pi x), 0 at both ends."""
    exact = np.sin(np.pi * X)
    return Problem("poisson1d", 0.0, exact, -(np.pi**2) * exact, np.zeros((2, 1)), np.pi**4 / 2)


def helmholtz(n: int) -> Problem:
    """u'' + k^2 u = 0 for k = (n + 1/2) pi, in the middle between two resonances; u(0) = 0, u(1) = sin k."""
    k = (n + 0.5) * np.pi
    return Problem("helmholtz1d", k, np.sin(k * X), 0.0, np.array([[0.0], [np.sin(k)]]), k**4 / 2)


def solve(problem: Problem, form: str, seed: int, config: Config) -> Solved:
    """Train a network of one hidden layer by L-BFGS, with the conditions in the form that is named."""
    spec = Spec((1, config.units, 1))
    at = coordinates(np.vstack([X, [[0.0], [1.0]]]))  # the two ends travel along
    weight = float(form.split("=")[1]) if form.startswith("soft") else 0.0

    def parts(theta: Tensor | Array) -> tuple[Jet, Jet]:
        u = network(theta, spec, at)
        inside, ends = (
            Jet(u.value[rows], u.gradient[:, rows], u.second[rows], u.operator)
            for rows in (slice(None, POINTS), slice(POINTS, None))
        )
        if form == HARD:
            inside = constrain("dirichlet", inside, X, ends, (0.0, 1.0), problem.ends)
        return inside, ends

    def value_and_gradient(theta: Array) -> tuple[float, Array]:
        leaf = Tensor(theta.copy(), requires_grad=True)
        u, ends = parts(leaf)
        terms = {"pde": residual(problem.kind, u, problem.source, problem.k)}
        if weight:
            terms["bc"] = boundary("dirichlet", ends) - problem.ends
        loss = composite_loss(terms, {"bc": weight} if weight else None)
        assert isinstance(loss, Tensor)
        return loss.item(), grad(loss, [leaf])[0].data

    start = np.random.default_rng(seed).normal(size=spec.parameters)
    found = minimize(value_and_gradient, start, memory=20, max_iter=config.steps, tolerance=0.0)
    u, _ = parts(found.x)
    left = as_array(residual(problem.kind, u, problem.source, problem.k))
    value = as_array(u.value)
    return Solved(
        value, found.value, float((left**2).mean()) / problem.scale, l2_relative_error(value, problem.exact)
    )


def without_line(u: Array, exact: Array) -> Array:
    """u less the line that is nearest to its error: what the residual of Poisson's equation determines."""
    line = np.hstack([np.ones_like(X), X])
    return u - line @ np.linalg.lstsq(line, u - exact, rcond=None)[0]


def sines(modes: int) -> tuple[Array, Array]:
    """sin kx, k = 1 ... modes, at midpoints of [0, pi], and what Poisson's residual makes of each."""
    x = (np.arange(64)[:, None] + 0.5) * np.pi / 64
    k = np.arange(1, modes + 1)
    features = Jet(np.sin(k * x), (k * np.cos(k * x))[None], -k * k * np.sin(k * x), np.ones(1))
    return as_array(features.value), as_array(residual("poisson1d", features))


@dataclass(frozen=True)
class Linear:
    """Descent on the residual of K sines, from 0 to all coefficients 1, at lr = 1 / largest eigenvalue."""

    errors: Array  # (T + 1, K), of each coefficient
    predicted: Array
    residual: Array  # (T + 1,), mean square over that at the start
    error: Array  # (T + 1,), relative

    @property
    def thousandth(self) -> int:
        """The first step at which the residual is a thousandth."""
        return int(np.argmax(self.residual < 1e-3))


def descend_linear(steps: int = 4000) -> Linear:
    """Follow it, and give the formula beside it."""
    _, rows = sines(K)
    hessian, target = rows.T @ rows / len(rows), rows @ np.ones(K)
    path = trajectory(
        hessian, rows.T @ target / len(rows), np.zeros(K), 1.0 / np.linalg.eigvalsh(hessian)[-1], steps
    )
    left = path @ rows.T - target
    shrink = 1 - (np.arange(1, K + 1) / K) ** 4
    predicted = shrink ** np.arange(steps + 1)[:, None]
    return Linear(
        1 - path,
        predicted,
        (left**2).mean(axis=1) / (target**2).mean(),
        np.linalg.norm(1 - path, axis=1) / np.sqrt(K),
    )


Table = dict[tuple[str, int, str], list[Solved]]  # kind, n, form -> one a seed


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "What does a tiny residual say about the error?")
    reuse_memory()
    with Run("pinn_traps", config) as run:
        wanted = [("poisson1d", 0, form) for form in FORMS]
        wanted += [("helmholtz1d", n, form) for n in config.waves for form in FORMS]
        wanted += [("helmholtz1d", WAVE, f"soft, w = {w}") for w in config.weights]
        table: Table = {}
        for kind, n, form in run.track(list(dict.fromkeys(wanted)), "training"):
            problem = poisson() if kind == "poisson1d" else helmholtz(n)
            seeds = range(config.seed, config.seed + config.seeds)
            table[kind, n, form] = [solve(problem, form, seed, config) for seed in seeds]
        linear, claims = descend_linear(), Claims()
        judge(claims, table, linear, config)
        draw_blind(run, table, config)
        draw_forms(run, table, config)
        draw_conditioning(run, linear)
        claims.conclude(run, "the residual says little about the error: conditions and conditioning do")
    return run.exit_code


def judge(claims: Claims, table: Table, linear: Linear, config: Config) -> None:
    """The claims of the page: of several seeds the worst counts."""
    only = table["poisson1d", 0, NONE]
    claims.at_most("Poisson, residual only: residual left, of 1", max(s.residual for s in only), 1e-5)
    claims.at_least("Poisson, residual only: relative error", min(s.error for s in only), 0.5)
    exact = poisson().exact
    straight = max(l2_relative_error(without_line(s.u, exact), exact) for s in only)
    claims.at_most("Poisson, residual only: relative error once a + b x is taken off", straight, 5e-3)
    for form in (SOFT, HARD):
        error = max(s.error for s in table["poisson1d", 0, form])
        claims.at_most(f"Poisson, {form}: relative error", error, 5e-3)

    zero = [s for n in config.waves if n >= WAVE for s in table["helmholtz1d", n, NONE]]
    claims.at_most(
        "Helmholtz, n >= 2, residual only: residual left, of 1", max(s.residual for s in zero), 1e-5
    )
    farthest = max((s.error for s in zero), key=lambda error: abs(error - 1.0))
    claims.near("Helmholtz, n >= 2, residual only: relative error, that of u = 0", farthest, 1.0, 0.02)
    for form in (HEAVY, HARD):
        error = max(s.error for s in table["helmholtz1d", WAVE, form])
        claims.at_most(f"Helmholtz, n = {WAVE}, {form}: relative error", error, 0.05)
    soft, hard = table["helmholtz1d", FAR, SOFT], table["helmholtz1d", FAR, HARD]
    price = max((s.loss for s in soft), key=lambda loss: abs(loss - 0.5))
    claims.near(f"Helmholtz, n = {FAR}, {SOFT}: loss, that of u = 0 is w sin(k)^2 / 2", price, 0.5, 0.01)
    pairs = list(zip(hard, soft, strict=True))
    claims.at_least(
        f"n = {FAR}: residual, hard over soft, w = 1", min(h.residual / s.residual for h, s in pairs), 1.0
    )
    claims.at_most(
        f"n = {FAR}: and the error, hard over soft, w = 1", max(h.error / s.error for h, s in pairs), 0.1
    )

    for modes in MODES:
        features, rows = sines(modes)
        conditioned = np.linalg.cond(rows) ** 2
        claims.near(f"condition number, residual of {modes} sines: K^4", conditioned, modes**4, 1e-6)
        claims.near(f"condition number, data, {modes} sines", np.linalg.cond(features) ** 2, 1.0, 1e-9)
    off = np.abs(linear.errors - linear.predicted).max()
    claims.at_most("descent on 8 sines: errors beside (1 - (k / K)^4)^t, at most", off, 1e-9)
    t = linear.thousandth
    predicted = float(np.linalg.norm(linear.predicted[t]) / np.sqrt(K))
    claims.near("its relative error when the residual is a thousandth", linear.error[t], predicted, 1e-9)
    claims.at_least("the same, as a lower bound", linear.error[t], 0.4)


def style(form: str) -> dict:
    """How a form is drawn, everywhere."""
    i = FACE[form]
    return {"color": plots.COLORS[i], "marker": plots.MARKERS[i], "linestyle": plots.LINES[i]}


def draw_blind(run: Run, table: Table, config: Config) -> None:
    """``blind.png``: what the residual leaves open in two equations, and residual against error."""
    title = "The residual is tiny, and the function is another"
    with plots.figure(title, columns=3, width=12.6, height=4.6) as (drawn, axes):
        left, middle, right = axes[0]
        only = table["poisson1d", 0, NONE]
        exact = poisson().exact
        for i, solved in enumerate(only):
            left.plot(X, solved.u, color=plots.COLORS[1], linestyle="--", linewidth=1.2,
                      label="residual only, each start" if i == 0 else None)  # fmt: skip
            corrected = without_line(solved.u, exact)[::4]
            left.plot(X[::4], corrected, color=plots.COLORS[1], linestyle="", marker="^",
                      markersize=4, label="the same, less a + b x" if i == 0 else None)  # fmt: skip
        hard = table["poisson1d", 0, HARD][0].u
        left.plot(X, exact, color="black", linewidth=1.0, label="solution")
        left.plot(X[2::4], hard[2::4], color=plots.COLORS[0], linestyle="", marker="o", markersize=4,
                  markerfacecolor="none", label="hard conditions")  # fmt: skip
        left.set(xlabel="x", ylabel="u(x)", title="Poisson, u'' = −π² sin πx")
        room(left, 0.45)
        left.legend(loc="upper left", fontsize=8)
        middle.plot(X, helmholtz(WAVE).exact, color="black", linewidth=1.0, label="solution")
        for form in (NONE, HARD):
            middle.plot(X, table["helmholtz1d", WAVE, form][0].u, label=form, markevery=4, markersize=4,
                        markerfacecolor="none", **style(form))  # fmt: skip
        middle.set(xlabel="x", ylabel="u(x)", title=f"Helmholtz, u'' + k²u = 0, k = {WAVE + 0.5}π")
        room(middle, 0.35)
        middle.legend(loc="upper left", fontsize=8)
        for form in FORMS:
            found = [s for key, solved in table.items() if key[2] == form for s in solved]
            right.loglog([s.residual for s in found], [s.error for s in found], label=form, markersize=5,
                         markeredgecolor="black", markeredgewidth=0.4,
                         **(style(form) | {"linestyle": ""}))  # fmt: skip
        right.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
        right.annotate("u = 0", (1.0, 1.0), xycoords=("axes fraction", "data"), xytext=(-2, -11),
                       textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
        right.set(xlabel="mean square residual / that of u'' alone", ylabel="relative error",
                  title="All trainings")  # fmt: skip
        right.legend(loc="lower left", fontsize=8)
        plots.caption(
            drawn,
            f"Networks 1-{config.units}-1, at most {config.steps} steps of L-BFGS. That the residual alone "
            "leaves a line open holds for every network; which line, and that training ends at 0 for "
            "Helmholtz, "
            "depends on start and optimizer.",
        )
        run.save_figure("blind", drawn)


def room(axes: Axes, share: float) -> None:
    """Leave a share of the present height free above the curves, for the legend."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + share * (high - low))


def draw_forms(run: Run, table: Table, config: Config) -> None:
    """``conditions.png``: error against the weight of soft conditions, and against the wave number."""
    with plots.figure("Conditions: soft or hard", columns=2, width=10.4, height=4.6) as (drawn, axes):
        left, right = axes[0]
        points = [(w, s.error) for w in config.weights for s in table["helmholtz1d", WAVE, f"soft, w = {w}"]]
        left.loglog(*zip(*points, strict=True), linestyle="", marker="s", color=plots.COLORS[2],
                    markersize=5, label="soft, each start")  # fmt: skip
        middle = [
            np.median([s.error for s in table["helmholtz1d", WAVE, f"soft, w = {w}"]]) for w in config.weights
        ]
        left.loglog(config.weights, middle, color=plots.COLORS[2], linestyle="-.", label="soft, median")
        hard = [s.error for s in table["helmholtz1d", WAVE, HARD]]
        left.axhspan(min(hard), max(hard), color=plots.COLORS[0], alpha=0.25, label="hard, all starts")
        left.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
        left.annotate("u = 0", (1.0, 1.0), xycoords=("axes fraction", "data"), xytext=(-2, -11),
                      textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
        left.set(xlabel="weight w of the conditions", ylabel="relative error",
                 title=f"Helmholtz, k = {WAVE + 0.5}π")  # fmt: skip
        left.legend(loc="lower left", fontsize=8)
        k = np.array(config.waves) + 0.5
        for form in FORMS:
            errors = np.array([[s.error for s in table["helmholtz1d", n, form]] for n in config.waves])
            right.semilogy(k, np.median(errors, axis=1), label=form, markersize=5, **style(form))
            right.vlines(k, errors.min(axis=1), errors.max(axis=1), color=style(form)["color"], linewidth=0.8)
        right.set(xlabel="wave number k / π", ylabel="relative error, median and range of starts",
                  title="Helmholtz, by wave number")  # fmt: skip
        right.legend(loc="lower right", fontsize=8)
        plots.caption(
            drawn,
            f"Networks 1-{config.units}-1, at most {config.steps} steps of L-BFGS: a budget. More steps move "
            "where each form fails to larger k; they do not show that it must fail there.",
        )
        run.save_figure("conditions", drawn)


def draw_conditioning(run: Run, linear: Linear) -> None:
    """``conditioning.png``: the condition number of K sines, and descent on 8 of them."""
    title = "What the residual sees, it weighs by the fourth power"
    with plots.figure(title, columns=2, width=10.4, height=4.6) as (drawn, axes):
        left, right = axes[0]
        modes = np.array([1, 2, *MODES, 32])
        found = np.array([[np.linalg.cond(side) ** 2 for side in sines(m)] for m in modes])
        left.loglog(
            modes, found[:, 1], linestyle="", marker="^", color=plots.COLORS[1], label="residual loss"
        )
        left.loglog(modes, found[:, 0], linestyle="", marker="o", color=plots.COLORS[0], label="data loss")
        left.loglog(modes, modes.astype(float) ** 4, color="black", linewidth=0.9, label="predicted: K⁴")
        left.loglog(modes, np.ones(len(modes)), color="black", linewidth=0.9, linestyle="--",
                    label="predicted: 1")  # fmt: skip
        left.set_xticks(modes, [str(m) for m in modes])
        left.minorticks_off()
        left.set(xlabel="modes K", ylabel="condition number of the Hessian", title="K sines on [0, π]")
        left.legend(loc="upper left", fontsize=8)
        steps = np.arange(len(linear.errors))
        marked = np.unique(np.geomspace(1, len(steps), 22).astype(int) - 1)
        for i, mode in enumerate((1, 2, 4)):
            right.semilogx(steps + 1, linear.predicted[:, mode - 1], color="black", linewidth=0.9)
            right.semilogx(marked + 1, linear.errors[marked, mode - 1], linestyle="", markersize=5,
                           color=plots.COLORS[i], marker=plots.MARKERS[i],
                           label=f"error in sin {mode if mode > 1 else ''}x")  # fmt: skip
        right.semilogx(steps + 1, linear.residual, color=plots.COLORS[1], linestyle="--",
                       label="mean square residual / start")  # fmt: skip
        t = linear.thousandth
        right.axvline(t + 1, color="black", linewidth=0.8, linestyle=":")
        right.annotate(f"residual 1/1000,\nerror {linear.error[t]:.2f}", (t + 1, 0.98), fontsize=8, va="top",
                       xycoords=("data", "axes fraction"), xytext=(4, 0),
                       textcoords="offset points")  # fmt: skip
        right.set(xlabel="steps + 1", ylabel="share that is left", title=f"Descent on the residual, K = {K}",
                  ylim=(-0.03, 1.25))  # fmt: skip
        right.legend(loc="lower left", fontsize=8, frameon=True, framealpha=0.9, edgecolor="white")
        plots.caption(
            drawn,
            "Black: (1 − (k/K)⁴)ᵗ. A linear model that meets its conditions; all coefficients are 1. In a "
            "network "
            "modes are not independent, and other optimizers than descent are not bound by this number.",
        )
        run.save_figure("conditioning", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
