"""``make watch``: grade whatever is saved, at once; a key brings the next module, a hint or the list.

Two threads put what happens, saves and keys, into one queue; the main thread takes from it, grades and draws.
A save during a grading ends that grading: only the newest text is worth an answer.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.text import Text

from curriculum import guide, progress, report, runner
from curriculum.check import remember
from curriculum.cli import PASSED, Request
from curriculum.manifest import Course, Module

STEP, DEBOUNCE = 10, 100  # ms: a save is over when nothing follows for a step; editors save in bursts
QUIT = ("q", "\x03", "\x04")  # q, Ctrl-C where it arrives as a key, Ctrl-D
POLL = 0.2  # s between looks whether to stop: also what lets Ctrl-C through on Windows


@dataclass(frozen=True)
class Saved:
    """Some modules' files were saved."""

    modules: tuple[Module, ...]
    at: float  # time of the newest file, seconds since the epoch


@dataclass(frozen=True)
class Pressed:
    key: str


@dataclass(frozen=True)
class Broke:
    """A thread came to an end that it should not have come to."""

    error: Exception


Event = Saved | Pressed | Broke


def watch(course: Course, request: Request) -> int:
    """Until q or Ctrl-C: grade the modules that are saved, or those named whenever they are."""
    chosen = request.chosen(course)
    runner.warm(course, course.modules)
    events: queue.Queue[Event] = queue.Queue()
    over = threading.Event()
    session = Session(course, request, chosen, events)
    before = _times(course)
    saves = threading.Thread(target=_put_saves, args=(course, before, events, over), daemon=True)
    saves.start()
    try:
        with keys(events, over) as interactive:
            session.interactive = interactive
            session.begin()
            while session.handle(_next(events)):
                pass
    except KeyboardInterrupt:
        pass
    finally:
        over.set()
        saves.join(1.0)  # watchfiles aborts the process where Python ends under it
    session.say("stopped watching")
    return PASSED


class Session:
    """What is on the screen while watching.

    Args:
        course: all of it.
        request: whose stack to use.
        chosen: the modules that matter; the others' saves are ignored.
        events: saves and keys to come.
    """

    def __init__(
        self, course: Course, request: Request, chosen: Sequence[Module], events: queue.Queue[Event]
    ):
        self.course, self.request, self.chosen, self.events = course, request, chosen, events
        self.phase = request.phase(course)
        self.screen = report.console()
        self.interactive = False  # keys are read, and the screen may be cleared
        self.current = chosen[0] if request.modules else None  # what a hint is about
        self.ahead: Module | None = None  # what was said to come next
        self.asked: Module | None = None  # h was pressed though nothing is begun: again means it

    def begin(self) -> None:
        """Grade what was named, or say where to begin."""
        if self.request.everything:
            self._clear()
            guide.show_step(self.screen, self.course, progress.load(self.course))
            self._wait()
        else:
            self.grade(self.chosen)

    def handle(self, event: Event) -> bool:
        """React to ``event``; False when it was the last."""
        if isinstance(event, Broke):
            raise event.error
        if isinstance(event, Saved):
            modules = self._affected(event.modules)
            if modules:
                self.grade(modules, event.at)
            return True
        if event.key in QUIT:
            return False
        actions = {"n": self._next, "h": self._hint, "l": self._list}
        if event.key in actions:
            if event.key != "h":
                self.asked = None
            self._clear()
            actions[event.key]()
            self._wait()
        return True

    def _affected(self, saved: Iterable[Module]) -> list[Module]:
        """The modules to grade now that ``saved`` have new contents."""
        paths = {m.path for m in saved}
        if self.request.stack == "mine" and self.request.modules:  # what they build on matters too
            return [m for m in self.chosen if paths & {p.path for p in (m, *self.course.prerequisites(m))}]
        return [m for m in self.chosen if m.path in paths]

    def grade(self, modules: Sequence[Module], saved: float = 0.0) -> None:
        """Grade and show ``modules``; give up when something newer is saved meanwhile."""
        self._clear()
        self.ahead = self.asked = None
        shown = report.Report(self.screen, modules, self.request.stack)
        results = runner.grade(
            self.course, modules, stack=self.request.stack, on_result=shown.add, stop=self._overtaken
        )
        shown.end()
        if len(results) < len(modules):
            return  # the event that interrupted is next in the queue
        took = f"{time.time() - saved:.2f} s from save to verdict" if saved else ""
        learner = remember(self.course, results)
        open_ = [m for m, r in zip(modules, results, strict=True) if r.status != "passed"]
        self.current = (open_ or list(modules))[0]
        if all(r.status == "untouched" for r in results):
            guide.show_step(self.screen, self.course, learner, self.phase)
        elif all(r.status in ("passed", "untouched") for r in results):
            self.say()
            guide.show_way(self.screen, self.course, learner, results)
            self.ahead = guide.module_after(self.course, learner, results)
        self._wait(took)

    def _overtaken(self) -> bool:
        with self.events.mutex:
            return any(not isinstance(e, Pressed) or e.key in QUIT for e in self.events.queue)

    def _next(self) -> None:
        """Show the next module; where one had been named, watch this one from now on."""
        learner = progress.load(self.course)
        if self.ahead:
            guide.show_module(self.screen, self.course, learner, self.ahead)
        else:
            guide.show_step(self.screen, self.course, learner, self.phase)
        self.current = self.ahead or guide.next_module(self.course, learner, self.phase) or self.current
        if self.current and self.request.modules:
            self.chosen = [self.current]

    def _hint(self) -> None:
        """The next hint, unless it would be wasted: on a module that passes, or on one not begun."""
        learner = progress.load(self.course)
        module = self.current or guide.next_module(self.course, learner, self.phase)
        if module is None:
            return
        state, asked = learner.state(module), self.asked
        self.asked = module if state == "untouched" else None
        if state == "passed":
            self.say(f"{module.path} passes: it needs no hint")
        elif state == "untouched" and asked != module:
            self.say(f"{module.path} is not begun yet: h again takes a hint all the same")
        else:
            guide.take_hint(self.screen, self.course, module, learner)

    def _list(self) -> None:
        guide.draw_list(self.screen, self.course, progress.load(self.course), self.phase)

    def _clear(self) -> None:
        if self.interactive:
            self.screen.clear()

    def _wait(self, took: str = "") -> None:
        """The last rows: how long it took, what is watched, which keys there are."""
        what = f"watching {self.chosen[0].path}.py" if len(self.chosen) == 1 else "watching the workspace"
        self.say()
        self.say("   ".join(part for part in (took, what) if part))
        self.say("n next   h hint   l list   q quit" if self.interactive else "Ctrl-C to stop")

    def say(self, sentence: str = "") -> None:
        report.show(self.screen, Text(sentence, report.QUIET))


