"""The doctor, on a machine that is well and on machines that are not."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from curriculum import cli, doctor, swap
from curriculum.cli import FAILED, PASSED, main
from tests.engine.minicourse import MiniCourse


def test_a_fit_machine_gets_a_line_for_each_thing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("CI", "1")  # any interpreter will do there
    monkeypatch.setenv("CURRICULUM_DATA", str(tmp_path))
    monkeypatch.setattr(doctor, "swapped", lambda course: doctor.Finding("files", "your own files"))
    monkeypatch.setattr(doctor, "git", lambda root: doctor.Finding("git", "2.40"))
    monkeypatch.setattr(doctor, "_seconds", lambda work: 0.02 + 0 * len(work()))  # however busy it is
    monkeypatch.setattr(doctor, "disk", lambda folder: doctor.Finding("disk", "84 GB free"))
    code = main(["doctor"])
    rows = capsys.readouterr().out.splitlines()
    assert code == PASSED, rows
    assert rows[-1] == "This machine is fit for the course."
    for what in ("python", "numpy", "rich", "blas", "data", "workspace", "terminal"):
        assert sum(row.startswith(f"✓ {what:<12} ") for row in rows) == 1, what
    assert any("GFLOP/s" in row for row in rows)
    assert any("downloaded when first used: MNIST" in row for row in rows)


def test_what_is_wrong_comes_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    bad = doctor.Finding("disk", "1 GB free", False, "make room: 2 GB will be needed")
    monkeypatch.setattr(doctor, "findings", lambda course: iter([doctor.Finding("git", "2.40"), bad]))
    assert main(["doctor"]) == FAILED
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].startswith("✗ disk")
    assert rows[2].strip() == "make room: 2 GB will be needed"
    assert rows[-1] == "1 thing to mend."


def test_versions_are_compared_with_what_pyproject_supports():
    good, old, missing, optional = (
        *doctor.packages(["numpy>=2.0"]),
        *doctor.packages(["numpy>=99"]),
        *doctor.packages(["no-such-package>=1"]),
        *doctor.packages(["no-such-package>=1"], optional=True),
    )
    assert [f.good for f in (good, old, missing, optional)] == [True, False, False, True]
    assert "supported is >=99" in old.found
    assert "pip install -r requirements.txt" in missing.todo
    assert doctor.python(">=3.11").good
    assert not doctor.python(">=4").good


def test_a_full_disk_a_locked_folder_and_a_lack_of_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1, 1, 10**9))
    assert not doctor.disk(tmp_path).good
    assert not doctor.git(tmp_path / "nowhere").good
    monkeypatch.setenv("PATH", "")
    assert doctor.git(tmp_path).found == "not installed"

    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    finding = doctor.writable("data", tmp_path / "a" / "b")
    assert not finding.good
    assert f"{tmp_path} cannot be written to: Permission denied" in finding.found


def test_swapped_solutions_are_not_forgotten(mini: MiniCourse):
    swap.swap(mini.course, [mini.course.module("scale")])
    finding = doctor.swapped(mini.course)
    assert (finding.good, finding.found, finding.todo) == (False, "1 solution swapped in", "make unswap")


def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def missing(*_: object) -> int:
        raise ModuleNotFoundError("No module named 'rich'", name="rich")

    monkeypatch.setattr(doctor, "doctor", missing)
    assert main(["doctor"]) == cli.OUR_FAULT
    assert "rich is not installed for" in capsys.readouterr().err
