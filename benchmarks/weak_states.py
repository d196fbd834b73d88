"""What the fast recipe finds on sets as hard as real ones, beside what the ideal observer finds in the same images.

    python benchmarks/weak_states.py SETS/pol2_parts SETS/antibody --seeds 0 1 2 --out weak_states.json

Sets are folders that benchmarks/real_sets.py or `cryodrgn-plugin simulate --preset real_…` wrote. Of states: the share
named right by 20 neighbours in z, and the adjusted Rand index of the states that the recipe tells apart; of a motion:
the rank correlation of the coordinate. Also what was learned of contrast and poses beside what was planted, and the
largest correlation of an axis of z with either. Every seed is reported, and the worst.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from hardware import hardware
from ideal import ideal
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from cryodrgn_plugin.engine.analysis import truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run

NEIGHBOURS = 20
MOST_STATES = 12
"""Of a set with more states the motion counts, not the states."""
LEARNED = ("directions", "states", "contrast_sd", "turn_sd_deg", "shift_sd_px", "information", "information_of_noise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set-value", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the run")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    settings = dict(pair.split("=", 1) for pair in args.set_value)
    report: dict[str, Any] = {"hardware": hardware(), "settings": settings, "sets": {}}
    for folder in args.sets:
        of_set = report["sets"][folder.name] = {"ideal": ideal(folder), "runs": []}
        for seed in args.seeds:
            of_set["runs"].append(one_run(folder, seed, settings))
            print(folder.name, json.dumps(of_set["runs"][-1]), flush=True)
            of_set["worst"] = min(of_set["runs"], key=lambda run: run.get("accuracy", run.get("spearman", 0)))
            if args.out:
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(json.dumps(report, indent=1) + "\n")


def one_run(folder: Path, seed: int, settings: dict[str, str]) -> dict[str, Any]:
    """Train with one seed, and judge what came out."""
    known = truth.Truth.open(folder)
    config = recipe_config("fast", {**settings, "particles": str(folder / "particles.star"), "seed": seed})
    with tempfile.TemporaryDirectory() as scratch:
        run = Run.create(Path(scratch) / "run", config)
        began = time.process_time()
        fit(run, config)
        cpu = time.process_time() - began
        latents, notes = run.latents(), run.info.get("notes", {})
    rows = latents.rows
    figures = {"seed": seed, "cpu_seconds": round(cpu, 1), **{name: notes.get(name) for name in LEARNED}}
    state = known.state[rows]
    # Coordinates that no particle differs in say nothing.
    z = latents.z[:, latents.z.std(0) > 1e-6 * max(float(latents.z.std(0).max()), 1e-12)]
    if 1 < len(np.unique(state)) <= MOST_STATES:
        named = cross_val_predict(KNeighborsClassifier(NEIGHBOURS), z, state, cv=5)
        figures["accuracy"] = round(float((named == state).mean()), 4)
        if latents.states is not None:
            figures["ari"] = round(float(adjusted_rand_score(state, latents.states.argmax(1))), 4)
    elif len(np.unique(state)) > 1:
        figures["spearman"] = round(float(truth.rank_correlation(latents.coordinate, known.coordinate[rows])), 4)
    return figures | leaks(z, folder, rows)


def leaks(z: np.ndarray, folder: Path, rows: np.ndarray) -> dict[str, float]:
    """The largest |correlation| of an axis of z with what was planted that is no state."""
    with np.load(folder / "truth.npz") as planted:
        wrong = {"contrast": planted["contrast"][rows, None]}
        wrong["rotation"], wrong["shift"] = planted["pose_error_deg"][rows], planted["shift_error_ang"][rows]
    found = {}
    for name, values in wrong.items():
        if values.std() > 0:
            each = np.corrcoef(np.c_[z, values].T)[: z.shape[1], z.shape[1] :]
            found[f"leak_{name}"] = round(float(np.abs(each).max()), 4)
    return found


if __name__ == "__main__":
    main()
