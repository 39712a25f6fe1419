r"""L-BFGS: Newton's method whose inverse Hessian is built from the last few steps and never written down.

    s_k = x_{k+1} - x_k,   y_k = g_{k+1} - g_k,   rho_k = 1 / s_k'y_k
    H_{k+1} = (I - rho s y') H_k (I - rho y s') + rho s s'          so that H_{k+1} y_k = s_k
    x_{k+1} = x_k - t H_k g_k                                       t by a strong Wolfe line search

H is the symmetric positive definite matrix nearest to the one before that maps the change of the gradient to
the step that caused it. Applied to a vector from the newest of m pairs to the oldest and back it costs 4mD
multiplications and no matrix. The line search is not a luxury: its second condition is what makes s'y > 0,
without which H would not be positive definite.

Shapes   D features of the flat vector x; gradient, s, y (D,); m pairs, at most `memory`.
Source   Nocedal & Wright 2006, "Numerical optimization", eq. 6.17, algorithms 7.4 (two loops), 7.5, eq. 7.20
         (scaling); Liu & Nocedal 1989, "On the limited memory BFGS method for large scale optimization".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from foundations.computational_graph import Array, Tensor
from optimization.optimizers.line_search import ULPS, Point, strong_wolfe
from optimization.optimizers.optimizer import Optimizer

PATIENCE = 20  # steps that lower neither the value nor the gradient: only rounding is left


@dataclass(frozen=True)
class Minimum:
    """What `minimize` found.

    Attributes:
        x: (D,), the last point.
        value: of the function at x.
        gradient: (D,), at x.
        iterations: steps taken.
        evaluations: calls of the function.
        converged: whether max |gradient| <= tolerance.
    """

    x: np.ndarray
    value: float
    gradient: np.ndarray
    iterations: int
    evaluations: int
    converged: bool


def two_loop(gradient: Array, steps: Sequence[Array], changes: Sequence[Array]) -> Array:
    """Multiply the gradient by the inverse Hessian that BFGS makes of the pairs, without making it.

    The matrix before the first pair is gamma I, gamma = s'y / y'y of the newest pair; I without pairs. For a
    tiny y, y'y may underflow to 0: leave it a NumPy number, whose quotient is infinite where a Python float
    raises ZeroDivisionError. What is then not finite is no direction of descent, and `descend` sees it.

    Args:
        gradient: (D,); only read.
        steps: m vectors s (D,), oldest first.
        changes: m vectors y (D,) that belong to them, each with s'y > 0.

    Returns:
        H g (D,), a new array; minus it is the direction of descent.
    """
    raise NotImplementedError("optimization.optimizers.lbfgs: TODO 1 of 6, two_loop")


def _along(
    value_and_gradient: Callable[[Array], tuple[float, Array]], x: Array, direction: Array
) -> tuple[Callable[[float], tuple[float, float]], dict[float, tuple[Array, Array]]]:
    """The function on a line: step -> (f, f'), and a dict that gathers step -> (point, gradient)."""
    trials = {}

    def line(step: float) -> tuple[float, float]:
        point = x + step * direction
        value, gradient = value_and_gradient(point)
        trials[step] = point, np.array(gradient, dtype=x.dtype)
        return float(value), float(trials[step][1] @ direction)

    return line, trials


@np.errstate(all="ignore")  # what overflows on a step that is too long is answered by a shorter one
def descend(
    value_and_gradient: Callable[[Array], tuple[float, Array]],
    x: Array,
    history: deque[tuple[Array, Array]],
    *,
    max_iter: int,
    tolerance: float,
    step: float = 1.0,
) -> Minimum:
    """Iterate from x, in the precision of x, and go on from a history of pairs: the loop of `minimize`.

    Each line search begins with ``step``, along -H g, or along -g / max(1, max |g|) without pairs; its
    ``rounding`` is `ULPS` times the machine epsilon of x's dtype, so that it goes on by the slopes where the
    values no longer tell. A pair with s'y <= 0, up to rounding, is left out. If a search finds no step, the
    history is cleared; with no history the loop ends. So it does when `PATIENCE` steps in a row reach
    neither a new lowest value nor a new smallest max |gradient|.

    Args:
        value_and_gradient: (D,) -> (f, gradient (D,)).
        x: (D,), float32 or float64; only read.
        history: pairs (s, y), oldest first, with the maxlen to keep to; changed.
        max_iter, tolerance: see `minimize`.
        step: the first trial of each line search.

    Raises:
        ValueError: as `minimize`.
    """
    raise NotImplementedError("optimization.optimizers.lbfgs: TODO 2 of 6, descend")


def minimize(
    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    *,
    memory: int = 10,
    max_iter: int = 100,
    tolerance: float = 1e-8,
) -> Minimum:
    """Find a local minimum of a smooth function.

    Ends when max |gradient| <= tolerance, after max_iter steps, or when rounding hides all further progress.

    Args:
        value_and_gradient: x (D,) -> (f(x), gradient (D,)), which is copied. Values that are not finite are
            answered by a shorter step, and NumPy's warnings about them are silenced.
        start: (D,), finite, and the function finite there; only read, taken as float64.
        memory: how many pairs (s, y) to keep, at least 1.
        max_iter: at least 0.
        tolerance: absolute, at least 0.

    Raises:
        ValueError: a setting is out of its range (the message names it and its value); start is not a vector
            (its shape); the gradient has another shape (both shapes); or the function or its gradient is not
            finite at the start (what arrived).
    """
    raise NotImplementedError("optimization.optimizers.lbfgs: TODO 3 of 6, minimize")


class LBFGS(Optimizer):
    """`minimize` over all parameters as one vector; for losses without noise (the whole set of data).

    Args:
        params: Tensors, in one group.
        lr: the first trial step of each line search, > 0.
        max_iter: steps that one call of `step` takes at most, >= 1.
        tolerance_grad: a call of `step` ends early when max |gradient| <= tolerance_grad, >= 0.
        history_size: pairs to keep, >= 1.

    State: of the first parameter, after every call of `step`, "steps" and "changes" (m, D): the m pairs s and
    y with s'y > 0, oldest first, each over all D numbers of all parameters, flattened, one after the other;
    (0, D) without pairs.

    Raises:
        ValueError: a setting is out of its range (the message names it and its value), or there is more than
            one group.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1.0,
        max_iter: int = 20,
        tolerance_grad: float = 1e-7,
        history_size: int = 10,
    ):
        raise NotImplementedError("optimization.optimizers.lbfgs: TODO 4 of 6, LBFGS.__init__")

    def add_param_group(self, group: Mapping) -> None:
        """Take the one group there is.

        Raises:
            ValueError: there is a group already (the message says that L-BFGS has 1); or as `Optimizer` says.
        """
        raise NotImplementedError("optimization.optimizers.lbfgs: TODO 5 of 6, LBFGS.add_param_group")

    def step(self, closure: Callable[[], Tensor | float]) -> Tensor | float:  # type: ignore[override]
        """Take up to max_iter steps; fewer when tolerance_grad is reached or nothing more is gained.

        Args:
            closure: sets the gradients to None, computes the loss of the parameters as they are, calls
                ``backward()`` on it and returns it. It is called for every trial of a line search.

        Returns:
            What the closure returned first: the loss before the step. The parameters are where the last line
            search ended, which need not be its last trial.

        Raises:
            ValueError: the loss or its gradient is not finite where the call begins.
        """
        raise NotImplementedError("optimization.optimizers.lbfgs: TODO 6 of 6, LBFGS.step")
