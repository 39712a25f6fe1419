"""The benchmarks: that they run and write down what they found. Not how fast anything is."""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from benchmarks import measure, report, sizes
from benchmarks.measure import ROWS, Comparison, Server

FACTS = {
    "machine": "a machine",
    "versions": "NumPy 2",
    "rounds": 7,
    "gflops": 90.0,
    "shares": {"a step": 0.5, "a convolution": 1.3},
}


def comparison(**changes: object) -> Comparison:
    row = Comparison(
        "mlp_step", "a step", "pytorch", 0.75, 1.0, ours=0.002, theirs=0.004, low=0.45, high=0.55
    )
    return replace(row, **changes)


def test_every_workload_runs_on_the_reference_stack() -> None:
    ours = Server("ours")
    try:
        assert ours.version.startswith("NumPy ")
        for workload in dict.fromkeys(row.workload for row in ROWS):
            if workload != "resnet_64":  # seconds, for what resnet_16 shows in a tenth of the time
                assert ours.time(workload) > 0
    finally:
        ours.close()


def test_a_workload_that_returns_a_number_is_compared_by_it() -> None:
    ours, hand = Server("ours"), Server("hand")
    try:
        (row,) = (row for row in ROWS if row.workload == "conv_memory")
        assert hand.time("conv_memory") == 2 * 64 * 64 * 32 * 32 * 4
        assert 1 <= measure.compare(row, ours, hand, 7).ratio <= row.gate  # bytes: the same on every machine
    finally:
        ours.close()
        hand.close()


def test_no_stack_is_held_back_to_older_processors(monkeypatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    seen = {}
    monkeypatch.setattr(measure.subprocess, "Popen", lambda command, env, **_: seen.update(env))
    with pytest.raises(AttributeError):  # there is no process to read from
        Server("hand")
    assert "OPENBLAS_CORETYPE" not in seen
    assert seen["OMP_NUM_THREADS"] == "1"


def test_the_operations_of_a_network_are_those_of_its_layers() -> None:
    conv = sizes.CONVOLUTIONS
    assert sizes.flops("conv_64") == sizes.flops("conv_128") == 3 * 2 * 64 * 32 * 32 * 9 * 64 * 64
    assert sizes.flops("conv_stem") == 2 * 2 * 64 * 32 * 32 * 9 * 3 * 64
    assert sizes.flops("conv_stride") == 3 * 2 * 64 * 16 * 16 * 9 * 64 * 128
    blocks = 4 * conv["conv_64"].flops() + 3 * (conv["conv_stride"].flops() + 3 * conv["conv_128"].flops())
    shortcuts = 3 * conv["conv_stride"].flops() / 9
    assert sizes.flops("resnet_64") == sizes.flops("conv_stem") + blocks + shortcuts + 3 * 2 * 64 * 512 * 10
    assert sizes.flops("softmax") == 0


def test_without_the_yardstick_products_are_compared_with_sgemm() -> None:
    flops = sizes.flops("conv_64")
    missing = comparison(workload="conv_64", theirs=None, low=None, high=None, ours=2 * flops / 90e9)
    assert measure.share(missing, 90.0) == pytest.approx(0.5)
    instead = measure.against_sgemm(missing, 90.0)
    assert instead.ratio == pytest.approx(2.0)
    assert instead.against == "sgemm"
    assert instead.gate is None
    kept = comparison(workload="conv_64")
    assert measure.against_sgemm(kept, 90.0) is kept
    without_products = comparison(workload="softmax", theirs=None)
    assert measure.against_sgemm(without_products, 90.0) is without_products


def test_a_workload_by_hand_is_compared_and_one_without_yardstick_is_not(monkeypatch) -> None:
    monkeypatch.setattr(measure, "RUN_SECONDS", 0.01)
    hand = Server("hand")
    try:
        row = replace(ROWS[0], workload="sgemm", against="hand")
        with_it = measure.compare(row, hand, hand, 7)
        assert with_it.ratio > 0
        assert with_it.low <= with_it.high
        without = measure.compare(row, hand, None, 7)
        assert without.ratio is without.low is without.theirs is None
        assert without.ours > 0
    finally:
        hand.close()


def test_a_process_that_ends_is_an_error_and_not_a_time() -> None:
    server = Server("hand")
    with pytest.raises(RuntimeError, match="a benchmark process ended with exit code 1"):
        server.time("no_such_workload")
    server.close()


def test_a_yardstick_is_looked_for_in_the_named_interpreter_and_here(monkeypatch) -> None:
    monkeypatch.delenv("BENCH_PYTHON", raising=False)
    assert measure.yardstick_python("numpy") == sys.executable
    assert measure.yardstick_python("no_such_module") is None
    monkeypatch.setenv("BENCH_PYTHON", os.pathsep.join(("/no/such/python", "/nor/this")))
    assert measure.yardstick_python("numpy") == sys.executable


def test_a_ratio_is_our_time_over_theirs() -> None:
    assert comparison().ratio == 0.5
    assert comparison(theirs=None).ratio is None


def test_the_table_shows_ratio_goal_and_gate_and_what_is_missing() -> None:
    screen = Console(width=160, record=True, file=io.StringIO())
    screen.print(report.table([comparison(), comparison(theirs=None, low=None, high=None)]))
    shown = screen.export_text()
    assert "0.50" in shown
    assert "0.45-0.55" in shown
    assert "not installed" in shown
    screen.print(report.table([comparison(against="sgemm", goal=None, gate=None, low=None, high=None)]))
    assert "sgemm 1024, at its FLOP/s" in screen.export_text()
    assert report.speed(90.0, {}).endswith("90 GFLOP/s on one thread.")


def test_the_page_and_the_results_say_what_was_measured(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    memory = comparison(workload="conv_memory", ours=35e6, theirs=33e6)
    report.save([comparison(), comparison(workload="graph", ours=sizes.OPERATIONS * 4e-6), memory], FACTS)
    page = (tmp_path / "README.md").read_text("utf-8")
    assert "| a step | PyTorch eager | 0.50 | 0.45-0.55 | 0.75 | 1.00 | 2.00 ms |" in page
    assert "| 4.0 µs |" in page
    assert "| a step | its input and output | 1.06 | 0.45-0.55 | 0.75 | 1.00 | 35.0 MB |" in page
    assert "(sgemm) ran at 90 GFLOP/s on one thread." in page
    assert "reach: 50% a step; 130% a convolution." in " ".join(page.split())
    assert "Measured on a machine with NumPy 2." in page
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert results["rows"][0]["ratio"] == 0.5
    assert results["gflops"] == 90.0


def test_the_page_stays_as_it_is_where_a_yardstick_is_missing(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    missing = comparison(theirs=None, low=None, high=None)
    assert report.save([comparison(), missing], FACTS) == ["results.json"]
    instead = comparison(against="sgemm", goal=None, gate=None)
    assert report.save([comparison(), instead], FACTS) == ["results.json"]
    assert [f.name for f in tmp_path.iterdir()] == ["results.json"]
