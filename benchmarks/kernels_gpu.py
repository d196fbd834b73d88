"""The Triton kernels on a GPU: each against its plain torch twin on the same GPU, and against the bytes it must move.

    python benchmarks/kernels_gpu.py --out benchmarks/results/kernels_gpu.json
    python benchmarks/kernels_gpu.py --rehearse         small sizes in Triton's interpreter, without times: a check
                                                        of this file where there is no GPU

The floors are those of `kernel_floors`, at the bandwidth of a large copy measured in the same run (bytes read and bytes
written).
Times are medians of events on the device. Differences are norms over norms, from the twin in the same precision.
"""

import argparse
import json
import os
import statistics
from pathlib import Path

import torch
from hardware import hardware
from kernel_floors import floors

from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.tests.engine.slice_operations import Operation, Problem, operations_on

SMALL = Problem(box=8, radius=3, channels=3, images=3, candidates=2, shifts=3)
COPIED_BYTES = 2**32
ALIKE = 1e-4
"""What a kernel may differ by from its twin, as single precision lets two orders of a sum differ."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--radius", type=int, nargs="+", default=[16, 32, 63])
    parser.add_argument("--channels", type=int, nargs="+", default=[1, 9, 17])
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--padding", type=float, default=1.5)
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--shifts", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--twin-images", type=int, default=64, help="images that the twin is timed on")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.rehearse:
        os.environ["TRITON_INTERPRET"] = "1"
        report = {"rehearsed": differences(torch.device("cpu"), SMALL)}
    elif not torch.cuda.is_available():
        raise SystemExit("No GPU was found here; run this on a machine with one, or with --rehearse.")
    else:
        copied = copy_bandwidth()
        report = {"hardware": hardware(), "copy_tb_per_s": round(copied / 1e12, 3), "rows": []}
        for radius in args.radius:
            for channels in args.channels:
                sizes = {name: getattr(args, name) for name in ("box", "padding", "candidates", "shifts")}
                problem = Problem(radius=radius, channels=channels, images=args.images, **sizes)
                report["rows"].append(measure(problem, args, copied))
                print(json.dumps(report["rows"][-1]), flush=True)
    text = json.dumps(report, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def measure(problem: Problem, args: argparse.Namespace, copied: float) -> dict[str, object]:
    """Microseconds per image of every kernel and its twin, the floors, and how much of the bandwidth is used."""
    few = Problem(**vars(problem) | {"images": args.twin_images})
    device = torch.device("cuda")
    kernels = operations_on(Compute.on(device, "triton"), problem)
    twins, bytes_moved, rows = operations_on(Compute.on(device, "torch"), few), floors(problem, device), {}
    apart = differences(device, few)
    for name, kernel in kernels.items():
        seconds = on_device(kernel, args.repeats)
        row = {"us_per_image": 1e6 * seconds / problem.images, "ms": 1e3 * seconds, "difference": apart[name]}
        row["twin_us_per_image"] = 1e6 * on_device(twins[name], 3) / few.images
        row["twin_over_kernel"] = row["twin_us_per_image"] / row["us_per_image"]
        for kind, count in bytes_moved.get(name, {}).items():
            row[f"floor_{kind}_us_per_image"] = 1e6 * count / copied / problem.images
            row[f"share_of_copy_{kind}"] = count / copied / seconds
        rows[name] = {key: float(f"{value:.3g}") for key, value in row.items()}
    return vars(problem) | {"coefficients": problem.lattice.size, "voxels": problem.sphere.n_voxels, "kernels": rows}


def differences(device: torch.device, problem: Problem) -> dict[str, float]:
    """Of every kernel from its twin; more than rounding explains ends the run."""
    kernels, twins = (operations_on(Compute.on(device, name), problem) for name in ("triton", "torch"))
    apart = {}
    for name in kernels:
        pairs = zip(kernels[name](), twins[name](), strict=True)
        apart[name] = max(float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b)) for a, b in pairs)
        if not apart[name] < ALIKE:
            raise SystemExit(f"{name} differs from its twin by {apart[name]:.1e}; at most {ALIKE:.0e} is rounding.")
    return apart


def copy_bandwidth() -> float:
    """Bytes per second of a large copy on the device, read and written."""
    source = torch.randn(COPIED_BYTES // 8, device="cuda")
    target = torch.empty_like(source)
    return COPIED_BYTES / on_device(lambda: (target.copy_(source),), 20)


def on_device(operation: Operation, repeats: int) -> float:
    """Median seconds on the device."""
    times = []
    for done in range(repeats + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        operation()
        end.record()
        torch.cuda.synchronize()
        # The first rounds compile and warm up.
        times += [begin.elapsed_time(end) / 1e3] if done >= 3 else []
    return statistics.median(times)


if __name__ == "__main__":
    main()
