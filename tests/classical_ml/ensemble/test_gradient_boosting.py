"""Gradient boosting: losses and their derivatives, the loop by its definition, closed forms of descent."""

import math

import numpy as np
import pytest

from classical_ml.ensemble.gradient_boosting import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    binary_log_loss,
    draw,
    multinomial_log_loss,
    squared_error,
    step,
)
from classical_ml.ensemble.histogram_tree import Tree, find_thresholds, grow, to_bins
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect
from curriculum.testing.statistics import uniform_counts

KINDS = ["numbers", "two classes", "three classes"]


def problem(kind, n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    f = X[:, 0] + np.abs(X[:, 1]) + 0.5 * rng.standard_normal(n)
    return X, {"numbers": f, "two classes": (f > 0.7) * 1, "three classes": np.digitize(f, [0.2, 1.2])}[kind]


def make(kind, **settings):
    return (GradientBoostingRegressor if kind == "numbers" else GradientBoostingClassifier)(**settings)


def raw(model, X):
    """F as (N, C)."""
    F = model.predict(X) if isinstance(model, GradientBoostingRegressor) else model.decision_function(X)
    return F.reshape(len(X), -1)


def by_hand(kind, y, F):
    """Mean loss, gradient and hessian at F (N, C), as the lesson has them."""
    if kind == "numbers":
        return 0.5 * np.mean((y - F[:, 0]) ** 2), F - y[:, None], np.ones_like(F)
    full = np.hstack([0 * F, F]) if kind == "two classes" else F
    p = np.exp(full) / np.exp(full).sum(axis=1, keepdims=True)
    own = np.eye(p.shape[1])[y]
    loss, g, h = -np.mean(np.log(p[np.arange(len(y)), y])), p - own, p * (1 - p)
    return (loss, g[:, 1:], h[:, 1:]) if kind == "two classes" else (loss, g, h)


def first_F(kind, y):
    if kind == "numbers":
        return np.array([y.mean()])
    log_share = np.log(np.bincount(y) / len(y))
    return log_share[1:] - log_share[:1] if kind == "two classes" else log_share - log_share.mean()


LOSSES = {"numbers": squared_error, "two classes": binary_log_loss, "three classes": multinomial_log_loss}


# Losses


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_and_its_derivatives(kind):
    rng = np.random.default_rng(0)
    y = rng.standard_normal(7) if kind == "numbers" else rng.permutation([0, 1, 2, 0, 1, 2, 0])
    y = np.minimum(y, 1) if kind == "two classes" else y
    target = np.eye(3)[y] if kind == "three classes" else y[:, None].astype(float)
    F = rng.standard_normal(target.shape)
    with expect.unchanged(target, F):
        got = LOSSES[kind](target, F)
    loss, gradient, hessian = by_hand(kind, y, F)
    expect.equal(got.value.shape, (7,), "shape of the loss of 7 rows")
    expect.close(float(got.value.mean()), float(loss), f"mean loss, {kind}", rtol=1e-10)
    expect.close(got.gradient, gradient, f"gradient, {kind}", rtol=1e-10)
    expect.close(got.hessian, hessian, f"hessian, {kind}", rtol=1e-10)
    for c in range(F.shape[1]):
        e = 1e-5 * np.eye(F.shape[1])[c]
        up, down = LOSSES[kind](target, F + e), LOSSES[kind](target, F - e)
        slope = (up.value - down.value) / 2e-5
        expect.close(got.gradient[:, c], slope, f"gradient {c} against a difference, {kind}", atol=1e-8)
        bend = (up.gradient[:, c] - down.gradient[:, c]) / 2e-5
        expect.close(got.hessian[:, c], bend, f"hessian {c} against a difference, {kind}", atol=1e-8)


def test_losses_far_out():
    F, target = np.array([[800.0], [-800.0]]), np.array([[0.0], [0.0]])
    with expect.quiet("the log loss at F = 800"):
        two = binary_log_loss(target, F)
        three = multinomial_log_loss(np.array([[0.0, 1, 0]]), np.array([[0.0, -800, -900]]))
    expect.close(two.value, np.array([800.0, 0.0]), "loss of class 0 at F = 800, -800", atol=1e-12)
    expect.close(two.gradient, np.array([[1.0], [0.0]]), "gradient there", atol=1e-12)
    expect.close(three.value, np.array([800.0]), "loss of a class at F = -800, the best at 0")


def test_a_share_is_drawn():
    rng = np.random.default_rng(0)
    rows = np.array([draw(10, 0.5, rng) for _ in range(300)])
    expect.equal(rows.shape, (300, 5), "shape of 300 draws of half of 10 rows")
    expect.true(bool((np.diff(rows, axis=1) > 0).all()), "rows should be different ones, in rising order")
    uniform_counts(np.bincount(rows.ravel(), minlength=10), "how often each row is drawn")
    for n, share, want in ((10, 0.39, 3), (3, 0.1, 1), (4, 1.0, 4), (1, 0.5, 1)):
        expect.equal(len(draw(n, share, rng)), want, f"number of rows drawn of {n}, share {share}")


def test_a_round_has_a_column_for_each_tree():
    leaf = [Tree(*map(np.array, ([-1], [0], [-1], [-1], [value]))) for value in (1.5, -2.0)]
    got = step(leaf, np.zeros((3, 4), np.uint8))
    expect.close(got, np.tile([1.5, -2.0], (4, 1)), "what two trees that are leaves add to 4 rows")


# The loop


@pytest.mark.parametrize("settings", [
    {"learning_rate": 0.3, "max_depth": 2}, {"learning_rate": 0.1, "l2_regularization": 3.0},
    {"max_depth": None, "max_leaf_nodes": 5, "min_samples_leaf": 4}, {"max_bins": 5, "learning_rate": 0.5},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", KINDS)
def test_boosting_by_its_definition(kind, settings):
    X, y = problem(kind)
    new = np.random.default_rng(1).standard_normal((20, 3))
    with expect.unchanged(X, y):
        model = make(kind, n_estimators=4, **settings).fit(X, y)
    full = {"learning_rate": 0.1, "max_depth": 3, "max_leaf_nodes": None, "min_samples_leaf": 1} | settings
    limits = {name: full[name] or math.inf for name in ("max_depth", "max_leaf_nodes", "min_samples_leaf")}
    l2, bins = full.get("l2_regularization", 0.0), full.get("max_bins", 255)
    cuts = [find_thresholds(x, bins) for x in X.T]
    binned, binned_new = to_bins(X, cuts), to_bins(new, cuts)
    F, F_new = np.tile(first_F(kind, y), (60, 1)), np.tile(first_F(kind, y), (20, 1))
    for t in range(4):
        _, gradient, hessian = by_hand(kind, y, F)
        F = F.copy()
        for c in range(F.shape[1]):
            tree = grow(binned, np.arange(60), gradient[:, c], hessian[:, c], l2=l2, **limits)
            F[:, c] += full["learning_rate"] * tree.predict(binned)
            F_new[:, c] += full["learning_rate"] * tree.predict(binned_new)
        what = f"mean loss after round {t + 1}, {kind}"
        expect.close(float(model.train_score_[t]), float(by_hand(kind, y, F)[0]), what, rtol=1e-8)
    expect.close(raw(model, X), F, f"F of the training rows, {kind}", rtol=1e-8)
    own = model.init_ + sum(step(trees, binned) for trees in model.estimators_)
    expect.close(own, F, f"init_ and the values of estimators_, times the learning rate, {kind}", rtol=1e-8)
    expect.close(raw(model, new), F_new, f"F of new rows, {kind}", rtol=1e-8)
    expect.equal(len(model.train_score_), 4, "number of scores")
    expect.equal([len(trees) for trees in model.estimators_], [F.shape[1]] * 4, "trees of each round")
    expect.equal((int(model.n_estimators_), model.n_features_in_), (4, 3), "n_estimators_, n_features_in_")


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_first_tree_there_is_the_best_constant(kind):
    X, y = problem(kind)
    model = make(kind, n_estimators=1, learning_rate=1e-9).fit(X, y)
    expect.close(np.asarray(model.init_), first_F(kind, y), f"init_, {kind}", rtol=1e-10)
    expect.close(raw(model, X), np.tile(first_F(kind, y), (60, 1)), f"F at a tiny rate, {kind}", atol=1e-6)
    shares = np.full(60, y.mean()) if kind == "numbers" else np.tile(np.bincount(y) / 60, (60, 1))
    got = model.predict(X) if kind == "numbers" else model.predict_proba(X)
    expect.close(got, shares, "first prediction: the mean, or the shares of the classes", atol=1e-6)
    stump = make(kind, n_estimators=3, min_samples_leaf=31).fit(X, y)
    expect.close(raw(stump, X), np.tile(first_F(kind, y), (60, 1)), "F if no tree may split", atol=1e-10)


def test_a_tree_takes_its_share_of_the_step():
    binned, g, h = np.array([[0, 0, 1, 1]], np.uint8), np.array([-1.0, -1, 3, 9]), np.ones(4)
    model = GradientBoostingRegressor(learning_rate=0.5, max_depth=None)
    tree = model.grow_one(binned, np.arange(3), g, h)
    want = np.array([0.5, 0.5, -1.5, -1.5])
    expect.close(tree.predict(binned), want, "values of a tree on rows 0, 1 and 2, at the learning rate 0.5")


# Closed forms and certificates


def test_residuals_of_steps_shrink_by_the_learning_rate():
    X = np.repeat(np.arange(3.0), 4)[:, None]
    y = np.repeat([5.0, -1.0, 2.0], 4)
    once = GradientBoostingRegressor(learning_rate=1.0, n_estimators=1, max_depth=2).fit(X, y)
    expect.close(once.predict(X), y, "predictions after one whole step")
    model = GradientBoostingRegressor(learning_rate=0.3, n_estimators=6, max_depth=2).fit(X, y)
    for t, said in enumerate(model.staged_predict(X)):
        want = y - 0.7 ** (t + 1) * (y - 2.0)
        expect.close(said, want, f"predictions after {t + 1} rounds at the rate 0.3", rtol=1e-10)


def test_newton_squares_the_error_of_the_log_odds():
    """One leaf for each x: F there is Newton's method for log(p / (1 - p)), and its error is squared."""
    X = np.repeat([0.0, 1.0], 8)[:, None]
    y = np.r_[np.arange(8) < 2, np.arange(8) < 6].astype(int)
    errors = []
    for rounds in (1, 2, 3):
        model = GradientBoostingClassifier(learning_rate=1.0, n_estimators=rounds).fit(X, y)
        away = np.abs(model.decision_function(X) - np.repeat([-math.log(3), math.log(3)], 8))
        errors.append(float(away.max()))
    expect.close(errors[0], math.log(3) - 1, "error after the first step, from 0 to 1", rtol=1e-9)
    expect.true(
        errors[1] < errors[0] ** 2 and errors[2] < errors[1] ** 2,
        f"each error below the last squared: {errors}",
    )


@pytest.mark.parametrize("l2", [0.0, 5.0])
def test_the_squared_error_falls_by_what_the_leaves_say(l2):
    """A leaf's step lowers the sum of squares by r (2 - r H / (H + l2)) G^2 / (H + l2), never less than 0."""
    X, y = problem("numbers")
    rate = 0.4
    model = GradientBoostingRegressor(learning_rate=rate, n_estimators=8, l2_regularization=l2).fit(X, y)
    before = np.full(60, y.mean())
    for t, said in enumerate(model.staged_predict(X)):
        moved = said - before
        want = 0.0
        for value in np.unique(np.round(moved, 12)):
            rows = np.abs(moved - value) < 1e-9
            G, H = (before - y)[rows].sum(), rows.sum()
            want += rate * (2 - rate * H / (H + l2)) * G * G / (H + l2)
        fall = ((y - before) ** 2).sum() - ((y - said) ** 2).sum()
        expect.close(float(fall), float(want), f"fall of the squared error in round {t + 1}", rtol=1e-6)
        before = said
    falls = np.diff(model.train_score_)
    expect.true(bool((falls < 0).all()), f"train_score_ should fall in each round: {model.train_score_}")


@pytest.mark.parametrize("kind", KINDS)
def test_stages_end_in_the_prediction(kind):
    X, y = problem(kind)
    model = make(kind, n_estimators=5).fit(X, y)
    stages = list(model.staged_predict(X))
    expect.equal(len(stages), 5, "number of stages")
    expect.equal(stages[-1].tolist(), model.predict(X).tolist(), "the last stage, the prediction")
    fewer = make(kind, n_estimators=2).fit(X, y)
    expect.equal(stages[1].tolist(), fewer.predict(X).tolist(), "the second stage, two rounds")
    expect.true(
        len({stage.tobytes() for stage in stages}) > 1, "stages should differ: yield a new array each time"
    )


def test_classes():
    for kind, names in (("two classes", ["no", "yes"]), ("three classes", ["a", "b", "c"])):
        X, y = problem(kind)
        model = GradientBoostingClassifier(n_estimators=10).fit(X.tolist(), np.array(names)[y].tolist())
        expect.equal((model.classes_.tolist(), int(model.n_classes_)), (names, len(names)), "classes")
        F = model.decision_function(X)
        expect.equal(F.shape, (60,) if len(names) == 2 else (60, 3), f"shape of the decision, {kind}")
        full = np.stack([0 * F, F], axis=1) if len(names) == 2 else F
        p = np.exp(full) / np.exp(full).sum(axis=1, keepdims=True)
        expect.close(model.predict_proba(X), p, f"probabilities, {kind}", rtol=1e-10)
        expect.equal(model.predict(X).tolist(), [names[k] for k in p.argmax(axis=1)], f"classes, {kind}")
        expect.true(model.score(X, np.array(names)[y]) > 0.8, f"score on the training rows, {kind}: {model}")


def test_the_first_of_classes_that_tie():
    X, y = problem("three classes")
    names = np.array(["a", "b", "c"])
    three = GradientBoostingClassifier(n_estimators=1).fit(X, names[y])
    F = np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 3.0, 3.0]])
    expect.equal(three.answers(F).tolist(), ["a", "b", "a"], f"classes where F is {F.tolist()}")
    two = GradientBoostingClassifier(n_estimators=1).fit(X, names[y % 2])
    F = np.array([[0.0], [1e-9], [-1e-9]])
    expect.equal(two.answers(F).tolist(), ["a", "b", "a"], f"classes where F is {F.tolist()}")


