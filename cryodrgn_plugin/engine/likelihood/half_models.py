"""Maps of two half-sets made ready for images of the other half: no solvent, and one frame for both."""

import numpy as np

from ..reconstruction.masks import auto_threshold, lowpass, mask_from_map
from ..slicing.place import on_host
from .linear_model import LinearModel, soft_ball

JOINED_RADIUS = 6.0
"""Fourier shell up to which the halves share their map; what noise there is that low fits nothing to itself."""
MASK_LOWPASS_ANG, MASK_TRIALS, SHARED_INSIDE = 15.0, 4, 0.98
"""How the mask is looked for, and the share of what the halves have in common that it must hold."""


def without_solvent(models: list[LinearModel], pixel_size_ang: float) -> list[LinearModel]:
    """Half-set models confined to a soft mask around the density that they share; solvent is noise."""
    volumes = [model.volumes() for model in models]
    mask = shared_mask(on_host(volumes[0][0]), on_host(volumes[1][0]), pixel_size_ang)
    inside = models[0].backend.compute.tensor(mask)
    return [LinearModel.of(model.backend, volume * inside) for model, volume in zip(models, volumes, strict=True)]


def shared_mask(half1: np.ndarray, half2: np.ndarray, pixel_size_ang: float) -> np.ndarray:
    """(D, D, D). The tightest soft mask, by threshold, in which nearly all lies that two half-maps (D, D, D) share."""
    both, shared = (half1 + half2) / 2, half1 * half2
    level = auto_threshold(lowpass(both, pixel_size_ang, max(MASK_LOWPASS_ANG, 4 * pixel_size_ang)))
    for _ in range(MASK_TRIALS):
        mask = mask_from_map(both, pixel_size_ang, level, MASK_LOWPASS_ANG)
        if (shared * mask).sum() >= SHARED_INSIDE * shared.sum():
            return mask
        level /= 2
    return soft_ball(len(both))


def joined_below(models: list[LinearModel], radius: float) -> list[LinearModel]:
    """Half-set models with their average up to Fourier shell `radius`.

    Else each half would take over the frame of the other, round after round, and the two would never meet.
    """
    low = models[0].backend.shells <= radius
    average = sum(model.coefs[low] for model in models) / len(models)
    joined = [LinearModel(model.backend, model.coefs.clone()) for model in models]
    for model in joined:
        model.coefs[low] = average
    return joined
