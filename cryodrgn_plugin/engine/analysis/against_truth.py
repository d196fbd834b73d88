"""A run's maps against the planted truth: per image and per conformation (Zhong's thesis, 4.4.7).

Per image, the map at a particle's latent is compared with the true map of that very particle; per conformation, the
map at the particle nearest to the middle of all particles of a true state with the map of that state.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..reconstruction.fsc import fsc, fsc_area, resolution
from .truth import Truth
from .volumes import TrainedDecoder

THRESHOLD = 0.5


@dataclass(frozen=True)
class Agreement:
    """FSC curves (n, D//2 + 1) of n maps with the truth, over the whole box and inside the moving mask.

    `states` (n,) are the true states, `particles` (n,) the particles at whose latents the maps were made.
    """

    states: np.ndarray
    particles: np.ndarray
    box: np.ndarray
    moving: np.ndarray

    def figures(self, pixel_size_ang: float) -> dict[str, float]:
        """Means over the maps: areas under the curves, and the resolution at FSC 0.5 in pixels."""
        size = 2 * (self.box.shape[1] - 1)
        at = [resolution(curve, 1.0, size, THRESHOLD) for curve in self.box]
        return {
            "maps": len(self.box),
            "fsc_area": float(np.mean([fsc_area(curve, size // 2 - 1) for curve in self.box])),
            "moving_fsc_area": float(np.mean([fsc_area(curve, size // 2 - 1) for curve in self.moving])),
            "resolution_px": float(np.mean(at)),
            "resolution_ang": float(np.mean(at) * pixel_size_ang),
        }


def per_image(decoder: TrainedDecoder, z: np.ndarray, rows: np.ndarray, truth: Truth, count: int, seed: int):
    """Agreement at `count` particles drawn at random. `z` (N, Z) and `rows` (N,), star rows, are the run's latents."""
    _require_rows(rows, truth)
    chosen = np.sort(np.random.default_rng(seed).choice(len(z), min(count, len(z)), replace=False))
    return _agreement(decoder, z, chosen, truth.state[rows[chosen]], truth)


def per_conformation(decoder: TrainedDecoder, z: np.ndarray, rows: np.ndarray, truth: Truth, most: int) -> Agreement:
    """Agreement at the middle of each true state, at most `most` of them, evenly spaced among those that occur."""
    _require_rows(rows, truth)
    state = truth.state[rows]
    present = np.unique(state)
    taken = present[np.unique(np.linspace(0, len(present) - 1, min(most, len(present))).round().astype(int))]
    middle = []
    for conformation in taken:
        members = np.flatnonzero(state == conformation)
        apart = ((z[members] - np.median(z[members], axis=0)) ** 2).sum(axis=1)
        middle.append(members[np.argmin(apart)])
    return _agreement(decoder, z, np.array(middle), taken, truth)


def _agreement(decoder: TrainedDecoder, z: np.ndarray, particles: np.ndarray, states: np.ndarray, truth: Truth):
    mask = truth.moving_mask()
    whole, moving = [], []
    for particle, state in zip(particles, states, strict=True):
        volume = decoder.volume(z[particle])
        whole.append(fsc(volume, truth.maps[state]))
        moving.append(fsc(volume, truth.maps[state], mask))
    return Agreement(states, particles, np.array(whole), np.array(moving))


def _require_rows(rows: np.ndarray, truth: Truth) -> None:
    if rows.max() >= len(truth.state):
        raise DataError(
            f"The run has particles up to row {int(rows.max()):,}, but the truth ends at row {len(truth.state) - 1:,}; "
            "is it that of another set?"
        )
