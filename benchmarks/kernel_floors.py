"""What the operations of a backend must move and compute at least, by name.

Two counts of bytes: `once` counts every tensor once, as if a cache held all volumes; `each` counts the voxels that the
slice of every image touches anew, with no voxel read twice for one image. A kernel may be faster than the second by as
much as its cache serves several images. Operations count a multiplication and an addition as two, of sums over eight
voxels, products of channels and factorisations; finding places counts nothing.
"""

import statistics

import torch

from cryodrgn_plugin.engine.slicing.device_tables import table
from cryodrgn_plugin.engine.slicing.torch_slices import Corners
from cryodrgn_plugin.tests.engine.slice_operations import Problem, random_turns


def floors(problem: Problem, device: torch.device) -> dict[str, dict[str, float]]:
    """Bytes, `once` and for `each` image, of one call."""
    p, f, m, c = problem, problem.lattice.size, problem.sphere.n_voxels, problem.channels
    terms, touched = c * (c + 1) // 2, voxels_of_a_slice(problem, device)
    volume, image = 4 * 2 * m, 12 * f * p.images
    slices = 4 * 2 * touched * p.images

    def of(read_once: float, read_each: float, else_moved: float) -> dict[str, float]:
        return {"once": read_once + else_moved, "each": read_each + else_moved}

    poses = p.images * p.candidates
    matched = 4 * poses * (terms + c * p.shifts)
    sums = 2 * 4 * m * (terms + 2 * c)
    return {
        "project": of(c * volume, c * slices, 8 * f * c * p.images),
        "compress": of(c * volume, c * slices, image + 8 * c * c * p.images),
        "compress_near": of((c + 3) * volume, (c + 3) * slices, image + 4 * f * p.images + 8 * (c + 6) ** 2 * p.images),
        "match": of(c * volume, c * slices * p.candidates, image + matched),
        "evidence": of(0, 0, matched + 4 * poses * p.shifts),
        "expand": of(c * volume, c * slices, image),
        "accumulate": of(sums, sums, image + 4 * terms * p.images),
        "accumulate_near": of(4 * volume, 4 * slices, 2 * c * volume + 8 * f * p.images),
        "backproject": of(2 * 12 * m, 2 * 12 * m, image),
        "solve": of(0, 0, 4 * m * (terms + 5 * c)),
    }


def operations(problem: Problem) -> dict[str, float]:
    """Floating-point operations of one call."""
    p, f, m, c = problem, problem.lattice.size, problem.sphere.n_voxels, problem.channels
    terms, near, poses, bases = c * (c + 1) // 2, c + 6, p.images * p.candidates, c - 1
    read = 8 * 2 * 2
    """Of one channel at one coefficient."""
    factor = c**3 / 3
    return {
        "project": p.images * f * read * c,
        "compress": p.images * f * (read * c + 4 * terms + 4 * c),
        "compress_near": p.images * f * (read * (c + 3) + 4 * near * (near + 1) // 2 + 4 * near),
        "match": poses * f * (read * c + 4 * terms + 4 * c * p.shifts),
        "evidence": poses * (bases**3 / 3 + p.shifts * bases**2),
        "expand": p.images * f * (8 * 2 * 2 * c + 2 * 21 * 2),
        "accumulate": p.images * f * 8 * 2 * (terms + 2 * c),
        "accumulate_near": p.images * f * (read * 4 + 6 * 4 * c + 8 * 2 * 2 * c),
        "backproject": p.images * f * 8 * 2 * 3,
        "solve": m * (factor + 2 * 2 * c**2 + factor),
    }


def voxels_of_a_slice(problem: Problem, device: torch.device) -> float:
    """Stored voxels that a slice touches; the mean of eight."""
    sphere, freqs = problem.sphere, table(problem.lattice, "indices", device, torch.float32)
    corners = Corners.of(random_turns(8).to(device), sphere, freqs)
    return statistics.fmean(len(voxels.unique()) for voxels in corners.voxels.flatten(1))
