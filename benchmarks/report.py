"""The figures as a table on the screen, as ``results.json`` and as ``README.md``."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
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
    "sgemm": "sgemm 1024, at its FLOP/s",  # instead of PyTorch, where that is not installed
}
PREFACE = """# Benchmarks

`make bench` compares the reference stack with public yardsticks and writes this page. A ratio is our time
over theirs: below 1, the reference stack is faster. *Goal* is what we aim at, *gate* what `make bench`
insists on: above it, the exit code is 1.

How it is measured: each stack in a process of its own, one thread, CPU time, {rounds} alternating runs of
0.15 s; the ratio is that of the medians, the range holds the middle half of the ratios of neighbouring runs.
All stacks get the same shapes and numbers and run at their defaults. A variable that holds OpenBLAS back to
the instructions of older processors is dropped, for the yardstick's kernels are not held back either. Rows of
convolution and pooling: 64 images, forward and backward, channels last in memory on both sides; the reference
stack has its faster methods enabled (`nn_core.conv.winograd`, `nn_core.conv.narrow`), as its training runs
do. The row of memory compares bytes: all that is held after the pass, with input and output alone.

PyTorch, HIPS autograd and scikit-learn are optional: install them anywhere and say
`BENCH_PYTHON=path/to/python make bench`, with `:` (on Windows `;`) between several interpreters. What is not
installed is not compared, and this page is then left as it is. Without PyTorch, networks and convolutions are
compared with sgemm, a product of two 1024x1024 matrices in the same run: the ratio is that of our time to the
time in which sgemm does as many operations, and has no gate.

| work | yardstick | ratio | range | goal | gate | ours |
|---|---|---|---|---|---|---|
{rows}

{speed}

Measured on {machine} with {versions}.

A row above its gate is a row to work on. What bounds the operation of the graph: arithmetic takes
a third of its time; the rest is Python: a node and a Tensor made for each operation, and a rule called for
each on the way back, written to be read first.

The quarter-width ResNet-18 spends 26 % of its step in products with 16 and 32 columns, at 63 % of the speed
of square ones, 8 % in cutting lines for them, 14 % in Winograd's convolutions, 16 % in batch normalization
and 6 % in putting frames of zeros around images; PyTorch's kernels cut and frame inside the product. Max
pooling and batch normalization with channels last are passes over memory, which PyTorch makes at once and
NumPy one by one.

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
        drawn.add_row(*_cells(c), style=_style(c))
    return drawn


def _style(c: Comparison) -> str:
    if c.ratio is None or c.goal is None or c.gate is None:
        return ""
    return "green" if c.ratio <= c.goal else "yellow" if c.ratio <= c.gate else "red"


def speed(gflops: float, shares: Mapping[str, float]) -> str:
    """How fast products of matrices were in this run, and what share of that each work reached.

    Args:
        gflops: of two 1024x1024 matrices.
        shares: title -> share.
    """
    said = f"A product of two 1024x1024 matrices (sgemm) ran at {gflops:.0f} GFLOP/s on one thread."
    if not shares:
        return said
    listed = "; ".join(f"{share:.0%} {title}" for title, share in shares.items())
    return f"{said} Of that, counting the operations of the definitions, reach: {listed}."


def save(comparisons: Sequence[Comparison], facts: dict) -> list[str]:
    """Write ``results.json`` here, and ``README.md`` if every yardstick was there; return their names."""
    rows = [asdict(c) | {"ratio": c.ratio} for c in comparisons]
    (FOLDER / "results.json").write_text(
        json.dumps(facts | {"rows": rows}, indent=2) + "\n", "utf-8", newline="\n"
    )
    if any(c.ratio is None or c.against == "sgemm" for c in comparisons):
        return ["results.json"]
    lines = "\n".join(f"| {' | '.join(_cells(c))} |" for c in comparisons)
    said = textwrap.fill(speed(facts["gflops"], facts["shares"]), 110, break_long_words=False)
    page = PREFACE.format(rows=lines, speed=said, **facts)
    (FOLDER / "README.md").write_text(page, "utf-8", newline="\n")
    return ["results.json", "README.md"]


def _cells(c: Comparison) -> list[str]:
    ratio = "not installed" if c.ratio is None else f"{c.ratio:.2f}"
    spread = "" if c.low is None else f"{c.low:.2f}-{c.high:.2f}"
    bounds = ["" if bound is None else f"{bound:.2f}" for bound in (c.goal, c.gate)]
    yardstick = "its input and output" if c.workload == "conv_memory" else YARDSTICKS[c.against]
    return [c.title, yardstick, ratio, spread, *bounds, _amount(c)]


def _amount(c: Comparison) -> str:
    """Our side: a time, or bytes."""
    if c.workload == "conv_memory":
        return f"{c.ours / 1e6:.1f} MB"
    seconds = c.ours / sizes.OPERATIONS if c.workload == "graph" else c.ours
    return f"{1e6 * seconds:.1f} µs" if seconds < 1e-3 else f"{1e3 * seconds:.2f} ms"
