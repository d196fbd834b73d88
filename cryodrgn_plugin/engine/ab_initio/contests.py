"""Which of the maps that compete with one another go on: starts, species and their parts, old ones and new ones.

All of them are judged by the same images, each held against maps of the half-set that it is not in, but in `settle`.
"""

import numpy as np

from .dissolving import brought_back
from .insisting import placed_alike, with_poses_of
from .outcome import Outcome
from .pairing import in_pairs
from .placement import Placement
from .rounds import PoseRounds
from .search_checkpoint import Progress
from .steps import Step

LIKELIER = 0.03
"""Share of the log-likelihood that new maps must explain more than those before them, which otherwise stay. Of species
that are hard to place any gain is enough: the maps before are of one more start."""


def open_contest(progress: Progress, phase: str, engine: PoseRounds) -> None:
    """The maps so far will be held against those of new starts: of one species each, of two that are alike, or of those
    species only that are hard to place. Changes `progress` and where the `engine` has images placed."""
    if phase == "pair":
        order = in_pairs(engine.placement, progress.maps.n_species)
        progress.maps = progress.maps.only(order)
        engine.keep(order)
    if phase in ("insist", "group"):
        progress.whole, hard = progress.maps, [int(species) for species in progress.hard]
        progress.maps = progress.maps.only(hard)
        engine.keep(hard)
    if phase == "part":
        # Where they have images now, which is one more opinion about the poses.
        progress.before = engine.placement.copied()
    progress.incumbents = progress.maps


def close_contest(progress: Progress, phase: str, engine: PoseRounds) -> None:
    """All images will be placed anew: they were placed last by maps that may have lost, or not at all."""
    if phase == "insist":
        progress.maps, progress.whole = progress.whole.replaced(progress.hard, progress.maps), None
    if phase == "group" and progress.whole:
        progress.maps, progress.whole = progress.whole.joined(progress.maps, len(progress.hard)), None
    engine.placement = Placement.unknown(engine.dataset.n, progress.maps.n_species)


def judge(progress: Progress, outcome: Outcome, step: Step, engine: PoseRounds) -> None:
    """Keep the maps of a start where they explain images better: all together or, in pairing and other new starts, each
    pair's and each species'; in dissolving the old ones of species whose images were better off with them. Changes
    `progress` and where the `engine` has images placed."""
    if step.judged == "again" and step.phase == "dissolve":
        _bring_back(progress, outcome, engine)
    else:
        _choose_start(progress, outcome, step, engine)


def _choose_start(progress: Progress, outcome: Outcome, step: Step, engine: PoseRounds) -> None:
    families = engine.placement.families(step.plan.met)
    score = np.array([outcome.score]) if families is None else outcome.of_families(families)
    parts = step.phase == "part" and step.start is not None
    first = step.judged == "first"
    handicap = LIKELIER * (step.start is None and step.phase != "insist")
    claim = score * (1 + handicap)
    better = np.broadcast_to(first or claim > progress.best_score, outcome.maps.n_species)
    if parts:
        now, before = engine.placement, progress.before
        asked = np.arange(len(score)) if first else progress.hard
        alike = [placed_alike(before, now, species) for species in asked]
        progress.hard = asked[~np.array(alike, bool)]
        progress.before = with_poses_of(before, now, better)
    if first:
        progress.best, progress.best_score = outcome.maps, score
        return
    progress.best = progress.best.where(~better, outcome.maps)
    progress.best_score = np.maximum(score, progress.best_score)


def _bring_back(progress: Progress, outcome: Outcome, engine: PoseRounds) -> None:
    parts = progress.best, progress.before, outcome.maps, engine.placement, progress.dissolved
    progress.maps, engine.placement = brought_back(*parts)
    progress.best, progress.before = progress.maps, Placement.unknown(0)
