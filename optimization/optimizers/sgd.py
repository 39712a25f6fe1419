r"""Stochastic gradient descent: a step against the gradient, with a velocity that remembers earlier ones.

    g_t = grad + weight_decay * w                L2 penalty: the gradient of weight_decay / 2 * |w|^2
    v_t = momentum * v_{t-1} + (1 - dampening) * g_t,    v_1 = g_1
    w  <- w - lr * v_t                           Nesterov: w - lr * (g_t + momentum * v_t)

With a constant gradient the velocity tends to g / (1 - momentum): momentum 0.9 makes steps ten times as long
along a steady slope and cancels what flips sign. The learning rate multiplies the velocity, not the gradient
inside it, so a change of ``lr`` acts at once.

Shapes   velocity as the weights.
Source   Robbins & Monro 1951 (SGD); Polyak 1964 (momentum); Sutskever et al. 2013, "On the importance of
         initialization and momentum in deep learning", sec. 2, eq. 1-4, in the form of PyTorch's SGD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from foundations.computational_graph import Array
from optimization.optimizers.optimizer import Optimizer, pieces


class SGD(Optimizer):
    """SGD with momentum, Nesterov momentum and weight decay.

    Args:
        params: Tensors or groups, see `Optimizer`.
        lr: learning rate, >= 0.
        momentum: share of the velocity that is kept, in [0, 1); 0 keeps none and stores nothing.
        dampening: share of the gradient that does not enter the velocity, in [0, 1]; the first step is
            undamped.
        weight_decay: L2 penalty, >= 0.
        nesterov: step along g + momentum * v; needs momentum > 0 and dampening 0.

    State: "velocity", of the weights' shape and dtype, where momentum > 0.

    Raises:
        ValueError: a setting is out of its range; the message names the setting and its value, and for
            nesterov the values of momentum and dampening.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        raise NotImplementedError("optimization.optimizers.sgd: TODO 1 of 2, SGD.__init__")

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place; the formulas at the top of this file.

        Args:
            weights: any shape; changed.
            grad: of the same shape; only read.
            state: empty before the first step; "velocity" is made here when momentum > 0.
            group: the settings by name.
        """
        raise NotImplementedError("optimization.optimizers.sgd: TODO 2 of 2, SGD.update")
