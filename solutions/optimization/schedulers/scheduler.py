r"""A schedule: the learning rate as a function of the step, in closed form.

    rate(step, base_lr)        step = 0, 1, 2, ...        group["lr"] = rate(step_count, base_lr of the group)

The rate at a step is computed from the step itself and never from the rate before it. A thousand
multiplications by 0.999 round a thousand times, and a schedule that multiplies can neither be asked for a
later step nor loaded into the middle of a run; a function can, and is exact wherever it is asked.

Constructing a schedule sets the rate of step 0. Then for each batch, in this order: ``optimizer.step()``,
which uses the rate, and ``schedule.step()``, which sets the next.

Shapes   everything is a number, or a list of one number a parameter group.
Source   the interface of PyTorch's torch.optim.lr_scheduler; the closed forms of Loshchilov & Hutter 2017,
         arXiv:1608.03983, eq. 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

from optimization.optimizers.optimizer import Optimizer


class Scheduler:
    """The base class: derive, store what `rate` needs, call ``super().__init__(optimizer)``, define `rate`.

    In that order, because construction asks `rate` for step 0. The group's dict is changed in "lr" (and in
    what `settings` adds) and nowhere else: no entry is made or removed.

    Args:
        optimizer: the optimizer whose groups are scheduled.
        base_lrs: the rate that each group's schedule starts from; None for the "lr" that the groups have now.

    Attributes:
        optimizer: as given.
        base_lrs: a list of floats, one a group. A rate that is changed by hand in a group lasts until the
            next `step`; to change the whole schedule, change ``base_lrs[i]``.
        step_count: the step whose settings the groups have: 0 after construction, one more after each `step`.

    Two schedules of one optimizer do not multiply: each sets "lr", and the last to step wins. To put one
    behind another, let one ask the other's `rate`, as LinearWarmup does.

    Raises:
        ValueError: ``base_lrs`` and the optimizer's groups differ in number; the message names both numbers.
    """

    def __init__(self, optimizer: Optimizer, base_lrs: Sequence[float] | None = None):
        self.optimizer = optimizer
        given = [group["lr"] for group in optimizer.param_groups] if base_lrs is None else base_lrs
        self.base_lrs = [float(lr) for lr in given]
        self.move_to(0)

    def rate(self, step: int, base_lr: float) -> float:
        """The learning rate at ``step`` (0, 1, 2, ...) of a group with ``base_lr``.

        A function of its arguments and the settings: any step may be asked for, in any order, and asking
        changes nothing and remembers nothing.
        """
        raise TypeError(f"{type(self).__name__} does not define rate")

    def settings(self, step: int, base_lr: float, group: Mapping) -> dict[str, object]:
        """What a group gets at ``step``: {"lr": rate}; a schedule of other settings too adds them here.

        Args:
            step: 0, 1, 2, ...
            base_lr: of this group.
            group: its settings now; only read.
        """
        return {"lr": float(self.rate(step, base_lr))}  # a NumPy float64 would widen float32

    def move_to(self, step: int) -> None:
        """Give every group its `settings` at ``step`` and set ``step_count``; on an error change nothing.

        Args:
            step: 0, 1, 2, ..., earlier or later than now; NumPy's integers too.

        Raises:
            ValueError: ``step`` is negative or no integer (the message names it); or groups were added to the
                optimizer since, and ``base_lrs`` has another number of them (it names both numbers).
        """
        whole_number("step", step, least=0)
        step = int(step)  # JSON has no np.int64
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise ValueError(
                f"the schedule has base_lrs for {len(self.base_lrs)} groups, the optimizer has {len(groups)} "
                "groups: append the base_lr of a group that was added"
            )
        pairs = zip(groups, self.base_lrs, strict=True)
        updates = [self.settings(step, base_lr, group) for group, base_lr in pairs]
        for group, update in zip(groups, updates, strict=True):
            group.update(update)
        self.step_count = step

    def step(self) -> None:
        """Go on to the next step: one more in ``step_count``, and its settings in every group."""
        self.move_to(self.step_count + 1)

    def get_last_lr(self) -> list[float]:
        """The rate of each group at ``step_count`` by this schedule, whatever was since changed by hand."""
        return [self.rate(self.step_count, base_lr) for base_lr in self.base_lrs]

    def state_dict(self) -> dict[str, object]:
        """What a later run cannot compute: {"step_count": int, "base_lrs": list of floats}, copied.

        Plain numbers, so that it can be written as JSON. What was given to the constructor (step_size, gamma,
        ...) is part of the program and not of the state.
        """
        return {"step_count": self.step_count, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, saved: Mapping) -> None:
        """Continue from what `state_dict` returned, and set every group to that step's settings.

        The optimizer's own state may be loaded before or after: the groups get the same rates.

        Raises:
            ValueError: another number of groups was saved than is here; the message names both numbers.
        """
        here, there = len(self.base_lrs), len(saved["base_lrs"])
        if here != there:
            raise ValueError(f"a schedule of {there} groups was saved, this one has {here}")
        self.base_lrs = list(saved["base_lrs"])
        self.move_to(saved["step_count"])


def whole_number(name: str, value: object, least: int) -> None:
    """Refuse a setting that must be an integer of at least ``least``, with a ValueError that names it."""
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
