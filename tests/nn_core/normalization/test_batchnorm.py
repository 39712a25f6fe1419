"""nn_core.normalization.batchnorm: statistics of the batch, their derivatives, and what is kept of them."""

from itertools import combinations
from math import fsum, sqrt

import numpy as np
import pytest

from curriculum.testing import duck, expect, gradcheck
from curriculum.testing.engine import grad
from foundations.computational_graph import Tensor, recording
from foundations.shaping import transpose
from nn_core.normalization.batchnorm import BatchNorm1d, BatchNorm2d, batch_norm, follow

CASES = [
    pytest.param((5, 3), id="N C"),
    pytest.param((3, 3), id="square"),
    pytest.param((2, 3, 4), id="N C L"),
    pytest.param((2, 3, 2, 2), id="N C H W"),
    pytest.param((1, 2, 3), id="one sequence"),
]


def arrays(shape, seed=5):
    """x, weight and bias in float64; no weight near 0 or 1."""
    rng = np.random.default_rng(seed)
    c = shape[1]
    x = rng.normal(1.0, 2.0, shape) * rng.uniform(0.5, 2.0, c).reshape(-1, *[1] * (len(shape) - 2))
    return x, rng.uniform(1.5, 3.0, c), rng.standard_normal(c)


def statistics(x):
    """Mean, biased and unbiased variance of each channel, one channel at a time."""
    means, biased, unbiased = [], [], []
    for c in range(x.shape[1]):
        values = [float(v) for v in x[:, c].reshape(-1)]
        means.append(fsum(values) / len(values))
        squares = fsum((v - means[-1]) ** 2 for v in values)
        biased.append(squares / len(values))
        unbiased.append(squares / (len(values) - 1) if len(values) > 1 else float("nan"))
    return np.array(means), np.array(biased), np.array(unbiased)


