"""What the known geometry of tilt series is worth to a search for poses: real ribosomes, and a planted twin of them.

    python benchmarks/tilt_series.py --data DATA --out benchmarks/results/tilt_series.json

DATA holds tomo_ribosome/ (40 ribosomes in cells, 34 to 37 tilts each, 32² at 12 Å; poses withheld) and
models/4V5A_70S.mmtf. The twin has the same stage tilts, CTFs and poses, but is a 70S ribosome in white noise. Both are
searched by the recipe abinitio with the images of a particle tied by the stage, and as 1,430 particles of their own.
`truth_ranks` says what the images allow: the share of random poses that explain a particle worse than the given one
does, against the map of the half of the particles that it is not in, the median over particles.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from hardware import hardware

from cryodrgn_plugin.engine.atoms.atomic_model import coarse
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_images import find_series
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map, write_stack
from cryodrgn_plugin.engine.io.star import write_star
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, sphere_at
from cryodrgn_plugin.engine.likelihood.linear_score import LinearScore, SliceBank
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.poses.series_score import TiltSeriesScore
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.homogeneous import reconstruct
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.projectors import AtomProjector
from cryodrgn_plugin.engine.slicing.exact import exact_slices

SET = "warptools_test_4-tomos_10-ptcls_box-32_angpix-12"
PIXEL_ANG = 12.0
RANKED_RADIUS, RANDOM_POSES = 5, 500
SETTINGS = {"z_dim": 0, "poses.shift_extent": 0.06, "ab_initio.images_per_round": 1430, "ab_initio.starts": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--snr", type=float, default=0.1, help="of the twin's images before they meet their CTF again")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", choices=("real", "twin"), default=("real", "twin"))
    parser.add_argument("--tied-only", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = {"settings": SETTINGS, "twin_snr": args.snr, "hardware": hardware(), "truth_ranks": {}, "runs": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stars = {"real": args.data / "tomo_ribosome" / f"{SET}_optimisation_set.star"}
        stars["twin"] = make_twin(args, folder / "twin")
        for kind in args.sets:
            truth = ParticleDataset.open(stars[kind])
            report["truth_ranks"][kind] = round(rank_of_truth(truth), 3)
            for tied in (True,) if args.tied_only else (True, False):
                star = stars[kind] if tied else untied(truth, stars[kind], folder / f"{kind}.star")
                for seed in args.seeds:
                    found = searched(star, truth, folder / "run", seed)
                    report["runs"].append({"set": kind, "tied": tied, "seed": seed, **found})
                    print(json.dumps(report["runs"][-1]), flush=True)
                    if args.out:
                        args.out.write_text(json.dumps(report, indent=1) + "\n")


def searched(star: Path, truth: ParticleDataset, folder: Path, seed: int) -> dict[str, float]:
    """Pose errors of a run after a global alignment, hand included."""
    root = truth.table.path.parent
    config = recipe_config("abinitio", {**SETTINGS, "particles": str(star), "root": str(root), "seed": seed})
    run, began = Run.create(folder, config, overwrite=True), time.process_time()
    with run.working():
        fit(run, config)
    seconds = round(time.process_time() - began, 1)
    table = run.particles()
    found = matrices_from_euler(table.euler_deg), -table.origins_ang
    errors = align_poses(found[0], truth.rotations, found[1], truth.shifts_ang)
    names = ("median_angle_deg", "mean_angle_deg", "within_10_deg", "median_shift_px")
    summary = {name: value for name, value in errors.summary(PIXEL_ANG).items() if name in names}
    return summary | {"within_20_deg": errors.share_within(20.0), "cpu_seconds": seconds}


def rank_of_truth(dataset: ParticleDataset) -> float:
    """The median over particles of the share of random poses that explain all images of it worse than the given one."""
    series = find_series(dataset)
    part = np.random.default_rng(0).permutation(series.n) % 2
    images = WhitenedImages(dataset.without_poses(), estimate_noise(dataset))
    backend = images.backend(sphere_at(dataset.box, 2.0, dataset.box // 2 - 1))
    banks = []
    for half in range(2):
        volume = reconstruct(dataset.subset(series.to_images(part) != half)).volume
        banks.append(SliceBank(LinearModel.of(backend, volume[None])))
    ranks = []
    for particle in range(series.n):
        (rows,), tilts, carries = series.views(np.array([particle]))
        seen = [images.of(row, dataset.lattice.size) for row in rows[:, None]]
        extent_ang = dataset.box * dataset.pixel_size_ang
        scores = [LinearScore(banks[part[particle]], each.targets, each.weights, extent_ang) for each in seen]
        given = tilts[0].T @ dataset.rotations[rows[0]]
        tried = np.concatenate([given[None], random_matrices(RANDOM_POSES, np.random.default_rng(1))])
        shift = (np.linalg.inv(carries[0]) @ dataset.shifts_ang[rows[0]])[None]
        score = TiltSeriesScore(scores, *map(torch.from_numpy, (tilts, carries)))
        poses = torch.from_numpy(tried).float(), torch.from_numpy(shift)
        values = score.shared(*poses, RANKED_RADIUS)[0, :, 0]
        ranks.append(float((values[1:] < values[0]).double().mean()))
    return float(np.median(ranks))


def make_twin(args: argparse.Namespace, folder: Path) -> Path:
    """The set with its images replaced by views of a 70S ribosome, noise and CTF; returns its optimisation set."""
    source = args.data / "tomo_ribosome"
    shutil.copytree(source / SET, folder / SET)
    for end in ("", "_optimisation_set", "_tomograms"):
        shutil.copy(source / f"{SET}{end}.star", folder)
    dataset = ParticleDataset.open(folder / f"{SET}_optimisation_set.star")
    model = coarse(read_model(args.data / "models" / "4V5A_70S.mmtf"))
    volume = AtomProjector(model, dataset.box, PIXEL_ANG, 2 * PIXEL_ANG, model.centre_ang()).volume()
    lattice, ctf = dataset.lattice, dataset.batch(np.arange(dataset.n)).ctf
    seen = lattice.images(exact_slices(volume, dataset.rotations, lattice) * ctf)
    noise = np.random.default_rng(0).standard_normal(seen.shape) * np.sqrt(seen.var() / args.snr)
    images = lattice.images(lattice.spectra((seen + noise).astype(np.float32)) * ctf)
    places = [text.split("@") for text in dataset.table.image_names]
    for name in {stack for _, stack in places}:
        stack, pixel = read_map(folder / name)
        members = [row for row, (_, own) in enumerate(places) if own == name]
        stack[[int(places[row][0]) - 1 for row in members]] = images[members] / images.std()
        write_stack(folder / name, stack, pixel)
    return folder / f"{SET}_optimisation_set.star"


def untied(dataset: ParticleDataset, star: Path, path: Path) -> Path:
    """The same images in a star file that does not say whose they are, nor from where they were seen."""
    table = dataset.table
    known = [name for name in table.frame if name.startswith(("rlnTomo", "rlnAngle", "rlnOrigin"))]
    write_star(path, {"optics": table.optics, "particles": table.frame.drop(columns=known)})
    return path


if __name__ == "__main__":
    main()
