"""What allowing for errors of the defocus finds of those that were planted, what it costs, and what the maps gain.

    python benchmarks/real_sets.py --out SETS/300 --only real_adk --particles 6000 --snr 0.1 \\
        --set pixel_size_ang=2 defocus_error_ang=300
    python benchmarks/defocus_errors.py SETS/0/real_adk SETS/300/real_adk SETS/1000/real_adk --out defocus_errors.json

Of each set: the standard deviation that was planted and learned, the correlation of each image's correction with its
own error, how far the defocus is off before and after, and the maps of 100 images against the true ones, with
`closed_form.defocus_errors` off and on.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from hardware import hardware

from cryodrgn_plugin.engine.analysis import truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run

SAMPLED = 100
LEARNED = ("directions", "states", "contrast_sd", "turn_sd_deg", "shift_sd_px", "defocus_sd_ang", "defocus_doubt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["on", "off"])
    parser.add_argument("--no-maps", action="store_true", help="what was learned and the time only")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {"hardware": hardware(), "runs": []}
    for folder in args.sets:
        for asked in [args.only] if args.only else ["off", "on"]:
            report["runs"].append(one_run(folder, asked == "on", args.seed, not args.no_maps))
            print(json.dumps(report["runs"][-1]), flush=True)
            if args.out:
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(json.dumps(report, indent=1) + "\n")


def one_run(folder: Path, allowed: bool, seed: int, with_maps: bool) -> dict[str, Any]:
    """Train once, and judge what came out."""
    settings = {"particles": str(folder / "particles.star"), "seed": seed, "closed_form.defocus_errors": allowed}
    config = recipe_config("fast", settings)
    with tempfile.TemporaryDirectory() as scratch:
        run = Run.create(Path(scratch) / "run", config)
        began = time.process_time()
        fit(run, config)
        figures: dict[str, Any] = {"set": str(folder), "allowed": allowed}
        figures["cpu_seconds"] = round(time.process_time() - began, 1)
        latents, notes = run.latents(), run.info.get("notes", {})
        figures |= {name: notes[name] for name in LEARNED if name in notes}
        with np.load(folder / "truth.npz") as planted:
            error_ang = planted["defocus_error_ang"][latents.rows]
        figures["planted_sd_ang"] = round(float(error_ang.std()), 1)
        if latents.defocus_correction is not None:
            left_ang = error_ang + latents.defocus_correction
            figures["left_sd_ang"] = round(float(left_ang.std()), 1)
        if latents.defocus_correction is not None and error_ang.any():
            figures["correlation"] = round(float(-np.corrcoef(error_ang, latents.defocus_correction)[0, 1]), 4)
        if with_maps:
            known = truth.Truth.open(folder)
            sample = np.random.default_rng(5).choice(len(latents.z), SAMPLED, replace=False)
            decoder = load_decoder(run)
            volumes = np.stack([decoder.volume(latents.z[i]) for i in sample])
            figures["maps"] = {
                name: round(float(v), 4) for name, v in vars(truth.map_quality(volumes, known, sample)).items()
            }
            figures["spearman"] = round(float(truth.rank_correlation(latents.coordinate, known.coordinate)), 4)
    return figures


if __name__ == "__main__":
    main()
