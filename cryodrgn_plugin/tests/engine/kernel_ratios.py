"""How long numba's kernels take beside their plain torch twins on the same machine, one thread each.

    python cryodrgn_plugin/tests/engine/kernel_ratios.py     measures again and writes tests/data/kernel_ratios.json

Times are processor time of this process, the least of several rounds in which both take turns: other work on the
machine hits both alike, and what it takes away is not counted.
"""

import json
import time
from pathlib import Path
from statistics import median

import numba
import torch

from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.tests.engine.slice_operations import Operation, Problem, operations_on

KEPT = Path(__file__).parents[1] / "data" / "kernel_ratios.json"
PROBLEM = Problem(box=40, radius=18, channels=9, images=32, candidates=6, shifts=21)
ROUNDS = 5


def kept_ratios() -> dict[str, float]:
    """The ratios that the repository keeps."""
    return json.loads(KEPT.read_text())


def both_members() -> tuple[dict[str, Operation], dict[str, Operation]]:
    """The operations of numba and of torch, warm: kernels are compiled, memory is there."""
    members = tuple(operations_on(Compute.on("cpu", name), PROBLEM) for name in ("numba", "torch"))
    for operations in members:
        for operation in operations.values():
            operation()
    return members


def ratio(fast: Operation, slow: Operation, rounds: int = ROUNDS) -> float:
    """Processor time of the one over that of the other, on one thread."""
    threads = numba.get_num_threads(), torch.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    try:
        pairs = [(_seconds(fast), _seconds(slow)) for _ in range(rounds)]
    finally:
        numba.set_num_threads(threads[0])
        torch.set_num_threads(threads[1])
    return min(pair[0] for pair in pairs) / min(pair[1] for pair in pairs)


def _seconds(operation: Operation) -> float:
    begin = time.process_time()
    operation()
    return time.process_time() - begin


def main() -> None:
    numba_operations, torch_operations = both_members()
    passes = [
        {name: ratio(numba_operations[name], torch_operations[name]) for name in numba_operations} for _ in range(5)
    ]
    ratios = {name: median(each[name] for each in passes) for name in numba_operations}
    KEPT.write_text(json.dumps({name: float(f"{value:.3g}") for name, value in ratios.items()}, indent=1) + "\n")
    print(KEPT.read_text())


if __name__ == "__main__":
    main()
