"""Labelled images: MNIST, CIFAR-10, and the handwritten digits that ship with the course.

Shapes: N images, C channels, H rows, W columns.
Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits", http://yann.lecun.com/exdb/mnist/;
        Krizhevsky 2009, "Learning multiple layers of features from tiny images", section 3.1.
"""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curriculum.datasets import store
from curriculum.datasets.store import Resource, say

if TYPE_CHECKING:
    from rich.console import Console

DIGITS = tuple("0123456789")
OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_MNIST_SUMS = {  # of the decompressed files
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MNIST = tuple(
    Resource(f"mnist/{name}.gz", checksum, tuple(f"{mirror}{name}.gz" for mirror in _MNIST_MIRRORS))
    for name, checksum in _MNIST_SUMS.items()
)

CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_ARCHIVE = Resource(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",  # of the archive as published
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)
CIFAR10_SUMS = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
_RECORDS, _RECORD = 10_000, 1 + 3 * 32 * 32  # records a batch; bytes a record: the label, then R, G, B planes


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A labelled image set. The arrays are read-only: divide by 255 into floats of your own.

    Attributes:
        name: what it is, for a title: "MNIST".
        complete: False for the subset that ships with the course.
        train_images: (N, H, W) for grey, (N, C, H, W) for colour, uint8 in [0, 255].
        train_labels: (N,) int64, indices into ``classes``.
        test_images: as train_images.
        test_labels: as train_labels.
        classes: the name of each label.
    """

    name: str
    complete: bool
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            array.flags.writeable = False

    @property
    def sizes(self) -> str:
        """How many: "60,000 training and 10,000 test images"."""
        return f"{len(self.train_labels):,} training and {len(self.test_labels):,} test images"


def mnist(*, console: Console | None = None, fallback: bool = True) -> ImageSet:
    """MNIST: 60,000 + 10,000 handwritten digits, (N, 28, 28).

    Args:
        console: where the line that says what is done goes, and the progress bar; default: standard error.
        fallback: without the files and without a network, return `digits` and say so.

    Raises:
        DataError: a file is damaged.
        Unavailable: the files are not to be had, and ``fallback`` is False.
    """
    console = console or store.stderr()
    if not store.present(MNIST):
        say(console, f"MNIST: downloading four files, 11 MB, to {store.directory() / 'mnist'}")
    try:
        train_images, train_labels, test_images, test_labels = (_idx(r, console) for r in MNIST)
    except store.Unavailable as error:
        if not fallback:
            raise
        bundled = digits()
        say(console, f"MNIST: {error}. Using the {bundled.name} that ships with the course: {bundled.sizes}.")
        return bundled
    full = ImageSet("MNIST", True, train_images, train_labels, test_images, test_labels, DIGITS)
    say(console, f"MNIST: {full.sizes} from {store.directory() / 'mnist'}")
    return full


def digits() -> ImageSet:
    """4,000 + 1,000 images of the real MNIST, each digit as frequent as there; always at hand, (N, 28, 28).

    Made by `curriculum.datasets.make_digits`; licence in ``digits.LICENSE.md``.
    """
    with np.load(Path(__file__).with_name("digits.npz")) as file:
        arrays = {name: file[name] for name in file.files}
    for split in ("train_labels", "test_labels"):
        arrays[split] = arrays[split].astype(np.int64)
    return ImageSet("MNIST subset", False, **arrays, classes=DIGITS)


def cifar10(*, console: Console | None = None) -> ImageSet:
    """CIFAR-10: 50,000 + 10,000 colour photographs of ten kinds of object, (N, 3, 32, 32), channels R, G, B.

    A copy of the right size and structure that is not the publisher's is used, with a line that says so.

    Args:
        console: where that line goes, and the progress bar; default: standard error.

    Raises:
        DataError: a file is damaged.
        Unavailable: the files are not to be had. No colour images ship with the course to replace them.
    """
    console = console or store.stderr()
    folder = store.directory() / CIFAR10_FOLDER
    if not all((folder / name).exists() for name in CIFAR10_SUMS):
        _download_cifar10(folder, console)
    batches = [_cifar_batch(folder / name) for name in CIFAR10_SUMS]
    pixels = np.concatenate([b[:, 1:] for b in batches]).reshape(-1, 3, 32, 32)  # (60000, 3, 32, 32)
    labels = np.concatenate([b[:, 0] for b in batches]).astype(np.int64)  # (60000,)
    train = 5 * _RECORDS
    photographs = ImageSet(
        "CIFAR-10", True, pixels[:train], labels[:train], pixels[train:], labels[train:], OBJECTS
    )
    published = all(
        hashlib.sha256(b.data).hexdigest() == checksum
        for b, checksum in zip(batches, CIFAR10_SUMS.values(), strict=True)
    )
    note = "" if published else "; right in size and structure, but not the publisher's bytes"
    say(console, f"CIFAR-10: {photographs.sizes} from {folder}{note}")
    return photographs


def _idx(resource: Resource, console: Console) -> np.ndarray:
    """An IDX file: zero, zero, 8 (uint8), number of dimensions, sizes (big-endian int32), values."""
    content = store.read(resource, console)
    ndim = content[3]
    shape = np.frombuffer(content, ">i4", ndim, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape)
    return values if ndim > 1 else values.astype(np.int64)


def _cifar_batch(file: Path) -> np.ndarray:
    """One batch as (10000, 3073) bytes, its structure checked."""
    content = store.contents(file)
    if len(content) != _RECORDS * _RECORD:
        raise store.damaged(file, f"it has {len(content):,} bytes, expected {_RECORDS * _RECORD:,}")
    batch = np.frombuffer(content, np.uint8).reshape(_RECORDS, _RECORD)
    largest = batch[:, 0].max()
    if largest >= len(OBJECTS):
        raise store.damaged(file, f"it has a label {largest}, expected 0 to {len(OBJECTS) - 1}")
    return batch


def _download_cifar10(folder: Path, console: Console) -> None:
    """Take the six batches out of the published archive, downloaded unless somebody put it there."""

    def check(archive: Path) -> None:
        with archive.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != CIFAR10_ARCHIVE.sha256:
            raise store.damaged(
                archive, f"its sha256 is {found[:12]}..., expected {CIFAR10_ARCHIVE.sha256[:12]}..."
            )

    archive = store.directory() / CIFAR10_ARCHIVE.path
    downloaded = not archive.exists()
    if downloaded:
        say(console, f"CIFAR-10: downloading one file, 170 MB, to {store.directory()}")
        store.download(CIFAR10_ARCHIVE.mirrors, archive, check, console)
    else:
        check(archive)
    with tarfile.open(archive) as tar:
        for name in CIFAR10_SUMS:
            member = tar.extractfile(f"{CIFAR10_FOLDER}/{name}")
            if member is None:
                raise store.damaged(archive, f"it holds no {name}")
            store.write(folder / name, member.read())
    if downloaded:
        archive.unlink()
