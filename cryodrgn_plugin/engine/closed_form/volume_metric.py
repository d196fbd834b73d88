"""Latent coordinates in which distance is distance between maps.

Volumes are linear in the coordinates, so the distance between those of two particles is that of their coordinates under
the inner products of the bases. Those are taken between half-sets: what the halves do not share, noise, has no length.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..likelihood.linear_model import LinearModel

LEAST_SHARED = 1e-4
"""Share of the largest squared length that every direction keeps, so that coordinates can be taken back."""
LEAST_LENGTH = 1e-8
"""Taken for the largest squared length where the halves share less, or nothing: single precision can take it back."""


@dataclass(frozen=True)
class VolumeMetric:
    """New coordinates z' = B z, the widest first; unit length is that of the mean map."""

    to_metric: Tensor
    """(Q, Q) B."""

    @classmethod
    def between(cls, halves: list[LinearModel], features: Tensor, population: Tensor) -> "VolumeMetric":
        """Of two half-set models of 1 + Q volumes.

        Parameters
        ----------
        features : (M, Q + 1) coordinates of the nodes, a 1 in front; population (M,) of the images.
        """
        products = halves[0].gram(other=halves[1])
        products = (products + products.T) / 2
        mean_power = products[0, 0].clamp(min=torch.finfo(products.dtype).tiny)
        lengths, axes = torch.linalg.eigh(products[1:, 1:] / mean_power)
        lengths = lengths.clamp(min=LEAST_SHARED * max(float(lengths.max()), LEAST_LENGTH))
        straight = lengths.sqrt()[:, None] * axes.T
        points = features[:, 1:] @ straight.T
        away = points - population @ points
        widest = torch.linalg.eigh(away.T @ (population[:, None] * away))[1].flip(1)
        turned = widest.T @ straight
        # The sign of an axis is arbitrary: the largest entry is made positive.
        largest = turned.gather(1, turned.abs().argmax(1, keepdim=True))
        return cls(turned * torch.where(largest < 0, -1.0, 1.0))

    def features(self, features: Tensor) -> Tensor:
        """(M, Q + 1) in the new coordinates."""
        return torch.cat([features[:, :1], features[:, 1:] @ self.to_metric.T], 1)

    def model(self, model: LinearModel) -> LinearModel:
        """The same volumes as functions of the new coordinates."""
        matrix = torch.eye(len(self.to_metric) + 1, dtype=self.to_metric.dtype, device=self.to_metric.device)
        matrix[1:, 1:] = torch.linalg.inv(self.to_metric)
        return model.mixed(matrix)
