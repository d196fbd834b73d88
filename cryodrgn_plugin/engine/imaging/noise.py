"""The noise of each optics group, shell by shell, from the background outside the particle circle.

The background is a piece of noise seen through a mask, and what is trained on is noise seen through the soft window,
both with the background mean taken off. Each mixes shells linearly: the expected power of masked noise is K P, where P
is the power per coefficient of the unmasked noise and K follows from the transform of the mask. The measured power of
the background is unmixed by its K, and mixed again by that of the window, which gives the variance of the coefficients
that the engine sees (the pseudo-spectrum method of Hivon et al. 2002, ApJ 567, 2).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from .lattice import HalfPlane
from .preprocess import background, radius_grid, soft_window

if TYPE_CHECKING:
    from ..data.dataset import ParticleDataset

SAMPLE = 2000
"""Images per optics group that the estimate uses."""
NOISE_FREE_SHARE = 1e-3
"""Variance given to noise-free images, as a share of their mean power: enough to keep divisions by it harmless."""
_UNMIXING_STEPS = 5
_UNSMOOTHED_SHELLS = 3
_CHUNK = 250


@dataclass(frozen=True)
class NoiseModel:
    """Variance of the noise in the prepared spectra."""

    sigma2: np.ndarray
    """(G, n_shells) float32. E|n|² of one complex coefficient, per optics group and shell; positive."""

    def per_coefficient(self, lattice: HalfPlane, group: np.ndarray) -> np.ndarray:
        """(B, F) float32. Variance of each coefficient of particles in these groups."""
        return self.sigma2[np.asarray(group)][:, lattice.shells]


def estimate_noise(dataset: "ParticleDataset", seed: int = 0) -> NoiseModel:
    """Noise variance per optics group and shell, from the background of up to 2,000 images of each group.

    Groups without particles in this dataset get the mean of the others.
    """
    box, radius = dataset.box, dataset.config.window
    through_window = shell_mixing(box, radius, "window")
    n_shells = dataset.lattice.n_shells
    sigma2 = np.zeros((dataset.n_optics_groups, n_shells))
    groups = np.unique(dataset.optics_group)
    for group in groups:
        members = np.flatnonzero(dataset.optics_group == group)
        rng = np.random.default_rng([seed, int(group)])
        chosen = np.sort(rng.choice(members, min(len(members), SAMPLE), replace=False))
        if dataset.source.preparations[group].has_noise:
            sigma2[group] = (through_window @ background_spectrum(dataset, chosen))[:n_shells]
        else:
            spectra = dataset.batch(chosen[:_CHUNK]).spectra
            sigma2[group] = NOISE_FREE_SHARE * max(float((np.abs(spectra) ** 2).mean()), 1e-30)
    sigma2[np.setdiff1d(np.arange(len(sigma2)), groups)] = sigma2[groups].mean(0)
    return NoiseModel(np.maximum(sigma2, 1e-6 * sigma2.max(axis=1, keepdims=True)).astype(np.float32))


def background_spectrum(dataset: "ParticleDataset", index: np.ndarray) -> np.ndarray:
    """(R,) float64. Power of the noise by shell up to the corner of the transform, on the background of the images at
    `index`, without what the mask around the background does to it."""
    mixing = shell_mixing(dataset.box, dataset.config.window, "background")
    return smooth(unmix(_background_power(dataset, index), mixing))


def spectral_power(dataset: "ParticleDataset", seed: int = 0, epsilon: float = 1e-3) -> np.ndarray:
    """Mean power of the data over mean CTF² in each shell: eq. 5 of Kimanius, Jamali and Scheres.

    It stands for the noise variance after CTF correction and normalises the spectra of the structural-basis decoder.

    Parameters
    ----------
    epsilon : added to the mean CTF², for shells that the CTF does not pass.

    Returns
    -------
    (n_shells,) float32, positive.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(dataset.n, min(dataset.n, SAMPLE), replace=False))
    power = np.zeros(dataset.lattice.size)
    transfer = np.zeros(dataset.lattice.size)
    for start in range(0, len(chosen), _CHUNK):
        batch = dataset.batch(chosen[start : start + _CHUNK])
        power += (np.abs(batch.spectra) ** 2).sum(0, dtype=np.float64)
        transfer += (batch.ctf**2).sum(0, dtype=np.float64)
    ratio = dataset.lattice.shell_mean(power) / (dataset.lattice.shell_mean(transfer) + epsilon * len(chosen))
    return np.maximum(ratio, 1e-6 * ratio.max()).astype(np.float32)


