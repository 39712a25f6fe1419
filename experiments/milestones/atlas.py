r"""Phase 4: every classifier and every clustering of the phase on the classic sets of points in the plane.

Two figures, and the numbers that bear them out:

    classifiers     decision regions and test accuracies: what each can say, and what it cannot
    clusterings     what each finds, and how well that agrees with the groups that were drawn

Each method has one setting for all sets: nothing is tuned to a set, so that what is seen is the method's.
What a clustering is told is K, the number of groups, except DBSCAN, which is told a density.

Shapes   N points, (N, 2); K classes or groups.
Source   the idea of the figures: scikit-learn's "Classifier comparison" and "Comparing different clustering
         algorithms on toy datasets"; Wolpert 1996, "The lack of a priori distinctions between learning
         algorithms", Neural Computation 8 (no free lunch); Kleinberg 2002, "An impossibility theorem for
         clustering", NIPS; Ester et al. 1996, KDD, sec. 4.2 (eps from the distances of neighbours).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from classical_ml.classification.decision_tree import DecisionTreeClassifier
from classical_ml.classification.knn import KNeighborsClassifier, NearestNeighbors
from classical_ml.classification.logistic import LogisticRegression
from classical_ml.classification.naive_bayes import GaussianNB
from classical_ml.classification.svm import SVC, LinearSVC
from classical_ml.clustering.dbscan import DBSCAN
from classical_ml.clustering.gmm import GaussianMixture
from classical_ml.clustering.hierarchical import AgglomerativeClustering
from classical_ml.clustering.kmeans import KMeans
from classical_ml.clustering.spectral import SpectralClustering
from classical_ml.ensemble.adaboost import AdaBoostClassifier
from classical_ml.ensemble.gradient_boosting import GradientBoostingClassifier
from classical_ml.ensemble.random_forest import RandomForestClassifier
from classical_ml.estimator import Classifier, Clusterer
from classical_ml.reduction.lda import LinearDiscriminantAnalysis
from curriculum.datasets import toy
from curriculum.datasets.toy import Labelled
from experiments import plots, scores
from experiments.claims import Claims
from experiments.runs import Run, configure
from utils.seeding import streams

Rng = np.random.Generator
SPREAD = 0.6  # standard deviation of the two clouds at (1, 0) and (-1, 0)
BEST = 0.5 * (1.0 + math.erf(1.0 / SPREAD / math.sqrt(2.0)))  # no rule does better on them on average


def chessboard(n: int, fields: int, rng: Rng) -> Labelled:
    """Points evenly on [-1, 1]^2, with the colour of their field of ``fields`` x ``fields``."""
    field = np.stack(np.divmod(rng.permutation(n) % fields**2, fields), axis=1)  # (N, 2): as many in each
    return 2.0 * (field + rng.uniform(size=(n, 2))) / fields - 1.0, field.sum(axis=1) % 2


def stretched(n: int, rng: Rng) -> Labelled:
    """Three parallel clouds, four times as long as they are wide."""
    labels = np.arange(n) % 3
    points = rng.standard_normal((n, 2)) * (0.4, 0.1) + np.outer(labels - 1, (0.6, 0.5))
    turn = np.array([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2.0)  # by 45 degrees
    return points @ turn, labels


def unequal(n: int, rng: Rng) -> Labelled:
    """Three round clouds, one of them with six times the standard deviation of the others."""
    labels = np.arange(n) % 3
    centers = np.array([[-1.0, 0.0], [0.7, 0.0], [-1.0, 1.0]])
    return centers[labels] + np.array([0.1, 0.6, 0.1])[labels, None] * rng.standard_normal((n, 2)), labels


def nothing(n: int, rng: Rng) -> Labelled:
    """Points evenly on a square: one group, if any."""
    return rng.uniform(-1.0, 1.0, (n, 2)), np.zeros(n, np.int64)


LABELLED: dict[str, Callable[[int, Rng], Labelled]] = {
    "moons": lambda n, rng: toy.two_moons(n, noise=0.2, rng=rng),
    "circles": lambda n, rng: toy.circles(n, noise=0.1, rng=rng),
    "clouds": lambda n, rng: toy.blobs(n, centers=2, spread=SPREAD, rng=rng),
    "xor": lambda n, rng: chessboard(n, 2, rng),
    "chessboard": lambda n, rng: chessboard(n, 4, rng),
    "spirals": lambda n, rng: toy.spirals(n, arms=3, turns=0.75, noise=0.03, rng=rng),
}
CLASSIFIERS: dict[str, Callable[[Rng], Classifier]] = {
    "logistic\nregression": lambda rng: LogisticRegression(),
    "linear\ndiscriminant": lambda rng: LinearDiscriminantAnalysis(),
    "linear\nSVM": lambda rng: LinearSVC(rng=rng),
    "naive\nBayes": lambda rng: GaussianNB(),
    "RBF\nSVM": lambda rng: SVC(gamma=5.0),
    "5 nearest\nneighbours": lambda rng: KNeighborsClassifier(5),
    "decision\ntree": lambda rng: DecisionTreeClassifier(rng=rng),
    "random\nforest": lambda rng: RandomForestClassifier(100, rng=rng),
    "AdaBoost\nof stumps": lambda rng: AdaBoostClassifier(n_estimators=50),
    "gradient\nboosting": lambda rng: GradientBoostingClassifier(rng=rng),
}
GROUPED: dict[str, Callable[[int, Rng], Labelled]] = {
    "moons": lambda n, rng: toy.two_moons(n, noise=0.05, rng=rng),
    "circles": lambda n, rng: toy.circles(n, noise=0.04, ratio=0.4, rng=rng),
    "clouds": lambda n, rng: toy.blobs(n, centers=3, spread=0.38, rng=rng),
    "stretched": stretched,
    "unequal": unequal,
    "nothing": nothing,
}
CLUSTERINGS: dict[str, Callable[[int, float, Rng], Clusterer]] = {
    "k-means": lambda k, eps, rng: KMeans(k, n_init=10, rng=rng),
    "Gaussian\nmixture": lambda k, eps, rng: GaussianMixture(k, n_init=10, rng=rng),
    "spectral": lambda k, eps, rng: SpectralClustering(
        k, affinity="nearest_neighbors", n_neighbors=15, rng=rng
    ),
    "Ward": lambda k, eps, rng: AgglomerativeClustering(k),
    "single\nlinkage": lambda k, eps, rng: AgglomerativeClustering(k, linkage="single"),
    "DBSCAN": lambda k, eps, rng: DBSCAN(eps),
}
K_OF_NOTHING = 3  # groups that are asked for where there are none


@dataclass(frozen=True)
class Config:
    """What a run depends on; the seed decides points and the randomness inside the methods."""

    seed: int = 0
    train: int = 200  # points to learn from, of each labelled set
    test: int = 2_000  # points to be judged by
    grouped: int = 300  # points to group, of each set without labels
    grid: int = 160  # cells along each side of a picture of decision regions


@dataclass
class Lesson:
    """One labelled set and what each classifier made of it."""

    points: np.ndarray  # (N, 2), those learnt from
    labels: np.ndarray  # (N,)
    fitted: dict[str, Classifier]
    accuracies: dict[str, float]  # on test points


@dataclass
class Grouping:
    """One set of points and the groups each clustering found."""

    points: np.ndarray  # (N, 2)
    labels: np.ndarray  # (N,), the groups that were drawn
    found: dict[str, np.ndarray]  # (N,) ints, -1 for noise
    agreement: dict[str, float]  # adjusted Rand index of the groups found and the groups drawn


def learn(config: Config, name: str) -> Lesson:
    """Fit every classifier to the labelled set ``name`` and judge it on test points."""
    rng = streams(config.seed, f"points of {name}", f"methods on {name}")
    points, labels = LABELLED[name](config.train, rng[f"points of {name}"])
    others, truth = LABELLED[name](config.test, rng[f"points of {name}"])
    fitted = {m: make(rng[f"methods on {name}"]).fit(points, labels) for m, make in CLASSIFIERS.items()}
    return Lesson(points, labels, fitted, {m: c.score(others, truth) for m, c in fitted.items()})


def group(config: Config, name: str) -> Grouping:
    """Let every clustering loose on the set ``name``."""
    rng = streams(config.seed, f"groups of {name}", f"clusterings of {name}")
    points, labels = GROUPED[name](config.grouped, rng[f"groups of {name}"])
    k = K_OF_NOTHING if name == "nothing" else len(np.unique(labels))
    found = {}
    for method, make in CLUSTERINGS.items():
        clusters = make(k, radius(points), rng[f"clusterings of {name}"]).fit_predict(points)
        found[method] = scores.renamed(clusters, labels)
    return Grouping(points, labels, found, {m: scores.adjusted_rand(labels, f) for m, f in found.items()})


def radius(points: np.ndarray) -> float:
    """A radius for DBSCAN that looks at no label: 3.5 times the median distance to the 4th neighbour.

    Args:
        points: (N, 2).
    """
    distances, _ = NearestNeighbors(4).fit(points).kneighbors()
    return 3.5 * float(np.median(distances[:, -1]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, draw, judge; return 0 if every claim holds, 1 if not."""
    config = configure(Config, arguments, "Phase 4: classifiers and clusterings in the plane.")
    with Run("atlas", config) as run:
        claims = Claims()
        lessons = {name: learn(config, name) for name in run.track(list(LABELLED), "learning")}
        draw_classifiers(run, config, lessons)
        judge_classifiers(config, claims, {name: lesson.accuracies for name, lesson in lessons.items()})
        groupings = {name: group(config, name) for name in run.track(list(GROUPED), "grouping")}
        draw_clusterings(run, groupings)
        judge_clusterings(claims, groupings)
        claims.conclude(run, "every claim of a figure is borne out by its number")
    return run.exit_code


