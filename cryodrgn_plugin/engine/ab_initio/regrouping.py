"""Where the number of species is open: those that are hard to place are taken for mixtures, and the images of all of
them start anew together as several species with equal shares.

By a single map a mixture of molecules of one mass finds none of them, start after start. Of several maps that have to
share its images each is led by another molecule, and one of them or more are placed. The old maps stay beside the new
ones while all images are sorted, and what nobody would miss is dissolved.
"""

import numpy as np

from .rounds import PoseRounds

IMAGES = 300
"""There is one species for so many images."""
FEWEST = 2


def begin_together(engine: PoseRounds, most: int, rng: np.random.Generator) -> int:
    """Deal the images that are in a species out among up to `most` others; their number."""
    in_pool = int((engine.placement.species >= 0).sum())
    parts = int(np.clip(in_pool // IMAGES, FEWEST, max(most, FEWEST)))
    engine.placement = engine.placement.pooled(rng, parts)
    return parts
