"""Labs: experiments on how learning works, each a script with figures, claims that it checks, and a page.

experiments/labs/NAME.py            main(arguments) -> exit code; the first line of its text is its question
curriculum/lessons/labs/NAME.md     the derivation, and what the figure does and does not show
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from curriculum import milestone
from curriculum.manifest import Course, UnknownName


def names(course: Course) -> list[str]:
    """All labs, in the order of the alphabet."""
    return sorted(f.stem for f in (course.root / "experiments" / "labs").glob("[a-z]*.py"))


def question(course: Course, name: str) -> str:
    """What a lab asks: the first line of its text."""
    source = (course.root / "experiments" / "labs" / f"{name}.py").read_text("utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def page(course: Course, name: str) -> Path:
    """Where a lab is explained."""
    return course.root / "curriculum" / "lessons" / "labs" / f"{name}.md"


def run(course: Course, name: str, *, stack: str = "reference", arguments: Sequence[str] = ()) -> int:
    """Run a lab in a process of its own and return its exit code, as a milestone's.

    Raises:
        UnknownName: there is no such lab; the message lists those that are.
    """
    known = names(course)
    if name not in known:
        raise UnknownName(f"there is no lab '{name}': there are {', '.join(known)}")
    return milestone.run_script(course, f"experiments.labs.{name}", stack, arguments)
