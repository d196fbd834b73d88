"""What a training step receives: the spectra of a few particles with their CTF and poses, never changed in place."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry.shifts import shift_phases

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pose:
    """Candidate poses of B particles: P = 1 for given poses, more in a search."""

    rotations: Any
    """(B, P, 3, 3) float32, volume to view."""
    shifts_ang: Any
    """(B, P, 2) float32, displacement (x, y) of the feature; +x moves right."""

    def torch(self, device: "str | torch.device" = "cpu") -> "Pose":
        """The same as tensors on `device`."""
        return Pose(_tensor(self.rotations, device), _tensor(self.shifts_ang, device))


@dataclass(frozen=True)
class ImageBatch:
    """B particles on the F coefficients of a half-plane lattice; numpy arrays, or tensors after `torch`."""

    index: Any
    """(B,) int64. Which particles of the dataset."""
    spectra: Any
    """(B, F) complex64. As observed: neither shifted back nor phase-flipped."""
    ctf: Any
    """(B, F) float32. 0 where a particle has no information at that frequency. For devices that make it themselves
    (B, 8), see `ctf_numbers`."""
    pose: Pose | None
    """Given poses (P = 1), or None."""
    group: Any
    """(B,) int64. Optics group, counted from 0."""
    freqs_per_ang: Any = None
    """(F, 2) float32. Spatial frequency (x, y) of each coefficient, in the frame of the poses."""

    def __len__(self) -> int:
        return len(self.index)

    def part(self, rows: slice) -> "ImageBatch":
        """Some of the particles, in their order."""
        own = {name: getattr(self, name)[rows] for name in ("index", "spectra", "ctf", "group")}
        pose = None if self.pose is None else Pose(self.pose.rotations[rows], self.pose.shifts_ang[rows])
        return replace(self, pose=pose, **own)

    def torch(self, device: "str | torch.device" = "cpu") -> "ImageBatch":
        """The same as tensors on `device`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        pose = values.pop("pose")
        moved = {name: None if value is None else _tensor(value, device) for name, value in values.items()}
        return replace(self, pose=None if pose is None else pose.torch(device), **moved)


def centred(batch: ImageBatch) -> np.ndarray:
    """(B, F) complex64. Spectra of a numpy batch moved back by their (single) given shift; unchanged without poses."""
    if batch.pose is None:
        return batch.spectra
    return batch.spectra * shift_phases(-batch.pose.shifts_ang[:, 0], batch.freqs_per_ang)


def numbers_of(index: np.ndarray) -> np.ndarray:
    """(B,) int64 of particles given by numbers or by a mask."""
    index = np.asarray(index)
    return np.flatnonzero(index) if index.dtype == bool else np.atleast_1d(index).astype(np.int64)


def _tensor(array: np.ndarray, device: "str | torch.device") -> "torch.Tensor":
    import torch

    return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)
