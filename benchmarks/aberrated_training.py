"""Whether a training on images with aberrations is as good as on images without, and what ignoring them would cost.

    python benchmarks/aberrated_training.py --out benchmarks/results/aberrated_training.json

Three sets are one molecule with one noise: of a perfect lens; of one with beam tilt, trefoil, tetrafoil and an uneven
magnification, which the star file tells; and the latter with a star file that does not tell. Each recipe is trained on
each. `coordinate` is the rank correlation with the planted motion, `box` and `moving` the area under the FSC of maps at
particles' latents with the true ones, in the whole box and where states differ.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")

import numpy as np
from hardware import hardware
from scipy.stats import spearmanr

from cryodrgn_plugin.engine.analysis.truth import Truth, map_quality
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.tests.engine.aberrated_set import aberrated_sets

RECIPES: dict[str, dict[str, Any]] = {
    "fast": {"z_dim": 2, "closed_form.n_components": 4, "closed_form.nodes": 20},
    "paper": {"z_dim": 2, "decoder.n_bases": 4, "training.epochs": 20, "encoder.width": 64},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--box", type=int, default=24)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {"particles": args.particles, "box": args.box, "hardware": hardware(), "runs": []}
    with tempfile.TemporaryDirectory() as scratch:
        sets = aberrated_sets(Path(scratch), args.particles, args.box)
        for recipe in args.recipes.split(","):
            for name, star in sets.items():
                report["runs"].append({"recipe": recipe, "set": name, **trained(recipe, star, Path(scratch) / "run")})
                print(json.dumps(report["runs"][-1]), flush=True)
                if args.out:
                    args.out.write_text(json.dumps(report, indent=1) + "\n")


def trained(recipe: str, star: Path, folder: Path) -> dict[str, float]:
    """Train on a set and compare with what was planted."""
    began = time.process_time()
    config = recipe_config(recipe, {"particles": str(star), "root": str(star.parent), **RECIPES[recipe]})
    run = Run.create(folder, config, overwrite=True)
    with run.working():
        fit(run, config)
    seconds = round(time.process_time() - began, 1)
    truth, latents, decoder = Truth.open(star.parent), run.latents(), load_decoder(run)
    sample = np.arange(0, len(latents.z), max(1, len(latents.z) // 40))
    quality = map_quality(np.stack([decoder.volume(latents.z[i]) for i in sample]), truth, sample)
    along = latents.coordinate if latents.coordinate is not None else first_component(latents.z)
    rank = abs(float(spearmanr(along, truth.coordinate).correlation))
    figures = {"coordinate": round(rank, 4), "box": round(quality.box, 4), "moving": round(quality.moving, 4)}
    return {**figures, "cpu_seconds": seconds}


def first_component(z: np.ndarray) -> np.ndarray:
    """(N,) place along the direction in which latents (N, Z) differ most."""
    centred = z - z.mean(0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][0]


if __name__ == "__main__":
    main()
