"""Directions that noise could have given are dropped, and the run is told what would have been seen."""

import numpy as np

from ..likelihood.linear_model import LinearModel
from ..run import Run
from ..slicing.place import on_host
from . import part_scan
from .detectable import SmallestParts, in_words, needed_information, smallest_parts
from .direction_search import ABOVE_NOISE, LEAST_INFORMATION, BandStep, PosedSet, above_noise, noise_information
from .directions import Directions
from .small_parts import LEAST_PARTICLES


def kept_above_noise(
    runs: tuple[Run, ...], posed: PosedSet, found: Directions, step: BandStep, mean: LinearModel
) -> Directions:
    """The directions that stand out; the best of them where there are none.

    Parameters
    ----------
    runs : where it is noted: the run, or that of each region of a focus.
    mean : the mean volume alone, in the band.
    """
    noise = noise_information(posed, step, posed.config.closed_form.iterations, posed.config.seed)
    counts = above_noise(found, noise)
    for run, count, of_noise, group in zip(runs, counts, noise, found.members()[:-1], strict=True):
        smallest = _smallest_parts(posed, found, step, mean, of_noise).notes()
        run.note(
            directions=count,
            information=[round(float(value), 4) for value in on_host(found.information[group])],
            information_of_noise=round(of_noise, 4),
            **smallest,
        )
        run.log(f"Directions of variation that stand out from noise: {count} of {len(group)}.")
        run.log(in_words(smallest))
    return found.leading(*(max(count, 1) for count in counts))


def _smallest_parts(
    posed: PosedSet, found: Directions, step: BandStep, mean: LinearModel, noise: float
) -> SmallestParts:
    band, pixel_size_ang = posed.band(step.radius), posed.dataset.pixel_size_ang
    anywhere = needed_information(max(noise, LEAST_INFORMATION / ABOVE_NOISE), ABOVE_NOISE)

    def needed(parts: np.ndarray, body: np.ndarray) -> np.ndarray:
        whole = np.full(len(parts), anywhere)
        if posed.focus is not None or posed.series.n < LEAST_PARTICLES:
            return whole
        return np.minimum(whole, part_scan.needed_information(parts, body, posed.series.n))

    return smallest_parts(posed.images, band, mean, found.nuisances, needed, pixel_size_ang)
