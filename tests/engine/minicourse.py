"""A miniature course for the engine's own tests: a handful of lines a module, in a folder of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from curriculum import manifest
from curriculum.manifest import Course, Module
from curriculum.stubs import stub_of

SCALE = '''"""Multiplication."""

import numpy as np


def double(x):
    """Twice ``x``."""
    return 2.0 * x


def halve(x):
    """Half of ``x``."""
    return x / 2.0
'''
SCALE_SUITE = """
import numpy as np
from curriculum.testing import expect
from utils.scale import double, halve

X = np.array([1.0, 2.0, 4.0])


def test_double():
    expect.close(double(X), np.array([2.0, 4.0, 8.0]), "double of [1, 2, 4]")


def test_halve():
    expect.close(halve(X), np.array([0.5, 1.0, 2.0]), "half of [1, 2, 4]")
"""
SCALE_MUTANTS = """
[[mutant]]
name = "adds two"
find = "2.0 * x"
replace = "2.0 + x"
says = "twice, not two more"

[[mutant]]
name = "three times"
find = "2.0 * x"
replace = "3.0 * x"
says = "twice"

[[mutant]]
name = "a sign"
find = "2.0 * x"
replace = "-2.0 * x"
says = "keep the sign"

[[mutant]]
name = "a third"
find = "x / 2.0"
replace = "x / 3.0"
says = "half"

[[mutant]]
name = "a rest"
find = "x / 2.0"
replace = "x // 2.0"
says = "true division"
"""
AREA = '''"""Areas, by way of utils.scale."""

from utils.scale import halve


def triangle(base, height):
    """Half of base times height."""
    return halve(base * height)
'''
AREA_SUITE = """
import numpy as np
from curriculum.testing import expect
from utils import area


def test_triangle():
    expect.close(area.triangle(np.array([2.0, 3.0]), 4.0), np.array([4.0, 6.0]), "area of two triangles")
"""


@dataclass
class MiniCourse:
    """Writes a course below ``root``; `course` reads it as the engine does."""

    root: Path
    entries: list[dict[str, object]] = field(default_factory=list)

    @property
    def course(self) -> Course:
        lines = [
            "[phase]",
            'number = 1\ntitle = "One"\nweeks = "1"\nhours = "1"\nsummary = "s"\ncritical = true',
            "milestones = []\nreading = []",
        ]
        for entry in self.entries:
            lines += ["", "[[module]]", *(f"{key} = {json.dumps(value)}" for key, value in entry.items())]
        file = self.root / "curriculum" / "phases" / "01_one.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines) + "\n", "utf-8")
        manifest.load.cache_clear()
        return manifest.load(self.root)

    def add(
        self,
        path: str,
        solution: str,
        suite: str,
        blanks: tuple[str, ...],
        *,
        needs: tuple[str, ...] = (),
        mutants: str = "",
        lesson: str = "",
    ) -> Module:
        """A new module with its files; the workspace file is its stub."""
        entry = {"path": path, "title": path, "summary": "s", "week": 1, "difficulty": "easy", "minutes": 5}
        extra = {"needs": needs, "blanks": blanks, "hints": ["a?", "b", "c", "d"], "sources": ["nobody 2000"]}
        self.entries.append(entry | extra)
        course = self.course
        module = course.module(path)
        self.write(f"solutions/{path}.py", solution)
        self.write(module.suite, suite)
        self.write(f"{path}.py", stub_of(course, module))
        for tree in (self.root, self.root / "solutions"):
            (tree / path).parent.joinpath("__init__.py").touch()
        if mutants:
            self.write(course.mutants_file(module).relative_to(self.root).as_posix(), mutants)
        if lesson:
            self.write(f"curriculum/lessons/{path}.md", lesson)
        return module

    def write(self, path: str, text: str | bytes) -> Path:
        """Put ``text`` into the file ``path`` below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def solve(self, path: str) -> None:
        """Make the learner's file a copy of the solution."""
        self.write(f"{path}.py", (self.root / "solutions" / f"{path}.py").read_bytes())


def usual(root: Path) -> MiniCourse:
    """Two modules: utils/scale, and utils/area which needs it."""
    mini = MiniCourse(root)
    lesson = "# Scale\n\n`double` and `halve`.\n" + "A line.\n" * 40
    mini.add("utils/scale", SCALE, SCALE_SUITE, ("double", "halve"), mutants=SCALE_MUTANTS, lesson=lesson)
    mini.add("utils/area", AREA, AREA_SUITE, ("triangle",), needs=("utils/scale",))
    return mini
