"""Latents of other programs as a run: every particle where they say, and maps solved here on half-sets."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..io.cryodrgn import read_indices
from ..io.particles import ParticleTable
from ..io.star import write_star
from ..io.tables import read_table
from ..run import Run
from ..run_origin import IMPORTED
from ..run_status import TRAIN
from .given_latents import GivenLatents, read_given_latents
from .import_options import ImportOptions
from .import_particles import STACKS, particles_of
from .imported_run import opened, settings_of_run
from .linear_maps import leave_linear_maps


def import_latents(source: Path, out: Path, options: ImportOptions, *, overwrite: bool, command: str) -> Run:
    """Make a run of the particles of a file whose latents another program has found; its maps are solved here.

    Raises DataError where latents and particles do not belong together, or `out` holds a run and `overwrite` is off.
    """
    latents = Path(options.latents) if options.latents else source
    found = read_given_latents(latents)
    if options.poses or options.ctf or source.suffix in STACKS:
        return _of_latents(particles_of(str(source), options), found, latents, out, options, overwrite, command)
    return _of_latents(None, found, latents, out, replace(options, particles=str(source)), overwrite, command)


def _of_latents(
    table: ParticleTable | None,
    found: GivenLatents,
    latents: Path,
    out: Path,
    options: ImportOptions,
    overwrite: bool,
    command: str,
) -> Run:
    """The run of latents of particles, whose table is written into it or, without one, that file's of the options."""
    given = read_table(options.particles, options.root, options.passthrough) if table is None else table
    indices = read_indices(options.indices, given.n) if options.indices and table is None else None
    rows = found.rows_in(given, indices, str(latents))
    order = np.argsort(rows, kind="stable")
    config = settings_of_run(out, found.z.shape[1], 0, options)
    if table is None:
        config = replace(config, particles=options.particles)
    run = Run.create(out, config, overwrite=overwrite, command=command)
    if table is not None:
        write_star(run.imported_file, table.tables)
    with run.working(TRAIN):
        usable = opened(run, config, rows[order], found.z[order], None)
        half, bases = leave_linear_maps(run, config, usable.dataset, usable.z, options.bases)
        run.save_latents(usable.z, rows=usable.dataset.rows, half=half)
        run.note(**{IMPORTED: {"from": "latents", "latents": str(latents.absolute()), "bases": bases}})
        run.log(
            f"{len(usable.z):,} latents of {found.z.shape[1]} dimensions from {latents}; maps are a mean and {bases} "
            "bases, solved on half-sets."
        )
    return run
