"""A finished run of blobs seen with CTF, shifted, and what it exports for another program."""

from pathlib import Path

import numpy as np

from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.export_options import ExportOptions
from cryodrgn_plugin.engine.selection.exported import export
from cryodrgn_plugin.tests.engine.particle_files import molecule, optics, project, rows, write_set

N, BOX, PIXEL_ANG = 40, 32, 4.0
LABELS = np.arange(N) % 3
CHOSEN = np.arange(3, N, 2)
"""Star rows of the particles of a run that used a part of them."""


def star_of_blobs(folder: Path):
    """The star file of images without noise, and its table."""
    group, table = optics(box=BOX, pixel_ang=PIXEL_ANG), rows(N)
    table = table.assign(rlnRandomSubset=1 + np.arange(N) % 2, rlnPhaseShift=0.0)
    images = project(molecule(), table, group)
    return write_set(folder, (images / images.std()).astype(np.float32), table, [group]), table


def exported(folder: Path, program: str, monkeypatch, star: Path, used: np.ndarray) -> tuple[Run, Path]:
    """A run of the particles at the star rows `used`, in three classes, and the folder that it exports."""
    z = np.random.default_rng(6).normal(size=(len(used), 3)).astype(np.float32)
    run = Run.create(folder / "run", RunConfig(particles=str(star), z_dim=3))
    with run.working():
        run.save_latents(z, rows=used)
    monkeypatch.setattr(Run, "per_particle", lambda self, kind, rows: {"labels": LABELS[used]})
    return run, export(run, ExportOptions(program=program)).parent
