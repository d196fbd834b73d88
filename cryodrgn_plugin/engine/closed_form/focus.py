"""The parts of the molecule that a run looks at: bases inside each are told apart from bases of whatever else moves.

Bases inside are confined to their region and those outside to the rest of the molecule. The amplitudes of all are
inferred together; those of other regions and those outside are integrated out wherever images are compared in one.
"""

from dataclasses import dataclass

import numpy as np

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..likelihood.linear_model import LinearModel
from ..reconstruction.mask_file import Region, regions_of, resampled

LEAST_VOXELS = 8.0
"""What a region must have in common with the molecule at the frequency limit."""


@dataclass(frozen=True)
class Focus:
    """`regions`, masks (D, D, D) in [0, 1] in the box of the images that nowhere add up to more than 1."""

    regions: tuple[Region, ...]

    @classmethod
    def chosen(cls, config: RunConfig, dataset: ParticleDataset) -> "Focus | None":
        """What `closed_form.focus` names, None where it is empty. Raises DataError for a bad mask or sphere."""
        text = config.closed_form.focus
        return cls.of(regions_of(text, dataset.box, dataset.pixel_size_ang)) if text else None

    @classmethod
    def of(cls, regions: list[Region]) -> "Focus":
        """Regions that share what they overlap in."""
        everywhere = np.maximum(np.sum([region.mask for region in regions], axis=0), 1)
        return cls(tuple(Region(each.name, each.text, each.mask / everywhere) for each in regions))

    def __len__(self) -> int:
        return len(self.regions)

    def parted(self, molecule: np.ndarray) -> list[np.ndarray]:
        """(D', D', D') each: a molecule's mask inside of every region, and last outside of all.

        Raises DataError for a region in which nothing of the molecule lies.
        """
        masks = [resampled(region.mask, len(molecule)) for region in self.regions]
        inside = [mask * molecule for mask in masks]
        for region, there in zip(self.regions, inside, strict=True):
            if there.sum() < LEAST_VOXELS:
                raise DataError(
                    f"closed_form.focus is {region.text}, where the particles' mean map has no density; choose a "
                    "region of the molecule, in the frame of the poses given."
                )
        return [*inside, (1 - np.sum(masks, axis=0)) * molecule]

    def only(self, models: list[LinearModel], number: int) -> list[LinearModel]:
        """Models whose volumes end at a region."""
        mask = resampled(self.regions[number].mask, models[0].sphere.box)
        return [LinearModel.of(each.backend, each.volumes() * each.backend.compute.tensor(mask)) for each in models]
