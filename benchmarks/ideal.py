"""How many images of a simulated set the ideal observer gives their true state: maximum likelihood with the true maps.

    python benchmarks/ideal.py SETS/real_ribosome --out benchmarks/results/ideal_real_ribosome.json

At the poses of the star file and at the true ones; with the contrast of every image known, integrated out, and taken to
be 1. A method that has to find the maps first is judged by how near it comes to the second of these at the poses that
it is given. Of a continuous set the figure is the rank correlation of the likeliest coordinate with the true one. Junk
does not count.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.analysis import oracle, truth
from cryodrgn_plugin.engine.config import DataConfig
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedImages
from cryodrgn_plugin.engine.simulate.surroundings import PARTICLE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--box", type=int, default=0, help="box after downsampling (0 keeps it, up to 128)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = ideal(args.set, args.box)
    print(json.dumps(report, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def ideal(folder: Path, box: int = 0) -> dict:
    """The figures of one set, which is a folder that `cryodrgn-plugin simulate` wrote."""
    told = ParticleDataset.open(folder / "particles.star", DataConfig(box=box))
    known = truth.Truth.open(folder).at_box(told.box)
    with np.load(folder / "truth.npz") as planted:
        contrast, rotations, shifts_ang = (planted[name] for name in ("contrast", "rotations", "shifts_ang"))
        good = planted["kind"] == PARTICLE
    noise, spread = estimate_noise(told), float(contrast.std())
    populations = np.bincount(known.state, minlength=len(known.maps)) / len(known.state)
    report = {"set": folder.name, "particles": told.n, "box": told.box, "states": len(known.maps)}
    report |= {"largest state": float(populations.max()), "hardware": hardware()}
    for poses, dataset in (("given poses", told), ("true poses", told.with_poses(rotations, shifts_ang))):
        images = WhitenedImages(dataset, noise)
        asked = {
            "contrast known": (contrast, 0.0),
            "contrast integrated out": (None, spread),
            "contrast taken for 1": (None, 0.0),
        }
        report[poses] = {
            name: _figures(oracle.state_log_likelihoods(images, known.maps, *how), populations, known, good)
            for name, how in asked.items()
        }
    return report


def _figures(scores: np.ndarray, populations: np.ndarray, known: truth.Truth, good: np.ndarray) -> dict:
    found = oracle.assigned_states(scores, populations)
    coordinates = np.zeros(len(populations))
    coordinates[known.state] = known.coordinate
    return {
        "accuracy": round(float((found == known.state)[good].mean()), 4),
        "spearman": round(truth.rank_correlation(coordinates[found][good], known.coordinate[good]), 4),
    }


if __name__ == "__main__":
    main()
