r"""Phase 3: six optimizers on one network and one data set, and what can be seen of the ground they walk on.

Each optimizer gets the best of its own learning rates, found on seeds that are not used again, and the same
initial weights and batches as the others. Then five figures, each with the numbers that bear it out:

    convergence     loss over steps: how many steps to reach what SGD reaches at the end
    rates           final loss over learning rates: how much tuning matters
    surface         the loss around the solution, along filter-normalised and along plain random directions
    paths           each optimizer's path in the plane of its two principal components, over the loss there
    decay           weights that never get a gradient, decayed through it (Adam) and beside it (AdamW)

Shapes   N images, D = 784 pixels, C = 10 classes, P recorded points of a path.
Source   Li et al. 2018, arXiv:1712.09913; Antognini & Sohl-Dickstein 2018, arXiv:1806.08805; Loshchilov &
         Hutter 2019, arXiv:1711.05101; Choi et al. 2019, arXiv:1910.05446 (fair comparison needs tuning).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from architectures.mlp import MLP
from curriculum.datasets import images
from curriculum.datasets.images import ImageSet
from experiments import landscape, plots
from experiments.claims import Claims
from experiments.runs import Run, configure
from foundations.autograd import no_grad
from foundations.computational_graph import Tensor
from optimization.losses.cross_entropy import CrossEntropyLoss
from optimization.optimizers.adam import Adam, AdamW
from optimization.optimizers.momentum import HeavyBall, Nesterov
from optimization.optimizers.optimizer import Optimizer
from optimization.optimizers.rmsprop import RMSprop
from optimization.optimizers.sgd import SGD
from optimization.schedulers.cosine import CosineAnnealingLR
from utils import metrics
from utils.data_utils import batches
from utils.seeding import streams

Make = Callable[[Iterable, float], Optimizer]
OPTIMIZERS: dict[str, tuple[Make, float]] = {  # and the middle of the learning rates that are tried
    "SGD": (lambda p, lr: SGD(p, lr=lr), 0.3),
    "momentum": (lambda p, lr: HeavyBall(p, lr=lr, momentum=0.9), 0.03),
    "Nesterov": (lambda p, lr: Nesterov(p, lr=lr, momentum=0.9), 0.03),
    "RMSProp": (lambda p, lr: RMSprop(p, lr=lr, alpha=0.99), 0.003),
    "Adam": (lambda p, lr: Adam(p, lr=lr), 0.01),
    "AdamW": (lambda p, lr: AdamW(p, lr=lr, weight_decay=0.1), 0.01),
}
FACTORS = tuple(10.0**k for k in (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5))  # of the middle
WALK = 6 / math.pi**2  # share of its variance that a random walk shows in its first component


@dataclass(frozen=True)
class Config:
    """What a run depends on; the seed decides initial weights, batches and directions."""

    seed: int = 0
    hidden: int = 32  # units
    images: int = 4_000  # to train on: those that ship with the course
    batch_size: int = 100
    epochs: int = 6
    grid: int = 25  # points along each side of a surface
    probe: int = 1_000  # images on which surfaces are measured


@dataclass
class Path:
    """What one training run leaves."""

    weights: landscape.Weights  # at the end
    losses: np.ndarray  # (steps,), of each batch before its step
    points: np.ndarray = field(repr=False)  # (P, D), float64: the weights at the start and after steps
    accuracy: float  # on test images


def main(arguments: Sequence[str] | None = None) -> int:
    """Tune, train, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Phase 3: six optimizers, one landscape.")
    with Run("optimizers", config) as run:
        data, claims = images.digits(), Claims()
        rates = tune(run, config, data)
        paths = {
            name: train(config, data, OPTIMIZERS[name][0], best_rate(rates[name]))
            for name in run.track(list(OPTIMIZERS), "training")
        }
        draw_convergence(run, claims, paths, rates)
        draw_rates(run, claims, rates)
        draw_surface(run, claims, config, data, paths["SGD"])
        draw_paths(run, claims, config, data, paths)
        draw_decay(run, claims, config, data)
        claims.conclude(run, "every claim of a figure is borne out by its number", data=data.name)
    return run.exit_code


