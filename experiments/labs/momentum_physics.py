r"""Is momentum a mass on a spring, and what does the finite step add to the mechanics?

With a step of time h = sqrt(lr) the two methods are discretisations of damped motion, t = k h:

    heavy ball   x'' + friction x' + g = 0    momentum 1 - friction h      on x^2 / 2 the damped oscillator
    Nesterov     x'' + (3 / t) x' + g = 0     momentum (k - 1) / (k + 2)   on x^2 / 2 Bessel's 2 J1(t) / t

Both are off by h e(t) + O(h^2), and the motion itself predicts e. With H the Hessian, a = x'':

    heavy ball   e'' + friction e' + H e = friction a / 2                     e(0) = 0, e'(0) = a(0) / 2
    Nesterov     e'' + (3 / t) e'  + H e = 6 x' / t^2 + 3 a / (2 t) - H x'    e(0) = 0

Energy  potential + kinetic + heat = its start + injected; what steps inject is h times the integral of
        x'^T H x' / 2 along the motion, for any network: the force is frozen while the mass moves.

Source   Polyak 1964; Qian 1999, Neural Networks 12, 145; Su, Boyd & Candes 2016, arXiv:1503.01243, sec. 3;
         Hairer, Lubich & Wanner 2006, sec. I.1 and IX.3; the equations for e: own derivation, see the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log, sqrt
from typing import NamedTuple

import numpy as np

from dynamics.continuous.gradient_flow import descend
from dynamics.continuous.momentum_ode import (
    heavy_ball_flow,
    heavy_ball_limit,
    heavy_ball_time,
    nesterov,
    nesterov_exact,
    oscillator,
)
from dynamics.continuous.ode import observed_order, odeint
from dynamics.continuous.symplectic import (
    SCHEMES,
    energies,
    explicit_euler,
    integrate,
    modified_energy,
    stability_limit,
    step_matrix,
)
from dynamics.credit.mlp_backprop import Spec, init, value_and_gradient
from dynamics.discrete.momentum_edge import trajectory
from dynamics.energy.energy_network import EnergyNet, History
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--starts", "2")  # what continuous integration runs
Array = np.ndarray
SPAN = 10.0  # of time, for the gaps; the period without friction is 2 pi
FRICTION = 0.4
FRICTIONS = (0.4, 2.0, 6.0)  # under, at and over critical damping of x^2 / 2
STEPS = np.array([0.2, 0.1, 0.05, 0.025, 0.0125])  # h
KICKS = SCHEMES["kick_drift"]
TRUTH = np.array([[0.0], [1.0], [1.0], [0.0]])  # XOR
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
NET = Spec((2, 4, 1), "tanh", "linear")
NET_FRICTION, NET_SPAN = 0.3, 20.0
RATES = 10.0 ** -np.array([1.0, 1.5, 2.0, 2.5, 3.0, 3.5])  # lr x curvature, for the number of steps


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    starts: int = 6  # of the network
    seed: int = 0


def spring(x: Array) -> Array:
    """The gradient of x^2 / 2."""
    return x


def ball(h: float, friction: float, span: float) -> tuple[Array, Array]:
    """Heavy ball on x^2 / 2 from x = 1: its times and positions."""
    steps = round(span / h)
    lr, momentum = heavy_ball_limit(friction, h)
    return h * np.arange(steps + 1), trajectory(spring, [1.0], lr, momentum, steps)[:, 0]


def accelerated(h: float, span: float) -> tuple[Array, Array]:
    """Nesterov's method on x^2 / 2 from x = 1: its times and positions."""
    steps = round(span / h)
    return h * np.arange(steps + 1), nesterov(spring, [1.0], h * h, steps)[:, 0]


def ball_error(t: Array) -> Array:
    """e of the heavy ball, from its equation."""

    def slope(_: float, s: Array) -> Array:
        x, v, e, w = s
        a = -FRICTION * v - x
        return np.array([v, a, w, -FRICTION * w - e + FRICTION * a / 2])

    return odeint(slope, [1.0, 0.0, 0.0, -0.5], t, rtol=1e-9).ys[:, 2]


