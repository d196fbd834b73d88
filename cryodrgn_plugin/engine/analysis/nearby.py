"""The particles near a point of a run's latent space, and what their images alone show there."""

import numpy as np

from ..data.half_sets import drawn_halves
from ..imaging.noise import estimate_noise
from ..reconstruction.bandwidth import Bandwidths, choose_bandwidths
from ..reconstruction.expectation import Halves
from ..reconstruction.kernel import kernel_at
from ..reconstruction.masks import mask_from_map
from ..reconstruction.regression import Regression, RegressionMaps
from ..run import Latents, Run
from .metric import LatentMetric
from .run_particles import images_of
from .volumes import TrainedDecoder


class NearbyParticles:
    """Maps by regression at points of a run's latent space, for as many particles as cross-validation suggests.

    Raises DataError when the images cannot be read.
    """

    def __init__(self, run: Run, latents: Latents, decoder: TrainedDecoder, z: np.ndarray, seed: int) -> None:
        """z (S, Z): points at some of which numbers of particles are compared; `seed` of draws and half-sets."""
        dataset = images_of(run)
        half = drawn_halves(dataset, seed) if latents.half is None else latents.half
        noise = estimate_noise(dataset, run.config.seed)
        self._regression = Regression(dataset, noise, half, run.config.decoder.padding)
        self._metric, self._seed, self.n = LatentMetric(decoder, latents.z), seed, dataset.n

        def mask_of(volume: np.ndarray) -> np.ndarray:
            return mask_from_map(volume, decoder.pixel_size_ang)

        def report(done: int, total: int) -> None:
            run.progress("cross-validation", done, total)

        positions, at = self._metric.positions, self._metric.at(z)
        self.bandwidths: Bandwidths = choose_bandwidths(self._regression, positions, at, mask_of, seed, report)

    def maps(self, z: np.ndarray, effective: int) -> RegressionMaps:
        """The maps at z (Z,) of the nearest particles, `effective` of them."""
        return self._regression.maps(
            kernel_at(self._metric.positions, self._metric.at(z[None])[0], effective, self._seed)
        )

    def reference(self, z: np.ndarray) -> Halves:
        """Half-maps at z (Z,) without prior and with as little blur as still shows the molecule."""
        return self.maps(z, self.bandwidths.reference).halves


def can_be_measured(latents: Latents, decoder: TrainedDecoder) -> bool:
    """Whether the FSC of the decoder's maps with the truth can be: it has half-maps whose particles are known."""
    return latents.half is not None and decoder.half_volumes(latents.z[0]) is not None
