"""Which species an image meets in a round, and how likely each is before it is seen."""

import numpy as np

from .even_shares import even_offsets
from .placement import Placement
from .steps import Round

HOPELESS = 30.0
"""Log-likelihood lacked from which an image does not meet a species again, save now and then."""
AGAIN = 0.1
"""Share of the images that meet a species nevertheless, in every round."""
NEAREST = 4
"""Species of a pool that an image meets once their maps are ripening, save now and then."""
LEAST_SHARE = 1e-6
"""Of the images; no species is believed to have fewer."""


def met(placement: Placement, index: np.ndarray, plan: Round, rng: np.random.Generator) -> np.ndarray:
    """(B, S) bool. Which species each of the images (B,) is compared with."""
    families = placement.families(plan.met)
    if families is not None:
        family = placement.in_families(plan.met)[index, None] == families
        return family & _nearest(placement.lag[index], family, rng) if plan.met == "pool" and plan.crossed else family
    likely = placement.lag[index] < HOPELESS
    return likely | (rng.random(likely.shape) < AGAIN) | (plan.met == "all")


def _nearest(lag: np.ndarray, family: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(B, S) bool. The few species of the family (B, S) that lacked least, and others now and then."""
    rank = np.where(family, lag, np.inf).argsort(1, kind="stable").argsort(1, kind="stable")
    return (rank < NEAREST) | (rng.random(lag.shape) < AGAIN)


def log_prior(placement: Placement, populations: np.ndarray, plan: Round) -> np.ndarray:
    """(S,) log-likelihood of each species before an image is seen: by its share of the images, or such that all get as
    many."""
    if not plan.even:
        return np.log(np.maximum(populations, LEAST_SHARE))
    return even_offsets(placement, plan.met, plan.temperature)
