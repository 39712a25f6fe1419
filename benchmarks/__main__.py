"""``python -m benchmarks [NAME ...]``: measure, show, write; exit code 1 where a gate is missed."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

from benchmarks import report, sizes
from benchmarks.measure import ROWS, Comparison, against_sgemm, compare, open_servers, share
from curriculum.report import console


def main() -> int:
    """Measure the chosen rows and return an exit code."""
    names = list(dict.fromkeys(row.workload for row in ROWS))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Ratios against public yardsticks."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which work: {', '.join(names)}; default: all"
    )
    parser.add_argument("--rounds", type=int, default=11, help="alternating runs, at least 7 (default: 11)")
    parser.add_argument("--dry", action="store_true", help="write neither results.json nor README.md")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"there is no work named {', '.join(sorted(unknown))}: choose from {', '.join(names)}")
    if options.rounds < 7:
        parser.error(f"a median needs at least 7 rounds, got {options.rounds}")
    rows = [row for row in ROWS if not options.names or row.workload in options.names]
    screen = console()
    servers = open_servers(("ours", "hand", "pytorch", "hips", "scikit"))
    try:
        comparisons: list[Comparison] = []
        for row in rows:
            with screen.status(f"{row.title}, against {report.YARDSTICKS[row.against]}"):
                comparisons.append(compare(row, servers["ours"], servers.get(row.against), options.rounds))
        gflops = (
            sizes.flops("sgemm") / min(servers["hand"].time("sgemm", 3) for _ in range(options.rounds)) / 1e9
        )
    finally:
        for server in servers.values():
            server.close()
    shares = {c.title: share(c, gflops) for c in comparisons if sizes.flops(c.workload)}
    comparisons = [against_sgemm(c, gflops) for c in comparisons]
    screen.print(report.table(comparisons))
    screen.print(report.speed(gflops, shares), soft_wrap=True)
    if not options.dry and not options.names:
        facts = {
            "machine": f"{_processor()}, Python {platform.python_version()}",
            "versions": ", ".join(s.version for name, s in servers.items() if name != "hand"),
            "rounds": options.rounds,
            "gflops": gflops,
            "shares": shares,
        }
        written = report.save(comparisons, facts)
        screen.print(f"written in benchmarks/: {', '.join(written)}")
    return int(any(c.ratio is not None and c.gate is not None and c.ratio > c.gate for c in comparisons))


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    raise SystemExit(main())
