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


def state_log_likelihoods(images: WhitenedImages, maps: np.ndarray) -> np.ndarray:
    """Log-likelihood of every image under every true map, up to a constant per image.

    Parameters
    ----------
    maps : (S, D, D, D), at the images' box, in their grey scale.

    Returns
    -------
    (N, S) float64.
    """
    lattice = images.lattice
    sphere = HalfSphere(lattice.box, PADDING, lattice.radius)
    backend, scores = images.backend(sphere), np.empty((images.n, len(maps)))
    for first in range(0, len(maps), STATES_AT_ONCE):
        coefs = backend.coefficients(images.compute.tensor(maps[first : first + STATES_AT_ONCE]))
        for batch in images.passes(lattice.size):
            gram, inner = backend.compress(coefs, batch.targets, batch.weights, batch.rotations)
            energy = gram.diagonal(dim1=1, dim2=2)
            scores[batch.index, first : first + coefs.shape[2]] = on_host(inner - energy / 2)
    return scores


def assigned_states(scores: np.ndarray, populations: np.ndarray | None = None) -> np.ndarray:
    """(N,) the most likely state of each image; with `populations` (S,), the most probable one."""
    return np.argmax(scores if populations is None else scores + np.log(np.maximum(populations, 1e-12)), axis=1)
