"""The screens that lead through the course: next, list, progress, hint, solution."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from curriculum import progress as records
from curriculum.cli import FAILED, PASSED, Request
from curriculum.manifest import Course, Module, Phase
from curriculum.progress import Progress
from curriculum.report import QUIET, clean, command, console, count, encodes, mark, pair, say, show

if TYPE_CHECKING:
    from rich.table import Table

    from curriculum.results import Result

RUNGS = ("a nudge", "the idea", "the formula", "pseudocode")
SIDE_BY_SIDE = 140  # columns that two files need
CONTEXT = 4  # lines shown at both ends of a long stretch that two files share
TITLE = 30  # columns below which a cut title says nothing


# --- what is open -----------------------------------------------------------------------------------------


def next_module(
    course: Course, progress: Progress, phase: Phase | None = None, after: Collection[str] = ()
) -> Module | None:
    """The module to do now: one begun, else the first whose prerequisites pass; None when all is done.

    Args:
        course: all of it.
        progress: the learner's.
        phase: look at its modules only; what they need from earlier phases is taken as given.
        after: paths of modules just passed: what builds on them comes first.
    """
    modules = [m for m in course.modules if phase is None or m.phase == phase.number]
    state = {m.path: progress.state(m) for m in modules}
    ready = [
        m
        for m in modules
        if state[m.path] != "passed" and all(state.get(n, "passed") == "passed" for n in m.needs)
    ]
    ready = [m for m in ready if set(m.needs) & set(after)] or ready
    begun = [m for m in ready if state[m.path] != "untouched"]
    return next(iter(begun or ready), None)


def module_after(course: Course, progress: Progress, results: Sequence[Result]) -> Module | None:
    """The module that follows on ``results``, all of them good: in their phase, if they are of one."""
    passed = {r.module for r in results if r.status == "passed"}
    return next_module(course, progress, _phase_of(course, results), passed)


def _phase_of(course: Course, results: Sequence[Result]) -> Phase | None:
    """The phase that was graded: one that has all of these modules, those it grades again among them."""
    modules = [course.module(r.module) for r in results]
    last = course.phase(max(m.phase for m in modules)) if modules else None
    return last if last and all(m.phase == last.number or m.path in last.again for m in modules) else None


def first_blank(file: Path, module: Module) -> tuple[int, str, int]:
    """Number, name and line of the first blank that is still open in ``file``; zeros when none is."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return 0, "", 0
    todo = re.compile(rf"\b{re.escape(module.name)}: TODO (\d+) of \d+, ([\w.]+)")
    found = [(int(m[1]), m[2], i) for i, line in enumerate(lines, 1) if (m := todo.search(line))]
    return min(found, default=(0, "", 0))


# --- next -------------------------------------------------------------------------------------------------


def show_next(course: Course, request: Request) -> int:
    """``make next``."""
    screen, progress, phase = console(), records.load(course), request.phase(course)
    show_notes(screen, progress)
    show_step(screen, course, progress, phase)
    return PASSED


def show_step(screen: Console, course: Course, progress: Progress, phase: Phase | None = None) -> None:
    """The next module, what to open, what to read and what to type; or the milestone, once all pass."""
    module = next_module(course, progress, phase)
    if module is not None:
        show_module(screen, course, progress, module)
    elif phase is not None and all(m.planned for m in phase.modules):
        show(screen, f"Phase {phase.number}, {phase.title}, is planned and not built yet.")
    else:
        number = phase.number if phase else max(m.phase for m in course.modules)
        every = f"phase {number}" if phase else "the course"
        say(screen, mark(screen, "star"), f" Every module of {every} passes. Now train it for real:")
        show(screen, command("milestone", PHASE=number), 2)


