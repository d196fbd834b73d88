"""The species that one finished run has found: which particle is in which, and the map of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..analysis.run_particles import RunParticles, particles_of, shown_by
from ..data.copies import joined
from ..errors import DataError
from ..io.chosen_rows import particle_of_image
from ..io.mrc import read_map
from ..run import Run
from ..run_layout import RunLayout
from ..slicing.fine import cropped_volume
from .same_particles import held_together

SAME_EXTENT = 0.01
"""How far the edges of maps may differ, as a share, that show the same part of space."""


@dataclass(frozen=True)
class RunSpecies:
    """A run that has told species apart. Arrays are in the order of its latents."""

    run: Run
    particles: RunParticles
    species: np.ndarray
    """(n,) int64 from 0."""
    resolution_ang: np.ndarray
    """(S,) resolution of the half-maps of each species; infinite where it has no particles."""

    @classmethod
    def of(cls, run: Run) -> "RunSpecies":
        """The species of a run. Raises DataError where it has not finished or has none."""
        if run.status != "finished":
            why = f": {run.message}" if run.message else ""
            raise DataError(f"{run.path} has not finished ({run.status}{why}); let it end, or resume it.")
        if not run.has_results("species") or not run.poses_file.exists():
            raise DataError(
                f"{run.path} has no species: nothing there told several apart. Give runs of `abinitio --species`."
            )
        told, particles = run.results("species"), particles_of(run)
        species = told.arrays_of(run.latents().rows)["species"].astype(np.int64) - 1
        reached = [entry["resolution_ang"] or np.inf for entry in told.index["species"]]
        if len(species) and not 0 <= species.min() <= species.max() < len(reached):
            raise DataError(f"{told.folder} is damaged: it has particles of species that it does not list.")
        return cls(run, particles, species, np.array(reached, np.float64))

    @cached_property
    def home(self) -> Path:
        """The folder that its maps lie in: of a run of links, that of the run which they lead to."""
        return self.run.latents_file.resolve().parent if self.run.latents_file.is_symlink() else self.run.path

    @property
    def count(self) -> int:
        return len(self.resolution_ang)

    @property
    def shown(self) -> np.ndarray:
        """(n,) int64. Equal for copies of an image and for tilt images of one particle."""
        of_particle = particle_of_image(self.particles.table)[self.particles.lines]
        return joined(shown_by(self.run, self.particles), of_particle)

    @property
    def images(self) -> list[str]:
        """`number@stack` of each particle."""
        names = self.particles.table.image_names
        return [names[line] for line in self.particles.lines]

    def map_of(self, species: int) -> tuple[np.ndarray, float]:
        """The map (D, D, D) of species 0, 1, … and its pixel size in Å. Raises DataError where it is not there."""
        file = RunLayout(self.home).found_map_file(species + 1)
        if not file.is_file():
            raise DataError(f"{file}, the map of species {species + 1}, is not there; run abinitio again.")
        return read_map(file)


def opened_runs(runs: Sequence[Run]) -> list[RunSpecies]:
    """The species of each of two or more runs. Raises DataError where a run stands there twice, or cannot be used."""
    if len(runs) < 2:
        raise DataError("Give two runs or more; one alone has nothing to agree with.")
    opened = [RunSpecies.of(run) for run in runs]
    first: dict[Path, Run] = {}
    for each in opened:
        twin = first.setdefault(each.home.resolve(), each.run)
        if twin is not each.run:
            same = f"{twin.path} and {each.run.path} are the same run" if twin.path != each.run.path else (
                f"{twin.path} stands there twice")  # fmt: skip
            raise DataError(f"{same}; give runs with different seeds or particles.")
    return opened


def require_common(runs: Sequence[RunSpecies], places: np.ndarray) -> None:
    """Raise DataError unless particles in common hold R runs together; `places` (R, N) says where particles are."""
    group = held_together(places)
    apart = np.flatnonzero(group != group[0])
    if len(apart):
        raise DataError(
            f"{runs[apart[0]].run.path} and {runs[0].run.path} have no particle in common (rlnImageName), nor with "
            "others between them; give runs of the same particles, or of parts of them that overlap."
        )


def names_of(runs: Sequence[RunSpecies]) -> list[str]:
    """A short name of each run: the part of its path in which it differs from the others."""
    parts = [list(each.home.parts) for each in runs]
    while min(map(len, parts)) > 1 and len({own[-1] for own in parts}) == 1:
        parts = [own[:-1] for own in parts]
    ends = [own[-1] for own in parts]
    return ends if len(set(ends)) == len(ends) else [str(each.home) for each in runs]


def maps_at_one_box(maps: dict[int, tuple[np.ndarray, float]], names: Sequence[str]) -> tuple[dict, float]:
    """Maps by run, with their pixel sizes, all at the smallest box; and the pixel size in Å that they then have.

    Raises DataError where they show different parts of space.
    """
    extents = {which: len(volume) * pixel_size_ang for which, (volume, pixel_size_ang) in maps.items()}
    least, most = (choose(extents, key=lambda which: extents[which]) for choose in (min, max))
    if extents[most] / extents[least] - 1 > SAME_EXTENT:
        raise DataError(
            f"Maps of {names[most]} are {extents[most]:.1f} Å wide and those of {names[least]} {extents[least]:.1f} Å; "
            "give runs of images that were cut out equally large."
        )
    box = min(len(volume) for volume, _ in maps.values())
    cubes = {which: volume for which, (volume, _) in maps.items()}
    cropped = {which: cube if len(cube) == box else cropped_volume(cube, box) for which, cube in cubes.items()}
    return cropped, extents[least] / box
