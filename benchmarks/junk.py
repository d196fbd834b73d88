"""Whether junk is found, and what its removal does to the maps of each state.

    python benchmarks/junk.py --out benchmarks/results/junk.json

Adenylate kinase, open and closed 70 : 30, 48², SNR 0.1 over the box, with 20 % of the images replaced: noise only,
another molecule, or the molecule itself 18 to 35 % of the box off centre, a third each. It is trained by the fast
recipe, junk is removed with `select --junk`, what is left is trained again, and the same once more. FSC is to the true
maps, the mean area under the curve over the shells, for two maps of each state: the reconstruction of all images
nearest to it in the latent space, before and after the removal, and the map of the run, before and after the new
training, at the mean latent of the good images of the state. "without" is the yardstick: exactly the junk taken out.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from hardware import hardware
from planted_sets import JUNK_BOX, KINDS, with_junk
from sklearn.metrics import roc_auc_score

from cryodrgn_plugin.engine.analysis.run_particles import images_of
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.io.chosen_rows import write_chosen
from cryodrgn_plugin.engine.io.particles import read_particles
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.reconstruction.fsc import fsc, fsc_area
from cryodrgn_plugin.engine.reconstruction.homogeneous import reconstruct
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions
from cryodrgn_plugin.engine.selection.selection_report import select


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--particles", type=int, default=3000)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = {"particles": args.particles, "box": JUNK_BOX, "junk": args.share, "snr": args.snr, "hardware": hardware()}
    report["runs"] = []
    for seed in args.seeds:
        report["runs"].append(one(args, seed))
        print(json.dumps(report["runs"][-1], indent=1), flush=True)
        if args.out:
            args.out.write_text(json.dumps(report, indent=1) + "\n")


def one(args: argparse.Namespace, seed: int) -> dict:
    """Plant, train, remove, train again."""
    with tempfile.TemporaryDirectory() as folder:
        star, kind = with_junk(Path(folder), args.particles, args.share, seed, args.snr)
        truth = Truth.open(Path(folder) / "clean")
        before = trained(star, Path(folder) / "before", seed)
        began = time.process_time()
        index = select(before, SelectOptions(junk=True, name="clean", seed=seed))
        seconds = time.process_time() - began
        with np.load(index.with_name("selection.npz")) as stored:
            taken, outlier = stored["selected"], stored["outlier"]
        after = trained(index.with_name("selected.star"), Path(folder) / "after", seed)
        again = select(after, SelectOptions(junk=True, name="clean", seed=seed))
        twice = np.flatnonzero(taken)[np.load(again.with_name("selection.npz"))["selected"]]
        last = trained(again.with_name("selected.star"), Path(folder) / "last", seed)
        good = kind == 0
        everything = np.ones(len(kind), bool)
        reconstructions = {
            "before": reconstructed(before, truth, good, everything),
            "after": reconstructed(before, truth, good, taken),
            "without": reconstructed(before, truth, good, good),
        }
        maps = {"before": areas(before, truth, truth.state, good)}
        maps["after"] = areas(after, truth, truth.state[taken], good[taken])
        maps["after twice"] = areas(last, truth, truth.state[twice], good[twice])
        clean = write_chosen(read_particles(star), np.flatnonzero(good), Path(folder) / "good")
        without = trained(clean, Path(folder) / "without", seed)
        maps["without"] = areas(without, truth, truth.state[good], good[good])
    return {
        "seed": seed,
        "cpu_seconds_select": round(seconds, 1),
        "auroc": round(float(roc_auc_score(~good, outlier)), 4),
        "auroc_of": {
            KINDS[k]: round(float(roc_auc_score(kind[good | (kind == k)] == k, outlier[good | (kind == k)])), 4)
            for k in (1, 2, 3)
        },
        "removed": {KINDS[k]: f"{int((~taken[kind == k]).sum())} of {int((kind == k).sum())}" for k in range(4)},
        "left_after_twice": {KINDS[k]: int((kind[twice] == k).sum()) for k in range(4)},
        "fsc_area_of_reconstructions": reconstructions,
        "fsc_area_of_run_maps": maps,
    }


def trained(star: Path, folder: Path, seed: int) -> Run:
    run = Run.create(folder, recipe_config("fast", {"particles": str(star), "seed": seed}))
    with run.working():
        fit(run, run.config)
    return run


def reconstructed(run: Run, truth: Truth, good: np.ndarray, taken: np.ndarray) -> list[float]:
    """FSC area of the reconstruction of the images nearest to each state, junk among them where it is taken."""
    z, dataset = run.latents().z, images_of(run)
    centres = np.stack([z[good & (truth.state == s)].mean(axis=0) for s in range(len(truth.maps))])
    nearest = ((z[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    volumes = [reconstruct(dataset.subset((nearest == s) & taken)).volume for s in range(len(truth.maps))]
    return [round(fsc_area(fsc(v, m), JUNK_BOX // 2 - 1), 4) for v, m in zip(volumes, truth.maps, strict=True)]


def areas(run: Run, truth: Truth, state: np.ndarray, good: np.ndarray) -> list[float]:
    """FSC area of each state's map with its true one."""
    z, decoder = run.latents().z, load_decoder(run)
    volumes = [decoder.volume(z[good & (state == s)].mean(axis=0)) for s in range(len(truth.maps))]
    return [round(fsc_area(fsc(v, m), JUNK_BOX // 2 - 1), 4) for v, m in zip(volumes, truth.maps, strict=True)]


if __name__ == "__main__":
    main()
