"""A course of three modules, for the tests of what changes files."""

from pathlib import Path

from curriculum.manifest import Course
from tests.engine.minicourse import MiniCourse

SOLUTION = '''"""{path}."""


def first(x: int) -> int:
    """Return x + {number}."""
    return x + {number}


def second(x: int) -> int:
    """Return x * {number}."""
    y = x * {number}
    return y
'''
SUITE = "def test_nothing(): ...\n"


def make(root: Path) -> Course:
    """``a/one``, ``a/two`` and ``b/c/three``: solutions, suites, stubs in the workspace."""
    mini = MiniCourse(root)
    for number, path in enumerate(("a/one", "a/two", "b/c/three"), 1):
        mini.add(path, SOLUTION.format(path=path, number=number), SUITE, ("second", "first"))
    return mini.course


def files(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, by its path."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
