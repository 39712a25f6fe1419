"""Fixtures of the engine's tests."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from tests.engine import minicourse

# A shell that starts the tests in the background makes them ignore Ctrl-C, and every process they start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mini(tmp_path: Path) -> minicourse.MiniCourse:
    """A course of two modules, utils/scale and utils/area, whose workspace holds the stubs."""
    return minicourse.usual(tmp_path / "course")
