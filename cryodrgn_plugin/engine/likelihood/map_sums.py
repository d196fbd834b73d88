"""The normal equations of a map from images that count for several weighted poses each."""

import numpy as np

from ..data.dataset import ParticleDataset
from ..reconstruction.masks import mask_from_map
from .linear_model import LinearModel, fit_volumes, soft_ball
from .voxel_solve import EquationSums
from .whitened import WhitenedBatch


class MapSums:
    """The normal equations of one map, from images with several weighted poses each."""

    def __init__(self, sphere, dataset: ParticleDataset) -> None:
        self._equations, self.sphere, self._dataset = EquationSums(sphere, 1), sphere, dataset
        self._is_empty = True

    def add(self, batch: WhitenedBatch, rotations, shifts_ang, weights, ratio) -> None:
        """Images of a batch at candidates (B, P, 3, 3), (B, P, 2) that count `weights` (B, P); ratio (B,)."""
        image, place = np.nonzero(weights)
        if not len(image):
            return
        self._is_empty = False
        share = weights[image, place].astype(np.float32)[:, None]
        indices = self._dataset.lattice.indices[: batch.targets.shape[1]]
        moves = shifts_ang[image, place] * ratio[image, None] / (self._dataset.box * self._dataset.pixel_size_ang)
        back = np.exp(2j * np.pi * moves @ indices.T).astype(np.complex64)
        one = np.ones((len(image), 1))
        turned = (rotations[image, place] * ratio[image, None, None]).astype(np.float32)
        data = (batch.weights[image] * share, one[:, :, None], batch.targets[image] * back * share, one)
        self._equations.add(*data, turned, indices.astype(np.float32))

    def map(self) -> LinearModel:
        """The map of all images together."""
        return fit_volumes([self._equations.equations()], self.sphere, soft_ball(self.sphere.box))[0]

    @staticmethod
    def maps(first: "MapSums", second: "MapSums", masked: bool) -> list[LinearModel]:
        """The two half-set maps, confined to the molecule that they agree on when `masked`."""
        sphere, dataset = first.sphere, first._dataset
        ball = soft_ball(sphere.box)
        models = fit_volumes([first._equations.equations(), second._equations.equations()], sphere, ball)
        if not masked or first._is_empty or second._is_empty:
            return models
        volumes = [sphere.to_volumes(model.coefs) for model in models]
        mask = mask_from_map((volumes[0] + volumes[1])[0] / 2, dataset.pixel_size_ang) * ball
        return [LinearModel(sphere, sphere.from_volumes(volume * mask)) for volume in volumes]
