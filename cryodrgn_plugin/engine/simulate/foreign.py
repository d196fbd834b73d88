"""Images of what is no particle of the set: an unrelated molecule, and crystals of ice."""

import numpy as np

from ..atoms.atomic_model import bare_model
from .config import SimulationConfig
from .projectors import AtomProjector

_ATOMS = 300
_WIDTHS = (0.13, 0.09, 0.06)
"""Standard deviations of the atoms of something else along its axes, as shares of the box."""
_CRYSTAL_RADIUS = (0.1, 0.25)
_CRYSTAL_PLACE = 0.3
_CRYSTAL_BRIGHTNESS = (2.0, 4.0)
_LATTICE_ANG = 3.67
"""Spacing of the strongest ring of hexagonal and cubic ice."""
_FRINGES = 0.3
"""Amplitude of the lattice fringes as a share of a crystal's brightness."""
_EDGE = 0.02


def something_else(config: SimulationConfig, rng: np.random.Generator) -> AtomProjector:
    """An unrelated molecule, one for a set: a lopsided cloud of atoms about half as long as the box."""
    box_ang = config.box * config.pixel_size_ang
    coords_ang = rng.standard_normal((_ATOMS, 3)).clip(-2, 2) * np.array(_WIDTHS) * box_ang
    model = bare_model(coords_ang, rng.uniform(0.2, 1.8, _ATOMS))
    return AtomProjector(model, config.box, config.pixel_size_ang, config.model_resolution_ang, np.zeros(3))


def ice_crystals(count: int, config: SimulationConfig, rng: np.random.Generator) -> np.ndarray:
    """(count, box, box) float32 bright hexagons with lattice fringes where pixels reach them, in units of the noise."""
    box = config.box
    y, x = (np.indices((box, box)) - box // 2) / box
    images = np.empty((count, box, box), dtype=np.float32)
    for image in images:
        place, radius = rng.uniform(-_CRYSTAL_PLACE, _CRYSTAL_PLACE, 2), rng.uniform(*_CRYSTAL_RADIUS)
        turn, fringes_along = rng.uniform(0, 2 * np.pi, 2)
        sides = turn + np.arange(6) * np.pi / 3
        dx, dy = x - place[0], y - place[1]
        outside = np.max([dx * np.cos(side) + dy * np.sin(side) for side in sides], axis=0) - radius
        inside = np.clip(0.5 - outside / _EDGE, 0, 1)
        along_ang = (dx * np.cos(fringes_along) + dy * np.sin(fringes_along)) * box * config.pixel_size_ang
        seen = _FRINGES if _LATTICE_ANG > 2 * config.pixel_size_ang else 0.0
        fringes = 1 + seen * np.cos(2 * np.pi * along_ang / _LATTICE_ANG)
        image[:] = rng.uniform(*_CRYSTAL_BRIGHTNESS) * inside * fringes
    return images
