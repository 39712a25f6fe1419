"""Several labs in turn, as one milestone: reached if every claim of each holds."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from types import ModuleType

from rich.text import Text

from curriculum import milestone, report


def in_turn(labs: Sequence[ModuleType], arguments: Sequence[str] | None, title: str) -> int:
    """Run labs one after another, each into its own folder, and say how many hold.

    Args:
        labs: modules with ``main`` and ``QUICK``.
        arguments: "--quick" runs the reduced forms; None for those of this process.
        title: of the help text.

    Returns:
        0 if all were reached, 1 if one was not, 130 as soon as one was interrupted.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--quick", action="store_true", help="the labs' reduced forms, with all their claims")
    quick = parser.parse_args(arguments).quick
    console = report.console()
    codes = []
    for number, lab in enumerate(labs, 1):
        name = lab.__name__.rpartition(".")[2]
        question = (lab.__doc__ or "").partition("\n")[0]
        console.print(
            Text.assemble(f"\n{number} of {len(labs)}  ", (name, "bold"), f"  {question}"), soft_wrap=True
        )
        codes.append(lab.main(lab.QUICK if quick else ()))
        if codes[-1] == milestone.INTERRUPTED:
            return milestone.INTERRUPTED
    held = codes.count(milestone.REACHED)
    reached = held == len(labs)
    mark = report.mark(console, "passed" if reached else "failed")
    console.print(Text.assemble("\n", mark, f" {held} of {len(labs)} hold in full. {title}."), soft_wrap=True)
    return milestone.REACHED if reached else milestone.NOT_REACHED
