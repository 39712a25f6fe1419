"""What ends a phase: a real training run, in a process of its own, on the stack that was asked for.

    run      called by the command line: starts the child and hands on its exit code
    child    inside that process: the overlay, then the script, then a sentence for whatever went wrong
    stack    inside that process: whose code the run used, for the record

A script is a module with ``main(arguments) -> exit code``: 0 the goal was reached, 1 it was not.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from curriculum import performance
from curriculum.datasets.store import DataError
from curriculum.manifest import Course, Milestone, UnknownName, load
from curriculum.overlay import Overlay, install
from curriculum.stubs import stub_of

REACHED, NOT_REACHED, USAGE, OUR_FAULT, INTERRUPTED = 0, 1, 2, 3, 130
ENDED = 64  # the child adds it to its code: os._exit(0) in a learner's file must not look like a goal reached

# -P, and the root last: a learner's numpy.py beside the workspace must not stand in for the real one.
BOOT = """
import sys
root = sys.argv[1]
sys.path.append(root)
from curriculum.milestone import ENDED, child
sys.exit(ENDED + child(*sys.argv[1:]))
"""


def run(
    course: Course, phase: int | str, *, stack: str = "mine", name: str = "", arguments: Sequence[str] = ()
) -> int:
    """Run the milestone that ends ``phase`` and return its exit code.

    Args:
        course: the course.
        phase: its number.
        stack: "mine", "reference" or "solutions": whose code the network runs on.
        name: which one, where a phase has several: the last part of the script's name; default: all in order.
        arguments: for the script: ``["--seed", "1"]``.

    Returns:
        0 the goal was reached, 1 it was not or the learner's code stopped, 2 bad arguments, 3 our fault,
        130 interrupted.

    Raises:
        UnknownName: there is no such phase or milestone, or it is not built yet.
    """
    for milestone in _chosen(course, phase, name):
        code = run_script(course, milestone.script, stack, arguments)
        if code != REACHED:
            return code
    return REACHED


def _chosen(course: Course, phase: int | str, name: str) -> list[Milestone]:
    number = course.phase(phase).number
    built = [m for m in course.phase(phase).milestones if m.script]
    if not built:
        raise UnknownName(f"the milestone of phase {number} is planned but not built yet")
    names = [m.script.rpartition(".")[2] for m in built]
    if name and name not in names:
        raise UnknownName(f"phase {number} has no milestone '{name}': it has {', '.join(names)}")
    return [m for m, n in zip(built, names, strict=True) if name in ("", n)]


def run_script(course: Course, script: str, stack: str, arguments: Sequence[str]) -> int:
    """Run one script in a process of its own and return its exit code; all as `run` has it."""
    command = [sys.executable, "-P", "-c", BOOT, str(course.root), stack, script, *arguments]
    process = subprocess.Popen(command, cwd=course.root, env=performance.blas_environment())
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:  # the child got the same signal and is writing down what it has
            continue
    if code >= ENDED:
        return code - ENDED
    died = f"signal {-code}" if code < 0 else f"exit code {code}"
    sys.stderr.write(f"The run ended without a verdict ({died}): the process was killed or crashed.\n")
    return NOT_REACHED


def child(root: str, mode: str, script: str, *arguments: str) -> int:
    """Run ``script`` in this process, in which nothing of the course has been imported yet."""
    course = load(Path(root))
    install(Overlay(course.root, course.packages, mode))
    performance.reuse_memory()
    try:
        entry = importlib.import_module(script)
        missing = [path for path, module in _loaded(course).items() if module["kind"] == "reference"]
        if mode == "mine" and missing:
            fix = f"make reset MODULE={missing[0]} brings its stub back"
            return _stop(
                f"A run on your own stack needs {missing[0]}.py, which is missing: {fix}.", NOT_REACHED
            )
        code: int = entry.main(list(arguments))
        return code
    except KeyboardInterrupt:
        return _stop("Stopped before the run began.", INTERRUPTED)
    except DataError as error:
        return _stop(str(error), OUR_FAULT)
    except (Exception, SystemExit) as error:
        sentence = explain(course, error)
        if sentence:
            return _stop(sentence, NOT_REACHED)
        if isinstance(error, SystemExit):  # argparse has said what it had to say
            return REACHED if error.code in (0, None) else USAGE
        if isinstance(error, OSError):
            return _stop(f"The run stopped, as a file cannot be used: {error}.", OUR_FAULT)
        if mode == "mine":
            return _stop(f"{_unusable(course, error)} To find the module: make check STACK=mine", NOT_REACHED)
        traceback.print_exc()
        return OUR_FAULT


def _stop(sentence: str, code: int) -> int:
    sys.stderr.write(sentence + "\n")
    return code


def explain(course: Course, error: BaseException) -> str:
    """What went wrong in the learner's files and how to go on, in a sentence; empty if it was not there."""
    blank = re.match(r"([\w.]+): TODO \d+ of \d+, (.+)$", str(error))
    if isinstance(error, NotImplementedError) and blank:
        path = blank[1].replace(".", "/")
        todo = f"Your {path}.py is not finished: {blank[2]} is still to be written."
        return f"{todo} Continue with: make check MODULE={path}"
    file, line = _place(course, error)
    if not file:
        return ""
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    path = file.removesuffix(".py")
    command = f" Continue with: make check MODULE={path}" if path in {m.path for m in course.modules} else ""
    return f"Your {file} stopped the run at line {line} with {what.rstrip('.')}.{command}"


