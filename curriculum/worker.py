"""Grades one module, in a process of its own: the only place where a learner's code ever runs.

What happens is written to a journal, a line of JSON an event, so that the parent knows how far it came even
when this process dies in the middle of a line of the learner's. The parent trusts nothing here: a journal
without its last entry, or a process that did not end in order, is never a pass.
"""

from __future__ import annotations

import faulthandler
import importlib
import io
import json
import os
import pickle
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from curriculum import explain, overlay
from curriculum.results import in_words
from curriculum.runner import PRINTED_LIMIT, Job

UNWANTED = (
    "cacheprovider debugging doctest faulthandler freeze_support junitxml legacypath logging pastebin "
    "reports setuponly setupplan skipping stepwise subtests terminal "
    "threadexception unittest unraisableexception"
).split()  # pytest's own plugins that grading has no use for: half of its starting time
NOTES = 5  # sentences about warnings; the sixth says nothing new


def main(job: Job) -> None:
    """Do ``job`` and end this process: code 0 if all was done in order, whatever the grade."""
    if sys.platform == "linux":  # the server's own channels: writing into them would end the other children
        os.closerange(3, 256)
    journal = Journal(Path(job.scratch) / "journal", job.key)
    journal.write("began")
    code = 1
    try:
        recorder = isolate(job)
        try:
            read_lesson(job, journal) if job.lesson else grade(job, journal, recorder)
        except Stop as stop:
            journal.write("problem", text=str(stop), line=stop.line)
        faulthandler.cancel_dump_traceback_later()
        journal.write("done", printed_bytes=recorder.total)
        code = 0
    except BaseException as error:  # a bug of ours, or a learner who closed our files: the parent reports it
        journal.write("problem", text=f"the grader stopped with {type(error).__name__}: {error}", line=0)
    finally:
        os._exit(code)  # threads, exit hooks and finalizers of the learner's have no say in how it ends


class Stop(Exception):
    """The module cannot be graded. The message is one sentence for the learner."""

    def __init__(self, sentence: str, line: int = 0):
        super().__init__(sentence)
        self.line = line


class Journal:
    """Events on disk: no pipe to fill up, and what was written survives any kind of death."""

    def __init__(self, file: Path, key: str):
        self.key = key
        self.descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.owner = os.getpid()

    def write(self, event: str, **facts: object) -> None:
        if os.getpid() == self.owner:  # a process that the learner forked has nothing to say
            os.write(self.descriptor, json.dumps({"event": event, "key": self.key, **facts}).encode() + b"\n")


class Recorder(io.RawIOBase):
    """Standard output of the learner's code: the first characters go to a file, the rest is counted."""

    def __init__(self, file: Path):
        self.file = open(file, "wb", buffering=0)
        self.total = 0

    def writable(self) -> bool:
        return True

    def write(self, text: bytes) -> int:  # type: ignore[override]
        size = len(text)
        if self.total < PRINTED_LIMIT:
            self.file.write(text[: PRINTED_LIMIT - self.total])
        self.total += size
        return size


