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


def written(file: Path, z: np.ndarray, maps: StateMaps, found: Judgement, pixel_size_ang: float) -> MadeState:
    """Write the map of a state as `file` and what goes with it beside it."""
    halves = maps.halves or (None, None)
    named = {
        "": maps.volume,
        "_half1": halves[0],
        "_half2": halves[1],
        "_mask": found.mask,
        "_locres": found.local_ang,
        "_sharpened": found.sharp,
    }
    files = {}
    for ending, volume in named.items():
        if volume is not None:
            files[ending.lstrip("_") or "map"] = path = file.with_name(f"{file.stem}{ending}.mrc")
            write_map(path, np.asarray(volume, np.float32), pixel_size_ang)
    middle = len(maps.volume) // 2
    local = section = None
    if found.local_ang is not None:
        local = tuple(float(v) for v in np.percentile(found.local_ang[found.mask > 0.5], PERCENTILES))
        section = np.where(found.mask[middle] > 0.5, found.local_ang[middle], np.nan)
    views = maps.volume.sum(axis=0), maps.volume[middle].copy()
    agreement = (found.whole, found.moving, found.expected, found.moving_expected)
    return MadeState(
        MadeMap(file, z, pixel_size_ang, auto_threshold(maps.volume), *views, *agreement),
        files,
        maps.effective,
        found.by_halves,
        found.resolution_ang,
        found.moving_resolution_ang,
        local,
        section,
        found.guinier,
        found.b_factor_ang2,
        found.lowpass_ang,
        None if found.sharp is None else auto_threshold(found.sharp),
    )
