"""One state as written: its files, and what figures and states.json say of it once its volumes are let go."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..analysis.volumes import MadeMap
from ..io.mrc import write_map
from ..reconstruction.masks import auto_threshold
from .judging import Judgement
from .making import StateMaps
from .sharpening import Guinier

PERCENTILES = (10, 50, 90)
"""Of the local resolution inside the mask."""


@dataclass(frozen=True)
class MadeState:
    """See `Judgement` for the figures; `files` name to path: map, half1, half2, mask, locres, sharpened."""

    map: MadeMap
    files: dict[str, Path]
    effective: float | None
    by_halves: np.ndarray | None
    resolution_ang: float | None
    moving_resolution_ang: float | None
    local_ang: tuple[float, ...] | None
    """At `PERCENTILES`."""
    local_section: np.ndarray | None
    """(D, D) the central section of the local resolution, nan outside the mask."""
    guinier: Guinier | None
    b_factor_ang2: float | None
    lowpass_ang: float | None
    sharpened_level: float | None
    """Density at which to draw the sharpened map's surface."""
    unseen_difference: float | None
    """Share of the power of the map's difference from the mean of the states that lies where no image has seen."""


def written(
    file: Path,
    z: np.ndarray,
    maps: StateMaps,
    judgement: Judgement,
    pixel_size_ang: float,
    unseen_difference: float | None = None,
) -> MadeState:
    """Write the map of a state as `file` and what goes with it beside it."""
    halves = maps.halves or (None, None)
    named = {
        "": maps.volume,
        "_half1": halves[0],
        "_half2": halves[1],
        "_mask": judgement.mask,
        "_locres": judgement.local_ang,
        "_sharpened": judgement.sharp,
    }
    files = {}
    for ending, volume in named.items():
        if volume is not None:
            files[ending.lstrip("_") or "map"] = path = file.with_name(f"{file.stem}{ending}.mrc")
            write_map(path, np.asarray(volume, np.float32), pixel_size_ang)
    middle = len(maps.volume) // 2
    local = section = None
    if judgement.local_ang is not None:
        local = tuple(float(v) for v in np.percentile(judgement.local_ang[judgement.mask > 0.5], PERCENTILES))
        section = np.where(judgement.mask[middle] > 0.5, judgement.local_ang[middle], np.nan)
    made_map = MadeMap(
        file,
        z,
        pixel_size_ang,
        level=auto_threshold(maps.volume),
        projection=maps.volume.sum(axis=0),
        section=maps.volume[middle].copy(),
        whole=judgement.whole,
        moving=judgement.moving,
        expected=judgement.expected,
        moving_expected=judgement.moving_expected,
    )
    return MadeState(
        made_map,
        files,
        effective=maps.effective,
        by_halves=judgement.by_halves,
        resolution_ang=judgement.resolution_ang,
        moving_resolution_ang=judgement.moving_resolution_ang,
        local_ang=local,
        local_section=section,
        guinier=judgement.guinier,
        b_factor_ang2=judgement.b_factor_ang2,
        lowpass_ang=judgement.lowpass_ang,
        sharpened_level=None if judgement.sharp is None else auto_threshold(judgement.sharp),
        unseen_difference=unseen_difference,
    )
