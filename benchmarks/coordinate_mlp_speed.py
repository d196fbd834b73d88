"""Time per epoch of the coordinate network beside cryoDRGN's, on the same images, and what each had learned by then.

    python benchmarks/coordinate_mlp_speed.py --peer PEER/bin/python --out benchmarks/results/coordinate_mlp_speed.json
    python benchmarks/coordinate_mlp_speed.py --peer PEER/bin/python --box 128 --threads 1 --particles 48 --width 256
    python benchmarks/coordinate_mlp_speed.py --peer PEER/bin/python --width 256 --rounds 0 --judge-epochs 10

PEER is an environment of its own: python -m venv PEER; PEER/bin/pip install torch==2.13.0 cryodrgn==4.3.1 "numpy<2".
It is run as a program; nothing of it is imported. Both sides have the same layers, width, z dimensions, batch size and
threads and run in turn, so that a machine that is busy is busy for both. `train_vae` keeps its defaults (1024 × 3).
Ours is timed with all Fourier points of an image and with half of them; an epoch ends with the latents (theirs) or the
held-out loss (ours) and a checkpoint, which are left out of its time on both sides.

The floor is what the decoder's matrix products alone would take at the rate of one large product, measured beside.

With --judge-epochs both are trained that long and judged alike: the same loss of the same images at the z of each
(misfit in units of the noise, per pixel; 1 is noise alone), correlation of the true coordinate with its best linear
prediction from z, and the area under the FSC between maps at particles' z and those particles' true maps.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from hardware import hardware

from cryodrgn_plugin.engine.analysis.truth import Truth, map_quality
from cryodrgn_plugin.engine.config import DataConfig, recipe_config
from cryodrgn_plugin.engine.data.batch import centred
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.loader import BatchLoader
from cryodrgn_plugin.engine.decoders.model_file import load_model
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.tiny import tiny_set

EXTENT_ANG, Z_DIM, BATCH, LAYERS = 112.0, 8, 16, 3
JUDGED = 24
"""Particles whose maps are judged."""
FINISHED = re.compile(r"Finished in (\d+):(\d+):([\d.]+)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="python of the environment that has cryodrgn 4.3.1")
    parser.add_argument("--width", type=int, default=1024, help="units per hidden layer of both networks (both sides)")
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--particles", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3, help="times each side is timed, in turn")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--judge-epochs", type=int, default=0, help="also train this long and judge the result")
    parser.add_argument("--judge-particles", type=int, default=1500)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as scratch:
        report = {"hardware": hardware(), "box": args.box, "width": args.width, "batch": BATCH, "threads": args.threads}
        if args.rounds:
            report["speed"] = speed(args, Path(scratch))
            print(json.dumps(report["speed"], indent=1), flush=True)
        if args.judge_epochs:
            report["judged"] = judged(args, Path(scratch))
    text = json.dumps(report, indent=1)
    print(text)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(text + "\n")


# --- time ---------------------------------------------------------------------------------------------------------


def speed(args: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """Seconds per epoch of each side, one run of one epoch per round and side, in turn; medians and their ratios."""
    folder = make_set(scratch / "speed", args.particles, args.box)
    prepare_peer(args, folder)
    sides = {"cryodrgn 4.3.1": lambda: peer_epoch(args, folder, scratch / "peer")}
    for name, settings in OURS.items():
        sides[name] = lambda settings=settings: our_epoch(args, folder, scratch / "ours", settings)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    rates: list[dict[str, float]] = []
    for _ in range(args.rounds):
        rates.append(gemm_rates(args))
        for name, epoch in sides.items():
            seconds[name].append(epoch() / args.particles * 1e3)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    least = {name: min(values) for name, values in seconds.items()}
    peer = next(iter(sides))
    return {
        "particles": args.particles,
        "ms_per_particle": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        "median_ms_per_particle": {name: round(value, 2) for name, value in median.items()},
        "least_ms_per_particle": {name: round(value, 2) for name, value in least.items()},
        "times_faster": {name: round(median[peer] / value, 2) for name, value in median.items()},
        "floor": floor(args, least, rates),
    }


OURS = {
    "ours": {"training.points": 1.0},
    "ours, float32": {"training.points": 1.0, "training.precision": "float32"},
    "ours, half of the points": {"training.points": 0.5},
    "ours, a quarter of the points": {"training.points": 0.25},
}


def floor(args: argparse.Namespace, least: dict[str, float], rates: list[dict[str, float]]) -> dict[str, object]:
    """What the decoder's matrix products alone would take at the best rate at which this machine has multiplied large
    matrices, and how much of the least time of each of our sides that is.
    """
    points, width = HalfPlane(args.box, args.box // 2 - 1).size, args.width
    # Forward and two products backward, of which the first layer needs one; features are 3 · box.
    products = 3 * LAYERS * width**2 + 2 * 3 * args.box * width + 3 * 2 * width
    gflop = 2e-9 * points * products
    best = {kind: max(rate[kind] for rate in rates) for kind in rates[0]}
    told: dict[str, object] = {"gflop_per_particle": round(gflop, 3)}
    told |= {f"{kind}_gflop_per_second": round(rate, 1) for kind, rate in best.items()}
    for name, settings in OURS.items():
        kind = "float32" if "training.precision" in settings else "bfloat16"
        needed = gflop * settings["training.points"] / best[kind] * 1e3
        told[name] = {"floor_ms_per_particle": round(needed, 2), "times_the_floor": round(least[name] / needed, 2)}
    return told


def gemm_rates(args: argparse.Namespace) -> dict[str, float]:
    """GFLOP/s of products (rows, width) @ (width, width) as large as those of a step, the best of thirty."""
    rows, width = 8192, args.width
    torch.set_num_threads(args.threads)
    rates = {}
    for kind in (torch.bfloat16, torch.float32):
        a, b, best = torch.randn(rows, width).to(kind), torch.randn(width, width).to(kind), float("inf")
        for _ in range(30):
            began = time.perf_counter()
            a @ b
            best = min(best, time.perf_counter() - began)
        rates[str(kind)[6:]] = 2e-9 * rows * width**2 / best
    return rates


# --- what was learned ---------------------------------------------------------------------------------------------


def judged(args: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """Both sides trained for `judge_epochs` on the same images, judged by the same figures."""
    folder = make_set(scratch / "judge", args.judge_particles, args.box)
    prepare_peer(args, folder)
    truth = Truth.open(folder)
    sample = np.sort(np.random.default_rng(0).choice(args.judge_particles, JUDGED, replace=False))
    found: dict[str, object] = {"particles": args.judge_particles, "epochs": args.judge_epochs}
    peer = scratch / "judged_peer"
    train_peer(args, folder, peer, args.judge_epochs)
    z = peer_latents(args.peer, peer, args.judge_epochs)
    found["cryodrgn 4.3.1"] = figures(z, peer_volumes(args, peer, z[sample], truth), truth, sample)
    found["cryodrgn 4.3.1"]["loss"] = loss(imported(peer, scratch / "imported"), folder)
    for name, settings in OURS.items():
        run = train_ours(args, folder, scratch / "judged_ours", settings, args.judge_epochs)
        decoder, z = load_decoder(run), run.latents().z
        found[name] = figures(z, np.stack([decoder.volume(row) for row in z[sample]]), truth, sample)
        found[name]["loss"] = loss(run, folder)
    return found


def figures(z: np.ndarray, volumes: np.ndarray, truth: Truth, sample: np.ndarray) -> dict[str, float]:
    design = np.column_stack([z, np.ones(len(z))])
    predicted = design @ np.linalg.lstsq(design, truth.coordinate, rcond=None)[0]
    quality = map_quality(volumes, truth, sample)
    return {
        "correlation": round(float(np.corrcoef(predicted, truth.coordinate)[0, 1]), 4),
        "fsc_area": round(quality.box, 4),
        "fsc_area_where_it_moves": round(quality.moving, 4),
    }


@torch.no_grad()
def loss(run: Run, folder: Path) -> float:
    """Misfit of all images at their z, in units of the noise, per pixel. The same for any run on the same images."""
    dataset = ParticleDataset.open(folder / "particles.star", DataConfig())
    lattice, noise = dataset.lattice, estimate_noise(dataset, 0)
    decoder, z = load_model(run.model_file).decoder, torch.as_tensor(run.latents().z, dtype=torch.float32)
    multiplicity, total = torch.as_tensor(lattice.multiplicity), 0.0
    for batch in BatchLoader(dataset, 32, shuffle=False).iterate(0):
        images = batch.torch()
        centred_images = torch.from_numpy(centred(batch))
        seen = decoder.slices(z[images.index], images.pose.rotations, lattice, lattice.size)[:, 0] * images.ctf
        weights = multiplicity / torch.as_tensor(noise.per_coefficient(lattice, batch.group))
        total += float(((centred_images - seen).abs().square() * weights).sum())
    return round(total / (dataset.n * float(multiplicity.sum())), 5)


def imported(peer: Path, out: Path) -> Run:
    """The peer's training as a run, its maps in the grey scale of the images."""
    quiet([sys.executable, "-m", "cryodrgn_plugin.engine.cli", "import", str(peer), "--out", str(out)])
    return Run.open(out)


