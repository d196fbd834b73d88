"""The loss of ACE-HetEM: images explained at the poses read off them, and poses read off views drawn at random ones.

Image to image (ace_hetem 4.2): an image and its turn by 180° are both encoded, decoded and compared with themselves;
the better of the two counts (eq. 6). At the start the comparison is with blurred images (eq. 9), and z is drawn from
its prior.

    loss = min(w |y − ŷ|²) / pixels + λz KL + λt |shift|₁          w: 1/σ², scaled so that an empty model has loss 1

Pose to pose (4.3): a view of the model as it stands, at a random pose and a z of this batch, gets the noise it would
have if the data's signal-to-noise ratio were the model's, and must give its pose back (eq. 11). The decoder is not
changed by this task. The paper alternates the tasks step by step; here every step adds the gradients of both.
"""

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ..config import AmortizedConfig
from ..data.batch import ImageBatch
from ..data.step_draws import StepDraws
from ..decoders.decoder import Decoder
from ..encoders.encoder import LatentPosterior
from ..encoders.pose_baselines import divergence_from_uniform
from ..encoders.pose_estimate import PoseEncoder, PoseEstimate
from ..geometry.continuous import rotations_from_six, turns
from ..imaging.formation import ImageFormation
from .objective import LossTerms
from .synthetic_noise import SyntheticNoise


class AmortizedObjective(nn.Module):
    """The loss of a decoder and an encoder that finds poses.

    Parameters
    ----------
    weights : (G, F). Weight of each coefficient of each optics group, multiplicity included; they sum to one loss unit
        per image of the data's mean power.
    noise : what is added to views of the model.
    shift_extent_ang : largest shift of random poses along each axis.
    z_dim : Z, 0 without latent space.
    encoder_context : a context the encoder runs in, such as autocast.
    """

    divides = False  # batch normalisation

    def __init__(
        self,
        decoder: Decoder,
        encoder: PoseEncoder,
        formation: ImageFormation,
        weights: Tensor,
        noise: SyntheticNoise,
        settings: AmortizedConfig,
        shift_extent_ang: float,
        z_dim: int,
        *,
        encoder_context: Callable[[], AbstractContextManager] = nullcontext,
    ):
        super().__init__()
        self.decoder, self.encoder = decoder, encoder
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self._formation, self._weights, self._noise, self._settings = formation, weights, noise, settings
        self._shift_extent_ang, self._z_dim, self._encoder_context = shift_extent_ang, z_dim, encoder_context
        self._reads_images = settings.method == "network"
        self._asks_both_ways = self._reads_images and settings.symmetrized
        freqs = formation.freqs_per_ang * formation.pixel_size_ang
        self._blur = torch.exp(-2 * (torch.pi * settings.warmup_blur_px) ** 2 * freqs.square().sum(1))

    def forward(self, batch: ImageBatch, beta: float, draws: StepDraws) -> LossTerms:
        """The loss of one training step; `draws` are for z, poses and noise. `beta` is not used: λz is."""
        n_seen = int(self.seen)
        self.seen += draws.among_all(len(batch))[1]
        settings = self._settings
        terms, z = self._nothing(), None
        if n_seen >= settings.images_from:
            terms, z = self._image_to_image(batch, n_seen, draws)
        elif self._z_dim:
            z = draws.normal((len(batch), self._z_dim)).to(batch.spectra.device)
        if not (self._reads_images and settings.pose_weight):
            return terms
        pose_loss = self._pose_to_pose(batch, z, draws)
        total = terms.total + settings.pose_weight * pose_loss
        return LossTerms(total, terms.reconstruction, terms.divergence, {"pose_loss": pose_loss})

    def _image_to_image(self, batch: ImageBatch, n_seen: int, draws: StepDraws) -> tuple[LossTerms, Tensor | None]:
        """The loss of explaining images after `n_seen` others, and the z (B, Z) that were drawn, without gradient."""
        settings = self._settings
        images = batch
        if self._asks_both_ways:
            images, draws = both_ways(batch), dataclasses.replace(draws, blocks=2)
        estimate = self._spread_out(self.estimate(images), draws)
        learns_z = n_seen >= settings.latent_from
        z = self._draw_latents(estimate.latent, len(images), learns_z, draws)
        labels = dataclasses.replace(images, spectra=images.spectra * self._sharpness(n_seen))
        misfit = self.misfit(labels, estimate, z).reshape(-1, len(batch)).amin(0).mean()
        divergence = self._divergence(estimate, learns_z)
        shift = estimate.shifts_ang.abs().sum(1).mean() / self._formation.pixel_size_ang
        total = misfit + settings.kl_weight * divergence + settings.shift_weight * shift
        return LossTerms(total, misfit, divergence), None if z is None else z[: len(batch)].detach()

    def _nothing(self) -> LossTerms:
        zero = torch.zeros((), device=self._weights.device)
        return LossTerms(zero, zero, zero)

    @torch.no_grad()
    def evaluate(self, batch: ImageBatch, beta: float) -> LossTerms:
        """The loss of images against the model, at the poses and z found for them; nothing is random."""
        misfit = self.infer(batch)[1].mean()
        return LossTerms(misfit, misfit, torch.zeros_like(misfit))

    @torch.no_grad()
    def infer(self, batch: ImageBatch) -> tuple[list[PoseEstimate], Tensor]:
        """What was read off each image and, where both are asked, off its turn by 180°, the one that explains it
        better first; and the misfit (B,) of the first.
        """
        if not self._asks_both_ways:
            estimate = self.estimate(batch)
            return [estimate], self.misfit(batch, estimate, _mean(estimate))
        images = both_ways(batch)
        estimate = self.estimate(images)
        # (2, B): of the images as they are, and turned.
        misfit = self.misfit(images, estimate, _mean(estimate)).reshape(2, -1)
        turned, referred = misfit[1] < misfit[0], turned_back(estimate)
        return [_pick(referred, turned), _pick(referred, ~turned)], misfit.amin(0)

    def estimate(self, batch: ImageBatch) -> PoseEstimate:
        """What the encoder reads off each image."""
        with self._encoder_context():
            return self.encoder.estimate(batch)

    def misfit(self, batch: ImageBatch, estimate: PoseEstimate, z: Tensor | None) -> Tensor:
        """(B,) weighted squared difference between images and the model at their poses."""
        residual = torch.view_as_real(batch.spectra - self._view(estimate.rotations, estimate.shifts_ang, z, batch.ctf))
        return (residual.square().sum(-1) * self._weights[batch.group.long()]).sum(-1)

    def _view(self, rotations: Tensor, shifts_ang: Tensor, z: Tensor | None, ctf: Tensor) -> Tensor:
        """(B, F) noise-free images of the model."""
        lattice = self._formation.lattice
        slices = self.decoder.slices(z, rotations[:, None], lattice, lattice.size)
        return self._formation.observe(slices, ctf, shifts_ang[:, None])[:, 0]

    def _pose_to_pose(self, batch: ImageBatch, z: Tensor | None, draws: StepDraws) -> Tensor:
        """‖R − R̂‖²/9 + ‖t − t̂‖²/2, the shift t in units of its extent, over random poses (eq. 11)."""
        device, count = batch.spectra.device, len(batch)
        rotations = rotations_from_six(draws.normal((count, 6))).to(device)
        unit = (2 * draws.uniform((count, 2)) - 1).to(device)
        with torch.no_grad():
            clean = self._view(rotations, unit * self._shift_extent_ang, z, batch.ctf)
            views = dataclasses.replace(batch, spectra=self._noise.add(clean, batch.group, draws))
        estimate = self.estimate(views)
        loss = (estimate.rotations - rotations).square().mean()
        if self._shift_extent_ang:
            loss = loss + (estimate.shifts_ang / self._shift_extent_ang - unit).square().mean()
        return loss

    def _sharpness(self, n_seen: int) -> Tensor | float:
        """What labels are multiplied by: γ + (1 − γ) times the blur, γ rising to one over the warm-up (eq. 9)."""
        share = min(n_seen / self._settings.warmup_images, 1.0) if self._settings.warmup_images else 1.0
        return share + (1 - share) * self._blur

    def _draw_latents(
        self, latent: LatentPosterior | None, count: int, learns_z: bool, draws: StepDraws
    ) -> Tensor | None:
        if latent is None:
            return None
        if learns_z:
            return latent.sample(draws)
        return draws.normal((count, self._z_dim)).to(latent.mean.device)

    def _divergence(self, estimate: PoseEstimate, learns_z: bool) -> Tensor:
        if estimate.spread is not None:
            return divergence_from_uniform(estimate.spread).mean()
        if estimate.latent is not None and learns_z:
            return estimate.latent.divergence().mean()
        return estimate.rotations.new_zeros(())

    def _spread_out(self, estimate: PoseEstimate, draws: StepDraws) -> PoseEstimate:
        """A draw from the distribution of rotations of an encoder that gives one."""
        if estimate.spread is None:
            return estimate
        drawn = draws.normal(estimate.spread.shape).to(estimate.spread.device)
        return dataclasses.replace(estimate, rotations=turns(estimate.spread * drawn) @ estimate.rotations)


