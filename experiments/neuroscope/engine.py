"""The run itself: descend, and look at the landscape on the way. It prints nothing and draws nothing.

The curvature is read by Lanczos from the eigenvectors of the reading before: the largest eigenvalues, not the
largest in magnitude, which on a saddle is another one. A Hessian product is exact (`dual`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite, isqrt, nan, sqrt

import numpy as np

from dynamics.credit.mlp_backprop import Spec, init, unflatten
from dynamics.geometry.edge_of_stability import preconditioned, sharpest
from dynamics.geometry.linear_regions import count_patterns, count_regions_1d
from dynamics.geometry.ntk import ntk
from dynamics.geometry.power_iteration import Eigenpairs
from experiments.neuroscope.config import Config
from experiments.neuroscope.devices import open_device
from experiments.neuroscope.methods import Method
from experiments.neuroscope.network import coordinates, forward, output
from experiments.neuroscope.objective import Objective
from experiments.neuroscope.recorder import End, History, Recorder
from experiments.neuroscope.targets import call, grid, sample

Array = np.ndarray
TOLERANCE = 1e-4  # of a residual, relative: that of an eigenvalue is its square over the gap
BLOWN_UP = 1e6  # times the loss at the start
EARLY = (1, 2, 4, 8)  # steps that are looked at, too: a fit changes most at first, or is lost


def start(config: Config, spec: Spec) -> Array:
    """Draw the weights to begin with, (P,)."""
    rng = np.random.default_rng([config.seed, 2])
    if config.init != "uniform":
        return init(spec, config.init, config.gain, rng=rng)
    theta = np.empty(spec.parameters)
    weights, biases = unflatten(theta, spec)
    for W, b in zip(weights, biases, strict=True):
        bound = config.gain / sqrt(W.shape[1])
        W[:], b[:] = rng.uniform(-bound, bound, W.shape), rng.uniform(-bound, bound, b.shape)
    return theta


class Trainer:
    """A run before and while it happens.

    Args:
        config: what it depends on.

    Attributes:
        history: what is known before it begins.
        columns: those of its metrics.csv.
        device: its name, for people.

    Raises:
        ConfigError: the target or the device cannot be had.
    """

    def __init__(self, config: Config):
        self.config = config
        device = open_device(config.device)
        self.device = device.name
        self.data = sample(config)
        self.spec = Spec((config.input_dim, *[config.hidden] * config.depth, 1), config.activation)
        self.objective = Objective(config, self.spec, self.data, device)
        self.method = Method(config, start(config, self.spec))
        self.plot = grid(config, self.data.box)
        self._rng = np.random.default_rng([config.seed, 3])  # of the readings: they leave training as it is
        self._batch = self._batches()
        self._first, self._travelled = nan, 0.0  # the loss at the start; the way along the sharpest direction
        self._vectors: Array | None = None  # (P, 2), of the last reading
        self._scaled: Array | None = None
        target = np.full(len(self.plot.X), nan)
        if self.data.function is not None:
            target = call(self.data.function, self.plot.X, self.data.label)
        self.history = History("", self._title(), {}, self.data, self.plot, target, self._notes())
        self.probes = _probes(config, self.data.box)
        self.columns = self._columns()

    def _title(self) -> str:
        c, sizes = self.config, "-".join(map(str, self.spec.sizes))
        losses = c.criterion_name if c.data_weight else "no samples"
        extra = "".join(
            f" + {part}" for part in (c.pde, c.bc and f"{c.bc} boundary", c.l2_weight and "L2") if part
        )
        return f"{self.data.label}: {sizes} {c.activation}, {losses}{extra}, {c.optimizer}, lr {c.lr:g}"

    def _notes(self) -> dict[str, str]:
        """What a panel has to say, beside its curves."""
        found = {"edge": self.method.sentence}
        if self.config.criterion_name == "l1" and self.config.data_weight:
            found["sharpness"] = "l1 has no curvature in the errors, only that of the network"
        if self.config.activation == "relu" and self.config.input_dim == 2:
            found["regions"] = "patterns met on the grid: a lower bound"
        if self.data.function is None and not len(self.data.outside_X):
            found["loss"] = "nothing is known beyond the points of the file"
        return found

    def _columns(self) -> list[str]:
        c = self.config
        used = {
            "data": c.data_weight, "penalty": c.l2_weight, "residual": c.pde, "boundary": c.bc,
            "clean": True, "ood": True, "gradient_norm": True, "step_norm": True,
            "sharpness": c.sharpness_stride, "sharpness_2": c.sharpness_stride,
            "effective": c.sharpness_stride and self.method.adaptive, "edge": c.sharpness_stride,
            "projection": c.sharpness_stride, "projection_sum": c.sharpness_stride,
            "regions": c.activation == "relu",
        }  # fmt: skip
        kept = min(c.ntk_topk, len(self.probes)) if c.ntk_stride else 0
        several = [f"ntk_{i + 1}" for i in range(kept)] + [f"spectral_{i + 1}" for i in range(c.depth + 1)]
        return ["step", "loss", *(name for name, on in used.items() if on), *several]

    def train(self, recorder: Recorder) -> Iterator[int]:
        """Train to the end, or until it blows up; yields the number of steps done after each."""
        for step in range(self.config.total_steps + 1):
            with np.errstate(all="ignore"):  # a run that blows up says so in its record
                end = self._step(step, recorder)
            if end:
                recorder.finish(end)
                return
            yield step + 1

    def _step(self, step: int, recorder: Recorder) -> End | None:
        """Measure, move, and write it down; the end, if this is it."""
        theta = recorder.theta = self.method.theta
        parts, g = self.objective.value_and_gradient(theta, next(self._batch))
        row = {**parts, "gradient_norm": float(np.linalg.norm(g))}
        self._first = parts["loss"] if step == 0 else self._first
        if not isfinite(row["gradient_norm"]) or not parts["loss"] <= BLOWN_UP * (1 + abs(self._first)):
            looked = self._look(step, theta, recorder) if np.isfinite(theta).all() else {}
            recorder.row(step, row | looked)
            return self._explain(step, parts, recorder)
        row |= self._measure(step, theta, recorder)
        if step == self.config.total_steps:
            recorder.row(step, row)
            return End("completed", step)
        self.method.step(g, self.objective.gradient)
        moved = self.method.theta - theta
        row["step_norm"] = float(np.linalg.norm(moved))
        if self._vectors is not None:
            row["projection"] = float(moved @ self._vectors[:, 0])
            self._travelled += row["projection"]
            row["projection_sum"] = self._travelled
        recorder.row(step, row)
        return None

    def _batches(self) -> Iterator[Array | None]:
        """Which samples a step takes, each once in an epoch; None: all."""
        n, size = len(self.data.X), self.config.batch_size
        rng = np.random.default_rng([self.config.seed, 4])
        while True:
            if not size:
                yield None
                continue
            order = rng.permutation(n)
            yield from (order[i : i + size] for i in range(0, n, size))

    def _measure(self, step: int, theta: Array, recorder: Recorder) -> dict[str, float]:
        """What is due at this step: the fit, the curvature, the kernel."""
        c, found = self.config, {}
        last = step == c.total_steps
        if step % c.steps_per_frame == 0 or last or step in EARLY:
            found |= self._look(step, theta, recorder) | self._structure(theta)
        if c.sharpness_stride and (step % c.sharpness_stride == 0 or last):
            found |= self._curvature(theta)
        if c.ntk_stride and (step % c.ntk_stride == 0 or last):
            kernel = ntk(theta, self.spec, self.probes).reshape(len(self.probes), -1)
            rates = np.linalg.eigvalsh(kernel)[::-1][: c.ntk_topk]
            found |= {f"ntk_{i + 1}": max(float(v), 0.0) for i, v in enumerate(rates)}
        return found

    def _look(self, step: int, theta: Array, recorder: Recorder) -> dict[str, float]:
        """Keep the fit as it is, and judge it."""
        X, data, slope, curvature = self.plot.X, self.data, None, None
        if len(self.plot.axes) == 1:
            jet, _ = forward(theta, self.spec, coordinates(X, 2), np.ones((1, 1, 1)))
            y, slope, curvature = jet.value[:, 0], jet.gradient[0, :, 0], jet.second[:, 0]
        else:
            y = output(theta, self.spec, X)[:, 0]
        recorder.snapshot(step, y, slope, curvature)
        found, inside = {}, self.plot.inside
        if data.function is not None:
            error = (y - self.history.target) ** 2
            found = {"clean": _mean(error[inside]), "ood": _mean(error[~inside])}
        elif len(data.outside_X):
            found = {"ood": _mean((output(theta, self.spec, data.outside_X)[:, 0] - data.outside_y) ** 2)}
        return found

    def _structure(self, theta: Array) -> dict[str, float]:
        """What the weights are, apart from the fit: sizes of layers, and the pieces of a ReLU network."""
        weights = unflatten(theta, self.spec)[0]
        found = {f"spectral_{i + 1}": float(np.linalg.norm(W, 2)) for i, W in enumerate(weights)}
        if self.config.activation == "relu":
            low, high = self.plot.axes[0][[0, -1]]
            one = len(self.plot.axes) == 1
            found["regions"] = (
                count_regions_1d(theta, self.spec, low, high)
                if one
                else count_patterns(theta, self.spec, self.plot.X)
            )
        return found

    def _curvature(self, theta: Array) -> dict[str, float]:
        """The two largest eigenvalues of the Hessian, and that which the edge is compared with."""
        product = lambda v: self.objective.product(theta, v)  # noqa: E731
        try:
            pairs = self._largest(product, self._vectors)
        except ValueError:  # a product that is not finite: the next step will say so
            return {}
        vectors = pairs.vectors
        if self._vectors is not None and vectors[:, 0] @ self._vectors[:, 0] < 0:
            vectors = -vectors  # an eigenvector has no sign of its own: keep the last one's
        self._vectors = vectors
        found = {"sharpness": float(pairs.values[0]), "edge": self.method.edge}
        if len(pairs.values) > 1:
            found["sharpness_2"] = float(pairs.values[1])
        scale = self.method.scale() if self.method.adaptive else None
        if scale is not None:
            pairs = self._largest(preconditioned(product, scale), self._scaled)
            self._scaled = pairs.vectors
            found["effective"] = float(pairs.values[0])
        return found

    def _largest(self, product: Callable[[Array], Array], near: Array | None) -> Eigenpairs:
        """The two largest eigenvalues, one after the other: what is there twice is found twice."""
        n = self.spec.parameters
        return sharpest(
            product, n, min(2, n), rng=self._rng, start=near, steps=self.config.lanczos_steps, tol=TOLERANCE
        )

    def _explain(self, step: int, parts: dict[str, float], recorder: Recorder) -> End:
        """Say why a run blew up, as far as its readings tell."""
        h, edge, loss = recorder.update(), self.method.edge, parts["loss"]
        if step == 0:
            largest = max((n for n in parts if n != "loss"), key=lambda name: abs(parts[name]))
            why = f"The loss of the start is not finite: its part '{largest}' is {parts[largest]:.3g}."
            return End("diverged", 0, why, "Smaller weights in the loss, or a target of smaller values.")
        size = f"was {loss:.3g}" if isfinite(loss) else "was no number any more"
        why = f"At step {step} the loss {size}; it had begun at {self._first:.3g}."
        at, sharpness = h.at("effective" if self.method.adaptive else "sharpness")
        if not sharpness.size or not isfinite(edge):
            return End("diverged", step, why, "A smaller lr; sharpness_stride 1 shows the curvature.")
        if sharpness[-1] <= edge:
            why += (
                f" At the last reading, step {int(at[-1])}, the sharpness was {sharpness[-1]:.4g}, below the "
                f"edge {edge:.4g}: it rose too fast to be seen."
            )
            return End("diverged", step, why, "Read it more often, sharpness_stride 1, or take a smaller lr.")
        below = np.flatnonzero(sharpness <= edge)
        i = int(below[-1]) + 1 if below.size else 0  # since when it had been above
        why += (
            f" The sharpness was {sharpness[i]:.4g} at step {int(at[i])}, above the edge {edge:.4g} of "
            f"{self.config.optimizer} ({self.method.sentence.partition(' = ')[0]}), and did not come back: "
            "along that direction each step overshoots, and the next one further."
        )
        lr = float(f"{0.9 * self.config.lr * edge / sharpness[i]:.2g}")
        return End("diverged", step, why, f"Below that edge is lr {lr:g}, with everything else as it is.")


def _probes(config: Config, box: Array) -> Array:
    """Points (n, D) in the box at which the kernel is looked at."""
    side = config.ntk_probe_points if len(box) == 1 else isqrt(config.ntk_probe_points)
    mesh = np.meshgrid(*(np.linspace(low, high, side) for low, high in box))
    return np.stack([part.ravel() for part in mesh], axis=1)


def _mean(errors: Array) -> float:
    """The mean of those that are finite; nan of none."""
    known = errors[np.isfinite(errors)]
    return float(known.mean()) if known.size else nan
