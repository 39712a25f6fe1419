r"""Does a method walk the same path if the same weights are measured in other units?

Write x = S z and descend by z instead of x. The loss is the same, but its gradient by z is
S^T g and its Hessian S^T H S. Seen in x, one step is

    descent            x - lr S S^T g          another path: S S^T has become a preconditioner
    any P, carried     x - lr P g              the same path, if P becomes S^-1 P S^-T in z
    Newton             x - lr H^-1 g           H^-1 is carried by itself: the same path, whatever S
    Adam, eps = 0      rates lr s_i            for S = diag(s): each weight's rate has the weight's unit

So "steepest" depends on units, and S can be chosen: S = A^(-1/2) makes a valley round. To standardise the
two inputs of a regression does that to the diagonal, and leaves c = (1 + |rho|) / (1 - |rho|).

Source   Boyd & Vandenberghe 2004, "Convex optimization", sec. 9.5.1 (affine invariance of Newton's method);
         Amari 1998, "Natural gradient works efficiently in learning";
         LeCun et al. 1998, "Efficient backprop", sec. 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from dynamics.discrete.gd_quadratic import best_lr, closed_form, rate, steps_to, trajectory
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure
from foundations.computational_graph import Tensor
from optimization.optimizers.adam import Adam

QUICK = ("--maps", "10")  # what continuous integration runs
Array = np.ndarray
A, S = np.diag([20.0, 1.0]), np.diag([0.2, 3.0])
START, LR, STEPS = np.array([4.0, 4.0]), 0.05, 70
DAMPED = 0.2  # the learning rate of Newton's method
TURN = np.array([[0.8, -0.6], [0.6, 0.8]])  # a rotation
EPS = 1e-6


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    maps: int = 200  # random changes of units, rotations and shears included
    samples: int = 400  # of the regression
    seed: int = 0


def walk(direction: Callable[[Array], Array], x0: Array, lr: float, steps: int) -> Array:
    """Follow x <- x - lr direction(x), (steps + 1, D)."""
    path = [np.array(x0)]
    for _ in range(steps):
        path.append(path[-1] - lr * direction(path[-1]))
    return np.array(path)


def adam(hessian: Array, x0: Array, rates: Sequence[float], steps: int = STEPS) -> Array:
    """The path of the course's Adam with eps = 0 on x^T A x / 2, with a rate for each weight."""
    x = np.array(x0)
    weights = [Tensor(x[i : i + 1].copy(), True) for i in range(x.size)]
    optimizer = Adam([{"params": w, "lr": lr} for w, lr in zip(weights, rates, strict=True)], eps=0.0)
    path = [x]
    for _ in range(steps):
        g = hessian @ path[-1]
        for i, w in enumerate(weights):
            w.grad = g[i : i + 1]
        optimizer.step()
        path.append(np.concatenate([w.data for w in weights]))
    return np.array(path)


def rosenbrock(x: Array) -> tuple[Array, Array]:
    """Gradient and Hessian of (1 - x)^2 + 100 (y - x^2)^2: neither quadratic nor convex."""
    a, b = x
    g = np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])
    return g, np.array([[2 - 400 * b + 1200 * a * a, -400 * a], [-400 * a, 200.0]])


def newton(x: Array) -> Array:
    """H^-1 g of Rosenbrock's function."""
    g, H = rosenbrock(x)
    return np.linalg.solve(H, g)


def apart(path: Array, other: Array) -> float:
    """The largest distance of two paths at equal steps, over the size of the first."""
    return float(np.abs(path - other).max() / np.abs(path).max())


class Regression:
    """Least squares on two inputs of different units, which correlate; raw, and standardised.

    Attributes:
        raw, standard: their Hessians, (2, 2).
        rho: the correlation in the sample.
    """

    def __init__(self, samples: int, rng: np.random.Generator):
        shared = rng.standard_normal(samples)
        X = 0.6 * shared[:, None] + 0.8 * rng.standard_normal((samples, 2))
        X = X * [1.0, 30.0]
        X = X - X.mean(axis=0)
        Z = X / X.std(axis=0)
        self.raw, self.standard = X.T @ X / samples, Z.T @ Z / samples
        self.rho = float(self.standard[0, 1])


