r"""How far is gradient descent from the gradient flow, and which flow is it on instead?

Step k stands at time t = k lr. On a loss L with gradient g, Hessian H and third derivative T, at any time t:

    descent - flow of L                   = lr   d(t) + O(lr^2)    d' = -H d - H g / 2
    descent - flow of L + lr/4 |g|^2      = lr^2 e(t) + O(lr^3)    e' = -H e - H H g / 3 - T(g, g) / 12

with H, g and T along the flow: not only the slopes 1 and 2 are predicted, the heights are, too. What the flow
conserves, descent shrinks: x^2 - y^2 on (x y - 1)^2 / 2 by a factor 1 - lr^2 r^2 in each step, r = x y - 1.

Source   Hairer, Lubich & Wanner 2006, "Geometric numerical integration", sec. IX.1, example 1.1 and eq. 1.4;
         Barrett & Dherin 2021, arXiv:2009.11162; Du, Hu & Lee 2018, arXiv:1806.00900.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import asinh, exp, log, sqrt
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from dynamics.continuous.backward_error import flow_gaps, modified_gradient, modified_rate
from dynamics.continuous.conservation import (
    balance,
    balance_drift,
    linear_loss,
    product_charge,
    product_descent,
)
from dynamics.continuous.gradient_flow import descend, flow, flow_exact
from dynamics.continuous.ode import observed_order
from dynamics.discrete.gd_quadratic import closed_form
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--starts", "2")  # what continuous integration runs
Array = np.ndarray
X0, Y0 = 2.0, -1.0
START = np.array([X0, Y0])
LARGE = 0.1  # the learning rate whose path is drawn: lr times the curvature at the start is 0.77
SHOWN = (0.05, 0.025, 0.0125)  # learning rates whose charges are drawn
STEPS = (32, 64, 128, 256, 512)  # from time 0 to time 1: the learning rates are their inverses
RATES = 1.0 / np.array(STEPS)
HIDDEN = 4  # units of the linear network, of 3 inputs and 2 outputs


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    starts: int = 12  # other starts, at random, that the orders are measured from
    seed: int = 0


def loss(p: Array) -> Array:
    """(x y - 1)^2 / 2: a network with one weight in each of its two layers."""
    return 0.5 * (p[0] * p[1] - 1.0) ** 2


def gradient(p: Array) -> Array:
    """r (y, x)."""
    return (p[0] * p[1] - 1.0) * p[::-1]


def product(p: Array, v: Array) -> Array:
    """The Hessian ((y^2, 2 x y - 1), (2 x y - 1, x^2)) times v."""
    return p[::-1] ** 2 * v + (2.0 * p[0] * p[1] - 1.0) * v[::-1]


def third(p: Array, v: Array) -> Array:
    """T(v, v): the third derivatives are 2 y (twice x) and 2 x (twice y), all others 0."""
    return 4.0 * p[::-1] * v[0] * v[1] + 2.0 * p * v[::-1] ** 2


def heights(start: Array) -> tuple[float, float]:
    """Predict |d| and |e| of this file at time 1: no descent is run for it."""

    def slope(state: Array) -> Array:
        p, d, e = state.reshape(3, 2)
        g = gradient(p)
        turn = product(p, g)
        first = product(p, d) + turn / 2.0
        second = product(p, e) + product(p, turn) / 3.0 + third(p, g) / 12.0
        return np.concatenate([g, first, second])

    end = flow(slope, np.append(start, np.zeros(4)), [0.0, 1.0], rtol=1e-10)[-1]
    return float(np.hypot(*end[2:4])), float(np.hypot(*end[4:]))


class Ends(NamedTuple):
    """How far descent is from both flows at time 1, one entry for each learning rate."""

    flow: Array
    modified: Array


def gaps(start: Array) -> Ends:
    """Measure them."""
    ends = [flow_gaps(gradient, product, start, 1.0 / n, n) for n in STEPS]
    return Ends(np.array([e.flow[-1] for e in ends]), np.array([e.modified[-1] for e in ends]))


def shrinkage(start: Array) -> float:
    """Predict -d ln(x^2 - y^2) / d lr at the end of descent, as lr goes to 0: the integral of r^2 over time.

    Along the flow dp/dt = -r sqrt(C^2 + 4 p^2) for p = x y = 1 + r, and so the integral has a closed form.
    """
    x, y = start
    charge = x * x - y * y
    antiderivative = lambda p: sqrt(charge**2 + 4 * p * p) / 4.0 - asinh(2 * p / abs(charge)) / 2.0  # noqa: E731
    return antiderivative(x * y) - antiderivative(1.0)


class Network:
    """A linear network 3-4-2 on random data, its weights as one vector."""

    def __init__(self, seed: int):
        rng = np.random.default_rng(seed)
        self.X = rng.standard_normal((20, 3))
        self.Y = self.X @ rng.standard_normal((3, 2))
        self.start = 0.5 * rng.standard_normal(HIDDEN * 5)

    def layers(self, theta: Array) -> tuple[Array, Array]:
        """W1 (4, 3) and W2 (2, 4)."""
        return theta[: HIDDEN * 3].reshape(HIDDEN, 3), theta[HIDDEN * 3 :].reshape(2, HIDDEN)

    def gradient(self, theta: Array) -> Array:
        """By all weights."""
        at = linear_loss(*self.layers(theta), self.X, self.Y)
        return np.concatenate([at.grad1.ravel(), at.grad2.ravel()])

    def slope(self, state: Array) -> Array:
        """Of the flow, with the integral of G2^T G2 - G1 G1^T as further unknowns."""
        g = self.gradient(state[: self.start.size])
        return np.append(g, -balance(*self.layers(g)))

    def flow(self) -> tuple[Array, Array]:
        """Of the flow at time 1: the change of the balance, 0, and its drift per learning rate in descent."""
        start = np.append(self.start, np.zeros(HIDDEN**2))
        end = flow(self.slope, start, [0.0, 1.0], rtol=1e-10, atol=1e-12)[-1]
        drift = end[self.start.size :].reshape(HIDDEN, HIDDEN)
        return balance(*self.layers(end[: self.start.size])) - balance(*self.layers(self.start)), drift

    def descent(self, steps: int) -> tuple[Array, float]:
        """The change of the balance up to time 1, and how far the formula of one step is ever from it."""
        path = descend(self.gradient, self.start, 1.0 / steps, steps)
        charges = [balance(*self.layers(theta)) for theta in path]
        predicted = [balance_drift(*self.layers(self.gradient(theta)), 1.0 / steps) for theta in path[:-1]]
        return charges[-1] - charges[0], float(np.abs(np.diff(charges, axis=0) - predicted).max())


def main(arguments: Sequence[str] | None = None) -> int:
    """Descend, follow both flows, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Which flow is gradient descent on?")
    with Run("descent_and_flow", config) as run:
        claims = Claims()
        ends = gaps(START)
        net = Network(config.seed)
        drifts = np.array([np.linalg.norm(net.descent(n)[0]) for n in STEPS])
        parts = [
            partial(judge_orders, claims, config, ends),
            partial(judge_quadratic, claims, config),
            partial(judge_charge, claims),
            partial(judge_network, claims, net, drifts),
            partial(draw_gaps, run, ends),
            partial(draw_charges, run, net, drifts),
        ]
        for part in run.track(parts, "descending"):
            part()
        claims.conclude(run, "descent leaves the flow by O(lr), and the modified flow by O(lr^2)")
    return run.exit_code


