r"""What can a circuit of neurons hold, and how can it find a gradient?

The same leaky units, tau x' = -x + W phi(x) + u, do four different things by their weights, all predicted:

    ring             keeps an angle: a bump that makes itself, at any angle alike; shift = tau omega turns it
    Wilson-Cowan     rests, or oscillates once inhibition is slower than tau_i* (Hopf)
    random           below g = 1 activity dies out, above it is chaotic, with a variance that theory gives
    two equilibria   the difference of two rests is a gradient: error O(beta), from both sides O(beta^2)

And one does not work: to find the past of y' = -a y by running it backward, for errors grow by e^(a t).

Source   Ben-Yishai, Bar-Or & Sompolinsky 1995, PNAS 92, 3844; Zhang 1996, J. Neurosci. 16, 2112 (ring);
         Wilson & Cowan 1972, Biophys. J. 12, 1; Sompolinsky, Crisanti & Sommers 1988, PRL 61, 259 (chaos);
         Scellier & Bengio 2017, Front. Comput. Neurosci. 11:24; Gholami et al. 2019, arXiv:1902.10298.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import log, pi

import numpy as np
from matplotlib.axes import Axes

from dynamics.continuous.ode import observed_order, odeint
from dynamics.energy.equilibrium_propagation import Layer, eqprop_grad, implicit_grad, relax
from dynamics.neural.neural_ode import reconstruct
from dynamics.neural.rate_networks import (
    Bump,
    WilsonCowan,
    bump_center,
    bump_shape,
    chaos_variance,
    fixed_points,
    hopf,
    nullclines,
    random_weights,
    rate_field,
    rate_jacobian,
    ring_weights,
)
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--units", "300", "--networks", "3", "--frames", "3")  # what continuous integration runs
RING, J0, J1 = 256, -1.0, 3.0  # units and weights of the ring
ANGLES = (0.3, 1.7, 4.0)  # where bumps are begun, radians
HELD = 100.0  # time constants that they are held
SHIFT = 0.2  # of the ring that turns, radians a time constant
PAIR = WilsonCowan(10.0, 10.0, 10.0, 2.0, 0.0, -4.0)
NUDGE = 1e-6  # from the fixed point
GAINS = (0.9, 1.5, 2.0)
BETAS = (0.16, 0.08, 0.04, 0.02, 0.01, 0.005)
DECAYS = (10.0, 20.0, 30.0, 40.0)
ERROR = 1e-12  # of the state that is run backward
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    units: int = 600  # of a random network
    networks: int = 4  # of each gain
    frames: int = 60  # of the animation
    seed: int = 0


def angles(n: int) -> Array:
    """Of the units of a ring."""
    return 2.0 * pi * np.arange(n) / n


def ring(shift: float, start: float, times: Array) -> Array:
    """Currents (T, RING) of a ring whose bump begins at an angle, close to the one that it can hold."""
    shape = bump_shape(J0, J1)
    x0 = 0.8 * (profile(shape, start) + 0.2)
    field = rate_field(ring_weights(RING, J0, J1, shift), 1.0, phi="relu")
    return odeint(field, x0, times, rtol=1e-8, atol=1e-10).ys


def profile(bump: Bump, center: float) -> Array:
    """The current that theory gives each unit."""
    return bump.amplitude * (np.cos(angles(RING) - center) - np.cos(bump.half_width))


def turned(x: Array) -> Array:
    """The angle of the bump at each time, without jumps."""
    return np.unwrap(bump_center(np.maximum(x, 0.0)))


def growth(tau_i: float) -> tuple[float, float]:
    """How fast a small deviation of the pair grows, and in which time it comes back: both measured."""
    pair = replace(PAIR, tau_i=tau_i)
    rest = fixed_points(pair)[0]
    times = np.linspace(0.0, 30.0, 3001)
    path = (
        odeint(pair_field(pair), rest + np.array([NUDGE, 0.0]), times, rtol=1e-10, atol=1e-16).ys[:, 0]
        - rest[0]
    )
    up = np.flatnonzero((path[:-1] < 0.0) & (path[1:] >= 0.0))
    exact = times[up] - path[up] * (times[1] - times[0]) / (path[up + 1] - path[up])
    period = float(np.mean(np.diff(exact)))
    peaks = [np.abs(path[a:b]).max() for a, b in pairwise(up)]
    return float(np.polyfit(exact[:-1], np.log(peaks), 1)[0]), period


def pair_field(c: WilsonCowan):
    """The slopes of E and I: a rate network of two sigmoid units."""
    W = np.array([[c.w_ee, -c.w_ei], [c.w_ie, -c.w_ii]])
    return rate_field(W, [c.u_e, c.u_i], [c.tau_e, c.tau_i], phi="sigmoid", form="rate")


def activity(g: float, config: Config) -> list[Array]:
    """Currents (T, units) of random networks of a gain, after their transient."""
    paths = []
    for seed in range(config.seed, config.seed + config.networks):
        rng = np.random.default_rng([seed, round(1000 * g)])
        field = rate_field(random_weights(config.units, g, rng=rng))
        x0 = rng.standard_normal(config.units)
        # steps of a quarter of the time constant: the variance is that of smaller ones within its spread
        settled = odeint(field, x0, [0.0, 100.0], "rk4", substeps=400).ys[-1]
        paths.append(odeint(field, settled, np.linspace(0.0, 100.0, 201), "rk4", substeps=2).ys)
    return paths


def machine(seed: int) -> tuple[list[Layer], Array, Array]:
    """A network 3-5-2 that relaxes, its inputs and its targets."""
    rng = np.random.default_rng(seed)
    sizes = ((3, 5), (5, 2))
    layers = [Layer(0.2 * rng.standard_normal((k, c)), 0.1 * rng.standard_normal(k)) for c, k in sizes]
    return layers, rng.standard_normal((6, 3)), rng.uniform(-1.0, 1.0, (6, 2))


def gradient_errors(seed: int) -> dict[str, Array]:
    """How far the gradient from two equilibria is from the exact one, for each beta."""
    layers, x, target = machine(seed)
    true = flat(implicit_grad(layers, x, relax(layers, x, tol=1e-13), target))
    return {
        method: np.array(
            [
                np.linalg.norm(flat(eqprop_grad(layers, x, target, beta, method, tol=1e-13)) - true)
                / np.linalg.norm(true)
                for beta in BETAS
            ]
        )
        for method in ("one_sided", "symmetric")
    }


def flat(layers: Sequence[Layer]) -> Array:
    """All weights and biases in a row."""
    return np.concatenate([np.append(layer.weight, layer.bias) for layer in layers])


def lost(a: float) -> float:
    """How far y_0 = 1 is missed when y' = -a y is run backward from an end that is off by ERROR."""
    ts = np.array([0.0, 1.0])
    end = np.array([np.exp(-a) + ERROR])
    found = reconstruct(lambda _, y, theta: -theta * y, np.array([a]), end, ts, "rk4", substeps=2000)
    return abs(float(found[0, 0]) - 1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "What can a circuit of neurons hold?")
    with Run("neural_dynamics", config) as run:
        claims = Claims()
        parts = [
            partial(holds, run, claims),
            partial(oscillates, run, claims),
            partial(wanders, run, claims, config),
            partial(differentiates, run, claims, config),
            partial(animate, run, config),
        ]
        for part in run.track(parts, "simulating"):
            part()
        claims.conclude(run, "circuits hold, turn, oscillate, wander and differentiate as their weights say")
    return run.exit_code