def error_path(hessian: Array, steps: int) -> Array:
    """The larger of the errors along the eigenvectors, both 1 at first, by steps, at the best rate."""
    axes = np.linalg.eigh(hessian)[1]
    path = trajectory(hessian, np.zeros(2), axes @ np.ones(2), best_lr(hessian), steps)
    return np.abs(path @ axes).max(axis=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Descend in two systems of units, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Does a method walk the same path in other units?")
    with Run("preconditioning", config) as run:
        claims, rng = Claims(), np.random.default_rng(config.seed)
        regression = Regression(config.samples, rng)
        parts = [
            partial(judge_descent, claims),
            partial(judge_invariant, claims, config, rng),
            partial(judge_adam, claims),
            partial(judge_regression, claims, regression),
            partial(draw_paths, run),
            partial(draw_errors, run, regression),
        ]
        for part in run.track(parts, "descending in other units"):
            part()
        claims.conclude(run, "descent depends on the units, Newton's method does not")
    return run.exit_code


def in_z(steps: int = STEPS) -> Array:
    """Descent by z = S^-1 x, seen in x."""
    return trajectory(S @ A @ S, np.zeros(2), np.linalg.solve(S, START), LR, steps) @ S


def in_x(steps: int = STEPS) -> Array:
    """Descent by x."""
    return trajectory(A, np.zeros(2), START, LR, steps)


def judge_descent(claims: Claims) -> None:
    """Two paths, and which preconditioner makes the one of the other."""
    gap = apart(in_x(), in_z())
    claims.at_least("descent: distance of the paths by x and by z, over their size", gap, 0.5)
    same = apart(in_z(), walk(lambda x: S @ S.T @ A @ x, START, LR, STEPS))
    claims.at_most("descent by z is descent by x with S S^T: distance", same, 1e-10)
    for name, hessian, path in (("x", A, in_x(400)), ("z", S @ A @ S, in_z(400))):
        size = np.abs(path).max(axis=1)
        found = (size[400] / size[300]) ** 0.01
        claims.near(f"descent by {name}: what a step leaves", found, rate(hessian, LR), 1e-6)
        known = {"x": 20.0, "z": 9.0 / 0.8}[name]
        claims.near(f"condition number in {name}", np.linalg.cond(hessian), known, 1e-9)
    root = np.diag(np.diag(A) ** -0.5)
    once = trajectory(root @ A @ root, np.zeros(2), np.linalg.solve(root, START), 1.0, 1) @ root
    claims.at_most("S = A^(-1/2): error after one step of rate 1", np.abs(once[1]).max(), 1e-14)
    turned = trajectory(TURN.T @ A @ TURN, np.zeros(2), TURN.T @ START, LR, STEPS) @ TURN.T
    claims.at_most("a rotation changes nothing for descent: distance", apart(in_x(), turned), 1e-10)


def judge_invariant(claims: Claims, config: Config, rng: np.random.Generator) -> None:
    """Newton's method and a preconditioner that is carried along, under random linear maps."""
    P = np.array([[0.3, 0.1], [0.1, 0.9]])
    plain = walk(lambda x: P @ A @ x, START, LR, STEPS)
    damped = walk(lambda x: x, START, DAMPED, STEPS)  # H^-1 g = x on a quadratic
    start = np.array([-1.2, 1.0])
    curved = walk(newton, start, 1.0, 7)
    worst = {"P": 0.0, "newton": 0.0, "rosenbrock": 0.0}
    for M in [S, *random_maps(config.maps, rng)]:
        back = np.linalg.inv(M)
        hessian, Q = M.T @ A @ M, back @ P @ back.T
        z0 = back @ START
        carried = walk(lambda z: Q @ hessian @ z, z0, LR, STEPS) @ M.T  # noqa: B023
        solved = walk(lambda z: np.linalg.solve(hessian, hessian @ z), z0, DAMPED, STEPS) @ M.T  # noqa: B023

        def direction(z: Array, M: Array = M) -> Array:
            g, H = rosenbrock(M @ z)
            return np.linalg.solve(M.T @ H @ M, M.T @ g)

        bent = walk(direction, back @ start, 1.0, 7) @ M.T
        for name, one, other in (
            ("P", plain, carried),
            ("newton", damped, solved),
            ("rosenbrock", curved, bent),
        ):
            worst[name] = max(worst[name], apart(one, other))
    maps = f"{config.maps + 1} changes of units"
    claims.at_most(f"Newton, {maps}: largest distance", worst["newton"], 1e-10)
    claims.at_most(f"a preconditioner carried along, {maps}: largest distance", worst["P"], 1e-10)
    claims.at_most(f"Newton on Rosenbrock's function, {maps}: largest distance", worst["rosenbrock"], 1e-7)
    claims.at_most(
        "Newton on Rosenbrock's function: error after 7 steps", np.abs(curved[-1] - 1.0).max(), 1e-8
    )
    found = float(damped[30, 0] / damped[29, 0])
    claims.near("Newton: what a step leaves in every direction", found, 1.0 - DAMPED, 1e-12)


def random_maps(n: int, rng: np.random.Generator) -> list[Array]:
    """Matrices of condition number up to 100: two rotations and two scales."""
    maps = []
    for _ in range(n):
        left, right = (np.linalg.qr(rng.standard_normal((2, 2)))[0] for _ in range(2))
        maps.append(left * 10.0 ** rng.uniform(-1.0, 1.0, 2) @ right)
    return maps


def judge_adam(claims: Claims) -> None:
    """What units are to a method that divides by the size of the gradient."""
    plain = adam(A, START, (LR, LR))
    scaled = adam(S @ A @ S, np.linalg.solve(S, START), (LR, LR)) @ S
    claims.at_least("Adam: distance of the paths by x and by z", apart(plain, scaled), 0.1)
    rates = adam(A, START, (LR * S[0, 0], LR * S[1, 1]))
    claims.at_most("Adam by z is Adam by x with the rates lr s_i: distance", apart(scaled, rates), 1e-10)
    turned = adam(TURN.T @ A @ TURN, TURN.T @ START, (LR, LR)) @ TURN.T
    claims.at_least("Adam: a rotation changes its path: distance", apart(plain, turned), 0.05)
    heavier = adam(1000.0 * A, START, (LR, LR))
    claims.at_most("Adam: the loss times 1000 does not: distance", apart(plain, heavier), 1e-10)


def judge_regression(claims: Claims, regression: Regression) -> None:
    """What standardising does to a regression."""
    c = (1 + abs(regression.rho)) / (1 - abs(regression.rho))
    standard, raw = np.linalg.cond(regression.standard), np.linalg.cond(regression.raw)
    claims.near("standardised inputs: condition number over (1 + rho) / (1 - rho)", standard / c, 1.0, 1e-9)
    claims.at_least("raw inputs: condition number", raw, 600.0)
    for name, hessian in (("standardised", regression.standard), ("raw", regression.raw)):
        known = steps_to(EPS, rate(hessian, best_lr(hessian)))
        found = int(np.argmax(error_path(hessian, known + 50) <= EPS))
        claims.near(f"{name} inputs: steps to an error of {EPS:g}", found, known, 1.0)


def draw_paths(run: Run) -> None:
    """``paths.png``: descent by x and by z, in both planes, and Newton's method."""
    with plots.figure("The same loss in two systems of units", columns=3, width=11.0, height=4.3) as (
        drawn,
        axes,
    ):
        k, zero = np.arange(STEPS + 1), np.zeros(2)
        known_x = closed_form(A, zero, START, LR, k)
        known_z = closed_form(S @ A @ S, zero, np.linalg.solve(S, START), LR, k) @ S
        first, second, third = axes[0]
        for axis, back, names in ((first, np.eye(2), ("x₁", "x₂")), (second, np.linalg.inv(S), ("z₁", "z₂"))):
            for i, (found, known, by) in enumerate(((in_x(), known_x, "x"), (in_z(), known_z, "z"))):
                axis.plot(
                    *(known @ back).T, color=plots.COLORS[i], linestyle=plots.LINES[i], label=f"by {by}"
                )
                axis.plot(*(found @ back).T, color="black", linestyle="none", marker=plots.MARKERS[i],
                          markersize=4, fillstyle="none")  # fmt: skip
            limits = np.abs(START @ back) * 1.15
            background(axis, np.linalg.inv(back).T @ A @ np.linalg.inv(back), limits)
            axis.set(xlabel=names[0], ylabel=names[1])
        first.set_title(f"Descent, lr = {LR}, seen in x")
        second.set_title("The same two paths, seen in z")
        first.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="none")
        background(third, A, START * 1.15)
        plain = walk(lambda x: x, START, DAMPED, 25)
        hessian = S @ A @ S
        other = (
            walk(lambda z: np.linalg.solve(hessian, hessian @ z), np.linalg.solve(S, START), DAMPED, 25) @ S
        )
        third.plot(*plain.T, color=plots.BLUE, label="by x")
        third.plot(*other.T, color="black", linestyle="none", marker="^", markersize=5, fillstyle="none",
                   label="by z")  # fmt: skip
        third.set(title=f"Newton, lr = {DAMPED}, seen in x", xlabel="x₁", ylabel="x₂")
        third.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="none")
        plots.caption(
            drawn,
            "Lines: closed form. Marks: steps. Each path by its own variable leaves at a right angle to the "
            "levels of its own plane only. That Newton's path does not depend on units does not make it "
            "short, cheap, or safe away from a minimum.",
        )
        run.save_figure("paths", drawn)


