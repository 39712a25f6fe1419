r"""Linear warmup: a straight line up to the first rate of another schedule, which then takes over.

    rate(t) = (start_factor + (1 - start_factor) * t / N) * after.rate(0)        t < N = total_iters
    rate(t) = after.rate(t - N)                                                  t >= N

N steps have a reduced rate, 0 to N - 1. Step N is the first at the full rate, and is step 0 of `after`: no
value is used twice and none is left out, so that 10 steps of warmup and a cosine of 90 end at step 100.
`after` is a function of the step, so it is asked and never stepped.

Shapes   numbers.
Source   Goyal et al. 2017, arXiv:1706.02677, sec. 2.2 (gradual warmup); PyTorch's LinearLR, and SequentialLR
         for what comes after.
"""

from __future__ import annotations

from collections.abc import Mapping

from optimization.optimizers.optimizer import Optimizer
from optimization.schedulers.scheduler import Scheduler, whole_number


class Constant(Scheduler):
    """The base rate at every step: what follows a warmup that nothing else follows."""

    def rate(self, step: int, base_lr: float) -> float:
        """base_lr, whatever the step."""
        return base_lr


class LinearWarmup(Scheduler):
    """From start_factor times the full rate up to it in ``total_iters`` equal steps, then ``after``.

    Make ``after`` first, with the same optimizer, and step only the warmup. The warmup takes over its
    ``base_lrs``, as a list of its own, and from then on only asks: ``after`` stays as it is, at step 0.

    Args:
        optimizer: whose groups are scheduled.
        start_factor: the share of the full rate at step 0, in [0, 1]; at 0 the first step moves nothing.
        total_iters: steps with a reduced rate, an integer >= 0; 0 for no warmup.
        after: any schedule of the same optimizer, whose step 0 is step ``total_iters`` here; None for a
            constant rate, the "lr" that the groups have now.

    Attributes:
        after: the schedule behind; a `Constant` where none was given.

    Raises:
        ValueError: start_factor or total_iters is out of its range (the message names the setting and its
            value); or ``after`` belongs to another optimizer.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        total_iters: int = 5,
        after: Scheduler | None = None,
    ):
        if not 0 <= start_factor <= 1:
            raise ValueError(f"start_factor must lie in [0, 1], got {start_factor}")
        whole_number("total_iters", total_iters, least=0)
        if after is not None and after.optimizer is not optimizer:
            raise ValueError("after schedules another optimizer: make both with the same one")
        self.start_factor, self.total_iters = start_factor, total_iters
        self.after = Constant(optimizer) if after is None else after
        super().__init__(optimizer, self.after.base_lrs)

    def rate(self, step: int, base_lr: float) -> float:
        """The formulas at the top of this file; at step ``total_iters`` the first rate of ``after``.

        Args:
            step: 0, 1, 2, ..., counted from the beginning of the warmup, in any order.
            base_lr: of the group.
        """
        if step >= self.total_iters:
            return self.after.rate(step - self.total_iters, base_lr)
        share = self.start_factor + (1 - self.start_factor) * step / self.total_iters
        return share * self.after.rate(0, base_lr)

    def settings(self, step: int, base_lr: float, group: Mapping) -> dict[str, object]:
        """What ``after`` gives the group at its step (0 during the warmup), with "lr" from `rate`.

        Args:
            step: 0, 1, 2, ..., counted from the beginning of the warmup.
            base_lr: of this group.
            group: its settings now; only read, the caller writes.
        """
        behind = self.after.settings(max(0, step - self.total_iters), base_lr, group)
        return {**behind, "lr": self.rate(step, base_lr)}
