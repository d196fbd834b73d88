"""Where the number of species is open: images start as pools, the species of each of which have equal shares of them.

By a single map a mixture of molecules of one mass finds none of them, start after start. Of several maps that have to
share its images each is led by another molecule, and some of these are placed. At first pools are groups of images
alike in power. Later all images of the species that are still hard to place are one pool: these are taken for mixtures,
of fewer molecules each time. The old maps stay beside the new ones while all images are sorted, and what nobody would
miss is dissolved.
"""

import numpy as np

from .placement import Placement
from .rounds import PoseRounds
from .search_checkpoint import Progress

IMAGES = 300
"""There is one species for so many images of a pool."""
FEWEST, FEWEST_FIRST = 2, 4
"""Species of a pool, however few its images are; of a group of images alike in power more, for few are made later."""
LEAST_GROUP = 30
"""Images of a group."""


def begin_in_pools(
    progress: Progress, engine: PoseRounds, n_groups: int, aside: np.ndarray, most: int, rng: np.random.Generator
) -> int:
    """Deal images out among the species that they start as: all of them in up to so many groups alike in power, but
    those set `aside`, or those of all species that are hard to place together. There are up to `most` species with
    those that stay. Changes `progress` and where the `engine` has images placed; the number of new species."""
    first = progress.whole is None
    if first:
        progress.grouped, others = 1, 0
        pool = engine.sorted_by_power(n_groups, LEAST_GROUP, rng).argmin(1)
        pool[aside] = -1
    else:
        others = progress.whole.n_species - len(progress.hard)
        pool = np.where(engine.placement.species < 0, -1, 0)
    fewest = FEWEST_FIRST if first else FEWEST
    engine.placement = dealt_out(engine.placement, pool, fewest, most - others, rng)
    return engine.placement.lag.shape[1]


def dealt_out(placed: Placement, pool: np.ndarray, fewest: int, most: int, rng: np.random.Generator) -> Placement:
    """The images of each pool, by number in `pool` (N,), −1 in none, dealt out among a species for every `IMAGES`, and
    among `fewest` at least; if all these are more than `most`, among fewer in proportion."""
    wanted = np.maximum(np.bincount(pool[pool >= 0], minlength=1) // IMAGES, fewest)
    fair = np.maximum(wanted * most // wanted.sum(), fewest)
    return placed.pooled(rng, pool, np.minimum(wanted, fair))
