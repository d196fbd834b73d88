"""Regions that were drawn in the explorer, as a mask among the objects of a Scipion project."""

import time
from pathlib import Path

import numpy as np
from pwem.protocols import ProtImportMask
from pyworkflow.project import Project

from ..engine.files import write_map
from ..engine.selection.drawn_region import mask_of_regions

FOLDER = "Masks"
"""Of the project; drawings stay there."""


def keep_mask(project: Project, regions: list[np.ndarray], pixel_size_ang: float) -> str:
    """Write the mask of regions (D, D, D) bool and import it into the project; returns where it is, as a sentence.

    Raises DataError for an empty region.
    """
    mask = mask_of_regions(regions)
    file = Path(project.path) / FOLDER / f"region_{time.strftime('%Y%m%d_%H%M%S')}.mrc"
    file.parent.mkdir(exist_ok=True)
    write_map(file, mask, pixel_size_ang)
    protocol = project.newProtocol(
        ProtImportMask,
        maskPath=str(file.relative_to(project.path)),
        samplingRate=pixel_size_ang,
        objLabel=f"drawn region, {file.stem[-6:]}",
    )
    project.launchProtocol(protocol, wait=True)
    return f"Kept as {file.name}, and as the output of {protocol.getRunName()}."
