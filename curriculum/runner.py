"""Grade modules: one child process each, whatever a learner's file does to it.

The parent never imports course code. It decides what can be told without running anything (the file is the
stub, is missing), starts a child for the rest, and reads the child's journal when that has ended.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from dataclasses import replace as changed
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from curriculum.manifest import Course, CourseError, Module
from curriculum.results import Provenance, Result, Status, Test, in_words
from curriculum.stubs import stub_of

TEST_SECONDS = 10.0
MODULE_TESTS = 6  # a whole module may take as long as so many tests
MEMORY = 4 << 30  # bytes that one module may take beyond what the interpreter needs
GRACE = 2.0  # seconds after which the parent ends a child whose own watchdog did not
PRINTED_LIMIT = 20_000  # characters of what a module prints that are kept
PRELOAD = (
    "numpy numpy.random pytest faulthandler json tokenize resource _pytest.helpconfig _pytest.tracemalloc "
    "_pytest.warnings _pytest._argcomplete curriculum.testing curriculum.worker"
).split()


@dataclass(frozen=True)
class Job:
    """All that a child process needs to know. Plain data: it travels to the child."""

    root: str
    packages: tuple[str, ...]
    path: str  # of the module: nn_core/layers/linear
    file: str  # the file that is graded, absolute
    shown: str  # the same for a person: relative to the root
    kind: str  # of the file, as in `Provenance`
    suite: str
    blanks: tuple[str, ...]
    stack: str
    test_seconds: float
    module_seconds: float
    replace: dict[str, str] = field(default_factory=dict)
    lesson: str = ""  # instead of the suite: a lesson whose code blocks are run
    until_killed: bool = False  # stop at the first assertion that fails
    examples: int = 0  # for each property; 0: the suite needs no hypothesis
    shrink: bool = True  # look for the smallest failing example
    memory: int = MEMORY
    scratch: str = ""  # the child's folder
    key: str = ""  # stands in every entry of the child's journal, so that nobody else's counts
    label: str = ""  # what the one who asks calls it

    @property
    def name(self) -> str:
        return self.path.replace("/", ".")


def grade(
    course: Course,
    modules: Iterable[Module],
    *,
    stack: str = "reference",
    replace: Mapping[str, Path] | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    stop: Callable[[], bool] | None = None,
    on_result: Callable[[Result], object] | None = None,
) -> list[Result]:
    """Grade ``modules``, at the same time as far as there are processors; results in the order given.

    Args:
        stack: "reference", "mine" or "solutions", see `curriculum.overlay`.
        replace: dotted module name -> the file to take instead.
        jobs: children at a time; default one a processor.
        timeout: seconds for one test (10); a whole module may take six times as long.
        stop: asked several times a second; true ends all children and returns what is there so far.
        on_result: called with each result as soon as it is known.

    Raises:
        CourseError: the course lacks a suite or a solution.
    """
    modules = tuple(modules)
    found: dict[str, Result] = {}
    results = stream(course, modules, stack=stack, replace=replace, jobs=jobs, timeout=timeout, stop=stop)
    with closing(results):  # so that an interruption ends the children before it travels on
        for result in results:
            found[result.module] = result
            if on_result:
                on_result(result)
    return [found[m.path] for m in modules if m.path in found]


def stream(
    course: Course,
    modules: Iterable[Module],
    *,
    stack: str = "reference",
    replace: Mapping[str, Path] | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    stop: Callable[[], bool] | None = None,
) -> Generator[Result, None, None]:
    """`grade`, one result at a time as each becomes known. Closing the generator ends the children."""
    modules = tuple(modules)
    for module in modules:
        if not course.suite_file(module).is_file():
            raise CourseError(f"{module.path}: there is no suite at {module.suite}")
    if any(_needs_child(*_file(course, m, stack, replace or {}), m) for m in modules):
        warm(course, modules)  # the server starts while stubs are generated here
    plan = (_plan(course, m, stack, replace or {}, timeout) for m in modules)
    known: dict[str, Result] = {}  # on the reference stack, for `_blame`
    with closing(run(plan, jobs, stop)) as runs:
        for _, result in runs:
            if stack == "mine" and result.status in ("failed", "broken"):
                blame = _blame(course, result, known, jobs, timeout)
                result = changed(result, blame=blame)
            yield result


def _blame(
    course: Course, result: Result, known: dict[str, Result], jobs: int | None, timeout: float | None
) -> str:
    """The prerequisite at fault when a module, as ``result`` says, fails only on the learner's own stack.

    That is the one whose open blank was met, else the nearest one without which the module fails though the
    solutions stand in for all the others that fail.
    """
    module = course.module(result.module)

    def graded(wanted: list[Module]) -> list[Result]:
        unknown = [m for m in wanted if m.path not in known]
        known.update({r.module: r for r in grade(course, unknown, jobs=jobs, timeout=timeout)})
        return [known[m.path] for m in wanted]

    if graded([module])[0].status != "passed":
        return ""
    suspects = [r.module for r in graded(course.prerequisites(module)) if r.status != "passed"]
    said = [result.problem, *(t.message for t in result.tests if t.outcome == "failed")]
    met = [s for text in said for s in suspects if f"{s.replace('/', '.')}: TODO " in text]
    if met:
        return met[0]

    def cured(by: list[str]) -> bool:
        files = {m.name: course.solution_file(m) for m in map(course.module, by)}
        with closing(run([_plan(course, module, "mine", files, timeout)], jobs)) as runs:
            return all(result.status == "passed" for _, result in runs)

    if not suspects or not cured(suspects):
        return ""
    return next((s for s in suspects if not cured([o for o in suspects if o != s])), suspects[0])


def _needs_child(file: Path, kind: str, module: Module) -> bool:
    """Whether grading ``file`` will surely take a child process; known without generating the stub."""
    try:
        return kind != "learner" or not _stub_like(module, file.read_bytes())
    except OSError:
        return False


def is_untouched(course: Course, module: Module, source: bytes) -> bool:
    """Whether ``source`` still is the stub of ``module``, comments and layout aside."""
    if not _stub_like(module, source):
        return False
    text, stub = source.decode("utf-8").replace("\r\n", "\n"), stub_of(course, module)
    if text == stub:
        return True
    try:
        return ast.dump(ast.parse(text)) == ast.dump(ast.parse(stub))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _stub_like(module: Module, source: bytes) -> bool:
    """Whether every blank's TODO is still there; only then is it worth making the stub to compare with."""
    try:
        text = source.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(f"TODO {i} of {len(module.blanks)}, {b}" in text for i, b in enumerate(module.blanks, 1))


