"""``make doctor``: is this machine fit for the course. A line a finding, and what to do where it is wrong."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.text import Text

from curriculum import performance, report
from curriculum.cli import FAILED, PASSED, Request
from curriculum.manifest import Course

DISK = 2 * 10**9  # bytes that the data sets and the runs of a whole course need


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    found: str
    good: bool = True
    todo: str = ""  # what to do where it is not good


def doctor(course: Course, request: Request) -> int:
    """Look at everything; 0 if all is good."""
    screen, found = report.console(), []
    for finding in findings(course):
        found.append(finding)
        sign = report.mark(screen, "passed" if finding.good else "failed")
        row = Text.assemble(sign, f" {finding.what:<12} ", finding.found)
        screen.print(row, soft_wrap=True)  # a path is not folded
        if not finding.good:
            report.show(screen, Text(finding.todo, report.COMMAND), 15)
    bad = sum(not f.good for f in found)
    report.show(screen)
    verdict = f"{report.count(bad, 'thing')} to mend." if bad else "This machine is fit for the course."
    report.show(screen, verdict)
    return FAILED if bad else PASSED


def findings(course: Course) -> Iterator[Finding]:
    """All that matters."""
    project = tomllib.loads((course.root / "pyproject.toml").read_text("utf-8"))["project"]
    yield python(project["requires-python"])
    yield environment(course.root)
    yield from packages(project["dependencies"])
    yield from packages(project["optional-dependencies"]["dev"], optional=True)
    yield blas()
    yield from data()
    yield writable("workspace", course.root)
    yield writable("state", course.root / ".curriculum")
    yield disk(course.root)
    yield git(course.root)
    yield swapped(course)
    yield terminal()


def python(wanted: str) -> Finding:
    """The interpreter against pyproject's ``requires-python``."""
    from packaging.specifiers import SpecifierSet

    good = SpecifierSet(wanted).contains(platform.python_version(), prereleases=True)
    where = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", where, good, f"install Python {wanted}, then: make PYTHON=python3.12 doctor")


def environment(root: Path) -> Finding:
    """Whether this is the interpreter of .venv, the one with the pinned packages."""
    inside = Path(sys.prefix).resolve() == (root / ".venv").resolve()
    says = ".venv" if inside else f"{sys.prefix}, not the course's .venv"
    return Finding(".venv", says, inside or "CI" in os.environ, "use make: it makes .venv and works in it")


def packages(wanted: list[str], optional: bool = False) -> Iterator[Finding]:
    """Each package against the versions that pyproject supports."""
    from packaging.requirements import Requirement

    for text in wanted:
        requirement = Requirement(text)
        try:
            version = metadata.version(requirement.name)
            good = requirement.specifier.contains(version, prereleases=True)
            found = version if good else f"{version}, supported is {requirement.specifier}"
        except metadata.PackageNotFoundError:
            good, found = optional, "not installed" + (": only maintainers need it" if optional else "")
        todo = f"{Path(sys.executable).name} -m pip install -r requirements.txt"
        yield Finding(requirement.name, found, good, todo)


def blas() -> Finding:
    """Which library multiplies NumPy's matrices, with how many threads, how fast."""
    import numpy as np

    config = np.show_config(mode="dicts") or {}
    library = config.get("Build Dependencies", {}).get("blas", {})
    name = f"{library.get('name', 'unknown')} {library.get('version', '')}".strip()
    x = np.ones((1024, 1024), np.float32)
    x @ x
    best = min(_seconds(lambda: x @ x) for _ in range(3))
    speed = 2 * 1024**3 / best / 1e9
    limits = [os.environ[v] for v in performance.THREAD_VARIABLES if v in os.environ]
    threads = report.count(
        int(limits[0]) if limits and limits[0].isdigit() else os.cpu_count() or 1, "thread"
    )
    says = f"{name}, {threads}, {speed:.0f} GFLOP/s in float32"
    slow = "NumPy has no fast BLAS here, training will be slow: install NumPy from PyPI with pip"
    return Finding("blas", says, speed > 5, slow)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def data() -> Iterator[Finding]:
    """Where data sets go, and which are there. None has to be: they are downloaded when first used."""
    from curriculum.datasets import images, store, text

    folder = store.directory()
    yield writable("data", folder)
    sets = {"MNIST": store.present(images.MNIST), "CIFAR-10": (folder / images.CIFAR10_FOLDER).is_dir(),
            "Shakespeare": store.present((text.TINY_SHAKESPEARE,))}  # fmt: skip
    here = [name for name, present in sets.items() if present]
    rest = [name for name in sets if name not in here]
    says = ", ".join(here) or "none here yet"
    yield Finding("data sets", says + (f"; downloaded when first used: {', '.join(rest)}" if rest else ""))


def writable(what: str, folder: Path) -> Finding:
    """Whether a file can be made in ``folder``, or the folder itself."""
    existing = next(f for f in (folder, *folder.parents) if f.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            return Finding(what, str(folder))
    except OSError as error:
        says = f"{existing} cannot be written to: {error.strerror}"
        return Finding(what, says, False, f"give yourself the right to write to {existing}")


def disk(folder: Path) -> Finding:
    """Room for the data sets and the runs."""
    free = shutil.disk_usage(folder).free
    todo = f"make room: {DISK / 1e9:.0f} GB will be needed"
    return Finding("disk", f"{free / 1e9:.0f} GB free", free > DISK, todo)


def git(root: Path) -> Finding:
    """Git, and a repository to commit one's work in."""
    try:
        version = subprocess.run(["git", "--version"], capture_output=True, text=True).stdout.split()[2]
    except (OSError, IndexError):
        return Finding("git", "not installed", False, "install git: your work deserves a history")
    inside = subprocess.run(["git", "-C", str(root), "rev-parse"], capture_output=True).returncode == 0
    return Finding("git", version + ("" if inside else ", no repository here"), inside, "git init")


def swapped(course: Course) -> Finding:
    """Whether solutions stand in the workspace where the learner's files should be."""
    from curriculum import store, swap

    try:
        places = swap.status(course)
    except store.StoreError as error:
        return Finding("workspace", str(error), False, "see the message")
    says = f"{report.count(len(places), 'solution')} swapped in" if places else "your own files"
    return Finding("files", says, not places, "make unswap")


def terminal() -> Finding:
    """What can be drawn here."""
    screen = report.console()
    letters = "all signs" if report.encodes(screen, "✓✗◐○★━") else "plain signs only"
    return Finding("terminal", f"{screen.width} columns, {screen.encoding}, {letters}, colour: "
                               f"{screen.color_system or 'none'}")  # fmt: skip
