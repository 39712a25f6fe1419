"""Scheduler: counting, groups, hand-made changes and resuming, seen through a rate that is easy to predict.

`Harmonic` has the rate base_lr / (step + 1), and refuses steps beyond its end.
"""

import json

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.adam import Adam
from optimization.optimizers.sgd import SGD
from optimization.schedulers.scheduler import Scheduler


class Harmonic(Scheduler):
    def __init__(self, optimizer, base_lrs=None, end=10**6):
        self.end = end
        super().__init__(optimizer, base_lrs)

    def rate(self, step, base_lr):
        if step > self.end:
            raise ValueError(f"step {step} is beyond {self.end}")
        return base_lr / (step + 1)


class HarmonicMomentum(Harmonic):
    def settings(self, step, base_lr, group):
        return {**super().settings(step, base_lr, group), "momentum": 1 - base_lr / (step + 2)}


def sgd(*lrs, **settings):
    """An optimizer with a group for each rate."""
    return SGD([{"params": weights(), "lr": lr} for lr in lrs], lr=9.0, **settings)


def weights():
    return [Tensor(np.zeros(2), requires_grad=True)]


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def test_construction_sets_the_rate_of_step_0():
    class Shifted(Harmonic):
        def rate(self, step, base_lr):
            return base_lr / (step + 4)

    optimizer = sgd(0.8, 0.4)
    schedule = Shifted(optimizer)
    expect.equal(rates(optimizer), [0.2, 0.1], "rates after construction, where rate(0) is base_lr / 4,")
    expect.equal(schedule.base_lrs, [0.8, 0.4], "base_lrs")
    expect.equal(schedule.step_count, 0, "step_count after construction")
    expect.true(schedule.optimizer is optimizer, "schedule.optimizer must be the optimizer it was given")


def test_each_step_sets_the_rate_of_every_group():
    optimizer = sgd(0.6, 1.2, 6.0)
    schedule = Harmonic(optimizer)
    for t in range(1, 8):
        schedule.step()
        want = [0.6 / (t + 1), 1.2 / (t + 1), 6.0 / (t + 1)]
        expect.equal(rates(optimizer), want, f"rates after {t} calls of step")
        expect.equal(schedule.get_last_lr(), want, f"get_last_lr after {t} calls of step")
        expect.equal(schedule.step_count, t, f"step_count after {t} calls of step")


def test_the_rate_at_a_step_does_not_pass_through_the_steps_before():
    asked = []

    class Recorded(Harmonic):
        def rate(self, step, base_lr):
            asked.append((step, base_lr))
            return super().rate(step, base_lr)

    optimizer = sgd(0.5)
    schedule = Recorded(optimizer)
    schedule.move_to(999)
    expect.equal(rates(optimizer), [0.5 / 1000], "rate after move_to(999)")
    expect.equal(schedule.step_count, 999, "step_count after move_to(999)")
    expect.true(
        len(asked) < 10 and all(base_lr == 0.5 for _, base_lr in asked),
        f"move_to(999) should ask for rate(999, 0.5) alone; rate was asked {len(asked)} times",
    )
    schedule.move_to(3)
    expect.equal(rates(optimizer), [0.125], "rate after moving back to step 3")


def test_base_lrs_may_be_given():
    optimizer = sgd(0.6, 1.2)
    given = (3.0, 4.0)
    schedule = Harmonic(optimizer, given)
    schedule.step()
    expect.equal(rates(optimizer), [1.5, 2.0], "rates at step 1 from base_lrs (3.0, 4.0)")
    expect.equal(schedule.base_lrs, [3.0, 4.0], "base_lrs, a list of floats,")


def test_base_lrs_are_copied():
    given = [3.0]
    schedule = Harmonic(sgd(0.6), given)
    schedule.base_lrs[0] = 5.0
    expect.equal(given, [3.0], "the list that was given, after schedule.base_lrs changed,")
    schedule.step()
    expect.equal(schedule.get_last_lr(), [2.5], "rate at step 1 after base_lrs[0] = 5.0")


