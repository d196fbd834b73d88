"""Images without what lies outside of a mask: for programs that know nothing of a focus.

From each stored image y is taken g c P ((1 − mask) V_z), the projection of the map at its latent coordinates outside of
the mask, at its pose, contrast and CTF, in the image's own grey values. Everything else stays as it was, noise and
background included. Frequencies beyond those of the run's maps are left in.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..analysis.run_particles import RunParticles, images_of, particles_of
from ..closed_form.direction_search import moved_poses
from ..data.dataset import ParticleDataset
from ..decoders.decoder import LinearDecoder
from ..decoders.model_file import load_model
from ..errors import ConfigError, DataError
from ..imaging.formation import ImageFormation
from ..imaging.lattice import HalfPlane
from ..io.chosen_rows import require_rows_of_images, write_renamed
from ..io.mrc import StackWriter
from ..io.stacks import locate_stacks
from ..io.tables import search_folders
from ..reconstruction.mask_file import region_mask
from ..report_writer import Report, report_into
from ..run import Latents, Run
from .subtract_options import SubtractOptions
from .subtraction_figure import draw_views

AT_ONCE = 128
"""Images that are worked on at a time."""
STACK, STAR = "particles.mrcs", "particles.star"


@dataclass(frozen=True)
class Parted:
    """The maps of a run on both sides of a mask."""

    region: str
    """The mask, as it was given."""
    mask: np.ndarray
    """(D, D, D) float32 in [0, 1]."""
    mean: np.ndarray
    """(D, D, D) float32. The mean map, whole."""
    outside: LinearDecoder
    """With everything inside of the mask taken out of its maps."""


def subtract(run: Run, out: Path, options: SubtractOptions) -> Path:
    """Write the subtracted stack, its star file and an index into `out`; returns the star file.

    Raises
    ------
    ConfigError : no mask, and the run has no focus.
    DataError : a bad mask, a decoder that is not made of bases, particles of several boxes, a file that is no star
        file, or `out` holds the files of the run's own particles.
    """
    particles, parted = particles_of(run), parted_at(run, options)
    require_rows_of_images(particles.table)
    dataset = corrected(run)
    _require_elsewhere(run, particles, out)
    with report_into(out, "subtraction", options, {"run": str(run.path)}) as report:
        taken_off = _write_particles(run, particles, dataset, parted, options.mean, report)
        report.index |= {
            "particles": len(particles.lines),
            "mask": parted.region,
            "box": _one_box(dataset),
            "taken_off": round(taken_off, 4),
        }
        draw_views(report.figure("views"), parted.mean, parted.mask)
    return out / STAR


def _write_particles(
    run: Run, particles: RunParticles, dataset: ParticleDataset, parted: Parted, mean: bool, report: Report
) -> float:
    """Write stack and star file; returns what was taken off, as a share of the images' variance."""
    latents, order = run.latents(), np.argsort(particles.lines, kind="stable")
    pixel_size_ang = float(particles.table.pixel_size_ang[particles.lines[0]])
    taken = variance = 0.0
    with StackWriter(report.file("images", STACK), _one_box(dataset), pixel_size_ang) as stack:
        for first in range(0, len(order), AT_ONCE):
            index = order[first : first + AT_ONCE]
            raw = dataset.source.raw(dataset.rows[index])
            shown = shown_outside(dataset, index, parted.outside, latents, mean)
            stack.append(raw - shown)
            taken += shown.var(axis=(1, 2), dtype=np.float64).sum()
            variance += raw.var(axis=(1, 2), dtype=np.float64).sum()
            run.progress("image", first + len(index), len(order))
    names = [f"{number:06d}@{report.destination / STACK}" for number in range(1, len(order) + 1)]
    write_renamed(particles.table, particles.lines[order], names, report.file("particles", STAR))
    return taken / variance


