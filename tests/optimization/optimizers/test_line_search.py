"""A line search: the cubic against its closed form, the step against its conditions on difficult lines."""

import itertools
import math

import numpy as np
import pytest

from curriculum.testing import expect
from optimization.optimizers.line_search import Point, cubic_minimum, strong_wolfe

# The cubic


def cubic(a, b, c):
    """A point of a t^3 + b t^2 + c t at t."""
    return lambda t: Point(t, a * t**3 + b * t**2 + c * t, 3 * a * t**2 + 2 * b * t + c)


@pytest.mark.parametrize(
    ("a", "b", "c"), [(1.0, 0.0, -12.0), (-2.0, 1.0, 3.0), (0.5, -4.0, 1.0), (0.0, 2.0, -3.0), (-1e-3, 1, -1)]
)
@pytest.mark.parametrize(("left", "right"), [(0.0, 1.0), (0.25, 3.0), (0.0, 1e-2)])
def test_the_minimum_of_a_cubic(a, b, c, left, right):
    """3 a t^2 + 2 b t + c = 0, at the root where the second derivative 6 a t + 2 b is positive."""
    at = cubic(a, b, c)
    want = (-b + math.sqrt(b * b - 3 * a * c)) / (3 * a) if a else -c / (2 * b)
    for first, second in ((left, right), (right, left)):
        actual = cubic_minimum(at(first), at(second))
        what = f"the minimum of {a} t^3 + {b} t^2 + {c} t by its points at {first} and {second}"
        expect.close(float(actual), want, what, rtol=1e-6)


def test_the_cubic_of_huge_values_does_not_overflow():
    a, b = (Point(p.step, p.value * 1e200, p.slope * 1e200) for p in map(cubic(1.0, 0.0, -12.0), (0.0, 3.0)))
    with expect.quiet("cubic_minimum"):
        expect.close(float(cubic_minimum(a, b)), 2.0, "the minimum of 1e200 (t^3 - 12 t)", rtol=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (cubic(1.0, 0.0, 1.0)(0.0), cubic(1.0, 0.0, 1.0)(1.0)),
        (Point(0.0, 0.0, -1.0), Point(1.0, -1.0, -1.0)),
        (Point(0.0, 1.0, -1.0), Point(1.0, math.inf, math.nan)),
        (Point(0.0, 1.0, -1.0), Point(1.0, math.nan, 1.0)),
    ],
    ids=["rises everywhere", "a straight line", "infinite", "NaN"],
)
def test_a_cubic_without_a_minimum_gives_nan(a, b):
    expect.close(float(cubic_minimum(a, b)), math.nan, f"the minimum of the cubic through {a} and {b}")
    expect.close(float(cubic_minimum(Point(0.0, 1, -2), Point(2.0, 1, 2))), 1.0, "the minimum of (t - 1)^2")


# The line search


def bent(t, beta=0.01, period=39):
    """Moré and Thuente 1994, function 3: |t - 1|, rounded at 1, with ripples on its flanks."""
    flank = abs(t - 1)
    base, slope = flank, math.copysign(1.0, t - 1)
    if flank <= beta:
        base, slope = (t - 1) ** 2 / (2 * beta) + beta / 2, (t - 1) / beta
    k = period * math.pi / 2
    return base + 2 * (1 - beta) / (period * math.pi) * math.sin(k * t), slope + (1 - beta) * math.cos(k * t)


def yanai(t, b1, b2):
    """Moré and Thuente 1994, functions 4 to 6 (Yanai, Ozawa and Kaneko): two bends of unlike sharpness."""
    g1, g2 = math.sqrt(1 + b1 * b1) - b1, math.sqrt(1 + b2 * b2) - b2
    r1, r2 = math.hypot(1 - t, b2), math.hypot(t, b1)
    return g1 * r1 + g2 * r2, g1 * (t - 1) / r1 + g2 * t / r2


def barrier(t):
    return (-3 * t - math.log(1 - t), -3 + 1 / (1 - t)) if t < 1 else (math.nan, math.nan)


def overflow(t):
    return (math.exp(900 * t) - 9e3 * t, 900 * math.exp(900 * t) - 9e3) if t < 0.7 else (math.inf, math.inf)


