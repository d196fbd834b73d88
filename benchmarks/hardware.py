"""What a benchmark ran on, to stand beside its figures."""

import os
import platform


def hardware() -> dict[str, object]:
    """Processor model, cores this process may use, and the versions that matter for speed."""
    import numba
    import numpy
    import torch

    found = {"cores": len(os.sched_getaffinity(0)), "processor": platform.processor() or platform.machine()}
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            found["processor"] = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    return found | {"numpy": numpy.__version__, "torch": torch.__version__, "numba": numba.__version__}