def parted_at(run: Run, options: SubtractOptions) -> Parted:
    """The run's maps on both sides of the mask that was asked for. Raises as `subtract` does."""
    name = options.mask or run.config.closed_form.focus
    if not name:
        raise ConfigError("mask is empty, and the run has no focus; give an MRC mask or a sphere as x,y,z,radius.")
    stored = load_model(run.model_file)
    decoder = stored.decoder
    if not isinstance(decoder, LinearDecoder):
        raise DataError(f"The maps of {run.path} are not made of bases; subtract with a run of the recipe fast.")
    mask, volumes = region_mask(name, decoder.box, stored.pixel_size_ang), decoder.basis_volumes()
    decoder.set_volumes(volumes * (1 - mask))
    return Parted(name, mask, volumes[0], decoder)


def corrected(run: Run) -> ParticleDataset:
    """The images of a run at the poses that its maps rest on."""
    dataset, latents = images_of(run), run.latents()
    if latents.defocus_correction is not None and not run.poses_file.exists():
        dataset = dataset.with_defocus_moved(latents.defocus_correction)
    if latents.pose_correction is None or run.poses_file.exists():
        return dataset
    boxes_ang = dataset.box * dataset.pixel_size_ang / dataset.frequency_ratio[:, None]
    moved = np.concatenate(
        [np.radians(latents.pose_correction[:, :3]), latents.pose_correction[:, 3:] / boxes_ang], axis=1
    )
    return dataset.with_poses(*moved_poses(dataset, torch.from_numpy(moved.astype(np.float64))))


@torch.no_grad()
def shown_outside(
    dataset: ParticleDataset, index: np.ndarray, outside: LinearDecoder, latents: Latents, mean: bool = False
) -> np.ndarray:
    """(B, D', D') float32. What `outside` shows in the images of some particles, in the grey values of each."""
    source, batch = dataset.source, dataset.batch(index).torch()
    rows, lattice = dataset.rows[index], dataset.lattice
    z = latents.z.mean(axis=0, keepdims=True).repeat(len(index), axis=0) if mean else latents.z[index]
    slices = outside.slices(torch.from_numpy(z), batch.pose.rotations, lattice, lattice.size)
    multiplied = torch.from_numpy(dataset.table.flag("rlnCtfDataAreCtfPremultiplied")[rows])
    ctf = torch.where(multiplied[:, None], batch.ctf**2, batch.ctf)
    formation = ImageFormation(lattice, dataset.pixel_size_ang)
    spectra = formation.observe(slices, ctf, batch.pose.shifts_ang)[:, 0].numpy()
    raw = source.raw(rows)
    spectra = source.as_stored(rows, spectra)
    scale = np.empty(len(rows), np.float32)
    for group in np.unique(dataset.optics_group[index]):
        members = np.flatnonzero(dataset.optics_group[index] == group)
        scale[members] = source.preparations[group].scale(raw[members]) * source.strength[rows[members]]
    contrast = 1.0 if latents.contrast is None else latents.contrast[index]
    # Cropped images keep their grey values, so that their spectra are smaller by the number of pixels.
    factor = contrast / scale * (raw.shape[-1] / dataset.box) ** 2
    return HalfPlane(raw.shape[-1], lattice.radius).images(spectra * factor[:, None])


def _require_elsewhere(run: Run, particles: RunParticles, out: Path) -> None:
    """Raise DataError where the files to write are those that are read."""
    table = particles.table
    stacks = list(dict.fromkeys(name.rpartition("@")[2] for name in table.image_names))
    read = [
        table.path,
        run.given_file,
        *locate_stacks(stacks, search_folders(table.path, run.config.root), str(table.path)),
    ]
    if {path.resolve() for path in read} & {(out / name).resolve() for name in (STACK, STAR)}:
        raise DataError(f"{out} holds the particles of the run themselves; choose another folder.")


def _one_box(dataset: ParticleDataset) -> int:
    boxes = np.unique(dataset.source.geometry.boxes[np.unique(dataset.optics_group)])
    if len(boxes) > 1 or boxes[0] % 2:
        raise DataError(
            f"{dataset.table.path}: the images have boxes of {', '.join(map(str, boxes))} pixels, and a subtracted "
            "stack has one even box; subtract each optics group by itself, or extract the particles again."
        )
    return int(boxes[0])
