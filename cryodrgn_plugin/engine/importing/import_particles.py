"""Stacks and particle files with cryoDRGN's poses, CTFs and indices as star files."""

from pathlib import Path

from ..errors import DataError
from ..io.cryodrgn_particles import particles_from_cryodrgn
from ..io.particles import ParticleTable
from ..io.star import write_star
from .given_latents import has_components
from .import_options import ImportOptions

STACKS = (".mrcs", ".mrc", ".txt")
"""Files of images that say nothing of poses and CTFs."""


def makes_run(source: Path, options: ImportOptions) -> bool:
    """Whether there are latents to import, which make a run; particles alone make a star file.

    Raises DataError where the source is not there.
    """
    if not source.exists():
        raise DataError(f"There is no file or folder {source}.")
    return source.is_dir() or bool(options.latents) or has_components(source)


def import_particles(source: Path, out: Path, options: ImportOptions) -> ParticleTable:
    """Write the particles of a stack or particle file with cryoDRGN's poses, CTFs and indices as the star file `out`.

    Raises DataError for whatever does not belong together, and where `out` is no star file.
    """
    if out.suffix != ".star":
        raise DataError(f"{out} is to hold particles without latents; name a star file, such as {out}.star.")
    table = particles_of(str(source), options)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_star(out, table.tables)
    return table


def particles_of(images: str, options: ImportOptions, pose_unit_px: float | None = None) -> ParticleTable:
    """The table of images with the files that the options name; see `particles_from_cryodrgn`."""
    return particles_from_cryodrgn(
        images,
        options.ctf or None,
        options.poses or None,
        options.indices or None,
        root=options.root,
        pixel_size_ang=options.pixel_size_ang,
        pose_unit_px=pose_unit_px,
    )
