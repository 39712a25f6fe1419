r"""Why do gradients vanish in one deep network and explode in another, before anything was learned?

Backpropagation multiplies by the transpose of a layer's Jacobian, once a layer. In a wide random network each
multiplies the squared length of the gradient by chi = sigma_w^2 E[phi'(z)^2], so after L layers

    chi < 1     vanishes as chi^(L/2)                  chi > 1     explodes, and inputs that differ part
    chi = 1     keeps its length on average, though some directions die and others grow: unless every
                Jacobian is orthogonal, or the whole is a chain of single units, which falls as L^(-3/2)

Source   Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232, sec. 3-4; Saxe,
         McClelland & Ganguli 2014, arXiv:1312.6120, sec. 3; Hanin 2018, arXiv:1801.03744 (the spread).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log, sqrt

import numpy as np

from dynamics.discrete.signal_propagation import (
    RELU,
    TANH,
    Activation,
    chi,
    critical_point,
    forward,
    gaussian_mean,
    gradient_norms,
    layer_jacobians,
    random_network,
    variance_map,
)
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure

QUICK = ("--networks", "5", "--products", "8")  # what continuous integration runs
CHAIN = 4000  # units of the tanh chain


@dataclass(frozen=True)
class Config:
    """What the figures depend on."""

    width: int = 256  # units in each layer
    depth: int = 30  # layers
    networks: int = 20  # of each kind
    products: int = 60  # linear networks whose singular values are averaged, of width 64
    seed: int = 0


@dataclass(frozen=True)
class Kind:
    """A kind of random network, and its variance of pre-activations where that does not change."""

    name: str
    phi: Activation
    sigma_w: float
    sigma_b: float
    q: float

    @property
    def growth(self) -> float:
        """Predicted: what a layer adds to the logarithm of the gradient's length, ln(chi) / 2."""
        return round(0.5 * log(chi(self.q, self.sigma_w, self.phi)), 12) + 0.0  # no -1e-17


@dataclass(frozen=True)
class Measured:
    """A kind's networks: (networks, depth + 1) logarithms of lengths, the last layer's 0; and variances."""

    gradients: np.ndarray
    distances: np.ndarray  # of two nearby inputs, the first layer's 0
    variances: np.ndarray  # (networks, depth), of the pre-activations

    def slope(self, of: np.ndarray) -> float:
        """What a layer adds to the logarithm of the root mean square length over the networks."""
        return float(np.polyfit(np.arange(of.shape[1]), root_mean_square(of), 1)[0])


def root_mean_square(logarithms: np.ndarray) -> np.ndarray:
    """The logarithm of the root mean square, over the first axis, of what these are logarithms of."""
    return 0.5 * np.log(np.exp(2.0 * logarithms).mean(axis=0))


def kinds() -> list[Kind]:
    """Three of tanh and three of ReLU: gradients that vanish, stay and explode."""
    result = []
    settings = {"ordered": (1.0, 0.6), "critical": critical_point(0.5, TANH), "chaotic": (2.5, 0.3)}
    for name, (sigma_w, sigma_b) in settings.items():
        q = 0.5
        for _ in range(400):
            q = variance_map(q, sigma_w, sigma_b, TANH)
        result.append(Kind(f"tanh, {name}", TANH, sigma_w, sigma_b, q))
    for name, sigma_w in (("small weights", 1.0), ("He", sqrt(2.0)), ("large weights", 2.0)):
        result.append(Kind(f"ReLU, {name}", RELU, sigma_w, 0.0, 1.0))
    return result


def measure(kind: Kind, config: Config, number: int) -> Measured:
    """Draw networks of a kind, send an input and one beside it forward, and a random gradient back."""
    rng = np.random.default_rng([config.seed, number])
    n, size = config.width, sqrt((kind.q - kind.sigma_b**2) / kind.sigma_w**2)
    gradients, distances, variances = [], [], []
    for _ in range(config.networks):
        weights, biases = random_network([n] * (config.depth + 1), kind.sigma_w, kind.sigma_b, rng=rng)
        x = rng.normal(size=n)
        x *= size * sqrt(n) / np.linalg.norm(x)
        pre, signals = forward(x, weights, biases, kind.phi)
        beside = forward(x + 1e-7 * rng.normal(size=n), weights, biases, kind.phi)[1]
        norms = gradient_norms(layer_jacobians(weights, pre, kind.phi), rng.normal(size=n))
        apart = np.linalg.norm(np.array(beside) - np.array(signals), axis=1)
        gradients.append(np.log(norms[::-1] / norms[-1]))  # by layers below the loss
        distances.append(np.log(apart / apart[0]))
        variances.append((np.array(pre) ** 2).mean(axis=1))
    return Measured(np.array(gradients), np.array(distances), np.array(variances))


def products(config: Config, kind: str) -> np.ndarray:
    """The singular values of linear networks of width 64 and depth 30, at chi = 1: (products, 64)."""
    rng = np.random.default_rng([config.seed, 99])
    drawn = (random_network([64] * 31, 1.0, kind=kind, rng=rng)[0] for _ in range(config.products))
    return np.array([np.linalg.svd(np.linalg.multi_dot(W[::-1]), compute_uv=False) for W in drawn])


