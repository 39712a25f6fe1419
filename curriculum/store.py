"""Nothing of the learner's is ever lost: whole-file writes, a backup store, one lock.

Every byte that the course is about to replace goes to the store first and is on the disk before the
replacement begins; every replacement is one rename. Whenever a command dies, each file is the old one or the
new one, and the old one is in the store.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

STATE = ".curriculum"  # the folder below the course root that holds progress, journal, backups and lock


class StoreError(Exception):
    """A file could not be read, written or replaced. The message says why; the learner's bytes are intact."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read_file(path: Path, root: Path) -> tuple[bytes, int]:
    """Content and permission bits of a plain file.

    Raises:
        StoreError: it is missing, unreadable, a folder, a symbolic link or another special file.
    """
    try:
        if not _is_plain(path, root):
            raise StoreError(f"{shown(path, root)} is missing")
        return path.read_bytes(), stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise StoreError(f"{shown(path, root)} cannot be read: {_reason(error, path)}") from error


def write_file(
    path: Path, content: bytes, root: Path, *, mode: int | None = None, replacing: bytes | None = None
) -> None:
    """Make ``path`` hold ``content``, entirely or not at all, and wait until the disk has it.

    A temporary file in the same folder is written, flushed and renamed over ``path``.

    Args:
        path: the file; its folder is made if need be.
        content: all of it.
        root: of the course, for messages.
        mode: permission bits; by default those of the file replaced, or what the umask leaves.
        replacing: what the caller saved of the file replaced; anything else there is left alone.

    Raises:
        StoreError: the disk is full, the folder is read-only, ``path`` is no plain file or no longer holds
            ``replacing``.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        make_folder(path.parent)
        if _is_plain(path, root) and mode is None:
            mode = stat.S_IMODE(path.stat().st_mode)
        try:
            _write_and_flush(temporary, content, mode)
            if replacing is not None and read_file(path, root)[0] != replacing:
                raise StoreError(f"{shown(path, root)} was saved while it was being replaced: run this again")
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{shown(path, root)} could not be written: {_reason(error, path)}; it is as it was before"
        ) from error


def remove_file(path: Path, root: Path) -> None:
    """Remove ``path`` if it is there, and wait until the disk knows.

    Raises:
        StoreError: the folder does not allow it.
    """
    try:
        path.unlink(missing_ok=True)
        flush_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{shown(path, root)} could not be removed: {_reason(error, path)}") from error


def sweep(folder: Path, name: str = "*") -> None:
    """Remove what interrupted writes of ``folder/name`` left behind. Only while holding the lock."""
    with suppress(OSError):
        for stale in folder.glob(f".{name}.*.tmp"):
            stale.unlink(missing_ok=True)


def set_aside(path: Path, root: Path) -> Path:
    """Rename a damaged file, so that a good one can take its place; its new path."""
    content = path.read_bytes() if path.is_file() else b""
    aside = path.with_name(f"{path.stem}.damaged-{_name(content)}{path.suffix}")
    try:
        os.replace(path, aside)
        flush_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{shown(path, root)} could not be renamed: {_reason(error, path)}") from error
    return aside


def shown(path: Path, root: Path) -> str:
    """``path`` as a message names it: relative to the course, with forward slashes."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those above it; the disk knows each before the next is made."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        flush_folder(folder.parent)


def _is_plain(path: Path, root: Path) -> bool:
    """Whether ``path`` is a regular file; False where there is nothing.

    Raises:
        StoreError: it is a folder, a symbolic link or a device: none of them may be replaced.
    """
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if stat.S_ISREG(mode):
        return True
    name = shown(path, root)
    if stat.S_ISLNK(mode):
        raise StoreError(f"{name} is a symbolic link to {path.readlink()}: put the file itself there")
    what = "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
    raise StoreError(f"{name} is {what}, expected a file: move it away")


