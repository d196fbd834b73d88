"""One map from particles with poses, with its half-maps, mask, FSC curves and resolution, and the files they go to.

The half-maps carry the names RELION gives them, so that relion_postprocess takes them as they are.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves, united
from ..errors import ConfigError, DataError
from ..imaging.noise import estimate_noise
from ..io.mrc import read_map, write_map
from ..io.writing import replacing
from .backproject import half_maps
from .fsc import FscCurves, fsc_area, fsc_corrected, resolution, shell_frequencies
from .masks import mask_from_map, spherical_mask

HALF_NAMES = ("run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc")
THRESHOLDS = (0.143, 0.5)


@dataclass(frozen=True)
class Reconstruction:
    """A map and how well it is known. Maps are (D, D, D) float32, protein white, in the grey scale of the images."""

    volume: np.ndarray
    half1: np.ndarray
    half2: np.ndarray
    mask: np.ndarray
    curves: FscCurves
    pixel_size_ang: float
    n_particles: int
    halves_from: str
    """`rlnRandomSubset` or `random`."""

    @property
    def box(self) -> int:
        return self.volume.shape[0]

    def resolution_ang(self, threshold: float = 0.143) -> float:
        """Where the corrected FSC falls below `threshold`."""
        return resolution(self.curves.corrected, self.pixel_size_ang, self.box, threshold)

    @property
    def reaches_nyquist(self) -> bool:
        """Whether the data stop before the map does; a larger box may then show more."""
        return self.resolution_ang() <= 2 * self.pixel_size_ang


def reconstruct(
    dataset: ParticleDataset,
    mask: str = "auto",
    halves: str = "auto",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Reconstruction:
    """Backproject all particles and both halves, reading the images once.

    Parameters
    ----------
    mask : auto (from the map), sphere, or the path of a map of the same box.
    halves : auto (rlnRandomSubset if the star file has it, else random), star or random (`drawn_halves`).
    seed : of the random halves and of the random phases of the FSC.
    progress : told (particles done, all particles).
    """
    dataset.require_poses()
    # A mask that does not fit should be known before the particles are read.
    soft_mask = None if mask in ("auto", "sphere") else _fitting_mask(mask, dataset.box)
    given_by_file = given_halves(dataset, halves)
    labels = drawn_halves(dataset, seed) if given_by_file is None else given_by_file
    noise = estimate_noise(dataset, seed) if dataset.has_noise else None
    maps = half_maps(dataset, seed, noise=noise, halves=labels, progress=progress)
    if mask == "sphere":
        soft_mask = spherical_mask(dataset.box)
    elif soft_mask is None:
        soft_mask = mask_from_map(maps.combined, dataset.pixel_size_ang)
    return Reconstruction(
        volume=maps.combined,
        half1=maps.half1,
        half2=maps.half2,
        mask=soft_mask,
        curves=fsc_corrected(maps.half1, maps.half2, soft_mask, seed),
        pixel_size_ang=dataset.pixel_size_ang,
        n_particles=dataset.n,
        halves_from="random" if given_by_file is None else "rlnRandomSubset",
    )


def write_reconstruction(result: Reconstruction, folder: Path) -> dict[str, str]:
    """Write maps, FSC table, FSC figure and a summary into `folder`; returns their names by role."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "map": "map.mrc",
        "half1": HALF_NAMES[0],
        "half2": HALF_NAMES[1],
        "mask": "mask.mrc",
        "fsc": "fsc.csv",
        "figure": "fsc.png",
    }
    maps = {"map": result.volume, "half1": result.half1, "half2": result.half2, "mask": result.mask}
    for role, volume in maps.items():
        write_map(folder / files[role], volume, result.pixel_size_ang)
    _write_curves(result, folder / files["fsc"])
    _plot_curves(result, folder / files["figure"])
    summary = {
        "schema": 1,
        "particles": result.n_particles,
        "box": result.box,
        "pixel_size_ang": result.pixel_size_ang,
        "resolution_ang": {str(t): round(result.resolution_ang(t), 3) for t in THRESHOLDS},
        "reaches_nyquist": result.reaches_nyquist,
        "fsc_area": round(fsc_area(result.curves.corrected), 4),
        "halves": result.halves_from,
        "files": files,
    }
    with replacing(folder / "reconstruction.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    return {**files, "summary": "reconstruction.json"}


def given_halves(dataset: ParticleDataset, halves: str) -> np.ndarray | None:
    """0 or 1 per particle from rlnRandomSubset, or None for random halves. Copies of an image follow the first."""
    if halves not in ("auto", "star", "random"):
        raise ConfigError(f"The halves are {halves!r}; choose auto, star or random.")
    table = dataset.table
    if halves == "random" or (halves == "auto" and "rlnRandomSubset" not in table.frame):
        return None
    subset = table.column("rlnRandomSubset").to_numpy()[dataset.rows]
    if set(np.unique(subset)) == {1, 2}:
        return united((subset == 2).astype(np.int8), dataset.copies.shown)
    if halves == "auto":
        return None
    values = ", ".join(map(str, np.unique(subset)[:5]))
    raise DataError(f"{table.path}: rlnRandomSubset is {values} and not both 1 and 2; use random halves.")


def _fitting_mask(path: str, box: int) -> np.ndarray:
    mask, _ = read_map(path)
    if mask.shape != (box,) * 3:
        size = " × ".join(map(str, mask.shape))
        raise DataError(f"{path}: the mask has {size} voxels and the map {box} in each direction; they must be equal.")
    if mask.min() < 0 or mask.max() > 1 or not mask.any():
        raise DataError(f"{path}: a mask has values from 0 to 1; this one has {mask.min():.3g} to {mask.max():.3g}.")
    return mask


def _write_curves(result: Reconstruction, path: Path) -> None:
    curves = result.curves
    freqs = shell_frequencies(result.box, result.pixel_size_ang)
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["shell", "frequency_per_ang", "corrected", "masked", "unmasked", "randomised"])
        rows = zip(freqs, curves.corrected, curves.masked, curves.unmasked, curves.randomised, strict=True)
        for shell, values in enumerate(rows):
            table.writerow([shell, *(f"{value:.6f}" for value in values)])


