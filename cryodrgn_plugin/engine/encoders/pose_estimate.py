"""What a network that finds poses is: a batch of images → a pose and a posterior of z for each."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from ..data.batch import ImageBatch
from .encoder import LatentPosterior


@dataclass(frozen=True)
class PoseEstimate:
    """One pose per image, and what else was read off it."""

    rotations: Tensor
    """(B, 3, 3). Volume to view."""
    shifts_ang: Tensor
    """(B, 2). Displacement (x, y) of the feature."""
    latent: LatentPosterior | None
    """Posterior of z; None without latent dimensions."""
    spread: Tensor | None = None
    """(B, 3). Standard deviation in radians of small turns about the view's axes; None for a point estimate."""


class PoseEncoder(nn.Module):
    """Poses and z of images."""

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Parameters whose gradients are sparse."""
        return []

    @abstractmethod
    def estimate(self, batch: ImageBatch) -> PoseEstimate:
        """The pose of each image of a batch of tensors, whose own poses are not looked at. Differentiable."""
