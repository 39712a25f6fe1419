"""Spectral clustering: the Laplacian, what its eigenvalues count, and clusters that no centre could find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classical_ml.clustering.spectral import (
    SpectralClustering,
    count_components,
    knn_affinity,
    normalized_laplacian,
    rbf_affinity,
    spectral_embedding,
)
from classical_ml.estimator import InvalidParameterError
from curriculum.datasets.toy import circles, two_moons
from curriculum.testing import expect, strategies


def graph(generator, n, share):
    """Symmetric weights in (0.5, 1.5) on about this share of the pairs, 0 elsewhere."""
    W = np.triu((generator.random((n, n)) < share) * generator.uniform(0.5, 1.5, (n, n)), 1)
    return W + W.T


def blocks(*sizes, weight=1.0):
    """Complete graphs without edges between them."""
    W = np.zeros((sum(sizes), sum(sizes)))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    W[labels[:, None] == labels] = weight
    return W, labels


def components(W):
    """The number of connected components, by walking."""
    unseen, count = set(range(len(W))), 0
    while unseen:
        front, count = [unseen.pop()], count + 1
        while front:
            near = {j for j in np.flatnonzero(W[front.pop()]).tolist() if j in unseen}
            unseen -= near
            front += near
    return count


def same_partition(a, b):
    """Whether two labellings group the samples alike, whatever they call the groups."""
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_rbf_affinity_by_definition(rng):
    X = rng.standard_normal((5, 3))
    want = [[np.exp(-0.7 * sum((a - b) ** 2)) for b in X] for a in X]
    with expect.unchanged(X):
        got = rbf_affinity(X, 0.7)
    expect.close(got, np.array(want), "exp(-0.7 |x_i - x_j|^2)", rtol=1e-10)


def test_knn_affinity_of_points_on_a_line():
    X = np.array([[0.0], [1.0], [3.0], [10.0]])
    want = [[1, 1, 0, 0], [1, 1, 0.5, 0], [0, 0.5, 1, 0.5], [0, 0, 0.5, 1]]
    with expect.unchanged(X):
        got = knn_affinity(X, 2)
    expect.close(got, np.array(want), "affinities of 0, 1, 3, 10 with 2 neighbours, themselves included")


def test_knn_affinity_by_definition(rng):
    X = rng.standard_normal((12, 2))
    for n_neighbors in (1, 3, 12):
        want = np.zeros((12, 12))
        for i in range(12):
            order = np.argsort(((X - X[i]) ** 2).sum(axis=1))
            want[i, order[:n_neighbors]] += 0.5
            want[order[:n_neighbors], i] += 0.5
        expect.close(knn_affinity(X, n_neighbors), want, f"affinities with {n_neighbors} neighbours")


def test_a_copy_does_not_displace_the_sample_itself():
    got = knn_affinity(np.array([[2.0], [2.0], [2.0]]), 2)
    want = [[1, 1, 0.5], [1, 1, 0], [0.5, 0, 1]]
    expect.close(got, np.array(want), "affinities of three copies: itself, then the earlier row")


@given(strategies.seeds(), st.integers(1, 12), st.sampled_from([0.1, 0.3, 1.0]))
def test_laplacian_by_definition(seed, n, share):
    generator = np.random.default_rng(seed)
    W, f = graph(generator, n, share), generator.standard_normal(n)
    degrees = W.sum(axis=1)
    want = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if W[i, j]:
                want[i, j] = -W[i, j] / np.sqrt(degrees[i] * degrees[j])
        want[i, i] = 1.0 if degrees[i] else 0.0
    with expect.unchanged(W):
        L = normalized_laplacian(W)
    expect.close(L, want, "I - D^-1/2 W D^-1/2", rtol=1e-10)
    g = f / np.sqrt(np.where(degrees > 0, degrees, 1))
    cut = 0.5 * float((W * (g[:, None] - g) ** 2).sum())
    expect.close(float(f @ L @ f), cut, "f^T L f, the cut of f", rtol=1e-9, atol=1e-12)


def test_the_diagonal_of_the_affinities_does_not_count(rng):
    W = graph(rng, 6, 0.8)
    loops = W + np.diag(rng.uniform(1, 9, 6))
    with expect.unchanged(loops):
        L = normalized_laplacian(loops)
    scale = 1 / np.sqrt(W.sum(axis=1))
    expect.close(L, np.eye(6) - scale[:, None] * W * scale, "Laplacian of a graph with loops", rtol=1e-10)


def test_eigenvalues_of_graphs_that_are_known():
    """A complete graph has 0 and n/(n-1); two vertices and one edge have 0 and 2, the largest possible."""
    for n in (2, 5):
        eigenvalues = np.linalg.eigvalsh(normalized_laplacian(np.ones((n, n))))
        want = np.array([0.0] + [n / (n - 1)] * (n - 1))
        expect.close(eigenvalues, want, f"eigenvalues of the complete graph of {n} vertices", atol=1e-12)


@given(strategies.seeds(), st.integers(1, 14), st.sampled_from([0.05, 0.15, 0.4]))
def test_zero_eigenvalues_count_components(seed, n, share):
    W = graph(np.random.default_rng(seed), n, share)
    edges = int((W > 0).sum()) // 2
    expect.equal(count_components(W), components(W), f"components of a graph of {n} vertices, {edges} edges")


def test_components_in_float32():
    W, _ = blocks(30, 30, 1, 20, weight=0.3)
    expect.equal(
        count_components(W.astype(np.float32)), 4, "components of blocks of 30, 30, 1 and 20, float32"
    )


def test_rows_of_separate_components_are_orthogonal():
    W, labels = blocks(4, 3, 5)
    W[:4, :4] *= 7.0
    rows, eigenvalues = spectral_embedding(W, 3)
    expect.close(rows @ rows.T, (labels[:, None] == labels).astype(float), "products of the rows", atol=1e-9)
    expect.close(eigenvalues, np.zeros(3), "the three smallest eigenvalues", atol=1e-12)


@pytest.mark.parametrize("n_components", [1, 3, 8])
def test_embedding_by_definition(rng, n_components):
    W = graph(rng, 8, 1.0)
    with expect.unchanged(W):
        rows, eigenvalues = spectral_embedding(W, n_components)
    scale = 1 / np.sqrt(W.sum(axis=1))
    values, vectors = np.linalg.eigh(np.eye(8) - scale[:, None] * W * scale)
    want = vectors[:, :n_components] / np.linalg.norm(vectors[:, :n_components], axis=1, keepdims=True)
    expect.close(eigenvalues, values[:n_components], "eigenvalues", rtol=1e-9, atol=1e-12)
    expect.close(rows @ rows.T, want @ want.T, "products of the rows, whatever the signs", rtol=1e-8)
    expect.equal(rows.shape, (8, n_components), "shape of the embedding")


def test_the_scale_of_the_affinities_does_not_matter(rng):
    W = graph(rng, 9, 1.0)
    first, values = spectral_embedding(W, 2)
    second, scaled = spectral_embedding(1e-3 * W, 2)
    expect.close(scaled, values, "eigenvalues of 0.001 W, against W", rtol=1e-9, atol=1e-12)
    expect.close(second @ second.T, first @ first.T, "products of the rows", rtol=1e-8)
    expect.close(np.linalg.norm(second, axis=1), np.ones(9), "lengths of the rows")


SHAPES = {
    "rings": (lambda rng: circles(240, noise=0.04, rng=rng), {"gamma": 30.0}),
    "rings, neighbours": (
        lambda rng: circles(240, noise=0.04, rng=rng),
        {"affinity": "nearest_neighbors", "n_neighbors": 9},
    ),
    "moons": (lambda rng: two_moons(240, noise=0.05, rng=rng), {"gamma": 30.0}),
    "moons, neighbours": (
        lambda rng: two_moons(240, noise=0.05, rng=rng),
        {"affinity": "nearest_neighbors"},
    ),
}


@pytest.mark.parametrize(("make", "settings"), SHAPES.values(), ids=SHAPES.keys())
def test_it_finds_shapes(rng, make, settings):
    X, labels = make(rng)
    model = SpectralClustering(2, **settings, rng=rng)
    with expect.unchanged(X):
        same = model.fit(X)
    expect.true(same is model, "fit should return the estimator")
    expect.true(
        same_partition(model.labels_, labels),
        f"the two shapes should be found, got clusters of {np.bincount(model.labels_)} with "
        f"{np.bincount(labels[model.labels_ == 0], minlength=2)} of the two shapes in the first",
    )
    W = rbf_affinity(X, 30.0) if "gamma" in settings else knn_affinity(X, settings.get("n_neighbors", 10))
    expect.close(model.affinity_matrix_, W, "affinity_matrix_")
    rows, eigenvalues = spectral_embedding(W, 2)
    expect.close(
        model.embedding_ @ model.embedding_.T, rows @ rows.T, "products of embedding_'s rows", atol=1e-8
    )
    expect.close(model.eigenvalues_, eigenvalues, "eigenvalues_", atol=1e-10)
    expect.equal(model.n_features_in_, 2, "n_features_in_")


def test_precomputed_affinities(rng):
    X, labels = two_moons(120, noise=0.03, rng=rng)
    W = rbf_affinity(X, 30.0)
    with expect.unchanged(W):
        model = SpectralClustering(2, affinity="precomputed", rng=rng).fit(W)
    expect.true(same_partition(model.labels_, labels), "the moons should be found from their affinities")
    expect.close(model.affinity_matrix_, W, "affinity_matrix_")


def test_components_are_clusters(rng):
    W, labels = blocks(3, 5, 1, 4)
    order = rng.permutation(13)
    model = SpectralClustering(4, affinity="precomputed", rng=rng)
    got = model.fit_predict(W[order][:, order])
    expect.true(same_partition(got, labels[order]), f"the four components should be the clusters: {got}")


def test_more_neighbours_than_samples(rng):
    X = np.array([[0.0], [1.0], [9.0]])
    model = SpectralClustering(2, affinity="nearest_neighbors", n_neighbors=10, rng=rng).fit(X)
    expect.close(model.affinity_matrix_, np.ones((3, 3)), "affinities of 3 samples with 10 neighbours")


def test_float32_stays_float32(rng):
    X, labels = circles(100, noise=0.02, rng=rng)
    model = SpectralClustering(2, gamma=30.0, rng=rng).fit(X.astype(np.float32))
    expect.close(model.affinity_matrix_, rbf_affinity(X, 30.0), "W", dtype=np.float32, rtol=1e-3)
    expect.equal(model.embedding_.dtype, np.dtype(np.float32), "dtype of the embedding")
    expect.true(same_partition(model.labels_, labels), "the rings should be found in float32")


def test_as_many_clusters_as_samples(rng):
    got = SpectralClustering(4, rng=rng).fit_predict([[0], [1], [3], [7]])
    expect.equal(sorted(got.tolist()), [0, 1, 2, 3], "labels of 4 clusters of 4 samples, sorted")


WRONG = [
    ({"n_clusters": 0}, ("n_clusters", "SpectralClustering", "0")),
    ({"affinity": "cosine"}, ("affinity", "cosine", "rbf")),
    ({"gamma": 0.0}, ("gamma", "0.0")),
    ({"gamma": float("inf")}, ("gamma", "inf")),
    ({"n_neighbors": 0}, ("n_neighbors", "0")),
    ({"n_init": 0}, ("n_init", "0")),
    ({"rng": None}, ("rng", "None")),
]


@pytest.mark.parametrize(("settings", "named"), WRONG, ids=[str(settings) for settings, _ in WRONG])
def test_parameters_out_of_range_are_named(settings, named):
    model = SpectralClustering(**{"n_clusters": 2, "rng": np.random.default_rng(0), **settings})
    with expect.raises(InvalidParameterError, *named):
        model.fit(np.arange(6.0).reshape(3, 2))


def test_data_that_is_no_graph_is_refused(rng):
    model = SpectralClustering(2, affinity="precomputed", rng=rng)
    with expect.raises(ValueError, "(3, 2)"):
        model.fit(np.ones((3, 2)))
    with expect.raises(ValueError, "-0.5"):
        model.fit([[1.0, -0.5], [-0.5, 1.0]])
    with expect.raises(ValueError, "0.25", "0.75"):
        model.fit([[1.0, 0.25], [0.75, 1.0]])
    with expect.raises(ValueError, "2", "3"):
        SpectralClustering(3, rng=rng).fit(np.ones((2, 2)))
    with expect.raises(ValueError, "nan"):
        SpectralClustering(1, rng=rng).fit([[np.nan]])