def show_module(screen: Console, course: Course, progress: Progress, module: Module) -> None:
    """How to begin ``module``, or go on with it."""
    verb = "Begin with" if progress.state(module) == "untouched" else "Go on with"
    number, name, line = first_blank(course.workspace_file(module), module)
    say(screen, f"{verb} ", (module.path, "bold"), f"    {module.title}")
    star = Text.assemble(mark(screen, "star"), " ") if module.core else Text()
    about = f"{module.difficulty}, about {module.minutes} min, {count(len(module.blanks), 'blank')}"
    say(screen, star, (about, QUIET), _needs(screen, course, progress, module), indent=2)
    where = f"{module.path}.py" + (f":{line}" if line else "")
    blank = f"    blank {number} of {len(module.blanks)}: {name}" if number else ""
    lesson = course.lesson_file(module).relative_to(course.root).as_posix()
    say(screen, ("read   ", QUIET), lesson, indent=2)
    say(screen, ("open   ", QUIET), where, (blank, QUIET), indent=2)
    say(screen, ("grade  ", QUIET), command("check", module.path), indent=2)
    say(screen, ("       ", QUIET), command("watch", module.path), ("    at each save", QUIET), indent=2)


def show_way(screen: Console, course: Course, progress: Progress, results: Sequence[Result]) -> None:
    """All that was graded passes: one line of praise, one for what comes next."""
    passed = [r for r in results if r.status == "passed"]
    phase = _phase_of(course, results)
    module, star = module_after(course, progress, results), mark(screen, "star")
    if module is None:
        what = f"every module of phase {phase.number}" if phase else "every module"
        say(screen, star, f" Well done: {what} passes. Now train it for real.")
        show(screen, command("milestone", PHASE=phase.number if phase else course.modules[-1].phase), 2)
        module = next_module(course, progress)
        if module is not None:
            _show_path(screen, "then", module)
        return
    what = f"all {count(len(passed), 'module')} graded pass"
    if len(passed) == 1:
        what = f"{passed[0].module}: all {count(passed[0].total, 'test')} pass"
    say(screen, star, f" Well done, {what}.")
    _show_path(screen, "next", module)


def _show_path(screen: Console, when: str, module: Module) -> None:
    name = Text.assemble((f"{when}: ", QUIET), (module.path, "bold"))
    pair(screen, name, command("check", module.path), 2)


def _needs(screen: Console, course: Course, progress: Progress, module: Module) -> Text:
    by_path = {m.path: m for m in course.modules}
    text = Text()
    for i, need in enumerate(module.needs):
        text.append(", " if i else "; builds on ", QUIET).append(need + " ", QUIET)
        text.append_text(mark(screen, progress.state(by_path[need])))
    if any(progress.state(by_path[n]) != "passed" for n in module.needs):
        text.append(" (until yours passes, the reference stands in)", QUIET)
    return text


# --- list and progress ------------------------------------------------------------------------------------


def show_list(course: Course, request: Request) -> int:
    """``make list``."""
    screen, progress = console(), records.load(course)
    show_notes(screen, progress)
    draw_list(screen, course, progress, request.phase(course))
    return PASSED


def draw_list(screen: Console, course: Course, progress: Progress, only: Phase | None = None) -> None:
    """Every module with its state; of a phase that is not built yet the name, unless it is ``only``."""
    phases = [only] if only else course.phases
    width = max((len(m.path) for p in phases for m in p.modules if not m.planned or only), default=0)
    for phase in phases:
        modules = [m for m in phase.modules if not m.planned or only]
        says = f"{_passed(phase, progress)} of {len(_built(phase))}" if _built(phase) else "planned"
        title = (f"Phase {phase.number}  {phase.title}", "bold" if _built(phase) else QUIET)
        weeks = f"week{'' if phase.weeks.isdigit() else 's'} {phase.weeks}"
        say(screen, title, (f"   {weeks}, {says}", QUIET))
        for module in modules:
            show(screen, _row(screen, progress, module, width), 2)
        if modules or phase is phases[-1]:
            show(screen)
    signs = [("passed", "passes"), ("failed", "fails"), ("started", "begun"), ("untouched", "not started"),
             ("star", "core")]  # fmt: skip
    legend = [Text.assemble(mark(screen, kind), (f" {says}", QUIET)) for kind, says in signs]
    show(screen, Text("   ").join(legend))