def shares_of(classifier: Classifier, n_classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """(M, 2) -> (M, K): the classifier's probabilities, or where it has none, 1 for what it predicts."""
    if isinstance(classifier, (LinearSVC, SVC)):
        return lambda points: np.eye(n_classes)[classifier.predict(points)]
    return classifier.predict_proba


def draw_classifiers(run: Run, config: Config, lessons: dict[str, Lesson]) -> None:
    """Decision regions: a row a set, a column a classifier."""
    caption = (
        f"Learnt from the {config.train} points shown; the number is the accuracy on {config.test:,} "
        "others, bold where it is highest. Shades: how sure the classifier is (the SVMs do not say). Not "
        "to be concluded: that who wins here wins elsewhere. Its regions fit the shape of these sets, each "
        "method is beaten on one of them, and with other settings, here one for all sets, or more points "
        "the order changes. Nor that a shade is a chance: trees are sure even where they have seen no "
        "point."
    )
    size = {"rows": len(LABELLED), "columns": len(CLASSIFIERS), "width": 12.6, "height": 8.9}
    with plots.figure("Ten ways to divide the plane", **size) as (figure, axes):
        for panel, method in zip(axes[0], CLASSIFIERS, strict=True):
            panel.set_title(method, fontsize=9, loc="center")
        for row, (name, lesson) in zip(axes, run.track(list(lessons.items()), "drawing"), strict=True):
            row[0].set_ylabel(name, fontsize=10)
            best = max(lesson.accuracies.values())
            for panel, (method, classifier) in zip(row, lesson.fitted.items(), strict=True):
                shares = shares_of(classifier, len(np.unique(lesson.labels)))
                plots.class_regions(panel, lesson.points, lesson.labels, shares, cells=config.grid, size=5)
                reached = lesson.accuracies[method]
                plots.corner(panel, f"{reached:.1%}", bold=reached == best)
        plots.caption(figure, caption)
        run.save_figure("classifiers", figure)
    rows = [(name, *(f"{a:.4f}" for a in lesson.accuracies.values())) for name, lesson in lessons.items()]
    run.save_table("classifiers", ("set", *(m.replace("\n", " ") for m in CLASSIFIERS)), rows)


def draw_clusterings(run: Run, groupings: dict[str, Grouping]) -> None:
    """Groups found: a row a set, a column a clustering."""
    caption = (
        "The number is the adjusted Rand index of the groups found and those drawn: 1 if they are the "
        "same, about 0 by chance, bold where it is highest. All but DBSCAN are told how many there are; "
        "DBSCAN is told a density and leaves out what is too thin (crosses). Last row: who is told 3 finds "
        "3 where there are none. A clustering is an answer, not a discovery: it does not show that there "
        "are groups, and without the labels nothing here says which column is right."
    )
    size = {"rows": len(GROUPED), "columns": len(CLUSTERINGS), "width": 9.4, "height": 10.2}
    with plots.figure("Six ways to group the same points", **size) as (figure, axes):
        for panel, method in zip(axes[0], CLUSTERINGS, strict=True):
            panel.set_title(method, fontsize=9, loc="center")
        for row, (name, grouping) in zip(axes, groupings.items(), strict=True):
            row[0].set_ylabel(name, fontsize=10)
            best = round(max(grouping.agreement.values()), 2)
            for panel, (method, labels) in zip(row, grouping.found.items(), strict=True):
                plots.groups(panel, grouping.points, labels)
                panel.set_aspect("equal", adjustable="datalim")
                agrees = grouping.agreement[method]
                several = labels.max() > 0
                said = f"{labels.max() + 1} groups" if several else "1 group"
                shown = said if name == "nothing" else f"{agrees + 0.0:.2f}".replace("-0.00", "0.00")
                plots.corner(panel, shown, bold=name != "nothing" and round(agrees, 2) == best)
        plots.caption(figure, caption)
        run.save_figure("clusterings", figure)
    rows = [(name, *(f"{a:.4f}" for a in g.agreement.values())) for name, g in groupings.items()]
    run.save_table("clusterings", ("set", *(m.replace("\n", " ") for m in CLUSTERINGS)), rows)


def shortfalls(table: dict[str, dict[str, float]]) -> dict[str, float]:
    """How far each method is behind the best one, on the set where it is furthest behind.

    Args:
        table: set -> method -> score.
    """
    methods = next(iter(table.values()))
    return {m: max(max(row.values()) - row[m] for row in table.values()) for m in methods}


def judge_classifiers(config: Config, claims: Claims, accuracies: dict[str, dict[str, float]]) -> None:
    """What the regions show. A bound is derived, or as in `judge_clusterings`."""

    def of(name: str, *methods: str) -> list[float]:
        return [accuracies[name][m] for m in methods]

    linear = ("logistic\nregression", "linear\ndiscriminant", "linear\nSVM")
    local = ("RBF\nSVM", "5 nearest\nneighbours", "random\nforest")
    bayes, tree = "naive\nBayes", "decision\ntree"
    stumps, boosting = "AdaBoost\nof stumps", "gradient\nboosting"
    # cos 60 = 1/2: a line that leaves the inner circle whole cuts off a third of the outer one
    best = max(of("circles", *linear))
    claims.at_most("a line gets at most 2/3 of circles right: the best of three accuracies", best, 2 / 3)
    apart = max(float(np.ptp(of(name, *linear))) for name in accuracies)
    claims.at_most("three ways to find a line: largest difference on a set", apart, 0.04)  # 0.013, 0.0062
    naive = of("circles", bayes)[0]
    claims.at_least("naive Bayes bends its boundary: accuracy on circles", naive, 0.91)  # 0.972, 0.011
    naive = of("xor", bayes)[0]
    claims.at_most("but takes coordinates one by one, and on xor neither tells", naive, 0.62)  # 0.502, 0.028
    summed = of("xor", stumps)[0]
    claims.at_most("a sum of stumps is no better: AdaBoost on xor", summed, 0.66)  # 0.514, 0.036
    deep = of("xor", boosting)[0]
    claims.at_least("a sum of trees of depth 3 is: gradient boosting on xor", deep, 0.94)  # 0.983, 0.0094
    claims.at_least("and so is a single tree", of("xor", tree)[0], 0.91)  # 0.974, 0.016
    forest = of("chessboard", local[2])[0] - of("chessboard", boosting)[0]  # 0.142, 0.038; the lowest 0.053
    claims.at_least(
        "with 16 fields depth 3 is too little: forest less boosting on the chessboard", forest, 0.0
    )
    worst = min(of("moons", *local))
    claims.at_least(
        "RBF SVM, neighbours and forest follow moons: the worst of them", worst, 0.90
    )  # 0.954, 0.0084
    worst = min(of("circles", *local))
    claims.at_least("and circles: the worst of them", worst, 0.93)  # 0.974, 0.0069
    near = of("spirals", local[1])[0]
    claims.at_least("nearest neighbours on spirals", near, 0.96)  # 0.995, 0.0036
    worst = min(of("clouds", *linear))
    claims.at_least("for two clouds a line is enough: the worst of three", worst, 0.92)  # 0.950, 0.0048
    luck = 4.0 * math.sqrt(BEST * (1.0 - BEST) / config.test)
    most = max(accuracies["clouds"].values())
    claims.at_most(f"nobody does better than {BEST:.1%} there, but for luck with the test", most, BEST + luck)
    least = min(shortfalls(accuracies).values())  # 0.027, 0.0094; the lowest 0.0085
    claims.at_least("no free lunch: every classifier is beaten on some set, at least by", least, 0.005)


def judge_clusterings(claims: Claims, groupings: dict[str, Grouping]) -> None:
    """What the groups show. Beside a bound: mean and sd over 60 seeds; it is 4 sd away or below all."""
    table = {name: grouping.agreement for name, grouping in groupings.items() if name != "nothing"}
    linking = ("spectral", "single\nlinkage", "DBSCAN")
    for name, cut, follow in (
        ("moons", 0.48, 0.75),  # 0.263, 0.054; 0.996, 0.028, the lowest 0.785
        ("circles", 0.05, 0.70),  # 0.001, 0.006; 0.989, 0.050, the lowest 0.755
    ):
        claims.at_most(f"k-means cuts {name} by a line: adjusted Rand index", table[name]["k-means"], cut)
        worst = min(table[name][m] for m in linking)
        claims.at_least(f"spectral, single linkage and DBSCAN follow {name}: the worst", worst, follow)
    for name, high, ahead in (
        ("stretched", 0.91, 0.21),  # 0.975, 0.014; 0.413, 0.049
        ("unequal", 0.95, 0.02),  # 0.992, 0.0082; 0.104, 0.029, the lowest 0.049
    ):
        mixture = table[name]["Gaussian\nmixture"]
        claims.at_least(f"the Gaussian mixture fits {name} clouds", mixture, high)
        gain = mixture - table[name]["k-means"]
        claims.at_least(f"k-means takes {name} clouds for round and equal ones: it is behind by", gain, ahead)
    claims.at_least("where they are: k-means on clouds", table["clouds"]["k-means"], 0.83)  # 0.936, 0.026
    largest = np.bincount(groupings["clouds"].found["single\nlinkage"]).max() / len(
        groupings["clouds"].labels
    )
    chain = "but they touch: share of the points in single linkage's largest group of three"
    claims.at_least(chain, largest, 0.95)  # 0.992, 0.0023
    least = min(shortfalls(table).values())  # 0.27, 0.13; the lowest 0.039
    claims.at_least("every clustering is beaten on some set, at least by", least, 0.01)
    counts = {m: len(np.unique(found[found >= 0])) for m, found in groupings["nothing"].found.items()}
    alone = counts.pop("DBSCAN")
    claims.near(
        "where there is nothing, groups found by those told 3: the fewest", min(counts.values()), 3, 0
    )
    claims.near("and by DBSCAN, which is told a density", alone, 1, 0)


if __name__ == "__main__":
    raise SystemExit(main())
