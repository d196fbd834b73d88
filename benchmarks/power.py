"""How small a part may be, and how rarely absent, to be found: beside the ideal observer, and beside what runs say.

    python benchmarks/power.py --out benchmarks/results/power.json --figure docs/images/power.png
    python benchmarks/power.py --methods recovar --recovar ENV/bin --cells 0.04:0.5 --out benchmarks/results/power.json
    python benchmarks/power.py --calibrate --out benchmarks/results/power_calibration.json

A complex of eight proteins, of which some particles lack a compact outer part, made as the real_ presets are (coloured
noise, uneven views, contrast, wrong poses): 4,000 x 48², SNR 0.1. A set is found when a direction stands out from
noise. Particles are ranked by what their latent coordinates tell of the part (logistic regression, half of the
particles judged by the other half) and by the ideal observer's likelihoods, contrast integrated out, at the poses given
and at the true ones: a run that corrects poses may lie between. The figure is the area under the ROC curve: 0.5 is
chance. RECOVAR 1.0.5, where ENV has it, is judged by the same; it says of no set whether there is anything in it. What
`--out` holds of other cells and methods stays.

`--calibrate` plants a part into noise at weights and poses of images that show one state, at several multiples of what
the formula of `closed_form/detectable` asks for, and counts how often the search for directions sees it; and at several
of what the scan for small parts (`closed_form/part_scan`) asks for, how often that does.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cryobench_peers
import numpy as np
import torch
from cryobench_peers import Budget
from hardware import hardware
from power_figure import power_figure

from cryodrgn_plugin.engine.analysis import oracle
from cryodrgn_plugin.engine.analysis.truth import Truth
from cryodrgn_plugin.engine.closed_form import detectable, part_scan
from cryodrgn_plugin.engine.closed_form.direction_search import ABOVE_NOISE, NULL_DIRECTIONS, PosedSet
from cryodrgn_plugin.engine.closed_form.directions import Band, Directions, improved
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.data.dataset import ParticleDataset
from cryodrgn_plugin.engine.data.tilt_series import TiltSeries
from cryodrgn_plugin.engine.imaging.noise import estimate_noise
from cryodrgn_plugin.engine.likelihood.linear_model import LinearModel
from cryodrgn_plugin.engine.likelihood.nuisances import Nuisances
from cryodrgn_plugin.engine.likelihood.whitened import WhitenedBatch, WhitenedImages
from cryodrgn_plugin.engine.recipes import fit
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.simulate import Ensemble, simulate_particles
from cryodrgn_plugin.engine.simulate.assembly import AssemblyState, assembled, outer_parts
from cryodrgn_plugin.engine.simulate.presets import PRESETS, complex_of_kinases

MASSES, ABSENT = (0.02, 0.04, 0.08, 0.16), (0.1, 0.5)
CELLS = [(0.0, 0.0), *((mass, absent) for absent in ABSENT for mass in MASSES)]
WHERE = (-0.4, 0.1, 0.9)
"""Direction in which the part lies."""
CALIBRATED_ON = {"real_complex_parts": 0.1, "real_ribosome": 0.05}
"""Preset and SNR."""
MULTIPLES = (1.1, 1.4, 1.7)
PLANTED_SHARE = 3
"""Which of `detectable.SHARES` is planted, for the search of directions."""
SCANNED_SHARES = (1, 3)
"""And for the scan."""
SCANNED_MULTIPLES = (1.0, 1.4, 1.8)


def with_part(mass: float, absent: float) -> Ensemble:
    """The complex with and without an outer part of a share `mass`, missing from a share `absent` of the particles."""
    model = complex_of_kinases()
    states = [AssemblyState("", 1 - absent), AssemblyState("A", absent)]
    return assembled(model, outer_parts(model, {"A": WHERE}, {"A": mass}), states)


def cell(mass: float, absent: float, args: argparse.Namespace) -> dict:
    """One set: made and judged, by every method asked for. A mass of 0 is one state."""
    preset = PRESETS["real_complex_parts"]
    ensemble = with_part(mass, absent) if mass else with_part(0.08, 0.5).most_populated()
    settings = preset.config(args.box, n_particles=args.particles, snr=args.snr)
    report: dict = {"mass": mass, "absent": absent}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        star = simulate_particles(ensemble, settings, folder / "set", args.seed)
        planted = np.load(star.with_name("truth.npz"))
        latents = {}
        if "fast" in args.methods:
            latents["fast"], said = of_fast(star, folder / "run", args.seed)
            report |= said
        if "recovar" in args.methods:
            latents["recovar"], report["recovar"] = of_recovar(star, folder, args)
        if mass:
            report["auc"] = {name: from_latents(z, planted["state"]) for name, z in latents.items()}
            report["auc"] |= ideal(star, planted) if "ideal" in args.methods else {}
    return report


def of_fast(star: Path, folder: Path, seed: int) -> tuple[np.ndarray, dict]:
    """Latents (N, Z) of a run, and what it says."""
    config = recipe_config("fast", {"particles": str(star), "seed": seed})
    run, began = Run.create(folder, config), time.process_time()
    with run.working():
        fit(run, config)
    seconds, notes = time.process_time() - began, run.info["notes"]
    return run.latents().z, {
        "cpu_seconds": round(seconds, 1),
        "found": notes["directions"] > 0,
        "over_noise": round(notes["information"][0] / notes["information_of_noise"], 3),
        **{name: notes[name] for name in ("directions", "states", "smallest_part", "molecule_kda")},
    }


def of_recovar(star: Path, folder: Path, args: argparse.Namespace) -> tuple[np.ndarray, dict]:
    """Latents (N, Z) of RECOVAR, which estimates contrast, and how it was run."""
    found = cryobench_peers.recovar(args.recovar, star, folder, Budget(args.cpu_minutes, 0), contrast=True)
    return found.z, {"cpu_seconds": round(found.training_cpu, 1), "settings": found.settings}


def from_latents(z: np.ndarray, state: np.ndarray) -> float:
    """Area under the ROC curve of what latents (N, Z) tell of the state (N,), 0 or 1."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict

    unit = (z - z.mean(0)) / np.maximum(z.std(0), 1e-12)
    told = cross_val_predict(LogisticRegression(class_weight="balanced"), unit, state, cv=2, method="decision_function")
    return round(float(roc_auc_score(state, told)), 4)


