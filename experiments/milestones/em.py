r"""Phase 4: EM for a Gaussian mixture, animated: ellipses find their clouds, and the likelihood rises.

    E   whose is each point? responsibilities by the present components
    M   what are the components? weights, means and covariances by the present responsibilities

First on points whose true components are known, so that what EM finds can be compared with what there is;
then on handwritten digits in the plane of their two principal components, where EM is told no labels.

Shapes   N points in the plane, K components.
Source   Dempster, Laird & Rubin 1977, theorem 1 (the likelihood never falls); Bishop 2006, Pattern
         Recognition and Machine Learning, sec. 9.2.2; Schwarz 1978, "Estimating the dimension of a model".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from classical_ml.clustering.gmm import GaussianMixture, Mixture, e_step, m_step, precisions_cholesky
from classical_ml.reduction.pca import PCA
from curriculum.datasets import images
from experiments import plots
from experiments.claims import Claims
from experiments.runs import Run, configure
from utils.seeding import streams

WEIGHTS = np.array([0.3, 0.3, 0.25, 0.15])
MEANS = np.array([[0.0, 0.0], [3.0, 2.5], [-3.5, 2.0], [0.5, -3.0]])
COVARIANCES = np.array(
    [
        [[1.2, 0.9], [0.9, 1.0]],
        [[0.4, -0.2], [-0.2, 1.4]],
        [[1.5, 0.0], [0.0, 0.15]],
        [[0.3, 0.0], [0.0, 0.3]],
    ]
)
SHADES = np.array([[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167]]) / 255.0  # Okabe and Ito


@dataclass(frozen=True)
class Config:
    """What a run depends on; the seed decides points and starts."""

    seed: int = 0
    points: int = 600
    held_out: int = 20_000  # points to judge a density by: one standard error is 0.01 nats
    starts: int = 60  # random ones; one of them is animated
    iterations: int = 400  # at most, from each start
    frames: int = 60  # of the animation
    digits: tuple[int, ...] = (0, 1, 7)  # that EM is to tell apart without labels


@dataclass(frozen=True)
class Climb:
    """One run of EM."""

    mixtures: list[Mixture]  # before each E-step
    responsibilities: list[np.ndarray]  # (N, K), after it
    likelihoods: np.ndarray  # mean log-likelihood of each mixture, nats a point


def main(arguments: Sequence[str] | None = None) -> int:
    """Climb, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Phase 4: EM for a Gaussian mixture, animated.")
    with Run("em", config) as run:
        claims, rng = Claims(), streams(config.seed, "points", "starts", "model")
        X, held_out = (draw_points(n, rng["points"]) for n in (config.points, config.held_out))
        climbs = [climb(X, config, rng["starts"]) for _ in run.track(range(config.starts), "climbing")]
        judge_climbs(claims, climbs, X, held_out)
        draw_climbs(run, climbs, X)
        animate(run, config, slowest_of_the_best(climbs), X)
        choose_components(run, claims, X, rng["model"])
        tell_digits_apart(run, claims, config, rng["model"])
        claims.conclude(run, "the likelihood never falls, and EM finds what is there")
    return run.exit_code


def draw_points(n: int, rng: np.random.Generator) -> np.ndarray:
    """(n, 2), from the true mixture."""
    component = rng.choice(len(WEIGHTS), n, p=WEIGHTS)
    roots = np.linalg.cholesky(COVARIANCES)
    return MEANS[component] + np.einsum("nij,nj->ni", roots[component], rng.standard_normal((n, 2)))


def truth() -> Mixture:
    """The mixture that the points come from."""
    return Mixture(WEIGHTS, MEANS, COVARIANCES, precisions_cholesky(COVARIANCES, "full"), "full")


def climb(X: np.ndarray, config: Config, rng: np.random.Generator) -> Climb:
    """EM from components around four random points, until an iteration gains less than 1e-9 nats a point."""
    centers = X[rng.choice(len(X), len(WEIGHTS), replace=False)]
    distances = ((X[:, None] - centers) ** 2).sum(axis=2)  # (N, K)
    responsibilities = 0.05 + (distances == distances.min(axis=1, keepdims=True))  # blurred, for a slow start
    mixture = m_step(X, responsibilities / responsibilities.sum(axis=1, keepdims=True))
    mixtures, shares, likelihoods = [], [], []
    for _ in range(config.iterations):
        likelihood, responsibilities = e_step(X, mixture)
        mixtures.append(mixture)
        shares.append(responsibilities)
        likelihoods.append(float(likelihood))
        if len(likelihoods) > 1 and likelihoods[-1] - likelihoods[-2] < 1e-9:
            break
        mixture = m_step(X, responsibilities)
    return Climb(mixtures, shares, np.array(likelihoods))


def best_of(climbs: Sequence[Climb]) -> Climb:
    """The one that ends highest."""
    return max(climbs, key=lambda c: c.likelihoods[-1])


