"""What refinement gains by moving the images of a tilt pair or series together, beside moving them one by one.

    python benchmarks/make_ab_initio_sets.py --out SETS --data DATA --only linear1d_pairs
    python benchmarks/refine_series.py SETS/linear1d_pairs --rows 2000 --out benchmarks/results/refine_series.json

The true poses of a simulated set are made wrong: every particle is turned at random, all its images alike, and every
image is moved by itself (six degrees and one pixel, root mean squares). They are refined with the set's own
half-maps, which follow the planted coordinate where the molecule moves; once as they are, and once from a star file
that does not say which images belong together.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from hardware import hardware
from refine_poses import errors, perturbed

from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_images import find_series
from cryodrgn_plugin.engine.data.tilt_pairs import PARTICLE
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.poses.options import RefineOptions
from cryodrgn_plugin.engine.training.refine_poses import refine_poses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, help="folder of a simulated set of tilt pairs or series")
    parser.add_argument("--rows", type=int, help="use the first rows of the star file only (all)")
    parser.add_argument("--degrees", type=float, default=6.0)
    parser.add_argument("--pixels", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    planted, runs = np.load(args.set / "truth.npz"), []
    truth = tuple(planted[name][: args.rows] for name in ("rotations", "shifts_ang"))
    coordinate = np.asarray(planted["coordinate"][: args.rows], np.float64).reshape(len(truth[0]), -1)
    with tempfile.TemporaryDirectory() as folder:
        sets = {name: opened(args, Path(folder) / f"{name}.star", name == "tied") for name in ("tied", "one by one")}
        series, dataset = find_series(sets["tied"]), sets["tied"]
        assert series is not None, f"{args.set}: its star file ties no images"
        for seed in args.seeds:
            wrong = turned_alike(series, *truth, args.degrees, args.pixels * dataset.pixel_size_ang, seed)
            figures = {"perturbed": errors(wrong, truth, dataset.pixel_size_ang)}
            for name, images in sets.items():
                began = time.process_time()
                found = refine_poses(images.with_poses(*wrong), RefineOptions(), z=coordinate, seed=seed).poses
                seconds = round(time.process_time() - began, 1)
                figures[name] = {**errors(found, truth, dataset.pixel_size_ang), "cpu_seconds": seconds}
            runs.append({"seed": seed, **figures})
            print(json.dumps(runs[-1]), flush=True)
        report = {"set": args.set.name, "images": dataset.n, "particles": series.n, "box": dataset.box}
    if args.out:
        args.out.write_text(json.dumps({**report, "hardware": hardware(), "runs": runs}, indent=2) + "\n")


def opened(args: argparse.Namespace, path: Path, tied: bool) -> ParticleDataset:
    """The images, from a star file at `path` that says whose they are where `tied`."""
    tables = read_star(args.set / "particles.star")
    frame = tables["particles"].iloc[: args.rows]
    write_star(path, {**tables, "particles": frame if tied else frame.drop(columns=PARTICLE)})
    return ParticleDataset.open(path, root=args.set)


def turned_alike(
    series: TiltSeries, rotations: np.ndarray, shifts_ang: np.ndarray, degrees: float, ang: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Poses of images (N), those of one particle turned together, `degrees` and `ang` being root mean squares."""
    first = series.images[:, 0]
    turned, _ = perturbed(rotations[first], shifts_ang[first], degrees, 0.0, seed)
    _, moved = perturbed(rotations, shifts_ang, 0.0, ang, seed)
    between = rotations @ np.swapaxes(series.to_images(rotations[first]), 1, 2)
    return between @ series.to_images(turned), moved


if __name__ == "__main__":
    main()
