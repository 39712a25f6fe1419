"""The data loaders: what they return, where they look, and what they say when something is wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from curriculum.datasets import images, make_digits, store, text, toy
from curriculum.datasets.store import DataError, Resource, Unavailable

NOWHERE = "http://127.0.0.1:9/"  # the discard port: nobody answers there


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory, with a space in its name as on many Windows machines."""
    folder = tmp_path / "my data"
    monkeypatch.setenv("CURRICULUM_DATA", str(folder))
    return folder


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A web server of our own: the folder it serves, and its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    folder = tmp_path / "published"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def idx(values: np.ndarray) -> bytes:
    """``values`` as an IDX file."""
    return struct.pack(f">HBB{values.ndim}i", 0, 8, values.ndim, *values.shape) + values.tobytes()


def small_mnist(monkeypatch: pytest.MonkeyPatch, *mirrors: str) -> tuple[dict[str, bytes], images.ImageSet]:
    """Four small files in MNIST's place: their contents, and what the loader should make of them."""
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 10 if i % 2 else 256, (6, 28, 28)[: 1 if i % 2 else 3], np.uint8) for i in range(4)
    ]
    files = {Path(r.path).name: idx(a) for r, a in zip(images.MNIST, arrays, strict=True)}
    fakes = tuple(
        Resource(f"mnist/{name}", hashlib.sha256(content).hexdigest(), tuple(m + name for m in mirrors))
        for name, content in files.items()
    )
    monkeypatch.setattr(images, "MNIST", fakes)
    return files, images.ImageSet("MNIST", True, *arrays, images.DIGITS)


