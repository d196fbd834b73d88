"""How far local refinement brings perturbed poses back, beside what the true map allows.

    cryodrgn-plugin simulate --out adk --particles 2000 --box 64 --snr 0.1 --states 1 --seed 5
    python benchmarks/refine_poses.py adk --out benchmarks/results/refine_poses.json

The true poses of a simulated set are turned and moved at random (three degrees and one pixel, root mean squares) and
refined with the set's own half-maps. Beside it stand the same refinement from the true poses, and a refinement of the
perturbed poses against the map that the images were made from, which is what their noise allows.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
import torch
from hardware import hardware
from scipy.spatial.transform import Rotation

from cryodrgn_plugin.engine.ab_initio.refinement import refine_poses
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.likelihood.expansion import LinearExpansion, LocalImages
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, compress, sphere_at
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.poses.refine import Bounds, refine, rising_limits
from cryodrgn_plugin.engine.poses.refine_options import RefineOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, help="folder of `cryodrgn-plugin simulate --states 1`")
    parser.add_argument("--degrees", type=float, default=3.0)
    parser.add_argument("--pixels", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    dataset = ParticleDataset.open(args.set / "particles.star")
    truth = dataset.rotations.astype(np.float64), dataset.shifts_ang.astype(np.float64)
    options = RefineOptions()
    results = []
    for seed in range(args.seeds):
        wrong = perturbed(*truth, args.degrees, args.pixels * dataset.pixel_size_ang, seed)
        began = time.process_time()
        own = refine_poses(dataset.with_poses(*wrong), options, seed=seed).poses
        seconds = time.process_time() - began
        stayed = refine_poses(dataset, options, seed=seed).poses
        allowed = against_the_true_map(dataset, args.set / "maps" / "state_000.mrc", truth[1], wrong, options)
        rows = {"perturbed": wrong, "refined": own, "from the truth": stayed, "by the true map": allowed}
        figures = {name: errors(found, truth, dataset.pixel_size_ang) for name, found in rows.items()}
        results.append({"seed": seed, "cpu_seconds": round(seconds, 1), **figures})
        print(json.dumps(results[-1]), flush=True)
    if args.out:
        report = {"set": args.set.name, "particles": dataset.n, "box": dataset.box, "hardware": hardware()}
        args.out.write_text(json.dumps({**report, "runs": results}, indent=2) + "\n")


def perturbed(rotations, shifts_ang, degrees: float, ang: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Poses turned and moved at random, `degrees` and `ang` being root mean squares."""
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(np.radians(degrees) * rng.standard_normal((len(rotations), 3)) / np.sqrt(3))
    return turns.as_matrix() @ rotations, shifts_ang + ang * rng.standard_normal(shifts_ang.shape) / np.sqrt(2)


def against_the_true_map(dataset, map_file: Path, moved_by_ang, wrong, options: RefineOptions):
    """Refine against the map that the images were made from, brought to their grey scale."""
    radius = dataset.box // 2 - 1
    images = WhitenedImages(dataset, estimate_noise(dataset, 0), batch_size=dataset.n)
    model = LinearModel.of(images.backend(sphere_at(dataset.box, 1.5, radius)), read_map(map_file)[0][None])
    gram, inner = compress([model], images, images.lattice.size)
    model = LinearModel(model.backend, model.coefs * (inner.sum() / gram.sum()).float())
    (batch,) = images.passes(images.lattice.size)
    local = LocalImages(
        targets=batch.targets,
        weights=batch.weights,
        moved_by_ang=torch.from_numpy(moved_by_ang),
        lattice=images.lattice,
        extent_ang=dataset.box * dataset.pixel_size_ang,
        ratio=torch.ones(dataset.n, dtype=torch.float64),
    )
    radii = rising_limits(options, dataset.box, dataset.pixel_size_ang, radius)
    start = tuple(map(torch.from_numpy, wrong))
    bounds = Bounds(*start, options.max_angle_deg, options.max_shift_ang)
    expansion = LinearExpansion(model, local, torch.ones(dataset.n, 1))
    climbed = refine(expansion, *start, radii, options.steps, bounds)
    return climbed.rotations.numpy(), climbed.shifts_ang.numpy()


def errors(found, truth, pixel_size_ang: float) -> dict[str, float]:
    """Medians after the one turn and the one origin that poses cannot tell."""
    rotations, shifts = found if isinstance(found, tuple) else (found.rotations, found.shifts_ang)
    fitted = align_poses(rotations, truth[0], shifts, truth[1], either_hand=False)
    summary = fitted.summary(pixel_size_ang)
    return {name: round(summary[name], 3) for name in ("median_angle_deg", "mean_angle_deg", "median_shift_px")}


if __name__ == "__main__":
    main()
