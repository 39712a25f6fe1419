"""classical_ml.classification.naive_bayes: Bayes' rule by definition, counts that add up, no underflow."""

import math

import numpy as np
import pytest

from classical_ml.classification.naive_bayes import (
    BernoulliNB,
    GaussianNB,
    Moments,
    MultinomialNB,
    class_prior,
    feature_counts,
    log_frequencies,
    merge,
    moments,
)
from classical_ml.estimator import InvalidParameterError, NotFittedError
from curriculum.testing import expect

KINDS = [GaussianNB, MultinomialNB, BernoulliNB]
LABELS = np.array([0, 2, 1, 0, 1, 2, 2, 0, 2, 2])
WORDS = np.array([[2, 0, 1], [0, 3, 0], [1, 1, 1], [4, 0, 0], [0, 0, 2], [0, 1, 0], [0, 2, 0], [1, 0, 0]])
TOPICS = np.array([0, 1, 1, 0, 0, 1, 1, 0])  # topic 0 never has word 1


def samples(d=3, seed=0):
    """Ten samples of three classes, of which no feature is constant within a class."""
    return np.random.default_rng(seed).standard_normal((10, d)) + LABELS[:, None]


def counts(d=3, seed=0):
    return np.random.default_rng(seed).poisson(1.5, (10, d))


def by_bayes(prior, likelihoods):
    """p(k | x) from p(k) and a list of factors p(x_d | k) for each k."""
    joint = [p * math.prod(factors) for p, factors in zip(prior, likelihoods, strict=True)]
    return np.array([value / sum(joint) for value in joint])


def normal(x, mean, var):
    return math.exp(-((x - mean) ** 2) / (2 * var)) / math.sqrt(2 * math.pi * var)


def same_moments(got, want, what, rtol=1e-10):
    for name in ("n", "mean", "var"):
        expect.close(getattr(got, name), getattr(want, name), f"{name} of {what}", rtol=rtol)


# Moments


def test_moments_are_those_of_each_class():
    X = np.array([[1.0, 5.0], [3.0, 5.0], [0.0, 0.0], [2.0, 9.0]])
    with expect.unchanged(X):
        got = moments(X, np.array([0, 0, 2, 0]), 3)
    want = Moments(
        np.array([3.0, 0.0, 1.0]),
        np.array([[2.0, 19 / 3], [0.0, 0.0], [0.0, 0.0]]),
        np.array([[2 / 3, 32 / 9], [0.0, 0.0], [0.0, 0.0]]),
    )
    same_moments(got, want, "3, 0 and 1 samples")


