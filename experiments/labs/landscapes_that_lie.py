r"""How much of a picture of a loss landscape is the landscape, and how much is the way it was cut?

Four pictures that are drawn of networks, each with what is known of it beforehand:

    a line through a solution     (W_1, b_1, W_2) -> (a W_1, a b_1, W_2 / a) is one function with ReLU, but
                                  another line; in units of the weights it stays
    a plane through XOR           units of tanh may change their sign: four solutions at (+-1, +-1), and
                                  ridges of at least 1/6 on the axes, where one unit is gone
    the principal plane of a path a random walk has 6 / (pi k)^2 of its variance in component k: 76 % in two
    the way between solutions     two networks that differ by names and signs of units have a barrier between
                                  them that is not there once they agree on the names

Source   Li et al. 2018, arXiv:1712.09913; Dinh et al. 2017, arXiv:1703.04933; Antognini & Sohl-Dickstein
         2018, arXiv:1806.08805; Entezari et al. 2022, arXiv:2110.06296 (permutations); Sussmann 1992 (signs).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, permutations, product
from math import sqrt

import numpy as np

from dynamics.credit.mlp_backprop import Spec, flatten, forward, init, unflatten, value_and_gradient
from dynamics.geometry import trajectory_pca as pca
from dynamics.geometry.hessian_vector import hvp
from dynamics.geometry.landscape import (
    axis,
    barrier,
    basins,
    interpolate,
    line,
    plane,
    random_direction,
)
from dynamics.geometry.reparametrisation import change_units, relative_sharpness, rescale, sharpness
from experiments import plots
from experiments.claims import Claims
from experiments.labs.xor import INPUTS, TARGETS, Networks
from experiments.runs import Run, configure
from foundations.computational_graph import Tensor
from nn_core.activations.relu import relu

# what continuous integration runs
QUICK = ("--networks", "40", "--shown", "2", "--cuts", "12", "--cells", "31", "--steps", "1000",
         "--walk", "150", "--dimensions", "1500", "--walks", "1")  # fmt: skip
Array = np.ndarray

WAVE = Spec((1, 16, 16, 1), hidden="relu")
X = np.linspace(-1.0, 1.0, 20)[:, None]
Y = 4 * X**3 - 3 * X  # Chebyshev's cubic
LR = 0.02
FACTOR = 10.0  # a
FACTORS = np.array([0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0])
XOR = Spec((2, 2, 1))
WANTED = TARGETS[:, None]
SPREAD = (0.35, 0.23, 0.10)  # standard deviation of a random walk's shares, times sqrt(dimensions): 120 walks
SAME = 0.01  # a barrier below is none: the networks at its ends have losses below 1e-6


@dataclass(frozen=True)
class Config:
    """What the claims and figures depend on."""

    steps: int = 4000  # of descent, for the ReLU network
    networks: int = 800  # that learn XOR
    shown: int = 6  # of them whose planes are cut
    cuts: int = 40  # random planes through the first of these
    cells: int = 61  # along each side of a plane; 10 k + 1 has cells at +-1
    walk: int = 400  # points of the random walks
    dimensions: int = 4000  # that they walk in
    walks: int = 3
    seed: int = 0


def shapes(spec: Spec) -> list[tuple[int, ...]]:
    """Of the parameter arrays, in their order in theta."""
    return [s for fan_in, fan_out in pairwise(spec.sizes) for s in ((fan_out, fan_in), (fan_out,))]


def wave_loss(theta: Array) -> float:
    """Mean squared error of the ReLU network."""
    return float(np.mean((forward(theta, WAVE, X)[0] - Y) ** 2))


def xor_loss(theta: Array) -> float:
    """Mean squared error of a 2-2-1 tanh network."""
    return float(np.mean((forward(theta, XOR, INPUTS)[0] - WANTED) ** 2))


def wave_tensor(theta: Tensor) -> Tensor:
    """`wave_loss`, written so that it can be differentiated twice."""
    h, at = Tensor(X), 0
    for i, (fan_in, fan_out) in enumerate(pairwise(WAVE.sizes)):
        W, b = theta[at : at + fan_in * fan_out], theta[at + fan_in * fan_out : at + (fan_in + 1) * fan_out]
        z = h @ W.reshape(fan_out, fan_in).transpose(1, 0) + b
        h, at = (z if i == len(WAVE.sizes) - 2 else relu(z)), at + (fan_in + 1) * fan_out
    error = h - Y
    return (error * error).mean()


class Rescaled:
    """A trained ReLU network, cut along one random line, in other parameters of the same function.

    Attributes:
        path: (S, P), every tenth step of training.
        theta: (P,), where it ended.
        copies: "as trained", a whole layer rescaled, and each neuron by a factor of its own.
        ts: (n,), coordinates of the lines.
        raw, normalised: the loss along the line, for each copy.
        sharp, relative, expected: (n_factors,), the sharpness of the copy with each factor, the relative one,
            and what the chain rule says of the former.
    """

    def __init__(self, config: Config):
        rng = np.random.default_rng(config.seed)
        theta, path = init(WAVE, "kaiming", sqrt(2.0), rng=rng), []
        for step in range(config.steps):
            if step % 10 == 0:
                path.append(theta)
            theta = theta - LR * value_and_gradient(theta, WAVE, X, Y)[1]
        self.path, self.theta = np.array(path), theta
        each = np.exp(rng.uniform(-np.log(FACTOR), np.log(FACTOR), WAVE.sizes[1]))
        self.copies = {
            "as trained": theta,
            "layer rescaled": rescale(theta, WAVE, 1, FACTOR),
            "neurons rescaled": rescale(theta, WAVE, 1, each),
        }
        self.ts, lines = axis(1.0, 81), {}
        for norm in ("none", "filter"):
            unit = 1.0 if norm == "filter" else float(np.linalg.norm(theta)) / sqrt(theta.size)
            for name, at in self.copies.items():  # the same random numbers for all
                d = random_direction(at, shapes(WAVE), rng=np.random.default_rng(config.seed + 1), norm=norm)
                lines[norm, name] = line(wave_loss, at, unit * d, self.ts)
        self.raw = {name: lines["none", name] for name in self.copies}
        self.normalised = {name: lines["filter", name] for name in self.copies}
        self._curvature()

    def _curvature(self) -> None:
        """The sharpness over the factor."""
        n, sharp, relative, expected = self.theta.size, [], [], []
        here = partial(hvp, wave_tensor, self.theta)
        for a in FACTORS:
            at, units = rescale(self.theta, WAVE, 1, a), rescale(np.ones(n), WAVE, 1, a)  # A's diagonal
            there, steps = partial(hvp, wave_tensor, at), 40
            rngs = [np.random.default_rng(i) for i in range(3)]
            sharp.append(sharpness(there, n, rng=rngs[0], steps=steps))
            relative.append(relative_sharpness(there, at, rng=rngs[1], steps=steps))
            expected.append(sharpness(change_units(here, 1 / units), n, rng=rngs[2], steps=steps))
        self.sharp, self.relative, self.expected = np.array(sharp), np.array(relative), np.array(expected)


class Plane:
    """The plane in which the two units of an XOR network are turned down and over, each by its coordinate.

    Attributes:
        at: (n,), coordinates, the same for both units.
        values: (n, n), the loss; [i, j] has unit 2 times at[i] and unit 1 times at[j].
        labels, bottoms: of `basins`, the latter as coordinates.
    """

    def __init__(self, theta: Array, cells: int):
        (W, V), (b, _) = unflatten(theta, XOR)
        units = []
        for i in range(2):
            keep = np.arange(2) == i
            units.append(flatten([W * keep[:, None], V * keep], [b * keep, np.zeros(1)]))
        self.at = axis(1.5, cells)
        self.values = plane(xor_loss, theta - units[0] - units[1], units[0], units[1], self.at)
        found = basins(self.values)
        self.labels, self.bottoms = found.labels, self.at[found.bottoms[:, ::-1]]

    @property
    def solved(self) -> bool:
        """Whether the basins are four, with the four copies of the solution at their bottoms."""
        return sorted(np.round(self.bottoms, 9).tolist()) == [[x, y] for x in (-1, 1) for y in (-1, 1)]

    @property
    def ridges(self) -> Array:
        """(2, n), the loss on the two axes."""
        middle = len(self.at) // 2
        return np.stack([self.values[middle], self.values[:, middle]])


def copies(theta: Array) -> Iterator[Array]:
    """The same 2-2-1 network under all names and signs of its units: eight points."""
    (W, V), (b, c) = unflatten(theta, XOR)
    for order, signs in product(permutations(range(2)), product((1.0, -1.0), repeat=2)):
        names, s = list(order), np.array(signs)
        yield flatten([s[:, None] * W[names], V[:, names] * s], [s * b[names], c])


def diagonal(theta: Array) -> bool:
    """Which way a network solves XOR: its units cut off (0,1) and (1,0), or (0,0) and (1,1)."""
    return bool(unflatten(theta, XOR)[0][0][0].prod() < 0)


class Pairs:
    """Pairs of networks that have learned XOR from starts of their own.

    Attributes:
        before, after: (pairs, 41), the loss on the way, as they are and with the second's units renamed.
        alike: (pairs,), whether both solve it in the same way.
        apart: the largest difference of the loss between copies of one network.
    """

    def __init__(self, thetas: Array):
        before, after, apart = [], [], [0.0]
        for one, two in zip(thetas[::2], thetas[1::2], strict=False):
            same = list(copies(two))
            nearest = min(same, key=lambda c: float(np.linalg.norm(c - one)))
            before.append(interpolate(xor_loss, one, two, 41))
            after.append(interpolate(xor_loss, one, nearest, 41))
            apart.append(max(abs(xor_loss(c) - xor_loss(two)) for c in same))
        self.before, self.after, self.apart = np.array(before), np.array(after), max(apart)
        ways = [diagonal(theta) for theta in thetas]
        self.alike = np.array([a == b for a, b in zip(ways[::2], ways[1::2], strict=False)])
        self.barriers = np.array([[barrier(values) for values in way] for way in (self.before, self.after)])


def learn(config: Config, rng: np.random.Generator) -> Array:
    """The networks that have learned XOR, (n, P)."""
    net = Networks(config.networks, 2, 1.0, rng).train()
    rows = []
    for i in np.flatnonzero(net.losses[-1] < 1e-6):
        W1, b1, W2, b2 = (p.data[i] for p in net.parameters)
        rows.append(flatten([W1.T, W2.T], [b1[0], b2[0]]))
    return np.array(rows)


class Cuts:
    """Random planes, in units of the weights, through one solution of XOR.

    Attributes:
        at: (n,), coordinates.
        values: (cuts, n, n).
        counts: (cuts,), the number of basins.
        fine: the number in the plane that shows most, cut again four times as finely.
    """

    def __init__(self, theta: Array, config: Config, rng: np.random.Generator):
        self.at = axis(1.5, config.cells)
        ways = [[random_direction(theta, shapes(XOR), rng=rng) for _ in range(2)] for _ in range(config.cuts)]
        self.values = np.array([plane(xor_loss, theta, d1, d2, self.at) for d1, d2 in ways])
        self.counts = np.array([len(basins(values).bottoms) for values in self.values])
        d1, d2 = ways[int(np.argmax(self.counts))]
        finer = plane(xor_loss, theta, d1, d2, axis(1.5, 4 * config.cells - 3))
        self.fine = len(basins(finer).bottoms)


class Walks:
    """Random walks and their principal components.

    Attributes:
        explained: (walks, T - 1), fractions of the variance.
        coordinates: (T, 3), of the first walk.
        content: (3,), its cosine content.
    """

    def __init__(self, config: Config, rng: np.random.Generator):
        size = (config.walk, config.dimensions)
        walks = [rng.standard_normal(size).cumsum(axis=0) for _ in range(config.walks)]
        self.explained = np.array([pca.explained(walk) for walk in walks])
        self.coordinates, self.content = seen(walks[0])


def seen(path: Array) -> tuple[Array, Array]:
    """A path in its three principal directions, (T, 3), and how much of each is a random walk's cosine."""
    found = pca.plane_from_path(path, 3)
    coordinates = pca.project(path, found.mean, found.directions).coordinates
    return coordinates, pca.cosine_content(coordinates)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, cut, walk, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "How much of a landscape's picture is the landscape?")
    with Run("landscapes_that_lie", config) as run:
        claims, rng = Claims(), np.random.default_rng(config.seed)
        scaled = Rescaled(config)
        thetas = learn(config, rng)
        shown = [Plane(theta, config.cells) for theta in run.track(list(thetas[: config.shown]), "cutting")]
        cuts, walks, pairs = Cuts(thetas[0], config, rng), Walks(config, rng), Pairs(thetas)
        judge_rescaled(claims, scaled)
        judge_planes(claims, shown, cuts)
        judge_paths(claims, config, walks, scaled)
        judge_pairs(claims, pairs)
        parts = [
            partial(draw_rescaled, run, scaled),
            partial(draw_planes, run, shown[0], cuts),
            partial(draw_paths, run, walks, scaled),
            partial(draw_pairs, run, pairs),
        ]
        for part in run.track(parts, "drawing"):
            part()
        claims.conclude(run, "what a cut shows, and what it owes to the one who cut")
    return run.exit_code


