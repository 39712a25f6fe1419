"""The workloads on scikit-learn, at its own defaults but for what both sides are given."""

from __future__ import annotations

import warnings

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from benchmarks import sizes

warnings.filterwarnings("ignore")  # that so few iterations did not converge is the point of them


def version() -> str:
    return f"scikit-learn {sklearn.__version__}"


def kmeans() -> sizes.Workload:
    X = sizes.blobs(10_000, 20, 10, 6.0).astype(np.float32)
    return lambda: KMeans(10, init=X[:10], n_init=1, max_iter=50, tol=0.0).fit(X)


def gmm() -> sizes.Workload:
    X, settings = sizes.mixture()
    return lambda: GaussianMixture(**settings, init_params="random_from_data", random_state=0).fit(X)


def cart() -> sizes.Workload:
    X, y = sizes.two_classes(5_000, 20)
    X = X.astype(np.float32)
    return lambda: DecisionTreeClassifier(random_state=0).fit(X, y)


def smo() -> sizes.Workload:
    X, y = sizes.two_classes(1_000, 20)
    return lambda: SVC(C=1.0, gamma=1 / 20).fit(X, y)


def tsne() -> sizes.Workload:
    X = sizes.blobs(1_000, 20, 10, 1.0)
    model = {"method": "exact", "init": "random", "learning_rate": 50.0, "max_iter": 250, "random_state": 0}
    return lambda: TSNE(**model).fit(X)