def test_a_variance_does_not_cancel_far_from_zero():
    """E[x^2] - E[x]^2 at 10^8 is the difference of two numbers of 10^16, exact to 2."""
    X = 1e8 + np.array([[0.0], [1.0], [2.0]])
    expect.close(moments(X, np.zeros(3, int), 1).var, np.array([[2 / 3]]), "variance around 10^8", rtol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_merged_moments_are_those_of_all_samples(offset):
    X = samples() + offset
    whole = moments(X, LABELS, 4)
    for cut in (1, 3, 5, 9):
        a, b = moments(X[:cut], LABELS[:cut], 4), moments(X[cut:], LABELS[cut:], 4)
        with expect.quiet("merge"), expect.unchanged(*a, *b):
            got = merge(a, b)
        same_moments(got, whole, f"{cut} and {10 - cut} samples", rtol=1e-7 if offset else 1e-10)
        direct = np.array([(X[LABELS == k] - X[LABELS == k].mean(axis=0)).var(axis=0) for k in range(3)])
        expect.close(got.var[:3], direct, f"variances around {offset:g}", rtol=1e-6)


def test_merging_two_samples_of_a_class():
    one = Moments(np.array([1.0]), np.array([[2.0]]), np.array([[0.0]]))
    three = Moments(np.array([3.0]), np.array([[6.0]]), np.array([[5.0]]))
    want = Moments(np.array([4.0]), np.array([[5.0]]), np.array([[15 / 4 + 3.0]]))
    same_moments(merge(one, three), want, "2 and three numbers of mean 6, variance 5")
    same_moments(merge(three, one), want, "the same in the other order")
    none = Moments(np.array([0.0]), np.array([[0.0]]), np.array([[0.0]]))
    for some, what in ((one, "one sample"), (three, "three samples"), (none, "none")):
        same_moments(merge(none, some), some, f"nothing and {what}")
        same_moments(merge(some, none), some, f"{what} and nothing")


# Counts


def test_a_prior_is_the_share_of_the_samples_or_what_is_given():
    expect.close(class_prior(np.array([1.0, 0.0, 3.0])), np.array([0.25, 0.0, 0.75]), "shares of 1, 0, 3")
    given = class_prior(np.array([1.0, 0.0, 3.0]), [0.5, 0.3, 0.2])
    expect.close(given, np.array([0.5, 0.3, 0.2]), "prior that is given")


def test_a_prior_must_be_one():
    count = np.array([1.0, 2.0])
    for given, named in (
        ([0.2, 0.3, 0.5], ("3", "2")),
        ([1.5, -0.5], ("-0.5",)),
        ([0.5, 0.25], ("0.75",)),
        ([0.5, 0.4999], ("0.9999",)),
    ):
        with expect.raises(ValueError, *named):
            class_prior(count, given)
    near = class_prior(count, [0.3333333, 0.6666666])
    expect.close(near, np.array([1 / 3, 2 / 3]), "prior whose sum is 0.9999999: rounded, but 1", rtol=1e-6)


def test_feature_counts_are_sums_over_the_class():
    X = np.array([[1.0, 0.0], [2.0, 5.0], [4.0, 0.5]])
    got = feature_counts(X, np.array([2, 0, 2]), 3)
    expect.close(got, np.array([[2.0, 5.0], [0.0, 0.0], [5.0, 0.5]]), "sums of the rows of each class")
    large = np.array([[2.0**24], [1.0], [1.0], [1.0]], dtype=np.float32)
    total = feature_counts(large, np.zeros(4, int), 1)
    expect.close(total, np.array([[2.0**24 + 3]]), "2^24 + 1 + 1 + 1", dtype=np.float64, rtol=1e-15)


def test_frequencies_are_smoothed():
    got = log_frequencies(np.array([[0.0, 2.0, 6.0], [0.0, 0.0, 0.0]]), np.array([8.0, 0.0]), 0.5, 3)
    want = np.log([[0.5 / 9.5, 2.5 / 9.5, 6.5 / 9.5], [1 / 3, 1 / 3, 1 / 3]])
    expect.close(got, want, "log frequencies of 0, 2, 6 of 8, and of nothing, alpha 1/2")


# Gaussian


@pytest.mark.parametrize("priors", [None, [0.5, 0.2, 0.3]])
def test_gaussian_is_bayes_rule_on_normal_densities(priors):
    X = samples()
    model = GaussianNB(priors=priors, var_smoothing=0.1).fit(X, LABELS)
    epsilon = 0.1 * X.var(axis=0).max()
    expect.close(model.epsilon_, float(epsilon), "epsilon_", rtol=1e-9)
    mean = np.array([X[LABELS == k].mean(axis=0) for k in range(3)])
    var = np.array([X[LABELS == k].var(axis=0) for k in range(3)]) + epsilon
    expect.close(model.theta_, mean, "theta_", rtol=1e-9)
    expect.close(model.var_, var, "var_", rtol=1e-9)
    prior = [0.3, 0.2, 0.5] if priors is None else priors
    expect.close(model.class_prior_, np.array(prior), "class_prior_", rtol=1e-9)
    expect.close(model.class_count_, np.array([3.0, 2.0, 5.0]), "class_count_")
    factors = [
        [[normal(x, m, v) for x, m, v in zip(row, mean[k], var[k], strict=True)] for k in range(3)]
        for row in X
    ]
    want = np.array([by_bayes(prior, f) for f in factors])
    expect.close(model.predict_proba(X), want, "probabilities", rtol=1e-8)
    expect.close(model.predict_log_proba(X), np.log(want), "their logs", rtol=1e-8)
    joint = np.array([[math.log(p * math.prod(g)) for p, g in zip(prior, f, strict=True)] for f in factors])
    expect.close(model.predict_joint_log_proba(X), joint, "joint log-probabilities", rtol=1e-8)
    expect.equal(model.predict(X), want.argmax(axis=1), "predicted classes")


def test_two_equal_bells_meet_in_a_sigmoid():
    """Means -1 and 1, variance 1 in both: the log odds at x are 2 x."""
    model = GaussianNB(var_smoothing=0.0).fit(
        [[-2.0], [0.0], [0.0], [2.0]], ["left", "left", "right", "right"]
    )
    expect.equal(model.classes_.tolist(), ["left", "right"], "classes_")
    x = np.array([[-1.5], [0.0], [0.25]])
    expect.close(
        model.predict_proba(x)[:, 1], 1 / (1 + np.exp(-2 * x[:, 0])), "probability of right", rtol=1e-9
    )
    expect.equal(model.predict([[-9.0], [0.1]]).tolist(), ["left", "right"], "classes at -9 and 0.1")


def test_units_and_origin_do_not_matter():
    X = samples()
    want = GaussianNB().fit(X, LABELS).predict_proba(X)
    moved = 1000.0 * X + np.array([1e6, -1e6, 0.0])
    expect.close(GaussianNB().fit(moved, LABELS).predict_proba(moved), want, "probabilities", rtol=1e-6)
    for smoothing in (0.0, 1e-9):
        small = GaussianNB(var_smoothing=smoothing).fit(1e-9 * X, LABELS)
        what = f"probabilities of data in units of 1e-9, var_smoothing {smoothing}"
        expect.close(small.predict_proba(1e-9 * X), want, what, rtol=1e-6)


def test_smoothing_uses_the_largest_variance_over_all_samples():
    X = np.array([[0.0, 0.0], [0.0, 1.0], [10.0, 0.0], [10.0, 1.0]])
    model = GaussianNB(var_smoothing=0.01).fit(X, [0, 0, 1, 1])
    expect.close(model.epsilon_, 0.25, "epsilon_: a hundredth of 25")
    expect.close(
        model.var_, np.array([[0.25, 0.5], [0.25, 0.5]]), "var_ with a feature constant in each class"
    )
    expect.close(
        model.predict_proba([[5.0, 0.3]]), np.array([[0.5, 0.5]]), "probabilities half way", rtol=1e-9
    )


def test_constant_features_say_nothing():
    X = samples()
    want = GaussianNB().fit(X, LABELS).predict_proba(X)
    constant = np.c_[X, np.full(10, 7.0)]
    got = GaussianNB().fit(constant, LABELS).predict_proba(constant)
    expect.close(got, want, "probabilities with a constant feature", rtol=1e-7)
    with expect.quiet("a fit to constant features"):
        alone = GaussianNB().fit(np.full((10, 2), 7.0), LABELS)
        p = alone.predict_proba([[7.0, 7.0], [8.0, 7.0]])
    expect.close(alone.epsilon_, 1e-9, "epsilon_ of constant features")
    expect.close(
        p, np.array([[0.3, 0.2, 0.5]] * 2), "probabilities without information: the prior", rtol=1e-7
    )


def test_a_constant_feature_without_smoothing_is_refused():
    X = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 6.0]])
    model = GaussianNB(var_smoothing=0.0)
    with expect.raises(ValueError, "1", "low", "var_smoothing"):
        model.fit(X, ["low", "low", "top", "top"])
    with expect.raises(NotFittedError, "GaussianNB"):
        model.predict_proba(X)


