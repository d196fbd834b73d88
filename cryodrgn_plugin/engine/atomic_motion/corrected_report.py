"""The motion-corrected map in a report: maps, half-maps, masks, and how far halves agree with and without the
motion."""

from pathlib import Path

import numpy as np

from ..analysis.entries import numbers
from ..analysis.figure_style import GREY, class_colours, figure
from ..geometry.hand import mirrored_map
from ..imaging.noise import estimate_noise
from ..latents import Latents
from ..reconstruction.accumulator import Accumulator
from ..reconstruction.backproject import accumulate
from ..reconstruction.fsc import fsc_area, fsc_corrected, resolution
from ..reconstruction.masks import auto_threshold
from ..report_writer import Report
from ..result_kinds import half_map_names
from ..run import Run
from ..selection.subtraction import corrected
from .corrected_map import CorrectedMap, MotionCorrection
from .image_places import places_along
from .model_in_run import ModelInRun
from .part_frames import PartFrames

MAP = "corrected.mrc"


def add_corrected_map(
    out: Report, run: Run, found: ModelInRun, latents: Latents, points: np.ndarray, seed: int
) -> PartFrames:
    """Make the map of all images with their motion undone, and say in the report how good it is; how the parts lie in
    each particle, as the images have it."""
    dataset = corrected(run)
    noise = estimate_noise(dataset, run.config.seed)
    nodes = places_along(points, seed) if latents.states is None else found.maps.points
    correction = MotionCorrection(found, dataset, noise, points, latents.contrast, nodes)
    made = correction.maps(latents.half, lambda done, total: run.progress("motion undone", done, total))
    plain = accumulate(dataset, None, None, noise, latents.half)
    still = [_of_hand(each, found) for each in plain]
    combined = made.combined()
    out.map("corrected", MAP, combined, found.pixel_size_ang)
    for number, half in enumerate(made.halves, start=1):
        out.map(f"corrected_half{number}", half_map_names(MAP)[number - 1], half, found.pixel_size_ang)
    out.map("corrected_mask", "corrected_mask.mrc", made.mask, found.pixel_size_ang)
    entries, curves = _judged(made, still, found)
    out.index["corrected"] = {"level": float(auto_threshold(combined)), "parts": entries}
    best = max(entries, key=lambda entry: entry["mean_fsc"] - entry["consensus_mean_fsc"])
    out.index["sentences"].append(
        f"With the motion undone half-maps of {best['where']} agree with a mean FSC of {best['mean_fsc']:.3f} and up "
        f"to {best['resolution_ang']:.3g} Å, as they are with {best['consensus_mean_fsc']:.3f} and up to "
        f"{best['consensus_ang']:.3g} Å."
    )
    corrected_figure(out.figure("corrected"), curves, found)
    return made.frames


def _of_hand(sums: Accumulator, found: ModelInRun) -> np.ndarray:
    volume = sums.volume()
    return mirrored_map(volume) if found.fit.mirrored else volume


def _judged(made: CorrectedMap, still: list[np.ndarray], found: ModelInRun) -> tuple[list[dict], list]:
    """Resolution of the halves with and without the motion undone, in the whole mask and in each part's, and the
    curves."""
    box, entries, curves = len(made.mask), [], []
    regions = {"the whole": made.mask, **{f"part {n}": mask for n, mask in enumerate(made.part_masks, start=1)}}
    for where, mask in regions.items():
        pair = [fsc_corrected(one, other, mask).corrected for one, other in (made.halves, still)]
        with_, without = (round(resolution(curve, found.pixel_size_ang, box), 3) for curve in pair)
        areas = [round(fsc_area(curve, box // 2 - 1), 4) for curve in pair]
        entries.append(
            {
                "where": where,
                "resolution_ang": with_,
                "consensus_ang": without,
                "mean_fsc": areas[0],
                "consensus_mean_fsc": areas[1],
                "fsc": numbers(pair[0]),
                "consensus_fsc": numbers(pair[1]),
            }
        )
        curves.append((where, *pair))
    return entries, curves


def corrected_figure(file: Path, curves: list, found: ModelInRun) -> None:
    """FSC of half-maps with the motion undone, and without, in the mask of each part."""
    shells = np.arange(1, len(curves[0][1]) - 1)
    frequency = shells / (2 * (len(curves[0][1]) - 1) * found.pixel_size_ang)
    colours = [GREY, *class_colours(found.parts)]
    with figure(file, 5, 3.2) as page:
        ax = page.subplots()
        for (where, with_, without), colour in zip(curves, colours, strict=True):
            ax.plot(frequency, with_[shells], color=colour, lw=1.4, label=where)
            ax.plot(frequency, without[shells], color=colour, lw=1, ls=(0, (3, 2)))
        ax.axhline(0.143, color=GREY, lw=0.6, zorder=0)
        ax.set(xlabel="spatial frequency (1/Å)", ylabel="FSC of half-maps", ylim=(-0.05, 1.02))
        ax.set_title("Motion undone, and (dashed) as it is")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 0.2))