def _row(screen: Console, progress: Progress, module: Module, width: int) -> Text:
    """``✓ ★ utils/math_utils    easy    60 min  Stable exponentials (1 hint)``, cut to fit."""
    kind = "planned" if module.planned else progress.state(module)
    star = mark(screen, "star") if module.core else Text(" ")
    path = (f" {module.path:<{width}}", QUIET if module.planned else "")
    plan = (f"  {module.difficulty:<6} {module.minutes:>4} min  ", QUIET)
    row = Text.assemble(mark(screen, kind), " ", star, path, plan)
    if screen.width - 2 - len(row) >= TITLE:
        row.append(module.title)
    if not module.planned and (hints := progress.hints_taken(module)):
        row.append(f" ({count(hints, 'hint')})", QUIET)
    if len(row) > screen.width - 2:
        row.truncate(screen.width - 5)
        row.append("...", QUIET)
    return row


def show_progress(course: Course, request: Request) -> int:
    """``make progress``."""
    screen, progress = console(), records.load(course)
    show_notes(screen, progress)
    draw_progress(screen, course, progress)
    return PASSED


def draw_progress(screen: Console, course: Course, progress: Progress) -> None:
    """A bar for each phase that is built, and what is left."""
    width = max(len(p.title) for p in course.phases)
    cells = max(8, min(32, screen.width - width - 26))
    for phase in course.phases:
        name = f"{phase.number:>2}  {phase.title:<{width}}  "
        if not _built(phase):
            show(screen, Text(f"{name}planned", QUIET))
            continue
        passed, total = _passed(phase, progress), len(_built(phase))
        done = cells * passed // total
        bar = (_bar(screen, "full", done), _bar(screen, "empty", cells - done))
        say(screen, name, *bar, f"  {passed:>2} of {total}")
    modules = course.modules
    open_ = [m for m in modules if progress.state(m) != "passed"]
    hints = sum(progress.hints_taken(m) for m in modules)
    left = f", about {max(1, round(sum(m.minutes for m in open_) / 60))} h left" if open_ else ""
    done_ = f"{len(modules) - len(open_)} of {count(len(modules), 'module')} passed"
    show(screen)
    show(screen, f"{done_}{left}, {count(hints, 'hint')} taken")


def _bar(screen: Console, kind: str, cells: int) -> Text:
    sign = mark(screen, kind)
    return Text(sign.plain * cells, sign.style)


def _built(phase: Phase) -> list[Module]:
    return [m for m in phase.modules if not m.planned]


def _passed(phase: Phase, progress: Progress) -> int:
    return sum(progress.state(m) == "passed" for m in _built(phase))


def show_notes(screen: Console, progress: Progress) -> None:
    for note in progress.notes:
        show(screen, Text(clean(note), "yellow"))


# --- hint -------------------------------------------------------------------------------------------------


def show_hint(course: Course, request: Request) -> int:
    """``make hint``: the next rung; once all are taken, all of them."""
    take_hint(console(), course, request.one(course), records.load(course))
    return PASSED


def take_hint(screen: Console, course: Course, module: Module, progress: Progress) -> None:
    """Take and show the next hint of ``module``."""
    before = progress.hints_taken(module)
    tell_hint(screen, course, module, before, progress.take_hint(module))


def tell_hint(screen: Console, course: Course, module: Module, before: int, taken: int) -> None:
    """Show the rung ``taken``; where that was the last one ``before`` too, every rung.

    Args:
        screen: where.
        course: for the lesson's path.
        module: the one in question.
        before: rungs taken so far.
        taken: rungs taken now.
    """
    total = len(module.hints)
    for i in range(total) if before == total else [taken - 1]:
        if i and before == total:
            show(screen)
        rung = RUNGS[i] if total == len(RUNGS) else "a hint"
        say(screen, (module.path, "bold"), f"    hint {i + 1} of {total}, {rung}")
        for line in clean(module.hints[i]).strip("\n").split("\n"):
            label = re.match(r"[\w.*]+: +", line)  # of pseudocode: "forward:   e = exp(d)"
            show(screen, line, 2, hang=label.end() if label else 4 if rung == RUNGS[-1] else 0)
    if taken < total:
        say(screen, (f"{count(total - taken, 'more hint')}: ", QUIET), command("hint", module.path))
    else:
        lesson = course.lesson_file(module).relative_to(course.root).as_posix()
        say(screen, ("that was the last; the whole story: ", QUIET), lesson)