def holds(run: Run, claims: Claims) -> None:
    """The ring: what it can hold, for how long, and how it turns."""
    values = np.linalg.eigvals(ring_weights(RING, J0, J1))
    expected = np.append([J0, J1 / 2, J1 / 2], np.zeros(RING - 3))
    off = np.abs(np.sort_complex(values) - np.sort_complex(expected.astype(complex))).max()
    claims.at_most("ring: eigenvalues j0, j1/2 twice and 0, off by", float(off), 1e-12)
    times = np.linspace(0.0, HELD, 101)
    paths = [ring(0.0, start, times) for start in ANGLES]
    shape = bump_shape(J0, J1)
    worst = max(float(np.abs(x[-1] - profile(shape, turned(x)[-1])).max()) for x in paths)
    claims.at_most(
        "its bump over the predicted one: largest difference / height", worst / shape.amplitude, 0.01
    )
    drift = max(float(np.abs(turned(x) - start).max()) for x, start in zip(paths, ANGLES, strict=True))
    claims.at_most(f"it moves in {HELD:.0f} time constants by", drift, 0.01, "rad")
    moving = ring(SHIFT, ANGLES[0], times)
    speed = float(np.polyfit(times[20:], turned(moving)[20:], 1)[0])
    claims.near("with a shift it turns at shift / tau", speed, SHIFT, 0.002, "rad")
    faint = odeint(
        rate_field(ring_weights(RING, J0, 1.8), 1.0, phi="relu"), profile(shape, 1.0), [0.0, HELD]
    ).ys[-1]
    claims.at_most("j1 = 1.8, below 2: unevenness that is left", float(np.ptp(faint)), 1e-3)
    title = "A ring of neurons keeps an angle, or turns it"
    with plots.figure(title, columns=2, width=9.8, height=4.4) as (drawn, axes):
        left, right = axes[0]
        degrees = np.degrees(angles(RING))
        for i, (x, start) in enumerate(zip(paths, ANGLES, strict=True)):
            style = {
                "color": plots.COLORS[i],
                "marker": plots.MARKERS[i],
                "markersize": 4,
                "linestyle": "none",
            }
            left.plot(degrees[::8], np.maximum(x[-1], 0.0)[::8], fillstyle="none", **style)
            left.plot(degrees, np.maximum(profile(shape, start), 0.0), color=plots.COLORS[i], linewidth=1.2)
            right.plot(times[::5], np.degrees(turned(x))[::5], **style)
            right.axhline(np.degrees(start), color=plots.COLORS[i], linewidth=1.0)
        left.set(
            xlabel="preferred angle of a unit (degrees)",
            ylabel="rate",
            title=f"After {HELD:.0f} time constants",
        )
        track = np.degrees(turned(moving))
        right.plot(times[::5], track[::5], color="black", linestyle="none", marker="D", markersize=3)
        begin = track[20] - np.degrees(SHIFT) * times[20]
        right.plot(times, begin + np.degrees(SHIFT) * times, color="black", linewidth=1.0, linestyle="--")
        right.annotate(f"shift {SHIFT:g}: turns", (times[45], track[45]), xytext=(10, -4),
                       textcoords="offset points", fontsize=9)  # fmt: skip
        right.set(
            xlabel="time / τ", ylabel="angle of the bump (degrees)", ylim=(0, 720), title="Held, and turned"
        )
        plots.caption(
            drawn,
            "Marks: simulated; lines: predicted. Equal weights at all angles are assumed: real circuits are "
            "not so even, and their bumps drift to preferred places.",
        )
        run.save_figure("ring", drawn)


