"""What makes NumPy fast and has nothing to do with the mathematics: the allocator, and the threads of BLAS.

glibc takes every array over 128 KiB fresh from the operating system and gives it back at once, so each
operation on arrays of that size pays for page faults. `reuse_memory` tells it to keep what it has. A thread
gets a heap of its own, which ends at 64 MiB and goes back when it is empty: so all must use the first one.
"""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h
KEEP = (1 << 31) - 1  # bytes: never hand the top of the heap back
NEVER_MAP = (1 << 30, 1 << 25)  # bytes: arrays up to 1 GiB from the heap; older glibc allows 32 MiB at most

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def reuse_memory() -> bool:
    """Make this process reuse the memory of freed arrays. Does nothing where the C library is not glibc.

    Threads that begin after the call do so, too.

    Returns:
        Whether it was possible.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018  musl has a mallopt that ignores its arguments
        mallopt = library.mallopt
    except (OSError, AttributeError):
        return False
    mapped = any(mallopt(M_MMAP_THRESHOLD, size) for size in NEVER_MAP)
    shared = mallopt(M_ARENA_MAX, 1)  # threads use the heap of the first
    return bool(mallopt(M_TRIM_THRESHOLD, KEEP)) and bool(shared) and mapped


def blas_environment(threads: int | None = None) -> dict[str, str]:
    """The environment for a process whose BLAS uses ``threads`` threads; it is read when NumPy is imported.

    Args:
        threads: at least 1; default: ``OMP_NUM_THREADS`` where it is set, else 1. One is the right choice for
            matrices of a few hundred rows: more gain little, wait for each other on a busy machine, and make
            the last digits of a result depend on the number of processors.

    Raises:
        ValueError: threads is less than 1.
    """
    if threads is None and os.environ.get("OMP_NUM_THREADS"):
        return dict(os.environ)
    count = 1 if threads is None else threads
    if count < 1:
        raise ValueError(f"BLAS needs at least 1 thread, got {count}")
    return os.environ | dict.fromkeys(THREAD_VARIABLES, str(count))