# Chance


def test_a_tree_grows_on_the_rows_that_are_drawn():
    X = np.arange(40.0)[:, None]
    y = np.random.default_rng(3).standard_normal(40)
    settings = {"learning_rate": 1.0, "n_estimators": 1, "max_depth": None, "subsample": 0.55}
    model = GradientBoostingRegressor(**settings, rng=np.random.default_rng(0)).fit(X, y)
    exact = int((np.abs(model.predict(X) - y) < 1e-9).sum())
    expect.equal(exact, 22, "rows that a tree without limits fits exactly, of 40 with a share of 0.55")
    expect.close(
        float(model.train_score_[0]),
        float(0.5 * np.mean((y - model.predict(X)) ** 2)),
        "loss of all rows",
        rtol=1e-9,
    )
    again = GradientBoostingRegressor(**settings, rng=np.random.default_rng(0)).fit(X, y)
    expect.close(again.predict(X), model.predict(X), "predictions with the same seed")
    other = GradientBoostingRegressor(**settings, rng=np.random.default_rng(1)).fit(X, y)
    expect.true(not np.allclose(other.predict(X), model.predict(X)), "another seed should draw other rows")
    two = model.set_params(n_estimators=2, rng=np.random.default_rng(0)).fit(X, y)
    exact = int((np.abs(two.predict(X) - y) < 1e-9).sum())
    expect.true(
        22 < exact < 40, f"rows fitted after 2 rounds: {exact}, expected others to be drawn than before"
    )


