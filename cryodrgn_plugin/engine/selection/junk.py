"""Particles that the maps do not explain: noise, other molecules, bad centres.

An image x whose map's projection, through its CTF and in units of the noise, is u has b = ⟨x, u⟩ and A = ⟨u, u⟩. A good
particle has b/A near its contrast, 1 with a spread s of ice and dose, and the noise adds 1/A to the variance; an image
of something else has less. Its outlier score is the number of standard deviations that b/A lies below that of good
particles,

    score = (m − b/A) / √(s² + 1/A),

where m and s are read off the upper side of the distribution, which junk does not reach.

The maps are linear in the run's latents and solved on two halves of the particles (`voxel_solve`), whatever decoder the
run has; each image is judged by the half it is not in, because an image would explain itself. They are made anew from
what is left, as often as there are rounds, and every particle is judged again.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..analysis.embed import principal_components
from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves
from ..imaging.noise import estimate_noise
from ..imaging.preprocess import soft_window
from ..likelihood.equations import accumulate, of_amplitudes
from ..likelihood.linear_model import compress, fit_volumes, soft_ball, sphere_at
from ..likelihood.whitened import WhitenedImages
from ..slicing.place import on_host

MOST_DIRECTIONS = 8
"""Principal components of the latents in which the maps are linear."""
MOST_CUT, LEAST_CUT = 3.0, 1.75
"""Range of the cut that is suggested: of good particles 1 in 740 lies above the first, 1 in 25 above the second."""
CUT_STEP, CUT_WIDTH = 0.25, 0.5
BALANCE_ROUNDS = 5
LEAST_ENERGY = 0.2
"""Share of the mean map's A below which a map is that of junk: much junk alike makes an empty map that explains it."""

Progress = Callable[[str, int, int], None]
"""Called as report(stage, done, total) after each round."""


@dataclass(frozen=True)
class Judgement:
    """What the maps say of each particle, (N,) each."""

    outlier: np.ndarray
    """Standard deviations below good particles: about 0 ± 1 for those, high for junk."""
    contrast: np.ndarray
    """b/A: 1 for a particle as strong as the maps, 0 for noise."""
    likelihood: np.ndarray
    """Log-likelihood per degree of freedom; −½ for an image that is explained to the noise."""
    cut: float
    """Score above which a particle is junk, as given or suggested."""


def judge(
    dataset: ParticleDataset,
    z: np.ndarray,
    *,
    padding: float,
    rounds: int,
    cut: float,
    seed: int,
    report: Progress,
) -> tuple[Judgement, list[int]]:
    """Judge all particles of a dataset with poses, by maps that are linear in their latents z (N, Z).

    `cut` is the score above which a particle has no part in the next round's maps; 0 takes the suggested one.

    Returns
    -------
    The judgement by the maps of the last round, and how many particles were junk after each round.
    """
    dataset.require_poses()
    images = WhitenedImages(dataset, estimate_noise(dataset, seed))
    first = np.concatenate([np.ones((dataset.n, 1)), _directions(z)], axis=1)
    half = drawn_halves(dataset, seed)
    power, freedom = _power(images)
    # The window ties neighbouring coefficients together: only this share of them is independent.
    freedom *= float((soft_window(dataset.box, dataset.config.window) ** 2).mean())
    kept, counts = np.ones(dataset.n, bool), []
    for number in range(1, rounds + 1):
        projected, energy, least = _explained(images, first, half, kept, dataset.box, padding)
        residual = power - 2 * projected + energy
        energy = np.maximum(energy, least)
        outlier = outlier_scores(projected, energy)
        limit = cut or suggested_cut(outlier)
        kept = outlier <= limit
        counts.append(int((~kept).sum()))
        report("junk", number, rounds)
    contrast = projected / np.maximum(energy, 1e-12)
    return Judgement(outlier, contrast, -residual / (2 * freedom), limit), counts


