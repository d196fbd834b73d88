"""What is on images besides their particle, or instead of it: junk, neighbours and gradients of brightness."""

from dataclasses import dataclass

import numpy as np

from .acquisition import Acquisition
from .config import SimulationConfig

KINDS = ("particle", "noise only", "something else", "off-centre", "ice")
"""What an image shows, by number."""
PARTICLE, NOISE_ONLY, SOMETHING_ELSE, OFF_CENTRE, ICE = range(len(KINDS))

_AWAY = (0.18, 0.35)
"""By how much an off-centre particle is moved, as a share of the box."""
_NEIGHBOURS_AT = (0.50, 0.65)
"""Where the centre of a neighbour lies: on a square about the centre of half this edge, as a share of the box."""
_SHORT_OF_CORNERS = 0.8
"""It is not nearer to a corner of that square than this, as little would be seen of it there."""


@dataclass(frozen=True)
class Surroundings:
    """Of N images."""

    kind: np.ndarray
    """(N,) int, index into `KINDS`."""
    away_ang: np.ndarray
    """(N, 2) by how much a particle lies off the centre, on top of its shift; 0 of other kinds."""
    neighbour: np.ndarray
    """(N,) int. The image whose particle is also seen here, in its view; −1 is none."""
    neighbour_ang: np.ndarray
    """(N, 2) where that particle lies, from the centre of the box."""
    slope: np.ndarray
    """(N, 2) by how much brightness rises over the box in x and in y, in standard deviations of the noise."""

    def gradients(self, rows: np.ndarray, box: int) -> np.ndarray:
        """(B, box, box) float32 ramps of brightness of the images `rows`, 0 at the centre."""
        across = ((np.arange(box) - (box - 1) / 2) / box).astype(np.float32)
        along_x, along_y = self.slope[rows].astype(np.float32).T
        return along_x[:, None, None] * across + along_y[:, None, None] * across[:, None]


def drawn_surroundings(acquisition: Acquisition, config: SimulationConfig, rng: np.random.Generator) -> Surroundings:
    """Draws every kind of thing in turn, whether it is asked for or not, so that one does not change the others.

    Both images of a tilt pair show the same junk; their neighbours and gradients are their own.
    """
    n, particles = len(acquisition), config.n_particles
    box_ang = config.box * config.pixel_size_ang
    kind = _kinds(config.junk_share, particles, rng)
    away_ang = rng.uniform(*_AWAY, (particles, 1)) * box_ang * _unit_vectors(particles, rng)
    away_ang[kind != OFF_CENTRE] = 0
    neighbour = (np.arange(n) + rng.integers(1, max(n, 2), n)) % n
    neighbour[rng.permutation(n)[round(config.neighbours_share * n) :]] = -1
    return Surroundings(
        kind=kind[acquisition.particle],
        away_ang=away_ang[acquisition.particle],
        neighbour=neighbour,
        neighbour_ang=box_ang * _on_squares(n, rng),
        # A slope of one over the box has the variance 1/12, and there are two.
        slope=config.gradient_sd * np.sqrt(6) * rng.standard_normal((n, 2)),
    )


def _kinds(share: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count,) kinds, those of junk alike often."""
    kind = np.full(count, PARTICLE)
    junk = rng.permutation(count)[: round(share * count)]
    kind[junk] = 1 + np.arange(len(junk)) % (len(KINDS) - 1)
    return kind


def _unit_vectors(count: int, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _on_squares(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 2) places on the edges of squares about the origin."""
    half_edge = rng.uniform(*_NEIGHBOURS_AT, count)
    along = rng.uniform(-_SHORT_OF_CORNERS, _SHORT_OF_CORNERS, count) * half_edge
    side = rng.integers(4, size=count)
    out = np.where(side % 2, half_edge, -half_edge)
    return np.where((side < 2)[:, None], np.stack([out, along], axis=1), np.stack([along, out], axis=1))
