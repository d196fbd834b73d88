"""Maps of large boxes from their normal equations, all at once and in blocks of shells: memory, processor, equality.

    python benchmarks/equation_blocks.py --box 256 --bases 8 --mb 0 2000 --out benchmarks/results/equation_blocks.json
    python benchmarks/equation_blocks.py --box 256 --bases 16 --mb 4000 --out benchmarks/results/equation_blocks.json

Few images at known poses with random amplitudes, added up and solved with the prior that two half-sets share, as every
round of `fast` does; their number does not change what the equations take. `--mb 0` holds all equations at once. Each
row is a process of its own.
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
import torch
from hardware import hardware

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.config.memory_estimate import SPHERE_BYTES, equation_bytes, map_bytes
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.equations import accumulate, of_amplitudes
from cryodrgn_plugin.engine.likelihood.linear_model import sphere_at
from cryodrgn_plugin.engine.likelihood.voxel_solve import cross_validated_prior, solved
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.likelihood.working_memory import WorkingMemory

EVERYTHING_MB = 10**6
SUPPORT, SAMPLED = 0.05, 10_007
"""Share of the box that a molecule fills, and every which voxel is compared."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box", type=int, default=256)
    parser.add_argument("--bases", type=int, default=8)
    parser.add_argument("--particles", type=int, default=60)
    parser.add_argument("--mb", type=int, nargs="+", default=[0, 2000], help="for equations; 0: all at once")
    parser.add_argument("--star", type=Path, help="a set of that box, made otherwise")
    parser.add_argument("--out", type=Path, help="rows measured before stay in it")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return print(json.dumps(measured(args)))
    report = json.loads(args.out.read_text()) if args.out and args.out.exists() else {"rows": {}}
    with tempfile.TemporaryDirectory() as temporary:
        star, first = args.star or the_set(Path(temporary) / "set", args.box), None
        for mb in args.mb:
            sample = Path(temporary) / f"{mb}.npy"
            given = ["--box", args.box, "--bases", args.bases, "--particles", args.particles, "--mb", mb]
            command = [sys.executable, __file__, *map(str, given), "--star", str(star), "--one", str(sample)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            row, found = json.loads(done.stdout.splitlines()[-1]), np.load(sample)
            first = found if first is None else first
            row["differs_from_first_by"] = float(f"{np.abs(found - first).max() / np.abs(first).max():.1e}")
            report["rows"][f"{args.box} px, {args.bases} bases, {mb or 'all'} MB"] = row
            print(mb, json.dumps(row, indent=1), flush=True)
            report["hardware"] = hardware()
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n")


def the_set(folder: Path, box: int) -> Path:
    engine = [sys.executable, "-m", "cryodrgn_plugin.engine.cli"]
    size = ["--preset", "real_adk", "--particles", "100", "--box", str(box), "--seed", "5"]
    subprocess.run([*engine, "simulate", "--out", str(folder), *size], check=True, stdout=subprocess.DEVNULL)
    return folder / "particles.star"


def measured(args: argparse.Namespace) -> dict:
    """Figures of one way to solve, in this process; every so many voxels go to the file of `one`."""
    config = recipe_config("fast", {"particles": str(args.star), "data.box": args.box})
    dataset = ParticleDataset.open(config.particles, config.data).subset(np.arange(args.particles))
    said: list[str] = []
    memory = WorkingMemory(args.mb[0] or EVERYTHING_MB, said.append)
    images = WhitenedImages(dataset, estimate_noise(dataset), memory=memory)
    sphere = sphere_at(dataset.box, config.decoder.padding, args.box // 2 - 1)
    rng, c = np.random.default_rng(0), args.bases + 1
    amplitudes = torch.from_numpy(np.column_stack([np.ones(dataset.n), rng.standard_normal((dataset.n, args.bases))]))
    count, before, began = images.lattice.count(sphere.radius), _resident_mb(), time.process_time()
    equations = accumulate(images, sphere, count, of_amplitudes(amplitudes), np.arange(dataset.n) % 2)
    volumes = solved(equations, SUPPORT, lambda sets: cross_validated_prior(sets, SUPPORT), spent=True)
    took, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(args.one, np.stack([volume[::SAMPLED].numpy() for volume in volumes]))
    every = sphere.n_voxels * equation_bytes(c, 2) / 2**20
    held = min(every, args.mb[0] or every)
    rest = sphere.n_voxels * (SPHERE_BYTES + (held < every) * map_bytes(c, 2)) / 2**20
    return {
        "voxels": sphere.n_voxels,
        "said": said,
        "cpu_seconds": round(took, 1),
        "taken_mb": round(peak - before),
        "told_mb": round(held + rest),
        "all_equations_mb": round(every),
        "maps_mb": round(sphere.n_voxels * map_bytes(c, 2) / 2**20),
        "load": round(os.getloadavg()[0], 1),
    }


def _resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
