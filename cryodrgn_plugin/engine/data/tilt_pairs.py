"""Tilt pairs: two images of every particle, the second after the stage was tilted by a known angle about the x axis.

In the star file both images are rows; rlnTomoParticleName says whose image a row is and rlnTomoNominalStageTiltAngle at
which angle it was taken (Zhong's thesis, 3.7.2). A particle seen under A and shifted by s is seen under T A after
the tilt T, with the same s: the partner is to be cut out where the particle lies.
"""

import numpy as np

from ..errors import DataError
from ..geometry.rotations import tilt_about_x
from .dataset import ParticleDataset
from .tilt_series import TiltSeries

PARTICLE, TILT_ANGLE = "rlnTomoParticleName", "rlnTomoNominalStageTiltAngle"
_ANGLE_TOLERANCE_DEG = 0.05


def has_tilt_pairs(dataset: ParticleDataset) -> bool:
    """Whether the star file ties its rows in pairs."""
    return {PARTICLE, TILT_ANGLE} <= set(dataset.table.frame.columns)


def find_tilt_pairs(dataset: ParticleDataset) -> TiltSeries:
    """The pairs of a dataset whose star file has them; the image at the smaller tilt is first, and the reference.

    Raises
    ------
    DataError : no pairs, a particle that has not exactly two images, or tilts that differ between particles.
    """
    table = dataset.table
    if not has_tilt_pairs(dataset):
        raise DataError(
            f"{table.path}: it has no tilt pairs; two rows per particle, tied by {PARTICLE}, with {TILT_ANGLE} are "
            "needed."
        )
    names = table.column(PARTICLE).to_numpy()[dataset.rows]
    angles_deg = table.numbers(TILT_ANGLE)[dataset.rows]
    name, which, counts = np.unique(names, return_inverse=True, return_counts=True)
    if (counts != 2).any():
        bad = int(np.flatnonzero(counts != 2)[0])
        raise DataError(
            f"{table.path}: {int((counts != 2).sum()):,} particles have not two images, the first is {name[bad]} with "
            f"{counts[bad]}. Remove them, and use all particles (data.max_particles 0)."
        )
    # Row after row the two images of a particle, the less tilted one first; particles as they come in the file.
    pairs = np.lexsort((np.abs(angles_deg), which)).reshape(-1, 2)
    pairs = pairs[np.argsort(pairs.min(axis=1))]
    tilts_deg = angles_deg[pairs[:, 1]] - angles_deg[pairs[:, 0]]
    if np.ptp(tilts_deg) > _ANGLE_TOLERANCE_DEG or abs(tilts_deg[0]) < _ANGLE_TOLERANCE_DEG:
        raise DataError(
            f"{table.path}: from one image of a particle to the other the stage tilts by {tilts_deg.min():g} to "
            f"{tilts_deg.max():g}° ({TILT_ANGLE}); one known tilt for all particles is needed."
        )
    tilts = np.stack([np.eye(3), tilt_about_x(float(tilts_deg.mean()))])
    return TiltSeries(pairs, np.zeros(len(pairs), np.int64), tilts[None], np.eye(2)[None, None].repeat(2, axis=1))
