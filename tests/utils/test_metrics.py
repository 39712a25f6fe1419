"""metrics: against counting by hand, against each other, and on inputs that fool a quick implementation."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect, strategies
from utils.metrics import (
    accuracy,
    average_ratio,
    confusion_matrix,
    f1,
    log_loss,
    mae,
    mse,
    precision,
    r2,
    recall,
    rmse,
    roc_auc,
    roc_curve,
    top_k_accuracy,
)

TRUTH = np.array([0, 0, 0, 0, 1, 1, 1, 3, 3, 1])
GUESS = np.array([0, 0, 1, 3, 1, 1, 0, 3, 3, 3])
# class            0     1     2     3
# true             4     4     0     2
# predicted        3     3     0     4
# both             2     2     0     2
PRECISION = [2 / 3, 2 / 3, None, 2 / 4]
RECALL = [2 / 4, 2 / 4, None, 2 / 2]
F1 = [4 / 7, 4 / 7, None, 4 / 6]
SUPPORT = [4, 4, 0, 2]
RATIOS = {"precision": (precision, PRECISION), "recall": (recall, RECALL), "f1": (f1, F1)}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def probability_of_outscoring(y, scores):
    """AUC by its definition: over all pairs of a positive and a negative."""
    pairs = [
        (p, n)
        for p, py in zip(scores, y, strict=True)
        if py
        for n, ny in zip(scores, y, strict=True)
        if not ny
    ]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


# accuracy


def test_accuracy_is_the_fraction_that_agrees():
    expect.close(accuracy(TRUTH, GUESS), 0.6, "accuracy of 6 right out of 10")
    expect.close(accuracy(["a", "b", "c"], ["a", "c", "b"]), 1 / 3, "accuracy of string labels, 1 of 3 right")
    expect.close(accuracy([1.0], [1.0]), 1.0, "accuracy of one right item")
    expect.close(accuracy([True, False], [False, True]), 0.0, "accuracy of two wrong items")


# top k


def test_top_k_looks_for_the_true_class_among_the_k_best():
    scores = np.array([[0.1, 0.5, 0.4], [0.3, 0.2, 0.5], [-3.0, -1.0, -2.0], [9.0, 7.0, 8.0]])
    for k, expected in ((1, 0.25), (2, 0.75), (3, 1.0)):
        with expect.unchanged(scores):
            got = top_k_accuracy([1, 0, 2, 1], scores, k=k)
        expect.close(got, expected, f"top-{k} accuracy of ranks 1, 2, 2, 3")


def test_top_k_counts_a_tie_against_you():
    expect.close(
        top_k_accuracy([0, 1, 2], np.zeros((3, 3)), k=2), 0.0, "top-2 accuracy of three equal scores"
    )
    expect.close(
        top_k_accuracy([0, 1, 2], np.zeros((3, 3)), k=3), 1.0, "top-3 accuracy of three equal scores"
    )
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [2.0, 1.0, 1.0]])
    expect.close(
        top_k_accuracy([0, 0, 0], scores, k=1), 1 / 3, "top-1 accuracy where two of three rows tie at the top"
    )
    expect.close(
        top_k_accuracy([0, 0, 1], scores, k=2), 2 / 3, "top-2 accuracy where the third row ties at rank 2"
    )


def test_top_1_is_the_accuracy_of_the_highest_score(rng):
    scores, y = rng.normal(size=(200, 7)).astype(np.float32), rng.integers(7, size=200)
    expected = (
        sum(int(max(range(7), key=row.__getitem__) == t) for row, t in zip(scores.tolist(), y, strict=True))
        / 200
    )
    expect.close(top_k_accuracy(y, scores, k=1), expected, "top-1 accuracy of 200 random rows")


# confusion matrix


def test_confusion_matrix_has_true_rows_and_predicted_columns():
    expected = np.array([[2, 1, 0, 1], [1, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 2]])
    expect.equal(confusion_matrix(TRUTH, GUESS), expected, "the confusion matrix of the ten items")
    expect.equal(
        confusion_matrix([1], [0]), np.array([[0, 0], [1, 0]]), "the confusion matrix of a 1 taken for a 0"
    )


def test_confusion_matrix_has_as_many_classes_as_asked_for():
    expected = np.zeros((5, 5), int)
    expected[0, 2] = expected[1, 1] = 1
    expect.equal(confusion_matrix([0, 1], [2, 1], n_classes=5), expected, "the confusion matrix of 5 classes")
    expect.equal(confusion_matrix([0, 1], [2, 1]), expected[:3, :3], "the confusion matrix by default")
    small = confusion_matrix(np.array([1, 0], np.uint8), np.array([True, True]))
    expect.equal(small, np.array([[0, 1], [0, 1]]), "the confusion matrix of uint8 and bool")


def test_confusion_matrix_counts_beyond_the_range_of_the_labels_dtype():
    y = np.full(300, 16, np.int8)  # 16 * 17 + 16 = 288 does not fit into int8
    expected = np.zeros((17, 17), int)
    expected[16, 16] = 300
    expect.equal(confusion_matrix(y, y), expected, "the confusion matrix of 300 int8 labels 16")


@given(st.integers(1, 30), st.integers(1, 5), strategies.seeds())
def test_confusion_matrix_counts_every_item_once(n, v, seed):
    y, p = np.random.default_rng(seed).integers(v, size=(2, n))
    expected = np.zeros((v, v), int)
    for i, j in zip(y, p, strict=True):
        expected[i, j] += 1
    expect.equal(
        confusion_matrix(y, p, n_classes=v), expected, f"the confusion matrix of {y.tolist()}, {p.tolist()}"
    )


# precision, recall, F1 and their averages


@pytest.mark.parametrize("zero", [0.0, 1.0])
@pytest.mark.parametrize("name", RATIOS)
def test_ratios_of_each_class_and_their_averages(name, zero):
    metric, ratios = RATIOS[name]
    each = [zero if r is None else r for r in ratios]
    got = metric(TRUTH, GUESS, average=None, zero_division=zero)
    expect.close(got, np.array(each), f"{name} of each class, 0/0 = {zero}")
    got = metric(TRUTH, GUESS, average="macro", zero_division=zero)
    expect.close(got, sum(each) / 4, f"macro {name}, 0/0 = {zero}")
    weighted = sum(r * s for r, s in zip(each, SUPPORT, strict=True)) / 10
    got = metric(TRUTH, GUESS, average="weighted", zero_division=zero)
    expect.close(got, weighted, f"weighted {name}, 0/0 = {zero}")


@pytest.mark.parametrize("name", RATIOS)
def test_macro_is_the_default_and_zero_division_is_zero(name):
    metric, ratios = RATIOS[name]
    expect.close(metric(TRUTH, GUESS), sum(r or 0.0 for r in ratios) / 4, f"{name} by default")


@pytest.mark.parametrize("name", RATIOS)
def test_with_nan_the_undefined_classes_are_left_out(name):
    metric, ratios = RATIOS[name]
    each = np.array([np.nan if r is None else r for r in ratios])
    expect.close(
        metric(TRUTH, GUESS, average=None, zero_division=np.nan), each, f"{name} of each class, 0/0 = nan"
    )
    macro = metric(TRUTH, GUESS, average="macro", zero_division=np.nan)
    expect.close(macro, float(np.nansum(each)) / 3, f"macro {name} of the three classes that occur")
    weighted = metric(TRUTH, GUESS, average="weighted", zero_division=np.nan)
    expect.close(
        weighted, float(np.nansum(each * SUPPORT)) / 10, f"weighted {name} of the classes that occur"
    )


def test_weighted_leaves_out_the_weight_of_an_undefined_class_too():
    # Class 1 has three items and is never predicted: its precision is 0/0.
    got = precision([0, 0, 2, 1, 1, 1], [0, 0, 0, 0, 2, 2], average="weighted", zero_division=np.nan)
    expect.close(got, (2 / 4 * 2 + 0 * 1) / 3, "weighted precision of classes 0 and 2, class 1 undefined")


@pytest.mark.parametrize("name", RATIOS)
def test_micro_counts_items_and_so_is_the_accuracy(name, rng):
    metric, _ = RATIOS[name]
    y, p = rng.integers(6, size=(2, 50))
    expected = sum(a == b for a, b in zip(y.tolist(), p.tolist(), strict=True)) / 50
    expect.close(metric(y, p, average="micro"), expected, f"micro {name} of 50 items")
    expect.close(
        metric(TRUTH, GUESS, average="micro", zero_division=1.0), 0.6, f"micro {name} of 6 right out of 10"
    )


def test_element_1_is_the_usual_metric_of_a_binary_problem():
    y, p = [0, 1, 1, 1, 0, 1], [1, 1, 0, 1, 0, 0]  # 2 true positives, 1 false positive, 2 false negatives
    expect.close(precision(y, p, average=None), np.array([1 / 3, 2 / 3]), "precision of classes 0 and 1")
    expect.close(recall(y, p, average=None), np.array([1 / 2, 2 / 4]), "recall of classes 0 and 1")
    expect.close(f1(y, p, average=None), np.array([2 / 5, 4 / 7]), "F1 of classes 0 and 1")


def test_f1_is_the_harmonic_mean_class_by_class(rng):
    y, p = rng.integers(4, size=(2, 60))
    tp = np.array([np.sum((y == c) & (p == c)) for c in range(4)])
    a = tp / np.array([np.sum(p == c) for c in range(4)])
    b = tp / np.array([np.sum(y == c) for c in range(4)])
    expect.close(
        f1(y, p, average=None), 2 * a * b / (a + b), "F1 of each class from its precision and recall"
    )
    expect.close(f1(y, p), float(np.mean(2 * a * b / (a + b))), "macro F1 of 60 items")


def test_f1_of_a_class_never_hit_is_0_and_not_undefined():
    expect.close(
        f1([0, 0, 1], [1, 0, 0], average=None, zero_division=1.0), np.array([0.5, 0.0]), "F1 of each class"
    )


def test_average_ratio_follows_its_definition():
    hits, totals, support = [1, 0, 3], [2, 0, 3], [5, 1, 2]
    for average, expected in (
        ("macro", (0.5 + 1 + 1) / 3),
        ("weighted", (2.5 + 1 + 2) / 8),
        ("micro", 4 / 5),
    ):
        got = average_ratio(hits, totals, support, average=average, zero_division=1.0)
        expect.close(got, expected, f"{average} average of 1/2, 0/0 = 1, 3/3 with support 5, 1, 2")
    expect.close(
        average_ratio(hits, totals, support, average=None), np.array([0.5, 0.0, 1.0]), "1/2, 0/0 = 0, 3/3"
    )


def test_average_ratio_with_nothing_defined():
    for average in ("macro", "weighted", "micro"):
        got = average_ratio([0, 0], [0, 0], [1, 2], average=average, zero_division=float("nan"))
        expect.close(got, math.nan, f"{average} average of 0/0, 0/0 = nan")
        got = average_ratio([0, 0], [0, 0], [1, 2], average=average, zero_division=1.0)
        expect.close(got, 1.0, f"{average} average of 0/0, 0/0 = 1")
    got = average_ratio([0, 1], [0, 2], [3, 0], average="weighted", zero_division=float("nan"))
    expect.close(got, math.nan, "weighted average where the only defined class has no weight")


# ROC


def test_roc_curve_has_a_point_for_each_distinct_score():
    y = np.array([0, 1, 1, 0, 1, 0])
    scores = np.array([0.1, 0.9, 0.4, 0.4, 0.8, 0.2])
    with expect.unchanged(y, scores):
        fpr, tpr, thresholds = roc_curve(y, scores)
    expect.close(thresholds, np.array([np.inf, 0.9, 0.8, 0.4, 0.2, 0.1]), "the thresholds")
    expect.close(fpr, np.array([0, 0, 0, 1, 2, 3]) / 3, "the rates of false positives")
    expect.close(tpr, np.array([0, 1, 2, 3, 3, 3]) / 3, "the rates of true positives")


@given(st.integers(2, 30), st.integers(1, 6), strategies.seeds())
def test_roc_curve_and_area_follow_their_definitions(n, levels, seed):
    draw = np.random.default_rng(seed)
    y = draw.permutation(np.append([0, 1], draw.integers(2, size=n - 2)))
    scores = draw.integers(levels, size=n) / 2 - 1  # many ties
    fpr, tpr, thresholds = roc_curve(y, scores)
    case = f"y {y.tolist()}, scores {scores.tolist()}"
    expect.close(
        thresholds, np.array([np.inf, *sorted(set(scores.tolist()), reverse=True)]), f"thresholds of {case}"
    )
    at = [scores >= t for t in thresholds]
    expect.close(fpr, np.array([a[y == 0].mean() for a in at]), f"false positive rates of {case}")
    expect.close(tpr, np.array([a[y == 1].mean() for a in at]), f"true positive rates of {case}")
    expect.close(roc_auc(y, scores), probability_of_outscoring(y, scores), f"ROC AUC of {case}", atol=1e-12)


def test_roc_auc_by_hand():
    expect.close(roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 0.75, "ROC AUC, 3 of 4 pairs in order")
    expect.close(roc_auc([0, 1], [0.2, 0.7]), 1.0, "ROC AUC of a perfect order")
    expect.close(roc_auc([1, 0, 0], [0.2, 0.7, 0.3]), 0.0, "ROC AUC of a reversed order")


def test_a_tie_counts_one_half():
    expect.close(roc_auc([0, 1, 0, 1, 1], [0.5] * 5), 0.5, "ROC AUC of a constant score")
    expect.close(roc_auc([1, 1, 0, 0], [2, 1, 1, 0]), 3.5 / 4, "ROC AUC with 3 pairs in order and one tie")
    expect.close(roc_auc([0, 0, 1, 1], [1, 0, 2, 1]), 3.5 / 4, "the same pairs in another order of the items")


def test_roc_auc_depends_on_the_order_of_the_scores_only(rng):
    y, scores = rng.integers(2, size=80), rng.normal(size=80).round(1)
    expected = probability_of_outscoring(y, scores)
    expect.close(roc_auc(y, scores), expected, "ROC AUC of 80 scores")
    expect.close(roc_auc(y == 1, np.exp(scores)), expected, "ROC AUC of exp(scores), y as bool")
    expect.close(roc_auc(1 - y, -scores), expected, "ROC AUC of the negated scores for the other class")
    expect.close(roc_auc(y, scores.astype(np.float32)), expected, "ROC AUC of float32 scores")


def test_roc_auc_takes_infinite_scores():
    expect.close(
        roc_auc([0, 1, 0, 1], [-np.inf, np.inf, 3.0, np.inf]), 1.0, "ROC AUC with infinite scores in order"
    )
    expect.close(roc_auc([0, 1], [np.inf, np.inf]), 0.5, "ROC AUC of two infinite scores")


def test_roc_auc_needs_memory_for_the_items_not_for_the_pairs(rng):
    def peak(n):
        y, scores = np.arange(n) % 2, rng.normal(size=n)
        tracemalloc.start()
        area = roc_auc(y, scores)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        expect.true(0.3 < area < 0.7, f"ROC AUC of {n} random scores must be near 0.5, got {area}")
        return used

    peak(10)
    ratio = peak(2000) / peak(500)
    expect.true(
        ratio < 8, f"4 times the items take {ratio:.1f} times the memory: sort the scores, don't pair them"
    )


# log loss


def test_log_loss_is_the_mean_surprise():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]])
    with expect.unchanged(p):
        got = log_loss([0, 2, 2], p)
    expect.close(
        got, -(math.log(0.7) + math.log(0.3) + math.log(0.5)) / 3, "log loss of probabilities 0.7, 0.3, 0.5"
    )


def test_log_loss_takes_the_probability_of_class_1():
    got = log_loss([1, 0, 1], [0.9, 0.2, 0.3])
    expect.close(
        got, -(math.log(0.9) + math.log(0.8) + math.log(0.3)) / 3, "log loss of probabilities of class 1"
    )
    expect.close(log_loss([True, False], [0.5, 0.5]), math.log(2), "log loss of a coin")


def test_log_loss_of_equal_probabilities_is_the_log_of_the_classes():
    for v in (2, 10, 1000):
        p = np.full((4, v), 1 / v, np.float32)
        expect.close(
            log_loss([0, 1, 1, v - 1], p), math.log(v), f"log loss of {v} equal probabilities", rtol=1e-6
        )


def test_log_loss_clips_a_certain_mistake():
    expect.close(log_loss([0], [[0.0, 1.0]]), -math.log(1e-15), "log loss of probability 0")
    expect.close(
        log_loss([1, 1], [0.0, 0.5]), -(math.log(1e-15) + math.log(0.5)) / 2, "log loss of 0 and 0.5"
    )
    expect.close(
        log_loss([0], [[0.001, 0.999]], eps=0.01), -math.log(0.01), "log loss of 0.001 with eps 0.01"
    )
    expect.close(
        log_loss([0, 1], [[1.0, 0.0], [0.0, 1.0]]), 0.0, "log loss of certain right answers", atol=1e-12
    )


# regression


def test_errors_of_three_predictions():
    y, p = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 1.0])  # residuals 0.5, 0, -3
    expect.close(mse(y, p), 9.25 / 3, "MSE of residuals 0.5, 0, -3")
    expect.close(rmse(y, p), math.sqrt(9.25 / 3), "RMSE of residuals 0.5, 0, -3")
    expect.close(mae(y, p), 3.5 / 3, "MAE of residuals 0.5, 0, -3")
    expect.close(r2(y, p), 1 - 9.25 / (14 / 3), "R² of 1, 2, 4 predicted as 1.5, 2, 1")


def test_errors_are_means_over_every_element(rng):
    y, p = rng.normal(size=(2, 4, 3))
    residuals = [a - b for a, b in zip(y.ravel().tolist(), p.ravel().tolist(), strict=True)]
    expect.close(mse(y, p), sum(r * r for r in residuals) / 12, "MSE of (4, 3) values")
    expect.close(rmse(y, p), math.sqrt(sum(r * r for r in residuals) / 12), "RMSE of (4, 3) values")
    expect.close(mae(y, p), sum(abs(r) for r in residuals) / 12, "MAE of (4, 3) values")


def test_errors_of_unsigned_integers_do_not_wrap_around():
    y, p = np.array([0, 250], np.uint8), np.array([20, 0], np.uint8)
    expect.close(mse(y, p), (400 + 62500) / 2, "MSE of uint8 residuals 20 and -250")
    expect.close(rmse(y, p), math.sqrt((400 + 62500) / 2), "RMSE of uint8 residuals 20 and -250")
    expect.close(mae(y, p), 135.0, "MAE of uint8 residuals 20 and -250")
    expect.close(r2(y, p), 1 - 62900 / 31250, "R² of uint8 values")


def test_errors_of_float32_are_summed_in_float64():
    y = np.linspace(0, 1, 100_001, dtype=np.float32)
    p = np.zeros_like(y)
    exact = [float(v) for v in y]
    expect.close(mse(y, p), math.fsum(v * v for v in exact) / len(exact), "MSE of 100,001 float32 values")
    expect.close(mae(y, p), math.fsum(exact) / len(exact), "MAE of 100,001 float32 values")


def test_r2_is_1_when_perfect_0_for_the_mean_and_negative_below():
    y = np.array([3.0, 5.0, 10.0])
    expect.close(r2(y, y), 1.0, "R² of perfect predictions")
    expect.close(r2(y, np.full(3, 6.0)), 0.0, "R² of predicting the mean", atol=1e-12)
    expect.close(r2(y, y[::-1].copy()), 1 - 98 / 26, "R² of the reversed truth")
    expect.close(r2([1, 2], [2, 2]), -1.0, "R² of 1, 2 predicted as 2, 2")


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0])
def test_r2_of_a_constant_truth_is_1_if_perfect_else_0(value):
    y = np.full(3, value)
    expect.close(r2(y, y), 1.0, f"R² of three times {value}, predicted perfectly")
    expect.close(
        r2(y, y + np.array([0, 0.5, 0])), 0.0, f"R² of three times {value}, one prediction off by 0.5"
    )
    expect.close(r2([value], [value + 1]), 0.0, "R² of a single item, off by 1")


# errors


PAIRWISE = [accuracy, confusion_matrix, precision, recall, f1, roc_curve, roc_auc, mse, rmse, mae, r2]


@pytest.mark.parametrize("metric", PAIRWISE)
def test_shapes_that_differ_are_refused_even_if_they_broadcast(metric):
    for shape, other in (((4,), (3,)), ((4,), (4, 1)), ((4,), (1,))):
        with expect.raises(ValueError, str(shape), str(other)):
            metric(np.zeros(shape, int), np.zeros(other, int))


@pytest.mark.parametrize(
    "metric", [accuracy, confusion_matrix, precision, recall, f1, roc_curve, roc_auc, r2]
)
def test_one_value_an_item_is_required(metric):
    with expect.raises(ValueError, "(2, 2)"):
        metric(np.array([[0, 1], [1, 0]]), np.array([[0, 1], [1, 0]]))


@pytest.mark.parametrize("metric", PAIRWISE)
def test_no_items_have_no_score(metric):
    with expect.raises(ValueError):
        metric(np.zeros(0, int), np.zeros(0, int))


def test_no_rows_have_no_score():
    with expect.raises(ValueError):
        top_k_accuracy(np.zeros(0, int), np.zeros((0, 3)), k=1)
    with expect.raises(ValueError):
        log_loss(np.zeros(0, int), np.zeros((0, 3)))


@pytest.mark.parametrize("average", ["marco", "binary", True])
def test_an_unknown_average_is_refused_with_the_known_ones(average):
    for metric in (precision, recall, f1):
        with expect.raises(ValueError, str(average), "macro", "micro", "weighted", "None"):
            metric([0, 1], [0, 1], average=average)


def test_classes_outside_the_matrix_are_refused():
    with expect.raises(ValueError, "-1"):
        confusion_matrix([0, -1], [0, 1])
    with expect.raises(ValueError, "7", "3"):
        confusion_matrix([0, 1], [0, 7], n_classes=3)
    with expect.raises(ValueError, "3"):
        confusion_matrix([0, 3], [0, 1], n_classes=3)


def test_classes_that_are_no_integers_are_refused():
    with expect.raises(TypeError, "float64"):
        confusion_matrix([0.0, 1.0], [0, 1])
    with expect.raises(TypeError, "float32"):
        top_k_accuracy(np.zeros(2, np.float32), np.zeros((2, 3)), k=1)
    with expect.raises(TypeError, "float64"):
        log_loss([0.0, 1.0], [0.5, 0.5])


def test_top_k_refuses_what_does_not_fit():
    scores = np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])
    for k in (0, 4):
        with expect.raises(ValueError, str(k), "3"):
            top_k_accuracy([0, 1], scores, k=k)
    with expect.raises(ValueError, "(3,)", "(2, 3)"):
        top_k_accuracy([0, 1, 2], scores, k=1)
    with expect.raises(ValueError, "5", "3"):
        top_k_accuracy([0, 5], scores, k=1)
    with expect.raises(ValueError, "-1"):
        top_k_accuracy([0, -1], scores, k=1)
    scores[1, 1] = np.nan
    with expect.raises(ValueError, "nan"):
        top_k_accuracy([0, 1], scores, k=1)


@pytest.mark.parametrize("metric", [roc_curve, roc_auc])
def test_roc_refuses_what_it_cannot_rank(metric):
    with expect.raises(ValueError, "2"):
        metric([0, 2, 1], [0.1, 0.2, 0.3])
    for y in ([0, 0, 0], [1, 1, 1]):
        with expect.raises(ValueError):
            metric(y, [0.1, 0.2, 0.3])
    with expect.raises(ValueError, "nan"):
        metric([0, 1, 1], [0.1, np.nan, 0.3])


def test_log_loss_refuses_what_is_no_probability():
    with expect.raises(ValueError, "1.5"):
        log_loss([0, 1], [[0.5, 0.5], [1.5, -0.5]])
    with expect.raises(ValueError, "-0.25"):
        log_loss([0, 1], [0.5, -0.25])
    with expect.raises(ValueError, "nan"):
        log_loss([0, 1], [0.5, np.nan])
    with expect.raises(ValueError, "1", "0.75"):
        log_loss([0, 1], [[0.5, 0.5], [0.5, 0.25]])


def test_log_loss_refuses_what_does_not_fit():
    with expect.raises(ValueError, "(3,)", "(2, 2)"):
        log_loss([0, 1, 1], [[0.5, 0.5], [0.5, 0.5]])
    with expect.raises(ValueError, "(3,)", "(2,)"):
        log_loss([0, 1, 1], [0.5, 0.5])
    with expect.raises(ValueError, "2"):
        log_loss([0, 2], [0.5, 0.5])
    with expect.raises(ValueError, "-1"):
        log_loss([0, -1], [0.5, 0.5])
