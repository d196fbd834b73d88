"""The normal equations of a map from images that count for several weighted poses each."""

import torch
from torch import Tensor

from ..data.dataset import ParticleDataset
from ..ranks import Ranks
from ..reconstruction.masks import mask_if_any
from ..slicing.backend import Backend
from ..slicing.place import on_host
from .equations import EquationSums, ReadyEquations
from .linear_model import LinearModel, fit_volumes, soft_ball
from .whitened import WhitenedBatch


class MapSums:
    """The normal equations of one map, from images with several weighted poses each; processes may share them."""

    def __init__(self, backend: Backend, dataset: ParticleDataset, ranks: Ranks | None = None) -> None:
        self._equations, self._backend, self._dataset = EquationSums(backend, 1, ranks), backend, dataset

    def add(self, batch: WhitenedBatch, rotations: Tensor, shifts_ang: Tensor, weights: Tensor, ratio: Tensor) -> None:
        """Images of a batch at candidates (B, P, 3, 3), (B, P, 2) that count `weights` (B, P); ratio (B,)."""
        image, candidate = torch.nonzero(weights, as_tuple=True)
        if not len(image):
            return
        extent_ang = self._dataset.box * self._dataset.pixel_size_ang
        moves = shifts_ang[image, candidate].double() * ratio[image, None] / extent_ang
        turned = rotations[image, candidate] * ratio[image, None, None]
        share = weights[image, candidate].to(batch.weights.dtype)
        posed = batch.counted(image, turned, moves, share, self._dataset.lattice)
        amplitude = batch.weights.new_ones(len(image), 1)
        self._equations.add(posed, amplitude, amplitude[:, :, None])

    def map(self) -> LinearModel:
        """The map of all images together."""
        return fit_volumes(ReadyEquations([self._equations.equations()]), soft_ball(self._backend.sphere.box))[0]

    @staticmethod
    def maps(first: "MapSums", second: "MapSums", masked: bool) -> list[LinearModel]:
        """The two half-set maps, confined to the molecule that they agree on when `masked`."""
        backend, dataset = first._backend, first._dataset
        ball = soft_ball(backend.sphere.box)
        sets = [first._equations.equations(), second._equations.equations()]
        models = fit_volumes(ReadyEquations(sets), ball)
        if not masked or first._equations.is_empty or second._equations.is_empty:
            return models
        volumes = [model.volumes() for model in models]
        mask = mask_if_any(on_host((volumes[0] + volumes[1])[0]) / 2, dataset.pixel_size_ang) * ball
        return [LinearModel.of(backend, volume * backend.compute.tensor(mask)) for volume in volumes]
