r"""Cosine annealing: from the base rate down to eta_min along half a cosine, once or again and again.

    rate(t) = eta_min + (base_lr - eta_min) * (1 + cos(pi * t / T)) / 2

Slow at first, where a high rate explores; fast through the middle; slow at the end, where small rates average
the noise out. With warm restarts the rate jumps back to base_lr after T_0 steps, then T_0 * T_mult, then
T_0 * T_mult^2, ...

Computed as share * base_lr + (1 - share) * eta_min: both ends are exact, since the share is exactly 1 and 0.
The share is written sin(pi / 2 * (1 - t / T))^2: that is (1 + cos(pi t / T)) / 2 without the sum that cancels
where the cosine is near -1: at the last of a million steps it leaves 5 digits.

Shapes   numbers.
Source   Loshchilov & Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983,
         eq. 5 and sec. 3; PyTorch's CosineAnnealingLR and CosineAnnealingWarmRestarts, whose arguments and
         values these are.
"""

from __future__ import annotations

from math import pi, sin

from optimization.optimizers.optimizer import Optimizer
from optimization.schedulers.scheduler import Scheduler, whole_number


def cosine_between(start: float, end: float, fraction: float) -> float:
    """Half a cosine from ``start`` at fraction 0 to ``end`` at fraction 1, to rounding.

    Args:
        start: the value at 0.
        end: the value at 1; may be above ``start``.
        fraction: of the way; beyond 1 the cosine goes on, back to ``start`` at 2.

    >>> cosine_between(4.0, 2.0, 0.5)
    3.0
    """
    raise NotImplementedError("optimization.schedulers.cosine: TODO 1 of 5, cosine_between")


class CosineAnnealingLR(Scheduler):
    """From base_lr at step 0 to eta_min at step ``T_max``, along half a cosine.

    Beyond T_max the cosine goes on, as PyTorch's does: up again to base_lr at 2 T_max, and so forth. A run
    that is to stay at eta_min stops stepping there.

    Args:
        optimizer: whose groups are scheduled.
        T_max: the step with the lowest rate, an integer >= 1.
        eta_min: that rate, >= 0, for every group.

    Raises:
        ValueError: T_max or eta_min is out of its range; the message names the setting and its value.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        raise NotImplementedError("optimization.schedulers.cosine: TODO 2 of 5, CosineAnnealingLR.__init__")

    def rate(self, step: int, base_lr: float) -> float:
        """eta_min + (base_lr - eta_min) (1 + cos(pi step / T_max)) / 2; eta_min at step T_max.

        Args:
            step: 0, 1, 2, ..., in any order.
            base_lr: of the group.
        """
        raise NotImplementedError("optimization.schedulers.cosine: TODO 3 of 5, CosineAnnealingLR.rate")


class CosineAnnealingWarmRestarts(Scheduler):
    """Cosine cycles of T_0, T_0 T_mult, T_0 T_mult^2, ... steps; each begins at base_lr.

    The step after a cycle's last is step 0 of the next: with T_0 = 3 and T_mult = 1, steps 0, 3, 6, ... have
    base_lr, and eta_min is approached but never reached.

    Args:
        optimizer: whose groups are scheduled.
        T_0: steps in the first cycle, an integer >= 1.
        T_mult: how many times longer each cycle is than the last, an integer >= 1.
        eta_min: the rate that each cycle tends to, >= 0, for every group.

    Raises:
        ValueError: T_0, T_mult or eta_min is out of its range; the message names the setting and its value.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0):
        raise NotImplementedError("optimization.schedulers.cosine: TODO 4 of 5, CosineAnnealingWarmRestarts.__init__")

    def rate(self, step: int, base_lr: float) -> float:
        """The cosine at ``t / T``, for step t of the cycle of T steps that ``step`` falls in.

        Args:
            step: 0, 1, 2, ... through all cycles, in any order.
            base_lr: of the group.
        """
        raise NotImplementedError("optimization.schedulers.cosine: TODO 5 of 5, CosineAnnealingWarmRestarts.rate")
