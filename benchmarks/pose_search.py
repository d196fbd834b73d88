"""Pose search alone: 1,000 images of the spike at 128² against a map made from other images, with cryoDRGN2's settings.

    python benchmarks/pose_search.py --out benchmarks/results/pose_search.json
    python benchmarks/pose_search.py --data DATA            CTF parameters of real particles, as in the thesis

zhong_thesis_cryodrgn, table 5.5, base row (15°, 8 kept, 4 refinements, shells 12 to 48, 14 × 14 shifts within ± 20
pixels, and 14 × 14 again at every refinement): squared Frobenius error of rotations, mean 0.208 and median 0.002 on its
spike, 0.004 and 0.0006 on a ribosome, 56 s per 1,000 images on a GPU. Images here have its spike's SNR of 0.01 and, as
a second set, 0.1. The map is solved from 4,000 other images with their true poses. Ours tries 3 × 3 shifts at every
refinement.

Operations are those of the matrix products of the first grid, in the parts that quarter turns keep, and of the
refinements' gathers; the floor is their time at the rate that a matrix product of the first grid's shape has on this
machine. Beside it, batch by batch in turn, the same search with every score of the first grid written out.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from hardware import hardware

from cryodrgn_plugin.engine.analysis.known_poses import read_poses
from cryodrgn_plugin.engine.config import PoseConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, sphere_at
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.poses.hierarchical import HierarchicalSearch
from cryodrgn_plugin.engine.poses.inference import Likeliest, SharedPoses
from cryodrgn_plugin.engine.reconstruction.backproject import half_maps
from cryodrgn_plugin.engine.simulate import SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS

BOX, PIXEL_ANG, SHIFT_PX = 128, 3.0, 20.0
LEARNT_FROM = 4000
BASE = PoseConfig(
    spacing_deg=15, kept=8, levels=4, first_radius=12, last_radius=48, shift_steps=14, shift_extent=20 / 128
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with ctf/empiar10028_ctf_5000.npy; else random CTFs")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--snr", type=float, nargs="+", default=[0.01, 0.1])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = {"hardware": hardware(), "threads": torch.get_num_threads(), "images": args.images, "box": BOX}
    report["operations"] = operations()
    with tempfile.TemporaryDirectory() as scratch:
        report["sets"] = [searched(args, snr, Path(scratch) / str(snr)) for snr in args.snr]
    text = json.dumps(report, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


def searched(args: argparse.Namespace, snr: float, folder: Path) -> dict:
    """Errors and time of the search on one simulated set."""
    star = simulate(args, snr, folder)
    everything = ParticleDataset.open(star)
    truth = read_poses(folder / "truth.npz")
    learnt = np.arange(args.images, everything.n)
    known = everything.with_poses(truth.rotations, truth.shifts_ang).subset(learnt)
    noise = estimate_noise(everything)
    volume = half_maps(known, 0, noise=noise).combined
    dataset = everything.without_poses().subset(np.arange(args.images))
    search = HierarchicalSearch(BASE, BOX, dataset.pixel_size_ang)
    images = WhitenedImages(dataset, noise, search.images_at_once())
    bank = SliceBank(LinearModel.of(images.backend(sphere_at(BOX, 1.5, BOX // 2 - 1)), volume[None]))
    batches = list(images.passes(dataset.lattice.size))
    scores = [LinearScore(bank, each.targets, each.weights, BOX * dataset.pixel_size_ang) for each in batches]
    search.infer(replace(scores[0], targets=scores[0].targets[:2], weights=scores[0].weights[:2]))  # compiled, warm
    wall, cpu, written_out, best = 0.0, 0.0, 0.0, []
    for score in scores:
        began = time.perf_counter(), time.process_time()
        best.append(search.infer(score).best)
        wall, cpu = wall + time.perf_counter() - began[0], cpu + time.process_time() - began[1]
        began = time.process_time()
        slow = search.infer(WrittenOut(score)).best
        written_out += time.process_time() - began
        assert (slow.rotations == best[-1].rotations).all((1, 2, 3)).float().mean() > 0.99
    rotations = torch.cat([pose.rotations[:, 0] for pose in best]).numpy()
    shifts = torch.cat([pose.shifts_ang[:, 0] for pose in best]).numpy()
    true = slice(0, args.images)
    errors = align_poses(rotations, truth.rotations[true], shifts, truth.shifts_ang[true], either_hand=False)
    seconds = {"wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}
    seconds["cpu_seconds_written_out"] = round(written_out, 1)
    floor = operations()["gflop_per_image"] * args.images / rate_gflops()
    return {"snr": snr, **seconds, "times_floor": round(wall / floor, 2), **errors.summary(PIXEL_ANG)}


@dataclass(frozen=True)
class WrittenOut:
    """A score that does not know which rotations of a grid are quarter turns of one another."""

    score: LinearScore

    def __getattr__(self, name: str):
        return getattr(self.score, name)

    def likeliest(self, poses: SharedPoses, radius: float, kept: int) -> Likeliest:
        return self.score.likeliest(replace(poses, turns=None), radius, kept)


def simulate(args: argparse.Namespace, snr: float, folder: Path) -> Path:
    rows = str(args.data / "ctf" / "empiar10028_ctf_5000.npy") if args.data else ""
    settings = SimulationConfig(
        n_particles=args.images + LEARNT_FROM,
        box=BOX,
        pixel_size_ang=PIXEL_ANG,
        resolution_ang=6.0,
        snr=snr,
        shift_px=SHIFT_PX,
        ctf_rows=rows,
    )
    return simulate_particles(PRESETS["spike"].make(2), settings, folder, 0)


def operations() -> dict[str, float]:
    """Floating-point operations per image, in units of 10⁹."""
    level = 4608 * BASE.shift_steps**2
    first = 1.5 * half_plane(BASE.first_radius) * level + half_plane(BASE.first_radius) * 4608
    radii = np.linspace(BASE.first_radius, BASE.last_radius, BASE.levels + 1)[1:]
    # Per coefficient of a candidate: 8 neighbours of a complex number, its phase and norm, and 9 shifts.
    refined = sum(8 * BASE.kept * half_plane(radius) * (32 + 20 + 4 * 9) for radius in radii)
    return {"first_grid_gflop": first / 1e9, "refined_gflop": refined / 1e9, "gflop_per_image": (first + refined) / 1e9}


def half_plane(radius: float) -> float:
    return np.pi * radius**2 / 2


def rate_gflops() -> float:
    """10⁹ operations per second of a matrix product of the first grid's shape; the best of five."""
    rows, inner, columns = 18 * BASE.shift_steps**2, 2 * int(half_plane(BASE.first_radius)), 4608
    left, right = torch.rand(rows, inner), torch.rand(inner, columns)
    out = torch.empty(rows, columns)
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * columns / best / 1e9


if __name__ == "__main__":
    main()
