"""What a person sees of a grading: one line a module, then what went wrong first, where, and what to do next.

Everything here is a function of `Result`; nothing is read or graded. Text of the learner's is never markup.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from textwrap import dedent
from typing import IO

from rich.console import Console
from rich.text import Text

from curriculum.manifest import Course, Module
from curriculum.results import Result, Test, in_words

SCHEMA = 1  # of --json
MARKS: dict[str, tuple[str, str, str]] = {  # sign, sign where the encoding has no such letter, style
    "passed": ("✓", "+", "green"),
    "failed": ("✗", "x", "red"),
    "started": ("◐", "~", "yellow"),
    "todo": ("◐", "~", "yellow"),
    "untouched": ("○", "-", "dim"),
    "broken": ("✗", "x", "red"),
    "planned": ("·", ".", "dim"),
    "star": ("★", "*", "yellow"),
    "full": ("━", "=", "green"),
    "empty": ("─", "-", "dim"),
}
QUIET = "dim"
COMMAND = "cyan"
MOST_ROWS = 4  # of a message without V=1


# --- the screen -------------------------------------------------------------------------------------------


def console(width: int | None = None, file: IO[str] | None = None, colour: bool | None = None) -> Console:
    """The terminal. A letter that its encoding lacks becomes "?", text of the learner's is never markup.

    Args:
        width: columns; default: those of the terminal, in a pipe those of ``COLUMNS`` or 100.
        file: where to write; default: standard output.
        colour: whether to use it; default: as the terminal can and ``NO_COLOR`` allows.
    """
    out = file or sys.stdout
    if isinstance(out, TextIOWrapper):
        out.reconfigure(errors="replace")
    if width is None and not out.isatty():
        columns = os.environ.get("COLUMNS", "")
        width = int(columns) if columns.isdigit() and int(columns) else 100
    system = {None: "auto", True: "standard", False: None}[colour]
    plain = None if colour is None else not colour
    return Console(
        file=out,
        width=width,
        color_system=system,  # type: ignore[arg-type]
        no_color=plain,
        markup=False,
        emoji=False,
        highlight=False,
    )


def mark(screen: Console, kind: str) -> Text:
    """The sign of a status, in its colour."""
    sign, plain, style = MARKS[kind]
    return Text(sign if encodes(screen, sign) else plain, style)


def encodes(screen: Console, text: str) -> bool:
    """True when the screen's encoding has all of these letters."""
    try:
        text.encode(screen.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def show(screen: Console, text: Text | str = "", indent: int = 0, rows: int = 0, hang: int = 0) -> None:
    """Print ``text`` wrapped to the screen.

    Args:
        screen: where.
        text: one or more lines.
        indent: columns left free.
        rows: how many at most; 0 for all.
        hang: columns that are left free, beyond the line's own indentation, where a row goes on with it.
    """
    text = Text(text) if isinstance(text, str) else text
    width = max(20, screen.width - indent)
    wrapped = []
    for line in text.split("\n", allow_blank=True):
        first = line.wrap(screen, width)[0] if line else line
        rest = line[len(first) :]
        wrapped.append(first)
        if rest.plain.strip():
            spaces = len(rest) - len(rest.plain.lstrip())
            free = min(len(line) - len(line.plain.lstrip()) + hang, width // 2)
            more = rest[spaces:].wrap(screen, width - free)
            wrapped += [Text(" " * free).append_text(row) for row in more]
    for i, row in enumerate(wrapped):
        row.rstrip()
        if rows and i == rows - 1 and len(wrapped) > rows:
            row.truncate(width - 4)
            row.append(" ...")
        screen.print(
            Text(" " * indent if row else "").append_text(row), no_wrap=True, overflow="ignore", crop=False
        )
        if rows and i == rows - 1:
            return


def say(screen: Console, *parts: str | Text | tuple[str, str], indent: int = 0) -> None:
    """Print ``parts`` one after the other: text, or (text, style)."""
    show(screen, Text.assemble(*parts), indent)


def pair(screen: Console, left: Text, right: Text, indent: int) -> None:
    """``left`` and ``right`` on one row where both fit, else one below the other."""
    if indent + len(left) + 4 + len(right) <= screen.width:
        show(screen, Text.assemble(left, "    ", right), indent)
    else:
        show(screen, left, indent)
        show(screen, right, indent)


def command(verb: str, module: str = "", **settings: object) -> Text:
    """What to type: ``make hint MODULE=...``, or the same without make where there is none."""
    program = "make" if "MAKELEVEL" in os.environ or shutil.which("make") else "python -m curriculum"
    words = [program, verb] + ([f"MODULE={module}"] if module else [])
    return Text(" ".join(words + [f"{k}={v}" for k, v in settings.items()]), COMMAND)


def clean(text: str) -> str:
    """``text`` without anything that would move the cursor or ring the bell."""
    text = text.expandtabs(4)
    return "".join(c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def count(number: int, noun: str) -> str:
    """``1 test``, ``2 tests``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# --- one module -------------------------------------------------------------------------------------------


def headline(screen: Console, result: Result, width: int) -> Text:
    """The module's line: path, mark, how many of its tests pass, seconds."""
    style = "bold" if result.status in ("failed", "broken") else QUIET if result.status == "untouched" else ""
    says = {"untouched": "not started", "broken": "broken"}.get(result.status)
    says = says or f"{result.passed} of {result.total}"
    path = (f"{result.module:<{width}}  ", style)
    line = Text.assemble(path, mark(screen, result.status), (f" {says:<9}", MARKS[result.status][2]))
    return line if result.status == "untouched" else line.append(f" {result.seconds:.1f} s", QUIET)


def show_module(screen: Console, result: Result, width: int = 0, verbose: bool = False) -> None:
    """Everything about one graded module.

    Args:
        screen: where.
        result: of the module.
        width: columns for the path, so that several modules stand in a table.
        verbose: every test, and what the code printed.
    """
    show(screen, headline(screen, result, width))
    if verbose:
        _show_tests(screen, result)
    elif result.status == "failed":
        first = next(t for t in result.tests if t.outcome == "failed")
        _show_failure(screen, first, MOST_ROWS)
        more = sum(t.outcome == "failed" for t in result.tests) - 1
        if more:
            show(screen, Text(f"{count(more, 'more failing test')}: V=1 shows all", QUIET), 2)
    if result.status == "broken":
        show(screen, Text(clean(result.problem)), 2)
    if result.status == "started":
        show(screen, _next_blank(result), 2)
    for note in result.notes:
        show(screen, Text(clean(note), QUIET), 2)
    if verbose:
        _show_printed(screen, result)
    elif result.printed_bytes and result.status != "passed":
        show(screen, Text(f"your code printed {_bytes(result.printed_bytes)}: V=1 shows it", QUIET), 2)
    if result.blame:
        show(screen, _blames(result), 2)
        pair(screen, Text(f"{result.blame}.py"), command("check", result.blame), 2)
    elif result.status in ("failed", "started") or (result.status == "broken" and result.total):
        pair(screen, Text(_place(result)), command("hint", result.module), 2)
    elif result.status == "broken" and result.line:
        show(screen, _place(result), 2)


def _blames(result: Result) -> Text:
    """Whose fault it is on one's own stack, and whether that is a mistake or only not done yet."""
    todo = f"{result.blame.replace('/', '.')}: TODO "
    name = (result.blame, "bold")
    if any(todo in says for says in (result.problem, *(t.message for t in result.tests))):
        return Text.assemble("it passes on the reference stack: your ", name, " is not written yet")
    return Text.assemble("it passes on the reference stack: the fault is in your ", name)


def _show_failure(screen: Console, test: Test, rows: int, indent: int = 2) -> None:
    """What the failed ``test`` says: its headline, then up to ``rows`` - 1 lines of detail."""
    head, _, detail = clean(test.message).strip().partition("\n")
    show(screen, Text(head or test.error, "red"), indent, rows, hang=2)
    lines = dedent(detail).splitlines()
    if test.error != "AssertionError":  # then the message does not say what was computed
        own = next((i for i, line in enumerate(lines) if line.startswith(("called as ", "for "))), len(lines))
        kept = max(0, rows - 2 - (len(lines) - own)) if rows else own  # of the exception's further lines
        lines[min(kept, own) : own] = [f"in the test: {in_words(test.name)}"]
    for line in lines[: rows - 1] if rows else lines:
        yours, between, expected = line.partition("   expected ")
        if between and indent + 2 + len(line) > screen.width:  # the two values one below the other
            label, _, value = yours.partition(" ")
            show(screen, f"{label:<8} {value}", indent + 2, rows, hang=9)
            line = f"{'expected':<{max(8, len(label))}} {expected}"
        show(screen, line, indent + 2, rows, hang=2)


def _show_tests(screen: Console, result: Result) -> None:
    kinds = {"stub": "the stub", "learner": "your file", "reference": "the solution", "variant": "a variant",
             "missing": "no file"}  # fmt: skip
    source = result.provenance
    about = f"{source.file}, {kinds[source.kind]} {source.sha256[:8]}".rstrip()
    show(screen, Text(f"{about}; stack: {source.stack}", QUIET), 2)
    for test in result.tests:
        name, seconds = in_words(clean(test.name)), f"{test.seconds:.2f} s"
        show(screen, Text.assemble(mark(screen, test.outcome), f" {name}  ", (seconds, QUIET)), 2)
        if test.outcome == "failed":
            _show_failure(screen, test, rows=0, indent=4)
            if test.file:
                show(screen, Text(f"{test.file}:{test.line}", QUIET), 4)
    if result.total > len(result.tests):
        show(screen, Text(f"{count(result.total - len(result.tests), 'test')} did not run", QUIET), 2)


def _show_printed(screen: Console, result: Result) -> None:
    if not result.printed_bytes:
        return
    show(screen, Text(f"your code printed {_bytes(result.printed_bytes)}:", QUIET), 2)
    for line in clean(result.printed).splitlines():
        show(screen, line, 4)
    if len(result.printed.encode("utf-8", "replace")) < result.printed_bytes:
        show(screen, Text("... and so on", QUIET), 4)


TODO = re.compile(r"TODO (\d+) of (\d+), (\S+)")


def first_open(result: Result) -> tuple[int, int, str, int]:
    """The first blank that stopped a test: (1, 6, "Fold.forward", line), or zeros where none is known."""
    found = [(int(m[1]), int(m[2]), m[3], t.line) for t in result.tests if (m := TODO.search(t.message))]
    return min(found, default=(0, 0, "", 0))


def _next_blank(result: Result) -> Text:
    number, total, name, _ = first_open(result)
    if not number:
        return Text("nothing is wrong so far")
    return Text.assemble("nothing is wrong so far; next: ", (name, "bold"), f", blank {number} of {total}")


def _place(result: Result) -> str:
    """Where to look: the line of the first failure, of the next blank or of the problem, if it is known."""
    line, file = result.line, result.provenance.file
    if result.status == "failed":
        test = next(t for t in result.tests if t.outcome == "failed")
        line, file = test.line, test.file or file
    elif result.status == "started":
        line = first_open(result)[3]
    return f"{file}:{line}" if line else file


def _bytes(number: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return count(number, "byte")


# --- many modules -----------------------------------------------------------------------------------------


class Report:
    """Shows modules in course order while they are graded in any order.

    Args:
        screen: where.
        modules: all that will be graded.
        stack: what they import; said where it is not the usual.
        verbose: every test, and what the code printed.
    """

    def __init__(
        self, screen: Console, modules: Sequence[Module], stack: str = "reference", verbose: bool = False
    ):
        self.screen, self.verbose = screen, verbose
        self.heading = {"mine": "On your own stack:", "solutions": "The solutions:"}.get(stack, "")
        self.waiting = [m.path for m in modules]  # not shown yet
        self.held: dict[str, Result] = {}  # graded, but an earlier one is not
        self.width = max((len(path) for path in self.waiting), default=0)
        self.total, self.graded = len(modules), 0
        self.apart = False  # the block above had details: leave a row empty
        self._wait()

    def add(self, result: Result) -> None:
        """Show ``result``, as soon as all before it are shown. Modules that nobody touched get no line."""
        self.graded += 1
        self.held[result.module] = result
        self._clear()
        while self.waiting and self.waiting[0] in self.held:
            self._show(self.held.pop(self.waiting.pop(0)))
        self._wait()

    def end(self) -> None:
        """Take the line away that says what is being graded."""
        self._clear()

    def _show(self, result: Result) -> None:
        if result.status == "untouched":
            return
        if self.heading:
            show(self.screen, Text(self.heading, QUIET))
            self.heading = ""
        plain = result.status == "passed" and not self.verbose and not result.notes
        if self.apart and not plain:
            show(self.screen)
        show_module(self.screen, result, self.width, self.verbose)
        if not plain:
            self.apart = True

    def _wait(self) -> None:
        if self._live and self.graded < self.total:
            rest = f", {self.graded} of {self.total} done" if self.total > 1 else ""
            self.screen.file.write(f"\r\x1b[2mgrading {self.waiting[0]}{rest}\x1b[0m")
            self.screen.file.flush()

    def _clear(self) -> None:
        if self._live:
            self.screen.file.write("\r\x1b[2K")

    @property
    def _live(self) -> bool:
        return bool(self.screen.is_terminal and self.screen.color_system and not self.screen.legacy_windows)


def summary(results: Iterable[Result], seconds: float) -> Text:
    """``3 of 15 modules passed, 1 failed, 2 started, 9 not started   2.1 s``."""
    number = Counter(r.status for r in results)
    passed = f"{number['passed']} of {count(number.total(), 'module')} passed"
    text = Text.assemble((passed, "green" if number["passed"] else ""))
    for amount, says, style in (
        (number["failed"] + number["broken"], "failed", "red"),
        (number["started"], "started", "yellow"),
        (number["untouched"], "not started", QUIET),
    ):
        if amount:
            text.append(", ").append(f"{amount} {says}", style)
    return text.append(f"   {seconds:.1f} s", QUIET)


# --- as data ----------------------------------------------------------------------------------------------


def as_data(results: Iterable[Result], course: Course) -> dict[str, object]:
    """What ``--json`` writes: every result with its provenance.

    Raises:
        ValueError: a result does not say which file was graded.
    """
    results = list(results)
    for result in results:
        if not result.provenance.file:
            raise ValueError(f"the result of {result.module} has no provenance: it cannot be exported")
    return {"schema": SCHEMA, "results": [r.as_dict() for r in results]}


def write_json(results: Iterable[Result], course: Course, target: str) -> None:
    """Write `as_data` to the file ``target``, entirely or not at all; "-" is standard output."""
    from curriculum import store

    data = as_data(results, course)
    if target == "-":
        import json

        print(json.dumps(data, indent=1, sort_keys=True))
    else:
        store.write_json(Path(target).absolute(), data, course.root)
