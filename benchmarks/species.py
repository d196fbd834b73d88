"""Many species without poses: sets of 6, 7, 8, 12 or 20 molecules of 45 to 470 kDa, their number told or found.

    python benchmarks/species.py --data DATA --sets SETS --count 6 --species auto
    python benchmarks/species.py --data DATA --sets SETS --count 20 --images 500 --species 20 --seeds 0
    python benchmarks/species.py --data DATA --sets SETS --count 6 --images 300 --box 32       a look, in a few minutes
    python benchmarks/species.py --data DATA --sets SETS --count 12 --junk 0.2
    python benchmarks/species.py --data DATA --sets SETS --count 6 --moving            one of them swings by 40°
    python benchmarks/species.py --data DATA --sets SETS --count 6 --real --species ideal
    python benchmarks/species.py --data DATA --sets SETS --count 7 --real --species ideal --limit 12

The seven are those of the twelve that scatter nearly alike. The eight are those of the twenty that are not among the
twelve: nothing was tuned on them.

DATA holds models/ and ctf/empiar10028_ctf_5000.npy. All images have noise of one strength, which gives the median
species an SNR of 0.1 at 64² pixels (in smaller boxes as much more as cropping leaves noise out) and the others what
their mass makes of it. Each set is made when it is first asked for. The command `abinitio` runs as a user gives it,
once for each seed; runs of one set and another way of counting species are kept side by side in the same JSON file.

Images of `--real` sets have the coloured noise, the uneven views, the varying contrast and the envelope of the real_
presets, at the same SNR. `--species ideal` is no run but the last search of one, of all images against the true maps of
all molecules: what the images allow; with a `--limit`, what they allow up to this frequency, as species are sorted.

`named` is the share of all good particles in the species matched one to one with their own, `purity` that of those in
a species most of which is their own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from ab_initio import children_cpu
from hardware import hardware
from make_ab_initio_sets import withhold_poses
from scipy.optimize import linear_sum_assignment
from species_models import CONFORMERS, EIGHT, MOVING, SEVEN, SIX, TWELVE, TWENTY, conformers, molecules, signal_variance

from cryodrgn_plugin.engine.ab_initio.rounds import PoseRounds
from cryodrgn_plugin.engine.ab_initio.stages import Stages
from cryodrgn_plugin.engine.analysis.known_poses import KnownPoses, read_poses
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.geometry.pose_errors import align_poses
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel, sphere_at
from cryodrgn_plugin.engine.likelihood.species_maps import Maps
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, equal_parts, simulate_particles
from cryodrgn_plugin.engine.simulate.reality import REALITY
from cryodrgn_plugin.engine.slicing.compute import Compute
from cryodrgn_plugin.engine.slicing.fine import cropped_volume

NAMES = {6: SIX, 7: SEVEN, 8: EIGHT, 12: TWELVE, 20: TWENTY}
BOX_ANG, SNR, SNR_BOX = 224.0, 0.1, 64
REAL = {
    name: REALITY[name] for name in ("noise_spectrum", "views", "views_concentration", "b_factor_ang2", "contrast_sd")
}
FEWEST = 10
"""A species of fewer particles is none."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", type=Path, required=True, help="folder where sets are made and found again")
    parser.add_argument("--count", type=int, choices=tuple(NAMES), default=6)
    parser.add_argument("--images", type=int, default=500, help="of each species")
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--junk", type=float, default=0.0, help="share of images that show none of the species")
    parser.add_argument("--moving", action="store_true", help="one of the molecules has many conformations")
    parser.add_argument("--real", action="store_true", help="images made as real ones are")
    parser.add_argument("--species", default="auto", help="their number, or auto, or ideal")
    parser.add_argument("--limit", type=int, help="frequency limit of ideal, in 1/(box · pixel)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set-value", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the run")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    name = f"species{args.count}_{args.images}_{args.box}" + (f"_junk{args.junk:g}" if args.junk else "")
    name += ("_moving" if args.moving else "") + ("_real" if args.real else "")
    folder = args.sets / name
    if not (folder / "particles.star").exists():
        make_set(args, folder)
    report = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    for seed in args.seeds:
        figures = (ideal if args.species == "ideal" else one_run)(args, folder, seed)
        print(json.dumps(figures), flush=True)
        way = f"{args.species} up to {args.limit}" if args.limit else args.species
        runs = report.setdefault(name, {}).setdefault(way, [])
        report[name][way] = [run for run in runs if run["seed"] != seed] + [figures]
        if args.out:
            args.out.write_text(json.dumps(report, indent=1) + "\n")


def make_set(args: argparse.Namespace, folder: Path) -> None:
    """Simulate the set; its star file has no poses and no classes, truth.npz has."""
    names, pixel_size_ang = NAMES[args.count], BOX_ANG / args.box
    models = molecules(args.data, names)
    variances = [signal_variance(model, SNR_BOX, BOX_ANG / SNR_BOX) for model in models]
    config = SimulationConfig(
        n_particles=args.images * args.count,
        box=args.box,
        pixel_size_ang=pixel_size_ang,
        snr=SNR * float(np.mean(variances) / np.median(variances)) * (SNR_BOX / args.box) ** 2,
        shift_px=3 * args.box / SNR_BOX,
        ctf_rows=str(args.data / "ctf" / "empiar10028_ctf_5000.npy"),
        junk_share=args.junk,
        **(REAL if args.real else {}),
    )
    ensemble = with_conformers(models, names) if args.moving else equal_parts(models, names)
    withhold_poses(simulate_particles(ensemble, config, folder, args.count), None)


def with_conformers(models: list, names: tuple[str, ...]) -> Ensemble:
    """All molecules equally often; the one that moves comes last, in all its conformations."""
    moving = names.index(MOVING)
    states = [model for model in models if model is not models[moving]] + conformers(models[moving])
    others = [name for name in names if name != MOVING]
    share = np.append(np.ones(len(others)), np.full(CONFORMERS, 1 / CONFORMERS))
    return Ensemble(states, np.arange(len(states), dtype=float), share, (*others, *[MOVING] * CONFORMERS))


def one_run(args: argparse.Namespace, folder: Path, seed: int) -> dict:
    """The command as a user gives it, and what came out."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "run"
        command = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", "abinitio", str(folder / "particles.star")]
        command += ["--out", str(out), "--homogeneous", "--species", args.species, "--seed", str(seed)]
        command += [word for pair in args.set_value for word in (f"--{pair.split('=')[0]}", pair.split("=", 1)[1])]
        threads = {f"{name}_NUM_THREADS": str(args.threads) for name in ("OMP", "NUMBA", "MKL")}
        before, began = children_cpu(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | threads)
        seconds = {"wall": round(time.perf_counter() - began), "cpu": round(children_cpu() - before)}
        run = Run.open(out)
        settings = {"set_value": args.set_value, "threads": args.threads, "hardware": hardware()}
        return {
            "seed": seed,
            "seconds": seconds,
            **species_figures(read_poses(run.poses_file), folder, args.count),
            **settings,
        }


def ideal(args: argparse.Namespace, folder: Path, seed: int) -> dict:
    """The last search of a run and poses moved uphill, or with a limit a round of sorting, of all images against the
    true maps, in no time that counts."""
    config = recipe_config("abinitio", {"particles": str(folder / "particles.star"), "seed": seed})
    dataset = ParticleDataset.open(config.particles, config.data).without_poses()
    truth = Truth.open(folder).at_box(dataset.box)
    noise, padding, compute = estimate_noise(dataset, config.seed), config.decoder.padding, Compute.chosen(config)
    radius = args.limit or dataset.lattice.radius
    backend = compute.backend(sphere_at(dataset.box, padding, radius), dataset.lattice)
    volumes = [cropped_volume(volume, min(dataset.box, 2 * (radius + 2))) for volume in truth.maps]
    models = [LinearModel.of(backend, volume[None].astype(np.float32)) for volume in volumes]
    engine = PoseRounds(dataset, noise, config.poses, padding, config.seed, compute=compute)
    stages = Stages.of(config.ab_initio, config.poses, dataset.box, dataset.n, args.count)
    sorting = replace(stages.sorting[0], radius=radius, images=dataset.n, met="all", crossed=False)
    maps, rng = Maps([models], np.full(len(models), 1 / len(models))), np.random.default_rng(seed)
    whole = replace(stages.refining[-1], met="all"), stages.local
    for plan in (sorting,) if args.limit else whole:
        engine.place(maps, plan, rng)
    placed = engine.placement
    images, pixel_size_ang = None, dataset.pixel_size_ang
    found = KnownPoses(placed.rotations, placed.shifts_ang, placed.species + 1, images, pixel_size_ang)
    return {"seed": seed, **species_figures(found, folder, args.count), "hardware": hardware()}


def species_figures(found: KnownPoses, folder: Path, count: int) -> dict:
    """How many species were found, how many images are in their own, and how well those are placed."""
    true = read_poses(folder / "truth.npz")
    # Conformers, which come last, are one molecule.
    true = replace(true, species=np.minimum(true.species, count))
    with np.load(folder / "truth.npz") as truth:
        good = np.flatnonzero(truth["kind"] == 0) if "kind" in truth else np.arange(len(true))
    counts = np.zeros((found.species.max(), true.species.max()), int)
    np.add.at(counts, (found.species[good] - 1, true.species[good] - 1), 1)
    matched = [(int(mine), int(theirs)) for mine, theirs in zip(*linear_sum_assignment(-counts), strict=True)]
    placed = [_errors_deg(found, true, good, *pair) for pair in matched if counts[pair] >= FEWEST]
    pose_deg = [round(float(np.median(errors)), 2) for errors in placed]
    return {
        "species": int((counts.sum(1) >= FEWEST).sum()),
        "named": round(sum(counts[pair] for pair in matched) / len(good), 4),
        "purity": round(counts.max(1).sum() / len(good), 4),
        "pose_median_deg": pose_deg,
        "pose_median_of_all_deg": round(float(np.median(np.concatenate(placed))), 2),
        "counts": counts.tolist(),
    }


def _errors_deg(found: KnownPoses, true: KnownPoses, good: np.ndarray, mine: int, theirs: int) -> np.ndarray:
    """Pose errors of the rightly named particles of one species, in the frame and hand that fit them best."""
    right = good[(found.species[good] == mine + 1) & (true.species[good] == theirs + 1)]
    one, other = found[right], true[right]
    return align_poses(one.rotations, other.rotations, one.shifts_ang, other.shifts_ang).angle_deg


if __name__ == "__main__":
    main()
