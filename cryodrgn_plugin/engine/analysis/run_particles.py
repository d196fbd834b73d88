"""The particles of a finished run, in the order of its latents: their rows in a file, and their images with poses."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..geometry.rotations import matrices_from_euler
from ..io.found_poses import STAR_ROW
from ..io.particles import ParticleTable, read_particles
from ..io.tables import read_table
from ..reconstruction.view_gaps import ViewGaps, view_gaps
from ..run import Run


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


def particles_of(run: Run) -> RunParticles:
    """The particles of a run that has latents. Raises DataError when the file does not have them any more."""
    rows = run.latents().rows
    if not run.poses_file.exists():
        table, lines = read_table(run.given_file, run.config.root), rows
    else:
        table = read_particles(run.poses_file)
        listed = pd.Index(table.frame[STAR_ROW] if STAR_ROW in table.frame else np.arange(table.n))
        lines = listed.get_indexer(rows)
    if len(lines) and (lines.min() < 0 or lines.max() >= table.n):
        raise DataError(f"{table.path} lacks particles that {run.path} was made from; has it been changed since?")
    return RunParticles(table, lines.astype(np.int64))


def images_of(run: Run) -> ParticleDataset:
    """The images of a run, prepared by its settings, with the poses that its latents rest on."""
    particles = particles_of(run)
    settings = replace(run.config.data, max_particles=0)
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
