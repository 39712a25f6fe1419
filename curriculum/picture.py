"""``make picture``: a session with the course as an SVG, for the README. What it shows is really graded."""

from __future__ import annotations

import io
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from curriculum import check, guide, report, runner, store, verify
from curriculum.cli import PASSED, Request, parse
from curriculum.manifest import Course, CourseError, Module
from curriculum.progress import Progress, State
from curriculum.results import Result

FILE = "docs/session.svg"
SUBJECT = "nn_core/layers/linear"
WIDTH = 100
SECONDS = 0.4  # what grading a module takes, the same in every picture
FORMAT = re.sub(
    r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL
)  # no font from elsewhere
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
    screen = session(course, course.module(request.modules[0] if request.modules else SUBJECT))
    svg = screen.export_svg(title="make", theme=THEME, code_format=FORMAT, unique_id="session")
    store.write_file(course.root / FILE, svg.encode(), course.root)
    print(f"wrote {FILE}")
    return PASSED


def session(course: Course, subject: Module) -> Console:
    """A screen with a session on it: where to begin, ``subject`` with a mistake in it, then without."""
    screen = report.console(WIDTH, io.StringIO(), colour=True)
    screen.record = True
    phase = course.phase(subject.phase)
    before = [m for m in course.modules if m.phase < phase.number] + course.prerequisites(subject)
    learner = Newcomer(course, {m.path: "passed" for m in before})
    _type(screen, "next")
    guide.show_step(screen, course, learner)
    report.show(screen)
    for result in (_mistaken(course, subject), _graded(course, subject, _solution(course, subject))):
        request = parse(["check", f"MODULE={subject.path}"])
        _type(screen, f"check MODULE={subject.path}")
        report.Report(screen, [subject]).add(result)
        learner.states[subject.path] = "failed" if result.status == "broken" else result.status
        check.show_end(screen, course, request, [result], learner, SECONDS)
        report.show(screen)
    return screen


def _type(screen: Console, words: str) -> None:
    report.show(screen, Text.assemble(("$ ", "green"), (f"make {words}", "bold")))


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
    return replace(result, tests=tests, provenance=replace(result.provenance, file=file), seconds=SECONDS)


def _solution(course: Course, module: Module) -> str:
    return course.solution_file(module).read_text("utf-8")
