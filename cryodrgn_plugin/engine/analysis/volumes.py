"""Maps from a trained decoder, in the order asked for, and what can be said of each: level, views, resolution."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ..errors import DataError
from ..io.mrc import write_map
from ..reconstruction.directional_fsc import DirectionalFsc, directional_fsc
from ..reconstruction.expectation import Expectation, Halves, expected_fsc
from ..reconstruction.fsc import fsc_corrected, resolution
from ..reconstruction.masks import auto_threshold, lowpass, mask_from_map
from ..reconstruction.view_gaps import ViewGaps
from ..result_kinds import half_map_names

if TYPE_CHECKING:
    from ..decoders.atoms import AtomsDecoder
    from ..decoders.restore import TrainedDecoder as RestoredDecoder
    from ..run import Run

THRESHOLDS = (0.5, 0.143)
"""FSC values at which resolution is stated."""
STILL = 1e-4
"""Maps that vary by less than this share of their largest density do not move."""

Progress = Callable[..., None]
"""Called as report(stage, done, total) after each map."""


class TrainedDecoder(Protocol):
    """What `load_decoder(run)` returns."""

    box: int
    pixel_size_ang: float

    def volume(self, z: np.ndarray) -> np.ndarray:
        """Map (D, D, D) at z (Z,), white."""

    def half_volumes(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Two maps at z from bases solved on independent halves of the particles, or None."""


@dataclass(frozen=True)
class HalfAgreement:
    """How far the two half-maps of one map agree inside a soft mask."""

    fsc: np.ndarray
    """(D//2 + 1,) corrected for the mask by phase randomisation."""
    resolution_ang: dict[str, float]
    """At FSC "0.5" and "0.143"."""
    directions: DirectionalFsc | None = None
    """The same by direction; None where it was not asked for."""


@dataclass(frozen=True)
class MadeMap:
    """One map and what is known of it."""

    file: Path
    z: np.ndarray
    pixel_size_ang: float
    level: float
    """Density at which to draw its surface."""
    projection: np.ndarray
    """(D, D) sum over z."""
    section: np.ndarray
    """(D, D) central section, z = D//2."""
    whole: HalfAgreement | None
    """Of the half-maps with each other, inside a mask around the map; None without half-maps."""
    moving: HalfAgreement | None
    """Inside the mask of the moving region, which the figure for the whole map hides; None without one."""
    expected: Expectation | None = None
    """Of the map with the true one, in the same mask as `whole`; None where it was not measured."""
    moving_expected: Expectation | None = None

    @property
    def expected_resolution_ang(self) -> float | None:
        """Where the FSC to the truth is expected to fall below 0.5."""
        return None if self.expected is None else self.expected.resolution_ang(self.pixel_size_ang)

    @property
    def moving_expected_resolution_ang(self) -> float | None:
        """The same in the moving region."""
        return None if self.moving_expected is None else self.moving_expected.resolution_ang(self.pixel_size_ang)


def decoder_of(run: "Run") -> "RestoredDecoder":
    """The decoder that the run's model.pt holds. Raises DataError when the training has not finished."""
    from ..decoders.restore import load_decoder

    return load_decoder(run)


def atoms_of(decoder: TrainedDecoder) -> "AtomsDecoder | None":
    """The atomic model that a run's decoder moves; None where it has none."""
    of_atoms = getattr(decoder, "atoms", None)
    return of_atoms() if of_atoms else None


