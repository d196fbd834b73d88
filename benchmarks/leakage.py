"""Whether `validate` cries wolf on clean sets, and whether it tells of a latent space that follows contrast.

    python benchmarks/leakage.py --out benchmarks/results/leakage.json

20 clean sets: five molecules at four signal-to-noise ratios, each with a seed of its own, 2,000 × 32², trained by the
fast recipe; five more by the paper's network; and five with contrasts that vary by 20 to 30 %, by the network too,
whose latent space follows them. Each is tested for leaks. Stated are the largest share of every quantity that states
carry, what neighbours in the latent space predict of it (which is no alarm), and which sets `validate` has an alarm
for. Every set is reported. With --runs sets and runs are kept in a folder, and those that lie there are not made again.
"""

import argparse
import json
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from hardware import hardware

from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import simulate_particles
from cryodrgn_plugin.engine.simulate.presets import PRESETS
from cryodrgn_plugin.engine.validation.leakage import Leak
from cryodrgn_plugin.engine.validation.validation_options import ValidateOptions
from cryodrgn_plugin.engine.validation.validation_report import validate

MOLECULES = ("adk", "uniform", "cooperative", "noncontiguous", "compositional")
RATIOS = (0.04, 0.07, 0.1, 0.2)
CLEAN = [("fast", name, snr, 0.0) for snr in RATIOS for name in MOLECULES]
CLEAN += [("paper", name, 0.1, 0.0) for name in MOLECULES]
FOLLOWING = [("paper", name, 0.1, spread) for name, spread in zip(MOLECULES, (0.3, 0.3, 0.2, 0.2, 0.3), strict=True)]
SETTINGS = {"fast": {}, "paper": {"z_dim": 4, "decoder.n_bases": 4, "training.epochs": 5}}
BOX, PARTICLES, STATES = 32, 2000, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=MOLECULES, default=MOLECULES)
    parser.add_argument("--recipe", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = {"particles": PARTICLES, "box": BOX, "first_seed": args.first_seed, "hardware": hardware(), "sets": []}
    for number, (recipe, name, snr, spread) in enumerate(CLEAN + FOLLOWING):
        if name not in args.only or recipe not in args.recipe:
            continue
        with folder_for(args.runs, args.first_seed + number) as folder:
            report["sets"].append(one(folder, recipe, name, snr, spread, args.first_seed + number))
        print(json.dumps(report["sets"][-1]), flush=True)
        if args.out:
            args.out.write_text(json.dumps(report | summary(report["sets"]), indent=1) + "\n")
    print(json.dumps(summary(report["sets"]), indent=1))


def folder_for(kept: Path | None, seed: int) -> AbstractContextManager[str | Path]:
    """Where the set of a seed and its run go."""
    return tempfile.TemporaryDirectory() if kept is None else nullcontext(kept / str(seed))


def one(folder: str | Path, recipe: str, name: str, snr: float, spread: float, seed: int) -> dict:
    """Simulate, train and test one set."""
    run = trained(Path(folder), recipe, name, snr, spread, seed)
    found = json.loads(validate(run, ValidateOptions(halves=False, seed=seed, bootstrap=20)).read_text())
    leaks = [Leak(**leak) for leak in found["leakage"]]
    alarms = [leak.name for leak in leaks if leak.strength(ValidateOptions().significance) in ("clear", "strong")]
    shares = {leak.name: [leak.share, leak.nearby] for leak in leaks}
    made = {"recipe": recipe, "molecule": name, "snr": snr, "contrast_sd": spread, "seed": seed}
    return {**made, "alarms": alarms, "shares": shares}


def trained(folder: Path, recipe: str, name: str, snr: float, spread: float, seed: int) -> Run:
    """A run of a set, which is made where there is none."""
    if (folder / "run" / "latents.npz").exists():
        return Run.open(folder / "run")
    molecule = PRESETS[name]
    config = molecule.config(BOX, n_particles=PARTICLES, snr=snr, contrast_sd=spread, shift_px=1)
    star = simulate_particles(molecule.make(STATES), config, folder / "set", seed)
    settings = {**SETTINGS[recipe], "particles": str(star), "seed": seed}
    run = Run.create(folder / "run", recipe_config(recipe, settings), overwrite=True)
    with run.working():
        fit(run, run.config)
    return run


def summary(sets: list[dict]) -> dict:
    """Alarms, and the largest shares of clean sets; sets whose latent space has collapsed have no leak to tell."""
    clean = [one for one in sets if not one["contrast_sd"]]
    names = dict.fromkeys(name for one in clean for name in one["shares"])
    largest = {
        name: [max(one["shares"][name][k] for one in clean if name in one["shares"]) for k in (0, 1)] for name in names
    }
    following = [one for one in sets if one["contrast_sd"]]
    return {
        "clean_sets": len(clean),
        "clean_sets_collapsed": sum(not one["shares"] for one in clean),
        "clean_sets_with_alarm": sum(bool(one["alarms"]) for one in clean),
        "clean_largest": largest,
        "following_contrast": len(following),
        "following_contrast_told": sum("contrast" in one["alarms"] for one in following),
    }


if __name__ == "__main__":
    main()
