"""How optics groups of different box and pixel size share one lattice."""

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..imaging.lattice import HalfPlane
from ..io.particles import ParticleTable
from ..io.stacks import StackReader

LARGEST_DEFAULT_BOX = 128


@dataclass(frozen=True)
class OpticsGeometry:
    """The common lattice, and what each of G optics groups is to it. The group with most particles is the reference."""

    box: int
    """Common box after downsampling, in pixels."""
    pixel_size_ang: float
    """Pixel size of the reference group after downsampling."""
    boxes: np.ndarray
    """(G,) int. Box on disk; 0 for groups without particles."""
    pixel_sizes_ang: np.ndarray
    """(G,) float64. Pixel size on disk."""
    frequency_ratio: np.ndarray
    """(G,) float64. Reference extent over the group's extent: coefficient k of the group lies at k times this."""
    reference: int
    """Index of the reference group."""
    stretch: np.ndarray
    """(G,) float64. How much further out a coefficient may lie in the stored image, which may be distorted."""

    def reach(self, lattice: HalfPlane) -> np.ndarray:
        """(G,) int. How many leading coefficients of each group lie inside its own limit and the reference's."""
        furthest = np.maximum(np.maximum(self.frequency_ratio, self.stretch), 1.0)
        return np.array([lattice.count(lattice.radius / factor) for factor in furthest])

    def amplitude(self, has_noise: np.ndarray) -> np.ndarray:
        """(G,) float64. What brings each group's prepared images to the grey scale of the reference.

        Spectra are sums over pixels, so a group with larger pixels sums fewer of them. Images normalised by their noise
        grow with the pixel, because its dose does; noise-free images are sums over voxels, and shrink with the voxel.
        """
        cropped = self.pixel_sizes_ang * self.boxes / self.box
        noisy = cropped
        noise_free = self.pixel_sizes_ang * cropped**2
        values = np.where(has_noise, noisy / noisy[self.reference], noise_free / noise_free[self.reference])
        return np.where(self.boxes > 0, values, 1.0)


def optics_geometry(table: ParticleTable, stacks: StackReader, box: int) -> OpticsGeometry:
    """Settle the common box (`box`, or the smallest of the groups up to 128 where it is 0) and the groups' frequencies.

    Raises
    ------
    DataError : boxes or pixel sizes mixed within a group, a box other than the star file states, odd or too small
        boxes.
    """
    n_groups = table.n_optics_groups
    boxes = np.zeros(n_groups, np.int64)
    pixels = np.ones(n_groups)
    for group in range(n_groups):
        members = np.flatnonzero(table.optics_group == group)
        if len(members):
            boxes[group] = _one_box(table, stacks, group, members)
            pixels[group] = table.pixel_size_ang[members[0]]
    smallest = int(boxes[boxes > 0].min())
    target = box or _default_box(table, smallest)
    if target > smallest:
        raise DataError(
            f"{table.path}: data.box is {target}, larger than the images ({smallest} pixels). Choose an even box of at "
            f"most {smallest - smallest % 2}."
        )
    reference = int(np.bincount(table.optics_group, minlength=n_groups).argmax())
    extents = np.where(boxes > 0, boxes * pixels, boxes[reference] * pixels[reference])
    return OpticsGeometry(
        box=target,
        pixel_size_ang=float(extents[reference] / target),
        boxes=boxes,
        pixel_sizes_ang=pixels,
        frequency_ratio=extents[reference] / extents,
        reference=reference,
        stretch=np.array([aberrations.stretch for aberrations in table.aberrations]),
    )


def _default_box(table: ParticleTable, smallest: int) -> int:
    if smallest > LARGEST_DEFAULT_BOX:
        return LARGEST_DEFAULT_BOX
    if smallest % 2:
        raise DataError(
            f"{table.path}: the box of the images is odd ({smallest} pixels). Set data.box to an even number of at "
            f"most {smallest - 1}, to which they are Fourier-cropped."
        )
    return smallest


def _one_box(table: ParticleTable, stacks: StackReader, group: int, members: np.ndarray) -> int:
    boxes = stacks.box[members]
    if (boxes != boxes[0]).any():
        other = members[np.flatnonzero(boxes != boxes[0])[0]]
        raise DataError(
            f"{table.path}: optics group {group + 1} mixes boxes: {boxes[0]} pixels in row {members[0] + 1:,} and "
            f"{stacks.box[other]} in row {other + 1:,}. Extract the particles with one box, or give them optics groups "
            "of their own."
        )
    sizes = table.pixel_size_ang[members]
    if np.ptp(sizes) > 1e-6 * sizes[0]:
        raise DataError(
            f"{table.path}: optics group {group + 1} mixes pixel sizes from {sizes.min():g} to {sizes.max():g} Å. Give "
            "each an optics group of its own."
        )
    if table.box is not None and table.box[members[0]] != boxes[0]:
        raise DataError(
            f"{table.path}: rlnImageSize of optics group {group + 1} is {table.box[members[0]]}, but its images have "
            f"{boxes[0]} pixels. Correct the star file, and check that its pixel size is that of these images."
        )
    return int(boxes[0])
