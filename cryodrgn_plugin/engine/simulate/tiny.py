"""Small data sets for tests, made in under a second without files: a chain of pseudo-atoms that opens at a hinge, and
a map of a few balls."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ..atoms.atomic_model import AtomicModel, bare_model
from .config import SimulationConfig
from .ensemble import Ensemble
from .simulation import simulate_particles

_RESIDUES = 120
_STEP_ANG = 3.8
_BALLS = (
    *((0, 0, 0, 0.14, 1.0), (0.35, 0, 0, 0.11, 1.0), (0, 0.45, 0, 0.09, 1.2), (0, 0.1, 0.3, 0.07, 1.6)),
    (-0.2, -0.2, -0.2, 0.08, 1.0),
)
"""x, y, z and width, in units of half the box, and height at the centre."""


def tiny_set(
    out_dir: str | Path,
    n: int = 200,
    box: int = 32,
    seed: int = 0,
    states: int = 10,
    config: SimulationConfig | None = None,
) -> Path:
    """A set of `n` images of `box` pixels with `states` states along a hinge motion through 90°; returns the star file.

    The chain fills about two thirds of the box, whatever the box. `config` replaces every other setting (default: SNR
    0.5, CTF, shifts of ± 2 px, pixel size 3.5 Å at box 32).
    """
    config = config or SimulationConfig(snr=0.5, shift_px=2.0, pixel_size_ang=3.5 * 32 / box)
    return simulate_particles(tiny_ensemble(states), replace(config, n_particles=n, box=box), out_dir, seed)


def lopsided_map(box: int) -> np.ndarray:
    """(D, D, D) float32. A ball with four different arms: no rotation or mirror brings it onto itself, at any shell."""
    z, y, x = (np.indices((box, box, box)) - box // 2) / (box / 2)
    volume = np.zeros((box, box, box))
    for a, b, c, width, mass in _BALLS:
        volume += mass * np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * width**2))
    return volume.astype(np.float32)


def tiny_ensemble(states: int = 10, range_rad: float = np.pi / 2) -> Ensemble:
    """States of the chain, its arm turned by evenly spaced angles; the coordinate is the angle in radians."""
    angles = np.linspace(0, range_rad, states) if states > 1 else np.zeros(1)
    return Ensemble([_chain(angle) for angle in angles], angles, np.ones(states))


def _chain(angle_rad: float) -> AtomicModel:
    """A helix with a thinner arm of a third of its length; it has no symmetry, so every pose is told apart."""
    s = np.arange(_RESIDUES)
    turn = 0.35 * s
    radius = np.where(s < 80, 14.0, 6.0)
    coords = np.stack([radius * np.cos(turn), radius * np.sin(turn), 0.16 * _STEP_ANG * (s - 60)], axis=1)
    coords[:25, 0] += 12.0
    arm = s >= 80
    hinge = np.array([0.0, 8.0, coords[80, 2]])
    turned = Rotation.from_rotvec([0.5 + angle_rad, 0, 0]).apply(coords[arm] - hinge) + hinge
    coords[arm] = turned
    return bare_model(coords, np.where(arm, 12.0, 7.0))
