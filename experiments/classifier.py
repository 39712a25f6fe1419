r"""What every image classifier of the course shares: pixels to numbers, a loop, a verdict and figures.

    x = (pixel - mean_c) / sd_c        c a channel, mean and sd of all its training pixels

The loop learns from batches, measures at the end of each epoch, and can go on after it was cut short.

Shapes   N images, C channels (grey images (N, H, W) have none), H rows, W columns, V classes, K filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from curriculum.datasets.images import ImageSet
from experiments import plots
from experiments.checkpoints import Checkpoint
from experiments.parallel import Replicas
from experiments.runs import Metrics, Run
from foundations.autograd import no_grad
from foundations.computational_graph import Tensor
from nn_core.module import Module
from optimization.optimizers.optimizer import Optimizer
from utils import metrics
from utils.data_utils import batches

Batches = Iterator[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and standard deviation of the pixels of each channel.

    Attributes:
        mean: (1, 1) for grey images, (C, 1, 1) for colour.
        sd: likewise.
    """

    mean: np.ndarray
    sd: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray) -> Scale:
        """Of uint8 images (N, H, W) or (N, C, H, W): of training images only. Sums of integers, so exact."""
        axes = (0, -2, -1)
        parts = np.split(images, range(1000, len(images), 1000))  # float64 copies of all would be gigabytes
        total = sum(part.sum(axis=axes, keepdims=True, dtype=np.int64) for part in parts)[0]
        squares = sum(np.square(part, dtype=np.int64).sum(axis=axes, keepdims=True) for part in parts)[0]
        count = images.size // total.size
        mean = total / count
        return cls(mean, np.sqrt(squares / count - mean**2))

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Images with mean about 0 and variance about 1: float32, of the same shape."""
        scaled = images.astype(np.float32)
        scaled -= self.mean.astype(np.float32)
        scaled /= self.sd.astype(np.float32)
        return scaled


def fit(
    network: Module,
    optimizer: Optimizer,
    loss_of: Callable[[Tensor, np.ndarray], Tensor],
    batches_of: Callable[[int], Batches],
    measure: Callable[[int], float | None],
    *,
    epochs: int,
    steps_per_epoch: int,
    schedule: Callable[[int], object],
    checkpoint: Checkpoint | None = None,
    threads: int = 1,
) -> Generator[Metrics, None, None]:
    """Learn from batches; yields a record a step.

    Args:
        network: in training mode; called with a Tensor of images.
        optimizer: of its parameters.
        loss_of: from logits (N, V) and labels (N,) to the loss of a batch.
        batches_of: from the number of an epoch, 1, 2, ..., to its batches (images, labels), the same whenever
            it is asked: a run that goes on in the middle of an epoch passes over those that are done.
        measure: from the number of an epoch that has ended to the accuracy for its record, or None.
        epochs: how many.
        steps_per_epoch: batches in each.
        schedule: called with 0, 1, ... before each update, to set what changes in the optimizer: the learning
            rate. A Scheduler's ``move_to`` is one.
        checkpoint: of the run.
        threads: how many learn from a batch together, as `Replicas` has it.
    """
    replicas = Replicas(network, threads)
    step = 0
    if checkpoint:
        step = checkpoint.resume(network=network, optimizer=optimizer, **generators_of(network))
    for epoch in range(step // steps_per_epoch + 1, epochs + 1):
        done = step - (epoch - 1) * steps_per_epoch
        for images, labels in islice(batches_of(epoch), done, None):
            schedule(step)
            optimizer.zero_grad()
            loss = replicas.step(images, labels, loss_of)
            optimizer.step()
            step += 1
            measured = measure(epoch) if step == epoch * steps_per_epoch else None
            yield Metrics(step, epoch, loss, measured)


def generators_of(network: Module) -> dict[str, np.random.Generator]:
    """What the layers of a network draw from, as dropout does: path -> generator."""
    return {
        f"{path}.{name}": value
        for path, module in network.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, np.random.Generator)
    }


def falling(optimizer: Optimizer, learning_rate: float, steps: int) -> Callable[[int], None]:
    """A schedule: the learning rate falls to 0 in a straight line."""

    def schedule(step: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (1.0 - step / steps)

    return schedule


def logits_of(network: Module, images: np.ndarray, prepare: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What the network says about ``images``, (N, V); a thousand at a time, without recording a graph.

    Args:
        network: used in evaluation mode, and left in training mode if it was.
        images: uint8.
        prepare: makes of some of them what the network takes.
    """
    training = network.training
    network.eval()
    with no_grad():
        parts = [network(Tensor(prepare(part))).data for (part,) in batches(images, batch_size=1000)]
    network.train(training)
    return np.concatenate(parts)


def entropy_of_targets(smoothing: float, classes: int) -> float:
    """The cross-entropy of a network that says exactly what the smoothed labels say, in nats."""
    others = smoothing / classes
    true = 1.0 - smoothing + others
    return -sum(count * p * math.log(p) for count, p in ((1, true), (classes - 1, others)) if p > 0.0)


