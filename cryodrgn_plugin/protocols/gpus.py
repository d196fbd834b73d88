"""The NVIDIA GPUs of this machine, by the numbers that programs know. torch is not asked: it takes seconds to load."""

import subprocess
from functools import cache
from glob import glob

QUERY = ("nvidia-smi", "--query-gpu=index,name,memory.total", "--format=csv,noheader")


@cache
def gpus() -> tuple[str, ...]:
    """`0: NVIDIA H200, 143771 MiB` for each; empty where the driver finds none."""
    if not glob("/proc/driver/nvidia/gpus/*"):
        return ()
    try:
        told = subprocess.run(QUERY, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ("0: a GPU whose name the driver does not say",)
    return tuple(line.strip().replace(",", ":", 1) for line in told.splitlines() if line.strip())
