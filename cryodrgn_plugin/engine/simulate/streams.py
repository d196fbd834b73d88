"""One random generator for each kind of thing that is drawn, all from one seed.

Switching on one thing that makes a set harder leaves all others as they were: with the same seed, wrong poses come with
the same states, CTF and noise as right ones.
"""

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Streams:
    """New ones go to the end: what comes from the others stays the same."""

    layout: np.random.Generator
    """States, even views, shifts, contrast, CTF, places in micrographs."""
    noise: np.random.Generator
    views: np.random.Generator
    """Uneven views."""
    errors: np.random.Generator
    """What the star file says wrongly."""
    surroundings: np.random.Generator
    """Junk, neighbours and gradients."""

    @classmethod
    def of(cls, seed: int) -> "Streams":
        children = np.random.SeedSequence(seed).spawn(len(fields(cls)))
        return cls(*(np.random.default_rng(child) for child in children))
