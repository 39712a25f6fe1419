"""Watching, as somebody at a keyboard has it: saves and keys go in, the screen comes out."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from curriculum import watch
from curriculum.cli import parse
from curriculum.watch import Broke, Pressed, Saved, Session
from tests.engine.minicourse import SCALE, SCALE_SUITE, MiniCourse

ROOT = Path(__file__).parents[2]
WRONG = "def double(x):\n    return 3.0 * x\n\n\ndef halve(x):\n    return x / 2\n"
RIGHT = WRONG.replace("3.0", "2.0")

pty = pytest.importorskip("pty", reason="no pseudo-terminals on this platform")


class Person:
    """Somebody who types ``python -m curriculum watch ...`` in a terminal of 90 columns, and looks."""

    def __init__(self, root: Path, *words: str, interactive: bool = True):
        environment = os.environ | {
            "CURRICULUM_ROOT": str(root),
            "TERM": "xterm",
            "COLUMNS": "90",
            "MAKELEVEL": "1",
        }
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.terminal, theirs = pty.openpty()
        stdin = theirs if interactive else subprocess.DEVNULL
        self.process = subprocess.Popen(
            [sys.executable, "-m", "curriculum", "watch", *words],
            cwd=ROOT, env=environment, stdin=stdin, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            try:
                self.seen += os.read(self.terminal, 65536).decode("utf-8", "replace")
            except OSError:
                return

    def sees(self, text: str, seconds: float = 20.0) -> bool:
        """Wait until ``text`` appears below what was seen when `forget` was called last."""
        end = time.monotonic() + seconds
        while text not in self.screen and time.monotonic() < end:
            time.sleep(0.01)
        return text in self.screen

    @property
    def screen(self) -> str:
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self.seen)

    def presses(self, key: str) -> None:
        self.seen = ""
        os.write(self.terminal, key.encode())

    def saves(self, file: Path, text: str) -> None:
        self.seen = ""
        file.write_text(text, "utf-8")


@contextmanager
def watching(root: Path, *words: str, interactive: bool = True) -> Iterator[Person]:
    person = Person(root, *words, interactive=interactive)
    try:
        yield person
    finally:
        if person.process.poll() is None:
            os.killpg(person.process.pid, signal.SIGKILL)
        person.process.wait()


def test_a_save_is_graded_and_keys_lead_on(mini: MiniCourse):
    assert mini.course.modules
    file = mini.root / "utils/scale.py"
    with watching(mini.root, "scale") as person:
        assert person.sees("Begin with utils/scale"), person.screen
        assert person.sees("q quit"), person.screen
        person.saves(file, WRONG)
        assert person.sees("double of [1, 2, 4] is wrong"), person.screen
        assert person.sees("s from save to verdict"), person.screen
        person.presses("h")
        assert person.sees("hint 1 of 4"), person.screen
        person.presses("h")
        assert person.sees("hint 2 of 4"), person.screen
        person.presses("l")
        assert person.sees("not started"), person.screen
        person.saves(file, RIGHT)
        assert person.sees("Well done, utils/scale"), person.screen
        person.presses("n")
        assert person.sees("watching utils/area.py"), person.screen
        person.saves(mini.root / "utils/area.py", "def triangle(base, height):\n    return base\n")
        assert person.sees("area of two triangles is wrong"), person.screen
        person.presses("q")
        assert person.process.wait(10) == 0
        assert "stopped watching" in person.screen


def test_ctrl_c_leaves_the_terminal_as_it_was(mini: MiniCourse):
    import termios

    assert mini.course.modules
    with watching(mini.root) as person:
        before = termios.tcgetattr(person.terminal)
        assert person.sees("watching the workspace"), person.screen
        assert termios.tcgetattr(person.terminal) != before, "keys arrive without Return"
        person.process.send_signal(signal.SIGINT)
        assert person.process.wait(10) == 0
        assert person.sees("stopped watching")
        assert termios.tcgetattr(person.terminal) == before


def test_a_save_ends_the_grading_of_the_text_before(mini: MiniCourse):
    assert mini.course.modules
    file = mini.root / "utils/scale.py"
    with watching(mini.root) as person:
        assert person.sees("watching the workspace"), person.screen
        person.saves(file, "while True:\n    pass\n")
        assert person.sees("grading utils/scale"), person.screen
        person.saves(file, RIGHT)
        assert person.sees("Well done", 5), "the endless loop alone takes 10 s: " + person.screen


def test_without_a_keyboard_there_are_no_keys(mini: MiniCourse):
    assert mini.course.modules
    with watching(mini.root, interactive=False) as person:
        assert person.sees("Ctrl-C to stop"), person.screen
        person.saves(mini.root / "utils/scale.py", RIGHT)
        assert person.sees("Well done"), person.screen
        person.process.send_signal(signal.SIGINT)
        assert person.process.wait(10) == 0


def session_of(mini: MiniCourse, *words: str) -> Session:
    course, request = mini.course, parse(["watch", *words])
    return Session(course, request, request.chosen(course), queue.Queue())


@pytest.fixture
def session(mini: MiniCourse) -> Session:
    return session_of(mini, "area", "STACK=mine")


def test_on_your_own_stack_a_prerequisite_is_watched_too(session: Session, monkeypatch: pytest.MonkeyPatch):
    graded = []
    monkeypatch.setattr(session, "grade", lambda modules, at: graded.append([m.path for m in modules]))
    scale, area = session.course.modules
    assert session.handle(Saved((scale,), 0.0))
    assert graded == [["utils/area"]]
    session.request = parse(["watch", "area"])
    assert session.handle(Saved((scale,), 0.0))
    assert session.handle(Saved((scale, area), 0.0))
    assert graded == [["utils/area"], ["utils/area"]]


def test_a_hint_on_a_module_not_begun_takes_two_presses(mini: MiniCourse, capsys: pytest.CaptureFixture[str]):
    session = session_of(mini, "area")
    area = session.course.module("area")
    session.handle(Pressed("h"))
    assert "utils/area is not begun yet: h again takes a hint all the same" in capsys.readouterr().out
    session.handle(Pressed("l"))
    session.handle(Pressed("h"))
    assert watch.progress.load(session.course).hints_taken(area) == 0, "the list came between"
    session.handle(Pressed("h"))
    assert "hint 1 of 4" in capsys.readouterr().out
    assert watch.progress.load(session.course).hints_taken(area) == 1


def test_a_module_that_passes_gets_no_hint_and_n_leads_to_what_was_named(
    mini: MiniCourse, capsys: pytest.CaptureFixture[str]
):
    mini.add("utils/first", SCALE, SCALE_SUITE.replace("utils.scale", "utils.first"), ("double",))
    mini.entries.insert(0, mini.entries.pop())
    session = session_of(mini, "scale")
    course = session.course
    mini.solve("utils/scale")
    session.begin()
    assert "next: utils/area" in capsys.readouterr().out, "it builds on utils/scale, utils/first does not"
    session.handle(Pressed("h"))
    assert "utils/scale passes: it needs no hint" in capsys.readouterr().out
    assert watch.progress.load(course).hints_taken(course.module("scale")) == 0
    session.handle(Pressed("n"))
    assert "Begin with utils/area" in capsys.readouterr().out
    assert [m.path for m in session.chosen] == ["utils/area"]


def test_a_thread_that_breaks_ends_the_watch(session: Session):
    with pytest.raises(OSError, match="inotify limit"):
        session.handle(Broke(OSError("inotify limit reached")))


def test_other_keys_do_nothing_and_q_ends_it(session: Session, capsys: pytest.CaptureFixture[str]):
    assert session.handle(Pressed("x"))
    assert capsys.readouterr().out == ""
    assert not any(session.handle(Pressed(key)) for key in watch.QUIT)
