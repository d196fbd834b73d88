"""How well any decoder's own slices explain images at candidate poses: exact for every decoder, and slow for networks.

With t and w the targets and weights of a whitened image (`whitened`) and u a slice of its volume, the log-likelihood of
a pose is Re Σ (u moved to the shift)* t − ½ Σ w |u|², up to a constant of the image.
"""

import torch
from torch import Tensor

from ..decoders.decoder import Decoder
from ..imaging.formation import ImageFormation
from ..imaging.lattice import HalfPlane
from ..poses.inference import Likeliest, SharedPoses
from .linear_score import perfect_fit
from .whitened import WhitenedBatch

POINTS_AT_ONCE = 2**17
"""Fourier coefficients decoded, or phases held, at a time."""


class DecoderScore:
    """`poses.inference.Score` of a batch of images against the volumes of a decoder.

    Parameters
    ----------
    decoder : on `device`.
    images : whitened and not moved: their `rotations` are not used.
    lattice, pixel_size_ang : of the images.
    z : (B, Z), where each image's volume lies; None for a decoder without latent.
    """

    def __init__(
        self,
        decoder: Decoder,
        images: WhitenedBatch,
        lattice: HalfPlane,
        pixel_size_ang: float,
        z: Tensor | None = None,
        device: torch.device | str = "cpu",
    ):
        self._decoder, self._lattice, self._z, self._device = decoder, lattice, z, device
        self._targets, self._weights = images.targets.to(device), images.weights.to(device)
        self._formation = ImageFormation(lattice, pixel_size_ang, device)
        self.n = len(images)

    @property
    def device(self) -> torch.device:
        return self._targets.device

    @torch.no_grad()
    def shared(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        """All images at every rotation with every shift, (B, R, T); see `poses.inference.Score`."""
        count = self._lattice.count(radius)
        shifts = shifts_ang.expand(self.n, -1, -1)
        moved_back = self._formation.centre(self._targets[:, :count], shifts)
        images = torch.view_as_real(moved_back).flatten(2).mT
        weights = self._weights[:, :count, None]
        volumes = 1 if self._z is None else self.n
        result = weights.new_empty(self.n, len(rotations), len(shifts_ang))
        step = max(1, POINTS_AT_ONCE // (volumes * count))
        for start in range(0, len(rotations), step):
            part = slice(start, start + step)
            views = rotations[part].expand(volumes, -1, -1, -1)
            slices = torch.view_as_real(self._decoder.slices(self._z, views, self._lattice, count))
            power = slices.square().sum(-1) @ weights
            result[:, part] = slices.flatten(2) @ images - power / 2
        return result

    def likeliest(self, poses: SharedPoses, radius: float, kept: int) -> Likeliest:
        return Likeliest.of(self.shared(poses.rotations, poses.shifts_ang, radius), kept)

    @torch.no_grad()
    def own(self, rotations: Tensor, shifts_ang: Tensor, radius: float) -> Tensor:
        """Each image at candidates of its own, (B, P, T); see `poses.inference.Score`."""
        count = self._lattice.count(radius)
        n_poses, n_shifts = shifts_ang.shape[1:3]
        views = rotations.reshape(-1, 1, 3, 3)
        shifts = shifts_ang.reshape(-1, n_shifts, 2)
        image = torch.arange(self.n, device=self._device).repeat_interleave(n_poses)
        result = self._weights.new_empty(len(views), n_shifts)
        step = max(1, POINTS_AT_ONCE // (n_shifts * count))
        for start in range(0, len(views), step):
            part = slice(start, start + step)
            rows = image[part]
            z = None if self._z is None else self._z[rows]
            slices = self._decoder.slices(z, views[part], self._lattice, count)
            products = slices.conj() * self._targets[rows, None, :count]
            inner = (products @ self._formation.phases(-shifts[part], count).mT).real
            power = slices.abs().square() @ self._weights[rows, :count, None]
            result[part] = (inner - power / 2)[:, 0]
        return result.reshape(self.n, n_poses, n_shifts)

    def headroom(self, radius: float, last_radius: float) -> Tensor:
        """(B,); see `poses.inference.Score`."""
        band = slice(self._lattice.count(radius), self._lattice.count(last_radius))
        return perfect_fit(self._targets[:, band], self._weights[:, band])
