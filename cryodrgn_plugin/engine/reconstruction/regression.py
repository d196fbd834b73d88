"""Maps at a point of the latent space by kernel regression: a weighted backprojection of the particles near it.

No model of the maps is involved and no prior, so its half-maps show what the data alone hold there: more noise than a
decoder, and no more blur than the kernel is wide.
"""

from dataclasses import dataclass

import numpy as np

from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..imaging.noise import NoiseModel
from .adaptive import local_wiener
from .backproject import accumulate
from .kernel import Kernel, effective_number


@dataclass(frozen=True)
class RegressionMaps:
    """`halves`: two (D, D, D) maps without prior; `effective`: the number of particles they rest on together."""

    halves: tuple[np.ndarray, np.ndarray]
    effective: float

    def combined(self) -> np.ndarray:
        """(D, D, D) map of all of them, by the Wiener filter in space and frequency."""
        return local_wiener(*self.halves)


class Regression:
    """Kernel regression on the particles of a run.

    Parameters
    ----------
    dataset : with poses, in the order of the run's latents.
    half : (N,) of 0 and 1, the half-set of each particle.
    padding : of the grid that images are summed on.
    """

    def __init__(self, dataset: ParticleDataset, noise: NoiseModel, half: np.ndarray, padding: float) -> None:
        dataset.require_poses()
        self._dataset, self._noise, self._half, self._padding = dataset, noise, np.asarray(half), padding

    def maps(self, kernel: Kernel) -> RegressionMaps:
        """Half-maps of the particles of a kernel. Raises DataError when one half has none of them."""
        half = self._half[kernel.index]
        if len(np.unique(half)) < 2:
            raise DataError("A regression needs particles of both half-sets near the state; raise neighbors.")
        sums = accumulate(self._dataset, kernel.index, kernel.weights, self._noise, half, self._padding)
        return RegressionMaps((sums[0].volume(), sums[1].volume()), effective_number(kernel.weights))
