"""Cosine annealing and warm restarts: every step against the formula, both ends, and every restart."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.sgd import SGD
from optimization.schedulers.cosine import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    cosine_between,
)

LRS = (0.8, 0.03)


def sgd(*lrs):
    return SGD([{"params": [Tensor(np.zeros(2), requires_grad=True)], "lr": lr} for lr in lrs], lr=9.0)


def walk(schedule, steps):
    """The rates that stand in the groups at steps 0, 1, ..., steps: an array (steps + 1, groups)."""
    rates = []
    for t in range(steps + 1):
        if t:
            schedule.step()
        rates.append([group["lr"] for group in schedule.optimizer.param_groups])
    return np.array(rates, float)


def annealed(fractions, eta_min):
    """The formula, for each fraction of a cycle and each group."""
    shares = (1 + np.cos(np.pi * np.array(fractions)[:, None])) / 2
    return eta_min + (np.array(LRS) - eta_min) * shares


def cycles(T_0, T_mult, steps):
    """The fraction of its cycle that each step is at, by walking through the cycles."""
    fractions, t, T = [], 0, T_0
    for _ in range(steps + 1):
        fractions.append(t / T)
        t += 1
        if t == T:
            t, T = 0, T * T_mult
    return fractions


def test_cosine_between_at_fractions_of_the_way():
    for fraction, want in ((0, 5.0), (1 / 3, 4.0), (0.5, 3.0), (2 / 3, 2.0), (1, 1.0), (1.5, 3.0), (2, 5.0)):
        expect.close(cosine_between(5.0, 1.0, fraction), want, f"cosine_between(5.0, 1.0, {fraction:.3g})")
    expect.close(cosine_between(1.0, 5.0, 0.25), 3 - 2**0.5, "cosine_between(1.0, 5.0, 0.25), upwards,")


def test_cosine_between_arrives_at_both_ends():
    for start, end in ((0.1, 0.003), (0.7, 0.1), (1e-4, 0.3), (0.3, 1e-6)):
        near = 1e-15 * max(start, end)
        expect.close(cosine_between(start, end, 0), start, f"cosine_between({start}, {end}, 0)", atol=near)
        expect.close(cosine_between(start, end, 1), end, f"cosine_between({start}, {end}, 1)", atol=near)


@pytest.mark.parametrize("eta_min", [0.0, 0.001, 0.2])
@pytest.mark.parametrize("T_max", [1, 2, 7, 20])
def test_annealing_at_every_step(T_max, eta_min):
    got = walk(CosineAnnealingLR(sgd(*LRS), T_max, eta_min), T_max)
    want = annealed(np.arange(T_max + 1) / T_max, eta_min)
    expect.close(got, want, f"rates at steps 0 to {T_max}, T_max {T_max}, eta_min {eta_min},")


@pytest.mark.parametrize("eta_min", [0.0, 0.001, 0.1])
def test_annealing_starts_and_ends_where_it_should(eta_min):
    got = walk(CosineAnnealingLR(sgd(0.7, 0.3), 13, eta_min), 13)
    expect.close(got[0], np.array([0.7, 0.3]), "rates at step 0")
    expect.close(got[13], np.array([eta_min, eta_min]), "rates at step T_max = 13", atol=1e-15)


def test_beyond_t_max_the_cosine_goes_on():
    got = walk(CosineAnnealingLR(sgd(*LRS), 6, 0.01), 30)
    expect.close(got, annealed(np.arange(31) / 6, 0.01), "rates at steps 0 to 30, T_max 6,")
    expect.close(got[12], np.array(LRS), "rates at step 12 = 2 T_max, the base rates,")


def test_eta_min_is_0_by_default():
    expect.close(walk(CosineAnnealingLR(sgd(1.0), 2), 2)[:, 0], np.array([1, 0.5, 0]), "annealing by default")
    got = walk(CosineAnnealingWarmRestarts(sgd(1.0), 2), 5)[:, 0]
    expect.close(got, np.array([1, 0.5] * 3), "warm restarts by default: cycles of one length,")


@pytest.mark.parametrize("eta_min", [0.0, 0.2])
@pytest.mark.parametrize("T_mult", [1, 2, 3])
@pytest.mark.parametrize("T_0", [1, 2, 5])
def test_restarts_at_every_step(T_0, T_mult, eta_min):
    got = walk(CosineAnnealingWarmRestarts(sgd(*LRS), T_0, T_mult, eta_min), 70)
    want = annealed(cycles(T_0, T_mult, 70), eta_min)
    expect.close(got, want, f"rates at steps 0 to 70, T_0 {T_0}, T_mult {T_mult}, eta_min {eta_min},")


@pytest.mark.parametrize(("T_0", "T_mult"), [(1, 2), (1, 3), (1, 5), (3, 3), (7, 2), (1, 10)])
def test_every_cycle_begins_at_the_base_rate(T_0, T_mult):
    schedule = CosineAnnealingWarmRestarts(sgd(0.7), T_0, T_mult, 0.1)
    start, T = 0, T_0
    for _ in range(12):
        expect.close(
            float(schedule.rate(start, 0.7)),
            0.7,
            f"rate at step {start}, a restart, T_0 {T_0}, T_mult {T_mult},",
        )
        start, T = start + T, T * T_mult
        want = 0.1 + 0.3 * (1 + np.cos(np.pi * (1 - T_mult / T)))
        expect.close(
            float(schedule.rate(start - 1, 0.7)),
            float(want),
            f"rate at step {start - 1}, the last of a cycle,",
        )


def test_any_step_can_be_asked_for_in_any_order():
    annealing, restarts = (
        CosineAnnealingLR(sgd(*LRS), 9, 0.01),
        CosineAnnealingWarmRestarts(sgd(*LRS), 2, 2, 0.01),
    )
    fractions = cycles(2, 2, 40)  # cycles of 2, 4, 8, 16, ... steps
    for t in (40, 5, 13, 2, 0, 30, 6, 40):
        for schedule, fraction in ((annealing, t / 9), (restarts, fractions[t])):
            want, what = annealed([fraction], 0.01)[0], f"rate at step {t}, asked for out of order,"
            name = type(schedule).__name__
            expect.close(float(schedule.rate(t, LRS[0])), float(want[0]), f"{name}: {what}")
            schedule.move_to(t)
            expect.close(np.array(schedule.get_last_lr()), want, f"{name}: {what} by move_to")


def test_one_cycle_is_annealing_without_its_last_step():
    got = walk(CosineAnnealingWarmRestarts(sgd(*LRS), 9, 2, 0.01), 8)
    expect.close(got, walk(CosineAnnealingLR(sgd(*LRS), 9, 0.01), 8), "rates of a first cycle of 9 steps")
    expect.close(got, annealed(np.arange(9) / 9, 0.01), "the same rates")


MAKES = {
    "annealing": lambda o: CosineAnnealingLR(o, 4),
    "restarts": lambda o: CosineAnnealingWarmRestarts(o, 4, 2),
}


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES.keys())
def test_a_rate_changed_by_hand_leaves_no_trace(make):
    optimizer = sgd(1.0)
    schedule = make(optimizer)
    schedule.step()
    optimizer.param_groups[0]["lr"] = 7.0
    want = np.array([0.5, 0.5 - 0.125**0.5])
    expect.close(walk(schedule, 2)[1:, 0], want, "rates at steps 2 and 3 after lr = 7 at step 1")


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES.keys())
def test_resuming_in_the_middle(make):
    schedule = make(sgd(*LRS))
    walk(schedule, 3)
    resumed = make(sgd(5.0, 6.0))
    resumed.load_state_dict(schedule.state_dict())
    got = walk(resumed, 5)
    expect.equal(got, walk(schedule, 5), "rates at steps 3 to 8 of a resumed run")
    expect.close(got[0], np.array(LRS) * (0.5 - 0.125**0.5), "rates at step 3")


def test_settings_out_of_range_are_named():
    for wrong in (0, -3, 2.5):
        with expect.raises(ValueError, "T_max", str(wrong)):
            CosineAnnealingLR(sgd(0.1), wrong)
        with expect.raises(ValueError, "T_0", str(wrong)):
            CosineAnnealingWarmRestarts(sgd(0.1), wrong)
        with expect.raises(ValueError, "T_mult", str(wrong)):
            CosineAnnealingWarmRestarts(sgd(0.1), 3, wrong)
    for wrong in (-0.5, float("nan")):
        with expect.raises(ValueError, "eta_min", str(wrong)):
            CosineAnnealingLR(sgd(0.1), 3, wrong)
        with expect.raises(ValueError, "eta_min", str(wrong)):
            CosineAnnealingWarmRestarts(sgd(0.1), 3, 2, wrong)
