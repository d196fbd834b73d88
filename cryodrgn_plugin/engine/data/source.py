"""What a dataset and its subsets share: the table, the stacks, the common lattice and how each group is prepared.

Rows count the particles of the star file. See `ParticleDataset` for the meaning of everything here.
"""

import dataclasses
from functools import cached_property
from pathlib import Path

import numpy as np

from ..config import DataConfig
from ..errors import DataError
from ..geometry.rotations import matrices_from_euler
from ..geometry.shifts import shift_phases
from ..imaging.correction import Correction
from ..imaging.ctf import CtfParams, defocus_slopes, evaluate_ctf
from ..imaging.lattice import HalfPlane
from ..imaging.outliers import Mended, mended, typical_reach
from ..imaging.preprocess import background, fourier_crop, has_noise
from ..io.optics_terms import about_detector, not_applied
from ..io.particles import ParticleTable
from ..io.stacks import StackReader
from .groups import optics_geometry
from .preparation import Preparation
from .sign import SAMPLE, measure_contrast
from .spectra_store import SpectraStore

_NOISE_SAMPLE, _PIXELS_AT_ONCE = 100, 2**17
_COEFFICIENTS_ASKED, _IMAGES_AT_ONCE = 400, 1000


class ParticleSource:
    """Prepared images, CTFs and poses by star-file row."""

    def __init__(self, table: ParticleTable, config: DataConfig, folders: list[Path], seed: int) -> None:
        self.table = table
        self.config = config
        self.notes: list[str] = []
        self.ctf_params = None if config.ctf_applied == "corrected" else table.ctf()
        self.phase_flipped, self.multiplied = self._transfer()
        self.group = table.optics_group
        self.stacks = StackReader(table.image_names, folders, str(table.path))
        self.geometry = optics_geometry(table, self.stacks, config.box)
        self.lattice = HalfPlane(self.geometry.box, self.geometry.box // 2 - 1)
        self.reach = self.geometry.reach(self.lattice)
        self.notes += [*not_applied(table, with_ctf=self.ctf_params is not None), *about_detector(table)]
        if self.multiplied.any():
            self.notes.append(
                f"{table.path}: images were multiplied by their CTF before. Closed forms allow for it; the network "
                "recipes take them as seen through CTF², which leaves their noise uneven."
            )
        self.store: SpectraStore | None = None
        """Where prepared spectra of its images lie on disk, if they do."""
        self.sign = 1
        self.preparations = self._preparations(np.random.default_rng(seed))
        self.sign = self._settle_sign(np.random.default_rng(seed))
        self.preparations = [dataclasses.replace(p, gain=p.gain * self.sign) for p in self.preparations]

    def _transfer(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bool each: which images had their phases flipped, which were multiplied by their CTF."""
        said = self.config.ctf_applied
        if said == "auto":
            return self.table.flag("rlnCtfDataArePhaseFlipped"), self.table.flag("rlnCtfDataAreCtfPremultiplied")
        return np.full(self.table.n, said == "flipped"), np.full(self.table.n, said == "multiplied")

    @cached_property
    def freqs_per_ang(self) -> np.ndarray:
        """(F, 2) float64. Frequencies of the lattice at the reference extent."""
        return self.lattice.indices / (self.geometry.box * self.geometry.pixel_size_ang)

    @cached_property
    def frequency_ratio(self) -> np.ndarray:
        """(n,) float64. Reference extent over each particle's extent."""
        return self.geometry.frequency_ratio[self.group]

    @cached_property
    def rotations(self) -> np.ndarray | None:
        """(n, 3, 3) float32, scaled by `frequency_ratio`; None without angles."""
        if self.table.euler_deg is None:
            return None
        angles = np.nan_to_num(self.table.euler_deg, posinf=0, neginf=0)
        return (matrices_from_euler(angles) * self.frequency_ratio[:, None, None]).astype(np.float32)

    @cached_property
    def shifts_ang(self) -> np.ndarray | None:
        """(n, 2) float32, `table.shifts_ang` scaled by `frequency_ratio`; None without angles, 0 without origins."""
        if self.table.euler_deg is None:
            return None
        shifts_ang = self.table.shifts_ang
        if shifts_ang is None:
            return np.zeros((self.table.n, 2), np.float32)
        return (np.nan_to_num(shifts_ang, posinf=0, neginf=0) * self.frequency_ratio[:, None]).astype(np.float32)

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """Images as stored, (B, D, D) float32. Raises DataError naming the first row whose image is not finite."""
        images = self.stacks.read(rows)
        self.require_finite(rows, np.isfinite(images).all((1, 2)))
        return images

    def mended(self, group: int, rows: np.ndarray) -> Mended:
        """Images of one group without grey values that are far out, and what was wrong with them. Raises as `raw`."""
        found = self.preparations[group].mended(self.stacks.read(rows))
        self.require_finite(rows, found.seen.finite)
        return found

    def require_finite(self, rows: np.ndarray, finite: np.ndarray) -> None:
        """Raises DataError naming the first of star rows (B,) whose image is not finite; `finite` (B,) bool."""
        bad = rows[~finite]
        if len(bad):
            raise DataError(
                f"{self.table.path}: the image of row {bad.min() + 1:,} ({self.table.image_names[bad.min()]}) "
                f"holds NaN or infinite values; so do {len(bad):,} of the {len(rows):,} images read together. "
                "Remove such particles, or extract them again."
            )

    def unwindowed(self, rows: np.ndarray) -> np.ndarray:
        """(B, D, D) float32 prepared images, before the circular window."""
        result = np.empty((len(rows), self.geometry.box, self.geometry.box), np.float32)
        for group, members in self.by_group(rows):
            result[members] = self.preparations[group].unwindowed(self.raw(rows[members]))
        return result * self.strength[rows, None, None] if self.multiplied.any() else result

    def spectra(self, rows: np.ndarray) -> np.ndarray:
        """(B, F) complex64 prepared spectra."""
        result = np.empty((len(rows), self.lattice.size), np.complex64)
        for group, members in self.by_group(rows):
            step = self.read_together(group)
            for start in range(0, len(members), step):
                some = members[start : start + step]
                result[some] = self.transformed(group, self.mended(group, rows[some]).images)
        return result * self.factors(rows)[:, None] if self.multiplied.any() else result

    def kept(self, rows: np.ndarray, count: int | None = None) -> np.ndarray:
        """(B, F) complex64. The first `count` of `spectra`, or all, as the store has them where there is one."""
        return self.spectra(rows)[:, :count] if self.store is None else self.store.spectra(rows, count)

    def read_together(self, group: int) -> int:
        """How many images of a group to prepare at a time: few stay in the processor's cache, twice as fast."""
        return max(4, _PIXELS_AT_ONCE // int(self.geometry.boxes[group]) ** 2)

    def transformed(self, group: int, images: np.ndarray) -> np.ndarray:
        """(B, F) complex64, without `strength`, of (B, D', D') mended images of one group; may overwrite these."""
        spectra = self.preparations[group].spectra_of(images, self.lattice)
        if self.reach[group] < self.lattice.size:
            spectra[:, self.reach[group] :] = 0
        return spectra

    def factors(self, rows: np.ndarray) -> np.ndarray:
        """(B,) float32 of `strength`."""
        return self.strength[rows] if self.multiplied.any() else np.ones(len(rows), np.float32)

    @cached_property
    def strength(self) -> np.ndarray:
        """(n,) float32 what prepared images are multiplied by: 1 but for noisy ones that were multiplied by their CTF.

        Those have noise of unit variance before that, as others have it, and in the mean of their optics group after
        it: where a tilt, or the dose before it, left less of an image, it stays fainter than others.
        """
        strength = np.ones(self.table.n, np.float32)
        some = np.arange(0, self.lattice.size, max(1, self.lattice.size // _COEFFICIENTS_ASKED))
        for group, members in self.by_group(np.flatnonzero(self.multiplied)) if self.ctf_params is not None else ():
            freqs = self.freqs_per_ang[some] * self.geometry.frequency_ratio[group]
            rows = np.flatnonzero(self.multiplied)[members]
            lots = [rows[start : start + _IMAGES_AT_ONCE] for start in range(0, len(rows), _IMAGES_AT_ONCE)]
            square = np.concatenate([np.square(evaluate_ctf(self.ctf_params[lot], freqs)).mean(1) for lot in lots])
            if self.preparations[group].has_noise and square.any():
                strength[rows] = np.sqrt(square / square.mean())
        return strength

    def ctf(self, rows: np.ndarray, moved_ang: np.ndarray | None = None, count: int | None = None) -> np.ndarray:
        """(B, F) float32. CTF at each group's own frequencies; 1 without CTF, 0 beyond the frequency limit.

        Of groups whose images had their phases flipped on extraction it is the modulus. `moved_ang` (B,) is added to
        the defocus of the file, by which phases were flipped. F is `count`, or all of the lattice.
        """
        result = np.ones((len(rows), count or self.lattice.size), np.float32)
        for group, members in self.by_group(rows):
            if self.ctf_params is not None:
                freqs = self.freqs_per_ang[:count] * self.geometry.frequency_ratio[group]
                values = given = evaluate_ctf(self.ctf_params[rows[members]], freqs)
                if moved_ang is not None:
                    values = evaluate_ctf(self._moved(rows[members], moved_ang[members]), freqs)
                result[members] = np.sign(given) * values if self.phase_flipped[rows[members[0]]] else values
            if self.reach[group] < result.shape[1]:
                result[members, self.reach[group] :] = 0
        return result

    def defocus_slopes(
        self, rows: np.ndarray, moved_ang: np.ndarray | None = None, count: int | None = None
    ) -> np.ndarray:
        """(B, F) float32 in 1/Å. Relative change of `ctf` with the defocus (`imaging.ctf`), 0 beyond the limit.

        Images that were multiplied by their CTF were so at the defocus given, and have none. F as of `ctf`.
        """
        result = np.zeros((len(rows), count or self.lattice.size), np.float32)
        moved_ang = np.zeros(len(rows)) if moved_ang is None else moved_ang
        for group, members in self.by_group(rows):
            freqs = self.freqs_per_ang * self.geometry.frequency_ratio[group]
            reach = min(int(self.reach[group]), result.shape[1])
            result[members, :reach] = defocus_slopes(self._moved(rows[members], moved_ang[members]), freqs[:reach])
        return result

    def as_stored(self, rows: np.ndarray, spectra: np.ndarray) -> np.ndarray:
        """(B, F) complex64. What stored images would show of (B, F) modelled spectra, aberrations included."""
        shown = np.array(spectra, np.complex64)
        for group, members in self.by_group(rows):
            correction = self.preparations[group].correction
            shown[members] = shown[members] if correction is None else correction.put_on(shown[members])
        return shown

    def _moved(self, rows: np.ndarray, by_ang: np.ndarray) -> CtfParams:
        """CTF parameters with the defocus moved."""
        assert self.ctf_params is not None
        return self.ctf_params[rows].defocused(by_ang)

    def by_group(self, rows: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The optics groups among `rows` and the places of their members."""
        groups = self.group[rows]
        if (groups == groups[:1]).all():
            return [(int(group), np.arange(len(groups))) for group in groups[:1]]
        return [(int(group), np.flatnonzero(groups == group)) for group in np.unique(groups)]

    def _preparations(self, rng: np.random.Generator) -> list[Preparation]:
        noisy, reaches = np.ones(len(self.geometry.boxes), bool), np.zeros(len(self.geometry.boxes))
        outside = background(self.geometry.box, self.config.window)
        for group in np.unique(self.group):
            members = np.flatnonzero(self.group == group)
            some = np.sort(rng.choice(members, min(len(members), _NOISE_SAMPLE), replace=False))
            raw = self.raw(some)
            noisy[group] = has_noise(fourier_crop(raw, self.geometry.box), outside)
            reaches[group] = 0.0 if noisy[group] else typical_reach(raw)
            if mended(raw, reaches[group]).lost.mean() > 0.5:
                reaches[group] = np.inf  # so few electrons that most grey values are equal
        gains = self.geometry.amplitude(noisy)
        return [
            Preparation(
                self.geometry.box, self.config.window, bool(noise), float(gain), float(reach), self._correction(group)
            )
            for group, (noise, gain, reach) in enumerate(zip(noisy, gains, reaches, strict=True))
        ]

    def _correction(self, group: int) -> Correction | None:
        """What the spectra of a group are freed of. Phases are those of the CTF's microscope, and go with it."""
        aberrations = self.table.aberrations[group]
        members = np.flatnonzero(self.group == group)
        turns = aberrations.turns_phases and self.ctf_params is not None
        if not len(members) or not (turns or aberrations.distorts):
            return None
        phases = None
        if turns:
            freqs, ctf = self.freqs_per_ang * self.geometry.frequency_ratio[group], self.ctf_params[members[0]]
            phases = aberrations.phase_factor(freqs, ctf.voltage_kv, ctf.spherical_aberration_mm)
        return Correction(aberrations, self.lattice, phases)

    def _settle_sign(self, rng: np.random.Generator) -> int:
        rows = np.sort(rng.choice(self.table.n, min(self.table.n, SAMPLE), replace=False))
        spectra, ctf = self.spectra(rows), self.ctf(rows)
        if self.shifts_ang is not None:
            spectra *= shift_phases(-self.shifts_ang[rows], self.freqs_per_ang)
        contrast = measure_contrast(spectra, ctf, self.lattice)
        measured = {1: "white", -1: "black"}[contrast.sign]
        chosen = self.config.sign
        if chosen == "auto":
            if not contrast.is_known:
                self.notes.append(
                    f"{self.table.path}: whether protein is white or black could not be measured ({contrast.z:+.1f} "
                    "standard errors); it is taken to be white, RELION's default. Set data.sign to black if it is not."
                )
                return 1
            if contrast.sign < 0:
                self.notes.append(f"{self.table.path}: protein is black in these images; they are inverted on reading.")
            return contrast.sign
        if contrast.is_known and measured != chosen:
            self.notes.append(
                f"{self.table.path}: data.sign is {chosen}, but protein looks {measured} in these images "
                f"({contrast.z:+.1f} standard errors "
                f"over {len(rows):,} images); maps will come out inverted. Set data.sign to {measured} or auto."
            )
        return 1 if chosen == "white" else -1
