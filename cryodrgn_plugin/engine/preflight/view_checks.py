"""Which views the particles are seen from, and what of Fourier space they leave empty."""

import numpy as np

from ..vetting.verdicts import OK, WARN, Verdict

DIRECTIONS = 2000
TOLERANCE_DEG = 4.0
NOTABLE_GAP = 0.02


def fibonacci_sphere(count: int) -> np.ndarray:
    """(count, 3) nearly even directions (Swinbank and Purser 2006)."""
    z = 1 - (2 * np.arange(count) + 1) / count
    azimuth = np.pi * (1 + 5**0.5) * np.arange(count)
    return np.stack([np.sqrt(1 - z**2) * np.cos(azimuth), np.sqrt(1 - z**2) * np.sin(azimuth), z], axis=1)


def unseen_share(rotations: np.ndarray) -> float:
    """Share of the directions of Fourier space that no image's slice comes within `TOLERANCE_DEG` of.

    Parameters
    ----------
    rotations : (n, 3, 3). Volume to view; a slice is normal to its last row.
    """
    normals = rotations[:, 2] / np.linalg.norm(rotations[:, 2], axis=1, keepdims=True)
    limit = np.sin(np.radians(TOLERANCE_DEG))
    nearest = np.array([np.abs(normals @ direction).min() for direction in fibonacci_sphere(DIRECTIONS)])
    return float((nearest > limit).mean())


def check_views(rotations: np.ndarray) -> Verdict:
    """Whether the views fill Fourier space."""
    gap = unseen_share(rotations)
    figures = {"unseen_share": round(gap, 4)}
    if gap > NOTABLE_GAP:
        sentence = (
            f"{gap:.0%} of the directions of Fourier space are in no image: views are missing, and maps will be drawn "
            "out along them."
        )
        return Verdict("views", WARN, sentence, figures)
    return Verdict("views", OK, "The views fill Fourier space.", figures)
