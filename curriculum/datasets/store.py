"""Where data files are, and how they get there.

A file is looked for in the data directory (``CURRICULUM_DATA``, else the user's cache directory); a missing
one is downloaded from its publisher's mirrors. Either way its checksum decides whether it is used: a file
is right, or it is a `DataError` that says what to do.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

TIMEOUT = (5, 30)  # seconds to connect, seconds of silence: no network must be noticed quickly


class DataError(Exception):
    """A data file cannot be used. The message says which, why and what to do."""


class Unavailable(DataError):
    """A data file is neither in the data directory nor to be had from its publisher."""


@dataclass(frozen=True)
class Resource:
    """One published file; ``name`` and ``name.gz`` are the same, as the checksum is of what they hold."""

    path: str  # below the data directory: "mnist/train-images-idx3-ubyte.gz"
    sha256: str  # of the bytes once decompressed
    mirrors: tuple[str, ...]  # complete addresses, the first that works is used

    @property
    def places(self) -> tuple[Path, ...]:
        """Where the file may be: decompressed, which reads faster, or as published."""
        published = directory() / self.path
        return tuple(dict.fromkeys((directory() / self.path.removesuffix(".gz"), published)))


def directory() -> Path:
    """The folder that holds all data: ``CURRICULUM_DATA``, else the user's cache directory."""
    chosen = os.environ.get("CURRICULUM_DATA", "").strip()
    if chosen:
        return Path(chosen).expanduser()
    import pooch  # type: ignore[import-untyped]  # 0.1 s: only where the platform has to be asked

    return Path(pooch.os_cache("ml-implementation-curriculum"))


def present(resources: tuple[Resource, ...]) -> bool:
    """Whether all of ``resources`` are in the data directory, damaged or not."""
    return all(any(place.exists() for place in r.places) for r in resources)


def read(resource: Resource, console: Console) -> bytes:
    """The decompressed bytes of ``resource``, downloaded first if need be.

    Raises:
        Unavailable: it is not here and no mirror can be reached.
        DataError: the file that is here is damaged or unreadable.
    """
    if not any(place.exists() for place in resource.places):
        download(resource.mirrors, resource.places[-1], lambda f: verified(resource, f), console)
    return verified(resource, next(place for place in resource.places if place.exists()))


def verified(resource: Resource, file: Path) -> bytes:
    """The decompressed bytes of ``file``, which must be those of ``resource``.

    Raises:
        DataError: they are not.
    """
    content = contents(file)
    found = hashlib.sha256(content).hexdigest()
    if found != resource.sha256:
        raise damaged(file, f"its sha256 is {found[:12]}..., expected {resource.sha256[:12]}...")
    return content


def contents(file: Path) -> bytes:
    """The bytes of ``file``, decompressed if it is a gzip file.

    Raises:
        DataError: it cannot be read, or is a cut-off or damaged gzip file.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from None
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except EOFError:
        raise damaged(file, f"it ends in the middle, after {len(raw):,} bytes") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise damaged(file, f"it is not a whole gzip file ({error})") from None


def damaged(file: Path, reason: str) -> DataError:
    """The error for a file that is here but wrong."""
    return DataError(f"{file} is damaged: {reason}. Delete it and run this again to get a fresh copy.")


def download(
    mirrors: tuple[str, ...], target: Path, check: Callable[[Path], object], console: Console
) -> None:
    """Fetch ``target`` from the first mirror that has it. It appears whole and checked, or not at all.

    Args:
        mirrors: complete addresses.
        target: where the file is to be; its folder is made.
        check: called with the temporary file, raises `DataError` where that is wrong.
        console: gets a progress bar.

    Raises:
        Unavailable: every mirror failed; the message gives the reason of each.
        DataError: the data directory cannot be written to.
    """
    import pooch  # only a download needs these
    import requests

    reasons = []
    for address in mirrors:
        host = address.split("/")[2]
        with temporary(target) as part:
            try:
                with _progress_bar(console, f"{target.name} from {host}") as bar, part.open("wb") as stream:
                    pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT)(
                        address, stream, None
                    )
                check(part)
                os.replace(part, target)
                return
            except requests.HTTPError as error:
                status = "with an error" if error.response is None else error.response.status_code
                reasons.append(f"{host} answered {status}")
            except requests.RequestException:
                reasons.append(f"no connection to {host}")
            except DataError:
                reasons.append(f"{host} sent a damaged file")
            except OSError as error:
                raise DataError(f"cannot write {target}: {error.strerror}") from None
    raise Unavailable(
        f"{target.name} is not in {target.parent} and cannot be downloaded: {', '.join(reasons)}"
    )


def write(target: Path, content: bytes) -> None:
    """Write ``content`` to ``target``, whole or not at all.

    Raises:
        DataError: the data directory cannot be written to.
    """
    with temporary(target) as part:
        try:
            part.write_bytes(content)
            os.replace(part, target)
        except OSError as error:
            raise DataError(f"cannot write {target}: {error.strerror}") from None


def stderr() -> Console:
    """The console of a caller who gave none."""
    from rich.console import Console

    return Console(stderr=True)


def say(console: Console, sentence: str) -> None:
    """One line, as it is: paths are neither coloured nor folded."""
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """A file of this process alone beside ``target``, gone at the end unless it was renamed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=target.name + ".", suffix=".part", dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise DataError(f"cannot write to {target.parent}: {error.strerror}") from None
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def _progress_bar(console: Console, name: str) -> Iterator[_Bar]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bar(progress, progress.add_task(name, total=None))


class _Bar:
    """What pooch calls while it downloads, drawn by rich."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress, self._task = progress, task
        self.total = 0  # bytes; pooch sets it when the server has answered

    def update(self, amount: int) -> None:
        self._progress.update(self._task, total=self.total or None, advance=amount)

    def reset(self) -> None:
        self._progress.reset(self._task)

    def close(self) -> None:
        """Nothing to do: the ``with`` that made the bar takes it away."""
