"""Fused slicing against the same slices by torch `embedding_bag` and `grid_sample`, forward and backward on the CPU.

    OMP_WAIT_POLICY=PASSIVE python benchmarks/slicing_speed.py --images 32 --out benchmarks/results/slicing_speed.json

All make the same weighted slices of K + 1 volumes and the same gradients in coefficients and amplitudes, which
is checked before anything is timed: the fused ones differ by less than 1e-5 of the norm from what the torch ways give
in double precision (in single precision grid_sample's coordinates are less exact than that).

All start from rotations; "ready" leaves out what torch takes to find corner indices, weights and grids. Times are
medians of rounds in which the ways take turns, so that other work on the machine hits all alike; processor time of all
threads stands beside, which other work stretches less. The floor is the time a plain copy on as many threads takes to
move the bytes of eight neighbours per coefficient: read once forward; read once, and read and written once, backward.
Neighbours shared between coefficients may come from a cache, so the floor is not strict.

Each gradient of the coefficients is a new dense array, which no way is spared. "resident" says whether malloc was told
to keep such memory (MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=9000000000) or asks the kernel for fresh pages every
time, which on a virtual machine can cost more than the slices.
"""

import argparse
import copy
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numba
import numpy as np
import torch
from backprojection import bandwidth
from hardware import hardware
from interpolation import noise_ball
from torch import Tensor
from torch.nn.functional import embedding_bag, grid_sample

from cryodrgn_plugin.engine.geometry.rotations import random_matrices
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.sphere import HalfSphere

TOLERANCE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box", type=int, default=128)
    parser.add_argument("--bases", type=int, default=16)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--paddings", type=float, nargs="+", default=[1.0, 1.5])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    numba.set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    copied = bandwidth()
    rows = [measure(Case(args.box, padding, args.bases + 1, args.images), args, copied) for padding in args.paddings]
    settings = {"threads": args.threads, "rounds": args.rounds, "resident": os.environ.get("MALLOC_MMAP_MAX_") == "0"}
    report = {"hardware": hardware(), **settings, "omp_wait_policy": os.environ["OMP_WAIT_POLICY"]}
    report |= {"copy_gb_per_s": round(copied / 1e9, 1), "rows": rows}
    text = json.dumps(report, indent=2)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")