def ideal(star: Path, planted: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The same of the likelihoods under the true maps, at the given poses and at the true ones."""
    from sklearn.metrics import roc_auc_score

    given, known = ParticleDataset.open(star), Truth.open(star.parent)
    noise, spread = estimate_noise(given), float(planted["contrast"].std())
    true = given.with_poses(planted["rotations"], planted["shifts_ang"])
    areas = {}
    for name, dataset in (("ideal", given), ("ideal_true_poses", true)):
        scores = oracle.state_log_likelihoods(WhitenedImages(dataset, noise), known.maps, None, spread)
        areas[name] = round(float(roc_auc_score(planted["state"], scores[:, 1] - scores[:, 0])), 4)
    return areas


# --- calibration ----------------------------------------------------------------------------------------------------


class Planted:
    """Whitened images to which projections of volumes are added, each image's in amplitudes (N, C) of its own."""

    def __init__(self, images: WhitenedImages, volumes: LinearModel, amplitudes: np.ndarray) -> None:
        self._images, self._volumes, self._amplitudes = images, volumes, amplitudes

    def __getattr__(self, name: str) -> object:
        return getattr(self._images, name)

    def by_halves(self, count: int, half: np.ndarray | None) -> Iterator[tuple[int, WhitenedBatch]]:
        for part, batch in self._images.by_halves(count, half):
            slices = self._volumes.backend.project(self._volumes.coefs, batch.rotations, count)
            views = torch.complex(slices[:, :, 0], slices[:, :, 1])
            amplitudes = torch.as_tensor(self._amplitudes[batch.index], dtype=batch.weights.dtype)[:, None]
            yield part, replace(batch, targets=batch.targets + batch.weights * (amplitudes * views).sum(2))


def calibrate(preset: str, snr: float, args: argparse.Namespace) -> dict:
    """How often a part is seen by how much it is worth."""
    kind = PRESETS[preset]
    with tempfile.TemporaryDirectory() as folder:
        settings = kind.config(args.box, n_particles=args.particles, snr=snr)
        star = simulate_particles(kind.make(2).most_populated(), settings, Path(folder), args.seed)
        config = recipe_config("fast", {"particles": str(star)})
        dataset = ParticleDataset.open(star)
        posed = PosedSet(config, dataset, TiltSeries.singles(dataset.n))
        band = replace(posed.band(config.closed_form.first_radius), moving=None)
        volume = np.maximum(posed_mean(posed, band).mean_map(), 0) * band.mask
        place = detectable.outermost(volume, np.array(WHERE))
        parts = detectable.parts_around(volume, place)
        report = seen_by_multiple(posed, band, parts[[PLANTED_SHARE]], config.closed_form.iterations, args)
        return report | {"scan": [scanned_by_multiple(posed, band, parts, share, args) for share in SCANNED_SHARES]}


def posed_mean(posed: PosedSet, band: Band) -> LinearModel:
    """The consensus inside the band's mask."""
    from cryodrgn_plugin.engine.likelihood.equations import accumulate, of_amplitudes
    from cryodrgn_plugin.engine.likelihood.linear_model import fit_volumes

    ones = posed.compute.double(torch.ones(posed.images.n, 1))
    return fit_volumes(accumulate(posed.images, band.sphere, band.count, of_amplitudes(ones)), band.mask)[0]


def seen_by_multiple(posed: PosedSet, band: Band, part: np.ndarray, iterations: int, args: argparse.Namespace) -> dict:
    """Information of the strongest direction over that of noise, for every multiple and seed."""
    images, mean = posed.images, posed_mean(posed, band)
    exact = replace(Nuisances.unknown(images, pose_errors=False), contrast_sd=0.0)
    told = float(detectable.part_information(images, band, mean, part, exact)[0])
    noise = strongest(images.of_noise(1), band, iterations)
    formula = detectable.needed_information(noise, ABOVE_NOISE) / detectable.SEARCH_TAKES
    volume, rows = LinearModel.of(mean.backend, part), []
    for multiple in MULTIPLES:
        seen = []
        for seed in range(args.seeds):
            absent = np.random.default_rng(seed).random(images.n) < 0.5
            amplitude = np.where(absent, -1, 1)[:, None] * np.sqrt(multiple * formula / told)
            planted = Planted(images.of_noise(seed + 2), volume, amplitude)
            seen.append(round(strongest(planted, band, iterations) / noise, 3))
        rows.append({"multiple": multiple, "over_noise": seen, "seen": float(np.mean(np.array(seen) > ABOVE_NOISE))})
        print(rows[-1], flush=True)
    return {"noise": round(noise, 4), "formula": round(formula, 4), "planted": rows}


def scanned_by_multiple(posed: PosedSet, band: Band, parts: np.ndarray, share: int, args: argparse.Namespace) -> dict:
    """Standard errors by which the surest piece stands out, for every multiple and seed, and those it would have to."""
    images, mean, part = posed.images, posed_mean(posed, band), parts[[share]]
    exact = replace(Nuisances.unknown(images, pose_errors=False), contrast_sd=0.0)
    told = float(detectable.part_information(images, band, mean, part, exact)[0])
    body = np.maximum(mean.mean_map(), 0) * band.mask
    formula = float(part_scan.needed_information(part, body, images.n)[0]) / part_scan.SCAN_TAKES
    volumes = LinearModel.of(mean.backend, np.stack([mean.mean_map(), part[0]]))
    nothing = replace(Directions.random(images, (0, 0), 0, pose_errors=False), nuisances=exact)
    rows: list[dict] = []
    for multiple in SCANNED_MULTIPLES:
        surest, limits = [], []
        for seed in range(args.seeds):
            sign = np.where(np.random.default_rng(seed).random(images.n) < 0.5, -1, 1)
            amplitudes = np.column_stack([np.ones(images.n), sign * np.sqrt(multiple * formula / told)])
            planted = Planted(images.of_noise(seed + 2), volumes, amplitudes)
            scan = part_scan.scanned(planted, posed.dataset, posed.series, band, mean, nothing)
            surest.append(round(float(scan.z.max()), 2))
            limits.append(round(scan.limit, 2))
        seen = float(np.mean(np.array(surest) > limits))
        rows.append({"multiple": multiple, "surest": surest, "limit": limits, "seen": seen})
        print(rows[-1], flush=True)
    return {"share": detectable.SHARES[share], "formula": round(formula, 4), "planted": rows}


def strongest(images: WhitenedImages | Planted, band: Band, iterations: int) -> float:
    """Information of the best seen direction after a search."""
    found = Directions.random(images, (NULL_DIRECTIONS, 0), 0, pose_errors=False)
    for _ in range(iterations):
        _, _, found = improved(images, band, found)
    return float(found.information[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calibrate", action="store_true", help="measure what the search needs instead")
    parser.add_argument("--particles", type=int, default=4000)
    parser.add_argument("--box", type=int, default=48)
    parser.add_argument("--snr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=4, help="of the noise that parts are planted into")
    parser.add_argument("--methods", nargs="+", choices=("fast", "ideal", "recovar"), default=["fast", "ideal"])
    parser.add_argument("--cells", nargs="+", type=mass_and_share, default=CELLS, metavar="MASS:ABSENT")
    parser.add_argument("--recovar", type=Path, metavar="BIN", help="of an environment with recovar 1.0.5")
    parser.add_argument("--cpu-minutes", type=float, default=15.0, help="that RECOVAR may take for a cell, on one core")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    report = {"particles": args.particles, "box": args.box, "hardware": hardware()}
    if args.calibrate:
        report["sets"] = {}
        for preset, snr in CALIBRATED_ON.items():
            report["sets"][preset] = {"snr": snr, **calibrate(preset, snr, args)}
            keep(report, args.out)
        return
    report |= {"snr": args.snr, "cells": kept_cells(args, report)}
    for mass, absent in args.cells:
        put(report["cells"], cell(mass, absent, args))
        keep(report, args.out)
    if args.figure:
        power_figure(report, args.figure)


def kept_cells(args: argparse.Namespace, report: dict) -> list[dict]:
    """Cells that the file to be written has already, of sets of the same kind."""
    if args.out is None or not args.out.exists():
        return []
    kept = json.loads(args.out.read_text(encoding="utf-8"))
    same = all(kept.get(name) == value for name, value in (report | {"snr": args.snr}).items() if name != "hardware")
    return kept["cells"] if same else []


def put(cells: list[dict], new: dict) -> None:
    """Add what is new of a cell to what is known of it."""
    print(json.dumps(new), flush=True)
    known = next((cell for cell in cells if (cell["mass"], cell["absent"]) == (new["mass"], new["absent"])), None)
    if known is None:
        cells.append(new)
    else:
        known |= new | {"auc": known.get("auc", {}) | new.get("auc", {})}


def mass_and_share(text: str) -> tuple[float, float]:
    mass, absent = text.split(":")
    return float(mass), float(absent)


def keep(report: dict, out: Path | None) -> None:
    """Write what is known so far."""
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
