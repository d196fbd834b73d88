"""Ab initio on a set of benchmarks/make_ab_initio_sets.py: pose errors, species and maps, for several seeds.

    python benchmarks/ab_initio.py SETS/subunit --out benchmarks/results/ab_initio_subunit.json
    python benchmarks/ab_initio.py SETS/mixture --kind species --species auto
    python benchmarks/ab_initio.py SETS/linear1d --kind heterogeneous --set-value z_dim=1

Runs the command `abinitio` as a user would, once for each seed, and judges what it leaves. `true_map` is the same last
search against the true maps: what the images allow. Every seed is reported, and the worst.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ab_initio_figures import run_figures
from hardware import hardware

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
from cryodrgn_plugin.engine.slicing.compute import Compute

LOWER_IS_WORSE = {"within_5_deg", "within_10_deg", "classified", "purity", "spearman"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--kind", choices=("homogeneous", "species", "heterogeneous"), default="homogeneous")
    parser.add_argument("--recipe", default="abinitio")
    parser.add_argument("--species", default="auto", help="with --kind species: their number, or auto")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set-value", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the run")
    parser.add_argument("--no-true-map", action="store_true", help="leave the search against the true maps out")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in args.set_value)
    truth = read_poses(args.set / "truth.npz")
    report = {"set": args.set.name, "kind": args.kind, "recipe": args.recipe, "settings": settings}
    report |= {"particles": len(truth), "threads": args.threads, "hardware": hardware(), "runs": []}
    if not args.no_true_map:
        report["true_map"] = against_true_maps(args.set, settings, truth)
        print(json.dumps(report["true_map"]), flush=True)
    for seed in args.seeds:
        report["runs"].append(one_run(args, seed, settings))
        print(json.dumps(report["runs"][-1]), flush=True)
        report["worst"] = worst([scalars(run) for run in report["runs"]])
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(report, indent=1) + "\n")


def one_run(args: argparse.Namespace, seed: int, settings: dict[str, str]) -> dict:
    """The command as a user gives it, and what came out."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", "abinitio", str(args.set / "particles.star")]
        command += ["--out", str(out), "--recipe", args.recipe, "--seed", str(seed)]
        command += ["--species", args.species] if args.kind == "species" else []
        command += ["--homogeneous"] if args.kind != "heterogeneous" else []
        command += [word for name, value in settings.items() for word in (f"--{name}", value)]
        threads = {f"{name}_NUM_THREADS": str(args.threads) for name in ("OMP", "NUMBA", "MKL")}
        before, began = children_cpu(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | threads)
        seconds = {"wall": round(time.perf_counter() - began, 1), "cpu": round(children_cpu() - before, 1)}
        return {"seed": seed, "seconds": seconds, **run_figures(Run.open(out), args.set, args.kind)}


def against_true_maps(folder: Path, settings: dict[str, str], truth: KnownPoses) -> dict:
    """The recipe's last search, of all images against the true maps (of all states, where there are several)."""
    config = recipe_config("abinitio", {**settings, "particles": str(folder / "particles.star")})
    dataset = ParticleDataset.open(config.particles, config.data).without_poses()
    maps = Truth.open(folder).at_box(dataset.box).maps
    noise, padding, compute = estimate_noise(dataset, config.seed), config.decoder.padding, Compute.chosen(config)
    backend = compute.backend(sphere_at(dataset.box, padding, dataset.lattice.radius), dataset.lattice)
    models = [LinearModel.of(backend, volume[None]) for volume in maps]
    engine = PoseRounds(dataset, noise, config.poses, padding, config.seed, compute=compute)
    plan = Stages.of(config.ab_initio, config.poses, dataset.box, dataset.n).refining[-1]
    given = Maps([models], np.full(len(models), 1 / len(models)))
    began = time.process_time()
    engine.advance(given, plan, np.random.default_rng(0))
    seconds, placed = time.process_time() - began, engine.placement
    # All states lie in one frame, so particles of a wrong state are placed too.
    errors = align_poses(placed.rotations, truth.rotations, placed.shifts_ang, truth.shifts_ang, either_hand=False)
    figures = {"cpu_seconds": round(seconds, 1), **errors.summary(truth.pixel_size_ang)}
    return figures | {"right_state": float(np.mean(placed.species == truth.species - 1))}


def scalars(run: dict, prefix: str = "") -> dict[str, float]:
    """Numbers of a nested report by dotted name."""
    flat: dict[str, float] = {}
    for name, value in run.items():
        if isinstance(value, dict):
            flat |= scalars(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[prefix + name] = value
    return flat


def worst(runs: list[dict[str, float]]) -> dict[str, float]:
    """The worst value of each figure over the runs that have it."""
    names = [name for name in runs[0] if name not in ("seed", "poses.particles")]
    pick = {name: min if name.rsplit(".", 1)[-1] in LOWER_IS_WORSE else max for name in names}
    return {name: pick[name](run[name] for run in runs if name in run) for name in names}


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
