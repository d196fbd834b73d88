"""Particles with several images each refined as one: they turn as a whole, and so do all of their images.

Seen in its reference under A, a particle is seen in image v under T_v A, T being known from the stage
(`data.tilt_series`). Three small turns of the reference's view are its parameters, and T is kept.

What moves besides is a choice. `Ties` leaves each image two shifts of its own: frames of a tilt series are aligned to
each other, and partners of a pair are picked, to within some Å, and no move of the particle undoes what goes wrong
image by image. `TiesInSpace` moves the particle by three numbers: right where the stage's alignment is, and worth more
the weaker and the more the images are, since one that shows little moves by its own noise as far as the prior lets it.
A particle with one image is a series of one, whose numbers are those of `refine` itself.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..data.tilt_series import NONE, TiltSeries
from .refine import Bounds, Expansion, LocalModel, Poses, RefinedPoses, refine


@dataclass(frozen=True)
class Ties:
    """Which of I images belong to which of B particles; a particle's stand together, in the particles' order."""

    shown: Tensor
    """(B, V) bool. Whether the particle has an image in that place."""
    tilts: Tensor
    """(B, V, 3, 3) T, float64."""
    dimensions: ClassVar[int] = 2
    """Numbers that a shift has."""

    @classmethod
    def of(cls, series: TiltSeries, images: np.ndarray, device: torch.device | str = "cpu") -> "Ties":
        """Of the particles whose images (I,) these are: all of each, one particle's after the other's, in order."""
        particles = np.unique(series.particle[images])
        shown, tilts = series.images[particles] != NONE, series.tilts[series.kind[particles]]
        return cls(torch.as_tensor(shown, device=device), torch.as_tensor(tilts, dtype=torch.float64, device=device))

    @cached_property
    def owner(self) -> Tensor:
        """(I,) int64. Whose image each is."""
        return torch.nonzero(self.shown)[:, 0]

    @cached_property
    def seen_after(self) -> Tensor:
        """(I, 3, 3) T of each image."""
        return self.tilts[self.shown]

    @cached_property
    def reference(self) -> Tensor:
        """(B,) int64. The image of each particle that is tilted least."""
        still = torch.eye(3, dtype=self.tilts.dtype, device=self.tilts.device)
        tilted = (self.tilts - still).square().sum((2, 3)).where(self.shown, torch.inf).argmin(1)
        # Images are counted through, particle after particle, without the gaps.
        number = self.shown.flatten().cumsum(0).view(self.shown.shape) - 1
        return number.gather(1, tilted[:, None])[:, 0]

    def particles(self, rotations: Tensor, shifts_ang: Tensor) -> Poses:
        """A (B, 3, 3) and the shifts (B, 2 V) of particles whose images have these poses, (I, 3, 3) and (I, 2).

        What the reference image is turned by is believed.
        """
        back = self.seen_after[self.reference].mT
        return back @ rotations[self.reference], self._filled(shifts_ang).flatten(1)

    def images(self, rotations: Tensor, shifts_ang: Tensor) -> Poses:
        """Poses (I, 3, 3), (I, 2) of the images of particles with A (B, 3, 3) and shifts (B, 2 V)."""
        return self.seen_after @ rotations[self.owner], shifts_ang.view(*self.shown.shape, 2)[self.shown]

    def joined(self, of_images: Expansion) -> Expansion:
        """The particles' expansion from that of their images: a turn ω of the reference's view is T ω of an image's."""
        moved = torch.eye(5, dtype=self.tilts.dtype, device=self.tilts.device).repeat(len(self.owner), 1, 1)
        moved[:, :3, :3] = self.seen_after
        slope = self._filled((moved.mT @ of_images.gradient[:, :, None])[:, :, 0])
        bend = self._filled(moved.mT @ of_images.curvature @ moved)
        n, views = self.shown.shape
        curvature = bend.new_zeros(n, 3 + 2 * views, 3 + 2 * views)
        curvature[:, :3, :3] = bend[:, :, :3, :3].sum(1)
        for view in range(views):
            own = slice(3 + 2 * view, 5 + 2 * view)
            curvature[:, own, own] = bend[:, view, 3:, 3:]
            curvature[:, :3, own], curvature[:, own, :3] = bend[:, view, :3, 3:], bend[:, view, 3:, :3]
        gradient = torch.cat([slope[:, :, :3].sum(1), slope[:, :, 3:].flatten(1)], dim=1)
        return Expansion(self._filled(of_images.value).sum(1), gradient, curvature)

    def _filled(self, values: Tensor) -> Tensor:
        """(B, V, …) what the images have (I, …), 0 where there is none."""
        by_particle = values.new_zeros(*self.shown.shape, *values.shape[1:])
        by_particle[self.shown] = values
        return by_particle


