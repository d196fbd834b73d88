"""The particles of a run as cryoDRGN takes them: poses.pkl, ctf.pkl, z.pkl, and ind.pkl of the run and of each class.

Poses and CTFs have a row for each image of the particle file, which cryoDRGN is given as it is; latents have one for
each that ind.pkl names, in its order.
"""

from pathlib import Path

import numpy as np

from ..analysis.run_particles import RunParticles, images_of
from ..errors import DataError
from ..geometry.rotations import matrices_from_euler
from ..io.cryodrgn import write_ctf, write_indices, write_latents, write_poses
from ..io.particles import ParticleTable
from ..run import Run
from .export_options import ExportOptions
from .exported_rows import asked_for
from .left_out import CRYODRGN_ADVICE, aberrations_left_out, say_left_out


def export_for_cryodrgn(run: Run, options: ExportOptions, particles: RunParticles) -> Path:
    """Write the files; returns the path of the index.

    Raises DataError where images differ in box or pixel size, or have no poses.
    """
    latents, given = run.latents(), run.given_particles()
    box, pixel_ang = _one_size(run, particles)
    kept = asked_for(options, latents.rows)
    order = kept[np.argsort(latents.rows[kept], kind="stable")]
    rows = latents.rows[order]
    classes = run.per_particle("analysis", latents.rows) if options.classes else {}
    with run.report("export", options, options.program) as out:
        rotations, origins_ang = _poses(particles, latents.rows, given.n)
        write_poses(out.file("poses", "poses.pkl"), rotations, origins_ang / pixel_ang, box)
        ctf = _ctf(particles, latents.rows, given, box, pixel_ang)
        if ctf is not None:
            write_ctf(out.file("ctf", "ctf.pkl"), ctf)
        write_indices(out.file("indices", "ind.pkl"), rows)
        if latents.z.shape[1]:
            write_latents(out.file("latents", "z.pkl"), latents.z[order])
        out.index |= {"particles": len(rows), "components": int(latents.z.shape[1]), "images": given.n, "classes": []}
        for label in np.unique(classes["labels"][order]) if classes else ():
            members = rows[classes["labels"][order] == label]
            write_indices(out.file(f"class_{label + 1:03d}", f"class_{label + 1:03d}.pkl"), members)
            out.index["classes"].append({"class": int(label) + 1, "particles": len(members)})
        aberrations = aberrations_left_out(given, particles, "cryoDRGN", CRYODRGN_ADVICE)
        say_left_out(out, [*aberrations, *_about_rest(given, rows)])
        out.conclusion = (
            f"{len(rows):,} particles are in {out.destination}, for `cryodrgn train_vae {run.given_file} --poses "
            f"poses.pkl{' --ctf ctf.pkl' if ctf is not None else ''} --ind ind.pkl`."
        )
    return out.index_file


def _one_size(run: Run, particles: RunParticles) -> tuple[int, float]:
    """Box and pixel size of all images."""
    boxes = np.unique(images_of(run).source.stacks.box[particles.lines])
    pixels_ang = np.unique(particles.table.pixel_size_ang[particles.lines])
    if len(boxes) > 1 or len(pixels_ang) > 1:
        raise DataError(
            f"{particles.table.path}: its images have {len(boxes)} boxes and {len(pixels_ang)} pixel sizes, and "
            "cryoDRGN knows one of each. Export optics groups by themselves, as `select` makes them."
        )
    return int(boxes[0]), float(pixels_ang[0])


def _poses(particles: RunParticles, rows: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (N, 3, 3) and origins (N, 2) in Å of all images of the file; those without stay as they are."""
    table, lines = particles.table, particles.lines
    if table.euler_deg is None or not np.isfinite(table.euler_deg[lines]).all():
        raise DataError(f"{table.path}: it has no poses for some of the particles; find them with `abinitio`.")
    rotations, origins_ang = np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 2))
    rotations[rows] = matrices_from_euler(table.euler_deg[lines])
    if table.origins_ang is not None:
        origins_ang[rows] = table.origins_ang[lines]
    return rotations, origins_ang


def _ctf(
    particles: RunParticles, rows: np.ndarray, given: ParticleTable, box: int, pixel_ang: float
) -> np.ndarray | None:
    """(N, 9) as `write_ctf` takes it, with the defocus that the run has found; None for images without CTF."""
    of_all, of_run = given.ctf(), particles.table.ctf()
    if of_all is None or of_run is None:
        return None
    values = np.empty((given.n, 9))
    values[:, :2] = box, pixel_ang
    names = ("defocus_u_ang", "defocus_v_ang", "defocus_angle_deg", "voltage_kv", "spherical_aberration_mm")
    for column, name in enumerate((*names, "amplitude_contrast", "phase_shift_deg"), start=2):
        values[:, column] = getattr(of_all, name)
        values[rows, column] = getattr(of_run, name)[particles.lines]
    return values


def _about_rest(given: ParticleTable, rows: np.ndarray) -> list[str]:
    """What cryoDRGN will not know."""
    said = []
    if len(rows) < given.n:
        said.append(
            f"{given.n - len(rows):,} of {given.n:,} images are not in the run: ind.pkl leaves them out, and poses.pkl "
            "has no poses for them."
        )
    ctf = given.ctf()
    if ctf is not None and (np.any(ctf.b_factor_ang2 != 0) or np.any(ctf.scale != 1)):
        said.append("cryoDRGN knows nothing of B-factors and scales of the CTF; ctf.pkl leaves them out.")
    return said
