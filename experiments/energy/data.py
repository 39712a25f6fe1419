r"""What the energy simulator learns from: XOR, clouds in the plane, and real handwritten digits.

    xor       the four corners; judged on points around them, each with the answer of its own corner
    moons     two half circles, made             spirals   three arms, made
    digits    5,000 images of the real MNIST, which ship with the course; mnist: all 70,000, downloaded

A target is 0 or 1: one output for XOR, else one for each class, 1 for the right one. Both are in the reach of
tanh, sigmoid and ReLU alike. An image is shrunk by means of square blocks of pixels, 28 x 28 to 7 x 7, so
that plain NumPy learns it in seconds; 0 is paper and 1 is ink.

Shapes   X (N, D), target (N, K), outputs (N, K), images (N, H, W).
Source   LeCun, Cortes & Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from curriculum.datasets import images, toy
from curriculum.datasets.images import ImageSet
from curriculum.datasets.store import Unavailable
from utils.metrics import confusion_matrix

Array = np.ndarray
NAMES = ("xor", "moons", "spirals", "digits", "mnist")
SIDE = 7  # pixels of a shrunken image
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
POINTS = 300  # of a made set, and as many to be judged by
BLUR = 0.15  # standard deviation around a corner of XOR: 1 coordinate of 2,300 is nearer to another corner


class Problem(NamedTuple):
    """Samples to learn from, and others to be judged by."""

    X: Array  # (N, D)
    target: Array  # (N, K), 0 and 1
    test_X: Array  # (M, D)
    test_target: Array  # (M, K)
    classes: tuple[str, ...]  # their names; two also where K is 1


def load(name: str, seed: int = 0) -> Problem:
    """Make or read a problem.

    Args:
        name: one of ``NAMES``.
        seed: of the sets that are made; those of images are always the same.

    Raises:
        ValueError: the name is another word (the message names it and ``NAMES``), or MNIST is neither on this
            computer nor to be had.
    """
    if name not in NAMES:
        raise ValueError(f"data must be one of {', '.join(NAMES)}, got {name!r}")
    if name == "digits":
        return _pictures(images.digits())
    if name == "mnist":
        return _mnist()
    rng = np.random.default_rng(seed)
    if name == "xor":
        return _xor(rng)
    made = toy.two_moons if name == "moons" else toy.spirals
    (X, labels), (test_X, test_labels) = made(POINTS, rng=rng), made(POINTS, rng=rng)
    classes = ("upper", "lower") if name == "moons" else ("arm 0", "arm 1", "arm 2")
    K = len(classes)
    return Problem(X, one_hot(labels, K), test_X, one_hot(test_labels, K), classes)


def one_hot(labels: Array, classes: int) -> Array:
    """Give each label (N,), in [0, classes), a row of zeros with a single 1: (N, classes)."""
    return np.eye(classes)[labels]


def shrink(pictures: Array, side: int = SIDE) -> Array:
    """Average square blocks of pixels.

    Args:
        pictures: (N, H, H), uint8.
        side: of the result, pixels; divides H.

    Returns:
        (N, side^2), float64 in [0, 1].

    Raises:
        ValueError: the pictures are not square, or side does not divide theirs; the message names both.
    """
    n, height, width = pictures.shape
    if height != width or side < 1 or height % side:
        raise ValueError(f"side must divide that of square images, got {side} for {height} x {width}")
    block = height // side
    return pictures.reshape(n, side, block, side, block).mean(axis=(2, 4)).reshape(n, -1) / 255.0


def decide(outputs: Array) -> Array:
    """Read the class from outputs, or from targets: the largest of several, or 1 where a single is above 1/2.

    Args:
        outputs: (N, K).

    Returns:
        (N,), ints.
    """
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.5).astype(np.int64)
    return outputs.argmax(axis=1)


def accuracy(outputs: Array, target: Array) -> float:
    """Give the share of samples whose outputs (N, K) decide as their targets (N, K)."""
    return float(np.mean(decide(outputs) == decide(target)))


def confusion(outputs: Array, target: Array) -> Array:
    """Count the samples by true class (rows) and decided class (columns), (C, C), from (N, K) each."""
    return confusion_matrix(decide(target), decide(outputs), n_classes=max(2, target.shape[1]))


def _xor(rng: np.random.Generator) -> Problem:
    corner = np.arange(POINTS) % 4
    test_X = CORNERS[corner] + BLUR * rng.standard_normal((POINTS, 2))
    target = np.array([[0.0], [1.0], [1.0], [0.0]])
    return Problem(CORNERS.copy(), target, test_X, target[corner], ("0", "1"))


def _pictures(pictures: ImageSet) -> Problem:
    K = len(pictures.classes)
    X, test_X = shrink(pictures.train_images), shrink(pictures.test_images)
    target, test_target = one_hot(pictures.train_labels, K), one_hot(pictures.test_labels, K)
    return Problem(X, target, test_X, test_target, pictures.classes)


def _mnist() -> Problem:
    try:
        return _pictures(images.mnist(fallback=False))
    except Unavailable as error:
        raise ValueError(f"data mnist: {error}; data digits ships with the course") from error
