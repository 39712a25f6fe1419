r"""Phase 4: maps of handwritten digits by PCA and t-SNE, each with its nearest-neighbour score.

A map of 784 dimensions on paper must lose something; a picture does not say what. So each map comes with
two numbers, taken in the space of pixels too, and the captions with what may not be read off it:

    digits      a random plane, the plane of PCA, and t-SNE from two starts
    pictures    the same maps with the images themselves
    limits      t-SNE of clouds whose sizes, distances and number are known: none of these survives

Shapes   N images, D = 784 pixels, maps (N, 2).
Source   van der Maaten & Hinton 2008, "Visualizing data using t-SNE", JMLR 9, sec. 5; Wattenberg, Viegas &
         Johnson 2016, "How to use t-SNE effectively", Distill, doi:10.23915/distill.00002 (sizes, distances);
         Venna & Kaski 2001 (trustworthiness); Johnson & Lindenstrauss 1984 (random projections).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classical_ml.clustering.dbscan import DBSCAN
from classical_ml.reduction.pca import PCA
from classical_ml.reduction.tsne import TSNE
from curriculum.datasets import images
from curriculum.datasets.images import ImageSet
from experiments import plots, scores
from experiments.claims import Claims
from experiments.runs import Run, configure
from utils.seeding import streams

NEIGHBORS = 12  # for trustworthiness and shared neighbours
MAPS = ("random plane", "PCA", "t-SNE", "t-SNE, another start")
LIMITS = ("sizes", "distances", "one square")
CLOUDS = {  # centres and standard deviations
    "sizes": ([(0.0, 0.0), (10.0, 0.0)], [0.2, 2.0]),
    "distances": ([(0.0, 0.0), (1.0, 0.0), (10.0, 0.0)], [0.1, 0.1, 0.1]),
}
# Exaggeration by 4, as in the paper: by 12, the attraction among a thousand images can win everywhere, and
# the map shrinks to a point. And no end before the last iteration: a map may contract first and unfold later.
CALM = {"early_exaggeration": 4.0, "min_grad_norm": 0.0}
FEW, MANY = 5.0, 30.0  # perplexities at the limits


@dataclass(frozen=True)
class Config:
    """What a run depends on; the seed decides images, random plane, starts of t-SNE and clouds."""

    seed: int = 0
    data: str = "digits"  # those that ship with the course; or "mnist": as many of the full set
    images: int = 1_500  # on each map
    perplexity: float = 30.0  # neighbours of an image, about
    iterations: int = 1_000  # of t-SNE of images
    points: int = 150  # in each cloud of the limits


@dataclass
class Map:
    """Positions on paper and what they kept."""

    positions: np.ndarray  # (N, 2)
    nearest: float  # 1-nearest-neighbour accuracy, leaving one out
    trust: float  # trustworthiness
    says: str  # what the method says of its loss: variance shown, divergence


@dataclass
class Limit:
    """Clouds in the plane and what t-SNE makes of them."""

    points: np.ndarray  # (N, 2)
    labels: np.ndarray  # (N,), the cloud of each
    maps: dict[float, np.ndarray]  # perplexity -> (N, 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the maps, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Phase 4: maps of handwritten digits.")
    with Run("maps", config) as run:
        data = images.mnist(console=run.console) if config.data == "mnist" else images.digits()
        claims = Claims()
        pixels, labels = sample(config, data)
        whole = scores.nearest_neighbor_accuracy(pixels, labels)
        maps = {name: chart(config, name, pixels, labels) for name in run.track(MAPS, "maps of digits")}
        draw_digits(run, data, maps, labels, whole)
        draw_pictures(run, maps, pixels)
        judge_maps(claims, maps, pixels, labels, whole)
        limits = {name: limit(config, name) for name in run.track(LIMITS, "maps of known clouds")}
        draw_limits(run, limits)
        judge_limits(claims, limits)
        claims.conclude(run, "every claim of a figure is borne out by its number", data=data.name)
    return run.exit_code


def sample(config: Config, data: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Training images as numbers in [0, 1], (N, D) float64, and their labels (N,)."""
    rng = streams(config.seed, "images")["images"]
    chosen = rng.permutation(len(data.train_images))[: config.images]
    return data.train_images[chosen].reshape(len(chosen), -1) / 255.0, data.train_labels[chosen]


