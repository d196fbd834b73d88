"""What the best possible analysis would find: maximum likelihood with the true maps, on the same images.

For simulated sets only. The oracle knows every state's true map and all noise statistics, and sees nothing but one
image at a time; a method's coordinate is judged by how close it comes to the oracle's.
"""

import numpy as np

from ..likelihood.whitened import WhitenedImages
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere

PADDING = 2.0
STATES_AT_ONCE = 16


def state_log_likelihoods(
    images: WhitenedImages, maps: np.ndarray, contrast: np.ndarray | None = None, contrast_sd: float = 0.0
) -> np.ndarray:
    """Log-likelihood of every image under every true map, up to a constant per image.

    The contrast c of an image, a factor on its slice, is known or integrated out with the prior N(1, contrast_sd²): of
    c b − ½ c² e, with b the inner product of image and slice and e the slice's energy, both whitened, that leaves
    ½ (σ² b² + 2 b − e)/(1 + σ² e) − ½ log(1 + σ² e).

    Parameters
    ----------
    maps : (S, D, D, D), at the images' box, in their grey scale.
    contrast : (N,), where it is known; otherwise 1.
    contrast_sd : standard deviation of what the contrast is beyond that, as a share of it.

    Returns
    -------
    (N, S) float64.
    """
    lattice = images.lattice
    sphere = HalfSphere(lattice.box, PADDING, lattice.radius)
    backend, scores = images.backend(sphere), np.empty((images.n, len(maps)))
    scale = np.ones(images.n) if contrast is None else np.asarray(contrast, dtype=np.float64)
    for first in range(0, len(maps), STATES_AT_ONCE):
        coefs = backend.coefficients(images.compute.tensor(maps[first : first + STATES_AT_ONCE]))
        for batch in images.passes(lattice.size):
            gram, inner = backend.compress(coefs, batch.targets, batch.weights, batch.rotations)
            factor = scale[batch.index, None]
            energy = factor**2 * on_host(gram.diagonal(dim1=1, dim2=2)).astype(np.float64)
            match = factor * on_host(inner).astype(np.float64)
            scores[batch.index, first : first + coefs.shape[2]] = _over_contrasts(match, energy, contrast_sd)
    return scores


def _over_contrasts(match: np.ndarray, energy: np.ndarray, contrast_sd: float) -> np.ndarray:
    """Logarithm of the mean of exp(c b − ½ c² e) over c ~ N(1, contrast_sd²)."""
    variance = contrast_sd**2
    widened = 1 + variance * energy
    return (variance * match**2 + 2 * match - energy) / (2 * widened) - np.log(widened) / 2


def assigned_states(scores: np.ndarray, populations: np.ndarray | None = None) -> np.ndarray:
    """(N,) the most likely state of each image; with `populations` (S,), the most probable one."""
    return np.argmax(scores if populations is None else scores + np.log(np.maximum(populations, 1e-12)), axis=1)