def test_nothing_but_lr_is_touched():
    params = weights()
    optimizer = Adam([{"params": params, "betas": (0.5, 0.6), "weight_decay": 0.3}], lr=0.1)
    before = {name: value for name, value in optimizer.param_groups[0].items() if name != "lr"}
    schedule = Harmonic(optimizer)
    schedule.step()
    group = optimizer.param_groups[0]
    expect.equal(group["lr"], 0.05, "lr at step 1")
    expect.equal(sorted(group), sorted([*before, "lr"]), "names in the group after a step")
    for name, value in before.items():
        expect.true(group[name] is value, f"a schedule sets lr and nothing else, but {name!r} was replaced")
    expect.equal(optimizer.state, {}, "the optimizer's memory after a step of the schedule")


def test_what_settings_adds_is_set_too():
    optimizer = sgd(0.5, 0.2)
    schedule = HarmonicMomentum(optimizer)
    momenta = [group["momentum"] for group in optimizer.param_groups]
    expect.close(np.array(momenta), np.array([0.75, 0.9]), "momentum at step 0")
    schedule.step()
    momenta = [group["momentum"] for group in optimizer.param_groups]
    expect.close(np.array(momenta), 1 - np.array([0.5, 0.2]) / 3, "momentum at step 1")
    expect.equal(rates(optimizer), [0.25, 0.1], "rates at step 1")


def test_the_optimizer_uses_the_rate():
    (w,) = params = weights()
    optimizer = SGD(params, lr=1.0)
    schedule = Harmonic(optimizer)
    for _ in range(4):
        w.grad = np.array([1.0, -1.0])
        optimizer.step()
        schedule.step()
    total = 1 + 1 / 2 + 1 / 3 + 1 / 4
    expect.close(w.data, np.array([-total, total]), "weights after 4 steps with rates 1, 1/2, 1/3, 1/4")


def test_a_rate_changed_by_hand_lasts_until_the_next_step():
    optimizer = sgd(0.6, 1.2)
    schedule = Harmonic(optimizer)
    schedule.step()
    optimizer.param_groups[0]["lr"] = 7.0
    expect.equal(schedule.get_last_lr(), [0.3, 0.6], "get_last_lr, the schedule's own rates, after lr = 7.0")
    schedule.step()
    expect.close(np.array(rates(optimizer)), np.array([0.2, 0.4]), "rates at step 2: 7.0 must leave no trace")


def test_a_changed_base_lr_changes_the_schedule():
    optimizer = sgd(0.6, 1.2)
    schedule = Harmonic(optimizer)
    schedule.base_lrs[1] = 3.0
    schedule.step()
    expect.equal(rates(optimizer), [0.3, 1.5], "rates at step 1 after base_lrs[1] = 3.0")


def test_of_two_schedules_the_last_to_step_wins():
    optimizer = sgd(1.0)
    first, second = Harmonic(optimizer), Harmonic(optimizer, [5.0])
    second.step()
    first.step()
    expect.equal(rates(optimizer), [0.5], "rate after a step of the second schedule, then of the first")
    second.step()
    expect.close(np.array(rates(optimizer)), np.array([5 / 3]), "rate after another step of the second")


def test_state_dict_is_plain_numbers_and_a_copy():
    schedule = Harmonic(sgd(np.float64(0.6), 1.2))
    schedule.step()
    saved = schedule.state_dict()
    expect.equal(dict(sorted(saved.items())), {"base_lrs": [0.6, 1.2], "step_count": 1}, "state_dict")
    expect.equal(json.loads(json.dumps(saved)), saved, "state_dict as JSON and back")
    saved["base_lrs"][0] = 9.0
    schedule.step()
    expect.close(
        np.array(schedule.get_last_lr()), np.array([0.2, 0.4]), "rates after a saved copy was changed"
    )


def test_a_step_of_numpy_is_saved_as_a_plain_number():
    schedule = Harmonic(sgd(0.6))
    schedule.move_to(np.int64(3))
    expect.close(np.array(schedule.get_last_lr()), np.array([0.15]), "rates after move_to(np.int64(3))")
    try:
        text = json.dumps(schedule.state_dict())
    except TypeError as error:
        raise AssertionError(
            f"state_dict after move_to(np.int64(3)) should be plain numbers: {error}"
        ) from error
    expect.equal(json.loads(text)["step_count"], 3, "step_count in state_dict after move_to(np.int64(3))")


