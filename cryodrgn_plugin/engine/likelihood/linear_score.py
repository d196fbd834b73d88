"""How well candidate poses explain whitened images, against voxel volumes: a `Score` without a network.

For a slice u of the volume and an image moved back by its shift, with targets t and weights w of `whitened`,

    ℓ(A, s) = Re⟨u_A, t e^{2πi k·s}⟩ − ½ ⟨w, |u_A|²⟩

The CTF is folded into the images, so slices are shared by all of them and a search over common candidates is two matrix
products: (images × shifts, 2F) · (2F, rotations) for the first term and (images, F) · (F, rotations) for the second.
With amplitudes of a linear model the same products are made for every volume and every pair of volumes, and the
amplitudes, s ~ N(0, I), are integrated out in closed form.

Floor of the search over common candidates: 4 F T R operations per image and volume (T shifts, R rotations) at the
machine's rate of matrix products.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..imaging.lattice import HalfPlane
from ..slicing import cpu
from ..slicing.matching import log_evidence, match_poses
from ..slicing.one_volume import match_one_volume
from ..slicing.operator import kernel_geometry
from .linear_model import LinearModel


class SliceBank:
    """Slices of a model at rotations that all images share; the last ones made are kept."""

    def __init__(self, model: LinearModel, lattice: HalfPlane) -> None:
        self.model, self.lattice = model, lattice
        self._rotations = np.empty((0, 3, 3), np.float32)
        self._count = 0

    @property
    def n_channels(self) -> int:
        return self.model.coefs.shape[2]

    @cached_property
    def mean(self) -> "SliceBank":
        """The bank of the mean volume alone."""
        if self.n_channels == 1:
            return self
        coefs = np.ascontiguousarray(self.model.coefs[:, :, :1])
        return SliceBank(LinearModel(self.model.sphere, coefs), self.lattice)

    def at(self, rotations: np.ndarray, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Slices (C, 2F, R), imaginary parts after real ones, and products of pairs (C(C + 1)/2, F, R)."""
        if self._count != count or not np.array_equal(self._rotations, rotations):
            slices = np.empty((len(rotations), count, 2, self.n_channels), np.float32)
            freqs = self.lattice.indices[:count].astype(np.float32)
            cpu.project_channels(self.model.coefs, rotations, freqs, *kernel_geometry(self.model.sphere), slices)
            parts = torch.tensor(slices).permute(3, 2, 1, 0).contiguous()
            pairs = [(parts[i] * parts[j]).sum(0) for i in range(self.n_channels) for j in range(i + 1)]
            self._slices, self._products = parts.view(self.n_channels, 2 * count, -1), torch.stack(pairs)
            self._rotations, self._count = rotations, count
        return self._slices, self._products