def normalized(x, mean, var, weight=None, bias=None, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * weight + bias, one number at a time."""
    y = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        c = at[1]
        y[at] = (x[at] - mean[c]) / sqrt(var[c] + eps)
        y[at] = y[at] * (1.0 if weight is None else weight[c]) + (0.0 if bias is None else bias[c])
    return y


def definition(x, weight=None, bias=None, eps=1e-5):
    return normalized(x, *statistics(x)[:2], weight, bias, eps)


# Training: the statistics of the batch.


@pytest.mark.parametrize("shape", CASES)
def test_training_normalizes_each_channel_with_the_statistics_of_the_batch(shape):
    x, weight, bias = arrays(shape)
    with expect.unchanged(x, weight, bias):
        both = batch_norm(Tensor(x), weight=Tensor(weight), bias=Tensor(bias), training=True)
        only_weight = batch_norm(Tensor(x), weight=Tensor(weight), training=True)
        only_bias = batch_norm(Tensor(x), bias=Tensor(bias), training=True)
        neither = batch_norm(Tensor(x), training=True, eps=0.5)
    what = f"batch_norm of x {shape} in training"
    expect.tensor(neither, definition(x, eps=0.5), f"{what}, without weight and bias, eps 0.5", rtol=1e-10)
    expect.tensor(only_weight, definition(x, weight), f"{what}, without bias", rtol=1e-10)
    expect.tensor(only_bias, definition(x, None, bias), f"{what}, without weight", rtol=1e-10)
    expect.tensor(both, definition(x, weight, bias), what, rtol=1e-10)


def test_a_channel_of_two_numbers():
    y = batch_norm(Tensor([[1.0, 0.0], [3.0, 0.2]]), training=True, eps=3.0)
    root = sqrt(0.01 + 3.0)
    expected = np.array([[-0.5, -0.1 / root], [0.5, 0.1 / root]])
    expect.tensor(y, expected, "batch_norm of [[1, 0], [3, 0.2]], eps 3, variances 1 and 0.01")


def test_the_gradient_flows_through_mean_and_variance():
    x, weight, bias = arrays((3, 2, 4))
    t, g = Tensor(x, requires_grad=True), np.random.default_rng(1).standard_normal((3, 2, 4))
    y = batch_norm(t, weight=weight, bias=bias, training=True, eps=1e-14)
    expect.tensor(y, definition(x, weight, bias, 1e-14), "batch_norm of x (3, 2, 4)", rtol=1e-10)
    y.backward(g)
    expect.true(bool(np.max(np.abs(t.grad)) > 1e-3), "the gradient with respect to x should not vanish")
    shift, stretch = t.grad.sum((0, 2)), (t.grad * x).sum((0, 2))
    expect.close(
        shift, np.zeros(2), "the sum of each channel's gradient, 0 because the mean follows x,", atol=1e-10
    )
    expect.close(
        stretch, np.zeros(2), "<gradient, x> of each channel, 0 because the variance follows x,", atol=1e-10
    )


@pytest.mark.parametrize("shape", CASES)
def test_the_gradients_in_training_are_right_to_second_order(shape):
    x, weight, bias = arrays(shape)

    def fn(x, weight, bias):
        return batch_norm(x, weight=weight, bias=bias, training=True, eps=0.1)

    y = fn(Tensor(x), weight, bias)
    expect.tensor(y, definition(x, weight, bias, 0.1), f"batch_norm of x {shape} in training", rtol=1e-10)
    gradcheck(fn, x, weight, bias, names=("x", "weight", "bias"))


def test_the_gradient_is_the_same_while_a_graph_of_it_is_built():
    inputs = [Tensor(a, requires_grad=True) for a in arrays((3, 2, 4))]
    x, weight, bias = (t.data for t in inputs)
    g = np.random.default_rng(2).standard_normal((3, 2, 4))
    y = batch_norm(inputs[0], None, None, *inputs[1:], training=True, eps=0.1)
    expect.tensor(y, definition(x, weight, bias, 0.1), "batch_norm of x (3, 2, 4)", rtol=1e-10)
    plain, graph = grad(y, inputs, g), grad(y, inputs, g, create_graph=True)
    for name, first, again in zip(("x", "weight", "bias"), plain, graph, strict=True):
        what = f"gradient with respect to {name} while a graph of it is built"
        expect.tensor(again, first.data, what, rtol=1e-9, atol=1e-12)


def test_a_second_pass_gives_the_same_gradients_and_leaves_the_incoming_one_alone():
    inputs = [Tensor(a, requires_grad=True) for a in arrays((3, 2, 4))]
    g = np.random.default_rng(2).standard_normal((3, 2, 4))
    given = g.copy()
    y = batch_norm(inputs[0], None, None, *inputs[1:], training=True, eps=0.1)
    expect.tensor(y, definition(*[t.data for t in inputs], 0.1), "batch_norm of x (3, 2, 4)", rtol=1e-10)
    first = grad(y, inputs, g)
    for name, before, after in zip(("x", "weight", "bias"), first, grad(y, inputs, g), strict=True):
        message = f"gradient with respect to {name} in a second pass through the same graph"
        expect.tensor(after, before.data, message)
    grad(batch_norm(inputs[0], training=True), inputs[:1], g)
    expect.equal(g, given, "the gradient that came in, after backward used it,")


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("given", [(), ("weight",), ("bias",)], ids=["neither", "only weight", "only bias"])
def test_what_is_not_given_changes_neither_gradients_nor_dtype(given, training):
    x, weight, bias = arrays((4, 2))
    vectors = {name: vector for name, vector in (("weight", weight), ("bias", bias)) if name in given}
    running = np.array([0.5, -1.0]), np.array([2.0, 0.75])

    def fn(x, *vectors):
        named = dict(zip(given, vectors, strict=True))
        return batch_norm(x, *running, **named, training=training, momentum=0.0)

    want = normalized(x, *(statistics(x)[:2] if training else running), **vectors)
    what = (
        f"batch_norm with {'only ' + given[0] if given else 'neither weight nor bias'}, training={training},"
    )
    expect.tensor(fn(Tensor(x), *vectors.values()), want, what, rtol=1e-10)
    gradcheck(fn, x, *vectors.values(), names=("x", *given))
    single = [a.astype(np.float32) for a in (x, *vectors.values())]
    running = tuple(a.astype(np.float32) for a in running)
    y = fn(*map(Tensor, single))
    expect.tensor(y, want, f"{what} of float32", dtype=np.float32, rtol=1e-4, atol=1e-5)


def test_the_gradient_of_a_small_example():
    x = Tensor([[-1.0], [1.0], [0.0]], requires_grad=True)
    weight, bias = Tensor([2.0], requires_grad=True), Tensor([0.0], requires_grad=True)
    batch_norm(x, weight=weight, bias=bias, training=True, eps=1 / 3).backward(
        np.array([[1.0], [0.0], [0.0]])
    )
    # variance 2/3, so r = 1 and xhat = x: 2 (g - 1/3 - xhat (-1/3))
    expected = np.array([[2.0], [0.0], [-2.0]]) / 3
    expect.close(x.grad, expected, "gradient with respect to x of the first of 3 results, where r = 1")
    expect.close(weight.grad, np.array([-1.0]), "gradient with respect to weight: sum of g xhat")
    expect.close(bias.grad, np.array([1.0]), "gradient with respect to bias: sum of g")


def test_positions_are_more_examples():
    x, weight, bias = arrays((2, 3, 4))
    rows = np.ascontiguousarray(x.transpose(0, 2, 1)).reshape(8, 3)  # (N L, C)
    y = batch_norm(Tensor(rows), weight=weight, bias=bias, training=True)
    expect.tensor(y, definition(rows, weight, bias), "batch_norm of x (8, 3)", rtol=1e-10)
    long = batch_norm(Tensor(x), weight=weight, bias=bias, training=True)
    expected = y.data.reshape(2, 4, 3).transpose(0, 2, 1)
    expect.tensor(long, expected, "batch_norm of x (2, 3, 4), against its 8 positions as rows", rtol=1e-10)


# Layout in memory.


def channels_last(x):
    """The numbers and the shape of x (N, C, *), over memory in which the channels are the last axis."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


@pytest.mark.parametrize("shape", [(3, 2, 4), (2, 3, 2, 2), (3, 5, 1, 1)])
def test_the_layout_of_x_in_memory_changes_nothing(shape):
    x, weight, bias = arrays(shape)
    g = np.random.default_rng(9).standard_normal(shape)
    for training in (True, False):
        running = np.linspace(-1.0, 1.0, shape[1]), np.linspace(0.5, 2.0, shape[1])
        want = definition(x, weight, bias) if training else normalized(x, *running, weight, bias)
        found = []
        for given in (x, channels_last(x)):
            for incoming in (g, channels_last(g)):
                inputs = [Tensor(a, requires_grad=True) for a in (given, weight, bias)]
                statistics = running[0].copy(), running[1].copy()
                y = batch_norm(inputs[0], *statistics, *inputs[1:], training)
                how = f"strides {given.strides}, training={training},"
                expect.tensor(y, want, f"batch_norm of x {shape}, {how}", rtol=1e-10)
                found.append((how, *statistics, *[t.data for t in grad(y, inputs, incoming)]))
        names = (
            "the running mean",
            "the running variance",
            "gradient with respect to x",
            "that of weight",
            "that of bias",
        )
        for how, *others in found[1:]:
            for name, got, first in zip(names, others, found[0][1:], strict=True):
                expect.close(got, first, f"{name}, x with {how} against x in C order", rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("arrange", [np.ascontiguousarray, channels_last])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_the_result_lies_in_memory_as_x_does(arrange, training):
    x, weight, bias = arrays((2, 3, 4, 5))
    x, running = arrange(x), (np.array([1.0, 0.0, 0.5]), np.array([0.5, 1.0, 2.0]))
    want = definition(x, weight, bias) if training else normalized(x, *running, weight, bias)
    y = batch_norm(Tensor(x), *running, weight, bias, training)
    expect.tensor(y, want, f"batch_norm of x (2, 3, 4, 5), training={training},", rtol=1e-10)
    where = "last" if arrange is channels_last else "before the positions"
    expect.equal(y.data.strides, x.strides, f"strides of the result of x with the channels {where} in memory")


def test_the_gradients_of_channels_last_images_are_right_to_second_order():
    x, weight, bias = arrays((2, 3, 2, 2))
    images = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    running = np.array([1.0, 0.0, 0.5]), np.array([0.5, 1.0, 2.0])

    def fn(images, weight, bias, training=True):
        return batch_norm(transpose(images, (0, 3, 1, 2)), *running, weight, bias, training, 0.0, 0.1)

    y = fn(Tensor(images), weight, bias)
    expect.tensor(
        y, definition(x, weight, bias, 0.1), "batch_norm of channels-last x (2, 3, 2, 2)", rtol=1e-10
    )
    gradcheck(fn, images, weight, bias, names=("x", "weight", "bias"))
    still = lambda *inputs: fn(*inputs, training=False)  # noqa: E731
    gradcheck(still, images, weight, bias, names=("x in evaluation", "weight", "bias"))


@pytest.mark.parametrize("shape", [(26, 3, 40, 33), (12_001, 9), (2, 2, 150, 250)])
def test_a_batch_that_no_cache_holds(shape):
    rng = np.random.default_rng(7)
    x, weight, bias, g = (
        rng.standard_normal(shape),
        *rng.uniform(1.0, 2.0, (2, shape[1])),
        rng.standard_normal(shape),
    )
    axes, beside = (0, *range(2, len(shape))), (-1, *[1] * (len(shape) - 2))
    x += np.linspace(-2.0, 2.0, shape[0]).reshape(-1, *[1] * (len(shape) - 1))  # no part is like the whole
    r = 1.0 / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    xhat = (x - x.mean(axes, keepdims=True)) * r
    w = weight.reshape(beside)
    by_x = w * r * (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True))
    for arrange in (np.ascontiguousarray, channels_last):
        inputs = [Tensor(a, requires_grad=True) for a in (arrange(x), weight, bias)]
        y = batch_norm(inputs[0], None, None, *inputs[1:], training=True)
        what = f"x {shape}, strides {inputs[0].data.strides}"
        expect.tensor(y, xhat * w + bias.reshape(beside), f"batch_norm of {what}", rtol=1e-8, atol=1e-10)
        grads = grad(y, inputs, g)
        wanted = {"x": by_x, "weight": (g * xhat).sum(axes), "bias": g.sum(axes)}
        for (name, want), got in zip(wanted.items(), grads, strict=True):
            expect.tensor(got, want, f"gradient with respect to {name}, {what}", rtol=1e-8, atol=1e-9)


# Running statistics.


def test_running_statistics_move_by_momentum_towards_the_batch():
    running, batch = np.array([10.0, -2.0]), np.array([20.0, 2.0])
    same = running
    follow(running, batch, 0.25)
    expect.close(same, np.array([12.5, -1.0]), "running after follow([10, -2], [20, 2], 0.25), in place,")
    follow(running, batch, 1.0)
    expect.close(running, batch, "running after follow with momentum 1: the batch")


@pytest.mark.parametrize("shape", [(4, 2), (2, 2, 3), (2, 2, 2, 2)])
def test_training_moves_the_running_mean_and_the_unbiased_variance_in_place(shape):
    x, weight, bias = arrays(shape)
    mean, var = np.array([1.0, -1.0]), np.array([4.0, 0.5])
    batch_norm(Tensor(x), mean, var, weight, bias, True, 0.25)
    batch_mean, _, unbiased = statistics(x)
    expect.close(mean, 0.75 * np.array([1.0, -1.0]) + 0.25 * batch_mean, "the running mean, momentum 0.25",
                 rtol=1e-10)  # fmt: skip
    expect.close(
        var, 0.75 * np.array([4.0, 0.5]) + 0.25 * unbiased, "the running variance, momentum 0.25", rtol=1e-10
    )


def test_the_newest_batch_weighs_a_tenth_unless_told_otherwise():
    x, _, _ = arrays((4, 2))
    mean, var = np.zeros(2), np.zeros(2)
    batch_norm(Tensor(x), mean, var, training=True)
    expect.close(mean, 0.1 * statistics(x)[0], "the running mean, default momentum 0.1", rtol=1e-10)
    expect.close(var, 0.1 * statistics(x)[2], "the running variance, default momentum 0.1", rtol=1e-10)


def test_running_statistics_do_not_change_the_result_in_training():
    x, weight, bias = arrays((4, 3))
    for running in ((np.zeros(3), np.ones(3)), (np.full(3, 9.0), np.full(3, 25.0))):
        y = batch_norm(Tensor(x), *running, weight, bias, training=True)
        expect.tensor(
            y, definition(x, weight, bias), "batch_norm in training, whatever was running,", rtol=1e-10
        )


def test_running_statistics_move_without_a_graph_too():
    x, _, _ = arrays((4, 3))
    mean, var = np.zeros(3), np.ones(3)
    with recording(False):
        y = batch_norm(Tensor(x, requires_grad=True), mean, var, training=True, momentum=1.0)
    expect.tensor(y, definition(x), "batch_norm while nothing is recorded", rtol=1e-10)
    expect.close(mean, statistics(x)[0], "the running mean while nothing is recorded", rtol=1e-10)


@pytest.mark.parametrize("shape", CASES)
def test_evaluation_uses_the_running_statistics_and_leaves_them(shape):
    x, weight, bias = arrays(shape)
    c = shape[1]
    mean, var = np.linspace(-1.0, 2.0, c), np.linspace(0.5, 3.0, c)
    with expect.unchanged(x, mean, var, weight, bias):
        y = batch_norm(Tensor(x), mean, var, Tensor(weight), Tensor(bias), eps=0.1)
        only_weight = batch_norm(Tensor(x), mean, var, Tensor(weight))
        only_bias = batch_norm(Tensor(x), mean, var, bias=Tensor(bias))
        plain = batch_norm(Tensor(x), mean, var)
    what = f"batch_norm of x {shape} in evaluation"
    expect.tensor(only_weight, normalized(x, mean, var, weight), f"{what}, without bias", rtol=1e-10)
    expect.tensor(only_bias, normalized(x, mean, var, None, bias), f"{what}, without weight", rtol=1e-10)
    expect.tensor(y, normalized(x, mean, var, weight, bias, 0.1), what, rtol=1e-10)
    expect.tensor(plain, normalized(x, mean, var), f"{what}, without weight and bias", rtol=1e-10)


def test_in_evaluation_the_statistics_are_constants():
    x, weight, bias = arrays((3, 2, 2))
    mean, var = np.array([0.5, -0.5]), np.array([0.75, 3.75])

    def fn(x, weight, bias):
        return batch_norm(x, mean, var, weight, bias, eps=0.25)

    gradcheck(fn, x, weight, bias, names=("x", "weight", "bias"))
    t, g = Tensor(x, requires_grad=True), np.random.default_rng(1).standard_normal((3, 2, 2))
    fn(t, weight, bias).backward(g)
    expected = g * (weight / np.array([1.0, 2.0]))[:, None]
    expect.close(t.grad, expected, "gradient with respect to x in evaluation: weight r g", rtol=1e-10)


def test_a_batch_in_training_does_not_change_the_gradients_of_an_evaluation_before():
    x, weight, bias = arrays((3, 2, 2))
    running = np.array([0.5, -0.5]), np.array([0.75, 3.75])
    inputs = [Tensor(a, requires_grad=True) for a in (x, weight, bias)]
    g = np.random.default_rng(1).standard_normal(x.shape)
    xhat = normalized(x, *running, eps=0.25)
    wanted = g * (weight / np.array([1.0, 2.0]))[:, None], (g * xhat).sum((0, 2)), g.sum((0, 2))
    y = batch_norm(inputs[0], *running, *inputs[1:], eps=0.25)
    expect.tensor(y, normalized(x, *running, weight, bias, 0.25), "batch_norm in evaluation", rtol=1e-10)
    batch_norm(arrays((4, 2), seed=8)[0], *running, training=True)
    for graph in (False, True):
        found = grad(y, inputs, g, create_graph=graph)
        for name, got, want in zip(("x", "weight", "bias"), found, wanted, strict=True):
            what = f"gradient with respect to {name} of an evaluation, after the running statistics moved,"
            expect.tensor(got, want, what, rtol=1e-10)


def test_one_example_is_enough_in_evaluation():
    x = np.array([[3.0, 5.0]])
    y = batch_norm(Tensor(x), np.array([1.0, 1.0]), np.array([4.0, 1.0]), eps=1e-14)
    expect.tensor(y, np.array([[1.0, 4.0]]), "batch_norm of one example in evaluation", rtol=1e-10)


# Precision and edges.


def test_float32_stays_float32():
    exact = [Tensor(a, requires_grad=True) for a in arrays((3, 4, 5))]
    single = [Tensor(t.data.astype(np.float32), requires_grad=True) for t in exact]
    running = np.zeros(4, np.float32), np.ones(4, np.float32)
    for eps in (1e-5, np.float64(1e-5)):
        y = batch_norm(single[0], *running, *single[1:], training=True, eps=eps)
        want, what = definition(*[t.data for t in exact]), f"batch_norm in float32, eps {eps!r},"
        expect.tensor(y, want, what, dtype=np.float32, rtol=1e-4, atol=1e-5)
        still = batch_norm(single[0], *running, *single[1:], eps=eps)
        want = normalized(exact[0].data, *running, exact[1].data, exact[2].data)
        what = f"batch_norm in float32, evaluation, eps {eps!r},"
        expect.tensor(still, want, what, dtype=np.float32, rtol=1e-4, atol=1e-5)
    g = np.random.default_rng(2).standard_normal((3, 4, 5))
    expected = grad(batch_norm(exact[0], None, None, *exact[1:], training=True), exact, g)
    for graph in (False, True):
        grads = grad(y, single, g.astype(np.float32), create_graph=graph)
        for name, got, e in zip(("x", "weight", "bias"), grads, expected, strict=True):
            what = f"gradient with respect to {name} in float32, create_graph={graph},"
            expect.tensor(got, e.data, what, dtype=np.float32, rtol=1e-4, atol=1e-4)


def test_a_large_mean_does_not_cost_the_digits_of_the_variance():
    x = (1e4 + np.random.default_rng(4).standard_normal((64, 2))).astype(np.float32)
    mean, var = np.zeros(2, np.float32), np.zeros(2, np.float32)
    y = batch_norm(Tensor(x), mean, var, training=True, momentum=1.0)
    exact = x.astype(np.float64)
    what = "batch_norm of float32 numbers around 10000"
    expect.tensor(y, definition(exact), what, rtol=1e-2, atol=1e-2)
    expect.close(mean, statistics(exact)[0], f"the running mean of {what}", rtol=1e-5)
    expect.close(var, statistics(exact)[2], f"the running variance of {what}", rtol=1e-3)


def test_a_constant_channel_becomes_the_bias():
    x = Tensor(np.full((4, 2), 7.0), requires_grad=True)
    bias, g = np.array([1.0, -2.0]), np.random.default_rng(6).standard_normal((4, 2))
    y = batch_norm(x, bias=bias, training=True, eps=0.25)
    expect.tensor(y, np.tile(bias, (4, 1)), "batch_norm of channels that are all 7", atol=1e-12)
    y.backward(g)
    expect.close(x.grad, 2.0 * (g - g.mean(0)), "gradient at a constant channel, where r = 2", rtol=1e-10)


@pytest.mark.parametrize("trained", [c for n in (1, 2) for c in combinations(("x", "weight", "bias"), n)])
def test_only_what_requires_a_gradient_gets_one(trained):
    names, data = ("x", "weight", "bias"), arrays((4, 3, 2))
    g = np.random.default_rng(3).standard_normal((4, 3, 2))
    every = [Tensor(a, requires_grad=True) for a in data]
    by_x = grad(batch_norm(every[0], None, None, *every[1:], training=True), every, g)[0].data
    wanted = {"x": by_x, "weight": (g * definition(data[0])).sum((0, 2)), "bias": g.sum((0, 2))}
    inputs = {name: Tensor(a, requires_grad=name in trained) for name, a in zip(names, data, strict=True)}
    y = batch_norm(inputs["x"], None, None, inputs["weight"], inputs["bias"], True)
    expect.tensor(y, definition(*data), "batch_norm", rtol=1e-10)
    y.backward(g)
    for name, t in inputs.items():
        if name in trained:
            what = f"gradient with respect to {name} where only {' and '.join(trained)} need one"
            expect.close(t.grad, wanted[name], what, rtol=1e-10)
        else:
            expect.true(t.grad is None, f"{name} requires no gradient and should get none")


def test_arrays_of_another_library_flow_through():
    x, weight, bias = arrays((3, 2, 2))
    y = duck.flows(
        lambda *t: batch_norm(t[0], None, None, *t[1:], training=True), x, weight, bias,
        engine=grad, what="batch_norm",
    )  # fmt: skip
    expect.close(y, definition(x, weight, bias), "batch_norm of x (3, 2, 2)", rtol=1e-10)


def test_what_does_not_fit_is_refused():
    x = Tensor(np.ones((4, 3)))
    with expect.raises(ValueError, "(4,)"):
        batch_norm(Tensor(np.ones(4)), training=True)
    with expect.raises(ValueError, "(4, 3)", "(4,)"):
        batch_norm(x, weight=np.ones(4), training=True)
    with expect.raises(ValueError, "(4, 3)", "(1,)"):
        batch_norm(x, bias=np.ones(1), training=True)
    with expect.raises(ValueError, "(4, 3)", "(2,)"):
        batch_norm(x, np.ones(2), np.ones(3))
    with expect.raises(ValueError, "(4, 3)", "(3, 1)"):
        batch_norm(x, np.ones(3), np.ones((3, 1)))
    with expect.raises(ValueError, "None"):
        batch_norm(x)
    for training in (False, True):
        with expect.raises(ValueError, "None"):
            batch_norm(x, running_mean=np.ones(3), training=training)
        with expect.raises(ValueError, "None"):
            batch_norm(x, running_var=np.ones(3), training=training)


def test_one_number_a_channel_has_no_variance_in_training():
    mean, var = np.full(3, 2.0), np.full(3, 5.0)
    for shape in ((1, 3), (1, 3, 1), (1, 3, 1, 1), (0, 3)):
        with expect.unchanged(mean, var), expect.raises(ValueError, str(shape)):
            batch_norm(Tensor(np.ones(shape)), mean, var, training=True)
    y = batch_norm(Tensor([[1.0], [3.0]]), training=True, eps=3.0)
    expect.tensor(y, np.array([[-0.5], [0.5]]), "batch_norm of two numbers in a channel, eps 3")


# The layers.


def test_a_layer_has_two_parameters_and_three_buffers():
    layer = BatchNorm1d(3)
    state = {name: (a.shape, a.dtype.name) for name, a in layer.state_dict().items()}
    expected = {
        "weight": ((3,), "float32"),
        "bias": ((3,), "float32"),
        "running_mean": ((3,), "float32"),
        "running_var": ((3,), "float32"),
        "num_batches_tracked": ((), "int64"),
    }
    expect.equal(
        dict(sorted(state.items())), dict(sorted(expected.items())), "shapes and dtypes of the state"
    )
    expect.equal(sorted(n for n, _ in layer.named_parameters()), ["bias", "weight"], "the list of parameters")
    values = [a.tolist() for a in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var)]
    expect.equal(
        values, [[1.0] * 3, [0.0] * 3, [0.0] * 3, [1.0] * 3], "weight, bias, running mean and variance"
    )
    wide = BatchNorm2d(2, dtype=np.float64)
    expect.equal(wide.running_var.dtype.name, "float64", "the dtype of running_var with dtype=np.float64")