def slowest_of_the_best(climbs: Sequence[Climb]) -> Climb:
    """Of those that end at the top, the one with the longest way: the one to watch."""
    top = best_of(climbs).likelihoods[-1]
    return max((c for c in climbs if c.likelihoods[-1] > top - 1e-4), key=lambda c: len(c.likelihoods))


def judge_climbs(claims: Claims, climbs: Sequence[Climb], X: np.ndarray, held_out: np.ndarray) -> None:
    """That no step falls; that the best climb finds the truth; that not every climb does."""
    falls = [float(-np.diff(c.likelihoods).min(initial=0.0)) for c in climbs]
    steps = sum(len(c.likelihoods) - 1 for c in climbs)
    claims.at_most(f"largest fall of the likelihood in {steps:,} steps of EM", max(falls), 1e-10, "nats")
    best, top = best_of(climbs).mixtures[-1], best_of(climbs).likelihoods[-1]
    gain = top - e_step(X, truth())[0]
    # twice the log-likelihood ratio is chi-squared with 23 degrees of freedom: below 52.4 but for 1 in 2000
    claims.at_least("the best fit is at least as likely as the truth, on its own points", gain, 0.0, "nats")
    claims.at_most("and not by more than 23 free parameters can gain", gain, 52.4 / 2 / len(X), "nats")
    lost = e_step(held_out, truth())[0] - e_step(held_out, best)[0]
    claims.at_most("on new points it loses to the truth (mean)", lost, 0.06, "nats")
    order = min(permutations(range(4)), key=lambda p: np.linalg.norm(best.means[list(p)] - MEANS))
    off = np.linalg.norm(best.means[list(order)] - MEANS, axis=1).max()
    claims.at_most("largest distance of a mean from the true one", off, 0.5)
    reached = np.mean([c.likelihoods[-1] > top - 1e-4 for c in climbs])
    claims.at_least("starts that reach the best end: share", reached, 0.05)
    claims.at_most("and not all do: the likelihood has other maxima", reached, 0.999)


def ellipses(axes: Axes, mixture: Mixture, colors: np.ndarray) -> None:
    """Each component as the curves that hold 39 % and 86 % of it, one and two standard deviations wide."""
    for mean, covariance, weight, color in zip(
        mixture.means, mixture.covariances, mixture.weights, colors, strict=True
    ):
        variances, directions = np.linalg.eigh(covariance)
        angle = np.degrees(np.arctan2(directions[1, 1], directions[0, 1]))
        for deviations in (1.0, 2.0):
            height, width = 2 * deviations * np.sqrt(variances)
            axes.add_patch(Ellipse(mean, width, height, angle=angle, facecolor="none", edgecolor=color,
                                   linewidth=1.0 + 3.0 * weight))  # fmt: skip


def frame_numbers(steps: int, frames: int) -> np.ndarray:
    """Which steps to show: all of the first ones, then ever fewer, the last included."""
    wanted = np.unique(np.geomspace(1, steps, min(frames, steps)).astype(int) - 1)
    return np.unique(np.append(wanted, steps - 1))


def animate(run: Run, config: Config, watched: Climb, X: np.ndarray) -> None:
    """``em.gif``: points in the colours of their responsibilities, ellipses, the likelihood so far."""
    steps = frame_numbers(len(watched.likelihoods), config.frames)
    level = float(e_step(X, truth())[0])
    with plots.figure("EM: whose is each point, and what are the components?", columns=2, width=9.2,
                      height=4.4) as (drawn, axes):  # fmt: skip
        left, right = axes[0]

        def show(step: int) -> None:
            left.clear()
            right.clear()
            left.scatter(*X.T, s=7, c=np.clip(watched.responsibilities[step] @ SHADES, 0, 1), linewidths=0)
            ellipses(left, watched.mixtures[step], SHADES)
            left.plot(*watched.mixtures[step].means.T, "k+", markersize=9)
            left.set(xlim=(-7, 7), ylim=(-5.5, 6.5), xlabel="x", ylabel="y", aspect="equal")
            left.set_title(f"after {step} steps", fontsize=10)
            right.plot(np.arange(1, step + 2), watched.likelihoods[: step + 1], color=plots.BLUE)
            right.plot(step + 1, watched.likelihoods[step], "o", color=plots.BLUE)
            plots.level(right, level, "the truth")
            low, high = watched.likelihoods[0], watched.likelihoods[-1]
            right.set(xlim=(0.9, 1.1 * len(watched.likelihoods)), xscale="log", xlabel="E-step",
                      ylabel="mean log-likelihood (nats)",
                      ylim=(low - 0.05 * (high - low), high + 0.1 * (high - low)))  # fmt: skip

        run.save_animation("em", drawn, show, steps.tolist())
        run.save_figure("end", drawn)


