r"""Trust no single layer: in training, let each example skip each residual branch by a coin.

    y_n = x_n + b_n f(x_n) / (1 - p),    b_n = 0 with probability p, else 1        training
    y_n = x_n + f(x_n)                                                             evaluation

A residual block without its branch is the identity, so the network still works with some of them missing: in
training it is shallower, with short ways for the gradient; in use it is as deep as it was built. Example by
example and block by block it is a different network, and evaluation averages them all.

Early branches compute what all later ones build on, so they are dropped less: the probability rises linearly,
p_l = p l / L for block l = 1 ... L. The number of branches that an example passes is L - p (L + 1) / 2 in
the mean.

Shapes   x (N, *), one coin for each n.
Source   Huang et al. 2016, "Deep networks with stochastic depth", arXiv:1603.09382, sec. 3, eq. 2 and 4 (one
         coin a batch, and the factor 1 - p in use in place of its inverse in training);
         Larsson et al. 2017, FractalNet, arXiv:1605.07648, sec. 3.1 (drop-path).
"""

from __future__ import annotations

import numpy as np

from foundations.computational_graph import Operand, Tensor, as_tensor
from nn_core.module import Module
from nn_core.regularization.dropout import Dropout, drop, keep_mask, probability


def drop_path(x: Operand, p: float, training: bool = True, *, rng: np.random.Generator) -> Tensor:
    """In training, zero each example of x with probability p and divide the others by 1 - p.

    Args:
        x: what a residual branch returned, (N, *): all numbers of one example share its coin.
        p: the probability of being dropped, in [0, 1]; with 1 all of the result is 0.
        training: False returns x itself, as a Tensor where it is an array, and draws nothing from ``rng``.
        rng: where the mask comes from, a new one in every call.

    Returns:
        The shape and dtype of x.

    Raises:
        ValueError: p is outside [0, 1] or NaN (the message names it), or x has no axis (it names its shape,
            ()): in training and outside.
    """
    raise NotImplementedError("nn_core.regularization.drop_path: TODO 1 of 5, drop_path")


def linear_decay(depth: int, p: float) -> list[float]:
    """The probabilities of being dropped of ``depth`` blocks in a row: p_l = p l / depth, l = 1 ... depth.

    Args:
        depth: L, the number of blocks, >= 1.
        p: of the last block, in [0, 1].

    Raises:
        ValueError: depth is below 1, or p is outside [0, 1] or NaN; the message names it.

    >>> linear_decay(4, 0.5)
    [0.125, 0.25, 0.375, 0.5]
    """
    raise NotImplementedError("nn_core.regularization.drop_path: TODO 2 of 5, linear_decay")


class DropPath(Dropout):
    """`drop_path` as a layer, for the end of a residual branch: active in training, the identity in use.

    Args:
        p: the probability of being dropped, in [0, 1].
        rng: where the masks come from; kept, not copied.

    Raises:
        ValueError: p is outside [0, 1] or NaN; the message names it.
    """

    def forward(self, x: Operand) -> Tensor:
        """x (N, *) -> `drop_path` of x if ``self.training``, else x."""
        raise NotImplementedError("nn_core.regularization.drop_path: TODO 3 of 5, DropPath.forward")


class Residual(Module):
    """A residual block whose branch may be skipped: x + `drop_path` of branch(x).

    Args:
        branch: a Module that keeps the shape.
        p: the probability that an example skips it, in [0, 1].
        rng: where the masks come from; kept, not copied.

    Attributes:
        branch: the Module.
        drop_path: a `DropPath` with p and rng.

    Raises:
        ValueError: p is outside [0, 1] or NaN; the message names it.
    """

    def __init__(self, branch: Module, p: float, *, rng: np.random.Generator):
        raise NotImplementedError("nn_core.regularization.drop_path: TODO 4 of 5, Residual.__init__")

    def forward(self, x: Operand) -> Tensor:
        """x (N, *) -> x + drop_path(branch(x)).

        Raises:
            ValueError: the branch changes the shape; the message names both.
        """
        raise NotImplementedError("nn_core.regularization.drop_path: TODO 5 of 5, Residual.forward")