def test_a_layer_trains_with_the_batch_and_evaluates_with_what_it_remembers():
    layer = BatchNorm2d(2, eps=0.1, momentum=0.25, dtype=np.float64)
    x, weight, bias = arrays((3, 2, 2, 2))
    layer.weight.data[...], layer.bias.data[...] = weight, bias
    y = layer(Tensor(x))
    expect.tensor(y, definition(x, weight, bias, 0.1), "BatchNorm2d(2, eps=0.1) in training", rtol=1e-10)
    means, _, unbiased = statistics(x)
    expect.close(layer.running_mean, 0.25 * means, "running_mean after one batch, momentum 0.25", rtol=1e-10)
    expected = 0.75 + 0.25 * unbiased
    expect.close(layer.running_var, expected, "running_var after one batch, momentum 0.25", rtol=1e-10)
    expect.equal(int(layer.num_batches_tracked), 1, "num_batches_tracked after one batch")
    layer.eval()
    other = arrays((1, 2, 2, 2), seed=8)[0]
    y = layer(Tensor(other))
    want = normalized(other, 0.25 * means, expected, weight, bias, 0.1)
    expect.tensor(y, want, "BatchNorm2d in evaluation, of another batch", rtol=1e-10)
    expect.close(layer.running_mean, 0.25 * means, "running_mean after an evaluation", rtol=1e-10)
    expect.equal(int(layer.num_batches_tracked), 1, "num_batches_tracked after an evaluation")


