"""Tomograms of RELION 4, RELION 5 and WarpTools: how each tilt image was taken.

RELION 5 lists tomograms in data_global and keeps the tilts of each in a star file of its own
(rlnTomoTiltSeriesStarFile); RELION 4 and WarpTools keep them as blocks of the same file. A point of the tomogram is
seen in tilt t under

    P_t = Rz(rlnTomoZRot) · Ry(rlnTomoYTilt) · Rx(rlnTomoXTilt),

right-handed turns by degrees, x first (Tomogram::setProjectionMatrix), or under rlnTomoProjX, Y, Z, which take
precedence where there are both, as in RELION. Where a tomogram was cut out of the image, by centres and by
rlnTomoXShiftAngst, YShiftAngst or the fourth numbers of a matrix, is of no matter for images of particles that have
been cut out there already.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.transform import Rotation

from ..errors import DataError
from .star import read_star

PROJECTIONS = ("rlnTomoProjX", "rlnTomoProjY", "rlnTomoProjZ")
SERIES_FILE = "rlnTomoTiltSeriesStarFile"
OPTICS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnCtfBfactor", "rlnCtfScalefactor", "rlnPhaseShift")
DOSE, DOSE_B_FACTOR = "rlnMicrographPreExposure", "rlnCtfBfactorPerElectronDose"
_NEEDED = OPTICS[:3]
_USUAL = {"rlnCtfScalefactor": 1.0}
_SIZES = ("rlnTomoSizeX", "rlnTomoSizeY", "rlnTomoSizeZ")
_FARTHEST_FROM_ROTATION = 0.02


@dataclass(frozen=True)
class Tomogram:
    """The T tilts of one tomogram."""

    projections: np.ndarray
    """(T, 3, 3). Tomogram to view."""
    optics: np.ndarray
    """(T, 6): the columns `OPTICS`, at the centre of the tomogram."""
    dose: np.ndarray
    """(T,) e⁻/Å² before each image; 0 where the dose is in the B-factors."""
    defocus_per_depth: float
    """Change of the defocus with the depth of a point in the view, both in Å; 0 where the file does not say."""
    pixel_size_ang: float | None
    """Of the tilt images."""
    size_px: np.ndarray | None
    """(3,) of the tomogram, in pixels of the tilt images."""
    of_warp: bool
    """Whether WarpTools wrote it: its matrices are rotations without a shift."""

    @property
    def n(self) -> int:
        return len(self.projections)


def read_tomograms(path: Path, names: list[str], find: Callable[[str, Path], Path]) -> dict[str, Tomogram]:
    """The tomograms `names` of a tomogram set; `find` gives the place of a file that another one names.

    Raises DataError naming what lacks, and where.
    """
    tables = read_star(path)
    listed = tables.get("global", pd.DataFrame())
    by_name = {} if "rlnTomoName" not in listed else {str(row["rlnTomoName"]): row for _, row in listed.iterrows()}
    return {name: _tomogram(name, by_name.get(name), tables, path, find) for name in names}


def tomogram_names(path: Path) -> set[str]:
    """The names of all tomograms of a star file; none where it is no tomogram set."""
    listed = read_star(path).get("global", pd.DataFrame())
    return set(listed["rlnTomoName"].astype(str)) if "rlnTomoName" in listed else set()


def _tomogram(
    name: str,
    listed: pd.Series | None,
    tables: dict[str, pd.DataFrame],
    path: Path,
    find: Callable[[str, Path], Path],
) -> Tomogram:
    if listed is not None and SERIES_FILE in listed:
        path = find(str(listed[SERIES_FILE]), path)
        tables = read_star(path)
    elif name not in tables:
        raise DataError(
            f"{path}: it has no data_{name}, which the particles name, nor a {SERIES_FILE} for it in data_global; the "
            "two do not belong together."
        )
    if name not in tables:
        raise DataError(f"{path}: it has no data_{name}, though it is the tilt series of {name}. Give the right file.")
    return _Tilts(name, tables[name], listed, path).tomogram()


class _Tilts:
    """The table of one tilt series and what data_global says of it, read with every check."""

    def __init__(self, name: str, table: pd.DataFrame, listed: pd.Series | None, path: Path) -> None:
        self.name, self.table, self.path = name, table, path
        self.listed = pd.Series(dtype=object) if listed is None else listed
        if not len(table):
            raise DataError(f"{path}: data_{name} lists no tilts. Give the tomograms that particles were extracted of.")

    def tomogram(self) -> Tomogram:
        for column in _NEEDED:
            if column not in self.table:
                raise DataError(
                    f"{self.path}: data_{self.name} has no column {column}. Estimate the CTF of its tilts first."
                )
        projections, shifts = self._matrices() if set(PROJECTIONS) <= set(self.table) else (self._turned(), None)
        optics = np.stack([self._column(column, _USUAL.get(column, 0.0)) for column in OPTICS], axis=1)
        dose, b_factor = self._column(DOSE, 0.0), self._global(DOSE_B_FACTOR) or 0.0
        if b_factor > 0:
            optics[:, OPTICS.index("rlnCtfBfactor")] += b_factor * dose
            dose = np.zeros(len(dose))
        size = [self._global(column) for column in _SIZES]
        slope = self._global("rlnTomoDefocusSlope")
        return Tomogram(
            projections,
            optics,
            dose,
            defocus_per_depth=(self._global("rlnTomoHand") or 0.0) * (1.0 if slope is None else slope),
            pixel_size_ang=self._global("rlnTomoTiltSeriesPixelSize"),
            size_px=None if None in size else np.array(size, np.float64),
            of_warp=shifts is not None and not shifts.any(),
        )

    def _matrices(self) -> tuple[np.ndarray, np.ndarray]:
        """Projections (T, 3, 3) and shifts (T, 3) of rlnTomoProjX, Y, Z."""
        rows = [[numbers(text) for text in self.table[column]] for column in PROJECTIONS]
        if any(len(row) != 4 or not np.isfinite(row).all() for column in rows for row in column):
            raise DataError(
                f"{self.path}: data_{self.name} has a projection that is not four numbers, as in [1,0,0,0]. Correct it."
            )
        matrices = np.stack([np.stack(column) for column in rows], axis=1)
        turned = matrices[:, :, :3]
        if np.abs(turned @ np.swapaxes(turned, 1, 2) - np.eye(3)).max() > _FARTHEST_FROM_ROTATION:
            raise DataError(
                f"{self.path}: data_{self.name} has a projection (rlnTomoProjX, Y, Z) that is not a rotation. "
                "Give the tomograms as they are before binning."
            )
        return turned, matrices[:, :, 3]

    def _turned(self) -> np.ndarray:
        """(T, 3, 3) projections of tilt angles."""
        if not {"rlnTomoYTilt", "rlnTomoZRot"} <= set(self.table):
            raise DataError(
                f"{self.path}: data_{self.name} has neither rlnTomoProjX, Y, Z nor rlnTomoYTilt and rlnTomoZRot: its "
                "tilt series is not aligned. Give the tomograms that particles were extracted of."
            )
        angles = [self._column(column, 0.0) for column in ("rlnTomoXTilt", "rlnTomoYTilt", "rlnTomoZRot")]
        return Rotation.from_euler("xyz", np.stack(angles, axis=1), degrees=True).as_matrix()

    def _column(self, column: str, usual: float) -> np.ndarray:
        """(T,) numbers of a column that may be absent."""
        if column not in self.table:
            return np.full(len(self.table), usual)
        values = pd.to_numeric(self.table[column], errors="coerce").to_numpy(np.float64)
        if not np.isfinite(values).all():
            tilt = int(np.flatnonzero(~np.isfinite(values))[0])
            raise DataError(
                f"{self.path}: tilt {tilt + 1} of data_{self.name} has {self.table[column].iloc[tilt]!r} in {column}; "
                "it must be a number. Correct it."
            )
        return values

    def _global(self, column: str) -> float | None:
        """A number of data_global; None where it is not stated."""
        if column not in self.listed:
            return None
        value = pd.to_numeric(self.listed[column], errors="coerce")
        if not np.isfinite(value):
            raise DataError(
                f"{self.path}: {self.name} has {self.listed[column]!r} in {column} of data_global; it must be a "
                "number. Correct it."
            )
        return float(value)


def numbers(text: object) -> np.ndarray:
    """Numbers of a bracketed list, as in [1,0,0,0]; empty where it is not one."""
    try:
        return np.array([float(word) for word in str(text).strip("[] ").split(",")])
    except ValueError:
        return np.zeros(0)
