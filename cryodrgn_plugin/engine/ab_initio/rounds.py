"""Rounds of expectation maximisation over poses: search every image against the maps, then solve the maps anew.

An image counts for its likely poses in proportion to their likelihood, tempered at first so that a wrong start is
forgotten; several species of molecule are several sets of candidates. From `crossed` rounds on every image is placed
against the half-set map that it is not part of, so that its own noise cannot hold it where it is.

A particle has V ≥ 1 images (`data.tilt_series`), one pose and one half-set. Its score is the sum over its images after
their known tilts; against bases the amplitudes are integrated out image by image.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..config import PoseConfig
from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves
from ..data.tilt_series import TiltSeries
from ..geometry.rotations import random_matrices
from ..imaging.noise import NoiseModel
from ..likelihood.linear_model import LinearModel, sphere_at
from ..likelihood.linear_score import SliceBank
from ..likelihood.map_sums import MapSums
from ..likelihood.misfit import Misfit, with_misfit
from ..likelihood.species_maps import Maps
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..poses.hierarchical import HierarchicalSearch, SearchLevels
from ..poses.inference import Candidates
from ..ranks import Ranks
from ..slicing.backend import Backend
from ..slicing.compute import Compute
from ..slicing.place import on_host
from .candidates import Views, among, searched, tempered
from .meeting import log_prior, met
from .outcome import Outcome
from .placement import NONE, Placement, drawn
from .spectral_groups import lag_behind_groups
from .steps import Round

POSE = ("rotations", "shifts_ang")
MOST_AT_ONCE = 256
"""Particles that are searched together."""
STEPS_PER_WAVE = 2.5
"""Shifts tried per wavelength at the frequency limit of the first grid."""
FIRST_KEPT = 4
"""How many times more poses than later are kept on the first grid, in rounds that refine."""
AGREED, BEYOND = 0.5, 3
"""FSC under their common mask, which makes noise agree as well, from which half-set maps tell about poses, and how many
shells beyond it are tried."""


@dataclass(frozen=True)
class Visit:
    """One image of each of some particles of half-set `part`, with the candidates as that image sees them: score and
    weights (B, S P), species by species. `placed` (B,) is the species of the best one."""

    part: int
    batch: WhitenedBatch
    candidates: list[Candidates]
    score: np.ndarray
    placed: np.ndarray
    weights: Tensor
    ratio: Tensor


class PoseRounds:
    """Expectation maximisation over the poses of a dataset without poses, whose particles are `series`."""

    def __init__(
        self,
        dataset: ParticleDataset,
        noise: NoiseModel,
        poses: PoseConfig,
        padding: float,
        seed: int,
        series: TiltSeries | None = None,
        compute: Compute | None = None,
    ):
        """`aside` are particles that take part in nothing."""
        self.dataset, self.compute, self._poses, self._padding = dataset, compute or Compute(), poses, padding
        self._series = series or TiltSeries.singles(dataset.n)
        self._whitened, self._ranks = WhitenedImages(dataset, noise, compute=self.compute), Ranks.present()
        self.placement, self.aside = Placement.unknown(dataset.n), np.empty(0, np.int64)
        self.half = drawn_halves(dataset, [seed, 1])
        self._half_of_particle = self.half[self._series.images[:, 0]]

    def start(self, n_species: int, plan: Round, images: int, rng: np.random.Generator) -> Maps:
        """Maps of random images in random orientations: a blob each, no two alike."""
        backend, count = self._backend(plan.radius), self.dataset.lattice.count(plan.radius)
        families, in_families = (ask(plan.met) for ask in (self.placement.families, self.placement.in_families))
        models = []
        for species in range(n_species):
            members = np.flatnonzero(in_families == families[species]) if in_families is not None else NONE
            # A species that no image suits best begins with any.
            among = members if len(members) else self.dataset.n
            chosen = drawn(among, images, rng, self.aside)
            sums = MapSums(backend, self.dataset)
            lots = np.split(chosen, range(MOST_AT_ONCE, len(chosen), MOST_AT_ONCE))
            for batch in self._whitened.of_each(lots, count):
                turned = self.compute.tensor(random_matrices(len(batch), rng))[:, None]
                still, weights = turned.new_zeros(len(batch), 1, 2), turned.new_ones(len(batch), 1)
                sums.add(batch, turned, still, weights, self._ratio(batch))
            models.append(sums.map())
        return Maps([models], np.full(n_species, 1 / n_species))

    def advance(self, maps: Maps, plan: Round, rng: np.random.Generator) -> Outcome:
        """One round; places the images it uses."""
        backend, count = self._backend(self._solved(plan)), self.dataset.lattice.count(self._solved(plan))
        halves, species = range(1 + plan.crossed), range(maps.n_species)
        sums = [[MapSums(backend, self.dataset, self._ranks) for _ in species] for _ in halves]
        shares, scores, placed = (np.zeros(maps.n_species) for _ in range(3))
        misfit = Misfit(self.dataset.lattice, self.compute, self._ranks) if plan.crossed else None
        for visit in self.visits(maps, within_sight(plan, maps), rng, misfit):
            scores += np.bincount(visit.placed, visit.score, maps.n_species)
            placed += np.bincount(visit.placed, minlength=maps.n_species)
            by_species = visit.weights.unflatten(1, (maps.n_species, -1))
            shares += on_host(by_species.sum((0, 2)))
            batch = visit.batch.leading(count)
            for own, poses, weights in zip(sums[visit.part], visit.candidates, by_species.unbind(1), strict=True):
                own.add(batch, poses.rotations, poses.shifts_ang, weights, visit.ratio)
        self._ranks.total(*map(torch.from_numpy, (shares, scores, placed)))
        solved = Maps(self._solve(sums, plan), shares / shares.sum(), misfit.factor() if misfit else None)
        return Outcome(solved, float(scores.sum() / placed.sum()), scores / np.maximum(placed, 1), placed)

    def place(self, maps: Maps, plan: Round, rng: np.random.Generator) -> float:
        """Place the images of a round and leave the maps as they are; the mean score."""
        scores = [np.empty(0, np.float32), *(visit.score for visit in self.visits(maps, plan, rng))]
        return float(on_host(self._ranks.gathered(torch.from_numpy(np.concatenate(scores)))).mean())

    def sorted_by_power(self, n_groups: int, fewest: int, rng: np.random.Generator) -> np.ndarray:
        """(N, G) by how much an image suits groups of images alike in power less than its own; see there."""
        return lag_behind_groups(self._whitened, self.dataset.n, n_groups, fewest, rng)

    def keep(self, species: list[int]) -> None:
        """Forget all other species."""
        self.placement = self.placement.only(species)

    def visits(
        self, maps: Maps, plan: Round, rng: np.random.Generator, misfit: Misfit | None = None
    ) -> Iterator[Visit]:
        """Search the particles of a round, a lot at a time, each against the maps of the half-set it is not in; what
        their images differ from these by is added to `misfit`. Processes share the lots and, after the last, know where
        all images were placed.
        """
        search = self._search(plan, random_matrices(1, rng)[0])
        banks = [[SliceBank(model) for model in half] for half in maps.models]
        if not plan.local and self.placement.lag.shape[1] != maps.n_species:
            self.placement = replace(self.placement, lag=np.zeros((self.dataset.n, maps.n_species), np.float32))
        chosen = self._chosen(plan, rng)
        of_species = log_prior(self.placement, maps.populations, plan)
        offsets = self.compute.tensor(of_species) if plan.even else None
        prior = self.compute.tensor(np.repeat(of_species, plan.kept))
        visited = [np.empty(0, np.int64)]
        for part in range(1 + plan.crossed):
            particles = chosen[self._half_of_particle[chosen] == part] if plan.crossed else chosen
            against = banks[1 - part] if plan.crossed and len(banks) == 2 else banks[0]
            for views, meets in self._lots(particles, min(search.images_at_once(), MOST_AT_ONCE), plan, rng):
                weighed = self._weighed(views, maps, plan)
                candidates = self._candidates(search, against, weighed, plan, meets, offsets)
                total = torch.cat([own.score for own in candidates], dim=1) + prior
                weights = tempered(total, plan.temperature)
                for view, batch in enumerate(views.images):
                    of_image = [views.in_image(view, own) for own in candidates]
                    score, species = self._place(batch.index, of_image, total / len(views.images))
                    visited.append(batch.index)
                    if misfit:
                        self._add_misfit(misfit, against, batch)
                    yield Visit(part, weighed.images[view], of_image, score, species, weights, self._ratio(batch))
        self.placement.share(np.concatenate(visited), self._ranks)

    def _lots(
        self, particles: np.ndarray, at_once: int, plan: Round, rng: np.random.Generator
    ) -> Iterator[tuple[Views, np.ndarray | None]]:
        """The particles in lots that can share a score, their images read ahead, and which species each lot meets: of
        this process, of all lots that are drawn by all alike.
        """
        ratio, at_once = self.dataset.frequency_ratio, min(at_once, -(-len(particles) // self._ranks.count))
        lots = [
            self._series.views(particles[members])
            for members in self._series.sharing_a_score(particles, ratio, at_once)
        ]
        meets = [None if plan.local else met(self.placement, images[:, 0], plan, rng) for images, _, _ in lots]
        own = self._ranks.share(len(lots))
        lots, meets = lots[own.start : own.stop], meets[own.start : own.stop]
        batches = self._whitened.of_each((rows for lot in lots for rows in lot[0].T), self.dataset.lattice.size)
        for (images, tilts, carries), species in zip(lots, meets, strict=True):
            views = [next(batches) for _ in images.T]
            yield Views(self.dataset, views, self.compute.double(tilts), self.compute.double(carries)), species

    def _candidates(
        self,
        search: HierarchicalSearch,
        banks: list[SliceBank],
        views: Views,
        plan: Round,
        meets: np.ndarray | None,
        offsets: Tensor | None,
    ) -> list[Candidates]:
        """Of each species, in the reference view: the last pose moved uphill, or poses searched for anew."""
        if meets is None:
            return [self._nearby(species, bank, views, plan.radius) for species, bank in enumerate(banks)]
        candidates, lag = searched(search, banks, views, torch.as_tensor(meets, device=self.compute.device), offsets)
        for batch in views.images:
            self.placement.lag[batch.index] = np.where(meets, on_host(lag), self.placement.lag[batch.index])
        return candidates

    def _nearby(self, species: int, bank: SliceBank, views: Views, radius: float) -> Candidates:
        """The last poses of the particles of a species, moved uphill; the others have none."""
        reference = views.images[views.reference].index
        own = np.flatnonzero(self.placement.species[reference] == species)
        moved = None
        if len(own):
            rotations = self.compute.double(self.placement.rotations[reference[own]])
            shifts_ang = self.compute.double(self.placement.shifts_ang[reference[own]])
            moved = views.at(own).uphill(bank, rotations, shifts_ang, radius)
        return among(moved, torch.as_tensor(own, device=self.compute.device), (len(reference), 1))

    def _add_misfit(self, misfit: Misfit, banks: list[SliceBank], batch: WhitenedBatch) -> None:
        """The images where they were placed last."""
        placed, extent_ang = self.placement, self.dataset.box * self.dataset.pixel_size_ang
        for species, bank in enumerate(banks):
            own = np.flatnonzero(placed.species[batch.index] == species)
            if len(own):
                images = batch.at(own)
                ratio, poses = self._ratio(images), (placed.rotations[images.index], placed.shifts_ang[images.index])
                rotations, shifts_ang = map(self.compute.double, poses)
                moves = shifts_ang * ratio[:, None] / extent_ang
                misfit.add(bank.mean.model, images, rotations * ratio[:, None, None], moves)

    def _weighed(self, views: Views, maps: Maps, plan: Round) -> Views:
        """The images as they are weighed: errors of the maps count as noise; starts are compared in units of it."""
        if not plan.crossed or maps.misfit is None:
            return views
        images = [with_misfit(batch, maps.misfit, self.dataset.lattice) for batch in views.images]
        return replace(views, images=images)

    def _chosen(self, plan: Round, rng: np.random.Generator) -> np.ndarray:
        """Particles of a round, in order: drawn from all, from all in pools, or as many from each family."""
        count = int(np.ceil(plan.images / self._series.counts.mean()))
        families = self.placement.families(plan.met)
        if families is None or plan.local:
            return drawn(self._series.n, count, rng, self.aside)
        family, every = self.placement.in_families(plan.met)[self._series.images[:, 0]], np.unique(families)
        if plan.met == "pool":
            return drawn(np.flatnonzero(family >= 0), count, rng, self.aside)
        lots = [drawn(np.flatnonzero(family == own), count // len(every), rng, self.aside) for own in every]
        return np.sort(np.concatenate(lots))

    def _place(self, index: np.ndarray, candidates: list[Candidates], score: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Put the best candidate of each image into the placement; its score and species, (B,) each."""
        best, column = score.max(1)
        image = torch.arange(len(index), device=score.device)
        # The columns of `score` are all candidates of the first species, then all of the next, and so on.
        species, candidate = column // candidates[0].score.shape[1], column % candidates[0].score.shape[1]
        chosen = species, image, candidate
        rotations, shifts_ang = (torch.stack([getattr(own, name) for own in candidates])[chosen] for name in POSE)
        columns = (on_host(values) for values in (rotations, shifts_ang, species, best))
        for name, values in zip((*POSE, "species", "score"), columns, strict=True):
            getattr(self.placement, name)[index] = values
        return on_host(best), on_host(species)

    def _solve(self, sums: list[list[MapSums]], plan: Round) -> list[list[LinearModel]]:
        if not plan.crossed:
            return [[own.map() for own in sums[0]]]
        pairs = [MapSums.maps(*both, masked=plan.masked) for both in zip(*sums, strict=True)]
        return [[pair[half] for pair in pairs] for half in range(2)]

    def _search(self, plan: Round, turn: np.ndarray) -> HierarchicalSearch:
        first = min(plan.first_radius, plan.radius) if plan.levels else plan.radius
        steps = int(np.ceil(2 * self._poses.shift_extent * STEPS_PER_WAVE * first))
        poses = replace(self._poses, kept=plan.kept, shift_steps=max(1, min(steps, self._poses.shift_steps)))
        levels = SearchLevels(tuple(np.linspace(first, plan.radius, plan.levels + 1)))
        first_kept = FIRST_KEPT * plan.kept if plan.levels else None
        return HierarchicalSearch(poses, self.dataset.box, self.dataset.pixel_size_ang, levels, turn, first_kept)

    def _solved(self, plan: Round) -> int:
        """Frequency limit of the maps: all of it in the end, when their resolution must be known."""
        return self.dataset.box // 2 - 1 if plan.masked else plan.radius

    def _backend(self, radius: int) -> Backend:
        return self._whitened.backend(sphere_at(self.dataset.box, self._padding, radius))

    def _ratio(self, batch: WhitenedBatch) -> Tensor:
        """(B,) float64. Reference extent over that of each image."""
        return self.compute.double(self.dataset.frequency_ratio[batch.index])


def within_sight(plan: Round, maps: Maps) -> Round:
    """The round with its frequency limit where the best known maps end, if they do so before."""
    if not plan.masked or len(maps.models) < 2:
        return plan
    return replace(plan, radius=min(plan.radius, int(maps.known_shells(AGREED).max()) + BEYOND))
