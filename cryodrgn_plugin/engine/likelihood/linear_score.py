"""How well candidate poses explain whitened images, against voxel volumes: a `Score` without a network.

For a slice u of the volume and an image moved back by its shift, with targets t and weights w of `whitened`,

    ℓ(A, s) = Re⟨u_A, t e^{2πi k·s}⟩ − ½ ⟨w, |u_A|²⟩

The CTF is folded into the images, so slices are shared by all of them and a search over common candidates is two matrix
products: (images × shifts, 2F) · (2F, rotations) for the first term and (images, F) · (F, rotations) for the second.
With amplitudes of a linear model the same products are made for every volume and every pair of volumes, and the
amplitudes, s ~ N(0, I), are integrated out in closed form.

Floor of the search over common candidates: 4 F T R operations per image and volume (T shifts, R rotations) at the
machine's rate of matrix products; 3/8 of these of one map on a processor (`slicing.turned_slices`).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..poses.inference import Likeliest, SharedPoses
from ..slicing.turned_slices import TurnedSlices
from .linear_model import LinearModel
from .waves import phases


class SliceBank:
    """Slices of a model at rotations that all images share; the last ones made are kept."""

    def __init__(self, model: LinearModel) -> None:
        self.model, self.lattice = model, model.backend.lattice
        self._rotations: Tensor | None = None
        self._back: tuple[Tensor, Tensor] | None = None
        self._turned: tuple[Tensor, TurnedSlices] | None = None
        self._count = 0

    @property
    def n_channels(self) -> int:
        return self.model.n_bases + 1

    @cached_property
    def mean(self) -> "SliceBank":
        """The bank of the mean volume alone."""
        return SliceBank(self.model.mean()) if self.model.n_bases else self

    def at(self, rotations: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Slices (C, 2F, R), imaginary parts after real ones, and products of pairs (C(C + 1)/2, F, R)."""
        if self._rotations is None or self._count != count or not torch.equal(self._rotations, rotations):
            slices = self.model.backend.project(self.model.coefs, rotations, count)
            parts = slices.permute(3, 2, 1, 0).contiguous()
            pairs = [(parts[i] * parts[j]).sum(0) for i in range(self.n_channels) for j in range(i + 1)]
            self._slices, self._products = parts.view(self.n_channels, 2 * count, -1), torch.stack(pairs)
            self._rotations, self._count = rotations, count
        return self._slices, self._products

    def turned(self, rotations: Tensor, count: int) -> TurnedSlices:
        """Slices of a single map at rotations (R, 3, 3) that are turned in their planes by quarters."""
        last = self._turned
        if not last or len(last[1].power) != count or not torch.equal(last[0], rotations):
            self._turned = rotations, TurnedSlices.of(self.model.backend, self.model.coefs, rotations, count)
        return self._turned[1]

    def back(self, moves: Tensor, count: int, kind: torch.dtype) -> Tensor:
        """(T, F) of the complex type `kind`: what moves images back by moves (T, 2) in boxes."""
        if self._back is None or self._back[1].shape[1] != count or not torch.equal(self._back[0], moves):
            self._back = moves, phases(moves, self.lattice, count, kind)
        return self._back[1]


