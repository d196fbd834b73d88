"""How many particles take part in the first iterations: few at first, twice as many each time, all once poses have been
moved for the second time.

What is common to a large set shows in a part of it, and directions that are still far off do not need all images to
come closer. Parts are nested, so what was learned of an image stays.
"""

import numpy as np

from ..data.tilt_series import TiltSeries

GROWTH = 2


def sizes(particles: int, few: int, iterations: int, all_from: int) -> list[int]:
    """Particles in each iteration, `few` at least, and all from iteration `all_from` on (counted from 1)."""
    shares = [GROWTH ** -max(all_from - n, 0) for n in range(1, iterations + 1)]
    return [min(particles, max(few, int(share * particles))) for share in shares]


def images_of(series: TiltSeries, particles: int, seed: int) -> np.ndarray:
    """(M,) all images of so many particles, rising; with the same seed, those of fewer are among those of more."""
    drawn = np.random.default_rng([seed, series.n]).permutation(series.n)[:particles]
    return np.sort(series.flat(drawn))
