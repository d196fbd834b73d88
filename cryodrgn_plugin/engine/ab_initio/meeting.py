"""Which species an image meets in a round, and how likely each is before it is seen."""

import numpy as np

from .even_shares import even_offsets
from .placement import Placement
from .steps import Round

HOPELESS = 30.0
"""Log-likelihood lacked from which an image does not meet a species again, save now and then."""
AGAIN = 0.1
"""Share of the images that meet such a species nevertheless, in every round."""
LEAST_SHARE = 1e-6
"""Of the images; no species is believed to have fewer."""


def met(placement: Placement, index: np.ndarray, plan: Round, rng: np.random.Generator) -> np.ndarray:
    """(B, S) bool. Which species each of the images (B,) is compared with."""
    families = placement.families(plan.met)
    if families is not None:
        return placement.in_families(plan.met)[index, None] == families
    likely = placement.lag[index] < HOPELESS
    return likely | (rng.random(likely.shape) < AGAIN) | (plan.met == "all")


def log_prior(placement: Placement, populations: np.ndarray, plan: Round) -> np.ndarray:
    """(S,) log-likelihood of each species before an image is seen: by its share of the images, or such that all get as
    many."""
    if not plan.even:
        return np.log(np.maximum(populations, LEAST_SHARE))
    return even_offsets(placement, plan.met, plan.temperature)
