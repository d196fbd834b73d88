"""The particles of a star file as the engine sees them: prepared spectra, CTF and poses, read from disk when asked for.

Preparation, in order: Fourier crop to one box, subtraction of the background mean and division by the background
standard deviation (both measured outside the particle circle; noise-free images keep their grey values), a soft
circular window, and the sign that makes protein white.

Optics groups may differ in pixel size and box. Each is cropped to the same number of pixels, so coefficient k of a
group of extent L_g = box · pixel lies at the frequency k/L_g, and not at k/L of the reference group (the one with most
particles). Rotations and shifts of such particles are multiplied by L/L_g: slices are then taken, and shifts undone, at
the right physical frequency by code that knows one lattice only. Coefficients beyond the reference's frequency limit
are 0 in spectra and CTF. Amplitudes are brought to the reference's: equal doses give equal noise per Å².
"""

import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ..config import DataConfig
from ..errors import DataError
from ..imaging.ctf import CtfParams
from ..imaging.lattice import HalfPlane
from ..imaging.preprocess import soft_window
from ..io.chosen_rows import particle_of_image
from ..io.particles import ParticleTable
from ..io.tables import read_table, search_folders
from .batch import ImageBatch, Pose, numbers_of
from .cache import SpectraCache
from .copies import Copies, find_copies
from .first_look import FirstLook
from .given_poses import require_poses
from .image_store import shared_store
from .looking import look_at
from .source import ParticleSource


