"""Which of the maps that compete with one another go on: starts, species and their parts, old ones and new ones.

All of them are judged by the same images, each held against maps of the half-set that it is not in, but in `settle`.
"""

import numpy as np

from .dissolving import brought_back
from .outcome import Outcome
from .placement import FAMILY, Placement
from .rounds import PoseRounds
from .search_checkpoint import Progress
from .splits import chosen_pairs, paying
from .stages import Step

LIKELIER = 0.03
"""Share of the log-likelihood that new maps must explain more than those before them, which otherwise stay."""


def judge(progress: Progress, outcome: Outcome, step: Step, engine: PoseRounds, most_species: int) -> None:
    """Keep the maps of a start where they explain images better: all together or, in pairing and parting, each pair's
    and each species'; in splitting those of a pair where they explain them better than the species that it was made of;
    in dissolving the old ones of species whose images were better off with them. Changes `progress` and where the
    `engine` has images placed."""
    if step.judged == "again" and step.phase == "split":
        _choose_pairs(progress, outcome, engine, most_species)
    elif step.judged == "again" and step.phase == "dissolve":
        _bring_back(progress, outcome, engine)
    else:
        _choose_start(progress, outcome, step)


def _choose_start(progress: Progress, outcome: Outcome, step: Step) -> None:
    score = np.array([outcome.score]) if step.phase == "settle" else outcome.of_families(FAMILY[step.plan.met])
    if step.judged == "first":
        progress.best, progress.best_score = outcome.maps, score
        return
    claim = score * (1 + LIKELIER * (step.start is None))
    better = np.broadcast_to(claim > progress.best_score, outcome.maps.n_species)
    progress.best = progress.best.where(~better, outcome.maps)
    progress.best_score = np.maximum(score, progress.best_score)


def _choose_pairs(progress: Progress, outcome: Outcome, engine: PoseRounds, most_species: int) -> None:
    if progress.best is not None:
        chosen = paying(progress.best_score, outcome, most_species - progress.best.n_species)
        progress.maps, engine.placement = chosen_pairs(progress.best, outcome, engine.placement, chosen)
    progress.best, progress.best_score = progress.maps, outcome.of_species


def _bring_back(progress: Progress, outcome: Outcome, engine: PoseRounds) -> None:
    parts = progress.best, progress.before, outcome.maps, engine.placement, progress.dissolved
    progress.maps, engine.placement = brought_back(*parts)
    progress.best, progress.before = progress.maps, Placement.unknown(0)