def accelerated_error(t: Array) -> Array:
    """e of Nesterov's method, from its equation; near 0, where x = 1 - t^2 / 8, it is -5 t / 8."""

    def slope(t: float, s: Array) -> Array:
        x, v, e, w = s
        a = -3 / t * v - x
        return np.array([v, a, w, -3 / t * w - e + 6 / t**2 * v + 1.5 / t * a - v])

    small = 1e-3
    first = [1.0 - small**2 / 8, -small / 4, -0.625 * small, -0.625]
    return np.append(0.0, odeint(slope, first, [small, *t[1:]], rtol=1e-9, atol=1e-11).ys[1:, 2])


class Gaps(NamedTuple):
    """Largest distance from the curve up to SPAN, for each h, measured; and the largest |e|, predicted."""

    measured: Array
    height: float


def gaps() -> dict[str, Gaps]:
    """Of both methods."""
    fine = np.linspace(0.0, SPAN, 801)
    balls = [ball(h, FRICTION, SPAN) for h in STEPS]
    bessels = [accelerated(h, SPAN) for h in STEPS]
    return {
        "heavy ball": Gaps(
            np.array([np.abs(x - oscillator(t, 1.0, FRICTION)[0]).max() for t, x in balls]),
            float(np.abs(ball_error(fine)).max()),
        ),
        "Nesterov": Gaps(
            np.array([np.abs(x - nesterov_exact(t, 1.0)).max() for t, x in bessels]),
            float(np.abs(accelerated_error(fine)).max()),
        ),
    }


class Motion(NamedTuple):
    """A network as a mass with friction: the equation, and training with several steps."""

    t: Array
    potential: Array
    kinetic: Array
    lost: Array
    injection: Array  # integral of v^T H v / 2 over time up to t, along the motion
    trained: list[History]  # one for each of STEPS