class ParticleDataset:
    """N particles of a star file; subsets share files and cache. Make one with `ParticleDataset.open`."""

    def __init__(self, source: ParticleSource, rows: np.ndarray, cache: SpectraCache) -> None:
        self.source = source
        self.rows = rows
        """(N,) int64. Star-file row of each particle, counted from 0."""
        self.cache = cache
        self._own_poses: Pose | None = None
        """In place of the file's, times L/L_g; see `with_poses`."""
        self._ignores_file, self.squares_ctf = False, False
        self.defocus_moved_ang: np.ndarray | None = None
        """(N,) by how much the defocus is another than the file's; see `with_defocus_moved`."""

    @classmethod
    def open(
        cls, path: str | os.PathLike, config: DataConfig | None = None, root: str | os.PathLike = "", seed: int = 0
    ) -> "ParticleDataset":
        """Open a star file and check everything that can be checked without reading all images.

        Parameters
        ----------
        path : RELION particles star file, optimisation set of tilt series (their tilt images are the particles), or
            cryoSPARC particles (.cs or .csg).
        config : box, window, sign, number of particles, memory.
        root : folder that image paths start from; empty tries the working folder, the star file's and its parents.
        seed : of the random choice of `config.max_particles`, and of the samples on which sign and noise are looked at.

        Raises
        ------
        DataError : one sentence for whatever is wrong with the star file or its stacks.
        """
        config = config or DataConfig()
        folders = search_folders(Path(path), root)
        source = ParticleSource(read_table(path, root, config.passthrough), config, folders, seed)
        rows = np.arange(source.table.n)
        if 0 < config.max_particles < len(rows):
            rows = np.sort(np.random.default_rng(seed).choice(rows, config.max_particles, replace=False))
        source.store = shared_store(config.store, source, rows)
        return cls(source, rows, SpectraCache(source.table.n, source.lattice.size, config.cache_mb))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n(self) -> int:
        """Number of particles."""
        return len(self.rows)

    @property
    def box(self) -> int:
        """Box in pixels, after downsampling."""
        return self.source.geometry.box

    @property
    def pixel_size_ang(self) -> float:
        """Pixel size after downsampling, of the reference optics group."""
        return self.source.geometry.pixel_size_ang

    @property
    def lattice(self) -> HalfPlane:
        """The coefficients that spectra and CTFs have."""
        return self.source.lattice

    @cached_property
    def freqs_per_ang(self) -> np.ndarray:
        """(F, 2) float32. Frequencies of the lattice at the reference extent."""
        return self.source.freqs_per_ang.astype(np.float32)

    @property
    def table(self) -> ParticleTable:
        """The whole star file; particle i of this dataset is its row `rows[i]`."""
        return self.source.table

    @property
    def sign(self) -> int:
        """+1 where the stored images show protein white, −1 where they are inverted on reading."""
        return self.source.sign

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences a user should see before training, such as a sign that does not fit the images."""
        return tuple(self.source.notes)

    @property
    def config(self) -> DataConfig:
        return self.source.config

    @property
    def has_noise(self) -> bool:
        """Whether images are normalised by their background; False for noise-free projections."""
        return all(self.source.preparations[group].has_noise for group in np.unique(self.optics_group))

    @cached_property
    def optics_group(self) -> np.ndarray:
        """(N,) int64, counted from 0."""
        return self.source.group[self.rows]

    @property
    def n_optics_groups(self) -> int:
        return self.table.n_optics_groups

    @cached_property
    def ctf_multiplied(self) -> np.ndarray:
        """(N,) bool. Whether the images were multiplied by their CTF already, which batches do not allow for."""
        return self.source.multiplied[self.rows] & (not self.squares_ctf)

    @cached_property
    def ctf_params(self) -> CtfParams | None:
        """CTF parameters, or None for images without CTF."""
        given, moved_ang = self.source.ctf_params, self.defocus_moved_ang
        given = None if given is None else given[self.rows]
        return given if given is None or moved_ang is None else given.defocused(moved_ang)

    @cached_property
    def rotations(self) -> np.ndarray | None:
        """(N, 3, 3) float32, volume to view, times L/L_g (see above). None without angles."""
        if self._own_poses is not None:
            return self._own_poses.rotations
        return None if self._ignores_file or self.source.rotations is None else self.source.rotations[self.rows]

    @cached_property
    def shifts_ang(self) -> np.ndarray | None:
        """(N, 2) float32. Displacement of the feature times L/L_g; 0 without origins, None without angles."""
        if self._own_poses is not None:
            return self._own_poses.shifts_ang
        return None if self._ignores_file or self.source.shifts_ang is None else self.source.shifts_ang[self.rows]

    @cached_property
    def frequency_ratio(self) -> np.ndarray:
        """(N,) float64. L/L_g, which is 1 unless optics groups differ in extent."""
        return self.source.frequency_ratio[self.rows]

    @cached_property
    def stored_order(self) -> np.ndarray:
        """(N,) int64. Particle numbers in the order in which their images lie on disk."""
        rank = np.empty(self.table.n, np.int64)
        rank[self.source.stacks.stored_order] = np.arange(self.table.n)
        return np.argsort(rank[self.rows], kind="stable")

    @cached_property
    def first_look(self) -> FirstLook:
        """What reading all images once shows of them. Raises DataError naming one that is not finite."""
        return look_at(self.source, self.rows)

    @cached_property
    def copies(self) -> Copies:
        """Which images are copies of others; reads all images once."""
        return find_copies(self.source, self.first_look)

    def usable(self) -> "ParticleDataset":
        """The particles whose images say something, those of a tilt pair together; self where all do."""
        lost = self.first_look.lost
        if not lost.any():
            return self
        particle = particle_of_image(self.table)[self.rows]
        if lost.all():
            raise DataError(f"{self.table.path}: none of its {self.n:,} images says anything; extract them again.")
        return self.subset(~np.isin(particle, particle[lost]))

    def subset(self, index: np.ndarray) -> "ParticleDataset":
        """The particles at `index` (numbers or a mask), sharing files and cache with this dataset."""
        part = self._of(self.rows[index], index)
        part._ignores_file = self._ignores_file
        if self._own_poses is not None:
            part._own_poses = Pose(self._own_poses.rotations[index], self._own_poses.shifts_ang[index])
        return part

    def with_poses(self, rotations: np.ndarray, shifts_ang: np.ndarray) -> "ParticleDataset":
        """The same particles with other poses than the file's, which need not have any: rotations (N, 3, 3), volume to
        view, and shifts_ang (N, 2), the displacement of the feature.
        """
        posed = self._of(self.rows, slice(None))
        ratio = self.frequency_ratio
        posed._own_poses = Pose(
            (rotations * ratio[:, None, None]).astype(np.float32), (shifts_ang * ratio[:, None]).astype(np.float32)
        )
        return posed

    def with_defocus_moved(self, moved_ang: np.ndarray) -> "ParticleDataset":
        """The same particles at the same poses with another defocus: the file's, both values moved by (N,) angstrom."""
        moved = self.subset(np.arange(self.n))
        moved.defocus_moved_ang = np.asarray(moved_ang, dtype=np.float64)
        return moved

    def physical_poses(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (N, 3, 3) and shifts (N, 2) in Å, not scaled by optics groups: what `with_poses` takes; float64."""
        ratio = self.frequency_ratio
        rotations = self.rotations.astype(np.float64) / ratio[:, None, None]
        return rotations, self.shifts_ang.astype(np.float64) / ratio[:, None]

    def without_poses(self) -> "ParticleDataset":
        """The same particles as if the file had no angles and origins."""
        unposed = self._of(self.rows, slice(None))
        unposed._ignores_file = True
        return unposed

    def through_squared_ctf(self) -> "ParticleDataset":
        """The same particles, for who knows nothing of images that were multiplied by their CTF: as seen through CTF².

        A map fits them as well as before; only their noise is taken to be as strong where the CTF is weak.
        """
        squared = self.subset(np.arange(self.n))
        squared.squares_ctf = True
        return squared

    def _of(self, rows: np.ndarray, index: np.ndarray | slice) -> "ParticleDataset":
        """The particles at `index`, star rows `rows`, with what is known of their images but without poses."""
        part = ParticleDataset(self.source, rows, self.cache)
        part.squares_ctf = self.squares_ctf
        part.defocus_moved_ang = self._moved_ang(index)
        for name in ("first_look", "copies"):
            if name in self.__dict__:
                setattr(part, name, self.__dict__[name].at(index))
        return part

    @property
    def is_posed(self) -> bool:
        """Whether every particle has a pose, from the file or from `with_poses`."""
        return self._own_poses is not None or self.rotations is not None

    def require_poses(self) -> None:
        """Raise DataError unless every particle has angles and, if there are any, origins."""
        if self._own_poses is None:
            require_poses(self.table, self.rows)

    def images(self, index: np.ndarray) -> np.ndarray:
        """(B, D, D) float32 prepared real-space images."""
        return self.unwindowed(index) * soft_window(self.box, self.config.window)

    def unwindowed(self, index: np.ndarray) -> np.ndarray:
        """(B, D, D) float32. As `images`, before the circular window: the background is still there."""
        return self.source.unwindowed(self.rows[numbers_of(index)])

    def batch(self, index: np.ndarray, count: int | None = None) -> ImageBatch:
        """Spectra, CTF and poses of particles (numbers or a mask), on the first `count` coefficients (None: all).

        Raises DataError naming the row of an image that holds NaN or infinite values.
        """
        observed = self.observed(index, count)
        rows = self.rows[observed.index]
        ctf = self.source.ctf(rows, self._moved_ang(observed.index), count)
        if self.squares_ctf:
            ctf = np.where(self.source.multiplied[rows, None], ctf**2, ctf)
        return replace(observed, ctf=ctf)

    def observed(self, index: np.ndarray, count: int | None = None) -> ImageBatch:
        """As `batch`, without CTF."""
        index = numbers_of(index)
        rows, pose = self.rows[index], None
        if self.rotations is not None and self.shifts_ang is not None:
            pose = Pose(self.rotations[index][:, None], self.shifts_ang[index][:, None])
        in_memory = self.cache.holds_all or self.source.store is None
        spectra = self.cache.get(rows, self.source.kept, count) if in_memory else self.source.kept(rows, count)
        return ImageBatch(index, spectra, None, pose, self.optics_group[index], self.freqs_per_ang[:count])

    def defocus_slopes(self, index: np.ndarray, count: int | None = None) -> np.ndarray:
        """(B, F) float32 in 1/Å. By how much of itself each CTF changes with the defocus; F as of `batch`."""
        return self.source.defocus_slopes(self.rows[index], self._moved_ang(index), count)

    def _moved_ang(self, index: np.ndarray | slice) -> np.ndarray | None:
        return None if self.defocus_moved_ang is None else self.defocus_moved_ang[index]
