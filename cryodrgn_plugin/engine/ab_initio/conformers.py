"""Conformers of one molecule, found as several species, made one: their maps in one frame, and the poses with them.

However well their frames agree, each conformer keeps an error of its own, shared by all its images. A latent space
takes that for a state, and what moves continuously falls into as many clumps. So all images then climb a few times
against one map of all conformers, which knows nothing of who was which. It shows what stands still and little else, so
that images do not turn after what moves.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from ..likelihood.linear_model import LinearModel
from ..likelihood.species_maps import Maps
from ..reconstruction.common_frame import CommonFrame, common_frame, stillness
from ..run import Run
from .rounds import PoseRounds
from .steps import Round

KNOWN, LEAST_SHELLS = 0.3, 8
"""FSC of half-maps from which a shell counts where frames are compared, and how many count however noisy they are."""
TOGETHER = 4
"""Rounds against the map of all. After one or two some clumps are left."""


def join_conformers(run: Run, engine: PoseRounds, maps: Maps, local: Round) -> Maps:
    """Bring the images of `engine` into one frame and one species; returns that one's maps, of half-sets.

    `local` is a round in which poses are moved uphill from where they are. Changes `engine.placement`.
    """
    run.log(f"Bringing the maps of {maps.n_species} conformers into one frame.")
    placed, largest = engine.placement, int(maps.populations.argmax())
    limit = int(maps.models[0][0].sphere.radius)
    shells = min(max(int(np.median(maps.known_shells(KNOWN))), LEAST_SHELLS), limit)
    frame = common_frame(maps.volumes(shells), largest, shells, partial(run.progress, "frame"))
    extent_ang = engine.dataset.box * engine.dataset.pixel_size_ang
    poses = frame.of_poses(placed.species, placed.rotations, placed.shifts_ang, extent_ang)
    rotations, shifts_ang = (values.astype(np.float32) for values in poses)
    species, lag = np.zeros_like(placed.species), np.zeros((engine.dataset.n, 1), np.float32)
    engine.placement = replace(placed, rotations=rotations, shifts_ang=shifts_ang, species=species, lag=lag)
    still = still_weight(maps, frame)
    maps = together(maps, frame)
    for number in range(TOGETHER):
        maps = engine.advance(weighted(maps, still), local, np.random.default_rng(number)).maps
        run.progress("together", number + 1, TOGETHER)
    return maps


def still_weight(maps: Maps, frame: CommonFrame) -> np.ndarray:
    """(D, D, D) from 0 to 1: where maps of all conformers agree, in their common frame."""
    placed = [frame.of_map(which, volume) for which, volume in enumerate(maps.volumes())]
    return stillness(placed, len(placed[0]) / frame.box)


def together(maps: Maps, frame: CommonFrame) -> Maps:
    """One species: the mean of all in their common frame, by their populations, half by half."""
    halves = []
    for models in maps.models:
        volumes = (frame.of_map(which, model.mean_map()) for which, model in enumerate(models))
        mean = sum(share * volume for share, volume in zip(maps.populations, volumes, strict=True))
        halves.append([LinearModel.of(models[0].backend, mean[None])])
    return Maps(halves, np.ones(1))


def weighted(maps: Maps, weight: np.ndarray) -> Maps:
    """The same maps times `weight` (D, D, D)."""
    halves = [
        [LinearModel.of(model.backend, (weight * model.mean_map())[None]) for model in models] for models in maps.models
    ]
    return replace(maps, models=halves)