@pytest.mark.parametrize("schedule_first", [True, False])
def test_resuming_is_bit_exact_in_either_order_of_loading(schedule_first):
    optimizer = sgd(0.7, 0.3)
    schedule = Harmonic(optimizer)
    for _ in range(5):
        schedule.step()
    saved, saved_optimizer = json.loads(json.dumps(schedule.state_dict())), optimizer.state_dict()
    resumed_optimizer = sgd(5.0, 6.0)
    if schedule_first:
        resumed = Harmonic(resumed_optimizer)
        resumed.load_state_dict(saved)
        expect.equal(rates(resumed_optimizer), [0.7 / 6, 0.3 / 6], "rates right after loading the schedule")
        resumed_optimizer.load_state_dict(saved_optimizer)
    else:
        resumed_optimizer.load_state_dict(saved_optimizer)
        resumed = Harmonic(resumed_optimizer)
        resumed.load_state_dict(saved)
    expect.equal(resumed.step_count, 5, "step_count after loading")
    expect.equal(rates(resumed_optimizer), [0.7 / 6, 0.3 / 6], "rates after loading both")
    for t in range(6, 9):
        resumed.step()
        expect.equal(
            rates(resumed_optimizer), [0.7 / (t + 1), 0.3 / (t + 1)], f"rates at step {t} after resuming"
        )


def test_what_was_loaded_is_copied():
    schedule, saved = Harmonic(sgd(1.0)), {"step_count": 1, "base_lrs": [0.5]}
    schedule.load_state_dict(saved)
    saved["base_lrs"][0] = 9.0
    expect.equal(schedule.get_last_lr(), [0.25], "rate at step 1 after what was loaded changed")


def test_a_step_that_is_refused_changes_nothing():
    optimizer = sgd(1.0, 2.0)
    schedule = Harmonic(optimizer, end=1)
    schedule.step()
    with expect.raises(ValueError, "2", "1"):
        schedule.step()
    expect.equal(schedule.step_count, 1, "step_count after a step that raised")
    expect.equal(rates(optimizer), [0.5, 1.0], "rates after a step that raised")


def test_when_the_last_group_refuses_the_first_is_left_alone_too():
    class Picky(Harmonic):
        def rate(self, step, base_lr):
            if step and base_lr > 1:
                raise ValueError(f"base_lr {base_lr} at step {step}")
            return super().rate(step, base_lr)

    optimizer = sgd(1.0, 2.0)
    schedule = Picky(optimizer)
    with expect.raises(ValueError, "2.0"):
        schedule.step()
    expect.equal(rates(optimizer), [1.0, 2.0], "rates after a step that raised for the second group")
    expect.equal(schedule.step_count, 0, "step_count after it")


def test_a_step_that_is_no_step_is_named():
    schedule = Harmonic(sgd(1.0))
    for wrong, named in ((-1, "-1"), (1.5, "1.5")):
        with expect.raises(ValueError, named):
            schedule.move_to(wrong)
    schedule.step()
    expect.equal(schedule.get_last_lr(), [0.5], "rate at step 1")


def test_a_group_added_later_is_an_error_until_it_has_a_base_lr():
    optimizer = sgd(1.0, 2.0)
    schedule = Harmonic(optimizer)
    optimizer.add_param_group({"params": weights(), "lr": 4.0})
    with expect.raises(ValueError, "2", "3"):
        schedule.step()
    schedule.base_lrs.append(4.0)
    schedule.step()
    expect.equal(rates(optimizer), [0.5, 1.0, 2.0], "rates at step 1 after base_lrs.append(4.0)")


def test_another_number_of_groups_is_an_error():
    with expect.raises(ValueError, "1", "2"):
        Harmonic(sgd(0.1, 0.2), [0.1])
    with expect.raises(ValueError, "3", "2"):
        Harmonic(sgd(0.1, 0.2), [0.1, 0.2, 0.3])
    two, three = Harmonic(sgd(0.1, 0.2)), Harmonic(sgd(0.1, 0.2, 0.3))
    with expect.raises(ValueError, "3", "2"):
        two.load_state_dict(three.state_dict())
    with expect.raises(ValueError, "2", "3"):
        three.load_state_dict(two.state_dict())
    expect.equal(two.base_lrs, [0.1, 0.2], "base_lrs after a state that did not fit")
