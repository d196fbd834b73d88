"""Local refinement of the poses of a whole set: maps of two halves, every image against the half it is not in, again.

Each round solves the maps from the poses as they are and then refines every pose (`poses.refine`) against the map of
the other half of the particles, in which its own noise is not, so that nothing is fitted to itself. Where the particles
have latent coordinates the maps are a mean and one basis per coordinate, solved with it; where they have species, each
species has maps of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..geometry.rotations import angular_distance_deg
from ..imaging.noise import NoiseModel, estimate_noise
from ..poses.options import RefineOptions
from ..poses.refine import Bounds, RefinedPoses, refine, rising_limits
from ..reconstruction.homogeneous import given_halves
from ..reconstruction.masks import auto_threshold, lowpass, mask_from_map
from .linear_model import LinearModel, fit_volumes, soft_ball, sphere_at
from .pose_expansion import LinearExpansion, LocalImages
from .voxel_solve import accumulate
from .whitened import WhitenedBatch, WhitenedImages

PADDING = 1.5
JOINED_RADIUS = 6.0
"""Fourier shell up to which the halves share their map; what noise there is that low fits nothing to itself."""
MASK_LOWPASS_ANG, MASK_TRIALS, SHARED_INSIDE = 15.0, 4, 0.98
"""How the mask is looked for, and the share of what the halves have in common that it must hold."""
FEWEST_PER_BASIS = 50
"""Particles that a basis volume needs; with fewer, the last latent coordinates are left out."""


@dataclass(frozen=True)
class RoundFigures:
    """What one round has done."""

    number: int
    median_turn_deg: float
    """Median turn of this round."""
    median_move_ang: float
    gain: float
    """Mean rise of the log-likelihood per image."""


@dataclass(frozen=True)
class Refinement:
    """Where a refinement stands: the poses after the rounds that are over, and what each of those has done."""

    poses: RefinedPoses
    rounds: tuple[RoundFigures, ...]


def refine_poses(
    dataset: ParticleDataset,
    options: RefineOptions,
    *,
    z: np.ndarray | None = None,
    species: np.ndarray | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    told: Callable[[Refinement], None] | None = None,
    done: Refinement | None = None,
) -> Refinement:
    """Refine the poses of `dataset` against its own maps.

    Parameters
    ----------
    dataset : particles with poses.
    z : (N, Z) latent coordinates that the maps follow linearly; None for one map.
    species : (N,) int from 0; each is refined by itself.
    seed : of the halves, where the star file names none, and of the noise estimate.
    progress : told (images done, images in all rounds).
    told : given where the refinement stands after each round.
    done : rounds of the same refinement that are over already; it goes on from there as if it had not been interrupted.

    Raises
    ------
    DataError : no poses, or too few particles for two maps.
    """
    dataset.require_poses()
    if dataset.n < 4:
        raise DataError(f"{dataset.table.path}: {dataset.n} particles are too few to refine poses; use more.")
    half = _halves(dataset, seed)
    kinds = np.zeros(dataset.n, np.int64) if species is None else np.asarray(species)
    noise = estimate_noise(dataset, seed)
    first = _physical(dataset)
    done = done or Refinement(RefinedPoses(*first, np.zeros(dataset.n), np.zeros(dataset.n)), ())
    found, figures = done.poses, done.rounds
    placed = len(figures) * dataset.n
    for number in range(len(figures) + 1, options.rounds + 1):
        before = found
        posed = dataset.with_poses(before.rotations, before.shifts_ang)
        for kind in np.unique(kinds):
            members = np.flatnonzero(kinds == kind)
            part = _Part(posed.subset(members), noise, half[members], None if z is None else z[members], options)
            here = Bounds(first[0][members], first[1][members], options.max_angle_deg, options.max_shift_ang)
            for index, refined in part.refined(here):
                found = _with(found, members[index], refined)
                placed += len(index)
                if progress:
                    progress(placed, options.rounds * dataset.n)
        figures = (*figures, _figures(number, before, found))
        if told:
            told(Refinement(found, figures))
    return Refinement(found, figures)


class _Part:
    """The particles that share maps, at the poses they have at the start of a round."""

    def __init__(
        self,
        dataset: ParticleDataset,
        noise: NoiseModel,
        half: np.ndarray,
        z: np.ndarray | None,
        options: RefineOptions,
    ) -> None:
        self.dataset, self.half, self.options = dataset, half, options
        self.images = WhitenedImages(dataset, noise)
        self.amplitudes = _amplitudes(z, dataset.n)
        self.radius = dataset.box // 2 - 1

    def refined(self, bounds: Bounds):
        """(index (B,), refined poses) of batch after batch."""
        models = self._half_models()
        radii = rising_limits(self.options, self.dataset.box, self.dataset.pixel_size_ang, self.radius)
        rotations, shifts = _physical(self.dataset)
        for batch in self.images.passes(self.images.lattice.count(self.radius)):
            for part, model in enumerate(models[::-1]):
                rows = np.flatnonzero(self.half[batch.index] == part)
                if len(rows):
                    index = batch.index[rows]
                    local = LinearExpansion(model, self._local(batch, rows), self.amplitudes[index])
                    start = rotations[index], shifts[index]
                    yield index, refine(local, *start, radii, self.options.steps, bounds.at(index))

    def _half_models(self) -> list[LinearModel]:
        def moments(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            known = self.amplitudes[index]
            return known, known[:, :, None] * known[:, None, :]

        sphere = sphere_at(self.dataset.box, PADDING, self.radius)
        equations = accumulate(self.images, sphere, self.images.lattice.count(self.radius), moments, self.half)
        models = fit_volumes(equations, sphere, soft_ball(sphere.box))
        return joined_below(without_solvent(models, self.dataset.pixel_size_ang), JOINED_RADIUS)

    def _local(self, batch: WhitenedBatch, rows: np.ndarray) -> LocalImages:
        return LocalImages(
            targets=batch.targets[rows],
            weights=batch.weights[rows],
            moved_by_ang=self.dataset.shifts_ang[batch.index[rows]].astype(np.float64),
            lattice=self.images.lattice,
            extent_ang=self.dataset.box * self.dataset.pixel_size_ang,
            ratio=self.dataset.frequency_ratio[batch.index[rows]],
        )


def without_solvent(models: list[LinearModel], pixel_size_ang: float) -> list[LinearModel]:
    """Half-set models confined to a soft mask around the density that they share; solvent is noise."""
    volumes = [model.sphere.to_volumes(model.coefs) for model in models]
    mask = shared_mask(volumes[0][0], volumes[1][0], pixel_size_ang)
    return [
        LinearModel(model.sphere, model.sphere.from_volumes(each * mask))
        for model, each in zip(models, volumes, strict=True)
    ]


def shared_mask(half1: np.ndarray, half2: np.ndarray, pixel_size_ang: float) -> np.ndarray:
    """(D, D, D). The tightest soft mask, by threshold, in which nearly all lies that two half-maps (D, D, D) share."""
    both, shared = (half1 + half2) / 2, half1 * half2
    level = auto_threshold(lowpass(both, pixel_size_ang, max(MASK_LOWPASS_ANG, 4 * pixel_size_ang)))
    for _ in range(MASK_TRIALS):
        mask = mask_from_map(both, pixel_size_ang, level, MASK_LOWPASS_ANG)
        if (shared * mask).sum() >= SHARED_INSIDE * shared.sum():
            return mask
        level /= 2
    return soft_ball(len(both))


def joined_below(models: list[LinearModel], radius: float) -> list[LinearModel]:
    """Half-set models with their average up to Fourier shell `radius`.

    Else each half would take over the frame of the other, round after round, and the two would never meet.
    """
    low = models[0].sphere.shells <= radius
    average = sum(model.coefs[low] for model in models) / len(models)
    joined = [LinearModel(model.sphere, model.coefs.copy()) for model in models]
    for model in joined:
        model.coefs[low] = average
    return joined


def _halves(dataset: ParticleDataset, seed: int) -> np.ndarray:
    """(N,) 0 or 1: rlnRandomSubset where the file has it, else by chance."""
    given = given_halves(dataset, "auto")
    return (np.random.default_rng(seed).permutation(dataset.n) % 2).astype(np.int8) if given is None else given


def _amplitudes(z: np.ndarray | None, n: int) -> np.ndarray:
    """(N, C). 1 for the mean, then, scaled, the latent coordinates that vary and that particles suffice for."""
    ones = np.ones((n, 1))
    if z is None or not z.shape[1]:
        return ones
    spread = z.std(axis=0)
    usable = np.flatnonzero(spread > 1e-6 * (spread.max() + 1e-30))[: n // FEWEST_PER_BASIS]
    return np.concatenate([ones, (z[:, usable] - z[:, usable].mean(0)) / spread[usable]], axis=1)


def _physical(dataset: ParticleDataset) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and shifts of the dataset without the scaling of optics groups, float64."""
    ratio = dataset.frequency_ratio
    rotations = dataset.rotations.astype(np.float64) / ratio[:, None, None]
    return rotations, dataset.shifts_ang.astype(np.float64) / ratio[:, None]


def _with(found: RefinedPoses, index: np.ndarray, refined: RefinedPoses) -> RefinedPoses:
    """`found` with other poses at `index`; gains add up over the rounds."""
    arrays = {name: getattr(found, name).copy() for name in ("rotations", "shifts_ang", "score", "gain")}
    for name in ("rotations", "shifts_ang", "score"):
        arrays[name][index] = getattr(refined, name)
    arrays["gain"][index] += refined.gain
    return RefinedPoses(**arrays)


def _figures(number: int, before: RefinedPoses, after: RefinedPoses) -> RoundFigures:
    return RoundFigures(
        number,
        float(np.median(angular_distance_deg(before.rotations, after.rotations))),
        float(np.median(np.linalg.norm(before.shifts_ang - after.shifts_ang, axis=1))),
        float((after.gain - before.gain).mean()),
    )
