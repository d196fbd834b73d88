"""What each part of ACE-HetEM is worth, at a size that a processor can train: the ablation of ace_hetem 5.3, reduced.

    python benchmarks/amortized_ablation.py --seeds 0 --out benchmarks/results/amortized_ablation.json

Noise-free centred images of a lopsided map in one state are reconstructed without poses by the recipe ace with
everything on and with one part off at a time: the pose-to-pose task, the symmetrised loss, the warm-up labels. Poses
are compared with the planted ones after a global alignment, hand included; so are poses drawn at random, which is what
chance gives. Figures are written after every run, so that a stopped benchmark keeps what it has.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.geometry.pose_errors import PoseErrors, align_poses
from cryodrgn_plugin.engine.geometry.rotations import matrices_from_euler, random_matrices
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate.config import SimulationConfig
from cryodrgn_plugin.engine.simulate.simulation import simulate_particles
from cryodrgn_plugin.engine.simulate.tiny import lopsided_map

BOX, PIXEL_ANG = 24, 4.7
SETTINGS = {
    "z_dim": 0,
    "decoder.kind": "basis",
    "decoder.n_bases": 0,
    "encoder.width": 128,
    "amortized.trunk_width": 8,
    "amortized.pose_weight": 0.3,
    "amortized.warmup_images": 60_000,
    "amortized.warmup_blur_px": 1.2,
    "poses.shift_extent": 0.0,
    "training.batch_size": 64,
    "training.learning_rate": 1e-3,
    "training.checkpoint_every": 20,
}
VARIANTS = {
    "all on": {},
    "pose-to-pose off": {"amortized.pose_weight": 0.0},
    "symmetrised loss off": {"amortized.symmetrized": False},
    "warm-up labels off": {"amortized.warmup_images": 0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--set-value", nargs="*", default=[], metavar="NAME=VALUE", help="settings of all runs")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    given = dict(pair.split("=", 1) for pair in args.set_value)
    settings = {**SETTINGS, "training.epochs": args.epochs, **given}
    report = {"images": args.images, "box": BOX, "settings": settings, "hardware": hardware(), "runs": []}
    with tempfile.TemporaryDirectory() as folder:
        config = SimulationConfig(
            n_particles=args.images, box=BOX, snr=np.inf, shift_px=0.0, ctf=False, pixel_size_ang=PIXEL_ANG
        )
        star = simulate_particles([lopsided_map(BOX)], config, folder, seed=1)
        truth = np.load(star.parent / "truth.npz")["rotations"]
        report["chance"] = figures(errors(random_matrices(args.images, np.random.default_rng(0)), truth))
        for seed in args.seeds:
            for name in args.variants:
                found = one_run(star, Path(folder) / "run", {**settings, **VARIANTS[name], "seed": seed}, truth)
                report["runs"].append({"variant": name, "seed": seed, **found})
                print(json.dumps(report["runs"][-1]), flush=True)
                if args.out:
                    args.out.write_text(json.dumps(report, indent=1) + "\n")


def one_run(star: Path, folder: Path, settings: dict, truth: np.ndarray) -> dict:
    """Train once and compare the poses found."""
    config = recipe_config("ace", {**settings, "particles": str(star)})
    run = Run.create(folder, config, overwrite=True)
    began, cpu = time.perf_counter(), time.process_time()
    with run.working():
        fit(run, config)
    spent = {"cpu_seconds": round(time.process_time() - cpu, 1), "seconds": round(time.perf_counter() - began, 1)}
    found = errors(matrices_from_euler(run.particles().euler_deg), truth)
    last = run.metrics()[-1]
    return {**figures(found), "misfit": round(last["reconstruction"], 4), **spent}


def errors(rotations: np.ndarray, truth: np.ndarray) -> PoseErrors:
    nowhere = np.zeros((len(truth), 2))
    return align_poses(rotations, truth, nowhere, nowhere)


def figures(found: PoseErrors) -> dict[str, float]:
    summary = found.summary(PIXEL_ANG)
    names = ("median_angle_deg", "mean_angle_deg", "frobenius2_median", "frobenius2_mean")
    return {name: round(summary[name], 4) for name in names} | {"within_20_deg": round(found.share_within(20.0), 4)}


if __name__ == "__main__":
    main()
