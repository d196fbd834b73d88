"""The particles of a finished run, in the order of its latents: their rows in a file, and their images with poses."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..data.copies import joined, listed_copies
from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..geometry.rotations import matrices_from_euler
from ..io.found_poses import STAR_ROW
from ..io.particles import ParticleTable, read_particles
from ..io.stacks import locate_stacks
from ..io.tables import search_folders
from ..known_copies import known_copies
from ..reconstruction.view_gaps import ViewGaps, view_gaps
from ..run import Run
from ..run_origin import ADVICE


@dataclass(frozen=True)
class RunParticles:
    """`lines` (N,) are the rows of `table` that the N latents belong to.

    The table is that of the file the run was made from or, where the run has found poses, of its poses.star: with the
    poses that the latents rest on.
    """

    table: ParticleTable
    lines: np.ndarray

    @property
    def frame(self) -> pd.DataFrame:
        """The particle rows of the latents, every column."""
        return self.table.frame.iloc[self.lines].reset_index(drop=True)

    def count(self, chosen: np.ndarray | None = None) -> int:
        """How many particles the latents are of, or those where `chosen` (N,) is true: of tilt series not their images,
        each of which has a latent."""
        lines = self.lines if chosen is None else self.lines[chosen]
        return len(lines) if self.table.tilts is None else len(np.unique(self.table.tilts.particle[lines]))


def particles_of(run: Run) -> RunParticles:
    """The particles of a run that has latents. Raises DataError when the file does not have them any more."""
    rows = run.latents().rows
    if not run.poses_file.exists():
        table, lines = run.given_particles(), rows
    else:
        table = read_particles(run.poses_file)
        listed = pd.Index(table.frame[STAR_ROW] if STAR_ROW in table.frame else np.arange(table.n))
        lines = listed.get_indexer(rows)
    if len(lines) and (lines.min() < 0 or lines.max() >= table.n):
        raise DataError(f"{table.path} lacks particles that {run.path} was made from; has it been changed since?")
    return RunParticles(table, lines.astype(np.int64))


def shown_by(run: Run, particles: RunParticles) -> np.ndarray:
    """(N,) int64. What the image of each latent shows, from 0 as they come: equal for copies of an image.

    Copies are those that training saw and those that names and places tell.
    """
    return joined(known_copies(run, run.latents().rows), listed_copies(particles.table, particles.lines).shown)


def require_images(run: Run, particles: RunParticles | None = None) -> None:
    """Raise DataError, in a second, unless the files of the run's images are there; `particles` are the run's."""
    table = (particles or particles_of(run)).table
    stacks = list(dict.fromkeys(name.rpartition("@")[2] for name in table.image_names))
    try:
        locate_stacks(stacks, search_folders(table.path, run.config.root), str(table.path))
    except DataError as error:
        raise DataError(f"{error} {ADVICE}") from None


def images_of(run: Run) -> ParticleDataset:
    """The images of a run, prepared by its settings, with the poses that its latents rest on."""
    particles = particles_of(run)
    require_images(run, particles)
    settings = replace(run.data_settings, max_particles=0)
    path = run.poses_file if run.poses_file.exists() else run.given_file
    return ParticleDataset.open(path, settings, run.config.root, run.config.seed).subset(particles.lines)


def views_of(run: Run) -> ViewGaps | None:
    """What the views of a run leave unseen; its images are not read. None where its particles have no poses, or cannot
    be read any more, which the log says."""
    try:
        particles = particles_of(run)
    except DataError as error:
        run.log(f"Resolution by direction is left out, for the particles cannot be read: {error}")
        return None
    angles_deg = particles.table.euler_deg
    return None if angles_deg is None else view_gaps(matrices_from_euler(angles_deg[particles.lines]))