def judge_rescaled(claims: Claims, scaled: Rescaled) -> None:
    """Lines and curvatures of the same function."""
    grid = np.linspace(-1.0, 1.0, 7)[:, None]
    trained, copied, single = scaled.copies.values()
    said = [forward(theta, WAVE, grid)[0] for theta in (trained, copied, single)]
    off = max(np.abs(each - said[0]).max() for each in said[1:])
    claims.at_most("rescaled copies: largest difference of an output", off, 1e-10)
    raw = scaled.raw["layer rescaled"] / scaled.raw["as trained"]
    claims.at_least("raw line, a layer times 10: loss over that of the network as trained (largest)",
                    raw.max(), 10.0)  # fmt: skip
    ratio = scaled.normalised["layer rescaled"] / scaled.normalised["as trained"]
    claims.at_most(
        "line in units of the weights: relative difference (largest)", np.abs(ratio - 1).max(), 1e-10
    )
    ratio = np.log(scaled.normalised["neurons rescaled"] / scaled.normalised["as trained"])
    claims.at_least("the same, each neuron rescaled by a factor of its own: ratio of losses (largest)",
                    np.exp(np.abs(ratio).max()), 2.0)  # fmt: skip
    error = np.abs(scaled.sharp / scaled.expected - 1).max()
    claims.at_most("sharpness of the copies, less the chain rule's: relative (largest)", error, 1e-9)
    claims.at_least("sharpness at a = 10, over that at a = 1", scaled.sharp[-1] / scaled.sharp[3], 10.0)
    error = np.abs(scaled.relative / scaled.relative[3] - 1).max()
    claims.at_most("relative sharpness: relative difference between copies (largest)", error, 1e-9)
    theta = scaled.copies["layer rescaled"]
    d = random_direction(theta, shapes(WAVE), rng=np.random.default_rng(1), norm="none")
    even = min(wave_loss(theta + t * d) for t in np.linspace(-1.0, 1.0, 20))
    claims.at_least("raw line at 20 points, none of them 0: lowest loss over the solution's",
                    even / wave_loss(theta), 10.0)  # fmt: skip


