r"""Lion: step by the sign of an interpolated momentum, one length for every weight.

    c_t = beta1 * m_{t-1} + (1 - beta1) * g_t
    w  <- w - lr * (sign(c_t) + weight_decay * w)
    m_t = beta2 * m_{t-1} + (1 - beta2) * g_t

One array of memory where Adam has two. Two rates of forgetting: the momentum remembers about 1 / (1 - beta2)
steps, the step itself gives the new gradient more weight, 1 - beta1. Every weight moves by lr at every step,
so lr has to be several times smaller than Adam's, and the weight decay, which is decoupled, as much larger.
With decay the weights stay within 1 / weight_decay: there the pull back is as long as the step.

Shapes   the momentum as the weights.
Source   Chen et al. 2023, "Symbolic discovery of optimization algorithms", arXiv:2302.06675, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from foundations.computational_graph import Array
from optimization.optimizers.optimizer import Optimizer, pieces


class Lion(Optimizer):
    """Lion, with decoupled weight decay.

    Args:
        params: Tensors or groups, see `Optimizer`.
        lr: learning rate, >= 0: the length of each step in each weight.
        betas: two shares of the momentum that are kept, each in [0, 1): in the step, and in the momentum.
        weight_decay: >= 0; each step also shrinks the weights by lr * weight_decay.

    State: "mean" (m), zero before the first step.

    Raises:
        ValueError: a setting is out of its range, or betas are not two; the message names the setting (lr,
            betas, weight_decay) and its value.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ):
        for name, value in (("lr", lr), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
            raise ValueError(f"betas must be two numbers in [0, 1), got {betas}")
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place; the formulas at the top of this file.

        Args:
            weights: any shape; changed. Where c is 0 only the decay moves them.
            grad: of the same shape; only read.
            state: empty before the first step; "mean" is made here.
            group: the settings by name.
        """
        lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        if not state:
            state["mean"] = np.zeros_like(weights)
        for w, g, m in pieces(weights, grad, state["mean"]):
            scratch = g * (1 - beta1)
            mixed = beta1 * m
            mixed += scratch
            np.sign(mixed, out=scratch)  # in place NumPy's loop is not vectorised: 12 times as slow
            scratch *= lr
            if decay:
                w *= 1 - lr * decay
            w -= scratch
            np.multiply(g, 1 - beta2, out=scratch)
            m *= beta2
            m += scratch
