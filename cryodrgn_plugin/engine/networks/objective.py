"""The loss: how badly a decoder and an encoder explain a batch of images.

    loss = mean over the pixels of w |y − C S V_z|²  +  β · KL(q(z | y) ‖ N(0, 1)) / pixels  +  E(z) / pixels
                                                                                                  z ~ q(z | y)

w is 1/σ² of the noise (whitened likelihood: 1.0 is an image explained to the noise), or eq. 4 of
sparse_fourier_backpropagation. The mean over pixels and the scaled KL are cryoDRGN's (Zhong's thesis, eq. 3.5 as
its software computes it). E is what a decoder adds in units of −2 log likelihood of an image: restraints of atoms
(thesis, eq. 7.3 with images in units of their noise), or nothing. With several candidate poses the likelihood of an
image is the mean over its candidates; given poses are the case of one.
"""

import dataclasses
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..data.batch import ImageBatch, Pose
from ..data.step_draws import StepDraws
from ..decoders.decoder import Decoder
from ..encoders.encoder import Encoder, LatentPosterior
from ..imaging.formation import ImageFormation
from .point_sampling import PointSampler
from .pose_table import PoseTable


@dataclass(frozen=True)
class LossTerms:
    """Means over the batch, scalars; `total` = reconstruction + β KL / pixels. `divergence` is the KL in nats per
    image.
    """

    total: Tensor
    reconstruction: Tensor
    divergence: Tensor
    others: dict[str, Tensor] = field(default_factory=dict)
    """Further figures of an objective, by the names of their columns in metrics.csv."""

    def detached(self) -> "LossTerms":
        """The figures alone, without what they were computed from."""
        others = {name: value.detach() for name, value in self.others.items()}
        return LossTerms(self.total.detach(), self.reconstruction.detach(), self.divergence.detach(), others)


