r"""Momentum: a velocity that remembers earlier gradients, in its two forms, and how to pass between them.

    outside (PyTorch)              v <- mu * v + g           w <- w - lr * v
    inside  (Sutskever 2013)       v <- mu * v - lr * g      w <- w + v

With a constant lr both make the same steps, and v_inside = -lr * v_outside. They part when lr changes:
outside, the new rate multiplies the whole velocity at once; inside, each gradient keeps the rate of its time.

Nesterov takes the gradient where the velocity is about to carry the weights, at y = w + mu * v (v inside):

    look-ahead                     v <- mu * v - lr * g(w + mu * v)          w <- w + v
    rewritten, inside              v <- mu * v - lr * g(y)                   y <- y + mu * v - lr * g
    rewritten, outside (PyTorch)   v <- mu * v + g(y)                        y <- y - lr * (g + mu * v)

An optimizer is given the gradient where its weights are, so it holds y, and the rewritten forms are the ones
to implement: y_t = w_t + mu * v_t for all t, as long as mu stays the same.

On a quadratic of curvature a, the heavy ball's error obeys e_(t+1) = (1 + mu - lr * a) e_t - mu * e_(t-1) and
shrinks by the larger root of z^2 - (1 + mu - lr * a) z + mu: by sqrt(mu) wherever the roots are complex.

Shapes   D weights; velocity as the weights.
Source   Polyak 1964 (heavy ball), sec. 3; Nesterov 1983; Sutskever et al. 2013, "On the importance of
         initialization and momentum in deep learning", eq. 1-4; Bengio et al. 2013, arXiv:1212.0901, s. 3.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import sqrt

import numpy as np

from foundations.computational_graph import Array
from optimization.optimizers.optimizer import Optimizer, pieces

FORMS = ("outside", "inside")  # where the learning rate is, seen from the velocity


class HeavyBall(Optimizer):
    """Gradient descent with a velocity.

    Args:
        params: Tensors or groups, see `Optimizer`.
        lr: learning rate, >= 0.
        momentum: share mu of the velocity that is kept, in [0, 1).
        weight_decay: L2 penalty, >= 0: weight_decay * w is added to the gradient.
        form: "outside" (lr multiplies the velocity) or "inside" (lr multiplies the gradient that enters it).

    State: "velocity" in that form, of the weights' shape and dtype; zero before the first step.

    Raises:
        ValueError: a setting is out of its range, as NaN always is, or form is unknown: the one given here,
            and that of a group. The message names the setting and its value, for form the known ones too.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        form: str = "outside",
    ):
        raise NotImplementedError("optimization.optimizers.momentum: TODO 1 of 11, HeavyBall.__init__")

    def add_param_group(self, group: Mapping) -> None:
        """As `Optimizer.add_param_group`, and refuse an unknown form."""
        _check(group.get("form", self.defaults["form"]))
        super().add_param_group(group)

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place; the first two formulas of this file.

        Args:
            weights: any shape; changed.
            grad: of the same shape; only read.
            state: empty before the first step; "velocity" is made here.
            group: the settings by name.
        """
        raise NotImplementedError("optimization.optimizers.momentum: TODO 2 of 11, HeavyBall.update")


class Nesterov(HeavyBall):
    """Nesterov's momentum, rewritten: the weights that it holds are the look-ahead points y.

    Args, state, raises: as `HeavyBall`.
    """

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place: a rewritten formula of this file, inside or outside.

        Args: as of `HeavyBall.update`; ``weights`` is y, and ``grad`` was taken there.
        """
        raise NotImplementedError("optimization.optimizers.momentum: TODO 3 of 11, Nesterov.update")


# One form from the other.


def to_inside(velocity: Array, lr: float) -> Array:
    """The velocity with lr inside that makes the same steps as this one with lr outside: a new array.

    Args:
        velocity: any shape, of the outside form.
        lr: learning rate of the steps to come.
    """
    raise NotImplementedError("optimization.optimizers.momentum: TODO 4 of 11, to_inside")


