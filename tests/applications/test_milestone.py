"""The milestone of the two applications, in its reduced form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.milestones import applications


def test_every_claim_of_both_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert applications.main(["--quick"]) == 0
    assert "2 of 2 hold in full. Two applications." in capsys.readouterr().out
    for name in ("energy_001", "neuroscope_001"):
        claims = json.loads((tmp_path / "runs" / name / "claims.json").read_text("utf-8"))
        assert len(claims) > 5
        assert all(claim["holds"] for claim in claims)