@dataclass(frozen=True)
class Goal:
    """What the classifier is to reach.

    Attributes:
        accuracy: on the test images of the full data, in [0, 1].
        seconds: of training.
        full: the name of the full data: "MNIST".
        reduced: the accuracy on the data that ships with the course; None: there is none.
    """

    accuracy: float
    seconds: float
    full: str
    reduced: float | None = None


def judge(run: Run, data: ImageSet, goal: Goal, accuracy: float) -> None:
    """The verdict, on the full goal or, without the full data, on the reduced one, which says so."""
    wanted = goal.accuracy if data.complete or goal.reduced is None else goal.reduced
    judged_on = f"{len(data.test_labels):,} test images"
    said = f"at least {100 * wanted:g}% of {judged_on} in at most {goal.seconds:g} s"
    if not data.complete:
        full = f"that of {100 * goal.accuracy:g}% needs the full {goal.full}"
        said += f", the reduced goal for the bundled digits; {full}"
    run.conclude(
        said,
        reached=accuracy >= wanted and run.seconds <= goal.seconds,
        value=f"{accuracy:.2%} in {run.seconds:.1f} s",
        accuracy=accuracy,
        data=data.name,
        reduced=not data.complete,
    )


def draw(run: Run, data: ImageSet, goal: Goal, probabilities: np.ndarray, *, lowest: float = 0.0) -> None:
    """Loss and accuracy over training, the confusion matrix, and the mistakes made with most confidence.

    Args:
        run: whose metrics.csv is drawn and whose folder gets the figures.
        data: whose test images were judged.
        goal: drawn where it is for this data.
        probabilities: (N, V), of the test images.
        lowest: the smallest loss that is possible, in nats.
    """
    draw_training(run, data, goal, lowest=lowest)
    draw_confusion(run, data, probabilities)
    draw_mistakes(run, data, probabilities)


def draw_training(run: Run, data: ImageSet, goal: Goal, *, lowest: float = 0.0) -> None:
    """``training.png``: the loss of each step with a running mean, and each measured accuracy."""
    history = run.history()
    with plots.figure(f"{data.name}: training", columns=2, width=8.4, height=3.4) as (drawn, axes):
        left, right = axes[0]
        width = max(1, len(history["loss"]) // 100)
        smooth = np.convolve(history["loss"], np.ones(width) / width, mode="valid")
        left.plot(history["step"], history["loss"], color="0.85", linewidth=0.5)
        plots.curve(left, history["step"][width - 1 :], smooth, f"mean of {width}")
        if lowest > 0.0:
            plots.level(left, lowest, "lowest possible")
        left.set(xlabel="step", ylabel="cross-entropy (nats)", ylim=(0.9 * lowest, 1.05 * smooth.max()))
        measured = ~np.isnan(history["accuracy"])
        epochs, accuracies = history["epoch"][measured], 100 * history["accuracy"][measured]
        plots.curve(right, epochs, accuracies, "test", 1, marker=".")
        if data.complete:
            plots.level(right, 100 * goal.accuracy, "goal")
        right.set(xlabel="epoch", ylabel="accuracy (%)")
        run.save_figure("training", drawn)


def draw_confusion(run: Run, data: ImageSet, probabilities: np.ndarray) -> None:
    """``confusion.png``: how many of each true class were taken for each other one."""
    predicted = probabilities.argmax(axis=1)  # (N,)
    counts = metrics.confusion_matrix(data.test_labels, predicted, n_classes=len(data.classes))
    with plots.figure(f"{data.name}: what is taken for what", width=5.6, height=5.2) as (drawn, axes):
        plots.confusion(axes[0, 0], counts, data.classes)
        run.save_figure("confusion", drawn)


def draw_mistakes(run: Run, data: ImageSet, probabilities: np.ndarray) -> None:
    """``mistakes.png``: the 24 wrong answers given with most confidence."""
    predicted = probabilities.argmax(axis=1)  # (N,)
    wrong = np.flatnonzero(predicted != data.test_labels)
    confidence = probabilities[np.arange(len(predicted)), predicted]
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:24]
    names = [(data.classes[data.test_labels[i]], data.classes[predicted[i]]) for i in worst]
    captions = [
        f"{true} taken\nfor {taken}, {sure:.0%}"
        for (true, taken), sure in zip(names, confidence[worst], strict=True)
    ]
    with plots.figure(f"{data.name}: the most confident mistakes", height=5.8) as (drawn, axes):
        plots.pictures(axes[0, 0], data.test_images[worst], captions, columns=6)
        run.save_figure("mistakes", drawn)


def draw_filters(run: Run, name: str, weight: np.ndarray) -> None:
    """``filters.png``: what the first layer looks for.

    Args:
        run: whose folder gets the figure.
        name: of the data, for the title.
        weight: (K, 1, R, S) or (K, 3, R, S).
    """
    with plots.figure(f"{name}: the {len(weight)} filters of the first layer", height=3.2) as (drawn, axes):
        plots.filters(axes[0, 0], weight)
        run.save_figure("filters", drawn)
