"""The grey scale of maps that another program has made, on the images as they are prepared here.

    x_i = g C_i S V(z_i) + ε_i,      g = Σ_i ⟨x_i, C_i S V(z_i)⟩ / Σ_i |C_i S V(z_i)|²

inner products weighted with 1/σ² (docs/conventions.md, eq. 4). A negative g says that the maps are black where protein
is white here.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..data.dataset import ParticleDataset
from ..decoders.decoder import Decoder
from ..imaging.noise import estimate_noise
from ..likelihood.whitened import WhitenedImages
from ..slicing.place import on_host

SAMPLE = 600
"""Images that are compared."""
AT_ONCE = 16
LEAST_SURE = 5.0
"""Standard errors of the grey scale below which images do not show the maps."""


@dataclass(frozen=True)
class GreyScale:
    """What to multiply maps with."""

    factor: float
    standard_error: float
    images: int

    @property
    def is_sure(self) -> bool:
        """Whether the images show what the maps say."""
        return abs(self.factor) >= LEAST_SURE * self.standard_error > 0


@torch.no_grad()
def grey_scale(decoder: Decoder, z: np.ndarray, dataset: ParticleDataset, seed: int) -> GreyScale:
    """Fit the grey scale of a decoder at latents z (N, Z) to the N images of a dataset with poses."""
    images = WhitenedImages(dataset, estimate_noise(dataset, seed))
    chosen = np.sort(np.random.default_rng(seed).permutation(dataset.n)[:SAMPLE])
    count = dataset.lattice.count(dataset.lattice.radius)
    inner, energy = np.empty(len(chosen)), np.empty(len(chosen))
    for start in range(0, len(chosen), AT_ONCE):
        part = chosen[start : start + AT_ONCE]
        batch = images.of(part, count)
        latent = torch.as_tensor(z[part], dtype=torch.float32) if z.shape[1] else None
        views = decoder.slices(latent, batch.rotations[:, None].float(), dataset.lattice, count)[:, 0]
        inner[start : start + len(part)] = on_host((batch.targets * views.conj()).real.sum(1))
        energy[start : start + len(part)] = on_host((batch.weights * views.abs() ** 2).sum(1))
    total = max(energy.sum(), 1e-30)
    factor = inner.sum() / total
    error = np.sqrt(((inner - factor * energy) ** 2).sum()) / total
    return GreyScale(float(factor), float(error), len(chosen))
