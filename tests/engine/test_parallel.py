"""Threads that learn from a batch together: the same gradient as one thread, the same bits in every run."""

from __future__ import annotations

import importlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from curriculum import manifest
from curriculum.overlay import Overlay, install

ROOT = Path(__file__).parents[2]
IMAGES = np.random.default_rng(1).standard_normal((9, 3, 6, 6))
LABELS = np.arange(9) % 4


@pytest.fixture(scope="module")
def stack() -> Iterator[SimpleNamespace]:
    """What these tests use of the reference stack, which is gone again after them."""
    before, finders = set(sys.modules), list(sys.meta_path)
    install(Overlay(ROOT, manifest.load(ROOT).packages, "solutions"))
    names = {
        "experiments.parallel": ("Replicas", "replica"),
        "foundations.computational_graph": ("Tensor",),
        "nn_core.activations.relu": ("ReLU",),
        "nn_core.conv.conv2d": ("Conv2d",),
        "nn_core.module": ("Module", "Parameter", "Sequential"),
        "nn_core.normalization.batchnorm": ("BatchNorm2d",),
        "nn_core.regularization.dropout": ("Dropout",),
        "optimization.losses.cross_entropy": ("CrossEntropyLoss",),
    }
    yield SimpleNamespace(
        **{name: getattr(importlib.import_module(module), name) for module in names for name in names[module]}
    )
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


def network(stack: SimpleNamespace, *, norm: bool = False, dropout: bool = False):
    """Two convolutions and the mean over all places, in float64."""
    rng = np.random.default_rng(0)

    class Mean(stack.Module):
        def forward(self, x):
            return x.mean((2, 3))

    layers = [stack.Conv2d(3, 5, 3, rng=rng, dtype=np.float64)]
    layers += [stack.BatchNorm2d(5, dtype=np.float64)] if norm else []
    layers += [stack.ReLU(), stack.Dropout(0.5, rng=rng)] if dropout else [stack.ReLU()]
    return stack.Sequential(*layers, stack.Conv2d(5, 4, 3, rng=rng, dtype=np.float64), Mean())


def gradients(net) -> dict[str, np.ndarray]:
    return {name: p.grad for name, p in net.named_parameters()}


def plain(stack: SimpleNamespace, net, images=IMAGES, labels=LABELS) -> tuple[float, dict[str, np.ndarray]]:
    """The loss and the gradients of an ordinary forward and backward pass."""
    loss = stack.CrossEntropyLoss()(net(stack.Tensor(images)), labels)
    loss.backward()
    return loss.item(), gradients(net)


@pytest.mark.parametrize("threads", [1, 2, 3, 20])
def test_the_gradient_is_that_of_the_whole_batch(stack, threads) -> None:
    expected, by = plain(stack, network(stack))
    net = network(stack)
    loss = stack.Replicas(net, threads).step(IMAGES, LABELS, stack.CrossEntropyLoss())
    assert loss == pytest.approx(expected, rel=1e-12)
    assert list(gradients(net)) == list(by)
    for name, grad in gradients(net).items():
        np.testing.assert_allclose(grad, by[name], rtol=1e-10, atol=1e-13)


def test_a_part_is_normalised_by_itself_and_the_network_keeps_the_mean(stack) -> None:
    images, labels = IMAGES[:8], LABELS[:8]
    halves = [network(stack, norm=True), network(stack, norm=True)]
    results = [
        plain(stack, half, images[cut], labels[cut])
        for half, cut in zip(halves, (slice(4), slice(4, 8)), strict=True)
    ]
    net = network(stack, norm=True)
    held = dict(net.named_buffers())
    loss = stack.Replicas(net).step(images, labels, stack.CrossEntropyLoss())
    assert loss == pytest.approx((results[0][0] + results[1][0]) / 2, rel=1e-12)
    for name, grad in gradients(net).items():
        np.testing.assert_allclose(
            grad, (results[0][1][name] + results[1][1][name]) / 2, rtol=1e-10, atol=1e-13
        )
    one, two = (half.state_dict() for half in halves)
    for name, buffer in net.named_buffers():
        assert buffer is held[name], "buffers are changed in place"
        np.testing.assert_allclose(buffer, (one[name] + two[name]) / 2, rtol=1e-12)
    assert net.state_dict()["1.num_batches_tracked"] == 1


def test_parts_of_unequal_size_count_by_their_images(stack) -> None:
    parts = [
        plain(stack, network(stack, norm=True), IMAGES[cut], LABELS[cut]) for cut in (slice(4), slice(4, 9))
    ]
    net = network(stack, norm=True)
    loss = stack.Replicas(net).step(IMAGES, LABELS, stack.CrossEntropyLoss())
    assert loss == pytest.approx((4 * parts[0][0] + 5 * parts[1][0]) / 9, rel=1e-12)
    for name, grad in gradients(net).items():
        np.testing.assert_allclose(
            grad, (4 * parts[0][1][name] + 5 * parts[1][1][name]) / 9, rtol=1e-10, atol=1e-13
        )
    statistics = [network(stack, norm=True) for _ in range(2)]
    for other, cut in zip(statistics, (slice(4), slice(4, 9)), strict=True):
        other(stack.Tensor(IMAGES[cut]))
    one, two = (other.state_dict()["1.running_var"] for other in statistics)
    np.testing.assert_allclose(net.state_dict()["1.running_var"], (4 * one + 5 * two) / 9, rtol=1e-12)


def test_a_second_step_adds_to_the_gradients(stack) -> None:
    net, loss_of = network(stack), stack.CrossEntropyLoss()
    replicas = stack.Replicas(net)
    replicas.step(IMAGES, LABELS, loss_of)
    once = {name: grad.copy() for name, grad in gradients(net).items()}
    replicas.step(IMAGES, LABELS, loss_of)
    for name, grad in gradients(net).items():
        np.testing.assert_allclose(grad, 2 * once[name], rtol=1e-12)