def test_rows_held_out_teach_nothing():
    X = np.arange(40.0)[:, None]
    y = np.random.default_rng(3).standard_normal(40)
    held = {"n_iter_no_change": 1, "validation_fraction": 0.3, "rng": np.random.default_rng(0)}
    settings = {"learning_rate": 1.0, "n_estimators": 1, "max_depth": None}
    model = GradientBoostingRegressor(**settings, **held).fit(X, y)
    exact = int((np.abs(model.predict(X) - y) < 1e-9).sum())
    expect.equal(exact, 28, "rows that a tree without limits fits exactly, of 40 with 12 held out")
    expect.close(np.asarray(model.init_), y.mean(keepdims=True), "init_, of all rows, also those held out")


class Watched(GradientBoostingClassifier):
    """Remembers the rows that each tree is grown on."""

    def grow_one(self, binned, rows, g, h):
        self.seen.append(sorted(np.asarray(rows).tolist()))
        return super().grow_one(binned, rows, g, h)


def test_each_round_draws_from_the_rows_that_teach():
    """60 rows, 18 held out, and half of the other 42 in each of 30 rounds of 3 trees."""
    X, y = problem("three classes")
    settings = {"n_estimators": 30, "max_depth": 1, "subsample": 0.5, "validation_fraction": 0.3}
    held_out = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        model = Watched(n_iter_no_change=60, rng=rng, **settings)
        model.seen = []
        model.fit(X, y)
        seen = model.seen
        expect.equal([len(rows) for rows in seen], [21] * 90, "rows of each tree: half of those not held out")
        rounds = [seen[t : t + 3] for t in range(0, 90, 3)]
        once = all(a == b == c for a, b, c in rounds)
        expect.true(once, "the three trees of a round should grow on the same rows: draw once a round")
        teach = sorted(set().union(*seen))
        expect.equal(len(teach), 42, "different rows that were drawn in 30 rounds, 18 of 60 being held out")
        held = np.setdiff1d(np.arange(60), teach)
        loss, _, _ = by_hand("three classes", y[held], raw(model, X)[held])
        what = "last loss of the rows held out, as those that no tree was grown on"
        expect.close(float(model.validation_score_[-1]), float(loss), what, rtol=1e-8)
        for x, cuts in zip(X[teach].T, model.bin_thresholds_, strict=True):
            what = "cuts of a feature, between the rows that are not held out"
            expect.close(np.asarray(cuts), find_thresholds(x, 255), what)
        expect.close(
            np.asarray(model.init_), first_F("three classes", y), "init_, of all rows, also those held out"
        )
        held_out.append(held.tolist())
    expect.true(held_out[0] != held_out[1], f"rows held out should be drawn, for two seeds: {held_out}")


