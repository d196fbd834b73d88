"""Probabilistic principal components by plain EM: bases that poses are freed from while they are looked for.

With amplitudes s ~ N(0, I), the E-step is one K × K solve per image on its compressed likelihood, the M-step one
closed-form solve of the volumes with an empirical prior. After each E-step the amplitudes are whitened and the volumes
scaled in return (parameter expansion), which speeds the slow directions. Poses and contrast are taken as they are;
`directions` finds weak motions at poses that are known but for small errors.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..likelihood.equations import accumulate
from ..likelihood.linear_model import LinearModel, compress, fit_volumes, mean_model, soft_ball, sphere_at
from ..likelihood.whitened import WhitenedImages


@dataclass(frozen=True)
class Amplitudes:
    """Gaussian posteriors of the amplitudes: `mean` (N, K), `covariance` (N, K, K), float64.

    `evidence` is the mean log-likelihood of an image, amplitudes integrated out, over that of an image of nothing.
    """

    mean: Tensor
    covariance: Tensor
    evidence: float = 0.0

    @classmethod
    def random(cls, n: int, k: int, rng: np.random.Generator, images: WhitenedImages) -> "Amplitudes":
        """K amplitudes of each of N images drawn from N(0, I), as if they were known."""
        mean = images.compute.double(rng.standard_normal((n, k)))
        return cls(mean, mean.new_zeros(n, k, k))

    def moments(self, index: np.ndarray) -> tuple[Tensor, Tensor]:
        """E[s] (B, K + 1) and E[s sᵀ] (B, K + 1, K + 1), the mean volume's 1 in front."""
        rows = torch.as_tensor(index, device=self.mean.device)
        first = torch.nn.functional.pad(self.mean[rows], (1, 0), value=1.0)
        second = first[:, :, None] * first[:, None, :]
        second[:, 1:, 1:] += self.covariance[rows]
        return first, second

    def whitening(self) -> tuple[Tensor, Tensor]:
        """Mean (K,) of the population and a matrix L (K, K) with L Lᵀ its covariance."""
        centre = self.mean.mean(0)
        away = self.mean - centre
        spread = away.T @ away / len(away) + self.covariance.mean(0)
        identity = torch.eye(len(centre), dtype=spread.dtype, device=spread.device)
        return centre, torch.linalg.cholesky(spread + 1e-9 * spread.trace() * identity)


def posterior(gram: Tensor, inner: Tensor) -> Amplitudes:
    """E-step: posteriors of s under N(0, I), from compressed images A (N, C, C), b (N, C)."""
    k = gram.shape[1] - 1
    precision = gram[:, 1:, 1:] + torch.eye(k, dtype=gram.dtype, device=gram.device)
    factor = torch.linalg.cholesky(precision)
    covariance = torch.cholesky_inverse(factor)
    residual = inner[:, 1:] - gram[:, 1:, 0]
    mean = (covariance @ residual[:, :, None])[:, :, 0]
    of_mean_volume = inner[:, 0] - gram[:, 0, 0] / 2
    of_amplitudes = (residual * mean).sum(1) / 2 - factor.diagonal(dim1=1, dim2=2).log().sum(1)
    return Amplitudes(mean, covariance, float((of_mean_volume + of_amplitudes).mean()))


def normalizing(model: LinearModel, amplitudes: Amplitudes) -> tuple[Tensor, Tensor, Tensor]:
    """The frame where amplitudes are N(0, I) and bases are orthogonal, the most energetic first.

    Returns
    -------
    matrix (C, C) for `LinearModel.mixed`, and centre (K,), back (K, K): new amplitudes are back · (s − centre).
    """
    centre, lower = amplitudes.whitening()
    k = len(centre)
    to_white = torch.eye(k + 1, dtype=lower.dtype, device=lower.device)
    to_white[1:, 0] = centre
    to_white[1:, 1:] = lower
    by_energy = torch.linalg.eigh(model.mixed(to_white).gram()[1:, 1:]).eigenvectors
    turn = by_energy.flip(1)  # energies rise
    rotation = torch.eye(k + 1, dtype=lower.dtype, device=lower.device)
    rotation[1:, 1:] = turn
    return to_white @ rotation, centre, turn.T @ torch.linalg.inv(lower)


def normalized(models: list[LinearModel], amplitudes: Amplitudes) -> tuple[list[LinearModel], Amplitudes]:
    """The same volumes and amplitudes in the normalizing frame of the models' mean."""
    matrix, centre, back = normalizing(mean_model(models), amplitudes)
    moved = Amplitudes((amplitudes.mean - centre) @ back.T, back @ amplitudes.covariance @ back.T, amplitudes.evidence)
    return [m.mixed(matrix) for m in models], moved


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
    models = fit_volumes(equations, soft_ball(sphere.box))
    return normalized(models, posterior(*compress(models, images, count, half)))
