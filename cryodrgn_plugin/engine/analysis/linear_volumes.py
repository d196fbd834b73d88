"""Volumes that are linear in K amplitudes: V_s = V⁽⁰⁾ + Σ_k s_k V⁽ᵏ⁾. Their landscape is exact and needs no volume.

Inside a mask m the inner product of two volumes is ⟨m V_a, m V_b⟩ = [1, a]ᵀ G [1, b], with the Gram matrix of the
bases G_kl = Σ_voxels m² V⁽ᵏ⁾ V⁽ˡ⁾. With G = R Rᵀ for the bases without the mean, centred amplitudes times R have the
same inner products as the centred masked volumes, so the principal components of those K numbers are the principal
components of the volumes, for every particle, at the cost of a K × K problem.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..decoders.decoder import LinearDecoder

CHUNK = 100_000
"""Particles whose amplitudes a network computes at a time."""
NEGLIGIBLE = 1e-10
"""Share of the largest eigenvalue below which a direction is none: the bases are dependent inside the mask."""


@dataclass(frozen=True)
class LinearVolumes:
    """Maps at amplitudes; does what `TrainedDecoder` does, with amplitudes s (K,) in the place of z."""

    bases: np.ndarray
    """(K + 1, D, D, D) float32: the mean and the bases."""
    halves: tuple[np.ndarray, ...]
    """The same from each half of the particles, or empty."""
    pixel_size_ang: float

    @classmethod
    def of(cls, decoders: Sequence[LinearDecoder], pixel_size_ang: float) -> "LinearVolumes":
        """From a decoder and, if there are any, those of its two halves, which share its amplitudes."""
        bases, *halves = (decoder.basis_volumes() for decoder in decoders)
        return cls(bases, tuple(halves), pixel_size_ang)

    @property
    def box(self) -> int:
        return self.bases.shape[-1]

    def volume(self, s: np.ndarray) -> np.ndarray:
        """(D, D, D) float32 at amplitudes s (K,)."""
        return _mixed(self.bases, s)

    def half_volumes(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The two half-maps at s, or None."""
        return (_mixed(self.halves[0], s), _mixed(self.halves[1], s)) if self.halves else None


@dataclass(frozen=True)
class VolumePca:
    """Principal components of the masked volumes of N particles, by falling variance; P of them."""

    mean: np.ndarray
    """(K,) mean amplitudes."""
    directions: np.ndarray
    """(P, K): moving by one unit along component p adds directions[p] to the amplitudes."""
    explained: np.ndarray
    """(P,) share of the total variance inside the mask."""
    scores: np.ndarray
    """(N, P) float32."""


def amplitudes_of(decoder: LinearDecoder, z: np.ndarray) -> np.ndarray:
    """Amplitudes (N, K) of latents z (N, Z), without the mean's 1."""
    parts = [torch.from_numpy(np.ascontiguousarray(z[at : at + CHUNK])) for at in range(0, len(z), CHUNK)]
    with torch.no_grad():
        return np.concatenate([decoder.amplitudes(part)[:, 1:].numpy() for part in parts])


def masked_gram(bases: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(K, K) float64 inner products of the bases (K + 1, D, D, D), the mean left out, weighted with `mask` squared."""
    inside = mask > 0
    columns = bases[1:, inside] * mask[inside]
    return columns.astype(np.float64) @ columns.T.astype(np.float64)


def exact_components(s: np.ndarray, gram: np.ndarray, components: int) -> VolumePca:
    """PCA of the masked volumes at amplitudes s (N, K), from the Gram matrix (K, K) of their bases.

    The sign of each component makes the particle farthest along it positive.
    """
    power, axes = np.linalg.eigh(gram)
    keep = power > NEGLIGIBLE * max(power[-1], 1e-300)
    root = axes[:, keep] * np.sqrt(power[keep])
    back = axes[:, keep] / np.sqrt(power[keep])
    mean = s.mean(axis=0, dtype=np.float64)
    centred = (s - mean) @ root
    variance, vectors = np.linalg.eigh(centred.T @ centred / max(len(s), 1))
    variance, vectors = np.maximum(variance[::-1], 0), vectors[:, ::-1][:, :components]
    scores = centred @ vectors
    farthest = np.argmax(np.abs(scores), axis=0)
    signs = np.where(scores[farthest, np.arange(scores.shape[1])] < 0, -1.0, 1.0)
    explained = variance[:components] / max(variance.sum(), 1e-300)
    return VolumePca(mean, (back @ vectors * signs).T, explained, (scores * signs).astype(np.float32))


def _mixed(bases: np.ndarray, s: np.ndarray) -> np.ndarray:
    return bases[0] + np.tensordot(np.asarray(s, np.float32), bases[1:], axes=1)
