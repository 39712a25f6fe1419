"""ExponentialLR: every step against a loop of multiplications, and the gamma that ends where it should."""

import numpy as np
import pytest

from curriculum.testing import expect
from foundations.computational_graph import Tensor
from optimization.optimizers.sgd import SGD
from optimization.schedulers.exponential import ExponentialLR, gamma_for

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


@pytest.mark.parametrize("gamma", [0.1, 0.9, 0.999, 1.0, 1.05])
def test_every_step_against_a_loop(gamma):
    want = [np.array(LRS)]
    for _ in range(50):
        want.append(want[-1] * gamma)
    got = walk(ExponentialLR(sgd(*LRS), gamma), 50)
    expect.close(got, np.array(want), f"rates at steps 0 to 50, gamma {gamma},", atol=0)


def test_half_at_every_step():
    want = np.array([[3.0 / 2**t] for t in range(31)])
    got = walk(ExponentialLR(sgd(3.0), 0.5), 30)
    expect.close(got, want, "rates at steps 0 to 30, gamma 0.5,", rtol=1e-13, atol=0)


def test_a_late_step_without_the_steps_before():
    schedule = ExponentialLR(sgd(2.0), 0.999)
    expect.close(
        schedule.rate(100_000, 2.0), 2 * np.exp(1e5 * np.log(0.999)), "rate at step 100,000", rtol=1e-9
    )
    schedule.move_to(1000)
    expect.close(walk(schedule, 1)[:, 0], 2 * 0.999 ** np.array([1000, 1001]), "rates at steps 1000 and 1001")


def test_any_step_can_be_asked_for_in_any_order():
    schedule = ExponentialLR(sgd(9.0), 0.5)
    for t in (14, 2, 9, 0, 8, 3, 14):
        what = f"rate at step {t}, asked for out of order,"
        expect.close(schedule.rate(t, 1.0), 0.5**t, what, atol=0)
        schedule.move_to(t)
        expect.close(schedule.get_last_lr()[0], 9 * 0.5**t, f"{what} by move_to", atol=0)


def test_a_rate_changed_by_hand_leaves_no_trace():
    optimizer = sgd(1.0)
    schedule = ExponentialLR(optimizer, 0.5)
    schedule.step()
    optimizer.param_groups[0]["lr"] = 7.0
    expect.close(
        walk(schedule, 2)[1:, 0], np.array([0.25, 0.125]), "rates at steps 2 and 3 after lr = 7 at step 1"
    )


def test_resuming_in_the_middle():
    schedule = ExponentialLR(sgd(*LRS), 0.9)
    walk(schedule, 7)
    resumed = ExponentialLR(sgd(5.0, 6.0), 0.9)
    resumed.load_state_dict(schedule.state_dict())
    got = walk(resumed, 5)
    expect.equal(got, walk(schedule, 5), "rates at steps 7 to 12 of a resumed run")
    expect.close(got[-1], np.array(LRS) * 0.9**12, "rates at step 12")


@pytest.mark.parametrize(
    ("start", "end", "steps"),
    [(0.8, 0.2, 2), (1.0, 1e-6, 1000), (0.5, 0.5, 7), (1e-4, 1.0, 100), (2, 1, 1)],
)
def test_gamma_for_ends_where_it_should(start, end, steps):
    gamma = gamma_for(start, end, steps)
    product = float(start)
    for _ in range(steps):
        product *= gamma
    expect.close(
        product, float(end), f"{start} times gamma_for({start}, {end}, {steps}) to the {steps}", rtol=1e-9
    )
    expect.close(gamma_for(0.8, 0.05, 2), 0.25, "gamma_for(0.8, 0.05, 2)")


def test_gamma_out_of_range_is_named():
    for gamma in (0.0, -0.5, float("nan")):
        with expect.raises(ValueError, "gamma", str(gamma)):
            ExponentialLR(sgd(0.1), gamma)
