"""What the image classifiers share: scale, loop, verdict and figures."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from curriculum import manifest
from curriculum.datasets.images import ImageSet
from curriculum.overlay import Overlay, install
from experiments import plots
from experiments.runs import Metrics, Run

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stack() -> Iterator[SimpleNamespace]:
    """What these tests use of the reference stack, which is gone again after them."""
    before, finders = set(sys.modules), list(sys.meta_path)
    install(Overlay(ROOT, manifest.load(ROOT).packages, "solutions"))
    names = {
        "classifier": "experiments.classifier",
        "linear": "nn_core.layers.linear",
        "module": "nn_core.module",
        "batchnorm": "nn_core.normalization.batchnorm",
        "dropout": "nn_core.regularization.dropout",
        "cross_entropy": "optimization.losses.cross_entropy",
        "sgd": "optimization.optimizers.sgd",
    }
    yield SimpleNamespace(**{name: importlib.import_module(module) for name, module in names.items()})
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


@dataclass(frozen=True)
class Config:
    seed: int = 0


def begin(root: Path) -> Run:
    return Run("tiny", Config(), root=root, console=Console(file=io.StringIO(), width=300))


def image_set(shape: tuple[int, ...], *, complete: bool = True, n: int = 30) -> ImageSet:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (2, n, *shape), dtype=np.uint8)
    labels = rng.integers(3, size=(2, n))
    return ImageSet("Noise", complete, pictures[0], labels[0], pictures[1], labels[1], ("a", "b", "c"))


# scale


@pytest.mark.parametrize("shape", [(2345, 3, 4, 5), (2345, 4, 5), (1, 2, 2)])
def test_scaled_pixels_have_mean_0_and_variance_1_in_each_channel(stack, shape) -> None:
    channels = np.arange(1, 4)[:, None, None] if len(shape) == 4 else 1
    images = (np.random.default_rng(0).integers(0, 80, shape) * channels).astype(np.uint8)
    scale = stack.classifier.Scale.of(images)
    scaled = scale(images)
    assert scaled.dtype == np.float32
    assert scaled.shape == shape
    axes = (0, -2, -1)
    np.testing.assert_allclose(scaled.mean(axis=axes, dtype=np.float64), 0.0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=axes, dtype=np.float64), 1.0, rtol=1e-6)
    np.testing.assert_allclose(scale.mean.squeeze(), images.mean(axis=axes), rtol=1e-13)


# the loop


def tiny(stack: SimpleNamespace, *, layers: tuple = ()) -> tuple:
    network = stack.module.Sequential(*layers, stack.linear.Linear(4, 3, rng=np.random.default_rng(0)))
    return network, stack.sgd.SGD(network.parameters(), lr=0.1)


def test_the_loop_numbers_its_steps_and_measures_after_each_epoch(stack) -> None:
    network, optimizer = tiny(stack)
    asked, rates = [], []

    def batches_of(epoch):
        asked.append(epoch)
        rng = np.random.default_rng(epoch)
        return ((rng.standard_normal((2, 4)).astype(np.float32), rng.integers(3, size=2)) for _ in range(3))

    def schedule(step):
        stack.classifier.falling(optimizer, 0.5, 6)(step)
        rates.append((step, optimizer.param_groups[0]["lr"]))

    options = {"epochs": 2, "steps_per_epoch": 3, "schedule": schedule}
    loss_of = stack.cross_entropy.CrossEntropyLoss()
    records = list(stack.classifier.fit(network, optimizer, loss_of, batches_of, lambda e: e / 10, **options))
    assert [(m.step, m.epoch, m.accuracy) for m in records] == [
        (1, 1, None), (2, 1, None), (3, 1, 0.1), (4, 2, None), (5, 2, None), (6, 2, 0.2)
    ]  # fmt: skip
    assert asked == [1, 2]
    assert [step for step, _ in rates] == [0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose([rate for _, rate in rates], [0.5 * (1 - k / 6) for k in range(6)])


def test_generators_of_layers_are_found_by_path(stack) -> None:
    rng = np.random.default_rng(0)
    network, _ = tiny(stack, layers=(stack.dropout.Dropout(0.5, rng=rng),))
    assert stack.classifier.generators_of(network) == {"0.rng": rng}


def test_judging_leaves_the_network_as_it_was(stack) -> None:
    network, _ = tiny(stack, layers=(stack.batchnorm.BatchNorm1d(4),))
    images = np.random.default_rng(0).integers(0, 256, (2100, 2, 2), dtype=np.uint8)
    before = network.state_dict()
    logits = stack.classifier.logits_of(network, images, lambda x: x.reshape(-1, 4).astype(np.float32))
    assert logits.shape == (2100, 3)
    assert network.training
    assert all(np.array_equal(array, before[name]) for name, array in network.state_dict().items())
    few = stack.classifier.logits_of(network, images[:7], lambda x: x.reshape(-1, 4).astype(np.float32))
    np.testing.assert_allclose(few, logits[:7], rtol=1e-5)


def test_the_lowest_loss_is_the_entropy_of_the_smoothed_labels(stack) -> None:
    lowest = stack.classifier.entropy_of_targets(0.1, 10)
    assert lowest == pytest.approx(-0.91 * np.log(0.91) - 9 * 0.01 * np.log(0.01))
    assert stack.classifier.entropy_of_targets(0.0, 10) == 0.0


# the verdict


@pytest.mark.parametrize(
    ("complete", "accuracy", "seconds", "reached"),
    [
        (True, 0.985, 9.0, True),
        (True, 0.984, 9.0, False),
        (True, 0.985, 11.0, False),
        (False, 0.92, 9.0, True),
        (False, 0.89, 9.0, False),
    ],
)
def test_accuracy_and_seconds_decide_on_the_goal_of_the_data(
    stack, tmp_path, complete, accuracy, seconds, reached
) -> None:
    goal = stack.classifier.Goal(accuracy=0.985, seconds=10.0, full="Everything", reduced=0.9)
    with begin(tmp_path) as run:
        run.seconds = seconds
        stack.classifier.judge(run, image_set((4, 4), complete=complete), goal, accuracy)
    verdict = json.loads((run.folder / "verdict.json").read_text("utf-8"))
    assert verdict["reached"] is reached
    assert verdict["reduced"] is not complete
    wanted = "98.5%" if complete else "90%"
    assert verdict["goal"].startswith(f"at least {wanted} of 30 test images in at most 10 s")
    assert ("that of 98.5% needs the full Everything" in verdict["goal"]) is not complete


# figures


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8)], ids=["grey", "colour"])
def test_figures_are_drawn_of_grey_and_of_colour(stack, tmp_path, shape) -> None:
    data = image_set(shape)
    goal = stack.classifier.Goal(accuracy=0.9, seconds=10.0, full="Noise")
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    with begin(tmp_path) as run:
        records = [Metrics(i, 1 + i // 3, 1 / i, 0.5 if i % 3 == 0 else None) for i in range(1, 7)]
        run.follow((metrics for metrics in records), 6)
        stack.classifier.draw(run, data, goal, probabilities, lowest=0.1)
        stack.classifier.draw_filters(run, data.name, np.ones((5, 1 if len(shape) == 2 else 3, 3, 3)))
    names = ["confusion.png", "filters.png", "mistakes.png", "training.png"]
    assert sorted(f.name for f in run.folder.glob("*.png")) == names


def test_a_picture_in_colour_is_shown_in_its_colours_on_white() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 4), dtype=np.uint8)
    with plots.figure("title") as (_, axes):
        plots.pictures(axes[0, 0], images, ["one\nline"] * 3, columns=2)
        shown = axes[0, 0].images[0].get_array()
    assert np.array_equal(shown[2:6, :4], images[0].transpose(1, 2, 0))
    assert np.array_equal(shown[2:6, 5:9], images[1].transpose(1, 2, 0))
    assert (shown[:2] == 255).all()


def test_filters_are_grey_where_they_are_zero_and_each_on_its_own_scale() -> None:
    weight = np.zeros((3, 3, 2, 2))
    weight[0, 0, 0, 0], weight[1, :, 1, 1], weight[2, 1, 0, 1] = 4.0, -0.1, 1.0
    with plots.figure("title") as (_, axes):
        plots.filters(axes[0, 0], weight)
        shown = axes[0, 0].images[0].get_array()
    assert shown.shape == (2, 8, 3)
    np.testing.assert_allclose(shown[0, 0], [1.0, 0.5, 0.5])  # red
    np.testing.assert_allclose(shown[1, 4], [0.0, 0.0, 0.0])  # black
    np.testing.assert_allclose(shown[0, 7], [0.5, 1.0, 0.5])  # green
    np.testing.assert_allclose(shown[0, 1], [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"1 or 3 channels can be shown, got weights \(3, 2, 2, 2\)"):
        with plots.figure("title") as (_, axes):
            plots.filters(axes[0, 0], np.zeros((3, 2, 2, 2)))