class VaeObjective(nn.Module):
    """The loss of a decoder with an encoder, or of a decoder alone (homogeneous).

    Parameters
    ----------
    precision : (G, F). Weight of each coefficient of each optics group, 1/σ² for the whitened likelihood.
    ctf_weight : weigh residuals with the squared CTF too (sparse_fourier_backpropagation eq. 4).
    sampler : draws a part of the coefficients for each step; None uses all. Needs a decoder with `slices_at`.
    poses : poses that take the place of the batches' own; None keeps those.
    encoder_context : a context the encoder runs in, such as autocast.

    `radius` limits the shells that count in a step; None is all.
    """

    divides = True

    def __init__(
        self,
        decoder: Decoder,
        encoder: Encoder | None,
        formation: ImageFormation,
        precision: Tensor,
        *,
        ctf_weight: bool = False,
        sampler: PointSampler | None = None,
        poses: PoseTable | None = None,
        encoder_context: Callable[[], AbstractContextManager] = nullcontext,
    ):
        super().__init__()
        self.decoder, self.encoder, self.sampler, self.poses = decoder, encoder, sampler, poses
        self.radius: float | None = None
        self._formation, self._ctf_weight, self._encoder_context = formation, ctf_weight, encoder_context
        lattice = self.lattice = formation.lattice
        device = precision.device
        multiplicity = torch.as_tensor(lattice.multiplicity, device=device)
        self.pixels = float(lattice.multiplicity.sum())
        self._weights = precision * multiplicity
        self._freqs = torch.as_tensor(lattice.indices, dtype=torch.float32, device=device)

    def forward(self, batch: ImageBatch, beta: float, draws: StepDraws) -> LossTerms:
        """The loss of one training step; `draws` are for z and the coefficients used."""
        batch = self.centred(batch)
        posterior = self.posterior(batch)
        z = self._of_images(posterior.sample(draws)) if posterior else None
        if self.sampler is None:
            reconstruction = self._misfit(batch, z, self.radius)
        else:
            reconstruction = self._sampled_misfit(batch, z, draws)
        return self._terms(reconstruction, posterior, beta, self.decoder.restraint(z))

    @torch.no_grad()
    def evaluate(self, batch: ImageBatch, beta: float) -> LossTerms:
        """The loss at the posterior means, from all coefficients; nothing is random."""
        batch = self.centred(batch)
        posterior = self.posterior(batch)
        z = self._of_images(posterior.mean) if posterior else None
        return self._terms(self._misfit(batch, z), posterior, beta, self.decoder.restraint(z))

    def posterior(self, centred: ImageBatch) -> LatentPosterior | None:
        """q(z) of a centred batch; None without an encoder."""
        if self.encoder is None:
            return None
        with self._encoder_context():
            return self.encoder.encode(centred)

    def _of_images(self, z: Tensor) -> Tensor:
        """z of particles as that of their images."""
        return z.repeat_interleave(self.encoder.images_per_particle, dim=0)

    def centred(self, batch: ImageBatch) -> ImageBatch:
        """The batch with the shift of its (first) pose undone: of the images and of the poses."""
        pose = batch.pose if self.poses is None else self.poses.of(batch.index)
        first = pose.shifts_ang[:, :1]
        spectra = self._formation.centre(batch.spectra, first)[:, 0]
        return dataclasses.replace(batch, spectra=spectra, pose=Pose(pose.rotations, pose.shifts_ang - first))

    def _misfit(self, batch: ImageBatch, z: Tensor | None, radius: float | None = None) -> Tensor:
        lattice = self.lattice
        count = lattice.size if radius is None else lattice.count(radius)
        spectra, ctf = batch.spectra[:, :count], batch.ctf[:, :count]
        slices = self.decoder.slices(z, batch.pose.rotations, lattice, count)
        if slices.shape[1] == 1:
            predicted = slices * ctf[:, None]
        else:
            predicted = self._formation.observe(slices, ctf, batch.pose.shifts_ang)
        return self._marginal(spectra, predicted, self._coefficient_weights(batch.group, ctf))

    def _sampled_misfit(self, batch: ImageBatch, z: Tensor | None, draws: StepDraws) -> Tensor:
        """The misfit from a part of the coefficients, each image its own, reweighted so that the expectation is the
        same.
        """
        chosen, inverse = self.sampler.draw(batch.ctf, batch.group, draws)
        ctf = batch.ctf.gather(1, chosen)
        slices = self.decoder.slices_at(z, batch.pose.rotations, self._freqs[chosen][:, None])
        weights = self._coefficient_weights(batch.group, batch.ctf).gather(1, chosen) * inverse
        return self._marginal(batch.spectra.gather(1, chosen), slices * ctf[:, None], weights)

    def _coefficient_weights(self, group: Tensor, ctf: Tensor) -> Tensor:
        weights = self._weights[group.long(), : ctf.shape[1]]
        return weights * ctf.square() if self._ctf_weight else weights

    def _marginal(self, spectra: Tensor, predicted: Tensor, weights: Tensor) -> Tensor:
        """(B,) misfit per pixel, −2 log of the mean likelihood over the P candidates divided by the pixels."""
        residual = torch.view_as_real(spectra[:, None] - predicted)
        squared = (residual.square().sum(-1) * weights[:, None]).sum(-1)
        candidates = squared.shape[1]
        if candidates == 1:
            return squared[:, 0] / self.pixels
        return (math.log(candidates) - torch.logsumexp(-squared / 2, dim=1)) * 2 / self.pixels

    def _terms(
        self, misfit: Tensor, posterior: LatentPosterior | None, beta: float, restraint: Tensor | None
    ) -> LossTerms:
        reconstruction = misfit.mean()
        divergence = torch.zeros_like(reconstruction)
        if posterior:
            divergence = posterior.divergence().mean() / self.encoder.images_per_particle
        total = reconstruction + beta * divergence / self.pixels
        if restraint is None:
            return LossTerms(total, reconstruction, divergence)
        energy = restraint.mean()
        return LossTerms(total + energy / self.pixels, reconstruction, divergence, {"restraint": energy})
