r"""One cycle: the rate up to a high peak and down to almost nothing, the momentum down and up against it.

    step:       0                     pct_start * total_steps - 1     total_steps - 1
    lr:         max_lr / div_factor   ->   max_lr          ->         max_lr / div_factor / final_div_factor
    momentum:   max_momentum          ->   base_momentum   ->         max_momentum

Each arrow is half a cosine or a straight line. The first arrow is a warmup, the last an annealing; what lies
between is a rate too high to settle, whose noise steers away from narrow minima. The momentum gives way where
the rate is high, since it is lr / (1 - momentum) that a gradient moves a weight by in the end.

An arrow from a to b is computed as share * a + (1 - share) * b: exact at both ends. The share on a cosine is
sin(pi / 2 * (1 - f))^2: that is (1 + cos(pi f)) / 2, without the sum that cancels near the end.

Shapes   numbers.
Source   Smith & Topin 2018, arXiv:1708.07120, sec. 3; Smith 2018, arXiv:1803.09820, sec. 4; PyTorch's
         OneCycleLR, whose arguments and values these are, but for what the class lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import pi, sin

from optimization.optimizers.optimizer import Optimizer
from optimization.schedulers.scheduler import Scheduler, whole_number


class OneCycleLR(Scheduler):
    """The one-cycle policy over steps 0 to total_steps - 1, the last of which has the final rate.

    The optimizer's own "lr" plays no part. ``base_lrs`` holds the max_lr of each group.

    A loop that calls `step` after every batch calls it total_steps times: after the last batch too, where the
    final values stay. One call more is an error: there is no rate for a batch that was not planned.

    Where PyTorch differs: it extrapolates in that last call; its base_lrs hold the rates of step 0; and with
    pct_start * total_steps < 1 it starts below max_lr, where this class starts at it. Its epochs,
    steps_per_epoch and three_phase are not here, and pct_start = 1 (no way down) is refused.

    Args:
        optimizer: whose groups are scheduled.
        max_lr: the peak, > 0, a number or one for each group.
        total_steps: an integer >= 2.
        pct_start: the share of the steps on the way up, in [0, 1). The peak lies at step
            max(0, pct_start * total_steps - 1), which may be a fraction: then no step has max_lr itself.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: set betas[0] too in a group that has "betas", else its "momentum".
        base_momentum: at the peak, in [0, 1), whether it is cycled or not.
        max_momentum: at both ends, in [0, 1), whether it is cycled or not.
        div_factor: max_lr / first rate, > 0.
        final_div_factor: first rate / last rate, > 0.

    Raises:
        ValueError: a setting is out of its range, unknown, or max_lr has another length than there are
            groups; or cycle_momentum is set and a group has neither "momentum" nor "betas". The message names
            the setting (for the last, cycle_momentum) and its value, for lengths both.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ):
        groups = optimizer.param_groups
        peaks = list(max_lr) if isinstance(max_lr, Iterable) else [max_lr] * len(groups)
        if len(peaks) != len(groups):
            raise ValueError(f"max_lr has {len(peaks)} values, the optimizer has {len(groups)} groups")
        whole_number("total_steps", total_steps, least=2)
        if not 0 <= pct_start < 1:
            raise ValueError(f"pct_start must lie in [0, 1), got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        for name, momentum in (("base_momentum", base_momentum), ("max_momentum", max_momentum)):
            if not 0 <= momentum < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {momentum}")
        positive = [("div_factor", div_factor), ("final_div_factor", final_div_factor)]
        for name, value in [("max_lr", peak) for peak in peaks] + positive:
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
        if cycle_momentum and not all("momentum" in group or "betas" in group for group in groups):
            raise ValueError(
                "cycle_momentum=True needs groups with momentum or betas: pass cycle_momentum=False"
            )
        self.total_steps, self.pct_start, self.anneal_strategy = total_steps, pct_start, anneal_strategy
        self.cycle_momentum, self.base_momentum, self.max_momentum = (
            cycle_momentum,
            base_momentum,
            max_momentum,
        )
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        super().__init__(optimizer, peaks)

    def between(self, step: int, first: float, peak: float, final: float) -> float:
        """The value at ``step`` of what goes from ``first`` to ``peak`` to ``final``, by anneal_strategy.

        Args:
            step: 0, ..., total_steps, in any order; at total_steps, after the last batch, still ``final``.
            first: at step 0, unless the peak lies there.
            peak: at step max(0, pct_start * total_steps - 1).
            final: at step total_steps - 1.

        Raises:
            ValueError: ``step`` is above total_steps; the message names both numbers.
        """
        if step > self.total_steps:
            raise ValueError(f"step {step} of a cycle with total_steps={self.total_steps}, which has ended")
        last = self.total_steps - 1
        top = max(0.0, self.pct_start * self.total_steps - 1)
        if step < top:
            start, end, fraction = first, peak, step / top
        else:
            start, end, fraction = peak, final, (min(step, last) - top) / (last - top)
        left = 1 - fraction
        share = sin(pi / 2 * left) ** 2 if self.anneal_strategy == "cos" else left
        return share * start + (1 - share) * end

    def rate(self, step: int, base_lr: float) -> float:
        """`between` max_lr / div_factor, max_lr, and the first of them / final_div_factor.

        Args:
            step: 0, ..., total_steps.
            base_lr: the max_lr of the group.
        """
        first = base_lr / self.div_factor
        return self.between(step, first, base_lr, first / self.final_div_factor)

    def settings(self, step: int, base_lr: float, group: Mapping) -> dict[str, object]:
        """{"lr": rate}, and with cycle_momentum "betas" with a new first of the two, or else "momentum".

        A group that has both "betas" and "momentum" gets new betas only.

        Args:
            step: 0, ..., total_steps.
            base_lr: the max_lr of the group.
            group: its settings now; only read, the caller writes.
        """
        update: dict[str, object] = {"lr": self.rate(step, base_lr)}
        if self.cycle_momentum:
            momentum = self.between(step, self.max_momentum, self.base_momentum, self.max_momentum)
            if "betas" in group:
                update["betas"] = (momentum, group["betas"][1])
            else:
                update["momentum"] = momentum
        return update