def judge_planes(claims: Claims, shown: Sequence[Plane], cuts: Cuts) -> None:
    """Ridges and basins."""
    wrong = sum(not each.solved for each in shown)
    claims.near("signs of units: planes without exactly four basins at (+-1, +-1)", wrong, 0, 0)
    odd = max(np.abs(each.values - each.values[::-1]).max() for each in shown)
    claims.at_most("signs of units: largest difference between a plane and its mirror image", odd, 1e-12)
    lowest = min(each.ridges.min() for each in shown)
    claims.at_least("signs of units: lowest point of a ridge, of all planes", lowest, 1 / 6)
    top = min(each.ridges[0, len(each.at) // 2] for each in shown)
    claims.at_least("signs of units: where the ridges cross, lowest of all planes", top, 1 / 4)
    claims.near("random planes through one solution: the fewest basins", cuts.counts.min(), 1, 0)
    claims.at_least("random planes through the same solution: the most basins", cuts.counts.max(), 3)
    # of 7 seeds, by 1 to 8; a plane of signs cut so finely has its four
    moved = abs(cuts.fine - int(cuts.counts.max()))
    claims.at_least("that plane, cut four times as finely: change of the number of its basins", moved, 1)


def judge_paths(claims: Claims, config: Config, walks: Walks, scaled: Rescaled) -> None:
    """What principal components of a path say without any training, and with."""
    points, width = (
        len(walks.coordinates),
        4 / sqrt(config.walks * config.dimensions),
    )  # 4 standard deviations
    mean, expected = walks.explained[:, :3].mean(axis=0), pca.random_walk_null(np.arange(1, 4), points)
    for k, name in enumerate(("first", "second", "third")):
        claims.near(f"random walk: share of the {name} component, mean of the walks", mean[k], expected[k],
                    width * SPREAD[k])  # fmt: skip
    claims.at_least("random walk: least cosine content of three components", walks.content.min(), 0.9)
    shares = pca.explained(scaled.path)
    claims.at_least("descent: share of its first component", shares[0], 0.85)
    claims.at_most(
        "descent: share of its third component, over that of a random walk's", shares[2] / mean[2], 0.3
    )


def judge_pairs(claims: Claims, pairs: Pairs) -> None:
    """Barriers before and after the units have been named."""
    before, after = pairs.barriers
    alike = pairs.alike
    claims.at_most(
        "copies of a network by names and signs: largest difference of the loss", pairs.apart, 1e-12
    )
    claims.at_least("pairs as trained: mean barrier", before.mean(), 0.5)
    claims.at_most("pairs that solve it alike, units named: median barrier", np.median(after[alike]), SAME)
    # 0.946 to 0.962 over 6 seeds; in the reduced form, of a dozen pairs, 0.90 to 0.93
    rest = float(np.mean(after[alike] < SAME))
    claims.at_least("pairs that solve it alike, units named: share without a barrier", rest, 0.85)
    claims.at_least("pairs that do not, units named: lowest barrier", after[~alike].min(), 0.2)
    # binomial, 4 standard deviations: of the eight copies one is named as the first network is
    share = float(np.mean(before[alike] < SAME))
    claims.near("pairs alike: share without a barrier before", share, 1 / 8, 4 * sqrt(7 / 64 / alike.sum()))


def draw_rescaled(run: Run, scaled: Rescaled) -> None:
    """``rescaled.png``: one function in three systems of parameters, along one line; and its sharpness."""
    styles: dict[str, dict] = {
        "as trained": {"color": "0.65", "linewidth": 4.0},
        "layer rescaled": {"color": plots.BLUE, "linestyle": "--"},
        "neurons rescaled": {"color": plots.VERMILION, "linestyle": ":"},
    }
    title = "One function, three sets of parameters"
    with plots.figure(title, columns=3, width=11.6, height=4.4) as (drawn, axes):
        left, middle, right = axes[0]
        for name, style in styles.items():
            left.semilogy(scaled.ts, scaled.raw[name], label=name, **style)
            middle.semilogy(scaled.ts, scaled.normalised[name], **style)
        high = max(each.max() for each in (*scaled.raw.values(), *scaled.normalised.values()))
        for axis_, what in ((left, "Raw direction"), (middle, "In units of the weights")):
            axis_.set(title=what, xlabel="coordinate t along the line", ylim=(2e-4, 3 * high))
        left.set_ylabel("mean squared error")
        left.legend(loc="lower right", fontsize=8)
        right.loglog(FACTORS, scaled.expected, color="0.65", linewidth=4.0, label="sharpness, chain rule")
        right.loglog(FACTORS, scaled.sharp, color=plots.BLUE, linestyle="", marker="o", label="sharpness")
        right.loglog(FACTORS, scaled.relative, color=plots.VERMILION, linestyle="--", marker="^",
                     label="relative sharpness")  # fmt: skip
        right.set(
            title="Largest curvature", xlabel="factor a of the first layer", ylabel="largest eigenvalue"
        )
        right.set_ylim(top=12 * scaled.sharp.max())
        right.legend(loc="upper center", fontsize=8)
        plots.caption(
            drawn,
            "All curves of a panel belong to networks with the same outputs, along the same random numbers. "
            "In the middle grey and dashed coincide. A narrow valley here is no property of what was "
            "learned, and units of the weights do not help where each neuron has a factor of its own.",
        )
        run.save_figure("rescaled", drawn)


def draw_planes(run: Run, shown: Plane, cuts: Cuts) -> None:
    """``planes.png``: the plane of the units' signs, two random planes and two rows of the first."""
    levels = np.geomspace(1e-3, 6.0, 17)
    few, many = int(np.argmin(cuts.counts)), int(np.argmax(cuts.counts))
    panels = (
        (shown.at, shown.values, "Units times a and b", ("a, factor of unit 1", "b, factor of unit 2")),
        (cuts.at, cuts.values[few], "Random plane", ("along one direction", "along another")),
        (cuts.at, cuts.values[many], f"Random plane (finer: {cuts.fine})", ("along one direction", "")),
    )
    with plots.figure("Planes through one solution of XOR", columns=4, width=14.0, height=4.3) as (
        drawn,
        axes,
    ):
        for axis_, (at, values, title, names) in zip(axes[0], panels, strict=False):
            plots.contours(axis_, at, at, np.maximum(values, 1e-9), levels)
            found = basins(values)
            n = len(found.bottoms)
            for k in range(n if n > 1 else 0):
                axis_.contour(at, at, found.labels == k, [0.5], colors=plots.VERMILION, linewidths=1.6)
            bottoms = at[found.bottoms]
            axis_.plot(bottoms[:, 1], bottoms[:, 0], color=plots.BLUE, marker="o", linestyle="")
            axis_.set(
                title=f"{title}: {n} basin{'s' * (n > 1)}", xlabel=names[0], ylabel=names[1], aspect="equal"
            )
        last, up = axes[0, 3], int(np.argmin(np.abs(shown.at - 1)))
        last.plot(shown.at, shown.values[up], color=plots.BLUE, label="b = 1, through two solutions")
        last.plot(
            shown.at, shown.ridges[0], color=plots.VERMILION, linestyle="--", label="b = 0, along a ridge"
        )
        for height, name, style in (
            (1 / 4, "1/4, the best with no unit", "-."),
            (1 / 6, "1/6, with one", ":"),
        ):
            last.axhline(height, color="black", linewidth=1.0, linestyle=style, label=name)
        last.set(title="Rows of the first plane", xlabel="a, factor of unit 1", ylabel="mean squared error")
        last.set_ylim(0, 1.8 * max(shown.values[up].max(), shown.ridges[0].max()))
        last.legend(loc="upper center", fontsize=8)
        plots.caption(
            drawn,
            "Blue: bottoms; red: the ridges between basins; levels on a scale of logarithms, dark is high. "
            "The loss has nine dimensions; how many basins a plane shows depends on the plane, and in narrow "
            "valleys on the grid. A bottom need not be a minimum, and a ridge can often be walked around.",
        )
        run.save_figure("planes", drawn)


def draw_paths(run: Run, walks: Walks, scaled: Rescaled) -> None:
    """``paths.png``: shares of the components and how a random walk looks in its own plane."""
    k, points = np.arange(1, 9), len(walks.coordinates)
    with plots.figure("Principal components of a path", columns=3, width=11.6, height=4.4) as (drawn, axes):
        left, middle, right = axes[0]
        left.semilogy(
            k, pca.random_walk_null(k, points), color="0.65", linewidth=4.0, label="predicted for a walk"
        )
        left.semilogy(k, walks.explained[:, :8].mean(axis=0), color=plots.BLUE, marker="o", linestyle="",
                      label="random walk")  # fmt: skip
        left.semilogy(k, pca.explained(scaled.path)[:8], color=plots.VERMILION, marker="^", linestyle="--",
                      label="descent")  # fmt: skip
        left.set(title="Share of the variance", xlabel="component", ylabel="fraction", xticks=k)
        left.legend(loc="upper right", fontsize=8)
        t = np.arange(points)
        for i in range(3):
            c = walks.coordinates[:, i]
            mode = pca.random_walk_mode(i + 1, points)
            size = float(mode @ c)  # with the sign of the component
            middle.plot(t, size * mode, color="0.65", linewidth=4.0)
            middle.plot(t, c, color=plots.COLORS[i], linestyle=plots.LINES[i], label=f"component {i + 1}")
        low, high = walks.coordinates.min(), walks.coordinates.max()
        middle.set(title="Random walk; grey: cosines", xlabel="step", ylabel="coordinate",
                   ylim=(1.1 * low, high + 0.55 * (high - low)))  # fmt: skip
        middle.legend(loc="upper center", fontsize=8, ncols=2)
        paths = ((walks.coordinates, "random walk"), (seen(scaled.path)[0], "descent"))
        for i, (path, name) in enumerate(paths):
            scale = np.ptp(path[:, 0])
            style = {"color": plots.COLORS[i], "linestyle": plots.LINES[i], "label": name}
            right.plot(path[:, 0] / scale, path[:, 1] / scale, **style)
            right.plot(*path[0, :2] / scale, color=plots.COLORS[i], marker=plots.MARKERS[i])
        right.set(title="In their own planes", xlabel="component 1 / its range", ylabel="component 2 / that")
        right.set_ylim(-0.4, 0.6)
        right.legend(loc="upper center", fontsize=8, ncols=2)
        plots.caption(
            drawn,
            "A marker is a start. A walk without any aim draws a parabola and has three quarters of its "
            "variance in two components: neither is a sign of structure. Each path is seen in a plane of its "
            "own; how the two lie to each other cannot be read off.",
        )
        run.save_figure("paths", drawn)


def draw_pairs(run: Run, pairs: Pairs) -> None:
    """``pairs.png``: the loss between two solutions, before and after their units have been named."""
    t = np.linspace(0.0, 1.0, pairs.before.shape[1])
    kinds = ((pairs.alike, "solve it alike", 0), (~pairs.alike, "solve it in the two ways", 1))
    with plots.figure("Between two solutions of XOR", columns=3, width=11.6, height=4.4) as (drawn, axes):
        left, middle, right = axes[0]
        for axis_, values, title in (
            (left, pairs.before, "As trained"),
            (middle, pairs.after, "Units named as is nearest"),
        ):
            for chosen, name, i in kinds:
                some = values[chosen][:14].T
                style = {"color": plots.COLORS[i], "linestyle": plots.LINES[i], "linewidth": 0.9}
                axis_.plot(t, some, **style)
                axis_.plot([], [], label=name, **style)
            axis_.set(title=title, xlabel="fraction t of the way", ylim=(-0.03, 2.4))
        left.set_ylabel("mean squared error")
        middle.legend(loc="upper center", fontsize=8)
        before, after = pairs.barriers
        for chosen, name, i in kinds:
            right.scatter(
                before[chosen], after[chosen], s=22, c=plots.COLORS[i], marker=plots.MARKERS[i], label=name
            )
        right.axline((0, 0), slope=1, color="black", linewidth=0.8, linestyle=(0, (1, 2)))
        top = 1.05 * before.max()
        right.set(
            title="Barriers", xlabel="as trained", ylabel="units named", xlim=(-0.05, top), ylim=(-0.03, 0.7)
        )
        right.legend(loc="upper right", fontsize=8)
        plots.caption(
            drawn,
            f"{len(before)} pairs trained from starts of their own, up to 14 of each kind as curves. Dotted: "
            "no change. Eight copies can be tried one by one; those of a wide layer cannot, and a barrier "
            "that is left may be owed to the naming or to the solutions. A straight way is one of many.",
        )
        run.save_figure("pairs", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
