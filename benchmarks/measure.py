"""Ratios of medians of alternating runs, each stack in a process of its own at one thread."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

from benchmarks import sizes
from curriculum import performance

ROOT = Path(__file__).resolve().parents[1]
RUN_SECONDS = 0.15  # of one run: long against the clock's resolution, short against drifts of the processor's
HELD_BACK = ("OPENBLAS_CORETYPE",)  # names an older processor; PyTorch's own products would not hear of it


@dataclass(frozen=True)
class Row:
    """One comparison. A ratio below 1 means that the reference stack is faster."""

    workload: str
    title: str
    against: str  # pytorch | hips | hand | scikit
    goal: float  # what it should be
    gate: float  # what it must not exceed


ROWS = (
    Row("graph", "an operation of the graph, forward + backward, 4x4", "pytorch", 0.60, 0.80),
    Row("graph", "an operation of the graph, forward + backward, 4x4", "hips", 0.20, 0.30),
    Row("mlp_step", "MLP 784-256-128-10, step with Adam, batch 128", "pytorch", 0.75, 1.00),
    Row("mlp_pass", "MLP 784-256-128-10, forward + backward", "hand", 1.08, 1.15),
    Row("double_backward", "double backward, gradient penalty, batch 128", "pytorch", 0.85, 1.10),
    Row("neuroscope", "NeuroScope, 100 steps of 1-64-64-1, sharpness every 20", "pytorch", 1.00, 1.40),
    Row("gelu", "GELU, tanh approximation, 32x64x512, forward + backward", "pytorch", 0.80, 1.20),
    Row("norm_relu", "BatchNorm + ReLU, 64x64x32x32, forward + backward", "pytorch", 0.80, 1.20),
    Row("norm_relu_last", "BatchNorm + ReLU, the same with channels last in memory", "pytorch", 0.80, 1.20),
    Row("softmax", "softmax, 32x64x128, forward + backward", "pytorch", 2.00, 3.00),
    Row("layernorm", "LayerNorm, 32x64x128, forward + backward", "pytorch", 3.50, 6.00),
    Row("conv_64", "conv2d 3x3, 64 channels, 32x32", "pytorch", 0.85, 1.10),
    Row("conv_128", "conv2d 3x3, 128 channels, 16x16", "pytorch", 0.85, 1.10),
    Row("conv_stride", "conv2d 3x3, stride 2, 64 to 128 channels, 32x32", "pytorch", 1.00, 1.35),
    Row("conv_32", "conv2d 3x3, 32 channels, 16x16", "pytorch", 1.25, 1.70),
    Row("conv_16", "conv2d 3x3, 16 channels, 32x32", "pytorch", 1.25, 1.70),
    Row("conv_stem", "conv2d 3x3, 3 to 64 channels, 32x32, no gradient in the image", "pytorch", 1.25, 1.70),
    Row(
        "conv_memory",
        "conv2d 3x3, 64 channels, 32x32: memory after forward",
        "hand",
        1.25,
        1.50,
    ),
    Row("max_pool", "max pooling 2x2, 64 channels, 32x32", "pytorch", 1.00, 1.50),
    Row("avg_pool", "average pooling 2x2, 64 channels, 32x32", "pytorch", 1.00, 1.50),
    Row("resnet_64", "ResNet-18, step with SGD, 32x32, batch 64", "pytorch", 0.90, 1.20),
    Row("resnet_16", "ResNet-18 of a quarter of the width, the same step", "pytorch", 1.10, 1.50),
    Row("kmeans", "k-means, 10,000x20, k = 10, Lloyd from given centres", "scikit", 1.00, 1.40),
    Row("cart", "decision tree, 5,000x20, full depth", "scikit", 0.60, 0.90),
    Row("gmm", "Gaussian mixture, 10,000x10, 5 full covariances, 20 steps", "scikit", 0.65, 0.90),
    Row("tsne", "exact t-SNE, 1,000x20, 250 steps", "scikit", 0.10, 0.20),
    Row("smo", "kernel SVM by SMO, 1,000x20, RBF", "scikit", 1.60, 2.20),
)


@dataclass(frozen=True)
class Comparison:
    """What was measured for one row: medians in seconds, or bytes; ``theirs`` is None without the yardstick.

    Against "sgemm" goal and gate are None: those of the row are for its own yardstick.
    """

    workload: str
    title: str
    against: str
    goal: float | None
    gate: float | None
    ours: float
    theirs: float | None
    low: float | None  # quartiles of the ratios of neighbouring runs
    high: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.theirs is None else self.ours / self.theirs


class Server:
    """A stack that runs a workload when asked and says how long it took."""

    def __init__(self, stack: str, python: str = sys.executable):
        command = [python, str(ROOT / "benchmarks" / "server.py"), str(ROOT), stack]
        environment, pipe = performance.blas_environment(1), subprocess.PIPE
        environment = {name: value for name, value in environment.items() if name not in HELD_BACK}
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self._requests = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)
        self.version = self._read()

    def time(self, workload: str, repeats: int = 1) -> float:
        """Seconds of one run, the mean of ``repeats``; for a workload that returns a number, that number.

        Raises:
            RuntimeError: the process ended instead; what it said is on standard error.
        """
        self._requests.write(f"{workload} {repeats}\n")
        self._requests.flush()
        return float(self._read())

    def close(self) -> None:
        """End the process."""
        with self._process:  # closes the pipes and waits
            self._requests.close()

    def _read(self) -> str:
        line = self._answers.readline().strip()
        if not line:
            raise RuntimeError(f"a benchmark process ended with exit code {self._process.wait()}")
        return line


def yardstick_python(module: str) -> str | None:
    """An interpreter that has ``module``: one of ``BENCH_PYTHON``, else this one; None if none has."""
    named = os.environ.get("BENCH_PYTHON", "").split(os.pathsep)
    for python in filter(None, (*named, sys.executable)):
        probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec('{module}') is None)"
        try:
            if subprocess.run([python, "-c", probe], capture_output=True).returncode == 0:
                return python
        except OSError:
            continue
    return None


def open_servers(stacks: Iterable[str]) -> dict[str, Server]:
    """A server for each stack that is installed."""
    needs = {"pytorch": "torch", "hips": "autograd", "scikit": "sklearn"}
    servers = {}
    for stack in stacks:
        python = yardstick_python(needs[stack]) if stack in needs else sys.executable
        if python is not None:
            servers[stack] = Server(stack, python)
    return servers


def compare(row: Row, ours: Server, theirs: Server | None, rounds: int) -> Comparison:
    """Run both sides in turn, ``rounds`` times each."""
    servers = [ours] if theirs is None else [ours, theirs]
    repeats = []
    for server in servers:
        for _ in range(3):  # caches, allocators and lazy imports
            once = server.time(row.workload)
        repeats.append(max(1, round(RUN_SECONDS / once)))
    times = [
        [server.time(row.workload, n) for server, n in zip(servers, repeats, strict=True)]
        for _ in range(rounds)
    ]
    medians = [statistics.median(column) for column in zip(*times, strict=True)]
    low = high = None
    if theirs is not None:
        low, _, high = statistics.quantiles([a / b for a, b in times], n=4)
    return Comparison(**vars(row), ours=medians[0], theirs=medians[1] if theirs else None, low=low, high=high)


def share(comparison: Comparison, gflops: float) -> float:
    """The FLOP/s of our side over those of sgemm: of the products as they are defined; 0 if there are none.

    Above 1 where a way was found that multiplies less.

    Args:
        comparison: of a workload of `sizes.flops`.
        gflops: 1e9 floating-point operations a second of sgemm 1024 in this run.
    """
    return sizes.flops(comparison.workload) / comparison.ours / 1e9 / gflops


def against_sgemm(comparison: Comparison, gflops: float) -> Comparison:
    """Where the yardstick is not installed: the time that sgemm would take for as many operations, instead.

    Comparisons that have their yardstick, or no products, stay as they are.
    """
    if comparison.theirs is not None or not sizes.flops(comparison.workload):
        return comparison
    theirs = comparison.ours * share(comparison, gflops)
    return replace(comparison, against="sgemm", theirs=theirs, goal=None, gate=None)