@dataclass(frozen=True)
class LinearScore:
    """The score of B images against one model."""

    bank: SliceBank
    targets: Tensor
    """(B, F) complex, not moved."""
    weights: Tensor
    """(B, F)."""
    extent_ang: float
    """Box times pixel size."""

    @property
    def n(self) -> int:
        return len(self.targets)

    @property
    def device(self) -> torch.device:
        return self.targets.device

    def shared(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        """(B, R, T); see `Score.shared`."""
        count = self._count(radius)
        slices, products = self.bank.at(rotations, count)
        moved = self._moved_back(shifts_ang, count)
        # Copied: fresh tensors are aligned alike in every process, and so matrix products are alike to the last bit.
        weights = self.weights[:, :count].clone()
        gram = [torch.mm(weights, pair) for pair in products]
        if len(slices) == 1:
            inner = torch.mm(moved, slices[0]).view(self.n, len(shifts_ang), -1)
            return inner.sub_(gram[0][:, None] / 2).permute(0, 2, 1)
        inner = torch.stack([torch.mm(moved, channel).view(self.n, len(shifts_ang), -1) for channel in slices])
        # A row for every image at every rotation, as `evidence` takes them.
        rows = self.n * slices.shape[2]
        flat_gram = torch.stack(gram).permute(1, 2, 0).reshape(rows, -1).contiguous()
        flat_inner = inner.permute(1, 3, 0, 2).reshape(rows, len(slices), -1).contiguous()
        return self.bank.model.backend.evidence(flat_gram, flat_inner).view(self.n, -1, len(shifts_ang))

    def likeliest(self, poses: SharedPoses, radius: float, kept: int) -> Likeliest:
        """See `Score.likeliest`; of one map on a processor by the parts that quarter turns keep (`turned_slices`)."""
        if poses.turns is None or self.bank.n_channels > 1 or not self.bank.model.backend.shares_memory:
            return Likeliest.of(self.shared(poses.rotations, poses.shifts_ang, radius), kept)
        count = self._count(radius)
        bank = self.bank.turned(poses.rotations[poses.turns[:, 0]], count)
        back = self.bank.back(poses.shifts_ang.double() / self.extent_ang, count, self.targets.dtype)
        score, numbers, shifts = bank.likeliest(self.targets[:, :count], self.weights[:, :count], back, kept)
        turn, rotation = numbers // len(poses.turns), numbers % len(poses.turns)
        return Likeliest(poses.turns[rotation, turn], shifts, score)

    def own(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        """(B, P, T); see `Score.own`."""
        pattern = shifts_ang[0, 0] - shifts_ang[0, 0, 0]
        if not torch.allclose(shifts_ang - shifts_ang[:, :, :1], pattern, atol=1e-4 * self.extent_ang):
            # Shifts that are no common pattern are candidates of one shift each.
            shape = shifts_ang.shape[:3]
            turned = rotations.repeat_interleave(shape[2], dim=1)
            return self.own(turned, shifts_ang.reshape(shape[0], -1, 1, 2), radius).reshape(shape)
        gram, inner = self.compressed(rotations, shifts_ang[:, :, 0], pattern, radius)
        if inner.shape[2] == 1:
            return inner[:, :, 0] - gram / 2
        flat = self.bank.model.backend.evidence(gram.flatten(0, 1), inner.flatten(0, 1))
        return flat.unflatten(0, gram.shape[:2])

    def headroom(self, radius: float, last_radius: float) -> Tensor:
        """(B,); see `Score.headroom`."""
        band = slice(self.bank.lattice.count(radius), self.bank.lattice.count(last_radius))
        return perfect_fit(self.targets[:, band], self.weights[:, band])

    def compressed(
        self, rotations: Tensor, centres_ang: Tensor, pattern_ang: Tensor, radius: float
    ) -> tuple[Tensor, Tensor]:
        """The images at poses of their own as a linear model sees them (docs/conventions.md, eq. 7).

        Parameters
        ----------
        rotations, centres_ang : (B, P, 3, 3), (B, P, 2).
        pattern_ang : (T, 2). Added to every centre.

        Returns
        -------
        gram (B, P, C(C + 1)/2), lower triangles by rows, and inner (B, P, C, T).
        """
        model, count = self.bank.model, self._count(radius)
        centres, pattern = (shifts / self.extent_ang for shifts in (centres_ang, pattern_ang))
        targets, weights = self.targets[:, :count], self.weights[:, :count]
        return model.backend.match(model.coefs, targets, weights, rotations, centres, pattern)

    def _count(self, radius: float) -> int:
        """Leading coefficients inside `radius`, as far as the model is known."""
        return self.bank.lattice.count(min(radius, self.bank.model.sphere.radius))

    def _moved_back(self, shifts_ang: Tensor, count: int) -> Tensor:
        """(B T, 2F) real and imaginary parts of the targets moved back by each shift."""
        back = self.bank.back(shifts_ang.double() / self.extent_ang, count, self.targets.dtype)
        moved = self.targets[:, None, :count] * back
        return torch.cat([moved.real, moved.imag], 2).view(-1, 2 * count)


def perfect_fit(targets: Tensor, weights: Tensor) -> Tensor:
    """(B,) ½ Σ |t|²/w: the log-likelihood that (B, F) coefficients add where a volume explains them to the last."""
    return (targets.abs() ** 2 / weights.clamp(min=1e-30)).sum(1) / 2
