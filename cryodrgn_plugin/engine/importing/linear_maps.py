"""Maps of particles whose latents are given: a mean plus bases, solved in closed form on two half-sets.

    V(z) = V⁽⁰⁾ + Σ_k s_k V⁽ᵏ⁾,      s = (z − mean z) · axes / deviations

s are the scores along the principal components of the latents. Given them, (9) of docs/conventions.md is the solution;
of latents that are linear in the volumes, as those of a 3D Variability Analysis, these are all their maps.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..config import RunConfig, with_settings
from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves
from ..decoders.basis import BasisDecoder
from ..decoders.decoder_registry import make_linear_decoder
from ..decoders.model_file import save_model
from ..errors import DataError
from ..imaging.noise import estimate_noise
from ..likelihood.equations import accumulate, of_amplitudes
from ..likelihood.linear_model import fit_volumes, soft_ball, sphere_at
from ..likelihood.whitened import WhitenedImages
from ..reconstruction.adaptive import local_wiener
from ..run import Run
from ..slicing.place import on_host

FREEDOM = 100.0
"""Of the prior of maps whose noise is filtered afterwards, as in the maps that `fast` keeps."""
NEGLIGIBLE = 1e-6
"""Share of the largest variance below which a direction of the latents is none."""


@dataclass(frozen=True)
class Scores:
    """s = (z − centre) @ directions, of unit variance and independent of each other; `directions` (Z, K)."""

    centre: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, at_most: int) -> "Scores":
        """Along the principal components of z (N, Z), the `at_most` widest. Raises DataError where all z are alike."""
        centre = z.mean(axis=0, dtype=np.float64)
        variance, axes = np.linalg.eigh(np.cov(z.T.astype(np.float64)).reshape(z.shape[1], -1))
        kept = np.flatnonzero(variance > NEGLIGIBLE * max(variance[-1], 1e-300))[::-1][:at_most]
        if not len(kept) or variance[-1] <= 0:
            raise DataError("All latents are alike, so there are no maps to tell apart; give those of a training.")
        return cls(centre, axes[:, kept] / np.sqrt(variance[kept]))

    def at(self, z: np.ndarray) -> np.ndarray:
        """(N, K) of z (N, Z)."""
        return (z - self.centre) @ self.directions


def leave_linear_maps(
    run: Run, config: RunConfig, dataset: ParticleDataset, z: np.ndarray, bases: int
) -> tuple[np.ndarray, int]:
    """Solve and write the maps of a run at latents z (N, Z) of its dataset's particles.

    Returns the half-set (N,) of each particle, and the number of bases. Raises DataError where all z are alike.
    """
    scores = Scores.of(z, bases)
    half = drawn_halves(dataset, config.seed)
    images = WhitenedImages(dataset, estimate_noise(dataset, config.seed))
    radius = dataset.lattice.radius
    sphere = sphere_at(dataset.box, config.decoder.padding, radius)
    amplitudes = np.concatenate([np.ones((len(z), 1)), scores.at(z)], axis=1)
    moments = of_amplitudes(images.compute.double(amplitudes))
    equations = accumulate(images, sphere, dataset.lattice.count(radius), moments, half)
    models = fit_volumes(equations, soft_ball(sphere.box), FREEDOM)
    halves = [on_host(model.volumes()) for model in models]
    settings = with_settings(config, decoder={"n_bases": scores.directions.shape[1]})
    joined = np.stack([local_wiener(a, b) for a, b in zip(*halves, strict=True)])
    for path, volumes in ((run.half_file(1), halves[0]), (run.half_file(2), halves[1]), (run.model_file, joined)):
        save_model(path, settings, _decoder(settings, dataset.box, scores, volumes), None, dataset.pixel_size_ang)
    return half, scores.directions.shape[1]


def _decoder(settings: RunConfig, box: int, scores: Scores, volumes: np.ndarray) -> BasisDecoder:
    """Whose amplitudes at z are the scores, of volumes (K + 1, D, D, D)."""
    decoder = make_linear_decoder(settings, box)
    assert isinstance(decoder, BasisDecoder) and decoder.network is not None
    decoder.set_volumes(volumes)
    with torch.no_grad():
        decoder.network.linear.weight.copy_(torch.from_numpy(scores.directions.T))
        decoder.network.linear.bias.copy_(torch.from_numpy(-scores.centre @ scores.directions))
    return decoder
