"""Put solutions, stubs and a learner's own files in each other's place, losing nothing.

The order is always the same: the learner's bytes go to the store, then the journal says what is about to
happen, then one rename happens. What to do next follows from the content of the files alone, so a command
that was interrupted anywhere is finished by giving it again.

The journal ``.curriculum/swap.json`` lists every module whose solution is in the workspace:

    {"schema": 1, "modules": {"nn_core/layers/linear": {"mine": sha256, "mode": 420, "solution": sha256}}}
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curriculum import stubs
from curriculum.manifest import Course, CourseError, Module
from curriculum.store import (
    STATE,
    Store,
    StoreError,
    lock,
    read_file,
    read_modules,
    remove_file,
    sha256,
    shown,
    sweep,
    write_file,
    write_modules,
)

SCHEMA = 1
Place = Literal[
    "swapped",  # the solution is in the workspace
    "edited",  # ... and was edited there
    "mine",  # the learner's own file: an interrupted command left it in the journal
    "missing",  # nothing, or nothing readable
]


@dataclass(frozen=True)
class Entry:
    """What the journal knows about one module."""

    mine: str  # sha256 of the learner's file; its bytes are in the store
    mode: int  # its permission bits
    solution: str  # sha256 of what was put in its place


@dataclass(frozen=True)
class Stubs:
    """What `write_stubs` did, a sentence a module."""

    written: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # files with edits of their own


def swap(course: Course, modules: Iterable[Module]) -> list[str]:
    """Put the solutions of ``modules`` in the workspace; what was done, in sentences.

    Raises:
        StoreError: a file cannot be replaced. All files are looked at before the first is touched.
    """
    modules = list(modules)
    with lock(course.root):
        journal, store = Journal.read(course), Store(course.root)
        said, waiting = [], []
        for module in modules:
            file, solution = course.workspace_file(module), _solution(course, module)
            sweep(file.parent, file.name)
            entry = journal.entries.get(module.path)
            if not os.path.lexists(file):
                fix = (
                    "`make unswap` brings yours back"
                    if entry
                    else f"`make reset MODULE={module.path}` writes its stub"
                )
                raise StoreError(f"{module.path}.py is missing: {fix}")
            mine, mode = read_file(file, course.root)
            if entry is None or sha256(mine) == entry.mine:
                waiting.append((module, mine, mode, solution))
            elif sha256(mine) != entry.solution:
                said.append(f"{module.path}: its solution was edited since the swap, and is left as it is")
        for module, mine, _, _ in waiting:
            store.put(module.path, mine)
        for module, mine, mode, solution in waiting:
            journal.add(module, Entry(sha256(mine), mode, sha256(solution)))
            write_file(course.workspace_file(module), solution, course.root, replacing=mine)
        already = len(modules) - len(waiting) - len(said)
        if waiting:
            said.append(f"{_files(len(waiting))} now the solution; `make unswap` brings yours back")
        if already:
            said.append(f"{_files(already)} the solution already")
        return said


def unswap(course: Course) -> list[str]:
    """Bring every learner's file back; what was done, in sentences.

    A solution that was edited while it was in the workspace is kept as a backup.

    Raises:
        StoreError: some files cannot be brought back yet. All others have been.
    """
    with lock(course.root):
        journal, store = Journal.read(course), Store(course.root)
        said, problems, restored = [], [], 0
        for path, entry in sorted(journal.entries.items()):
            file = course.root / f"{path}.py"
            try:
                sweep(file.parent, file.name)
                present = _present(file, course.root)
                if present is None or sha256(present) != entry.mine:
                    mine = store.get(path, entry.mine)
                    if present is not None and sha256(present) != entry.solution:
                        kept = store.put(path, present)
                        said.append(
                            f"{path} was edited while swapped; the edit is kept as {_name(kept, course)}"
                        )
                    write_file(file, mine, course.root, mode=entry.mode, replacing=present)
                journal.remove(path)
                restored += 1
            except StoreError as error:
                problems.append(str(error))
        if restored:
            said.append(f"{_files(restored)} yours again")
        if problems:
            raise StoreError("\n".join([*said, *problems, "`make unswap` goes on when that is settled"]))
        return said or ["no solution is in the workspace: nothing to bring back"]


def status(course: Course) -> dict[str, Place]:
    """The modules in the journal, and what their files hold now.

    Raises:
        StoreError: the journal is damaged.
    """
    places: dict[str, Place] = {}
    for path, entry in sorted(Journal.read(course).entries.items()):
        try:
            present = sha256(read_file(course.root / f"{path}.py", course.root)[0])
        except StoreError:
            places[path] = "missing"
        else:
            edited: Place = "mine" if present == entry.mine else "edited"
            places[path] = "swapped" if present == entry.solution else edited
    return places


def reset(course: Course, module: Module) -> list[str]:
    """Write the stub over a learner's file, which is kept as a backup; what was done, in sentences.

    Raises:
        StoreError: the solution is in the workspace, or the file cannot be replaced.
    """
    stub = stubs.stub_of(course, module).encode()
    with lock(course.root):
        if module.path in Journal.read(course).entries:
            raise StoreError(f"{module.path} holds its solution: `make unswap` first, then reset")
        file = course.workspace_file(module)
        sweep(file.parent, file.name)
        present = _present(file, course.root)
        if present is not None and _lf(present) == stub:
            return [f"{module.path} is the stub already"]
        kept = Store(course.root).put(module.path, present) if present is not None else None
        _remember_stub(course, module, stub)
        write_file(file, stub, course.root, replacing=present)
    return [
        f"{module.path} is the stub again" + (f"; yours is kept as {_name(kept, course)}" if kept else "")
    ]


def write_stubs(course: Course, modules: Iterable[Module], force: bool = False) -> Stubs:
    """Write the stubs of ``modules`` as their solutions make them now.

    A file that is no stub, of this or an earlier generation, is a learner's work: it is refused, or with
    ``force`` replaced after a backup.

    Raises:
        StoreError: a file cannot be read or replaced.
    """
    written, refused = [], []
    with lock(course.root):
        swapped, store = Journal.read(course).entries, Store(course.root)
        for module in modules:
            stub, file = stubs.stub_of(course, module).encode(), course.workspace_file(module)
            sweep(file.parent, file.name)
            present = _present(file, course.root)
            if present is not None and _lf(present) == stub:
                continue
            if module.path in swapped:
                refused.append(f"{module.path} holds its solution: `make unswap` first")
                continue
            if present is not None and not force and not _was_generated(course, module, present):
                refused.append(f"{module.path} has edits of its own: --force replaces it, keeping a backup")
                continue
            kept = store.put(module.path, present) if present is not None else None
            _remember_stub(course, module, stub)
            write_file(file, stub, course.root, replacing=present)
            written.append(
                module.path + (f": the file before is kept as {_name(kept, course)}" if kept else "")
            )
    return Stubs(tuple(written), tuple(refused))


@dataclass
class Journal:
    """``.curriculum/swap.json``: read once a command, written whole at each change."""

    course: Course
    entries: dict[str, Entry]

    @classmethod
    def read(cls, course: Course) -> Journal:
        file = course.root / STATE / "swap.json"
        try:
            return cls(course, {path: _entry(e) for path, e in read_modules(file, SCHEMA).items()})
        except ValueError as error:
            raise StoreError(
                f"{shown(file, course.root)} is damaged ({error}). Your files are safe in {STATE}/backups: "
                f"copy the newest of each swapped module back, then delete {file.name}"
            ) from error

    def add(self, module: Module, entry: Entry) -> None:
        self.entries[module.path] = entry
        self._write()

    def remove(self, path: str) -> None:
        del self.entries[path]
        self._write()

    def _write(self) -> None:
        file = self.course.root / STATE / "swap.json"
        if self.entries:
            modules = {path: vars(entry) for path, entry in self.entries.items()}
            write_modules(file, SCHEMA, modules, self.course.root)
        else:
            remove_file(file, self.course.root)


def _entry(content: dict[str, object]) -> Entry:
    match content:
        case {"mine": str(mine), "mode": int(mode), "solution": str(solution)}:
            return Entry(mine, mode, solution)
    raise ValueError(f"an entry holds {sorted(content)}, expected mine, mode and solution")


def _was_generated(course: Course, module: Module, present: bytes) -> bool:
    """Whether ``present`` is a stub of the solution as it is, as it is in git's HEAD, or as it was before."""
    if sha256(_lf(present)) in _remembered_stubs(course).get(module.path, []):
        return True
    if _is_stub_of(module, present, _solution(course, module)):
        return True
    return _is_stub_of(module, present, _committed(course, f"solutions/{module.path}.py"))


