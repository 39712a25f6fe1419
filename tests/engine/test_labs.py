"""Labs: each in its reduced form asserts all its claims; the list and the errors say what there is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from curriculum import labs, manifest
from curriculum.cli import main
from experiments import series

ROOT = Path(__file__).resolve().parents[2]
COURSE = manifest.load(ROOT)
NAMES = labs.names(COURSE)

RUN = """
import os, sys
from pathlib import Path
root, name, folder, *arguments = sys.argv[1:]
sys.path.append(root)
from curriculum import manifest
from curriculum.overlay import Overlay, install
course = manifest.load(Path(root))
install(Overlay(course.root, course.packages, "solutions"))
import importlib
lab = importlib.import_module(f"experiments.labs.{name}")
os.chdir(folder)
sys.exit(lab.main(arguments or list(lab.QUICK)))
"""


def run(name: str, folder: Path, *arguments: str) -> tuple[int, str]:
    environment = os.environ | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT), name, str(folder), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    return done.returncode, done.stdout.decode("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_of_a_lab_holds_in_its_reduced_form(name: str, tmp_path: Path) -> None:
    code, said = run(name, tmp_path)
    assert code == 0, said
    record = tmp_path / "runs" / f"{name}_001"
    claims = json.loads((record / "claims.json").read_text("utf-8"))
    assert claims
    assert all(c["holds"] and {"claim", "measured", "predicted", "tolerance"} <= set(c) for c in claims)
    assert list(record.glob("*.png"))
    assert json.loads((record / "verdict.json").read_text("utf-8"))["reached"] is True


@pytest.mark.parametrize("name", NAMES)
def test_a_lab_has_a_question_and_a_page(name: str) -> None:
    assert labs.question(COURSE, name).endswith("?")
    text = labs.page(COURSE, name).read_text("utf-8")
    assert f"make lab NAME={name}" in text
    for heading in ("What it teaches", "What it does not show", "Sources"):
        assert re.search(rf"^## {heading}", text, re.MULTILINE), f"{name}.md has no section '{heading}'"
    assert 50 <= text.count("\n") <= 150


def test_the_list_names_every_lab_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name in NAMES:
        assert name in said
        assert labs.question(COURSE, name) in said


def test_a_lab_that_is_not_there_is_answered_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "NAME=edge_of_town"]) == 2
    said = capsys.readouterr().err
    assert "edge_of_town" in said
    assert NAMES[0] in said


def test_a_claim_that_fails_fails_the_lab(tmp_path: Path) -> None:
    code, said = run(
        "route_to_chaos", tmp_path, "--rates", "50", "--start", "0.0"
    )  # the hill between: no descent
    assert code == 1
    assert "Goal not reached" in said


def test_a_milestone_of_labs_needs_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """`series.in_turn` on labs that hold, fail and are interrupted."""
    called: list[tuple[str, tuple]] = []

    def lab(name: str, code: int) -> types.ModuleType:
        module = types.ModuleType(f"experiments.labs.{name}", f"Does {name} hold?\nMore.")
        module.QUICK = ("--small", "1")  # type: ignore[attr-defined]
        module.main = lambda arguments: called.append((name, tuple(arguments))) or code  # type: ignore[attr-defined]
        return module

    assert series.in_turn([lab("a", 0), lab("b", 0)], [], "Both") == 0
    assert called == [("a", ()), ("b", ())]
    assert "2 of 2 hold" in capsys.readouterr().out
    called.clear()
    assert series.in_turn([lab("a", 1), lab("b", 0)], ["--quick"], "Both") == 1
    assert called == [("a", ("--small", "1")), ("b", ("--small", "1"))]
    said = capsys.readouterr().out
    assert "1 of 2 hold" in said
    assert "Does b hold?" in said
    called.clear()
    assert series.in_turn([lab("a", 130), lab("b", 0)], [], "Both") == 130
    assert [name for name, _ in called] == ["a"]


@pytest.mark.parametrize("name", ["first_experiments", "edge"])
def test_the_milestones_of_labs_name_labs(name: str) -> None:
    source = (ROOT / "experiments" / "milestones" / f"{name}.py").read_text("utf-8")
    chosen = re.search(r"^LABS = \((.*)\)$", source, re.MULTILINE)
    assert chosen
    assert set(chosen[1].split(", ")) <= set(NAMES)