def background(axis: Axes, hessian: Array, limits: Array) -> None:
    """Levels of the quadratic, and the minimum."""
    x, y = (np.linspace(-0.25 * limit, limit, 160) for limit in limits)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = 0.5 * np.einsum("...i,ij,...j", grid, hessian, grid)
    axis.contour(x, y, values, np.geomspace(0.3, 150.0, 9), colors="0.6", linewidths=0.7)
    axis.plot(0.0, 0.0, "+", color="black", markersize=10, markeredgewidth=1.6)
    axis.grid(False)


def draw_errors(run: Run, regression: Regression) -> None:
    """``errors.png``: errors over steps, for the two descents and Newton, and for a regression."""
    with plots.figure("What units cost", columns=2, width=9.6, height=4.4) as (drawn, axes):
        left, right = axes[0]
        k = np.arange(STEPS + 1)
        cases = (
            ("descent by x", in_x(), closed_form(A, np.zeros(2), START, LR, k)),
            ("descent by z", in_z(),
             closed_form(S @ A @ S, np.zeros(2), np.linalg.solve(S, START), LR, k) @ S),
            (f"Newton, lr = {DAMPED}", walk(lambda x: x, START, DAMPED, STEPS),
             START * (1 - DAMPED) ** k[:, None]),
        )  # fmt: skip
        for i, (name, found, known) in enumerate(cases):
            left.plot(
                k, np.abs(known).max(axis=1), color=plots.COLORS[i], linestyle=plots.LINES[i], label=name
            )
            left.plot(k[::3], np.abs(found).max(axis=1)[::3], color="black", linestyle="none",
                      marker=plots.MARKERS[i], markersize=4, fillstyle="none")  # fmt: skip
        left.set(yscale="log", ylim=(1e-4, 8), xlabel="step", ylabel="larger error of the two weights, in x",
                 title="The quadratic")  # fmt: skip
        left.legend(loc="lower left")
        for i, (name, hessian) in enumerate((("raw inputs", regression.raw),
                                             ("standardised", regression.standard))):  # fmt: skip
            factor = rate(hessian, best_lr(hessian))
            steps = steps_to(EPS, factor)
            found = error_path(hessian, steps)
            shown = np.unique(np.geomspace(1, steps, 14).astype(int))
            line = np.geomspace(1, steps, 200)
            right.plot(line, factor**line, color=plots.COLORS[i], linestyle=plots.LINES[i],
                       label=f"{name}: c = {np.linalg.cond(hessian):,.3g}")  # fmt: skip
            right.plot(shown, found[shown], color="black", linestyle="none", marker=plots.MARKERS[i],
                       markersize=5, fillstyle="none")  # fmt: skip
        right.set(xscale="log", yscale="log", xlabel="step", ylabel="error along an eigenvector",
                  title="A regression, each at its best rate")  # fmt: skip
        right.legend(loc="lower left", bbox_to_anchor=(0.36, 0.02))
        plots.caption(
            drawn,
            "Marks measured, lines predicted. Right: two inputs whose units differ by a factor 30, of "
            f"correlation {regression.rho:.2f}. Standardising changes scales, not directions: what the "
            "correlation costs stays.",
        )
        run.save_figure("errors", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
