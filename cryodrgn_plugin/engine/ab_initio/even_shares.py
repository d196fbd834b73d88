"""Species that begin anew together among the same images get as many of them each.

A random map that is a little likelier than the others explains most images, gets a little better by them, and soon has
them all: of eight molecules in one group a single species is left. Held to equal shares, each species has to find
images that suit it better than the others do, whatever it explains of all, and species become different.
"""

import numpy as np

from .placement import Placement

STEPS = 100


def even_offsets(placement: Placement, met: str, temperature: float) -> np.ndarray:
    """(S,) log-likelihoods with which, each being given to its species, all species of a family are likely for as many
    images of it; means are zero.

    Parameters
    ----------
    placement : with what each species lacked of the best one when it met an image last.
    met : species that images meet: those of a family, which share its images (`Placement.families`).
    temperature : log-likelihoods are multiplied by it before they become weights.

    Scaling of rows and columns in turn (Sinkhorn and Knopp, Pacific J. Math. 21, 1967).
    """
    offsets = np.zeros(placement.lag.shape[1])
    families, in_families = placement.families(met), placement.in_families(met)
    for family in np.unique(families):
        own = np.flatnonzero(families == family)
        log_weights = -temperature * placement.lag[in_families == family][:, own].astype(float)
        if len(log_weights):
            offsets[own] = _scaled(log_weights) / temperature
    return offsets


def _scaled(log_weights: np.ndarray) -> np.ndarray:
    """(K,) what to add to the columns of (n, K) so that their softmax over K has equal sums over n."""
    added = np.zeros(log_weights.shape[1])
    for _ in range(STEPS):
        shares = log_weights + added
        shares = np.exp(shares - shares.max(1, keepdims=True))
        mass = (shares / shares.sum(1, keepdims=True)).mean(0)
        added -= np.log(np.maximum(mass * len(added), 1e-30))
        added -= added.mean()
    return added
