"""From an exception to a sentence for the learner: what happened, and in which line of their file."""

from __future__ import annotations

import ast
import difflib
import linecache
import os
import re
import textwrap
import tokenize
import traceback
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from curriculum.runner import Job

LONGEST = 2_000  # characters of a message: enough for two small arrays
RULES = {"forward", "backward"}  # the methods of a class that is one operation of the graph
NO_NAME = (
    r"cannot import name '(?P<name>\w+)' from (?P<partial>partially initialized module )?'(?P<module>[\w.]+)'"
)


def verdict(error: BaseException | None, item: pytest.Item, job: Job) -> dict[str, object]:
    """Outcome, class, message and place of one test's end, as `results.Test` wants them."""
    if error is None:
        return {"outcome": "passed"}
    error = _innermost(error)
    if any(_is_todo(e, job) for e in _chain(error)):
        todo = next(e for e in _chain(error) if _is_todo(e, job))
        place = {"file": job.shown, "line": deepest(todo, job.file)}
        return {"outcome": "todo", "error": "NotImplementedError", "message": text_of(todo), **place}
    file, line = _place(error, job)
    message = _message(error, job)
    if not line:
        line = _named_blank(message.partition("\n")[0], item.name, job)
        file = job.shown if line else ""
    failure = {"error": type(error).__name__, "message": message, "file": file, "line": line}
    return {"outcome": "failed", **failure}


def kills(verdict: dict[str, object]) -> bool:
    """Whether a test refused by an assertion that says something: what a mutant has to die of."""
    message = str(verdict.get("message", ""))
    asserted = verdict["outcome"] == "failed" and verdict.get("error") == "AssertionError"
    return asserted and bool(message.strip()) and not message.startswith("assert ")


def text_of(error: BaseException) -> str:
    """``str(error)``, which may itself be the learner's code, cut to a bearable length."""
    try:
        text = str(error).strip()
    except Exception as other:
        text = f"(its message cannot be read: {type(other).__name__})"
    return text if len(text) <= LONGEST else text[:LONGEST] + " ..."


def deepest(error: BaseException, file: str) -> int:
    """The last line of ``file`` on the way to ``error``, 0 if it was not there at all."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno or 0
    return next((line for name, line in reversed(_frames(error)) if name == file), 0)


def _message(error: BaseException, job: Job) -> str:
    name, text = type(error).__name__, text_of(error)
    if isinstance(error, AssertionError):
        if not text.startswith(
            "assert "
        ):  # pytest's own rendering of the condition follows what the suite says
            text = re.split(r"\nassert ", text)[0]
        return text + _example(error)
    if isinstance(error, SystemExit):
        return f"called sys.exit({error.code!r}): a function returns or raises, it never ends the program"
    if isinstance(error, MemoryError):
        return f"ran out of memory: {text or 'more than the limit for one module'}"
    if isinstance(error, RecursionError):
        return f"calls itself without end (RecursionError: {text.partition(' while')[0]})" + _example(error)
    if name.startswith("Flaky"):
        return "gives different results when it is called twice with the same input"
    if name == "Skipped":
        return f"the suite skipped a test, which it must never do: {text}"
    missing = _missing_name(error, job)
    if missing:
        return missing
    if isinstance(error, NotImplementedError) and "TODO" in text:
        return f"needs a blank that is still open: {text}"
    where = ""
    if not _place(error, job)[1] and _frames(error):
        file, line = _frames(error)[-1]
        where = f" (at `{linecache.getline(file, line).strip()}` of {_shown(file, job)}:{line})"
    text = text.replace("\n", "\n  ")
    return f"raised {name}: {text}{where}{_call(error, job)}{_example(error)}"


def _call(error: BaseException, job: Job) -> str:
    """The expression of the suite in which ``error`` came up, on a line of its own: what was called."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == job.suite]
    if not frames or not _place(error, job)[1]:
        return ""
    f = frames[-1]
    first = f.lineno or 0
    lines = [linecache.getline(f.filename, n) for n in range(first, (f.end_lineno or first) + 1)]
    if len(lines) == 1 and f.colno is not None and f.end_colno is not None:
        lines = [lines[0].encode()[f.colno : f.end_colno].decode(errors="replace")]
    return f"\n  called as {' '.join(' '.join(lines).split())}"[:110]