@pytest.mark.parametrize("kind", ["numbers", "two classes"])
def test_it_stops_when_rows_held_out_get_no_better(kind):
    X, y = problem(kind, 100)
    settings = {"n_estimators": 200, "learning_rate": 0.2, "validation_fraction": 0.3, "tol": 0.02}
    model = make(kind, **settings, n_iter_no_change=4, rng=np.random.default_rng(0)).fit(X, y)
    scores, n = np.asarray(model.validation_score_), int(model.n_estimators_)
    expect.true(4 <= n < 200, f"rounds until it stopped: {n}, expected fewer than 200")
    expect.equal(
        (len(scores), len(model.train_score_), len(model.estimators_)), (n, n, n), "scores and rounds"
    )
    best, waited, want = math.inf, 0, None
    for t, score in enumerate(scores):
        best, waited = (score, 0) if score < best - 0.02 else (best, waited + 1)
        if waited == 4 and want is None:
            want = t + 1
    expect.true(
        n == want,
        f"it stopped after round {n}, expected {want or 'more'}: after 4 in a row that are not more than "
        f"0.02 below the last round that was; losses of the rows held out {np.round(scores, 4)}",
    )
    losses = LOSSES[kind](np.asarray(y, float)[:, None], raw(model, X)).value
    both = 0.7 * model.train_score_[-1] + 0.3 * scores[-1]
    expect.close(
        float(both), float(losses.mean()), "mean loss of the rows learned from and those held out", rtol=1e-8
    )
    never = make(kind, n_estimators=3).fit(X, y)
    expect.equal(np.asarray(never.validation_score_).shape, (0,), "validation scores without rows held out")


