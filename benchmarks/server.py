"""One stack in a process of its own: ``python server.py ROOT STACK``, then requests on standard input.

A request is ``workload repeats``; the answer, a line, is the CPU time of one run in seconds: at one thread
that is the time on an idle machine, and what else runs on this one disturbs it less. Where a run returns a
number, such as bytes, that is the answer.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path


def main(root: str, stack: str) -> None:
    """Answer requests until standard input ends."""
    sys.path[0:1] = []  # the folder of this script
    sys.path.append(root)
    if stack == "ours":
        from curriculum import manifest, overlay

        course = manifest.load(Path(root))
        overlay.install(overlay.Overlay(course.root, course.packages, "solutions"))
    if stack in ("ours", "hand"):
        from curriculum.performance import reuse_memory

        reuse_memory()
    module = importlib.import_module(f"benchmarks.{stack}")
    print(module.version(), flush=True)
    workloads = {}
    for request in sys.stdin:
        name, repeats = request.split()
        if name not in workloads:
            workloads[name] = getattr(module, name)()
        run = workloads[name]
        start = time.process_time()
        for _ in range(int(repeats)):
            found = run()
        seconds = (time.process_time() - start) / int(repeats)
        print(found if isinstance(found, float) else seconds, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
