"""The milestone of phase 5 on small pictures: its batches, its two groups of parameters, a short run."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from curriculum import manifest
from curriculum.datasets.images import OBJECTS, ImageSet
from curriculum.overlay import Overlay, install

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cifar() -> Iterator[ModuleType]:
    """The script on the reference stack, which is gone again after these tests."""
    before, finders = set(sys.modules), list(sys.meta_path)
    install(Overlay(ROOT, manifest.load(ROOT).packages, "solutions"))
    yield importlib.import_module("experiments.milestones.cifar")
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture(scope="module")
def pictures() -> ImageSet:
    """Noise about a colour of its own for each class: (320 and 100, 3, 32, 32)."""
    rng = np.random.default_rng(0)
    colours = rng.integers(60, 196, (len(OBJECTS), 3))

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % len(OBJECTS)
        noisy = colours[labels][:, :, None, None] + rng.integers(-60, 60, (count, 3, 32, 32))
        return noisy.astype(np.uint8), labels

    return ImageSet("Colours", True, *draw(320), *draw(100), OBJECTS)


def test_an_epoch_shows_every_picture_once_and_the_next_one_mirrored(cifar, pictures) -> None:
    config = cifar.Config(sizes=(32, 32), batch_size=32, shift=0)
    scale = cifar.Scale.of(pictures.train_images)
    epochs = [np.concatenate([x for x, _ in cifar.batches_of(config, pictures, scale, e)]) for e in (1, 2)]
    first, second = ({p.tobytes() for p in epoch} for epoch in epochs)
    assert len(first) == len(second) == 320
    assert second == {np.ascontiguousarray(p[..., ::-1]).tobytes() for p in epochs[0]}
    as_they_are = {p.tobytes() for p in scale(pictures.train_images)}
    assert 0.35 < len(first & as_they_are) / 320 < 0.65  # binomial: false alarms 1 in 10^7


def test_batches_have_the_size_of_their_epoch_and_are_the_same_whenever_they_are_asked_for(
    cifar, pictures
) -> None:
    config = cifar.Config(sizes=(8, 16), batch_size=50)
    scale = cifar.Scale.of(pictures.train_images)
    for epoch, size in ((1, 8), (2, 16)):
        once, again = (list(cifar.batches_of(config, pictures, scale, epoch)) for _ in range(2))
        assert [x.shape for x, _ in once] == [(50, 3, size, size)] * 6  # 320 // 50
        assert all(
            np.array_equal(a, c) and np.array_equal(b, d) for (a, b), (c, d) in zip(once, again, strict=True)
        )
        assert once[0][0].dtype == np.float32


def test_only_matrices_decay(cifar) -> None:
    network = cifar.resnet18(10, 4, stem="cifar", rng=np.random.default_rng(0))
    matrices, vectors = cifar.decayed(network.parameters(), 5e-4)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (5e-4, 0.0)
    assert {p.ndim for p in matrices["params"]} == {2, 4}
    assert {p.ndim for p in vectors["params"]} == {1}
    assert len(matrices["params"]) + len(vectors["params"]) == len(list(network.parameters()))


@pytest.mark.parametrize("threads", [1, 2])
def test_a_short_run_learns_and_two_agree_bit_for_bit(cifar, pictures, threads) -> None:
    config = cifar.Config(width=4, sizes=(8,) * 4, batch_size=32, threads=threads)
    runs = []
    for _ in range(2):
        training, records = cifar.train(config, pictures), []
        while True:
            try:
                records.append(next(training))
            except StopIteration as end:
                network = end.value
                break
        runs.append((records, {k: np.array(v) for k, v in network.state_dict().items()}))
    (records, weights), (others, same) = runs
    assert records == others
    assert all(np.array_equal(weights[name], same[name]) for name in weights)
    assert [r.accuracy is not None for r in records] == ([False] * 9 + [True]) * 4
    assert records[-1].accuracy >= 0.25  # of ten colours: 5 sd above chance
    assert records[-1].loss < 0.8 * records[0].loss


def test_a_run_leaves_its_figures_and_a_verdict(cifar, pictures, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar.images, "cifar10", lambda console: pictures)
    code = cifar.main(["--width", "4", "--sizes", "8,8", "--batch-size", "64", "--seed", "3"])
    record = tmp_path / "runs" / "cifar_001"
    figures = ["confusion.png", "filters.png", "mistakes.png", "training.png"]
    assert sorted(f.name for f in record.iterdir() if f.suffix == ".png") == figures
    verdict = json.loads((record / "verdict.json").read_text("utf-8"))
    assert code == (0 if verdict["reached"] else 1)
    assert "at least 85% of 100 test images in at most 3600 s" in verdict["goal"]
    assert json.loads((record / "config.json").read_text("utf-8"))["width"] == 4


def test_bonus_modules_that_are_not_written_are_left_out(cifar, monkeypatch) -> None:
    def not_yet(*_: object) -> None:
        raise NotImplementedError("nn_core.conv.winograd: TODO 4 of 6, winograd_correlate")

    from nn_core.conv import conv2d

    monkeypatch.setattr(cifar.winograd, "enable", not_yet)
    monkeypatch.setattr(conv2d, "methods", [])
    cifar.speed_up()
    assert conv2d.methods == [cifar.narrow.METHOD]