def judge_orders(claims: Claims, config: Config, ends: Ends) -> None:
    """Slopes 1 and 2, and the heights, from the start that is drawn and from others."""
    first, second = heights(START)
    claims.near("gap to the flow: order in lr", observed_order(RATES, ends.flow), 1.0, 0.03)
    claims.near("gap to the modified flow: order in lr", observed_order(RATES, ends.modified), 2.0, 0.02)
    claims.near("gap / (lr |d|) at lr = 1/512", ends.flow[-1] / (RATES[-1] * first), 1.0, 0.01)
    claims.near(
        "modified gap / (lr^2 |e|) at lr = 1/512", ends.modified[-1] / (RATES[-1] ** 2 * second), 1.0, 0.01
    )
    rng = np.random.default_rng(config.seed)
    flows, modified = [], []
    for _ in range(config.starts):
        angle = rng.uniform(0.0, 2.0 * np.pi)
        found = gaps(1.5 * np.array([np.cos(angle), np.sin(angle)]))
        flows.append(observed_order(RATES[-2:], found.flow[-2:]))
        modified.append(observed_order(RATES[-2:], found.modified[-2:]))
    # mean +- 4 sd over 48 starts: 1.0010 +- 0.0026 and 1.9980 +- 0.0026, between the two smallest rates
    claims.near("order 1 from the random start where it fits worst", worst(flows, 1.0), 1.0, 0.005)
    claims.near("order 2 from the random start where it fits worst", worst(modified, 2.0), 2.0, 0.01)


