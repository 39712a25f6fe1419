"""Progress is a cache: true for the present content, merged between terminals, rebuilt when damaged."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from curriculum import progress
from curriculum.manifest import Course, Module
from curriculum.results import Provenance, Result
from curriculum.store import StoreError, sha256
from tests.engine import tiny


@pytest.fixture
def course(tmp_path) -> Course:
    return tiny.make(tmp_path)


@pytest.fixture
def one(course) -> Module:
    return course.module("a/one")


def write(course, module, content):
    course.workspace_file(module).write_bytes(content)


def result(course, module, status, kind="learner", stack="reference", **more):
    content = course.workspace_file(module).read_bytes()
    return Result(module.path, status, Provenance(f"{module.path}.py", kind, sha256(content), stack), **more)


def file(course):
    return course.root / ".curriculum" / "progress.json"


def test_without_records_a_stub_is_untouched_and_an_edit_is_started(course, one):
    assert progress.load(course).state(one) == "untouched"
    write(course, one, b"x = 1")
    assert progress.load(course).state(one) == "started"
    assert not file(course).exists()


def test_a_stub_with_other_line_endings_is_untouched(course, one):
    write(course, one, course.workspace_file(one).read_bytes().replace(b"\n", b"\r\n"))
    assert progress.load(course).state(one) == "untouched"


def test_a_missing_file_has_failed(course, one):
    course.workspace_file(one).unlink()
    assert progress.load(course).state(one) == "failed"


@pytest.mark.parametrize(
    ("status", "state"),
    [("passed", "passed"), ("failed", "failed"), ("started", "started"), ("broken", "failed")],
)
def test_a_verdict_holds_for_the_content_it_was_given_for(course, one, status, state):
    write(course, one, b"x = 1")
    progress.load(course).record([result(course, one, status)])
    assert progress.load(course).state(one) == state
    write(course, one, b"x = 2")
    assert progress.load(course).state(one) == "started"
    write(course, one, b"x = 1")
    assert progress.load(course).state(one) == state


def test_a_verdict_falls_silent_when_the_suite_changes(course, one):
    write(course, one, b"x = 1")
    done = progress.load(course)
    done.record([result(course, one, "passed")])
    suite = course.suite_file(one)
    before = suite.read_bytes()
    suite.write_bytes(before + b"def test_more(): ...\n")
    assert done.state(one) == "started"
    suite.write_bytes(before)
    assert done.state(one) == "passed"


def test_verdicts_that_are_not_about_the_learners_file_are_not_recorded(course, one):
    write(course, one, b"x = 1")
    done = progress.load(course)
    done.record([result(course, one, "passed", kind="reference")])
    done.record([result(course, one, "passed", kind="variant")])
    done.record([result(course, one, "passed", stack="solutions")])
    assert done.state(one) == "started"
    assert not file(course).exists()
    done.record([result(course, one, "passed")])
    done.record([result(course, one, "failed", stack="mine", blame="a/two")])
    assert done.state(one) == "passed"


def test_old_verdicts_are_forgotten_first(course, one):
    done = progress.load(course)
    for number in range(progress.REMEMBERED + 1):
        write(course, one, b"x = %d" % number)
        done.record([result(course, one, "passed")])
    done = progress.load(course)
    assert done.state(one) == "passed"
    write(course, one, b"x = 1")
    assert done.state(one) == "passed"
    write(course, one, b"x = 0")
    assert done.state(one) == "started"


def test_hints_are_counted_up_to_the_last(course, one):
    done = progress.load(course)
    assert done.hints_taken(one) == 0
    assert [done.take_hint(one) for _ in range(6)] == [1, 2, 3, 4, 4, 4]
    assert progress.load(course).hints_taken(one) == 4
    assert progress.load(course).hints_taken(course.module("a/two")) == 0


def test_giving_up_is_remembered(course, one):
    done = progress.load(course)
    assert not done.gave_up(one)
    done.give_up(one)
    done.record([result(course, one, "passed", kind="stub")])
    assert progress.load(course).gave_up(one)


def test_two_terminals_do_not_lose_each_others_records(course, one):
    first, second = progress.load(course), progress.load(course)
    two = course.module("a/two")
    first.take_hint(one)
    second.take_hint(one)
    second.record([result(course, two, "passed")])
    first.give_up(two)
    for seen in (first, progress.load(course)):
        assert (seen.hints_taken(one), seen.state(two), seen.gave_up(two)) == (2, "passed", True)


def test_processes_that_write_at_once_lose_nothing(course, one):
    script = (
        "import sys; from pathlib import Path\n"
        "from curriculum import progress; from curriculum.manifest import Course, Module, Phase\n"
        "module = Module('a/one', '', '', 1, 1, 'easy', 1, hints=('hint',) * 1000)\n"
        "course = Course(Path(sys.argv[1]), (Phase(1, '', '', '', '', False, (), (), (module,)),))\n"
        "for _ in range(25): progress.load(course).take_hint(module)\n"
    )
    command, root = [sys.executable, "-c", script, str(course.root)], Path(__file__).parents[2]
    processes = [subprocess.Popen(command, cwd=root) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert progress.load(course).hints_taken(one) == 75


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"schema": 1, "mod',
        b"\x00" * 100,
        b'{"schema": 99, "modules": {}}',
        b'{"schema": 1, "modules": {"a/one": {"verdicts": {"k": "great"}, "hints": 0, "gave_up": false}}}',
        b'{"schema": 1, "modules": {"a/one": {"hints": 0}}}',
    ],
)
def test_a_damaged_file_is_kept_aside_with_one_sentence(course, one, damage):
    file(course).parent.mkdir()
    file(course).write_bytes(damage)
    done = progress.load(course)
    [note] = done.notes
    [aside] = file(course).parent.glob("progress.damaged-*.json")
    assert note.startswith(".curriculum/progress.json was damaged (")
    assert note.endswith(f") and is kept as {aside.name}; `make check` fills a new one")
    assert aside.read_bytes() == damage
    assert done.state(one) == "untouched"
    assert done.take_hint(one) == 1
    assert progress.load(course).notes == []
    assert progress.load(course).hints_taken(one) == 1


def test_a_file_damaged_between_reading_and_writing_is_kept_aside_too(course, one):
    done = progress.load(course)
    file(course).parent.mkdir()
    file(course).write_bytes(b"damaged")
    done.give_up(one)
    assert len(done.notes) == 1
    [aside] = file(course).parent.glob("progress.damaged-*.json")
    assert aside.read_bytes() == b"damaged"
    assert progress.load(course).gave_up(one)


def test_a_full_disk_is_a_sentence_and_the_old_progress_stays(course, one, monkeypatch):
    done = progress.load(course)
    done.take_hint(one)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match=r"progress\.json could not be written: the disk is full"):
        done.take_hint(one)
    monkeypatch.undo()
    assert progress.load(course).hints_taken(one) == 1


def test_progress_that_cannot_be_read_does_not_stop_anybody(course, one):
    file(course).mkdir(parents=True)
    done = progress.load(course)
    assert done.state(one) == "untouched"
    assert len(done.notes) == 1
    assert "progress.json cannot be read" in done.notes[0]
    with pytest.raises(StoreError, match="cannot be read"):
        done.take_hint(one)


def test_the_file_is_readable_by_people(course, one):
    progress.load(course).take_hint(one)
    expected = {"schema": 1, "modules": {"a/one": {"verdicts": {}, "hints": 1, "gave_up": False}}}
    assert json.loads(file(course).read_bytes()) == expected
