"""The Makefile, with a Python that only says what it was asked."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from curriculum import cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Makefile").read_text("utf-8")
FAKE = """#!/bin/sh
echo "$0 $*"
case "$*" in *bootstrap.py) mkdir -p .venv/bin; cp "$0" .venv/bin/python; touch .venv/ready;; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None or os.name == "nt", reason="no make")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone with nothing in it but the Makefile."""
    (tmp_path / "Makefile").write_text(TEXT, "utf-8")
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "python").write_text(FAKE, "utf-8")
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(folder: Path, *words: str, **environment: str) -> list[str]:
    """What was asked of Python, a line each."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k not in cli.SETTINGS}
    command = ["make", "--no-print-directory", *words, f"PYTHON={folder}/python"]
    done = subprocess.run(command, cwd=folder, env=inherited | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.replace(f"{folder}/", "").splitlines()


def test_every_verb_is_a_target_and_every_setting_is_handed_on():
    text = TEXT.replace("\\\n", " ")
    verbs, settings = (re.search(rf"^{name} := (.*)$", text, re.M) for name in ("VERBS", "SETTINGS"))
    assert verbs
    assert settings
    assert verbs[1].split() == list(cli.VERBS)
    assert settings[1].split() == list(cli.SETTINGS)


def test_the_first_target_makes_the_environment_and_the_next_does_not(folder: Path):
    assert make(folder, "check", "PHASE=2") == [
        "python curriculum/bootstrap.py",
        ".venv/bin/python -m curriculum check PHASE=2",
    ]
    assert make(folder, "check") == [".venv/bin/python -m curriculum check"]


def test_other_requirements_make_it_again(folder: Path):
    make(folder, "check")
    later = (folder / ".venv/ready").stat().st_mtime + 10
    os.utime(folder / "requirements.txt", (later, later))
    assert make(folder, "list")[0] == "python curriculum/bootstrap.py"


def test_make_alone_is_help(folder: Path):
    assert make(folder)[-1] == ".venv/bin/python -m curriculum help"


def test_all_that_was_typed_is_handed_on_and_nothing_else(folder: Path):
    make(folder)
    typed = ["PHASE=2", "STACK=mine", "V=1", "JSON=a b.json", "ARGS=--seed 3"]
    asked = make(folder, "check", *typed, NAME="computer", V="0", WIDTH="7")
    assert asked == [
        ".venv/bin/python -m curriculum check PHASE=2 STACK=mine V=1 JSON=a b.json ARGS=--seed 3"
    ]
    assert make(folder, "check", MODULE="linear", NAME="computer") == [
        ".venv/bin/python -m curriculum check MODULE=linear"
    ], "what people export"


def test_a_typo_reaches_the_program_that_knows_better(folder: Path):
    make(folder)
    assert make(folder, "chekc") == [".venv/bin/python -m curriculum chekc"]


def test_lint_and_format_are_targets(folder: Path):
    make(folder)
    assert make(folder, "lint") == [
        f".venv/bin/python -m {tool}" for tool in ("ruff check .", "ruff format --check .", "mypy")
    ]
    assert make(folder, "format")[-1] == ".venv/bin/python -m ruff format ."


def test_make_of_2006_understands_it():
    assert "\t" in TEXT
    for later in (".ONESHELL", ".RECIPEPREFIX", "$(file", "$(guile", "$(let", "$(intcmp", "!=", "::=", "&:"):
        assert later not in TEXT


def bootstrap(version: tuple[int, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "curriculum").mkdir()
    shutil.copy(ROOT / "curriculum" / "bootstrap.py", folder / "curriculum")
    run = "runpy.run_path('curriculum/bootstrap.py', run_name='__main__')"
    code = f"import sys, runpy; sys.version_info = {version}; {run}"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


def test_an_old_python_is_refused_in_a_sentence(tmp_path: Path):
    done = bootstrap((3, 9, 7), tmp_path)
    assert done.returncode == 3
    assert "needs Python 3.11 or newer" in done.stderr
    assert "is 3.9: install one and say make PYTHON=" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / ".venv").exists()


def test_bootstrap_can_be_read_by_any_python():
    import ast

    ast.parse((ROOT / "curriculum" / "bootstrap.py").read_text("utf-8"), feature_version=(3, 4))
    assert 'f"' not in (ROOT / "curriculum" / "bootstrap.py").read_text("utf-8")
