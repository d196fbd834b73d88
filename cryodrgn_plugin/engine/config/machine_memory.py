"""The memory of this machine, and of the group of processes (a container, a job of a queue) that this one runs in."""

import math
import os
from pathlib import Path

MB = 2**20
GROUPS = Path("/sys/fs/cgroup")
LIMITS = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)
"""Files that say what a group may have and what it has, of either version of Linux' control groups."""


def machine_memory_mb() -> float:
    """What this machine has, or the group may have of it."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MB
    return min(machine, _of_group()[0])


def free_memory_mb() -> float:
    """What is free of it, files that the system keeps in memory included."""
    limit, taken = _of_group()
    return min(_available_mb(), limit - taken)


def _available_mb() -> float:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MB


def _of_group() -> tuple[float, float]:
    """What the group may have, infinity where it may have everything, and what it has; files that were read count as
    long as nothing else wants their place."""
    for names in LIMITS:
        try:
            limit, taken, listed = ((GROUPS / name).read_text() for name in names)
            counts = dict(line.split() for line in listed.splitlines())
            files = float(counts.get("inactive_file", 0))
            return float(limit) / MB, (float(taken) - files) / MB
        except (OSError, ValueError):
            continue
    return math.inf, 0.0
