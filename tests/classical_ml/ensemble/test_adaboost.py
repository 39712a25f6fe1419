"""AdaBoost: one round by its formulas, the whole as descent on exponential loss, and when to stop."""

import math
from contextlib import suppress

import numpy as np
import pytest

from classical_ml.classification.decision_tree import DecisionTreeClassifier, DecisionTreeRegressor
from classical_ml.ensemble.adaboost import AdaBoostClassifier, code, reweight, vote_weight
from classical_ml.estimator import Classifier, InvalidParameterError, NotFittedError
from curriculum.testing import expect

SCRIPT = {"answers": [], "weights": []}  # what `Scripted` will say, and what it was given


class Scripted(Classifier):
    """A learner that says what the test has written down, whatever it is fitted on."""

    def __init__(self, name="scripted"):
        self.name = name

    def fit(self, X, y, sample_weight=None):
        self.classes_, self.n_features_in_ = np.unique(y), np.shape(X)[1]
        SCRIPT["weights"].append(np.array(sample_weight, dtype=float))
        self.said = SCRIPT["answers"].pop(0)
        return self

    def predict(self, X):
        return self.said[np.asarray(X)[:, 0].astype(int)]


class Unweighted(Classifier):
    """A learner that cannot take weights."""

    def fit(self, X, y):
        return self


def scripted(y, answers, n_estimators=50, weight=None, **settings):
    """Boost learners that say ``answers`` of the rows, and the weights that they were fitted to."""
    SCRIPT["answers"], SCRIPT["weights"] = [np.asarray(a) for a in answers], []
    X = np.arange(len(y), dtype=float)[:, None]
    model = AdaBoostClassifier(Scripted(), n_estimators=n_estimators, **settings).fit(X, y, weight)
    return model, X, SCRIPT["weights"]