def test_the_defaults_of_a_layer():
    layer = BatchNorm1d(2, dtype=np.float64)
    x, _, _ = arrays((5, 2))
    expect.tensor(layer(Tensor(x)), definition(x), "BatchNorm1d(2), eps 1e-5", rtol=1e-10)
    expect.close(layer.running_mean, 0.1 * statistics(x)[0], "running_mean, momentum 0.1", rtol=1e-10)
    still = layer.eval()(Tensor(x))
    want = normalized(x, layer.running_mean, layer.running_var)
    expect.tensor(still, want, "BatchNorm1d(2) in evaluation, eps 1e-5", rtol=1e-10)


def test_without_momentum_the_running_statistics_are_the_average_of_all_batches():
    layer = BatchNorm1d(2, momentum=None, dtype=np.float64)
    batches = [arrays((4, 2), seed=seed)[0] for seed in range(3)]
    for batch in batches:
        layer(Tensor(batch))
    means, _, variances = zip(*map(statistics, batches), strict=True)
    expect.close(
        layer.running_mean, np.mean(means, 0), "running_mean after 3 batches, momentum None", rtol=1e-10
    )
    expected = np.mean(variances, 0)
    expect.close(layer.running_var, expected, "running_var after 3 batches, momentum None", rtol=1e-10)
    expect.equal(int(layer.num_batches_tracked), 3, "num_batches_tracked after 3 batches")
    loaded = BatchNorm1d(2, momentum=None, dtype=np.float64)
    loaded.load_state_dict(layer.state_dict())
    batches.append(arrays((4, 2), seed=3)[0])
    loaded(Tensor(batches[-1]))
    expected = np.mean([statistics(batch)[0] for batch in batches], 0)
    what = (
        "running_mean after 3 batches, saving, loading and a fourth batch: num_batches_tracked counts them,"
    )
    expect.close(loaded.running_mean, expected, what, rtol=1e-10)


