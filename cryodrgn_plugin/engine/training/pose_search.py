"""Poses of particles, searched against what a decoder has learnt so far."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..decoders.base import Decoder
from ..geometry.rotations import random_matrices
from ..imaging.noise import NoiseModel
from ..poses.base import Score
from ..poses.registry import make_pose_inference
from ..poses.scaled import ScaledScore
from .pose_table import PoseTable
from .search_volumes import DecodedVolumes, RenderedVolumes, SearchVolumes
from .whitened import WhitenedBatch, WhitenedImages


class PoseSearch:
    """The search that `config.poses` describes, for particles of a dataset. Given poses are not looked at."""

    def __init__(self, config: RunConfig, dataset: ParticleDataset, noise: NoiseModel, device: torch.device):
        self._config, self._dataset, self._device = config, dataset, device
        self._images = WhitenedImages(dataset.without_poses(), noise)

    def last_radius(self, march: float) -> float:
        """Highest frequency compared, which grows with `march` (0 to 1)."""
        poses = self._config.poses
        highest = self._dataset.box // 2 - 1
        first, last = min(poses.first_radius, highest), min(poses.last_radius, highest)
        return round(first + march * (last - first))

    def run(
        self, decoder: Decoder, z: np.ndarray | None, table: PoseTable, index: np.ndarray, march: float, number: int
    ) -> None:
        """Search the poses of the particles `index` (B,) and put them into `table`.

        Parameters
        ----------
        z : (B, Z), where each particle's volume lies; None without latent.
        number : of this search; each meets a grid turned in its own way.
        """
        dataset, last = self._dataset, self.last_radius(march)
        poses = replace(self._config.poses, last_radius=last, first_radius=min(self._config.poses.first_radius, last))
        turn = random_matrices(1, np.random.default_rng([self._config.seed, 4, number]))[0]
        search = make_pose_inference(poses, dataset.box, dataset.pixel_size_ang, turn)
        volumes = self._volumes(decoder, z, len(index), last, number)
        images = self._images.of(index, dataset.lattice.count(last))
        for places in self._alike(volumes, index, search.images_at_once()):
            candidates = search.infer(self._score(volumes, images, places))
            best = candidates.best
            table.put(index[places], best.rotations[:, 0], best.shifts_ang[:, 0], candidates.score[:, 0])

    def _volumes(self, decoder: Decoder, z: np.ndarray | None, count: int, radius: float, number: int) -> SearchVolumes:
        dataset, config = self._dataset, self._config
        if not config.poses.volumes:
            return DecodedVolumes(decoder, z, count, dataset.lattice, dataset.pixel_size_ang, self._device)
        return RenderedVolumes(
            decoder,
            z,
            count,
            config.poses.volumes,
            dataset.lattice,
            dataset.box * dataset.pixel_size_ang,
            config.decoder.padding,
            radius,
            config.seed + number,
        )

    def _alike(self, volumes: SearchVolumes, index: np.ndarray, at_once: int) -> Iterator[np.ndarray]:
        """Places in `index` (B,) of images that share a volume and an extent, at most `at_once` at a time."""
        kinds = np.stack([volumes.volume, self._dataset.frequency_ratio[index]], axis=1)
        kind = np.unique(kinds, axis=0, return_inverse=True)[1].ravel()
        for value in range(kind.max() + 1):
            members = np.flatnonzero(kind == value)
            for start in range(0, len(members), at_once):
                yield members[start : start + at_once]

    def _score(self, volumes: SearchVolumes, images: WhitenedBatch, places: np.ndarray) -> Score:
        score = volumes.score(images.at(places), places)
        ratio = float(self._dataset.frequency_ratio[images.index[places[0]]])
        return score if ratio == 1 else ScaledScore(score, ratio)