@pytest.mark.parametrize("smoothing", [1e-9, 0.1])
def test_partial_fits_are_one_fit(smoothing):
    X = samples() + 100.0
    names = np.array(["c", "a", "b"])[LABELS]
    whole = GaussianNB(var_smoothing=smoothing).fit(X, names)
    stream = GaussianNB(var_smoothing=smoothing)
    stream.partial_fit(X[:2], names[:2], classes=["c", "b", "a"])
    expect.equal(stream.classes_.tolist(), ["a", "b", "c"], "classes_ after the first batch")
    with expect.quiet("a class that has not come"):
        p = stream.predict_proba(X)
    expect.close(p[:, 0], np.zeros(10), "probability of a class that has not come")
    expect.close(p.sum(axis=1), np.ones(10), "sums of the probabilities")
    for part in (slice(2, 6), slice(6, 7), slice(7, 10)):
        stream.partial_fit(X[part], names[part])
    for name in ("theta_", "var_", "class_prior_", "class_count_"):
        expect.close(getattr(stream, name), getattr(whole, name), f"{name} after four batches", rtol=1e-7)
    expect.close(stream.epsilon_, float(whole.epsilon_), "epsilon_ after four batches", rtol=1e-9)
    stream.fit(X[::-1], names[::-1])
    expect.close(stream.class_count_, whole.class_count_, "class_count_ after fit, which forgets", rtol=1e-12)


