"""Random forests: each tree is that of its sample, the vote is their mean, and out-of-bag means unseen."""

import numpy as np
import pytest

from classical_ml.classification.decision_tree import DecisionTreeClassifier, DecisionTreeRegressor
from classical_ml.ensemble.random_forest import (
    RandomForestClassifier,
    RandomForestRegressor,
    bootstrap_counts,
    out_of_bag,
    soft_vote,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect
from curriculum.testing.statistics import mean_is, uniform_counts
from utils.seeding import spawn

SECONDS = 5  # three claims about forests, each over several forests

KINDS = [(RandomForestClassifier, DecisionTreeClassifier), (RandomForestRegressor, DecisionTreeRegressor)]


def classes(n, rng, d=4):
    """Two overlapping classes."""
    X = rng.standard_normal((n, d))
    y = (X[:, 0] + X[:, 1] * X[:, 2] + 0.5 * rng.standard_normal(n) > 0).astype(int)
    return X, y


def problem(kind, n=40, seed=0):
    X, y = classes(n, np.random.default_rng(seed))
    return (X, y) if kind is RandomForestClassifier else (X, y + X[:, 3])


def answers(tree, X):
    """What one tree says of each row: (N, V) or (N, 1)."""
    return tree.predict_proba(X) if hasattr(tree, "predict_proba") else tree.predict(X)[:, None]


def answer(forest, X):
    return forest.predict_proba(X) if hasattr(forest, "predict_proba") else forest.predict(X)[:, None]


def fit(kind, n_estimators, seed=0, data=None, **settings):
    X, y = problem(kind) if data is None else data
    return kind(n_estimators, rng=np.random.default_rng(seed), **settings).fit(X, y)


# The pieces


def test_a_bootstrap_sample():
    rng = np.random.default_rng(0)
    counts = np.array([bootstrap_counts(30, rng) for _ in range(400)])
    expect.equal(counts.shape, (400, 30), "shape of 400 samples")
    expect.true(counts.dtype.kind in "iu", f"counts should be ints, got {counts.dtype}")
    expect.equal(set(counts.sum(axis=1).tolist()), {30}, "rows in each sample")
    uniform_counts(counts.sum(axis=0), "how often each row comes")
    once, both = (1 - 1 / 30) ** 30, (1 - 2 / 30) ** 30  # left out: one row, two rows together
    sd = np.sqrt(30 * once * (1 - once) + 30 * 29 * (both - once**2))
    mean_is((counts == 0).sum(axis=1), 30 * once, sd, "how many of 30 rows are left out")
    expect.equal(bootstrap_counts(1, rng).tolist(), [1], "counts of one row")


@pytest.mark.parametrize(("kind", "tree_kind"), KINDS, ids=["classifier", "regressor"])
def test_the_vote_is_the_mean_of_the_trees(kind, tree_kind):
    X, y = problem(kind)
    trees = [tree_kind(max_depth=depth).fit(X, y) for depth in (1, 2, 5)]
    before = [tree.tree_.value.copy() for tree in trees]
    want = np.mean([answers(tree, X) for tree in trees], axis=0)
    expect.close(soft_vote(trees, X), want, "mean of three trees", rtol=1e-10)
    expect.close(soft_vote(trees[:1], X), answers(trees[0], X), "mean of one tree", rtol=1e-10)
    for tree, value in zip(trees, before, strict=True):
        expect.equal(tree.tree_.value, value, "values of a tree after the vote")


@pytest.mark.parametrize(("kind", "tree_kind"), KINDS, ids=["classifier", "regressor"])
def test_out_of_bag_asks_only_trees_that_have_not_seen_the_row(kind, tree_kind):
    X, y = problem(kind, 6)
    y = np.arange(6) % 2 if kind is RandomForestClassifier else y
    counts = np.array([[0, 2, 1, 1, 1, 1], [0, 0, 2, 1, 1, 2], [1, 0, 1, 0, 3, 1]])
    trees = [tree_kind().fit(X, y, count) for count in counts]
    said = [answers(tree, X) for tree in trees]
    got = out_of_bag(trees, counts, X)
    want = np.full_like(said[0], np.nan)
    for row, unseen in ((0, [0, 1]), (1, [1, 2]), (3, [2])):
        want[row] = np.mean([said[b][row] for b in unseen], axis=0)
    expect.close(got, want, "means over the trees that have not seen a row, NaN where all have", rtol=1e-10)


# The forest


@pytest.mark.parametrize(("kind", "tree_kind"), KINDS, ids=["classifier", "regressor"])
def test_each_tree_is_the_tree_of_its_sample(kind, tree_kind):
    X, y = problem(kind)
    forest = fit(kind, 5, max_features=None, max_depth=4, min_samples_leaf=2)
    expect.equal(forest.counts_.shape, (5, 40), "shape of the counts")
    expect.equal(forest.counts_.sum(axis=1).tolist(), [40] * 5, "rows in each sample")
    for tree, count in zip(forest.estimators_, forest.counts_, strict=True):
        alone = tree_kind(max_depth=4, min_samples_leaf=2).fit(X, y, count)
        expect.close(
            answers(tree, X), answers(alone, X), "a tree of the forest, against one fitted on its sample"
        )
    expect.true(
        len({count.tobytes() for count in forest.counts_}) == 5, "all trees have one sample: draw anew"
    )


@pytest.mark.parametrize(("kind", "tree_kind"), KINDS, ids=["classifier", "regressor"])
def test_a_forest_without_chance_is_a_tree(kind, tree_kind):
    X, y = problem(kind)
    settings = {"max_depth": 3, "min_samples_split": 5, "min_impurity_decrease": 0.01, "ccp_alpha": 0.005}
    forest = fit(kind, 3, bootstrap=False, max_features=None, **settings)
    alone = tree_kind(**settings).fit(X, y)
    expect.close(
        answer(forest, X), answers(alone, X), "a forest with all rows and all features, against a tree"
    )
    expect.close(forest.feature_importances_, alone.feature_importances_, "importances", rtol=1e-9)
    expect.equal(forest.counts_.tolist(), [[1] * 40] * 3, "counts without bootstrap")
    other = RandomForestClassifier(2, criterion="entropy", bootstrap=False, max_features=None, max_depth=2)
    X, y = classes(40, np.random.default_rng(3))
    other.set_params(rng=np.random.default_rng(0)).fit(X, y)
    alone = DecisionTreeClassifier(criterion="entropy", max_depth=2).fit(X, y)
    expect.close(other.predict_proba(X), alone.predict_proba(X), "the same by entropy")


@pytest.mark.parametrize(("kind", "tree_kind"), KINDS, ids=["classifier", "regressor"])
def test_predictions_are_means_over_the_trees(kind, tree_kind):
    X, y = problem(kind)
    forest = fit(kind, 6)
    expect.equal(len(forest.estimators_), 6, "number of trees")
    want = np.mean([answers(tree, X) for tree in forest.estimators_], axis=0)
    expect.close(answer(forest, X), want, "means of the trees", rtol=1e-10)
    if kind is RandomForestClassifier:
        expect.equal(
            forest.predict(X).tolist(), want.argmax(axis=1).tolist(), "classes with the largest share"
        )
    expect.true(
        forest.score(X, y) > 0.6, f"score on the training rows should exceed 0.6: {forest.score(X, y)}"
    )


@pytest.mark.parametrize(("kind", "tree_kind"), KINDS, ids=["classifier", "regressor"])
def test_a_tree_does_not_depend_on_how_many_there_are(kind, tree_kind):
    X, _ = problem(kind)
    few, many = fit(kind, 2, seed=5, max_features=2), fit(kind, 5, seed=5, max_features=2)
    for b in range(2):
        expect.equal(few.counts_[b].tolist(), many.counts_[b].tolist(), f"sample of tree {b} of 2 and of 5")
        a, c = answers(few.estimators_[b], X), answers(many.estimators_[b], X)
        expect.close(a, c, f"answers of tree {b} of 2 and of 5", rtol=1e-10)
    again = fit(kind, 5, seed=5, max_features=2)
    expect.close(answer(again, X), answer(many, X), "a forest from the same seed", rtol=1e-10)
    other = fit(kind, 5, seed=6, max_features=2)
    expect.true(not np.allclose(answer(other, X), answer(many, X)), "another seed should give another forest")
    before = answer(many, X)
    expect.true(not np.allclose(answer(many.fit(*problem(kind)), X), before), "a second fit should draw anew")


@pytest.mark.parametrize(("kind", "tree_kind"), KINDS, ids=["classifier", "regressor"])
def test_a_tree_takes_its_sample_and_then_its_features_from_its_own_child(kind, tree_kind):
    X, y = problem(kind)
    rng = np.random.default_rng(3)
    forest = kind(4, max_features="sqrt", rng=rng).fit(X, y)
    expect.equal(
        rng.random(3).tolist(),
        np.random.default_rng(3).random(3).tolist(),
        "what rng draws after fit, against a fresh one: only its children should have been drawn from",
    )
    for b, child in enumerate(spawn(np.random.default_rng(3), 4)):
        count = bootstrap_counts(len(X), child)
        expect.equal(forest.counts_[b].tolist(), count.tolist(), f"sample of tree {b}, from child {b} of rng")
        alone = tree_kind(max_features="sqrt", rng=child).fit(X, y, count)
        expect.close(
            answers(forest.estimators_[b], X),
            answers(alone, X),
            f"tree {b}, against one that draws its features from child {b} of rng, after the sample",
            rtol=1e-10,
        )


def test_features_are_drawn_in_every_tree():
    X, y = np.random.default_rng(0).standard_normal((30, 9)), np.arange(30) % 2
    for kind, settings, want in (
        (RandomForestClassifier, {}, 3),
        (RandomForestRegressor, {}, 9),
        (RandomForestClassifier, {"max_features": 5}, 5),
        (RandomForestRegressor, {"max_features": 0.5}, 4),
        (RandomForestRegressor, {"max_features": "sqrt"}, 3),
        (RandomForestClassifier, {"max_features": None}, 9),
    ):
        forest = fit(kind, 2, data=(X, y), **settings)
        got = [int(tree.max_features_) for tree in forest.estimators_]
        expect.equal(got, [want] * 2, f"features of 9 that the trees draw, {kind.__name__} with {settings}")
    forest = fit(RandomForestClassifier, 6, data=(X, y), bootstrap=False, max_features=1, max_depth=1)
    roots = {int(tree.tree_.feature[0]) for tree in forest.estimators_}
    expect.true(len(roots) > 1, f"every tree should draw its own features, all roots ask about {roots}")


def test_importances_are_the_mean_of_the_trees():
    for kind in (RandomForestClassifier, RandomForestRegressor):
        X, y = problem(kind)
        X[:, 3] = 5.0
        forest = fit(kind, 5, data=(X, y), min_impurity_decrease=0.05)
        total = np.sum([tree.feature_importances_ for tree in forest.estimators_], axis=0)
        expect.close(forest.feature_importances_, total / total.sum(), "importances", rtol=1e-9)
        expect.equal(float(forest.feature_importances_[3]), 0.0, "importance of a constant feature")
        forest = fit(kind, 2, data=(np.ones((4, 2)), np.array([0, 1, 0, 1])))
        expect.equal(
            forest.feature_importances_.tolist(), [0.0, 0.0], "importances where nothing can be split"
        )
        forest = fit(kind, 12, data=(np.array([[0.0], [1.0]]), np.array([0, 1])))
        stumps = sum(int(tree.get_depth() == 0) for tree in forest.estimators_)
        expect.true(0 < stumps < 12, f"{stumps} of 12 trees on two rows have no split: expected some")
        expect.close(
            float(forest.feature_importances_[0]), 1.0, f"importance of the only feature, {stumps} trees bare"
        )


# Out-of-bag


@pytest.mark.parametrize("n_estimators", [1, 3, 12])
def test_the_out_of_bag_score_by_its_definition(n_estimators):
    for kind in (RandomForestClassifier, RandomForestRegressor):
        X, y = problem(kind)
        forest = fit(kind, n_estimators, oob_score=True)
        said = np.array([answers(tree, X) for tree in forest.estimators_])  # (B, N, V)
        want = np.full(said.shape[1:], np.nan)
        for row in range(len(X)):
            unseen = np.flatnonzero(forest.counts_[:, row] == 0)
            if len(unseen):
                want[row] = said[unseen, row].mean(axis=0)
        judged = ~np.isnan(want[:, 0])
        if kind is RandomForestClassifier:
            expect.close(forest.oob_decision_function_, want, "oob_decision_function_", rtol=1e-10)
            score = float(np.mean(want[judged].argmax(axis=1) == y[judged]))
        else:
            expect.close(forest.oob_prediction_, want[:, 0], "oob_prediction_", rtol=1e-10)
            kept, guess = y[judged], want[judged, 0]
            score = float(1 - ((kept - guess) ** 2).sum() / ((kept - kept.mean()) ** 2).sum())
        expect.close(float(forest.oob_score_), score, f"oob_score_ of {n_estimators} trees", rtol=1e-9)
        expect.equal(hasattr(fit(kind, 1), "oob_score_"), False, "whether there is a score unless asked for")


def test_where_every_row_is_in_every_sample_there_is_no_score():
    for kind in (RandomForestClassifier, RandomForestRegressor):
        with expect.quiet("a forest grown on one row"):
            forest = fit(kind, 3, data=(np.array([[2.0]]), np.array([7])), oob_score=True)
        expect.true(np.isnan(forest.oob_score_), f"oob_score_ of one row: {forest.oob_score_}, expected NaN")
        expect.close(float(forest.predict([[0.0]])[0]), 7.0, "prediction of a forest grown on one row")


def test_one_judged_row_gives_a_score_of_classes_and_none_of_numbers():
    """Half of all samples of two rows leave out one. R^2 compares with a mean, which takes two."""
    X, y = np.array([[0.0], [1.0]]), np.array([0, 1])
    seen = set()
    for seed in range(12):
        for kind in (RandomForestClassifier, RandomForestRegressor):
            forest = fit(kind, 1, seed, data=(X, y), oob_score=True)
            judged = int((forest.counts_ == 0).sum())
            want = 0.0 if judged == 1 and kind is RandomForestClassifier else np.nan
            expect.true(
                np.array_equal(forest.oob_score_, want, equal_nan=True),
                f"oob_score_ of {kind.__name__}, {judged} of 2 rows judged: {forest.oob_score_}, not {want}",
            )
            seen.add(judged)
    expect.equal(seen, {0, 1}, "numbers of rows left out of 24 samples of two rows")


def test_a_fit_without_oob_score_forgets_an_earlier_one():
    names = ["oob_score_", "oob_decision_function_", "oob_prediction_"]
    for kind in (RandomForestClassifier, RandomForestRegressor):
        forest = fit(kind, 3, oob_score=True)
        expect.true(hasattr(forest, "oob_score_"), "with oob_score=True there should be an oob_score_")
        forest.set_params(oob_score=False).fit(*problem(kind, seed=1))
        left = [name for name in names if hasattr(forest, name)]
        expect.equal(left, [], "attributes left behind by an earlier fit that judged another forest")


# What forests are for


def test_out_of_bag_agrees_with_new_rows_and_training_rows_do_not():
    """Over 20 seeds the means of 4 forests are: out-of-bag less new rows -0.006, sd 0.019; training rows less
    new rows 0.205, sd 0.011; and forest less tree, on new rows, 0.076, sd 0.008. Thresholds: 4 sd."""
    gaps = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        (X, y), (X_new, y_new) = classes(150, rng), classes(1000, rng)
        forest = RandomForestClassifier(20, oob_score=True, rng=rng).fit(X, y)
        new = forest.score(X_new, y_new)
        alone = np.mean([np.mean(tree.predict(X_new) == y_new) for tree in forest.estimators_])
        gaps.append([forest.oob_score_ - new, forest.score(X, y) - new, new - alone])
    oob, train, gain = np.mean(gaps, axis=0)
    expect.true(abs(oob) < 0.082, f"out-of-bag less new rows: {oob:.3f}, expected within 0.082 of 0")
    expect.true(train > 0.16, f"training less new rows: {train:.3f}, expected above 0.16")
    expect.true(gain > 0.044, f"forest less single tree on new rows: {gain:.3f}, expected above 0.044")


def test_random_features_make_trees_less_alike():
    """The correlation rho between the predictions of two trees of a forest, over samples of the population.

    It follows from the variance of trees within a forest, (1 - rho) v, and that of the means of forests,
    rho v + (1 - rho) v / B. Over 20 seeds rho is 0.27 with all 4 features and 0.09 with one, sd 0.02 each;
    the difference 0.176, sd 0.020. Threshold: 4 sd.
    """
    rng = np.random.default_rng(0)
    at, said = rng.standard_normal((100, 4)), {1: [], None: []}
    for _ in range(24):
        X = rng.standard_normal((40, 4))
        y = 2 * X[:, 0] + X[:, 1] * X[:, 2]
        for max_features, forests in said.items():
            forest = RandomForestRegressor(4, max_features=max_features, max_depth=5, rng=rng).fit(X, y)
            forests.append([tree.predict(at) for tree in forest.estimators_])
    rho = {}
    for max_features, forests in said.items():
        trees = np.array(forests)  # (samples, B, points)
        within = trees.var(axis=1, ddof=1).mean()
        shared = trees.mean(axis=1).var(axis=0, ddof=1).mean() - within / 4
        rho[max_features] = shared / (shared + within)
    expect.true(
        rho[None] - rho[1] > 0.096,
        f"correlation of trees, all features {rho[None]:.2f}, one {rho[1]:.2f}: expected 0.096 less",
    )


# Types, edges, errors


def test_a_class_that_most_trees_never_see():
    X = np.arange(12.0)[:, None]
    y = np.array(["dog"] * 6 + ["cat"] * 5 + ["emu"])
    forest = fit(RandomForestClassifier, 8, data=(X.tolist(), y), oob_score=True)
    expect.equal(forest.classes_.tolist(), ["cat", "dog", "emu"], "classes")
    expect.equal(int(forest.n_classes_), 3, "n_classes_")
    proba = forest.predict_proba(X)
    expect.equal(proba.shape, (12, 3), "shape of the shares")
    expect.close(proba.sum(axis=1), np.ones(12), "sums of the shares", rtol=1e-10)
    expect.equal(forest.predict([[0.0], [9.0]]).tolist(), ["dog", "cat"], "classes far from the border")
    seen = forest.counts_[:, 11] > 0
    expect.close(proba[11, 2], float(seen.mean()), "share for the only emu: of the trees that have seen it")


def test_inputs_stay_as_they_are():
    for kind in (RandomForestClassifier, RandomForestRegressor):
        X, y = problem(kind)
        with expect.unchanged(X, y):
            forest = fit(kind, 3, data=(X, y), oob_score=True)
            first = answer(forest, X)
        expect.close(answer(forest, X), first, "a second prediction", rtol=1e-12)
        expect.true(forest.score(X, y) > 0.5, f"score should exceed 0.5: {forest.score(X, y)}")
        small = fit(kind, 3, data=(X.astype(np.float32), y), max_depth=3)
        expect.equal(answer(small, X.astype(np.float32)).shape, first.shape, "shape of answers to float32")


WRONG = [
    ("n_estimators", 0, ("0",)),
    ("n_estimators", 2.5, ("2.5",)),
    ("bootstrap", "yes", ("'yes'",)),
    ("oob_score", 1, ("1",)),
    ("rng", None, ("None",)),
    ("rng", 7, ("7",)),
    ("max_depth", 0, ("0",)),
    ("min_samples_leaf", -1, ("-1",)),
    ("max_features", "all", ("'all'",)),
    ("criterion", "gain", ("'gain'",)),
]


@pytest.mark.parametrize(("name", "value", "named"), WRONG, ids=[f"{n}={v}" for n, v, _ in WRONG])
def test_parameters_out_of_range_are_named(name, value, named):
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    for kind in (RandomForestClassifier, RandomForestRegressor):
        right = {"n_estimators": 16, "rng": np.random.default_rng(0)}
        with expect.raises(InvalidParameterError, name, *named):
            kind(**(right | {name: value})).fit(X, y)
        expect.close(float(kind(**right).fit(X, y).predict([[3.0]])[0]), 1.0, "prediction", atol=0.5)


def test_rng_is_needed_without_bootstrap_too():
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    for kind in (RandomForestClassifier, RandomForestRegressor):
        with expect.raises(InvalidParameterError, "rng", "None"):
            kind(2, bootstrap=False, max_features=None).fit(X, y)
        forest = fit(kind, 2, data=(X, y), bootstrap=False)
        expect.close(float(forest.predict([[3.0]])[0]), 1.0, "prediction without bootstrap")


def test_parameters_are_checked_before_the_data():
    X, y = np.array([[0.0], [np.nan]]), np.array([0, 1])
    for kind in (RandomForestClassifier, RandomForestRegressor):
        for name, value in (("n_estimators", 0), ("max_depth", 0), ("max_features", "all")):
            with expect.raises(InvalidParameterError, name, repr(value)):
                fit(kind, **{"n_estimators": 2, "data": (X, y), name: value})
        with expect.raises(ValueError, "oob_score", "bootstrap"):
            fit(kind, 2, data=(X, y), bootstrap=False, oob_score=True)


def test_what_is_refused():
    X, y = np.array([[0.0, 1], [2, 3], [4, 5], [6, 7]]), np.array([0, 0, 1, 1])
    for kind in (RandomForestClassifier, RandomForestRegressor):
        with expect.raises(ValueError, "oob_score", "bootstrap"):
            fit(kind, 2, data=(X, y), bootstrap=False, oob_score=True)
        with expect.raises(ValueError, "NaN"):
            fit(kind, 2, data=([[np.nan, 1.0], [0.0, 1.0]], [0, 1]))
        with expect.raises(ValueError, "4", "3"):
            fit(kind, 2, data=(X, y[:3]))
        with expect.raises(NotFittedError, kind.__name__):
            answer(kind(2, rng=np.random.default_rng(0)), X)
        forest = fit(kind, 16, data=(X, y))
        with expect.raises(ValueError, "3", "2", kind.__name__):
            answer(forest, [[1.0, 2.0, 3.0]])
        expect.close(float(forest.predict(X)[3]), 1.0, "prediction for a row that was learned", atol=0.5)
    with expect.raises(ValueError, "0.5"):
        fit(RandomForestClassifier, 2, data=(X, [0.5, 1, 1, 0]))