def isolate(job: Job) -> Recorder:
    """Keep whatever the learner's code does inside this process, and within its limits."""
    if hasattr(os, "setsid"):
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    limit_memory(job.memory)
    sys.dont_write_bytecode = False
    for name in [n for n in os.environ if n.startswith(("PYTEST_", "HYPOTHESIS_"))]:
        del os.environ[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.path.join(job.scratch, "hypothesis")
    os.chdir(job.scratch)
    sys.argv = ["check"]
    ours = {os.path.realpath(job.root), str(Path(__file__).resolve().parents[1])}
    sys.path[:] = [p for p in sys.path if p and os.path.realpath(p) not in ours]
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    sys.stdin = open(os.devnull, encoding="utf-8")
    recorder = Recorder(Path(job.scratch) / "printed")
    text = io.TextIOWrapper(recorder, "utf-8", errors="replace", write_through=True)  # type: ignore[type-var]
    for stream in ("stdout", "stderr", "__stdout__", "__stderr__"):
        setattr(sys, stream, text)
    overlay.install(
        overlay.Overlay(
            Path(job.root),
            job.packages,
            job.stack,
            graded=job.name,
            replace={name: Path(file) for name, file in job.replace.items()},
        )
    )
    return recorder


def limit_memory(extra: int) -> None:
    """Let this process grow by ``extra`` bytes: more is a MemoryError instead of a machine that swaps."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        ceiling = pages * resource.getpagesize() + extra
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling if hard < 0 else min(ceiling, hard), hard))
    except (ImportError, OSError, ValueError):
        pass  # Windows and macOS have no such limit to set


class Watchdog:
    """Ends the process when one step takes too long, leaving the learner's line in the file ``trace``.

    A thread in C, so that it needs neither the interpreter nor the main thread: it fires inside NumPy too.
    """

    def __init__(self, job: Job):
        self.trace = open(os.path.join(job.scratch, "trace"), "w")
        faulthandler.enable(self.trace, all_threads=False)
        self.step, self.end, self.armed = job.test_seconds, time.monotonic() + job.module_seconds, 0.0

    def arm(self) -> None:
        """Give the next step its time; not every step: the thread takes longer to start than most tests."""
        now = time.monotonic()
        if now - self.armed > self.step / 10:
            self.armed = now
            seconds = min(self.step, max(0.01, self.end - now))
            faulthandler.dump_traceback_later(seconds, exit=True, file=self.trace)


def grade(job: Job, journal: Journal, recorder: Recorder) -> None:
    """Import the module, then run its suite."""
    watchdog, numpy_state = Watchdog(job), NumpyState()
    watchdog.arm()
    import_module(job, journal)
    for sentence in numpy_state.restore():
        journal.write("test", name="import", outcome="failed", error="GlobalState", message=sentence)
    if job.examples:
        tame_hypothesis(job.examples, job.shrink)
    suite = SuiteRun(job, journal, watchdog, numpy_state, recorder)
    arguments = [job.suite, "-c", str(Path(__file__).with_name("pytest.ini")), "--rootdir", job.root, "-s"]
    arguments += ["--noconftest", "--import-mode=importlib", "--basetemp", os.path.join(job.scratch, "tmp")]
    arguments += [word for plugin in UNWANTED for word in ("-p", f"no:{plugin}")]
    pytest.main(arguments, plugins=[suite])
    if suite.problem:
        raise Stop(suite.problem)


def import_module(job: Job, journal: Journal) -> None:
    """Import the graded module before anything else does, so that what is wrong with it has one sentence."""
    source = Path(job.file).read_bytes()
    refusal = explain.unreadable(source, job.shown)
    if refusal:
        raise Stop(*refusal)
    try:
        module = importlib.import_module(job.name)
    except BaseException as error:
        raise Stop(*explain.failed_import(error, job)) from error
    loader = module.__spec__.loader if module.__spec__ else None
    journal.write("imported", sha256=getattr(loader, "sha256", ""))


def tame_hypothesis(examples: int, shrink: bool) -> None:
    """The same examples for everybody, nothing kept on disk, and an end to shrinking after a second."""
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.internal.conjecture import engine, providers

    settings.register_profile(
        "course",
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])),
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("course")
    if hasattr(engine, "MAX_SHRINKING_SECONDS"):
        engine.MAX_SHRINKING_SECONDS = 1
    if hasattr(
        providers, "_get_local_constants"
    ):  # it would draw numbers that stand in the learner's own file
        providers._get_local_constants = lambda: providers._local_constants


class NumpyState:
    """NumPy's settings that belong to everybody: a function that leaves them changed is at fault."""

    def __init__(self) -> None:
        self.errors, self.printing = np.geterr(), np.get_printoptions()
        self.random = np.random.get_state()  # noqa: NPY002 (the global generator is what is watched)
        self.drawn = pickle.dumps(self.random)

    def restore(self) -> Iterator[str]:
        """Put everything back; one sentence for each thing that had changed."""
        if np.geterr() != self.errors:
            np.seterr(**self.errors)
            yield "left NumPy's error settings changed (np.seterr): use `with np.errstate(...):`"
        if np.get_printoptions() != self.printing:
            np.set_printoptions(**self.printing)
            yield "left NumPy's print options changed (np.set_printoptions)"
        if pickle.dumps(np.random.get_state()) != self.drawn:  # noqa: NPY002
            np.random.set_state(self.random)  # noqa: NPY002
            yield "used NumPy's global random generator (np.random.seed, np.random.rand): use the `rng` given"


class SuiteRun:
    """The plugin through which pytest tells what happens: one journal entry at each test's start and end."""

    def __init__(
        self, job: Job, journal: Journal, watchdog: Watchdog, numpy_state: NumpyState, recorder: Recorder
    ):
        self.job, self.journal, self.watchdog = job, journal, watchdog
        self.numpy_state, self.recorder = numpy_state, recorder
        self.error: BaseException | None = None
        self.problem = ""
        self.notes: set[str] = set()

    def pytest_exception_interact(self, node: pytest.Collector, call: pytest.CallInfo[object]) -> None:
        if not isinstance(node, pytest.Item) and call.excinfo and not self.problem:
            self.problem = explain.failed_collection(call.excinfo.value, self.job)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.journal.write("collected", names=[_name(item) for item in session.items])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.error, began = None, time.perf_counter()
        self.journal.write("start", name=_name(item))
        self.watchdog.arm()
        try:
            result = yield
        except BaseException as error:  # KeyboardInterrupt and pytest.exit end the run
            self.problem = f"the test '{in_words(_name(item))}' ended the run with {type(error).__name__}"
            raise
        verdict = explain.verdict(self.error, item, self.job)
        changes = list(self.numpy_state.restore())
        if changes and verdict["outcome"] == "passed":
            verdict |= {"outcome": "failed", "error": "GlobalState", "message": changes[0]}
        seconds = round(time.perf_counter() - began, 4)
        self.journal.write(
            "test", name=_name(item), seconds=seconds, printed_bytes=self.recorder.total, **verdict
        )
        if self.job.until_killed and explain.kills(verdict):
            item.session.shouldstop = "killed"
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        if call.excinfo and self.error is None:
            self.error = call.excinfo.value
        outcome = "failed" if call.excinfo else "passed"  # the traceback's long form is never shown: not made
        return pytest.TestReport(item.nodeid, item.location, {}, outcome, None, call.when)  # type: ignore[arg-type]

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        if warning_message.filename == self.job.file and len(self.notes) < NOTES:
            text = re.sub(r"\s+", " ", str(warning_message.message))
            note = f"{warning_message.category.__name__}: {text} ({self.job.shown}:{warning_message.lineno})"
            if note not in self.notes:
                self.notes.add(note)
                self.journal.write("note", text=note)


def _name(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[2]


def read_lesson(job: Job, journal: Journal) -> None:
    """Run the Python blocks of a lesson from top to bottom in one namespace."""
    Watchdog(job).arm()
    namespace: dict[str, object] = {"__name__": "lesson"}
    text = Path(job.lesson).read_text("utf-8")
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        above = text.count("\n", 0, block.start(1))  # so that a traceback gives the line of the lesson
        try:
            exec(compile("\n" * above + block[1], job.lesson, "exec"), namespace)
        except BaseException as error:
            line = explain.deepest(error, job.lesson) or above + 1
            raise Stop(
                f"the code block fails with {type(error).__name__}: {explain.text_of(error)}", line
            ) from error