def _next(events: queue.Queue[Event]) -> Event:
    while True:
        try:
            return events.get(timeout=POLL)
        except queue.Empty:
            continue


# --- saves ------------------------------------------------------------------------------------------------


def _times(course: Course) -> dict[Module, int]:
    """When each module's file was saved, in ns since the epoch; 0 where there is none."""
    times = {}
    for module in course.modules:
        try:
            times[module] = course.workspace_file(module).stat().st_mtime_ns
        except OSError:
            times[module] = 0
    return times


def _put_saves(
    course: Course, before: dict[Module, int], events: queue.Queue[Event], over: threading.Event
) -> None:
    """Until ``over``: put each save of a module's file into ``events``.

    The system's word that something happened is only what wakes us, and so is every half second: a save while
    the watch was being set up counts, and so does one on a drive that sends no events.
    """
    import watchfiles

    folders = [course.root / package for package in course.packages]
    try:
        for _ in watchfiles.watch(
            *(folder for folder in folders if folder.is_dir()),
            watch_filter=lambda _, path: path.endswith(".py"),
            stop_event=over,
            step=STEP,
            debounce=DEBOUNCE,
            rust_timeout=500,
            yield_on_timeout=True,
            raise_interrupt=False,
        ):
            now = _times(course)
            saved = tuple(m for m, at in now.items() if at != before[m])
            if saved:
                newest = max(now[m] for m in saved) / 1e9
                events.put(Saved(saved, newest or time.time()))
            before = now
    except Exception as error:
        events.put(Broke(error))


# --- keys -------------------------------------------------------------------------------------------------


@contextmanager
def keys(events: queue.Queue[Event], over: threading.Event) -> Iterator[bool]:
    """While inside: each key pressed comes as an event, without Return. False where there is no keyboard."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        yield False
        return
    with _raw():
        threading.Thread(target=_put_keys, args=(events, over), daemon=True).start()
        yield True


if sys.platform == "win32":
    import msvcrt

    @contextmanager
    def _raw() -> Iterator[None]:
        yield

    def _put_keys(events: queue.Queue[Event], over: threading.Event) -> None:
        while not over.is_set():
            if msvcrt.kbhit():
                events.put(Pressed(msvcrt.getwch().lower()))
            else:
                time.sleep(0.05)

else:
    import os
    import select
    import termios
    import tty

    @contextmanager
    def _raw() -> Iterator[None]:
        """The terminal hands over each key at once and does not echo it; Ctrl-C still interrupts."""
        before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def _put_keys(events: queue.Queue[Event], over: threading.Event) -> None:
        descriptor = sys.stdin.fileno()
        while not over.is_set():
            if select.select([descriptor], [], [], POLL)[0]:
                text = os.read(descriptor, 64).decode("utf-8", "replace")
                for key in text.lower() or "q":  # nothing to read: the terminal is gone
                    events.put(Pressed(key))
