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
    r = gradient.copy()
    pairs = [(s, y, 1 / (s @ y)) for s, y in zip(steps, changes, strict=True)]
    alphas = []
    for s, y, rho in reversed(pairs):
        alphas.append(rho * (s @ r))
        r -= alphas[-1] * y
    if pairs:
        s, y, rho = pairs[-1]
        r *= 1 / (rho * (y @ y))
    for (s, y, rho), alpha in zip(pairs, reversed(alphas), strict=True):
        r += (alpha - rho * (y @ r)) * s
    return r


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
    eps = float(np.finfo(x.dtype).eps)
    value, gradient = value_and_gradient(x)
    value, gradient = float(value), np.array(gradient, dtype=x.dtype)
    if gradient.shape != x.shape:
        raise ValueError(f"the gradient has shape {gradient.shape}, expected that of the start, {x.shape}")
    if not isfinite(value):
        raise ValueError(f"the function is {value} at the start: begin where it is finite")
    if not np.isfinite(gradient).all():
        at = int(np.argmin(np.isfinite(gradient)))
        raise ValueError(f"the gradient is {gradient[at]} at the start, index {at}: begin where it is finite")
    steepest = float(np.max(np.abs(gradient), initial=0.0))
    lowest, flattest, stalled = value, steepest, 0
    iterations, evaluations = 0, 1
    while steepest > tolerance and iterations < max_iter and stalled < PATIENCE:
        direction = -two_loop(gradient, [s for s, _ in history], [y for _, y in history])
        if not history:
            direction /= max(1.0, steepest)  # no weight moves by more than 1: nothing is known of the scale
        slope = float(gradient @ direction)
        line, trials = _along(value_and_gradient, x, direction)
        found = Point(0.0, value, slope)
        if -inf < slope < 0:
            found = strong_wolfe(line, value, slope, step, rounding=ULPS * eps)
        evaluations += len(trials)
        if found.step == 0 and history:
            history.clear()  # what it says may be wrong: once more, straight downhill
            continue
        if found.step == 0:
            break
        new, new_gradient = trials[found.step]
        s, y = new - x, new_gradient - gradient
        if s @ y > eps * np.linalg.norm(s) * np.linalg.norm(y):
            history.append((s, y))
        x, value, gradient = new, found.value, new_gradient
        steepest = float(np.max(np.abs(gradient)))
        stalled = 0 if value < lowest or steepest < flattest else stalled + 1
        lowest, flattest = min(value, lowest), min(steepest, flattest)
        iterations += 1
    return Minimum(x, value, gradient, iterations, evaluations, bool(steepest <= tolerance))


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
    for name, setting, least in (
        ("memory", memory, 1),
        ("max_iter", max_iter, 0),
        ("tolerance", tolerance, 0),
    ):
        if not setting >= least:
            raise ValueError(f"{name} must be at least {least}, got {setting}")
    x = np.array(start, dtype=np.float64)
    if x.ndim != 1:
        raise ValueError(f"start must be a vector (D,), got shape {x.shape}: flatten it")
    return descend(value_and_gradient, x, deque(maxlen=memory), max_iter=max_iter, tolerance=tolerance)


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
        for name, value, least in (("max_iter", max_iter, 1), ("history_size", history_size, 1)):
            if not value >= least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if not 0 < lr < inf:
            raise ValueError(f"lr must be positive and finite, got {lr}")
        if not tolerance_grad >= 0:
            raise ValueError(f"tolerance_grad must be at least 0, got {tolerance_grad}")
        super().__init__(
            params,
            {"lr": lr, "max_iter": max_iter, "tolerance_grad": tolerance_grad, "history_size": history_size},
        )

    def add_param_group(self, group: Mapping) -> None:
        """Take the one group there is.

        Raises:
            ValueError: there is a group already (the message says that L-BFGS has 1); or as `Optimizer` says.
        """
        if self.param_groups:
            raise ValueError("L-BFGS moves all parameters as one vector: it has 1 group, and takes no other")
        super().add_param_group(group)

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
        group = self.param_groups[0]
        params, losses = group["params"], []

        def place(x: Array) -> None:
            start = 0
            for p in params:
                p.data[...] = x[start : start + p.data.size].reshape(p.data.shape)
                start += p.data.size

        def value_and_gradient(x: Array) -> tuple[float, Array]:
            place(x)
            loss = closure()
            losses.append(loss)
            grads = [np.zeros_like(p.data) if p.grad is None else p.grad for p in params]
            value = loss.data if isinstance(loss, Tensor) else loss
            return float(value), np.concatenate([g.reshape(-1) for g in grads])

        x = np.concatenate([p.data.reshape(-1) for p in params])
        memory = self.state.get(params[0], {"steps": (), "changes": ()})
        history = deque(zip(memory["steps"], memory["changes"], strict=True), maxlen=group["history_size"])
        found = descend(
            value_and_gradient,
            x,
            history,
            max_iter=group["max_iter"],
            tolerance=group["tolerance_grad"],
            step=group["lr"],
        )
        place(found.x)
        self.state[params[0]] = {
            "steps": np.array([s for s, _ in history]).reshape(-1, x.size),
            "changes": np.array([y for _, y in history]).reshape(-1, x.size),
        }
        return losses[0]
