"""Do the reference's estimators agree with scikit-learn's and SciPy's? The same optimum, tree, likelihood.

    python -m benchmarks.classical [ROUNDS]      with an interpreter that has NumPy and scikit-learn

Each row draws its problem and its settings anew in every round, and says what is compared and how closely it
must agree; the exit code is 1 if a row does not. A difference counts relative to the largest magnitude of
what is compared, at least 1.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

Row = tuple[str, str, float, Callable[[np.random.Generator], float]]


def main(rounds: int = 100) -> int:
    """Compare everything ``rounds`` times, print a line a row, return the exit code."""
    from curriculum import manifest, overlay

    course = manifest.load(Path(__file__).parents[1])
    overlay.install(overlay.Overlay(course.root, course.packages, "solutions"))
    warnings.filterwarnings("ignore")  # that a start does not converge is compared, too
    bad = 0
    for i, (name, what, allowed, difference) in enumerate(rows()):
        worst = max(difference(np.random.default_rng((n, i))) for n in range(rounds))
        bad += not worst <= allowed
        mark = "" if worst <= allowed else "   TOO LARGE"
        print(f"{name:28s} {rounds:4d} problems   {what:36s} {worst:.0e}, allowed {allowed:.0e}{mark}")
    return int(bad > 0)


def apart(ours: object, theirs: object) -> float:
    """The largest difference, relative to the largest magnitude, at least 1; infinite where shapes differ."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max(initial=0.0) / max(1.0, np.abs(b).max(initial=0.0)))


