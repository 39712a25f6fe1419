"""How theta moves: descent by hand, the course's optimizers, or a solver; and where each of them is stable.

A method is stable along an eigenvector of the Hessian while its eigenvalue is below an edge, which is 2 / lr
for gradient descent and for nothing else. Optimizers that divide by a scale P have it on P^-1/2 H P^-1/2.

    gd, sgd             2 / lr, and (2 + 2 m) / lr with momentum m
    nesterov            (2 + 2 m) / ((1 + 2 m) lr)
    rmsprop, adagrad    as sgd, of the scaled Hessian
    adam                (2 + 2 b) / ((1 - b) lr) of it, b = beta1
    adamw               (1 - lr w / 2) times that, w its decay
    rk4                 2.785 / lr
    lion                none: its step has the same length whatever the gradient's

That of AdamW: along an eigenvector of eigenvalue a, theta' = (1 - lr w) theta - lr m' with
m' = b m + (1 - b) a theta. At the edge theta' = -theta and m' = -m, so that m' = (1 - b) / (1 + b) a theta
and 2 - lr w = lr (1 - b) / (1 + b) a.

Source   Cohen et al. 2021, arXiv:2103.00065, sec. 2 and app. B (momentum); Cohen et al. 2022,
         arXiv:2207.14484, sec. 2 (Adam); the last derivation: own.
"""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from typing import TypeAlias

import numpy as np

from dynamics.continuous.ode import METHODS, rk_step
from dynamics.geometry.edge_of_stability import adam_scale, edge
from experiments.neuroscope.config import Config
from foundations.computational_graph import Tensor
from optimization.optimizers.adam import Adam, AdamW
from optimization.optimizers.lion import Lion
from optimization.optimizers.momentum import HeavyBall, Nesterov
from optimization.optimizers.optimizer import Optimizer
from optimization.optimizers.rmsprop import Adagrad, RMSprop
from optimization.optimizers.sgd import SGD

Array: TypeAlias = np.ndarray
Gradient: TypeAlias = Callable[[Array], Array]


class Method:
    """What moves theta.

    Args:
        config: which one, and its settings.
        theta: (P,), the start; copied.

    Attributes:
        theta: (P,), where it is now; a new array after each step.
        edge: the largest curvature at which it is stable; nan where there is no such number.
        sentence: how that edge came about, for people.
    """

    def __init__(self, config: Config, theta: Array):
        self.config = config
        self.theta = theta.copy()
        self._leaf = Tensor(self.theta.copy(), requires_grad=True)  # stepped in place
        self._optimizer = _optimizer(config, self._leaf)
        self.edge, self.sentence = _edge(config)

    def step(self, gradient: Array, of: Gradient) -> None:
        """Move theta by one step.

        Args:
            gradient: (P,), at theta.
            of: the gradient at other places; only a solver asks.
        """
        if self.config.optimizer == "gd":
            self.theta = self.theta - self.config.lr * gradient
        elif self._optimizer is None:
            field = lambda _, theta: -of(theta)  # noqa: E731
            self.theta, _ = rk_step(field, 0.0, self.theta, self.config.lr, METHODS["rk4"], -gradient)
        else:
            self._leaf.grad = gradient
            self._optimizer.step()
            self.theta = self._leaf.data.copy()

    def scale(self) -> Array | None:
        """P (P,), by which it divides; None where it divides by nothing, or has not stepped yet."""
        if self._optimizer is None or not self._optimizer.state:
            return None
        name, state, c = self.config.optimizer, self._optimizer.state[self._leaf], self.config
        if name in ("adam", "adamw"):
            return adam_scale(state["square"], state["step"], (c.beta1, c.beta2))
        if name == "rmsprop":
            return np.sqrt(state["square"]) + 1e-8
        return np.sqrt(state["sum"]) + 1e-10 if name == "adagrad" else None

    @property
    def adaptive(self) -> bool:
        """Whether it divides by a scale."""
        return self.config.optimizer in ("rmsprop", "adagrad", "adam", "adamw")


def _optimizer(config: Config, leaf: Tensor) -> Optimizer | None:
    lr, betas = config.lr, (config.beta1, config.beta2)
    makers: dict[str, Callable[[], Optimizer]] = {
        "sgd": lambda: SGD([leaf], lr, momentum=config.momentum),
        "heavy_ball": lambda: HeavyBall([leaf], lr, config.momentum),
        "nesterov": lambda: Nesterov([leaf], lr, config.momentum),
        "rmsprop": lambda: RMSprop([leaf], lr, config.beta2, 1e-8, momentum=config.momentum),
        "adagrad": lambda: Adagrad([leaf], lr),
        "adam": lambda: Adam([leaf], lr, betas),
        "adamw": lambda: AdamW([leaf], lr, betas, weight_decay=config.weight_decay),
        "lion": lambda: Lion([leaf], lr, betas, weight_decay=config.weight_decay),
    }
    return makers[config.optimizer]() if config.optimizer in makers else None


def _edge(config: Config) -> tuple[float, str]:
    """The edge of the optimizer in use, and a sentence on it."""
    name, lr, m, b = config.optimizer, config.lr, config.momentum, config.beta1
    if name == "lion":
        return nan, "lion has no edge: its step has the same length whatever the gradient's"
    noisy = "; batches are noise, which keeps the sharpness below it" if config.batch_size else ""
    if name == "rk4":
        found, formula = edge(lr, kind="rk4"), "2.785 / lr"
    elif name in ("adam", "adamw"):
        decay = 1 - lr * config.weight_decay / 2
        found = edge(lr, b, "adam") * decay
        formula = "(2 + 2 beta1) / ((1 - beta1) lr)" + (" (1 - lr weight_decay / 2)" if decay < 1 else "")
    elif name == "nesterov" and m:
        found, formula = edge(lr, m, "nesterov"), "(2 + 2 m) / ((1 + 2 m) lr)"
    else:
        kind = "rmsprop" if name in ("rmsprop", "adagrad") else "heavy_ball"
        found, formula = edge(lr, m, kind), "(2 + 2 m) / lr" if m else "2 / lr"
    what = " of the scaled Hessian" if name in ("rmsprop", "adagrad", "adam", "adamw") else ""
    return found, f"{formula} = {found:.4g}{what}{noisy}"
