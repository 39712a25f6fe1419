r"""Adam: a step size for every weight, from running averages of its gradient and of its gradient squared.

    m_t = beta1 * m_{t-1} + (1 - beta1) * g_t           m_hat = m_t / (1 - beta1^t)
    v_t = beta2 * v_{t-1} + (1 - beta2) * g_t^2         v_hat = v_t / (1 - beta2^t)
    w  <- w - lr * m_hat / (sqrt(v_hat) + eps)

Both averages start at zero, so after t steps they hold only 1 - beta^t of their weight; dividing by it
removes the bias, and the very first step has length lr whatever the gradient's scale. AMSGrad divides by the
largest v so far, so that a step size never grows again.

Weight decay: Adam adds it to the gradient, where the division by sqrt(v) takes most of it away again from
weights with large gradients. AdamW shrinks all weights at one rate, w <- (1 - lr * weight_decay) * w.

Shapes   both averages as the weights.
Source   Kingma & Ba 2015, arXiv:1412.6980, algorithm 1; Reddi et al. 2018, "On the convergence of Adam and
         beyond", algorithm 2 (AMSGrad); Loshchilov & Hutter 2019, arXiv:1711.05101, algorithm 2 (AdamW).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt

import numpy as np

from foundations.computational_graph import Array
from optimization.optimizers.optimizer import Optimizer, pieces


class Adam(Optimizer):
    """Adam; with ``amsgrad`` its non-increasing variant.

    Args:
        params: Tensors or groups, see `Optimizer`.
        lr: learning rate, >= 0: about the length of a step in each weight.
        betas: two shares, of the mean and of the square that are kept, each in [0, 1).
        eps: added to sqrt(v_hat), >= 0: bounds the step where gradients vanish.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        amsgrad: divide by the largest v seen so far.

    State: "step" (int), "mean" and "square" (m and v), and with amsgrad "largest" (of the uncorrected v).

    Raises:
        ValueError: a setting is out of its range, or betas are not two; the message names the setting (lr,
            betas, eps, weight_decay) and its value.
    """

    decoupled = False  # AdamW: decay the weights, not the gradient

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
    ):
        for name, value in (("lr", lr), ("eps", eps), ("weight_decay", weight_decay)):
            if not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
            raise ValueError(f"betas must be two numbers in [0, 1), got {betas}")
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        )

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place; the formulas at the top of this file.

        Args:
            weights: any shape; changed.
            grad: of the same shape; only read.
            state: empty before the first step; filled as the class says.
            group: the settings by name.
        """
        lr, (beta1, beta2), decay = group["lr"], group["betas"], group["weight_decay"]
        if not state:
            state.update(step=0, mean=np.zeros_like(weights), square=np.zeros_like(weights))
        if group["amsgrad"] and "largest" not in state:
            state["largest"] = state["square"].copy()
        state["step"] += 1
        rate = lr / (1 - beta1 ** state["step"])  # folds the correction of m into the rate
        correction = 1 / sqrt(1 - beta2 ** state["step"])
        largest = state["largest"] if group["amsgrad"] else state["square"]
        for w, g, m, v, top in pieces(weights, grad, state["mean"], state["square"], largest):
            if decay and self.decoupled:
                w *= 1 - lr * decay
            elif decay:
                g = g + decay * w
            scratch = g * (1 - beta1)
            m *= beta1
            m += scratch
            np.multiply(g, g, out=scratch)
            scratch *= 1 - beta2
            v *= beta2
            v += scratch
            if group["amsgrad"]:
                np.maximum(top, v, out=top)
            np.sqrt(top, out=scratch)
            scratch *= correction
            scratch += group["eps"]
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            w -= scratch


class AdamW(Adam):
    """Adam with decoupled weight decay: each step first multiplies the weights by 1 - lr * weight_decay.

    Args, state, raises: as `Adam`, but ``weight_decay`` is not part of the gradient; its default is 0.01.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad)
