"""Rounds of expectation maximisation over poses: search every image against the maps, then solve the maps anew.

An image counts for its likely poses in proportion to their likelihood, tempered at first so that a wrong start is
forgotten; several species of molecule are several sets of candidates. From `crossed` rounds on every image is placed
against the half-set map that it is not part of, so that its own noise cannot hold it where it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..config import PoseConfig
from ..data.dataset import ParticleDataset
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
from .candidates import PoseCandidates
from .placement import Placement
from .stages import Round

LEAST_WEIGHT = 0.02
"""Candidates of less than this share of the best one's weight are left out."""
HOPELESS = 30.0
"""Log-likelihood lacked from which an image does not meet a species again, save now and then."""
AGAIN = 0.1
"""Share of the images that meet such a species nevertheless, in every round."""
STEPS_PER_WAVE = 2.5
"""Shifts tried per wavelength at the frequency limit of the first grid."""
FIRST_KEPT = 4
"""How many times more poses than later are kept on the first grid, in rounds that refine."""
AGREED, BEYOND = 0.5, 3
"""FSC under their common mask, which makes noise agree as well, from which half-set maps tell about poses, and how many
shells beyond it are tried."""


@dataclass(frozen=True)
class Outcome:
    """What a round gave: new maps, and the mean score of the images it used, of all and of each species (S,)."""

    maps: Maps
    score: float
    of_species: np.ndarray


