"""One map brought onto another: the rotation, origin and hand that their images leave open.

A point r of the reference lies at G (r − o) in the found map, after the mirror of `geometry.hand` where the hands
differ, as in `pose_errors`. At the lowest shells every rotation of a grid is tried, with all shifts at once by a
Fourier transform; the best are then improved by their correlation, ever fewer of them at ever higher shells, and the
last one over a band that rises as far as the maps agree.
"""

from dataclasses import dataclass

import numpy as np
import scipy.fft

from ..errors import DataError
from ..geometry import so3_grid
from ..geometry.hand import mirrored_map
from ..geometry.rotations import angular_distance_deg
from ..slicing.fine import padded_transform, values_at
from .fsc import fsc
from .map_overlap import Overlap, improved, moved_onto

_FIRST_SHELLS = 8
_GRID_LEVEL = 2
_KEPT = 10
_SIEVE = ((8, 6), (12, 3), (16, 1))
"""Frequency limits at which placements are compared, and how many go on."""
_APART_DEG, _SAME_DEG = 20.0, 5.0
_FINENESS = 4
_AT_ONCE = 256
_AGREEING = 0.3
_ROUNDS = 2
_Placed = tuple[int, np.ndarray, np.ndarray]
"""Hand, G and o."""


@dataclass(frozen=True)
class MapAlignment:
    """How a found map lies to a reference, and how well they agree then."""

    rotation: np.ndarray
    """(3, 3) G."""
    origin_px: np.ndarray
    """(3,) o = (x, y, z): where the found map's origin lies in the reference, in voxels from its centre."""
    mirrored: bool
    """The found map has the other hand."""
    volume: np.ndarray
    """(D, D, D) the found map, moved onto the reference."""
    curve: np.ndarray
    """(D//2 + 1,) FSC of the moved map and the reference."""
    correlation: float
    """Mean of the FSC over the coefficients of the band that decided."""