# --- the two programs ---------------------------------------------------------------------------------------------


def make_set(folder: Path, particles: int, box: int) -> Path:
    """Images of a chain that opens at its hinge: 10 states, SNR 0.1, CTF, shifts of ± 3 px."""
    config = SimulationConfig(snr=0.1, shift_px=3.0, pixel_size_ang=EXTENT_ANG / box)
    tiny_set(folder, n=particles, box=box, seed=5, config=config)
    return folder


def our_epoch(args: argparse.Namespace, folder: Path, out: Path, settings: dict) -> float:
    run = train_ours(args, folder, out, settings, 1)
    return run.metrics()[0]["seconds"]


def train_ours(args: argparse.Namespace, folder: Path, out: Path, settings: dict, epochs: int) -> Run:
    """Train by the command line in a process of its own, as a user would."""
    values = {
        "z_dim": Z_DIM,
        "decoder.width": args.width,
        "encoder.width": args.width,
        "training.batch_size": BATCH,
        "training.epochs": epochs,
        **settings,
    }
    recipe_config("cryodrgn", values)
    options = [text for name, value in values.items() for text in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "cryodrgn_plugin.engine.cli", "train", str(folder / "particles.star")]
    quiet([*command, "--out", str(out), "--overwrite", "--recipe", "cryodrgn", *options])
    return Run.open(out)


