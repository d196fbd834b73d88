"""How much a coefficient of a whitened image weighs before its CTF: m / σ², of each optics group."""

import numpy as np

from ..data.dataset import ParticleDataset
from ..imaging.noise import NoiseModel
from ..imaging.preprocess import soft_window

SAMPLE = 500
"""Images per optics group whose CTFs are averaged."""


def precision_of(dataset: ParticleDataset, noise: NoiseModel) -> np.ndarray:
    """(G, F) float32. m / σ² of each optics group, σ² before the window, and before images were multiplied by their
    CTF: what is measured of these is the noise after it.
    """
    independent = float((soft_window(dataset.box, dataset.config.window) ** 2).mean())
    variance = noise.per_coefficient(dataset.lattice, np.arange(len(noise.sigma2)))
    precision = dataset.lattice.multiplicity * independent / variance
    multiplied = dataset.ctf_multiplied
    for group in np.unique(dataset.optics_group[multiplied]):
        members = np.flatnonzero(multiplied & (dataset.optics_group == group))
        precision[group] *= _mean_ctf2(dataset, members)
    return precision.astype(np.float32)


def _mean_ctf2(dataset: ParticleDataset, members: np.ndarray) -> np.ndarray:
    """(F,) mean CTF² of some particles, the same all over a shell."""
    sample = members[np.linspace(0, len(members) - 1, min(len(members), SAMPLE)).astype(int)]
    mean = np.square(dataset.batch(sample).ctf, dtype=np.float64).mean(0)
    return dataset.lattice.shell_mean(mean)[dataset.lattice.shells]