def test_what_counts_as_a_better_round():
    """y = -1, 1 by x: whatever rows are held out, their loss after t rounds is 0.81^t / 2."""
    y = np.tile([-1.0, 1.0], 20)
    held = {"n_iter_no_change": 2, "tol": 0.1, "validation_fraction": 0.25}
    model = GradientBoostingRegressor(**held, n_estimators=20, rng=np.random.default_rng(0))
    model.fit(y[:, None], y)
    scores, n = np.asarray(model.validation_score_), int(model.n_estimators_)
    expect.close(scores, 0.5 * 0.81 ** np.arange(1, n + 1), "losses of the rows held out", rtol=1e-9)
    expect.true(
        n == 6,
        f"it stopped after round {n}, expected 6: from 0.5 round 2 is better by more than 0.1, then "
        "round 4 is, and rounds 5 and 6 are not (0.174 and 0.141 after 0.215)",
    )
    flat = GradientBoostingRegressor(**(held | {"tol": 0.0}), rng=np.random.default_rng(0))
    flat.fit(y[:, None], np.full(40, 2.0))
    expect.equal(int(flat.n_estimators_), 2, "rounds at tol 0 where the loss stays 0, never below it")


def test_a_first_round_that_is_worse_than_the_start_is_the_last():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 3)), rng.standard_normal(200)  # noise: a whole tree doubles its variance
    held = {"n_iter_no_change": 1, "validation_fraction": 0.3, "rng": rng}
    model = GradientBoostingRegressor(learning_rate=1.0, max_depth=None, **held).fit(X, y)
    expect.equal(int(model.n_estimators_), 1, "rounds where the first makes it worse")


# Types, edges, errors


