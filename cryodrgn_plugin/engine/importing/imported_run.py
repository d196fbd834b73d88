"""What every imported run has in common: its settings, and its particles opened with the latents that they have."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import RunConfig, recipe_config
from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..known_copies import save_copies
from ..run import Run
from ..source_check import settle_source
from ..vetting.at_start import vetted
from .import_options import ImportOptions


@dataclass(frozen=True)
class Opened:
    """The particles of a run that is being made, whose images can be used, and their latents."""

    dataset: ParticleDataset
    z: np.ndarray
    """(N, Z)."""
    uncertainty: np.ndarray | None


def settings_of_run(out: Path, z_dim: int, box: int, options: ImportOptions) -> RunConfig:
    """The settings of the run. Its particles are in the run unless somebody says otherwise."""
    settings = {
        "particles": str(Run.imported_in(out)),
        "z_dim": z_dim,
        "seed": options.seed,
        "root": options.root,
        "data.box": box,
        "data.passthrough": options.passthrough,
    }
    return recipe_config(options.recipe if z_dim else "homogeneous", settings)


def opened(run: Run, config: RunConfig, rows: np.ndarray, z: np.ndarray, uncertainty: np.ndarray | None) -> Opened:
    """The particles at star rows (N,), rising, with their latents; what a training would say of them is said."""
    particles = vetted(config)
    dataset = particles.dataset
    dataset.require_poses()
    settle_source(run, dataset.table, dataset.source.stacks, resumes=False, poses=True)
    for sentence in particles.sentences:
        run.log(sentence)
    run.note(**particles.notes)
    if dataset.copies.any:
        save_copies(run, dataset.rows, dataset.copies.shown)
    dataset = dataset.subset(np.isin(dataset.rows, rows))
    if not dataset.n:
        raise DataError(f"{config.particles}: none of the {len(rows):,} particles with latents has a usable image.")
    place = np.searchsorted(rows, dataset.rows)
    return Opened(dataset, z[place], None if uncertainty is None else uncertainty[place])
