"""How far states carry the contrast of images, told apart from parts of the molecule that come and go.

An image of a smaller molecule is faint beside the mean map, and so is one of low contrast. But contrast takes from all
parts of the molecule alike, and an absent part only from itself. So the molecule is cut into a few parts, and the
likelihood of every image over their amplitudes a is compressed (equation 7 of docs/conventions.md). What two parts p, q
share, relative to their means, is

    E[a_p a_q]/(E[a_p] E[a_q]) − 1 = (1 + σ²)(1 + κ_pq) − 1,

σ² the variance of the contrast and κ_pq how the two parts come and go together. Pairs of which one part stays have
κ = 0, and where one part comes when another goes it is negative, so the lower quartile over the pairs stands for
contrast: all of it among images, and the part that lies between the means of states. States that are mixtures may have
less or more of all parts; so contrast cannot differ between states by more than between images.
"""

from dataclasses import dataclass

import numpy as np

from ..analysis.latent_clusters import kmeans
from ..closed_form.directions import molecule
from ..likelihood.linear_model import LinearModel, compress
from ..likelihood.whitened import WhitenedImages
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere

PARTS = 8
LAST_SHELL = 14
"""Fourier shell up to which images are compared: beyond it an image whose pose is wrong looks faint."""
PADDING = 2.0
DENSE = 0.1
"""Of the largest density: where the molecule is cut into parts."""
QUARTILE = 0.25
LEAST_SPREAD = 0.1
"""Contrasts that vary by less are judged as if they varied by this: what does not vary is seen to follow states by the
slightest error."""
SCORINGS, FIRST_VARIANCE, LEAST_VARIANCE = 8, 0.05, 1e-6


@dataclass(frozen=True)
class PartAmplitudes:
    """What N images say of the amplitudes of P parts: `gram` (N, P, P) and `inner` (N, P), float64."""

    gram: np.ndarray
    inner: np.ndarray

    def of(self, rows: np.ndarray) -> "PartAmplitudes":
        """Of some of the images: a mask (N,) or numbers (n,)."""
        return PartAmplitudes(self.gram[rows], self.inner[rows])

    def mean(self) -> np.ndarray:
        """(P,) amplitudes of all images together."""
        return np.linalg.solve(self.gram.sum(axis=0), self.inner.sum(axis=0))

    def means(self, membership: np.ndarray) -> np.ndarray:
        """(M, P) amplitudes of the images of each state, counted as `membership` (N, M) says, and of one image more."""
        n, p = self.inner.shape
        sums = (membership.T @ self.gram.reshape(n, p * p)).reshape(-1, p, p) + self.gram.mean(axis=0)
        towards = membership.T @ self.inner + self.gram.mean(axis=0) @ self.mean()
        return np.linalg.solve(sums, towards[:, :, None])[:, :, 0]

    def covariance(self) -> np.ndarray:
        """(P, P) of the amplitudes between images, free of noise: Fisher scoring, as in `likelihood/nuisances`."""
        p = self.inner.shape[1]
        residual = self.inner - self.gram @ self.mean()
        spread = FIRST_VARIANCE * np.eye(p)
        for _ in range(SCORINGS):
            inverse = np.linalg.inv(np.eye(p) + self.gram @ spread)
            b, u = inverse @ self.gram, (inverse @ residual[:, :, None])[:, :, 0]
            flat = b.reshape(len(b), -1)
            left = (flat.T @ flat).reshape(p, p, p, p).transpose(0, 2, 1, 3).reshape(p * p, p * p)
            right = u.T @ u + (b @ spread @ b - b).sum(axis=0)
            spread = np.linalg.solve(left, right.ravel()).reshape(p, p)
            lengths, axes = np.linalg.eigh((spread + spread.T) / 2)
            spread = (axes * np.maximum(lengths, LEAST_VARIANCE)) @ axes.T
        return spread


def part_amplitudes(images: WhitenedImages, volume: np.ndarray) -> PartAmplitudes:
    """Of the parts of a mean map (D, D, D), at the images' box and in their grey scale."""
    radius = min(LAST_SHELL, images.lattice.radius)
    backend = images.backend(HalfSphere(images.lattice.box, PADDING, radius))
    parts = LinearModel.of(backend, parts_of(volume))
    gram, inner = compress([parts], images, images.lattice.count(radius))
    return PartAmplitudes(on_host(gram), on_host(inner))


def parts_of(volume: np.ndarray) -> np.ndarray:
    """(P, D, D, D) float32. The molecule of a map (D, D, D) cut into parts that each lie together."""
    density = np.maximum(volume, 0) * molecule(volume)
    dense = np.argwhere(density > DENSE * density.max()).astype(np.float64)
    labels = kmeans(dense, PARTS, seed=0).labels
    centres = np.stack([dense[labels == part].mean(axis=0) for part in range(labels.max() + 1)])
    place = np.moveaxis(np.indices(volume.shape), 0, -1)[..., None, :]
    nearest = ((place - centres) ** 2).sum(axis=-1).argmin(axis=-1)
    return np.stack([density * (nearest == part) for part in range(len(centres))]).astype(np.float32)


class SharedContrast:
    """The contrast of some images, of which shares are asked again and again."""

    def __init__(self, parts: PartAmplitudes) -> None:
        self._parts, self._mean = parts, parts.mean()
        relative = parts.covariance() / np.outer(self._mean, self._mean)
        self.variance = _shared(relative)
        """Of the contrasts, as a share of their squared mean."""

    def share(self, membership: np.ndarray) -> float:
        """Share of the variance of the contrast that lies between the means of states, by `membership` (N, M)."""
        relative = self._parts.means(membership) / self._mean - 1
        population = membership.mean(axis=0)[:, None]
        between = _shared((population * relative).T @ relative)
        return min(between, self.variance) / max(self.variance, LEAST_SPREAD**2)


def _shared(covariance: np.ndarray) -> float:
    """What the parts of a covariance (P, P) have in common; a molecule of one part has all of it."""
    below = np.tril_indices(len(covariance), -1)
    pairs = covariance[below] if len(covariance) > 1 else covariance[0]
    return max(float(np.quantile(pairs, QUARTILE)), 0.0)
