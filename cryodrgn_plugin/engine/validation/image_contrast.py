"""The contrast of each image, with what states have of it counted as contrast and not as a state.

A latent space that follows contrast has maps along it that are one molecule, fainter and brighter. Judged by the map of
its own state every image then has a contrast of 1, and judged by the mean map an image of a smaller molecule is faint.
So maps are compared where two of them have density, and only there: a part that is absent leaves the rest as it was,
contrast does not. Each image's contrast is its amplitude along the map of its state, over the mean of those of the
images in that state (which is below 1, the more so the noisier the map), times the brightness of that map.
"""

import numpy as np

from ..reconstruction.masks import lowpass

LOWPASS_PX = 4.0
DENSE = 0.25
"""Of the largest density: what belongs to the molecule."""
OF_LARGEST = 99.5
LEAST_AMPLITUDE = 0.05
LEAST_IN_COMMON, LEAST_VOXELS = 0.25, 20
"""Maps that share less of the smaller one, or fewer voxels, are not compared."""


def brightness(maps: np.ndarray, population: np.ndarray) -> np.ndarray:
    """(M,) by how much each of M maps (M, D, D, D) is brighter as a whole than the population's (M,) mean."""
    smooth = np.stack([lowpass(volume, 1.0, LOWPASS_PX) for volume in maps])
    dense = smooth > DENSE * np.percentile(smooth.max(axis=0), OF_LARGEST)
    voxels = dense.sum(axis=(1, 2, 3))
    weight, log_ratio = np.zeros((2, len(maps), len(maps)))
    for a in range(len(maps)):
        for b in range(a):
            both = dense[a] & dense[b]
            common = int(both.sum())
            if common >= max(LEAST_VOXELS, LEAST_IN_COMMON * min(voxels[a], voxels[b])):
                ratio = float(np.median(np.log(smooth[a][both] / smooth[b][both])))
                weight[a, b] = weight[b, a] = common
                log_ratio[a, b], log_ratio[b, a] = ratio, -ratio
    # Least squares of log b_a − log b_b = log ratio, weighted by what is in common.
    laplacian = np.diag(weight.sum(axis=1)) - weight
    log_brightness = np.linalg.lstsq(laplacian, (weight * log_ratio).sum(axis=1), rcond=None)[0]
    return np.exp(log_brightness - population @ log_brightness)


def contrasts(inner: np.ndarray, energy: np.ndarray, membership: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """(N,) contrast of each image.

    Parameters
    ----------
    inner, energy : (N, M) ⟨view, image⟩ and ⟨view, view⟩, both weighted, of the map of each state.
    membership : (N, M) posterior over states.
    bright : (M,) `brightness` of the maps.
    """
    along_own = inner / np.maximum(energy, 1e-12)
    mean = (membership * along_own).sum(axis=0) / np.maximum(membership.sum(axis=0), 1e-12)
    # A state that no image is in has no mean amplitude, and no say.
    relative = along_own / np.where(mean > LEAST_AMPLITUDE, mean, 1.0)
    return (membership * relative * bright).sum(axis=1)
