"""``make picture``: a session with the course as an SVG, for the README. What it shows is really graded."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from curriculum import check, report, runner, store, verify
from curriculum.cli import PASSED, Request, parse
from curriculum.manifest import Course, CourseError, Module
from curriculum.progress import Progress, State
from curriculum.results import Result
from curriculum.stubs import stub_of

FILE = ".github/session.svg"
SUBJECT = "nn_core/layers/linear"
WIDTH = 92
THEME = TerminalTheme(
    background=(24, 27, 33),
    foreground=(212, 215, 221),
    normal=[(52, 58, 68), (237, 106, 94), (139, 195, 112), (229, 187, 92), (97, 159, 226), (190, 132, 214),
            (86, 182, 194), (212, 215, 221)],
)  # fmt: skip


class Newcomer(Progress):
    """A learner who has the states given, and nothing else."""

    def __init__(self, course: Course, states: dict[str, State]):
        super().__init__(course, {})
        self.states = states

    def state(self, module: Module) -> State:
        return self.states.get(module.path, "untouched")


def picture(course: Course, request: Request) -> int:
    """Draw the first minutes with a module: where to begin, a mistake, and all tests passing."""
    subject = course.module(request.modules[0] if request.modules else SUBJECT)
    screen = report.console(WIDTH, io.StringIO(), colour=True)
    screen.record = True
    phase = course.phase(subject.phase)
    modules = [m for m in course.modules if m.phase == phase.number]
    before: dict[str, State] = {m.path: "passed" for m in course.prerequisites(subject)}
    session = {
        f"check PHASE={phase.number}": [_graded(course, m, stub_of(course, m)) for m in modules],
        f"check MODULE={subject.path}": [_mistaken(course, subject)],
        f"check MODULE={subject.path} ": [_graded(course, subject, _solution(course, subject))],
    }
    for command, results in session.items():
        _draw(screen, course, command, results, Newcomer(course, before))
    svg = screen.export_svg(title="a first hour", theme=THEME, unique_id="session")
    store.write_file(course.root / FILE, svg.encode(), course.root)
    print(f"wrote {FILE}")
    return PASSED


def _draw(
    screen: Console, course: Course, command: str, results: Sequence[Result], learner: Newcomer
) -> None:
    request = parse(command.split())
    report.show(screen, Text.assemble(("$ ", "green"), (f"make {command}", "bold")))
    shown = report.Report(screen, [course.module(r.module) for r in results])
    for result in results:
        shown.add(result)
        learner.states[result.module] = "failed" if result.status == "broken" else result.status
    check.show_end(screen, course, request, results, learner, sum(r.seconds for r in results))
    report.show(screen)


def _mistaken(course: Course, module: Module) -> Result:
    """The first mutant of ``module`` whose message tells yours from expected.

    Raises:
        CourseError: there is none.
    """
    for mutant in verify.read_mutants(course, module):
        result = _graded(course, module, _solution(course, module).replace(mutant["find"], mutant["replace"]))
        first = next((t for t in result.tests if t.outcome == "failed"), None)
        if first and "gradient" in first.message and "expected" in first.message:
            return result
    raise CourseError(f"{module.path} has no mutant with a wrong gradient: name another MODULE=")


def _graded(course: Course, module: Module, text: str) -> Result:
    """What a learner sees who has written ``text``."""
    file = f"{module.path}.py"
    with tempfile.TemporaryDirectory() as folder:
        variant = Path(folder, Path(file).name)
        variant.write_text(text, "utf-8")
        result = runner.grade(course, [module], replace={module.name: variant})[0]
    tests = tuple(replace(t, file=file) if t.file else t for t in result.tests)
    status = "untouched" if all(t.outcome == "todo" for t in tests) else result.status
    return replace(result, status=status, tests=tests, provenance=replace(result.provenance, file=file))


def _solution(course: Course, module: Module) -> str:
    return course.solution_file(module).read_text("utf-8")