def worst(values: list[float], expected: float) -> float:
    """The one farthest from what is expected."""
    return max(values, key=lambda value: abs(value - expected))


def judge_quadratic(claims: Claims, config: Config) -> None:
    """On a quadratic the flow that descent is on is known in full, for lr a < 1."""
    rng = np.random.default_rng(config.seed)
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    curvatures, lr, x0 = np.array([-0.5, 0.3, 2.0, 9.0]), 0.1, rng.standard_normal(4)
    k = np.arange(41)
    descent = closed_form(Q @ np.diag(curvatures) @ Q.T, np.zeros(4), x0, lr, k)
    bent = Q @ np.diag([modified_rate(a, lr) for a in curvatures]) @ Q.T
    off = np.abs(descent - flow_exact((bent + bent.T) / 2, np.zeros(4), x0, lr * k)).max()
    claims.at_most("quadratic: descent is the flow with curvatures -ln(1 - lr a) / lr", float(off), 1e-12)


def judge_charge(claims: Claims) -> None:
    """x^2 - y^2: constant on the flow, shrunk by descent, and with it the sharpness of the minimum found."""
    lr, charge = LARGE, START[0] ** 2 - START[1] ** 2
    times = np.linspace(0.0, 6.0, 61)
    path = flow(gradient, START, times, rtol=1e-11, atol=1e-13)
    claims.at_most(
        "flow: x^2 - y^2 changes by", float(np.abs(path[:, 0] ** 2 - path[:, 1] ** 2 - charge).max()), 1e-8
    )
    walked, residuals = product_descent(X0, Y0, lr, 60)
    off = walked[:, 0] ** 2 - walked[:, 1] ** 2 - product_charge(X0, Y0, residuals, lr)
    claims.at_most(
        "descent: x^2 - y^2 is its start times all 1 - lr^2 r^2, up to", float(np.abs(off).max()), 1e-12
    )
    x, y = product_descent(X0, Y0, 1 / 512, 4096)[0][-1]
    shrunk = -512 * log((x * x - y * y) / charge)
    claims.near("d ln(x^2 - y^2) / d lr is -(integral of r^2 over time)", shrunk, shrinkage(START), 0.02)
    sharpness = float(np.sum(path[-1] ** 2))
    claims.near("sharpness where the flow ends is sqrt(C^2 + 4)", sharpness, sqrt(charge**2 + 4.0), 1e-6)
    end = flow(modified_gradient(gradient, product, lr), START, times)[-1]
    found = float(np.sum(walked[-1] ** 2))
    claims.at_most(
        "descent at lr = 0.1 ends flatter than the flow: ratio of sharpnesses", found / sharpness, 0.95
    )
    claims.near(
        "ratio of its sharpness to that at the end of the modified flow",
        found / float(np.sum(end**2)),
        1.0,
        0.05,
    )


def judge_network(claims: Claims, net: Network, drifts: Array) -> None:
    """W2^T W2 - W1 W1^T of a linear network 3-4-2: a matrix that the flow conserves."""
    kept, drift = net.flow()
    claims.at_most("network, flow: the balance changes by", float(np.abs(kept).max()), 1e-8)
    claims.at_most("network, descent: off lr^2 (G2^T G2 - G1 G1^T) a step by", net.descent(32)[1], 1e-13)
    # mean +- 4 sd over 30 networks: 1.012 +- 0.038 and 1.002 +- 0.007
    claims.near("network: order of the drift in lr", observed_order(RATES, drifts), 1.0, 0.05)
    predicted = RATES[-1] * float(np.linalg.norm(drift))
    claims.near("network: drift / predicted at lr = 1/512", drifts[-1] / predicted, 1.0, 0.01)


