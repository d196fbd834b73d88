"""The numba kernels on the CPU: each beside its plain torch twin, and both beside what must be moved and computed.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/kernels_cpu.py --out benchmarks/results/kernels_cpu.json

A floor is the larger of two times: the bytes of `kernel_floors` (for each image anew) at the bandwidth of a plain copy,
and its operations at the rate of a product of matrices, both measured in the same run on as many threads. A kernel is
below it where a cache serves several images. Slices are also made by torch's `embedding_bag`, with places and weights
ready, which is the fastest gather that torch has.

Times are the least of rounds in which the ways take turns: processor time on one thread; on several, wall clock, with
processor time beside, since other work on the machine stretches the first.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numba
import torch
from backprojection import bandwidth
from hardware import hardware
from kernel_floors import floors, operations
from torch.nn.functional import embedding_bag

from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.device_tables import table
from cryodrgn_plugin.engine.slicing.torch_slices import Corners
from cryodrgn_plugin.tests.engine.slice_operations import Operation, Problem, operations_on, random_turns

CPU = torch.device("cpu")
WIDE = 1024
"""Rows and columns of the product that tells how fast this processor multiplies."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--radius", type=int, default=63)
    parser.add_argument("--channels", type=int, default=17)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--padding", type=float, default=1.5)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--shifts", type=int, default=21)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="operations that are measured, instead of all")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    names = ("box", "radius", "channels", "images", "padding", "candidates", "shifts")
    problem = Problem(**{name: getattr(args, name) for name in names})
    report = {"hardware": hardware(), **vars(problem), "coefficients": problem.lattice.size}
    report |= {"voxels": problem.sphere.n_voxels, "rounds": args.rounds, "rows": []}
    members = {name: operations_on(Compute.on(CPU, name), problem) for name in ("numba", "torch")}
    members["torch"]["embedding_bag"] = by_embedding_bag(problem)
    for threads in args.threads:
        report["rows"].append(measured(problem, members, threads, args.rounds, args.only))
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def measured(problem, members, threads: int, rounds: int, only: list[str] | None) -> dict[str, object]:
    """All operations on so many threads: milliseconds per image, and how many times the floor and the twin."""
    numba.set_num_threads(threads)
    torch.set_num_threads(threads)
    copied, square = bandwidth(), torch.rand(WIDE, WIDE)
    product = least({"product": lambda: torch.mm(square, square)}, 5 * rounds)["product"][0]
    rate = 2 * WIDE**3 / product
    moved, counted, rows = floors(problem, CPU), operations(problem), {}
    for name in only or members["numba"]:
        ways = {"kernel": members["numba"][name], "twin": members["torch"][name]}
        ways |= {"embedding_bag": members["torch"]["embedding_bag"]} if name == "project" else {}
        times = least(ways, rounds)
        row = {"ms_per_image": {way: each[threads == 1] for way, each in times.items()}}
        row["cpu_ms_per_image"] = {way: each[1] for way, each in times.items()}
        row = {kind: {way: 1e3 * s / problem.images for way, s in of.items()} for kind, of in row.items()}
        ms = row["ms_per_image"]
        row["times_kernel"] = {way: value / ms["kernel"] for way, value in ms.items() if way != "kernel"}
        if name in moved:
            parts = {"bytes": moved[name]["each"] / copied, "operations": counted[name] / rate}
            row["floor_ms"] = {kind: 1e3 * seconds / problem.images for kind, seconds in parts.items()}
            row["times_floor"] = {way: value / max(row["floor_ms"].values()) for way, value in ms.items()}
        rows[name] = {kind: {way: float(f"{v:.3g}") for way, v in of.items()} for kind, of in row.items()}
        print(threads, name, rows[name], flush=True)
    rates = {"copy_gb_per_s": round(copied / 1e9, 1), "product_gflop_per_s": round(rate / 1e9, 1)}
    return {"threads": threads, **rates, "operations": rows}


def by_embedding_bag(problem: Problem) -> Operation:
    """Slices of all channels, from places and weights that are ready."""
    sphere, freqs = problem.sphere, table(problem.lattice, "indices", CPU, torch.float32)
    corners = Corners.of(random_turns(problem.images), sphere, freqs)
    places, weights = corners.voxels.reshape(-1, 8), corners.weights.reshape(-1, 8).float()
    volumes = torch.randn(sphere.n_voxels, 2 * problem.channels)
    return lambda: (embedding_bag(places, volumes, per_sample_weights=weights, mode="sum"),)


def least(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Least seconds of wall clock and of processor time of each; the first round, which compiles, is not counted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for done in range(rounds + 1):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            way()
            times[name] += [(time.perf_counter() - wall, time.process_time() - cpu)] if done else []
    return {name: tuple(min(column) for column in zip(*each, strict=True)) for name, each in times.items()}


if __name__ == "__main__":
    main()
