"""What is done: a cache of verdicts, keyed by the content they were given for.

``.curriculum/progress.json`` holds, for each module, the verdicts by ``<sha256 of the file>:<sha256 of the
suite>``, the hints taken and whether the solution was looked at. An edit of either file silences a verdict,
undoing the edit brings it back. Nothing else depends on the file: damaged or deleted, `make check` fills it
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from curriculum import stubs
from curriculum.manifest import Course, CourseError, Module
from curriculum.results import Result
from curriculum.store import (
    STATE,
    StoreError,
    lock,
    read_modules,
    set_aside,
    sha256,
    shown,
    write_modules,
)

SCHEMA = 1
REMEMBERED = 40  # verdicts kept for each module, newest last
State = Literal["passed", "failed", "started", "untouched"]


@dataclass(frozen=True)
class Record:
    """What is known about one module."""

    verdicts: dict[str, State] = field(default_factory=dict)  # "<file>:<suite>" -> state, oldest first
    hints: int = 0  # rungs taken
    gave_up: bool = False


@dataclass
class Progress:
    """The progress of one course. Each change is merged into the file under the lock."""

    course: Course
    records: dict[str, Record]
    notes: list[str] = field(default_factory=list)  # sentences worth showing: the file was damaged

    def record(self, results: Iterable[Result]) -> None:
        """Remember verdicts on learners' files.

        Verdicts on solutions and variants say nothing about the learner, those that blame a prerequisite
        nothing about the module: they are left out.

        Raises:
            StoreError: the file cannot be written.
        """
        modules = {module.path: module for module in self.course.modules}
        verdicts: dict[str, dict[str, State]] = {}
        for result in results:
            about = result.provenance
            if about.kind in ("learner", "stub") and about.stack != "solutions" and not result.blame:
                key = f"{about.sha256}:{_suite_sha(self.course, modules[result.module])}"
                verdicts[result.module] = {key: "failed" if result.status == "broken" else result.status}
        if verdicts:
            self._change(lambda old, path: _remember(old, verdicts[path]), verdicts)

    def state(self, module: Module) -> State:
        """The verdict on the file as it is now, and where there is none: untouched or started.

        A missing or unreadable file has failed.
        """
        try:
            content = self.course.workspace_file(module).read_bytes()
        except OSError:
            return "failed"
        key = f"{sha256(content)}:{_suite_sha(self.course, module)}"
        known = self._of(module).verdicts.get(key)
        return known or ("untouched" if _is_stub(self.course, module, content) else "started")

    def hints_taken(self, module: Module) -> int:
        return self._of(module).hints

    def take_hint(self, module: Module) -> int:
        """Take the next hint: how many are taken now, at most as many as there are.

        Raises:
            StoreError: the file cannot be written.
        """
        most = len(module.hints)
        self._change(lambda old, _: replace(old, hints=min(old.hints + 1, most)), [module.path])
        return self.hints_taken(module)

    def gave_up(self, module: Module) -> bool:
        """Whether the solution was shown before the learner's own file passed."""
        return self._of(module).gave_up

    def give_up(self, module: Module) -> None:
        """Remember that the solution was shown.

        Raises:
            StoreError: the file cannot be written.
        """
        self._change(lambda old, _: replace(old, gave_up=True), [module.path])

    def _of(self, module: Module) -> Record:
        return self.records.get(module.path, Record())

    def _change(self, change: Callable[[Record, str], Record], paths: Iterable[str]) -> None:
        """Apply ``change`` to what the file holds now, another terminal's records included."""
        root = self.course.root
        with lock(root):
            self.records, notes = _read(self.course, mend=True)
            self.notes += [note for note in notes if note not in self.notes]
            for path in paths:
                self.records[path] = change(self.records.get(path, Record()), path)
            content = {path: vars(record) for path, record in self.records.items()}
            write_modules(_file(self.course), SCHEMA, content, root)


def load(course: Course) -> Progress:
    """The progress so far. A damaged file is set aside, and ``notes`` says so."""
    records, notes = _read(course, mend=False)
    if notes:
        try:
            with lock(course.root):
                records, notes = _read(course, mend=True)
        except StoreError as error:  # a read-only folder: the damaged file stays where it is
            notes += [str(error)] if str(error) not in notes else []
    return Progress(course, records, notes)


def _read(course: Course, *, mend: bool) -> tuple[dict[str, Record], list[str]]:
    """The records, and a sentence when the file is damaged; ``mend``, under the lock, sets that one aside."""
    file = _file(course)
    try:
        return {path: _record(entry) for path, entry in read_modules(file, SCHEMA).items()}, []
    except ValueError as error:
        note = f"{shown(file, course.root)} was damaged ({error})"
        if mend:
            note += f" and is kept as {set_aside(file, course.root).name}; `make check` fills a new one"
        return {}, [note]
    except StoreError as error:
        if mend:
            raise
        return {}, [str(error)]


def _record(content: dict[str, object]) -> Record:
    match content:
        case {"verdicts": dict(verdicts), "hints": int(hints), "gave_up": bool(gave_up)}:
            if set(verdicts.values()) <= {"passed", "failed", "started", "untouched"}:
                return Record(verdicts, hints, gave_up)
    raise ValueError(f"an entry holds {sorted(content)}, expected verdicts, hints and gave_up")


def _remember(old: Record, verdicts: dict[str, State]) -> Record:
    kept = {key: state for key, state in old.verdicts.items() if key not in verdicts} | verdicts
    return replace(old, verdicts=dict(list(kept.items())[-REMEMBERED:]))


def _suite_sha(course: Course, module: Module) -> str:
    try:
        return sha256(course.suite_file(module).read_bytes())
    except OSError:
        return ""


def _is_stub(course: Course, module: Module, content: bytes) -> bool:
    try:
        return content.replace(b"\r\n", b"\n") == stubs.stub_of(course, module).encode()
    except CourseError:
        return False


def _file(course: Course) -> Path:
    return course.root / STATE / "progress.json"