def train(
    config: Config,
    data: ImageSet,
    make: Make,
    rate: float,
    *,
    seed: int | None = None,
    every: int = 5,
    constant: bool = False,
) -> Path:
    """Train a network of this seed, ``every`` steps between points of its path.

    The rate falls to 0 along half a cosine, so that where a run ends is not the noise of its last batches;
    ``constant`` leaves it as it is.
    """
    rng = streams(config.seed if seed is None else seed, "weights", "batches")
    inputs, labels = pixels(data.train_images[: config.images]), data.train_labels[: config.images]
    network = MLP((inputs.shape[1], config.hidden, len(data.classes)), dtype=np.float32, rng=rng["weights"])
    parameters, loss_of = list(network.parameters()), CrossEntropyLoss()
    optimizer = make(parameters, rate)
    per_epoch = math.ceil(len(inputs) / config.batch_size)
    schedule = None if constant else CosineAnnealingLR(optimizer, T_max=config.epochs * per_epoch)
    losses, points = [], [landscape.flat([p.data for p in parameters])]
    for _ in range(config.epochs):
        for x, y in batches(inputs, labels, batch_size=config.batch_size, rng=rng["batches"]):
            optimizer.zero_grad()
            loss = loss_of(network(Tensor(x)), y)
            loss.backward()
            with np.errstate(all="ignore"):  # a rate that is too large may blow up: that is its result
                optimizer.step()
            if schedule is not None:
                schedule.step()
            losses.append(float(loss.data))
            if len(losses) % every == 0:
                points.append(landscape.flat([p.data for p in parameters]))
        if not np.isfinite(losses[-1]):
            break
    with no_grad(), np.errstate(all="ignore"):
        predicted = network(Tensor(pixels(data.test_images))).data.argmax(axis=1)
    weights = [p.data.astype(np.float64) for p in parameters]
    return Path(weights, np.array(losses), np.array(points), metrics.accuracy(data.test_labels, predicted))