def chart(config: Config, name: str, pixels: np.ndarray, labels: np.ndarray) -> Map:
    """Make the map ``name`` of ``pixels`` (N, D), without the labels, and judge it with them."""
    rng = streams(config.seed, name)[name]
    if name.startswith("t-SNE"):
        start = "pca" if name == "t-SNE" else "random"
        tsne = TSNE(perplexity=config.perplexity, max_iter=config.iterations, init=start, rng=rng, **CALM)
        positions = tsne.fit_transform(pixels).astype(np.float64)
        says = f"divergence {tsne.kl_divergence_:.2f} nats"
    else:
        if name == "PCA":
            positions = PCA(2).fit_transform(pixels)
        else:
            plane = np.linalg.qr(rng.standard_normal((pixels.shape[1], 2)))[0]  # (D, 2), orthonormal
            positions = (pixels - pixels.mean(axis=0)) @ plane
        says = f"{positions.var(axis=0).sum() / pixels.var(axis=0).sum():.1%} of the variance"
    nearest = scores.nearest_neighbor_accuracy(positions, labels)
    return Map(positions, nearest, scores.trustworthiness(pixels, positions, NEIGHBORS), says)


def draw_digits(run: Run, data: ImageSet, maps: dict[str, Map], labels: np.ndarray, whole: float) -> None:
    """Each map with a digit for an image, and a table of the scores."""
    caption = (
        "Each digit stands for an image of it; no method was shown the labels. Nearest: the share of "
        f"images whose nearest neighbour on the map is of their class; among all pixels it is {whole:.1%}. "
        f"Trustworthiness: 1 if the {NEIGHBORS} nearest on the map are the {NEIGHBORS} nearest among all "
        "pixels, about 0.5 by chance. Not to be read off t-SNE: how far apart groups are, how large or "
        "dense they are, which way is up. The lower maps, from two starts, arrange the same neighbours "
        "differently."
    )
    with plots.figure(f"{len(labels):,} images of {data.name}, 784 dimensions on paper", rows=2, columns=2,
                      width=10.0, height=10.4) as (figure, axes):  # fmt: skip
        for panel, (name, made) in zip(axes.flat, maps.items(), strict=True):
            plots.glyphs(panel, made.positions, labels, data.classes)
            title = f"{name}: nearest {made.nearest:.1%}, trustworthiness {made.trust:.3f}\n{made.says}"
            panel.set_title(title, fontsize=9)
        plots.caption(figure, caption)
        run.save_figure("digits", figure)
    rows = [(name.replace(",", ""), f"{m.nearest:.4f}", f"{m.trust:.4f}") for name, m in maps.items()]
    run.save_table(
        "scores", ("map", "nearest_neighbour", "trustworthiness"), [*rows, ("pixels", f"{whole:.4f}", "")]
    )


def draw_pictures(run: Run, maps: dict[str, Map], pixels: np.ndarray) -> None:
    """The images themselves, as many as there is room for."""
    caption = (
        "Images that would cover another are left out: how full a place is cannot be seen here. What "
        "neighbours share can, and it is slant and thickness as much as the digit: a map of pixels knows "
        "of no digits."
    )
    with plots.figure("The same maps, with the images", columns=2, width=12.0, height=6.8) as (figure, axes):
        for panel, name in zip(axes.flat, ("PCA", "t-SNE"), strict=True):
            plots.thumbnails(panel, maps[name].positions, pixels.reshape(len(pixels), 28, 28))
            panel.set_title(name, fontsize=9)
        plots.caption(figure, caption)
        run.save_figure("pictures", figure)


