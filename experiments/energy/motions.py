r"""How a network can be moved: one class a rule, each a step of the time h = sqrt(lr) and what it did.

    Motion               v' = momentum v - h g      theta' = theta + h v'      g whatever `estimate` says
    Langevin             kick, drift, heat, drift, kick (BAOAB)
    Hamiltonian          damp, kicks and drifts, damp

Work W is what the force did, heat Q what left: K' - K = W - Q in every step. The first class knows both by
formula (`dynamics.energy.energy_network`). Langevin meets its bath between two kicks that are known, so that
Q is the kinetic energy before the bath less that after. The damping of the third multiplies v by the root of
momentum at each end, and W is what remains.

Shapes   X (N, D), target (N, K), theta and velocity (P,).
Source   Leimkuhler & Matthews 2013, arXiv:1203.5428, sec. 2 (BAOAB); Franca, Sulam, Robinson & Vidal 2020,
         arXiv:1903.04100, sec. 2 (damping); Lillicrap et al. 2016, Nat. Commun. 7:13276; Scellier & Bengio
         2017, Front. Comput. Neurosci. 11:24, eq. 1-5.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log, nan, sqrt

import numpy as np

from dynamics.continuous.langevin import underdamped
from dynamics.continuous.symplectic import SCHEMES, integrate, triple_jump
from dynamics.credit.credit_assignment import angle, feedback_alignment
from dynamics.credit.mlp_backprop import Spec, flatten, mean_squared_error, unflatten, value_and_gradient
from dynamics.energy.energy_network import EnergyNet, step
from dynamics.energy.equilibrium_propagation import Layer, eqprop_grad, implicit_grad, relax

Array = np.ndarray
TOLERANCE = 1e-5  # of a relaxed force: with beta 0.2 an error of 5e-5 in the gradient
COMPARED = 200  # samples of which the exact gradient is found at once, and for the angle of "equilibrium"


@dataclass(frozen=True)
class Options:
    """What the rules depend on; each reads what it knows.

    Attributes:
        lr: learning rate, > 0; a step takes the time sqrt(lr).
        momentum: what friction leaves of the velocity in a step, in [0, 1). "hamiltonian": in (0, 1], 1 for
            no friction.
        epochs: >= 0.
        batch_size: samples of a step, >= 1; None: all, as always with "hamiltonian".
        patience, tol, record_every: as `EnergyNet.train`.
        temperature: of the bath, >= 0, in units of E; "langevin".
        cold: the temperature in the last epoch, > 0, approached by the same factor in each; None: it stays.
        spring: what pulls every parameter back to 0, >= 0: the potential has spring |theta|^2 / 2 on top of
            E; "langevin", "hamiltonian".
        order: of the integrator, 2 (leapfrog) or 4 (Yoshida); "hamiltonian".
        beta: how much the outputs are pulled, > 0; "equilibrium".

    Raises:
        ValueError: a number of the last five is outside its range; the message names it. The others are
            checked when they are used.
    """

    lr: float = 0.05
    momentum: float = 0.9
    epochs: int = 2000
    batch_size: int | None = None
    patience: int | None = None
    tol: float = 1e-4
    record_every: int = 1
    temperature: float = 1e-4
    cold: float | None = None
    spring: float = 0.0
    order: int = 2
    beta: float = 0.2

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature must be at least 0, got {self.temperature}")
        if self.cold is not None and not 0 < self.cold <= self.temperature:
            raise ValueError(f"cold must be in (0, temperature], got {self.cold} for {self.temperature}")
        if not self.spring >= 0:
            raise ValueError(f"spring must be at least 0, got {self.spring}")
        if self.order not in (2, 4):
            raise ValueError(f"order must be 2 or 4, got {self.order}")
        if not self.beta > 0:
            raise ValueError(f"beta must be above 0, got {self.beta}")


class Motion:
    """One way to move a network; by itself, a mass with friction that an estimate of the gradient pushes."""

    whole = False  # whether each step needs all samples

    def __init__(
        self, net: EnergyNet, X: Array, target: Array, options: Options, rng: np.random.Generator
    ) -> None:
        self.net, self.options, self.rng = net, options, rng
        self.X, self.target = np.asarray(X, np.float64), np.asarray(target, np.float64)
        self.progress = 0.0  # of all epochs

    def potential(self) -> float:
        """E on all samples."""
        return self.net.potential(self.X, self.target)

    def gradient(self) -> Array:
        """The gradient of E on all samples, (P,)."""
        return value_and_gradient(self.net.theta, self.net.spec, self.X, self.target)[1]

    def estimate(self, X: Array, target: Array) -> Array:
        """What the network is told of the gradient, (P,)."""
        return value_and_gradient(self.net.theta, self.net.spec, X, target)[1]

    def advance(self, X: Array, target: Array) -> tuple[float, float]:
        """Make one step on a batch; return its work and its heat."""
        net, o = self.net, self.options
        net.theta, net.velocity, work, heat = step(
            net.theta, net.velocity, self.estimate(X, target), o.lr, o.momentum
        )
        return work, heat

    def measured(self, gradient: Array) -> dict[str, float]:
        """What this rule alone can tell, given the gradient on all samples."""
        raise NotImplementedError


class Held(Motion):
    """A mass that springs hold, too: without them a mass that does not slow down is never seen again."""

    def potential(self) -> float:
        return super().potential() + self.stretch()

    def gradient(self) -> Array:
        return self.slope(self.net.theta, self.X, self.target)

    def slope(self, theta: Array, X: Array, target: Array) -> Array:
        """The gradient of the potential at theta, for a batch, (P,)."""
        return value_and_gradient(theta, self.net.spec, X, target)[1] + self.options.spring * theta

    def stretch(self) -> float:
        """The energy of the springs."""
        return self.options.spring * float(self.net.theta @ self.net.theta) / 2


class Langevin(Held):
    """A mass in a bath: `dynamics.continuous.langevin.underdamped`, one step at a time."""

    @property
    def temperature(self) -> float:
        hot, cold = self.options.temperature, self.options.cold
        return hot if cold is None else hot * (cold / hot) ** self.progress

    def advance(self, X: Array, target: Array) -> tuple[float, float]:
        net, h, slopes = self.net, sqrt(self.options.lr), []

        def slope(theta: Array) -> Array:
            slopes.append(self.slope(theta, X, target))
            return slopes[-1]

        path = underdamped(
            slope, net.theta, net.velocity, h, friction(self.options), self.temperature, 1, rng=self.rng
        )
        before, after = path.p[0] - h / 2 * slopes[0], path.p[1] + h / 2 * slopes[1]
        heat = float(before @ before - after @ after) / 2  # the bath comes between the two kicks
        gained = float(path.p[1] @ path.p[1] - path.p[0] @ path.p[0]) / 2
        net.theta, net.velocity = path.q[1], path.p[1]
        return gained + heat, heat

    def measured(self, gradient: Array) -> dict[str, float]:
        return {
            "temperature": self.temperature,
            "kinetic_temperature": 2 * self.net.kinetic() / self.net.theta.size,
            "spring_energy": self.stretch(),
        }


class Hamiltonian(Held):
    """A mass that an integrator of `dynamics.continuous.symplectic` moves, damped around each step."""

    whole = True  # a force that changes with the batch has no energy to keep

    def __init__(
        self, net: EnergyNet, X: Array, target: Array, options: Options, rng: np.random.Generator
    ) -> None:
        super().__init__(net, X, target, options, rng)
        leapfrog = SCHEMES["leapfrog"]
        self.scheme = leapfrog if options.order == 2 else triple_jump(leapfrog)
        self.start = self.potential() + net.kinetic()
        self.heat = 0.0

    def advance(self, X: Array, target: Array) -> tuple[float, float]:
        net, keep = self.net, self.options.momentum
        path = integrate(
            self.scheme,
            lambda theta: -self.slope(theta, X, target),
            net.theta, net.velocity, sqrt(self.options.lr), 1, friction(self.options),
        )  # fmt: skip
        before, after = (float(p @ p) / 2 for p in path.p)
        heat = (1 - keep) * before + (1 / keep - 1) * after  # each end multiplies v by sqrt(keep)
        self.heat += heat
        net.theta, net.velocity = path.q[1], path.p[1]
        return after - before + heat, heat

    def measured(self, gradient: Array) -> dict[str, float]:
        total = self.potential() + self.net.kinetic()
        return {"energy_error": total + self.heat - self.start, "spring_energy": self.stretch()}


class FeedbackAlignment(Motion):
    """A mass pushed by errors that come back through fixed random weights."""

    def __init__(
        self, net: EnergyNet, X: Array, target: Array, options: Options, rng: np.random.Generator
    ) -> None:
        super().__init__(net, X, target, options, rng)
        upper = unflatten(net.theta, net.spec)[0][1:]
        # variance 1 / (units that send): what comes back is as large as what is sent
        self.feedback = [rng.standard_normal(W.shape) / sqrt(len(W)) for W in upper]

    def estimate(self, X: Array, target: Array) -> Array:
        return feedback_alignment(self.net.theta, self.net.spec, X, target, self.feedback)

    def measured(self, gradient: Array) -> dict[str, float]:
        sizes, update = self.net.spec.sizes, self.estimate(self.X, self.target)
        hidden = gradient.size - sizes[-1] * (sizes[-2] + self.net.spec.bias)
        return {
            "angle": _angle(update, gradient),
            "hidden_angle": _angle(update[:hidden], gradient[:hidden]),
        }


class Equilibrium(Motion):
    """A mass pushed by the difference of two equilibria of a network whose connections go both ways."""

    def __init__(
        self, net: EnergyNet, X: Array, target: Array, options: Options, rng: np.random.Generator
    ) -> None:
        super().__init__(net, X, target, options, rng)
        if (net.spec.hidden, net.spec.output, net.spec.bias) != ("tanh", "tanh", True):
            raise ValueError(
                f"rule equilibrium needs tanh units with biases, got {net.spec.hidden} units: choose tanh"
            )
        self.rested: tuple[Array, list[Array]] | None = None  # theta, and where the network rests with it
        self.lost = False  # whether a batch found no rest: the weights are too large

    def rest(self) -> list[Array]:
        """The free equilibrium of each layer, on all samples; found once for each theta."""
        if self.rested is None or self.rested[0] is not self.net.theta:
            states = relax(layers_of(self.net.theta, self.net.spec), self.X, tol=TOLERANCE)
            self.rested = self.net.theta, states
        return self.rested[1]

    def potential(self) -> float:
        try:
            return inf if self.lost else mean_squared_error(self.rest()[-1], self.target)[0]
        except RuntimeError:
            return inf

    def gradient(self) -> Array:
        try:
            return self.exact(self.rest(), len(self.X))
        except RuntimeError:
            return np.full_like(self.net.theta, nan)

    def exact(self, states: list[Array], first: int) -> Array:
        """The gradient by the implicit function theorem, of the first samples alone."""
        layers, total, first = layers_of(self.net.theta, self.net.spec), 0.0, min(first, len(self.X))
        for at in range(0, first, COMPARED):  # a Hessian for each sample: 60,000 at once are a gigabyte
            some = slice(at, min(at + COMPARED, first))
            mean = implicit_grad(layers, self.X[some], [s[some] for s in states], self.target[some])
            total = total + (some.stop - at) / first * self._of_mean_squares(mean)
        return total

    def estimate(self, X: Array, target: Array) -> Array:
        layers = layers_of(self.net.theta, self.net.spec)
        return self._of_mean_squares(eqprop_grad(layers, X, target, self.options.beta, tol=TOLERANCE))

    def advance(self, X: Array, target: Array) -> tuple[float, float]:
        try:
            return super().advance(X, target)
        except RuntimeError:
            self.lost = True
            return nan, nan

    def measured(self, gradient: Array) -> dict[str, float]:
        try:
            update = self.estimate(self.X[:COMPARED], self.target[:COMPARED])
            return {"angle": _angle(update, self.exact(self.rest(), COMPARED))}
        except RuntimeError:
            return {"angle": nan}

    def _of_mean_squares(self, by_cost: list[Layer]) -> Array:
        """The gradient of E from that of the cost: E = 2 cost / K."""
        return 2 / self.target.shape[1] * flatten([w for w, _ in by_cost], [b for _, b in by_cost])


def friction(options: Options) -> float:
    """The rate whose damping in a step of sqrt(lr) is the momentum."""
    return -log(options.momentum) / sqrt(options.lr) if options.momentum else inf


def _angle(update: Array, gradient: Array) -> float:
    both = update.any() and gradient.any() and np.isfinite(update).all() and np.isfinite(gradient).all()
    return angle(update, gradient) if both else nan


def layers_of(theta: Array, spec: Spec) -> list[Layer]:
    """Theta as the weights of a network with a state energy: the layout is the same."""
    return [Layer(W, b) for W, b in zip(*unflatten(theta, spec), strict=True)]
