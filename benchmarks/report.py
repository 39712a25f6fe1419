"""The figures as a table on the screen, as ``results.json`` and as ``README.md``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from benchmarks import sizes
from benchmarks.measure import Comparison

FOLDER = Path(__file__).parent
YARDSTICKS = {
    "pytorch": "PyTorch eager",
    "hips": "HIPS autograd",
    "hand": "NumPy by hand",
    "scikit": "scikit-learn",
}
PREFACE = """# Benchmarks

`make bench` compares the reference stack with public yardsticks and writes this page. A ratio is our time
over theirs: below 1, the reference stack is faster. *Goal* is what we aim at, *gate* what `make bench`
insists on: above it, the exit code is 1.

How it is measured: each stack in a process of its own, one thread, CPU time, {rounds} alternating runs of
0.15 s; the ratio is that of the medians, the range holds the middle half of the ratios of neighbouring runs.
All stacks get the same shapes and numbers and run at their defaults. PyTorch, HIPS autograd and scikit-learn
are optional: install them anywhere and say `BENCH_PYTHON=path/to/python make bench`, with `:` (on Windows
`;`) between several interpreters. What is not installed is not compared, and this page is then left as it is.

| work | yardstick | ratio | range | goal | gate | ours |
|---|---|---|---|---|---|---|
{rows}

The MLP step runs at {share:.0%} of the speed of a product of two 1024x1024 matrices, {gflops:.0f} GFLOP/s.
Measured on {machine} with {versions}.

A row above its gate is a row to work on. What bounds the operation of the graph: arithmetic takes
a third of its time; the rest is Python: a node and a Tensor made for each operation, and a rule called for
each on the way back, written to be read first.

`python -m benchmarks.agreement 200` draws 200 cases for every operation, layer, loss and optimizer and
compares them with PyTorch in float64, first and second derivatives included; above 1e-10 relative, it fails.
`python -m benchmarks.classical 200` compares the estimators of phase 4 with scikit-learn's and SciPy's.
"""


def table(comparisons: Sequence[Comparison]) -> Table:
    """One line a comparison."""
    drawn = Table(title="The reference stack against public yardsticks, one thread", title_justify="left")
    for heading in ("work", "yardstick"):
        drawn.add_column(heading)
    for heading in ("ratio", "range", "goal", "gate", "ours"):
        drawn.add_column(heading, justify="right", no_wrap=True)
    for c in comparisons:
        style = (
            ""
            if c.ratio is None
            else "green"
            if c.ratio <= c.goal
            else "yellow"
            if c.ratio <= c.gate
            else "red"
        )
        drawn.add_row(*_cells(c), style=style)
    return drawn


def save(comparisons: Sequence[Comparison], facts: dict[str, object]) -> list[str]:
    """Write ``results.json`` here, and ``README.md`` if every yardstick was there; return their names."""
    rows = [asdict(c) | {"ratio": c.ratio} for c in comparisons]
    (FOLDER / "results.json").write_text(
        json.dumps(facts | {"rows": rows}, indent=2) + "\n", "utf-8", newline="\n"
    )
    if any(c.ratio is None for c in comparisons):
        return ["results.json"]
    page = PREFACE.format(rows="\n".join(f"| {' | '.join(_cells(c))} |" for c in comparisons), **facts)
    (FOLDER / "README.md").write_text(page, "utf-8", newline="\n")
    return ["results.json", "README.md"]


def _cells(c: Comparison) -> list[str]:
    ratio = "not installed" if c.ratio is None else f"{c.ratio:.2f}"
    spread = "" if c.low is None else f"{c.low:.2f}-{c.high:.2f}"
    return [c.title, YARDSTICKS[c.against], ratio, spread, f"{c.goal:.2f}", f"{c.gate:.2f}", _time(c)]


def _time(c: Comparison) -> str:
    seconds = c.ours / sizes.OPERATIONS if c.workload == "graph" else c.ours
    return f"{1e6 * seconds:.1f} µs" if seconds < 1e-3 else f"{1e3 * seconds:.2f} ms"