def _unusable(course: Course, error: BaseException) -> str:
    """A learner's code returned, and what it returned made the script stop: where, and with what."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    name = Path(last.filename)
    shown = name.relative_to(course.root).as_posix() if name.is_relative_to(course.root) else name.name
    what = f"{type(error).__name__}: {error}".rstrip(".")
    return f"The run stopped at {shown}:{last.lineno} because of what your code had returned ({what})."


def _place(course: Course, error: BaseException) -> tuple[str, int]:
    """The deepest line of the learner's own files on the way to ``error``, or ("", 0)."""
    places = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno or 0))
    if isinstance(error, ImportError) and error.path:  # "cannot import name": what lacks it, not who asked
        places.append((error.path, 1))
    for name, line in reversed(places):
        try:
            file = Path(name).resolve().relative_to(course.root)
        except ValueError:
            continue
        if file.parts[0] in course.packages:
            return file.as_posix(), line
    return "", 0


def stack() -> dict[str, object]:
    """Whose code this process uses: the mode, and the file behind each module of the course.

    Returns:
        ``{"mode": ..., "modules": {path: {"file", "kind", "sha256"}}}`` of all modules that were imported;
        kind is "stub", "learner" or "reference".
    """
    overlay = next((f for f in sys.meta_path if isinstance(f, Overlay)), None)
    modules = _loaded(load(overlay.root if overlay else None))
    return {"mode": overlay.mode if overlay else "mine", "modules": modules}


def _loaded(course: Course) -> dict[str, dict[str, str]]:
    stubs = {m.name: m for m in course.modules}
    modules = {}
    for name, loaded in sorted(sys.modules.items()):
        if name.partition(".")[0] not in course.packages or hasattr(loaded, "__path__"):
            continue
        file = Path(str(loaded.__file__))
        content = file.read_bytes()
        kind = "learner"
        if file.is_relative_to(course.root / "solutions"):
            kind = "reference"
        elif name in stubs and content == stub_of(course, stubs[name]).encode():
            kind = "stub"
        at_import = getattr(loaded.__loader__, "sha256", "")  # the file may have changed since
        modules[name.replace(".", "/")] = {
            "file": file.relative_to(course.root).as_posix(),
            "kind": kind,
            "sha256": at_import or hashlib.sha256(content).hexdigest(),
        }
    return modules
