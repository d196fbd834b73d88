"""The "abinitio" recipe: poses, species and maps from images alone, in closed form.

1. From several random starts, rounds of search and reconstruction on few images at low resolution (`rounds`); the
   likeliest start goes on.
2. Several species are sorted, half-sets checking each other. Then those that suit the same images start anew in twos
   (`pairing`), and each among its own, several times, and goes on with its likeliest map: one start of all together
   seldom finds all of them. Where their number is open, groups of images alike in power (`spectral_groups`) start as
   several species of equal shares (`grouping`, `even_shares`) instead; those that images can do without are dissolved
   (`dissolving`), or dropped where nothing would be missed (`missed_species`). The images of species that no two starts
   place alike are one more such group, until there are none.
3. All images, the resolution rising, half-sets checking each other.
4. With latent dimensions, the "fast" recipe, which finds poses once more together with the latent coordinates
   (`node_poses`). Maps of the found poses.

A molecule that moves is taken for several species first, its conformers. A single map of all its images would turn with
what moves, or be right in one conformation and of the other hand in another, and images follow their map. Conformers
have frames and hands of their own instead, and once their maps are known in detail these are made one (`conformers`),
in which the molecule stands still. One that is kept whole, or whose conformers turn out to be one and the same, is
placed against a mean map and bases (`bases_rounds`).

Every round ends in a checkpoint, and a resumed run equals an uninterrupted one: a round's random choices follow from
the seed and its number.
"""

import time
from dataclasses import replace
from itertools import takewhile

import numpy as np

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..data.tilt_images import find_series
from ..errors import DataError
from ..imaging.noise import estimate_noise
from ..progress import duration
from ..ranks import Ranks
from ..run import Run
from ..slicing.compute import Compute
from ..stopping import graceful_stop, wish_of_any
from .bases_rounds import BasesRounds
from .climbing import climbs_on, with_round
from .conformers import join_conformers
from .contests import close_contest, judge, open_contest
from .costs import RoundCosts, TimeLeft
from .dissolving import expendable
from .finding import leave_found
from .grouping import FEWEST_FIRST, IMAGES, begin_in_pools
from .missed_species import missed
from .nothing import RoundsOfNothing, how_much_is_nothing, set_aside
from .placement import NONE
from .rounds import PoseRounds
from .search_checkpoint import Progress, load_progress, save_progress
from .stages import MOST_GROUPINGS, Stages
from .steps import Step

FIRST_IMAGES = 300
"""Images in random orientations that a start's maps are made of."""
FEWEST_OF_SPECIES = 5
"""A species of fewer images in a round is empty."""
FEWEST_OF_CONFORMER = 100
"""There are no more conformers than such lots of images."""
MOST_GROUPS, GROUP = 12, 400
"""Where the number of species is open, images are sorted by their power first: into how many groups at most, at one
for so many images."""
FEWEST = 20
"""Fewer particles than this have no map worth looking for."""
ROUGH, MOST_REPEATS = 1.1, 10
"""Local rounds are repeated while images differ from maps by more than their noise explains, by this many noise
variances in some shell, and at most so often."""


