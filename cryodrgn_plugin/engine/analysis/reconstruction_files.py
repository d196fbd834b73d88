"""The files of one reconstructed map: maps, curves, figures and a summary.

The half-maps carry the names RELION gives them, so that relion_postprocess takes them as they are.
"""

import csv
import json
from pathlib import Path

from ..io.mrc import write_map
from ..io.writing import replacing
from ..reconstruction.fsc import fsc_area, shell_frequencies
from ..reconstruction.homogeneous import Reconstruction
from ..result_kinds import KINDS
from .direction_plots import direction_figure

HALF_NAMES = ("run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc")
THRESHOLDS = (0.143, 0.5)


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
        "directions": "fsc_directions.csv",
        "directions_figure": "fsc_directions.png",
    }
    maps = {"map": result.volume, "half1": result.half1, "half2": result.half2, "mask": result.mask}
    for role, volume in maps.items():
        write_map(folder / files[role], volume, result.pixel_size_ang)
    _write_curves(result, folder / files["fsc"])
    _plot_curves(result, folder / files["figure"])
    _write_directions(result, folder / files["directions"])
    direction_figure(folder / files["directions_figure"], result.directions)
    summary = {
        "schema": 1,
        "particles": result.n_particles,
        "box": result.box,
        "pixel_size_ang": result.pixel_size_ang,
        "resolution_ang": {str(t): round(result.resolution_ang(t), 3) for t in THRESHOLDS},
        "reaches_nyquist": result.reaches_nyquist,
        "fsc_area": round(fsc_area(result.curves.corrected), 4),
        "halves": result.halves_from,
        "directions": result.directions.entry(),
        "by_direction": result.directions.sentence,
        "cautions": [result.directions.warning] if result.directions.warning else [],
        "files": files,
    }
    index = KINDS["reconstruction"].index
    with replacing(folder / index) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    return {**files, "summary": index}


def _write_curves(result: Reconstruction, path: Path) -> None:
    curves = result.curves
    freqs = shell_frequencies(result.box, result.pixel_size_ang)
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["shell", "frequency_per_ang", "corrected", "masked", "unmasked", "randomised"])
        rows = zip(freqs, curves.corrected, curves.masked, curves.unmasked, curves.randomised, strict=True)
        for shell, values in enumerate(rows):
            table.writerow([shell, *(f"{value:.6f}" for value in values)])


def _write_directions(result: Reconstruction, path: Path) -> None:
    directions = result.directions
    with replacing(path) as temporary, open(temporary, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["x", "y", "z", "resolution_ang", *(f"shell_{s}" for s in range(directions.curves.shape[1]))])
        for axis, limit, curve in zip(directions.directions, directions.resolution_ang, directions.curves, strict=True):
            table.writerow([*(f"{x:.5f}" for x in axis), f"{limit:.3f}", *(f"{value:.4f}" for value in curve)])


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
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    axes.set(xlim=(0, freqs[-1]), ylim=(min(-0.05, curves.corrected.min()), 1.03), ylabel="Fourier shell correlation")
    ticks = [t for t in axes.get_xticks() if 0 <= t <= freqs[-1]]
    axes.set_xticks(ticks, ["∞" if t == 0 else f"1/{1 / t:.1f}" for t in ticks])
    axes.set_xlabel("spatial frequency (1/Å)")
    axes.set_title(f"{result.n_particles:,} particles, two halves", fontsize=10)
    axes.legend(frameon=False, fontsize=9)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
