"""Time of backprojection per image and thread, beside the time its memory traffic takes.

    python benchmarks/backprojection.py --out benchmarks/results/backprojection.json

The floor is what the scatter moves, 8 neighbours × 12 bytes read and written per coefficient, at the bandwidth that a
plain copy reaches on as many threads here. Both are the best of many short passes. Processor time stands beside: on a
busy machine it is the figure to trust, and with two threads its half is the time per image.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
from hardware import hardware
from numba import njit, prange

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.reconstruction.accumulator import Accumulator

BYTES_PER_COEFFICIENT = 8 * 12 * 2
PASSES = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boxes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows = [measure(box, threads) for box in args.boxes for threads in args.threads]
    text = json.dumps({"hardware": hardware(), "rows": rows}, indent=2)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")


def measure(box: int, threads: int) -> dict[str, float]:
    """Milliseconds per image of `box` pixels on `threads` threads."""
    numba.set_num_threads(threads)
    count = 400_000 // box**2
    lattice, rng = HalfPlane(box, box // 2 - 1), np.random.default_rng(0)
    rotations = random_matrices(count, rng).astype(np.float32)
    spectra = rng.standard_normal((count, 2 * lattice.size), dtype=np.float32).view(np.complex64)
    ctf = rng.uniform(-1, 1, spectra.shape).astype(np.float32)
    sums = Accumulator(lattice)
    wall, cpu = best(lambda: sums.add(spectra, ctf, rotations))
    floor = lattice.size * BYTES_PER_COEFFICIENT / bandwidth() * 1e3
    return {
        "box": box,
        "threads": threads,
        "images": count,
        "ms_per_image": round(wall / count * 1e3, 4),
        "cpu_ms_per_image": round(cpu / count * 1e3, 4),
        "floor_ms": round(floor, 4),
        "times_floor": round(wall / count * 1e3 / floor, 2),
    }


def bandwidth() -> float:
    """Bytes per second of a plain copy, reading and writing, on the threads set."""
    source = np.ones(2**25, np.float32)
    target = np.empty_like(source)
    return 2 * source.nbytes / best(lambda: _copy(source, target))[0]


def best(work: Callable[[], None]) -> tuple[float, float]:
    """Least wall and processor seconds over some passes; the first, which compiles, is not counted."""
    work()
    walls, cpus = [], []
    for _ in range(PASSES):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus)


@njit(parallel=True)
def _copy(source, target):
    for i in prange(len(source)):
        target[i] = source[i]


if __name__ == "__main__":
    main()