def unknown_slope(t):
    """A parabola whose slope cannot be computed from t = 2 on."""
    return (t - 1) ** 2, 2 * (t - 1) if t < 1.5 else math.nan


LINES = {
    "parabola": lambda t: ((t - 1) ** 2, 2 * (t - 1)),
    "narrow parabola": lambda t: (1e8 * (t - 1e-3) ** 2, 2e8 * (t - 1e-3)),
    "wide parabola": lambda t: (1e-8 * (t - 200) ** 2, 2e-8 * (t - 200)),
    "quartic": lambda t: ((t - 2) ** 4, 4 * (t - 2) ** 3),
    "many minima": lambda t: (0.1 * (t - 3) ** 2 - math.sin(9 * t), 0.2 * (t - 3) - 9 * math.cos(9 * t)),
    "More-Thuente 1": lambda t: (-t / (t * t + 2), (t * t - 2) / (t * t + 2) ** 2),
    "More-Thuente 2": lambda t: (
        (t + 0.004) ** 5 - 2 * (t + 0.004) ** 4,
        5 * (t + 0.004) ** 4 - 8 * (t + 0.004) ** 3,
    ),
    "More-Thuente 3": bent,
    "More-Thuente 4": lambda t: yanai(t, 1e-3, 1e-3),
    "More-Thuente 5": lambda t: yanai(t, 1e-2, 1e-3),
    "More-Thuente 6": lambda t: yanai(t, 1e-3, 1e-2),
    "log barrier": barrier,
    "overflow": overflow,
    "slope of NaN": unknown_slope,
    "many tiny minima": lambda t: (  # what counts as rounding is relative to the value
        1e-20 * (0.1 * (t - 3) ** 2 - math.sin(9 * t)),
        1e-20 * (0.2 * (t - 3) - 9 * math.cos(9 * t)),
    ),
    "valley far above 0": lambda t: (1e3 + (t - 1) ** 2, 2 * (t - 1)),
}


@pytest.mark.parametrize("c2", [0.9, 0.1])
@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_both_wolfe_conditions_hold_at_the_step(line, c2):
    value, slope = line(0.0)
    for first in (1e-3, 0.03, 0.7, 1.0, 10.0, 1e3):
        tried = []
        t, f, df = strong_wolfe(lambda t: tried.append(t) or line(t), value, slope, first, c1=1e-4, c2=c2)  # noqa: B023
        where = f"from a first trial of {first:g}, with c2 = {c2}: step {t:.6g} of {len(tried)} trials"
        expect.equal(
            (float(f), float(df)), tuple(map(float, line(t))), f"value and slope at the step, {where}"
        )
        expect.true(t > 0, f"the step must be positive, {where}")
        limit = value + 1e-4 * t * slope + 1e-12 * abs(value)
        expect.true(
            f <= limit, f"the value has not come down enough: {f:.9g}, expected at most {limit:.9g}; {where}"
        )
        expect.true(
            abs(df) <= -c2 * slope,
            f"too steep: slope {df:.6g}, expected at most {-c2 * slope:.6g} either way; {where}",
        )
        expect.equal(tried[0], first, f"the first trial, {where}")


