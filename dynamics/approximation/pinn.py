r"""Physics-informed networks: make a function satisfy an equation, and the conditions that single it out.

    loss(theta) = w_r mean |N[u] - g|^2 over points inside  +  w_b mean |B[u] - h|^2 on the boundary

    poisson1d    u_xx - g                   dirichlet   u
    helmholtz1d  u_xx + k^2 u - g           neumann     du/dn = n . grad u
    heat         u_t - k u_xx - g           robin       k u + du/dn,  k > 0
    advection    u_t + k u_x - g            periodic    u and du/dn, differences of opposite points
    burgers      u_t + u u_x - k u_xx - g
    poisson2d    u_xx + u_yy - g

The residual alone does not say which of its solutions is wanted: u + a + b x has the second derivative of u,
and 0 solves every homogeneous equation. Conditions enter softly, as a weighted term of the loss, or hard, in
the form of the function, so that they hold for every theta:

    in one dimension   u + q         q of degree 2 with B[q] = h - B[u] at both ends
    on a box           g + d(x) u    d = 0 on the boundary, g as prescribed there

Judge by the error, never by the residual: u_xx weighs an error in the mode sin(K x) by K^4. The Hessian of K
modes has the condition number K^4, and errors in the low modes, learned last, hardly show in the residual.

Shapes   N points inside, P on the boundary, D coordinates (x, or x and t, or x and y), K outputs.
Source   Raissi, Perdikaris & Karniadakis 2019, "Physics-informed neural networks", J. Comp. Phys. 378;
         Lagaris, Likas & Fotiadis 1998, "Artificial neural networks for solving ordinary and partial
         differential equations", sec. 3 (box); Mortari 2017, "The theory of connections", Mathematics 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from dynamics.approximation.jets import Jet, add, affine, product
from foundations.autograd import grad
from foundations.computational_graph import Tensor, as_array
from foundations.shaping import concatenate
from optimization.optimizers.adam import Adam

Array: TypeAlias = np.ndarray
Values: TypeAlias = Tensor | Array

# which second derivatives an equation needs: begin with `coordinates(X, OPERATORS[kind])`
OPERATORS: dict[str, tuple[float, ...]] = {
    "poisson1d": (1.0,),
    "helmholtz1d": (1.0,),
    "heat": (1.0, 0.0),
    "advection": (0.0, 0.0),
    "burgers": (1.0, 0.0),
    "poisson2d": (1.0, 1.0),
}
CONDITIONS = ("dirichlet", "neumann", "robin", "periodic")


def residual(kind: str, u: Jet, source: ArrayLike = 0.0, coefficient: float = 1.0) -> Values:
    """Give what is left of an equation when u is put in; the table of this file.

    Args:
        kind: a name of ``OPERATORS``. Coordinate 0 is x; 1 is t, for "poisson2d" y.
        u: jet of K outputs at N points, with the operator of ``OPERATORS[kind]``.
        source: g, a number or the shape of u.value.
        coefficient: k: wave number, diffusivity, speed or viscosity; unused for the Poisson equations.

    Returns:
        (N, K), 0 where u is a solution.

    Raises:
        ValueError: kind is not in ``OPERATORS`` (it and the six are named); u has another operator (both are
            named); source has another shape than u.value (both): (N,) beside (N, 1) would become (N, N).
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 1 of 8, residual")


def boundary(kind: str, u: Jet, normal: ArrayLike | None = None, coefficient: float = 1.0) -> Values:
    """Give what a condition prescribes, B[u], at points of the boundary; the table of this file.

    Args:
        kind: "dirichlet", "neumann", "robin" or "periodic".
        u: jet of K outputs at P points. For "periodic" P is even, and point i + P / 2 is opposite to point i.
        normal: (P, D), outward, of length 1: [[-1], [1]] for the ends of an interval. "dirichlet" needs none.
        coefficient: k > 0 of "robin"; the others have none.

    Returns:
        (P, K). For "periodic" the first P / 2 rows are the differences u_i - u_(i + P/2), the others those of
        the slopes in one direction, n_i . (grad u_i - grad u_(i + P/2)): all 0 for a periodic function.

    Raises:
        ValueError: another kind (it and the four are named); normal is missing or not (P, D) (what it is and
            (P, D)); an odd P; a robin k that is not positive.
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 2 of 8, boundary")


def constrain(
    kind: str,
    u: Jet,
    x: Array,
    ends: Jet,
    interval: tuple[float, float],
    values: ArrayLike = (0.0, 0.0),
    coefficient: float = 1.0,
) -> Jet:
    """Make a function of one coordinate satisfy two conditions at the ends of an interval, whatever it is.

        u + q,    q a polynomial of degree 2 with B[q] = values - B[u] at both ends

    In s, which runs from -1 to 1 over the interval, q = w_0 + w_1 s + w_2 s^2. The conditions see two numbers
    each of 1, s and s^2, which make a (2, 3) matrix; its pseudo-inverse gives the smallest w that meets any
    two values. A u that meets them is left as it is.

    Args:
        kind: as `boundary`, for both ends, with the outward normals -1 and 1.
        u: jet of K outputs at the points x, operator (c,).
        x: (N, 1), the points of u.
        ends: jet of the same function, two points: a, then b.
        interval: a < b.
        values: (2,) or (2, K), what B[u + q] must be in the two rows of `boundary`.
        coefficient: as `boundary`.

    Returns:
        The jet of u + q at the points x.

    Raises:
        ValueError: a < b does not hold (both are named); ends is not of two points in one coordinate, or x
            not (N, 1) beside u (the shape of ends.gradient or of x); or as `boundary`.
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 3 of 8, constrain")