def pixels(pictures: np.ndarray) -> np.ndarray:
    """Images as numbers in [0, 1]: (N, H, W) uint8 -> (N, D) float32. What is never drawn on stays 0."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255.0


def final_loss(losses: np.ndarray) -> float:
    """The mean of the last tenth of the batches, infinite where training blew up."""
    last = float(np.mean(losses[-max(1, len(losses) // 10) :]))
    return last if math.isfinite(last) else math.inf


def tune(run: Run, config: Config, data: ImageSet) -> dict[str, dict[float, float]]:
    """The final loss of each optimizer at each of its learning rates, on two seeds used for nothing else."""
    found: dict[str, dict[float, float]] = {name: {} for name in OPTIMIZERS}
    pairs = [(name, factor * middle) for name, (_, middle) in OPTIMIZERS.items() for factor in FACTORS]
    for name, rate in run.track(pairs, "looking for learning rates"):
        seeds = (config.seed + 1_000_000, config.seed + 2_000_000)
        paths = [train(config, data, OPTIMIZERS[name][0], rate, seed=seed, every=10**9) for seed in seeds]
        found[name][rate] = float(np.mean([final_loss(path.losses) for path in paths]))
    rows = [(name, f"{rate:.3g}", f"{loss:.5f}") for name in found for rate, loss in found[name].items()]
    run.save_table("rates", ("optimizer", "learning_rate", "final_loss"), rows)
    return found


def best_rate(losses: dict[float, float]) -> float:
    """The learning rate with the lowest final loss."""
    return min(losses, key=lambda rate: losses[rate])


def smoothed(losses: np.ndarray, width: int = 20) -> np.ndarray:
    """Means over ``width`` neighbouring batches."""
    return np.convolve(losses, np.ones(width) / width, mode="valid")


def steps_to(losses: np.ndarray, level: float) -> float:
    """Steps until the smoothed loss first goes below ``level``; infinite if it never does."""
    below = np.flatnonzero(smoothed(losses) <= level)
    return float(below[0] + 20) if len(below) else math.inf


def draw_convergence(
    run: Run, claims: Claims, paths: dict[str, Path], rates: dict[str, dict[float, float]]
) -> None:
    """Loss over steps, and the number of steps to SGD's final loss."""
    level = final_loss(paths["SGD"].losses)
    needed = {name: steps_to(path.losses, level) / len(path.losses) for name, path in paths.items()}
    caption = (
        "One small network, one data set, one seed: an order among optimizers elsewhere does not follow. "
        "What does: without tuning each of them, the comparison would be one of learning rates."
    )
    with plots.figure("Six optimizers, each at its own best learning rate", width=8.4, height=4.6) as drawn:
        figure, axes = drawn[0], drawn[1][0, 0]
        for i, (name, path) in enumerate(paths.items()):
            curve = smoothed(path.losses)
            label = f"{name}, lr {best_rate(rates[name]):.2g}: {path.accuracy:.1%} of test images"
            axes.plot(np.arange(20, 20 + len(curve)), curve, color=PATHS[i][0], linestyle=PATHS[i][1],
                      label=label)  # fmt: skip
        plots.level(axes, level, "where SGD ends")
        axes.set(xlabel="step", ylabel="cross-entropy, mean of 20 batches (nats)", yscale="log")
        axes.legend(fontsize=8)
        plots.caption(figure, caption)
        run.save_figure("convergence", figure)
    fastest = min(needed[name] for name in ("momentum", "Nesterov"))
    claims.at_most("momentum or Nesterov reaches SGD's final loss in this share of its steps", fastest, 0.9)
    adaptive = min(needed[name] for name in ("RMSProp", "Adam", "AdamW"))
    claims.at_most("an adaptive method reaches SGD's final loss in this share of its steps", adaptive, 0.75)
    accuracies = [path.accuracy for path in paths.values()]
    claims.at_least("all six learn: the lowest test accuracy", min(accuracies), 0.88)
    claims.at_most("and differ little in test accuracy: highest less lowest", np.ptp(accuracies), 0.06)


def draw_rates(run: Run, claims: Claims, rates: dict[str, dict[float, float]]) -> None:
    """Final loss over learning rates."""
    caption = (
        "Each curve has its own horizontal unit: what a learning rate means differs between methods, so that "
        "a curve further to the left says nothing; its width does."
    )
    with plots.figure("How much the learning rate matters", width=8.4, height=4.4) as (figure, grid):
        axes = grid[0, 0]
        for i, (name, losses) in enumerate(rates.items()):
            values = [min(loss, 5.0) for loss in losses.values()]
            axes.plot(list(losses), values, color=PATHS[i][0], linestyle=PATHS[i][1], marker=PATHS[i][2],
                      label=name)  # fmt: skip
        axes.set(xlabel="learning rate", ylabel="final loss (nats; 5 and above drawn at 5)", xscale="log",
                 yscale="log")  # fmt: skip
        axes.legend(fontsize=8)
        plots.caption(figure, caption)
        run.save_figure("rates", figure)
    inside = [0 < list(losses).index(best_rate(losses)) < len(losses) - 1 for losses in rates.values()]
    claims.at_least("optimizers whose best learning rate is not at the end of its grid", sum(inside), 6)
    worst = min(sorted(losses.values())[-1] / min(losses.values()) for losses in rates.values())
    claims.at_least("worst over best final loss within a factor 1000 of learning rates, at least", worst, 3.0)


def loss_function(config: Config, data: ImageSet) -> Callable[[landscape.Weights], float]:
    """The loss of the network with given weights on the first ``probe`` training images, in float64.

    In plain arrays: a surface asks ten thousand times.
    """
    x, y = pixels(data.train_images[: config.probe]).astype(np.float64), data.train_labels[: config.probe]

    def loss(weights: landscape.Weights) -> float:
        w1, b1, w2, b2 = weights
        logits = np.maximum(x @ w1.T + b1, 0.0) @ w2.T + b2  # (N, C)
        logits -= logits.max(axis=1, keepdims=True)
        return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]).mean())

    return loss


