"""Local refinement of the poses of a whole set: maps of two halves, every particle against the other half's, again.

Each round solves the maps from the poses as they are and then refines every pose (`poses.refine`) against the map of
the other half of the particles, in which its own noise is not, so that nothing is fitted to itself. Where the particles
have latent coordinates the maps are a mean and one basis per coordinate, solved with it; where they have species, each
species has maps of its own. The images of a tilt pair or a tilt series are one particle (`poses.tied`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves, tied_images, united
from ..data.tilt_images import find_series
from ..data.tilt_pairs import PARTICLE
from ..data.tilt_series import TiltSeries
from ..errors import DataError
from ..geometry.rotations import angular_distance_deg
from ..imaging.noise import NoiseModel, estimate_noise
from ..likelihood.equations import accumulate, of_amplitudes
from ..likelihood.expansion import LinearExpansion, LocalImages
from ..likelihood.half_models import JOINED_RADIUS, joined_below, without_solvent
from ..likelihood.linear_model import LinearModel, fit_volumes, soft_ball, sphere_at
from ..likelihood.whitened import WhitenedImages
from ..poses.refine import Bounds, RefinedPoses, rising_limits
from ..poses.refine_options import RefineOptions
from ..poses.tied import Ties, TiesInSpace, refine_tied
from ..ranks import Ranks
from ..reconstruction.homogeneous import given_halves
from ..slicing.compute import Compute
from ..slicing.place import on_host

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
class KnownPoses:
    """Poses of all N images, with what `poses.refine.RefinedPoses` says of them, in the memory of the host."""

    rotations: np.ndarray
    shifts_ang: np.ndarray
    score: np.ndarray
    gain: np.ndarray


@dataclass(frozen=True)
class Refinement:
    """Where a refinement stands: the poses after the rounds that are over, and what each of those has done."""

    poses: KnownPoses
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
    compute: Compute | None = None,
    ranks: Ranks | None = None,
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
    compute : the device to work on.
    ranks : processes that share the images; each has the poses of all.

    Raises
    ------
    DataError : no poses, too few particles for two maps, or a series whose poses are not those of its tilts.
    """
    dataset.require_poses()
    series = _series_of(dataset)
    half = _halves(dataset, series, seed)
    kinds = np.zeros(dataset.n, np.int64) if species is None else _of_first(np.asarray(species), series)
    noise = estimate_noise(dataset, seed)
    first = dataset.physical_poses()
    _require_tilts(dataset, series, first, options.max_angle_deg)
    done = done or Refinement(KnownPoses(*first, np.zeros(dataset.n), np.zeros(dataset.n)), ())
    poses, figures, ranks = done.poses, done.rounds, ranks or Ranks()
    for number in range(len(figures) + 1, options.rounds + 1):
        before, own = poses, [np.empty(0, np.int64)]
        posed = dataset.with_poses(before.rotations, before.shifts_ang)
        for members in (np.flatnonzero(kinds == kind) for kind in np.unique(kinds)):
            part = _Part(members, posed, series, noise, half, z, options, compute, ranks)
            for index, refined in part.refined((first[0][members], first[1][members])):
                poses = _with(poses, members[index], refined)
                own.append(members[index])
                if progress:
                    placed = min(ranks.count * sum(map(len, own)), dataset.n)
                    progress((number - 1) * dataset.n + placed, options.rounds * dataset.n)
        poses = _of_all(poses, np.concatenate(own), ranks)
        figures = (*figures, _figures(number, before, poses))
        if told:
            told(Refinement(poses, figures))
    return Refinement(poses, figures)


