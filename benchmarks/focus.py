"""A small part that comes and goes beside a large motion: what a focus finds of it.

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
MARGIN_ANG = 6.0
"""How far the focus reaches beyond the atoms of the part."""


def swinging(angles: int, comes_and_goes: bool = True) -> tuple[Ensemble, str]:
    """States 2 a and 2 a + 1 have the arm at angle a, without and with the part; and the focus, as a sphere."""
    whole = hinged_complex(angles, RANGE_RAD).states if angles > 1 else [hinged_complex(3, RANGE_RAD).states[1]]
    part = whole[0].select(*PART)
    states = [model[~part] if present == 0 and comes_and_goes else model for model in whole for present in (0, 1)]
    atoms = whole[0].coords_ang[part] - frame_centre_ang(states)
    middle = atoms.mean(axis=0)
    radius = np.quantile(np.linalg.norm(atoms - middle, axis=1), 0.95) + MARGIN_ANG
    ensemble = Ensemble(states, np.arange(len(states), dtype=float), np.ones(len(states)))
    return ensemble, ",".join(f"{value:.1f}" for value in (*middle, radius))


def scores(run: Run, folder: Path) -> dict[str, float]:
    """What the latent coordinates know of the part and of the arm."""
    state, z = Truth.open(folder).state, run.latents().z
    z = z + 1e-9 * np.random.default_rng(0).standard_normal(z.shape)
    told = {"directions": run.info["notes"].get("directions"), "states": run.info["notes"].get("states")}
    knows = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    told["part"] = float(cross_val_score(knows, z, state % 2, cv=5).mean())
    if state.max() > 1:
        near = make_pipeline(StandardScaler(), KNeighborsRegressor(20))
        told["arm"] = float(cross_val_score(near, z, state // 2, cv=5).mean())
    return told


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
    ensemble, sphere = swinging(1 if name == "alone" else ANGLES, name != "still")
    kind = {"alone": "alone", "still": "still"}.get(name, "both")
    folder = args.out / f"{kind}_{seed}"
    images = {"pixel_size_ang": BOX_ANG / args.box, **(REALITY if args.real else {"shift_px": 2.0})}
    images |= {"n_particles": args.particles, "box": args.box, "snr": args.snr}
    if not (folder / "particles.star").exists():
        simulate_particles(ensemble, SimulationConfig(**images), folder, seed)
    asked = {"particles": str(folder / "particles.star"), "closed_form.pose_errors": str(args.real), "seed": seed}
    asked |= {"closed_form.focus": sphere} if name in ("focus", "still") else {}
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
