"""A small part that comes and goes beside a large motion, or two of them: what a focus finds.

    python benchmarks/focus.py --out SETS                      4,000 x 48², SNR 0.1, one seed
    python benchmarks/focus.py --out SETS --seeds 0 1 2 --real

The molecule is the complex of eight kinases. Its arm swings through 1 rad, and half of one protein of the body, a
sixteenth of the mass, is there in every second image, whatever the arm does. Three runs of `fast` are compared by how
well their latent coordinates tell whether the part is there (cross-validated accuracy of a logistic regression; an
image of pure chance gives 0.5) and where the arm is (R² of nearest neighbours):

    alone     images in which the arm stands still, no focus
    blind     arm and part, no focus
    focus     arm and part, focus on the part
    still     the arm swings, the part is always there, focus on the part: nothing is to be found
    regions   arm and part, and half of another protein by itself: focus on both, a latent space for each
    tied      the same, but the second part is there in three of four images that have the first, and in one of four
              that have not: a correlation of 0.5

Of the last two `part` and `second` are told from the latents of their own region, `part_by_second` and
`second_by_part` from those of the other.

`--real` makes images as hard as published ones (noise, views, contrast, wrong poses).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.presets import hinged_complex
from cryodrgn_plugin.engine.simulate.reality import REALITY
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang

BOX_ANG = 320.0
ANGLES, RANGE_RAD = 12, 1.0
PART = ("E", 1, 107)
"""Chain and residues of what comes and goes."""
SECOND = ("B", 1, 107)
TIED = 0.75
"""How many of the images with one part have the other, where they are tied."""
MARGIN_ANG = 6.0
"""How far the focus reaches beyond the atoms of the part."""


def swinging(angles: int, comes_and_goes: bool = True) -> tuple[Ensemble, str]:
    """States 2 a and 2 a + 1 have the arm at angle a, without and with the part; and the focus, as a sphere."""
    whole = hinged_complex(angles, RANGE_RAD).states if angles > 1 else [hinged_complex(3, RANGE_RAD).states[1]]
    part = whole[0].select(*PART)
    states = [model[~part] if present == 0 and comes_and_goes else model for model in whole for present in (0, 1)]
    ensemble = Ensemble(states, np.arange(len(states), dtype=float), np.ones(len(states)))
    return ensemble, sphere_around(whole[0].coords_ang[part] - frame_centre_ang(states))


def sphere_around(atoms: np.ndarray) -> str:
    """x,y,z,radius in Å of a sphere that holds atoms (n, 3)."""
    middle = atoms.mean(axis=0)
    radius = np.quantile(np.linalg.norm(atoms - middle, axis=1), 0.95) + MARGIN_ANG
    return ",".join(f"{value:.1f}" for value in (*middle, radius))


def with_two_parts(angles: int, tied: bool) -> tuple[Ensemble, str]:
    """States 4 a + 2 second + part with the arm at angle a; and a region of the focus for each part."""
    whole = hinged_complex(angles, RANGE_RAD).states
    parts = [whole[0].select(*which) for which in (PART, SECOND)]
    both = [(part, second) for second in (0, 1) for part in (0, 1)]
    states = [model[~((parts[0] & (not p)) | (parts[1] & (not s)))] for model in whole for p, s in both]
    shares = [(TIED if p == s else 1 - TIED) if tied else 0.5 for p, s in both]
    ensemble = Ensemble(states, np.arange(len(states), dtype=float), np.tile(shares, angles))
    centre = frame_centre_ang(states)
    spheres = [sphere_around(whole[0].coords_ang[part] - centre) for part in parts]
    return ensemble, ";".join(f"{name}={sphere}" for name, sphere in zip(("part", "second"), spheres, strict=True))


def scores(run: Run, folder: Path) -> dict[str, float]:
    """What the latent coordinates know of the part and of the arm."""
    if run.region_dirs:
        return scores_of_regions(run, folder)
    state, z = Truth.open(folder).state, jittered(run.latents().z)
    told = {"directions": run.info["notes"].get("directions"), "states": run.info["notes"].get("states")}
    told["part"] = told_from(z, state % 2)
    if state.max() > 1:
        near = make_pipeline(StandardScaler(), KNeighborsRegressor(20))
        told["arm"] = float(cross_val_score(near, z, state // 2, cv=5).mean())
    return told


def scores_of_regions(run: Run, folder: Path) -> dict[str, float]:
    """What those of each region know of either part."""
    state, told = Truth.open(folder).state, {"together": run.info["notes"]["together"][0]["correlation"]}
    for name in ("part", "second"):
        region = Run.open(run.region_dir(name))
        z = jittered(region.latents().z)
        for number, other in enumerate(("part", "second")):
            told[other if other == name else f"{other}_by_{name}"] = told_from(z, state // 2**number % 2)
        told[f"states_{name}"] = region.info["notes"]["states"]
    return told


def jittered(z: np.ndarray) -> np.ndarray:
    """So that nothing is divided by 0 where all particles lie at one point."""
    return z + 1e-9 * np.random.default_rng(0).standard_normal(z.shape)


def told_from(z: np.ndarray, of: np.ndarray) -> float:
    """Cross-validated accuracy of a logistic regression."""
    knows = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return float(cross_val_score(knows, z, of, cv=5).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--particles", type=int, default=4000)
    parser.add_argument("--box", type=int, default=48)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--only", nargs="+", default=["alone", "blind", "focus", "still"])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the runs")
    parser.add_argument("--json", type=Path, help="where the figures go")
    args = parser.parse_args()
    table = {f"{name} {seed}": one(name, seed, args) for seed in args.seeds for name in args.only}
    if args.json:
        args.json.write_text(json.dumps(table, indent=1) + "\n")


def one(name: str, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Make the set of a run where it is not there yet, run, and print a line."""
    if name in ("regions", "tied"):
        ensemble, sphere = with_two_parts(ANGLES, name == "tied")
    else:
        ensemble, sphere = swinging(1 if name == "alone" else ANGLES, name != "still")
    kind = "both" if name in ("blind", "focus") else name
    folder = args.out / f"{kind}_{seed}"
    images = {"pixel_size_ang": BOX_ANG / args.box, **(REALITY if args.real else {"shift_px": 2.0})}
    images |= {"n_particles": args.particles, "box": args.box, "snr": args.snr}
    if not (folder / "particles.star").exists():
        simulate_particles(ensemble, SimulationConfig(**images), folder, seed)
    asked = {"particles": str(folder / "particles.star"), "closed_form.pose_errors": str(args.real), "seed": seed}
    asked |= {"closed_form.focus": sphere} if name not in ("alone", "blind") else {}
    asked |= dict(pair.split("=", 1) for pair in args.set)
    config = recipe_config("fast", asked)
    run = Run.create(args.out / f"run_{name}_{seed}", config, overwrite=True)
    start = time.process_time()
    with run.working("train"):
        fit(run, config)
    told = {**scores(run, folder), "cpu_s": round(time.process_time() - start, 1)}
    print(f"{name:6} seed {seed}: " + ", ".join(f"{key} {value}" for key, value in told.items()), flush=True)
    return told


if __name__ == "__main__":
    main()
