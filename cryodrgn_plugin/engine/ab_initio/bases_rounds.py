"""Poses of a molecule that moves: found against a mean map and bases, amplitudes integrated out.

A few rounds in turn: EM gives bases at the poses so far, half-sets apart; every image is then placed anew against the
linear model of the half it is not in, whatever its conformation.
"""

from dataclasses import replace

import numpy as np

from ..closed_form.em import Amplitudes, iterate
from ..config import RunConfig
from ..imaging.noise import NoiseModel
from ..likelihood.linear_model import LinearModel
from ..likelihood.species_maps import Maps
from ..likelihood.whitened import WhitenedImages
from .rounds import PoseRounds
from .steps import Round

N_BASES = 4
"""Directions of motion that poses are freed from: more take longer and are known less well."""
SETTLING = 4
"""EM iterations over all images before the half-sets part."""
BASES_RADIUS = 16
"""Frequency limit of the bases while poses are looked for."""


class BasesRounds:
    """Rounds against a linear model, which go on from the poses of `engine`."""

    def __init__(self, config: RunConfig, engine: PoseRounds, noise: NoiseModel) -> None:
        self._config, self._engine, self._noise = config, engine, noise
        self._radius = min(BASES_RADIUS, engine.dataset.box // 2 - 1)

    def advance(self, plan: Round, rng: np.random.Generator) -> float:
        """Bases from the poses so far, then poses against them; the mean score. Changes `engine.placement`."""
        placed = self._engine.placement
        posed = self._engine.dataset.with_poses(placed.rotations, placed.shifts_ang)
        images = WhitenedImages(posed, self._noise, compute=self._engine.compute)
        models = self._bases(images, rng)
        plan = replace(plan, radius=min(plan.radius, self._radius))
        return self._engine.place(Maps([[model] for model in models], np.ones(1)), plan, rng)

    def _bases(self, images: WhitenedImages, rng: np.random.Generator) -> list[LinearModel]:
        """Linear models of the two half-sets, amplitudes N(0, I)."""
        dataset, padding, half = self._engine.dataset, self._config.decoder.padding, self._engine.half.astype(np.int8)
        k = min(N_BASES, self._config.closed_form.n_components)
        amplitudes = Amplitudes.random(images.n, k, rng, images)
        for _ in range(SETTLING):
            models, amplitudes = iterate(images, dataset.box, padding, self._radius, amplitudes, None)
        for _ in range(2):
            models, amplitudes = iterate(images, dataset.box, padding, self._radius, amplitudes, half)
        return models