def background_mask(box: int, radius: float) -> np.ndarray:
    """(D, D) float32. 1 outside a circle of `radius` (a fraction of half the box), softly 0 inside and at the rim."""
    r = radius_grid(box)
    rim = np.clip((r - min(radius, 1.0)) / 0.1, 0, 1)
    axis = np.arange(box)
    edge = np.clip((np.minimum(axis, box - 1 - axis) + 0.5) / (0.06 * box), 0, 1)
    soft = 0.5 - 0.5 * np.cos(np.pi * rim)
    taper = 0.5 - 0.5 * np.cos(np.pi * edge)
    return (soft * taper[:, None] * taper[None, :]).astype(np.float32)


@lru_cache(maxsize=8)
def shell_mixing(box: int, radius: float, through: str) -> np.ndarray:
    """How noise of one shell appears in the others when seen through a mask, with the background mean taken off.

    Parameters
    ----------
    radius : particle circle, as a fraction of half the box.
    through : "background" for `background_mask`, "window" for the soft window of the prepared images.

    Returns
    -------
    (R, R) float64, R shells up to the corner of the transform; [r, s] is the mean power of a coefficient of shell r
    when coefficients of shell s have unit power.
    """
    mask = background_mask(box, radius) if through == "background" else soft_window(box, radius)
    outside = background(box, radius)
    shells = _shells(box)
    n_shells = int(shells.max()) + 1
    counts = np.bincount(shells.ravel(), minlength=n_shells)
    mask_f = scipy.fft.fft2(mask.astype(np.float64))
    mean_f = scipy.fft.fft2(outside / outside.sum())
    inverse_mask_f = scipy.fft.ifft2(mask_f)
    inverse_mask_power = scipy.fft.ifft2(np.abs(mask_f) ** 2)
    mixing = np.empty((n_shells, n_shells))
    for shell in range(n_shells):
        ring = (shells == shell).astype(np.float64)
        direct = scipy.fft.fft2(inverse_mask_power * scipy.fft.ifft2(ring)).real * box**2
        cross = scipy.fft.fft2(inverse_mask_f * scipy.fft.ifft2(ring * mean_f)) * box**2
        of_mean = (ring * np.abs(mean_f) ** 2).sum()
        # E|FT(mask · (n − mean))|², where the mean over the background is itself a sum over the noise n.
        power = direct - 2 * (np.conj(mask_f) * cross).real + np.abs(mask_f) ** 2 * of_mean
        mixing[:, shell] = np.bincount(shells.ravel(), power.ravel(), n_shells) / counts / box**4
    return mixing


def unmix(power: np.ndarray, mixing: np.ndarray) -> np.ndarray:
    """(R,) power of the unmasked noise, given its mixture `power` (R,); correcting in ratios keeps it positive."""
    estimate = power / mixing.sum(1)
    for _ in range(_UNMIXING_STEPS):
        estimate = estimate * power / (mixing @ estimate)
    return estimate


def smooth(power: np.ndarray) -> np.ndarray:
    """(R,) positive power, each shell averaged with its neighbours (1, 2, 1) in the logarithm.

    The innermost shells, where backgrounds may be steep, are left alone.
    """
    padded = np.pad(np.log(power), 1, mode="edge")
    averaged = np.exp((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4)
    return np.where(np.arange(len(power)) < _UNSMOOTHED_SHELLS, power, averaged)


def _background_power(dataset: "ParticleDataset", index: np.ndarray) -> np.ndarray:
    """(R,) mean |transform|² of the masked background of these images, by shell."""
    mask = background_mask(dataset.box, dataset.config.window)
    shells = _shells(dataset.box)
    total = np.zeros(shells.shape)
    for start in range(0, len(index), _CHUNK):
        images = dataset.unwindowed(index[start : start + _CHUNK])
        total += (np.abs(scipy.fft.fft2(images * mask)) ** 2).sum(0)
    return np.bincount(shells.ravel(), total.ravel()) / np.bincount(shells.ravel()) / len(index)


def _shells(box: int) -> np.ndarray:
    """(D, D) int. round(|k|) of each coefficient of a full transform."""
    axis = scipy.fft.fftfreq(box, 1 / box)
    return np.rint(np.hypot(axis[:, None], axis[None, :])).astype(np.int64)
