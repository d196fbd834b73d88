"""The space of volumes: where each particle lies in it, and how to make maps of its places. Exact, for linear decoders.

Two kinds make one, `exact_space` here and `sketched_space` of sketch.py; what comes after does not know which.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..analysis.found_states import at_states
from ..analysis.linear_volumes import LinearVolumes, VolumePca, amplitudes_of, exact_components, masked_gram
from ..analysis.volumes import TrainedDecoder
from ..decoders.decoder import LinearDecoder
from ..errors import DataError
from .landscape_options import LandscapeOptions
from .region import region_of_interest
from .representatives import far_apart, nearest, on_data_centres

STANDING_FOR_ALL = 100
"""Volumes from which the mask of an exact landscape is made."""

FLAT = 1e-12
"""Share of the power of volumes that differences by rounding have, at most."""

Progress = Callable[..., None]


class LandscapeDecoder(TrainedDecoder, Protocol):
    """What `load_decoder(run)` returns."""

    def linear(self) -> Sequence[LinearDecoder]:
        """The decoder and those of its halves where volumes are linear in amplitudes, else nothing."""


@dataclass(frozen=True)
class Places:
    """Places in the space of volumes whose maps can be made."""

    maker: TrainedDecoder
    """Its `volume(coordinates[k])` is the map of place k."""
    coordinates: np.ndarray
    """(n, ?)."""
    z: np.ndarray
    """(n, Z) latents: those the decoder makes the map from where there are such, else those of `particles`."""
    particles: np.ndarray
    """(n,) the particle whose volume is nearest."""


class VolumeSpace(Protocol):
    """N particles by the principal components of their masked volumes."""

    @property
    def method(self) -> str:
        """exact or sketch."""

    @property
    def mask(self) -> np.ndarray:
        """(D, D, D)."""

    @property
    def scores(self) -> np.ndarray:
        """(N, P) float32."""

    @property
    def explained(self) -> np.ndarray:
        """(P,) share of the variance inside the mask."""

    def averages(self, members: Sequence[np.ndarray], posterior: np.ndarray | None = None) -> Places:
        """The average volume of each group of particles (indices). Of separate states, whose posteriors (N, k) are
        given, the volumes of the states themselves, where volumes are linear.
        """

    def walk(self, component: int, scores: np.ndarray) -> Places:
        """Volumes along a component (from 0) through the mean, at `scores` (n,)."""


def require_differences(variance: float, power: float) -> None:
    """Raise DataError where volumes do not differ: their `variance`, summed over voxels, is nothing beside `power`."""
    if not variance > FLAT * power:
        raise DataError("The volumes of this run do not differ from each other, so there is no landscape of them.")


@dataclass(frozen=True)
class ExactSpace:
    """All particles by linear algebra."""

    volumes: LinearVolumes
    mask: np.ndarray
    pca: VolumePca
    amplitudes: np.ndarray
    """(N, K)."""
    z: np.ndarray
    latents_are_amplitudes: bool
    method: str = "exact"

    @property
    def scores(self) -> np.ndarray:
        return self.pca.scores

    @property
    def explained(self) -> np.ndarray:
        return self.pca.explained

    def averages(self, members: Sequence[np.ndarray], posterior: np.ndarray | None = None) -> Places:
        if posterior is not None:
            return self._places(at_states(posterior, self.amplitudes), at_states(posterior, self.scores))
        amplitudes = np.stack([self.amplitudes[index].mean(axis=0, dtype=np.float64) for index in members])
        return self._places(amplitudes, np.stack([self.scores[index].mean(axis=0) for index in members]))

    def walk(self, component: int, scores: np.ndarray) -> Places:
        on_axis = np.zeros((len(scores), self.scores.shape[1]))
        on_axis[:, component] = scores
        return self._places(self.pca.mean + scores[:, None] * self.pca.directions[component], on_axis)

    def _places(self, amplitudes: np.ndarray, scores: np.ndarray) -> Places:
        particles = nearest(self.scores, scores)
        amplitudes = amplitudes.astype(np.float32)
        return Places(
            self.volumes, amplitudes, amplitudes if self.latents_are_amplitudes else self.z[particles], particles
        )


def exact_space(decoder: LandscapeDecoder, z: np.ndarray, options: LandscapeOptions, report: Progress) -> ExactSpace:
    """The landscape of a decoder whose volumes are linear in amplitudes: every particle, no volume needed.

    Raises DataError where the volumes do not differ.
    """
    parts = decoder.linear()
    amplitudes = amplitudes_of(parts[0], z)
    volumes = LinearVolumes.of(parts, decoder.pixel_size_ang)
    half = STANDING_FOR_ALL // 2
    chosen = [on_data_centres(amplitudes, half, options.seed), far_apart(amplitudes, half, options.seed)]
    mask = region_of_interest(options.mask, volumes, amplitudes[np.unique(np.concatenate(chosen))], report)
    pca = exact_components(amplitudes, masked_gram(volumes.bases, mask), options.components)
    require_differences(float(pca.scores.var(axis=0).sum()), float(np.square(volumes.bases[0] * mask).sum()))
    same = amplitudes.shape == z.shape and np.array_equal(amplitudes, z)
    return ExactSpace(volumes, mask, pca, amplitudes, z, same)
