"""Maps from a trained decoder, in the order asked for, and what can be said of each: level, views, resolution."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import DataError
from ..io.mrc import write_map

Report = Callable[..., None]
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
class MadeMap:
    """One map and what is known of it."""

    file: Path
    z: np.ndarray
    level: float
    """Density at which to draw its surface."""
    projection: np.ndarray
    """(D, D) sum over z."""
    section: np.ndarray
    """(D, D) central section, z = D//2."""
    fsc: np.ndarray | None
    """(D//2 + 1,) half-map correlation, masked and corrected for the mask; None without half-maps."""
    resolution_ang: dict[str, float] | None
    """Resolution at FSC 0.5 and 0.143."""


def make_maps(
    decoder: TrainedDecoder,
    z: np.ndarray,
    folder: Path,
    report: Report,
    *,
    stage: str = "maps",
    half_maps: bool = False,
    judge: bool = False,
) -> Iterator[MadeMap]:
    """Write a map for each row of z (n, Z) as vol_000.mrc, vol_001.mrc, … in `folder`, in the order of the rows.

    `half_maps` also writes vol_000_half1.mrc and vol_000_half2.mrc; `judge` computes their FSC.

    Raises DataError when half-maps are asked of a decoder that has none.
    """
    for k, point in enumerate(z):
        file = folder / f"vol_{k:03d}.mrc"
        volume = np.asarray(decoder.volume(point), np.float32)
        write_map(file, volume, decoder.pixel_size_ang)
        halves = decoder.half_volumes(point) if half_maps or judge else None
        if half_maps:
            _write_halves(file, halves, decoder.pixel_size_ang)
        yield _describe(file, point, volume, halves if judge else None, decoder.pixel_size_ang)
        report(stage, k + 1, len(z))


def write_series(
    decoder: TrainedDecoder, z: np.ndarray, folder: Path, report: Report, *, half_maps: bool = False
) -> list[Path]:
    """`make_maps` for those who only want the files: their names, in order."""
    return [made.file for made in make_maps(decoder, z, folder, report, half_maps=half_maps)]


def _write_halves(file: Path, halves: tuple[np.ndarray, np.ndarray] | None, pixel_size_ang: float) -> None:
    if halves is None:
        raise DataError("This run has no half-maps: they come with the closed-form finish (closed_form.finish = yes).")
    for number, half in enumerate(halves, start=1):
        write_map(file.with_name(f"{file.stem}_half{number}.mrc"), np.asarray(half, np.float32), pixel_size_ang)


def _describe(
    file: Path,
    point: np.ndarray,
    volume: np.ndarray,
    halves: tuple[np.ndarray, np.ndarray] | None,
    pixel_size_ang: float,
) -> MadeMap:
    from ..reconstruction.fsc import fsc_corrected, resolution
    from ..reconstruction.masks import auto_threshold, mask_from_map

    curve = limits = None
    if halves is not None:
        mask = mask_from_map((halves[0] + halves[1]) / 2, pixel_size_ang)
        curve = fsc_corrected(halves[0], halves[1], mask).corrected
        box = volume.shape[0]
        limits = {str(at): round(resolution(curve, pixel_size_ang, box, at), 3) for at in (0.5, 0.143)}
    views = volume.sum(axis=0), volume[volume.shape[0] // 2].copy()
    return MadeMap(file, point, auto_threshold(volume), *views, curve, limits)
