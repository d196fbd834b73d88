"""A RELION particle table, old (one table) or new (optics groups), behind one set of accessors.

Every original column and the row order are kept in `frame`, so that what goes back to RELION has lost nothing; what the
engine needs (angles, origins in angstrom, CTF, pixel size, box) is offered in the engine's units, whichever way the
file states it. Numbers are checked when asked for: a bad entry is named by row and column.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import DataError
from ..imaging.aberrations import Aberrations, even_zernike, moved_in_groups
from ..imaging.ctf import CtfParams
from .ctf_limits import require_possible, require_possible_b_factor
from .optics_terms import BEAM_TILT, read_aberrations
from .reading import WHY, understood
from .star import read_star

EULER = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
LARGEST_BOX = 2**16
_DOSE, _TILT = "rlnMicrographPreExposure", "rlnTomoFrame"
_CTF_NEEDED = (
    "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast"
)  # fmt: skip


@dataclass(frozen=True)
class ParticleTable:
    """The particles of one star file. Accessors raise DataError naming the column and the row at fault."""

    path: Path
    frame: pd.DataFrame
    """All rows and columns of the particle table as they are in the file."""
    optics: pd.DataFrame | None
    """The optics table, one row per group; None in files of RELION 3.0 and before."""
    tables: dict[str, pd.DataFrame]
    """Every block of the file, by name."""
    tilts: "TiltFiles | None" = None
    """What the rows were made of, where they are tilt images of tomograms."""
    unapplied: tuple[str, ...] = ()
    """A sentence for what else the file says of how images were formed, which has no column here."""

    @property
    def n(self) -> int:
        return len(self.frame)

    @property
    def version(self) -> int:
        """31 with optics groups, 30 without."""
        return 30 if self.optics is None else 31

    @property
    def image_names(self) -> list[str]:
        """`number@stack` of each row, as in the file."""
        return self.column("rlnImageName").tolist()

    @cached_property
    def optics_group(self) -> np.ndarray:
        """(N,) int. Optics group of each particle, from 0 in the order of the optics table; without one, particles
        of one pixel size and beam tilt are a group."""
        if self.optics is None:
            kinds = [self.pixel_size_ang, *(self.numbers(name) for name in BEAM_TILT if name in self.frame)]
            return np.unique(np.stack(kinds, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
        for table, name in ((self.optics, "optics"), (self.frame, "particle")):
            if "rlnOpticsGroup" not in table:
                raise DataError(
                    f"{self.path}: the column rlnOpticsGroup is missing from the {name} table. "
                    "Export the particles again from RELION."
                )
        listed = self.optics["rlnOpticsGroup"].to_numpy()
        again = self.optics["rlnOpticsGroup"].duplicated().to_numpy()
        if again.any():
            raise DataError(
                f"{self.path}: optics group {listed[again][0]} is listed {(listed == listed[again][0]).sum()} times in "
                "the optics table. Keep one row of each, or number them apart."
            )
        named = self.frame["rlnOpticsGroup"].to_numpy()
        groups = pd.Index(listed).get_indexer(named)
        if (groups < 0).any():
            row = int(np.flatnonzero(groups < 0)[0])
            raise DataError(
                f"{self.path}: row {row + 1:,} is in optics group {named[row]}, which the optics table does not list "
                f"(it has {', '.join(map(str, listed))})."
            )
        return groups.astype(np.int64)

    @property
    def n_optics_groups(self) -> int:
        return len(self.optics) if self.optics is not None else int(self.optics_group.max()) + 1

    @cached_property
    def pixel_size_ang(self) -> np.ndarray:
        """(N,) float64. Pixel size of the images as they are on disk."""
        for name in ("rlnImagePixelSize", "rlnPixelSize", "rlnAngPix"):
            if self._has(name):
                sizes = self.numbers(name)
                break
        else:
            if not (self._has("rlnDetectorPixelSize") and self._has("rlnMagnification")):
                where = "its optics table has no column rlnImagePixelSize" if self.optics is not None else (
                    "it has neither rlnImagePixelSize nor rlnDetectorPixelSize with rlnMagnification"
                )  # fmt: skip
                raise DataError(f"{self.path}: the pixel size is not stated: {where}. Add it.")
            sizes = self.numbers("rlnDetectorPixelSize") * 1e4 / self.numbers("rlnMagnification")
        bad = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)))
        if len(bad):
            raise DataError(
                f"{self.path}: the pixel size of row {bad[0] + 1:,} is {sizes[bad[0]]}; it must be positive."
            )
        return sizes

    @cached_property
    def box(self) -> np.ndarray | None:
        """(N,) int. Box in pixels if the optics table states it (the stacks decide), else None."""
        if not self._has("rlnImageSize"):
            return None
        sizes = self.numbers("rlnImageSize")
        bad = np.flatnonzero((sizes < 1) | (sizes > LARGEST_BOX) | (sizes % 1 != 0))
        if len(bad):
            raise DataError(f"{self.path}: rlnImageSize of row {bad[0] + 1:,} is {sizes[bad[0]]:g}, which is no box.")
        return sizes.astype(np.int64)

    @cached_property
    def euler_deg(self) -> np.ndarray | None:
        """(N, 3) float64. rot, tilt, psi in degrees, NaN where the file has none; None without these columns."""
        present = [name for name in EULER if self._has(name)]
        if not present:
            return None
        for name in EULER:
            self.column(name)
        return np.stack([self.numbers(name, missing_ok=True) for name in EULER], axis=1)

    @cached_property
    def origins_ang(self) -> np.ndarray | None:
        """(N, 2) float64. rlnOriginX/Y in angstrom (in pixels in old files, converted); None without these columns."""
        if self._has("rlnOriginXAngst") or self._has("rlnOriginYAngst"):
            return np.stack([self.numbers(f"rlnOrigin{axis}Angst", missing_ok=True) for axis in "XY"], axis=1)
        if self._has("rlnOriginX") or self._has("rlnOriginY"):
            pixels = np.stack([self.numbers(f"rlnOrigin{axis}", missing_ok=True) for axis in "XY"], axis=1)
            return pixels * self.pixel_size_ang[:, None]
        return None

    @cached_property
    def aberrations(self) -> tuple[Aberrations, ...]:
        """Of each optics group, counted as in `optics_group`: beam tilt, Zernike terms, magnification."""
        return read_aberrations(self)

    @cached_property
    def shifts_ang(self) -> np.ndarray | None:
        """(N, 2) float64. Where the feature is, minus `origins_ang`, in the image freed of uneven magnification."""
        origins = self.origins_ang
        return None if origins is None else moved_in_groups(-origins, self.aberrations, self.optics_group)

    def origins_of(self, rows: np.ndarray, shifts_ang: np.ndarray) -> np.ndarray:
        """(R, 2) float64. rlnOriginX/YAngst of the particles at `rows` (R,) for `shifts_ang` (R, 2) as above."""
        return -moved_in_groups(shifts_ang, self.aberrations, self.optics_group[rows], back=True)

    def ctf(self) -> CtfParams | None:
        """CTF of each particle; None when the file has no defocus column at all."""
        if not any(self._has(name) for name in ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")):
            return None
        u, v, angle, voltage, aberration, contrast = (self.numbers(name) for name in _CTF_NEEDED)
        params = CtfParams(
            defocus_u_ang=u,
            defocus_v_ang=v,
            defocus_angle_deg=angle,
            voltage_kv=voltage,
            spherical_aberration_mm=aberration,
            amplitude_contrast=contrast,
            phase_shift_deg=self._optional("rlnPhaseShift", 0.0),
            b_factor_ang2=self._b_factor_ang2(),
            scale=self._optional("rlnCtfScalefactor", 1.0),
            even_zernike=even_zernike(self.aberrations, self.optics_group),
            dose_per_ang2=self.numbers(_DOSE) if {_DOSE, _TILT} <= set(self.frame) else None,
        )
        require_possible(self.path, params)
        return params

    def _b_factor_ang2(self) -> np.ndarray:
        """(N,) B-factors, positive where the envelope falls with frequency; Warp and M write those as negative."""
        values = self._optional("rlnCtfBfactor", 0.0)
        require_possible_b_factor(self.path, values)
        return -values if (values <= 0).all() else values

    def flag(self, name: str) -> np.ndarray:
        """(N,) bool. A yes/no column that may be absent (then all no)."""
        return self._optional(name, 0.0) != 0

    def column(self, name: str) -> pd.Series:
        """Values of a column of the particle table, or of the optics table handed down to each particle.

        Raises DataError when neither table has it.
        """
        if name in self.frame:
            return self.frame[name]
        if self.optics is None:
            raise DataError(
                f"{self.path}: the column {name} is missing. Add it, or export the particles again with it."
            )
        if name not in self.optics:
            raise DataError(
                f"{self.path}: the column {name} is missing, from the particle table and from the optics table. "
                "Add it, or export the particles again with it."
            )
        return self.optics[name].iloc[self.optics_group].reset_index(drop=True)

    def numbers(self, name: str, missing_ok: bool = False) -> np.ndarray:
        """(N,) float64 of a numeric column. Raises DataError for text, and for NaN unless `missing_ok`."""
        values = self.column(name)
        with understood(f"{self.path}: the numeric column {name} cannot be read ({WHY}). Correct it."):
            numeric = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
        if not pd.api.types.is_numeric_dtype(values):
            text = np.flatnonzero(np.isnan(numeric) & values.notna().to_numpy())
            if len(text):
                raise DataError(
                    f"{self.path}: row {text[0] + 1:,} has {values.iloc[text[0]]!r} in the numeric column {name} "
                    f"({len(text):,} such rows). Correct or remove them."
                )
        missing = np.flatnonzero(~np.isfinite(numeric))
        if len(missing) and not missing_ok:
            raise DataError(
                f"{self.path}: {len(missing):,} of {self.n:,} particles have no number in {name}, the first is row "
                f"{missing[0] + 1:,}. Correct or remove them."
            )
        return numeric

    def _optional(self, name: str, default: float) -> np.ndarray:
        return self.numbers(name) if self._has(name) else np.full(self.n, default)

    def _has(self, name: str) -> bool:
        return name in self.frame or (self.optics is not None and name in self.optics)


@dataclass(frozen=True)
class TiltFiles:
    """The files that a table of M tilt images was made of, and how its images relate to their particles."""

    particles: ParticleTable
    """N particles, as they are in their file."""
    particle: np.ndarray
    """(M,) int64. Particle row of each image."""
    stages: np.ndarray
    """(M, 3, 3). From a particle as it was cut out to the view of the image."""
    tomograms: Path
    more: dict[str, str]
    """What else the optimisation set names, by label."""


def read_particles(path: str | os.PathLike) -> ParticleTable:
    """Read the particles of a star file of RELION 3.0, 3.1, 4 or 5.

    Raises
    ------
    DataError : not a star file, no particles, or no rlnImageName.
    """
    path = Path(path)
    tables = read_star(path)
    with understood(f"{path}: cannot be read ({WHY}). Give a star file of extracted particles."):
        return _particles(path, tables)


def _particles(path: Path, tables: dict[str, pd.DataFrame]) -> ParticleTable:
    optics = tables.get("optics")
    if "particles" in tables:
        frame = tables["particles"]
    elif optics is None:
        frame = next((table for table in tables.values() if "rlnImageName" in table), next(iter(tables.values())))
    else:
        raise DataError(f"{path}: it has an optics table but no data_particles. Give the particles star file.")
    if "rlnImageName" not in frame:
        theirs = any(name.startswith("cisTEM") for name in frame)
        how = "Export the particles from cisTEM for RELION" if theirs else "Give a star file of extracted particles"
        raise DataError(f"{path}: the column rlnImageName is missing. {how}.")
    if not len(frame):
        raise DataError(f"{path}: it lists no particles. Select some and export again.")
    if optics is not None and not len(optics):
        raise DataError(f"{path}: its optics table is empty. Export the particles again from RELION.")
    table = ParticleTable(path, frame, optics, tables)
    refuse_volumes(table)
    return table


def refuse_volumes(table: ParticleTable) -> None:
    """Raise DataError for subtomograms, whose images are volumes."""
    name = "rlnImageDimensionality"
    dimensions = next((each[name] for each in (table.frame, table.optics) if each is not None and name in each), None)
    if dimensions is not None and (pd.to_numeric(dimensions, errors="coerce") == 3).any():
        raise DataError(
            f"{table.path}: rlnImageDimensionality is 3: these are subtomograms, volumes and not images, which are not "
            "read. Extract the particles as 2D stacks of their tilts (RELION 5) and give the optimisation set."
        )