class AbInitio:
    """The rounds of the recipe over one dataset, start after start and then the refinement."""

    def __init__(self, config: RunConfig, dataset: ParticleDataset) -> None:
        if dataset.n < FEWEST:
            raise DataError(f"{config.particles}: {dataset.n} particles are too few for ab initio reconstruction.")
        self.config, self.dataset = config, dataset
        self._noise = estimate_noise(dataset, config.seed)
        self.engine = self._rounds()
        self._aside = set_aside(dataset.n, config.seed) if find_series(dataset) is None else NONE
        self.bases = BasesRounds(config, self.engine, self._noise)
        self.time_left = TimeLeft(RoundCosts(config.poses, dataset.box, config.decoder.padding, dataset.n))

    def steps(self, progress: Progress) -> list[Step]:
        """All rounds, as far as is known by now."""
        settings = self.config.ab_initio
        left = progress.maps.n_species if progress.maps else self.n_species
        moving = settings.moving_rounds if self.moving and left == 1 else 0
        insists = 0 if self.moving or not len(progress.hard) else settings.more_starts
        # Those that were begun, and one more if some species turn out to be hard to place.
        more = settings.more_starts > 0 and len(progress.hard) > 0
        groupings = min(max(progress.grouped, 1) + more, MOST_GROUPINGS)
        known = self.number_open, progress.repeats, moving, progress.climbs, insists, groupings
        return self._stages(left).steps(self.n_starts, *known)

    def try_out(self) -> None:
        """Time a small round, so that how long all of them take is known before the first."""
        self.time_left.try_out(self._rounds(), self.steps(Progress())[0].plan)

    def left_s(self, progress: Progress) -> float:
        """Seconds that the rounds which are not done will take, as far as these are known by now: of the species that
        images start as, as many are left as there are lots of images for groups."""
        plans = [step.plan for step in self.steps(progress)[progress.done :]]
        now = [*takewhile(lambda plan: plan.met == plans[0].met, plans)]
        species = progress.maps.n_species if progress.maps else self.n_species
        later, pools = species, 1
        if now and now[0].met == "pool":
            later = max(1, min(species, self.dataset.n // GROUP))
            species = max(species, self.dataset.n // IMAGES) if progress.maps is None else species
            pools = max(1, len(np.unique(progress.placement.pools)) or self.n_species)
        return self.time_left.of(now, species / pools) + self.time_left.of(plans[len(now) :], later)

    def _see_how_much_is_nothing(self, progress: Progress) -> None:
        """By the images that were set aside, which take part from now on."""
        config, few = self.config, self.dataset.subset(self._aside)
        given = few, self._noise, config.poses, config.decoder.padding, config.seed, None, self.engine.compute
        plan = self._stages(progress.maps.n_species).refining[0]
        told = how_much_is_nothing(PoseRounds(*given), RoundsOfNothing(*given), progress.maps, plan)
        progress.score_of_nothing, progress.share_of_nothing = told

    def _stages(self, left: int) -> Stages:
        """The rounds, with as many images as the species that are left need where their number is open."""
        config, dataset = self.config, self.dataset
        species = max(left, 2) if self.number_open else self.n_species
        open_or_not = self.number_open, not self.moving
        return Stages.of(config.ab_initio, config.poses, dataset.box, dataset.n, species, *open_or_not)

    def _rounds(self) -> PoseRounds:
        """The engine for particles of one image each, or for tilt pairs and series."""
        config, series = self.config, find_series(self.dataset)
        given = self.dataset, self._noise, config.poses, config.decoder.padding, config.seed
        return PoseRounds(*given, series, Compute.chosen(config))

    @property
    def n_starts(self) -> int:
        """Random starts: by default one where there are several species, whose mixing up is found out on the way."""
        return self.config.ab_initio.starts or (3 if self.n_species == 1 else 1)

    @property
    def number_open(self) -> bool:
        """Whether the number of species is to be found."""
        return not self.config.ab_initio.species

    @property
    def moving(self) -> bool:
        """Whether the species are conformers of one molecule."""
        return self.config.z_dim > 0 and self.config.ab_initio.species == 1

    @property
    def n_species(self) -> int:
        """Species that a start begins with; groups of images alike in power where the number of species is open."""
        settings = self.config.ab_initio
        if self.moving:
            return max(1, min(settings.conformers, self.dataset.n // FEWEST_OF_CONFORMER))
        groups = min(MOST_GROUPS, settings.most_species // FEWEST_FIRST, self.dataset.n // GROUP)
        return settings.species or max(1, groups)

    def advance(self, progress: Progress) -> dict[str, float]:
        """The next round; changes `progress` and returns figures for metrics.csv."""
        steps, done = self.steps(progress), progress.done
        step, after = steps[done], steps[done - 1] if done else None
        self._set_aside(progress, step)
        self._begin(progress, step, after)
        if step.phase == "sort":
            # Species that took no part for some rounds are back, and need their images as well.
            step = self.steps(progress)[done]
        rng = np.random.default_rng([self.config.seed, step.number])
        if step.phase == "move":
            score = self.bases.advance(step.plan, rng)
        else:
            score = self._advance(progress, step, rng)
        progress.placement = self.engine.placement
        start = {} if step.start is None else {"start": step.start + 1}
        species = {} if self.n_species == 1 and not self.number_open else {"species": progress.maps.n_species}
        return {**start, "radius": step.plan.radius, "score": score, **species}

    def _set_aside(self, progress: Progress, step: Step) -> None:
        """Images that no map is made of until all are refined, and what they tell then."""
        self.engine.aside = self._aside
        if len(self._aside) and step.phase in ("refine", "move"):
            if not np.isfinite(progress.score_of_nothing):
                self._see_how_much_is_nothing(progress)
            self.engine.aside = NONE

    def _advance(self, progress: Progress, step: Step, rng: np.random.Generator) -> float:
        """Maps and poses in turn; the mean score."""
        # Maps that compete are judged in noise that is alike for all of them.
        maps, held_against = progress.maps, progress.incumbents
        if maps and held_against and step.judged and step.phase in ("pair", "part", "insist", "group"):
            maps = replace(maps, misfit=held_against.misfit)
        outcome = self.engine.advance(maps, step.plan, rng)
        progress.maps = outcome.maps
        if step.judged:
            judge(progress, outcome, step, self.engine)
        if step.climbs:
            progress.climbed = with_round(progress.climbed, outcome.of_species)
            progress.climbs += climbs_on(progress.climbed, progress.climbs, self.config.ab_initio.most_climbs)
        if step.plan.local and outcome.maps.misfit.max() > ROUGH:
            progress.repeats = min(progress.repeats + 1, MOST_REPEATS)
        return outcome.score

    def make_one(self, run: Run, progress: Progress) -> None:
        """Of all conformers one species; changes `progress`."""
        if progress.maps.n_species > 1:
            self.engine.placement = progress.placement
            progress.maps = join_conformers(run, self.engine, progress.maps, self._stages(self.n_species).local)
            progress.placement = self.engine.placement
        progress.placement.species = np.zeros_like(progress.placement.species)

    def _begin(self, progress: Progress, step: Step, after: Step | None) -> None:
        """The maps that a round begins with."""
        if after and after.judged:
            progress.maps = progress.best
        if after and after.phase in ("pair", "insist", "group") and step.phase == "sort":
            close_contest(progress, after.phase, self.engine)
        if step.phase == "refine":
            progress.over()
        if step.drops:
            self._drop_unmissed(progress)
        if step.anew:
            progress.grouped += step.phase == "group"
            open_contest(progress, step.phase, self.engine)
        if step.returns:
            progress.maps = progress.incumbents
        if step.begins and step.phase == "dissolve":
            self._dissolve(progress, step.one_in)
        elif step.begins:
            rng = np.random.default_rng([self.config.seed, 1000 + step.start])
            if step.phase == "group":
                most = self.config.ab_initio.most_species
                n_species = begin_in_pools(progress, self.engine, self.n_species, self._aside, most, rng)
            else:
                n_species = self.n_species if step.phase == "settle" else progress.incumbents.n_species
            progress.maps = self.engine.start(n_species, step.plan, FIRST_IMAGES, rng)
        if step.plan.met in ("all", "likely"):
            self._keep(progress, progress.maps.occupied(FEWEST_OF_SPECIES / step.plan.images))

    def _dissolve(self, progress: Progress, one_in: int) -> None:
        """Some species are no more, and their images are free."""
        self._drop_unmissed(progress)
        progress.best, progress.before = progress.maps, self.engine.placement.copied()
        n_species = progress.maps.n_species
        gone = expendable(progress.before, n_species, min(n_species - 1, -(-n_species // one_in)))
        progress.dissolved = np.array(gone, np.int64)
        self._keep(progress, [species for species in range(n_species) if species not in gone])

    def _drop_unmissed(self, progress: Progress) -> None:
        """Maps that agree would not show which species are one: at low frequency all small molecules are alike."""
        self._keep(progress, missed(self.engine.placement, progress.maps.n_species, FEWEST_OF_SPECIES))

    def _keep(self, progress: Progress, species: list[int]) -> None:
        if len(species) < progress.maps.n_species:
            progress.maps = progress.maps.only(species)
            self.engine.keep(species)


def fit_ab_initio(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool = False) -> None:
    """Find the poses of `dataset`, whose own are ignored; leaves poses.star, maps, latents.npz and model.pt in `run`.

    Raises
    ------
    DataError : too few particles.
    Stopped : a signal came; the run can be resumed.
    """
    recipe, ranks = AbInitio(config, dataset.without_poses()), Ranks.present()
    progress = Progress(**((load_progress(run, recipe.engine.compute, dataset.lattice) if resume else None) or {}))
    if progress.done:
        recipe.engine.placement = progress.placement
        run.log(f"Resuming after round {progress.done}.")
    recipe.try_out()
    kinds = f", {recipe.n_species} {'conformers' if recipe.moving else 'species'}" if recipe.n_species > 1 else ""
    kinds = ", of species whose number is to be found" if recipe.number_open else kinds
    rounds, left = len(recipe.steps(progress)) - progress.done, duration(recipe.left_s(progress))
    what = f"{dataset.n:,} particles of {dataset.box}² px{kinds}"
    run.log(f"Looking for the poses of {what}: {rounds} rounds, about {left}.")
    with graceful_stop(run.stop_file) as stop:
        while progress.done < len(recipe.steps(progress)):
            began = time.perf_counter()
            step, figures = recipe.steps(progress)[progress.done], recipe.advance(progress)
            progress.done += 1
            seconds = time.perf_counter() - began
            progress.seconds += seconds
            recipe.time_left.took(step.plan, progress.maps.n_species, seconds)
            run.append_metrics({"epoch": progress.done, "seconds": round(progress.seconds, 3), **figures})
            told = {"left_s": recipe.left_s(progress), "score": figures["score"]}
            run.progress("round", progress.done, len(recipe.steps(progress)), **told)
            ranks.require_same(figures["score"])
            save_progress(run, progress)
            stop.raise_if_requested(may_keep=False, agreed=str if ranks.alone else wish_of_any(ranks.any))
    if recipe.moving:
        recipe.make_one(run, progress)
    leave_found(run, config, dataset, progress, resume)
