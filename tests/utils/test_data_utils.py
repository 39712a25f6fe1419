"""data_utils: every item exactly once, rows together, nothing learned from the test set."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect, statistics
from utils.data_utils import (
    MinMaxScaler,
    Standardizer,
    apportion,
    batches,
    k_fold,
    stratified_k_fold,
    train_test_split,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def fair_split(sizes, counts, total):
    """Why ``counts`` is no division of ``total`` by largest remainder; empty if it is one."""
    shares = [divmod(total * int(s), int(np.sum(sizes))) for s in sizes]  # whole part and remainder, exact
    extra = [int(c) - whole for c, (whole, _) in zip(counts, shares, strict=True)]
    if sum(int(c) for c in counts) != total:
        return f"they sum to {sum(int(c) for c in counts)}"
    if not set(extra) <= {0, 1}:
        return "one is more than 1 away from its share"
    with_extra = [r for e, (_, r) in zip(extra, shares, strict=True) if e]
    without = [r for e, (_, r) in zip(extra, shares, strict=True) if not e]
    if with_extra and without and min(with_extra) < max(without):
        return "a smaller remainder was rounded up before a larger one"
    return ""


def partition(parts, n, what):
    """Check that index arrays hold each of 0 ... n-1 exactly once."""
    indices = np.concatenate(parts).tolist()
    expect.equal(sorted(indices), list(range(n)), f"{what}, sorted")


# apportion


@pytest.mark.parametrize(
    ("total", "sizes", "expected"),
    [
        (10, [50, 30, 20], [5, 3, 2]),
        (7, [50, 30, 20], [4, 2, 1]),  # shares 3.5, 2.1, 1.4
        (5, [16, 2, 1], [4, 1, 0]),  # shares 4.21, 0.53, 0.26
    ],
)
def test_apportion_gives_what_is_left_to_the_largest_remainders(total, sizes, expected):
    counts = apportion(total, np.array(sizes))
    expect.equal(counts, np.array(expected), f"apportion({total}, {sizes})")


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any), st.floats(0, 1))
def test_apportion_divides_any_total_among_any_groups(sizes, fraction):
    total = round(fraction * sum(sizes))
    counts = apportion(total, sizes)
    expect.true(
        isinstance(counts, np.ndarray) and counts.shape == (len(sizes),) and counts.dtype.kind == "i",
        f"apportion({total}, {sizes}) must be an integer array ({len(sizes)},), got {counts!r:.60}",
    )
    fault = fair_split(sizes, counts, total)
    expect.true(not fault, f"apportion({total}, {sizes}) is wrong: {fault}\n  yours {counts.tolist()}")
    expect.true(
        bool(np.all(counts <= sizes)), f"apportion({total}, {sizes}) exceeds a group: {counts.tolist()}"
    )


def test_apportion_of_nothing_one_and_everything():
    for total, sizes, expected in (
        (0, [4, 5], [0, 0]),
        (1, [4, 5], [0, 1]),
        (9, [4, 5], [4, 5]),
        (2, [3], [2]),
    ):
        expect.equal(apportion(total, np.array(sizes)), np.array(expected), f"apportion({total}, {sizes})")


def test_apportion_refuses_more_than_there_is():
    for total in (11, -1):
        with expect.raises(ValueError, str(total), "10"):
            apportion(total, [4, 6])


# train_test_split


@pytest.mark.parametrize(
    ("n", "test_size", "n_test"),
    [(10, 0.3, 3), (100, 0.07, 7), (7, 0.2, 1), (13, 0.45, 6), (10, 4, 4), (5, np.int64(1), 1), (2, 0.5, 1)],
)
def test_split_uses_every_row_once_in_the_stated_sizes(rng, n, test_size, n_test):
    parts = train_test_split(np.arange(n), test_size=test_size, rng=rng)
    expect.equal(len(parts), 2, "the number of parts of one array")
    expect.equal(
        [len(p) for p in parts], [n - n_test, n_test], f"the sizes of train and test, {n} rows at {test_size}"
    )
    partition(parts, n, "the rows of train and test")


def test_split_keeps_the_rows_of_all_arrays_together(rng):
    ids = np.arange(12)
    x, y = np.stack([ids, -ids], axis=1) * 1.5, [f"label {i}" for i in ids]
    with expect.unchanged(x, ids):
        parts = train_test_split(x, ids, y, test_size=5, rng=rng)
    expect.equal(len(parts), 6, "the number of parts of three arrays")
    x_train, x_test, id_train, id_test, y_train, y_test = parts
    partition([id_train, id_test], 12, "the ids of train and test")
    for xs, i, ys, part in ((x_train, id_train, y_train, "train"), (x_test, id_test, y_test, "test")):
        expect.equal(xs, np.stack([i, -i], axis=1) * 1.5, f"the first array's {part} rows beside the ids {i}")
        expect.equal(
            ys.tolist(), [f"label {k}" for k in i], f"the third array's {part} rows beside the ids {i}"
        )


def test_split_draws_from_the_generator_it_is_given():
    def split(seed):
        return train_test_split(np.arange(100), test_size=0.5, rng=np.random.default_rng(seed))[1]

    expect.equal(split(1), split(1), "the test rows of two splits with equal generators")
    expect.true(
        len(split(1)) == 50 and set(split(1)) != set(split(2)),
        "other generators must give other splits of 50 rows",
    )


def test_every_row_is_equally_likely_to_be_tested(rng):
    counts = np.zeros(8)
    for _ in range(1000):
        counts[train_test_split(np.arange(8), test_size=2, rng=rng)[1]] += 1
    expect.equal(int(counts.sum()), 2000, "how many test rows there are in 1000 splits of 2")
    statistics.uniform_counts(counts, "how often each of 8 rows is tested", alpha=1e-6)


@pytest.mark.parametrize(
    ("sizes", "test_size", "n_test"),
    [((70, 20, 10), 0.2, 20), ((33, 33, 33), 10, 10), ((90, 7, 3), 0.25, 25), ((10, 1), 2, 2), ((5,), 2, 2)],
)
def test_stratified_split_counts_each_class_by_largest_remainder(rng, sizes, test_size, n_test):
    names = np.array(["ant", "bee", "cat"])[: len(sizes)]
    labels = rng.permutation(np.repeat(names, sizes))
    ids = np.arange(len(labels))
    train, test = train_test_split(ids, test_size=test_size, stratify=labels, rng=rng)
    partition([train, test], len(ids), "the rows of a stratified split")
    counts = [int(np.sum(labels[test] == name)) for name in names]
    fault = fair_split(sizes, counts, n_test)
    expect.true(
        not fault,
        f"of classes {sizes}, {n_test} test items are wrong: {fault}\n  yours {counts}, a class each",
    )


def test_stratified_split_draws_at_random_within_a_class(rng):
    labels, counts = np.array([0, 1] * 6), np.zeros(12)
    for _ in range(1000):
        counts[train_test_split(np.arange(12), test_size=4, stratify=labels, rng=rng)[1]] += 1
    expect.equal(int(counts.sum()), 4000, "how many test rows there are in 1000 splits of 4")
    statistics.uniform_counts(counts, "how often each of 12 rows is tested", alpha=1e-6)


def test_split_gives_copies(rng):
    x = np.arange(10.0)
    for part, size in zip(train_test_split(x, test_size=4, rng=rng), (6, 4), strict=True):
        expect.equal(len(part), size, "the size of a part")
        part[:] = -1
    expect.equal(x, np.arange(10.0), "the data after its parts were overwritten")


def test_split_refuses_lengths_that_differ(rng):
    with expect.raises(ValueError, "4", "5"):
        train_test_split(np.zeros((4, 2)), np.zeros(5), test_size=0.5, rng=rng)
    with expect.raises(ValueError, "4", "3"):
        train_test_split(np.zeros((4, 2)), test_size=0.5, stratify=[0, 1, 0], rng=rng)
    with expect.raises(ValueError):
        train_test_split(test_size=0.5, rng=rng)


@pytest.mark.parametrize("test_size", [0.0, 1.0, -0.5, 1.5, 0, 10, -3, 0.01, 0.99])
def test_split_refuses_a_size_that_leaves_a_part_empty(rng, test_size):
    with expect.raises(ValueError, "10", str(test_size)):
        train_test_split(np.arange(10), test_size=test_size, rng=rng)


# k_fold


def test_folds_without_shuffling_are_consecutive():
    folds = k_fold(7, 3)
    expected = [([3, 4, 5, 6], [0, 1, 2]), ([0, 1, 2, 5, 6], [3, 4]), ([0, 1, 2, 3, 4], [5, 6])]
    expect.equal(len(folds), 3, "the number of folds of k_fold(7, 3)")
    for i, (fold, (train, test)) in enumerate(zip(folds, expected, strict=True)):
        expect.equal(len(fold), 2, f"the length of fold {i}: train and test")
        expect.equal(fold[0], np.array(train), f"train indices of fold {i} of k_fold(7, 3)")
        expect.equal(fold[1], np.array(test), f"test indices of fold {i} of k_fold(7, 3)")


@pytest.mark.parametrize(("n", "k"), [(10, 5), (11, 4), (3, 2), (5, 5)])
def test_each_item_is_tested_in_one_fold_and_trained_on_in_all_others(rng, n, k):
    for shuffle in (None, rng):
        folds = k_fold(n, k, rng=shuffle)
        expect.equal(
            [len(test) for _, test in folds],
            [n // k + (i < n % k) for i in range(k)],
            "the sizes of the folds",
        )
        partition([test for _, test in folds], n, "the test indices of all folds")
        for i, fold in enumerate(folds):
            partition(fold, n, f"train and test indices of fold {i}")


def test_shuffled_folds_are_drawn_from_the_generator(rng):
    def first(seed):
        return sorted(k_fold(40, 2, rng=np.random.default_rng(seed))[0][1].tolist())

    expect.equal(first(1), first(1), "the first fold of two equal generators")
    expect.true(
        len(first(1)) == 20 and first(1) != first(2), "other generators must give other folds of 20 items"
    )
    counts = np.zeros(6)
    for _ in range(600):
        counts[k_fold(6, 3, rng=rng)[0][1]] += 1
    expect.equal(int(counts.sum()), 1200, "how many items the first fold has in 600 divisions of 6 by 3")
    statistics.uniform_counts(counts, "how often each item is in the first fold", alpha=1e-6)


@pytest.mark.parametrize(("n", "k"), [(10, 1), (10, 11), (10, 0)])
def test_folds_must_be_at_least_two_and_at_most_the_items(n, k):
    with expect.raises(ValueError, str(n), str(k)):
        k_fold(n, k)
    with expect.raises(ValueError, str(n), str(k)):
        stratified_k_fold(np.zeros(n), k)


# stratified_k_fold


@pytest.mark.parametrize("sizes", [(50, 30, 20), (7, 7, 7), (11, 2), (9,)])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_stratified_folds_have_the_balance_of_the_whole(rng, sizes, k):
    labels = rng.permutation(np.repeat(np.array(["ant", "bee", "cat"])[: len(sizes)], sizes))
    n = len(labels)
    for shuffle in (None, rng):
        folds = stratified_k_fold(labels, k, rng=shuffle)
        partition([test for _, test in folds], n, "the test indices of all folds")
        for i, fold in enumerate(folds):
            partition(fold, n, f"train and test indices of fold {i}")
        lengths = [len(test) for _, test in folds]
        expect.true(
            max(lengths) - min(lengths) <= 1, f"the sizes of the folds differ by more than 1: {lengths}"
        )
        for name, m in Counter(labels.tolist()).items():
            counts = [int(np.sum(labels[test] == name)) for _, test in folds]
            expect.true(
                set(counts) <= {m // k, m // k + 1},
                f"{m} items of '{name}' in {k} folds: expected {m // k} or {m // k + 1} each, got {counts}",
            )


def test_stratified_folds_are_the_same_each_time_unless_shuffled(rng):
    labels = np.array([0, 1] * 20)

    def first(rng=None):
        return sorted(stratified_k_fold(labels, 2, rng=rng)[0][1].tolist())

    expect.equal(len(first()), 20, "the size of the first fold")
    expect.equal(first(), first(), "the first fold of two calls without rng")
    one, same, other = (first(np.random.default_rng(seed)) for seed in (1, 1, 2))
    expect.equal(one, same, "the first fold of two equal generators")
    expect.true(one != other, "other generators must give other folds")
    counts = np.zeros(6)
    for _ in range(600):
        counts[stratified_k_fold(labels[:6], 3, rng=rng)[0][1]] += 1
    statistics.uniform_counts(counts, "how often each item is in the first fold", alpha=1e-6)


# batches


def test_batches_come_in_order_and_the_last_has_what_is_left():
    x, y = np.arange(14.0).reshape(7, 2), np.arange(7)
    got = list(batches(x, y, batch_size=3))
    expect.equal(len(got), 3, "the number of batches of 7 items by 3")
    for i, rows in enumerate(([0, 1, 2], [3, 4, 5], [6])):
        expect.true(
            type(got[i]) is tuple and len(got[i]) == 2, f"a batch of two arrays is a pair, got {got[i]!r:.80}"
        )
        expect.equal(got[i][0], x[rows], f"x of batch {i}")
        expect.equal(got[i][1], y[rows], f"y of batch {i}")


def test_a_batch_of_one_array_is_a_tuple_of_one():
    (only,) = list(batches([5, 6], batch_size=4))
    expect.true(
        type(only) is tuple and len(only) == 1, f"a batch of one array is a tuple of one, got {only!r:.80}"
    )
    expect.equal(only[0], np.array([5, 6]), "the only batch of [5, 6]")


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 5), (4, 1), (3, 8)])
def test_shuffled_batches_use_every_item_once_with_its_label(rng, n, size):
    ids = np.arange(n)
    got = list(batches(ids, ids * 10, batch_size=size, rng=rng))
    expect.equal(
        [len(b[0]) for b in got], [min(size, n - i) for i in range(0, n, size)], "the sizes of the batches"
    )
    partition([b[0] for b in got], n, "the items of all batches")
    for b in got:
        expect.equal(b[1], b[0] * 10, f"the labels beside the items {b[0]}")


def test_drop_last_leaves_out_only_a_smaller_batch(rng):
    for n, size, sizes in ((10, 3, [3, 3, 3]), (9, 3, [3, 3, 3]), (2, 3, [])):
        for shuffle in (None, rng):
            got = [len(b) for (b,) in batches(np.arange(n), batch_size=size, rng=shuffle, drop_last=True)]
            expect.equal(got, sizes, f"the sizes of the batches of {n} items by {size} with drop_last")


def test_each_epoch_has_an_order_of_its_own_from_the_generator():
    def epoch(rng):
        return np.concatenate([b for (b,) in batches(np.arange(30), batch_size=7, rng=rng)])

    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    first, second = epoch(rng), epoch(rng)
    expect.equal(sorted(first.tolist()), list(range(30)), "the items of an epoch, sorted")
    expect.true(first.tolist() != list(range(30)), "with rng the items must be shuffled, they came in order")
    expect.true(first.tolist() != second.tolist(), "two epochs of one generator must differ")
    expect.equal(epoch(same), first, "the first epoch of an equal generator")
    expect.equal(epoch(same), second, "the second epoch of an equal generator")


def test_batches_are_an_iterator_and_copies(rng):
    x = np.arange(6.0)
    for shuffle in (None, rng):
        made = batches(x, batch_size=4, rng=shuffle)
        expect.true(iter(made) is made, f"batches must return an iterator, got a {type(made).__name__}")
        for (batch,), size in zip(made, (4, 2), strict=True):
            expect.equal(len(batch), size, "the size of a batch")
            batch[:] = -1
    expect.equal(x, np.arange(6.0), "the data after its batches were overwritten")


def test_no_items_make_no_batch():
    (batch,) = next(iter(batches(np.full((1, 3), 7.0), batch_size=2)))
    expect.equal(batch, np.full((1, 3), 7.0), "the batch of one item")
    expect.equal(list(batches(np.zeros((0, 3)), batch_size=2)), [], "the batches of no items")


def test_batches_refuse_bad_arguments_when_called():
    with expect.raises(ValueError, "4", "5"):
        batches(np.zeros((4, 2)), np.zeros(5), batch_size=2)
    with expect.raises(ValueError, "0"):
        batches(np.zeros(4), batch_size=0)
    with expect.raises(ValueError, "-2"):
        batches(np.zeros(4), batch_size=-2)
    with expect.raises(ValueError):
        batches(batch_size=2)


# Standardizer


def test_standardizer_learns_mean_and_deviation(rng):
    x = rng.normal(3.0, 2.0, (9, 4))
    scaler = Standardizer()
    with expect.unchanged(x):
        expect.true(scaler.fit(x) is scaler, "fit must return self")
    mean = np.array([sum(column) / 9 for column in x.T.tolist()])
    scale = np.array(
        [(sum((v - m) ** 2 for v in c) / 9) ** 0.5 for c, m in zip(x.T.tolist(), mean, strict=True)]
    )
    expect.close(scaler.mean_, mean, "mean_ of 9 items", sizes={"N": 9})
    expect.close(scaler.scale_, scale, "scale_ of 9 items")
    with expect.unchanged(x):
        z = scaler.transform(x)
    expect.close(z, (x - mean) / scale, "the standardized training data", rtol=1e-10)


def test_standardizer_applies_the_numbers_of_the_training_data():
    scaler = Standardizer().fit(np.array([[0.0], [2.0], [4.0]]))  # mean 2, deviation sqrt(8/3)
    unseen = scaler.transform(np.array([[10.0], [2.0]]))
    expect.close(unseen, np.array([[8.0], [0.0]]) / np.sqrt(8 / 3), "unseen data 10 and 2, standardized")
    one = scaler.transform(np.array([[4.0]]))
    expect.close(one, np.array([[2.0]]) / np.sqrt(8 / 3), "one unseen item, standardized")


@pytest.mark.parametrize("value", [0.0, 0.1, -1e6, 3e-9])
def test_a_constant_feature_is_standardized_to_zero(value):
    x = np.stack([np.full(7, value), np.arange(7.0)], axis=1)
    scaler = Standardizer().fit(x)
    expect.close(scaler.scale_, np.array([1.0, 2.0]), f"scale_ of a constant {value} and of 0 ... 6")
    z = np.stack([np.zeros(7), (np.arange(7) - 3) / 2], axis=1)
    expect.close(scaler.transform(x), z, f"a constant {value} and 0 ... 6, standardized", atol=1e-9)


def test_standardizer_computes_in_float64_and_keeps_float32():
    x = (1e4 + np.linspace(0, 1, 5000)[:, None] ** 2).astype(np.float32)
    scaler = Standardizer().fit(x)
    exact = x.astype(np.float64)
    expect.close(
        scaler.mean_, exact.mean(axis=0), "mean_ of float32 data near 10,000", rtol=1e-9, dtype=np.float64
    )
    expect.close(
        scaler.scale_, exact.std(axis=0), "scale_ of float32 data near 10,000", rtol=1e-6, dtype=np.float64
    )
    small = np.array([[1.0], [2.0], [6.0]], np.float32)
    scaler = Standardizer().fit(small)
    expected = ((small - 3) / np.sqrt(14 / 3)).astype(np.float32)
    expect.close(scaler.transform(small), expected, "float32 data, standardized", dtype=np.float32)
    expect.close(scaler.inverse_transform(expected), small, "float32 data, back again", dtype=np.float32)
    expect.close(
        scaler.transform([[3], [6]]),
        np.array([[0.0], [3 / np.sqrt(14 / 3)]]),
        "ints, standardized",
        dtype=np.float64,
    )


@pytest.mark.parametrize("make", [Standardizer, MinMaxScaler, lambda: MinMaxScaler((-3.0, 5.0))])
def test_inverse_transform_undoes_transform(rng, make):
    x = np.column_stack([rng.normal(3.0, 2.0, (8, 3)), np.full(8, 0.1)])
    unseen = rng.normal(0.0, 9.0, (5, 4))
    scaler = make()
    z = scaler.fit_transform(x)
    expect.true(not np.allclose(z, x), "transform must change this data")
    with expect.unchanged(z):
        back = scaler.inverse_transform(z)
    expect.close(back, x, "the training data after there and back", rtol=1e-10)
    back = scaler.inverse_transform(scaler.transform(unseen))
    expect.close(back, unseen, "unseen data after there and back", rtol=1e-10)


# MinMaxScaler


def test_min_max_fills_the_range_on_the_training_data():
    x = np.array([[1.0, -4.0], [3.0, 0.0], [2.0, 4.0]])
    scaler = MinMaxScaler()
    with expect.unchanged(x):
        expect.true(scaler.fit(x) is scaler, "fit must return self")
        z = scaler.transform(x)
    expect.close(scaler.data_min_, np.array([1.0, -4.0]), "data_min_")
    expect.close(scaler.data_max_, np.array([3.0, 4.0]), "data_max_")
    expect.close(z, np.array([[0.0, 0.0], [1.0, 0.5], [0.5, 1.0]]), "the scaled training data")


def test_min_max_takes_any_range_and_does_not_clip():
    scaler = MinMaxScaler((-1.0, 3.0)).fit(np.array([[10.0], [20.0]]))
    z = scaler.transform(np.array([[10.0], [15.0], [20.0], [25.0], [5.0]]))
    expect.close(
        z, np.array([[-1.0], [1.0], [3.0], [5.0], [-3.0]]), "10, 15, 20, 25, 5 by training data 10 ... 20"
    )
    z = scaler.inverse_transform(np.array([[-1.0], [5.0]]))
    expect.close(z, np.array([[10.0], [25.0]]), "-1 and 5 back again")


def test_a_constant_feature_becomes_the_low_end():
    x = np.array([[7.0, 0.0], [7.0, 2.0]])
    scaler = MinMaxScaler((2.0, 4.0)).fit(x)
    expect.close(scaler.transform(x), np.array([[2.0, 2.0], [2.0, 4.0]]), "a constant 7 beside 0, 2")
    expect.close(
        scaler.inverse_transform(np.array([[2.0, 3.0]])), np.array([[7.0, 1.0]]), "its low end, back again"
    )
    expect.close(
        scaler.transform([[8.0, 1.0]]), np.array([[4.0, 3.0]]), "an unseen 8 where 7 was constant, and 1"
    )


def test_min_max_needs_a_range_that_rises():
    x = np.array([[1.0], [2.0]])
    expect.close(
        MinMaxScaler((2.0, 5.0)).fit(x).transform(x), np.array([[2.0], [5.0]]), "1 and 2, scaled to (2, 5)"
    )
    for low, high in ((5.0, 2.0), (3.5, 3.5)):
        with expect.raises(ValueError, str(low), str(high)):
            MinMaxScaler((low, high))


def test_min_max_keeps_float32():
    x = np.array([[0.0], [1.0], [4.0]], np.float32)
    scaler = MinMaxScaler().fit(x)
    expect.close(scaler.transform(x), x / 4, "float32 data, scaled", dtype=np.float32)
    expect.close(scaler.inverse_transform(x), x * 4, "float32 data, back again", dtype=np.float32)
    expect.close(scaler.transform([[1], [2]]), np.array([[0.25], [0.5]]), "ints, scaled", dtype=np.float64)


# errors of both


@pytest.mark.parametrize("make", [Standardizer, MinMaxScaler])
def test_fitting_again_forgets_the_first_data(make):
    scaler = make().fit(np.array([[0.0, 1.0], [100.0, 2.0]]))
    z = scaler.fit(np.array([[1.0], [3.0]])).transform(np.array([[2.0], [3.0]]))
    expected = np.array([[0.0], [1.0]]) if make is Standardizer else np.array([[0.5], [1.0]])
    expect.close(z, expected, "2 and 3 by the second training data 1, 3")


@pytest.mark.parametrize("make", [Standardizer, MinMaxScaler])
def test_scaler_must_be_fitted_first(make):
    for call in (make().transform, make().inverse_transform):
        with expect.raises(RuntimeError, "fit"):
            call(np.zeros((2, 2)))


@pytest.mark.parametrize("make", [Standardizer, MinMaxScaler])
def test_scaler_refuses_other_features_than_it_learned(make):
    scaler = make().fit(np.arange(6.0).reshape(2, 3))
    for call in (scaler.transform, scaler.inverse_transform):
        for shape in ((2, 4), (3,), (4, 1)):
            with expect.raises(ValueError, str(shape), "3"):
                call(np.zeros(shape))


@pytest.mark.parametrize("make", [Standardizer, MinMaxScaler])
def test_scaler_refuses_training_data_it_cannot_learn_from(make):
    for shape in ((0, 3), (5,), (2, 3, 4)):
        with expect.raises(ValueError, str(shape)):
            make().fit(np.zeros(shape))
    for bad in (np.nan, np.inf, -np.inf):
        x = np.zeros((4, 6))
        x[2, 5] = bad
        with expect.raises(ValueError, "5"):
            make().fit(x)