def vanish(at: Jet, low: ArrayLike, high: ArrayLike) -> Jet:
    """Make a function that is 0 on the faces of a box and positive inside, to multiply a network with.

        d(x) = product over the coordinates of (x_d - low_d) (high_d - x_d)

    Args:
        at: the jet of the coordinates of N points, K = D.
        low, high: (D,). -inf or inf: no condition on that side, and no factor.

    Returns:
        The jet of d, (N, 1).

    Raises:
        ValueError: low or high is not (D,), or not low < high; the message names both.
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 4 of 8, vanish")


def composite_loss(
    residuals: Mapping[str, Values],
    weights: Mapping[str, float] | None = None,
    *,
    theta: Values | None = None,
    l2: float = 0.0,
) -> Values:
    """Add the terms of a loss: sum over names of weight * mean(residual^2), and l2 * sum(theta^2).

    Args:
        residuals: name -> what should be 0, any shape: the data's errors, the equation's, the boundary's.
        weights: name -> factor, >= 0; 1 for a name that is not in it.
        theta: the parameters that l2 penalises; None: none are.
        l2: >= 0.

    Returns:
        One number, a Tensor if anything is.

    Raises:
        ValueError: there are no residuals; a weight has a name that residuals has not (it and theirs are
            named); a weight or l2 is negative (it is named).
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 5 of 8, composite_loss")


def collocation(
    kind: str, n: int, low: ArrayLike, high: ArrayLike, *, rng: np.random.Generator | None = None
) -> Array:
    """Choose points in a box to ask for the residual at.

    Args:
        kind: "uniform", n points a side from low to high, both included; "chebyshev", n a side at
            cos((2 i + 1) pi / 2 n), i < n, stretched to [low, high] and rising: dense towards the faces;
            "random", n points in all, uniformly distributed: drawn anew for each step, they see all of it.
        n: >= 1; for "uniform" >= 2.
        low, high: (D,), low < high.
        rng: for "random".

    Returns:
        (n^D, D), the last coordinate running fastest; (n, D) for "random".

    Raises:
        ValueError: another kind or n too small (it is named); low and high are not (D,) with low < high (both
            are named); no rng.
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 6 of 8, collocation")


def l2_relative_error(u: ArrayLike, exact: ArrayLike) -> float:
    """Give |u - exact| / |exact|, Euclidean norms over all elements: 1 is what u = 0 gets.

    Raises:
        ValueError: the shapes differ (both are named), or exact is 0 everywhere.
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 7 of 8, l2_relative_error")


def train(
    loss: Callable[[Tensor], Tensor], theta: ArrayLike, *, steps: int, lr: float = 1e-3
) -> tuple[Array, Array]:
    """Minimise a loss of the parameters by Adam (its other settings at their defaults).

    Args:
        loss: theta as a Tensor (P,) -> a Tensor of one element; called once a step: it may draw new points.
        theta: (P,); only read.
        steps: >= 0.
        lr: learning rate.

    Returns:
        theta after the last step, (P,), float64, and the losses before each step, (steps,).
    """
    raise NotImplementedError("dynamics.approximation.pinn: TODO 8 of 8, train")


def _powers(x: Array, interval: Sequence[float], operator: Array) -> Jet:
    """The jet of 1, s and s^2 at x (N, 1), where s runs from -1 to 1 over the interval."""
    slope = 2 / (interval[1] - interval[0])
    s = slope * (x - interval[0]) - 1
    one, zero = np.ones_like(s), np.zeros_like(s)
    value, gradient = np.hstack([one, s, s * s]), slope * np.hstack([zero, one, 2 * s])
    return Jet(value, gradient[None], operator * slope**2 * np.hstack([zero, zero, 2 * one]), operator)
