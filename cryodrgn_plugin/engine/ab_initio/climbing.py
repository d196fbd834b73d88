"""A round that is repeated while maps still gain by it: what does not place its images yet may do so after some more.

A small molecule in noisy images leaves a rough map after the search for it, by which half of its images lie wrong. At a
middle frequency each round then puts a few more of them right, and the map explains all a little better, until it snaps
in. Maps that are right gain nothing, and one more round shows that.
"""

import numpy as np

GAIN, WITHIN = 0.01, 2
"""A species gains by it where its images are explained better by this share after so many rounds."""


def climbs_on(scores: np.ndarray, climbs: int, most: int) -> bool:
    """Whether to repeat it once more.

    Parameters
    ----------
    scores : (rounds, S), the species' mean scores in it and in its repetitions.
    climbs, most : how many repetitions there were, and how many there are at most.
    """
    if climbs >= most or len(scores) == 1:
        return climbs < most
    before = scores[-1 - min(WITHIN, len(scores) - 1)]
    return bool(np.any(scores[-1] > before + GAIN * np.abs(before)))


def with_round(scores: np.ndarray, of_species: np.ndarray) -> np.ndarray:
    """(rounds + 1, S). The scores with those of one more round; from the first again where species were dropped."""
    same = scores if scores.shape[1] == len(of_species) else np.empty((0, len(of_species)))
    return np.vstack([same, of_species])