# --- solution ---------------------------------------------------------------------------------------------


def show_solution(course: Course, request: Request) -> int:
    """``make solution``: the reference beside the learner's file, once that passes or the learner gave up."""
    module, progress = request.one(course), records.load(course)
    screen = console(request.width)
    if not (_passes(course, module, progress) or progress.gave_up(module)):
        if not request.on("GIVE_UP"):
            say(screen, (module.path, "bold"), " does not pass yet: its solution waits until it does.")
            say(screen, ("what is wrong   ", QUIET), command("check", module.path), indent=2)
            say(screen, ("the next hint   ", QUIET), command("hint", module.path), indent=2)
            say(screen, ("see it anyway   ", QUIET), command("solution", module.path, GIVE_UP=1), indent=2)
            return FAILED
        progress.give_up(module)
        say(screen, ("You gave up on this one, and that is written down: read it, then try anew.", QUIET))
    yours, reference = (_source(f) for f in (course.workspace_file(module), course.solution_file(module)))
    draw_solution(screen, module, yours, reference)
    return PASSED


def draw_solution(screen: Console, module: Module, yours: str, reference: str) -> None:
    """Two sources side by side where the screen is wide enough, else one after the other."""
    titles = (f"yours: {module.path}.py", f"the reference: solutions/{module.path}.py")
    if screen.width >= SIDE_BY_SIDE:
        screen.print(_beside(screen, titles, yours, reference))
        return
    for title, source in zip(titles, (yours, reference), strict=True):
        show(screen, Text(title, "bold"))
        for line in _coloured(source):
            screen.print(Text("  ").append_text(line), soft_wrap=True)
        show(screen)


def _passes(course: Course, module: Module, progress: Progress) -> bool:
    """Whether the learner's file passes as it is now; graded if nobody did since it was saved."""
    if progress.state(module) == "started":
        from curriculum import runner

        progress.record(runner.grade(course, [module]))
    return progress.state(module) == "passed"


def _source(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError as error:
        return f"# {file.name} cannot be read: {error.strerror}"


def _coloured(source: str) -> list[Text]:
    from rich.syntax import Syntax  # pygments: only here

    code = Syntax("", "python", theme="ansi_dark").highlight(clean(source))
    code.rstrip()
    return list(code.split("\n", allow_blank=True))


def _beside(screen: Console, titles: tuple[str, str], left: str, right: str) -> Table:
    """Two sources in two columns: what differs is marked, of long stretches alike only the ends are shown."""
    from rich.table import Table

    table = Table(box=None, expand=True, padding=(0, 1), header_style="bold", show_edge=False)
    table.add_column(titles[0], ratio=1)
    table.add_column("")
    table.add_column(titles[1], ratio=1)
    bar = Text("│" if encodes(screen, "│") else "|", "yellow")
    for yours, theirs, alike in _stretches(_coloured(left), _coloured(right)):
        folded = len(yours) - 2 * CONTEXT if alike else 0
        for i, (a, b) in enumerate(zip_longest(yours, theirs, fillvalue=Text())):
            if folded < 2 or not 0 <= i - CONTEXT < folded:
                table.add_row(a, Text(" ") if alike else bar, b)
            elif i == CONTEXT:
                fold = Text(f"... {folded} lines alike", QUIET)
                table.add_row(fold, Text(" "), fold)
    return table


def _stretches(left: list[Text], right: list[Text]) -> Iterator[tuple[list[Text], list[Text], bool]]:
    """The lines of both, cut where they begin or cease to be alike."""
    from difflib import SequenceMatcher

    a, b = [line.plain for line in left], [line.plain for line in right]
    for kind, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        yield left[i:j], right[k:m], kind == "equal"