def test_a_layer_that_never_trained_evaluates_with_mean_0_and_variance_1():
    x, _, _ = arrays((4, 2))
    y = BatchNorm1d(2, eps=0.5, dtype=np.float64).eval()(Tensor(x))
    expect.tensor(y, x / sqrt(1.5), "BatchNorm1d(2, eps=0.5) in evaluation before any batch", rtol=1e-10)


def test_a_momentum_of_0_leaves_the_running_statistics():
    layer = BatchNorm1d(2, momentum=0.0, dtype=np.float64)
    x, _, _ = arrays((4, 2))
    expect.tensor(layer(Tensor(x)), definition(x), "BatchNorm1d(2, momentum=0.0) in training", rtol=1e-10)
    expect.close(layer.running_mean, np.zeros(2), "running_mean after a batch of weight 0.0")
    expect.close(layer.running_var, np.ones(2), "running_var after a batch of weight 0.0")


def test_without_running_statistics_evaluation_uses_the_batch():
    layer = BatchNorm1d(3, track_running_stats=False, dtype=np.float64).eval()
    x, _, _ = arrays((4, 3))
    expect.tensor(layer(Tensor(x)), definition(x), "BatchNorm1d without running statistics", rtol=1e-10)
    expect.equal(sorted(layer.state_dict()), ["bias", "weight"], "the list of names in the state")
    expect.true(
        layer.running_mean is None and layer.running_var is None and layer.num_batches_tracked is None,
        "running_mean, running_var and num_batches_tracked should be None with track_running_stats=False",
    )
    average = BatchNorm1d(3, momentum=None, track_running_stats=False, dtype=np.float64)
    expect.tensor(average(Tensor(x)), definition(x), "the same with momentum=None, in training", rtol=1e-10)