def _write_and_flush(path: Path, content: bytes, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    if mode is not None:
        os.chmod(path, mode)


def flush_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the platform can."""
    if sys.platform == "win32":  # a folder cannot be opened there
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # file systems that cannot
            raise
    finally:
        os.close(handle)


def _reason(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full or its quota is used up, make some room and run this again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder {path.parent} or the file does not allow it, change their permissions"
    return error.strerror or str(error)


def _name(content: bytes) -> str:
    """``<UTC time>-<hash8>``: sorts by time, and is legal in a file name on every platform."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{sha256(content)[:8]}"


@dataclass(frozen=True)
class Store:
    """Backups of learners' files: ``.curriculum/backups/<module path>/<UTC time>-<hash8>.py``.

    Content-addressed: the same bytes are kept once. Nothing here is ever deleted or overwritten.
    """

    root: Path  # of the course

    def folder(self, module: str) -> Path:
        return self.root / STATE / "backups" / module

    def backups(self, module: str) -> list[Path]:
        """The backups of a module's file, oldest first."""
        return sorted(self.folder(module).glob("*-*.py"))

    def put(self, module: str, content: bytes) -> Path:
        """Keep ``content``; it is on the disk when this returns.

        Raises:
            StoreError: it could not be kept.
        """
        for kept in self.folder(module).glob(f"*-{sha256(content)[:8]}.py"):
            with suppress(OSError):  # an unreadable one does not count
                if kept.read_bytes() == content:
                    return kept
        backup = self.folder(module) / f"{_name(content)}.py"
        sweep(self.folder(module))
        write_file(backup, content, self.root)
        return backup

    def get(self, module: str, sha: str) -> bytes:
        """The backup whose content has this hash.

        Raises:
            StoreError: there is none.
        """
        for kept in reversed(self.backups(module)):
            with suppress(OSError):
                content = kept.read_bytes()
                if sha256(content) == sha:
                    return content
        folder = shown(self.folder(module), self.root)
        raise StoreError(f"{folder} holds no backup with hash {sha[:8]}: was it moved or edited?")


def read_modules(path: Path, schema: int) -> dict[str, dict[str, object]]:
    """What a state file ``{"schema": n, "modules": {path: {...}}}`` says of each module; {} without a file.

    Raises:
        ValueError: the file is damaged or of another schema; the message says which.
        StoreError: it cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {_reason(error, path)}") from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != schema:
        found = content.get("schema") if isinstance(content, dict) else None
        raise ValueError(f"its schema is {found}, expected {schema}")
    modules = content.get("modules")
    if not isinstance(modules, dict) or not all(isinstance(entry, dict) for entry in modules.values()):
        raise ValueError("its modules are not a table of tables")
    return modules


def write_modules(path: Path, schema: int, modules: Mapping[str, object], root: Path) -> None:
    """The inverse of `read_modules`. Only while holding the lock.

    Raises:
        StoreError: it cannot be written.
    """
    sweep(path.parent, path.name)
    write_json(path, {"schema": schema, "modules": dict(sorted(modules.items()))}, root)


def write_json(path: Path, content: object, root: Path) -> None:
    """`write_file` of ``content`` as JSON for people.

    Raises:
        StoreError: it cannot be written.
    """
    write_file(path, (json.dumps(content, indent=1) + "\n").encode(), root)


@contextmanager
def lock(root: Path, timeout: float = 20.0) -> Iterator[None]:
    """One command at a time changes files. The system frees the lock when its holder dies, however it dies.

    Args:
        root: of the course.
        timeout: seconds to wait for another command.

    Raises:
        StoreError: another command held it all that time, or the lock file cannot be made.
    """
    path = root / STATE / "lock"
    try:
        make_folder(path.parent)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(f"{shown(path, root)} could not be opened: {_reason(error, path)}") from error
    try:
        deadline = time.monotonic() + timeout
        while not try_lock(handle):
            if time.monotonic() > deadline:
                raise StoreError(
                    f"another command has been changing files for {timeout:g} s: let it end, or stop it"
                )
            time.sleep(0.02)
        try:
            yield
        finally:
            unlock(handle)
    finally:
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(handle: int) -> None:
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise
        return True

    def unlock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)  # explicitly: a forked child may hold a copy of the handle
