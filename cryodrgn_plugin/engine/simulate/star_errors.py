"""What a star file says wrongly about its images, as those of a real refinement do.

A pose is turned by a rotation vector e about the axes of its view, told = exp([e]×) A, a shift is moved by δ, and both
values of the defocus by the same length.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..geometry.rotations import tilt_about_x
from .acquisition import Acquisition
from .config import SimulationConfig


@dataclass(frozen=True)
class StarErrors:
    """What the star file says of N images, minus what is true."""

    rotation_deg: np.ndarray
    """(N, 3) rotation vectors about the axes (x, y, z) of the view."""
    shift_ang: np.ndarray
    """(N, 2) of the place of the particle."""
    defocus_ang: np.ndarray
    """(N,) of U and of V."""

    def told(self, acquisition: Acquisition) -> Acquisition:
        """The same images as the star file describes them."""
        ctf, rotations = acquisition.ctf, acquisition.rotations
        if self.rotation_deg.any():
            rotations = Rotation.from_rotvec(self.rotation_deg, degrees=True).as_matrix() @ rotations
        return replace(
            acquisition,
            rotations=rotations,
            shifts_ang=acquisition.shifts_ang + self.shift_ang,
            ctf=replace(
                ctf,
                defocus_u_ang=ctf.defocus_u_ang + self.defocus_ang,
                defocus_v_ang=ctf.defocus_v_ang + self.defocus_ang,
            ),
        )


def drawn_errors(
    acquisition: Acquisition, unseen_ang: np.ndarray, config: SimulationConfig, rng: np.random.Generator
) -> StarErrors:
    """Normal errors of the spreads that the settings state; partners of a tilt pair are wrong about their particle.

    `unseen_ang` (N, 2) are the parts of true shifts that the star file does not know of.
    """
    particles = config.n_particles
    turns, moves = rng.standard_normal((particles, 3)), rng.standard_normal((particles, 2))
    defocus = rng.standard_normal(len(acquisition))
    stage = np.stack([tilt_about_x(angle) for angle in (0.0, config.tilt_deg)])[(acquisition.tilt_deg != 0).astype(int)]
    of_particle = turns[acquisition.particle]
    return StarErrors(
        rotation_deg=config.pose_error_deg * np.einsum("nij,nj->ni", stage, of_particle),
        shift_ang=config.shift_error_px * config.pixel_size_ang * moves[acquisition.particle] - unseen_ang,
        defocus_ang=config.defocus_error_ang * defocus,
    )
