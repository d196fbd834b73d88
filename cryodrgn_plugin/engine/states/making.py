"""The maps of states: from the run's decoder, or by regression from the particles near them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..analysis.linear_volumes import amplitudes_of
from ..analysis.nearby import NearbyParticles
from ..analysis.volumes import TrainedDecoder


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


class RegressionStates:
    """Maps by regression from the particles nearest to a point, as many as cross-validation or the user wants."""

    def __init__(self, nearby: NearbyParticles, neighbors: int) -> None:
        """neighbors: particles that a map rests on, as an effective number; 0 takes the best of cross-validation."""
        self._nearby, self.neighbors = nearby, min(neighbors, nearby.n) or nearby.bandwidths.best

    def at(self, z: np.ndarray) -> StateMaps:
        """The map at z (Z,)."""
        maps = self._nearby.maps(z, self.neighbors)
        return StateMaps(maps.combined(), maps.halves, maps.effective)


Maker = Callable[[np.ndarray], StateMaps]
