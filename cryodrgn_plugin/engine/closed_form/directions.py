"""Directions in which the maps of single images differ: found at low frequency, from all images, nothing shrunk twice.

EM for probabilistic principal components (`likelihood/nuisances`) with a prior that does not follow the data: the bases
may vary by a share of the mean's own power in each shell, inside the molecule. An empirical prior has a fixed point at
zero: volumes that were shrunk give small amplitudes, which give a smaller prior.

How much of what was found is noise, images of nothing tell: the same search over noise with the weights and poses of
the images finds directions as well, and those of the data count as far as they are stronger.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..likelihood.equations import EquationSums, HalfSetEquations, accumulate
from ..likelihood.linear_model import LinearModel, all_confined, fit_volumes, mix_in_place, soft_ball
from ..likelihood.near_images import NearImages, compress_near
from ..likelihood.nuisances import Nuisances, Posteriors, mean_information, settle
from ..likelihood.outside import as_nuisances, members
from ..likelihood.voxel_solve import solved
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..slicing.sphere import HalfSphere
from .focus import Focus
from .local_parts import LocalParts

PRIOR_SHARE, MEAN_SHARE = 0.02, 10.0
"""Prior variance of the bases, and of the mean, as a share of the mean's power in each shell."""
MASK_LEVEL, MASK_BLUR, MASK_REACH, MASK_EDGE = 0.05, 1.0, 2, 0.8
"""The molecule is where the blurred consensus is above this share of its maximum; lengths are voxels of the band."""
INNER_ROUNDS = 3
"""How often amplitudes, contrast and pose errors take turns on the compressed images, between passes over images."""


@dataclass(frozen=True)
class Band:
    """Volumes up to a frequency limit, inside the molecule."""

    sphere: HalfSphere
    count: int
    """Coefficients of the images."""
    mask: np.ndarray
    """(D, D, D)."""
    prior: Tensor
    """(S,) power of the mean per shell, a real or imaginary part's."""
    moving: Tensor | None
    """(M, 2, 4) the consensus and its moments (`Backend.moving`), None where poses are taken as they are."""
    regions: list[np.ndarray] | None = None
    """(D, D, D) each, the parts of the molecule inside the regions of a focus and, last, outside; None without one."""

    def with_parts(self, parts: LocalParts | None) -> "Band":
        """With regions for directions anywhere in the molecule, for one in each of some small parts, and for none."""
        if parts is None:
            return self
        within = [self.mask * part for part in parts.masks(len(self.mask))]
        return replace(self, regions=[self.mask, *within, self.mask])

    @property
    def support(self) -> float:
        return float((self.mask**2).sum() / self.sphere.grid**3)

    def masks(self, groups: tuple[int, ...]) -> np.ndarray:
        """(C, D, D, D) where the mean and each base may be, or (D, D, D) without a focus."""
        if self.regions is None:
            return self.mask
        of_bases = [region for region, size in zip(self.regions, groups, strict=True) for _ in range(size)]
        return np.stack([self.mask, *of_bases])

    def solved(self, equations: HalfSetEquations, groups: tuple[int, ...]) -> list[LinearModel]:
        """The volumes of each half-set; the equations are spent. `groups` as those of `Directions`."""
        k = equations.n_channels - 1
        prior = torch.cat([MEAN_SHARE * self.prior[:, None], PRIOR_SHARE * self.prior[:, None].expand(-1, k)], 1)
        volumes = solved(equations, self.support, lambda sets: prior, spent=True)
        return all_confined(equations.backend, volumes, self.masks(groups))


def band_of(images: WhitenedImages, sphere: HalfSphere, pose_errors: bool, focus: Focus | None = None) -> Band:
    """The molecule as the consensus shows it, up to the sphere's limit.

    Raises DataError for a focus in which there is nothing of it.
    """
    count = images.lattice.count(sphere.radius)
    whole = images.compute.double(torch.ones(images.n, 1))
    consensus = fit_volumes(
        accumulate(images, sphere, count, lambda index: (whole[index], whole[index, :, None])), soft_ball(sphere.box)
    )[0]
    volume = consensus.mean_map()
    mask = molecule(volume)
    inside = LinearModel.of(consensus.backend, (volume * mask)[None])
    shells = consensus.backend.shells
    number = torch.bincount(shells, minlength=sphere.n_shells).clamp(min=1)
    power = consensus.backend.by_shell((inside.coefs**2).mean(1))[:, 0] / number
    moving = consensus.backend.moving(inside.coefs) if pose_errors else None
    return Band(sphere, count, mask, power, moving, None if focus is None else focus.parted(mask))


