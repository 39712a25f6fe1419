"""Classification losses: their definition a position at a time, p - q, what does not count, and the tails."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import duck, engine, expect, gradcheck, strategies
from foundations.autograd import grad
from foundations.computational_graph import Tensor
from optimization.losses.cross_entropy import (
    BCEWithLogitsLoss,
    CrossEntropy,
    CrossEntropyLoss,
    binary_cross_entropy_with_logits,
    cross_entropy,
    target_distribution,
)

INF = np.inf
LOGITS = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5], [-2.0, 0.75, 0.0], [3.0, 1.0, -1.0]])  # (4, 3)
LABELS = np.array([2, 0, 1, 1])
WEIGHT = np.array([0.5, 2.0, 3.0])
Q = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.1, 0.2, 0.7], [0.0, 0.5, 0.5]])
YES = np.array([[0.0, 1.0, 0.25], [1.0, 0.0, 0.5], [0.0, 0.9, 1.0], [1.0, 1.0, 0.0]])  # (4, 3), in [0, 1]
INDEX_CASES = {  # name: (shape of the logits, labels)
    "(C,)": ((3,), np.array(1)),
    "(N, C)": ((4, 3), LABELS),
    "(N, C, T)": ((2, 3, 4), np.array([[0, 1, 2, 0], [2, 2, 1, 0]])),
    "(N, C, C)": ((2, 3, 3), np.array([[0, 1, 1], [2, 2, 0]])),  # as many places as classes
    "(N, C, H, W)": ((1, 3, 2, 2), np.array([[[0, 2], [1, 1]]])),
}
OPTIONS = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "smoothing": {"label_smoothing": 0.2},
    "weight and smoothing": {"weight": WEIGHT, "label_smoothing": 0.3},
}
reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
options = pytest.mark.parametrize("option", OPTIONS)


def logits_of(shape, seed=0):
    return np.random.default_rng(seed).normal(0.0, 2.0, shape)


def log_softmax(row):
    """The definition, for a row of moderate numbers."""
    total = sum(math.exp(x) for x in row)
    return [math.log(math.exp(x) / total) for x in row]


def slowly(logits, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """The loss from its definition, one position after the other."""
    classes_last = np.moveaxis(logits, 0 if logits.ndim == 1 else 1, -1)
    by_index = target.dtype.kind in "iu"
    q = target if by_index else np.moveaxis(target, 0 if logits.ndim == 1 else 1, -1)
    c = classes_last.shape[-1]
    w = np.ones(c) if weight is None else weight
    losses, total = np.zeros(classes_last.shape[:-1]), 0.0
    for i in np.ndindex(*losses.shape):
        if by_index and q[i] == ignore_index:
            continue
        row = [float(k == q[i]) for k in range(c)] if by_index else q[i]
        log_p = log_softmax(classes_last[i])
        mixed = [(1 - label_smoothing) * row[k] + label_smoothing / c for k in range(c)]
        losses[i] = -sum(mixed[k] * w[k] * log_p[k] for k in range(c))
        total += w[q[i]] if by_index else 1.0
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total if total else 0.0}[reduction]


# What the target says.


@pytest.mark.parametrize("case", INDEX_CASES)
def test_indices_become_one_hot_along_the_class_axis(case):
    shape, labels = INDEX_CASES[case]
    axis = 0 if len(shape) == 1 else 1
    want = np.moveaxis(np.eye(3, dtype=bool)[labels], -1, axis)
    with expect.unchanged(labels):
        q, counted = target_distribution(labels, shape)
    expect.equal(q, want, f"q for logits {shape}")
    expect.equal(counted, np.ones_like(want[:1] if axis == 0 else want[:, :1]), f"counted for logits {shape}")


@pytest.mark.parametrize("ignore_index", [-100, -1, 1, 7])
def test_ignored_positions_say_nothing_about_any_class(ignore_index):
    labels = np.array([2, ignore_index, 0])
    q, counted = target_distribution(labels, (3, 3), ignore_index)
    want = np.array([[False, False, True], [False] * 3, [True, False, False]])
    expect.equal(q, want, f"q of labels {labels.tolist()}, ignoring {ignore_index}")
    expect.equal(counted, np.array([[True], [False], [True]]), "counted")


def test_unsigned_and_short_labels_are_indices_too():
    q, counted = target_distribution(np.array([1, 255, 0], np.uint8), (3, 2), 255)
    expect.equal(q, np.array([[False, True], [False, False], [True, False]]), "q of uint8 labels [1, 255, 0]")
    expect.equal(counted, np.array([[True], [False], [True]]), "counted, with 255 ignored")


def test_probabilities_are_taken_as_they_are():
    q, counted = target_distribution(Q, (4, 3))
    expect.close(q, Q, "q of probabilities (4, 3)")
    expect.equal(counted, np.ones((4, 1), bool), "counted, for probabilities (4, 3)")
    expect.equal(target_distribution(Q[0], (3,))[1], np.ones(1, bool), "counted, for probabilities (3,)")
    single, _ = target_distribution(np.float32(Q), (4, 3))
    expect.close(single, np.float32(Q), "q of float32 probabilities", dtype=np.float32)


def test_booleans_are_probabilities():
    one_hot = np.eye(3, dtype=bool)[LABELS]
    q, counted = target_distribution(one_hot, (4, 3))
    expect.equal(q, one_hot, "q of booleans (4, 3)")
    expect.equal(counted, np.ones((4, 1), bool), "counted, for booleans (4, 3)")
    expect.tensor(cross_entropy(LOGITS, one_hot), slowly(LOGITS, LABELS), "loss of a one-hot boolean target")


# The operation.


def weighed(x, a, axis):
    """-sum_c a_c log p_c along ``axis``, one row after the other."""
    x, a = np.moveaxis(x, axis, -1), np.moveaxis(a, axis, -1)
    losses = [-np.dot(a[i], log_softmax(x[i])) for i in np.ndindex(*x.shape[:-1])]
    return np.array(losses).reshape(x.shape[:-1])


DEEP = LOGITS.reshape(2, 2, 3).swapaxes(1, 2), (Q * WEIGHT).reshape(2, 2, 3).swapaxes(1, 2)  # (2, 3, 2)
ROWS = {
    "(4, 3)": (LOGITS, Q * WEIGHT, 1),
    "(2, 3, 2)": (*DEEP, 1),
    "(3, 4)": (LOGITS.T, (Q * WEIGHT).T, 0),
    "(3,)": (LOGITS[0], Q[0] * WEIGHT, 0),
}
rows = pytest.mark.parametrize("shape", ROWS)


@rows
def test_the_operation_weighs_the_logarithms_of_softmax(shape):
    x, a, axis = ROWS[shape]
    with expect.unchanged(x, a):
        got = CrossEntropy.apply(Tensor(x), coefficients=a, axis=axis)
    expect.tensor(got, weighed(x, a, axis), f"losses of logits {shape}, classes on axis {axis}")


@rows
def test_the_operation_can_be_differentiated_twice(shape):
    x, a, axis = ROWS[shape]

    def losses(x):
        return CrossEntropy.apply(x, coefficients=a, axis=axis)

    expect.tensor(losses(Tensor(x)), weighed(x, a, axis), f"losses of logits {shape}")
    gradcheck(losses, x, names=("logits",))


def test_an_impossible_class_costs_nothing_unless_it_is_the_target():
    a = np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]])
    x = Tensor(np.array([[0.0, -INF, 0.0], [0.0, -INF, 0.0]]), requires_grad=True)
    losses = CrossEntropy.apply(x, coefficients=a, axis=1)
    expect.tensor(
        losses, [math.log(2), INF], "losses of logits [0, -inf, 0], targets [.5, 0, .5] and [0, 1, 0]"
    )
    (got,) = grad(losses, [x], np.ones(2))
    expect.tensor(got, [[0.0, 0.0, 0.0], [0.5, -1.0, 0.5]], "their gradient", atol=1e-15)


def test_logits_that_are_not_numbers_are_not_hidden():
    x = Tensor(np.array([[np.nan, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    losses = CrossEntropy.apply(x, coefficients=np.array([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]]), axis=1)
    expect.tensor(losses, [np.nan, math.log(3)], "losses of logits [nan, 0, 0] and [0, 0, 0]")


def test_arrays_of_another_library_flow_through_the_operation():
    x, a, axis = ROWS["(2, 3, 2)"]
    got = duck.flows(
        lambda x: CrossEntropy.apply(x, coefficients=a, axis=axis), x, engine=engine.grad, what="CrossEntropy"
    )
    expect.close(got, weighed(x, a, axis), "losses of foreign logits (2, 3, 2)")


# Cross-entropy by its definition.


@reductions
@options
@pytest.mark.parametrize("case", INDEX_CASES)
def test_class_indices(case, option, reduction):
    shape, labels = INDEX_CASES[case]
    x, how = logits_of(shape), OPTIONS[option] | {"reduction": reduction}
    with expect.unchanged(x, labels):
        got = cross_entropy(Tensor(x), labels, **how)
    expect.tensor(got, slowly(x, labels, **how), f"cross_entropy of logits {shape}, {option}, '{reduction}'")


@reductions
@options
def test_probabilities(option, reduction):
    how = OPTIONS[option] | {"reduction": reduction}
    for x, q in (
        (LOGITS, Q),
        (LOGITS[2], Q[2]),
        (LOGITS.reshape(2, 2, 3).swapaxes(1, 2), Q.reshape(2, 3, 2)),
    ):
        got = cross_entropy(Tensor(x), q, **how)
        want = slowly(x, q, **how)
        expect.tensor(got, want, f"cross_entropy of {x.shape} with probabilities, {option}, '{reduction}'")


def test_known_values():
    expect.tensor(
        cross_entropy(np.zeros((2, 10)), np.array([3, 7])), math.log(10), "loss of a model that knows nothing"
    )
    expect.tensor(
        cross_entropy([math.log(3.0), 0.0], 0), math.log(4 / 3), "loss of probability 3/4 for the truth"
    )
    expect.tensor(
        cross_entropy([[0.0, math.log(3.0)]], [0]), math.log(4), "loss of probability 1/4 for the truth"
    )


@options
@pytest.mark.parametrize("target", [np.array([2, -100, 1, 1]), Q], ids=["indices", "probabilities"])
def test_gradients_of_both_orders(target, option):
    how = OPTIONS[option]
    expect.tensor(cross_entropy(LOGITS, target, **how), slowly(LOGITS, target, **how), "cross_entropy")
    gradcheck(lambda x: cross_entropy(x, target, **how), LOGITS, names=("logits",))


def test_the_gradient_is_what_the_model_said_minus_what_was_true():
    x = Tensor(LOGITS, requires_grad=True)
    p = np.exp([log_softmax(row) for row in LOGITS])
    for target, q in ((LABELS, np.eye(3)[LABELS]), (Q, Q)):
        (got,) = grad(cross_entropy(x, target), [x])
        expect.tensor(got, (p - q) / 4, "the gradient of the mean over 4", sizes={"batch size": 4})


def test_the_best_logits_are_the_log_probabilities_and_the_loss_is_the_entropy():
    q = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    x = Tensor(np.log(q) + 3.0, requires_grad=True)
    y = cross_entropy(x, q, reduction="none")
    expect.tensor(y, -(q * np.log(q)).sum(axis=1), "the loss of the true distribution, its entropy")
    expect.tensor(grad(y, [x], np.ones(2))[0], np.zeros((2, 3)), "the gradient there", atol=1e-15)


@given(seed=strategies.seeds(), shift=st.floats(-500, 500), n=st.integers(1, 4), c=st.integers(1, 5))
def test_a_shift_of_all_logits_or_an_order_of_the_classes_changes_nothing(seed, shift, n, c):
    rng = np.random.default_rng(seed)
    x, labels, order = rng.normal(0, 2, (n, c)), rng.integers(0, c, n), rng.permutation(c)
    want = slowly(x, labels)
    expect.tensor(
        cross_entropy(x + shift, labels), want, f"loss of logits + {shift:.3g}", rtol=1e-9, atol=1e-11
    )
    permuted = cross_entropy(x[:, order], np.argsort(order)[labels])
    expect.tensor(
        permuted, want, f"loss with the classes in the order {order.tolist()}", rtol=1e-9, atol=1e-11
    )


def test_indices_are_one_hot_probabilities():
    one_hot = np.eye(3)[LABELS]
    for eps in (0.0, 0.2, 1.0):
        want = slowly(LOGITS, LABELS, label_smoothing=eps)
        for target in (LABELS, one_hot):
            got = cross_entropy(LOGITS, target, label_smoothing=eps)
            expect.tensor(got, want, f"loss of {target.dtype} targets with smoothing {eps}")


# What does not count.


@options
@pytest.mark.parametrize("ignore_index", [-100, 0])
def test_ignored_positions_change_nothing(option, ignore_index):
    keep = np.array([0, 2, 3])
    x = Tensor(LOGITS, requires_grad=True)
    labels = np.array([2, ignore_index, 1, 1])
    how = OPTIONS[option]
    mean = cross_entropy(x, labels, ignore_index=ignore_index, **how)
    expect.tensor(mean, slowly(LOGITS[keep], labels[keep], **how), "the mean over the three that count")
    each = cross_entropy(x, labels, ignore_index=ignore_index, reduction="none", **how)
    want = slowly(LOGITS, labels, ignore_index=ignore_index, reduction="none", **how)
    expect.tensor(each, want, "the losses, 0 where ignored")
    (got,) = grad(mean, [x])
    expect.tensor(got[1], np.zeros(3), "the gradient where ignored")


def test_the_weighted_mean_divides_by_the_weights_of_the_targets():
    weight = np.array([1.0, 4.0])
    same = np.array([[0.0, 1.0], [0.0, 1.0]])
    want = (1.0 * -log_softmax(same[0])[0] + 4.0 * -log_softmax(same[1])[1]) / 5.0
    expect.tensor(cross_entropy(same, [0, 1], weight), want, "the mean with weights 1 and 4")
    doubled = cross_entropy(LOGITS, LABELS, 2 * WEIGHT)
    expect.tensor(
        doubled, slowly(LOGITS, LABELS, WEIGHT), "the mean, which does not change when all weights double"
    )


def test_a_class_that_weighs_nothing_leaves_the_others():
    weight = np.array([0.0, 2.0, 3.0])
    for reduction in ("mean", "sum", "none"):
        got = cross_entropy(LOGITS, LABELS, weight, reduction=reduction)
        want = slowly(LOGITS, LABELS, weight, reduction=reduction)
        expect.tensor(got, want, f"cross_entropy with weights [0, 2, 3], '{reduction}'")


# Large numbers, small types.


def test_confident_mistakes_cost_their_logit():
    x = Tensor(np.array([[1e5, 0.0], [0.0, -2e5]]), requires_grad=True)
    y = cross_entropy(x, [1, 1], reduction="none")
    expect.tensor(y, [1e5, 2e5], "losses of logits [1e5, 0] and [0, -2e5], both of class 1")
    expect.tensor(grad(y, [x], np.ones(2))[0], [[1.0, -1.0], [1.0, -1.0]], "their gradient")


@pytest.mark.parametrize("target", [LABELS, Q], ids=["indices", "probabilities"])
def test_float32_stays_float32(target):
    x = Tensor(LOGITS.astype(np.float32), requires_grad=True)
    y = cross_entropy(x, target, WEIGHT, label_smoothing=np.float64(0.1))
    want = slowly(LOGITS, target, WEIGHT, label_smoothing=0.1)
    expect.tensor(y, want, "cross_entropy of float32 logits, float64 weights", rtol=1e-5, dtype=np.float32)
    (g,) = grad(y, [x], create_graph=True)
    expect.equal(str(g.dtype), "float32", "the dtype of its gradient")
    (h,) = engine.grad((g * g).sum(), [x])  # the kit's engine does not cast
    expect.equal(str(h.dtype), "float32", "the dtype of its second derivative")


def test_one_class_is_always_right():
    x = Tensor(np.array([[3.0], [-2.0]]), requires_grad=True)
    y = cross_entropy(x, [0, 0], reduction="none")
    expect.tensor(y, [0.0, 0.0], "losses with a single class")
    expect.tensor(grad(y, [x], np.ones(2))[0], [[0.0], [0.0]], "their gradient")
    expect.tensor(cross_entropy(LOGITS[:1], LABELS[:1]), slowly(LOGITS[:1], LABELS[:1]), "loss of one row")


def test_the_module_passes_its_settings_on():
    labels = np.array([2, 0, 1, 1])
    expect.tensor(CrossEntropyLoss()(Tensor(LOGITS), labels), slowly(LOGITS, labels), "CrossEntropyLoss()")
    settings = {"weight": WEIGHT, "ignore_index": 0, "reduction": "sum", "label_smoothing": 0.1}
    want = slowly(LOGITS, labels, **settings)
    expect.tensor(
        CrossEntropyLoss(**settings)(Tensor(LOGITS), labels), want, "CrossEntropyLoss, all settings"
    )


# What is refused.


def test_targets_that_do_not_fit_are_refused():
    for shape, target in (
        ((4, 3), np.zeros((4, 1), int)), ((4, 3), np.zeros(3, int)), ((2, 3, 4), np.zeros((2, 3), int)),
        ((4, 3), np.zeros(4)), ((3,), np.zeros(1, int)), ((4, 3), np.zeros((3, 4))),
        ((4, 3), np.zeros(4, bool)),
    ):  # fmt: skip
        for f in (lambda s, t: target_distribution(t, s), lambda s, t: cross_entropy(np.zeros(s), t)):
            with expect.raises(ValueError, str(shape), str(target.shape)):
                f(shape, target)


def test_logits_without_classes_are_refused():
    with expect.raises(ValueError, "()"):
        target_distribution(np.array(0), ())
    with expect.raises(ValueError, "(2, 0)"):
        target_distribution(np.zeros(2, int), (2, 0))


@pytest.mark.parametrize("wrong", [3, -1, 99, -100])
def test_an_index_that_is_no_class_is_named(wrong):
    labels = np.array([0, wrong, 2])
    with expect.raises(ValueError, str(wrong), "(3, 3)"):
        target_distribution(labels, (3, 3), -5)
    with expect.raises(ValueError, str(wrong), "(3, 3)"):
        cross_entropy(np.zeros((3, 3)), labels, ignore_index=-5)


def test_wrong_options_are_refused():
    for eps in (-0.1, 1.5, math.nan):
        with expect.raises(ValueError, str(eps)):
            cross_entropy(LOGITS, LABELS, label_smoothing=eps)
    for weight in (np.ones(2), np.ones(1), np.ones((1, 3))):
        with expect.raises(ValueError, str(weight.shape), "3"):
            cross_entropy(LOGITS, LABELS, weight)
    for reduction in ("average", "batchmean"):
        with expect.raises(ValueError, reduction):
            cross_entropy(LOGITS, LABELS, reduction=reduction)
        with expect.raises(ValueError, reduction):
            binary_cross_entropy_with_logits(LOGITS, YES, reduction=reduction)


def test_the_mean_of_nothing_is_refused():
    ignored = np.full(4, -100)
    with expect.raises(ValueError):
        cross_entropy(LOGITS, ignored)
    with expect.raises(ValueError):
        cross_entropy(LOGITS, np.zeros(4, int), np.array([0.0, 1.0, 1.0]))
    with expect.raises(ValueError):
        cross_entropy(np.zeros((0, 3)), np.zeros((0, 3)))
    expect.tensor(cross_entropy(LOGITS, ignored, reduction="sum"), 0.0, "the sum over ignored targets")
    each = cross_entropy(LOGITS, ignored, reduction="none")
    expect.tensor(each, np.zeros(4), "the losses of ignored targets")


# Yes or no.


def slowly_binary(x, y, weight=1.0, pos_weight=1.0):
    weight, pos_weight = np.broadcast_to(weight, x.shape), np.broadcast_to(pos_weight, x.shape)
    losses = np.zeros(x.shape)
    for i in np.ndindex(*x.shape):
        s = 1 / (1 + math.exp(-x[i]))
        losses[i] = -weight[i] * (pos_weight[i] * y[i] * math.log(s) + (1 - y[i]) * math.log(1 - s))
    return losses


FACTORS = {
    "plain": {},
    "weight": {"weight": np.array([[0.5], [2.0], [1.0], [3.0]])},
    "pos_weight": {"pos_weight": np.array([1.0, 4.0, 0.25])},
    "both": {"weight": np.array([[0.5], [2.0], [1.0], [3.0]]), "pos_weight": np.array([1.0, 4.0, 0.25])},
}
factors = pytest.mark.parametrize("factor", FACTORS)


@factors
@reductions
def test_binary_cross_entropy(factor, reduction):
    how = FACTORS[factor]
    want = {"mean": np.mean, "sum": np.sum, "none": lambda x: x}[reduction](slowly_binary(LOGITS, YES, **how))
    with expect.unchanged(LOGITS, YES):
        got = binary_cross_entropy_with_logits(Tensor(LOGITS), YES, reduction=reduction, **how)
    expect.tensor(got, want, f"binary cross-entropy of (4, 3), {factor}, '{reduction}'")


@factors
def test_binary_cross_entropy_can_be_differentiated_twice(factor):
    how = FACTORS[factor]

    def losses(x):
        return binary_cross_entropy_with_logits(x, YES, reduction="none", **how)

    expect.tensor(losses(LOGITS), slowly_binary(LOGITS, YES, **how), f"binary cross-entropy, {factor}")
    gradcheck(losses, LOGITS, names=("logits",))


def test_the_binary_gradient_is_the_probability_minus_the_truth():
    x = Tensor(LOGITS, requires_grad=True)
    (got,) = grad(binary_cross_entropy_with_logits(x, YES), [x])
    expect.tensor(got, (1 / (1 + np.exp(-LOGITS)) - YES) / 12, "the gradient of the mean over 12")


def test_binary_is_cross_entropy_with_a_second_logit_of_zero():
    x = LOGITS[:, 0]
    labels = np.array([1, 0, 1, 0])
    got = cross_entropy(np.stack([np.zeros(4), x], axis=1), labels, reduction="none")
    want = slowly_binary(x, labels)
    expect.tensor(got, want, "cross_entropy of logits (0, x)")
    got = binary_cross_entropy_with_logits(x, labels, reduction="none")
    expect.tensor(got, want, "binary cross-entropy of x, labels 1, 0, 1, 0")


def test_binary_cross_entropy_is_right_in_both_tails():
    x = Tensor(np.array([800.0, 800.0, -800.0, -800.0, 50.0, -50.0]), requires_grad=True)
    y = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    tail = math.log1p(math.exp(-50.0))
    losses = binary_cross_entropy_with_logits(x, y, reduction="none")
    expect.tensor(
        losses, [0.0, 800.0, 0.0, 800.0, tail, tail], "losses of logits +-800 and +-50", atol=1e-300
    )
    small = math.exp(-50.0)
    (got,) = grad(losses, [x], np.ones(6))
    expect.tensor(got, [0.0, 1.0, 0.0, -1.0, -small, small], "their gradient", atol=1e-300)


@pytest.mark.parametrize("target", [YES, Tensor(YES)], ids=["array", "Tensor"])
def test_binary_float32_stays_float32(target):
    x = Tensor(LOGITS.astype(np.float32), requires_grad=True)
    for weight in (np.float64(2.0), WEIGHT):
        y = binary_cross_entropy_with_logits(x, target, weight, "sum", WEIGHT)
        want = slowly_binary(LOGITS, YES, weight, WEIGHT).sum()
        what = f"binary cross-entropy of float32 logits, {type(weight).__name__} weight"
        expect.tensor(y, want, what, rtol=1e-5, dtype=np.float32)
        (g,) = engine.grad(y, [x])  # the kit's engine does not cast
        expect.equal(str(g.dtype), "float32", "the dtype of its gradient")


def test_the_target_is_a_constant():
    for loss, target, want in (
        (cross_entropy, Q, slowly(LOGITS, Q)),
        (binary_cross_entropy_with_logits, YES, slowly_binary(LOGITS, YES).mean()),
    ):
        y = loss(LOGITS, Tensor(target, requires_grad=True))
        expect.tensor(y, want, f"{loss.__name__} of a Tensor target")
        expect.equal(y.requires_grad, False, f"requires_grad of {loss.__name__}, logits constant")


def test_arrays_of_another_library_flow_through_the_losses():
    for loss, target, want in (
        (cross_entropy, LABELS, slowly(LOGITS, LABELS)),
        (cross_entropy, Q, slowly(LOGITS, Q)),
        (binary_cross_entropy_with_logits, YES, slowly_binary(LOGITS, YES).mean()),
    ):
        got = duck.flows(lambda x, f=loss, t=target: f(x, t), LOGITS, engine=engine.grad, what=loss.__name__)
        expect.close(got, want, f"{loss.__name__} of foreign logits")


def test_the_binary_module_passes_its_settings_on():
    want = slowly_binary(LOGITS, YES)
    expect.tensor(BCEWithLogitsLoss()(Tensor(LOGITS), YES), want.mean(), "BCEWithLogitsLoss()")
    got = BCEWithLogitsLoss(FACTORS["both"]["weight"], "none", WEIGHT)(Tensor(LOGITS), YES)
    want = slowly_binary(LOGITS, YES, FACTORS["both"]["weight"], WEIGHT)
    expect.tensor(got, want, "BCEWithLogitsLoss, all settings")


def test_binary_shapes_must_fit():
    for target in ((4,), (4, 1), (3, 4)):
        with expect.raises(ValueError, "(4, 3)", str(target)):
            binary_cross_entropy_with_logits(LOGITS, np.zeros(target))
    for name in ("weight", "pos_weight"):
        for factor in (np.ones(4), np.ones((2, 4, 3))):
            with expect.raises(ValueError, "(4, 3)", str(factor.shape)):
                binary_cross_entropy_with_logits(LOGITS, YES, **{name: factor})
