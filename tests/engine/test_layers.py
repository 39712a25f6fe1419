"""The layers of the course: what a solution may import."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from curriculum import manifest

ROOT = Path(__file__).parents[2]
ORDER = ("utils", "foundations", "nn_core", "optimization")  # each may use what stands before it
LEAVES = {"architectures", "sequence", "generative", "rl", "advanced", "dynamics"}  # may use all of these
ALLOWED = {package: set(ORDER[: i + 1]) for i, package in enumerate(ORDER)}
ALLOWED |= {package: {*ORDER, package} for package in LEAVES}
ALLOWED["classical_ml"] = {"utils", "optimization", "classical_ml"}  # of optimization, minimisers of arrays
COURSE = manifest.load(ROOT)


def imported(file: Path) -> set[str]:
    """The top-level packages that ``file`` imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


def test_every_package_has_its_layer():
    assert COURSE.packages <= set(ALLOWED)


@pytest.mark.parametrize("module", COURSE.modules, ids=lambda m: m.path)
def test_a_solution_imports_lower_layers_numpy_and_python(module: manifest.Module):
    allowed = ALLOWED[module.path.partition("/")[0]] | {"numpy"} | sys.stdlib_module_names
    assert imported(COURSE.solution_file(module)) <= allowed


@pytest.mark.parametrize("module", COURSE.modules, ids=lambda m: m.path)
def test_what_a_solution_imports_is_among_its_needs(module: manifest.Module):
    names = {m.name: m.path for m in COURSE.modules}
    body = ast.parse(COURSE.solution_file(module).read_text("utf-8")).body
    used = {names[n.module] for n in body if isinstance(n, ast.ImportFrom) and n.module in names}
    known = {m.path for m in COURSE.prerequisites(module)}
    assert used <= known, f"{module.path} imports {used - known}, which its manifest entry does not need"
