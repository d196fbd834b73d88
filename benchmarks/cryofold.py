"""Atoms as a decoder, in the manner of the Cryofold chapter (Zhong's thesis, Tables 7.1 and 7.2, Figures 7-4, 7-5).

    python benchmarks/cryofold.py --data DATA --out benchmarks/results/cryofold.json
    python benchmarks/cryofold.py --data DATA --paper --recipes cryofold --out …

DATA holds models/ and adk/. Haemoglobin's A chain (141 residues, 4HHB) at 3 Å, poses given, no CTF, SNR 0.1 over the
whole box, shifts of 8 % of it: 4,000 images of 64² at 2 Å, or with --paper 50,000 of 128² at 1 Å. Starts: the model
that the images were made of, one that dynamics took 5.15 Å away, one with each residue moved by up to 6 Å along each
axis, and residues at random places. Stated of each are the root mean square error of CA at the start and at the end,
without any superposition, the share within 3 Å, and the squared error of the map as a share of its square. Motions:
half of the chain turned about a bond of its backbone through 50 states (CA only, uniform and bimodal), and the 98
frames of adenylate kinase from closed to open; the error over the path is that of the beads at the median latent of the
images of each state. With --recipes fast the same motions are found without descent by gradient: the command `atoms`
lays the first state into the maps of a run of `fast`, where it stands at the median place of the images of each state.
With --recipes refined a training of `refined_atoms` starts from that (atoms.start_from), and images refine it.
Seeds are those of images, starts and trainings; the worst is what counts.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cryofold_models import adenylate_kinase, dihedral, haemoglobin, rmse, starts
from hardware import hardware
from scipy.stats import spearmanr

from cryodrgn_plugin.engine.analysis.metric import LatentMetric
from cryodrgn_plugin.engine.atomic_motion.atoms_options import AtomsOptions
from cryodrgn_plugin.engine.atomic_motion.atoms_report import USUAL_MAPS, fit_atoms
from cryodrgn_plugin.engine.atomic_motion.model_in_run import laid_into
from cryodrgn_plugin.engine.atomic_motion.node_maps import node_maps
from cryodrgn_plugin.engine.atoms.atomic_model import AtomicModel
from cryodrgn_plugin.engine.atoms.model_writing import write_models
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.decoders.atoms import AtomsDecoder
from cryodrgn_plugin.engine.decoders.model_file import load_model
from cryodrgn_plugin.engine.decoders.motion_start import FoundMotion
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.ensemble import equal_parts
from cryodrgn_plugin.engine.simulate.simulation import frame_centre_ang

BOX_ANG, RESOLUTION_ANG, SNR, SHIFT_SHARE = 128.0, 3.0, 0.1, 10 / 128
NEAR_ANG, FOUND_SHARE = 3.0, 0.3
"""A structure counts as found when more than this share of its residues are near enough."""
SIZES = {False: (4_000, 64), True: (50_000, 128)}
"""Images and their box, without and with --paper."""
ABLATIONS = {
    "whole": {},
    "one bead per residue": {"atoms.beads": "residue"},
    "no bonds": {"atoms.bonds": 0.0, "atoms.elastic": 0.0, "atoms.steric": 0.0},
}
MOST_PARTS = 8
"""That a model may have in the maps of `fast`."""
PARTS = ("starts", "ablations", "uniform", "bimodal", "adk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with models/ and adk/")
    parser.add_argument("--recipes", nargs="+", default=["atoms"], choices=("atoms", "cryofold", "fast", "refined"))
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--starts", nargs="+", default=["exact", "approximate", "noisy", "random"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--paper", action="store_true", help="at the size of the thesis")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings on top of the recipe's")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    given = dict(word.split("=", 1) for word in args.set)
    images, box = SIZES[args.paper]
    report = json.loads(args.out.read_text()) if args.out and args.out.exists() else {}
    report |= {"images": images, "box": box, "snr": SNR, "hardware": hardware()}
    for part in args.parts:
        for seed in args.seeds:
            for recipe in args.recipes:
                bench = Bench(args.data, images, box, seed, recipe, given, args.starts)
                found = getattr(bench, part if part in ("starts", "ablations") else "motion")(part)
                report.setdefault(f"{recipe} {part}", {}).setdefault(str(seed), {}).update(found)
                report.setdefault("settings", {})[f"{recipe} {part}"] = given
                print(recipe, part, seed, json.dumps(found), flush=True)
                if args.out:
                    args.out.write_text(json.dumps(report, indent=1) + "\n")


@dataclass(frozen=True)
class Motion:
    """Where particles `rows` lie, `points` (N, D) and along the motion, `coordinate` (N,); CA atoms at any points."""

    rows: np.ndarray
    points: np.ndarray
    coordinate: np.ndarray
    alpha_at: Callable[[np.ndarray], np.ndarray]
    seconds: float


class Bench:
    """One seed of one recipe."""

    def __init__(self, data: Path, images: int, box: int, seed: int, recipe: str, given: dict, names: list[str]):
        self.data, self.images, self.box, self.seed, self.names = data, images, box, seed, names
        self.recipe, self.given = recipe, given

    def starts(self, _: str) -> dict:
        """Table 7.1."""
        model = haemoglobin(self.data)
        with tempfile.TemporaryDirectory() as place:
            star = self._images(equal_parts([model]), Path(place))
            first = starts(model, self.seed)
            return {name: self._homogeneous(star, model, first[name], {}) for name in self.names}

    def ablations(self, _: str) -> dict:
        """Table 7.2, from the approximate start. Without images the error is that of the start."""
        model = haemoglobin(self.data)
        with tempfile.TemporaryDirectory() as place:
            star = self._images(equal_parts([model]), Path(place))
            start = starts(model, self.seed)["approximate"]
            return {name: self._homogeneous(star, model, start, settings) for name, settings in ABLATIONS.items()}

    def motion(self, name: str) -> dict:
        """A motion from its first state."""
        if name == "adk":
            ensemble = adenylate_kinase(self.data)
        else:
            ensemble = dihedral(haemoglobin(self.data, alpha_only=True), name)
        with tempfile.TemporaryDirectory() as place:
            star = self._images(ensemble, Path(place))
            truth = dict(np.load(star.with_name("truth.npz")))
            if self.recipe == "fast":
                return _judged(self._laid(star, ensemble), ensemble, truth)
            if self.recipe != "refined":
                return _judged(self._by_descent(star, ensemble), ensemble, truth)
            laid, refined = (_judged(found, ensemble, truth) for found in self._refined(star, ensemble))
        return {"laid_ang": laid["ca_rmse_ang"], "laid_worst_state_ang": laid["worst_state_ang"], **refined}

    def _by_descent(self, star: Path, ensemble: Ensemble) -> "Motion":
        decoder, run, seconds = self._trained(star, ensemble.states[0], {"z_dim": 1}, ensemble)
        latents = run.latents()
        trace = decoder.beads.trace()
        return Motion(
            latents.rows, latents.z, latents.z[:, 0], lambda points: decoder.places_ang(points)[:, trace], seconds
        )

    def _laid(self, star: Path, ensemble: Ensemble) -> "Motion":
        """The first state in the maps of a run of `fast`, of single CA atoms as its images are."""
        first, began = ensemble.states[0], time.perf_counter()
        run = self._of_fast(star, self.given)
        decoder, latents = load_decoder(run), run.latents()
        metric = LatentMetric(decoder, latents.z)
        maps = node_maps(decoder, latents, metric, 0, USUAL_MAPS, self.seed)
        model = first.moved(first.coords_ang - frame_centre_ang(ensemble.states))
        laid = laid_into(model, maps, decoder.pixel_size_ang, most_parts=MOST_PARTS, seed=self.seed)
        seconds = round(time.perf_counter() - began, 1)
        return Motion(latents.rows, metric.positions, latents.coordinate, laid.atoms_at, seconds)

    def _of_fast(self, star: Path, settings: dict) -> Run:
        config = recipe_config("fast", {"particles": str(star), "seed": self.seed, **settings})
        run = Run.create(star.parent.parent / "fast", config)
        with run.working():
            fit(run, config)
        return run

    def _refined(self, star: Path, ensemble: Ensemble) -> tuple["Motion", "Motion"]:
        """The motion as the command `atoms` lays it, the first state in the maps of `fast`, and as a training that
        starts from it leaves it; settings are the training's."""
        first, began, file = ensemble.states[0], time.perf_counter(), star.parent / "first.cif"
        write_models(file, first, (first.coords_ang - frame_centre_ang(ensemble.states))[None])
        start = self._of_fast(star, {})
        options = {"corrected": False, "bias": False, "figures": False}
        fit_atoms(start, AtomsOptions(model=str(file), most_parts=MOST_PARTS, seed=self.seed, **options))
        settings = {"atoms.start_from": str(start.path), "z_dim": start.latents().z.shape[1]}
        config = recipe_config("refined_atoms", {"particles": str(star), "seed": self.seed, **settings, **self.given})
        run = Run.create(star.parent.parent / "refined", config)
        fit(run, config)
        seconds = round(time.perf_counter() - began, 1)
        at_first, latents = FoundMotion.of_run(str(start.path)), run.latents()
        laid, refined = AtomsDecoder.of(config, self.box), load_model(run.model_file).decoder
        of_laid = self._of_beads(laid, at_first.rows, at_first.z, seconds)
        return of_laid, self._of_beads(refined, latents.rows, latents.z, seconds)

    def _of_beads(self, decoder: AtomsDecoder, rows: np.ndarray, z: np.ndarray, seconds: float) -> "Motion":
        middle_ang, trace = self.box // 2 * BOX_ANG / self.box, decoder.beads.trace()
        return Motion(rows, z, z[:, 0], lambda points: decoder.places_ang(points)[:, trace] - middle_ang, seconds)

    def _images(self, ensemble: Ensemble, folder: Path) -> Path:
        config = SimulationConfig(
            n_particles=self.images,
            box=self.box,
            pixel_size_ang=BOX_ANG / self.box,
            resolution_ang=RESOLUTION_ANG,
            snr=SNR,
            shift_px=SHIFT_SHARE * self.box,
            ctf=False,
        )
        return simulate_particles(ensemble, config, folder / "set", self.seed)

    def _homogeneous(self, star: Path, true: AtomicModel, start: AtomicModel, settings: dict) -> dict:
        decoder, _, seconds = self._trained(star, start, {"z_dim": 0, **settings}, equal_parts([true]))
        places = decoder.places_ang(np.zeros((1, 0)))[0][decoder.beads.trace()] + frame_centre_ang([true])
        alpha, before = (model.coords_ang[model.names == "CA"] for model in (true, start))
        apart = np.linalg.norm(places - alpha, axis=1)
        wanted = read_map(star.parent / "maps" / "state_000.mrc")[0]
        found = decoder.volume(None)
        scale = (found * wanted).sum() / (found**2).sum()
        return {
            "start_ang": rmse(before, alpha),
            "ca_rmse_ang": rmse(places, alpha),
            "within_3_ang": float((apart < NEAR_ANG).mean()),
            "found": bool((apart < NEAR_ANG).mean() > FOUND_SHARE),
            "volume_nmse": float(((scale * found - wanted) ** 2).sum() / (wanted**2).sum()),
            "sigma_ang": float(decoder.sigma_ang.detach()),
            "seconds": seconds,
        }

    def _trained(
        self, star: Path, start: AtomicModel, settings: dict, ensemble: Ensemble
    ) -> tuple[AtomsDecoder, Run, float]:
        """The decoder, its run and how long it took."""
        file = star.parent / "start.cif"
        write_models(file, start, (start.coords_ang - frame_centre_ang(ensemble.states))[None])
        asked = {
            "particles": str(star),
            "seed": self.seed,
            "atoms.model": str(file),
            "atoms.place": "middle",
            **settings,
            **self.given,
        }
        config = recipe_config(self.recipe, asked)
        run = Run.create(star.parent.parent / f"run_{len(list(star.parent.parent.glob('run_*')))}", config)
        began = time.perf_counter()
        fit(run, config)
        return load_model(run.model_file).decoder, run, round(time.perf_counter() - began, 1)


def _judged(found: Motion, ensemble: Ensemble, truth: dict) -> dict:
    """How far CA atoms are from the truth at the median place of the particles of each state."""
    states, there = truth["state"][found.rows], np.unique(truth["state"][found.rows])
    medians = np.array([np.median(found.points[states == state], axis=0) for state in there])
    places = found.alpha_at(medians) + frame_centre_ang(ensemble.states)
    true = np.stack([ensemble.states[state].coords_ang for state in there])
    errors = np.array([rmse(one, wanted) for one, wanted in zip(places, true, strict=True)])
    return {
        "start_ang": float(np.mean([rmse(true[0], one) for one in true])),
        "ca_rmse_ang": float(errors.mean()),
        "worst_state_ang": float(errors.max()),
        "rank_correlation": float(abs(spearmanr(found.coordinate, truth["coordinate"][found.rows])[0])),
        "seconds": found.seconds,
    }


if __name__ == "__main__":
    main()
