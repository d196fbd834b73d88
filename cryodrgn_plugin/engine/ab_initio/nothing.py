"""What a search for poses finds in images of nothing: the score that an image must exceed to show a molecule.

Among thousands of poses some fit any image. So a few hundred images are searched once more, as the others were, with
noise in place of them: that of the images, tied together by the window as theirs is, seen through their CTF.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from ..imaging.preprocess import soft_window
from ..likelihood.species_maps import Maps
from ..likelihood.whitened import WhitenedBatch
from .candidates import Views
from .rounds import PoseRounds
from .stages import Round

SAMPLE = 200
"""Images that are searched."""
QUANTILE = 0.95
"""Share of the images of nothing that do not exceed the score."""


class RoundsOfNothing(PoseRounds):
    """Rounds over images that are noise alone, the same in every round."""

    def _lots(
        self, particles: np.ndarray, at_once: int, plan: Round, rng: np.random.Generator
    ) -> Iterator[tuple[Views, np.ndarray | None]]:
        for views, met in super()._lots(particles, at_once, plan, rng):
            yield replace(views, images=[self._emptied(batch) for batch in views.images]), met

    def _emptied(self, batch: WhitenedBatch) -> WhitenedBatch:
        """Noise of unit variance, through the window, in place of each image; its CTF and the noise's power stay."""
        box, lattice = self.dataset.box, self.dataset.lattice
        noise = np.stack([np.random.default_rng([1, int(image)]).standard_normal((box, box)) for image in batch.index])
        spectra = lattice.spectra((noise * soft_window(box, self.dataset.config.window)).astype(np.float32)) / box
        drawn = torch.as_tensor(spectra).to(batch.targets)[:, : batch.targets.shape[1]]
        return replace(batch, targets=drawn * batch.weights.sqrt())


def score_of_nothing(rounds: RoundsOfNothing, maps: Maps, plan: Round, local: Round) -> float:
    """The score that 95 % of images of nothing stay below when they are searched as in `plan`, then moved uphill."""
    rng = np.random.default_rng(0)
    rounds.place(maps, replace(plan, images=rounds.dataset.n, met="all"), rng)
    rounds.place(maps, replace(local, images=rounds.dataset.n), rng)
    return float(np.quantile(rounds.placement.score, QUANTILE))
