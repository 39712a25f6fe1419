"""Make ``digits.npz``, the part of MNIST that ships with the course.

Run ``python -m curriculum.datasets.make_digits`` to make it again.

Each digit is as frequent as in MNIST, training images come from the training images and test images from the
test images, and the order is random. The choice depends on nothing but `SEED`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from curriculum.datasets import images

SEED = 20260101
TRAIN, TEST = 4_000, 1_000  # images; 5,000 compress to 0.8 MB


def stratified(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of ``size`` items in which every class is as frequent as in ``labels``.

    Args:
        labels: (N,) class indices.
        size: how many to choose, at most N.
        rng: source of randomness.

    Returns:
        (size,) indices into ``labels``, in random order. Shares are rounded by largest remainder.
    """
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * (size / len(labels))
    shares = np.floor(exact).astype(int)
    shares[np.argsort(shares - exact, kind="stable")[: size - shares.sum()]] += 1
    chosen = [
        rng.choice(np.flatnonzero(labels == c), share, replace=False)
        for c, share in zip(classes, shares, strict=True)
    ]
    return rng.permutation(np.concatenate(chosen))


def main() -> None:
    """Write ``digits.npz`` beside this file."""
    full = images.mnist(fallback=False)
    rng = np.random.default_rng(SEED)
    train = stratified(full.train_labels, TRAIN, rng)
    test = stratified(full.test_labels, TEST, rng)
    np.savez_compressed(
        Path(__file__).with_name("digits.npz"),
        train_images=full.train_images[train],
        train_labels=full.train_labels[train].astype(np.uint8),
        test_images=full.test_images[test],
        test_labels=full.test_labels[test].astype(np.uint8),
    )


if __name__ == "__main__":
    main()