def molecule(volume: np.ndarray) -> np.ndarray:
    """(D, D, D) float32. A soft mask around the largest part of a map (D, D, D)."""
    smooth = ndimage.gaussian_filter(volume, MASK_BLUR)
    parts, _ = ndimage.label(smooth > MASK_LEVEL * smooth.max())
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    within = ndimage.binary_dilation(largest, iterations=MASK_REACH)
    return ndimage.gaussian_filter(within.astype(np.float32), MASK_EDGE) * soft_ball(len(volume))


@dataclass(frozen=True)
class Directions:
    """Amplitudes of N(0, 1) along each of K directions, the best seen of each group first, and what else was learned of
    images.
    """

    posteriors: Posteriors
    nuisances: Nuisances
    information: Tensor
    """(K,) how much an image tells of each amplitude, on average: variance of the signal over that of the noise."""
    groups: tuple[int, ...]
    """Sizes of the groups: inside each region of a focus, and last outside; (K, 0) without one. Directions are not
    ranked among those of another group, nor mixed with them."""
    parts: LocalParts | None = None
    """Where those directions are that have a small part of the molecule to themselves: each is a group, after those
    that may be anywhere."""
    loss: float = 0.0
    """Minus the mean log-likelihood of an image over that of an image of nothing, at the posterior means."""

    @classmethod
    def random(
        cls, images: WhitenedImages, groups: tuple[int, ...], seed: int, pose_errors: bool = True
    ) -> "Directions":
        """Amplitudes of each image drawn from N(0, 1), as if they were known."""
        k = sum(groups)
        nuisances = Nuisances.unknown(images, pose_errors)
        mean = images.compute.double(np.random.default_rng(seed).standard_normal((images.n, k)))
        nothing = mean.new_zeros(*nuisances.moved.shape, k + 1)
        posteriors = Posteriors(mean, mean.new_zeros(images.n, k, k), nothing[:, :, 0], nothing)
        return cls(posteriors, nuisances, mean.new_zeros(k), groups)

    def members(self) -> list[Tensor]:
        """(n,) numbers of the directions of each group."""
        return members(self.groups, self.information.device)

    @property
    def n_inside(self) -> int:
        return sum(self.groups[:-1])

    def leading(self, *counts: int) -> "Directions":
        """The best seen ones alone, so many inside each region, and all that lie outside of a focus."""
        own, (*within, beyond) = self.posteriors, self.members()
        best = [group[:count] for group, count in zip(within, counts, strict=True)]
        kept = torch.cat([*best, beyond])
        with_mean = torch.nn.functional.pad(kept + 1, (1, 0))
        covariance = own.covariance[:, kept[:, None], kept[None, :]]
        posteriors = Posteriors(own.mean[:, kept], covariance, own.errors, own.tied[:, :, with_mean])
        groups = (*(len(group) for group in best), len(beyond))
        return replace(self, posteriors=posteriors, information=self.information[kept], groups=groups)

    def moved(self) -> "Directions":
        """As `leading`, for images whose poses have been moved by what was left of their errors."""
        nuisances = replace(self.nuisances, moved=self.nuisances.moved + self.posteriors.errors)
        errors = torch.zeros_like(self.posteriors.errors)
        tied = self.posteriors.tied - self.posteriors.errors[:, :, None] * self.posteriors.moments()[0][:, None, :]
        return replace(self, posteriors=replace(self.posteriors, errors=errors, tied=tied), nuisances=nuisances)


