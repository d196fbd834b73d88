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
    inner, energy = state_products(images, maps)
    factor = 1.0 if contrast is None else np.asarray(contrast, dtype=np.float64)[:, None]
    return _over_contrasts(factor * inner, factor**2 * energy, contrast_sd)


def state_products(images: WhitenedImages, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """⟨view, image⟩ and ⟨view, view⟩, both weighted, of every image and map (S, D, D, D): (N, S) float64 each."""
    lattice = images.lattice
    sphere = HalfSphere(lattice.box, PADDING, lattice.radius)
    backend, (all_inner, energy) = images.backend(sphere), np.empty((2, images.n, len(maps)))
    for first in range(0, len(maps), STATES_AT_ONCE):
        coefs = backend.coefficients(images.compute.tensor(maps[first : first + STATES_AT_ONCE]))
        for batch in images.passes(lattice.size):
            gram, inner = backend.compress(coefs, batch.targets, batch.weights, batch.rotations)
            states = slice(first, first + coefs.shape[2])
            all_inner[batch.index, states] = on_host(inner)
            energy[batch.index, states] = on_host(gram.diagonal(dim1=1, dim2=2))
    return all_inner, energy


def _over_contrasts(match: np.ndarray, energy: np.ndarray, contrast_sd: float) -> np.ndarray:
    """Logarithm of the mean of exp(c b − ½ c² e) over c ~ N(1, contrast_sd²)."""
    variance = contrast_sd**2
    widened = 1 + variance * energy
    return (variance * match**2 + 2 * match - energy) / (2 * widened) - np.log(widened) / 2


def assigned_states(scores: np.ndarray, populations: np.ndarray | None = None) -> np.ndarray:
    """(N,) the most likely state of each image; with `populations` (S,), the most probable one."""
    return np.argmax(scores if populations is None else scores + np.log(np.maximum(populations, 1e-12)), axis=1)
