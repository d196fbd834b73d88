"""The score of images whose extent differs from the reference's: poses are brought to their lattice on the way."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .inference import Likeliest, Score, SharedPoses


@dataclass(frozen=True)
class ScaledScore:
    """`score` of images at poses multiplied by `ratio`, reference extent over own extent (docs/conventions.md)."""

    score: Score
    ratio: float

    @property
    def n(self) -> int:
        return self.score.n

    @property
    def device(self) -> torch.device:
        return self.score.device

    def shared(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        return self.score.shared(rotations * self.ratio, shifts_ang * self.ratio, radius)

    def likeliest(self, poses: SharedPoses, radius: float, kept: int) -> Likeliest:
        return self.score.likeliest(poses.scaled(self.ratio), radius, kept)

    def own(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        return self.score.own(rotations * self.ratio, shifts_ang * self.ratio, radius)

    def headroom(self, radius: float, last_radius: float) -> Tensor:
        return self.score.headroom(radius, last_radius)
