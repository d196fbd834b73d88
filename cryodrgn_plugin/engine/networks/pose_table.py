"""The poses of a training that looks for them: one of every particle, kept with the model and so in its checkpoints."""

import numpy as np
import torch
from torch import Tensor, nn

from ..data.batch import Pose
from ..data.dataset import ParticleDataset
from ..geometry.rotations import random_matrices


class PoseTable(nn.Module):
    """Current poses of the N particles of a dataset, as buffers.

    `rotations` (N, 3, 3), volume to view, and `shifts_ang` (N, 2), displacement of the feature, are physical; `of`
    gives them in the frame of the lattice (`ParticleDataset.frequency_ratio`). `score` (N,) is the log-likelihood of
    each, 0 before the first search.
    """

    rotations: Tensor
    shifts_ang: Tensor
    score: Tensor

    def __init__(self, dataset: ParticleDataset):
        super().__init__()
        self.register_buffer("rotations", torch.eye(3).repeat(dataset.n, 1, 1))
        self.register_buffer("shifts_ang", torch.zeros(dataset.n, 2))
        self.register_buffer("score", torch.zeros(dataset.n))
        ratio = torch.from_numpy(dataset.frequency_ratio.astype(np.float32))
        self.register_buffer("_ratio", ratio, persistent=False)

    def of(self, index: Tensor) -> Pose:
        """Poses of the particles `index` (B,), P = 1."""
        index = index.long()
        ratio = self._ratio[index]
        rotations = self.rotations[index] * ratio[:, None, None]
        return Pose(rotations[:, None], (self.shifts_ang[index] * ratio[:, None])[:, None])

    def draw(self, seed: int) -> None:
        """Every rotation at random, no shifts."""
        rotations = random_matrices(len(self.rotations), np.random.default_rng([seed, 3]))
        self.put(np.arange(len(rotations)), rotations, np.zeros((len(rotations), 2)), np.zeros(len(rotations)))

    @torch.no_grad()
    def put(
        self,
        index: np.ndarray,
        rotations: np.ndarray | Tensor,
        shifts_ang: np.ndarray | Tensor,
        score: np.ndarray | Tensor,
    ) -> None:
        """Take the poses of the particles `index`."""
        where = torch.as_tensor(index, device=self.score.device)
        for buffer, values in ((self.rotations, rotations), (self.shifts_ang, shifts_ang), (self.score, score)):
            buffer[where] = torch.as_tensor(values, dtype=torch.float32, device=buffer.device)
