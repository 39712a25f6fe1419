"""kill -9 at every system call and at random moments: no byte is lost, and a second run completes.

The commands run in children that a warm, single-threaded server forks (this file, run as a script). Killing a
process leaves what it wrote in the page cache, so the children leave out fsync: it guards against power cuts,
and test_store checks its place.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from curriculum import manifest, progress, stubs, swap
from curriculum.manifest import Course
from curriculum.results import Provenance, Result
from curriculum.store import Store, sha256
from tests.engine import tiny

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

MINE = {"a/one": b"# \xe9\r\nmine = 1", "a/two": b"", "b/c/three": b"mine = 3\n" * 3000}
EDIT = b"an edit of a swapped solution\n"
CALLS = ("open", "write", "close", "replace", "unlink", "mkdir", "chmod", "fsync")
RANDOM_TRIALS = 75  # for each of the four commands


def act(course: Course, command: str) -> None:
    module = course.module("a/one")
    if command == "swap":
        swap.swap(course, course.modules)
    elif command == "unswap":
        swap.unswap(course)
    elif command == "reset":
        swap.reset(course, module)
    elif command == "stubs":
        swap.write_stubs(course, course.modules, force=True)
    elif command == "progress":
        about = Provenance("a/one.py", "learner", sha256(MINE["a/one"]), "reference")
        done = progress.load(course)
        done.record([Result("a/one", "passed", about)])
        done.take_hint(module)


def serve() -> None:
    """Fork a child for each request on standard input, kill it when that says so, and answer."""
    for line in sys.stdin:
        request = json.loads(line)
        manifest.load.cache_clear()
        course = manifest.load(Path(request["root"]))
        ready, begun = os.pipe()
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            os.write(begun, b"!")
            kill_at_call(request["call"])
            act(course, request["command"])
            os._exit(0)
        os.read(ready, 1)
        if request["delay"] is not None:
            time.sleep(request["delay"])
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(ready)
        os.close(begun)
        answer = {"killed": os.WIFSIGNALED(status), "seconds": time.perf_counter() - start}
        if not answer["killed"] and os.WEXITSTATUS(status):
            answer["failed"] = os.WEXITSTATUS(status)
        print(json.dumps(answer), flush=True)


def kill_at_call(number: int | None) -> None:
    """Die instead of making the ``number``-th system call that changes files; of a write, half is done."""
    count = 0

    def wrapped(name, original):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == number:
                if name == "write":
                    original(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return None if name == "fsync" else original(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, wrapped(name, getattr(os, name)))


@pytest.fixture(scope="module")
def server():
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    environment.pop("CURRICULUM_ROOT", None)
    process = subprocess.Popen(
        [sys.executable, __file__], cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def memory():
    """A folder in memory where the platform has one: a thousand small courses come and go here."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def prepared(memory, server):
    """For each command the course as it is before it; made once, copied for each trial."""
    folders = {}
    for command in ("swap", "unswap", "reset", "stubs", "progress"):
        course = tiny.make(memory / command)
        shutil.rmtree(course.root / "tests")
        for path, content in MINE.items():
            (course.root / f"{path}.py").write_bytes(content)
        (course.root / "a" / "one.py").chmod(0o640)
        if command == "unswap":
            run(server, course, "swap")
            (course.root / "a" / "two.py").write_bytes(EDIT)
        if command == "progress":
            progress.load(course).take_hint(course.module("a/one"))
            progress.load(course).give_up(course.module("a/two"))
        folders[command] = course.root
    return folders


def run(server, course, command, call=None, delay=None):
    request = {"root": str(course.root), "command": command, "call": call, "delay": delay}
    server.stdin.write(json.dumps(request).encode() + b"\n")
    server.stdin.flush()
    answer = json.loads(server.stdout.readline())
    assert "failed" not in answer, f"{command} failed instead of finishing"
    return answer


@contextmanager
def trial(prepared, command):
    """A copy of the course, for one kill."""
    root = prepared[command].with_name("trial")
    shutil.copytree(prepared[command], root)
    try:
        yield manifest.load.__wrapped__(root)
    finally:
        shutil.rmtree(root)


