"""LinearWarmup: every step of the line, the joint with what comes after, and warmups of several schedules.

`Harmonic` has the rate scale * base_lr / (step + 1), so its first rate need not be base_lr.
"""

import json

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.adam import Adam
from optimization.optimizers.sgd import SGD
from optimization.schedulers.scheduler import Scheduler
from optimization.schedulers.warmup import LinearWarmup

LRS = (0.8, 0.03)


class Harmonic(Scheduler):
    def __init__(self, optimizer, scale=1.0):
        self.scale = scale
        super().__init__(optimizer)

    def rate(self, step, base_lr):
        if step < 0:
            raise AssertionError(f"the schedule behind was asked for the rate at step {step}")
        return self.scale * base_lr / (step + 1)


class HarmonicMomentum(Harmonic):
    def settings(self, step, base_lr, group):
        momentum = group["dampening"] + 0.4 - 0.01 * step
        return {**super().settings(step, base_lr, group), "momentum": momentum}


def sgd(*lrs):
    return SGD([{"params": [Tensor(np.zeros(2), requires_grad=True)], "lr": lr} for lr in lrs], lr=9.0)


def walk(schedule, steps, setting="lr"):
    """What stands in the groups at steps 0, 1, ..., steps: an array (steps + 1, groups)."""
    values = []
    for t in range(steps + 1):
        if t:
            schedule.step()
        values.append([group[setting] for group in schedule.optimizer.param_groups])
    return np.array(values, float)


def shares(start_factor, total_iters, steps):
    """The line, and then 1."""
    line = [start_factor + (1 - start_factor) * t / total_iters for t in range(total_iters)]
    return np.array((line + [1.0] * (steps + 1))[: steps + 1])[:, None]


@pytest.mark.parametrize("total_iters", [1, 2, 5, 10])
@pytest.mark.parametrize("start_factor", [0.0, 0.001, 0.25, 0.9])
def test_alone_it_rises_to_the_rate_and_stays(start_factor, total_iters):
    got = walk(LinearWarmup(sgd(*LRS), start_factor, total_iters), 14)
    want = shares(start_factor, total_iters, 14) * np.array(LRS)
    expect.close(
        got, want, f"rates at steps 0 to 14, start_factor {start_factor}, total_iters {total_iters},"
    )


def test_a_third_in_five_steps_by_default():
    got = walk(LinearWarmup(sgd(1.5)), 7)[:, 0]
    expect.close(got, np.array([0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.5, 1.5]), "rates by default, lr 1.5,")


@pytest.mark.parametrize("total_iters", [1, 4, 10])
def test_what_comes_after_starts_at_its_step_0(total_iters):
    optimizer = sgd(*LRS)
    got = walk(LinearWarmup(optimizer, 0.1, total_iters, Harmonic(optimizer)), total_iters + 6)
    want = shares(0.1, total_iters, total_iters + 6) * np.array(LRS)
    want[total_iters:] = np.array(LRS) / np.arange(1, 8)[:, None]
    expect.close(
        got[:total_iters], want[:total_iters], f"rates at steps 0 to {total_iters - 1}, of the warmup,"
    )
    expect.close(got[total_iters], np.array(LRS), f"rates at step {total_iters}, step 0 of what comes after,")
    expect.close(got, want, f"rates at steps 0 to {total_iters + 6}")


def test_the_line_leads_to_the_first_rate_of_what_comes_after():
    optimizer = sgd(*LRS)
    got = walk(LinearWarmup(optimizer, 0.2, 4, Harmonic(optimizer, scale=0.5)), 6)
    shape = np.array([0.2, 0.4, 0.6, 0.8, 1.0, 1 / 2, 1 / 3])
    expect.close(
        got, 0.5 * shape[:, None] * np.array(LRS), "rates when what comes after starts at half of base_lr,"
    )