def small_cifar10(monkeypatch: pytest.MonkeyPatch, mirror: str) -> tuple[dict[str, bytes], bytes]:
    """Six small batches in CIFAR-10's place, and the archive that holds them."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(images, "_RECORDS", 4)
    batches = {}
    for name in images.CIFAR10_SUMS:
        batch = rng.integers(0, 256, (4, 3073), np.uint8)
        batch[:, 0] %= 10
        batches[name] = batch.tobytes()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    archive = stream.getvalue()
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in batches.items()}
    monkeypatch.setattr(images, "CIFAR10_SUMS", sums)
    fake = Resource(images.CIFAR10_ARCHIVE.path, hashlib.sha256(archive).hexdigest(), (mirror,))
    monkeypatch.setattr(images, "CIFAR10_ARCHIVE", fake)
    return batches, archive


def put(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


# the bundled sets


def test_the_bundled_digits_are_images_of_mnist_in_its_proportions() -> None:
    bundled = images.digits()
    assert bundled.train_images.shape == (4000, 28, 28)
    assert bundled.test_images.shape == (1000, 28, 28)
    assert bundled.train_images.dtype == bundled.test_images.dtype == np.uint8
    assert bundled.train_labels.dtype == bundled.test_labels.dtype == np.int64
    # 4000/60000 and 1000/10000 of MNIST's own class counts, rounded to whole images
    assert np.bincount(bundled.train_labels).tolist() == [395, 449, 397, 409, 389, 361, 395, 418, 390, 397]
    assert np.bincount(bundled.test_labels).tolist() == [98, 114, 103, 101, 98, 89, 96, 103, 97, 101]
    assert not bundled.complete
    assert bundled.classes == tuple("0123456789")


def test_the_bundled_digits_are_small_and_carry_their_licence() -> None:
    folder = Path(images.__file__).parent
    assert (folder / "digits.npz").stat().st_size <= 1_000_000
    assert "ShareAlike 3.0" in (folder / "digits.LICENSE.md").read_text("utf-8")


def test_the_arrays_of_an_image_set_are_read_only() -> None:
    bundled = images.digits()
    with pytest.raises(ValueError, match="read-only"):
        bundled.train_images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        bundled.test_labels[0] = 0


def test_a_stratified_choice_keeps_the_proportions_and_repeats_nothing() -> None:
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    chosen = make_digits.stratified(labels, 25, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 25
    # shares 17.5, 5 and 2.5: one of the halves is rounded up
    assert np.bincount(labels[chosen]).tolist() in ([18, 5, 2], [17, 5, 3])


def test_the_excerpt_of_shakespeare_begins_as_the_play_does() -> None:
    excerpt = text.shakespeare_excerpt()
    assert excerpt.characters.startswith("First Citizen:\nBefore we proceed any further, hear me speak.\n")
    assert "\r" not in excerpt.characters
    assert not excerpt.complete
    assert excerpt.vocabulary[0] == "\n"


# reading


@pytest.mark.parametrize("compressed", [True, False])
def test_mnist_is_read_as_published_or_decompressed(data, console, monkeypatch, compressed) -> None:
    files, expected = small_mnist(monkeypatch)
    if compressed:
        put(data / "mnist", {name: gzip.compress(content) for name, content in files.items()})
    else:
        put(data / "mnist", {name.removesuffix(".gz"): content for name, content in files.items()})
    found = images.mnist(console=console)
    for split in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(found, split), getattr(expected, split))
    assert found.train_images.dtype == np.uint8
    assert found.train_labels.dtype == np.int64
    assert found.complete
    assert printed(console) == f"MNIST: 6 training and 6 test images from {data / 'mnist'}\n"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda whole: whole[: len(whole) // 2], "ends in the middle"),
        (lambda whole: whole[:40] + b"damage" + whole[46:], "not a whole gzip file"),
        (lambda whole: gzip.compress(gzip.decompress(whole)[:-1]), "its sha256 is"),
        (lambda whole: b"", "its sha256 is"),
        (lambda whole: b"<html>not found</html>", "its sha256 is"),
    ],
    ids=["half", "damaged", "short", "empty", "web page"],
)
def test_a_spoiled_file_is_an_error_that_names_it_and_the_cure(
    data, console, monkeypatch, spoil, says
) -> None:
    files, _ = small_mnist(monkeypatch)
    packed = {name: gzip.compress(content) for name, content in files.items()}
    packed["t10k-images-idx3-ubyte.gz"] = spoil(packed["t10k-images-idx3-ubyte.gz"])
    put(data / "mnist", packed)
    with pytest.raises(DataError) as caught:
        images.mnist(console=console)
    message = str(caught.value)
    assert str(data / "mnist" / "t10k-images-idx3-ubyte.gz") in message
    assert says in message
    assert message.endswith("Delete it and run this again to get a fresh copy.")
    assert not isinstance(caught.value, Unavailable)


def test_a_folder_in_a_files_place_is_an_error_that_names_it(data, console, monkeypatch) -> None:
    files, _ = small_mnist(monkeypatch)
    put(data / "mnist", {name: gzip.compress(content) for name, content in files.items()})
    spoiled = data / "mnist" / "train-labels-idx1-ubyte.gz"
    spoiled.unlink()
    spoiled.mkdir()
    with pytest.raises(DataError, match="cannot read"):
        images.mnist(console=console)


def test_cifar10_is_read_in_its_published_layout(data, console, monkeypatch) -> None:
    batches, _ = small_cifar10(monkeypatch, NOWHERE)
    put(data / "cifar-10-batches-bin", batches)
    found = images.cifar10(console=console)
    assert found.train_images.shape == (20, 3, 32, 32)
    assert found.test_images.shape == (4, 3, 32, 32)
    second = batches["data_batch_2.bin"][3073:6146]  # record 1 of batch 2 is image 5
    assert found.train_labels[5] == second[0]
    assert found.train_images[5, 1, 0, 2] == second[1 + 1024 + 2]  # green, row 0, column 2
    assert found.classes[0] == "airplane"
    assert printed(console) == (
        f"CIFAR-10: 20 training and 4 test images from {data / 'cifar-10-batches-bin'}\n"
    )


def test_another_copy_of_cifar10_is_used_and_said_to_be_one(data, console, monkeypatch) -> None:
    batches, _ = small_cifar10(monkeypatch, NOWHERE)
    batches["test_batch.bin"] = batches["data_batch_1.bin"]
    put(data / "cifar-10-batches-bin", batches)
    found = images.cifar10(console=console)
    np.testing.assert_array_equal(found.test_labels, found.train_labels[:4])
    assert "not the publisher's bytes" in printed(console)
    assert printed(console).count("\n") == 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda b: b[:-1], "12,291 bytes, expected 12,292"),
        (lambda b: b"\x0a" + b[1:], "a label 10, expected 0 to 9"),
    ],
)
def test_a_cifar10_batch_of_wrong_structure_is_an_error(data, console, monkeypatch, spoil, says) -> None:
    batches, _ = small_cifar10(monkeypatch, NOWHERE)
    batches["data_batch_3.bin"] = spoil(batches["data_batch_3.bin"])
    put(data / "cifar-10-batches-bin", batches)
    with pytest.raises(DataError, match=says) as caught:
        images.cifar10(console=console)
    assert "data_batch_3.bin" in str(caught.value)


# downloading


def test_missing_files_are_downloaded_once(data, console, monkeypatch, publisher) -> None:
    folder, address = publisher
    files, expected = small_mnist(monkeypatch, NOWHERE, address)  # the first mirror is down
    put(folder, {name: gzip.compress(content) for name, content in files.items()})
    first = images.mnist(console=console)
    for file in folder.iterdir():
        file.unlink()
    second = images.mnist(console=console)  # nobody to download from now
    np.testing.assert_array_equal(first.train_images, expected.train_images)
    np.testing.assert_array_equal(second.test_labels, expected.test_labels)
    assert sorted(f.name for f in (data / "mnist").iterdir()) == sorted(files)
    assert printed(console).count("downloading") == 1


def test_a_terminal_sees_a_progress_bar(data, monkeypatch, publisher) -> None:
    folder, address = publisher
    files, _ = small_mnist(monkeypatch, address)
    put(folder, {name: gzip.compress(content) for name, content in files.items()})
    terminal = Console(file=io.StringIO(), width=120, force_terminal=True, legacy_windows=False)
    images.mnist(console=terminal)
    assert "train-images-idx3-ubyte.gz from 127.0.0.1" in printed(terminal)


def test_a_download_that_is_not_the_file_leaves_nothing_behind(data, console, monkeypatch, publisher) -> None:
    folder, address = publisher
    files, _ = small_mnist(monkeypatch, address)
    put(folder, dict.fromkeys(files, b"<html>log in to the airport's network</html>"))
    with pytest.raises(Unavailable, match="sent a damaged file"):
        images.mnist(console=console, fallback=False)
    assert list((data / "mnist").iterdir()) == []


def test_a_file_that_the_publisher_lacks_is_unavailable(data, console, monkeypatch, publisher) -> None:
    _, address = publisher
    small_mnist(monkeypatch, address)
    with pytest.raises(Unavailable, match="answered 404"):
        images.mnist(console=console, fallback=False)


def test_a_download_cut_off_leaves_nothing_behind(data, console, monkeypatch, publisher) -> None:
    _, address = publisher
    small_mnist(monkeypatch, address)

    def cut_off(self: object, url: str, stream: io.BufferedWriter, pooch: object) -> None:
        stream.write(b"the first half")
        raise KeyboardInterrupt

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", cut_off)
    with pytest.raises(KeyboardInterrupt):
        images.mnist(console=console)
    assert list((data / "mnist").iterdir()) == []


def test_a_full_disk_is_said(data, console, monkeypatch, publisher) -> None:
    _, address = publisher
    small_mnist(monkeypatch, address)

    def full(self: object, url: str, stream: io.BufferedWriter, pooch: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    with pytest.raises(DataError, match=r"cannot write .*: No space left on device"):
        images.mnist(console=console)


def test_a_data_directory_that_cannot_be_made_is_said(tmp_path, console, monkeypatch, publisher) -> None:
    _, address = publisher
    small_mnist(monkeypatch, address)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("CURRICULUM_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot write to"):
        images.mnist(console=console)


def test_cifar10_is_taken_out_of_the_published_archive(data, console, monkeypatch, publisher) -> None:
    folder, address = publisher
    batches, archive = small_cifar10(monkeypatch, address + "cifar-10-binary.tar.gz")
    put(folder, {"cifar-10-binary.tar.gz": archive})
    found = images.cifar10(console=console)
    assert found.train_labels[0] == batches["data_batch_1.bin"][0]
    assert sorted(p.name for p in data.iterdir()) == ["cifar-10-batches-bin"]
    assert sorted(p.name for p in (data / "cifar-10-batches-bin").iterdir()) == sorted(batches)
    assert "not the publisher's" not in printed(console)


def test_an_archive_put_there_by_hand_is_used_and_kept(data, console, monkeypatch) -> None:
    batches, archive = small_cifar10(monkeypatch, NOWHERE)
    put(data, {"cifar-10-binary.tar.gz": archive})
    found = images.cifar10(console=console)
    assert found.test_labels[0] == batches["test_batch.bin"][0]
    assert (data / "cifar-10-binary.tar.gz").exists()


# without a network


def test_without_network_mnist_falls_back_to_the_bundled_digits_and_says_so(
    data, console, monkeypatch
) -> None:
    small_mnist(monkeypatch, NOWHERE)
    found = images.mnist(console=console)
    assert not found.complete
    assert len(found.train_images) == 4000
    *_, last = printed(console).splitlines()
    assert "no connection to 127.0.0.1:9" in last
    assert "4,000 training and 1,000 test images" in last


def test_without_network_shakespeare_falls_back_to_the_excerpt_and_says_so(
    data, console, monkeypatch
) -> None:
    resource = Resource("tinyshakespeare/input.txt", "0" * 64, (NOWHERE,))
    monkeypatch.setattr(text, "TINY_SHAKESPEARE", resource)
    found = text.tiny_shakespeare(console=console)
    assert not found.complete
    assert "the excerpt that ships with the course" in printed(console)
    with pytest.raises(Unavailable):
        text.tiny_shakespeare(console=console, fallback=False)


def test_without_network_cifar10_is_unavailable(data, console, monkeypatch) -> None:
    small_cifar10(monkeypatch, NOWHERE)
    with pytest.raises(Unavailable, match=r"cifar-10-binary\.tar\.gz is not in"):
        images.cifar10(console=console)


def test_shakespeare_is_read_and_checked(data, console, monkeypatch) -> None:
    play = b"First Citizen:\nSpeak, speak.\n"
    resource = Resource("tinyshakespeare/input.txt", hashlib.sha256(play).hexdigest(), (NOWHERE,))
    monkeypatch.setattr(text, "TINY_SHAKESPEARE", resource)
    put(data / "tinyshakespeare", {"input.txt": play})
    found = text.tiny_shakespeare(console=console)
    assert found.characters == play.decode()
    assert found.complete
    put(data / "tinyshakespeare", {"input.txt": play.replace(b"\n", b"\r\n")})
    with pytest.raises(DataError, match="damaged"):
        text.tiny_shakespeare(console=console)


def test_the_data_directory_is_the_variable_or_the_users_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CURRICULUM_DATA", str(tmp_path))
    assert store.directory() == tmp_path
    monkeypatch.setenv("CURRICULUM_DATA", "~/somewhere")
    assert store.directory() == Path.home() / "somewhere"
    monkeypatch.delenv("CURRICULUM_DATA")
    assert "ml-implementation-curriculum" in store.directory().parts


# toy sets


@pytest.mark.parametrize(
    ("make", "classes"),
    [(toy.two_moons, 2), (toy.circles, 2), (toy.spirals, 3), (toy.blobs, 3)],
    ids=["two_moons", "circles", "spirals", "blobs"],
)
def test_a_toy_set_is_balanced_and_follows_its_generator(make, classes) -> None:
    points, labels = make(100, rng=np.random.default_rng(0))
    again, same = make(100, rng=np.random.default_rng(0))
    other, _ = make(100, rng=np.random.default_rng(1))
    assert points.shape == (100, 2)
    assert points.dtype == np.float64
    assert labels.dtype == np.int64
    counts = np.bincount(labels)
    assert len(counts) == classes
    assert counts.max() - counts.min() <= 1
    assert np.count_nonzero(np.diff(labels)) > 20  # mixed, not one class after the other
    np.testing.assert_array_equal(points, again)
    np.testing.assert_array_equal(labels, same)
    assert not np.array_equal(points, other)
    with pytest.raises(ValueError, match="got 0 and"):
        make(0, rng=np.random.default_rng(0))


def test_moons_without_noise_lie_on_their_half_circles() -> None:
    points, labels = toy.two_moons(200, noise=0.0, rng=np.random.default_rng(0))
    upper, lower = points[labels == 0], points[labels == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1.0)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1.0, lower[:, 1] - 0.5), 1.0)
    assert upper[:, 1].min() >= 0.0
    assert lower[:, 1].max() <= 0.5


def test_circles_without_noise_have_their_radii() -> None:
    points, labels = toy.circles(100, noise=0.0, ratio=0.3, rng=np.random.default_rng(0))
    np.testing.assert_allclose(np.hypot(*points.T), np.where(labels == 1, 0.3, 1.0))
    with pytest.raises(ValueError, match=r"ratio must be in \(0, 1\), got 1.5"):
        toy.circles(10, ratio=1.5, rng=np.random.default_rng(0))


def test_spirals_without_noise_turn_with_their_radius() -> None:
    points, labels = toy.spirals(90, arms=3, turns=0.5, noise=0.0, rng=np.random.default_rng(0))
    radius = np.hypot(*points.T)
    turned = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi) - labels / 3 - 0.5 * radius
    np.testing.assert_allclose(turned - np.round(turned), 0.0, atol=1e-12)
    assert radius.max() <= 1.0


def test_blobs_stand_around_the_unit_circle() -> None:
    points, labels = toy.blobs(4000, centers=4, spread=0.1, rng=np.random.default_rng(0))
    centers = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    for k, center in enumerate(centers):  # a mean of 1000 has sd 0.1 / sqrt(1000) = 0.0032: 5 sd
        np.testing.assert_allclose(points[labels == k].mean(axis=0), center, atol=0.016)
    with pytest.raises(ValueError, match="cannot be negative, got -1"):
        toy.blobs(10, spread=-1.0, rng=np.random.default_rng(0))
