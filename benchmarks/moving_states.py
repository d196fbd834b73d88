"""States that move: whether the fast recipe tells a part that comes and goes from a motion that goes on beside it.

    python benchmarks/moving_states.py --data DATA --out benchmarks/results/moving_states.json

Two molecules, 10,000 x 64²: the complex of eight proteins whose arm turns through 57°, without one of the others in
40 % of the particles (what the method was made on), and an antibody whose arm turns through 60°, without the light
chain of the other arm in 40 % (DATA holds models/1igt.pdb.gz). Each as simple simulations are (white noise, SNR 0.1,
true poses) and as real images are (SNR 0.05, wrong poses, contrast, uneven views). Stated are the number of separate
states, whether they move, the adjusted Rand index with which has the part, and the rank correlation of the coordinate
with the angle among the particles of either kind. Every set is reported.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware
from real_sets import MOLECULES, antibody
from scipy.stats import spearmanr
from sklearn.metrics import adjusted_rand_score

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS, Preset, hinged_complex
from cryodrgn_plugin.engine.simulate.reality import REALITY

ANGLES, ABSENT = 20, 0.4
BOX = 64
KINDS = {"clean": ({}, 0.1), "real": (REALITY, REALITY["snr"])}
"""Settings of the images, and their signal-to-noise ratio."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with models/")
    parser.add_argument("--particles", type=int, default=10_000)
    parser.add_argument("--only", nargs="+", choices=("complex", "antibody"), default=["complex", "antibody"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of sets and runs")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    whole = {
        "complex": (lambda: with_and_without(hinged_complex(ANGLES, 1.0), "E"), PRESETS["uniform"].box_ang),
        "antibody": (lambda: with_and_without(antibody(args.data, ANGLES), "C"), MOLECULES["antibody"][1]),
    }
    report: dict = {"particles": args.particles, "box": BOX, "absent": ABSENT, "hardware": hardware(), "sets": {}}
    for name in args.only:
        for kind in args.kinds:
            make, box_ang = whole[name]
            settings, snr = KINDS[kind]
            preset = Preset(name, lambda _: make(), box_ang, settings)  # noqa: B023 - called before the next round
            found = [judged(preset, snr, args.particles, seed) for seed in args.seeds]
            report["sets"][f"{name}_{kind}"] = found
            print(name, kind, json.dumps(found), flush=True)
            if args.out:
                args.out.write_text(json.dumps(report, indent=1) + "\n")


def with_and_without(motion: Ensemble, chain: str) -> Ensemble:
    """The states of a motion, and the same without a chain."""
    without = [state[state.chains != chain] for state in motion.states]
    return Ensemble(
        [*motion.states, *without],
        np.tile(motion.coordinates, 2),
        np.concatenate([(1 - ABSENT) * motion.populations, ABSENT * motion.populations]),
    )


def judged(preset: Preset, snr: float, particles: int, seed: int) -> dict:
    """One set, trained by the fast recipe."""
    with tempfile.TemporaryDirectory() as place:
        config = preset.config(BOX, n_particles=particles, snr=snr)
        star = simulate_particles(preset.make(2 * ANGLES), config, Path(place) / "set", seed)
        truth = np.load(star.with_name("truth.npz"))
        recipe = recipe_config("fast", {"particles": str(star), "seed": seed})
        run, began = Run.create(Path(place) / "run", recipe), time.process_time()
        fit(run, recipe)
        seconds = time.process_time() - began
        latents, notes = run.latents(), run.info["notes"]
    absent, angle = truth["state"] >= ANGLES, truth["coordinate"]
    states = None if latents.states is None else latents.states.argmax(1)
    along = [abs(spearmanr(latents.coordinate[kind], angle[kind]).statistic) for kind in (~absent, absent)]
    return {
        "seed": seed,
        "cpu_seconds": round(seconds, 1),
        "states": notes["states"],
        "states_move": notes["states_move"],
        "shares": None if states is None else np.round(np.bincount(states) / len(states), 3).tolist(),
        "ari": None if states is None else round(adjusted_rand_score(absent, states), 4),
        "coordinate_among_either": np.round(along, 4).tolist(),
    }


if __name__ == "__main__":
    main()
