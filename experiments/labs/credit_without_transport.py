r"""How can a synapse learn what it did, if it cannot see the weights downstream?

Backpropagation sends errors back through the transposed weights, which no synapse knows. What may stand in
for them has its price, and all prices are predicted:

    feedback alignment      fixed random feedback: biased at first, and the weights turn towards it
    sign symmetry           feedback of the right signs: a small, lasting bias
    Kolen-Pollack           feedback that learns: W - B shrinks by 1 - decay in each step
    predictive coding       activities that settle first: with predictions fixed, exactly backpropagation
    node perturbation       one number for all, noise in K units: no bias, |estimate|^2 = (K + 2) |g|^2
    weight perturbation     noise in P weights: no bias, |estimate|^2 = (P + 2) |g|^2

Source   Lillicrap et al. 2016, Nat. Commun. 7:13276 (the task: its figure 1); Akrout et al. 2019,
         arXiv:1904.05391; Werfel, Xie & Seung 2005, Neural Comput. 17, 2699; Whittington & Bogacz 2017,
         Neural Comput. 29, 1229.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt

import numpy as np

from dynamics.credit.credit_assignment import (
    Inference,
    angle,
    bias_variance,
    direct_feedback_alignment,
    feedback_alignment,
    kolen_pollack,
    node_perturbation,
    predictive_coding,
    sign_symmetry,
    weight_perturbation,
)
from dynamics.credit.mlp_backprop import Spec, init, unflatten, value_and_gradient
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--seeds", "3", "--draws", "4000", "--steps", "300")  # what continuous integration runs
SPEC = Spec(
    (30, 20, 10), hidden="linear"
)  # that of Lillicrap et al.: 830 weights and biases, 30 units that may be perturbed
SAMPLES = 60
LR = 0.5
SMALL = 0.1  # of the start, over Xavier's
DECAY = 1e-3  # of Kolen-Pollack
UNITS = (1, 4, 16, 64)  # of the layers whose perturbations are counted
INPUTS = 8  # of each of them
SIGMA = 1e-3
Array = np.ndarray


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    seeds: int = 8
    seed: int = 0
    steps: int = 600
    draws: int = 20_000  # of each estimate whose bias and variance are measured


class Pupil:
    """A network, the teacher it learns from, and random feedback."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        teacher = init(Spec((30, 10), bias=False), "kaiming", rng=self.rng)
        self.X = self.rng.standard_normal((SAMPLES, 30))
        self.target = self.X @ unflatten(teacher, Spec((30, 10), bias=False))[0][0].T
        self.theta = init(SPEC, "xavier", SMALL, rng=self.rng)
        self.feedback = [self.rng.standard_normal((10, 20)) / sqrt(10)]
        self.direct = [self.rng.standard_normal((10, 20)) / sqrt(10)]

    def loss(self, theta: Array) -> float:
        """The mean squared error."""
        return value_and_gradient(theta, SPEC, self.X, self.target)[0]

    def gradient(self, theta: Array) -> Array:
        """By backpropagation."""
        return value_and_gradient(theta, SPEC, self.X, self.target)[1]

    def rules(self) -> dict[str, Callable[[Array], Array]]:
        """What each rule takes for the gradient."""
        data = (SPEC, self.X, self.target)
        exact = Inference(rate=1.0, steps=1, fixed=True)  # L - 1 steps
        return {
            "backpropagation": self.gradient,
            "predictive coding": lambda theta: predictive_coding(theta, *data, exact),
            "sign symmetry": lambda theta: feedback_alignment(theta, *data, sign_symmetry(theta, SPEC)),
            "feedback alignment": lambda theta: feedback_alignment(theta, *data, self.feedback),
            "direct feedback": lambda theta: direct_feedback_alignment(theta, *data, self.direct),
            "node perturbation": lambda theta: node_perturbation(theta, *data, SIGMA, rng=self.rng),
            "weight perturbation": lambda theta: weight_perturbation(self.loss, theta, SIGMA, rng=self.rng),
        }


NOISY = {
    "node perturbation": 32.0,
    "weight perturbation": 832.0,
}  # learning rates are divided by K + 2, P + 2


@dataclass(frozen=True)
class Course:
    """One rule's training: the loss before each step, and the angle of its hidden part to the gradient's."""

    losses: Array  # (steps + 1,)
    angles: Array  # (steps,), degrees


def hidden(gradient: Array) -> Array:
    """The part of the first layer's weights, which all rules but backpropagation have to guess."""
    return gradient[: SPEC.sizes[0] * SPEC.sizes[1]]


def learn(pupil: Pupil, name: str, steps: int) -> Course:
    """Train by one rule, and compare it with the gradient on the same samples."""
    theta, rule = pupil.theta.copy(), pupil.rules()[name]
    losses, angles = [], []
    for _ in range(steps):
        loss, true = value_and_gradient(theta, SPEC, pupil.X, pupil.target)
        guess = rule(theta)
        losses.append(loss)
        angles.append(angle(hidden(guess), hidden(true)))
        theta = theta - LR / NOISY.get(name, 1.0) * guess
    return Course(np.array([*losses, pupil.loss(theta)]), np.array(angles))


