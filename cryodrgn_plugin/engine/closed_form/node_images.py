"""Compressed images as nodes meet them: of whole particles, pose errors integrated out."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..likelihood.equations import Moments
from ..likelihood.near_images import NearImages
from ..likelihood.nuisances import Nuisances, without_pose_errors
from .directions import Directions
from .node_poses import totals
from .nodes import AtNodes, FittedNodes, Responsibilities, at_nodes, contrast_of_images, contrasts

CONTRAST_ROUNDS = 4


@dataclass(frozen=True)
class NodeImages:
    """`gram` (N, C, C) and `inner` (N, C) of the images, `start` (N, K) where their amplitudes seem to be."""

    gram: Tensor
    inner: Tensor
    start: Tensor
    contrast_sd: float
    """Of the contrasts that are still unknown; 0 where they are taken as they seem."""

    @property
    def compressed(self) -> tuple[Tensor, Tensor, Tensor]:
        """`gram`, `inner`, `start`."""
        return self.gram, self.inner, self.start

    def at(self, rows: Tensor) -> "NodeImages":
        """Some of the images."""
        return replace(self, gram=self.gram[rows], inner=self.inner[rows], start=self.start[rows])


def node_images(near: NearImages, found: Directions, series: TiltSeries) -> NodeImages:
    """The images that nodes are fitted to, each with what all images of its particle say."""
    gram, inner = of_particles(*without_pose_errors(near, found.nuisances), series)
    return NodeImages(gram, inner, found.posteriors.mean, found.nuisances.contrast_sd)


def of_particles(gram: Tensor, inner: Tensor, series: TiltSeries) -> tuple[Tensor, Tensor]:
    """Each image's with those of all images of its particle added."""
    one_each = series.n == len(gram)
    return (gram, inner) if one_each else (totals(gram, series), totals(inner, series))


def one_of_each(dataset: ParticleDataset, series: TiltSeries) -> np.ndarray:
    """Images that say something of their own: one of each particle, and none that is a copy of another."""
    first = series.images[:, 0]
    return first[~dataset.copies.again[first]]


def images_at_nodes(
    near: NearImages, nuisances: Nuisances, series: TiltSeries, nodes: Tensor, responsible: Responsibilities
) -> NodeImages:
    """The images over the volumes that nodes (M, C) are amplitudes of, each with what all of its particle say.

    At high frequencies an image whose pose is wrong looks faint: there contrasts vary by more than they do, and their
    spread is learned anew.
    """
    gram, inner = of_particles(*without_pose_errors(near, nuisances), series)
    del near  # the larger part of what is known of many images
    population, contrast_sd = responsible.population, nuisances.contrast_sd
    for _ in range(CONTRAST_ROUNDS):
        here = at_nodes(gram, inner, nodes, contrast_sd)
        shares = Responsibilities((here.scores + population.log()).log_softmax(1), population)
        _, contrast_sd = contrasts(shares, here)
    return NodeImages(gram, inner, responsible.shares @ nodes[:, 1:], contrast_sd)


def moments_at_nodes(responsible: Responsibilities, features: Tensor, nuisances: Nuisances) -> Moments:
    """Moments of the functions `features` (M, Q + 1) of images that lie at nodes, contrast included."""
    shares, outer = responsible.shares, (features[:, :, None] * features[:, None, :]).flatten(1)
    contrast, square = nuisances.contrast, nuisances.squared_contrast()

    def moments(index: np.ndarray) -> tuple[Tensor, Tensor]:
        rows = torch.as_tensor(index, device=shares.device)
        first, second = shares[rows] @ features, (shares[rows] @ outer).view(-1, *[features.shape[1]] * 2)
        return contrast[rows, None] * first, square[rows, None, None] * second

    return moments


def with_contrast_of(placed: FittedNodes, found: Directions) -> Directions:
    """What is known of the images, with the contrasts that they have at the nodes."""
    contrast_sd = min(placed.contrast_sd, found.nuisances.contrast_sd)
    contrast = replace(found.nuisances, contrast=placed.contrast, contrast_variance=placed.contrast_variance)
    return replace(found, nuisances=replace(contrast, contrast_sd=contrast_sd))


def with_contrast_at(responsible: Responsibilities, here: AtNodes, nuisances: Nuisances) -> Nuisances:
    """What is known of the images, with the contrasts that they have at the nodes, 1 on average; their spread stays."""
    mean, _ = contrasts(responsible, here)
    contrast, variance = contrast_of_images(responsible, here)
    return replace(nuisances, contrast=contrast / mean, contrast_variance=variance / mean**2)
