"""What a pose strategy is: a batch of images and a score in, poses out.

A strategy never sees a decoder. It proposes candidate poses and is told how well each explains each image
(`Score`); whether voxels, a network or a mixture of volumes stand behind that is not its business.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..data.batch import Pose

CHUNK_VALUES = 2**24
"""Scores held at a time on the first grid of a search."""


@dataclass(frozen=True)
class SharedPoses:
    """Candidates of all images alike: every rotation with every shift."""

    rotations: Tensor
    """(R, 3, 3) float32, volume to view."""
    shifts_ang: Tensor
    """(T, 2). Where the feature is."""
    turns: Tensor | None = None
    """(R/4, 4) int64. Numbers of rotations, each with the same one turned in its plane by 90, 180 and 270 degrees; None
    where some have no such companions."""

    def scaled(self, ratio: float) -> "SharedPoses":
        """Poses multiplied by a ratio of extents (docs/conventions.md)."""
        return SharedPoses(self.rotations * ratio, self.shifts_ang * ratio, self.turns)


@dataclass(frozen=True)
class Likeliest:
    """The K likeliest rotations of shared poses for each image, each with its likeliest shift, best first: `numbers`,
    `shifts` (B, K) int64 count rotations and shifts, and `score` (B, K) is float32."""

    numbers: Tensor
    shifts: Tensor
    score: Tensor

    @classmethod
    def of(cls, scores: Tensor, kept: int) -> "Likeliest":
        """From all scores (B, R, T)."""
        over_shifts = scores.amax(2)
        value, numbers = over_shifts.topk(min(kept, over_shifts.shape[1]), dim=1)
        image = torch.arange(len(scores), device=scores.device)[:, None]
        return cls(numbers, scores[image, numbers].argmax(2), value)


class Score(Protocol):
    """Log-likelihoods of B images at candidate poses, each up to a constant of its image: higher is better."""

    @property
    def n(self) -> int:
        """B, the number of images."""

    @property
    def device(self) -> torch.device:
        """Where the images are, and so poses and likelihoods."""

    def shared(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        """All images at the same candidates, every rotation with every shift.

        Parameters
        ----------
        rotations : (R, 3, 3) float32, volume to view.
        shifts_ang : (T, 2). Where the feature is.
        radius : frequency limit in 1/(box · pixel).

        Returns
        -------
        (B, R, T) float32.
        """

    def likeliest(self, poses: SharedPoses, radius: float, kept: int) -> Likeliest:
        """The `kept` best rotations of each image: what `shared` has, without it where there is a quicker way."""

    def own(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        """Each image at candidates of its own: rotations (B, P, 3, 3), shifts_ang (B, P, T, 2) → (B, P, T) float32."""

    def headroom(self, radius: float, last_radius: float) -> Tensor:
        """(B,). The most that the frequencies from `radius` to `last_radius` can add to the score of any pose."""


@dataclass(frozen=True)
class Candidates:
    """P poses per image with their log-likelihoods, the best first."""

    rotations: Tensor
    """(B, P, 3, 3) float32, volume to view."""
    shifts_ang: Tensor
    """(B, P, 2) float32, displacement (x, y) of the feature."""
    score: Tensor
    """(B, P) float32. Comparable within an image."""
    names: Tensor | None = None
    """(B, P) int64, where a search has a grid: different for the poses of an image, and of each the same whatever else
    is proposed beside it."""

    @property
    def best(self) -> Pose:
        """The most likely pose of each image, P = 1."""
        return Pose(self.rotations[:, :1], self.shifts_ang[:, :1])

    def of(self, images: Tensor) -> "Candidates":
        """Those of some of the images."""
        return Candidates(self.rotations[images], self.shifts_ang[images], self.score[images])

    def leading(self, count: int) -> "Candidates":
        """The first `count` of each image."""
        return Candidates(self.rotations[:, :count], self.shifts_ang[:, :count], self.score[:, :count])

    def sorted(self) -> "Candidates":
        """The same, the best first."""
        order = self.score.argsort(dim=1, descending=True, stable=True)
        image = torch.arange(len(order), device=order.device)[:, None]
        return Candidates(self.rotations[image, order], self.shifts_ang[image, order], self.score[image, order])


class PoseInference(ABC):
    """Finds poses of images by a score."""

    @abstractmethod
    def infer(self, score: Score) -> Candidates:
        """The best poses found for the images behind `score`, best first; `Candidates.best` is the answer."""

    @abstractmethod
    def images_at_once(self) -> int:
        """How many images to put behind one score, so that the scores of the first grid fit in memory."""