def learn_both(pupil: Pupil, steps: int) -> tuple[Course, Array]:
    """Train by Kolen-Pollack's rule: the course, and |W - B| before each step."""
    theta, feedback = pupil.theta.copy(), pupil.feedback
    losses, angles, apart = [], [], []
    for _ in range(steps):
        loss, true = value_and_gradient(theta, SPEC, pupil.X, pupil.target)
        guess = feedback_alignment(theta, SPEC, pupil.X, pupil.target, feedback)
        losses.append(loss)
        angles.append(angle(hidden(guess), hidden(true)))
        apart.append(np.linalg.norm(unflatten(theta, SPEC)[0][1] - feedback[0]))
        theta, feedback = kolen_pollack(theta, SPEC, pupil.X, pupil.target, feedback, LR, DECAY)
    return Course(np.array([*losses, pupil.loss(theta)]), np.array(angles)), np.array(apart)


def bills(units: int, draws: int, rng: np.random.Generator) -> tuple[dict[str, float], dict[str, float]]:
    """For one linear layer and one sample: |estimate|^2 / |g|^2, and bias^2 over its standard error.

    Node perturbation on it has noise in K units, weight perturbation in P = 8 K weights.
    """
    spec = Spec((INPUTS, units), bias=False)
    theta, X = rng.standard_normal(spec.parameters), rng.standard_normal((1, INPUTS))
    target = rng.standard_normal((1, units))
    true = value_and_gradient(theta, spec, X, target)[1]
    loss = lambda t: value_and_gradient(t, spec, X, target)[0]  # noqa: E731
    sizes, biases = {}, {}
    for name, draw in (
        ("node perturbation", partial(node_perturbation, theta, spec, X, target, SIGMA, rng=rng)),
        ("weight perturbation", partial(weight_perturbation, loss, theta, SIGMA, rng=rng)),
    ):
        estimates = np.array([draw() for _ in range(draws)])
        sizes[name] = float(np.mean(np.sum(estimates**2, axis=1)) / (true @ true))
        quality = bias_variance(estimates, true)
        biases[name] = quality.bias_squared / (quality.variance / draws)
    return sizes, biases


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn by eight rules, count the noise, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "How can a synapse learn without knowing the weights downstream?")
    with Run("credit_without_transport", config) as run:
        claims = Claims()
        pupils = [Pupil(seed) for seed in range(config.seed, config.seed + config.seeds)]
        courses: dict[str, list[Course]] = {}
        names = list(pupils[0].rules())
        plan = [(name, pupil) for name in names for pupil in pupils]
        for name, pupil in run.track(plan, "learning"):
            courses.setdefault(name, []).append(learn(pupil, name, config.steps))
        pairs = [learn_both(pupil, config.steps) for pupil in pupils]
        courses["Kolen-Pollack"] = [course for course, _ in pairs]
        judge(claims, courses, [apart for _, apart in pairs], config.steps)
        rng = np.random.default_rng([config.seed, 1])
        counted = [bills(units, config.draws, rng) for units in run.track(UNITS, "perturbing")]
        judge_bills(claims, counted, config.draws)
        draw_courses(run, courses)
        draw_bills(run, courses, [sizes for sizes, _ in counted])
        claims.conclude(run, "every substitute for the transposed weights pays the price that theory names")
    return run.exit_code


def mean_end(courses: Sequence[Course]) -> float:
    """Loss at the end over that at the start, mean of the seeds."""
    return float(np.mean([course.losses[-1] / course.losses[0] for course in courses]))


