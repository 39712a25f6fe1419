"""The course as data: ``phases/*.toml`` read once into frozen dataclasses, and validated once.

Everything that lists modules (the command line, CURRICULUM.md, the prerequisite graph, verify) asks here;
nothing repeats the list by hand.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path

DIFFICULTIES = ("easy", "medium", "hard")


class CourseError(Exception):
    """The course itself is wrong (a maintainer's mistake). The message says where and what to do."""


class UnknownName(Exception):
    """A learner asked for a phase or module that is not in the course. The message names the nearest ones."""


@dataclass(frozen=True)
class Module:
    """One exercise: a file to complete, and what the course knows about it.

    ``path`` is the file's path without ``.py`` ("nn_core/layers/linear"); every other path follows from it.
    """

    path: str
    title: str  # "Linear: every output sees every input"
    summary: str  # one line of the curriculum table
    phase: int
    week: int
    difficulty: str  # easy | medium | hard
    minutes: int  # what a learner should plan for
    core: bool = True  # the star of the curriculum table
    planned: bool = False  # listed, not built yet: no files, never graded
    needs: tuple[str, ...] = ()  # paths of the modules it builds on, nearest first
    blanks: tuple[str, ...] = ()  # "function" or "Class.method", in the order to do them
    hints: tuple[str, ...] = ()  # nudge, idea, formula, pseudocode
    sources: tuple[str, ...] = ()  # the papers, with section or equation

    @property
    def name(self) -> str:
        """The dotted name an import uses: ``nn_core.layers.linear``."""
        return self.path.replace("/", ".")

    @property
    def suite(self) -> str:
        """Path of its test suite, relative to the root: ``tests/nn_core/layers/test_linear.py``."""
        folder, _, leaf = self.path.rpartition("/")
        return f"tests/{folder}/test_{leaf}.py"


@dataclass(frozen=True)
class Milestone:
    """What ends a phase: a real training run."""

    title: str
    goal: str  # the number that must be reached, in words
    script: str = ""  # "experiments.milestones.two_moons"; empty while it is planned


@dataclass(frozen=True)
class Reading:
    title: str
    url: str = ""


@dataclass(frozen=True)
class Phase:
    number: int
    title: str
    weeks: str  # "1-2"
    hours: str  # "20-30"
    summary: str
    critical: bool
    milestones: tuple[Milestone, ...]
    reading: tuple[Reading, ...]
    modules: tuple[Module, ...] = field(default=(), repr=False)
    again: tuple[str, ...] = ()  # paths of modules of earlier phases that are graded with this one


@dataclass(frozen=True)
class Course:
    """All phases, and where their files are. ``root`` is the folder that holds curriculum/ and solutions/."""

    root: Path
    phases: tuple[Phase, ...]

    @property
    def modules(self) -> tuple[Module, ...]:
        """Every module that is built, in course order."""
        return tuple(m for p in self.phases for m in p.modules if not m.planned)

    @property
    def packages(self) -> frozenset[str]:
        """The top-level packages that belong to the course: utils, foundations, nn_core, ..."""
        return frozenset(m.path.partition("/")[0] for p in self.phases for m in p.modules)

    def workspace_file(self, module: Module) -> Path:
        return self.root / f"{module.path}.py"

    def solution_file(self, module: Module) -> Path:
        return self.root / "solutions" / f"{module.path}.py"

    def suite_file(self, module: Module) -> Path:
        return self.root / module.suite

    def mutants_file(self, module: Module) -> Path:
        folder, _, leaf = module.path.rpartition("/")
        return self.root / "tests" / folder / f"{leaf}.mutants.toml"

    def lesson_file(self, module: Module) -> Path:
        return self.root / "curriculum" / "lessons" / f"{module.path}.md"

    def phase(self, number: int | str) -> Phase:
        """Phase ``number``.

        Raises:
            UnknownName: there is no such phase.
        """
        for phase in self.phases:
            if str(phase.number) == str(number).strip():
                return phase
        numbers = [p.number for p in self.phases]
        raise UnknownName(
            f"there is no phase {number}: the course has phases {min(numbers)} to {max(numbers)}"
        )

    def module(self, text: str) -> Module:
        """The module that ``text`` means: a path, with ``.py`` or dots, or an unambiguous end ("linear").

        Raises:
            UnknownName: none fits, or several do; the message names them.
        """
        wanted = text.strip().removesuffix(".py").replace("\\", "/").strip("/")
        wanted = wanted if "/" in wanted else wanted.replace(".", "/")
        everything = [m for p in self.phases for m in p.modules]
        fits = [m for m in everything if m.path == wanted]
        fits = fits or [m for m in everything if m.path.endswith("/" + wanted)]
        fits = [m for m in fits if not m.planned] or fits  # "linear" is the one that can be done now
        if len(fits) == 1:
            if fits[0].planned:
                raise UnknownName(f"{fits[0].path} is planned for phase {fits[0].phase} but not built yet")
            return fits[0]
        if fits:
            raise UnknownName(f"'{text}' could be {', '.join(m.path for m in fits)}: give more of the path")
        import difflib  # only needed for a mistake

        holders = [m.path for m in self.modules if text.strip() in _names(m)][:3]
        if holders:
            raise UnknownName(f"there is no module '{text}': {text.strip()} is in {' and in '.join(holders)}")
        paths = [m.path for m in self.modules]
        leaves = {p.rpartition("/")[2]: p for p in paths}
        near = (
            [p for p in paths if wanted in p][:3]
            or difflib.get_close_matches(wanted, paths, 3)
            or [leaves[leaf] for leaf in difflib.get_close_matches(wanted.rpartition("/")[2], leaves, 3)]
        )
        advice = f"did you mean {' or '.join(near)}?" if near else "`make list` shows them all"
        raise UnknownName(f"there is no module '{text}': {advice}")

    def prerequisites(self, module: Module) -> list[Module]:
        """Everything ``module`` builds on, directly or not: nearest first, each once."""
        by_path = {m.path: m for m in self.modules}
        found: dict[str, Module] = {}
        layer = [module]
        while layer:
            layer = [by_path[p] for m in layer for p in m.needs if p not in found and p in by_path]
            found |= {m.path: m for m in layer}
        return list(found.values())


def _names(module: Module) -> set[str]:
    """The functions, classes and methods to write in ``module``; of methods only the full name."""
    return {name for blank in module.blanks for name in (blank, blank.partition(".")[0])}


@cache
def load(root: Path | None = None) -> Course:
    """Read and validate the course below ``root`` (default: this checkout, or ``CURRICULUM_ROOT``).

    Raises:
        CourseError: a manifest file is malformed; the message names the file and the entry.
    """
    root = Path(root or os.environ.get("CURRICULUM_ROOT") or Path(__file__).parents[1]).resolve()
    files = sorted((root / "curriculum" / "phases").glob("*.toml"))
    if not files:
        raise CourseError(f"no phases/*.toml below {root / 'curriculum'}")
    course = Course(root, tuple(_read_phase(f) for f in files))
    _validate(course)
    return course


def _read_phase(file: Path) -> Phase:
    try:
        entry = tomllib.loads(file.read_text("utf-8"))
        head = dict(entry["phase"])
        modules = tuple(_read_module(m, head["number"], file) for m in entry.get("module", ()))
        milestones = tuple(Milestone(**m) for m in head.pop("milestones"))
        reading = tuple(Reading(**r) for r in head.pop("reading"))
        again = tuple(head.pop("again", ()))
        return Phase(**head, milestones=milestones, reading=reading, modules=modules, again=again)
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise CourseError(f"{file.name}: {error}") from error


def _read_module(entry: dict[str, object], phase: int, file: Path) -> Module:
    unknown = set(entry) - {f.name for f in fields(Module)}
    if unknown:
        raise CourseError(f"{file.name}: {entry.get('path')}: unknown keys {sorted(unknown)}")
    frozen = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return Module(**frozen, phase=phase)  # type: ignore[arg-type]


def _validate(course: Course) -> None:
    """Refuse what no later code should have to think about: duplicates, unknown needs, cycles, bad values."""
    for problem in _problems(course):
        raise CourseError(problem)


def _problems(course: Course) -> Iterator[str]:
    everything = [m for p in course.phases for m in p.modules]
    known: dict[str, Module] = {}
    for module in everything:
        if module.path in known:
            yield f"{module.path}: listed twice"
        known[module.path] = module
    for m in everything:
        if m.difficulty not in DIFFICULTIES:
            yield f"{m.path}: difficulty must be one of {DIFFICULTIES}, got '{m.difficulty}'"
        for need in m.needs:
            if need not in known:
                yield f"{m.path}: needs '{need}', which is not in the course"
        if not m.planned and len(m.hints) != 4:
            yield f"{m.path}: has {len(m.hints)} hints, expected 4 (nudge, idea, formula, pseudocode)"
        if not m.planned and not m.blanks:
            yield f"{m.path}: has no blanks"
    for phase in course.phases:
        for path in phase.again:
            if path not in known or known[path].planned or known[path].phase >= phase.number:
                yield f"phase {phase.number} grades '{path}' again, which no earlier phase has built"
    yield from _cycles(known)


def _cycles(known: dict[str, Module]) -> Iterator[str]:
    done: set[str] = set()
    open_ = dict(known)
    while open_:  # peel off what needs nothing that is still open
        free = [p for p, m in open_.items() if all(n in done or n not in known for n in m.needs)]
        if not free:
            yield f"needs form a cycle among {sorted(open_)}"
            return
        done.update(free)
        open_ = {p: m for p, m in open_.items() if p not in done}
