"""The maps of states: from the run's decoder, or by regression from the particles near them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..analysis.run_particles import images_of
from ..analysis.volumes import TrainedDecoder
from ..imaging.noise import estimate_noise
from ..landscape.linear_volumes import amplitudes_of
from ..reconstruction.backproject import random_halves
from ..reconstruction.masks import mask_from_map
from ..run import Latents, Run
from .bandwidth import Bandwidths, choose_bandwidths
from .kernel import LatentMetric, kernel_at
from .options import StatesOptions
from .regression import Regression, RegressionMaps


@dataclass(frozen=True)
class StateMaps:
    """The map of a state, (D, D, D), and its half-maps if it has any; `effective` particles it rests on, if known."""

    volume: np.ndarray
    halves: tuple[np.ndarray, np.ndarray] | None
    effective: float | None


class DecoderStates:
    """Maps of a run's decoder, with how many particles each rests on."""

    def __init__(self, decoder: TrainedDecoder, z: np.ndarray) -> None:
        """z (N, Z): the latents of all particles."""
        linear = decoder.linear() if hasattr(decoder, "linear") else ()
        self._decoder, self._linear = decoder, linear[0] if linear else None
        if self._linear is not None:
            terms = self._terms(z)
            self._information = terms.T @ terms

    def at(self, z: np.ndarray) -> StateMaps:
        """The map at z (Z,)."""
        return StateMaps(self._decoder.volume(z), self._decoder.half_volumes(z), self._effective(z))

    def _effective(self, z: np.ndarray) -> float | None:
        """Without a prior, the map of linear bases is a weighted sum of all images; (Σw)² / Σw² of those weights."""
        if self._linear is None:
            return None
        terms = self._terms(z[None])[0]
        return float(1 / (terms @ np.linalg.pinv(self._information) @ terms))

    def _terms(self, z: np.ndarray) -> np.ndarray:
        amplitudes = amplitudes_of(self._linear, np.asarray(z, np.float32))
        return np.concatenate([np.ones((len(z), 1)), amplitudes], axis=1)


class NearbyParticles:
    """Maps by regression at points of a run's latent space, for as many particles as cross-validation suggests."""

    def __init__(self, run: Run, latents: Latents, decoder: TrainedDecoder, z: np.ndarray, options: StatesOptions):
        """z (S, Z): the states, at some of which numbers of particles are compared."""
        dataset = images_of(run)
        half = random_halves(dataset.n, options.seed) if latents.half is None else latents.half
        noise = estimate_noise(dataset, run.config.seed)
        self._regression = Regression(dataset, noise, half, run.config.decoder.padding)
        self._metric, self._seed = LatentMetric(decoder, latents.z), options.seed

        def mask_of(volume: np.ndarray) -> np.ndarray:
            return mask_from_map(volume, decoder.pixel_size_ang)

        def report(done: int, total: int) -> None:
            run.progress("cross-validation", done, total)

        where = (self._metric.positions, self._metric.at(z))
        self.bandwidths: Bandwidths = choose_bandwidths(self._regression, *where, mask_of, options.seed, report)
        self.neighbors = min(options.neighbors, len(latents.z)) or self.bandwidths.best

    def at(self, z: np.ndarray) -> StateMaps:
        """The map at z (Z,) from its `neighbors`."""
        maps = self._maps(z, self.neighbors)
        return StateMaps(maps.combined(), maps.halves, maps.effective)

    def reference(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half-maps at z (Z,) without prior and with as little blur as still shows the molecule."""
        return self._maps(z, self.bandwidths.reference).halves

    def _maps(self, z: np.ndarray, effective: int) -> RegressionMaps:
        return self._regression.maps(
            kernel_at(self._metric.positions, self._metric.at(z[None])[0], effective, self._seed)
        )


Maker = Callable[[np.ndarray], StateMaps]
