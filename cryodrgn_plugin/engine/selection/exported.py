"""`export`: the particles of a run with their latents and classes, in files of other programs."""

from pathlib import Path

import numpy as np

from ..analysis.run_particles import RunParticles, images_of, particles_of
from ..errors import DataError
from ..io.chosen_rows import particle_of_image
from ..io.cs import merged_fields
from ..io.cs_out import fields_of, pose_fields, with_components, write_cs
from ..io.csg import write_group
from ..io.tables import CRYOSPARC, cryosparc_files
from ..report_writer import Report
from ..run import Run
from .export_options import ExportOptions
from .exported_cryodrgn import export_for_cryodrgn
from .exported_rows import asked_for
from .left_out import CRYOSPARC_ADVICE, aberrations_left_out, say_left_out

PROGRAMS = {"cryosparc": "cryoSPARC", "cryodrgn": "cryoDRGN"}


def export(run: Run, options: ExportOptions) -> Path:
    """Write the particles of a finished run as another program reads them; returns the path of the index.

    Raises
    ------
    DataError : the run has no latents, its particles are not there any more, or they are tilt images.
    """
    particles, latents = particles_of(run), run.latents()
    shown = particle_of_image(particles.table)[particles.lines]
    if len(np.unique(shown)) < len(shown):
        raise DataError(
            f"{particles.table.path}: several images show one particle, which the files of "
            f"{PROGRAMS[options.program]} cannot say. Take the star files of `select`."
        )
    if options.program == "cryodrgn":
        return export_for_cryodrgn(run, options, particles)
    kept = asked_for(options, latents.rows)
    fields = with_components(_fields(run, particles, latents.rows), latents.z)
    with run.report("export", options, options.program) as out:
        out.index |= {"particles": len(kept), "components": int(latents.z.shape[1])}
        _write(out, "particles", fields, kept, "All particles" if len(kept) == len(latents.rows) else "Particles")
        _write_classes(out, run, options, fields, kept)
        say_left_out(out, _left_out(run, particles))
        out.conclusion = f"{len(kept):,} particles are in {out.destination}, for Import Result Group."
    return out.index_file


def _left_out(run: Run, particles: RunParticles) -> list[str]:
    """What cryoSPARC is not told. What came from there goes back whole."""
    if run.given_file.suffix in CRYOSPARC:
        return []
    return aberrations_left_out(particles.table, particles, PROGRAMS["cryosparc"], CRYOSPARC_ADVICE)


def _fields(run: Run, particles: RunParticles, rows: np.ndarray) -> dict[str, np.ndarray]:
    """(N, …) fields of the particles: those they came with, and poses and defocus as the run has them."""
    if run.given_file.suffix not in CRYOSPARC:
        dataset = images_of(run)
        return fields_of(particles.table, dataset.source.stacks, dataset.source.sign, particles.lines)
    first, *others = cryosparc_files(run.given_file, run.config.data.passthrough)
    fields = {name: values[rows] for name, values in merged_fields(first, others).items()}
    if run.poses_file.exists():
        former = [name for name in fields if name.startswith(("alignments3D", "alignments_class"))]
        split = fields.get("alignments3D/split")
        fields = {name: values for name, values in fields.items() if name not in former}
        fields |= pose_fields(particles.table, particles.lines)
        fields |= {} if split is None else {"alignments3D/split": split}
    return fields


def _write_classes(
    out: Report, run: Run, options: ExportOptions, fields: dict[str, np.ndarray], kept: np.ndarray
) -> None:
    stored = run.per_particle("analysis", run.latents().rows) if options.classes else {}
    entries = []
    for label in np.unique(stored["labels"]) if stored else ():
        members = kept[stored["labels"][kept] == label]
        if not len(members):
            continue
        _write(out, f"class_{label + 1:03d}", fields, members, f"Class {label + 1}")
        entries.append({"class": int(label) + 1, "particles": len(members)})
    out.index["classes"] = entries


def _write(out: Report, name: str, fields: dict[str, np.ndarray], rows: np.ndarray, title: str) -> None:
    written = out.file(name, f"{name}.cs")
    write_cs(written, {field: values[rows] for field, values in fields.items()})
    write_group(out.file(f"{name}_group", f"{name}.csg"), written, tuple(fields), len(rows), title)
