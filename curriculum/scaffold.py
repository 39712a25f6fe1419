"""``make new``: the skeleton of a module, every file where it belongs, and what to do with it."""

from __future__ import annotations

from pathlib import Path

from curriculum import store
from curriculum.cli import PASSED, Request, UsageError
from curriculum.manifest import Course, Module, Phase, load

SOLUTION = '''r"""The idea in one sentence.

    y = 2 x

Why it is computed this way.

Shapes: N batch, D features
Source: Author & Author 2020, section 3, equation 4
"""

from __future__ import annotations

import numpy as np


def {leaf}(x: np.ndarray) -> np.ndarray:
    """Return the double of ``x``.

    Args:
        x: (N, D), any finite number.

    Returns:
        (N, D), in the dtype of ``x``.

    Raises:
        ValueError: x is not two-dimensional; the message names its shape.
    """
    if x.ndim != 2:
        raise ValueError(f"x must be (N, D), got {{x.shape}}")
    return 2 * x
'''
SUITE = '''"""Suite of {name}."""

import numpy as np

from curriculum.testing import expect
from {name} import {leaf}


def test_{leaf}_is_its_definition():
    x = np.array([[1.0, -2.0, 3.0]])
    expect.close({leaf}(x), np.array([[2.0, -4.0, 6.0]]), "{leaf} of [[1, -2, 3]]")


def test_{leaf}_keeps_float32():
    x = np.ones((2, 3), np.float32)
    expect.close({leaf}(x), np.full((2, 3), 2.0, np.float32), "{leaf} of ones in float32", dtype=np.float32)


def test_{leaf}_names_a_wrong_shape():
    with expect.raises(ValueError, "(3,)"):
        {leaf}(np.ones(3))
'''
MUTANTS = """[[mutant]]
name = "the square for the double"
find = "2 * x"
replace = "x * x"
says = "doubling is linear: f(3) is 6, not 9"

[[mutant]]
name = "promotes to float64"
find = "2 * x"
replace = "np.float64(2) * x"
says = "a NumPy scalar is float64 and promotes float32: a Python number does not"
"""
LESSON = """# {title}

## The idea

## The derivation

$$ y = 2x $$

## What to write

`{leaf}(x)` returns $2x$.

## See it work

```python
import numpy as np
from {name} import {leaf}

assert ({leaf}(np.ones((1, 2))) == 2).all()
```

## When it goes wrong

- **The result of float32 is float64.** A constant was a NumPy scalar.

## Sources

- Author & Author 2020, section 3, equation 4
"""
ENTRY = """
[[module]]
path = "{path}"
title = "{title}"
summary = "What it teaches, in one line of the curriculum table"
core = true
difficulty = "medium"
week = {week}
minutes = 60
planned = true
needs = []
blanks = ["{leaf}"]
hints = [
    "A nudge: one question?",
    "The idea, in two sentences.",
    "The formula: y = 2 x",
    '''
Pseudocode:
    return twice x
''',
]
sources = ["Author & Author 2020, section 3, equation 4"]
"""
STEPS = {  # what to open or type, and what for
    "{solution}": "the solution: it reads like a library, 60-200 lines",
    "{manifest}": "blanks, needs, hints, sources; delete the line `planned = true`",
    "python -m curriculum stubs {path}": "the stub",
    "{suite}": "definition, calculus, properties, dtype, edges, errors",
    "{mutants}": "at least 5 mistakes that people make, and what a teacher would say",
    "{lesson}": "60-150 lines; its code blocks are run",
    "python -m curriculum verify {path}": "until it holds",
}


def new(course: Course, request: Request) -> int:
    """Write the skeleton of the module named, and its entry in the manifest if it has none.

    Raises:
        UsageError: the path is no module path, or one of the files is there already.
    """
    path, phase = _path(request), request.phase(course)
    listed = next((m for p in course.phases for m in p.modules if m.path == path), None)
    phase = course.phase(listed.phase) if listed else phase
    if phase is None:
        raise UsageError(f"{path} is not in the manifest yet: say its phase, make new MODULE={path} PHASE=2")
    leaf = path.rpartition("/")[2]
    title = listed.title if listed else leaf.replace("_", " ").capitalize()
    words = {"path": path, "leaf": leaf, "name": path.replace("/", "."), "title": title,
             "week": phase.weeks.partition("-")[0]}  # fmt: skip
    module = listed or Module(path, title, "", phase.number, 1, "medium", 60)
    files = {
        course.solution_file(module): SOLUTION,
        course.suite_file(module): SUITE,
        course.mutants_file(module): MUTANTS,
        course.lesson_file(module): LESSON,
    }
    there = [store.shown(f, course.root) for f in files if f.exists()]
    if there:
        raise UsageError(f"{', '.join(there)} already there: nothing was written")
    with store.lock(course.root):
        for file, text in files.items():
            content = text if text is MUTANTS else text.format(**words)
            _write(course, file, content)
        for tree in (course.root, course.root / "solutions"):
            _make_packages(course, tree, path)
        manifest = _manifest_file(course, phase)
        if listed is None:
            _write(course, manifest, manifest.read_text("utf-8").rstrip("\n") + "\n" + ENTRY.format(**words))
    load.cache_clear()
    load(course.root)  # the manifest must still be valid
    places = [manifest, course.suite_file(module), course.mutants_file(module), course.lesson_file(module)]
    _show_steps(path, *(store.shown(f, course.root) for f in [course.solution_file(module), *places]))
    return PASSED


def _path(request: Request) -> str:
    """The path of the module to be: one that Python can import.

    Raises:
        UsageError: it is not.
    """
    if len(request.modules) != 1:
        raise UsageError("new needs one module path: make new MODULE=nn_core/layers/bilinear PHASE=2")
    path = request.modules[0].removesuffix(".py").strip("/")
    parts = path.split("/")
    if len(parts) < 2 or not all(p.isidentifier() and p == p.lower() for p in parts):
        raise UsageError(f"a module path is folder/name in lower case, like nn_core/layers/new; got '{path}'")
    return path


def _show_steps(path: str, solution: str, manifest: str, suite: str, mutants: str, lesson: str) -> None:
    words = {"path": path, "solution": solution, "manifest": manifest, "suite": suite, "mutants": mutants}
    steps = {step.format(lesson=lesson, **words): what for step, what in STEPS.items()}
    width = max(map(len, steps))
    print("\nTen minutes from here:")
    for number, (step, what) in enumerate(steps.items(), 1):
        print(f"  {number}  {step:<{width}}  {what}")


def _make_packages(course: Course, tree: Path, path: str) -> None:
    folder = tree
    for part in path.split("/")[:-1]:
        folder = folder / part
        if not (folder / "__init__.py").exists():
            store.write_file(folder / "__init__.py", b"", course.root)


def _write(course: Course, file: Path, text: str) -> None:
    store.write_file(file, text.encode(), course.root)
    print(f"wrote {store.shown(file, course.root)}")


def _manifest_file(course: Course, phase: Phase) -> Path:
    """The file that defines ``phase``."""
    import tomllib

    for file in sorted((course.root / "curriculum" / "phases").glob("*.toml")):
        if tomllib.loads(file.read_text("utf-8"))["phase"]["number"] == phase.number:
            return file
    raise LookupError(f"no manifest file for phase {phase.number}")