@dataclass(frozen=True)
class TiesInSpace(Ties):
    """As `Ties`, but a particle moves in space by d (B, 3) along the axes of its reference's view, and its images by
    the first two numbers of T d.
    """

    first_ang: Tensor
    """(I, 2). Shifts of the images where d is 0."""
    dimensions: ClassVar[int] = 3

    def particles(self, rotations: Tensor, shifts_ang: Tensor) -> Poses:
        """See `Ties.particles`; d is what explains the moves of the images best."""
        # All moves of a particle's images are one matrix (2 V, 3) times d; where there is no image its rows are 0.
        projection = self._filled(self.seen_after[:, :2]).view(len(self.shown), -1, 3)
        moved = self._filled(shifts_ang - self.first_ang).view(len(projection), -1, 1)
        return super().particles(rotations, shifts_ang)[0], (torch.linalg.pinv(projection) @ moved)[:, :, 0]

    def images(self, rotations: Tensor, shifts_ang: Tensor) -> Poses:
        """See `Ties.images`; here the shifts are d."""
        moved = self.seen_after[:, :2] @ shifts_ang[self.owner][:, :, None]
        return self.seen_after @ rotations[self.owner], self.first_ang + moved[:, :, 0]

    def joined(self, of_images: Expansion) -> Expansion:
        """See `Ties.joined`."""
        moved = self.tilts.new_zeros(len(self.owner), 5, 6)
        moved[:, :3, :3], moved[:, 3:, 3:] = self.seen_after, self.seen_after[:, :2]
        parts = (
            of_images.value,
            (moved.mT @ of_images.gradient[:, :, None])[:, :, 0],
            moved.mT @ of_images.curvature @ moved,
        )
        return Expansion(*(self._filled(part).sum(1) for part in parts))


@dataclass(frozen=True)
class TiedExpansion:
    """The likelihoods of images as those of their particles; a `LocalModel`."""

    images: LocalModel
    ties: Ties

    def expand(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Expansion:
        """See `LocalModel.expand`."""
        return self.ties.joined(self.images.expand(*self.ties.images(rotations, shifts_ang), radius))


def refine_tied(
    model: LocalModel, ties: Ties, start: Poses, radii: list[float], steps: int, bounds: Bounds
) -> RefinedPoses:
    """As `refine`, particle by particle.

    Parameters
    ----------
    model, start, bounds : of the I images.

    Returns
    -------
    Poses of the images; score and gain are the mean over the images of a particle, so that they sum to the whole.
    """
    first = ties.particles(bounds.rotations, bounds.shifts_ang)
    within = replace(bounds, rotations=first[0], shifts_ang=first[1], dimensions=ties.dimensions)
    refined = refine(TiedExpansion(model, ties), *ties.particles(*start), radii, steps, within)
    count = ties.shown.sum(1)
    score, gain = refined.score / count, refined.gain / count
    return RefinedPoses(*ties.images(refined.rotations, refined.shifts_ang), score[ties.owner], gain[ties.owner])