def test_a_class_that_has_not_come_needs_no_variance():
    X = samples()
    with expect.quiet("a class without samples"):
        model = GaussianNB(var_smoothing=0.0).partial_fit(X, LABELS, classes=[0, 1, 2, 3])
        p = model.predict_proba(X)
    want = GaussianNB(var_smoothing=0.0).fit(X, LABELS).predict_proba(X)
    expect.close(
        p, np.c_[want, np.zeros(10)], "probabilities with a fourth class that has not come", rtol=1e-9
    )


def test_classes_given_again_change_nothing():
    X = samples()
    model = GaussianNB().partial_fit(X[:4], LABELS[:4], classes=[0, 1, 2])
    model.partial_fit(X[4:], LABELS[4:], classes=[2, 1, 0])
    whole = GaussianNB().fit(X, LABELS)
    expect.close(model.class_count_, whole.class_count_, "class_count_ after two batches", rtol=1e-12)
    expect.close(model.theta_, whole.theta_, "theta_ after two batches, classes given twice", rtol=1e-9)


def test_a_refused_batch_leaves_the_estimator_as_it_was():
    X, y = np.array([[1.0], [2.0], [5.0], [7.0]]), [0, 0, 1, 1]
    model = GaussianNB(var_smoothing=0.0).partial_fit(X[:2], y[:2], classes=[0, 1])
    with expect.raises(ValueError, "0", "1", "var_smoothing"):
        model.partial_fit(X[2:3], y[2:3])  # one sample of class 1 has no variance
    expect.close(model.class_count_, np.array([2.0, 0.0]), "class_count_ after a batch that was refused")
    model.partial_fit(X[2:], y[2:])
    expect.close(model.class_count_, np.array([2.0, 2.0]), "class_count_ after one that was not")
    expect.close(model.theta_, np.array([[1.5], [6.0]]), "theta_ after one that was not")
    expect.close(model.var_, np.array([[0.25], [1.0]]), "var_ after one that was not")


def test_partial_fit_refuses_classes_that_it_does_not_know():
    X = samples()
    with expect.raises(ValueError, "classes"):
        GaussianNB().partial_fit(X, LABELS)
    with expect.raises(ValueError, "2"):
        GaussianNB().partial_fit(X, LABELS, classes=[0, 1])
    model = GaussianNB().partial_fit(X, LABELS, classes=[0, 1, 2])
    with expect.raises(ValueError, "9"):
        model.partial_fit(X[:1], [9])
    with expect.raises(ValueError, "2", "3", "GaussianNB"):
        model.partial_fit(X[:, :2], LABELS)


# Multinomial


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_multinomial_is_bayes_rule_on_words(alpha):
    model = MultinomialNB(alpha=alpha).fit(WORDS, TOPICS)
    seen = np.array([[7.0, 0.0, 3.0], [1.0, 7.0, 1.0]])
    expect.close(model.feature_count_, seen, "feature_count_")
    expect.close(model.class_count_, np.array([4.0, 4.0]), "class_count_")
    q = (seen + alpha) / (seen + alpha).sum(axis=1, keepdims=True)
    expect.close(model.feature_log_prob_, np.log(q), "feature_log_prob_", rtol=1e-10)
    expect.close(model.class_log_prior_, np.log([0.5, 0.5]), "class_log_prior_", rtol=1e-10)
    want = np.array([by_bayes([0.5, 0.5], [q[k] ** row for k in range(2)]) for row in WORDS])
    expect.close(model.predict_proba(WORDS), want, "probabilities", rtol=1e-9)
    expect.close(model.predict_log_proba(WORDS), np.log(want), "their logs", rtol=1e-9)
    expect.close(
        model.predict_joint_log_proba(WORDS[:1]),
        np.log(0.5) + np.array([[2 * math.log(q[k, 0]) + math.log(q[k, 2]) for k in range(2)]]),
        "joint log-probability of [2, 0, 1]",
        rtol=1e-9,
    )