def problem(n=60, seed=0, n_classes=2):
    """Overlapping classes: the sum of two of three features, in steps, with noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    score = X[:, 0] + X[:, 1] + 0.6 * rng.standard_normal(n)
    return X, np.digitize(score, np.linspace(-1, 1, n_classes + 1)[1:-1])


# One round


def test_a_vote_counts_by_its_error():
    for error, n_classes, want in (
        (0.25, 2, math.log(3)),
        (0.5, 2, 0.0),
        (0.1, 2, math.log(9)),
        (0.5, 3, math.log(2)),
        (0.75, 5, math.log(4 / 3)),
        (1e-300, 2, 300 * math.log(10)),
    ):
        what = f"vote of a learner with error {error:g} of {n_classes} classes"
        expect.close(float(vote_weight(error, n_classes)), want, what, atol=1e-12)


def test_mistakes_gain_weight():
    weight, wrong = np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, False, False, True])
    with expect.unchanged(weight, wrong):
        got = reweight(weight, wrong, math.log(4))
    expect.close(got, np.array([0.4, 0.2, 0.3, 1.6]) / 2.5, "weights after mistakes grew by 4")
    unscaled = reweight(10 * weight, wrong, math.log(4))
    expect.close(unscaled, got, "weights if they added up to 10 before")


def test_after_a_round_the_learner_is_as_good_as_chance():
    rng = np.random.default_rng(0)
    for n_classes in (2, 3, 6):
        weight, wrong = rng.dirichlet(np.ones(20)), np.arange(20) < 4
        error = float(weight[wrong].sum())
        after = reweight(weight, wrong, math.log((1 - error) / error) + math.log(n_classes - 1))
        expect.close(after.sum(), 1.0, "sum of the weights")
        chance = 1 - 1 / n_classes
        expect.close(after[wrong].sum(), chance, f"error of the same learner now, {n_classes} classes")


def test_weights_survive_any_vote():
    weight, wrong = np.array([0.5, 0.25, 0.25, 0.0]), np.array([True, False, True, True])
    for alpha in (50.0, 800.0):
        with expect.quiet(f"weights for alpha {alpha:g}"):
            got = reweight(weight, wrong, alpha)
        expect.close(got, np.array([2, 0, 1, 0]) / 3, f"weights for alpha {alpha:g}", atol=1e-12)
        expect.true(
            got[1] >= 2.2e-16,
            f"a weight must stay at least 2.2e-16, or it could not recover: {got[1]} for alpha {alpha:g}",
        )
        expect.equal(float(got[3]), 0.0, "a weight that was 0")


def test_answers_as_votes():
    got = code(np.array(["b", "a", "c"]), np.array(["a", "b", "c"]))
    expect.close(got, np.array([[-0.5, 1, -0.5], [1, -0.5, -0.5], [-0.5, -0.5, 1]]), "votes of 3 classes")
    expect.close(code(np.array([7, 3]), np.array([3, 7])), np.array([[-1.0, 1], [1, -1]]), "votes of 2")


# The whole, by hand


def test_three_rounds_by_hand():
    """e = 1/4, then 1/6, then 1/10 for learners that are wrong on row 0, then 1, then 2, of 4."""
    y = np.array(["no", "no", "yes", "yes"])
    flips = [np.where(np.arange(4) == i, np.where(y == "no", "yes", "no"), y) for i in range(3)]
    model, X, seen = scripted(y, flips, n_estimators=3)
    expect.close(
        model.estimator_errors_, np.array([1 / 4, 1 / 6, 1 / 10]), "errors, each under its own weights"
    )
    alpha = np.log([3.0, 5.0, 9.0])
    expect.close(model.estimator_weights_, alpha, "estimator_weights_")
    for t, want in enumerate([[1, 1, 1, 1], [3, 1, 1, 1], [3, 5, 1, 1]]):
        want = np.array(want) / sum(want)
        expect.close(seen[t], want, f"weights that learner {t} is fitted to", rtol=1e-10)
    votes = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1], [1, 1, 1]]) @ alpha / alpha.sum()
    want = 2 * votes * np.array([-1, -1, 1, 1])
    expect.close(model.decision_function(X), want, "decision_function", rtol=1e-10)
    sure = 1 / (1 + np.exp(-want))
    expect.close(model.predict_proba(X), np.stack([1 - sure, sure], axis=1), "predict_proba", rtol=1e-10)
    expect.equal(
        model.predict(X).tolist(), ["no", "no", "yes", "yes"], "predictions, better than each learner"
    )
    kept = list(model.staged_scores(X))
    expect.close(kept[0], code(flips[0], model.classes_), "scores after 1 of 3 learners, each a new array")
    stages = [stage.tolist() for stage in model.staged_predict(X)]
    first, second = flips[0].tolist(), flips[1].tolist()
    expect.equal(stages, [first, second, y.tolist()], "predictions after 1, 2 and 3 learners")


def test_three_classes_by_hand():
    """e = 1/3, then 7/12: with three classes that is better than chance, 2/3, and has a vote."""
    y = np.array([0, 0, 1, 1, 2, 2])
    model, X, seen = scripted(y, [[1, 2, 1, 1, 2, 2], [1, 0, 0, 2, 0, 2]], n_estimators=2)
    expect.close(model.estimator_errors_, np.array([1 / 3, 7 / 12]), "errors")
    a, b = math.log(4), math.log(10 / 7)
    expect.close(model.estimator_weights_, np.array([a, b]), "estimator_weights_")
    expect.close(seen[1], np.array([4, 4, 1, 1, 1, 1]) / 12, "weights of the second round", rtol=1e-10)
    got = model.decision_function(X)
    named_1_twice = np.array([-(a + b) / 2, a + b, -(a + b) / 2]) / (a + b)
    named_2_then_0 = np.array([b - a / 2, -(a + b) / 2, a - b / 2]) / (a + b)
    expect.close(got[0], named_1_twice, "scores of a row that both learners call 1", rtol=1e-10)
    expect.close(got[1], named_2_then_0, "scores of a row called 2, then 0", rtol=1e-10)
    expect.close(got.sum(axis=1), np.zeros(6), "sums of the scores", atol=1e-12)
    proba = np.exp(got / 2) / np.exp(got / 2).sum(axis=1, keepdims=True)
    expect.close(model.predict_proba(X), proba, "softmax of scores / 2", rtol=1e-10)
    expect.equal(model.predict(X).tolist(), [1, 2, 1, 1, 2, 2], "predictions")


def test_the_learning_rate_tempers_votes_and_weights():
    y = np.array([0, 0, 1, 1])
    model, _, seen = scripted(y, [[1, 0, 1, 1], [0, 1, 1, 1]], n_estimators=2, learning_rate=0.5)
    root = math.sqrt(3.0)
    expect.close(seen[1], np.array([root, 1, 1, 1]) / (root + 3), "weights after half a step", rtol=1e-10)
    second = 0.5 * math.log(root + 2)
    expect.close(model.estimator_weights_, np.array([math.log(root), second]), "estimator_weights_")


def test_of_classes_that_tie_the_first():
    """Two votes of 1: log(K - 1) at the error 1/2, by the learning rate, and that of a perfect learner."""
    y = np.array(["a", "b", "c", "c"])
    first = ["b", "a", "c", "c"]
    model, X, _ = scripted(y, [first, y], learning_rate=1 / math.log(2))
    expect.close(
        model.estimator_weights_, np.ones(2), "votes at the rate 1 / log 2; without a mistake 1 at any rate"
    )
    want = ["a", "a", "c", "c"]
    expect.equal(model.predict(X).tolist(), want, "predictions where a and b tie in rows 0 and 1")
    stages = [stage.tolist() for stage in model.staged_predict(X)]
    expect.equal(stages, [first, want], "stages, where a and b tie in the second")


# Certificates


@pytest.mark.parametrize("depth", [1, 2])
def test_the_exponential_loss_is_the_product_of_the_factors(depth):
    """mean exp(-y F) = prod 2 sqrt(e (1 - e)) bounds the share of wrong training rows after every round."""
    X, y = problem()
    model = AdaBoostClassifier(DecisionTreeClassifier(max_depth=depth), n_estimators=12).fit(X, y)
    sign, F, bound = 2 * y - 1, np.zeros(len(y)), 1.0
    expect.equal(len(model.estimators_), 12, "number of learners")
    stages = list(model.staged_predict(X))
    expect.equal(len(stages), 12, "number of stages")
    rounds = zip(model.estimators_, model.estimator_weights_, model.estimator_errors_, stages, strict=True)
    for t, (learner, alpha, error, predicted) in enumerate(rounds):
        F += 0.5 * alpha * np.where(learner.predict(X) == 1, 1, -1)
        bound *= 2 * math.sqrt(error * (1 - error))
        what = f"mean exponential loss after {t + 1} rounds, against prod 2 sqrt(e (1 - e))"
        expect.close(float(np.exp(-sign * F).mean()), bound, what, rtol=1e-8)
        wrong = float(np.mean(predicted != y))
        expect.true(wrong <= bound + 1e-12, f"{wrong} of the rows are wrong, more than the bound {bound}")
        expect.equal(predicted.tolist(), (F > 0).astype(int).tolist(), f"signs of F after {t + 1} rounds")


def test_weights_are_the_exponential_loss_of_each_row():
    """With K classes w is exp(-(K - 1) / K sum alpha g), scaled; g is `code` at the row's own class."""
    X, y = problem(80, n_classes=3)
    model = AdaBoostClassifier(n_estimators=8).fit(X, y)
    own = np.zeros(len(y))
    for t, (learner, alpha) in enumerate(zip(model.estimators_, model.estimator_weights_, strict=True)):
        weight = np.exp(-2 / 3 * own)
        weight /= weight.sum()
        wrong = learner.predict(X) != y
        error = float(weight[wrong].sum())
        expect.close(float(model.estimator_errors_[t]), error, f"error {t} under those weights", rtol=1e-8)
        want = math.log((1 - error) / error) + math.log(2)
        expect.close(float(alpha), want, f"alpha {t}", rtol=1e-8)
        own += alpha * np.where(wrong, -0.5, 1.0)
    expect.true(model.score(X, y) > 0.6, f"score on the training rows: {model.score(X, y)}, expected > 0.6")