def test_without_steps_there_is_no_warmup():
    optimizer = sgd(*LRS)
    got = walk(LinearWarmup(optimizer, 0.2, 0, Harmonic(optimizer)), 3)
    expect.close(got, np.array(LRS) / np.arange(1, 5)[:, None], "rates with total_iters 0")


def test_start_factor_1_waits_at_the_full_rate():
    optimizer = sgd(*LRS)
    got = walk(LinearWarmup(optimizer, 1.0, 2, Harmonic(optimizer)), 4)
    expect.close(got, np.array(LRS) / np.array([1, 1, 1, 2, 3])[:, None], "rates with start_factor 1")


def test_a_warmup_before_a_warmup():
    optimizer = sgd(1.0)
    inner = LinearWarmup(optimizer, 0.5, 2, Harmonic(optimizer))
    got = walk(LinearWarmup(optimizer, 0.0, 2, inner), 6)[:, 0]
    expect.close(got, np.array([0, 0.25, 0.5, 0.75, 1, 1 / 2, 1 / 3]), "rates of two lines and 1 / (t + 1)")


def test_any_step_can_be_asked_for():
    optimizer = sgd(1.0)
    warmup = LinearWarmup(optimizer, 0.0, 10, Harmonic(optimizer))
    warmup.move_to(1009)
    expect.close(
        np.array(warmup.get_last_lr()), np.array([0.001]), "rate at step 1009, step 999 after a warmup of 10,"
    )
    warmup.move_to(5)
    expect.close(np.array(warmup.get_last_lr()), np.array([0.5]), "rate after moving back to step 5")
    for t, want in ((12, 1 / 3), (3, 0.3), (10, 1.0), (0, 0.0), (19, 0.1), (9, 0.9), (12, 1 / 3)):
        expect.close(
            float(warmup.rate(t, 1.0)), want, f"rate at step {t}, asked for out of order,", atol=1e-12
        )


def test_other_settings_follow_what_comes_after():
    optimizer = SGD(
        [
            {"params": [Tensor(np.zeros(2), requires_grad=True)], "lr": lr, "dampening": d}
            for lr, d in ((1.0, 0.5), (2.0, 0.1))
        ],
        lr=9.0,
    )
    warmup = LinearWarmup(optimizer, 0.5, 3, HarmonicMomentum(optimizer))
    got = walk(warmup, 6, "momentum")
    want = np.array([0.9, 0.5]) - 0.01 * np.array([0, 0, 0, 0, 1, 2, 3])[:, None]
    expect.close(got, want, "momentum: that of step 0 during the warmup, then on,")
    expect.close(
        np.array(warmup.get_last_lr()), np.array([0.25, 0.5]), "rates at step 6, step 3 after the warmup,"
    )


def test_other_settings_are_those_of_step_0_all_through_the_warmup():
    optimizer = sgd(1.0)
    warmup = LinearWarmup(optimizer, 0.5, 3, HarmonicMomentum(optimizer))
    group = optimizer.param_groups[0]
    kept = dict(group)
    for t, lr, momentum in ((0, 0.5, 0.4), (2, 5 / 6, 0.4), (3, 1.0, 0.4), (5, 1 / 3, 0.38), (1, 2 / 3, 0.4)):
        got = warmup.settings(t, 1.0, group)
        expect.true(
            "momentum" in got, f"settings at step {t} should have the momentum of what comes after: {got}"
        )
        expect.close(float(got["momentum"]), momentum, f"momentum of settings at step {t}")
        expect.close(float(got["lr"]), lr, f"lr of settings at step {t}")
        same = list(group) == list(kept) and all(group[name] is kept[name] for name in kept)
        expect.true(same, f"settings at step {t} should only read the group: the caller writes into it")
    warmup.move_to(20)
    expect.close(float(group["momentum"]), 0.4 - 0.17, "momentum at step 20, step 17 after a warmup of 3,")
    warmup.move_to(0)
    expect.close(float(group["momentum"]), 0.4, "momentum after moving back to step 0")