def draw_climbs(run: Run, climbs: Sequence[Climb], X: np.ndarray) -> None:
    """All climbs in one figure: how far each is below the best end."""
    top = best_of(climbs).likelihoods[-1]
    caption = (
        "Every climb rises, as it must. Where it ends depends on where it began: that the likelihood has "
        "stopped rising says that a maximum was found, not that there is no higher one."
    )
    with plots.figure(f"{len(climbs)} random starts", width=7.6, height=4.2) as (drawn, axes):
        for c in climbs:
            good = c.likelihoods[-1] > top - 1e-4
            axes[0, 0].plot(np.arange(1, len(c.likelihoods) + 1), top - c.likelihoods + 1e-7, linewidth=1.0,
                            color=plots.BLUE if good else plots.VERMILION,
                            linestyle="-" if good else "--")  # fmt: skip
        axes[0, 0].set(xscale="log", yscale="log", xlabel="E-step",
                       ylabel="below the best end (nats)")  # fmt: skip
        axes[0, 0].set_title("dashed: another maximum", fontsize=9)
        plots.caption(drawn, caption)
        run.save_figure("starts", drawn)


def choose_components(run: Run, claims: Claims, X: np.ndarray, rng: np.random.Generator) -> None:
    """The Bayesian information criterion for one to seven components."""
    counts = list(range(1, 8))
    models = [
        GaussianMixture(k, n_init=4, max_iter=300, rng=rng).fit(X)
        for k in run.track(counts, "1 to 7 components")
    ]
    bic = [model.bic(X) / len(X) for model in models]
    fit = [-2 * model.score(X) for model in models]
    caption = (
        "More components always fit better. BIC charges log N for each parameter and finds the true number "
        "here; where clouds are not Gaussian it counts the Gaussians that are needed, not the clouds."
    )
    with plots.figure("How many components?", width=6.8, height=4.2) as (drawn, axes):
        plots.curve(axes[0, 0], np.array(counts), np.array(bic), "BIC", 0, marker="o")
        plots.curve(axes[0, 0], np.array(counts), np.array(fit), "fit alone", 1, marker="^")
        axes[0, 0].set(xlabel="components", ylabel="BIC / N (nats)", xlim=(0.7, 8.2))
        plots.caption(drawn, caption)
        run.save_figure("bic", drawn)
    claims.near("number of components with the lowest BIC", counts[int(np.argmin(bic))], len(WEIGHTS), 0)
    claims.true("the fit alone improves with every component", bool((np.diff(fit) < 1e-6).all()))


def tell_digits_apart(run: Run, claims: Claims, config: Config, rng: np.random.Generator) -> None:
    """EM on digits in their principal plane: do its components agree with labels that it never saw?"""
    data = images.digits()
    chosen = np.isin(data.train_labels, config.digits)
    labels = data.train_labels[chosen]
    plane = PCA(2).fit_transform(data.train_images[chosen].reshape(chosen.sum(), -1) / 255.0)  # (N, 2)
    k = len(config.digits)
    model = GaussianMixture(k, n_init=4, max_iter=300, rng=rng).fit(plane)
    found = model.predict(plane)
    table = np.array([[np.sum((found == i) & (labels == d)) for d in config.digits] for i in range(k)])
    order = max(permutations(range(k)), key=lambda p: sum(table[i, p[i]] for i in range(k)))
    right = sum(table[i, order[i]] for i in range(k)) / len(labels)
    caption = (
        f"EM saw positions only: two numbers an image. {right:.1%} of the images are in the component of "
        "their digit. Components are named afterwards, by those who know the labels."
    )
    names = [str(config.digits[j]) for j in order]
    with plots.figure(f"Digits {', '.join(map(str, config.digits))} in their principal plane, no labels used",
                      width=7.0, height=5.4) as (drawn, axes):  # fmt: skip
        colors = SHADES[:k] if k <= len(SHADES) else np.resize(SHADES, (k, 3))
        for d, marker, color in zip(range(k), plots.MARKERS, colors[list(np.argsort(order))], strict=False):
            spots = plane[labels == config.digits[d]]
            axes[0, 0].scatter(*spots.T, s=10, marker=marker, color=color, alpha=0.5, linewidths=0,
                               label=f"digit {config.digits[d]}")  # fmt: skip
        ellipses(axes[0, 0], model.mixture_, colors)
        for name, mean in zip(names, model.means_, strict=True):
            axes[0, 0].annotate(name, mean, fontsize=16, fontweight="bold", ha="center", va="center")
        axes[0, 0].set(xlabel="first principal component", ylabel="second principal component")
        axes[0, 0].legend(loc="upper right", frameon=True)
        plots.caption(drawn, caption)
        run.save_figure("digits", drawn)
    claims.at_least("digits in the component of their own: share", right, 0.85)


if __name__ == "__main__":
    raise SystemExit(main())
