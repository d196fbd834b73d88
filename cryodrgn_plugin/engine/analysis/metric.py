"""How different two particles are.

Distances are those between the particles' volumes where volumes are linear in amplitudes, so that a latent dimension
counts as much as it changes the map; elsewhere those between latents with all principal components scaled to one.
"""

import numpy as np

from ..reconstruction.masks import spherical_mask
from .linear_volumes import amplitudes_of, exact_components, masked_gram
from .volumes import TrainedDecoder


class LatentMetric:
    """Positions whose Euclidean distances say how different two particles are; `at` gives those of latents (n, Z)."""

    def __init__(self, decoder: TrainedDecoder, z: np.ndarray) -> None:
        """z (N, Z): the latents of all particles."""
        linear = decoder.linear() if hasattr(decoder, "linear") else ()
        self._linear = linear[0] if linear else None
        values = self._values(z)
        if self._linear is not None:
            gram = masked_gram(self._linear.basis_volumes(), spherical_mask(decoder.box))
            components = exact_components(values, gram, len(gram))
            self._mean, self._back = components.mean, np.linalg.pinv(components.directions)
        else:
            self._mean = values.mean(0)
            # np.cov of a single dimension is a number; it must be a matrix too.
            spread, axes = np.linalg.eigh(np.cov((values - self._mean).T).reshape(values.shape[1], -1))
            self._back = axes / np.sqrt(np.maximum(spread, 1e-6 * max(spread[-1], 1e-30)))
        self.positions = self.at(z)
        """(N, P) of all particles."""

    def at(self, z: np.ndarray) -> np.ndarray:
        """(n, P) positions of latents z (n, Z)."""
        return (self._values(z) - self._mean) @ self._back

    def _values(self, z: np.ndarray) -> np.ndarray:
        z = np.asarray(z, np.float32)
        return (amplitudes_of(self._linear, z) if self._linear is not None else z).astype(np.float64)
