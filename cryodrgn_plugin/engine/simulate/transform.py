"""Exact Fourier transforms of point atoms, in two and three dimensions.

A model of Gaussian atoms has the transform  V(k) = exp(−(|k| d)²) Σ_j w_j exp(−2πi k·r_j),  where d is the resolution
in angstrom: amplitudes fall to 1/e at 1/d, the convention of Chimera's molmap. On a square grid the sum separates into
a product over the axes, so that one real matrix product per image evaluates it at every coefficient at once. Nothing
is interpolated, so the error is float32's, below 1e-6 of the largest coefficient; on one core a view of 1,656 atoms
takes 0.5 ms at 64 px, of 3,000 atoms 2 ms at 128 px. Coefficients are unnormalised sums with the origin at the centre
of the box; axes are (y, x) and (z, y, x), x halved as in `rfftn`.
"""

import numpy as np


def resolution_envelope(k_squared_per_ang2: np.ndarray, resolution_ang: float) -> np.ndarray:
    """exp(−(|k| d)²), the transform of an atom at resolution d."""
    return np.exp(-k_squared_per_ang2 * resolution_ang**2).astype(np.float32)


def waves(positions: np.ndarray, count: int) -> np.ndarray:
    """Cosines and sines of the harmonics of each position.

    Parameters
    ----------
    positions : (B, n). Coordinates along one axis as a fraction of the box.
    count : number of harmonics K, starting at zero.

    Returns
    -------
    (B, 2K, n) float32. cos(2πkx) for k < K, then sin(2πkx), built by doubling.
    """
    fraction = positions - np.rint(positions)
    step = np.exp(2j * np.pi * fraction)
    out = np.empty((len(positions), 2 * count, positions.shape[1]), dtype=np.float32)
    cosines, sines = out[:, :count], out[:, count:]
    cosines[:, 0], sines[:, 0] = 1, 0
    # Harmonics k < filled are there; turned by the step to the power of `filled` they give the next ones.
    filled = 1
    while filled < count:
        new = slice(filled, min(2 * filled, count))
        old = slice(0, new.stop - filled)
        cos_step, sin_step = (part.astype(np.float32)[:, None] for part in (step.real, step.imag))
        np.subtract(cosines[:, old] * cos_step, sines[:, old] * sin_step, out=cosines[:, new])
        np.add(cosines[:, old] * sin_step, sines[:, old] * cos_step, out=sines[:, new])
        step *= step
        filled = new.stop
    return out


def plane_transform(waves_y: np.ndarray, waves_x: np.ndarray, weights: np.ndarray, box: int) -> np.ndarray:
    """Σ_j w_j exp(−2πi (kx x_j + ky y_j)) of a batch of point sets.

    Parameters
    ----------
    waves_y, waves_x : (B, 2K, n) from `waves` with K = box // 2.
    weights : (B, n) or (1, n).

    Returns
    -------
    (B, box, box // 2 + 1) complex64 in the order of `rfft2`, origin at the centre of the box, zero on the Nyquist line.
    """
    half = box // 2
    products = waves_y @ np.swapaxes(waves_x * weights[:, None], 1, 2)
    cc, cs = products[:, :half, :half], products[:, :half, half:]
    sc, ss = products[:, half:, :half], products[:, half:, half:]
    spectrum = np.zeros((len(products), box, half + 1), dtype=np.complex64)
    spectrum[:, :half, :half] = (cc - ss) - 1j * (sc + cs)
    spectrum[:, :half:-1, :half] = ((cc + ss) + 1j * (sc - cs))[:, 1:]
    return spectrum


def space_transform(positions: np.ndarray, weights: np.ndarray, box: int) -> np.ndarray:
    """Σ_j w_j exp(−2πi k·r_j) of one point set.

    Parameters
    ----------
    positions : (n, 3). Coordinates (x, y, z) from the centre as a fraction of the box.
    weights : (n,).

    Returns
    -------
    (box, box, box // 2 + 1) complex64 in the order of `rfftn`, zero on the Nyquist planes.
    """
    half = box // 2
    x, y, z = (waves(positions[None, :, axis], half) for axis in range(3))
    spectrum = np.zeros((box, box, half + 1), dtype=np.complex64)
    for k in range(half):
        even, odd = plane_transform(y, x, np.stack([z[0, k], z[0, half + k]]) * weights, box)
        spectrum[k] = even - 1j * odd
        if k:
            spectrum[-k] = even + 1j * odd
    return spectrum


def centre_phase(box: int, dimensions: int) -> np.ndarray:
    """Signs that move the origin between the centre of an even box and its first pixel, in the order of `rfftn`."""
    sign = 1.0 - 2.0 * (np.arange(box) % 2)
    phase = sign[: box // 2 + 1]
    for _ in range(dimensions - 1):
        # Another axis in front, with the signs of that one.
        phase = sign.reshape(-1, *[1] * phase.ndim) * phase
    return phase.astype(np.float32)


def squared_radius(box: int, dimensions: int) -> np.ndarray:
    """|k|² in units of (1/box)², in the order of `rfftn`."""
    full = np.fft.fftfreq(box, 1 / box) ** 2
    total = np.arange(box // 2 + 1, dtype=np.float64) ** 2
    for _ in range(dimensions - 1):
        # Another axis in front, with the squares along it.
        total = full.reshape(-1, *[1] * total.ndim) + total
    return total
