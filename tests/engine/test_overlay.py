"""Whose code an import gets, in each mode. Imports happen in new processes: an overlay is for life."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from curriculum import overlay
from curriculum.overlay import MODES, Overlay
from tests.engine.minicourse import MiniCourse

ROOT = Path(overlay.__file__).parents[1]


@pytest.fixture
def trees(tmp_path):
    """Two modules in both trees, each of which says where it is from; a third that only the learner has."""
    mini = MiniCourse(tmp_path / "course")
    for tree in ("", "solutions/"):
        for name in ("graded", "needed"):
            mini.write(f"{tree}pack/deep/{name}.py", f"whose = '{tree or 'workspace/'}'\n")
        for folder in ("pack", "pack/deep"):
            mini.write(f"{tree}{folder}/__init__.py", "")
    mini.write(
        "pack/deep/graded.py", "whose = 'workspace/'\nfrom pack.deep.needed import whose as of_needed\n"
    )
    mini.write(
        "solutions/pack/deep/graded.py",
        "whose = 'solutions/'\nfrom pack.deep.needed import whose as of_needed\n",
    )
    mini.write("pack/deep/extra.py", "whose = 'workspace/'\n")
    return mini


def seen(mini: MiniCourse, mode: str, program: str, **options) -> str:
    """What ``program`` prints in a process with an overlay."""
    start = f"""
        import sys
        from pathlib import Path
        from curriculum import overlay
        root = Path({str(mini.root)!r})
        mine = overlay.Overlay(root, ["pack"], {mode!r}, "pack.deep.graded", **{options!r})
        overlay.install(mine)
        sys.path.remove({str(ROOT)!r})
    """
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", textwrap.dedent(start) + textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("mode", "graded", "needed"),
    [
        ("reference", "workspace/", "solutions/"),
        ("mine", "workspace/", "workspace/"),
        ("solutions", "solutions/", "solutions/"),
    ],
)
def test_each_mode_imports_from_its_trees(trees, mode, graded, needed):
    program = "from pack.deep import graded; print(graded.whose, graded.of_needed)"
    assert seen(trees, mode, program) == f"{graded} {needed}"


@pytest.mark.parametrize("mode", MODES)
def test_a_replaced_file_stands_in_whatever_the_mode(trees, mode, tmp_path):
    other = tmp_path / "other.py"
    other.write_text("whose = 'other'\n")
    program = "from pack.deep import graded; print(graded.of_needed)"
    assert seen(trees, mode, program, replace={"pack.deep.needed": str(other)}) == "other"


@pytest.mark.parametrize("mode", MODES)
def test_a_helper_that_only_the_learner_has_is_found(trees, mode):
    assert seen(trees, mode, "from pack.deep import extra; print(extra.whose)") == "workspace/"


@pytest.mark.parametrize("mode", ["reference", "mine"])
def test_a_missing_graded_file_is_not_graded_as_somebody_elses(trees, mode):
    (trees.root / "pack/deep/graded.py").unlink()
    program = """
        try:
            import pack.deep.graded
        except ModuleNotFoundError as error:
            print(error.name)
    """
    assert seen(trees, mode, program) == "pack.deep.graded"


def test_a_prerequisite_missing_from_the_learners_stack_comes_from_the_other_tree(trees):
    (trees.root / "pack/deep/needed.py").unlink()
    assert seen(trees, "mine", "from pack.deep import graded; print(graded.of_needed)") == "solutions/"


def test_a_package_never_stands_in_for_the_graded_file(trees):
    trees.write("pack/deep/graded/__init__.py", "whose = 'package'\n")
    assert seen(trees, "mine", "from pack.deep import graded; print(graded.whose)") == "workspace/"


def test_the_graded_file_is_compiled_anew_and_hashed(trees):
    program = """
        import hashlib, os
        from pack.deep import graded
        loader = graded.__spec__.loader
        source = open(graded.__file__, "rb").read()
        print(loader.sha256 == hashlib.sha256(source).hexdigest(), graded.__cached__ is not None
              and os.path.exists(graded.__cached__))
    """
    assert seen(trees, "mine", program) == "True False"


def test_other_imports_are_left_alone(trees):
    trees.write("json.py", "poison = True\n")
    assert seen(trees, "mine", "import json; print(hasattr(json, 'poison'))") == "False"
    assert Overlay(trees.root, ["pack"], "mine").find_spec("json") is None


def test_an_unknown_mode_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"mode must be one of \('reference', 'mine', 'solutions'\), got 'yours'"
    ):
        Overlay(tmp_path, ["pack"], "yours")


def test_a_second_overlay_is_refused(trees):
    program = """
        try:
            overlay.install(mine)
        except RuntimeError as error:
            print(error)
    """
    assert (
        seen(trees, "mine", program) == "a process has one overlay for its whole life; already imported: []"
    )


def test_an_overlay_after_the_first_course_import_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pack.deep", sys)
    with pytest.raises(RuntimeError, match=r"already imported: \['pack.deep'\]"):
        overlay.install(Overlay(tmp_path, ["pack"], "mine"))