def limit(config: Config, name: str) -> Limit:
    """Clouds of unequal sizes, or at unequal distances, or points evenly on a square; and maps of them."""
    rng = streams(config.seed, name)[name]
    if name == "one square":
        labels = np.zeros(2 * config.points, np.int64)
        points = rng.uniform(-1.0, 1.0, (len(labels), 2))
    else:
        centers, spreads = CLOUDS[name]
        labels = np.arange(config.points * len(centers)) % len(centers)
        noise = rng.standard_normal((len(labels), 2))
        points = np.array(centers)[labels] + np.array(spreads)[labels, None] * noise
    maps = {
        perplexity: TSNE(perplexity=perplexity, **CALM).fit_transform(points) for perplexity in (FEW, MANY)
    }
    return Limit(points, labels, {p: m.astype(np.float64) for p, m in maps.items()})


def unequal_sizes(points: np.ndarray, labels: np.ndarray) -> float:
    """How many times as large cloud 1 is as cloud 0, by distances from their middles."""
    small, large = (np.sqrt(points[labels == k].var(axis=0).sum()) for k in (0, 1))
    return float(large / small)


def unequal_distances(points: np.ndarray, labels: np.ndarray) -> float:
    """How many times as far cloud 2 is from cloud 1 as cloud 1 from cloud 0."""
    middles = [points[labels == k].mean(axis=0) for k in range(3)]
    return float(np.linalg.norm(middles[2] - middles[1]) / np.linalg.norm(middles[1] - middles[0]))


def groups_of(points: np.ndarray, _: np.ndarray) -> float:
    """How many groups DBSCAN finds at a radius of 2.5 times the median distance to the 4th neighbour."""
    distances = np.sqrt(np.sort(scores.squared_distances(points), axis=1)[:, 3])
    return float(DBSCAN(2.5 * float(np.median(distances))).fit_predict(points).max() + 1)


MEASURES = {
    "sizes": (unequal_sizes, "sizes 1 : {:.1f}"),
    "distances": (unequal_distances, "gaps 1 : {:.1f}"),
    "one square": (groups_of, "groups for DBSCAN: {:.0f}"),
}


def draw_limits(run: Run, limits: dict[str, Limit]) -> None:
    """What is known of the clouds, and what the maps make of it: a row a case, a column a perplexity."""
    caption = (
        "Left, the points as they are: already in the plane, so that a map has nothing to give up. t-SNE "
        "allows every point the same number of neighbours and so draws every cloud equally dense: sizes "
        "and gaps on the map are its own. With few neighbours it breaks an evenly filled square into "
        "groups. Neither perplexity is the right one, and a group seen at one of them is a question, not a "
        "finding."
    )
    with plots.figure("What a t-SNE map does not show", rows=3, columns=3, width=8.6, height=9.0) as drawn:
        figure, axes = drawn
        for panel, title in zip(
            axes[0], ("the points", *(f"t-SNE, perplexity {p:g}" for p in (FEW, MANY))), strict=True
        ):
            panel.set_title(title, fontsize=9, loc="center")
        for row, (name, case) in zip(axes, limits.items(), strict=True):
            measure, words = MEASURES[name]
            row[0].set_ylabel(name, fontsize=10)
            for panel, positions in zip(row, (case.points, *case.maps.values()), strict=True):
                plots.groups(panel, positions, case.labels)
                panel.set_aspect("equal", adjustable="datalim")
                plots.corner(panel, words.format(measure(positions, case.labels)))
        plots.caption(figure, caption)
        run.save_figure("limits", figure)


def moved(one: np.ndarray, two: np.ndarray, k: int) -> float:
    """How far a sample is from itself on two maps (N, 2) laid on each other, middle on middle.

    The median over samples, in units of the distance to the sample's k-th neighbour on ``one``.
    """
    one, two = (positions - positions.mean(axis=0) for positions in (one, two))
    reach = np.sqrt(np.sort(scores.squared_distances(one), axis=1)[:, k - 1])  # (N,)
    return float(np.median(np.linalg.norm(two - one, axis=1) / reach))


