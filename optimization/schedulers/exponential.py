r"""Exponential decay: the same fraction off the rate at every step.

    rate(t) = base_lr * gamma^t

On a logarithmic axis a straight line down, with a half-life of ln 2 / (-ln gamma) steps. The power is taken
for each t anew: multiplying the last rate by gamma would round once a step and could not jump.

Shapes   numbers.
Source   PyTorch's ExponentialLR, whose arguments and values these are; Bottou, Curtis & Nocedal 2018,
         arXiv:1606.04838, eq. 4.19 (the condition that a sum of such rates does not meet).
"""

from __future__ import annotations

from optimization.optimizers.optimizer import Optimizer
from optimization.schedulers.scheduler import Scheduler


class ExponentialLR(Scheduler):
    """Multiply the rate by gamma at every step.

    Args:
        optimizer: whose groups are scheduled.
        gamma: the factor of one step, > 0 (below 1 to decay).

    Raises:
        ValueError: gamma is not above 0; the message names gamma and its value.
    """

    def __init__(self, optimizer: Optimizer, gamma: float):
        raise NotImplementedError("optimization.schedulers.exponential: TODO 1 of 3, ExponentialLR.__init__")

    def rate(self, step: int, base_lr: float) -> float:
        """base_lr * gamma^step.

        Args:
            step: 0, 1, 2, ..., in any order.
            base_lr: of the group.
        """
        raise NotImplementedError("optimization.schedulers.exponential: TODO 2 of 3, ExponentialLR.rate")


def gamma_for(start: float, end: float, steps: int) -> float:
    """The gamma that takes the rate from ``start`` at step 0 to ``end`` at step ``steps``.

    Args:
        start: > 0.
        end: > 0; above ``start`` for a rate that grows.
        steps: >= 1.

    >>> round(gamma_for(0.1, 0.001, 2), 12)
    0.1
    """
    raise NotImplementedError("optimization.schedulers.exponential: TODO 3 of 3, gamma_for")
