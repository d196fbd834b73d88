"""Maps of one species from several runs, each in a frame and hand of its own, brought into that of one of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..reconstruction.fsc import fsc, resolution
from ..reconstruction.map_alignment import MapAlignment, align_maps
from ..reconstruction.masks import mask_from_map

THRESHOLD = 0.5
"""Of the FSC between maps of two runs, which share their images: it says how alike they are, not how well resolved."""


@dataclass(frozen=True)
class MapsInOneFrame:
    """Maps of one species by run, in the frame and the hand of the map of `reference`."""

    reference: int
    volumes: dict[int, np.ndarray]
    """(D, D, D) of each run, moved."""
    placed: dict[int, MapAlignment]
    """Of every run but the reference, how its map lay."""
    curves: dict[int, np.ndarray]
    """Of the same, (D//2 + 1,) FSC with the map of the reference inside a mask around that."""
    pixel_size_ang: float

    @property
    def resolution_ang(self) -> dict[int, float]:
        """Where each curve falls below 0.5."""
        box = len(self.volumes[self.reference])
        return {which: resolution(curve, self.pixel_size_ang, box, THRESHOLD) for which, curve in self.curves.items()}

    def merged(self, runs: np.ndarray) -> np.ndarray:
        """(D, D, D) mean of the maps of some runs."""
        return np.mean([self.volumes[which] for which in runs], axis=0, dtype=np.float64).astype(np.float32)


def in_one_frame(maps: Mapping[int, np.ndarray], reference: int, pixel_size_ang: float) -> MapsInOneFrame:
    """Bring maps (D, D, D), by run, onto that of the run `reference`, in whichever hand agrees better."""
    onto = maps[reference]
    mask = _inside(onto, pixel_size_ang)
    placed = {which: align_maps(volume, onto) for which, volume in maps.items() if which != reference}
    volumes = {which: placed[which].volume if which in placed else onto for which in maps}
    curves = {which: fsc(alignment.volume, onto, mask) for which, alignment in placed.items()}
    return MapsInOneFrame(reference, volumes, placed, curves, pixel_size_ang)


def _inside(volume: np.ndarray, pixel_size_ang: float) -> np.ndarray | None:
    """A soft mask around a map; None for one of too few particles, say, which has no inside."""
    try:
        return mask_from_map(volume, pixel_size_ang)
    except DataError:
        return None
