"""One map from particles with poses, with its half-maps, mask, FSC curves and resolution, over all and by direction."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves, tied_images, united
from ..errors import ConfigError, DataError
from ..imaging.noise import estimate_noise
from ..io.mrc import read_map
from ..ranks import Ranks
from .backproject import half_maps
from .directional_fsc import DirectionalFsc, directional_fsc
from .fsc import FscCurves, fsc_corrected, resolution
from .masks import mask_from_map, spherical_mask
from .view_gaps import ViewGaps, view_gaps


@dataclass(frozen=True)
class Reconstruction:
    """A map and how well it is known. Maps are (D, D, D) float32, protein white, in the grey scale of the images."""

    volume: np.ndarray
    half1: np.ndarray
    half2: np.ndarray
    mask: np.ndarray
    curves: FscCurves
    pixel_size_ang: float
    n_particles: int
    halves_from: str
    """`rlnRandomSubset` or `random`."""
    views: ViewGaps

    @property
    def box(self) -> int:
        return self.volume.shape[0]

    def resolution_ang(self, threshold: float = 0.143) -> float:
        """Where the corrected FSC falls below `threshold`."""
        return resolution(self.curves.corrected, self.pixel_size_ang, self.box, threshold)

    @cached_property
    def directions(self) -> DirectionalFsc:
        """The same curves by direction: views that are uneven, or missing, show here only."""
        maps = (self.half1, self.half2)
        return directional_fsc(*maps, self.pixel_size_ang, self.mask, self.curves, self.views)

    @property
    def reaches_nyquist(self) -> bool:
        """Whether the data stop before the map does; a larger box may then show more."""
        return self.resolution_ang() <= 2 * self.pixel_size_ang


def reconstruct(
    dataset: ParticleDataset,
    mask: str = "auto",
    halves: str = "auto",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    ranks: Ranks | None = None,
) -> Reconstruction:
    """Backproject all particles and both halves, reading the images once.

    Parameters
    ----------
    mask : auto (from the map), sphere, or the path of a map of the same box.
    halves : auto (rlnRandomSubset if the star file has it, else random), star or random (`drawn_halves`).
    seed : of the random halves and of the random phases of the FSC.
    progress : told (particles done, all particles).
    ranks : processes that share the pass over the images; each has the result.
    """
    dataset.require_poses()
    # A mask that does not fit should be known before the particles are read.
    soft_mask = None if mask in ("auto", "sphere") else _fitting_mask(mask, dataset.box)
    given_by_file = given_halves(dataset, halves)
    labels = drawn_halves(dataset, seed) if given_by_file is None else given_by_file
    noise = estimate_noise(dataset, seed) if dataset.has_noise else None
    maps = half_maps(dataset, seed, noise=noise, halves=labels, progress=progress, ranks=ranks)
    if mask == "sphere":
        soft_mask = spherical_mask(dataset.box)
    elif soft_mask is None:
        soft_mask = mask_from_map(maps.combined, dataset.pixel_size_ang)
    return Reconstruction(
        volume=maps.combined,
        half1=maps.half1,
        half2=maps.half2,
        mask=soft_mask,
        curves=fsc_corrected(maps.half1, maps.half2, soft_mask, seed),
        pixel_size_ang=dataset.pixel_size_ang,
        n_particles=dataset.n,
        halves_from="random" if given_by_file is None else "rlnRandomSubset",
        views=view_gaps(dataset.rotations),
    )


def given_halves(dataset: ParticleDataset, halves: str) -> np.ndarray | None:
    """0 or 1 per particle from rlnRandomSubset, or None for random halves. Tilts of a particle and copies of
    an image follow the first."""
    if halves not in ("auto", "star", "random"):
        raise ConfigError(f"The halves are {halves!r}; choose auto, star or random.")
    table = dataset.table
    if halves == "random" or (halves == "auto" and "rlnRandomSubset" not in table.frame):
        return None
    subset = table.column("rlnRandomSubset").to_numpy()[dataset.rows]
    if set(np.unique(subset)) == {1, 2}:
        return united((subset == 2).astype(np.int8), tied_images(dataset))
    if halves == "auto":
        return None
    values = ", ".join(map(str, np.unique(subset)[:5]))
    raise DataError(f"{table.path}: rlnRandomSubset is {values} and not both 1 and 2; use random halves.")


def _fitting_mask(path: str, box: int) -> np.ndarray:
    mask, _ = read_map(path)
    if mask.shape != (box,) * 3:
        size = " × ".join(map(str, mask.shape))
        raise DataError(f"{path}: the mask has {size} voxels and the map {box} in each direction; they must be equal.")
    if mask.min() < 0 or mask.max() > 1 or not mask.any():
        raise DataError(f"{path}: a mask has values from 0 to 1; this one has {mask.min():.3g} to {mask.max():.3g}.")
    return mask
