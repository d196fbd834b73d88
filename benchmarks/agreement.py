"""How far searches for species from several seeds agree, and what taking only what they agree on is worth.

    python benchmarks/agreement.py --data DATA --sets SETS --count 6 --images 300 --box 32 --seeds 0 1 2 --out FILE
    python benchmarks/agreement.py --particles 1000000 --runs 5 --out FILE       labels alone: time and memory

The set is that of `species.py`. A run of each seed is kept beside it and taken up again, so seeds can be given one by
one. `named` is the share of the particles in the species matched one to one with their own: of each run, of the
consensus, and of the particles on which all runs agree, of which `agreed` is the share.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from ab_initio import children_cpu
from hardware import hardware
from scipy.optimize import linear_sum_assignment
from species import NAMES, make_set

from cryodrgn_plugin.engine.agreement.consensus_species import consensus
from cryodrgn_plugin.engine.agreement.same_particles import shared_particles
from cryodrgn_plugin.engine.provenance import peak_memory_mb
from cryodrgn_plugin.engine.results import Results
from cryodrgn_plugin.engine.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", type=Path, help="folder where the set and its runs are made and found again")
    parser.add_argument("--count", type=int, choices=tuple(NAMES), default=6)
    parser.add_argument("--images", type=int, default=300, help="of each species")
    parser.add_argument("--box", type=int, default=32)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--particles", type=int, default=0, help="compare planted labels of so many instead")
    parser.add_argument("--runs", type=int, default=5, help="of planted labels")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.particles:
        name, figures = f"labels_{args.particles}_{args.runs}", planted_labels(args.particles, args.runs)
    else:
        name, figures = f"species{args.count}_{args.images}_{args.box}", of_seeds(args)
    print(json.dumps(figures), flush=True)
    if args.out:
        report = json.loads(args.out.read_text()) if args.out.exists() else {}
        args.out.write_text(json.dumps({**report, name: figures}, indent=1) + "\n")


def of_seeds(args: argparse.Namespace) -> dict:
    """A run of each seed, and what they agree on."""
    folder = args.sets / f"species{args.count}_{args.images}_{args.box}"
    if not (folder / "particles.star").exists():
        make_set(argparse.Namespace(**vars(args), junk=0.0, moving=False, real=False), folder)
    runs = [folder.with_name(f"{folder.name}_seed{seed}") for seed in args.seeds]
    star = str(folder / "particles.star")
    for run, seed in zip(runs, args.seeds, strict=True):
        engine("abinitio", star, "--out", run, "--homogeneous", "--species", "auto", "--seed", seed, "--resume")
    truth = np.load(folder / "truth.npz")["state"]
    figures = {"seeds": args.seeds, "runs": [named(species_of(run), truth) for run in runs], "hardware": hardware()}
    if len(runs) < 2:
        return figures
    before, began = children_cpu(), time.perf_counter()
    engine("agreement", *runs)
    seconds = {"wall": round(time.perf_counter() - began), "cpu": round(children_cpu() - before)}
    results = Results.open(Run.open(runs[0]).results_dir("agreement"), "agreement")
    told, agreed = results.index["species"], results.arrays["agreed"]
    species = results.arrays["species"]
    return figures | {
        "seconds": seconds,
        "consensus": named(species, truth),
        "agreed": round(float(agreed.mean()), 4),
        "named_of_agreed": named(species[agreed], truth[agreed])["named"],
        "found_in": [entry["found_in"] for entry in told],
        "alike_to_ang": [entry["alike_to_ang"] for entry in told],
        "adjusted_rand_index": [pair["adjusted_rand_index"] for pair in results.index["pairs"]],
        "divided_otherwise": results.index["divided_otherwise"],
    }


def engine(*words: object) -> None:
    """A command of the engine, on one thread."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "NUMBA", "MKL", "OPENBLAS")}
    command = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | threads)


def species_of(run: Path) -> np.ndarray:
    """(N,) species of each particle, from 1."""
    return Run.open(run).results("species").arrays["species"]


def named(species: np.ndarray, truth: np.ndarray) -> dict:
    """How many species there are, and the share of the particles in that matched with their own."""
    counts = np.zeros((species.max() + 1, truth.max() + 1), int)
    np.add.at(counts, (species, truth), 1)
    matched = linear_sum_assignment(-counts[1:])
    return {"species": int((counts[1:].sum(1) > 0).sum()), "named": round(counts[1:][matched].sum() / len(truth), 4)}


def planted_labels(n: int, n_runs: int, kinds: int = 30, noise: float = 0.1) -> dict:
    """Species of many particles in several runs, under other numbers and some wrong: names matched, and compared."""
    rng = np.random.default_rng(0)
    truth, images = (
        rng.integers(kinds, size=n),
        [f"{row % 500 + 1:06d}@set/stack_{row // 500}.mrcs" for row in range(n)],
    )
    labels = np.stack([rng.permutation(kinds)[truth] for _ in range(n_runs)])
    labels = np.where(rng.random(labels.shape) < noise, rng.integers(kinds, size=labels.shape), labels)
    before = peak_memory_mb()
    began = time.process_time()
    shared = shared_particles([images] * n_runs, [np.arange(n)] * n_runs)
    matched = time.process_time()
    found = consensus(labels, shared.distinct)
    seconds = {"matching": round(matched - began, 1), "consensus": round(time.process_time() - matched, 1)}
    memory = {"before": before, "peak": peak_memory_mb()}
    return {**named(found.species + 1, truth), "cpu_seconds": seconds, "memory_mb": memory, "hardware": hardware()}


if __name__ == "__main__":
    main()
