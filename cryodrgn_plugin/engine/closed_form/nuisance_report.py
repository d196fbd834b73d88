"""What was learned of contrast and poses, in the units that people use."""

import numpy as np

from ..data.dataset import ParticleDataset
from ..likelihood.nuisances import Nuisances
from ..slicing.place import on_host


def sizes(dataset: ParticleDataset, nuisances: Nuisances) -> dict[str, float]:
    """Standard deviations: of contrast around 1, of rotations about each axis in degrees, of shifts along x and y in
    pixels and Å."""
    found = {"contrast_sd": round(nuisances.contrast_sd, 4)}
    if len(nuisances.pose_sd):
        shift = float(nuisances.pose_sd[3]) * dataset.box
        found |= {
            "turn_sd_deg": round(float(np.degrees(float(nuisances.pose_sd[0]))), 3),
            "shift_sd_px": round(shift, 3),
            "shift_sd_ang": round(shift * dataset.pixel_size_ang, 3),
        }
    return found


def sentence(dataset: ParticleDataset, nuisances: Nuisances) -> str:
    """The same in words."""
    found = sizes(dataset, nuisances)
    contrast = f"contrast varies by {found['contrast_sd']:.0%}"
    if "turn_sd_deg" not in found:
        return f"C{contrast[1:]}."
    shift = f"{found['shift_sd_px']:.2g} px ({found['shift_sd_ang']:.2g} Å)"
    return f"Poses err by about {found['turn_sd_deg']:.2g}° about each axis and {shift}, {contrast}."


def learned_of_images(dataset: ParticleDataset, nuisances: Nuisances) -> dict[str, np.ndarray]:
    """Contrast (N,) and, where poses may err, how far they were moved, (N, 5): degrees about the view's axes, Å along x
    and y.
    """
    known = {"contrast": on_host(nuisances.contrast)}
    moved = on_host(nuisances.moved)
    if moved.shape[1]:
        boxes_ang = dataset.box * dataset.pixel_size_ang / dataset.frequency_ratio[:, None]
        known["pose_correction"] = np.concatenate([np.degrees(moved[:, :3]), moved[:, 3:] * boxes_ang], axis=1)
    return known