def test_both_conditions_hold_on_random_waves():
    """A parabola with six waves of random height, length and phase: dozens of local minima."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        height, often, phase = rng.uniform(0, 1, 6), rng.uniform(0.5, 20, 6), rng.uniform(0, 6.28, 6)

        def line(t, height=height, often=often, phase=phase):
            wave = often * t + phase
            return (
                float(0.1 * t * t + height @ np.sin(wave)),
                float(0.2 * t + (height * often) @ np.cos(wave)),
            )

        value, slope = line(0.0)
        if slope >= 0:
            continue
        first = 10 ** rng.uniform(-2, 2)
        t, f, df = strong_wolfe(line, value, slope, first)
        where = f"step {t:.6g} of random line {seed}, first trial {first:.3g}"
        expect.equal((float(f), float(df)), line(t), f"value and slope at the {where}")
        expect.true(
            t > 0 and f <= value + 1e-4 * t * slope + 1e-12, f"value {f:.6g} is too high at the {where}"
        )
        expect.true(
            abs(df) <= -0.9 * slope, f"slope {df:.6g} is too steep (at 0: {slope:.6g}) at the {where}"
        )


def test_a_first_trial_that_will_do_is_the_only_one():
    tried = []
    t, f, df = strong_wolfe(lambda t: tried.append(t) or ((t - 1) ** 2, 2 * (t - 1)), 1.0, -2.0, 1.25)
    expect.equal((float(t), float(f), float(df)), (1.25, 0.0625, 0.5), "the step, its value and slope")
    expect.equal(tried, [1.25], "the trials")


def test_conditions_that_just_hold_do_hold():
    t, _, df = strong_wolfe(lambda t: ((t - 1) ** 2, 2 * (t - 1)), 1.0, -2.0, 1.25, c2=0.25)
    expect.equal((float(t), float(df)), (1.25, 0.5), "step and slope, where |f'(t)| = c2 |f'(0)|")
    t, f, _ = strong_wolfe(lambda t: (-t / 8, 0.0), 0.0, -1.0, 2.0, c1=0.125, c2=0.5)
    expect.equal((float(t), float(f)), (2.0, -0.25), "step and value, where f(t) = f(0) + c1 t f'(0)")


def test_an_endless_slope_gives_the_lowest_of_as_many_trials_as_are_allowed():
    tried = []
    found = strong_wolfe(lambda t: tried.append(t) or (-t, -1.0), 0.0, -1.0, 1.0, max_evaluations=7)
    expect.true(0 < len(tried) <= 7, f"{len(tried)} evaluations, expected at most 7")
    want = (max(tried), -max(tried), -1.0)
    expect.equal(tuple(map(float, found)), want, "the lowest trial, its value and slope")
    expect.true(max(tried) >= 64, f"the longest of 7 trials is {max(tried):g}, expected to grow: at least 64")


def test_the_line_search_by_default_begins_with_1_and_gives_up_after_50_trials():
    tried = []
    t, _, _ = strong_wolfe(lambda t: tried.append(t) or (-t, -1.0), 0.0, -1.0)
    expect.equal(float(tried[0]), 1.0, "the first trial by default")
    expect.equal(len(tried), 50, "trials along an endless slope by default")
    expect.equal(float(t), float(tried[-1]), "the step: the longest")


def test_a_line_that_only_rises_gives_step_zero():
    tried = []
    found = strong_wolfe(lambda t: tried.append(t) or (1.5 + t, 1.0), 1.0, -1.0, max_evaluations=30)
    expect.equal(tuple(map(float, found)), (0.0, 1.0, -1.0), "step, value and slope where nothing is lower")
    expect.true(0 < len(tried) <= 30, f"{len(tried)} evaluations, expected at most 30")


def test_values_that_differ_by_rounding_are_told_by_their_slopes():
    """f = h + 1e-17 ((t - 1)^2 - 1) is h everywhere here, or one unit in the last place above it."""
    for height, above in itertools.product((1.0, 2.0**20), (0.0, 2.0**-52)):
        line = lambda t, f=height * (1 + above): (f, 2e-17 * (t - 1))  # noqa: E731
        t, _, df = strong_wolfe(line, height, -2e-17, 0.01)
        expect.true(
            t > 0 and abs(df) <= 1.81e-17,
            f"step {t:g} with slope {df:g}, expected one with at most 1.8e-17; the values are {height:g},"
            " or an ulp above it: rounding is relative to |f(0)|",
        )


@pytest.mark.parametrize(
    ("slope", "step", "named"),
    [
        (0.0, 1.0, "0.0"),
        (2.5, 1.0, "2.5"),
        (math.nan, 1.0, "nan"),
        (-1.0, 0.0, "0.0"),
        (-1.0, -0.5, "-0.5"),
        (-1.0, math.inf, "inf"),
        (-1.0, math.nan, "nan"),
    ],
)
def test_a_line_that_does_not_descend_or_a_step_that_goes_nowhere_is_refused(slope, step, named):
    with expect.raises(ValueError, named):
        strong_wolfe(lambda t: (-t, -1.0), 0.0, slope, step)