class Case:
    """One problem in the forms that the three ways want it in."""

    def __init__(self, box: int, padding: float, channels: int, images: int) -> None:
        rng = np.random.default_rng(0)
        lattice, self.sphere = HalfPlane(box, box // 2 - 1), HalfSphere(box, padding, box // 2 - 1)
        self.backend = Compute().backend(self.sphere, lattice)
        self.shape, self.channels = (images, lattice.size), channels
        coefs = self.sphere.from_volumes(np.stack([noise_ball(box, 0.8, rng) for _ in range(channels)]))
        self.coefs = torch.from_numpy(coefs).requires_grad_()
        self.amplitudes = torch.from_numpy(rng.standard_normal((images, channels), dtype=np.float32)).requires_grad_()
        self.rotations = torch.from_numpy(random_matrices(images, rng).astype(np.float32))
        self.freqs = torch.from_numpy(lattice.indices.astype(np.float32))
        self.grad = torch.from_numpy(rng.standard_normal((*self.shape, 2), dtype=np.float32))
        self.row_start = torch.from_numpy(self.sphere.row_start.astype(np.int64))
        self.volume = self._volume(coefs)
        points = self.points()
        self.ready_corners, self.ready_grid = self.corners(*points), self.grid(*points)

    def in_double(self) -> "Case":
        """The same problem in float64."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor) and value.is_floating_point():
                setattr(other, name, value.detach().double().requires_grad_(value.requires_grad))
        return other

    def fused(self) -> Tensor:
        return torch.view_as_real(self.backend.mix(self.coefs, self.amplitudes, self.rotations, self.shape[1]))

    def by_embedding_bag(self) -> Tensor:
        return self._bags(*self.corners(*self.points()))

    def by_ready_embedding_bag(self) -> Tensor:
        return self._bags(*self.ready_corners)

    def by_grid_sample(self) -> Tensor:
        return self._sampled(*self.grid(*self.points()))

    def by_ready_grid_sample(self) -> Tensor:
        return self._sampled(*self.ready_grid)

    def gradients(self, forward: Callable[[], Tensor], coefficients: Tensor) -> tuple[Tensor, Tensor]:
        return torch.autograd.grad(forward(), (coefficients, self.amplitudes), self.grad)

    def as_stored(self, grad: Tensor) -> np.ndarray:
        """A gradient by volume or coefficients, in the half-sphere's order and with its Hermitian pairs tied."""
        if grad.ndim == 5:
            x, y, z = torch.from_numpy(self.sphere.indices.astype(np.int64)).T
            h = self.sphere.half_width
            grad = grad[0, :, z + h, y + h, x].T.reshape(self.sphere.n_voxels, 2, self.channels)
        tied = self.sphere.symmetrize(grad.numpy().copy(), total=True)
        tied[self.sphere.origin] /= 2
        return tied

    def points(self) -> tuple[Tensor, Tensor]:
        """(P, 3) grid positions with x ≥ 0, and (P,) −1 where they are of the conjugate."""
        q = torch.einsum("fi,bij->bfj", self.freqs, self.rotations[:, :2] * self.sphere.step).reshape(-1, 3)
        sign = torch.where(q[:, 0] < 0, -1.0, 1.0).to(q.dtype)
        return q * sign[:, None], sign

    def corners(self, q: Tensor, sign: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(P, 8) storage indices and trilinear weights of the points' neighbours, and the sign."""
        base, h = q.floor(), self.sphere.half_width
        x, y, z = base.long().T
        fx, fy, fz = ((1 - f, f) for f in (q - base).T)
        corners, weights = [], []
        for dz, dy, dx in np.ndindex(2, 2, 2):
            corners.append(self.row_start[z + dz + h, y + dy + h] + x + dx)
            weights.append(fx[dx] * fy[dy] * fz[dz])
        return torch.stack(corners, dim=1), torch.stack(weights, dim=1), sign

    def grid(self, q: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """(1, 1, 1, P, 3) positions as `grid_sample` counts them, and the sign."""
        h = self.sphere.half_width
        return (q / h * q.new_tensor([2.0, 1.0, 1.0]) - q.new_tensor([1.0, 0.0, 0.0]))[None, None, None], sign

    def _bags(self, corners: Tensor, weights: Tensor, sign: Tensor) -> Tensor:
        table = self.coefs.reshape(len(self.coefs), -1)
        bags = embedding_bag(corners, table, per_sample_weights=weights, mode="sum")
        return self._weighted(bags.reshape(*self.shape, 2, self.channels), sign)

    def _sampled(self, grid: Tensor, sign: Tensor) -> Tensor:
        sampled = grid_sample(self.volume, grid, mode="bilinear", align_corners=True)
        return self._weighted(sampled.reshape(2, self.channels, *self.shape).permute(2, 3, 0, 1), sign)

    def _weighted(self, slices: Tensor, sign: Tensor) -> Tensor:
        """(B, F, 2, C) slices → (B, F, 2) of their weighted sum."""
        re, im = torch.einsum("bfpc,bc->pbf", slices, self.amplitudes)
        return torch.stack([re, im * sign.reshape(self.shape)], dim=-1)

    def _volume(self, coefs: np.ndarray) -> Tensor:
        """(1, 2C, 2H + 1, 2H + 1, H + 1): the same coefficients on a dense grid [z, y, x]."""
        h = self.sphere.half_width
        dense = np.zeros((2 * h + 1, 2 * h + 1, h + 1, 2 * self.channels), dtype=np.float32)
        x, y, z = self.sphere.indices.T
        dense[z + h, y + h, x] = coefs.reshape(len(coefs), -1)
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(dense, -1, 0)))[None].requires_grad_()


def measure(case: Case, args: argparse.Namespace, copied: float) -> dict[str, object]:
    """Milliseconds per image of each way, and how many times the fused kernel's they are."""
    double = case.in_double()
    ways = {"fused": (case.fused, case.coefs)}
    exact = {"embedding_bag": (double.by_embedding_bag, double.coefs)}
    exact["grid_sample"] = (double.by_grid_sample, double.volume)
    differences = {name: difference(case, double, *way) for name, way in exact.items()}
    assert max(differences.values()) < TOLERANCE, differences
    ways["embedding_bag"] = (case.by_embedding_bag, case.coefs)
    ways["embedding_bag ready"] = (case.by_ready_embedding_bag, case.coefs)
    ways["grid_sample"] = (case.by_grid_sample, case.volume)
    ways["grid_sample ready"] = (case.by_ready_grid_sample, case.volume)
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, (way, coefficients) in ways.items():
            with torch.no_grad():
                forward = seconds(way)
            times[name].append(forward + seconds(lambda way=way, to=coefficients: case.gradients(way, to)))
    kinds = ("forward", "forward_cpu", "both", "both_cpu")
    medians = {name: np.median(rows, axis=0) * 1e3 / args.images for name, rows in times.items()}
    fused = medians["fused"]
    neighbours = 8 * 2 * case.channels * 4 * case.shape[1] / copied * 1e3
    return {
        "box": args.box,
        "padding": case.sphere.step,
        "channels": case.channels,
        "images": args.images,
        "coefficients": case.shape[1],
        "voxels": case.sphere.n_voxels,
        "relative_difference": {name: float(f"{value:.1e}") for name, value in differences.items()},
        "ms_per_image": {name: rounded(kinds, values) for name, values in medians.items()},
        "times_fused": {name: rounded(kinds, values / fused) for name, values in medians.items() if name != "fused"},
        "floor_ms": rounded(("forward", "both"), (neighbours, 4 * neighbours)),
        "fused_over_floor": rounded(("forward", "both"), (fused[0] / neighbours, fused[2] / (4 * neighbours))),
    }


def difference(case: Case, double: Case, way: Callable[[], Tensor], coefficients: Tensor) -> float:
    """Norm of the difference of fused slices and of each gradient from those of `way`, over their norm; the largest."""
    with torch.no_grad():
        pairs = [(case.fused().numpy(), way().numpy())]
    by_coefs, by_amplitudes = case.gradients(case.fused, case.coefs)
    wanted_coefs, wanted_amplitudes = double.gradients(way, coefficients)
    pairs += [(by_coefs.numpy(), double.as_stored(wanted_coefs)), (by_amplitudes.numpy(), wanted_amplitudes.numpy())]
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def rounded(names: Iterable[str], values: Iterable[float]) -> dict[str, float]:
    return {name: round(float(value), 3) for name, value in zip(names, values, strict=True)}


if __name__ == "__main__":
    main()
