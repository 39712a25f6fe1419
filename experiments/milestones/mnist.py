r"""Phase 2: a multi-layer perceptron on MNIST, on a stack in which you wrote every line.

60,000 handwritten digits to learn from, 10,000 by other writers to be judged by. Pixels are centred and
scaled with two numbers of the training images; Adam, cross-entropy with smoothed labels, and a learning rate
that falls in a straight line to 0.

Shapes   N images, D = 784 pixels, C = 10 classes.
Source   LeCun et al. 1998, "Gradient-based learning applied to document recognition", Proc. IEEE 86(11),
         sec. III (300 and 100 hidden units: 3.05 % error); Kingma & Ba 2015, arXiv:1412.6980, sec. 6.2;
         Szegedy et al. 2016, arXiv:1512.00567, sec. 7 (label smoothing).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from architectures.mlp import MLP
from curriculum.datasets import images
from curriculum.datasets.images import ImageSet
from experiments import plots
from experiments.runs import Metrics, Run, configure
from foundations.autograd import no_grad
from foundations.computational_graph import Tensor
from optimization.losses.cross_entropy import CrossEntropyLoss
from optimization.optimizers.adam import Adam
from utils import metrics
from utils.data_utils import batches
from utils.math_utils import softmax
from utils.seeding import streams

ACCURACY, SECONDS = 0.98, 90.0  # the goal, on the full data
REDUCED = 0.938  # for the 4,000 digits that ship with the course: 95.1 % - 4 sd of 0.31 % over 20 seeds


@dataclass(frozen=True)
class Config:
    """What a run depends on; the seed decides initial weights and the order of the images."""

    seed: int = 0
    data: str = (
        "mnist"  # or "digits", the 5,000 images that ship with the course: seconds instead of a minute
    )
    hidden: tuple[int, ...] = (256, 128)  # units
    batch_size: int = 128  # images; smaller ones leave the processor waiting for Python
    epochs: int = 12  # passes over the training images
    learning_rate: float = 1e-3  # of the first step; falls to 0 in a straight line
    label_smoothing: float = (
        0.1  # in [0, 1]; 98.5 % of the test images (3 seeds), 98.3 % without it (6 seeds)
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, draw, judge; return 0 if the goal was reached, 1 if not."""
    config = configure(Config, arguments, "Phase 2: an MLP on MNIST.")
    with Run("mnist", config) as run:
        data = images.digits() if config.data == "digits" else images.mnist(console=run.console)
        network = run.follow(train(config, data), config.epochs * steps_per_epoch(config, data))
        probabilities = softmax(logits_of(network, data.test_images, scale_of(data)), axis=1)  # (N, C)
        draw(run, config, data, probabilities)
        judge(run, data, metrics.accuracy(data.test_labels, probabilities.argmax(axis=1)))
    return run.exit_code


def train(config: Config, data: ImageSet) -> Generator[Metrics, None, MLP]:
    """Adam on mini-batches; yields a record a step, with the test accuracy at the end of each epoch."""
    rng = streams(config.seed, "weights", "batches")
    sizes = (data.train_images[0].size, *config.hidden, len(data.classes))
    network = MLP(sizes, dtype=np.float32, rng=rng["weights"])
    optimizer = Adam(network.parameters(), lr=config.learning_rate)
    loss_of = CrossEntropyLoss(label_smoothing=config.label_smoothing)
    scale = scale_of(data)
    per_epoch = steps_per_epoch(config, data)
    step, steps = 0, config.epochs * per_epoch
    for epoch in range(1, config.epochs + 1):
        shuffled = batches(
            data.train_images, data.train_labels, batch_size=config.batch_size, rng=rng["batches"]
        )
        for pictures, labels in shuffled:
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * (1.0 - step / steps)
            optimizer.zero_grad()
            loss = loss_of(network(pixels(pictures, scale)), labels)
            loss.backward()
            optimizer.step()
            step += 1
            measured = None
            if step % per_epoch == 0:
                predicted = logits_of(network, data.test_images, scale).argmax(axis=1)
                measured = metrics.accuracy(data.test_labels, predicted)
            yield Metrics(step, epoch, float(loss.data), measured)
    return network


def steps_per_epoch(config: Config, data: ImageSet) -> int:
    """How many batches the training images make; the last one may be smaller."""
    return math.ceil(len(data.train_labels) / config.batch_size)