def draw_surface(run: Run, claims: Claims, config: Config, data: ImageSet, path: Path) -> None:
    """The surface around one solution and around the same function with its layers rescaled by 10."""
    rng, loss = streams(config.seed, "directions")["directions"], loss_function(config, data)
    w1, b1, w2, b2 = path.weights
    same = [w1 * 10.0, b1 * 10.0, w2 / 10.0, b2]  # ReLU(10 z) = 10 ReLU(z): the same function
    ends = np.linspace(-1.0, 1.0, config.grid)
    surfaces: dict[tuple[bool, bool], np.ndarray] = {}
    seeds = rng.integers(2**32, size=2)
    cases = [(normalised, rescaled) for normalised in (True, False) for rescaled in (False, True)]
    for normalised, rescaled in run.track(cases, "surfaces"):
        center = same if rescaled else path.weights
        u, v = (
            landscape.random_direction(center, np.random.default_rng(s), normalised=normalised) for s in seeds
        )
        if not normalised:  # the plain directions of the first network, whatever the scale of its layers
            u, v = (
                landscape.random_direction(path.weights, np.random.default_rng(s), normalised=False)
                for s in seeds
            )
        surfaces[normalised, rescaled] = landscape.surface(loss, center, u, v, ends, ends)
    caption = (
        "Two directions of 25,000: along others the loss may rise a hundred times as fast. The upper pair "
        "agrees because normalisation undoes the scale. Neither pair says which solution generalises better."
    )
    titles = ("as trained", "layers times 10 and 1/10")
    with plots.figure("The loss around the end of SGD", rows=2, columns=2, width=8.6, height=8.0) as drawn:
        figure, axes = drawn
        low = max(1e-4, min(s.min() for s in surfaces.values()))
        levels = np.geomspace(low, max(s.max() for s in surfaces.values()), 16)
        for (normalised, rescaled), values in surfaces.items():
            panel = axes[int(not normalised), int(rescaled)]
            plots.contours(panel, ends, ends, values, levels)
            panel.plot(0, 0, marker="+", color="black", markersize=10)
            kind = "filter-normalised" if normalised else "plain"
            panel.set_title(f"{kind}, {titles[rescaled]}", fontsize=9)
            panel.set(xlabel="along u", ylabel="along v", aspect="equal")
        plots.caption(figure, caption)
        run.save_figure("surface", figure)

    def apart(normalised: bool) -> float:
        one, two = surfaces[normalised, False], surfaces[normalised, True]
        return float(np.abs(np.log(two / one)).max())

    change = abs(loss(same) / loss(path.weights) - 1.0)
    claims.at_most("multiplying one layer and dividing the next changes the loss by (relative)", change, 1e-9)
    claims.at_most("and the filter-normalised surface by (largest |log ratio|)", apart(True), 1e-6)
    claims.at_least("but the plain surface by (largest |log ratio|)", apart(False), 0.5)
    center = surfaces[True, False][config.grid // 2, config.grid // 2]
    claims.near("the centre of the surface is the loss reached", center, loss(path.weights), 1e-9, "nats")


def draw_paths(run: Run, claims: Claims, config: Config, data: ImageSet, paths: dict[str, Path]) -> None:
    """Each path in its principal plane, over the loss in that plane; and a random walk for comparison."""
    loss, shares = loss_function(config, data), {}
    caption = (
        "Each panel has its own plane. A large share of the variance in it does not make training "
        "two-dimensional: a random walk shows 61% and 15%. The loss drawn is that in the plane, not that on "
        "the path beside it."
    )
    with plots.figure("Where they went", rows=2, columns=3, width=10.5, height=7.6) as (figure, axes):
        for i, name in enumerate(run.track(list(paths), "planes of the paths")):
            path, panel = paths[name], axes.flat[i]
            (u, v), spots, share = landscape.principal_plane(path.points)
            shares[name] = share
            margin = 0.25 * np.ptp(spots, axis=0) + 1e-9
            sides = [
                np.linspace(low, high, config.grid)
                for low, high in zip(spots.min(axis=0) - margin, spots.max(axis=0) + margin, strict=True)
            ]
            u, v = (landscape.shaped(d, path.weights) for d in (u, v))
            values = landscape.surface(loss, path.weights, u, v, *sides)
            plots.contours(panel, *sides, values, np.geomspace(max(values.min(), 1e-4), values.max(), 14))
            panel.plot(*spots.T, color=PATHS[i][0], marker=".", markersize=3, linewidth=1.2)
            panel.plot(*spots[0], marker="o", color="white", markeredgecolor="black")
            panel.set_title(f"{name}: {share[0]:.0%} + {share[1]:.0%} of the variance", fontsize=9)
            panel.set(xlabel="first component", ylabel="second component")
        plots.caption(figure, caption)
        run.save_figure("paths", figure)
    rng = streams(config.seed, "walk")["walk"]
    n, d = paths["SGD"].points.shape
    walk = np.cumsum(rng.standard_normal((n, d)), axis=0)
    first, second = landscape.principal_plane(walk)[2]
    walked = f"a random walk of {n} points in {d:,} dimensions: share of its first component"
    claims.near(walked, first, WALK, 0.02)
    claims.near("and of its second", second, WALK / 4, 0.02)
    low = min(share[0] for share in shares.values())
    claims.at_least("every path is straighter than that: lowest share of the first component", low, WALK)


def draw_decay(run: Run, claims: Claims, config: Config, data: ImageSet) -> None:
    """Decay of the weights of pixels that are never drawn on, in the gradient and beside it."""
    rate, decay = 1e-3, 0.1
    dead = pixels(data.train_images[: config.images]).max(axis=0) == 0  # (D,)
    sizes: dict[str, np.ndarray] = {}
    kinds: dict[str, Make] = {
        "Adam, decay in the gradient": lambda p, lr: Adam(p, lr=lr, weight_decay=decay),
        "AdamW, decay beside it": lambda p, lr: AdamW(p, lr=lr, weight_decay=decay),
    }
    for name, make in kinds.items():
        path = train(config, data, make, rate, every=1, constant=True)
        first = path.points[:, : config.hidden * len(dead)].reshape(len(path.points), config.hidden, -1)
        sizes[name] = np.sqrt((first[:, :, dead] ** 2).mean(axis=(1, 2)))  # (P,)
    steps = np.arange(len(sizes["AdamW, decay beside it"]))
    predicted = sizes["AdamW, decay beside it"][0] * (1 - rate * decay) ** steps
    caption = (
        "These weights never see a gradient: the whole difference is the decay's. It says how the methods "
        "treat weights that the data say nothing about, not which of them finds the better network."
    )
    with plots.figure(f"Weights of {dead.sum()} pixels that are always 0", width=7.6, height=4.2) as drawn:
        figure, axes = drawn[0], drawn[1][0, 0]
        for i, (name, size) in enumerate(sizes.items()):
            axes.plot(steps, size, color=plots.COLORS[i], linestyle=plots.LINES[i], label=name)
        axes.plot(steps[::20], predicted[::20], "k.", label="predicted: (1 - lr * decay)^t", markersize=4)
        axes.set(xlabel="step", ylabel="root mean square of the weights", ylim=(0, None))
        axes.legend()
        plots.caption(figure, caption)
        run.save_figure("decay", figure)
    coupled, beside = sizes.values()
    claims.near("AdamW shrinks them by (1 - lr * decay)^t: size at the end", beside[-1], predicted[-1], 1e-5)
    left = coupled[-1] / coupled[0]
    claims.at_most("Adam with L2 takes them away: size at the end over size at the start", left, 0.05)


PATHS = tuple(zip((*plots.COLORS, "black"), (*plots.LINES, "-"), (*plots.MARKERS, "x"), strict=True))

if __name__ == "__main__":
    raise SystemExit(main())