def test_without_affine_there_is_nothing_to_learn():
    layer = BatchNorm1d(3, affine=False, dtype=np.float64)
    x, _, _ = arrays((4, 3))
    expect.tensor(layer(Tensor(x)), definition(x), "BatchNorm1d(3, affine=False)", rtol=1e-10)
    expect.equal(list(layer.parameters()), [], "the list of parameters with affine=False")
    expect.true(layer.weight is None and layer.bias is None, "weight and bias should be None")
    still, other = layer.eval(), arrays((2, 3), seed=8)[0]
    want = normalized(other, layer.running_mean, layer.running_var)
    what = "BatchNorm1d(3, affine=False) in evaluation: the running statistics,"
    expect.tensor(still(Tensor(other)), want, what, rtol=1e-10)


def test_the_running_statistics_stay_float32_arrays_outside_the_graph():
    layer = BatchNorm1d(3)
    x, _, _ = arrays((4, 3))
    y = layer(Tensor(x, requires_grad=True))  # float64
    y.backward(np.ones((4, 3)))
    expect.close(
        layer.running_mean,
        0.1 * statistics(x)[0],
        "running_mean after a float64 batch",
        dtype=np.float32,
        rtol=1e-5,
    )
    expect.close(
        layer.running_var,
        0.9 + 0.1 * statistics(x)[2],
        "running_var after a float64 batch",
        dtype=np.float32,
        rtol=1e-5,
    )