def chain(start: float, depth: int) -> np.ndarray:
    """d h_l / d h_0 of tanh(tanh(... tanh(start))) for l = 0 ... depth: units of weight 1, one a layer."""
    pre, _ = forward([start], [np.ones((1, 1))] * depth, [np.zeros(1)] * depth)
    return np.cumprod(np.concatenate(([1.0], TANH.slope(np.concatenate(pre)))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw networks, measure, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Why do gradients vanish or explode?")
    with Run("vanishing_gradients", config) as run:
        claims, each = Claims(), kinds()
        work = [partial(measure, kind, config, number) for number, kind in enumerate(each)]
        found = [part() for part in run.track(work, "drawing networks")]
        values = {kind: products(config, kind) for kind in ("gaussian", "orthogonal")}
        judge(claims, each, found, values, config)
        draw_lengths(run, each, found, config)
        draw_spread(run, values)
        draw_plane(run, each[:3])
        claims.conclude(run, "chi says what happens to the gradient of a deep network at its start")
    return run.exit_code


def judge(
    claims: Claims, each: list[Kind], found: list[Measured], values: dict[str, np.ndarray], config: Config
) -> None:
    """The claims of the page, measured."""
    for kind, got in zip(each, found, strict=True):
        slope = got.slope(got.gradients)
        tolerance = max(0.1 * abs(kind.growth), 0.1 / sqrt(config.networks))  # 4 sd over 24 seeds
        claims.near(f"{kind.name}: ln |gradient| a layer back", slope, kind.growth, tolerance)
        apart = got.slope(got.distances)
        claims.near(f"{kind.name}: ln |difference| a layer on", apart, kind.growth, tolerance)
    ordered = found[0]
    claims.near(
        "tanh, ordered: the signal keeps its variance",
        ordered.variances[:, -1].mean(),
        each[0].q,
        0.5 / sqrt(config.networks),
    )
    claims.at_most("... while of the gradient is left", float(np.exp(ordered.gradients[:, -1].mean())), 1e-3)
    mean = float((values["gaussian"] ** 2).mean())
    claims.near(
        "Gaussian, chi = 1: the mean squared singular value is 1", mean, 1.0, 1.8 / sqrt(config.products)
    )
    claims.at_most("... and the median one", float(np.median(values["gaussian"])), 1e-4)
    claims.at_least("... and the largest, on average", float(values["gaussian"][:, 0].mean()), 3.0)
    claims.near("orthogonal: every singular value is 1", np.abs(values["orthogonal"] - 1.0).max(), 0.0, 1e-12)
    claims.near("tanh chain from 0.5, 8 units", chain(0.5, 8)[-1], 0.27257140477114494, 1e-12)
    claims.near("tanh chain from 4.5, 8 units", chain(4.5, 8)[-1], 3.173398285314812e-05, 1e-16)
    lengths = chain(0.5, CHAIN)
    power = log(lengths[CHAIN] / lengths[CHAIN // 2]) / log(2.0)
    claims.near("a long tanh chain falls as its length to the power", power, -1.5, 0.01)


def draw_lengths(run: Run, each: list[Kind], found: list[Measured], config: Config) -> None:
    """``lengths.png``: gradients, layer after layer, and what chi predicts."""
    layers = np.arange(config.depth + 1)
    with plots.figure("The gradient's length on its way back", columns=2, width=9.6, height=4.4) as (
        drawn,
        axes,
    ):
        for i, (kind, got) in enumerate(zip(each, found, strict=True)):
            axis, color, marker = axes[0, i // 3], plots.COLORS[i % 3], plots.MARKERS[i % 3]
            low, high = np.exp(np.quantile(got.gradients, (0.1, 0.9), axis=0))
            axis.fill_between(layers, low, high, color=color, alpha=0.2, linewidth=0)
            shown = np.exp(root_mean_square(got.gradients))
            axis.plot(layers[::2], shown[::2], marker, color=color, markersize=4, label="measured")
            axis.plot(layers, np.exp(kind.growth * layers), "--", color="black", linewidth=1.1)
            where = (layers[-1], float(np.exp(kind.growth * layers[-1])))
            label = f"{kind.name.partition(', ')[2]}\nχ = {np.exp(2 * kind.growth):.2f}"
            axis.annotate(label, where, xytext=(8, 0), textcoords="offset points", va="center", fontsize=9)
        for axis, title in zip(axes[0], ("tanh", "ReLU"), strict=True):
            axis.set(title=title, xlabel="layers below the loss", yscale="log", ylim=(1e-6, 1e6))
            axis.set_xlim(0, 1.3 * config.depth)
            axis.set_xticks(range(0, config.depth + 1, 10))
        axes[0, 0].set_ylabel("|gradient| / |gradient at the last layer|")
        plots.caption(
            drawn,
            f"Marks: root mean square over {config.networks} networks of width {config.width}; bands: "
            "four of five networks. Dashed: χ to the power of half the number of layers, nothing fitted. It "
            "says how the gradient starts, not what training makes of it: χ = 1 is no promise.",
        )
        run.save_figure("lengths", drawn)


def draw_spread(run: Run, values: dict[str, np.ndarray]) -> None:
    """``spread.png``: what the mean hides, and a chain that falls as a power."""
    with plots.figure("What χ = 1 does not say", columns=2, width=9.6, height=4.4) as (
        drawn,
        axes,
    ):
        left, right = axes[0]
        for i, (kind, found) in enumerate(values.items()):
            ranks = np.arange(1, found.shape[1] + 1)
            low, high = np.quantile(found, (0.1, 0.9), axis=0)
            left.fill_between(ranks, low, high, color=plots.COLORS[i], alpha=0.2, linewidth=0)
            left.plot(
                ranks,
                np.median(found, axis=0),
                plots.LINES[i],
                color=plots.COLORS[i],
                label=f"{kind.capitalize()} weights",
            )
        left.set(
            title="30 linear layers of 64 units",
            xlabel="rank of the singular value",
            ylabel="singular value of the whole Jacobian",
            yscale="log",
            ylim=(1e-12, 1e2),
        )
        left.legend(loc="lower left")
        layers = np.arange(1, CHAIN + 1)
        right.loglog(layers, chain(0.5, CHAIN)[1:], color=plots.COLORS[0], label="tanh chain from 0.5")
        law = chain(0.5, CHAIN)[-1] * (layers / CHAIN) ** -1.5
        right.loglog(
            layers[30:],
            law[30:],
            "--",
            color="black",
            linewidth=1.1,
            label="depth to the power −3/2",
        )
        right.loglog(
            layers, 0.78645**layers, ":", color=plots.COLORS[1], label="if every unit were the first"
        )
        right.set(title="One unit a layer, weight 1", xlabel="depth (layers)", ylabel="d output / d input")
        right.set_ylim(1e-7, 2.0)
        right.legend(loc="lower left", fontsize=8)
        plots.caption(
            drawn,
            "Left: medians and four of five networks; the mean squared singular value is 1 for both. Right: "
            "a critical chain falls as a power of its depth, because its signal falls, too. It does not say "
            "that orthogonal weights stay orthogonal while they learn.",
        )
        run.save_figure("spread", drawn)


def draw_plane(run: Run, each: list[Kind]) -> None:
    """``plane.png``: how many layers a gradient gets through, for all scales of tanh."""
    q = np.geomspace(1e-4, 40.0, 500)
    value = np.array([gaussian_mean(lambda z: np.tanh(z) ** 2, v) for v in q])
    slope = np.array([gaussian_mean(lambda z: TANH.slope(z) ** 2, v) for v in q])
    weights, biases = np.linspace(0.5, 3.0, 200), np.linspace(0.02, 1.0, 160)
    growth = np.empty((len(biases), len(weights)))
    for column, sigma_w in enumerate(weights):
        excess = q - sigma_w**2 * value  # the bias's variance that keeps q
        first = int(excess.argmin())  # from here on it rises: the stable branch
        kept = np.interp(biases**2, excess[first:], q[first:])
        growth[:, column] = np.log(sigma_w**2 * np.interp(kept, q, slope))
    line = np.array([critical_point(v, TANH) for v in np.geomspace(1e-4, 6.0, 80)]).T
    with plots.figure("tanh networks: how deep a gradient gets", width=7.0, height=5.0) as (drawn, axes):
        axis = axes[0, 0]
        reach = np.clip(2.0 / np.maximum(np.abs(growth), 1e-9), 1.0, 100.0)  # layers to a factor e
        shades = axis.pcolormesh(
            weights, biases, np.log10(reach), cmap="Greys_r", vmin=0, vmax=2, rasterized=True
        )
        bar = drawn.colorbar(shades, ax=axis, ticks=[0, 0.5, 1, 1.5, 2])
        bar.ax.set_yticklabels(["1", "3", "10", "30", "≥ 100"])
        bar.set_label("layers until |gradient| changes by e: 2 / |ln χ|")
        axis.plot(*line, color=plots.COLORS[1], linewidth=2.0)
        for i, kind in enumerate(each):
            style = {"color": plots.COLORS[i], "markeredgecolor": "white", "markersize": 10}
            axis.plot(kind.sigma_w, kind.sigma_b, plots.MARKERS[i], **style)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "boxstyle": "square,pad=0.2"}
        for text, spot in (("vanish", (0.75, 0.8)), ("explode", (2.4, 0.55)), ("χ = 1", (1.62, 0.33))):
            axis.annotate(text, spot, bbox=box, ha="center")
        axis.set(
            xlabel="σ of the weights × √(fan-in)", ylabel="σ of the biases", xlim=(0.5, 3.0), ylim=(0.02, 1.0)
        )
        axis.grid(False)
        plots.caption(
            drawn,
            "Computed, at the variance that each network settles at; marks are those of lengths.png. It "
            "holds for wide layers. It does not say that a network is best where it is brightest.",
        )
        run.save_figure("plane", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
