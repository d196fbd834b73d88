"""Tilt images of tomograms: what a table of them (`io.tilt_rows`) says of how each particle was tilted.

With projection P_v of the tomogram a particle of pose A is seen under P_v A, so that image v is seen under
T = P_v P_rᵀ after the reference r, which is what the poses of its images say as well. A particle that lies off the
centre at the depth of the reference's focus is shifted by s there and by the upper left of T times s in image v. Depth
is not searched for.

M writes tilt images as single particles tied by rlnGroupName, with poses refined one by one; there each particle has
been tilted in a way of its own.
"""

import numpy as np

from ..geometry.rotations import matrices_from_euler
from ..io.chosen_rows import particle_name
from .dataset import ParticleDataset
from .tilt_pairs import PARTICLE, find_tilt_pairs, has_tilt_pairs
from .tilt_series import NONE, TiltSeries

FRAME, TOMOGRAM = "rlnTomoFrame", "rlnTomoName"


def has_tilt_images(dataset: ParticleDataset) -> bool:
    """Whether the particles are tilt images of tomograms."""
    table = dataset.table
    tied = {PARTICLE, FRAME, TOMOGRAM} <= set(table.frame.columns) or _by_group(dataset)
    return tied and table.euler_deg is not None


def find_tilt_images(dataset: ParticleDataset) -> TiltSeries:
    """The tilt series of a dataset that has them. Particles of one tomogram with the same visible tilts are a kind.

    The reference is the tilt that lies amid the others.
    """
    table, rows = dataset.table, dataset.rows
    which = np.unique(table.column(particle_name(table) or PARTICLE).to_numpy()[rows], return_inverse=True)[1]
    if _by_group(dataset):
        tomogram, frame = which, np.arange(len(rows))
    else:
        tomogram = np.unique(table.column(TOMOGRAM).to_numpy()[rows], return_inverse=True)[1]
        frame = table.numbers(FRAME)[rows].astype(np.int64)
    order, counts = np.lexsort((frame, which)), np.bincount(which)
    images = np.full((len(counts), counts.max()), NONE)
    # `order` runs through particle after particle by rising frame, and so fills the first entries of row after row.
    images[np.arange(counts.max()) < counts[:, None]] = order
    visible_frames = np.where(images == NONE, NONE, frame[images])
    tomogram_and_frames = np.column_stack([tomogram[images[:, 0]], visible_frames])
    _, first, kind = np.unique(tomogram_and_frames, axis=0, return_index=True, return_inverse=True)
    tilts = np.broadcast_to(np.eye(3), (len(first), images.shape[1], 3, 3)).copy()
    for number, particle in enumerate(first):
        views = matrices_from_euler(table.euler_deg[rows[images[particle, : counts[particle]]]])
        reference = _middle(views)
        tilts[number, : len(views)] = views @ views[reference].T
        tilts[number, reference] = np.eye(3)  # to the last bit: a single image is left as it is
    return TiltSeries(images, kind.ravel(), tilts, tilts[:, :, :2, :2])


def find_series(dataset: ParticleDataset) -> TiltSeries | None:
    """The tilt pairs or tilt series that the particles of `dataset` are, or None."""
    if has_tilt_pairs(dataset):
        return find_tilt_pairs(dataset)
    return find_tilt_images(dataset) if has_tilt_images(dataset) else None


def _by_group(dataset: ParticleDataset) -> bool:
    """Whether groups tie the images of a particle, as M has them."""
    return particle_name(dataset.table) not in (None, PARTICLE)


def _middle(views: np.ndarray) -> int:
    """The one of the rotations (V, 3, 3) that is nearest to all others."""
    cosines = (np.einsum("iab,jab->ij", views, views) - 1) / 2
    return int(np.arccos(np.clip(cosines, -1, 1)).sum(1).argmin())
