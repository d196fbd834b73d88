"""Whether images show anything: how those that no map is made of fit the maps, beside images of nothing.

Among thousands of poses some fit any image, and maps come to fit the noise that they are made of, those of half-sets
too, which began as one. So a few images are set aside until species are found. Then they are searched, and once more
with noise in place of them: that of the images, tied together by the window as theirs is, seen through their CTF.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from ..imaging.preprocess import soft_window
from ..likelihood.species_maps import Maps
from ..likelihood.whitened import WhitenedBatch
from ..slicing.device_tables import table
from .candidates import Views
from .placement import drawn
from .rounds import PoseRounds
from .steps import Round

SAMPLE, ASIDE, FEWEST = 200, 0.05, 5
"""Images that are set aside: at most, as a share of all, and at least."""
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
        """Noise that is white before the window in place of each image; its CTF and the noise's power stay."""
        box, lattice = self.dataset.box, self.dataset.lattice
        noise = np.stack([np.random.default_rng([1, int(image)]).standard_normal((box, box)) for image in batch.index])
        window, count = soft_window(box, self.dataset.config.window), batch.targets.shape[1]
        spectra = lattice.spectra((noise * window).astype(np.float32)) / box
        drawn = torch.as_tensor(spectra).to(batch.targets)[:, :count]
        multiplicity = table(lattice, "multiplicity", batch.weights.device, batch.weights.dtype)[:count]
        return replace(batch, targets=drawn * (batch.weights * multiplicity).sqrt())


def set_aside(n: int, seed: int) -> np.ndarray:
    """Images of `n` that are set aside, the same in every call."""
    return drawn(n, max(FEWEST, min(SAMPLE, int(ASIDE * n))), np.random.default_rng([seed, 2]))


def how_much_is_nothing(shown: PoseRounds, emptied: RoundsOfNothing, maps: Maps, plan: Round) -> tuple[float, float]:
    """The score that 95 % of images of nothing stay below when they are searched as in `plan`, and the share of the
    images shown that do not exceed it."""
    for rounds in (shown, emptied):
        rounds.place(maps, replace(plan, images=rounds.dataset.n, met="all"), np.random.default_rng(0))
    nothing = float(np.quantile(emptied.placement.score, QUANTILE))
    return nothing, float((shown.placement.score <= nothing).mean())
