"""Poses of particles, searched against what a decoder has learnt so far."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..config import RunConfig
from ..data.dataset import ParticleDataset
from ..data.tilt_series import TiltSeries
from ..decoders.decoder import Decoder
from ..geometry.rotations import random_matrices
from ..imaging.noise import NoiseModel
from ..likelihood.linear_score import perfect_fit
from ..likelihood.whitened import WhitenedBatch, WhitenedImages
from ..poses.inference import Candidates, Score
from ..poses.pose_names import gumbel
from ..poses.scaled import ScaledScore
from ..poses.series_score import TiltSeriesScore, tilted
from ..poses.strategy_registry import make_pose_inference
from ..ranks import Ranks
from ..slicing.compute import Compute
from ..slicing.place import on_host
from .pose_table import PoseTable
from .search_volumes import DecodedVolumes, RenderedVolumes, SearchVolumes


class PoseSearch:
    """The search that `config.poses` describes, for particles of a dataset. Given poses are not looked at.

    With `series` particles have several images, for which one pose is found. Processes that share a training search for
    some of the particles each, and all learn what was found.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: ParticleDataset,
        noise: NoiseModel,
        device: torch.device,
        series: TiltSeries | None = None,
    ):
        self._config, self._dataset, self._device = config, dataset, device
        self._series, self._ranks = series or TiltSeries.singles(dataset.n), Ranks.present()
        self._images = WhitenedImages(dataset.without_poses(), noise, compute=Compute.chosen(config))

    def last_radius(self, march: float) -> float:
        """Highest frequency compared, which grows with `march` (0 to 1)."""
        poses = self._config.poses
        highest = self._dataset.box // 2 - 1
        first, last = min(poses.first_radius, highest), min(poses.last_radius, highest)
        return round(first + march * (last - first))

    def run(
        self, decoder: Decoder, z: np.ndarray | None, table: PoseTable, index: np.ndarray, march: float, number: int
    ) -> None:
        """Search the poses of the particles `index` (B,) and put those of their images into `table`.

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
        heat = self._config.poses.exploration * (1 - march)
        found = _FoundPoses()
        lots = self._series.sharing_a_score(index, dataset.frequency_ratio, search.images_at_once(), volumes.volume)
        for members in lots:
            own = self._ranks.share(len(members))
            if not len(own):
                self._mean_lack(torch.zeros(0), heat)
                continue
            images, tilts, carries = self._series.views(index[members])
            images, stage = images[own], (torch.as_tensor(tilts), torch.as_tensor(carries))
            views = [self._images.of(view, dataset.lattice.count(last)) for view in images.T]
            score = TiltSeriesScore([self._score(volumes, view, members[own]) for view in views], *stage)
            candidates = search.infer(score)
            first = self._chosen(candidates, views, heat, index[members[own]], number)
            chosen = torch.arange(len(own), device=first.device), first
            rotations, shifts_ang = candidates.rotations[chosen], candidates.shifts_ang[chosen]
            for view, tilt, carry in zip(images.T, *stage, strict=True):
                found.add(view, *tilted(rotations, shifts_ang, tilt, carry), candidates.score[chosen])
        found.put(table, self._ranks)

    def _chosen(
        self, candidates: Candidates, views: list[WhitenedBatch], heat: float, particles: np.ndarray, number: int
    ) -> Tensor:
        """(B,) the candidate that each of the particles (B,) takes: drawn by likelihood at first, the likeliest in the
        end.

        A map that is still forming explains images badly and is wrong about which pose is best. So likelihoods are
        divided by how badly it does, in units of the noise, and by `heat`: `poses.exploration`, which fades with the
        march. What is drawn, in search `number`, belongs to a pose wherever it stands among the others.
        """
        if not heat:
            return torch.zeros(len(candidates.score), dtype=torch.int64, device=candidates.score.device)
        power = sum(perfect_fit(view.targets, view.weights) for view in views).to(candidates.score.device)
        coefficients = len(views) * self._dataset.lattice.multiplicity[: views[0].targets.shape[1]].sum()
        misfit = 2 * self._mean_lack(power - candidates.score[:, 0], heat) / coefficients
        tempered, names = candidates.score / (heat * max(misfit, 1.0)), candidates.names
        assert names is not None, "strategies that searches take have grids"
        noise = gumbel(names, particles, [self._config.seed, 5, number])
        return (tempered + torch.as_tensor(noise).to(tempered)).argmax(1)

    def _mean_lack(self, lacks: Tensor, heat: float) -> float:
        """What particles (B,) of this process, and others of the others, lack to a perfect fit, on average; of no use,
        and not asked for, without heat."""
        return float(self._ranks.mean(lacks.float().cpu())) if heat else 0.0

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
            self._images.compute,
            self._ranks,
        )

    def _score(self, volumes: SearchVolumes, images: WhitenedBatch, members: np.ndarray) -> Score:
        score = volumes.score(images, members)
        ratio = float(self._dataset.frequency_ratio[images.index[0]])
        return score if ratio == 1 else ScaledScore(score, ratio)


class _FoundPoses:
    """Poses of images as they are found, on the host."""

    def __init__(self) -> None:
        self._index = [np.empty(0, np.int64)]
        self._poses = [(torch.empty(0, 3, 3), torch.empty(0, 2), torch.empty(0))]

    def add(self, index: np.ndarray, *poses: Tensor) -> None:
        """Rotations (B, 3, 3), shifts (B, 2) in Å and scores (B,) of the images `index` (B,)."""
        self._index.append(index)
        self._poses.append(tuple(values.float().cpu() for values in poses))

    def put(self, table: PoseTable, ranks: Ranks) -> None:
        """Everything, and what other processes have found, into the table."""
        index = on_host(ranks.gathered(torch.from_numpy(np.concatenate(self._index))))
        table.put(index, *(ranks.gathered(torch.cat(values)) for values in zip(*self._poses, strict=True)))
