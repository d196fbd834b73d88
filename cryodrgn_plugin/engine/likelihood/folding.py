"""CTF, shift, noise and multiplicity of images folded into targets and weights (`whitened`).

The CTF is made where images are folded, of a few numbers an image, where these tell it; else the values of every
coefficient come with the images, and to the plain member on the host they always do.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..data.batch import ImageBatch
from ..data.ctf_numbers import NumberedCtfs
from ..data.dataset import ParticleDataset
from ..slicing.compute import Compute
from ..slicing.device_tables import table
from ..slicing.image_formation import Observed, folded
from ..slicing.place import Place
from .waves import AT_ONCE, product, waves


class Folding:
    """How the images of a dataset become targets and weights on a device."""

    def __init__(self, dataset: ParticleDataset, precision: np.ndarray, compute: Compute) -> None:
        """`precision` (G, F) float32 is m / σ² of each optics group."""
        self._dataset, self._compute, self._multiplied = dataset, compute, dataset.ctf_multiplied
        self.source: ParticleDataset | NumberedCtfs = dataset
        """What gives the batches that are folded."""
        plain = compute.device.type == "cpu" and compute.member == "torch"
        if not plain and NumberedCtfs.tell(dataset):
            self.source = NumberedCtfs(dataset)
            reach = dataset.source.reach[: len(precision), None]
            precision = np.where(np.arange(precision.shape[1]) < reach, precision, 0)
        self._precision = compute.tensor(precision)

    def __call__(self, raw: ImageBatch, some: slice) -> tuple[Tensor, Tensor]:
        """Targets (B, F) and weights (B, F) of a batch of `source`, of some coefficients that follow each other."""
        on_device = raw.torch(self._compute.device)
        multiplied = torch.as_tensor(self._multiplied[raw.index], device=self._compute.device)
        spectra, precision = on_device.spectra[:, some], self._precision[:, some]
        if not isinstance(self.source, NumberedCtfs):
            return self._of_values(on_device, spectra, precision, multiplied, some)
        moves = torch.zeros(len(raw), 2, dtype=torch.float64, device=self._compute.device)
        if on_device.pose is not None:
            extent_ang = self._dataset.box * self._dataset.pixel_size_ang
            moves = on_device.pose.shifts_ang[:, 0].double() / extent_ang
        observed = Observed(spectra, on_device.ctf, moves, precision, on_device.group, multiplied)
        freqs = table(self._dataset.lattice, "indices", self._compute.device, torch.float32)[some]
        return kernel_of(self._compute)(observed, freqs, self._compute)

    def slopes(self, index: np.ndarray, some: slice) -> Tensor:
        """(B, F) by how much of itself the CTF of images `index` changes per ångström of defocus."""
        if isinstance(self.source, NumberedCtfs) and self._compute.member == "numba":
            from ..slicing.numba_folding import slopes

            freqs = table(self._dataset.lattice, "indices", self._compute.device, torch.float32)[some]
            values = slopes(self.source.numbers(index), self.source.slowness(index), freqs)
            return torch.where(self._precision[self._dataset.optics_group[index]][:, some] > 0, values, 0)
        return self._compute.tensor(self._dataset.defocus_slopes(index, some.stop)[:, some.start :])

    def _of_values(
        self, on_device: ImageBatch, spectra: Tensor, precision: Tensor, multiplied: Tensor, some: slice
    ) -> tuple[Tensor, Tensor]:
        """With the values of the CTF at hand."""
        options = {"device": self._compute.device}
        targets = torch.empty(spectra.shape, dtype=self._compute.complex_dtype, **options)
        weights = torch.empty(spectra.shape, dtype=self._compute.dtype, **options)
        for begin in range(0, len(targets), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            ctf, own = self._compute.tensor(on_device.ctf[part, some]), precision[on_device.group[part]]
            weighted = ctf * own
            # Images already multiplied by their CTF are targets as they are.
            factor = torch.where(multiplied[part, None], own, weighted)
            targets[part] = self._compute.tensor(spectra[part]) * factor
            weights[part] = weighted * ctf
            if on_device.pose is not None:
                poses = on_device.pose.shifts_ang[part, 0].double(), on_device.freqs_per_ang[some].double()
                targets[part] = product(targets[part], waves(*poses, targets.dtype))
        return targets, weights


def kernel_of(place: Compute) -> Callable[[Observed, Tensor, Place], tuple[Tensor, Tensor]]:
    """What folds images there: `folded`, or the kernel that equals it."""
    if place.member == "triton":
        from ..slicing.triton_kernels.image_folding import fold

        return lambda observed, freqs, place: fold(observed, freqs)
    if place.member == "numba":
        from ..slicing.numba_folding import fold

        return lambda observed, freqs, place: fold(observed, freqs)
    return folded
