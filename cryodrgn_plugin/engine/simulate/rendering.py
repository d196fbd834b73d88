"""The noise-free images of a set, written into a scratch file: particles, what is there in their place, and neighbours.

Particles lie inside their box and are moved in Fourier space there. What leaves the box, off-centre particles and
neighbours, is moved in a box of twice the edge and cut out, so that nothing comes in again on the other side.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .acquisition import Acquisition
from .config import SimulationConfig
from .foreign import ice_crystals, something_else
from .optics import ObservationModel, magnified
from .projectors import Projector, images_from_spectra, spectra_from_images
from .scratch import ScratchImages
from .surroundings import ICE, NOISE_ONLY, OFF_CENTRE, PARTICLE, SOMETHING_ELSE, Surroundings

BLOCK = 256
"""Images in hand at once."""


def blocks(rows: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    """`rows` in pieces of at most `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


class Rendering:
    """Renders the images of one set; `finished` is told how many are done."""

    def __init__(
        self,
        acquisition: Acquisition,
        surroundings: Surroundings,
        make_projector: Callable[[int], Projector],
        config: SimulationConfig,
        finished: Callable[[int], None],
    ) -> None:
        self.acquisition, self.surroundings = acquisition, surroundings
        self.make_projector, self.config, self.finished = make_projector, config, finished
        self._observe = ObservationModel(config)

    def particles(self, clean: ScratchImages) -> float:
        """Write the particles at their places; returns the mean over them of the variance over the whole box."""
        total, count = 0.0, 0
        for projector, rows in self._by_state(self.acquisition, self.surroundings.kind == PARTICLE):
            images = self._seen(projector, self.acquisition, rows)
            total += float(images.var(axis=(1, 2), dtype=np.float64).sum())
            count += len(rows)
            clean.write(rows, images)
            self.finished(len(rows))
        return total / max(count, 1)

    def others(self, clean: ScratchImages, signal_variance: float, noise_sd: float, rng: np.random.Generator) -> None:
        """Write what is no particle, and add the neighbours.

        Something else has as much variance as the particles have; crystals of ice are measured by the noise.
        """
        kind, box = self.surroundings.kind, self.config.box
        for rows in blocks(np.flatnonzero(kind == NOISE_ONLY)):
            self._put(clean, rows, np.zeros((len(rows), box, box), dtype=np.float32))
        for rows in blocks(np.flatnonzero(kind == ICE)):
            self._put(clean, rows, noise_sd * ice_crystals(len(rows), self.config, rng))
        projector, scale = something_else(self.config, rng), 0.0
        for rows in blocks(np.flatnonzero(kind == SOMETHING_ELSE)):
            images = self._seen(projector, self.acquisition, rows)
            scale = scale or np.sqrt(signal_variance / images.var(axis=(1, 2)).mean())
            self._put(clean, rows, scale * images)
        for projector, rows in self._by_state(self.acquisition, kind == OFF_CENTRE, BLOCK // 4):
            self._put(clean, rows, self._cut_out(projector, self.acquisition, rows))
        self._add_neighbours(clean)

    def _add_neighbours(self, clean: ScratchImages) -> None:
        neighbour = self.surroundings.neighbour
        beside = replace(
            self.acquisition,
            state=self.acquisition.state[neighbour],
            rotations=self.acquisition.rotations[neighbour],
            shifts_ang=self.surroundings.neighbour_ang,
        )
        for projector, rows in self._by_state(beside, neighbour >= 0, BLOCK // 4):
            clean.add(rows, self._cut_out(projector, beside, rows))

    def _by_state(
        self, acquisition: Acquisition, wanted: np.ndarray, size: int = BLOCK
    ) -> Iterator[tuple[Projector, np.ndarray]]:
        """Blocks of the rows that are `wanted` (N,), state by state, with the projector of their state."""
        for state in np.unique(acquisition.state[wanted]):
            projector = self.make_projector(state)
            for rows in blocks(np.flatnonzero(wanted & (acquisition.state == state)), size):
                yield projector, rows

    def _put(self, clean: ScratchImages, rows: np.ndarray, images: np.ndarray) -> None:
        clean.write(rows, images)
        self.finished(len(rows))

    def _seen(self, projector: Projector, acquisition: Acquisition, rows: np.ndarray) -> np.ndarray:
        """(B, box, box) images of particles inside the box."""
        return images_from_spectra(self._observe(projector.spectra(magnified(acquisition, rows)), acquisition, rows))

    def _cut_out(self, projector: Projector, acquisition: Acquisition, rows: np.ndarray) -> np.ndarray:
        """(B, box, box) images of particles that lie anywhere, moved in a box of twice the edge."""
        margin = self.config.box // 2
        inner = slice(margin, margin + self.config.box)
        observe = ObservationModel(replace(self.config, box=2 * self.config.box))
        projections = images_from_spectra(projector.spectra(magnified(acquisition, rows)))
        wide = np.pad(projections, ((0, 0), (margin, margin), (margin, margin)))
        return images_from_spectra(observe(spectra_from_images(wide), acquisition, rows))[:, inner, inner]
