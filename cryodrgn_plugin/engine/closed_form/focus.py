"""The part of the molecule that a run looks at: bases inside it are told apart from bases of whatever else moves.

Bases inside are confined to the focus and those outside to the rest of the molecule. The amplitudes of both are
inferred together; those outside are integrated out wherever images are compared.
"""

from dataclasses import dataclass

import numpy as np

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..likelihood.linear_model import LinearModel
from ..reconstruction.mask_file import region_mask, resampled

LEAST_VOXELS = 8.0
"""What a focus must have in common with the molecule at the frequency limit."""


@dataclass(frozen=True)
class Focus:
    """`mask` (D, D, D) in [0, 1] in the box of the images, and what the user called it."""

    name: str
    mask: np.ndarray

    @classmethod
    def chosen(cls, config: RunConfig, dataset: ParticleDataset) -> "Focus | None":
        """What `closed_form.focus` names, None where it is empty. Raises DataError for a bad mask or sphere."""
        name = config.closed_form.focus
        return cls(name, region_mask(name, dataset.box, dataset.pixel_size_ang)) if name else None

    def regions(self, molecule: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D', D', D') each: a molecule's mask inside and outside of the focus.

        Raises DataError where nothing of the molecule lies inside.
        """
        focus = resampled(self.mask, len(molecule))
        inside = focus * molecule
        if inside.sum() < LEAST_VOXELS:
            raise DataError(
                f"closed_form.focus is {self.name}, where the particles' mean map has no density; choose a region of "
                "the molecule, in the frame of the poses given."
            )
        return inside, (1 - focus) * molecule

    def only(self, models: list[LinearModel]) -> list[LinearModel]:
        """Models whose volumes end at the focus."""
        mask = resampled(self.mask, models[0].sphere.box)
        return [LinearModel.of(each.backend, each.volumes() * each.backend.compute.tensor(mask)) for each in models]
