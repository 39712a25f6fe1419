r"""Which parts of a function does a network learn first, and who decides that?

A wide network near its start learns by a fixed kernel: the residual obeys r' = -(2 / N) Theta r, and a part
of the target along an eigenvector of Theta is halved in the time ln 2 / (2 lambda / N). For points on a
circle the kernel depends on angles only, its eigenvectors are sines and cosines, and its eigenvalues fall
with the frequency:

    target = sin x + sin 3x + sin 5x + sin 7x + sin 9x        low frequencies first, each at its own rate

It is the inputs that decide: the same network on cos jx, sin jx for j up to 9 learns all of them alike.

Source   Rahaman et al. 2019, "On the spectral bias of neural networks", arXiv:1806.08734; Basri et al. 2019,
         arXiv:1906.00425 (rates on the circle); Tancik et al. 2020, arXiv:2006.10739 (Fourier features).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log, pi, sqrt

import numpy as np

from dynamics.credit.mlp_backprop import Spec, forward, init, unflatten, value_and_gradient
from dynamics.geometry.ntk import lazy_flow, ntk
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--seeds", "1", "--frames", "3")  # what continuous integration runs
POINTS = 64
FREQUENCIES = (1, 3, 5, 7, 9)
ANGLES = 2.0 * pi * np.arange(POINTS) / POINTS
SINES = np.stack([np.sin(k * ANGLES) for k in FREQUENCIES])  # (F, N)
TARGET = SINES.sum(axis=0)
INPUTS = {"an angle": 1, "nine frequencies": 9}
BEYOND = 2.5  # how long training goes on, in half times of the slowest part
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    width: int = 1024
    seeds: int = 4
    seed: int = 0
    frames: int = 50  # of the animation


@dataclass(frozen=True)
class Course:
    """One training: how much of each sine is left, measured and foretold by the first kernel."""

    times: Array  # (T,)
    left: Array  # (T, F), 1 at the start
    foretold: Array  # (T, F)
    outputs: Array  # (T, N)
    rates: Array  # (F,), 2 lambda / N of the kernel, its angles averaged

    def half_times(self, what: Array) -> Array:
        """When a half of each sine is left, (F,): between two records by a line."""
        found = []
        for amount in what.T:
            after = int(np.argmax(amount < 0.5))
            share = (amount[after - 1] - 0.5) / (amount[after - 1] - amount[after])
            found.append(self.times[after - 1] + share * (self.times[after] - self.times[after - 1]))
        return np.array(found)


def features(frequencies: int) -> Array:
    """cos jx and sin jx for j = 1 ... frequencies, of length 1 in all: (N, 2 frequencies)."""
    j = np.arange(1, frequencies + 1)[:, None]
    return np.concatenate([np.cos(j * ANGLES), np.sin(j * ANGLES)]).T / sqrt(frequencies)


def rates_of(kernel: Array) -> Array:
    """Decay rates of the sines, if the kernel depended on the difference of the angles only: (F,)."""
    row = np.array([np.trace(np.roll(kernel, -shift, axis=1)) for shift in range(POINTS)]) / POINTS
    return 2.0 / POINTS * np.array([row @ np.cos(k * ANGLES) for k in FREQUENCIES])


def learn(kind: str, width: int, seed: int) -> Course:
    """Train by gradient descent on all points, until the slowest sine is mostly learned."""
    X = features(INPUTS[kind])
    spec = Spec((X.shape[1], width, 1), hidden="relu")
    theta = init(spec, "kaiming", sqrt(2.0), rng=np.random.default_rng(seed))
    unflatten(theta, spec)[0][1][:] *= sqrt(width / 2.0)  # of size 1: both layers have a part in the kernel
    begin = forward(theta, spec, X)[0][:, 0]
    wanted = (TARGET + begin)[:, None]  # what it says at the start is none of its errors
    kernel = ntk(theta, spec, X).reshape(POINTS, POINTS)
    rates = rates_of(kernel)
    lr = 0.5 / (2.0 / POINTS * float(np.linalg.eigvalsh(kernel)[-1]))
    steps = int(BEYOND * log(2.0) / rates.min() / lr)
    every = max(1, steps // 400)
    times, outputs = [], []
    for k in range(steps + 1):
        if k % every == 0:
            times.append(k * lr)
            outputs.append(forward(theta, spec, X)[0][:, 0] - begin)
        theta = theta - lr * value_and_gradient(theta, spec, X, wanted)[1]
    foretold = [lazy_flow(2.0 / POINTS * kernel, -TARGET, t) for t in times]
    left, known = (parts(TARGET - np.array(outputs)), parts(-np.array(foretold)))
    return Course(np.array(times), left, known, np.array(outputs), rates)


def parts(residuals: Array) -> Array:
    """How much of each sine is in the residuals (T, N): (T, F)."""
    return residuals @ SINES.T * 2.0 / POINTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Train on both kinds of inputs, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Which parts of a function does a network learn first?")
    with Run("spectral_bias", config) as run:
        claims = Claims()
        seeds = range(config.seed, config.seed + config.seeds)
        plan = [(kind, seed) for kind in INPUTS for seed in seeds]
        found: dict[str, list[Course]] = {kind: [] for kind in INPUTS}
        for kind, seed in run.track(plan, "training"):
            found[kind].append(learn(kind, config.width, seed))
        judge(claims, found)
        for part in run.track([partial(draw, run, found), partial(animate, run, found, config)], "drawing"):
            part()
        claims.conclude(run, "low frequencies first, at the rates of the kernel; and the inputs decide")
    return run.exit_code


def judge(claims: Claims, found: dict[str, list[Course]]) -> None:
    """Half times, means over the networks."""
    measured = np.mean([c.half_times(c.left) for c in found["an angle"]], axis=0)  # (F,)
    known = np.mean([c.half_times(c.foretold) for c in found["an angle"]], axis=0)
    averaged = log(2.0) / np.mean([c.rates for c in found["an angle"]], axis=0)
    claims.at_least("each sine waits longer than the one before: least ratio of half times",
                    float((measured[1:] / measured[:-1]).min()), 1.3)  # fmt: skip
    claims.at_least("sin 9x over sin x: ratio of half times", measured[-1] / measured[0], 15.0)
    for k, a, b in zip(FREQUENCIES, measured, known, strict=True):
        claims.near(f"sin {k}x: half time over that of the first kernel", a / b, 1.0, 0.2)
    off = float(np.abs(known / averaged - 1.0).max())
    claims.at_most("that kernel's, off ln 2 / rate of its average over angles by", off, 0.25)
    by_frequency = np.polyfit(np.log(FREQUENCIES), np.log(measured), 1)[0]
    claims.near("half times grow as the frequency to the power", by_frequency,
                np.polyfit(np.log(FREQUENCIES), np.log(averaged), 1)[0], 0.2)  # fmt: skip
    rich = np.mean([c.half_times(c.left) for c in found["nine frequencies"]], axis=0)
    claims.at_most(
        "inputs of nine frequencies: slowest half time over the quickest", rich.max() / rich.min(), 3.0
    )


def draw(run: Run, found: dict[str, list[Course]]) -> None:
    """``spectrum.png``: what is left of each sine, and half times by frequency."""
    with plots.figure("Low frequencies first", columns=2, width=10.0, height=4.5) as (drawn, axes):
        left, right = axes[0]
        course = found["an angle"][0]
        for i, k in enumerate(FREQUENCIES):
            left.plot(course.times, course.foretold[:, i], color=plots.COLORS[i], linewidth=1.2)
            shown = np.unique(np.geomspace(1, len(course.times) - 1, 24).astype(int))
            style = {
                "color": plots.COLORS[i],
                "linestyle": "none",
                "marker": plots.MARKERS[i],
                "markersize": 4,
            }
            left.plot(course.times[shown], course.left[shown, i], label=f"sin {k}x", **style)
        left.axhline(0.5, color="black", linewidth=0.8, linestyle=":")
        left.set(
            xscale="log",
            xlabel="time = steps · lr",
            ylabel="share of the sine that is left",
            title="The input is an angle",
        )
        left.legend(loc="lower left", fontsize=8)
        for i, (kind, courses) in enumerate(found.items()):
            for number, each in enumerate(courses):
                style = {"color": plots.COLORS[i], "linestyle": "none", "marker": plots.MARKERS[i]}
                name = kind if number == 0 else None
                right.loglog(FREQUENCIES, each.half_times(each.left), fillstyle="none", label=name, **style)
            rates = np.mean([each.rates for each in courses], axis=0)
            right.loglog(FREQUENCIES, log(2.0) / rates, color=plots.COLORS[i], linestyle=plots.LINES[i])
        right.set(
            xlabel="frequency k",
            ylabel="time until a half is left",
            title="Marks: networks; lines: ln 2 / rate",
        )
        right.set_xticks(FREQUENCIES, [str(k) for k in FREQUENCIES])
        right.minorticks_off()
        right.legend(loc="upper left", fontsize=8)
        plots.caption(
            drawn,
            "ReLU, one hidden layer, 64 points on a circle; lines on the left are those of the first kernel. "
            "Narrow networks and long training leave it: then features are learned, and this is over.",
        )
        run.save_figure("spectrum", drawn)


def animate(run: Run, found: dict[str, list[Course]], config: Config) -> None:
    """``learning.gif``: the function that each of the two says, as time goes on."""
    courses = [seeds[0] for seeds in found.values()]
    with plots.figure("What is learned first", columns=2, width=9.0, height=3.6) as (drawn, axes):
        curves = []
        for axis, kind in zip(axes[0], found, strict=True):
            axis.plot(ANGLES, TARGET, color="0.7", linewidth=2.0)
            curves.extend(axis.plot(ANGLES, np.zeros(POINTS), color=plots.COLORS[0]))
            axis.set(xlabel="x", ylim=(-4.5, 4.5), title=f"input: {kind}")

        def show(number: int) -> None:
            for curve, course in zip(curves, courses, strict=True):
                last = len(course.times) - 1
                at = round(last ** (number / (config.frames - 1))) if number else 0
                curve.set_ydata(course.outputs[min(at, last)])

        run.save_animation("learning", drawn, show, range(config.frames), fps=10)


if __name__ == "__main__":
    raise SystemExit(main())