def _file(course: Course, module: Module, stack: str, replace: Mapping[str, Path]) -> tuple[Path, str]:
    """The file to grade as ``module``, and what kind of file that is."""
    if module.name in replace:
        return Path(replace[module.name]), "variant"
    if stack == "solutions":
        return course.solution_file(module), "reference"
    return course.workspace_file(module), "learner"


def _plan(
    course: Course, module: Module, stack: str, replace: Mapping[str, Path], timeout: float | None
) -> Job | Result:
    """The job of a child, or the result where none is needed."""
    file, kind = _file(course, module, stack, replace)
    shown = _shown(course.root, file)
    try:
        source = file.read_bytes()
    except OSError as error:
        sentence = f"{shown} cannot be read: {error.strerror}"
        if isinstance(error, FileNotFoundError):
            sentence = f"{shown} is missing: `make reset MODULE={module.path}` brings the stub back"
        elif file.is_dir():
            sentence = f"{shown} is a directory, expected a file"
        return Result(module.path, "broken", Provenance(shown, "missing", "", stack), problem=sentence)  # type: ignore[arg-type]
    if kind == "learner" and is_untouched(course, module, source):
        there = Provenance(shown, "stub", hashlib.sha256(source).hexdigest(), stack)  # type: ignore[arg-type]
        return Result(module.path, "untouched", there)
    return job(course, module, file, kind, stack, replace=replace, timeout=timeout)


def job(
    course: Course,
    module: Module,
    file: Path,
    kind: str,
    stack: str,
    *,
    replace: Mapping[str, Path] | None = None,
    timeout: float | None = None,
) -> Job:
    """The job of grading ``file`` as ``module``."""
    seconds = timeout or TEST_SECONDS
    return Job(
        root=str(course.root),
        packages=tuple(sorted(course.packages)),
        path=module.path,
        file=str(file),
        shown=_shown(course.root, file),
        kind=kind,
        suite=str(course.suite_file(module)),
        blanks=module.blanks,
        stack=stack,
        replace={name: str(path) for name, path in (replace or {}).items()},
        examples=_examples() if needs_hypothesis(course, module) else 0,
        test_seconds=seconds,
        module_seconds=seconds * MODULE_TESTS,
    )