def test_an_unseen_word_does_not_rule_a_class_out():
    model = MultinomialNB().fit(WORDS, TOPICS)
    p = model.predict_proba([[20, 1, 5]])
    expect.true(bool(p[0, 0] > 0.9), f"25 words speak for topic 0 and one against it, its p is {p[0, 0]}")
    log_p = MultinomialNB(alpha=1e-10).fit(WORDS, TOPICS).feature_log_prob_[0, 1]
    expect.close(log_p, math.log(1e-10 / 10), "log-probability of a word that topic 0 never has", rtol=1e-8)


def test_an_empty_text_is_judged_by_the_prior():
    model = MultinomialNB().fit(WORDS[:5], TOPICS[:5])
    expect.close(
        model.predict_proba([[0, 0, 0]]), np.array([[0.6, 0.4]]), "probabilities of no words", rtol=1e-9
    )


def test_a_text_read_twice_counts_twice():
    model = MultinomialNB(fit_prior=False).fit(WORDS, TOPICS)
    once, twice = (np.diff(model.predict_log_proba(n * np.array([[0.5, 1.0, 2.0]]))) for n in (1, 2))
    expect.close(twice, 2 * once, "log odds of a text and of the same text twice", rtol=1e-9)
    expect.true(bool(abs(once[0, 0]) > 0.1), f"the log odds of the text should not be 0: {once}")


def test_negative_counts_are_refused():
    model = MultinomialNB()
    with expect.raises(ValueError, "MultinomialNB", "-1"):
        model.fit([[1, 0], [-1, 2]], [0, 1])
    with expect.raises(ValueError, "MultinomialNB", "-3"):
        model.fit([[1, 0], [0, 2]], [0, 1]).predict_proba([[0, -3]])


# Bernoulli


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_bernoulli_counts_what_is_missing_too(alpha):
    there = (WORDS > 0).astype(float)
    model = BernoulliNB(alpha=alpha).fit(WORDS, TOPICS)
    seen = np.array([[3.0, 0.0, 2.0], [1.0, 4.0, 1.0]])
    expect.close(model.feature_count_, seen, "feature_count_")
    q = (seen + alpha) / (4 + 2 * alpha)
    expect.close(model.feature_log_prob_, np.log(q), "feature_log_prob_", rtol=1e-10)
    want = np.array(
        [by_bayes([0.5, 0.5], [np.where(row, q[k], 1 - q[k]) for k in range(2)]) for row in there]
    )
    expect.close(model.predict_proba(WORDS), want, "probabilities", rtol=1e-9)
    expect.close(model.predict_log_proba(WORDS), np.log(want), "their logs", rtol=1e-9)
    joint = math.log(0.5) + math.log(q[1, 0]) + math.log(1 - q[1, 1]) + math.log(q[1, 2])
    expect.close(model.predict_joint_log_proba([[1, 0, 1]])[0, 1], joint, "joint of [1, 0, 1]", rtol=1e-9)


def test_absent_features_have_full_precision():
    """With alpha = 10^-12 and a feature in every sample, 1 - q is 2.5 10^-13 and not what 1 - 1 leaves."""
    model = BernoulliNB(alpha=1e-12).fit([[1], [1], [1], [1], [0], [1]], [0, 0, 0, 0, 1, 1])
    joint = model.predict_joint_log_proba([[0]])[0, 0]
    expect.close(
        joint, math.log(4 / 6) + math.log(1e-12) - math.log(4), "joint of an absent feature", rtol=1e-9
    )