def scale_of(data: ImageSet) -> tuple[float, float]:
    """Mean and standard deviation of all training pixels: of training images only."""
    return float(data.train_images.mean()), float(data.train_images.std())


def pixels(pictures: np.ndarray, scale: tuple[float, float]) -> Tensor:
    """Images as the network sees them: (N, H, W) uint8 -> (N, D) float32, mean about 0, variance about 1."""
    mean, sd = scale
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)  # (N, D)
    flat -= mean
    flat /= sd
    return Tensor(flat)


def logits_of(network: MLP, pictures: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """What the network says about ``pictures``, (N, C); a thousand at a time, without recording a graph."""
    with no_grad():
        parts = [network(pixels(part, scale)).data for (part,) in batches(pictures, batch_size=1000)]
    return np.concatenate(parts)


def entropy_of_targets(smoothing: float, classes: int) -> float:
    """The cross-entropy of a network that says exactly what the smoothed labels say, in nats."""
    others = smoothing / classes
    true = 1.0 - smoothing + others
    return -sum(count * p * math.log(p) for count, p in ((1, true), (classes - 1, others)) if p > 0.0)


def judge(run: Run, data: ImageSet, accuracy: float) -> None:
    """The verdict, on the full goal or, without the full data, on the reduced one, which says so."""
    wanted = ACCURACY if data.complete else REDUCED
    goal = f"at least {100 * wanted:g}% of {len(data.test_labels):,} test images in at most {SECONDS:g} s"
    if not data.complete:
        goal += f", the reduced goal for the bundled digits; that of {ACCURACY:.0%} needs the full MNIST"
    run.conclude(
        goal,
        reached=accuracy >= wanted and run.seconds <= SECONDS,
        value=f"{accuracy:.2%} in {run.seconds:.1f} s",
        accuracy=accuracy,
        data=data.name,
        reduced=not data.complete,
    )


def draw(run: Run, config: Config, data: ImageSet, probabilities: np.ndarray) -> None:
    """Loss and accuracy over training, the confusion matrix, and the mistakes made with most confidence."""
    history = run.history()
    with plots.figure(f"{data.name}: training", columns=2, width=8.4, height=3.4) as (drawn, axes):
        left, right = axes[0]
        width = max(1, len(history["loss"]) // 100)
        smooth = np.convolve(history["loss"], np.ones(width) / width, mode="valid")
        left.plot(history["step"], history["loss"], color="0.85", linewidth=0.5)
        plots.curve(left, history["step"][width - 1 :], smooth, f"mean of {width}")
        lowest = entropy_of_targets(config.label_smoothing, len(data.classes))
        plots.level(left, lowest, "lowest possible")
        left.set(xlabel="step", ylabel="cross-entropy (nats)", ylim=(0.9 * lowest, 1.05 * smooth.max()))
        measured = ~np.isnan(history["accuracy"])
        plots.curve(
            right, history["epoch"][measured], 100 * history["accuracy"][measured], "test", 1, marker="."
        )
        if data.complete:
            plots.level(right, 100 * ACCURACY, "goal")
        right.set(xlabel="epoch", ylabel="accuracy (%)")
        run.save_figure("training", drawn)

    predicted = probabilities.argmax(axis=1)  # (N,)
    counts = metrics.confusion_matrix(data.test_labels, predicted, n_classes=len(data.classes))
    with plots.figure(f"{data.name}: what is taken for what", width=5.6, height=5.2) as (drawn, axes):
        plots.confusion(axes[0, 0], counts, data.classes)
        run.save_figure("confusion", drawn)

    wrong = np.flatnonzero(predicted != data.test_labels)
    confidence = probabilities[np.arange(len(predicted)), predicted]
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:24]
    names = [(data.classes[data.test_labels[i]], data.classes[predicted[i]]) for i in worst]
    captions = [
        f"{true} taken for {taken}\n{sure:.2%} sure"
        for (true, taken), sure in zip(names, confidence[worst], strict=True)
    ]
    with plots.figure(f"{data.name}: the most confident mistakes", height=5.8) as (drawn, axes):
        plots.pictures(axes[0, 0], data.test_images[worst], captions, columns=6)
        run.save_figure("mistakes", drawn)


if __name__ == "__main__":
    raise SystemExit(main())