def to_outside(velocity: Array, lr: float) -> Array:
    """The velocity with lr outside that makes the same steps as this one with lr inside: a new array.

    Args:
        velocity: any shape, of the inside form.
        lr: learning rate of the steps to come, > 0.

    Raises:
        ValueError: lr is not positive, or NaN; the message names it.
    """
    raise NotImplementedError("optimization.optimizers.momentum: TODO 5 of 11, to_outside")


def switch_form(optimizer: HeavyBall, form: str) -> None:
    """Let a `HeavyBall` or `Nesterov` go on in another form, in the middle of a run, without a trace.

    Every group gets ``form``; the velocity of each of its parameters that has one is converted with the
    group's lr, if the group was in the other form. The weights are untouched. A group without a velocity has
    nothing to convert, whatever its lr.

    Args:
        optimizer: changed in place.
        form: "outside" or "inside".

    Raises:
        ValueError: form is unknown; the message names it and the known ones. Or lr is 0 where it must be
            taken out of a velocity; the message names it. No group and no velocity has changed then.
    """
    raise NotImplementedError("optimization.optimizers.momentum: TODO 6 of 11, switch_form")


# Nesterov by its definition.


def look_ahead(w: Array, v: Array, momentum: float) -> Array:
    """The point y = w + mu * v where Nesterov takes the gradient, a new array; v in the inside form."""
    raise NotImplementedError("optimization.optimizers.momentum: TODO 7 of 11, look_ahead")


def look_back(y: Array, v: Array, momentum: float) -> Array:
    """The weights w whose look-ahead point is y: the inverse of `look_ahead`. A new array."""
    raise NotImplementedError("optimization.optimizers.momentum: TODO 8 of 11, look_back")


def look_ahead_step(
    gradient: Callable[[Array], Array], w: Array, v: Array, lr: float, momentum: float
) -> tuple[Array, Array]:
    """One step of Nesterov's method as it is defined, with the gradient at the look-ahead point.

    Args:
        gradient: from weights to the gradient there, both of one shape.
        w: weights, any shape; only read.
        v: velocity of the inside form, of the same shape; only read.
        lr: learning rate.
        momentum: mu, in [0, 1).

    Returns:
        The new w and the new v.
    """
    raise NotImplementedError("optimization.optimizers.momentum: TODO 9 of 11, look_ahead_step")


# Why it works: the quadratic.


def contraction(curvature: Array, lr: float, momentum: float, nesterov: bool = False) -> Array:
    """By which factor a step shrinks the error along each direction of a quadratic, in the long run.

    The larger absolute value of the two roots of z^2 - b z + c:

        heavy ball    b = 1 + mu - lr * a            c = mu
        Nesterov      b = (1 + mu) (1 - lr * a)      c = mu (1 - lr * a)

    Args:
        curvature: (D,), the eigenvalues a of the Hessian.
        lr: learning rate.
        momentum: mu, in [0, 1).
        nesterov: Nesterov instead of the heavy ball.

    Returns:
        (D,), real; above 1 the error grows.
    """
    raise NotImplementedError("optimization.optimizers.momentum: TODO 10 of 11, contraction")


def polyak_optimum(smallest: float, largest: float) -> tuple[float, float]:
    """The lr and momentum of the fastest heavy ball on quadratics with curvatures in [smallest, largest].

        lr = 4 / (sqrt(largest) + sqrt(smallest))^2
        mu = ((sqrt(k) - 1) / (sqrt(k) + 1))^2            k = largest / smallest

    Both ends of the range then have a double root, and every curvature contracts by sqrt(mu).

    Raises:
        ValueError: not 0 < smallest <= largest; the message names both.
    """
    raise NotImplementedError("optimization.optimizers.momentum: TODO 11 of 11, polyak_optimum")


def _check(form: str) -> None:
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(map(repr, FORMS))}, got {form!r}")
