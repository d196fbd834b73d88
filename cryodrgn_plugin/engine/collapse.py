"""Whether a latent space has collapsed: all particles at one point, for nothing that sets them apart was found.

Where a particle lies is known as its posterior: a mean, which differs between particles, and a standard deviation,
which says how far the images leave it open. The share of the two variances that is in the means is the reliability of
the latent space; near 0 every particle is where every other one is.
"""

import numpy as np

from .config import RunConfig
from .run import Latents

LEAST_RELIABLE = 0.1
STILL = 1e-6
"""Standard deviation of z, where its uncertainty is not known, below which it is one point."""
FEW = 1000
"""Particles; with fewer, more of them are the first thing to try."""


def reliability(latents: Latents) -> float:
    """Share of the variance of z, in its best dimension, or of the coordinate, that the images tell: from 0 to 1.

    Where the uncertainty is not known it is 1 unless all particles lie at one point.
    """
    along = latents.z if latents.coordinate is None else latents.coordinate[:, None]
    if not along.shape[1]:
        return 1.0
    told = float(along.var(axis=0, dtype=np.float64).max())
    if latents.uncertainty is None:
        return float(told > STILL**2)
    left_open = float(np.square(latents.uncertainty, dtype=np.float64).mean())
    return told / (told + left_open) if told > STILL**2 else 0.0


def has_collapsed(latents: Latents) -> bool:
    """Whether a latent space says nothing of its particles; one without dimensions has not collapsed."""
    return latents.z.shape[1] > 0 and reliability(latents) < LEAST_RELIABLE


def advice(latents: Latents, config: RunConfig) -> str:
    """That the latent space has collapsed, and what to try, in words; empty where it has not."""
    if not has_collapsed(latents):
        return ""
    n = len(latents.z)
    tries = ["poses that are nearer to the truth (refine-poses)", "fewer pixels (data.box)"]
    if n < FEW:
        tries.insert(0, "more particles")
    if config.recipe == "fast":
        tries.append("more directions (closed_form.n_components)")
    else:
        tries.append("the recipe fast" if config.recipe in ("paper", "cryodrgn") else "more epochs or a smaller beta")
    return (
        f"The latent space has collapsed: all {n:,} particles lie at about one point (reliability "
        f"{reliability(latents):.2f}), so nothing was found that sets them apart. Try {', '.join(tries[:-1])} or "
        f"{tries[-1]}; if the molecule has one state, this is its map."
    )
