"""Tests of the two applications, in a process of their own: they run on the course's solutions."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from curriculum import manifest  # noqa: E402
from curriculum.overlay import Overlay, install  # noqa: E402

COURSE = manifest.load(ROOT)
install(Overlay(COURSE.root, COURSE.packages, "solutions"))