class _Part:
    """The particles that share maps, at the poses they have at the start of a round."""

    def __init__(
        self,
        members: np.ndarray,
        dataset: ParticleDataset,
        series: TiltSeries,
        noise: NoiseModel,
        half: np.ndarray,
        z: np.ndarray | None,
        options: RefineOptions,
        compute: Compute | None,
        ranks: Ranks,
    ) -> None:
        """Of the images `members` (n,) of a dataset, with what belongs to them."""
        self.dataset, self.series = dataset.subset(members), series.among(members)
        self.half, self.options = half[members], options
        self.images = WhitenedImages(self.dataset, noise, series=self.series, compute=compute, ranks=ranks)
        self.amplitudes = self.images.compute.double(_amplitudes(None if z is None else z[members], len(members)))
        self.radius = dataset.box // 2 - 1

    def refined(self, first: tuple[np.ndarray, np.ndarray]):
        """(index (B,), refined poses) of this process's images, batch after batch, within bounds of the `first`."""
        max_angle_deg, max_shift_ang = self.options.max_angle_deg, self.options.max_shift_ang
        models = self._half_models()
        radii = rising_limits(self.options, self.dataset.box, self.dataset.pixel_size_ang, self.radius)
        rotations, shifts = self.dataset.physical_poses()
        for part, batch in self.images.by_halves(self.images.lattice.count(self.radius), self.half):
            index, compute = batch.index, self.images.compute
            local = LinearExpansion(models[1 - part], LocalImages.of(self.dataset, batch), self._amplitudes_of(index))
            start = compute.double(rotations[index]), compute.double(shifts[index])
            rotations_first, shifts_first = compute.double(first[0][index]), compute.double(first[1][index])
            within = Bounds(rotations_first, shifts_first, max_angle_deg, max_shift_ang)
            ties = Ties.of(self.series, index, compute.device)
            if self.options.moves == "particle" and self.series.images.shape[1] > 1:
                ties = TiesInSpace(ties.shown, ties.tilts, within.shifts_ang)
            yield index, refine_tied(local, ties, start, radii, self.options.steps, within)

    def _amplitudes_of(self, index: np.ndarray) -> Tensor:
        return self.amplitudes[torch.as_tensor(index, device=self.amplitudes.device)]

    def _half_models(self) -> list[LinearModel]:
        sphere = sphere_at(self.dataset.box, PADDING, self.radius)
        equations = accumulate(
            self.images, sphere, self.images.lattice.count(self.radius), of_amplitudes(self.amplitudes), self.half
        )
        models = fit_volumes(equations, soft_ball(sphere.box))
        return joined_below(without_solvent(models, self.dataset.pixel_size_ang), JOINED_RADIUS)


def _series_of(dataset: ParticleDataset) -> TiltSeries:
    """The particles of a dataset. Raises DataError when they are too few for two maps."""
    series = find_series(dataset) or TiltSeries.singles(dataset.n)
    if series.n < 4:
        raise DataError(f"{dataset.table.path}: {series.n} particles are too few to refine poses; use more.")
    return series


def _halves(dataset: ParticleDataset, series: TiltSeries, seed: int) -> np.ndarray:
    """(N,) 0 or 1, one for all images of a particle: rlnRandomSubset where the file has it, else by chance."""
    from_file = given_halves(dataset, "auto")
    if from_file is None:
        return drawn_halves(dataset, seed)
    return united(_of_first(from_file, series), tied_images(dataset))


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
    rotations, shifts_ang = torch.from_numpy(poses[0][index]), torch.from_numpy(poses[1][index])
    expected = on_host(ties.images(*ties.particles(rotations, shifts_ang))[0])
    off_deg = np.delete(angular_distance_deg(poses[0][index], expected), on_host(ties.reference))
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


def _with(poses: KnownPoses, index: np.ndarray, refined: RefinedPoses) -> KnownPoses:
    """`poses` with refined ones at `index`; gains add up over the rounds."""
    arrays = {name: values.copy() for name, values in vars(poses).items()}
    for name in ("rotations", "shifts_ang", "score"):
        arrays[name][index] = on_host(getattr(refined, name))
    arrays["gain"][index] += on_host(refined.gain)
    return KnownPoses(**arrays)


def _of_all(poses: KnownPoses, own: np.ndarray, ranks: Ranks) -> KnownPoses:
    """`poses`, of which this process has refined the images `own` (n,), with those that others have refined."""
    if ranks.alone:
        return poses
    every = on_host(ranks.gathered(torch.from_numpy(own)))
    arrays = {name: values.copy() for name, values in vars(poses).items()}
    for values in arrays.values():
        values[every] = on_host(ranks.gathered(torch.from_numpy(values[own])))
    return KnownPoses(**arrays)


def _figures(number: int, before: KnownPoses, after: KnownPoses) -> RoundFigures:
    return RoundFigures(
        number,
        float(np.median(angular_distance_deg(before.rotations, after.rotations))),
        float(np.median(np.linalg.norm(before.shifts_ang - after.shifts_ang, axis=1))),
        float((after.gain - before.gain).mean()),
    )
