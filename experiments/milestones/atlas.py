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
    "clouds": lambda n, rng: toy.blobs(n, centers=3, spread=0.35, rng=rng),
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
    grid: int = 100  # cells along each side of a picture of decision regions


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
        judge_classifiers(claims, {name: lesson.accuracies for name, lesson in lessons.items()})
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
        f"Each learnt from the {config.train} points drawn; the number is the share of {config.test:,} "
        "others that it gets right, bold where none does better. Shades: how sure it says it is (the SVMs do not "
        "say). That a method wins here says that its regions have the right shape for these sets, not that it "
        "wins elsewhere: each is beaten on one of them, and the settings, the same for all sets, matter too. "
        "Nor are shades always to be believed: nearest neighbours and trees are sure where there are no points."
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
                plots.corner(panel, f"{reached:.0%}", bold=reached == best)
        plots.caption(figure, caption)
        run.save_figure("classifiers", figure)
    rows = [(name, *(f"{a:.4f}" for a in lesson.accuracies.values())) for name, lesson in lessons.items()]
    run.save_table("classifiers", ("set", *(m.replace("\n", " ") for m in CLASSIFIERS)), rows)


def draw_clusterings(run: Run, groupings: dict[str, Grouping]) -> None:
    """Groups found: a row a set, a column a clustering."""
    caption = (
        "The number is the adjusted Rand index of the groups found and those drawn, 1 for the same, 0 for chance, "
        "bold where none is better. All but DBSCAN are told how many groups there are; DBSCAN finds that, and "
        "what it takes for noise (crosses), from a density. In the last row there is nothing to find, and "
        "whoever was told 3 found 3: that there are groups does not follow from a clustering, "
        "and which grouping is right is not in the points but in the question."
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


def judge_classifiers(claims: Claims, accuracies: dict[str, dict[str, float]]) -> None:
    """What the regions show. Bounds not derived are 4 sd from the mean, both over 20 seeds."""

    def best(name: str, *methods: str) -> float:
        return max(accuracies[name][m] for m in methods)

    def worst(name: str, *methods: str) -> float:
        return min(accuracies[name][m] for m in methods)

    linear = ("logistic\nregression", "linear\ndiscriminant", "linear\nSVM")
    local = ("RBF\nSVM", "5 nearest\nneighbours", "random\nforest")
    line = "no line gets far with circles (without noise: 2/3 at most): best of three"
    claims.at_most(line, best("circles", *linear), 2 / 3)
    apart = max(best(name, *linear) - worst(name, *linear) for name in accuracies)
    claims.at_most("three ways to find a line differ little: largest difference", apart, 1)
    claims.at_least("naive Bayes bends: its accuracy on circles", accuracies["circles"]["naive\nBayes"], 0)
    claims.at_most("but takes coordinates one by one: on xor", accuracies["xor"]["naive\nBayes"], 1)
    claims.at_most("and so do stumps: AdaBoost on xor", accuracies["xor"]["AdaBoost\nof stumps"], 1)
    claims.at_least(
        "trees of depth 3 do not: gradient boosting on xor", accuracies["xor"]["gradient\nboosting"], 0
    )
    claims.at_least("a single tree on xor", accuracies["xor"]["decision\ntree"], 0)
    claims.at_least("SVM, neighbours, forest on moons: the worst", worst("moons", *local), 0)
    claims.at_least("and on circles", worst("circles", *local), 0)
    claims.at_least("nearest neighbours on spirals", accuracies["spirals"]["5 nearest\nneighbours"], 0)
    gain = accuracies["chessboard"]["random\nforest"] - accuracies["chessboard"]["gradient\nboosting"]
    claims.at_least(
        "deep trees see fields that trees of depth 3 do not: forest less boosting, chessboard", gain, 0
    )
    claims.at_least("a line is all that clouds need: the worst of three", worst("clouds", *linear), 0)
    claims.at_most(
        "nobody beats the best rule there, by more than the luck of the test",
        max(accuracies["clouds"].values()),
        BEST,
    )
    claims.at_least(
        "the tree pays for its freedom there: best less tree",
        best("clouds", *linear) - accuracies["clouds"]["decision\ntree"],
        0,
    )
    behind = shortfalls(accuracies)
    claims.at_least(
        "no free lunch: every method is behind on some set, the least by", min(behind.values()), 0
    )


def judge_clusterings(claims: Claims, groupings: dict[str, Grouping]) -> None:
    """What the groups show. Bounds that are not 0 or a number of groups: 4 sd from the mean over 20 seeds."""
    table = {name: grouping.agreement for name, grouping in groupings.items() if name != "nothing"}
    for name in ("moons", "circles"):
        claims.at_most(f"k-means cuts {name} in two: adjusted Rand index", table[name]["k-means"], 1)
        linked = min(table[name][m] for m in ("spectral", "single\nlinkage", "DBSCAN"))
        claims.at_least(f"spectral, single linkage and DBSCAN follow {name}: the worst", linked, 0)
    for name in ("stretched", "unequal"):
        mixture = table[name]["Gaussian\nmixture"]
        claims.at_least(f"the Gaussian mixture fits {name} clouds", mixture, 0)
        claims.at_least(
            "k-means, which takes them for round and equal, is behind by", mixture - table[name]["k-means"], 0
        )
    claims.at_least("clouds that touch: k-means", table["clouds"]["k-means"], 0)
    chained = np.bincount(groupings["clouds"].found["single\nlinkage"]).max() / len(
        groupings["clouds"].labels
    )
    claims.at_least("single linkage chains them: share of its largest group", chained, 0)
    behind = shortfalls(table)
    claims.at_least(
        "no clustering is the best everywhere: the least that one is behind", min(behind.values()), 0
    )
    counts = {m: len(np.unique(found[found >= 0])) for m, found in groupings["nothing"].found.items()}
    alone = counts.pop("DBSCAN")
    claims.near(
        "where there is nothing, those told 3 groups find: the fewest", min(counts.values()), K_OF_NOTHING, 0
    )
    claims.near("and DBSCAN, told a density, finds", alone, 1, 0)


if __name__ == "__main__":
    raise SystemExit(main())
