"""Which views the particles are seen from, and what of Fourier space they leave empty."""

import numpy as np

from ..reconstruction.view_gaps import NOTABLE, view_gaps
from .verdicts import OK, WARN, Verdict


def check_views(rotations: np.ndarray) -> Verdict:
    """Whether the views (n, 3, 3), volume to view, fill Fourier space."""
    gap = view_gaps(rotations).unseen
    figures = {"unseen_share": round(gap, 4)}
    if gap > NOTABLE:
        sentence = (
            f"{gap:.0%} of the directions of Fourier space are in no image: views are missing, and maps will be drawn "
            "out along them."
        )
        return Verdict("views", WARN, sentence, figures)
    return Verdict("views", OK, "The views fill Fourier space.", figures)