def test_a_feature_is_there_above_the_threshold():
    X = np.array([[0.2, 3.0], [0.5, -1.0], [0.9, 0.5], [0.6, 0.1]])
    y = [0, 0, 1, 1]
    ones = BernoulliNB(binarize=None).fit([[0, 1], [0, 0], [1, 0], [1, 0]], y)
    model = BernoulliNB(binarize=0.5).fit(X, y)
    expect.close(model.feature_count_, np.array([[0.0, 1.0], [2.0, 0.0]]), "feature_count_ above 0.5")
    expect.close(
        model.predict_proba([[0.5, 0.51]]),
        ones.predict_proba([[0, 1]]),
        "probabilities at [0.5, 0.51]",
        rtol=1e-9,
    )
    expect.close(BernoulliNB().fit(X, y).feature_count_, np.array([[2.0, 1.0], [2.0, 2.0]]), "above 0")
    with expect.raises(ValueError, "0.2", "binarize"):
        BernoulliNB(binarize=None).fit(X, y)
    with expect.raises(ValueError, "2", "binarize"):
        ones.predict_proba([[1, 2]])


def test_yes_and_no_are_interchangeable():
    X = (counts() > 1).astype(float)
    p = BernoulliNB().fit(X, LABELS).predict_proba(X)
    expect.close(
        BernoulliNB().fit(1 - X, LABELS).predict_proba(1 - X), p, "probabilities of 1 - X", rtol=1e-9
    )
    q = (X[LABELS == 1].sum(axis=0) + 1) / 4
    got = BernoulliNB().fit(1 - X, LABELS).feature_log_prob_[1]
    expect.close(got, np.log(1 - q), "feature_log_prob_ of 1 - X", rtol=1e-9)


# All three


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_features_do_not_underflow(kind):
    rng = np.random.default_rng(0)
    X = np.where(np.arange(4000) % 2 == np.array([0, 1, 0, 1])[:, None], 3.0, 0.0) + rng.integers(
        0, 2, (4, 4000)
    )
    with expect.quiet(f"{kind.__name__} on 4000 features"):
        model = kind().fit(X, [0, 1, 0, 1])
        logs, p = model.predict_log_proba(X), model.predict_proba(X)
    expect.close(p, np.array([[1.0, 0.0], [0.0, 1.0]] * 2), "probabilities of 4000 features", atol=1e-12)
    joint = model.predict_joint_log_proba(X)
    expect.true(bool(joint.max() < -700 or kind is GaussianNB), "the joint probability should underflow here")
    gap = -np.abs(joint[:, 0] - joint[:, 1])
    expect.close(logs.min(axis=1), gap, "log-probability of the wrong class", rtol=1e-9)


@pytest.mark.parametrize("kind", [GaussianNB, BernoulliNB])
def test_repeating_a_feature_doubles_what_it_says(kind):
    """They count as independent: naive."""
    equal = [1 / 3] * 3
    settings = {"priors": equal} if kind is GaussianNB else {"class_prior": equal}
    X = counts(2)
    once = kind(**settings).fit(X, LABELS).predict_log_proba(X)
    twice = kind(**settings).fit(np.c_[X, X], LABELS).predict_log_proba(np.c_[X, X])
    odds, doubled = once[:, :1] - once[:, 1:], twice[:, :1] - twice[:, 1:]
    expect.true(bool(np.abs(odds).max() > 0.05), f"the log odds should not be 0: {odds}")
    expect.close(doubled, 2 * odds, "log odds with each feature twice", rtol=1e-8)


@pytest.mark.parametrize("kind", [MultinomialNB, BernoulliNB])
def test_priors_of_counts(kind):
    X = counts()
    for settings, prior in (
        ({}, [0.3, 0.2, 0.5]),
        ({"fit_prior": False}, [1 / 3, 1 / 3, 1 / 3]),
        ({"class_prior": [0.1, 0.6, 0.3]}, [0.1, 0.6, 0.3]),
        ({"class_prior": [0.1, 0.6, 0.3], "fit_prior": False}, [0.1, 0.6, 0.3]),
    ):
        model = kind(**settings).fit(X, LABELS)
        expect.close(model.class_log_prior_, np.log(prior), f"class_log_prior_ with {settings}", rtol=1e-9)
    with expect.quiet("a prior of 0"):
        p = kind(class_prior=[0.0, 0.5, 0.5]).fit(X, LABELS).predict_proba(X)
    expect.close(p[:, 0], np.zeros(10), "probability of a class with prior 0")
    expect.close(p.sum(axis=1), np.ones(10), "sums of the probabilities")
    with expect.raises(ValueError, "2", "3"):
        kind(class_prior=[0.5, 0.5]).fit(X, LABELS)