def _shown(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else str(file)


def _examples() -> int:
    return 500 if os.environ.get("HYPOTHESIS_PROFILE") == "thorough" else 25


def needs_hypothesis(course: Course, module: Module) -> bool:
    """Whether the suite uses hypothesis: its import costs 0.2 s, so nobody else pays for it."""
    try:
        text = course.suite_file(module).read_bytes()
    except OSError:
        return False
    return b"hypothesis" in text or b"strategies" in text


# The children.


def _context() -> multiprocessing.context.BaseContext:
    """Forks of a server with numpy and pytest loaded where the platform is good at it, else new processes."""
    return multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")


def warm(course: Course, modules: Iterable[Module]) -> None:
    """Start the server that children are forked from, without waiting for it. Elsewhere: nothing to do."""
    context = _context()
    if context.get_start_method() == "forkserver":
        from multiprocessing import forkserver

        wanted = (
            ["hypothesis", "curriculum.testing.strategies"]
            if any(needs_hypothesis(course, m) for m in modules)
            else []
        )
        context.set_forkserver_preload([*PRELOAD, *wanted])
        with _clean_start(course.root):
            forkserver.ensure_running()


@contextmanager
def _clean_start(root: Path) -> Iterator[None]:
    """What children inherit: one BLAS thread, bytecode caches, and an import path that ends with the root.

    A numpy.py in the workspace must not be found before the real one, and the current folder not at all.
    """
    environment, path = dict(os.environ), list(sys.path)
    outside = [p for p in path if os.path.realpath(p or ".") != os.path.realpath(root)]
    folders = [p for p in environment.get("PYTHONPATH", "").split(os.pathsep) if p and p in outside]
    os.environ.update(
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        PYTHONSAFEPATH="1",
        PYTHONHASHSEED="0",
        PYTHONPATH=os.pathsep.join(folders),
    )
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.path[:] = [*outside, str(Path(__file__).resolve().parents[1])]
    try:
        yield
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(environment)


def child(job: Job) -> None:
    """The first function of a child process."""
    from curriculum import worker  # numpy and pytest: never in the parent

    worker.main(job)


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    began: float
    expired: bool = False

    @property
    def deadline(self) -> float:
        if self.expired:
            return math.inf
        return self.began + self.job.module_seconds + GRACE


def run(
    plan: Iterable[Job | Result], jobs: int | None = None, stop: Callable[[], bool] | None = None
) -> Generator[tuple[Job | None, Result], None, None]:
    """Run each job of ``plan`` in a child, ``jobs`` at a time; what is a result already passes through."""
    width = jobs or len(
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    waiting, exhausted = iter(plan), False
    running: dict[int, _Running] = {}
    folder = Path(tempfile.mkdtemp(prefix="curriculum-"))
    try:
        while running or not exhausted:
            while not exhausted and len(running) < width:
                item = next(waiting, None)
                if item is None:
                    exhausted = True
                elif isinstance(item, Result):
                    yield None, item
                else:
                    scratch, key = tempfile.mkdtemp(dir=folder), os.urandom(8).hex()
                    started = _start(changed(item, scratch=scratch, key=key))
                    running[started.process.sentinel] = started
            if stop and stop():
                return
            now = time.monotonic()
            patience = min((r.deadline for r in running.values()), default=now) - now
            patience = min(max(patience, 0.0), 0.1 if stop else 3600.0)
            for sentinel in connection.wait(list(running), patience) if running else ():
                ended = running.pop(sentinel)  # type: ignore[arg-type]
                ended.process.join(GRACE)
                _kill(ended.process)  # and whatever it left running
                ended.process.join()
                yield ended.job, _result(ended)
                shutil.rmtree(ended.job.scratch, ignore_errors=True)
            for late in [r for r in running.values() if r.deadline <= time.monotonic()]:
                late.expired = True
                _kill(late.process)
    finally:
        for left in running.values():
            _kill(left.process)
            left.process.join()
        shutil.rmtree(folder, ignore_errors=True)


def _start(job: Job) -> _Running:
    process = _context().Process(target=child, args=(job,), daemon=True)  # type: ignore[attr-defined]
    with _clean_start(Path(job.root)):
        process.start()
    return _Running(job, process, time.monotonic())


def _kill(process: BaseProcess) -> None:
    """End a child and every process that it started."""
    if hasattr(os, "killpg") and process.pid:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.exitcode is None:
        process.kill()


# From a journal to a result.


def _result(ended: _Running) -> Result:
    job, scratch = ended.job, Path(ended.job.scratch)
    events = list(_journal(scratch / "journal", job.key))
    by_kind: dict[str, list[dict]] = {}
    for event in events:
        by_kind.setdefault(event["event"], []).append(event)
    tests = tuple(_test(e) for e in by_kind.get("test", ()))
    names = [n for e in by_kind.get("collected", ()) for n in e["names"]]
    total = len(names) + sum(t.name == "import" for t in tests)
    orderly = ended.process.exitcode == 0 and bool(events) and events[-1]["event"] == "done"
    problem, line = "", 0
    if by_kind.get("problem"):
        problem, line = by_kind["problem"][0]["text"], by_kind["problem"][0]["line"]
    elif not orderly:
        problem, line = _death(ended, by_kind)
    elif not names and not job.lesson:
        problem = "the suite has no tests"
    elif [t.name for t in tests if t.name != "import"] != names and not (job.until_killed and tests):
        problem = f"the run ended after {len(tests)} of {total} tests"
    sha256 = next((e["sha256"] for e in by_kind.get("imported", ())), "") or _sha256(job.file)
    printed, printed_bytes = _printed(scratch / "printed", events)
    return Result(
        module=job.path,
        status="broken" if problem else _status(tests),
        provenance=Provenance(job.shown, job.kind if sha256 else "missing", sha256, job.stack),  # type: ignore[arg-type]
        tests=tests,
        total=total,
        seconds=round(time.monotonic() - ended.began, 3),
        problem=problem,
        line=line,
        printed=printed,
        printed_bytes=printed_bytes,
        notes=tuple(e["text"] for e in by_kind.get("note", ())),
    )


def _status(tests: tuple[Test, ...]) -> Status:
    if any(t.outcome == "failed" for t in tests):
        return "failed"
    return "started" if any(t.outcome == "todo" for t in tests) else "passed"


def _test(event: dict) -> Test:
    return Test(**{k: v for k, v in event.items() if k not in ("event", "printed_bytes")})


def _journal(file: Path, key: str) -> Iterator[dict]:
    """The entries of a journal, up to the first that is none or does not know the ``key``."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict) or event.pop("key", "") != key:
            return
        yield event


def _death(ended: _Running, by_kind: dict[str, list[dict]]) -> tuple[str, int]:
    """Why a child ended before its time: a sentence, and the learner's line where it is known."""
    job, code = ended.job, ended.process.exitcode
    trace = _read(Path(job.scratch) / "trace")
    found = re.search(rf'File "{re.escape(job.file)}", line (\d+)', trace)
    line = int(found[1]) if found else 0
    started, done = (
        [e["name"] for e in by_kind.get("start", ())],
        {e["name"] for e in by_kind.get("test", ())},
    )
    now = next((name for name in started if name not in done), "")
    if "began" not in by_kind and not ended.expired:
        return f"the grading process did not start (exit code {code}): is the disk or the memory full?", 0
    if job.lesson:
        where = "the lesson"
    elif now:
        where = f"the test '{in_words(now)}'"
    else:
        where = "the suite" if "imported" in by_kind else f"the import of {job.shown}"
    if trace.startswith("Timeout") or ended.expired:
        timer = re.match(r"Timeout \((\d+):(\d+):([\d.]+)\)", trace)  # less than usual: the module's ran out
        hours, minutes, seconds = map(float, timer.groups()) if timer else (0.0, 0.0, math.inf)
        full = hours * 3600 + minutes * 60 + seconds == job.test_seconds
        limit = job.test_seconds if full else job.module_seconds
        return f"{where} was still running after {limit:g} s: an endless loop?", line
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        cause = {
            "SIGSEGV": "a segmentation fault",
            "SIGABRT": "an abort",
            "SIGKILL": "a kill, out of memory?",
        }
        return f"{where} crashed Python ({cause.get(name, name)})", line
    if trace.startswith("Fatal Python error"):
        return f"{where} crashed Python ({trace.splitlines()[0].partition(': ')[2]})", line
    return f"{where} ended the process with exit code {code} (os._exit?)", line


def _printed(file: Path, events: list[dict]) -> tuple[str, int]:
    text = _read(file)
    return text, max([len(text.encode()), *(int(e.get("printed_bytes", 0)) for e in events)])


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""


def _sha256(file: str) -> str:
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return ""