def numbers(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features, some of them far from 0 or copies of each other, and targets."""
    n, d = int(rng.integers(3, 40)), int(rng.integers(1, 12))
    X = rng.standard_normal((n, d)) + rng.choice([0.0, 100.0])
    if d > 1 and rng.random() < 0.3:
        X[:, 0] = X[:, -1]
    return X, X @ rng.standard_normal(d) + rng.standard_normal(n)


def labelled(rng: np.random.Generator, classes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping clouds: features (N, D) and names of classes, every one there."""
    v, d = classes or int(rng.integers(2, 5)), int(rng.integers(1, 7))
    y = np.concatenate([np.arange(v), rng.integers(v, size=int(rng.integers(20, 80)))])
    X = 1.5 * rng.standard_normal((v, d))[y] + rng.standard_normal((len(y), d))
    return X, np.array(["a", "b", "c", "d"])[y]


def rows() -> list[Row]:
    """(name, what is compared, what is allowed, the difference on one problem)."""
    from scipy.cluster import hierarchy as scipy_hierarchy
    from sklearn import (
        cluster,
        decomposition,
        discriminant_analysis,
        linear_model,
        mixture,
        naive_bayes,
        neighbors,
        svm,
        tree,
    )
    from sklearn.manifold import _t_sne

    from classical_ml.classification import decision_tree, knn, logistic
    from classical_ml.classification import naive_bayes as our_bayes
    from classical_ml.classification import svm as our_svm
    from classical_ml.clustering import dbscan, gmm, hierarchical, kmeans
    from classical_ml.reduction import lda, pca, tsne
    from classical_ml.regression import elastic_net, lasso, linear, ridge

    def least_squares(rng):
        X, y = numbers(rng)
        mine, other = linear.LinearRegression().fit(X, y), linear_model.LinearRegression().fit(X, y)
        return max(apart(mine.coef_, other.coef_), apart(mine.predict(X), other.predict(X)))

    def penalised(rng):
        X, y = numbers(rng)
        alpha = 10 ** rng.uniform(-2, 2)
        mine, other = ridge.Ridge(alpha).fit(X, y), linear_model.Ridge(alpha, solver="svd").fit(X, y)
        return max(apart(mine.coef_, other.coef_), apart(mine.predict(X), other.predict(X)))

    def objective(X, y, model, alpha, l1_ratio):
        w, r = model.coef_, y - model.predict(X)
        return r @ r / (2 * len(y)) + alpha * (l1_ratio * np.abs(w).sum() + (1 - l1_ratio) / 2 * (w @ w))

    def sparse(rng):
        X, y = numbers(rng)
        alpha, ratio = 10 ** rng.uniform(-1, 0.5), float(rng.uniform(0.2, 1.0))
        settings = {"l1_ratio": ratio, "tol": 1e-10, "max_iter": 3000}
        mine = elastic_net.ElasticNet(alpha, **settings).fit(X, y)
        other = linear_model.ElasticNet(alpha, **settings).fit(X, y)
        l1 = lasso.Lasso(alpha, tol=1e-10, max_iter=3000).fit(X, y)
        l1_other = linear_model.Lasso(alpha, tol=1e-10, max_iter=3000).fit(X, y)
        return max(
            apart(objective(X, y, mine, alpha, ratio), objective(X, y, other, alpha, ratio)),
            apart(objective(X, y, l1, alpha, 1.0), objective(X, y, l1_other, alpha, 1.0)),
        )

    def probabilities(rng):
        X, y = labelled(rng)
        C = 10 ** rng.uniform(-2, 2)
        mine = logistic.LogisticRegression(C=C, tol=1e-10, max_iter=200).fit(X, y)
        other = linear_model.LogisticRegression(C=C, tol=1e-10, solver="newton-cg", max_iter=1000).fit(X, y)
        return apart(mine.predict_proba(X), other.predict_proba(X))

    def machine(rng):
        X, y = labelled(rng, 2)
        kernel, C = str(rng.choice(["linear", "poly", "rbf"])), 10 ** rng.uniform(-1, 1)
        settings = {"kernel": kernel, "C": C, "gamma": 0.5, "coef0": 1.0, "degree": 2, "tol": 1e-8}
        mine, other = our_svm.SVC(**settings).fit(X, y), svm.SVC(**settings).fit(X, y)

        def dual(model):
            beta, S = model.dual_coef_[0], model.support_vectors_
            K = our_svm.kernel_matrix(S, S, kernel, gamma=0.5, coef0=1.0, degree=2)
            return np.abs(beta).sum() - beta @ K @ beta / 2

        return apart(dual(mine), dual(other))

    def impurity_left(rng):
        """By the best single cut: below it, cuts that tie may lead to different trees."""
        X, y = labelled(rng)
        settings = {"criterion": str(rng.choice(["gini", "entropy"])), "max_depth": 1, "min_samples_leaf": 3}
        mine = decision_tree.DecisionTreeClassifier(**settings).fit(X, y).tree_
        other = tree.DecisionTreeClassifier(**settings, random_state=0).fit(X, y).tree_
        left = [t.impurity[1:] @ t.n_node_samples[1:] for t in (mine, other)]
        return apart(*left)

    def neighbours(rng):
        X, y = labelled(rng)
        settings = {"n_neighbors": 3, "weights": str(rng.choice(["uniform", "distance"]))}
        queries = rng.standard_normal((20, X.shape[1]))
        mine = knn.KNeighborsClassifier(**settings, algorithm=str(rng.choice(["brute", "kd_tree"])))
        other = neighbors.KNeighborsClassifier(**settings).fit(X, y)
        return apart(mine.fit(X, y).predict_proba(queries), other.predict_proba(queries))

    def bayes(rng):
        X, y = labelled(rng)
        counts = rng.poisson(np.abs(X) * 3)
        return max(
            apart(getattr(our_bayes, name)().fit(Z, y).predict_proba(Z),
                  getattr(naive_bayes, name)().fit(Z, y).predict_proba(Z))
            for name, Z in (("GaussianNB", X), ("MultinomialNB", counts), ("BernoulliNB", X))
        )  # fmt: skip

    def centres(rng):
        X, _ = labelled(rng)
        start = X[rng.choice(len(X), 3, replace=False)]
        mine = kmeans.KMeans(3, init=start, tol=0.0).fit(X)
        other = cluster.KMeans(3, init=start, n_init=1, tol=0.0, algorithm="lloyd").fit(X)
        return max(apart(mine.inertia_, other.inertia_), apart(mine.cluster_centers_, other.cluster_centers_))

    def likelihoods(rng):
        X, _ = labelled(rng)
        d, kind = X.shape[1], str(rng.choice(["full", "tied", "diag", "spherical"]))
        eye = {"full": np.tile(np.eye(d), (2, 1, 1)), "tied": np.eye(d), "diag": np.ones((2, d)),
               "spherical": np.ones(2)}[kind]  # fmt: skip
        start = {"weights_init": [0.5, 0.5], "means_init": X[:2], "precisions_init": eye}
        settings = {"covariance_type": kind, "max_iter": 30, "reg_covar": 1e-3, **start}
        mine = gmm.GaussianMixture(2, **settings).fit(X)
        other = mixture.GaussianMixture(2, **settings, init_params="random").fit(X)
        return max(apart(mine.lower_bound_, other.lower_bound_), apart(mine.bic(X), other.bic(X)))

    def density(rng):
        X, _ = labelled(rng)
        eps = float(rng.uniform(0.3, 1.5))
        return apart(
            dbscan.DBSCAN(eps, min_samples=4).fit(X).labels_,
            cluster.DBSCAN(eps=eps, min_samples=4).fit(X).labels_,
        )

    def merges(rng):
        X, _ = labelled(rng)
        kind = str(rng.choice(["single", "complete", "average", "ward"]))
        return apart(hierarchical.linkage(X, kind), scipy_hierarchy.linkage(X, kind))

    def components(rng):
        X, _ = numbers(rng)
        k = int(rng.integers(1, min(X.shape) + 1))
        mine, other = pca.PCA(k).fit(X), decomposition.PCA(k, svd_solver="full").fit(X)
        plane, their_plane = (
            mine.inverse_transform(mine.transform(X)),
            other.inverse_transform(other.transform(X)),
        )
        return max(apart(mine.explained_variance_, other.explained_variance_), apart(plane, their_plane))

    def discriminants(rng):
        X, y = labelled(rng)
        mine = lda.LinearDiscriminantAnalysis().fit(X, y)
        other = discriminant_analysis.LinearDiscriminantAnalysis().fit(X, y)
        return apart(mine.predict_proba(X), other.predict_proba(X))

    def affinities(rng):
        X = labelled(rng)[0].astype(np.float32)
        squares = ((X[:, None].astype(np.float64) - X) ** 2).sum(axis=2)
        theirs = _t_sne._joint_probabilities(squares.astype(np.float32), 5.0, 0)
        mine = tsne.joint_probabilities(squares, 5.0)
        return float(np.abs(mine[np.triu_indices(len(X), 1)] - theirs).max() / theirs.max())

    return [
        ("LinearRegression", "coefficients, predictions", 1e-8, least_squares),
        ("Ridge", "coefficients, predictions", 1e-8, penalised),
        ("Lasso, ElasticNet", "objective", 1e-6, sparse),
        ("LogisticRegression", "probabilities", 1e-5, probabilities),
        ("SVC", "dual objective", 1e-6, machine),
        ("DecisionTreeClassifier", "impurity that the first cut leaves", 1e-9, impurity_left),
        ("KNeighborsClassifier", "probabilities", 1e-9, neighbours),
        ("naive Bayes, all three", "probabilities", 1e-8, bayes),
        ("KMeans", "inertia, centres", 1e-8, centres),
        ("GaussianMixture", "likelihood, BIC", 1e-8, likelihoods),
        ("DBSCAN", "labels", 0.0, density),
        ("linkage", "merges and heights", 1e-9, merges),
        ("PCA", "variances, projection", 1e-8, components),
        ("LDA", "probabilities", 1e-7, discriminants),
        ("t-SNE", "joint probabilities", 1e-4, affinities),
    ]


if __name__ == "__main__":
    raise SystemExit(main(*[int(word) for word in sys.argv[1:2]]))