def workspace(course):
    return {m.path: (course.root / f"{m.path}.py").read_bytes() for m in course.modules}


def solution(course, path):
    return (course.root / "solutions" / f"{path}.py").read_bytes()


@cache
def stub(course, path):
    return stubs.stub_of(course, course.module(path)).encode()


def nothing_is_lost(course, command):
    """Each byte is in the workspace or in the store; no file is torn, no backup is false."""
    store = Store(course.root)
    for path, present in workspace(course).items():
        kept = [backup.read_bytes() for backup in store.backups(path)]
        assert MINE[path] in [present, *kept], f"{path} is lost"
        if command == "unswap" and path == "a/two":
            assert EDIT in [present, *kept], "the edit of the swapped solution is lost"
        assert present in (MINE[path], EDIT, solution(course, path), stub(course, path)), f"{path} is torn"
        for backup in store.backups(path):
            assert backup.stem.endswith(sha256(backup.read_bytes())[:8]), f"{backup.name} is torn"


def a_second_run_completes(server, course, command):
    run(server, course, command)
    nothing_is_lost(course, command)
    expected = {
        "swap": {path: solution(course, path) for path in MINE},
        "unswap": MINE,
        "reset": MINE | {"a/one": stub(course, "a/one")},
        "stubs": {path: stub(course, path) for path in MINE},
        "progress": MINE,
    }[command]
    assert workspace(course) == expected
    assert swap.status(course) == ({path: "swapped" for path in MINE} if command == "swap" else {})
    assert [path.name for path in course.root.rglob("*.tmp")] == []


def everything_comes_back(server, course):
    run(server, course, "unswap")
    assert workspace(course) == MINE
    assert (course.root / "a" / "one.py").stat().st_mode & 0o777 == 0o640
    assert swap.status(course) == {}
    assert [path for path in tiny.files(course.root) if path.endswith(".tmp") and path[0] != "."] == []


def progress_is_whole(course, hints):
    done = progress.load(course)
    assert done.notes == []
    assert done.hints_taken(course.module("a/one")) in hints
    assert done.gave_up(course.module("a/two"))


def check(server, course, command, restore):
    nothing_is_lost(course, command)
    if command == "progress":
        progress_is_whole(course, (1, 2))
    if command == "swap" and restore:  # the learner does not try again, and wants the files back
        everything_comes_back(server, course)
        return
    a_second_run_completes(server, course, command)
    if command == "progress":
        progress_is_whole(course, (2, 3))
        assert progress.load(course).state(course.module("a/one")) == "passed"
    if command == "swap":
        everything_comes_back(server, course)


@pytest.mark.parametrize("command", ["swap", "unswap", "reset", "stubs", "progress"])
def test_killed_at_any_system_call_a_command_loses_nothing_and_can_be_finished(server, prepared, command):
    for call in range(1, 1000):
        with trial(prepared, command) as course:
            killed = run(server, course, command, call=call)["killed"]
            check(server, course, command, restore=call % 2)
        if not killed:
            break
    assert 20 < call < 1000, f"{command} makes {call} system calls"


@pytest.mark.parametrize("command", ["swap", "unswap", "reset", "progress"])
def test_killed_at_random_a_command_loses_nothing_and_can_be_finished(server, prepared, command):
    rng = random.Random(command)
    with trial(prepared, command) as course:
        duration = run(server, course, command)["seconds"]
    for number in range(RANDOM_TRIALS):
        with trial(prepared, command) as course:
            run(server, course, command, delay=duration * rng.random())
            check(server, course, command, restore=number % 2)


def test_work_saved_after_an_interrupted_unswap_stays(server, prepared):
    """Whatever the moment of the kill, the next run leaves alone what the journal lists no more."""
    for call in range(1, 1000):
        with trial(prepared, "unswap") as course:
            killed = run(server, course, "unswap", call=call)["killed"]
            own = [path for path in MINE if path not in swap.status(course)]
            for path in own:
                (course.root / f"{path}.py").write_bytes(b"later work")
            run(server, course, "unswap")
            assert all(workspace(course)[path] == b"later work" for path in own)
        if not killed:
            break


if __name__ == "__main__":
    serve()
