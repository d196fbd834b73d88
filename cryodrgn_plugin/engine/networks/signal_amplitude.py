"""How strong the signal is in each shell: what brings a network's outputs and a sampler's choices to units of one."""

import numpy as np

from ..data.dataset import ParticleDataset
from ..decoders.data_statistics import DataStatistics
from ..imaging.noise import NoiseModel, spectral_power

SAMPLE = 1000
"""Images looked at."""
LOWEST_SSNR = 0.1
"""Signal-to-noise ratio that is granted to every shell: a network learns a shell slowly where it is given small units.
"""


def signal_amplitude(dataset: ParticleDataset, noise: NoiseModel, seed: int = 0) -> np.ndarray:
    """Root mean square of the Fourier coefficients of the volume in each shell, in the grey scale of the images.

    The data's power minus the noise, divided by the mean CTF², from a sample of images; where nothing is left above
    the noise, the amplitude at a ratio of `LOWEST_SSNR`.

    Returns
    -------
    (n_shells,) float32, positive.
    """
    rng = np.random.default_rng([seed, 1])
    chosen = np.sort(rng.choice(dataset.n, min(dataset.n, SAMPLE), replace=False))
    lattice = dataset.lattice
    signal, transfer, background = np.zeros(lattice.size), np.zeros(lattice.size), np.zeros(lattice.size)
    for start in range(0, len(chosen), 100):
        batch = dataset.batch(chosen[start : start + 100])
        sigma2 = noise.per_coefficient(lattice, batch.group)
        signal += (np.abs(batch.spectra) ** 2 - sigma2).sum(0, dtype=np.float64)
        background += sigma2.sum(0, dtype=np.float64)
        transfer += (batch.ctf**2).sum(0, dtype=np.float64)
    shells = [lattice.shell_mean(values) for values in (signal, background, transfer)]
    power = np.maximum(shells[0], LOWEST_SSNR * shells[1]) / np.maximum(shells[2], 1e-3 * len(chosen))
    return np.sqrt(power).astype(np.float32)


def data_statistics(dataset: ParticleDataset, noise: NoiseModel, seed: int) -> DataStatistics:
    """What decoders are told of the images of `dataset`."""
    signal, spectrum = signal_amplitude(dataset, noise, seed), np.sqrt(spectral_power(dataset, seed))
    return DataStatistics(signal, spectrum, dataset.pixel_size_ang, seed)