def late_angle(courses: Sequence[Course]) -> float:
    """Angle in the last tenth of the steps, mean of the seeds."""
    return float(np.mean([course.angles[-len(course.angles) // 10 :].mean() for course in courses]))


def judge(claims: Claims, courses: dict[str, list[Course]], apart: Sequence[Array], steps: int) -> None:
    """Angles and losses, means over the seeds where nothing else is said."""
    exact = max(float(course.angles.max()) for course in courses["predictive coding"])
    claims.at_most(
        "predictive coding, predictions fixed: largest angle to the gradient", exact, 1e-4, "degrees"
    )
    aligned = courses["feedback alignment"]
    first = float(np.mean([course.angles[0] for course in aligned]))
    claims.near("feedback alignment: angle before learning", first, 90.0, 10.0, "degrees")
    claims.at_most("feedback alignment: angle at the end", late_angle(aligned), 45.0, "degrees")
    claims.at_most("sign symmetry: angle at the end", late_angle(courses["sign symmetry"]), 45.0, "degrees")
    claims.at_most("Kolen-Pollack: its angle at the end over that of alignment",
                   late_angle(courses["Kolen-Pollack"]) / late_angle(aligned), 1.0)  # fmt: skip
    predicted = [a[0] * (1.0 - DECAY) ** np.arange(steps) for a in apart]
    off = max(float(np.abs(a / p - 1.0).max()) for a, p in zip(apart, predicted, strict=True))
    claims.at_most("Kolen-Pollack: |W - B| is (1 - decay)^t times its start, up to", off, 1e-10)
    for name in (
        "predictive coding",
        "sign symmetry",
        "feedback alignment",
        "direct feedback",
        "Kolen-Pollack",
    ):
        claims.at_most(f"{name}: loss at the end / at the start", mean_end(courses[name]), 0.1)
    slowest = mean_end(courses["weight perturbation"])
    claims.at_least("weight perturbation: the same, in as many steps", slowest, 0.5)
    claims.at_most("node perturbation: its end over that of weight perturbation",
                   mean_end(courses["node perturbation"]) / slowest, 0.8)  # fmt: skip


def judge_bills(claims: Claims, counted: Sequence[tuple[dict, dict]], draws: int) -> None:
    """The laws of the perturbations, for layers of 1 to 64 units."""
    for name, width in (("node perturbation", 1), ("weight perturbation", INPUTS)):
        ratios = [sizes[name] / (units * width + 2) for units, (sizes, _) in zip(UNITS, counted, strict=True)]
        worst = max(ratios, key=lambda r: abs(r - 1.0))
        # |estimate|^2 / |g|^2 is z^2 (sum of squares): its relative sd is at most sqrt(10.7) for one draw
        letter = "K" if width == 1 else "P"
        claims.near(f"{name}: |estimate|^2 / |g|^2 over {letter} + 2, the worst size", worst, 1.0,
                    5.0 * sqrt(10.7 / draws))  # fmt: skip
        biased = max(abs(biases[name]) for _, biases in counted)
        # the squared error of the mean has itself a relative sd of at most sqrt(2)
        claims.at_most(f"{name}: bias^2 over the squared standard error of the mean", biased, 6.0)


def draw_courses(run: Run, courses: dict[str, list[Course]]) -> None:
    """``learning.png``: losses and angles of all rules, means over the seeds."""
    title = "Learning without the transposed weights"
    with plots.figure(title, columns=2, width=10.6, height=4.8) as (drawn, axes):
        left, right = axes[0]
        for i, (name, seeds) in enumerate(courses.items()):
            style = {"color": (*plots.COLORS, "black", "0.5", "#56B4E9")[i], "marker": "o^sDvP*X"[i],
                     "markersize": 4, "linewidth": 1.2}  # fmt: skip
            losses = np.mean([course.losses for course in seeds], axis=0)
            left.semilogy(losses, label=name, markevery=len(losses) // 6, **style)
            degrees = np.mean([course.angles for course in seeds], axis=0)
            right.plot(degrees, markevery=(7 * i, len(degrees) // 6), **style)
        left.set(xlabel="step", ylabel="loss (mean squared error)", title="Loss")
        left.legend(loc="lower left", fontsize=7)
        right.axhline(90.0, color="black", linewidth=0.8, linestyle=":")
        right.annotate(
            "90°: no relation", (0.99, 91.0), xycoords=("axes fraction", "data"), ha="right", fontsize=8
        )
        right.set(xlabel="step", ylabel="angle to the gradient (degrees)", ylim=(-3, 100),
                  title="The hidden layer's part, one step each")  # fmt: skip
        plots.caption(
            drawn,
            "Means over the seeds; perturbations learn with rates divided by K + 2 and P + 2, which their "
            "noise asks for. One hidden layer, a linear task, a small start: deep networks on images part "
            "these rules much further.",
        )
        run.save_figure("learning", drawn)


def draw_bills(run: Run, courses: dict[str, list[Course]], counted: Sequence[dict[str, float]]) -> None:
    """``bill.png``: what noise costs, by the number of units; and what is left of the loss, by rule."""
    with plots.figure("What each rule pays", columns=2, width=10.2, height=4.4) as (drawn, axes):
        left, right = axes[0]
        units = np.array(UNITS)
        for i, (name, width) in enumerate((("node perturbation", 1), ("weight perturbation", INPUTS))):
            measured = [sizes[name] for sizes in counted]
            left.loglog(units, measured, "o^"[i], color="black", label=name)
            left.loglog(units, width * units + 2, color=plots.COLORS[i], linestyle=plots.LINES[i],
                        label="K + 2" if width == 1 else "P + 2")  # fmt: skip
        left.set(xlabel="units K of a layer with 8 inputs", ylabel="|estimate|² / |gradient|²", title="Noise")
        left.legend(loc="upper left", fontsize=8)
        names = sorted(courses, key=lambda name: mean_end(courses[name]))
        ends = [mean_end(courses[name]) for name in names]
        right.barh(range(len(names)), ends, color=plots.COLORS[0])
        right.set_yticks(range(len(names)), names)
        right.set(xscale="log", xlabel="loss at the end / at the start", title="The same number of steps")
        right.invert_yaxis()
        plots.caption(
            drawn,
            "Left: marks counted, lines predicted, for a linear layer. Perturbation hears one number, "
            "whatever it is about; that is its strength where nothing can be differentiated, and its cost.",
        )
        run.save_figure("bill", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
