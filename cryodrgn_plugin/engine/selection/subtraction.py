"""Images without what lies outside of a mask: for programs that know nothing of a focus.

From each stored image y is taken g c P ((1 − mask) V_z), the projection of the map at its latent coordinates outside of
the mask, at its pose, contrast and CTF, in the image's own grey values. Everything else stays as it was, noise and
background included. Frequencies beyond those of the run's maps are left in.
"""

from pathlib import Path

import numpy as np
import torch

from ..analysis.run_particles import images_of, particles_of
from ..closed_form.direction_search import moved_poses
from ..data.dataset import ParticleDataset
from ..decoders.decoder import LinearDecoder
from ..decoders.model_file import load_model
from ..errors import ConfigError, DataError
from ..imaging.formation import ImageFormation
from ..imaging.lattice import HalfPlane
from ..io.chosen_rows import write_renamed
from ..io.mrc import StackWriter
from ..reconstruction.mask_file import region_mask
from ..run import Latents, Run
from .subtract_options import SubtractOptions

AT_ONCE = 128
"""Images that are worked on at a time."""
STACK, STAR = "particles.mrcs", "particles.star"


def subtract(run: Run, out: Path, options: SubtractOptions) -> Path:
    """Write the subtracted stack and its star file into `out`; returns the star file.

    Raises
    ------
    ConfigError : no mask, and the run has no focus.
    DataError : a bad mask, a decoder that is not made of bases, particles of several boxes, or a file that is no star
        file.
    """
    particles, dataset, latents = particles_of(run), corrected(run), run.latents()
    order = np.argsort(particles.lines, kind="stable")
    outside, box = outside_of(run, options), _one_box(dataset)
    out.mkdir(parents=True, exist_ok=True)
    pixel_size_ang = float(particles.table.pixel_size_ang[particles.lines[0]])
    with StackWriter(out / STACK, box, pixel_size_ang) as stack:
        for first in range(0, len(order), AT_ONCE):
            index = order[first : first + AT_ONCE]
            stack.append(subtracted(dataset, index, outside, latents, options.mean))
            run.progress("image", first + len(index), len(order))
    names = [f"{number:06d}@{out / STACK}" for number in range(1, len(order) + 1)]
    write_renamed(particles.table, particles.lines[order], names, out / STAR)
    return out / STAR


def outside_of(run: Run, options: SubtractOptions) -> LinearDecoder:
    """The run's decoder with everything inside of the mask taken out of its maps."""
    name = options.mask or run.config.closed_form.focus
    if not name:
        raise ConfigError("mask is empty, and the run has no focus; give an MRC mask or a sphere as x,y,z,radius.")
    stored = load_model(run.model_file)
    decoder = stored.decoder
    if not isinstance(decoder, LinearDecoder):
        raise DataError(f"The maps of {run.path} are not made of bases; subtract with a run of the recipe fast.")
    mask = region_mask(name, decoder.box, stored.pixel_size_ang)
    decoder.set_volumes(decoder.basis_volumes() * (1 - mask))
    return decoder


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
def subtracted(
    dataset: ParticleDataset, index: np.ndarray, outside: LinearDecoder, latents: Latents, mean: bool = False
) -> np.ndarray:
    """(B, D', D') float32. The images of some particles as they are stored, less what `outside` shows of them."""
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
        scale[members] = source.preparations[group].scale(raw[members])
    contrast = 1.0 if latents.contrast is None else latents.contrast[index]
    # Cropped images keep their grey values, so that their spectra are smaller by the number of pixels.
    factor = contrast / scale * (raw.shape[-1] / dataset.box) ** 2
    shown = HalfPlane(raw.shape[-1], lattice.radius).images(spectra * factor[:, None])
    return raw - shown


def _one_box(dataset: ParticleDataset) -> int:
    boxes = np.unique(dataset.source.geometry.boxes[np.unique(dataset.optics_group)])
    if len(boxes) > 1 or boxes[0] % 2:
        raise DataError(
            f"{dataset.table.path}: the images have boxes of {', '.join(map(str, boxes))} pixels, and a subtracted "
            "stack has one even box; subtract each optics group by itself, or extract the particles again."
        )
    return int(boxes[0])
