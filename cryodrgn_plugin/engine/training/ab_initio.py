"""The "abinitio" recipe: poses, species and maps from images alone, in closed form.

1. From several random starts, rounds of search and reconstruction on few images at low resolution (`pose_rounds`); the
   likeliest start goes on.
2. Species are sorted, half-sets checking each other from here on; where their number is open, of two that are one
   molecule the smaller is dropped (`twins`).
3. All images, the resolution rising.
4. For a molecule that moves, poses against a mean map and bases (`pose_bases`).
5. Maps of the found poses; with latent dimensions, the "fast" recipe on them.

Every round ends in a checkpoint, and a resumed run equals an uninterrupted one: a round's random choices follow from
the seed and its number.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..imaging.noise import estimate_noise
from ..run import Run
from ..stopping import graceful_stop
from .fast import fit_fast
from .pose_bases import BasesRounds
from .pose_checkpoint import load_progress, save_progress
from .pose_maps import fit_species, save_maps
from .pose_rounds import Maps, Placement, PoseRounds, Round, Stages
from .twins import without_twins

FIRST_IMAGES = 300
"""Images in random orientations that a start's maps are made of."""
FEWEST_OF_SPECIES = 5
"""A species of fewer images in a round is empty."""
FEWEST = 20
"""Fewer particles than this have no map worth looking for."""


@dataclass
class Progress:
    """How far the search for poses is: what a checkpoint keeps."""

    done: int = 0
    """Rounds done, over all starts."""
    seconds: float = 0.0
    maps: Maps | None = None
    best: Maps | None = None
    """Maps of the best start so far, with the score of the images they were judged by."""
    best_score: float = -np.inf
    placement: Placement = field(default_factory=lambda: Placement.unknown(0))


class AbInitio:
    """The rounds of the recipe over one dataset, start after start and then the refinement."""

    def __init__(self, config: RunConfig, dataset: ParticleDataset) -> None:
        if dataset.n < FEWEST:
            raise DataError(f"{config.particles}: {dataset.n} particles are too few for ab initio reconstruction.")
        self.config, self.dataset = config, dataset
        noise = estimate_noise(dataset, config.seed)
        self.engine = PoseRounds(dataset, noise, config.poses, config.decoder.padding, config.seed)
        self.bases = BasesRounds(config, self.engine, noise)
        self.stages = Stages.of(config.ab_initio, config.poses, dataset.box, dataset.n)

    @property
    def n_starts(self) -> int:
        """Random starts: by default one where there are several species, whose mixing up is found out on the way."""
        return self.config.ab_initio.starts or (3 if self.n_species == 1 else 1)

    @property
    def n_rounds(self) -> int:
        stages = self.stages
        settling = self.n_starts * len(stages.settling)
        return settling + len(stages.sorting) + len(stages.refining) + self.n_moving

    @property
    def n_moving(self) -> int:
        """Rounds against bases: none for rigid molecules, nor for several species, which the bases would mix up."""
        return self.config.ab_initio.moving_rounds if self.config.z_dim and self.n_species == 1 else 0

    @property
    def n_species(self) -> int:
        """Species that a start begins with."""
        return self.config.ab_initio.species or self.config.ab_initio.most_species

    def advance(self, progress: Progress) -> dict[str, float]:
        """The next round; changes `progress` and returns figures for metrics.csv."""
        stages = self.stages
        start, step = divmod(progress.done, len(stages.settling))
        if start < self.n_starts:
            return self._settle(progress, start, step)
        step = progress.done - self.n_starts * len(stages.settling)
        number = len(stages.settling) + step
        if step == 0:
            progress.maps = progress.best
        if step < len(stages.sorting):
            return self._sort(progress, stages.sorting[step], number)
        step -= len(stages.sorting)
        if step < len(stages.refining):
            return self._round(progress, stages.refining[step], number)
        return self._move(progress, number)

    def _settle(self, progress: Progress, start: int, step: int) -> dict[str, float]:
        plan = self.stages.settling[step]
        if step == 0:
            rng = np.random.default_rng([self.config.seed, 1000 + start])
            progress.maps = self.engine.start(self.n_species, plan.radius, FIRST_IMAGES, rng)
        figures = self._round(progress, plan, step)
        # Every start ends on the same images, so that their scores can be compared.
        if step == len(self.stages.settling) - 1 and figures["score"] > progress.best_score:
            progress.best, progress.best_score = progress.maps, figures["score"]
        return figures if self.n_starts == 1 else {"start": start + 1, **figures}

    def _sort(self, progress: Progress, plan: Round, number: int) -> dict[str, float]:
        figures = self._round(progress, plan, number)
        if plan.merges:
            progress.maps = without_twins(progress.maps)
        return {**figures, "species": progress.maps.n_species}

    def _move(self, progress: Progress, number: int) -> dict[str, float]:
        """A round against bases."""
        plan = self.stages.refining[-1]
        score = self.bases.advance(plan, np.random.default_rng([self.config.seed, number]))
        progress.placement = self.engine.placement
        return {"radius": plan.radius, "score": score}

    def _round(self, progress: Progress, plan: Round, number: int) -> dict[str, float]:
        rng = np.random.default_rng([self.config.seed, number])
        maps = progress.maps.without_empty(FEWEST_OF_SPECIES / plan.images)
        progress.maps, score = self.engine.advance(maps, plan, rng)
        progress.placement = self.engine.placement
        figures = {"radius": plan.radius, "score": score}
        return figures if self.n_species == 1 else {**figures, "species": progress.maps.n_species}


def fit_ab_initio(run: Run, config: RunConfig, dataset: ParticleDataset, resume: bool = False) -> None:
    """Find the poses of `dataset`, whose own are ignored; leaves poses.star, maps, latents.npz and model.pt in `run`.

    Raises
    ------
    DataError : too few particles.
    Stopped : a signal came; the run can be resumed.
    """
    recipe = AbInitio(config, dataset.without_poses())
    progress = Progress(**((load_progress(run) if resume else None) or {}))
    if progress.done:
        recipe.engine.placement = progress.placement
        run.log(f"Resuming after round {progress.done}.")
    kinds = f", {recipe.n_species} species" if recipe.n_species > 1 else ""
    run.log(f"Looking for the poses of {dataset.n:,} particles of {dataset.box}² px{kinds}: {recipe.n_rounds} rounds.")
    with graceful_stop() as stop:
        while progress.done < recipe.n_rounds:
            began = time.perf_counter()
            figures = recipe.advance(progress)
            progress.done += 1
            progress.seconds += time.perf_counter() - began
            run.append_metrics({"epoch": progress.done, "seconds": round(progress.seconds, 3), **figures})
            run.progress("round", progress.done, recipe.n_rounds, score=figures["score"])
            save_progress(run, progress)
            stop.raise_if_requested()
    _finish(run, config, dataset, progress, recipe.n_rounds, resume)


def _finish(
    run: Run, config: RunConfig, dataset: ParticleDataset, progress: Progress, n_rounds: int, resume: bool
) -> None:
    """Poses and maps into the run, then the latent space where one was asked for."""
    placed = progress.placement
    species = placed.species if config.ab_initio.species != 1 else None
    run.save_poses(dataset.rows, placed.rotations, placed.shifts_ang, species=species, score=placed.score)
    posed = dataset.with_poses(placed.rotations, placed.shifts_ang)
    n_species = progress.maps.n_species
    maps = save_maps(run, posed, placed.species, n_species, config.seed)
    if config.z_dim:
        fit_fast(run, config, posed, resume, epochs_before=n_rounds)
    else:
        fit_species(run, config, posed, maps, placed.species)
