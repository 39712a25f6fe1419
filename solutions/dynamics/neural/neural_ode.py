r"""The neural ODE: a network whose depth is time, and two ways to send a gradient back through its solver.

    y' = f(t, y, theta),  y(t_0) = y_0          loss L(y(t_0), ..., y(t_T-1)),   seeds  s_k = dL/dy(t_k)

    discrete     transpose each Runge-Kutta step, last to first: k_i = f(Y_i), Y_i = y + h sum_j a_ij k_j
                 dk_i = h b_i a + h sum_(m>i) a_mi dY_m,   dY_i = dk_i^T df/dy (Y_i),   a <- a + sum_i dY_i
    continuous   a' = -a^T df/dy,   g' = -a^T df/dtheta     solved from t_T-1 back to t_0, with y beside them

Here a(t) = dL/dy(t) is the adjoint: it jumps by s_k at t_k. The first is the exact derivative of the numbers
that the solver computed, but has to know all its states; checkpoints keep every k-th and compute the others
again. The second needs the states at t_k only, as y itself is solved backward. It is the gradient of the true
solution, which the solver computed only up to its error; and a flow that contracts by e^-x forward expands by
e^x backward, so that y is lost there.

Shapes   y and a any shape S; theta any shape P; ts (T,); a path and the seeds (T, *S).
Source   Pontryagin et al. 1962; Chen et al. 2018, arXiv:1806.07366, eq. 3-5 and algorithm 1; Hager 2000,
         "Runge-Kutta methods in optimal control", Numer. Math. 87; Griewank & Walther 2008,
         Evaluating Derivatives, ch. 12 (checkpoints); Gholami et al. 2019, arXiv:1902.10298 (instability).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.ode import METHODS, Field, Solution, Tableau, odeint, rk_step
from dynamics.credit.mlp_backprop import Spec, unflatten
from foundations.autograd import grad
from foundations.computational_graph import Tensor
from foundations.elementwise import tanh

Array = np.ndarray
Dynamics = Callable[[float, Tensor, Tensor], Tensor]  # f(t, y, theta), in Tensor operations, of y's shape
EXPLICIT = tuple(m for m, tab in METHODS.items() if tab.error is None and not any(row[-1] for row in tab.a))


class Gradient(NamedTuple):
    """dL/dy0, of y's shape, and dL/dtheta, of theta's shape; float64."""

    y0: Array
    theta: Array


def mlp_field(spec: Spec) -> Dynamics:
    """Make the slope field of a tanh network: theta is laid out as `mlp_backprop.flatten` does.

    Args:
        spec: sizes (D, ..., D), or (D + 1, ..., D) for a field that changes in time: t is then the last
            input, after the D of y. Hidden "tanh", output "linear"; with or without biases.

    Returns:
        f(t, y, theta): y (..., D) and theta (spec.parameters,) as Tensors -> (..., D).

    Raises:
        ValueError: other sizes (the message names them), or another activation (it names it).
    """
    D = spec.sizes[-1]
    if spec.sizes[0] - D not in (0, 1):
        raise ValueError(f"the sizes must begin with {D} or {D + 1} to end with {D}, got {spec.sizes}")
    if (spec.hidden, spec.output) != ("tanh", "linear"):
        raise ValueError(f"expected tanh, linear, got {spec.hidden!r}, {spec.output!r}")

    def f(t: float, y: Tensor, theta: Tensor) -> Tensor:
        weights, biases = cast(tuple[list[Tensor], list[Tensor]], unflatten(cast(Array, theta), spec))
        for i, W in enumerate(weights):
            z = y @ W[:, : y.shape[-1]].transpose()  # (..., N_l)
            if i == 0 and spec.sizes[0] > D:
                z = z + t * W[:, D]
            z = z + biases[i] if spec.bias else z
            y = tanh(z) if i < len(weights) - 1 else z
        return y

    return f


def vjp(f: Dynamics, t: float, y: ArrayLike, theta: ArrayLike, a: ArrayLike) -> tuple[Array, Array, Array]:
    """Evaluate f, and pull a vector back through it: one reverse pass of the engine.

    Args:
        f: t and Tensors of y's and theta's shapes -> a Tensor of y's shape.
        t, y, theta: where; y and theta are taken as float64 and not changed.
        a: of y's shape.

    Returns:
        f (of y's shape), a^T df/dy (of y's shape), a^T df/dtheta (of theta's shape). Zeros where f does not
        depend on y, or on theta, or on either.

    Raises:
        ValueError: f returned another shape than y's, or a has another; the message names both.
    """
    y_leaf = Tensor(np.asarray(y, np.float64), requires_grad=True)
    theta_leaf = Tensor(np.asarray(theta, np.float64), requires_grad=True)
    slope = f(t, y_leaf, theta_leaf)
    if slope.shape != y_leaf.shape:
        raise ValueError(f"f returned shape {slope.shape} for y of shape {y_leaf.shape}")
    if np.shape(a) != y_leaf.shape:
        raise ValueError(f"a has shape {np.shape(a)}, expected that of y, {y_leaf.shape}")
    if not slope.requires_grad:
        return slope.data, np.zeros(y_leaf.shape), np.zeros(theta_leaf.shape)
    by_y, by_theta = grad(slope, [y_leaf, theta_leaf], np.asarray(a, np.float64))
    return slope.data, by_y.data, by_theta.data


def solve(
    f: Dynamics,
    theta: ArrayLike,
    y0: ArrayLike,
    ts: ArrayLike,
    method: str = "rk4",
    *,
    substeps: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-9,
) -> Solution:
    """Run the network: `odeint` of y' = f(t, y, theta). Arguments, result and errors are those of `odeint`.

    Nothing of it is recorded: no graph, whatever the number of steps.
    """
    return odeint(_on_arrays(f, theta), y0, ts, method, substeps=substeps, rtol=rtol, atol=atol)


def step_adjoint(
    f: Dynamics, t: float, y: ArrayLike, theta: ArrayLike, h: float, tableau: Tableau, a: ArrayLike
) -> tuple[Array, Array]:
    """Pull a vector back through one explicit Runge-Kutta step: the transpose of its derivative.

    The stages Y_i are computed once more, forward; then, from the last to the first,

        dk_i = h b_i a + h sum_(m>i) a_mi dY_m      dY_i, dtheta_i = dk_i^T df/dy, dk_i^T df/dtheta  at Y_i

    Args:
        f, theta: the field.
        t, y, h: where the step begins, and its length, of any sign.
        tableau: an explicit method of `ode.METHODS`; stage i stands at t + c[i] h.
        a: dL/dy at t + h, of y's shape.

    Returns:
        dL/dy at t, which is a + sum_i dY_i, and the step's part of dL/dtheta, sum_i dtheta_i.
    """
    y, a = np.asarray(y, np.float64), np.asarray(a, np.float64)
    theta = np.asarray(theta, np.float64)
    slope = _on_arrays(f, theta)
    stages: list[Array] = []
    slopes: list[Array] = []
    for c, row in zip(tableau.c, tableau.a, strict=True):
        stages.append(y + h * sum(w * k for w, k in zip(row, slopes, strict=False)))
        if len(stages) < len(tableau.c):  # nothing needs the slope of the last
            slopes.append(slope(t + c * h, stages[-1]))
    pulled: dict[int, Array] = {}  # dY_i
    by_theta = np.zeros(theta.shape)
    for i in reversed(range(len(stages))):
        dk = h * tableau.b[i] * a + h * sum((tableau.a[m][i] * dY for m, dY in pulled.items()), np.zeros(()))
        _, pulled[i], part = vjp(f, t + tableau.c[i] * h, stages[i], theta, dk)
        by_theta += part
    return a + sum(pulled.values()), by_theta


def discrete_adjoint(
    f: Dynamics,
    theta: ArrayLike,
    y0: ArrayLike,
    ts: ArrayLike,
    seeds: ArrayLike,
    method: str = "rk4",
    *,
    substeps: int = 1,
    every: int = 1,
) -> Gradient:
    """Differentiate what the solver computed, `solve(f, theta, y0, ts, method, substeps=substeps).ys`.

    The states of n = (T - 1) substeps steps are kept, or of them every k-th, and the others are computed
    again from the checkpoint before them, k states at a time: n / k + k states in place of n, for one more
    forward pass. k near sqrt(n) needs least. The result is the same, for every k.

    Args:
        f, theta, y0, ts: as `solve`.
        seeds: (T, *S), dL/dy at each of ts, ts[0] included.
        method: explicit, with fixed steps: euler, midpoint, heun, rk4, rk4_38.
        substeps: equal steps in each interval, >= 1.
        every: k, >= 1; 1 keeps all.

    Returns:
        (dL/dy0, dL/dtheta), right up to rounding.

    Raises:
        ValueError: the method is another (the message names it), seeds has another shape than (T, *S) (both
            are named), substeps or every is below 1 (it is named), or ts as `odeint`.
    """
    if method not in EXPLICIT:
        raise ValueError(f"method must be one of {', '.join(EXPLICIT)}, got {method!r}")
    if min(substeps, every) < 1:
        raise ValueError(f"substeps and every must be at least 1, got {substeps} and {every}")
    times, y, theta = _times(ts), np.array(y0, np.float64), np.asarray(theta, np.float64)
    seeds = _seeds(seeds, (*times.shape, *y.shape))
    steps = [
        (left + j * (right - left) / substeps, (right - left) / substeps)
        for left, right in pairwise(times.tolist())
        for j in range(substeps)
    ]
    tableau, slope = METHODS[method], _on_arrays(f, theta)
    checkpoints = []
    for n, (t, h) in enumerate(steps):
        if n % every == 0:
            checkpoints.append(y)
        y, _ = rk_step(slope, t, y, h, tableau)
    a, by_theta = seeds[-1].copy(), np.zeros(theta.shape)
    for first in reversed(range(0, len(steps), every)):
        part = steps[first : first + every]
        states = [checkpoints.pop()]
        for t, h in part[:-1]:
            states.append(rk_step(slope, t, states[-1], h, tableau)[0])
        for n in reversed(range(len(part))):
            a, more = step_adjoint(f, part[n][0], states[n], theta, part[n][1], tableau, a)
            by_theta += more
            if (first + n) % substeps == 0:
                a = a + seeds[(first + n) // substeps]
    return Gradient(a, by_theta)


def reconstruct(
    f: Dynamics,
    theta: ArrayLike,
    y_end: ArrayLike,
    ts: ArrayLike,
    method: str = "rk4",
    *,
    substeps: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-9,
) -> Array:
    """Find the path from its end, by solving backward in time: memory for one state, whatever the steps.

    Args:
        f, theta, ts, method, substeps, rtol, atol: as `solve`.
        y_end: y at ts[-1].

    Returns:
        (T, *S) in the order of ts, the last being y_end. Where the flow contracts forward, errors grow here.
    """
    backward = np.asarray(ts, np.float64)[::-1]
    path = solve(f, theta, y_end, backward, method, substeps=substeps, rtol=rtol, atol=atol)
    return path.ys[::-1]


def continuous_adjoint(
    f: Dynamics,
    theta: ArrayLike,
    ys: ArrayLike,
    ts: ArrayLike,
    seeds: ArrayLike,
    method: str = "rk4",
    *,
    substeps: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-9,
) -> Gradient:
    """Solve the adjoint equation backward: y' = f, a' = -a^T df/dy, g' = -a^T df/dtheta, in one system.

    Begin at t_T-1 with a = s_T-1, g = 0; from t_k to t_k-1 solve, starting y anew from ys[k]; then add s_k-1
    to a. At t_0, a is dL/dy0 and g dL/dtheta.

    Args:
        f, theta: the field.
        ys: (T, *S), the path at ts alone, as `solve` gives it.
        ts: (T,), as `odeint`.
        seeds: (T, *S), dL/dy at each of ts, ts[0] included.
        method, substeps, rtol, atol: of the backward solution, as `odeint`; the tolerances of dopri5 hold
            for y, a and g together.

    Returns:
        (dL/dy0, dL/dtheta), right up to the error of both solutions.

    Raises:
        ValueError: as `odeint`, or seeds has another shape than ys, or ys another length than ts (the message
            names both shapes).
    """
    path, times, theta = np.asarray(ys, np.float64), _times(ts), np.asarray(theta, np.float64)
    if path.shape[:1] != times.shape:
        raise ValueError(f"ys has shape {path.shape}, expected one state for each of ts, {times.shape}")
    seeds = _seeds(seeds, path.shape)
    size, shape = path[0].size, path.shape[1:]

    def backward(t: float, state: Array) -> Array:
        y, a = state[:size].reshape(shape), state[size : 2 * size].reshape(shape)
        slope, by_y, by_theta = vjp(f, t, y, theta, a)
        return np.concatenate([slope.reshape(-1), -by_y.reshape(-1), -by_theta.reshape(-1)])

    a, g = seeds[-1].reshape(-1), np.zeros(theta.size)
    for k in range(len(times) - 1, 0, -1):
        state = np.concatenate([path[k].reshape(-1), a, g])
        ends = times[[k, k - 1]]
        state = odeint(backward, state, ends, method, substeps=substeps, rtol=rtol, atol=atol).ys[-1]
        a, g = state[size : 2 * size] + seeds[k - 1].reshape(-1), state[2 * size :]
    return Gradient(a.reshape(shape), g.reshape(theta.shape))


def _on_arrays(f: Dynamics, theta: ArrayLike) -> Field:
    """The slope at fixed theta, for a solver: arrays in, arrays out, nothing recorded."""
    fixed = Tensor(np.asarray(theta, np.float64))
    return lambda t, y: f(t, Tensor(y), fixed).data


def _times(ts: ArrayLike) -> Array:
    """What `odeint` asks of times: an interval by itself could not tell that they turn round."""
    times = np.asarray(ts, np.float64)
    if times.ndim != 1 or times.size < 2:
        raise ValueError(f"ts must be at least two times in one row, got shape {times.shape}")
    gaps = np.diff(times)
    if not np.all(np.isfinite(gaps)) or not (np.all(gaps > 0) or np.all(gaps < 0)):
        raise ValueError(f"ts must be finite, and all increasing or all decreasing, got {times}")
    return times


def _seeds(seeds: ArrayLike, shape: tuple[int, ...]) -> Array:
    seeds = np.asarray(seeds, np.float64)
    if seeds.shape != shape:
        raise ValueError(f"seeds has shape {seeds.shape}, expected one of each state of the path, {shape}")
    return seeds
