r"""Step decay: hold the rate, then multiply it by gamma; every so many steps, or at the steps named.

    StepLR        rate(t) = base_lr * gamma^floor(t / step_size)
    MultiStepLR   rate(t) = base_lr * gamma^(number of milestones <= t)

A constant rate stops improving where gradient noise lifts the loss as fast as the gradient lowers it. A
smaller rate has a lower such level, and each stair is a descent to the next one.

Shapes   numbers.
Source   He et al. 2016, arXiv:1512.03385, sec. 3.4 (divide by 10 when the error plateaus); PyTorch's StepLR
         and MultiStepLR, whose arguments and values these are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from optimization.optimizers.optimizer import Optimizer
from optimization.schedulers.scheduler import Scheduler, whole_number


class StepLR(Scheduler):
    """Multiply the rate by gamma every ``step_size`` steps, the first time at step ``step_size`` itself.

    Args:
        optimizer: whose groups are scheduled.
        step_size: steps at one rate, an integer >= 1.
        gamma: the factor, > 0 (below 1 to decay).

    Raises:
        ValueError: step_size or gamma is out of its range; the message names the setting and its value.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        whole_number("step_size", step_size, least=1)
        if not gamma > 0:
            raise ValueError(f"gamma must be above 0, got {gamma}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, step: int, base_lr: float) -> float:
        """base_lr * gamma^floor(step / step_size).

        Args:
            step: 0, 1, 2, ..., in any order.
            base_lr: of the group.
        """
        return base_lr * self.gamma ** (step // self.step_size)


class MultiStepLR(Scheduler):
    """Multiply the rate by gamma at each milestone: step m itself is the first with the new rate.

    Args:
        optimizer: whose groups are scheduled.
        milestones: steps, integers >= 0 in any order; one that occurs twice counts twice; none is allowed.
        gamma: the factor, > 0 (below 1 to decay).

    Raises:
        ValueError: a milestone or gamma is out of its range; the message names the setting ("milestones",
            "gamma") and the value.
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1):
        self.milestones = sorted(milestones)
        for milestone in self.milestones:
            whole_number("each of milestones", milestone, least=0)
        if not gamma > 0:
            raise ValueError(f"gamma must be above 0, got {gamma}")
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, step: int, base_lr: float) -> float:
        """base_lr * gamma^(number of milestones <= step).

        Args:
            step: 0, 1, 2, ..., in any order.
            base_lr: of the group.
        """
        return base_lr * self.gamma ** bisect_right(self.milestones, step)
