"""OneCycleLR: rate and momentum at every step, both ends and the peak, and what follows the last batch."""

import json

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.adam import Adam
from optimization.optimizers.sgd import SGD
from optimization.schedulers.one_cycle import OneCycleLR

STRATEGIES = ["cos", "linear"]
PLANS = {  # total_steps, pct_start
    "peak on a step": (10, 0.3),
    "peak between steps": (17, 0.4),
    "long way up": (12, 0.9),
    "short way up": (25, 0.08),
    "no way up": (8, 0.0),
    "less than a step up": (9, 0.1),
    "shortest": (2, 0.5),
    "three steps": (3, 0.7),
}


def parameter():
    return [Tensor(np.zeros(2), requires_grad=True)]


def sgd(groups=1, momentum=0.5):
    return SGD([{"params": parameter()} for _ in range(groups)], lr=9.0, momentum=momentum)


def walk(schedule, steps, setting="lr"):
    """What stands in the groups at steps 0, 1, ..., steps: an array (steps + 1, groups)."""
    values = []
    for t in range(steps + 1):
        if t:
            schedule.step()
        values.append([group[setting] for group in schedule.optimizer.param_groups])
    return np.array(values, float)


def cycle(total_steps, pct_start, strategy, first, peak, final):
    """The formula, for steps 0 to total_steps - 1."""
    top, last = max(0.0, pct_start * total_steps - 1), total_steps - 1
    values = []
    for t in range(total_steps):
        start, end, way = (first, peak, t / top) if t < top else (peak, final, (t - top) / (last - top))
        moved = (1 - np.cos(np.pi * way)) / 2 if strategy == "cos" else way
        values.append(start + moved * (end - start))
    return np.array(values)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_the_rate_at_every_step(plan, strategy):
    total_steps, pct_start = plan
    schedule = OneCycleLR(
        sgd(),
        0.6,
        total_steps,
        pct_start,
        strategy,
        cycle_momentum=False,
        div_factor=10.0,
        final_div_factor=20.0,
    )
    got = walk(schedule, total_steps - 1)[:, 0]
    want = cycle(total_steps, pct_start, strategy, 0.06, 0.6, 0.003)
    expect.close(got, want, f"rates of {total_steps} steps, pct_start {pct_start}, {strategy},", rtol=1e-11)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_the_momentum_at_every_step(plan, strategy):
    total_steps, pct_start = plan
    schedule = OneCycleLR(sgd(), 0.6, total_steps, pct_start, strategy, base_momentum=0.7, max_momentum=0.9)
    got = walk(schedule, total_steps - 1, "momentum")[:, 0]
    want = cycle(total_steps, pct_start, strategy, 0.9, 0.7, 0.9)
    expect.close(
        got, want, f"momentum of {total_steps} steps, pct_start {pct_start}, {strategy},", rtol=1e-11
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_any_step_can_be_asked_for_in_any_order(strategy):
    schedule = OneCycleLR(sgd(), 0.6, 20, 0.3, strategy)
    want = cycle(20, 0.3, strategy, 0.024, 0.6, 2.4e-6)
    for t in (19, 3, 12, 0, 5, 7, 2, 19):
        what = f"rate at step {t}, asked for out of order, {strategy},"
        expect.close(float(schedule.rate(t, 0.6)), float(want[t]), what, rtol=1e-9)
        schedule.move_to(t)
        expect.close(float(schedule.get_last_lr()[0]), float(want[t]), f"{what} by move_to", rtol=1e-9)


def test_settings_only_reads_the_group():
    for optimizer, name in ((sgd(), "momentum"), (Adam(parameter(), betas=(0.5, 0.77)), "betas")):
        schedule = OneCycleLR(optimizer, 0.6, 10)
        group = optimizer.param_groups[0]
        kept = dict(group)
        got = schedule.settings(2, 0.6, group)
        expect.close(float(got["lr"]), 0.6, f"lr of settings at step 2, the peak, of a group with {name}")
        wanted = (0.85, 0.77) if name == "betas" else 0.85
        expect.close(np.array(got[name]), np.array(wanted), f"{name} of settings at step 2, the peak,")
        same = list(group) == list(kept) and all(group[key] is kept[key] for key in kept)
        expect.true(same, f"settings should only read the group with {name}: the caller writes into it")


def test_a_group_with_betas_and_momentum_has_its_betas_cycled():
    optimizer = sgd(momentum=0.5)
    optimizer.param_groups[0]["betas"] = (0.3, 0.77)
    schedule = OneCycleLR(optimizer, 0.6, 10)
    schedule.move_to(2)
    group = optimizer.param_groups[0]
    what = "betas at the peak of a group with betas and momentum"
    expect.close(np.array(group["betas"]), np.array([0.85, 0.77]), what)
    expect.close(float(group["momentum"]), 0.5, "momentum of a group with betas, which are cycled instead,")


def test_by_default():
    schedule = OneCycleLR(sgd(), 0.5, 20)
    rates, momenta = [], []
    for t in range(20):
        if t:
            schedule.step()
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        momenta.append(schedule.optimizer.param_groups[0]["momentum"])
    want = cycle(20, 0.3, "cos", 0.5 / 25, 0.5, 0.5 / 25 / 1e4)
    expect.close(np.array(rates), want, "rates of 20 steps by default", rtol=1e-11)
    expect.close(
        np.array(momenta), cycle(20, 0.3, "cos", 0.95, 0.85, 0.95), "momentum of 20 steps by default"
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_first_step_peak_and_last_step(strategy):
    schedule = OneCycleLR(sgd(), 0.8, 30, 0.2, strategy, div_factor=16.0, final_div_factor=1000.0)
    for t, lr, momentum, name in ((0, 0.05, 0.95, "first"), (5, 0.8, 0.85, "peak"), (29, 5e-5, 0.95, "last")):
        schedule.move_to(t)
        group = schedule.optimizer.param_groups[0]
        expect.close(float(group["lr"]), lr, f"rate at step {t}, the {name},", atol=1e-15)
        expect.close(float(group["momentum"]), momentum, f"momentum at step {t}, the {name},")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_after_the_last_batch_the_final_values_stay(strategy):
    schedule = OneCycleLR(sgd(), 0.8, 6, 0.5, strategy, div_factor=8.0, final_div_factor=100.0)
    walk(schedule, 5)
    try:
        schedule.step()
    except ValueError as error:
        raise AssertionError(
            f"step after the last of 6 batches is call 6 and must be allowed, got: {error}"
        ) from error
    group = schedule.optimizer.param_groups[0]
    expect.equal(schedule.step_count, 6, "step_count when step was called after each of 6 batches")
    expect.close(float(group["lr"]), 1e-3, "rate after the last batch", atol=1e-15)
    expect.close(float(group["momentum"]), 0.95, "momentum after the last batch")


def test_a_step_past_the_end_is_an_error_that_changes_nothing():
    schedule = OneCycleLR(sgd(), 0.8, 6, 0.5)
    final = walk(schedule, 6)[-1, 0]
    with expect.raises(ValueError, "7", "6"):
        schedule.step()
    expect.equal(schedule.step_count, 6, "step_count after the step that raised")
    expect.close(
        float(schedule.optimizer.param_groups[0]["lr"]), float(final), "rate after the step that raised"
    )
    with expect.raises(ValueError, "100", "6"):
        schedule.move_to(100)


def test_beta1_is_cycled_where_there_are_betas():
    optimizer = Adam(parameter(), lr=9.0, betas=(0.5, 0.77))
    schedule = OneCycleLR(optimizer, 0.6, 10, base_momentum=0.7, max_momentum=0.9)
    got = []
    for t in range(10):
        if t:
            schedule.step()
        got.append(optimizer.param_groups[0]["betas"])
    expect.true(
        all(type(betas) is tuple and len(betas) == 2 for betas in got),
        f"betas should stay a tuple of two numbers, got {got[0]}",
    )
    want = np.stack([cycle(10, 0.3, "cos", 0.9, 0.7, 0.9), np.full(10, 0.77)], 1)
    expect.close(np.array(got), want, "betas at steps 0 to 9: the first cycled, the second as it was,")
    expect.true(
        "momentum" not in optimizer.param_groups[0], "Adam has no setting momentum: cycle betas[0] instead"
    )


def test_groups_have_peaks_and_second_betas_of_their_own():
    optimizer = Adam(
        [{"params": parameter()}, {"params": parameter(), "betas": (0.9, 0.5)}], betas=(0.9, 0.8)
    )
    schedule = OneCycleLR(optimizer, [0.6, 0.01], 8)
    expect.equal(schedule.base_lrs, [0.6, 0.01], "base_lrs, the max_lr of each group,")
    got = walk(schedule, 7)
    shape = cycle(8, 0.3, "cos", 1 / 25, 1, 1 / 25 / 1e4)
    expect.close(got, shape[:, None] * np.array([0.6, 0.01]), "rates of two groups with max_lr 0.6 and 0.01")
    expect.equal([group["betas"][1] for group in optimizer.param_groups], [0.8, 0.5], "second betas")


def test_one_max_lr_is_for_all_groups():
    got = walk(OneCycleLR(sgd(3), 0.6, 8), 7)
    want = cycle(8, 0.3, "cos", 0.6 / 25, 0.6, 0.6 / 25 / 1e4)[:, None] * np.ones(3)
    expect.close(got, want, "rates of three groups with one max_lr")


@pytest.mark.parametrize("cycled", [True, False])
def test_nothing_else_is_touched(cycled):
    optimizer = SGD(parameter(), lr=9.0, momentum=0.5, weight_decay=0.1)
    schedule = OneCycleLR(optimizer, 0.6, 10, cycle_momentum=cycled)
    got = walk(schedule, 4)[:, 0]
    expect.close(got, cycle(10, 0.3, "cos", 0.024, 0.6, 2.4e-6)[:5], "rates at steps 0 to 4")
    group = dict(optimizer.param_groups[0])
    momentum = cycle(10, 0.3, "cos", 0.95, 0.85, 0.95)[4] if cycled else 0.5
    expect.close(
        float(group.pop("momentum")), float(momentum), f"momentum at step 4, cycle_momentum={cycled},"
    )
    del group["lr"], group["params"]
    want = {
        name: value
        for name, value in SGD(parameter(), lr=9.0, weight_decay=0.1).param_groups[0].items()
        if name in group
    }
    expect.equal(group, want, "the other settings")


def test_without_momentum_to_cycle_there_must_be_no_cycling():
    class Plain(SGD):
        def __init__(self, params):
            super().__init__(params, lr=9.0)
            for group in self.param_groups:
                del group["momentum"]

    with expect.raises(ValueError, "cycle_momentum"):
        OneCycleLR(Plain(parameter()), 0.6, 10)
    got = walk(OneCycleLR(Plain(parameter()), 0.6, 10, cycle_momentum=False), 9)[:, 0]
    expect.close(got, cycle(10, 0.3, "cos", 0.024, 0.6, 2.4e-6), "rates without a momentum", rtol=1e-11)


def test_what_is_changed_by_hand_leaves_no_trace():
    optimizer = sgd()
    schedule = OneCycleLR(optimizer, 0.6, 10)
    walk(schedule, 3)
    optimizer.param_groups[0].update(lr=7.0, momentum=0.1)
    schedule.step()
    group = optimizer.param_groups[0]
    expect.close(float(group["lr"]), float(cycle(10, 0.3, "cos", 0.024, 0.6, 2.4e-6)[4]), "rate at step 4")
    expect.close(
        float(group["momentum"]), float(cycle(10, 0.3, "cos", 0.95, 0.85, 0.95)[4]), "momentum at step 4"
    )


@pytest.mark.parametrize("stop", [0, 2, 5, 9])
def test_resuming_is_bit_exact(stop):
    schedule = OneCycleLR(sgd(2), [0.6, 0.2], 10)
    walk(schedule, stop)
    resumed = OneCycleLR(sgd(2), [5.0, 6.0], 10)
    resumed.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    for name in ("lr", "momentum"):
        want = np.array([group[name] for group in schedule.optimizer.param_groups])
        got = np.array([group[name] for group in resumed.optimizer.param_groups])
        expect.equal(got, want, f"{name} of both groups right after loading step {stop}")
    got = walk(resumed, 10 - stop)
    expect.equal(got, walk(schedule, 10 - stop), f"rates at steps {stop} to 10 of a resumed run")
    expect.close(got[-1], np.array([0.6, 0.2]) / 25e4, "rates at the end")


def test_a_momentum_of_0_is_allowed():
    got = walk(OneCycleLR(sgd(), 0.6, 10, base_momentum=0.0, max_momentum=0.5), 9, "momentum")[:, 0]
    expect.close(got, cycle(10, 0.3, "cos", 0.5, 0.0, 0.5), "momentum between 0.5 and 0.0")


WRONG = [
    ({"max_lr": 0.0}, ("max_lr", "0.0")),
    ({"max_lr": -0.5}, ("max_lr", "-0.5")),
    ({"max_lr": [0.5, float("nan")]}, ("max_lr", "nan")),
    ({"max_lr": [0.1, 0.2, 0.3]}, ("max_lr", "3", "2")),
    ({"max_lr": [0.1]}, ("max_lr", "1", "2")),
    ({"total_steps": 1}, ("total_steps", "1")),
    ({"total_steps": 10.5}, ("total_steps", "10.5")),
    ({"pct_start": 1.0}, ("pct_start", "1.0")),
    ({"pct_start": -0.1}, ("pct_start", "-0.1")),
    ({"anneal_strategy": "square"}, ("anneal_strategy", "square")),
    ({"base_momentum": 1.0}, ("base_momentum", "1.0")),
    ({"base_momentum": -0.1}, ("base_momentum", "-0.1")),
    ({"max_momentum": 1.5}, ("max_momentum", "1.5")),
    ({"base_momentum": 1.0, "cycle_momentum": False}, ("base_momentum", "1.0")),
    ({"max_momentum": 1.5, "cycle_momentum": False}, ("max_momentum", "1.5")),
    ({"div_factor": 0.0}, ("div_factor", "0.0")),
    ({"final_div_factor": -1.0}, ("final_div_factor", "-1.0")),
]


@pytest.mark.parametrize(
    ("settings", "named"), WRONG, ids=[", ".join(f"{n}={v}" for n, v in s.items()) for s, _ in WRONG]
)
def test_settings_out_of_range_are_named(settings, named):
    with expect.raises(ValueError, *named):
        OneCycleLR(sgd(2), **{"max_lr": 0.1, "total_steps": 10, **settings})
