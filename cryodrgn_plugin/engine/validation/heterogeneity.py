"""Is there heterogeneity at all? A permutation test of whether one half's states explain the other half's images.

Half A has found maps V_m with populations π_m and never saw an image of half B. If the molecule comes in states, an
image of B is more likely under the states than under their average,

    gain_i = log Σ_m π_m p(x_i | V_m) − log p(x_i | V̄),

and if there are none, A has fitted noise and B's images are no more likely for it. What chance gives is measured on the
data: the residuals of B's images, x − C S V̄, are dealt to other particles. Their noise stays as it is, real and
coloured, but whatever in them belonged to a molecule in a state now sits at a wrong pose and under a wrong CTF.
Differences in contrast are not heterogeneity of the molecule: each image keeps a contrast drawn from its posterior, so
brightness alone gives the shuffled images the same gain.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..geometry.shifts import shift_phases
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..slicing.place import on_host
from ..slicing.sphere import HalfSphere
from .halves import HalfModel

PADDING = 2.0
MOST_RADIUS = 32
"""Fourier shell at which the test ends; it bounds the time for large boxes."""
AT_ONCE = 32
"""Images whose projections of all maps are held at a time."""

DECIMALS = 4
"""Of gains; smaller differences are rounding, as when a half has found one state only."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class HeterogeneityTest:
    """What the states of one half gain on the images of the other, in nats per image."""

    gain: float
    """As observed, mean over the tested images of both halves."""
    by_chance: np.ndarray
    """(R,) the same after each shuffling of the residuals."""
    contrast_spread: float
    """Standard deviation of the contrast of the images, which does not count as heterogeneity."""
    tested: int
    """Images looked at."""

    @property
    def p_value(self) -> float:
        """Chance of a gain like this, or a larger one, without heterogeneity."""
        return float((1 + (self.by_chance >= self.gain).sum()) / (1 + len(self.by_chance)))

    @property
    def excess(self) -> float:
        """How many standard deviations of chance the gain lies above its mean."""
        return float((self.gain - self.by_chance.mean()) / max(self.by_chance.std(), 1e-12))