class PoseRounds:
    """Expectation maximisation over the poses of a dataset without poses."""

    def __init__(self, dataset: ParticleDataset, noise: NoiseModel, poses: PoseConfig, padding: float, seed: int):
        self.dataset, self._noise, self._poses, self._padding = dataset, noise, poses, padding
        self.placement = Placement.unknown(dataset.n)
        self.half = np.random.default_rng([seed, 1]).permutation(dataset.n) % 2
        self._extent_ang = dataset.box * dataset.pixel_size_ang

    def start(self, n_species: int, plan: Round, images: int, rng: np.random.Generator) -> Maps:
        """Maps of random images in random orientations: a blob each, no two alike."""
        sphere, count = sphere_at(self.dataset.box, self._padding, plan.radius), self.dataset.lattice.count(plan.radius)
        models = []
        for species in range(n_species):
            sums, among = MapSums(sphere, self.dataset), self._members(species) if plan.met == "own" else self.dataset.n
            chosen = drawn(among, images, rng)
            for batch in self._images(chosen, 256).passes(count):
                turned = random_matrices(len(batch.index), rng).astype(np.float32)[:, None]
                still = np.zeros((len(batch.index), 1, 2), np.float32)
                ratio = self.dataset.frequency_ratio[chosen[batch.index]]
                sums.add(batch, turned, still, np.ones((len(batch.index), 1)), ratio)
            models.append(sums.map())
        return Maps([models], np.full(n_species, 1 / n_species))

    def advance(self, maps: Maps, plan: Round, rng: np.random.Generator) -> Outcome:
        """One round; places the images it uses."""
        count = self.dataset.lattice.count(self._solved(plan))
        sphere = sphere_at(self.dataset.box, self._padding, self._solved(plan))
        sums = [[MapSums(sphere, self.dataset) for _ in maps.populations] for _ in range(1 + plan.crossed)]
        shares, scores, placed = np.zeros(maps.n_species), np.zeros(maps.n_species), np.zeros(maps.n_species)
        misfit = Misfit(self.dataset.lattice) if plan.crossed else None
        for visit in self.visits(maps, within_sight(plan, maps), rng, misfit):
            species = visit.score.argmax(1) // plan.kept
            scores += np.bincount(species, visit.score.max(1), maps.n_species)
            placed += np.bincount(species, minlength=maps.n_species)
            shares += visit.weights.reshape(len(visit.score), maps.n_species, -1).sum((0, 2))
            batch, each_weights = visit.batch.leading(count), np.split(visit.weights, maps.n_species, axis=1)
            for each, found, weights in zip(sums[visit.part], visit.found, each_weights, strict=True):
                each.add(batch, found.rotations, found.shifts_ang, weights, visit.ratio)
        found = Maps(self._solve(sums, plan), shares / shares.sum(), misfit.factor() if misfit else None)
        return Outcome(found, float(scores.sum() / placed.sum()), scores / np.maximum(placed, 1))

    def place(self, maps: Maps, plan: Round, rng: np.random.Generator) -> float:
        """Place the images of a round and leave the maps as they are; the mean score."""
        scores = [visit.score.max(1) for visit in self.visits(maps, plan, rng)]
        return float(np.concatenate(scores).mean())

    def keep(self, species: list[int]) -> None:
        """Forget all other species."""
        self.placement = self.placement.only(species)

    def visits(
        self, maps: Maps, plan: Round, rng: np.random.Generator, misfit: Misfit | None = None
    ) -> "Iterator[Visit]":
        """Search the images of a round, a batch at a time, each against the maps of the half-set it is not in; what
        they differ from these by is added to `misfit`.
        """
        search = self._search(plan, random_matrices(1, rng)[0])
        chosen = self._chosen(maps.n_species, plan, rng)
        banks = [[SliceBank(model, self.dataset.lattice) for model in half] for half in maps.models]
        prior = np.repeat(np.log(np.maximum(maps.populations, 1e-6)), plan.kept)
        for part in range(1 + plan.crossed):
            rows = chosen[self.half[chosen] == part] if plan.crossed else chosen
            against = banks[1 - part] if plan.crossed and len(banks) == 2 else banks[0]
            for batch in self._images(rows, min(search.images_at_once(), 256)).passes(self.dataset.lattice.size):
                index = rows[batch.index]
                ratio = self.dataset.frequency_ratio[index]
                rough = plan.crossed and maps.misfit is not None  # starts are compared in units of the noise
                known = with_misfit(batch, maps.misfit, self.dataset.lattice) if rough else batch
                candidates = PoseCandidates(self.dataset, against, known, ratio)
                if plan.local:
                    found = candidates.nearby(self.placement, index, plan.radius)
                else:
                    met = self._met(index, maps.n_species, plan, rng)
                    found, lag = candidates.searched(search, met)
                    self.placement.lag[index] = np.where(met, lag, self.placement.lag[index])
                score = np.concatenate([each.score for each in found], axis=1) + prior
                self._place(index, found, score)
                if misfit:
                    self._add_misfit(misfit, against, batch, index, ratio)
                yield Visit(part, known, found, score, tempered(score, plan.temperature), ratio)

    def _add_misfit(self, misfit: Misfit, banks: list[SliceBank], batch: WhitenedBatch, index, ratio) -> None:
        """The images where they were placed last."""
        placed = self.placement
        for species, bank in enumerate(banks):
            rows = np.flatnonzero(placed.species[index] == species)
            if len(rows):
                place, scale = index[rows], ratio[rows, None]
                moves = placed.shifts_ang[place] * scale / self._extent_ang
                misfit.add(bank.mean.model, batch.at(rows), placed.rotations[place] * scale[:, :, None], moves)

    def _members(self, species: int) -> np.ndarray:
        return np.flatnonzero(self.placement.species == species)

    def _chosen(self, n_species: int, plan: Round, rng: np.random.Generator) -> np.ndarray:
        """Images of a round, in order: drawn from all, or as many from each species."""
        if plan.met != "own" or plan.local:
            return drawn(self.dataset.n, plan.images, rng)
        each = [drawn(self._members(species), plan.images // n_species, rng) for species in range(n_species)]
        return np.sort(np.concatenate(each))

    def _met(self, index: np.ndarray, n_species: int, plan: Round, rng: np.random.Generator) -> np.ndarray:
        """(B, S). Which species each image is compared with."""
        if self.placement.lag.shape[1] != n_species:
            self.placement = replace(self.placement, lag=np.zeros((self.dataset.n, n_species), np.float32))
        if plan.met == "own":
            return self.placement.species[index, None] == np.arange(n_species)
        likely = self.placement.lag[index] < HOPELESS
        return likely | (rng.random(likely.shape) < AGAIN) | (plan.met == "all")

    def _place(self, index: np.ndarray, found: list[Candidates], score: np.ndarray) -> None:
        best = score.argmax(1)
        species, place = np.divmod(best, found[0].score.shape[1])
        each = np.arange(len(index))
        self.placement.rotations[index] = np.stack([f.rotations for f in found])[species, each, place]
        self.placement.shifts_ang[index] = np.stack([f.shifts_ang for f in found])[species, each, place]
        self.placement.species[index] = species
        self.placement.score[index] = score[each, best]

    def _solve(self, sums: "list[list[MapSums]]", plan: Round) -> list[list[LinearModel]]:
        if not plan.crossed:
            return [[each.map() for each in sums[0]]]
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

    def _images(self, rows: np.ndarray, batch_size: int) -> WhitenedImages:
        return WhitenedImages(self.dataset.subset(rows), self._noise, batch_size)


@dataclass(frozen=True)
class Visit:
    """A batch of images of half-set `part` with their candidates: score and weights (B, S P), species by species."""

    part: int
    batch: WhitenedBatch
    found: list[Candidates]
    score: np.ndarray
    weights: np.ndarray
    ratio: np.ndarray


def within_sight(plan: Round, maps: Maps) -> Round:
    """The round with its frequency limit where the best known maps end, if they do so before."""
    if not plan.masked or len(maps.models) < 2:
        return plan
    return replace(plan, radius=min(plan.radius, int(maps.known_shells(AGREED).max()) + BEYOND))


def drawn(among: int | np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Up to `count` of some numbers, or of 0 … among − 1, in order, each once."""
    available = among if isinstance(among, int) else len(among)
    return np.sort(rng.choice(among, min(count, available), replace=False)) if available else np.empty(0, np.int64)


def tempered(score: np.ndarray, temperature: float) -> np.ndarray:
    """(B, P) weights that sum to one, in proportion to exp(temperature · score)."""
    weights = np.exp(temperature * (score - score.max(1, keepdims=True)).astype(np.float64))
    weights[weights < LEAST_WEIGHT] = 0  # the best one's is 1 here
    return weights / weights.sum(1, keepdims=True)
