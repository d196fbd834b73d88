"""What refinement gains by turning the images of a tilt pair or series together, beside turning them one by one.

    python benchmarks/make_ab_initio_sets.py --out SETS --data DATA --only linear1d_pairs
    python benchmarks/refine_series.py SETS/linear1d_pairs --rows 2000 --ways tied "one by one" --out PAIRS.json
    python benchmarks/refine_series.py DATA --twin --moved images particles --out TILTS.json

The committed results are refine_series_pairs.json and refine_series_tilts.json. The true poses of a planted set are
made wrong: every particle is turned at random, all its images alike, and every image, or the particle in space, is
moved at random (six degrees and one pixel, root mean squares). They are refined with the set's own half-maps, which
follow the planted coordinate where the molecule moves: tied, each image with a shift of its own; tied, the particle
moving in space; and from a star file that does not say which images belong together. With --twin the set is a 70S
ribosome at the tilts, CTFs and poses of a real tilt series (`tilt_series.py`).
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from hardware import hardware
from refine_poses import errors, perturbed
from tilt_series import make_twin, untied

from cryodrgn_plugin.engine.ab_initio.refinement import refine_poses
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_images import find_series
from cryodrgn_plugin.engine.data.tilt_pairs import PARTICLE
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.io.star import read_star, write_star
from cryodrgn_plugin.engine.poses.refine_options import RefineOptions

WAYS = {"tied": "image", "tied, in space": "particle", "one by one": "image"}


@dataclass(frozen=True)
class Planted:
    """Images that are tied, the same images untied, their true poses and, where the molecule moves, its coordinate."""

    tied: ParticleDataset
    alone: ParticleDataset
    truth: tuple[np.ndarray, np.ndarray]
    z: np.ndarray | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path, help="folder of a simulated set of tilt pairs; with --twin, of the data")
    parser.add_argument("--twin", action="store_true")
    parser.add_argument("--snr", type=float, default=0.1, help="of the twin's images before they meet their CTF again")
    parser.add_argument("--rows", type=int, help="use the first rows of the star file only (all)")
    parser.add_argument("--degrees", type=float, default=6.0)
    parser.add_argument("--pixels", type=float, default=1.0)
    parser.add_argument("--moved", nargs="+", choices=("images", "particles"), default=["images"])
    parser.add_argument("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        planted = twin(args, Path(folder)) if args.twin else simulated(args, Path(folder))
        series = find_series(planted.tied)
        assert series is not None, f"{args.set}: its star file ties no images"
        for moved in args.moved:
            for seed in args.seeds:
                runs.append({"moved": moved, "seed": seed, **figures(args, planted, series, moved, seed)})
                print(json.dumps(runs[-1]), flush=True)
        report = {"set": "70S twin" if args.twin else args.set.name, "images": planted.tied.n, "particles": series.n}
        report |= {"box": planted.tied.box, "hardware": hardware()}
    if args.out:
        args.out.write_text(json.dumps({**report, "runs": runs}, indent=2) + "\n")


def figures(args: argparse.Namespace, planted: Planted, series: TiltSeries, moved: str, seed: int) -> dict:
    """Pose errors before, and after refinement in each way."""
    pixel_size_ang = planted.tied.pixel_size_ang
    wrong = made_wrong(series, *planted.truth, args.degrees, args.pixels * pixel_size_ang, moved, seed)
    found = {"perturbed": errors(wrong, planted.truth, pixel_size_ang)}
    for way in args.ways:
        images = planted.alone if way == "one by one" else planted.tied
        began, options = time.process_time(), RefineOptions(moves=WAYS[way])
        poses = refine_poses(images.with_poses(*wrong), options, z=planted.z, seed=seed).poses
        seconds = round(time.process_time() - began, 1)
        found[way] = {**errors(poses, planted.truth, pixel_size_ang), "cpu_seconds": seconds}
    return found


def simulated(args: argparse.Namespace, folder: Path) -> Planted:
    """The first rows of a simulated set."""
    tables, planted = read_star(args.set / "particles.star"), np.load(args.set / "truth.npz")
    frame, datasets = tables["particles"].iloc[: args.rows], []
    for name, rows in (("tied", frame), ("alone", frame.drop(columns=PARTICLE))):
        write_star(folder / f"{name}.star", {**tables, "particles": rows})
        datasets.append(ParticleDataset.open(folder / f"{name}.star", root=args.set))
    truth = planted["rotations"][: args.rows], planted["shifts_ang"][: args.rows]
    coordinate = np.asarray(planted["coordinate"][: args.rows], np.float64)
    return Planted(*datasets, truth, coordinate.reshape(len(frame), -1))


def twin(args: argparse.Namespace, folder: Path) -> Planted:
    """The planted twin of the real tilt series."""
    star = make_twin(argparse.Namespace(data=args.set, snr=args.snr), folder / "twin")
    tied = ParticleDataset.open(star)
    alone = ParticleDataset.open(untied(tied, star, folder / "alone.star"), root=star.parent)
    return Planted(tied, alone, (tied.rotations.astype(np.float64), tied.shifts_ang.astype(np.float64)))


def made_wrong(
    series: TiltSeries,
    rotations: np.ndarray,
    shifts_ang: np.ndarray,
    degrees: float,
    ang: float,
    moved: str,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Poses of images (N), those of one particle turned together, `degrees` and `ang` being root mean squares."""
    first = series.images[:, 0]
    turned, _ = perturbed(rotations[first], shifts_ang[first], degrees, 0.0, seed)
    _, shifts = perturbed(rotations, shifts_ang, 0.0, ang, seed)
    between = rotations @ np.swapaxes(series.to_images(rotations[first]), 1, 2)
    if moved == "particles":
        in_space = ang * np.random.default_rng([seed, 1]).standard_normal((series.n, 3)) / np.sqrt(2)
        shifts = shifts_ang + (between[:, :2] @ series.to_images(in_space)[:, :, None])[:, :, 0]
    return between @ series.to_images(turned), shifts


if __name__ == "__main__":
    main()