def oscillates(run: Run, claims: Claims) -> None:
    """Wilson-Cowan: where the rest becomes an oscillation."""
    rest = fixed_points(PAIR)[0]
    onset = hopf(PAIR, rest)
    assert onset is not None
    around = (0.98, 0.99, 1.01, 1.02)
    rates = [growth(onset.tau_i * factor)[0] for factor in around]
    line = np.polyfit(rates, np.array(around) * onset.tau_i, 2)
    claims.near("Wilson-Cowan: growth is 0 at tau_i =", float(np.polyval(line, 0.0)), onset.tau_i, 1e-3)
    claims.near("the period there", growth(onset.tau_i)[1], onset.period, 1e-3 * onset.period)
    for factor, word in ((0.9, "below"), (1.1, "above")):
        slow = replace(PAIR, tau_i=onset.tau_i * factor)
        J = pair_jacobian(slow, rest)
        predicted = float(np.linalg.eigvals(J).real.max())
        claims.near(
            f"growth 10 % {word}, from the Jacobian", growth(slow.tau_i)[0], predicted, 0.02 * abs(predicted)
        )
    with plots.figure("Slow inhibition: from rest to rhythm", columns=2, width=9.0, height=4.4) as (
        drawn,
        axes,
    ):
        for axis, factor in zip(axes[0], (0.8, 1.2), strict=True):
            phase_plane(axis, replace(PAIR, tau_i=onset.tau_i * factor), rest)
            axis.set_title(f"τ_i = {factor:g} τ_i*")
        axes[0, 0].legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "The nullclines, and with them the rest, are the same in both: what differs is how fast "
            "inhibition follows. Two populations stand for many neurons; spikes and delays are left out.",
        )
        run.save_figure("rhythm", drawn)