def make_maps(
    decoder: TrainedDecoder,
    z: np.ndarray,
    folder: Path,
    report: Progress,
    *,
    stage: str = "maps",
    half_maps: bool = False,
    judge: bool = False,
    moving_region: np.ndarray | None = None,
    reference_at: Callable[[np.ndarray], Halves] | None = None,
    views: ViewGaps | None = None,
) -> Iterator[MadeMap]:
    """Write a map for each row of z (n, Z) as vol_000.mrc, vol_001.mrc, … in `folder`, in the order of the rows.

    `half_maps` also writes vol_000_half1.mrc and vol_000_half2.mrc; `judge` computes their FSC, also inside the mask
    `moving_region` (D, D, D) if given, with half-maps of the data alone at z (Z,), `reference_at`, the FSC to the
    truth that can be expected, and with the `views` of the particles the FSC by direction.

    Raises DataError when half-maps are asked of a decoder that has none.
    """
    for k, point in enumerate(z):
        file = folder / f"vol_{k:03d}.mrc"
        volume = np.asarray(decoder.volume(point), np.float32)
        write_map(file, volume, decoder.pixel_size_ang)
        halves = decoder.half_volumes(point) if half_maps or judge else None
        if half_maps:
            _write_halves(file, halves, decoder.pixel_size_ang)
        judged = _NOT_JUDGED
        if judge and halves is not None:
            reference = reference_at(point) if reference_at is not None else None
            judged = _judged(halves, reference, moving_region, views, decoder.pixel_size_ang)
        pictures = volume.sum(axis=0), volume[volume.shape[0] // 2].copy()
        yield MadeMap(file, point, decoder.pixel_size_ang, auto_threshold(volume), *pictures, *judged)
        report(stage, k + 1, len(z))


Judged = tuple[HalfAgreement | None, HalfAgreement | None, Expectation | None, Expectation | None]
_NOT_JUDGED: Judged = (None, None, None, None)


def _judged(
    halves: Halves,
    reference: Halves | None,
    moving_region: np.ndarray | None,
    views: ViewGaps | None,
    pixel_size_ang: float,
) -> Judged:
    """Agreement of the halves around the map and in the moving region, and the same two with the truth."""
    mask = mask_from_map((halves[0] + halves[1]) / 2, pixel_size_ang)
    regions = (mask, moving_region)
    whole = half_agreement(halves, mask, pixel_size_ang, views)
    moving = None if moving_region is None else half_agreement(halves, moving_region, pixel_size_ang)
    if reference is None:
        return whole, moving, None, None
    expected, moving_expected = (None if m is None else expected_fsc(halves, reference, m) for m in regions)
    return whole, moving, expected, moving_expected


def write_series(
    decoder: TrainedDecoder, z: np.ndarray, folder: Path, report: Progress, *, half_maps: bool = False
) -> list[Path]:
    """`make_maps` for those who only want the files: their names, in order."""
    return [made_map.file for made_map in make_maps(decoder, z, folder, report, half_maps=half_maps)]


def moving_region(decoder: TrainedDecoder, z: np.ndarray) -> np.ndarray | None:
    """Soft mask of where the maps at z (n, Z) differ, (D, D, D) float32; None where they do not.

    Where the standard deviation over the low-passed maps stands out of its own background: a figure
    for the whole map says little about the part that moves.
    """
    maps = (lowpass(decoder.volume(p), decoder.pixel_size_ang, 4 * decoder.pixel_size_ang) for p in z)
    total = squares = np.zeros((decoder.box,) * 3)
    for volume in maps:
        total, squares = total + volume, squares + volume.astype(np.float64) ** 2
    mean = total / len(z)
    spread = np.sqrt(np.maximum(squares / len(z) - mean**2, 0))
    if spread.max() <= STILL * np.abs(mean).max():
        return None
    return mask_from_map(spread, decoder.pixel_size_ang, lowpass_ang=0, extend_px=1, edge_px=4)


def mean_map(decoder: TrainedDecoder, z: np.ndarray) -> np.ndarray:
    """Mean of the maps at z (n, Z), (D, D, D)."""
    total = np.zeros((decoder.box,) * 3)
    for point in z:
        total += decoder.volume(point)
    return total / len(z)


def half_agreement(
    halves: tuple[np.ndarray, np.ndarray], mask: np.ndarray, pixel_size_ang: float, views: ViewGaps | None = None
) -> HalfAgreement:
    """FSC of two half-maps (D, D, D) inside a soft mask and the resolutions that follow; by direction too where the
    views of the particles are known."""
    curves = fsc_corrected(*halves, mask)
    limits = {str(at): round(resolution(curves.corrected, pixel_size_ang, len(mask), at), 3) for at in THRESHOLDS}
    directions = None if views is None else directional_fsc(*halves, pixel_size_ang, mask, curves, views)
    return HalfAgreement(curves.corrected, limits, directions)


def _write_halves(file: Path, halves: tuple[np.ndarray, np.ndarray] | None, pixel_size_ang: float) -> None:
    if halves is None:
        raise DataError("This run has no half-maps: they come with the fast recipe.")
    for name, half in zip(half_map_names(file.name), halves, strict=True):
        write_map(file.with_name(name), np.asarray(half, np.float32), pixel_size_ang)
