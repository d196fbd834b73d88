"""Central slices of a given map, two ways: RELION's interpolation, and the Fourier integral without any.

`RelionProjector` does what relion_project does: the map is divided by the transform of the interpolation kernel,
taken as radial, sinc²(r/(padding · D)), padded twofold, and its transform is interpolated trilinearly. `exact_slices`
sums over the voxels at each frequency and is what both are judged against. A slice is I(kx, ky) = V(Aᵀ [kx, ky, 0]),
an unnormalised sum with the origin at voxel D//2 (docs/conventions.md); CTF and shifts are the caller's.
"""

import numpy as np
import scipy.fft

from ..imaging.lattice import HalfPlane


def gridding_correction(box: int, padding: float) -> np.ndarray:
    """Radial sinc²(r/(padding · box)) over a centred box, (box, box, box) float32.

    Trilinear interpolation of a padded transform multiplies real space by about this; dividing by it undoes that.
    """
    axis = (np.arange(box) - box // 2) / (padding * box)
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    return (np.sinc(radius) ** 2).astype(np.float32)


def slice_frequencies(rotations: np.ndarray, lattice: HalfPlane) -> np.ndarray:
    """Where each coefficient of the half-plane lies in the volume's transform.

    Parameters
    ----------
    rotations : (B, 3, 3). Volume to view.

    Returns
    -------
    (B, F, 3) float64. (x, y, z) frequencies in units of 1/box.
    """
    return lattice.indices.astype(np.float64) @ np.asarray(rotations, dtype=np.float64)[..., :2, :]


class RelionProjector:
    """Slices of one map as RELION interpolates them.

    Parameters
    ----------
    volume : (D, D, D) real, `vol[z, y, x]`, origin at D//2.
    padding : whole-number oversampling of the transform; RELION's is 2.
    gridding : divide by the transform of the interpolation kernel first, as RELION does.
    """

    def __init__(self, volume: np.ndarray, padding: int = 2, gridding: bool = True):
        self.box = volume.shape[0]
        self.padding = padding
        corrected = volume / gridding_correction(self.box, padding) if gridding else volume
        self._half_transform = _padded_half_transform(np.asarray(corrected, dtype=np.float64), self.box * padding)

    def slices(self, rotations: np.ndarray, lattice: HalfPlane) -> np.ndarray:
        """Slices at `rotations` (B, 3, 3); (B, F) complex64. Frequencies beyond the map's Nyquist are zero."""
        q = slice_frequencies(rotations, lattice) * self.padding
        outside = (q**2).sum(-1) > (self.box * self.padding / 2) ** 2 + 1e-6
        flipped = q[..., 0] < 0
        q[flipped] *= -1
        q[outside] = 0
        values = self._interpolate(q.reshape(-1, 3)).reshape(q.shape[:-1])
        values[flipped] = np.conj(values[flipped])
        values[outside] = 0
        return values.astype(np.complex64)

    def _interpolate(self, q: np.ndarray) -> np.ndarray:
        """Trilinear values at (P, 3) padded-grid frequencies with x ≥ 0."""
        corner = np.floor(q).astype(np.int64)
        fraction = q - corner
        half = self.box * self.padding // 2
        values = np.zeros(len(q), dtype=np.complex128)
        for dz, dy, dx in np.ndindex(2, 2, 2):
            step = np.array([dx, dy, dz])
            weight = np.where(step == 1, fraction, 1 - fraction).prod(1)
            x, y, z = (corner + step).T
            values += weight * self._half_transform[z + half, y + half, x]
        return values


def exact_slices(volume: np.ndarray, rotations: np.ndarray, lattice: HalfPlane) -> np.ndarray:
    """Slices by direct summation over voxels, Σ V(r) exp(−2πi q·r/D): slow, with no interpolation.

    Parameters
    ----------
    volume : (D, D, D) real.
    rotations : (B, 3, 3).

    Returns
    -------
    (B, F) complex128. D³ products per coefficient.
    """
    box = volume.shape[0]
    positions = np.arange(box) - box // 2
    slices = []
    for q in slice_frequencies(rotations, lattice):
        wave_x, wave_y, wave_z = (np.exp(-2j * np.pi * np.outer(q[:, i], positions) / box) for i in range(3))
        rows = np.tensordot(volume, wave_x, axes=(2, 1))
        columns = np.einsum("zyf,fy->zf", rows, wave_y)
        slices.append(np.einsum("zf,fz->f", columns, wave_z))
    return np.array(slices)


def _padded_half_transform(volume: np.ndarray, padded: int) -> np.ndarray:
    """Transform of a map in a box of `padded` voxels, [z, y, x]: z, y from −half to half + 1, x from 0 to half + 1.

    The planes one past ±half repeat the periodic grid, so that interpolation at the Nyquist frequency stays inside.
    """
    box, half = volume.shape[0], padded // 2
    start = half - box // 2
    big = np.zeros((padded, padded, padded))
    big[start : start + box, start : start + box, start : start + box] = volume
    full = scipy.fft.rfftn(scipy.fft.ifftshift(big))
    wrapped = np.arange(-half, half + 2) % padded
    x = np.arange(half + 2)
    mirrored = np.conj(full[(-wrapped % padded)[:, None], (-wrapped % padded)[None, :], half - 1])
    stored = full[wrapped[:, None, None], wrapped[None, :, None], np.minimum(x, half)[None, None, :]]
    stored[..., half + 1] = mirrored
    return stored.astype(np.complex64)
