"""What tilt pairs are worth: the same number of images as pairs and as single images, poses unknown.

    python benchmarks/tilt_pairs.py --out TILT                                 linear1d at a CPU size, 3 seeds
    python benchmarks/tilt_pairs.py --out TILT --motion circular1d --pairs 2000 --snr 1 --z_dim 2
    python benchmarks/tilt_pairs.py --out TILT --recipe cryodrgn2              by a network, many times slower

A complex with an arm that turns (zhong_thesis_cryodrgn 3.7.1, table 3.2) is taken in P pairs, 45° apart, and in 2 P
single images, with no CTF. Both go through one recipe, pairs with the joint score and, where a network reads images,
the encoder of pairs. Every further option is a setting. OUT/figures.json has pose errors, the rank correlation of z
with the planted coordinate, and FSC = 0.5 of the map at an image's z with the map it was made from, of 100 images.
"""

import argparse
import json
import resource
from pathlib import Path

from ab_initio_figures import run_figures
from ab_initio_models import MOTIONS
from hardware import hardware

from cryodrgn_plugin.engine.cli.setting_flags import add_settings, given_settings
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import SimulationConfig, simulate_particles

BOX, EXTENT_ANG, TILT_DEG = 32, 384.0, 45.0
COMMON = {"z_dim": 1, "poses.shift_extent": 0.05}
NETWORK = {
    "decoder.width": 128,
    "encoder.width": 128,
    "training.learning_rate": 2e-3,
    "training.schedule": "cosine",
    "training.precision": "float32",
    "training.batch_size": 10,
    "poses.block": 20,
    "poses.volumes": 3,
    "poses.first_radius": 4,
    "poses.last_radius": 14,
    "poses.levels": 2,
    "poses.shift_steps": 3,
    "poses.search_every": 1,
    "poses.schedule": "search:20",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the sets, the runs and figures.json")
    parser.add_argument("--motion", choices=MOTIONS, default="linear1d")
    parser.add_argument("--pairs", type=int, default=500, help="particles of the set of pairs (500)")
    parser.add_argument("--snr", type=float, default=1.0, help="signal to noise (1)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", choices=("abinitio", "cryodrgn2", "bnb"), default="abinitio")
    add_settings(parser)
    args = parser.parse_args()
    figures = []
    for pairs in (False, True):
        star = make_set(args, pairs)
        for seed in args.seeds:
            figures.append(trained(args, star, pairs, seed))
            print(json.dumps(figures[-1]), flush=True)
    about = {"motion": args.motion, "pairs": args.pairs, "snr": args.snr, "recipe": args.recipe}
    about |= {"settings": settings_of(args, pairs=True), "hardware": hardware()}
    (args.out / "figures.json").write_text(json.dumps({**about, "runs": figures}, indent=1) + "\n")


def make_set(args: argparse.Namespace, pairs: bool) -> Path:
    config = SimulationConfig(
        n_particles=args.pairs if pairs else 2 * args.pairs,
        box=BOX,
        pixel_size_ang=EXTENT_ANG / BOX,
        snr=args.snr,
        shift_px=1.0,
        ctf=False,
        tilt_deg=TILT_DEG if pairs else 0.0,
    )
    return simulate_particles(MOTIONS[args.motion](), config, args.out / ("pairs" if pairs else "singles"), seed=1)


def trained(args: argparse.Namespace, star: Path, pairs: bool, seed: int) -> dict:
    """Figures of one training; CPU seconds are of training alone."""
    config = recipe_config(args.recipe, {**settings_of(args, pairs), "particles": str(star), "seed": seed})
    run = Run.create(args.out / f"{star.parent.name}_{seed}", config, overwrite=True)
    began = cpu_seconds()
    with run.working("train"):
        fit(run, config)
    seconds = cpu_seconds() - began
    return {"set": star.parent.name, "seed": seed, "cpu_seconds": round(seconds)} | run_figures(
        run, star.parent, "heterogeneous"
    )


def settings_of(args: argparse.Namespace, pairs: bool) -> dict:
    """Of a run; networks need a size that a processor can train, and an encoder of pairs for these."""
    network = {} if args.recipe == "abinitio" else NETWORK | ({"encoder.kind": "tilt_pair"} if pairs else {})
    return {**COMMON, **network, **given_settings(args)}


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