def test_margins_grow_after_the_last_mistake():
    """Bands of width 1 on a line, which no stump can tell apart: 0 wrong after a few rounds, and then ..."""
    X = np.arange(24.0)[:, None]
    y = (X[:, 0] // 6 % 2).astype(int)
    margins = []
    for rounds in (10, 200):
        model = AdaBoostClassifier(n_estimators=rounds).fit(X, y)
        expect.close(model.score(X, y), 1.0, f"score on the training rows after {rounds} rounds")
        margins.append(float(np.min((2 * y - 1) * model.decision_function(X)) / 2))
    grown = margins[1] > margins[0] + 0.05
    expect.true(grown, f"least margin after 10 and after 200 rounds: {margins}, expected it to grow")


# Weights of samples


def test_a_weight_is_a_number_of_rows():
    X, y = problem(30)
    count = np.random.default_rng(1).integers(0, 4, 30)
    weighted = AdaBoostClassifier(n_estimators=6).fit(X, y, 0.1 * count)
    repeated = AdaBoostClassifier(n_estimators=6).fit(np.repeat(X, count, axis=0), np.repeat(y, count))
    expect.close(
        weighted.estimator_weights_, repeated.estimator_weights_, "alphas: weights, repeated rows", rtol=1e-8
    )
    expect.close(
        weighted.decision_function(X), repeated.decision_function(X), "decisions: weights, repeats", rtol=1e-7
    )


@pytest.mark.parametrize("scale", [2.0**1023, 2.0**-1000], ids=["2^1023", "2^-1000"])
def test_the_scale_of_weights_does_not_matter(scale):
    X, y = problem(30)
    weight = np.random.default_rng(1).uniform(0.5, 1.0, 30)
    plain = AdaBoostClassifier(n_estimators=4).fit(X, y, weight).decision_function(X)
    with expect.quiet(f"boosting with weights times {scale:.3g}"):
        model = AdaBoostClassifier(n_estimators=4).fit(X, y, scale * weight)
    got = model.decision_function(X)
    expect.close(got, plain, f"decisions where all weights are times {scale:.3g}", rtol=1e-7)


def test_a_class_without_weight_is_a_class():
    model, _, _ = scripted([0, 1, 1, 0, 2], [[1, 1, 1, 0, 0]], 1, weight=[1, 1, 1, 1, 0])
    expect.equal(model.classes_.tolist(), [0, 1, 2], "classes_ where class 2 has the weight 0")
    want = np.array([math.log(3) + math.log(2)])
    expect.close(model.estimator_weights_, want, "vote at the error 1/4: K is 3, class 2 counts", rtol=1e-10)


# When to stop


def test_a_perfect_learner_ends_it():
    X, y = np.arange(6.0)[:, None], np.array([0, 0, 0, 1, 1, 1])
    model = AdaBoostClassifier(n_estimators=20).fit(X, y)
    expect.equal(len(model.estimators_), 1, "number of learners where a stump is perfect")
    expect.close(model.estimator_weights_[:1], np.array([1.0]), "its vote")
    expect.close(model.estimator_errors_[:1], np.array([0.0]), "its error")
    expect.equal(model.predict(X).tolist(), y.tolist(), "predictions")
    expect.close(model.decision_function(X), np.array([-2.0] * 3 + [2.0] * 3), "decision_function")


def test_a_learner_that_is_wrong_where_there_is_no_weight_is_perfect():
    y = np.array([0, 0, 1, 1])
    answers = [[0, 0, 1, 0], [1, 0, 1, 1]]
    try:
        model, X, _ = scripted(y, answers, weight=[1, 1, 1, 0])
    except (ValueError, ZeroDivisionError) as error:
        raise AssertionError(
            f"wrong on a row of weight 0 only, a learner has the error 0: it stays, and its vote counts 1\n"
            f"  yours raised {type(error).__name__}: {error}"
        ) from error
    expect.equal(len(model.estimators_), 1, "learners where the first is wrong on a row of weight 0 only")
    expect.close(model.estimator_weights_, np.ones(1), "its vote")
    expect.equal(model.predict(X).tolist(), answers[0], "predictions")
    model, _, _ = scripted(y, answers, n_estimators=2, weight=[1, 1, 1, 3e-13])
    expect.equal(len(model.estimators_), 2, "learners where that row has a weight of 1e-13: a mistake")
    expect.close(float(model.estimator_weights_[0]), 13 * math.log(10), "vote at the error 1e-13", rtol=1e-3)


def test_a_learner_no_better_than_chance_ends_it_and_does_not_vote():
    y = np.array([0, 0, 1, 1])
    good, useless = [1, 0, 1, 1], [1, 1, 1, 1]
    model, X, seen = scripted(y, [good, [1, 1, 0, 0], good], n_estimators=3)
    expect.equal(len(model.estimators_), 1, "number of learners when the second is always wrong")
    expect.equal(len(seen), 2, "number of learners that were fitted")
    expect.close(model.estimator_weights_[:1], np.array([math.log(3)]), "votes")
    expect.equal(model.predict(X).tolist(), good, "predictions")
    with expect.raises(ValueError, "0.5", "Scripted"):
        scripted(y, [useless] * 3, n_estimators=3)
    with expect.raises(ValueError, "0.75", "0.5", "Scripted"):
        scripted(y, [[1, 1, 0, 1]], n_estimators=1)


def test_an_error_within_rounding_of_chance_is_chance():
    y, answers = np.array([0, 1]), [[0, 0]]
    with expect.raises(ValueError, "0.5", "Scripted"):
        scripted(y, answers, n_estimators=1, weight=[0.5 + 1e-11, 0.5 - 1e-11])
    model, _, _ = scripted(y, answers, n_estimators=1, weight=[0.5 + 1e-8, 0.5 - 1e-8])
    expect.close(model.estimator_weights_, np.array([4e-8]), "vote at the error 1/2 - 1e-8", rtol=1e-3)


def test_a_stump_cannot_learn_xor_and_two_questions_can():
    X, y = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    with expect.raises(ValueError, "0.5", "DecisionTreeClassifier"):
        AdaBoostClassifier().fit(X, y)
    failed = AdaBoostClassifier()
    with suppress(ValueError):
        failed.fit(X, y)
    with expect.raises(NotFittedError, "AdaBoostClassifier"):
        failed.predict(X)
    model = AdaBoostClassifier(DecisionTreeClassifier(max_depth=2)).fit(X, y)
    expect.equal(model.predict(X).tolist(), y.tolist(), "predictions of trees of depth 2")


# The estimator


def test_settings_and_what_is_learned():
    X, y = problem(40)
    stump = DecisionTreeClassifier(max_depth=1)
    model, default = AdaBoostClassifier(stump, n_estimators=4), AdaBoostClassifier(n_estimators=4)
    expect.true(model.fit(X, y) is model, "fit should return the estimator")
    expect.close(
        default.fit(X, y).decision_function(X), model.decision_function(X), "the default, against a stump"
    )
    expect.equal(hasattr(stump, "n_features_in_"), False, "whether the estimator that was given is fitted")
    expect.equal(len({id(learner) for learner in model.estimators_}), 4, "number of different learners")
    expect.equal((model.n_features_in_, int(model.n_classes_)), (3, 2), "n_features_in_, n_classes_")
    expect.equal(AdaBoostClassifier().n_estimators, 50, "rounds by default")
    expect.equal(len(AdaBoostClassifier(n_estimators=1).fit(X, y).estimators_), 1, "learners of one round")


def test_inputs_stay_as_they_are_and_any_type_will_do():
    X, y = problem(30)
    weight = np.random.default_rng(2).random(30)
    with expect.unchanged(X, y, weight):
        model = AdaBoostClassifier(n_estimators=5).fit(X, y, weight)
        first = model.decision_function(X)
    expect.equal(first.shape, (30,), "shape of the decision for 2 classes")
    expect.close(model.decision_function(X), first, "a second decision")
    names = np.array(["cat", "dog"])[y]
    named = AdaBoostClassifier(n_estimators=5).fit(X.tolist(), names.tolist(), weight.tolist())
    expect.equal(named.classes_.tolist(), ["cat", "dog"], "classes_")
    want = ["dog" if decision > 0 else "cat" for decision in first]
    expect.equal(named.predict(X).tolist(), want, "names predicted")
    small = AdaBoostClassifier(n_estimators=5).fit(X.astype(np.float32), y, weight)
    expect.close(small.decision_function(X.astype(np.float32)), first, "decision for float32", rtol=1e-4)


WRONG = [("n_estimators", 0, "0"), ("n_estimators", 2.5, "2.5"), ("learning_rate", 0.0, "0.0"),
         ("learning_rate", -1, "-1"), ("learning_rate", "slow", "slow"), ("estimator", "tree", "tree"),
         ("estimator", Unweighted(), "sample_weight"), ("estimator", 7, "sample_weight"),
         ("estimator", DecisionTreeRegressor(), "DecisionTreeRegressor")]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "named"), WRONG, ids=[f"{n}={v}" for n, v, _ in WRONG])
def test_parameters_out_of_range_are_named(name, value, named):
    X, y = problem(20)
    with expect.raises(InvalidParameterError, name, named, "AdaBoostClassifier"):
        AdaBoostClassifier(**{name: value}).fit(X, y)


def test_what_is_refused():
    X, y = problem(20)
    with expect.raises(ValueError, "2", "1"):
        AdaBoostClassifier().fit(X, np.zeros(20, int))
    with expect.raises(ValueError, "NaN"):
        AdaBoostClassifier().fit([[0.0], [np.nan]], [0, 1])
    with expect.raises(ValueError, "20", "19"):
        AdaBoostClassifier().fit(X, y[:19])
    with expect.raises(ValueError, "-1.0"):
        AdaBoostClassifier().fit(X, y, np.r_[-1.0, np.ones(19)])
    for method in ("predict", "predict_proba", "decision_function", "staged_predict"):
        with expect.raises(NotFittedError, "AdaBoostClassifier"):
            getattr(AdaBoostClassifier(), method)(X)
        fitted = AdaBoostClassifier(n_estimators=2).fit(X, y)
        with expect.raises(ValueError, "2", "3", "AdaBoostClassifier"):
            getattr(fitted, method)(X[:, :2])
