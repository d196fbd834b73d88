"""Soft masks: a sphere, or what a map holds. 1 inside, 0 outside, a raised cosine between.

Lengths are voxels (`_px`) unless the name says angstrom. The edge matters: a hard one correlates two half-maps by
itself.
"""

import numpy as np
import scipy.fft
from scipy import ndimage

from ..errors import DataError

SMALLEST_PART = 0.05
"""Parts of a thresholded map smaller than this share of the largest one are taken for noise."""


class NothingInside(DataError):
    """A map of which nothing stands out from the rest, as one of noise."""


def spherical_mask(box: int, radius_px: float | None = None, edge_px: float = 5.0) -> np.ndarray:
    """Sphere about voxel box//2, (box, box, box) float32; 1 up to `radius_px`, 0 from `radius_px + edge_px`.

    Without a radius the edge ends at the box.
    """
    radius_px = box / 2 - edge_px if radius_px is None else radius_px
    axis = np.arange(box) - box // 2
    distance = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    return cosine_edge(distance - radius_px, edge_px)


def mask_from_map(
    volume: np.ndarray,
    pixel_size_ang: float,
    threshold: float | None = None,
    lowpass_ang: float = 15.0,
    extend_px: float = 3.0,
    edge_px: float = 6.0,
) -> np.ndarray:
    """Soft mask around the density of a map.

    Parameters
    ----------
    volume : (D, D, D), density positive.
    threshold : density of the low-passed map that counts as inside; None chooses it by `auto_threshold`.
    lowpass_ang : low-pass before the threshold; 0 for none. It is never finer than four voxels unless 0.
    extend_px, edge_px : how far the mask reaches beyond the threshold, and the width of the cosine edge after that.

    Returns
    -------
    (D, D, D) float32 in [0, 1].

    Raises
    ------
    NothingInside : no voxel is above the threshold.
    DataError : the map is not finite.
    """
    if not np.isfinite(volume).all():
        raise DataError(
            "The map has values that are not finite: numbers of images, CTF or poses are out of all bounds. Ask "
            "`cryodrgn-plugin preflight` about them."
        )
    smooth = lowpass(volume, pixel_size_ang, max(lowpass_ang, 4 * pixel_size_ang)) if lowpass_ang else volume
    level = auto_threshold(smooth) if threshold is None else threshold
    inside = _without_specks(smooth > level)
    if not inside.any():
        raise NothingInside(
            f"No voxel of the map is above {level:.4g}; its maximum, low-passed, is {smooth.max():.4g}, so there is "
            "nothing to put a mask around. Ask `cryodrgn-plugin preflight` about poses, CTF and sign, or give a mask."
        )
    return cosine_edge(ndimage.distance_transform_edt(~inside) - extend_px, edge_px)


def mask_if_any(volume: np.ndarray, pixel_size_ang: float) -> np.ndarray:
    """(D, D, D) float32. The soft mask around the density of a map, or a ball where nothing stands out."""
    try:
        return mask_from_map(volume, pixel_size_ang)
    except NothingInside:
        return spherical_mask(len(volume))


def auto_threshold(volume: np.ndarray) -> float:
    """The density that splits a low-passed map into solvent and particle, judged over the map's inscribed sphere.

    Otsu's level, or three standard deviations of the solvent above it where noise is so strong that Otsu splits the
    noise; the solvent's level and spread are the median and the median deviation, for most of a box is solvent.
    """
    values = volume[spherical_mask(volume.shape[0], volume.shape[0] / 2, 0) > 0]
    solvent = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - solvent)))
    return max(_otsu(values), solvent + 3 * spread)


def _otsu(values: np.ndarray) -> float:
    """The level that maximises the variance between the two classes it makes (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=512)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = counts.sum() - below
    sums = np.cumsum(counts * centres)
    gap = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * gap**2)])


def lowpass(volume: np.ndarray, pixel_size_ang: float, resolution_ang: float) -> np.ndarray:
    """Gaussian low-pass whose amplitude is one half at `resolution_ang`; (D, D, D) float32."""
    box = volume.shape[0]
    k = np.fft.fftfreq(box, pixel_size_ang)
    k2 = k[:, None, None] ** 2 + k[None, :, None] ** 2 + np.fft.rfftfreq(box, pixel_size_ang)[None, None, :] ** 2
    spectrum = scipy.fft.rfftn(np.asarray(volume, dtype=np.float64)) * np.exp(-np.log(2) * k2 * resolution_ang**2)
    return scipy.fft.irfftn(spectrum, s=volume.shape).astype(np.float32)


def cosine_edge(distance: np.ndarray, edge: float) -> np.ndarray:
    """1 where `distance` ≤ 0, 0 where it reaches `edge`, half a cosine period between; float32."""
    if edge <= 0:
        return (distance <= 0).astype(np.float32)
    return (0.5 + 0.5 * np.cos(np.pi * np.clip(distance / edge, 0, 1))).astype(np.float32)


def _without_specks(inside: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(inside)
    if count < 2:
        return inside
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return (sizes >= SMALLEST_PART * sizes.max())[labels]
