"""What a figure is said to show, as numbers: each claim is predicted, measured and judged.

    claims.json     claim, measured, predicted, tolerance, holds: one record a claim

A caption that nobody checked is decoration. Here every sentence about a figure comes with the number that
bears it out, and with what it does not say.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from rich.table import Table
from rich.text import Text

from curriculum import report
from experiments.runs import Run


@dataclass(frozen=True)
class Claim:
    """One statement and its number."""

    claim: str  # a sentence
    measured: float
    predicted: float  # what theory or the claim says
    tolerance: float  # how far off it may be; 0 for a bound
    relation: str  # "=" within the tolerance, "<=" or ">="
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the number bears the claim out; NaN never does."""
        if self.relation == "=":
            return abs(self.measured - self.predicted) <= self.tolerance
        ordered = (
            self.measured <= self.predicted if self.relation == "<=" else self.measured >= self.predicted
        )
        return math.isfinite(self.measured) and ordered

    @property
    def expected(self) -> str:
        """ "at most 0.5 s", "0.5 ± 0.1"."""
        unit = f" {self.unit}" if self.unit else ""
        if self.relation == "=":
            return f"{self.predicted:.4g} ± {self.tolerance:.2g}{unit}"
        return f"{'at most' if self.relation == '<=' else 'at least'} {self.predicted:.4g}{unit}"


class Claims:
    """The claims of one run, in the order they are made."""

    def __init__(self) -> None:
        self.made: list[Claim] = []

    def near(self, claim: str, measured: float, predicted: float, tolerance: float, unit: str = "") -> None:
        """``measured`` is ``predicted`` up to ``tolerance``, an absolute one."""
        self.made.append(Claim(claim, float(measured), float(predicted), float(tolerance), "=", unit))

    def at_most(self, claim: str, measured: float, bound: float, unit: str = "") -> None:
        """``measured`` is not above ``bound``."""
        self.made.append(Claim(claim, float(measured), float(bound), 0.0, "<=", unit))

    def at_least(self, claim: str, measured: float, bound: float, unit: str = "") -> None:
        """``measured`` is not below ``bound``."""
        self.made.append(Claim(claim, float(measured), float(bound), 0.0, ">=", unit))

    def true(self, claim: str, holds: bool) -> None:
        """A statement without a number: measured 1 where it holds, 0 where not."""
        self.made.append(Claim(claim, float(holds), 1.0, 0.0, "="))

    @property
    def hold(self) -> bool:
        """Whether there are claims and all of them hold."""
        return bool(self.made) and all(claim.holds for claim in self.made)

    def conclude(self, run: Run, goal: str, **facts: object) -> int:
        """Write ``claims.json``, show the claims as a table, and conclude the run: reached if all hold.

        Args:
            run: where they were measured.
            goal: what the whole run is to show, in words.
            facts: further numbers for the record.
        """
        run.save_json("claims.json", [asdict(c) | {"holds": c.holds} for c in self.made])
        table = Table(title="What the figures claim", title_justify="left")
        table.add_column("")
        table.add_column("claim", ratio=1)
        for heading in ("measured", "predicted"):
            table.add_column(heading, justify="right", no_wrap=True)
        for c in self.made:
            mark = report.mark(run.console, "passed" if c.holds else "failed")
            measured = f"{c.measured:.4g}" + (f" {c.unit}" if c.unit else "")
            table.add_row(mark, Text(c.claim), measured, Text(c.expected))
        run.console.print(table)
        held = sum(c.holds for c in self.made)
        return run.conclude(
            goal,
            reached=self.hold,
            value=f"{held} of {len(self.made)} claims hold, in {run.seconds:.1f} s",
            **facts,
        )
