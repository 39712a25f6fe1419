"""``make check``: grade, show, remember, and say what comes next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from curriculum import runner
from curriculum.cli import FAILED, PASSED, Request
from curriculum.manifest import Course, Module
from curriculum.results import Result

if TYPE_CHECKING:
    from rich.console import Console

    from curriculum.progress import Progress


def check(course: Course, request: Request) -> int:
    """Grade what the command names; without a name, whatever was started."""
    began, modules = time.monotonic(), request.chosen(course)
    if not request.modules and (phase := request.phase(course)):
        modules += [course.module(path) for path in phase.again]
    if request.modules:
        runner.warm(course, modules)  # numpy and pytest load there while rich loads here
    from curriculum import report

    target, screen = request.get("JSON"), report.console(request.width)
    shown = None if target == "-" else report.Report(screen, modules, request.stack, request.on("V"))
    try:
        results = runner.grade(course, modules, stack=request.stack, on_result=shown.add if shown else None)
    finally:
        if shown:
            shown.end()
    if request.everything:
        results = [r for r in results if r.status != "untouched"]
    if target:
        report.write_json(results, course, target)
    learner = remember(course, results)
    if shown:
        show_end(screen, course, request, results, learner, time.monotonic() - began)
    return PASSED if results and all(r.status == "passed" for r in results) else FAILED


def remember(course: Course, results: Sequence[Result]) -> Progress:
    """The learner's progress with these results in it. Where it cannot be written, the grade still counts."""
    from curriculum import progress, store

    learner = progress.load(course)
    try:
        learner.record(results)
    except store.StoreError as error:
        learner.notes.append(f"this result is not remembered: {error}")
    return learner


def show_end(
    screen: Console,
    course: Course,
    request: Request,
    results: Sequence[Result],
    learner: Progress,
    seconds: float,
) -> None:
    """Below the modules: how many pass, and where to go from here.

    Args:
        screen: where.
        course: all of it.
        request: what was asked for.
        results: of the modules graded.
        learner: their progress, with ``results`` in it.
        seconds: that the grading took.
    """
    from curriculum import guide, report

    guide.show_notes(screen, learner)
    phase = request.phase(course)
    if all(r.status == "untouched" for r in results):
        if request.modules:
            for result in results:
                guide.show_module(screen, course, learner, course.module(result.module))
            return
        modules: Sequence[Module] = phase.modules if phase else course.modules
        name = f"Phase {phase.number}, {phase.title}" if phase else "The course"
        built = report.count(sum(not m.planned for m in modules), "module")
        report.show(screen, f"{name}: {built}, none started yet." if built[0] != "0" else f"{name}:")
        report.show(screen)
        guide.show_step(screen, course, learner, phase)
        return
    if len(results) > 1:
        report.show(screen)
        report.show(screen, report.summary(results, seconds))
    if all(r.status in ("passed", "untouched") for r in results) and request.stack != "solutions":
        report.show(screen)
        guide.show_way(screen, course, learner, results)
