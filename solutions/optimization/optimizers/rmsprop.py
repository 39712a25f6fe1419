r"""RMSprop and Adagrad: divide each weight's step by the root of what its squared gradients add up to.

    Adagrad    s_t = s_{t-1} + g_t^2                                w <- w - lr_t * g_t / (sqrt(s_t) + eps)
    RMSprop    s_t = alpha * s_{t-1} + (1 - alpha) * g_t^2          w <- w - lr * g_t / (sqrt(s_t) + eps)

Adagrad never forgets: with steady gradients its steps fall like 1 / sqrt(t), which suits convex problems and
rare features. RMSprop averages over about the last 1 / (1 - alpha) steps, so it goes on moving. Nothing
corrects that its average starts at zero: the first step is lr / sqrt(1 - alpha) long; Adam divides that away.

Centered RMSprop divides by the standard deviation, the average of squares less the square of the average. In
floating point that difference may come out below zero. It is averaged directly instead, with the same result:

    d = g_t - m_{t-1}     m_t = m_{t-1} + (1 - alpha) * d     var_t = alpha * (var_{t-1} + (1 - alpha) * d^2)

Shapes   all averages as the weights.
Source   Tieleman & Hinton 2012, Neural networks for machine learning, lecture 6.5 (RMSprop); Graves 2013,
         arXiv:1308.0850, eq. 38-45 (centered); Duchi, Hazan & Singer 2011, JMLR 12, fig. 1 (Adagrad);
         in the conventions of PyTorch: eps outside the root, decay as an L2 penalty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from foundations.computational_graph import Array
from optimization.optimizers.optimizer import Optimizer, pieces


class RMSprop(Optimizer):
    """RMSprop, with momentum and centering as options.

    Args:
        params: Tensors or groups, see `Optimizer`.
        lr: learning rate, >= 0: about the length of a step in each weight.
        alpha: share of the average of squares that is kept, in [0, 1).
        eps: added to the root, >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        momentum: share of the velocity that is kept, in [0, 1): u <- momentum * u + g / (root + eps),
            w <- w - lr * u.
        centered: divide by the running standard deviation instead.

    State: "square" (s), centered instead "mean" and "variance"; with momentum "velocity" (u). Each is made,
    as zeros, at the first step that needs it: momentum may be switched on in the middle of a run.

    Raises:
        ValueError: a setting is out of its range, as NaN always is; the message names setting and value.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ):
        _at_least_0(lr=lr, eps=eps, weight_decay=weight_decay)
        for name, value in (("alpha", alpha), ("momentum", momentum)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1), got {value}")
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
            },
        )

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place; the formulas at the top of this file.

        Centered, the variance itself is averaged. As a difference of averages it would be lost in rounding
        errors, or below 0, where gradients agree to three digits in float32.

        Args:
            weights: any shape; changed.
            grad: of the same shape; only read.
            state: empty before the first step; filled as the class says.
            group: the settings by name.
        """
        lr, alpha, decay, momentum = group["lr"], group["alpha"], group["weight_decay"], group["momentum"]
        names = ["variance", "mean"] if group["centered"] else ["square"]
        for name in [*names, "velocity"] if momentum else names:
            if name not in state:
                state[name] = np.zeros_like(weights)
        squares, means = state[names[0]], state[names[-1]]  # means: only used where centered
        velocities = state["velocity"] if momentum else squares
        for w, g, s, m, u in pieces(weights, grad, squares, means, velocities):
            if decay:
                g = g + decay * w
            if group["centered"]:
                scratch = g - m
                m += (1 - alpha) * scratch
                scratch *= scratch
                scratch *= alpha * (1 - alpha)
            else:
                scratch = g * g
                scratch *= 1 - alpha
            s *= alpha
            s += scratch
            np.sqrt(s, out=scratch)
            scratch += group["eps"]
            np.divide(g, scratch, out=scratch)
            if momentum:
                u *= momentum
                u += scratch
                np.copyto(scratch, u)
            scratch *= lr
            w -= scratch


class Adagrad(Optimizer):
    """Adagrad: the sum of all squared gradients, never forgotten.

    Args:
        params: Tensors or groups, see `Optimizer`.
        lr: learning rate, >= 0; step t uses lr_t = lr / (1 + (t - 1) * lr_decay).
        lr_decay: >= 0.
        weight_decay: L2 penalty, added to the gradient, >= 0.
        initial_accumulator_value: s_0, >= 0: keeps the first steps short.
        eps: added to the root, >= 0.

    State: "step" (a Python int, the steps made) and "sum" (s).

    Raises:
        ValueError: a setting is out of its range, as NaN always is; the message names setting and value.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ):
        settings = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        _at_least_0(**settings)
        super().__init__(params, settings)

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place; args as of `RMSprop.update`."""
        if not state:
            start = group["initial_accumulator_value"]
            state.update(step=0, sum=np.full_like(weights, start))
        rate = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        for w, g, s in pieces(weights, grad, state["sum"]):
            if group["weight_decay"]:
                g = g + group["weight_decay"] * w
            scratch = g * g
            s += scratch
            np.sqrt(s, out=scratch)
            scratch += group["eps"]
            np.divide(g, scratch, out=scratch)
            scratch *= rate
            w -= scratch


def _at_least_0(**settings: float) -> None:
    for name, value in settings.items():
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0, got {value}")