def draw_gaps(run: Run, ends: Ends) -> None:
    """``gaps.png``: the three paths in the plane, and their distances at time 1 for five learning rates."""
    title = "Gradient descent, the flow, and the flow that it is on"
    with plots.figure(title, columns=2, width=9.6, height=4.9) as (drawn, axes):
        plane, log_log = axes[0]
        x, y = np.linspace(0.0, 2.2, 200), np.linspace(-1.15, 1.4, 200)
        levels = np.geomspace(0.003, 6.0, 12)
        plots.contours(plane, x, y, loss(np.stack(np.meshgrid(x, y))) + 1e-9, levels)
        lr, times = LARGE, np.linspace(0.0, 6.0, 241)
        plain = flow(gradient, START, times)
        bent = flow(modified_gradient(gradient, product, lr), START, times)
        walked = descend(gradient, START, lr, 60)
        plane.plot(*plain.T, color=plots.COLORS[0], linestyle=plots.LINES[1], label="flow of L")
        plane.plot(*bent.T, color=plots.COLORS[1], label="flow of L + lr/4 |∇L|²")
        style = {"color": "black", "linestyle": "none", "marker": "o", "markersize": 4, "fillstyle": "none"}
        plane.plot(*walked.T, **style, label=f"descent, lr = {lr}")
        plane.set(xlabel="x", ylabel="y", xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), title="(xy − 1)² / 2")
        plane.legend(loc="lower left", frameon=True, facecolor="white", edgecolor="none", fontsize=8)
        names = ("to the flow", "to the modified flow")
        for i, (found, height, name) in enumerate(zip(ends, heights(START), names, strict=True)):
            power = i + 1
            log_log.loglog(
                RATES, found, color="black", linestyle="none", marker=plots.MARKERS[i], markersize=6
            )
            log_log.loglog(RATES, height * RATES**power, color=plots.COLORS[i], linestyle=plots.LINES[1 - i])
            spot = (RATES[2], found[2])
            log_log.annotate(
                f"{name}\nslope {power}", spot, xytext=(12, -26), textcoords="offset points", fontsize=9
            )
        log_log.set(
            xlabel="learning rate (time a step)", ylabel="distance at time 1", title="Distance at equal times"
        )
        tick_rates(log_log)
        plots.caption(
            drawn,
            "Left: 60 steps of descent, and both flows for the same time; all end in minima of equal loss. "
            "Right: marks are measured; the lines lr |d| and lr² |e| are predicted from the flow alone. "
            "For small lr times curvature and a fixed time: nothing is said of the edge of stability.",
        )
        run.save_figure("gaps", drawn)


def tick_rates(axes: Axes) -> None:
    """Label the five learning rates as the fractions that they are."""
    axes.set_xticks(RATES, [f"1/{n}" for n in STEPS])
    axes.set_xticks([], minor=True)


def draw_charges(run: Run, net: Network, drifts: Array) -> None:
    """``charges.png``: x^2 - y^2 over time for three learning rates, and the balance of the network."""
    with plots.figure("What the flow conserves, descent shrinks", columns=2, width=9.6, height=4.4) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        times = np.linspace(0.0, 1.6, 200)
        for i, lr in enumerate(SHOWN):
            steps = round(times[-1] / lr)
            walked = descend(gradient, START, lr, steps)
            bent = flow(modified_gradient(gradient, product, lr), START, times)
            color = plots.COLORS[i]
            left.plot(
                times,
                bent[:, 0] ** 2 - bent[:, 1] ** 2,
                color=color,
                linestyle=plots.LINES[i],
                label=f"lr = {lr}",
            )
            charges = walked[:, 0] ** 2 - walked[:, 1] ** 2
            left.plot(lr * np.arange(steps + 1), charges, color=color, linestyle="none",
                      marker=plots.MARKERS[i], markersize=4, fillstyle="none")  # fmt: skip
            final = (START[0] ** 2 - START[1] ** 2) * exp(-lr * shrinkage(START))
            left.plot([times[-1]], [final], marker="<", color="black", clip_on=False, markersize=6)
        plots.level(left, START[0] ** 2 - START[1] ** 2, "flow: constant")
        left.set(xlabel="time = lr × step", ylabel="x² − y²", title="Two weights", xlim=(0.0, times[-1]))
        left.set_ylim(2.76, 3.02)
        left.legend(loc="lower left", fontsize=8)
        height = float(np.linalg.norm(net.flow()[1]))
        right.loglog(RATES, height * RATES, color=plots.COLORS[0], label="predicted along the flow")
        right.loglog(RATES, drifts, color="black", linestyle="none", marker="o", label="measured")
        right.set(
            xlabel="learning rate (time a step)",
            ylabel="drift of W₂ᵀW₂ − W₁W₁ᵀ at time 1 (norm)",
            title="Linear network 3-4-2",
        )
        right.legend(loc="upper left", fontsize=8)
        tick_rates(right)
        plots.caption(
            drawn,
            "Left: marks are descent, lines the modified flow, triangles C exp(−lr ∫r² dt) in closed form. "
            "It stops short of balance: where the loss is 0 nothing drifts. Networks with biases, weight "
            "decay or units other than linear and ReLU have other laws, or none.",
        )
        run.save_figure("charges", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