def _plot_curves(result: Reconstruction, path: Path) -> None:
    from matplotlib.figure import Figure

    curves, freqs = result.curves, shell_frequencies(result.box, result.pixel_size_ang)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(freqs, curves.unmasked, color="#888888", lw=1.2, label="no mask")
    axes.plot(freqs, curves.masked, color="#4477aa", lw=1.2, label="masked")
    if curves.randomised_from is not None:
        axes.plot(freqs, curves.randomised, color="#cc6677", lw=1.2, ls="--", label="masked, random phases")
    axes.plot(freqs, curves.corrected, color="black", lw=2.0, label="corrected")
    for threshold in THRESHOLDS:
        resolution_ang = result.resolution_ang(threshold)
        axes.axhline(threshold, color="#bbbbbb", lw=0.8)
        axes.plot([1 / resolution_ang], [threshold], "o", color="black", ms=4)
        axes.annotate(
            f"{resolution_ang:.2f} Å at {threshold}",
            (1 / resolution_ang, threshold),
            xytext=(-6, 5),
            textcoords="offset points",
            ha="right",
        )
    axes.set(xlim=(0, freqs[-1]), ylim=(min(-0.05, curves.corrected.min()), 1.03), ylabel="Fourier shell correlation")
    ticks = [t for t in axes.get_xticks() if 0 <= t <= freqs[-1]]
    axes.set_xticks(ticks, ["∞" if t == 0 else f"1/{1 / t:.1f}" for t in ticks])
    axes.set_xlabel("spatial frequency (1/Å)")
    axes.set_title(f"{result.n_particles:,} particles, two halves", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
