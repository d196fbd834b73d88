"""How the likelihood of images changes near their poses: by a kernel for voxel volumes, by slices for any decoder.

Images are whitened (`whitened`); their targets are moved back by shifts that the caller knows, and poses are counted in
full, so that refinement can go on where an earlier round ended.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..decoders.decoder import Decoder
from ..geometry.continuous import turns
from ..imaging.lattice import HalfPlane
from ..poses.refine import Expansion
from ..slicing.backend import N_PARAMETERS, Backend
from ..slicing.device_tables import table
from .linear_model import LinearModel
from .waves import phases, product
from .whitened import WhitenedBatch

TURN = 0.02
"""Radians by which a decoder's slices are turned to either side for their derivative."""


@dataclass(frozen=True, kw_only=True)
class LocalImages:
    """B whitened images near their poses, on one device."""

    targets: Tensor
    """(B, F) complex, moved back by `moved_by_ang`."""
    weights: Tensor
    """(B, F)."""
    moved_by_ang: Tensor
    """(B, 2) float64."""
    lattice: HalfPlane
    extent_ang: float
    """Box times pixel size."""
    ratio: Tensor
    """(B,) float64. Reference extent over the image's own (docs/conventions.md): rotations and shifts are multiplied by
    it."""

    @classmethod
    def of(cls, dataset: ParticleDataset, batch: WhitenedBatch) -> "LocalImages":
        """A batch of `dataset`: moved back by the poses it has, or not moved where it has none."""
        device, index = batch.targets.device, batch.index
        moved_by = dataset.shifts_ang[index] if dataset.is_posed else np.zeros((len(index), 2))
        return cls(
            targets=batch.targets,
            weights=batch.weights,
            moved_by_ang=torch.as_tensor(moved_by, dtype=torch.float64, device=device),
            lattice=dataset.lattice,
            extent_ang=dataset.box * dataset.pixel_size_ang,
            ratio=torch.as_tensor(dataset.frequency_ratio[index], dtype=torch.float64, device=device),
        )

    def leading(self, radius: float) -> tuple[Tensor, Tensor]:
        """Targets and weights up to Fourier shell `radius`."""
        count = self.lattice.count(radius)
        return self.targets[:, :count].contiguous(), self.weights[:, :count].contiguous()

    def scaled(self, rotations: Tensor, shifts_ang: Tensor) -> tuple[Tensor, Tensor]:
        """Physical poses as slices are taken: rotations times the ratio, shifts left to undo in boxes."""
        left = (shifts_ang * self.ratio[:, None] - self.moved_by_ang) / self.extent_ang
        kind = self.weights.dtype
        return (rotations * self.ratio[:, None, None]).to(kind), left.to(kind)

    def per_ang(self) -> Tensor:
        """(B, 5). What turns derivatives by the parameters of `Backend.expand` into those by radians and Å."""
        shift = self.ratio / self.extent_ang
        return torch.stack([torch.ones_like(shift)] * 3 + [shift] * 2, dim=1)


@dataclass(frozen=True)
class LinearExpansion:
    """Against voxel volumes mixed by known amplitudes; a `LocalModel`."""

    model: LinearModel
    images: LocalImages
    amplitudes: Tensor
    """(B, C), the mean's 1 first."""

    def expand(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Expansion:
        """See `LocalModel.expand`; `radius` must not exceed the model's."""
        sets = torch.zeros(len(rotations), dtype=torch.int64, device=rotations.device)
        backend, coefs = self.model.backend, self.model.coefs
        amplitudes = self.amplitudes.to(self.images.weights.dtype)
        return _expanded(backend, coefs, sets, amplitudes, self.images, rotations, shifts_ang, radius)


@dataclass(frozen=True)
class ChosenExpansion:
    """Against one of several voxel volumes each; a `LocalModel`."""

    backend: Backend
    coefs: Tensor
    """(S, M, 2). The volumes, ready for slicing."""
    chosen: Tensor
    """(B,) int64. Which of them each image is compared with."""
    images: LocalImages

    def expand(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Expansion:
        """See `LocalModel.expand`; `radius` must not exceed the volumes'."""
        whole = self.images.weights.new_ones(len(self.chosen), 1)
        # The sets one after the other, of one volume each, as `Backend.expand` takes them.
        coefs = self.coefs.view(-1, 2, 1)
        return _expanded(self.backend, coefs, self.chosen, whole, self.images, rotations, shifts_ang, radius)


@dataclass(frozen=True)
class DecoderExpansion:
    """Against any decoder, by central differences of its own slices; a `LocalModel`. Seven slices per image."""

    decoder: Decoder
    images: LocalImages
    z: Tensor | None
    """(B, Z)."""
    turned: Tensor = field(default_factory=lambda: _turned_about_each_axis(TURN))

    @torch.no_grad()
    def expand(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Expansion:
        """See `LocalModel.expand`."""
        targets, weights = self.images.leading(radius)
        scaled, shifts = self.images.scaled(rotations, shifts_ang)
        count, lattice = targets.shape[1], self.images.lattice
        candidates = self.turned.to(scaled) @ scaled[:, None]
        slices = self.decoder.slices(self.z, candidates, lattice, count)
        model = slices[:, 0]
        moved = product(targets, phases(shifts, lattice, count, targets.dtype))
        indices = table(lattice, "indices", shifts.device, shifts.dtype)[:count]
        jacobian = model.new_empty(len(model), N_PARAMETERS, count)
        jacobian[:, :3] = (slices[:, 1::2] - slices[:, 2::2]) / (2 * TURN)
        jacobian[:, 3:] = -2j * torch.pi * indices.T * model[:, None]
        u, y, slopes = (torch.view_as_real(part) for part in (model, moved, jacobian))
        value = (u * y - weights[:, :, None] * u**2 / 2).sum((1, 2))
        # Sums written out: the last bit of matrix products would depend on the batch.
        gradient = (slopes * (y - weights[:, :, None] * u)[:, None]).sum((2, 3))
        weighted = slopes * weights[:, None, :, None]
        curvature = torch.stack([(slopes * row[:, None]).sum((2, 3)) for row in weighted.unbind(1)], dim=1)
        return _per_parameter(value.double(), gradient.double(), curvature.double(), self.images.per_ang())


def _expanded(
    backend: Backend, coefs, sets, amplitudes, images: LocalImages, rotations: Tensor, shifts_ang: Tensor, radius: float
) -> Expansion:
    """Of images against sets of voxel volumes mixed by amplitudes (B, C); see `Backend.expand`."""
    assert radius <= backend.sphere.radius, f"the model ends at {backend.sphere.radius}, before {radius}"
    targets, weights = images.leading(radius)
    scaled, shifts = images.scaled(rotations, shifts_ang)
    value, gradient, curvature = backend.expand(coefs, sets, amplitudes, targets, weights, scaled, shifts)
    return _per_parameter(value, gradient, curvature, images.per_ang())


def _turned_about_each_axis(angle: float) -> Tensor:
    """(7, 3, 3). No turn, then `angle` forth and back about x, y and z."""
    axes = angle * torch.eye(3, dtype=torch.float64)
    return turns(torch.cat([torch.zeros(1, 3, dtype=torch.float64), torch.stack([axes, -axes], 1).flatten(0, 1)]))


def _per_parameter(value: Tensor, gradient: Tensor, curvature: Tensor, units: Tensor) -> Expansion:
    return Expansion(value, gradient * units, curvature * units[:, :, None] * units[:, None, :])