@dataclass(frozen=True)
class LinearScore:
    """The score of B images against one model."""

    bank: SliceBank
    targets: np.ndarray
    """(B, F) complex64, not moved."""
    weights: np.ndarray
    """(B, F) float32."""
    extent_ang: float
    """Box times pixel size."""

    @property
    def n(self) -> int:
        return len(self.targets)

    def shared(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> np.ndarray:
        """(B, R, T) float32; see `Score.shared`."""
        count = self._count(radius)
        slices, products = self.bank.at(rotations, count)
        moved = self._moved_back(shifts_ang, count)
        weights = torch.tensor(self.weights[:, :count])
        gram = [torch.mm(weights, pair) for pair in products]
        if len(slices) == 1:
            inner = torch.mm(moved, slices[0]).view(self.n, len(shifts_ang), -1)
            return inner.sub_(gram[0][:, None] / 2).permute(0, 2, 1).numpy()
        inner = torch.stack([torch.mm(moved, channel).view(self.n, len(shifts_ang), -1) for channel in slices])
        out = np.empty((self.n * slices.shape[2], len(shifts_ang)), np.float32)
        flat_gram = torch.stack(gram).permute(1, 2, 0).reshape(len(out), -1).contiguous()
        flat_inner = inner.permute(1, 3, 0, 2).reshape(len(out), len(slices), -1).contiguous()
        log_evidence(flat_gram.numpy(), flat_inner.numpy(), out)
        return out.reshape(self.n, -1, len(shifts_ang))

    def own(self, rotations: np.ndarray, shifts_ang: np.ndarray, radius: float) -> np.ndarray:
        """(B, P, T) float32; see `Score.own`."""
        pattern = shifts_ang[0, 0] - shifts_ang[0, 0, 0]
        if not np.allclose(shifts_ang - shifts_ang[:, :, :1], pattern, atol=1e-4 * self.extent_ang):
            # Shifts that are no common pattern are candidates of one shift each.
            shape = shifts_ang.shape[:3]
            turned = np.repeat(rotations, shape[2], axis=1)
            return self.own(turned, shifts_ang.reshape(shape[0], -1, 1, 2), radius).reshape(shape)
        gram, inner = self.compressed(rotations, shifts_ang[:, :, 0], pattern, radius)
        if inner.shape[2] == 1:
            return inner[:, :, 0] - gram / 2
        out = np.empty((gram.shape[0] * gram.shape[1], len(pattern)), np.float32)
        log_evidence(gram.reshape(len(out), -1), inner.reshape(len(out), *inner.shape[2:]), out)
        return out.reshape(*gram.shape[:2], -1)

    def headroom(self, radius: float, last_radius: float) -> np.ndarray:
        """(B,) float32; see `Score.headroom`."""
        band = slice(self.bank.lattice.count(radius), self.bank.lattice.count(last_radius))
        return perfect_fit(self.targets[:, band], self.weights[:, band])

    def compressed(
        self, rotations: np.ndarray, centres_ang: np.ndarray, pattern_ang: np.ndarray, radius: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The images at poses of their own as a linear model sees them (docs/conventions.md, eq. 7).

        Parameters
        ----------
        rotations, centres_ang : (B, P, 3, 3), (B, P, 2).
        pattern_ang : (T, 2). Added to every centre.

        Returns
        -------
        gram (B, P, C(C + 1)/2), lower triangles by rows, and inner (B, P, C, T), float32.
        """
        model, lattice = self.bank.model, self.bank.lattice
        count = self._count(radius)
        indices = lattice.indices[:count]
        angle = 2 * np.pi * indices @ (np.asarray(pattern_ang) / self.extent_ang).T
        waves, freqs = np.stack([np.cos(angle), -np.sin(angle)]).astype(np.float32), indices.astype(np.float32)
        shape, n_channels = rotations.shape[:2], self.bank.n_channels
        gram = np.empty((*shape, n_channels * (n_channels + 1) // 2), np.float32)
        inner = np.empty((*shape, n_channels, len(pattern_ang)), np.float32)
        # Either kernel wants its innermost loop's numbers side by side.
        match, axes = (match_one_volume, (0, 2, 1)) if n_channels == 1 else (match_poses, (1, 0, 2))
        match(
            model.coefs,
            np.ascontiguousarray(self.targets[:, :count]),
            np.ascontiguousarray(self.weights[:, :count]),
            np.ascontiguousarray(rotations, np.float32),
            np.ascontiguousarray(centres_ang / self.extent_ang, np.float32),
            np.ascontiguousarray(waves.transpose(axes)),
            indices,
            np.ascontiguousarray(freqs.T) if n_channels == 1 else freqs,
            *kernel_geometry(model.sphere),
            gram,
            inner,
        )
        return gram, inner

    def _count(self, radius: float) -> int:
        """Leading coefficients inside `radius`, as far as the model is known."""
        return self.bank.lattice.count(min(radius, self.bank.model.sphere.radius))

    def _moved_back(self, shifts_ang: np.ndarray, count: int) -> torch.Tensor:
        """(B T, 2F) real and imaginary parts of the targets moved back by each shift."""
        angle = 2 * np.pi * (np.asarray(shifts_ang) / self.extent_ang) @ self.bank.lattice.indices[:count].T
        moved = self.targets[:, None, :count] * np.exp(1j * angle).astype(np.complex64)
        # Copied: tensors of torch are aligned alike in every process, and so matrix products are alike to the last bit.
        return torch.tensor(np.concatenate([moved.real, moved.imag], axis=2).reshape(-1, 2 * count))


def perfect_fit(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) ½ Σ |t|²/w: the log-likelihood that (B, F) coefficients add where a volume explains them to the last."""
    return (np.abs(targets) ** 2 / np.maximum(weights, 1e-30)).sum(1) / 2
