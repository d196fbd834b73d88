"""Local refinement of the poses of a whole set: maps of two halves, every particle against the other half's, again.

Each round solves the maps from the poses as they are and then refines every pose (`poses.refine`) against the map of
the other half of the particles, in which its own noise is not, so that nothing is fitted to itself. Where the particles
have latent coordinates the maps are a mean and one basis per coordinate, solved with it; where they have species, each
species has maps of its own. The images of a tilt pair or a tilt series are one particle (`poses.tied`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..data.dataset import ParticleDataset
from ..data.tilt_images import find_series
from ..data.tilt_pairs import PARTICLE
from ..data.tilt_series import TiltSeries
from ..errors import DataError
from ..geometry.rotations import angular_distance_deg
from ..imaging.noise import NoiseModel, estimate_noise
from ..likelihood.expansion import LinearExpansion, LocalImages
from ..likelihood.half_models import JOINED_RADIUS, joined_below, without_solvent
from ..likelihood.linear_model import LinearModel, fit_volumes, soft_ball, sphere_at
from ..likelihood.voxel_solve import accumulate
from ..likelihood.whitened import WhitenedImages
from ..poses.refine import Bounds, RefinedPoses, rising_limits
from ..poses.refine_options import RefineOptions
from ..poses.tied import Ties, TiesInSpace, refine_tied
from ..reconstruction.homogeneous import given_halves

PADDING = 1.5
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

    Images of a particle (`find_series`) turn together: relative to one another they stay as the stage has tilted them,
    in one half-set and one species, those of the first. What moves is for the options to say (`poses.tied`).

    Parameters
    ----------
    dataset : N images with poses.
    z : (N, Z) latent coordinates that the maps follow linearly; None for one map.
    species : (N,) int from 0; each is refined by itself.
    seed : of the halves, where the star file names none, and of the noise estimate.
    progress : told (images done, images in all rounds).
    told : given where the refinement stands after each round.
    done : rounds of the same refinement that are over already; it goes on from there as if it had not been interrupted.

    Raises
    ------
    DataError : no poses, too few particles for two maps, or a series whose poses are not those of its tilts.
    """
    dataset.require_poses()
    series = find_series(dataset) or TiltSeries.singles(dataset.n)
    if series.n < 4:
        raise DataError(f"{dataset.table.path}: {series.n} particles are too few to refine poses; use more.")
    half = _halves(dataset, series, seed)
    kinds = np.zeros(dataset.n, np.int64) if species is None else _of_first(np.asarray(species), series)
    noise = estimate_noise(dataset, seed)
    first = dataset.physical_poses()
    _require_tilts(dataset, series, first, options.max_angle_deg)
    done = done or Refinement(RefinedPoses(*first, np.zeros(dataset.n), np.zeros(dataset.n)), ())
    found, figures = done.poses, done.rounds
    placed = len(figures) * dataset.n
    for number in range(len(figures) + 1, options.rounds + 1):
        before = found
        posed = dataset.with_poses(before.rotations, before.shifts_ang)
        for kind in np.unique(kinds):
            members = np.flatnonzero(kinds == kind)
            known = None if z is None else z[members]
            part = _Part(posed.subset(members), series.among(members), noise, half[members], known, options)
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
        series: TiltSeries,
        noise: NoiseModel,
        half: np.ndarray,
        z: np.ndarray | None,
        options: RefineOptions,
    ) -> None:
        self.dataset, self.series, self.half, self.options = dataset, series, half, options
        self.images = WhitenedImages(dataset, noise, series=series)
        self.amplitudes = _amplitudes(z, dataset.n)
        self.radius = dataset.box // 2 - 1

    def refined(self, bounds: Bounds):
        """(index (B,), refined poses) of the images of batch after batch."""
        models = self._half_models()
        radii = rising_limits(self.options, self.dataset.box, self.dataset.pixel_size_ang, self.radius)
        rotations, shifts = self.dataset.physical_poses()
        for batch in self.images.passes(self.images.lattice.count(self.radius)):
            for part, model in enumerate(models[::-1]):
                rows = np.flatnonzero(self.half[batch.index] == part)
                if len(rows):
                    index = batch.index[rows]
                    local = LinearExpansion(model, LocalImages.of(self.dataset, batch, rows), self.amplitudes[index])
                    start = rotations[index], shifts[index]
                    within, ties = bounds.at(index), Ties.of(self.series, index)
                    if self.options.moves == "particle" and self.series.images.shape[1] > 1:
                        ties = TiesInSpace(ties.shown, ties.tilts, within.shifts_ang)
                    yield index, refine_tied(local, ties, start, radii, self.options.steps, within)

    def _half_models(self) -> list[LinearModel]:
        def moments(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            known = self.amplitudes[index]
            return known, known[:, :, None] * known[:, None, :]

        sphere = sphere_at(self.dataset.box, PADDING, self.radius)
        equations = accumulate(self.images, sphere, self.images.lattice.count(self.radius), moments, self.half)
        models = fit_volumes(equations, sphere, soft_ball(sphere.box))
        return joined_below(without_solvent(models, self.dataset.pixel_size_ang), JOINED_RADIUS)


def _halves(dataset: ParticleDataset, series: TiltSeries, seed: int) -> np.ndarray:
    """(N,) 0 or 1, one for all images of a particle: rlnRandomSubset where the file has it, else by chance."""
    given = given_halves(dataset, "auto")
    if given is None:
        return series.to_images((np.random.default_rng(seed).permutation(series.n) % 2).astype(np.int8))
    return _of_first(given, series)


def _of_first(values: np.ndarray, series: TiltSeries) -> np.ndarray:
    """(N, …) what the first image of each particle has, for all of its images."""
    return series.to_images(values[series.images[:, 0]])


def _require_tilts(
    dataset: ParticleDataset, series: TiltSeries, poses: tuple[np.ndarray, np.ndarray], max_angle_deg: float
) -> None:
    """Raise DataError where a typical image is turned further from what its tilt says than a pose may be wrong by."""
    several = np.flatnonzero(series.counts > 1)
    if not len(several):
        return
    index = series.flat(several)
    ties = Ties.of(series, index)
    expected = ties.images(*ties.particles(poses[0][index], poses[1][index]))[0]
    off_deg = np.delete(angular_distance_deg(poses[0][index], expected), ties.reference)
    if np.median(off_deg) > max_angle_deg:
        raise DataError(
            f"{dataset.table.path}: images of a particle are turned by {np.median(off_deg):.1f}° (median) from where "
            f"the tilt of the stage puts them; more than max_angle_deg = {max_angle_deg:g} cannot be made good. Find "
            f"their poses with `cryodrgn-plugin abinitio`, or remove {PARTICLE} to refine each image by itself."
        )


def _amplitudes(z: np.ndarray | None, n: int) -> np.ndarray:
    """(N, C). 1 for the mean, then, scaled, the latent coordinates that vary and that particles suffice for."""
    ones = np.ones((n, 1))
    if z is None or not z.shape[1]:
        return ones
    spread = z.std(axis=0)
    usable = np.flatnonzero(spread > 1e-6 * (spread.max() + 1e-30))[: n // FEWEST_PER_BASIS]
    return np.concatenate([ones, (z[:, usable] - z[:, usable].mean(0)) / spread[usable]], axis=1)


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
