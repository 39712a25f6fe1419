"""Writes are whole or not at all, backups are kept once, one command at a time."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curriculum.store import (
    Store,
    StoreError,
    lock,
    read_file,
    read_modules,
    set_aside,
    sha256,
    sweep,
    write_file,
    write_modules,
)

posix_only = pytest.mark.skipif(os.name != "posix", reason="permission bits and tiny disks are POSIX's")


def fails_with(number):
    def call(*_, **__):
        raise OSError(number, os.strerror(number))

    return call


def test_a_written_file_holds_exactly_the_bytes(tmp_path):
    file = tmp_path / "a" / "b" / "file.py"
    content = b"\xff\x00\r\n no newline at the end"
    write_file(file, content, tmp_path)
    assert file.read_bytes() == content
    assert os.listdir(file.parent) == ["file.py"]


@posix_only
def test_a_replaced_file_keeps_its_permissions(tmp_path):
    file = tmp_path / "file.py"
    file.write_bytes(b"old")
    file.chmod(0o640)
    write_file(file, b"new", tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    write_file(file, b"newer", tmp_path, mode=0o755)
    assert stat.S_IMODE(file.stat().st_mode) == 0o755


@posix_only
def test_a_new_file_gets_the_permissions_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "file.py", b"new", tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.py").stat().st_mode) == 0o640


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "open"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_failing_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, call, number):
    file = tmp_path / "file.py"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, call, fails_with(number))
    with pytest.raises(
        StoreError, match=r"file\.py could not be written: .*; it is as it was before"
    ) as caught:
        write_file(file, b"new", tmp_path)
    monkeypatch.undo()
    assert ("disk is full" in str(caught.value)) == (number in (errno.ENOSPC, errno.EDQUOT))
    assert ("permissions" in str(caught.value)) == (number in (errno.EACCES, errno.EROFS))
    assert os.listdir(tmp_path) == ["file.py"]
    assert file.read_bytes() == b"old"


def test_a_write_that_the_disk_takes_in_pieces_is_completed(tmp_path, monkeypatch):
    whole = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: whole(handle, content[:3]))
    write_file(tmp_path / "file.py", b"0123456789", tmp_path)
    assert (tmp_path / "file.py").read_bytes() == b"0123456789"


@posix_only
def test_the_disk_has_the_content_before_the_name_and_then_the_name(tmp_path, monkeypatch):
    """A power cut after the rename must not show an empty file: flush, rename, flush the folder."""
    log = []

    def note(call, original):
        def noted(*args):
            log.append(call)
            return original(*args)

        return noted

    for call in ("write", "fsync", "replace"):
        monkeypatch.setattr(os, call, note(call, getattr(os, call)))
    write_file(tmp_path / "file.py", b"new", tmp_path)
    assert log == ["write", "fsync", "replace", "fsync"]


@posix_only
def test_a_full_disk_is_one_clear_sentence(tmp_path):
    """A limit on the size of files, in a process of its own: the kernel itself refuses to write."""
    (tmp_path / "file.py").write_bytes(b"old")
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from curriculum.store import StoreError, write_file\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "root = Path(sys.argv[1])\n"
        "try: write_file(root / 'file.py', b'x' * 5000, root)\n"
        "except StoreError as error: print(error)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=root, capture_output=True, text=True)
    assert done.stdout == (
        "file.py could not be written: the disk is full or its quota is used up, make some room and run this "
        "again; it is as it was before\n"
    )
    assert done.stderr == ""
    assert (tmp_path / "file.py").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.py"]


@posix_only
@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() == 0, reason="root may write in read-only folders")
def test_a_read_only_folder_is_one_clear_sentence(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file.py").write_bytes(b"old")
    folder.chmod(0o555)
    try:
        with pytest.raises(StoreError, match=r"folder/file\.py could not be written: .*permissions"):
            write_file(folder / "file.py", b"new", tmp_path)
    finally:
        folder.chmod(0o755)
    assert (folder / "file.py").read_bytes() == b"old"


def test_a_file_that_was_saved_meanwhile_is_not_replaced(tmp_path):
    file = tmp_path / "file.py"
    file.write_bytes(b"saved a moment ago")
    with pytest.raises(StoreError, match=r"file\.py was saved while it was being replaced: run this again"):
        write_file(file, b"new", tmp_path, replacing=b"old")
    assert file.read_bytes() == b"saved a moment ago"
    assert os.listdir(tmp_path) == ["file.py"]


def test_what_is_no_plain_file_is_refused_with_a_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"^file\.py is missing$"):
        read_file(tmp_path / "file.py", tmp_path)
    (tmp_path / "file.py").mkdir()
    with pytest.raises(StoreError, match=r"^file\.py is a folder, expected a file"):
        read_file(tmp_path / "file.py", tmp_path)
    (tmp_path / "plain").write_bytes(b"")
    with pytest.raises(StoreError, match=r"inside is missing"):
        read_file(tmp_path / "plain" / "inside", tmp_path)


@posix_only
def test_a_link_and_a_pipe_are_refused_with_a_sentence(tmp_path):
    (tmp_path / "link.py").symlink_to("elsewhere.py")
    with pytest.raises(StoreError, match=r"link\.py is a symbolic link to elsewhere\.py"):
        read_file(tmp_path / "link.py", tmp_path)
    os.mkfifo(tmp_path / "pipe.py")
    with pytest.raises(StoreError, match=r"pipe\.py is a device or pipe"):
        read_file(tmp_path / "pipe.py", tmp_path)
    for name in ("link.py", "pipe.py"):
        with pytest.raises(StoreError, match=rf"^{name} is a (symbolic link|device)"):
            write_file(tmp_path / name, b"new", tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["link.py", "pipe.py"]


def test_sweeping_removes_only_temporary_files_of_that_name(tmp_path):
    for name in ("file.py", ".file.py.0a1b.tmp", ".other.py.0a1b.tmp", "file.py.tmp"):
        (tmp_path / name).write_bytes(b"")
    sweep(tmp_path, "file.py")
    assert sorted(os.listdir(tmp_path)) == [".other.py.0a1b.tmp", "file.py", "file.py.tmp"]


def test_the_store_keeps_the_same_bytes_once(tmp_path):
    store = Store(tmp_path)
    first = store.put("a/b", b"mine")
    assert store.put("a/b", b"mine") == first
    second = store.put("a/b", b"mine, later")
    assert store.backups("a/b") == [first, second]
    assert first.relative_to(tmp_path).match(".curriculum/backups/a/b/*T*Z-????????.py")
    assert first.name.endswith(f"-{sha256(b'mine')[:8]}.py")
    assert store.get("a/b", sha256(b"mine")) == b"mine"


def test_a_damaged_backup_is_neither_trusted_nor_overwritten(tmp_path):
    store = Store(tmp_path)
    damaged = store.put("a/b", b"mine")
    damaged.write_bytes(b"mi")
    with pytest.raises(StoreError, match=r"\.curriculum/backups/a/b holds no backup with hash"):
        store.get("a/b", sha256(b"mine"))
    again = store.put("a/b", b"mine")
    assert again != damaged
    assert damaged.read_bytes() == b"mi"
    assert store.get("a/b", sha256(b"mine")) == b"mine"


def test_backups_of_one_module_are_not_those_of_another(tmp_path):
    store = Store(tmp_path)
    store.put("a", b"mine")
    store.put("a/b", b"other")
    assert [len(store.backups(m)) for m in ("a", "a/b", "a/b/c")] == [1, 1, 0]


def test_a_state_file_comes_back_as_it_was_written(tmp_path):
    modules = {"b": {"z": 1, "a": 2}, "a": {}}
    write_modules(tmp_path / "state.json", 3, modules, tmp_path)
    assert read_modules(tmp_path / "state.json", 3) == modules
    assert list(read_modules(tmp_path / "state.json", 3)["b"]) == ["z", "a"]
    assert read_modules(tmp_path / "none.json", 3) == {}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b'{"schema": 3, "modu', "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "schema is None, expected 3"),
        (b'{"schema": 4, "modules": {}}', "schema is 4, expected 3"),
        (b'{"schema": 3}', "not a table of tables"),
        (b'{"schema": 3, "modules": {"a": 1}}', "not a table of tables"),
    ],
)
def test_a_damaged_state_file_says_what_is_wrong(tmp_path, content, why):
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_modules(tmp_path / "state.json", 3)


def test_a_file_set_aside_keeps_its_bytes(tmp_path):
    (tmp_path / "state.json").write_bytes(b"damaged")
    aside = set_aside(tmp_path / "state.json", tmp_path)
    assert [aside.name] == os.listdir(tmp_path)
    assert aside.match("state.damaged-*.json")
    assert aside.read_bytes() == b"damaged"


def test_a_second_command_waits_for_the_first(tmp_path):
    """A process holds the lock for 0.3 s and writes a file just before it lets go."""
    script = (
        "import sys, time; from pathlib import Path; from curriculum.store import lock\n"
        "root = Path(sys.argv[1])\n"
        "with lock(root):\n"
        "    print('held', flush=True); time.sleep(0.3); (root / 'done').touch()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline().split() == [b"held"]
        with lock(tmp_path):
            assert (tmp_path / "done").exists()


def test_a_lock_that_never_frees_is_one_sentence(tmp_path):
    start = time.monotonic()
    with (
        lock(tmp_path),
        pytest.raises(StoreError, match=r"another command has been changing files for 0\.1 s"),
    ):
        with lock(tmp_path, timeout=0.1):
            pass
    assert time.monotonic() - start < 5


def test_the_lock_frees_when_its_block_raises(tmp_path):
    with pytest.raises(KeyError), lock(tmp_path):
        raise KeyError
    with lock(tmp_path, timeout=0.1):
        pass


def test_a_lock_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / ".curriculum").write_bytes(b"a file where the folder should be")
    with pytest.raises(StoreError, match=r"\.curriculum/lock could not be opened"), lock(tmp_path):
        pass
