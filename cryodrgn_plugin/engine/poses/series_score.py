"""Tilt series: one pose explains all images of a particle, each after its known tilt."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .inference import Likeliest, Score, SharedPoses
from .refine import Expansion, LocalModel


@dataclass(frozen=True)
class TiltSeriesScore:
    """The sum of V scores of the same B particles, image v at rotation T_v A and shift C_v s (thesis 3.7.2 for V = 2).

    A and s are the rotation and the shift in the particle's reference image.
    """

    scores: Sequence[Score]
    """V of them."""
    tilts: Tensor
    """(V, 3, 3) T."""
    carries: Tensor
    """(V, 2, 2) C."""

    @property
    def n(self) -> int:
        return self.scores[0].n

    @property
    def device(self) -> torch.device:
        return self.scores[0].device

    def shared(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        return _sum(score.shared(*self._view(v, rotations, shifts_ang), radius) for v, score in enumerate(self.scores))

    def likeliest(self, poses: SharedPoses, radius: float, kept: int) -> Likeliest:
        return Likeliest.of(self.shared(poses.rotations, poses.shifts_ang, radius), kept)

    def own(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        return _sum(score.own(*self._view(v, rotations, shifts_ang), radius) for v, score in enumerate(self.scores))

    def headroom(self, radius: float, last_radius: float) -> Tensor:
        return _sum(score.headroom(radius, last_radius) for score in self.scores)

    def _view(self, view: int, rotations: Tensor, shifts_ang: Tensor) -> tuple[Tensor, Tensor]:
        """Poses of the reference image as those of image `view`."""
        return tilted(rotations, shifts_ang, self.tilts[view], self.carries[view])


@dataclass(frozen=True)
class TiltSeriesExpansion:
    """The likelihoods of V images near one pose, as a likelihood of that pose; a `LocalModel`.

    A small turn ω of the reference view is a turn T ω of image v, and a small shift s is C s.
    """

    models: Sequence[LocalModel]
    """V of them."""
    tilts: Tensor
    """(V, 3, 3) T."""
    carries: Tensor
    """(V, 2, 2) C."""

    def expand(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Expansion:
        """See `LocalModel.expand`."""
        parts = []
        for model, tilt, carry in zip(self.models, self.tilts, self.carries, strict=True):
            of_image = model.expand(*tilted(rotations, shifts_ang, tilt, carry), radius)
            moved = torch.block_diag(tilt, carry)
            parts.append((of_image.value, of_image.gradient @ moved, moved.T @ of_image.curvature @ moved))
        return Expansion(*(_sum(part) for part in zip(*parts, strict=True)))


def tilted(rotations: Tensor, shifts_ang: Tensor, tilt: Tensor, carry: Tensor) -> tuple[Tensor, Tensor]:
    """Poses of a reference image, (…, 3, 3) and (…, 2), as those of an image after `tilt` (3, 3)."""
    return tilt.to(rotations) @ rotations, shifts_ang @ carry.to(shifts_ang).T


def _sum(parts) -> Tensor:
    parts = iter(parts)
    return sum(parts, next(parts))