def align_maps(
    volume: np.ndarray, reference: np.ndarray, either_hand: bool = True, mask: np.ndarray | None = None
) -> MapAlignment:
    """Bring the found map `volume` onto `reference`, both (D, D, D) `vol[z, y, x]` with an even D.

    Parameters
    ----------
    either_hand : try the mirror image too, and take what agrees better.
    mask : (D, D, D), multiplied onto both for the FSC; the alignment sees all.

    Raises
    ------
    DataError : the maps are not cubes of one even size.
    """
    box = len(reference)
    if volume.shape != (box,) * 3 or reference.shape != (box,) * 3 or box % 2:
        raise DataError(
            f"The maps have {volume.shape} and {reference.shape} voxels; give cubes of the same, even size."
        )
    hands = [volume, mirrored_map(volume)] if either_hand else [volume]
    transforms, target = [padded_transform(hand_map) for hand_map in hands], padded_transform(reference)
    first = [Overlap(transform, target, min(_FIRST_SHELLS, box // 2 - 1)) for transform in transforms]
    tried = [(hand, rotation, o) for hand, overlap in enumerate(first) for rotation, o in _grid_search(overlap)]
    hand, rotation, origin_px = _sieved(tried, transforms, target)
    shells = first[0].shells
    for _ in range(_ROUNDS):
        moved = moved_onto(transforms[hand], rotation, origin_px, box)
        shells = max(shells, _agreeing_shells(fsc(moved, reference)))
        overlap = Overlap(transforms[hand], target, shells)
        rotation, origin_px, correlation = improved(overlap, rotation, origin_px, tolerance=1e-3)
    moved = moved_onto(transforms[hand], rotation, origin_px, box)
    return MapAlignment(rotation, origin_px, bool(hand), moved, fsc(moved, reference, mask), correlation)


def _sieved(tried: list[_Placed], transforms: list[np.ndarray], target: np.ndarray) -> _Placed:
    """The best of some placements: all improved at low shells, the better ones at higher shells, and so on.

    What two maps have in common may be a part of them. Low shells cannot tell it from what only has its outline.
    """
    limit = target.shape[0] // 4 - 1
    for shells, kept in _SIEVE:
        overlaps = [Overlap(transform, target, min(shells, limit)) for transform in transforms]
        climbed = [(hand, *improved(overlaps[hand], rotation, o, tolerance=1e-2)) for hand, rotation, o in tried]
        climbed.sort(key=lambda placed: -placed[-1])  # by correlation, the best first
        tried = _distinct([tuple(placed[:-1]) for placed in climbed])[:kept]
    return tried[0]


def _distinct(placements: list[_Placed]) -> list[_Placed]:
    """Placements, the best first, without those that have climbed to the same place as a better one.

    Many starts lead to one place, and at low shells that of the wrong hand may be the best.
    """
    kept: list[_Placed] = []
    for placement in placements:
        hand, rotation, _ = placement
        if all(hand != other or angular_distance_deg(rotation, there) > _SAME_DEG for other, there, _ in kept):
            kept.append(placement)
    return kept


def _grid_search(overlap: Overlap) -> list[tuple[np.ndarray, np.ndarray]]:
    """The best few (G, o) of the grid of rotations, no two closer than 20°, each with its best shift.

    The found map's transform is looked up at the nearest of points a quarter of a frequency apart: near enough here.
    """
    rotations = so3_grid.grid(_GRID_LEVEL).astype(np.float64)
    edge = scipy.fft.next_fast_len(2 * overlap.shells + 2)
    finely = _FinelySampled(overlap.transform, overlap.shells)
    kx, ky, kz = overlap.freqs.T
    values, best_shifts = [], []
    for some in np.array_split(rotations, len(rotations) // _AT_ONCE):
        spectra = np.zeros((len(some), edge, edge, edge // 2 + 1), dtype=np.complex64)
        spectra[:, kz, ky, kx] = np.conj(finely(overlap.freqs @ np.swapaxes(some, 1, 2))) * overlap.weighted_reference
        correlations = scipy.fft.irfftn(spectra, s=(edge,) * 3, axes=(1, 2, 3)).reshape(len(some), -1)
        best_shifts.append(correlations.argmax(1))
        values.append(correlations.max(1))
    kept: list[int] = []
    for i in np.argsort(-np.concatenate(values)):
        if len(kept) < _KEPT and all(angular_distance_deg(rotations[i], rotations[j]) > _APART_DEG for j in kept):
            kept.append(i)
    # As (x, y, z) from the centre: what lies in the upper half of an axis is a move backwards.
    steps = np.stack(np.unravel_index(np.concatenate(best_shifts)[kept], (edge,) * 3), axis=1)[:, ::-1]
    origins_px = ((steps + edge // 2) % edge - edge // 2) * overlap.box / edge
    return [(rotations[i], origin_px) for i, origin_px in zip(kept, origins_px, strict=True)]


class _FinelySampled:
    """A transform around k = 0 on points a quarter of a frequency apart, read at the nearest."""

    def __init__(self, transform: np.ndarray, shells: int) -> None:
        self.half = _FINENESS * shells + _FINENESS
        axis = np.arange(-self.half, self.half + 1) / _FINENESS
        kz, ky, kx = np.meshgrid(axis, axis, axis, indexing="ij")
        freqs = np.stack([kx.ravel(), ky.ravel(), kz.ravel()], axis=1)
        self.values = values_at(transform, freqs).reshape(kx.shape)

    def __call__(self, freqs: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(np.rint(_FINENESS * freqs).astype(np.int32) + self.half, -1, 0)
        return self.values[z, y, x]


def _agreeing_shells(curve: np.ndarray) -> int:
    """The last shell before the FSC first falls below 0.3."""
    below = np.flatnonzero(curve[1:-1] < _AGREEING)
    return int(below[0]) if len(below) else len(curve) - 2
