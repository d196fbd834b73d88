"""What it costs to see an atomic model in every image: splatting against the exact sum, and how cost grows.

    python benchmarks/splatting_speed.py --images 200 --out benchmarks/results/splatting_speed.json

Beads in a ball that fills 0.7 of the box, as many as a chain of residues has at two each; their slices under random
rotations on the half-plane of the images, and the derivatives of a misfit by places, amplitudes and width, batch by
batch as a training asks for them. Before anything is timed the slices are compared with the exact sum.

`naive` is the sum over beads at each frequency (timed on one image, forward), `separable` the product of waves along x
and y, which is as exact. The floor is what splatting cannot do without: an FFT of the oversampled grid each way, and
the window's squared width of multiplications and additions per bead, three times as many backward, in a loop that adds
to one place. Seconds are processor time of one thread, which other work on the machine stretches less than wall time.
Slopes are exponents between the two largest sizes. Memory is by how much a batch, forward and backward, made the
process grow.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import torch
from hardware import hardware
from numba import njit
from torch import Tensor

from cryodrgn_plugin.engine.atoms import projecting, splatting
from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane

PER_RESIDUE = 2
PIXEL_ANG, FILLS, SIGMA_ANG = 2.0, 0.7, 3.71
TOLERANCE = 1e-4
CHUNK = 64
"""Frequencies of the exact sum in hand."""
BEADS, BOXES = (2500, 5000, 10_000, 20_000), (64, 96, 128, 192, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residues", type=int, default=10_000)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--of", type=int, default=10_000, help="images that the total is stated for")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    Case(100, 32, args.batch).both()  # compiles
    report = {"hardware": hardware(), "threads": 1, "images": args.images, "batch": args.batch}
    case = Case(PER_RESIDUE * args.residues, args.box, args.batch)
    report["asked"] = {"residues": args.residues, "beads": case.n, "box": args.box} | asked(case, args)
    print(json.dumps(report, indent=1), flush=True)
    few = max(args.batch, args.images // 10)
    by_beads = [timed_splats(Case(n, args.box, args.batch), few) for n in BEADS]
    by_box = [timed_splats(Case(case.n, box, args.batch), few) for box in BOXES]
    report["by_beads"], report["by_box"] = by_beads, by_box
    report["slope_in_beads"] = slope([row["beads"] for row in by_beads[-2:]], [row["both_ms"] for row in by_beads[-2:]])
    pixels = [row["box"] ** 2 for row in by_box[-2:]]
    report["slope_in_pixels"] = slope(pixels, [row["both_ms"] for row in by_box[-2:]])
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


class Case:
    """Beads in a box, and a batch of views of them."""

    def __init__(self, n: int, box: int, batch: int) -> None:
        self.n, self.box = n, box
        rng = np.random.default_rng(0)
        places = rng.normal(size=(n, 3))
        places *= (rng.uniform(size=(n, 1)) ** (1 / 3)) / np.linalg.norm(places, axis=1, keepdims=True)
        places *= FILLS * box * PIXEL_ANG / 2
        self.centres = torch.from_numpy(places.astype(np.float32))[None].requires_grad_()
        self.amplitudes = torch.from_numpy(rng.uniform(20, 60, (1, n)).astype(np.float32)).requires_grad_()
        self.sigma = torch.tensor(SIGMA_ANG, requires_grad=True)
        self.rotations = torch.from_numpy(random_matrices(batch, rng).astype(np.float32))[:, None]
        self.lattice = HalfPlane(box, box // 2 - 1)

    def slices(self) -> Tensor:
        """(batch, 1, F) in the way that the engine takes."""
        of_image = self.centres.expand(len(self.rotations), -1, -1)
        return projecting.slices_of_beads(
            of_image, self.amplitudes, self.sigma, self.rotations, self.lattice, self.lattice.size, PIXEL_ANG
        )

    def exact(self) -> Tensor:
        """(1, 1, F) of the first view, by the sum over beads at each frequency."""
        freqs = torch.from_numpy(self.lattice.indices).float() / (self.box * PIXEL_ANG)
        parts = [
            projecting.exact_slices_of_beads(
                self.centres, self.amplitudes, self.sigma, self.rotations[:1], freqs[start : start + CHUNK]
            )
            for start in range(0, len(freqs), CHUNK)
        ]
        return torch.cat(parts, dim=-1)

    def both(self) -> None:
        """Slices and the derivatives of their power."""
        self.slices().abs().square().sum().backward()
        for leaf in (self.centres, self.amplitudes, self.sigma):
            leaf.grad = None


def asked(case: Case, args: argparse.Namespace) -> dict:
    before = resident_mb()
    case.both()
    memory = resident_mb() - before
    with torch.no_grad():
        began = time.process_time()
        exact = case.exact()
        naive = time.process_time() - began
        error = float((case.slices()[:1] - exact).norm() / exact.norm())
        assert error < TOLERANCE, f"slices differ from the exact sum by {error:.1e}"
        separable = per_image(lambda: separable_slices(case), 2 * args.batch, args.batch)
    splats = timed_splats(case, args.images)
    floor_forward, floor_both = floors(case)
    total = {kind: round(splats[f"{kind}_ms"] * args.of / 1000 / 60, 1) for kind in ("forward", "both")}
    return {
        "error_against_exact": float(f"{error:.2g}"),
        "naive_forward_ms": round(1000 * naive, 1),
        "separable_forward_ms": round(separable, 2),
        "forward_ms": splats["forward_ms"],
        "forward_and_backward_ms": splats["both_ms"],
        "floor_forward_ms": round(floor_forward, 2),
        "floor_forward_and_backward_ms": round(floor_both, 2),
        "naive_over_splatting": round(1000 * naive / splats["forward_ms"], 1),
        "splatting_over_floor": round(splats["both_ms"] / floor_both, 2),
        "memory_mb": round(memory, 1),
        f"minutes_of_{args.of}_images": total,
    }


def timed_splats(case: Case, images: int) -> dict:
    batch = len(case.rotations)
    with torch.no_grad():
        forward = per_image(case.slices, images, batch)
    return {
        "beads": case.n,
        "box": case.box,
        "forward_ms": round(forward, 3),
        "both_ms": round(per_image(case.both, images, batch), 3),
    }


def per_image(do: Callable[[], object], images: int, batch: int) -> float:
    """Milliseconds of processor time per image, after one batch that compiles."""
    do()
    began = time.process_time()
    for _ in range(-(-images // batch)):
        do()
    return 1000 * (time.process_time() - began) / (-(-images // batch) * batch)


def separable_slices(case: Case) -> Tensor:
    places = (case.centres @ case.rotations[:, 0].mT)[..., :2] / (case.box * PIXEL_ANG)
    return projecting.separable_sums(places, case.amplitudes, torch.from_numpy(case.lattice.indices).long())


def floors(case: Case) -> tuple[float, float]:
    """Milliseconds per image that splatting cannot do without, forward and both ways."""
    size = splatting.grid_size(case.box // 2 - 1)
    grid = torch.randn(8, size, size)
    transform = per_image(lambda: torch.fft.rfft2(grid), 64, 8)
    window = np.random.default_rng(0).uniform(size=(2, splatting.WIDTH))
    patch = np.zeros((splatting.WIDTH, splatting.WIDTH))
    adding = per_image(lambda: additions(case.n, *window, patch), 20, 1)
    return transform + adding, 2 * transform + 4 * adding


@njit
def additions(n, wx, wy, patch):
    for j in range(n):
        amplitude = 1.0 + 1e-9 * j
        for r in range(len(wy)):
            row = amplitude * wy[r]
            for c in range(len(wx)):
                patch[r, c] += row * wx[c]


def slope(sizes: list[int], times: list[float]) -> float:
    return round(float(np.log(times[1] / times[0]) / np.log(sizes[1] / sizes[0])), 2)


def resident_mb() -> float:
    """Most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
