r"""Muon: the momentum of a weight matrix, orthogonalised, so that a step is as long in every direction.

    M <- mu * M + (1 - mu) * G                   D = mu * M + (1 - mu) * G  (Nesterov),  or M
    O = newton_schulz(D)                         about U V^T where D = U S V^T
    W <- (1 - lr * weight_decay) * W - lr * sqrt(max(1, rows / cols)) * O

The momentum of a layer is nearly of low rank: a few directions have all its length. U V^T gives every one of
them the length 1, the steepest step among all whose largest singular value is 1. No SVD is needed for it: an
odd polynomial of a matrix, a X + b (X X^T) X + c (X X^T)^2 X, is that polynomial of each singular value, with
the same U and V, at the price of three matrix products. Five rounds of the right one lift everything from
0.0015 up to between 0.679 and 1.203; its slope at 0 is what counts, and exactly 1 is not needed.

Only for matrices: biases, gains, embeddings and output layers belong to another optimizer, such as AdamW.

Shapes   W (rows, cols), rows the outputs of a layer; M, D, O as W.
Source   Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al. 2025,
         arXiv:2502.16982, sec. 2 (match_rms_adamw); in the form of PyTorch's Muon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt

import numpy as np

from foundations.computational_graph import Array
from optimization.optimizers.optimizer import Optimizer, pieces

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # a, b, c: a steep slope at 0, bounded on [0, 1]


class Muon(Optimizer):
    """Muon, with decoupled weight decay.

    Args:
        params: matrices, as Tensors or groups, see `Optimizer`.
        lr: learning rate, >= 0.
        weight_decay: >= 0; each step also shrinks the weights by lr * weight_decay.
        momentum: share mu of the momentum that is kept, in [0, 1).
        nesterov: orthogonalise mu * M + (1 - mu) * G, with the new M, instead of M.
        ns_coefficients: a, b, c of the polynomial.
        eps: least norm to divide by, >= 0, see `newton_schulz`.
        ns_steps: rounds of the polynomial, >= 1.
        adjust_lr_fn: how lr depends on the shape, see `rate_factor`.

    State: "mean" (M), zero before the first step.

    Raises:
        ValueError: a setting is out of its range, as NaN always is, coefficients are not three, adjust_lr_fn
            is unknown: the message names setting and value. Or a parameter is no matrix: it names its shape.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ):
        raise NotImplementedError("optimization.optimizers.muon: TODO 3 of 5, Muon.__init__")

    def add_param_group(self, group: Mapping) -> None:
        """As `Optimizer.add_param_group`, for matrices only.

        ``group["params"]`` may be one Tensor or any iterable, a generator too, and its items need not be
        Tensors: `Optimizer.add_param_group` sorts that out and appends the group; look at it afterwards.

        Raises:
            ValueError: a parameter does not have two dimensions; the message names its shape. The group is
                not among ``param_groups`` then.
        """
        raise NotImplementedError("optimization.optimizers.muon: TODO 4 of 5, Muon.add_param_group")

    def update(self, weights: Array, grad: Array, state: dict, group: Mapping) -> None:
        """One step for one parameter, in place; the formulas at the top of this file.

        Args:
            weights: (rows, cols); changed.
            grad: of the same shape; only read.
            state: empty before the first step; "mean" is made here.
            group: the settings by name.
        """
        raise NotImplementedError("optimization.optimizers.muon: TODO 5 of 5, Muon.update")


def newton_schulz(
    matrix: Array,
    steps: int = 5,
    coefficients: tuple[float, float, float] = COEFFICIENTS,
    eps: float = 1e-7,
) -> Array:
    """Bring every singular value of a matrix near 1 and keep its singular vectors, by matrix products alone.

    X = matrix / max(Frobenius norm, eps), so that no singular value is above 1; then ``steps`` times

        X <- a X + b (X X^T) X + c (X X^T)^2 X

    with X X^T on the shorter side, which is the same matrix.

    Args:
        matrix: (rows, cols); only read.
        steps: how often, >= 1.
        coefficients: a, b, c.
        eps: least norm to divide by: a matrix of zeros stays one.

    Returns:
        (rows, cols), of the matrix's dtype, a new array.

    Raises:
        ValueError: matrix does not have two dimensions; the message names its shape.
    """
    raise NotImplementedError("optimization.optimizers.muon: TODO 1 of 5, newton_schulz")


def rate_factor(rows: int, cols: int, adjust_lr_fn: str | None = None) -> float:
    """By what the learning rate is multiplied for a weight matrix of this shape.

    Args:
        rows: outputs of the layer, >= 1.
        cols: inputs of the layer, >= 1.
        adjust_lr_fn: "original", or None: sqrt(max(1, rows / cols)); the change of an output is then in
            proportion to its size. "match_rms_adamw": 0.2 * sqrt(max(rows, cols)); a step then has root
            mean square 0.2 in its entries, as AdamW's have, and lr and weight_decay can be AdamW's.

    Raises:
        ValueError: adjust_lr_fn is another; the message names it and those that exist.
    """
    raise NotImplementedError("optimization.optimizers.muon: TODO 2 of 5, rate_factor")
