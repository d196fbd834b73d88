"""Whether a particle file has the poses that a training with given poses needs."""

import numpy as np

from ..errors import DataError
from ..io.particles import EULER, ParticleTable

FEWEST_APART = 10
"""Particles of which no alignment gives all the same angles."""


def require_poses(table: ParticleTable, rows: np.ndarray) -> None:
    """Raise DataError unless the particles at `rows` (N,) all have angles and, if there are any, origins."""
    angles, origins, path = table.euler_deg, table.origins_ang, table.path
    if angles is None:
        raise DataError(
            f"{path}: the particles have no poses (columns {', '.join(EULER)}). Run a 3D refinement first, or find "
            "them with `cryodrgn-plugin abinitio`."
        )
    values = angles if origins is None else np.concatenate([angles, origins], axis=1)
    bad = ~np.isfinite(values[rows])
    if bad.any():
        particle, column = np.argwhere(bad)[0]
        name = (*EULER, "rlnOriginX", "rlnOriginY")[column]
        raise DataError(
            f"{path}: {int(bad.any(1).sum()):,} of {len(rows):,} particles have no pose; the first is row "
            f"{rows[particle] + 1:,}, where {name} is not a number. Remove them, or run a 3D refinement first."
        )
    if len(rows) >= FEWEST_APART and (angles[rows] == angles[rows[0]]).all():
        rot, tilt, psi = angles[rows[0]]
        raise DataError(
            f"{path}: all {len(rows):,} particles have one orientation (rot {rot:g}, tilt {tilt:g}, psi {psi:g}), so "
            "they have not been aligned. Run a 3D refinement first, or find poses with `cryodrgn-plugin abinitio`."
        )