def test_edges():
    least = {"max_depth": 1, "max_leaf_nodes": 2, "max_bins": 2, "n_estimators": 1, "learning_rate": 1.0}
    halves = GradientBoostingRegressor(**least).fit([[1.0], [2.0], [3.0], [4.0]], [0.0, 2.0, 6.0, 8.0])
    expect.close(halves.predict([[1.0], [4.0]]), np.array([1.0, 7.0]), "predictions of one cut into two bins")
    usual = {"learning_rate": 0.1, "n_estimators": 100, "subsample": 1.0, "max_depth": 3, "tol": 1e-4,
             "l2_regularization": 0.0, "max_bins": 255, "validation_fraction": 0.1}  # fmt: skip
    got = GradientBoostingRegressor().get_params()
    expect.equal({name: got[name] for name in usual}, usual, "settings by default")
    one = GradientBoostingRegressor(n_estimators=2).fit([[1.0, 2.0]], [7.0])
    expect.close(one.predict([[5.0, 5.0]]), np.array([7.0]), "prediction after one sample")
    X, y = problem("numbers")
    flat = GradientBoostingRegressor(n_estimators=2).fit(0 * X, y)
    expect.close(flat.predict(X), np.full(60, y.mean()), "predictions from constant features", rtol=1e-10)
    same = GradientBoostingRegressor(n_estimators=2).fit(X, np.full(60, 0.1))
    expect.close(same.predict(X), np.full(60, 0.1), "predictions where all y are 0.1")
    double = GradientBoostingRegressor(n_estimators=5, max_bins=9).fit(X, y).predict(X)
    small = GradientBoostingRegressor(n_estimators=5, max_bins=9).fit(X.astype(np.float32), y)
    expect.close(small.predict(X.astype(np.float32)), double, "predictions from float32", rtol=1e-4)
    two = np.array([0, 1])
    with expect.quiet("boosting separable classes for 60 whole steps"):
        sure = GradientBoostingClassifier(n_estimators=60, learning_rate=1.0).fit(two[:, None], two)
        p = sure.predict_proba(two[:, None])
    expect.close(p, np.eye(2), "probabilities of separable classes", atol=1e-2)


WRONG = [("n_estimators", 0, "0"), ("learning_rate", 0.0, "0.0"), ("learning_rate", "fast", "fast"),
         ("subsample", 1.5, "1.5"), ("subsample", 0.0, "0.0"), ("max_depth", 0, "0"),
         ("max_leaf_nodes", 1, "1"),
         ("min_samples_leaf", 0, "0"), ("l2_regularization", -1.0, "-1.0"), ("max_bins", 256, "256"),
         ("max_bins", 1, "1"), ("validation_fraction", 1.0, "1.0"), ("n_iter_no_change", 0, "0"),
         ("tol", -0.1, "-0.1"), ("rng", 7, "7")]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "named"), WRONG, ids=[f"{n}={v}" for n, v, _ in WRONG])
def test_parameters_out_of_range_are_named(name, value, named):
    for kind in KINDS[:2]:
        X, y = problem(kind)
        settings = {"subsample": 0.5} if name == "rng" else {}
        with expect.raises(InvalidParameterError, name, named, "GradientBoosting"):
            make(kind, **settings, **{name: value}).fit(X, y)


def test_chance_needs_a_generator():
    X, y = problem("numbers")
    for settings in ({"subsample": 0.5}, {"n_iter_no_change": 3}):
        with expect.raises(InvalidParameterError, "rng", "GradientBoostingRegressor", "None"):
            GradientBoostingRegressor(**settings).fit(X, y)


def test_what_is_refused():
    for kind in KINDS[:2]:
        X, y = problem(kind)
        with expect.raises(ValueError, "NaN"):
            make(kind).fit([[np.nan], [0.0]], [0, 1])
        with expect.raises(ValueError, "60", "59"):
            make(kind).fit(X, y[:59])
        for method in ("predict", "staged_predict"):
            with expect.raises(NotFittedError, "GradientBoosting"):
                getattr(make(kind), method)(X)
            with expect.raises(ValueError, "2", "3", "GradientBoosting"):
                getattr(make(kind, n_estimators=1).fit(X, y), method)(X[:, :2])
    with expect.raises(ValueError, "2", "1"):
        GradientBoostingClassifier().fit(X, np.zeros(60, int))
    with expect.raises(ValueError, "(1, 1)", "2"):
        held = {"n_iter_no_change": 2, "rng": np.random.default_rng(0)}
        GradientBoostingRegressor(**held).fit([[1.0]], [2.0])