def outlier_scores(projected: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """(N,) standard deviations by which each image falls short of the contrast of good ones; b and A are (N,)."""
    contrast = projected / np.maximum(energy, 1e-12)
    noise = 1 / np.maximum(energy, 1e-12)
    centre, spread2 = middle(contrast), 0.0
    for _ in range(BALANCE_ROUNDS):
        pull = (contrast - centre) / np.sqrt(spread2 + noise)
        shift, width = middle(pull), _upper_width(pull)
        centre += shift * np.sqrt(np.median(spread2 + noise))
        spread2 = max((spread2 + np.median(noise)) * width**2 - np.median(noise), 0.0)
    pull = (contrast - centre) / np.sqrt(spread2 + noise)
    return -(pull - middle(pull)) / _upper_width(pull)


def suggested_cut(outlier: np.ndarray) -> float:
    """The score from which on most particles are junk.

    Good ones lie as often above 0 as below, and junk lies above: where a stretch above 0 holds twice as many as its
    mirror image, beyond what chance explains, junk is in the majority. Without such a place it is `MOST_CUT`.
    """
    for cut in np.arange(LEAST_CUT, MOST_CUT, CUT_STEP):
        above = int(((outlier > cut) & (outlier <= cut + CUT_WIDTH)).sum())
        below = int(((outlier < -cut) & (outlier >= -cut - CUT_WIDTH)).sum())
        if above > 2 * below + 3 * np.sqrt(2 * below + 1):
            return float(cut)
    return MOST_CUT


def middle(values: np.ndarray) -> float:
    """Mean of the shortest stretch that holds half of the values: where most lie, whatever is far from there."""
    ordered = np.sort(values)
    count = len(ordered) // 2 + 1
    start = int(np.argmin(ordered[count - 1 :] - ordered[: len(ordered) - count + 1]))
    return float(ordered[start : start + count].mean())


def _upper_width(values: np.ndarray) -> float:
    """Standard deviation of the side above the middle, as for a normal distribution."""
    above = values[values > middle(values)]
    return max(float(np.quantile(above, 0.6827) - middle(values)), 1e-12)


def _directions(z: np.ndarray) -> np.ndarray:
    """(N, K) leading principal components of the latents, each of unit variance; none where z is constant."""
    if not z.shape[1]:
        return np.zeros((len(z), 0))
    scores = principal_components(z).scores[:, :MOST_DIRECTIONS].astype(np.float64)
    spread = scores.std(axis=0)
    varies = spread > 1e-3 * max(spread.max(), 1e-12)
    return scores[:, varies] / spread[varies]


def _explained(images: WhitenedImages, first: np.ndarray, half, kept, box: int, padding: float):
    """b, A and the least A of a good particle, (N,) each, by maps made of the kept images of the other half."""
    radius = images.lattice.radius
    sphere = sphere_at(box, padding, radius)
    used, size = of_amplitudes(images.compute.double(first * kept[:, None])), images.lattice.size
    models = fit_volumes(accumulate(images, sphere, size, used, half), soft_ball(box))
    gram, inner = (on_host(sums) for sums in compress(models, images, size, half))
    energy = np.einsum("ni,nij,nj->n", first, gram, first)
    return (inner * first).sum(axis=1), energy, LEAST_ENERGY * gram[:, 0, 0]


def _power(images: WhitenedImages) -> tuple[np.ndarray, np.ndarray]:
    """|x|²/σ² of each image over the coefficients that its CTF leaves, and how many real numbers these are."""
    power, freedom = np.empty(images.n), np.empty(images.n)
    multiplicity = images.compute.tensor(images.lattice.multiplicity)
    for batch in images.passes(images.lattice.size):
        transferred = batch.weights > 1e-6 * batch.weights.amax(1, keepdim=True)
        share = batch.targets.abs() ** 2 / torch.where(transferred, batch.weights, 1)
        power[batch.index] = on_host(torch.where(transferred, share, 0).sum(1))
        freedom[batch.index] = on_host((transferred * multiplicity).sum(1))
    return power, freedom