def test_a_saved_layer_evaluates_as_before():
    first, second = (BatchNorm1d(3, dtype=np.float64) for _ in range(2))
    for seed in range(3):
        first(Tensor(arrays((4, 3), seed)[0]))
    x, _, _ = arrays((2, 3))
    second.load_state_dict(first.state_dict())
    y = second.eval()(Tensor(x))
    want = normalized(x, first.running_mean, first.running_var)
    expect.tensor(y, want, "a loaded BatchNorm1d in evaluation", rtol=1e-10)
    mean = sum(0.1 * 0.9 ** (2 - s) * statistics(arrays((4, 3), s)[0])[0] for s in range(3))
    expect.close(second.running_mean, mean, "running_mean of a loaded layer", rtol=1e-10)
    expect.equal(int(second.num_batches_tracked), 3, "num_batches_tracked of a loaded layer")


def test_a_batch_that_is_refused_leaves_no_trace():
    layer = BatchNorm1d(3)
    with expect.raises(ValueError, "(1, 3)"):
        layer(Tensor(np.ones((1, 3), np.float32)))
    expect.equal(int(layer.num_batches_tracked), 0, "num_batches_tracked after a batch that was refused")
    expect.close(layer.running_mean, np.zeros(3, np.float32), "running_mean after a batch that was refused")
    expect.tensor(layer(Tensor([[1.0] * 3, [3.0] * 3])), np.array([[-1.0] * 3, [1.0] * 3]), "BatchNorm1d",
                  rtol=1e-4)  # fmt: skip


def test_inputs_of_another_shape_are_refused():
    for layer in (BatchNorm1d(3), BatchNorm1d(3, affine=False, track_running_stats=False)):
        with expect.raises(ValueError, "(4, 2)", "3"):
            layer(Tensor(np.ones((4, 2))))
    with expect.raises(ValueError, "(4, 3, 2, 2)"):
        BatchNorm1d(3)(Tensor(np.ones((4, 3, 2, 2))))
    with expect.raises(ValueError, "(3,)"):
        BatchNorm1d(3)(Tensor(np.ones(3)))
    with expect.raises(ValueError, "(4, 3)"):
        BatchNorm2d(3)(Tensor(np.ones((4, 3))))
    with expect.raises(ValueError, "(4, 3, 2)"):
        BatchNorm2d(3)(Tensor(np.ones((4, 3, 2))))
    with expect.raises(ValueError, "0"):
        BatchNorm2d(0)
    x, _, _ = arrays((4, 1, 2))
    expect.tensor(BatchNorm1d(1, dtype=np.float64)(Tensor(x)), definition(x), "BatchNorm1d(1)", rtol=1e-10)