def _is_stub_of(module: Module, present: bytes, solution: bytes) -> bool:
    """A stub says itself which functions it blanks: blank those in the solution and compare."""
    try:
        text = _lf(present).decode()
        todo = re.findall(rf'"{re.escape(module.name)}: TODO (\d+) of \d+, ([\w.]+)"', text)
        blanks = tuple(name for _, name in sorted(todo, key=lambda pair: int(pair[0])))
        return bool(blanks) and stubs.make_stub(solution.decode(), module.name, blanks) == text
    except (UnicodeDecodeError, SyntaxError, CourseError):
        return False


def _committed(course: Course, path: str) -> bytes:
    """A file as it is in git's HEAD; nothing where there is no git, no commit or no such file."""
    try:
        command = ["git", "-C", str(course.root), "show", f"HEAD:./{path}"]
        return subprocess.run(command, capture_output=True, timeout=20).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""


def _remembered_stubs(course: Course) -> dict[str, list[str]]:
    """Hashes of the stubs generated here, by module. A cache: damaged or missing, it is empty."""
    try:
        modules = read_modules(course.root / STATE / "stubs.json", SCHEMA)
    except ValueError:
        return {}
    return {path: [str(sha) for sha in entry] for path, entry in modules.items()}


def _remember_stub(course: Course, module: Module, stub: bytes) -> None:
    modules = {path: dict.fromkeys(hashes, 1) for path, hashes in _remembered_stubs(course).items()}
    modules.setdefault(module.path, {})[sha256(stub)] = 1
    write_modules(course.root / STATE / "stubs.json", SCHEMA, modules, course.root)


def _solution(course: Course, module: Module) -> bytes:
    try:
        return course.solution_file(module).read_bytes()
    except FileNotFoundError:
        raise CourseError(f"{module.path}: no solution at {course.solution_file(module)}") from None


def _present(file: Path, root: Path) -> bytes | None:
    """The content of ``file``, or None where there is nothing at all."""
    return read_file(file, root)[0] if os.path.lexists(file) else None


def _lf(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def _name(path: Path, course: Course) -> str:
    return shown(path, course.root)


def _files(number: int) -> str:
    return "1 file is" if number == 1 else f"{number} files are"