def improved(
    images: WhitenedImages,
    band: Band,
    found: Directions,
    half: np.ndarray | None = None,
    then: tuple[WhitenedImages, Nuisances] | None = None,
) -> tuple[list[LinearModel], NearImages, Directions]:
    """One round of EM: volumes from amplitudes, amplitudes from volumes.

    Parameters
    ----------
    half : (N,) half-set of each image, each judged by the volumes of the other, at the contrasts known before; None
        solves all images together.
    then : other images than those of `found`, whose amplitudes are found from the volumes, and what is known of them.

    Returns
    -------
    The volumes (one model, or one per half-set) and the compressed images over them, in the frame of the directions.
    """
    models = band.solved(equations(images, band, found, half), found.groups)
    images, nuisances = then or (images, found.nuisances)
    near = replace(compress_near(models, images, band.count, band.moving, half), groups=found.groups)
    posteriors, centre, spread, nuisances = settle(near, nuisances, INNER_ROUNDS, contrast_known=half is not None)
    matrix, back, information = _frame(near, nuisances, centre, spread)
    _put_in_frame(near, matrix)
    posteriors = posteriors.turned(centre, back)
    turned = Directions(posteriors, nuisances, information, found.groups, found.parts, -posteriors.evidence)
    mix_in_place(models, matrix)
    return models, near, turned


def equations(images: WhitenedImages, band: Band, found: Directions, half: np.ndarray | None) -> HalfSetEquations:
    """Normal equations of the mean and the bases: contrast weighs images, pose errors are taken off them."""
    contrasts, squares = found.nuisances.contrast, found.nuisances.squared_contrast()

    def add(sums: EquationSums, batch: WhitenedBatch) -> None:
        rows = torch.as_tensor(batch.index, device=contrasts.device)
        posteriors, square = found.posteriors.at(rows), squares[rows, None, None]
        first, second = posteriors.moments()
        sums.add(batch, contrasts[rows, None] * first, square * second)
        if band.moving is not None:
            sums.take_off(batch, band.moving, square * posteriors.tied)

    return HalfSetEquations(images, band.sphere, band.count, found.posteriors.mean.shape[1] + 1, half, add)


def _frame(near: NearImages, nuisances: Nuisances, centre: Tensor, spread: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The frame where amplitudes are N(0, 1) and images know of one without knowing of another, the best seen first.

    Returns
    -------
    matrix (C, C) for `LinearModel.mixed`; back (K, K), new amplitudes are back · (a − centre); information (K,).
    """
    lower = torch.linalg.cholesky(spread)
    white = torch.eye(len(centre) + 1, dtype=lower.dtype, device=lower.device)
    white[1:, 0], white[1:, 1:] = centre, lower
    groups = [_axes(near, white, nuisances, kept) for kept in members(near.groups, white.device) if len(kept)]
    information = torch.cat([group[0] for group in groups])
    vectors = torch.block_diag(*(group[1] for group in groups))
    matrix = white.clone()
    matrix[1:, 1:] = lower @ vectors
    return matrix, vectors.T @ torch.linalg.inv(lower), information


def _axes(near: NearImages, white: Tensor, nuisances: Nuisances, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Information (n,), falling, and axes (n, n) among some of the amplitudes that `white` (C, C) makes white, the
    others being unknown."""
    told, own, of_own = white.new_zeros(len(kept), len(kept)), near.at(near.own), nuisances.at(near.own)
    for rows in own.parts():
        part = _in_frame(own.at(rows), white)
        told += len(part) * mean_information(*as_nuisances(part, of_own.at(rows), kept))
    near.ranks.total(told)
    information, vectors = torch.linalg.eigh(told / len(near))
    return information.flip(0), vectors.flip(1)


def _in_frame(near: NearImages, matrix: Tensor) -> NearImages:
    """Compressed images over the volumes that `matrix` (C, C) mixes."""
    c = len(matrix)
    whole = torch.eye(near.gram.shape[1], dtype=matrix.dtype, device=matrix.device)
    whole[:c, :c] = matrix
    return replace(near, gram=whole.T @ near.gram @ whole, inner=near.inner @ whole)


def _put_in_frame(near: NearImages, matrix: Tensor) -> None:
    """As `_in_frame`, in place of what they were: of a million images a copy takes gigabytes."""
    for rows in near.parts():
        part = _in_frame(near.at(rows), matrix)
        near.gram[rows], near.inner[rows] = part.gram, part.inner


def reliability(found: Directions) -> Tensor:
    """(K,) share of each amplitude's variance that the images determine: 0 for a direction that is not there.

    With a focus, those of the directions inside.
    """
    return 1 - found.posteriors.covariance.diagonal(dim1=1, dim2=2).mean(0)[: found.n_inside]