def test_two_runs_agree_bit_for_bit_and_so_does_one_that_goes_on_from_a_state(stack) -> None:
    def train(net, rng, steps: int) -> None:
        replicas = stack.Replicas(net, 3)
        for _ in range(steps):
            net.zero_grad()
            replicas.step(IMAGES, LABELS, stack.CrossEntropyLoss())
            for p in net.parameters():
                p.data -= 0.1 * p.grad

    def fresh():
        net = network(stack, norm=True, dropout=True)
        return net, getattr(net, "3").rng

    (one, rng), (two, other), (three, third) = fresh(), fresh(), fresh()
    train(one, rng, 6)
    train(two, other, 3)
    three.load_state_dict(two.state_dict())
    third.bit_generator.state = other.bit_generator.state
    train(two, other, 3)
    train(three, third, 3)
    for net in (two, three):
        for name, array in net.state_dict().items():
            np.testing.assert_array_equal(array, one.state_dict()[name], err_msg=name)


def test_parts_do_not_drop_the_same_units(stack) -> None:
    net = stack.Sequential(stack.Dropout(0.5, rng=np.random.default_rng(0)))
    weight, dropped = stack.Parameter(np.ones(50)), {}

    def loss_of(y, part):
        dropped[part[0]] = tuple(np.flatnonzero(y.data == 0))
        return (y * weight).sum()

    replicas = stack.Replicas(net, 3)
    replicas.step(np.ones((3, 50)), np.array([0, 1, 2]), loss_of)
    replicas.step(np.ones((3, 50)), np.array([3, 4, 5]), loss_of)
    assert len(dropped) == len(set(dropped.values())) == 6
    assert () not in dropped.values()


def test_what_is_tied_or_frozen_stays_so(stack) -> None:
    net = network(stack)
    first, last = getattr(net, "0"), getattr(net, "2")
    first.again, first.bias.requires_grad, last.training = last, False, False
    other = stack.replica(net)
    assert getattr(other, "0").again is getattr(other, "2") is not last
    assert getattr(other, "0").bias.requires_grad is False
    assert getattr(other, "2").training is False
    assert getattr(other, "0").weight.data is first.weight.data
    stack.Replicas(net).step(IMAGES, LABELS, stack.CrossEntropyLoss())
    assert first.bias.grad is None
    assert last.bias.grad is not None


@pytest.mark.parametrize("part", [0, 1, 2])
def test_what_a_thread_raises_arrives_and_no_thread_goes_on(stack, part) -> None:
    net, running = network(stack), threading.Semaphore(0)

    def loss_of(logits, labels):
        if labels[0] == 3 * part:
            raise FloatingPointError(f"part {part}")
        time.sleep(0.05)
        running.release()
        return stack.CrossEntropyLoss()(logits, labels % 4)

    replicas = stack.Replicas(net, 3)
    with pytest.raises(FloatingPointError, match=f"part {part}"):
        replicas.step(IMAGES, np.arange(9), loss_of)
    assert running.acquire(blocking=False)
    assert running.acquire(blocking=False), "the other two are done"
    net.zero_grad()
    replicas.step(IMAGES, LABELS, stack.CrossEntropyLoss())
    by = plain(stack, network(stack))[1]
    for name, grad in gradients(net).items():
        np.testing.assert_allclose(grad, by[name], rtol=1e-10, atol=1e-13)


def press_ctrl_c() -> None:
    """Interrupt the main thread, as a terminal does: also where it waits and another one has the word."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("waiting", [False, True], ids=["while it computes", "while it waits for the others"])
def test_ctrl_c_ends_a_step_when_all_threads_have_ended(stack, waiting) -> None:
    net, done = network(stack), threading.Event()
    main = threading.main_thread()

    def loss_of(logits, labels):
        here = threading.current_thread() is main
        if here != waiting:
            time.sleep(0.05)
            press_ctrl_c()
        if not here:
            time.sleep(0.1)
            done.set()
        return stack.CrossEntropyLoss()(logits, labels)

    with pytest.raises(KeyboardInterrupt):
        stack.Replicas(net).step(IMAGES, LABELS, loss_of)
    assert done.is_set()


def test_predictions_are_the_same_bits_for_any_number_of_threads(stack) -> None:
    net = network(stack, norm=True, dropout=True)
    stack.Replicas(net).step(IMAGES, LABELS, stack.CrossEntropyLoss())
    state = net.state_dict()
    answers = [
        stack.Replicas(net, threads).predict(IMAGES, lambda part: 2 * part, batch_size=2)
        for threads in (1, 2, 3, 20)
    ]
    net.eval()
    expected = np.concatenate([net(stack.Tensor(2 * IMAGES[i : i + 2])).data for i in range(0, 9, 2)])
    net.train()
    for answer in answers:
        np.testing.assert_array_equal(answer, expected)
    assert net.training
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_predictions_record_no_graph_and_leave_the_mode_even_after_an_error(stack) -> None:
    net, tensors = network(stack), []
    last = getattr(net, "3")
    last.eval()
    forward = last.forward
    last.forward = lambda x: tensors.append(forward(x)) or tensors[-1]
    stack.Replicas(net).predict(IMAGES, batch_size=3)
    assert len(tensors) == 3
    assert all(t.node is None for t in tensors)
    with pytest.raises(ValueError, match="conv2d"):
        stack.Replicas(net).predict(IMAGES[:, :2], batch_size=3)
    assert net.training
    assert not last.training


def test_a_step_without_threads_is_an_error(stack) -> None:
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        stack.Replicas(network(stack), 0)