def both_ways(batch: ImageBatch) -> ImageBatch:
    """The images, and after them the same turned by 180° in their plane: (2B).

    That turn takes k to −k, which in the spectrum of a real image is the complex conjugate; CTFs are even in k.
    """
    twice = {name: torch.cat([getattr(batch, name)] * 2) for name in ("index", "ctf", "group")}
    return dataclasses.replace(batch, spectra=torch.cat([batch.spectra, batch.spectra.conj()]), pose=None, **twice)


def turned_back(estimate: PoseEstimate) -> PoseEstimate:
    """Estimates of `both_ways` (2B) with the poses of the second half referred to the images as they were."""
    half = len(estimate.rotations) // 2
    sign = torch.ones_like(estimate.shifts_ang[:, :1])
    sign[half:] = -1
    axes = torch.cat([sign, sign, torch.ones_like(sign)], dim=1)
    return dataclasses.replace(
        estimate, rotations=estimate.rotations * axes[:, :, None], shifts_ang=estimate.shifts_ang * sign
    )


def _pick(estimate: PoseEstimate, second: Tensor) -> PoseEstimate:
    """Of 2B estimates the first half, or where `second` (B,) the second."""

    def pick(values: Tensor) -> Tensor:
        first, other = values.chunk(2)
        return torch.where(second.reshape(-1, *[1] * (values.ndim - 1)), other, first)

    latent = estimate.latent
    if latent is not None:
        latent = LatentPosterior(pick(latent.mean), pick(latent.log_var))
    return PoseEstimate(pick(estimate.rotations), pick(estimate.shifts_ang), latent)


def _mean(estimate: PoseEstimate) -> Tensor | None:
    return None if estimate.latent is None else estimate.latent.mean