def judge_maps(
    claims: Claims, maps: dict[str, Map], pixels: np.ndarray, labels: np.ndarray, whole: float
) -> None:
    """What the maps keep. A bound is 4 sd from the mean over 20 seeds of 800 images, both beside it."""
    chance, linear, one, two = (maps[name] for name in MAPS)
    near = "nearest neighbour of the same class"
    claims.at_most(f"a random plane: {near}", chance.nearest, 0.26)  # 0.168, 0.021
    claims.at_most("the random plane's trustworthiness", chance.trust, 0.67)  # 0.591, 0.016
    more = linear.positions.var(axis=0).sum() / chance.positions.var(axis=0).sum()
    claims.at_least(
        "no plane shows more variance than PCA's: times that of the random one", more, 17.0
    )  # 70, 13
    claims.at_least(f"PCA in 2 dimensions: {near}", linear.nearest, 0.28)  # 0.372, 0.022
    claims.at_most("but two straight directions are not enough: the same", linear.nearest, 0.46)
    claims.at_least("PCA's trustworthiness", linear.trust, 0.70)  # 0.739, 0.0070
    many = scores.nearest_neighbor_accuracy(PCA(30).fit_transform(pixels), labels)
    enough = "30 of 784 are: accuracy among all pixels less that among 30 components"
    claims.at_most(enough, whole - many, 0.025)  # -0.018, 0.010
    lost = whole - min(one.nearest, two.nearest)
    keeps = "t-SNE keeps the nearest in 2: accuracy among all pixels less that on the map, worse of two"
    claims.at_most(keeps, lost, 0.035)  # 0.001, 0.0072
    trusted = min(one.trust, two.trust)
    claims.at_least("t-SNE's trustworthiness, the worse of two", trusted, 0.92)  # 0.946, 0.0049
    apart = moved(one.positions, two.positions, NEIGHBORS)
    arranged = f"two starts, two places for an image, apart by distances to its neighbour {NEIGHBORS}"
    claims.at_least(arranged, apart, 1.0)  # 8.7, 1.8
    kept = scores.kept_neighbors(one.positions, two.positions, NEIGHBORS)
    claims.at_least(f"but the same neighbours: share of {NEIGHBORS} in common", kept, 0.43)  # 0.854, 0.10
    differ = abs(one.nearest - two.nearest)
    claims.at_most("and the same score: difference in accuracy", differ, 0.025)  # 0.0044, 0.0049


def judge_limits(claims: Claims, limits: dict[str, Limit]) -> None:
    """What the maps of known clouds do not keep. Bounds as in `judge_maps`, of 20 seeds of 150 points."""

    def measured(name: str) -> tuple[float, ...]:
        case = limits[name]
        return tuple(
            MEASURES[name][0](p, case.labels) for p in (case.points, case.maps[FEW], case.maps[MANY])
        )

    true, _, shown = measured("sizes")
    claims.at_least("one cloud is larger, times", true, 7.0)  # 9.7, 0.64
    claims.at_most(f"but on the map with perplexity {MANY:g}, times", shown, 1.4)  # 1.01, 0.086
    true, _, shown = measured("distances")
    claims.at_least("one gap is wider, times", true, 8.3)  # 9.0, 0.16
    claims.at_most(f"but on that map with perplexity {MANY:g}, times", shown, 1.2)  # 1.00, 0.015
    true, broken, shown = measured("one square")
    claims.near("groups in an evenly filled square", true, 1, 0)
    claims.at_least(f"and on its map with perplexity {FEW:g}", broken, 3)  # 12.4, 2.2
    claims.near(f"and on its map with perplexity {MANY:g}", shown, 1, 0)


if __name__ == "__main__":
    raise SystemExit(main())
