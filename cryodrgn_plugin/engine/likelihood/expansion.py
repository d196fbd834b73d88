"""How the likelihood of images changes near their poses: by a kernel for voxel volumes, by slices for any decoder.

Images are whitened (`whitened`); their targets are moved back by shifts that the caller knows, and poses are counted in
full, so that refinement can go on where an earlier round ended.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from ..data.dataset import ParticleDataset
from ..decoders.decoder import Decoder
from ..imaging.lattice import HalfPlane
from ..poses.refine import Expansion
from ..slicing.local import N_PARAMETERS, expand_poses
from ..slicing.operator import kernel_geometry
from ..slicing.sphere import HalfSphere
from .linear_model import LinearModel
from .whitened import WhitenedBatch

TURN = 0.02
"""Radians by which a decoder's slices are turned to either side for their derivative."""


@dataclass(frozen=True, kw_only=True)
class LocalImages:
    """B whitened images near their poses."""

    targets: np.ndarray
    """(B, F) complex64, moved back by `moved_by_ang`."""
    weights: np.ndarray
    """(B, F) float32."""
    moved_by_ang: np.ndarray
    """(B, 2)."""
    lattice: HalfPlane
    extent_ang: float
    """Box times pixel size."""
    ratio: np.ndarray
    """(B,). Reference extent over the image's own (docs/conventions.md): rotations and shifts are multiplied by it."""

    @classmethod
    def of(cls, dataset: ParticleDataset, batch: WhitenedBatch, rows: np.ndarray) -> "LocalImages":
        """The images at these places of a batch of `dataset`, which has poses."""
        return cls(
            targets=batch.targets[rows],
            weights=batch.weights[rows],
            moved_by_ang=dataset.shifts_ang[batch.index[rows]].astype(np.float64),
            lattice=dataset.lattice,
            extent_ang=dataset.box * dataset.pixel_size_ang,
            ratio=dataset.frequency_ratio[batch.index[rows]],
        )

    def leading(self, radius: float) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights up to Fourier shell `radius`."""
        count = self.lattice.count(radius)
        return np.ascontiguousarray(self.targets[:, :count]), np.ascontiguousarray(self.weights[:, :count])

    def scaled(self, rotations: np.ndarray, shifts_ang: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Physical poses as kernels take them: rotations times the ratio, shifts left to undo in boxes, float32."""
        left = (shifts_ang * self.ratio[:, None] - self.moved_by_ang) / self.extent_ang
        turned = np.ascontiguousarray(rotations * self.ratio[:, None, None], dtype=np.float32)
        return turned, np.ascontiguousarray(left, dtype=np.float32)

    def per_ang(self) -> np.ndarray:
        """(B, 5). What turns derivatives by kernel parameters into those by radians and Å."""
        shift = self.ratio / self.extent_ang
        return np.stack([np.ones_like(shift)] * 3 + [shift] * 2, axis=1)


@dataclass(frozen=True)
class LinearExpansion:
    """Against voxel volumes mixed by known amplitudes; a `LocalModel`."""

    model: LinearModel
    images: LocalImages
    amplitudes: np.ndarray
    """(B, C), the mean's 1 first."""

    def expand(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> Expansion:
        """See `LocalModel.expand`; `radius` must not exceed the model's."""
        begins = np.zeros(len(rotations), np.int64)
        sets = self.model.coefs, begins, self.amplitudes, self.model.sphere
        return _expanded(*sets, self.images, rotations, shifts_ang, radius)


@dataclass(frozen=True)
class ChosenExpansion:
    """Against one of several voxel volumes each; a `LocalModel`."""

    sphere: HalfSphere
    coefs: np.ndarray
    """(S, M, 2). The volumes, ready for slicing."""
    chosen: np.ndarray
    """(B,) int. Which of them each image is compared with."""
    images: LocalImages

    def expand(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> Expansion:
        """See `LocalModel.expand`; `radius` must not exceed the volumes'."""
        begins = self.chosen.astype(np.int64) * self.coefs.shape[1]
        sets = self.coefs.reshape(-1, 2, 1), begins, np.ones((len(begins), 1)), self.sphere
        return _expanded(*sets, self.images, rotations, shifts_ang, radius)


@dataclass(frozen=True)
class DecoderExpansion:
    """Against any decoder, by central differences of its own slices; a `LocalModel`. Seven slices per image."""

    decoder: Decoder
    images: LocalImages
    z: torch.Tensor | None
    """(B, Z)."""
    turns: np.ndarray = field(default_factory=lambda: _turns_about_each_axis(TURN))

    @torch.no_grad()
    def expand(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> Expansion:
        """See `LocalModel.expand`."""
        targets, weights = self.images.leading(radius)
        turned, shifts = self.images.scaled(rotations, shifts_ang)
        indices = self.images.lattice.indices[: targets.shape[1]]
        candidates = torch.from_numpy((self.turns @ turned[:, None]).astype(np.float32))
        slices = self.decoder.slices(self.z, candidates, self.images.lattice, targets.shape[1]).numpy()
        model = slices[:, 0]
        moved = targets * np.exp(2j * np.pi * shifts @ indices.T)
        jacobian = np.empty((len(model), N_PARAMETERS, len(indices)), np.complex64)
        jacobian[:, :3] = (slices[:, 1::2] - slices[:, 2::2]) / (2 * TURN)
        jacobian[:, 3:] = -2j * np.pi * indices.T * model[:, None]
        value = ((model.conj() * moved).real - weights * np.abs(model) ** 2 / 2).sum(1)
        gradient = np.einsum("bif,bf->bi", jacobian.conj(), moved - weights * model).real
        curvature = np.einsum("bif,bf,bjf->bij", jacobian.conj(), weights, jacobian, optimize=True).real
        return _per_parameter(value, gradient, curvature, self.images.per_ang())


def _expanded(coefs, begins, amplitudes, sphere, images: LocalImages, rotations, shifts_ang, radius) -> Expansion:
    """Of images against sets of voxel volumes mixed by amplitudes (B, C); see `expand_poses`."""
    assert radius <= sphere.radius, f"the model ends at {sphere.radius}, before {radius}"
    targets, weights = images.leading(radius)
    turned, shifts = images.scaled(rotations, shifts_ang)
    n = len(targets)
    value, gradient, curvature = np.empty(n), np.empty((n, N_PARAMETERS)), np.empty((n, N_PARAMETERS, N_PARAMETERS))
    expand_poses(
        coefs,
        begins,
        np.ascontiguousarray(amplitudes, dtype=np.float32),
        targets,
        weights,
        turned,
        shifts,
        images.lattice.indices[: targets.shape[1]],
        *kernel_geometry(sphere),
        value,
        gradient,
        curvature,
    )
    return _per_parameter(value, gradient, curvature, images.per_ang())


def _turns_about_each_axis(angle: float) -> np.ndarray:
    """(7, 3, 3). No turn, then `angle` forth and back about x, y and z."""
    vectors = np.concatenate([[np.zeros(3)], *([axis * angle, -axis * angle] for axis in np.eye(3))])
    return Rotation.from_rotvec(vectors).as_matrix()


def _per_parameter(value: np.ndarray, gradient: np.ndarray, curvature: np.ndarray, units: np.ndarray) -> Expansion:
    return Expansion(value, gradient * units, curvature * units[:, :, None] * units[:, None, :])