@pytest.mark.parametrize("kind", KINDS)
def test_fit_forgets_what_it_learned_before(kind):
    X = counts().astype(float)
    once = kind().fit(X, LABELS)
    again = kind().fit(X[:6] + 3.0, ["a", "b", "c", "a", "b", "c"]).fit(X, LABELS)
    name = kind.__name__
    expect.equal(again.classes_, np.array([0, 1, 2]), f"classes_ of {name} after a second fit")
    for attribute in ("class_count_", "theta_" if kind is GaussianNB else "feature_count_"):
        got, want = getattr(again, attribute), getattr(once, attribute)
        expect.close(got, want, f"{attribute} of {name} after a second fit, against one", rtol=1e-12)
    p = again.predict_proba(X)
    expect.close(p, once.predict_proba(X), f"predict_proba of {name} after a second fit", rtol=1e-9)
    expect.close(p.sum(axis=1), np.ones(10), "sums of the probabilities")


@pytest.mark.parametrize("kind", KINDS)
def test_names_lists_and_float32(kind):
    X = counts(4).astype(float)
    want = kind().fit(X, LABELS).predict_proba(X)
    names = np.array(["x", "z", "y"])[LABELS]  # sorted, z is the last
    with expect.unchanged(X):
        named = kind().fit(X, names)
    name = kind.__name__
    expect.equal(named.classes_.tolist(), ["x", "y", "z"], f"classes_ of {name} for the labels x, z, y")
    columns = f"columns of {name}.predict_proba in the order of classes_"
    expect.close(named.predict_proba(X), want[:, [0, 2, 1]], columns, rtol=1e-9)
    best = named.predict_proba(X).argmax(axis=1)
    expect.equal(named.predict(X).tolist(), [["x", "y", "z"][k] for k in best], f"{name}.predict")
    lists = kind().fit(X.tolist(), LABELS.tolist())
    expect.close(lists.predict_proba(X.tolist()), want, f"{name}.predict_proba of lists", rtol=1e-9)
    single = kind().fit(X.astype(np.float32), LABELS).predict_proba(X.astype(np.float32))
    expect.close(single.astype(float), want, f"{name}.predict_proba of float32 data", rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_class_and_one_sample_of_each(kind):
    X = np.array([[0.0, 3.0], [2.0, 0.0]])
    expect.close(kind().fit(X, [4, 4]).predict_proba(X), np.ones((2, 1)), "probabilities of one class")
    two = kind().fit(X, [1, 0])
    expect.equal(two.predict(X), np.array([1, 0]), "classes of one sample each")
    p = two.predict_proba(X)
    expect.true(bool(p[0, 1] > 0.5 and p[1, 0] > 0.5), f"each should be near its own class: {p}")


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_used_is_refused(kind):
    X, name = counts().astype(float), kind.__name__
    model = kind()
    smoothing = {"var_smoothing": 1e-9} if kind is GaussianNB else {"alpha": 1.0}
    defaults = {key: model.get_params()[key] for key in smoothing}
    expect.equal(defaults, smoothing, f"default smoothing of {name}")
    for method in (model.predict_proba, model.predict_log_proba, model.predict_joint_log_proba):
        with expect.raises(NotFittedError, name):
            method(X)
    if kind is GaussianNB:
        wrong = [("var_smoothing", -1.0)]
    else:
        wrong = [("alpha", 0.0), ("alpha", -1.0), ("fit_prior", 1)]
        wrong += [("binarize", "low")] if kind is BernoulliNB else []
    for parameter, value in wrong:
        with expect.raises(InvalidParameterError, name, parameter, str(value)):
            kind(**{parameter: value}).fit(X, LABELS)
    with expect.raises(ValueError, "nan"):
        model.fit([[float("nan")], [1.0]], [0, 1])
    with expect.raises(ValueError, "10", "9"):
        model.fit(X, LABELS[:9])
    with expect.raises(ValueError, "2", "3", name):
        model.fit(X, LABELS).predict_proba(X[:, :2])
