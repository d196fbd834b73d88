"""Probabilistic principal components by EM: directions of motion from random starts, without a network.

With amplitudes s ~ N(0, I), the E-step is one K × K solve per image on its compressed likelihood, the M-step one
closed-form solve of the volumes. The frequency limit marches up; weak directions settle in a low band first.
After each E-step the amplitudes are whitened and the volumes scaled in return (parameter expansion), which speeds the
slow directions.
"""

from dataclasses import dataclass

import numpy as np

from ..config import ClosedFormConfig
from ..likelihood.linear_model import LinearModel, compress, fit_volumes, mean_model, soft_ball, sphere_at
from ..likelihood.voxel_solve import accumulate
from ..likelihood.whitened import WhitenedImages


@dataclass(frozen=True)
class Amplitudes:
    """Gaussian posteriors of the amplitudes: `mean` (N, K), `covariance` (N, K, K).

    `evidence` is the mean log-likelihood of an image, amplitudes integrated out, over that of an image of nothing.
    """

    mean: np.ndarray
    covariance: np.ndarray
    evidence: float = 0.0

    def moments(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E[s] (B, K + 1) and E[s sᵀ] (B, K + 1, K + 1), the mean volume's 1 in front."""
        first = np.concatenate([np.ones((len(index), 1)), self.mean[index]], axis=1)
        second = first[:, :, None] * first[:, None, :]
        second[:, 1:, 1:] += self.covariance[index]
        return first, second

    def whitening(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (K,) of the population and a matrix L (K, K) with L Lᵀ its covariance."""
        centre = self.mean.mean(0)
        spread = np.cov(self.mean.T, bias=True).reshape(len(centre), -1) + self.covariance.mean(0)
        return centre, np.linalg.cholesky(spread + 1e-9 * np.trace(spread) * np.eye(len(centre)))


def posterior(gram: np.ndarray, inner: np.ndarray) -> Amplitudes:
    """E-step: posteriors of s under N(0, I), from compressed images A (N, C, C), b (N, C)."""
    k = gram.shape[1] - 1
    precision = gram[:, 1:, 1:] + np.eye(k)
    covariance = np.linalg.inv(precision)
    covariance = (covariance + np.swapaxes(covariance, 1, 2)) / 2
    residual = inner[:, 1:] - gram[:, 1:, 0]
    mean = np.einsum("nij,nj->ni", covariance, residual)
    of_mean_volume = inner[:, 0] - gram[:, 0, 0] / 2
    of_amplitudes = (residual * mean).sum(1) / 2 - np.linalg.slogdet(precision)[1] / 2
    return Amplitudes(mean, covariance, float((of_mean_volume + of_amplitudes).mean()))


def normalizing(model: LinearModel, amplitudes: Amplitudes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The frame where amplitudes are N(0, I) and bases are orthogonal, the most energetic first.

    Returns
    -------
    matrix (C, C) for `LinearModel.mixed`, and centre (K,), back (K, K): new amplitudes are back · (s − centre).
    """
    k = model.n_bases
    centre, lower = amplitudes.whitening()
    to_white = np.eye(k + 1)
    to_white[1:, 0] = centre
    to_white[1:, 1:] = lower
    energy, turn = np.linalg.eigh(model.mixed(to_white).gram()[1:, 1:])
    turn = turn[:, np.argsort(energy)[::-1]]
    rotation = np.eye(k + 1)
    rotation[1:, 1:] = turn
    return to_white @ rotation, centre, turn.T @ np.linalg.inv(lower)


def normalized(models: list[LinearModel], amplitudes: Amplitudes) -> tuple[list[LinearModel], Amplitudes]:
    """The same volumes and amplitudes in the normalizing frame of the models' mean."""
    matrix, centre, back = normalizing(mean_model(models), amplitudes)
    moved = Amplitudes((amplitudes.mean - centre) @ back.T, back @ amplitudes.covariance @ back.T, amplitudes.evidence)
    return [m.mixed(matrix) for m in models], moved


def schedule(config: ClosedFormConfig, last_radius: int) -> list[tuple[int, bool]]:
    """(frequency limit in 1/(box · pixel), whether half-sets check each other) of each iteration.

    Half of the iterations stay in the first band with all images together, which is where a common frame settles; then
    the limit rises geometrically while each image is judged by the volumes of the half-set it is not in.
    """
    first = min(config.first_radius, last_radius)
    settling = config.iterations // 2
    rising = np.geomspace(first, last_radius, config.iterations - settling + 1)[1:]
    return [(first, False)] * settling + [(int(round(radius)), True) for radius in rising]


def iterate(
    images: WhitenedImages, box: int, padding: float, radius: int, amplitudes: Amplitudes, half: np.ndarray | None
) -> tuple[list[LinearModel], Amplitudes]:
    """One round of EM at one frequency limit.

    Parameters
    ----------
    half : (N,) half-set of each image, or None to solve all images together.

    Returns
    -------
    The volumes (one model, or one per half-set) and the amplitudes they imply, both in the normalized frame.
    """
    sphere = sphere_at(box, padding, radius)
    count = images.lattice.count(radius)
    equations = accumulate(images, sphere, count, amplitudes.moments, half)
    models = fit_volumes(equations, sphere, soft_ball(sphere.box))
    return normalized(models, posterior(*compress(models, images, count, half)))


def reliability(amplitudes: Amplitudes) -> np.ndarray:
    """(K,) share of each amplitude's variance that the images determine: 0 for a direction that is not there."""
    return 1 - np.einsum("nkk->k", amplitudes.covariance) / len(amplitudes.covariance)


def pruned(amplitudes: Amplitudes, least: float) -> Amplitudes:
    """Without the directions that are less reliable than `least`; the most reliable one always stays."""
    reliable = reliability(amplitudes)
    keep = np.flatnonzero((reliable >= least) | (reliable == reliable.max()))
    covariance = amplitudes.covariance[:, keep[:, None], keep[None, :]]
    return Amplitudes(amplitudes.mean[:, keep], covariance, amplitudes.evidence)