def prepare_peer(args: argparse.Namespace, folder: Path) -> None:
    """Poses and CTF in the peer's own files, made by its own converters."""
    for step, name in (("parse_pose_star", "poses.pkl"), ("parse_ctf_star", "ctf.pkl")):
        size = ["-D", str(args.box), "--Apix", str(EXTENT_ANG / args.box)]
        quiet([program(args.peer), step, str(folder / "particles.star"), *size, "-o", str(folder / name)])


def peer_epoch(args: argparse.Namespace, folder: Path, out: Path) -> float:
    """Seconds of one epoch, as the peer reports them."""
    log = train_peer(args, folder, out, 1)
    hours, minutes, seconds = FINISHED.search(log).groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def train_peer(args: argparse.Namespace, folder: Path, out: Path, epochs: int) -> str:
    command = [program(args.peer), "train_vae", str(folder / "particles.mrcs"), "--uninvert-data", "--no-analysis"]
    inputs = ["--poses", str(folder / "poses.pkl"), "--ctf", str(folder / "ctf.pkl"), "--zdim", str(Z_DIM)]
    sizes = ["--enc-dim", str(args.width), "--dec-dim", str(args.width), "-b", str(BATCH), "-n", str(epochs)]
    return quiet([*command, *inputs, *sizes, "--seed", "1", "-o", str(out)])


def peer_latents(peer: Path, run: Path, epoch: int) -> np.ndarray:
    """(N, Z). Its pickle is opened by its own python."""
    text = "import pickle, sys, numpy; numpy.save(sys.argv[2], pickle.load(open(sys.argv[1], 'rb')))"
    quiet([str(peer), "-c", text, str(run / f"z.{epoch}.pkl"), str(run / "z.npy")])
    return np.load(run / "z.npy")


def peer_volumes(args: argparse.Namespace, run: Path, z: np.ndarray, truth: Truth) -> np.ndarray:
    """(n, D, D, D). Its CTF has the other sign, so white particles give black maps; they are turned white."""
    np.savetxt(run / "wanted.txt", z)
    weights = ["eval_vol", str(run / f"weights.{args.judge_epochs}.pkl"), "-c", str(run / "config.yaml")]
    out = run / "maps"
    quiet([program(args.peer), *weights, "--zfile", str(run / "wanted.txt"), "-o", str(out)])
    volumes = np.stack([read_map(path)[0] for path in sorted(out.glob("*.mrc"))])
    return volumes * np.sign((volumes * truth.maps.mean(0)).sum())


def program(peer: Path) -> str:
    return str(peer.parent / "cryodrgn")


def quiet(command: list[str]) -> str:
    """Run a program; its output, or the end of it as an error."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
