r"""Rate networks: the same leaky units hold a number, oscillate, keep an angle or wander, by their weights.

    current   tau x' = -x + W phi(x) + u          rate   tau r' = -r + phi(W r + u)         x = W r + u

One unit forgets with the time constant tau; fed back to itself with weight w it forgets with tau / (1 - w),
and holds at w = 1. Near a fixed point the network is linear, and the eigenvalues of its Jacobian decide:

    integrator       an eigenvalue 0         remembers along that direction, and adds up its input
    Wilson-Cowan     a complex pair crosses the imaginary axis (trace 0, det > 0: Hopf)         a limit cycle
    ring             W_ij = (j0 + j1 cos(theta_i - theta_j)) / N, rank 3: a bump at any angle, all alike
    random           entries of variance g^2 / N: eigenvalues fill the disc of radius g; above g = 1 chaos

Shapes   D or N units, x and r (..., D), W (D, D) from column to row, u and tau a number or (D,), T time.
Source   Dayan & Abbott 2001, Theoretical Neuroscience, sec. 7.2-7.5; Wilson & Cowan 1972, Biophys. J. 12, 1
         (here without refractory factor); Seung 1996, PNAS 93, 13339 (integrator); Ben-Yishai, Bar-Or &
         Sompolinsky 1995, PNAS 92, 3844 (ring); Zhang 1996, J. Neurosci. 16, 2112 (moving bump); Sompolinsky,
         Crisanti & Sommers 1988, PRL 61, 259 (random).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, inf, log, pi, sin, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dynamics.continuous.ode import Field
from dynamics.credit.mlp_backprop import ACTIVATIONS

Array = np.ndarray
Input = ArrayLike | Callable[[float], ArrayLike]
FORMS = ("current", "rate")
sigmoid, sigmoid_slope = ACTIVATIONS["sigmoid"]


@dataclass(frozen=True)
class WilsonCowan:
    """An excitatory and an inhibitory population, E and I in (0, 1), with S(h) = 1 / (1 + e^-h):

        tau_e E' = -E + S(w_ee E - w_ei I + u_e)        tau_i I' = -I + S(w_ie E - w_ii I + u_i)

    A rate network of two units, of phi "sigmoid" and form "rate".

    Attributes:
        w_ee, w_ii: >= 0. w_ei (from I to E), w_ie (from E to I): > 0.
        u_e, u_i: inputs; a threshold is a negative input.
        tau_e, tau_i: > 0.

    Raises:
        ValueError: a weight or a tau outside its range; the message names it and its value.
    """

    w_ee: float
    w_ei: float
    w_ie: float
    w_ii: float
    u_e: float = 0.0
    u_i: float = 0.0
    tau_e: float = 1.0
    tau_i: float = 1.0

    def __post_init__(self) -> None:
        for name in ("w_ee", "w_ii"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("w_ei", "w_ie", "tau_e", "tau_i"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def W(self) -> Array:
        """(2, 2), inhibition negative."""
        return np.array([[self.w_ee, -self.w_ei], [self.w_ie, -self.w_ii]], np.float64)

    @property
    def u(self) -> Array:
        """(2,)."""
        return np.array([self.u_e, self.u_i], np.float64)

    @property
    def tau(self) -> Array:
        """(2,)."""
        return np.array([self.tau_e, self.tau_i], np.float64)


class Hopf(NamedTuple):
    """The tau_i at which a fixed point begins to oscillate, and the period of that oscillation."""

    tau_i: float
    period: float


class Bump(NamedTuple):
    """x(theta) = amplitude (cos(theta - center) - cos half_width), positive within half_width (radians)."""

    amplitude: float
    half_width: float


def leaky(inputs: ArrayLike, dt: float, tau: float = 1.0, x0: ArrayLike = 0.0) -> Array:
    """Run tau x' = -x + u for inputs that are constant during each dt: exact, hence stable for every dt.

        x(t + dt) = u + (x(t) - u) exp(-dt / tau)          Euler's method: 1 - dt / tau, stable up to 2 tau

    Args:
        inputs: (T, *S), u of each interval.
        dt: > 0, the length of an interval.
        tau: > 0.
        x0: what broadcasts to S.

    Returns:
        (T + 1, *S), the first being x0.

    Raises:
        ValueError: dt or tau is not positive, or inputs is a single number; the message names the value.
    """
    u = np.asarray(inputs, np.float64)
    if not dt > 0 or not tau > 0:
        raise ValueError(f"dt and tau must be positive, got {dt} and {tau}")
    if u.ndim == 0:
        raise ValueError(f"inputs must have a row for each interval, got the number {u}")
    kept = np.exp(-dt / tau)
    x = np.empty((len(u) + 1, *u.shape[1:]))
    x[0] = x0
    for k in range(len(u)):
        x[k + 1] = u[k] + (x[k] - u[k]) * kept
    return x


def time_constant(w: float, tau: float = 1.0) -> float:
    """Compute how fast tau x' = -x + w x + u forgets: tau / (1 - w).

    >>> time_constant(0.75, 2.0)
    8.0

    Args:
        w: weight to itself. Above 1 the answer is negative: x grows by e in its absolute value.
        tau: > 0.

    Returns:
        The time constant; inf for w = 1: then x' = u / tau, an integrator.

    Raises:
        ValueError: tau is not positive; the message names it.
    """
    if not tau > 0:
        raise ValueError(f"tau must be positive, got {tau}")
    return tau / (1 - w) if w != 1 else inf


def rate_field(
    W: ArrayLike, u: Input = 0.0, tau: ArrayLike = 1.0, *, phi: str = "tanh", form: str = "current"
) -> Field:
    """Make the slope field of a network, for `odeint`.

    Args:
        W: (D, D); W_ij is what unit i hears of unit j.
        u: a number or (D,), or a function of t that gives it.
        tau: > 0, a number or (D,).
        phi: a key of `ACTIVATIONS`: linear, tanh, sigmoid, relu.
        form: "current" (-x + W phi(x) + u) or "rate" (-r + phi(W r + u)), divided by tau.

    Returns:
        f(t, x): x (..., D) -> (..., D).

    Raises:
        ValueError: W is not square (the message names its shape), a tau is not positive, or phi or the form
            is another word (it is named).
    """
    W, tau, (phi_of, _) = _network(W, tau, phi, form)

    def f(t: float, x: Array) -> Array:
        now = np.asarray(u(t) if callable(u) else u, np.float64)
        return ((phi_of(x) @ W.T + now if form == "current" else phi_of(x @ W.T + now)) - x) / tau

    return f


def rate_jacobian(
    W: ArrayLike,
    x: ArrayLike,
    u: ArrayLike = 0.0,
    tau: ArrayLike = 1.0,
    *,
    phi: str = "tanh",
    form: str = "current",
) -> Array:
    """Differentiate `rate_field` by the state.

        current  diag(1 / tau) (W diag(phi'(x)) - I)         rate  diag(1 / tau) (diag(phi'(W r + u)) W - I)

    Args:
        W, tau, phi, form: as `rate_field`.
        x: (D,), where.
        u: a number or (D,), at that time; not used by "current".

    Returns:
        (D, D): row i is what changes the slope of unit i.

    Raises:
        ValueError: as `rate_field`.
    """
    W, tau, (_, slope_of) = _network(W, tau, phi, form)
    x = np.asarray(x, np.float64)
    gained = W * slope_of(x) if form == "current" else slope_of(W @ x + u)[:, None] * W
    return (gained - np.eye(len(W))) / np.broadcast_to(tau, x.shape)[:, None]


def nullclines(c: WilsonCowan, s: ArrayLike) -> tuple[Array, Array]:
    """Solve each equation of a Wilson-Cowan pair for the other's activity: where E' = 0, and where I' = 0.

        E' = 0:  I = (w_ee E + u_e - S^-1(E)) / w_ei        I' = 0:  E = (w_ii I - u_i + S^-1(I)) / w_ie

    Args:
        c: the pair.
        s: any shape, in (0, 1); S^-1(s) = log(s / (1 - s)).

    Returns:
        I where E' = 0, at E = s; and E where I' = 0, at I = s. Beyond (0, 1) the nullcline is not there.

    Raises:
        ValueError: an s is not between 0 and 1; the message names it.
    """
    s = np.asarray(s, np.float64)
    outside = s[~((s > 0) & (s < 1))]
    if outside.size:
        raise ValueError(f"activities must lie between 0 and 1, got {outside[0]}")
    h = np.log(s) - np.log1p(-s)
    return (c.w_ee * s + c.u_e - h) / c.w_ei, (c.w_ii * s - c.u_i + h) / c.w_ie


def fixed_points(c: WilsonCowan, cells: int = 2000) -> Array:
    """Find where a Wilson-Cowan pair rests: all crossings of its nullclines.

    Walk along E' = 0 by h, the drive of E: E = S(h), I = (w_ee E + u_e - h) / w_ei. As E and I lie in (0, 1),
    h lies between u_e - w_ei and u_e + w_ee. From there to there S(w_ie E - w_ii I + u_i) - I changes its
    sign from minus to plus: there is a fixed point. Cut the way into ``cells`` equal cells, and bisect where
    the sign changes.

    Args:
        c: the pair.
        cells: two fixed points whose h lie in one cell are not seen.

    Returns:
        (M, 2), rows (E, I) with E ascending, M odd.

    Raises:
        ValueError: cells is below 1; the message names it.
    """
    if cells < 1:
        raise ValueError(f"cells must be at least 1, got {cells}")

    def along(h: Array) -> tuple[Array, Array, Array]:
        E = sigmoid(h)
        I = (c.w_ee * E + c.u_e - h) / c.w_ei  # noqa: E741
        return E, I, sigmoid(c.w_ie * E - c.w_ii * I + c.u_i) - I

    ends = np.linspace(c.u_e - c.w_ei, c.u_e + c.w_ee, cells + 1)
    above = along(ends)[2] > 0
    change = np.flatnonzero(above[1:] != above[:-1])
    left, right, side = ends[change], ends[change + 1], above[change]
    for _ in range(60):  # to the last bits of h
        middle = (left + right) / 2
        same = (along(middle)[2] > 0) == side
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    E, I, _ = along((left + right) / 2)  # noqa: E741
    return np.stack([E, I], axis=1)


def classify(J: ArrayLike) -> str:
    """Name what a flow does near a fixed point, by the trace and the determinant of its Jacobian.

    The eigenvalues are the roots of s^2 - trace s + det: real of two signs where det < 0 ("saddle"), else of
    the sign of the trace, and complex where trace^2 < 4 det ("focus", it turns) or not ("node").

    Args:
        J: (2, 2).

    Returns:
        "saddle", "stable node", "stable focus", "unstable node", "unstable focus"; "marginal" where det = 0,
        or det > 0 and trace = 0: linearly, something is neither lost nor gained. A positive factor of J (time
        in other units) changes nothing.

    Raises:
        ValueError: J has another shape; the message names it.
    """
    J = np.asarray(J, np.float64)
    if J.shape != (2, 2):
        raise ValueError(f"J must be (2, 2), got shape {J.shape}")
    trace, det = J[0, 0] + J[1, 1], J[0, 0] * J[1, 1] - J[0, 1] * J[1, 0]
    if det < 0:
        return "saddle"
    if det == 0 or trace == 0:
        return "marginal"
    return ("stable " if trace < 0 else "unstable ") + ("focus" if trace * trace < 4 * det else "node")


def hopf(c: WilsonCowan, point: ArrayLike) -> Hopf | None:
    """Find how slow inhibition must be for a fixed point to begin to oscillate.

    Where the pair rests does not depend on tau_e and tau_i, but the trace of its Jacobian does. With the
    slopes s_e = E (1 - E), s_i = I (1 - I) it is 0, and the eigenvalues are +- i omega, at

        tau_i = tau_e (1 + w_ii s_i) / (w_ee s_e - 1)
        omega^2 = det = ((1 - w_ee s_e) (1 + w_ii s_i) + w_ei w_ie s_e s_i) / (tau_e tau_i)

    For a larger tau_i the point is unstable.

    Args:
        c: the pair; its tau_i is not used.
        point: (E, I), a fixed point.

    Returns:
        That tau_i and 2 pi / omega; None where excitation is too weak, w_ee s_e <= 1, or det <= 0: no Hopf.
    """
    E, I = np.asarray(point, np.float64)  # noqa: E741
    s_e, s_i = float(E * (1 - E)), float(I * (1 - I))
    gain, loss = c.w_ee * s_e - 1, 1 + c.w_ii * s_i
    det = c.w_ei * c.w_ie * s_e * s_i - gain * loss
    if gain <= 0 or det <= 0:
        return None
    tau_i = c.tau_e * loss / gain
    return Hopf(tau_i, 2 * pi * sqrt(c.tau_e * tau_i / det))


def ring_weights(N: int, j0: float, j1: float, shift: float = 0.0) -> Array:
    """Connect units on a circle, theta_i = 2 pi i / N, by the angle between them.

        W_ij = (j0 + j1 (cos d + shift sin d)) / N,   d = theta_i - theta_j

    Without shift the eigenvalues are j0, j1 / 2 twice, and 0 (N - 3 times). With it a bump of a current
    network moves: its center gains the angle shift t / tau, so that shift = tau omega turns it by omega.

    Args:
        N: >= 3.
        j0, j1, shift: any numbers.

    Returns:
        (N, N).

    Raises:
        ValueError: N is below 3; the message names it.
    """
    if N < 3:
        raise ValueError(f"N must be at least 3, got {N}")
    theta = 2 * pi / N * np.arange(N)
    d = theta[:, None] - theta
    return (j0 + j1 * (np.cos(d) + shift * np.sin(d))) / N


def bump_shape(j0: float, j1: float, u: float = 1.0) -> Bump:
    """Compute the bump of a ring of many units, current form, phi = relu, the same input u > 0 everywhere.

    x = A (cos theta - cos w) must make itself: with r = [x]_+, its mean r0 and the mean r1 of r cos theta,

        A = j1 r1             r1 = A (w - sin w cos w) / 2 pi      so that  j1 (w - sin w cos w) = 2 pi
        -A cos w = u + j0 r0  r0 = A (sin w - w cos w) / pi

    The width depends on j1 alone; for j1 <= 2 the first has no w below pi, and the even state is stable.

    Args:
        j0, j1: as `ring_weights`.
        u: > 0.

    Returns:
        A and w.

    Raises:
        ValueError: j1 <= 2, u <= 0 (the message names it), or -cos w - j0 (sin w - w cos w) / pi is not
            positive, or NaN: nothing stops the bump from growing (it names j0).
    """
    if not j1 > 2 or not u > 0:
        raise ValueError(f"a bump needs j1 > 2 and u > 0, got j1 = {j1}, u = {u}")
    left, right = 0.0, pi
    for _ in range(60):
        w = (left + right) / 2
        left, right = (w, right) if j1 * (w - sin(w) * cos(w)) < 2 * pi else (left, w)
    held = -cos(w) - j0 * (sin(w) - w * cos(w)) / pi
    if not held > 0:
        raise ValueError(f"the bump grows without bound for j0 = {j0}, j1 = {j1}: it takes a smaller j0")
    return Bump(u / held, w)


def bump_center(r: ArrayLike) -> Array:
    """Read the angle of a population on a ring: the direction of sum_i r_i (cos theta_i, sin theta_i).

    Args:
        r: (..., N), rates; theta_i = 2 pi i / N.

    Returns:
        (...), in [0, 2 pi).
    """
    r = np.asarray(r, np.float64)
    theta = 2 * pi / r.shape[-1] * np.arange(r.shape[-1])
    angle = np.arctan2(r @ np.sin(theta), r @ np.cos(theta)) % (2 * pi)
    return np.where(angle < 2 * pi, angle, 0.0)[()]  # -1e-17 % (2 pi) rounds to 2 pi


def random_weights(N: int, g: float, *, rng: np.random.Generator) -> Array:
    """Draw independent normal weights of mean 0 and standard deviation g / sqrt(N): (N, N)."""
    return g / sqrt(N) * rng.standard_normal((N, N))


def chaos_variance(g: float) -> float:
    """Predict the variance of x over units and time in a large random network: current form, tanh, tau 1.

    A unit hears a sum of many, normal noise of correlation C(t) = <tanh x(0) tanh x(t)>, times g^2. So its
    own correlation obeys D'' = D - g^2 C, a ball in a potential V, D being its place, for which
    V(D) = -D^2 / 2 + g^2 <Phi(x(0)) Phi(x(t))>, Phi = log cosh. Chaos forgets: the ball starts at rest from
    D(0) = v and comes to rest at 0. Energy conserved, V(v) = V(0), with x normal of variance v:

        v^2 / 2 = g^2 (<Phi^2> - <Phi>^2)

    Args:
        g: >= 0.

    Returns:
        The positive v; 0 for g <= 1, where activity dies out. Relative error below 1e-6 for 1.001 <= g <= 10.

    Raises:
        ValueError: g is negative or NaN; the message names it.
    """
    if not g >= 0:
        raise ValueError(f"g must be at least 0, got {g}")
    if g <= 1:
        return 0.0
    z = np.linspace(-12, 12, 4801)  # equal steps: exponentially exact for what is analytic and dies out
    weights = np.exp(-z * z / 2) * (z[1] - z[0]) / sqrt(2 * pi)

    def excess(v: float) -> float:
        phi = _log_cosh(sqrt(v) * z)
        mean = weights @ phi
        return g * g * float(weights @ (phi - mean) ** 2) - v * v / 2

    low, high = 0.0, g * g  # tanh^2 <= 1
    for _ in range(60):
        v = (low + high) / 2
        low, high = (v, high) if excess(v) > 0 else (low, v)
    return v


def _log_cosh(x: Array) -> Array:
    """Right for tiny x, where cosh rounds to 1, and for large ones, where it overflows."""
    size = np.abs(x)
    small = np.log1p(np.sinh(np.minimum(size, 1)) ** 2) / 2
    return np.where(size < 1, small, size + np.log1p(np.exp(-2 * size)) - log(2))


def _network(W: ArrayLike, tau: ArrayLike, phi: str, form: str) -> tuple[Array, Array, tuple]:
    """The arguments that fields and Jacobians share, checked."""
    W, tau = np.asarray(W, np.float64), np.asarray(tau, np.float64)
    if W.ndim != 2 or W.shape[0] != W.shape[1]:
        raise ValueError(f"W must be a square matrix, got shape {W.shape}")
    if not np.all(tau > 0):
        raise ValueError(f"tau must be positive, got {tau}")
    if phi not in ACTIVATIONS:
        raise ValueError(f"phi must be one of {', '.join(ACTIVATIONS)}, got {phi!r}")
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    return W, tau, ACTIVATIONS[phi]
