"""Applications that are started from anywhere: whose code they run on.

`make` and the command line install the overlay first. A program that is imported from Python, or started as
``python -m experiments.neuroscope``, has to do so itself: it would import the course's stubs otherwise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from curriculum import manifest, milestone
from curriculum.overlay import MODES, Overlay, install


def ensure() -> None:
    """Install the overlay if this process has none: the reference, or what the variable STACK says.

    Raises:
        RuntimeError: modules of the course were imported before.
    """
    if any(isinstance(finder, Overlay) for finder in sys.meta_path):
        return
    course = manifest.load()
    install(Overlay(course.root, course.packages, _mode()))


def launch(script: str, arguments: Sequence[str]) -> int:
    """Run a script of the course as `make` does, in a process of its own, and return its exit code."""
    return milestone.run_script(manifest.load(), script, _mode(), arguments)


def _mode() -> str:
    mode = os.environ.get("STACK", "reference")
    if mode not in MODES:
        sys.exit(f"STACK must be one of {', '.join(MODES)}, got {mode!r}")
    return mode