def move(seed: int) -> Motion:
    """Let a network for XOR move from a random start."""
    theta = init(NET, rng=np.random.default_rng(seed))
    t = np.linspace(0.0, NET_SPAN, 401)
    motion = heavy_ball_flow(lambda p: value_and_gradient(p, NET, CORNERS, TRUTH)[1], theta, t, NET_FRICTION,
                             rtol=1e-7)  # fmt: skip
    values, forces = zip(*(value_and_gradient(p, NET, CORNERS, TRUTH) for p in motion.x), strict=True)
    turned = np.sum(
        (motion.v[1:] + motion.v[:-1]) / 2 * np.diff(forces, axis=0), axis=1
    )  # v^T H v dt = v . dg
    injection = np.append(0.0, np.cumsum(turned)) / 2
    trained = []
    for h in STEPS:
        lr, momentum = heavy_ball_limit(NET_FRICTION, h)
        epochs = round(NET_SPAN / h)
        net = EnergyNet(NET, theta)
        trained.append(
            net.train(CORNERS, TRUTH, lr, epochs, momentum=momentum, record_every=max(1, epochs // 100))
        )
    kinetic = np.sum(motion.v**2, axis=1) / 2
    return Motion(t, np.array(values), kinetic, motion.lost, injection, trained)


def needed(path: Array) -> float:
    """Steps until a path stays within 1 % of its start."""
    return float(np.flatnonzero(np.abs(path) > 0.01)[-1] + 1)


def forgotten() -> float:
    """z with (1 + z) exp(-z) = 1 %, of critical damping, by iterating z = ln(100 (1 + z))."""
    z = 6.0
    for _ in range(40):
        z = log(100.0 * (1.0 + z))
    return z


def counts() -> tuple[Array, Array]:
    """Steps that descent, and a critically damped heavy ball, need for 1 % at each of RATES."""
    plain, heavy = [], []
    for rate in RATES:
        plain.append(needed(descend(spring, 1.0, float(rate), int(6 / rate))))
        lr, momentum = heavy_ball_limit(2.0, sqrt(rate))
        heavy.append(needed(trajectory(spring, [1.0], lr, momentum, int(10 / sqrt(rate)))[:, 0]))
    return np.array(plain), np.array(heavy)


def main(arguments: Sequence[str] | None = None) -> int:
    """Move, train, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Is momentum a mass on a spring?")
    with Run("momentum_physics", config) as run:
        claims = Claims()
        parts = [
            partial(judge_limits, claims, run),
            partial(judge_mechanics, claims, run),
            partial(judge_energy, claims, run, config),
        ]
        for part in run.track(parts, "moving"):
            part()
        claims.conclude(run, "momentum is damped motion, off by O(sqrt(lr)), and the energy books balance")
    return run.exit_code


def judge_limits(claims: Claims, run: Run) -> None:
    """Both methods against their curves, and the number of steps."""
    found = gaps()
    for name, gap in found.items():
        claims.near(
            f"{name}: gap to its curve, order in h = sqrt(lr)", observed_order(STEPS, gap.measured), 1.0, 0.03
        )
        ratio = gap.measured[-1] / (STEPS[-1] * gap.height)
        claims.near(f"{name}: gap / (h |e|) at h = 1/80", ratio, 1.0, 0.01)
    t, x = accelerated(0.02, 100.0)
    late = (t > 90.0) & (t < 96.3)  # one period: the peak of both
    rate = -log(np.abs(x[late]).max() / np.abs(nesterov_exact(t[late], 1.0)).max()) / 93.0
    claims.near("Nesterov, late: decay beyond Bessel's, in units of h curvature / 2", rate / 0.01, 1.0, 0.06)
    plain, heavy = counts()
    claims.near("descent: steps to 1 % go as lr to the power", observed_order(RATES, plain), -1.0, 0.02)
    power = observed_order(RATES[2:], heavy[2:])
    claims.near("critical damping: steps to 1 % go as lr to the power, up to 0.01", power, -0.5, 0.02)
    claims.near("descent: steps x lr x curvature, smallest lr", plain[-1] * RATES[-1], log(100.0), 0.02)
    claims.near(
        "critical damping: steps x sqrt(lr x curvature), the same",
        heavy[-1] * sqrt(RATES[-1]),
        forgotten(),
        0.1,
    )
    draw_limits(run, found)
    draw_phase(run, plain, heavy)


def judge_mechanics(claims: Claims, run: Run) -> None:
    """The heavy ball as an integrator: which one it is, what it conserves, and how far it goes."""
    lr, momentum, k = 0.04, 0.9, 200
    h = heavy_ball_time(lr, momentum)[1]
    mass = integrate(KICKS, lambda q: -q, [1.0], [0.0], h, k, friction=-log(momentum) / h)
    off = np.abs(mass.q - trajectory(spring, [1.0], lr, momentum, k)).max()
    claims.at_most("heavy ball is kick, drift and friction -ln(momentum) / h: positions off by", off, 1e-12)
    area = float(np.linalg.det(step_matrix(KICKS, 1.0, h, friction=-log(momentum) / h)))
    claims.near("a step shrinks areas of the phase plane by the momentum", area, momentum, 1e-12)
    claims.near("without friction: largest stable lr x curvature", stability_limit(KICKS) ** 2, 4.0, 1e-5)
    free = integrate(KICKS, lambda q: -q, 1.0, 0.0, 0.4, 10_000)
    shadow = modified_energy(step_matrix(KICKS, 1.0, 0.4), 0.4, free.q, free.p)
    drift = float(np.abs(shadow - shadow[0]).max())
    claims.at_most("without friction: 10,000 steps change H - h q p / 2 by", drift, 1e-11)
    swing = float(np.ptp(energies(lambda q: float(q * q) / 2, free)))
    claims.near("and H itself stays in a band of width", swing, 0.5 * (1 / 0.8 - 1 / 1.2), 0.002)
    euler = energies(lambda q: float(q * q) / 2, explicit_euler(lambda q: -q, 1.0, 0.0, 0.4, 20))
    claims.near("moving both at once instead: energy after 20 steps", euler[-1] / euler[0], 1.16**20, 1e-9)


def judge_energy(claims: Claims, run: Run, config: Config) -> None:
    """The energy of a network in training."""
    motions = [move(1000 * config.seed + start) for start in range(config.starts)]
    books = [np.abs(each.kinetic - each.work + each.dissipated).max() for m in motions for each in m.trained]
    claims.at_most(
        "network: kinetic energy is work less heat, at every record, up to", float(max(books)), 1e-12
    )
    kept = [np.abs(m.potential + m.kinetic + m.lost - m.potential[0]).max() for m in motions]
    claims.at_most("network, as motion: potential + kinetic + heat changes by", float(max(kept)), 1e-5)
    ratios = [m.trained[-1].injected[-1] / (STEPS[-1] * m.injection[-1]) for m in motions]
    orders = [observed_order(STEPS[2:], [each.injected[-1] for each in m.trained[2:]]) for m in motions]
    # mean + 4 sd over 24 starts: 1.010 and 1.007
    claims.near("network, worst start: energy injected, order in h", worst(orders, 1.0), 1.0, 0.015)
    claims.near("network, worst start: injected / predicted at h = 1/80", worst(ratios, 1.0), 1.0, 0.015)
    draw_energy(run, motions)


def worst(values: list[float], expected: float) -> float:
    """The one farthest from what is expected."""
    return max(values, key=lambda value: abs(value - expected))


def draw_limits(run: Run, found: dict[str, Gaps]) -> None:
    """``springs.png``: both methods on their curves, and the distances."""
    title = "Momentum is damped motion: on x² / 2, from rest"
    with plots.figure(title, columns=3, width=12.0, height=4.5) as (drawn, axes):
        left, middle, right = axes[0]
        fine = np.linspace(0.0, 20.0, 600)
        for i, friction in enumerate(FRICTIONS):
            left.plot(fine, oscillator(fine, 1.0, friction)[0], color=plots.COLORS[i])
            t, x = ball(0.1, friction, 20.0)
            name = f"friction {friction:g}: momentum {1 - 0.1 * friction:.2g}"
            left.plot(t[::4], x[::4], color="black", linestyle="none", marker=plots.MARKERS[i],
                      markersize=3.5, fillstyle="none", label=name)  # fmt: skip
        left.set(xlabel="time = √lr × step", ylabel="x", title="Heavy ball, lr = 0.01", xlim=(0.0, 20.0))
        left.legend(loc="upper right", fontsize=8)
        middle.plot(fine, nesterov_exact(fine, 1.0), color=plots.COLORS[0], label="2 J₁(t) / t")
        for i, h in enumerate((0.2, 0.05)):
            t, x = accelerated(h, 20.0)
            thin = round(0.4 / h) // (2 - i)
            middle.plot(t[::thin], x[::thin], color="black", linestyle="none", marker=plots.MARKERS[1 - i],
                        markersize=3.5, fillstyle="none", label=f"lr = {h * h:.2g}")  # fmt: skip
        middle.set(
            xlabel="time = √lr × step", ylabel="x", title="Nesterov, momentum (k−1)/(k+2)", xlim=(0.0, 20.0)
        )
        middle.legend(loc="upper right", fontsize=8)
        for i, (name, gap) in enumerate(found.items()):
            right.loglog(STEPS, gap.height * STEPS, color=plots.COLORS[i], linestyle=plots.LINES[i])
            right.loglog(STEPS, gap.measured, color="black", linestyle="none", marker=plots.MARKERS[i],
                         fillstyle="none", label=name)  # fmt: skip
        right.set(
            xlabel="h = √lr",
            ylabel=f"largest distance up to t = {SPAN:g}",
            title="Marks measured, lines h |e|",
        )
        right.set_xticks(STEPS, [f"{h:g}" for h in STEPS])
        right.set_xticks([], minor=True)
        right.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "Marks: iterates. Lines: damped oscillator, Bessel curve, and the error of first order, all "
            "predicted. The limit is lr → 0 at fixed friction; of a large lr, at the edge, nothing is said. "
            "One curvature is shown: on a quadratic every other is the same curve with another clock.",
        )
        run.save_figure("springs", drawn)


def draw_phase(run: Run, plain: Array, heavy: Array) -> None:
    """``phase.png``: position and velocity without and with friction, and the number of steps."""
    title = "In the phase plane, and in the number of steps"
    with plots.figure(title, columns=2, width=9.8, height=4.8) as (drawn, axes):
        left, right = axes[0]
        h = 0.4
        grid = np.linspace(-1.9, 1.9, 200)
        q, p = np.meshgrid(grid, grid)
        left.contour(
            q, p, q * q / 2 + p * p / 2 - h * q * p / 2, levels=[0.5], colors=[plots.BLUE], linewidths=1.6
        )
        free = integrate(KICKS, lambda q: -q, 1.0, 0.0, h, 120)
        left.plot(free.q, free.p, "o", color="black", markersize=3.5, fillstyle="none", label="momentum 1")
        damped = integrate(KICKS, lambda q: -q, 1.0, 0.0, h, 60, friction=-log(0.9) / h)
        left.plot(damped.q, damped.p, "-", color="0.6", linewidth=0.7)
        left.plot(damped.q, damped.p, "^", color=plots.COLORS[1], markersize=4, label="momentum 0.9")
        outward = explicit_euler(lambda q: -q, 1.0, 0.0, h, 8)
        left.plot(outward.q, outward.p, "--s", color=plots.COLORS[2], markersize=4, linewidth=0.8,
                  label="both at once")  # fmt: skip
        left.set(xlabel="position", ylabel="velocity", title=f"lr × curvature = {h * h:.2g}", aspect="equal",
                 xlim=(-1.9, 1.9), ylim=(-1.9, 1.9))  # fmt: skip
        left.legend(loc="upper right", fontsize=8)
        lines = (log(100.0) / RATES, forgotten() / np.sqrt(RATES))
        names = ("descent: ln 100 / (lr a)", "heavy ball, critical: 6.64 / √(lr a)")
        for i, (found, line, name) in enumerate(zip((plain, heavy), lines, names, strict=True)):
            right.loglog(RATES, line, color=plots.COLORS[i], linestyle=plots.LINES[i])
            right.loglog(RATES, found, color="black", linestyle="none", marker=plots.MARKERS[i],
                         fillstyle="none", label=name)  # fmt: skip
        right.set(
            xlabel="learning rate × curvature a", ylabel="steps to 1 % of the start", title="Time goes by √lr"
        )
        right.legend(loc="upper right", fontsize=8)
        plots.caption(
            drawn,
            "Left: without friction the steps stay on the tilted ellipse H − h q p / 2 = 1/2 (line); moving "
            "position and velocity at once, they leave. Right: marks measured, lines predicted, for one "
            "curvature with the friction that suits it; of many curvatures only one can be critical.",
        )
        run.save_figure("phase", drawn)


def draw_energy(run: Run, motions: list[Motion]) -> None:
    """``energy.png``: where the energy of a network is while it trains, and what the steps inject."""
    motion = motions[0]
    title = "The energy of a network that learns XOR"
    with plots.figure(title, columns=2, width=10.2, height=4.7) as (drawn, axes):
        left, right = axes[0]
        history, h = motion.trained[1], STEPS[1]
        t = h * history.epoch
        parts = [history.potential, history.kinetic, history.dissipated]
        shades = ("#9ecae1", "#fdd0a2", "#e0e0e0")
        left.stackplot(t, *parts, colors=shades, labels=("potential: the loss", "kinetic", "heat"))
        left.plot(motion.t, motion.potential, color="black", linewidth=1.0)
        left.plot(motion.t, motion.potential + motion.kinetic, color="black", linewidth=1.0, linestyle="--")
        everything = motion.potential[0] + h * motion.injection
        left.plot(motion.t, everything, color="black", linewidth=1.0, linestyle="-.")
        left.axhline(motion.potential[0], color="black", linewidth=1.2, linestyle=(0, (1, 2)))
        left.annotate("at the start", (NET_SPAN, motion.potential[0]), xytext=(-4, -12), ha="right",
                      textcoords="offset points", fontsize=8)  # fmt: skip
        left.set(xlabel="time = √lr × step", ylabel="energy", xlim=(0.0, NET_SPAN))
        left.set_title(f"lr = {h * h:.2g}, momentum {1 - NET_FRICTION * h:.2g}")
        left.legend(loc="center right", fontsize=8, frameon=True, facecolor="white", edgecolor="none")
        for i, each in enumerate(motions[:4]):
            right.loglog(STEPS, each.injection[-1] * STEPS, color=plots.COLORS[i], linestyle=plots.LINES[i])
            right.loglog(STEPS, [done.injected[-1] for done in each.trained], color="black", linestyle="none",
                         marker=plots.MARKERS[i], fillstyle="none", label=f"start {i + 1}")  # fmt: skip
        right.set(
            xlabel="h = √lr", ylabel=f"energy injected up to t = {NET_SPAN:g}", title="What the steps put in"
        )
        right.set_xticks(STEPS, [f"{h:g}" for h in STEPS])
        right.set_xticks([], minor=True)
        right.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "Left: areas are measured in training; lines, from the equation of motion: potential, with "
            "kinetic, and all of it with the injection predicted; above the dotted line is the injection. "
            "Right: marks measured, lines h ∫ v·Hv dt / 2. Full batches; mini-batches inject energy of "
            "their own. That a heavier or hotter network generalises better is not claimed.",
        )
        run.save_figure("energy", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