def pair_jacobian(c: WilsonCowan, point: Array) -> Array:
    """Of the pair at a point."""
    W = np.array([[c.w_ee, -c.w_ei], [c.w_ie, -c.w_ii]])
    return rate_jacobian(W, point, [c.u_e, c.u_i], [c.tau_e, c.tau_i], phi="sigmoid", form="rate")


def phase_plane(axis: Axes, c: WilsonCowan, rest: Array) -> None:
    """Nullclines, and a path from beside the fixed point."""
    s = np.linspace(0.001, 0.999, 600)
    inhibition, excitation = nullclines(c, s)
    axis.plot(s, inhibition, color=plots.COLORS[0], linestyle="--", label="E' = 0")
    axis.plot(excitation, s, color=plots.COLORS[1], linestyle="-.", label="I' = 0")
    path = odeint(pair_field(c), rest + np.array([0.15, 0.0]), np.linspace(0.0, 40.0, 2000)).ys
    axis.plot(*path.T, color="black", linewidth=0.8, label="a path")
    axis.plot(*path[0], color="black", marker="o", markersize=4)
    axis.plot(*rest, color="black", marker="+", markersize=10)
    axis.set(xlabel="excitation E", ylabel="inhibition I", xlim=(0, 1), ylim=(0, 1))


def wanders(run: Run, claims: Claims, config: Config) -> None:
    """Random networks: silence below a gain of 1, chaos above."""
    found = {g: activity(g, config) for g in GAINS}
    silent = max(float(np.abs(x[-1]).max()) for x in found[0.9])
    claims.at_most("random, gain 0.9: activity after 200 time constants", silent, 1e-3)
    for g in GAINS[1:]:
        variance = float(np.mean([np.mean(x * x) for x in found[g]]))
        claims.near(
            f"gain {g}: variance over that predicted for many units", variance / chaos_variance(g), 1.0, 0.15
        )
    with plots.figure("Random weights: silence, and chaos", columns=2, width=9.6, height=4.2) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        times = np.linspace(0.0, 100.0, 201)
        for i in range(3):
            left.plot(
                times, found[1.5][0][:, i], color=plots.COLORS[i], linestyle=plots.LINES[i], linewidth=1.0
            )
        left.set(xlabel="time / τ", ylabel="x", title="Three units of one network, gain 1.5")
        gains = np.linspace(0.8, 2.2, 57)
        right.plot(
            gains, [chaos_variance(g) for g in gains], color=plots.COLORS[1], label="predicted, many units"
        )
        for g in GAINS:
            each = [np.mean(x * x) for x in found[g]]
            right.plot([g] * len(each), each, color="black", linestyle="none", marker="o", fillstyle="none",
                       label=f"networks of {config.units}" if g == GAINS[0] else None)  # fmt: skip
        right.set(xlabel="gain g", ylabel="variance of x", title="How much they wander")
        right.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "Nothing drives these networks and nothing in them is noisy. The prediction is for infinitely "
            "many units; those of a few hundred scatter about it, and some small ones come to rest.",
        )
        run.save_figure("chaos", drawn)