def _example(error: BaseException) -> str:
    """What hypothesis adds to an exception, its smallest failing input, in one line."""
    for note in getattr(error, "__notes__", ()):
        call = re.match(r"(?:Falsifying|Failing) [\w ]+: \w+\((.*)\)", note, re.DOTALL)
        if call:
            return "\n  for " + " ".join(re.sub(r"#.*", "", call[1]).split()).rstrip(",")
    return ""


def _innermost(error: BaseException) -> BaseException:
    if isinstance(error, BaseExceptionGroup) and not type(error).__name__.startswith("Flaky"):
        return _innermost(error.exceptions[0])
    return error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what it came from; at most ten, in case somebody made a ring of them."""
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _is_todo(error: BaseException, job: Job) -> bool:
    if not (isinstance(error, NotImplementedError) and "TODO" in text_of(error)):
        return False
    frames = _frames(error)
    return bool(frames) and frames[-1][0] == job.file


def _frames(error: BaseException) -> list[tuple[str, int]]:
    return [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]


def _place(error: BaseException, job: Job) -> tuple[str, int]:
    """The deepest line of the graded file, else of another workspace file; ("", 0) if it was in neither."""
    line = deepest(error, job.file)
    if line:
        return job.shown, line
    for file, number in reversed(_frames(error)):
        shown = _shown(file, job)
        if shown.partition("/")[0] in job.packages:
            return shown, number
    return "", 0


def _shown(file: str, job: Job) -> str:
    try:
        return Path(os.path.relpath(file, job.root)).as_posix()
    except ValueError:  # another drive
        return file


def _named_blank(headline: str, test: str, job: Job) -> int:
    """Where to look when a value is wrong: the line of the blank that ``headline`` or ``test`` names, else 0.

    A wrong line costs more than none: a function that uses another blank is not pointed at, the fault may be
    in either.
    """
    from curriculum.stubs import functions

    written = {dotted: node for node, dotted in functions(ast.parse(Path(job.file).read_bytes()))}
    blanks = [blank for blank in job.blanks if blank in written]
    blank = _method_named(headline, blanks)
    if not blank:
        blank = _function_named(headline, test, [b for b in blanks if "." not in b])
        others = {b.partition(".")[0] for b in job.blanks if b != blank}
        if blank and any(isinstance(n, ast.Name) and n.id in others for n in ast.walk(written[blank])):
            return 0
    return written[blank].lineno if blank else 0


def _method_named(headline: str, blanks: list[str]) -> str:
    """``Mul.backward`` of "Mul.backward returned" and "gradient of mul with", ``Mul.forward`` of "mul of"."""
    methods = [b for b in blanks if "." in b]
    named = [b for b in methods if re.search(rf"(?<![\w.]){re.escape(b)}(?!\w)", headline)]
    if named:
        return named[0] if len(named) == 1 else ""
    slope = re.match(r"(?:gradient|second derivative) of (\w+) (?:with|at)\b", headline)
    word = slope[1] if slope else re.split(r"\W", headline, maxsplit=1)[0]
    owned: dict[str, set[str]] = {}
    for owner, _, method in (b.partition(".") for b in methods):
        owned.setdefault(owner, set()).add(method)
    if word in blanks or owned.get(word, RULES) != RULES:  # the word means something else
        return ""
    for owner, own in owned.items():
        if owner.lower().removesuffix("function") == word.replace("_", "").lower() and own == RULES:
            return f"{owner}.backward" if slope else f"{owner}.forward"
    return ""


def _function_named(headline: str, test: str, functions: list[str]) -> str:
    """``softmax`` of "softmax of rows" and "test_softmax"; a name of one word may mean anything elsewhere."""
    if re.search("gradient|derivative|slope", headline + test):
        return ""
    words = re.findall(r"\w+", headline)
    said = [f for f in functions if f in (words if "_" in f else words[:1])]
    if len(said) == 1:
        return said[0]
    name = test.removeprefix("test_").partition("[")[0]
    said = [f for f in functions if f in words or re.search(rf"(?:^|_){f}(?:_|$)", name)]
    return said[0] if len(said) == 1 and re.match(rf"{said[0]}(?!.*_and_)(?:_|$)", name) else ""


def _missing_name(error: BaseException, job: Job) -> str:
    """A sentence if ``error`` says that a course module lacks something; else nothing."""
    if isinstance(error, ImportError):
        found = re.match(NO_NAME, text_of(error))
        wanted, module = found.group("name", "module") if found else ("", "")
    elif isinstance(error, AttributeError):
        found = re.match(
            r"(?:partially initialized )?module '([\w.]+)' has no attribute '(\w+)'", text_of(error)
        )
        module, wanted = found.groups() if found else ("", "")
    else:
        return ""
    if module.partition(".")[0] not in job.packages:
        return ""
    file = f"{module.replace('.', '/')}.py"
    near = ""
    if module == job.name:
        tree = ast.parse(Path(job.file).read_bytes())
        defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        close = difflib.get_close_matches(wanted, defined, 1)
        near = f" to '{close[0]}'" if close else ""
    return f"{file} has no '{wanted}': the suite needs it (was it renamed{near}?)"


def unreadable(source: bytes, shown: str) -> tuple[str, int] | None:
    """Why ``source`` is no Python text: a sentence and its line; None if it compiles."""
    if b"\0" in source:
        line = source[: source.index(b"\0")].count(b"\n") + 1
        return f"{shown} contains a NUL byte: it is not a text file", line
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
        text = source.decode(encoding)
    except UnicodeDecodeError as error:
        line = source[: error.start].count(b"\n") + 1
        return f"{shown} is not UTF-8 text: byte 0x{source[error.start]:02x}", line
    except SyntaxError as error:
        return f"{shown} is not UTF-8 text: {error}", 1
    try:
        compile(text, shown, "exec", dont_inherit=True)
    except SyntaxError as error:
        broken = textwrap.shorten(error.text or "", 60, placeholder=" ...")
        return f"{shown} is not valid Python: {error.msg}" + (
            f": `{broken}`" if broken else ""
        ), error.lineno or 0
    except (RecursionError, MemoryError):
        return f"{shown} is nested too deeply for Python to read", 0
    return None


def failed_import(error: BaseException, job: Job) -> tuple[str, int]:
    """Why the graded module could not be imported: a sentence and its line."""
    error = _innermost(error)
    line, text, name = deepest(error, job.file), text_of(error), type(error).__name__
    files = _course_files(error, job)
    file = files[-1] if files else job.shown  # the one at fault may be another, imported on the way
    if isinstance(error, ModuleNotFoundError):
        return f"{file} imports '{error.name}', and there is no such module", line
    if isinstance(error, ImportError):
        found = re.match(NO_NAME, text)
        if found and found["partial"]:
            return _circle(files or [job.shown], found["name"], found["module"]), line
        if found:
            return f"{file} imports '{found['name']}' from '{found['module']}', which has no such name", line
        return f"{file} cannot be imported: {text}", line
    if isinstance(error, SystemExit):
        return f"{file} calls sys.exit({error.code!r}) when it is imported", line
    if isinstance(error, SyntaxError):
        return (
            f"{file} imports {_shown(str(error.filename), job)}, which is not valid Python: {error.msg}",
            line,
        )
    if isinstance(error, MemoryError):
        return f"{file} runs out of memory when it is imported: {text or 'more than the limit'}", line
    if isinstance(error, RecursionError):
        return f"{file} calls itself without end when it is imported", line
    return f"{file} raises {name} when it is imported: {text}", line


def _course_files(error: BaseException, job: Job) -> list[str]:
    """The course's files on the way to ``error``, each once, as they imported one another."""
    shown = [job.shown if name == job.file else _shown(name, job) for name, _ in _frames(error)]
    ours = {*job.packages, "solutions"}
    return list(dict.fromkeys(s for s in shown if s == job.shown or s.partition("/")[0] in ours))


def _circle(files: list[str], wanted: str, module: str) -> str:
    """What to say of ``files`` that import one another, the last ``wanted`` from a ``module`` half done."""
    others = "".join(f"{file}, which imports " for file in files[1:])
    ring = f"a circular import: {files[0]} imports {others}'{wanted}' from {module} before that is complete"
    if files[-1].startswith("solutions/"):
        return ring
    package, _, leaf = module.rpartition(".")
    return f"{ring}; in {files[-1]}, `from {package} import {leaf}` will do"


def failed_collection(error: BaseException, job: Job) -> str:
    """Why the suite found no tests, when the module itself could be imported."""
    for link in _chain(error):
        missing = _missing_name(link, job)
        if missing:
            return missing
    cause = list(_chain(error))[-1] if error.__cause__ else error
    return f"the suite could not be loaded: {type(cause).__name__}: {text_of(cause)}"
