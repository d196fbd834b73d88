"""What was learned of contrast and poses, in the units that people use."""

import numpy as np

from ..data.dataset import ParticleDataset
from ..likelihood.nuisance_sizes import DEFOCUS
from ..likelihood.nuisances import Nuisances
from ..likelihood.whitened import ANG_PER_MICROMETRE
from ..slicing.place import on_host

TOLD_DEG, TOLD_PX, TOLD_DEFOCUS_ANG = 0.5, 0.25, 100.0
"""Errors of poses and of the defocus from which those that were moved are worth a file of their own."""
SURELY = 1 / 3
"""Standard error of a variance, as a share of it, up to which it is surely above nothing."""


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
    if len(nuisances.pose_sd) > DEFOCUS:
        found["defocus_sd_ang"] = round(float(nuisances.pose_sd[DEFOCUS]) * ANG_PER_MICROMETRE, 1)
        if nuisances.doubt is not None:
            found["defocus_doubt"] = round(float(nuisances.doubt[DEFOCUS]), 3)
    return found


def sentence(dataset: ParticleDataset, nuisances: Nuisances) -> str:
    """The same in words."""
    found = sizes(dataset, nuisances)
    contrast = f"contrast varies by {found['contrast_sd']:.0%}"
    if "turn_sd_deg" not in found:
        return f"C{contrast[1:]}."
    shift = f"{found['shift_sd_px']:.2g} px ({found['shift_sd_ang']:.2g} Å)"
    defocus = f", the defocus by about {found['defocus_sd_ang']:.0f} Å" if surely_defocused(found) else ""
    return f"Poses err by about {found['turn_sd_deg']:.2g}° about each axis and {shift}{defocus}, {contrast}."


def learned_of_images(dataset: ParticleDataset, nuisances: Nuisances) -> dict[str, np.ndarray]:
    """Contrast (N,) and, where poses may err, how far they were moved, (N, 5): degrees about the view's axes, Å along x
    and y. Where the defocus may err, by how many Å it was moved, (N,).
    """
    known = {"contrast": on_host(nuisances.contrast)}
    moved = on_host(nuisances.moved)
    if moved.shape[1]:
        boxes_ang = dataset.box * dataset.pixel_size_ang / dataset.frequency_ratio[:, None]
        known["pose_correction"] = np.concatenate([np.degrees(moved[:, :3]), moved[:, 3:5] * boxes_ang], axis=1)
    if moved.shape[1] > DEFOCUS:
        known["defocus_correction"] = moved[:, DEFOCUS] * ANG_PER_MICROMETRE
    return known


def worth_telling(dataset: ParticleDataset, nuisances: Nuisances) -> bool:
    """Whether poses err by so much that others may want those that were moved."""
    found = sizes(dataset, nuisances)
    poses = found.get("turn_sd_deg", 0) > TOLD_DEG or found.get("shift_sd_px", 0) > TOLD_PX
    return poses or defocus_worth_telling(dataset, nuisances) is not None


def defocus_worth_telling(dataset: ParticleDataset, nuisances: Nuisances) -> np.ndarray | None:
    """(N,) by how many Å the defocus was moved, where it errs by so much that others may want it; else None."""
    found = sizes(dataset, nuisances)
    if not surely_defocused(found) or found["defocus_sd_ang"] < TOLD_DEFOCUS_ANG:
        return None
    return learned_of_images(dataset, nuisances)["defocus_correction"]


def surely_defocused(found: dict[str, float]) -> bool:
    """Whether an error of the defocus among `sizes` is surely above nothing."""
    return found.get("defocus_doubt", np.inf) < SURELY