def differentiates(run: Run, claims: Claims, config: Config) -> None:
    """Two equilibria as a gradient, and a past that cannot be found."""
    found = [gradient_errors(seed) for seed in range(config.seed, config.seed + 3)]
    for method, order in (("one_sided", 1.0), ("symmetric", 2.0)):
        orders = [observed_order(BETAS[-2:], errors[method][-2:]) for errors in found]
        worst = max(orders, key=lambda o: abs(o - order))
        claims.near(f"gradient from two equilibria, {method}: order of the error in beta", worst, order, 0.15)
    missed = np.array([lost(a) for a in DECAYS])
    slope = float(np.polyfit(DECAYS, np.log(missed), 1)[0])
    claims.near("backward in time: d ln(error) / d decay", slope, 1.0, 0.01)
    claims.near("ln(error / 1e-12) at decay 40", log(missed[-1] / ERROR), DECAYS[-1], 0.4)
    with plots.figure("Gradients by relaxing, and by going back", columns=2, width=9.6, height=4.2) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        for i, (method, order) in enumerate((("one_sided", 1), ("symmetric", 2))):
            errors = found[0][method]
            left.loglog(BETAS, errors, color="black", linestyle="none", marker=plots.MARKERS[i],
                        label=method.replace("_", "-"))  # fmt: skip
            left.loglog(BETAS, errors[-1] * (np.array(BETAS) / BETAS[-1]) ** order, color=plots.COLORS[i],
                        linestyle=plots.LINES[i], label=f"slope {order}")  # fmt: skip
        left.set(xlabel="pull β", ylabel="relative error of the gradient", title="Two equilibria")
        left.legend(loc="lower right", fontsize=8)
        right.semilogy(DECAYS, missed, color="black", linestyle="none", marker="o", label="measured")
        line = np.array([DECAYS[0], DECAYS[-1]])
        right.semilogy(
            line, ERROR * np.exp(line), color=plots.COLORS[1], linestyle="--", label="1e-12 · exp(a)"
        )
        right.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
        right.set(xlabel="decay a", ylabel="error in y(0) = 1", title="y' = −a y run backward from t = 1")
        right.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "Left: against the implicit function theorem. Right: a neural ODE that contracts cannot be run "
            "backward to save memory; checkpoints can. Neither says how well such networks learn.",
        )
        run.save_figure("gradients", drawn)


def animate(run: Run, config: Config) -> None:
    """``ring.gif``: a bump that is held, and then turned."""
    times = np.linspace(0.0, 2.0 * pi / SHIFT, config.frames)
    moving = np.maximum(ring(SHIFT, pi / 2, times), 0.0)
    theta = np.append(angles(RING), 2.0 * pi)
    with plots.figure("A heading that turns", width=4.2, height=4.4) as (drawn, axes):
        axis = axes[0, 0]
        (curve,) = axis.plot([], [], color=plots.COLORS[0])
        (hand,) = axis.plot([], [], color=plots.COLORS[1], linestyle="--", linewidth=1.2)
        circle = np.stack([np.cos(theta), np.sin(theta)])
        axis.plot(*circle, color="0.6", linewidth=0.8)
        axis.set(xlim=(-2, 2), ylim=(-2, 2), aspect="equal", xticks=[], yticks=[])
        axis.grid(False)
        largest = moving.max()

        def show(number: int) -> None:
            radius = 1.0 + 0.8 * np.append(moving[number], moving[number][0]) / largest
            curve.set_data(radius * circle[0], radius * circle[1])
            center = bump_center(moving[number])
            hand.set_data([0.0, np.cos(center)], [0.0, np.sin(center)])
            axis.set_title(f"time {times[number]:.1f} τ, {np.degrees(center):.0f}°")

        run.save_animation("ring", drawn, show, range(config.frames), fps=12)


if __name__ == "__main__":
    raise SystemExit(main())
