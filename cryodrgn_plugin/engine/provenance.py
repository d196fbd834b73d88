"""What made a run: versions, hardware, command. Enough to make it again; no host name, no user name."""

import os
import platform
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from .config import RunConfig
from .threads import cores


def provenance(config: RunConfig, command: str) -> dict[str, Any]:
    """Version, command, seed, start time, library versions and hardware, as JSON values."""
    return {
        "version": __version__,
        "command": command,
        "seed": config.seed,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in ("torch", "numpy", "numba", "scikit-learn", "umap-learn")},
        "hardware": hardware(),
    }


def hardware() -> dict[str, Any]:
    """Processor, usable cores and memory in GB."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"system": platform.system(), "processor": _processor(), "cores": cores(), "memory_gb": round(memory_gb, 1)}


def peak_memory_mb() -> int:
    """Largest resident size of this program so far, in MB.

    Linux's `ru_maxrss` is no less than the size of the process that started this one, so the kernel's own mark counts.
    """
    status = Path("/proc/self/status")
    if status.exists():
        marks = (line.split() for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        if (mark := next(marks, None)) is not None:
            return round(int(mark[1]) * 1024 / 1e6)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 1e6 if sys.platform == "darwin" else peak / 1e3)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""
