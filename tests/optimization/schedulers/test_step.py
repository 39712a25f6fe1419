"""StepLR and MultiStepLR: every step against a loop that walks down the stairs, ends and joints included."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.sgd import SGD
from optimization.schedulers.step import MultiStepLR, StepLR

LRS = (0.8, 0.03)
MILESTONES = {
    "in order": [2, 3, 9],
    "out of order": [9, 2, 3],
    "twice": [4, 4, 7],
    "step 0": [0, 5],
    "step 1": [1],
    "none": [],
    "beyond the end": [3, 1000],
}


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


def stairs(lrs, drops, gamma, steps):
    """The rates of a walk that multiplies by gamma on arriving at each step of ``drops``."""
    rates, lr = [], np.array(lrs, float)
    for t in range(steps + 1):
        lr = lr * gamma ** drops.count(t)
        rates.append(lr)
    return np.array(rates)


@pytest.mark.parametrize("gamma", [0.1, 0.7, 1.5])
@pytest.mark.parametrize("step_size", [1, 2, 5, 40])
def test_step_decay_at_every_step(step_size, gamma):
    got = walk(StepLR(sgd(*LRS), step_size, gamma), 21)
    want = stairs(LRS, list(range(step_size, 22, step_size)), gamma, 21)
    expect.close(got, want, f"rates at steps 0 to 21, step_size {step_size}, gamma {gamma},", atol=0)


@pytest.mark.parametrize("gamma", [0.1, 0.7, 1.5])
@pytest.mark.parametrize("milestones", MILESTONES.values(), ids=MILESTONES.keys())
def test_multi_step_decay_at_every_step(milestones, gamma):
    got = walk(MultiStepLR(sgd(*LRS), milestones, gamma), 12)
    expect.close(
        got,
        stairs(LRS, milestones, gamma, 12),
        f"rates at steps 0 to 12, milestones {milestones}, gamma {gamma},",
        atol=0,
    )


def test_the_joints():
    schedule = StepLR(sgd(1.0), 3, 0.5)
    for t, want in ((0, 1.0), (2, 1.0), (3, 0.5), (5, 0.5), (6, 0.25), (3000, 0.5**1000)):
        expect.close(schedule.rate(t, 1.0), want, f"rate at step {t}, step_size 3, gamma 0.5,", atol=0)
    schedule = MultiStepLR(sgd(1.0), [3, 7], 0.5)
    for t, want in ((0, 1.0), (2, 1.0), (3, 0.5), (6, 0.5), (7, 0.25), (3000, 0.25)):
        expect.close(schedule.rate(t, 1.0), want, f"rate at step {t}, milestones [3, 7], gamma 0.5,", atol=0)


def test_any_step_can_be_asked_for_in_any_order():
    step, multi = StepLR(sgd(9.0), 3, 0.5), MultiStepLR(sgd(9.0), [3, 6, 9, 12, 15], 0.5)
    for t in (14, 2, 9, 0, 8, 3, 14):
        for schedule in (step, multi):
            what = f"{type(schedule).__name__}: rate at step {t}, asked for out of order,"
            expect.close(schedule.rate(t, 1.0), 0.5 ** (t // 3), what, atol=0)
            schedule.move_to(t)
            expect.close(schedule.get_last_lr()[0], 9 * 0.5 ** (t // 3), f"{what} by move_to", atol=0)


def test_gamma_is_a_tenth_by_default():
    expect.close(walk(StepLR(sgd(1.0), 1), 2)[:, 0], np.array([1, 0.1, 0.01]), "StepLR by default")
    expect.close(
        walk(MultiStepLR(sgd(1.0), [1, 2]), 2)[:, 0], np.array([1, 0.1, 0.01]), "MultiStepLR by default"
    )


def test_equal_milestones_are_a_step_decay():
    multi, single = MultiStepLR(sgd(*LRS), [4, 8, 12], 0.3), StepLR(sgd(*LRS), 4, 0.3)
    got = walk(multi, 15)
    expect.close(got, walk(single, 15), "MultiStepLR with milestones 4, 8, 12 against StepLR(4)", atol=0)
    expect.close(got[-1], np.array(LRS) * 0.3**3, "rates at step 15")


def test_the_milestones_are_not_changed():
    milestones = [9, 2, 3]
    schedule = MultiStepLR(sgd(1.0), milestones, 0.5)
    expect.equal(milestones, [9, 2, 3], "the list of milestones that was given")
    milestones.clear()
    expect.close(
        walk(schedule, 3)[:, 0], np.array([1, 1, 0.5, 0.25]), "rates after the caller emptied its list"
    )


def test_milestones_of_a_generator():
    got = walk(MultiStepLR(sgd(1.0), (m for m in (1, 3)), 0.5), 4)[:, 0]
    expect.close(got, np.array([1, 0.5, 0.5, 0.25, 0.25]), "rates with milestones 1 and 3 from a generator")


@pytest.mark.parametrize("make", [lambda o: StepLR(o, 2, 0.5), lambda o: MultiStepLR(o, [2, 4], 0.5)])
def test_a_rate_changed_by_hand_leaves_no_trace(make):
    optimizer = sgd(1.0)
    schedule = make(optimizer)
    schedule.step()
    optimizer.param_groups[0]["lr"] = 7.0
    expect.close(
        walk(schedule, 3)[1:, 0], np.array([0.5, 0.5, 0.25]), "rates at steps 2 to 4 after lr = 7 at step 1"
    )


@pytest.mark.parametrize("make", [lambda o: StepLR(o, 2, 0.5), lambda o: MultiStepLR(o, [2, 4], 0.5)])
def test_resuming_in_the_middle(make):
    schedule = make(sgd(*LRS))
    walk(schedule, 3)
    resumed = make(sgd(5.0, 6.0))
    resumed.load_state_dict(schedule.state_dict())
    got = walk(resumed, 2)
    expect.equal(got, walk(schedule, 2), "rates at steps 3 to 5 of a resumed run")
    expect.close(got[-1], np.array(LRS) / 4, "rates at step 5")


def test_settings_out_of_range_are_named():
    for step_size in (0, -3, 2.5):
        with expect.raises(ValueError, "step_size", str(step_size)):
            StepLR(sgd(0.1), step_size)
    for gamma in (0.0, -0.5, float("nan")):
        with expect.raises(ValueError, "gamma", str(gamma)):
            StepLR(sgd(0.1), 2, gamma)
        with expect.raises(ValueError, "gamma", str(gamma)):
            MultiStepLR(sgd(0.1), [2], gamma)
    for milestone in (-1, 2.5):
        with expect.raises(ValueError, "milestones", str(milestone)):
            MultiStepLR(sgd(0.1), [4, milestone])
