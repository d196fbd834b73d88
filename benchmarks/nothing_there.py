"""How often the fast recipe finds directions of variation where there are none: sets of one state, part by part.

    python benchmarks/nothing_there.py SETS/pol2_parts_one_state SETS/antibody_one_state --parts 3 --out nothing.json

Sets are those that `benchmarks/real_sets.py --one-state` wrote. Each is taken apart into as many sets as --parts says,
which share no image; of each, the steps up to where directions are held against noise are run.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.closed_form.fast_recipe import ClosedForm
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.run import Run

TOLD = ("directions", "information", "information_of_noise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--parts", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    runs = [one_part(folder, part, args.parts) for folder in args.sets for part in range(args.parts)]
    found = sum(run["directions"] > 0 for run in runs)
    print(f"Directions were found in {found} of {len(runs)}.")
    if args.out:
        report = {"hardware": hardware(), "found": found, "of": len(runs), "runs": runs}
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def one_part(folder: Path, part: int, parts: int) -> dict[str, Any]:
    """The directions in one part of a set."""
    config = recipe_config("fast", {"particles": str(folder / "particles.star")})
    whole = ParticleDataset.open(config.particles, config.data)
    dataset = whole.subset(np.arange(part, whole.n, parts))
    with tempfile.TemporaryDirectory() as scratch:
        run = Run.create(Path(scratch) / "run", config)
        recipe = ClosedForm(run, config, dataset)
        state, cut = recipe.start(), next(n for n, step in enumerate(recipe.bands) if step.cuts)
        while state.done <= cut:
            state = replace(recipe.advance(state)[0], done=state.done + 1)
        notes = run.info["notes"]
    told = {"set": folder.name, "part": part, "particles": dataset.n, **{name: notes[name] for name in TOLD}}
    told["contrast_sd"] = round(state.nuisances.contrast_sd, 4)
    told["turn_sd_deg"] = round(float(np.degrees(float(state.nuisances.pose_sd[0]))), 3)
    told["shift_sd_px"] = round(float(state.nuisances.pose_sd[3]) * dataset.box, 3)
    print(json.dumps(told), flush=True)
    return told


if __name__ == "__main__":
    main()
