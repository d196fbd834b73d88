"""What derivatives by the poses and the defocus add to compressing images and to accumulating them, on the CPU.

    python benchmarks/near_poses.py --out benchmarks/results/near_poses.json

`compress_near` reads three channels more than `compress` and has five more in its products; `accumulate_near` reads a
volume with its moments and adds to right sides. The defocus is one channel more, without reading more of the volume.
Times are processor time per image, the least of rounds in which the operations take turns, so that other work on the
machine hits all alike. The floor is the time a plain copy takes to move the bytes of eight neighbours per coefficient:
read once where slices are read, read and written where they are added. Neighbours shared between coefficients may come
from a cache, so the floor is not strict.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import torch
from backprojection import bandwidth
from hardware import hardware

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.backend import N_ERRORS, N_MOMENTS, N_PARAMETERS
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--radii", type=int, nargs="+", default=[14, 31])
    parser.add_argument("--channels", type=int, default=9)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--padding", type=float, default=1.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    numba.set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    copied = bandwidth()
    report = {"hardware": hardware(), "threads": args.threads, "rounds": args.rounds}
    report |= {
        "copy_gb_per_s": round(copied / 1e9, 1),
        "rows": [measure(radius, args, copied) for radius in args.radii],
    }
    text = json.dumps(report, indent=2)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")


def measure(radius: int, args: argparse.Namespace, copied: float) -> dict[str, object]:
    """Milliseconds per image of the four operations, and their floors."""
    sphere, lattice = HalfSphere(args.box, args.padding, float(radius)), HalfPlane(args.box, radius)
    operations = operations_on(sphere, lattice, args.images, args.channels)
    seconds: dict[str, list[float]] = {name: [] for name in operations}
    for done in range(args.rounds + 1):
        for name, operation in operations.items():
            begin = time.process_time()
            operation()
            # The first round compiles.
            seconds[name] += [time.process_time() - begin] if done else []
    c, terms = args.channels, args.channels * (args.channels + 1) // 2
    moved = {"compress": 2 * c, "compress_near": 2 * (c + N_MOMENTS), "accumulate": 2 * (terms + 2 * c)}
    moved["accumulate_near"] = 2 * 2 * c + 2 * (1 + N_MOMENTS)
    moved |= {f"{name}, defocus": moved[name] for name in ("compress_near", "accumulate_near")}
    return {
        "box": args.box,
        "radius": radius,
        "channels": c,
        "images": args.images,
        "coefficients": lattice.size,
        "voxels": sphere.n_voxels,
        "ms_per_image": {name: round(min(times) * 1e3 / args.images, 4) for name, times in seconds.items()},
        "floor_ms": {name: round(8 * 4 * n * lattice.size / copied * 1e3, 4) for name, n in moved.items()},
    }


def operations_on(sphere: HalfSphere, lattice: HalfPlane, n: int, channels: int) -> dict[str, Callable[[], object]]:
    """The operations, on noise."""
    rng, backend = np.random.default_rng(0), Compute().backend(sphere, lattice)

    def noise(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    near = noise(sphere.n_voxels, 2, channels + N_MOMENTS)
    coefs, moving = near[..., :channels].contiguous(), near[..., : 1 + N_MOMENTS].contiguous()
    targets, weights = torch.view_as_complex(noise(n, lattice.size, 2)), noise(n, lattice.size).abs()
    rotations = torch.from_numpy(random_matrices(n, rng).astype(np.float32))
    moments, amplitudes = noise(n, channels * (channels + 1) // 2), noise(n, channels)
    corrections, sums = noise(n, N_ERRORS, channels), backend.nothing(channels)
    of_poses, slopes = corrections[:, :N_PARAMETERS].contiguous(), noise(n, lattice.size)
    return {
        "compress": lambda: backend.compress(coefs, targets, weights, rotations),
        "compress_near": lambda: backend.compress_near(near, targets, weights, rotations),
        "accumulate": lambda: backend.accumulate(*sums, weights, moments, targets, amplitudes, rotations),
        "accumulate_near": lambda: backend.accumulate_near(sums[1], moving, weights, of_poses, rotations),
        "compress_near, defocus": lambda: backend.compress_near(near, targets, weights, rotations, slopes),
        "accumulate_near, defocus": lambda: backend.accumulate_near(
            sums[1], moving, weights, corrections, rotations, slopes
        ),
    }


if __name__ == "__main__":
    main()