def test_what_comes_after_is_asked_and_never_moved():
    optimizer = sgd(*LRS)
    after = Harmonic(optimizer)
    before = after.state_dict()
    warmup = LinearWarmup(optimizer, 0.5, 3, after)
    got = walk(warmup, 6)
    warmup.load_state_dict({"step_count": 5, "base_lrs": [3.0, 6.0]})
    expect.equal(after.state_dict(), before, "state of what comes after, which nobody stepped,")
    expect.close(got[-1], np.array(LRS) / 4, "rates at step 6, step 3 after the warmup")
    expect.close(np.array(warmup.get_last_lr()), np.array([1.0, 2.0]), "rates at step 5 of what was loaded")


def test_nothing_but_lr_is_touched():
    optimizer = Adam([Tensor(np.zeros(2), requires_grad=True)], lr=0.1)
    before = {name: value for name, value in optimizer.param_groups[0].items() if name != "lr"}
    warmup = LinearWarmup(optimizer, 0.5, 2)
    warmup.step()
    group = optimizer.param_groups[0]
    expect.close(group["lr"], 0.075, "lr at step 1")
    expect.equal(sorted(group), sorted([*before, "lr"]), "names in the group after a step")
    for name, value in before.items():
        expect.true(group[name] is value, f"a warmup sets lr and nothing else, but {name!r} was replaced")


def test_base_lrs_come_from_what_comes_after_as_a_list_of_its_own():
    optimizer = sgd(*LRS)
    after = Harmonic(optimizer, scale=0.1)
    warmup = LinearWarmup(optimizer, 0.0, 2, after)
    expect.equal(
        warmup.base_lrs, list(LRS), "base_lrs, though the groups had a tenth of them when it was made,"
    )
    warmup.base_lrs[0] = 2.0
    expect.equal(after.base_lrs, list(LRS), "base_lrs of the schedule behind, after the warmup's changed,")
    got = walk(warmup, 3)[:, 0]
    expect.close(
        got,
        2.0 * 0.1 * np.array([0, 0.5, 1, 0.5]),
        "rates after base_lrs[0] = 2.0: all of the schedule scales",
    )


def test_a_rate_changed_by_hand_leaves_no_trace():
    optimizer = sgd(1.0)
    warmup = LinearWarmup(optimizer, 0.0, 4)
    warmup.step()
    optimizer.param_groups[0]["lr"] = 7.0
    got = walk(warmup, 4)[1:, 0]
    expect.close(got, np.array([0.5, 0.75, 1, 1]), "rates at steps 2 to 5 after lr = 7 at step 1")


@pytest.mark.parametrize("stop", [0, 2, 3, 4, 7])
def test_resuming_before_at_and_after_the_joint(stop):
    def make(*lrs):
        optimizer = sgd(*lrs)
        return LinearWarmup(optimizer, 0.1, 3, Harmonic(optimizer))

    warmup = make(*LRS)
    walk(warmup, stop)
    resumed = make(5.0, 6.0)
    resumed.load_state_dict(json.loads(json.dumps(warmup.state_dict())))
    got = walk(resumed, 9 - stop)
    expect.equal(got, walk(warmup, 9 - stop), f"rates at steps {stop} to 9 of a run resumed at step {stop}")
    expect.close(got[-1], np.array(LRS) / 7, "rates at step 9, step 6 after a warmup of 3,")


def test_settings_out_of_range_are_named():
    for wrong in (-0.1, 1.5, float("nan")):
        with expect.raises(ValueError, "start_factor", str(wrong)):
            LinearWarmup(sgd(0.1), wrong, 3)
    for wrong in (-1, 2.5):
        with expect.raises(ValueError, "total_iters", str(wrong)):
            LinearWarmup(sgd(0.1), 0.5, wrong)


def test_a_schedule_of_another_optimizer_is_an_error():
    mine, other = sgd(0.1), sgd(0.1)
    with expect.raises(ValueError):
        LinearWarmup(mine, 0.5, 3, Harmonic(other))