def permutation_test(
    dataset: ParticleDataset,
    images: WhitenedImages,
    half: np.ndarray,
    models: tuple[HalfModel, HalfModel],
    *,
    permutations: int,
    tested: int,
    seed: int,
    report: Progress,
) -> HeterogeneityTest:
    """Test the images of each half against the states that the other half has found.

    Parameters
    ----------
    half : (N,) 0 or 1; images at −1 are left out.
    tested : images looked at, drawn at random from both halves.
    """
    mean_map = (models[0].mean_map + models[1].mean_map) / 2
    gains, chances, spreads, count = 0.0, np.zeros(permutations), [], 0
    for part in (0, 1):
        rng = np.random.default_rng([seed, 13, part])
        index = np.sort(rng.permutation(np.flatnonzero(half == part))[: max(tested // 2, 2)])
        model = models[1 - part]
        maps = np.concatenate([mean_map[None], mean_map + (model.maps - model.mean_map)])
        other = _Views(dataset, images, index, maps, rng)
        observed, shuffled = other.gains(model.population, permutations, rng)
        gains, chances, count = gains + observed, chances + shuffled, count + len(index)
        spreads.append(other.contrast_spread)
        report("heterogeneity", part + 1, 2)
    # Adding 0 turns −0 into 0.
    gain, by_chance = (np.round(values / count, DECIMALS) + 0.0 for values in (gains, chances))
    return HeterogeneityTest(float(gain), by_chance, float(np.mean(spreads)), count)


class _Views:
    """Some images beside the projections of maps (1 + M, D, D, D), the mean map first."""

    def __init__(self, dataset: ParticleDataset, images: WhitenedImages, index, maps, rng) -> None:
        self._dataset, self._images, self._index = dataset, images, index
        radius = min(images.lattice.radius, MOST_RADIUS)
        self._count = images.lattice.count(radius)
        self._backend = images.backend(HalfSphere(images.lattice.box, PADDING, images.lattice.radius))
        self._coefs = self._backend.coefficients(images.compute.tensor(maps))
        contrast, self.contrast_spread = self._drawn_contrast(rng)
        self._contrast = images.compute.tensor(contrast)
        self._residuals = torch.cat(
            [self._residual(positions, batch, views, factor) for positions, batch, views, factor in self._parts()]
        )

    def gains(self, population: np.ndarray, permutations: int, rng: np.random.Generator) -> tuple[float, np.ndarray]:
        """Sum over the images of the gain: as observed, and (R,) with residuals dealt anew R times."""
        n, compute = len(self._index), self._images.compute
        log_population = compute.double(np.log(population))
        dealt = np.stack([rng.permutation(n) for _ in range(permutations)], axis=1)
        observed, shuffled = 0.0, np.zeros(permutations)
        for positions, batch, views, factor in self._parts():
            energy = (batch.weights[:, None] * views.abs() ** 2).sum(2)
            inner = (views.conj() @ batch.targets[:, :, None])[:, :, 0].real
            observed += float(_gain((inner - energy / 2)[..., None], log_population).sum())
            # ⟨view, factor · noise⟩ = ⟨view · factor*, noise⟩, which is one product of matrices for all R noises.
            noise_views = views * factor.conj()[:, None]
            mean = self._contrast[positions, None] * batch.weights * views[:, 0]
            explained = (views.conj() @ mean[:, :, None])[:, :, 0].real
            noise = self._residuals[torch.as_tensor(dealt[positions], device=views.device)]  # (b, R, F)
            by_noise = noise_views.real @ noise.real.mT + noise_views.imag @ noise.imag.mT
            scores = explained[..., None] + by_noise - energy[..., None] / 2
            shuffled += on_host(_gain(scores, log_population).sum(0))
        return observed, shuffled

    def _parts(self):
        """Blocks: positions in `_index`, batch, views (b, 1 + M, F), factor (b, F) from white noise to targets."""
        compute = self._images.compute
        for start in range(0, len(self._index), AT_ONCE):
            positions = np.arange(start, min(start + AT_ONCE, len(self._index)))
            batch = self._images.of(self._index[positions], self._count)
            slices = self._backend.project(self._coefs, batch.rotations, self._count)
            views = torch.complex(slices[:, :, 0], slices[:, :, 1]).mT
            raw = self._dataset.batch(self._index[positions])
            # White noise of a raw image becomes a target when it is moved back and weighted by the CTF.
            back = shift_phases(-raw.pose.shifts_ang[:, 0], raw.freqs_per_ang[: self._count])
            factor = compute.tensor(np.sign(raw.ctf[:, : self._count]) * back) * batch.weights.sqrt()
            yield positions, batch, views, factor

    def _drawn_contrast(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """(n,) a contrast of each image drawn from its posterior, and the spread of contrasts."""
        energy, inner = np.empty(len(self._index)), np.empty(len(self._index))
        for positions, batch, views, _ in self._parts():
            energy[positions] = on_host((batch.weights * views[:, 0].abs() ** 2).sum(1))
            inner[positions] = on_host((batch.targets * views[:, 0].conj()).real.sum(1))
        energy = np.maximum(energy, 1e-12)
        likeliest = inner / energy
        centre = float(inner.sum() / energy.sum())
        spread2 = max(float(np.average((likeliest - centre) ** 2 - 1 / energy, weights=energy)), 0.0)
        if spread2 == 0:
            return np.full(len(likeliest), centre), 0.0
        variance = 1 / (energy + 1 / spread2)
        mean = variance * (inner + centre / spread2)
        return mean + np.sqrt(variance) * rng.standard_normal(len(mean)), float(np.sqrt(spread2))

    def _residual(self, positions: np.ndarray, batch: WhitenedBatch, views: Tensor, factor: Tensor) -> Tensor:
        """(b, F): what the mean map leaves of each image, as white noise where the particle lies."""
        left = batch.targets - self._contrast[positions, None] * batch.weights * views[:, 0]
        # Where the CTF passes nothing the target says nothing of the noise: it is left at 0 there.
        transferred = factor.abs() > 1e-3 * factor.abs().amax(1, keepdim=True)
        return torch.where(transferred, left / torch.where(transferred, factor, 1), 0)


def _gain(scores: Tensor, log_population: Tensor) -> Tensor:
    """(b, R) from log-likelihoods (b, 1 + M, R), the mean map's first."""
    return (scores[:, 1:] + log_population[None, :, None]).logsumexp(1) - scores[:, 0]
