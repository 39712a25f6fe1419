"""optimization.gradient_utils.accumulation: however a batch is cut, its gradient is that of the whole."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.testing import expect, strategies
from foundations.computational_graph import Tensor
from foundations.elementwise import tanh
from optimization.gradient_utils.accumulation import accumulate, micro_batches


class Model:
    """Two layers with tanh, and the mean squared error over the first axis."""

    def __init__(self, seed=0, dtype=np.float64):
        rng = np.random.default_rng(seed)
        self.params = [
            Tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in ((3, 4), (4,), (4, 2))
        ]

    def losses(self, x, t):
        """(N,): one for each example."""
        w1, b, w2 = self.params
        error = tanh(Tensor(x) @ w1 + b) @ w2 - t
        return (error * error).sum(axis=1)

    def loss(self, x, t):
        return self.losses(x, t).mean()

    def grads(self):
        return [p.grad for p in self.params]

    def clear(self):
        for p in self.params:
            p.grad = None


def data(n, seed=1, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 3)).astype(dtype), rng.standard_normal((n, 2)).astype(dtype)


def whole(model, x, t):
    """Loss and gradients of the large batch; leaves none behind."""
    loss = model.loss(x, t)
    loss.backward()
    found = float(loss.data), model.grads()
    model.clear()
    return found


def cut(x, t, ends):
    """Pieces that end before each of ``ends``."""
    return [(x[a:b], t[a:b]) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def check(model, want, what, **tolerance):
    for i, (got, g) in enumerate(zip(model.grads(), want, strict=True)):
        expect.close(got, g, f"{what}: gradient of parameter {i}", **tolerance)


@given(st.integers(1, 12), st.data(), strategies.seeds())
def test_any_cut_gives_the_gradient_of_the_whole_batch(n, draw, seed):
    ends = sorted(draw.draw(st.sets(st.integers(1, n), max_size=n)) | {n})
    model, (x, t) = Model(seed), data(n, seed)
    loss, grads = whole(model, x, t)
    got = accumulate(cut(x, t, ends), model.loss, n)
    what = f"{n} examples in pieces that end at {ends}"
    expect.close(got, loss, f"{what}: the mean loss", rtol=1e-10)
    check(model, grads, what, rtol=1e-9)


def test_an_example_of_a_small_piece_counts_for_no_more():
    """w with l_n = x_n w: the gradient of the mean is the mean of x."""
    w = Tensor(np.zeros(1), requires_grad=True)
    pieces = [(np.array([1.0, 1.0, 1.0]),), (np.array([9.0]),)]
    got = accumulate(pieces, lambda x: (Tensor(x) * (w + 1.0)).mean(), 4)
    expect.close(w.grad, np.array([3.0]), "gradient: the mean of 1, 1, 1 and 9 (the mean of means is 5)")
    expect.close(got, 3.0, "mean loss: the mean of 1, 1, 1 and 9")


@given(st.integers(1, 9), st.integers(1, 11), strategies.seeds())
def test_pieces_of_one_size_and_a_smaller_last_one(n, size, seed):
    x, t = data(n, seed)
    pieces = list(micro_batches(x, t, size=size))
    sizes = [len(a) for a, _ in pieces]
    expect.equal(sizes, [min(size, n - s) for s in range(0, n, size)], f"sizes of {n} cut by {size}")
    for i, whole_array in enumerate((x, t)):
        joined = np.concatenate([piece[i] for piece in pieces])
        expect.equal(joined, whole_array, f"the pieces of array {i}, joined again")
        views = all(np.shares_memory(piece[i], whole_array) for piece in pieces)
        expect.true(views, "pieces should be views of the arrays, not copies")
    model = Model(seed)
    _, grads = whole(model, x, t)
    accumulate(micro_batches(x, t, size=size), model.loss, n)
    check(model, grads, f"{n} examples cut by {size}", rtol=1e-9)


def test_one_two_and_three_arrays_are_cut_alike():
    a, b, c = np.arange(5), np.arange(10).reshape(5, 2), np.arange(5) > 2
    for arrays in ((a,), (a, b), (a, b, c)):
        pieces = list(micro_batches(*arrays, size=3))
        expect.equal([len(piece) for piece in pieces], [len(arrays)] * 2, "the list of items of each piece")
        for i, array in enumerate(arrays):
            expect.equal(pieces[1][i], array[3:], f"array {i} in the second piece of 5 cut by 3")
    expect.equal(list(micro_batches(np.zeros((0, 2)), size=3)), [], "the list of pieces of an empty array")


def test_gradients_add_to_what_is_there():
    model, (x, t) = Model(), data(7)
    _, grads = whole(model, x, t)
    for p in model.params:
        p.grad = np.full(p.shape, 10.0)
    accumulate(micro_batches(x, t, size=3), model.loss, 7)
    check(model, [g + 10.0 for g in grads], "gradients that were 10 before", rtol=1e-9)


def test_two_halves_in_two_calls_make_one_batch():
    """`total` is that of the call: the sum of two calls is the sum of two means."""
    model, (x, t) = Model(), data(8)
    _, first = whole(model, x[:4], t[:4])
    _, second = whole(model, x[4:], t[4:])
    for part in (slice(0, 4), slice(4, 8)):
        accumulate(micro_batches(x[part], t[part], size=3), model.loss, 4)
    check(model, [a + b for a, b in zip(first, second, strict=True)], "two calls", rtol=1e-9)


def test_a_mean_over_something_else_than_examples_has_a_count_of_its_own():
    """Tokens, some of them masked: the mean is over those that count, and a piece may have none."""
    model, (x, t) = Model(), data(9)
    mask = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1], bool)
    seen = []

    def loss(x, t, m):
        seen.append(len(x))
        return (model.losses(x, t) * m).sum() * (1.0 / max(1.0, float(m.sum())))

    want_loss = float(loss(x, t, mask).data)
    loss(x, t, mask).backward()
    want = model.grads()
    model.clear()
    seen.clear()
    pieces = [(x[a:b], t[a:b], mask[a:b]) for a, b in ((0, 4), (4, 7), (7, 9))]
    got = accumulate(pieces, loss, 5, count=lambda x, t, m: int(m.sum()))
    expect.close(got, want_loss, "mean loss over 5 of 9 tokens", rtol=1e-10)
    check(model, want, "5 of 9 tokens in 3 pieces, one of them without any", rtol=1e-9)
    expect.equal(seen, [4, 2], "the list of sizes that loss_fn was called with: nothing counts in the second")


def test_pieces_are_asked_for_one_at_a_time_and_forgotten():
    model, (x, t) = Model(), data(20)
    _, grads = whole(model, x, t)
    made, alive, ahead = [], [], []
    drawn = 0

    def pieces():
        nonlocal drawn
        for i in range(20):
            drawn += 1
            yield x[i : i + 1], t[i : i + 1]

    def loss(x, t):
        alive.append(sum(ref() is not None for ref in made))
        ahead.append(drawn - len(alive))
        result = model.loss(x, t)
        made.append(weakref.ref(result))
        return result

    accumulate(pieces(), loss, 20)
    check(model, grads, "20 pieces of a generator", rtol=1e-9)
    expect.true(max(alive) <= 1, f"at most 1 loss should be kept while the next is computed: {max(alive)}")
    expect.true(max(ahead) <= 1, f"pieces should be asked for one at a time: yours is {max(ahead)} ahead")


def test_each_graph_is_freed():
    model, (x, t) = Model(), data(4)
    _, grads = whole(model, x, t)
    losses = []

    def loss(x, t):
        losses.append(model.loss(x, t))
        return losses[-1]

    accumulate(micro_batches(x, t, size=2), loss, 4)
    check(model, grads, "2 pieces", rtol=1e-9)
    freed = [found.node.inputs is None for found in losses]
    expect.equal(freed, [True, True], "the list of whether the graph of each loss is freed")


def test_a_loss_of_shape_1_is_a_number_too():
    model, (x, t) = Model(), data(5)
    loss, grads = whole(model, x, t)
    got = accumulate(micro_batches(x, t, size=2), lambda a, b: model.loss(a, b).reshape(1), 5)
    expect.close(got, loss, "mean loss from losses of shape (1,)", rtol=1e-10)
    check(model, grads, "losses of shape (1,)", rtol=1e-9)


def test_float32_stays_float32():
    model, (x, t) = Model(dtype=np.float32), data(7, dtype=np.float32)
    _, grads = whole(model, x, t)
    dtypes = []

    def loss(x, t):
        result = model.loss(x, t)
        dtypes.append(result.dtype.name)
        return result

    got = accumulate(micro_batches(x, t, size=3), loss, 7)
    check(model, grads, "7 examples in float32", dtype=np.float32, rtol=1e-4)
    expect.true(type(got) is float, f"the mean loss should be a Python float, is {expect.describe(got)}")
    expect.equal(dtypes, ["float32"] * 3, "the list of dtypes of the losses")


@pytest.mark.parametrize("total", [7, 9])
def test_a_total_that_is_not_the_sum_of_the_pieces_is_refused(total):
    model, (x, t) = Model(), data(8)
    with expect.raises(ValueError, "8", str(total)):
        accumulate(micro_batches(x, t, size=3), model.loss, total)


def test_what_is_no_mean_and_totals_below_one_are_refused():
    model, (x, t) = Model(), data(4)
    with expect.raises(ValueError, "(3,)"):
        accumulate(micro_batches(x, t, size=3), model.losses, 4)
    for total in (0, -3):
        with expect.raises(ValueError, str(total)):
            accumulate([], model.loss, total)
        model.clear()
        with expect.raises(ValueError, str(total)):
            accumulate([(x, t)], model.loss, total)
        clean = all(g is None for g in model.grads())
        expect.true(clean, f"a total of {total} should be refused before any gradient is added to")


def test_sizes_below_one_and_unequal_lengths_are_refused():
    x = np.zeros((4, 2))
    for size in (0, -2):
        with expect.raises(ValueError, str(size)):
            list(micro_batches(x, size=size))
    with expect.raises(ValueError, "4", "5"):
        list(micro_batches(x, np.zeros(5), size=2))
    with expect.raises(ValueError, "4", "5"):
        list(micro_batches(x, x, np.zeros(5), size=2))
    with expect.raises(ValueError, "4", "7", "6"):
        list(micro_batches(x, np.zeros(7), np.zeros(6), size=2))
    with expect.raises(ValueError):
        list(micro_batches(size=2))
